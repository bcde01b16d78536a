//! Refreshes in the background (RFC 5861 §3): one for each row, and never many at once.

use lacre::Key;
use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How many may be under way. Those beyond are skipped; the next request for the same response tries again.
const AT_ONCE: usize = 16;

/// The rows that are being refreshed.
#[derive(Default)]
pub(crate) struct Refreshes(Mutex<HashSet<Key>>);

impl Refreshes {
    /// The right to refresh `key`, until it is dropped; `None`: somebody already does, or there are too many.
    pub(crate) fn claim(self: &Arc<Self>, key: Key) -> Option<Claim> {
        let mut under_way = self.under_way();
        if under_way.len() >= AT_ONCE || !under_way.insert(key) {
            return None;
        }
        Some(Claim { refreshes: Arc::clone(self), key })
    }

    fn under_way(&self) -> MutexGuard<'_, HashSet<Key>> {
        // Neither holder can leave the set half changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A refresh under way.
pub(crate) struct Claim {
    refreshes: Arc<Refreshes>,
    key: Key,
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.refreshes.under_way().remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_refreshed_once_at_a_time_and_few_rows_at_once() {
        let refreshes = Arc::new(Refreshes::default());
        let key = |byte: usize| Key::from_bytes([byte as u8; 32]);
        let first = refreshes.claim(key(0)).unwrap();
        assert!(refreshes.claim(key(0)).is_none());
        let others: Vec<Claim> = (1..AT_ONCE).map(|byte| refreshes.claim(key(byte)).unwrap()).collect();
        assert!(refreshes.claim(key(AT_ONCE)).is_none());
        drop(first);
        assert!(refreshes.claim(key(0)).is_some());
        drop(others);
        assert!(refreshes.under_way().is_empty());
    }
}
