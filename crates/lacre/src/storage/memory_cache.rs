//! Verified records kept in memory. A hit shares the decoded entry, without a copy of its body.
//!
//! A write or removal by this cache drops the record here. Writes by other processes are noticed by
//! the store's [generation](crate::store::Store::generation), which is read at most once per
//! [`GENERATION_INTERVAL`]. When it changed, a record is compared with the store's, by the
//! commitment of its seal, before it is used again. Tampering with a record that is in memory is
//! noticed when the record is next read from the store, and not before.

use super::loaded::{BodyContent, BodyHandle, LoadedEntry};
use crate::clock::Interval;
use crate::store::Store;
use hashlink::LruCache;
use http::HeaderMap;
use lacre_core::{Key, Slot};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A cache of verified records, bounded in bytes. The least recently used records go first.
pub(crate) struct MemoryCache {
    shards: [Mutex<Shard>; SHARDS],
    /// The capacity of one shard in bytes, and so the largest record that is kept.
    shard_capacity: usize,
    generation_interval: Interval,
    /// The store's generation when it was last read; [`UNKNOWN`] if the store has none.
    generation: AtomicU64,
}

/// How long writes by other processes may go unnoticed.
const GENERATION_INTERVAL: Duration = Duration::from_millis(1);

const UNKNOWN: u64 = u64::MAX;

/// Several, so that threads seldom wait for each other.
const SHARDS: usize = 16;

/// The approximate overhead of a cached record, in bytes.
const ITEM_OVERHEAD: usize = 512;

struct Shard {
    items: LruCache<Key, Arc<Item>>,
    bytes: usize,
    /// Writes to the store under way. A record read meanwhile may be from before them, and is not
    /// kept.
    writes: usize,
    /// How often a record was dropped. A record read before a drop must not be kept after it.
    drops: u64,
}

/// A cached record.
pub(crate) struct Item {
    pub(crate) loaded: LoadedEntry,
    weight: usize,
    /// The store's generation when this record was last known to be current.
    generation: AtomicU64,
}

/// A write to the store under way. The record under its key was dropped when the write began, since
/// the write may take effect at any moment.
pub(crate) struct InvalidationGuard<'a>(&'a MemoryCache, &'a Key);

impl MemoryCache {
    pub(crate) fn new(capacity: usize) -> Self {
        let shard = || Mutex::new(Shard { items: LruCache::new_unbounded(), bytes: 0, writes: 0, drops: 0 });
        Self {
            shards: std::array::from_fn(|_| shard()),
            shard_capacity: capacity / SHARDS,
            generation_interval: Interval::new(GENERATION_INTERVAL),
            generation: AtomicU64::new(UNKNOWN),
        }
    }

    /// The largest record that is kept, in bytes.
    pub(crate) fn capacity(&self) -> usize {
        self.shard_capacity
    }

    /// The record under `key`, and the count of drops to pass to [`keep`](Self::keep).
    pub(crate) fn get(&self, key: &Key) -> (Option<Arc<Item>>, u64) {
        let mut shard = self.shard(key);
        (shard.items.get(key).cloned(), shard.drops)
    }

    /// Drops the record under `key` for as long as the guard lives: it is being written or removed.
    pub(crate) fn begin_invalidation<'a>(&'a self, key: &'a Key) -> InvalidationGuard<'a> {
        let mut shard = self.shard(key);
        shard.writes += 1;
        shard.drop_item(key);
        InvalidationGuard(self, key)
    }

    /// The store's generation, read at most once per [`GENERATION_INTERVAL`]. `None`: it has none.
    pub(crate) fn generation(&self, store: &dyn Store) -> Option<u64> {
        if self.generation_interval.is_due() {
            self.generation.store(store.generation().unwrap_or(UNKNOWN), Ordering::Relaxed);
        }
        Some(self.generation.load(Ordering::Relaxed)).filter(|generation| *generation != UNKNOWN)
    }

    pub(crate) fn clear(&self) {
        self.shards.iter().for_each(|shard| lock(shard).clear());
    }

    fn shard(&self, key: &Key) -> MutexGuard<'_, Shard> {
        lock(&self.shards[usize::from(key.as_bytes()[30]) % SHARDS])
    }

    /// Keeps a record that was current at `generation`, unless it was dropped or written since
    /// `drops`.
    pub(crate) fn keep(&self, key: &Key, loaded: &LoadedEntry, generation: u64, drops: u64) {
        let weight = weight(&loaded.slot);
        let mut shard = self.shard(key);
        if weight > self.shard_capacity || shard.writes > 0 || shard.drops != drops {
            return;
        }
        let item = Item { loaded: loaded.clone(), weight, generation: AtomicU64::new(generation) };
        shard.insert(*key, Arc::new(item));
        while shard.bytes > self.shard_capacity {
            shard.evict();
        }
    }
}

fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    // No foreign code runs under the lock, so a panic cannot leave a shard half changed.
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shard {
    fn insert(&mut self, key: Key, item: Arc<Item>) {
        self.bytes += item.weight;
        if let Some(old) = self.items.insert(key, item) {
            self.bytes -= old.weight;
        }
    }

    fn evict(&mut self) {
        if let Some((_, item)) = self.items.remove_lru() {
            self.bytes -= item.weight;
        }
    }

    fn drop_item(&mut self, key: &Key) {
        self.drops += 1;
        if let Some(item) = self.items.remove(key) {
            self.bytes -= item.weight;
        }
    }

    fn clear(&mut self) {
        self.drops += 1;
        self.items.clear();
        self.bytes = 0;
    }
}

impl Drop for InvalidationGuard<'_> {
    fn drop(&mut self) {
        let Self(cache, key) = self;
        let mut shard = cache.shard(key);
        shard.writes -= 1;
        shard.drops += 1;
    }
}

impl Item {
    /// Whether the store had this generation when the record was last known to be current.
    pub(crate) fn is_current_at(&self, generation: Option<u64>) -> bool {
        generation == Some(self.generation.load(Ordering::Relaxed))
    }

    /// Records that the record is current at this generation.
    pub(crate) fn confirm(&self, generation: Option<u64>) {
        if let Some(generation) = generation {
            self.generation.store(generation, Ordering::Relaxed);
        }
    }
}

/// The approximate size of a record in memory, in bytes.
fn weight(slot: &Slot<BodyHandle>) -> usize {
    let headers = |headers: &HeaderMap| {
        headers.iter().map(|(name, value)| 64 + name.as_str().len() + value.len()).sum::<usize>()
    };
    ITEM_OVERHEAD
        + match slot {
            Slot::Entry(entry) => {
                let body = match &entry.body.content {
                    BodyContent::Whole(bytes) => bytes.len(),
                    // Only its head could be kept, which saves nothing.
                    BodyContent::Chunks { .. } => return usize::MAX,
                };
                body + entry.url.len() + headers(&entry.headers) + headers(&entry.request_headers)
            }
            Slot::Vary(index) => 32 * (index.names.len() + index.variants.len()),
            Slot::Alias(_) => 0,
        }
}

impl fmt::Debug for MemoryCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryCache").field("shard_capacity", &self.shard_capacity).finish_non_exhaustive()
    }
}
