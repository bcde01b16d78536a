//! A keyring in a file locked with a passphrase (docs/format.md §13). An attacker with only the
//! file must guess passphrases, each at the cost of Argon2id.

use super::passphrase::PassphraseSource;
use super::secret_file::SecretFile;
use super::{KeySource, Prompt, PromptPurpose, UpdateLock, WritableKeySource};
use crate::{Error, ErrorKind};
use lacre_seal::{Fault, Keyring, Passphrase};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use zeroize::Zeroizing;

/// A file that holds a keyring locked with a passphrase. The rules of [`KeyFile`](super::KeyFile)
/// apply to it.
#[derive(Clone, Debug)]
pub struct PassphraseFile {
    file: SecretFile,
    passphrase: PassphraseSource,
    /// The passphrase that worked, so that the prompt appears once.
    known: OnceLock<Arc<Passphrase>>,
}

impl PassphraseFile {
    /// The file at `path`, which need not exist. Its passphrase comes from the environment
    /// ([`PASSPHRASE`](super::PASSPHRASE), [`PASSPHRASE_FROM`](super::PASSPHRASE_FROM)), or else
    /// `prompt` asks for it.
    pub fn at(path: impl Into<PathBuf>, prompt: Arc<dyn Prompt>) -> Self {
        let file = SecretFile::at(path.into(), "passphrase");
        Self { file, passphrase: PassphraseSource::new(prompt), known: OnceLock::new() }
    }

    /// The passphrase that worked before, or else one from the environment or the prompt.
    fn passphrase(&self, purpose: PromptPurpose) -> Result<Arc<Passphrase>, Error> {
        if let Some(known) = self.known.get() {
            return Ok(Arc::clone(known));
        }
        let text = self.passphrase.ask(&self.file.path().display(), purpose)?;
        Passphrase::new(text).map(Arc::new).map_err(|fault| self.refused(fault))
    }

    fn refused(&self, fault: Fault) -> Error {
        let message = format!("the keyring {} is unusable: {fault}", self.file.path().display());
        Error::new(ErrorKind::KeyUnavailable, message).with_source(fault)
    }
}

impl KeySource for PassphraseFile {
    fn read(&self) -> Result<Zeroizing<String>, Error> {
        let text = self.file.read()?;
        let passphrase = self.passphrase(PromptPurpose::Unlock)?;
        let keyring = passphrase.unlock(&text).map_err(|fault| self.refused(fault))?;
        // Another thread may have set it already.
        let _ = self.known.set(passphrase);
        Ok(keyring.to_text())
    }

    fn describe(&self) -> String {
        self.file.describe()
    }

    fn file(&self) -> Option<&Path> {
        Some(self.file.path())
    }

    fn writable(&self) -> Option<&dyn WritableKeySource> {
        Some(self)
    }
}

/// Every change uses a new salt.
impl WritableKeySource for PassphraseFile {
    fn create(&self, keyring: &Keyring) -> Result<(), Error> {
        if self.file.path().symlink_metadata().is_ok() {
            return Err(super::already_exists(&self.file.path().display()));
        }
        self.file.create(&self.passphrase(PromptPurpose::Choose)?.lock(keyring)?)
    }

    fn replace(&self, keyring: &Keyring) -> Result<(), Error> {
        let passphrase = self.passphrase(PromptPurpose::Unlock)?;
        self.file.replace(&passphrase.lock(keyring)?)
    }

    fn lock_for_update(&self) -> Result<UpdateLock, Error> {
        self.file.lock_for_update()
    }
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// A prompt that always gives the same answer, and counts.
    #[derive(Debug)]
    struct Answer(&'static str, AtomicUsize);

    impl Prompt for Answer {
        fn ask(&self, _: &str, _: PromptPurpose) -> std::io::Result<Option<Zeroizing<String>>> {
            self.1.fetch_add(1, Ordering::Relaxed);
            Ok(Some(self.0.to_owned().into()))
        }
    }

    fn answer(text: &'static str) -> Arc<Answer> {
        Arc::new(Answer(text, AtomicUsize::new(0)))
    }

    #[test]
    fn locked_file_rotates_with_the_passphrase_that_opened_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("locked");
        let ring = Keyring::generate().unwrap();
        PassphraseFile::at(&path, answer("correct horse battery")).create(&ring).unwrap();
        let written = std::fs::read_to_string(&path).unwrap();

        let asked = answer("correct horse battery");
        let file = PassphraseFile::at(&path, Arc::<Answer>::clone(&asked));
        let (rotated, _) = keys::update(&file, Keyring::rotate).unwrap();
        assert_eq!(asked.1.load(Ordering::Relaxed), 1, "asked again");
        assert_eq!(file.load().unwrap().to_text(), rotated.to_text());
        let rewritten = std::fs::read_to_string(&path).unwrap();
        assert!(written.lines().nth(2) != rewritten.lines().nth(2), "the salt is the same");

        let error = file.create(&ring).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        for wrong in ["correct horse batteries", "hunter2"] {
            let error = PassphraseFile::at(&path, answer(wrong)).load().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::KeyUnavailable);
            assert!(!format!("{error:?}").contains(wrong));
        }
        let error = keys::KeyFile::at(&path).load().unwrap_err();
        assert!(error.to_string().contains("locked with a passphrase"));
    }

    #[test]
    fn weak_passphrase_creates_no_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("locked");
        let file = PassphraseFile::at(&path, answer("password"));
        assert_eq!(file.create(&Keyring::generate().unwrap()).unwrap_err().kind(), ErrorKind::KeyUnavailable);
        assert!(!path.exists());
    }
}
