//! Walking over all rows of a store, and opening all of one record, in bounded memory.

use super::loaded::{LoadedEntry, ReadPlan};
use super::vault::Vault;
use crate::Error;
use crate::store::{Record, Row};
use lacre_core::{Key, Slot, Timestamp};
use lacre_seal::{Header, KeyId, SealInfo};

/// How many rows a page has.
const PAGE: usize = 64;

/// The rows of a store, page by page. No lock of the store is held between pages.
pub(crate) struct Walk<'a> {
    vault: &'a Vault,
    /// The key before the next page; `None` at the end.
    after: Option<Option<Key>>,
}

impl Walk<'_> {
    /// Maps the rows of the next page; `None` at the end.
    pub(crate) async fn page<T: Send>(
        &mut self,
        map: impl FnMut(Row<'_>) -> T + Send,
    ) -> Result<Option<Vec<T>>, Error> {
        self.page_of(PAGE, map).await
    }

    /// Maps up to `limit` rows; `None` at the end.
    pub(crate) async fn page_of<T: Send>(
        &mut self,
        limit: usize,
        mut map: impl FnMut(Row<'_>) -> T + Send,
    ) -> Result<Option<Vec<T>>, Error> {
        let Some(after) = self.after else { return Ok(None) };
        let mut page = Vec::with_capacity(limit);
        let next = self.vault.store.scan(after, limit, &mut |row| page.push(map(row))).await?;
        self.after = next.map(Some);
        Ok(Some(page))
    }
}

/// The seals of an entry that opened whole.
pub(crate) struct Checked {
    pub(crate) seal: SealInfo,
    /// The keys that sealed its chunks, each once.
    pub(crate) chunk_keys: Vec<KeyId>,
}

impl Vault {
    pub(crate) fn walk(&self) -> Walk<'_> {
        Walk { vault: self, after: Some(None) }
    }

    /// Opens the record under `key` and all of its chunks. If it was replaced meanwhile, opens the
    /// new one.
    pub(crate) async fn check(&self, key: &Key, now: Timestamp) -> Result<Option<Checked>, Error> {
        'again: loop {
            let Some(LoadedEntry { slot, seal, .. }) = self.load(key, |_| ReadPlan::Nothing, now).await?
            else {
                return Ok(None);
            };
            let mut chunk_keys = Vec::new();
            if let Slot::Entry(entry) = slot {
                let head = &entry.body.head;
                for index in 0..head.chunks {
                    match self.chunk(key, head, index, now).await? {
                        Some((_, seal)) if chunk_keys.contains(&seal.key_id) => {}
                        Some((_, seal)) => chunk_keys.push(seal.key_id),
                        None => {
                            self.check_replaced(key, head.id, now).await?;
                            continue 'again;
                        }
                    }
                }
            }
            return Ok(Some(Checked { seal, chunk_keys }));
        }
    }

    /// Adds the entry's key to an error, and the keyring key that its record claims to be sealed
    /// with.
    pub(crate) async fn with_record_name(&self, key: &Key, error: Error) -> Error {
        let mut sealed_with = String::new();
        let mut read = |record: Record<'_>| {
            if let Ok(header) = Header::peek_unverified(record.sealed) {
                sealed_with = format!(" sealed with {}", header.seal.key_id);
            }
        };
        // If it cannot be read, the error stays as it is.
        let _ = self.store.get(key, &mut read).await;
        error.with_context(format_args!("entry {key:.8}{sealed_with}"))
    }
}
