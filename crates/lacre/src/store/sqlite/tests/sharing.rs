//! Opening the same file again: later, by another process, for reading, in an earlier version.

use super::*;

#[test]
fn a_store_keeps_its_id_and_records_when_opened_again() {
    let (_root, file) = place();
    let id = {
        let store = Sqlite::open(&file).unwrap();
        wait(store.put(&key(1), record(b"kept"))).unwrap();
        store.id()
    };
    let store = Sqlite::open(&file).unwrap();
    assert_eq!(store.id(), id);
    assert_eq!(sealed(&store, 1).unwrap(), b"kept");
}

/// A store as version 1 of the format had it: without leases.
fn make_older(file: &Path) {
    plant(file, "DROP TABLE lease; PRAGMA user_version = 1");
}

#[test]
fn a_store_of_version_1_is_brought_up_to_date_and_keeps_everything() {
    let (_root, file) = stored(3);
    let id = Sqlite::open(&file).unwrap().id();
    make_older(&file);
    let reading = Sqlite::options().read_only().open(&file).unwrap();
    assert_eq!(sealed(&reading, 2).unwrap(), [2; 100]);
    let store = Sqlite::open(&file).unwrap();
    assert_eq!((store.id(), sealed(&store, 2).unwrap()), (id, vec![2; 100]));
    let until = NOW.plus(Duration::from_secs(1));
    assert!(wait(store.lease(&key(1), LeaseHolder::generate().unwrap(), until, NOW)).unwrap());
    assert_eq!(wait(store.inspect()).unwrap(), Vec::<String>::new());
}

#[test]
fn generation_changes_only_when_another_writer_writes() {
    let (_root, file) = stored(1);
    let (store, other) = (Sqlite::open(&file).unwrap(), Sqlite::open(&file).unwrap());
    let reading = Sqlite::options().read_only().open(&file).unwrap();
    let generations = || [store.generation().unwrap(), reading.generation().unwrap()];
    let before = generations();
    wait(store.put(&key(1), record(b"own"))).unwrap();
    assert_eq!(store.generation().unwrap(), before[0]);
    let before = generations();
    wait(other.put(&key(1), record(b"of another"))).unwrap();
    let after = generations();
    assert!(before[0] != after[0] && before[1] != after[1]);
    assert_eq!(generations(), after);
    let during = wait(store.write(|_| Ok(store.generation()))).unwrap();
    assert_eq!(during, None);
}

#[test]
fn planted_lease_delays_nobody() {
    let (_root, file) = stored(1);
    let store = Sqlite::open(&file).unwrap();
    for until in ["9223372036854775807", "'later'", "x'00'"] {
        plant(&file, &format!("INSERT OR REPLACE INTO lease VALUES (72340172838076673, x'00', {until})"));
        let until = NOW.plus(Duration::from_secs(1));
        assert!(wait(store.lease(&key(1), LeaseHolder::generate().unwrap(), until, NOW)).unwrap());
    }
}

#[test]
fn a_store_opened_for_reading_reads_and_refuses_to_write() {
    let (root, file) = stored(0);
    let reading = Sqlite::options().read_only().open(&file).unwrap();
    suite::run_reading(&Sqlite::open(&file).unwrap(), &reading);
    for absent in ["absent.sqlite", "absent/cache.sqlite"].map(|name| root.path().join(name)) {
        let error = Sqlite::options().read_only().set_aside_unusable().open(&absent).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Store(StoreErrorKind::Missing));
        assert!(!absent.exists() && !root.path().join("absent").exists());
    }
}

#[test]
fn reading_leaves_nothing_beside_the_file() {
    let (root, file) = stored(3);
    let before = contents(root.path());
    {
        let reading = Sqlite::options().read_only().open(&file).unwrap();
        assert_eq!(sealed(&reading, 2).unwrap(), [2; 100]);
        let mut rows = 0;
        wait(reading.each(&mut |row| rows += u32::from(row.record.is_ok()))).unwrap();
        assert_eq!((rows, wait(reading.usage()).unwrap().records), (3, 3));
        assert_eq!(wait(reading.inspect()).unwrap(), Vec::<String>::new());
        assert_eq!(contents(root.path()), before);
    }
    assert_eq!(contents(root.path()), before);
    fs::write(&file, "").unwrap();
    let error = Sqlite::options().read_only().open(&file).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Store(StoreErrorKind::Missing), "it is empty");
    assert_eq!(fs::read(&file).unwrap(), b"");
}

/// Names and contents of what lies in a directory.
fn contents(directory: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let names = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let mut contents: Vec<_> = names.map(|name| (name.clone(), fs::read(name).unwrap())).collect();
    contents.sort();
    contents
}

#[test]
fn read_only_store_sees_later_writes() {
    let (_root, file) = stored(1);
    let reading = Sqlite::options().read_only().open(&file).unwrap();
    assert_eq!(sealed(&reading, 1), None);
    let before = reading.generation().unwrap();
    let store = Sqlite::open(&file).unwrap();
    wait(store.put(&key(1), record(b"later"))).unwrap();
    assert_eq!(sealed(&reading, 1).unwrap(), b"later");
    assert_ne!(reading.generation().unwrap(), before);
    wait(store.put(&key(1), record(b"latest"))).unwrap();
    wait(store.close()).unwrap();
    drop(store);
    assert_eq!(sealed(&reading, 1).unwrap(), b"latest");
}

/// The lock to write, as a backup or a shell of another process would keep it.
fn lock(file: &Path) -> Connection {
    let other = Connection::open(file).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    other
}

