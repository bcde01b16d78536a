//! Connections on which nothing in the file can act ("SQLite as a hostile file").

use super::Options;
use super::error::ResultExt;
use super::place::{Access, Place};
use crate::Error;
use crate::store::on_disk::MAX_RECORD_BYTES;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use rusqlite::config::DbConfig;
use rusqlite::limits::Limit;
use rusqlite::{Connection, OpenFlags};
use std::path::Path;
use std::thread;
use std::time::Duration;

/// How long to sleep before the lock is tried again. SQLite itself would sleep up to 100 ms, in which it comes and goes many times: where
/// several processes write without a break, one of them would be passed over for half a second now and then.
pub(super) const NAP: Duration = Duration::from_millis(1);

/// What a reader accepts ([`MAX_RECORD_BYTES`]), as SQLite wants it: a planted giant is refused before it is read (sealing, property 17).
/// The writer must get past giants to remove them; its statements read no column before they looked at its type and length.
const LONGEST_VALUE: i32 = MAX_RECORD_BYTES as i32;

/// What an idle write-ahead log may keep on disk.
const LOG_LIMIT: i64 = 16 << 20;

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
pub(super) fn connect_waiting(
    place: &Place,
    options: &Options,
    patience: Duration,
) -> Result<Connection, Error> {
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

/// A name for SQLite that says that nobody writes to `file`, so that it leaves neither locks nor logs beside it.
pub(crate) fn immutable_uri(file: &Path) -> String {
    const PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'.').remove(b'-').remove(b'_');
    format!("file:{}?immutable=1", percent_encode(file.as_os_str().as_encoded_bytes(), PATH))
}
