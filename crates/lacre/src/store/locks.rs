//! Waiting for the lock of another process. Nothing here holds up the thread that it runs on: an attempt that finds the lock taken is made
//! again after a nap, which is a future, so that the tasks of an executor go on meanwhile.

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

/// What is waited for, which decides how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// A request is being answered.
    Read,
    /// A response or its removal is written. Waits as long as others take turns with the lock ([`TURNS`]), and [`STUCK`] for one who keeps it.
    /// Then nobody waits again until a write succeeds, so that a lock that is kept costs one request a moment, and the next ones nothing.
    Write,
    /// A lease, which is advice.
    Lease,
    /// Somebody asked for maintenance, and waits for it.
    Upkeep,
}

/// The longest that a lock is waited for.
pub(super) const LONGEST: Duration = Duration::from_secs(5);

/// How long a write waits while others take turns with the lock.
const TURNS: Duration = Duration::from_secs(2);

/// How long one holder of the lock is waited for.
pub(super) const STUCK: Duration = Duration::from_millis(800);

/// How long a lease is waited for.
const LEASE: Duration = Duration::from_millis(50);

/// How long it is until the next attempt. Who naps longer is passed over where other processes take turns without a break (decision 7).
const NAP: Duration = Duration::from_millis(1);

/// How long the thread that ends naps waits for the next one before it ends itself.
const IDLE: Duration = Duration::from_secs(1);

/// The waiting of one store.
#[derive(Debug, Default)]
pub(super) struct Locks {
    reads: GivenUp,
    writes: GivenUp,
    alarm: Arc<Alarm>,
}

impl Locks {
    /// Attempts something until it fails otherwise than with [`StoreErrorKind::Locked`], or for as long as its purpose allows. `turns` is a number that
    /// changes while other processes are at work; `None`: there is no telling.
    ///
    /// An attempt that finds the lock taken must have done nothing.
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
            Purpose::Upkeep => (LONGEST, LONGEST),
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
        // A lease tells nobody of its failure, and so must leave that to a write.
        let first = purpose == Purpose::Lease
            || given_up.is_none_or(|given_up| given_up.give_up(turn, begun.elapsed() >= longest));
        Err(if first { last } else { last.repeated() })
    }

    /// Until the next attempt.
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

/// That somebody waited in vain, and at which turn of the others.
#[derive(Debug, Default)]
struct GivenUp {
    given_up: AtomicBool,
    /// Whether that was though others were at work: then what they do is no reason to wait again.
    for_good: AtomicBool,
    turn: AtomicU64,
}

impl GivenUp {
    /// Whether that is so still: others have not written since.
    fn stands(&self, turn: Option<u64>) -> bool {
        self.given_up.load(Ordering::Relaxed)
            && (self.for_good.load(Ordering::Relaxed)
                || turn.is_none_or(|turn| turn == self.turn.load(Ordering::Relaxed)))
    }

    /// Whether this is news.
    fn give_up(&self, turn: Option<u64>, for_good: bool) -> bool {
        self.for_good.store(for_good, Ordering::Relaxed);
        self.turn.store(turn.unwrap_or_default(), Ordering::Relaxed);
        !self.given_up.swap(true, Ordering::Relaxed)
    }
}

fn is_locked(error: &Error) -> bool {
    error.kind() == ErrorKind::Store(StoreErrorKind::Locked)
}

/// Resolves after [`NAP`], whoever polls it.
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
        // No thread can be had. A moment of this one is all that is left.
        thread::sleep(left);
        Poll::Ready(())
    }
}

/// Wakes who naps, on a thread that is there while somebody does.
#[derive(Default)]
struct Alarm {
    naps: Mutex<Naps>,
    added: Condvar,
}

#[derive(Default)]
struct Naps {
    list: Vec<(MonotonicTime, Waker)>,
    /// Whether the thread is there.
    watched: bool,
}

impl Alarm {
    /// Wakes `waker` at `end`. `false`: nobody can.
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
            // A waker may run anything.
            drop(naps);
            due.into_iter().for_each(|(_, waker)| waker.wake());
            naps = self.naps();
        }
    }

    fn naps(&self) -> MutexGuard<'_, Naps> {
        // Nothing foreign runs under this lock.
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

    /// Attempts that always find the lock taken: how many, and what came of them.
    fn in_vain(locks: &Locks, purpose: Purpose, turns: impl Fn() -> Option<u64> + Send) -> (u32, Error) {
        let mut attempts = 0;
        let waited = wait(locks.wait(purpose, turns, || {
            attempts += 1;
            Err::<(), _>(locked())
        }));
        (attempts, waited.unwrap_err())
    }

    #[test]
    fn a_lock_that_is_kept_is_waited_for_once_and_told_once() {
        let locks = Locks::default();
        let (attempts, error) = in_vain(&locks, Purpose::Write, || Some(1));
        assert!(attempts > 1 && !error.is_repeated());
        for _ in 0..3 {
            let (attempts, error) = in_vain(&locks, Purpose::Write, || Some(1));
            assert!(attempts == 1 && error.is_repeated());
        }
        let (attempts, _) = in_vain(&locks, Purpose::Read, || None);
        assert!(attempts > 1, "reads are another matter");
        wait(locks.wait(Purpose::Write, || None, || Ok(()))).unwrap();
        let (attempts, error) = in_vain(&locks, Purpose::Write, || Some(1));
        assert!(attempts > 1 && !error.is_repeated(), "a write succeeded meanwhile");
    }

    #[test]
    fn who_takes_turns_with_others_waits_for_longer_than_for_one_who_keeps_the_lock() {
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
    fn who_is_at_work_for_long_is_waited_for_once() {
        let locks = Locks::default();
        let turn = AtomicU64::new(0);
        let turns = || Some(turn.fetch_add(1, Ordering::Relaxed));
        let (_, error) = in_vain(&locks, Purpose::Write, turns);
        assert!(!error.is_repeated());
        let (attempts, error) = in_vain(&locks, Purpose::Write, turns);
        assert!(attempts == 1 && error.is_repeated());
    }

    #[test]
    fn a_lease_is_not_waited_for_long_and_leaves_it_to_a_write_to_tell() {
        let locks = Locks::default();
        let (attempts, _) = in_vain(&locks, Purpose::Lease, || None);
        assert!(attempts > 1);
        let (_, error) = in_vain(&locks, Purpose::Write, || None);
        assert!(!error.is_repeated());
        assert_eq!(in_vain(&locks, Purpose::Lease, || None).0, 1, "a write waited in vain already");
    }

    #[test]
    fn who_waits_holds_up_nobody_on_the_same_thread() {
        use futures_util::future::{join, ready};
        let locks = Locks::default();
        let other = Cell::new(0);
        let waiting = async {
            // Pending at least once, or the other would not run in between.
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
    fn many_naps_end_and_so_does_their_thread() {
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
