//! The checks that every store and every wrapper of one must pass. `run` them in a test of the store:
//!
//! ```no_run
//! # // needs the feature `store-suite`
//! lacre::store::suite::run(|| Box::new(lacre::store::Memory::new().unwrap()));
//! ```
#![expect(clippy::unwrap_used, reason = "a check fails by panicking, like every test")]

use super::{ORPHAN_AGE, OwnedRecord, Record, Store, StoreExt, Swept};
use crate::wait;
use bytes::Bytes;
use lacre_core::{Key, Timestamp};
use lacre_seal::BodyId;
use std::time::Duration;

/// Runs every check of [`CHECKS`], each on a store of its own.
///
/// # Panics
/// When a check fails; its name was printed to standard error before.
pub fn run(make: impl Fn() -> Box<dyn Store>) {
    for (name, check) in CHECKS {
        eprintln!("store check: {name}");
        check(&*make());
    }
}

/// A check and its name.
pub type Check = (&'static str, fn(&dyn Store));

/// The checks, by name. Each wants an empty store that can hold some 40 MiB.
pub const CHECKS: &[Check] = &[
    ("an unknown key is not found", an_unknown_key_is_not_found),
    ("what was put is found, field by field", what_was_put_is_found),
    ("records of 0 bytes and 8 MiB are kept whole", records_of_any_size_are_kept_whole),
    ("a put replaces what was there", a_put_replaces_what_was_there),
    ("a touch needs the same body", a_touch_needs_the_same_body),
    ("a removed record is gone", a_removed_record_is_gone),
    ("keys that share their first bytes never mix", keys_that_share_their_first_bytes_never_mix),
    ("a scan lends each record once, whatever the page", a_scan_lends_each_record_once),
    ("a scan goes on while rows come and go", a_scan_goes_on_while_rows_come_and_go),
    ("a sweep takes what expired, and only that", a_sweep_takes_what_expired),
    ("a sweep takes orphaned chunks, old ones only", a_sweep_takes_orphaned_chunks),
    ("chunks are found by body and index", chunks_are_found_by_body_and_index),
    ("a removed record takes its chunks along", a_removed_record_takes_its_chunks_along),
    ("a replaced record takes its chunks along", a_replaced_record_takes_its_chunks_along),
    ("a record whose chunks are not there is not put", a_record_whose_chunks_are_not_there_is_not_put),
    ("unstaged chunks are gone, and no others", unstaged_chunks_are_gone),
    ("a cleared store is empty", a_cleared_store_is_empty),
    ("usage follows what is stored", usage_follows_what_is_stored),
    ("writers in threads lose nothing", writers_in_threads_lose_nothing),
    ("of many touches at once, none brings a replaced body back", touches_never_bring_a_body_back),
    ("a closed store can be used again", a_closed_store_can_be_used_again),
    ("an untouched store has nothing to report", an_untouched_store_has_nothing_to_report),
];

/// A moment far from every boundary.
const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

/// Spread over the key space, as digests are.
fn key(n: u32) -> Key {
    let mut bytes = [0; 32];
    for (place, word) in bytes.chunks_exact_mut(4).enumerate() {
        word.copy_from_slice(&n.wrapping_mul(0x9E37_79B1).wrapping_add(place as u32).to_be_bytes());
    }
    Key::from_bytes(bytes)
}

fn body(n: u8) -> BodyId {
    BodyId::from_bytes([n; 16])
}

fn record(sealed: &[u8]) -> Record<'_> {
    Record { body: None, chunks: 0, expires: NOW.plus(Duration::from_secs(60)), written: NOW, sealed }
}

fn put(store: &dyn Store, n: u32, record: Record<'_>) {
    wait(store.put(&key(n), record)).unwrap();
}

fn fetch(store: &dyn Store, n: u32) -> Option<OwnedRecord> {
    wait(store.fetch(&key(n))).unwrap()
}

