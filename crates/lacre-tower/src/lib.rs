//! A sealed HTTP cache as a [tower](https://docs.rs/tower) layer around any HTTP service: a thin
//! driver of [`lacre::Cache`].
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
//! #     fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
//! #         Poll::Ready(Ok(()))
//! #     }
//! #     fn call(&mut self, _: Request<Empty<Bytes>>) -> Self::Future {
//! #         let response = Response::builder().header("cache-control", "max-age=60");
//! #         ready(Ok(response.body(Full::from("hello")).unwrap()))
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
//!     let info = response.extensions().get::<CacheInfo>().copied().ok_or("no cache info")?;
//!     assert_eq!(info.status.to_string(), expected);
//!     assert_eq!(response.into_body().collect().await?.to_bytes(), "hello");
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Bodies stream in both directions. A response is stored while its body passes, and committed once
//! the body is complete. If the transfer breaks off, the caller drops the body, or the body is too
//! long, nothing is stored, and the caller gets the same response as without a cache.
//!
//! On a Tokio runtime, with or without timers, identical concurrent requests are sent once, and all
//! callers read the one response while it arrives; stale responses that may be served while they
//! are refreshed are refreshed in the background. Without a Tokio runtime, each request is sent,
//! and stale responses are validated in the foreground. A [`Driver`](lacre::Driver), passed to the
//! layer instead of the cache, limits the refreshes, the wait for an identical request, and the
//! rate of requests to the service.
//!
//! Put [`RequestOptions`](lacre::RequestOptions) into a request's extensions to set its options.
//! Every response has a [`CacheInfo`](lacre::CacheInfo) among its own.
//!
//! # What the layer can and cannot see
//!
//! The layer sees a request as the layers above leave it, and nothing that the inner service does
//! to it. So it matters whether a change to a request is made above or below the cache:
//!
//! - **Credentials, cookies.** Above: part of the key. Below: unseen, and responses are shared by
//!   all users. Add them above.
//! - **Certificates accepted and presented, sockets, mocks.** Above: a
//!   [`Transport`](lacre::Transport) among the request's extensions is part of the key. Below:
//!   unseen; responses to `https` URLs are served to the same layer alone, unless you
//!   [declare the transport](CacheLayer::danger_assume_transport).
//! - **`Accept`, `User-Agent` and similar headers.** Above: seen; a response that varies by them is
//!   stored per value. Below: unseen; such a response is stored for all.
//! - **Redirects.** Above: the caching rules apply to each hop. `FollowRedirect` of tower-http
//!   drops the bodies of redirects unread, so only redirects without a body are stored. Below:
//!   unseen; the last response is stored for the first URL.
//! - **Decompression.** Above: the cache keeps the bytes of the wire and returns them as they came;
//!   put a layer that decodes, such as `Decompression` of tower-http, above it. Below: unseen;
//!   decoded bodies are stored.
//! - **Retries, rate limits, timeouts.** Above: they count hits, too, and a timeout covers the wait
//!   for an identical request. Below: they apply to requests that are sent; a
//!   [`Driver`](lacre::Driver) can limit their rate.
//! - **Authority of a URL.** A server's request has only a path; its authority is taken from
//!   `Host`. A layer above may also add it to the URL (`BaseUriLayer` of octocrab). Without exactly
//!   one valid authority, in the URL or in `Host`, the request bypasses the cache
//!   (`detail=no-authority`). Below: unseen; add it above.
//! - **`Host` that names another host than the URL.** Above: part of the key. Below: unseen.
//!
//! Request bodies pass with their own type, so the layer fits between any two services. The cache
//! sees a body that is empty, a `Full<Bytes>` or a `String`; a request with any other body is not
//! looked up. A layer that [buffers bodies](CacheLayer::buffer_bodies) sees every body of known
//! length up to 64 KiB if the policy looks up the method, and sends it on as [`SentBody`]. Trailers
//! pass and are not stored.
//!
//! In octocrab, call `with_layer(&CacheLayer::new(cache))` after `with_service` and before the
//! layers that add the base URL and the token: a layer added later lies above. Retries may lie on
//! either side.
//!
//! The crate has no features.
//!
//! # Modules
//!
//! `service` has the layer and its service, `request` and `response` the bodies that pass through
//! them, `error` their errors. None holds a caching rule: those are in [`lacre`].

mod error;
mod request;
mod response;
mod service;

pub use error::Error;
pub use request::SentBody;
pub use response::{LookupTime, ServedBody};
pub use service::{Buffered, CacheLayer, CacheService, Streamed};
