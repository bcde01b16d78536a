//! Points in time. This crate reads no clock: every step takes `now` as its last argument.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The longest time span: 2³¹ seconds, 68 years. RFC 9111 §1.2.2: a cache treats a larger
/// delta-seconds value as 2³¹. No sum of times overflows then.
pub(crate) const MAX_DELTA: Duration = Duration::from_secs(1 << 31);

/// A point in time: milliseconds since 1970-01-01T00:00:00Z, saturating at both ends.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The latest timestamp; as a bound it means "none".
    pub const MAX: Self = Self(i64::MAX);

    /// Creates a timestamp from milliseconds since the Unix epoch.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Creates a timestamp from whole seconds since the Unix epoch.
    pub const fn from_seconds(seconds: i64) -> Self {
        Self(seconds.saturating_mul(1000))
    }

    /// Milliseconds since the Unix epoch.
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// Whole seconds since the Unix epoch, rounded down.
    pub const fn as_seconds(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// The time since `earlier`. Zero if `earlier` is later, because clocks may go backwards.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// Adds a duration.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)))
    }

    /// Subtracts a duration.
    #[must_use]
    pub fn minus(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)))
    }
}

impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        match time.duration_since(UNIX_EPOCH) {
            Ok(after) => Self::default().plus(after),
            Err(before) => Self::default().minus(before.duration()),
        }
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:03}", self.as_seconds(), self.0.rem_euclid(1000))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_saturates_and_never_goes_negative() {
        let now = Timestamp::from_seconds(10);
        assert_eq!(now.since(Timestamp::from_seconds(4)), Duration::from_secs(6));
        assert_eq!(now.since(Timestamp::from_seconds(40)), Duration::ZERO);
        assert_eq!(Timestamp::MAX.plus(Duration::from_secs(1)), Timestamp::MAX);
        assert_eq!(now.minus(Duration::from_secs(4)), Timestamp::from_seconds(6));
        assert_eq!(Timestamp::from_millis(-1).as_seconds(), -1);
    }

    #[test]
    fn system_time_converts_on_both_sides_of_the_epoch() {
        let second = Duration::from_secs(1);
        assert_eq!(Timestamp::from(UNIX_EPOCH + second).as_millis(), 1000);
        assert_eq!(Timestamp::from(UNIX_EPOCH - second).as_millis(), -1000);
    }
}
