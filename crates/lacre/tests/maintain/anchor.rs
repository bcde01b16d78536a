//! Anchors (property 10): what a whole and genuine store cannot tell of itself.

use crate::world::{LARGE, MINUTE, START, World};
use lacre::store::StoreExt;
use lacre::{Anchored, Cache, Change, ErrorKind, Key, Policy, wait};
use std::fs;
use std::time::Duration;

fn anchor(cache: &Cache) -> Vec<u8> {
    let mut file = Vec::new();
    wait(cache.write_anchor(&mut file)).unwrap();
    file
}

fn verify(cache: &Cache, anchor: &[u8]) -> Result<(Anchored, Vec<(Key, Change)>), lacre::Error> {
    let mut found = Vec::new();
    let anchored = wait(
        cache.verify_anchor(&mut &anchor[..], &mut |finding| found.push((finding.key, finding.change))),
    )?;
    assert_eq!(anchored.findings, found.len() as u64);
    Ok((anchored, found))
}

fn findings(world: &World, anchor: &[u8]) -> Vec<(Key, Change)> {
    verify(&world.cache, anchor).unwrap().1
}

fn filled(world: &World) {
    for path in ["/a", "/b", "/c"] {
        world.get(path, path.as_bytes());
    }
    world.get("/large", &[1; LARGE]);
}

#[test]
fn untouched_store_agrees_with_its_anchor() {
    for world in World::on_every_store() {
        let empty = anchor(&world.cache);
        assert_eq!(verify(&world.cache, &empty).unwrap().0.same, 0);
        filled(&world);
        let anchor = anchor(&world.cache);
        let (anchored, found) = verify(&world.cache, &anchor).unwrap();
        let Anchored { at, same, newer, over, findings, .. } = anchored;
        assert_eq!((at, same, newer, over, findings), (START, 4, 0, 0, 0));
        assert_eq!(found, []);
    }
}

#[test]
fn legitimate_changes_are_no_finding() {
    for mut world in World::on_every_store() {
        world = world.with(|builder| builder.policy(Policy::rfc9111().retention(MINUTE)));
        filled(&world);
        let anchor = anchor(&world.cache);
        world.clock.advance(MINUTE);
        world.get("/new", b"new");
        world.replace("/a", b"newer");
        world.rotate();
        wait(world.cache.reseal(lacre::Pass::Real, &mut |_| {})).unwrap();
        let (anchored, found) = verify(&world.cache, &anchor).unwrap();
        assert_eq!((anchored.newer, anchored.same, found), (4, 0, vec![]));
        world.clock.advance(MINUTE * 100);
        wait(world.cache.sweep()).unwrap();
        assert!(world.rows().is_empty());
        let (anchored, found) = verify(&world.cache, &anchor).unwrap();
        assert_eq!((anchored.over, found), (4, vec![]));
    }
}

#[test]
fn p10_deleted_row_is_found() {
    for world in World::on_every_store() {
        filled(&world);
        let anchor = anchor(&world.cache);
        let key = world.rows()[2].0;
        wait(world.store.remove(&key)).unwrap();
        assert_eq!(findings(&world, &anchor), [(key, Change::Missing)]);
    }
}

#[test]
fn older_record_is_found_even_if_resealed() {
    for mut world in World::on_every_store() {
        world.get("/", b"old");
        let (key, old) = world.row();
        world.clock.advance(Duration::from_millis(1));
        world.replace("/", b"new");
        let anchor = anchor(&world.cache);
        world.put(&key, &old);
        world.rotate();
        assert_eq!(findings(&world, &anchor), [(key, Change::RolledBack)]);
        wait(world.cache.reseal(lacre::Pass::Real, &mut |_| {})).unwrap();
        assert_eq!(findings(&world, &anchor), [(key, Change::RolledBack)]);
    }
}

#[test]
fn removed_row_that_was_restored_is_found() {
    for world in World::on_every_store() {
        filled(&world);
        let (key, old) = world.rows().pop().unwrap();
        let body = old.body.unwrap();
        let chunks: Vec<_> =
            (0..old.chunks).map(|n| wait(world.store.fetch_chunk(body, n)).unwrap().unwrap()).collect();
        wait(world.cache.remove(&key)).unwrap();
        world.clock.advance(MINUTE);
        let anchor = anchor(&world.cache);
        for (n, chunk) in (0..).zip(chunks) {
            wait(world.store.stage(body, n, &chunk, START)).unwrap();
        }
        world.put(&key, &old);
        assert_eq!(findings(&world, &anchor), [(key, Change::PutBack)]);
    }
}

