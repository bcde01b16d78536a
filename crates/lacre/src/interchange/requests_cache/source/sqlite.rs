//! Reads requests-cache's SQLite backend: a table `responses` of keys and values. It leaves nothing
//! beside the file, not even a lock.

use super::{Stored, absent, not_a_cache, too_long, unreadable};
use crate::interchange::requests_cache::value::MAX_BYTES;
use crate::store::sqlite::connection::{immutable_uri, make_inert};
use crate::store::sqlite::place::{COMPANIONS, beside};
use crate::{Error, ErrorKind};
use rusqlite::limits::Limit;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, ErrorCode, OpenFlags};
use std::fs;
use std::path::Path;
use tempfile::TempDir;

#[derive(Debug)]
pub(super) struct Rows {
    connection: Connection,
    /// The rows by `rowid`. A row without one ends the readable part of a damaged file.
    rows: Vec<Option<i64>>,
    /// The temporary copy of the file, while it is read.
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
        // A view or a virtual table has no root page, and could run code.
        let is_there =
            "SELECT count(*) FROM sqlite_schema WHERE name = 'responses' AND type = 'table' AND rootpage > 0";
        if connection.query_row(is_there, [], |row| row.get::<_, i64>(0)).map_err(damaged)? != 1 {
            return Err(not_a_cache("the database has no table `responses`"));
        }
        let rows = listed(&connection).map_err(damaged)?;
        Ok(Self { connection, rows, _copy: copy })
    }

    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(super) fn read(&self, index: usize) -> Stored {
        match self.rows.get(index) {
            None | Some(None) => absent(),
            Some(Some(row)) => {
                let key = self.key(*row).unwrap_or_else(|_| "?".to_owned());
                Stored { key, value: self.value(*row) }
            }
        }
    }

    /// The key, which may be of any type and length.
    fn key(&self, row: i64) -> rusqlite::Result<String> {
        const KEY: &str = "SELECT CAST(substr(key, 1, 64) AS TEXT) FROM responses WHERE rowid = ?1";
        self.connection.prepare_cached(KEY)?.query_row([row], |row| row.get(0))
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

fn listed(connection: &Connection) -> rusqlite::Result<Vec<Option<i64>>> {
    let mut statement = connection.prepare("SELECT rowid FROM responses ORDER BY rowid")?;
    let rows = statement.query_map([], |row| row.get(0))?;
    let mut listed: Vec<Option<i64>> = Vec::new();
    for row in rows {
        listed.push(row.ok());
        if let Some(None) = listed.last() {
            break;
        }
    }
    Ok(listed)
}

/// Copies the database with its log, because reading them in place would change them.
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
