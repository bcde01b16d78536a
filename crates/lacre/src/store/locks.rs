//! Waits for the locks of other processes without blocking a thread: an attempt that finds the lock
//! taken is repeated after a nap, which is a future.

#![cfg_attr(not(feature = "sqlite"), expect(dead_code, reason = "only SQLite locks out readers"))]

use crate::clock::MonotonicTime;
use crate::{Error, ErrorKind, StoreErrorKind};
use std::fmt;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

/// Why a lock is needed, which decides how long to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// To answer a request.
    Read,
    /// To write or remove a response. Waits for [`TURNS`] while other processes take turns with the
    /// lock, but only for [`STUCK`] while one process keeps it. After that, no write waits until
    /// one succeeds: a lock that is kept delays one request, not all.
    Write,
    /// To take a lease, which is advisory.
    Lease,
    /// For maintenance, whose caller waits for it.
    Upkeep,
}

/// The longest wait for a lock.
pub(super) const MAX_WAIT: Duration = Duration::from_secs(5);

/// The longest wait of a write while other processes take turns with the lock.
const TURNS: Duration = Duration::from_secs(2);

/// The longest wait while one process keeps the lock.
pub(super) const STUCK: Duration = Duration::from_millis(800);

/// The longest wait for a lease.
const LEASE: Duration = Duration::from_millis(50);

/// The time between two attempts. With longer naps, a process loses against others that take the
/// lock without a break (decision 7).
const NAP: Duration = Duration::from_millis(1);

/// How long the waking thread waits for another nap before it ends.
const IDLE: Duration = Duration::from_secs(1);

/// The lock waits of one store.
#[derive(Debug, Default)]
pub(super) struct Locks {
    reads: GivenUp,
    writes: GivenUp,
    alarm: Arc<Alarm>,
}

impl Locks {
    /// Repeats an attempt until it succeeds, fails with another error than
    /// [`StoreErrorKind::Locked`], or its purpose allows no longer wait. `turns` is a number that
    /// changes while other processes write; `None`: it is not known.
    ///
    /// An attempt that finds the lock taken must not have changed anything.
    pub(super) async fn wait<T>(
        &self,
        purpose: Purpose,
        turns: impl Fn() -> Option<u64> + Send,
        mut attempt: impl FnMut() -> Result<T, Error> + Send,
    ) -> Result<T, Error> {
        let error = match attempt() {
            Err(error) if is_locked(&error) => error,
            done => return self.done(purpose, done),
        };
        let given_up = self.given_up(purpose);
        let mut turn = turns();
        if given_up.is_some_and(|given_up| given_up.stands(turn)) {
            return Err(error.repeated());
        }
        let mut last = error;
        let (longest, stuck) = match purpose {
            Purpose::Read => (STUCK, STUCK),
            Purpose::Write => (TURNS, STUCK),
            Purpose::Lease => (LEASE, LEASE),
            Purpose::Upkeep => (MAX_WAIT, MAX_WAIT),
        };
        let (begun, mut since) = (MonotonicTime::now(), MonotonicTime::now());
        while begun.elapsed() < longest && since.elapsed() < stuck {
            self.nap().await;
            last = match attempt() {
                Err(error) if is_locked(&error) => error,
                done => return self.done(purpose, done),
            };
            let now = turns();
            if now.is_some() && now != turn {
                (turn, since) = (now, MonotonicTime::now());
            }
            if given_up.is_some_and(|given_up| given_up.stands(now)) {
                return Err(last.repeated());
            }
        }
        // A failed lease is not reported, so it must leave the report to a write.
        let first = purpose == Purpose::Lease
            || given_up.is_none_or(|given_up| given_up.give_up(turn, begun.elapsed() >= longest));
        Err(if first { last } else { last.repeated() })
    }

