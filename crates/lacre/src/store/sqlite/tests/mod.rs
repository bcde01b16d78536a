//! "SQLite as a hostile file": each test plants one thing and is named after the property that
//! survives it.

mod capacity;
#[cfg(unix)]
mod files;
mod sharing;

use super::*;
use crate::StoreErrorKind;
use crate::clock::MonotonicTime;
use crate::store::{ORPHAN_AGE, StoreExt, locks, suite};
use crate::{ErrorKind, Event, wait};
use rusqlite::params;
use rusqlite::types::Value;
use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;
use tempfile::TempDir;

const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

fn place() -> (TempDir, PathBuf) {
    let root = tempfile::tempdir().unwrap();
    let file = root.path().join("cache.sqlite");
    (root, file)
}

/// A store of `count` records, closed.
fn stored(count: u8) -> (TempDir, PathBuf) {
    let (root, file) = place();
    let store = Sqlite::open(&file).unwrap();
    for n in 0..count {
        wait(store.put(&key(n), record(&[n; 100]))).unwrap();
    }
    wait(store.close()).unwrap();
    (root, file)
}

/// Runs SQL as somebody would who can write the file, with every safeguard off.
fn plant(file: &Path, sql: &str) {
    Connection::open(file).unwrap().execute_batch(sql).unwrap();
}

fn key(n: u8) -> Key {
    Key::from_bytes([n; 32])
}

fn record(sealed: &[u8]) -> Record<'_> {
    Record { body: None, chunks: 0, expires: NOW.plus(Duration::from_secs(60)), written: NOW, sealed }
}

fn sealed(store: &Sqlite, n: u8) -> Option<Vec<u8>> {
    wait(store.fetch(&key(n))).unwrap().map(|record| record.sealed.to_vec())
}

fn refusal(file: &Path) -> (StoreErrorKind, Error) {
    let error = Sqlite::open(file).unwrap_err();
    let ErrorKind::Store(trouble) = error.kind() else { panic!("{error:?}") };
    assert!(error.hint().is_some(), "{error:?} has no remedy");
    assert!(!error.to_string().contains('\n'));
    (trouble, error)
}

#[test]
fn the_tables_are_those_of_the_format() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/format.md");
    let page = fs::read_to_string(page).unwrap();
    let (_root, file) = stored(0);
    let connection = Connection::open(&file).unwrap();
    let mut statement = connection.prepare("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL").unwrap();
    let tables = statement.query_map([], |row| row.get::<_, String>(0)).unwrap();
    let missing: Vec<_> =
        tables.map(Result::unwrap).filter(|sql| !page.contains(&format!("\n{sql}\n"))).collect();
    assert_eq!(missing, Vec::<String>::new());
}

#[test]
fn the_sqlite_store_passes_the_suite() {
    let root = tempfile::tempdir().unwrap();
    let count = std::cell::Cell::new(0);
    suite::run(|| {
        count.set(count.get() + 1);
        Box::new(Sqlite::open(root.path().join(format!("{}.sqlite", count.get()))).unwrap())
    });
}

#[test]
fn p23_planted_triggers_are_inert_and_reported() {
    let (_root, file) = stored(1);
    plant(
        &file,
        "CREATE TRIGGER pin BEFORE DELETE ON slot BEGIN SELECT RAISE(IGNORE); END;
         CREATE TRIGGER swallow BEFORE INSERT ON slot BEGIN SELECT RAISE(IGNORE); END;
         CREATE TRIGGER freeze BEFORE UPDATE ON slot BEGIN SELECT RAISE(ABORT, 'no'); END",
    );
    let store = Sqlite::open(&file).unwrap();
    assert!(wait(store.remove(&key(0))).unwrap());
    assert_eq!(sealed(&store, 0), None);
    wait(store.put(&key(1), record(b"written"))).unwrap();
    assert_eq!(sealed(&store, 1).unwrap(), b"written");
    let findings = wait(store.inspect()).unwrap();
    assert_eq!(findings.len(), 3);
    assert!(findings[0].contains("trigger \"pin\" on \"slot\""), "{findings:?}");
}

