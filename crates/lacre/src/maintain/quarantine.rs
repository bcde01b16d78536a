//! Evidence of records that did not open: listing it, and moving a record into quarantine.

use crate::store::{Row, StoreExt};
use crate::{Cache, Error};
use bytes::Bytes;
use lacre_core::{Key, Timestamp};
use lacre_seal::Opened;
use std::fmt;

/// A record that did not open, as evidence.
#[derive(Clone)]
#[non_exhaustive]
pub struct Quarantined {
    /// The key of the evidence; [`Cache::remove`] removes it.
    pub key: Key,
    /// The key of the record.
    pub from: Key,
    /// When the record was found.
    pub at: Timestamp,
    /// Why the record did not open.
    pub reason: String,
    /// The length of the record in bytes.
    pub length: u64,
    /// The first 64 KiB of the record. These bytes did not open, and nothing vouches for them.
    pub evidence: Bytes,
}

impl Cache {
    /// Calls `visit` with every piece of evidence, in no particular order.
    ///
    /// # Errors
    /// The store fails.
    pub async fn quarantined(&self, visit: &mut (dyn FnMut(Quarantined) + Send)) -> Result<(), Error> {
        let (vault, now) = (&self.storage.vault, self.storage.now());
        let mut each = |row: Row<'_>| {
            if let Ok(record) = row.record
                && let Ok(opened) = vault.open_evidence(&row.key, record.sealed, now)
                && let Some(quarantined) = Quarantined::read(row.key, opened)
            {
                visit(quarantined);
            }
        };
        vault.store.each(&mut each).await
    }

    /// Moves the record under `key` into quarantine if it was tampered with or cannot be read, and
    /// tells the observer. Returns the key of the evidence. `None`: the record opens, its key is
    /// missing, it has ended, or it is genuine and of a suite that is not accepted.
    ///
    /// # Errors
    /// The store fails.
    pub async fn quarantine(&self, key: &Key) -> Result<Option<Key>, Error> {
        self.storage.quarantine(key).await
    }
}

impl Quarantined {
    fn read(key: Key, opened: Opened) -> Option<Self> {
        let (from, rest) = opened.head.as_bytes().split_first_chunk()?;
        let (at, rest) = rest.split_first_chunk()?;
        let (length, reason) = rest.split_first_chunk()?;
        Some(Self {
            key,
            from: Key::from_bytes(*from),
            at: Timestamp::from_millis(i64::from_be_bytes(*at)),
            reason: String::from_utf8_lossy(reason).into_owned(),
            length: u64::from_be_bytes(*length),
            evidence: opened.body.into_bytes(),
        })
    }
}

/// Leaves out the evidence, which may be readable.
impl fmt::Debug for Quarantined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, from, at, reason, length, .. } = self;
        let mut debug = f.debug_struct("Quarantined");
        debug.field("key", key).field("from", from).field("at", at).field("reason", reason);
        debug.field("length", length).finish_non_exhaustive()
    }
}
