//! Which store lies where: a file beside the keyring, which whoever can write a store cannot write.
//!
//! The id that binds records to a store lies in that store, and is no secret. Whoever copies the records of one store *and* its id over
//! another makes that other serve what was sealed for the first. So each store that was written is noted here with its id and its place. A
//! second place with the same id is a copy, as long as the first one is still there: it is told, emptied, and gets an id of its own. A store
//! that was moved, or that is reached by another path, is the same store.

use crate::keys::KeySource;
use crate::store::{OnDisk, Store};
use crate::{Error, ErrorKind, Event, Observer, StoreErrorKind, config, files, wait};
use lacre_seal::StoreId;
use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, percent_encode};
use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;
use tempfile::NamedTempFile;

const VERSION: &str = "lacre-stores-v1";
/// How many stores are noted; beyond, those go first that are not there any more, and then the oldest.
const MOST: usize = 1024;
/// How much of the file is read.
const LONGEST: u64 = 4 << 20;

/// The file in which stores are noted.
#[derive(Clone, Debug)]
pub struct Places {
    file: PathBuf,
}

/// What is known of a store.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Known {
    id: StoreId,
    /// The number of its file or directory on its disk.
    number: u64,
    path: PathBuf,
}

impl Places {
    /// The file that belongs to a source of keys: beside it, where it is a file that lacre writes, or else in the user's configuration
    /// directory. `None`: this user has none.
    #[must_use]
    pub fn of(source: &dyn KeySource) -> Option<Self> {
        match source.file().filter(|_| source.writable().is_some()) {
            Some(keyring) => {
                let mut name = keyring.file_name()?.to_owned();
                name.push(".stores");
                Some(Self { file: keyring.with_file_name(name) })
            }
            None => Self::user(),
        }
    }

    /// The one in the user's configuration directory. `None`: this user has none.
    #[must_use]
    pub fn user() -> Option<Self> {
        Some(Self { file: config::config_directory().ok()?.join("stores") })
    }

    /// The place that the store at `path` was copied from: one where a store of this id is still there. `None`: it is no copy, and if it
    /// `writable`, it is noted where it is.
    #[must_use]
    pub fn original(&self, id: StoreId, path: &Path, writable: bool) -> Option<PathBuf> {
        let path = std::path::absolute(path).ok()?;
        let number = number_of(&path)?;
        let known = self.read()?;
        if let Some(known) = known.iter().find(|known| known.id == id) {
            if known.path == path && known.number == number {
                return None;
            }
            if known.path != path && known.is_there() && !is_same(&known.path, &path) {
                return Some(known.path.clone());
            }
        }
        if writable {
            // Whether it can be noted or not, the cache goes on.
            let _ = self.note(Known { id, number, path });
        }
        None
    }

    /// The id under which `store` is used, which is a new one where the store is a copy of another.
    pub(crate) fn admit(
        &self,
        store: &dyn Store,
        copies: Copies,
        observer: &dyn Observer,
    ) -> Result<StoreId, Error> {
        let id = store.id();
        let Some(OnDisk { path, writable }) = store.on_disk() else { return Ok(id) };
        let Some(original) = self.original(id, path, writable) else { return Ok(id) };
        if copies == Copies::Renewed {
            if !writable {
                let message = format!(
                    "the store has the id of the one at {}, which is still there",
                    original.display()
                );
                return Err(Error::new(ErrorKind::Store(StoreErrorKind::Unusable), message)
                    .with_hint("name that one, or remove it first; opened for writing, the copy is emptied")
                    .at(path));
            }
            let id = wait(store.reset())?;
            let _ = self.original(id, path, writable);
            observer.on_event(Event::StoreCopied { copy: path, original: &original });
            return Ok(id);
        }
        observer.on_event(Event::StoreCopied { copy: path, original: &original });
        Ok(id)
    }

    /// What is noted; `None`: it cannot be read, or a later version wrote it.
    fn read(&self) -> Option<Vec<Known>> {
        let mut text = String::new();
        match files::open_owned(&self.file) {
            Ok((file, _)) => {
                file.take(LONGEST).read_to_string(&mut text).ok()?;
            }
            Err(refusal) if refusal.is_absence() => return Some(Vec::new()),
            Err(_) => return None,
        }
        let lines = text.strip_prefix(VERSION)?.strip_prefix('\n')?;
        Some(lines.lines().filter_map(Known::parse).collect())
    }

