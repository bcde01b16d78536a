//! Header fields that a proxy must touch (RFC 9110 §7.6), and those it adds.

use http::{HeaderMap, HeaderName, HeaderValue, Version, header, request};
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimePrinter;
use lacre::CacheStatus;
pub(crate) use lacre::strip_hop_by_hop;

const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

/// Fields that mean something before the body only (RFC 9110 §6.5.1); hyper leaves them out of HTTP/1.1, and nobody out of HTTP/2.
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

/// Bytes of a header section as HTTP/1.1 writes it. hyper bounds its buffers, which may hold more than they were asked for.
pub(crate) fn length(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len() + value.len() + ": \r\n".len()).sum()
}

/// RFC 9110 §6.6.1: whoever passes a response on says when it came, where the origin did not.
pub(crate) fn add_date(headers: &mut HeaderMap) {
    if headers.contains_key(header::DATE) {
        return;
    }
    let now = DateTimePrinter::new().timestamp_to_rfc9110_string(&Timestamp::now());
    if let Some(now) = now.ok().and_then(|now| HeaderValue::try_from(now).ok()) {
        headers.insert(header::DATE, now);
    }
}

/// RFC 9211 §2: each cache on the way adds its member at the end.
pub(crate) fn add_cache_status(headers: &mut HeaderMap, status: CacheStatus) {
    if let Ok(value) = HeaderValue::try_from(status.to_string()) {
        headers.append(CACHE_STATUS, value);
    }
}

/// RFC 9110 §10.1.4: whether whoever sent these headers wants trailer fields.
pub(crate) fn takes_trailers(headers: &HeaderMap) -> bool {
    let lines = headers.get_all(header::TE).iter();
    let mut codings = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
    codings.any(|coding| coding.trim_ascii().eq_ignore_ascii_case(b"trailers"))
}

/// RFC 9110 §10.1.1: whether a request expects nothing, or 100 (Continue) only. HTTP/1.0 knows no expectations.
pub(crate) fn is_continue_at_most(head: &request::Parts) -> bool {
    let mut expectations = head.headers.get_all(header::EXPECT).iter();
    head.version == Version::HTTP_10
        || expectations.all(|expected| expected.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}

/// RFC 9113 §8.2.3: HTTP/2 may send a cookie in pieces, which no other protocol puts together.
pub(crate) fn join_cookies(headers: &mut HeaderMap) {
    let pieces: Vec<_> = headers.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if pieces.len() < 2 {
        return;
    }
    if let Ok(whole) = HeaderValue::from_bytes(&pieces.join(&b"; "[..])) {
        headers.insert(header::COOKIE, whole);
    }
}

/// Leaves trailer fields that may be merged nowhere and mislead nobody.
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
    fn what_connection_names_ends_with_the_connection() {
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
    fn who_takes_trailers_says_so() {
        for (fields, takes) in [
            (&[("te", "trailers")][..], true),
            (&[("te", "gzip;q=0.5, Trailers")], true),
            (&[("te", "gzip"), ("te", "trailers")], true),
            (&[("te", "deflate")], false),
            (&[("te", "trailers-not")], false),
            (&[], false),
        ] {
            assert_eq!(takes_trailers(&headers(fields)), takes, "{fields:?}");
        }
    }

    #[test]
    fn a_cookie_in_pieces_becomes_one() {
        for (pieces, whole) in [(&["a=1", "b=2; c=3"][..], "a=1; b=2; c=3"), (&["a=1"], "a=1")] {
            let fields: Vec<_> = pieces.iter().map(|piece| ("cookie", *piece)).collect();
            let mut headers = headers(&fields);
            join_cookies(&mut headers);
            assert_eq!(headers.get_all("cookie").iter().collect::<Vec<_>>(), [whole]);
        }
    }

    #[test]
    fn trailers_change_nothing_that_was_said_before_the_body() {
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
