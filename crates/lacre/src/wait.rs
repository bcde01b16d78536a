//! Blocking on a future without a runtime, by parking the thread.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

/// Runs `future` to its end on this thread, which sleeps while there is nothing to do.
///
/// A future that answers at once, as those of embedded stores do, costs one poll. A future that needs a reactor (a timer,
/// a socket) must have one running elsewhere.
pub fn wait<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        return output;
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
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
    fn what_is_ready_is_returned_at_once() {
        assert_eq!(wait(async { 7 }), 7);
    }

    #[test]
    fn a_wake_from_another_thread_resumes_the_sleeper() {
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
