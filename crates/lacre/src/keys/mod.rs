//! Key sources. A source is named by a reference such as `file:PATH` or `env:NAME`, and loads a
//! [`Keyring`].
//!
//! No message, description or `Debug` output of a source carries a key, or a reference that could
//! not be parsed: people paste keys in place of references. Implements docs/format.md §3;
//! docs/keys.md helps to choose a source.

mod command;
mod credential;
mod env;
mod file;
#[cfg(feature = "keys-kdbx")]
mod kdbx;
#[cfg(feature = "keys-kdbx")]
mod kdbx_cost;
#[cfg(feature = "keys-os")]
mod os;
#[cfg(any(feature = "keys-kdbx", feature = "keys-passphrase"))]
mod passphrase;
#[cfg(feature = "keys-passphrase")]
mod passphrase_file;
mod plain_reference;
mod prompt;
mod reference;
mod secret_file;

pub use command::KeyCommand;
pub use credential::KeyCredential;
pub use env::KeyEnv;
pub use file::KeyFile;
#[cfg(feature = "keys-kdbx")]
pub use kdbx::KdbxEntry;
#[cfg(feature = "keys-os")]
pub use os::KeyringEntry;
#[cfg(feature = "keys-passphrase")]
pub use passphrase_file::PassphraseFile;
pub use prompt::{NoPrompt, PASSPHRASE, PASSPHRASE_FROM, Prompt, PromptPurpose};
pub use reference::{Access, FORMS, Form, forms, parse, parse_with_prompt};

use crate::{Error, ErrorKind, Observer, config};
use lacre_seal::{Fault, FaultKind, Keyring};
use std::fmt::{Debug, Display};
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;
use zeroize::Zeroizing;

/// A source of a keyring.
pub trait KeySource: Debug + Send + Sync {
    /// Reads the text of the keyring, or of one bare key.
    ///
    /// # Errors
    /// [`KeyUnavailable`](ErrorKind::KeyUnavailable): there is nothing readable.
    fn read(&self) -> Result<Zeroizing<String>, Error>;

    /// The source as a reference: names and paths, never a secret.
    fn describe(&self) -> String;

    /// The file that holds the keyring, if it is in one. It must not be beside the store.
    fn file(&self) -> Option<&Path> {
        None
    }

    /// The source as a writable one, if it is.
    fn writable(&self) -> Option<&dyn WritableKeySource> {
        None
    }

    /// A limit on how long the source keeps a keyring, if there is one.
    fn caveat(&self) -> Option<&'static str> {
        None
    }

    /// Reads and parses the keyring.
    ///
    /// # Errors
    /// [`KeyUnavailable`](ErrorKind::KeyUnavailable): there is no usable keyring.
    fn load(&self) -> Result<Keyring, Error> {
        let text = self.read()?;
        Keyring::parse(&text).map_err(|fault| {
            let message = format!("the keyring {} is unusable: {fault}", self.describe());
            let hint = if parse(text.trim()).is_ok() {
                "its content is itself a reference: use that reference instead"
            } else {
                "name a source that holds the text of a keyring or 64 hexadecimal digits, or restore it from a backup"
            };
            Error::new(ErrorKind::KeyUnavailable, message).with_hint(hint).with_source(fault)
        })
    }
}

/// A pointer to a source is a source.
macro_rules! key_source_for_pointers {
    ($($pointer:ty),*) => {
        $(impl<K: KeySource + ?Sized> KeySource for $pointer {
            fn read(&self) -> Result<Zeroizing<String>, Error> {
                (**self).read()
            }

            fn describe(&self) -> String {
                (**self).describe()
            }

            fn file(&self) -> Option<&Path> {
                (**self).file()
            }

            fn writable(&self) -> Option<&dyn WritableKeySource> {
                (**self).writable()
            }

            fn load(&self) -> Result<Keyring, Error> {
                (**self).load()
            }
        })*
    };
}

key_source_for_pointers!(&K, Box<K>, Arc<K>);

