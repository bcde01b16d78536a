//! Renewal of leases while their requests are in flight: one task renews all leases of a driver,
//! and ends with the last. If the process ends, its leases expire soon.

use super::Runtime;
use crate::storage::lease::HeldLease;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// The leases of a driver. Clones share them.
#[derive(Clone, Default)]
pub(super) struct LeaseRenewal(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    /// Dropped leases are noticed at the next renewal.
    held: Vec<Weak<HeldLease>>,
    /// Whether the task runs.
    is_running: bool,
}

impl LeaseRenewal {
    /// Renews a lease until it is dropped.
    pub(super) fn add<R: Runtime>(&self, held: &Arc<HeldLease>, runtime: &R) {
        let mut state = self.state();
        state.held.push(Arc::downgrade(held));
        if !std::mem::replace(&mut state.is_running, true) {
            drop(state);
            let (mut task, timer) = (Task(Some(self.clone())), runtime.clone());
            runtime.spawn(async move {
                while let Some(due) = task.next(&timer).await {
                    for held in due {
                        held.renew().await;
                    }
                }
            });
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No foreign code runs under the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The renewing task. If its runtime drops it, or never starts it, the next lease starts another.
struct Task(Option<LeaseRenewal>);

impl Task {
    /// Waits, and returns the leases to renew. `None`: there are none left, and the task ends.
    async fn next<R: Runtime>(&mut self, timer: &R) -> Option<Vec<Arc<HeldLease>>> {
        timer.sleep(HeldLease::RENEWAL_INTERVAL).await;
        let leases = self.0.as_ref()?;
        let mut state = leases.state();
        state.held.retain(|held| held.strong_count() > 0);
        let held: Vec<_> = state.held.iter().filter_map(Weak::upgrade).collect();
        if held.is_empty() {
            state.is_running = false;
            drop(state);
            self.0 = None;
            return None;
        }
        Some(held)
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        if let Some(leases) = &self.0 {
            leases.state().is_running = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::lease::Lease;
    use crate::store::{LeaseHolder, Memory, Store};
    use crate::{Cache, Clock, ManualClock, wait};
    use futures_channel::oneshot;
    use lacre_core::{Key, Timestamp};
    use std::sync::mpsc;
    use std::thread;
    use std::time::Duration;

    /// A runtime whose time passes when it is runtime to: each sleep is handed out.
    #[derive(Clone)]
    struct ManualRuntime(mpsc::Sender<oneshot::Sender<()>>);

    impl Runtime for ManualRuntime {
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
        leases: LeaseRenewal,
        runtime: ManualRuntime,
        sleeps: mpsc::Receiver<oneshot::Sender<()>>,
    }

    fn world() -> World {
        let store = Arc::new(Memory::new().unwrap());
        let clock = Arc::new(ManualClock::new(Timestamp::from_millis(1_000_000)));
        let builder = Cache::builder().store(Arc::clone(&store)).danger_ephemeral_key();
        let cache = builder.clock(Arc::clone(&clock)).build().unwrap();
        let (sender, sleeps) = mpsc::channel();
        World { store, clock, cache, leases: LeaseRenewal::default(), runtime: ManualRuntime(sender), sleeps }
    }

    const KEY: Key = Key::from_bytes([1; 32]);

    impl World {
        fn hold(&self) -> Arc<HeldLease> {
            let Lease::Held(held) = wait(self.cache.storage.lease(&KEY)) else { panic!("somebody has it") };
            let held = Arc::new(held);
            self.leases.add(&held, &self.runtime);
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
            world.clock.advance(HeldLease::RENEWAL_INTERVAL * 3);
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
        world.clock.advance(HeldLease::RENEWAL_INTERVAL * 3);
        assert!(!world.is_free());
        world.clock.advance(HeldLease::RENEWAL_INTERVAL);
        assert!(world.is_free());
    }

    #[test]
    fn one_task_keeps_all_leases_and_ends_with_the_last() {
        let World { leases, runtime, sleeps, cache, .. } = world();
        let (one, two) = (Key::from_bytes([1; 32]), Key::from_bytes([2; 32]));
        let keep = |key| {
            let Lease::Held(held) = wait(cache.storage.lease(key)) else { panic!("somebody has it") };
            let held = Arc::new(held);
            leases.add(&held, &runtime);
            held
        };
        for _ in 0..2 {
            let held = [keep(&one), keep(&two)];
            let sleep = sleeps.recv().unwrap();
            assert!(sleeps.try_recv().is_err(), "there is one task");
            drop(held);
            sleep.send(()).unwrap();
            while leases.state().is_running {
                thread::yield_now();
            }
        }
    }
}
