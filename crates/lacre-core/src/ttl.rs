//! How long the user wants a response to count as fresh.

use std::time::Duration;

/// A stored response's own lifetime, decided when it was stored, counted from when it was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ttl {
    /// Fresh for this long; zero: stale at once, so every use is validated.
    For(Duration),
    /// Stored already stale by this long.
    StaleBy(Duration),
    /// Fresh for ever.
    Forever,
}
