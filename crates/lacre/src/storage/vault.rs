//! The vault: a store whose records are decoded, verified and bound to their place.
//!
//! A store's own columns are never believed. The head inside the seal names the body and its
//! chunks.

use super::loaded::{BodyContent, BodyHandle, CHUNK, LoadedEntry, ReadPlan, sensitivity_of};
use super::memory_cache::MemoryCache;
use super::namespace_list::Namespaces;
use super::pending_removals::PendingRemovals;
use super::rollback_guard::{History, RollbackGuard, Version};
use super::times::seal_time;
use crate::codec::{BodyHead, Formats};
use crate::stage::{StageId, Stages};
use crate::store::{Record, Store};
use crate::{Error, ErrorKind};
use bytes::Bytes;
use lacre_core::{Entry, Key, Slot, Timestamp};
use lacre_seal::{
    Authentic, BodyId, Context, Fault, FaultKind, Opened, Position, Purpose, SealInfo, Sealer, StoreId, Suite,
};

/// A store, with the keys, formats and stages to read and write it.
#[derive(Debug)]
pub(crate) struct Vault {
    pub(crate) store: Box<dyn Store>,
    pub(crate) store_id: StoreId,
    /// Opens every accepted suite, and seals records that may be left readable.
    pub(crate) sealer: Sealer,
    /// Seals records that must not be left readable.
    pub(crate) sensitive_sealer: Sealer,
    /// Opens every suite: to tell an unaccepted suite from tampering.
    pub(crate) any_suite: Sealer,
    pub(crate) namespace: String,
    pub(crate) namespaces: Namespaces,
    pub(crate) formats: Formats,
    pub(crate) stages: Stages,
    pub(crate) rollback_guard: RollbackGuard,
    pub(crate) pending_removals: PendingRemovals,
    pub(crate) memory_cache: Option<MemoryCache>,
    /// The longest body that is read whole before a request is answered with it, in bytes.
    pub(crate) read_whole: usize,
}

/// The place of a chunk in its body.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Chunk {
    pub(crate) body: BodyId,
    pub(crate) index: u32,
    pub(crate) position: Position,
}

impl Vault {
    /// Reads and verifies the record under `key`. If its body is in chunks, the first chunk of
    /// `plan` is read with it.
    pub(crate) async fn load(
        &self,
        key: &Key,
        plan: impl Fn(&Entry<BodyHead>) -> ReadPlan,
        now: Timestamp,
    ) -> Result<Option<LoadedEntry>, Error> {
        loop {
            let history = self.rollback_guard.history(key);
            let mut opened = None;
            self.store.get(key, &mut |record| opened = Some(self.open(key, &record, history, now))).await?;
            let Some(opened) = opened else { return Ok(None) };
            let (slot, inline, seal, version) = opened?;
            let entry = match slot {
                Slot::Vary(index) => {
                    return Ok(Some(LoadedEntry { slot: Slot::Vary(index), seal, version }));
                }
                Slot::Alias(key) => return Ok(Some(LoadedEntry { slot: Slot::Alias(key), seal, version })),
                Slot::Entry(entry) => *entry,
            };
            let first = match plan(&entry) {
                _ if entry.body.chunks == 0 => None,
                ReadPlan::Nothing => None,
                ReadPlan::From(index) => Some((index, false)),
                ReadPlan::All => Some((0, true)),
            };
            let content = match first {
                None if entry.body.chunks == 0 => {
                    BodyContent::Whole(self.undo_stages(&entry.body.stages, inline, entry.body.length)?)
                }
                None => BodyContent::Chunks { first: None, all: false },
                Some((index, all)) => match self.chunk(key, &entry.body, index, now).await? {
                    Some((chunk, _)) => BodyContent::Chunks { first: Some((index, chunk)), all },
                    None => {
                        self.check_replaced(key, entry.body.id, now).await?;
                        continue;
                    }
                },
            };
            let entry =
                entry.map_body(|head| BodyHandle { head, content, sensitivity: sensitivity_of(&seal) });
            return Ok(Some(LoadedEntry { slot: Slot::Entry(Box::new(entry)), seal, version }));
        }
    }

    /// Reads and verifies one chunk of a body, with its seal. `None`: the store does not have it.
    pub(crate) async fn chunk(
        &self,
        key: &Key,
        head: &BodyHead,
        index: u32,
        now: Timestamp,
    ) -> Result<Option<(Bytes, SealInfo)>, Error> {
        let Some(Opened { body, seal, .. }) = self.open_chunk(&self.sealer, key, head, index, now).await?
        else {
            return Ok(None);
        };
        let left = head.length.saturating_sub(u64::from(index) * CHUNK as u64);
        Ok(Some((self.undo_stages(&head.stages, body, left.min(CHUNK as u64))?, seal)))
    }

    /// Opens one chunk as it was sealed, with its stages still applied.
    pub(crate) async fn open_chunk(
        &self,
        sealer: &Sealer,
        key: &Key,
        head: &BodyHead,
        index: u32,
        now: Timestamp,
    ) -> Result<Option<Opened>, Error> {
        let context = self.context(key, chunk_purpose(head, index));
        let mut opened = None;
        let mut open = |sealed: &[u8]| {
            let chunk = sealer.open(&context, sealed, seal_time(now));
            opened = Some(chunk.map_err(|fault| self.refusal(&context, sealed, fault, now)));
        };
        self.store.chunk(head.id, index, &mut open).await?;
        opened.transpose()
    }

