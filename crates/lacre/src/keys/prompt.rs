//! Who can be asked for a passphrase, and where it is looked for first.

use crate::{Error, ErrorKind};
use std::fmt::Debug;
use zeroize::Zeroizing;

/// The variable that holds the passphrase of a locked keyring or of a password database.
pub const PASSPHRASE: &str = "LACRE_PASSPHRASE";
/// The variable that says where that passphrase is kept, where [`PASSPHRASE`] is not set: `file:PATH`, `env:NAME`, `cmd:COMMAND`,
/// `systemd:NAME`, `keyring:SERVICE/USER` or `keyutils:SERVICE/USER`.
pub const PASSPHRASE_FROM: &str = "LACRE_PASSPHRASE_FROM";

/// Somebody who can be asked for a passphrase.
pub trait Prompt: Debug + Send + Sync {
    /// The passphrase of `what`, a path.
    ///
    /// # Errors
    /// [`KeyUnavailable`](ErrorKind::KeyUnavailable): nobody is there, or nobody answers.
    fn ask(&self, what: &str, asked: Asked) -> Result<Zeroizing<String>, Error>;
}

/// What a passphrase is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// To open what it was chosen for.
    ToOpen,
    /// To be chosen now, so a slip of the finger must be noticed.
    ToChoose,
}

/// Nobody can be asked: a passphrase comes from the environment, or not at all.
#[derive(Clone, Copy, Debug)]
pub struct Nobody;

impl Prompt for Nobody {
    fn ask(&self, what: &str, _: Asked) -> Result<Zeroizing<String>, Error> {
        Err(Error::new(ErrorKind::KeyUnavailable, format!("the passphrase of {what} is not known"))
            .with_hint(format!("set {PASSPHRASE}, or {PASSPHRASE_FROM} to where it is kept")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_nobody_can_be_asked_the_remedy_is_named() {
        let error = Nobody.ask("some/path", Asked::ToOpen).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::KeyUnavailable);
        assert!(error.hint().unwrap().contains(PASSPHRASE));
    }
}
