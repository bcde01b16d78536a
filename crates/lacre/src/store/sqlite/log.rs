//! The write-ahead log: brought into the file on a thread of its own, so that writers do not wait for the disk. Only where the disk does not
//! keep up with them do they wait for it.
//!
//! What is in the log is committed; it is in the file, and its room in the log free for what comes next, when this is done.

use super::Options;
use super::connection::{self, wait_for_locks};
use super::error::ResultExt;
use super::place::Place;
use crate::Error;
use crate::fork::ForkGuard;
use rusqlite::Connection;
use rusqlite::hooks::Wal;
use rusqlite::wal::CheckpointMode;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// From how many pages on it is worth the while, and how many more there are the next time: 4 MiB.
const WORTH: u32 = 1000;

/// With how many pages the log is so long that writers wait: 16 MiB.
const LONG: u32 = 4 * WORTH;

/// How long a thread waits for other processes to let go of what it needs, and between two tries. Writers of all processes may wait for it
/// meanwhile.
const TRY: Duration = Duration::from_millis(5);

/// How often it tries to begin the log anew, and how many times as often where the log is longer yet: a reader that never ends keeps a
/// writer waiting so long.
const TRIES: u32 = 5;
const MOST: u32 = 4;

#[derive(Debug, Default)]
pub(super) struct Log {
    /// How many pages were in it after the last write of this process.
    pages: Arc<AtomicU32>,
    work: Mutex<Work>,
}

#[derive(Debug, Default)]
struct Work {
    thread: Option<JoinHandle<()>>,
    /// How many pages there were when it began.
    begun: u32,
}

impl Log {
    /// Counts the pages after each write of `writer`, in the place of SQLite, which would bring them into the file at once.
    pub(super) fn follow(&self, writer: &mut Connection) -> Result<(), Error> {
        let pages = Arc::clone(&self.pages);
        let count = move |_: &mut Wal, now: i32| {
            pages.store(now.unsigned_abs(), Ordering::Relaxed);
            Ok(())
        };
        writer.wal_hook(Some(count)).or_store_error()
    }

    /// After a write: has the log brought into the file where it is worth the while. `false`: the log is long, and the thread still at it;
    /// to be called again in a moment.
    pub(super) fn bring(&self, place: &Arc<Place>, options: &Options) -> bool {
        let pages = self.pages.load(Ordering::Relaxed);
        if pages < WORTH {
            return true;
        }
        let mut work = self.work();
        let more = pages.checked_sub(work.begun).is_none_or(|more| more >= WORTH);
        if !more {
            return true;
        }
        if work.is_under_way() {
            return pages < LONG;
        }
        work.finish();
        let (place, options) = (Arc::clone(place), options.clone());
        // Begun by who is inside, and waited for: nobody may fork before it ends, and it must not wait for who does.
        let inside = ForkGuard::nested();
        let bring = move || {
            let _inside = inside;
            // What cannot be done now is tried again when more was written.
            let _ = bring(&place, &options, pages);
        };
        work.thread = thread::Builder::new().name("lacre-log".into()).spawn(bring).ok();
        work.begun = pages;
        true
    }

    /// Whether the thread is at work.
    pub(super) fn is_under_way(&self) -> bool {
        self.work().is_under_way()
    }

    /// Waits for the thread, if there is one.
    pub(super) fn rest(&self) {
        self.work().finish();
    }

    fn work(&self) -> MutexGuard<'_, Work> {
        // A thread that panicked has ended.
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Work {
    fn is_under_way(&self) -> bool {
        self.thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }

    fn finish(&mut self) {
        if let Some(thread) = self.thread.take() {
            // Whatever became of it: what is not in the file yet is still in the log.
            let _ = thread.join();
        }
    }
}

/// Brings into the file what can be without being in anybody's way, and where the log is long nevertheless, everything, so that it begins anew.
/// Where the disk fails, the next write says so.
fn bring(place: &Place, options: &Options, pages: u32) -> Result<(), Error> {
    let mut connection = connection::connect(place, options)?;
    wait_for_locks(&mut connection, TRY)?;
    let checkpoint = |mode| connection.wal_checkpoint_v2(None::<&str>, mode);
    // Fails where another process is at it: then it need not be done twice.
    let left = checkpoint(CheckpointMode::PASSIVE).map_or(pages, |(pages, _)| pages.unsigned_abs());
    if left <= LONG / 2 {
        return Ok(());
    }
    // One that finds another at it waits, and so do the writers of its process: that other needs the lock that they keep taking.
    let tries = TRIES * (left / LONG).clamp(1, MOST);
    for _ in 0..tries {
        if checkpoint(CheckpointMode::RESTART).is_ok() {
            break;
        }
        thread::sleep(TRY);
    }
    Ok(())
}

/// Nothing of it is left to do when its store is gone.
impl Drop for Log {
    fn drop(&mut self) {
        self.rest();
    }
}
