//! A keyring in a file that only its owner may read (docs/format.md §3). Written whole or not at all: a reader sees the old
//! keyring or the new one, never half of either.

use super::KeySource;
use crate::{Error, ErrorKind, Event, Observer, config, files};
use lacre_seal::{Fault, Keyring};
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;
use zeroize::Zeroizing;

/// Bytes of a keyring's text, at most.
const MOST: u64 = 64 << 10;

/// A file that holds a keyring.
///
/// On Unix it must be a regular file, not a symbolic link, that belongs to this user or to root and that nobody else may read
/// or write. Elsewhere, only its kind and size are checked.
#[derive(Clone, Debug)]
pub struct KeyFile {
    path: PathBuf,
}

impl KeyFile {
    /// The file at `path`, which need not exist yet.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes `keyring` to a new file (0600), in a directory that is made (0700) where it is missing.
    ///
    /// # Errors
    /// [`Config`](ErrorKind::Config): there is a file already, which is left as it is. [`Io`](ErrorKind::Io): it cannot be written.
    pub fn create(&self, keyring: &Keyring) -> Result<(), Error> {
        if self.publish_new(keyring)? {
            return Ok(());
        }
        let message = format!("{} exists already and was left as it is", self.path.display());
        Err(Error::new(ErrorKind::Config, message).with_hint("name another file, or rotate this one's keys"))
    }

    /// Loads the keyring, applies `change` to it, and writes what became of it in place of what was there, at once. On Unix, changes
    /// wait for each other, so that none is lost to another process.
    ///
    /// # Errors
    /// As [`load`](KeySource::load), what `change` says, and [`Io`](ErrorKind::Io): it cannot be written. The file is as it was then.
    pub fn update<T>(
        &self,
        change: impl FnOnce(&mut Keyring) -> Result<T, Fault>,
    ) -> Result<(Keyring, T), Error> {
        let _turn = self.wait_for_turn()?;
        let mut keyring = self.load()?;
        let changed = change(&mut keyring)?;
        let written = self.write_aside(&keyring).map_err(|error| self.unwritable(error))?;
        written.persist(&self.path).map_err(|error| self.unwritable(error.error))?;
        self.settle().map_err(|error| self.unwritable(error))?;
        Ok((keyring, changed))
    }

    /// The file is replaced by every change, so it is the directory that is locked, for as long as the result lives.
    fn wait_for_turn(&self) -> Result<Option<File>, Error> {
        if !cfg!(unix) {
            return Ok(None);
        }
        match File::open(self.directory()).and_then(|directory| directory.lock().map(|()| directory)) {
            Ok(locked) => Ok(Some(locked)),
            // Loading says it better.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(self.unwritable(error)),
        }
    }

    /// Makes the file, with a fresh key, where there is none.
    pub(super) fn ensure(&self, observer: &dyn Observer) -> Result<(), Error> {
        // Asked first, so that a home that cannot be written to is no trouble once the file is there.
        if self.path.symlink_metadata().is_ok() {
            return Ok(());
        }
        if self.publish_new(&Keyring::generate()?)? {
            observer.notice(Event::KeyMade { at: &self.path });
        }
        Ok(())
    }

    /// `false`: somebody else's file is there.
    fn publish_new(&self, keyring: &Keyring) -> Result<bool, Error> {
        config::make_private(self.directory())?;
        let written = self.write_aside(keyring).map_err(|error| self.unwritable(error))?;
        match written.persist_noclobber(&self.path) {
            Ok(_) => {}
            Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => return Ok(false),
            Err(error) => return Err(self.unwritable(error.error)),
        }
        self.settle().map_err(|error| self.unwritable(error))?;
        Ok(true)
    }

    /// In a file of another name, which only its owner may read and which is gone unless it is renamed.
    fn write_aside(&self, keyring: &Keyring) -> io::Result<NamedTempFile> {
        let mut file = NamedTempFile::with_prefix_in(".keyring-", self.directory())?;
        file.write_all(keyring.to_text().as_bytes())?;
        file.as_file().sync_all()?;
        Ok(file)
    }

    /// A rename is safe from a power cut once its directory is.
    fn settle(&self) -> io::Result<()> {
        if cfg!(unix) { File::open(self.directory())?.sync_all() } else { Ok(()) }
    }

    fn directory(&self) -> &Path {
        self.path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
    }

    fn read(&self) -> Result<Zeroizing<Vec<u8>>, Error> {
        let (mut file, length) = files::open_secret(&self.path).map_err(|refusal| {
            if refusal.is_absence() {
                return self
                    .refused("does not exist")
                    .with_hint(format!("lacre key new {}", self.describe()));
            }
            refusal.into_error(ErrorKind::KeyUnavailable)
        })?;
        if length > MOST {
            return Err(self.refused("is longer than a keyring can be"));
        }
        // As long as it will ever be: growing would leave parts of the keys in freed memory.
        let mut text = Zeroizing::new(vec![0; usize::try_from(length).unwrap_or(0)]);
        file.read_exact(&mut text).map_err(|error| self.refused("cannot be read").with_source(error))?;
        Ok(text)
    }

    fn refused(&self, why: &str) -> Error {
        Error::new(ErrorKind::KeyUnavailable, format!("the keyring {} {why}", self.path.display()))
            .with_hint("name the file that holds the keyring, or restore it from a backup")
    }

