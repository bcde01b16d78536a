//! The command line, as `python -m lacre` runs it: that of lacre-cli, in a process of its own.

use pyo3::prelude::*;
use std::ffi::OsString;

/// Does what the arguments ask for, the name of the program first, and returns the exit code. It speaks on the standard streams of the
/// process, and other threads run meanwhile.
#[pyfunction]
pub(crate) fn run_command_line(py: Python<'_>, arguments: Vec<OsString>) -> u8 {
    py.detach(|| lacre_cli::run(arguments).code())
}
