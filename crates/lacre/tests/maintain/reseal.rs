//! Rotation in bulk (property 40): every entry survives it, whatever happens meanwhile.

use crate::world::{LARGE, MINUTE, START, World, fetch, is_hit};
use lacre::store::{Sqlite, StoreExt};
use lacre::{Cache, Keyring, Pass, Policy, Resealed, ResealedRow, Resealing, Suite, wait};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

/// Nothing but this.
fn only(set: impl FnOnce(&mut Resealed)) -> Resealed {
    let mut counts = Resealed::default();
    set(&mut counts);
    counts
}

fn reseal(cache: &Cache, pass: Pass) -> Resealed {
    wait(cache.reseal(pass, &mut |_| {})).unwrap()
}

/// Entries of one record and of several, and an index record with its target.
fn filled(world: &World) -> Vec<(&'static str, Vec<u8>)> {
    let entries = vec![("/small", vec![1; 10]), ("/large", vec![2; LARGE]), ("/empty", vec![])];
    for (path, body) in &entries {
        world.get(path, body);
    }
    entries
}

fn all_there(world: &World, entries: &[(&str, Vec<u8>)]) {
    for (path, body) in entries {
        let got = world.peek(path).unwrap();
        assert!(is_hit(&got), "{path}");
        assert_eq!(got.response.body()[..], body[..], "{path}");
    }
}

#[test]
fn p40_after_a_reseal_the_old_key_can_be_retired_and_nothing_is_lost() {
    for mut world in World::on_every_store() {
        let entries = filled(&world);
        let old = world.ring.primary();
        world.rotate();
        assert_eq!(reseal(&world.cache, Pass::Dry), only(|counts| counts.done = 3));
        assert_eq!(reseal(&world.cache, Pass::Real), only(|counts| counts.done = 3));
        assert_eq!(reseal(&world.cache, Pass::Real), only(|counts| counts.already = 3));
        world.ring.retire(old).unwrap();
        let world = world.with(|builder| builder);
        all_there(&world, &entries);
        let swept = wait(world.cache.sweep()).unwrap();
        assert_eq!((swept.records, swept.chunks, world.told("corrected")), (0, 0, 0));
    }
}

#[test]
fn dry_run_writes_nothing() {
    for mut world in World::on_every_store() {
        filled(&world);
        let before = world.rows();
        world.rotate();
        reseal(&world.cache, Pass::Dry);
        assert_eq!(world.rows(), before);
    }
}

#[test]
fn leftover_chunks_are_found_below_a_resealed_head() {
    for mut world in World::on_every_store() {
        let request = |cache: &Cache| fetch(cache, "/", "max-age=3600", &[7; LARGE]).unwrap();
        request(&world.cache);
        let chunk = |world: &World| {
            let body = world.row().1.body.unwrap();
            wait(world.store.fetch_chunk(body, 1)).unwrap().unwrap()
        };
        let (body, old_chunk) = (world.row().1.body.unwrap(), chunk(&world));
        world.rotate();
        reseal(&world.cache, Pass::Real);
        assert_ne!(chunk(&world), old_chunk);
        wait(world.store.stage(body, 1, &old_chunk, START)).unwrap();
        assert_eq!(reseal(&world.cache, Pass::Real), only(|counts| counts.done = 1));
        assert_ne!(chunk(&world), old_chunk);
        assert!(is_hit(&request(&world.cache)));
    }
}

#[test]
fn store_changes_from_signed_to_encrypted_and_not_back() {
    for world in World::on_every_store() {
        let world = world.with(|builder| builder.suite(Suite::Blake3));
        let entries = filled(&world);
        let suites = |world: &World| {
            let mut suites: Vec<u8> = world.rows().iter().map(|(_, record)| record.sealed[5]).collect();
            suites.dedup();
            suites
        };
        assert_eq!(suites(&world), [Suite::Blake3.id()]);
        let world = world.with(|builder| builder.also_accept(Suite::Blake3));
        assert_eq!(reseal(&world.cache, Pass::Real).done, 3);
        assert_eq!(suites(&world), [Suite::Aes256Gcm.id()]);
        let world = world.with(|builder| builder);
        all_there(&world, &entries);
        let world = world.with(|builder| builder.suite(Suite::Blake3));
        assert_eq!(reseal(&world.cache, Pass::Real).already, 3, "nothing encrypted becomes readable");
    }
}

