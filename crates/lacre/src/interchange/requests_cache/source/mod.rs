//! A cache that requests-cache left behind, entry by entry. It is only ever read, and taken for what an enemy may have written.

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

/// In which way a cache is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SourceKind {
    /// An SQLite database.
    Sqlite,
    /// A directory with a file for each response.
    Directory,
    /// What was in Redis, as JSON.
    RedisDump,
}

/// A stored response.
#[derive(Debug)]
pub struct Stored {
    /// Its name there. It need not be one that requests-cache would give.
    pub key: String,
    /// The bytes for [`Serializer::decode`](super::Serializer::decode), or why there are none.
    pub value: Result<Vec<u8>, Error>,
}

impl Source {
    /// Opens the cache at `path`, of whichever kind it is.
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

    /// In which way it is stored.
    #[must_use]
    pub fn kind(&self) -> SourceKind {
        match &self.0 {
            Place::Sqlite(_) => SourceKind::Sqlite,
            Place::Directory(_) => SourceKind::Directory,
            Place::RedisDump(_) => SourceKind::RedisDump,
        }
    }

    /// How many entries there are, whether or not they can be read.
    #[must_use]
    pub fn len(&self) -> usize {
        match &self.0 {
            Place::Sqlite(rows) => rows.len(),
            Place::Directory(files) => files.len(),
            Place::RedisDump(items) => items.len(),
        }
    }

    /// Whether there is nothing.
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

/// An entry that is not there.
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

/// A regular file, reached by no link.
fn open(path: &Path) -> Result<File, Error> {
    let file = files::open_no_follow(path).map_err(|refusal: Refusal| refusal.into_error(ErrorKind::Io))?;
    match file.metadata() {
        Ok(found) if found.is_file() => Ok(file),
        Ok(_) => Err(Error::new(ErrorKind::Io, "this is not a regular file")),
        Err(error) => Err(unreadable(error)),
    }
}

/// All of `file`, where that is no more than a response may have.
fn read(file: File) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    file.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() > MAX_BYTES { Err(too_long()) } else { Ok(bytes) }
}

fn too_long() -> Error {
    Error::new(ErrorKind::Broken, "the stored response is longer than is read")
}
