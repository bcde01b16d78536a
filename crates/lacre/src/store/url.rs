//! Store URLs and the schemes that open them. What each scheme means is decided where it is
//! registered: see `open.rs`.

use super::Store;
use crate::{Error, Observer, Tracing};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where a store is: a scheme such as `sqlite:` and a path or an address after it.
///
/// `sqlite:PATH` names an SQLite file, `dir:PATH` a directory with a file for each record (on
/// Unix), `memory:` a store in this process's memory. Other crates add schemes with
/// [`register`](super::register).
///
/// ```
/// use lacre::store::StoreUrl;
///
/// let url: StoreUrl = "sqlite:/var/cache/app/cache.sqlite".parse()?;
/// assert_eq!(url.scheme(), "sqlite");
/// assert!("/var/cache/app/cache.sqlite".parse::<StoreUrl>().is_err());
/// # Ok::<(), lacre::Error>(())
/// ```
#[derive(Clone)]
pub struct StoreUrl {
    scheme: Scheme,
    target: Target,
}

#[derive(Clone, PartialEq, Eq)]
pub(super) enum Target {
    Path(PathBuf),
    Memory,
    /// Never shown: it may carry a password.
    Address(String),
}

/// A URL scheme and the function that opens its stores.
#[derive(Clone, Copy, Debug)]
pub struct Scheme {
    /// The scheme without its colon, in lower case.
    pub name: &'static str,
    /// How its URLs are written, for messages and help: `sqlite:PATH`.
    pub form: &'static str,
    /// What follows the colon.
    pub medium: Medium,
    /// Opens the store that a URL of this scheme names.
    pub open: Open,
}

/// Opens the store that a URL names. It may block while it opens a file; a store on another machine
/// connects when it is first used.
pub type Open = fn(&StoreUrl, &OpenOptions) -> Result<Arc<dyn Store>, Error>;

/// Where the stores of a scheme keep their records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Medium {
    /// In one file; the URL holds its path.
    File,
    /// In a directory; the URL holds its path.
    Directory,
    /// In this process's memory; nothing follows the colon.
    Memory,
    /// On another machine; the URL holds its address.
    Remote,
}

impl StoreUrl {
    pub(super) fn new(scheme: Scheme, target: Target) -> Self {
        Self { scheme, target }
    }

    /// The scheme, without its colon.
    #[must_use]
    pub fn scheme(&self) -> &'static str {
        self.scheme.name
    }

    /// Where the store keeps its records.
    #[must_use]
    pub fn medium(&self) -> Medium {
        self.scheme.medium
    }

    /// The path of a store in a file or a directory.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        match &self.target {
            Target::Path(path) => Some(path),
            Target::Memory | Target::Address(_) => None,
        }
    }

    /// What follows the colon in the URL of a store on another machine. It may carry a password.
    #[must_use]
    pub fn address(&self) -> Option<&str> {
        match &self.target {
            Target::Address(address) => Some(address),
            Target::Path(_) | Target::Memory => None,
        }
    }

    /// A file of the store, which must not [share a directory](crate::config::share_directory) with
    /// the keyring or an anchor.
    #[must_use]
    pub fn file(&self) -> Option<PathBuf> {
        let path = self.path()?;
        Some(if self.medium() == Medium::Directory { path.join("file") } else { path.to_owned() })
    }

    /// Opens the store with default options. Creates it if it is missing.
    ///
    /// # Errors
    /// As [`open_with`](Self::open_with).
    pub fn open(&self) -> Result<Arc<dyn Store>, Error> {
        self.open_with(&OpenOptions::default())
    }

    /// Opens the store.
    ///
    /// # Errors
    /// [`Store`](crate::ErrorKind::Store): the store cannot be opened.
    /// [`Missing`](crate::StoreErrorKind::Missing): it does not exist, and is to be read only.
    pub fn open_with(&self, options: &OpenOptions) -> Result<Arc<dyn Store>, Error> {
        (self.scheme.open)(self, options)
    }
}

/// Two URLs are equal when their schemes and targets are.
impl PartialEq for StoreUrl {
    fn eq(&self, other: &Self) -> bool {
        self.scheme() == other.scheme() && self.target == other.target
    }
}

impl Eq for StoreUrl {}

/// The URL as [`from_str`](std::str::FromStr::from_str) reads it, without the address of another
/// machine.
impl fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = self.scheme();
        match &self.target {
            Target::Path(path) => write!(f, "{scheme}:{}", path.display()),
            Target::Memory => write!(f, "{scheme}:"),
            Target::Address(_) => write!(f, "{scheme}:…"),
        }
    }
}

/// As [`Display`](fmt::Display).
impl fmt::Debug for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StoreUrl({self})")
    }
}

/// How a store is opened. The fields are for the [`Open`] functions of schemes.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct OpenOptions {
    /// Bytes that the store may hold; `None`: the store's own default.
    pub max_bytes: Option<u64>,
    /// Whether the store is never written, and not created if it is missing.
    pub read_only: bool,
    /// The observer of the store's events.
    pub observer: Arc<dyn Observer>,
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self { max_bytes: None, read_only: false, observer: Arc::new(Tracing) }
    }
}

impl OpenOptions {
    /// The default options.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Limits the bytes that the store may hold.
    #[must_use]
    pub fn max_bytes(mut self, bytes: u64) -> Self {
        self.max_bytes = Some(bytes);
        self
    }

    /// Never writes to the store, and does not create it if it is missing.
    #[must_use]
    pub fn read_only(mut self) -> Self {
        self.read_only = true;
        self
    }

    /// Sets the observer of the store's events; [`Tracing`] by default.
    #[must_use]
    pub fn observer(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observer = observer;
        self
    }
}
