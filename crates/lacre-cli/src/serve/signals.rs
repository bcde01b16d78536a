//! The signals that control `lacre serve`: SIGINT and SIGTERM end it, SIGHUP reloads it, SIGUSR1
//! reopens the access log.

use std::io;
#[cfg(unix)]
use std::io::IsTerminal;

/// The meaning of a signal.
pub(crate) enum Signal {
    End,
    Reload,
    ReopenLog,
}

/// Receives the signals of this process.
#[cfg(unix)]
pub(crate) struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
    hangup: tokio::signal::unix::Signal,
    user: tokio::signal::unix::Signal,
    started_in_terminal: bool,
}

#[cfg(unix)]
impl Signals {
    /// # Errors
    /// The system does not let the process receive them.
    pub(crate) fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
            user: signal(SignalKind::user_defined1())?,
            started_in_terminal: io::stderr().is_terminal(),
        })
    }

    pub(crate) async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.interrupt.recv() => Signal::End,
            _ = self.terminate.recv() => Signal::End,
            // Without the terminal it was started in, SIGHUP means that the terminal was closed.
            _ = self.hangup.recv() => match self.started_in_terminal && !io::stderr().is_terminal() {
                true => Signal::End,
                false => Signal::Reload,
            },
            _ = self.user.recv() => Signal::ReopenLog,
        }
    }
}

/// Receives the signals of this process.
#[cfg(not(unix))]
pub(crate) struct Signals;

#[cfg(not(unix))]
impl Signals {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self)
    }

    pub(crate) async fn next(&mut self) -> Signal {
        // If the signal cannot be waited for, it ends the process itself.
        let _ = tokio::signal::ctrl_c().await;
        Signal::End
    }
}
