//! The house's own commands, run as `cargo xtask COMMAND`.
//!
//! `steps` is the judge and its order · `layers` the rules on who may use whom · `paths` how source is read for them
//! · `named_files` that the files which texts name exist · `rfc9111` the document of rules and scores
//! · `threat_model` that of properties · `shown` finds the tests they name · `httpbin` a real origin to test against, `keyrings` real
//! keyrings, `python` the environments of what is written in Python, `package` the Python package. Nothing here is part of what is published.

mod circles;
mod comments;
mod httpbin;
mod keyrings;
mod layers;
mod modules;
mod named_files;
mod package;
mod paths;
mod python;
mod rfc9111;
mod shown;
mod skipped;
mod steps;
mod threat_model;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

const HELP: &str = "\
cargo xtask COMMAND

  test      everything that must hold before a change is merged: layers, format, lints,
            tests (against a local httpbin and keyrings of their own too), doctests, documentation, licences
  httpbin   the local httpbin alone, until its input ends (Ctrl-D) or Ctrl-C
  keyrings  the keyrings that tests use alone, likewise
  layers    only the rules on which crate or module may use which; with --circles [CRATE], the circles of
            files and folders; with --draw, writes the drawing of lacre's folders in CONTRIBUTING.md anew
  named-files  only the check that files, anchors and commands which texts name exist
  comments  only the check that no comment reaches past column 100
  soak PART what lacre withstands for long; `soak help` lists the parts
  wheel     packs the Python package: a source distribution, and a wheel built from it
  packages  what others have published for Python, run with lacre in the place of requests-cache
  rfc9111   writes docs/rfc9111.md anew: rules, their tests, scores
  help      this text

With CI=true in the environment, a tool that is missing is a failure; otherwise its step is skipped, loudly.
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
        ["layers", "--circles"] => layers::circles(&root(), None),
        ["layers", "--circles", name] => layers::circles(&root(), Some(name)),
        ["layers", "--drawn"] => layers::check_drawing(&root()),
        ["layers", "--draw"] => layers::draw(&root()),
        ["named-files"] => named_files::check(&root()),
        ["comments"] => comments::check(&root()),
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

/// The workspace: the folder above this crate.
fn root() -> PathBuf {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().unwrap_or(xtask).to_owned()
}
