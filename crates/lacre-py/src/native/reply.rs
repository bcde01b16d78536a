//! `Reply`, an answer from the cache, and `CacheInfo`, what the cache did.

use super::cache::{Shared, elsewhere};
use super::heads;
use super::here::Here;
use super::ticket::Ticket;
use crate::error::raised;
use http::response;
use lacre::{Body, CacheStatus, Collapsed, Detail, Timestamp, wait};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What the cache did with a request.
#[pyclass(frozen, module = "lacre._lacre")]
pub(crate) struct CacheInfo {
    info: lacre::CacheInfo,
    /// Whether the caller gets a stored answer.
    #[pyo3(get)]
    from_cache: bool,
}

#[pymethods]
impl CacheInfo {
    /// The member of `Cache-Status` (RFC 9211), such as `lacre; hit; ttl=60`.
    #[getter]
    fn cache_status(&self) -> String {
        self.status().to_string()
    }

    /// Whether the cache answered without asking anybody.
    #[getter]
    fn hit(&self) -> bool {
        self.from_cache && self.status().is_hit()
    }

    /// Whether the origin confirmed what was stored.
    #[getter]
    fn revalidated(&self) -> bool {
        self.status().is_revalidated()
    }

    /// Whether the network's answer is stored, once it was read to its end.
    #[getter]
    fn stored(&self) -> bool {
        self.info.stored_at.is_some() && !self.from_cache
    }

    /// Whether another request brought the answer, at the same time.
    #[getter]
    fn collapsed(&self) -> bool {
        self.status().collapsed == Collapsed::Yes
    }

    /// Why the request was sent on, as a token of RFC 9211.
    #[getter]
    fn forward(&self) -> Option<&'static str> {
        self.status().forward.map(lacre::Forward::as_str)
    }

    /// Seconds of freshness left, negative when stale.
    #[getter]
    fn ttl(&self) -> Option<i64> {
        self.status().ttl
    }

    /// More about the why.
    #[getter]
    fn detail(&self) -> Option<&'static str> {
        self.status().detail.map(Detail::as_str)
    }

    /// The row, as the command line names it.
    #[getter]
    fn key(&self) -> Option<String> {
        self.info.key.map(|key| key.to_string())
    }

    /// When the answer was received, or last confirmed, in seconds since 1970.
    #[getter]
    fn stored_at(&self) -> Option<f64> {
        self.info.stored_at.map(|time: Timestamp| time.as_millis() as f64 / 1000.0)
    }

    fn __repr__(&self) -> String {
        format!("<CacheInfo {}>", self.status())
    }
}

impl CacheInfo {
    pub(super) fn passed_on(info: lacre::CacheInfo) -> Self {
        Self { info, from_cache: false }
    }

    fn status(&self) -> &CacheStatus {
        &self.info.status
    }
}

/// An answer from the cache.
#[pyclass(frozen, module = "lacre._lacre")]
pub(crate) struct Reply {
    shared: Arc<Shared>,
    head: response::Parts,
    info: lacre::CacheInfo,
    /// Absent while a piece is read.
    body: Mutex<Option<Here<Body>>>,
    /// The request to send in the background.
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

    /// Ten times the version of HTTP by which it came.
    #[getter]
    fn version(&self) -> u16 {
        heads::version_number(self.head.version)
    }

    /// A list of pairs of bytes, names in lower case.
    #[getter]
    fn headers<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        heads::written(py, &self.head.headers)
    }

    /// What the cache did.
    #[getter]
    fn info(&self) -> CacheInfo {
        // Only a 504 of the cache's own has no row.
        CacheInfo { info: self.info, from_cache: self.info.key.is_some() }
    }

    /// All of the body, where it lies in memory; `None`: it is to be read with `next`.
    #[getter]
    fn body<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyBytes>> {
        let body = self.rest();
        let whole = body.as_ref()?.get()?.in_memory()?;
        Some(PyBytes::new(py, whole))
    }

    /// The next piece of the body; `None` at its end. Raises BadSignature where a piece does not hold: what came before is not the whole.
    fn next<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let Some(mut body) = self.rest().take() else { return Ok(None) };
        let piece = self.shared.detached(py, || body.get_mut().map(|body| wait(body.next())));
        *self.rest() = Some(body);
        let piece = piece?.ok_or_else(elsewhere)?;
        let piece = piece.transpose().map_err(|error| raised(&error))?;
        Ok(piece.map(|piece| PyBytes::new(py, &piece)))
    }

    /// The same for a request that waited for another one, instead of what `ticket` would have sent.
    fn collapsed(&self, ticket: &Ticket) -> PyResult<Self> {
        let body = self.rest().take().and_then(Here::into_inner).unwrap_or_default();
        let response = http::Response::from_parts(self.head.clone(), body);
        let reply = lacre::Reply { response, info: self.info }.collapsed(ticket.told()?);
        Ok(Self::new(&self.shared, reply, None))
    }

    fn __repr__(&self) -> String {
        format!("<Reply {} {}>", self.status(), self.info.status)
    }
}

impl Reply {
    pub(super) fn new(shared: &Arc<Shared>, reply: lacre::Reply, refresh: Option<Py<Ticket>>) -> Self {
        let (head, body) = reply.response.into_parts();
        let body = Mutex::new(Some(Here::new(body)));
        Self { shared: Arc::clone(shared), head, info: reply.info, body, refresh }
    }

    fn rest(&self) -> MutexGuard<'_, Option<Here<Body>>> {
        self.body.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
