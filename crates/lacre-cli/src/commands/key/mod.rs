//! `lacre key`: makes, shows, copies, rotates and revokes keys. It never shows a key itself, unless that is what `export` is told.
//!
//! `look` shows · `copy` makes and copies · `change` rotates, retires and revokes.

mod change;
mod copy;
mod look;

use crate::args::Global;
use crate::exit::Failure;
use crate::open;
use crate::output::Output;
use clap::Subcommand;
use lacre::Keyring;
use lacre::keys::{KeyKeeper, KeySource};
use serde_json::{Value, json};
use std::fmt::Display;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a keyring with a fresh key; what is there already is never overwritten
    New {
        /// Where, such as file:PATH, passphrase:PATH or keyring:SERVICE/USER [default: --key, else your own]
        #[arg(value_name = "WHERE")]
        at: Option<String>,
    },
    /// List where keys can be kept, and whether each can be used here
    List,
    /// Show where the keyring is, and the ids of the keys in it
    Show,
    /// Copy a keyring, or one bare key, to where there is none
    Import(copy::Import),
    /// Copy the keyring out, keys included
    Export(copy::Export),
    /// Make a fresh key the one that seals; the others go on opening what they sealed
    Rotate,
    /// Forget a key that only opens: what it sealed is a miss from then on
    Retire(change::Retire),
    /// Revoke everything sealed so far, by any key, by raising the keyring's epoch
    RevokeAll(change::RevokeAll),
}

pub(crate) fn run(command: &Command, global: &Global, output: Output) -> Result<(), Failure> {
    match command {
        Command::New { at } => copy::new(at.as_deref(), global, output),
        Command::List => look::list(global, output),
        Command::Show => look::show(&*open::key_place(global)?, output),
        Command::Import(args) => copy::import(args, global, output),
        Command::Export(args) => copy::export(args, global, output),
        Command::Rotate => change::rotate(global, output),
        Command::Retire(args) => change::retire(args, global, output),
        Command::RevokeAll(args) => change::revoke_all(args, global, output),
    }
}

fn keeper(source: &dyn KeySource) -> Result<&dyn KeyKeeper, Failure> {
    source.keeper().ok_or_else(|| {
        Failure::usage(format!("{} is not ours to write", source.describe())).with_hint(
            "`lacre key import FROM file:PATH` copies it to a file; change it there, and put the result back yourself",
        )
    })
}

/// `text` for people, the keyring without its keys for programs.
fn say(output: Output, text: impl Display, source: &dyn KeySource, ring: &Keyring) -> Result<(), Failure> {
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
    output.objects("lacre/keyring/v1", [ring])
}
