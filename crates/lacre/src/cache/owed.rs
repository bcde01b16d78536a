//! Removals that the store did not carry out, since it was locked, full or out of reach: what an unsafe request made invalid is not served from
//! it all the same, and goes when the store is written next. The memory is bounded, and ends with the process.

use lacre_core::Key;
use std::collections::HashSet;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Rows remembered. Where more are owed, the store has failed for long.
const MOST: usize = 4096;

/// How many removals are made up for after a write.
const SOME: usize = 8;

#[derive(Default)]
pub(super) struct Owed {
    /// Whether there are any, which a lookup asks first.
    any: AtomicBool,
    rows: Mutex<HashSet<Key>>,
}

impl Owed {
    pub(super) fn add(&self, key: &Key) {
        let mut rows = self.rows();
        if rows.len() < MOST {
            rows.insert(*key);
        }
        self.any.store(!rows.is_empty(), Ordering::Release);
    }

    pub(super) fn has(&self, key: &Key) -> bool {
        self.any.load(Ordering::Acquire) && self.rows().contains(key)
    }

    /// What lay under `key` is gone, or replaced.
    pub(super) fn settle(&self, key: &Key) {
        if self.any.load(Ordering::Acquire) {
            let mut rows = self.rows();
            rows.remove(key);
            self.any.store(!rows.is_empty(), Ordering::Release);
        }
    }

    /// Some rows that are to be removed.
    pub(super) fn some(&self) -> Vec<Key> {
        if self.any.load(Ordering::Acquire) {
            self.rows().iter().take(SOME).copied().collect()
        } else {
            Vec::new()
        }
    }

    fn rows(&self) -> MutexGuard<'_, HashSet<Key>> {
        // Nothing foreign runs under this lock.
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Owed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Owed").finish_non_exhaustive()
    }
}
