//! The cache as a layer: asks it before the service beneath, and carries out what it answers. No rule of caching lives here.

use crate::request::{self, LookedUp, SentBody};
use crate::{Error, LookupTime, ServedBody};
use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body::Body;
use lacre::{Answer, Background, Driver, Failure, Network, RequestBody, Runtime};
use std::error::Error as StdError;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::time::Instant;
use tower_layer::Layer;
use tower_service::Service;

/// Puts a cache around a service.
#[derive(Clone, Debug)]
pub struct CacheLayer {
    driver: Arc<Driver>,
}

impl CacheLayer {
    /// A layer that answers from a cache, driven by the defaults or as a [`Driver`] says. Clones of it, and all services it is put
    /// around, share the requests under way.
    pub fn new(cache: impl Into<Driver>) -> Self {
        Self { driver: Arc::new(cache.into()) }
    }
}

impl<S> Layer<S> for CacheLayer {
    type Service = CacheService<S>;

    fn layer(&self, inner: S) -> CacheService<S> {
        CacheService { driver: Arc::clone(&self.driver), inner }
    }
}

/// A service with a cache around it. It is always ready, since a hit needs nobody else: the service beneath is waited for when it is
/// called.
#[derive(Clone)]
pub struct CacheService<S> {
    driver: Arc<Driver>,
    inner: S,
}

impl<S> fmt::Debug for CacheService<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CacheService").field("driver", &self.driver).finish_non_exhaustive()
    }
}

type BoxError = Box<dyn StdError + Send + Sync>;

impl<S, B, R> Service<Request<B>> for CacheService<S>
where
    S: Service<Request<SentBody<B>>, Response = Response<R>, Future: Send, Error: Send>,
    S: Clone + Send + Sync + 'static,
    B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    R: Body<Data = Bytes, Error: Into<BoxError> + Send + 'static> + Send + 'static,
{
    type Response = Response<ServedBody<R>>;
    type Error = Error<S::Error>;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let service = self.clone();
        Box::pin(service.answer(request))
    }
}

impl<S> CacheService<S> {
    async fn answer<B, R>(self, request: Request<B>) -> Result<Response<ServedBody<R>>, Error<S::Error>>
    where
        S: Service<Request<SentBody<B>>, Response = Response<R>, Future: Send, Error: Send>,
        S: Clone + Send + Sync + 'static,
        B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
        R: Body<Data = Bytes, Error: Into<BoxError> + Send + 'static> + Send + 'static,
    {
        let (mut head, body) = request.into_parts();
        let cache = self.driver.cache();
        let policy = cache.engine().policy();
        let body = SentBody::see(body, LookedUp::of(policy, &head.method))
            .await
            .map_err(|error| Error::Request(error.into()))?;
        let came_for = request::whole_url(&head).map(|whole| std::mem::replace(&mut head.uri, whole));

        let begun = Instant::now();
        let answer = cache.ask(head, RequestBody::of(body.seen().as_deref())).await?;
        let lookup = LookupTime(begun.elapsed());
        let mut response = match answer {
            Answer::Hit(reply) => reply.response.map(|body| lacre::Content::Stored(body).into()),
            answer => {
                let network = Sending { service: self.inner, body: Some(body), came_for };
                let runtime = Handle::try_current().ok().map(Tokio);
                self.driver.carry_out(answer, network, runtime.as_ref()).await?.map(Into::into)
            }
        };
        response.extensions_mut().insert(lookup);
        Ok(response)
    }
}

/// A request on its way to the service.
struct Sending<S, B> {
    service: S,
    /// Gone once it was sent, where it can be sent only once.
    body: Option<SentBody<B>>,
    /// The URL as it came, where the cache was shown a whole one.
    came_for: Option<Uri>,
}

impl<S, B, R> Network for Sending<S, B>
where
    S: Service<Request<SentBody<B>>, Response = Response<R>, Future: Send, Error: Send>,
    S: Clone + Send + Sync + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    R: Body<Data = Bytes, Error: Send + 'static> + Send + 'static,
{
    type Body = R;
    type Error = S::Error;

    fn body(&self) -> Option<Bytes> {
        self.body.as_ref().and_then(SentBody::seen)
    }

    async fn send(&mut self, head: &http::request::Parts) -> Result<Response<R>, S::Error> {
        let again = self.body.as_ref().and_then(SentBody::again);
        let body = std::mem::replace(&mut self.body, again).unwrap_or_else(SentBody::empty);
        let mut head = head.clone();
        if let Some(uri) = &self.came_for {
            head.uri = uri.clone();
        }
        let mut service = self.service.clone();
        poll_fn(|context| service.poll_ready(context)).await?;
        service.call(Request::from_parts(head, body)).await
    }

    fn can_repeat(&self) -> bool {
        self.body.is_some()
    }
}

impl<S, B, R> Background for Sending<S, B>
where
    S: Service<Request<SentBody<B>>, Response = Response<R>, Future: Send, Error: Send>,
    S: Clone + Send + Sync + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    R: Body<Data = Bytes, Error: Send + 'static> + Send + 'static,
{
    fn detach(self, _: Duration) -> Result<impl Network<Body = R, Error = S::Error> + 'static, Self> {
        Ok(self)
    }
}

#[derive(Clone)]
struct Tokio(Handle);

impl Runtime for Tokio {
    async fn sleep(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.0.spawn(task);
    }
}

impl<E> From<Failure<E>> for Error<E> {
    fn from(failure: Failure<E>) -> Self {
        match failure {
            Failure::Network(error) => Self::Service(error),
            Failure::Cache(error) => Self::Cache(error),
        }
    }
}
