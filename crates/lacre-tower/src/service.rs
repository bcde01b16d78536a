//! The cache as a layer: asks it before the service beneath, and carries out what it answers. No rule of caching lives here.

use crate::request::{Held, LookedUp, SentBody};
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

/// Puts a cache around a service.
///
/// The service beneath gets requests with the bodies that they came with, so that it may be what it would be without a cache: a client, a
/// stack that retries, one of octocrab's. Where requests are told apart by bodies that only reading shows, see
/// [`reading_bodies`](Self::reading_bodies).
pub struct CacheLayer<M = AsTheyCame> {
    driver: Arc<Driver>,
    bodies: PhantomData<fn() -> M>,
    transport: Transport,
}

/// How a [`CacheLayer`] treats the bodies of requests: it leaves them alone, and sees what is empty or known to be whole (`Full<Bytes>`,
/// `String`). The service beneath takes requests of the same type.
#[derive(Clone, Copy, Debug)]
pub enum AsTheyCame {}

/// How a [`CacheLayer`] treats the bodies of requests: it reads those that are short. The service beneath takes them as [`SentBody`].
#[derive(Clone, Copy, Debug)]
pub enum Read {}

impl CacheLayer {
    /// A layer that answers from a cache, driven by the defaults or as a [`Driver`] says. Clones of it, and all services it is put
    /// around, share the requests under way.
    ///
    /// The layer does not see which certificates the service accepts or shows. So what came for an `https` URL is served to this layer and its clones
    /// alone, as long as they live, unless you say otherwise with [`danger_assume_transport`](Self::danger_assume_transport).
    pub fn new(cache: impl Into<Driver>) -> Self {
        let transport = Transport::usual().unseen_tls(unseen_id());
        Self { driver: Arc::new(cache.into()), transport, bodies: PhantomData }
    }

    /// The same, which reads bodies of up to 64 KiB and of known length where the cache's policy looks up the method of a request: for
    /// policies that cache POST or QUERY. The service beneath takes requests with a [`SentBody`].
    #[must_use]
    pub fn reading_bodies(self) -> CacheLayer<Read> {
        CacheLayer { driver: self.driver, transport: self.transport, bodies: PhantomData }
    }
}

impl<M> CacheLayer<M> {
    /// How the service reaches origins, which a layer cannot see: [`Transport::usual`] where it accepts the certificates that are trusted by
    /// default, shows none, and connects to the hosts of URLs; else what it does instead, or a [name](Transport::named) for services
    /// that are made alike. Layers with equal transports share answers, in one process or in all that share a store.
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

/// A service with a cache around it. It is always ready, since a hit needs nobody else: the service beneath is waited for when it is
/// called.
pub struct CacheService<S, M = AsTheyCame> {
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
type Answering<R, E> = Pin<Box<dyn Future<Output = Result<Response<ServedBody<R>>, Error<E>>> + Send>>;

impl<S, B, R> Service<Request<B>> for CacheService<S, AsTheyCame>
where
    S: Service<Request<B>, Response = Response<R>, Future: Send, Error: Send + 'static>,
    S: Clone + Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    R: Body<Data = Bytes, Error: Into<BoxError> + Send + 'static> + Send + 'static,
{
    type Response = Response<ServedBody<R>>;
    type Error = Error<S::Error>;
    type Future = Answering<R, S::Error>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (driver, inner) = (Arc::clone(&self.driver), self.inner.clone());
        let (mut head, body) = request.into_parts();
        self.add_transport(&mut head);
        Box::pin(answer(driver, inner, head, Held::as_it_came(body)))
    }
}

impl<S, B, R> Service<Request<B>> for CacheService<S, Read>
where
    S: Service<Request<SentBody<B>>, Response = Response<R>, Future: Send, Error: Send + 'static>,
    S: Clone + Send + 'static,
    B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    R: Body<Data = Bytes, Error: Into<BoxError> + Send + 'static> + Send + 'static,
{
    type Response = Response<ServedBody<R>>;
    type Error = Error<S::Error>;
    type Future = Answering<R, S::Error>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (driver, inner) = (Arc::clone(&self.driver), self.inner.clone());
        let (mut head, body) = request.into_parts();
        self.add_transport(&mut head);
        let looked_up = LookedUp::of(driver.cache().engine().policy(), &head.method);
        Box::pin(async move {
            let body = Held::reading(body, looked_up).await.map_err(|error| Error::Request(error.into()))?;
            answer(driver, inner, head, body).await
        })
    }
}

