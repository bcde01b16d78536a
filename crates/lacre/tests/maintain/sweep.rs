//! Columns that somebody forged (property 7): they cost no good record and keep none that is over.

use crate::world::{LARGE, MINUTE, World, is_hit};
use lacre::{Policy, wait};
use std::time::Duration;

/// Anything but a multiple of what a store writes by itself.
const FORGED: &[&str] = &[
    "UPDATE slot SET expires = 0",
    "UPDATE slot SET expires = -9223372036854775808, written = 0",
    "UPDATE slot SET written = 9223372036854775807",
    "UPDATE slot SET chunks = 4294967295",
    "UPDATE slot SET body = x'00112233445566778899aabbccddeeff'",
    "UPDATE slot SET body = x'', chunks = 0, expires = 1",
];

#[test]
fn p07_forged_column_removes_no_good_record() {
    for sql in FORGED {
        for length in [10, LARGE] {
            let world = World::on_sqlite();
            world.get("/", &vec![7; length]);
            let before = world.row();
            world.sql(sql);
            assert!(is_hit(&world.get("/", b"")), "{sql}");
            let swept = wait(world.cache.sweep()).unwrap();
            assert_eq!((swept.records, swept.chunks, world.told("corrected")), (0, 0, 1), "{sql}");
            assert_eq!(world.row(), before, "{sql}");
            assert_eq!(world.get("/", b"").response.body().len(), length, "{sql}");
            wait(world.cache.sweep()).unwrap();
            assert_eq!(world.told("corrected"), 1, "once");
        }
    }
}

#[test]
fn p07_forged_column_keeps_no_expired_record() {
    let world = World::on_sqlite();
    let world = world.with(|builder| builder.policy(Policy::rfc9111().retention(MINUTE)));
    world.get("/", &[7; LARGE]);
    world.sql("UPDATE slot SET expires = 9223372036854775807");
    world.clock.advance(MINUTE * 100);
    let swept = wait(world.cache.sweep()).unwrap();
    assert_eq!((swept.records, world.rows().len()), (1, 0));
    assert_eq!(wait(world.store.usage()).unwrap().records, 0);
}

#[test]
fn revoked_record_is_swept_before_it_expires() {
    for mut world in World::on_every_store() {
        world.get("/", b"body");
        world.ring.raise_epoch();
        world = world.with(|builder| builder);
        assert!(!is_hit(&world.peek("/").unwrap()));
        assert_eq!(world.told("refused"), 0, "it was revoked by us");
        assert_eq!(wait(world.cache.sweep()).unwrap().records, 1);
    }
}

#[test]
fn planted_trigger_prevents_no_removal() {
    let world = World::on_sqlite();
    let world = world.with(|builder| builder.policy(Policy::rfc9111().retention(MINUTE)));
    world.get("/", b"body");
    world.sql("CREATE TRIGGER pin BEFORE DELETE ON slot BEGIN SELECT RAISE(IGNORE); END");
    world.clock.advance(Duration::from_secs(100_000));
    assert_eq!(wait(world.cache.sweep()).unwrap().records, 1);
    assert!(world.rows().is_empty());
    assert_eq!(wait(world.cache.inspect()).unwrap().len(), 1);
}

#[test]
fn forged_body_does_not_remove_the_chunks_of_another_entry() {
    let world = World::on_sqlite();
    let short = world.another().policy(Policy::rfc9111().retention(MINUTE)).build().unwrap();
    world.get("/kept", &[7; LARGE]);
    crate::world::replace(&short, "/short", &[8; LARGE]);
    world.sql(
        "UPDATE slot SET (body, chunks) = (SELECT body, chunks FROM slot ORDER BY expires DESC LIMIT 1)",
    );
    world.clock.advance(MINUTE * 100);
    wait(world.cache.sweep()).unwrap();
    assert_eq!(world.rows().len(), 1);
    assert_eq!(world.verify().0.len(), 1, "with its chunks");
}
