//! What the stores cost, by size of the record; reading beside the bare floor of SQLite itself.
//!
//! `cargo bench -p lacre --bench store`
#![expect(clippy::expect_used, reason = "a benchmark that cannot start has nothing else to do")]

use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use lacre::store::{Memory, Record, Sqlite, Store};
use lacre::{Key, Timestamp, wait};
use rusqlite::Connection;
use std::path::PathBuf;
use tempfile::TempDir;

const SIZES: [usize; 4] = [1 << 10, 10 << 10, 100 << 10, 1 << 20];
const RECORDS: u8 = 16;

fn main() {
    divan::main();
}

fn key(n: u8) -> Key {
    Key::from_bytes([n.wrapping_mul(37); 32])
}

fn record(sealed: &[u8]) -> Record<'_> {
    Record { body: None, chunks: 0, expires: Timestamp::MAX, written: Timestamp::default(), sealed }
}

fn filled(store: &dyn Store, size: usize) {
    let sealed = vec![7; size];
    for n in 0..RECORDS {
        wait(store.put(&key(n), record(&sealed))).expect("a record is stored");
    }
}

fn sqlite() -> (TempDir, PathBuf, Sqlite) {
    let root = tempfile::tempdir().expect("a directory is made");
    let file = root.path().join("cache.sqlite");
    let store = Sqlite::open(&file).expect("a store is made");
    (root, file, store)
}

fn read(bencher: Bencher<'_, '_>, store: &dyn Store, size: usize) {
    let mut n = 0;
    bencher.counter(BytesCount::new(size)).bench_local(|| {
        n = (n + 1) % RECORDS;
        let mut length = 0;
        let found = wait(store.get(&key(n), &mut |record| length = black_box(record.sealed).len()));
        assert!(found.expect("the store answers") && length == size);
    });
}

fn write(bencher: Bencher<'_, '_>, store: &dyn Store, size: usize) {
    let sealed = vec![7; size];
    let mut n = 0;
    bencher.counter(BytesCount::new(size)).bench_local(|| {
        n = (n + 1) % RECORDS;
        wait(store.put(&key(n), record(&sealed))).expect("a record is stored");
    });
}

#[divan::bench(args = SIZES)]
fn read_floor_bare_sqlite(bencher: Bencher<'_, '_>, size: usize) {
    let (_root, file, store) = sqlite();
    filled(&store, size);
    wait(store.close()).expect("the store is closed");
    drop(store);
    let connection = Connection::open(file).expect("the file is opened");
    connection.pragma_update(None, "mmap_size", 256 << 20).expect("the file is mapped");
    let mut statement =
        connection.prepare("SELECT sealed FROM slot WHERE id = ?1").expect("the statement is prepared");
    let mut n = 0;
    bencher.counter(BytesCount::new(size)).bench_local(|| {
        n = (n + 1) % RECORDS;
        let id = i64::from_be_bytes([n.wrapping_mul(37); 8]);
        let mut rows = statement.query([id]).expect("the statement runs");
        let row = rows.next().expect("the statement steps").expect("the row is there");
        let bytes = row.get_ref(0).expect("the column is there").as_blob().expect("it is a blob");
        assert_eq!(black_box(bytes).len(), size);
    });
}

#[divan::bench(args = SIZES)]
fn read_sqlite(bencher: Bencher<'_, '_>, size: usize) {
    let (_root, _, store) = sqlite();
    filled(&store, size);
    wait(store.close()).expect("the store is closed");
    read(bencher, &store, size);
}

#[divan::bench(args = SIZES)]
fn read_memory(bencher: Bencher<'_, '_>, size: usize) {
    let store = Memory::new().expect("a store is made");
    filled(&store, size);
    read(bencher, &store, size);
}

#[divan::bench(args = SIZES)]
fn write_sqlite(bencher: Bencher<'_, '_>, size: usize) {
    let (_root, _, store) = sqlite();
    write(bencher, &store, size);
}

#[divan::bench(args = SIZES)]
fn write_memory(bencher: Bencher<'_, '_>, size: usize) {
    write(bencher, &Memory::new().expect("a store is made"), size);
}

#[divan::bench]
fn read_nothing_sqlite(bencher: Bencher<'_, '_>) {
    let (_root, _, store) = sqlite();
    bencher.bench_local(|| wait(store.get(&key(1), &mut |_| {})).expect("the store answers"));
}

#[divan::bench]
fn open_existing_sqlite(bencher: Bencher<'_, '_>) {
    let (_root, file, store) = sqlite();
    filled(&store, 1024);
    bencher.bench_local(|| Sqlite::open(&file).expect("the store is opened"));
}
