//! Opening a store: the place first, then the connection, then what the file turns out to be ("SQLite as a hostile file").

use super::error::{self, ResultExt};
use super::log::Log;
use super::schema::{self, Identity};
use super::{Options, Sqlite};
use crate::clock::{Clock, SystemClock};
use crate::files::{self, Creation, Refusal};
use crate::store::eviction::{OrphanSearch, RecentReads};
use crate::store::locks::Locks;
use crate::store::{LONGEST, missing, read_only};
use crate::{Error, ErrorKind, Event, StoreErrorKind, config};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use rusqlite::config::DbConfig;
use rusqlite::limits::Limit;
use rusqlite::{Connection, OpenFlags};
use std::ffi::OsString;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, SystemTime};

/// How long opening waits for the lock of another process, on the thread that it is called on. What is done with a store later waits
/// otherwise: see [`Locks`].
const PATIENCE: Duration = Duration::from_secs(5);

/// How long to sleep before the lock is tried again. SQLite itself would sleep up to 100 ms, in which it comes and goes many times: where
/// several processes write without a break, one of them would be passed over for half a second now and then.
const NAP: Duration = Duration::from_millis(1);

/// What a reader accepts ([`LONGEST`]), as SQLite wants it: a planted giant is refused before it is read (sealing, property 17).
/// The writer must get past giants to remove them; its statements read no column before they looked at its type and length.
const LONGEST_VALUE: i32 = LONGEST as i32;

/// What an idle write-ahead log may keep on disk.
const LOG_LIMIT: i64 = 16 << 20;

/// Files that SQLite keeps beside the main one.
pub(crate) const COMPANIONS: [&str; 3] = ["-wal", "-shm", "-journal"];

pub(super) fn open(path: &Path, options: Options) -> Result<Sqlite, Error> {
    let place = Place::prepare(path, &options)?;
    match start(&place, &options) {
        Err(error) if options.sets_aside && !options.reads_only && is_about_content(&error) => {
            let to = place.set_aside()?;
            options.observer.on_event(Event::StoreSetAside { to: &to, error: &error });
            let place = Place::prepare(path, &options)?;
            start(&place, &options).map(|started| started.finish(place, options))
        }
        started => started.map(|started| started.finish(place, options)),
    }
    .map_err(|error| error.at(path))
}

/// Whether a fresh file in the place of this one would help.
pub(super) fn is_about_content(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::Store(StoreErrorKind::Corrupt | StoreErrorKind::TooNew | StoreErrorKind::Unusable)
    )
}

struct Started {
    first: Connection,
    log: Log,
    id: lacre_seal::StoreId,
    frozen: Frozen,
}

impl Started {
    fn finish(self, place: Place, options: Options) -> Sqlite {
        let frozen = (place.access == Access::ReadOnly).then(|| Mutex::new((self.frozen, 0)));
        Sqlite {
            id: Mutex::new(self.id),
            place: Arc::new(place),
            frozen,
            options,
            log: self.log,
            main: Mutex::new(self.first),
            recent: RecentReads::new(),
            idle: Mutex::default(),
            searched: OrphanSearch::never(),
            locks: Locks::default(),
            busy: AtomicBool::new(false),
        }
    }
}

fn start(place: &Place, options: &Options) -> Result<Started, Error> {
    let frozen = Frozen::of(place);
    let mut first = connect_waiting(place, options, PATIENCE)?;
    // Nothing may be written, and the journal mode be changed, before the file is known to be ours.
    let identity = schema::identify(&first)?;
    if place.access == Access::ReadWrite {
        use_write_ahead_log(&first)?;
        if identity.is_older() {
            schema::update(&mut first)?;
        }
    }
    match schema::identify(&first)? {
        Identity::Fresh if options.reads_only => Err(missing()),
        Identity::Fresh => Err(read_only()),
        Identity::Ours { foreign, .. } => {
            for finding in &foreign {
                options.observer.on_event(Event::ForeignContent { finding });
            }
            let log = Log::default();
            log.follow(&mut first)?;
            wait_for_locks(&mut first, Duration::ZERO)?;
            Ok(Started { id: schema::store_id(&first)?, first, log, frozen })
        }
    }
}

/// A connection for reading records.
pub(super) fn connect_reader(place: &Place, options: &Options) -> Result<Connection, Error> {
    let connection = connect(place, options)?;
    accept_records_only(&connection)?;
    Ok(connection)
}

/// From now on, what is longer than any record is an error.
pub(super) fn accept_records_only(connection: &Connection) -> Result<(), Error> {
    connection.set_limit(Limit::SQLITE_LIMIT_LENGTH, LONGEST_VALUE).map(drop).or_store_error()
}

/// From now on, nothing is too long to be got rid of.
pub(super) fn accept_everything(connection: &Connection) -> Result<(), Error> {
    connection.set_limit(Limit::SQLITE_LIMIT_LENGTH, i32::MAX).map(drop).or_store_error()
}

/// A connection on which nothing in the file can act: no triggers, no views, no functions called by a schema. Nobody waits for a lock on the
/// thread that uses it.
pub(super) fn connect(place: &Place, options: &Options) -> Result<Connection, Error> {
    connect_waiting(place, options, Duration::ZERO)
}