#[test]
fn a_trigger_planted_while_the_store_is_open_is_inert_too() {
    let (_root, file) = stored(1);
    let store = Sqlite::open(&file).unwrap();
    plant(&file, "CREATE TRIGGER pin BEFORE DELETE ON slot BEGIN SELECT RAISE(IGNORE); END");
    assert!(wait(store.remove(&key(0))).unwrap());
    assert_eq!(sealed(&store, 0), None);
    assert_eq!(wait(store.inspect()).unwrap().len(), 1);
}

#[test]
fn p23_planted_tables_and_views_are_inert_and_reported_in_one_printable_line_each() {
    let (_root, file) = stored(1);
    plant(&file, "CREATE TABLE \"x\n\u{1b}[31m\" (a); CREATE VIEW v AS SELECT * FROM slot");
    let store = Sqlite::open(&file).unwrap();
    assert!(sealed(&store, 0).is_some());
    let findings = wait(store.inspect()).unwrap();
    assert_eq!(findings.len(), 2);
    assert!(findings.iter().all(|finding| finding.chars().all(|c| !c.is_control())), "{findings:?}");
}

#[test]
fn a_view_in_the_place_of_a_table_is_refused() {
    let (_root, file) = stored(1);
    plant(&file, "ALTER TABLE slot RENAME TO hidden; CREATE VIEW slot AS SELECT * FROM hidden");
    assert_eq!(refusal(&file).0, StoreErrorKind::Unusable);
}

#[test]
fn a_table_of_ours_that_was_altered_is_refused() {
    for sql in [
        "ALTER TABLE slot ADD COLUMN extra",
        "DROP TABLE chunk",
        "DROP TABLE slot; CREATE TABLE slot (id INTEGER PRIMARY KEY, key TEXT, body BLOB, chunks, expires, written, sealed CHECK (sealed != x'00'))",
        "CREATE UNIQUE INDEX planted ON slot (written)",
        "DELETE FROM meta",
        "UPDATE meta SET value = 'sixteen letters!'",
        "UPDATE meta SET value = x'00'",
        "PRAGMA user_version = 0",
        "PRAGMA user_version = 1",
        "DROP TABLE lease",
    ] {
        let (_root, file) = stored(1);
        plant(&file, sql);
        assert_eq!(refusal(&file).0, StoreErrorKind::Unusable, "{sql}");
    }
}

#[test]
fn p24_garbage_foreign_newer_and_damaged_files_are_each_refused_and_left_as_they_are() {
    let (_root, garbage) = place();
    fs::write(
        &garbage,
        "these are not the bytes of a database, and there are enough of them to tell that ".repeat(100),
    )
    .unwrap();
    let (_root2, foreign) = place();
    plant(&foreign, "CREATE TABLE responses (key, value); INSERT INTO responses VALUES (1, 2)");
    let (_root3, newer) = stored(1);
    plant(&newer, "PRAGMA user_version = 3");
    let (_root4, damaged) = stored(1);
    let mut bytes = fs::read(&damaged).unwrap();
    bytes[100..108].fill(0xFF);
    fs::write(&damaged, bytes).unwrap();
    for (file, expected) in [
        (garbage, StoreErrorKind::Unusable),
        (foreign, StoreErrorKind::Unusable),
        (newer, StoreErrorKind::TooNew),
        (damaged, StoreErrorKind::Corrupt),
    ] {
        make_private(&file);
        let before = fs::read(&file).unwrap();
        assert_eq!(refusal(&file).0, expected, "{}", file.display());
        assert_eq!(fs::read(&file).unwrap(), before);

        let watch = Arc::new(Watch::default());
        let store = Sqlite::options().set_aside_unusable().observer(watch.clone()).open(&file).unwrap();
        wait(store.put(&key(1), record(b"goes on"))).unwrap();
        assert_eq!(sealed(&store, 1).unwrap(), b"goes on");
        let aside = watch.0.lock().unwrap().clone().expect("nobody was told");
        assert_eq!(fs::read(&aside).unwrap(), before);
        assert!(aside.file_name().unwrap().to_string_lossy().starts_with("cache.sqlite.set-aside-"));
    }
}

#[derive(Debug, Default)]
struct Watch(Mutex<Option<PathBuf>>);

