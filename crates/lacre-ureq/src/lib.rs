//! [ureq] with a sealed HTTP cache: a thin driver of [`lacre::Cache`] for blocking programs.
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
//! # let url = format!("http://{}/", listener.local_addr()?);
//! # std::thread::spawn(move || {
//! #     use std::io::{Read, Write};
//! #     // One connection only: the cache answers the second request.
//! #     let (mut connection, _) = listener.accept().unwrap();
//! #     let _ = connection.read(&mut [0; 4096]).unwrap();
//! #     let head = "HTTP/1.1 200 OK\r\ncache-control: max-age=60\r\ncontent-length: 5\r\n\r\n";
//! #     connection.write_all(format!("{head}hello").as_bytes()).unwrap();
//! # });
//! use lacre::{Cache, CacheInfo, store::Memory};
//! use lacre_ureq::AgentBuilder;
//!
//! let cache = Cache::builder().store(Memory::new()?).danger_ephemeral_key().build()?;
//! let agent = AgentBuilder::new(cache).build();
//!
//! for expected in ["lacre; fwd=uri-miss; fwd-status=200; ttl=60; stored", "lacre; hit; ttl=60"] {
//!     let mut response = agent.get(&url).call()?;
//!     let info = response.extensions().get::<CacheInfo>().copied().ok_or("no cache info")?;
//!     assert_eq!(info.status.to_string(), expected);
//!     assert_eq!(response.body_mut().read_to_string()?, "hello");
//! }
//! # Ok(())
//! # }
//! ```
//!
//! [`AgentBuilder`] builds a [`ureq::Agent`] whose every header the cache sees; use it like any
//! other agent. Options of a single request travel with it:
//! `RequestBuilder::extension(RequestOptions::new()…)`. Every response has a
//! [`CacheInfo`](lacre::CacheInfo) among its extensions.
//!
//! A response is stored once its body has been read to the end. If the caller drops the body, or
//! the transfer breaks off, nothing is stored. Identical concurrent requests from threads that
//! share an agent are sent once, and all read the one response while it arrives. A
//! [`Driver`](lacre::Driver), passed to the builder instead of the cache, sets how long they wait
//! for it and how fast requests may go to the network.
//!
//! [`CachedSession`] is an agent with its cookies and its cache. It selects and invalidates stored
//! responses by URL, host, tag or predicate.
//!
//! If the network fails, the error is ureq's own. The cache adds one: [`ureq::Error::Other`] with a
//! [`lacre::Error`] that it is configured to raise. Stale responses are refreshed on a thread of
//! their own; the driver limits their number.
//!
//! # What a middleware can and cannot see
//!
//! A middleware runs above ureq's own loop and sees nothing that ureq does below. [`AgentBuilder`]
//! therefore moves these parts above the cache. For an agent that was built elsewhere, use
//! [`CacheMiddleware::danger_assume_no_hidden_credentials`].
//!
//! - **`Accept`, `User-Agent`, `Accept-Encoding`.** Builder: added above the cache. Elsewhere:
//!   unseen; a response that varies by them is stored for all.
//! - **Cookies.** Builder: [kept above the cache](AgentBuilder::cookies). The cookie jar of ureq
//!   (its feature `cookies`) is unseen: do not use it. Elsewhere: unseen; a response that varies by
//!   an unseen `Cookie` is not stored.
//! - **Certificates accepted and presented, proxy.** Builder: part of the key, also if a single
//!   request configures them. Elsewhere: part of the key if a single request configures them;
//!   otherwise unseen, and responses are served to the same middleware alone, unless you
//!   [declare the transport](CacheMiddleware::danger_assume_transport).
//! - **`Host`.** Part of the key, in both.
//! - **Redirects.** Builder: followed above the cache, hop by hop, with a
//!   [limit](AgentBuilder::redirects). A body is never sent twice, so a 307 or 308 to a request
//!   with a body is returned as it is. Elsewhere: a response redirected below the cache is not
//!   stored.
//! - **Error statuses.** Builder: errors if the agent and the request ask for that; the response is
//!   stored all the same if its body is at most 64 KiB. Elsewhere: ureq drops the response, so it
//!   is not stored.
//! - **Content codings.** Builder: decoded above the cache, which keeps the bytes of the wire; see
//!   [`Decompress`]. With ureq's own features `gzip` and `brotli`, ureq decodes below, and decoded
//!   bodies are stored. Elsewhere: with these features, decoded bodies are stored.
//! - **Timeouts.** Builder: `timeout_global` covers redirects; it and `timeout_per_call` cover the
//!   wait for an identical request. Elsewhere: the same, except for redirects.
//! - **Background refresh.** Builder: by the same agent. Elsewhere: none; stale responses are
//!   validated in the foreground.
//! - **Credentials for a proxy.** Not part of the key, in either.
//!
//! When several requests share a response while it arrives, the one that reads first waits for the
//! network on behalf of all. If that is not the request that was sent, its own timeout is checked
//! only when data arrives or when the timeout of the sent request expires.
//!
//! The cache sees a request body of up to 1 MiB if its policy looks up the method. A longer one is
//! streamed, in chunks unless the request gives its length.
//!
//! A response from the cache differs from one of ureq in three ways:
//! [`get_uri`](ureq::ResponseExt::get_uri) is the URL of the request, there is no
//! [redirect history](ureq::ResponseExt::get_redirect_history), and
//! [`content_length`](ureq::Body::content_length) of the body is `None` (the header has it). ureq
//! drops trailers.
//!
//! # Features
//!
//! | feature | adds | default |
//! |---|---|---|
//! | `brotli`, `gzip` | requests and decodes responses in this coding | `gzip` |
//! | `json` | `RequestBuilder::send_json` and `Body::read_json` of ureq | on |
//! | `rustls` | HTTPS by rustls, with the certificates that the platform trusts | on |
//!
//! # Modules
//!
//! `agent` builds the agents, and `session` joins one to cookies and a cache. `follow` is the
//! outermost middleware, `decode` and `middleware` (the cache) follow below. `network`, `deadline`
//! and `body` are how the cache reaches the network, gives up in time and hands bodies over.
//! `settings` reads the configuration that ureq hides among a request's extensions. None holds a
//! caching rule: those are in [`lacre`].

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
