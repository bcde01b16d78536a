//! lacre's own cache for Python: asked before a request is sent, given the response afterwards.
//!
//! It sends nothing itself: `lacre.httpx`, `lacre.aiohttp` and `lacre.niquests` drive it.
//!
//! - `cache`: `Cache`, the entry point. `shared`: the state that it shares with its answers.
//! - `exchange`: `Reply` and `Ticket`, the answers; `recording`: `Recording`; `info`: `CacheInfo`.
//! - `settings`, `options`, `store`, `transport`: arguments from Python.
//! - `http_parts`, `clock`, `events`: conversion of messages, time and events.
//! - `fork`, `process_bound`: safety in forked children.
//!
//! A lookup runs on the calling thread with the GIL held, since releasing it costs more than a hit.
//! Writes, and reads of large bodies, release it. Nothing calls Python while Rust holds a lock.

mod cache;
mod clock;
mod events;
mod exchange;
mod fork;
mod http_parts;
mod info;
mod options;
mod process_bound;
mod recording;
mod settings;
mod shared;
mod store;
mod transport;

pub(crate) use cache::Cache;
pub(crate) use exchange::{Reply, Ticket};
pub(crate) use info::CacheInfo;
pub(crate) use recording::Recording;
pub(crate) use transport::Transport;
