//! Stores of sealed records. A store moves opaque bytes by key and never sees a URL, a header or a
//! plaintext. The columns beside the sealed bytes are hints for lookup and sweeping, never trusted
//! (docs/format.md §7, §8, §12).
//!
//! [`Sqlite`] is the default, [`Fs`] keeps a file for each record, [`Memory`] lasts as long as the
//! process. [`Tiered`] and [`ReadOnly`] wrap other stores. [`open`] opens a store by its URL. Every
//! store passes the checks of `suite`.

#[cfg(any(feature = "sqlite", all(unix, feature = "fs")))]
mod eviction;
#[cfg(all(unix, feature = "fs"))]
pub mod fs;
#[cfg(any(feature = "sqlite", all(unix, feature = "fs")))]
mod locks;
mod memory;
#[cfg(any(feature = "sqlite", all(unix, feature = "fs")))]
mod on_disk;
mod open;
mod read_only;
mod shared;
#[cfg(feature = "sqlite")]
pub mod sqlite;
#[cfg(any(test, feature = "store-suite"))]
pub mod suite;
mod tiered;
mod url;

pub use self::url::{Medium, Open, OpenOptions, Scheme, StoreUrl};
#[cfg(all(unix, feature = "fs"))]
pub use fs::Fs;
pub use memory::Memory;
pub use open::{open, register, schemes, url_forms};
pub use read_only::ReadOnly;
#[cfg(feature = "sqlite")]
pub use sqlite::Sqlite;
pub use tiered::Tiered;

use crate::{Error, StoreErrorKind};
use bytes::Bytes;
use lacre_core::{Key, Timestamp};
use lacre_seal::{BodyId, StoreId};
use std::fmt::{self, Debug};
use std::ops::AddAssign;
use std::path::Path;
use std::pin::Pin;
use std::time::Duration;

/// The future that the methods of a store return. Embedded stores do their work in the first poll.
pub type Fut<'a, T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send + 'a>>;

/// A visitor that borrows a record for one call. No visitor may call the store that calls it.
pub type OnRecord<'a> = &'a mut (dyn FnMut(Record<'_>) + Send);

/// A visitor that borrows a row for one call.
pub type OnRow<'a> = &'a mut (dyn FnMut(Row<'_>) + Send);

/// A visitor that borrows a sealed chunk for one call.
pub type OnChunk<'a> = &'a mut (dyn FnMut(&[u8]) + Send);

/// The age at which [`Store::sweep`] removes a chunk that no record refers to (docs/format.md §7).
pub const ORPHAN_AGE: Duration = Duration::from_secs(60 * 60);

/// The longest duration of a [lease](Store::lease). A stored lease that ends later is not believed.
pub const MAX_LEASE: Duration = Duration::from_secs(5 * 60);

/// The holder of a [lease](Store::lease): 16 random bytes, unique across processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LeaseHolder([u8; 16]);

impl LeaseHolder {
    /// Generates a unique holder.
    ///
    /// # Errors
    /// The operating system yields no random bytes.
    pub fn generate() -> Result<Self, Error> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).map_err(no_random)?;
        Ok(Self(bytes))
    }

    /// The bytes that a store writes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

/// A record, borrowed. Only `sealed` is trusted, once it is authenticated; the caller compares the
/// other fields with it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// The body that the record describes; `None`: it has no body.
    pub body: Option<BodyId>,
    /// The number of chunks of the body; 0: the body is in `sealed`.
    pub chunks: u32,
    /// When the record is no longer useful.
    pub expires: Timestamp,
    /// When it was written.
    pub written: Timestamp,
    /// The envelope.
    pub sealed: &'a [u8],
}

impl Record<'_> {
    /// Copies the record.
    #[must_use]
    pub fn to_owned(&self) -> OwnedRecord {
        OwnedRecord {
            body: self.body,
            chunks: self.chunks,
            expires: self.expires,
            written: self.written,
            sealed: Bytes::copy_from_slice(self.sealed),
        }
    }
}

/// Leaves the sealed bytes out: they may be readable.
impl Debug for Record<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record")
            .field("body", &self.body)
            .field("chunks", &self.chunks)
            .field("expires", &self.expires)
            .field("written", &self.written)
            .field("sealed", &format_args!("{} bytes", self.sealed.len()))
            .finish()
    }
}

