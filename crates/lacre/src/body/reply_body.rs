//! The body of a reply from the cache: in one piece if it is in memory, otherwise chunk by chunk,
//! in bounded memory (docs/format.md §7). Every chunk is verified, and its place checked, before
//! any of it is returned.

use super::in_flight::BodySource;
use super::resume::{Resume, broken_off};
use super::transfer::{Piece, Reader};
use crate::Error;
use crate::codec::BodyHead;
use crate::storage::Storage;
use crate::storage::loaded::{BodyContent, BodyHandle, ReadPlan, chunk_at};
use bytes::{Bytes, BytesMut};
use futures_util::{Stream, stream};
use http_body::{Frame, SizeHint};
use lacre_core::{HitKind, Key};
use std::fmt;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};

/// The body of a [`Reply`](crate::Reply). It is an [`http_body::Body`], and can be read without a
/// runtime by [`next`](Self::next) and [`bytes`](Self::bytes).
///
/// A body longer than [`Builder::read_whole`](crate::Builder::read_whole) is read from the store
/// while it is returned. The seal of its first chunk was verified before the reply. If the seal of
/// a later chunk does not hold, the reader gets an error, and must not take the earlier chunks for
/// the whole body. The same holds if the stored response is replaced or removed meanwhile
/// ([`ErrorKind::Gone`](crate::ErrorKind::Gone)). A body is never silently short.
#[derive(Default)]
pub struct Body(Content);

enum Content {
    Whole(Bytes),
    Chunks {
        /// The bytes still to come.
        left: u64,
        /// Never locked: the mutex makes them `Sync`, as a response's body must be.
        pieces: Mutex<Pieces>,
    },
    InFlight(Reader),
}

type Pieces = Pin<Box<dyn Stream<Item = Result<Bytes, Error>> + Send>>;

impl Default for Content {
    fn default() -> Self {
        Self::Whole(Bytes::new())
    }
}

impl Body {
    /// The portion of a cached body that answers a request.
    pub(crate) fn of(storage: &Storage, key: Key, source: BodySource, portion: HitKind) -> Self {
        let BodyHandle { head, content, .. } = match (source, portion) {
            (_, HitKind::Headers | HitKind::NotModified | HitKind::Unsatisfiable) => return Self::default(),
            (BodySource::InFlight(in_flight), _) => return Self(Content::InFlight(in_flight.reader())),
            (BodySource::Stored(handle), _) => handle,
        };
        let (from, to) = match portion {
            HitKind::Full => (0, head.length),
            HitKind::Headers | HitKind::NotModified | HitKind::Unsatisfiable => (0, 0),
            HitKind::Slice { first, last } => (first, last.saturating_add(1).min(head.length)),
        };
        Self(match content {
            BodyContent::Whole(bytes) => {
                let position = |offset: u64| usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
                Content::Whole(bytes.slice(position(from)..position(to)))
            }
            BodyContent::Chunks { first, .. } => {
                let reading = Reading { storage: storage.clone(), key, head, ready: first, at: from, to };
                let pieces = Mutex::new(Box::pin(stream::unfold(reading, Reading::step)) as Pieces);
                Content::Chunks { left: to - from, pieces }
            }
        })
    }

    /// The bytes still to come. `None`: the response is still arriving, and its origin declared no
    /// length.
    #[must_use]
    pub fn left(&self) -> Option<u64> {
        match &self.0 {
            Content::Whole(bytes) => Some(bytes.len() as u64),
            Content::Chunks { left, .. } => Some(*left),
            Content::InFlight(reader) => reader.left(),
        }
    }

    /// Whether it is read from a response in flight.
    pub(crate) fn is_in_flight(&self) -> bool {
        matches!(self.0, Content::InFlight(_))
    }

    /// Gives the reader of a response in flight a request to resume with if that response fails.
    pub(crate) fn resume_with(&mut self, resume: Box<dyn Resume>) {
        if let Content::InFlight(reader) = &mut self.0 {
            reader.resume_with(resume);
        }
    }

