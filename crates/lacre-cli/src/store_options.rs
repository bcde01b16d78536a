//! The store and its key, as the flags and the environment name them.
//!
//! What only looks opens them for [`open_to_read`]: nothing is made, and nothing is written. What changes a store that is there opens it for
//! [`open_to_change`]. What stores responses opens them for [`open_or_create`], which makes both on first use.

use crate::exit::{Exit, Failure};
use crate::global_options::GlobalOptions;
use crate::output::Output;
use crate::terminal::Terminal;
use lacre::keys::{self, KeySource, NoPrompt, Prompt};
use lacre::store::{Location, OpenOptions, Store};
use lacre::{Builder, Cache, Error, config};
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;

/// The cache, to be looked at: neither a key nor a store is made, and nothing is written. `None`: there is no store yet.
pub(crate) fn open_to_read(global: &GlobalOptions, output: Output) -> Result<Option<Builder>, Failure> {
    open_existing(global, &options(output).read_only(), output)
}

/// The cache, to be changed. Neither a key nor a store is made. `None`: there is no store yet.
pub(crate) fn open_to_change(global: &GlobalOptions, output: Output) -> Result<Option<Builder>, Failure> {
    open_existing(global, &options(output), output)
}

/// The cache, to be stored into. Its store is made on first use, and so is its key where none is named.
pub(crate) fn open_or_create(global: &GlobalOptions, output: Output) -> Result<Builder, Failure> {
    let (store, key) = store_and_key(global, output)?;
    Ok(builder_with_key(global, store, &*key, output))
}

/// A store, and where its key is kept.
pub(crate) type StoreAndKey = (Arc<dyn Store>, Box<dyn KeySource>);

/// A store to be stored into, and where its key is kept, both made on first use. The key is not read yet.
pub(crate) fn store_and_key(global: &GlobalOptions, output: Output) -> Result<StoreAndKey, Failure> {
    let location = location(global)?;
    let key: Box<dyn KeySource> = match named_key_source(global)? {
        Some(source) => source,
        None => Box::new(keys::user(&output)?),
    };
    ensure_apart(&location, &*key)?;
    Ok((location.open_with(&options(output))?, key))
}

/// The cache over a store that is open.
pub(crate) fn builder_with_key(
    global: &GlobalOptions,
    store: Arc<dyn Store>,
    key: &dyn KeySource,
    output: Output,
) -> Builder {
    builder(global, store, output).keys(key)
}

/// A cache in memory, with a key that ends with this process: for asking what would happen where nothing is stored.
pub(crate) fn in_memory(global: &GlobalOptions, output: Output) -> Result<Builder, Failure> {
    Ok(builder(global, Location::Memory.open()?, output).danger_ephemeral_key())
}

/// The cache to remove everything from, which takes no key. `None`: there is no store yet.
pub(crate) fn open_to_clear(global: &GlobalOptions, output: Output) -> Result<Option<Builder>, Failure> {
    let location = location(global)?;
    if !store_exists(global, &location, output)? {
        return Ok(None);
    }
    Ok(Some(builder(global, location.open_with(&options(output))?, output).danger_ephemeral_key()))
}

fn open_existing(
    global: &GlobalOptions,
    options: &OpenOptions,
    output: Output,
) -> Result<Option<Builder>, Failure> {
    // Both are understood first: what is misspelt is an error where nothing is stored yet, too.
    let (location, key) = (location(global)?, key_source(global)?);
    if !store_exists(global, &location, output)? {
        return Ok(None);
    }
    ensure_apart(&location, &*key)?;
    ensure_key_there(global, &location)?;
    // Nobody is answered from it: a copy of another store can be looked at, and is told.
    Ok(Some(builder(global, location.open_with(options)?, output).keys(&*key).danger_accept_copies()))
}

fn options(output: Output) -> OpenOptions {
    OpenOptions::new().observer(Arc::new(output))
}

/// With every setting that is the same for all commands, but for the key.
fn builder(global: &GlobalOptions, store: Arc<dyn Store>, output: Output) -> Builder {
    Cache::builder()
        .store(store)
        .namespace(&global.namespace)
        .suite(global.suite())
        .observer(Arc::new(output))
}

/// Says what to do where the user's own keyring is gone and the store is not.
fn ensure_key_there(global: &GlobalOptions, store: &Location) -> Result<(), Failure> {
    if named_key_source(global)?.is_some() {
        return Ok(());
    }
    let keyring = config::keyring_path()?;
    match keyring.symlink_metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(Failure::new(
            Exit::KeyUnavailable,
            format!("the keyring {} does not exist, and {store} was sealed with it", keyring.display()),
        )
        .with_hint("put it back from a backup with `lacre key import`, or name another one with --key; `lacre rm --all` starts over")),
        _ => Ok(()),
    }
}

