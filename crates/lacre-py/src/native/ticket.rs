//! `Ticket`, a request on its way to the network, and `Recording`, its answer on the way to the caller.

use super::cache::{Opened, Shared, elsewhere};
use super::heads;
use super::here::Here;
use super::reply::{CacheInfo, Reply};
use crate::error::raised;
use lacre::{Detail, Outcome, Settlement, varies_by_unseen, wait};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A request under way. Whoever drops it gives up: nothing is stored.
#[pyclass(frozen, module = "lacre._lacre")]
pub(crate) struct Ticket {
    shared: Arc<Shared>,
    opened: Opened,
    /// Gone once it was settled.
    ticket: Mutex<Option<Here<lacre::Ticket>>>,
}

/// What becomes of the network's answer: it is passed on, a stored one takes its place, or another request is to be sent.
#[derive(IntoPyObject)]
pub(super) enum Settled {
    Recording(Recording),
    Reply(Reply),
    Ticket(Ticket),
}

#[pymethods]
impl Ticket {
    /// The headers to send, pairs of bytes: the caller's, perhaps with conditions about what is stored.
    #[getter]
    fn headers<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        self.with(|ticket| heads::written(py, &ticket.request().headers))?
    }

    /// What requests have in common that can share an answer under way; `None`: this one can not.
    #[getter]
    fn shared_key<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyBytes>>> {
        self.with(|ticket| ticket.shared_key().map(|key| PyBytes::new(py, key.as_bytes())))
    }

    /// Seconds since the cache was asked. What was stored meanwhile, it may not know of.
    #[getter]
    fn age(&self) -> PyResult<f64> {
        self.with(|ticket| ticket.age().as_secs_f64())
    }

    /// Whether settling it may write to the store, which may wait for a lock: not on a thread that runs an event loop.
    #[getter]
    fn writes(&self) -> PyResult<bool> {
        self.with(|ticket| ticket.info().stored_at.is_some() || !ticket.request().method.is_safe())
    }

    /// What the cache did so far.
    #[getter]
    fn info(&self) -> PyResult<CacheInfo> {
        self.told().map(CacheInfo::passed_on)
    }

    /// Takes the head of the network's answer. `blind`: something below may have added what the cache does not see, so what varies by an
    /// unseen credential is not stored. `as_sent`: the body comes as the origin sent it; where it does not, it is not stored either.
    #[pyo3(signature = (status, headers, *, version=None, blind=false, as_sent=true))]
    fn settle(
        &self,
        py: Python<'_>,
        status: u16,
        headers: &Bound<'_, PyAny>,
        version: Option<u16>,
        blind: bool,
        as_sent: bool,
    ) -> PyResult<Settled> {
        let Some(head) = heads::response(status, headers, version)? else {
            let info = self.told()?;
            drop(self.take()?);
            return Ok(Settled::Recording(Recording::new(&self.shared, info, None)));
        };
        let ticket = self.take()?;
        let unseen = match (as_sent, blind) {
            (false, _) => Some(Detail::Filtered),
            (true, true) => varies_by_unseen(&ticket.request().headers, &head.headers),
            (true, false) => None,
        };
        let cache = self.opened.get().ok_or_else(elsewhere)?;
        let settled = self.shared.detached(py, || wait(cache.settle(ticket, Outcome::Response(&head))))?;
        Ok(match settled.map_err(|error| raised(&error))? {
            Settlement::Network { keep, info, .. } => Settled::Recording(match unseen {
                Some(detail) => Recording::new(&self.shared, info.unstored(detail), None),
                None => Recording::new(&self.shared, info, keep),
            }),
            Settlement::Failed(info) => Settled::Recording(Recording::new(&self.shared, info, None)),
            Settlement::Stored(reply) => Settled::Reply(Reply::new(&self.shared, reply, None)),
            Settlement::Resend(ticket) => Settled::Ticket(Self::new(&self.shared, &self.opened, ticket)),
        })
    }

    /// Takes that the network failed: a stored answer may stand in.
    fn fail(&self, py: Python<'_>) -> PyResult<Option<Reply>> {
        let ticket = self.take()?;
        let cache = self.opened.get().ok_or_else(elsewhere)?;
        let settled = self.shared.detached(py, || wait(cache.settle(ticket, Outcome::Failed)))?;
        Ok(match settled.map_err(|error| raised(&error))? {
            Settlement::Stored(reply) => Some(Reply::new(&self.shared, reply, None)),
            _ => None,
        })
    }
}

