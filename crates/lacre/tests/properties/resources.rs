//! What a hostile store or origin can make the cache use up: a bounded amount, known in advance.

use crate::world::{FRESH, KINDS, Kind, World, get, sealer};
use http::Request;
use lacre::{ErrorKind, Policy, Suite, codec, stage, wait};
use lacre_core::Slot;
use lacre_seal::Purpose;
use rusqlite::Connection;

/// One byte more than is ever read at once: 16 MiB.
const TOO_LONG: usize = (16 << 20) + 1;

#[test]
fn p17_little_is_allocated_before_authentication() {
    for suite in Suite::ALL {
        let world = World::new(Kind::Sqlite, |builder| builder.suite(suite));
        world.get("/", b"body");
        let (key, record) = world.row();
        // A header that claims all that a header can, over few bytes: what is claimed is never
        // reserved.
        let mut sealed = record.sealed.to_vec();
        sealed[40..44].copy_from_slice(&(1_u32 << 20).to_be_bytes());
        sealed[44..48].copy_from_slice(&(8_u32 << 20).to_be_bytes());
        world.plant(&key, &record, &sealed);
        let refused = |what: &str| match world.row_or_error() {
            Ok(record) => assert!(record.sealed.len() < TOO_LONG, "{suite:?}: {what} was handed out"),
            Err(error) => assert_eq!(error.kind(), ErrorKind::Broken, "{suite:?}: {what}"),
        };
        refused("a claim");
        assert!(!world.get("/", b"fresh").hit && world.alarmed(), "{suite:?}");
        // What is in the file: a longer record than there is, in whatever column, is not even read.
        for column in ["sealed", "key", "body"] {
            let giant = format!("UPDATE slot SET {column} = zeroblob({TOO_LONG})");
            Connection::open(world.medium.file()).unwrap().execute(&giant, []).unwrap();
            refused(column);
            assert!(!world.get("/", b"fresh").hit, "{suite:?}: {column}");
        }
    }
}

#[test]
fn p18_nothing_is_decompressed_beyond_its_limit() {
    for suite in Suite::ALL {
        let world = World::new(Kind::Memory, |builder| builder.suite(suite).stage(stage::Zstd));
        world.get("/", &[0; 100_000]);
        // Even with the key: a body that comes out longer than its head says is cut off while it
        // does.
        let (key, record) = world.row();
        let opened = world.open(&key, &record);
        let Ok(Slot::Entry(mut entry)) = codec::decode(&opened.head) else { panic!("an entry") };
        entry.body.length = 99_999;
        let mut head = Vec::new();
        codec::Format::encode(&codec::Cbor, &Slot::Entry(entry), &mut head).unwrap();
        let forged = world.seal_as(&sealer(suite), &key, Purpose::Slot, &head, opened.body.as_bytes());
        world.plant(&key, &record, &forged);
        assert!(!world.get("/", b"fresh").hit, "{suite:?}");
        assert!(world.alarmed(), "{suite:?}");
    }
}

#[test]
fn p19_storage_that_an_origin_can_fill_is_limited() {
    let many: Vec<String> = (0..40).map(|number| format!("x-{number}")).collect();
    let long = "x".repeat(100_000);
    for &kind in KINDS {
        let world = World::new(kind, |builder| builder.policy(Policy::rfc9111().max_body(1000)));
        let stored = |headers: &[(&str, &str)], body: &[u8]| {
            let headers: Vec<_> = FRESH.iter().chain(headers).copied().collect();
            world.try_fetch(get("/"), &headers, body).unwrap();
            let stored = !world.rows().is_empty();
            wait(world.cache.clear()).unwrap();
            stored
        };
        assert!(stored(&[], &[0; 1000]), "otherwise this shows nothing");
        assert!(!stored(&[], &[0; 1001]), "a body");
        assert!(!stored(&[("x-long", &long)], b""), "headers");
        assert!(!stored(&[("vary", &many.join(", "))], b""), "Vary names");
        let varying = [FRESH[0], ("vary", "accept")];
        for number in 0..100 {
            let request = Request::get("http://example.com/").header("accept", number).body(()).unwrap();
            world.try_fetch(request, &varying, b"").unwrap();
        }
        assert_eq!(world.rows().len(), 1 + 64, "variants of a URL, and their index");
    }
}
