//! Clocks. This is the only file that reads the system clock.

use lacre_core::Timestamp;
use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

/// A source of the current time.
pub trait Clock: Debug + Send + Sync + 'static {
    /// The current time.
    fn now(&self) -> Timestamp;
}

impl<C: Clock + ?Sized> Clock for Arc<C> {
    fn now(&self) -> Timestamp {
        (**self).now()
    }
}

/// The system clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        SystemTime::now().into()
    }
}

/// A clock that is set by hand, for tests, simulations and replays.
#[derive(Debug)]
pub struct ManualClock(AtomicI64);

impl ManualClock {
    /// Creates a clock that shows `now`.
    pub const fn new(now: Timestamp) -> Self {
        Self(AtomicI64::new(now.as_millis()))
    }

    /// Moves the clock to `now`, in either direction.
    pub fn set(&self, now: Timestamp) {
        self.0.store(now.as_millis(), Ordering::SeqCst);
    }

    /// Moves the clock forward.
    pub fn advance(&self, by: Duration) {
        // Only a closure that returns `None` would fail.
        let _ = self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |now| {
            Some(Timestamp::from_millis(now).plus(by).as_millis())
        });
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::SeqCst))
    }
}

/// A point in monotonic time, independent of the cache's own clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct MonotonicTime(Instant);

impl MonotonicTime {
    /// Longer than any process runs, and within the range of every system.
    const FAR: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

    /// The current time.
    pub(crate) fn now() -> Self {
        Self(Instant::now())
    }

    /// The time `time` from now.
    pub(crate) fn after(time: Duration) -> Self {
        Self(Instant::now() + time.min(Self::FAR))
    }

    /// How long ago it was.
    pub(crate) fn elapsed(self) -> Duration {
        self.0.elapsed()
    }

    /// The time left until then; zero if it has passed.
    pub(crate) fn remaining(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }
}

/// A task that is due once per span of time, whichever thread asks.
#[derive(Debug)]
pub(crate) struct Interval {
    span: Duration,
    begun: Instant,
    /// When it was last due, in nanoseconds since `begun`; [`NEVER`](Self::NEVER) at first.
    last: AtomicU64,
}

impl Interval {
    const NEVER: u64 = u64::MAX;

    pub(crate) fn new(span: Duration) -> Self {
        Self { span, begun: Instant::now(), last: AtomicU64::new(Self::NEVER) }
    }

    /// Whether the task is due. Only one caller gets `true`.
    pub(crate) fn is_due(&self) -> bool {
        let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let (now, last) = (nanos(self.begun.elapsed()), self.last.load(Ordering::Relaxed));
        (last == Self::NEVER || now.saturating_sub(last) >= nanos(self.span))
            && self.last.compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn manual_clock_moves_only_when_set() {
        let clock = ManualClock::new(Timestamp::from_seconds(100));
        assert_eq!(clock.now(), Timestamp::from_seconds(100));
        clock.advance(Duration::from_secs(5));
        assert_eq!(clock.now(), Timestamp::from_seconds(105));
        clock.set(Timestamp::from_seconds(1));
        assert_eq!(clock.now(), Timestamp::from_seconds(1));
    }

    #[test]
    fn interval_is_due_for_one_caller_at_a_time() {
        let interval = Interval::new(Duration::from_millis(20));
        assert!(interval.is_due());
        assert!(!interval.is_due());
        std::thread::sleep(Duration::from_millis(25));
        assert!(interval.is_due());
    }

    #[test]
    fn system_clock_is_plausible() {
        assert!(SystemClock.now() > Timestamp::from_seconds(1_760_000_000));
    }
}
