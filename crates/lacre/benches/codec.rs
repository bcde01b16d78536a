//! What it costs to write a head down and to read it, by format.
//!
//! `cargo bench -p lacre --bench codec`
#![expect(clippy::expect_used, reason = "a benchmark that cannot start has nothing else to do")]

use divan::Bencher;
use lacre::codec::{BodyHead, Cbor, Format, Json, SlotHead};
use lacre::{Entry, Slot, Timestamp};
use lacre_seal::{Authentic, BodyId};
use std::hint::black_box;

fn main() {
    divan::main();
}

const FORMATS: [&str; 2] = ["cbor", "json"];

fn format(name: &str) -> &'static dyn Format {
    if name == "cbor" { &Cbor } else { &Json }
}

/// A response with the ten headers that most carry.
fn head() -> SlotHead {
    let headers = [
        ("date", "Mon, 23 Nov 2026 19:47:53 GMT"),
        ("content-type", "application/json; charset=utf-8"),
        ("content-length", "10240"),
        ("cache-control", "public, max-age=60, s-maxage=60"),
        ("etag", "W/\"66ff3b1e5e1f4c2a\""),
        ("vary", "accept, accept-encoding"),
        ("last-modified", "Mon, 23 Nov 2026 11:00:00 GMT"),
        ("strict-transport-security", "max-age=31536000"),
        ("server", "example"),
        ("x-request-id", "5f8f5f6e-7c0c-4a1e-8f0e-2f0f4b3a9d11"),
    ];
    let response = headers
        .into_iter()
        .fold(http::Response::builder(), |response, (name, value)| response.header(name, value));
    let (response, ()) = response.body(()).expect("the headers are valid").into_parts();
    Slot::Entry(Box::new(Entry {
        method: http::Method::GET,
        url: "https://example.org/things/1?page=2".into(),
        request_headers: http::HeaderMap::new(),
        status: response.status,
        version: response.version,
        headers: response.headers,
        requested: Timestamp::from_seconds(1_790_000_000),
        received: Timestamp::from_seconds(1_790_000_001),
        ttl: None,
        tags: Vec::new(),
        body: BodyHead { id: BodyId::from_bytes([7; 16]), length: 10_240, stages: Vec::new(), chunks: 0 },
    }))
}

#[divan::bench(args = FORMATS)]
fn encode(bencher: Bencher<'_, '_>, name: &str) {
    let (head, mut out) = (head(), Vec::new());
    bencher.bench_local(|| {
        out.clear();
        format(name).encode(black_box(&head), &mut out).expect("the head is written");
    });
}

#[divan::bench(args = FORMATS)]
fn decode(bencher: Bencher<'_, '_>, name: &str) {
    let mut out = Vec::new();
    format(name).encode(&head(), &mut out).expect("the head is written");
    let bytes = Authentic::danger_assume(out);
    bencher.bench_local(|| format(name).decode(black_box(&bytes)).expect("the head is read"));
}
