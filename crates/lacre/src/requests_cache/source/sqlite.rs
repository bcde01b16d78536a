//! requests-cache's SQLite backend: a table `responses` of keys and values. Nothing is left beside the file, not even a lock.

use super::{Stored, not_a_cache, too_long, unreadable};
use crate::requests_cache::value::MAX_BYTES;
use crate::store::sqlite::open::{COMPANIONS, beside, immutable_uri, make_inert};
use crate::{Error, ErrorKind};
use rusqlite::limits::Limit;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension};
use std::fs;
use std::path::Path;
use tempfile::TempDir;

pub(super) struct Rows {
    connection: Connection,
    expected: u64,
    /// The row that was read last; `None`: there is nothing left that could be read.
    last: Option<i64>,
    /// Where the file was copied to, for as long as it is read there.
    _copy: Option<TempDir>,
}

impl Rows {
    pub(super) fn of(file: &Path) -> Result<Self, Error> {
        let has_companions = COMPANIONS.iter().any(|name| beside(file, name).exists());
        let copy = if has_companions { Some(copied(file)?) } else { None };
        let connection = match &copy {
            Some(directory) => Connection::open(directory.path().join("copy")),
            None => {
                let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
                    | OpenFlags::SQLITE_OPEN_URI
                    | OpenFlags::SQLITE_OPEN_NOFOLLOW;
                Connection::open_with_flags(immutable_uri(file), flags)
            }
        }
        .map_err(damaged)?;
        make_inert(&connection).map_err(damaged)?;
        let longest = i32::try_from(MAX_BYTES).unwrap_or(i32::MAX);
        connection.set_limit(Limit::SQLITE_LIMIT_LENGTH, longest).map_err(damaged)?;
        // A view or a virtual table has no root, and could run what its maker wished.
        let is_there =
            "SELECT count(*) FROM sqlite_schema WHERE name = 'responses' AND type = 'table' AND rootpage > 0";
        if connection.query_row(is_there, [], |row| row.get::<_, i64>(0)).map_err(damaged)? != 1 {
            return Err(not_a_cache("the database has no table `responses`"));
        }
        let count: i64 =
            connection.query_row("SELECT count(*) FROM responses", [], |row| row.get(0)).map_err(damaged)?;
        let expected = u64::try_from(count).unwrap_or(0);
        Ok(Self { connection, expected, last: Some(i64::MIN), _copy: copy })
    }

    pub(super) fn expected(&self) -> u64 {
        self.expected
    }

    /// The next row and its key, which need not be text, nor short.
    fn following(&self, last: i64) -> rusqlite::Result<Option<(i64, String)>> {
        const NEXT: &str = "SELECT rowid, CAST(substr(key, 1, 64) AS TEXT) FROM responses WHERE rowid > ?1 ORDER BY rowid LIMIT 1";
        let mut statement = self.connection.prepare_cached(NEXT)?;
        let row = statement.query_row([last], |row| {
            let key = row.get_ref(1)?.as_str().unwrap_or("?").to_owned();
            Ok((row.get(0)?, key))
        });
        row.optional()
    }

    fn value(&self, row: i64) -> Result<Vec<u8>, Error> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT value FROM responses WHERE rowid = ?1")
            .map_err(damaged)?;
        let value = statement.query_row([row], |row| {
            Ok(match row.get_ref(0)? {
                ValueRef::Blob(bytes) | ValueRef::Text(bytes) => Some(bytes.to_vec()),
                _ => None,
            })
        });
        match value {
            Ok(Some(value)) => Ok(value),
            Ok(None) => Err(Error::new(ErrorKind::Broken, "the row holds neither text nor bytes")),
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::TooBig) => Err(too_long()),
            Err(error) => Err(damaged(error)),
        }
    }
}

impl Iterator for Rows {
    type Item = Stored;

    fn next(&mut self) -> Option<Stored> {
        match self.following(self.last?) {
            Ok(None) => None,
            Ok(Some((row, key))) => {
                self.last = Some(row);
                Some(Stored { key, value: self.value(row) })
            }
            Err(error) => {
                self.last = None;
                Some(Stored { key: "?".to_owned(), value: Err(damaged(error)) })
            }
        }
    }
}

/// The database with its log, for ourselves: to read both where they lie would change them.
fn copied(file: &Path) -> Result<TempDir, Error> {
    let directory = tempfile::tempdir().map_err(unreadable)?;
    let copy = directory.path().join("copy");
    fs::copy(file, &copy).map_err(unreadable)?;
    for name in COMPANIONS.into_iter().filter(|name| *name != "-shm") {
        let companion = beside(file, name);
        if companion.exists() {
            super::open(&companion)?;
            fs::copy(&companion, beside(&copy, name)).map_err(unreadable)?;
        }
    }
    Ok(directory)
}

fn damaged(error: rusqlite::Error) -> Error {
    Error::new(ErrorKind::Broken, "the database cannot be read")
        .with_hint("check it with sqlite3's `.recover`, or fetch its responses again")
        .with_source(error)
}
