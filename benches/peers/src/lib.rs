//! lacre and its peers, each as middleware of the same client over an origin that answers at once.
//!
//! `side` has the clients that are compared. The crate is outside the workspace and has a lock file
//! of its own, because it is rarely built.

pub mod side;

pub use side::{Kind, Side};

use std::error::Error;

pub type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// The lengths of the bodies, with their names.
pub const SIZES: [(&str, usize); 5] =
    [("1 KB", 1 << 10), ("10 KB", 10 << 10), ("100 KB", 100 << 10), ("1 MB", 1 << 20), ("10 MB", 10 << 20)];

/// A runtime of one thread. A peer may use threads of its own.
pub fn runtime() -> Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}
