//! Verified records kept in memory. A hit shares the decoded entry, without a copy of its body.
//!
//! A write or removal by this cache drops the record here. Writes by other processes are noticed by
//! the store's [generation](crate::store::Store::generation), which is read at most once per
//! [`GENERATION_INTERVAL`]. When it changed, a record is compared with the store's, by the
//! commitment of its seal, before it is used again. Tampering with a record that is in memory is
//! noticed when the record is next read from the store, and not before.

use super::rollback_guard::Version;
use super::vault::{BodyContent, BodyHandle, LoadedEntry, ReadPlan, Vault, seal_time};
use crate::Error;
use crate::clock::Interval;
use crate::codec::BodyHead;
use crate::store::Store;
use hashlink::LruCache;
use http::HeaderMap;
use lacre_core::{Entry, Key, Slot, Timestamp};
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

struct Item {
    loaded: LoadedEntry,
    weight: usize,
    /// The store's generation when this record was last known to be current.
    generation: AtomicU64,
}

/// A write to the store under way. The record under its key was dropped when the write began, since
/// the write may take effect at any moment.
pub(crate) struct InvalidationGuard<'a>(Option<(&'a MemoryCache, &'a Key)>);

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

    fn generation(&self, store: &dyn Store) -> Option<u64> {
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
    fn keep(&self, key: &Key, loaded: &LoadedEntry, generation: u64, drops: u64) {
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
        if let Some((cache, key)) = self.0 {
            let mut shard = cache.shard(key);
            shard.writes -= 1;
            shard.drops += 1;
        }
    }
}

impl Vault {
    /// Like [`load`](Self::load), from memory if the record is there and current. A body in chunks
    /// is read whole if it fits into memory, or is wanted whole and short enough.
    ///
    /// `B` is the caller's body handle.
    pub(crate) async fn find<B: From<BodyHandle>>(
        &self,
        key: &Key,
        plan: impl Fn(&Entry<BodyHead>) -> ReadPlan,
        now: Timestamp,
    ) -> Result<Option<LoadedEntry<B>>, Error> {
        if self.pending_removals.contains(key) {
            // An invalidated record is not served, whether or not it can be removed.
            return self.remove(key, now).await.map(|_| None).or(Ok(None));
        }
        let Some(cache) = &self.memory_cache else {
            return Ok(self.load_whole(key, plan, 0, now).await?.map(|loaded| loaded.map_body(B::from)));
        };
        let generation = cache.generation(&*self.store);
        let (item, drops) = {
            let mut shard = cache.shard(key);
            (shard.items.get(key).cloned(), shard.drops)
        };
        if let Some(item) = item
            && seal_time(now) <= item.loaded.seal.not_after
        {
            let is_current = generation == Some(item.generation.load(Ordering::Relaxed));
            if is_current || self.is_current(key, item.loaded.version).await? {
                if let Some(generation) = generation {
                    item.generation.store(generation, Ordering::Relaxed);
                }
                return Ok(Some(item.loaded.clone().map_body(B::from)));
            }
        }
        let Some(loaded) = self.load_whole(key, plan, cache.shard_capacity, now).await? else {
            return Ok(None);
        };
        if let Some(generation) = generation {
            cache.keep(key, &loaded, generation, drops);
        }
        Ok(Some(loaded.map_body(B::from)))
    }

    /// Whether the record under `key` is still this version.
    ///
    /// # Errors
    /// It is this version again after it was replaced: a rollback.
    async fn is_current(&self, key: &Key, version: Version) -> Result<bool, Error> {
        let (history, mut same) = (self.rollback_guard.history(key), false);
        self.store.get(key, &mut |record| same = version.matches(record.sealed)).await?;
        if same {
            self.rollback_guard.check_read(key, history, version)?;
        }
        Ok(same)
    }

    /// Drops the record under `key` from memory for as long as the returned guard lives: it is
    /// being written or removed.
    pub(crate) fn begin_invalidation<'a>(&'a self, key: &'a Key) -> InvalidationGuard<'a> {
        let cache = self.memory_cache.as_ref();
        if let Some(cache) = cache {
            let mut shard = cache.shard(key);
            shard.writes += 1;
            shard.drop_item(key);
        }
        InvalidationGuard(cache.map(|cache| (cache, key)))
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
