//! Anchors: a record of what a store held at a moment, kept where somebody who can only write the
//! store cannot write. A store that was rolled back, thinned out or replaced is whole in itself, so
//! only a record outside of it can tell.
//!
//! Writing and comparing go by key, in bounded memory. `file` has the format (docs/format.md §11).

mod file;

use crate::storage::RecordKind;
use crate::storage::rollback_guard::MAX_SKEW;
use crate::storage::times::{seal_time, store_time};
use crate::storage::vault::Vault;
use crate::store::{Row, StoreExt};
use crate::{Cache, Error};
#[cfg(test)]
pub(crate) use file::Reader as AnchorReader;
use file::{Reader, RowVersion, Writer};
use lacre_core::{Key, Timestamp};
use lacre_seal::{Header, Purpose, UnixMillis};
use std::collections::BTreeMap;
use std::io;

/// How many rows are sorted at a time. Each batch takes one scan of the store.
const BATCH: usize = 1 << 18;

/// A row that differs from an anchor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// The row's key.
    pub key: Key,
    /// The difference.
    pub change: Change,
}

/// The difference of a row from an anchor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Change {
    /// Gone before it expired. A malicious deletion looks the same as a removal, invalidation or
    /// eviction.
    Missing,
    /// Replaced by an older record.
    RolledBack,
    /// Older than the anchor, and not in it: it had been removed, and was put back.
    PutBack,
    /// Does not open.
    Refused,
}

/// The result of comparing a store with an anchor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Anchored {
    /// When the anchor was begun.
    pub at: Timestamp,
    /// Rows that are unchanged.
    pub same: u64,
    /// Rows that were rewritten since.
    pub newer: u64,
    /// Rows that are gone and had expired.
    pub over: u64,
    /// Findings, including rows that are not in the anchor.
    pub findings: u64,
}

/// The number of records in an anchor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct AnchorWritten {
    /// Records with a response.
    pub entries: u64,
    /// Records that lead to entries.
    pub index_records: u64,
    /// Records that do not open with this cache's keys and settings, and are left out of the
    /// anchor.
    pub unopened: u64,
}

impl Cache {
    /// Writes an anchor of all records that open, for [`verify_anchor`](Self::verify_anchor).
    /// Returns their number.
    ///
    /// # Errors
    /// The store fails, or `out` does.
    pub async fn write_anchor(&self, out: &mut (dyn io::Write + Send)) -> Result<AnchorWritten, Error> {
        let now = seal_time(self.storage.now());
        self.storage.vault.learn_namespaces().await;
        let mut writer = Writer::start(&self.storage.vault, out, now)?;
        let mut rows = InOrder::of(&self.storage.vault, BATCH);
        let mut written = AnchorWritten::default();
        while let Some(batch) = rows.next().await? {
            for (key, row) in batch {
                let Some((mark, kind)) = row else {
                    written.unopened += 1;
                    continue;
                };
                if mark.not_after < now {
                    continue;
                }
                writer.push(&key, mark)?;
                match kind {
                    RecordKind::Entry => written.entries += 1,
                    RecordKind::Index => written.index_records += 1,
                }
            }
        }
        writer.finish()?;
        Ok(written)
    }

    /// Compares the store with an anchor, and calls `report` for every row that differs. The
    /// comparison finds rows that were deleted, and older states of one row or of the whole store
    /// that were put back. It does not find changes to rows written after the anchor.
    ///
    /// # Errors
    /// [`Tampered`](crate::ErrorKind::Tampered): the anchor was changed, or is of another store
    /// that this one replaced. Other errors: its key is missing, its epoch was revoked, it cannot
    /// be read, or the store fails.
    pub async fn verify_anchor(
        &self,
        anchor: &mut (dyn io::Read + Send),
        report: &mut (dyn FnMut(Finding) + Send),
    ) -> Result<Anchored, Error> {
        let now = seal_time(self.storage.now());
        self.storage.vault.learn_namespaces().await;
        let mut marks = Reader::start(&self.storage.vault, anchor, now)?;
        let mut comparison = Comparison::since(marks.at(), now, report);
        let mut rows = InOrder::of(&self.storage.vault, BATCH);
        let mut next = marks.next()?;
        while let Some(batch) = rows.next().await? {
            for (key, row) in batch {
                while let Some((gone, mark)) = next.filter(|(known, _)| *known < key) {
                    comparison.gone(gone, mark);
                    next = marks.next()?;
                }
                let mark = next.filter(|(known, _)| *known == key).map(|(_, mark)| mark);
                if mark.is_some() {
                    next = marks.next()?;
                }
                comparison.found(key, mark, row.map(|(mark, _)| mark));
            }
        }
        while let Some((gone, mark)) = next {
            comparison.gone(gone, mark);
            next = marks.next()?;
        }
        Ok(comparison.anchored)
    }
}

/// The comparison so far.
struct Comparison<'a> {
    at: UnixMillis,
    now: UnixMillis,
    anchored: Anchored,
    on_finding: &'a mut (dyn FnMut(Finding) + Send),
}