fn sealed(store: &dyn Store, n: u32) -> Option<Bytes> {
    fetch(store, n).map(|record| record.sealed)
}

fn stage(store: &dyn Store, of: BodyId, index: u32, sealed: &[u8]) {
    wait(store.stage(of, index, sealed, NOW)).unwrap();
}

fn chunk(store: &dyn Store, of: BodyId, index: u32) -> Option<Bytes> {
    wait(store.fetch_chunk(of, index)).unwrap()
}

fn keys(store: &dyn Store, page: usize) -> Vec<Key> {
    let mut keys = Vec::new();
    let mut after = None;
    loop {
        after = wait(store.scan(after, page, &mut |row| {
            row.record.unwrap();
            keys.push(row.key);
        }))
        .unwrap();
        if after.is_none() {
            return keys;
        }
    }
}

fn an_unknown_key_is_not_found(store: &dyn Store) {
    assert_eq!(fetch(store, 1), None);
    put(store, 2, record(b"another"));
    assert!(!wait(store.get(&key(1), &mut |_| panic_on_visit())).unwrap());
    assert!(!wait(store.remove(&key(1))).unwrap());
    assert!(!wait(store.touch(&key(1), Some(body(1)), record(b"x"))).unwrap());
    assert!(!wait(store.chunk(body(1), 0, &mut |_| panic_on_visit())).unwrap());
    assert_eq!(sealed(store, 2).unwrap(), "another");
}

fn panic_on_visit() {
    unreachable!("the visitor was called for something that is not there");
}

fn what_was_put_is_found(store: &dyn Store) {
    let full = Record {
        body: Some(body(7)),
        chunks: 3,
        expires: Timestamp::MAX,
        written: Timestamp::from_millis(1),
        sealed: b"sealed",
    };
    (0..3).for_each(|index| stage(store, body(7), index, b"chunk"));
    put(store, 1, full);
    assert_eq!(fetch(store, 1).unwrap().lend(), full);
    let bare =
        Record { expires: Timestamp::from_millis(-5), written: Timestamp::default(), ..record(b"bare") };
    put(store, 2, bare);
    assert_eq!(fetch(store, 2).unwrap().lend(), bare);
}

fn records_of_any_size_are_kept_whole(store: &dyn Store) {
    for size in [0, 1, 4095, 4096, 65_537, 1 << 20, (8 << 20) + 100_000] {
        let bytes: Vec<u8> = (0..size).map(|at| (at % 251) as u8).collect();
        put(store, 1, record(&bytes));
        assert_eq!(sealed(store, 1).unwrap(), bytes, "{size} bytes");
    }
}

fn a_put_replaces_what_was_there(store: &dyn Store) {
    put(store, 1, record(b"first, and longer"));
    put(store, 1, record(b"second"));
    assert_eq!(sealed(store, 1).unwrap(), "second");
    assert_eq!(keys(store, 10).len(), 1);
}

fn a_touch_needs_the_same_body(store: &dyn Store) {
    put(store, 1, Record { body: Some(body(1)), ..record(b"first") });
    assert!(
        wait(store.touch(&key(1), Some(body(1)), Record { body: Some(body(1)), ..record(b"touched") }))
            .unwrap()
    );
    assert_eq!(sealed(store, 1).unwrap(), "touched");
    assert!(
        !wait(store.touch(&key(1), Some(body(2)), Record { body: Some(body(2)), ..record(b"late") }))
            .unwrap()
    );
    assert_eq!(sealed(store, 1).unwrap(), "touched");
    put(store, 1, record(b"no body"));
    assert!(!wait(store.touch(&key(1), Some(body(1)), record(b"late"))).unwrap());
    assert_eq!(sealed(store, 1).unwrap(), "no body");
    assert!(wait(store.touch(&key(1), None, record(b"touched"))).unwrap());
    assert_eq!(sealed(store, 1).unwrap(), "touched");
    put(store, 1, Record { body: Some(body(1)), ..record(b"has one") });
    assert!(!wait(store.touch(&key(1), None, record(b"late"))).unwrap());
    assert!(!wait(store.touch(&key(2), None, record(b"nothing is there"))).unwrap());
    assert_eq!((sealed(store, 1).unwrap(), sealed(store, 2)), ("has one".into(), None));
}

