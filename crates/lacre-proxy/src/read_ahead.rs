//! [`ReadAhead`]: a body whose beginning is read before it is passed on, to learn its length.
//!
//! A response with both Transfer-Encoding and Content-Length ought to be handled as an error
//! (RFC 9112 §6.3), but many origins send some. If such a body ends soon, its true length is known,
//! and one that breaks off is answered with an error. A longer body streams.

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::timeout;

/// The bytes that are read ahead at most.
const MAX_BYTES: usize = 64 << 10;

/// The time that reading ahead may take.
const MAX_WAIT: Duration = Duration::from_millis(100);

/// A body whose beginning may have been read ahead.
pub(crate) struct ReadAhead<B> {
    data: BytesMut,
    trailers: Option<HeaderMap>,
    has_ended: bool,
    body: B,
}

impl<B: Body<Data = Bytes> + Unpin> ReadAhead<B> {
    /// A body of which nothing is read ahead.
    pub(crate) fn unread(body: B) -> Self {
        Self { data: BytesMut::new(), trailers: None, has_ended: false, body }
    }

    /// Reads ahead until the end of the body, within the limits.
    ///
    /// # Errors
    /// The body broke off.
    pub(crate) async fn read(body: B) -> Result<Self, B::Error> {
        let mut ahead = Self::unread(body);
        match timeout(MAX_WAIT, ahead.read_on()).await {
            Ok(Err(error)) => Err(error),
            Ok(Ok(())) | Err(_) => Ok(ahead),
        }
    }

    /// Safe to cancel: each piece is kept as soon as it is read.
    async fn read_on(&mut self) -> Result<(), B::Error> {
        while self.data.len() <= MAX_BYTES {
            match self.body.frame().await.transpose()?.map(Frame::into_data) {
                Some(Ok(bytes)) => self.data.extend_from_slice(&bytes),
                Some(Err(frame)) => self.trailers = frame.into_trailers().ok(),
                None => {
                    self.has_ended = true;
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for ReadAhead<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        if !self.data.is_empty() {
            return Poll::Ready(Some(Ok(Frame::data(self.data.split().freeze()))));
        }
        if let Some(trailers) = self.trailers.take() {
            return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
        }
        if self.has_ended { Poll::Ready(None) } else { Pin::new(&mut self.body).poll_frame(context) }
    }

    fn is_end_stream(&self) -> bool {
        self.data.is_empty() && self.trailers.is_none() && (self.has_ended || self.body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        let ahead = self.data.len() as u64;
        if self.trailers.is_some() {
            // Trailers need the chunked coding, which has no Content-Length.
            let mut hint = SizeHint::new();
            hint.set_lower(ahead);
            return hint;
        }
        if self.has_ended {
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

    async fn read(frames: Vec<Frame<Bytes>>) -> ReadAhead<Source> {
        let (mut sender, body) = Source::new(frames.len());
        for frame in frames {
            sender.send(frame).await.unwrap();
        }
        drop(sender);
        ReadAhead::read(body).await.unwrap()
    }

    fn data(text: &'static str) -> Frame<Bytes> {
        Frame::data(Bytes::from_static(text.as_bytes()))
    }

    #[tokio::test]
    async fn a_short_body_has_a_length() {
        let body = read(vec![data("hel"), data("lo")]).await;
        assert_eq!(body.size_hint().exact(), Some(5));
        assert_eq!(body.collect().await.unwrap().to_bytes(), "hello");
    }

    #[tokio::test]
    async fn trailer_fields_stay_after_the_body() {
        let trailers = HeaderMap::from_iter([(http::header::ETAG, "\"1\"".parse().unwrap())]);
        let body = read(vec![data("hello"), Frame::trailers(trailers.clone())]).await;
        assert_eq!(body.size_hint().exact(), None);
        let collected = body.collect().await.unwrap();
        assert_eq!(collected.trailers(), Some(&trailers));
        assert_eq!(collected.to_bytes(), "hello");
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_or_long_body_streams_from_its_beginning() {
        let (mut sender, body) = Source::new(4);
        sender.send(data("hel")).await.unwrap();
        let mut body = ReadAhead::read(body).await.unwrap();
        assert_eq!(body.size_hint().exact(), None);
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "hel");
        sender.send(data("lo")).await.unwrap();
        drop(sender);
        assert_eq!(body.collect().await.unwrap().to_bytes(), "lo");
        let long = Bytes::from(vec![0; MAX_BYTES + 1]);
        let body = read(vec![Frame::data(long.clone()), data("more")]).await;
        assert_eq!(body.size_hint().lower(), MAX_BYTES as u64 + 1);
        assert_eq!(body.collect().await.unwrap().to_bytes().len(), MAX_BYTES + 5);
    }

    #[tokio::test]
    async fn a_body_that_breaks_off_soon_is_an_error() {
        let (mut sender, body) = Source::new(4);
        sender.send(data("hel")).await.unwrap();
        sender.abort("broken");
        assert!(ReadAhead::read(body).await.is_err());
    }
}
