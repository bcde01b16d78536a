//! Test support for drivers of lacre: an origin on loopback, and a cache with a manual clock.
//!
//! The tests of this crate play the same scenarios with every driver (`tests/table`) and check that
//! responses of one transport are not served to another (`tests/transports.rs`). Other crates use
//! it for their own tests. It is not published.
//!
//! ```
//! use lacre::{Answer, Policy, RequestBody};
//! use lacre_drivers::{Origin, cache, fresh};
//!
//! let origin = Origin::start(|_| fresh("hello"));
//! let (cache, _clock) = cache(Policy::rfc9111());
//! let (head, ()) = http::Request::get(origin.url("/")).body(()).unwrap().into_parts();
//! let answer = lacre::wait(cache.ask(head, RequestBody::Seen(&[]))).unwrap();
//! assert!(matches!(answer, Answer::Send(_)), "nothing is stored yet");
//! assert_eq!(origin.request_count(), 0, "asking the cache sends nothing");
//! ```
//!
//! `origin` is the only module.
#![expect(clippy::unwrap_used, reason = "only tests use this crate")]

mod origin;

pub use origin::{Body, Origin, ReceivedRequest, chunked, fresh, respond};

use lacre::store::Memory;
use lacre::{Builder, Cache, ManualClock, Policy, Timestamp};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

/// A cache in memory whose clock stands still until a test advances it.
#[must_use]
pub fn cache(policy: Policy) -> (Cache, Arc<ManualClock>) {
    let (builder, clock) = builder();
    (builder.policy(policy).build().unwrap(), clock)
}

/// The builder of such a cache.
#[must_use]
pub fn builder() -> (Builder, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::new(Timestamp::from_seconds(1_800_000_000)));
    let builder = Cache::builder().store(Memory::new().unwrap()).danger_ephemeral_key();
    (builder.clock(Arc::clone(&clock)), clock)
}

/// Waits until `condition` holds.
///
/// # Panics
/// It does not hold within ten seconds.
pub fn wait_until(mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < Duration::from_secs(10), "the condition must hold within ten seconds");
        thread::sleep(Duration::from_millis(2));
    }
}
