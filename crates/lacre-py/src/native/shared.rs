//! `Shared`: the state that a cache, its replies, tickets and recordings share.

use super::clock;
use super::fork::without_gil;
use super::process_bound::ProcessBound;
use super::settings::Settings;
use crate::error::raised;
use lacre::wait;
use pyo3::prelude::*;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

/// The state behind a `Cache`, kept alive by every object that came from it.
pub(super) struct Shared {
    pub(super) settings: Settings,
    /// Opened again in a forked child.
    opened: Mutex<Opened>,
    clock: Option<Py<PyAny>>,
    listener: Option<Py<PyAny>>,
}

/// An open cache, bound to the process that opened it.
pub(super) type Opened = Arc<ProcessBound<lacre::Cache>>;

impl Shared {
    /// Opens the cache.
    pub(super) fn open(
        py: Python<'_>,
        settings: Settings,
        clock: Option<Py<PyAny>>,
        listener: Option<Py<PyAny>>,
    ) -> PyResult<Self> {
        let opened = without_gil(py, || settings.open()).map_err(|error| raised(&error))?;
        let opened = Mutex::new(Arc::new(ProcessBound::new(opened)));
        let shared = Self { settings, opened, clock, listener };
        shared.deliver_events(py);
        Ok(shared)
    }

    /// The open cache of this process.
    pub(super) fn opened(&self, py: Python<'_>) -> PyResult<Opened> {
        let opened = || self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        let current = Arc::clone(&opened());
        if current.get().is_some() {
            return Ok(current);
        }
        let reopened = without_gil(py, || self.settings.open()).map_err(|error| raised(&error))?;
        let reopened = Arc::new(ProcessBound::new(reopened));
        let mut opened = opened();
        if opened.get().is_none() {
            *opened = Arc::clone(&reopened);
        }
        Ok(Arc::clone(&opened))
    }

    /// Runs `work`, which may block, without the GIL and at the caller's time.
    pub(super) fn without_gil<T: Send>(
        &self,
        py: Python<'_>,
        work: impl FnOnce() -> T + Send,
    ) -> PyResult<T> {
        let now = clock::read(py, self.clock.as_ref())?;
        let result = without_gil(py, || clock::with_time(now, work));
        self.deliver_events(py);
        Ok(result)
    }

    /// Polls `work` once with the GIL held, and releases it only if `work` has to wait for a lock.
    ///
    /// A lookup is usually ready at once.
    pub(super) fn poll_or_wait<T: Send>(
        &self,
        py: Python<'_>,
        mut work: Pin<&mut (impl Future<Output = T> + Send)>,
    ) -> PyResult<T> {
        let now = clock::read(py, self.clock.as_ref())?;
        let first = || work.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        match clock::with_time(now, first) {
            Poll::Ready(result) => Ok(result),
            Poll::Pending => Ok(without_gil(py, || clock::with_time(now, || wait(work)))),
        }
    }

    /// Passes queued events to Python.
    pub(super) fn deliver_events(&self, py: Python<'_>) {
        self.settings.events.deliver(py, self.listener.as_ref());
    }
}
