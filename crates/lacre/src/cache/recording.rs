//! Storing a body while it passes by, in bounded memory.

use super::Cache;
use super::vault::{CHUNK, Chunk};
use crate::codec::BodyHead;
use crate::{Error, Event};
use bytes::{Buf, Bytes, BytesMut};
use http::Method;
use http_body::SizeHint;
use lacre_core::{Detail, Insert, Timestamp, content_length};
use lacre_seal::{BodyId, Position};
use std::fmt;

/// Takes in the body of a response that is to be stored. Nothing can be served from it before [`finish`](Self::finish); whoever drops
/// it, for instance because the transfer broke off, stores nothing.
pub struct Recording {
    cache: Cache,
    keep: Box<Insert>,
    /// What has not been staged yet.
    rest: BytesMut,
    length: u64,
    staged: Option<Staged>,
    state: State,
    /// Why it could not be stored.
    failure: Option<Error>,
}

/// Chunks that were staged, and that no slot names yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Staged {
    pub(super) body: BodyId,
    chunks: u32,
}

impl Staged {
    /// How many bytes of the body they are.
    pub(super) fn bytes(self) -> u64 {
        u64::from(self.chunks) * CHUNK as u64
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Running,
    /// It was committed, was too long, or the store failed.
    Over,
}

impl Recording {
    pub(super) fn new(cache: Cache, keep: Box<Insert>) -> Self {
        Self {
            cache,
            keep,
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

    /// Whether taking in `more` bytes writes to the store, which may have to wait for others.
    #[must_use]
    pub fn writes(&self, more: usize) -> bool {
        !self.is_over() && self.rest.len().saturating_add(more) > CHUNK
    }

    /// How long the body is by its Content-Length, where it has one.
    #[must_use]
    pub fn declared(&self) -> Option<u64> {
        content_length(&self.keep.entry.headers).ok().flatten()
    }

    /// Takes in the next bytes of the body. Where they cannot be stored, the observer is told and the rest is ignored.
    pub async fn write(&mut self, bytes: &[u8]) {
        if self.is_over() {
            return;
        }
        self.length = self.length.saturating_add(bytes.len() as u64);
        if self.length > self.limit() {
            let reason = Detail::TooLarge.as_str();
            self.cache.observer.on_event(Event::NotStored { key: &self.keep.key, reason });
            return self.give_up();
        }
        self.rest.extend_from_slice(bytes);
        if let Err(error) = self.stage_full_chunks().await {
            self.fail(error);
        }
    }

    /// Commits the body: from now on it can be served. Does nothing where the body is not as long as its Content-Length says
    /// (RFC 9111 §3.3), or could not be stored.
    pub async fn finish(self) {
        // The observer was told.
        let _ = self.conclude().await;
    }

    /// The same, and says why nothing is stored, where nothing is.
    pub(super) async fn complete(self) -> Option<Detail> {
        let missing = if self.is_complete() { Detail::StoreUnavailable } else { Detail::Framing };
        let stored = !self.is_over() && self.is_complete();
        match self.conclude().await {
            Ok(()) if stored => None,
            _ => Some(missing),
        }
    }

    /// The same, for whoever wants to know how the store failed.
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
        self.can_be(self.length)
    }

    /// Whether the body may be `length` bytes long by its Content-Length. A response to HEAD declares the length of a body that it
    /// does not have.
    fn can_be(&self, length: u64) -> bool {
        let Insert { entry, .. } = &*self.keep;
        entry.method == Method::HEAD
            || content_length(&entry.headers).is_ok_and(|declared| declared.is_none_or(|said| said == length))
    }

    /// Why a body of this size is not going to be stored, where that is known before it comes.
    pub(crate) fn refuses(&self, size: &SizeHint) -> Option<Detail> {
        if size.lower() > self.limit() {
            return Some(Detail::TooLarge);
        }
        size.exact().is_some_and(|length| !self.can_be(length)).then_some(Detail::Framing)
    }

    /// The last chunk is sealed as such, so one is always held back.
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
        self.cache.vault.stage(&self.keep.key, self.keep.sensitivity, place, chunk, now).await?;
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
        let vault = &self.cache.vault;
        for (at, pointer) in self.keep.pointers.drain(..) {
            vault.put_pointer(&at, pointer, retain_until, now).await?;
        }
        let entry = self.keep.entry.clone();
        self.state = State::Over;
        // From here on a slot may name the chunks, even where nobody waits for the end of this.
        let bytes = match self.staged.take() {
            Some(staged) => {
                let Staged { body, chunks } = staged;
                let head = BodyHead { id: body, length: self.length, stages: vault.stages.ids(), chunks };
                let put = vault.put_head(&key, sensitivity, entry.with_body(head), retain_until, now).await;
                put.inspect_err(|_| self.staged = Some(staged))?
            }
            None => vault.put_inline(&key, sensitivity, entry, &rest, retain_until, now).await?,
        };
        self.cache.observer.on_event(Event::Stored { key: &key, bytes: bytes as u64 });
        Ok(())
    }

    fn now(&self) -> Timestamp {
        self.cache.clock.now()
    }

    fn fail(&mut self, error: Error) {
        self.cache.store_failed(&error);
        self.failure = Some(error);
        self.give_up();
    }

    /// Whether nothing more is taken in: it is too long, or the store failed.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.state == State::Over
    }

    /// What others can read from the store already, as long as this lives.
    pub(super) fn staged(&self) -> Option<Staged> {
        self.staged
    }

    pub(super) fn cache(&self) -> &Cache {
        &self.cache
    }

    pub(super) fn keep(&self) -> &Insert {
        &self.keep
    }

    fn give_up(&mut self) {
        self.rest = BytesMut::new();
        self.state = State::Over;
    }
}

/// Without the content.
impl fmt::Debug for Recording {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recording")
            .field("keep", &self.keep)
            .field("length", &self.length)
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

/// A body that broke off leaves nothing behind; otherwise an origin could fill the store with what nobody can use.
impl Drop for Recording {
    fn drop(&mut self) {
        if !self.is_over() {
            let reason = Detail::Incomplete.as_str();
            self.cache.observer.on_event(Event::NotStored { key: &self.keep.key, reason });
        }
        if let Some(Staged { body, chunks }) = self.staged {
            self.cache.vault.unstage(body, chunks);
        }
    }
}
