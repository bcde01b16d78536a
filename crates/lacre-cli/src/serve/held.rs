//! A body that is held back for a moment, to see how long it is.
//!
//! A response with Transfer-Encoding beside Content-Length ought to be handled as an error (RFC 9112 §6.3), and many origins send some.
//! Where its body comes at once, its true length can be said, and one that breaks off is no answer at all; a longer one streams.

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::timeout;

/// How much is held back, and for how long.
const MOST: usize = 64 << 10;
const LONGEST: Duration = Duration::from_millis(100);

/// A body of which the beginning may have been read ahead.
pub(crate) struct Held<B> {
    ahead: BytesMut,
    trailers: Option<HeaderMap>,
    is_over: bool,
    body: B,
}

impl<B: Body<Data = Bytes> + Unpin> Held<B> {
    /// Nothing of it is held back.
    pub(crate) fn nothing_of(body: B) -> Self {
        Self { ahead: BytesMut::new(), trailers: None, is_over: false, body }
    }

    /// Reads ahead to its end, as long as that is near.
    ///
    /// # Errors
    /// It broke off.
    pub(crate) async fn beginning_of(body: B) -> Result<Self, B::Error> {
        let mut held = Self::nothing_of(body);
        match timeout(LONGEST, held.read_ahead()).await {
            Ok(Err(error)) => Err(error),
            Ok(Ok(())) | Err(_) => Ok(held),
        }
    }

    /// What was read is kept wherever this is left.
    async fn read_ahead(&mut self) -> Result<(), B::Error> {
        while self.ahead.len() <= MOST {
            match self.body.frame().await.transpose()?.map(Frame::into_data) {
                Some(Ok(bytes)) => self.ahead.extend_from_slice(&bytes),
                Some(Err(frame)) => self.trailers = frame.into_trailers().ok(),
                None => {
                    self.is_over = true;
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Held<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        if !self.ahead.is_empty() {
            return Poll::Ready(Some(Ok(Frame::data(self.ahead.split().freeze()))));
        }
        if let Some(trailers) = self.trailers.take() {
            return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
        }
        if self.is_over { Poll::Ready(None) } else { Pin::new(&mut self.body).poll_frame(context) }
    }

    fn is_end_stream(&self) -> bool {
        self.ahead.is_empty() && self.trailers.is_none() && (self.is_over || self.body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        let ahead = self.ahead.len() as u64;
        if self.trailers.is_some() {
            // They need chunks, which have no length.
            let mut hint = SizeHint::new();
            hint.set_lower(ahead);
            return hint;
        }
        if self.is_over {
            return SizeHint::with_exact(ahead);
        }
        let rest = self.body.size_hint();
        let mut hint = SizeHint::new();
        hint.set_lower(rest.lower().saturating_add(ahead));
        if let Some(upper) = rest.upper() {
            hint.set_upper(upper.saturating_add(ahead));
        }
        hint
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::channel::Channel;

    type Source = Channel<Bytes, &'static str>;

    async fn held(frames: Vec<Frame<Bytes>>) -> Held<Source> {
        let (mut sender, body) = Source::new(frames.len());
        for frame in frames {
            sender.send(frame).await.unwrap();
        }
        drop(sender);
        Held::beginning_of(body).await.unwrap()
    }

    fn data(text: &'static str) -> Frame<Bytes> {
        Frame::data(Bytes::from_static(text.as_bytes()))
    }

    #[tokio::test]
    async fn a_body_whose_end_is_near_has_a_length() {
        let body = held(vec![data("hel"), data("lo")]).await;
        assert_eq!(body.size_hint().exact(), Some(5));
        assert_eq!(body.collect().await.unwrap().to_bytes(), "hello");
    }

    #[tokio::test]
    async fn trailer_fields_stay_behind_it() {
        let trailers = HeaderMap::from_iter([(http::header::ETAG, "\"1\"".parse().unwrap())]);
        let body = held(vec![data("hello"), Frame::trailers(trailers.clone())]).await;
        assert_eq!(body.size_hint().exact(), None);
        let collected = body.collect().await.unwrap();
        assert_eq!(collected.trailers(), Some(&trailers));
        assert_eq!(collected.to_bytes(), "hello");
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_whose_end_is_far_streams_from_its_beginning() {
        let (mut sender, body) = Source::new(4);
        sender.send(data("hel")).await.unwrap();
        let mut body = Held::beginning_of(body).await.unwrap();
        assert_eq!(body.size_hint().exact(), None);
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "hel");
        sender.send(data("lo")).await.unwrap();
        drop(sender);
        assert_eq!(body.collect().await.unwrap().to_bytes(), "lo");
        let long = Bytes::from(vec![0; MOST + 1]);
        let body = held(vec![Frame::data(long.clone()), data("more")]).await;
        assert_eq!(body.size_hint().lower(), MOST as u64 + 1);
        assert_eq!(body.collect().await.unwrap().to_bytes().len(), MOST + 5);
    }

    #[tokio::test]
    async fn a_body_that_breaks_off_at_once_is_none() {
        let (mut sender, body) = Source::new(4);
        sender.send(data("hel")).await.unwrap();
        sender.abort("broken");
        assert!(Held::beginning_of(body).await.is_err());
    }
}