impl<S, M> CacheService<S, M> {
    /// Says how the request reaches its origin, unless the layers above did.
    fn add_transport(&self, head: &mut request::Parts) {
        if head.extensions.get::<Transport>().is_none() {
            self.transport.add_to(&mut head.extensions);
        }
    }
}

async fn answer<S, T, R>(
    driver: Arc<Driver>,
    service: S,
    head: request::Parts,
    body: Held<T>,
) -> Result<Response<ServedBody<R>>, Error<S::Error>>
where
    S: Service<Request<T>, Response = Response<R>, Future: Send, Error: Send + 'static>,
    S: Clone + Send + 'static,
    T: Send + 'static,
    R: Body<Data = Bytes, Error: Into<BoxError> + Send + 'static> + Send + 'static,
{
    let begun = Instant::now();
    let answer = driver.cache().ask(head, RequestBody::of(body.seen().as_deref())).await?;
    let lookup = LookupTime(begun.elapsed());
    let mut response = match answer {
        Answer::Hit(reply) => reply.response.map(|body| lacre::Content::Stored(body).into()),
        answer => {
            let network = Sending { service, body };
            let runtime = Tokio::current();
            driver.carry_out(answer, network, runtime.as_ref()).await?.map(Into::into)
        }
    };
    response.extensions_mut().insert(lookup);
    Ok(response)
}

/// A request on its way to the service.
struct Sending<S, T> {
    service: S,
    body: Held<T>,
}

impl<S, T, R> Network for Sending<S, T>
where
    S: Service<Request<T>, Response = Response<R>, Future: Send, Error: Send + 'static>,
    S: Clone + Send + 'static,
    T: Send + 'static,
    R: Body<Data = Bytes, Error: Send + 'static> + Send + 'static,
{
    type Body = R;
    type Error = Error<S::Error>;

    fn body(&self) -> Option<Bytes> {
        self.body.seen()
    }

    async fn send(&mut self, head: &request::Parts) -> Result<Response<R>, Error<S::Error>> {
        let Some(body) = self.body.take() else { return Err(Error::Request(SENT_ALREADY.into())) };
        let head = head.clone();
        let mut service = self.service.clone();
        poll_fn(|context| service.poll_ready(context)).await.map_err(Error::Service)?;
        service.call(Request::from_parts(head, body)).await.map_err(Error::Service)
    }

    fn can_repeat(&self) -> bool {
        self.body.is_there()
    }
}

/// The driver asks whether a request can be repeated, so this is not reached.
const SENT_ALREADY: &str = "a request with a streamed body is sent only once";

impl<S, T, R> Background for Sending<S, T>
where
    S: Service<Request<T>, Response = Response<R>, Future: Send, Error: Send + 'static>,
    S: Clone + Send + 'static,
    T: Send + 'static,
    R: Body<Data = Bytes, Error: Send + 'static> + Send + 'static,
{
    fn can_detach(&self) -> bool {
        self.body.is_there()
    }

    fn detach(
        self,
        _: Option<Duration>,
    ) -> Result<impl Network<Body = R, Error = Error<S::Error>> + 'static, Self> {
        if self.body.is_there() { Ok(self) } else { Err(self) }
    }

    fn again(&self) -> Option<Self> {
        Some(Self { service: self.service.clone(), body: self.body.again()? })
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
