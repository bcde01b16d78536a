//! Forking a process that has a cache open: a fork waits until no thread uses a store.
//!
//! A forked child has one thread, but the locks of all threads: a lock that another thread held at
//! the fork, in SQLite for instance, is never released. A thread that forks calls [`before`] and
//! [`wait_until_quiet`], then [`after_in_parent`] or [`after_in_child`]. A thread that uses a store
//! holds a [`ForkGuard`] meanwhile; so do the threads that a store starts itself.
//!
//! The state is two counters and no lock, since a child would inherit a locked lock.

use crate::clock::MonotonicTime;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

static GUARDS: AtomicUsize = AtomicUsize::new(0);
/// The number of threads that are about to fork.
static FORKING: AtomicUsize = AtomicUsize::new(0);

/// The sleep between two checks.
const POLL_INTERVAL: Duration = Duration::from_micros(50);

/// The longest that a fork waits. A write may wait longer for the lock of another process; a child
/// that uses the store may then hang.
const FORK_TIMEOUT: Duration = Duration::from_secs(10);

/// Marks the current thread as one that uses a store. Forks wait until every guard is dropped.
#[derive(Debug)]
pub struct ForkGuard(());

impl ForkGuard {
    /// Creates a guard. Waits while another thread forks.
    #[must_use]
    pub fn enter() -> Self {
        loop {
            let guard = Self::nested();
            if FORKING.load(Ordering::SeqCst) == 0 {
                return guard;
            }
            drop(guard);
            thread::sleep(POLL_INTERVAL);
        }
    }

    /// Creates a guard for a thread that a guarded thread starts, and may wait for: it does not
    /// wait for a fork.
    pub(crate) fn nested() -> Self {
        GUARDS.fetch_add(1, Ordering::SeqCst);
        Self(())
    }
}

impl Drop for ForkGuard {
    fn drop(&mut self) {
        GUARDS.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Makes threads that are about to use a store wait. Call it before a fork, then
/// [`wait_until_quiet`].
pub fn before() {
    FORKING.fetch_add(1, Ordering::SeqCst);
}

/// Waits until no thread uses a store. Returns `false` after ten seconds.
pub fn wait_until_quiet() -> bool {
    let deadline = MonotonicTime::after(FORK_TIMEOUT);
    while !is_quiet() {
        if deadline.remaining().is_zero() {
            return false;
        }
        thread::sleep(POLL_INTERVAL);
    }
    true
}

/// Whether no thread uses a store.
#[must_use]
pub fn is_quiet() -> bool {
    GUARDS.load(Ordering::SeqCst) == 0
}

/// Lets waiting threads continue, unless another thread is about to fork.
pub fn after_in_parent() {
    FORKING.fetch_sub(1, Ordering::SeqCst);
}

/// Resets the counters in a child, where only the calling thread exists.
pub fn after_in_child() {
    GUARDS.store(0, Ordering::SeqCst);
    FORKING.store(0, Ordering::SeqCst);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn fork_waits_for_guards_and_blocks_new_ones_while_any_thread_forks() {
        let guard = ForkGuard::enter();
        before();
        before();
        assert!(!is_quiet());
        let (sender, receiver) = mpsc::channel();
        let entering = thread::spawn(move || {
            let _guard = ForkGuard::enter();
            sender.send(()).unwrap();
        });
        // A nested guard does not wait for the fork; the fork waits for it.
        drop((guard, ForkGuard::nested()));
        assert!(wait_until_quiet());
        after_in_parent();
        assert!(receiver.recv_timeout(Duration::from_millis(50)).is_err(), "another thread is about to fork");
        after_in_parent();
        receiver.recv().unwrap();
        entering.join().unwrap();
    }
}
