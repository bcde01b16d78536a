//! What the commands for keys share: write access to the keyring, and its description.

use crate::exit::Failure;
use crate::output::Output;
use lacre::Keyring;
use lacre::keys::{KeySource, WritableKeySource};
use serde_json::{Value, json};
use std::fmt::Display;

/// Write access to the keyring, if its source allows that.
pub(super) fn writable(source: &dyn KeySource) -> Result<&dyn WritableKeySource, Failure> {
    source.writable().ok_or_else(|| {
        Failure::usage(format!("lacre cannot write to {}", source.describe())).with_hint(
            "`lacre key import FROM file:PATH` copies it to a file; change the copy, and put it back yourself",
        )
    })
}

/// Prints `text` for people, or the keyring without its secrets for programs.
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
