//! Header fields that a proxy must change (RFC 9110 §7.6), and those it adds.

use http::{HeaderMap, HeaderName, HeaderValue, Version, header, request};
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimePrinter;
use lacre::CacheStatus;
pub(crate) use lacre::strip_hop_by_hop;

const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

/// The methods that this proxy forwards, for `Allow`.
pub(crate) const ALLOWED_METHODS: HeaderValue =
    HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, TRACE");

/// Fields that must be known before the body, and so are not allowed in trailers (RFC 9110 §6.5.1).
/// hyper removes them in HTTP/1.1 only.
const NOT_IN_TRAILERS: [HeaderName; 17] = [
    header::AUTHORIZATION,
    header::CACHE_CONTROL,
    header::CONTENT_ENCODING,
    header::CONTENT_LENGTH,
    header::CONTENT_RANGE,
    header::CONTENT_TYPE,
    header::COOKIE,
    header::DATE,
    header::EXPIRES,
    header::HOST,
    header::LOCATION,
    HeaderName::from_static("max-forwards"),
    header::SET_COOKIE,
    header::TRAILER,
    header::VARY,
    header::VIA,
    header::WWW_AUTHENTICATE,
];

/// The bytes of a header section in HTTP/1.1. Counted here because hyper limits its buffers, which
/// may grow beyond the limit.
pub(crate) fn section_length(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len() + value.len() + ": \r\n".len()).sum()
}

/// Adds `Date` to a response without one: a recipient that forwards it records the time of receipt
/// (RFC 9110 §6.6.1).
pub(crate) fn add_date(headers: &mut HeaderMap) {
    if headers.contains_key(header::DATE) {
        return;
    }
    let now = DateTimePrinter::new().timestamp_to_rfc9110_string(&Timestamp::now());
    if let Some(now) = now.ok().and_then(|now| HeaderValue::try_from(now).ok()) {
        headers.insert(header::DATE, now);
    }
}

/// Appends this cache to `Cache-Status`, after the caches nearer to the origin (RFC 9211 §2).
pub(crate) fn add_cache_status(headers: &mut HeaderMap, status: CacheStatus) {
    if let Ok(value) = HeaderValue::try_from(status.to_string()) {
        headers.append(CACHE_STATUS, value);
    }
}

/// Whether the sender of these headers accepts trailer fields: `TE: trailers` (RFC 9110 §10.1.4).
pub(crate) fn accepts_trailers(headers: &HeaderMap) -> bool {
    let lines = headers.get_all(header::TE).iter();
    let mut codings = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
    codings.any(|coding| coding.trim_ascii().eq_ignore_ascii_case(b"trailers"))
}

/// Whether a request expects nothing but `100-continue` (RFC 9110 §10.1.1). A proxy ignores
/// expectations of HTTP/1.0.
pub(crate) fn expects_at_most_continue(head: &request::Parts) -> bool {
    let mut expectations = head.headers.get_all(header::EXPECT).iter();
    head.version == Version::HTTP_10
        || expectations.all(|expected| expected.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}

/// Joins the `Cookie` fields of an HTTP/2 request into one, as HTTP/1.1 needs it (RFC 9113 §8.2.3).
pub(crate) fn join_cookies(headers: &mut HeaderMap) {
    let parts: Vec<_> = headers.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if parts.len() < 2 {
        return;
    }
    if let Ok(joined) = HeaderValue::from_bytes(&parts.join(&b"; "[..])) {
        headers.insert(header::COOKIE, joined);
    }
}

/// Removes the trailer fields that must not be in trailers, and those of the connection.
pub(crate) fn clean_trailers(trailers: &mut HeaderMap) {
    strip_hop_by_hop(trailers);
    NOT_IN_TRAILERS.iter().for_each(|name| drop(trailers.remove(name)));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        headers
    }

    fn names(headers: &HeaderMap) -> Vec<&str> {
        headers.keys().map(HeaderName::as_str).collect()
    }

    #[test]
    fn fields_that_connection_names_are_removed() {
        let mut headers = headers(&[
            ("connection", "x-one , X-Two"),
            ("connection", "close, in valid"),
            ("x-one", "1"),
            ("x-two", "2"),
            ("x-three", "3"),
            ("keep-alive", "timeout=5"),
            ("te", "trailers"),
        ]);
        strip_hop_by_hop(&mut headers);
        assert_eq!(names(&headers), ["x-three"]);
    }

    #[test]
    fn te_tells_whether_trailers_are_accepted() {
        for (fields, accepts) in [
            (&[("te", "trailers")][..], true),
            (&[("te", "gzip;q=0.5, Trailers")], true),
            (&[("te", "gzip"), ("te", "trailers")], true),
            (&[("te", "deflate")], false),
            (&[("te", "trailers-not")], false),
            (&[], false),
        ] {
            assert_eq!(accepts_trailers(&headers(fields)), accepts, "{fields:?}");
        }
    }

    #[test]
    fn several_cookie_fields_become_one() {
        for (parts, joined) in [(&["a=1", "b=2; c=3"][..], "a=1; b=2; c=3"), (&["a=1"], "a=1")] {
            let fields: Vec<_> = parts.iter().map(|part| ("cookie", *part)).collect();
            let mut headers = headers(&fields);
            join_cookies(&mut headers);
            assert_eq!(headers.get_all("cookie").iter().collect::<Vec<_>>(), [joined]);
        }
    }

    #[test]
    fn trailers_cannot_contradict_the_header() {
        let mut trailers = headers(&[
            ("x-sum", "42"),
            ("content-length", "5"),
            ("transfer-encoding", "chunked"),
            ("set-cookie", "a=1"),
            ("host", "evil.test"),
            ("cache-control", "max-age=60"),
        ]);
        clean_trailers(&mut trailers);
        assert_eq!(names(&trailers), ["x-sum"]);
    }
}
