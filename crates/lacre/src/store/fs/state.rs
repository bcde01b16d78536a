//! The file `state`: the lock that writers take in turn, how often the store was written, and how many bytes it holds (docs/format.md §12).
//!
//! The number of writes is odd while one is under way, so that a copy of the store's content is never taken for current while, or after,
//! a writer was killed half-way.

use super::error::{self, ResultExt};
use crate::{Error, StoreErrorKind};
use std::fs::{File, TryLockError};
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::{Mutex, MutexGuard, PoisonError};

pub(super) struct State(Mutex<Inner>);

struct Inner {
    file: File,
    /// How many of the writes were ours.
    own: u64,
}

/// A write that is under way.
pub(super) struct Change {
    bytes: u64,
}

/// How much room a file of `length` bytes takes: file systems give it in blocks.
pub(super) const fn room(length: u64) -> u64 {
    const BLOCK: u64 = 4096;
    length.saturating_add(BLOCK - 1) / BLOCK * BLOCK
}

impl Change {
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn add(&mut self, length: u64) {
        self.bytes = self.bytes.saturating_add(room(length));
    }

    pub(super) fn take(&mut self, length: u64) {
        self.bytes = self.bytes.saturating_sub(room(length));
    }

    /// Corrects the count: `before` it, `counted` bytes were found.
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

    /// Runs `work` while nobody else writes; [`StoreErrorKind::Locked`], and nothing is done, where somebody does.
    pub(super) fn change<T>(&self, work: impl FnOnce(&mut Change) -> Result<T, Error>) -> Result<T, Error> {
        self.alone(|inner| {
            let (writes, bytes) = inner.read()?;
            let under_way = writes | 1;
            inner.write(under_way, bytes)?;
            let mut change = Change { bytes };
            let done = work(&mut change);
            let after = under_way.wrapping_add(1);
            inner.write(after, change.bytes)?;
            inner.own = inner.own.wrapping_add(after.wrapping_sub(writes));
            done
        })
    }

    /// The same for `work` that writes nothing that anybody keeps copies of.
    pub(super) fn locked<T>(&self, work: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
        self.alone(|_| work())
    }

    /// How often anybody has written.
    pub(super) fn turns(&self) -> Option<u64> {
        Some(self.0.try_lock().ok()?.read().ok()?.0)
    }

    /// How often somebody else has written; `None`: a write is under way.
    pub(super) fn writes_of_others(&self) -> Option<u64> {
        let inner = self.0.try_lock().ok()?;
        let (writes, _) = inner.read().ok()?;
        (writes % 2 == 0).then(|| writes.wrapping_sub(inner.own))
    }

    pub(super) fn bytes(&self) -> Result<u64, Error> {
        Ok(self.inner().read()?.1)
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // A panic left the count odd, as if the process had been killed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn alone<T>(&self, work: impl FnOnce(&mut Inner) -> Result<T, Error>) -> Result<T, Error> {
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
    /// The number of writes, and of bytes.
    fn read(&self) -> Result<(u64, u64), Error> {
        let mut bytes = State::EMPTY;
        match self.file.read_exact_at(&mut bytes, 0) {
            // Whoever made the file was killed before it was written.
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
