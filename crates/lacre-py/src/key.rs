//! The names that requests-cache gives to requests.

use crate::response::PlainRequest;
use http::HeaderName;
use lacre::MatchHeaders;
use lacre::interchange::requests_cache::{self, KeySettings, Verification};
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

/// The key of a GET request without a body for a URL that requests would send as it is written; None if it might change it.
#[pyfunction]
pub(crate) fn plain_key(url: &str, ignored_parameters: Vec<String>, serializer: &str) -> Option<String> {
    is_plain(url).then(|| {
        let request = requests_cache::Request { method: "GET".into(), url: url.into(), ..Default::default() };
        let settings =
            KeySettings { ignored_parameters, serializer: serializer.to_owned(), ..KeySettings::default() };
        requests_cache::cache_key(&request, &settings)
    })
}

/// A lower-case host, a path, perhaps a port and a query, and of all characters only such as stand for themselves everywhere.
fn is_plain(url: &str) -> bool {
    let Some(rest) = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://")) else {
        return false;
    };
    let Some((authority, rest)) = rest.split_once('/') else { return false };
    let (host, port) = authority.split_once(':').unwrap_or((authority, "1"));
    let (path, query) = rest.split_once('?').unwrap_or((rest, "="));
    is_plain_host(host)
        && is_plain_port(port)
        // Empty and dot segments.
        && !path.starts_with(['/', '.'])
        && !path.contains("//")
        && !path.contains("/.")
        && path.bytes().all(|byte| is_unreserved(byte) || byte == b'/')
        && !query.is_empty()
        && query.bytes().all(|byte| is_unreserved(byte) || b"=&,:;@/+".contains(&byte))
}

fn is_plain_host(host: &str) -> bool {
    host.split('.').all(|label| {
        let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        !label.is_empty() && !label.starts_with('-') && label.bytes().all(inner)
    })
}

/// Without zeros before it, which would be taken away.
fn is_plain_port(port: &str) -> bool {
    port.len() <= 4
        && !port.starts_with('0')
        && port.bytes().all(|byte| byte.is_ascii_digit())
        && !port.is_empty()
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}
