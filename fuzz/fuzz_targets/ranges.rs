//! Stores a response with an arbitrary range, then requests another range (RFC 9110 §14).
//!
//! A part that the cache serves has the bytes of the representation at that place.
//!
//! The input has four lines: `Content-Range` (empty for a complete response) and `Content-Length`
//! of the stored response, the `Range` of its request, and the `Range` of the later request.
#![no_main]

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, header};
use lacre_core::{HitKind, Policy};
use lacre_fuzz::{Cache, Source};
use libfuzzer_sys::fuzz_target;

/// The complete representation. Each byte is its own offset.
fn complete() -> Vec<u8> {
    (0..200).collect()
}

fuzz_target!(|text: &[u8]| {
    let mut lines = text.split(|byte| *byte == b'\n');
    let mut line =
        || lines.next().filter(|line| !line.is_empty()).and_then(|line| HeaderValue::from_bytes(line).ok());
    let (content_range, content_length, first_range, second_range) = (line(), line(), line(), line());

    let mut sent = Response::new(Bytes::from(complete()));
    sent.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("max-age=60"));
    if let Some(range) = &content_range {
        *sent.status_mut() = StatusCode::PARTIAL_CONTENT;
        let (first, last) = bounds(range).unwrap_or((0, 9));
        *sent.body_mut() = Bytes::from(complete()).slice(first..=last);
        sent.headers_mut().insert(header::CONTENT_RANGE, range.clone());
    }
    add(sent.headers_mut(), header::CONTENT_LENGTH, content_length);

    let mut cache = Cache::new(Policy::rfc9111());
    cache.exchange(request(first_range), &mut |_| Some(sent.clone()));
    let got = cache.exchange(request(second_range), &mut |_| Some(Response::new(Bytes::new())));
    let got = got.expect("the network does not fail");
    match got.source {
        Source::Network | Source::Refusal | Source::Stored(HitKind::Unsatisfiable) => {}
        Source::Stored(HitKind::Full) => {
            assert_eq!((got.head.status, &got.body[..]), (StatusCode::OK, &complete()[..]));
        }
        Source::Stored(HitKind::Slice { .. }) => {
            let range = &got.head.headers[header::CONTENT_RANGE];
            // If the `Content-Range` of the origin is invalid, so is a part of it.
            if content_range.as_ref().is_none_or(|range| bounds(range).is_some()) {
                let (first, last) = bounds(range).expect("the cache writes a valid range");
                assert_eq!(got.body, complete()[first..=last]);
            }
        }
        Source::Stored(answer) => panic!("{answer:?} to a GET without conditions"),
    }
});

fn request(range: Option<HeaderValue>) -> Request<()> {
    let mut request = Request::get("http://origin.test/a").body(()).unwrap();
    add(request.headers_mut(), header::RANGE, range);
    request
}

fn add(headers: &mut HeaderMap, name: HeaderName, value: Option<HeaderValue>) {
    headers.extend(value.map(|value| (name, value)));
}

/// The bytes that a `Content-Range` names, if the representation has them.
fn bounds(range: &HeaderValue) -> Option<(usize, usize)> {
    let (_, range) = range.to_str().ok()?.split_once(' ')?;
    let (first, last) = range.split_once('/')?.0.split_once('-')?;
    let (first, last) = (first.parse().ok()?, last.parse().ok()?);
    (first <= last && last < complete().len()).then_some((first, last))
}
