//! A wrapper that makes any store read-only.

use super::{Fut, LeaseHolder, OnChunk, OnDisk, OnRecord, OnRow, Record, Store, Swept, Usage, read_only};
use lacre_core::{Key, Timestamp};
use lacre_seal::{BodyId, StoreId};

/// Wraps a store and refuses every write with
/// [`StoreErrorKind::ReadOnly`](crate::StoreErrorKind::ReadOnly), as a store does that was opened
/// for reading. A cache over it serves stored responses, reports the refusal, and continues.
#[derive(Clone, Debug)]
pub struct ReadOnly<S>(S);

impl<S: Store> ReadOnly<S> {
    /// Wraps `store`.
    pub const fn new(store: S) -> Self {
        Self(store)
    }
}

fn refused<'a, T: 'a>() -> Fut<'a, T> {
    Box::pin(async { Err(read_only()) })
}

impl<S: Store> Store for ReadOnly<S> {
    fn id(&self) -> StoreId {
        self.0.id()
    }

    fn on_disk(&self) -> Option<OnDisk<'_>> {
        self.0.on_disk().map(|place| OnDisk { writable: false, ..place })
    }

    fn reset(&self) -> Fut<'_, StoreId> {
        refused()
    }

    fn get<'a>(&'a self, key: &'a Key, visit: OnRecord<'a>) -> Fut<'a, bool> {
        self.0.get(key, visit)
    }

    fn put<'a>(&'a self, _: &'a Key, _: Record<'a>) -> Fut<'a, ()> {
        refused()
    }

    fn touch<'a>(&'a self, _: &'a Key, _: Option<BodyId>, _: Record<'a>) -> Fut<'a, bool> {
        refused()
    }

    fn remove<'a>(&'a self, _: &'a Key) -> Fut<'a, bool> {
        refused()
    }

    fn scan<'a>(&'a self, after: Option<Key>, limit: usize, visit: OnRow<'a>) -> Fut<'a, Option<Key>> {
        self.0.scan(after, limit, visit)
    }

    fn sweep(&self, _: Timestamp) -> Fut<'_, Swept> {
        refused()
    }

    fn trim(&self, _: u64, _: Timestamp) -> Fut<'_, Swept> {
        refused()
    }

    fn lease<'a>(&'a self, _: &'a Key, _: LeaseHolder, _: Timestamp, _: Timestamp) -> Fut<'a, bool> {
        refused()
    }

    fn release<'a>(&'a self, _: &'a Key, _: LeaseHolder) -> Fut<'a, ()> {
        refused()
    }

    fn generation(&self) -> Option<u64> {
        self.0.generation()
    }

    fn stage<'a>(&'a self, _: BodyId, _: u32, _: &'a [u8], _: Timestamp) -> Fut<'a, ()> {
        refused()
    }

    fn unstage(&self, _: BodyId, _: u32) -> Fut<'_, ()> {
        refused()
    }

    fn chunk<'a>(&'a self, body: BodyId, index: u32, visit: OnChunk<'a>) -> Fut<'a, bool> {
        self.0.chunk(body, index, visit)
    }

    fn clear(&self) -> Fut<'_, ()> {
        refused()
    }

    fn usage(&self) -> Fut<'_, Usage> {
        self.0.usage()
    }

    fn inspect(&self) -> Fut<'_, Vec<String>> {
        self.0.inspect()
    }

    /// Nothing is pending in this wrapper, and closing the wrapped store could write to it.
    fn close(&self) -> Fut<'_, ()> {
        Box::pin(async { Ok(()) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Memory, suite};
    use std::sync::Arc;

    #[test]
    fn reads_succeed_and_writes_are_refused() {
        let store = Arc::new(Memory::new().unwrap());
        suite::run_reading(&store, &ReadOnly::new(store.clone()));
    }
}
