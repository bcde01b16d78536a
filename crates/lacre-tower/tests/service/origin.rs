//! An origin that is a service, and requests through the cache around it.

use bytes::Bytes;
use futures_util::StreamExt;
use http::{Request, Response, request};
use http_body::{Body, Frame};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use lacre::store::Memory;
use lacre::{Cache, CacheInfo, Clock, Policy, SystemClock};
use lacre_tower::{CacheLayer, CacheService, Error, ServedBody};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use tokio::sync::mpsc;
use tower_layer::Layer;
use tower_service::Service;

pub(crate) type AnyBody = UnsyncBoxBody<Bytes, io::Error>;
pub(crate) type OriginResult = io::Result<Response<AnyBody>>;
type ResponseFuture = Pin<Box<dyn Future<Output = OriginResult> + Send>>;
type Script = dyn Fn(usize, Request<Bytes>) -> ResponseFuture + Send + Sync;

/// Answers each request by a script, which gets the number of requests before it.
#[derive(Clone)]
pub(crate) struct Origin {
    script: Arc<Script>,
    requests: Arc<AtomicUsize>,
}

impl Origin {
    pub(crate) fn new<F>(script: impl Fn(usize, Request<Bytes>) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = OriginResult> + Send + 'static,
    {
        let script = Arc::new(move |index, request| Box::pin(script(index, request)) as ResponseFuture);
        Self { script, requests: Arc::default() }
    }

    /// The number of requests that reached it.
    pub(crate) fn request_count(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

impl<B> Service<Request<B>> for Origin
where
    B: Body<Data = Bytes, Error: std::fmt::Debug> + Send + 'static,
{
    type Response = Response<AnyBody>;
    type Error = io::Error;
    type Future = ResponseFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> ResponseFuture {
        let (script, index) = (Arc::clone(&self.script), self.requests.fetch_add(1, Ordering::SeqCst));
        Box::pin(async move {
            let (head, body) = request.into_parts();
            let body = body.collect().await.map_err(|_| io::ErrorKind::BrokenPipe)?.to_bytes();
            script(index, Request::from_parts(head, body)).await
        })
    }
}

pub(crate) type Sender = mpsc::Sender<io::Result<&'static str>>;

/// A body whose pieces a test sends.
pub(crate) fn channel() -> (Sender, AnyBody) {
    let (sender, receiver) = mpsc::channel(1);
    let pieces =
        futures_util::stream::unfold(receiver, |mut receiver: mpsc::Receiver<io::Result<&str>>| async {
            Some((receiver.recv().await?, receiver))
        });
    let frames = pieces.map(|piece| Ok(Frame::data(Bytes::from(piece?))));
    (sender, StreamBody::new(frames).boxed_unsync())
}

/// A body in memory.
pub(crate) fn whole(text: impl Into<Bytes>) -> AnyBody {
    Full::new(text.into()).map_err(|never| match never {}).boxed_unsync()
}

/// A response with this `Cache-Control`.
pub(crate) fn page(cache_control: &str, text: impl Into<Bytes>) -> OriginResult {
    Ok(Response::builder().header("cache-control", cache_control).body(whole(text)).unwrap())
}

pub(crate) fn cache(policy: Policy, clock: Arc<dyn Clock>) -> Cache {
    let builder = Cache::builder().store(Memory::new().unwrap()).danger_ephemeral_key();
    builder.policy(policy).clock(clock).build().unwrap()
}

/// The origin with a private cache around it.
pub(crate) fn cached(origin: &Origin) -> CacheService<Origin> {
    CacheLayer::new(cache(Policy::rfc9111(), Arc::new(SystemClock))).layer(origin.clone())
}

pub(crate) fn get(path: &str) -> request::Builder {
    Request::get(format!("http://origin.test{path}"))
}

/// Lets the other tasks run until they wait for something. The runtime of a test has one thread.
pub(crate) async fn run_other_tasks() {
    for _ in 0..200 {
        tokio::task::yield_now().await;
    }
}

pub(crate) type Served = Response<ServedBody<AnyBody>>;

pub(crate) async fn send(
    service: &CacheService<Origin>,
    request: request::Builder,
) -> Result<Served, Error<io::Error>> {
    service.clone().call(request.body(Empty::<Bytes>::new()).unwrap()).await
}

/// The body of the response, and its `Cache-Status`.
pub(crate) async fn fetch(service: &CacheService<Origin>, request: request::Builder) -> (Bytes, String) {
    let response = send(service, request).await.unwrap();
    let status = status(&response);
    (response.into_body().collect().await.unwrap().to_bytes(), status)
}

/// The text of `Cache-Status` (RFC 9211).
pub(crate) fn status(response: &Served) -> String {
    response.extensions().get::<CacheInfo>().unwrap().status.to_string()
}