#[test]
fn reseal_keeps_lifetimes() {
    for mut world in World::on_every_store() {
        world = world.with(|builder| builder.policy(Policy::rfc9111().retention(MINUTE)));
        world.get("/", b"body");
        let before = world.row().1;
        world.clock.advance(MINUTE);
        world.rotate();
        assert_eq!(reseal(&world.cache, Pass::Real).done, 1);
        let after = world.row().1;
        assert_ne!(after.sealed, before.sealed);
        // Epoch, created and not after (docs/format.md §1).
        assert_eq!(after.sealed[16..40], before.sealed[16..40]);
        assert_eq!((after.body, after.expires, after.written), (before.body, before.expires, before.written));
        world.clock.advance(MINUTE * 100);
        world.rotate();
        assert_eq!(reseal(&world.cache, Pass::Real), only(|counts| counts.lapsed = 1));
    }
}

#[test]
fn revoked_records_stay_revoked() {
    for mut world in World::on_every_store() {
        world.get("/", b"body");
        world.ring.raise_epoch();
        world.rotate();
        assert_eq!(reseal(&world.cache, Pass::Real), only(|counts| counts.lapsed = 1));
        assert!(!is_hit(&world.peek("/").unwrap()));
    }
}

#[test]
fn p42_reseal_reports_a_bad_row_and_continues() {
    for mut world in World::on_every_store() {
        filled(&world);
        let bad = world.rows().iter().find(|(_, record)| record.chunks == 0).unwrap().0;
        world.tamper(&bad);
        world.rotate();
        let mut refused = Vec::new();
        let mut report = |row: ResealedRow<'_>| {
            if matches!(row.outcome, Resealing::Refused(_)) {
                refused.push(*row.key);
            }
        };
        let counts = wait(world.cache.reseal(Pass::Real, &mut report)).unwrap();
        assert_eq!((counts.done, counts.refused, refused), (2, 1, vec![bad]));
    }
}

#[test]
fn evidence_is_resealed_too() {
    for mut world in World::on_every_store() {
        world.get("/", b"body");
        world.tamper(&world.row().0);
        world.peek("/").unwrap();
        let old = world.ring.primary();
        world.rotate();
        assert_eq!(reseal(&world.cache, Pass::Real), only(|counts| counts.done = 1));
        world.ring.retire(old).unwrap();
        let world = world.with(|builder| builder);
        let mut pieces = 0;
        wait(world.cache.quarantined(&mut |_| pieces += 1)).unwrap();
        assert_eq!(pieces, 1);
    }
}

#[test]
fn reseal_does_not_renew_a_restored_record() {
    for mut world in World::on_every_store() {
        world.get("/", b"old");
        let (key, old) = world.row();
        world.clock.advance(MINUTE);
        world.replace("/", b"new");
        let knows = world.another().build().unwrap();
        assert!(is_hit(&fetch(&knows, "/", "no-store", b"").unwrap()));
        world.put(&key, &old);
        world.rotate();
        assert_eq!(reseal(&world.cache, Pass::Real).done, 1, "it cannot know");
        let ring = world.ring.clone();
        assert_eq!(ring.key_ids().count(), 2);
        assert!(!is_hit(&fetch(&knows, "/", "no-store", b"").unwrap()));
    }
}

