//! Whatever ranges are asked for and said to be sent: what the cache serves as a part is what the whole has in that place.
//!
//! The input has a line each for the stored answer's Content-Range (none: it is the whole) and Content-Length, the Range it was an
//! answer to, and the Range that is asked for later.
#![no_main]

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, header};
use lacre_core::{HitKind, Policy};
use lacre_fuzz::{Cache, Source};
use libfuzzer_sys::fuzz_target;

/// The whole: every byte is its own offset.
fn whole() -> Vec<u8> {
    (0..200).collect()
}

fuzz_target!(|text: &[u8]| {
    let mut lines = text.split(|byte| *byte == b'\n');
    let mut line =
        || lines.next().filter(|line| !line.is_empty()).and_then(|line| HeaderValue::from_bytes(line).ok());
    let (content_range, content_length, first_asked, then_asked) = (line(), line(), line(), line());

    let mut sent = Response::new(Bytes::from(whole()));
    sent.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("max-age=60"));
    if let Some(range) = &content_range {
        *sent.status_mut() = StatusCode::PARTIAL_CONTENT;
        let (first, last) = bounds(range).unwrap_or((0, 9));
        *sent.body_mut() = Bytes::from(whole()).slice(first..=last);
        sent.headers_mut().insert(header::CONTENT_RANGE, range.clone());
    }
    add(sent.headers_mut(), header::CONTENT_LENGTH, content_length);

    let mut cache = Cache::new(Policy::rfc9111());
    cache.exchange(request(first_asked), &mut |_| Some(sent.clone()));
    let got = cache.exchange(request(then_asked), &mut |_| Some(Response::new(Bytes::new())));
    let got = got.expect("the network answers");
    match got.source {
        Source::Network | Source::Refusal | Source::Stored(HitKind::Unsatisfiable) => {}
        Source::Stored(HitKind::Full) => {
            assert_eq!((got.head.status, &got.body[..]), (StatusCode::OK, &whole()[..]));
        }
        Source::Stored(HitKind::Slice { .. }) => {
            let range = &got.head.headers[header::CONTENT_RANGE];
            // Where its origin's Content-Range makes no sense, neither can a part of it.
            if content_range.as_ref().is_none_or(|range| bounds(range).is_some()) {
                let (first, last) = bounds(range).expect("what the cache writes is a range");
                assert_eq!(got.body, whole()[first..=last]);
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

/// The bytes that a Content-Range names, where the whole has them.
fn bounds(range: &HeaderValue) -> Option<(usize, usize)> {
    let (_, range) = range.to_str().ok()?.split_once(' ')?;
    let (first, last) = range.split_once('/')?.0.split_once('-')?;
    let (first, last) = (first.parse().ok()?, last.parse().ok()?);
    (first <= last && last < whole().len()).then_some((first, last))
}
