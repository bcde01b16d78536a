//! Bodies on their way: from the store to a caller, from the network into the store, and from one
//! request's response to others that asked for the same.
//!
//! | module | what it holds |
//! |---|---|
//! | `reply_body` | [`Body`], the body of a reply from the cache |
//! | `recording` | [`Recording`], which stores a body while it arrives |
//! | `transfer` | one body that several readers share while it arrives |
//! | `in_flight` | the response of a transfer, as the cache's engine sees it |
//! | `resume` | a reader's own request, for a transfer that fails |

pub(crate) mod in_flight;
pub(crate) mod recording;
mod reply_body;
pub(crate) mod resume;
pub(crate) mod transfer;

pub use recording::Recording;
pub use reply_body::Body;
pub(crate) use reply_body::plan_for;
