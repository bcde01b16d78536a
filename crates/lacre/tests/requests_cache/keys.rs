//! Every key that requests-cache gave to a request.

use crate::shared;
use lacre::MatchHeaders;
use lacre::interchange::requests_cache::{KeySettings, Request, Verification, cache_key, normalize_url};
use serde_json::Value;

#[test]
fn every_key_is_the_one_that_requests_cache_gives() {
    let Some(path) = shared("vectors/requests_cache_keys.json") else { return };
    let file: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let vectors = file["vectors"].as_array().unwrap();
    assert!(vectors.len() >= 77);
    for vector in vectors {
        let request = request(vector);
        let settings = settings(vector);
        assert_eq!(
            normalize_url(&request.url, &settings.ignored_parameters),
            vector["norm_url"].as_str().unwrap(),
            "{vector}"
        );
        assert_eq!(cache_key(&request, &settings), vector["key"].as_str().unwrap(), "{vector}");
    }
}

fn request(vector: &Value) -> Request {
    let text = |name: &str| vector[name].as_str().unwrap();
    let hex = text("body_hex");
    let body: Vec<u8> =
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect();
    let headers = vector["headers"].as_object().unwrap();
    Request {
        method: text("method").into(),
        url: text("url").into(),
        headers: headers.iter().map(|(name, value)| (name.clone(), value.as_str().unwrap().into())).collect(),
        body: body.into(),
        cookies: Vec::new(),
    }
}

fn settings(vector: &Value) -> KeySettings {
    let options = &vector["options"];
    let texts = |value: &Value| -> Vec<String> {
        value.as_array().into_iter().flatten().map(|text| text.as_str().unwrap().to_owned()).collect()
    };
    let is_verified = match &options["verify"] {
        Value::Null => options.get("verify").is_none(),
        Value::Bool(verify) => *verify,
        other => other != "",
    };
    KeySettings {
        ignored_parameters: texts(&options["ignored_parameters"]),
        content_root_key: options["content_root_key"].as_str().map(Into::into),
        match_headers: match &options["match_headers"] {
            Value::Bool(true) => MatchHeaders::All,
            Value::Array(_) => MatchHeaders::Only(
                texts(&options["match_headers"]).iter().map(|name| name.parse().unwrap()).collect(),
            ),
            _ => MatchHeaders::None,
        },
        verification: if is_verified { Verification::On } else { Verification::Off },
        serializer: vector["serializer"].as_str().unwrap().into(),
    }
}
