//! What the stores on a disk have in common: limits, errors and randomness.

use super::no_random;
use crate::{Error, ErrorKind, StoreErrorKind};

/// The longest record that is read: longer than any that lacre writes, and a limit for planted ones
/// (docs/threat-model.md).
pub(super) const MAX_RECORD_BYTES: usize = 16 << 20;

/// The error for a record that cannot be read. `problem` completes "the record …".
pub(super) fn malformed_record(problem: &str) -> Error {
    Error::new(ErrorKind::Broken, format!("the record {problem}"))
        .with_hint("remove the record; the response is then fetched again")
}

/// The error for a store that does not exist.
pub(super) fn store_missing() -> Error {
    Error::store(StoreErrorKind::Missing, "the store does not exist")
        .with_hint("store a response first, or name another store")
}

pub(super) fn record_too_large() -> Error {
    Error::store(StoreErrorKind::Full, "the record does not fit into the store")
        .with_hint("raise the store's size limit, or sweep it")
}

/// A random number, for sampling.
pub(super) fn random() -> Result<u64, Error> {
    getrandom::u64().map_err(no_random)
}
