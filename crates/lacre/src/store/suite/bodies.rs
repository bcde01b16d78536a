//! Chunks of large bodies, and the records that name them.

use super::*;

pub(super) fn chunks_are_found_by_body_and_index(store: &dyn Store) {
    // The last body's row ids wrap around in SQLite's numbering.
    for of in [body(1), body(2), body(0xFF)] {
        for index in [0, 1, 2, 1000] {
            stage(store, of, index, format!("{of}/{index}").as_bytes());
        }
        stage(store, of, 2, format!("{of}/2, again").as_bytes());
    }
    for of in [body(1), body(2), body(0xFF)] {
        assert_eq!(chunk(store, of, 0).unwrap(), format!("{of}/0"));
        assert_eq!(chunk(store, of, 1000).unwrap(), format!("{of}/1000"));
        assert_eq!(chunk(store, of, 2).unwrap(), format!("{of}/2, again"));
        assert_eq!(chunk(store, of, 3), None);
    }
    stage(store, body(3), 0, b"");
    assert_eq!(chunk(store, body(3), 0).unwrap(), "");
    let large = vec![7; 256 << 10];
    stage(store, body(4), 0, &large);
    assert_eq!(chunk(store, body(4), 0).unwrap(), large);
}

pub(super) fn a_removed_record_takes_its_chunks_along(store: &dyn Store) {
    for of in [body(1), body(0xFF)] {
        for index in 0..3 {
            stage(store, of, index, b"chunk");
        }
    }
    for (n, of) in [(1, body(1)), (2, body(0xFF))] {
        put(store, n, Record { body: Some(of), chunks: 3, ..record(b"head") });
    }
    wait(store.remove(&key(2))).unwrap();
    for index in 0..3 {
        assert_eq!(chunk(store, body(0xFF), index), None);
        assert_eq!(chunk(store, body(1), index).unwrap(), "chunk");
    }
}

pub(super) fn a_replaced_record_takes_its_chunks_along(store: &dyn Store) {
    stage(store, body(1), 0, b"old");
    stage(store, body(1), 1, b"old");
    let old = Record { body: Some(body(1)), chunks: 2, ..record(b"head") };
    put(store, 1, old);
    put(store, 1, Record { sealed: b"the same body", ..old });
    assert_eq!(chunk(store, body(1), 1).unwrap(), "old");
    stage(store, body(2), 0, b"new");
    put(store, 1, Record { body: Some(body(2)), chunks: 1, ..record(b"head") });
    assert_eq!([0, 1].map(|index| chunk(store, body(1), index)), [None, None]);
    assert_eq!(chunk(store, body(2), 0).unwrap(), "new");
}

pub(super) fn record_with_missing_chunks_is_not_put(store: &dyn Store) {
    put(store, 1, record(b"before"));
    for of in [body(1), body(0xFF)] {
        stage(store, of, 0, b"a");
        stage(store, of, 2, b"c");
        let named = Record { body: Some(of), chunks: 3, ..record(b"head") };
        assert!(wait(store.put(&key(1), named)).is_err());
        assert_eq!(sealed(store, 1).unwrap(), "before");
        stage(store, of, 1, b"b");
        put(store, 2, named);
    }
}

pub(super) fn unstaged_chunks_are_gone(store: &dyn Store) {
    for of in [body(1), body(2), body(0xFF)] {
        for index in 0..3 {
            stage(store, of, index, b"chunk");
        }
    }
    for of in [body(1), body(0xFF)] {
        wait(store.unstage(of, 2)).unwrap();
        assert_eq!([0, 1].map(|index| chunk(store, of, index)), [None, None]);
        assert_eq!(chunk(store, of, 2).unwrap(), "chunk");
    }
    assert_eq!(chunk(store, body(2), 0).unwrap(), "chunk");
}
