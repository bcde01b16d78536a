//! Where a store is, as `--store` and `LACRE_STORE` say it: the one place that knows the forms.

#[cfg(unix)]
use super::Fs;
use super::{Memory, Sqlite, Store};
use crate::{Error, ErrorKind, Observer, Tracing, config};
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

/// Where a store is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Location {
    /// `sqlite:PATH`, an SQLite file.
    Sqlite(PathBuf),
    /// `dir:PATH`, a directory with a file for each record. On Unix.
    Directory(PathBuf),
    /// `memory:`, nowhere on a disk.
    Memory,
}

impl Location {
    /// The forms that are understood, for messages and help.
    pub const FORMS: &str =
        if cfg!(unix) { "sqlite:PATH, dir:PATH or memory:" } else { "sqlite:PATH or memory:" };

    /// Where `LACRE_STORE` says, or else the user's own store, an SQLite file at [`config::store_path`].
    ///
    /// # Errors
    /// [`Config`](ErrorKind::Config): there is no home directory, or `LACRE_STORE` names no store.
    pub fn user() -> Result<Self, Error> {
        match config::store_reference()? {
            Some(reference) => reference.parse().map_err(|error: Error| error.with_context(config::STORE)),
            None => Ok(Self::Sqlite(config::store_path()?)),
        }
    }

    /// Where the store is on a disk.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Sqlite(path) | Self::Directory(path) => Some(path),
            Self::Memory => None,
        }
    }

    /// A file of the store: no key may [lie together](config::share_directory) with it.
    #[must_use]
    pub fn file(&self) -> Option<PathBuf> {
        match self {
            Self::Sqlite(path) => Some(path.clone()),
            Self::Directory(path) => Some(path.join("file")),
            Self::Memory => None,
        }
    }

    /// Opens the store, made if it is missing, with default options.
    ///
    /// # Errors
    /// As those of the stores.
    pub fn open(&self) -> Result<Arc<dyn Store>, Error> {
        self.open_with(&OpenOptions::default())
    }

    /// Opens the store.
    ///
    /// # Errors
    /// As those of the stores. [`Missing`](crate::StoreErrorKind::Missing): there is none yet, and it is to be read only.
    pub fn open_with(&self, options: &OpenOptions) -> Result<Arc<dyn Store>, Error> {
        let OpenOptions { max_bytes, reads_only, observer } = options;
        match self {
            Self::Memory => Ok(match max_bytes {
                Some(bytes) => {
                    Arc::new(Memory::with_capacity(usize::try_from(*bytes).unwrap_or(usize::MAX))?)
                }
                None => Arc::new(Memory::new()?),
            }),
            Self::Sqlite(path) => {
                let mut sqlite = Sqlite::options().observer(Arc::clone(observer));
                if let Some(bytes) = max_bytes {
                    sqlite = sqlite.max_bytes(*bytes);
                }
                let sqlite = if *reads_only { sqlite.read_only() } else { sqlite };
                Ok(Arc::new(sqlite.open(path)?))
            }
            #[cfg(unix)]
            Self::Directory(path) => {
                let mut fs = Fs::options().observer(Arc::clone(observer));
                if let Some(bytes) = max_bytes {
                    fs = fs.max_bytes(*bytes);
                }
                let fs = if *reads_only { fs.read_only() } else { fs };
                Ok(Arc::new(fs.open(path)?))
            }
            #[cfg(not(unix))]
            Self::Directory(_) => Err(no_location("dir:")),
        }
    }
}

/// The location that a text means. A `~` at the start of a path is the user's home directory.
impl FromStr for Location {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match text.split_once(':') {
            Some(("sqlite", path)) if !path.is_empty() => Ok(Self::Sqlite(config::path_in_reference(path)?)),
            #[cfg(unix)]
            Some(("dir", path)) if !path.is_empty() => Ok(Self::Directory(config::path_in_reference(path)?)),
            Some(("memory", "")) => Ok(Self::Memory),
            _ => Err(no_location(text)),
        }
    }
}

/// As [`from_str`](FromStr::from_str) reads it.
impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            Self::Directory(path) => write!(f, "dir:{}", path.display()),
            Self::Memory => f.write_str("memory:"),
        }
    }
}

/// Nothing of `text` is repeated: URLs of other stores carry passwords.
fn no_location(text: &str) -> Error {
    let scheme = text.split_once(':').map(|(scheme, _)| scheme.trim().to_ascii_lowercase());
    let message = match scheme.as_deref() {
        Some(
            "redis" | "rediss" | "valkey" | "postgres" | "postgresql" | "mysql" | "mongodb" | "s3" | "http"
            | "https",
        ) => "this does not name a store: there are none on other machines yet",
        Some("memory") => "this does not name a store: memory: is written like this, and nothing follows it",
        Some("sqlite" | "dir") => {
            "this does not name a store: the word is written in lower case, and a path follows it"
        }
        Some(scheme) if scheme.len() > 1 => "this does not name a store",
        _ => "this does not name a store: a path is written sqlite:PATH",
    };
    Error::new(ErrorKind::Config, message).with_hint(format!("write {}", Location::FORMS))
}

/// How a [`Location`] is opened.
#[derive(Clone, Debug)]
pub struct OpenOptions {
    max_bytes: Option<u64>,
    reads_only: bool,
    observer: Arc<dyn Observer>,
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self { max_bytes: None, reads_only: false, observer: Arc::new(Tracing) }
    }
}

impl OpenOptions {
    /// The default ones.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Bytes that the store may hold; what is the default is up to the store.
    #[must_use]
    pub fn max_bytes(mut self, bytes: u64) -> Self {
        self.max_bytes = Some(bytes);
        self
    }

    /// Never write, and make nothing that is missing.
    #[must_use]
    pub fn read_only(mut self) -> Self {
        self.reads_only = true;
        self
    }

    /// Who is told of what is found in the store; [`Tracing`] by default.
    #[must_use]
    pub fn observer(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observer = observer;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_location_is_read_as_it_is_written() {
        for text in [
            "sqlite:/a b/c.sqlite",
            "sqlite:relative",
            "memory:",
            #[cfg(unix)]
            "dir:/a",
        ] {
            assert_eq!(text.parse::<Location>().unwrap().to_string(), text);
        }
        let home = etcetera::home_dir().unwrap();
        assert_eq!("sqlite:~/x".parse::<Location>().unwrap(), Location::Sqlite(home.join("x")));
        assert_eq!("sqlite:///x".parse::<Location>().unwrap().path(), Some(Path::new("/x")));
    }

    #[test]
    fn a_misspelt_location_is_an_error_that_lists_the_forms_and_repeats_nothing() {
        for text in [
            "",
            "sqlite:",
            "dir:",
            "memory:x",
            "sqlit:/tmp/c",
            "Sqlite:/tmp/c",
            "/tmp/c.sqlite",
            "C:\\c.sqlite",
            "cache",
            "redis://:hunter2@host",
            "sqlite://hunter2/x",
        ] {
            let error = text.parse::<Location>().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config, "{text}");
            assert!(error.hint().unwrap().contains("sqlite:"), "{text}");
            assert!(!format!("{error:?}").contains("hunter2"));
        }
    }
}
