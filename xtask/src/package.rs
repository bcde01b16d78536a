//! Tests and builds the Python package, and tests published packages with it. It publishes nothing.

use crate::steps::{Missing, cargo, run};
use crate::{Failure, httpbin, python};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

/// Builds the package into a virtual environment, and runs its tests, the tests of its wheel, and
/// the tests of requests-cache.
///
/// # Errors
/// The first step that fails.
pub(crate) fn test(root: &Path, missing: Missing) -> Result<(), Failure> {
    let Some(environment) =
        missing.or_report("the tests of the Python package", python::environment(root, "python"))?
    else {
        return Ok(());
    };
    let package = root.join("python");
    let python = environment.join("bin/python");
    for check in ["check --quiet", "format --check --quiet"] {
        run(Command::new(environment.join("bin/ruff")).args(check.split(' ')).current_dir(root))?;
    }
    develop(root, &environment)?;
    // The package has no HTTP client: tests of the stored format fetch with the standalone command.
    // Selected in the workspace, it has the features that the Rust tests were built with.
    run(&mut cargo(root, "build --quiet --workspace --bin lacre"))?;
    for check in ["mypy --no-error-summary", "mypy.stubtest lacre._lacre", "pytest --quiet"] {
        run(Command::new(&python).arg("-m").args(check.split(' ')).current_dir(&package))?;
    }
    if let Some(python) =
        missing.or_report("the tests with niquests", python::interpreter(root, "niquests"))?
    {
        run(Command::new(python)
            .args(["-m", "pytest", "--quiet"])
            .args(
                ["alike", "clients_of_lacre", "docstrings", "drivers", "principals", "waiting"]
                    .map(|name| format!("tests/test_{name}.py")),
            )
            .current_dir(&package))?;
    }
    let packed = root.join("target/wheels/dev");
    if packed.exists() {
        fs::remove_dir_all(&packed)?;
    }
    // Uncompressed: compressing would take longer than the tests of the wheel.
    for what in ["build --compression-method stored", "sdist"] {
        run(maturin(root, &environment, what).arg("--out").arg(&packed))?;
    }
    run(Command::new(&python)
        .args(["-m", "pytest", "--quiet", "tests/wheel"])
        .env("LACRE_WHEELS", &packed)
        .current_dir(&package))?;
    if run(Command::new("redis-server").arg("--version").stdout(Stdio::null())).is_err() {
        return missing.report("the tests of requests-cache; install redis-server");
    }
    let Some(origin) = missing.or_report("the tests of requests-cache", httpbin::start(root))? else {
        return Ok(());
    };
    run(Command::new(python)
        .args(["tests/suite/run.py", "--tb=short"])
        .env("LACRE_HTTPBIN", origin.url())
        .current_dir(package))
}

/// Builds a source distribution, and from it a wheel for this machine.
///
/// # Errors
/// The build failed.
pub(crate) fn wheel(root: &Path) -> Result<(), Failure> {
    let environment = python::environment(root, "python")?;
    let packed = root.join("target/wheels/release");
    run(maturin(root, &environment, "build --release --strip --sdist").arg("--out").arg(&packed))?;
    for file in fs::read_dir(&packed)? {
        let file = file?;
        println!("{:>6} kB  {}", file.metadata()?.len() / 1000, file.path().display());
    }
    Ok(())
}

/// Tests published packages that use requests-cache or requests, with lacre in its place.
///
/// # Errors
/// One of them behaves differently than with requests-cache.
pub(crate) fn packages(root: &Path) -> Result<(), Failure> {
    let environment = python::environment(root, "packages")?;
    develop(root, &environment)?;
    run(Command::new(environment.join("bin/python"))
        // Warnings of other packages are not ours.
        .args(["-m", "pytest", "--quiet", "-W", "default", "tests/packages"])
        .current_dir(root.join("python")))
}

/// Builds the package into a virtual environment, from this checkout.
fn develop(root: &Path, environment: &Path) -> Result<(), Failure> {
    run(maturin(root, environment, "develop").env("VIRTUAL_ENV", environment))
}

/// maturin, with space-separated arguments.
fn maturin(root: &Path, environment: &Path, arguments: &str) -> Command {
    let mut command = Command::new(environment.join("bin/maturin"));
    command.args(arguments.split(' ')).current_dir(root.join("python"));
    command
}
