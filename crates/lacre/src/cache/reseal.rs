//! Sealing anew: what another key sealed than the primary one, or another suite than the one in use, is opened and sealed again. What it
//! says, and until when, stays as it was.
//!
//! It is done in place: chunk by chunk, and the head last. Every state between is whole, since every key of the ring opens what it sealed,
//! and what is right already is skipped. A run may therefore be ended at any moment, and begun again.

use super::rollback::Mark;
use super::vault::{Vault, chunk_place, missing_chunk, moment, sensitivity_of, timestamp};
use super::{Cache, RecordKind};
use crate::codec::BodyHead;
use crate::store::{Record, Row, StoreExt};
use crate::{Error, ErrorKind};
use lacre_core::{Key, Slot, Timestamp};
use lacre_seal::{Context, Fault, Lifetime, Opened, Purpose, SealInfo, Sealer, Suite};

/// Whether [`Cache::reseal`] writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Pass {
    /// It does.
    Real,
    /// It only says what it would do.
    Dry,
}

/// What [`Cache::reseal`] made of a row.
#[derive(Debug)]
#[non_exhaustive]
pub enum Resealing {
    /// It was sealed anew, or would be in a dry pass.
    Done,
    /// It was right already.
    Already,
    /// Its time is over, or it was revoked: there is nothing to save.
    Lapsed,
    /// Somebody replaced or removed it meanwhile, which stands.
    Overtaken,
    /// It does not open, and was left as it is.
    Refused(Error),
}

/// A record that [`Cache::reseal`] or [`Cache::rekey`] has dealt with.
#[derive(Debug)]
#[non_exhaustive]
pub struct ResealedRow<'a> {
    /// Where it lies.
    pub key: &'a Key,
    /// Whether it is an entry; of a record that does not open, as the store has it.
    pub kind: RecordKind,
    /// What became of it.
    pub outcome: &'a Resealing,
}

/// By which suite records are sealed anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Suites {
    /// By the one that sealed them.
    Keep,
    /// By the one in use.
    Change,
}

/// How many records came out in which way; see [`Resealing`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is named after its `Resealing`")]
#[non_exhaustive]
pub struct Resealed {
    pub done: u64,
    pub already: u64,
    pub lapsed: u64,
    pub overtaken: u64,
    pub refused: u64,
}

