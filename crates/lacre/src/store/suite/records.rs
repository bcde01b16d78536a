//! Records by key: what was put is found, replaced, removed and listed.

use super::*;

pub(super) fn an_unknown_key_is_not_found(store: &dyn Store) {
    assert_eq!(fetch(store, 1), None);
    put(store, 2, record(b"another"));
    assert!(!wait(store.get(&key(1), &mut |_| panic_on_visit())).unwrap());
    assert!(!wait(store.remove(&key(1))).unwrap());
    assert!(!wait(store.touch(&key(1), Some(body(1)), record(b"x"))).unwrap());
    assert!(!wait(store.chunk(body(1), 0, &mut |_| panic_on_visit())).unwrap());
    assert_eq!(sealed(store, 2).unwrap(), "another");
}

fn panic_on_visit() {
    unreachable!("the visitor was called for something that is not there");
}

pub(super) fn record_that_was_put_is_found(store: &dyn Store) {
    let full = Record {
        body: Some(body(7)),
        chunks: 3,
        expires: Timestamp::MAX,
        written: Timestamp::from_millis(1),
        sealed: b"sealed",
    };
    (0..3).for_each(|index| stage(store, body(7), index, b"chunk"));
    put(store, 1, full);
    assert_eq!(fetch(store, 1).unwrap().lend(), full);
    let bare =
        Record { expires: Timestamp::from_millis(-5), written: Timestamp::default(), ..record(b"bare") };
    put(store, 2, bare);
    assert_eq!(fetch(store, 2).unwrap().lend(), bare);
}

pub(super) fn records_of_any_size_are_kept_whole(store: &dyn Store) {
    for size in [0, 1, 4095, 4096, 65_537, 1 << 20, (8 << 20) + 100_000] {
        let bytes: Vec<u8> = (0..size).map(|at| (at % 251) as u8).collect();
        put(store, 1, record(&bytes));
        assert_eq!(sealed(store, 1).unwrap(), bytes, "{size} bytes");
    }
}

pub(super) fn a_put_replaces_what_was_there(store: &dyn Store) {
    put(store, 1, record(b"first, and longer"));
    put(store, 1, record(b"second"));
    assert_eq!(sealed(store, 1).unwrap(), "second");
    assert_eq!(keys(store, 10).len(), 1);
}

pub(super) fn a_touch_needs_the_same_body(store: &dyn Store) {
    put(store, 1, Record { body: Some(body(1)), ..record(b"first") });
    assert!(
        wait(store.touch(&key(1), Some(body(1)), Record { body: Some(body(1)), ..record(b"touched") }))
            .unwrap()
    );
    assert_eq!(sealed(store, 1).unwrap(), "touched");
    assert!(
        !wait(store.touch(&key(1), Some(body(2)), Record { body: Some(body(2)), ..record(b"late") }))
            .unwrap()
    );
    assert_eq!(sealed(store, 1).unwrap(), "touched");
    put(store, 1, record(b"no body"));
    assert!(!wait(store.touch(&key(1), Some(body(1)), record(b"late"))).unwrap());
    assert_eq!(sealed(store, 1).unwrap(), "no body");
    assert!(wait(store.touch(&key(1), None, record(b"touched"))).unwrap());
    assert_eq!(sealed(store, 1).unwrap(), "touched");
    put(store, 1, Record { body: Some(body(1)), ..record(b"has one") });
    assert!(!wait(store.touch(&key(1), None, record(b"late"))).unwrap());
    assert!(!wait(store.touch(&key(2), None, record(b"nothing is there"))).unwrap());
    assert_eq!((sealed(store, 1).unwrap(), sealed(store, 2)), ("has one".into(), None));
}

pub(super) fn a_removed_record_is_gone(store: &dyn Store) {
    put(store, 1, record(b"one"));
    put(store, 2, record(b"two"));
    assert!(wait(store.remove(&key(1))).unwrap());
    assert!(!wait(store.remove(&key(1))).unwrap());
    assert_eq!(sealed(store, 1), None);
    assert_eq!(sealed(store, 2).unwrap(), "two");
}

pub(super) fn keys_that_share_their_first_bytes_never_mix(store: &dyn Store) {
    let (mut one, mut two) = ([9; 32], [9; 32]);
    (one[31], two[31]) = (1, 2);
    let (one, two) = (Key::from_bytes(one), Key::from_bytes(two));
    wait(store.put(&one, record(b"one"))).unwrap();
    assert_eq!(wait(store.fetch(&two)).unwrap(), None);
    wait(store.put(&two, record(b"two"))).unwrap();
    assert_eq!(wait(store.fetch(&two)).unwrap().unwrap().sealed, "two");
    // A store may keep one of the two only (SQLite's row id is the first eight bytes), but never
    // answers with the wrong one.
    assert!(wait(store.fetch(&one)).unwrap().is_none_or(|record| record.sealed == "one"));
}

pub(super) fn a_scan_lends_each_record_once(store: &dyn Store) {
    assert_eq!(keys(store, 10), []);
    for n in 0..50 {
        put(store, n, record(&n.to_be_bytes()));
    }
    let all = keys(store, 1000);
    let mut sorted = all.clone();
    sorted.sort_unstable();
    let mut expected: Vec<_> = (0..50).map(key).collect();
    expected.sort_unstable();
    assert_eq!(sorted, expected);
    for page in [1, 7, 49, 50, 51] {
        assert_eq!(keys(store, page), all, "pages of {page}");
    }
    let mut contents = Vec::new();
    wait(store.each(&mut |row| contents.push((row.key, row.record.unwrap().to_owned())))).unwrap();
    assert!(contents.iter().all(|(key, record)| wait(store.fetch(key)).unwrap().as_ref() == Some(record)));
}

pub(super) fn a_scan_goes_on_while_rows_come_and_go(store: &dyn Store) {
    for n in 0..20 {
        put(store, n, record(b"there all the time"));
    }
    let stays = keys(store, 100);
    let (mut seen, mut after, mut n) = (Vec::new(), None, 100);
    loop {
        after = wait(store.scan(after, 3, &mut |row| seen.push(row.key))).unwrap();
        let Some(last) = after else { break };
        put(store, n, record(b"new"));
        wait(store.remove(&last)).unwrap();
        n += 1;
    }
    seen.retain(|key| stays.contains(key));
    assert_eq!(seen, stays);
}
