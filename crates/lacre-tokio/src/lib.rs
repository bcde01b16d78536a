//! The [`Runtime`] of drivers whose client runs on Tokio.
//!
//! A [`Driver`](lacre::Driver) needs a runtime for two things: a timer, to stop waiting for an
//! identical request, and tasks, to refresh a stale response in the background. [`Tokio`] provides
//! both, and `lacre-reqwest` and `lacre-tower` share it. Applications do not need this crate; it is
//! for drivers.
//!
//! ```
//! use lacre::Runtime;
//! use lacre_tokio::Tokio;
//! use std::time::Duration;
//!
//! assert!(Tokio::current().is_none(), "no runtime has been entered");
//!
//! // This runtime has no timers. The adapter needs none.
//! let runtime = tokio::runtime::Builder::new_current_thread().build()?;
//! runtime.block_on(async {
//!     let tokio = Tokio::current().expect("block_on enters the runtime");
//!     tokio.sleep(Duration::from_millis(1)).await;
//! });
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! The crate has one module and no features.

use futures_timer::Delay;
use lacre::Runtime;
use std::time::Duration;
use tokio::runtime::Handle;

/// A handle to a Tokio runtime.
///
/// Tasks run on that runtime. Sleeps use a timer thread of their own, because a Tokio runtime may
/// have been built without [`enable_time`](tokio::runtime::Builder::enable_time), and
/// `tokio::time::sleep` panics there. Tokio's paused test clock therefore does not move them.
#[derive(Clone, Debug)]
pub struct Tokio(Handle);

impl Tokio {
    /// The runtime that the caller runs on, or `None` outside of one.
    #[must_use]
    pub fn current() -> Option<Self> {
        Handle::try_current().ok().map(Self)
    }
}

impl From<Handle> for Tokio {
    fn from(handle: Handle) -> Self {
        Self(handle)
    }
}

impl Runtime for Tokio {
    async fn sleep(&self, time: Duration) {
        Delay::new(time).await;
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.0.spawn(task);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    #[test]
    fn a_thread_outside_a_runtime_has_no_current_one() {
        assert!(Tokio::current().is_none());
    }

    #[test]
    fn a_runtime_without_timers_can_sleep() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let time = Duration::from_millis(5);
        let begun = Instant::now();
        runtime.block_on(async { Tokio::current().unwrap().sleep(time).await });
        assert!(begun.elapsed() >= time);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn a_spawned_task_runs_although_nobody_awaits_it() {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        Tokio::current().unwrap().spawn(async { sender.send(7).unwrap() });
        assert_eq!(receiver.await.unwrap(), 7);
    }
}
