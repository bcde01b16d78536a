//! What happens where there is no room, no lock or no disk.

use super::*;

#[test]
fn full_store_evicts_expired_and_old_records() {
    // Eviction takes the oldest of a random sample, which leaves about ten of these 56 records.
    // Random eviction would leave about twenty; the sum of three stores tells the two apart.
    let left: usize = (0..3).map(|_| expired_and_oldest_left()).sum();
    assert!(left < 48, "{left}");
}

/// How many expired and old records are left after twice as many were written as there is room for.
fn expired_and_oldest_left() -> usize {
    const MAX_BYTES: u64 = 2 << 20;
    let (_root, file) = place();
    let store = Sqlite::options().max_bytes(MAX_BYTES).open(&file).unwrap();
    // What others read is spared by them, not here.
    let other = Sqlite::open(&file).unwrap();
    for n in 0..200_u8 {
        let expires = if n % 10 == 0 { NOW } else { Timestamp::MAX };
        let written = NOW.plus(Duration::from_secs(1 + u64::from(n)));
        // Spread over the numbers, as digests are.
        let mut bytes = [n; 32];
        bytes[..8].copy_from_slice(&u64::from(n).wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes());
        let key = Key::from_bytes(bytes);
        wait(store.put(&key, Record { expires, written, ..record(&[n; 20_000]) })).unwrap();
        assert!(wait(other.fetch(&key)).unwrap().is_some(), "what was just written stays");
    }
    let usage = wait(store.usage()).unwrap();
    assert!(usage.bytes <= MAX_BYTES && usage.records > 60, "{usage:?}");
    let mut left = Vec::new();
    wait(store.each(&mut |row| left.push(row.record.unwrap().sealed[0]))).unwrap();
    left.iter().filter(|n| **n < 40 || **n % 10 == 0).count()
}

#[test]
fn orphans_are_evicted_before_records() {
    let (_root, file) = place();
    let store = Sqlite::options().max_bytes(1 << 20).open(&file).unwrap();
    for index in 0..40 {
        wait(store.stage(BodyId::from_bytes([1; 16]), index, &[0; 20_000], NOW)).unwrap();
    }
    let later = NOW.plus(ORPHAN_AGE * 2);
    for n in 0..30 {
        let sealed = [n; 20_000];
        let record = Record { expires: Timestamp::MAX, written: later, ..record(&sealed) };
        wait(store.put(&key(n), record)).unwrap();
    }
    assert_eq!(wait(store.usage()).unwrap().records, 30);
}

#[test]
fn a_disk_too_full_to_open_the_store_is_called_full() {
    let full = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_IOERR_SHMSIZE);
    let error = error::store_error(rusqlite::Error::SqliteFailure(full, None));
    assert_eq!(error.kind(), ErrorKind::Store(StoreErrorKind::Full));
}

#[test]
fn record_over_the_limit_is_refused_and_nothing_is_lost() {
    let (_root, file) = place();
    let store = Sqlite::options().max_bytes(100_000).open(&file).unwrap();
    wait(store.put(&key(1), record(b"small"))).unwrap();
    let error = wait(store.put(&key(2), record(&[0; 200_000]))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Store(StoreErrorKind::Full));
    assert_eq!(sealed(&store, 1).unwrap(), b"small");
}

#[test]
fn a_full_disk_is_reported_and_loses_nothing() {
    let (_root, file) = stored(2);
    let store = Sqlite::open(&file).unwrap();
    store
        .with_writer(|connection| connection.pragma_update(None, "max_page_count", 10).or_store_error())
        .unwrap();
    let error = wait(store.put(&key(9), record(&[9; 1 << 20]))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Store(StoreErrorKind::Full));
    assert!(error.hint().is_some());
    assert_eq!(sealed(&store, 9), None);
    assert_eq!(sealed(&store, 0).unwrap(), [0; 100]);
    wait(store.put(&key(3), record(b"still works"))).unwrap();
    assert_eq!(sealed(&store, 3).unwrap(), b"still works");
}

#[test]
fn a_lock_that_is_never_released_is_reported() {
    let (_root, file) = stored(1);
    let store = Sqlite::open(&file).unwrap();
    store
        .with_writer(|connection| connection.busy_timeout(Duration::from_millis(20)).or_store_error())
        .unwrap();
    let other = Connection::open(&file).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let error = wait(store.put(&key(1), record(b"x"))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Store(StoreErrorKind::Locked));
    assert!(sealed(&store, 0).is_some(), "readers do not wait for writers");
    other.execute_batch("ROLLBACK").unwrap();
    wait(store.put(&key(1), record(b"x"))).unwrap();
}
