//! Prompts for passphrases, and the variables that are tried first.

use std::fmt::Debug;
use std::io;
use zeroize::Zeroizing;

/// The variable that holds the passphrase of a locked keyring or a password database.
pub const PASSPHRASE: &str = "LACRE_PASSPHRASE";
/// The variable with a reference to that passphrase, used if [`PASSPHRASE`] is not set:
/// `file:PATH`, `env:NAME`, `cmd:COMMAND`, `systemd:NAME`, `keyring:SERVICE/USER` or
/// `keyutils:SERVICE/USER`.
pub const PASSPHRASE_FROM: &str = "LACRE_PASSPHRASE_FROM";

/// A prompt that asks a person for a passphrase.
pub trait Prompt: Debug + Send + Sync {
    /// Asks for the passphrase of `what`, a path; `None`: nobody can be asked.
    ///
    /// # Errors
    /// The passphrase cannot be read.
    fn ask(&self, what: &str, purpose: PromptPurpose) -> io::Result<Option<Zeroizing<String>>>;
}

/// Why a passphrase is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PromptPurpose {
    /// To unlock a file.
    Unlock,
    /// To choose a new one: the prompt should ask twice, to catch typing errors.
    Choose,
}

/// No prompt: a passphrase comes from the environment, or the source is unavailable.
#[derive(Clone, Copy, Debug)]
pub struct NoPrompt;

impl Prompt for NoPrompt {
    fn ask(&self, _: &str, _: PromptPurpose) -> io::Result<Option<Zeroizing<String>>> {
        Ok(None)
    }
}
