//! Maps errors of SQLite to store errors.

use crate::store::on_disk::malformed_record;
use crate::{Error, StoreErrorKind};
use rusqlite::ErrorCode;
use std::borrow::Cow;

/// Converts the results of SQLite.
pub(super) trait ResultExt<T> {
    fn or_store_error(self) -> Result<T, Error>;
}

impl<T> ResultExt<T> for rusqlite::Result<T> {
    fn or_store_error(self) -> Result<T, Error> {
        self.map_err(store_error)
    }
}

pub(super) fn store_error(error: rusqlite::Error) -> Error {
    let code = match error.sqlite_error().map(|error| error.extended_code) {
        // The disk is full, so SQLite cannot create the `-shm` file, through which processes share
        // the log.
        Some(rusqlite::ffi::SQLITE_IOERR_SHMSIZE) => Some(ErrorCode::DiskFull),
        _ => error.sqlite_error_code(),
    };
    let (kind, message, hint) = match code {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            return locked("another process holds the store's lock").with_source(error);
        }
        Some(ErrorCode::DatabaseCorrupt) => (
            StoreErrorKind::Corrupt,
            "the store's file is damaged",
            "move the file away; a new one is made in its place",
        ),
        Some(ErrorCode::NotADatabase) => {
            return unusable("the file is not an SQLite database").with_source(error);
        }
        Some(ErrorCode::DiskFull) => (
            StoreErrorKind::Full,
            "there is no space left for the store",
            "free some space, or remove expired records",
        ),
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => (
            StoreErrorKind::ReadOnly,
            "the store can be read but not written",
            "check the file's and directory's permissions",
        ),
        Some(ErrorCode::CannotOpen) => {
            // Not `Unusable`: a good file cannot be opened either while too many files are open.
            (
                StoreErrorKind::Failed,
                "the store's file cannot be opened",
                "check the path, its permissions and the number of open files",
            )
        }
        Some(ErrorCode::TooBig) => {
            return malformed_record("is longer than the limit for records").with_source(error);
        }
        Some(_) => (StoreErrorKind::Failed, "the store failed", "check the disk, then the file"),
        // Without a code: a value of an unexpected type or size, or no row.
        None => return malformed_record("has an unexpected form").with_source(error),
    };
    Error::store(kind, message).with_hint(hint).with_source(error)
}

pub(super) fn locked(message: &'static str) -> Error {
    Error::store(StoreErrorKind::Locked, message).with_hint("wait for it to finish, or stop it")
}

pub(super) fn unusable(message: impl Into<Cow<'static, str>>) -> Error {
    Error::store(StoreErrorKind::Unusable, message).with_hint("choose another store, or move the file away")
}
