//! Rules that hold for every command: reading changes no file, a wrong setting is not tampering, no
//! hint loses a good entry, counts agree, and errors name their subject.

use crate::sandbox::{Origin, RunResult, Sandbox, response};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

const FRESH: &str = "cache-control: max-age=3600\r\n";

/// Every file below the home, with its size, time of change and content.
fn listing(sandbox: &Sandbox) -> Vec<(PathBuf, u64, SystemTime, Vec<u8>)> {
    let mut found = Vec::new();
    let mut folders = vec![sandbox.path("")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let metadata = path.symlink_metadata().unwrap();
            if metadata.is_dir() {
                folders.push(path.clone());
            }
            let content = if metadata.is_file() { fs::read(&path).unwrap() } else { Vec::new() };
            let length = if metadata.is_file() { metadata.len() } else { 0 };
            found.push((path, length, metadata.modified().unwrap(), content));
        }
    }
    found.sort();
    found
}

fn stored(args: &[&str]) -> (Sandbox, Origin) {
    let (sandbox, origin) = (Sandbox::new(), Origin::always(FRESH, "body"));
    for path in ["/a", "/b"] {
        sandbox.ok(&[&["get"], args, &[&origin.url(path)]].concat());
    }
    (sandbox, origin)
}

/// Every command that only reads.
fn reading_commands(url: &str) -> Vec<Vec<&str>> {
    vec![
        vec!["ls"],
        vec!["ls", "--bad"],
        vec!["ls", "--quarantined"],
        vec!["show", url],
        vec!["explain", url],
        vec!["verify"],
        vec!["audit"],
        vec!["rm", "--all", "--dry-run"],
        vec!["rm", "--bad", "--dry-run"],
        vec!["reseal", "--dry-run"],
        vec!["key", "list"],
        vec!["key", "show"],
        vec!["key", "export"],
        vec!["key", "revoke-all", "--dry-run"],
    ]
}

#[test]
fn reading_changes_no_file() {
    for store in ["sqlite", "dir"] {
        let (sandbox, origin) = (Sandbox::new(), Origin::always(FRESH, "body"));
        let place = format!("{store}:{}", sandbox.path("store").display());
        let at: &[&str] = &["--store", &place];
        let url = origin.url("/a");
        for path in ["/a", "/b"] {
            sandbox.ok(&[&["get", &origin.url(path)], at].concat());
        }
        let check = |sandbox: &Sandbox, what: &str| {
            let before = listing(sandbox);
            for command in reading_commands(&url) {
                for json in [&[][..], &["--json"]] {
                    sandbox.run(&[&command[..], at, json].concat());
                    assert!(listing(sandbox) == before, "{what} {store}: {command:?} {json:?} wrote");
                }
            }
        };
        check(&sandbox, "whole");
        if store == "sqlite" {
            let path = sandbox.path("store");
            let mut bytes = fs::read(&path).unwrap();
            let start = bytes.windows(5).position(|window| window == b"\x89LAC\x01").unwrap();
            bytes[start + 112] ^= 1;
            fs::write(&path, bytes).unwrap();
            check(&sandbox, "tampered");
        }
        fs::remove_file(sandbox.path(".config/lacre/keyring")).unwrap();
        check(&sandbox, "without a keyring");
    }
}

#[test]
fn reading_without_a_store_creates_nothing() {
    let sandbox = Sandbox::new();
    for args in
        [&["ls"][..], &["verify"], &["audit"], &["rm", "--all", "--yes"], &["reseal"], &["ls", "--bad"]]
    {
        let result = sandbox.ok(args);
        assert!(!result.err.contains("error"), "{args:?}: {}", result.err);
        let json = sandbox.ok(&[args, &["--json"]].concat());
        assert!(json.objects().iter().all(|object| object["entries"].as_u64().unwrap_or(0) == 0), "{args:?}");
    }
    let explained = sandbox.ok(&["explain", "http://127.0.0.1:9/"]);
    assert!(
        explained.text().starts_with("MISS") && explained.text().contains("nothing usable"),
        "{}",
        explained.text()
    );
    assert_eq!(sandbox.run(&["show", "http://127.0.0.1:9/"]).code, 3);
    for args in
        [&["key", "show"][..], &["key", "rotate"], &["key", "export"], &["key", "revoke-all", "--yes"]]
    {
        let result = sandbox.run(args);
        assert_eq!(result.code, 11, "{args:?}: {}", result.err);
        assert!(result.err.contains(".config/lacre/keyring does not exist"), "{args:?}: {}", result.err);
        assert!(result.err.contains("hint: lacre key new"), "{args:?}: {}", result.err);
    }
    assert!(!sandbox.path(".config").exists() && !sandbox.path(".cache").exists());
}

