//! The driver: everything that a client does around [`Cache::ask`] and [`Cache::settle`]. It
//! coalesces identical requests, refreshes stale responses in the background, and stores responses
//! while they arrive.
//!
//! The driver knows no client and no runtime: a client brings a [`Network`] and a [`Runtime`]. No
//! caching rule lives here.
//!
//! | module | what it holds |
//! |---|---|
//! | `send` | sending one request, alone, coalesced or in the background |
//! | `coalesce` | leaders and waiters of identical requests |
//! | `hedge`, `own_request` | a waiter's own request, when the leader is slow or fails |
//! | `lease_renewal` | leases for requests on behalf of all processes |
//! | `tee` | storing a body while its caller reads it |
//! | `origin_failures` | origins that failed recently |
//! | `network`, `threads` | the traits of clients and runtimes, and a runtime of threads |
//! | `redirect`, `cookies`, `decoding`, `defaults` | parts that some clients lack |
//! | `unseen_id` | an id for a transport that a driver cannot see |

mod coalesce;
#[cfg(feature = "cookies")]
mod cookies;
mod decoding;
mod defaults;
mod hedge;
mod lease_renewal;
mod network;
mod origin_failures;
mod own_request;
mod redirect;
mod send;
mod tee;
mod threads;
mod unseen_id;

#[cfg(feature = "cookies")]
pub use cookies::Cookies;
pub use decoding::{Coding, Codings, ExpansionLimit};
pub use defaults::add_default_headers;
pub use network::{Background, Network, RateLimit, Runtime, varies_by_unseen};
pub use redirect::{Hop, HopBody, TooManyRedirects};
pub use tee::TeeBody;
pub use threads::Threads;
pub use unseen_id::unseen_id;

use crate::{Answer, Body, Cache, Error, Reply};
use coalesce::Coalescer;
use http::Response;
use lease_renewal::LeaseRenewal;
use origin_failures::OriginFailures;
use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// The default of [`Driver::refreshes`].
const MAX_REFRESHES: usize = 16;

/// The default of [`Driver::refresh_time`]. No caller waits for a refresh, so no caller ends it.
const REFRESH_TIME: Duration = Duration::from_secs(300);

/// The default of [`Driver::coalesce_timeout`].
const COALESCE_TIMEOUT: Duration = Duration::from_secs(5);

/// The first and the longest pause before the store is asked again whether another process is done.
const FIRST_PAUSE: Duration = Duration::from_millis(2);
const MAX_PAUSE: Duration = Duration::from_millis(100);

/// How often a waiter may find that it needs another variant: a bound, since an origin may change
/// its `Vary`.
const MAX_VARIANT_CHANGES: usize = 8;

/// A [`Cache`] with everything around it that a client needs. Clones share the requests in flight.
#[derive(Clone)]
pub struct Driver {
    cache: Cache,
    coalescer: Coalescer,
    leases: LeaseRenewal,
    failures: OriginFailures,
    /// The first pause after a failure of an origin.
    failure_pause: Duration,
    stand_in_after: Option<Duration>,
    refreshing: Arc<AtomicUsize>,
    refreshes: usize,
    refresh_time: Duration,
    coalesce_timeout: Duration,
    coalesce_scope: CoalesceScope,
    rate_limit: Option<Arc<dyn RateLimit>>,
}

/// The requests that are coalesced.
#[derive(Clone, Copy, PartialEq, Eq)]
enum CoalesceScope {
    /// Those of this process.
    Process,
    /// Those of all processes that share the store.
    Store,
}

/// The body of a response.
#[derive(Debug)]
pub enum Content<B: http_body::Body> {
    /// Read from the cache.
    Stored(Body),
    /// Read from the network, and stored meanwhile.
    Storing(TeeBody<B::Error>),
    /// Read from the network, and not stored.
    Passing(B),
}

/// The failure of a request, or of a body.
#[derive(Debug)]
pub enum Failure<E> {
    /// The network's own error, untouched.
    Network(E),
    /// An error that the cache is set to raise, or a stored body that broke off.
    Cache(Error),
}

type Answered<N> = Result<Response<Content<<N as Network>::Body>>, Failure<<N as Network>::Error>>;

impl Driver {
    /// A driver of `cache`, with default settings.
    #[must_use]
    pub fn new(cache: Cache) -> Self {
        Self {
            cache,
            coalescer: Coalescer::default(),
            leases: LeaseRenewal::default(),
            failures: OriginFailures::default(),
            failure_pause: Duration::ZERO,
            stand_in_after: None,
            refreshing: Arc::default(),
            refreshes: MAX_REFRESHES,
            refresh_time: REFRESH_TIME,
            coalesce_timeout: COALESCE_TIMEOUT,
            coalesce_scope: CoalesceScope::Process,
            rate_limit: None,
        }
    }

    /// The cache.
    #[must_use]
    pub fn cache(&self) -> &Cache {
        &self.cache
    }

    /// Sets how many stale responses may be refreshed in the background at a time (16). Further
    /// refreshes are skipped, and the next request tries again.
    #[must_use]
    pub fn refreshes(mut self, at_once: usize) -> Self {
        self.refreshes = at_once;
        self
    }

    /// Sets how long a background refresh may take, to the end of its body (5 minutes).
    #[must_use]
    pub fn refresh_time(mut self, at_most: Duration) -> Self {
        self.refresh_time = at_most;
        self
    }

