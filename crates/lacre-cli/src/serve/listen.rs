//! Taking connections, until a signal; then ending the ones that are there.

use crate::exit::{Exit, Failure};
use crate::output::Output;
use crate::serve::Limits;
use crate::serve::connections::{Admitted, Answering, Connections, Share, TooManyFromThere, Upload};
use crate::serve::current::Current;
use crate::serve::failure::Fault;
use crate::serve::signals::Signals;
use crate::serve::wire::Wire;
use http::Request;
use http_body::Body;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use std::convert::Infallible;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};

/// How long a connection may be without any motion beyond the time in which the origin must have answered: only those that stall
/// themselves get there.
const SLACK: Duration = Duration::from_secs(15);

/// How long to wait where no connection can be accepted, for instance because there are too many files open.
const BREATH: Duration = Duration::from_millis(100);

/// How many requests an HTTP/2 connection may have under way.
const STREAMS: u32 = 128;

/// What a client gets whose address has all the connections that it may have.
const TOO_MANY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: text/plain; charset=utf-8\r\ncache-control: no-store\r\n\
retry-after: 1\r\nconnection: close\r\ncontent-length: 43\r\n\r\ntoo many connections come from one address\n";

/// Serves until SIGINT or SIGTERM, and then until all requests under way are answered; no longer than the drain timeout, or a second signal.
pub(crate) async fn serve(
    listener: TcpListener,
    current: Arc<Current>,
    limits: Limits,
    output: Output,
) -> Result<(), Failure> {
    let mut signals = Signals::new(Arc::clone(&current))?;
    let connections = limits.connections();
    let graceful = GracefulShutdown::new();
    tokio::select! {
        never = accept_all(&listener, &current, limits, &connections, &graceful, output) => match never {},
        () = signals.end() => {}
    }
    drop(listener);
    connections.close_waiting();
    tokio::select! {
        ended = timeout(limits.drain_timeout, graceful.shutdown()) => match ended {
            Ok(()) => Ok(()),
            Err(_) => Err(Failure::new(Exit::Failed, "some requests did not end in time, and were cut off")
                .with_hint("give them longer: --drain-timeout SECONDS")),
        },
        () = signals.end() => Err(Failure::quiet(Exit::Interrupted)),
    }
}

/// Takes connections and lets them be served, for as long as it is polled.
async fn accept_all(
    listener: &TcpListener,
    current: &Arc<Current>,
    limits: Limits,
    connections: &Arc<Connections>,
    graceful: &GracefulShutdown,
    output: Output,
) -> Infallible {
    let server = server(limits);
    loop {
        let (stream, peer) = accept(listener, connections, output).await;
        let share = if current.front().names(peer.ip()) { Share::Unlimited } else { Share::Limited };
        let admitted = match connections.admit(peer.ip(), share).await {
            Ok(admitted) => admitted,
            Err(TooManyFromThere) => {
                // Whoever does not get it is refused all the same.
                let _ = stream.try_write(TOO_MANY);
                continue;
            }
        };
        let connection = graceful.watch(serving(&server, stream, peer, &admitted, current, limits));
        let current = Arc::clone(current);
        tokio::spawn(async move {
            // A connection that breaks is the client's own affair; a request that cannot be read is a request.
            let ended = connection.await;
            if let Some(fault) = ended.err().and_then(|error| Fault::of_head(&*error)) {
                current.front().refused(fault, peer.ip());
            }
            drop(admitted);
        });
    }
}

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A connection's requests, each answered by what is current when it comes in.
fn serving(
    server: &auto::Builder<TokioExecutor>,
    stream: TcpStream,
    peer: SocketAddr,
    admitted: &Admitted,
    current: &Arc<Current>,
    limits: Limits,
) -> impl hyper_util::server::graceful::GracefulConnection<Error = BoxError> + Send + 'static + use<> {
    let connection = admitted.connection();
    let wire = Wire::new(stream, limits.answer_timeout.max(limits.idle_timeout) + SLACK);
    let wire = wire.among(Arc::clone(&connection));
    let (current, relays) = (Arc::clone(current), wire.relays());
    let service = service_fn(move |mut request: Request<Incoming>| {
        let upload = (!request.body().is_end_stream()).then(Arc::<Upload>::default);
        let under_way = connection.begin(upload.clone());
        if let Some(upload) = upload {
            request.extensions_mut().insert(upload);
        }
        let (front, relays) = (current.front(), relays.clone());
        async move {
            let mut under_way = under_way.ok_or(Closing)?;
            let Ok(response) = front.answer(request, peer.ip(), relays).await;
            under_way.answered();
            Ok::<_, Closing>(response.map(|body| Answering::new(body, under_way)))
        }
    });
    server.serve_connection(TokioIo::new(wire), service).into_owned()
}

/// A request came in on a connection that is being closed, and is not answered.
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
    connections: &Connections,
    output: Output,
) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                // Without it, answers are only slower.
                let _ = stream.set_nodelay(true);
                return (stream, peer);
            }
            Err(error) if is_the_clients(&error) => {}
            Err(error) => {
                output.warn(format_args!("cannot accept connections for now: {error}"));
                connections.make_room();
                sleep(BREATH).await;
            }
        }
    }
}

/// The connection was gone before it was taken.
fn is_the_clients(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset)
}
