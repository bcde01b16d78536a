//! Removals that the store refused, because it was locked, full or out of reach. An invalidated row
//! is not served meanwhile, and is removed with the next write that succeeds. The list is bounded,
//! and ends with the process.

use lacre_core::Key;
use std::collections::HashSet;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The most rows remembered. A store that refuses more has failed for long.
const MAX_ROWS: usize = 4096;

/// How many removals are retried after a write.
const BATCH: usize = 8;

#[derive(Default)]
pub(crate) struct PendingRemovals {
    /// Whether there are any: every lookup asks this first.
    any: AtomicBool,
    rows: Mutex<HashSet<Key>>,
}

impl PendingRemovals {
    pub(crate) fn add(&self, key: &Key) {
        let mut rows = self.rows();
        if rows.len() < MAX_ROWS {
            rows.insert(*key);
        }
        self.any.store(!rows.is_empty(), Ordering::Release);
    }

    pub(crate) fn contains(&self, key: &Key) -> bool {
        self.any.load(Ordering::Acquire) && self.rows().contains(key)
    }

    /// Forgets a row that was removed or replaced.
    pub(crate) fn settle(&self, key: &Key) {
        if self.any.load(Ordering::Acquire) {
            let mut rows = self.rows();
            rows.remove(key);
            self.any.store(!rows.is_empty(), Ordering::Release);
        }
    }

    /// Up to [`BATCH`] rows to remove.
    pub(crate) fn next_batch(&self) -> Vec<Key> {
        if self.any.load(Ordering::Acquire) {
            self.rows().iter().take(BATCH).copied().collect()
        } else {
            Vec::new()
        }
    }

    fn rows(&self) -> MutexGuard<'_, HashSet<Key>> {
        // No foreign code runs under this lock.
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for PendingRemovals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PendingRemovals").finish_non_exhaustive()
    }
}
