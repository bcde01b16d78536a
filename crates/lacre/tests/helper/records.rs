//! Small records, which the tests of `store_processes.rs` and their other processes write and read.

use lacre::store::{Record, Sqlite, Store, StoreExt};
use lacre::{Key, Timestamp, wait};

/// The key of record `n` of process `of`.
pub(crate) fn key(of: u32, n: u32) -> Key {
    let mut bytes = [0; 32];
    bytes[..4].copy_from_slice(&n.wrapping_mul(0x9E37_79B1).to_be_bytes());
    bytes[4..8].copy_from_slice(&of.to_be_bytes());
    Key::from_bytes(bytes)
}

pub(crate) fn put(store: &Sqlite, key: Key, text: &str) {
    let (expires, written) = (Timestamp::MAX, Timestamp::default());
    wait(store.put(&key, Record { body: None, chunks: 0, expires, written, sealed: text.as_bytes() }))
        .unwrap();
}

pub(crate) fn get(store: &Sqlite, key: Key) -> Option<String> {
    let record = wait(store.fetch(&key)).unwrap()?;
    Some(String::from_utf8(record.sealed.to_vec()).unwrap())
}