impl<'a> Comparison<'a> {
    fn since(at: UnixMillis, now: UnixMillis, on_finding: &'a mut (dyn FnMut(Finding) + Send)) -> Self {
        let anchored = Anchored { at: store_time(at), same: 0, newer: 0, over: 0, findings: 0 };
        Self { at, now, anchored, on_finding }
    }

    /// Compares a row that only the anchor has.
    fn gone(&mut self, key: Key, mark: RowVersion) {
        if mark.not_after < self.now {
            self.anchored.over += 1;
        } else {
            self.report(key, Change::Missing);
        }
    }

    /// Compares a row of the store, which may be in the anchor, and which may open.
    fn found(&mut self, key: Key, mark: Option<RowVersion>, row: Option<RowVersion>) {
        match (mark, row) {
            (Some(mark), Some(row)) if row == mark => self.anchored.same += 1,
            (Some(mark), Some(row)) if row.created < mark.created => self.report(key, Change::RolledBack),
            // A resealed record keeps its creation time.
            (Some(_), Some(_)) => self.anchored.newer += 1,
            (Some(_), None) => self.report(key, Change::Refused),
            (None, Some(row)) if self.is_put_back(row) => self.report(key, Change::PutBack),
            (None, _) => {}
        }
    }

    fn is_put_back(&self, row: RowVersion) -> bool {
        row.created.as_millis().saturating_add(MAX_SKEW) < self.at.as_millis() && row.not_after >= self.now
    }

    fn report(&mut self, key: Key, change: Change) {
        self.anchored.findings += 1;
        (self.on_finding)(Finding { key, change });
    }
}

/// The rows of a store by ascending key, without evidence.
struct InOrder<'a> {
    vault: &'a Vault,
    /// The size of a batch.
    most: usize,
    after: Option<Key>,
    done: bool,
}

/// The rows of a batch; `None`: the record does not open.
type Batch = BTreeMap<Key, Option<(RowVersion, RecordKind)>>;

impl<'a> InOrder<'a> {
    fn of(vault: &'a Vault, most: usize) -> Self {
        Self { vault, most, after: None, done: false }
    }

    async fn next(&mut self) -> Result<Option<Batch>, Error> {
        if self.done {
            return Ok(None);
        }
        let (vault, most, after) = (self.vault, self.most, self.after);
        let mut batch = Batch::new();
        let mut full = false;
        let mut each = |row: Row<'_>| {
            if Some(row.key) <= after
                || full && batch.last_key_value().is_some_and(|(last, _)| row.key > *last)
            {
                return;
            }
            let Some(mark) = vault.row_version(&row) else { return };
            batch.insert(row.key, mark);
            if batch.len() > most {
                batch.pop_last();
                full = true;
            }
        };
        vault.store.each(&mut each).await?;
        self.done = !full;
        self.after = batch.last_key_value().map(|(last, _)| *last);
        Ok(Some(batch))
    }
}

impl Vault {
    /// The version of a row for an anchor, whether or not it has expired. The outer `None`: it is
    /// evidence.
    fn row_version(&self, row: &Row<'_>) -> Option<Option<(RowVersion, RecordKind)>> {
        let Ok(record) = &row.record else { return Some(None) };
        let then = Timestamp::default();
        let sealed = record.sealed;
        match self.any_suite.open_head(&self.context(&row.key, Purpose::Slot), sealed, seal_time(then)) {
            Ok((head, seal)) => {
                let commitment = Header::peek_commitment_unverified(sealed).unwrap_or_default();
                let mark = RowVersion { created: seal.created, not_after: seal.not_after, commitment };
                let kind = match self.formats.decode(&head) {
                    Ok(slot) => RecordKind::of(&slot),
                    Err(_) => RecordKind::claimed(record),
                };
                Some(Some((mark, kind)))
            }
            Err(_) if self.is_internal_record(&row.key, sealed, then) => None,
            Err(_) => Some(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Memory, Record, Store};
    use crate::{Cache, wait};
    use std::sync::Arc;

    #[test]
    fn rows_come_in_order_and_each_once_however_many_are_held() {
        let store = Arc::new(Memory::new().unwrap());
        let keys: Vec<Key> = (0..100_u8).map(|n| Key::from_bytes([n.wrapping_mul(37); 32])).collect();
        for key in &keys {
            let (expires, written) = (Timestamp::MAX, Timestamp::default());
            wait(store.put(key, Record { body: None, chunks: 0, expires, written, sealed: b"bad" })).unwrap();
        }
        let mut sorted = keys;
        sorted.sort_unstable();
        let cache = Cache::builder().store(store).danger_ephemeral_key().build().unwrap();
        for most in [1, 7, 100, 101, 1000] {
            let mut rows = InOrder::of(&cache.storage.vault, most);
            let mut found = Vec::new();
            while let Some(batch) = wait(rows.next()).unwrap() {
                assert!(batch.len() <= most);
                found.extend(batch.into_keys());
            }
            assert_eq!(found, sorted, "{most}");
        }
    }
}
