//! `lacre key`.

use crate::sandbox::{Origin, Sandbox};
use std::fs;

#[test]
fn new_keyring_never_replaces_an_existing_one() {
    let sandbox = Sandbox::new();
    let reference = format!("file:{}", sandbox.path("keys/ring").display());
    assert!(sandbox.ok(&["key", "new", &reference]).text().starts_with(&format!("created {reference}")));
    let before = fs::read(sandbox.path("keys/ring")).unwrap();
    assert_eq!(sandbox.run(&["key", "new", &reference]).code, 2);
    assert_eq!(fs::read(sandbox.path("keys/ring")).unwrap(), before);
    assert_eq!(sandbox.run(&["key", "new", "env:SOME"]).code, 2);
}

#[test]
fn rotation_opens_old_entries_and_seals_new_ones_with_the_new_key() {
    let (sandbox, origin) = (Sandbox::new(), Origin::always("cache-control: max-age=60\r\n", "x"));
    sandbox.ok(&["get", &origin.url("/old")]);
    sandbox.ok(&["key", "rotate"]);
    assert_eq!(sandbox.ok(&["get", &origin.url("/old")]).cache_result(), "HIT");
    sandbox.ok(&["get", &origin.url("/new")]);
    let ring = &sandbox.ok(&["key", "show", "--json"]).objects()[0];
    let rows = sandbox.ok(&["ls", "--json", "--sort", "age"]).objects();
    let sealed_by: Vec<_> = rows.iter().map(|row| &row["seal"]["key_id"]).collect();
    assert_eq!(sealed_by, [&ring["primary"], &ring["verify"][0]]);
}

#[test]
fn no_command_prints_a_secret_key() {
    let sandbox = Sandbox::new();
    let mut printed = String::new();
    for args in [
        &["key", "new"][..],
        &["key", "list"],
        &["key", "show"],
        &["key", "rotate"],
        &["key", "show", "--json"],
    ] {
        let result = sandbox.ok(args);
        printed.push_str(result.text());
        printed.push_str(&result.err);
    }
    let ring = fs::read_to_string(sandbox.path(".config/lacre/keyring")).unwrap();
    let secrets = ring.lines().filter_map(|line| line.split_once(' ')).filter(|(name, _)| *name != "epoch");
    assert_eq!(secrets.clone().count(), 3);
    for (_, secret) in secrets {
        assert!(!printed.contains(secret));
    }
    assert!(printed.contains("epoch    0"));
}