fn a_removed_record_is_gone(store: &dyn Store) {
    put(store, 1, record(b"one"));
    put(store, 2, record(b"two"));
    assert!(wait(store.remove(&key(1))).unwrap());
    assert!(!wait(store.remove(&key(1))).unwrap());
    assert_eq!(sealed(store, 1), None);
    assert_eq!(sealed(store, 2).unwrap(), "two");
}

fn keys_that_share_their_first_bytes_never_mix(store: &dyn Store) {
    let (mut one, mut two) = ([9; 32], [9; 32]);
    (one[31], two[31]) = (1, 2);
    let (one, two) = (Key::from_bytes(one), Key::from_bytes(two));
    wait(store.put(&one, record(b"one"))).unwrap();
    assert_eq!(wait(store.fetch(&two)).unwrap(), None);
    wait(store.put(&two, record(b"two"))).unwrap();
    assert_eq!(wait(store.fetch(&two)).unwrap().unwrap().sealed, "two");
    // A store may keep one of the two only (SQLite's row id is the first eight bytes), but never answers with the wrong one.
    assert!(wait(store.fetch(&one)).unwrap().is_none_or(|record| record.sealed == "one"));
}

fn a_scan_lends_each_record_once(store: &dyn Store) {
    assert_eq!(keys(store, 10), []);
    for n in 0..50 {
        put(store, n, record(&n.to_be_bytes()));
    }
    let all = keys(store, 1000);
    let mut sorted = all.clone();
    sorted.sort_unstable();
    let mut expected: Vec<_> = (0..50).map(key).collect();
    expected.sort_unstable();
    assert_eq!(sorted, expected);
    for page in [1, 7, 49, 50, 51] {
        assert_eq!(keys(store, page), all, "pages of {page}");
    }
    let mut contents = Vec::new();
    wait(store.each(&mut |row| contents.push((row.key, row.record.unwrap().to_owned())))).unwrap();
    assert!(contents.iter().all(|(key, record)| wait(store.fetch(key)).unwrap().as_ref() == Some(record)));
}

fn a_scan_goes_on_while_rows_come_and_go(store: &dyn Store) {
    for n in 0..20 {
        put(store, n, record(b"there all the time"));
    }
    let stays = keys(store, 100);
    let (mut seen, mut after, mut n) = (Vec::new(), None, 100);
    loop {
        after = wait(store.scan(after, 3, &mut |row| seen.push(row.key))).unwrap();
        let Some(last) = after else { break };
        put(store, n, record(b"new"));
        wait(store.remove(&last)).unwrap();
        n += 1;
    }
    seen.retain(|key| stays.contains(key));
    assert_eq!(seen, stays);
}

fn a_sweep_takes_what_expired(store: &dyn Store) {
    let expiring =
        |millis| Record { expires: Timestamp::from_millis(NOW.as_millis() + millis), ..record(b"x") };
    put(store, 1, expiring(-1));
    put(store, 2, expiring(0));
    put(store, 3, expiring(1));
    put(store, 4, Record { expires: Timestamp::MAX, ..record(b"x") });
    stage(store, body(5), 0, b"a");
    stage(store, body(5), 1, b"b");
    put(store, 5, Record { body: Some(body(5)), chunks: 2, ..expiring(-1000) });
    assert_eq!(wait(store.sweep(NOW)).unwrap(), Swept { records: 2, chunks: 2 });
    assert_eq!(chunk(store, body(5), 0), None);
    let left: Vec<_> = (1..=5).filter(|n| fetch(store, *n).is_some()).collect();
    assert_eq!(left, [2, 3, 4]);
    assert_eq!(wait(store.sweep(NOW)).unwrap(), Swept::default());
}