#[test]
fn p10_rollback_of_a_whole_store_is_found() {
    let mut world = World::on_sqlite();
    filled(&world);
    wait(world.cache.close()).unwrap();
    let backup = fs::read(world.file()).unwrap();
    world.clock.advance(MINUTE);
    world.replace("/a", b"newer");
    world.get("/d", b"later");
    let anchor = anchor(&world.cache);
    world.shut();
    fs::write(world.file(), backup).unwrap();
    world.open();
    let (good, bad) = world.verify();
    assert_eq!((good.len(), bad.len()), (4, 0), "the old store is whole");
    let mut changes: Vec<Change> = findings(&world, &anchor).into_iter().map(|(_, change)| change).collect();
    changes.sort_by_key(|change| *change == Change::Missing);
    assert_eq!(changes, [Change::RolledBack, Change::Missing]);
}

#[test]
fn p10_exchanged_store_is_found() {
    for (world, other) in World::on_every_store().into_iter().zip(World::on_every_store()) {
        filled(&world);
        let anchor = anchor(&world.cache);
        let other = other.with(|builder| builder.keyring(world.ring.clone()));
        let error = verify(&other.cache, &anchor).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Tampered);
        assert!(error.to_string().contains("another store"), "{error}");
    }
}

#[test]
fn row_that_does_not_open_is_found_and_stops_nothing() {
    for world in World::on_every_store() {
        filled(&world);
        let anchor = anchor(&world.cache);
        let key = world.rows().iter().find(|(_, record)| record.chunks == 0).unwrap().0;
        let mut record = wait(world.store.fetch(&key)).unwrap().unwrap();
        record.sealed = b"garbage".as_slice().into();
        world.put(&key, &record);
        let (anchored, found) = verify(&world.cache, &anchor).unwrap();
        assert_eq!((anchored.same, found), (3, vec![(key, Change::Refused)]));
        wait(world.cache.quarantine(&key)).unwrap().unwrap();
        assert_eq!(findings(&world, &anchor), [(key, Change::Missing)], "evidence is not the row");
    }
}

#[test]
fn changed_cut_or_extended_anchor_is_refused() {
    let world = World::on_sqlite();
    for n in 0..1_500 {
        world.get(&format!("/{n}"), b"");
    }
    let good = anchor(&world.cache);
    assert_eq!(verify(&world.cache, &good).unwrap().0.same, 1_500, "in two pieces");
    let refused = |bytes: &[u8], what: &str| {
        let error = verify(&world.cache, bytes).expect_err(what);
        assert!(
            matches!(error.kind(), ErrorKind::Tampered | ErrorKind::Broken | ErrorKind::KeyUnavailable),
            "{what}: {error}"
        );
    };
    for at in (0..good.len()).step_by(211).chain(0..200) {
        let mut bad = good.clone();
        bad[at] ^= 1;
        refused(&bad, &format!("byte {at} changed"));
    }
    let first_piece = 48 + 4 + u32::from_be_bytes(good[48..52].try_into().unwrap()) as usize;
    for length in [0, 1, 47, 48, 50, 52, 100, first_piece, first_piece + 2, good.len() - 1] {
        refused(&good[..length], &format!("cut to {length}"));
    }
    refused(&[&good[..], b"\0"].concat(), "longer by a byte");
    refused(&[&good[..], &good[first_piece..]].concat(), "longer by a piece");
    refused(&[&good[..48], &good[first_piece..]].concat(), "without its first piece");
}

#[test]
fn anchor_ends_with_its_key_and_its_epoch() {
    for mut world in World::on_every_store() {
        filled(&world);
        let anchor = anchor(&world.cache);
        let old = world.ring.primary();
        world.rotate();
        assert!(verify(&world.cache, &anchor).is_ok());
        world.ring.raise_epoch();
        world = world.with(|builder| builder);
        assert_eq!(verify(&world.cache, &anchor).unwrap_err().kind(), ErrorKind::Lapsed);
        world.ring.retire(old).unwrap();
        let world = world.with(|builder| builder);
        assert_eq!(verify(&world.cache, &anchor).unwrap_err().kind(), ErrorKind::KeyUnavailable);
    }
}
