//! The body of a response on its way to the caller: stored, or recorded as it passes (RFC 9111 §3.3: only what ended well is stored).

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use lacre::{Lead, Recording};
use pin_project_lite::pin_project;
use std::error::Error as StdError;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

/// How long the cache took to look a request up; among the extensions of every response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LookupTime(pub Duration);

pin_project! {
    /// The body of a response that went through the cache.
    pub struct ServedBody<R: Body> {
        #[pin]
        body: Served<R>,
    }
}

pin_project! {
    #[project = ServedProjection]
    enum Served<R: Body> {
        Stored { #[pin] body: lacre::Body },
        Passing { #[pin] body: R },
        Recorded { frames: Frames<R::Error>, left: Option<u64>, limit: u64 },
    }
}

type BoxError = Box<dyn StdError + Send + Sync>;

type Frames<E> = Pin<Box<dyn Stream<Item = Result<Frame<Bytes>, E>> + Send>>;

impl<R: Body<Data = Bytes>> ServedBody<R> {
    pub(crate) fn stored(body: lacre::Body) -> Self {
        Self { body: Served::Stored { body } }
    }

    pub(crate) fn passing(body: R) -> Self {
        Self { body: Served::Passing { body } }
    }
}

impl<R> ServedBody<R>
where
    R: Body<Data = Bytes, Error: Send> + Send + 'static,
{
    /// `body`, which is written to `recording` while it is read. It is stored before the caller gets its last bytes, and `lead` ends
    /// then, or as soon as it is too long to be stored. A body without any bytes is stored at once.
    pub(crate) async fn recorded(body: R, recording: Recording, lead: Option<Lead>) -> Self {
        let limit = recording.limit();
        let tape = Tape { left: limit, recording, lead };
        if body.is_end_stream() {
            tape.finish().await;
            return Self::passing(body);
        }
        if body.size_hint().lower() > tape.left {
            tape.give_up();
            return Self::passing(body);
        }
        let left = body.size_hint().exact();
        Self { body: Served::Recorded { frames: Box::pin(frames(Box::pin(body), tape)), left, limit } }
    }

    /// Reads on for nobody, so that it is stored: only what is recorded, and no further than that may be long.
    pub(crate) async fn record(self) {
        let Served::Recorded { mut frames, limit: mut left, .. } = self.body else { return };
        while let Some(Ok(frame)) = frames.next().await {
            let length = frame.data_ref().map_or(0, |bytes| bytes.len() as u64);
            let Some(rest) = left.checked_sub(length) else { return };
            left = rest;
        }
    }
}

/// Where a body is written to, and who waits for it.
struct Tape {
    recording: Recording,
    lead: Option<Lead>,
    /// How many bytes may still come.
    left: u64,
}

impl Tape {
    async fn write(mut self, bytes: &Bytes) -> Option<Self> {
        let Some(left) = self.left.checked_sub(bytes.len() as u64) else {
            self.give_up();
            return None;
        };
        self.left = left;
        self.recording.write(bytes).await;
        Some(self)
    }

    async fn finish(self) {
        self.recording.finish().await;
        done(self.lead);
    }

    /// It is too long to be stored: nobody need wait for its end.
    fn give_up(self) {
        done(self.lead);
    }
}

/// Those who follow, if anybody led them, go on.
pub(crate) fn done(lead: Option<Lead>) {
    if let Some(lead) = lead {
        lead.done();
    }
}

/// The frames of `body`. What is known to be the end of it is stored before it is handed out, for a caller who knows may stop there.
/// Where it breaks off, the tape is dropped: nothing is stored, and the lead passes on.
fn frames<R>(body: Pin<Box<R>>, tape: Tape) -> impl Stream<Item = Result<Frame<Bytes>, R::Error>>
where
    R: Body<Data = Bytes>,
{
    stream::unfold((body, Some(tape)), |(mut body, mut tape)| async move {
        let frame = body.frame().await;
        match &frame {
            Some(Ok(frame)) => {
                if let (Some(bytes), Some(running)) = (frame.data_ref(), tape.take()) {
                    tape = running.write(bytes).await;
                }
            }
            Some(Err(_)) => tape = None,
            None => {}
        }
        if (frame.is_none() || body.is_end_stream())
            && let Some(complete) = tape.take()
        {
            complete.finish().await;
        }
        frame.map(|frame| (frame, (body, tape)))
    })
}

impl<R> Body for ServedBody<R>
where
    R: Body<Data = Bytes, Error: Into<BoxError>>,
{
    type Data = Bytes;
    /// The service's own, or a [`lacre::Error`] where a stored body broke off.
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match self.project().body.project() {
            ServedProjection::Stored { body } => body.poll_frame(context).map_err(Into::into),
            ServedProjection::Passing { body } => body.poll_frame(context).map_err(Into::into),
            ServedProjection::Recorded { frames, left, .. } => {
                let polled = frames.as_mut().poll_next(context);
                if let (Poll::Ready(Some(Ok(frame))), Some(left)) = (&polled, left) {
                    *left = left.saturating_sub(frame.data_ref().map_or(0, |bytes| bytes.len() as u64));
                }
                polled.map_err(Into::into)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.body {
            Served::Stored { body } => body.is_end_stream(),
            Served::Passing { body } => body.is_end_stream(),
            Served::Recorded { .. } => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.body {
            Served::Stored { body } => body.size_hint(),
            Served::Passing { body } => body.size_hint(),
            Served::Recorded { left, .. } => left.map_or_else(SizeHint::default, SizeHint::with_exact),
        }
    }
}

impl<R: Body> fmt::Debug for ServedBody<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let from = match self.body {
            Served::Stored { .. } => "stored",
            Served::Passing { .. } => "passing",
            Served::Recorded { .. } => "recorded",
        };
        f.debug_struct("ServedBody").field("from", &from).finish_non_exhaustive()
    }
}
