//! Events of the cache, queued until Python can be called.
//!
//! They occur while Rust holds locks, which the Python callback might need.

use lacre::{Event, Key, Observer};
use pyo3::prelude::*;
use pyo3::types::PyModule;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

/// The length of the queue; more than one call can cause. When it is full, the oldest go.
const MAX_QUEUED: usize = 256;

/// A queue of events. Hits and misses are not among them: every answer has its `CacheInfo`.
#[derive(Debug, Default)]
pub(super) struct EventQueue {
    is_filled: AtomicBool,
    /// Whether the last write to the store failed.
    store_fails: AtomicBool,
    queue: Mutex<VecDeque<QueuedEvent>>,
}

#[derive(Debug)]
struct QueuedEvent {
    name: &'static str,
    logger: &'static str,
    level: u8,
    key: Option<Key>,
    message: String,
}

/// Levels of Python's `logging`.
const DEBUG: u8 = 10;
const INFO: u8 = 20;
const WARNING: u8 = 30;

impl Observer for EventQueue {
    fn on_event(&self, event: Event<'_>) {
        const STORE: &str = "lacre.store";
        const SEAL: &str = "lacre.seal";
        let (name, logger, level, key, message) = match event {
            Event::Stored { key, bytes } => {
                self.store_fails.store(false, Ordering::Relaxed);
                ("stored", STORE, DEBUG, Some(*key), format!("stored in {bytes} bytes"))
            }
            Event::Refused { key, error } => ("refused", SEAL, WARNING, Some(*key), error.to_string()),
            Event::Quarantined { key, evidence } => {
                ("quarantined", SEAL, WARNING, Some(*key), format!("kept as evidence {evidence:.8}"))
            }
            Event::MetadataCorrected { key } => {
                ("corrected", STORE, WARNING, Some(*key), "the store's columns were forged".into())
            }
            Event::StoreFailed { error } => {
                // A full disk fails every request; one warning is enough.
                let level = if self.store_fails.swap(true, Ordering::Relaxed) { DEBUG } else { WARNING };
                ("store-failed", STORE, level, None, with_causes(error))
            }
            Event::StoreSetAside { to, error } => {
                let message = format!("an unusable store is now {}: {error}", to.display());
                ("set-aside", STORE, WARNING, None, message)
            }
            Event::ForeignContent { finding } => ("foreign", STORE, WARNING, None, finding.to_owned()),
            Event::StoreCopied { copy: at, original: of } => {
                let message = format!("{} is a copy of {}, which still exists", at.display(), of.display());
                ("copied", STORE, WARNING, None, message)
            }
            Event::KeyCreated { path: at } => {
                ("key-made", SEAL, INFO, None, format!("made {}", at.display()))
            }
            _ => return,
        };
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        if queue.len() == MAX_QUEUED {
            queue.pop_front();
        }
        queue.push_back(QueuedEvent { name, logger, level, key, message });
        self.is_filled.store(true, Ordering::Release);
    }
}

/// The message of an error with those of its causes, such as the system's.
fn with_causes(error: &lacre::Error) -> String {
    let causes = std::iter::successors(std::error::Error::source(error), |cause| cause.source());
    causes.fold(error.to_string(), |message, cause| format!("{message}: {cause}"))
}

impl EventQueue {
    /// Passes the queued events to Python's `logging` and to `listener`.
    ///
    /// An exception in either is reported as unraisable: it must not replace the caller's result.
    pub(super) fn deliver(&self, py: Python<'_>, listener: Option<&Py<PyAny>>) {
        if !self.is_filled.swap(false, Ordering::Acquire) {
            return;
        }
        let events = std::mem::take(&mut *self.queue.lock().unwrap_or_else(PoisonError::into_inner));
        for event in events {
            if let Err(error) = event.deliver(py, listener) {
                error.write_unraisable(py, None);
            }
        }
    }
}

impl QueuedEvent {
    fn deliver(self, py: Python<'_>, listener: Option<&Py<PyAny>>) -> PyResult<()> {
        let Self { name, logger, level, key, message } = self;
        let key = key.map(|key| key.to_string());
        let logger = PyModule::import(py, "logging")?.call_method1("getLogger", (logger,))?;
        logger
            .call_method1("log", (level, "%s %s: %s", name, key.as_deref().map(|key| &key[..8]), &message))?;
        match listener {
            Some(listener) => listener.call1(py, (name, key, message)).map(drop),
            None => Ok(()),
        }
    }
}
