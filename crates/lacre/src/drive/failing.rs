//! The rows whose origin failed when it was last asked for them: for a while, what is stored answers without it, where it may.

use crate::clock::MonotonicTime;
use lacre_core::{Key, LastFailure};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How many rows are remembered. One that is forgotten is asked for as if it had never failed.
const MAX_ROWS: usize = 1024;

/// The longest pause, in multiples of the first.
const LONGEST: u32 = 8;

/// How long a failure is remembered, in multiples of its pause.
const REMEMBERED: u32 = 16;

/// The failures of a driver. Clones are the same.
#[derive(Clone, Default)]
pub(super) struct Failing(Arc<Mutex<HashMap<Key, Failure>>>);

struct Failure {
    failed: LastFailure,
    at: MonotonicTime,
    pause: Duration,
}

/// What is known of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Known {
    /// How the origin failed.
    pub(super) failed: LastFailure,
    /// Whether it is time to ask it again.
    pub(super) due: bool,
}

impl Failing {
    /// The origin failed. It is to be left alone for `pause`, and longer each time that it fails again after its pause.
    pub(super) fn note(&self, key: &Key, failed: LastFailure, pause: Duration) {
        let mut rows = self.rows();
        if rows.len() >= MAX_ROWS && !rows.contains_key(key) {
            rows.retain(|_, failure| !failure.is_forgotten());
            if rows.len() >= MAX_ROWS {
                rows.clear();
            }
        }
        let pause = match rows.get(key).filter(|last| !last.is_forgotten()) {
            Some(last) if last.at.elapsed() >= last.pause => (last.pause * 2).min(pause * LONGEST),
            Some(last) => last.pause.max(pause),
            None => pause,
        };
        rows.insert(*key, Failure { failed, at: MonotonicTime::now(), pause });
    }

    /// The origin answered.
    pub(super) fn clear(&self, key: &Key) {
        self.rows().remove(key);
    }

    /// How the origin failed, for a request that came at `since`. A failure after that counts without a pause, too: the request would only repeat
    /// it.
    pub(super) fn known(&self, key: &Key, since: MonotonicTime) -> Option<Known> {
        let mut rows = self.rows();
        let failure = rows.get(key)?;
        if failure.at >= since {
            return Some(Known { failed: failure.failed, due: false });
        }
        if failure.is_forgotten() {
            rows.remove(key);
            return None;
        }
        Some(Known { failed: failure.failed, due: failure.at.elapsed() >= failure.pause })
    }

    fn rows(&self) -> MutexGuard<'_, HashMap<Key, Failure>> {
        // Nothing foreign runs under the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Failure {
    fn is_forgotten(&self) -> bool {
        self.at.elapsed() >= self.pause * REMEMBERED
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: Key = Key::from_bytes([1; 32]);
    const LONG: Duration = Duration::from_secs(3600);

    fn known(failing: &Failing, since: MonotonicTime) -> Option<bool> {
        failing.known(&KEY, since).map(|known| known.due)
    }

    #[test]
    fn a_failure_is_known_for_its_pause_and_until_the_origin_answers() {
        let failing = Failing::default();
        assert_eq!(known(&failing, MonotonicTime::now()), None);
        failing.note(&KEY, LastFailure::NoAnswer, LONG);
        assert_eq!(known(&failing, MonotonicTime::now()), Some(false));
        failing.clear(&KEY);
        assert_eq!(known(&failing, MonotonicTime::now()), None);
    }

    #[test]
    fn without_a_pause_a_failure_counts_for_those_who_came_before_it() {
        let failing = Failing::default();
        let before = MonotonicTime::now();
        failing.note(&KEY, LastFailure::NoAnswer, Duration::ZERO);
        assert_eq!(known(&failing, before), Some(false));
        std::thread::sleep(Duration::from_millis(1));
        assert_eq!(known(&failing, MonotonicTime::now()), None);
    }

    #[test]
    fn failures_are_bounded() {
        let failing = Failing::default();
        for number in 0..3 * MAX_ROWS {
            let mut bytes = [0; 32];
            bytes[..8].copy_from_slice(&(number as u64).to_be_bytes());
            failing.note(&Key::from_bytes(bytes), LastFailure::Slow, LONG);
        }
        assert!(failing.rows().len() <= MAX_ROWS);
    }
}
