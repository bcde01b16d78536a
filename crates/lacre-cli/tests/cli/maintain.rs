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

/// How many entries each key is needed for, most first.
fn by_key(sandbox: &Sandbox) -> Vec<u64> {
    let keys = sandbox.ok(&["verify", "--json"]).objects()[0]["keys"].clone();
    let mut counts: Vec<u64> =
        keys.as_object().unwrap().values().map(|count| count.as_u64().unwrap()).collect();
    counts.sort_unstable_by(|one, other| other.cmp(one));
    counts
}

#[test]
fn reseal_frees_the_old_key_and_says_so() {
    let (sandbox, origin) = filled(&["/a", "/b"]);
    sandbox.ok(&["key", "rotate"]);
    sandbox.ok(&["get", &origin.url("/c")]);
    assert_eq!(by_key(&sandbox), [2, 1]);
    let verify = sandbox.ok(&["verify"]);
    assert!(verify.text().contains("2 records  lacre reseal frees it"), "{}", verify.text());

    let dry = sandbox.ok(&["reseal", "--dry-run", "--json"]).objects();
    assert_eq!((&dry[0]["resealed"], &dry[0]["already"]), (&2.into(), &1.into()));
    assert_eq!(by_key(&sandbox), [2, 1]);
    let done = sandbox.ok(&["reseal"]);
    assert!(
        done.text().starts_with(
            "sealed anew: 2 of 3 entries (suite: kept), right already: 1, expired or revoked: 0\n"
        ),
        "{}",
        done.text()
    );
    assert!(done.text().contains("no other key is needed here: lacre key retire k-"), "{}", done.text());
    assert_eq!(done.err, "", "nobody looks, so there is no progress bar");
    assert_eq!(by_key(&sandbox), [3]);
    assert!(
        sandbox
            .ok(&["reseal"])
            .text()
            .starts_with("sealed anew: 0 of 3 entries (suite: kept), right already: 3")
    );
}

#[test]
fn reseal_changes_a_store_from_readable_to_encrypted_where_it_is_told_to() {
    let (sandbox, origin) =
        (Sandbox::new(), Origin::always("cache-control: max-age=3600\r\n", "find me on disk"));
    sandbox.ok(&["get", "--suite", "signed", &origin.url("/")]);
    sandbox.ok(&["key", "rotate"]);
    assert!(sandbox.ok(&["reseal"]).text().starts_with("sealed anew: 1 of 1 entry (suite: kept)"));
    assert_eq!(sandbox.ok(&["verify", "--suite", "signed"]).text(), "every seal holds: 1 entry\n");
    assert_eq!(sandbox.run(&["verify"]).code, 11, "readable is not what is expected, and no tampering");
    assert!(sandbox.ok(&["reseal", "--suite", "encrypted"]).text().starts_with("sealed anew: 1"));
    assert_eq!(sandbox.ok(&["verify"]).text(), "every seal holds: 1 entry\n");
    sandbox.ok(&["get", &origin.url("/")]);
    assert_eq!(origin.count(), 1);
}

#[test]
fn reseal_goes_on_past_a_bad_row_and_ends_with_10() {
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
        result.text().contains("sealed anew: 2 of 3") && !result.text().contains("retire"),
        "{}",
        result.text()
    );
    assert!(
        result.err.starts_with("error: 1 record not resealed, and left as they were: 1 bad\n"),
        "{}",
        result.err
    );
}

#[test]
fn what_is_bad_goes_into_quarantine_and_from_there() {
    let (sandbox, origin) = filled(&["/a", "/b", "/c"]);
    sandbox.tamper(|place| place < 2);
    let verify = sandbox.run(&["verify", "--quarantine"]);
    assert_eq!(verify.code, 10);
    assert!(
        verify.err.contains("2 of 3 entries failed verification; 2 of these are in quarantine"),
        "{}",
        verify.err
    );
    assert_eq!(sandbox.ok(&["verify"]).text(), "every seal holds: 1 entry\n");
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
    assert_eq!(sandbox.ok(&["verify"]).text(), "every seal holds: 3 entries\n");
}

