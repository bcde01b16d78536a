//! Maps errors of the file system to store errors.

use crate::store::on_disk::malformed_record;
use crate::{Error, StoreErrorKind};
use std::borrow::Cow;
use std::io;

/// Converts the results of file operations.
pub(super) trait ResultExt<T> {
    fn or_store_error(self) -> Result<T, Error>;
}

impl<T> ResultExt<T> for io::Result<T> {
    fn or_store_error(self) -> Result<T, Error> {
        self.map_err(store_error)
    }
}

pub(super) fn store_error(error: io::Error) -> Error {
    use io::ErrorKind as Kind;
    let (kind, message, hint) = match error.kind() {
        Kind::StorageFull | Kind::QuotaExceeded => (
            StoreErrorKind::Full,
            "there is no space left for the store",
            "free some space, or remove expired records",
        ),
        Kind::ReadOnlyFilesystem => (
            StoreErrorKind::ReadOnly,
            "the store is on a file system that is read-only",
            "choose another store",
        ),
        Kind::PermissionDenied => {
            return Error::store(
                StoreErrorKind::Denied,
                "permission denied: this user may not read or write all of the store",
            )
            .with_hint(
                "run as the owner of the store, or check the permissions of the directory and its files",
            );
        }
        _ if is_misplaced(&error) => {
            return malformed_record("is a link, or not a file of the store").with_source(error);
        }
        _ => (StoreErrorKind::Failed, "the store failed", "check the disk, then the directory"),
    };
    Error::store(kind, message).with_hint(hint).with_source(error)
}

/// Whether something of another kind is in the place of a file or directory of the store.
fn is_misplaced(error: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    matches!(error.kind(), Kind::NotADirectory | Kind::IsADirectory | Kind::InvalidData)
        || error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error())
}

pub(super) fn unusable(message: impl Into<Cow<'static, str>>) -> Error {
    Error::store(StoreErrorKind::Unusable, message)
        .with_hint("choose another store, or move the directory away")
}
