//! Bodies: their length, their framing and their codings, and what is stored of them.

use crate::clients::MakeClient;
use crate::support::{chunked_response, client, client_with, get, request};
use bytes::Bytes;
use http::Method;
use lacre::store::Memory;
use lacre::{Driver, Policy};
use lacre_drivers::{Origin, builder, cache, chunked, fresh, respond};
use std::io::{self, BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

pub(crate) fn a_body_dropped_half_read_is_not_stored(make: MakeClient) {
    let origin = Origin::start(|_| chunked_response(200));
    let (client, _) = client(make);
    assert!(!client.read_start(request(Method::GET, &origin.url("/"), &[])).unwrap().is_empty());
    assert!(get(&*client, &origin.url("/")).cache_status().contains("fwd=uri-miss"));
    assert_eq!(get(&*client, &origin.url("/")).cache_status(), "lacre; hit; ttl=60");
}

pub(crate) fn a_truncated_body_is_not_stored(make: MakeClient) {
    let count = AtomicUsize::new(0);
    let origin = Origin::start(move |_| match count.fetch_add(1, Ordering::SeqCst) {
        0 => fresh("").map(|_| chunked([Ok(Bytes::from("half")), Err(io::Error::other("gone"))])),
        1 => {
            let mut broken =
                fresh("").map(|_| chunked([Ok(Bytes::from("half")), Err(io::Error::other("gone"))]));
            broken.headers_mut().insert("content-length", 8.into());
            broken
        }
        _ => fresh("whole"),
    });
    let (client, _) = client(make);
    for _ in 0..2 {
        client.fetch(request(Method::GET, &origin.url("/"), &[])).unwrap_err();
    }
    let whole = get(&*client, &origin.url("/"));
    assert_eq!(whole.body, "whole");
    assert!(whole.cache_status().contains("fwd=uri-miss"));
}

pub(crate) fn a_long_body_is_stored_and_served_whole(make: MakeClient) {
    let origin = Origin::start(|_| chunked_response(320));
    let (client, _) = client(make);
    for expected in ["lacre; fwd=uri-miss; fwd-status=200; ttl=60; stored", "lacre; hit; ttl=60"] {
        let reply = get(&*client, &origin.url("/"));
        assert_eq!((reply.cache_status().as_str(), reply.body.len()), (expected, 320 << 16));
        assert!(reply.body.iter().all(|byte| *byte == b'x'));
    }
    assert_eq!(origin.request_count(), 1);
}

pub(crate) fn a_body_over_the_limit_passes_and_is_not_stored(make: MakeClient) {
    let origin = Origin::start(|_| chunked_response(40));
    let (client, _) = client_with(make, Policy::rfc9111().max_body(1 << 20));
    for _ in 0..2 {
        assert_eq!(get(&*client, &origin.url("/")).body.len(), 40 << 16);
    }
    assert_eq!(origin.request_count(), 2);
}

pub(crate) fn an_empty_body_is_stored(make: MakeClient) {
    let origin = Origin::start(|request| match request.path.as_str() {
        "/204" => respond(204, &[("cache-control", "max-age=60")], ""),
        _ => fresh(""),
    });
    let (client, _) = client(make);
    for path in ["/204", "/200"] {
        let miss = get(&*client, &origin.url(path));
        let hit = get(&*client, &origin.url(path));
        assert_eq!((hit.cache_status().as_str(), hit.body.len()), ("lacre; hit; ttl=60", 0), "{path}");
        assert_eq!(hit.status, miss.status);
    }
}

pub(crate) fn a_response_too_large_to_store_is_not_reported_as_stored(make: MakeClient) {
    let origin = Origin::start(|_| fresh("x".repeat(100)));
    let (client, _) = client_with(make, Policy::rfc9111().max_body(99));
    let reply = get(&*client, &origin.url("/"));
    assert_eq!(reply.cache_status(), "lacre; fwd=uri-miss; fwd-status=200; detail=too-large");
    assert_eq!(reply.info.stored_at, None);
}

pub(crate) fn a_response_rejected_by_the_store_is_not_reported_as_stored(make: MakeClient) {
    let origin = Origin::start(|_| respond(204, &[("cache-control", "max-age=60")], ""));
    let full = builder().0.store(Memory::with_capacity(16).unwrap()).build().unwrap();
    let reply = get(&*make(Driver::new(full)), &origin.url("/"));
    assert_eq!(reply.cache_status(), "lacre; fwd=uri-miss; fwd-status=204; ttl=60; detail=store-unavailable");
}

pub(crate) fn a_range_is_answered_from_a_complete_response(make: MakeClient) {
    let origin = Origin::start(|_| fresh("0123456789"));
    let (client, _) = client(make);
    get(&*client, &origin.url("/"));
    let part = client.fetch(request(Method::GET, &origin.url("/"), &[("range", "bytes=2-4")])).unwrap();
    assert_eq!((part.status, &part.body[..]), (206, &b"234"[..]));
    assert_eq!(part.headers["content-range"], "bytes 2-4/10");
    assert_eq!(origin.request_count(), 1);
}

pub(crate) fn a_partial_response_is_not_served_as_complete(make: MakeClient) {
    let origin = Origin::start(|request| match request.header("range") {
        Some(_) => {
            let headers = [("cache-control", "max-age=60"), ("content-range", "bytes 2-4/10")];
            respond(206, &headers, "234")
        }
        None => fresh("0123456789"),
    });
    let (client, _) = client(make);
    let part = client.fetch(request(Method::GET, &origin.url("/"), &[("range", "bytes=2-4")])).unwrap();
    assert_eq!((part.status, &part.body[..]), (206, &b"234"[..]));
    assert_eq!(get(&*client, &origin.url("/")).body, "0123456789");
    assert_eq!(origin.request_count(), 2);
}

/// The URL of an origin that answers every request with these bytes and closes the connection.
fn raw_origin(response: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = BufReader::new(stream.unwrap());
            let mut line = String::new();
            while stream.read_line(&mut line).is_ok_and(|read| read > 2) {
                line.clear();
            }
            let _ = stream.get_mut().write_all(response);
        }
    });
    url
}

