//! The argument `path` of a cache, and the opening of its store.

use lacre::store::{OpenOptions, Store, StoreUrl};
use lacre::{Error, ErrorKind, Observer};
use pyo3::prelude::*;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The argument `path`: a text, which may be a store URL, or a path object, which is always a file.
#[derive(FromPyObject)]
pub(super) enum StoreArgument {
    Text(String),
    Path(PathBuf),
}

/// The store URL of an argument; by default that of `LACRE_STORE`, else the user's own store.
pub(super) fn url(given: Option<StoreArgument>) -> Result<StoreUrl, Error> {
    match given {
        None => StoreUrl::user(),
        Some(StoreArgument::Text(text)) => StoreUrl::from_path_or_url(&text),
        Some(StoreArgument::Path(path)) => StoreUrl::from_path(&path),
    }
}

/// Opens the store of a URL.
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
    platform::ensure_not_open_twice(path)?;
    let store = url.open_with(&options)?;
    platform::remember(path);
    Ok(store)
}

#[cfg(unix)]
mod platform {
    use super::*;
    use std::fs::{self, Metadata};
    use std::os::unix::fs::MetadataExt;
    use std::sync::{Mutex, PoisonError};

    /// The files that lacre has opened in this process.
    static OPENED: Mutex<Vec<(u64, u64)>> = Mutex::new(Vec::new());

    /// Refuses a file that another SQLite library in this process, Python's `sqlite3`, has open.
    ///
    /// On Unix, closing a file releases all locks of the process on it, which could damage the
    /// file. If the system does not list open files, none is refused.
    pub(super) fn ensure_not_open_twice(path: &Path) -> Result<(), Error> {
        let Ok(file) = fs::metadata(path).map(|found| identity(&found)) else { return Ok(()) };
        if OPENED.lock().unwrap_or_else(PoisonError::into_inner).contains(&file) {
            return Ok(());
        }
        let Ok(open) = fs::read_dir("/dev/fd") else { return Ok(()) };
        let mut open = open.filter_map(|entry| fs::metadata(entry.ok()?.path()).ok());
        if open.any(|found| found.is_file() && identity(&found) == file) {
            let message = format!("{}: something else in this process has it open", path.display());
            return Err(Error::new(ErrorKind::Config, message)
                .with_hint("choose another file; CachedSession and requests-cache need files of their own"));
        }
        Ok(())
    }

    pub(super) fn remember(path: &Path) {
        let Ok(found) = fs::metadata(path) else { return };
        let mut opened = OPENED.lock().unwrap_or_else(PoisonError::into_inner);
        if !opened.contains(&identity(&found)) {
            opened.push(identity(&found));
        }
    }

    fn identity(found: &Metadata) -> (u64, u64) {
        (found.dev(), found.ino())
    }
}

#[cfg(not(unix))]
mod platform {
    use super::*;

    /// On Windows, locks belong to handles.
    pub(super) fn ensure_not_open_twice(_: &Path) -> Result<(), Error> {
        Ok(())
    }

    pub(super) fn remember(_: &Path) {}
}