impl Observer for Watch {
    fn on_event(&self, event: Event<'_>) {
        if let Event::StoreSetAside { to, .. } = event {
            *self.0.lock().unwrap() = Some(to.to_owned());
        }
    }
}

#[test]
fn good_store_is_never_set_aside() {
    let (_root, file) = stored(3);
    let store = Sqlite::options().set_aside_unusable().open(&file).unwrap();
    assert!(sealed(&store, 2).is_some());
}

#[test]
fn a_value_of_another_type_or_size_is_refused_and_breaks_nothing_else() {
    let other_values = [
        ("key", Value::Text("x".repeat(32))),
        ("key", Value::Blob(vec![1; 31])),
        ("body", Value::Text(String::new())),
        ("body", Value::Blob(vec![1; 15])),
        ("chunks", Value::Real(0.5)),
        ("chunks", Value::Integer(-1)),
        ("chunks", Value::Integer(1 << 40)),
        ("expires", Value::Text("soon".into())),
        ("written", Value::Blob(vec![])),
        ("sealed", Value::Text("readable".into())),
        ("sealed", Value::Integer(7)),
    ];
    for (column, value) in other_values {
        let (_root, file) = stored(5);
        let changed = Connection::open(&file)
            .unwrap()
            .execute(&format!("UPDATE slot SET {column} = ?1 WHERE key = ?2"), params![value, [2_u8; 32]])
            .unwrap();
        assert_eq!(changed, 1);
        let store = Sqlite::open(&file).unwrap();
        let error = wait(store.fetch(&key(2))).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Broken, "{column}: {error:?}");

        let (mut good, mut bad) = (Vec::new(), Vec::new());
        wait(store.each(&mut |row| if row.record.is_ok() { good.push(row.key) } else { bad.push(row.key) }))
            .unwrap();
        assert_eq!((good.len(), bad.len()), (4, 1), "{column}");
        assert!(wait(store.sweep(NOW)).is_ok());
        assert!(wait(store.remove(&bad[0])).unwrap(), "{column}");
        assert_eq!(wait(store.usage()).unwrap().records, 4);
        wait(store.put(&key(2), record(b"healed"))).unwrap();
        assert_eq!(sealed(&store, 2).unwrap(), b"healed");
    }
}

#[test]
fn a_row_under_another_rows_number_is_not_found_and_listed_as_broken() {
    let (_root, file) = stored(2);
    plant(&file, "UPDATE slot SET id = 77 WHERE id = 0");
    let store = Sqlite::open(&file).unwrap();
    assert_eq!(sealed(&store, 0), None);
    let mut bad = Vec::new();
    wait(store.each(&mut |row| bad.extend(row.record.err().map(|_| row.key)))).unwrap();
    assert_eq!(bad.len(), 1);
    assert!(wait(store.remove(&bad[0])).unwrap());
}

#[test]
fn a_giant_planted_row_is_refused_unread_and_breaks_nothing_else() {
    let (_root, file) = stored(3);
    plant(&file, "UPDATE slot SET sealed = zeroblob(20000000) WHERE id = 72340172838076673");
    let store = Sqlite::open(&file).unwrap();
    assert_eq!(wait(store.fetch(&key(1))).unwrap_err().kind(), ErrorKind::Broken);
    let (mut good, mut bad) = (0, 0);
    wait(store.each(&mut |row| *if row.record.is_ok() { &mut good } else { &mut bad } += 1)).unwrap();
    assert_eq!((good, bad), (2, 1));
    assert!(wait(store.remove(&key(1))).unwrap());
}

// SQLite copies values out of the mapped file; were that to change, a seal could be checked on
// other bytes than are opened.

