//! `lacre reseal`, `verify --quarantine`, `verify --anchor` and `anchor`.

use crate::sandbox::{Origin, Sandbox};
use std::fs;

fn filled(paths: &[&str]) -> (Sandbox, Origin) {
    let (sandbox, origin) = (Sandbox::new(), Origin::always("cache-control: max-age=3600\r\n", "body"));
    for path in paths {
        sandbox.ok(&["get", &origin.url(path)]);
    }
    (sandbox, origin)
}

/// The number of entries that need each key, in descending order.
fn by_key(sandbox: &Sandbox) -> Vec<u64> {
    let keys = sandbox.ok(&["verify", "--json"]).objects()[0]["keys"].clone();
    let mut counts: Vec<u64> =
        keys.as_object().unwrap().values().map(|count| count.as_u64().unwrap()).collect();
    counts.sort_unstable_by(|one, other| other.cmp(one));
    counts
}

#[test]
fn reseal_replaces_the_old_key_and_names_it() {
    let (sandbox, origin) = filled(&["/a", "/b"]);
    sandbox.ok(&["key", "rotate"]);
    sandbox.ok(&["get", &origin.url("/c")]);
    assert_eq!(by_key(&sandbox), [2, 1]);
    let verify = sandbox.ok(&["verify"]);
    assert!(verify.text().contains("2 records  old: lacre reseal replaces it"), "{}", verify.text());

    let dry = sandbox.ok(&["reseal", "--dry-run", "--json"]).objects();
    assert_eq!((&dry[0]["resealed"], &dry[0]["already"]), (&2.into(), &1.into()));
    assert_eq!(by_key(&sandbox), [2, 1]);
    let done = sandbox.ok(&["reseal"]);
    assert!(
        done.text().starts_with(
            "resealed: 2 of 3 entries (suite: kept), already current: 1, expired or revoked: 0\n"
        ),
        "{}",
        done.text()
    );
    assert!(done.text().contains("no entry needs an older key: lacre key retire k-"), "{}", done.text());
    assert_eq!(done.err, "", "no terminal, so no progress bar");
    assert_eq!(by_key(&sandbox), [3]);
    assert!(
        sandbox
            .ok(&["reseal"])
            .text()
            .starts_with("resealed: 0 of 3 entries (suite: kept), already current: 3")
    );
}

#[test]
fn reseal_encrypts_a_signed_store_with_the_suite_option() {
    let (sandbox, origin) =
        (Sandbox::new(), Origin::always("cache-control: max-age=3600\r\n", "find me on disk"));
    sandbox.ok(&["get", "--suite", "signed", &origin.url("/")]);
    sandbox.ok(&["key", "rotate"]);
    assert!(sandbox.ok(&["reseal"]).text().starts_with("resealed: 1 of 1 entry (suite: kept)"));
    assert_eq!(sandbox.ok(&["verify", "--suite", "signed"]).text(), "every seal is valid: 1 entry\n");
    assert_eq!(sandbox.run(&["verify"]).code, 11, "another suite is expected, which is not tampering");
    assert!(sandbox.ok(&["reseal", "--suite", "encrypted"]).text().starts_with("resealed: 1"));
    assert_eq!(sandbox.ok(&["verify"]).text(), "every seal is valid: 1 entry\n");
    sandbox.ok(&["get", &origin.url("/")]);
    assert_eq!(origin.count(), 1);
}

#[test]
fn reseal_continues_past_a_bad_entry_and_exits_with_10() {
    let (sandbox, _origin) = filled(&["/a", "/b", "/c"]);
    sandbox.tamper(|place| place == 1);
    sandbox.ok(&["key", "rotate"]);
    let result = sandbox.run(&["reseal"]);
    assert_eq!(result.code, 10);
    assert!(
        result.text().contains("  not resealed  the sealed content was tampered with"),
        "{}",
        result.text()
    );
    assert!(
        result.text().contains("resealed: 2 of 3") && !result.text().contains("retire"),
        "{}",
        result.text()
    );
    assert!(
        result.err.starts_with("error: 1 record not resealed and left unchanged: 1 bad\n"),
        "{}",
        result.err
    );
}

#[test]
fn bad_entries_are_quarantined_listed_and_removed() {
    let (sandbox, origin) = filled(&["/a", "/b", "/c"]);
    sandbox.tamper(|place| place < 2);
    let verify = sandbox.run(&["verify", "--quarantine"]);
    assert_eq!(verify.code, 10);
    assert!(
        verify.err.contains("2 of 3 entries failed verification; 2 moved to quarantine"),
        "{}",
        verify.err
    );
    assert_eq!(sandbox.ok(&["verify"]).text(), "every seal is valid: 1 entry\n");
    assert_eq!(sandbox.ok(&["ls", "--json"]).objects().len(), 1);

    let evidence = sandbox.ok(&["ls", "--quarantined", "--json"]).objects();
    assert_eq!(evidence.len(), 2);
    assert!(evidence[0]["reason"].as_str().unwrap().contains("tampered"), "{}", evidence[0]);
    let from = evidence[0]["from"].as_str().unwrap();
    let table = sandbox.ok(&["ls", "--quarantined"]);
    assert!(table.text().starts_with("FROM ") && table.text().contains(&from[..8]), "{}", table.text());

    for path in ["/a", "/b", "/c"] {
        sandbox.ok(&["get", &origin.url(path)]);
    }
    assert_eq!(sandbox.run(&["rm", "--quarantined"]).code, 13);
    assert_eq!(sandbox.ok(&["rm", "--quarantined", "--yes"]).err, "2 entries removed\n");
    assert!(sandbox.ok(&["ls", "--quarantined", "--json"]).objects().is_empty());
    assert_eq!(sandbox.ok(&["verify"]).text(), "every seal is valid: 3 entries\n");
}

