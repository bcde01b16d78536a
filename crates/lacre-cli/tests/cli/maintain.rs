//! `lacre reseal`, `verify --quarantine`, `verify --anchor` and `anchor`.

use crate::world::{Origin, World};
use std::fs;

fn filled(paths: &[&str]) -> (World, Origin) {
    let (world, origin) = (World::new(), Origin::always("cache-control: max-age=3600\r\n", "body"));
    for path in paths {
        world.ok(&["get", &origin.url(path)]);
    }
    (world, origin)
}

/// How many entries each key is needed for, most first.
fn by_key(world: &World) -> Vec<u64> {
    let keys = world.ok(&["verify", "--json"]).objects()[0]["keys"].clone();
    let mut counts: Vec<u64> =
        keys.as_object().unwrap().values().map(|count| count.as_u64().unwrap()).collect();
    counts.sort_unstable_by(|one, other| other.cmp(one));
    counts
}

#[test]
fn reseal_frees_the_old_key_and_says_so() {
    let (world, origin) = filled(&["/a", "/b"]);
    world.ok(&["key", "rotate"]);
    world.ok(&["get", &origin.url("/c")]);
    assert_eq!(by_key(&world), [2, 1]);
    let verify = world.ok(&["verify"]);
    assert!(verify.text().contains("2 records  lacre reseal frees it"), "{}", verify.text());

    let dry = world.ok(&["reseal", "--dry-run", "--json"]).objects();
    assert_eq!((&dry[0]["resealed"], &dry[0]["already"]), (&2.into(), &1.into()));
    assert_eq!(by_key(&world), [2, 1]);
    let done = world.ok(&["reseal"]);
    assert!(
        done.text().starts_with(
            "sealed anew: 2 of 3 entries (suite: kept), right already: 1, expired or revoked: 0\n"
        ),
        "{}",
        done.text()
    );
    assert!(done.text().contains("no other key is needed here: lacre key retire k-"), "{}", done.text());
    assert_eq!(done.err, "", "nobody looks, so there is no progress bar");
    assert_eq!(by_key(&world), [3]);
    assert!(
        world
            .ok(&["reseal"])
            .text()
            .starts_with("sealed anew: 0 of 3 entries (suite: kept), right already: 3")
    );
}

#[test]
fn reseal_changes_a_store_from_readable_to_encrypted_where_it_is_told_to() {
    let (world, origin) =
        (World::new(), Origin::always("cache-control: max-age=3600\r\n", "find me on disk"));
    world.ok(&["get", "--suite", "signed", &origin.url("/")]);
    world.ok(&["key", "rotate"]);
    assert!(world.ok(&["reseal"]).text().starts_with("sealed anew: 1 of 1 entry (suite: kept)"));
    assert_eq!(world.ok(&["verify", "--suite", "signed"]).text(), "every seal holds: 1 entry\n");
    assert_eq!(world.run(&["verify"]).code, 11, "readable is not what is expected, and no tampering");
    assert!(world.ok(&["reseal", "--suite", "encrypted"]).text().starts_with("sealed anew: 1"));
    assert_eq!(world.ok(&["verify"]).text(), "every seal holds: 1 entry\n");
    world.ok(&["get", &origin.url("/")]);
    assert_eq!(origin.count(), 1);
}

#[test]
fn reseal_goes_on_past_a_bad_row_and_ends_with_10() {
    let (world, _origin) = filled(&["/a", "/b", "/c"]);
    world.tamper(|place| place == 1);
    world.ok(&["key", "rotate"]);
    let ran = world.run(&["reseal"]);
    assert_eq!(ran.code, 10);
    assert!(ran.text().contains("  not resealed  the sealed content was tampered with"), "{}", ran.text());
    assert!(ran.text().contains("sealed anew: 2 of 3") && !ran.text().contains("retire"), "{}", ran.text());
    assert!(
        ran.err.starts_with("error: 1 record not resealed, and left as they were: 1 bad\n"),
        "{}",
        ran.err
    );
}

#[test]
fn what_is_bad_goes_into_quarantine_and_from_there() {
    let (world, origin) = filled(&["/a", "/b", "/c"]);
    world.tamper(|place| place < 2);
    let verify = world.run(&["verify", "--quarantine"]);
    assert_eq!(verify.code, 10);
    assert!(
        verify.err.contains("2 of 3 entries failed verification; 2 of these are in quarantine"),
        "{}",
        verify.err
    );
    assert_eq!(world.ok(&["verify"]).text(), "every seal holds: 1 entry\n");
    assert_eq!(world.ok(&["ls", "--json"]).objects().len(), 1);

    let evidence = world.ok(&["ls", "--quarantined", "--json"]).objects();
    assert_eq!(evidence.len(), 2);
    assert!(evidence[0]["reason"].as_str().unwrap().contains("tampered"), "{}", evidence[0]);
    let from = evidence[0]["from"].as_str().unwrap();
    let table = world.ok(&["ls", "--quarantined"]);
    assert!(table.text().starts_with("FROM ") && table.text().contains(&from[..8]), "{}", table.text());

    for path in ["/a", "/b", "/c"] {
        world.ok(&["get", &origin.url(path)]);
    }
    assert_eq!(world.run(&["rm", "--quarantined"]).code, 13);
    assert_eq!(world.ok(&["rm", "--quarantined", "--yes"]).err, "2 entries removed\n");
    assert!(world.ok(&["ls", "--quarantined", "--json"]).objects().is_empty());
    assert_eq!(world.ok(&["verify"]).text(), "every seal holds: 3 entries\n");
}

