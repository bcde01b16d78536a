//! Compressed responses, decoded above the cache, which keeps the bytes as they came.

use async_trait::async_trait;
use http::{Extensions, HeaderValue};
use lacre::Coding;
use reqwest::{Request, Response};
use reqwest_middleware::{Middleware, Next, Result};

/// Decodes compressed responses. [`ClientBuilder`](crate::ClientBuilder) has it, and asks for compression; in a stack of your own it goes
/// above the cache, over a client that was told not to decode (`no_gzip` and its like).
///
/// It decodes what the features of this crate name: `gzip` (on by default), `brotli`, `zstd` and `deflate`. As reqwest does, it takes
/// `Content-Encoding` and `Content-Length` away from what it decodes; parts (206), responses to HEAD and what has several codings stay as
/// they are. What becomes absurdly long ends with an error.
#[derive(Clone, Copy, Debug, Default)]
pub struct Decompress;

impl Decompress {
    /// What to send as `Accept-Encoding`; `None`: nothing can be decoded.
    #[must_use]
    pub fn accepted() -> Option<HeaderValue> {
        let names: Vec<_> = CODINGS.iter().map(|coding| coding.as_str()).collect();
        HeaderValue::try_from(names.join(", ")).ok().filter(|value| !value.is_empty())
    }
}

/// Those that the features allow.
const CODINGS: &[Coding] = &[
    #[cfg(feature = "gzip")]
    Coding::Gzip,
    #[cfg(feature = "brotli")]
    Coding::Brotli,
    #[cfg(feature = "zstd")]
    Coding::Zstd,
    #[cfg(feature = "deflate")]
    Coding::Deflate,
];

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
        match Coding::of(&method, response.status(), response.headers()) {
            Some(coding) if CODINGS.contains(&coding) => decoded(response, coding),
            _ => Ok(response),
        }
    }
}

#[cfg(not(any(feature = "gzip", feature = "brotli", feature = "zstd", feature = "deflate")))]
fn decoded(response: Response, _: Coding) -> Result<Response> {
    Ok(response)
}

#[cfg(any(feature = "gzip", feature = "brotli", feature = "zstd", feature = "deflate"))]
fn decoded(response: Response, coding: Coding) -> Result<Response> {
    use crate::network::located;
    use decoder::{Counted, Counting};

    let url = response.url().clone();
    let mut response = http::Response::from(response);
    // Its other names are not known to everybody.
    let name = HeaderValue::from_static(coding.as_str());
    response.headers_mut().insert(http::header::CONTENT_ENCODING, name);
    let counting = Counting::default();
    let response = response.map(|body| Counted::came(body, &counting));
    let response = decoder::decode(response);
    located(url, response.map(|body| reqwest::Body::wrap(Counted::became(body, &counting))))
}

#[cfg(any(feature = "gzip", feature = "brotli", feature = "zstd", feature = "deflate"))]
mod decoder {
    use bytes::Bytes;
    use futures_util::FutureExt;
    use http::{Request, Response};
    use http_body::{Body, Frame};
    use lacre::DecodedLength;
    use std::convert::Infallible;
    use std::future::{Ready, ready};
    use std::pin::Pin;
    use std::sync::{Arc, Mutex, PoisonError};
    use std::task::{Context, Poll, ready as ready_or_wait};
    use tower_http::decompression::{Decompression, DecompressionBody};
    use tower_service::Service;

    /// A service that has one answer.
    struct Answer<B>(Option<Response<B>>);

    impl<B: Default> Service<Request<()>> for Answer<B> {
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
        let answered = Decompression::new(Answer(Some(response))).call(Request::new(()));
        match answered.now_or_never() {
            Some(Ok(response)) => response,
            // It is always there.
            None => Response::default(),
        }
    }

    pub(super) type Counting = Arc<Mutex<DecodedLength>>;

    /// A body whose length is watched, before it is decoded or afterwards.
    pub(super) struct Counted<B> {
        body: Pin<Box<B>>,
        counting: Counting,
        count: fn(&mut DecodedLength, usize) -> Result<(), lacre::Error>,
    }

    impl<B> Counted<B> {
        pub(super) fn came(body: B, counting: &Counting) -> Self {
            let count = |length: &mut DecodedLength, bytes| {
                length.came(bytes);
                Ok(())
            };
            Self { body: Box::pin(body), counting: Arc::clone(counting), count }
        }

        pub(super) fn became(body: B, counting: &Counting) -> Self {
            Self { body: Box::pin(body), counting: Arc::clone(counting), count: DecodedLength::became }
        }
    }

    impl<B: Default> Default for Counted<B> {
        fn default() -> Self {
            Self::came(B::default(), &Counting::default())
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
                let mut length = self.counting.lock().unwrap_or_else(PoisonError::into_inner);
                (self.count)(&mut length, bytes.len())?;
            }
            Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
        }
    }
}
