//! A keyring in an environment variable: its whole text, or one bare key (docs/format.md §3). Only
//! this file and `config.rs` read the environment.

use super::KeySource;
use crate::{Error, ErrorKind};
use std::ffi::OsString;
use std::path::PathBuf;
use zeroize::Zeroizing;

/// An environment variable that holds a keyring.
#[derive(Clone, Debug)]
pub struct KeyEnv {
    name: String,
}

impl KeyEnv {
    /// The variable `name`.
    pub fn named(name: impl Into<String>) -> Self {
        Self { name: name.into() }
    }
}

impl KeySource for KeyEnv {
    fn read(&self) -> Result<Zeroizing<String>, Error> {
        variable(&self.name).ok_or_else(|| {
            let message = format!("the environment variable {} holds no key", self.name);
            Error::new(ErrorKind::KeyUnavailable, message)
                .with_hint("set it to 64 hexadecimal digits, or to the text of a keyring")
        })
    }

    fn describe(&self) -> String {
        format!("env:{}", self.name)
    }
}

/// The value of a variable; `None`: it is not set, empty or not Unicode. An error for the last case
/// would carry the value.
pub(super) fn variable(name: &str) -> Option<Zeroizing<String>> {
    let value = std::env::var_os(name).map(OsString::into_string)?;
    Some(Zeroizing::new(value.ok()?)).filter(|text| !text.is_empty())
}

/// The directory of the credentials of a systemd service.
pub(super) fn credentials_directory() -> Option<PathBuf> {
    std::env::var_os("CREDENTIALS_DIRECTORY").filter(|path| !path.is_empty()).map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unset_variable_is_unavailable() {
        let error = KeyEnv::named("LACRE_TEST_VARIABLE_THAT_NOBODY_SETS").load().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::KeyUnavailable);
        assert!(error.to_string().contains("LACRE_TEST_VARIABLE_THAT_NOBODY_SETS"));
    }
}
