//! Quarantine: a record that does not open goes out of the way, and its bytes are kept as evidence for a while (docs/format.md §10).
//!
//! Evidence is never looked up, and what it takes is bounded whoever makes bad records: it has a fixed number of places.

use super::Cache;
use super::vault::{Vault, moment};
use crate::store::{Record, Row, StoreExt};
use crate::{Error, ErrorKind, Event};
use bytes::Bytes;
use lacre_core::{Key, Timestamp};
use lacre_seal::{Fault, Lifetime, Opened, Purpose};
use std::fmt;
use std::time::Duration;

/// How many pieces of evidence a store holds at most.
const PLACES: u32 = 1024;
/// How much is kept of each record, in bytes.
const MOST: usize = 64 << 10;
/// For how long.
const KEPT: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// A record that did not open, as it was found.
#[derive(Clone)]
#[non_exhaustive]
pub struct Quarantined {
    /// Where the evidence lies; [`Cache::remove`] takes it away.
    pub key: Key,
    /// Where the record lay.
    pub from: Key,
    /// When it was found.
    pub at: Timestamp,
    /// Why it did not open.
    pub reason: String,
    /// How many bytes it had.
    pub length: u64,
    /// The first 64 KiB of them. Nobody vouches for these bytes: they are what did not open.
    pub evidence: Bytes,
}

impl Cache {
    /// Shows every piece of evidence to `visit`, in no particular order.
    ///
    /// # Errors
    /// The store fails.
    pub async fn quarantined(&self, visit: &mut (dyn FnMut(Quarantined) + Send)) -> Result<(), Error> {
        let now = self.clock.now();
        let mut each = |row: Row<'_>| {
            if let Ok(record) = row.record
                && let Ok(opened) = self.vault.open_evidence(&row.key, record.sealed, now)
                && let Some(quarantined) = Quarantined::read(row.key, opened)
            {
                visit(quarantined);
            }
        };
        self.vault.store.each(&mut each).await
    }

    /// Puts what lies under `key` into quarantine if it was tampered with or cannot be read, and tells the observer. Returns where the
    /// evidence lies; `None`: the record opens, its key is missing, its time is over, or it is genuine and of a suite that is not accepted.
    ///
    /// # Errors
    /// The store fails.
    pub async fn quarantine(&self, key: &Key) -> Result<Option<Key>, Error> {
        let now = self.clock.now();
        self.vault.learn_namespaces().await;
        let Some(reason) = self.vault.reason_for_quarantine(key, now).await? else { return Ok(None) };
        let evidence = self.vault.quarantine(key, &reason, now).await?;
        self.observer.on_event(Event::Quarantined { key, evidence: &evidence });
        Ok(Some(evidence))
    }
}

impl Vault {
    async fn reason_for_quarantine(&self, key: &Key, now: Timestamp) -> Result<Option<Error>, Error> {
        match self.check(key, now).await {
            Ok(_) => Ok(None),
            Err(error) if matches!(error.kind(), ErrorKind::Store(_)) => Err(error),
            // Whoever looks with the wrong settings in mind must not lose the store by it.
            Err(error) if matches!(error.kind(), ErrorKind::Tampered | ErrorKind::Broken) => {
                let mut evidence = false;
                self.store
                    .get(key, &mut |record| evidence = self.is_beside_entries(key, record.sealed, now))
                    .await
                    .ok();
                Ok((!evidence).then_some(error))
            }
            Err(_) => Ok(None),
        }
    }

    /// Moves what lies under `key`. It goes even where there is no room for the evidence.
    async fn quarantine(&self, key: &Key, reason: &Error, now: Timestamp) -> Result<Key, Error> {
        let (mut found, mut length) = (Vec::new(), 0);
        // A row that the store itself cannot read leaves no bytes.
        let _ = self
            .store
            .get(key, &mut |record| {
                length = record.sealed.len();
                found.extend_from_slice(&record.sealed[..length.min(MOST)]);
            })
            .await;
        let evidence = self.evidence_key(key);
        let head = head(key, length as u64, &reason.to_string(), now);
        let until = now.plus(KEPT);
        let life = Lifetime { created: moment(now), not_after: moment(until) };
        let at = self.place(&evidence, Purpose::Quarantine);
        let sealed = self.secret_sealer.seal(&at, life, &head, &found)?;
        let record = Record { body: None, chunks: 0, expires: until, written: now, sealed: &sealed };
        let kept = self.put(&evidence, record).await;
        self.remove(key, now).await?;
        kept.map(|()| evidence)
    }

    pub(super) fn evidence_key(&self, key: &Key) -> Key {
        let [first, second, ..] = *key.as_bytes();
        let place = u32::from(u16::from_be_bytes([first, second])) % PLACES;
        let identity = [b"lacre/v1/quarantine".as_slice(), &place.to_be_bytes()].concat();
        Key::from_bytes(self.sealer.keyring().row_key(&identity))
    }

    pub(super) fn open_evidence(&self, key: &Key, sealed: &[u8], now: Timestamp) -> Result<Opened, Fault> {
        self.any.open(&self.place(key, Purpose::Quarantine), sealed, moment(now))
    }

    /// Whether `sealed` is evidence, be its time over or not, of this namespace or another, or the list of namespaces.
    pub(super) fn is_beside_entries(&self, key: &Key, sealed: &[u8], now: Timestamp) -> bool {
        let at = self.place(key, Purpose::Quarantine);
        self.open_evidence(key, sealed, now).map_or_else(|fault| fault.is_lapsed(), |_| true)
            || self.is_list_of_names(key, sealed)
            || self.other_namespaces().iter().any(|name| self.opens_in(name, &at, sealed, now))
    }
}

/// The head of docs/format.md §10.
fn head(from: &Key, length: u64, reason: &str, at: Timestamp) -> Vec<u8> {
    [from.as_bytes(), &moment(at).as_millis().to_be_bytes()[..], &length.to_be_bytes(), reason.as_bytes()]
        .concat()
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

/// Without the evidence, which may be readable.
impl fmt::Debug for Quarantined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, from, at, reason, length, .. } = self;
        let mut debug = f.debug_struct("Quarantined");
        debug.field("key", key).field("from", from).field("at", at).field("reason", reason);
        debug.field("length", length).finish_non_exhaustive()
    }
}
