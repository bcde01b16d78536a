//! A response's body on its way from the network: recorded as it passes (RFC 9111 §3.3), and shown to all who asked for the same.

use super::recording::{Recording, Staged};
use super::transfer::{Piece, Reader, Role, Step, Stopped, Stored, Transfer};
use super::vault::{Handle, Source as BodySource};
use crate::codec::BodyHead;
use crate::drive::Failure;
use crate::herd::{Lead, done};
use bytes::Bytes;
use futures_util::{Stream, stream};
use http_body::{Frame, SizeHint};
use lacre_core::{Detail, Insert, Key, Slot};
use lacre_seal::BodyId;
use std::fmt;
use std::future::poll_fn;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, ready};

/// The body of a network response that is recorded while its caller reads it. It is stored before the caller gets its last bytes; where it
/// breaks off, or nobody reads it to its end, nothing is. `E` is the network's error.
pub struct Recorded<E> {
    reader: Reader,
    error: PhantomData<fn() -> E>,
}

/// A response under way, as those see it who asked for the same: what will be stored, before it is.
#[derive(Clone)]
pub(crate) struct UnderWay(Arc<Transfer>);

/// The same, as long as somebody reads it.
#[derive(Clone)]
pub(crate) struct Glimpse(Weak<Transfer>);

impl Glimpse {
    pub(crate) fn catch(&self) -> Option<UnderWay> {
        self.0.upgrade().map(UnderWay)
    }
}

impl UnderWay {
    /// Whether the origin said how long it is. Where it did not, it may turn out too long to be stored.
    pub(crate) fn has_length(&self) -> bool {
        self.0.length.is_some()
    }

    /// Where it will be stored.
    pub(crate) fn key(&self) -> &Key {
        &self.0.keep.key
    }

    /// What will lie under `key`, with its body as it comes.
    pub(super) fn slot(&self, key: &Key) -> Option<Slot<Handle>> {
        let Transfer { keep: Insert { entry, pointers, sensitivity, .. }, length, .. } = &*self.0;
        if key == self.key() {
            // Its length decides what a range of it is, and no request for a range follows another.
            let head = BodyHead {
                id: BodyId::from_bytes([0; 16]),
                length: length.unwrap_or_default(),
                stages: Vec::new(),
                chunks: 0,
            };
            let handle =
                Handle { head, source: BodySource::UnderWay(self.clone()), sensitivity: *sensitivity };
            return Some(Slot::Entry(Box::new(entry.clone().with_body(handle))));
        }
        pointers.iter().find(|(at, _)| at == key).map(|(_, pointer)| pointer.clone().into())
    }

    /// Its body from the beginning.
    pub(super) fn reader(&self) -> Reader {
        Reader::new(Arc::clone(&self.0), Role::Follows)
    }
}

impl fmt::Debug for UnderWay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UnderWay").field("key", self.key()).finish_non_exhaustive()
    }
}

/// What became of a body that was to be recorded.
pub(crate) enum Begun<B: http_body::Body> {
    /// It is recorded while it is read.
    Recorded(Recorded<B::Error>),
    /// There is nothing to record: it is empty, or cannot be stored. Beside it stands why it is not stored; `None`: it is.
    Passing(B, Option<Detail>),
}

impl<E: Send + 'static> Recorded<E> {
    /// `body`, to be recorded; `lead` is told what others can share, and ends when it is stored or cannot be.
    pub(crate) async fn begin<B>(body: B, recording: Recording, lead: Option<Lead>) -> Begun<B>
    where
        B: http_body::Body<Data = Bytes, Error = E> + Send + 'static,
    {
        let tape = Tape { recording, lead };
        if body.is_end_stream() {
            let missing = tape.finish().await;
            return Begun::Passing(body, missing);
        }
        let keep = tape.recording.keep();
        let length = body.size_hint().exact().or_else(|| tape.recording.declared());
        let transfer = Arc::new(Transfer::new(tape.recording.cache().clone(), keep.clone(), length));
        if let Some(lead) = &tape.lead {
            lead.show(Glimpse(Arc::downgrade(&transfer)));
        }
        transfer.begin(Box::pin(steps(Box::pin(body), tape)));
        let reader = Reader::new(transfer, Role::Leads);
        Begun::Recorded(Self { reader, error: PhantomData })
    }
}

