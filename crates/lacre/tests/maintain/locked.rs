//! Another process keeps the store's lock: answers come all the same, one event tells, and nothing
//! that was made invalid is served.

use crate::world::{World, exchange, is_hit, request};
use rusqlite::Connection;

fn lock(world: &World) -> Connection {
    let other = Connection::open(world.file()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    other
}

#[test]
fn kept_lock_costs_no_response_and_one_event() {
    let world = World::on_sqlite();
    world.get("/stored", b"stored");
    let other = lock(&world);
    for n in 0..5 {
        assert!(!is_hit(&world.get(&format!("/{n}"), b"fetched")));
        assert!(is_hit(&world.get("/stored", b"")), "reading goes on");
    }
    assert_eq!(world.told("store failed"), 1);
    drop(other);
    world.get("/0", b"fetched");
    assert!(is_hit(&world.get("/0", b"")), "and storing, once the lock is free");
    let _other = lock(&world);
    world.get("/1", b"fetched");
    assert_eq!(world.told("store failed"), 2, "another lock is news");
}

#[test]
fn response_invalidated_during_a_lock_is_never_served() {
    for tier in [0, 1 << 20] {
        let world = World::on_sqlite().with(|builder| builder.memory_tier(tier));
        world.get("/", b"old");
        assert!(is_hit(&world.get("/", b"")));
        let other = lock(&world);
        let mut post = request("/");
        post.method = http::Method::POST;
        exchange(&world.cache, post, "no-store", b"changed").unwrap();
        assert!(!is_hit(&world.peek("/").unwrap()));
        drop(other);
        world.get("/another", b"written");
        assert_eq!(world.rows().len(), 1, "what was owed is made up for");
        assert!(!is_hit(&world.peek("/").unwrap()));
        world.get("/", b"new");
        assert_eq!(world.get("/", b"").response.body(), "new");
    }
}
