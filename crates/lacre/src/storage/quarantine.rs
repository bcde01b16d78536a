//! Quarantine: a record that does not open is moved aside, and its first bytes are kept as evidence
//! for a while (docs/format.md §10).
//!
//! Evidence is never looked up. It has a fixed number of places, which bounds it however many bad
//! records somebody makes.

use super::times::seal_time;
use super::vault::Vault;
use crate::store::Record;
use crate::{Error, ErrorKind};
use lacre_core::{Key, Timestamp};
use lacre_seal::{Fault, Lifetime, Opened, Purpose};
use std::time::Duration;

/// The most pieces of evidence that a store holds.
const MAX_PIECES: u32 = 1024;
/// How many bytes of each record are kept.
const MAX_EVIDENCE: usize = 64 << 10;
/// How long evidence is kept.
const RETENTION: Duration = Duration::from_secs(30 * 24 * 60 * 60);

impl Vault {
    /// The reason to move the record under `key` aside. `None`: it opens, or a setting explains why
    /// not.
    pub(crate) async fn reason_for_quarantine(
        &self,
        key: &Key,
        now: Timestamp,
    ) -> Result<Option<Error>, Error> {
        match self.check(key, now).await {
            Ok(_) => Ok(None),
            Err(error) if matches!(error.kind(), ErrorKind::Store(_)) => Err(error),
            // Reading with the wrong settings must not destroy a store.
            Err(error) if matches!(error.kind(), ErrorKind::Tampered | ErrorKind::Broken) => {
                let mut internal = false;
                self.store
                    .get(key, &mut |record| internal = self.is_internal_record(key, record.sealed, now))
                    .await
                    .ok();
                Ok((!internal).then_some(error))
            }
            Err(_) => Ok(None),
        }
    }

    /// Moves the record under `key` into quarantine. It is removed even if there is no room for the
    /// evidence.
    pub(crate) async fn quarantine(&self, key: &Key, reason: &Error, now: Timestamp) -> Result<Key, Error> {
        let (mut found, mut length) = (Vec::new(), 0);
        // A row that the store cannot read leaves no bytes.
        let _ = self
            .store
            .get(key, &mut |record| {
                length = record.sealed.len();
                found.extend_from_slice(&record.sealed[..length.min(MAX_EVIDENCE)]);
            })
            .await;
        let evidence = self.evidence_key(key);
        let head = head(key, length as u64, &reason.to_string(), now);
        let until = now.plus(RETENTION);
        let life = Lifetime { created: seal_time(now), not_after: seal_time(until) };
        let at = self.context(&evidence, Purpose::Quarantine);
        let sealed = self.sensitive_sealer.seal(&at, life, &head, &found)?;
        let record = Record { body: None, chunks: 0, expires: until, written: now, sealed: &sealed };
        let kept = self.put(&evidence, record).await;
        self.remove(key, now).await?;
        kept.map(|()| evidence)
    }

    pub(crate) fn evidence_key(&self, key: &Key) -> Key {
        let [first, second, ..] = *key.as_bytes();
        let piece = u32::from(u16::from_be_bytes([first, second])) % MAX_PIECES;
        let identity = [b"lacre/v1/quarantine".as_slice(), &piece.to_be_bytes()].concat();
        Key::from_bytes(self.sealer.keyring().row_key(&identity))
    }

    pub(crate) fn open_evidence(&self, key: &Key, sealed: &[u8], now: Timestamp) -> Result<Opened, Fault> {
        self.any_suite.open(&self.context(key, Purpose::Quarantine), sealed, seal_time(now))
    }

    /// Whether a record is no cache entry: evidence of any namespace, ended or not, or the list of
    /// namespaces.
    pub(crate) fn is_internal_record(&self, key: &Key, sealed: &[u8], now: Timestamp) -> bool {
        let at = self.context(key, Purpose::Quarantine);
        self.open_evidence(key, sealed, now).map_or_else(|fault| fault.is_lapsed(), |_| true)
            || self.is_namespace_list(key, sealed)
            || self.other_namespaces().iter().any(|name| self.opens_in(name, &at, sealed, now))
    }
}

/// The head of a piece of evidence (docs/format.md §10).
fn head(from: &Key, length: u64, reason: &str, at: Timestamp) -> Vec<u8> {
    [from.as_bytes(), &seal_time(at).as_millis().to_be_bytes()[..], &length.to_be_bytes(), reason.as_bytes()]
        .concat()
}
