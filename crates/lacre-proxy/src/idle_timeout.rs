//! [`IdleTimeout`]: a body that fails when no piece of it arrives for too long. It also removes
//! trailer fields that could contradict the header.

use crate::headers;
use crate::upload::UploadProgress;
use bytes::Buf;
use http_body::{Body, Frame, SizeHint};
use std::error::Error as StdError;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::{Instant, Sleep, sleep, timeout_at};

/// A body whose pieces must arrive within `limit` of each other. Otherwise it ends with
/// [`Stalled`].
pub(crate) struct IdleTimeout<B> {
    limit: Duration,
    activity: Option<Activity>,
    upload: Option<Arc<UploadProgress>>,
    /// Created only while the body waits.
    sleep: Option<Pin<Box<Sleep>>>,
    body: B,
}

impl<B> IdleTimeout<B> {
    pub(crate) fn new(body: B, limit: Duration) -> Self {
        Self { limit, activity: None, upload: None, sleep: None, body }
    }

    /// The same body, which records each piece in `activity`.
    pub(crate) fn with_activity(self, activity: Activity) -> Self {
        Self { activity: Some(activity), ..self }
    }

    /// The same body, which ends early when `upload` is cut off.
    pub(crate) fn with_upload(self, upload: Option<Arc<UploadProgress>>) -> Self {
        Self { upload, ..self }
    }
}

/// The time of the last activity of a message.
#[derive(Clone)]
pub(crate) struct Activity(Arc<Mutex<Instant>>);

impl Default for Activity {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Instant::now())))
    }
}

impl Activity {
    pub(crate) fn record(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    fn last(&self) -> Instant {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for `work` as long as activities follow each other within `limit`.
    pub(crate) async fn timeout<F: Future>(&self, work: F, limit: Duration) -> Result<F::Output, Stalled> {
        let mut work = std::pin::pin!(work);
        loop {
            let deadline = self.last() + limit;
            if let Ok(output) = timeout_at(deadline, work.as_mut()).await {
                return Ok(output);
            }
            if self.last() + limit <= deadline {
                return Err(Stalled);
            }
        }
    }
}

/// Nothing arrived for too long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stalled;

impl fmt::Display for Stalled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("nothing arrived for too long")
    }
}

impl StdError for Stalled {}

impl<B: Body<Error: Into<Box<dyn StdError + Send + Sync>>> + Unpin> Body for IdleTimeout<B> {
    type Data = B::Data;
    type Error = Box<dyn StdError + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, Self::Error>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) {
            self.sleep = None;
            if let Some(activity) = &self.activity {
                activity.record();
            }
            if let Some(upload) = &self.upload {
                let data = frame.as_ref().and_then(|frame| frame.as_ref().ok()?.data_ref());
                upload.received(data.map_or(0, Buf::remaining));
            }
            return Poll::Ready(frame.map(|frame| frame.map(clean_trailers).map_err(Into::into)));
        }
        let cut_off = self.upload.as_ref().is_some_and(|upload| upload.poll_cut_off(context).is_ready());
        if cut_off {
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

fn clean_trailers<D>(frame: Frame<D>) -> Frame<D> {
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
        let mut body = IdleTimeout::new(silent, Duration::from_secs(3));
        let begun = Instant::now();
        assert!(body.frame().await.unwrap().is_err_and(|error| error.is::<Stalled>()));
        assert_eq!(begun.elapsed(), Duration::from_secs(3));
    }

    #[test]
    fn a_body_with_a_timeout_keeps_its_length() {
        assert!(IdleTimeout::new(Empty::<Bytes>::new(), Duration::from_secs(1)).is_end_stream());
    }

    #[tokio::test(start_paused = true)]
    async fn work_continues_while_there_is_activity() {
        let activity = Activity::default();
        let active = async {
            for _ in 0..10 {
                sleep(Duration::from_secs(2)).await;
                activity.record();
            }
        };
        assert!(activity.timeout(active, Duration::from_secs(3)).await.is_ok());
        assert!(activity.timeout(std::future::pending::<()>(), Duration::from_secs(3)).await.is_err());
    }
}
