//! Where a store lies, and who else has it open.

use lacre::store::{Memory, Sqlite, Store};
use lacre::{Error, ErrorKind, Observer};
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub(super) enum Place {
    Memory,
    File(PathBuf),
}

impl Place {
    pub(super) fn open(
        &self,
        max_bytes: Option<u64>,
        observer: Arc<dyn Observer>,
    ) -> Result<Arc<dyn Store>, Error> {
        let Self::File(path) = self else {
            return Ok(match max_bytes {
                Some(bytes) => Arc::new(Memory::with_capacity(usize::try_from(bytes).unwrap_or(usize::MAX))?),
                None => Arc::new(Memory::new()?),
            });
        };
        platform::ensure_only_ours(path)?;
        let mut options = Sqlite::options().observer(observer);
        if let Some(bytes) = max_bytes {
            options = options.max_bytes(bytes);
        }
        let store = options.open(path)?;
        platform::is_ours(path);
        Ok(Arc::new(store))
    }
}

#[cfg(unix)]
mod platform {
    use super::*;
    use std::fs::{self, Metadata};
    use std::os::unix::fs::MetadataExt;
    use std::sync::{Mutex, PoisonError};

    /// The files that this half of the process has had open.
    static OURS: Mutex<Vec<(u64, u64)>> = Mutex::new(Vec::new());

    /// Refuses a file that another SQLite in this process has open, Python's `sqlite3`: whichever of the two closed it would take away the
    /// other's locks, and the file be damaged. Where the system does not say what is open, nothing is refused.
    pub(super) fn ensure_only_ours(path: &Path) -> Result<(), Error> {
        let Ok(file) = fs::metadata(path).map(|found| identity(&found)) else { return Ok(()) };
        if OURS.lock().unwrap_or_else(PoisonError::into_inner).contains(&file) {
            return Ok(());
        }
        let Ok(open) = fs::read_dir("/dev/fd") else { return Ok(()) };
        let mut open = open.filter_map(|entry| fs::metadata(entry.ok()?.path()).ok());
        if open.any(|found| found.is_file() && identity(&found) == file) {
            let message = format!("{}: something else in this process has it open", path.display());
            return Err(Error::new(ErrorKind::Config, message).with_hint(
                "give this cache a file of its own; those of requests-cache and of CachedSession are others",
            ));
        }
        Ok(())
    }

    pub(super) fn is_ours(path: &Path) {
        let Ok(found) = fs::metadata(path) else { return };
        let mut ours = OURS.lock().unwrap_or_else(PoisonError::into_inner);
        if !ours.contains(&identity(&found)) {
            ours.push(identity(&found));
        }
    }

    fn identity(found: &Metadata) -> (u64, u64) {
        (found.dev(), found.ino())
    }
}

#[cfg(not(unix))]
mod platform {
    use super::*;

    /// Locks belong to handles there, and nobody takes away another's.
    pub(super) fn ensure_only_ours(_: &Path) -> Result<(), Error> {
        Ok(())
    }

    pub(super) fn is_ours(_: &Path) {}
}
