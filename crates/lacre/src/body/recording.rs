//! Storing a body while it arrives, in bounded memory.

use crate::codec::BodyHead;
use crate::storage::Storage;
use crate::storage::loaded::CHUNK;
use crate::storage::vault::Chunk;
use crate::{Error, Event};
use bytes::{Buf, Bytes, BytesMut};
use http::Method;
use http_body::SizeHint;
use lacre_core::{Detail, Insert, Timestamp, content_length};
use lacre_seal::{BodyId, Position};
use std::fmt;
use std::sync::Arc;

/// Stores the body of a response while it arrives. Nothing is served from it before
/// [`finish`](Self::finish). A recording that is dropped, because its transfer broke off, stores
/// nothing.
pub struct Recording {
    storage: Storage,
    keep: Arc<Insert>,
    /// Bytes that are not staged yet.
    rest: BytesMut,
    length: u64,
    staged: Option<Staged>,
    state: State,
    /// The store's failure.
    failure: Option<Error>,
}

/// Staged chunks that no entry names yet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Staged {
    pub(crate) body: BodyId,
    chunks: u32,
}

impl Staged {
    /// Their length in bytes.
    pub(crate) fn bytes(self) -> u64 {
        u64::from(self.chunks) * CHUNK as u64
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Running,
    /// The body was committed or was too long, or the store failed.
    Over,
}

impl Recording {
    pub(crate) fn new(storage: Storage, keep: Box<Insert>) -> Self {
        Self {
            storage,
            keep: keep.into(),
            rest: BytesMut::new(),
            length: 0,
            staged: None,
            state: State::Running,
            failure: None,
        }
    }

    /// The longest body that is stored, in bytes.
    pub fn limit(&self) -> u64 {
        self.keep.max_body
    }

    /// Whether [`write`](Self::write) of `more` bytes writes to the store, which may have to wait
    /// for a lock.
    #[must_use]
    pub fn writes(&self, more: usize) -> bool {
        !self.is_over() && self.rest.len().saturating_add(more) > CHUNK
    }

    /// The length of the body by its Content-Length, if it has one.
    #[must_use]
    pub fn declared(&self) -> Option<u64> {
        content_length(&self.keep.entry.headers).ok().flatten()
    }

    /// Takes the next bytes of the body. If they cannot be stored, the observer is told, and the
    /// rest is ignored.
    pub async fn write(&mut self, bytes: &[u8]) {
        if self.is_over() {
            return;
        }
        self.length = self.length.saturating_add(bytes.len() as u64);
        if self.length > self.limit() {
            let reason = Detail::TooLarge.as_str();
            self.storage.observer.on_event(Event::NotStored { key: &self.keep.key, reason });
            return self.give_up();
        }
        self.rest.extend_from_slice(bytes);
        if let Err(error) = self.stage_full_chunks().await {
            self.fail(error);
        }
    }

    /// Commits the body, which can be served from now on. Does nothing if the body is incomplete by
    /// its Content-Length (RFC 9111 §3.3: an incomplete response is not stored here), or could not
    /// be stored.
    pub async fn finish(self) {
        // The observer was told.
        let _ = self.conclude().await;
    }

    /// Commits the body, and returns why it is not stored; `None`: it is.
    pub(crate) async fn complete(self) -> Option<Detail> {
        let missing = if self.is_complete() { Detail::StoreUnavailable } else { Detail::Framing };
        let stored = !self.is_over() && self.is_complete();
        match self.conclude().await {
            Ok(()) if stored => None,
            _ => Some(missing),
        }
    }

    /// Commits the body, and returns the failure of the store.
    pub(crate) async fn conclude(mut self) -> Result<(), Error> {
        if !self.is_over()
            && self.is_complete()
            && let Err(error) = self.commit().await
        {
            self.fail(error);
        }
        self.failure.take().map_or(Ok(()), Err)
    }

    fn is_complete(&self) -> bool {
        self.may_have_length(self.length)
    }

