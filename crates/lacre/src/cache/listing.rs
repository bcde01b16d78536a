//! Looking at what is stored, and after it.

use super::check::Checked;
use super::vault::{Loaded, Vault, Wanted, moment};
use super::{Body, Cache, OnTamper};
use crate::codec::BodyHead;
use crate::store::{Record, Row, Usage};
use crate::{Error, ErrorKind};
use http::{HeaderName, request};
use lacre_core::{Decision, Entry, Freshness, HitKind, Key, RequestBody, Slot, Timestamp};
use lacre_seal::{EnvelopeStart, Header, KeyId, Purpose, SealInfo};
use std::thread;

/// One row of a listing.
#[derive(Debug)]
#[non_exhaustive]
pub struct Listed {
    /// Where it lies.
    pub key: Key,
    /// What kind of record it is.
    pub kind: RecordKind,
    /// Bytes of the sealed record, chunks not counted.
    pub sealed_bytes: usize,
    /// What lies there, or why it cannot be opened.
    pub slot: Result<Slot<BodyHead>, Error>,
    /// What the seal says; absent where it does not open.
    pub seal: Option<SealInfo>,
    /// What the envelope says of itself where it does not open. Whoever can write the store can make it say anything.
    pub claimed_unverified: Option<SealInfo>,
    /// The keys that its chunks were sealed with, each once, where they were looked at.
    pub chunk_keys: Vec<KeyId>,
}

/// What a record is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RecordKind {
    /// It holds a response: an entry.
    Entry,
    /// It leads to entries: to the variants of a response, or from a variant to another row.
    Index,
}

impl RecordKind {
    /// By what a record holds.
    pub(super) const fn of(slot: &Slot<BodyHead>) -> Self {
        match slot {
            Slot::Entry(_) => Self::Entry,
            Slot::Vary(_) | Slot::Alias(_) => Self::Index,
        }
    }

    /// Of a record that does not open, by what the store says beside it, which is good enough to count by.
    pub(super) const fn claimed(record: &Record<'_>) -> Self {
        if record.body.is_some() { Self::Entry } else { Self::Index }
    }
}

/// A stored response, whole.
#[derive(Debug)]
#[non_exhaustive]
pub struct Stored {
    /// What is stored, with its body as the network sent it.
    pub entry: Entry<Body>,
    /// What its seal says.
    pub seal: SealInfo,
    /// How fresh it is.
    pub freshness: Freshness,
}

impl Cache {
    /// Shows every row but [evidence](Self::quarantined) to `visit`, in no particular order. A row that cannot be opened stops nothing.
    /// Only heads are opened; [`verify`](Self::verify) opens bodies, too.
    ///
    /// # Errors
    /// The store fails.
    pub async fn list(&self, visit: &mut (dyn FnMut(Listed) + Send)) -> Result<(), Error> {
        let now = self.clock.now();
        self.vault.learn_namespaces().await;
        let mut walk = self.vault.walk();
        while let Some(page) = walk.page_of(PAGE, |row| self.vault.seen(row, now)).await? {
            let mut unopened = Vec::new();
            for seen in self.vault.open_all(page, now) {
                match seen {
                    Ok(Some(listed)) => visit(listed),
                    Ok(None) => {}
                    Err(key) => unopened.push(key),
                }
            }
            // Why a record does not open takes all of it to say.
            for key in unopened {
                let mut listed = None;
                let mut look =
                    |record: Record<'_>| listed = self.vault.listed(Row { key, record: Ok(record) }, now);
                self.vault.store.get(&key, &mut look).await?;
                if let Some(listed) = listed {
                    visit(listed);
                }
            }
        }
        Ok(())
    }

    /// The response stored under `key`; `None` where there is none, or where it is a signpost.
    ///
    /// # Errors
    /// Its seal does not hold, its key is missing, or the store fails.
    pub async fn stored(&self, key: &Key) -> Result<Option<Stored>, Error> {
        let now = self.clock.now();
        self.vault.learn_namespaces().await;
        let Some(Loaded { slot: Slot::Entry(entry), seal, .. }) =
            self.vault.load(key, |_| Wanted::From(0), now).await?
        else {
            return Ok(None);
        };
        let freshness = self.engine.freshness(&entry, now);
        // Looking at it changes nothing.
        let looking = Self { on_tamper: OnTamper::Raise, ..self.clone() };
        let entry = entry.map_body(|handle| Body::of(&looking, *key, handle, HitKind::Full));
        Ok(Some(Stored { entry, seal, freshness }))
    }

    /// The row of a request: its answer lies there, or what leads to it. `None`: the request is not answered from the cache.
    #[must_use]
    pub fn row_of(&self, request: request::Parts, body: RequestBody<'_>) -> Option<Key> {
        match self.engine.begin::<BodyHead>(request, body, self.clock.now()) {
            Decision::Lookup(lookup) => Some(*lookup.key()),
            Decision::Send(pending) => pending.key().copied(),
            Decision::Serve(_) | Decision::Refresh(..) | Decision::Refuse(_) => None,
        }
    }

