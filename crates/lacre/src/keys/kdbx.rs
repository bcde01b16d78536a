//! A keyring in a KeePass database (KDBX 3 or 4), as KeePassXC writes it: in the password of an
//! entry, or in its notes if the password is empty. The database is only read.

use super::kdbx_cost::{self, Cost};
use super::passphrase::PassphraseSource;
use super::secret_file::read_opened;
use super::{KeySource, Prompt, PromptPurpose};
use crate::{Error, ErrorKind, files};
use keepass::db::{EntryRef, GroupRef};
use keepass::error::{DatabaseKeyError, DatabaseOpenError};
use keepass::{Database, DatabaseKey};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use zeroize::Zeroizing;

/// The largest database that is read, in bytes.
const MAX_DATABASE_BYTES: usize = 64 << 20;

/// An entry of a KeePass database that holds a keyring, or one bare key.
#[derive(Clone, Debug)]
pub struct KdbxEntry {
    path: PathBuf,
    /// The names of its groups, then its title.
    entry: String,
    passphrase: PassphraseSource,
}

impl KdbxEntry {
    /// The entry `GROUP/…/TITLE`, or `TITLE` in the root group, of the database at `path`. Its
    /// password comes from the environment ([`PASSPHRASE`](super::PASSPHRASE),
    /// [`PASSPHRASE_FROM`](super::PASSPHRASE_FROM)), or else `prompt` asks for it.
    pub fn at(path: impl Into<PathBuf>, entry: impl Into<String>, prompt: Arc<dyn Prompt>) -> Self {
        Self { path: path.into(), entry: entry.into(), passphrase: PassphraseSource::new(prompt) }
    }

    /// Splits PATH#ENTRY; `None`: the text has another form.
    pub(super) fn split(name: &str) -> Option<(&str, &str)> {
        name.rsplit_once('#').filter(|(path, entry)| !path.is_empty() && !entry.is_empty())
    }

    fn open(&self) -> Result<Database, Error> {
        // The database is encrypted, so others may read it, but not write it.
        let (file, length) =
            files::open_owned(&self.path).map_err(|refusal| refusal.into_error(ErrorKind::KeyUnavailable))?;
        let bytes = read_opened(file, length, MAX_DATABASE_BYTES)
            .map_err(|error| self.refused("cannot be read").with_source(error))?
            .ok_or_else(|| self.refused("is larger than the limit for databases"))?;
        match kdbx_cost::of(&bytes) {
            Some(Cost::Fair) => {}
            Some(Cost::TooExpensive) => {
                return Err(self.refused("needs more time or memory to open than the limit allows").with_hint(
                    "restore it from a backup, or lower the rounds and the memory of its key derivation in your password manager",
                ));
            }
            None => return Err(self.refused("is not a KeePass database (KDBX 3 or 4), or is damaged")),
        }
        let password = self.passphrase.ask(&self.path.display(), PromptPurpose::Unlock)?;
        Database::parse(&bytes, DatabaseKey::new().with_password(&password)).map_err(|error| match error {
            DatabaseOpenError::Key(DatabaseKeyError::IncorrectKey) => self
                .refused("does not open with this password")
                .with_hint("try another password; key files and hardware keys are not supported"),
            // Without the source, which might quote decrypted text.
            _ => self.refused("is not a KeePass database, or is damaged"),
        })
    }

    fn find<'a>(&self, database: &'a Database) -> Result<EntryRef<'a>, Error> {
        let mut entries = database.iter_all_entries().filter(|entry| {
            let title = entry.get_title().unwrap_or_default();
            self.entry.strip_suffix(title).is_some_and(|place| place == place_of(&entry.parent()))
        });
        match (entries.next(), entries.next()) {
            (Some(entry), None) => Ok(entry),
            (None, _) => Err(self
                .refused("has no such entry")
                .with_hint("name it with its groups: kdbx:PATH#GROUP/TITLE")),
            (Some(_), Some(_)) => Err(self
                .refused("has several entries of this name")
                .with_hint("rename all but one, or name another group")),
        }
    }

    fn refused(&self, why: &str) -> Error {
        Error::new(ErrorKind::KeyUnavailable, format!("{} {why}", self.describe()))
            .with_hint("check the path, and that your password manager opens it")
    }
}

impl KeySource for KdbxEntry {
    fn read(&self) -> Result<Zeroizing<String>, Error> {
        let database = self.open()?;
        let entry = self.find(&database)?;
        let field = |name| entry.get(name).filter(|text| !text.is_empty());
        let text = field("Password").or_else(|| field("Notes"));
        text.map(|text| Zeroizing::new(text.to_owned())).ok_or_else(|| {
            self.refused("is empty")
                .with_hint("put the key into its password, or a whole keyring into its notes")
        })
    }