impl<E: Send + 'static> Recorded<E> {
    /// Reads it for as long as it is being stored: for a response that nobody waits for.
    pub(crate) async fn read_to_store(mut self) {
        while self.reader.is_stored() {
            let frame = poll_fn(|context| http_body::Body::poll_frame(Pin::new(&mut self), context)).await;
            if !matches!(frame, Some(Ok(_))) {
                return;
            }
        }
    }
}

impl<E: Send + 'static> http_body::Body for Recorded<E> {
    type Data = Bytes;
    type Error = Failure<E>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Failure<E>>>> {
        let reader = &mut self.reader;
        let piece = match ready!(reader.poll_piece(context)) {
            Piece::Bytes(bytes) => Some(Ok(Frame::data(bytes))),
            Piece::End => reader.take_trailers().map(|trailers| Ok(Frame::trailers(trailers))),
            Piece::Failed(error) => Some(Err(Failure::Cache(error))),
            Piece::Broken => reader.take_failure().map(|error| Err(Failure::Network(error))),
        };
        Poll::Ready(piece)
    }

    fn is_end_stream(&self) -> bool {
        self.reader.is_done()
    }

    fn size_hint(&self) -> SizeHint {
        self.reader.left().map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

impl<E> fmt::Debug for Recorded<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorded").field("left", &self.reader.left()).finish_non_exhaustive()
    }
}

/// Where a body is written to, and who waits for it.
struct Tape {
    recording: Recording,
    lead: Option<Lead>,
}

impl Tape {
    async fn write(&mut self, bytes: &[u8]) {
        self.recording.write(bytes).await;
        if self.recording.is_over() {
            // Nobody need wait for its end.
            done(self.lead.take());
        }
    }

    /// Why it is not stored, where it is not.
    async fn finish(self) -> Option<Detail> {
        let missing = self.recording.complete().await;
        done(self.lead);
        missing
    }

    fn stored(&self) -> Stored {
        let staged = self.recording.staged();
        Stored {
            body: staged.map(|staged| staged.body),
            bytes: staged.map_or(0, Staged::bytes),
            stopped: self.recording.is_over().then_some(Stopped),
        }
    }
}

/// What comes of `body`. What is known to be the end of it is stored before it is handed out, for a caller who knows may stop there.
/// Where it breaks off, nothing is stored, and the lead passes on.
fn steps<B>(body: Pin<Box<B>>, tape: Tape) -> impl Stream<Item = Step>
where
    B: http_body::Body<Data = Bytes, Error: Send + 'static> + Send + 'static,
{
    stream::unfold((body, Some(tape), Stored::default()), |(mut body, mut tape, mut stored)| async move {
        let frame = poll_fn(|context| body.as_mut().poll_frame(context)).await;
        let step = match frame.map(|frame| frame.map(Frame::into_data)) {
            Some(Ok(Ok(bytes))) => {
                if let Some(tape) = &mut tape {
                    tape.write(&bytes).await;
                    stored = tape.stored();
                }
                Step::Bytes(bytes, stored)
            }
            Some(Ok(Err(frame))) => Step::Trailers(frame.into_trailers().unwrap_or_default()),
            Some(Err(error)) => {
                if let Some(tape) = &mut tape {
                    tape.lead = None;
                }
                return Some((Step::Failed(Box::new(error)), (body, tape, stored)));
            }
            None => Step::End,
        };
        if (matches!(step, Step::End) || body.is_end_stream())
            && let Some(complete) = tape.take_if(|tape| !tape.recording.is_over())
        {
            complete.finish().await;
        }
        Some((step, (body, tape, stored)))
    })
}
