//! The right to send a request for all processes that share a store.

use super::Cache;
use super::vault::Vault;
use crate::store::Holder;
use lacre_core::Key;
use std::fmt;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

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
    key: Key,
    holder: Holder,
}

impl Cache {
    /// Takes the lease on `key`, for `time` at most.
    pub(crate) async fn lease(&self, key: &Key, time: Duration) -> Lease {
        let now = self.clock.now();
        let Ok(holder) = Holder::generate() else { return Lease::Unknown };
        match self.vault.store.lease(key, holder, now.plus(time), now).await {
            Ok(true) => Lease::Here(Held { vault: Arc::clone(&self.vault), key: *key, holder }),
            Ok(false) => Lease::Elsewhere,
            Err(_) => Lease::Unknown,
        }
    }
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