/// Polls once, as an executor would; what is not done then holds up nobody.
fn once<T>(mut done: Fut<'_, T>) -> Option<Result<T, Error>> {
    use std::task::{Context, Poll, Waker};
    match done.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(done) => Some(done),
        Poll::Pending => None,
    }
}

#[test]
fn lock_wait_does_not_block_the_executor() {
    let (_root, file) = stored(1);
    let store = Sqlite::open(&file).unwrap();
    let (holder, until) = (LeaseHolder::generate().unwrap(), NOW.plus(Duration::from_secs(1)));
    assert!(wait(store.lease(&key(7), holder, until, NOW)).unwrap());
    let other = lock(&file);
    let begun = MonotonicTime::now();
    assert!(once(store.put(&key(1), record(b"x"))).is_none());
    assert!(once(store.touch(&key(0), None, record(b"x"))).is_none());
    assert!(once(store.remove(&key(0))).is_none());
    assert!(once(store.stage(BodyId::from_bytes([1; 16]), 0, b"x", NOW)).is_none());
    assert!(once(store.unstage(BodyId::from_bytes([1; 16]), 1)).is_none());
    assert!(once(store.lease(&key(7), holder, until, NOW)).is_none());
    assert!(once(store.release(&key(7), holder)).is_none());
    assert!(once(store.sweep(NOW)).is_none());
    assert!(once(store.clear()).is_none());
    assert_eq!(sealed(&store, 0).unwrap(), [0; 100], "reading goes on");
    assert!(wait(store.usage()).is_ok() && store.generation().is_some());
    assert!(begun.elapsed() < locks::STUCK, "somebody waited");
    drop(other);
    wait(store.put(&key(1), record(b"written"))).unwrap();
    assert_eq!(sealed(&store, 1).unwrap(), b"written");
}

#[test]
fn a_write_that_waits_is_done_when_the_lock_is_free() {
    let (_root, file) = stored(1);
    let store = Sqlite::open(&file).unwrap();
    let other = lock(&file);
    let waiting = std::thread::scope(|scope| {
        let waiting = scope.spawn(|| wait(store.put(&key(1), record(b"written"))));
        while once(store.put(&key(2), record(b"x"))).is_some() {}
        drop(other);
        waiting.join().unwrap()
    });
    waiting.unwrap();
    assert_eq!(sealed(&store, 1).unwrap(), b"written");
}

#[test]
fn kept_lock_is_waited_for_and_reported_once() {
    let (_root, file) = stored(1);
    let store = Sqlite::open(&file).unwrap();
    let other = lock(&file);
    let first = wait(store.put(&key(1), record(b"x"))).unwrap_err();
    assert_eq!(first.kind(), ErrorKind::Store(StoreErrorKind::Locked));
    assert!(!first.is_repeated());
    for _ in 0..3 {
        let next = once(store.put(&key(1), record(b"x"))).expect("it waits again").unwrap_err();
        assert!(next.is_repeated() && next.kind() == ErrorKind::Store(StoreErrorKind::Locked));
    }
    drop(other);
    wait(store.put(&key(1), record(b"x"))).unwrap();
}

#[test]
fn exclusively_locked_file_blocks_no_thread() {
    let (_root, file) = stored(1);
    let store = Sqlite::open(&file).unwrap();
    let log = place::beside(&file, "-shm");
    drop(store);
    let other = Connection::open(&file).unwrap();
    other
        .execute_batch("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE; UPDATE slot SET written = written")
        .unwrap();
    let error = Sqlite::options().read_only().open(&file).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Store(StoreErrorKind::Locked), "{error:?} {}", log.exists());
}

fn write_megabytes(store: &Sqlite, body: u8, count: u32) {
    let chunk = vec![body; 1 << 20];
    for index in 0..count {
        wait(store.stage(BodyId::from_bytes([body; 16]), index, &chunk, NOW)).unwrap();
    }
}

fn log_megabytes(file: &Path) -> u64 {
    fs::metadata(place::beside(file, "-wal")).map_or(0, |log| log.len() >> 20)
}

#[test]
fn log_stays_short_under_many_writes() {
    let (_root, file) = place();
    let stores = [Sqlite::open(&file).unwrap(), Sqlite::open(&file).unwrap()];
    std::thread::scope(|scope| {
        for (body, store) in (1..).zip(&stores) {
            let file = &file;
            scope.spawn(move || {
                for _ in 0..8 {
                    write_megabytes(store, body, 10);
                    assert!(log_megabytes(file) < 64, "{} MB", log_megabytes(file));
                }
            });
        }
    });
    for (body, store) in (1..).zip(&stores) {
        let chunk = wait(store.fetch_chunk(BodyId::from_bytes([body; 16]), 9)).unwrap().unwrap();
        assert!(chunk.iter().all(|byte| *byte == body));
    }
}

#[test]
fn endless_reader_delays_no_writer() {
    let (_root, file) = stored(1);
    let store = Sqlite::open(&file).unwrap();
    write_megabytes(&store, 1, 1);
    let reader = Connection::open(&file).unwrap();
    reader.execute_batch("BEGIN; SELECT count(*) FROM slot").unwrap();
    write_megabytes(&store, 1, 40);
    assert!(log_megabytes(&file) >= 40);
    drop(reader);
    write_megabytes(&store, 1, 10);
    wait(store.close()).unwrap();
    assert_eq!(log_megabytes(&file), 0);
    assert_eq!(sealed(&store, 0).unwrap(), [0; 100]);
}
