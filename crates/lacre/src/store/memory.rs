//! A store in memory, limited in bytes. It evicts the least recently used record first.

use super::{
    Fut, LeaseHolder, ORPHAN_AGE, OnChunk, OnDisk, OnRecord, OnRow, OwnedRecord, Record, Row, Store, Swept,
    Usage, lease_end, unstaged,
};
use crate::{Error, StoreErrorKind};
use bytes::Bytes;
use hashlink::LruCache;
use lacre_core::{Key, Timestamp};
use lacre_seal::{BodyId, StoreId};
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The bytes that an item counts in addition to its sealed bytes, so that the limit also bounds the
/// number of items.
const OVERHEAD: usize = 256;

/// A [`Store`] in this process's memory.
pub struct Memory {
    id: StoreId,
    capacity: usize,
    held: Mutex<Held>,
}

impl Memory {
    /// The capacity of a store made by [`new`](Self::new): 64 MiB.
    pub const DEFAULT_CAPACITY: usize = 64 << 20;

    /// Creates an empty store of the default capacity.
    ///
    /// # Errors
    /// The operating system yields no random bytes for the id of the store.
    pub fn new() -> Result<Self, Error> {
        Self::with_capacity(Self::DEFAULT_CAPACITY)
    }

    /// Creates an empty store of up to `bytes`, including a small overhead for each record.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn with_capacity(bytes: usize) -> Result<Self, Error> {
        Ok(Self { id: StoreId::generate()?, capacity: bytes, held: Mutex::new(Held::default()) })
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        // No visitor runs under this lock, so a panic cannot leave the content half changed.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn insert(&self, held: &mut Held, place: Place, item: Item) -> Result<(), Error> {
        let chunks = item.chunks();
        let weights = chunks.clone().map(|place| held.items.peek(&place).map(Item::weight));
        let staged = weights.sum::<Option<usize>>().ok_or_else(unstaged)?;
        if item.weight() + staged > self.capacity {
            return Err(Error::store(StoreErrorKind::Full, "a record is larger than the whole memory store")
                .with_hint("give the store more capacity"));
        }
        let replaced = held.remove(&place);
        held.bytes += item.weight();
        if let Some(old) = replaced.filter(|old| old.body() != item.body()) {
            held.remove_chunks(&old);
        }
        held.items.insert(place, item);
        held.use_all(chunks);
        while held.bytes > self.capacity && held.evict().is_some() {}
        Ok(())
    }
}

impl Store for Memory {
    fn id(&self) -> StoreId {
        self.id
    }

