//! What the cache gets to see of a request: its body where that is small, and the URL that it is for.

use bytes::Bytes;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{Method, Uri, header, request};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Full};
use lacre::Policy;
use pin_project_lite::pin_project;
use std::error::Error as StdError;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

/// The longest body that is read before the request is sent, in bytes.
const SEEN: u64 = 64 << 10;

pin_project! {
    /// The body of a request that the cache sends on: the caller's own, unless the cache had to read it.
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
    pub(crate) async fn see(body: B, looked_up: LookedUp) -> Result<Self, B::Error> {
        if body.is_end_stream() {
            return Ok(Self::empty());
        }
        let small = body.size_hint().upper().is_some_and(|length| length <= SEEN);
        Ok(match looked_up {
            LookedUp::Yes if small => Self::whole(body.collect().await?.to_bytes()),
            LookedUp::Yes | LookedUp::No => Self { body: Sent::Stream { body } },
        })
    }

    /// What the cache may know of it; of a stream, nothing.
    pub(crate) fn seen(&self) -> Option<Bytes> {
        match &self.body {
            Sent::Whole { seen, .. } => Some(seen.clone()),
            Sent::Stream { .. } => None,
        }
    }

    /// The same once more; `None`: it is a stream, which can be sent only once.
    pub fn again(&self) -> Option<Self> {
        self.seen().map(Self::whole)
    }

    pub(crate) fn empty() -> Self {
        Self::whole(Bytes::new())
    }

    fn whole(seen: Bytes) -> Self {
        Self { body: Sent::Whole { body: Full::new(seen.clone()), seen } }
    }
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

/// The whole URL of a request as a server receives it, with its authority in `Host` (RFC 9110 §7.1): without it, requests to different
/// hosts would share answers. `None`: it is whole already, or names no host anywhere.
pub(crate) fn whole_url(head: &request::Parts) -> Option<Uri> {
    if head.uri.authority().is_some() {
        return None;
    }
    let mut hosts = head.headers.get_all(header::HOST).iter();
    let (host, None) = (hosts.next()?, hosts.next()) else { return None };
    let authority = Authority::try_from(host.as_bytes()).ok()?;
    let mut parts = head.uri.clone().into_parts();
    parts.scheme = Some(Scheme::HTTP);
    parts.authority = Some(authority);
    parts.path_and_query.get_or_insert(PathAndQuery::from_static("/"));
    Uri::from_parts(parts).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;

    fn head(uri: &str, hosts: &[&str]) -> request::Parts {
        let mut request = Request::get(uri);
        for host in hosts {
            request = request.header(header::HOST, *host);
        }
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn a_url_without_authority_takes_it_from_the_one_host() {
        assert_eq!(whole_url(&head("/p?q", &["a.test:81"])).unwrap(), "http://a.test:81/p?q");
        assert_eq!(whole_url(&head("http://b.test/p", &["a.test"])), None);
        assert_eq!(whole_url(&head("/p", &[])), None);
        assert_eq!(whole_url(&head("/p", &["a.test", "b.test"])), None);
        assert_eq!(whole_url(&head("/p", &["a test"])), None);
    }
}
