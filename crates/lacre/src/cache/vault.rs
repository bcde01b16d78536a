//! Slots in and out of a store: encoded, sealed to their place, and checked against it on the way back.
//!
//! What a store says beside the sealed bytes is never believed: the head inside the seal names the body and its chunks.

use super::namespaces::Namespaces;
use super::owed::Owed;
use super::passing::UnderWay;
use super::rollback::{Known, Mark, Newest};
use super::tier::Tier;
use crate::codec::{BodyHead, Formats};
use crate::stage::{StageId, Stages};
use crate::store::{Record, Store};
use crate::{Error, ErrorKind};
use bytes::Bytes;
use lacre_core::{Entry, Key, Pointer, Sensitivity, Slot, StoredBody, Timestamp, Touch};
use lacre_seal::{
    Authentic, BodyId, Context, Fault, FaultKind, Lifetime, Opened, Position, Purpose, SealInfo, Sealer,
    StoreId, Suite, UnixMillis,
};
use std::borrow::Cow;
use std::fmt;
use std::task::{self, Waker};

/// A store with what it takes to read and write it.
#[derive(Debug)]
pub(crate) struct Vault {
    pub(crate) store: Box<dyn Store>,
    pub(crate) store_id: StoreId,
    /// Opens everything, and seals what may be left readable, if anything may.
    pub(crate) sealer: Sealer,
    /// Seals what must not be left readable.
    pub(crate) secret_sealer: Sealer,
    /// Opens every suite: for what is not served, and to tell a setting from tampering.
    pub(crate) any: Sealer,
    pub(crate) namespace: String,
    pub(super) namespaces: Namespaces,
    pub(crate) formats: Formats,
    pub(crate) stages: Stages,
    pub(super) newest: Newest,
    pub(super) owed: Owed,
    pub(super) tier: Option<Tier>,
    /// The longest body that is read whole, for a request that is answered with all of it.
    pub(super) read_whole: usize,
}

/// What was found under a key.
#[derive(Clone)]
pub(crate) struct Loaded {
    pub(crate) slot: Slot<Handle>,
    pub(crate) seal: SealInfo,
    pub(super) mark: Mark,
}

/// Bodies up to this long lie in their entry's record; longer ones are cut into chunks of it (docs/format.md §7).
pub(crate) const CHUNK: usize = 256 << 10;

/// A handle on a stored body.
#[derive(Clone)]
pub(crate) struct Handle {
    pub(crate) head: BodyHead,
    pub(crate) source: Source,
    /// Whether its record was found readable.
    pub(crate) sensitivity: Sensitivity,
}

/// Without the content.
impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").field("head", &self.head).finish_non_exhaustive()
    }
}

/// Where a body is read from.
#[derive(Clone)]
pub(crate) enum Source {
    /// It lies in memory, as the network sent it.
    Whole(Bytes),
    /// It lies in chunks, of which one may have been read already, for a request that is answered with `all` of it or with a part.
    Chunks { first: Option<(u32, Bytes)>, all: bool },
    /// It comes from the network.
    UnderWay(UnderWay),
}

/// What of a stored body answers a request.
#[derive(Clone, Copy)]
pub(crate) enum Wanted {
    Nothing,
    /// What begins in this chunk.
    From(u32),
    All,
}

/// A chunk of a body.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Chunk {
    pub(crate) body: BodyId,
    pub(crate) index: u32,
    pub(crate) position: Position,
}

impl StoredBody for Handle {
    fn length(&self) -> u64 {
        self.head.length
    }
}