    fn on_disk(&self) -> Option<OnDisk<'_>> {
        None
    }

    /// Always an error: a store in memory cannot be a copy.
    fn reset(&self) -> Fut<'_, StoreId> {
        Box::pin(async { Err(Error::store(StoreErrorKind::Failed, "a store in memory keeps its id")) })
    }

    fn get<'a>(&'a self, key: &'a Key, visit: OnRecord<'a>) -> Fut<'a, bool> {
        Box::pin(async move {
            let found = self.held().use_record(key);
            Ok(found.map(|record| visit(record.lend())).is_some())
        })
    }

    fn put<'a>(&'a self, key: &'a Key, record: Record<'a>) -> Fut<'a, ()> {
        Box::pin(async move {
            let item = Item::Record(record.to_owned());
            let mut held = self.held();
            self.insert(&mut held, Place::Record(*key), item)
        })
    }

    fn touch<'a>(&'a self, key: &'a Key, body: Option<BodyId>, record: Record<'a>) -> Fut<'a, bool> {
        Box::pin(async move {
            let item = Item::Record(record.to_owned());
            let place = Place::Record(*key);
            let mut held = self.held();
            match held.items.peek(&place) {
                Some(Item::Record(there)) if there.body == body => {
                    self.insert(&mut held, place, item)?;
                    Ok(true)
                }
                _ => Ok(false),
            }
        })
    }

    fn remove<'a>(&'a self, key: &'a Key) -> Fut<'a, bool> {
        Box::pin(async move { Ok(self.held().remove_with_chunks(key).is_some()) })
    }

    fn scan<'a>(&'a self, after: Option<Key>, limit: usize, visit: OnRow<'a>) -> Fut<'a, Option<Key>> {
        Box::pin(async move {
            let mut page = self.held().records_after(after);
            page.sort_unstable_by_key(|(key, _)| *key);
            let next = page.get(limit).and(limit.checked_sub(1)).map(|last| page[last].0);
            page.truncate(limit);
            for (key, record) in &page {
                visit(Row { key: *key, record: Ok(record.lend()) });
            }
            Ok(next)
        })
    }

    fn sweep(&self, now: Timestamp) -> Fut<'_, Swept> {
        Box::pin(async move { Ok(self.held().sweep(now)) })
    }

    fn trim(&self, max_bytes: u64, now: Timestamp) -> Fut<'_, Swept> {
        Box::pin(async move { Ok(self.held().trim(usize::try_from(max_bytes).unwrap_or(usize::MAX), now)) })
    }

    fn lease<'a>(
        &'a self,
        key: &'a Key,
        holder: LeaseHolder,
        until: Timestamp,
        now: Timestamp,
    ) -> Fut<'a, bool> {
        Box::pin(async move { Ok(self.held().lease(*key, holder, until, now)) })
    }

    fn release<'a>(&'a self, key: &'a Key, holder: LeaseHolder) -> Fut<'a, ()> {
        Box::pin(async move {
            let mut held = self.held();
            if held.leases.get(key).is_some_and(|(has, _)| *has == holder) {
                held.leases.remove(key);
            }
            Ok(())
        })
    }

    /// Constant: no other process can write.
    fn generation(&self) -> Option<u64> {
        Some(0)
    }

    fn stage<'a>(&'a self, body: BodyId, index: u32, sealed: &'a [u8], now: Timestamp) -> Fut<'a, ()> {
        Box::pin(async move {
            let item = Item::Chunk { sealed: Bytes::copy_from_slice(sealed), written: now };
            self.insert(&mut self.held(), Place::Chunk(body, index), item)
        })
    }

    fn unstage(&self, body: BodyId, chunks: u32) -> Fut<'_, ()> {
        Box::pin(async move {
            let mut held = self.held();
            places(body, chunks).for_each(|place| drop(held.remove(&place)));
            Ok(())
        })
    }

    fn chunk<'a>(&'a self, body: BodyId, index: u32, visit: OnChunk<'a>) -> Fut<'a, bool> {
        Box::pin(async move {
            let found = match self.held().items.get(&Place::Chunk(body, index)) {
                Some(Item::Chunk { sealed, .. }) => Some(sealed.clone()),
                _ => None,
            };
            Ok(found.map(|sealed| visit(&sealed)).is_some())
        })
    }

    fn clear(&self) -> Fut<'_, ()> {
        Box::pin(async move {
            *self.held() = Held::default();
            Ok(())
        })
    }

    fn usage(&self) -> Fut<'_, Usage> {
        Box::pin(async move {
            let held = self.held();
            let records = held.items.iter().filter(|(place, _)| matches!(place, Place::Record(_))).count();
            Ok(Usage { records: records as u64, bytes: held.bytes as u64 })
        })
    }

    fn inspect(&self) -> Fut<'_, Vec<String>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn close(&self) -> Fut<'_, ()> {
        Box::pin(async { Ok(()) })
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memory")
            .field("id", &self.id)
            .field("capacity", &self.capacity)
            .finish_non_exhaustive()
    }
}

/// The key of an item.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Place {
    Record(Key),
    Chunk(BodyId, u32),
}

enum Item {
    Record(OwnedRecord),
    Chunk { sealed: Bytes, written: Timestamp },
}

impl Item {
    fn weight(&self) -> usize {
        let (Self::Record(OwnedRecord { sealed, .. }) | Self::Chunk { sealed, .. }) = self;
        sealed.len() + OVERHEAD
    }

    fn body(&self) -> Option<BodyId> {
        if let Self::Record(record) = self { record.body } else { None }
    }