/// A source that can also be written. [`update`] changes its keyring.
pub trait WritableKeySource: KeySource {
    /// Writes a keyring where there is none.
    ///
    /// # Errors
    /// [`Config`](ErrorKind::Config): there is one already, which is left unchanged.
    /// [`Io`](ErrorKind::Io) or [`KeyUnavailable`](ErrorKind::KeyUnavailable): it cannot be
    /// written.
    fn create(&self, keyring: &Keyring) -> Result<(), Error>;

    /// Replaces the keyring, as a whole or not at all. The caller holds the [`UpdateLock`].
    ///
    /// # Errors
    /// [`Io`](ErrorKind::Io) or [`KeyUnavailable`](ErrorKind::KeyUnavailable): it cannot be written.
    fn replace(&self, keyring: &Keyring) -> Result<(), Error>;

    /// Waits until no other process changes the keyring, and locks it.
    ///
    /// # Errors
    /// [`Io`](ErrorKind::Io): it cannot be locked.
    fn lock_for_update(&self) -> Result<UpdateLock, Error>;
}

/// Loads a keyring, applies `change`, and writes the result. On Unix, changes of several processes
/// run one after the other, so that none is lost.
///
/// # Errors
/// As [`load`](KeySource::load) and [`replace`](WritableKeySource::replace).
/// [`Config`](ErrorKind::Config): the keyring does not allow the change. The source is then
/// unchanged.
pub fn update<T>(
    keeper: &dyn WritableKeySource,
    change: impl FnOnce(&mut Keyring) -> Result<T, Fault>,
) -> Result<(Keyring, T), Error> {
    let _turn = keeper.lock_for_update()?;
    let mut keyring = keeper.load()?;
    let changed = change(&mut keyring).map_err(refused_change)?;
    keeper.replace(&keyring)?;
    Ok((keyring, changed))
}

fn refused_change(fault: Fault) -> Error {
    match fault.kind() {
        FaultKind::KeyInUse(_) | FaultKind::UnknownKey(_) | FaultKind::KeyringTooLarge => {
            Error::new(ErrorKind::Config, fault.to_string()).with_source(fault)
        }
        _ => fault.into(),
    }
}

/// A lock on a key source. Other processes wait until it is dropped.
#[derive(Debug)]
pub struct UpdateLock {
    _lock: Option<File>,
}

impl UpdateLock {
    /// Locks `directory`, on Unix. A missing directory is no error here: loading the keyring
    /// reports it better.
    ///
    /// # Errors
    /// It cannot be locked.
    pub fn acquire(directory: &Path) -> io::Result<Self> {
        if !cfg!(unix) {
            return Ok(Self { _lock: None });
        }
        match File::open(directory).and_then(|directory| directory.lock().map(|()| directory)) {
            Ok(locked) => Ok(Self { _lock: Some(locked) }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self { _lock: None }),
            Err(error) => Err(error),
        }
    }
}

/// The key source of the user: the one in `LACRE_KEY`, or else the file [`config::keyring_path`],
/// which is created on first use. Processes that create it at once agree on one key. `observer`
/// gets an event.
///
/// # Errors
/// [`Config`](ErrorKind::Config): there is no home directory, or `LACRE_KEY` is not a reference.
pub fn user(observer: &dyn Observer) -> Result<UserKeys, Error> {
    let keys = user_source()?;
    if let UserKeys(UserSource::Default(file)) = &keys {
        file.ensure(observer)?;
    }
    Ok(keys)
}

/// The key source of the user, as [`user`], but without creating a keyring: for programs that only
/// read.
///
/// # Errors
/// [`Config`](ErrorKind::Config): there is no home directory, or `LACRE_KEY` is no reference.
pub fn user_source() -> Result<UserKeys, Error> {
    Ok(UserKeys(match config::key_reference()? {
        Some(reference) => {
            UserSource::FromVariable(parse(&reference).map_err(|error| error.with_context(config::KEY))?)
        }
        None => UserSource::Default(KeyFile::at(config::keyring_path()?)),
    }))
}

