//! Recent failures of origins, by row. For a while, a stored response that may be stale answers
//! without asking the origin again (RFC 5861 §4).

use crate::clock::MonotonicTime;
use lacre_core::{Key, LastFailure};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The most rows remembered. A forgotten row is requested as if it had never failed.
const MAX_ROWS: usize = 1024;

/// The longest pause, in multiples of the first.
const MAX_PAUSE_FACTOR: u32 = 8;

/// How long a failure is remembered, in multiples of its pause.
const RETENTION_FACTOR: u32 = 16;

/// The failures that a driver met. Clones share them.
#[derive(Clone, Default)]
pub(super) struct OriginFailures(Arc<Mutex<HashMap<Key, Failure>>>);

struct Failure {
    failed: LastFailure,
    at: MonotonicTime,
    pause: Duration,
}

/// A recent failure of a row's origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RecentFailure {
    /// How the origin failed.
    pub(super) failed: LastFailure,
    /// Whether the origin may be asked again.
    pub(super) due: bool,
}

impl OriginFailures {
    /// Records a failure. The origin is not asked for `pause`, and twice as long after each failure
    /// that follows its pause.
    pub(super) fn record(&self, key: &Key, failed: LastFailure, pause: Duration) {
        let mut rows = self.rows();
        if rows.len() >= MAX_ROWS && !rows.contains_key(key) {
            rows.retain(|_, failure| !failure.is_forgotten());
            if rows.len() >= MAX_ROWS {
                rows.clear();
            }
        }
        let pause = match rows.get(key).filter(|last| !last.is_forgotten()) {
            Some(last) if last.at.elapsed() >= last.pause => (last.pause * 2).min(pause * MAX_PAUSE_FACTOR),
            Some(last) => last.pause.max(pause),
            None => pause,
        };
        rows.insert(*key, Failure { failed, at: MonotonicTime::now(), pause });
    }

    /// Forgets the failure of an origin that answered.
    pub(super) fn clear(&self, key: &Key) {
        self.rows().remove(key);
    }

    /// The recent failure of a row, for a request that came at `since`. A failure after that counts
    /// even without a pause, since the request would only repeat it.
    pub(super) fn recent(&self, key: &Key, since: MonotonicTime) -> Option<RecentFailure> {
        let mut rows = self.rows();
        let failure = rows.get(key)?;
        if failure.at >= since {
            return Some(RecentFailure { failed: failure.failed, due: false });
        }
        if failure.is_forgotten() {
            rows.remove(key);
            return None;
        }
        Some(RecentFailure { failed: failure.failed, due: failure.at.elapsed() >= failure.pause })
    }

    fn rows(&self) -> MutexGuard<'_, HashMap<Key, Failure>> {
        // No foreign code runs under the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Failure {
    fn is_forgotten(&self) -> bool {
        self.at.elapsed() >= self.pause * RETENTION_FACTOR
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: Key = Key::from_bytes([1; 32]);
    const LONG: Duration = Duration::from_secs(3600);

    fn known(failures: &OriginFailures, since: MonotonicTime) -> Option<bool> {
        failures.recent(&KEY, since).map(|known| known.due)
    }

    #[test]
    fn a_failure_counts_for_its_pause_or_until_the_origin_answers() {
        let failures = OriginFailures::default();
        assert_eq!(known(&failures, MonotonicTime::now()), None);
        failures.record(&KEY, LastFailure::NoAnswer, LONG);
        assert_eq!(known(&failures, MonotonicTime::now()), Some(false));
        failures.clear(&KEY);
        assert_eq!(known(&failures, MonotonicTime::now()), None);
    }

    #[test]
    fn without_a_pause_a_failure_counts_for_earlier_requests() {
        let failures = OriginFailures::default();
        let before = MonotonicTime::now();
        failures.record(&KEY, LastFailure::NoAnswer, Duration::ZERO);
        assert_eq!(known(&failures, before), Some(false));
        std::thread::sleep(Duration::from_millis(1));
        assert_eq!(known(&failures, MonotonicTime::now()), None);
    }

    #[test]
    fn failures_are_bounded() {
        let failures = OriginFailures::default();
        for number in 0..3 * MAX_ROWS {
            let mut bytes = [0; 32];
            bytes[..8].copy_from_slice(&(number as u64).to_be_bytes());
            failures.record(&Key::from_bytes(bytes), LastFailure::Slow, LONG);
        }
        assert!(failures.rows().len() <= MAX_ROWS);
    }
}
