//! Header fields by role: which of them belong to one connection, describe a body, or are stored
//! (RFC 9110 §7.6.1, RFC 9111 §3.1).

use crate::framing;
use http::{HeaderMap, HeaderName, StatusCode, header};

/// Fields for every recipient of a message. A `Connection` header that names one of them is in
/// error (RFC 9110 §7.6.1) and is ignored: removing the field would change whether, for how long
/// and for whom the message is stored. Fields that start with [`CONTENT_PREFIX`] are end-to-end as
/// well.
const END_TO_END: [HeaderName; 27] = [
    header::AGE,
    header::AUTHORIZATION,
    header::CACHE_CONTROL,
    HeaderName::from_static("cache-groups"),
    HeaderName::from_static("cdn-cache-control"),
    header::COOKIE,
    header::DATE,
    header::ETAG,
    header::EXPIRES,
    header::HOST,
    header::IF_MATCH,
    header::IF_MODIFIED_SINCE,
    header::IF_NONE_MATCH,
    header::IF_RANGE,
    header::IF_UNMODIFIED_SINCE,
    header::LAST_MODIFIED,
    header::LOCATION,
    HeaderName::from_static("no-vary-search"),
    header::PRAGMA,
    header::RANGE,
    header::RETRY_AFTER,
    header::SET_COOKIE,
    HeaderName::from_static("surrogate-control"),
    header::VARY,
    HeaderName::from_static("x-http-method"),
    HeaderName::from_static("x-http-method-override"),
    HeaderName::from_static("x-method-override"),
];

/// Prefix of the fields that describe the content: type, coding, language, length, range, location.
const CONTENT_PREFIX: &str = "content-";

/// Fields of one connection. They are removed even if `Connection` does not name them
/// (RFC 9110 §7.6.1).
const HOP_BY_HOP: [HeaderName; 8] = [
    header::CONNECTION,
    HeaderName::from_static("http2-settings"),
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// Fields between a proxy and its client. A proxy may forward them; a cache does not store them
/// (RFC 9111 §3.1).
const PROXY_ONLY: [HeaderName; 2] =
    [header::PROXY_AUTHENTICATE, HeaderName::from_static("proxy-authentication-info")];

/// Fields that describe a body, which a 304 does not have (RFC 9110 §15.4.5).
const BODY_FIELDS: [HeaderName; 5] = [
    header::CONTENT_ENCODING,
    header::CONTENT_LANGUAGE,
    header::CONTENT_LENGTH,
    header::CONTENT_RANGE,
    header::CONTENT_TYPE,
];

/// Returns the fields of a response in the form in which they are stored (RFC 9111 §3.1):
/// connection-specific and proxy fields are left out. `Content-Length` becomes the length of the
/// body. `Trailer` is left out because the trailer section is not stored (RFC 9110 §6.5.1).
pub(crate) fn stored_headers(status: StatusCode, headers: &HeaderMap) -> HeaderMap {
    let mut stored = headers.clone();
    // A response with contradictory framing is not stored, so the error does not matter here.
    let _ = framing::normalize_content_length(status, &mut stored);
    strip_hop_by_hop(&mut stored);
    stored.remove(header::TRAILER);
    PROXY_ONLY.iter().for_each(|name| drop(stored.remove(name)));
    stored
}

/// Removes connection-specific fields: those that `Connection` names and those that never travel
/// further (RFC 9110 §7.6.1).
///
/// End-to-end fields stay even if `Connection` names them: the fields that decide whether, for how
/// long and for whom a message is reused, and the fields about its content.
pub fn strip_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .flat_map(|line| line.as_bytes().split(|byte| *byte == b','))
        .filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok())
        .filter(|name| !END_TO_END.contains(name) && !name.as_str().starts_with(CONTENT_PREFIX))
        .collect();
    for name in named.iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
}

/// Removes the fields that describe a body.
pub(crate) fn remove_body_fields(headers: &mut HeaderMap) {
    BODY_FIELDS.iter().for_each(|name| drop(headers.remove(name)));
}
