//! Identities have the bytes of docs/format.md §5: checked with the vectors of the independent
//! implementation.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a failed test panics")]

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request};
use lacre_core::{
    Decision, Engine, Lookup, MatchHeaders, Policy, RequestBody, RequestOptions, Slot, Timestamp, Transport,
    VariantIndex,
};
use serde_json::Value;
use std::sync::{Arc, Mutex};

/// A vector of `vectors/row_keys.json`, as a request with that identity.
struct Vector<'a>(&'a Value);

impl<'a> Vector<'a> {
    fn fields(&self, tag: &str) -> Vec<&'a Value> {
        self.0["fields"].as_array().unwrap().iter().filter(|field| field["tag"] == tag).collect()
    }

    fn text(&self, tag: &str) -> Option<&str> {
        self.fields(tag).first().map(|field| field["text"].as_str().unwrap())
    }

    fn headers(&self, tag: &str) -> Vec<(&'a str, &'a str)> {
        let pair = |field: &'a Value| Some((field["name"].as_str()?, field["text"].as_str()?));
        self.fields(tag).into_iter().filter_map(pair).collect()
    }

    /// The secret parameters of query or body, which are part of the identity if there is a key
    /// function.
    fn secrets(&self, name: &str) -> Option<String> {
        let field =
            self.fields("07").into_iter().find(|field| field["name"] == name && field["text"].is_null())?;
        let value = |value: &Value| format!("page=1&token={}", value.as_str().unwrap());
        Some(field["texts"].as_array().unwrap().iter().map(value).collect::<Vec<_>>().join("&"))
    }

    fn uri(&self) -> String {
        let authority = self.text("02").unwrap_or("https://example.org");
        let (scheme, host) = authority.split_once("://").unwrap();
        let userinfo = self.headers("07").into_iter().find(|(name, _)| *name == ":userinfo");
        let userinfo = userinfo.map(|(_, value)| format!("{value}@")).unwrap_or_default();
        let query = self.text("04").map(str::to_owned).or_else(|| self.secrets(":query"));
        let query = query.map(|query| format!("?{query}")).unwrap_or_default();
        format!("{scheme}://{userinfo}{host}{}{query}", self.text("03").unwrap_or("/"))
    }

    fn policy(&self, method: &Method) -> Policy {
        // The requests-cache preset has separate keys for HEAD.
        let preset = if method == Method::HEAD { Policy::requests_cache() } else { Policy::rfc9111() };
        let matched = self.headers("06").into_iter().map(|(name, _)| name.parse().unwrap()).collect();
        let policy = preset.methods([method.clone()]).match_headers(MatchHeaders::Only(matched));
        let policy = policy.partition_by_cookies();
        let has_client = self.fields("0e").iter().any(|field| field["name"] == "client-certificate");
        let policy = if self.fields("07").is_empty() && !has_client {
            policy.danger_share_across_credentials()
        } else {
            policy
        };
        match self.text("09").map(str::to_owned) {
            Some(own) => policy.key_fn(move |_, _| own.clone()),
            None => policy,
        }
    }

    fn request(&self) -> (Request<Vec<u8>>, Policy) {
        let method: Method = self.text("01").unwrap_or("GET").parse().unwrap();
        let body = [self.fields("05"), self.fields("0d")].concat();
        let body = body.first().map_or(Vec::new(), |field| unhex(field["body_hex"].as_str().unwrap()));
        let form = self.secrets(":body");
        let body = form.clone().map_or(body, String::into_bytes);
        let (uri, host) = match self.sent_to() {
            Some(sent_to) => (format!("{sent_to}{}", self.text("03").unwrap()), Some(self.uri())),
            None => (self.uri(), None),
        };
        let mut request = Request::builder().method(method.clone()).uri(uri).body(body).unwrap();
        if let Some(target) = host.and_then(|target| target.parse::<http::Uri>().ok()) {
            let host = target.authority().unwrap().as_str().parse().unwrap();
            request.headers_mut().insert("host", host);
        }
        if form.is_some() {
            let form = HeaderValue::from_static("application/x-www-form-urlencoded");
            request.headers_mut().insert("content-type", form);
        }
        if !self.fields("0d").is_empty() {
            let form = HeaderValue::from_static("multipart/form-data; boundary=boundary");
            request.headers_mut().insert("content-type", form);
        }
        for (name, value) in [self.headers("06"), self.headers("07"), self.headers("0a")].concat() {
            if name != ":userinfo" {
                request.headers_mut().append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
            }
        }
        if let Some(partition) = self.text("08") {
            request.extensions_mut().insert(RequestOptions::new().partition(partition));
        }
        self.transport().add_to(request.extensions_mut());
        let policy = self.policy(&method);
        (request, policy)
    }

    /// The origin that the request is sent to, if `Host` names another one.
    fn sent_to(&self) -> Option<&str> {
        let sent_to = self.fields("0e").into_iter().find(|field| field["name"] == "authority");
        sent_to.map(|field| field["text"].as_str().unwrap())
    }

    fn transport(&self) -> Transport {
        let list = |value: &Value| {
            value.as_array().unwrap().iter().map(|one| one.as_str().unwrap().to_owned()).collect()
        };
        let bytes = |value: &Value| {
            let texts: Vec<String> = list(value);
            texts.iter().map(|text| unhex(text)).collect::<Vec<_>>()
        };
        self.fields("0e").into_iter().fold(Transport::standard(), |transport, field| {
            let text = field["text"].as_str();
            match (field["name"].as_str().unwrap(), text) {
                ("authority", _) => transport,
                ("certificates", Some("unverified")) => transport.unverified(),
                ("certificates", _) => transport.roots(bytes(&field["roots_hex"])),
                ("client-certificate", _) => transport.client_certificate(bytes(&field["chain_hex"])),
                ("name", Some(name)) => transport.verified_name(name),
                ("proxy", Some(proxy)) => transport.proxy(proxy),
                ("unseen", Some(name)) => transport.named(name.strip_prefix("named:").unwrap()),
                ("way", _) => {
                    let ways: Vec<String> = list(&field["ways"]);
                    ways.iter().fold(transport, Transport::route)
                }
                other => panic!("{other:?}"),
            }
        })
    }

    /// The request headers that a variant depends on, whether present or absent.
    fn varies(&self) -> Vec<HeaderName> {
        self.fields("0a").iter().map(|field| field["name"].as_str().unwrap().parse().unwrap()).collect()
    }
}