#[test]
fn lost_keyring_is_reported_and_can_be_restored() {
    let (sandbox, origin) = stored(&[]);
    let ring = sandbox.path(".config/lacre/keyring");
    let backup = sandbox.file("backup", fs::read(&ring).unwrap());
    fs::remove_file(&ring).unwrap();
    let url = origin.url("/a");
    for args in [&["ls"][..], &["verify"], &["show", &url], &["audit"], &["reseal"], &["explain", &url]] {
        let result = sandbox.run(args);
        assert_eq!(result.code, 11, "{args:?}: {}", result.err);
        assert!(
            result.err.contains(ring.to_str().unwrap()) && result.err.contains("hint: "),
            "{args:?}: {}",
            result.err
        );
    }
    assert!(!ring.exists());
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(&backup, PermissionsExt::from_mode(0o600)).unwrap();
    }
    sandbox.ok(&["key", "import", &format!("file:{backup}")]);
    assert_eq!(sandbox.ok(&["verify"]).text(), "every seal is valid: 2 entries\n");
    // A store whose keys are lost can be emptied.
    fs::remove_file(&ring).unwrap();
    assert_eq!(sandbox.ok(&["rm", "--all", "--yes"]).err, "2 entries removed\n");
    assert!(!ring.exists());
}

/// Checks that a wrong setting is not tampering: entries are neither bad nor removed nor
/// quarantined.
fn assert_no_tampering(sandbox: &Sandbox, settings: &[&str], state: &str, flag: &str) {
    let verify = sandbox.run(&[&["verify", "--quarantine"], settings].concat());
    assert_eq!(verify.code, 11, "{settings:?}: {} {}", verify.text(), verify.err);
    assert!(verify.err.contains(flag), "{settings:?}: {}", verify.err);
    let json = sandbox.run(&[&["verify", "--json"], settings].concat()).objects();
    let summary = json.last().unwrap();
    assert_eq!((&summary["bad"], &summary[state.replace('-', "_")]), (&0.into(), &2.into()), "{summary}");
    assert!(json[..2].iter().all(|row| row["state"] == state), "{json:?}");
    sandbox.ok(&[&["rm", "--bad", "--expired", "--yes"], settings].concat());
    sandbox.ok(&[&["ls"], settings].concat());
    assert!(sandbox.ok(&[&["ls", "--bad", "--json"], settings].concat()).objects().is_empty());
    let keys = sandbox.ok(&[&["ls", "--json"], settings].concat()).objects();
    let show = sandbox.run(&[&["show", keys[0]["key"].as_str().unwrap()], settings].concat());
    assert_eq!(show.code, 11, "{settings:?}: {}", show.err);
    assert!(!show.err.contains("lacre rm") && !show.err.contains("tamper"), "{settings:?}: {}", show.err);
}

