//! The checks that every store and every wrapper of one must pass. `run` them in a test of the
//! store:
//!
//! ```no_run
//! # // needs the feature `store-suite`
//! lacre::store::suite::run(|| Box::new(lacre::store::Memory::new().unwrap()));
//! ```
#![expect(clippy::unwrap_used, reason = "a check fails by panicking, like every test")]

mod bodies;
mod capacity;
mod records;
mod together;

use super::{LeaseHolder, MAX_LEASE, ORPHAN_AGE, OwnedRecord, Record, Store, StoreExt, Swept};
use crate::{ErrorKind, StoreErrorKind, wait};
use bytes::Bytes;
use lacre_core::{Key, Timestamp};
use lacre_seal::BodyId;
use std::time::Duration;

/// Runs every check of [`CHECKS`], each on a store of its own.
///
/// # Panics
/// When a check fails; its name was printed to standard error before.
pub fn run(make: impl Fn() -> Box<dyn Store>) {
    for (name, check) in CHECKS {
        eprintln!("store check: {name}");
        check(&*make());
    }
}

/// Runs the checks of a store that is only read: `reading` shows what `store`, which is empty yet,
/// holds, and changes none of it.
///
/// # Panics
/// When a check fails.
pub fn run_reading(store: &dyn Store, reading: &dyn Store) {
    together::reads_succeed_and_writes_are_refused(store, reading);
}

/// A check and its name.
pub type Check = (&'static str, fn(&dyn Store));

/// The checks, by name. Each wants an empty store that can hold some 40 MiB.
pub const CHECKS: &[Check] = &[
    ("an unknown key is not found", records::an_unknown_key_is_not_found),
    ("what was put is found, field by field", records::record_that_was_put_is_found),
    ("records of 0 bytes and 8 MiB are kept whole", records::records_of_any_size_are_kept_whole),
    ("a put replaces what was there", records::a_put_replaces_what_was_there),
    ("a touch needs the same body", records::a_touch_needs_the_same_body),
    ("a removed record is gone", records::a_removed_record_is_gone),
    ("keys that share their first bytes never mix", records::keys_that_share_their_first_bytes_never_mix),
    ("a scan lends each record once, whatever the page", records::a_scan_lends_each_record_once),
    ("a scan goes on while rows come and go", records::a_scan_goes_on_while_rows_come_and_go),
    ("a sweep takes what expired, and only that", capacity::sweep_removes_expired_records),
    ("a sweep takes orphaned chunks, old ones only", capacity::sweep_removes_orphaned_chunks),
    ("chunks are found by body and index", bodies::chunks_are_found_by_body_and_index),
    ("a removed record takes its chunks along", bodies::a_removed_record_takes_its_chunks_along),
    ("a replaced record takes its chunks along", bodies::a_replaced_record_takes_its_chunks_along),
    ("a record whose chunks are not there is not put", bodies::record_with_missing_chunks_is_not_put),
    ("unstaged chunks are gone, and no others", bodies::unstaged_chunks_are_gone),
    ("a cleared store is empty", capacity::a_cleared_store_is_empty),
    ("usage follows what is stored", capacity::usage_follows_what_is_stored),
    ("a trim makes room, and takes what expired first", capacity::trim_reaches_its_limit),
    ("a trim spares what was read", capacity::trim_spares_recently_read_records),
    ("a trim takes chunks along", capacity::trim_removes_chunks_with_their_records),
    ("a lease has one holder, until it ends", together::a_lease_has_one_holder_until_it_ends),
    ("a lease is given back by its holder only", together::a_lease_is_given_back_by_its_holder_only),
    ("no lease lasts for ever", together::lease_duration_is_limited),
    ("of many who want a lease at once, one gets it", together::one_of_many_holders_gets_a_lease),
    ("reading changes no generation", together::reading_changes_no_generation),
    ("writers in threads lose nothing", together::writers_in_threads_lose_nothing),
    ("of many touches at once, none brings a replaced body back", together::touches_never_bring_a_body_back),
    ("a closed store can be used again", together::a_closed_store_can_be_used_again),
    ("an untouched store has nothing to report", capacity::an_untouched_store_has_nothing_to_report),
];

/// A moment far from every boundary.
const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

/// Spread over the key space, as digests are.
fn key(n: u32) -> Key {
    let mut bytes = [0; 32];
    for (place, word) in bytes.chunks_exact_mut(4).enumerate() {
        word.copy_from_slice(&n.wrapping_mul(0x9E37_79B1).wrapping_add(place as u32).to_be_bytes());
    }
    Key::from_bytes(bytes)
}

fn body(n: u8) -> BodyId {
    BodyId::from_bytes([n; 16])
}

fn record(sealed: &[u8]) -> Record<'_> {
    Record { body: None, chunks: 0, expires: NOW.plus(Duration::from_secs(60)), written: NOW, sealed }
}

fn put(store: &dyn Store, n: u32, record: Record<'_>) {
    wait(store.put(&key(n), record)).unwrap();
}

fn fetch(store: &dyn Store, n: u32) -> Option<OwnedRecord> {
    wait(store.fetch(&key(n))).unwrap()
}

fn sealed(store: &dyn Store, n: u32) -> Option<Bytes> {
    fetch(store, n).map(|record| record.sealed)
}

fn stage(store: &dyn Store, of: BodyId, index: u32, sealed: &[u8]) {
    wait(store.stage(of, index, sealed, NOW)).unwrap();
}

fn chunk(store: &dyn Store, of: BodyId, index: u32) -> Option<Bytes> {
    wait(store.fetch_chunk(of, index)).unwrap()
}

fn keys(store: &dyn Store, page: usize) -> Vec<Key> {
    let mut keys = Vec::new();
    let mut after = None;
    loop {
        after = wait(store.scan(after, page, &mut |row| {
            row.record.unwrap();
            keys.push(row.key);
        }))
        .unwrap();
        if after.is_none() {
            return keys;
        }
    }
}
