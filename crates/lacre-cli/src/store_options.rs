//! Opens the store and its key source, as the flags and the environment name them.
//!
//! Commands that read call [`open_to_read`], which writes nothing. Commands that change an existing
//! store call [`open_to_change`]. Commands that store responses call [`open_or_create`], which
//! creates the store and the key on first use.

use crate::exit::{Exit, Failure};
use crate::global_options::GlobalOptions;
use crate::output::Output;
use crate::terminal::Terminal;
use lacre::keys::{self, KeySource, Prompt};
use lacre::store::{Medium, OpenOptions, Store, StoreUrl};
use lacre::{Builder, Cache, Error, config};
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;

/// Opens the cache read-only, and creates neither store nor key. `None` if there is no store yet.
pub(crate) fn open_to_read(global: &GlobalOptions, output: Output) -> Result<Option<Builder>, Failure> {
    open_existing(global, &options(output).read_only(), output)
}

/// Opens the cache for changes, and creates neither store nor key. `None` if there is no store yet.
pub(crate) fn open_to_change(global: &GlobalOptions, output: Output) -> Result<Option<Builder>, Failure> {
    open_existing(global, &options(output), output)
}

/// Opens the cache for storing. Creates the store on first use, and the key if none is named.
pub(crate) fn open_or_create(global: &GlobalOptions, output: Output) -> Result<Builder, Failure> {
    let (store, key) = store_and_key(global, output)?;
    Ok(builder_with_key(global, store, &*key, output))
}

/// A store and its key source.
pub(crate) type StoreAndKey = (Arc<dyn Store>, Box<dyn KeySource>);

/// Opens the store and its key source, and creates both on first use. It does not load the key.
pub(crate) fn store_and_key(global: &GlobalOptions, output: Output) -> Result<StoreAndKey, Failure> {
    let url = store_url(global)?;
    let key: Box<dyn KeySource> = match named_key_source(global)? {
        Some(source) => source,
        None => Box::new(keys::user(&output)?),
    };
    ensure_apart(&url, &*key)?;
    Ok((url.open_with(&options(output))?, key))
}

/// A builder for the cache over an open store.
pub(crate) fn builder_with_key(
    global: &GlobalOptions,
    store: Arc<dyn Store>,
    key: &dyn KeySource,
    output: Output,
) -> Builder {
    builder(global, store, output).keys(key)
}

/// An empty cache in memory, with an ephemeral key, for commands that only simulate.
pub(crate) fn in_memory(global: &GlobalOptions, output: Output) -> Result<Builder, Failure> {
    Ok(builder(global, StoreUrl::memory().open()?, output).danger_ephemeral_key())
}

/// Opens the cache to remove everything, which takes no key. `None` if there is no store yet.
pub(crate) fn open_to_clear(global: &GlobalOptions, output: Output) -> Result<Option<Builder>, Failure> {
    let url = store_url(global)?;
    if !store_exists(global, &url, output)? {
        return Ok(None);
    }
    Ok(Some(builder(global, url.open_with(&options(output))?, output).danger_ephemeral_key()))
}

fn open_existing(
    global: &GlobalOptions,
    options: &OpenOptions,
    output: Output,
) -> Result<Option<Builder>, Failure> {
    // Both are parsed first, so that a typo is an error even if there is no store yet.
    let (url, key) = (store_url(global)?, key_source(global)?);
    if !store_exists(global, &url, output)? {
        return Ok(None);
    }
    ensure_apart(&url, &*key)?;
    ensure_key_there(global, &url)?;
    // A copied store may be inspected, since no response is served from it. A warning names the
    // original.
    Ok(Some(builder(global, url.open_with(options)?, output).keys(&*key).danger_accept_copies()))
}

fn options(output: Output) -> OpenOptions {
    OpenOptions::new().observer(Arc::new(output))
}

/// A builder with the settings that all commands share, except the key.
fn builder(global: &GlobalOptions, store: Arc<dyn Store>, output: Output) -> Builder {
    Cache::builder()
        .store(store)
        .namespace(&global.namespace)
        .suite(global.suite())
        .observer(Arc::new(output))
}

