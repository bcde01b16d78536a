//! What whoever can write the store, but has no key, can make the cache serve: nothing but what it
//! stored, where and while it stored it.

use crate::world::{KINDS, World, get, keyring, sealer};
use lacre::{Keyring, Suite, wait};
use lacre_seal::{Purpose, Sealer};
use std::sync::Arc;

/// Every store with every suite.
fn everywhere(check: impl Fn(World, Suite)) {
    for &kind in KINDS {
        for suite in Suite::ALL {
            check(World::new(kind, |builder| builder.suite(suite)), suite);
        }
    }
}

/// What was planted is refused with an alarm, the origin is asked instead, and what it says takes
/// its place.
fn refused(world: &World, what: &str) {
    world.alarmed();
    let kind = world.medium.kind;
    let got = world.get("/", b"fresh");
    assert!(!got.hit, "{what} was served from {kind:?}");
    assert!(world.alarmed(), "{what} was refused in silence by {kind:?}");
    let again = world.get("/", b"");
    assert!(again.hit && again.body == "fresh", "{what} was not healed in {kind:?}");
}

#[test]
fn p01_any_bit_flip_is_refused() {
    everywhere(|world, suite| {
        world.get("/", b"body");
        for at in 0..world.row().1.sealed.len() {
            let (key, record) = world.row();
            let mut sealed = record.sealed.to_vec();
            sealed[at] ^= 1 << (at % 8);
            world.plant(&key, &record, &sealed);
            refused(&world, &format!("{suite:?} with byte {at} changed"));
        }
    });
}

#[test]
fn p02_any_cut_or_extension_is_refused() {
    everywhere(|world, suite| {
        world.get("/", b"body");
        let (key, record) = world.row();
        for length in (0..record.sealed.len()).step_by(7) {
            world.plant(&key, &record, &record.sealed[..length]);
            refused(&world, &format!("{suite:?} cut to {length}"));
        }
        for more in [1, 16, 32, 100_000] {
            let (key, record) = world.row();
            let mut sealed = record.sealed.to_vec();
            sealed.resize(sealed.len() + more, 0);
            world.plant(&key, &record, &sealed);
            refused(&world, &format!("{suite:?} longer by {more}"));
        }
    });
}

fn head_of(world: &World) -> Vec<u8> {
    let (key, record) = world.row();
    world.open(&key, &record).head.as_bytes().to_vec()
}

#[test]
fn p03_a_forged_entry_is_refused() {
    everywhere(|world, suite| {
        world.get("/", b"body");
        let (key, record) = world.row();
        let head = head_of(&world);
        let foreign = Sealer::new(Arc::new(Keyring::generate().unwrap()), suite);
        let mut disguised = world.seal_as(&foreign, &key, Purpose::Slot, &head, b"forged");
        disguised[8..16].copy_from_slice(&record.sealed[8..16]);
        for (what, forged) in
            [("a foreign key's id over a foreign seal", &disguised), ("no seal at all", &head)]
        {
            world.plant(&key, &record, forged);
            refused(&world, &format!("{suite:?}: {what}"));
        }
    });
}

#[test]
fn p04_a_record_under_another_key_is_refused() {
    everywhere(|world, suite| {
        world.get("/other", b"other");
        let (_, other) = world.row();
        world.get("/", b"body");
        let rows = world.rows();
        let (key, record) = rows.iter().find(|(_, record)| record.sealed != other.sealed).unwrap();
        world.plant(key, record, &other.sealed);
        refused(&world, &format!("{suite:?}: another row's record"));
    });
}

#[test]
fn p05_a_record_from_another_namespace_tenant_or_store_is_refused() {
    everywhere(|world, suite| {
        world.get("/", b"body");
        let (key, record) = world.row();
        let other_store = World::new(world.medium.kind, |builder| builder.suite(suite));
        let other_namespace =
            World::new(world.medium.kind, |builder| builder.suite(suite).namespace("other"));
        let other_tenant = World::new(world.medium.kind, |builder| {
            builder.suite(suite).keyring(Keyring::generate().unwrap())
        });
        for (other, what) in [(&other_store, "store"), (&other_namespace, "namespace")] {
            other.get("/", b"other");
            let (_, foreign) = other.row();
            world.plant(&key, &record, &foreign.sealed);
            refused(&world, &format!("{suite:?}: a record of another {what}"));
        }
        // Another tenant's key is not in the ring: that is a miss with an event, whatever lies
        // there.
        other_tenant.get("/", b"other");
        world.plant(&key, &record, &other_tenant.row().1.sealed);
        refused(&world, &format!("{suite:?}: a record of another tenant"));
    });
}

