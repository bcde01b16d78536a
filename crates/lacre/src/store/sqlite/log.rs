//! The write-ahead log. A thread copies it into the file, so that writers do not wait for the disk
//! unless it cannot keep up.
//!
//! Pages in the log are committed. The checkpoint copies them to the file and frees the log for new
//! pages.

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

/// The number of new pages that starts a checkpoint: 4 MiB.
const CHECKPOINT_PAGES: u32 = 1000;

/// The number of pages from which writers wait for the checkpoint: 16 MiB.
const MAX_PAGES: u32 = 4 * CHECKPOINT_PAGES;

/// How long the thread waits for the locks of other processes, and between two tries. Writers of
/// all processes may wait for it meanwhile.
const TRY_INTERVAL: Duration = Duration::from_millis(5);

/// How often it tries to restart the log, and the highest multiple of that for a longer log: a
/// reader that never ends delays a writer this long.
const TRIES: u32 = 5;
const MAX_TRY_FACTOR: u32 = 4;

#[derive(Debug, Default)]
pub(super) struct Log {
    /// The number of pages after the last write of this process.
    pages: Arc<AtomicU32>,
    work: Mutex<Work>,
}

#[derive(Debug, Default)]
struct Work {
    thread: Option<JoinHandle<()>>,
    /// The number of pages when the thread started.
    begun: u32,
}

impl Log {
    /// Counts the pages after each write of `writer`, instead of the automatic checkpoint of
    /// SQLite, which would run on the writer.
    pub(super) fn follow(&self, writer: &mut Connection) -> Result<(), Error> {
        let pages = Arc::clone(&self.pages);
        let count = move |_: &mut Wal, now: i32| {
            pages.store(now.unsigned_abs(), Ordering::Relaxed);
            Ok(())
        };
        writer.wal_hook(Some(count)).or_store_error()
    }

    /// Starts a checkpoint after a write, if the log is long enough. `false`: the log is too long
    /// and a checkpoint is running; call again after a nap.
    pub(super) fn checkpoint_if_long(&self, place: &Arc<Place>, options: &Options) -> bool {
        let pages = self.pages.load(Ordering::Relaxed);
        if pages < CHECKPOINT_PAGES {
            return true;
        }
        let mut work = self.work();
        let more = pages.checked_sub(work.begun).is_none_or(|more| more >= CHECKPOINT_PAGES);
        if !more {
            return true;
        }
        if work.is_running() {
            return pages < MAX_PAGES;
        }
        work.finish();
        let (place, options) = (Arc::clone(place), options.clone());
        // A guarded thread starts this one and may wait for it: no fork may happen before it ends,
        // and it must not wait for a fork.
        let guard = ForkGuard::nested();
        let work_on_thread = move || {
            let _guard = guard;
            // A failed checkpoint is repeated after later writes.
            let _ = run_checkpoint(&place, &options, pages);
        };
        work.thread = thread::Builder::new().name("lacre-log".into()).spawn(work_on_thread).ok();
        work.begun = pages;
        true
    }

    /// Whether a checkpoint is running.
    pub(super) fn is_running(&self) -> bool {
        self.work().is_running()
    }

    /// Waits for the running checkpoint, if there is one.
    pub(super) fn join(&self) {
        self.work().finish();
    }

    fn work(&self) -> MutexGuard<'_, Work> {
        // A thread that panicked has ended.
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Work {
    fn is_running(&self) -> bool {
        self.thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }

    fn finish(&mut self) {
        if let Some(thread) = self.thread.take() {
            // Pages that it did not copy are still in the log.
            let _ = thread.join();
        }
    }
}

/// Copies what it can without blocking other processes. If the log is still long, restarts it. An
/// error of the disk shows at the next write.
fn run_checkpoint(place: &Place, options: &Options, pages: u32) -> Result<(), Error> {
    let mut connection = connection::connect(place, options)?;
    wait_for_locks(&mut connection, TRY_INTERVAL)?;
    let checkpoint = |mode| connection.wal_checkpoint_v2(None::<&str>, mode);
    // Fails while another process runs a checkpoint, which is enough.
    let left = checkpoint(CheckpointMode::PASSIVE).map_or(pages, |(pages, _)| pages.unsigned_abs());
    if left <= MAX_PAGES / 2 {
        return Ok(());
    }
    // A checkpoint that meets another one waits, and so do the writers of its process: the other
    // one needs the lock that they keep taking.
    let tries = TRIES * (left / MAX_PAGES).clamp(1, MAX_TRY_FACTOR);
    for _ in 0..tries {
        if checkpoint(CheckpointMode::RESTART).is_ok() {
            break;
        }
        thread::sleep(TRY_INTERVAL);
    }
    Ok(())
}

/// Waits for the thread, so that it does not outlive the store.
impl Drop for Log {
    fn drop(&mut self) {
        self.join();
    }
}
