//! Parses arbitrary bytes as `Cache-Control` (RFC 9111 §5.2).
//!
//! Parsing never panics, never yields a time over 2³¹ seconds (§1.2.2), and ignores case. No text
//! hides a `no-store` that follows it.
#![no_main]

use std::time::Duration;

use http::header::CACHE_CONTROL;
use http::{HeaderMap, HeaderValue};
use lacre_core::{MaxStale, RequestDirectives, ResponseDirectives};
use libfuzzer_sys::fuzz_target;

const MAX_SECONDS: Duration = Duration::from_secs(1 << 31);

fuzz_target!(|text: &[u8]| {
    let mut headers = HeaderMap::new();
    for line in text.split(|byte| *byte == b'\n') {
        let Ok(value) = HeaderValue::from_bytes(line) else { return };
        headers.append(CACHE_CONTROL, value);
    }
    let response = ResponseDirectives::parse(&headers);
    let request = RequestDirectives::parse(&headers);
    let max_stale = match request.max_stale {
        Some(MaxStale::For(limit)) => Some(limit),
        _ => None,
    };
    let times = [
        response.max_age,
        response.s_maxage,
        response.stale_while_revalidate,
        response.stale_if_error,
        request.max_age,
        request.min_fresh,
        request.stale_if_error,
        max_stale,
    ];
    assert!(times.into_iter().flatten().all(|time| time <= MAX_SECONDS));

    let mut upper = HeaderMap::new();
    for line in headers.get_all(CACHE_CONTROL) {
        upper.append(CACHE_CONTROL, HeaderValue::from_bytes(&line.as_bytes().to_ascii_uppercase()).unwrap());
    }
    assert_eq!(ResponseDirectives::parse(&upper), response);
    assert_eq!(RequestDirectives::parse(&upper), request);

    headers.append(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    assert!(ResponseDirectives::parse(&headers).no_store);
    assert!(RequestDirectives::parse(&headers).no_store);
});
