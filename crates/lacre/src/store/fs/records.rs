//! Records: one file each, named `slot/`, the first two digits of the key, and the key.

use super::error::ResultExt;
use super::folder::{Folder, Name};
use super::state::Change;
use super::text::{self, Head};
use super::{Fs, line_of};
use crate::Error;
use crate::store::locks::Purpose;
use crate::store::on_disk::{MAX_RECORD_BYTES, malformed_record, record_too_large};
use crate::store::{OnRecord, OnRow, Record, Row};
use lacre_core::Key;
use rustix::fs::FileType;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;

/// What is known of a stored record.
pub(super) struct StoredRecord {
    /// The length of its file.
    pub(super) length: u64,
    /// `None`: the head is malformed.
    pub(super) head: Option<Head>,
}

impl Fs {
    pub(super) fn get_now(&self, key: &Key, visit: OnRecord<'_>) -> Result<bool, Error> {
        let name = key.to_string();
        let Some(shard) = self.tree.slots.folder(text::shard(&name)).or_store_error()? else {
            return Ok(false);
        };
        let Some(file) = shard.file(&name).or_store_error()? else { return Ok(false) };
        let bytes = read_all(file)?;
        visit(record(&bytes)?);
        self.recent.mark(key);
        Ok(true)
    }

    /// Puts `record` in place of the current one, if `wanted` accepts that.
    pub(super) async fn replace(
        &self,
        key: &Key,
        record: Record<'_>,
        wanted: impl Fn(Option<&Head>) -> bool + Send + Sync,
    ) -> Result<bool, Error> {
        let line = Head::of(&record).line();
        readable(&line, record.sealed)?;
        let written = self.write(&[line.as_bytes(), record.sealed])?;
        self.change(Purpose::Write, |change| {
            let there = self.there(key)?;
            if !wanted(there.as_ref().and_then(|there| there.head.as_ref())) {
                return Ok(false);
            }
            // First, since it may remove old chunks.
            self.evict_for_file(written.length, Some(key), record.written, change)?;
            if let Some(body) = record.body {
                self.claim(body, record.chunks, key)?;
            }
            let name = key.to_string();
            let shard = self.tree.slots.make_folder(text::shard(&name)).or_store_error()?;
            written.place(&shard, &name)?;
            change.add(written.length);
            if let Some(old) = there {
                change.take(old.length);
                if let Some(Head { body: Some(body), chunks, .. }) = old.head
                    && Some(body) != record.body
                {
                    self.delete_chunks(body, chunks, change)?;
                }
            }
            Ok(true)
        })
        .await
    }

    /// Removes the record under `key` and its chunks, if `wanted` accepts it. Returns the number of
    /// chunks; `None`: nothing was removed.
    pub(super) fn delete(
        &self,
        key: &Key,
        wanted: impl FnOnce(Option<&Head>) -> bool,
        change: &mut Change,
    ) -> Result<Option<u64>, Error> {
        let name = key.to_string();
        let Some(there) = self.there(key)?.filter(|there| wanted(there.head.as_ref())) else {
            return Ok(None);
        };
        let Some(shard) = self.tree.slots.folder(text::shard(&name)).or_store_error()? else {
            return Ok(None);
        };
        shard.remove(&name).or_store_error()?;
        change.take(there.length);
        match there.head {
            Some(Head { body: Some(body), chunks, .. }) => self.delete_chunks(body, chunks, change).map(Some),
            _ => Ok(Some(0)),
        }
    }

    /// What is known of the record under `key` without reading all of it; `None`: there is none.
    pub(super) fn there(&self, key: &Key) -> Result<Option<StoredRecord>, Error> {
        let name = key.to_string();
        let Some(shard) = self.tree.slots.folder(text::shard(&name)).or_store_error()? else {
            return Ok(None);
        };
        let Some(length) = shard.length(&name).or_store_error()? else { return Ok(None) };
        let head = line_of(&shard, &name).ok().flatten().as_deref().and_then(Head::parse);
        Ok(Some(StoredRecord { length, head }))
    }

    pub(super) fn scan_now(
        &self,
        after: Option<Key>,
        limit: usize,
        visit: OnRow<'_>,
    ) -> Result<Option<Key>, Error> {
        let mut left = limit;
        let first = after.map_or(0, |key| key.as_bytes()[0]);
        for shard in first..=u8::MAX {
            let Some(folder) = self.tree.slots.folder(&format!("{shard:02x}")).or_store_error()? else {
                continue;
            };
            for key in keys(&folder, shard, after, left)? {
                let bytes = match folder.file(&key.to_string()).or_store_error() {
                    // It was removed meanwhile.
                    Ok(None) => continue,
                    Ok(Some(file)) => read_all(file),
                    Err(error) => Err(error),
                };
                match bytes {
                    Ok(bytes) => visit(Row { key, record: record(&bytes) }),
                    Err(error) => visit(Row { key, record: Err(error) }),
                }
                left -= 1;
                if left == 0 {
                    return Ok(Some(key));
                }
            }
        }
        Ok(None)
    }

    pub(super) fn count_records(&self) -> Result<u64, Error> {
        let mut count = 0;
        for shard in 0..=u8::MAX {
            let Some(folder) = self.tree.slots.folder(&format!("{shard:02x}")).or_store_error()? else {
                continue;
            };
            for name in folder.names().or_store_error()? {
                count += u64::from(key_in(shard, &name.or_store_error()?).is_some());
            }
        }
        Ok(count)
    }
}

/// The first `limit` keys of a shard after `after`, in order.
pub(super) fn keys(
    folder: &Folder,
    shard: u8,
    after: Option<Key>,
    limit: usize,
) -> Result<BTreeSet<Key>, Error> {
    let mut keys = BTreeSet::new();
    for name in folder.names().or_store_error()? {
        if let Some(key) = key_in(shard, &name.or_store_error()?).filter(|key| Some(*key) > after) {
            keys.insert(key);
            if keys.len() > limit {
                keys.pop_last();
            }
        }
    }
    Ok(keys)
}

/// The key that a name in this shard stands for. A directory has none, whatever its name.
pub(super) fn key_in(shard: u8, name: &Name) -> Option<Key> {
    let key = text::key(&name.text).filter(|key| key.as_bytes()[0] == shard);
    key.filter(|_| name.kind != FileType::Directory)
}

/// The content of a file, unless it is longer than any record.
pub(super) fn read_all(file: File) -> Result<Vec<u8>, Error> {
    let length = usize::try_from(file.metadata().or_store_error()?.len()).unwrap_or(usize::MAX);
    if length > MAX_RECORD_BYTES {
        return Err(malformed_record("is longer than the limit for records"));
    }
    let mut bytes = Vec::with_capacity(length + 1);
    file.take(MAX_RECORD_BYTES as u64).read_to_end(&mut bytes).or_store_error()?;
    Ok(bytes)
}

fn record(bytes: &[u8]) -> Result<Record<'_>, Error> {
    let understood = text::split(bytes).and_then(|(line, sealed)| Some((Head::parse(line)?, sealed)));
    let (Head { body, chunks, expires, written }, sealed) =
        understood.ok_or_else(|| malformed_record("has an unexpected form"))?;
    Ok(Record { body, chunks, expires, written, sealed })
}

/// Refuses a record that no reader would accept.
pub(super) fn readable(line: &str, sealed: &[u8]) -> Result<(), Error> {
    if line.len() + sealed.len() <= MAX_RECORD_BYTES { Ok(()) } else { Err(record_too_large()) }
}