    /// The keys of the chunks of this record.
    fn chunks(&self) -> impl Iterator<Item = Place> + Clone + use<> {
        let count = if let Self::Record(record) = self { record.chunks } else { 0 };
        self.body().map(|body| places(body, count)).into_iter().flatten()
    }
}

/// The keys of the first `chunks` chunks of `body`.
fn places(body: BodyId, chunks: u32) -> impl Iterator<Item = Place> + Clone {
    (0..chunks).map(move |index| Place::Chunk(body, index))
}

/// Uses chunks before their record, so that the record is evicted first and takes them along.
struct Held {
    items: LruCache<Place, Item>,
    bytes: usize,
    leases: HashMap<Key, (LeaseHolder, Timestamp)>,
}

impl Default for Held {
    fn default() -> Self {
        Self { items: LruCache::new_unbounded(), bytes: 0, leases: HashMap::new() }
    }
}

impl Held {
    fn remove(&mut self, place: &Place) -> Option<Item> {
        let item = self.items.remove(place)?;
        self.bytes -= item.weight();
        Some(item)
    }

    fn use_record(&mut self, key: &Key) -> Option<OwnedRecord> {
        let item = self.items.get(&Place::Record(*key))?;
        let (Item::Record(record), chunks) = (item, item.chunks()) else { return None };
        let record = record.clone();
        self.use_all(chunks);
        Some(record)
    }

    fn use_all(&mut self, places: impl Iterator<Item = Place>) {
        for place in places {
            self.items.get(&place);
        }
    }

    /// Returns the number of removed chunks; `None`: there was no record.
    fn remove_with_chunks(&mut self, key: &Key) -> Option<u64> {
        let item = self.remove(&Place::Record(*key))?;
        Some(self.remove_chunks(&item))
    }

    fn remove_chunks(&mut self, of: &Item) -> u64 {
        of.chunks().filter(|place| self.remove(place).is_some()).count() as u64
    }

    /// Removes the least recently used item, a record with its chunks. `None`: the store is empty.
    fn evict(&mut self) -> Option<Swept> {
        let (_, item) = self.items.remove_lru()?;
        self.bytes -= item.weight();
        let chunks = self.remove_chunks(&item);
        Some(match item {
            Item::Record(_) => Swept { records: 1, chunks },
            Item::Chunk { .. } => Swept { records: 0, chunks: 1 },
        })
    }

    fn trim(&mut self, max_bytes: usize, now: Timestamp) -> Swept {
        let mut trimmed = if self.bytes > max_bytes { self.expire(max_bytes, now) } else { Swept::default() };
        while self.bytes > max_bytes
            && let Some(evicted) = self.evict()
        {
            trimmed += evicted;
        }
        trimmed
    }

    /// Removes expired records while the store holds more than `max_bytes`.
    fn expire(&mut self, max_bytes: usize, now: Timestamp) -> Swept {
        let mut swept = Swept::default();
        for (key, record) in self.records_after(None) {
            if record.expires < now && self.bytes > max_bytes {
                swept += Swept { records: 1, chunks: self.remove_with_chunks(&key).unwrap_or(0) };
            }
        }
        swept
    }

    fn lease(&mut self, key: Key, holder: LeaseHolder, until: Timestamp, now: Timestamp) -> bool {
        self.leases.retain(|_, (_, until)| *until > now);
        let (has, end) = self.leases.entry(key).or_insert((holder, until));
        if *has == holder {
            *end = lease_end(until, now);
        }
        *has == holder
    }

    fn records_after(&self, after: Option<Key>) -> Vec<(Key, OwnedRecord)> {
        let record = |(place, item): (&Place, &Item)| match (place, item) {
            (Place::Record(key), Item::Record(record)) if Some(*key) > after => Some((*key, record.clone())),
            _ => None,
        };
        self.items.iter().filter_map(record).collect()
    }