pub(crate) fn the_content_length_of_a_chunked_response_is_not_stored(make: MakeClient) {
    let url = raw_origin(
        b"HTTP/1.1 200 OK\r\ncache-control: max-age=60\r\ntransfer-encoding: chunked\r\n\
          content-length: 3\r\ntrailer: x-sum\r\nconnection: close\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    );
    let (client, _) = client(make);
    let (miss, hit) = (get(&*client, &url), get(&*client, &url));
    assert!(miss.cache_status().contains("; stored"), "{}", miss.cache_status());
    assert_eq!((&miss.body[..], &hit.body[..]), (&b"hello"[..], &b"hello"[..]));
    assert_eq!(hit.cache_status(), "lacre; hit; ttl=60");
    assert!(!hit.headers.contains_key("trailer"));
    assert!(hit.headers.get("content-length").is_none_or(|length| length == "5"), "{:?}", hit.headers);
}

pub(crate) fn a_body_in_another_transfer_coding_is_not_stored(make: MakeClient) {
    let url = raw_origin(
        b"HTTP/1.1 200 OK\r\ncache-control: max-age=60\r\ntransfer-encoding: gzip, chunked\r\n\
          connection: close\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    );
    let (client, _) = client(make);
    for _ in 0..2 {
        // Some clients reject the response, which is correct, too.
        if let Ok(reply) = client.fetch(request(Method::GET, &url, &[])) {
            assert_eq!(reply.cache_status(), "lacre; fwd=uri-miss; fwd-status=200; detail=framing");
        }
    }
}

/// `text`, encoded as gzip.
fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

const GZIP_HEADERS: [(&str, &str); 3] =
    [("cache-control", "max-age=60"), ("content-encoding", "gzip"), ("vary", "accept-encoding")];

pub(crate) fn a_compressed_response_is_stored_encoded_and_read_decoded(make: MakeClient) {
    let text = "hello ".repeat(100_000);
    let encoded = gzip(&text);
    let origin = Origin::start(move |request| {
        assert!(request.header("accept-encoding").unwrap().contains("gzip"));
        respond(200, &GZIP_HEADERS, encoded.clone())
    });
    let (cache, _) = cache(Policy::rfc9111());
    let client = make(Driver::new(cache.clone()));
    for _ in 0..2 {
        let reply = get(&*client, &origin.url("/"));
        assert!(reply.body == text);
        assert!(
            !reply.headers.contains_key("content-encoding") && !reply.headers.contains_key("content-length")
        );
        // A request with its own `Accept-Encoding` gets a decoded body, too.
        let request = request(Method::GET, &origin.url("/own-header"), &[("accept-encoding", "gzip")]);
        assert!(client.fetch(request).unwrap().body == text);
    }
    assert_eq!(origin.request_count(), 2);
    let usage = lacre::wait(cache.usage()).unwrap();
    assert!(usage.bytes < 10_000, "{usage:?}");
}

pub(crate) fn head_partial_responses_and_unknown_codings_are_not_decoded(make: MakeClient) {
    let encoded = gzip("hello");
    let (whole, part) = (encoded.clone(), encoded[2..5].to_vec());
    let origin = Origin::start(move |request| {
        let mut answer = match (&request.method, request.header("range")) {
            (&Method::HEAD, _) => respond(200, &GZIP_HEADERS, whole.clone()),
            (_, Some(_)) => {
                let mut answer = respond(206, &GZIP_HEADERS, part.clone());
                let range = format!("bytes 2-4/{}", whole.len());
                answer.headers_mut().insert("content-range", range.parse().unwrap());
                answer
            }
            _ => respond(200, &[("content-encoding", "unknown")], "as it is"),
        };
        answer.headers_mut().insert(
            "x-accept-encoding",
            request.header("accept-encoding").unwrap_or("nothing").parse().unwrap(),
        );
        answer
    });
    let (client, _) = client(make);
    let head = client.fetch(request(Method::HEAD, &origin.url("/"), &[])).unwrap();
    assert_eq!((head.body.len(), head.headers["content-encoding"].as_bytes()), (0, &b"gzip"[..]));
    let reply = client.fetch(request(Method::GET, &origin.url("/"), &[("range", "bytes=2-4")])).unwrap();
    assert_eq!((reply.status, &reply.body[..]), (206, &encoded[2..5]));
    assert_eq!(reply.headers["x-accept-encoding"], "nothing", "a part of an encoded body cannot be decoded");
    let unknown = get(&*client, &origin.url("/unknown"));
    assert_eq!(
        (&unknown.body[..], unknown.headers["content-encoding"].as_bytes()),
        (&b"as it is"[..], &b"unknown"[..])
    );
}
