//! `lacre` on the command line: a sealed HTTP cache to fetch through, look into and check.
//!
//! `args` is what can be said · `open` finds the store and its key · `commands` does one thing each · `prompt` asks people, `output` speaks to
//! them and to programs · `exit` is how it ends. No rule of caching lives here: those are lacre's.

mod args;
mod commands;
mod demo;
mod evidence;
mod exit;
mod open;
mod output;
mod pretty;
mod progress;
mod prompt;
mod request;
mod rows;
mod serve;
mod writing;

use args::Args;
use clap::Parser;
use exit::{Exit, Failure};
use output::Output;
use std::process::ExitCode;

fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => return misunderstood(&error),
    };
    let output = Output::new(args.global.format(), args.global.color);
    match commands::run(&args, output) {
        Ok(()) => Exit::Ok.into(),
        Err(failure) => output.failed(&failure).into(),
    }
}

/// What clap could not read, or help and version, which it takes for errors, too.
fn misunderstood(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() || !std::env::args().any(|argument| argument == "--json") {
        // Nowhere to say it is no reason to fail in another way.
        let _ = error.print();
        return if error.use_stderr() { Exit::Usage.into() } else { Exit::Ok.into() };
    }
    let text = error.to_string();
    let first = text.lines().next().unwrap_or_default().trim_start_matches("error: ");
    let failure = Failure::usage(first.to_owned()).with_hint("lacre --help");
    Output::new(output::Format::Json, output::Color::Never).failed(&failure).into()
}
