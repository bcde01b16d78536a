//! Points in time, as the envelope stores them. Nothing here reads a clock: `now` is always an argument.

/// Milliseconds since 1970-01-01T00:00:00Z, leap seconds not counted; never beyond [`UnixMillis::UNBOUNDED`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixMillis(u64);

impl UnixMillis {
    /// The last moment there is, which as a bound means none.
    pub const UNBOUNDED: Self = Self(i64::MAX as u64);

    /// The moment that many milliseconds after the epoch; what lies beyond [`UnixMillis::UNBOUNDED`] becomes it.
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

/// When an envelope was sealed, and the last moment at which it may be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetime {
    /// When it is sealed.
    pub created: UnixMillis,
    /// The last moment at which it may be opened.
    pub not_after: UnixMillis,
}

impl Lifetime {
    /// A lifetime that begins at `created` and has no end.
    #[must_use]
    pub const fn unbounded(created: UnixMillis) -> Self {
        Self { created, not_after: UnixMillis::UNBOUNDED }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_lies_beyond_unbounded() {
        assert_eq!(UnixMillis::from_millis(u64::MAX), UnixMillis::UNBOUNDED);
        assert_eq!(UnixMillis::UNBOUNDED.as_millis(), 0x7FFF_FFFF_FFFF_FFFF);
    }
}
