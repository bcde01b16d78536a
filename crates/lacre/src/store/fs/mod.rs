//! A store of files, one for each record (docs/format.md §12). Readers take no lock. Links, pipes
//! and foreign files in the place of its own files are not followed, waited for or trusted.
//!
//! A write creates a new file and renames it, so that a killed process leaves the old content or
//! the new. Like the log of SQLite, writes do not wait for the disk: after a power failure, the
//! last records may be missing or malformed. The blocks of removed files are not overwritten; they
//! held only sealed content.

mod bodies;
mod error;
mod folder;
mod inspect;
mod layout;
mod open;
mod records;
mod state;
mod sweep;
mod text;

use super::eviction::{OrphanSearch, RecentReads};
use super::locks::{Locks, Purpose};
use super::{
    Fut, LeaseHolder, OnChunk, OnDisk, OnRecord, OnRow, Record, Store, Swept, Usage, lease_end, no_random,
    read_only,
};
use crate::Error;
use crate::events::{Observer, Tracing};
use error::ResultExt;
use folder::Folder;
use lacre_core::{Key, Timestamp};
use lacre_seal::{BodyId, StoreId};
use state::{Change, State};
use std::fmt;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// A [`Store`] in a directory, with a file for each record. For up to about a million records;
/// [`Sqlite`](super::Sqlite) is faster and holds more.
pub struct Fs {
    id: Mutex<StoreId>,
    path: PathBuf,
    options: Options,
    access: Access,
    tree: Tree,
    state: State,
    recent: RecentReads,
    searched: OrphanSearch,
    locks: Locks,
}

/// How to open an [`Fs`] store.
#[derive(Clone, Debug)]
pub struct Options {
    max_bytes: u64,
    access: Access,
    observer: Arc<dyn Observer>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Access {
    ReadWrite,
    ReadOnly,
}

impl Default for Options {
    fn default() -> Self {
        Self { max_bytes: 1 << 30, access: Access::ReadWrite, observer: Arc::new(Tracing) }
    }
}

impl Options {
    /// Limits the size of all files, each rounded up to 4 KiB; 1 GiB by default. A write beyond the
    /// limit evicts records as in [`Sqlite`](super::sqlite::Options::max_bytes), and a few more, so
    /// that not every write has to evict.
    #[must_use]
    pub fn max_bytes(mut self, bytes: u64) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// Never writes, and does not create a missing directory.
    #[must_use]
    pub fn read_only(mut self) -> Self {
        self.access = Access::ReadOnly;
        self
    }

    /// Sets the observer of the store's events; [`Tracing`] by default.
    #[must_use]
    pub fn observer(mut self, observer: impl Observer) -> Self {
        self.observer = Arc::new(observer);
        self
    }

    /// Opens the store in the directory `path`. Creates a missing directory for this user alone.
    ///
    /// # Errors
    /// [`ErrorKind::Store`](crate::ErrorKind::Store): the directory is not safe, is used for
    /// something else, or holds a store of a newer version.
    pub fn open(self, path: impl AsRef<Path>) -> Result<Fs, Error> {
        open::open(path.as_ref(), self)
    }
}

/// The directories of a store.
#[derive(Debug)]
struct Tree {
    top: Folder,
    slots: Folder,
    bodies: Folder,
    leases: Folder,
    temp: Folder,
}

impl Fs {
    /// Opens the store in the directory `path` with the default [`Options`].
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

    /// Runs `work` under the lock of the writers.
    async fn change<T>(
        &self,
        purpose: Purpose,
        mut work: impl FnMut(&mut Change) -> Result<T, Error> + Send,
    ) -> Result<T, Error> {
        self.must_be_writable()?;
        self.locks.wait(purpose, || self.state.turns(), || self.state.change(&mut work)).await
    }

    /// The same for `work` that changes no record.
    async fn locked<T>(
        &self,
        purpose: Purpose,
        mut work: impl FnMut() -> Result<T, Error> + Send,
    ) -> Result<T, Error> {
        self.must_be_writable()?;
        self.locks.wait(purpose, || self.state.turns(), || self.state.locked(&mut work)).await
    }

    fn must_be_writable(&self) -> Result<(), Error> {
        if self.access == Access::ReadWrite { Ok(()) } else { Err(read_only()) }
    }

    /// Writes a temporary file with this content.
    fn write(&self, content: &[&[u8]]) -> Result<Written<'_>, Error> {
        self.must_be_writable()?;
        Written::new(&self.tree.temp, content)
    }

    async fn lease_now(
        &self,
        key: &Key,
        holder: LeaseHolder,
        until: Timestamp,
        now: Timestamp,
    ) -> Result<bool, Error> {
        let name = key.to_string();
        let is_free = || -> Result<bool, Error> {
            let there = line_of(&self.tree.leases, &name)?;
            let taken = there.as_deref().and_then(text::parse_lease).is_some_and(|(has, until)| {
                has != *holder.as_bytes() && until > now && until <= lease_end(Timestamp::MAX, now)
            });
            Ok(!taken)
        };
        // Processes that wait for the lease poll it often, so the poll takes no lock.
        if !is_free()? {
            return Ok(false);
        }
        let line = text::lease_line(holder, lease_end(until, now));
        let written = self.write(&[line.as_bytes()])?;
        let take = || Ok(is_free()? && written.place(&self.tree.leases, &name).map(|()| true)?);
        self.locked(Purpose::Lease, take).await
    }

