//! An open directory. Names are looked up in it alone, and no link is followed.

use crate::files;
use lacre_core::Timestamp;
use rustix::fs::{self, AtFlags, CWD, Dir, FileType, Mode, OFlags};
use rustix::io::Errno;
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

#[derive(Debug)]
pub(super) struct Folder(File);

const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

// Opening a pipe would otherwise wait for a writer.
const FILE: OFlags = OFlags::NOFOLLOW.union(OFlags::NONBLOCK).union(OFlags::CLOEXEC);

/// An entry of a folder.
pub(super) struct Name {
    pub(super) text: String,
    pub(super) kind: FileType,
}

// Some file systems do not report the type of an entry: opening it then finds out.
impl Name {
    pub(super) fn is_file(&self) -> bool {
        matches!(self.kind, FileType::RegularFile | FileType::Unknown)
    }

    pub(super) fn is_folder(&self) -> bool {
        matches!(self.kind, FileType::Directory | FileType::Unknown)
    }
}

impl Folder {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self(fs::openat(CWD, path, FOLDER, Mode::empty())?.into()))
    }

    /// The folder `name`; `None`: there is no such entry. Fails if another user can write to it.
    pub(super) fn folder(&self, name: &str) -> io::Result<Option<Self>> {
        let found = there(fs::openat(&self.0, name, FOLDER, Mode::empty()))?;
        found.map(|found| ours(found.into()).map(Self)).transpose()
    }

    /// The folder `name`. Creates it for this user alone if it is missing.
    pub(super) fn make_folder(&self, name: &str) -> io::Result<Self> {
        if let Some(found) = self.folder(name)? {
            return Ok(found);
        }
        match fs::mkdirat(&self.0, name, Mode::RWXU) {
            Err(error) if error != Errno::EXIST => return Err(error.into()),
            _ => {}
        }
        let opened = match fs::openat(&self.0, name, FOLDER, Mode::empty()) {
            // A umask removed the rights of the owner.
            Err(Errno::ACCESS) => {
                fs::chmodat(&self.0, name, Mode::RWXU, AtFlags::empty())?;
                fs::openat(&self.0, name, FOLDER, Mode::empty())
            }
            opened => opened,
        };
        ours(opened?.into()).map(Self)
    }

    /// Opens the file `name` for reading; `None`: there is no such entry. Fails if it is not a
    /// file, or another user can write to it.
    pub(super) fn file(&self, name: &str) -> io::Result<Option<File>> {
        self.open_file(name, OFlags::RDONLY)
    }

    /// Opens the file `name` for writing in place. Fails if it has another name (a hard link),
    /// which the write would change too.
    pub(super) fn file_to_write(&self, name: &str) -> io::Result<Option<File>> {
        let file = self.open_file(name, OFlags::RDWR)?;
        match &file {
            Some(file) if files::has_other_names(&file.metadata()?) => {
                Err(io::Error::new(io::ErrorKind::InvalidData, "it has another name (a hard link)"))
            }
            _ => Ok(file),
        }
    }

    fn open_file(&self, name: &str, mode: OFlags) -> io::Result<Option<File>> {
        let found = there(fs::openat(&self.0, name, FILE | mode, Mode::empty()))?;
        let file = found.map(|found| ours(found.into())).transpose()?;
        if file.as_ref().is_some_and(|file| !file.metadata().is_ok_and(|found| found.is_file())) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "not a file"));
        }
        Ok(file)
    }

    /// Creates the file `name` for this user alone, whatever the umask.
    pub(super) fn create(&self, name: &str) -> io::Result<File> {
        let mode = Mode::RUSR | Mode::WUSR;
        let made = fs::openat(&self.0, name, FILE | OFlags::RDWR | OFlags::CREATE | OFlags::EXCL, mode)?;
        fs::fchmod(&made, mode)?;
        Ok(made.into())
    }

    /// Renames the file `name` to `to`, and replaces what is there.
    pub(super) fn rename(&self, name: &str, folder: &Self, to: &str) -> io::Result<()> {
        Ok(fs::renameat(&self.0, name, &folder.0, to)?)
    }

    /// Gives the file `name` a second name. Fails if that exists.
    pub(super) fn link(&self, name: &str, folder: &Self, other: &str) -> io::Result<()> {
        Ok(fs::linkat(&self.0, name, &folder.0, other, AtFlags::empty())?)
    }

    /// Removes the file or link `name`. `false`: there is none.
    pub(super) fn remove(&self, name: &str) -> io::Result<bool> {
        there(fs::unlinkat(&self.0, name, AtFlags::empty())).map(|removed| removed.is_some())
    }

    /// Removes the folder `name` if it is empty.
    pub(super) fn remove_empty(&self, name: &str) -> io::Result<()> {
        match fs::unlinkat(&self.0, name, AtFlags::REMOVEDIR) {
            Err(Errno::NOTEMPTY | Errno::EXIST | Errno::NOENT) | Ok(()) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// The length of the file or link `name`; `None`: there is none.
    pub(super) fn length(&self, name: &str) -> io::Result<Option<u64>> {
        let found = there(fs::statat(&self.0, name, AtFlags::SYMLINK_NOFOLLOW))?;
        Ok(found.map(|found| u64::try_from(found.st_size).unwrap_or(0)))
    }

    /// When the file `name` was last written, by the clock of the file system; `None`: there is
    /// none.
    pub(super) fn written(&self, name: &str) -> io::Result<Option<Timestamp>> {
        let Some(file) = self.file(name)? else { return Ok(None) };
        Ok(Some(Timestamp::from_seconds(file.metadata()?.mtime())))
    }

    /// Its entries, in no order.
    pub(super) fn names(&self) -> io::Result<impl Iterator<Item = io::Result<Name>> + use<>> {
        let entries = Dir::read_from(&self.0)?;
        Ok(entries.filter_map(|entry| match entry {
            Ok(entry) => {
                let text = entry.file_name().to_string_lossy().into_owned();
                (text != "." && text != "..").then(|| Ok(Name { text, kind: entry.file_type() }))
            }
            Err(error) => Some(Err(error.into())),
        }))
    }
}

/// Refuses a file that another user can write.
fn ours(file: File) -> io::Result<File> {
    if files::is_ours_alone_to_write(&file.metadata()?) {
        Ok(file)
    } else {
        Err(io::Error::new(io::ErrorKind::InvalidData, "other users can write to it"))
    }
}

fn there<T>(result: rustix::io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
