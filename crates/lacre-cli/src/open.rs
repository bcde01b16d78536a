//! The store and its key, as the flags and the environment name them.

use crate::args::Global;
use crate::exit::{Exit, Failure};
use crate::output::Output;
use crate::prompt::Terminal;
use lacre::keys::{self, KeyFile, KeySource};
#[cfg(unix)]
use lacre::store::Fs;
use lacre::store::{Memory, Sqlite, Store};
use lacre::{Builder, Cache, config};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What happens when the store does not exist yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Missing {
    /// It is made.
    Make,
    /// There is nothing to look at.
    Fail,
}

/// The cache with every setting that is the same for all commands.
pub(crate) fn cache(global: &Global, missing: Missing, output: Output) -> Result<Builder, Failure> {
    let place = Place::of(global)?;
    if missing == Missing::Fail {
        place.ensure_there()?;
    }
    let key = key(global, output)?;
    place.ensure_apart(&*key)?;
    let builder = Cache::builder()
        .store(place.open(output)?)
        .keys(&*key)
        .namespace(&global.namespace)
        .suite(global.suite.into())
        .observer(Arc::new(output));
    Ok(builder)
}

/// Where the key is kept; made on first use where that is not said.
pub(crate) fn key(global: &Global, output: Output) -> Result<Box<dyn KeySource>, Failure> {
    match &global.key {
        Some(reference) => source(reference),
        None => Ok(Box::new(keys::user(&output)?)),
    }
}

/// Refuses an anchor beside the store: whoever puts an older store back puts that back with it.
pub(crate) fn ensure_anchor_apart(global: &Global, anchor: &Path) -> Result<(), Failure> {
    match Place::of(global)?.file() {
        Some(store) if config::lie_together(anchor, &store) => {
            Err(Failure::usage("an anchor beside the store goes back in time with it")
                .with_hint("keep it where whoever can write the store cannot: another user, disk or machine"))
        }
        _ => Ok(()),
    }
}

/// Where the key is kept, or would be.
pub(crate) fn key_place(global: &Global) -> Result<Box<dyn KeySource>, Failure> {
    match &global.key {
        Some(reference) => source(reference),
        None => Ok(Box::new(KeyFile::at(config::keyring_path()?))),
    }
}

/// Refuses a keyring beside the store.
pub(crate) fn ensure_key_apart(global: &Global, key: &dyn KeySource) -> Result<(), Failure> {
    Place::of(global)?.ensure_apart(key)
}

/// What a reference names. Whoever sits at the terminal is asked for a passphrase that it needs.
pub(crate) fn source(reference: &str) -> Result<Box<dyn KeySource>, Failure> {
    Ok(keys::parse_asking(reference, Arc::new(Terminal))?)
}

enum Place {
    Sqlite(PathBuf),
    #[cfg(unix)]
    Directory(PathBuf),
    Memory,
}

#[cfg(unix)]
const FORMS: &str = "write sqlite:PATH, dir:PATH or memory:";
#[cfg(not(unix))]
const FORMS: &str = "write sqlite:PATH or memory:";

impl Place {
    fn of(global: &Global) -> Result<Self, Failure> {
        let Some(text) = &global.store else { return Ok(Self::Sqlite(config::store_path()?)) };
        match text.split_once(':') {
            Some(("sqlite", path)) if !path.is_empty() => Ok(Self::Sqlite(path.into())),
            #[cfg(unix)]
            Some(("dir", path)) if !path.is_empty() => Ok(Self::Directory(path.into())),
            Some(("memory", "")) => Ok(Self::Memory),
            // It is not repeated: URLs of other stores carry passwords.
            _ => Err(Failure::usage("--store or LACRE_STORE does not name a store").with_hint(FORMS)),
        }
    }

    fn ensure_apart(&self, key: &dyn KeySource) -> Result<(), Failure> {
        match (key.file(), self.file()) {
            (Some(keyring), Some(file)) => Ok(keys::ensure_apart(keyring, &file)?),
            _ => Ok(()),
        }
    }

    fn ensure_there(&self) -> Result<(), Failure> {
        match self.path() {
            Some(path) if path.symlink_metadata().is_err() => {
                Err(Failure::new(Exit::Store, format!("there is no store at {}", path.display()))
                    .with_hint("`lacre get URL` makes one; --store names another"))
            }
            _ => Ok(()),
        }
    }

    fn path(&self) -> Option<&Path> {
        match self {
            Self::Sqlite(path) => Some(path),
            #[cfg(unix)]
            Self::Directory(path) => Some(path),
            Self::Memory => None,
        }
    }

    /// A file of the store: no key may lie beside it.
    fn file(&self) -> Option<PathBuf> {
        match self {
            Self::Sqlite(path) => Some(path.clone()),
            #[cfg(unix)]
            Self::Directory(path) => Some(path.join("file")),
            Self::Memory => None,
        }
    }

    fn open(self, output: Output) -> Result<Arc<dyn Store>, Failure> {
        Ok(match self {
            Self::Memory => Arc::new(Memory::new()?),
            Self::Sqlite(path) => Arc::new(Sqlite::options().observer(Arc::new(output)).open(path)?),
            #[cfg(unix)]
            Self::Directory(path) => Arc::new(Fs::options().observer(Arc::new(output)).open(path)?),
        })
    }
}
