//! Looking at every row, and opening all of one: in bounded memory, whatever the size of the store and of its bodies.

use super::vault::{Loaded, Vault, Wanted, missing_chunk};
use crate::Error;
use crate::store::{Record, Row};
use lacre_core::{Key, Slot, Timestamp};
use lacre_seal::{Header, KeyId, SealInfo};

/// How many rows are looked at before they are worked on.
const PAGE: usize = 64;

/// The rows of a store, a page at a time: while a page is worked on, nothing of the store is held.
pub(super) struct Walk<'a> {
    vault: &'a Vault,
    /// Where the next page begins; `None`: there is none.
    after: Option<Option<Key>>,
}

impl Walk<'_> {
    /// What `see` makes of each row of the next page; `None`: there are no more rows.
    pub(super) async fn page<T: Send>(
        &mut self,
        see: impl FnMut(Row<'_>) -> T + Send,
    ) -> Result<Option<Vec<T>>, Error> {
        self.page_of(PAGE, see).await
    }

    /// The same, of up to `limit` rows.
    pub(super) async fn page_of<T: Send>(
        &mut self,
        limit: usize,
        mut see: impl FnMut(Row<'_>) -> T + Send,
    ) -> Result<Option<Vec<T>>, Error> {
        let Some(after) = self.after else { return Ok(None) };
        let mut page = Vec::with_capacity(limit);
        let next = self.vault.store.scan(after, limit, &mut |row| page.push(see(row))).await?;
        self.after = next.map(Some);
        Ok(Some(page))
    }
}

/// By what an entry was found to be sealed that opened whole.
pub(super) struct Checked {
    pub(super) seal: SealInfo,
    /// Those that sealed its chunks, each once.
    pub(super) chunk_keys: Vec<KeyId>,
}

impl Vault {
    pub(super) fn walk(&self) -> Walk<'_> {
        Walk { vault: self, after: Some(None) }
    }

    /// Opens everything that lies under `key`, chunk by chunk. What was replaced meanwhile is opened anew.
    pub(super) async fn check(&self, key: &Key, now: Timestamp) -> Result<Option<Checked>, Error> {
        'anew: loop {
            let Some(Loaded { slot, seal, .. }) = self.load(key, |_| Wanted::Nothing, now).await? else {
                return Ok(None);
            };
            let mut chunk_keys = Vec::new();
            if let Slot::Entry(entry) = slot {
                let head = &entry.body.head;
                for index in 0..head.chunks {
                    match self.chunk(key, head, index, now).await? {
                        Some((_, seal)) if chunk_keys.contains(&seal.key_id) => {}
                        Some((_, seal)) => chunk_keys.push(seal.key_id),
                        None if self.names(key, head.id, now).await? => return Err(missing_chunk()),
                        None => continue 'anew,
                    }
                }
            }
            return Ok(Some(Checked { seal, chunk_keys }));
        }
    }

    /// `error`, with the entry and the key that its record claims to be sealed with.
    pub(super) async fn name(&self, key: &Key, error: Error) -> Error {
        let mut sealed_with = String::new();
        let mut read = |record: Record<'_>| {
            if let Ok(header) = Header::peek_unverified(record.sealed) {
                sealed_with = format!(" sealed with {}", header.seal.key_id);
            }
        };
        // Where it cannot be read, there is nothing more to say.
        let _ = self.store.get(key, &mut read).await;
        error.with_context(format_args!("entry {key:.8}{sealed_with}"))
    }
}