    /// Explains a chunk that the store does not have. `Ok`: its entry was replaced or removed
    /// meanwhile, and its chunks went with it, which is no fault.
    ///
    /// # Errors
    /// The entry under `key` still names `body`, so that a chunk was lost; or the store fails.
    pub(crate) async fn check_replaced(&self, key: &Key, body: BodyId, now: Timestamp) -> Result<(), Error> {
        if self.names(key, body, now).await? { Err(missing_chunk()) } else { Ok(()) }
    }

    /// Whether the entry under `key` names `body`.
    pub(crate) async fn names(&self, key: &Key, body: BodyId, now: Timestamp) -> Result<bool, Error> {
        let mut opened = None;
        self.store.get(key, &mut |record| opened = Some(self.open_head(key, &record, now))).await?;
        let slot = opened.transpose()?.map(|(slot, _)| slot);
        Ok(matches!(slot, Some(Slot::Entry(entry)) if entry.body.id == body))
    }

    fn open(
        &self,
        key: &Key,
        record: &Record<'_>,
        history: Option<History>,
        now: Timestamp,
    ) -> Result<(Slot<BodyHead>, Authentic, SealInfo, Version), Error> {
        let context = self.context(key, Purpose::Slot);
        let opened = self
            .sealer
            .open(&context, record.sealed, seal_time(now))
            .map_err(|fault| self.refusal(&context, record.sealed, fault, now))?;
        let version = Version::of(record.sealed, opened.seal.created);
        self.rollback_guard.check_read(key, history, version)?;
        Ok((self.formats.decode(&opened.head)?, opened.body, opened.seal, version))
    }

    /// Opens the head of `record`, without its body.
    pub(crate) fn open_head(
        &self,
        key: &Key,
        record: &Record<'_>,
        now: Timestamp,
    ) -> Result<(Slot<BodyHead>, SealInfo), Error> {
        let context = self.context(key, Purpose::Slot);
        let (head, seal) = self
            .sealer
            .open_head(&context, record.sealed, seal_time(now))
            .map_err(|fault| self.refusal(&context, record.sealed, fault, now))?;
        Ok((self.formats.decode(&head)?, seal))
    }

    /// The error for an envelope that does not open. It tells a setting from tampering: an envelope
    /// of an unaccepted suite is opened with that suite, and one that does not belong here is tried
    /// in the store's other namespaces ([decision
    /// 21](../../../../docs/decisions/0021-configuration-mismatch-is-not-tampering.md)).
    pub(crate) fn refusal(&self, at: &Context<'_>, sealed: &[u8], fault: Fault, now: Timestamp) -> Error {
        match fault.kind() {
            FaultKind::UnknownVersion(_) => {
                Error::new(ErrorKind::Unsupported, fault.to_string()).with_source(fault)
            }
            FaultKind::WrongSuite => match self.any_suite.open(at, sealed, seal_time(now)) {
                Ok(opened) => other_suite(opened.seal.suite).with_source(fault),
                Err(own) if own.kind() == FaultKind::WrongSuite => {
                    Error::new(ErrorKind::Unsupported, "this release does not know the envelope's suite")
                        .with_hint("open it with a newer release of lacre, or remove the record")
                        .with_source(own)
                }
                Err(own) if own.kind() == FaultKind::BadCommitment => self.misplaced(at, sealed, own, now),
                Err(own) => own.into(),
            },
            FaultKind::BadCommitment => self.misplaced(at, sealed, fault, now),
            _ => fault.into(),
        }
    }

    /// Undoes the stages of a body or of a chunk, which must become `length` bytes long.
    pub(crate) fn undo_stages(
        &self,
        stages: &[StageId],
        staged: Authentic,
        length: u64,
    ) -> Result<Bytes, Error> {
        let limit = usize::try_from(length).unwrap_or(usize::MAX);
        let bytes = self.stages.back(stages, staged, limit)?.into_bytes();
        if bytes.len() as u64 == length { Ok(bytes) } else { Err(wrong_length()) }
    }

    /// The place that a seal is bound to.
    pub(crate) fn context<'a>(&'a self, key: &'a Key, purpose: Purpose) -> Context<'a> {
        Context { purpose, store: &self.store_id, namespace: &self.namespace, key: key.as_bytes() }
    }
}

fn other_suite(suite: Suite) -> Error {
    Error::new(
        ErrorKind::SuiteMismatch(suite),
        format!("sealed with {suite}, which this cache does not accept"),
    )
    .with_hint("name that suite with Builder::suite, or accept it with Builder::also_accept")
}

/// The purpose that chunk `index` of a body is sealed for.
pub(crate) fn chunk_purpose(head: &BodyHead, index: u32) -> Purpose {
    let last = index.checked_add(1) == Some(head.chunks);
    let position = if last { Position::Last } else { Position::Inner };
    Purpose::Chunk { body: head.id, index, position }
}

pub(crate) fn missing_chunk() -> Error {
    Error::new(ErrorKind::Broken, "a chunk of the stored body is missing; fetch the response again")
}

pub(crate) fn wrong_length() -> Error {
    Error::new(ErrorKind::Broken, "the stored body is not as long as its head says; fetch the response again")
}
