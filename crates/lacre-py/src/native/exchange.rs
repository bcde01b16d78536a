//! `Reply`, an answer from the cache, and `Ticket`, a request that goes to the origin.

use super::http_parts;
use super::info::CacheInfo;
use super::process_bound::{ProcessBound, wrong_process};
use super::recording::Recording;
use super::shared::{Opened, Shared};
use crate::error::raised;
use http::response;
use lacre::{Body, Detail, Outcome, Settlement, varies_by_unseen, wait};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// An answer from the cache.
#[pyclass(frozen, module = "lacre._lacre")]
pub(crate) struct Reply {
    shared: Arc<Shared>,
    head: response::Parts,
    info: lacre::CacheInfo,
    /// `None` while a piece is read.
    body: Mutex<Option<ProcessBound<Body>>>,
    /// The request that refreshes the stored response, to be sent in the background, or None.
    #[pyo3(get)]
    refresh: Option<Py<Ticket>>,
}

#[pymethods]
impl Reply {
    /// The status code.
    #[getter]
    fn status(&self) -> u16 {
        self.head.status.as_u16()
    }

    /// The version of HTTP of the response, times ten: 9, 10, 11, 20 or 30.
    #[getter]
    fn version(&self) -> u16 {
        http_parts::version_number(self.head.version)
    }

    /// The headers: pairs of bytes, names in lower case.
    #[getter]
    fn headers<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        http_parts::header_list(py, &self.head.headers)
    }

    /// What the cache did.
    #[getter]
    fn info(&self) -> CacheInfo {
        // Only the cache's own 504 has no row.
        CacheInfo::new(self.info, self.info.key.is_some())
    }

    /// The whole body if it is in memory, else None: read it with `next`.
    #[getter]
    fn body<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyBytes>> {
        let body = self.body_lock();
        let whole = body.as_ref()?.get()?.in_memory()?;
        Some(PyBytes::new(py, whole))
    }

    /// Returns the next piece of the body, or None at its end.
    ///
    /// Raises:
    ///     BadSignature: The seal of a piece does not hold. The body is incomplete then.
    fn next<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let Some(mut body) = self.body_lock().take() else { return Ok(None) };
        let piece = self.shared.without_gil(py, || body.get_mut().map(|body| wait(body.next())));
        *self.body_lock() = Some(body);
        let piece = piece?.ok_or_else(wrong_process)?;
        let piece = piece.transpose().map_err(|error| raised(&error))?;
        Ok(piece.map(|piece| PyBytes::new(py, &piece)))
    }

    /// Returns this reply for a request that waited for another one.
    ///
    /// Args:
    ///     ticket: The ticket of the request that waited. It is not sent.
    fn collapsed(&self, ticket: &Ticket) -> PyResult<Self> {
        let body = self.body_lock().take().and_then(ProcessBound::into_inner).unwrap_or_default();
        let response = http::Response::from_parts(self.head.clone(), body);
        let reply = lacre::Reply { response, info: self.info }.collapsed(ticket.cache_info()?);
        Ok(Self::new(&self.shared, reply, None))
    }

    fn __repr__(&self) -> String {
        format!("<Reply {} {}>", self.status(), self.info.status)
    }
}

impl Reply {
    pub(super) fn new(shared: &Arc<Shared>, reply: lacre::Reply, refresh: Option<Py<Ticket>>) -> Self {
        let (head, body) = reply.response.into_parts();
        let body = Mutex::new(Some(ProcessBound::new(body)));
        Self { shared: Arc::clone(shared), head, info: reply.info, body, refresh }
    }

    fn body_lock(&self) -> MutexGuard<'_, Option<ProcessBound<Body>>> {
        self.body.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request that goes to the origin. Dropping it gives up: nothing is stored.
#[pyclass(frozen, module = "lacre._lacre")]
pub(crate) struct Ticket {
    shared: Arc<Shared>,
    opened: Opened,
    /// `None` once it is settled.
    ticket: Mutex<Option<ProcessBound<lacre::Ticket>>>,
}

/// The result of `Ticket.settle`: record the response, use a stored one, or send another request.
#[derive(IntoPyObject)]
pub(super) enum SettleResult {
    Recording(Recording),
    Reply(Reply),
    Ticket(Ticket),
}

#[pymethods]
impl Ticket {
    /// The headers to send: those of the caller, and conditions for a validation.
    #[getter]
    fn headers<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        self.with(|ticket| http_parts::header_list(py, &ticket.request().headers))?
    }

    /// The key under which requests in flight are coalesced; None if this one cannot be.
    #[getter]
    fn shared_key<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyBytes>>> {
        self.with(|ticket| ticket.shared_key().map(|key| PyBytes::new(py, key.as_bytes())))
    }

