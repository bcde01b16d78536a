//! Where sealed records are kept. A store moves opaque bytes by key: it never sees a URL, a header or a plaintext, and what
//! it knows besides the sealed bytes are hints for finding and sweeping, never truths (docs/format.md §7, §8, §12).
//!
//! [`Sqlite`] is the default, [`Fs`] keeps a file for each record, [`Memory`] forgets. [`Tiered`] and [`ReadOnly`] wrap others.
//! Every store passes the checks of `suite`.

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

/// What a store's methods return. Embedded stores do the work when first polled and answer at once.
pub type Fut<'a, T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send + 'a>>;

/// A function that is lent a record for the length of a call. Like every visitor, it must not call the store that calls it.
pub type OnRecord<'a> = &'a mut (dyn FnMut(Record<'_>) + Send);

/// A function that is lent a row for the length of a call.
pub type OnRow<'a> = &'a mut (dyn FnMut(Row<'_>) + Send);

/// A function that is lent a sealed chunk for the length of a call.
pub type OnChunk<'a> = &'a mut (dyn FnMut(&[u8]) + Send);

/// How old a chunk that no record names must be before [`Store::sweep`] takes it (docs/format.md §7).
pub const ORPHAN_AGE: Duration = Duration::from_secs(60 * 60);

/// The longest that a [lease](Store::lease) lasts: what a store says of a later end is not believed.
pub const MAX_LEASE: Duration = Duration::from_secs(5 * 60);

/// Who takes a [lease](Store::lease): 16 random bytes, told apart from every other holder in every process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LeaseHolder([u8; 16]);

impl LeaseHolder {
    /// One that is like no other.
    ///
    /// # Errors
    /// When the operating system yields no random bytes.
    pub fn generate() -> Result<Self, Error> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).map_err(no_random)?;
        Ok(Self(bytes))
    }

    /// The bytes that a store keeps.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

/// What lies under a key, lent. Only `sealed` is ever trusted; whoever opens it compares the rest.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// Which body this is the head of; `None` for a record that has no body.
    pub body: Option<BodyId>,
    /// How many chunks the body was cut into; 0: the body lies in `sealed`.
    pub chunks: u32,
    /// When the record stops being of use.
    pub expires: Timestamp,
    /// When it was written.
    pub written: Timestamp,
    /// The envelope.
    pub sealed: &'a [u8],
}

impl Record<'_> {
    /// The same with its own copy of the bytes.
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

/// Without what is sealed, which may be readable.
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
    /// The record, lent.
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
    /// Where it lies. Of a row too damaged to tell, a key under which [`Store::remove`] finds it.
    pub key: Key,
    /// What lies there, or why it cannot be read.
    pub record: Result<Record<'a>, Error>,
}

/// What a [`sweep`](Store::sweep) or a [`trim`](Store::trim) took away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Records.
    pub records: u64,
    /// Chunks that belonged to them, or to nothing.
    pub chunks: u64,
}

impl AddAssign for Swept {
    fn add_assign(&mut self, more: Self) {
        self.records += more.records;
        self.chunks += more.chunks;
    }
}

/// Where a store is on a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OnDisk<'a> {
    /// Its file or directory, free of links.
    pub path: &'a Path,
    /// Whether it can be written.
    pub writable: bool,
}

/// How much a store holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Records.
    pub records: u64,
    /// Bytes in use, the store's own overhead included as far as it is known.
    pub bytes: u64,
}

