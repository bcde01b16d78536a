//! Write access to a keyring and its description, for all commands on keys.

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
            "`lacre key import SOURCE file:PATH` copies it to a file; change the copy, and put it back yourself",
        )
    })
}

/// Prints `text` for people, or the keyring without its secrets for programs.
pub(super) fn print(
    output: Output,
    text: impl Display,
    source: &dyn KeySource,
    keyring: &Keyring,
) -> Result<(), Failure> {
    if !output.is_json() {
        return output.print(text);
    }
    let verify: Vec<Value> = keyring.key_ids().skip(1).map(|id| id.to_string().into()).collect();
    let keyring = json!({
        "source": source.describe(),
        "primary": keyring.primary().to_string(),
        "verify": verify,
        "epoch": keyring.epoch(),
    });
    output.print_objects("lacre/keyring/v1", [keyring])
}
