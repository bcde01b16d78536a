//! placeholder
mod key;
mod slot;
mod time;
mod ttl;

pub use key::Key;
pub use slot::{Entry, Signpost, Slot};
pub use time::Timestamp;
pub use ttl::Ttl;