#[test]
fn another_suite_namespace_or_key_is_not_tampering() {
    for suite in ["signed", "xchacha20-poly1305", "hmac-sha256"] {
        let (sandbox, origin) = stored(&["--suite", suite]);
        assert_no_tampering(&sandbox, &[], "other-suite", &format!("--suite {suite}"));
        assert_eq!(sandbox.ok(&["verify", "--suite", suite]).text(), "every seal is valid: 2 entries\n");
        // With the wrong suite, a request is a miss with a reason, not an alarm.
        let got = sandbox.ok(&["get", "--no-store", &origin.url("/a")]);
        assert!(got.err.contains(&format!("--suite {suite}")) && got.cache_result() == "MISS", "{}", got.err);
        assert!(sandbox.ok(&["ls", "--quarantined", "--json"]).objects().is_empty());
    }
    let (sandbox, origin) = stored(&["--namespace", "mine"]);
    assert_no_tampering(&sandbox, &[], "other-namespace", "--namespace");
    assert_no_tampering(&sandbox, &["--namespace", "another"], "other-namespace", "--namespace");
    let ls = sandbox.ok(&["ls"]);
    assert!(ls.text().contains("sealed in namespace `mine`"), "{}", ls.text());
    let got = sandbox.ok(&["get", &origin.url("/a")]);
    assert_eq!((got.cache_result(), got.err.lines().count()), ("MISS", 1), "{}", got.err);
    assert_eq!(sandbox.ok(&["get", "--namespace", "mine", &origin.url("/a")]).cache_result(), "HIT");
    // The counts stay apart beside entries of the default namespace.
    let verify = sandbox.run(&["verify", "--json"]);
    let summary = verify.objects().pop().unwrap();
    assert_eq!(
        (&summary["good"], &summary["other_namespace"], &summary["bad"]),
        (&1.into(), &2.into(), &0.into())
    );
    sandbox.ok(&["rm", "--bad", "--yes"]);
    assert_eq!(
        sandbox.run(&["verify", "--namespace", "mine", "--json"]).code,
        11,
        "the entry of the default namespace is not good here"
    );

    // The same after revoke-all, which revokes the list of namespaces, too.
    sandbox.ok(&["key", "revoke-all", "--yes"]);
    let summary = sandbox.run(&["verify", "--json"]).objects().pop().unwrap();
    assert_eq!((&summary["other_namespace"], &summary["bad"]), (&2.into(), &0.into()), "{summary}");

    let (sandbox, _origin) = stored(&[]);
    let other = format!("file:{}", sandbox.path("other").display());
    sandbox.ok(&["key", "new", &other]);
    assert_no_tampering(&sandbox, &["--key", &other], "no-key", "--key");
}

#[test]
fn entry_that_fails_with_its_own_suite_is_bad_whatever_the_option() {
    let (sandbox, _origin) = stored(&["--suite", "signed"]);
    sandbox.tamper(|place| place == 0);
    for settings in [&[][..], &["--suite", "signed"]] {
        let verify = sandbox.run(&[&["verify", "--json"], settings].concat());
        assert_eq!(verify.code, 10, "{settings:?}: {}", verify.err);
        assert_eq!(verify.objects().last().unwrap()["bad"], 1, "{settings:?}");
    }
    assert_eq!(sandbox.ok(&["rm", "--bad", "--yes"]).err, "1 entry removed\n");
    assert_eq!(sandbox.ok(&["verify", "--suite", "signed"]).text(), "every seal is valid: 1 entry\n");
}

#[test]
fn retiring_counts_entries_of_every_suite_and_namespace() {
    let (sandbox, origin) = stored(&["--suite", "signed"]);
    sandbox.ok(&["get", "--namespace", "mine", &origin.url("/a")]);
    sandbox.ok(&["key", "rotate"]);
    let old = sandbox.ok(&["key", "show", "--json"]).objects()[0]["verify"][0].as_str().unwrap().to_owned();
    let preview = sandbox.ok(&["key", "retire", "--dry-run", &old, "--json"]).objects();
    assert_eq!((&preview[0]["lost"], &preview[0]["entries"]), (&3.into(), &3.into()), "{preview:?}");
    let resealed = sandbox.run(&["reseal", "--json"]);
    assert_eq!(resealed.code, 11, "{}", resealed.err);
    assert!(!sandbox.run(&["reseal"]).text().contains("retire"), "one entry still needs the old key");
    // After both namespaces are resealed, no entry needs the old key.
    sandbox.run(&["reseal", "--namespace", "mine", "--json"]);
    let preview = sandbox.ok(&["key", "retire", "--dry-run", &old, "--json"]).objects();
    assert_eq!(preview[0]["lost"], 0, "{preview:?}");
}

