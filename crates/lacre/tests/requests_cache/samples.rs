//! What requests-cache 1.3.3 wrote: every response of every sample, by the hash of its body, its
//! headers and what is known of it.

use crate::shared;
use lacre::interchange::requests_cache::{Response, Serializer, Source, SourceKind, Stored};
use lacre::{ErrorKind, Timestamp};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Name in the manifest, file, and how it is stored.
const SAMPLES: [(&str, &str, SourceKind); 8] = [
    ("sqlite_pickle", "sqlite_pickle.sqlite", SourceKind::Sqlite),
    ("sqlite_safe_pickle_k", "sqlite_safe_pickle_k.sqlite", SourceKind::Sqlite),
    ("sqlite_json", "sqlite_json.sqlite", SourceKind::Sqlite),
    ("filesystem_json", "filesystem_json", SourceKind::Directory),
    ("filesystem_yaml", "filesystem_yaml", SourceKind::Directory),
    ("filesystem_pickle", "filesystem_pickle", SourceKind::Directory),
    ("filesystem_safe_pickle_k", "filesystem_safe_pickle_k", SourceKind::Directory),
    // With the same requests, but other times.
    ("", "redis_pickle_dump.json", SourceKind::RedisDump),
];

fn serializer(name: &str) -> Serializer {
    if name.ends_with("_k") { Serializer::safe_pickle("k").unwrap() } else { Serializer::danger_unsigned() }
}

#[test]
fn every_response_of_every_sample_is_read() {
    let Some(samples) = shared("samples") else { return };
    let manifest: Value =
        serde_json::from_slice(&std::fs::read(samples.join("MANIFEST.json")).unwrap()).unwrap();
    for (name, file, kind) in SAMPLES {
        let source = Source::open(samples.join(file)).unwrap();
        assert_eq!(source.kind(), kind);
        let serializer = serializer(name);
        let found: BTreeMap<String, Response> = source
            .iter()
            .map(|Stored { key, value }| (key, serializer.decode(&value.unwrap()).expect(name)))
            .collect();
        assert_eq!(found.len(), source.len(), "{file}");
        assert!(found.len() >= 26, "{file}");
        let Some(entries) = manifest[name]["responses"].as_object() else { continue };
        assert_eq!(found.keys().collect::<Vec<_>>(), entries.keys().collect::<Vec<_>>(), "{file}");
        for (key, response) in &found {
            check(response, &entries[key], &format!("{file} {key}"));
        }
    }
}

fn check(response: &Response, expected: &Value, what: &str) {
    let dict = |pairs: &[(String, String)]| -> Value {
        pairs
            .iter()
            .map(|(name, value)| (name.clone(), Value::from(value.clone())))
            .collect::<Map<_, _>>()
            .into()
    };
    let time = |value: &Value| value.as_str().map(timestamp);
    assert_eq!(response.request.method, expected["method"], "{what}");
    assert_eq!(response.url, expected["url"], "{what}");
    assert_eq!(response.request.url, expected["request_url"], "{what}");
    assert_eq!(response.status.as_u16(), expected["status"], "{what}");
    assert_eq!(response.body.len(), expected["size"].as_u64().unwrap() as usize, "{what}");
    assert_eq!(sha256(&response.body), expected["sha256"], "{what}");
    assert_eq!(dict(&response.headers), expected["headers"], "{what}");
    assert_eq!(dict(&response.request.headers), expected["request_headers"], "{what}");
    assert_eq!(dict(&response.cookies), expected["cookies"], "{what}");
    let body: String = response.request.body.iter().map(|byte| char::from(*byte)).collect();
    assert_eq!(body, expected["request_body"], "{what}");
    assert_eq!(response.encoding.as_deref(), expected["encoding"].as_str(), "{what}");
    assert_eq!(Some(response.created), time(&expected["created_at"]), "{what}");
    assert_eq!(response.expires, time(&expected["expires"]), "{what}");
    assert_eq!(response.elapsed.as_secs_f64(), expected["elapsed"].as_f64().unwrap(), "{what}");
    let history: Vec<&str> = response.history.iter().map(|hop| hop.url.as_str()).collect();
    assert_eq!(Value::from(history), expected["history"], "{what}");
    assert_eq!(response.next.is_some(), !expected["next"].is_null(), "{what}");
}

fn timestamp(text: &str) -> Timestamp {
    Timestamp::from_millis(text.parse::<jiff::Timestamp>().unwrap().as_millisecond())
}

fn sha256(bytes: &[u8]) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes);
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn a_signed_sample_needs_its_secret() {
    let Some(samples) = shared("samples") else { return };
    for file in ["sqlite_safe_pickle_k.sqlite", "filesystem_safe_pickle_k"] {
        for Stored { value, .. } in Source::open(samples.join(file)).unwrap().iter() {
            let value = value.unwrap();
            let wrong = Serializer::safe_pickle("K").unwrap().decode(&value).unwrap_err();
            assert_eq!(wrong.kind(), ErrorKind::Tampered);
            let without = Serializer::danger_unsigned().decode(&value).unwrap_err();
            assert_eq!(without.kind(), ErrorKind::KeyUnavailable);
        }
    }
    for file in ["sqlite_pickle.sqlite", "filesystem_json", "filesystem_yaml"] {
        for Stored { value, .. } in Source::open(samples.join(file)).unwrap().iter() {
            let error = Serializer::safe_pickle("k").unwrap().decode(&value.unwrap()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Tampered);
        }
    }
}
