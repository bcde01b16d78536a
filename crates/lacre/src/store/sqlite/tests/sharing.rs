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
    assert!(wait(store.lease(&key(1), Holder::generate().unwrap(), until, NOW)).unwrap());
    assert_eq!(wait(store.inspect()).unwrap(), Vec::<String>::new());
}

#[test]
fn the_generation_changes_when_somebody_else_writes_and_only_then() {
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
    let during = store.write(|_| Ok(store.generation())).unwrap();
    assert_eq!(during, None);
}

#[test]
fn a_planted_lease_holds_nobody_up() {
    let (_root, file) = stored(1);
    let store = Sqlite::open(&file).unwrap();
    for until in ["9223372036854775807", "'later'", "x'00'"] {
        plant(&file, &format!("INSERT OR REPLACE INTO lease VALUES (72340172838076673, x'00', {until})"));
        let until = NOW.plus(Duration::from_secs(1));
        assert!(wait(store.lease(&key(1), Holder::generate().unwrap(), until, NOW)).unwrap());
    }
}

#[test]
fn a_store_opened_for_reading_reads_and_refuses_to_write() {
    let (root, file) = stored(0);
    let reading = Sqlite::options().read_only().open(&file).unwrap();
    suite::run_reading(&Sqlite::open(&file).unwrap(), &reading);
    let absent = root.path().join("absent.sqlite");
    assert!(Sqlite::options().read_only().open(&absent).is_err());
    assert!(!absent.exists());
}

fn write_megabytes(store: &Sqlite, body: u8, count: u32) {
    let chunk = vec![body; 1 << 20];
    for index in 0..count {
        wait(store.stage(BodyId::from_bytes([body; 16]), index, &chunk, NOW)).unwrap();
    }
}

fn log_megabytes(file: &Path) -> u64 {
    fs::metadata(open::beside(file, "-wal")).map_or(0, |log| log.len() >> 20)
}

#[test]
fn the_log_stays_short_however_much_is_written_and_whoever_writes() {
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
fn a_reader_that_never_ends_keeps_the_log_in_use_and_holds_nobody_up() {
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
