//! The file of a store: checked, made where it is store_missing, and safe to open.

use super::Options;
use super::error;
use crate::clock::{Clock, SystemClock};
use crate::files::{self, Creation, Refusal};
use crate::store::on_disk::store_missing;
use crate::{Error, StoreErrorKind, config};
use std::ffi::OsString;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// The suffixes of files that SQLite keeps beside the main one.
pub(crate) const COMPANIONS: [&str; 3] = ["-wal", "-shm", "-journal"];

/// What may be done with the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    ReadWrite,
    /// No file is created beside it, either: see [`Frozen`].
    ReadOnly,
}

/// The state of a file that was opened for reading while no process had it open. SQLite reads it as
/// unchanging, since it would otherwise leave a log and a lock file beside it. When the state
/// changes, the file is reopened.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Frozen {
    length: u64,
    modified: Option<SystemTime>,
    logged: bool,
}

impl Frozen {
    pub(super) fn of(place: &Place) -> Self {
        let found = fs::symlink_metadata(&place.file).ok();
        Self {
            length: found.as_ref().map_or(0, fs::Metadata::len),
            modified: found.and_then(|found| found.modified().ok()),
            logged: place.has_log(),
        }
    }

    /// Whether the file was opened as unchanging.
    pub(super) fn is_frozen(&self) -> bool {
        !self.logged
    }
}

/// A file that is safe to open.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) file: PathBuf,
    pub(super) access: Access,
}

impl Place {
    /// Checks the directory and the file, and creates what is missing.
    pub(super) fn prepare(path: &Path, options: &Options) -> Result<Self, Error> {
        let Some(name) = path.file_name() else {
            return Err(error::unusable("the store's path does not end in a file name"));
        };
        let parent = path.parent().unwrap_or(Path::new(""));
        let directory = if options.reads_only {
            files::existing_directory(parent).map_err(Refusal::into_store_error)?.ok_or_else(store_missing)?
        } else {
            let (directory, made) = files::private_directory(parent).map_err(Refusal::into_store_error)?;
            if made == Creation::Created {
                config::mark_cache_directory(&directory);
            }
            directory
        };
        let file = directory.join(name);
        let check = if options.reads_only { files::private_file } else { files::private_file_to_write };
        for companion in COMPANIONS {
            check(&beside(&file, companion)).map_err(Refusal::into_store_error)?;
        }
        if check(&file).map_err(Refusal::into_store_error)?.is_none() {
            if options.reads_only {
                return Err(store_missing());
            }
            match files::create_private(&file) {
                Ok(_) => {}
                // Another process created it meanwhile; its file must be as safe.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    check(&file).map_err(Refusal::into_store_error)?;
                }
                Err(error) => return Err(cannot_create(error)),
            }
        }
        let access = access(&file, options)?;
        Ok(Self { file, access })
    }

    /// A number that changes when other processes write the file or its log, or copy the log into
    /// the file.
    pub(super) fn activity(&self) -> Option<u64> {
        let mut hasher = DefaultHasher::new();
        for path in [&self.file, &beside(&self.file, "-wal")] {
            let found = fs::symlink_metadata(path).ok()?;
            (found.len(), found.modified().ok()?).hash(&mut hasher);
        }
        Some(hasher.finish())
    }

    /// Whether there is a log: another process has the file open, or was killed while it had.
    pub(super) fn has_log(&self) -> bool {
        beside(&self.file, "-wal").exists()
    }

    /// Renames the file and its companions. Nothing is deleted.
    pub(super) fn set_aside(&self) -> Result<PathBuf, Error> {
        let to = beside(&self.file, &format!(".set-aside-{}", SystemClock.now().as_millis()));
        let rename = |from: &Path, to: &Path| match fs::rename(from, to) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(error::unusable("the unusable store cannot be set aside").with_source(error))
            }
            _ => Ok(()),
        };
        for companion in COMPANIONS {
            rename(&beside(&self.file, companion), &beside(&to, companion))?;
        }
        rename(&self.file, &to)?;
        Ok(to)
    }
}

fn access(file: &Path, options: &Options) -> Result<Access, Error> {
    use io::ErrorKind::{PermissionDenied, ReadOnlyFilesystem};
    if !options.reads_only {
        // SQLite creates files in the directory.
        let directory = file.parent().unwrap_or(Path::new("."));
        match files::check_access(file, files::Access::ReadAndWrite)
            .and_then(|()| files::check_can_create(directory))
        {
            Ok(()) => return Ok(Access::ReadWrite),
            Err(error) if matches!(error.kind(), PermissionDenied | ReadOnlyFilesystem) => {}
            Err(error) => return Err(cannot_open(error)),
        }
    }
    files::check_access(file, files::Access::Read).map_err(cannot_open)?;
    Ok(Access::ReadOnly)
}

fn cannot_open(error: io::Error) -> Error {
    if error.kind() == io::ErrorKind::PermissionDenied {
        return Error::store(StoreErrorKind::Denied, "permission denied: this user may not read the store")
            .with_hint("run as the user it belongs to, or choose another store");
    }
    error::unusable("the store's file cannot be opened").with_source(error)
}

fn cannot_create(error: io::Error) -> Error {
    let kind = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StoreErrorKind::Full,
        io::ErrorKind::ReadOnlyFilesystem => StoreErrorKind::ReadOnly,
        io::ErrorKind::PermissionDenied => {
            return Error::store(
                StoreErrorKind::Denied,
                "permission denied: this user may not create the store's file",
            )
            .with_hint("choose another place, or run as the user that the directory belongs to");
        }
        _ => StoreErrorKind::Unusable,
    };
    Error::store(kind, "the store's file cannot be created")
        .with_hint("check the directory and its free space, or choose another place")
        .with_source(error)
}

pub(crate) fn beside(file: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(file);
    name.push(suffix);
    name.into()
}
