//! Resealing one record: a record sealed with another key than the primary one, or with another
//! suite than the one in use, is opened and sealed again. Its content and its times stay.
//!
//! This happens in place: chunk by chunk, and the head last. Every state between is whole, since
//! the keyring opens old and new seals alike, and a finished part is skipped. A run may be
//! interrupted at any moment and started again.

use super::RecordKind;
use super::loaded::sensitivity_of;
use super::rollback_guard::Version;
use super::times::{seal_time, store_time};
use super::vault::{Vault, chunk_purpose};
use crate::codec::BodyHead;
use crate::store::{Record, Row, StoreExt};
use crate::{Error, ErrorKind};
use lacre_core::{Key, Slot, Timestamp};
use lacre_seal::{Context, Fault, Lifetime, Opened, Purpose, SealInfo, Sealer, Suite};

/// Whether [`Cache::reseal`](crate::Cache::reseal) writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Pass {
    /// Writes.
    Real,
    /// Only reports what it would do.
    Dry,
}

/// The outcome of resealing one record.
#[derive(Debug)]
#[non_exhaustive]
pub enum Resealing {
    /// Sealed again, or would be in a dry pass.
    Done,
    /// Sealed with the current key and suite already.
    Already,
    /// Expired or revoked: nothing to save.
    Lapsed,
    /// Replaced or removed meanwhile by somebody else.
    Overtaken,
    /// Does not open; left as it is.
    Refused(Error),
}

/// The suite that records are resealed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SuiteChoice {
    /// The suite of each record.
    Insert,
    /// The suite in use.
    Change,
}

/// A record of any kind, opened at its place.
struct OpenedRecord<'a> {
    at: Context<'a>,
    /// The body that it is the head of, for an entry.
    body: Option<BodyHead>,
    opened: Opened,
}

impl Vault {
    /// Whether a record is sealed with the current key and suite.
    pub(crate) fn is_sealed_as_now(&self, seal: &SealInfo) -> bool {
        self.has_right_seal(seal, SuiteChoice::Change)
    }

    fn has_right_seal(&self, seal: &SealInfo, suite_choice: SuiteChoice) -> bool {
        seal.key_id == self.any_suite.keyring().primary()
            && seal.suite == self.resealing_suite(seal, suite_choice)
    }

    /// The suite that a record is resealed with. An encrypted record never becomes readable.
    fn resealing_suite(&self, seal: &SealInfo, suite_choice: SuiteChoice) -> Suite {
        match suite_choice {
            SuiteChoice::Insert => seal.suite,
            SuiteChoice::Change => self.sealer_for(sensitivity_of(seal)).suite(),
        }
    }

    /// The key and kind of a row, and whether its head alone shows that nothing is to be done.
    pub(crate) fn reseal_plan(
        &self,
        row: &Row<'_>,
        suite_choice: SuiteChoice,
        now: Timestamp,
    ) -> (Key, RecordKind, bool) {
        let Ok(record) = &row.record else { return (row.key, RecordKind::Entry, false) };
        let right = |seal: &SealInfo| self.has_right_seal(seal, suite_choice);
        let (kind, right) = match self.open_head(&row.key, record, now) {
            Ok((Slot::Entry(entry), seal)) => (RecordKind::Entry, entry.body.chunks == 0 && right(&seal)),
            Ok((slot, seal)) => (RecordKind::of(&slot), right(&seal)),
            Err(_) => (RecordKind::claimed(record), false),
        };
        (row.key, kind, right)
    }

    /// Reseals the record under `key`. Fails only if the store fails.
    pub(crate) async fn reseal(
        &self,
        key: &Key,
        pass: Pass,
        suite_choice: SuiteChoice,
        now: Timestamp,
    ) -> Result<Resealing, Error> {
        match self.try_reseal(key, pass, suite_choice, now).await {
            Err(error) if matches!(error.kind(), ErrorKind::Store(_)) => Err(error),
            Err(error) if error.kind() == ErrorKind::Lapsed => Ok(Resealing::Lapsed),
            Err(error) => Ok(Resealing::Refused(error)),
            done => done,
        }
    }

