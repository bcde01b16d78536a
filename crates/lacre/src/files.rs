//! Checks files and directories that hold secrets or stores: they belong to this user, nobody else
//! can write them, and no link of another user leads to them.

#![cfg_attr(
    any(not(feature = "sqlite"), all(unix, not(feature = "fs"))),
    expect(dead_code, reason = "the stores on a disk use the rest")
)]

use crate::{Error, ErrorKind, StoreErrorKind};
use std::fs::{self, DirBuilder, File, Metadata, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

/// Why a file or directory is refused, and the remedy.
#[derive(Debug)]
pub(crate) struct Refusal {
    message: String,
    hint: String,
    source: Option<io::Error>,
    /// Whether the directory is unsafe, so that another directory may be safe.
    of_directory: bool,
}

impl Refusal {
    fn new(path: &Path, problem: &str, hint: String) -> Self {
        Self { message: format!("{} {problem}", path.display()), hint, source: None, of_directory: false }
    }

    fn of_directory(mut self) -> Self {
        self.of_directory = true;
        self
    }

    fn io(path: &Path, problem: &str, source: io::Error) -> Self {
        let hint = match source.kind() {
            io::ErrorKind::PermissionDenied => {
                return Self {
                    message: format!("permission denied: {problem} {}", path.display()),
                    hint: "run as the owner, or choose another path".into(),
                    source: Some(source),
                    of_directory: false,
                };
            }
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                "free some space, or choose another path"
            }
            io::ErrorKind::ReadOnlyFilesystem => "the file system is read-only; choose another path",
            _ => "check the path, or choose another path",
        };
        let message = format!("{problem} {}", path.display());
        Self { message, hint: hint.into(), source: Some(source), of_directory: false }
    }

    fn symlink(path: &Path) -> Self {
        Self::new(path, "is a symbolic link", "name the file that it points to".into())
    }

    /// Whether the file does not exist.
    pub(crate) fn is_absence(&self) -> bool {
        self.source.as_ref().is_some_and(|source| source.kind() == io::ErrorKind::NotFound)
    }

    fn is_denial(&self) -> bool {
        self.source.as_ref().is_some_and(|source| source.kind() == io::ErrorKind::PermissionDenied)
    }

    pub(crate) fn into_error(self, kind: ErrorKind) -> Error {
        let denied = self.is_denial();
        let error = Error::new(kind, self.message).with_hint(self.hint);
        match self.source {
            // The message already says "permission denied".
            Some(source) if !denied => error.with_source(source),
            _ => error,
        }
    }

    /// Converts the refusal to an error of a store.
    pub(crate) fn into_store_error(mut self) -> Error {
        let kind = if self.is_denial() { StoreErrorKind::Denied } else { StoreErrorKind::Unusable };
        if self.of_directory {
            self.hint.push_str("; or keep the store in a directory under TMPDIR, or in memory");
        }
        self.into_error(ErrorKind::Store(kind))
    }
}

/// Creates the directory `path` and missing parents for this user alone, or checks an existing one.
/// Returns its path with links resolved, and whether it was created.
pub(crate) fn private_directory(path: &Path) -> Result<(PathBuf, Creation), Refusal> {
    if let Some(real) = existing_directory(path)? {
        return Ok((real, Creation::Existed));
    }
    make_directory(path).map_err(|error| Refusal::io(path, "cannot create the directory", error))?;
    Ok((checked_directory(path)?, Creation::Created))
}

/// Checks an existing directory as [`private_directory`] does; `None`: there is none, and none is
/// created.
pub(crate) fn existing_directory(path: &Path) -> Result<Option<PathBuf>, Refusal> {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    match fs::symlink_metadata(path) {
        Ok(found) => check_link(path, &found)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Refusal::io(path, "cannot read the metadata of", error)),
    }
    checked_directory(path).map(Some)
}

fn checked_directory(path: &Path) -> Result<PathBuf, Refusal> {
    let real =
        fs::canonicalize(path).map_err(|error| Refusal::io(path, "cannot read the metadata of", error))?;
    let found =
        fs::metadata(&real).map_err(|error| Refusal::io(&real, "cannot read the metadata of", error))?;
    if !found.is_dir() {
        return Err(Refusal::new(path, "is not a directory", "choose another path, or move it away".into()));
    }
    check_directory(&real, &found).map_err(Refusal::of_directory)?;
    Ok(real)
}

/// Whether a directory was created just now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Creation {
    Created,
    Existed,
}

/// The metadata of the file at `path`, which must be a regular file of this user that nobody else
/// can write; `None`: there is none.
pub(crate) fn private_file(path: &Path) -> Result<Option<Metadata>, Refusal> {
    match fs::symlink_metadata(path) {
        Ok(found) => check_file(path, &found).map(|()| Some(found)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Refusal::io(path, "cannot read the metadata of", error)),
    }
}

