//! Parses references to key sources, and lists the forms that work on this machine.

#[cfg(feature = "keys-kdbx")]
use super::kdbx::KdbxEntry;
#[cfg(feature = "keys-os")]
use super::os::OsKeyring;
#[cfg(feature = "keys-passphrase")]
use super::passphrase_file::PassphraseFile;
#[cfg(any(feature = "keys-kdbx", feature = "keys-passphrase"))]
use super::plain_reference::found;
#[cfg(not(all(feature = "keys-os", feature = "keys-kdbx", feature = "keys-passphrase")))]
use super::plain_reference::missing_feature;
use super::plain_reference::{self, Parsed, split};
use super::{KeySource, NoPrompt, Prompt, env};
#[cfg(any(test, feature = "keys-kdbx", feature = "keys-passphrase"))]
use crate::config;
use crate::{Error, ErrorKind};
use std::sync::Arc;

/// The forms that [`parse`] understands, for messages and help.
pub const FORMS: &str = "file:PATH, env:NAME, keyring:SERVICE/USER, keyutils:SERVICE/USER, passphrase:PATH, \
                         kdbx:PATH#ENTRY, cmd:COMMAND or systemd:NAME";

/// Parses `reference`, which has one of the [`FORMS`]. Nothing is read yet. A passphrase comes from
/// the environment only.
///
/// # Errors
/// [`Config`](ErrorKind::Config): it has another form, or needs a feature that is not compiled in.
pub fn parse(reference: &str) -> Result<Box<dyn KeySource>, Error> {
    parse_with_prompt(reference, Arc::new(NoPrompt))
}

/// As [`parse`], with a prompt for a passphrase that is not in the environment.
///
/// # Errors
/// As [`parse`].
pub fn parse_with_prompt(reference: &str, prompt: Arc<dyn Prompt>) -> Result<Box<dyn KeySource>, Error> {
    let source = match split(reference) {
        Some(("passphrase", path)) => locked_file(path, prompt)?,
        Some(("kdbx", name)) => database_entry(name, prompt)?,
        _ => plain_reference::parse(reference)?,
    };
    source.ok_or_else(|| not_a_reference(reference))
}

/// The error for a text that is not a reference. It does not repeat the text: people paste keys in
/// place of references.
fn not_a_reference(text: &str) -> Error {
    let scheme = text.split_once(':').map(|(scheme, _)| scheme.trim().to_ascii_lowercase());
    let meant = schemes().find(|known| scheme.as_deref() == Some(*known));
    let is_path =
        text.starts_with(['/', '.', '~', '\\']) || scheme.as_ref().is_some_and(|scheme| scheme.len() == 1);
    let message = match meant {
        Some(known) => {
            format!("this is not a reference to a key: write {known}: in lower case, with something after it")
        }
        None if is_path => "this is not a reference to a key: a path is written file:PATH".to_owned(),
        None => "this is not a reference to a key".to_owned(),
    };
    Error::new(ErrorKind::Config, message).with_hint(format!("write {FORMS}, never the key itself"))
}

/// The schemes of [`FORMS`].
fn schemes() -> impl Iterator<Item = &'static str> {
    FORMS.split([',', ' ']).filter_map(|form| form.split_once(':')).map(|(scheme, _)| scheme)
}

#[cfg(feature = "keys-passphrase")]
fn locked_file(path: &str, prompt: Arc<dyn Prompt>) -> Parsed {
    found(Some(PassphraseFile::at(config::path_in_reference(path)?, prompt)))
}

#[cfg(feature = "keys-kdbx")]
fn database_entry(name: &str, prompt: Arc<dyn Prompt>) -> Parsed {
    let Some((path, entry)) = KdbxEntry::split(name) else { return Ok(None) };
    found(Some(KdbxEntry::at(config::path_in_reference(path)?, entry, prompt)))
}

#[cfg(not(feature = "keys-passphrase"))]
fn locked_file(_: &str, _: Arc<dyn Prompt>) -> Parsed {
    Err(missing_feature("keys-passphrase"))
}

#[cfg(not(feature = "keys-kdbx"))]
fn database_entry(_: &str, _: Arc<dyn Prompt>) -> Parsed {
    Err(missing_feature("keys-kdbx"))
}

/// A form of reference, and whether it is usable.
#[derive(Debug)]
pub struct Form {
    /// How it is written.
    pub reference: &'static str,
    /// What it means.
    pub meaning: &'static str,
    /// Whether lacre can also write the source: create, rotate and retire keys.
    pub access: Access,
    /// Whether it is usable on this machine, or why not.
    pub usable: Result<(), Error>,
}

/// The access to a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Read only; other programs change it.
    Read,
    /// Read and written.
    Write,
}

