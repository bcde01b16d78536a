//! A runtime of plain threads, for clients that block.

use super::Runtime;
use crate::wait::{Pause, wait};
use std::thread;
use std::time::Duration;

/// The runtime of a client that blocks. Each task gets a thread, and there are at most
/// [`Driver::refreshes`](crate::Driver::refreshes) of them. Futures must be awaited by [`wait`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Threads;

impl Runtime for Threads {
    fn sleep(&self, time: Duration) -> impl Future<Output = ()> + Send {
        Pause::new(time)
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        // If the system has no thread left, the task is dropped, and its request is given up.
        let _ = thread::Builder::new().name("lacre-refresh".into()).spawn(|| wait(task));
    }
}
