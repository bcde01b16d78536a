//! An HTTP cache that seals what it stores.

mod clock;
mod error;
mod events;
mod wait;

pub mod codec;
pub mod stage;
pub mod store;

pub use clock::{Clock, ManualClock, SystemClock};
pub use error::{Error, ErrorKind, Trouble};
pub use events::{Event, Observer, Tracing};
pub use wait::wait;