#[test]
fn wrong_namespace_quarantines_nothing() {
    let (sandbox, _origin) = filled(&["/a", "/b"]);
    let wrong = ["--namespace", "another"];
    for args in [&["verify"][..], &["verify", "--quarantine"], &["rm", "--bad", "--yes"]] {
        let result = sandbox.run(&[args, &wrong].concat());
        assert_eq!(result.code, if args[0] == "rm" { 0 } else { 11 }, "{args:?}");
        assert!(
            result.err.contains("--namespace") || result.err == "0 entries removed\n",
            "{args:?}: {}",
            result.err
        );
    }
    assert_eq!(sandbox.ok(&["verify"]).text(), "every seal is valid: 2 entries\n");

    // An entry proves the namespace to be right even if its content was changed.
    sandbox.tamper(|_| true);
    let result = sandbox.run(&["verify", "--quarantine"]);
    assert!(result.err.contains("2 moved to quarantine"), "{}", result.err);
}

#[test]
fn what_another_namespace_sealed_goes_into_quarantine_by_consent() {
    let (sandbox, _origin) = filled(&["/a", "/b"]);
    let quarantine = ["verify", "--namespace", "another", "--quarantine", "--danger-quarantine-all"];
    // Entries that are known to belong to another namespace stay.
    assert_eq!(sandbox.run(&quarantine).code, 11);
    assert_eq!(sandbox.ok(&["verify"]).text(), "every seal is valid: 2 entries\n");
    // Entries with broken commitments may come from another store.
    sandbox.tamper_header(|_| true);
    let result = sandbox.run(&["verify", "--quarantine"]);
    assert!(result.code == 10 && result.err.contains("none was quarantined"), "{}", result.err);
    let result = sandbox.run(&["verify", "--quarantine", "--danger-quarantine-all"]);
    assert_eq!(result.code, 10);
    assert!(result.err.contains("2 moved to quarantine"), "{}", result.err);
    assert_eq!(sandbox.run(&["verify", "--danger-quarantine-all"]).code, 2, "the option needs --quarantine");
}

#[test]
fn get_quarantines_a_tampered_response() {
    let (sandbox, origin) = filled(&["/a"]);
    sandbox.tamper(|_| true);
    assert_eq!(sandbox.ok(&["get", &origin.url("/a")]).text(), "body");
    assert_eq!(sandbox.ok(&["ls", "--quarantined", "--json"]).objects().len(), 1);
}

#[test]
fn anchor_shows_deleted_and_rolled_back_entries() {
    let (sandbox, origin) = filled(&["/a", "/b"]);
    let before = fs::read(sandbox.store()).unwrap();
    sandbox.ok(&["get", &origin.url("/c")]);
    sandbox.ok(&["get", &origin.url("/a"), "Cache-Control:no-cache"]);
    let anchor = sandbox.path("anchor");
    let file = anchor.to_str().unwrap();
    assert_eq!(sandbox.ok(&["anchor", "write", file]).text(), "anchored: 3 entries\n");
    let well = sandbox.ok(&["verify", "--anchor", file]);
    assert!(
        well.text().contains("\nmatches the anchor of ")
            && well.text().contains(": 3 records unchanged, 0 newer"),
        "{}",
        well.text()
    );

    fs::write(sandbox.store(), before).unwrap();
    let result = sandbox.run(&["verify", "--anchor", file]);
    assert_eq!(result.code, 10);
    assert!(result.text().contains("  rolled-back  older than anchored\n"), "{}", result.text());
    assert!(
        result.text().contains("  missing  removed, evicted or deleted before it expired"),
        "{}",
        result.text()
    );
    assert!(
        result.err.contains("2 records missing, older than anchored or unreadable, although no seal is bad"),
        "{}",
        result.err
    );
    let result = sandbox.run(&["verify", "--json", "--anchor", file]);
    let objects = result.objects();
    assert_eq!((objects.len(), &objects[2]["anchor"]["findings"]), (3, &2.into()));
    assert!(objects[..2].iter().all(|object| object["schema"] == "lacre/finding/v1"));
}

#[test]
fn truncated_or_foreign_anchor_is_refused() {
    let (sandbox, origin) = filled(&["/a"]);
    let file = sandbox.file("anchor", b"lacre-anchor-v1\nand no more");
    let result = sandbox.run(&["verify", "--anchor", &file]);
    assert_eq!(result.code, 10);
    assert!(result.err.starts_with("error: the anchor was cut short\n"), "{}", result.err);
    sandbox.ok(&["anchor", "write", &file]);
    let other = format!("sqlite:{}", sandbox.path("other/cache.sqlite").display());
    sandbox.ok(&["get", "--store", &other, &origin.url("/a")]);
    let result = sandbox.run(&["verify", "--store", &other, "--anchor", &file]);
    assert_eq!(result.code, 10);
    assert!(result.err.starts_with("error: the anchor is of another store"), "{}", result.err);
    assert_eq!(sandbox.run(&["verify", "--anchor", "/nowhere/anchor"]).code, 1);
}

#[test]
fn anchor_beside_the_store_is_refused_and_anchor_is_private() {
    let (sandbox, _origin) = filled(&["/a"]);
    let beside = sandbox.store().with_file_name("anchor");
    let result = sandbox.run(&["anchor", "write", beside.to_str().unwrap()]);
    assert_eq!((result.code, beside.exists()), (2, false), "{}", result.err);
    let anchor = sandbox.path("anchor");
    sandbox.ok(&["anchor", "write", anchor.to_str().unwrap()]);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(fs::metadata(anchor).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
