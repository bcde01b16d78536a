//! Runs the test vectors that an independent implementation of docs/format.md made
//! (`vectors/make.py`).

use std::sync::Arc;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::{
    AnchorId, BodyId, Context, FaultKind, Keyring, Lifetime, Position, Purpose, Sealer, StoreId, Suite,
    UnixMillis,
};

#[derive(Deserialize)]
struct File<T> {
    tests: Vec<T>,
}

/// Reads the tests of a file. The file must have at least `least`, so that an empty file is
/// noticed.
pub(crate) fn read<T: DeserializeOwned>(name: &str, least: usize) -> Vec<T> {
    let path = format!("{}/../../vectors/{name}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let file: File<T> = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}"));
    assert!(file.tests.len() >= least, "{name} has {} tests", file.tests.len());
    file.tests
}

pub(crate) fn bytes(hex: &str) -> Vec<u8> {
    let pairs = hex.as_bytes().chunks(2);
    pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

fn array<const N: usize>(hex: &str) -> [u8; N] {
    bytes(hex).try_into().unwrap()
}

#[derive(Deserialize)]
struct EnvelopeTest {
    id: String,
    flags: Vec<String>,
    reason: Option<String>,
    head_opens: Option<bool>,
    keyring: String,
    accept: Vec<String>,
    now: u64,
    store_hex: String,
    namespace: String,
    key_hex: String,
    purpose: String,
    #[serde(flatten)]
    chunk: Option<ChunkPlace>,
    #[serde(flatten)]
    made_of: Option<MadeOf>,
    sealed_hex: String,
}

#[derive(Deserialize)]
struct ChunkPlace {
    body_id_hex: String,
    index: u32,
    last: bool,
}

impl ChunkPlace {
    fn position(&self) -> Position {
        if self.last { Position::Last } else { Position::Inner }
    }
}

#[derive(Deserialize)]
struct MadeOf {
    segment: u8,
    created: u64,
    not_after: u64,
    epoch: u64,
    salt_hex: String,
    head_hex: String,
    body_hex: String,
}

fn suite(name: &str) -> Suite {
    Suite::ALL.into_iter().find(|suite| suite.name() == name).unwrap()
}

/// Checks one vector. Returns whether it was resealed, byte for byte.
fn check(test: &EnvelopeTest) -> bool {
    let id = &test.id;
    let keyring = Arc::new(Keyring::parse(&test.keyring).unwrap());
    let sealer = Sealer::new(keyring, suite(&test.accept[0]));
    let sealer = test.accept.iter().fold(sealer, |sealer, name| sealer.also_accept(suite(name)));
    let store = StoreId::from_bytes(array(&test.store_hex));
    let key = array(&test.key_hex);
    let purpose = match (test.purpose.as_str(), &test.chunk) {
        ("slot", None) => Purpose::Slot,
        ("quarantine", None) => Purpose::Quarantine,
        ("chunk", Some(chunk)) => Purpose::Chunk {
            body: BodyId::from_bytes(array(&chunk.body_id_hex)),
            index: chunk.index,
            position: chunk.position(),
        },
        ("anchor", Some(piece)) => Purpose::Anchor {
            anchor: AnchorId::from_bytes(array(&piece.body_id_hex)),
            index: piece.index,
            position: piece.position(),
        },
        (other, _) => panic!("{id}: no purpose {other}"),
    };
    let at = Context { purpose, store: &store, namespace: &test.namespace, key: &key };
    let now = UnixMillis::from_millis(test.now);
    let sealed = bytes(&test.sealed_hex);
    let opened = sealer.open(&at, &sealed, now);
    let head_alone = sealer.open_head(&at, &sealed, now);

    let Some(made_of) = &test.made_of else {
        let kind = opened.unwrap_err().kind();
        assert_eq!(reason(kind), test.reason.as_deref().unwrap(), "{id}: {kind:?}");
        assert_eq!(head_alone.is_ok(), test.head_opens.unwrap(), "{id}");
        return false;
    };
    let opened = opened.unwrap_or_else(|fault| panic!("{id}: {fault}"));
    let (head, body) = (bytes(&made_of.head_hex), bytes(&made_of.body_hex));
    assert_eq!(opened.head.as_bytes(), head, "{id}");
    assert_eq!(opened.body.as_bytes(), body, "{id}");
    let life = Lifetime {
        created: UnixMillis::from_millis(made_of.created),
        not_after: UnixMillis::from_millis(made_of.not_after),
    };
    assert_eq!((opened.seal.created, opened.seal.not_after), (life.created, life.not_after), "{id}");
    assert_eq!(opened.seal.epoch, made_of.epoch, "{id}");
    let (head_alone, seal) = head_alone.unwrap();
    assert_eq!((head_alone, seal), (opened.head, opened.seal), "{id}");

    let again = test.flags.iter().any(|flag| flag == "reproducible");
    if again {
        let salt = array(&made_of.salt_hex);
        let resealed = sealer.seal_with(&salt, made_of.segment, &at, life, &head, &body).unwrap();
        assert_eq!(resealed, sealed, "{id}");
    }
    again
}

pub(crate) fn reason(kind: FaultKind) -> &'static str {
    match kind {
        FaultKind::NotAnEnvelope => "not-an-envelope",
        FaultKind::UnknownVersion(_) => "unknown-version",
        FaultKind::Malformed(_) => "malformed",
        FaultKind::WrongSuite => "wrong-suite",
        FaultKind::UnknownKey(_) => "unknown-key",
        FaultKind::BadCommitment => "bad-commitment",
        FaultKind::BadSegment => "bad-segment",
        FaultKind::Revoked(_) => "revoked",
        FaultKind::Expired(_) => "expired",
        FaultKind::NotAKeyring => "not-a-keyring",
        FaultKind::BadKey => "bad-key",
        FaultKind::WeakKey => "weak-key",
        FaultKind::WeakPassphrase => "weak-passphrase",
        FaultKind::WrongPassphrase => "wrong-passphrase",
        FaultKind::CostOutOfBounds => "cost",
        FaultKind::NotLocked => "not-locked",
        FaultKind::KeyringNeeds(_) => "needs-one",
        FaultKind::BadKeyringLine(_) => "bad-line",
        other => panic!("no reason {other:?}"),
    }
}

