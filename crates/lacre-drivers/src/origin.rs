//! A small HTTP/1.1 origin that answers as it is told and remembers what it was asked.

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::{HeaderMap, Method, Request, Response};
use http_body_util::{BodyExt, Collected, Full, StreamBody, combinators::BoxBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use tokio::net::TcpListener;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;

/// The body of an answer.
pub type Body = BoxBody<Bytes, io::Error>;

/// A request as it arrived.
#[derive(Clone, Debug)]
pub struct Seen {
    /// How it was asked.
    pub method: Method,
    /// The request target.
    pub path: String,
    /// As they came.
    pub headers: HeaderMap,
    /// Whole.
    pub body: Bytes,
}

impl Seen {
    /// A header's first value, if it is text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// A server with a thread of its own. It ends, with all its connections, when it is dropped.
pub struct Origin {
    address: SocketAddr,
    shared: Arc<Shared>,
    open: watch::Sender<bool>,
    running: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
}

type Answer = dyn Fn(&Seen) -> Response<Body> + Send + Sync;

struct Shared {
    seen: Mutex<Vec<Seen>>,
    answer: Box<Answer>,
    open: watch::Receiver<bool>,
}

impl Origin {
    /// Answers every request with `answer`.
    pub fn start(answer: impl Fn(&Seen) -> Response<Body> + Send + Sync + 'static) -> Self {
        let (open, opened) = watch::channel(true);
        let shared = Arc::new(Shared { seen: Mutex::default(), answer: Box::new(answer), open: opened });
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let (end, ended) = oneshot::channel();
        let serving = Arc::clone(&shared);
        let server = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = TcpListener::from_std(listener).unwrap();
                tokio::select! {
                    () = serve(listener, serving) => {}
                    _ = ended => {}
                }
            });
        });
        Self { address, shared, open, running: Some((end, server)) }
    }

    /// Where `path` is.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Everything it was asked so far.
    #[must_use]
    pub fn seen(&self) -> Vec<Seen> {
        self.shared.seen.lock().unwrap().clone()
    }

    /// How often it was asked so far.
    #[must_use]
    pub fn count(&self) -> usize {
        self.shared.seen.lock().unwrap().len()
    }

    /// Answers nothing more, until it is [released](Self::release): it is asked, and remembers.
    pub fn hold(&self) {
        self.open.send_replace(false);
    }

    /// Answers again.
    pub fn release(&self) {
        self.open.send_replace(true);
    }

    /// Breaks every connection and accepts no more.
    pub fn stop(&mut self) {
        if let Some((end, server)) = self.running.take() {
            let _ = end.send(());
            server.join().unwrap();
        }
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.stop();
    }
}

async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    while let Ok((socket, _)) = listener.accept().await {
        let shared = Arc::clone(&shared);
        connections.spawn(async move {
            let service = service_fn(|request: Request<Incoming>| {
                let shared = Arc::clone(&shared);
                async move { Ok::<_, Infallible>(shared.respond(request).await) }
            });
            // Its own Date would be that of another clock. A connection that is given up is part of some tests.
            let _ = hyper::server::conn::http1::Builder::new()
                .auto_date_header(false)
                .serve_connection(TokioIo::new(socket), service)
                .await;
        });
    }
}

impl Shared {
    async fn respond(&self, request: Request<Incoming>) -> Response<Body> {
        let (head, body) = request.into_parts();
        let request = Seen {
            method: head.method,
            path: head.uri.to_string(),
            headers: head.headers,
            body: body.collect().await.map(Collected::to_bytes).unwrap_or_default(),
        };
        let response = (self.answer)(&request);
        self.seen.lock().unwrap().push(request);
        // Its sender lives as long as the server.
        let _ = self.open.clone().wait_for(|open| *open).await;
        response
    }
}

/// A response with these headers, and a body of known length.
pub fn respond(status: u16, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Response<Body> {
    let body = Full::new(body.into()).map_err(|never| match never {}).boxed();
    let mut builder = Response::builder().status(status);
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    builder.body(body).unwrap()
}

/// A response that is fresh for a minute.
pub fn fresh(body: impl Into<Bytes>) -> Response<Body> {
    respond(200, &[("cache-control", "max-age=60")], body)
}

/// A body of unknown length that is sent in these pieces, one by one; the last may be a failure.
pub fn pieces<I>(pieces: I) -> Body
where
    I: IntoIterator<Item = io::Result<Bytes>, IntoIter: Send + Sync + 'static>,
{
    let frames = stream::iter(pieces).then(|piece| async {
        // hyper sends what it has when there is nothing more at the moment.
        tokio::task::yield_now().await;
        piece.map(Frame::data)
    });
    BodyExt::boxed(StreamBody::new(Box::pin(frames)))
}
