//! A fast store in front of a slow one. What lies in front is a copy, as sealed as the original, and never served once it may be out of
//! date.
//!
//! Three things make a copy old: another's write, which the back's generation tells; a write of ours, which takes the copy away first;
//! and a copy made while such a write was under way, which is not kept.

use super::{Fut, LeaseHolder, OnChunk, OnDisk, OnRecord, OnRow, OwnedRecord, Record, Store, Swept, Usage};
use crate::Error;
use futures_util::lock::Mutex as AsyncMutex;
use lacre_core::{Key, Timestamp};
use lacre_seal::{BodyId, StoreId};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A [`Store`] `Front`, such as [`Memory`](super::Memory), before a [`Store`] `Back`, such as one on another machine.
///
/// Records are read in front where they are there, and copied there when they are not; writes go to the back and take the copy away.
/// Bodies in chunks are read from the back. When somebody else has written to the back, everything in front goes; where the back cannot
/// tell ([`Store::generation`]), nothing in front is used. The front is this store's own, and is emptied at its first use.
/// To the back, a record that is read in front looks as if nobody read it: where that makes room often, give it more.
#[derive(Debug)]
pub struct Tiered<Front, Back> {
    front: Front,
    back: Back,
    /// Whoever changes what lies in front holds this.
    changing: AsyncMutex<()>,
    current: Mutex<Current>,
}

/// Whether what lies in front is as in the back.
#[derive(Debug, Default)]
struct Current {
    /// The back's generation that the front's copies are of.
    generation: Option<u64>,
    /// Writes of ours that are under way.
    writing: usize,
    /// How many writes of ours have ended.
    written: u64,
}

/// A snapshot, to be compared with a later one: a copy of what was read then is kept only if nobody wrote in between.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Snapshot {
    generation: u64,
    written: u64,
}

impl<Front: Store, Back: Store> Tiered<Front, Back> {
    /// `front` before `back`.
    pub fn new(front: Front, back: Back) -> Self {
        Self { front, back, changing: AsyncMutex::new(()), current: Mutex::default() }
    }

    fn current(&self) -> MutexGuard<'_, Current> {
        // Nothing that can panic runs under this lock.
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Empties the front if somebody else has written since. `None`: there is no telling, or a write of ours is under way.
    async fn snapshot(&self) -> Result<Option<Snapshot>, Error> {
        let Some(mut generation) = self.back.generation() else { return Ok(None) };
        if self.current().generation != Some(generation) {
            let _changing = self.changing.lock().await;
            // Another may have emptied it while this one waited.
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

    /// Puts what was read from the back in front, unless a write may have come between. Where the front fails, the back is still there.
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

    /// A write to the back: before it the copy of `key`, or where there is no key everything, is taken from the front.
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

/// Counts a write until it ends, be it by cancellation.
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
    /// The back's: it is what everything is sealed to.
    fn id(&self) -> StoreId {
        self.back.id()
    }

    /// The back's, too.
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

    fn trim(&self, most: u64, now: Timestamp) -> Fut<'_, Swept> {
        Box::pin(self.write(None, self.back.trim(most, now)))
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

    /// A tier over a file, and its two stores.
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
    fn a_tier_passes_the_suite() {
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
    fn what_was_read_once_is_read_in_front() {
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
    fn a_write_of_another_process_is_seen_at_once() {
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
    fn what_was_left_in_front_by_an_earlier_run_is_not_used() {
        let (_root, _, tier) = tier();
        wait(tier.front.put(&key(1), record(b"of an earlier run"))).unwrap();
        assert_eq!(sealed(&tier, 1), None);
    }

    #[test]
    fn no_reader_goes_back_in_time_while_others_write() {
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