/// The same, on which one waits for the locks of other processes.
fn connect_waiting(place: &Place, options: &Options, patience: Duration) -> Result<Connection, Error> {
    let base = OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    let mut connection = match place.access {
        Access::ReadWrite => {
            Connection::open_with_flags(&place.file, base | OpenFlags::SQLITE_OPEN_READ_WRITE)
        }
        // Somebody has it open: what they keep beside it is used as it is.
        Access::ReadOnly if place.has_log() => {
            Connection::open_with_flags(&place.file, base | OpenFlags::SQLITE_OPEN_READ_ONLY)
        }
        Access::ReadOnly => {
            let flags = base | OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
            Connection::open_with_flags(immutable_uri(&place.file), flags)
        }
    }
    .or_store_error()?;
    wait_for_locks(&mut connection, patience)?;
    make_inert(&connection).or_store_error()?;
    let mmap = i64::try_from(options.mapped).unwrap_or(i64::MAX);
    for (pragma, value) in [
        ("secure_delete", 1),
        ("synchronous", 1),
        ("temp_store", 2),
        ("journal_size_limit", LOG_LIMIT),
        ("mmap_size", mmap),
    ] {
        connection.pragma_update(None, pragma, value).or_store_error()?;
    }
    Ok(connection)
}

/// Waits for the locks of other processes, but no longer than `patience` each time.
pub(super) fn wait_for_locks(connection: &mut Connection, patience: Duration) -> Result<(), Error> {
    if patience.is_zero() {
        return connection.busy_handler(None::<fn(i32) -> bool>).or_store_error();
    }
    let naps = patience.as_millis() / NAP.as_millis();
    let nap = move |before: i32| {
        thread::sleep(NAP);
        u128::from(before.unsigned_abs()) < naps
    };
    connection.busy_handler(Some(nap)).or_store_error()
}

/// Takes from a file what could act in it, whoever wrote it: triggers, views and functions that a schema calls.
pub(crate) fn make_inert(connection: &Connection) -> rusqlite::Result<()> {
    for (setting, on) in [
        (DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, false),
        (DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false),
    ] {
        connection.set_db_config(setting, on)?;
    }
    connection.pragma_update(None, "cell_size_check", 1)
}

/// Several processes that open a new file at once contend for this one change, and SQLite's own timeout does not cover it.
fn use_write_ahead_log(connection: &Connection) -> Result<(), Error> {
    let mut waited = Duration::ZERO;
    loop {
        let mode = connection
            .query_row("PRAGMA journal_mode = WAL", [], |row| row.get::<_, String>(0))
            .or_store_error();
        match mode {
            Ok(mode) if mode == "wal" => return Ok(()),
            Ok(_) => {
                return Err(error::unusable("the file system cannot share a store (no write-ahead log)"));
            }
            Err(error) if error.kind() == ErrorKind::Store(StoreErrorKind::Locked) && waited < PATIENCE => {
                thread::sleep(NAP);
                waited += NAP;
            }
            Err(error) => return Err(error),
        }
    }
}

/// What may be done with the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    ReadWrite,
    /// Nothing is made beside it, either: see [`Frozen`].
    ReadOnly,
}

/// What a file looked like when it was opened for reading while nobody had it open. Such a file is read as one that does not change, since
/// SQLite would otherwise leave a log and a lock file beside it; when it looks otherwise, it is opened anew.
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

    /// Whether the file was opened as one that does not change.
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
    /// Checks the directory and the file, and makes what is missing.
    fn prepare(path: &Path, options: &Options) -> Result<Self, Error> {
        let Some(name) = path.file_name() else {
            return Err(error::unusable("the store's path does not end in a file name"));
        };
        let parent = path.parent().unwrap_or(Path::new(""));
        let directory = if options.reads_only {
            files::existing_directory(parent).map_err(Refusal::into_store_error)?.ok_or_else(missing)?
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
                return Err(missing());
            }
            match files::create_private(&file) {
                Ok(_) => {}
                // Another process was faster; what it made must be as safe.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    check(&file).map_err(Refusal::into_store_error)?;
                }
                Err(error) => return Err(cannot_create(error)),
            }
        }
        let access = access(&file, options)?;
        Ok(Self { file, access })
    }

    /// A number that changes while others write the file or its log, or bring the log into the file.
    pub(super) fn activity(&self) -> Option<u64> {
        let mut hasher = DefaultHasher::new();
        for path in [&self.file, &beside(&self.file, "-wal")] {
            let found = fs::symlink_metadata(path).ok()?;
            (found.len(), found.modified().ok()?).hash(&mut hasher);
        }
        Some(hasher.finish())
    }

    /// Whether a log lies beside the file: somebody has it open, or was killed while they had.
    fn has_log(&self) -> bool {
        beside(&self.file, "-wal").exists()
    }

    /// Renames the file and its companions; nothing is deleted.
    fn set_aside(&self) -> Result<PathBuf, Error> {
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
        // SQLite makes files beside it, too.
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
    let trouble = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StoreErrorKind::Full,
        io::ErrorKind::ReadOnlyFilesystem => StoreErrorKind::ReadOnly,
        io::ErrorKind::PermissionDenied => {
            return Error::store(
                StoreErrorKind::Denied,
                "permission denied: this user may not make the store's file",
            )
            .with_hint("choose another place, or run as the user that the directory belongs to");
        }
        _ => StoreErrorKind::Unusable,
    };
    Error::store(trouble, "the store's file cannot be made")
        .with_hint("check the directory and its free space, or choose another place")
        .with_source(error)
}

pub(crate) fn beside(file: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(file);
    name.push(suffix);
    name.into()
}

/// A name for SQLite that says that nobody writes to `file`, so that it leaves neither locks nor logs beside it.
pub(crate) fn immutable_uri(file: &Path) -> String {
    const PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'.').remove(b'-').remove(b'_');
    format!("file:{}?immutable=1", percent_encode(file.as_os_str().as_encoded_bytes(), PATH))
}
