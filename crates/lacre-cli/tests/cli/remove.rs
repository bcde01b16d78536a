//! `lacre rm`.

use crate::world::{Origin, World};
use lacre::store::{Record, Sqlite, Store, StoreExt};
use std::fs;

fn filled(paths: &[&str]) -> (World, Origin) {
    let (world, origin) = (World::new(), Origin::always("cache-control: max-age=60\r\n", "find me on disk"));
    for path in paths {
        world.ok(&["get", "--suite", "signed", &origin.url(path)]);
    }
    (world, origin)
}

fn count(world: &World) -> usize {
    world.ok(&["ls", "--suite", "signed", "--json"]).objects().len()
}

fn rm(world: &World, args: &[&str]) -> i32 {
    world.run(&[&["rm", "--suite", "signed"], args].concat()).code
}

#[test]
fn nothing_is_removed_without_a_yes_or_in_a_dry_run() {
    let (world, _origin) = filled(&["/a", "/b"]);
    let asked = world.run(&["rm", "--suite", "signed", "--all"]);
    assert_eq!((asked.code, count(&world)), (13, 2));
    assert!(asked.err.contains("hint: --yes does it"), "{}", asked.err);
    assert_eq!(asked.text().lines().count(), 3, "it shows what would go");
    assert_eq!((rm(&world, &["--all", "--dry-run"]), count(&world)), (0, 2));
}

#[test]
fn what_is_named_is_removed_and_nothing_else() {
    let (world, origin) = filled(&["/a", "/a/b", "/c", "/d"]);
    assert_eq!((rm(&world, &["-y", &origin.url("/a")]), count(&world)), (0, 3));
    let key =
        world.ok(&["ls", "--suite", "signed", "--json", &origin.url("/c")]).objects()[0]["key"].to_string();
    assert_eq!((rm(&world, &["-y", &key[1..9]]), count(&world)), (0, 2));
    assert_eq!(
        (rm(&world, &["-y", "*/a/*", "*/nothing"]), count(&world)),
        (3, 2),
        "one of the two fits nothing"
    );
    assert_eq!((rm(&world, &["-y", "*/a/*", "*/d"]), count(&world)), (0, 0));
}

#[test]
fn expired_means_no_longer_fresh() {
    let (world, origin) = filled(&["/a"]);
    world.ok(&[
        "get",
        "--suite",
        "signed",
        "--max-stale",
        "1",
        "--ttl",
        "immediately",
        &origin.url("/a?stale"),
    ]);
    assert_eq!((rm(&world, &["-y", "--expired"]), count(&world)), (0, 1));
}

#[test]
fn what_was_removed_is_nowhere_in_the_file() {
    let (world, _origin) = filled(&["/a", "/b"]);
    let on_disk = || fs::read(world.store()).unwrap().windows(15).any(|bytes| bytes == b"find me on disk");
    assert!(on_disk());
    assert_eq!((rm(&world, &["-y", "--all"]), on_disk()), (0, false));
}

#[test]
fn something_must_be_named() {
    let (world, _origin) = filled(&["/a"]);
    assert_eq!((rm(&world, &["-y"]), count(&world)), (2, 1));
}

#[test]
fn what_is_removed_while_another_process_reads_is_removed_and_what_remains_is_said() {
    let (world, _origin) = filled(&["/a"]);
    let store = Sqlite::open(world.store()).unwrap();
    let mut keys = Vec::new();
    lacre::wait(store.each(&mut |row| keys.push(row.key))).unwrap();
    // Whoever is lent a record keeps the log in use.
    let mut ran = None;
    let mut rm = |_: Record<'_>| ran = Some(world.run(&["rm", "--suite", "signed", "-y", "--all"]));
    lacre::wait(store.get(&keys[0], &mut rm)).unwrap();
    let ran = ran.unwrap();
    assert_eq!((ran.code, count(&world)), (12, 0), "{}", ran.err);
    assert!(ran.err.starts_with("1 entry removed\nerror: what was removed may still"), "{}", ran.err);
}