impl Debug for OwnedRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lend().fmt(f)
    }
}

/// A [`Record`] that owns its bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct OwnedRecord {
    /// As in [`Record`].
    pub body: Option<BodyId>,
    /// As in [`Record`].
    pub chunks: u32,
    /// As in [`Record`].
    pub expires: Timestamp,
    /// As in [`Record`].
    pub written: Timestamp,
    /// The envelope.
    pub sealed: Bytes,
}

impl OwnedRecord {
    /// Borrows the record.
    #[must_use]
    pub fn lend(&self) -> Record<'_> {
        Record {
            body: self.body,
            chunks: self.chunks,
            expires: self.expires,
            written: self.written,
            sealed: &self.sealed,
        }
    }
}

/// One row of a [`scan`](Store::scan).
#[derive(Debug)]
pub struct Row<'a> {
    /// The key of the row. For a row too damaged to tell, a key that [`Store::remove`] removes it
    /// by.
    pub key: Key,
    /// The record, or why it cannot be read.
    pub record: Result<Record<'a>, Error>,
}

/// What a [`sweep`](Store::sweep) or a [`trim`](Store::trim) removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Records.
    pub records: u64,
    /// Chunks of those records, and orphaned chunks.
    pub chunks: u64,
}

impl AddAssign for Swept {
    fn add_assign(&mut self, more: Self) {
        self.records += more.records;
        self.chunks += more.chunks;
    }
}

/// The place of a store on a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OnDisk<'a> {
    /// Its file or directory, with symbolic links resolved.
    pub path: &'a Path,
    /// Whether it is writable.
    pub writable: bool,
}

/// The size of a store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Records.
    pub records: u64,
    /// Bytes in use, including the store's own overhead as far as it is known.
    pub bytes: u64,
}

/// A store of sealed records and of the chunks of large bodies.
///
/// All methods are required, so that no wrapper forgets one; conveniences are in [`StoreExt`]. A
/// damaged row is an [`ErrorKind::Broken`](crate::ErrorKind::Broken) when it is asked for, and
/// affects no other row.
pub trait Store: Debug + Send + Sync + 'static {
    /// The id of the store, created with it. Every seal is bound to it, so a record copied to
    /// another store does not open there.
    fn id(&self) -> StoreId;

    /// The place of the store on a disk, if it has one. It tells a moved store from a copied one.
    fn on_disk(&self) -> Option<OnDisk<'_>>;

    /// Removes everything and gives the store a new id, so that no earlier record of it opens. For
    /// stores with a [place on a disk](Self::on_disk). No cache may use the store meanwhile.
    fn reset(&self) -> Fut<'_, StoreId>;

    /// Passes the record under `key` to `visit`. `false`: there is none, and `visit` was not
    /// called.
    fn get<'a>(&'a self, key: &'a Key, visit: OnRecord<'a>) -> Fut<'a, bool>;

    /// Puts `record` under `key` and removes the previous record with its chunks. Fails without a
    /// change if a chunk of `record` is missing: not [staged](Self::stage), or removed meanwhile.
    fn put<'a>(&'a self, key: &'a Key, record: Record<'a>) -> Fut<'a, ()>;

    /// Like [`put`](Self::put), but only if the record under `key` still has this `body` (`None`:
    /// still has no body). `false`: it does not, and nothing changed.
    fn touch<'a>(&'a self, key: &'a Key, body: Option<BodyId>, record: Record<'a>) -> Fut<'a, bool>;

    /// Removes the record under `key` and its chunks. Once the store is [closed](Self::close), they
    /// cannot be recovered. `false`: there was none.
    fn remove<'a>(&'a self, key: &'a Key) -> Fut<'a, bool>;

    /// Passes up to `limit` rows to `visit`, in a fixed order of the store, starting after `after`.
    /// Returns the key to continue after, or `None` at the end.
    ///
    /// Rows written meanwhile may or may not be seen. Rows that exist throughout are seen once.
    fn scan<'a>(&'a self, after: Option<Key>, limit: usize, visit: OnRow<'a>) -> Fut<'a, Option<Key>>;

    /// Removes the records that expired before `now`, and the chunks older than [`ORPHAN_AGE`] that
    /// no record refers to.
    fn sweep(&self, now: Timestamp) -> Fut<'_, Swept>;

    /// Removes records until the store holds at most `max_bytes`: expired ones first, then old ones
    /// that were not read recently. Does nothing if the store is small enough. It is no error if
    /// even an empty store is larger.
    fn trim(&self, max_bytes: u64, now: Timestamp) -> Fut<'_, Swept>;

    /// Takes or prolongs the lease on `key` for `holder`, until `until`, at most [`MAX_LEASE`] from
    /// now. `false`: another holder has it. When several processes miss the same response, the
    /// holder of the lease sends the request.
    ///
    /// A lease is advisory and ends by itself: nothing waits for it, and no write needs it.
    fn lease<'a>(
        &'a self,
        key: &'a Key,
        holder: LeaseHolder,
        until: Timestamp,
        now: Timestamp,
    ) -> Fut<'a, bool>;

    /// Releases the lease on `key` if `holder` has it.
    fn release<'a>(&'a self, key: &'a Key, holder: LeaseHolder) -> Fut<'a, ()>;

    /// A number that changes when another writer may have changed the store. While it stays the
    /// same, copies of stored records are current. `None`: not known right now. Cheap to read.
    ///
    /// Another writer is any that does not write through this value: two caches that keep copies of
    /// one store need a value each.
    fn generation(&self) -> Option<u64>;

    /// Stores chunk `index` of `body`. It is orphaned until a record with this `body` is put.
    fn stage<'a>(&'a self, body: BodyId, index: u32, sealed: &'a [u8], now: Timestamp) -> Fut<'a, ()>;

    /// Removes the first `chunks` chunks of `body`, which no record refers to.
    fn unstage(&self, body: BodyId, chunks: u32) -> Fut<'_, ()>;

    /// Passes chunk `index` of `body` to `visit`. `false`: there is none, and `visit` was not
    /// called.
    fn chunk<'a>(&'a self, body: BodyId, index: u32, visit: OnChunk<'a>) -> Fut<'a, bool>;

    /// Removes everything, so that it cannot be recovered.
    fn clear(&self) -> Fut<'_, ()>;

    /// The size of the store.
    fn usage(&self) -> Fut<'_, Usage>;

    /// What the store's file or directory holds that lacre did not write, such as a planted
    /// trigger: one printable line each.
    fn inspect(&self) -> Fut<'_, Vec<String>>;

    /// Writes pending data and erases removed records. The store stays usable.
    fn close(&self) -> Fut<'_, ()>;
}