    fn describe(&self) -> String {
        format!("kdbx:{}#{}", self.path.display(), self.entry)
    }

    fn file(&self) -> Option<&Path> {
        Some(&self.path)
    }
}

/// The names of a group and its parents, each followed by a slash; the root group has none.
fn place_of(group: &GroupRef<'_>) -> String {
    group.parent().map_or_else(String::new, |around| format!("{}{}/", place_of(&around), group.name))
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use super::*;
    use keepass::config::KdfConfig;

    const KEY: &str = "0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c4b5a69788796a5b4c3d2e1f0";

    #[derive(Debug)]
    struct Answer(&'static str);

    impl Prompt for Answer {
        fn ask(&self, _: &str, _: PromptPurpose) -> std::io::Result<Option<Zeroizing<String>>> {
            Ok(Some(self.0.to_owned().into()))
        }
    }

    /// A database with the password `open sesame` and the entries of the tests.
    fn database() -> (tempfile::TempDir, PathBuf) {
        let mut database = Database::new();
        // Cheap parameters, for a test.
        if let KdfConfig::Argon2 { iterations, memory, .. } = &mut database.config.kdf_config {
            (*iterations, *memory) = (1, 64 << 10);
        }
        let mut root = database.root_mut();
        root.add_entry().edit(|entry| {
            entry.set_unprotected("Title", "lacre");
            entry.set_protected("Password", KEY);
            entry.set_unprotected("Notes", "not this");
        });
        let mut work = root.add_group();
        work.name = "Work".into();
        for (title, notes) in [("ring", "the notes"), ("lacre", ""), ("twice", "a"), ("twice", "b")] {
            work.add_entry().edit(|entry| {
                entry.set_unprotected("Title", title);
                entry.set_unprotected("Notes", notes);
            });
        }
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("secrets.kdbx");
        let mut file = std::fs::File::create(&path).unwrap();
        database.save(&mut file, DatabaseKey::new().with_password("open sesame")).unwrap();
        (directory, path)
    }

    #[test]
    fn key_is_the_password_of_an_entry_or_else_its_notes() {
        let (_directory, path) = database();
        let entry = |name: &str| KdbxEntry::at(&path, name, Arc::new(Answer("open sesame")));
        assert_eq!(*entry("lacre").read().unwrap(), KEY);
        assert_eq!(entry("lacre").load().unwrap().epoch(), 0);
        assert_eq!(*entry("Work/ring").read().unwrap(), "the notes");
        for (name, why) in [
            ("Work/lacre", "is empty"),
            ("Work/twice", "several"),
            ("ring", "no such"),
            ("Other/lacre", "no such"),
            ("", "no such"),
        ] {
            let error = entry(name).read().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::KeyUnavailable);
            assert!(error.to_string().contains(why), "{name}: {error}");
        }
    }

    #[test]
    fn database_that_is_too_expensive_is_refused_before_the_prompt() {
        #[derive(Debug)]
        struct NeverAsked;
        impl Prompt for NeverAsked {
            fn ask(&self, _: &str, _: PromptPurpose) -> std::io::Result<Option<Zeroizing<String>>> {
                panic!("asked")
            }
        }
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("dear.kdbx");
        let parameters = [(5_u8, &b"R"[..], &(1_u64 << 40).to_le_bytes()[..])];
        std::fs::write(&path, kdbx_cost::tests::version_4(&parameters)).unwrap();
        let error = KdbxEntry::at(&path, "lacre", Arc::new(NeverAsked)).read().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::KeyUnavailable);
        assert!(error.to_string().contains("more time or memory") && error.hint().is_some());
    }

    #[test]
    fn database_that_does_not_open_is_refused_and_never_shown() {
        let (_directory, path) = database();
        let read = |password| KdbxEntry::at(&path, "lacre", Arc::new(Answer(password))).read().unwrap_err();
        assert!(read("hunter2").to_string().contains("does not open with this password"));
        assert!(!format!("{:?}", read("hunter2")).contains("hunter2"));
        let whole = std::fs::read(&path).unwrap();
        for cut in [0, 3, 11, 100, whole.len() / 2, whole.len() - 1] {
            std::fs::write(&path, &whole[..cut]).unwrap();
            assert_eq!(read("open sesame").kind(), ErrorKind::KeyUnavailable, "{cut}");
        }
        std::fs::remove_file(&path).unwrap();
        assert_eq!(read("open sesame").kind(), ErrorKind::KeyUnavailable);
    }
}