#[test]
fn the_wrong_namespace_costs_nothing_unless_that_is_asked_for() {
    let (world, _origin) = filled(&["/a", "/b"]);
    let wrong = ["--namespace", "another"];
    for args in [&["verify"][..], &["verify", "--quarantine"], &["rm", "--bad", "--yes"]] {
        let ran = world.run(&[args, &wrong].concat());
        assert_eq!(ran.code, if args[0] == "rm" { 0 } else { 11 }, "{args:?}");
        assert!(ran.err.contains("--namespace") || ran.err == "0 entries removed\n", "{args:?}: {}", ran.err);
    }
    assert_eq!(world.ok(&["verify"]).text(), "every seal holds: 2 entries\n");

    // One that is genuine shows that it is the right namespace, even where its time is over or its content was changed.
    world.tamper(|_| true);
    let ran = world.run(&["verify", "--quarantine"]);
    assert!(ran.err.contains("2 of these are in quarantine"), "{}", ran.err);
}

#[test]
fn what_another_namespace_sealed_goes_into_quarantine_by_consent() {
    let (world, _origin) = filled(&["/a", "/b"]);
    let quarantine = ["verify", "--namespace", "another", "--quarantine", "--danger-quarantine-all"];
    // What is known to be another namespace's stays even then.
    assert_eq!(world.run(&quarantine).code, 11);
    assert_eq!(world.ok(&["verify"]).text(), "every seal holds: 2 entries\n");
    // Where no list says so, it may all have been moved here from elsewhere.
    world.tamper_header(|_| true);
    let ran = world.run(&["verify", "--quarantine"]);
    assert!(ran.code == 10 && ran.err.contains("all were left alone"), "{}", ran.err);
    let ran = world.run(&["verify", "--quarantine", "--danger-quarantine-all"]);
    assert_eq!(ran.code, 10);
    assert!(ran.err.contains("2 of these are in quarantine"), "{}", ran.err);
    assert_eq!(world.run(&["verify", "--danger-quarantine-all"]).code, 2, "there is nothing to consent to");
}

#[test]
fn an_answer_that_was_tampered_with_is_kept_as_evidence_by_get_too() {
    let (world, origin) = filled(&["/a"]);
    world.tamper(|_| true);
    assert_eq!(world.ok(&["get", &origin.url("/a")]).text(), "body");
    assert_eq!(world.ok(&["ls", "--quarantined", "--json"]).objects().len(), 1);
}

#[test]
fn an_anchor_shows_what_was_deleted_and_what_went_back_in_time() {
    let (world, origin) = filled(&["/a", "/b"]);
    let before = fs::read(world.store()).unwrap();
    world.ok(&["get", &origin.url("/c")]);
    world.ok(&["get", &origin.url("/a"), "Cache-Control:no-cache"]);
    let anchor = world.path("anchor");
    let file = anchor.to_str().unwrap();
    assert_eq!(world.ok(&["anchor", "write", file]).text(), "written down: 3 entries\n");
    let well = world.ok(&["verify", "--anchor", file]);
    assert!(
        well.text().contains("\nas anchored at ") && well.text().contains(": 3 records the same, 0 newer"),
        "{}",
        well.text()
    );

    fs::write(world.store(), before).unwrap();
    let ran = world.run(&["verify", "--anchor", file]);
    assert_eq!(ran.code, 10);
    assert!(ran.text().contains("  rolled-back  older than it was\n"), "{}", ran.text());
    assert!(ran.text().contains("  missing  gone before its time was over"), "{}", ran.text());
    assert!(ran.err.contains("2 findings against the anchor, though no seal is bad"), "{}", ran.err);
    let ran = world.run(&["verify", "--json", "--anchor", file]);
    let objects = ran.objects();
    assert_eq!((objects.len(), &objects[2]["anchor"]["findings"]), (3, &2.into()));
    assert!(objects[..2].iter().all(|object| object["schema"] == "lacre/finding/v1"));
}

#[test]
fn an_anchor_of_another_store_or_of_nothing_is_refused() {
    let (world, origin) = filled(&["/a"]);
    let file = world.file("anchor", b"lacre-anchor-v1\nand no more");
    let ran = world.run(&["verify", "--anchor", &file]);
    assert_eq!(ran.code, 10);
    assert!(ran.err.starts_with("error: the anchor was cut short\n"), "{}", ran.err);
    world.ok(&["anchor", "write", &file]);
    let other = format!("sqlite:{}", world.path("other/cache.sqlite").display());
    world.ok(&["get", "--store", &other, &origin.url("/a")]);
    let ran = world.run(&["verify", "--store", &other, "--anchor", &file]);
    assert_eq!(ran.code, 10);
    assert!(ran.err.starts_with("error: the anchor is of another store"), "{}", ran.err);
    assert_eq!(world.run(&["verify", "--anchor", "/nowhere/anchor"]).code, 1);
}

#[test]
fn an_anchor_does_not_lie_beside_the_store_and_is_its_users_alone() {
    let (world, _origin) = filled(&["/a"]);
    let beside = world.store().with_file_name("anchor");
    let ran = world.run(&["anchor", "write", beside.to_str().unwrap()]);
    assert_eq!((ran.code, beside.exists()), (2, false), "{}", ran.err);
    let anchor = world.path("anchor");
    world.ok(&["anchor", "write", anchor.to_str().unwrap()]);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(fs::metadata(anchor).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
