//! Finding a record: in memory if it is current there, otherwise in the store.

use super::loaded::{BodyHandle, LoadedEntry, ReadPlan};
use super::memory_cache::InvalidationGuard;
use super::rollback_guard::Version;
use super::times::seal_time;
use super::vault::Vault;
use crate::Error;
use crate::codec::BodyHead;
use lacre_core::{Entry, Key, Timestamp};

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
        let (item, drops) = cache.get(key);
        if let Some(item) = item
            && seal_time(now) <= item.loaded.seal.not_after
            && (item.is_current_at(generation) || self.is_current(key, item.loaded.version).await?)
        {
            item.confirm(generation);
            return Ok(Some(item.loaded.clone().map_body(B::from)));
        }
        let Some(loaded) = self.load_whole(key, plan, cache.capacity(), now).await? else {
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
    pub(crate) fn begin_invalidation<'a>(&'a self, key: &'a Key) -> Option<InvalidationGuard<'a>> {
        self.memory_cache.as_ref().map(|cache| cache.begin_invalidation(key))
    }
}
