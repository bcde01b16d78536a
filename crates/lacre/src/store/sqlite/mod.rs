//! The default store: one SQLite file, shared by threads and processes, treated as if an enemy had written it
//! (docs/format.md §8). Reads lend bytes straight from SQLite's memory.

mod fault;
mod open;
mod rows;
mod schema;

use super::{Fut, ORPHAN_AGE, OnChunk, OnRecord, OnRow, Record, Row, Store, Swept, Usage};
use crate::events::{Observer, Tracing};
use crate::{Error, Trouble};
use fault::Faulty;
use lacre_core::{Key, Timestamp};
use lacre_seal::{BodyId, StoreId};
use open::Place;
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};
use schema::Identity;
use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// A [`Store`] in an SQLite file.
pub struct Sqlite {
    id: StoreId,
    place: Place,
    options: Options,
    /// Writes queue here rather than at the file's lock; `None`: the store is read-only.
    writer: Option<Mutex<Connection>>,
    idle: Mutex<Vec<Connection>>,
}

/// How to open a [`Sqlite`] store.
#[derive(Clone, Debug)]
pub struct Options {
    max_bytes: u64,
    mapped: u64,
    reads_only: bool,
    sets_aside: bool,
    observer: Arc<dyn Observer>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            max_bytes: 1 << 30,
            mapped: 256 << 20,
            reads_only: false,
            sets_aside: false,
            observer: Arc::new(Tracing),
        }
    }
}

impl Options {
    /// Bytes that the file may hold, 1 GiB by default. A write beyond makes room by taking away old records, expired ones first.
    #[must_use]
    pub fn max_bytes(mut self, bytes: u64) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// Bytes of the file that are mapped into memory, 256 MiB by default; 0: none, which is slower but safe on file systems
    /// that fail while being read.
    #[must_use]
    pub fn mapped_bytes(mut self, bytes: u64) -> Self {
        self.mapped = bytes;
        self
    }

    /// Never write, not even to make a missing file.
    #[must_use]
    pub fn read_only(mut self) -> Self {
        self.reads_only = true;
        self
    }

    /// When the file is damaged, from a newer version or not a store at all, rename it to `NAME.set-aside-MILLISECONDS` and
    /// start a new one, instead of failing. Nothing is ever deleted.
    #[must_use]
    pub fn set_aside_unusable(mut self) -> Self {
        self.sets_aside = true;
        self
    }

    /// Who is told of what is found in the file; [`Tracing`] by default.
    #[must_use]
    pub fn observer(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observer = observer;
        self
    }

    /// Opens the store at `path`, made for this user alone if it is missing, directories included.
    ///
    /// # Errors
    /// [`ErrorKind::Store`](crate::ErrorKind::Store), with what is wrong: the place is not safe, or the file is not a store of ours,
    /// damaged, from a newer version or locked.
    pub fn open(self, path: impl AsRef<Path>) -> Result<Sqlite, Error> {
        open::open(path.as_ref(), self)
    }
}

/// How many idle connections are kept for readers.
const POOL: usize = 16;

/// How many rows one transaction of a sweep takes, so that other writers get their turn.
const BATCH: usize = 500;

