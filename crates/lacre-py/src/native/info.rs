//! `CacheInfo`: what the cache did with a request.

use lacre::{CacheStatus, Collapsed, Detail, Timestamp};
use pyo3::prelude::*;

/// What the cache did with a request.
#[pyclass(frozen, module = "lacre._lacre")]
pub(crate) struct CacheInfo {
    info: lacre::CacheInfo,
    /// Whether the caller gets a stored response.
    #[pyo3(get)]
    from_cache: bool,
}

#[pymethods]
impl CacheInfo {
    /// The member of `Cache-Status` (RFC 9211), for example `lacre; hit; ttl=60`.
    #[getter]
    fn cache_status(&self) -> String {
        self.status().to_string()
    }

    /// Whether the cache answered without a request to the origin.
    #[getter]
    fn hit(&self) -> bool {
        self.from_cache && self.status().is_hit()
    }

    /// Whether the origin confirmed the stored response.
    #[getter]
    fn revalidated(&self) -> bool {
        self.status().is_revalidated()
    }

    /// Whether the origin's response is stored once its body was read to the end.
    #[getter]
    fn stored(&self) -> bool {
        self.info.stored_at.is_some() && !self.from_cache
    }

    /// Whether another request in flight fetched the response.
    #[getter]
    fn collapsed(&self) -> bool {
        self.status().collapsed == Collapsed::Yes
    }

    /// Why the request was forwarded, as a token of RFC 9211, or None.
    #[getter]
    fn forward(&self) -> Option<&'static str> {
        self.status().forward.map(lacre::Forward::as_str)
    }

    /// The remaining freshness in seconds, negative when stale, or None.
    #[getter]
    fn ttl(&self) -> Option<i64> {
        self.status().ttl
    }

    /// Details of the decision, as the `detail` parameter of RFC 9211, or None.
    #[getter]
    fn detail(&self) -> Option<&'static str> {
        self.status().detail.map(Detail::as_str)
    }

    /// The row key, as the command line shows it, or None.
    #[getter]
    fn key(&self) -> Option<String> {
        self.info.key.map(|key| key.to_string())
    }

    /// When the response was received or last validated, in seconds since 1970, or None.
    #[getter]
    fn stored_at(&self) -> Option<f64> {
        self.info.stored_at.map(|time: Timestamp| time.as_millis() as f64 / 1000.0)
    }

    fn __repr__(&self) -> String {
        format!("<CacheInfo {}>", self.status())
    }
}

impl CacheInfo {
    pub(super) fn new(info: lacre::CacheInfo, from_cache: bool) -> Self {
        Self { info, from_cache }
    }

    fn status(&self) -> &CacheStatus {
        &self.info.status
    }
}
