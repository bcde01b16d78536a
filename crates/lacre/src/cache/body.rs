//! A body from the cache on its way to the caller: at once where it lies in memory, otherwise chunk by chunk as it is read, in bounded
//! memory (docs/format.md §7). Every chunk is verified, and checked for its place, before any of it is handed out.

use super::Cache;
use super::resume::Resume;
use super::transfer::{Piece, Reader, broken_off};
use super::vault::{CHUNK, Handle, Source, Wanted};
use crate::Error;
use bytes::{Bytes, BytesMut};
use futures_util::{Stream, stream};
use http_body::{Frame, SizeHint};
use lacre_core::{HitKind, Key};
use std::fmt;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};

/// The body of a [`Reply`](super::Reply). It is an [`http_body::Body`], and can be read without a runtime by [`next`](Self::next) and
/// [`bytes`](Self::bytes).
///
/// A body longer than [`Builder::read_whole`](super::Builder::read_whole) is read from the store while it is handed out. The seal of its first chunk held before there was a reply; where that of a
/// later one does not, the reader gets the error and must not take what came before for the whole. It is the same where the stored response
/// is replaced or removed meanwhile ([`ErrorKind::Gone`](crate::ErrorKind::Gone)). A body is never silently short.
#[derive(Default)]
pub struct Body(Content);

enum Content {
    Whole(Bytes),
    Chunks {
        /// How many bytes are still to come.
        left: u64,
        /// A response's body must be `Sync`, which these are not; nobody ever locks them.
        pieces: Mutex<Pieces>,
    },
    UnderWay(Reader),
}

type Pieces = Pin<Box<dyn Stream<Item = Result<Bytes, Error>> + Send>>;

impl Default for Content {
    fn default() -> Self {
        Self::Whole(Bytes::new())
    }
}

impl Body {
    /// What of a stored body answers a request.
    pub(super) fn of(cache: &Cache, key: Key, handle: Handle, portion: HitKind) -> Self {
        let Handle { head, source, .. } = handle;
        let (from, to) = match portion {
            HitKind::Full => (0, head.length),
            HitKind::Headers | HitKind::NotModified | HitKind::Unsatisfiable => return Self::default(),
            HitKind::Slice { first, last } => (first, last.saturating_add(1).min(head.length)),
        };
        Self(match source {
            Source::Whole(bytes) => {
                let place = |offset: u64| usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
                Content::Whole(bytes.slice(place(from)..place(to)))
            }
            Source::UnderWay(under_way) => Content::UnderWay(under_way.reader()),
            Source::Chunks { first, .. } => {
                let reading = Reading { cache: cache.clone(), key, head, ready: first, at: from, to };
                let pieces = Mutex::new(Box::pin(stream::unfold(reading, Reading::step)) as Pieces);
                Content::Chunks { left: to - from, pieces }
            }
        })
    }

    /// How many bytes are still to come; `None`: only the origin knows, whose response comes in at this moment.
    #[must_use]
    pub fn left(&self) -> Option<u64> {
        match &self.0 {
            Content::Whole(bytes) => Some(bytes.len() as u64),
            Content::Chunks { left, .. } => Some(*left),
            Content::UnderWay(reader) => reader.left(),
        }
    }

    /// Whether it comes from a response that is under way.
    pub(crate) fn is_under_way(&self) -> bool {
        matches!(self.0, Content::UnderWay(_))
    }

    /// Where the response under way fails its reader, that one goes on with a request of its own.
    pub(crate) fn go_on_with(&mut self, resume: Box<dyn Resume>) {
        if let Content::UnderWay(reader) = &mut self.0 {
            reader.go_on_with(resume);
        }
    }

    /// All that is still to come, where it lies in memory.
    #[must_use]
    pub fn in_memory(&self) -> Option<&Bytes> {
        match &self.0 {
            Content::Whole(bytes) => Some(bytes),
            Content::Chunks { .. } | Content::UnderWay(_) => None,
        }
    }

    /// The next piece, no longer than 256 KiB where it is read from the store; `None` at the end, and after an error.
    ///
    /// # Errors
    /// What is stored does not hold, was replaced or removed meanwhile, or the store fails.
    pub async fn next(&mut self) -> Option<Result<Bytes, Error>> {
        std::future::poll_fn(|context| self.poll_next(context)).await
    }

    /// All that is still to come, in one piece; without a copy where it lies in memory.
    ///
    /// # Errors
    /// As [`next`](Self::next).
    pub async fn bytes(mut self) -> Result<Bytes, Error> {
        if let Content::Whole(bytes) = self.0 {
            return Ok(bytes);
        }
        // What a body says of its length is true, as it was sealed; but it may be more than there is memory.
        let room = usize::try_from(self.left().unwrap_or(0)).unwrap_or(usize::MAX).min(MOST_ROOM);
        let mut whole = BytesMut::with_capacity(room);
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
            Content::UnderWay(reader) => reader.poll_piece(context).map(|piece| match piece {
                Piece::Bytes(bytes) => Some(Ok(bytes)),
                Piece::End => None,
                Piece::Failed(error) => Some(Err(error)),
                Piece::Broken => Some(Err(broken_off())),
            }),
        }
    }
}

/// The most memory that is reserved before the bytes are there.
const MOST_ROOM: usize = 64 << 20;

/// A body in the store that is being read.
struct Reading {
    cache: Cache,
    key: Key,
    head: crate::codec::BodyHead,
    /// A chunk that was read already, with its index.
    ready: Option<(u32, Bytes)>,
    at: u64,
    to: u64,
}

impl Reading {
    async fn step(mut self) -> Option<(Result<Bytes, Error>, Self)> {
        if self.at >= self.to {
            return None;
        }
        let (index, within) = place(self.at);
        let chunk = match self.ready.take().filter(|(ready, _)| *ready == index) {
            Some((_, chunk)) => chunk,
            None => match self.cache.chunk(&self.key, &self.head, index).await {
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

/// The index of the chunk in which a byte lies, and where it lies there.
pub(super) fn place(offset: u64) -> (u32, usize) {
    let size = CHUNK as u64;
    // A body has at most 2^32 chunks, and the remainder is less than a chunk.
    (u32::try_from(offset / size).unwrap_or(u32::MAX), (offset % size) as usize)
}

/// What of a body such an answer is made of.
pub(super) fn wanted(portion: HitKind) -> Wanted {
    match portion {
        HitKind::Full => Wanted::All,
        HitKind::Slice { first, .. } => Wanted::From(place(first).0),
        HitKind::Headers | HitKind::NotModified | HitKind::Unsatisfiable => Wanted::Nothing,
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

/// Shows the length only: contents stay out of logs.
impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.left() {
            Some(left) => write!(f, "Body({left} bytes)"),
            None => f.write_str("Body"),
        }
    }
}