/// A place for sealed records and the chunks of large bodies.
///
/// All methods are required, so that a wrapper cannot lose one; conveniences are in [`StoreExt`]. A damaged row is an
/// [`ErrorKind::Broken`](crate::ErrorKind::Broken) for whoever asks for it, and stops nothing else.
pub trait Store: Debug + Send + Sync + 'static {
    /// The id made with the store: it is bound into every seal, so a record copied to another store does not open there.
    fn id(&self) -> StoreId;

    /// Where the store is on a disk, if it is: what tells a store that was moved from one that was copied.
    fn on_disk(&self) -> Option<OnDisk<'_>>;

    /// Takes everything away and gives the store another id, so that nothing opens that was sealed for it before. For a store that has a
    /// [place on a disk](Self::on_disk); no cache may be using it.
    fn reset(&self) -> Fut<'_, StoreId>;

    /// Lends what lies under `key` to `visit`. `false`: nothing does, and `visit` was not called.
    fn get<'a>(&'a self, key: &'a Key, visit: OnRecord<'a>) -> Fut<'a, bool>;

    /// Puts `record` under `key`, in place of what was there and the chunks of that. Fails, and changes nothing, where a chunk that
    /// `record` names is not there: it was not [staged](Self::stage), or taken away meanwhile.
    fn put<'a>(&'a self, key: &'a Key, record: Record<'a>) -> Fut<'a, ()>;

    /// Like [`put`](Self::put), but only while there is a record under `key` that still names `body` (`None`: that names none); `false`:
    /// there is not, and nothing changed.
    fn touch<'a>(&'a self, key: &'a Key, body: Option<BodyId>, record: Record<'a>) -> Fut<'a, bool>;

    /// Takes away what lies under `key`, chunks included. Once the store is [closed](Self::close), it cannot be recovered.
    /// `false`: nothing was there.
    fn remove<'a>(&'a self, key: &'a Key) -> Fut<'a, bool>;

    /// Lends up to `limit` rows to `visit`, in an order of the store's own that does not change, from the one after `after`.
    /// Returns the key to go on `after`, or `None` at the end.
    ///
    /// What is written meanwhile may or may not be seen; what was there all the time is seen once.
    fn scan<'a>(&'a self, after: Option<Key>, limit: usize, visit: OnRow<'a>) -> Fut<'a, Option<Key>>;

    /// Takes away the records that expired before `now`, and the chunks older than [`ORPHAN_AGE`] that no record names.
    fn sweep(&self, now: Timestamp) -> Fut<'_, Swept>;

    /// Takes records away until the store holds no more than `most` bytes: expired ones first, then old ones that were not read lately.
    /// Nothing is taken from a store that holds less; no error where even an empty store holds more.
    fn trim(&self, most: u64, now: Timestamp) -> Fut<'_, Swept>;

    /// Takes the lease on `key` for `holder`, or prolongs it, until `until` and no longer than [`MAX_LEASE`]. `false`: somebody else
    /// has it. Of several processes that miss the same response, the one that has the lease sends the request.
    ///
    /// A lease is advice among those who ask for it, and ends by itself: nothing waits for it, and no write needs it.
    fn lease<'a>(
        &'a self,
        key: &'a Key,
        holder: LeaseHolder,
        until: Timestamp,
        now: Timestamp,
    ) -> Fut<'a, bool>;

    /// Gives the lease on `key` back, where `holder` has it.
    fn release<'a>(&'a self, key: &'a Key, holder: LeaseHolder) -> Fut<'a, ()>;

    /// A number that differs from an earlier one when somebody else may have written meanwhile, so that copies of what the store held
    /// then can be used while it stays the same. `None`: there is no telling right now. Costs next to nothing.
    ///
    /// Somebody else is whoever does not write through this value: two that keep copies of one store need a value each.
    fn generation(&self) -> Option<u64>;

    /// Stores chunk `index` of `body`. It belongs to nothing until a record that names `body` is put.
    fn stage<'a>(&'a self, body: BodyId, index: u32, sealed: &'a [u8], now: Timestamp) -> Fut<'a, ()>;

    /// Takes away the first `chunks` chunks of `body`, which no record will ever name.
    fn unstage(&self, body: BodyId, chunks: u32) -> Fut<'_, ()>;

    /// Lends chunk `index` of `body` to `visit`. `false`: it is not there, and `visit` was not called.
    fn chunk<'a>(&'a self, body: BodyId, index: u32, visit: OnChunk<'a>) -> Fut<'a, bool>;

    /// Takes everything away, so that it cannot be recovered.
    fn clear(&self) -> Fut<'_, ()>;

    /// How much the store holds.
    fn usage(&self) -> Fut<'_, Usage>;

    /// What the store's medium holds that lacre did not put there (a planted trigger, say): one line each, safe to print.
    fn inspect(&self) -> Fut<'_, Vec<String>>;

    /// Writes out what is pending and leaves no trace of removed records. The store can still be used afterwards.
    fn close(&self) -> Fut<'_, ()>;
}

/// Why a record is not put that would name chunks which are not there.
fn unstaged() -> Error {
    Error::store(StoreErrorKind::Failed, "the chunks of a body were taken away before its record was written")
        .with_hint("fetch the response again")
}

fn read_only() -> Error {
    Error::store(StoreErrorKind::ReadOnly, "the store was opened for reading only")
        .with_hint("make it writable for this user, or choose another store")
}

fn no_random(error: getrandom::Error) -> Error {
    Error::store(StoreErrorKind::Failed, "the system yields no random bytes").with_source(error)
}

/// When a lease until `until` ends, if it is believed.
fn lease_end(until: Timestamp, now: Timestamp) -> Timestamp {
    until.min(now.plus(MAX_LEASE))
}

/// Conveniences that every [`Store`] has.
pub trait StoreExt: Store {
    /// A copy of what lies under `key`.
    fn fetch<'a>(&'a self, key: &'a Key) -> Fut<'a, Option<OwnedRecord>> {
        Box::pin(async move {
            let mut found = None;
            self.get(key, &mut |record| found = Some(record.to_owned())).await?;
            Ok(found)
        })
    }

    /// A copy of chunk `index` of `body`.
    fn fetch_chunk(&self, body: BodyId, index: u32) -> Fut<'_, Option<Bytes>> {
        Box::pin(async move {
            let mut found = None;
            self.chunk(body, index, &mut |sealed| found = Some(Bytes::copy_from_slice(sealed))).await?;
            Ok(found)
        })
    }

    /// Lends every row to `visit`, a page at a time, so that no lock is held throughout.
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