    fn sweep(&mut self, now: Timestamp) -> Swept {
        let mut swept = self.expire(0, now);
        let named: HashSet<_> = self.items.iter().filter_map(|(_, item)| item.body()).collect();
        let old = now.minus(ORPHAN_AGE);
        let orphan = |(place, item): (&Place, &Item)| match (place, item) {
            (Place::Chunk(body, _), Item::Chunk { written, .. })
                if *written < old && !named.contains(body) =>
            {
                Some(*place)
            }
            _ => None,
        };
        let orphans: Vec<_> = self.items.iter().filter_map(orphan).collect();
        for place in &orphans {
            self.remove(place);
        }
        swept.chunks += orphans.len() as u64;
        swept
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{StoreExt, suite};
    use crate::{ErrorKind, wait};

    fn record(sealed: &[u8]) -> Record<'_> {
        Record { body: None, chunks: 0, expires: Timestamp::MAX, written: Timestamp::default(), sealed }
    }

    fn key(n: u8) -> Key {
        Key::from_bytes([n; 32])
    }

    #[test]
    fn memory_store_passes_the_suite() {
        suite::run(|| Box::new(Memory::new().unwrap()));
    }

    #[test]
    fn least_recently_used_record_is_evicted_first() {
        let store = Memory::with_capacity(3 * (1000 + OVERHEAD)).unwrap();
        for n in 1..=3 {
            wait(store.put(&key(n), record(&[n; 1000]))).unwrap();
        }
        wait(store.fetch(&key(1))).unwrap().unwrap();
        wait(store.put(&key(4), record(&[4; 1000]))).unwrap();
        assert!(wait(store.fetch(&key(2))).unwrap().is_none());
        for n in [1, 3, 4] {
            assert!(wait(store.fetch(&key(n))).unwrap().is_some(), "{n}");
        }
        assert_eq!(wait(store.usage()).unwrap(), Usage { records: 3, bytes: 3 * (1000 + OVERHEAD as u64) });
    }

    #[test]
    fn evicted_record_takes_its_chunks_along() {
        let store = Memory::with_capacity(2000 + 3 * OVERHEAD).unwrap();
        let body = BodyId::generate().unwrap();
        wait(store.stage(body, 0, &[0; 500], Timestamp::default())).unwrap();
        wait(store.put(&key(1), Record { body: Some(body), chunks: 1, ..record(&[1; 500]) })).unwrap();
        wait(store.fetch_chunk(body, 0)).unwrap().unwrap();
        wait(store.put(&key(2), record(&[2; 1500]))).unwrap();
        assert!(wait(store.fetch(&key(1))).unwrap().is_none());
        assert!(wait(store.fetch_chunk(body, 0)).unwrap().is_none());
    }

    #[test]
    fn no_record_outlives_its_chunks() {
        let store = Memory::with_capacity(4 * (1000 + OVERHEAD)).unwrap();
        let body = BodyId::generate().unwrap();
        wait(store.stage(body, 0, &[0; 1000], Timestamp::default())).unwrap();
        wait(store.put(&key(1), Record { body: Some(body), chunks: 1, ..record(&[1; 1000]) })).unwrap();
        for n in 2..=4 {
            wait(store.put(&key(n), record(&[n; 1000]))).unwrap();
            let there = wait(store.fetch_chunk(body, 0)).unwrap().is_some();
            assert_eq!(wait(store.fetch(&key(1))).unwrap().is_some(), there, "after {n}");
        }
    }

    #[test]
    fn body_larger_than_the_store_is_refused_whole() {
        let store = Memory::with_capacity(3 * (1000 + OVERHEAD)).unwrap();
        let body = BodyId::generate().unwrap();
        for index in 0..4 {
            wait(store.stage(body, index, &[0; 1000], Timestamp::default())).unwrap();
        }
        let named = |chunks| Record { body: Some(body), chunks, ..record(&[1; 1000]) };
        assert!(wait(store.put(&key(1), named(4))).is_err());
        assert!(wait(store.fetch(&key(1))).unwrap().is_none());
    }

    #[test]
    fn record_larger_than_the_store_is_refused_and_nothing_is_lost() {
        let store = Memory::with_capacity(1000).unwrap();
        wait(store.put(&key(1), record(b"small"))).unwrap();
        let error = wait(store.put(&key(1), record(&[0; 1000]))).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Store(StoreErrorKind::Full));
        assert_eq!(wait(store.fetch(&key(1))).unwrap().unwrap().sealed, &b"small"[..]);
    }
}