    /// Whether the body may have this length by its Content-Length. A response to HEAD declares the
    /// length of a body that it does not have.
    fn may_have_length(&self, length: u64) -> bool {
        let Insert { entry, .. } = &*self.keep;
        entry.method == Method::HEAD
            || content_length(&entry.headers).is_ok_and(|declared| declared.is_none_or(|said| said == length))
    }

    /// Why a body of this size will not be stored, if that is known before it arrives.
    pub(crate) fn refuses(&self, size: &SizeHint) -> Option<Detail> {
        if size.lower() > self.limit() {
            return Some(Detail::TooLarge);
        }
        size.exact().is_some_and(|length| !self.may_have_length(length)).then_some(Detail::Framing)
    }

    /// Stages all full chunks but one: the last chunk is sealed as the last, so one is held back.
    async fn stage_full_chunks(&mut self) -> Result<(), Error> {
        while self.rest.len() > CHUNK {
            let chunk = self.rest.copy_to_bytes(CHUNK);
            self.stage(&chunk, Position::Inner).await?;
        }
        Ok(())
    }

    async fn stage(&mut self, chunk: &Bytes, position: Position) -> Result<(), Error> {
        let Staged { body, chunks } = match self.staged {
            Some(staged) => staged,
            None => Staged { body: BodyId::generate()?, chunks: 0 },
        };
        let now = self.now();
        let place = Chunk { body, index: chunks, position };
        self.storage.vault.stage_chunk(&self.keep.key, self.keep.sensitivity, place, chunk, now).await?;
        self.staged = Some(Staged { body, chunks: chunks + 1 });
        Ok(())
    }

    async fn commit(&mut self) -> Result<(), Error> {
        let now = self.now();
        let rest = std::mem::take(&mut self.rest).freeze();
        if self.staged.is_some() {
            self.stage(&rest, Position::Last).await?;
        }
        let Insert { key, sensitivity, retain_until, .. } = *self.keep;
        let vault = &self.storage.vault;
        for (at, pointer) in &self.keep.pointers {
            vault.put_pointer(at, pointer.clone(), retain_until, now).await?;
        }
        let entry = self.keep.entry.clone();
        self.state = State::Over;
        // From here on an entry may name the chunks, even if this future is dropped.
        let bytes = match self.staged.take() {
            Some(staged) => {
                let Staged { body, chunks } = staged;
                let head = BodyHead { id: body, length: self.length, stages: vault.stages.ids(), chunks };
                let put = vault.put_head(&key, sensitivity, entry.with_body(head), retain_until, now).await;
                put.inspect_err(|_| self.staged = Some(staged))?
            }
            None => vault.put_inline(&key, sensitivity, entry, &rest, retain_until, now).await?,
        };
        self.storage.observer.on_event(Event::Stored { key: &key, bytes: bytes as u64 });
        Ok(())
    }

    fn now(&self) -> Timestamp {
        self.storage.now()
    }

    fn fail(&mut self, error: Error) {
        self.storage.report_failure(&error);
        self.failure = Some(error);
        self.give_up();
    }

    /// Whether nothing more is stored: the body was committed or is too long, or the store failed.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.state == State::Over
    }

    /// The chunks that others can read from the store already, as long as this lives.
    pub(crate) fn staged(&self) -> Option<Staged> {
        self.staged
    }

    pub(crate) fn storage(&self) -> &Storage {
        &self.storage
    }

    pub(crate) fn keep(&self) -> &Arc<Insert> {
        &self.keep
    }

    fn give_up(&mut self) {
        self.rest = BytesMut::new();
        self.state = State::Over;
    }
}

/// Leaves out the content.
impl fmt::Debug for Recording {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recording")
            .field("keep", &self.keep)
            .field("length", &self.length)
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

/// A body that broke off leaves nothing behind. Otherwise an origin could fill the store with
/// chunks that no entry names.
impl Drop for Recording {
    fn drop(&mut self) {
        if !self.is_over() {
            let reason = Detail::Incomplete.as_str();
            self.storage.observer.on_event(Event::NotStored { key: &self.keep.key, reason });
        }
        if let Some(Staged { body, chunks }) = self.staged {
            self.storage.vault.unstage(body, chunks);
        }
    }
}
