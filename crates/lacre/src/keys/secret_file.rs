//! A text file that only its owner may read. It is replaced as a whole: a reader sees the old text
//! or the new one, never half of either.

use crate::keys::{UpdateLock, as_text};
use crate::{Error, ErrorKind, config, files};
use lacre_seal::Keyring;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;
use zeroize::Zeroizing;

/// The result of creating a file. An existing file is left unchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Published {
    New,
    Existed,
}

#[derive(Clone, Debug)]
pub(super) struct SecretFile {
    path: PathBuf,
    /// The scheme of its reference, for the hint that names the command to create it.
    scheme: &'static str,
}

impl SecretFile {
    pub(super) fn at(path: PathBuf, scheme: &'static str) -> Self {
        Self { path, scheme }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn describe(&self) -> String {
        format!("{}:{}", self.scheme, self.path.display())
    }

    pub(super) fn read(&self) -> Result<Zeroizing<String>, Error> {
        let (file, length) = files::open_secret(&self.path).map_err(|refusal| {
            if refusal.is_absence() {
                return self
                    .refused("does not exist")
                    .with_hint(format!("lacre key new {}", self.describe()));
            }
            refusal.into_error(ErrorKind::KeyUnavailable)
        })?;
        let bytes = read_opened(file, length, Keyring::MAX_TEXT_LEN)
            .map_err(|error| self.refused("cannot be read").with_source(error))?
            .ok_or_else(|| self.refused("is longer than a keyring can be"))?;
        as_text(bytes).ok_or_else(|| {
            self.refused("is not a text file").with_hint("name the file that holds the keyring")
        })
    }

    /// Creates the file (0600). Creates a missing directory (0700).
    pub(super) fn publish_new(&self, text: &str) -> Result<Published, Error> {
        config::make_private(self.directory())?;
        let written = self.write_temporary(text).map_err(|error| self.unwritable(error))?;
        match written.persist_noclobber(&self.path) {
            Ok(_) => {}
            Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => {
                return Ok(Published::Existed);
            }
            Err(error) => return Err(self.unwritable(error.error)),
        }
        self.sync_directory().map_err(|error| self.unwritable(error))?;
        Ok(Published::New)
    }

    /// As [`publish_new`](Self::publish_new), but an existing file is an error.
    pub(super) fn create(&self, text: &str) -> Result<(), Error> {
        match self.publish_new(text)? {
            Published::New => Ok(()),
            Published::Existed => Err(super::already_exists(&self.path.display())),
        }
    }

    pub(super) fn replace(&self, text: &str) -> Result<(), Error> {
        let written = self.write_temporary(text).map_err(|error| self.unwritable(error))?;
        written.persist(&self.path).map_err(|error| self.unwritable(error.error))?;
        self.sync_directory().map_err(|error| self.unwritable(error))
    }

    /// Locks the directory, since every change replaces the file.
    pub(super) fn lock_for_update(&self) -> Result<UpdateLock, Error> {
        UpdateLock::acquire(self.directory()).map_err(|error| self.unwritable(error))
    }

    /// Writes a temporary file, which only its owner may read. It is removed unless it is renamed.
    fn write_temporary(&self, text: &str) -> io::Result<NamedTempFile> {
        let mut file = NamedTempFile::with_prefix_in(".keyring-", self.directory())?;
        files::restrict_to_owner(file.as_file())?;
        file.write_all(text.as_bytes())?;
        file.as_file().sync_all()?;
        Ok(file)
    }

    /// A rename survives a power failure once its directory is synced.
    fn sync_directory(&self) -> io::Result<()> {
        if cfg!(unix) { File::open(self.directory())?.sync_all() } else { Ok(()) }
    }

    fn directory(&self) -> &Path {
        self.path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
    }

    fn refused(&self, problem: &str) -> Error {
        Error::new(ErrorKind::KeyUnavailable, format!("the keyring {} {problem}", self.path.display()))
            .with_hint("name the file that holds the keyring, or restore it from a backup")
    }

    fn unwritable(&self, error: io::Error) -> Error {
        Error::new(ErrorKind::Io, format!("the keyring {} cannot be written: {error}", self.path.display()))
            .with_hint("check the directory's permissions and the space on its disk")
            .with_source(error)
    }
}

/// The content of a file of `length` bytes; `None`: it is longer than `max`.
pub(super) fn read_opened(mut file: File, length: u64, max: usize) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
    let Some(length) = usize::try_from(length).ok().filter(|length| *length <= max) else { return Ok(None) };
    // Allocated once: growing would leave parts of the keys in freed memory.
    let mut bytes = Zeroizing::new(vec![0; length]);
    file.read_exact(&mut bytes)?;
    Ok(Some(bytes))
}
