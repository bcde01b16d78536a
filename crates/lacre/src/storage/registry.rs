//! A registry of stores in a file beside the keyring, where somebody who can only write a store
//! cannot write ([decision 20](../../../../docs/decisions/0020-detect-copied-stores.md)).
//!
//! Seals are bound to the id of their store, and that id lies in the store and is no secret.
//! Somebody who copies the records *and* the id of one store over another would make the second
//! serve what was sealed for the first. Each store that was written is therefore registered with
//! its id and path. A second path with the same id is a copy while the first store exists: the
//! observer is told, and the copy is emptied and gets a new id. A store that was moved, or is
//! reached by another path, is the same store.

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
/// The most stores registered. Beyond, stores that no longer exist go first, then the oldest.
const MAX_STORES: usize = 1024;
/// The most bytes that are read of the file.
const MAX_FILE: u64 = 4 << 20;

/// The registry of stores: a file that maps store ids to paths.
#[derive(Clone, Debug)]
pub struct StoreRegistry {
    file: PathBuf,
}

/// A registered store.
#[derive(Clone, Debug, PartialEq, Eq)]
struct KnownStore {
    id: StoreId,
    /// The inode of its file or directory.
    inode: u64,
    path: PathBuf,
}

impl StoreRegistry {
    /// The registry that belongs to a key source: beside a keyring file that lacre writes,
    /// otherwise in the user's configuration directory. `None`: this user has no such directory.
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

    /// The registry in the user's configuration directory. `None`: this user has no such directory.
    #[must_use]
    pub fn user() -> Option<Self> {
        Some(Self { file: config::config_directory().ok()?.join("stores") })
    }

    /// The path that the store at `path` was copied from, where a store with this id still exists.
    /// `None`: it is no copy; a `writable` store is then registered.
    #[must_use]
    pub fn original(&self, id: StoreId, path: &Path, writable: bool) -> Option<PathBuf> {
        let path = std::path::absolute(path).ok()?;
        let inode = inode_of(&path)?;
        let known = self.read()?;
        if let Some(known) = known.iter().find(|known| known.id == id) {
            if known.path == path && known.inode == inode {
                return None;
            }
            if known.path != path && known.exists() && !is_same(&known.path, &path) {
                return Some(known.path.clone());
            }
        }
        if writable {
            // The cache works even if the store cannot be registered.
            let _ = self.register(KnownStore { id, inode, path });
        }
        None
    }

