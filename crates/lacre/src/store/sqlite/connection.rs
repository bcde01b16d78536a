//! Connections that treat the file as hostile: nothing in it can run.

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

/// The sleep between two attempts to get the lock. SQLite itself sleeps up to 100 ms, so that a
/// process can lose against others that write without a break.
pub(super) const NAP: Duration = Duration::from_millis(1);

/// The longest value that a reader accepts ([`MAX_RECORD_BYTES`]): a planted giant is refused
/// before it is read (docs/threat-model.md). A writer must remove giants, so its statements check
/// the type and length of a column before they read it.
const MAX_VALUE_BYTES: i32 = MAX_RECORD_BYTES as i32;

/// The size that an idle write-ahead log may keep on disk.
const LOG_LIMIT: i64 = 16 << 20;

/// Opens a connection for reading records.
pub(super) fn connect_reader(place: &Place, options: &Options) -> Result<Connection, Error> {
    let connection = connect(place, options)?;
    accept_records_only(&connection)?;
    Ok(connection)
}

/// Makes every value longer than a record an error.
pub(super) fn accept_records_only(connection: &Connection) -> Result<(), Error> {
    connection.set_limit(Limit::SQLITE_LIMIT_LENGTH, MAX_VALUE_BYTES).map(drop).or_store_error()
}

/// Accepts values of any length, so that they can be removed.
pub(super) fn accept_everything(connection: &Connection) -> Result<(), Error> {
    connection.set_limit(Limit::SQLITE_LIMIT_LENGTH, i32::MAX).map(drop).or_store_error()
}

/// Opens a connection on which triggers, views and functions of the schema are disabled. It never
/// waits for a lock.
pub(super) fn connect(place: &Place, options: &Options) -> Result<Connection, Error> {
    connect_waiting(place, options, Duration::ZERO)
}

/// The same, but waits for the locks of other processes.
pub(super) fn connect_waiting(
    place: &Place,
    options: &Options,
    timeout: Duration,
) -> Result<Connection, Error> {
    let base = OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    let mut connection = match place.access {
        Access::ReadWrite => {
            Connection::open_with_flags(&place.file, base | OpenFlags::SQLITE_OPEN_READ_WRITE)
        }
        // Another process has the file open: its log is used as it is.
        Access::ReadOnly if place.has_log() => {
            Connection::open_with_flags(&place.file, base | OpenFlags::SQLITE_OPEN_READ_ONLY)
        }
        Access::ReadOnly => {
            let flags = base | OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
            Connection::open_with_flags(immutable_uri(&place.file), flags)
        }
    }
    .or_store_error()?;
    wait_for_locks(&mut connection, timeout)?;
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

/// Makes the connection wait for locks of other processes, each time at most `timeout`.
pub(super) fn wait_for_locks(connection: &mut Connection, timeout: Duration) -> Result<(), Error> {
    if timeout.is_zero() {
        return connection.busy_handler(None::<fn(i32) -> bool>).or_store_error();
    }
    let naps = timeout.as_millis() / NAP.as_millis();
    let nap = move |before: i32| {
        thread::sleep(NAP);
        u128::from(before.unsigned_abs()) < naps
    };
    connection.busy_handler(Some(nap)).or_store_error()
}

/// Disables everything in a file that could run: triggers, views, and functions that a schema
/// calls.
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

/// A URI that tells SQLite that the file does not change, so that it leaves no locks or logs beside
/// it.
pub(crate) fn immutable_uri(file: &Path) -> String {
    const PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'.').remove(b'-').remove(b'_');
    format!("file:{}?immutable=1", percent_encode(file.as_os_str().as_encoded_bytes(), PATH))
}