impl Sqlite {
    /// Opens the store at `path` with the default [`Options`].
    ///
    /// # Errors
    /// As [`Options::open`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        Self::options().open(path)
    }

    /// The default options, to be changed.
    #[must_use]
    pub fn options() -> Options {
        Options::default()
    }

    fn read<T>(&self, work: impl FnOnce(&Connection) -> Result<T, Error>) -> Result<T, Error> {
        let idle = || self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = idle().pop();
        let connection = match kept {
            Some(connection) => connection,
            None => open::connect(&self.place, &self.options)?,
        };
        let result = work(&connection);
        let mut idle = idle();
        if idle.len() < POOL {
            idle.push(connection);
        }
        result
    }

    fn with_writer<T>(&self, work: impl FnOnce(&mut Connection) -> Result<T, Error>) -> Result<T, Error> {
        let writer = self.writer.as_ref().ok_or_else(fault::read_only)?;
        // A panic rolled its transaction back; the connection is as good as before.
        work(&mut writer.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn write<T>(&self, work: impl FnOnce(&Transaction<'_>) -> Result<T, Error>) -> Result<T, Error> {
        self.with_writer(|connection| {
            let transaction =
                connection.transaction_with_behavior(TransactionBehavior::Immediate).or_fail()?;
            let done = work(&transaction)?;
            transaction.commit().or_fail()?;
            Ok(done)
        })
    }

    /// Takes old records away until the file holds no more than it may. `kept`, just written, stays.
    fn make_room(
        &self,
        transaction: &Transaction<'_>,
        kept: Option<i64>,
        now: Timestamp,
    ) -> Result<(), Error> {
        while used_bytes(transaction)? > self.options.max_bytes {
            let victim = old_record(transaction, kept, now)?.ok_or_else(|| {
                Error::store(Trouble::Full, "the record does not fit into the store")
                    .with_hint("allow the store more bytes")
            })?;
            delete(transaction, victim)?;
        }
        Ok(())
    }

    /// Brings everything from the log into the file and empties the log: what was removed is then in neither.
    fn checkpoint(&self) -> Result<(), Error> {
        let busy = self.with_writer(|connection| {
            connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, bool>(0)).or_fail()
        })?;
        if busy {
            return Err(Error::store(Trouble::Locked, "another process kept the store's log in use")
                .with_hint("close the store again when the other process is done"));
        }
        Ok(())
    }

    fn get_now(&self, key: &Key, visit: OnRecord<'_>) -> Result<bool, Error> {
        self.read(|connection| {
            with_record(connection, rows::row_id(key), |there, record| {
                let found = there == *key;
                if found {
                    visit(record);
                }
                found
            })
        })
        .map(|found| found.unwrap_or(false))
    }

    fn put_now(&self, key: &Key, record: Record<'_>) -> Result<(), Error> {
        let id = rows::row_id(key);
        self.write(|transaction| {
            let written = transaction
                .prepare_cached(
                    "INSERT OR REPLACE INTO slot (id, key, body, chunks, expires, written, sealed) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                )
                .and_then(|mut statement| {
                    let Record { body, chunks, expires, written, sealed } = record;
                    let (expires, written) = (expires.as_millis(), written.as_millis());
                    statement.execute(params![id, key.as_bytes(), rows::body_column(body.as_ref()), chunks, expires, written, sealed])
                })
                .or_fail()?;
            must_have_written(written)?;
            self.make_room(transaction, Some(id), record.written)
        })
    }

    fn touch_now(&self, key: &Key, body: BodyId, record: Record<'_>) -> Result<bool, Error> {
        let id = rows::row_id(key);
        self.write(|transaction| {
            let written = transaction
                .prepare_cached(
                    "UPDATE slot SET body = ?4, chunks = ?5, expires = ?6, written = ?7, sealed = ?8 WHERE id = ?1 AND key = ?2 AND body = ?3",
                )
                .and_then(|mut statement| {
                    let Record { body: named, chunks, expires, written, sealed } = record;
                    let (expires, written) = (expires.as_millis(), written.as_millis());
                    let named = rows::body_column(named.as_ref());
                    statement.execute(params![id, key.as_bytes(), body.as_bytes(), named, chunks, expires, written, sealed])
                })
                .or_fail()?;
            self.make_room(transaction, Some(id), record.written)?;
            Ok(written == 1)
        })
    }

    fn scan_now(&self, after: Option<Key>, limit: usize, visit: OnRow<'_>) -> Result<Option<Key>, Error> {
        let from = match after {
            None => i64::MIN,
            Some(key) => match rows::row_id(&key).checked_add(1) {
                Some(from) => from,
                None => return Ok(None),
            },
        };
        self.read(|connection| {
            let ids = ids(
                connection,
                "SELECT id FROM slot WHERE id >= ?1 ORDER BY id LIMIT ?2",
                params![from, limit as i64],
            )?;
            for id in &ids {
                // Each row by itself, so that one that cannot be read does not end the page.
                let lent = with_record(connection, *id, |key, record| {
                    // A row under another row's number can never be found: it did not get there by us.
                    let (key, record) = if rows::row_id(&key) == *id {
                        (key, Ok(record))
                    } else {
                        (rows::key_of(*id), Err(fault::broken("lies where its key does not belong")))
                    };
                    visit(Row { key, record });
                });
                if let Err(error) = lent {
                    visit(Row { key: rows::key_of(*id), record: Err(error) });
                }
            }
            Ok(ids.last().filter(|_| ids.len() == limit).map(|id| rows::key_of(*id)))
        })
    }

    fn sweep_now(&self, now: Timestamp) -> Result<Swept, Error> {
        let mut swept = Swept::default();
        let mut from = i64::MIN;
        loop {
            let last = self.write(|transaction| {
                let expired = "SELECT id FROM slot WHERE id >= ?1 AND expires < ?2 ORDER BY id LIMIT ?3";
                let ids = ids(transaction, expired, params![from, now.as_millis(), BATCH as i64])?;
                for id in &ids {
                    swept.chunks += delete(transaction, *id)?.unwrap_or(0);
                }
                swept.records += ids.len() as u64;
                Ok(ids.last().copied().filter(|_| ids.len() == BATCH))
            })?;
            match last.and_then(|last| last.checked_add(1)) {
                Some(next) => from = next,
                None => break,
            }
        }
        loop {
            let orphans = self.write(|transaction| {
                let old = now.minus(ORPHAN_AGE).as_millis();
                transaction
                    .prepare_cached(
                        "DELETE FROM chunk WHERE id IN (SELECT id FROM chunk WHERE written < ?1 AND body NOT IN \
                         (SELECT body FROM slot WHERE chunks > 0 AND typeof(body) = 'blob') LIMIT ?2)",
                    )
                    .and_then(|mut statement| statement.execute(params![old, BATCH as i64]))
                    .or_fail()
            })?;
            swept.chunks += orphans as u64;
            if orphans < BATCH {
                return Ok(swept);
            }
        }
    }

    fn stage_now(&self, body: BodyId, index: u32, sealed: &[u8], now: Timestamp) -> Result<(), Error> {
        self.write(|transaction| {
            let written = transaction
                .prepare_cached(
                    "INSERT OR REPLACE INTO chunk (id, body, n, written, sealed) VALUES (?1, ?2, ?3, ?4, ?5)",
                )
                .and_then(|mut statement| {
                    let id = rows::chunk_id(body, index);
                    statement.execute(params![id, body.as_bytes(), index, now.as_millis(), sealed])
                })
                .or_fail()?;
            must_have_written(written)?;
            self.make_room(transaction, None, now)
        })
    }

    fn chunk_now(&self, body: BodyId, index: u32, visit: OnChunk<'_>) -> Result<bool, Error> {
        self.read(|connection| {
            let mut statement =
                connection.prepare_cached("SELECT body, n, sealed FROM chunk WHERE id = ?1").or_fail()?;
            let mut found = statement.query([rows::chunk_id(body, index)]).or_fail()?;
            let Some(row) = found.next().or_fail()? else { return Ok(false) };
            if rows::blob(row, 0)? != body.as_bytes() || rows::integer(row, 1)? != i64::from(index) {
                return Ok(false);
            }
            visit(rows::blob(row, 2)?);
            Ok(true)
        })
    }

    fn clear_now(&self) -> Result<(), Error> {
        self.write(|transaction| transaction.execute_batch("DELETE FROM slot; DELETE FROM chunk").or_fail())?;
        self.with_writer(|connection| connection.execute_batch("VACUUM").or_fail())?;
        self.checkpoint()
    }
}

impl Store for Sqlite {
    fn id(&self) -> StoreId {
        self.id
    }

    fn get<'a>(&'a self, key: &'a Key, visit: OnRecord<'a>) -> Fut<'a, bool> {
        Box::pin(async move { self.get_now(key, visit) })
    }

    fn put<'a>(&'a self, key: &'a Key, record: Record<'a>) -> Fut<'a, ()> {
        Box::pin(async move { self.put_now(key, record) })
    }

    fn touch<'a>(&'a self, key: &'a Key, body: BodyId, record: Record<'a>) -> Fut<'a, bool> {
        Box::pin(async move { self.touch_now(key, body, record) })
    }

    fn remove<'a>(&'a self, key: &'a Key) -> Fut<'a, bool> {
        Box::pin(
            async move { self.write(|transaction| Ok(delete(transaction, rows::row_id(key))?.is_some())) },
        )
    }

    fn scan<'a>(&'a self, after: Option<Key>, limit: usize, visit: OnRow<'a>) -> Fut<'a, Option<Key>> {
        Box::pin(async move { self.scan_now(after, limit, visit) })
    }

    fn sweep(&self, now: Timestamp) -> Fut<'_, Swept> {
        Box::pin(async move { self.sweep_now(now) })
    }

    fn stage<'a>(&'a self, body: BodyId, index: u32, sealed: &'a [u8], now: Timestamp) -> Fut<'a, ()> {
        Box::pin(async move { self.stage_now(body, index, sealed, now) })
    }

    fn chunk<'a>(&'a self, body: BodyId, index: u32, visit: OnChunk<'a>) -> Fut<'a, bool> {
        Box::pin(async move { self.chunk_now(body, index, visit) })
    }

    fn clear(&self) -> Fut<'_, ()> {
        Box::pin(async move { self.clear_now() })
    }

    fn usage(&self) -> Fut<'_, Usage> {
        Box::pin(async move {
            self.read(|connection| {
                let records = number(connection, "SELECT count(*) FROM slot")?;
                Ok(Usage { records, bytes: used_bytes(connection)? })
            })
        })
    }

    fn inspect(&self) -> Fut<'_, Vec<String>> {
        Box::pin(async move {
            self.read(|connection| match schema::identify(connection)? {
                Identity::Ours { foreign } => Ok(foreign),
                Identity::Fresh => Err(fault::unusable("the store was emptied of its tables")),
            })
        })
    }

    fn close(&self) -> Fut<'_, ()> {
        Box::pin(async move { if self.writer.is_some() { self.checkpoint() } else { Ok(()) } })
    }
}

