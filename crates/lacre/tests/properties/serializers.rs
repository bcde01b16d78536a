//! Formats and stages, ours and the user's own: whatever a response goes through, it comes back as
//! it was, and only what is authentic gets that far (property 16).

use crate::world::{Fetched, Kind, World};
use lacre::codec::{Bson, Cbor, Format, FormatId, Json, MessagePack, SlotHead, Yaml};
use lacre::stage::{Brotli, Gzip, Lz4, Stage, StageId, Zstd};
use lacre::{Builder, Cache, Error, ErrorKind, Event, Observer, Suite};
use lacre_seal::Authentic;
use proptest::prelude::*;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

/// A user's format: heads in CBOR, compressed. Counts what it is given to read.
#[derive(Debug, Default)]
struct Packed {
    read: Arc<AtomicUsize>,
}

impl Format for Packed {
    fn id(&self) -> FormatId {
        FormatId::Private(7)
    }

    fn encode(&self, slot: &SlotHead, out: &mut Vec<u8>) -> Result<(), Error> {
        let mut plain = Vec::new();
        Cbor.encode(slot, &mut plain)?;
        out.extend(Zstd.forward(&plain)?);
        Ok(())
    }

    fn decode(&self, bytes: &Authentic) -> Result<SlotHead, Error> {
        self.read.fetch_add(1, Relaxed);
        Cbor.decode(&Zstd.back(bytes.clone(), 1 << 20)?)
    }
}

/// A user's stage: hexadecimal digits, of which there are twice as many as there were bytes.
#[derive(Debug)]
struct Hex;

impl Stage for Hex {
    fn id(&self) -> StageId {
        StageId::Private(7)
    }

    fn forward(&self, bytes: &[u8]) -> Result<Vec<u8>, Error> {
        Ok(bytes.iter().flat_map(|byte| format!("{byte:02x}").into_bytes()).collect())
    }

    fn back(&self, bytes: Authentic, limit: usize) -> Result<Authentic, Error> {
        let malformed = || Error::new(ErrorKind::Broken, "not hexadecimal digits");
        bytes.try_map(|bytes| {
            let digits = std::str::from_utf8(bytes).ok().filter(|digits| digits.len() / 2 <= limit);
            let digits = digits.ok_or_else(malformed)?;
            let byte = |at| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok();
            (0..digits.len()).step_by(2).map(byte).collect::<Option<_>>().ok_or_else(malformed)
        })
    }
}

type Adjust = fn(Builder) -> Builder;

/// What it was told of refusals and failures.
#[derive(Debug, Default)]
struct Complaints(Mutex<Vec<String>>);

impl Observer for Complaints {
    fn on_event(&self, event: Event<'_>) {
        if let Event::Refused { error, .. } | Event::StoreFailed { error } = event {
            self.0.lock().unwrap().push(format!("{error}; {}", error.hint().unwrap_or_default()));
        }
    }
}

fn in_format(builder: Builder, number: usize) -> Builder {
    match number {
        0 => builder.format(Cbor),
        1 => builder.format(Json),
        2 => builder.format(Yaml),
        3 => builder.format(MessagePack),
        4 => builder.format(Bson),
        _ => builder.format(Packed::default()),
    }
}
const FORMATS: usize = 6;

fn through(builder: Builder, number: usize) -> Builder {
    match number {
        0 => builder.stage(Zstd),
        1 => builder.stage(Gzip),
        2 => builder.stage(Lz4),
        3 => builder.stage(Brotli),
        _ => builder.stage(Hex),
    }
}
const STAGES: usize = 5;

fn hit(body: &[u8]) -> Fetched {
    Fetched { hit: true, body: body.to_vec().into() }
}

fn body(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at / 7 + at / 1000) as u8).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_goes_through_any_format_and_stages_comes_back(
        format in 0..FORMATS,
        stages in prop::sample::subsequence((0..STAGES).collect::<Vec<_>>(), 0..=STAGES).prop_shuffle(),
        suite in prop::sample::select(Suite::ALL.to_vec()),
        length in prop_oneof![4 => 0..2000_usize, 1 => prop::sample::select(vec![256 << 10, (256 << 10) + 1, 600_000])],
    ) {
        let body = body(length);
        let set = |builder: Builder| stages.iter().fold(in_format(builder.suite(suite), format), |builder, stage| through(builder, *stage));
        let world = World::new(Kind::Memory, set);
        world.get("/", &body);
        let world = world.restarted(set);
        prop_assert_eq!(world.get("/", b"another"), hit(&body));
        prop_assert!(!world.alarmed());
    }
}

#[test]
fn one_store_holds_all_formats_and_any_cache_reads_them() {
    let mut world = World::new(Kind::Sqlite, |builder| builder);
    for format in 0..FORMATS {
        world = world.restarted(|builder| in_format(builder, format));
        world.get(&format!("/{format}"), &body(1000 + format));
    }
    let world = world.restarted(|builder| builder.also_read(Packed::default()));
    for format in 0..FORMATS {
        assert_eq!(world.get(&format!("/{format}"), b"another"), hit(&body(1000 + format)));
    }
}

#[test]
fn p16_custom_parser_never_sees_changed_bytes() {
    for suite in Suite::ALL {
        let read = Arc::new(AtomicUsize::new(0));
        let world = World::new(Kind::Memory, |builder| {
            builder.format(Packed { read: read.clone() }).stage(Hex).suite(suite)
        });
        world.get("/", b"body");
        let (key, record) = world.row();
        assert_eq!(world.get("/", b"another"), hit(b"body"));
        let reads = read.load(Relaxed);
        assert!(reads > 0);
        for at in 0..record.sealed.len() {
            let mut sealed = record.sealed.to_vec();
            sealed[at] ^= 1;
            world.plant(&key, &record, &sealed);
            assert!(!world.get("/", b"new").hit, "{suite:?}, byte {at}");
            assert!(world.alarmed());
        }
        // What was fetched anew was written, and never read.
        assert_eq!(read.load(Relaxed), reads, "{suite:?}");
    }
}

