//! The default store: one SQLite file, shared by threads and processes, treated as if an enemy had written it
//! (docs/format.md §8). Reads lend bytes straight from SQLite's memory.

mod error;
mod log;
pub(crate) mod open;
mod rows;
mod schema;
mod statements;

use super::eviction::{OrphanSearch, RecentReads};
use super::locks::{LONGEST as LONGEST_WAIT, Locks, Purpose};
use super::{
    Fut, LeaseHolder, OnChunk, OnDisk, OnRecord, OnRow, Record, Store, Swept, Usage, no_room, read_only,
};
use crate::clock::MonotonicTime;
use crate::events::{Observer, Tracing};
use crate::{Error, StoreErrorKind};
use error::ResultExt;
use lacre_core::{Key, Timestamp};
use lacre_seal::{BodyId, StoreId};
use log::Log;
use open::{Access, Frozen, Place};
use rusqlite::{Connection, Transaction, TransactionBehavior};
use schema::Identity;
use std::fmt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};

/// A [`Store`] in an SQLite file.
pub struct Sqlite {
    id: Mutex<StoreId>,
    place: Arc<Place>,
    /// Of a store that is only read: what its file looked like when it was opened last, and how often it was opened anew.
    frozen: Option<Mutex<(Frozen, u64)>>,
    options: Options,
    /// Before the connections, of which the last brings the rest of it into the file and removes it.
    log: Log,
    /// Writes queue here rather than at the file's lock.
    main: Mutex<Connection>,
    recent: RecentReads,
    idle: Mutex<Vec<Connection>>,
    searched: OrphanSearch,
    locks: Locks,
    /// Whether `main` is at work that takes long.
    busy: AtomicBool,
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
            mapped: 8 << 20,
            reads_only: false,
            sets_aside: false,
            observer: Arc::new(Tracing),
        }
    }
}

