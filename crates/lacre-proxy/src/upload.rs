//! [`UploadProgress`]: how fast the body of a request arrives.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::time::Instant;

/// The bytes of a request's body that must arrive in each second, on average, while new connections
/// find no free place.
const MIN_RATE: f64 = 1024.0;

/// The time that an upload may wait for its client before the minimum rate counts.
const GRACE: Duration = Duration::from_secs(5);

/// How fast the body of a request arrives, and whether the proxy has cut it off.
#[derive(Default)]
pub(crate) struct UploadProgress(Mutex<State>);

#[derive(Default)]
struct State {
    bytes: u64,
    /// The time that was spent waiting for the client, without the current wait.
    waited: Duration,
    waiting_since: Option<Instant>,
    is_cut_off: bool,
    reader: Option<Waker>,
}

impl UploadProgress {
    /// Records that a piece of the body arrived.
    pub(crate) fn received(&self, bytes: usize) {
        let mut state = self.state();
        state.bytes += bytes as u64;
        if let Some(since) = state.waiting_since.take() {
            state.waited += since.elapsed();
        }
    }

    /// Records that the reader waits for the client. Ready once the upload is cut off.
    pub(crate) fn poll_cut_off(&self, context: &Context<'_>) -> Poll<()> {
        let mut state = self.state();
        if state.is_cut_off {
            return Poll::Ready(());
        }
        state.waiting_since.get_or_insert_with(Instant::now);
        state.reader = Some(context.waker().clone());
        Poll::Pending
    }

    /// How far the upload is behind the minimum rate. `None` if it keeps the rate, or does not wait
    /// for the client.
    pub(crate) fn delay(&self, now: Instant) -> Option<Duration> {
        let state = self.state();
        let waited = state.waited + now.saturating_duration_since(state.waiting_since?);
        #[expect(clippy::cast_precision_loss, reason = "an estimate")]
        let allowed = Duration::try_from_secs_f64(state.bytes as f64 / MIN_RATE).unwrap_or(Duration::MAX);
        waited.checked_sub(allowed.saturating_add(GRACE)).filter(|delay| !delay.is_zero())
    }

    /// Ends the upload. Its reader reports a timeout.
    pub(crate) fn cut_off(&self) {
        let mut state = self.state();
        state.is_cut_off = true;
        if let Some(reader) = state.reader.take() {
            reader.wake();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No holder of the lock can leave the state half changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
