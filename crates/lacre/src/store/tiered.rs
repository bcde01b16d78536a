//! A fast store in front of a slow one. The front holds copies, sealed as in the back, and never
//! serves one that may be stale.
//!
//! A copy is discarded when another process writes, which the generation of the back tells, and
//! when this process writes its key. A copy read during such a write is not kept.

use super::{Fut, LeaseHolder, OnChunk, OnDisk, OnRecord, OnRow, OwnedRecord, Record, Store, Swept, Usage};
use crate::Error;
use futures_util::lock::Mutex as AsyncMutex;
use lacre_core::{Key, Timestamp};
use lacre_seal::{BodyId, StoreId};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A fast [`Store`] `Front`, such as [`Memory`](super::Memory), before a slow [`Store`] `Back`,
/// such as one on another machine.
///
/// Reads use the front, and copy missing records into it. Writes go to the back and discard the
/// copy. Chunks of bodies are read from the back. When another process has written to the back, the
/// whole front is discarded; while the back does not know ([`Store::generation`]), the front is not
/// used. The front belongs to this store alone and is cleared at first use. The back does not see
/// reads of the front, so it may evict records that are read often: give it more capacity.
#[derive(Debug)]
pub struct Tiered<Front, Back> {
    front: Front,
    back: Back,
    /// Held while the front is changed.
    changing: AsyncMutex<()>,
    current: Mutex<Current>,
}

/// Whether the copies in front are current.
#[derive(Debug, Default)]
struct Current {
    /// The generation of the back that the copies are from.
    generation: Option<u64>,
    /// The number of writes of this process in progress.
    writing: usize,
    /// The number of finished writes of this process.
    written: u64,
}

/// A state of the back. A copy read at one snapshot is kept only if nothing was written since.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Snapshot {
    generation: u64,
    written: u64,
}

impl<Front: Store, Back: Store> Tiered<Front, Back> {
    /// Puts `front` before `back`.
    pub fn new(front: Front, back: Back) -> Self {
        Self { front, back, changing: AsyncMutex::new(()), current: Mutex::default() }
    }

    fn current(&self) -> MutexGuard<'_, Current> {
        // No code under this lock can panic.
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Clears the front if another process has written since. `None`: not known, or a write of this
    /// process is in progress.
    async fn snapshot(&self) -> Result<Option<Snapshot>, Error> {
        let Some(mut generation) = self.back.generation() else { return Ok(None) };
        if self.current().generation != Some(generation) {
            let _changing = self.changing.lock().await;
            // Another thread may have cleared it meanwhile.
            let Some(now) = self.back.generation() else { return Ok(None) };
            generation = now;
            if self.current().generation != Some(now) {
                self.front.clear().await?;
                self.current().generation = Some(now);
            }
        }
        let current = self.current();
        Ok((current.writing == 0).then_some(Snapshot { generation, written: current.written }))
    }

    async fn read(&self, key: &Key, visit: OnRecord<'_>) -> Result<bool, Error> {
        let snapshot = self.snapshot().await?;
        if snapshot.is_some() && self.front.get(key, visit).await? {
            return Ok(true);
        }
        let mut copy = None;
        let found = self
            .back
            .get(key, &mut |record| {
                copy = (snapshot.is_some() && record.chunks == 0).then(|| record.to_owned());
                visit(record);
            })
            .await?;
        if let (Some(snapshot), Some(copy)) = (snapshot, copy) {
            self.keep(key, &copy, snapshot).await;
        }
        Ok(found)
    }

    /// Copies a record of the back to the front, unless a write may have happened meanwhile. A
    /// failure of the front is ignored: the back has the record.
    async fn keep(&self, key: &Key, copy: &OwnedRecord, read: Snapshot) {
        let _changing = self.changing.lock().await;
        let now = {
            let Current { generation, writing, written } = *self.current();
            generation.filter(|_| writing == 0).map(|generation| Snapshot { generation, written })
        };
        if now == Some(read) {
            let _ = self.front.put(key, copy.lend()).await;
        }
    }

