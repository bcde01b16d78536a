//! What a signal asks for: SIGINT and SIGTERM to end, SIGHUP to reload, SIGUSR1 to open the access log anew.

use crate::serve::current::Current;
use std::io::{self, IsTerminal};
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

/// The signals of this process, heard until this is dropped.
pub(crate) struct Signals {
    ends: mpsc::Receiver<()>,
    listening: AbortHandle,
}

impl Signals {
    /// # Errors
    /// The system does not let them be heard.
    pub(crate) fn new(current: Arc<Current>) -> io::Result<Self> {
        // A second signal counts where the first was heard, a third does not matter.
        let (end, ends) = mpsc::channel(2);
        let listening = tokio::spawn(listen(Heard::new()?, current, end)).abort_handle();
        Ok(Self { ends, listening })
    }

    /// Waits until it is to end.
    pub(crate) async fn end(&mut self) {
        if self.ends.recv().await.is_none() {
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

enum Signal {
    End,
    Reload,
    Reopen,
}

async fn listen(mut heard: Heard, current: Arc<Current>, end: mpsc::Sender<()>) {
    loop {
        match heard.next().await {
            // One too many changes nothing.
            Signal::End => drop(end.try_send(())),
            Signal::Reload => current.reload().await,
            Signal::Reopen => current.reopen_log(),
        }
    }
}

#[cfg(unix)]
struct Heard {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
    hangup: tokio::signal::unix::Signal,
    user: tokio::signal::unix::Signal,
    in_terminal: bool,
}

#[cfg(unix)]
impl Heard {
    fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
            user: signal(SignalKind::user_defined1())?,
            in_terminal: io::stderr().is_terminal(),
        })
    }

    async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.interrupt.recv() => Signal::End,
            _ = self.terminate.recv() => Signal::End,
            // The terminal that it was started in is gone.
            _ = self.hangup.recv() => match self.in_terminal && !io::stderr().is_terminal() {
                true => Signal::End,
                false => Signal::Reload,
            },
            _ = self.user.recv() => Signal::Reopen,
        }
    }
}

#[cfg(not(unix))]
struct Heard;

#[cfg(not(unix))]
impl Heard {
    fn new() -> io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) -> Signal {
        // Where the signal cannot be waited for, it ends the process itself.
        let _ = tokio::signal::ctrl_c().await;
        Signal::End
    }
}