fn check_file(path: &Path, found: &Metadata) -> Result<(), Refusal> {
    if found.is_symlink() {
        return Err(Refusal::symlink(path));
    }
    if found.is_dir() {
        return Err(Refusal::new(path, "is a directory", "name a file in it".into()));
    }
    if !found.is_file() {
        return Err(Refusal::new(path, "is not a regular file", "choose another path".into()));
    }
    check_owner(path, found)?;
    if mode(found) & 0o022 != 0 {
        return Err(Refusal::new(path, "can be written by others", format!("chmod 600 {}", path.display())));
    }
    Ok(())
}

/// As [`private_file`], for a file that is written in place: it must have no other name (hard
/// link), since that would be written too.
pub(crate) fn private_file_to_write(path: &Path) -> Result<Option<Metadata>, Refusal> {
    let found = private_file(path)?;
    if found.as_ref().is_some_and(has_other_names) {
        let remedy = format!("put a copy in its place: cp {0} {0}.copy && mv {0}.copy {0}", path.display());
        return Err(Refusal::new(
            path,
            "has another name (a hard link), which a write would change too",
            remedy,
        ));
    }
    Ok(found)
}

/// Whether a file has more than one name.
pub(crate) fn has_other_names(found: &Metadata) -> bool {
    platform::names(found) > 1
}

/// Whether a file belongs to this user (or root), and nobody else can write it.
#[cfg(unix)]
pub(crate) fn is_ours_alone_to_write(found: &Metadata) -> bool {
    platform::is_ours(found) && mode(found) & 0o022 == 0
}

/// The access to a file that is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    Read,
    ReadAndWrite,
}

/// Whether this user has that access to the file `path`. The file is not opened: closing it would
/// release the locks of this process on it.
pub(crate) fn check_access(path: &Path, access: Access) -> io::Result<()> {
    platform::check_access(path, access)
}

/// Whether this user may create files in the directory `path`.
pub(crate) fn check_can_create(path: &Path) -> io::Result<()> {
    if cfg!(unix) { platform::check_access(path, Access::ReadAndWrite) } else { Ok(()) }
}

/// Opens the file `path`, which must be a regular file of this user that nobody else can read or
/// write. Returns its length too.
pub(crate) fn open_secret(path: &Path) -> Result<(File, u64), Refusal> {
    let (file, found) = open_checked(path)?;
    if mode(&found) & 0o077 != 0 {
        return Err(Refusal::new(path, "can be read by others", format!("chmod 600 {}", path.display())));
    }
    Ok((file, found.len()))
}

/// As [`open_secret`], for a file that others may read.
pub(crate) fn open_owned(path: &Path) -> Result<(File, u64), Refusal> {
    open_checked(path).map(|(file, found)| (file, found.len()))
}

/// Checks the opened file, so that replacing `path` meanwhile has no effect.
fn open_checked(path: &Path) -> Result<(File, Metadata), Refusal> {
    let file = open_no_follow(path)?;
    let found = file.metadata().map_err(|error| Refusal::io(path, "cannot read the metadata of", error))?;
    check_file(path, &found)?;
    Ok((file, found))
}

/// Opens `path` for reading, unless it is a link.
pub(crate) fn open_no_follow(path: &Path) -> Result<File, Refusal> {
    let mut options = OpenOptions::new();
    options.read(true);
    platform::as_it_is(&mut options);
    options.open(path).map_err(|error| {
        let linked = fs::symlink_metadata(path).is_ok_and(|found| found.is_symlink());
        if linked { Refusal::symlink(path) } else { Refusal::io(path, "cannot open", error) }
    })
}

/// Creates the file `path` for this user alone. Fails if it exists.
pub(crate) fn create_private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true);
    platform::private(&mut options);
    let file = options.open(path)?;
    platform::restrict_to_owner(&file)?;
    Ok(file)
}

/// Sets the mode of a new file to 0600: a umask may have removed the rights of the owner.
pub(crate) fn restrict_to_owner(file: &File) -> io::Result<()> {
    platform::restrict_to_owner(file)
}

/// Creates one level after the other, since a umask may close each to its owner.
fn make_directory(path: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    platform::private_directory(&mut builder);
    let made = builder.create(path).or_else(|error| match path.parent() {
        Some(above) if error.kind() == io::ErrorKind::NotFound => {
            make_directory(above)?;
            builder.create(path)
        }
        _ => Err(error),
    });
    match made {
        // Another process created it meanwhile. It is checked later.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made.and_then(|()| platform::open_to_owner(path)),
    }
}

/// A link is followed only if it belongs to this user: another user may have planted it.
fn check_link(path: &Path, found: &Metadata) -> Result<(), Refusal> {
    if found.is_symlink() { check_owner(path, found) } else { Ok(()) }
}

