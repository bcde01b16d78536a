//! A small HTTP/1.1 origin whose responses the test scripts, and which records its requests.

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

/// The body of a response.
pub type Body = BoxBody<Bytes, io::Error>;

/// A request as the origin received it.
#[derive(Clone, Debug)]
pub struct ReceivedRequest {
    /// The method.
    pub method: Method,
    /// The request target.
    pub path: String,
    /// The headers, in order.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
}

impl ReceivedRequest {
    /// The first value of a header, if it is text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// A server on a thread of its own. Dropping it closes it and all its connections.
pub struct Origin {
    address: SocketAddr,
    shared: Arc<Shared>,
    open: watch::Sender<bool>,
    running: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
}

type Answer = dyn Fn(&ReceivedRequest) -> Response<Body> + Send + Sync;

struct Shared {
    requests: Mutex<Vec<ReceivedRequest>>,
    answer: Box<Answer>,
    open: watch::Receiver<bool>,
}

impl Origin {
    /// Starts an origin that answers every request with `answer`.
    pub fn start(answer: impl Fn(&ReceivedRequest) -> Response<Body> + Send + Sync + 'static) -> Self {
        let (open, opened) = watch::channel(true);
        let shared = Arc::new(Shared { requests: Mutex::default(), answer: Box::new(answer), open: opened });
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

    /// The URL of `path` on this origin.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// All requests so far.
    #[must_use]
    pub fn requests(&self) -> Vec<ReceivedRequest> {
        self.shared.requests.lock().unwrap().clone()
    }

    /// The number of requests so far.
    #[must_use]
    pub fn request_count(&self) -> usize {
        self.shared.requests.lock().unwrap().len()
    }

    /// Holds responses back until [`release`](Self::release). Requests are still recorded.
    pub fn hold(&self) {
        self.open.send_replace(false);
    }

    /// Sends the responses that were held back, and those to come.
    pub fn release(&self) {
        self.open.send_replace(true);
    }

    /// Closes every connection and accepts no more.
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
            // Without a `Date`, which would come from another clock than the cache's. Some tests
            // abort connections.
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
        let request = ReceivedRequest {
            method: head.method,
            path: head.uri.to_string(),
            headers: head.headers,
            body: body.collect().await.map(Collected::to_bytes).unwrap_or_default(),
        };
        let response = (self.answer)(&request);
        self.requests.lock().unwrap().push(request);
        // Cannot fail: the sender lives as long as the server.
        let _ = self.open.clone().wait_for(|open| *open).await;
        response
    }
}

/// A response with these headers and a body of known length.
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

/// A body of unknown length, sent in these pieces. An error breaks the transfer off.
pub fn chunked<I>(pieces: I) -> Body
where
    I: IntoIterator<Item = io::Result<Bytes>, IntoIter: Send + Sync + 'static>,
{
    let frames = stream::iter(pieces).then(|piece| async {
        // hyper flushes a piece when the next one is not ready yet.
        tokio::task::yield_now().await;
        piece.map(Frame::data)
    });
    BodyExt::boxed(StreamBody::new(Box::pin(frames)))
}
