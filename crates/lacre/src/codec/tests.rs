use super::*;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version};
use lacre_core::{Entry, Key, Timestamp, Ttl, VariantIndex};
use proptest::prelude::*;
use serde_json::Value;
use std::path::Path;
use std::time::Duration;

fn authentic(bytes: impl Into<bytes::Bytes>) -> Authentic {
    Authentic::danger_assume(bytes)
}

const OURS: [&dyn Format; 5] = [&Cbor, &Json, &Yaml, &MessagePack, &Bson];

/// Encodes as the vault does, with the prefix of the format.
fn encode(format: &dyn Format, slot: &SlotHead) -> Vec<u8> {
    let mut out = Vec::new();
    format.id().write_prefix(&mut out);
    format.encode(slot, &mut out).unwrap();
    out
}

fn unhex(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

fn vectors() -> Vec<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../vectors/slots.json");
    let file: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    file["tests"].as_array().unwrap().clone()
}

/// The head of a vector in each format that the vector has.
fn heads(vector: &Value) -> Vec<(&'static str, Vec<u8>)> {
    let mut heads = Vec::new();
    for name in ["cbor_hex", "msgpack_hex", "bson_hex", "private_hex"] {
        heads.extend(vector.get(name).map(|hex| (name, unhex(hex.as_str().unwrap()))));
    }
    heads.extend(vector.get("yaml").map(|text| ("yaml", text.as_str().unwrap().as_bytes().to_vec())));
    heads.extend(vector.get("json").map(|object| ("json", object.to_string().into_bytes())));
    heads
}

#[test]
fn every_vector_is_decoded_and_encoded_as_stated() {
    let (mut read, mut written, mut refused) = (0, 0, 0);
    for vector in vectors() {
        let (id, heads) = (&vector["id"], heads(&vector));
        if vector["result"] == "refused" {
            for (name, head) in heads {
                let error = decode(&authentic(head)).map(drop).expect_err(&format!("{id} {name}"));
                // It may be in a private format, which is no damage.
                let unnamed = vector["comment"] == "a private format that nobody named";
                let kind = if unnamed { ErrorKind::Unsupported } else { ErrorKind::Broken };
                assert_eq!(error.kind(), kind, "{id} {name}");
                refused += 1;
            }
            continue;
        }
        assert_eq!(heads.len(), 5, "{id}");
        let slot = decode(&authentic(heads[0].1.clone())).unwrap();
        for (name, head) in &heads {
            assert_eq!(decode(&authentic(head.clone())).unwrap(), slot, "{id} {name}");
            read += 1;
        }
        // A reader drops unknown fields, so it does not write them back.
        if vector["json"].get("later").is_none() {
            // These two formats are canonical.
            assert_eq!(encode(&Cbor, &slot), heads[0].1, "{id}");
            assert_eq!(encode(&MessagePack, &slot), heads[1].1, "{id}");
            let json: Value = serde_json::from_slice(&encode(&Json, &slot)).unwrap();
            assert_eq!(json, vector["json"], "{id}");
            written += 1;
        }
    }
    assert!(
        read >= 150 && written >= 28 && refused >= 140,
        "{read} read, {written} written, {refused} refused"
    );
}

#[test]
fn cut_or_extended_head_is_refused() {
    let mut head = encode(&Cbor, &entry());
    for length in 0..head.len() {
        assert!(decode(&authentic(head[..length].to_vec())).is_err(), "cut to {length}");
    }
    head.push(0);
    assert!(decode(&authentic(head)).is_err());
}

#[test]
fn number_has_one_form() {
    let alias = unhex(&format!("a200020258 20{}", "07".repeat(32)).replace(' ', ""));
    assert_eq!(decode(&authentic(alias.clone())).unwrap(), Slot::Alias(Key::from_bytes([7; 32])));
    let longer = [
        ("the map's length", format!("b802000202 5820{}", "07".repeat(32))),
        ("a key", format!("a21800020258 20{}", "07".repeat(32))),
        ("a value", format!("a20018020258 20{}", "07".repeat(32))),
        ("a string's length", format!("a2000202590020{}", "07".repeat(32))),
        ("an unknown value", format!("a30002025820{}18631801", "07".repeat(32))),
        ("an unknown, nested value", format!("a30002025820{}1863811801", "07".repeat(32))),
        ("an unknown value without end", format!("a30002025820{}18639fff", "07".repeat(32))),
    ];
    for (what, hex) in longer {
        assert!(decode(&authentic(unhex(&hex.replace(' ', "")))).is_err(), "{what}");
    }
}

#[test]
fn nesting_of_unknown_values_is_limited() {
    let nested = |depth| {
        let mut head = unhex(&format!("a30002025820{}1863", "07".repeat(32)));
        head.extend(vec![0x81; depth]);
        head.push(0);
        decode(&authentic(head))
    };
    assert!(nested(10).is_ok());
    assert!(nested(100_000).is_err());
}

#[test]
fn error_quotes_nothing_of_the_head() {
    let hush = serde_json::json!({
        "kind": 0, "method": "GET", "url": "https://h/?token=hush-hush", "headers": ["a b", "hush-hush"], "status": "hush",
    });
    let heads = [
        hush.to_string().into_bytes(),
        format!("---\n{}", serde_saphyr::to_string(&hush).unwrap()).into_bytes(),
        [vec![1], rmp_serde::to_vec(&hush).unwrap()].concat(),
        [vec![2], ::bson::serialize_to_vec(&hush).unwrap()].concat(),
    ];
    for head in heads {
        let error = decode(&authentic(head)).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hush"), "{error:?}");
    }
}

