//! lacre's own cache for Python: asked before the network, told after it what came. It sends nothing itself: `lacre.httpx`,
//! `lacre.aiohttp` and `lacre.niquests` drive it.
//!
//! What is asked is answered on the thread that asks, with the GIL held: giving it up costs more than a hit. Writes, and pieces of large
//! bodies, are read and written without it. Nothing here calls Python while Rust holds a lock.

mod cache;
mod clock;
mod events;
mod fork;
mod heads;
mod here;
mod options;
mod place;
mod reply;
mod settings;
mod ticket;
mod transport;

pub(crate) use cache::Cache;
pub(crate) use reply::{CacheInfo, Reply};
pub(crate) use ticket::{Recording, Ticket};
pub(crate) use transport::Transport;
