//! What every driver of lacre answers alike, as tests: `tests/table` has the scenarios, and the clients that they are played with. Here
//! are an origin on loopback, for tests of drivers of any kind, and a cache whose clock stands still.
//!
//! Nothing here is part of what is published.
#![expect(clippy::unwrap_used, reason = "tests are made of this")]

mod origin;

pub use origin::{Body, Origin, Seen, fresh, pieces, respond};

use lacre::store::Memory;
use lacre::{Builder, Cache, ManualClock, Policy, Timestamp};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

/// A cache in memory whose clock stands still until it is moved.
#[must_use]
pub fn cache(policy: Policy) -> (Cache, Arc<ManualClock>) {
    let (builder, clock) = builder();
    (builder.policy(policy).build().unwrap(), clock)
}

/// The settings of such a cache.
#[must_use]
pub fn builder() -> (Builder, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::new(Timestamp::from_seconds(1_800_000_000)));
    let builder = Cache::builder().store(Memory::new().unwrap()).danger_ephemeral_key();
    (builder.clock(Arc::clone(&clock)), clock)
}

/// Waits until `done`, but not for ever.
///
/// # Panics
/// It is not after ten seconds.
pub fn until(mut done: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < Duration::from_secs(10), "it happens within ten seconds");
        thread::sleep(Duration::from_millis(2));
    }
}
