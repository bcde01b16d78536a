//! A response's body on its way to the caller, recorded as it passes (RFC 9111 §3.3: only a body that ended well is stored).

use bytes::Bytes;
use futures_util::{Stream, stream};
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::BodyExt;
use lacre::Recording;
use reqwest::{Body, Error, Response};
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};

/// `body`, which is written to `recording` while it is read. It is stored before the caller gets its last bytes; where it breaks off or
/// is dropped, nothing is. A body without any bytes is stored at once.
pub(crate) async fn recorded(body: Body, recording: Recording) -> Body {
    if body.is_end_stream() {
        recording.finish().await;
        return body;
    }
    Body::wrap(Recorded {
        left: body.size_hint().exact(),
        frames: Mutex::new(Box::pin(frames(body, recording))),
    })
}

/// Reads a response that nobody waits for, so that it is stored and its connection can be used again; no more than about `limit` bytes.
pub(crate) async fn drain(mut response: Response, limit: u64) {
    let mut read = 0_u64;
    while let Ok(Some(bytes)) = response.chunk().await {
        read = read.saturating_add(bytes.len() as u64);
        if read > limit {
            return;
        }
    }
}

/// The frames of `body`. What is known to be the end of it is stored before it is handed out, for a caller who knows may stop there.
fn frames(body: Body, recording: Recording) -> impl Stream<Item = Result<Frame<Bytes>, Error>> + Send {
    stream::unfold((body, Some(recording)), |(mut body, recording)| async move {
        let frame = body.frame().await;
        let recording = match (&frame, recording) {
            (Some(Ok(frame)), Some(mut recording)) => {
                if let Some(bytes) = frame.data_ref() {
                    recording.write(bytes).await;
                }
                if body.is_end_stream() {
                    recording.finish().await;
                    None
                } else {
                    Some(recording)
                }
            }
            (None, Some(recording)) => {
                recording.finish().await;
                None
            }
            (Some(Err(_)), _) | (_, None) => None,
        };
        frame.map(|frame| (frame, (body, recording)))
    })
}

type Frames = Pin<Box<dyn Stream<Item = Result<Frame<Bytes>, Error>> + Send>>;

struct Recorded {
    /// A body must be `Sync`, which these frames are not; nobody ever locks them.
    frames: Mutex<Frames>,
    /// How many bytes are still to come, where that is known.
    left: Option<u64>,
}

impl HttpBody for Recorded {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let frames = self.frames.get_mut().unwrap_or_else(PoisonError::into_inner);
        let polled = frames.as_mut().poll_next(context);
        if let Poll::Ready(Some(Ok(frame))) = &polled {
            let passed = frame.data_ref().map_or(0, |bytes| bytes.len() as u64);
            self.left = self.left.map(|left| left.saturating_sub(passed));
        }
        polled
    }

    fn size_hint(&self) -> SizeHint {
        self.left.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
