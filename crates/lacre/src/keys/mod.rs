//! Where keys come from: a source is named by a reference such as `file:PATH` or `env:NAME`, and loads a [`Keyring`].
//!
//! No message, description or `Debug` of a source ever carries a key, or a reference that could not be read: people paste
//! keys where references belong. Implements docs/format.md §3; docs/keys.md says which to choose.

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

/// A place where a keyring is kept.
pub trait KeySource: Debug + Send + Sync {
    /// Reads the text of the keyring, or of one bare key, anew.
    ///
    /// # Errors
    /// [`KeyUnavailable`](ErrorKind::KeyUnavailable): nothing readable is there.
    fn read(&self) -> Result<Zeroizing<String>, Error>;

    /// The source as a reference: names and paths, never a secret.
    fn describe(&self) -> String;

    /// The file that the keyring lies in, where it is one: it must not lie beside the store.
    fn file(&self) -> Option<&Path> {
        None
    }

    /// The same source as one that can be written, where it can.
    fn writable(&self) -> Option<&dyn WritableKeySource> {
        None
    }

    /// How long what is kept there lasts, where that is not for good.
    fn caveat(&self) -> Option<&'static str> {
        None
    }

    /// Reads the keyring anew.
    ///
    /// # Errors
    /// [`KeyUnavailable`](ErrorKind::KeyUnavailable): nothing usable is there.
    fn load(&self) -> Result<Keyring, Error> {
        let text = self.read()?;
        Keyring::parse(&text).map_err(|fault| {
            let message = format!("the keyring {} is unusable: {fault}", self.describe());
            let hint = if parse(text.trim()).is_ok() {
                "what it holds is itself a reference: name that in its place"
            } else {
                "name what holds the text of a keyring, or 64 hexadecimal digits; or restore it from a backup"
            };
            Error::new(ErrorKind::KeyUnavailable, message).with_hint(hint).with_source(fault)
        })
    }
}

