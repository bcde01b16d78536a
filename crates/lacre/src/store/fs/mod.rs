//! A store of files: one for each record, in a directory of its own (docs/format.md §12). Readers take no lock; whatever lies where a file
//! of ours should is never followed, waited for or believed.
//!
//! A write is a new file that is renamed into its place, so that a killed process leaves the old content or the new. As in SQLite's log,
//! nothing waits for the disk: after a loss of power, records written last may be gone or broken. What a file system does with the
//! blocks of a removed file is its own affair; only sealed content was in them.

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

/// A [`Store`] in a directory, a file for each record. For up to about a million of them; [`Sqlite`](super::Sqlite) is faster and goes further.
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
    /// Bytes that the files may hold, 1 GiB by default, each rounded up to 4 KiB. A write beyond makes room as in
    /// [`Sqlite`](super::sqlite::Options::max_bytes), and a little more, so that not every write has to.
    #[must_use]
    pub fn max_bytes(mut self, bytes: u64) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// Never write, not even to make a missing directory.
    #[must_use]
    pub fn read_only(mut self) -> Self {
        self.access = Access::ReadOnly;
        self
    }

    /// Who is told of what is found in the directory; [`Tracing`] by default.
    #[must_use]
    pub fn observer(mut self, observer: impl Observer) -> Self {
        self.observer = Arc::new(observer);
        self
    }

    /// Opens the store in the directory `path`, made for this user alone if it is missing.
    ///
    /// # Errors
    /// [`ErrorKind::Store`](crate::ErrorKind::Store), with what is wrong: the directory is not safe, is in use for something else, or holds
    /// a store of a newer version.
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

    /// The default options, to be changed.
    #[must_use]
    pub fn options() -> Options {
        Options::default()
    }

    /// Runs `work` while nobody else writes.
    async fn change<T>(
        &self,
        purpose: Purpose,
        mut work: impl FnMut(&mut Change) -> Result<T, Error> + Send,
    ) -> Result<T, Error> {
        self.must_be_writable()?;
        self.locks.wait(purpose, || self.state.turns(), || self.state.change(&mut work)).await
    }

    /// The same for `work` that writes nothing that anybody keeps copies of.
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

    /// A file with this content that lies nowhere yet.
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
        // Those who wait for somebody else ask often, and take no lock for it.
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

/// The first line of a file; `None`: there is no such file, or no such line.
fn line_of(folder: &Folder, name: &str) -> Result<Option<String>, Error> {
    use std::io::Read;
    let Some(file) = folder.file(name).or_store_error()? else { return Ok(None) };
    let mut start = Vec::with_capacity(text::LONGEST_LINE);
    file.take(text::LONGEST_LINE as u64).read_to_end(&mut start).or_store_error()?;
    Ok(text::split(&start).map(|(line, _)| line.to_owned()))
}

/// A file that was written and is not in its place yet; gone again unless it gets there.
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
        // Once it is in its place, nothing has this name; otherwise a sweep takes what is left.
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
            // First of all: from now on, nothing opens that is there yet.
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
        Box::pin(async move { self.lease_now(key, holder, until, now).await })
    }

    fn release<'a>(&'a self, key: &'a Key, holder: LeaseHolder) -> Fut<'a, ()> {
        Box::pin(async move { self.release_now(key, holder).await })
    }

    /// While a write is under way, there is no telling.
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

    /// Nothing is ever pending.
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