    /// The id to use `store` with: a new one if the store is a copy.
    pub(crate) fn admit(
        &self,
        store: &dyn Store,
        copies: CopiedStores,
        observer: &dyn Observer,
    ) -> Result<StoreId, Error> {
        let id = store.id();
        let Some(OnDisk { path, writable }) = store.on_disk() else { return Ok(id) };
        let Some(original) = self.original(id, path, writable) else { return Ok(id) };
        if copies == CopiedStores::Renewed {
            if !writable {
                let message = format!(
                    "this store is a copy: it has the id of the store at {}, which still exists",
                    original.display()
                );
                return Err(Error::new(ErrorKind::Store(StoreErrorKind::Unusable), message)
                    .with_hint(
                        "name the original, or remove it first; opening the copy for writing empties it",
                    )
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

    /// The registered stores. `None`: the file cannot be read, or a later version wrote it.
    fn read(&self) -> Option<Vec<KnownStore>> {
        let mut text = String::new();
        match files::open_owned(&self.file) {
            Ok((file, _)) => {
                file.take(MAX_FILE).read_to_string(&mut text).ok()?;
            }
            Err(refusal) if refusal.is_absence() => return Some(Vec::new()),
            Err(_) => return None,
        }
        let lines = text.strip_prefix(VERSION)?.strip_prefix('\n')?;
        Some(lines.lines().filter_map(KnownStore::parse).collect())
    }

    fn register(&self, new: KnownStore) -> io::Result<()> {
        let directory = self.file.parent().unwrap_or(Path::new("."));
        config::make_private(directory).map_err(io::Error::other)?;
        let _lock = lock(directory)?;
        let Some(mut known) = self.read() else { return Ok(()) };
        known.retain(|known| known.id != new.id && known.path != new.path);
        if known.len() >= MAX_STORES {
            known.retain(KnownStore::exists);
            known.drain(..known.len().saturating_sub(MAX_STORES - 1));
        }
        known.push(new);
        let mut written = NamedTempFile::with_prefix_in(".stores-", directory)?;
        files::restrict_to_owner(written.as_file())?;
        let lines: String = known.iter().map(KnownStore::line).collect();
        written.write_all(format!("{VERSION}\n{lines}").as_bytes())?;
        written.persist(&self.file).map(drop).map_err(|error| error.error)
    }
}

/// The treatment of a store that is a copy of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CopiedStores {
    /// Emptied, and given a new id.
    Renewed,
    /// Reported to the observer, and used as it is.
    Accepted,
}

impl KnownStore {
    /// Whether the store still exists at its path.
    fn exists(&self) -> bool {
        inode_of(&self.path) == Some(self.inode)
    }

    fn line(&self) -> String {
        const PATH: &AsciiSet = &CONTROLS.add(b'%').add(b' ');
        let path = percent_encode(self.path.as_os_str().as_encoded_bytes(), PATH);
        format!("{} {} {path}\n", self.id, self.inode)
    }

    fn parse(line: &str) -> Option<Self> {
        let (id, rest) = line.split_once(' ')?;
        let (inode, path) = rest.split_once(' ')?;
        let path: Vec<u8> = percent_decode_str(path).collect();
        Some(Self { id: parse_id(id)?, inode: inode.parse().ok()?, path: platform::path(path)? })
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

/// Locks the directory, so that changes of the registry and of the keyring beside it do not
/// interleave. Gives up soon: a store that is not registered now is registered when it is next
/// opened.
fn lock(directory: &Path) -> io::Result<Option<File>> {
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

use platform::{inode_of, is_same};

#[cfg(unix)]
mod platform {
    use super::*;
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt;
    use std::os::unix::fs::MetadataExt;

    /// The inode of a file or directory; `None`: nothing is there. Opening the file would release
    /// locks of this process on it, so it is not opened.
    pub(crate) fn inode_of(path: &Path) -> Option<u64> {
        fs::symlink_metadata(path).ok().map(|found| found.ino())
    }

    /// Whether two paths lead to the same file, as with a directory that is mounted twice.
    pub(crate) fn is_same(one: &Path, other: &Path) -> bool {
        let identity = |path: &Path| fs::metadata(path).ok().map(|found| (found.dev(), found.ino()));
        identity(one).is_some_and(|one| Some(one) == identity(other))
    }

    pub(crate) fn path(bytes: Vec<u8>) -> Option<PathBuf> {
        Some(OsString::from_vec(bytes).into())
    }
}

#[cfg(not(unix))]
mod platform {
    use super::*;

    pub(crate) fn inode_of(path: &Path) -> Option<u64> {
        fs::symlink_metadata(path).ok().map(|_| 0)
    }

    pub(crate) fn is_same(one: &Path, other: &Path) -> bool {
        let real = |path: &Path| fs::canonicalize(path).ok();
        real(one).is_some_and(|one| Some(one) == real(other))
    }

    pub(crate) fn path(bytes: Vec<u8>) -> Option<PathBuf> {
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
        registry: StoreRegistry,
    }

    fn world() -> World {
        let root = tempfile::tempdir().unwrap();
        let registry = StoreRegistry { file: root.path().join("config/keyring.stores") };
        World { root, registry }
    }

    impl World {
        fn store(&self, name: &str) -> PathBuf {
            let path = self.root.path().join(name);
            fs::write(&path, name).unwrap();
            path
        }

        fn original(&self, id: StoreId, path: &Path) -> Option<PathBuf> {
            self.registry.original(id, path, true)
        }
    }

    #[test]
    fn a_second_path_with_the_same_id_is_a_copy_while_the_first_exists() {
        let world = world();
        let (a, b) = (world.store("a b%\n"), world.store("b"));
        assert_eq!(world.original(ID, &a), None);
        assert_eq!(world.original(OTHER, &b), None);
        for _ in 0..2 {
            assert_eq!(world.original(ID, &b), Some(a.clone()), "and it stays one");
            assert_eq!(world.original(ID, &a), None);
        }
        assert_eq!(world.original(OTHER, &b), None);
        let mode = fs::metadata(&world.registry.file).unwrap().permissions().mode();
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
    fn a_reader_registers_nothing() {
        let world = world();
        let a = world.store("a");
        assert_eq!(world.registry.original(ID, &a, false), None);
        assert!(!world.registry.file.exists());
        assert_eq!(world.original(ID, &a), None);
        assert_eq!(world.registry.original(ID, &world.store("b"), false), Some(a));
    }

    #[test]
    fn an_unreadable_or_later_registry_is_left_unchanged() {
        let world = world();
        let a = world.store("a");
        fs::create_dir(world.root.path().join("config")).unwrap();
        for text in ["lacre-stores-v2\nanything\n", "garbage", "", "\u{0}"] {
            fs::write(&world.registry.file, text).unwrap();
            assert_eq!(world.original(ID, &a), None);
            assert_eq!(fs::read_to_string(&world.registry.file).unwrap(), text);
        }
        let odd = format!("{VERSION}\nx\n{ID} 1\n{ID} -1 /a\nééé 1 /a\n");
        fs::write(&world.registry.file, odd).unwrap();
        assert_eq!(world.original(ID, &a), None);
        assert_eq!(world.registry.read().unwrap().len(), 1);
    }

    #[test]
    fn the_registry_is_bounded() {
        let world = world();
        for n in 0..(MAX_STORES as u64 + 10) {
            let id = StoreId::from_bytes(u128::from(n).to_be_bytes());
            world
                .registry
                .register(KnownStore { id, inode: 1, path: format!("/absent/{n}").into() })
                .unwrap();
        }
        assert!(world.registry.read().unwrap().len() <= MAX_STORES);
    }
}