fn a_sweep_takes_orphaned_chunks(store: &dyn Store) {
    stage(store, body(1), 0, b"named");
    put(store, 1, Record { body: Some(body(1)), chunks: 1, expires: Timestamp::MAX, ..record(b"x") });
    stage(store, body(2), 0, b"orphan");
    stage(store, body(2), 1, b"orphan");
    let boundary = NOW.plus(ORPHAN_AGE);
    assert_eq!(wait(store.sweep(boundary)).unwrap(), Swept::default());
    assert_eq!(chunk(store, body(2), 1).unwrap(), "orphan");
    let later = boundary.plus(Duration::from_millis(1));
    assert_eq!(wait(store.sweep(later)).unwrap(), Swept { records: 0, chunks: 2 });
    assert_eq!(chunk(store, body(2), 0), None);
    assert_eq!(chunk(store, body(1), 0).unwrap(), "named");
}

fn chunks_are_found_by_body_and_index(store: &dyn Store) {
    // The last body's row ids wrap around in SQLite's numbering.
    for of in [body(1), body(2), body(0xFF)] {
        for index in [0, 1, 2, 1000] {
            stage(store, of, index, format!("{of}/{index}").as_bytes());
        }
        stage(store, of, 2, format!("{of}/2, again").as_bytes());
    }
    for of in [body(1), body(2), body(0xFF)] {
        assert_eq!(chunk(store, of, 0).unwrap(), format!("{of}/0"));
        assert_eq!(chunk(store, of, 1000).unwrap(), format!("{of}/1000"));
        assert_eq!(chunk(store, of, 2).unwrap(), format!("{of}/2, again"));
        assert_eq!(chunk(store, of, 3), None);
    }
    stage(store, body(3), 0, b"");
    assert_eq!(chunk(store, body(3), 0).unwrap(), "");
    let large = vec![7; 256 << 10];
    stage(store, body(4), 0, &large);
    assert_eq!(chunk(store, body(4), 0).unwrap(), large);
}

fn a_removed_record_takes_its_chunks_along(store: &dyn Store) {
    for of in [body(1), body(0xFF)] {
        for index in 0..3 {
            stage(store, of, index, b"chunk");
        }
    }
    for (n, of) in [(1, body(1)), (2, body(0xFF))] {
        put(store, n, Record { body: Some(of), chunks: 3, ..record(b"head") });
    }
    wait(store.remove(&key(2))).unwrap();
    for index in 0..3 {
        assert_eq!(chunk(store, body(0xFF), index), None);
        assert_eq!(chunk(store, body(1), index).unwrap(), "chunk");
    }
}

fn a_replaced_record_takes_its_chunks_along(store: &dyn Store) {
    stage(store, body(1), 0, b"old");
    stage(store, body(1), 1, b"old");
    let old = Record { body: Some(body(1)), chunks: 2, ..record(b"head") };
    put(store, 1, old);
    put(store, 1, Record { sealed: b"the same body", ..old });
    assert_eq!(chunk(store, body(1), 1).unwrap(), "old");
    stage(store, body(2), 0, b"new");
    put(store, 1, Record { body: Some(body(2)), chunks: 1, ..record(b"head") });
    assert_eq!([0, 1].map(|index| chunk(store, body(1), index)), [None, None]);
    assert_eq!(chunk(store, body(2), 0).unwrap(), "new");
}

fn a_record_whose_chunks_are_not_there_is_not_put(store: &dyn Store) {
    put(store, 1, record(b"before"));
    for of in [body(1), body(0xFF)] {
        stage(store, of, 0, b"a");
        stage(store, of, 2, b"c");
        let named = Record { body: Some(of), chunks: 3, ..record(b"head") };
        assert!(wait(store.put(&key(1), named)).is_err());
        assert_eq!(sealed(store, 1).unwrap(), "before");
        stage(store, of, 1, b"b");
        put(store, 2, named);
    }
}

