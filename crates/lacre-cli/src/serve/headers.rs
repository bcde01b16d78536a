//! Header fields that a proxy must touch (RFC 9110 §7.6), and those it adds.

use http::{HeaderMap, HeaderName, HeaderValue, Version, header};
use lacre::CacheStatus;
pub(crate) use lacre::end_hop;

const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

/// Bytes of a header section as HTTP/1.1 writes it. hyper bounds its buffers, which may hold more than they were asked for.
pub(crate) fn length(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len() + value.len() + ": \r\n".len()).sum()
}

/// RFC 9110 §7.6.3; `version` is that of the message as it was received.
pub(crate) fn add_via(headers: &mut HeaderMap, version: Version) {
    let via = match version {
        Version::HTTP_10 => "1.0 lacre",
        Version::HTTP_2 => "2 lacre",
        _ => "1.1 lacre",
    };
    headers.append(header::VIA, HeaderValue::from_static(via));
}

/// RFC 9211 §2: each cache on the way adds its member at the end.
pub(crate) fn add_cache_status(headers: &mut HeaderMap, status: CacheStatus) {
    if let Ok(value) = HeaderValue::try_from(status.to_string()) {
        headers.append(CACHE_STATUS, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_connection_names_ends_with_the_connection() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("connection", "x-one , X-Two"),
            ("connection", "close, in valid"),
            ("x-one", "1"),
            ("x-two", "2"),
            ("x-three", "3"),
            ("keep-alive", "timeout=5"),
            ("te", "trailers"),
        ] {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        end_hop(&mut headers);
        assert_eq!(headers.keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["x-three"]);
    }
}
