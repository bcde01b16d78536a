//! A caching HTTP proxy over the sealed cache of [`lacre`]: a reverse proxy for one origin, or a
//! forward proxy for plain HTTP. The command `lacre serve` runs it.
//!
//! A [`Config`] says where to listen and where requests go, [`Proxy::bind`] listens, and
//! [`Proxy::run`] answers requests until its [`Handle`] shuts it down:
//!
//! ```
//! use lacre::{Cache, Policy, store::Memory};
//! use lacre_proxy::{Config, Monitoring, Proxy};
//! # use std::error::Error;
//! # use std::io::{self, Read, Write};
//! # use std::net::{SocketAddr, TcpListener, TcpStream};
//! #
//! # /// An origin whose responses are fresh for a minute.
//! # fn start_origin() -> io::Result<SocketAddr> {
//! #     let listener = TcpListener::bind("127.0.0.1:0")?;
//! #     let address = listener.local_addr()?;
//! #     std::thread::spawn(move || {
//! #         for stream in listener.incoming() {
//! #             let mut stream = stream?;
//! #             let _ = stream.read(&mut [0; 4096])?;
//! #             stream.write_all(b"HTTP/1.1 200 OK\r\ncache-control: max-age=60\r\n\
//! #                 content-length: 5\r\nconnection: close\r\n\r\nhello")?;
//! #         }
//! #         io::Result::Ok(())
//! #     });
//! #     Ok(address)
//! # }
//! #
//! # /// The value of `Cache-Status` in the response of a proxy.
//! # async fn cache_status(proxy: SocketAddr) -> Result<String, Box<dyn Error>> {
//! #     let response = tokio::task::spawn_blocking(move || {
//! #         let mut stream = TcpStream::connect(proxy)?;
//! #         stream.write_all(b"GET / HTTP/1.1\r\nhost: a.test\r\nconnection: close\r\n\r\n")?;
//! #         let mut response = String::new();
//! #         stream.read_to_string(&mut response)?;
//! #         io::Result::Ok(response)
//! #     });
//! #     let response = response.await??;
//! #     let status = response.lines().find_map(|line| line.strip_prefix("cache-status: "));
//! #     Ok(status.ok_or(response.clone())?.to_owned())
//! # }
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn Error>> {
//! let upstream = format!("http://{}", start_origin()?);
//! let mut config = Config::reverse(upstream.parse()?);
//! config.listen = "127.0.0.1:0".parse()?; // a free port
//! let cache = Cache::builder()
//!     .store(Memory::new()?)
//!     .danger_ephemeral_key() // A service keeps its key, see `lacre::keys`.
//!     .policy(Policy::rfc9111().shared())
//!     .build()?;
//! let proxy = Proxy::bind(config, cache, Monitoring::default()).await?;
//! let (address, handle) = (proxy.address(), proxy.handle());
//! let running = tokio::spawn(proxy.run());
//!
//! // The first request goes to the origin, the second is answered from the cache.
//! let stored = "lacre; fwd=uri-miss; fwd-status=200; ttl=60; stored";
//! assert_eq!(cache_status(address).await?, stored);
//! assert_eq!(cache_status(address).await?, "lacre; hit; ttl=60");
//!
//! handle.shutdown();
//! running.await??;
//! # Ok(())
//! # }
//! ```
//!
//! The policy of the cache decides what is stored and who shares it; a proxy for several users
//! needs [`Policy::shared`](lacre::Policy::shared). No caching rule lives in this crate.
//!
//! # Modules
//!
//! From the socket of a client to the origin:
//!
//! | module | what it does |
//! |---|---|
//! | `proxy`, `config`, `error` | the public interface |
//! | `listen`, `connections` | accept connections, within limits, and drain them at the end |
//! | `client_stream` | the byte stream of one connection, with an idle timeout |
//! | `interim`, `parse_error` | interim responses, and error responses of hyper |
//! | `current_front`, `front` | answer one request; a reload replaces the front |
//! | `target`, `origin` | the target URI of a request |
//! | `headers`, `via`, `max_forwards` | fields that a proxy must change |
//! | `forwarded`, `trusted` | fields that describe the client to the origin |
//! | `rewrite` | URLs and cookies of the upstream in responses |
//! | `upstream`, `connector`, `connection_use` | connections to origins, timeouts and retries |
//! | `allowed_targets`, `public_address` | the addresses that a forward proxy may connect to |
//! | `idle_timeout`, `upload`, `read_ahead` | the bodies of requests and responses |
//! | `request_error` | the responses for requests that fail |
//! | `metrics`, `admin`, `access_log` | what an operator sees |

mod access_log;
mod admin;
mod allowed_targets;
mod client_stream;
mod config;
mod connection_use;
mod connections;
mod connector;
mod current_front;
mod error;
mod forwarded;
mod front;
mod headers;
mod idle_timeout;
mod interim;
mod listen;
mod max_forwards;
mod metrics;
mod origin;
mod parse_error;
mod proxy;
mod public_address;
mod read_ahead;
mod request_error;
mod rewrite;
mod target;
mod trusted;
mod upload;
mod upstream;
mod via;

pub use access_log::{AccessLog, LogFormat};
pub use config::{Config, Limits};
pub use error::Error;
pub use ipnet::IpNet;
pub use metrics::Metrics;
pub use origin::Origin;
pub use proxy::{Handle, Monitoring, OnAcceptError, Proxy};
pub use target::Route;
pub use trusted::{TrustedProxies, parse_network};
