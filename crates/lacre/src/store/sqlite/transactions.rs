//! Reads and writes: which connection they use, and how they wait for other threads and processes.

use super::Sqlite;
use super::connection;
use super::error::{self, ResultExt};
use super::place::{Access, Frozen};
use crate::Error;
use crate::clock::MonotonicTime;
use crate::store::locks::{MAX_WAIT, Purpose};
use crate::store::read_only;
use rusqlite::{Connection, Transaction, TransactionBehavior};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{MutexGuard, PoisonError, TryLockError};

/// The number of idle connections kept for readers.
const POOL: usize = 16;

impl Sqlite {
    /// Reads on the writing connection if it is idle, which has its own writes in memory. A reading
    /// connection drops its page cache whenever another connection writes.
    pub(super) async fn read<T>(
        &self,
        mut work: impl FnMut(&Connection) -> Result<T, Error> + Send,
    ) -> Result<T, Error> {
        self.locks.wait(Purpose::Read, || None, || self.read_now(&mut work)).await
    }

    /// Reads on a connection of its own, for long reads that must not delay writes.
    pub(super) async fn read_beside<T>(
        &self,
        mut work: impl FnMut(&Connection) -> Result<T, Error> + Send,
    ) -> Result<T, Error> {
        self.locks.wait(Purpose::Read, || None, || self.read_beside_now(&mut work)).await
    }

    pub(super) fn read_now<T>(
        &self,
        work: &mut impl FnMut(&Connection) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.thaw()?;
        let main = match self.main.try_lock() {
            Ok(main) => main,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return self.read_beside_now(work),
        };
        connection::accept_records_only(&main)?;
        work(&main)
    }

    pub(super) fn read_beside_now<T>(
        &self,
        work: &mut impl FnMut(&Connection) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.thaw()?;
        let idle = || self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = idle().pop();
        let connection = match kept {
            Some(connection) => connection,
            None => connection::connect_reader(&self.place, &self.options)?,
        };
        let result = work(&connection);
        let mut idle = idle();
        if idle.len() < POOL {
            idle.push(connection);
        }
        result
    }

    /// Reopens a file that was opened as unchanging and has been opened or written by another
    /// process since. Returns how often it was reopened.
    pub(super) fn thaw(&self) -> Result<u64, Error> {
        let Some(frozen) = &self.frozen else { return Ok(0) };
        let mut frozen = frozen.lock().unwrap_or_else(PoisonError::into_inner);
        if frozen.0.is_frozen() {
            let now = Frozen::of(&self.place);
            if frozen.0 != now {
                let connection = connection::connect(&self.place, &self.options)?;
                *self.main.lock().unwrap_or_else(PoisonError::into_inner) = connection;
                self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
                *frozen = (now, frozen.1 + 1);
            }
        }
        Ok(frozen.1)
    }

    pub(super) fn with_writer<T>(
        &self,
        work: impl FnOnce(&mut Connection) -> Result<T, Error>,
    ) -> Result<T, Error> {
        if self.place.access != Access::ReadWrite {
            return Err(read_only());
        }
        let mut main = self.main()?;
        connection::accept_everything(&main)?;
        work(&mut main)
    }

    /// The writing connection. Other threads of this process release it quickly, except during a
    /// long operation.
    pub(super) fn main(&self) -> Result<MutexGuard<'_, Connection>, Error> {
        // A panic rolled its transaction back, so the connection is still good.
        if !self.busy.load(Ordering::Acquire) {
            return Ok(self.main.lock().unwrap_or_else(PoisonError::into_inner));
        }
        match self.main.try_lock() {
            Ok(main) => Ok(main),
            Err(TryLockError::Poisoned(poisoned)) => Ok(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => Err(error::locked("the store is busy with another operation")),
        }
    }

    pub(super) async fn write<T: Send>(
        &self,
        work: impl FnMut(&Transaction<'_>) -> Result<T, Error> + Send,
    ) -> Result<T, Error> {
        self.write_for(Purpose::Write, work).await
    }

    pub(super) async fn write_for<T: Send>(
        &self,
        purpose: Purpose,
        mut work: impl FnMut(&Transaction<'_>) -> Result<T, Error> + Send,
    ) -> Result<T, Error> {
        let attempt = || {
            self.with_writer(|connection| {
                let transaction =
                    connection.transaction_with_behavior(TransactionBehavior::Immediate).or_store_error()?;
                let done = work(&transaction)?;
                transaction.commit().or_store_error()?;
                Ok(done)
            })
        };
        let done = self.locks.wait(purpose, || self.place.activity(), attempt).await?;
        let begun = MonotonicTime::now();
        // Waits for the disk if it does not keep up.
        while !self.log.checkpoint_if_long(&self.place, &self.options) && begun.elapsed() < MAX_WAIT {
            self.locks.nap().await;
        }
        Ok(done)
    }
}

/// Marks `main` as running a long operation until it is dropped.
pub(super) struct Busy<'a>(&'a AtomicBool);

impl<'a> Busy<'a> {
    pub(super) fn begin(busy: &'a AtomicBool) -> Self {
        busy.store(true, Ordering::Release);
        Self(busy)
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}
