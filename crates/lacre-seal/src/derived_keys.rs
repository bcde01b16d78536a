//! The segment keys of envelopes that were opened lately, so that a record that is read again and again is not derived for each time
//! (docs/decisions/0009-cache-derived-keys-of-hot-records.md).
//!
//! A key is given back only for the very bytes that it was derived from. It never stands in for a check: whoever asks compares the
//! commitment, and the segments verify themselves.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_lc_rs::constant_time::verify_slices_are_equal;

use crate::FaultKind;
use crate::segment::SegmentKey;

/// How many keys are derived at most, about a kilobyte each.
const MAX_KEYS: usize = 2048;

/// Each has one slot, which its salt names; a later one takes it.
pub(crate) struct DerivedKeyCache(Box<[Mutex<Option<DerivedKey>>]>);

/// What an envelope derived. Wiped when it is dropped, like every [`SegmentKey`].
#[derive(Clone)]
pub(crate) struct DerivedKey(Arc<Derivation>);

struct Derivation {
    salt: [u8; 32],
    info: Vec<u8>,
    commitment: [u8; 32],
    key: SegmentKey,
}

impl Default for DerivedKeyCache {
    fn default() -> Self {
        Self((0..MAX_KEYS).map(|_| Mutex::default()).collect())
    }
}

impl DerivedKeyCache {
    /// What `info` and `salt` derived, if it is still here.
    pub(crate) fn get(&self, salt: &[u8; 32], info: &[u8]) -> Option<DerivedKey> {
        self.slot(salt).as_ref().filter(|derived| derived.0.salt == *salt && derived.0.info == info).cloned()
    }

    /// Keeps what was derived for an envelope whose commitment held.
    pub(crate) fn put(&self, derived: &DerivedKey) {
        *self.slot(&derived.0.salt) = Some(derived.clone());
    }

    fn slot(&self, salt: &[u8; 32]) -> MutexGuard<'_, Option<DerivedKey>> {
        let slot = usize::from(u16::from_be_bytes([salt[0], salt[1]])) % MAX_KEYS;
        // Nothing foreign runs under the lock.
        self.0[slot].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl DerivedKey {
    pub(crate) fn new(salt: [u8; 32], info: Vec<u8>, commitment: [u8; 32], key: SegmentKey) -> Self {
        Self(Arc::new(Derivation { salt, info, commitment, key }))
    }

    /// The same, where the envelope shows the commitment that goes with it.
    pub(crate) fn verify_commitment(self, commitment: &[u8; 32]) -> Result<Self, FaultKind> {
        verify_slices_are_equal(&self.0.commitment, commitment).map_err(|_| FaultKind::BadCommitment)?;
        Ok(self)
    }

    pub(crate) fn key(&self) -> &SegmentKey {
        &self.0.key
    }
}

impl fmt::Debug for DerivedKeyCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DerivedKeyCache").finish_non_exhaustive()
    }
}
