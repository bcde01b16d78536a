//! Keeps leases up for as long as their requests are under way: one task prolongs all of a driver's, and ends with the last. It ends with the
//! process, too, and then the others find the leases free soon.

use super::Runtime;
use crate::cache::Held;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// The leases of a driver. Clones are the same leases.
#[derive(Clone, Default)]
pub(super) struct Leases(Arc<Mutex<Kept>>);

#[derive(Default)]
struct Kept {
    /// Those that were dropped are found out at the next beat.
    held: Vec<Weak<Held>>,
    beats: bool,
}

impl Leases {
    /// Prolongs `held` until it is dropped.
    pub(super) fn keep<R: Runtime>(&self, held: &Arc<Held>, runtime: &R) {
        let mut kept = self.kept();
        kept.held.push(Arc::downgrade(held));
        if !std::mem::replace(&mut kept.beats, true) {
            drop(kept);
            let (mut beating, timer) = (Beating(Some(self.clone())), runtime.clone());
            runtime.spawn(async move {
                while let Some(held) = beating.next(&timer).await {
                    for held in held {
                        held.prolong().await;
                    }
                }
            });
        }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        // Nothing foreign runs under the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// That a task prolongs the leases. Where its runtime ends it, or never begins it, the next lease brings another.
struct Beating(Option<Leases>);

impl Beating {
    /// What is to be prolonged, when it is time. `None`: nothing is, and this is over.
    async fn next<R: Runtime>(&mut self, timer: &R) -> Option<Vec<Arc<Held>>> {
        timer.sleep(Held::BEAT).await;
        let leases = self.0.as_ref()?;
        let mut kept = leases.kept();
        kept.held.retain(|held| held.strong_count() > 0);
        let held: Vec<_> = kept.held.iter().filter_map(Weak::upgrade).collect();
        if held.is_empty() {
            kept.beats = false;
            drop(kept);
            self.0 = None;
            return None;
        }
        Some(held)
    }
}

impl Drop for Beating {
    fn drop(&mut self) {
        if let Some(leases) = &self.0 {
            leases.kept().beats = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::Lease;
    use crate::store::{LeaseHolder, Memory, Store};
    use crate::{Cache, Clock, ManualClock, wait};
    use futures_channel::oneshot;
    use lacre_core::{Key, Timestamp};
    use std::sync::mpsc;
    use std::thread;
    use std::time::Duration;

    /// A runtime whose time passes when it is told to: each sleep is handed out.
    #[derive(Clone)]
    struct Told(mpsc::Sender<oneshot::Sender<()>>);

    impl Runtime for Told {
        async fn sleep(&self, _: Duration) {
            let (end, slept) = oneshot::channel();
            if self.0.send(end).is_ok() {
                let _ = slept.await;
            }
        }

        fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
            thread::spawn(|| wait(task));
        }
    }

    struct World {
        store: Arc<Memory>,
        clock: Arc<ManualClock>,
        cache: Cache,
        leases: Leases,
        told: Told,
        sleeps: mpsc::Receiver<oneshot::Sender<()>>,
    }

    fn world() -> World {
        let store = Arc::new(Memory::new().unwrap());
        let clock = Arc::new(ManualClock::new(Timestamp::from_millis(1_000_000)));
        let builder = Cache::builder().store(Arc::clone(&store)).danger_ephemeral_key();
        let cache = builder.clock(Arc::clone(&clock)).build().unwrap();
        let (sender, sleeps) = mpsc::channel();
        World { store, clock, cache, leases: Leases::default(), told: Told(sender), sleeps }
    }

    const KEY: Key = Key::from_bytes([1; 32]);

    impl World {
        fn hold(&self) -> Arc<Held> {
            let Lease::Here(held) = wait(self.cache.lease(&KEY)) else { panic!("somebody has it") };
            let held = Arc::new(held);
            self.leases.keep(&held, &self.told);
            held
        }

        /// Whether somebody else, who then has it for no time at all, can take the lease.
        fn is_free(&self) -> bool {
            let now = self.clock.now();
            wait(self.store.lease(&KEY, LeaseHolder::generate().unwrap(), now, now)).unwrap()
        }

        /// Lets a sleep end, and waits for the next.
        fn beat(&self, sleep: oneshot::Sender<()>) -> Option<oneshot::Sender<()>> {
            sleep.send(()).unwrap();
            self.sleeps.recv_timeout(Duration::from_secs(10)).ok()
        }
    }

    #[test]
    fn a_lease_lasts_as_long_as_it_is_kept() {
        let world = world();
        let held = world.hold();
        let mut sleep = world.sleeps.recv().unwrap();
        for _ in 0..10 {
            world.clock.advance(Held::BEAT * 3);
            sleep = world.beat(sleep).unwrap();
            assert!(!world.is_free());
        }
        drop(held);
        assert!(world.is_free());
    }

    #[test]
    fn a_lease_of_a_process_that_is_gone_ends_by_itself() {
        let world = world();
        let _held = world.hold();
        world.clock.advance(Held::BEAT * 3);
        assert!(!world.is_free());
        world.clock.advance(Held::BEAT);
        assert!(world.is_free());
    }

    #[test]
    fn one_task_keeps_all_leases_and_ends_with_the_last() {
        let World { leases, told, sleeps, cache, .. } = world();
        let (one, two) = (Key::from_bytes([1; 32]), Key::from_bytes([2; 32]));
        let keep = |key| {
            let Lease::Here(held) = wait(cache.lease(key)) else { panic!("somebody has it") };
            let held = Arc::new(held);
            leases.keep(&held, &told);
            held
        };
        for _ in 0..2 {
            let held = [keep(&one), keep(&two)];
            let sleep = sleeps.recv().unwrap();
            assert!(sleeps.try_recv().is_err(), "there is one task");
            drop(held);
            sleep.send(()).unwrap();
            while leases.kept().beats {
                thread::yield_now();
            }
        }
    }
}
