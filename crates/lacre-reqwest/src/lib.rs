//! [reqwest] with a sealed HTTP cache: a thin driver of [`lacre::Cache`] for
//! [reqwest-middleware](reqwest_middleware).
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
//! # let url = format!("http://{}/", listener.local_addr()?);
//! # tokio::spawn(async move {
//! #     use tokio::io::{AsyncReadExt, AsyncWriteExt};
//! #     // One connection only: the cache answers the second request.
//! #     let (mut connection, _) = listener.accept().await.unwrap();
//! #     let _ = connection.read(&mut [0; 4096]).await.unwrap();
//! #     let head = "HTTP/1.1 200 OK\r\ncache-control: max-age=60\r\ncontent-length: 5\r\n\r\n";
//! #     connection.write_all(format!("{head}hello").as_bytes()).await.unwrap();
//! # });
//! use lacre::{Cache, CacheInfo, store::Memory};
//! use lacre_reqwest::ClientBuilder;
//!
//! let cache = Cache::builder().store(Memory::new()?).danger_ephemeral_key().build()?;
//! let client = ClientBuilder::new(cache).build()?;
//!
//! for expected in ["lacre; fwd=uri-miss; fwd-status=200; ttl=60; stored", "lacre; hit; ttl=60"] {
//!     let response = client.get(&url).send().await?;
//!     let info = response.extensions().get::<CacheInfo>().copied().ok_or("no cache info")?;
//!     assert_eq!(info.status.to_string(), expected);
//!     assert_eq!(response.text().await?, "hello");
//! }
//! # Ok(())
//! # }
//! ```
//!
//! [`ClientBuilder`] builds a client whose every header the cache sees. Options of a single request
//! travel with it: `RequestBuilder::with_extension(RequestOptions::new()…)`. Every response has a
//! [`CacheInfo`](lacre::CacheInfo) among its extensions.
//!
//! A response is stored once its body has been read to the end. If the caller drops the body, or
//! the transfer breaks off, nothing is stored. Identical concurrent requests are sent once, and all
//! callers read the one response while it arrives. A [`Driver`](lacre::Driver), passed to the
//! builder instead of the cache, sets how long they wait for it and how fast requests may go to the
//! network:
//!
//! ```
//! # use lacre::{Cache, Driver, store::Memory};
//! # use std::time::Duration;
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let cache = Cache::builder().store(Memory::new()?).danger_ephemeral_key().build()?;
//! let driver = Driver::new(cache)
//!     .coalesce_timeout(Duration::from_secs(2))
//!     .rate_limit(|_: &_| tokio::time::sleep(Duration::from_millis(100)));
//! let client = lacre_reqwest::ClientBuilder::new(driver).build()?;
//! # Ok(())
//! # }
//! ```
//!
//! [`CachedSession`] is a client with its cookies and its cache. It selects and invalidates stored
//! responses by URL, host, tag or predicate.
//!
//! If the network fails, the error is reqwest's own. The cache adds two errors, each inside
//! [`reqwest_middleware::Error::Middleware`]: a [`lacre::Error`] that it is configured to raise,
//! and [`TooManyRedirects`].
//!
//! # What a middleware can and cannot see
//!
//! A middleware runs above `reqwest::Client::execute` and sees nothing that reqwest does below.
//! [`ClientBuilder`] therefore moves these parts above the cache. For a client that was built
//! elsewhere, use [`CacheMiddleware::danger_assume_no_hidden_credentials`].
//!
//! - **Default headers, `User-Agent`.** Builder: added above the cache; credentials among them are
//!   part of the key. Elsewhere: unseen; you promise that none is a credential.
//! - **Cookies.** Builder: none, or [kept above the cache](ClientBuilder::cookies). Elsewhere:
//!   unseen; a response that varies by an unseen `Cookie` is not stored.
//! - **Certificates accepted and presented, sockets, addresses of hosts, proxy.** Builder: part of
//!   the key if the builder sets them. Settings made by
//!   [`danger_configure`](ClientBuilder::danger_configure) are unseen: responses are served to the
//!   same client alone, unless you
//!   [declare the transport](ClientBuilder::danger_assume_transport). Elsewhere: unseen; responses
//!   are served to the same middleware alone, unless you
//!   [declare the transport](CacheMiddleware::danger_assume_transport).
//! - **`Host`.** Part of the key, in both.
//! - **Redirects.** Builder: followed above the cache, hop by hop, with a
//!   [limit](ClientBuilder::redirects). Elsewhere: a response redirected below the cache is not
//!   stored; use [`FollowRedirects`].
//! - **Content codings.** Builder: decoded above the cache, which keeps the bytes of the wire; see
//!   [`Decompress`]. Elsewhere: unseen; disable decoding in the client and use [`Decompress`], or
//!   decoded bodies are stored.
//! - **Timeout.** Builder: covers redirects and the wait for an identical request. Elsewhere:
//!   unseen, unless the request has its own; [set it](CacheMiddleware::timeout).
//! - **Background refresh.** Builder: by the same client. Elsewhere: none; stale responses are
//!   validated in the foreground.
//! - **Credentials for a proxy.** Not part of the key, in either.
//!
//! [`lacre::config::transport`] describes how `SSL_CERT_FILE`, `SSL_CERT_DIR` and the proxy of the
//! environment count.
//!
//! The cache sees a request body that is held in memory. If the policy looks up the request's
//! method, it also sees a stream of known length up to 1 MiB, such as a multipart form. A request
//! with any other stream is not looked up. Trailers are passed on and not stored.
//!
//! # Features
//!
//! | feature | adds | default |
//! |---|---|---|
//! | `brotli`, `deflate`, `gzip`, `zstd` | requests and decodes responses in this coding | `gzip` |
//! | `charset` | `Response::text` decodes by the charset that the response names | on |
//! | `form`, `json`, `query` | the methods of `RequestBuilder` and `Response` of that name | on |
//! | `multipart` | `RequestBuilder::multipart` | off |
//! | `rustls` | HTTPS by rustls, with the certificates that the platform trusts | on |
//!
//! They enable the features of reqwest and reqwest-middleware that they need.
//!
//! # Modules
//!
//! `client` builds the middleware stack, and `session` joins it to cookies and a cache.
//! `middleware` is the cache in that stack; `network` and `deadline` are how it reaches the network
//! and gives up in time. `redirect` and `decode` are the middleware above it. None holds a caching
//! rule: those are in [`lacre`].

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

// These documents have examples that use this crate; they are compiled as its doctests.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
#[cfg(doctest)]
#[doc = include_str!("../../../docs/migrate-from-http-cache.md")]
struct MovingFromHttpCache;
