//! lacre beside its peers, all as middleware of the same client over the same origin, which takes no time.
//!
//! Outside of the workspace, with a lock file of its own: nothing of this is built every day.

pub mod side;

pub use side::{Kind, Side};

use std::error::Error;

pub type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// Bodies, by how they are called.
pub const SIZES: [(&str, usize); 5] =
    [("1 KB", 1 << 10), ("10 KB", 10 << 10), ("100 KB", 100 << 10), ("1 MB", 1 << 20), ("10 MB", 10 << 20)];

/// One thread does it all, but for what a peer hands to others.
pub fn runtime() -> Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}
