//! The cache as a layer: looks a request up before the inner service and carries out the decision.
//!
//! No caching rule lives here.

use crate::request::{LookupNeeded, ReplayableBody, SentBody};
use crate::{Error, LookupTime, ServedBody};
use bytes::Bytes;
use http::{Request, Response, request};
use http_body::Body;
use lacre::{Answer, Background, Driver, Failure, Network, RequestBody, Transport, unseen_id};
use lacre_tokio::Tokio;
use std::error::Error as StdError;
use std::fmt;
use std::future::poll_fn;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::Instant;
use tower_layer::Layer;
use tower_service::Service;

/// A layer that puts a cache around a service.
///
/// Request bodies reach the inner service with their own type, so the layer fits around any
/// service: a client, a stack that retries, one of octocrab's. If the policy caches requests by
/// their body, see [`buffer_bodies`](Self::buffer_bodies).
pub struct CacheLayer<M = Streamed> {
    driver: Arc<Driver>,
    bodies: PhantomData<fn() -> M>,
    transport: Transport,
}

/// Marks a [`CacheLayer`] that passes request bodies on without reading them. The cache sees a body
/// only if it is empty or of a type that is always whole (`Full<Bytes>`, `String`). The inner
/// service takes requests with the caller's body type.
#[derive(Clone, Copy, Debug)]
pub enum Streamed {}

/// Marks a [`CacheLayer`] that reads short request bodies into memory. The inner service takes
/// requests with a [`SentBody`].
#[derive(Clone, Copy, Debug)]
pub enum Buffered {}

impl CacheLayer {
    /// A layer around a cache, or around a [`Driver`] with other settings. Its clones, and all
    /// services made by them, share the requests in flight.
    ///
    /// The layer does not see which certificates the service accepts or presents. Responses to
    /// `https` URLs are therefore served to this layer and its clones alone, for as long as they
    /// live, unless you call [`danger_assume_transport`](Self::danger_assume_transport) (decision
    /// 16).
    pub fn new(cache: impl Into<Driver>) -> Self {
        let transport = Transport::standard().unseen_tls(unseen_id());
        Self { driver: Arc::new(cache.into()), transport, bodies: PhantomData }
    }

    /// Reads request bodies of known length up to 64 KiB into memory if the policy looks up the
    /// request's method, for policies that cache POST or QUERY. The inner service takes requests
    /// with a [`SentBody`].
    #[must_use]
    pub fn buffer_bodies(self) -> CacheLayer<Buffered> {
        CacheLayer { driver: self.driver, transport: self.transport, bodies: PhantomData }
    }
}

impl<M> CacheLayer<M> {
    /// Declares how the service reaches origins, which a layer cannot see. Layers with equal
    /// transports share responses, in one process or in all that share a store.
    ///
    /// Use [`Transport::standard`] if the service accepts the certificates that are trusted by
    /// default, presents none, and connects to the hosts of URLs. Otherwise describe the
    /// difference, or use a [name](Transport::named) for services that are made alike.
    #[must_use]
    pub fn danger_assume_transport(mut self, transport: Transport) -> Self {
        self.transport = transport;
        self
    }
}

impl<M> Clone for CacheLayer<M> {
    fn clone(&self) -> Self {
        Self { driver: Arc::clone(&self.driver), transport: self.transport.clone(), bodies: PhantomData }
    }
}

impl<M> fmt::Debug for CacheLayer<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CacheLayer").field("driver", &self.driver).finish_non_exhaustive()
    }
}

impl<S, M> Layer<S> for CacheLayer<M> {
    type Service = CacheService<S, M>;

    fn layer(&self, inner: S) -> CacheService<S, M> {
        CacheService {
            driver: Arc::clone(&self.driver),
            transport: self.transport.clone(),
            inner,
            bodies: PhantomData,
        }
    }
}

/// A service with a cache around it.
///
/// It is always ready, because a hit does not need the inner service. A request that is sent waits
/// for the inner service to become ready.
pub struct CacheService<S, M = Streamed> {
    driver: Arc<Driver>,
    transport: Transport,
    inner: S,
    bodies: PhantomData<fn() -> M>,
}

impl<S: Clone, M> Clone for CacheService<S, M> {
    fn clone(&self) -> Self {
        let (driver, transport) = (Arc::clone(&self.driver), self.transport.clone());
        Self { driver, transport, inner: self.inner.clone(), bodies: PhantomData }
    }
}

impl<S, M> fmt::Debug for CacheService<S, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CacheService").field("driver", &self.driver).finish_non_exhaustive()
    }
}

type BoxError = Box<dyn StdError + Send + Sync>;
type ResponseFuture<R, E> = Pin<Box<dyn Future<Output = Result<Response<ServedBody<R>>, Error<E>>> + Send>>;

