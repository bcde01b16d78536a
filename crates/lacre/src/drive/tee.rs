//! The body of a network response that is stored while its caller reads it (RFC 9111 §3.3), and
//! read by the waiters of the same request.

use super::Failure;
use super::coalesce::{Leader, done};
use crate::body::Recording;
use crate::body::in_flight::WeakInFlight;
use crate::body::recording::Staged;
use crate::body::transfer::{Piece, Reader, Role, Step, Stopped, Stored, Transfer};
use bytes::Bytes;
use futures_util::{Stream, stream};
use http_body::{Frame, SizeHint};
use lacre_core::Detail;
use std::fmt;
use std::future::poll_fn;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// The body of a network response that is stored while its caller reads it. It is stored before the
/// caller gets its last bytes. If it breaks off, or is not read to its end, nothing is stored. `E`
/// is the network's error.
pub struct TeeBody<E> {
    reader: Reader,
    error: PhantomData<fn() -> E>,
}

/// The outcome of starting to store a body.
pub(crate) enum TeeStart<B: http_body::Body> {
    /// The body is stored while it is read.
    Storing(TeeBody<B::Error>),
    /// The body is empty. Why it is not stored; `None`: it is.
    Empty(B, Option<Detail>),
}

impl<E: Send + 'static> TeeBody<E> {
    /// Starts to store `body`. `leader` shows the response to its waiters, and ends when the body
    /// is stored or cannot be.
    pub(crate) async fn start<B>(body: B, recording: Recording, leader: Option<Leader>) -> TeeStart<B>
    where
        B: http_body::Body<Data = Bytes, Error = E> + Send + 'static,
    {
        let recorder = Recorder { recording, leader };
        if body.is_end_stream() {
            let missing = recorder.finish().await;
            return TeeStart::Empty(body, missing);
        }
        let recording = &recorder.recording;
        let length = body.size_hint().exact().or_else(|| recording.declared());
        let transfer =
            Arc::new(Transfer::new(recording.storage().clone(), Arc::clone(recording.keep()), length));
        if let Some(leader) = &recorder.leader {
            leader.show(WeakInFlight::of(&transfer));
        }
        transfer.begin(Box::pin(steps(Box::pin(body), recorder)));
        let reader = Reader::new(transfer, Role::Leader);
        TeeStart::Storing(Self { reader, error: PhantomData })
    }
}

impl<E: Send + 'static> TeeBody<E> {
    /// Reads the body as long as it is being stored: for a response that nobody waits for.
    pub(crate) async fn read_to_store(mut self) {
        while self.reader.is_stored() {
            let frame = poll_fn(|context| http_body::Body::poll_frame(Pin::new(&mut self), context)).await;
            if !matches!(frame, Some(Ok(_))) {
                return;
            }
        }
    }
}

impl<E: Send + 'static> http_body::Body for TeeBody<E> {
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

impl<E> fmt::Debug for TeeBody<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TeeBody").field("left", &self.reader.left()).finish_non_exhaustive()
    }
}

/// The recording of a body, and the leader of the requests that wait for it.
struct Recorder {
    recording: Recording,
    leader: Option<Leader>,
}

impl Recorder {
    async fn write(&mut self, bytes: &[u8]) {
        self.recording.write(bytes).await;
        if self.recording.is_over() {
            // Waiters need not wait for the end of a body that is not stored.
            done(self.leader.take());
        }
    }

    /// Commits the body, and returns why it is not stored.
    async fn finish(self) -> Option<Detail> {
        let missing = self.recording.complete().await;
        done(self.leader);
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

/// The steps of a transfer. The last bytes of a body with a known length are stored before they are
/// returned, since the caller may stop reading there. If the body breaks off, nothing is stored,
/// and a waiter becomes the leader.
fn steps<B>(body: Pin<Box<B>>, recorder: Recorder) -> impl Stream<Item = Step>
where
    B: http_body::Body<Data = Bytes, Error: Send + 'static> + Send + 'static,
{
    stream::unfold(
        (body, Some(recorder), Stored::default()),
        |(mut body, mut recorder, mut stored)| async move {
            let frame = poll_fn(|context| body.as_mut().poll_frame(context)).await;
            let step = match frame.map(|frame| frame.map(Frame::into_data)) {
                Some(Ok(Ok(bytes))) => {
                    if let Some(recorder) = &mut recorder {
                        recorder.write(&bytes).await;
                        stored = recorder.stored();
                    }
                    Step::Bytes(bytes, stored)
                }
                Some(Ok(Err(frame))) => Step::Trailers(frame.into_trailers().unwrap_or_default()),
                Some(Err(error)) => {
                    if let Some(recorder) = &mut recorder {
                        recorder.leader = None;
                    }
                    return Some((Step::Failed(Box::new(error)), (body, recorder, stored)));
                }
                None => Step::End,
            };
            if (matches!(step, Step::End) || body.is_end_stream())
                && let Some(complete) = recorder.take_if(|recorder| !recorder.recording.is_over())
            {
                complete.finish().await;
            }
            Some((step, (body, recorder, stored)))
        },
    )
}