fn check_directory(path: &Path, found: &Metadata) -> Result<(), Refusal> {
    check_owner(path, found)?;
    let mode = mode(found);
    // In a sticky directory such as /tmp, others cannot rename or remove files of this user.
    if mode & 0o022 != 0 && mode & 0o1000 == 0 {
        let remedy =
            format!("chmod go-w {}, or name a folder below it, which is made for you alone", path.display());
        return Err(Refusal::new(path, "can be written by others", remedy));
    }
    Ok(())
}

fn check_owner(path: &Path, found: &Metadata) -> Result<(), Refusal> {
    if platform::is_ours(found) {
        Ok(())
    } else {
        let below = if found.is_dir() {
            "a folder below it, which is made for you alone"
        } else {
            "a place of your own"
        };
        Err(Refusal::new(path, "belongs to another user", format!("name {below}, or run as its owner")))
    }
}

use platform::mode;

#[cfg(unix)]
mod platform {
    use super::*;
    use std::fs::Permissions;
    use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};

    pub(super) fn mode(found: &Metadata) -> u32 {
        found.mode()
    }

    pub(super) fn is_ours(found: &Metadata) -> bool {
        found.uid() == rustix::process::geteuid().as_raw() || found.uid() == 0
    }

    pub(super) fn names(found: &Metadata) -> u64 {
        found.nlink()
    }

    pub(super) fn check_access(path: &Path, access: Access) -> io::Result<()> {
        use rustix::fs::{Access as Flags, AtFlags, CWD, accessat};
        let flags = match access {
            Access::Read => Flags::READ_OK,
            Access::ReadAndWrite => Flags::READ_OK | Flags::WRITE_OK,
        };
        Ok(accessat(CWD, path, flags, AtFlags::EACCESS)?)
    }

    pub(super) fn private(options: &mut OpenOptions) {
        options.mode(0o600).custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed());
    }

    // Follows no link, and does not wait for a writer of a pipe.
    pub(super) fn as_it_is(options: &mut OpenOptions) {
        let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
        options.custom_flags(flags.bits().cast_signed());
    }

    pub(super) fn private_directory(builder: &mut DirBuilder) {
        builder.mode(0o700);
    }

    // A umask may have removed the rights of the owner.
    pub(super) fn restrict_to_owner(file: &File) -> io::Result<()> {
        file.set_permissions(Permissions::from_mode(0o600))
    }

    pub(super) fn open_to_owner(path: &Path) -> io::Result<()> {
        fs::set_permissions(path, Permissions::from_mode(0o700))
    }
}

#[cfg(not(unix))]
mod platform {
    use super::*;

    pub(super) fn mode(_: &Metadata) -> u32 {
        0
    }

    pub(super) fn is_ours(_: &Metadata) -> bool {
        true
    }

    pub(super) fn names(_: &Metadata) -> u64 {
        1
    }

    pub(super) fn check_access(path: &Path, access: Access) -> io::Result<()> {
        OpenOptions::new().read(true).write(access == Access::ReadAndWrite).open(path).map(drop)
    }

    pub(super) fn private(_: &mut OpenOptions) {}

    pub(super) fn as_it_is(_: &mut OpenOptions) {}

    pub(super) fn private_directory(_: &mut DirBuilder) {}

    pub(super) fn restrict_to_owner(_: &File) -> io::Result<()> {
        Ok(())
    }

    pub(super) fn open_to_owner(_: &Path) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::Permissions;
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn chmod(path: &Path, mode: u32) {
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    fn mode_of(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn missing_directories_are_created_for_this_user_alone() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("a/b");
        let (real, made) = private_directory(&path).unwrap();
        assert_eq!(made, Creation::Created);
        assert_eq!(mode_of(&real), 0o700);
        assert_eq!(mode_of(&root.path().join("a")), 0o700);
        assert_eq!(private_directory(&path).unwrap().1, Creation::Existed);
    }

    #[test]
    fn directory_writable_by_others_is_refused_unless_sticky() {
        let root = tempfile::tempdir().unwrap();
        for (mode, fine) in [(0o700, true), (0o755, true), (0o777, false), (0o770, false), (0o1777, true)] {
            chmod(root.path(), mode);
            assert_eq!(private_directory(root.path()).is_ok(), fine, "{mode:o}");
        }
    }

    #[test]
    fn links_directories_and_files_writable_by_others_are_refused() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("file");
        drop(create_private(&file).unwrap());
        assert_eq!(mode_of(&file), 0o600);
        assert!(private_file(&file).unwrap().is_some());
        assert!(create_private(&file).is_err(), "it exists");
        let link = root.path().join("link");
        symlink(&file, &link).unwrap();
        assert!(private_file(&link).is_err());
        assert!(create_private(&link).is_err());
        assert!(private_file(root.path()).is_err());
        chmod(&file, 0o620);
        assert!(private_file(&file).is_err());
        assert!(private_file(&root.path().join("absent")).unwrap().is_none());
    }
}