#[test]
fn concurrent_write_wins_over_reseal() {
    for mut world in World::on_every_store() {
        let paths: Vec<String> = (0..50).map(|n| format!("/{n}")).collect();
        let body = |round: u8, n: usize| vec![round; if n.is_multiple_of(10) { LARGE } else { 20 }];
        for (n, path) in paths.iter().enumerate() {
            world.get(path, &body(0, n));
        }
        world.rotate();
        let other = world.another().build().unwrap();
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| {
                for (n, path) in paths.iter().enumerate() {
                    crate::world::replace(&other, path, &body(1, n));
                }
            });
            while !writer.is_finished() {
                reseal(&world.cache, Pass::Real);
            }
        });
        assert_eq!(reseal(&world.cache, Pass::Real).refused, 0);
        for (n, path) in paths.iter().enumerate() {
            assert_eq!(
                fetch(&world.cache, path, "no-store", b"").unwrap().response.body()[..],
                body(1, n)[..]
            );
        }
        assert_eq!(world.told("refused"), 0);
        world.clock.advance(MINUTE * 59);
        let before = wait(world.store.usage()).unwrap().records;
        assert_eq!((wait(world.cache.sweep()).unwrap().records, before), (0, 50));
    }
}

#[test]
fn reseal_keeps_readable_entries_readable() {
    for mut world in World::on_every_store() {
        let entries = filled(&world);
        let old = world.ring.primary();
        world.rotate();
        let world = world.with(lacre::Builder::reseal_on_read);
        all_there(&world, &entries);
        let counts = reseal(&world.cache, Pass::Dry);
        assert_eq!((counts.already, counts.done), (2, 1), "the large one is left");
        let mut by_key = 0;
        wait(world.cache.list(&mut |row| by_key += usize::from(row.seal.unwrap().key_id == old))).unwrap();
        assert_eq!(by_key, 1);
        all_there(&world, &entries);
    }
}

fn open(store: &Path, ring: &Keyring) -> Cache {
    Cache::builder()
        .store(Sqlite::open(store).unwrap())
        .keyring(ring.clone())
        .clock(Arc::new(lacre::ManualClock::new(START)))
        .also_accept(Suite::Blake3)
        .build()
        .unwrap()
}

#[test]
fn p40_ten_thousand_entries_survive_a_rotation_that_is_killed_three_times() {
    let root = tempfile::tempdir().unwrap();
    let (store, ring_file) = (root.path().join("cache/cache.sqlite"), root.path().join("ring"));
    let mut ring = Keyring::generate().unwrap();
    let cache = open(&store, &ring);
    let paths: Vec<String> = (0..10_000).map(|n| format!("/{n}")).collect();
    let body = |path: &str| if path.ends_with("777") { path.repeat(100_000) } else { path.repeat(3) };
    for path in &paths {
        fetch(&cache, path, "max-age=3600", body(path).as_bytes()).unwrap();
    }
    drop(cache);
    let old = ring.primary();
    ring.rotate().unwrap();
    fs::write(&ring_file, ring.to_text().as_bytes()).unwrap();
    let left = || reseal(&open(&store, &ring), Pass::Dry).done;

    let mut to_do = vec![left()];
    while to_do.len() < 4 {
        let mut child = Command::new(env!("CARGO_BIN_EXE_lacre-test-process"))
            .arg("reseal")
            .args([&store, &ring_file])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().unwrap()));
        assert_eq!(lines.next().unwrap().unwrap(), "started");
        // Kills it at a different place each time.
        std::thread::sleep(Duration::from_millis(u64::from(getrandom::u32().unwrap() % 150 + 20)));
        child.kill().unwrap();
        child.wait().unwrap();
        to_do.push(left());
    }
    println!("left to do after each kill: {to_do:?}");
    assert!(to_do.is_sorted_by(|before, after| before >= after) && to_do[3] < to_do[0], "{to_do:?}");
    let rest = reseal(&open(&store, &ring), Pass::Real);
    assert_eq!((rest.done, rest.done + rest.already), (to_do[3], 10_000));

    ring.retire(old).unwrap();
    let cache = open(&store, &ring);
    let mut unreadable = 0;
    wait(cache.verify(&mut |row| unreadable += usize::from(row.slot.is_err()))).unwrap();
    assert_eq!(unreadable, 0);
    for path in &paths {
        let got = fetch(&cache, path, "no-store", b"").unwrap();
        assert!(is_hit(&got) && got.response.body() == body(path).as_bytes(), "{path}");
    }
}
