//! Keeps a store within its size limit and removes expired records.

use super::error::ResultExt;
use super::transactions::Busy;
use super::{Sqlite, rows, statements};
use crate::store::Swept;
use crate::store::locks::Purpose;
use crate::store::on_disk::record_too_large;
use crate::{Error, StoreErrorKind};
use lacre_core::{Key, Timestamp};
use rusqlite::Transaction;

/// The number of rows that one transaction of a sweep removes, so that other writers get their
/// turn.
const BATCH: usize = 500;

/// Removes everything.
pub(super) const CLEAR: &str = "DELETE FROM slot; DELETE FROM chunk; DELETE FROM lease";

/// The number of orphans that one step of an eviction removes.
const ORPHANS_PER_STEP: usize = 32;

impl Sqlite {
    /// Runs a write that adds data. Afterwards, evicts orphans and then old records until the store
    /// is within its limit. `kept` is not evicted.
    pub(super) async fn add<T: Send>(
        &self,
        kept: Option<&Key>,
        now: Timestamp,
        mut work: impl FnMut(&Transaction<'_>) -> Result<T, Error> + Send,
    ) -> Result<T, Error> {
        self.write(|transaction| {
            let done = work(transaction)?;
            let max_bytes = self.options.max_bytes;
            self.evict(transaction, max_bytes, kept, now, usize::MAX)?;
            if statements::used_bytes(transaction)? > max_bytes {
                return Err(record_too_large());
            }
            Ok(done)
        })
        .await
    }

    /// Removes orphans and then up to `limit` old records until the file holds at most `max_bytes`.
    /// `kept` stays.
    pub(super) fn evict(
        &self,
        transaction: &Transaction<'_>,
        max_bytes: u64,
        kept: Option<&Key>,
        now: Timestamp,
        limit: usize,
    ) -> Result<Swept, Error> {
        let mut swept = Swept::default();
        let is_full = || Ok::<_, Error>(statements::used_bytes(transaction)? > max_bytes);
        while is_full()? {
            let orphans = self.drop_orphans(transaction, now)?;
            swept.chunks += orphans;
            if orphans == 0 {
                break;
            }
        }
        for _ in 0..limit {
            if !is_full()? {
                break;
            }
            let sample = statements::sample(transaction, kept, now)?;
            let Some(victim) = self.recent.victims(&sample).into_iter().next() else { break };
            let chunks = statements::delete(transaction, rows::row_id(&victim))?.unwrap_or(0);
            swept += Swept { records: 1, chunks };
        }
        Ok(swept)
    }

    /// Removes some orphans, which only a killed process leaves behind.
    pub(super) fn drop_orphans(&self, transaction: &Transaction<'_>, now: Timestamp) -> Result<u64, Error> {
        if self.searched.is_too_early(now) {
            return Ok(0);
        }
        let some = statements::delete_orphans(transaction, now, ORPHANS_PER_STEP)?;
        if some == 0 {
            self.searched.note_no_orphans(now);
        }
        Ok(some as u64)
    }

    /// Copies the whole log into the file and empties the log, so that removed data is in neither.
    pub(super) async fn checkpoint(&self) -> Result<(), Error> {
        while self.log.is_running() {
            self.locks.nap().await;
        }
        let attempt = || {
            let _busy = Busy::begin(&self.busy);
            let busy = self.with_writer(|connection| {
                connection
                    .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, bool>(0))
                    .or_store_error()
            })?;
            if busy {
                return Err(Error::store(
                    StoreErrorKind::Locked,
                    "another process kept the store's log in use",
                )
                .with_hint("close the store again when the other process is done"));
            }
            Ok(())
        };
        self.locks.wait(Purpose::Upkeep, || None, attempt).await
    }

    pub(super) async fn sweep_now(&self, now: Timestamp) -> Result<Swept, Error> {
        let mut swept = Swept::default();
        self.upkeep(|transaction| statements::delete_leases(transaction, now, BATCH)).await?;
        let mut from = Some(i64::MIN);
        while let Some(id) = from {
            let (next, batch) = self
                .upkeep(|transaction| {
                    let expired = statements::expired(transaction, id, now, BATCH)?;
                    let mut batch = Swept { records: expired.len() as u64, chunks: 0 };
                    for id in &expired {
                        batch.chunks += statements::delete(transaction, *id)?.unwrap_or(0);
                    }
                    let last = expired.last().filter(|_| expired.len() == BATCH);
                    Ok((last.and_then(|last| last.checked_add(1)), batch))
                })
                .await?;
            swept += batch;
            from = next;
        }
        loop {
            let orphans =
                self.upkeep(|transaction| statements::delete_orphans(transaction, now, BATCH)).await?;
            swept.chunks += orphans as u64;
            if orphans < BATCH {
                return Ok(swept);
            }
        }
    }

    pub(super) async fn upkeep<T: Send>(
        &self,
        work: impl FnMut(&Transaction<'_>) -> Result<T, Error> + Send,
    ) -> Result<T, Error> {
        self.write_for(Purpose::Upkeep, work).await
    }

    pub(super) async fn trim_now(&self, max_bytes: u64, now: Timestamp) -> Result<Swept, Error> {
        let mut trimmed = Swept::default();
        while self.read(statements::used_bytes).await? > max_bytes {
            let batch =
                self.upkeep(|transaction| self.evict(transaction, max_bytes, None, now, BATCH)).await?;
            if batch == Swept::default() {
                break;
            }
            trimmed += batch;
        }
        Ok(trimmed)
    }

    pub(super) async fn clear_now(&self) -> Result<(), Error> {
        self.upkeep(|transaction| transaction.execute_batch(CLEAR).or_store_error()).await?;
        let vacuum = || {
            let _busy = Busy::begin(&self.busy);
            self.with_writer(|connection| connection.execute_batch("VACUUM").or_store_error())
        };
        self.locks.wait(Purpose::Upkeep, || None, vacuum).await?;
        self.checkpoint().await
    }
}
