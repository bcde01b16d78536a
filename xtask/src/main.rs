//! The project's own commands, run as `cargo xtask COMMAND`. Nothing here is published.
//!
//! - `steps`: the steps of `cargo xtask test`, and `skipped`: what they did not run
//! - `layers`: the dependencies between crates; `circles`: those between the files of a crate;
//!   `drawing`: their drawing in CONTRIBUTING.md. `modules` and `paths` read the sources for them.
//! - `named_files`: the files, anchors, commands and decisions that texts name exist
//! - `comments`: the width of comments
//! - `rfc9111` and `threat_model`: the documents that name tests, which `test_names` finds
//! - `httpbin`: an origin for tests; `keyrings`: keyrings for tests
//! - `python`: virtual environments; `package`: the Python package

mod circles;
mod comments;
mod drawing;
mod httpbin;
mod keyrings;
mod layers;
mod modules;
mod named_files;
mod package;
mod paths;
mod python;
mod rfc9111;
mod skipped;
mod steps;
mod test_names;
mod threat_model;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

const HELP: &str = "\
cargo xtask COMMAND

  test         runs every check and test that must pass before a change is merged
  layers       checks which crate or module may use which
               --circles [CRATE]  lists circles between the files and folders of a crate
               --draw             writes the drawing of lacre's folders in CONTRIBUTING.md
  named-files  checks that the files, anchors and commands that texts name exist
  comments     checks that no comment reaches past column 100
  threat-model checks that docs/threat-model.md names the test of each property
  rfc9111      writes docs/rfc9111.md: rules, their tests, scores
  httpbin      starts a local httpbin until its input ends (Ctrl-D) or Ctrl-C
  keyrings     starts the keyrings that tests use, likewise
  soak PART    runs a stress test; `soak help` lists the parts
  wheel        builds a source distribution of the Python package, and a wheel from it
  packages     tests published Python packages with lacre in place of requests-cache
  help         prints this text

With CI=true in the environment, a missing tool is a failure; otherwise its step is skipped, and the
last lines of the run list it.
";

/// Why a command failed: one line, with the remedy.
type Failure = Box<dyn Error>;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match arguments.as_slice() {
        [] | ["help" | "--help" | "-h"] => {
            print!("{HELP}");
            Ok(())
        }
        ["test"] => steps::test(&root(), steps::Missing::from_environment()),
        ["httpbin"] => httpbin::serve(&root()),
        ["keyrings"] => keyrings::serve(&root()),
        ["layers"] => layers::check(&root()),
        ["layers", "--circles"] => circles::check(&root(), None),
        ["layers", "--circles", name] => circles::check(&root(), Some(name)),
        ["layers", "--draw"] => drawing::write(&root()),
        ["named-files"] => named_files::check(&root()),
        ["comments"] => comments::check(&root()),
        ["threat-model"] => threat_model::check(&root()),
        ["wheel"] => package::wheel(&root()),
        ["packages"] => package::packages(&root()),
        ["rfc9111"] => rfc9111::write(&root()),
        ["soak", part] => steps::soak(&root(), part),
        _ => {
            eprint!("error: no such command: {}\n\n{HELP}", arguments.join(" "));
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::FAILURE
        }
    }
}

/// The workspace's folder, above this crate.
fn root() -> PathBuf {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().unwrap_or(xtask).to_owned()
}