    /// Runs a write to the back. First discards the copy of `key`, or without a key the whole
    /// front.
    async fn write<T>(
        &self,
        key: Option<&Key>,
        work: impl Future<Output = Result<T, Error>> + Send,
    ) -> Result<T, Error> {
        let _writing = Writing::begin(&self.current);
        {
            let _changing = self.changing.lock().await;
            match key {
                Some(key) => self.front.remove(key).await.map(drop)?,
                None => self.front.clear().await?,
            }
        }
        work.await
    }
}

/// Counts a write until it ends or is cancelled.
struct Writing<'a>(&'a Mutex<Current>);

impl<'a> Writing<'a> {
    fn begin(current: &'a Mutex<Current>) -> Self {
        current.lock().unwrap_or_else(PoisonError::into_inner).writing += 1;
        Self(current)
    }
}

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        let mut current = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        current.writing -= 1;
        current.written += 1;
    }
}

impl<Front: Store, Back: Store> Store for Tiered<Front, Back> {
    /// The id of the back, which all records are sealed to.
    fn id(&self) -> StoreId {
        self.back.id()
    }

    /// The place of the back.
    fn on_disk(&self) -> Option<OnDisk<'_>> {
        self.back.on_disk()
    }

    fn reset(&self) -> Fut<'_, StoreId> {
        Box::pin(self.write(None, self.back.reset()))
    }

    fn get<'a>(&'a self, key: &'a Key, visit: OnRecord<'a>) -> Fut<'a, bool> {
        Box::pin(self.read(key, visit))
    }

    fn put<'a>(&'a self, key: &'a Key, record: Record<'a>) -> Fut<'a, ()> {
        Box::pin(self.write(Some(key), self.back.put(key, record)))
    }

    fn touch<'a>(&'a self, key: &'a Key, body: Option<BodyId>, record: Record<'a>) -> Fut<'a, bool> {
        Box::pin(self.write(Some(key), self.back.touch(key, body, record)))
    }

    fn remove<'a>(&'a self, key: &'a Key) -> Fut<'a, bool> {
        Box::pin(self.write(Some(key), self.back.remove(key)))
    }

    fn scan<'a>(&'a self, after: Option<Key>, limit: usize, visit: OnRow<'a>) -> Fut<'a, Option<Key>> {
        self.back.scan(after, limit, visit)
    }

    fn sweep(&self, now: Timestamp) -> Fut<'_, Swept> {
        Box::pin(self.write(None, self.back.sweep(now)))
    }

    fn trim(&self, max_bytes: u64, now: Timestamp) -> Fut<'_, Swept> {
        Box::pin(self.write(None, self.back.trim(max_bytes, now)))
    }

    fn lease<'a>(
        &'a self,
        key: &'a Key,
        holder: LeaseHolder,
        until: Timestamp,
        now: Timestamp,
    ) -> Fut<'a, bool> {
        self.back.lease(key, holder, until, now)
    }

    fn release<'a>(&'a self, key: &'a Key, holder: LeaseHolder) -> Fut<'a, ()> {
        self.back.release(key, holder)
    }

    fn generation(&self) -> Option<u64> {
        self.back.generation()
    }

    fn stage<'a>(&'a self, body: BodyId, index: u32, sealed: &'a [u8], now: Timestamp) -> Fut<'a, ()> {
        self.back.stage(body, index, sealed, now)
    }

    fn unstage(&self, body: BodyId, chunks: u32) -> Fut<'_, ()> {
        self.back.unstage(body, chunks)
    }

    fn chunk<'a>(&'a self, body: BodyId, index: u32, visit: OnChunk<'a>) -> Fut<'a, bool> {
        self.back.chunk(body, index, visit)
    }

    fn clear(&self) -> Fut<'_, ()> {
        Box::pin(self.write(None, self.back.clear()))
    }

    fn usage(&self) -> Fut<'_, Usage> {
        self.back.usage()
    }

    fn inspect(&self) -> Fut<'_, Vec<String>> {
        Box::pin(async move {
            let mut findings = self.front.inspect().await?;
            findings.extend(self.back.inspect().await?);
            Ok(findings)
        })
    }

    fn close(&self) -> Fut<'_, ()> {
        Box::pin(async move {
            self.front.close().await?;
            self.back.close().await
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Memory, Sqlite, StoreExt, suite};
    use crate::wait;
    use bytes::Bytes;
    use std::path::PathBuf;
    use std::sync::Arc;
    use tempfile::TempDir;

    type Tier = Tiered<Arc<Memory>, Arc<Sqlite>>;

    /// A tiered store over a file.
    fn tier() -> (TempDir, PathBuf, Tier) {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("cache.sqlite");
        let back = Arc::new(Sqlite::open(&file).unwrap());
        (root, file, Tiered::new(Arc::new(Memory::new().unwrap()), back))
    }

    fn key(n: u8) -> Key {
        Key::from_bytes([n; 32])
    }

    fn record(sealed: &[u8]) -> Record<'_> {
        Record { body: None, chunks: 0, expires: Timestamp::MAX, written: Timestamp::default(), sealed }
    }

    fn sealed(store: &dyn Store, n: u8) -> Option<Bytes> {
        wait(store.fetch(&key(n))).unwrap().map(|record| record.sealed)
    }

    #[test]
    fn tiered_store_passes_the_suite() {
        let root = tempfile::tempdir().unwrap();
        let count = std::cell::Cell::new(0);
        suite::run(|| {
            count.set(count.get() + 1);
            let back = Sqlite::open(root.path().join(format!("{}.sqlite", count.get()))).unwrap();
            Box::new(Tiered::new(Memory::new().unwrap(), back))
        });
        suite::run(|| Box::new(Tiered::new(Memory::new().unwrap(), Memory::new().unwrap())));
    }

    #[test]
    fn second_read_is_served_by_the_front() {
        let (_root, _, tier) = tier();
        wait(tier.put(&key(1), record(b"x"))).unwrap();
        assert_eq!(sealed(&*tier.front, 1), None);
        assert_eq!(sealed(&tier, 1).unwrap(), "x");
        assert_eq!(sealed(&*tier.front, 1).unwrap(), "x");
        wait(tier.front.put(&key(1), record(b"from the front"))).unwrap();
        assert_eq!(sealed(&tier, 1).unwrap(), "from the front");
        assert_eq!(tier.id(), tier.back.id());
    }

    #[test]
    fn write_of_another_process_is_seen_at_once() {
        let (_root, file, tier) = tier();
        let other = Sqlite::open(file).unwrap();
        for n in 0..20 {
            wait(other.put(&key(1), record(&[n]))).unwrap();
            assert_eq!(sealed(&tier, 1).unwrap().as_ref(), [n]);
            assert_eq!(sealed(&tier, 1).unwrap().as_ref(), [n]);
            assert!(wait(other.remove(&key(1))).unwrap());
            assert_eq!(sealed(&tier, 1), None);
        }
    }

    #[test]
    fn leftovers_in_the_front_are_not_used() {
        let (_root, _, tier) = tier();
        wait(tier.front.put(&key(1), record(b"of an earlier run"))).unwrap();
        assert_eq!(sealed(&tier, 1), None);
    }

    #[test]
    fn readers_never_see_an_older_record_while_others_write() {
        let (_root, _, tier) = tier();
        wait(tier.put(&key(1), record(&0_u32.to_be_bytes()))).unwrap();
        let read = || {
            let bytes = sealed(&tier, 1).unwrap();
            u32::from_be_bytes(bytes.as_ref().try_into().unwrap())
        };
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    let mut last = 0;
                    while last < 300 {
                        let now = read();
                        assert!(now >= last, "{now} after {last}");
                        last = now;
                    }
                });
            }
            for n in 1..=300_u32 {
                wait(tier.put(&key(1), record(&n.to_be_bytes()))).unwrap();
                assert_eq!(read(), n);
            }
        });
    }
}
