//! The deadline of a request. It covers every wait: for the network and for an identical request.

use std::io;
use std::time::{Duration, Instant};
use ureq::config::Config;
use ureq::{Error, Timeout};

/// The time by which a request must be answered, to the end of its body, and the timeout of ureq
/// that sets it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline {
    until: Option<(Instant, Timeout)>,
    start: Instant,
}

/// A request that waited less than this is sent with its original timeout. A timeout of its own
/// would cost it the TLS setup of the agent.
const NEGLIGIBLE: Duration = Duration::from_millis(20);

impl Deadline {
    /// The deadline of a request with this configuration that starts now.
    pub(crate) fn of(config: Option<&Config>) -> Self {
        let timeouts = config.map(Config::timeouts);
        let global = timeouts.and_then(|timeouts| timeouts.global);
        Self::new([
            (global, Timeout::Global),
            (timeouts.and_then(|timeouts| timeouts.per_call), Timeout::PerCall),
        ])
    }

    /// The deadline of all hops of a request together.
    pub(crate) fn of_all_hops(config: Option<&Config>) -> Self {
        Self::new([(config.and_then(|config| config.timeouts().global), Timeout::Global)])
    }

    pub(crate) fn after(time: Duration) -> Self {
        Self::new([(Some(time), Timeout::Global)])
    }

    fn new<const N: usize>(limits: [(Option<Duration>, Timeout); N]) -> Self {
        let start = Instant::now();
        // A timeout beyond the range of the clock is no limit.
        let ends = limits.into_iter().filter_map(|(time, which)| Some((start.checked_add(time?)?, which)));
        Self { until: ends.min_by_key(|(until, _)| *until), start }
    }

    /// The earlier of two deadlines.
    pub(crate) fn min(self, other: Self) -> Self {
        let both = [self.until, other.until].into_iter().flatten();
        Self { until: both.min_by_key(|(until, _)| *until), ..self }
    }

    /// The time that is left.
    pub(crate) fn left(self) -> Option<Duration> {
        self.until.map(|(until, _)| until.saturating_duration_since(Instant::now()))
    }

    /// The time that is left, if the request waited so long that its configured timeout is wrong by
    /// more than [`NEGLIGIBLE`].
    pub(crate) fn left_after_waiting(self) -> Option<Duration> {
        self.left().filter(|_| self.start.elapsed() > NEGLIGIBLE)
    }

    /// Fails with ureq's own error once the deadline has passed.
    pub(crate) fn check(self) -> Result<(), Error> {
        match self.until {
            Some((_, which)) if self.left() == Some(Duration::ZERO) => Err(Error::Timeout(which)),
            _ => Ok(()),
        }
    }

    /// Does the same for a body that is read.
    pub(crate) fn check_reading(self) -> io::Result<()> {
        self.check().map_err(Error::into_io)
    }
}
