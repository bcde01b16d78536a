//! [ureq] with a sealed HTTP cache: a thin driver of [`lacre::Cache`] for programs that block.
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
//! # let url = format!("http://{}/", listener.local_addr()?);
//! # std::thread::spawn(move || {
//! #     use std::io::{Read, Write};
//! #     let (mut connection, _) = listener.accept().unwrap(); // Only one: the second answer is the cache's.
//! #     let _ = connection.read(&mut [0; 4096]).unwrap();
//! #     let answer = b"HTTP/1.1 200 OK\r\ncache-control: max-age=60\r\ncontent-length: 5\r\n\r\nhello";
//! #     connection.write_all(answer).unwrap();
//! # });
//! use lacre::{Cache, CacheInfo, store::Memory};
//! use lacre_ureq::AgentBuilder;
//!
//! let cache = Cache::builder().store(Memory::new()?).danger_ephemeral_key().build()?;
//! let agent = AgentBuilder::new(cache).build();
//!
//! for expected in ["lacre; fwd=uri-miss; fwd-status=200; ttl=60; stored", "lacre; hit; ttl=60"] {
//!     let mut response = agent.get(&url).call()?;
//!     let info = response.extensions().get::<CacheInfo>().copied().ok_or("every response has one")?;
//!     assert_eq!(info.status.to_string(), expected);
//!     assert_eq!(response.body_mut().read_to_string()?, "hello");
//! }
//! # Ok(())
//! # }
//! ```
//!
//! [`AgentBuilder`] makes a [`ureq::Agent`] whose every header the cache sees; it is used as any other. What a single request wishes travels
//! with it as `RequestBuilder::extension(RequestOptions::new()…)`; every response has a [`CacheInfo`](lacre::CacheInfo) among its extensions.
//! A response is stored when its body was read to the end: where the caller drops it before, or it breaks off, nothing is. Requests for the
//! same thing at the same time, from threads of one agent, are sent once, and read the one answer while it comes in; how long they wait for
//! it, and how fast requests may go to the network, is said to a [`Driver`](lacre::Driver) that is given to the builder in the cache's place.
//!
//! [`CachedSession`] is such an agent with its cookies and its cache in one: what is stored can be selected and invalidated by URL, host, tag or
//! what you say.
//!
//! A failing network is reported by ureq's own error, untouched; the cache adds only what it was told to raise, as [`ureq::Error::Other`]
//! with a [`lacre::Error`] inside. Stale responses are refreshed on a thread of their own, no more of them at once than the driver allows.
//!
//! # What this integration can and cannot see
//!
//! A middleware runs above ureq's own loop. What ureq does below, no middleware sees:
//!
//! | below the middleware | with [`AgentBuilder`] | with an agent built elsewhere |
//! |---|---|---|
//! | `Accept`, `User-Agent`, `Accept-Encoding` | added above the cache | unseen: what varies by them is stored for all |
//! | cookie jar (feature `cookies` of ureq) | unseen: do not use it; cookies are [kept above the cache](AgentBuilder::cookies) | unseen; what varies by an unseen `Cookie` is not stored |
//! | which certificates are accepted and shown, a proxy | part of the key, those of a single request's settings, too | of a single request's settings, part of the key; else unseen: served to the same middleware alone, unless [assumed](CacheMiddleware::danger_assume_transport) |
//! | `Host` | part of the key | part of the key |
//! | redirects | followed above the cache, hop by hop, [as many as you say](AgentBuilder::redirects); a body is never sent twice, so 307 and 308 of a request with one are returned as they are | what was redirected below is not stored |
//! | a status as an error | as the agent and the request say; the response is stored nevertheless, where its body is no longer than 64 KiB | ureq has thrown it away: it is not stored |
//! | decoding | above the cache, which keeps the bytes of the wire; see [`Decompress`]. With ureq's own features `gzip` and `brotli`, it is done below, and decoded bodies are stored | below, with ureq's features: decoded bodies are stored |
//! | timeouts | `timeout_global` covers redirects, and both it and `timeout_per_call` cover waiting for others | likewise, but for redirects |
//! | background refresh | through the same agent | none: stale responses are validated in the foreground |
//! | credentials for a proxy | not part of the key | not part of the key |
//!
//! Of several requests that share an answer while it comes in, the one that reads first waits for the network on behalf of all. If that is not
//! the request that was sent, its own timeout is checked only when the network has spoken, or the sent request's timeout is over.
//!
//! The body of a request is seen, up to 1 MiB, where the cache's policy looks up its method; a longer one is sent as it comes, in chunks
//! unless the request says its length. Of a response from the cache, [`get_uri`](ureq::ResponseExt::get_uri) is the URL that was asked for,
//! there is no [redirect history](ureq::ResponseExt::get_redirect_history), and [`content_length`](ureq::Body::content_length) of the body
//! is `None`: the header has it. Trailers are dropped by ureq.
//!
//! # Features
//!
//! | feature | what it adds | by default |
//! |---|---|---|
//! | `brotli`, `gzip` | compressed responses: asked for, stored as they come, decoded above the cache | `gzip` |
//! | `json` | `RequestBuilder::send_json` and `Body::read_json` of ureq | on |
//! | `rustls` | HTTPS by rustls, with the certificates that the platform trusts | on |

mod agent;
mod body;
mod deadline;
mod decode;
mod follow;
mod middleware;
mod network;
mod session;
mod settings;

pub use agent::AgentBuilder;
pub use decode::Decompress;
pub use middleware::CacheMiddleware;
pub use session::CachedSession;