impl<S, B, R> Service<Request<B>> for CacheService<S, Streamed>
where
    S: Service<Request<B>, Response = Response<R>, Future: Send, Error: Send + 'static>,
    S: Clone + Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    R: Body<Data = Bytes, Error: Into<BoxError> + Send + 'static> + Send + 'static,
{
    type Response = Response<ServedBody<R>>;
    type Error = Error<S::Error>;
    type Future = ResponseFuture<R, S::Error>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (driver, inner) = (Arc::clone(&self.driver), self.inner.clone());
        let (mut head, body) = request.into_parts();
        self.add_transport(&mut head);
        Box::pin(respond(driver, inner, head, ReplayableBody::streamed(body)))
    }
}

impl<S, B, R> Service<Request<B>> for CacheService<S, Buffered>
where
    S: Service<Request<SentBody<B>>, Response = Response<R>, Future: Send, Error: Send + 'static>,
    S: Clone + Send + 'static,
    B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    R: Body<Data = Bytes, Error: Into<BoxError> + Send + 'static> + Send + 'static,
{
    type Response = Response<ServedBody<R>>;
    type Error = Error<S::Error>;
    type Future = ResponseFuture<R, S::Error>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (driver, inner) = (Arc::clone(&self.driver), self.inner.clone());
        let (mut head, body) = request.into_parts();
        self.add_transport(&mut head);
        let lookup = LookupNeeded::by(driver.cache().engine().policy(), &head.method);
        Box::pin(async move {
            let body = ReplayableBody::buffer(body, lookup).await;
            let body = body.map_err(|error| Error::Request(error.into()))?;
            respond(driver, inner, head, body).await
        })
    }
}

impl<S, M> CacheService<S, M> {
    /// Declares how the request reaches its origin, unless the layers above did.
    fn add_transport(&self, head: &mut request::Parts) {
        if head.extensions.get::<Transport>().is_none() {
            self.transport.add_to(&mut head.extensions);
        }
    }
}

async fn respond<S, T, R>(
    driver: Arc<Driver>,
    service: S,
    head: request::Parts,
    body: ReplayableBody<T>,
) -> Result<Response<ServedBody<R>>, Error<S::Error>>
where
    S: Service<Request<T>, Response = Response<R>, Future: Send, Error: Send + 'static>,
    S: Clone + Send + 'static,
    T: Send + 'static,
    R: Body<Data = Bytes, Error: Into<BoxError> + Send + 'static> + Send + 'static,
{
    let start = Instant::now();
    let answer = driver.cache().ask(head, RequestBody::of(body.bytes().as_deref())).await?;
    let lookup = LookupTime(start.elapsed());
    let mut response = match answer {
        Answer::Hit(reply) => reply.response.map(|body| lacre::Content::Stored(body).into()),
        answer => {
            let network = Exchange { service, body };
            let runtime = Tokio::current();
            // Boxed: several times larger than the rest, and a hit does not need it.
            Box::pin(driver.carry_out(answer, network, runtime.as_ref())).await?.map(Into::into)
        }
    };
    response.extensions_mut().insert(lookup);
    Ok(response)
}

/// A request on its way to the service.
struct Exchange<S, T> {
    service: S,
    body: ReplayableBody<T>,
}

impl<S, T, R> Network for Exchange<S, T>
where
    S: Service<Request<T>, Response = Response<R>, Future: Send, Error: Send + 'static>,
    S: Clone + Send + 'static,
    T: Send + 'static,
    R: Body<Data = Bytes, Error: Send + 'static> + Send + 'static,
{
    type Body = R;
    type Error = Error<S::Error>;

    fn body(&self) -> Option<Bytes> {
        self.body.bytes()
    }

    async fn send(&mut self, head: &request::Parts) -> Result<Response<R>, Error<S::Error>> {
        let Some(body) = self.body.take() else { return Err(Error::Request(SENT_ALREADY.into())) };
        let head = head.clone();
        let mut service = self.service.clone();
        poll_fn(|context| service.poll_ready(context)).await.map_err(Error::Service)?;
        service.call(Request::from_parts(head, body)).await.map_err(Error::Service)
    }

    fn can_repeat(&self) -> bool {
        self.body.can_take()
    }
}

/// Not reached: the driver first asks whether a request can be repeated.
const SENT_ALREADY: &str = "a request with a streamed body is sent only once";

impl<S, T, R> Background for Exchange<S, T>
where
    S: Service<Request<T>, Response = Response<R>, Future: Send, Error: Send + 'static>,
    S: Clone + Send + 'static,
    T: Send + 'static,
    R: Body<Data = Bytes, Error: Send + 'static> + Send + 'static,
{
    fn can_detach(&self) -> bool {
        self.body.can_take()
    }

    fn detach(
        self,
        _: Option<Duration>,
    ) -> Result<impl Network<Body = R, Error = Error<S::Error>> + 'static, Self> {
        if self.body.can_take() { Ok(self) } else { Err(self) }
    }

    fn duplicate(&self) -> Option<Self> {
        Some(Self { service: self.service.clone(), body: self.body.try_clone()? })
    }
}

impl<E> From<Failure<Error<E>>> for Error<E> {
    fn from(failure: Failure<Error<E>>) -> Self {
        match failure {
            Failure::Network(error) => error,
            Failure::Cache(error) => Self::Cache(error),
        }
    }
}
