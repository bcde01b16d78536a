//! A memory tier serves what it verified, and nothing that the store no longer has.

use crate::world::{LARGE, MINUTE, World, fetch, is_hit, replace};
use lacre::wait;
use std::time::Duration;

const TIER: usize = 16 << 20;

fn tiered(world: World) -> World {
    world.with(|builder| builder.memory_tier(TIER))
}

/// Until the tier asks again whether others have written.
fn a_moment() {
    std::thread::sleep(Duration::from_millis(2));
}

#[test]
fn verified_entry_of_any_size_is_served_from_memory() {
    for world in World::on_every_store().into_iter().map(tiered) {
        for (path, length) in [("/small", 10), ("/large", LARGE)] {
            world.get(path, &vec![7; length]);
            assert!(is_hit(&world.get(path, b"")));
        }
        for (key, _) in world.rows() {
            world.tamper(&key);
        }
        assert_eq!(world.get("/small", b"").response.body(), &vec![7; 10]);
        assert_eq!(world.get("/large", b"").response.body(), &vec![7; LARGE]);
        assert_eq!(world.told("refused"), 0);
        let untiered = world.another().build().unwrap();
        assert!(!is_hit(&fetch(&untiered, "/small", "no-store", b"").unwrap()));
    }
}

#[test]
fn writes_and_removals_of_other_processes_are_seen() {
    for world in World::on_every_file().into_iter().map(tiered) {
        let other = world.elsewhere();
        for n in 0..20_u8 {
            replace(&other, "/", &[n]);
            a_moment();
            for _ in 0..2 {
                assert_eq!(world.peek("/").unwrap().response.body().as_ref(), [n]);
            }
        }
        let (key, _) = world.row();
        assert!(wait(other.remove(&key)).unwrap());
        a_moment();
        assert!(!is_hit(&world.peek("/").unwrap()));
    }
}

#[test]
fn entry_stays_in_memory_when_others_write_other_entries() {
    for world in World::on_every_file().into_iter().map(tiered) {
        world.get("/", b"body");
        world.get("/", b"");
        replace(&world.elsewhere(), "/other", b"another's");
        a_moment();
        assert_eq!(world.get("/", b"").response.body(), "body");
        assert_eq!(world.told("refused"), 0);
    }
}

#[test]
fn tampering_is_found_once_another_process_has_written() {
    for world in World::on_every_file().into_iter().map(tiered) {
        world.get("/", b"body");
        world.get("/", b"");
        let (key, mut record) = world.row();
        // Another seal in its place: what only damages the ciphertext behind the same seal is never
        // read.
        replace(&world.elsewhere(), "/other", b"x");
        let other = world.rows().into_iter().find(|(other, _)| *other != key).unwrap();
        record.sealed = other.1.sealed;
        world.put(&key, &record);
        replace(&world.elsewhere(), "/other", b"y");
        a_moment();
        assert_eq!(world.get("/", b"fetched again").response.body(), "fetched again");
        assert_eq!(world.told("refused"), 1);
    }
}

#[test]
fn p08_replaced_entry_does_not_come_back_from_memory() {
    for world in World::on_every_file().into_iter().map(tiered) {
        world.get("/", b"old");
        world.get("/", b"");
        let (key, old) = world.row();
        replace(&world.elsewhere(), "/", b"new");
        assert!(wait(world.cache.stored(&key)).unwrap().is_some());
        world.put(&key, &old);
        a_moment();
        assert!(!is_hit(&world.get("/", b"newest")));
        assert_eq!(world.told("quarantined"), 1);
        assert_eq!(world.get("/", b"").response.body(), "newest");
    }
}

#[test]
fn replaced_removed_and_cleared_entries_leave_memory() {
    for world in World::on_every_store().into_iter().map(tiered) {
        world.get("/", b"old");
        world.get("/", b"");
        world.replace("/", b"new");
        assert_eq!(world.get("/", b"").response.body(), "new");
        let (key, _) = world.row();
        wait(world.cache.remove(&key)).unwrap();
        assert!(!is_hit(&world.get("/", b"newer")));
        assert!(is_hit(&world.get("/", b"")));
        wait(world.cache.clear()).unwrap();
        assert!(!is_hit(&world.peek("/").unwrap()));
    }
}

#[test]
fn expired_entry_is_not_served_from_memory() {
    for world in World::on_every_store().into_iter().map(tiered) {
        world.get("/", b"body");
        assert!(is_hit(&world.get("/", b"")));
        world.clock.advance(MINUTE * 60 * 24 * 366);
        assert!(!is_hit(&world.peek("/").unwrap()));
    }
}

#[test]
fn memory_is_limited_in_bytes() {
    const ROOM: usize = 512 << 10;
    const BODY: usize = 1000;
    let world = World::on_sqlite().with(|builder| builder.memory_tier(ROOM));
    let paths: Vec<String> = (0..1000).map(|n| format!("/{n}")).collect();
    for path in &paths {
        world.get(path, &[1; BODY]);
        world.get(path, b"");
    }
    world.get("/beyond-a-sixteenth", &[1; ROOM / 8]);
    world.get("/beyond-a-sixteenth", b"");
    wait(world.store.clear()).unwrap();
    let held = paths.iter().filter(|path| is_hit(&world.peek(path).unwrap())).count();
    assert!(held > 0 && held * BODY < ROOM, "{held}");
    assert!(!is_hit(&world.peek("/beyond-a-sixteenth").unwrap()));
}

#[test]
fn readers_never_see_an_older_response_during_writes() {
    const LAST: u8 = 200;
    for world in World::on_every_store().into_iter().map(tiered) {
        world.replace("/", &[0]);
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    let mut last = 0;
                    while last < LAST {
                        let now = world.peek("/").unwrap().response.body()[0];
                        assert!(now >= last, "{now} after {last}");
                        last = now;
                    }
                });
            }
            for n in 1..=LAST {
                world.replace("/", &[n]);
                assert_eq!(world.peek("/").unwrap().response.body().as_ref(), [n]);
            }
        });
    }
}
