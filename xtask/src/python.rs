//! Virtual environments for Python programs that tests use: each under `target/`, with the packages
//! that `xtask/NAME-requirements.txt` pins.

use crate::{Failure, steps};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The virtual environment `name`; it is created again when its pinned versions change.
///
/// # Errors
/// Python or PyPI is missing; the message names the remedy.
pub(crate) fn environment(root: &Path, name: &str) -> Result<PathBuf, Failure> {
    let pinned = root.join(format!("xtask/{name}-requirements.txt"));
    let wanted = fs::read(&pinned)?;
    let environment = root.join("target").join(name);
    let installed = environment.join("installed.txt");
    if fs::read(&installed).is_ok_and(|found| found == wanted) {
        return Ok(environment);
    }
    println!("installing {name} into {}", environment.display());
    steps::run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&environment))
        .map_err(|failure| format!("{failure}; install python3 with its venv module"))?;
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"];
    steps::run(Command::new(environment.join("bin/python")).args(pip).arg(&pinned))
        .map_err(|failure| format!("{failure}; pip must reach PyPI once"))?;
    fs::write(installed, wanted)?;
    Ok(environment)
}

/// The interpreter of the virtual environment `name`.
///
/// # Errors
/// As [`environment`].
pub(crate) fn interpreter(root: &Path, name: &str) -> Result<PathBuf, Failure> {
    Ok(environment(root, name)?.join("bin/python"))
}