#[test]
fn cut_head_is_refused_in_every_format() {
    for format in OURS {
        let head = encode(format, &entry());
        // A missing line end changes nothing.
        let content = head.trim_ascii_end().len();
        for length in 0..content {
            let cut = decode(&authentic(head[..length].to_vec()));
            assert!(cut.is_err() || cut.unwrap() != entry(), "{format:?} cut to {length}");
        }
    }
}

#[test]
fn readable_format_shows_every_field_as_text() {
    for (format, lines) in [
        (&Json as &dyn Format, [r#""url":"https://example.org/""#, r#""set-cookie","a=1""#]),
        (&Yaml, ["url: https://example.org/\n", "- set-cookie\n- a=1\n"]),
    ] {
        let text = String::from_utf8(encode(format, &entry())).unwrap();
        assert!(lines.iter().all(|line| text.contains(line)), "{text}");
    }
}

fn entry() -> SlotHead {
    let mut headers = HeaderMap::new();
    headers.append("set-cookie", HeaderValue::from_static("a=1"));
    headers.append("set-cookie", HeaderValue::from_static("b=2"));
    headers.append("x-odd", HeaderValue::from_bytes(b"caf\xE9\t").unwrap());
    Slot::Entry(Box::new(Entry {
        method: Method::GET,
        url: "https://example.org/".into(),
        request_headers: HeaderMap::new(),
        status: StatusCode::OK,
        version: Version::HTTP_11,
        headers,
        requested: Timestamp::from_millis(1_700_000_000_000),
        received: Timestamp::from_millis(1_700_000_000_250),
        ttl: Some(Ttl::For(Duration::from_secs(60))),
        tags: vec!["news".into()],
        body: BodyHead {
            id: BodyId::from_bytes([9; 16]),
            length: 12,
            stages: vec![StageId::Zstd],
            chunks: 0,
        },
    }))
}

prop_compose! {
    fn any_headers()(pairs in prop::collection::vec(("[a-z][a-z0-9-]{0,12}", prop::collection::vec(any::<u8>(), 0..20)), 0..12)) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            if let Ok(value) = HeaderValue::from_bytes(&value) {
                headers.append(HeaderName::from_lowercase(name.as_bytes()).unwrap(), value);
            }
        }
        headers
    }
}

fn any_ttl() -> impl Strategy<Value = Option<Ttl>> {
    prop_oneof![
        Just(None),
        Just(Some(Ttl::Forever)),
        (0..i64::MAX as u64).prop_map(|millis| Some(Ttl::For(Duration::from_millis(millis)))),
        (1..i64::MAX as u64).prop_map(|millis| Some(Ttl::StaleBy(Duration::from_millis(millis)))),
    ]
}

fn any_stage() -> impl Strategy<Value = StageId> {
    prop_oneof![
        prop::sample::select(vec![StageId::Zstd, StageId::Gzip, StageId::Lz4, StageId::Brotli]),
        any::<u8>().prop_map(StageId::Private),
    ]
}

prop_compose! {
    fn any_entry()(
        (request_headers, headers) in (any_headers(), any_headers()),
        (method, url, tags) in ("[A-Z]{1,8}", ".{0,40}", prop::collection::vec(".{0,8}", 0..3)),
        (status, version) in (100..=999_u16, prop::sample::select(vec![Version::HTTP_09, Version::HTTP_10, Version::HTTP_11, Version::HTTP_2, Version::HTTP_3])),
        (requested, received) in (any::<i64>(), any::<i64>()),
        ttl in any_ttl(),
        // BSON has no larger integers, and no body is longer.
        (id, length, stages, chunks) in (any::<[u8; 16]>(), 0..=i64::MAX as u64, prop::collection::vec(any_stage(), 0..3), any::<u32>()),
    ) -> SlotHead {
        Slot::Entry(Box::new(Entry {
            method: Method::from_bytes(method.as_bytes()).unwrap(),
            url,
            request_headers,
            status: StatusCode::from_u16(status).unwrap(),
            version,
            headers,
            requested: Timestamp::from_millis(requested),
            received: Timestamp::from_millis(received),
            ttl,
            tags,
            body: BodyHead { id: BodyId::from_bytes(id), length, stages, chunks },
        }))
    }
}

fn any_slot() -> impl Strategy<Value = SlotHead> {
    prop_oneof![
        3 => any_entry(),
        1 => any::<[u8; 32]>().prop_map(|key| Slot::Alias(Key::from_bytes(key))),
        1 => (prop::collection::vec("[a-z][a-z-]{0,9}", 0..5), any::<i64>(), prop::collection::vec(any::<[u8; 32]>(), 0..5)).prop_map(|(names, since, variants)| Slot::Vary(VariantIndex {
            names: names.iter().map(|name| HeaderName::from_lowercase(name.as_bytes()).unwrap()).collect(),
            since: Timestamp::from_millis(since),
            variants: variants.into_iter().map(Key::from_bytes).collect(),
        })),
    ]
}

proptest! {
    #[test]
    fn what_is_encoded_decodes_to_the_same_in_every_format(slot in any_slot()) {
        for format in OURS {
            prop_assert_eq!(&decode(&authentic(encode(format, &slot))).unwrap(), &slot);
        }
    }

    #[test]
    fn cbor_that_is_accepted_is_written_back_the_same(slot in any_slot(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut head = encode(&Cbor, &slot);
        let at = at.index(head.len());
        head[at] = byte;
        if let Ok(decoded) = decode(&authentic(head.clone())) {
            let again = encode(&Cbor, &decoded);
            // Shorter only if an unknown or redundant field was left out.
            prop_assert!(again == head || again.len() < head.len());
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), json in ".{0,200}") {
        let _ = decode(&authentic(bytes));
        let _ = decode(&authentic(format!("{{{json}")));
    }
}