/// The key source of a user: see [`user`].
#[derive(Debug)]
pub struct UserKeys(UserSource);

#[derive(Debug)]
enum UserSource {
    /// The source in `LACRE_KEY`.
    FromVariable(Box<dyn KeySource>),
    Default(KeyFile),
}

impl UserKeys {
    fn source(&self) -> &dyn KeySource {
        match &self.0 {
            UserSource::FromVariable(source) => &**source,
            UserSource::Default(file) => file,
        }
    }
}

impl KeySource for UserKeys {
    fn read(&self) -> Result<Zeroizing<String>, Error> {
        self.source().read()
    }

    fn describe(&self) -> String {
        self.source().describe()
    }

    fn file(&self) -> Option<&Path> {
        self.source().file()
    }

    fn writable(&self) -> Option<&dyn WritableKeySource> {
        self.source().writable()
    }

    fn caveat(&self) -> Option<&'static str> {
        self.source().caveat()
    }
}

/// Converts bytes to text without a copy, and erases them if they are not text.
fn as_text(mut bytes: Zeroizing<Vec<u8>>) -> Option<Zeroizing<String>> {
    match String::from_utf8(std::mem::take(&mut *bytes)) {
        Ok(text) => Some(Zeroizing::new(text)),
        Err(error) => {
            drop(Zeroizing::new(error.into_bytes()));
            None
        }
    }
}

fn already_exists(what: &dyn Display) -> Error {
    Error::new(ErrorKind::Config, format!("{what} exists already and was not changed"))
        .with_hint("name another place, or rotate the existing keys with `lacre key rotate`")
}

/// Refuses a keyring that [shares a directory](config::share_directory) with the store: a copy of
/// that directory includes both, and the seal then protects nothing.
///
/// # Errors
/// [`Config`](ErrorKind::Config): they share a directory.
pub fn ensure_apart(keyring: &Path, store: &Path) -> Result<(), Error> {
    if !config::share_directory(keyring, store) {
        return Ok(());
    }
    let message = format!(
        "the keyring {} is in the directory of the store, so one copy takes both and the seal protects nothing",
        keyring.display()
    );
    Err(Error::new(ErrorKind::Config, message).with_hint("keep it in another directory than the store"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keyring_beside_the_store_is_refused() {
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

    #[test]
    fn keyring_below_a_cache_directory_is_refused() {
        let home = tempfile::tempdir().unwrap();
        let cache = home.path().join("cache");
        config::make_cache_directory(&cache).unwrap();
        assert!(ensure_apart(&cache.join("keys/ring"), &cache.join("cache.sqlite")).is_err());
        std::fs::create_dir(cache.join("keys")).unwrap();
        assert!(ensure_apart(&cache.join("keys/ring"), &cache.join("cache.sqlite")).is_err());
        // A home directory is not a cache, even with a store in it.
        std::fs::create_dir(home.path().join("keys")).unwrap();
        assert!(ensure_apart(&home.path().join("keys/ring"), &home.path().join("cache.sqlite")).is_ok());
    }

    #[test]
    fn bare_key_and_keyring_are_loaded_and_garbage_is_never_shown() {
        #[derive(Debug)]
        struct Text(String);
        impl KeySource for Text {
            fn read(&self) -> Result<Zeroizing<String>, Error> {
                Ok(self.0.clone().into())
            }
            fn describe(&self) -> String {
                "test:text".into()
            }
        }
        let ring = Keyring::generate().unwrap();
        assert_eq!(Text(ring.to_text().to_string()).load().unwrap().primary(), ring.primary());
        let bare = (0..32).map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(Text(bare).load().unwrap().epoch(), 0);
        for garbage in ["hunter2hunter2".to_owned(), "00".repeat(32)] {
            let error = Text(garbage.clone()).load().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::KeyUnavailable);
            assert!(error.to_string().contains("test:text"));
            assert!(!format!("{error:?}").contains(&garbage));
        }
    }
}
