//! The store and its key, as the flags and the environment name them.

use crate::args::Global;
use crate::exit::{Exit, Failure};
use crate::output::Output;
use crate::prompt::Terminal;
use lacre::keys::{self, KeySource, Nobody, Prompt};
use lacre::store::{Location, OpenOptions, Store};
use lacre::{Builder, Cache, Error, config};
use std::path::Path;
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
    let (store, key) = store_and_key(global, missing, output)?;
    Ok(over(global, store, &*key, output))
}

/// The store and where its key is kept. The key is not read yet.
pub(crate) fn store_and_key(
    global: &Global,
    missing: Missing,
    output: Output,
) -> Result<(Arc<dyn Store>, Box<dyn KeySource>), Failure> {
    let location = location(global)?;
    if missing == Missing::Fail {
        ensure_there(&location)?;
    }
    let key = key(global, output)?;
    ensure_apart(&location, &*key)?;
    let store = location.open_with(&OpenOptions::new().observer(Arc::new(output)))?;
    Ok((store, key))
}

/// The cache over a store that is open.
pub(crate) fn over(global: &Global, store: Arc<dyn Store>, key: &dyn KeySource, output: Output) -> Builder {
    Cache::builder()
        .store(store)
        .keys(key)
        .namespace(&global.namespace)
        .suite(global.suite.into())
        .observer(Arc::new(output))
}

/// Where the key is kept; made on first use where that is not said.
pub(crate) fn key(global: &Global, output: Output) -> Result<Box<dyn KeySource>, Failure> {
    match said(global)? {
        Some(source) => Ok(source),
        None => Ok(Box::new(keys::user(&output)?)),
    }
}

/// Refuses an anchor beside the store: whoever puts an older store back puts that back with it.
pub(crate) fn ensure_anchor_apart(global: &Global, anchor: &Path) -> Result<(), Failure> {
    match location(global)?.file() {
        Some(store) if config::lie_together(anchor, &store) => {
            Err(Failure::usage("an anchor beside the store goes back in time with it")
                .with_hint("keep it where whoever can write the store cannot: another user, disk or machine"))
        }
        _ => Ok(()),
    }
}

/// Where the key is kept, or would be.
pub(crate) fn key_place(global: &Global) -> Result<Box<dyn KeySource>, Failure> {
    match said(global)? {
        Some(source) => Ok(source),
        None => Ok(Box::new(keys::user_place()?)),
    }
}

/// The same, for a process that nobody sits at: a key that needs a passphrase from the terminal is unavailable.
pub(crate) fn key_without_asking(global: &Global) -> Result<Box<dyn KeySource>, Failure> {
    match said_to(global, Arc::new(Nobody))? {
        Some(source) => Ok(source),
        None => key_place(global),
    }
}

/// Where `--key` says that the key is kept, or else `LACRE_KEY`.
fn said(global: &Global) -> Result<Option<Box<dyn KeySource>>, Failure> {
    said_to(global, Arc::new(Terminal))
}

fn said_to(global: &Global, prompt: Arc<dyn Prompt>) -> Result<Option<Box<dyn KeySource>>, Failure> {
    let (reference, by) = match &global.key {
        Some(reference) => (Some(reference.clone()), "--key"),
        None => (config::key_reference()?, config::KEY),
    };
    let parse = |reference: String| keys::parse_asking(&reference, prompt);
    Ok(reference.map(parse).transpose().map_err(|error| error.about(by))?)
}

/// Refuses a keyring beside the store.
pub(crate) fn ensure_key_apart(global: &Global, key: &dyn KeySource) -> Result<(), Failure> {
    ensure_apart(&location(global)?, key)
}

/// What a reference names. Whoever sits at the terminal is asked for a passphrase that it needs.
pub(crate) fn source(reference: &str) -> Result<Box<dyn KeySource>, Failure> {
    Ok(keys::parse_asking(reference, Arc::new(Terminal))?)
}

/// The store that `--store` names, or `LACRE_STORE`, or else the user's own.
fn location(global: &Global) -> Result<Location, Failure> {
    match &global.store {
        Some(text) => text.parse().map_err(|error: Error| error.about("--store").into()),
        None => Ok(Location::user()?),
    }
}

fn ensure_apart(location: &Location, key: &dyn KeySource) -> Result<(), Failure> {
    match (key.file(), location.file()) {
        (Some(keyring), Some(file)) => Ok(keys::ensure_apart(keyring, &file)?),
        _ => Ok(()),
    }
}

fn ensure_there(location: &Location) -> Result<(), Failure> {
    match location.path() {
        Some(path) if path.symlink_metadata().is_err() => {
            Err(Failure::new(Exit::Store, format!("there is no store at {}", path.display()))
                .with_hint("`lacre get URL` makes one; --store names another"))
        }
        _ => Ok(()),
    }
}
