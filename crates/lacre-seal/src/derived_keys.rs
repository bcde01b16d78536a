//! A cache of derived segment keys, so that a record that is read often is not derived each time
//! (decision 9).
//!
//! A key is returned only for the exact bytes that it was derived from. It replaces no check: the
//! caller compares the commitment, and the segments are verified.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_lc_rs::constant_time::verify_slices_are_equal;

use crate::FaultKind;
use crate::segment::SegmentKey;

/// The number of cached keys, about a kilobyte each.
const MAX_KEYS: usize = 2048;

/// A cache with one slot per group of salts. A later key replaces an earlier one.
pub(crate) struct DerivedKeyCache(Box<[Mutex<Option<DerivedKey>>]>);

/// A derived key and its inputs. It is wiped on drop, like every [`SegmentKey`].
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
    /// Returns the key that was derived from `salt` and `info`, if it is cached.
    pub(crate) fn get(&self, salt: &[u8; 32], info: &[u8]) -> Option<DerivedKey> {
        self.slot(salt).as_ref().filter(|derived| derived.0.salt == *salt && derived.0.info == info).cloned()
    }

    /// Caches the key of an envelope whose commitment was verified.
    pub(crate) fn put(&self, derived: &DerivedKey) {
        *self.slot(&derived.0.salt) = Some(derived.clone());
    }

    fn slot(&self, salt: &[u8; 32]) -> MutexGuard<'_, Option<DerivedKey>> {
        let slot = usize::from(u16::from_be_bytes([salt[0], salt[1]])) % MAX_KEYS;
        // The lock is never poisoned by foreign code, because none runs while it is held.
        self.0[slot].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl DerivedKey {
    pub(crate) fn new(salt: [u8; 32], info: Vec<u8>, commitment: [u8; 32], key: SegmentKey) -> Self {
        Self(Arc::new(Derivation { salt, info, commitment, key }))
    }

    /// Verifies that the envelope shows the commitment of this key.
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
