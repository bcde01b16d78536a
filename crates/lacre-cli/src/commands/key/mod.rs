//! `lacre key`: makes, shows, copies, rotates and revokes keys. It never shows a key itself, unless that is what `export` is told.
//!
//! `look` shows · `copy` makes and copies · `change` rotates, retires and revokes.

mod create;
mod inspect;
mod keyring;
mod rotation;

use crate::exit::Failure;
use crate::global_options::GlobalOptions;
use crate::output::Output;
use crate::store_options;
use clap::Subcommand;

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
    Import(create::Import),
    /// Copy the keyring out, keys included
    Export(create::Export),
    /// Make a fresh key the one that seals; the others go on opening what they sealed
    Rotate,
    /// Forget a key that only opens: what it sealed is a miss from then on
    Retire(rotation::Retire),
    /// Revoke everything sealed so far, by any key, by raising the keyring's epoch
    RevokeAll(rotation::RevokeAll),
}

pub(crate) fn run(command: &Command, global: &GlobalOptions, output: Output) -> Result<(), Failure> {
    match command {
        Command::New { at } => create::new(at.as_deref(), global, output),
        Command::List => inspect::list(global, output),
        Command::Show => inspect::show(&*store_options::key_source(global)?, output),
        Command::Import(args) => create::import(args, global, output),
        Command::Export(args) => create::export(args, global, output),
        Command::Rotate => rotation::rotate(global, output),
        Command::Retire(args) => rotation::retire(args, global, output),
        Command::RevokeAll(args) => rotation::revoke_all(args, global, output),
    }
}
