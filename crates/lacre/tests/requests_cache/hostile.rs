//! Caches that an enemy wrote.

use crate::{answer, get};
use lacre::ErrorKind;
use lacre::interchange::requests_cache::{Serializer, Source};
use rusqlite::Connection;
use std::fs;
use std::path::Path;

/// What would make the file `marker`, if anything obeyed it: `os.system("touch MARKER")`.
fn planted(marker: &Path) -> Vec<u8> {
    let command = format!("touch '{}'", marker.display());
    let mut pickle = b"\x80\x04\x8c\x02os\x8c\x06system\x93X".to_vec();
    pickle.extend_from_slice(&u32::try_from(command.len()).unwrap().to_le_bytes());
    pickle.extend_from_slice(command.as_bytes());
    pickle.extend_from_slice(b"\x85R.");
    pickle
}

fn database(path: &Path, schema: &str) -> Connection {
    let connection = Connection::open(path).unwrap();
    connection.execute_batch(schema).unwrap();
    connection
}

const SCHEMA: &str = "CREATE TABLE responses (key TEXT PRIMARY KEY, value BLOB, expires INTEGER)";

fn insert(connection: &Connection, key: impl rusqlite::ToSql, value: impl rusqlite::ToSql) {
    connection.execute("INSERT INTO responses (key, value) VALUES (?1, ?2)", (key, value)).unwrap();
}

#[test]
fn p15_a_planted_pickle_is_refused_by_name_and_never_runs() {
    let home = tempfile::tempdir().unwrap();
    let marker = home.path().join("marker");
    let error = Serializer::danger_unsigned().decode(&planted(&marker)).unwrap_err();
    assert_eq!(error.to_string(), "pickle opcode STACK_GLOBAL refused: it would run code");
    assert_eq!(error.kind(), ErrorKind::Broken);
    assert!(error.hint().unwrap().contains("0.7"));
    // Not even where it is signed.
    let signer = lacre::itsdangerous::Signer::builder().secret("k").salt("requests-cache").build().unwrap();
    let signed = Serializer::signed_by(signer.clone());
    assert!(signed.decode(&signer.sign(&planted(&marker))).is_err());
    assert!(!marker.exists());
}

#[test]
fn one_bad_row_stops_nothing() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("http_cache.sqlite");
    let connection = database(&path, SCHEMA);
    let good = Serializer::danger_unsigned().encode(&answer(get("http://example.com/"), &[], b"hello"));
    insert(&connection, "a", &good);
    insert(&connection, "b", planted(&home.path().join("marker")));
    insert(&connection, "c", 7);
    insert(&connection, rusqlite::types::Null, &good);
    insert(&connection, vec![0xff_u8; 1000], &good);
    connection.execute("INSERT INTO responses (key, value) VALUES ('d', zeroblob(200000000))", []).unwrap();
    insert(&connection, "z", &good);
    drop(connection);
    let source = Source::open(&path).unwrap();
    assert_eq!(source.len(), 7);
    let read: Vec<(String, bool)> = source
        .iter()
        .map(|stored| {
            let decoded = stored.value.and_then(|value| Serializer::danger_unsigned().decode(&value));
            (stored.key, decoded.is_ok())
        })
        .collect();
    let read: Vec<(&str, bool)> = read.iter().map(|(key, fine)| (key.as_str(), *fine)).collect();
    assert_eq!(
        read,
        [("a", true), ("b", false), ("c", false), ("?", true), ("?", true), ("d", false), ("z", true)]
    );
}

#[test]
fn view_instead_of_the_table_is_refused() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("http_cache.sqlite");
    database(
        &path,
        "CREATE TABLE t (x); CREATE VIEW responses AS SELECT x AS key, x AS value, x AS expires FROM t",
    );
    assert_eq!(Source::open(&path).unwrap_err().kind(), ErrorKind::Config);
    let path = home.path().join("other.sqlite");
    database(&path, "CREATE TABLE t (x)");
    assert_eq!(Source::open(&path).unwrap_err().kind(), ErrorKind::Config);
}

#[test]
fn no_file_beside_a_database_is_created_or_changed() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("http_cache.sqlite");
    let connection = database(&path, &format!("PRAGMA journal_mode=WAL; {SCHEMA}"));
    let good = Serializer::danger_unsigned().encode(&answer(get("http://example.com/"), &[], b"hello"));
    insert(&connection, "a", &good);
    let listed = || {
        let mut files: Vec<_> = fs::read_dir(home.path())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .map(|path| (fs::read(&path).unwrap(), path))
            .collect();
        files.sort();
        files
    };
    let before = listed();
    assert_eq!(before.len(), 3, "the log is still there");
    assert_eq!(Source::open(&path).unwrap().len(), 1, "what is in the log is read, too");
    assert_eq!(listed(), before);
    drop(connection);
    let before = listed();
    assert_eq!(before.len(), 1);
    assert_eq!(Source::open(&path).unwrap().len(), 1);
    assert_eq!(listed(), before);
}

#[cfg(unix)]
#[test]
fn no_link_and_no_pipe_in_a_directory_is_followed() {
    let home = tempfile::tempdir().unwrap();
    let cache = home.path().join("http_cache");
    fs::create_dir(&cache).unwrap();
    let secret = home.path().join("secret.pkl");
    fs::write(&secret, b"outside").unwrap();
    std::os::unix::fs::symlink(&secret, cache.join("a.pkl")).unwrap();
    fs::create_dir(cache.join("b.pkl")).unwrap();
    fs::write(cache.join("c.pkl"), b"N.").unwrap();
    fs::write(cache.join("0123456789abcdef"), b"K\x01.").unwrap();
    fs::write(cache.join("redirects.sqlite"), b"no response").unwrap();
    fs::write(cache.join("README"), b"no response").unwrap();
    let read: Vec<_> =
        Source::open(&cache).unwrap().iter().map(|stored| (stored.key, stored.value.ok())).collect();
    assert_eq!(
        read,
        [
            ("0123456789abcdef".to_owned(), Some(b"K\x01.".to_vec())),
            ("a".to_owned(), None),
            ("b".to_owned(), None),
            ("c".to_owned(), Some(b"N.".to_vec())),
        ]
    );
}

#[test]
fn other_files_are_refused() {
    let home = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &[u8]| {
        let path = home.path().join(name);
        fs::write(&path, content).unwrap();
        path
    };
    fs::create_dir(home.path().join("empty")).unwrap();
    for path in [
        file("empty.sqlite", b""),
        file("garbage.sqlite", b"SQLite format 3\0 and then nothing of the kind"),
        file("text", b"hello"),
        file("cut.json", b"{\"http_cache:1\": {"),
        file("other.json", b"{\"a\": 1}"),
        home.path().join("empty"),
        home.path().join("absent"),
    ] {
        let error = Source::open(&path).unwrap_err();
        assert!(error.to_string().starts_with(path.to_str().unwrap()), "{error}");
        assert!(error.hint().is_some(), "{error}");
    }
}