    async fn try_reseal(
        &self,
        key: &Key,
        pass: Pass,
        suite_choice: SuiteChoice,
        now: Timestamp,
    ) -> Result<Resealing, Error> {
        let history = self.rollback_guard.history(key);
        let Some(record) = self.store.fetch(key).await? else { return Ok(Resealing::Overtaken) };
        let OpenedRecord { at, body, opened } =
            self.open_any_record(key, &record.sealed, suite_choice, now)?;
        self.rollback_guard.check_read(key, history, Version::of(&record.sealed, opened.seal.created))?;
        let fresh = self.has_right_seal(&opened.seal, suite_choice);
        let Some(chunks) = self.reseal_chunks(key, body.as_ref(), pass, suite_choice, now).await? else {
            return Ok(Resealing::Overtaken);
        };
        if fresh && chunks == 0 {
            return Ok(Resealing::Already);
        }
        if pass == Pass::Dry {
            return Ok(Resealing::Done);
        }
        let replaced = fresh || {
            let sealed = self.seal_again(&at, &opened, suite_choice)?;
            let news = Record {
                body: body.as_ref().map(|body| body.id),
                chunks: body.as_ref().map_or(0, |body| body.chunks),
                expires: store_time(opened.seal.not_after),
                written: store_time(opened.seal.created),
                sealed: &sealed,
            };
            self.replace(key, record.body, news).await?
        };
        match body {
            // The body was replaced, and the chunks staged since belong to nothing.
            Some(body) if chunks > 0 && !self.names(key, body.id, now).await? => {
                self.unstage(body.id, body.chunks);
                Ok(Resealing::Overtaken)
            }
            _ if replaced => Ok(Resealing::Done),
            _ => Ok(Resealing::Overtaken),
        }
    }

    /// Opens an entry, an index record, evidence or the list of namespaces.
    fn open_any_record<'a>(
        &'a self,
        key: &'a Key,
        sealed: &[u8],
        suite_choice: SuiteChoice,
        now: Timestamp,
    ) -> Result<OpenedRecord<'a>, Error> {
        let at = self.context(key, Purpose::Slot);
        let fault = match self.opener(suite_choice).open(&at, sealed, seal_time(now)) {
            Ok(opened) => {
                let body = match self.formats.decode(&opened.head)? {
                    Slot::Entry(entry) => Some(entry.body),
                    Slot::Vary(_) | Slot::Alias(_) => None,
                };
                return Ok(OpenedRecord { at, body, opened });
            }
            Err(fault) => fault,
        };
        match self.open_evidence(key, sealed, now) {
            Ok(opened) => {
                return Ok(OpenedRecord { at: self.context(key, Purpose::Quarantine), body: None, opened });
            }
            Err(evidence) if evidence.is_lapsed() => return Err(evidence.into()),
            Err(_) => {}
        }
        match self.open_namespace_list(key, sealed) {
            Ok(opened) if *key == self.namespace_list_key() => {
                Ok(OpenedRecord { at: self.namespace_list_context(key), body: None, opened })
            }
            _ => Err(self.refusal(&at, sealed, fault, now)),
        }
    }

    fn opener(&self, suite_choice: SuiteChoice) -> &Sealer {
        match suite_choice {
            SuiteChoice::Insert => &self.any_suite,
            SuiteChoice::Change => &self.sealer,
        }
    }

    /// Reseals the chunks of a body, and returns how many. `None`: the body was replaced or
    /// removed.
    async fn reseal_chunks(
        &self,
        key: &Key,
        body: Option<&BodyHead>,
        pass: Pass,
        suite_choice: SuiteChoice,
        now: Timestamp,
    ) -> Result<Option<u32>, Error> {
        let mut count = 0;
        let Some(body) = body else { return Ok(Some(count)) };
        for index in 0..body.chunks {
            let Some(chunk) = self.open_chunk(self.opener(suite_choice), key, body, index, now).await? else {
                self.check_replaced(key, body.id, now).await?;
                return Ok(None);
            };
            if self.has_right_seal(&chunk.seal, suite_choice) {
                continue;
            }
            count += 1;
            if pass == Pass::Real {
                let sealed =
                    self.seal_again(&self.context(key, chunk_purpose(body, index)), &chunk, suite_choice)?;
                self.store.stage(body.id, index, &sealed, now).await?;
            }
        }
        Ok(Some(count))
    }

    /// Seals a record again with its own times: an old record that was put back must not look new.
    fn seal_again(
        &self,
        at: &Context<'_>,
        opened: &Opened,
        suite_choice: SuiteChoice,
    ) -> Result<Vec<u8>, Fault> {
        let SealInfo { created, not_after, .. } = opened.seal;
        let life = Lifetime { created, not_after };
        let sealer = self.any_suite.clone().sealing_with(self.resealing_suite(&opened.seal, suite_choice));
        sealer.seal(at, life, opened.head.as_bytes(), opened.body.as_bytes())
    }
}
