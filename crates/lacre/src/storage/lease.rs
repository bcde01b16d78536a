//! Leases: the right to send a request on behalf of all processes that share a store
//! ([decision 8](../../../../docs/decisions/0008-short-leases-with-renewal.md)).

use super::Storage;
use super::vault::Vault;
use crate::store::LeaseHolder;
use crate::{Clock, Error};
use lacre_core::Key;
use std::fmt;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

/// How long a lease lasts unless it is [renewed](HeldLease::renew), which is how long the others
/// wait for a process that was killed.
const DURATION: Duration = Duration::from_millis(800);

/// The outcome of asking for a lease.
pub(crate) enum Lease {
    /// This process has it.
    Held(HeldLease),
    /// Another process has it.
    Elsewhere,
    /// The store cannot tell: it is read-only, or failed.
    Unknown,
}

/// A lease, released on drop.
pub(crate) struct HeldLease {
    vault: Arc<Vault>,
    clock: Arc<dyn Clock>,
    key: Key,
    holder: LeaseHolder,
}

impl Storage {
    /// Takes the lease on `key` for a short time.
    pub(crate) async fn lease(&self, key: &Key) -> Lease {
        let Ok(holder) = LeaseHolder::generate() else { return Lease::Unknown };
        match take(&self.vault, &*self.clock, key, holder).await {
            Ok(true) => {
                let (vault, clock) = (Arc::clone(&self.vault), Arc::clone(&self.clock));
                Lease::Held(HeldLease { vault, clock, key: *key, holder })
            }
            Ok(false) => Lease::Elsewhere,
            Err(_) => Lease::Unknown,
        }
    }
}

impl HeldLease {
    /// How often a lease must be renewed, so that one renewal may be late.
    pub(crate) const RENEWAL_INTERVAL: Duration = Duration::from_millis(DURATION.as_millis() as u64 / 4);

    /// Extends the lease. If it ended and another process has it, two requests are sent, which is
    /// harmless.
    pub(crate) async fn renew(&self) {
        let _ = take(&self.vault, &*self.clock, &self.key, self.holder).await;
    }
}

async fn take(vault: &Vault, clock: &dyn Clock, key: &Key, holder: LeaseHolder) -> Result<bool, Error> {
    let now = clock.now();
    vault.store.lease(key, holder, now.plus(DURATION), now).await
}

/// If the store does not release it at once, the lease ends by itself.
impl Drop for HeldLease {
    fn drop(&mut self) {
        let mut released = self.vault.store.release(&self.key, self.holder);
        let _ = released.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    }
}

impl fmt::Debug for HeldLease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HeldLease").field("key", &self.key).finish_non_exhaustive()
    }
}
