//! `lacre key`.

use crate::world::{Origin, World};
use std::fs;

#[test]
fn a_new_keyring_never_replaces_one() {
    let world = World::new();
    let reference = format!("file:{}", world.path("keys/ring").display());
    assert!(world.ok(&["key", "new", &reference]).text().starts_with(&format!("made {reference}")));
    let before = fs::read(world.path("keys/ring")).unwrap();
    assert_eq!(world.run(&["key", "new", &reference]).code, 2);
    assert_eq!(fs::read(world.path("keys/ring")).unwrap(), before);
    assert_eq!(world.run(&["key", "new", "env:SOME"]).code, 2);
}

#[test]
fn after_a_rotation_old_entries_open_and_new_ones_are_sealed_by_the_new_key() {
    let (world, origin) = (World::new(), Origin::always("cache-control: max-age=60\r\n", "x"));
    world.ok(&["get", &origin.url("/old")]);
    world.ok(&["key", "rotate"]);
    assert_eq!(world.ok(&["get", &origin.url("/old")]).word(), "HIT");
    world.ok(&["get", &origin.url("/new")]);
    let list = world.ok(&["key", "list", "--json"]).objects();
    let roles: Vec<_> = list.iter().map(|key| key["role"].as_str().unwrap()).collect();
    assert_eq!(roles, ["primary", "verify"]);
    let rows = world.ok(&["ls", "--json", "--sort", "age"]).objects();
    let sealed_by: Vec<_> = rows.iter().map(|row| &row["seal"]["key_id"]).collect();
    assert_eq!(sealed_by, [&list[0]["id"], &list[1]["id"]]);
}

#[test]
fn no_command_shows_a_key() {
    let world = World::new();
    let mut said = String::new();
    for args in [
        &["key", "new"][..],
        &["key", "list"],
        &["key", "show"],
        &["key", "rotate"],
        &["key", "show", "--json"],
    ] {
        let ran = world.ok(args);
        said.push_str(ran.text());
        said.push_str(&ran.err);
    }
    let ring = fs::read_to_string(world.path(".config/lacre/keyring")).unwrap();
    let secrets = ring.lines().filter_map(|line| line.split_once(' ')).filter(|(name, _)| *name != "epoch");
    assert_eq!(secrets.clone().count(), 3);
    for (_, secret) in secrets {
        assert!(!said.contains(secret));
    }
    assert!(said.contains("epoch    0"));
}
