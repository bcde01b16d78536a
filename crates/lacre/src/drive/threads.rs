//! A runtime for clients that block: threads, and nothing else.

use super::Runtime;
use crate::wait::{Pause, wait};
use std::thread;
use std::time::Duration;

/// The runtime of a client that blocks. A task gets a thread of its own, so there are never more of them than
/// [`Driver::refreshes`](crate::Driver::refreshes) allows; whoever waits does so by [`wait`], and in no other way.
#[derive(Clone, Copy, Debug, Default)]
pub struct Threads;

impl Runtime for Threads {
    fn sleep(&self, time: Duration) -> impl Future<Output = ()> + Send {
        Pause::new(time)
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        // Where the system has no thread to spare, the task is dropped, which gives it up.
        let _ = thread::Builder::new().name("lacre-refresh".into()).spawn(|| wait(task));
    }
}
