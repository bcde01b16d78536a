//! Accepts connections until the proxy is shut down, and then drains them.

use crate::client_stream::ClientStream;
use crate::config::Limits;
use crate::connections::{
    AddressLimit, AddressLimitReached, ConnectionGuard, Connections, ResponseInProgress,
};
use crate::current_front::CurrentFront;
use crate::error::Error;
use crate::request_error::RequestError;
use crate::upload::UploadProgress;
use http::Request;
use http_body::Body;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::{GracefulConnection, GracefulShutdown};
use std::convert::Infallible;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// Added to the idle timeout of a connection. The timeouts of its messages end first, and are
/// answered; only a connection that stalls itself reaches this one.
const CONNECTION_SLACK: Duration = Duration::from_secs(15);

/// The pause after a connection could not be accepted, for example because too many files are open.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The number of requests that an HTTP/2 connection may have in progress.
const MAX_STREAMS: u32 = 128;

/// The response to a client whose address has as many connections as it may have.
const ADDRESS_LIMIT_RESPONSE: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: text/plain; charset=utf-8\r\n\
cache-control: no-store\r\nretry-after: 1\r\nconnection: close\r\ncontent-length: 43\r\n\r\n\
too many connections come from one address\n";

/// The phase of a proxy's life, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    Serving,
    /// No new connections; requests in progress may end.
    Draining,
    /// Everything ends at once.
    Aborted,
}

/// Serves until the phase is [`Draining`](Phase::Draining), and then until all requests in progress
/// are answered, at most for the drain timeout or until the phase is [`Aborted`](Phase::Aborted).
pub(crate) async fn serve(
    listener: TcpListener,
    current: Arc<CurrentFront>,
    limits: Limits,
    mut phase: watch::Receiver<Phase>,
    on_accept_error: &(dyn Fn(&io::Error) + Send + Sync),
) -> Result<(), Error> {
    let connections = Connections::new(usize::from(limits.max_connections), limits.connections_per_address());
    let mut acceptor = Acceptor {
        current,
        limits,
        connections,
        graceful: GracefulShutdown::new(),
        // Dropped with this future, which ends the connections that are left.
        tasks: JoinSet::new(),
    };
    tokio::select! {
        never = acceptor.accept_all(&listener, on_accept_error) => match never {},
        () = reached(&mut phase, Phase::Draining) => {}
    }
    drop(listener);
    acceptor.connections.close_idle();
    let Acceptor { graceful, mut tasks, .. } = acceptor;
    tokio::select! {
        drained = timeout(limits.drain_timeout, graceful.shutdown()) => {
            drained.map_err(|_| Error::DrainTimeout)?;
            while tasks.join_next().await.is_some() {}
            Ok(())
        }
        () = reached(&mut phase, Phase::Aborted) => Err(Error::Aborted),
    }
}

/// Waits until the proxy has reached `goal`.
async fn reached(phase: &mut watch::Receiver<Phase>, goal: Phase) {
    if phase.wait_for(|phase| *phase >= goal).await.is_err() {
        // No handle is left that could change the phase.
        std::future::pending::<()>().await;
    }
}

/// Accepts connections and serves each in a task of its own.
struct Acceptor {
    current: Arc<CurrentFront>,
    limits: Limits,
    connections: Arc<Connections>,
    graceful: GracefulShutdown,
    tasks: JoinSet<()>,
}

impl Acceptor {
    async fn accept_all(
        &mut self,
        listener: &TcpListener,
        on_accept_error: &(dyn Fn(&io::Error) + Send + Sync),
    ) -> Infallible {
        let server = server(self.limits);
        loop {
            let (stream, peer) = self.accept(listener, on_accept_error).await;
            // Frees the memory of tasks that have ended.
            while self.tasks.try_join_next().is_some() {}
            let limit = match self.current.front().is_named_proxy(peer.ip()) {
                true => AddressLimit::Exempt,
                false => AddressLimit::Applies,
            };
            let guard = match self.connections.admit(peer.ip(), limit).await {
                Ok(guard) => guard,
                Err(AddressLimitReached) => {
                    // The connection is closed even if the response cannot be written.
                    let _ = stream.try_write(ADDRESS_LIMIT_RESPONSE);
                    continue;
                }
            };
            let connection = self.graceful.watch(serve_connection(
                &server,
                stream,
                peer,
                &guard,
                &self.current,
                self.limits,
            ));
            let current = Arc::clone(&self.current);
            self.tasks.spawn(async move {
                let ended = connection.await;
                // Other errors of a connection concern its client only.
                if let Some(error) = ended.err().and_then(|error| RequestError::of_request_head(&*error)) {
                    current.front().record_unparsed(error, peer.ip());
                }
                drop(guard);
            });
        }
    }

    async fn accept(
        &self,
        listener: &TcpListener,
        on_accept_error: &(dyn Fn(&io::Error) + Send + Sync),
    ) -> (TcpStream, SocketAddr) {
        loop {
            match listener.accept().await {
                Ok((stream, peer)) => {
                    // A failure makes responses slower, not wrong.
                    let _ = stream.set_nodelay(true);
                    return (stream, peer);
                }
                Err(error) if is_gone(&error) => {}
                Err(error) => {
                    on_accept_error(&error);
                    self.connections.close_one();
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

/// Whether the client closed the connection before it was accepted.
fn is_gone(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset)
}

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Serves the requests of one connection. The current front at its arrival answers each.
fn serve_connection(
    server: &auto::Builder<TokioExecutor>,
    stream: TcpStream,
    peer: SocketAddr,
    guard: &ConnectionGuard,
    current: &Arc<CurrentFront>,
    limits: Limits,
) -> impl GracefulConnection<Error = BoxError> + Send + 'static + use<> {
    let connection = guard.connection();
    let idle_timeout = limits.answer_timeout.max(limits.idle_timeout) + CONNECTION_SLACK;
    let stream = ClientStream::new(stream, idle_timeout).with_connection(Arc::clone(&connection));
    let (current, interim) = (Arc::clone(current), stream.interim_queue());
    let service = service_fn(move |mut request: Request<Incoming>| {
        let upload = (!request.body().is_end_stream()).then(Arc::<UploadProgress>::default);
        let in_progress = connection.begin_request(upload.clone());
        if let Some(upload) = upload {
            request.extensions_mut().insert(upload);
        }
        let (front, interim) = (current.front(), interim.clone());
        async move {
            let mut in_progress = in_progress.ok_or(Closing)?;
            let Ok(response) = front.answer(request, peer.ip(), interim).await;
            in_progress.response_began();
            Ok::<_, Closing>(response.map(|body| ResponseInProgress::new(body, in_progress)))
        }
    });
    server.serve_connection(TokioIo::new(stream), service).into_owned()
}

/// A request arrived on a connection that is being closed, and is not answered.
#[derive(Debug)]
struct Closing;

impl fmt::Display for Closing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the connection is being closed")
    }
}

impl std::error::Error for Closing {}

fn server(limits: Limits) -> auto::Builder<TokioExecutor> {
    let mut server = auto::Builder::new(TokioExecutor::new());
    server
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.idle_timeout)
        .max_buf_size(limits.header_bytes())
        .max_headers(limits.parsed_lines());
    server
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(limits.max_header);
    server
}