#[test]
fn lent_bytes_stay_the_same_while_another_process_writes_into_the_file() {
    for size in [40, 1000, 4000, 5000, 70_000] {
        let (_root, file) = place();
        let (kept, body) = (vec![0xA5; size], BodyId::from_bytes([4; 16]));
        let store = Sqlite::open(&file).unwrap();
        wait(store.put(&key(1), record(&kept))).unwrap();
        wait(store.stage(body, 0, &kept, NOW)).unwrap();
        wait(store.close()).unwrap();
        let overwrite = || {
            let bytes = fs::read(&file).unwrap();
            let edited: Vec<u8> = bytes.iter().map(|byte| if *byte == 0xA5 { 0 } else { *byte }).collect();
            assert_ne!(bytes, edited);
            fs::OpenOptions::new().write(true).open(&file).unwrap().write_all(&edited).unwrap();
            bytes
        };
        let mut same = None;
        let mut before = Vec::new();
        let mut check = |sealed: &[u8]| {
            before = overwrite();
            same = Some(sealed == kept);
        };
        wait(store.get(&key(1), &mut |record| check(record.sealed))).unwrap();
        assert_eq!(same, Some(true), "a record of {size} bytes");
        fs::OpenOptions::new().write(true).open(&file).unwrap().write_all(&before).unwrap();
        let mut same = None;
        wait(store.chunk(body, 0, &mut |sealed| {
            overwrite();
            same = Some(sealed == kept);
        }))
        .unwrap();
        assert_eq!(same, Some(true), "a chunk of {size} bytes");
    }
}

#[test]
fn a_claimed_number_of_chunks_costs_nothing_to_remove() {
    let (_root, file) = stored(0);
    let store = Sqlite::open(&file).unwrap();
    let body = BodyId::from_bytes([0xFF; 16]);
    wait(store.stage(body, 0, b"chunk", NOW)).unwrap();
    wait(store.put(&key(1), Record { body: Some(body), chunks: 1, ..record(b"x") })).unwrap();
    plant(&file, &format!("UPDATE slot SET chunks = {}", u32::MAX));
    assert!(wait(store.remove(&key(1))).unwrap());
    assert!(wait(store.fetch_chunk(body, 0)).unwrap().is_none());
}

#[test]
fn p25_removed_content_is_nowhere_in_the_files_once_the_store_is_closed() {
    const SMALL: &[u8] = b"removed-secret-removed-secret";
    for clear in [false, true] {
        let (root, file) = place();
        let store = Sqlite::open(&file).unwrap();
        let large = SMALL.repeat(5000);
        let body = BodyId::from_bytes([3; 16]);
        for n in 0..20 {
            wait(store.put(&key(n), record(if n % 2 == 0 { SMALL } else { &large }))).unwrap();
        }
        wait(store.stage(body, 0, &large, NOW)).unwrap();
        wait(store.put(&key(20), Record { body: Some(body), chunks: 1, ..record(SMALL) })).unwrap();
        wait(store.put(&key(21), record(b"stays"))).unwrap();
        wait(store.close()).unwrap();
        let found = |needle: &[u8]| {
            fs::read_dir(root.path()).unwrap().any(|entry| {
                let bytes = fs::read(entry.unwrap().path()).unwrap();
                bytes.windows(needle.len()).any(|window| window == needle)
            })
        };
        assert!(found(&SMALL[..14]), "the search would find nothing at all");
        if clear {
            wait(store.clear()).unwrap();
        } else {
            for n in 0..=20 {
                wait(store.remove(&key(n))).unwrap();
            }
            wait(store.close()).unwrap();
            assert!(found(b"stays"));
        }
        assert!(!found(&SMALL[..14]), "clear: {clear}");
    }
}

#[test]
fn a_file_that_cannot_be_opened_just_now_is_not_taken_for_unusable() {
    let busy = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CANTOPEN);
    let error = error::store_error(rusqlite::Error::SqliteFailure(busy, None));
    assert!(!open::is_about_content(&error), "{error:?}");
}

#[test]
fn a_directory_in_the_place_of_the_file_is_refused() {
    let (_root, file) = place();
    fs::create_dir(&file).unwrap();
    let (trouble, error) = refusal(&file);
    assert_eq!(trouble, StoreErrorKind::Unusable);
    assert!(error.to_string().contains("is a directory"), "{error}");
}

#[test]
fn an_empty_file_becomes_a_store() {
    let (_root, file) = place();
    fs::write(&file, "").unwrap();
    make_private(&file);
    let store = Sqlite::open(&file).unwrap();
    wait(store.put(&key(1), record(b"x"))).unwrap();
}

#[cfg(not(unix))]
fn make_private(_: &Path) {}

#[cfg(unix)]
use files::make_private;
