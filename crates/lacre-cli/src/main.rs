//! The program `lacre`: nothing but the library of this crate.

use std::process::ExitCode;

fn main() -> ExitCode {
    lacre_cli::run(std::env::args_os()).into()
}
