//! The command line of lacre-cli, for `python -m lacre`.

use pyo3::prelude::*;
use std::ffi::OsString;

/// Runs the command line and returns its exit code.
///
/// It uses the standard streams of the process. Other Python threads run meanwhile.
///
/// Args:
///     arguments: The arguments, the name of the program first.
#[pyfunction]
pub(crate) fn run_command_line(py: Python<'_>, arguments: Vec<OsString>) -> u8 {
    py.detach(|| lacre_cli::run(arguments).code())
}
