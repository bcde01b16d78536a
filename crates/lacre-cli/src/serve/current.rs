//! What answers requests now: SIGHUP replaces it by one with the keys and the certificates of that moment.

use crate::exit::Failure;
use crate::output::Output;
use crate::serve::front::Front;
use crate::serve::log::AccessLog;
use serde_json::json;
use std::sync::{Arc, PoisonError, RwLock};

/// Makes what answers requests, from the settings that this process was started with.
pub(crate) type Make = dyn Fn() -> Result<Front, Failure> + Send + Sync;

/// What answers requests now.
pub(crate) struct Current {
    front: RwLock<Arc<Front>>,
    make: Arc<Make>,
    log: AccessLog,
    output: Output,
}

impl Current {
    pub(crate) fn new(front: Front, make: Arc<Make>, log: AccessLog, output: Output) -> Self {
        Self { front: RwLock::new(Arc::new(front)), make, log, output }
    }

    pub(crate) fn front(&self) -> Arc<Front> {
        Arc::clone(&self.front.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads the keys and the certificates anew and opens the access log anew. Requests under way end as they began. What cannot be read is
    /// warned of, and stays as it was.
    pub(crate) async fn reload(&self) {
        self.reopen_log();
        let make = Arc::clone(&self.make);
        // Keys may be behind a passphrase, or the program of another.
        match tokio::task::spawn_blocking(move || make()).await {
            Ok(Ok(front)) => {
                *self.front.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(front);
                // What nobody can read is no reason to stop serving.
                let _ = self.output.status("lacre/reload/v1", "reloaded", json!({ "reloaded": true }));
            }
            Ok(Err(failure)) => self.warn("could not reload, and goes on as before", &failure),
            Err(_) => self.output.warn("could not reload, and goes on as before"),
        }
    }

    /// Opens the access log anew, for its file may have been moved away.
    pub(crate) fn reopen_log(&self) {
        if let Err(failure) = self.log.reopen() {
            self.warn("could not open the access log anew, and goes on with the old one", &failure);
        }
    }

    fn warn(&self, what: &str, failure: &Failure) {
        let why = failure.message.as_deref().unwrap_or_default();
        let hint = failure.hint.as_deref().map(|hint| format!(" ({hint})")).unwrap_or_default();
        self.output.warn(format_args!("{what}: {why}{hint}"));
    }
}
