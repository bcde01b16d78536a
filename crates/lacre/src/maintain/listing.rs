//! Listing, reading, verifying and removing stored records.

use crate::body::in_flight::BodySource;
use crate::codec::BodyHead;
use crate::storage::loaded::{LoadedEntry, ReadPlan};
use crate::storage::times::seal_time;
use crate::storage::vault::Vault;
use crate::storage::walk::Checked;
use crate::storage::{OnTamper, RecordKind, Storage};
use crate::store::{Record, Row, Usage};
use crate::{Body, Cache, Error, ErrorKind};
use http::{HeaderName, request};
use lacre_core::{Decision, Entry, Freshness, HitKind, Key, RequestBody, Slot, Timestamp};
use lacre_seal::{EnvelopeStart, Header, KeyId, Purpose, SealInfo};
use std::thread;

/// One row of a listing.
#[derive(Debug)]
#[non_exhaustive]
pub struct Listed {
    /// The record's key.
    pub key: Key,
    /// The record's kind.
    pub kind: RecordKind,
    /// The size of the sealed record in bytes, without chunks.
    pub sealed_bytes: usize,
    /// The record, or why it does not open.
    pub slot: Result<Slot<BodyHead>, Error>,
    /// The seal; `None` if the record does not open.
    pub seal: Option<SealInfo>,
    /// The claims of an envelope that does not open. Anybody who can write the store can forge
    /// them.
    pub claimed_unverified: Option<SealInfo>,
    /// The keys that its chunks were sealed with, each once, if the chunks were opened.
    pub chunk_keys: Vec<KeyId>,
}

/// A stored response with its body.
#[derive(Debug)]
#[non_exhaustive]
pub struct Stored {
    /// The entry, with its body as the network sent it.
    pub entry: Entry<Body>,
    /// The seal.
    pub seal: SealInfo,
    /// Its freshness.
    pub freshness: Freshness,
}