#[test]
fn unknown_format_or_stage_is_a_miss_that_names_the_remedy() {
    let writers: [(Adjust, &str); 2] = [
        (
            |builder| builder.format(Packed::default()),
            "private format 7, which this cache does not know; pass that format to Builder::format or Builder::also_read",
        ),
        (
            |builder| builder.stage(Hex),
            "private stage 7, which this cache does not know; pass that stage to Builder::stage or Builder::also_undo",
        ),
    ];
    for (writer, remedy) in writers {
        for length in [10, 600_000] {
            let world = World::new(Kind::Memory, writer);
            world.get("/", &body(length));
            let known = world.restarted(|builder| builder.also_read(Packed::default()).also_undo(Hex));
            assert_eq!(known.get("/", b"another"), hit(&body(length)));
            let complaints = Arc::new(Complaints::default());
            let unknown = known.restarted(|builder| builder.observer(complaints.clone()));
            assert_eq!(unknown.get("/", b"another"), Fetched { hit: false, body: b"another"[..].into() });
            let complaints = complaints.0.lock().unwrap();
            assert!(complaints.len() == 1 && complaints[0].contains(remedy), "{complaints:?}");
        }
    }
}

#[test]
fn duplicate_private_ids_are_refused_at_build() {
    let builder = || Cache::builder().store(lacre::store::Memory::new().unwrap()).danger_ephemeral_key();
    assert!(builder().format(Packed::default()).stage(Hex).stage(Zstd).build().is_ok());
    let twice = [
        builder().format(Packed::default()).also_read(Packed::default()),
        builder().stage(Hex).also_undo(Hex),
        builder().stage(Zstd).stage(Zstd),
    ];
    for builder in twice {
        assert_eq!(builder.build().unwrap_err().kind(), ErrorKind::Config);
    }
}

/// Claims to write JSON.
#[derive(Debug)]
struct Liar;

impl Format for Liar {
    fn id(&self) -> FormatId {
        FormatId::Json
    }

    fn encode(&self, slot: &SlotHead, out: &mut Vec<u8>) -> Result<(), Error> {
        Cbor.encode(slot, out)
    }

    fn decode(&self, bytes: &Authentic) -> Result<SlotHead, Error> {
        Cbor.decode(bytes)
    }
}

/// Makes much of little.
#[derive(Debug)]
struct Bloat;

impl Stage for Bloat {
    fn id(&self) -> StageId {
        StageId::Private(0)
    }

    fn forward(&self, bytes: &[u8]) -> Result<Vec<u8>, Error> {
        Ok(bytes.repeat(9 << 20))
    }

    fn back(&self, bytes: Authentic, _limit: usize) -> Result<Authentic, Error> {
        Ok(bytes)
    }
}

#[test]
fn response_that_cannot_be_decoded_again_is_not_stored() {
    let writers: [(Adjust, &str); 2] = [
        (|builder| builder.format(Liar), "is not in the format that its id names"),
        (|builder| builder.stage(Bloat), "is too long"),
    ];
    for (writer, complaint) in writers {
        let complaints = Arc::new(Complaints::default());
        let world = World::new(Kind::Memory, |builder| writer(builder).observer(complaints.clone()));
        assert!(!world.get("/", b"b").hit);
        assert!(world.rows().is_empty());
        let complaints = complaints.0.lock().unwrap();
        assert!(complaints.len() == 1 && complaints[0].contains(complaint), "{complaints:?}");
    }
}

#[test]
fn stage_that_returns_a_wrong_length_is_refused() {
    let world = World::new(Kind::Memory, |builder| builder.stage(Hex));
    world.get("/", b"body");
    #[derive(Debug)]
    struct Wrong(usize);
    impl Stage for Wrong {
        fn id(&self) -> StageId {
            Hex.id()
        }
        fn forward(&self, bytes: &[u8]) -> Result<Vec<u8>, Error> {
            Hex.forward(bytes)
        }
        fn back(&self, bytes: Authentic, _limit: usize) -> Result<Authentic, Error> {
            bytes.try_map(|_| Ok(vec![0; self.0]))
        }
    }
    let mut world = world;
    for length in [0, 3, 5] {
        world = world.restarted(|builder| builder.stage(Wrong(length)));
        assert!(!world.get("/", b"body").hit, "{length}");
        assert!(world.alarmed());
    }
}

#[test]
fn signed_record_in_json_is_readable_in_the_store() {
    for suite in [Suite::Blake3, Suite::HmacSha256] {
        let world = World::new(Kind::Sqlite, |builder| builder.format(Json).suite(suite));
        world.get("/things?page=2", b"{\"name\": \"lacre\"}");
        let (_, record) = world.row();
        let lossy = String::from_utf8_lossy(&record.sealed);
        // The salt before it may hold any byte.
        let json = &lossy[lossy.find("{\"kind\"").unwrap()..];
        let json = json.split_inclusive('}').next().unwrap();
        let head: serde_json::Value = serde_json::from_str(json).unwrap();
        assert_eq!(head["url"], "http://example.com/things?page=2");
        assert_eq!(head["headers"], serde_json::json!(["cache-control", "max-age=60"]));
        assert!(lossy.contains("{\"name\": \"lacre\"}"));
    }
}
