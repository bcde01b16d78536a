//! Opening a store: the file first, then the connection, then what the file turns out to be.

use super::connection::{NAP, connect_waiting, wait_for_locks};
use super::error::{self, ResultExt};
use super::log::Log;
use super::place::{Access, Frozen, Place};
use super::schema::{self, Identity};
use super::{Options, Sqlite};
use crate::store::eviction::{OrphanSearch, RecentReads};
use crate::store::locks::Locks;
use crate::store::on_disk::store_missing;
use crate::store::read_only;
use crate::{Error, ErrorKind, Event, StoreErrorKind};
use rusqlite::Connection;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// The longest that opening waits for the lock of another process, on the calling thread. Later
/// operations wait as in [`Locks`].
const OPEN_TIMEOUT: Duration = Duration::from_secs(5);

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

/// Whether a new file would solve the problem.
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
    let mut first = connect_waiting(place, options, OPEN_TIMEOUT)?;
    // The file must be known as a store before anything in it is changed, its journal mode
    // included.
    let identity = schema::identify(&first)?;
    if place.access == Access::ReadWrite {
        use_write_ahead_log(&first)?;
        if identity.is_older() {
            schema::update(&mut first)?;
        }
    }
    match schema::identify(&first)? {
        Identity::Fresh if options.reads_only => Err(store_missing()),
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

/// Several processes that open a new file contend for this change, and the busy handler of SQLite
/// does not cover it.
fn use_write_ahead_log(connection: &Connection) -> Result<(), Error> {
    let mut waited = Duration::ZERO;
    loop {
        let mode = connection
            .query_row("PRAGMA journal_mode = WAL", [], |row| row.get::<_, String>(0))
            .or_store_error();
        match mode {
            Ok(mode) if mode == "wal" => return Ok(()),
            Ok(_) => {
                return Err(error::unusable("the file system does not support SQLite's write-ahead log"));
            }
            Err(error)
                if error.kind() == ErrorKind::Store(StoreErrorKind::Locked) && waited < OPEN_TIMEOUT =>
            {
                thread::sleep(NAP);
                waited += NAP;
            }
            Err(error) => return Err(error),
        }
    }
}
