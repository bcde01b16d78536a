//! Forks of a process that has a cache open: they wait until no thread is inside a store.
//!
//! A child has one thread, and the locks of all: those that another thread held at the fork, in SQLite for instance, are never let go. Who
//! forks calls [`before`], then [`after_in_parent`] and [`after_in_child`]; who calls a store from many threads is [`ForkGuard`] meanwhile. The
//! threads that a store starts itself are, too.
//!
//! Two counters and no lock, since a lock could be in a child's way as well.

use crate::clock::MonotonicTime;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

static INSIDE: AtomicUsize = AtomicUsize::new(0);
/// How many threads are about to fork.
static FORKING: AtomicUsize = AtomicUsize::new(0);

/// How long a thread sleeps before it looks again.
const NAP: Duration = Duration::from_micros(50);

/// The longest that a fork waits. A write may wait for the lock of another process; a child that uses the store may then hang.
const PATIENCE: Duration = Duration::from_secs(10);

/// As long as it lives, no thread that waits in [`before`] goes on.
#[derive(Debug)]
pub struct ForkGuard(());

impl ForkGuard {
    /// Waits while somebody forks.
    #[must_use]
    pub fn enter() -> Self {
        loop {
            let inside = Self::nested();
            if FORKING.load(Ordering::SeqCst) == 0 {
                return inside;
            }
            drop(inside);
            thread::sleep(NAP);
        }
    }

    /// For work that somebody inside hands to another thread, and may wait for: it does not wait itself.
    pub(crate) fn nested() -> Self {
        INSIDE.fetch_add(1, Ordering::SeqCst);
        Self(())
    }
}

impl Drop for ForkGuard {
    fn drop(&mut self) {
        INSIDE.fetch_sub(1, Ordering::SeqCst);
    }
}

/// From now on, threads that want to go inside wait. To be called before a fork; then [`wait_until_quiet`].
pub fn before() {
    FORKING.fetch_add(1, Ordering::SeqCst);
}

/// Waits until nobody is inside; `false`: that takes too long.
pub fn wait_until_quiet() -> bool {
    let latest = MonotonicTime::after(PATIENCE);
    while !is_quiet() {
        if latest.remaining().is_zero() {
            return false;
        }
        thread::sleep(NAP);
    }
    true
}

/// Whether nobody is inside.
#[must_use]
pub fn is_quiet() -> bool {
    INSIDE.load(Ordering::SeqCst) == 0
}

/// The threads that were held back go on, unless another one is about to fork.
pub fn after_in_parent() {
    FORKING.fetch_sub(1, Ordering::SeqCst);
}

/// Nobody but the caller is left.
pub fn after_in_child() {
    INSIDE.store(0, Ordering::SeqCst);
    FORKING.store(0, Ordering::SeqCst);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn who_forks_waits_for_those_inside_and_holds_the_others_back_however_many_fork() {
        let inside = ForkGuard::enter();
        before();
        before();
        assert!(!is_quiet());
        let (sender, receiver) = mpsc::channel();
        let entering = thread::spawn(move || {
            let _inside = ForkGuard::enter();
            sender.send(()).unwrap();
        });
        // Handed on by somebody inside, it need not wait; the fork does.
        drop((inside, ForkGuard::nested()));
        assert!(wait_until_quiet());
        after_in_parent();
        assert!(receiver.recv_timeout(Duration::from_millis(50)).is_err(), "another thread is about to fork");
        after_in_parent();
        receiver.recv().unwrap();
        entering.join().unwrap();
    }
}