/// The error for a record whose chunks are missing.
fn unstaged() -> Error {
    Error::store(StoreErrorKind::Failed, "the chunks of a body were removed before its record was written")
        .with_hint("fetch the response again")
}

fn read_only() -> Error {
    Error::store(StoreErrorKind::ReadOnly, "the store was opened for reading only")
        .with_hint("make it writable for this user, or choose another store")
}

fn no_random(error: getrandom::Error) -> Error {
    Error::store(StoreErrorKind::Failed, "the operating system yields no random bytes").with_source(error)
}

/// The end of a lease until `until`, limited to [`MAX_LEASE`].
fn lease_end(until: Timestamp, now: Timestamp) -> Timestamp {
    until.min(now.plus(MAX_LEASE))
}

/// Conveniences for every [`Store`].
pub trait StoreExt: Store {
    /// Copies the record under `key`.
    fn fetch<'a>(&'a self, key: &'a Key) -> Fut<'a, Option<OwnedRecord>> {
        Box::pin(async move {
            let mut found = None;
            self.get(key, &mut |record| found = Some(record.to_owned())).await?;
            Ok(found)
        })
    }

    /// Copies chunk `index` of `body`.
    fn fetch_chunk(&self, body: BodyId, index: u32) -> Fut<'_, Option<Bytes>> {
        Box::pin(async move {
            let mut found = None;
            self.chunk(body, index, &mut |sealed| found = Some(Bytes::copy_from_slice(sealed))).await?;
            Ok(found)
        })
    }

    /// Passes every row to `visit`, a page at a time, so that no lock is held throughout.
    fn each<'a>(&'a self, visit: OnRow<'a>) -> Fut<'a, ()> {
        const PAGE: usize = 256;
        Box::pin(async move {
            let mut after = None;
            loop {
                after = self.scan(after, PAGE, visit).await?;
                if after.is_none() {
                    return Ok(());
                }
            }
        })
    }
}

impl<S: Store + ?Sized> StoreExt for S {}