fn number(result: &RunResult, schema: &str, field: &str) -> u64 {
    let objects = result.objects();
    let object = objects.iter().find(|object| object["schema"] == schema).unwrap();
    object[field].as_u64().unwrap()
}

#[test]
fn every_command_counts_the_same_entries() {
    let sandbox = Sandbox::new();
    let origin = Origin::start(|request| match request.starts_with("GET /varies") {
        true => response("200 OK", "cache-control: max-age=3600\r\nvary: accept-language\r\n", b"x"),
        false => response("200 OK", FRESH, b"x"),
    });
    for item in ["Accept-Language:de", "Accept-Language:fr"] {
        sandbox.ok(&["get", &origin.url("/varies"), item]);
    }
    sandbox.ok(&["get", &origin.url("/plain")]);
    let anchor = sandbox.path("anchor");
    let count = |sandbox: &Sandbox, entries: u64| {
        assert_eq!(sandbox.ok(&["ls", "--json"]).objects().len() as u64, entries);
        let verify = sandbox.run(&["verify", "--json"]);
        assert_eq!(number(&verify, "lacre/verify/v1", "entries"), entries);
        let reseal = sandbox.run(&["reseal", "--dry-run", "--json"]);
        assert_eq!(number(&reseal, "lacre/reseal/v1", "entries"), entries);
        let removed = sandbox.ok(&["rm", "--all", "--dry-run", "--json"]);
        assert_eq!(number(&removed, "lacre/removed/v1", "entries"), entries);
        let lost = sandbox.ok(&["key", "revoke-all", "--dry-run", "--json"]);
        assert_eq!(number(&lost, "lacre/lost/v1", "entries"), entries);
        verify
    };
    let verify = count(&sandbox, 3);
    assert_eq!(number(&verify, "lacre/verify/v1", "index_records"), 1);
    let written = sandbox.ok(&["anchor", "write", anchor.to_str().unwrap(), "--json"]);
    assert_eq!(number(&written, "lacre/anchor/v1", "entries"), 3);
    assert_eq!(number(&written, "lacre/anchor/v1", "index_records"), 1);
    assert_eq!(number(&sandbox.ok(&["audit", "--json"]), "lacre/audit/v1", "entries"), 3);

    sandbox.ok(&["key", "revoke-all", "--yes"]);
    let verify = count(&sandbox, 3);
    assert_eq!((verify.code, number(&verify, "lacre/verify/v1", "revoked")), (0, 3));
    assert_eq!(number(&verify, "lacre/verify/v1", "good"), 0);
    let verified = sandbox.ok(&["verify"]);
    assert!(verified.text().starts_with("0 of 3 entries good: 3 revoked"), "{}", verified.text());
    assert!(sandbox.ok(&["ls"]).text().contains("REVOKED"));
}

#[test]
fn tables_fit_the_terminal_and_keep_their_columns() {
    let (sandbox, origin) = stored(&[]);
    sandbox.ok(&["get", &origin.url(&format!("/{}", "long/".repeat(40)))]);
    sandbox.tamper(|place| place == 0);
    for args in [&["ls"][..], &["verify"], &["key", "list"], &["audit"], &["rm", "--all", "--dry-run"]] {
        for width in ["40", "60", "80", "200"] {
            let output = sandbox.command(args).env("COLUMNS", width).output().unwrap();
            let result = RunResult::from(output);
            // Sentences may be longer than the terminal is wide.
            let is_table = |line: &&str| {
                !line.starts_with("in use") && !line.contains("entries") && !line.contains("entry")
            };
            for line in result.text().lines().filter(is_table) {
                assert!(line.chars().count() <= width.parse().unwrap(), "{args:?} at {width}: {line}");
            }
        }
    }
    let narrow = RunResult::from(sandbox.command(&["ls"]).env("COLUMNS", "40").output().unwrap());
    assert_eq!(narrow.text().lines().count(), 4, "{}", narrow.text());
    let starts: Vec<usize> = narrow.text().lines().skip(1).filter_map(|line| line.find(" GET ")).collect();
    assert!(starts.windows(2).all(|pair| pair[0] == pair[1]), "{}", narrow.text());
}

