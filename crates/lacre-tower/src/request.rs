//! What the cache gets to see of a request's body, where that is small.

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

/// The longest body that is read before the request is sent, in bytes.
const SEEN: u64 = 64 << 10;

pin_project! {
    /// The body of a request that a [`CacheLayer`](crate::CacheLayer) which [reads bodies](crate::CacheLayer::reading_bodies) sends on: the
    /// caller's own, unless the cache had to read it.
    pub struct SentBody<B> {
        #[pin]
        body: Sent<B>,
    }
}

pin_project! {
    #[project = SentProjection]
    enum Sent<B> {
        Whole { #[pin] body: Full<Bytes>, seen: Bytes },
        Stream { #[pin] body: B },
    }
}

/// Without the content.
impl<B> fmt::Debug for SentBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SentBody").finish_non_exhaustive()
    }
}

impl<B: Body<Data = Bytes>> SentBody<B> {
    /// Reads a small `body` that tells requests apart; leaves others as they are.
    async fn see(body: B, looked_up: LookedUp) -> Result<Self, B::Error> {
        if body.is_end_stream() {
            return Ok(Self::whole(Bytes::new()));
        }
        let small = body.size_hint().upper().is_some_and(|length| length <= SEEN);
        Ok(match looked_up {
            LookedUp::Yes if small => Self::whole(body.collect().await?.to_bytes()),
            LookedUp::Yes | LookedUp::No => Self { body: Sent::Stream { body } },
        })
    }
}

impl<B> SentBody<B> {
    /// What the cache may know of it; of a stream, nothing.
    fn seen(&self) -> Option<Bytes> {
        match &self.body {
            Sent::Whole { seen, .. } => Some(seen.clone()),
            Sent::Stream { .. } => None,
        }
    }

    /// The same once more; `None`: it is a stream, which can be sent only once.
    pub fn again(&self) -> Option<Self> {
        self.seen().map(Self::whole)
    }

    fn whole(seen: Bytes) -> Self {
        Self { body: Sent::Whole { body: Full::new(seen.clone()), seen } }
    }
}

/// The body of a request that may be sent: once at least, and as often as is wanted where it can be made anew.
pub(crate) struct Held<T> {
    body: Option<T>,
    /// All of it, where that is known.
    seen: Option<Bytes>,
    make: Option<fn(Bytes) -> Option<T>>,
}

impl<T> Held<T> {
    /// What the cache may know of it; of a stream, nothing.
    pub(crate) fn seen(&self) -> Option<Bytes> {
        self.seen.clone()
    }

    /// To be sent; `None`: it was, and can be only once.
    pub(crate) fn take(&mut self) -> Option<T> {
        self.body.take().or_else(|| self.made())
    }

    /// Whether it can be [taken](Self::take).
    pub(crate) fn is_there(&self) -> bool {
        self.body.is_some() || (self.make.is_some() && self.seen.is_some())
    }

    /// The same once more.
    pub(crate) fn again(&self) -> Option<Self> {
        Some(Self { body: Some(self.made()?), seen: self.seen.clone(), make: self.make })
    }

    fn made(&self) -> Option<T> {
        self.make?(self.seen.clone()?)
    }
}

impl<B: Body<Data = Bytes>> Held<SentBody<B>> {
    /// A body that may be read before it is sent.
    pub(crate) async fn reading(body: B, looked_up: LookedUp) -> Result<Self, B::Error> {
        let body = SentBody::see(body, looked_up).await?;
        let seen = body.seen();
        Ok(Self { body: Some(body), seen, make: Some(|seen| Some(SentBody::whole(seen))) })
    }
}

/// Makes a body of what was seen of one.
type Make<B> = fn(Bytes) -> Option<B>;

impl<B: Body<Data = Bytes> + 'static> Held<B> {
    /// A body that is sent as it came. What it holds can be seen where it is empty, or of one of the types that are known to hold all of it.
    pub(crate) fn as_it_came(body: B) -> Self {
        let any: &dyn Any = &body;
        let (seen, make): (_, Option<Make<B>>) = if let Some(full) = any.downcast_ref() {
            (whole::<Full<Bytes>>(full), Some(|seen| same(Full::new(seen))))
        } else if let Some(text) = any.downcast_ref() {
            (whole::<String>(text), Some(|seen| same(String::from_utf8(seen.into()).ok()?)))
        } else if any.is::<Empty<Bytes>>() {
            (Some(Bytes::new()), Some(|_| same(Empty::<Bytes>::new())))
        } else {
            (body.is_end_stream().then(Bytes::new), None)
        };
        Self { body: Some(body), seen, make }
    }
}

/// All of a body that is there at once.
fn whole<T: Body<Data = Bytes> + Clone + Unpin>(body: &T) -> Option<Bytes> {
    let whole = body.clone().collect().now_or_never()?.ok()?;
    Some(whole.to_bytes())
}

/// `body`, where it is of this very type.
fn same<T: 'static, B: 'static>(body: T) -> Option<B> {
    let any: Box<dyn Any> = Box::new(body);
    any.downcast().ok().map(|body| *body)
}

/// Whether a request's method is one that the cache looks up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LookedUp {
    Yes,
    No,
}

impl LookedUp {
    pub(crate) fn of(policy: &Policy, method: &Method) -> Self {
        if policy.looks_up(method) { Self::Yes } else { Self::No }
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
            SentProjection::Whole { body, .. } => {
                body.poll_frame(context).map_err(|never: std::convert::Infallible| match never {})
            }
            SentProjection::Stream { body } => body.poll_frame(context).map_err(Into::into),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.body {
            Sent::Whole { body, .. } => body.is_end_stream(),
            Sent::Stream { body } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.body {
            Sent::Whole { body, .. } => body.size_hint(),
            Sent::Stream { body } => body.size_hint(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_to_be_whole_is_seen_and_can_be_sent_again() {
        fn seen<B: Body<Data = Bytes> + 'static>(body: B) -> (Option<Bytes>, bool) {
            let held = Held::as_it_came(body);
            (held.seen(), held.again().is_some())
        }
        assert_eq!(seen(Full::new(Bytes::from("a"))), (Some("a".into()), true));
        assert_eq!(seen(String::from("a")), (Some("a".into()), true));
        assert_eq!(seen(Empty::<Bytes>::new()), (Some(Bytes::new()), true));
        assert_eq!(seen(Empty::<Bytes>::new().boxed()), (Some(Bytes::new()), false));
        assert_eq!(seen(Full::new(Bytes::from("a")).boxed()), (None, false));
    }
}