#[test]
fn envelopes_open_reseal_and_are_refused_as_the_format_says() {
    let tests: Vec<EnvelopeTest> = read("envelope.json", 300);
    assert!(tests.iter().filter(|test| check(test)).count() >= 40);
}

#[test]
fn chunks_open_reseal_and_are_refused_as_the_format_says() {
    let tests: Vec<EnvelopeTest> = read("chunks.json", 50);
    assert!(tests.iter().filter(|test| check(test)).count() >= 20);
}

#[derive(Deserialize)]
struct KeyringTest {
    id: String,
    reason: Option<String>,
    text: String,
    #[serde(flatten)]
    ring: Option<Ring>,
}

#[derive(Deserialize)]
struct Ring {
    index_hex: String,
    epoch: String,
    primary_hex: String,
    verify_hex: Vec<String>,
    key_ids_hex: Vec<String>,
}

#[test]
fn keyrings_are_read_and_refused_as_the_format_says() {
    for test in read::<KeyringTest>("keyring.json", 50) {
        let (id, parsed) = (&test.id, Keyring::parse(&test.text));
        let Some(expected) = test.ring else {
            let (kind, wanted) = (parsed.unwrap_err().kind(), test.reason.unwrap());
            match wanted.as_str() {
                "duplicate" | "missing" => {
                    assert!(matches!(kind, FaultKind::KeyringNeeds(_)), "{id}: {kind:?}");
                }
                "unknown-line" | "bad-epoch" => {
                    assert!(matches!(kind, FaultKind::BadKeyringLine(_)), "{id}: {kind:?}");
                }
                other => assert_eq!(reason(kind), other, "{id}: {kind:?}"),
            }
            continue;
        };
        let ring = parsed.unwrap_or_else(|fault| panic!("{id}: {fault}"));
        assert_eq!(ring.epoch().to_string(), expected.epoch, "{id}");
        let ids: Vec<_> = ring.key_ids().map(|id| *id.as_bytes()).collect();
        let expected_ids: Vec<_> = expected.key_ids_hex.iter().map(|id| array(id)).collect();
        assert_eq!(ids, expected_ids, "{id}");
        let keys = [&expected.index_hex, &expected.primary_hex].into_iter().chain(&expected.verify_hex);
        let shown: Vec<_> = ring.to_text().lines().filter_map(key_of_line).collect();
        assert_eq!(shown, keys.map(|key| bytes(key)).collect::<Vec<_>>(), "{id}");
    }
}

/// The key at the end of a keyring line.
fn key_of_line(line: &str) -> Option<Vec<u8>> {
    use base64::Engine;
    let (name, value) = line.split_once(' ')?;
    (name != "epoch").then(|| base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(value).unwrap())
}

#[derive(Deserialize)]
struct RowKeyTest {
    id: String,
    index_hex: String,
    identity_hex: String,
    row_key_hex: String,
}

#[test]
fn row_keys_are_the_keyed_digest_of_the_identity() {
    use base64::Engine;
    let base64url = base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let primary = Keyring::generate().unwrap().to_text().to_string();
    let primary = primary.lines().last().unwrap();
    for test in read::<RowKeyTest>("row_keys.json", 20) {
        let index = base64url.encode(bytes(&test.index_hex));
        let ring = format!("lacre-keyring-v1\nindex {index}\nepoch 0\n{primary}\n");
        let row_key = Keyring::parse(&ring).unwrap().row_key(&bytes(&test.identity_hex));
        assert_eq!(row_key, array(&test.row_key_hex), "{}", test.id);
    }
}
