//! The `lacre` command line: fetch through a sealed HTTP cache, inspect it, verify it.
//!
//! This crate parses arguments, prints results and maps errors to exit codes. The rules of caching,
//! the stores and the seals are those of [`lacre`]. [`run`] is the whole program; the binary and
//! `python -m lacre` call it:
//!
//! ```
//! let exit = lacre_cli::run(["lacre", "completions", "bash"].map(Into::into));
//! assert_eq!(exit, lacre_cli::Exit::Ok);
//! ```
//!
//! | module | content |
//! |---|---|
//! | `args` | the arguments, and the command each names |
//! | `commands`, `demo`, `serve` | one module for each command |
//! | `global_options`, `suite_option`, `encoding_options` | options that commands share |
//! | `store_options` | opens the store and the key source that the options name |
//! | `request`, `transport`, `netrc`, `network_error` | the request of `get`, and its connection |
//! | `selector`, `listing`, `quarantine`, `record_state` | entries: lookup, tables, JSON, words |
//! | `output`, `sink`, `table`, `format` | output for people and for programs |
//! | `progress`, `terminal` | progress bars, and questions to the user |
//! | `exit` | exit codes and errors |

mod args;
#[cfg(feature = "get")]
mod cache_result;
mod commands;
#[cfg(feature = "get")]
mod demo;
#[cfg(any(feature = "get", feature = "serve"))]
mod encoding_options;
mod exit;
mod format;
mod global_options;
mod listing;
#[cfg(feature = "get")]
mod netrc;
#[cfg(feature = "get")]
mod network_error;
mod output;
mod progress;
mod quarantine;
mod record_state;
#[cfg(all(feature = "get", feature = "serve"))]
#[cfg(test)]
mod reference;
#[cfg(feature = "get")]
mod request;
#[cfg(feature = "get")]
mod runtime;
mod selector;
#[cfg(feature = "serve")]
mod serve;
#[cfg(feature = "get")]
mod sink;
mod store_options;
mod suite_option;
mod table;
mod terminal;
#[cfg(feature = "get")]
mod transport;

use args::Args;
use clap::Parser;
use clap::error::ErrorKind;
pub use exit::Exit;
use exit::Failure;
use lacre::sanitize;
use output::Output;
use std::ffi::OsString;
use std::io::Write;

/// Runs one command line, whose first item is the name of the program.
///
/// It uses the standard streams of the process. While a command waits for the network, it handles
/// SIGINT; `serve` also handles SIGTERM.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> Exit {
    let arguments: Vec<_> = arguments.into_iter().collect();
    let args = match Args::try_parse_from(&arguments) {
        Ok(args) => args,
        Err(error) => return usage_error(&error, &arguments),
    };
    let output = Output::new(args.global.format(), args.global.color);
    match args.run(output) {
        Ok(()) => Exit::Ok,
        Err(failure) => output.report(&failure),
    }
}

/// Prints a clap error: help, version or a usage error.
fn usage_error(error: &clap::Error, arguments: &[OsString]) -> Exit {
    if !error.use_stderr() {
        // A closed stdout does not turn help into a failure.
        let _ = error.print();
        return Exit::Ok;
    }
    let text = error.to_string();
    let shown = selector::without_queries(&text);
    if arguments.iter().any(|argument| argument == "--json") {
        return Output::new(output::Format::Json, output::Color::Never).report(&usage(error.kind(), &shown));
    }
    // clap's coloured text, unless it repeats a query.
    let _ = if shown == text { error.print() } else { write!(anstream::stderr(), "{shown}") };
    Exit::Usage
}

/// Reduces clap's text to one line and one hint.
fn usage(kind: ErrorKind, text: &str) -> Failure {
    if kind == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        return Failure::usage("a command is missing").with_hint("lacre --help lists the commands");
    }
    // The first paragraph is the error, possibly over several lines; tips and the usage follow.
    let mut paragraphs = text.split("\n\n");
    let in_one_line = |paragraph: &str| paragraph.split_whitespace().collect::<Vec<_>>().join(" ");
    let message = in_one_line(paragraphs.next().unwrap_or_default());
    let hint = paragraphs.map(in_one_line).find_map(|paragraph| {
        let tip = paragraph.strip_prefix("tip: ").map(str::to_owned);
        tip.or_else(|| paragraph.strip_prefix("Usage: ").map(|usage| format!("write {usage}")))
    });
    Failure::usage(message.trim_start_matches("error: ").to_owned())
        .with_hint(hint.unwrap_or_else(|| "lacre --help".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure_of(arguments: &[&str]) -> Failure {
        let error = Args::try_parse_from(arguments).unwrap_err();
        usage(error.kind(), &selector::without_queries(&error.to_string()))
    }

    #[test]
    fn a_usage_error_names_the_argument_in_one_line() {
        for (arguments, message, hint) in [
            (
                &["lacre", "get"][..],
                "the following required arguments were not provided: <URL>",
                "write lacre get",
            ),
            (&["lacre", "show"], "<KEY|URL>", "write lacre show"),
            (&["lacre", "ls", "--stael"], "unexpected argument '--stael' found", "'--stale'"),
            (&["lacre", "ls", "--sort", "x"], "invalid value 'x' for '--sort <SORT>'", "lacre"),
            (&["lacre", "rm"], "required arguments were not provided", "write lacre rm"),
            (&["lacre", "key"], "a command is missing", "lacre --help"),
        ] {
            let failure = failure_of(arguments);
            let (text, tip) = (failure.message.unwrap(), failure.hint.unwrap());
            assert!(text.contains(message) && !text.contains('\n'), "{arguments:?}: {text}");
            assert!(tip.contains(hint) && !tip.contains('\n'), "{arguments:?}: {tip}");
        }
    }

    #[test]
    fn a_usage_error_repeats_no_query() {
        let failure = failure_of(&["lacre", "ls", "a", "https://h/p?token=hunter2"]);
        let message = failure.message.unwrap();
        assert!(message.contains("https://h/p?…") && !message.contains("hunter2"), "{message}");
    }
}
