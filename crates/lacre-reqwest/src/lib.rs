//! [reqwest] with a sealed HTTP cache: a thin driver of [`lacre::Cache`] for [reqwest-middleware](reqwest_middleware).
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
//! # let url = format!("http://{}/", listener.local_addr()?);
//! # tokio::spawn(async move {
//! #     use tokio::io::{AsyncReadExt, AsyncWriteExt};
//! #     let (mut connection, _) = listener.accept().await.unwrap(); // Only one: the second answer is the cache's.
//! #     let _ = connection.read(&mut [0; 4096]).await.unwrap();
//! #     let answer = b"HTTP/1.1 200 OK\r\ncache-control: max-age=60\r\ncontent-length: 5\r\n\r\nhello";
//! #     connection.write_all(answer).await.unwrap();
//! # });
//! use lacre::{Cache, CacheInfo, store::Memory};
//! use lacre_reqwest::ClientBuilder;
//!
//! let cache = Cache::builder().store(Memory::new()?).danger_ephemeral_key().build()?;
//! let client = ClientBuilder::new(cache).build()?;
//!
//! for expected in ["lacre; fwd=uri-miss; fwd-status=200; ttl=60; stored", "lacre; hit; ttl=60"] {
//!     let response = client.get(&url).send().await?;
//!     let info = response.extensions().get::<CacheInfo>().copied().ok_or("every response has one")?;
//!     assert_eq!(info.status.to_string(), expected);
//!     assert_eq!(response.text().await?, "hello");
//! }
//! # Ok(())
//! # }
//! ```
//!
//! [`ClientBuilder`] makes a client whose every header the cache sees. What a single request wishes travels with it as
//! `RequestBuilder::with_extension(RequestOptions::new()…)`; every response has a [`CacheInfo`](lacre::CacheInfo) among its extensions.
//! A response is stored when its body was read to the end: where the caller drops it before, or it breaks off, nothing is. Requests for the
//! same thing at the same time are sent once, and read the one answer while it comes in; how long they wait for it, and how fast requests
//! may go to the network, is said to a [`Driver`](lacre::Driver) that is given to the builder in the cache's place:
//!
//! ```
//! # use lacre::{Cache, Driver, store::Memory};
//! # use std::time::Duration;
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let cache = Cache::builder().store(Memory::new()?).danger_ephemeral_key().build()?;
//! let politely = Driver::new(cache).pace(|_: &_| tokio::time::sleep(Duration::from_millis(100)));
//! let client = lacre_reqwest::ClientBuilder::new(politely).build()?;
//! # Ok(())
//! # }
//! ```
//!
//! [`CachedSession`] is such a client with its cookies and its cache in one: what is stored can be selected and invalidated by URL, host, tag or
//! what you say.
//!
//! A failing network is reported by reqwest's own error, untouched; the cache adds only what it was told to raise, as
//! [`reqwest_middleware::Error::Middleware`] with a [`lacre::Error`] inside, and [`TooManyRedirects`].
//!
//! # What this integration can and cannot see
//!
//! A middleware runs above `reqwest::Client::execute`. What reqwest does below, no middleware sees:
//!
//! | below the middleware | with [`ClientBuilder`] | with a client built elsewhere |
//! |---|---|---|
//! | default headers, `User-Agent` | added above the cache, part of the key where they are credentials | unseen: you promise that none is a credential |
//! | cookie store | none; [kept above the cache](ClientBuilder::cookies) where you want it | unseen; what varies by an unseen `Cookie` is not stored |
//! | which certificates are accepted and shown, sockets, addresses given for a host, a proxy | part of the key where the builder sets them; what is [configured](ClientBuilder::danger_configure) is unseen: served to the same client alone, unless [assumed](ClientBuilder::danger_assume_transport) | unseen: served to the same middleware alone, unless [assumed](CacheMiddleware::danger_assume_transport) |
//! | `Host` | part of the key | part of the key |
//! | redirects | followed above the cache, hop by hop, [as many as you say](ClientBuilder::redirects) | what was redirected below is not stored; use [`FollowRedirects`] |
//! | decoding (gzip, brotli …) | above the cache, which keeps the bytes of the wire; see [`Decompress`] | unseen: switch it off there and use [`Decompress`], or decoded bodies are stored |
//! | timeout | covers redirects and waiting for others, too | unseen, unless a request has its own; [say it](CacheMiddleware::timeout) |
//! | background refresh | through the same client | none: stale responses are validated in the foreground |
//! | credentials for a proxy | not part of the key | not part of the key |
//!
//! `SSL_CERT_FILE`, `SSL_CERT_DIR` and the proxy of the environment count as [`lacre::config::transport`] says.
//!
//! The body of a request is seen where it is bytes, and where the policy looks up its method also where it is a stream of known length, up to
//! 1 MiB, such as a form of several parts; where it is any other stream, the request is not looked up. Trailers pass, and are not stored.

//!
//! # Features
//!
//! | feature | what it adds | by default |
//! |---|---|---|
//! | `brotli`, `deflate`, `gzip`, `zstd` | compressed responses: asked for, stored as they come, decoded above the cache | `gzip` |
//! | `charset` | `Response::text` decodes by the charset that the response names | on |
//! | `form`, `json`, `query` | `RequestBuilder::form`, `RequestBuilder::json` and `Response::json`, `RequestBuilder::query` | on |
//! | `multipart` | `RequestBuilder::multipart` | off |
//! | `rustls` | HTTPS by rustls, with the certificates that the platform trusts | on |
//!
//! No feature of reqwest or reqwest-middleware needs to be named for them.

mod client;
mod deadline;
mod decode;
mod middleware;
mod network;
mod redirect;
mod session;

pub use client::ClientBuilder;
pub use decode::Decompress;
pub use lacre::TooManyRedirects;
pub use middleware::CacheMiddleware;
pub use redirect::FollowRedirects;
pub use session::CachedSession;

// Their examples use this crate, so they are compiled here.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
#[cfg(doctest)]
#[doc = include_str!("../../../docs/migrate-from-http-cache.md")]
struct MovingFromHttpCache;
