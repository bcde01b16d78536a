//! What is counted. Labels are reasons, never URLs.

use crate::output::Output;
use lacre::{CacheStatus, Collapsed, Detail, ErrorKind, Event, Forward, Observer};
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};
use std::fmt::{self, Write};
use std::sync::Arc;
use std::time::Duration;

/// The counters of one server.
#[derive(Debug)]
pub(crate) struct Metrics {
    requests: Family<Request, Counter>,
    refused: Family<Refused, Counter>,
    lookups: Histogram,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Request {
    result: Outcome,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Refused {
    reason: &'static str,
}

/// How a request was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Outcome {
    /// From the cache.
    Hit,
    /// From the cache, though it was stale.
    Stale,
    /// From the cache, after the origin confirmed it.
    Revalidated,
    /// From the cache, where another request had put it meanwhile.
    Collapsed,
    /// By the origin.
    Miss,
    /// By the origin, without a look into the cache.
    Bypass,
    /// Not at all.
    Error,
}

impl Outcome {
    pub(crate) fn of(status: CacheStatus) -> Self {
        let stale = matches!(
            status.detail,
            Some(Detail::MaxStale | Detail::StaleIfError | Detail::StaleWhileRevalidate)
        );
        match status.forward {
            _ if stale => Self::Stale,
            _ if status.is_hit() => Self::Hit,
            _ if status.collapsed == Collapsed::Yes => Self::Collapsed,
            _ if status.is_revalidated() => Self::Revalidated,
            Some(Forward::Bypass | Forward::Method) => Self::Bypass,
            _ => Self::Miss,
        }
    }

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Stale => "stale",
            Self::Revalidated => "revalidated",
            Self::Collapsed => "collapsed",
            Self::Miss => "miss",
            Self::Bypass => "bypass",
            Self::Error => "error",
        }
    }
}

impl EncodeLabelValue for Outcome {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        encoder.write_str(self.as_str())
    }
}

impl Default for Metrics {
    fn default() -> Self {
        // From 1 µs to 4 s.
        let lookups = Histogram::new(exponential_buckets(1e-6, 4.0, 12));
        Self { requests: Family::default(), refused: Family::default(), lookups }
    }
}

impl Metrics {
    pub(crate) fn count(&self, result: Outcome) {
        self.requests.get_or_create(&Request { result }).inc();
    }

    pub(crate) fn looked_up(&self, time: Duration) {
        self.lookups.observe(time.as_secs_f64());
    }

    /// Everything in Prometheus' text format. What the store holds is told by the store.
    ///
    /// # Errors
    /// None that can happen with a string.
    pub(crate) fn text(&self, stored: Option<lacre::store::Usage>) -> Result<String, fmt::Error> {
        let mut registry = Registry::with_prefix("lacre");
        registry.register("requests", "Requests by how they were answered", self.requests.clone());
        registry.register(
            "integrity_failures",
            "Stored responses that were refused, by reason",
            self.refused.clone(),
        );
        let help = "Time to look a request up and open what is stored";
        registry.register_with_unit("lookup_duration", help, Unit::Seconds, self.lookups.clone());
        if let Some(stored) = stored {
            let gauge = |value: u64| {
                let gauge = Gauge::<i64>::default();
                gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
                gauge
            };
            registry.register("store_bytes", "Bytes that the store uses", gauge(stored.bytes));
            registry.register("entries", "Records in the store", gauge(stored.records));
        }
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry)?;
        Ok(text)
    }
}

/// Counts what the cache refuses, and tells the user of everything that it notices.
#[derive(Debug)]
pub(crate) struct Watch {
    pub(crate) output: Output,
    pub(crate) metrics: Arc<Metrics>,
}

impl Observer for Watch {
    fn on_event(&self, event: Event<'_>) {
        if let Event::Refused { error, .. } = event {
            let reason = match error.kind() {
                ErrorKind::Tampered => "tampered",
                ErrorKind::KeyUnavailable => "key-unavailable",
                ErrorKind::Broken => "broken",
                _ => "other",
            };
            self.metrics.refused.get_or_create(&Refused { reason }).inc();
        }
        self.output.on_event(event);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_has_every_family_by_its_documented_name() {
        let metrics = Metrics::default();
        metrics.count(Outcome::Hit);
        metrics.count(Outcome::Hit);
        metrics.refused.get_or_create(&Refused { reason: "tampered" }).inc();
        metrics.looked_up(Duration::from_micros(3));
        let text = metrics.text(Some(lacre::store::Usage { records: 5, bytes: 700 })).unwrap();
        for line in [
            "lacre_requests_total{result=\"hit\"} 2",
            "lacre_integrity_failures_total{reason=\"tampered\"} 1",
            "lacre_lookup_duration_seconds_count 1",
            "lacre_store_bytes 700",
            "lacre_entries 5",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
    }
}
