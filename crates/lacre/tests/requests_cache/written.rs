//! What we write: read back whole, in every format, signed or not, by us and by the released
//! requests-cache.

use crate::{THEN, answer, get, pairs};
use lacre::ErrorKind;
use lacre::interchange::requests_cache::{Format, KeySettings, Request, Response, Serializer, cache_key};
use serde_json::{Value, json};
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

const SECRET: &str = "a secret of at least 32 random bytes";

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
        let signed = Serializer::safe_pickle(SECRET).unwrap();
        [Serializer::danger_unsigned().format(format), signed.format(format)]
    })
}

#[test]
fn written_response_is_read_back_in_every_format() {
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
fn other_format_than_the_chosen_one_is_refused() {
    let stored = Serializer::danger_unsigned().format(Format::Json).encode(&whole());
    let error = Serializer::danger_unsigned().format(Format::Pickle).decode(&stored).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Broken);
}

#[test]
fn every_flipped_bit_of_a_signed_response_is_refused() {
    let serializer = Serializer::safe_pickle(SECRET).unwrap();
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

/// With `LACRE_REQUESTS_CACHE`, a Python that has requests-cache; `cargo xtask test` names one.
#[test]
fn released_requests_cache_reads_written_responses() {
    let Some(python) = std::env::var_os("LACRE_REQUESTS_CACHE") else {
        let mut out = std::io::stderr().lock();
        return writeln!(out, "\nSKIPPED: set LACRE_REQUESTS_CACHE to a Python that has requests-cache")
            .unwrap();
    };
    let home = tempfile::tempdir().unwrap();
    // A response as such a session would have asked for it; not all of it survives there otherwise.
    let response = Response {
        request: Request { method: "GET".into(), url: URL.into(), ..whole().request },
        url: URL.into(),
        expires: None,
        ..whole()
    };
    for (name, file, stages, serializer) in [
        ("pickle", "pkl", 2, Serializer::danger_unsigned().format(Format::Pickle)),
        ("json", "json", 2, Serializer::danger_unsigned().format(Format::Json)),
        ("yaml", "yaml", 2, Serializer::danger_unsigned().format(Format::Yaml)),
        ("safe_pickle", "pkl", 3, Serializer::safe_pickle(SECRET).unwrap()),
    ] {
        let settings = KeySettings {
            serializer: format!("SerializerPipeline(name={name}, n_stages={stages})"),
            ..KeySettings::default()
        };
        let key =
            cache_key(&Request { method: "GET".into(), url: URL.into(), ..Request::default() }, &settings);
        let directory = home.path().join(name);
        std::fs::create_dir(&directory).unwrap();
        std::fs::write(directory.join(format!("{key}.{file}")), serializer.encode(&response)).unwrap();
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/requests_cache/released.py");
    let ran = Command::new(python).arg(script).arg(home.path()).output().unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let shown = String::from_utf8(ran.stdout).unwrap();
    assert_eq!(shown.lines().count(), 4);
    for line in shown.lines() {
        let shown: Value = serde_json::from_str(line).unwrap();
        let hex: String = response.body.iter().map(|byte| format!("{byte:02x}")).collect();
        let dict = |pairs: &[(String, String)]| -> Value {
            pairs.iter().cloned().collect::<std::collections::BTreeMap<_, _>>().into_iter().collect()
        };
        let expected = json!({
            "status": 200,
            "reason": "OK",
            "url": URL,
            "headers": dict(&response.headers),
            "body": hex,
            "encoding": "utf-8",
            "cookies": dict(&response.cookies),
            "created": "2023-11-14T22:13:20+00:00",
            "expires": null,
            "history": ["http://example.com/a"],
            "method": "GET",
            "request_headers": dict(&response.request.headers),
        });
        assert_eq!(shown, expected);
    }
}

const URL: &str = "http://example.com/page?b=2&a=1";
