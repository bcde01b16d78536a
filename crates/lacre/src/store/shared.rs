//! An `Arc` of a store is a store, so that several caches can share one, and its type can be chosen
//! at run time.

use super::{Fut, LeaseHolder, OnChunk, OnDisk, OnRecord, OnRow, Record, Store, Swept, Usage};
use lacre_core::{Key, Timestamp};
use lacre_seal::{BodyId, StoreId};
use std::sync::Arc;

impl<S: Store + ?Sized> Store for Arc<S> {
    fn id(&self) -> StoreId {
        (**self).id()
    }

    fn on_disk(&self) -> Option<OnDisk<'_>> {
        (**self).on_disk()
    }

    fn reset(&self) -> Fut<'_, StoreId> {
        (**self).reset()
    }

    fn get<'a>(&'a self, key: &'a Key, visit: OnRecord<'a>) -> Fut<'a, bool> {
        (**self).get(key, visit)
    }

    fn put<'a>(&'a self, key: &'a Key, record: Record<'a>) -> Fut<'a, ()> {
        (**self).put(key, record)
    }

    fn touch<'a>(&'a self, key: &'a Key, body: Option<BodyId>, record: Record<'a>) -> Fut<'a, bool> {
        (**self).touch(key, body, record)
    }

    fn remove<'a>(&'a self, key: &'a Key) -> Fut<'a, bool> {
        (**self).remove(key)
    }

    fn scan<'a>(&'a self, after: Option<Key>, limit: usize, visit: OnRow<'a>) -> Fut<'a, Option<Key>> {
        (**self).scan(after, limit, visit)
    }

    fn sweep(&self, now: Timestamp) -> Fut<'_, Swept> {
        (**self).sweep(now)
    }

    fn trim(&self, max_bytes: u64, now: Timestamp) -> Fut<'_, Swept> {
        (**self).trim(max_bytes, now)
    }

    fn lease<'a>(
        &'a self,
        key: &'a Key,
        holder: LeaseHolder,
        until: Timestamp,
        now: Timestamp,
    ) -> Fut<'a, bool> {
        (**self).lease(key, holder, until, now)
    }

    fn release<'a>(&'a self, key: &'a Key, holder: LeaseHolder) -> Fut<'a, ()> {
        (**self).release(key, holder)
    }

    fn generation(&self) -> Option<u64> {
        (**self).generation()
    }

    fn stage<'a>(&'a self, body: BodyId, index: u32, sealed: &'a [u8], now: Timestamp) -> Fut<'a, ()> {
        (**self).stage(body, index, sealed, now)
    }

    fn unstage(&self, body: BodyId, chunks: u32) -> Fut<'_, ()> {
        (**self).unstage(body, chunks)
    }

    fn chunk<'a>(&'a self, body: BodyId, index: u32, visit: OnChunk<'a>) -> Fut<'a, bool> {
        (**self).chunk(body, index, visit)
    }

    fn clear(&self) -> Fut<'_, ()> {
        (**self).clear()
    }

    fn usage(&self) -> Fut<'_, Usage> {
        (**self).usage()
    }

    fn inspect(&self) -> Fut<'_, Vec<String>> {
        (**self).inspect()
    }

    fn close(&self) -> Fut<'_, ()> {
        (**self).close()
    }
}
