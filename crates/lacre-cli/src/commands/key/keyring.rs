//! The keyring that a command changes, and its description for people and programs.

use crate::exit::Failure;
use crate::output::Output;
use lacre::Keyring;
use lacre::keys::{KeySource, WritableKeySource};
use serde_json::{Value, json};
use std::fmt::Display;

pub(super) fn writable(source: &dyn KeySource) -> Result<&dyn WritableKeySource, Failure> {
    source.writable().ok_or_else(|| {
        Failure::usage(format!("{} is not ours to write", source.describe())).with_hint(
            "`lacre key import FROM file:PATH` copies it to a file; change it there, and put the result back yourself",
        )
    })
}

/// `text` for people, the keyring without its keys for programs.
pub(super) fn print(
    output: Output,
    text: impl Display,
    source: &dyn KeySource,
    ring: &Keyring,
) -> Result<(), Failure> {
    if !output.is_json() {
        return output.print(text);
    }
    let verify: Vec<Value> = ring.key_ids().skip(1).map(|id| id.to_string().into()).collect();
    let ring = json!({
        "source": source.describe(),
        "primary": ring.primary().to_string(),
        "verify": verify,
        "epoch": ring.epoch(),
    });
    output.print_objects("lacre/keyring/v1", [ring])
}