#[test]
fn import_and_export_copy_a_keyring_and_overwrite_nothing() {
    let sandbox = Sandbox::new();
    let (own, copy) = (".config/lacre/keyring", "copy/ring");
    let reference = format!("file:{}", sandbox.path(copy).display());
    sandbox.ok(&["key", "new"]);
    sandbox.ok(&["key", "rotate"]);
    sandbox.ok(&["key", "export", &reference]);
    assert_eq!(fs::read(sandbox.path(own)).unwrap(), fs::read(sandbox.path(copy)).unwrap());
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = fs::metadata(sandbox.path(copy)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    assert_eq!(sandbox.run(&["key", "export", &reference]).code, 2);
    assert_eq!(sandbox.run(&["key", "import", &reference]).code, 2, "the user's own keyring exists already");
    let piped = sandbox.ok(&["key", "export"]);
    assert_eq!(piped.out, fs::read(sandbox.path(own)).unwrap());

    let other = Sandbox::new();
    let imported = other.run_with_input(&["key", "import", "-"], &piped.out);
    assert_eq!(imported.code, 0, "{}", imported.err);
    assert_eq!(fs::read(other.path(own)).unwrap(), piped.out);
}

#[test]
fn weak_or_invalid_key_is_not_imported() {
    let weak = "00".repeat(32);
    for text in ["", "hunter2", weak.as_str(), "lacre-keyring-v1\n"] {
        let sandbox = Sandbox::new();
        let result = sandbox.run_with_input(&["key", "import", "-"], text.as_bytes());
        assert_eq!(result.code, 11, "{text}: {}", result.err);
        assert!(result.err.contains("hint: ") && !result.err.contains("hunter2"));
        assert!(!sandbox.path(".config/lacre/keyring").exists());
    }
    let sandbox = Sandbox::new();
    let bare: String = (0..32).map(|byte| format!("{byte:02x}")).collect();
    let mut command = sandbox.command(&["key", "import", "env:SOME_KEY", "--json"]);
    let result = crate::sandbox::RunResult::from(command.env("SOME_KEY", &bare).output().unwrap());
    assert_eq!(result.code, 0, "{}", result.err);
    assert!(!result.text().contains(&bare) && !result.err.contains(&bare));
}

#[test]
fn keyring_in_the_cache_directory_is_refused() {
    let sandbox = Sandbox::new();
    let reference = format!("file:{}", sandbox.path(".cache/lacre/keyring").display());
    let result = sandbox.run(&["key", "new", &reference]);
    assert_eq!(result.code, 2);
    assert!(result.err.contains("protects nothing"), "{}", result.err);
    assert!(!sandbox.path(".cache/lacre/keyring").exists());
}

#[test]
fn retiring_a_key_needs_confirmation_and_makes_its_entries_misses() {
    let (sandbox, origin) = (Sandbox::new(), Origin::always("cache-control: max-age=60\r\n", "x"));
    sandbox.ok(&["get", &origin.url("/old")]);
    sandbox.ok(&["key", "rotate"]);
    sandbox.ok(&["get", &origin.url("/new")]);
    let ring = &sandbox.ok(&["key", "show", "--json"]).objects()[0];
    let (primary, old) = (ring["primary"].as_str().unwrap(), ring["verify"][0].as_str().unwrap());

    let asked = sandbox.run(&["key", "retire", old]);
    assert_eq!(asked.code, 13, "{}", asked.err);
    assert!(asked.err.contains("1 of 2 entries in this store will no longer open"), "{}", asked.err);
    sandbox.ok(&["key", "retire", old, "--dry-run"]);
    for wrong in ["k-", "", "k-0000000000000000", "x"] {
        assert_eq!(sandbox.run(&["key", "retire", wrong, "--yes"]).code, 2, "{wrong}");
    }
    let refused = sandbox.run(&["key", "retire", primary, "--yes"]);
    assert_eq!(refused.code, 2);
    assert!(refused.err.contains("rotate first"), "{}", refused.err);

    sandbox.ok(&["key", "retire", &old[..10], "--yes"]);
    assert_eq!(sandbox.ok(&["key", "show", "--json"]).objects()[0]["verify"], serde_json::json!([]));
    assert_eq!(sandbox.ok(&["get", &origin.url("/new")]).cache_result(), "HIT");
    assert_eq!(sandbox.ok(&["get", &origin.url("/old")]).cache_result(), "MISS");
}

#[test]
fn keys_that_reseal_names_can_be_retired_without_loss() {
    let (sandbox, origin) = (Sandbox::new(), Origin::always("cache-control: max-age=60\r\n", "x"));
    sandbox.ok(&["get", &origin.url("/")]);
    sandbox.ok(&["key", "rotate"]);
    sandbox.ok(&["key", "rotate"]);
    let resealed = sandbox.ok(&["reseal"]);
    let (_, printed) = resealed.text().split_once("lacre key retire ").unwrap();
    let old: Vec<&str> = printed.split_whitespace().collect();
    assert_eq!(old.len(), 2);
    let wrong = [&["key", "retire", "--yes", "k-0000000000000000"], &old[..]].concat();
    assert_eq!(sandbox.run(&wrong).code, 2, "all or none");
    let retired = sandbox.ok(&[&["key", "retire", "--yes"], &old[..]].concat());
    assert!(retired.err.starts_with("0 of 1 entry in this store will no longer open"), "{}", retired.err);
    assert_eq!(sandbox.ok(&["key", "show", "--json"]).objects()[0]["verify"], serde_json::json!([]));
    assert_eq!(sandbox.ok(&["get", &origin.url("/")]).cache_result(), "HIT");
}

#[test]
fn revoke_all_revokes_every_seal_even_in_a_backup() {
    let (sandbox, origin) = (Sandbox::new(), Origin::always("cache-control: max-age=60\r\n", "x"));
    sandbox.ok(&["key", "new"]);
    let no_store = sandbox.ok(&["key", "revoke-all", "--dry-run"]);
    assert!(no_store.err.contains("there is no store to count"), "{}", no_store.err);
    sandbox.ok(&["get", &origin.url("/")]);
    let backup = fs::read(sandbox.store()).unwrap();
    let asked = sandbox.run(&["key", "revoke-all"]);
    assert_eq!(asked.code, 13);
    assert!(asked.err.contains("1 of 1 entry in this store will no longer open"), "{}", asked.err);
    assert_eq!(sandbox.ok(&["get", &origin.url("/")]).cache_result(), "HIT");

    let revoked = sandbox.ok(&["key", "revoke-all", "--yes", "--json"]);
    // The keyring follows the count of lost entries.
    assert_eq!(revoked.objects().pop().unwrap()["epoch"], 1);
    fs::write(sandbox.store(), backup).unwrap();
    assert_eq!(sandbox.ok(&["get", &origin.url("/")]).cache_result(), "MISS");
    assert_eq!(sandbox.ok(&["get", &origin.url("/")]).cache_result(), "HIT");
}

#[test]
fn list_names_the_keyring_in_use_and_creates_nothing() {
    let sandbox = Sandbox::new();
    let objects = sandbox.ok(&["key", "list", "--json"]).objects();
    assert!(!sandbox.path(".config").exists(), "listing created a key");
    assert_eq!(objects[0]["in_use"], true);
    assert_eq!(objects[0]["usable"], false);
    assert!(objects.iter().skip(1).any(|form| form["reference"] == "file:PATH" && form["usable"] == true));
    sandbox.ok(&["key", "new"]);
    assert!(sandbox.ok(&["key", "list"]).text().starts_with("in use  file:"));
    assert_eq!(sandbox.ok(&["key", "list", "--json"]).objects()[0]["usable"], true);
}