/// All [`FORMS`]. Checks whether this machine has a keyring that answers, and credentials.
#[must_use]
pub fn forms() -> Vec<Form> {
    let form = |reference, meaning, access, usable| Form { reference, meaning, access, usable };
    let built = |scheme: &str| parse(&format!("{scheme}:a/b#c")).map(drop);
    let credentials = env::credentials_directory().map(drop).ok_or_else(|| {
        Error::new(ErrorKind::KeyUnavailable, "this process is not a systemd service with credentials")
            .with_hint("add LoadCredential=NAME:PATH to the unit")
    });
    let (read, write) = (Access::Read, Access::Write);
    vec![
        form("file:PATH", "a file of yours (0600)", write, Ok(())),
        form("env:NAME", "an environment variable", read, Ok(())),
        form("keyring:SERVICE/USER", "the desktop's keyring", write, is_reachable("keyring")),
        form(
            "keyutils:SERVICE/USER",
            "the Linux kernel's keyring, until a reboot",
            write,
            is_reachable("keyutils"),
        ),
        form("passphrase:PATH", "a file that a passphrase locks", write, built("passphrase")),
        form("kdbx:PATH#ENTRY", "a KeePassXC database", read, built("kdbx")),
        form("cmd:COMMAND", "what a command prints", read, Ok(())),
        form("systemd:NAME", "a credential of this service", read, credentials),
    ]
}

#[cfg(feature = "keys-os")]
fn is_reachable(scheme: &str) -> Result<(), Error> {
    OsKeyring::of(scheme).reach()
}

#[cfg(not(feature = "keys-os"))]
fn is_reachable(_: &str) -> Result<(), Error> {
    Err(missing_feature("keys-os"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reference_names_its_source() {
        for reference in ["file:/etc/lacre key", "env:LACRE_SECRET", "cmd:pass", "systemd:lacre-key"] {
            assert_eq!(parse(reference).unwrap().describe(), reference);
        }
        assert_eq!(parse("cmd:pass show 'the key'").unwrap().describe(), "cmd:pass …");
    }

    #[test]
    fn reference_needs_its_feature() {
        for (reference, built) in [
            ("keyring:lacre/ana", cfg!(feature = "keys-os")),
            ("keyutils:lacre/ana", cfg!(feature = "keys-os")),
            ("kdbx:a.kdbx#Work/lacre", cfg!(feature = "keys-kdbx")),
            ("passphrase:/a b", cfg!(feature = "keys-passphrase")),
        ] {
            match parse(reference) {
                Ok(source) => assert_eq!((source.describe().as_str(), true), (reference, built)),
                Err(error) => assert!(!built && error.to_string().contains("feature"), "{error}"),
            }
        }
    }

    #[test]
    fn other_text_is_refused_and_not_repeated() {
        let pasted_key = "0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c4b5a69788796a5b4c3d2e1f0";
        for text in ["", "file:", "env:", "cmd: ", "systemd:../x", "/etc/key", "vault:key", pasted_key] {
            let error = parse(text).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config);
            assert!(error.hint().unwrap().contains(FORMS));
            assert!(text.len() < 10 || !format!("{error} {error:?}").contains(text));
        }
    }

    #[test]
    fn misspelt_reference_is_an_error_that_lists_the_forms() {
        for (text, says) in [
            ("File:/etc/lacre/key", "write file: in lower case"),
            (" file:/etc/lacre/key", "write file: in lower case"),
            ("KEYRING:lacre/ana", "write keyring: in lower case"),
            ("keyrng:lacre/ana", "not a reference to a key"),
            ("~/keys/ring", "a path is written file:PATH"),
            ("C:\\keys\\ring", "a path is written file:PATH"),
            ("keyring:nobody", "write keyring: in lower case"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.to_string().contains(says), "{text:?}: {error}");
            assert!(error.hint().unwrap().contains(FORMS), "{text:?}");
            assert!(text.starts_with(['~']) || config::looks_like_reference(text) || text.starts_with('C'));
        }
        for secret in ["0f1e2d3c4b5a69788796a5b4c3d2e1f0", "correct horse: battery", "C:\\x", ":x", "a%b:c"] {
            assert!(!config::looks_like_reference(secret), "{secret:?}");
        }
    }

    #[test]
    fn tilde_in_a_reference_is_the_home_directory() {
        let home = etcetera::home_dir().unwrap();
        for (reference, path) in [("file:~/a b", "a b"), ("file:~", ""), ("file:~/~", "~")] {
            assert_eq!(parse(reference).unwrap().file().unwrap(), home.join(path));
        }
        assert_eq!(parse("file:./~/x").unwrap().file().unwrap(), std::path::Path::new("./~/x"));
        assert_eq!(parse("file:///etc/x").unwrap().file().unwrap(), std::path::Path::new("/etc/x"));
        for wrong in ["file:~somebody/x", "file://host/x"] {
            assert_eq!(parse(wrong).unwrap_err().kind(), ErrorKind::Config, "{wrong}");
        }
    }

    #[test]
    fn every_form_is_listed_and_read_back() {
        for form in forms() {
            assert!(FORMS.contains(form.reference), "{}", form.reference);
            if let Ok(source) = parse(form.reference) {
                assert_eq!(source.writable().is_some(), form.access == Access::Write, "{}", form.reference);
            }
        }
        assert_eq!(forms().len(), FORMS.split([',', ' ']).filter(|word| word.contains(':')).count());
    }
}
