//! A verified record in memory: its slot, its seal, and as much of its body as was read.

use super::rollback_guard::Version;
use crate::codec::BodyHead;
use bytes::Bytes;
use lacre_core::{Sensitivity, Slot};
use lacre_seal::SealInfo;
use std::fmt;

/// The longest body that is stored inside its entry's record, in bytes. A longer one is cut into
/// chunks of this size (docs/format.md §7).
pub(crate) const CHUNK: usize = 256 << 10;

/// A verified record.
#[derive(Clone)]
pub(crate) struct LoadedEntry<B = BodyHandle> {
    pub(crate) slot: Slot<B>,
    pub(crate) seal: SealInfo,
    pub(crate) version: Version,
}

/// A stored body: its head, and as much of it as was read.
#[derive(Clone)]
pub(crate) struct BodyHandle {
    pub(crate) head: BodyHead,
    pub(crate) content: BodyContent,
    /// [`Sensitivity::Public`] if the record was found unencrypted.
    pub(crate) sensitivity: Sensitivity,
}

/// The part of a stored body that was read with its head.
#[derive(Clone)]
pub(crate) enum BodyContent {
    /// All of it.
    Whole(Bytes),
    /// At most one chunk, with its index. `all`: the request is answered with the whole body.
    Chunks { first: Option<(u32, Bytes)>, all: bool },
}

/// The part of a stored body that answers a request.
#[derive(Clone, Copy)]
pub(crate) enum ReadPlan {
    Nothing,
    /// Everything from this chunk on.
    From(u32),
    All,
}

/// Leaves out the content.
impl fmt::Debug for BodyHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BodyHandle").field("head", &self.head).finish_non_exhaustive()
    }
}

impl<B> LoadedEntry<B> {
    /// The same record with its body handle converted.
    pub(crate) fn map_body<C>(self, map: impl FnOnce(B) -> C) -> LoadedEntry<C> {
        let Self { slot, seal, version } = self;
        let slot = match slot {
            Slot::Entry(entry) => Slot::Entry(Box::new(entry.map_body(map))),
            Slot::Vary(index) => Slot::Vary(index),
            Slot::Alias(key) => Slot::Alias(key),
        };
        LoadedEntry { slot, seal, version }
    }
}

/// The sensitivity of a stored record: an encrypted record stays encrypted.
pub(crate) fn sensitivity_of(seal: &SealInfo) -> Sensitivity {
    if seal.suite.is_encrypted() { Sensitivity::Sensitive } else { Sensitivity::Public }
}

/// The index of the chunk that contains a byte of a body, and the byte's position in that chunk.
pub(crate) fn chunk_at(offset: u64) -> (u32, usize) {
    let size = CHUNK as u64;
    // A body has at most 2^32 chunks, and the remainder is less than a chunk.
    (u32::try_from(offset / size).unwrap_or(u32::MAX), (offset % size) as usize)
}