impl Cache {
    /// Seals everything anew that is not sealed with the primary key and the suite in use, chunks and evidence included; `report` is
    /// told of every record. Others may use the store meanwhile. Afterwards, where nothing was refused, no other key is needed. A suite that
    /// was in use before must be [accepted](crate::Builder::also_accept). What is encrypted never becomes readable by this.
    ///
    /// # Errors
    /// The store fails. What was done until then stays done.
    pub async fn reseal(
        &self,
        pass: Pass,
        report: &mut (dyn FnMut(ResealedRow<'_>) + Send),
    ) -> Result<Resealed, Error> {
        self.reseal_all(pass, Suites::Change, report).await
    }

    /// Seals everything anew that is not sealed with the primary key, each record by the suite that sealed it: what is readable stays
    /// readable, what is encrypted stays encrypted. Otherwise as [`reseal`](Self::reseal); no suite need be accepted.
    ///
    /// # Errors
    /// The store fails. What was done until then stays done.
    pub async fn rekey(
        &self,
        pass: Pass,
        report: &mut (dyn FnMut(ResealedRow<'_>) + Send),
    ) -> Result<Resealed, Error> {
        self.reseal_all(pass, Suites::Keep, report).await
    }

    async fn reseal_all(
        &self,
        pass: Pass,
        suites: Suites,
        report: &mut (dyn FnMut(ResealedRow<'_>) + Send),
    ) -> Result<Resealed, Error> {
        let mut counts = Resealed::default();
        self.vault.learn_namespaces().await;
        let mut walk = self.vault.walk();
        while let Some(page) = walk.page(|row| self.vault.to_reseal(&row, suites, self.clock.now())).await? {
            for (key, kind, right) in page {
                let outcome = match right {
                    true => Resealing::Already,
                    false => self.vault.reseal(&key, pass, suites, self.clock.now()).await?,
                };
                counts.count(&outcome);
                report(ResealedRow { key: &key, kind, outcome: &outcome });
            }
        }
        Ok(counts)
    }
}

/// Something that was opened where it lies.
struct Whatever<'a> {
    at: Context<'a>,
    /// What it is the head of.
    body: Option<BodyHead>,
    opened: Opened,
}

impl Resealed {
    fn count(&mut self, outcome: &Resealing) {
        *match outcome {
            Resealing::Done => &mut self.done,
            Resealing::Already => &mut self.already,
            Resealing::Lapsed => &mut self.lapsed,
            Resealing::Overtaken => &mut self.overtaken,
            Resealing::Refused(_) => &mut self.refused,
        } += 1;
    }
}

impl Vault {
    /// Whether a record is sealed as it would be if it were written now.
    pub(super) fn is_current(&self, seal: &SealInfo) -> bool {
        self.is_sealed_right(seal, Suites::Change)
    }

    fn is_sealed_right(&self, seal: &SealInfo, suites: Suites) -> bool {
        seal.key_id == self.any.keyring().primary() && seal.suite == self.resealing_suite(seal, suites)
    }

    /// The suite that a record is sealed anew by. What is encrypted never becomes readable.
    fn resealing_suite(&self, seal: &SealInfo, suites: Suites) -> Suite {
        match suites {
            Suites::Keep => seal.suite,
            Suites::Change => self.sealer_of(sensitivity_of(seal)).suite(),
        }
    }

    /// A row, what it is, and whether nothing is to be done, as far as its head alone tells.
    fn to_reseal(&self, row: &Row<'_>, suites: Suites, now: Timestamp) -> (Key, RecordKind, bool) {
        let Ok(record) = &row.record else { return (row.key, RecordKind::Entry, false) };
        let right = |seal: &SealInfo| self.is_sealed_right(seal, suites);
        let (kind, right) = match self.open_head(&row.key, record, now) {
            Ok((Slot::Entry(entry), seal)) => (RecordKind::Entry, entry.body.chunks == 0 && right(&seal)),
            Ok((slot, seal)) => (RecordKind::of(&slot), right(&seal)),
            Err(_) => (RecordKind::claimed(record), false),
        };
        (row.key, kind, right)
    }

    /// Seals what lies under `key` anew. Fails only where the store does.
    pub(super) async fn reseal(
        &self,
        key: &Key,
        pass: Pass,
        suites: Suites,
        now: Timestamp,
    ) -> Result<Resealing, Error> {
        match self.try_reseal(key, pass, suites, now).await {
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
        suites: Suites,
        now: Timestamp,
    ) -> Result<Resealing, Error> {
        let known = self.newest.known(key);
        let Some(record) = self.store.fetch(key).await? else { return Ok(Resealing::Overtaken) };
        let Whatever { at, body, opened } = self.open_whatever(key, &record.sealed, suites, now)?;
        self.newest.found(key, known, Mark::of(&record.sealed, opened.seal.created))?;
        let fresh = self.is_sealed_right(&opened.seal, suites);
        let Some(chunks) = self.reseal_chunks(key, body.as_ref(), pass, suites, now).await? else {
            return Ok(Resealing::Overtaken);
        };
        if fresh && chunks == 0 {
            return Ok(Resealing::Already);
        }
        if pass == Pass::Dry {
            return Ok(Resealing::Done);
        }
        let replaced = fresh || {
            let sealed = self.seal_again(&at, &opened, suites)?;
            let news = Record {
                body: body.as_ref().map(|body| body.id),
                chunks: body.as_ref().map_or(0, |body| body.chunks),
                expires: timestamp(opened.seal.not_after),
                written: timestamp(opened.seal.created),
                sealed: &sealed,
            };
            self.replace(key, record.body, news).await?
        };
        match body {
            // Its chunks went when it did, and what was written since belongs to nothing.
            Some(body) if chunks > 0 && !self.names(key, body.id, now).await? => {
                self.unstage(body.id, body.chunks);
                Ok(Resealing::Overtaken)
            }
            _ if replaced => Ok(Resealing::Done),
            _ => Ok(Resealing::Overtaken),
        }
    }

    /// A slot, evidence, or the list of namespaces.
    fn open_whatever<'a>(
        &'a self,
        key: &'a Key,
        sealed: &[u8],
        suites: Suites,
        now: Timestamp,
    ) -> Result<Whatever<'a>, Error> {
        let at = self.place(key, Purpose::Slot);
        let fault = match self.opener(suites).open(&at, sealed, moment(now)) {
            Ok(opened) => {
                let body = match self.formats.decode(&opened.head)? {
                    Slot::Entry(entry) => Some(entry.body),
                    Slot::Vary(_) | Slot::Alias(_) => None,
                };
                return Ok(Whatever { at, body, opened });
            }
            Err(fault) => fault,
        };
        match self.open_evidence(key, sealed, now) {
            Ok(opened) => {
                return Ok(Whatever { at: self.place(key, Purpose::Quarantine), body: None, opened });
            }
            Err(evidence) if evidence.is_lapsed() => return Err(evidence.into()),
            Err(_) => {}
        }
        match self.open_names(key, sealed) {
            Ok(opened) if *key == self.names_key() => {
                Ok(Whatever { at: self.names_place(key), body: None, opened })
            }
            _ => Err(self.refusal(&at, sealed, fault, now)),
        }
    }

    fn opener(&self, suites: Suites) -> &Sealer {
        match suites {
            Suites::Keep => &self.any,
            Suites::Change => &self.sealer,
        }
    }

    /// How many chunks were sealed anew, or would be; `None`: the body went meanwhile.
    async fn reseal_chunks(
        &self,
        key: &Key,
        body: Option<&BodyHead>,
        pass: Pass,
        suites: Suites,
        now: Timestamp,
    ) -> Result<Option<u32>, Error> {
        let mut count = 0;
        let Some(body) = body else { return Ok(Some(count)) };
        for index in 0..body.chunks {
            let Some(chunk) = self.open_chunk_by(self.opener(suites), key, body, index, now).await? else {
                return if self.names(key, body.id, now).await? { Err(missing_chunk()) } else { Ok(None) };
            };
            if self.is_sealed_right(&chunk.seal, suites) {
                continue;
            }
            count += 1;
            if pass == Pass::Real {
                let sealed = self.seal_again(&self.place(key, chunk_place(body, index)), &chunk, suites)?;
                self.store.stage(body.id, index, &sealed, now).await?;
            }
        }
        Ok(Some(count))
    }

    /// Not as of now: an old record that was put back must not look new by it.
    fn seal_again(&self, at: &Context<'_>, opened: &Opened, suites: Suites) -> Result<Vec<u8>, Fault> {
        let SealInfo { created, not_after, .. } = opened.seal;
        let life = Lifetime { created, not_after };
        let sealer = self.any.clone().sealing_with(self.resealing_suite(&opened.seal, suites));
        sealer.seal(at, life, opened.head.as_bytes(), opened.body.as_bytes())
    }
}