    fn unwritable(&self, error: io::Error) -> Error {
        Error::new(ErrorKind::Io, format!("the keyring {} cannot be written: {error}", self.path.display()))
            .with_hint("check the directory's permissions and the space on its disk")
            .with_source(error)
    }
}

impl KeySource for KeyFile {
    fn load(&self) -> Result<Keyring, Error> {
        let bytes = self.read()?;
        let text = std::str::from_utf8(&bytes).map_err(|_| {
            self.refused("is not a text file").with_hint("name the file that holds the keyring")
        })?;
        Keyring::parse(text)
            .map_err(|fault| self.refused(&format!("is unusable: {fault}")).with_source(fault))
    }

    fn describe(&self) -> String {
        format!("file:{}", self.path.display())
    }

    fn file(&self) -> Option<&Path> {
        Some(&self.path)
    }
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use tempfile::TempDir;

    fn written(text: &str, mode: u32) -> (TempDir, KeyFile) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("keyring");
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
        (directory, KeyFile::at(path))
    }

    fn refusal(file: &KeyFile) -> Error {
        let error = file.load().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::KeyUnavailable);
        assert!(error.to_string().contains(file.path().to_str().unwrap()), "{error} names no file");
        error
    }

    #[test]
    fn what_was_created_is_loaded() {
        let directory = tempfile::tempdir().unwrap();
        let file = KeyFile::at(directory.path().join("made/on/the/way/keyring"));
        let ring = Keyring::generate().unwrap();
        file.create(&ring).unwrap();
        assert_eq!(file.load().unwrap().to_text(), ring.to_text());
        let (rotated, primary) = file.update(Keyring::rotate).unwrap();
        assert_eq!(rotated.primary(), primary);
        assert_eq!(file.load().unwrap().to_text(), rotated.to_text());
        let names: Vec<_> = fs::read_dir(file.directory()).unwrap().collect();
        assert_eq!(names.len(), 1, "a temporary file is left");
    }

    #[test]
    fn changes_at_the_same_time_are_all_kept() {
        let (_directory, file) = written(&Keyring::generate().unwrap().to_text(), 0o600);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| (0..4).for_each(|_| drop(file.update(Keyring::rotate).unwrap())));
            }
        });
        assert_eq!(file.load().unwrap().key_ids().count(), 1 + 8 * 4);
    }

    #[test]
    fn a_change_that_fails_leaves_the_file_as_it_was() {
        let text = Keyring::generate().unwrap().to_text();
        let (_directory, file) = written(&text, 0o600);
        let refused = |ring: &mut Keyring| {
            let old = ring.primary();
            ring.rotate()?;
            ring.retire(old)?;
            ring.retire(old)
        };
        assert!(file.update(refused).is_err());
        assert_eq!(fs::read(file.path()).unwrap(), text.as_bytes());
    }

    #[test]
    fn creating_leaves_what_is_there() {
        let (_directory, file) = written("precious", 0o600);
        let error = file.create(&Keyring::generate().unwrap()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert_eq!(fs::read(file.path()).unwrap(), b"precious");
    }

    #[test]
    fn a_file_that_others_may_touch_is_refused_with_its_remedy() {
        let text = Keyring::generate().unwrap().to_text();
        for mode in [0o640, 0o604, 0o620, 0o602, 0o666] {
            let (_directory, file) = written(&text, mode);
            assert_eq!(refusal(&file).hint().unwrap(), format!("chmod 600 {}", file.path().display()));
        }
        let (_directory, file) = written(&text, 0o400);
        assert!(file.load().is_ok());
    }

    #[test]
    fn a_symbolic_link_is_refused() {
        let (directory, file) = written(&Keyring::generate().unwrap().to_text(), 0o600);
        let link = directory.path().join("link");
        symlink(file.path(), &link).unwrap();
        assert!(refusal(&KeyFile::at(link)).to_string().contains("symbolic link"));
    }

    #[test]
    fn what_is_no_regular_file_is_refused_without_waiting() {
        let directory = tempfile::tempdir().unwrap();
        let pipe = directory.path().join("pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0)
            .unwrap();
        assert!(refusal(&KeyFile::at(pipe)).to_string().contains("not a regular file"));
        assert!(refusal(&KeyFile::at(directory.path())).to_string().contains("is a directory"));
    }

    #[test]
    fn a_missing_file_says_how_to_make_one() {
        let directory = tempfile::tempdir().unwrap();
        let file = KeyFile::at(directory.path().join("not/yet/keyring"));
        assert_eq!(file.update(Keyring::rotate).unwrap_err().kind(), ErrorKind::KeyUnavailable);
        assert!(refusal(&file).hint().unwrap().starts_with("lacre key new file:"));
    }

    #[test]
    fn garbage_is_refused_and_never_shown() {
        let too_long = "#".repeat(usize::try_from(MOST).unwrap() + 1);
        for text in ["", "hunter2", "lacre-keyring-v1\nprimary hunter2\n", "lacre-keyring-v2\n", &too_long] {
            let (_directory, file) = written(text, 0o600);
            let error = refusal(&file);
            assert!(!format!("{error:?}").contains("hunter2"));
        }
        let (_directory, file) = written("", 0o600);
        fs::write(file.path(), b"\xff\xfe").unwrap();
        assert!(refusal(&file).to_string().contains("not a text file"));
    }
}
