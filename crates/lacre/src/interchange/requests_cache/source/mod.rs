//! Reads an existing cache of requests-cache, entry by entry. It never writes, and treats the cache
//! as hostile input.

mod directory;
mod dump;
mod sqlite;

use super::value::MAX_BYTES;
use crate::files::{self, Refusal};
use crate::{Error, ErrorKind};
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

/// A whole cache.
#[derive(Debug)]
pub struct Source(Place);

#[derive(Debug)]
enum Place {
    Sqlite(sqlite::Rows),
    Directory(directory::Files),
    RedisDump(dump::Items),
}

/// The storage of a cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SourceKind {
    /// An SQLite database.
    Sqlite,
    /// A directory with a file for each response.
    Directory,
    /// A dump of Redis as JSON.
    RedisDump,
}

/// A stored response.
#[derive(Debug)]
pub struct Stored {
    /// Its key in the cache. It may be one that requests-cache would not compute.
    pub key: String,
    /// The bytes for [`Serializer::decode`](super::Serializer::decode), or the reason why they
    /// cannot be read.
    pub value: Result<Vec<u8>, Error>,
}

impl Source {
    /// Opens the cache at `path` and detects its kind.
    ///
    /// # Errors
    /// There is no cache of requests-cache, or it cannot be read.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        Self::recognize(path).map_err(|error| error.at(path))
    }

    fn recognize(path: &Path) -> Result<Self, Error> {
        let path = &fs::canonicalize(path).map_err(unreadable)?;
        if path.is_dir() {
            return directory::Files::of(path).map(Place::Directory).map(Self);
        }
        let mut start = [0; 16];
        let mut file = open(path)?;
        match file.read_exact(&mut start) {
            Ok(()) if start == *b"SQLite format 3\0" => sqlite::Rows::of(path).map(Place::Sqlite).map(Self),
            _ if start.trim_ascii_start().starts_with(b"{") => {
                dump::Items::of(open(path)?).map(Place::RedisDump).map(Self)
            }
            _ => Err(not_a_cache("it is no SQLite database, no directory and no dump of Redis")),
        }
    }

    /// Its storage.
    #[must_use]
    pub fn kind(&self) -> SourceKind {
        match &self.0 {
            Place::Sqlite(_) => SourceKind::Sqlite,
            Place::Directory(_) => SourceKind::Directory,
            Place::RedisDump(_) => SourceKind::RedisDump,
        }
    }

    /// The number of entries, readable or not.
    #[must_use]
    pub fn len(&self) -> usize {
        match &self.0 {
            Place::Sqlite(rows) => rows.len(),
            Place::Directory(files) => files.len(),
            Place::RedisDump(items) => items.len(),
        }
    }

    /// Whether it has no entries.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The entry at `index`, which is less than [`len`](Self::len).
    #[must_use]
    pub fn read(&self, index: usize) -> Stored {
        match &self.0 {
            Place::Sqlite(rows) => rows.read(index),
            Place::Directory(files) => files.read(index),
            Place::RedisDump(items) => items.read(index),
        }
    }

    /// Every entry.
    pub fn iter(&self) -> impl Iterator<Item = Stored> {
        (0..self.len()).map(|index| self.read(index))
    }
}

/// An entry that does not exist.
fn absent() -> Stored {
    let error = Error::new(ErrorKind::Broken, "there is no such entry");
    Stored { key: "?".to_owned(), value: Err(error) }
}

fn not_a_cache(why: &str) -> Error {
    Error::new(ErrorKind::Config, format!("this is no cache of requests-cache: {why}"))
        .with_hint("name the .sqlite file, the directory with the responses, or a dump of Redis in JSON")
}

fn unreadable(error: io::Error) -> Error {
    let hint = match error.kind() {
        io::ErrorKind::NotFound => "check the path",
        _ => "check the path and its permissions",
    };
    Error::new(ErrorKind::Io, "cannot read the cache").with_hint(hint).with_source(error)
}

/// A regular file that is not reached through a link.
fn open(path: &Path) -> Result<File, Error> {
    let file = files::open_no_follow(path).map_err(|refusal: Refusal| refusal.into_error(ErrorKind::Io))?;
    match file.metadata() {
        Ok(found) if found.is_file() => Ok(file),
        Ok(_) => Err(Error::new(ErrorKind::Io, "this is not a regular file")),
        Err(error) => Err(unreadable(error)),
    }
}

/// The content of `file`, if it is not longer than a response may be.
fn read(file: File) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    file.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() > MAX_BYTES { Err(too_long()) } else { Ok(bytes) }
}

fn too_long() -> Error {
    Error::new(ErrorKind::Broken, "the stored response is longer than is read")
}
