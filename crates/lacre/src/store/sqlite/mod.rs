//! The default store: one SQLite file, shared by threads and processes, and treated as if an
//! attacker had written it (docs/format.md §8). Reads borrow bytes from SQLite's memory.

pub(crate) mod connection;
mod error;
mod log;
mod maintenance;
mod open;
pub(crate) mod place;
mod rows;
mod schema;
mod statements;
mod transactions;

use super::eviction::{OrphanSearch, RecentReads};
use super::locks::{Locks, Purpose};
use super::{Fut, LeaseHolder, OnChunk, OnDisk, OnRecord, OnRow, Record, Store, Swept, Usage};
use crate::Error;
use crate::events::{Observer, Tracing};
use error::ResultExt;
use lacre_core::{Key, Timestamp};
use lacre_seal::{BodyId, StoreId};
use log::Log;
use maintenance::CLEAR;
use place::{Access, Frozen, Place};
use rusqlite::{Connection, Transaction};
use schema::Identity;
use std::fmt;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};

/// A [`Store`] in an SQLite file.
pub struct Sqlite {
    id: Mutex<StoreId>,
    place: Arc<Place>,
    /// For a read-only store: the state of the file when it was last opened, and how often it was
    /// reopened.
    frozen: Option<Mutex<(Frozen, u64)>>,
    options: Options,
    /// Dropped before the connections: the last connection copies the log into the file and removes
    /// it.
    log: Log,
    /// Writers of this process wait for this lock, not for the lock of the file.
    main: Mutex<Connection>,
    recent: RecentReads,
    idle: Mutex<Vec<Connection>>,
    searched: OrphanSearch,
    locks: Locks,
    /// Whether `main` runs a long operation.
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
    /// Limits the size of the file; 1 GiB by default. A write beyond the limit evicts expired
    /// records first, then the oldest of a random sample that were not read recently.
    #[must_use]
    pub fn max_bytes(mut self, bytes: u64) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// Limits the bytes of the file that are mapped into memory; 8 MiB by default, since they count
    /// as memory of the process. 0 disables it, for file systems that can fail during a read.
    #[must_use]
    pub fn mapped_bytes(mut self, bytes: u64) -> Self {
        self.mapped = bytes;
        self
    }

    /// Never writes, and does not create a missing file.
    #[must_use]
    pub fn read_only(mut self) -> Self {
        self.reads_only = true;
        self
    }

    /// If the file is damaged, of a newer version or not a store, renames it to
    /// `NAME.set-aside-MILLISECONDS` and creates a new one instead of failing. Nothing is deleted.
    #[must_use]
    pub fn set_aside_unusable(mut self) -> Self {
        self.sets_aside = true;
        self
    }

    /// Sets the observer of the store's events; [`Tracing`] by default.
    #[must_use]
    pub fn observer(mut self, observer: impl Observer) -> Self {
        self.observer = Arc::new(observer);
        self
    }

    /// Opens the store at `path`. Creates the file and missing directories for this user alone.
    ///
    /// # Errors
    /// [`ErrorKind::Store`](crate::ErrorKind::Store): the path is not safe, or the file is not a
    /// store, damaged, of a newer version or locked.
    pub fn open(self, path: impl AsRef<Path>) -> Result<Sqlite, Error> {
        open::open(path.as_ref(), self)
    }
}

impl Sqlite {
    /// Opens the store at `path` with the default [`Options`].
    ///
    /// # Errors
    /// As [`Options::open`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        Self::options().open(path)
    }

    /// The default options.
    #[must_use]
    pub fn options() -> Options {
        Options::default()
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

    fn trim(&self, max_bytes: u64, now: Timestamp) -> Fut<'_, Swept> {
        Box::pin(async move { self.trim_now(max_bytes, now).await })
    }

    fn lease<'a>(
        &'a self,
        key: &'a Key,
        holder: LeaseHolder,
        until: Timestamp,
        now: Timestamp,
    ) -> Fut<'a, bool> {
        Box::pin(async move {
            // Processes that wait for the lease poll it often, so the poll takes no lock.
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

    /// `None` while a write of this store is in progress.
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
