//! What is kept and what goes: sweeping, trimming, counting, clearing.

use super::*;

pub(super) fn sweep_removes_expired_records(store: &dyn Store) {
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

pub(super) fn sweep_removes_orphaned_chunks(store: &dyn Store) {
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

pub(super) fn a_cleared_store_is_empty(store: &dyn Store) {
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

pub(super) fn usage_follows_what_is_stored(store: &dyn Store) {
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

pub(super) fn an_untouched_store_has_nothing_to_report(store: &dyn Store) {
    put(store, 1, record(b"x"));
    assert_eq!(wait(store.inspect()).unwrap(), Vec::<String>::new());
}

/// Twelve records of 10 KB, of which the first `expired` did.
fn twelve(store: &dyn Store, expired: u32) {
    for n in 0..12 {
        let expires = if n < expired { NOW } else { Timestamp::MAX };
        put(store, n, Record { expires, ..record(&[7; 10_000]) });
    }
}

fn left(store: &dyn Store) -> Vec<u32> {
    (0..12).filter(|n| keys(store, 100).contains(&key(*n))).collect()
}

fn bytes(store: &dyn Store) -> u64 {
    wait(store.usage()).unwrap().bytes
}

pub(super) fn trim_reaches_its_limit(store: &dyn Store) {
    let later = NOW.plus(Duration::from_millis(1));
    twelve(store, 3);
    assert_eq!(wait(store.trim(bytes(store), later)).unwrap(), Swept::default());
    let most = bytes(store) - 25_000;
    assert_eq!(wait(store.trim(most, later)).unwrap(), Swept { records: 3, chunks: 0 });
    assert_eq!(left(store), (3..12).collect::<Vec<_>>());
    assert!(bytes(store) <= most);
    assert_eq!(wait(store.trim(0, later)).unwrap().records, 9);
    assert!(left(store).is_empty());
    assert_eq!(wait(store.trim(0, later)).unwrap(), Swept::default());
}

pub(super) fn trim_spares_recently_read_records(store: &dyn Store) {
    twelve(store, 0);
    let read = [1, 2, 5, 8, 9, 11];
    for n in read {
        fetch(store, n).unwrap();
    }
    let trimmed = wait(store.trim(bytes(store) - 45_000, NOW)).unwrap().records;
    assert!((4..=6).contains(&trimmed), "{trimmed}");
    assert!(read.iter().all(|n| left(store).contains(n)), "{:?}", left(store));
}

pub(super) fn trim_removes_chunks_with_their_records(store: &dyn Store) {
    for index in 0..3 {
        stage(store, body(1), index, &[1; 10_000]);
    }
    put(store, 1, Record { body: Some(body(1)), chunks: 3, ..record(b"head") });
    assert_eq!(wait(store.trim(bytes(store) - 1, NOW)).unwrap(), Swept { records: 1, chunks: 3 });
    assert_eq!([0, 1, 2].map(|index| chunk(store, body(1), index)), [None, None, None]);
}
