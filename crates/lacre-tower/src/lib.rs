//! A sealed HTTP cache around any tower service of HTTP: a thin driver of [`lacre::Cache`].
//!
//! ```
//! use http::{Request, Response};
//! use http_body_util::{BodyExt, Empty, Full};
//! use bytes::Bytes;
//! use lacre::{Cache, CacheInfo, store::Memory};
//! use lacre_tower::{CacheLayer, SentBody};
//! use tower_layer::Layer;
//! use tower_service::Service;
//! # use std::{convert::Infallible, future::{Ready, ready}, task::{Context, Poll}};
//! # #[derive(Clone)]
//! # struct Origin;
//! # impl Service<Request<SentBody<Empty<Bytes>>>> for Origin {
//! #     type Response = Response<Full<Bytes>>;
//! #     type Error = Infallible;
//! #     type Future = Ready<Result<Self::Response, Infallible>>;
//! #     fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> { Poll::Ready(Ok(())) }
//! #     fn call(&mut self, _: Request<SentBody<Empty<Bytes>>>) -> Self::Future {
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
//! dropped or is too long is not stored, and reaches the caller all the same. Requests for the same thing at the same time are sent
//! once, and read the one answer while it comes in. What may be served stale while it is refreshed is refreshed in the background, on
//! tokio's runtime (with its timer) where there is one. A [`Driver`](lacre::Driver) says how many refreshes run at once and for how long, how long requests wait for others,
//! and how fast requests may go to the service.
//!
//! [`RequestOptions`](lacre::RequestOptions) among a request's extensions count, and every response has a
//! [`CacheInfo`](lacre::CacheInfo) among its own. The cache sees what the layers above added to a request: what adds credentials belongs
//! above, never below. So does what follows redirects, for each hop to be answered and stored by the rules; tower-http's `FollowRedirect`
//! drops the bodies of redirects unread, so of these only the empty ones are stored.

mod error;
mod request;
mod response;
mod service;

pub use error::Error;
pub use request::SentBody;
pub use response::{LookupTime, ServedBody};
pub use service::{CacheLayer, CacheService};
