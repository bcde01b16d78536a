//! Where keys come from: a source is named by a reference such as `file:PATH` or `env:NAME`, and loads a [`Keyring`].
//!
//! No message, description or `Debug` of a source ever carries a key, or a reference that could not be read: people paste
//! keys where references belong. Implements docs/format.md §3.

mod env;
mod file;

pub use env::KeyEnv;
pub use file::KeyFile;

use crate::{Error, ErrorKind, Observer, config};
use lacre_seal::Keyring;
use std::fmt::Debug;
use std::path::{Path, PathBuf};

/// A place where a keyring is kept.
pub trait KeySource: Debug + Send + Sync {
    /// Reads the keyring anew.
    ///
    /// # Errors
    /// [`KeyUnavailable`](ErrorKind::KeyUnavailable): nothing usable is there.
    fn load(&self) -> Result<Keyring, Error>;

    /// The source as a reference: names and paths, never a secret.
    fn describe(&self) -> String;

    /// The file that the keyring lies in, where it is one that [`KeyFile`] can write.
    fn file(&self) -> Option<&Path>;
}

/// The forms that [`parse`] understands, for messages and help.
pub const FORMS: &str = "file:PATH or env:NAME";

/// The source that `reference` names, one of [`FORMS`]. Nothing is read yet.
///
/// # Errors
/// [`Config`](ErrorKind::Config): it has no such form.
pub fn parse(reference: &str) -> Result<Box<dyn KeySource>, Error> {
    match reference.split_once(':') {
        Some(("file", path)) if !path.is_empty() => Ok(Box::new(KeyFile::at(path))),
        Some(("env", name)) if !name.is_empty() => Ok(Box::new(KeyEnv::named(name))),
        _ => Err(Error::new(ErrorKind::Config, "this does not say where a key is kept")
            .with_hint(format!("write {FORMS}, never the key itself"))),
    }
}

/// The keyring of the user who runs this program, at [`config::keyring_path`]. It is made on first use, whoever else tries to
/// make it at the same time; `observer` is told.
///
/// # Errors
/// [`Config`](ErrorKind::Config): there is no home directory. [`Io`](ErrorKind::Io): the keyring could not be made.
pub fn user(observer: &dyn Observer) -> Result<KeyFile, Error> {
    let file = KeyFile::at(config::keyring_path()?);
    file.ensure(observer)?;
    Ok(file)
}

/// Refuses a keyring's file that lies in the same directory as the store: whoever copies or restores that directory has both,
/// and the seal protects nothing.
///
/// # Errors
/// [`Config`](ErrorKind::Config): they lie side by side.
pub fn ensure_apart(keyring: &Path, store: &Path) -> Result<(), Error> {
    if directory_of(keyring) != directory_of(store) {
        return Ok(());
    }
    let message =
        format!("the keyring {} lies beside the store, where it protects nothing", keyring.display());
    Err(Error::new(ErrorKind::Config, message)
        .with_hint("keep it in a directory of its own, away from the store"))
}

/// Links resolved as far as the directory exists; one that does not exist yet is nobody else's.
fn directory_of(file: &Path) -> PathBuf {
    let absolute = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
    let directory = absolute.parent().unwrap_or(&absolute);
    directory.canonicalize().unwrap_or_else(|_| directory.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_names_its_source() {
        assert_eq!(parse("file:/etc/lacre key").unwrap().describe(), "file:/etc/lacre key");
        assert_eq!(parse("env:LACRE_SECRET").unwrap().describe(), "env:LACRE_SECRET");
    }

    #[test]
    fn what_is_no_reference_is_refused_without_repeating_it() {
        let pasted_key = "0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c4b5a69788796a5b4c3d2e1f0";
        for text in ["", "file:", "env:", "/etc/key", "vault:key", pasted_key] {
            let error = parse(text).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config);
            assert!(error.hint().unwrap().contains(FORMS));
            assert!(text.len() < 10 || !format!("{error} {error:?}").contains(text));
        }
    }

    #[test]
    fn a_keyring_beside_the_store_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let (cache, config) = (directory.path().join("cache"), directory.path().join("config"));
        std::fs::create_dir(&cache).unwrap();
        let store = cache.join("cache.sqlite");
        assert_eq!(ensure_apart(&cache.join("keyring"), &store).unwrap_err().kind(), ErrorKind::Config);
        assert!(ensure_apart(&config.join("keyring"), &store).is_ok());
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(&cache, &config).unwrap();
            assert!(
                ensure_apart(&config.join("keyring"), &store).is_err(),
                "the same directory by another name"
            );
        }
    }
}