impl Options {
    /// Bytes that the file may hold, 1 GiB by default. A write beyond makes room by taking away old records, by
    /// preference expired ones: the oldest of a random sample each time, those spared that were read lately.
    #[must_use]
    pub fn max_bytes(mut self, bytes: u64) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// Bytes of the file that are mapped into memory, 8 MiB by default, as they count as memory of the process; 0: none, which is safe on
    /// file systems that fail while being read.
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
    pub fn observer(mut self, observer: impl Observer) -> Self {
        self.observer = Arc::new(observer);
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

/// Takes everything away.
const CLEAR: &str = "DELETE FROM slot; DELETE FROM chunk; DELETE FROM lease";

/// How many orphans make room at a time.
const FEW: usize = 32;

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

    /// Reads on the connection that writes, where it is idle: what it wrote itself it need not read again. A connection that only reads
    /// forgets all it has in memory whenever somebody wrote.
    async fn read<T>(
        &self,
        mut work: impl FnMut(&Connection) -> Result<T, Error> + Send,
    ) -> Result<T, Error> {
        self.locks.wait(Purpose::Read, || None, || self.read_now(&mut work)).await
    }

    /// Reads on a connection of its own: for what takes long, so that no write waits for it.
    async fn read_beside<T>(
        &self,
        mut work: impl FnMut(&Connection) -> Result<T, Error> + Send,
    ) -> Result<T, Error> {
        self.locks.wait(Purpose::Read, || None, || self.read_beside_now(&mut work)).await
    }

    fn read_now<T>(&self, work: &mut impl FnMut(&Connection) -> Result<T, Error>) -> Result<T, Error> {
        self.thaw()?;
        let main = match self.main.try_lock() {
            Ok(main) => main,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return self.read_beside_now(work),
        };
        open::accept_records_only(&main)?;
        work(&main)
    }

    fn read_beside_now<T>(&self, work: &mut impl FnMut(&Connection) -> Result<T, Error>) -> Result<T, Error> {
        self.thaw()?;
        let idle = || self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = idle().pop();
        let connection = match kept {
            Some(connection) => connection,
            None => open::connect_reader(&self.place, &self.options)?,
        };
        let result = work(&connection);
        let mut idle = idle();
        if idle.len() < POOL {
            idle.push(connection);
        }
        result
    }

    /// Opens a file anew that was read as one that does not change, and that somebody has opened or written since. Returns how often that was.
    fn thaw(&self) -> Result<u64, Error> {
        let Some(frozen) = &self.frozen else { return Ok(0) };
        let mut frozen = frozen.lock().unwrap_or_else(PoisonError::into_inner);
        if frozen.0.is_frozen() {
            let now = Frozen::of(&self.place);
            if frozen.0 != now {
                let connection = open::connect(&self.place, &self.options)?;
                *self.main.lock().unwrap_or_else(PoisonError::into_inner) = connection;
                self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
                *frozen = (now, frozen.1 + 1);
            }
        }
        Ok(frozen.1)
    }

    fn with_writer<T>(&self, work: impl FnOnce(&mut Connection) -> Result<T, Error>) -> Result<T, Error> {
        if self.place.access != Access::ReadWrite {
            return Err(read_only());
        }
        let mut main = self.main()?;
        open::accept_everything(&main)?;
        work(&mut main)
    }

    /// The connection that writes. Others of this process are done with it in a moment, but for what takes long.
    fn main(&self) -> Result<MutexGuard<'_, Connection>, Error> {
        // A panic rolled its transaction back; the connection is as good as before.
        if !self.busy.load(Ordering::Acquire) {
            return Ok(self.main.lock().unwrap_or_else(PoisonError::into_inner));
        }
        match self.main.try_lock() {
            Ok(main) => Ok(main),
            Err(TryLockError::Poisoned(poisoned)) => Ok(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => Err(error::locked("the store is at other work")),
        }
    }

    async fn write<T: Send>(
        &self,
        work: impl FnMut(&Transaction<'_>) -> Result<T, Error> + Send,
    ) -> Result<T, Error> {
        self.write_for(Purpose::Write, work).await
    }

    async fn write_for<T: Send>(
        &self,
        purpose: Purpose,
        mut work: impl FnMut(&Transaction<'_>) -> Result<T, Error> + Send,
    ) -> Result<T, Error> {
        let attempt = || {
            self.with_writer(|connection| {
                let transaction =
                    connection.transaction_with_behavior(TransactionBehavior::Immediate).or_store_error()?;
                let done = work(&transaction)?;
                transaction.commit().or_store_error()?;
                Ok(done)
            })
        };
        let done = self.locks.wait(purpose, || self.place.activity(), attempt).await?;
        let begun = MonotonicTime::now();
        // Where the disk does not keep up, it is waited for.
        while !self.log.bring(&self.place, &self.options) && begun.elapsed() < LONGEST_WAIT {
            self.locks.nap().await;
        }
        Ok(done)
    }

    /// A write that adds: afterwards, orphans and then old records make room for what is more than the store may hold. `kept` stays.
    async fn add<T: Send>(
        &self,
        kept: Option<&Key>,
        now: Timestamp,
        mut work: impl FnMut(&Transaction<'_>) -> Result<T, Error> + Send,
    ) -> Result<T, Error> {
        self.write(|transaction| {
            let done = work(transaction)?;
            let most = self.options.max_bytes;
            self.make_room(transaction, most, kept, now, usize::MAX)?;
            if statements::used_bytes(transaction)? > most {
                return Err(no_room());
            }
            Ok(done)
        })
        .await
    }

    /// Takes orphans and then up to `limit` old records away until the file holds no more than `most` bytes. What lies under `kept` stays.
    fn make_room(
        &self,
        transaction: &Transaction<'_>,
        most: u64,
        kept: Option<&Key>,
        now: Timestamp,
        limit: usize,
    ) -> Result<Swept, Error> {
        let mut swept = Swept::default();
        let is_full = || Ok::<_, Error>(statements::used_bytes(transaction)? > most);
        while is_full()? {
            let orphans = self.drop_orphans(transaction, now)?;
            swept.chunks += orphans;
            if orphans == 0 {
                break;
            }
        }
        for _ in 0..limit {
            if !is_full()? {
                break;
            }
            let sample = statements::sample(transaction, kept, now)?;
            let Some(victim) = self.recent.victims(&sample).into_iter().next() else { break };
            let chunks = statements::delete(transaction, rows::row_id(&victim))?.unwrap_or(0);
            swept += Swept { records: 1, chunks };
        }
        Ok(swept)
    }

    /// Takes some orphans away, which only a process that was killed leaves behind.
    fn drop_orphans(&self, transaction: &Transaction<'_>, now: Timestamp) -> Result<u64, Error> {
        if self.searched.lately(now) {
            return Ok(0);
        }
        let some = statements::delete_orphans(transaction, now, FEW)?;
        if some == 0 {
            self.searched.in_vain(now);
        }
        Ok(some as u64)
    }

    /// Brings everything from the log into the file and empties the log: what was removed is then in neither.
    async fn checkpoint(&self) -> Result<(), Error> {
        while self.log.is_under_way() {
            self.locks.nap().await;
        }
        let attempt = || {
            let _busy = Busy::begin(&self.busy);
            let busy = self.with_writer(|connection| {
                connection
                    .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, bool>(0))
                    .or_store_error()
            })?;
            if busy {
                return Err(Error::store(
                    StoreErrorKind::Locked,
                    "another process kept the store's log in use",
                )
                .with_hint("close the store again when the other process is done"));
            }
            Ok(())
        };
        self.locks.wait(Purpose::Upkeep, || None, attempt).await
    }

    async fn sweep_now(&self, now: Timestamp) -> Result<Swept, Error> {
        let mut swept = Swept::default();
        self.upkeep(|transaction| statements::delete_leases(transaction, now, BATCH)).await?;
        let mut from = Some(i64::MIN);
        while let Some(id) = from {
            let (next, batch) = self
                .upkeep(|transaction| {
                    let expired = statements::expired(transaction, id, now, BATCH)?;
                    let mut batch = Swept { records: expired.len() as u64, chunks: 0 };
                    for id in &expired {
                        batch.chunks += statements::delete(transaction, *id)?.unwrap_or(0);
                    }
                    let last = expired.last().filter(|_| expired.len() == BATCH);
                    Ok((last.and_then(|last| last.checked_add(1)), batch))
                })
                .await?;
            swept += batch;
            from = next;
        }
        loop {
            let orphans =
                self.upkeep(|transaction| statements::delete_orphans(transaction, now, BATCH)).await?;
            swept.chunks += orphans as u64;
            if orphans < BATCH {
                return Ok(swept);
            }
        }
    }

    async fn upkeep<T: Send>(
        &self,
        work: impl FnMut(&Transaction<'_>) -> Result<T, Error> + Send,
    ) -> Result<T, Error> {
        self.write_for(Purpose::Upkeep, work).await
    }

    async fn trim_now(&self, most: u64, now: Timestamp) -> Result<Swept, Error> {
        let mut trimmed = Swept::default();
        while self.read(statements::used_bytes).await? > most {
            let batch =
                self.upkeep(|transaction| self.make_room(transaction, most, None, now, BATCH)).await?;
            if batch == Swept::default() {
                break;
            }
            trimmed += batch;
        }
        Ok(trimmed)
    }

    async fn clear_now(&self) -> Result<(), Error> {
        self.upkeep(|transaction| transaction.execute_batch(CLEAR).or_store_error()).await?;
        let vacuum = || {
            let _busy = Busy::begin(&self.busy);
            self.with_writer(|connection| connection.execute_batch("VACUUM").or_store_error())
        };
        self.locks.wait(Purpose::Upkeep, || None, vacuum).await?;
        self.checkpoint().await
    }
}

/// Says that `main` is at work that takes long, until this is dropped.
struct Busy<'a>(&'a AtomicBool);

impl<'a> Busy<'a> {
    fn begin(busy: &'a AtomicBool) -> Self {
        busy.store(true, Ordering::Release);
        Self(busy)
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

impl Store for Sqlite {
    fn id(&self) -> StoreId {
        *self.id.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn on_disk(&self) -> Option<OnDisk<'_>> {
        let writable = self.place.access == Access::ReadWrite;
        Some(OnDisk { path: &self.place.file, writable })
    }

    fn reset(&self) -> Fut<'_, StoreId> {
        Box::pin(async move {
            let id = StoreId::generate()?;
            self.upkeep(|transaction| {
                transaction.execute_batch(CLEAR).or_store_error()?;
                schema::set_store_id(transaction, id)
            })
            .await?;
            *self.id.lock().unwrap_or_else(PoisonError::into_inner) = id;
            Ok(id)
        })
    }

    fn get<'a>(&'a self, key: &'a Key, visit: OnRecord<'a>) -> Fut<'a, bool> {
        Box::pin(async move {
            let found = self.read(|connection| statements::lend_record(connection, key, &mut *visit)).await?;
            if found {
                self.recent.mark(key);
            }
            Ok(found)
        })
    }

    fn put<'a>(&'a self, key: &'a Key, record: Record<'a>) -> Fut<'a, ()> {
        Box::pin(async move {
            self.add(Some(key), record.written, |transaction| statements::insert(transaction, key, record))
                .await
        })
    }

