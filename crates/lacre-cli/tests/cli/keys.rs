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
    let ring = &world.ok(&["key", "show", "--json"]).objects()[0];
    let rows = world.ok(&["ls", "--json", "--sort", "age"]).objects();
    let sealed_by: Vec<_> = rows.iter().map(|row| &row["seal"]["key_id"]).collect();
    assert_eq!(sealed_by, [&ring["primary"], &ring["verify"][0]]);
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

#[test]
fn a_keyring_is_copied_in_and_out_and_nothing_is_overwritten() {
    let world = World::new();
    let (own, copy) = (".config/lacre/keyring", "copy/ring");
    let reference = format!("file:{}", world.path(copy).display());
    world.ok(&["key", "new"]);
    world.ok(&["key", "rotate"]);
    world.ok(&["key", "export", &reference]);
    assert_eq!(fs::read(world.path(own)).unwrap(), fs::read(world.path(copy)).unwrap());
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = fs::metadata(world.path(copy)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    assert_eq!(world.run(&["key", "export", &reference]).code, 2);
    assert_eq!(world.run(&["key", "import", &reference]).code, 2, "one's own is there already");
    let piped = world.ok(&["key", "export"]);
    assert_eq!(piped.out, fs::read(world.path(own)).unwrap());

    let other = World::new();
    let imported = other.run_with_input(&["key", "import", "-"], &piped.out);
    assert_eq!(imported.code, 0, "{}", imported.err);
    assert_eq!(fs::read(other.path(own)).unwrap(), piped.out);
}

#[test]
fn only_a_good_key_is_imported() {
    let weak = "00".repeat(32);
    for text in ["", "hunter2", weak.as_str(), "lacre-keyring-v1\n"] {
        let world = World::new();
        let ran = world.run_with_input(&["key", "import", "-"], text.as_bytes());
        assert_eq!(ran.code, 11, "{text}: {}", ran.err);
        assert!(ran.err.contains("hint: ") && !ran.err.contains("hunter2"));
        assert!(!world.path(".config/lacre/keyring").exists());
    }
    let world = World::new();
    let bare: String = (0..32).map(|byte| format!("{byte:02x}")).collect();
    let mut command = world.command(&["key", "import", "env:SOME_KEY", "--json"]);
    let ran = crate::world::Ran::from(command.env("SOME_KEY", &bare).output().unwrap());
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(!ran.text().contains(&bare) && !ran.err.contains(&bare));
}

#[test]
fn a_keyring_is_not_made_in_the_cache_directory() {
    let world = World::new();
    let reference = format!("file:{}", world.path(".cache/lacre/keyring").display());
    let ran = world.run(&["key", "new", &reference]);
    assert_eq!(ran.code, 2);
    assert!(ran.err.contains("protects nothing"), "{}", ran.err);
    assert!(!world.path(".cache/lacre/keyring").exists());
}

#[test]
fn a_retired_key_is_a_miss_and_is_only_retired_by_consent() {
    let (world, origin) = (World::new(), Origin::always("cache-control: max-age=60\r\n", "x"));
    world.ok(&["get", &origin.url("/old")]);
    world.ok(&["key", "rotate"]);
    world.ok(&["get", &origin.url("/new")]);
    let ring = &world.ok(&["key", "show", "--json"]).objects()[0];
    let (primary, old) = (ring["primary"].as_str().unwrap(), ring["verify"][0].as_str().unwrap());

    let asked = world.run(&["key", "retire", old]);
    assert_eq!(asked.code, 13, "{}", asked.err);
    assert!(asked.err.contains("1 of 2 entries here will be a miss"), "{}", asked.err);
    world.ok(&["key", "retire", old, "--dry-run"]);
    for wrong in ["k-", "", "k-0000000000000000", "x"] {
        assert_eq!(world.run(&["key", "retire", wrong, "--yes"]).code, 2, "{wrong}");
    }
    let refused = world.run(&["key", "retire", primary, "--yes"]);
    assert_eq!(refused.code, 2);
    assert!(refused.err.contains("rotate first"), "{}", refused.err);

    world.ok(&["key", "retire", &old[..10], "--yes"]);
    assert_eq!(world.ok(&["key", "show", "--json"]).objects()[0]["verify"], serde_json::json!([]));
    assert_eq!(world.ok(&["get", &origin.url("/new")]).word(), "HIT");
    assert_eq!(world.ok(&["get", &origin.url("/old")]).word(), "MISS");
}

#[test]
fn what_reseal_says_to_retire_is_retired_at_once_and_costs_nothing() {
    let (world, origin) = (World::new(), Origin::always("cache-control: max-age=60\r\n", "x"));
    world.ok(&["get", &origin.url("/")]);
    world.ok(&["key", "rotate"]);
    world.ok(&["key", "rotate"]);
    let resealed = world.ok(&["reseal"]);
    let (_, said) = resealed.text().split_once("lacre key retire ").unwrap();
    let old: Vec<&str> = said.split_whitespace().collect();
    assert_eq!(old.len(), 2);
    let wrong = [&["key", "retire", "--yes", "k-0000000000000000"], &old[..]].concat();
    assert_eq!(world.run(&wrong).code, 2, "all or none");
    let retired = world.ok(&[&["key", "retire", "--yes"], &old[..]].concat());
    assert!(retired.err.starts_with("0 of 1 entry here will be a miss"), "{}", retired.err);
    assert_eq!(world.ok(&["key", "show", "--json"]).objects()[0]["verify"], serde_json::json!([]));
    assert_eq!(world.ok(&["get", &origin.url("/")]).word(), "HIT");
}

#[test]
fn revoking_ends_every_seal_so_far_even_that_of_a_backup() {
    let (world, origin) = (World::new(), Origin::always("cache-control: max-age=60\r\n", "x"));
    world.ok(&["key", "new"]);
    let no_store = world.ok(&["key", "revoke-all", "--dry-run"]);
    assert!(no_store.err.contains("no store is at hand"), "{}", no_store.err);
    world.ok(&["get", &origin.url("/")]);
    let backup = fs::read(world.store()).unwrap();
    let asked = world.run(&["key", "revoke-all"]);
    assert_eq!(asked.code, 13);
    assert!(asked.err.contains("1 of 1 entry here will be a miss"), "{}", asked.err);
    assert_eq!(world.ok(&["get", &origin.url("/")]).word(), "HIT");

    let revoked = world.ok(&["key", "revoke-all", "--yes", "--json"]);
    // After the count of what is lost.
    assert_eq!(revoked.objects().pop().unwrap()["epoch"], 1);
    fs::write(world.store(), backup).unwrap();
    assert_eq!(world.ok(&["get", &origin.url("/")]).word(), "MISS");
    assert_eq!(world.ok(&["get", &origin.url("/")]).word(), "HIT");
}

#[test]
fn the_list_says_what_is_in_use_and_makes_nothing() {
    let world = World::new();
    let objects = world.ok(&["key", "list", "--json"]).objects();
    assert!(!world.path(".config").exists(), "listing made a key");
    assert_eq!(objects[0]["in_use"], true);
    assert_eq!(objects[0]["usable"], false);
    assert!(objects.iter().skip(1).any(|form| form["reference"] == "file:PATH" && form["usable"] == true));
    world.ok(&["key", "new"]);
    assert!(world.ok(&["key", "list"]).text().starts_with("in use  file:"));
    assert_eq!(world.ok(&["key", "list", "--json"]).objects()[0]["usable"], true);
}
