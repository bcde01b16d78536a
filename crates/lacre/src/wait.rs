//! Blocks on a future without a runtime, by parking the thread.

use crate::clock::MonotonicTime;
use std::cell::Cell;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

/// Runs `future` to completion on this thread, which sleeps while the future is pending.
///
/// A future that is ready at once, as those of embedded stores are, costs one poll. A future that
/// needs a reactor (a timer, a socket) must have one running on another thread.
pub fn wait<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    if let (Poll::Ready(output), _) = poll(future.as_mut(), &mut Context::from_waker(Waker::noop())) {
        return output;
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    loop {
        match poll(future.as_mut(), &mut context) {
            (Poll::Ready(output), _) => return output,
            (Poll::Pending, None) => thread::park(),
            (Poll::Pending, Some(next_poll)) => thread::park_timeout(next_poll.remaining()),
        }
    }
}

/// Polls `future`, which may call [`wait`] itself. Also returns when it must be polled again
/// without a wake.
fn poll<F: Future>(
    future: Pin<&mut F>,
    context: &mut Context<'_>,
) -> (Poll<F::Output>, Option<MonotonicTime>) {
    let outer = ALARM.replace(None);
    let polled = future.poll(context);
    (polled, ALARM.replace(outer))
}

thread_local! {
    /// When the future that this thread polls must be polled again without a wake.
    static ALARM: Cell<Option<MonotonicTime>> = const { Cell::new(None) };
}

/// Resolves after a duration, without a timer: a thread in [`wait`] sleeps no longer than that.
/// Other executors are not woken.
pub(crate) struct Pause(MonotonicTime);

impl Pause {
    pub(crate) fn new(time: Duration) -> Self {
        Self(MonotonicTime::after(time))
    }
}

impl Future for Pause {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        if self.0.remaining().is_zero() {
            return Poll::Ready(());
        }
        let earliest = ALARM.get().map_or(self.0, |alarm| alarm.min(self.0));
        ALARM.set(Some(earliest));
        Poll::Pending
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;
    use std::time::Duration;

    #[test]
    fn ready_future_is_returned_at_once() {
        assert_eq!(wait(async { 7 }), 7);
    }

    #[test]
    fn pause_ends_by_itself_and_the_shorter_of_two_first() {
        let begun = std::time::Instant::now();
        let (long, short) = (Duration::from_secs(60), Duration::from_millis(10));
        let both = futures_util::future::select(Pause::new(long), Pause::new(short));
        assert!(matches!(wait(both), futures_util::future::Either::Right(_)));
        assert!((short..long).contains(&begun.elapsed()));
    }

    #[test]
    fn nested_wait_keeps_the_outer_pause() {
        let short = Duration::from_millis(10);
        let mut pause = Pause::new(short);
        wait(std::future::poll_fn(move |context| {
            let polled = Pin::new(&mut pause).poll(context);
            wait(Pause::new(Duration::from_millis(1)));
            polled
        }));
    }

    #[test]
    fn wake_from_another_thread_resumes_the_waiting_thread() {
        let (sender, receiver) = mpsc::channel::<Waker>();
        let waking = thread::spawn(move || {
            for waker in receiver {
                thread::sleep(Duration::from_millis(5));
                waker.wake();
            }
        });
        let mut polls = 0;
        wait(std::future::poll_fn(move |context| {
            polls += 1;
            if polls == 4 {
                return Poll::Ready(());
            }
            sender.send(context.waker().clone()).unwrap();
            Poll::Pending
        }));
        waking.join().unwrap();
    }
}
