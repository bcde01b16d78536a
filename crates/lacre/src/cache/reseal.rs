//! Sealing anew: what another key or suite sealed than the ones in use is opened, and sealed as new records are. What it says, and until
//! when, stays as it was.
//!
//! It is done in place: chunk by chunk, and the head last. Every state between is whole, since every key of the ring opens what it sealed,
//! and what is right already is skipped. A run may therefore be ended at any moment, and begun again.

use super::Cache;
use super::rollback::Mark;
use super::vault::{Vault, chunk_place, missing_chunk, moment, secrecy_of, timestamp};
use crate::codec::BodyHead;
use crate::store::{Record, Row, StoreExt};
use crate::{Error, ErrorKind};
use lacre_core::{Key, Slot, Timestamp};
use lacre_seal::{Context, Fault, Lifetime, Opened, Purpose, SealInfo};

/// Whether [`Cache::reseal`] writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pass {
    /// It does.
    Real,
    /// It only says what it would do.
    Dry,
}

/// What [`Cache::reseal`] made of a row.
#[derive(Debug)]
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

/// How many rows came out in which way; see [`Resealing`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is named after its `Resealing`")]
pub struct Resealed {
    pub done: u64,
    pub already: u64,
    pub lapsed: u64,
    pub overtaken: u64,
    pub refused: u64,
}

impl Cache {
    /// Seals everything anew that is not sealed with the primary key and the suite in use, chunks and evidence included; `report` is
    /// told of every row. Others may use the store meanwhile. Afterwards, where nothing was refused, no other key is needed. A suite that
    /// was in use before must be [accepted](crate::Builder::also_accept). What is encrypted never becomes readable by this.
    ///
    /// # Errors
    /// The store fails. What was done until then stays done.
    pub async fn reseal(
        &self,
        pass: Pass,
        report: &mut (dyn FnMut(&Key, &Resealing) + Send),
    ) -> Result<Resealed, Error> {
        let mut counts = Resealed::default();
        let mut walk = self.vault.walk();
        while let Some(page) = walk.page(|row| (row.key, self.vault.is_right(&row, self.clock.now()))).await?
        {
            for (key, right) in page {
                let outcome = match right {
                    true => Resealing::Already,
                    false => self.vault.reseal(&key, pass, self.clock.now()).await?,
                };
                counts.count(&outcome);
                report(&key, &outcome);
            }
        }
        Ok(counts)
    }
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
        let sealer = self.sealer_of(secrecy_of(seal));
        seal.key_id == sealer.keyring().primary() && seal.suite == sealer.suite()
    }

    /// Whether nothing is to be done, as far as the head of a row alone tells.
    fn is_right(&self, row: &Row<'_>, now: Timestamp) -> bool {
        let Ok(record) = &row.record else { return false };
        match self.open_head(&row.key, record, now) {
            Ok((Slot::Entry(entry), seal)) => entry.body.chunks == 0 && self.is_current(&seal),
            Ok((_, seal)) => self.is_current(&seal),
            Err(_) => false,
        }
    }

    /// Seals what lies under `key` anew. Fails only where the store does.
    pub(super) async fn reseal(&self, key: &Key, pass: Pass, now: Timestamp) -> Result<Resealing, Error> {
        match self.try_reseal(key, pass, now).await {
            Err(error) if matches!(error.kind(), ErrorKind::Store(_)) => Err(error),
            Err(error) if error.kind() == ErrorKind::Lapsed => Ok(Resealing::Lapsed),
            Err(error) => Ok(Resealing::Refused(error)),
            done => done,
        }
    }

    async fn try_reseal(&self, key: &Key, pass: Pass, now: Timestamp) -> Result<Resealing, Error> {
        let known = self.newest.known(key);
        let Some(record) = self.store.fetch(key).await? else { return Ok(Resealing::Overtaken) };
        let (purpose, body, opened) = self.open_whatever(key, &record.sealed, now)?;
        self.newest.found(key, known, Mark::of(&record.sealed, opened.seal.created))?;
        let fresh = self.is_current(&opened.seal);
        let Some(chunks) = self.reseal_chunks(key, body.as_ref(), pass, now).await? else {
            return Ok(Resealing::Overtaken);
        };
        if fresh && chunks == 0 {
            return Ok(Resealing::Already);
        }
        if pass == Pass::Dry {
            return Ok(Resealing::Done);
        }
        let replaced = fresh || {
            let sealed = self.seal_again(&self.place(key, purpose), &opened)?;
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

    /// A slot, or evidence.
    fn open_whatever(
        &self,
        key: &Key,
        sealed: &[u8],
        now: Timestamp,
    ) -> Result<(Purpose, Option<BodyHead>, Opened), Error> {
        match self.sealer.open(&self.place(key, Purpose::Slot), sealed, moment(now)) {
            Ok(opened) => {
                let body = match self.formats.decode(&opened.head)? {
                    Slot::Entry(entry) => Some(entry.body),
                    Slot::Vary(_) | Slot::Alias(_) => None,
                };
                Ok((Purpose::Slot, body, opened))
            }
            Err(fault) => match self.open_evidence(key, sealed, now) {
                Ok(opened) => Ok((Purpose::Quarantine, None, opened)),
                Err(evidence) if evidence.is_lapsed() => Err(evidence.into()),
                Err(_) => Err(fault.into()),
            },
        }
    }

    /// How many chunks were sealed anew, or would be; `None`: the body went meanwhile.
    async fn reseal_chunks(
        &self,
        key: &Key,
        body: Option<&BodyHead>,
        pass: Pass,
        now: Timestamp,
    ) -> Result<Option<u32>, Error> {
        let mut count = 0;
        let Some(body) = body else { return Ok(Some(count)) };
        for index in 0..body.chunks {
            let Some(chunk) = self.open_chunk(key, body, index, now).await? else {
                return if self.names(key, body.id, now).await? { Err(missing_chunk()) } else { Ok(None) };
            };
            if self.is_current(&chunk.seal) {
                continue;
            }
            count += 1;
            if pass == Pass::Real {
                let sealed = self.seal_again(&self.place(key, chunk_place(body, index)), &chunk)?;
                self.store.stage(body.id, index, &sealed, now).await?;
            }
        }
        Ok(Some(count))
    }

    /// Not as of now: an old record that was put back must not look new by it.
    fn seal_again(&self, at: &Context<'_>, opened: &Opened) -> Result<Vec<u8>, Fault> {
        let SealInfo { created, not_after, .. } = opened.seal;
        let life = Lifetime { created, not_after };
        let sealer = self.sealer_of(secrecy_of(&opened.seal));
        sealer.seal(at, life, opened.head.as_bytes(), opened.body.as_bytes())
    }
}
