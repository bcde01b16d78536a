//! The rows of a listing: records with their state, freshness and seal, for tables, pages and
//! reports.

use super::{Listed, RecordState};
use crate::codec::BodyHead;
use crate::storage::RecordKind;
use crate::{Cache, Error};
use lacre_core::{Entry, Freshness, Key, Slot};
use lacre_seal::{Fault, FaultKind, KeyId, SealInfo};

/// A record of the store: an entry, an index record, or a record that does not open.
#[derive(Debug)]
#[non_exhaustive]
pub struct ListedRow {
    /// The record.
    pub listed: Listed,
    /// Absent if the record does not open or is not an entry.
    pub freshness: Option<Freshness>,
}

/// How much of each record a listing opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListingDepth {
    /// The head of each record.
    Heads,
    /// The head and the whole body.
    Bodies,
}

impl Cache {
    /// Calls `visit` with every record, index records included, as [`list`](Self::list) does for
    /// heads and [`verify`](Self::verify) for bodies.
    ///
    /// # Errors
    /// The store fails.
    pub async fn rows(
        &self,
        depth: ListingDepth,
        visit: &mut (dyn FnMut(ListedRow) + Send),
    ) -> Result<(), Error> {
        let now = self.storage.now();
        let mut take = |listed: Listed| {
            let freshness = match &listed.slot {
                Ok(Slot::Entry(entry)) => Some(self.engine.freshness(entry, now)),
                Ok(_) | Err(_) => None,
            };
            visit(ListedRow { listed, freshness });
        };
        match depth {
            ListingDepth::Heads => self.list(&mut take).await,
            ListingDepth::Bodies => self.verify(&mut take).await,
        }
    }

    /// Every [entry](ListedRow::is_entry), in no particular order.
    ///
    /// # Errors
    /// The store fails.
    pub async fn entries(&self, depth: ListingDepth) -> Result<Vec<ListedRow>, Error> {
        let mut entries = Vec::new();
        self.rows(depth, &mut |row| entries.extend(Some(row).filter(ListedRow::is_entry))).await?;
        Ok(entries)
    }
}

impl ListedRow {
    /// The record's key.
    #[must_use]
    pub fn key(&self) -> &Key {
        &self.listed.key
    }

    /// The entry, if the record is one and opens.
    #[must_use]
    pub fn entry(&self) -> Option<&Entry<BodyHead>> {
        match &self.listed.slot {
            Ok(Slot::Entry(entry)) => Some(entry),
            _ => None,
        }
    }

    /// Whether the entry opens and is stale.
    #[must_use]
    pub fn is_stale(&self) -> bool {
        self.freshness.is_some_and(|freshness| !freshness.is_fresh())
    }

    /// Whether the record counts as an entry. A record that was tampered with always does.
    #[must_use]
    pub fn is_entry(&self) -> bool {
        self.listed.kind == RecordKind::Entry || self.state() == RecordState::Bad
    }

    /// The state of the record.
    #[must_use]
    pub fn state(&self) -> RecordState {
        self.listed.slot.as_ref().err().map_or(RecordState::Good, RecordState::of)
    }

    /// The seal: verified, or the claimed one if the record is genuine and only a setting differs.
    #[must_use]
    pub fn seal(&self) -> Option<SealInfo> {
        match self.state() {
            RecordState::Good => self.listed.seal,
            RecordState::SuiteMismatch(_) | RecordState::NamespaceMismatch | RecordState::Unsupported => {
                self.listed.claimed_unverified
            }
            _ => None,
        }
    }

    /// The keys that the record needs, as far as it was opened.
    pub fn sealed_with(&self) -> impl Iterator<Item = KeyId> {
        let head = self.seal().map(|seal| seal.key_id);
        let others = self.listed.chunk_keys.iter().copied().filter(move |key| Some(*key) != head);
        head.into_iter().chain(others)
    }
}

/// Checks whether records belong to this namespace and store. One record that does is enough. If
/// none does and some were sealed for elsewhere, the likely cause is a wrong namespace or a copied
/// store, not an attack on every record: removing or quarantining them all would be a mistake
/// ([decision 20](../../../../docs/decisions/0020-detect-copied-stores.md)).
#[derive(Debug, Default)]
pub struct OwnershipCheck {
    own: bool,
    foreign: bool,
}

impl OwnershipCheck {
    /// Checks these rows.
    #[must_use]
    pub fn of(rows: &[ListedRow]) -> Self {
        let mut check = Self::default();
        rows.iter().for_each(|row| check.count(row));
        check
    }

    /// Adds a row to the check.
    pub fn count(&mut self, row: &ListedRow) {
        if row.state() == RecordState::NamespaceMismatch {
            return;
        }
        match row.listed.slot.as_ref().map_err(|error| error.fault().map(Fault::kind)) {
            // These faults are found only after the place of the seal was checked.
            Ok(_) | Err(Some(FaultKind::BadSegment | FaultKind::Revoked(_) | FaultKind::Expired(_))) => {
                self.own = true;
            }
            Err(Some(FaultKind::BadCommitment)) => self.foreign = true,
            Err(_) => {}
        }
    }

    /// Whether no record belongs to this namespace and store, although some were sealed.
    #[must_use]
    pub fn is_foreign(&self) -> bool {
        self.foreign && !self.own
    }
}
