//! A keyring in an environment variable: its whole text, or one bare key (docs/format.md §3).

use super::KeySource;
use crate::{Error, ErrorKind};
use lacre_seal::Keyring;
use std::path::Path;
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

    fn read(&self, value: Option<&str>) -> Result<Keyring, Error> {
        let name = &self.name;
        let unavailable = |message| {
            Error::new(ErrorKind::KeyUnavailable, message)
                .with_hint(format!("set {name} to 64 hexadecimal digits, or to the text of a keyring"))
        };
        let Some(text) = value.filter(|text| !text.is_empty()) else {
            return Err(unavailable(format!("the environment variable {name} holds no key")));
        };
        Keyring::parse(text).map_err(|fault| {
            unavailable(format!("the environment variable {name} is unusable: {fault}")).with_source(fault)
        })
    }
}

impl KeySource for KeyEnv {
    fn load(&self) -> Result<Keyring, Error> {
        // A value that is not Unicode is no key either; the error that says so would carry it.
        let value = std::env::var(&self.name).ok().map(Zeroizing::new);
        self.read(value.as_ref().map(|text| text.as_str()))
    }

    fn describe(&self) -> String {
        format!("env:{}", self.name)
    }

    fn file(&self) -> Option<&Path> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_key_and_a_keyring_are_both_read() {
        let source = KeyEnv::named("SOME_KEY");
        let ring = Keyring::generate().unwrap();
        assert_eq!(source.read(Some(&ring.to_text())).unwrap().primary(), ring.primary());
        let bare: String = (0..32).map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(source.read(Some(&bare)).unwrap().epoch(), 0);
    }

    #[test]
    fn what_is_no_key_is_refused_by_the_name_of_the_variable_and_never_shown() {
        for value in [None, Some(""), Some("hunter2hunter2"), Some(&"00".repeat(32))] {
            let error = KeyEnv::named("SOME_KEY").read(value).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::KeyUnavailable);
            assert!(error.to_string().contains("SOME_KEY"));
            assert!(!format!("{error:?} {:?}", error.hint()).contains("hunter2"));
        }
    }

    #[test]
    fn a_variable_that_is_not_set_is_unavailable() {
        let error = KeyEnv::named("LACRE_TEST_VARIABLE_THAT_NOBODY_SETS").load().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::KeyUnavailable);
    }
}