/// Refuses an anchor beside the store: whoever puts an older store back puts that back with it.
pub(crate) fn ensure_anchor_apart(global: &GlobalOptions, anchor: &Path) -> Result<(), Failure> {
    match location(global)?.file() {
        Some(store) if config::share_directory(anchor, &store) => {
            Err(Failure::usage("an anchor beside the store goes back in time with it")
                .with_hint("keep it where whoever can write the store cannot: another user, disk or machine"))
        }
        _ => Ok(()),
    }
}

/// Where the key is kept, or would be.
pub(crate) fn key_source(global: &GlobalOptions) -> Result<Box<dyn KeySource>, Failure> {
    match named_key_source(global)? {
        Some(source) => Ok(source),
        None => Ok(Box::new(keys::user_source()?)),
    }
}

/// The same, for a process that nobody sits at: a key that needs a passphrase from the terminal is unavailable.
pub(crate) fn key_source_without_prompt(global: &GlobalOptions) -> Result<Box<dyn KeySource>, Failure> {
    match named_key_source_with(global, Arc::new(NoPrompt))? {
        Some(source) => Ok(source),
        None => key_source(global),
    }
}

/// Where `--key` says that the key is kept, or else `LACRE_KEY`.
fn named_key_source(global: &GlobalOptions) -> Result<Option<Box<dyn KeySource>>, Failure> {
    named_key_source_with(global, Arc::new(Terminal))
}

fn named_key_source_with(
    global: &GlobalOptions,
    prompt: Arc<dyn Prompt>,
) -> Result<Option<Box<dyn KeySource>>, Failure> {
    let (reference, by) = match &global.key {
        Some(reference) => (Some(reference.clone()), "--key"),
        None => (config::key_reference()?, config::KEY),
    };
    let parse = |reference: String| keys::parse_with_prompt(&reference, prompt);
    Ok(reference.map(parse).transpose().map_err(|error| error.with_context(by))?)
}

/// Refuses a keyring beside the store.
pub(crate) fn ensure_key_apart(global: &GlobalOptions, key: &dyn KeySource) -> Result<(), Failure> {
    ensure_apart(&location(global)?, key)
}

/// What a reference names. Whoever sits at the terminal is asked for a passphrase that it needs.
pub(crate) fn parse_key_source(reference: &str) -> Result<Box<dyn KeySource>, Failure> {
    Ok(keys::parse_with_prompt(reference, Arc::new(Terminal))?)
}

/// The store that `--store` names, or `LACRE_STORE`, or else the user's own.
fn location(global: &GlobalOptions) -> Result<Location, Failure> {
    match &global.store {
        Some(text) => text.parse().map_err(|error: Error| error.with_context("--store").into()),
        None => Ok(Location::user()?),
    }
}

fn ensure_apart(location: &Location, key: &dyn KeySource) -> Result<(), Failure> {
    match (key.file(), location.file()) {
        (Some(keyring), Some(file)) => Ok(keys::ensure_apart(keyring, &file)?),
        _ => Ok(()),
    }
}

/// Whether there is something to look at. What cannot be looked at is an error; what does not exist yet, or was only begun, is empty, and
/// whoever named it hears of that.
fn store_exists(global: &GlobalOptions, location: &Location, output: Output) -> Result<bool, Failure> {
    let Some(path) = location.path() else { return Ok(false) };
    let cannot = |error: &io::Error| {
        let hint = match error.kind() {
            io::ErrorKind::PermissionDenied => {
                "run as the user it belongs to, or name another store with --store"
            }
            _ => "check the path; --store names another",
        };
        Failure::new(Exit::Store, format!("cannot read the store {}: {error}", path.display()))
            .with_hint(hint)
    };
    let found = match path.symlink_metadata() {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if global.store.is_some() || config::store_reference()?.is_some() {
                output.note(format_args!("nothing is stored yet: {} does not exist", path.display()));
            }
            return Ok(false);
        }
        Err(error) => return Err(cannot(&error)),
    };
    if found.is_dir() {
        let mut names = path.read_dir().map_err(|error| cannot(&error))?;
        return Ok(!matches!(location, Location::Directory(_)) || names.next().is_some());
    }
    if found.is_file() {
        File::open(path).map_err(|error| cannot(&error))?;
    }
    Ok(!found.is_file() || found.len() > 0)
}
