//! `lacre completions`: prints the completion script for a shell.

use crate::exit::Failure;
use clap_complete::Shell;
use std::io::{self, Write};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Shell to print completions for
    shell: Shell,
}

pub(crate) fn run(args: &Args, mut command: clap::Command) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "lacre", &mut script);
    Ok(io::stdout().write_all(&script)?)
}
