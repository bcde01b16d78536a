//! What the cache has to tell, kept until Python can hear it: it happens where Rust holds locks, and Python may want them.

use lacre::{Event, Key, Observer};
use pyo3::prelude::*;
use pyo3::types::PyModule;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

/// More than one call can bring about; of more, the oldest go.
const MOST: usize = 256;

/// Hits and misses are not among them: every answer says what it is.
#[derive(Debug, Default)]
pub(super) struct Events {
    any: AtomicBool,
    /// The last that was to be stored was not.
    failing: AtomicBool,
    waiting: Mutex<VecDeque<Told>>,
}

#[derive(Debug)]
struct Told {
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

impl Observer for Events {
    fn on_event(&self, event: Event<'_>) {
        const STORE: &str = "lacre.store";
        const SEAL: &str = "lacre.seal";
        let (name, logger, level, key, message) = match event {
            Event::Stored { key, bytes } => {
                self.failing.store(false, Ordering::Relaxed);
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
                // A disk that is full fails at every request.
                let level = if self.failing.swap(true, Ordering::Relaxed) { DEBUG } else { WARNING };
                ("store-failed", STORE, level, None, with_causes(error))
            }
            Event::StoreSetAside { to, error } => {
                let message = format!("an unusable store is now {}: {error}", to.display());
                ("set-aside", STORE, WARNING, None, message)
            }
            Event::ForeignContent { finding } => ("foreign", STORE, WARNING, None, finding.to_owned()),
            Event::StoreCopied { copy: at, original: of } => {
                let message = format!("{} is a copy of {}, which is still there", at.display(), of.display());
                ("copied", STORE, WARNING, None, message)
            }
            Event::KeyCreated { path: at } => {
                ("key-made", SEAL, INFO, None, format!("made {}", at.display()))
            }
            _ => return,
        };
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() == MOST {
            waiting.pop_front();
        }
        waiting.push_back(Told { name, logger, level, key, message });
        self.any.store(true, Ordering::Release);
    }
}

/// An error with what it came of: of a store, that is what the system said.
fn with_causes(error: &lacre::Error) -> String {
    let causes = std::iter::successors(std::error::Error::source(error), |cause| cause.source());
    causes.fold(error.to_string(), |told, cause| format!("{told}: {cause}"))
}

impl Events {
    /// Tells Python's `logging`, and `listener`, what happened since. What either raises is nobody's answer.
    pub(super) fn tell(&self, py: Python<'_>, listener: Option<&Py<PyAny>>) {
        if !self.any.swap(false, Ordering::Acquire) {
            return;
        }
        let told = std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
        for event in told {
            if let Err(error) = event.tell(py, listener) {
                error.write_unraisable(py, None);
            }
        }
    }
}

impl Told {
    fn tell(self, py: Python<'_>, listener: Option<&Py<PyAny>>) -> PyResult<()> {
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