    fn note(&self, new: Known) -> io::Result<()> {
        let directory = self.file.parent().unwrap_or(Path::new("."));
        config::make_private(directory).map_err(io::Error::other)?;
        let _turn = turn(directory)?;
        let Some(mut known) = self.read() else { return Ok(()) };
        known.retain(|known| known.id != new.id && known.path != new.path);
        if known.len() >= MOST {
            known.retain(Known::is_there);
            known.drain(..known.len().saturating_sub(MOST - 1));
        }
        known.push(new);
        let mut written = NamedTempFile::with_prefix_in(".stores-", directory)?;
        files::restrict_to_owner(written.as_file())?;
        let lines: String = known.iter().map(Known::line).collect();
        written.write_all(format!("{VERSION}\n{lines}").as_bytes())?;
        written.persist(&self.file).map(drop).map_err(|error| error.error)
    }
}

/// What becomes of a store that is a copy of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Copies {
    /// It is emptied, and gets an id of its own.
    Renewed,
    /// It is told, and used as it is.
    Accepted,
}

impl Known {
    /// Whether what was noted is still in its place.
    fn is_there(&self) -> bool {
        number_of(&self.path) == Some(self.number)
    }

    fn line(&self) -> String {
        const PATH: &AsciiSet = &CONTROLS.add(b'%').add(b' ');
        let path = percent_encode(self.path.as_os_str().as_encoded_bytes(), PATH);
        format!("{} {} {path}\n", self.id, self.number)
    }

    fn parse(line: &str) -> Option<Self> {
        let (id, rest) = line.split_once(' ')?;
        let (number, path) = rest.split_once(' ')?;
        let path: Vec<u8> = percent_decode_str(path).collect();
        Some(Self { id: parse_id(id)?, number: number.parse().ok()?, path: platform::path(path)? })
    }
}

fn parse_id(text: &str) -> Option<StoreId> {
    if text.len() != 32 || !text.is_ascii() {
        return None;
    }
    let mut id = [0; 16];
    for (byte, digits) in id.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    }
    Some(StoreId::from_bytes(id))
}

