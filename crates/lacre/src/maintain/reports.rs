//! The results of verifying and auditing a whole store.

use super::{Audited, ListedRow, OwnershipCheck, RecordState, StateCounts};
use crate::Error;
use crate::storage::RecordKind;
use lacre_core::{Coverage, Key};
use lacre_seal::KeyId;
use std::collections::BTreeMap;

/// The result of verifying a store. Pass each row of
/// [`Cache::rows`](crate::Cache::rows) to [`count`](Self::count).
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct VerifyReport {
    /// The number of records in each state.
    pub counts: StateCounts,
    /// The keys of bad records.
    pub bad: Vec<Key>,
    /// Whether the records belong to this namespace and store.
    pub ownership: OwnershipCheck,
    /// The number of records that need each key.
    pub records_by_key: BTreeMap<KeyId, usize>,
}

impl VerifyReport {
    /// Counts a row.
    pub fn count(&mut self, row: &ListedRow) {
        let state = row.state();
        self.counts.count(row.listed.kind, state);
        self.ownership.count(row);
        if state == RecordState::Bad {
            self.bad.push(*row.key());
        }
        for key in row.sealed_with() {
            *self.records_by_key.entry(key).or_default() += 1;
        }
    }
}

/// The counts of an audit. Pass the result of [`Cache::audit`](crate::Cache::audit) for each entry
/// to [`count`](Self::count), or its error to [`count_unopened`](Self::count_unopened).
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct AuditCounts {
    /// Entries that were searched.
    pub entries: usize,
    /// Entries with a likely secret.
    pub affected: usize,
    /// Likely secrets.
    pub findings: usize,
    /// Bodies that were not searched to the end.
    pub unread_bodies: usize,
    /// Entries that do not open, by state.
    pub unopened: StateCounts,
}

impl AuditCounts {
    /// Counts a searched entry.
    pub fn count(&mut self, audited: &Audited) {
        let found = audited.audit.findings.len();
        self.entries += 1;
        self.findings += found;
        self.affected += usize::from(found > 0);
        self.unread_bodies += usize::from(audited.audit.body != Coverage::Whole);
    }

    /// Counts an entry that does not open.
    pub fn count_unopened(&mut self, kind: RecordKind, error: &Error) {
        self.unopened.count(kind, RecordState::of(error));
    }
}
