//! Decodes compressed responses above the cache, which keeps the bytes as they came.

use async_trait::async_trait;
use http::{Extensions, HeaderValue};
use lacre::{Coding, Codings};
use reqwest::{Request, Response};
use reqwest_middleware::{Middleware, Next, Result};

/// A middleware that decodes compressed responses.
///
/// [`ClientBuilder`](crate::ClientBuilder) adds it and asks for compression. In a stack of your
/// own, place it above the cache, over a client that does not decode (`no_gzip` and its siblings).
///
/// The features of this crate decide what it decodes: `gzip` (on by default), `brotli`, `zstd` and
/// `deflate`. Like reqwest, it removes `Content-Encoding` and `Content-Length` from a response that
/// it decodes. It leaves parts (206), responses to HEAD, and responses with several codings as they
/// are. A body that decodes to more than 64 MiB and more than 1100 times its length ends with an
/// error.
#[derive(Clone, Copy, Debug, Default)]
pub struct Decompress;

impl Decompress {
    /// The value of `Accept-Encoding` to send, or `None` if no coding is enabled.
    #[must_use]
    pub fn accepted() -> Option<HeaderValue> {
        CODINGS.accept_encoding()
    }
}

/// The codings that the features enable.
const CODINGS: Codings = Codings::new(&[
    #[cfg(feature = "gzip")]
    Coding::Gzip,
    #[cfg(feature = "brotli")]
    Coding::Brotli,
    #[cfg(feature = "zstd")]
    Coding::Zstd,
    #[cfg(feature = "deflate")]
    Coding::Deflate,
]);

#[async_trait]
impl Middleware for Decompress {
    async fn handle(
        &self,
        request: Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> Result<Response> {
        let method = request.method().clone();
        let response = next.run(request, extensions).await?;
        match CODINGS.to_decode(&method, response.status(), response.headers()) {
            Some(coding) => decoded(response, coding),
            None => Ok(response),
        }
    }
}

#[cfg(not(any(feature = "gzip", feature = "brotli", feature = "zstd", feature = "deflate")))]
fn decoded(response: Response, _: Coding) -> Result<Response> {
    Ok(response)
}

#[cfg(any(feature = "gzip", feature = "brotli", feature = "zstd", feature = "deflate"))]
fn decoded(response: Response, coding: Coding) -> Result<Response> {
    use crate::network::with_url;
    use decoder::Counted;
    use lacre::ExpansionLimit;

    let url = response.url().clone();
    let mut response = http::Response::from(response);
    // tower-http does not know `x-gzip`, the other name of gzip.
    let name = HeaderValue::from_static(coding.as_str());
    response.headers_mut().insert(http::header::CONTENT_ENCODING, name);
    let limit = ExpansionLimit::default();
    let response = response.map(|body| Counted::encoded(body, &limit));
    let response = decoder::decode(response);
    with_url(url, response.map(|body| reqwest::Body::wrap(Counted::decoded(body, &limit))))
}

#[cfg(any(feature = "gzip", feature = "brotli", feature = "zstd", feature = "deflate"))]
mod decoder {
    use bytes::Bytes;
    use futures_util::FutureExt;
    use http::{Request, Response};
    use http_body::{Body, Frame};
    use lacre::ExpansionLimit;
    use std::convert::Infallible;
    use std::future::{Ready, ready};
    use std::pin::Pin;
    use std::task::{Context, Poll, ready as ready_or_wait};
    use tower_http::decompression::{Decompression, DecompressionBody};
    use tower_service::Service;

    /// A service that returns one response: tower-http decodes only what a service returns.
    struct Returns<B>(Option<Response<B>>);

    impl<B: Default> Service<Request<()>> for Returns<B> {
        type Response = Response<B>;
        type Error = Infallible;
        type Future = Ready<Result<Response<B>, Infallible>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, _: Request<()>) -> Self::Future {
            ready(Ok(self.0.take().unwrap_or_default()))
        }
    }

    /// The response, which has one coding, with its body decoded.
    pub(super) fn decode<B: Body + Default>(response: Response<B>) -> Response<DecompressionBody<B>> {
        let response = Decompression::new(Returns(Some(response))).call(Request::new(()));
        match response.now_or_never() {
            Some(Ok(response)) => response,
            // The service is ready at once, so this is not reached.
            None => Response::default(),
        }
    }

    /// A body whose bytes are counted, either before or after decoding.
    pub(super) struct Counted<B> {
        body: Pin<Box<B>>,
        limit: ExpansionLimit,
        count: fn(&ExpansionLimit, usize) -> Result<(), lacre::Error>,
    }

    impl<B> Counted<B> {
        pub(super) fn encoded(body: B, limit: &ExpansionLimit) -> Self {
            let count = |limit: &ExpansionLimit, bytes| {
                limit.add_encoded(bytes);
                Ok(())
            };
            Self { body: Box::pin(body), limit: limit.clone(), count }
        }

        pub(super) fn decoded(body: B, limit: &ExpansionLimit) -> Self {
            Self { body: Box::pin(body), limit: limit.clone(), count: ExpansionLimit::add_decoded }
        }
    }

    impl<B: Default> Default for Counted<B> {
        fn default() -> Self {
            Self::encoded(B::default(), &ExpansionLimit::default())
        }
    }

    impl<B> Body for Counted<B>
    where
        B: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>>,
    {
        type Data = Bytes;
        type Error = Box<dyn std::error::Error + Send + Sync>;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            context: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
            let frame = ready_or_wait!(self.body.as_mut().poll_frame(context));
            if let Some(Ok(frame)) = &frame
                && let Some(bytes) = frame.data_ref()
            {
                (self.count)(&self.limit, bytes.len())?;
            }
            Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
        }
    }
}
