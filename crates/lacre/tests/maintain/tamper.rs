//! The tamper policy (properties 41 and 42): what happens to what does not open, and that it stops
//! nothing else.

use crate::world::{LARGE, World, fetch, is_hit};
use http::StatusCode;
use lacre::{ErrorKind, OnTamper, wait};

#[test]
fn p41_by_default_a_tampered_record_is_reported_quarantined_and_refetched() {
    for world in World::on_every_store() {
        for length in [10, LARGE] {
            world.get("/", &vec![1; length]);
            world.tamper(&world.row().0);
            let (refused, quarantined) = (world.told("refused"), world.told("quarantined"));
            let healing = world.get("/", &vec![2; length]);
            assert!(!is_hit(&healing));
            assert_eq!(
                healing.info.status.to_string(),
                "lacre; fwd=uri-miss; fwd-status=200; ttl=3600; stored; detail=tampered"
            );
            assert_eq!((world.told("refused"), world.told("quarantined")), (refused + 1, quarantined + 1));
            let healed = world.get("/", b"");
            assert!(is_hit(&healed));
            assert_eq!(healed.response.body()[..], vec![2; length][..]);
            wait(world.cache.clear()).unwrap();
        }
    }
}

#[test]
fn refused_record_is_removed_even_if_the_new_response_is_not_stored() {
    for world in World::on_every_store() {
        world.get("/", b"body");
        world.tamper(&world.row().0);
        world.peek("/").unwrap();
        world.peek("/").unwrap();
        assert_eq!(world.told("refused"), 1, "the second time, nothing is there");
    }
}

#[test]
fn p41_raised_the_error_names_entry_key_and_remedy_and_never_content() {
    for world in World::on_every_store() {
        let world = world.with(|builder| builder.on_tamper(OnTamper::Raise));
        world.get("/path?q=1", b"hunter2");
        let key = world.row().0;
        world.tamper(&key);
        for _ in 0..2 {
            let error = world.peek("/path?q=1").unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Tampered);
            let text = error.to_string();
            assert!(
                text.starts_with(&format!("entry {key:.8} sealed with {}: ", world.ring.primary())),
                "{text}"
            );
            assert!(text.contains("remove the record"), "{text}");
            let all = format!("{text} {error:?}");
            assert!(!["path", "q=1", "hunter2", "example"].iter().any(|word| all.contains(word)), "{all}");
        }
        assert_eq!((world.told("refused"), world.told("quarantined")), (2, 0), "it stays where it is");
    }
}

#[test]
fn p41_fail_closed_sends_no_request_until_the_record_is_gone() {
    for world in World::on_every_store() {
        let world = world.with(|builder| builder.on_tamper(OnTamper::FailClosed));
        world.get("/", b"body");
        let key = world.row().0;
        world.tamper(&key);
        for _ in 0..2 {
            assert_eq!(world.get("/", b"new").response.status(), StatusCode::GATEWAY_TIMEOUT);
        }
        wait(world.cache.remove(&key)).unwrap();
        assert_eq!(world.get("/", b"new").response.body(), "new");
        assert!(is_hit(&world.get("/", b"")));
    }
}

#[test]
fn p42_one_bad_row_stops_neither_listing_nor_maintenance() {
    for world in World::on_every_store() {
        for path in ["/a", "/b", "/c"] {
            world.get(path, &[1; LARGE]);
        }
        let bad = world.rows()[1].0;
        world.tamper(&bad);
        let mut listed = 0;
        wait(world.cache.list(&mut |_| listed += 1)).unwrap();
        assert_eq!(listed, 3);
        wait(world.cache.sweep()).unwrap();
        let (good, found) = world.verify();
        assert_eq!((good.len(), found), (2, vec![bad]));
        wait(world.cache.quarantined(&mut |_| panic!("nothing was moved"))).unwrap();
    }
}

#[test]
fn p40_without_the_old_key_an_entry_is_a_miss_and_is_kept() {
    for mut world in World::on_every_store() {
        world.get("/", b"body");
        let with_old_key = world.another().build().unwrap();
        let old = world.ring.primary();
        world.rotate();
        world.ring.retire(old).unwrap();
        let world = world.with(|builder| builder.on_tamper(OnTamper::Raise));
        let reply = world.peek("/").unwrap();
        assert_eq!((is_hit(&reply), world.told("refused"), world.told("quarantined")), (false, 1, 0));
        assert!(is_hit(&fetch(&with_old_key, "/", "no-store", b"").unwrap()));
    }
}
