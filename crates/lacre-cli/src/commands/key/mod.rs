//! `lacre key`: creates, shows, copies, rotates and revokes keys. Only `export` prints a secret
//! key.
//!
//! `inspect` shows · `create` creates and copies · `rotation` rotates, retires and revokes.

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
    /// Create a keyring with a new key; an existing keyring is never overwritten
    New {
        /// Where to create it, such as file:PATH, passphrase:PATH or keyring:SERVICE/USER [default:
        /// --key, else your own keyring]
        #[arg(value_name = "WHERE")]
        at: Option<String>,
    },
    /// List where keys can be kept, and which places are usable here
    List,
    /// Show where the keyring is, and the ids of its keys
    Show,
    /// Copy a keyring or a bare key to a place that has none
    Import(create::Import),
    /// Copy the keyring to another place, secret keys included
    Export(create::Export),
    /// Add a new key that seals from now on; older keys still open what they sealed
    Rotate,
    /// Remove keys that no longer seal; entries sealed with them become misses
    Retire(rotation::Retire),
    /// Revoke every seal so far, whatever its key, by raising the keyring's epoch
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
