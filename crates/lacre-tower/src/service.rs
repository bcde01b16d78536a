//! The cache as a layer: asks it before the service beneath, settles after. No rule of caching lives here.

use crate::request::{self, LookedUp, SentBody};
use crate::response::done;
use crate::{Error, LookupTime, ServedBody};
use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body::Body;
use lacre::{Answer, Cache, Herd, Lead, Outcome, Passed, Place, Reply, Settlement, Ticket};
use std::error::Error as StdError;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout, timeout_at};
use tower_layer::Layer;
use tower_service::Service;

/// How many refreshes may run in the background at once. Those beyond are skipped; the next request for the same thing tries again.
const REFRESHES: usize = 16;

/// How long a refresh may take. Nobody waits for it, so that nobody else would end it.
const REFRESH_TIME: Duration = Duration::from_secs(300);

/// How long a request waits for others that want the same. The first of them may have a slow caller.
const PATIENCE: Duration = Duration::from_secs(5);

/// Puts a cache around a service.
#[derive(Clone)]
pub struct CacheLayer {
    cache: Cache,
    herd: Herd,
    refreshes: Arc<Semaphore>,
    refresh_time: Duration,
    patience: Duration,
}

impl CacheLayer {
    /// A layer that answers from `cache`. Clones of it, and all services it is put around, share the requests under way.
    pub fn new(cache: Cache) -> Self {
        let refreshes = Arc::new(Semaphore::new(REFRESHES));
        let (refresh_time, patience) = (REFRESH_TIME, PATIENCE);
        Self { cache, herd: Herd::default(), refreshes, refresh_time, patience }
    }

    /// How many stale responses may be refreshed in the background at once (16).
    #[must_use]
    pub fn refreshes(mut self, at_once: usize) -> Self {
        self.refreshes = Arc::new(Semaphore::new(at_once.min(Semaphore::MAX_PERMITS)));
        self
    }

    /// How long a refresh in the background may take, to the end of its body (5 minutes); one that takes longer is given up.
    #[must_use]
    pub fn refresh_time(mut self, at_most: Duration) -> Self {
        self.refresh_time = at_most;
        self
    }

    /// How long a request waits for others that want the same before it is sent itself (5 seconds); zero: it never does.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Waits for whoever asked for the same before.
    async fn turn(&self, ticket: &Ticket, joining: Joining, begun: Instant) -> Turn {
        let place = match joining {
            Joining::Yes => self.herd.join(ticket),
            Joining::No => Place::Alone,
        };
        match place {
            Place::Lead(lead) => Turn::Send(Some(lead)),
            Place::Alone => Turn::Send(None),
            Place::Follow(follow) => match timeout_at(begun + self.patience, follow).await {
                Ok(passed) => Turn::AskAgain(passed),
                Err(_) => Turn::Send(None),
            },
        }
    }
}

impl<S> Layer<S> for CacheLayer {
    type Service = CacheService<S>;

    fn layer(&self, inner: S) -> CacheService<S> {
        CacheService { layer: Arc::new(self.clone()), inner }
    }
}

/// The cache may show secrets in its settings.
impl fmt::Debug for CacheLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CacheLayer").field("herd", &self.herd).finish_non_exhaustive()
    }
}

/// A service with a cache around it. It is always ready, since a hit needs nobody else: the service beneath is waited for when it is
/// called.
#[derive(Clone)]
pub struct CacheService<S> {
    layer: Arc<CacheLayer>,
    inner: S,
}

impl<S> fmt::Debug for CacheService<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CacheService").field("layer", &self.layer).finish_non_exhaustive()
    }
}

type BoxError = Box<dyn StdError + Send + Sync>;

impl<S, B, R> Service<Request<B>> for CacheService<S>
where
    S: Service<Request<SentBody<B>>, Response = Response<R>, Future: Send, Error: Send>,
    S: Clone + Send + Sync + 'static,
    B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    R: Body<Data = Bytes, Error: Into<BoxError> + Send> + Send + 'static,
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

/// A request on its way: what is sent, and where to.
struct Sending<B> {
    ticket: Ticket,
    body: SentBody<B>,
    /// The URL as it came, where the cache was shown a whole one.
    came_for: Option<Uri>,
    lead: Option<Lead>,
}

