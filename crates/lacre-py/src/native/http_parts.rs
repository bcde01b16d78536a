//! Conversion of requests and responses between Python and the crate `http`.
//!
//! Python has a method, a URL, and headers as pairs of bytes.

use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, Response, StatusCode, Version, request, response};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList};

/// The parts of a request; `None` if a part is not valid HTTP.
pub(super) fn request_parts(
    method: &str,
    url: &str,
    headers: &Bound<'_, PyAny>,
) -> PyResult<Option<request::Parts>> {
    let Some(headers) = header_map(headers)? else { return Ok(None) };
    let (Ok(method), Ok(uri)) = (Method::from_bytes(method.as_bytes()), url.parse()) else { return Ok(None) };
    let (mut parts, ()) = Request::new(()).into_parts();
    (parts.method, parts.uri, parts.headers) = (method, uri, headers);
    Ok(Some(parts))
}

/// The parts of a response; `None` if a part is not valid HTTP.
pub(super) fn response_parts(
    status: u16,
    headers: &Bound<'_, PyAny>,
    version: Option<u16>,
) -> PyResult<Option<response::Parts>> {
    let (Some(headers), Ok(status)) = (header_map(headers)?, StatusCode::from_u16(status)) else {
        return Ok(None);
    };
    let (mut parts, ()) = Response::new(()).into_parts();
    (parts.status, parts.headers) = (status, headers);
    let known = version.and_then(|number| VERSIONS.iter().find(|(_, other)| *other == number));
    parts.version = known.map_or(Version::HTTP_11, |(version, _)| *version);
    Ok(Some(parts))
}

/// Versions of HTTP with their numbers times ten.
const VERSIONS: [(Version, u16); 5] = [
    (Version::HTTP_09, 9),
    (Version::HTTP_10, 10),
    (Version::HTTP_11, 11),
    (Version::HTTP_2, 20),
    (Version::HTTP_3, 30),
];

/// The number of a version of HTTP times ten.
pub(super) fn version_number(version: Version) -> u16 {
    VERSIONS.iter().find(|(known, _)| *known == version).map_or(11, |(_, number)| *number)
}

/// The headers as a map; `None` if a name or value is not valid HTTP.
fn header_map(headers: &Bound<'_, PyAny>) -> PyResult<Option<HeaderMap>> {
    let mut map = HeaderMap::with_capacity(headers.len().unwrap_or(0));
    for pair in headers.try_iter()? {
        let pair = pair?;
        let (name, value): (Bound<'_, PyBytes>, Bound<'_, PyBytes>) = pair.extract()?;
        let (name, value) =
            (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_bytes(value.as_bytes()));
        match (name, value) {
            (Ok(name), Ok(value)) => {
                if map.try_append(name, value).is_err() {
                    return Ok(None);
                }
            }
            _ => return Ok(None),
        }
    }
    Ok(Some(map))
}

/// The headers as a Python list of pairs of bytes, names in lower case.
pub(super) fn header_list<'py>(py: Python<'py>, headers: &HeaderMap) -> PyResult<Bound<'py, PyList>> {
    PyList::new(
        py,
        headers
            .iter()
            .map(|(name, value)| {
                (PyBytes::new(py, name.as_str().as_bytes()), PyBytes::new(py, value.as_bytes()))
            })
            .collect::<Vec<_>>(),
    )
}
