//! Bodies on their way between two connections: they must not stall, and their trailer sections change nothing that was said before.

use crate::serve::connections::Upload;
use crate::serve::headers;
use bytes::Buf;
use http_body::{Body, Frame, SizeHint};
use std::error::Error as StdError;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::{Instant, Sleep, sleep, timeout_at};

/// A body whose pieces must come within `limit` of each other, or it ends with [`Stalled`].
pub(crate) struct Paced<B> {
    limit: Duration,
    pulse: Option<Pulse>,
    upload: Option<Arc<Upload>>,
    /// Made when there is something to wait for.
    sleep: Option<Pin<Box<Sleep>>>,
    body: B,
}

impl<B> Paced<B> {
    pub(crate) fn new(body: B, limit: Duration) -> Self {
        Self { limit, pulse: None, upload: None, sleep: None, body }
    }

    /// The same, showing its progress in `pulse`.
    pub(crate) fn with_pulse(self, pulse: Pulse) -> Self {
        Self { pulse: Some(pulse), ..self }
    }

    /// The same, which ends early where its connection has to make room.
    pub(crate) fn with_upload(self, upload: Option<Arc<Upload>>) -> Self {
        Self { upload, ..self }
    }
}

/// When a message last moved.
#[derive(Clone)]
pub(crate) struct Pulse(Arc<Mutex<Instant>>);

impl Default for Pulse {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Instant::now())))
    }
}

impl Pulse {
    pub(crate) fn beat(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    fn last(&self) -> Instant {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for `work`, as long as no more than `limit` passes without a beat.
    pub(crate) async fn keeps<F: Future>(&self, work: F, limit: Duration) -> Result<F::Output, Stalled> {
        let mut work = std::pin::pin!(work);
        loop {
            let until = self.last() + limit;
            if let Ok(output) = timeout_at(until, work.as_mut()).await {
                return Ok(output);
            }
            if self.last() + limit <= until {
                return Err(Stalled);
            }
        }
    }
}

/// Nothing moved for too long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stalled;

impl fmt::Display for Stalled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("nothing came for too long")
    }
}

impl StdError for Stalled {}

impl<B: Body<Error: Into<Box<dyn StdError + Send + Sync>>> + Unpin> Body for Paced<B> {
    type Data = B::Data;
    type Error = Box<dyn StdError + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, Self::Error>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) {
            self.sleep = None;
            if let Some(pulse) = &self.pulse {
                pulse.beat();
            }
            if let Some(upload) = &self.upload {
                let data = frame.as_ref().and_then(|frame| frame.as_ref().ok()?.data_ref());
                upload.came(data.map_or(0, Buf::remaining));
            }
            return Poll::Ready(frame.map(|frame| frame.map(clean).map_err(Into::into)));
        }
        let ended = self.upload.as_ref().is_some_and(|upload| upload.poll_ended(context).is_ready());
        if ended {
            return Poll::Ready(Some(Err(Box::new(Stalled))));
        }
        let limit = self.limit;
        ready!(self.sleep.get_or_insert_with(|| Box::pin(sleep(limit))).as_mut().poll(context));
        Poll::Ready(Some(Err(Box::new(Stalled))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

fn clean<D>(frame: Frame<D>) -> Frame<D> {
    match frame.into_trailers() {
        Ok(mut trailers) => {
            headers::clean_trailers(&mut trailers);
            Frame::trailers(trailers)
        }
        Err(frame) => frame,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use http_body_util::channel::Channel;
    use http_body_util::{BodyExt, Empty};

    #[tokio::test(start_paused = true)]
    async fn a_silent_body_ends_with_an_error() {
        let (_sender, silent) = Channel::<Bytes, Stalled>::new(1);
        let mut body = Paced::new(silent, Duration::from_secs(3));
        let begun = Instant::now();
        assert!(body.frame().await.unwrap().is_err_and(|error| error.is::<Stalled>()));
        assert_eq!(begun.elapsed(), Duration::from_secs(3));
    }

    #[test]
    fn a_paced_body_is_as_long_as_it_was() {
        assert!(Paced::new(Empty::<Bytes>::new(), Duration::from_secs(1)).is_end_stream());
    }

    #[tokio::test(start_paused = true)]
    async fn work_may_take_as_long_as_something_moves() {
        let pulse = Pulse::default();
        let moving = async {
            for _ in 0..10 {
                sleep(Duration::from_secs(2)).await;
                pulse.beat();
            }
        };
        assert!(pulse.keeps(moving, Duration::from_secs(3)).await.is_ok());
        assert!(pulse.keeps(std::future::pending::<()>(), Duration::from_secs(3)).await.is_err());
    }
}
