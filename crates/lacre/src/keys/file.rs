//! A keyring in a file that only its owner may read (docs/format.md §3).

use super::secret_file::{Published, SecretFile};
use super::{KeySource, UpdateLock, WritableKeySource};
use crate::{Error, Event, Observer};
use lacre_seal::Keyring;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// A file that holds a keyring, or one bare key.
///
/// On Unix it must be a regular file, not a symbolic link, that belongs to this user or to root,
/// and that nobody else may read or write. On other platforms, only its kind and size are checked.
#[derive(Clone, Debug)]
pub struct KeyFile {
    file: SecretFile,
}

impl KeyFile {
    /// The file at `path`, which need not exist yet.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { file: SecretFile::at(path.into(), "file") }
    }

    /// The path of the file.
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// Creates the file with a new key, if it is missing.
    pub(super) fn ensure(&self, observer: &dyn Observer) -> Result<(), Error> {
        // Checked first, so that an existing file works in a home directory that is not writable.
        if self.path().symlink_metadata().is_ok() {
            return Ok(());
        }
        if self.file.publish_new(&Keyring::generate()?.to_text())? == Published::New {
            observer.on_event(Event::KeyCreated { path: self.path() });
        }
        Ok(())
    }
}

impl KeySource for KeyFile {
    fn read(&self) -> Result<Zeroizing<String>, Error> {
        self.file.read()
    }

    fn describe(&self) -> String {
        self.file.describe()
    }

    fn file(&self) -> Option<&Path> {
        Some(self.path())
    }

    fn writable(&self) -> Option<&dyn WritableKeySource> {
        Some(self)
    }
}

/// A new file gets mode 0600. A missing directory is created with mode 0700.
impl WritableKeySource for KeyFile {
    fn create(&self, keyring: &Keyring) -> Result<(), Error> {
        self.file.create(&keyring.to_text())
    }

    fn replace(&self, keyring: &Keyring) -> Result<(), Error> {
        self.file.replace(&keyring.to_text())
    }

    fn lock_for_update(&self) -> Result<UpdateLock, Error> {
        self.file.lock_for_update()
    }
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ErrorKind, keys};
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
    fn created_keyring_is_loaded() {
        let directory = tempfile::tempdir().unwrap();
        let file = KeyFile::at(directory.path().join("made/on/the/way/keyring"));
        let ring = Keyring::generate().unwrap();
        file.create(&ring).unwrap();
        assert_eq!(file.load().unwrap().to_text(), ring.to_text());
        let (rotated, primary) = keys::update(&file, Keyring::rotate).unwrap();
        assert_eq!(rotated.primary(), primary);
        assert_eq!(file.load().unwrap().to_text(), rotated.to_text());
        let names: Vec<_> = fs::read_dir(file.path().parent().unwrap()).unwrap().collect();
        assert_eq!(names.len(), 1, "a temporary file is left");
    }

    #[test]
    fn concurrent_changes_are_all_kept() {
        let (_directory, file) = written(&Keyring::generate().unwrap().to_text(), 0o600);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| (0..4).for_each(|_| drop(keys::update(&file, Keyring::rotate).unwrap())));
            }
        });
        assert_eq!(file.load().unwrap().key_ids().count(), 1 + 8 * 4);
    }

    #[test]
    fn failed_change_leaves_the_file_unchanged() {
        let text = Keyring::generate().unwrap().to_text();
        let (_directory, file) = written(&text, 0o600);
        let refused = |ring: &mut Keyring| {
            let old = ring.primary();
            ring.rotate()?;
            ring.retire(old)?;
            ring.retire(old)
        };
        assert!(keys::update(&file, refused).is_err());
        assert_eq!(fs::read(file.path()).unwrap(), text.as_bytes());
    }

    #[test]
    fn create_leaves_an_existing_file_unchanged() {
        let (_directory, file) = written("precious", 0o600);
        let error = file.create(&Keyring::generate().unwrap()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert_eq!(fs::read(file.path()).unwrap(), b"precious");
    }

    #[test]
    fn file_open_to_others_is_refused_with_a_remedy() {
        let text = Keyring::generate().unwrap().to_text();
        for mode in [0o640, 0o604, 0o620, 0o602, 0o666] {
            let (_directory, file) = written(&text, mode);
            assert_eq!(refusal(&file).hint().unwrap(), format!("chmod 600 {}", file.path().display()));
        }
        let (_directory, file) = written(&text, 0o400);
        assert!(file.load().is_ok());
    }

    #[test]
    fn symbolic_link_is_refused() {
        let (directory, file) = written(&Keyring::generate().unwrap().to_text(), 0o600);
        let link = directory.path().join("link");
        symlink(file.path(), &link).unwrap();
        assert!(refusal(&KeyFile::at(link)).to_string().contains("symbolic link"));
    }

    #[test]
    fn special_file_is_refused_without_waiting() {
        let directory = tempfile::tempdir().unwrap();
        let pipe = directory.path().join("pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0)
            .unwrap();
        assert!(refusal(&KeyFile::at(pipe)).to_string().contains("not a regular file"));
        assert!(refusal(&KeyFile::at(directory.path())).to_string().contains("is a directory"));
    }

    #[test]
    fn missing_file_names_the_command_that_creates_it() {
        let directory = tempfile::tempdir().unwrap();
        let file = KeyFile::at(directory.path().join("not/yet/keyring"));
        assert_eq!(keys::update(&file, Keyring::rotate).unwrap_err().kind(), ErrorKind::KeyUnavailable);
        assert!(refusal(&file).hint().unwrap().starts_with("lacre key new file:"));
    }

    #[test]
    fn garbage_is_refused_and_never_shown() {
        let too_long = "#".repeat(Keyring::MAX_TEXT_LEN + 1);
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