    fn touch<'a>(&'a self, key: &'a Key, body: Option<BodyId>, record: Record<'a>) -> Fut<'a, bool> {
        Box::pin(async move {
            self.add(Some(key), record.written, |transaction| {
                statements::update(transaction, key, body, record)
            })
            .await
        })
    }

    fn remove<'a>(&'a self, key: &'a Key) -> Fut<'a, bool> {
        Box::pin(async move {
            self.write(|transaction| Ok(statements::delete(transaction, rows::row_id(key))?.is_some())).await
        })
    }

    fn scan<'a>(&'a self, after: Option<Key>, limit: usize, visit: OnRow<'a>) -> Fut<'a, Option<Key>> {
        Box::pin(async move {
            let from = after.map_or(Some(i64::MIN), |key| rows::row_id(&key).checked_add(1));
            let Some(from) = from else { return Ok(None) };
            self.read_beside(|connection| statements::lend_rows(connection, from, limit, &mut *visit)).await
        })
    }

    fn sweep(&self, now: Timestamp) -> Fut<'_, Swept> {
        Box::pin(async move { self.sweep_now(now).await })
    }

    fn trim(&self, most: u64, now: Timestamp) -> Fut<'_, Swept> {
        Box::pin(async move { self.trim_now(most, now).await })
    }

    fn lease<'a>(
        &'a self,
        key: &'a Key,
        holder: LeaseHolder,
        until: Timestamp,
        now: Timestamp,
    ) -> Fut<'a, bool> {
        Box::pin(async move {
            // Those who wait for somebody else ask often, and take no lock for it.
            let free = self.read(|connection| statements::may_lease(connection, key, holder, now)).await?;
            let lease =
                |transaction: &Transaction<'_>| statements::lease(transaction, key, holder, until, now);
            Ok(free && self.write_for(Purpose::Lease, lease).await?)
        })
    }

    fn release<'a>(&'a self, key: &'a Key, holder: LeaseHolder) -> Fut<'a, ()> {
        Box::pin(async move {
            let release = |transaction: &Transaction<'_>| statements::release(transaction, key, holder);
            self.write_for(Purpose::Lease, release).await
        })
    }

    /// While a write of this store is under way, there is no telling.
    fn generation(&self) -> Option<u64> {
        let opened = self.thaw().ok()?;
        Some(opened << 32 | statements::data_version(&*self.main.try_lock().ok()?).ok()?)
    }

    fn stage<'a>(&'a self, body: BodyId, index: u32, sealed: &'a [u8], now: Timestamp) -> Fut<'a, ()> {
        Box::pin(async move {
            self.add(None, now, |transaction| statements::insert_chunk(transaction, body, index, sealed, now))
                .await
        })
    }

    fn unstage(&self, body: BodyId, chunks: u32) -> Fut<'_, ()> {
        Box::pin(async move {
            self.write(|transaction| statements::delete_chunks(transaction, body, chunks).map(drop)).await
        })
    }

    fn chunk<'a>(&'a self, body: BodyId, index: u32, visit: OnChunk<'a>) -> Fut<'a, bool> {
        Box::pin(async move {
            self.read_beside(|connection| statements::lend_chunk(connection, body, index, &mut *visit)).await
        })
    }

    fn clear(&self) -> Fut<'_, ()> {
        Box::pin(async move { self.clear_now().await })
    }

    fn usage(&self) -> Fut<'_, Usage> {
        Box::pin(async move { self.read_beside(statements::usage).await })
    }

    fn inspect(&self) -> Fut<'_, Vec<String>> {
        Box::pin(async move {
            self.read_beside(|connection| match schema::identify(connection)? {
                Identity::Ours { foreign, .. } => Ok(foreign),
                Identity::Fresh => Err(error::unusable("the store was emptied of its tables")),
            })
            .await
        })
    }

    fn close(&self) -> Fut<'_, ()> {
        Box::pin(async move {
            if self.place.access == Access::ReadWrite { self.checkpoint().await } else { Ok(()) }
        })
    }
}

impl fmt::Debug for Sqlite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sqlite").field("id", &self.id()).field("place", &self.place).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
