//! The time that a caller gave a request: it covers whatever the request waits for, be it the network or another request's answer.

use std::io;
use std::time::{Duration, Instant};
use ureq::config::Config;
use ureq::{Error, Timeout};

/// Until when a request must be answered, to the end of its body; and by which of ureq's timeouts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline {
    until: Option<(Instant, Timeout)>,
    begun: Instant,
}

/// So much time may pass before a request is told how much is left: a setting of its own costs it the agent's TLS.
const NEGLIGIBLE: Duration = Duration::from_millis(20);

impl Deadline {
    /// That of a request with these settings which begins now.
    pub(crate) fn of(config: Option<&Config>) -> Self {
        let timeouts = config.map(Config::timeouts);
        let global = timeouts.and_then(|timeouts| timeouts.global);
        Self::new([
            (global, Timeout::Global),
            (timeouts.and_then(|timeouts| timeouts.per_call), Timeout::PerCall),
        ])
    }

    /// That of all hops of a request together.
    pub(crate) fn of_all_hops(config: Option<&Config>) -> Self {
        Self::new([(config.and_then(|config| config.timeouts().global), Timeout::Global)])
    }

    pub(crate) fn after(time: Duration) -> Self {
        Self::new([(Some(time), Timeout::Global)])
    }

    fn new<const N: usize>(limits: [(Option<Duration>, Timeout); N]) -> Self {
        let begun = Instant::now();
        // What no clock can show is no limit.
        let ends = limits.into_iter().filter_map(|(time, which)| Some((begun.checked_add(time?)?, which)));
        Self { until: ends.min_by_key(|(until, _)| *until), begun }
    }

    /// The earlier one of the two.
    pub(crate) fn and(self, other: Self) -> Self {
        let both = [self.until, other.until].into_iter().flatten();
        Self { until: both.min_by_key(|(until, _)| *until), ..self }
    }

    /// How much time is left.
    pub(crate) fn left(self) -> Option<Duration> {
        self.until.map(|(until, _)| until.saturating_duration_since(Instant::now()))
    }

    /// The same, where the network does not know of it by its own settings: for a request that waited.
    pub(crate) fn left_after_waiting(self) -> Option<Duration> {
        self.left().filter(|_| self.begun.elapsed() > NEGLIGIBLE)
    }

    /// ureq's own error, where the time is over.
    pub(crate) fn check(self) -> Result<(), Error> {
        match self.until {
            Some((_, which)) if self.left() == Some(Duration::ZERO) => Err(Error::Timeout(which)),
            _ => Ok(()),
        }
    }

    /// The same, for a body that is read.
    pub(crate) fn check_reading(self) -> io::Result<()> {
        self.check().map_err(Error::into_io)
    }
}
