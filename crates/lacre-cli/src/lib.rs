//! `lacre` on the command line: a sealed HTTP cache to fetch through, look into and check.
//!
//! `args` is what can be said · `open` finds the store and its key · `commands` does one thing each · `prompt` asks people, `output` speaks to
//! them and to programs, `printable` makes what others wrote safe to show · `exit` is how it ends. No rule of caching lives here: those are lacre's. [`run`] is all of it, for the binary and
//! for `python -m lacre`.

mod args;
mod commands;
mod demo;
mod evidence;
mod exit;
mod open;
mod output;
mod pretty;
mod printable;
mod progress;
mod prompt;
mod request;
mod rows;
mod serve;
mod writing;

use args::Args;
use clap::Parser;
pub use exit::Exit;
use exit::Failure;
use output::Output;
use std::ffi::OsString;

/// Does what a command line asks for, the name of the program first.
///
/// It speaks on the standard streams of the process, and takes over SIGINT, and `serve` SIGTERM, while a command waits for the network.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> Exit {
    let arguments: Vec<_> = arguments.into_iter().collect();
    let args = match Args::try_parse_from(&arguments) {
        Ok(args) => args,
        Err(error) => return misunderstood(&error, &arguments),
    };
    let output = Output::new(args.global.format(), args.global.color);
    match commands::run(&args, output) {
        Ok(()) => Exit::Ok,
        Err(failure) => output.failed(&failure),
    }
}

/// What clap could not read, or help and version, which it takes for errors, too.
fn misunderstood(error: &clap::Error, arguments: &[OsString]) -> Exit {
    if !error.use_stderr() || !arguments.iter().any(|argument| argument == "--json") {
        // Nowhere to say it is no reason to fail in another way.
        let _ = error.print();
        return if error.use_stderr() { Exit::Usage } else { Exit::Ok };
    }
    let text = error.to_string();
    let first = text.lines().next().unwrap_or_default().trim_start_matches("error: ");
    let failure = Failure::usage(first.to_owned()).with_hint("lacre --help");
    Output::new(output::Format::Json, output::Color::Never).failed(&failure)
}