#[test]
fn p06_aliases_signposts_expiry_and_tags_are_sealed() {
    everywhere(|world, suite| {
        // A response that varies: an index and a variant. Each refuses to be changed, moved, or
        // to stand for the other.
        let varies = &[("cache-control", "max-age=60"), ("vary", "accept")];
        let ask = || world.try_fetch(get("/"), varies, b"fresh").unwrap();
        ask();
        assert!(ask().hit);
        let rows = world.rows();
        assert_eq!(rows.len(), 2, "an index and a variant");
        for (place, (key, record)) in rows.iter().enumerate() {
            let other = &rows[1 - place].1;
            world.plant(key, record, &other.sealed);
            assert!(!ask().hit, "{suite:?}: one for the other");
            world.alarmed();
            let (_, now) = world.rows().into_iter().find(|(at, _)| at == key).unwrap();
            let mut sealed = now.sealed.to_vec();
            *sealed.last_mut().unwrap() ^= 1;
            world.plant(key, &now, &sealed);
            assert!(!ask().hit, "{suite:?}: a changed row");
            assert!(world.alarmed());
        }
        // What a store says of expiry changes nothing: the seal says it, too.
        let (key, record) = world.rows().into_iter().next().unwrap();
        let immortal =
            lacre::store::OwnedRecord { expires: lacre::Timestamp::from_seconds(1 << 40), ..record };
        wait(world.medium.store.put(&key, immortal.lend())).unwrap();
        world.clock.advance(std::time::Duration::from_secs(3600));
        assert!(!ask().hit, "{suite:?}: the store's own word on expiry was believed");
    });
}

#[test]
fn p09_raising_the_epoch_revokes_restored_backups() {
    everywhere(|world, suite| {
        world.get("/", b"body");
        let mut ring = keyring();
        ring.raise_epoch();
        let world = world.restarted(|builder| builder.suite(suite).keyring(ring));
        // Whoever revoked it knows: that is a miss, and no alarm.
        assert!(!world.get("/", b"fresh").hit, "{suite:?}: a record of a revoked epoch was served");
        assert!(!world.alarmed());
        assert_eq!(world.get("/", b"").body, "fresh");
    });
}

#[test]
fn p11_there_is_no_way_down_to_no_seal_or_another_suite() {
    for &kind in KINDS {
        for strong in Suite::ALL {
            for weak in Suite::ALL.into_iter().filter(|weak| *weak != strong) {
                let world = World::new(kind, |builder| builder.suite(strong));
                world.get("/", b"body");
                let (key, record) = world.row();
                // Even with the right key: what was sealed by another suite is not what this cache
                // writes.
                let other = world.seal_as(&sealer(weak), &key, Purpose::Slot, &head_of(&world), b"forged");
                world.plant(&key, &record, &other);
                refused(&world, &format!("{weak:?} in the place of {strong:?}"));
                let (key, record) = world.row();
                let mut relabelled = record.sealed.to_vec();
                relabelled[5] = weak.id();
                world.plant(&key, &record, &relabelled);
                refused(&world, &format!("{strong:?} that calls itself {weak:?}"));
            }
        }
    }
}

#[test]
fn p12_purposes_and_compatibility_modes_never_stand_in_for_each_other() {
    everywhere(|world, suite| {
        world.get("/", b"body");
        let (key, record) = world.row();
        let head = head_of(&world);
        let evidence = world.seal_as(&sealer(suite), &key, Purpose::Quarantine, &head, b"forged");
        let signer = lacre::itsdangerous::Signer::new(keyring().to_text().as_bytes()).unwrap();
        for (what, sealed) in
            [("quarantined evidence", evidence), ("an itsdangerous signature", signer.sign(&head))]
        {
            world.plant(&key, &record, &sealed);
            refused(&world, &format!("{suite:?}: {what}"));
        }
    });
}

#[test]
fn p13_no_envelope_opens_under_two_keys() {
    everywhere(|world, suite| {
        world.get("/", b"body");
        let (key, record) = world.row();
        // The commitment is of one key and place: another's, even a genuine one, opens nothing.
        let other = world.seal_as(&sealer(suite), &key, Purpose::Slot, &head_of(&world), b"forged");
        for part in [48..80, 80..112, 48..112] {
            let mut mixed = record.sealed.to_vec();
            mixed[part.clone()].copy_from_slice(&other[part.clone()]);
            world.plant(&key, &record, &mixed);
            refused(&world, &format!("{suite:?} with {part:?} of another"));
        }
    });
}
