//! What the stores on a disk have in common: limits, errors and randomness.

use super::no_random;
use crate::{Error, ErrorKind, StoreErrorKind};

/// Longer than any record that we write, and all that is read of one that somebody else may have written (sealing, property 17).
pub(super) const MAX_RECORD_BYTES: usize = 16 << 20;

/// A record that cannot be read. `what` completes "the record …".
pub(super) fn malformed_record(what: &str) -> Error {
    Error::new(ErrorKind::Broken, format!("the record {what}"))
        .with_hint("remove the record, and the response is fetched again")
}

/// Nothing was found where a store is to be read.
pub(super) fn store_missing() -> Error {
    Error::store(StoreErrorKind::Missing, "there is no store here")
        .with_hint("store a response first, or name another store")
}

pub(super) fn record_too_large() -> Error {
    Error::store(StoreErrorKind::Full, "the record does not fit into the store")
        .with_hint("allow the store more bytes, or sweep it")
}

/// Where to look for victims.
pub(super) fn random() -> Result<u64, Error> {
    getrandom::u64().map_err(no_random)
}