impl<S> CacheService<S> {
    async fn answer<B, R>(self, request: Request<B>) -> Result<Response<ServedBody<R>>, Error<S::Error>>
    where
        S: Service<Request<SentBody<B>>, Response = Response<R>, Future: Send, Error: Send>,
        S: Clone + Send + Sync + 'static,
        B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
        R: Body<Data = Bytes, Error: Into<BoxError> + Send> + Send + 'static,
    {
        let (mut head, body) = request.into_parts();
        let cache = &self.layer.cache;
        let policy = cache.engine().policy();
        let body = SentBody::see(body, LookedUp::of(policy, &head.method))
            .await
            .map_err(|error| Error::Request(error.into()))?;
        let came_for = request::whole_url(&head).map(|whole| std::mem::replace(&mut head.uri, whole));
        let headers = head.headers.clone();

        let begun = Instant::now();
        let mut answer = cache.ask(head, body.seen()).await?;
        let lookup = LookupTime(begun.elapsed());
        let mut joining = Joining::Yes;
        let mut followed = None;
        let mut response = loop {
            let ticket = match answer {
                Answer::Hit(reply) => {
                    break served(match followed {
                        Some(would_be) => reply.collapsed(would_be),
                        None => reply,
                    });
                }
                Answer::Refuse(reply) => break served(reply),
                Answer::Refresh(reply, ticket) => {
                    match self.refresh(Sending { ticket, body, came_for, lead: None }) {
                        None => break served(reply),
                        Some(sending) => break self.exchange(sending).await?,
                    }
                }
                Answer::Send(ticket) => ticket,
            };
            let passed = match self.layer.turn(&ticket, joining, begun).await {
                Turn::Send(lead) => break self.exchange(Sending { ticket, body, came_for, lead }).await?,
                Turn::AskAgain(passed) => passed,
            };
            if passed == Passed::Done {
                joining = Joining::No;
            }
            followed = Some(ticket.info());
            let mut head = ticket.request().clone();
            head.headers.clone_from(&headers);
            answer = cache.ask(head, body.seen()).await?;
        };
        response.extensions_mut().insert(lookup);
        Ok(response)
    }

    /// Sends what the ticket says, and settles what comes back.
    async fn exchange<B, R>(&self, sending: Sending<B>) -> Result<Response<ServedBody<R>>, Error<S::Error>>
    where
        S: Service<Request<SentBody<B>>, Response = Response<R>, Future: Send, Error: Send> + Clone,
        B: Body<Data = Bytes>,
        R: Body<Data = Bytes, Error: Into<BoxError> + Send> + Send + 'static,
    {
        let Sending { mut ticket, mut body, came_for, lead } = sending;
        let cache = &self.layer.cache;
        loop {
            let again = body.again();
            let mut head = ticket.request().clone();
            if let Some(uri) = &came_for {
                head.uri = uri.clone();
            }
            let response = match call(self.inner.clone(), Request::from_parts(head, body)).await {
                Ok(response) => response,
                Err(error) => {
                    let settled = cache.settle(ticket, Outcome::Failed).await?;
                    done(lead);
                    return match settled {
                        Settlement::Stored(reply) => Ok(served(reply)),
                        _ => Err(Error::Service(error)),
                    };
                }
            };
            let (mut head, network) = response.into_parts();
            let (keep, info) = match cache.settle(ticket, Outcome::Response(&head)).await? {
                Settlement::Network { keep, info } => (keep, info),
                Settlement::Failed(info) => (None, info),
                Settlement::Stored(reply) => {
                    done(lead);
                    return Ok(served(reply));
                }
                Settlement::Resend(next) => match again {
                    Some(again) => {
                        (ticket, body) = (next, again);
                        continue;
                    }
                    // A streamed body is gone; the cache validates nothing for such a request, so this is not reached.
                    None => (None, next.info()),
                },
            };
            head.extensions.insert(info);
            let body = match keep {
                Some(recording) => ServedBody::recorded(network, recording, lead).await,
                None => {
                    done(lead);
                    ServedBody::passing(network)
                }
            };
            return Ok(Response::from_parts(head, body));
        }
    }

    /// Refreshes in the background, unless somebody already does or too many are at it. Without a runtime, returns what the caller has
    /// to send.
    fn refresh<B, R>(&self, mut sending: Sending<B>) -> Option<Sending<B>>
    where
        S: Service<Request<SentBody<B>>, Response = Response<R>, Future: Send, Error: Send>,
        S: Clone + Send + Sync + 'static,
        B: Body<Data = Bytes> + Send + 'static,
        R: Body<Data = Bytes, Error: Into<BoxError> + Send> + Send + 'static,
    {
        let Ok(runtime) = Handle::try_current() else { return Some(sending) };
        let permit = Arc::clone(&self.layer.refreshes).try_acquire_owned().ok()?;
        sending.lead = Some(self.layer.herd.lead(&sending.ticket)?);
        let (service, at_most) = (self.clone(), self.layer.refresh_time);
        runtime.spawn(async move {
            // Whether it comes to anything is between the cache and its observer; the caller has an answer.
            let _ = timeout(at_most, async {
                if let Ok(response) = service.exchange(sending).await {
                    response.into_body().record().await;
                }
            })
            .await;
            drop(permit);
        });
        None
    }
}

/// Whether a request waits for others that want the same.
#[derive(Clone, Copy)]
enum Joining {
    Yes,
    No,
}

/// What a request does after it joined.
enum Turn {
    /// It is sent.
    Send(Option<Lead>),
    /// Another one was.
    AskAgain(Passed),
}

/// Calls a service once it is ready.
async fn call<S: Service<Q>, Q>(mut service: S, request: Q) -> Result<S::Response, S::Error> {
    poll_fn(|context| service.poll_ready(context)).await?;
    service.call(request).await
}

fn served<R: Body<Data = Bytes>>(reply: Reply) -> Response<ServedBody<R>> {
    reply.response.map(ServedBody::stored)
}
