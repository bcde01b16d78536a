//! Taking connections, until a signal; then ending the ones that are there.

use crate::exit::{Exit, Failure};
use crate::output::Output;
use crate::serve::Limits;
use crate::serve::front::Front;
use crate::serve::wire::Wire;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};

/// How long a connection may be without any motion beyond the time in which the origin must have answered: only those that stall
/// themselves get there.
const SLACK: Duration = Duration::from_secs(15);

/// How long to wait where no connection can be accepted, for instance because there are too many files open.
const BREATH: Duration = Duration::from_millis(100);

/// How many requests an HTTP/2 connection may have under way.
const STREAMS: u32 = 128;

/// Serves until SIGINT or SIGTERM, and then until all requests under way are answered; no longer than the grace, or a second signal.
pub(crate) async fn serve(
    listener: TcpListener,
    front: Arc<Front>,
    limits: Limits,
    output: Output,
) -> Result<(), Failure> {
    let mut signals = Signals::new()?;
    let server = Arc::new(server(limits));
    let room = Arc::new(Semaphore::new(limits.max_connections.into()));
    let graceful = GracefulShutdown::new();
    loop {
        let (stream, peer, permit) = tokio::select! {
            accepted = accept(&listener, &room, output) => accepted,
            () = signals.next() => break,
        };
        let wire = Wire::new(stream, limits.answer_timeout.max(limits.idle_timeout) + SLACK);
        let (front, relays) = (Arc::clone(&front), wire.relays());
        let service =
            service_fn(move |request| Arc::clone(&front).answer(request, peer.ip(), relays.clone()));
        let connection = server.serve_connection(TokioIo::new(wire), service).into_owned();
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            // A connection that breaks is the client's own affair.
            let _ = connection.await;
            drop(permit);
        });
    }
    drop(listener);
    tokio::select! {
        ended = timeout(limits.grace, graceful.shutdown()) => match ended {
            Ok(()) => Ok(()),
            Err(_) => Err(Failure::new(Exit::Failed, "some requests did not end in time, and were cut off")
                .with_hint("give them longer: --grace SECONDS")),
        },
        () = signals.next() => Err(Failure::quiet(Exit::Interrupted)),
    }
}

fn server(limits: Limits) -> auto::Builder<TokioExecutor> {
    let mut server = auto::Builder::new(TokioExecutor::new());
    server
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.idle_timeout)
        .max_buf_size(limits.header())
        .max_headers(limits.parsed_lines());
    server
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(limits.max_header);
    server
}

async fn accept(
    listener: &TcpListener,
    room: &Arc<Semaphore>,
    output: Output,
) -> (TcpStream, SocketAddr, Option<OwnedSemaphorePermit>) {
    // The semaphore is never closed, so there is always a permit in the end.
    let permit = Arc::clone(room).acquire_owned().await.ok();
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                // Without it, answers are only slower.
                let _ = stream.set_nodelay(true);
                return (stream, peer, permit);
            }
            Err(error) if is_the_clients(&error) => {}
            Err(error) => {
                output.warn(format_args!("cannot accept connections for now: {error}"));
                sleep(BREATH).await;
            }
        }
    }
}

/// The connection was gone before it was taken.
fn is_the_clients(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset)
}

/// SIGINT and, where there is one, SIGTERM.
struct Signals {
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            #[cfg(unix)]
            terminate: tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?,
        })
    }

    #[cfg(unix)]
    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
    }

    #[cfg(not(unix))]
    async fn next(&mut self) {
        // Where the signal cannot be waited for, it ends the process itself.
        let _ = tokio::signal::ctrl_c().await;
    }
}
