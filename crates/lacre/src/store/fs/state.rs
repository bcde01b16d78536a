//! The file `state`: the lock of the writers, the number of writes, and the bytes in use
//! (docs/format.md §12).
//!
//! The number of writes is odd while a write is in progress. After a writer was killed it stays
//! odd, so that no copy of the content is taken for current.

use super::error::{self, ResultExt};
use crate::{Error, StoreErrorKind};
use std::fs::{File, TryLockError};
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::{Mutex, MutexGuard, PoisonError};

pub(super) struct State(Mutex<Inner>);

struct Inner {
    file: File,
    /// The number of writes by this process.
    own: u64,
}

/// A write in progress.
pub(super) struct Change {
    bytes: u64,
}

/// The disk space of a file of `length` bytes: file systems allocate blocks.
pub(super) const fn disk_space(length: u64) -> u64 {
    const BLOCK: u64 = 4096;
    length.saturating_add(BLOCK - 1) / BLOCK * BLOCK
}

impl Change {
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn add(&mut self, length: u64) {
        self.bytes = self.bytes.saturating_add(disk_space(length));
    }

    pub(super) fn take(&mut self, length: u64) {
        self.bytes = self.bytes.saturating_sub(disk_space(length));
    }

    /// Corrects the count: `counted` bytes were found where `before` were expected.
    pub(super) fn recount(&mut self, before: u64, counted: u64) {
        self.bytes = counted.saturating_add(self.bytes).saturating_sub(before);
    }
}

impl State {
    pub(super) const NAME: &str = "state";
    pub(super) const EMPTY: [u8; 16] = [0; 16];

    pub(super) fn of(file: File) -> Self {
        Self(Mutex::new(Inner { file, own: 0 }))
    }

    /// Runs `work` under the lock of the writers. [`StoreErrorKind::Locked`], without a change, if
    /// another process has it.
    pub(super) fn change<T>(&self, work: impl FnOnce(&mut Change) -> Result<T, Error>) -> Result<T, Error> {
        self.with_lock(|inner| {
            let (writes, bytes) = inner.read()?;
            let during = writes | 1;
            inner.write(during, bytes)?;
            let mut change = Change { bytes };
            let done = work(&mut change);
            let after = during.wrapping_add(1);
            inner.write(after, change.bytes)?;
            inner.own = inner.own.wrapping_add(after.wrapping_sub(writes));
            done
        })
    }

    /// The same for `work` that changes no record.
    pub(super) fn locked<T>(&self, work: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
        self.with_lock(|_| work())
    }

    /// The number of writes by all processes.
    pub(super) fn turns(&self) -> Option<u64> {
        Some(self.0.try_lock().ok()?.read().ok()?.0)
    }

    /// The number of writes by other processes; `None`: a write is in progress.
    pub(super) fn writes_of_others(&self) -> Option<u64> {
        let inner = self.0.try_lock().ok()?;
        let (writes, _) = inner.read().ok()?;
        (writes % 2 == 0).then(|| writes.wrapping_sub(inner.own))
    }

    pub(super) fn bytes(&self) -> Result<u64, Error> {
        Ok(self.inner().read()?.1)
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // After a panic the count stays odd, as if the process had been killed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with_lock<T>(&self, work: impl FnOnce(&mut Inner) -> Result<T, Error>) -> Result<T, Error> {
        let mut inner = self.inner();
        match inner.file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(Error::store(StoreErrorKind::Locked, "another process holds the store's lock")
                    .with_hint("wait for it to finish, or stop it"));
            }
            Err(TryLockError::Error(error)) => return Err(error::store_error(error)),
        }
        let done = work(&mut inner);
        inner.file.unlock().or_store_error()?;
        done
    }
}

impl Inner {
    /// The number of writes, and the bytes in use.
    fn read(&self) -> Result<(u64, u64), Error> {
        let mut bytes = State::EMPTY;
        match self.file.read_exact_at(&mut bytes, 0) {
            // The process that created the file was killed before it wrote to it.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {}
            read => read.or_store_error()?,
        }
        let number = u128::from_be_bytes(bytes);
        Ok(((number >> 64) as u64, number as u64))
    }

    fn write(&self, writes: u64, bytes: u64) -> Result<(), Error> {
        let number = u128::from(writes) << 64 | u128::from(bytes);
        self.file.write_all_at(&number.to_be_bytes(), 0).or_store_error()
    }
}
