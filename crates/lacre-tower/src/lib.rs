//! A sealed HTTP cache around any tower service of HTTP: a thin driver of [`lacre::Cache`].
//!
//! ```
//! use http::{Request, Response};
//! use http_body_util::{BodyExt, Empty, Full};
//! use bytes::Bytes;
//! use lacre::{Cache, CacheInfo, store::Memory};
//! use lacre_tower::CacheLayer;
//! use tower_layer::Layer;
//! use tower_service::Service;
//! # use std::{convert::Infallible, future::{Ready, ready}, task::{Context, Poll}};
//! # #[derive(Clone)]
//! # struct Origin;
//! # impl Service<Request<Empty<Bytes>>> for Origin {
//! #     type Response = Response<Full<Bytes>>;
//! #     type Error = Infallible;
//! #     type Future = Ready<Result<Self::Response, Infallible>>;
//! #     fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> { Poll::Ready(Ok(())) }
//! #     fn call(&mut self, _: Request<Empty<Bytes>>) -> Self::Future {
//! #         ready(Ok(Response::builder().header("cache-control", "max-age=60").body(Full::from("hello")).unwrap()))
//! #     }
//! # }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
//! let cache = Cache::builder().store(Memory::new()?).danger_ephemeral_key().build()?;
//! let mut service = CacheLayer::new(cache).layer(Origin);
//!
//! for expected in ["lacre; fwd=uri-miss; fwd-status=200; ttl=60; stored", "lacre; hit; ttl=60"] {
//!     let response = service.call(Request::get("http://example.com/").body(Empty::new())?).await?;
//!     let info = response.extensions().get::<CacheInfo>().copied().ok_or("every response has one")?;
//!     assert_eq!(info.status.to_string(), expected);
//!     assert_eq!(response.into_body().collect().await?.to_bytes(), "hello");
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Bodies stream both ways: a response is stored while its body passes, and committed when it ended well; one that breaks off, is
//! dropped or is too long is not stored, and reaches the caller all the same. On tokio's runtime, with or without its timers, requests for the
//! same thing at the same time are sent once, and read the one answer while it comes in; and what may be served stale while it is refreshed
//! is refreshed in the background. Elsewhere, each request is sent, and stale responses are validated in the foreground.
//! A [`Driver`](lacre::Driver) says how many refreshes run at once and for how long, how long requests wait for others,
//! and how fast requests may go to the service.
//!
//! [`RequestOptions`](lacre::RequestOptions) among a request's extensions count, and every response has a
//! [`CacheInfo`](lacre::CacheInfo) among its own.
//!
//! # What this integration can and cannot see
//!
//! The layer sees a request as the layers above left it, and nothing of what the service beneath does to it:
//!
//! | what is done to a request | above the cache | below the cache |
//! |---|---|---|
//! | credentials, cookies | part of the key | unseen, and shared by all: what adds them belongs above |
//! | which certificates are accepted and shown, sockets, mocks | a [`Transport`](lacre::Transport) among the request's extensions counts | unseen: what came for `https` URLs is served to the same layer alone, unless [said otherwise](CacheLayer::danger_assume_transport) |
//! | `Accept`, `User-Agent` and the like | seen, where a response varies by them | unseen: what varies by them is stored for all |
//! | redirects | each hop is answered and stored by the rules; tower-http's `FollowRedirect` drops the bodies of redirects unread, so that of these only the empty ones are stored | unseen: the last answer is stored for the first URL |
//! | decompression | the cache keeps the bytes of the wire, and hands them out as they came: put a layer that decodes, such as tower-http's `Decompression`, above it | unseen: decoded bodies are stored |
//! | retries, rate limits, timeouts | hits count, too | for requests that are sent; a [`Driver`](lacre::Driver) can pace these |
//! | the URL of a server's request, which has only a path | its authority is taken from `Host`; without one that can be read, nothing is looked up | as it came |
//! | `Host` that names another host than the URL | part of the key | unseen: what adds the authority belongs above |
//! | an authority that is added to a URL (octocrab's `BaseUriLayer`) | seen | unseen: without exactly one authority that can be read, in the URL or in `Host`, there is no key, and the request bypasses the cache (`detail=no-authority`) |
//! | a timeout | the caller's own; it covers what a request waits for others, too | for requests that are sent |
//!
//! Bodies of requests pass as they came, with their type, so that the layer fits between any two services. The cache sees those that are
//! empty, and `Full<Bytes>` and `String`; a request with any other is not looked up. A layer that [reads
//! bodies](CacheLayer::reading_bodies) sees all of up to 64 KiB whose length is known, where the cache's policy looks up the method, and hands
//! them on as [`SentBody`]. Trailers pass, and are not stored.
//!
//! In octocrab, `with_layer(&CacheLayer::new(cache))` comes after `with_service` and before the layers that add the base URL and the token
//! (whatever is added later lies above); retries may lie on either side.

mod error;
mod request;
mod response;
mod service;

pub use error::Error;
pub use request::SentBody;
pub use response::{LookupTime, ServedBody};
pub use service::{AsTheyCame, CacheLayer, CacheService, Read};
