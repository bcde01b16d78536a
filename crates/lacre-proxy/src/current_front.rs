//! The [`Front`] that answers new requests. A reload replaces it by one with the keys and the
//! certificates of that moment.

use crate::access_log::AccessLog;
use crate::error::Error;
use crate::front::{Front, Settings};
use crate::metrics::Metrics;
use lacre::Cache;
use std::sync::{Arc, PoisonError, RwLock};

/// The front that answers new requests, and all that is needed to replace it.
pub(crate) struct CurrentFront {
    front: RwLock<Arc<Front>>,
    settings: Arc<Settings>,
    access_log: AccessLog,
    metrics: Arc<Metrics>,
}

impl CurrentFront {
    /// # Errors
    /// The system's certificates cannot be used.
    pub(crate) fn new(
        settings: Settings,
        cache: Cache,
        access_log: AccessLog,
        metrics: Arc<Metrics>,
    ) -> Result<Self, Error> {
        let settings = Arc::new(settings);
        let front = Front::new(Arc::clone(&settings), cache, access_log.clone(), Arc::clone(&metrics))?;
        Ok(Self { front: RwLock::new(Arc::new(front)), settings, access_log, metrics })
    }

    pub(crate) fn front(&self) -> Arc<Front> {
        Arc::clone(&self.front.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn access_log(&self) -> &AccessLog {
        &self.access_log
    }

    /// Replaces the front by one that answers from `cache`.
    ///
    /// # Errors
    /// The system's certificates cannot be used.
    pub(crate) fn replace(&self, cache: Cache) -> Result<(), Error> {
        let (settings, metrics) = (Arc::clone(&self.settings), Arc::clone(&self.metrics));
        let front = Front::new(settings, cache, self.access_log.clone(), metrics)?;
        *self.front.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(front);
        Ok(())
    }
}