fn unstaged_chunks_are_gone(store: &dyn Store) {
    for of in [body(1), body(2), body(0xFF)] {
        for index in 0..3 {
            stage(store, of, index, b"chunk");
        }
    }
    for of in [body(1), body(0xFF)] {
        wait(store.unstage(of, 2)).unwrap();
        assert_eq!([0, 1].map(|index| chunk(store, of, index)), [None, None]);
        assert_eq!(chunk(store, of, 2).unwrap(), "chunk");
    }
    assert_eq!(chunk(store, body(2), 0).unwrap(), "chunk");
}

fn a_cleared_store_is_empty(store: &dyn Store) {
    stage(store, body(1), 0, b"chunk");
    put(store, 1, Record { body: Some(body(1)), chunks: 1, ..record(b"x") });
    let id = store.id();
    wait(store.clear()).unwrap();
    assert_eq!(keys(store, 10), []);
    assert_eq!(chunk(store, body(1), 0), None);
    assert_eq!(wait(store.usage()).unwrap().records, 0);
    put(store, 1, record(b"again"));
    assert_eq!(sealed(store, 1).unwrap(), "again");
    assert_eq!(store.id(), id);
}

fn usage_follows_what_is_stored(store: &dyn Store) {
    let empty = wait(store.usage()).unwrap();
    assert_eq!(empty.records, 0);
    for n in 0..10 {
        put(store, n, record(&[n as u8; 10_000]));
    }
    let full = wait(store.usage()).unwrap();
    assert_eq!(full.records, 10);
    assert!(full.bytes >= empty.bytes + 100_000, "{full:?} after {empty:?}");
    for n in 0..10 {
        wait(store.remove(&key(n))).unwrap();
    }
    let after = wait(store.usage()).unwrap();
    assert_eq!(after.records, 0);
    assert!(after.bytes < full.bytes - 90_000, "{after:?} after {full:?}");
}

fn writers_in_threads_lose_nothing(store: &dyn Store) {
    std::thread::scope(|scope| {
        for thread in 0..4 {
            scope.spawn(move || {
                for n in 0..50 {
                    let n = thread * 1000 + n;
                    put(store, n, record(&n.to_be_bytes()));
                    assert_eq!(sealed(store, n).unwrap(), n.to_be_bytes().as_slice());
                }
            });
        }
    });
    for thread in 0..4_u32 {
        for n in 0..50 {
            let n = thread * 1000 + n;
            assert_eq!(sealed(store, n).unwrap(), n.to_be_bytes().as_slice());
        }
    }
    assert_eq!(wait(store.usage()).unwrap().records, 200);
}

fn touches_never_bring_a_body_back(store: &dyn Store) {
    for round in 0..20 {
        put(store, 1, Record { body: Some(body(1)), ..record(b"old") });
        std::thread::scope(|scope| {
            scope.spawn(|| put(store, 1, Record { body: Some(body(2)), ..record(b"new") }));
            for _ in 0..2 {
                scope.spawn(|| {
                    let touched = Record { body: Some(body(1)), ..record(b"old, touched") };
                    wait(store.touch(&key(1), Some(body(1)), touched)).unwrap();
                });
            }
        });
        assert_eq!(sealed(store, 1).unwrap(), "new", "round {round}");
    }
}

fn a_closed_store_can_be_used_again(store: &dyn Store) {
    put(store, 1, record(b"before"));
    wait(store.close()).unwrap();
    assert_eq!(sealed(store, 1).unwrap(), "before");
    put(store, 1, record(b"after"));
    assert_eq!(sealed(store, 1).unwrap(), "after");
}

fn an_untouched_store_has_nothing_to_report(store: &dyn Store) {
    put(store, 1, record(b"x"));
    assert_eq!(wait(store.inspect()).unwrap(), Vec::<String>::new());
}
