//! Where a store lies, and who else has it open.

use lacre::store::{OpenOptions, Store, StoreUrl};
use lacre::{Error, ErrorKind, Observer};
use pyo3::prelude::*;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where a cache is said to be: a text, which may be a reference, or a path, which is none.
#[derive(FromPyObject)]
pub(super) enum PlaceGiven {
    Text(String),
    Path(PathBuf),
}

/// The store URL that `given` means; by default the one in `LACRE_STORE`, or else of the user's own store.
pub(super) fn url(given: Option<PlaceGiven>) -> Result<StoreUrl, Error> {
    match given {
        None => StoreUrl::user(),
        Some(PlaceGiven::Text(text)) => StoreUrl::from_path_or_url(&text),
        Some(PlaceGiven::Path(path)) => StoreUrl::from_path(&path),
    }
}

/// Opens the store there.
pub(super) fn open(
    url: &StoreUrl,
    max_bytes: Option<u64>,
    observer: Arc<dyn Observer>,
) -> Result<Arc<dyn Store>, Error> {
    let options = OpenOptions::new().observer(observer);
    let options = match max_bytes {
        Some(bytes) => options.max_bytes(bytes),
        None => options,
    };
    let path = match url.path() {
        Some(path) if url.scheme() == "sqlite" => path,
        _ => return url.open_with(&options),
    };
    platform::ensure_only_ours(path)?;
    let store = url.open_with(&options)?;
    platform::is_ours(path);
    Ok(store)
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