/// Refuses a store without its key if the user's own keyring is missing, and names the remedy.
fn ensure_key_there(global: &GlobalOptions, store: &StoreUrl) -> Result<(), Failure> {
    if named_key_source(global)?.is_some() {
        return Ok(());
    }
    let keyring = config::keyring_path()?;
    match keyring.symlink_metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(Failure::new(
            Exit::KeyUnavailable,
            format!("the keyring {} does not exist, but {store} is sealed with it", keyring.display()),
        )
        .with_hint("restore it from a backup with `lacre key import`, or name another keyring with --key; `lacre rm --all` empties the store")),
        _ => Ok(()),
    }
}

/// Refuses an anchor in the store's directory: restoring an older directory would roll back both.
pub(crate) fn ensure_anchor_apart(global: &GlobalOptions, anchor: &Path) -> Result<(), Failure> {
    match store_url(global)?.file() {
        Some(store) if config::share_directory(anchor, &store) => {
            Err(Failure::usage("the anchor must not be in the store's directory: one restore would roll back both")
                .with_hint("keep the anchor where a writer of the store cannot change it: under another user, on another disk or machine"))
        }
        _ => Ok(()),
    }
}

/// The key source that the options name, or the user's own.
pub(crate) fn key_source(global: &GlobalOptions) -> Result<Box<dyn KeySource>, Failure> {
    match named_key_source(global)? {
        Some(source) => Ok(source),
        None => Ok(Box::new(keys::user_source()?)),
    }
}

/// The key source for a process without a user: a key that needs a passphrase from the terminal is
/// unavailable.
#[cfg(feature = "serve")]
pub(crate) fn key_source_without_prompt(global: &GlobalOptions) -> Result<Box<dyn KeySource>, Failure> {
    match named_key_source_with(global, Arc::new(keys::NoPrompt))? {
        Some(source) => Ok(source),
        None => key_source(global),
    }
}

/// The key source that `--key` names, or else `LACRE_KEY`.
fn named_key_source(global: &GlobalOptions) -> Result<Option<Box<dyn KeySource>>, Failure> {
    named_key_source_with(global, Arc::new(Terminal))
}

fn named_key_source_with(
    global: &GlobalOptions,
    prompt: Arc<dyn Prompt>,
) -> Result<Option<Box<dyn KeySource>>, Failure> {
    let (reference, option) = match &global.key {
        Some(reference) => (Some(reference.clone()), "--key"),
        None => (config::key_reference()?, config::KEY),
    };
    let parse = |reference: String| keys::parse_with_prompt(&reference, prompt);
    Ok(reference.map(parse).transpose().map_err(|error| error.with_context(option))?)
}

/// Refuses a keyring in the store's directory.
pub(crate) fn ensure_key_apart(global: &GlobalOptions, key: &dyn KeySource) -> Result<(), Failure> {
    ensure_apart(&store_url(global)?, key)
}

/// Parses a reference to a key source. It asks for a passphrase on the terminal if it needs one.
pub(crate) fn parse_key_source(reference: &str) -> Result<Box<dyn KeySource>, Failure> {
    Ok(keys::parse_with_prompt(reference, Arc::new(Terminal))?)
}

/// The store that `--store` names, or else `LACRE_STORE`, or else the user's own.
fn store_url(global: &GlobalOptions) -> Result<StoreUrl, Failure> {
    match &global.store {
        Some(text) => text.parse().map_err(|error: Error| error.with_context("--store").into()),
        None => Ok(StoreUrl::user()?),
    }
}

fn ensure_apart(url: &StoreUrl, key: &dyn KeySource) -> Result<(), Failure> {
    match (key.file(), url.file()) {
        (Some(keyring), Some(file)) => Ok(keys::ensure_apart(keyring, &file)?),
        _ => Ok(()),
    }
}

/// Whether the store exists and is not empty. A note says so if the user named a store that does
/// not exist. A store that cannot be read is an error.
fn store_exists(global: &GlobalOptions, url: &StoreUrl, output: Output) -> Result<bool, Failure> {
    let Some(path) = url.path() else { return Ok(url.medium() == Medium::Remote) };
    let cannot = |error: &io::Error| {
        let hint = match error.kind() {
            io::ErrorKind::PermissionDenied => {
                "run as the owner of the store, or name another store with --store"
            }
            _ => "check the path, or name another store with --store",
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
        return Ok(url.medium() != Medium::Directory || names.next().is_some());
    }
    if found.is_file() {
        File::open(path).map_err(|error| cannot(&error))?;
    }
    Ok(!found.is_file() || found.len() > 0)
}
