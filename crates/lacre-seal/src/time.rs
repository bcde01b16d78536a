//! Points in time, as stored in an envelope. This crate reads no clock: `now` is always an
//! argument.

/// Milliseconds since 1970-01-01T00:00:00Z without leap seconds, at most [`UnixMillis::UNBOUNDED`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixMillis(u64);

impl UnixMillis {
    /// The latest time. As a bound it means "none".
    pub const UNBOUNDED: Self = Self(i64::MAX as u64);

    /// Creates a time from milliseconds since the epoch, limited to [`UnixMillis::UNBOUNDED`].
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        if millis > Self::UNBOUNDED.0 { Self::UNBOUNDED } else { Self(millis) }
    }

    /// Milliseconds since the epoch, at most `i64::MAX`.
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.0
    }
}

/// The lifetime of a seal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetime {
    /// The time of sealing.
    pub created: UnixMillis,
    /// The last time at which the envelope opens.
    pub not_after: UnixMillis,
}

impl Lifetime {
    /// Creates a lifetime without an end.
    #[must_use]
    pub const fn unbounded(created: UnixMillis) -> Self {
        Self { created, not_after: UnixMillis::UNBOUNDED }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_limited_to_unbounded() {
        assert_eq!(UnixMillis::from_millis(u64::MAX), UnixMillis::UNBOUNDED);
        assert_eq!(UnixMillis::UNBOUNDED.as_millis(), 0x7FFF_FFFF_FFFF_FFFF);
    }
}