#[test]
fn entries_are_selected_by_host() {
    let (sandbox, origin) = stored(&[]);
    let authority = origin.url("");
    let authority = authority.trim_start_matches("http://");
    for target in ["127.0.0.1", authority, &format!("{authority}/")] {
        assert_eq!(sandbox.ok(&["ls", target, "--json"]).objects().len(), 2, "{target}");
    }
    assert!(sandbox.ok(&["ls", "example.com", "--json"]).objects().is_empty());
    assert!(sandbox.ok(&["ls", "127.0.0.1:1", "--json"]).objects().is_empty());
    assert_eq!(sandbox.ok(&["ls", "--host", authority, "--json"]).objects().len(), 2);
}

#[test]
fn no_error_of_any_command_shows_a_query() {
    let (sandbox, origin) = stored(&[]);
    let url = origin.url("/nothing?q=hunter2&token=hunter3#hunter4");
    for args in [
        &["rm", "--yes", &url][..],
        &["show", &url],
        &["audit", &url],
        &["ls", "a", &url],
        &["ls", "--sort", &url],
        &["verify", &url],
        &["explain", &url, "nonsense"],
        &["get", "--offline", &url],
    ] {
        for json in [&[][..], &["--json"]] {
            let result = sandbox.run(&[args, json].concat());
            assert_ne!(result.code, 0, "{args:?}");
            assert!(!result.err.contains("hunter"), "{args:?}: {}", result.err);
            assert!(!result.text().contains("hunter"), "{args:?}: {}", result.text());
        }
    }
}

#[test]
fn explain_names_the_vary_fields_of_other_responses() {
    let sandbox = Sandbox::new();
    let origin = Origin::always("cache-control: max-age=60\r\nvary: accept-language\r\n", "x");
    sandbox.ok(&["get", &origin.url("/"), "Accept-Language:de"]);
    let miss = sandbox.ok(&["explain", &origin.url("/"), "Accept-Language:fr"]);
    assert!(
        miss.text().contains("vary-miss") && miss.text().contains("vary   accept-language"),
        "{}",
        miss.text()
    );
    let json = &sandbox.ok(&["explain", "--json", &origin.url("/"), "Accept-Language:fr"]).objects()[0];
    assert_eq!((&json["vary"], &json["vary_miss"]), (&"accept-language".into(), &Value::Bool(true)));
}

#[test]
fn cors_headers_are_not_secrets() {
    let sandbox = Sandbox::new();
    let origin = Origin::always(
        "cache-control: max-age=60\r\naccess-control-allow-credentials: true\r\naccess-control-allow-headers: authorization\r\n",
        "x",
    );
    sandbox.ok(&["get", "--suite", "signed", &origin.url("/")]);
    let audit = sandbox.ok(&["audit", "--suite", "signed", "--readable"]);
    assert_eq!(audit.text(), "no likely secret found: 1 entry\n", "the entry is stored readable");
}

#[cfg(unix)]
#[test]
fn unreadable_store_is_named() {
    use std::os::unix::fs::PermissionsExt;
    let (sandbox, _origin) = stored(&[]);
    let chmod = |path: &Path, mode| fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
    let folder = sandbox.path(".cache/lacre");
    chmod(&folder, 0o000);
    if fs::read_dir(&folder).is_ok() {
        // Root can read everything, so there is nothing to test.
        return chmod(&folder, 0o700);
    }
    for command in ["ls", "verify", "audit"] {
        let result = sandbox.run(&[command]);
        chmod(&folder, 0o700);
        assert_eq!(result.code, 12, "{}", result.err);
        assert!(
            result.err.contains("ermission denied") && result.err.contains("cache.sqlite"),
            "{}",
            result.err
        );
        chmod(&folder, 0o000);
    }
    chmod(&folder, 0o700);
}
