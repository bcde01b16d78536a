//! Several at once: threads, leases, and what one can tell of another's writes.

use super::*;

pub(super) fn writers_in_threads_lose_nothing(store: &dyn Store) {
    std::thread::scope(|scope| {
        for thread in 0..4 {
            scope.spawn(move || {
                for n in 0..50 {
                    let n = thread * 1000 + n;
                    put(store, n, record(&n.to_be_bytes()));
                    assert_eq!(sealed(store, n).unwrap(), n.to_be_bytes().as_slice());
                }
            });
        }
    });
    for thread in 0..4_u32 {
        for n in 0..50 {
            let n = thread * 1000 + n;
            assert_eq!(sealed(store, n).unwrap(), n.to_be_bytes().as_slice());
        }
    }
    assert_eq!(wait(store.usage()).unwrap().records, 200);
}

pub(super) fn touches_never_bring_a_body_back(store: &dyn Store) {
    for round in 0..20 {
        put(store, 1, Record { body: Some(body(1)), ..record(b"old") });
        std::thread::scope(|scope| {
            scope.spawn(|| put(store, 1, Record { body: Some(body(2)), ..record(b"new") }));
            for _ in 0..2 {
                scope.spawn(|| {
                    let touched = Record { body: Some(body(1)), ..record(b"old, touched") };
                    wait(store.touch(&key(1), Some(body(1)), touched)).unwrap();
                });
            }
        });
        assert_eq!(sealed(store, 1).unwrap(), "new", "round {round}");
    }
}

pub(super) fn a_closed_store_can_be_used_again(store: &dyn Store) {
    put(store, 1, record(b"before"));
    wait(store.close()).unwrap();
    assert_eq!(sealed(store, 1).unwrap(), "before");
    put(store, 1, record(b"after"));
    assert_eq!(sealed(store, 1).unwrap(), "after");
}

const MINUTE: Duration = Duration::from_secs(60);

fn lease(store: &dyn Store, n: u32, holder: LeaseHolder, now: Timestamp) -> bool {
    wait(store.lease(&key(n), holder, now.plus(MINUTE), now)).unwrap()
}

fn holders<const N: usize>() -> [LeaseHolder; N] {
    std::array::from_fn(|_| LeaseHolder::generate().unwrap())
}

pub(super) fn a_lease_has_one_holder_until_it_ends(store: &dyn Store) {
    let [one, other] = holders();
    let end = NOW.plus(MINUTE);
    assert!(lease(store, 1, one, NOW));
    assert!(!lease(store, 1, other, NOW));
    assert!(lease(store, 2, other, NOW), "of another key");
    assert!(!lease(store, 1, other, end.minus(Duration::from_millis(1))));
    assert!(lease(store, 1, other, end));
    assert!(!lease(store, 1, one, end));
    assert!(lease(store, 1, other, end.plus(MINUTE / 2)), "prolonged");
    assert!(!lease(store, 1, one, end.plus(MINUTE)));
    assert!(lease(store, 1, one, end.plus(MINUTE * 2)));
}

pub(super) fn a_lease_is_given_back_by_its_holder_only(store: &dyn Store) {
    let [one, other] = holders();
    let release = |holder| wait(store.release(&key(1), holder)).unwrap();
    release(one);
    assert!(lease(store, 1, one, NOW));
    release(other);
    assert!(!lease(store, 1, other, NOW));
    release(one);
    assert!(lease(store, 1, other, NOW));
}

pub(super) fn lease_duration_is_limited(store: &dyn Store) {
    let [one, other] = holders();
    assert!(wait(store.lease(&key(1), one, Timestamp::MAX, NOW)).unwrap());
    assert!(!lease(store, 1, other, NOW.plus(MAX_LEASE).minus(Duration::from_millis(1))));
    assert!(lease(store, 1, other, NOW.plus(MAX_LEASE)));
}

pub(super) fn one_of_many_holders_gets_a_lease(store: &dyn Store) {
    for round in 0..10 {
        let taken = std::thread::scope(|scope| {
            let asking = holders::<4>().map(|holder| scope.spawn(move || lease(store, round, holder, NOW)));
            asking.map(|thread| thread.join().unwrap())
        });
        assert_eq!(taken.iter().filter(|taken| **taken).count(), 1, "round {round}");
    }
}

pub(super) fn reading_changes_no_generation(store: &dyn Store) {
    put(store, 1, record(b"x"));
    let before = store.generation();
    fetch(store, 1).unwrap();
    keys(store, 10);
    wait(store.usage()).unwrap();
    assert_eq!(store.generation(), before);
}

pub(super) fn reads_succeed_and_writes_are_refused(store: &dyn Store, reading: &dyn Store) {
    stage(store, body(1), 0, b"chunk");
    put(store, 1, Record { body: Some(body(1)), chunks: 1, ..record(b"there") });
    stage(store, body(2), 0, b"orphan");
    let usage = wait(store.usage()).unwrap();
    let [holder] = holders();
    let later = NOW.plus(MINUTE * 24 * 60);
    for refused in [
        wait(reading.put(&key(1), record(b"x"))),
        wait(reading.touch(&key(1), Some(body(1)), record(b"x"))).map(drop),
        wait(reading.remove(&key(1))).map(drop),
        wait(reading.sweep(later)).map(drop),
        wait(reading.trim(0, later)).map(drop),
        wait(reading.lease(&key(1), holder, later, NOW)).map(drop),
        wait(reading.release(&key(1), holder)),
        wait(reading.stage(body(3), 0, b"x", NOW)),
        wait(reading.unstage(body(2), 1)),
        wait(reading.clear()),
    ] {
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::Store(StoreErrorKind::ReadOnly));
    }
    wait(reading.close()).unwrap();
    assert_eq!(reading.id(), store.id());
    assert_eq!(sealed(reading, 1).unwrap(), "there");
    assert_eq!(chunk(reading, body(1), 0).unwrap(), "chunk");
    assert_eq!(keys(reading, 10), [key(1)]);
    assert_eq!(wait(reading.usage()).unwrap(), usage);
    assert_eq!(wait(reading.inspect()).unwrap(), Vec::<String>::new());
    assert_eq!(
        (sealed(store, 1).unwrap(), chunk(store, body(2), 0).unwrap()),
        ("there".into(), "orphan".into())
    );
}
