//! `Recording`: a response of the origin that is stored while the caller reads it.

use super::info::CacheInfo;
use super::process_bound::ProcessBound;
use super::shared::Shared;
use lacre::wait;
use pyo3::prelude::*;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A response of the origin that is stored while the caller reads it, if the rules allow it.
///
/// Dropping it before `finish` stores nothing.
#[pyclass(frozen, module = "lacre._lacre")]
pub(crate) struct Recording {
    shared: Arc<Shared>,
    info: lacre::CacheInfo,
    /// `None` if nothing more is stored, and while a piece is.
    active: Mutex<Option<ProcessBound<Active>>>,
}

struct Active {
    recording: lacre::Recording,
    /// How many bytes are still to come, if known.
    left: Option<u64>,
}

#[pymethods]
impl Recording {
    /// What the cache did.
    #[getter]
    fn info(&self) -> CacheInfo {
        CacheInfo::new(self.info, false)
    }

    /// Whether the body is being stored.
    #[getter]
    fn active(&self) -> bool {
        self.active_lock().is_some()
    }

    /// Returns whether `write` of so many bytes writes to the store, which may block.
    ///
    /// Never call `write` on an event loop then.
    ///
    /// Args:
    ///     more: The number of bytes.
    fn writes(&self, more: usize) -> bool {
        let active = self.active_lock();
        let Some(Active { recording, left }) = active.as_ref().and_then(ProcessBound::get) else {
            return false;
        };
        recording.writes(more) || left.is_some_and(|left| more as u64 >= left)
    }

    /// Records the next bytes of the body. Reaching the Content-Length stores the response.
    ///
    /// Args:
    ///     bytes: The next bytes.
    fn write(&self, py: Python<'_>, bytes: &[u8]) -> PyResult<()> {
        let Some(mut active) = self.active_lock().take().and_then(ProcessBound::into_inner) else {
            return Ok(());
        };
        let remaining = self.shared.without_gil(py, move || {
            wait(active.recording.write(bytes));
            active.left = active.left.map(|left| left.saturating_sub(bytes.len() as u64));
            if active.left == Some(0) {
                wait(active.recording.finish());
                return None;
            }
            (!active.recording.is_over()).then(|| ProcessBound::new(active))
        })?;
        *self.active_lock() = remaining;
        Ok(())
    }

    /// Ends the body and stores the response, unless it is shorter than its Content-Length.
    fn finish(&self, py: Python<'_>) -> PyResult<()> {
        let Some(active) = self.active_lock().take().and_then(ProcessBound::into_inner) else {
            return Ok(());
        };
        self.shared.without_gil(py, move || wait(active.recording.finish()))
    }

    /// Gives up because the body is incomplete: nothing is stored.
    fn abort(&self, py: Python<'_>) -> PyResult<()> {
        let Some(active) = self.active_lock().take() else { return Ok(()) };
        self.shared.without_gil(py, move || drop(active))
    }

    fn __repr__(&self) -> String {
        format!("<Recording {}>", self.info.status)
    }
}

impl Recording {
    pub(super) fn new(
        shared: &Arc<Shared>,
        info: lacre::CacheInfo,
        recording: Option<lacre::Recording>,
    ) -> Self {
        let active =
            recording.map(|recording| ProcessBound::new(Active { left: recording.declared(), recording }));
        Self { shared: Arc::clone(shared), info, active: Mutex::new(active) }
    }

    fn active_lock(&self) -> MutexGuard<'_, Option<ProcessBound<Active>>> {
        self.active.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
