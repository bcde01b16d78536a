//! What was read from the store, verified and decoded, kept in memory: a hit shares it without a copy of its body.
//!
//! What this cache writes or removes is forgotten here. Whether others have written is asked every [`LOOK`] at most
//! ([`Store::generation`](crate::store::Store::generation)); if they may have, an item is compared with the record in the store, by the
//! commitment of its seal, before it is used again. A record that is tampered with after it was read is found out when it is read again,
//! and not before.

use super::rollback::Mark;
use super::vault::{Handle, Loaded, Source, Vault, Wanted, moment};
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

/// Bounded in bytes; the least recently used goes first.
pub(super) struct Tier {
    shards: [Mutex<Shard>; SHARDS],
    /// How many bytes one shard may hold, and so the largest of its items.
    room: usize,
    looking: Interval,
    /// What the store said then; [`UNKNOWN`] where it could not tell.
    generation: AtomicU64,
}

/// How long the writes of others may go unseen.
const LOOK: Duration = Duration::from_millis(1);

const UNKNOWN: u64 = u64::MAX;

/// So that threads seldom wait for each other.
const SHARDS: usize = 16;

/// What an item weighs beside its bytes, about.
const OVERHEAD: usize = 512;

struct Shard {
    items: LruCache<Key, Arc<Item>>,
    bytes: usize,
    /// How many writes to the store are under way: what is read meanwhile may be from before them, and is not kept.
    writes: usize,
    /// How often something was forgotten: what was read before and kept after would come back.
    forgotten: u64,
}

struct Item {
    loaded: Loaded,
    weight: usize,
    /// Since when nobody else has written.
    generation: AtomicU64,
}

/// A write to the store under way. What lay under its key was forgotten when it began, since it may take effect at any moment.
pub(super) struct Outdating<'a>(Option<(&'a Tier, &'a Key)>);

impl Tier {
    pub(super) fn new(capacity: usize) -> Self {
        let shard =
            || Mutex::new(Shard { items: LruCache::new_unbounded(), bytes: 0, writes: 0, forgotten: 0 });
        Self {
            shards: std::array::from_fn(|_| shard()),
            room: capacity / SHARDS,
            looking: Interval::new(LOOK),
            generation: AtomicU64::new(UNKNOWN),
        }
    }

    fn generation(&self, store: &dyn Store) -> Option<u64> {
        if self.looking.is_due() {
            self.generation.store(store.generation().unwrap_or(UNKNOWN), Ordering::Relaxed);
        }
        Some(self.generation.load(Ordering::Relaxed)).filter(|generation| *generation != UNKNOWN)
    }

    pub(super) fn clear(&self) {
        self.shards.iter().for_each(|shard| lock(shard).clear());
    }

    fn shard(&self, key: &Key) -> MutexGuard<'_, Shard> {
        lock(&self.shards[usize::from(key.as_bytes()[30]) % SHARDS])
    }

    /// Keeps what was found when nobody else had written since `generation`, unless it was outdated meanwhile.
    fn keep(&self, key: &Key, loaded: &Loaded, generation: u64, forgotten: u64) {
        let weight = weight(&loaded.slot);
        let mut shard = self.shard(key);
        if weight > self.room || shard.writes > 0 || shard.forgotten != forgotten {
            return;
        }
        let item = Item { loaded: loaded.clone(), weight, generation: AtomicU64::new(generation) };
        shard.insert(*key, Arc::new(item));
        while shard.bytes > self.room {
            shard.evict();
        }
    }
}

fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    // Nothing foreign runs under the lock, so a panic cannot leave a shard half changed.
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

    fn forget(&mut self, key: &Key) {
        self.forgotten += 1;
        if let Some(item) = self.items.remove(key) {
            self.bytes -= item.weight;
        }
    }

    fn clear(&mut self) {
        self.forgotten += 1;
        self.items.clear();
        self.bytes = 0;
    }
}

impl Drop for Outdating<'_> {
    fn drop(&mut self) {
        if let Some((tier, key)) = self.0 {
            let mut shard = tier.shard(key);
            shard.writes -= 1;
            shard.forgotten += 1;
        }
    }
}

impl Vault {
    /// Like [`load`](Self::load), from memory where it lies there. A body in chunks that fits there is read whole, and so is one that is
    /// wanted whole and no longer than is read whole.
    pub(super) async fn find(
        &self,
        key: &Key,
        wanted: impl Fn(&Entry<BodyHead>) -> Wanted,
        now: Timestamp,
    ) -> Result<Option<Loaded>, Error> {
        if self.owed.has(key) {
            // What was made invalid is not served, be it there or not.
            return self.remove(key, now).await.map(|_| None).or(Ok(None));
        }
        let Some(tier) = &self.tier else { return self.load_whole(key, wanted, 0, now).await };
        let generation = tier.generation(&*self.store);
        let (item, forgotten) = {
            let mut shard = tier.shard(key);
            (shard.items.get(key).cloned(), shard.forgotten)
        };
        if let Some(item) = item
            && moment(now) <= item.loaded.seal.not_after
        {
            let is_current = generation == Some(item.generation.load(Ordering::Relaxed));
            if is_current || self.lies_there(key, item.loaded.mark).await? {
                if let Some(generation) = generation {
                    item.generation.store(generation, Ordering::Relaxed);
                }
                return Ok(Some(item.loaded.clone()));
            }
        }
        let Some(loaded) = self.load_whole(key, wanted, tier.room, now).await? else { return Ok(None) };
        if let Some(generation) = generation {
            tier.keep(key, &loaded, generation, forgotten);
        }
        Ok(Some(loaded))
    }

    /// Whether the record under `key` is still this one.
    ///
    /// # Errors
    /// It is this one again: it was seen to be replaced.
    async fn lies_there(&self, key: &Key, mark: Mark) -> Result<bool, Error> {
        let (known, mut same) = (self.newest.known(key), false);
        self.store.get(key, &mut |record| same = mark.is_of(record.sealed)).await?;
        if same {
            self.newest.found(key, known, mark)?;
        }
        Ok(same)
    }

    /// Says that what lies under `key` is being written or removed, until what this returns is dropped.
    pub(super) fn outdates<'a>(&'a self, key: &'a Key) -> Outdating<'a> {
        let tier = self.tier.as_ref();
        if let Some(tier) = tier {
            let mut shard = tier.shard(key);
            shard.writes += 1;
            shard.forget(key);
        }
        Outdating(tier.map(|tier| (tier, key)))
    }
}

/// How many bytes a slot takes, about.
fn weight(slot: &Slot<Handle>) -> usize {
    let headers = |headers: &HeaderMap| {
        headers.iter().map(|(name, value)| 64 + name.as_str().len() + value.len()).sum::<usize>()
    };
    OVERHEAD
        + match slot {
            Slot::Entry(entry) => {
                let body = match &entry.body.source {
                    Source::Whole(bytes) => bytes.len(),
                    // Of no use in memory, where only its head could lie.
                    Source::Chunks { .. } | Source::UnderWay(_) => return usize::MAX,
                };
                body + entry.url.len() + headers(&entry.headers) + headers(&entry.request_headers)
            }
            Slot::Vary(signpost) => 32 * (signpost.names.len() + signpost.variants.len()),
            Slot::Alias(_) => 0,
        }
}

impl fmt::Debug for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tier").field("room", &self.room).finish_non_exhaustive()
    }
}