impl Vault {
    /// What lies under `key`, with what its seal says. Of a body in chunks, the first that is `wanted` is read with it.
    pub(crate) async fn load(
        &self,
        key: &Key,
        wanted: impl Fn(&Entry<BodyHead>) -> Wanted,
        now: Timestamp,
    ) -> Result<Option<Loaded>, Error> {
        let mut missed = None;
        loop {
            let known = self.newest.known(key);
            let mut opened = None;
            self.store.get(key, &mut |record| opened = Some(self.open(key, &record, known, now))).await?;
            let Some(opened) = opened else { return Ok(None) };
            let (slot, inline, seal, mark) = opened?;
            let entry = match slot {
                Slot::Vary(signpost) => return Ok(Some(Loaded { slot: Slot::Vary(signpost), seal, mark })),
                Slot::Alias(key) => return Ok(Some(Loaded { slot: Slot::Alias(key), seal, mark })),
                Slot::Entry(entry) => *entry,
            };
            let first = match wanted(&entry) {
                _ if entry.body.chunks == 0 => None,
                Wanted::Nothing => None,
                Wanted::From(index) => Some((index, false)),
                Wanted::All => Some((0, true)),
            };
            let source = match first {
                None if entry.body.chunks == 0 => {
                    Source::Whole(self.unstaged(&entry.body.stages, inline, entry.body.length)?)
                }
                None => Source::Chunks { first: None, all: false },
                Some((index, all)) => match self.chunk(key, &entry.body, index, now).await? {
                    Some((chunk, _)) => Source::Chunks { first: Some((index, chunk)), all },
                    // Where the entry was replaced or removed while it was read, its chunks went with it: that is no harm.
                    None if missed.replace(entry.body.id) != Some(entry.body.id) => continue,
                    None => return Err(missing_chunk()),
                },
            };
            let entry = entry.map_body(|head| Handle { head, source, sensitivity: sensitivity_of(&seal) });
            return Ok(Some(Loaded { slot: Slot::Entry(Box::new(entry)), seal, mark }));
        }
    }

    /// One chunk of a body, of the length that its place asks for, with what its seal says; `None`: it is not there.
    pub(crate) async fn chunk(
        &self,
        key: &Key,
        head: &BodyHead,
        index: u32,
        now: Timestamp,
    ) -> Result<Option<(Bytes, SealInfo)>, Error> {
        let Some(Opened { body, seal, .. }) = self.open_chunk(key, head, index, now).await? else {
            return Ok(None);
        };
        let left = head.length.saturating_sub(u64::from(index) * CHUNK as u64);
        Ok(Some((self.unstaged(&head.stages, body, left.min(CHUNK as u64))?, seal)))
    }

    /// The same as it was sealed, with all stages on.
    pub(super) async fn open_chunk(
        &self,
        key: &Key,
        head: &BodyHead,
        index: u32,
        now: Timestamp,
    ) -> Result<Option<Opened>, Error> {
        self.open_chunk_by(&self.sealer, key, head, index, now).await
    }

    pub(super) async fn open_chunk_by(
        &self,
        sealer: &Sealer,
        key: &Key,
        head: &BodyHead,
        index: u32,
        now: Timestamp,
    ) -> Result<Option<Opened>, Error> {
        let at = self.place(key, chunk_place(head, index));
        let mut opened = None;
        let mut open = |sealed: &[u8]| {
            let chunk = sealer.open(&at, sealed, moment(now));
            opened = Some(chunk.map_err(|fault| self.refusal(&at, sealed, fault, now)));
        };
        self.store.chunk(head.id, index, &mut open).await?;
        opened.transpose()
    }