impl fmt::Debug for Sqlite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sqlite").field("id", &self.id).field("place", &self.place).finish_non_exhaustive()
    }
}

/// Lends the record of row `id`, with the key that it claims; `None`: there is no such row.
fn with_record<T>(
    connection: &Connection,
    id: i64,
    lend: impl FnOnce(Key, Record<'_>) -> T,
) -> Result<Option<T>, Error> {
    let mut statement = connection.prepare_cached(rows::RECORD).or_fail()?;
    let mut found = statement.query([id]).or_fail()?;
    let Some(row) = found.next().or_fail()? else { return Ok(None) };
    let (key, record) = rows::record(row)?;
    Ok(Some(lend(key, record)))
}

/// Takes row `id` away with the chunks it names, as far as its columns make sense. Returns how many; `None`: there was no such row.
fn delete(transaction: &Transaction<'_>, id: i64) -> Result<Option<u64>, Error> {
    let named = transaction
        .prepare_cached("DELETE FROM slot WHERE id = ?1 RETURNING body, chunks")
        .and_then(|mut statement| statement.query_row([id], |row| Ok(rows::chunks_named(row))).optional())
        .or_fail()?;
    let Some(named) = named else { return Ok(None) };
    let Some((body, count @ 1..)) = named else { return Ok(Some(0)) };
    let mut statement =
        transaction.prepare_cached("DELETE FROM chunk WHERE id BETWEEN ?1 AND ?2 AND body = ?3").or_fail()?;
    let (first, last) = (rows::chunk_id(body, 0), rows::chunk_id(body, count - 1));
    // Ranges and not each number, since the count is only a claim. Numbers wrap around.
    let ranges = if first <= last { [(first, last), (1, 0)] } else { [(first, i64::MAX), (i64::MIN, last)] };
    let mut deleted = 0;
    for (first, last) in ranges {
        deleted += statement.execute(params![first, last, body.as_bytes()]).or_fail()?;
    }
    Ok(Some(deleted as u64))
}

/// The oldest of a few records picked at random, an expired one before all others. Row ids are digests, so a run of
/// neighbours is a fair sample, and no index has to be kept up to date for it.
fn old_record(
    transaction: &Transaction<'_>,
    kept: Option<i64>,
    now: Timestamp,
) -> Result<Option<i64>, Error> {
    let random = getrandom::u64().map_err(|error| {
        Error::store(Trouble::Failed, "the system yields no random bytes").with_source(error)
    })?;
    let mut statement = transaction
        .prepare_cached(
            "SELECT id FROM (SELECT id, expires, written FROM slot WHERE id >= ?1 AND id IS NOT ?2 ORDER BY id LIMIT 16) \
             ORDER BY expires >= ?3, written LIMIT 1",
        )
        .or_fail()?;
    for from in [random.cast_signed(), i64::MIN] {
        let oldest = statement
            .query_row(params![from, kept, now.as_millis()], |row| row.get(0))
            .optional()
            .or_fail()?;
        if oldest.is_some() {
            return Ok(oldest);
        }
    }
    Ok(None)
}

/// Bytes of the pages that hold something.
fn used_bytes(connection: &Connection) -> Result<u64, Error> {
    let pages = number(connection, "PRAGMA page_count")?;
    let free = number(connection, "PRAGMA freelist_count")?;
    Ok(pages.saturating_sub(free) * number(connection, "PRAGMA page_size")?)
}

fn number(connection: &Connection, sql: &str) -> Result<u64, Error> {
    let number: i64 = connection
        .prepare_cached(sql)
        .and_then(|mut statement| statement.query_row([], |row| row.get(0)))
        .or_fail()?;
    Ok(number.unsigned_abs())
}

fn ids(connection: &Connection, sql: &str, params: impl rusqlite::Params) -> Result<Vec<i64>, Error> {
    let mut statement = connection.prepare_cached(sql).or_fail()?;
    let ids = statement.query_map(params, |row| row.get(0)).or_fail()?;
    ids.collect::<Result<_, _>>().or_fail()
}

/// Whoever can edit the file could make a write come to nothing; that must not look like success.
fn must_have_written(rows: usize) -> Result<(), Error> {
    if rows == 1 { Ok(()) } else { Err(fault::unusable("a write to the store had no effect")) }
}

#[cfg(test)]
mod tests;
