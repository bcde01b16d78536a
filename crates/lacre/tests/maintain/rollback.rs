//! Per-key rollback within a process (property 8).

use crate::world::{LARGE, MINUTE, START, World, fetch, is_hit, replace};
use lacre::store::StoreExt;
use lacre::{Cache, ErrorKind, OnTamper, wait};
use std::time::Duration;

#[test]
fn p08_restored_older_record_is_refused_even_if_fresh() {
    for world in World::on_every_store() {
        world.get("/", b"old");
        let (key, old) = world.row();
        world.replace("/", b"new");
        assert!(is_hit(&world.get("/", b"")));
        world.put(&key, &old);
        let reply = world.get("/", b"newest");
        assert!(!is_hit(&reply));
        assert_eq!((reply.response.body(), world.told("quarantined")), (&"newest".into(), 1));
        assert_eq!(world.get("/", b"").response.body(), "newest");
    }
}

#[test]
fn record_older_than_one_already_seen_is_refused() {
    for world in World::on_every_store() {
        world.get("/", b"old");
        let (key, old) = world.row();
        world.clock.advance(MINUTE);
        world.replace("/", b"new");
        let world = world.with(|builder| builder.on_tamper(OnTamper::Raise));
        assert_eq!(world.peek("/").unwrap().response.body(), "new");
        world.put(&key, &old);
        let error = world.peek("/").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Tampered);
        assert!(error.to_string().contains("an older record was put back"), "{error}");
    }
}

#[test]
fn invalidated_record_does_not_come_back() {
    for world in World::on_every_store() {
        world.get("/", b"old");
        let (key, old) = world.row();
        wait(world.cache.remove(&key)).unwrap();
        world.put(&key, &old);
        assert!(!is_hit(&world.peek("/").unwrap()));
    }
}

#[test]
fn large_body_is_bound_to_its_newest_head() {
    for world in World::on_every_store() {
        world.get("/", &[1; LARGE]);
        let (key, old) = world.row();
        let body = old.body.unwrap();
        let chunk = |n| wait(world.store.fetch_chunk(body, n)).unwrap().unwrap();
        let chunks: Vec<_> = (0..old.chunks).map(chunk).collect();
        world.replace("/", &[2; LARGE]);
        for (n, chunk) in (0..).zip(&chunks) {
            wait(world.store.stage(body, n, chunk, START)).unwrap();
        }
        world.put(&key, &old);
        assert!(!is_hit(&world.peek("/").unwrap()));
    }
}

#[test]
fn record_of_another_process_is_newer_even_if_its_clock_is_behind() {
    for world in World::on_every_store() {
        let other = world.another().build().unwrap();
        let read = |cache: &Cache| fetch(cache, "/", "no-store", b"").unwrap().response.body()[0];
        for round in 0..5 {
            world.replace("/", &[round]);
            assert_eq!([read(&world.cache), read(&other)], [round; 2]);
            world.clock.set(START.minus(Duration::from_secs(2)));
            replace(&other, "/", &[100 + round]);
            assert_eq!([read(&world.cache), read(&other)], [100 + round; 2]);
            world.clock.set(START);
        }
        assert_eq!(world.told("refused"), 0);
    }
}