/// What points to a source is one.
macro_rules! pointing_to_a_source {
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

pointing_to_a_source!(&K, Box<K>, Arc<K>);

/// A source that can be written, too. [`update`] changes what it holds.
pub trait WritableKeySource: KeySource {
    /// Writes a keyring where there is none.
    ///
    /// # Errors
    /// [`Config`](ErrorKind::Config): there is one already, which is left as it is. [`Io`](ErrorKind::Io) or
    /// [`KeyUnavailable`](ErrorKind::KeyUnavailable): it cannot be written.
    fn create(&self, keyring: &Keyring) -> Result<(), Error>;

    /// Writes a keyring in place of what is there, all of it or nothing. For whoever's turn it is.
    ///
    /// # Errors
    /// [`Io`](ErrorKind::Io) or [`KeyUnavailable`](ErrorKind::KeyUnavailable): it cannot be written.
    fn replace(&self, keyring: &Keyring) -> Result<(), Error>;

    /// Waits until no other process changes the keyring.
    ///
    /// # Errors
    /// [`Io`](ErrorKind::Io): that cannot be found out.
    fn lock_for_update(&self) -> Result<UpdateLock, Error>;
}

/// Loads a keyring, applies `change` to it, and writes what became of it in place of what was there. On Unix, changes wait for each
/// other, so that none is lost to another process.
///
/// # Errors
/// As [`load`](KeySource::load) and as [`replace`](WritableKeySource::replace); [`Config`](ErrorKind::Config): the keyring cannot be changed
/// like this. The source is as it was then.
pub fn update<T>(
    keeper: &dyn WritableKeySource,
    change: impl FnOnce(&mut Keyring) -> Result<T, Fault>,
) -> Result<(Keyring, T), Error> {
    let _turn = keeper.lock_for_update()?;
    let mut keyring = keeper.load()?;
    let changed = change(&mut keyring).map_err(impossible)?;
    keeper.replace(&keyring)?;
    Ok((keyring, changed))
}

fn impossible(fault: Fault) -> Error {
    match fault.kind() {
        FaultKind::KeyInUse(_) | FaultKind::UnknownKey(_) | FaultKind::KeyringTooLarge => {
            Error::new(ErrorKind::Config, fault.to_string()).with_source(fault)
        }
        _ => fault.into(),
    }
}

/// For as long as this lives, other processes wait for their turn.
#[derive(Debug)]
pub struct UpdateLock {
    _lock: Option<File>,
}

impl UpdateLock {
    /// By a lock on `directory`, on Unix. Where there is none there is nothing to change, which loading says better.
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

/// The keyring of the user who runs this program: where `LACRE_KEY` says, or else at [`config::keyring_path`], where it is made on first
/// use, whoever else tries to make it at the same time; `observer` is told.
///
/// # Errors
/// [`Config`](ErrorKind::Config): there is no home directory, or `LACRE_KEY` is no reference. [`Io`](ErrorKind::Io): the keyring could not
/// be made.
pub fn user(observer: &dyn Observer) -> Result<UserKeys, Error> {
    let keys = user_source()?;
    if let UserKeys(Place::Own(file)) = &keys {
        file.ensure(observer)?;
    }
    Ok(keys)
}

/// Where the keyring of the user who runs this program is, or would be. Unlike [`user`], this makes none: for programs that only read.
///
/// # Errors
/// [`Config`](ErrorKind::Config): there is no home directory, or `LACRE_KEY` is no reference.
pub fn user_source() -> Result<UserKeys, Error> {
    Ok(UserKeys(match config::key_reference()? {
        Some(reference) => Place::Said(parse(&reference).map_err(|error| error.with_context(config::KEY))?),
        None => Place::Own(KeyFile::at(config::keyring_path()?)),
    }))
}

/// The keyring of a user, wherever that is: see [`user`].
#[derive(Debug)]
pub struct UserKeys(Place);

#[derive(Debug)]
enum Place {
    /// Where `LACRE_KEY` says.
    Said(Box<dyn KeySource>),
    Own(KeyFile),
}

impl UserKeys {
    fn source(&self) -> &dyn KeySource {
        match &self.0 {
            Place::Said(source) => &**source,
            Place::Own(file) => file,
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

/// Takes the bytes for the text that they are, without a copy.
fn as_text(mut bytes: Zeroizing<Vec<u8>>) -> Option<Zeroizing<String>> {
    match String::from_utf8(std::mem::take(&mut *bytes)) {
        Ok(text) => Some(Zeroizing::new(text)),
        Err(error) => {
            drop(Zeroizing::new(error.into_bytes()));
            None
        }
    }
}

fn there_already(what: &dyn Display) -> Error {
    Error::new(ErrorKind::Config, format!("{what} exists already and was left as it is"))
        .with_hint("name another place, or rotate the keys that are there")
}

/// Refuses a keyring's file that [lies together](config::share_directory) with the store: whoever copies that directory has both, and the
/// seal protects nothing.
///
/// # Errors
/// [`Config`](ErrorKind::Config): they lie side by side.
pub fn ensure_apart(keyring: &Path, store: &Path) -> Result<(), Error> {
    if !config::share_directory(keyring, store) {
        return Ok(());
    }
    let message =
        format!("the keyring {} lies beside the store, where it protects nothing", keyring.display());
    Err(Error::new(ErrorKind::Config, message)
        .with_hint("keep it in a directory of its own, away from the store"))
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn a_keyring_anywhere_in_a_cache_directory_is_refused() {
        let home = tempfile::tempdir().unwrap();
        let cache = home.path().join("cache");
        config::make_cache_directory(&cache).unwrap();
        assert!(ensure_apart(&cache.join("keys/ring"), &cache.join("cache.sqlite")).is_err());
        std::fs::create_dir(cache.join("keys")).unwrap();
        assert!(ensure_apart(&cache.join("keys/ring"), &cache.join("cache.sqlite")).is_err());
        // A home is no cache, though a store may lie in it.
        std::fs::create_dir(home.path().join("keys")).unwrap();
        assert!(ensure_apart(&home.path().join("keys/ring"), &home.path().join("cache.sqlite")).is_ok());
    }

    #[test]
    fn a_bare_key_and_a_keyring_are_both_loaded_and_garbage_is_never_shown() {
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