/// The changes of this file and of the keyring beside it come one after the other. Nobody waits long for that: what is not noted now is noted
/// when the store is opened next.
fn turn(directory: &Path) -> io::Result<Option<File>> {
    const TRIES: u32 = 20;
    if !cfg!(unix) {
        return Ok(None);
    }
    let directory = File::open(directory)?;
    for _ in 0..TRIES {
        match directory.try_lock() {
            Ok(()) => return Ok(Some(directory)),
            Err(TryLockError::WouldBlock) => thread::sleep(Duration::from_millis(2)),
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
    Err(io::ErrorKind::WouldBlock.into())
}

use platform::{is_same, number_of};

#[cfg(unix)]
mod platform {
    use super::*;
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt;
    use std::os::unix::fs::MetadataExt;

    /// What tells a file or directory from all others on its disk; `None`: nothing is there. It is not opened, so that no lock ends.
    pub(super) fn number_of(path: &Path) -> Option<u64> {
        fs::symlink_metadata(path).ok().map(|found| found.ino())
    }

    /// Whether two paths lead to the same thing, as they do where a directory is mounted twice.
    pub(super) fn is_same(one: &Path, other: &Path) -> bool {
        let identity = |path: &Path| fs::metadata(path).ok().map(|found| (found.dev(), found.ino()));
        identity(one).is_some_and(|one| Some(one) == identity(other))
    }

    pub(super) fn path(bytes: Vec<u8>) -> Option<PathBuf> {
        Some(OsString::from_vec(bytes).into())
    }
}

#[cfg(not(unix))]
mod platform {
    use super::*;

    pub(super) fn number_of(path: &Path) -> Option<u64> {
        fs::symlink_metadata(path).ok().map(|_| 0)
    }

    pub(super) fn is_same(one: &Path, other: &Path) -> bool {
        let real = |path: &Path| fs::canonicalize(path).ok();
        real(one).is_some_and(|one| Some(one) == real(other))
    }

    pub(super) fn path(bytes: Vec<u8>) -> Option<PathBuf> {
        String::from_utf8(bytes).ok().map(PathBuf::from)
    }
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;
    use tempfile::TempDir;

    const ID: StoreId = StoreId::from_bytes([7; 16]);
    const OTHER: StoreId = StoreId::from_bytes([8; 16]);

    struct World {
        root: TempDir,
        places: Places,
    }

    fn world() -> World {
        let root = tempfile::tempdir().unwrap();
        let places = Places { file: root.path().join("config/keyring.stores") };
        World { root, places }
    }

    impl World {
        fn store(&self, name: &str) -> PathBuf {
            let path = self.root.path().join(name);
            fs::write(&path, name).unwrap();
            path
        }

        fn original(&self, id: StoreId, path: &Path) -> Option<PathBuf> {
            self.places.original(id, path, true)
        }
    }

    #[test]
    fn a_second_place_with_the_same_id_is_a_copy_while_the_first_is_there() {
        let world = world();
        let (a, b) = (world.store("a b%\n"), world.store("b"));
        assert_eq!(world.original(ID, &a), None);
        assert_eq!(world.original(OTHER, &b), None);
        for _ in 0..2 {
            assert_eq!(world.original(ID, &b), Some(a.clone()), "and it stays one");
            assert_eq!(world.original(ID, &a), None);
        }
        assert_eq!(world.original(OTHER, &b), None);
        let mode = fs::metadata(&world.places.file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        fs::remove_file(&a).unwrap();
        assert_eq!(world.original(ID, &b), None, "there is no other any more");
    }

    #[test]
    fn a_store_that_was_moved_or_is_reached_by_another_path_is_the_same() {
        let world = world();
        let a = world.store("a");
        assert_eq!(world.original(ID, &a), None);
        let moved = world.root.path().join("moved");
        fs::rename(&a, &moved).unwrap();
        assert_eq!(world.original(ID, &moved), None);
        assert_eq!(world.original(OTHER, &world.store("a")), None, "another one in its place");
        assert_eq!(world.original(ID, &moved), None);
        // As a directory that is mounted twice: another path to the same file.
        let again = world.root.path().join("again");
        fs::hard_link(&moved, &again).unwrap();
        assert_eq!(world.original(ID, &again), None);
        assert_eq!(world.original(ID, &moved), None);
        let restored = world.root.path().join("restored");
        fs::copy(&moved, &restored).unwrap();
        fs::rename(&restored, &moved).unwrap();
        fs::remove_file(&again).unwrap();
        assert_eq!(world.original(ID, &moved), None, "a backup put back in its place");
    }

    #[test]
    fn who_only_reads_notes_nothing() {
        let world = world();
        let a = world.store("a");
        assert_eq!(world.places.original(ID, &a, false), None);
        assert!(!world.places.file.exists());
        assert_eq!(world.original(ID, &a), None);
        assert_eq!(world.places.original(ID, &world.store("b"), false), Some(a));
    }

    #[test]
    fn what_cannot_be_read_or_is_of_a_later_version_is_left_as_it_is() {
        let world = world();
        let a = world.store("a");
        fs::create_dir(world.root.path().join("config")).unwrap();
        for text in ["lacre-stores-v2\nanything\n", "garbage", "", "\u{0}"] {
            fs::write(&world.places.file, text).unwrap();
            assert_eq!(world.original(ID, &a), None);
            assert_eq!(fs::read_to_string(&world.places.file).unwrap(), text);
        }
        let odd = format!("{VERSION}\nx\n{ID} 1\n{ID} -1 /a\nééé 1 /a\n");
        fs::write(&world.places.file, odd).unwrap();
        assert_eq!(world.original(ID, &a), None);
        assert_eq!(world.places.read().unwrap().len(), 1);
    }

    #[test]
    fn what_is_noted_is_bounded() {
        let world = world();
        for n in 0..(MOST as u64 + 10) {
            let id = StoreId::from_bytes(u128::from(n).to_be_bytes());
            world.places.note(Known { id, number: 1, path: format!("/absent/{n}").into() }).unwrap();
        }
        assert!(world.places.read().unwrap().len() <= MOST);
    }
}
