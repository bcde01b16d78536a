//! What a store lets others see, or make it do, by the names of things.

use crate::world::{FRESH, KINDS, Kind, World, get};
use lacre::Policy;
use rusqlite::Connection;
use std::path::{Path, PathBuf};

fn files_below(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] }).collect()
}

#[test]
fn p22_no_text_from_outside_is_in_sql_or_paths() {
    for &kind in KINDS {
        for text in [
            "'; DROP TABLE slot; --",
            "../../../escaped",
            "\0",
            "/etc/escaped",
            "a\\..\\escaped",
            "%2e%2e/escaped",
        ] {
            let named = move |_: &http::request::Parts, _: &[u8]| text.to_owned();
            let world = World::new(kind, |builder| builder.policy(Policy::rfc9111().key_fn(named)));
            let said = &[FRESH[0], ("vary", "x-escaped"), ("etag", "\"'; DROP TABLE slot; --\"")];
            world.try_fetch(get("/'%3B%20DROP%20TABLE%20slot"), said, b"body").unwrap();
            assert!(
                world.try_fetch(get("/'%3B%20DROP%20TABLE%20slot"), said, b"").unwrap().hit,
                "{text:?} in {kind:?}"
            );
            let root = world.medium.directory.path();
            assert!(!root.parent().unwrap().join("escaped").exists() && !Path::new("/etc/escaped").exists());
            for file in files_below(root) {
                let name = file.strip_prefix(root).unwrap().to_string_lossy().into_owned();
                assert!(!name.contains("escaped") && !name.contains("DROP"), "{name}");
            }
            if let Kind::Sqlite = kind {
                let file = Connection::open(world.medium.file()).unwrap();
                let schema = "SELECT group_concat(sql) FROM sqlite_schema";
                let schema: String = file.query_row(schema, [], |row| row.get(0)).unwrap();
                assert!(schema.contains("CREATE TABLE slot") && !schema.contains("DROP"), "{schema}");
            }
        }
    }
}