    /// A future that resolves when the next attempt is due.
    pub(super) fn nap(&self) -> Nap<'_> {
        Nap { alarm: &self.alarm, end: MonotonicTime::after(NAP) }
    }

    fn done<T>(&self, purpose: Purpose, done: Result<T, Error>) -> Result<T, Error> {
        if done.is_ok()
            && purpose != Purpose::Lease
            && let Some(given_up) = self.given_up(purpose)
        {
            given_up.given_up.store(false, Ordering::Relaxed);
        }
        done
    }

    fn given_up(&self, purpose: Purpose) -> Option<&GivenUp> {
        match purpose {
            Purpose::Read => Some(&self.reads),
            Purpose::Write | Purpose::Lease => Some(&self.writes),
            Purpose::Upkeep => None,
        }
    }
}

/// Whether a wait failed, and at which turn of other processes.
#[derive(Debug, Default)]
struct GivenUp {
    given_up: AtomicBool,
    /// Whether it failed although others took turns: then a new turn is no reason to wait again.
    for_good: AtomicBool,
    turn: AtomicU64,
}

impl GivenUp {
    /// Whether it still holds: other processes have not written since.
    fn stands(&self, turn: Option<u64>) -> bool {
        self.given_up.load(Ordering::Relaxed)
            && (self.for_good.load(Ordering::Relaxed)
                || turn.is_none_or(|turn| turn == self.turn.load(Ordering::Relaxed)))
    }

    /// Notes a failed wait. Returns whether it is the first.
    fn give_up(&self, turn: Option<u64>, for_good: bool) -> bool {
        self.for_good.store(for_good, Ordering::Relaxed);
        self.turn.store(turn.unwrap_or_default(), Ordering::Relaxed);
        !self.given_up.swap(true, Ordering::Relaxed)
    }
}

fn is_locked(error: &Error) -> bool {
    error.kind() == ErrorKind::Store(StoreErrorKind::Locked)
}

/// A future that resolves after [`NAP`], under any executor.
pub(super) struct Nap<'a> {
    alarm: &'a Arc<Alarm>,
    end: MonotonicTime,
}

impl Future for Nap<'_> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let left = self.end.remaining();
        if left.is_zero() {
            return Poll::Ready(());
        }
        if self.alarm.set(self.end, context.waker()) {
            return Poll::Pending;
        }
        // No thread could be started, so this one sleeps.
        thread::sleep(left);
        Poll::Ready(())
    }
}

/// Wakes napping tasks, on a thread that runs while there are any.
#[derive(Default)]
struct Alarm {
    naps: Mutex<Naps>,
    added: Condvar,
}

#[derive(Default)]
struct Naps {
    list: Vec<(MonotonicTime, Waker)>,
    /// Whether the thread runs.
    watched: bool,
}

impl Alarm {
    /// Wakes `waker` at `end`. `false`: no thread could be started.
    fn set(self: &Arc<Self>, end: MonotonicTime, waker: &Waker) -> bool {
        let mut naps = self.naps();
        if !naps.watched {
            let alarm = Arc::clone(self);
            let watch = thread::Builder::new().name("lacre-locks".into()).spawn(move || alarm.watch());
            if watch.is_err() {
                return false;
            }
            naps.watched = true;
        }
        naps.list.push((end, waker.clone()));
        self.added.notify_one();
        true
    }

    fn watch(&self) {
        let mut naps = self.naps();
        loop {
            let next = naps.list.iter().map(|(end, _)| *end).min();
            let time = next.map_or(IDLE, MonotonicTime::remaining);
            if !time.is_zero() {
                let (waited, timeout) =
                    self.added.wait_timeout(naps, time).unwrap_or_else(PoisonError::into_inner);
                naps = waited;
                if next.is_none() && timeout.timed_out() && naps.list.is_empty() {
                    naps.watched = false;
                    return;
                }
                continue;
            }
            let due: Vec<_> = naps.list.extract_if(.., |(end, _)| end.remaining().is_zero()).collect();
            // A waker may run any code, so it is called without the lock.
            drop(naps);
            due.into_iter().for_each(|(_, waker)| waker.wake());
            naps = self.naps();
        }
    }

