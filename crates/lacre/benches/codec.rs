//! What it costs to write a head down and to read it, by format; to pack a body and to unpack it,
//! by stage.
//!
//! `cargo bench -p lacre --bench codec`
#![expect(clippy::expect_used, reason = "a benchmark that cannot start has nothing else to do")]

use divan::Bencher;
use lacre::codec::{BodyHead, Bson, Cbor, Format, Json, MessagePack, SlotHead, Yaml};
use lacre::stage::{Brotli, Gzip, Lz4, Stage, Zstd};
use lacre::{Entry, Slot, Timestamp};
use lacre_seal::{Authentic, BodyId};
use std::hint::black_box;

fn main() {
    divan::main();
}

const FORMATS: [&dyn Format; 5] = [&Cbor, &Json, &Yaml, &MessagePack, &Bson];

const STAGES: [&dyn Stage; 4] = [&Zstd, &Gzip, &Lz4, &Brotli];

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
fn encode(bencher: Bencher<'_, '_>, format: &dyn Format) {
    let (head, mut out) = (head(), Vec::new());
    bencher.bench_local(|| {
        out.clear();
        format.encode(black_box(&head), &mut out).expect("the head is written");
    });
}

#[divan::bench(args = FORMATS)]
fn decode(bencher: Bencher<'_, '_>, format: &dyn Format) {
    let mut out = Vec::new();
    format.encode(&head(), &mut out).expect("the head is written");
    let bytes = Authentic::danger_assume(out);
    bencher.bench_local(|| format.decode(black_box(&bytes)).expect("the head is read"));
}

/// 100 KB of JSON, as an API might send it.
fn body() -> Vec<u8> {
    let thing = |n: u64| {
        let noise = n.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        format!(
            r#"{{"id":{n},"key":"{noise:016x}","price":{}.99,"tags":["a","b"],"stock":true}},"#,
            noise % 1000
        )
    };
    (0..).map(thing).flat_map(String::into_bytes).take(100_000).collect()
}

#[divan::bench(args = STAGES)]
fn forward(bencher: Bencher<'_, '_>, stage: &dyn Stage) {
    let body = body();
    bencher.bench_local(|| stage.forward(black_box(&body)).expect("the body is packed"));
}

#[divan::bench(args = STAGES)]
fn back(bencher: Bencher<'_, '_>, stage: &dyn Stage) {
    let body = body();
    let packed = Authentic::danger_assume(stage.forward(&body).expect("the body is packed"));
    eprintln!("{stage:?}: {} of {} bytes", packed.len(), body.len());
    bencher.bench_local(|| stage.back(black_box(packed.clone()), body.len()).expect("the body is unpacked"));
}
