//! What we write: read back whole, in every format, signed or not. That the released requests-cache reads it is for
//! `cargo xtask requests-cache` to show.

use crate::{THEN, answer, get, pairs};
use lacre::ErrorKind;
use lacre::requests_cache::{Format, Request, Response, Serializer};
use std::time::Duration;

/// A response with everything that one can have.
fn whole() -> Response {
    let hop = Response {
        status: http::StatusCode::FOUND,
        next: Some(get("http://example.com/b")),
        ..answer(get("http://example.com/a"), &[("Location", "/b")], b"")
    };
    let request = Request {
        method: "POST".into(),
        body: b"\0\xff=1".to_vec().into(),
        cookies: pairs(&[("c", "1")]),
        ..get("http://example.com/b")
    };
    let headers = [("Content-Type", "text/html"), ("X-Text", "\u{e9}\u{1f600}\"\\\n: #")];
    Response {
        cookies: pairs(&[("session", "none")]),
        expires: Some(THEN.plus(Duration::from_millis(3_600_123))),
        history: vec![hop],
        ..answer(request, &headers, &(0..=255).collect::<Vec<u8>>())
    }
}

fn formats() -> impl Iterator<Item = Serializer> {
    [Format::Pickle, Format::Json, Format::Yaml].into_iter().flat_map(|format| {
        let signed = Serializer::safe_pickle("a secret of at least 32 random bytes").unwrap();
        [Serializer::danger_unsigned().format(format), signed.format(format)]
    })
}

#[test]
fn what_is_written_is_read_back_in_every_format() {
    for serializer in formats() {
        for response in [whole(), answer(get("http://example.com/"), &[], b"")] {
            assert_eq!(serializer.decode(&serializer.encode(&response)).unwrap(), response, "{serializer:?}");
        }
    }
}

#[test]
fn without_a_format_every_format_is_recognized() {
    for format in [Format::Pickle, Format::Json, Format::Yaml] {
        let stored = Serializer::danger_unsigned().format(format).encode(&whole());
        assert_eq!(Serializer::danger_unsigned().decode(&stored).unwrap(), whole(), "{format:?}");
    }
}

#[test]
fn another_format_than_the_one_that_was_asked_for_is_refused() {
    let stored = Serializer::danger_unsigned().format(Format::Json).encode(&whole());
    let error = Serializer::danger_unsigned().format(Format::Pickle).decode(&stored).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Broken);
}

#[test]
fn every_flipped_bit_of_what_is_signed_is_refused() {
    let serializer = Serializer::safe_pickle("a secret of at least 32 random bytes").unwrap();
    let mut stored = serializer.encode(&answer(get("http://example.com/"), &[], b"hello"));
    for at in 0..stored.len() {
        for bit in 0..8 {
            stored[at] ^= 1 << bit;
            assert_eq!(serializer.decode(&stored).unwrap_err().kind(), ErrorKind::Tampered, "byte {at}");
            stored[at] ^= 1 << bit;
        }
    }
    assert!(serializer.decode(&stored).is_ok());
}

#[test]
fn an_empty_secret_is_refused() {
    assert_eq!(Serializer::safe_pickle("").unwrap_err().kind(), ErrorKind::Config);
}

#[test]
fn debug_shows_neither_urls_nor_headers_nor_bodies() {
    let request = Request { headers: pairs(&[("X", "hidden")]), ..get("http://example.com/?hidden") };
    let shown = format!("{:?}", answer(request, &[("Y", "hidden")], b"hidden"));
    assert!(!shown.contains("hidden"), "{shown}");
    assert!(!format!("{:?}", get("http://example.com/?hidden")).contains("hidden"));
}
