//! A small HTTP/1.1 origin that answers as it is told and remembers what it was asked, and clients that ask it.

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::{HeaderMap, Method, Request, Response};
use http_body_util::{BodyExt, Collected, Full, StreamBody, combinators::BoxBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use lacre::store::Memory;
use lacre::{Cache, CacheInfo, ManualClock, Policy, Timestamp};
use lacre_reqwest::ClientBuilder;
use reqwest_middleware::ClientWithMiddleware;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};

pub(crate) type Body = BoxBody<Bytes, io::Error>;

/// A request as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

/// A server that ends, with all its connections, when it is dropped.
pub(crate) struct Origin {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    server: JoinHandle<()>,
}

impl Origin {
    pub(crate) async fn start(answer: impl Fn(&Seen) -> Response<Body> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let server = tokio::spawn(serve(listener, Arc::clone(&seen), Arc::new(answer)));
        Self { address, seen, server }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Everything it was asked so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// How often it was asked so far.
    pub(crate) fn count(&self) -> usize {
        self.seen.lock().unwrap().len()
    }

    /// Breaks every connection and accepts no more.
    pub(crate) async fn stop(&mut self) {
        self.server.abort();
        assert!((&mut self.server).await.unwrap_err().is_cancelled());
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.server.abort();
    }
}

type Answer = dyn Fn(&Seen) -> Response<Body> + Send + Sync;

async fn serve(listener: TcpListener, seen: Arc<Mutex<Vec<Seen>>>, answer: Arc<Answer>) {
    let mut connections = JoinSet::new();
    while let Ok((socket, _)) = listener.accept().await {
        let (seen, answer) = (Arc::clone(&seen), Arc::clone(&answer));
        connections.spawn(async move {
            let service = service_fn(|request: Request<Incoming>| {
                let (seen, answer) = (Arc::clone(&seen), Arc::clone(&answer));
                async move {
                    let (head, body) = request.into_parts();
                    let request = Seen {
                        method: head.method,
                        path: head.uri.to_string(),
                        headers: head.headers,
                        body: body.collect().await.map(Collected::to_bytes).unwrap_or_default(),
                    };
                    let response = answer(&request);
                    seen.lock().unwrap().push(request);
                    Ok::<_, Infallible>(response)
                }
            });
            // Its own Date would be that of another clock. A connection that is given up is part of some tests.
            let _ = hyper::server::conn::http1::Builder::new()
                .auto_date_header(false)
                .serve_connection(TokioIo::new(socket), service)
                .await;
        });
    }
}

/// A response with these headers, and a body of known length.
pub(crate) fn respond(status: u16, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Response<Body> {
    let body = Full::new(body.into()).map_err(|never| match never {}).boxed();
    let mut builder = Response::builder().status(status);
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    builder.body(body).unwrap()
}

/// A response that is fresh for a minute.
pub(crate) fn fresh(body: impl Into<Bytes>) -> Response<Body> {
    respond(200, &[("cache-control", "max-age=60")], body)
}

/// A body of unknown length that is sent in these pieces, one by one; the last may be a failure.
pub(crate) fn pieces<I>(pieces: I) -> Body
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

/// A cache in memory whose clock stands still until it is moved.
pub(crate) fn cache(policy: Policy) -> (Cache, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::new(Timestamp::from_seconds(1_800_000_000)));
    let store = Memory::new().unwrap();
    let builder = Cache::builder().store(store).danger_ephemeral_key().policy(policy);
    (builder.clock(Arc::clone(&clock)).build().unwrap(), clock)
}

/// A client with a cache of its own, and the cache's clock.
pub(crate) fn client() -> (ClientWithMiddleware, Arc<ManualClock>) {
    let (cache, clock) = cache(Policy::rfc9111());
    (ClientBuilder::new(cache).build().unwrap(), clock)
}

/// The answer to GET, whole, with what the cache did as text.
pub(crate) async fn get(client: &ClientWithMiddleware, url: &str) -> (http::response::Parts, Bytes, String) {
    whole(client.get(url).send().await.unwrap()).await
}

/// A response, whole, with what the cache did as text.
pub(crate) async fn whole(response: reqwest::Response) -> (http::response::Parts, Bytes, String) {
    let did = did(&response);
    let (head, body) = Response::<reqwest::Body>::from(response).into_parts();
    (head, body.collect().await.unwrap().to_bytes(), did)
}

/// Waits until `done`, but not for ever.
pub(crate) async fn until(mut done: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !done().await {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), waiting).await.expect("it happens within ten seconds");
}

/// What the cache did with a request, as the text of `Cache-Status`.
pub(crate) fn did(response: &reqwest::Response) -> String {
    response.extensions().get::<CacheInfo>().unwrap().status.to_string()
}
