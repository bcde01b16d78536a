//! What keeps a store within its size and free of what has expired.

use super::error::ResultExt;
use super::transactions::Busy;
use super::{Sqlite, rows, statements};
use crate::store::Swept;
use crate::store::locks::Purpose;
use crate::store::on_disk::record_too_large;
use crate::{Error, StoreErrorKind};
use lacre_core::{Key, Timestamp};
use rusqlite::Transaction;

/// How many rows one transaction of a sweep takes, so that other writers get their turn.
const BATCH: usize = 500;

/// Takes everything away.
pub(super) const CLEAR: &str = "DELETE FROM slot; DELETE FROM chunk; DELETE FROM lease";

/// How many orphans make room at a time.
const FEW: usize = 32;

impl Sqlite {
    /// A write that adds: afterwards, orphans and then old records make room for what is more than the store may hold. `kept` stays.
    pub(super) async fn add<T: Send>(
        &self,
        kept: Option<&Key>,
        now: Timestamp,
        mut work: impl FnMut(&Transaction<'_>) -> Result<T, Error> + Send,
    ) -> Result<T, Error> {
        self.write(|transaction| {
            let done = work(transaction)?;
            let most = self.options.max_bytes;
            self.make_room(transaction, most, kept, now, usize::MAX)?;
            if statements::used_bytes(transaction)? > most {
                return Err(record_too_large());
            }
            Ok(done)
        })
        .await
    }

    /// Takes orphans and then up to `limit` old records away until the file holds no more than `most` bytes. What lies under `kept` stays.
    pub(super) fn make_room(
        &self,
        transaction: &Transaction<'_>,
        most: u64,
        kept: Option<&Key>,
        now: Timestamp,
        limit: usize,
    ) -> Result<Swept, Error> {
        let mut swept = Swept::default();
        let is_full = || Ok::<_, Error>(statements::used_bytes(transaction)? > most);
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

    /// Takes some orphans away, which only a process that was killed leaves behind.
    pub(super) fn drop_orphans(&self, transaction: &Transaction<'_>, now: Timestamp) -> Result<u64, Error> {
        if self.searched.lately(now) {
            return Ok(0);
        }
        let some = statements::delete_orphans(transaction, now, FEW)?;
        if some == 0 {
            self.searched.in_vain(now);
        }
        Ok(some as u64)
    }

    /// Brings everything from the log into the file and empties the log: what was removed is then in neither.
    pub(super) async fn checkpoint(&self) -> Result<(), Error> {
        while self.log.is_under_way() {
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

    pub(super) async fn trim_now(&self, most: u64, now: Timestamp) -> Result<Swept, Error> {
        let mut trimmed = Swept::default();
        while self.read(statements::used_bytes).await? > most {
            let batch =
                self.upkeep(|transaction| self.make_room(transaction, most, None, now, BATCH)).await?;
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