impl Cache {
    /// Calls `visit` with every record but [evidence](Self::quarantined), in no particular order. A
    /// record that does not open is listed with its error. Only heads are opened;
    /// [`verify`](Self::verify) opens bodies too.
    ///
    /// # Errors
    /// The store fails.
    pub async fn list(&self, visit: &mut (dyn FnMut(Listed) + Send)) -> Result<(), Error> {
        let now = self.storage.now();
        self.storage.vault.learn_namespaces().await;
        let mut walk = self.storage.vault.walk();
        while let Some(page) = walk.page_of(PAGE, |row| self.storage.vault.scan_row(row, now)).await? {
            let mut unopened = Vec::new();
            for seen in self.storage.vault.open_all(page, now) {
                match seen {
                    Ok(Some(listed)) => visit(listed),
                    Ok(None) => {}
                    Err(key) => unopened.push(key),
                }
            }
            // The error of a record that does not open takes all of its bytes.
            for key in unopened {
                let mut listed = None;
                let mut read = |record: Record<'_>| {
                    listed = self.storage.vault.listed(Row { key, record: Ok(record) }, now);
                };
                self.storage.vault.store.get(&key, &mut read).await?;
                if let Some(listed) = listed {
                    visit(listed);
                }
            }
        }
        Ok(())
    }

    /// The response stored under `key`. `None`: no response is stored there.
    ///
    /// # Errors
    /// Its seal does not hold, its key is missing, or the store fails.
    pub async fn stored(&self, key: &Key) -> Result<Option<Stored>, Error> {
        let now = self.storage.now();
        self.storage.vault.learn_namespaces().await;
        let Some(LoadedEntry { slot: Slot::Entry(entry), seal, .. }) =
            self.storage.vault.load(key, |_| ReadPlan::From(0), now).await?
        else {
            return Ok(None);
        };
        let freshness = self.engine.freshness(&entry, now);
        // Reading must not move a record into quarantine.
        let storage = Storage { on_tamper: OnTamper::Raise, ..self.storage.clone() };
        let entry =
            entry.map_body(|handle| Body::of(&storage, *key, BodySource::Stored(handle), HitKind::Full));
        Ok(Some(Stored { entry, seal, freshness }))
    }

    /// The row of a request: the key of its response, or of the record that leads to it. `None`:
    /// the request is never answered from the cache.
    #[must_use]
    pub fn row_of(&self, request: request::Parts, body: RequestBody<'_>) -> Option<Key> {
        match self.engine.begin::<BodyHead>(request, body, self.storage.now()) {
            Decision::Lookup(lookup) => Some(*lookup.key()),
            Decision::Send(pending) => pending.key().copied(),
            Decision::Serve(_) | Decision::Refresh(..) | Decision::Refuse(_) => None,
        }
    }

    /// The request headers that the responses under `key` vary by. Empty if no `Vary` index record
    /// is stored there.
    ///
    /// # Errors
    /// Its seal does not hold, its key is missing, or the store fails.
    pub async fn varies_by(&self, key: &Key) -> Result<Vec<HeaderName>, Error> {
        let loaded = self.storage.vault.load(key, |_| ReadPlan::Nothing, self.storage.now()).await?;
        Ok(match loaded.map(|loaded| loaded.slot) {
            Some(Slot::Vary(index)) => index.names,
            _ => Vec::new(),
        })
    }

    /// Opens every record and every body, and calls `report` for each, as [`list`](Self::list)
    /// does.
    ///
    /// # Errors
    /// The store fails.
    pub async fn verify(&self, report: &mut (dyn FnMut(Listed) + Send)) -> Result<(), Error> {
        self.storage.vault.learn_namespaces().await;
        let mut walk = self.storage.vault.walk();
        while let Some(page) = walk.page(|row| self.storage.vault.listed(row, self.storage.now())).await? {
            for mut listed in page.into_iter().flatten() {
                if matches!(listed.slot, Ok(Slot::Entry(_))) {
                    match self.storage.vault.check(&listed.key, self.storage.now()).await {
                        Ok(Some(Checked { seal, chunk_keys })) => {
                            (listed.seal, listed.chunk_keys) = (Some(seal), chunk_keys);
                        }
                        // Removed meanwhile.
                        Ok(None) => continue,
                        Err(error) if matches!(error.kind(), ErrorKind::Store(_)) => return Err(error),
                        Err(error) => listed.slot = Err(error),
                    }
                }
                report(listed);
            }
        }
        Ok(())
    }

    /// Removes the record under `key`, so that it cannot be recovered. `false`: there was none.
    ///
    /// # Errors
    /// The store fails.
    pub async fn remove(&self, key: &Key) -> Result<bool, Error> {
        self.storage.vault.remove(key, self.storage.now()).await
    }

    /// Removes everything.
    ///
    /// # Errors
    /// The store fails.
    pub async fn clear(&self) -> Result<(), Error> {
        self.storage.vault.store.clear().await?;
        if let Some(memory_cache) = &self.storage.vault.memory_cache {
            memory_cache.clear();
        }
        Ok(())
    }

    /// The number of records and bytes stored.
    ///
    /// # Errors
    /// The store fails.
    pub async fn usage(&self) -> Result<Usage, Error> {
        self.storage.vault.store.usage().await
    }

    /// Lists foreign objects in the store's medium, such as triggers of a database: one line each.
    ///
    /// # Errors
    /// The store fails.
    pub async fn inspect(&self) -> Result<Vec<String>, Error> {
        self.storage.vault.store.inspect().await
    }

    /// Writes pending data, and erases the traces of removed records.
    ///
    /// # Errors
    /// The store fails.
    pub async fn close(&self) -> Result<(), Error> {
        self.storage.vault.store.close().await
    }
}

/// How many heads of a listing are held at a time.
const PAGE: usize = 1024;
/// The fewest heads that are worth a thread.
const MIN_SHARE: usize = 128;
const MAX_THREADS: usize = 8;