    async fn release_now(&self, key: &Key, holder: LeaseHolder) -> Result<(), Error> {
        let name = key.to_string();
        self.locked(Purpose::Lease, || {
            let there = line_of(&self.tree.leases, &name)?;
            if there.as_deref().and_then(text::parse_lease).is_some_and(|(has, _)| has == *holder.as_bytes())
            {
                self.tree.leases.remove(&name).or_store_error()?;
            }
            Ok(())
        })
        .await
    }
}

/// The first line of a file; `None`: there is no such file, or no complete line.
fn line_of(folder: &Folder, name: &str) -> Result<Option<String>, Error> {
    use std::io::Read;
    let Some(file) = folder.file(name).or_store_error()? else { return Ok(None) };
    let mut start = Vec::with_capacity(text::MAX_LINE);
    file.take(text::MAX_LINE as u64).read_to_end(&mut start).or_store_error()?;
    Ok(text::split(&start).map(|(line, _)| line.to_owned()))
}

/// A temporary file, removed on drop unless it was renamed.
struct Written<'a> {
    temp: &'a Folder,
    name: String,
    length: u64,
}

impl<'a> Written<'a> {
    fn new(temp: &'a Folder, content: &[&[u8]]) -> Result<Self, Error> {
        let mut random = [0; 16];
        getrandom::fill(&mut random).map_err(no_random)?;
        let name = BodyId::from_bytes(random).to_string();
        let mut file = temp.create(&name).or_store_error()?;
        let length = content.iter().map(|part| part.len() as u64).sum();
        let written = Self { temp, name, length };
        for part in content {
            file.write_all(part).or_store_error()?;
        }
        Ok(written)
    }

    fn place(&self, folder: &Folder, name: &str) -> Result<(), Error> {
        self.temp.rename(&self.name, folder, name).or_store_error()
    }
}

impl Drop for Written<'_> {
    fn drop(&mut self) {
        // After the rename there is no such file. A sweep removes what this misses.
        let _ = self.temp.remove(&self.name);
    }
}

impl Store for Fs {
    fn id(&self) -> StoreId {
        *self.id.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn on_disk(&self) -> Option<OnDisk<'_>> {
        Some(OnDisk { path: &self.path, writable: self.access == Access::ReadWrite })
    }

    fn reset(&self) -> Fut<'_, StoreId> {
        Box::pin(async move {
            let id = StoreId::generate()?;
            // The id first: from now on, no earlier record opens.
            self.write(&[text::store_line(id).as_bytes()])?.place(&self.tree.top, layout::IDENTITY)?;
            *self.id.lock().unwrap_or_else(PoisonError::into_inner) = id;
            self.clear_now().await?;
            Ok(id)
        })
    }

    fn get<'a>(&'a self, key: &'a Key, visit: OnRecord<'a>) -> Fut<'a, bool> {
        Box::pin(async move { self.get_now(key, visit) })
    }

    fn put<'a>(&'a self, key: &'a Key, record: Record<'a>) -> Fut<'a, ()> {
        Box::pin(async move { self.replace(key, record, |_| true).await.map(drop) })
    }

    fn touch<'a>(&'a self, key: &'a Key, body: Option<BodyId>, record: Record<'a>) -> Fut<'a, bool> {
        Box::pin(async move {
            self.replace(key, record, |there| there.is_some_and(|there| there.body == body)).await
        })
    }

    fn remove<'a>(&'a self, key: &'a Key) -> Fut<'a, bool> {
        Box::pin(async move {
            let delete = |change: &mut Change| self.delete(key, |_| true, change);
            Ok(self.change(Purpose::Write, delete).await?.is_some())
        })
    }

    fn scan<'a>(&'a self, after: Option<Key>, limit: usize, visit: OnRow<'a>) -> Fut<'a, Option<Key>> {
        Box::pin(async move { self.scan_now(after, limit, visit) })
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
        Box::pin(async move { self.lease_now(key, holder, until, now).await })
    }

    fn release<'a>(&'a self, key: &'a Key, holder: LeaseHolder) -> Fut<'a, ()> {
        Box::pin(async move { self.release_now(key, holder).await })
    }

    /// `None` while a write is in progress.
    fn generation(&self) -> Option<u64> {
        self.state.writes_of_others()
    }

    fn stage<'a>(&'a self, body: BodyId, index: u32, sealed: &'a [u8], now: Timestamp) -> Fut<'a, ()> {
        Box::pin(async move { self.stage_now(body, index, sealed, now).await })
    }

    fn unstage(&self, body: BodyId, chunks: u32) -> Fut<'_, ()> {
        Box::pin(async move {
            let delete = |change: &mut Change| self.delete_chunks(body, chunks, change).map(drop);
            self.change(Purpose::Write, delete).await
        })
    }

    fn chunk<'a>(&'a self, body: BodyId, index: u32, visit: OnChunk<'a>) -> Fut<'a, bool> {
        Box::pin(async move { self.chunk_now(body, index, visit) })
    }

    fn clear(&self) -> Fut<'_, ()> {
        Box::pin(async move { self.clear_now().await })
    }

    fn usage(&self) -> Fut<'_, Usage> {
        Box::pin(async move { Ok(Usage { records: self.count_records()?, bytes: self.state.bytes()? }) })
    }

    fn inspect(&self) -> Fut<'_, Vec<String>> {
        Box::pin(async move { inspect::everything(&self.tree) })
    }

    /// Does nothing: no write is ever pending.
    fn close(&self) -> Fut<'_, ()> {
        Box::pin(async { Ok(()) })
    }
}

impl fmt::Debug for Fs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fs").field("id", &self.id()).field("path", &self.path).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