    /// Whether what lies under `key` still names `body`.
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
        known: Option<Known>,
        now: Timestamp,
    ) -> Result<(Slot<BodyHead>, Authentic, SealInfo, Mark), Error> {
        let at = self.place(key, Purpose::Slot);
        let opened = self
            .sealer
            .open(&at, record.sealed, moment(now))
            .map_err(|fault| self.refusal(&at, record.sealed, fault, now))?;
        let mark = Mark::of(record.sealed, opened.seal.created);
        self.newest.found(key, known, mark)?;
        Ok((self.formats.decode(&opened.head)?, opened.body, opened.seal, mark))
    }

    /// What lies under `key`, but for its body: the head of `record`, opened.
    pub(crate) fn open_head(
        &self,
        key: &Key,
        record: &Record<'_>,
        now: Timestamp,
    ) -> Result<(Slot<BodyHead>, SealInfo), Error> {
        let at = self.place(key, Purpose::Slot);
        let (head, seal) = self
            .sealer
            .open_head(&at, record.sealed, moment(now))
            .map_err(|fault| self.refusal(&at, record.sealed, fault, now))?;
        Ok((self.formats.decode(&head)?, seal))
    }

    /// Why an envelope does not open, with what is a setting told from tampering: one of a suite that is not accepted is opened by its own
    /// suite, and one that does not belong here is looked for in the other namespaces of the store.
    pub(super) fn refusal(&self, at: &Context<'_>, sealed: &[u8], fault: Fault, now: Timestamp) -> Error {
        match fault.kind() {
            FaultKind::UnknownVersion(_) => {
                Error::new(ErrorKind::Unsupported, fault.to_string()).with_source(fault)
            }
            FaultKind::WrongSuite => match self.any.open(at, sealed, moment(now)) {
                Ok(opened) => other_suite(opened.seal.suite).with_source(fault),
                Err(own) if own.kind() == FaultKind::WrongSuite => {
                    Error::new(ErrorKind::Unsupported, "the envelope's suite is unknown to this release")
                        .with_hint("open it with a newer one, or remove the record")
                        .with_source(own)
                }
                Err(own) if own.kind() == FaultKind::BadCommitment => self.misplaced(at, sealed, own, now),
                Err(own) => own.into(),
            },
            FaultKind::BadCommitment => self.misplaced(at, sealed, fault, now),
            _ => fault.into(),
        }
    }

    /// Writes an entry with its whole body, which is no longer than [`CHUNK`]. Returns the size of the sealed record.
    pub(crate) async fn put_inline(
        &self,
        key: &Key,
        sensitivity: Sensitivity,
        entry: Entry<()>,
        body: &[u8],
        retain_until: Timestamp,
        now: Timestamp,
    ) -> Result<usize, Error> {
        let (head, staged) = self.staged(BodyId::generate()?, body)?;
        let entry = Slot::Entry(Box::new(entry.with_body(head.clone())));
        let sealed = self.seal_slot(key, sensitivity, &entry, &staged, retain_until, now)?;
        self.put(key, record(&head, &sealed, retain_until, now)).await?;
        Ok(sealed.len())
    }

    /// Writes the head of an entry whose chunks were staged. Returns the size of the sealed record.
    pub(crate) async fn put_head(
        &self,
        key: &Key,
        sensitivity: Sensitivity,
        entry: Entry<BodyHead>,
        retain_until: Timestamp,
        now: Timestamp,
    ) -> Result<usize, Error> {
        let head = entry.body.clone();
        let sealed =
            self.seal_slot(key, sensitivity, &Slot::Entry(Box::new(entry)), &[], retain_until, now)?;
        self.put(key, record(&head, &sealed, retain_until, now)).await?;
        Ok(sealed.len())
    }

    /// Writes news about an entry over the same body; does nothing where that body was replaced meanwhile.
    pub(crate) async fn touch(&self, touch: Touch<Handle>, now: Timestamp) -> Result<(), Error> {
        let Touch { key, entry, sensitivity, retain_until } = touch;
        let sensitivity = sensitivity.max(entry.body.sensitivity);
        let Handle { head, source, .. } = entry.body.clone();
        let (head, staged) = match &source {
            Source::Whole(bytes) if head.chunks == 0 => self.staged(head.id, bytes)?,
            _ => (head, Cow::default()),
        };
        let slot = Slot::Entry(Box::new(entry.with_body(head.clone())));
        let sealed = self.seal_slot(&key, sensitivity, &slot, &staged, retain_until, now)?;
        self.replace(&key, Some(head.id), record(&head, &sealed, retain_until, now)).await?;
        Ok(())
    }

    /// A body after the stages, and the head that says so.
    fn staged<'a>(&self, id: BodyId, body: &'a [u8]) -> Result<(BodyHead, Cow<'a, [u8]>), Error> {
        let head = BodyHead { id, length: body.len() as u64, stages: self.stages.ids(), chunks: 0 };
        Ok((head, self.stages.forward(body)?))
    }

    /// A body, or a chunk of one, before the stages it went through; it must be `length` bytes long.
    fn unstaged(&self, stages: &[StageId], staged: Authentic, length: u64) -> Result<Bytes, Error> {
        let limit = usize::try_from(length).unwrap_or(usize::MAX);
        let bytes = self.stages.back(stages, staged, limit)?.into_bytes();
        if bytes.length() == length { Ok(bytes) } else { Err(wrong_length()) }
    }

    /// Writes what leads to an entry. It is of use for as long as what it leads to.
    pub(crate) async fn put_pointer(
        &self,
        key: &Key,
        pointer: Pointer,
        retain_until: Timestamp,
        now: Timestamp,
    ) -> Result<(), Error> {
        let sealed = self.seal_slot(key, Sensitivity::Public, &pointer.into(), &[], retain_until, now)?;
        let record = Record { body: None, chunks: 0, expires: retain_until, written: now, sealed: &sealed };
        self.put(key, record).await
    }

    /// Seals and stages one chunk of a body. Its seal has no end of its own: it is of use only while a slot names its body.
    pub(crate) async fn stage(
        &self,
        key: &Key,
        sensitivity: Sensitivity,
        chunk: Chunk,
        bytes: &[u8],
        now: Timestamp,
    ) -> Result<(), Error> {
        let Chunk { body, index, position } = chunk;
        let at = self.place(key, Purpose::Chunk { body, index, position });
        let staged = self.stages.forward(bytes)?;
        let sealed = self.sealer_of(sensitivity).seal(&at, Lifetime::unbounded(moment(now)), &[], &staged)?;
        self.store.stage(body, index, &sealed, now).await
    }

    /// Takes the chunks of a body away again that no slot will name. Where the store does not do that at once, a sweep will.
    pub(crate) fn unstage(&self, body: BodyId, chunks: u32) {
        let mut done = self.store.unstage(body, chunks);
        let _ = done.as_mut().poll(&mut task::Context::from_waker(Waker::noop()));
    }

    fn seal_slot(
        &self,
        key: &Key,
        sensitivity: Sensitivity,
        slot: &Slot<BodyHead>,
        inline: &[u8],
        retain_until: Timestamp,
        now: Timestamp,
    ) -> Result<Vec<u8>, Error> {
        let mut head = Vec::with_capacity(512);
        self.formats.encode(slot, &mut head)?;
        let life = Lifetime { created: moment(now), not_after: moment(retain_until) };
        Ok(self.sealer_of(sensitivity).seal(&self.place(key, Purpose::Slot), life, &head, inline)?)
    }

    pub(super) fn sealer_of(&self, sensitivity: Sensitivity) -> &Sealer {
        match sensitivity {
            Sensitivity::Public => &self.sealer,
            Sensitivity::Sensitive => &self.secret_sealer,
        }
    }

    /// Puts a record that was just sealed.
    pub(super) async fn put(&self, key: &Key, record: Record<'_>) -> Result<(), Error> {
        if !self.namespace.is_empty() {
            Box::pin(self.list_namespace(record.written)).await;
        }
        let _outdated = self.outdates(key);
        let known = self.newest.known(key);
        self.store.put(key, record).await?;
        self.newest.wrote(key, known, Mark::of(record.sealed, moment(record.written)));
        self.owed.settle(key);
        // The store can be written again.
        for owed in self.owed.some() {
            let _ = self.remove(&owed, timestamp(moment(record.written))).await;
        }
        Ok(())
    }

    /// The same, but only where the record that is there still names `body`.
    pub(super) async fn replace(
        &self,
        key: &Key,
        body: Option<BodyId>,
        record: Record<'_>,
    ) -> Result<bool, Error> {
        let _outdated = self.outdates(key);
        let known = self.newest.known(key);
        let replaced = self.store.touch(key, body, record).await?;
        if replaced {
            self.newest.wrote(key, known, Mark::of(record.sealed, moment(record.written)));
        }
        Ok(replaced)
    }

    pub(crate) async fn remove(&self, key: &Key, now: Timestamp) -> Result<bool, Error> {
        let _outdated = self.outdates(key);
        let known = self.newest.known(key);
        let removed = self.store.remove(key).await?;
        self.newest.removed(key, known, moment(now));
        self.owed.settle(key);
        Ok(removed)
    }

    pub(super) fn place<'a>(&'a self, key: &'a Key, purpose: Purpose) -> Context<'a> {
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

/// What was found encrypted stays so.
pub(super) fn sensitivity_of(seal: &SealInfo) -> Sensitivity {
    if seal.suite.is_encrypted() { Sensitivity::Sensitive } else { Sensitivity::Public }
}

/// What chunk `index` of a body is sealed as.
pub(super) fn chunk_place(head: &BodyHead, index: u32) -> Purpose {
    let last = index.checked_add(1) == Some(head.chunks);
    let position = if last { Position::Last } else { Position::Inner };
    Purpose::Chunk { body: head.id, index, position }
}

pub(crate) fn missing_chunk() -> Error {
    Error::new(ErrorKind::Broken, "a chunk of the stored body is missing; fetch the response again")
}

pub(super) fn wrong_length() -> Error {
    Error::new(ErrorKind::Broken, "the stored body is not as long as its head says; fetch the response again")
}

fn record<'a>(head: &BodyHead, sealed: &'a [u8], retain_until: Timestamp, now: Timestamp) -> Record<'a> {
    Record { body: Some(head.id), chunks: head.chunks, expires: retain_until, written: now, sealed }
}

/// As a store writes it.
pub(super) fn timestamp(moment: UnixMillis) -> Timestamp {
    // A moment is never beyond what the signed one can say.
    Timestamp::from_millis(moment.as_millis().cast_signed())
}

/// The engine counts in signed time, the seal in unsigned; what lies before 1970 is 1970.
pub(super) fn moment(time: Timestamp) -> UnixMillis {
    UnixMillis::from_millis(u64::try_from(time.as_millis()).unwrap_or(0))
}
