//! The names that requests-cache gives to requests.

use crate::response::PlainRequest;
use http::HeaderName;
use lacre::MatchHeaders;
use lacre::requests_cache::{self, KeySettings, Verification};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// Which headers tell requests apart: all, or none, or these.
#[derive(FromPyObject)]
pub(crate) enum Matched {
    Every(bool),
    Named(Vec<String>),
}

impl Matched {
    pub(crate) fn named(self) -> PyResult<MatchHeaders> {
        match self {
            Self::Every(true) => Ok(MatchHeaders::All),
            Self::Every(false) => Ok(MatchHeaders::None),
            Self::Named(names) => {
                let names: Result<_, _> = names.iter().map(|name| name.parse::<HeaderName>()).collect();
                let wrong = |_| PyValueError::new_err("match_headers has a name that no header can have");
                Ok(MatchHeaders::Only(names.map_err(wrong)?))
            }
        }
    }
}

/// The key of a request that is given as a dict: 16 hexadecimal digits.
#[pyfunction]
#[pyo3(signature = (request, *, ignored_parameters=Vec::new(), content_root_key=None, match_headers=Matched::Every(false), verify=true, serializer=""))]
pub(crate) fn cache_key(
    request: PlainRequest<'_>,
    ignored_parameters: Vec<String>,
    content_root_key: Option<String>,
    match_headers: Matched,
    verify: bool,
    serializer: &str,
) -> PyResult<String> {
    let match_headers = match_headers.named()?;
    let settings = KeySettings {
        ignored_parameters,
        content_root_key,
        match_headers,
        verification: if verify { Verification::On } else { Verification::Off },
        serializer: serializer.to_owned(),
    };
    Ok(requests_cache::cache_key(&request.into_request(), &settings))
}

/// A URL as its key sees it, without the values of `ignored_parameters`.
#[pyfunction]
#[pyo3(signature = (url, ignored_parameters=Vec::new()))]
#[expect(clippy::needless_pass_by_value, reason = "Python's arguments are values")]
pub(crate) fn normalize_url(url: &str, ignored_parameters: Vec<String>) -> String {
    requests_cache::normalize_url(url, &ignored_parameters)
}
