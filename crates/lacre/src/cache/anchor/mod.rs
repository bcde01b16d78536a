//! Anchors: what a store held at a moment, kept where whoever can write the store cannot. A store that was rolled back, thinned out or
//! replaced is whole in itself: only something outside of it can tell.
//!
//! Writing and comparing both go by key, in bounded memory. The form of the file is in `file` (docs/format.md §11).

mod file;

use super::rollback::SKEW;
use super::vault::{Vault, moment, timestamp};
use super::{Cache, RecordKind};
use crate::Error;
use crate::store::{Row, StoreExt};
#[cfg(test)]
pub(super) use file::Reader as AnchorReader;
use file::{Mark, Reader, Writer};
use lacre_core::{Key, Timestamp};
use lacre_seal::{Header, Purpose, UnixMillis};
use std::collections::BTreeMap;
use std::io;

/// How many rows are held in order at a time. For each time, the whole store is looked through for those that come next.
const MOST: usize = 1 << 18;

/// A row that is not as it should be by an anchor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// The row.
    pub key: Key,
    /// What is wrong.
    pub change: Change,
}

/// What is wrong with a row, by an anchor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Change {
    /// It is gone before its time was over. Nobody can tell a deletion by others from a removal, invalidation or eviction since.
    Missing,
    /// An older record lies in its place.
    RolledBack,
    /// It is older than the anchor, which does not know it: it had been removed, and was put back.
    PutBack,
    /// What lies there does not open.
    Refused,
}

/// What became of the rows that an anchor knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Anchored {
    /// When the anchor was begun.
    pub at: Timestamp,
    /// They are as they were.
    pub same: u64,
    /// They were written anew since.
    pub newer: u64,
    /// They are gone, and their time is over.
    pub over: u64,
    /// What was found to be wrong, of rows that the anchor does not know, too.
    pub findings: u64,
}

/// How many records an anchor knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct AnchorWritten {
    /// Those that hold a response.
    pub entries: u64,
    /// Those that lead to entries.
    pub index_records: u64,
    /// Records that do not open with this cache's keys and settings, and are not in the anchor.
    pub unopened: u64,
}

impl Cache {
    /// Writes down what is stored and opens: an anchor, for [`verify_anchor`](Self::verify_anchor). Returns how many records it knows.
    ///
    /// # Errors
    /// The store fails, or `out` does.
    pub async fn write_anchor(&self, out: &mut (dyn io::Write + Send)) -> Result<AnchorWritten, Error> {
        let now = moment(self.clock.now());
        self.vault.learn_namespaces().await;
        let mut writer = Writer::start(&self.vault, out, now)?;
        let mut rows = InOrder::of(&self.vault, MOST);
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

    /// Compares what is stored with an anchor, and tells `report` of every row that is not as it should be. It is found out when rows were
    /// deleted, or an older state was put back, be it of one or of all; not what happened to those written since the anchor was.
    ///
    /// # Errors
    /// [`Tampered`](crate::ErrorKind::Tampered): the anchor was changed, or is of another store, whose place this one took. Or its key
    /// is missing, its epoch was revoked, it cannot be read, or the store fails.
    pub async fn verify_anchor(
        &self,
        anchor: &mut (dyn io::Read + Send),
        report: &mut (dyn FnMut(Finding) + Send),
    ) -> Result<Anchored, Error> {
        let now = moment(self.clock.now());
        self.vault.learn_namespaces().await;
        let mut marks = Reader::start(&self.vault, anchor, now)?;
        let mut comparison = Comparison::since(marks.at(), now, report);
        let mut rows = InOrder::of(&self.vault, MOST);
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

/// What was found so far.
struct Comparison<'a> {
    at: UnixMillis,
    now: UnixMillis,
    anchored: Anchored,
    report: &'a mut (dyn FnMut(Finding) + Send),
}

impl<'a> Comparison<'a> {
    fn since(at: UnixMillis, now: UnixMillis, report: &'a mut (dyn FnMut(Finding) + Send)) -> Self {
        let anchored = Anchored { at: timestamp(at), same: 0, newer: 0, over: 0, findings: 0 };
        Self { at, now, anchored, report }
    }

    /// The anchor knows a row that is not there.
    fn gone(&mut self, key: Key, mark: Mark) {
        if mark.not_after < self.now {
            self.anchored.over += 1;
        } else {
            self.tell(key, Change::Missing);
        }
    }

    /// There is a row, which the anchor may know, and which may open.
    fn found(&mut self, key: Key, mark: Option<Mark>, row: Option<Mark>) {
        match (mark, row) {
            (Some(mark), Some(row)) if row == mark => self.anchored.same += 1,
            (Some(mark), Some(row)) if row.created < mark.created => self.tell(key, Change::RolledBack),
            // What was sealed anew with another key is as old as before.
            (Some(_), Some(_)) => self.anchored.newer += 1,
            (Some(_), None) => self.tell(key, Change::Refused),
            (None, Some(row)) if self.is_put_back(row) => self.tell(key, Change::PutBack),
            (None, _) => {}
        }
    }

    fn is_put_back(&self, row: Mark) -> bool {
        row.created.as_millis().saturating_add(SKEW) < self.at.as_millis() && row.not_after >= self.now
    }

    fn tell(&mut self, key: Key, change: Change) {
        self.anchored.findings += 1;
        (self.report)(Finding { key, change });
    }
}

/// The rows of a store by ascending key, evidence left out.
struct InOrder<'a> {
    vault: &'a Vault,
    /// How many at a time.
    most: usize,
    after: Option<Key>,
    done: bool,
}

/// What is known of a row; `None`: it does not open.
type Batch = BTreeMap<Key, Option<(Mark, RecordKind)>>;

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
            let Some(mark) = vault.mark(&row) else { return };
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
    /// What an anchor says of a row; the outer `None`: nothing, since it is evidence. When its time is over does not matter here.
    fn mark(&self, row: &Row<'_>) -> Option<Option<(Mark, RecordKind)>> {
        let Ok(record) = &row.record else { return Some(None) };
        let then = Timestamp::default();
        let sealed = record.sealed;
        match self.any.open_head(&self.place(&row.key, Purpose::Slot), sealed, moment(then)) {
            Ok((head, seal)) => {
                let commitment = Header::peek_commitment_unverified(sealed).unwrap_or_default();
                let mark = Mark { created: seal.created, not_after: seal.not_after, commitment };
                let kind = match self.formats.decode(&head) {
                    Ok(slot) => RecordKind::of(&slot),
                    Err(_) => RecordKind::claimed(record),
                };
                Some(Some((mark, kind)))
            }
            Err(_) if self.is_beside_entries(&row.key, sealed, then) => None,
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
            let mut rows = InOrder::of(&cache.vault, most);
            let mut found = Vec::new();
            while let Some(batch) = wait(rows.next()).unwrap() {
                assert!(batch.len() <= most);
                found.extend(batch.into_keys());
            }
            assert_eq!(found, sorted, "{most}");
        }
    }
}