/// A row as a listing reads it.
enum ScannedRow {
    /// A head to open.
    Head { key: Key, start: EnvelopeStart, sealed_bytes: usize },
    /// No envelope; `None`: not listed.
    Listed(Option<Listed>),
}

impl Vault {
    fn scan_row(&self, row: Row<'_>, now: Timestamp) -> ScannedRow {
        let start = row
            .record
            .as_ref()
            .ok()
            .and_then(|record| Some((EnvelopeStart::of(record.sealed)?, record.sealed.len())));
        match start {
            Some((start, sealed_bytes)) => ScannedRow::Head { key: row.key, start, sealed_bytes },
            None => ScannedRow::Listed(self.listed(row, now)),
        }
    }

    /// Opens the heads of a page, on as many threads as there are processors. `Err`: the key of a
    /// record that does not open.
    fn open_all(&self, page: Vec<ScannedRow>, now: Timestamp) -> Vec<Result<Option<Listed>, Key>> {
        let threads = thread::available_parallelism().map_or(1, usize::from).min(MAX_THREADS);
        let share = page.len().div_ceil(threads).max(MIN_SHARE);
        let mut page = page.into_iter();
        let mut shares = Vec::new();
        while page.len() > 0 {
            shares.push(page.by_ref().take(share).collect::<Vec<_>>());
        }
        let open =
            |share: Vec<ScannedRow>| share.into_iter().map(|row| self.open_row(row, now)).collect::<Vec<_>>();
        let first = shares.pop().unwrap_or_default();
        thread::scope(|scope| {
            let others: Vec<_> = shares.into_iter().map(|share| scope.spawn(|| open(share))).collect();
            let mut opened = open(first);
            for other in others {
                match other.join() {
                    Ok(share) => opened.extend(share),
                    Err(panic) => std::panic::resume_unwind(panic),
                }
            }
            opened
        })
    }

    fn open_row(&self, row: ScannedRow, now: Timestamp) -> Result<Option<Listed>, Key> {
        let (key, start, sealed_bytes) = match row {
            ScannedRow::Head { key, start, sealed_bytes } => (key, start, sealed_bytes),
            ScannedRow::Listed(listed) => return Ok(listed),
        };
        let at = self.context(&key, Purpose::Slot);
        let (head, seal) = self.sealer.open_head_from_start(&at, &start, seal_time(now)).map_err(|_| key)?;
        let slot = self.formats.decode(&head).map_err(|_| key)?;
        Ok(Some(Listed {
            key,
            kind: RecordKind::of(&slot),
            sealed_bytes,
            slot: Ok(slot),
            seal: Some(seal),
            claimed_unverified: None,
            chunk_keys: Vec::new(),
        }))
    }

    /// The listing of a row. `None`: it is evidence, or the list of namespaces.
    pub(crate) fn listed(&self, row: Row<'_>, now: Timestamp) -> Option<Listed> {
        let key = row.key;
        let mut claimed_unverified = None;
        let (kind, sealed_bytes, opened) = match row.record {
            Err(error) => (RecordKind::Entry, 0, Err(error)),
            Ok(record) => {
                let opened = self.open_head(&key, &record, now);
                let length = record.sealed.len();
                match &opened {
                    Ok((slot, _)) => (RecordKind::of(slot), length, opened),
                    Err(_) if self.is_internal_record(&key, record.sealed, now) => return None,
                    Err(_) => {
                        claimed_unverified =
                            Header::peek_unverified(record.sealed).ok().map(|header| header.seal);
                        (RecordKind::claimed(&record), length, opened)
                    }
                }
            }
        };
        let (slot, seal) = match opened {
            Ok((slot, seal)) => (Ok(slot), Some(seal)),
            Err(error) => (Err(error), None),
        };
        Some(Listed { key, kind, sealed_bytes, slot, seal, claimed_unverified, chunk_keys: Vec::new() })
    }
}
