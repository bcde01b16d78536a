//! The right to send a request for all processes that share a store.

use super::Cache;
use super::vault::Vault;
use crate::store::LeaseHolder;
use crate::{Clock, Error};
use lacre_core::Key;
use std::fmt;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

/// How long a lease lasts that is not [prolonged](Held::prolong): so long do the others wait for a process that was killed.
const SPAN: Duration = Duration::from_millis(800);

/// Who is to send a request.
pub(crate) enum Lease {
    /// We.
    Here(Held),
    /// Another process.
    Elsewhere,
    /// The store cannot tell: it is read-only, or fails.
    Unknown,
}

/// A lease that is given back when this is dropped.
pub(crate) struct Held {
    vault: Arc<Vault>,
    clock: Arc<dyn Clock>,
    key: Key,
    holder: LeaseHolder,
}

impl Cache {
    /// Takes the lease on `key`, for a short time.
    pub(crate) async fn lease(&self, key: &Key) -> Lease {
        let Ok(holder) = LeaseHolder::generate() else { return Lease::Unknown };
        match take(&self.vault, &*self.clock, key, holder).await {
            Ok(true) => {
                let (vault, clock) = (Arc::clone(&self.vault), Arc::clone(&self.clock));
                Lease::Here(Held { vault, clock, key: *key, holder })
            }
            Ok(false) => Lease::Elsewhere,
            Err(_) => Lease::Unknown,
        }
    }
}

impl Held {
    /// How often a lease must be prolonged, so that one beat may be late.
    pub(crate) const BEAT: Duration = Duration::from_millis(SPAN.as_millis() as u64 / 4);

    /// Takes it for a while longer. Where it ended meanwhile and somebody else has it, two requests are sent, and no harm is done.
    pub(crate) async fn prolong(&self) {
        let _ = take(&self.vault, &*self.clock, &self.key, self.holder).await;
    }
}

async fn take(vault: &Vault, clock: &dyn Clock, key: &Key, holder: LeaseHolder) -> Result<bool, Error> {
    let now = clock.now();
    vault.store.lease(key, holder, now.plus(SPAN), now).await
}

/// Where the store does not do that at once, the lease ends by itself.
impl Drop for Held {
    fn drop(&mut self) {
        let mut released = self.vault.store.release(&self.key, self.holder);
        let _ = released.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    }
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Held").field("key", &self.key).finish_non_exhaustive()
    }
}