    /// The names of the request headers by which what lies under `key` varies: those of a `Vary` index record, none where there is no such
    /// record.
    ///
    /// # Errors
    /// Its seal does not hold, its key is missing, or the store fails.
    pub async fn varies_by(&self, key: &Key) -> Result<Vec<HeaderName>, Error> {
        let loaded = self.vault.load(key, |_| Wanted::Nothing, self.clock.now()).await?;
        Ok(match loaded.map(|loaded| loaded.slot) {
            Some(Slot::Vary(signpost)) => signpost.names,
            _ => Vec::new(),
        })
    }

    /// Opens everything that is stored, bodies included, and tells `report` of every row, as [`list`](Self::list) does.
    ///
    /// # Errors
    /// The store fails.
    pub async fn verify(&self, report: &mut (dyn FnMut(Listed) + Send)) -> Result<(), Error> {
        self.vault.learn_namespaces().await;
        let mut walk = self.vault.walk();
        while let Some(page) = walk.page(|row| self.vault.listed(row, self.clock.now())).await? {
            for mut listed in page.into_iter().flatten() {
                if matches!(listed.slot, Ok(Slot::Entry(_))) {
                    match self.vault.check(&listed.key, self.clock.now()).await {
                        Ok(Some(Checked { seal, chunk_keys })) => {
                            (listed.seal, listed.chunk_keys) = (Some(seal), chunk_keys);
                        }
                        // It was removed meanwhile.
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

    /// Takes away what lies under `key`, so that it cannot be recovered. `false`: nothing was there.
    ///
    /// # Errors
    /// The store fails.
    pub async fn remove(&self, key: &Key) -> Result<bool, Error> {
        self.vault.remove(key, self.clock.now()).await
    }

    /// Takes everything away.
    ///
    /// # Errors
    /// The store fails.
    pub async fn clear(&self) -> Result<(), Error> {
        self.vault.store.clear().await?;
        if let Some(tier) = &self.vault.tier {
            tier.clear();
        }
        Ok(())
    }

    /// How much is stored.
    ///
    /// # Errors
    /// The store fails.
    pub async fn usage(&self) -> Result<Usage, Error> {
        self.vault.store.usage().await
    }

    /// What the store's medium holds that lacre did not put there: one line each.
    ///
    /// # Errors
    /// The store fails.
    pub async fn inspect(&self) -> Result<Vec<String>, Error> {
        self.vault.store.inspect().await
    }

    /// Writes out what is pending and leaves no trace of what was removed.
    ///
    /// # Errors
    /// The store fails.
    pub async fn close(&self) -> Result<(), Error> {
        self.vault.store.close().await
    }
}

/// How many rows of a listing are held at a time: their heads only.
const PAGE: usize = 1024;
/// How many heads are worth a thread of their own.
const MIN_SHARE: usize = 128;
const MAX_THREADS: usize = 8;

/// A row as a listing finds it.
enum Seen {
    /// What is to be opened.
    Head { key: Key, start: EnvelopeStart, sealed_bytes: usize },
    /// It needs no opening, or is no envelope; `None`: nothing is shown of it.
    Listed(Option<Listed>),
}

impl Vault {
    fn seen(&self, row: Row<'_>, now: Timestamp) -> Seen {
        let start = row
            .record
            .as_ref()
            .ok()
            .and_then(|record| Some((EnvelopeStart::of(record.sealed)?, record.sealed.len())));
        match start {
            Some((start, sealed_bytes)) => Seen::Head { key: row.key, start, sealed_bytes },
            None => Seen::Listed(self.listed(row, now)),
        }
    }

    /// Opens the heads of a page, on as many threads as there are processors. `Err`: it does not open.
    fn open_all(&self, page: Vec<Seen>, now: Timestamp) -> Vec<Result<Option<Listed>, Key>> {
        let threads = thread::available_parallelism().map_or(1, usize::from).min(MAX_THREADS);
        let share = page.len().div_ceil(threads).max(MIN_SHARE);
        let mut page = page.into_iter();
        let mut shares = Vec::new();
        while page.len() > 0 {
            shares.push(page.by_ref().take(share).collect::<Vec<_>>());
        }
        let open =
            |share: Vec<Seen>| share.into_iter().map(|seen| self.open_seen(seen, now)).collect::<Vec<_>>();
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

    fn open_seen(&self, seen: Seen, now: Timestamp) -> Result<Option<Listed>, Key> {
        let (key, start, sealed_bytes) = match seen {
            Seen::Head { key, start, sealed_bytes } => (key, start, sealed_bytes),
            Seen::Listed(listed) => return Ok(listed),
        };
        let at = self.place(&key, Purpose::Slot);
        let (head, seal) = self.sealer.open_head_from_start(&at, &start, moment(now)).map_err(|_| key)?;
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

    /// `None`: it is evidence, or the list of namespaces.
    pub(super) fn listed(&self, row: Row<'_>, now: Timestamp) -> Option<Listed> {
        let key = row.key;
        let mut claimed_unverified = None;
        let (kind, sealed_bytes, opened) = match row.record {
            Err(error) => (RecordKind::Entry, 0, Err(error)),
            Ok(record) => {
                let opened = self.open_head(&key, &record, now);
                let length = record.sealed.len();
                match &opened {
                    Ok((slot, _)) => (RecordKind::of(slot), length, opened),
                    Err(_) if self.is_beside_entries(&key, record.sealed, now) => return None,
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