fn unhex(digits: &str) -> Vec<u8> {
    let byte = |index| u8::from_str_radix(&digits[index..index + 2], 16).unwrap();
    (0..digits.len()).step_by(2).map(byte).collect()
}

/// The identities that were digested up to the last lookup, and the last key.
fn looked_up(vector: &Vector<'_>) -> (Vec<Vec<u8>>, String) {
    let index: [u8; 32] = unhex(vector.0["index_hex"].as_str().unwrap()).try_into().unwrap();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let note = Arc::clone(&seen);
    let digest = move |identity: &[u8]| {
        note.lock().unwrap().push(identity.to_vec());
        *blake3::keyed_hash(&index, identity).as_bytes()
    };
    let (request, policy) = vector.request();
    let (parts, body) = request.into_parts();
    let now = Timestamp::from_seconds(1_700_000_000);
    let engine = Arc::new(Engine::new(policy, digest));
    let mut lookup = expect_lookup(engine.begin(parts, RequestBody::Seen(&body), now));
    let names = vector.varies();
    if !names.is_empty() {
        lookup = expect_lookup(
            lookup.found(Some(Slot::Vary(VariantIndex { names, since: now, variants: Vec::new() })), now),
        );
    }
    let key = lookup.key().to_string();
    let identities = seen.lock().unwrap().clone();
    (identities, key)
}

fn expect_lookup(decision: Decision<Bytes>) -> Lookup {
    let Decision::Lookup(lookup) = decision else { panic!("nothing is looked up: {decision:?}") };
    lookup
}

#[test]
fn identities_have_the_bytes_of_the_format() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../vectors/row_keys.json");
    let file: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let mut checked = 0;
    for test in file["tests"].as_array().unwrap() {
        let vector = Vector(test);
        // The vectors use `?` in a path to show that the encoding is injective; no URL has one
        // there. Parts and languages have their own tests.
        let part_or_language = ["0b", "0c"].iter().any(|tag| !vector.fields(tag).is_empty());
        if vector.text("03").is_some_and(|path| path.contains('?')) || part_or_language {
            continue;
        }
        let (identities, key) = looked_up(&vector);
        let expected = unhex(test["identity_hex"].as_str().unwrap());
        assert_eq!(identities.last(), Some(&expected), "{}", test["comment"]);
        assert_eq!(key, test["row_key_hex"].as_str().unwrap(), "{}", test["comment"]);
        checked += 1;
    }
    assert!(checked >= 20, "{checked} vectors were checked");
}

/// docs/format.md §5: first without the cookie, then with it.
#[test]
fn request_with_a_cookie_has_two_identities_in_a_private_cache() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let note = Arc::clone(&seen);
    let digest = move |identity: &[u8]| {
        note.lock().unwrap().push(identity.to_vec());
        *blake3::hash(identity).as_bytes()
    };
    let with_cookie = b"\x07\0\0\0\x13\0\0\0\x06cookie\0\0\0\x05sid=1";
    let request =
        || Request::get("https://example.org/").header("cookie", "sid=1").body(()).unwrap().into_parts().0;
    let now = Timestamp::from_seconds(1_700_000_000);
    let engine = Arc::new(Engine::new(Policy::rfc9111(), digest));
    let first = expect_lookup(engine.begin(request(), RequestBody::Seen(b""), now));
    let first_key = *first.key();
    let second_key = *expect_lookup(first.found::<Bytes>(None, now)).key();
    let identities = seen.lock().unwrap();
    let of = |key: &lacre_core::Key| {
        identities.iter().find(|identity| blake3::hash(identity).as_bytes() == key.as_bytes())
    };
    assert!(of(&first_key).is_some_and(|identity| identity.ends_with(b"\x03\0\0\0\x01/")));
    assert!(of(&second_key).is_some_and(|identity| identity.ends_with(with_cookie)));
}

/// A 206 is stored under the key that a later request for the same range looks up.
#[test]
fn identity_of_a_part_ends_with_its_range() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let note = Arc::clone(&seen);
    let digest = move |identity: &[u8]| {
        note.lock().unwrap().push(identity.to_vec());
        *blake3::hash(identity).as_bytes()
    };
    let engine = Arc::new(Engine::new(Policy::rfc9111(), digest));
    let (parts, ()) =
        Request::get("https://example.org/").header("range", "bytes=0-99").body(()).unwrap().into_parts();
    let now = Timestamp::from_seconds(1_700_000_000);
    let mut decision: Decision<Bytes> = engine.begin(parts, RequestBody::Seen(b""), now);
    let index = Slot::Vary(VariantIndex { names: Vec::new(), since: now, variants: Vec::new() });
    let mut first = Some(index);
    while let Decision::Lookup(lookup) = decision {
        decision = lookup.found(first.take(), now);
    }
    let identities = seen.lock().unwrap();
    for tail in [&b"\x0B\0\0\0\x0abytes=0-99"[..], b"\x0B\0\0\0\0"] {
        assert!(identities.iter().any(|identity| identity.ends_with(tail)), "{identities:?}");
    }
}
