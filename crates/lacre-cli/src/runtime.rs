//! The asynchronous runtime of a command.

use crate::exit::{Exit, Failure};

/// Runs work that needs sockets and timers, until it ends or the user interrupts it.
pub(crate) fn interruptible<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        tokio::select! {
            result = work => result,
            _ = tokio::signal::ctrl_c() => Err(Failure::quiet(Exit::Interrupted)),
        }
    })
}
