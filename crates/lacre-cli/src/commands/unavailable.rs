//! The commands that need an HTTP client or server, in a build without the features `get` or
//! `serve`, such as that of the Python package. They fail and name the standalone command.

use crate::exit::Failure;
use std::ffi::OsString;

const REMEDY: &str =
    "install the command by itself, in a checkout of lacre: cargo install --path crates/lacre-cli";

/// The arguments of a command that this build does not have, which are not read.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[arg(num_args = 0.., trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    arguments: Vec<OsString>,
}

/// The commands that this build does not have, for `--help`.
pub(crate) fn note() -> String {
    let missing: Vec<_> = [
        (cfg!(feature = "get"), "get"),
        (cfg!(feature = "get"), "explain"),
        (cfg!(feature = "get"), "demo"),
        (cfg!(feature = "serve"), "serve"),
    ]
    .iter()
    .filter_map(|(available, name)| (!available).then_some(*name))
    .collect();
    format!("Not in this build: {}. To have them, {REMEDY}", missing.join(", "))
}

/// The error of a command that this build does not have.
pub(crate) fn failure(command: &str) -> Failure {
    Failure::usage(format!("this build of lacre does not have the command `{command}`")).with_hint(REMEDY)
}
