//! placeholder
mod date;
mod directives;
mod key;
mod slot;
mod time;
mod ttl;

pub use date::parse_http_date;
pub use directives::{MaxStale, RequestDirectives, ResponseDirectives, age, parse_delta_seconds};
pub use key::Key;
pub use slot::{Entry, Signpost, Slot};
pub use time::Timestamp;
pub use ttl::Ttl;
