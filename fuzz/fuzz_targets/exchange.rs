//! Sends a script of requests through a cache, to an origin that answers by the script.
//!
//! The cache never panics. The caller gets the current response of the origin, or an earlier one
//! that may be stored, or a part of that.
//!
//! The input has a line for each header (`>` of the next request, `<` of its response), for the
//! method (`?`), for the status of the response (`=`; without one, the network fails) and for the
//! seconds that pass before the request (`+`). An empty line sends the request.
#![no_main]

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use lacre_core::{HitKind, Policy, ResponseDirectives};
use lacre_fuzz::{Cache, Got, Source};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|script: &[u8]| {
    let exchanges = exchanges(script);
    perform(Cache::new(Policy::rfc9111()), &exchanges, NoStore::Respected);
    perform(Cache::new(Policy::rfc9111().shared()), &exchanges, NoStore::Respected);
    perform(Cache::new(Policy::requests_cache()), &exchanges, NoStore::Ignored);
});

/// Whether the policy respects the `no-store` of the origin.
#[derive(Clone, Copy, PartialEq, Eq)]
enum NoStore {
    Respected,
    Ignored,
}

struct Exchange {
    pause: Duration,
    method: Method,
    request: HeaderMap,
    status: Option<StatusCode>,
    response: HeaderMap,
}

impl Default for Exchange {
    fn default() -> Self {
        let (request, response) = (HeaderMap::new(), HeaderMap::new());
        Self { pause: Duration::ZERO, method: Method::GET, request, status: None, response }
    }
}

fn exchanges(script: &[u8]) -> Vec<Exchange> {
    let mut exchanges = Vec::new();
    let mut exchange = Exchange::default();
    for line in script.split(|byte| *byte == b'\n').chain([&b""[..]]) {
        let Some((kind, rest)) = line.split_first() else {
            exchanges.push(std::mem::take(&mut exchange));
            continue;
        };
        let number = || std::str::from_utf8(rest).ok().and_then(|text| text.trim().parse::<u32>().ok());
        match kind {
            b'>' => append(&mut exchange.request, rest),
            b'<' => append(&mut exchange.response, rest),
            b'?' => exchange.method = Method::from_bytes(rest.trim_ascii()).unwrap_or(Method::GET),
            b'+' => exchange.pause = Duration::from_secs(number().unwrap_or(0).into()),
            b'=' => exchange.status = number().and_then(status),
            _ => {}
        }
    }
    // Bounds the time of one run.
    exchanges.truncate(8);
    exchanges
}

/// A final status code (RFC 9110 §15).
fn status(code: u32) -> Option<StatusCode> {
    let status = StatusCode::from_u16(u16::try_from(code).ok()?).ok()?;
    (!status.is_informational()).then_some(status)
}

fn append(headers: &mut HeaderMap, line: &[u8]) {
    let Some(colon) = line.iter().position(|byte| *byte == b':') else { return };
    let name = HeaderName::from_bytes(line[..colon].trim_ascii());
    let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii());
    if let (Ok(name), Ok(value)) = (name, value) {
        headers.append(name, value);
    }
}

/// A response of the network. Its body is unique.
type Sent = (StatusCode, HeaderMap, Bytes);

fn perform(mut cache: Cache, exchanges: &[Exchange], no_store: NoStore) {
    let mut sent: Vec<Sent> = Vec::new();
    for exchange in exchanges {
        cache.now = cache.now.plus(exchange.pause);
        let mut request =
            Request::builder().method(&exchange.method).uri("http://origin.test/a").body(()).unwrap();
        request.headers_mut().clone_from(&exchange.request);
        let before = sent.len();
        let got = cache.exchange(request, &mut |_| {
            let body = Bytes::from(format!("the body of answer {:04}", sent.len()));
            sent.push((exchange.status?, exchange.response.clone(), body.clone()));
            let mut response = Response::new(body);
            *response.status_mut() = exchange.status?;
            response.headers_mut().clone_from(&exchange.response);
            Some(response)
        });
        match got {
            None => assert!(exchange.status.is_none(), "without a network failure, there is a response"),
            Some(got) => {
                check(exchange, &got, &sent, before);
                if no_store == NoStore::Respected && got.source == Source::Stored(HitKind::Full) {
                    check_storable(&got.body, &sent);
                }
            }
        }
    }
}

/// Asserts that the caller may get this response.
fn check(exchange: &Exchange, got: &Got, sent: &[Sent], before: usize) {
    let Got { head, body, source } = got;
    let answer = match source {
        Source::Refusal => {
            assert_eq!(before, sent.len(), "a refused request is not sent");
            return;
        }
        Source::Network => {
            let (status, headers, sent_body) = sent.last().expect("the request was sent");
            assert_eq!((head.status, &head.headers, body), (*status, headers, sent_body));
            return;
        }
        Source::Stored(answer) => *answer,
    };
    let once = |matches: &dyn Fn(&Sent) -> bool| sent.iter().any(matches);
    match answer {
        HitKind::Full => {
            assert!(once(&|(status, _, sent_body)| *status == head.status && sent_body == body));
            assert_ne!(head.status, StatusCode::NOT_MODIFIED);
            assert_ne!(head.status, StatusCode::PARTIAL_CONTENT);
        }
        HitKind::Slice { .. } => {
            assert_eq!(head.status, StatusCode::PARTIAL_CONTENT);
            assert!(
                exchange.request.contains_key(header::RANGE) && head.headers.contains_key(header::CONTENT_RANGE)
            );
            assert!(once(&|(_, _, sent_body)| sent_body.windows(body.len()).any(|window| window == body)));
            assert_eq!(head.headers[header::CONTENT_LENGTH], body.len().to_string());
        }
        HitKind::NotModified => {
            assert_eq!((head.status, body.len()), (StatusCode::NOT_MODIFIED, 0));
            let conditions = [header::IF_NONE_MATCH, header::IF_MODIFIED_SINCE];
            assert!(conditions.iter().any(|name| exchange.request.contains_key(name)));
        }
        HitKind::Unsatisfiable => {
            assert_eq!((head.status, body.len()), (StatusCode::RANGE_NOT_SATISFIABLE, 0));
            assert!(exchange.request.contains_key(header::RANGE));
        }
        HitKind::Headers => assert_eq!(exchange.method, Method::HEAD),
    }
}

/// Asserts that the response with this body did not forbid storing it (RFC 9111 §3).
fn check_storable(body: &Bytes, sent: &[Sent]) {
    let (_, headers, _) = sent.iter().find(|(_, _, sent_body)| sent_body == body).expect("the network sent this body");
    let directives = ResponseDirectives::parse(headers);
    let overruled = directives.must_understand || headers.contains_key("cdn-cache-control");
    assert!(!directives.no_store || overruled, "a response with no-store is never served from the cache");
}
