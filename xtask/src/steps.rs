//! The steps of `cargo xtask test`: the cheapest first, and none after the first failure.
//!
//! Child processes share this process's terminal and group, so Ctrl-C ends them all.

use crate::{
    Failure, circles, comments, drawing, httpbin, keyrings, layers, named_files, package, python, rfc9111,
    skipped, threat_model,
};
use std::env;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

/// The meaning of a missing tool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Missing {
    /// Its step is skipped and listed at the end: on a developer's machine.
    Skip,
    /// The run fails: in continuous integration.
    Fail,
}

impl Missing {
    /// [`Missing::Fail`] if `CI=true`.
    pub(crate) fn from_environment() -> Self {
        if env::var_os("CI").is_some_and(|value| value == "true") { Self::Fail } else { Self::Skip }
    }

    /// The result of starting a step's tool; `None` if it could not start, which is reported.
    pub(crate) fn or_report<T>(self, what: &str, started: Result<T, Failure>) -> Result<Option<T>, Failure> {
        match started {
            Ok(started) => Ok(Some(started)),
            Err(failure) => self.report(&format!("{what}: {failure}")).map(|()| None),
        }
    }

    /// Reports that a step cannot run, as a failure if the run requires it.
    pub(crate) fn report(self, what: &str) -> Result<(), Failure> {
        match self {
            Self::Fail => Err(what.into()),
            Self::Skip => {
                eprintln!("\n*** SKIPPED: {what} ***");
                skipped::note(what);
                Ok(())
            }
        }
    }
}

/// Runs every step on the workspace at `root`.
///
/// # Errors
/// The first step that fails.
pub(crate) fn test(root: &Path, missing: Missing) -> Result<(), Failure> {
    let start = Instant::now();
    step("layers", || layers::check(root))?;
    step("circles", || circles::check(root, None))?;
    step("drawing of lacre's folders", || drawing::check(root))?;
    step("comments", || comments::check(root))?;
    step("docs/rfc9111.md", || rfc9111::check(root))?;
    step("named files", || named_files::check(root))?;
    step("docs/threat-model.md", || threat_model::check(root))?;
    step("format", || run(&mut cargo(root, "fmt --all --check")))?;
    step("lints", || run(&mut cargo(root, "clippy --workspace --all-targets --quiet -- -D warnings")))?;
    // The command line enables every feature, which hides errors without them.
    step("without features", || {
        run(&mut cargo(root, "clippy -p lacre --lib --quiet -- -D warnings"))?;
        run(&mut cargo(root, "clippy -p lacre --lib --no-default-features --quiet -- -D warnings"))?;
        // The command line of the Python package.
        run(&mut cargo(root, "clippy -p lacre-cli --lib --no-default-features --quiet -- -D warnings"))
    })?;
    step("tests", || tests(root, missing))?;
    step("doctests", || run(&mut cargo(root, "test --workspace --doc --quiet")))?;
    step("documentation", || {
        run(cargo(root, "doc --workspace --lib --no-deps --quiet").env("RUSTDOCFLAGS", "-D warnings"))
    })?;
    step("python", || package::test(root, missing))?;
    step("licences", || licences(root, missing))?;
    skipped::print();
    println!("\nall steps passed in {:.1} s", start.elapsed().as_secs_f64());
    Ok(())
}

fn tests(root: &Path, missing: Missing) -> Result<(), Failure> {
    let origin = missing.or_report("tests against httpbin", httpbin::start(root))?;
    let secrets = missing.or_report("tests against a Secret Service", keyrings::secret_service())?;
    let keyring =
        missing.or_report("tests against Python's keyring", python::interpreter(root, "keyring"))?;
    let kernel = missing.or_report("tests against the kernel's keyring", keyrings::kernel_has_one())?;
    let requests_cache =
        missing.or_report("tests against requests-cache", python::interpreter(root, "requests-cache"))?;
    let mut tests = if installed("nextest") {
        cargo(root, "nextest run --workspace")
    } else {
        missing
            .report("cargo-nextest; cargo test runs instead, without time limits and the list of skipped tests; cargo install --locked cargo-nextest")?;
        cargo(root, "test --workspace --lib --bins --tests --quiet")
    };
    if let Some(origin) = &origin {
        tests.env("LACRE_HTTPBIN", origin.url());
    }
    if let Some(python) = &requests_cache {
        tests.env("LACRE_REQUESTS_CACHE", python);
    }
    if let Some(secrets) = &secrets {
        tests.env("LACRE_SECRET_SERVICE", secrets.address());
    }
    if let Some(python) = &keyring {
        tests.env("LACRE_KEYRING_PYTHON", python);
    }
    match kernel {
        Some(true) => drop(tests.env("LACRE_KEYCTL", "keyctl")),
        // No tool is missing, so installing one would not help.
        Some(false) => {
            skipped::note("tests against the kernel's keyring: this kernel refuses to make one");
        }
        None => {}
    }
    skipped::forget_tests(root);
    let passed = run(&mut tests);
    skipped::note_tests(root);
    passed
}

/// Runs one stress test, optimised.
///
/// # Errors
/// The stress test failed.
pub(crate) fn soak(root: &Path, part: &str) -> Result<(), Failure> {
    run(cargo(root, "run --release --quiet -p lacre-soak --").arg(part))
}

fn licences(root: &Path, missing: Missing) -> Result<(), Failure> {
    if !installed("deny") {
        return missing.report("the check of licences, bans and sources; cargo install --locked cargo-deny");
    }
    run(&mut cargo(root, "deny --log-level error check licenses bans sources"))
}

fn step(name: &str, work: impl FnOnce() -> Result<(), Failure>) -> Result<(), Failure> {
    println!("\n== {name}");
    let start = Instant::now();
    work().map_err(|failure| format!("{name}: {failure}"))?;
    println!("== {name}: passed in {:.1} s", start.elapsed().as_secs_f64());
    Ok(())
}

/// Cargo in the workspace, with space-separated arguments.
pub(crate) fn cargo(root: &Path, arguments: &str) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root).args(arguments.split(' '));
    command
}

fn installed(subcommand: &str) -> bool {
    let quiet = cargo(Path::new("."), subcommand)
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    quiet.is_ok_and(|status| status.success())
}

/// Runs a command to completion.
///
/// # Errors
/// It did not start, or it failed; its output says why.
pub(crate) fn run(command: &mut Command) -> Result<(), Failure> {
    let program = command.get_program().to_string_lossy().into_owned();
    let status = command.status().map_err(|error| format!("{program} did not start: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("{program} ended with {status}").into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_tool_fails_only_in_continuous_integration() {
        assert!(Missing::Skip.report("a step").is_ok());
        assert_eq!(Missing::Fail.report("a step").unwrap_err().to_string(), "a step");
    }

    #[test]
    fn a_failed_command_fails_the_run() {
        assert!(run(cargo(Path::new("."), "--version").stdout(Stdio::null())).is_ok());
        assert!(run(cargo(Path::new("."), "no-such-command").stderr(Stdio::null())).is_err());
        assert!(!installed("no-such-command"));
    }
}