    /// The rest of the body, if it is in memory.
    #[must_use]
    pub fn in_memory(&self) -> Option<&Bytes> {
        match &self.0 {
            Content::Whole(bytes) => Some(bytes),
            Content::Chunks { .. } | Content::InFlight(_) => None,
        }
    }

    /// The next piece, no longer than 256 KiB if it is read from the store. `None` at the end, and
    /// after an error.
    ///
    /// # Errors
    /// A seal does not hold, the stored response was replaced or removed meanwhile, or the store
    /// fails.
    pub async fn next(&mut self) -> Option<Result<Bytes, Error>> {
        std::future::poll_fn(|context| self.poll_next(context)).await
    }

    /// The rest of the body in one piece, without a copy if it is in memory.
    ///
    /// # Errors
    /// As [`next`](Self::next).
    pub async fn bytes(mut self) -> Result<Bytes, Error> {
        if let Content::Whole(bytes) = self.0 {
            return Ok(bytes);
        }
        // The length was sealed and is true, but may exceed the memory of this machine.
        let capacity = usize::try_from(self.left().unwrap_or(0)).unwrap_or(usize::MAX).min(MAX_RESERVED);
        let mut whole = BytesMut::with_capacity(capacity);
        while let Some(piece) = self.next().await {
            whole.extend_from_slice(&piece?);
        }
        Ok(whole.freeze())
    }

    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Error>>> {
        match &mut self.0 {
            Content::Whole(bytes) => {
                let bytes = std::mem::take(bytes);
                Poll::Ready((!bytes.is_empty()).then_some(Ok(bytes)))
            }
            Content::Chunks { left, pieces } => {
                let pieces = pieces.get_mut().unwrap_or_else(PoisonError::into_inner);
                let polled = pieces.as_mut().poll_next(context);
                if let Poll::Ready(Some(Ok(bytes))) = &polled {
                    *left = left.saturating_sub(bytes.len() as u64);
                }
                polled
            }
            Content::InFlight(reader) => reader.poll_piece(context).map(|piece| match piece {
                Piece::Bytes(bytes) => Some(Ok(bytes)),
                Piece::End => None,
                Piece::Failed(error) => Some(Err(error)),
                Piece::Broken => Some(Err(broken_off())),
            }),
        }
    }
}

/// The most memory that is reserved before the bytes arrive.
const MAX_RESERVED: usize = 64 << 20;

/// A body that is being read from the store.
struct Reading {
    storage: Storage,
    key: Key,
    head: BodyHead,
    /// A chunk that was read before, with its index.
    ready: Option<(u32, Bytes)>,
    at: u64,
    to: u64,
}

impl Reading {
    async fn step(mut self) -> Option<(Result<Bytes, Error>, Self)> {
        if self.at >= self.to {
            return None;
        }
        let (index, within) = chunk_at(self.at);
        let chunk = match self.ready.take().filter(|(ready, _)| *ready == index) {
            Some((_, chunk)) => chunk,
            None => match self.storage.chunk(&self.key, &self.head, index).await {
                Ok(chunk) => chunk,
                Err(error) => {
                    self.at = self.to;
                    return Some((Err(error), self));
                }
            },
        };
        let end = usize::try_from(self.to - self.at).unwrap_or(usize::MAX).saturating_add(within);
        let piece = chunk.slice(within..end.min(chunk.len()));
        self.at += piece.len() as u64;
        Some((Ok(piece), self))
    }
}

/// The part of a stored body to read for an answer.
pub(crate) fn plan_for(portion: HitKind) -> ReadPlan {
    match portion {
        HitKind::Full => ReadPlan::All,
        HitKind::Slice { first, .. } => ReadPlan::From(chunk_at(first).0),
        HitKind::Headers | HitKind::NotModified | HitKind::Unsatisfiable => ReadPlan::Nothing,
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        self.poll_next(context).map(|piece| piece.map(|piece| piece.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.left() == Some(0)
    }

    fn size_hint(&self) -> SizeHint {
        self.left().map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self(Content::Whole(bytes))
    }
}

/// Shows the length only: content stays out of logs.
impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.left() {
            Some(left) => write!(f, "Body({left} bytes)"),
            None => f.write_str("Body"),
        }
    }
}