#[test]
fn the_wrong_namespace_costs_nothing_unless_that_is_asked_for() {
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
    assert_eq!(sandbox.ok(&["verify"]).text(), "every seal holds: 2 entries\n");

    // One that is genuine shows that it is the right namespace, even where its time is over or its content was changed.
    sandbox.tamper(|_| true);
    let result = sandbox.run(&["verify", "--quarantine"]);
    assert!(result.err.contains("2 of these are in quarantine"), "{}", result.err);
}

#[test]
fn what_another_namespace_sealed_goes_into_quarantine_by_consent() {
    let (sandbox, _origin) = filled(&["/a", "/b"]);
    let quarantine = ["verify", "--namespace", "another", "--quarantine", "--danger-quarantine-all"];
    // What is known to be another namespace's stays even then.
    assert_eq!(sandbox.run(&quarantine).code, 11);
    assert_eq!(sandbox.ok(&["verify"]).text(), "every seal holds: 2 entries\n");
    // Where no list says so, it may all have been moved here from elsewhere.
    sandbox.tamper_header(|_| true);
    let result = sandbox.run(&["verify", "--quarantine"]);
    assert!(result.code == 10 && result.err.contains("all were left alone"), "{}", result.err);
    let result = sandbox.run(&["verify", "--quarantine", "--danger-quarantine-all"]);
    assert_eq!(result.code, 10);
    assert!(result.err.contains("2 of these are in quarantine"), "{}", result.err);
    assert_eq!(sandbox.run(&["verify", "--danger-quarantine-all"]).code, 2, "there is nothing to consent to");
}

#[test]
fn an_answer_that_was_tampered_with_is_kept_as_evidence_by_get_too() {
    let (sandbox, origin) = filled(&["/a"]);
    sandbox.tamper(|_| true);
    assert_eq!(sandbox.ok(&["get", &origin.url("/a")]).text(), "body");
    assert_eq!(sandbox.ok(&["ls", "--quarantined", "--json"]).objects().len(), 1);
}

#[test]
fn an_anchor_shows_what_was_deleted_and_what_went_back_in_time() {
    let (sandbox, origin) = filled(&["/a", "/b"]);
    let before = fs::read(sandbox.store()).unwrap();
    sandbox.ok(&["get", &origin.url("/c")]);
    sandbox.ok(&["get", &origin.url("/a"), "Cache-Control:no-cache"]);
    let anchor = sandbox.path("anchor");
    let file = anchor.to_str().unwrap();
    assert_eq!(sandbox.ok(&["anchor", "write", file]).text(), "written down: 3 entries\n");
    let well = sandbox.ok(&["verify", "--anchor", file]);
    assert!(
        well.text().contains("\nas anchored at ") && well.text().contains(": 3 records the same, 0 newer"),
        "{}",
        well.text()
    );

    fs::write(sandbox.store(), before).unwrap();
    let result = sandbox.run(&["verify", "--anchor", file]);
    assert_eq!(result.code, 10);
    assert!(result.text().contains("  rolled-back  older than it was\n"), "{}", result.text());
    assert!(result.text().contains("  missing  gone before its time was over"), "{}", result.text());
    assert!(result.err.contains("2 findings against the anchor, though no seal is bad"), "{}", result.err);
    let result = sandbox.run(&["verify", "--json", "--anchor", file]);
    let objects = result.objects();
    assert_eq!((objects.len(), &objects[2]["anchor"]["findings"]), (3, &2.into()));
    assert!(objects[..2].iter().all(|object| object["schema"] == "lacre/finding/v1"));
}

#[test]
fn an_anchor_of_another_store_or_of_nothing_is_refused() {
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
fn an_anchor_does_not_lie_beside_the_store_and_is_its_users_alone() {
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