    /// Sets how long a request waits for the head of an identical request's response (5 seconds);
    /// zero turns coalescing off. Then the request is sent too, and takes whichever response comes
    /// first, so that a slow origin costs no more than without a cache. A request with a shorter
    /// timeout waits no longer than that ([decision
    /// 25](../../../../docs/decisions/0025-timeouts-of-waiting-requests.md)).
    #[must_use]
    pub fn coalesce_timeout(mut self, timeout: Duration) -> Self {
        self.coalesce_timeout = timeout;
        self
    }

    /// Coalesces requests across all processes that share the store. Requests of other processes
    /// wait for the complete response, up to [`coalesce_timeout`](Self::coalesce_timeout). If the
    /// sending process ends, another one sends the request within a second. Each miss costs two
    /// small writes, and one more every 200 ms until it is answered.
    #[must_use]
    pub fn across_processes(mut self) -> Self {
        self.coalesce_scope = CoalesceScope::Store;
        self
    }

    /// Sets how long an origin is not asked after a failure while a stored response stands in for
    /// it (0). The pause grows up to eightfold while the origin keeps failing. After the pause one
    /// request asks it again in the background. A request that came before a failure never repeats
    /// it.
    #[must_use]
    pub fn failure_pause(mut self, pause: Duration) -> Self {
        self.failure_pause = pause;
        self
    }

    /// Sets the delay after which a stored response stands in for an origin that has not answered
    /// (never). It must be a response that may be served stale on errors, by `stale-if-error` (RFC
    /// 5861 §4) or by the policy. The request goes on in the background, and its response is
    /// stored.
    #[must_use]
    pub fn stand_in_after(mut self, delay: Duration) -> Self {
        self.stand_in_after = Some(delay);
        self
    }

    /// Sets a rate limit, which every request to the network must acquire.
    #[must_use]
    pub fn rate_limit(mut self, rate_limit: impl RateLimit) -> Self {
        self.rate_limit = Some(Arc::new(rate_limit));
        self
    }

    /// Carries out an answer of [`Cache::ask`]. Without a runtime, requests are not coalesced, and
    /// nothing runs in the background.
    ///
    /// # Errors
    /// The network fails and no stored response stands in, or the cache is set to raise its
    /// failure.
    pub async fn carry_out<N: Background, R: Runtime>(
        &self,
        answer: Answer,
        mut network: N,
        runtime: Option<&R>,
    ) -> Answered<N> {
        match (answer, runtime) {
            (Answer::Hit(reply) | Answer::Refuse(reply), _) => Ok(stored(reply)),
            (Answer::Send(ticket), Some(runtime)) => match self.spare_origin(&ticket, ticket.since()) {
                None => self.send_coalesced(ticket, network, runtime).await,
                Some((reply, false)) => Ok(stored(reply)),
                Some((reply, true)) => match network.detach(Some(self.refresh_time)) {
                    Ok(network) => {
                        self.refresh(ticket, network, runtime);
                        Ok(stored(reply))
                    }
                    Err(network) => self.send_coalesced(ticket, network, runtime).await,
                },
            },
            (Answer::Refresh(reply, ticket), Some(runtime)) => {
                match network.detach(Some(self.refresh_time)) {
                    Ok(network) => {
                        self.refresh(ticket, network, runtime);
                        Ok(stored(reply))
                    }
                    Err(mut network) => self.exchange(ticket, &mut network, None, Some(runtime)).await,
                }
            }
            (Answer::Send(ticket) | Answer::Refresh(_, ticket), None) => {
                self.exchange::<_, R>(ticket, &mut network, None, None).await
            }
        }
    }
}

/// One of the tasks that may run in the background at a time.
struct Claim(Arc<AtomicUsize>);

impl Claim {
    fn of(running: &Arc<AtomicUsize>, most: usize) -> Option<Self> {
        let one_more = |now: usize| (now < most).then_some(now + 1);
        running.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).ok()?;
        Some(Self(Arc::clone(running)))
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn stored<B: http_body::Body>(reply: Reply) -> Response<Content<B>> {
    reply.response.map(Content::Stored)
}

/// Leaves out the settings of the cache, which may contain secrets.
impl fmt::Debug for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driver").field("coalescer", &self.coalescer).finish_non_exhaustive()
    }
}

impl From<Cache> for Driver {
    fn from(cache: Cache) -> Self {
        Self::new(cache)
    }
}

impl<E: Into<Box<dyn StdError + Send + Sync>>> Failure<E> {
    /// The underlying error.
    #[must_use]
    pub fn into_cause(self) -> Box<dyn StdError + Send + Sync> {
        match self {
            Self::Network(error) => error.into(),
            Self::Cache(error) => error.into(),
        }
    }
}

impl<E> From<Error> for Failure<E> {
    fn from(error: Error) -> Self {
        Self::Cache(error)
    }
}

impl<E: fmt::Display> fmt::Display for Failure<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network(error) => error.fmt(f),
            Self::Cache(error) => error.fmt(f),
        }
    }
}

impl<E: StdError> StdError for Failure<E> {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::Network(error) => error.source(),
            Self::Cache(error) => error.source(),
        }
    }
}

#[cfg(test)]
mod tests;
