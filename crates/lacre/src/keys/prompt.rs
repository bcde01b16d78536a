//! Who can be asked for a passphrase, and where it is looked for first.

use std::fmt::Debug;
use std::io;
use zeroize::Zeroizing;

/// The variable that holds the passphrase of a locked keyring or of a password database.
pub const PASSPHRASE: &str = "LACRE_PASSPHRASE";
/// The variable that says where that passphrase is kept, where [`PASSPHRASE`] is not set: `file:PATH`, `env:NAME`, `cmd:COMMAND`,
/// `systemd:NAME`, `keyring:SERVICE/USER` or `keyutils:SERVICE/USER`.
pub const PASSPHRASE_FROM: &str = "LACRE_PASSPHRASE_FROM";

/// Somebody who can be asked for a passphrase.
pub trait Prompt: Debug + Send + Sync {
    /// The passphrase of `what`, a path; `None` where nobody is there.
    ///
    /// # Errors
    /// It cannot be read.
    fn ask(&self, what: &str, asked: PromptPurpose) -> io::Result<Option<Zeroizing<String>>>;
}

/// What a passphrase is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PromptPurpose {
    /// To open what it was chosen for.
    Unlock,
    /// To be chosen now, so a slip of the finger must be noticed.
    Choose,
}

/// NoPrompt can be asked: a passphrase comes from the environment, or not at all.
#[derive(Clone, Copy, Debug)]
pub struct NoPrompt;

impl Prompt for NoPrompt {
    fn ask(&self, _: &str, _: PromptPurpose) -> io::Result<Option<Zeroizing<String>>> {
        Ok(None)
    }
}