impl Ticket {
    pub(super) fn new(shared: &Arc<Shared>, opened: &Opened, ticket: lacre::Ticket) -> Self {
        let ticket = Mutex::new(Some(Here::new(ticket)));
        Self { shared: Arc::clone(shared), opened: Arc::clone(opened), ticket }
    }

    pub(super) fn told(&self) -> PyResult<lacre::CacheInfo> {
        self.with(lacre::Ticket::info)
    }

    fn with<T>(&self, work: impl FnOnce(&lacre::Ticket) -> T) -> PyResult<T> {
        let ticket = self.ticket();
        let ticket = ticket.as_ref().ok_or_else(settled)?;
        Ok(work(ticket.get().ok_or_else(elsewhere)?))
    }

    fn take(&self) -> PyResult<lacre::Ticket> {
        let ticket = self.ticket().take().ok_or_else(settled)?;
        ticket.into_inner().ok_or_else(elsewhere)
    }

    fn ticket(&self) -> MutexGuard<'_, Option<Here<lacre::Ticket>>> {
        self.ticket.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn settled() -> PyErr {
    PyValueError::new_err("this ticket was settled already")
}

/// The network's answer on its way to the caller, stored as it passes where the rules allow it. Whoever drops it before `finish` stores nothing.
#[pyclass(frozen, module = "lacre._lacre")]
pub(crate) struct Recording {
    shared: Arc<Shared>,
    info: lacre::CacheInfo,
    /// Gone where nothing more is stored, and while a piece is.
    keep: Mutex<Option<Here<Keeping>>>,
}

struct Keeping {
    recording: lacre::Recording,
    /// How much is still to come, where that is known.
    left: Option<u64>,
}

#[pymethods]
impl Recording {
    /// What the cache did.
    #[getter]
    fn info(&self) -> CacheInfo {
        CacheInfo::passed_on(self.info)
    }

    /// Whether the body is stored as it passes.
    #[getter]
    fn active(&self) -> bool {
        self.keep().is_some()
    }

    /// Whether taking in `more` bytes writes to the store, which may wait for a lock: not on a thread that runs an event loop.
    fn writes(&self, more: usize) -> bool {
        let keep = self.keep();
        let Some(Keeping { recording, left }) = keep.as_ref().and_then(Here::get) else { return false };
        recording.writes(more) || left.is_some_and(|left| more as u64 >= left)
    }

    /// Takes in the next bytes of the body. What is known to be the end of it is stored.
    fn write(&self, py: Python<'_>, bytes: &[u8]) -> PyResult<()> {
        let Some(mut keep) = self.keep().take().and_then(Here::into_inner) else { return Ok(()) };
        let kept = self.shared.detached(py, move || {
            wait(keep.recording.write(bytes));
            keep.left = keep.left.map(|left| left.saturating_sub(bytes.len() as u64));
            if keep.left == Some(0) {
                wait(keep.recording.finish());
                return None;
            }
            (!keep.recording.is_over()).then(|| Here::new(keep))
        })?;
        *self.keep() = kept;
        Ok(())
    }

    /// The body is complete, and can be served from now on; not where it is shorter than its Content-Length said.
    fn finish(&self, py: Python<'_>) -> PyResult<()> {
        let Some(keep) = self.keep().take().and_then(Here::into_inner) else { return Ok(()) };
        self.shared.detached(py, move || wait(keep.recording.finish()))
    }

    /// The body broke off: nothing is stored.
    fn abort(&self, py: Python<'_>) -> PyResult<()> {
        let Some(keep) = self.keep().take() else { return Ok(()) };
        self.shared.detached(py, move || drop(keep))
    }

    fn __repr__(&self) -> String {
        format!("<Recording {}>", self.info.status)
    }
}

impl Recording {
    fn new(shared: &Arc<Shared>, info: lacre::CacheInfo, keep: Option<lacre::Recording>) -> Self {
        let keep = keep.map(|recording| Here::new(Keeping { left: recording.declared(), recording }));
        Self { shared: Arc::clone(shared), info, keep: Mutex::new(keep) }
    }

    fn keep(&self) -> MutexGuard<'_, Option<Here<Keeping>>> {
        self.keep.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