    fn naps(&self) -> MutexGuard<'_, Naps> {
        // No foreign code runs under this lock.
        self.naps.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Alarm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Alarm").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wait;
    use std::cell::Cell;

    fn locked() -> Error {
        Error::store(StoreErrorKind::Locked, "taken")
    }

    /// Attempts that always find the lock taken. Returns their number and the error.
    fn failed_wait(locks: &Locks, purpose: Purpose, turns: impl Fn() -> Option<u64> + Send) -> (u32, Error) {
        let mut attempts = 0;
        let waited = wait(locks.wait(purpose, turns, || {
            attempts += 1;
            Err::<(), _>(locked())
        }));
        (attempts, waited.unwrap_err())
    }

    #[test]
    fn kept_lock_is_waited_for_and_reported_once() {
        let locks = Locks::default();
        let (attempts, error) = failed_wait(&locks, Purpose::Write, || Some(1));
        assert!(attempts > 1 && !error.is_repeated());
        for _ in 0..3 {
            let (attempts, error) = failed_wait(&locks, Purpose::Write, || Some(1));
            assert!(attempts == 1 && error.is_repeated());
        }
        let (attempts, _) = failed_wait(&locks, Purpose::Read, || None);
        assert!(attempts > 1, "reads are counted apart");
        wait(locks.wait(Purpose::Write, || None, || Ok(()))).unwrap();
        let (attempts, error) = failed_wait(&locks, Purpose::Write, || Some(1));
        assert!(attempts > 1 && !error.is_repeated(), "a write succeeded meanwhile");
    }

    #[test]
    fn write_waits_longer_while_others_take_turns() {
        let locks = Locks::default();
        let begun = MonotonicTime::now();
        let (turn, mut attempts) = (AtomicU64::new(0), 0);
        let done = wait(locks.wait(
            Purpose::Write,
            || Some(turn.fetch_add(1, Ordering::Relaxed)),
            || {
                attempts += 1;
                if begun.elapsed() > STUCK * 2 { Ok(()) } else { Err(locked()) }
            },
        ));
        assert!(done.is_ok() && attempts > 1);
    }

    #[test]
    fn busy_writers_are_waited_for_once() {
        let locks = Locks::default();
        let turn = AtomicU64::new(0);
        let turns = || Some(turn.fetch_add(1, Ordering::Relaxed));
        let (_, error) = failed_wait(&locks, Purpose::Write, turns);
        assert!(!error.is_repeated());
        let (attempts, error) = failed_wait(&locks, Purpose::Write, turns);
        assert!(attempts == 1 && error.is_repeated());
    }

    #[test]
    fn lease_waits_briefly_and_leaves_the_report_to_a_write() {
        let locks = Locks::default();
        let (attempts, _) = failed_wait(&locks, Purpose::Lease, || None);
        assert!(attempts > 1);
        let (_, error) = failed_wait(&locks, Purpose::Write, || None);
        assert!(!error.is_repeated());
        assert_eq!(
            failed_wait(&locks, Purpose::Lease, || None).0,
            1,
            "a write failed to get the lock already"
        );
    }

    #[test]
    fn waiting_task_blocks_no_other_task_of_its_thread() {
        use futures_util::future::{join, ready};
        let locks = Locks::default();
        let other = Cell::new(0);
        let waiting = async {
            // Pending at least once, so that the other future runs in between.
            locks.nap().await;
            other.get()
        };
        let working = async {
            other.set(1);
            ready(()).await;
        };
        assert_eq!(wait(join(waiting, working)).0, 1);
    }

    #[test]
    fn naps_end_and_their_thread_ends_after_them() {
        let locks = Locks::default();
        for _ in 0..2 {
            thread::scope(|scope| {
                for _ in 0..8 {
                    scope.spawn(|| (0..20).for_each(|_| wait(locks.nap())));
                }
            });
            while locks.alarm.naps().watched {
                thread::sleep(Duration::from_millis(10));
            }
        }
    }
}
