//! Quarantine: evidence is kept, bounded, and out of the way.

use crate::world::{LARGE, START, World, fetch, is_hit};
use lacre::store::{ReadOnly, Record, Store};
use lacre::{Key, Policy, Quarantined, Suite, wait};
use std::sync::Arc;
use std::time::Duration;

fn evidence(world: &World) -> Vec<Quarantined> {
    let mut found = Vec::new();
    wait(world.cache.quarantined(&mut |piece| found.push(piece))).unwrap();
    found
}

#[test]
fn evidence_holds_the_bytes_that_were_found() {
    for world in World::on_every_store() {
        world.get("/", b"body");
        let key = world.row().0;
        world.tamper(&key);
        let found = world.row().1.sealed;
        let at = wait(world.cache.quarantine(&key)).unwrap().unwrap();
        let piece = evidence(&world).pop().unwrap();
        assert_eq!((piece.key, piece.from, piece.at, piece.length), (at, key, START, found.len() as u64));
        assert_eq!(piece.evidence, found);
        assert!(piece.reason.contains("tampered"), "{}", piece.reason);
        assert!(!is_hit(&world.get("/", b"new")));
        assert_eq!(evidence(&world).len(), 1, "the new entry lies beside it");
    }
}

#[test]
fn evidence_is_no_entry_and_stops_nothing() {
    for world in World::on_every_store() {
        world.get("/", b"body");
        let key = world.row().0;
        world.tamper(&key);
        let at = wait(world.cache.quarantine(&key)).unwrap().unwrap();
        wait(world.cache.list(&mut |row| panic!("{row:?}"))).unwrap();
        assert_eq!(world.verify(), (vec![], vec![]));
        assert_eq!(wait(world.cache.quarantine(&at)).unwrap(), None, "evidence is no evidence of anything");
        assert!(wait(world.cache.stored(&at)).is_err(), "and no response");
        assert!(wait(world.cache.remove(&at)).unwrap());
        assert!(evidence(&world).is_empty());
    }
}

#[test]
fn record_that_opens_is_never_quarantined() {
    for mut world in World::on_every_store() {
        world.get("/", &[1; LARGE]);
        let key = world.row().0;
        assert_eq!(wait(world.cache.quarantine(&key)).unwrap(), None);
        assert_eq!(wait(world.cache.quarantine(&Key::from_bytes([9; 32]))).unwrap(), None);
        let other_suite = world.another().suite(Suite::Blake3).build().unwrap();
        assert_eq!(wait(other_suite.quarantine(&key)).unwrap(), None, "genuine, but of another suite");
        let old = world.ring.primary();
        world.rotate();
        world.ring.retire(old).unwrap();
        let without_key = world.another().build().unwrap();
        assert_eq!(wait(without_key.quarantine(&key)).unwrap(), None, "its key may be elsewhere");
        assert!(is_hit(&world.get("/", b"")));
    }
}

#[test]
fn read_only_cache_moves_nothing_into_quarantine() {
    for world in World::on_every_store() {
        world.get("/", b"stored");
        let key = world.row().0;
        world.tamper(&key);
        let before = world.rows();
        let over_read_only = world.another().store(ReadOnly::new(Arc::clone(&world.store)));
        let by_policy = world.another().policy(Policy::rfc9111().read_only()).reseal_on_read();
        for cache in [over_read_only, by_policy] {
            let got = fetch(&cache.build().unwrap(), "/", "no-store", b"from the origin").unwrap();
            assert_eq!(got.response.body(), "from the origin");
        }
        assert_eq!((world.told("refused"), world.told("quarantined"), world.told("store failed")), (2, 0, 0));
        assert_eq!(world.rows(), before);
    }
}

#[test]
fn evidence_is_limited_however_many_records_are_planted() {
    let world = World::on_sqlite();
    let junk = vec![0x55; 66_000];
    for n in 0..1_100_u32 {
        let key = Key::from_bytes([(n << 16).to_be_bytes(); 8].concat().try_into().unwrap());
        let record = Record { body: None, chunks: 0, expires: START, written: START, sealed: &junk };
        wait(world.store.put(&key, record)).unwrap();
        wait(world.cache.quarantine(&key)).unwrap().unwrap();
    }
    let kept = evidence(&world);
    assert_eq!(kept.len(), 1024);
    assert!(kept.iter().all(|piece| piece.evidence.len() == 64 << 10 && piece.length == 66_000));
    assert_eq!(world.rows().len(), kept.len(), "what was planted is gone");
}

#[test]
fn evidence_is_removed_after_thirty_days() {
    for world in World::on_every_store() {
        world.get("/", b"body");
        let key = world.row().0;
        world.tamper(&key);
        wait(world.cache.quarantine(&key)).unwrap().unwrap();
        let day = Duration::from_secs(86_400);
        world.clock.advance(day * 30);
        wait(world.cache.sweep()).unwrap();
        assert_eq!(evidence(&world).len(), 1);
        world.clock.advance(day);
        assert!(evidence(&world).is_empty());
        wait(world.cache.sweep()).unwrap();
        assert!(world.rows().is_empty());
    }
}

#[test]
fn evidence_is_unreadable_in_store_and_log_even_in_a_signed_store() {
    for world in World::on_every_store() {
        let world = world.with(|builder| builder.suite(Suite::Blake3));
        world.get("/", b"readable content");
        let key = world.row().0;
        world.tamper(&key);
        let shows = |bytes: &[u8]| bytes.windows(8).any(|window| window == b"readable");
        assert!(shows(&world.row().1.sealed));
        wait(world.cache.quarantine(&key)).unwrap().unwrap();
        assert!(!shows(&world.row().1.sealed));
        let piece = evidence(&world).pop().unwrap();
        assert!(shows(&piece.evidence) && !shows(format!("{piece:?}").as_bytes()));
    }
}

#[test]
fn unreadable_row_leaves_evidence_without_bytes() {
    let world = World::on_sqlite();
    world.get("/", b"body");
    let key = world.row().0;
    world.sql("UPDATE slot SET sealed = 'text'");
    assert!(!is_hit(&world.get("/", b"new")));
    let piece = evidence(&world).pop().unwrap();
    assert_eq!((piece.from, piece.evidence.len()), (key, 0));
    assert_eq!(world.get("/", b"").response.body(), "new");
}
