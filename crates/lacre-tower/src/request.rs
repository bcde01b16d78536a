//! Request bodies: what the cache sees of them, and how one is sent again.

use bytes::Bytes;
use futures_util::FutureExt;
use http::Method;
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Empty, Full};
use lacre::Policy;
use pin_project_lite::pin_project;
use std::any::Any;
use std::error::Error as StdError;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

/// The longest body that a layer reads into memory, in bytes.
const MAX_BUFFERED: u64 = 64 << 10;

pin_project! {
    /// The body of a request that a [`CacheLayer`](crate::CacheLayer) which
    /// [buffers bodies](crate::CacheLayer::buffer_bodies) sends on: the caller's own body, or the
    /// bytes that the layer read from it.
    pub struct SentBody<B> {
        #[pin]
        body: Sent<B>,
    }
}

pin_project! {
    #[project = SentProjection]
    enum Sent<B> {
        Buffered { #[pin] body: Full<Bytes>, bytes: Bytes },
        Stream { #[pin] body: B },
    }
}

/// Omits the content.
impl<B> fmt::Debug for SentBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SentBody").finish_non_exhaustive()
    }
}

impl<B: Body<Data = Bytes>> SentBody<B> {
    /// Reads a short `body` into memory if the request is looked up by it.
    async fn buffer(body: B, lookup: LookupNeeded) -> Result<Self, B::Error> {
        if body.is_end_stream() {
            return Ok(Self::buffered(Bytes::new()));
        }
        let short = body.size_hint().upper().is_some_and(|length| length <= MAX_BUFFERED);
        Ok(match lookup {
            LookupNeeded::Yes if short => Self::buffered(body.collect().await?.to_bytes()),
            LookupNeeded::Yes | LookupNeeded::No => Self { body: Sent::Stream { body } },
        })
    }
}

impl<B> SentBody<B> {
    /// The whole body, if it is in memory.
    fn bytes(&self) -> Option<Bytes> {
        match &self.body {
            Sent::Buffered { bytes, .. } => Some(bytes.clone()),
            Sent::Stream { .. } => None,
        }
    }

    /// A copy of the body; `None` if it is a stream, which can be sent only once.
    pub fn try_clone(&self) -> Option<Self> {
        self.bytes().map(Self::buffered)
    }

    fn buffered(bytes: Bytes) -> Self {
        Self { body: Sent::Buffered { body: Full::new(bytes.clone()), bytes } }
    }
}

/// The body of a request that may be sent more than once.
pub(crate) struct ReplayableBody<T> {
    /// `None` once it was sent.
    body: Option<T>,
    /// The whole body, if it is known.
    bytes: Option<Bytes>,
    /// Makes another body of the same bytes, if the type allows it.
    rebuild: Option<fn(Bytes) -> Option<T>>,
}

impl<T> ReplayableBody<T> {
    /// The whole body as the cache sees it; `None` for a stream.
    pub(crate) fn bytes(&self) -> Option<Bytes> {
        self.bytes.clone()
    }

    /// The body to send; `None` if it was sent and cannot be sent again.
    pub(crate) fn take(&mut self) -> Option<T> {
        self.body.take().or_else(|| self.rebuilt())
    }

    /// Whether it can be [taken](Self::take).
    pub(crate) fn can_take(&self) -> bool {
        self.body.is_some() || (self.rebuild.is_some() && self.bytes.is_some())
    }

    /// A copy; `None` for a stream.
    pub(crate) fn try_clone(&self) -> Option<Self> {
        Some(Self { body: Some(self.rebuilt()?), bytes: self.bytes.clone(), rebuild: self.rebuild })
    }

    fn rebuilt(&self) -> Option<T> {
        self.rebuild?(self.bytes.clone()?)
    }
}

impl<B: Body<Data = Bytes>> ReplayableBody<SentBody<B>> {
    /// A body that is read into memory if it is short and the request is looked up by it.
    pub(crate) async fn buffer(body: B, lookup: LookupNeeded) -> Result<Self, B::Error> {
        let body = SentBody::buffer(body, lookup).await?;
        let bytes = body.bytes();
        Ok(Self { body: Some(body), bytes, rebuild: Some(|bytes| Some(SentBody::buffered(bytes))) })
    }
}

/// Makes a body of these bytes.
type Rebuild<B> = fn(Bytes) -> Option<B>;

impl<B: Body<Data = Bytes> + 'static> ReplayableBody<B> {
    /// A body that is passed on as it is. Its bytes are known if it is empty, or if its type is one
    /// that always holds the whole body in memory.
    pub(crate) fn streamed(body: B) -> Self {
        let any: &dyn Any = &body;
        let (bytes, rebuild): (_, Option<Rebuild<B>>) = if let Some(full) = any.downcast_ref() {
            (whole::<Full<Bytes>>(full), Some(|bytes| cast(Full::new(bytes))))
        } else if let Some(text) = any.downcast_ref() {
            (whole::<String>(text), Some(|bytes| cast(String::from_utf8(bytes.into()).ok()?)))
        } else if any.is::<Empty<Bytes>>() {
            (Some(Bytes::new()), Some(|_| cast(Empty::<Bytes>::new())))
        } else {
            (body.is_end_stream().then(Bytes::new), None)
        };
        Self { body: Some(body), bytes, rebuild }
    }
}

/// The whole of a body that is ready at once.
fn whole<T: Body<Data = Bytes> + Clone + Unpin>(body: &T) -> Option<Bytes> {
    let whole = body.clone().collect().now_or_never()?.ok()?;
    Some(whole.to_bytes())
}

/// `body`, if the two types are the same.
fn cast<T: 'static, B: 'static>(body: T) -> Option<B> {
    let any: Box<dyn Any> = Box::new(body);
    any.downcast().ok().map(|body| *body)
}

/// Whether the cache looks up requests with this method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LookupNeeded {
    Yes,
    No,
}

impl LookupNeeded {
    pub(crate) fn by(policy: &Policy, method: &Method) -> Self {
        if policy.caches_method(method) { Self::Yes } else { Self::No }
    }
}

impl<B> Body for SentBody<B>
where
    B: Body<Data = Bytes, Error: Into<Box<dyn StdError + Send + Sync>>>,
{
    type Data = Bytes;
    type Error = Box<dyn StdError + Send + Sync>;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match self.project().body.project() {
            SentProjection::Buffered { body, .. } => {
                body.poll_frame(context).map_err(|never: std::convert::Infallible| match never {})
            }
            SentProjection::Stream { body } => body.poll_frame(context).map_err(Into::into),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.body {
            Sent::Buffered { body, .. } => body.is_end_stream(),
            Sent::Stream { body } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.body {
            Sent::Buffered { body, .. } => body.size_hint(),
            Sent::Stream { body } => body.size_hint(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_of_a_type_that_is_always_whole_is_seen_and_can_be_sent_again() {
        fn seen<B: Body<Data = Bytes> + 'static>(body: B) -> (Option<Bytes>, bool) {
            let body = ReplayableBody::streamed(body);
            (body.bytes(), body.try_clone().is_some())
        }
        assert_eq!(seen(Full::new(Bytes::from("a"))), (Some("a".into()), true));
        assert_eq!(seen(String::from("a")), (Some("a".into()), true));
        assert_eq!(seen(Empty::<Bytes>::new()), (Some(Bytes::new()), true));
        assert_eq!(seen(Empty::<Bytes>::new().boxed()), (Some(Bytes::new()), false));
        assert_eq!(seen(Full::new(Bytes::from("a")).boxed()), (None, false));
    }
}