    /// Seconds since the cache was asked. The ticket may not reflect what was stored since.
    #[getter]
    fn age(&self) -> PyResult<f64> {
        self.with(|ticket| ticket.age().as_secs_f64())
    }

    /// Whether `settle` may write to the store and block: not for an event loop.
    #[getter]
    fn writes(&self) -> PyResult<bool> {
        self.with(|ticket| ticket.info().stored_at.is_some() || !ticket.request().method.is_safe())
    }

    /// What the cache did so far.
    #[getter]
    fn info(&self) -> PyResult<CacheInfo> {
        self.cache_info().map(|info| CacheInfo::new(info, false))
    }

    /// Takes the status and headers of the origin's response.
    ///
    /// Returns a `Recording` if the caller gets this response, a `Reply` if it gets a stored one,
    /// and a `Ticket` if another request is to be sent.
    ///
    /// Args:
    ///     status: The status code.
    ///     headers: The headers, as pairs of bytes.
    ///     version: The version of HTTP times ten, if known.
    ///     unseen_inputs: Whether the client may have added credentials that the cache does not
    ///         see. A response that varies by one is not stored.
    ///     as_sent: Whether the body arrives as the origin sent it. If not, it is not stored.
    #[pyo3(signature = (status, headers, *, version=None, unseen_inputs=false, as_sent=true))]
    fn settle(
        &self,
        py: Python<'_>,
        status: u16,
        headers: &Bound<'_, PyAny>,
        version: Option<u16>,
        unseen_inputs: bool,
        as_sent: bool,
    ) -> PyResult<SettleResult> {
        let Some(response) = http_parts::response_parts(status, headers, version)? else {
            let info = self.cache_info()?;
            drop(self.take()?);
            return Ok(SettleResult::Recording(Recording::new(&self.shared, info, None)));
        };
        let ticket = self.take()?;
        let unseen = match (as_sent, unseen_inputs) {
            (false, _) => Some(Detail::Filtered),
            (true, true) => varies_by_unseen(&ticket.request().headers, &response.headers),
            (true, false) => None,
        };
        let cache = self.opened.get().ok_or_else(wrong_process)?;
        let settled =
            self.shared.without_gil(py, || wait(cache.settle(ticket, Outcome::Response(&response))))?;
        Ok(match settled.map_err(|error| raised(&error))? {
            Settlement::Network { keep, info, .. } => SettleResult::Recording(match unseen {
                Some(detail) => Recording::new(&self.shared, info.unstored(detail), None),
                None => Recording::new(&self.shared, info, keep),
            }),
            Settlement::Failed(info) => SettleResult::Recording(Recording::new(&self.shared, info, None)),
            Settlement::Stored(reply) => SettleResult::Reply(Reply::new(&self.shared, reply, None)),
            Settlement::Resend(ticket) => SettleResult::Ticket(Self::new(&self.shared, &self.opened, ticket)),
        })
    }

    /// Reports that the request failed. Returns a stored response to use instead, or None.
    fn fail(&self, py: Python<'_>) -> PyResult<Option<Reply>> {
        let ticket = self.take()?;
        let cache = self.opened.get().ok_or_else(wrong_process)?;
        let settled = self.shared.without_gil(py, || wait(cache.settle(ticket, Outcome::Failed)))?;
        Ok(match settled.map_err(|error| raised(&error))? {
            Settlement::Stored(reply) => Some(Reply::new(&self.shared, reply, None)),
            _ => None,
        })
    }
}

impl Ticket {
    pub(super) fn new(shared: &Arc<Shared>, opened: &Opened, ticket: lacre::Ticket) -> Self {
        let ticket = Mutex::new(Some(ProcessBound::new(ticket)));
        Self { shared: Arc::clone(shared), opened: Arc::clone(opened), ticket }
    }

    pub(super) fn cache_info(&self) -> PyResult<lacre::CacheInfo> {
        self.with(lacre::Ticket::info)
    }

    fn with<T>(&self, work: impl FnOnce(&lacre::Ticket) -> T) -> PyResult<T> {
        let ticket = self.ticket();
        let ticket = ticket.as_ref().ok_or_else(already_settled)?;
        Ok(work(ticket.get().ok_or_else(wrong_process)?))
    }

    fn take(&self) -> PyResult<lacre::Ticket> {
        let ticket = self.ticket().take().ok_or_else(already_settled)?;
        ticket.into_inner().ok_or_else(wrong_process)
    }

    fn ticket(&self) -> MutexGuard<'_, Option<ProcessBound<lacre::Ticket>>> {
        self.ticket.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn already_settled() -> PyErr {
    PyValueError::new_err("this ticket is already settled")
}
