//! Cache keys and normalized URLs, as requests-cache computes them.

use crate::response_dict::RequestDict;
use http::HeaderName;
use lacre::MatchHeaders;
use lacre::interchange::requests_cache::{self, KeySettings, Verification};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// The argument `match_headers`: all headers, none, or a list of names.
#[derive(FromPyObject)]
pub(crate) enum MatchHeadersArgument {
    All(bool),
    Names(Vec<String>),
}

impl MatchHeadersArgument {
    pub(crate) fn into_match_headers(self) -> PyResult<MatchHeaders> {
        match self {
            Self::All(true) => Ok(MatchHeaders::All),
            Self::All(false) => Ok(MatchHeaders::None),
            Self::Names(names) => {
                let names: Result<_, _> = names.iter().map(|name| name.parse::<HeaderName>()).collect();
                let invalid = |_| PyValueError::new_err("match_headers: invalid header name");
                Ok(MatchHeaders::Only(names.map_err(invalid)?))
            }
        }
    }
}

/// Computes the cache key of a request: 16 hexadecimal digits.
///
/// Args:
///     request: The request, as a dict.
///     ignored_parameters: Names of parameters whose values are left out of the key.
///     content_root_key: The field of a JSON body below which parameters are ignored.
///     match_headers: The request headers that are part of the key.
///     verify: Whether the client verifies certificates, which is part of the key.
///     serializer: The name of the serializer, which is part of the key.
#[pyfunction]
#[pyo3(signature = (request, *, ignored_parameters=Vec::new(), content_root_key=None, match_headers=MatchHeadersArgument::All(false), verify=true, serializer=""))]
pub(crate) fn cache_key(
    request: RequestDict<'_>,
    ignored_parameters: Vec<String>,
    content_root_key: Option<String>,
    match_headers: MatchHeadersArgument,
    verify: bool,
    serializer: &str,
) -> PyResult<String> {
    let match_headers = match_headers.into_match_headers()?;
    let settings = KeySettings {
        ignored_parameters,
        content_root_key,
        match_headers,
        verification: if verify { Verification::On } else { Verification::Off },
        serializer: serializer.to_owned(),
    };
    Ok(requests_cache::cache_key(&request.into_request(), &settings))
}

/// Normalizes a URL as its cache key does.
///
/// Args:
///     url: The URL.
///     ignored_parameters: Names of parameters whose values are redacted.
#[pyfunction]
#[pyo3(signature = (url, ignored_parameters=Vec::new()))]
#[expect(clippy::needless_pass_by_value, reason = "Python's arguments are values")]
pub(crate) fn normalize_url(url: &str, ignored_parameters: Vec<String>) -> String {
    requests_cache::normalize_url(url, &ignored_parameters)
}

/// Computes the key of a GET request without a body, directly from its URL.
///
/// Returns None if requests might rewrite the URL before it sends it.
///
/// Args:
///     url: The URL.
///     ignored_parameters: Names of parameters whose values are left out of the key.
///     serializer: The name of the serializer, which is part of the key.
#[pyfunction]
pub(crate) fn plain_key(url: &str, ignored_parameters: Vec<String>, serializer: &str) -> Option<String> {
    is_plain(url).then(|| {
        let request = requests_cache::Request { method: "GET".into(), url: url.into(), ..Default::default() };
        let settings =
            KeySettings { ignored_parameters, serializer: serializer.to_owned(), ..KeySettings::default() };
        requests_cache::cache_key(&request, &settings)
    })
}

/// Whether a URL has a lower-case host, a path, optionally a port and a query, and only characters
/// that are never percent-encoded.
fn is_plain(url: &str) -> bool {
    let Some(rest) = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://")) else {
        return false;
    };
    let Some((authority, rest)) = rest.split_once('/') else { return false };
    let (host, port) = authority.split_once(':').unwrap_or((authority, "1"));
    let (path, query) = rest.split_once('?').unwrap_or((rest, "="));
    is_plain_host(host)
        && is_plain_port(port)
        // Empty and dot segments would be removed.
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

/// A leading zero would be removed.
fn is_plain_port(port: &str) -> bool {
    port.len() <= 4
        && !port.starts_with('0')
        && port.bytes().all(|byte| byte.is_ascii_digit())
        && !port.is_empty()
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}
