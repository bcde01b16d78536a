//! `lacre rm`.

use crate::sandbox::{Origin, Sandbox};
use lacre::store::{Record, Sqlite, Store, StoreExt};
use std::fs;

fn filled(paths: &[&str]) -> (Sandbox, Origin) {
    let (sandbox, origin) =
        (Sandbox::new(), Origin::always("cache-control: max-age=60\r\n", "find me on disk"));
    for path in paths {
        sandbox.ok(&["get", "--suite", "signed", &origin.url(path)]);
    }
    (sandbox, origin)
}

fn count(sandbox: &Sandbox) -> usize {
    sandbox.ok(&["ls", "--suite", "signed", "--json"]).objects().len()
}

fn rm(sandbox: &Sandbox, args: &[&str]) -> i32 {
    sandbox.run(&[&["rm", "--suite", "signed"], args].concat()).code
}

#[test]
fn removal_needs_confirmation_and_dry_run_removes_nothing() {
    let (sandbox, _origin) = filled(&["/a", "/b"]);
    let asked = sandbox.run(&["rm", "--suite", "signed", "--all"]);
    assert_eq!((asked.code, count(&sandbox)), (13, 2));
    assert!(asked.err.contains("hint: --yes skips the question"), "{}", asked.err);
    assert_eq!(asked.text().lines().count(), 3, "it lists the entries to remove");
    assert_eq!((rm(&sandbox, &["--all", "--dry-run"]), count(&sandbox)), (0, 2));
}

#[test]
fn only_selected_entries_are_removed() {
    let (sandbox, origin) = filled(&["/a", "/a/b", "/c", "/d"]);
    assert_eq!((rm(&sandbox, &["-y", &origin.url("/a")]), count(&sandbox)), (0, 3));
    let key =
        sandbox.ok(&["ls", "--suite", "signed", "--json", &origin.url("/c")]).objects()[0]["key"].to_string();
    assert_eq!((rm(&sandbox, &["-y", &key[1..9]]), count(&sandbox)), (0, 2));
    assert_eq!(
        (rm(&sandbox, &["-y", "*/a/*", "*/nothing"]), count(&sandbox)),
        (3, 2),
        "one of the two matches nothing"
    );
    assert_eq!((rm(&sandbox, &["-y", "*/a/*", "*/d"]), count(&sandbox)), (0, 0));
}

#[test]
fn expired_means_no_longer_fresh() {
    let (sandbox, origin) = filled(&["/a"]);
    sandbox.ok(&[
        "get",
        "--suite",
        "signed",
        "--max-stale",
        "1",
        "--ttl",
        "immediately",
        &origin.url("/a?stale"),
    ]);
    assert_eq!((rm(&sandbox, &["-y", "--expired"]), count(&sandbox)), (0, 1));
}

#[test]
fn removed_data_is_not_left_in_the_file() {
    let (sandbox, _origin) = filled(&["/a", "/b"]);
    let on_disk = || fs::read(sandbox.store()).unwrap().windows(15).any(|bytes| bytes == b"find me on disk");
    assert!(on_disk());
    assert_eq!((rm(&sandbox, &["-y", "--all"]), on_disk()), (0, false));
}

#[test]
fn selector_is_required() {
    let (sandbox, _origin) = filled(&["/a"]);
    assert_eq!((rm(&sandbox, &["-y"]), count(&sandbox)), (2, 1));
}

#[test]
fn removal_while_another_process_reads_reports_what_remains_in_the_log() {
    let (sandbox, _origin) = filled(&["/a"]);
    let store = Sqlite::open(sandbox.store()).unwrap();
    let mut keys = Vec::new();
    lacre::wait(store.each(&mut |row| keys.push(row.key))).unwrap();
    // A borrowed record keeps the log in use.
    let mut result = None;
    let mut rm = |_: Record<'_>| result = Some(sandbox.run(&["rm", "--suite", "signed", "-y", "--all"]));
    lacre::wait(store.get(&keys[0], &mut rm)).unwrap();
    let result = result.unwrap();
    assert_eq!((result.code, count(&sandbox)), (12, 0), "{}", result.err);
    assert!(result.err.starts_with("1 entry removed\nerror: removed data may remain"), "{}", result.err);
}
