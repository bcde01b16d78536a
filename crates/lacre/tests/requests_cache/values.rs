//! Sealed values, and rings of secrets, against the vectors that an independent implementation made
//! from docs/format.md §14 (`vectors/make.py`).

use lacre::interchange::requests_cache::{Place, SealedValues, Value, keyring_of_secret};
use lacre::{ErrorKind, Keyring, StoreId, Timestamp};
use serde_json::Value as Json;
use std::path::Path;
use std::sync::Arc;

fn vectors(of_secrets: bool) -> Vec<Json> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../vectors/values.json");
    let file: Json = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let tests = file["tests"].as_array().unwrap().iter();
    tests.filter(|vector| vector.get("secret_hex").is_some() == of_secrets).cloned().collect()
}

fn text<'a>(vector: &'a Json, name: &str) -> &'a str {
    vector[name].as_str().unwrap()
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

/// What a vector writes as an object with the kind of the value as its only name.
fn value(shown: &Json) -> Value {
    let Json::Object(shown) = shown else {
        return shown.as_bool().map_or(Value::None, Value::Bool);
    };
    let (kind, shown) = shown.iter().next().unwrap();
    match kind.as_str() {
        "list" => Value::List(shown.as_array().unwrap().iter().map(value).collect()),
        "map" => {
            let entries = shown.as_array().unwrap().iter();
            Value::Dict(entries.map(|entry| (entry[0].as_str().unwrap().into(), value(&entry[1]))).collect())
        }
        "nested" => {
            (1..shown.as_u64().unwrap()).fold(Value::List(vec![]), |inner, _| Value::List(vec![inner]))
        }
        "bytes_hex" => Value::Bytes(bytes(shown.as_str().unwrap()).into()),
        "text" => Value::Str(shown.as_str().unwrap().into()),
        _ => {
            let number = shown.as_str().unwrap();
            number.parse().map_or_else(|_| Value::Float(number.parse().unwrap()), Value::Int)
        }
    }
}

#[test]
fn every_sealed_value_opens_or_is_refused_as_the_format_says() {
    let vectors = vectors(false);
    assert!(vectors.len() >= 48, "{}", vectors.len());
    for vector in vectors {
        let ring = Keyring::parse(text(&vector, "keyring")).unwrap();
        let values = SealedValues::new([Arc::new(ring)]).unwrap();
        let store = StoreId::from_bytes(bytes(text(&vector, "store_hex")).try_into().unwrap());
        let place = Place { store: &store, table: text(&vector, "table"), key: text(&vector, "key") };
        let now = Timestamp::from_millis(vector["now"].as_i64().unwrap());
        let opened = values.open(&place, &bytes(text(&vector, "sealed_hex")), now);
        let comment = text(&vector, "comment");
        if vector["result"] == "ok" {
            let expected = value(&vector["value"]);
            assert_eq!(opened.unwrap(), expected, "{comment}");
            // What is sealed here says the same.
            let again = values.seal(&place, &expected, now).unwrap();
            assert_eq!(values.open(&place, &again, now).unwrap(), expected, "{comment}");
            continue;
        }
        let expected = match text(&vector, "reason") {
            "malformed" => ErrorKind::Broken,
            "unknown-key" => ErrorKind::KeyUnavailable,
            "revoked" => ErrorKind::Lapsed,
            _ => ErrorKind::Tampered,
        };
        assert_eq!(opened.map_err(|error| error.kind()), Err(expected), "{comment}");
    }
}

#[test]
fn every_secret_gives_the_keyring_of_the_format() {
    let vectors = vectors(true);
    assert!(vectors.len() >= 11, "{}", vectors.len());
    for vector in vectors {
        let ring = keyring_of_secret(&bytes(text(&vector, "secret_hex")));
        let comment = text(&vector, "comment");
        if vector["result"] == "ok" {
            let id = bytes(text(&vector, "primary_id_hex"));
            assert_eq!(ring.unwrap().primary().as_bytes()[..], id, "{comment}");
        } else {
            assert_eq!(ring.map(drop).unwrap_err().kind(), ErrorKind::Config, "{comment}");
        }
    }
}
