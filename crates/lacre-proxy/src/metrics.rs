//! [`Metrics`]: the counters of a proxy, for Prometheus. Labels are reasons, never URLs.

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

/// The counters of a proxy.
#[derive(Debug)]
pub struct Metrics {
    requests: Family<RequestLabels, Counter>,
    integrity_failures: Family<FailureLabels, Counter>,
    lookup_duration: Histogram,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    result: Outcome,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FailureLabels {
    reason: &'static str,
}

/// How a request was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Outcome {
    /// From the cache, fresh.
    Hit,
    /// From the cache, stale.
    Stale,
    /// From the cache, after the origin validated the stored response.
    Revalidated,
    /// From the response to another request that was sent at the same time.
    Collapsed,
    /// By the origin.
    Miss,
    /// By the origin, without a lookup.
    Bypass,
    /// With an error of the proxy.
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
        let lookup_duration = Histogram::new(exponential_buckets(1e-6, 4.0, 12));
        Self { requests: Family::default(), integrity_failures: Family::default(), lookup_duration }
    }
}

impl Metrics {
    /// An observer that counts the refused records of a cache, and passes each event on to `next`.
    pub fn observer(self: &Arc<Self>, next: impl Observer) -> impl Observer {
        CountingObserver { metrics: Arc::clone(self), next }
    }

    pub(crate) fn count_request(&self, result: Outcome) {
        self.requests.get_or_create(&RequestLabels { result }).inc();
    }

    pub(crate) fn record_lookup(&self, duration: Duration) {
        self.lookup_duration.observe(duration.as_secs_f64());
    }

    /// All metrics in the text format of OpenMetrics, with the usage of the store if it is known.
    ///
    /// # Errors
    /// The format could not be written, which does not happen with a string.
    pub(crate) fn text(&self, usage: Option<lacre::store::Usage>) -> Result<String, fmt::Error> {
        let mut registry = Registry::with_prefix("lacre");
        registry.register("requests", "Requests, by how they were answered", self.requests.clone());
        registry.register(
            "integrity_failures",
            "Stored responses that were refused, by reason",
            self.integrity_failures.clone(),
        );
        let help = "Time to look up a request and to open the stored response";
        registry.register_with_unit("lookup_duration", help, Unit::Seconds, self.lookup_duration.clone());
        if let Some(usage) = usage {
            let gauge = |value: u64| {
                let gauge = Gauge::<i64>::default();
                gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
                gauge
            };
            registry.register("store_bytes", "Bytes that the store uses", gauge(usage.bytes));
            registry.register("entries", "Records in the store", gauge(usage.records));
        }
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry)?;
        Ok(text)
    }
}

/// Counts the records that a cache refuses.
#[derive(Debug)]
struct CountingObserver<O> {
    metrics: Arc<Metrics>,
    next: O,
}

impl<O: Observer> Observer for CountingObserver<O> {
    fn on_event(&self, event: Event<'_>) {
        if let Event::Refused { error, .. } = event {
            let reason = match error.kind() {
                ErrorKind::Tampered => "tampered",
                ErrorKind::KeyUnavailable => "key-unavailable",
                ErrorKind::Broken => "broken",
                _ => "other",
            };
            self.metrics.integrity_failures.get_or_create(&FailureLabels { reason }).inc();
        }
        self.next.on_event(event);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_names_every_metric_as_documented() {
        let metrics = Metrics::default();
        metrics.count_request(Outcome::Hit);
        metrics.count_request(Outcome::Hit);
        metrics.integrity_failures.get_or_create(&FailureLabels { reason: "tampered" }).inc();
        metrics.record_lookup(Duration::from_micros(3));
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
