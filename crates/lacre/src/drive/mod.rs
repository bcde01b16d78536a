//! What every integration does around [`Cache::ask`] and [`Cache::settle`]: identical requests at the same time are sent once, what may be
//! served stale is refreshed in the background, and what comes from the network is recorded on its way.
//!
//! It knows no client and no runtime: those are a [`Network`] and a [`Runtime`]. No rule of caching lives here.

mod alone;
mod beside;
#[cfg(feature = "cookies")]
mod cookies;
mod decoding;
mod defaults;
mod failing;
mod leases;
mod network;
mod redirect;
mod threads;
mod unseen;

#[cfg(feature = "cookies")]
pub use cookies::Cookies;
pub use decoding::{Coding, Codings, ExpansionLimit};
pub use defaults::add_default_headers;
pub use network::{Background, Network, Pace, Runtime, varies_by_unseen};
pub use redirect::{Hop, HopBody, TooManyRedirects};
pub use threads::Threads;
pub use unseen::unseen_id;

use crate::cache::{Begun, Lease};
use crate::clock::MonotonicTime;
use crate::herd::{Herd, Lead, Passed, Place, done};
use crate::{
    Answer, Body, Cache, CacheInfo, Detail, Error, ErrorKind, Outcome, Recorded, Reply, RequestBody,
    Settlement, Ticket,
};
use beside::Awaited;
use bytes::Bytes;
use failing::{Failing, Known};
use futures_channel::oneshot;
use futures_util::future::{Either, select};
use http::{Response, request};
use http_body::SizeHint;
use lacre_core::LastFailure;
use leases::Leases;
use std::error::Error as StdError;
use std::fmt;
use std::ops::ControlFlow;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// How many stale responses may be refreshed in the background at once. Those beyond are skipped; the next request tries again.
const REFRESHES: usize = 16;

/// How long a refresh may take. Nobody waits for it, so that nobody else would end it.
const REFRESH_TIME: Duration = Duration::from_secs(300);

/// How long a request waits for others that want the same. The first of them may have a slow origin.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long is waited at first, and at most, before the store is asked again whether another process is done.
const FIRST_PAUSE: Duration = Duration::from_millis(2);
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

/// How often a request that follows another one finds out that it wants another variant: a bound, for an origin changes its mind.
const MOST_DETOURS: usize = 8;

/// A [`Cache`] that is driven for one client. Clones share the requests under way.
#[derive(Clone)]
pub struct Driver {
    cache: Cache,
    herd: Herd,
    leases: Leases,
    failing: Failing,
    /// How long a failing origin is left alone at first.
    rest: Duration,
    stand_in_after: Option<Duration>,
    refreshing: Arc<AtomicUsize>,
    refreshes: usize,
    refresh_time: Duration,
    patience: Duration,
    sharing: Sharing,
    pace: Option<Arc<dyn Pace>>,
}

/// With whom requests are shared.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sharing {
    Here,
    AcrossProcesses,
}

/// The body of an answer.
#[derive(Debug)]
pub enum Content<B: http_body::Body> {
    /// It comes from the cache.
    Stored(Body),
    /// It comes from the network, and is stored on its way.
    Recorded(Recorded<B::Error>),
    /// It comes from the network.
    Passing(B),
}

/// Why there is no answer, or no more of it.
#[derive(Debug)]
pub enum Failure<E> {
    /// The network's own error, untouched.
    Network(E),
    /// What the cache was told to raise, or a stored body that broke off.
    Cache(Error),
}

type Answered<N> = Result<Response<Content<<N as Network>::Body>>, Failure<<N as Network>::Error>>;

impl Driver {
    /// Answers from `cache`.
    #[must_use]
    pub fn new(cache: Cache) -> Self {
        Self {
            cache,
            herd: Herd::default(),
            leases: Leases::default(),
            failing: Failing::default(),
            rest: Duration::ZERO,
            stand_in_after: None,
            refreshing: Arc::default(),
            refreshes: REFRESHES,
            refresh_time: REFRESH_TIME,
            patience: PATIENCE,
            sharing: Sharing::Here,
            pace: None,
        }
    }

    /// The cache.
    #[must_use]
    pub fn cache(&self) -> &Cache {
        &self.cache
    }

    /// How many stale responses may be refreshed in the background at once (16).
    #[must_use]
    pub fn refreshes(mut self, at_once: usize) -> Self {
        self.refreshes = at_once;
        self
    }

    /// How long a refresh in the background may take, to the end of its body (5 minutes); one that takes longer is given up.
    #[must_use]
    pub fn refresh_time(mut self, at_most: Duration) -> Self {
        self.refresh_time = at_most;
        self
    }

    /// How long a request waits for the head of another one's answer before it is sent itself (5 seconds); zero: it never does. It is answered
    /// by whichever comes first then, so that nobody waits longer for a slow origin than without a cache. A request whose caller gave it less
    /// time waits no longer than that.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Sends identical requests once for all processes that share the store, too. They wait for the whole answer, and are sent themselves when
    /// their patience is over, to be answered by whichever comes first; where the process that sent it ends, one of the others notices within a second and sends it again. Each miss costs two small
    /// writes, and one more every 200 ms until it is answered.
    #[must_use]
    pub fn across_processes(mut self) -> Self {
        self.sharing = Sharing::AcrossProcesses;
        self
    }

    /// How long a failing origin is left alone where a stored response may stand in for it (not at all). It is as long at first, and up to eight times
    /// as long while the origin keeps failing; then one request asks it again in the background. Requests that came before a failure never
    /// repeat it.
    #[must_use]
    pub fn rest_after_failure(mut self, rest: Duration) -> Self {
        self.rest = rest;
        self
    }

    /// After which time a stored response stands in for an origin that has not answered yet (never). It has to be one that may be stale when its
    /// origin fails, by `stale-if-error` or by the user's own wish. The request goes on in the background, and its answer is stored.
    #[must_use]
    pub fn stand_in_after(mut self, delay: Duration) -> Self {
        self.stand_in_after = Some(delay);
        self
    }

    /// Asks `pace` before every request that goes to the network.
    #[must_use]
    pub fn pace(mut self, pace: impl Pace) -> Self {
        self.pace = Some(Arc::new(pace));
        self
    }

    /// Carries out what [`Cache::ask`] answered. Without a runtime, nobody waits for others, and nothing is done in the background.
    ///
    /// # Errors
    /// The network fails and nothing stored can stand in, or the cache was told to raise what it met.
    pub async fn carry_out<N: Background, R: Runtime>(
        &self,
        answer: Answer,
        mut network: N,
        runtime: Option<&R>,
    ) -> Answered<N> {
        match (answer, runtime) {
            (Answer::Hit(reply) | Answer::Refuse(reply), _) => Ok(stored(reply)),
            (Answer::Send(ticket), Some(runtime)) => match self.spare(&ticket, ticket.since()) {
                None => self.share(ticket, network, runtime).await,
                Some((reply, false)) => Ok(stored(reply)),
                Some((reply, true)) => match network.detach(Some(self.refresh_time)) {
                    Ok(network) => {
                        self.refresh(ticket, network, runtime);
                        Ok(stored(reply))
                    }
                    Err(network) => self.share(ticket, network, runtime).await,
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

    /// Sends a request, unless somebody else does who wants the same.
    async fn share<N: Background, R: Runtime>(
        &self,
        mut ticket: Ticket,
        mut network: N,
        runtime: &R,
    ) -> Answered<N> {
        let (would_be, since) = (ticket.info(), ticket.since());
        let patience = self.patience_of(&network);
        let mut patience =
            pin!(runtime.sleep(self.slow_after(&ticket).map_or(patience, |slow| slow.min(patience))));
        let mut detours = 0;
        loop {
            let follow = match self.herd.join(&ticket) {
                Place::Lead(lead) if self.sharing == Sharing::AcrossProcesses => {
                    return self.share_across(ticket, lead, network, runtime).await;
                }
                Place::Lead(lead) if lead.is_late() => {
                    return match self.ask_again(ticket.asked(), network.body(), would_be).await? {
                        ControlFlow::Break(reply) => {
                            lead.done();
                            Ok(stored(reply))
                        }
                        ControlFlow::Continue(again) => match self.spare(&again, since) {
                            Some((reply, _)) => {
                                lead.done();
                                Ok(stored(reply))
                            }
                            None => self.lead(again, network, lead, runtime).await,
                        },
                    };
                }
                Place::Lead(lead) => return self.lead(ticket, network, lead, runtime).await,
                Place::Alone => return self.exchange(ticket, &mut network, None, Some(runtime)).await,
                Place::Follow(follow) => follow,
            };
            let passed = match select(follow, patience.as_mut()).await {
                Either::Left((passed, _)) => passed,
                Either::Right((_, follow)) => {
                    let slow = self.slow_after(&ticket).map(|_| LastFailure::Slow);
                    if let Some(reply) = slow.and_then(|slow| self.cache.stand_in(&ticket, slow)) {
                        return Ok(stored(reply));
                    }
                    return self.send_beside(ticket, network, None, Awaited::Lead(follow), runtime).await;
                }
            };
            if let Passed::Shown(answer) = &passed
                && (answer.has_length() || network.can_detach())
            {
                let body = network.body();
                let body = RequestBody::of(body.as_deref());
                match self.cache.ask_beside(ticket.asked(), body, answer).await? {
                    Answer::Hit(reply) => {
                        let reply = reply.collapsed(would_be);
                        return Ok(stored(self.reading_along(reply, ticket.asked(), network, runtime)));
                    }
                    // Another variant of it, which others may want, too.
                    Answer::Send(other) if other.key() != Some(answer.key()) && detours < MOST_DETOURS => {
                        (ticket, detours) = (other, detours + 1);
                        continue;
                    }
                    _ => {}
                }
            }
            match self.ask_again(ticket.asked(), network.body(), would_be).await? {
                ControlFlow::Break(reply) => return Ok(stored(reply)),
                ControlFlow::Continue(again) => ticket = again,
            }
            if let Some((reply, _)) = self.spare(&ticket, since) {
                return Ok(stored(reply));
            }
            if !matches!(passed, Passed::Abandoned) {
                return self.exchange(ticket, &mut network, None, Some(runtime)).await;
            }
        }
    }

    /// What answers a request that came at `since` without the origin, which failed a moment ago; and whether it is time to ask it again.
    fn spare(&self, ticket: &Ticket, since: MonotonicTime) -> Option<(Reply, bool)> {
        let Known { failed, due } = self.failing.known(ticket.key()?, since)?;
        Some((self.cache.stand_in(ticket, failed)?, due))
    }

    /// After which time the stored response stands in for a slow origin, where it may.
    fn slow_after(&self, ticket: &Ticket) -> Option<Duration> {
        self.stand_in_after.filter(|_| self.cache.can_stand_in(ticket, LastFailure::Slow))
    }

    /// Sends a request that others wait for. Where the stored response may stand in for a slow origin, it does after a while, and the request
    /// goes on without its caller.
    async fn lead<N: Background, R: Runtime>(
        &self,
        ticket: Ticket,
        network: N,
        lead: Lead,
        runtime: &R,
    ) -> Answered<N> {
        let delay = self.slow_after(&ticket).filter(|_| network.can_detach());
        let (asked, would_be, body) = (ticket.asked(), ticket.info(), network.body());
        let (delay, own) = match (delay, network) {
            (None, mut network) => {
                return self.exchange(ticket, &mut network, Some(lead), Some(runtime)).await;
            }
            (Some(delay), network) => match network.detach(None) {
                Ok(own) => (delay, own),
                Err(mut network) => {
                    return self.exchange(ticket, &mut network, Some(lead), Some(runtime)).await;
                }
            },
        };
        let (answer, mut answered) = oneshot::channel();
        let (driver, timer) = (self.clone(), runtime.clone());
        runtime.spawn(async move { driver.lead_aside(ticket, own, lead, answer, &timer).await });
        match select(&mut answered, pin!(runtime.sleep(delay))).await {
            Either::Left((Ok(answered), _)) => return answered,
            Either::Left((Err(oneshot::Canceled), _)) => return Err(Failure::Cache(given_up())),
            Either::Right(_) => {}
        }
        match self.ask_again(asked, body, would_be).await? {
            ControlFlow::Break(reply) => return Ok(stored(reply)),
            ControlFlow::Continue(again) => {
                if let Some(reply) = self.cache.stand_in(&again, LastFailure::Slow) {
                    self.failed(&again, LastFailure::Slow);
                    return Ok(stored(reply));
                }
            }
        }
        answered.await.unwrap_or_else(|oneshot::Canceled| Err(Failure::Cache(given_up())))
    }

    /// Sends a request for a caller that may go away: then its answer is stored all the same.
    async fn lead_aside<N: Network, R: Runtime>(
        &self,
        ticket: Ticket,
        mut network: N,
        lead: Lead,
        mut answer: oneshot::Sender<Answered<N>>,
        runtime: &R,
    ) {
        let sent = {
            let late = async {
                answer.cancellation().await;
                runtime.sleep(self.refresh_time).await;
            };
            let sent = self.exchange(ticket, &mut network, Some(lead), Some(runtime));
            match select(pin!(sent), pin!(late)).await {
                Either::Left((sent, _)) => sent,
                Either::Right(_) => return,
            }
        };
        if let Err(Ok(response)) = answer.send(sent)
            && let Content::Recorded(recorded) = response.into_body()
        {
            select(pin!(recorded.read_to_store()), pin!(runtime.sleep(self.refresh_time))).await;
        }
    }

    /// The origin failed to say whether what is stored still holds.
    fn failed(&self, ticket: &Ticket, failed: LastFailure) {
        if let (true, Some(key)) = (ticket.validates(), ticket.key()) {
            self.failing.note(key, failed, self.rest);
        }
    }

    /// Sends a request, unless another process does that wants the same.
    async fn share_across<N: Background, R: Runtime>(
        &self,
        mut ticket: Ticket,
        mut lead: Lead,
        mut network: N,
        runtime: &R,
    ) -> Answered<N> {
        let would_be = ticket.info();
        let mut patience = pin!(runtime.sleep(self.patience_of(&network)));
        let mut pause = FIRST_PAUSE;
        loop {
            let lease = self.cache.lease(lead.key()).await;
            // After the lease was asked for, since whoever had it may be done.
            match self.ask_again(ticket.asked(), network.body(), would_be).await? {
                ControlFlow::Break(reply) => {
                    lead.done();
                    return Ok(stored(reply));
                }
                ControlFlow::Continue(again) => ticket = again,
            }
            match lease {
                Lease::Elsewhere => {
                    let nap = pin!(runtime.sleep(pause));
                    if let Either::Right(_) = select(nap, patience.as_mut()).await {
                        return self
                            .send_beside(ticket, network, Some(lead), Awaited::Process, runtime)
                            .await;
                    }
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
                Lease::Here(held) => {
                    let held = Arc::new(held);
                    self.leases.keep(&held, runtime);
                    lead.hold(held);
                    break;
                }
                Lease::Unknown => break,
            }
        }
        self.exchange(ticket, &mut network, Some(lead), Some(runtime)).await
    }

    /// How long a request waits for others.
    fn patience_of(&self, network: &impl Network) -> Duration {
        network.time_left().map_or(self.patience, |left| left.min(self.patience))
    }

    /// What the cache answers by now, to a request that need not be sent for it; or what is still to be sent.
    async fn ask_again(
        &self,
        asked: request::Parts,
        body: Option<Bytes>,
        would_be: CacheInfo,
    ) -> Result<ControlFlow<Reply, Ticket>, Error> {
        let answer = self.cache.ask(asked, RequestBody::of(body.as_deref())).await?;
        Ok(match answer {
            Answer::Hit(reply) | Answer::Refresh(reply, _) => ControlFlow::Break(reply.collapsed(would_be)),
            Answer::Refuse(reply) => ControlFlow::Break(reply),
            Answer::Send(again) => ControlFlow::Continue(again),
        })
    }

    /// Sends what the ticket says, and settles what comes back.
    async fn exchange<N: Network, R: Runtime>(
        &self,
        mut ticket: Ticket,
        network: &mut N,
        lead: Option<Lead>,
        runtime: Option<&R>,
    ) -> Answered<N> {
        loop {
            if let Some(pace) = &self.pace {
                pace.turn(ticket.request()).await;
            }
            let response = match network.send(ticket.request()).await {
                Ok(response) => response,
                Err(error) => {
                    self.failed(&ticket, LastFailure::NoAnswer);
                    let settled = self.cache.settle(ticket, Outcome::Failed).await?;
                    // That its own time was over says nothing about the origin: one of the others takes its place.
                    if network.time_left() != Some(Duration::ZERO) {
                        done(lead);
                    }
                    return match settled {
                        Settlement::Stored(reply) => Ok(stored(reply)),
                        _ => Err(Failure::Network(error)),
                    };
                }
            };
            let (mut head, body) = response.into_parts();
            match (LastFailure::of(head.status), ticket.key()) {
                (Some(failed), _) => self.failed(&ticket, failed),
                (None, Some(key)) => self.failing.clear(key),
                (None, None) => {}
            }
            let blind = network.blind_spot(ticket.request(), &head);
            let (keep, info, instead) = match self.cache.settle(ticket, Outcome::Response(&head)).await? {
                Settlement::Network { keep, info, instead } => (keep, info, instead),
                Settlement::Failed(info) => (None, info, None),
                Settlement::Stored(reply) => {
                    done(lead);
                    return Ok(stored(reply));
                }
                Settlement::Resend(next) if network.can_repeat() => {
                    ticket = next;
                    continue;
                }
                // A streamed body is gone; the cache validates nothing for such a request, so this is not reached.
                Settlement::Resend(next) => (None, next.info(), None),
            };
            let refused = || keep.as_ref().and_then(|recording| recording.refuses(&size(&body)));
            let (keep, mut info) = match blind.or_else(refused) {
                Some(detail) => (None, info.unstored(detail)),
                None => (keep, info),
            };
            let content = match keep {
                Some(recording) => match Recorded::begin(body, recording, lead).await {
                    Begun::Recorded(recorded) => Content::Recorded(recorded),
                    Begun::Passing(body, missing) => {
                        info = missing.map_or(info, |detail| info.unstored(detail));
                        Content::Passing(body)
                    }
                },
                None => {
                    done(lead);
                    Content::Passing(body)
                }
            };
            let content = match instead {
                None => content,
                Some(not_modified) => {
                    let extensions = std::mem::replace(&mut head, *not_modified).extensions;
                    head.extensions = extensions;
                    if let Content::Recorded(recorded) = content
                        && !self.read_aside(recorded, runtime)
                    {
                        info = info.unstored(Detail::Incomplete);
                    }
                    Content::Stored(Body::default())
                }
            };
            head.extensions.insert(info);
            return Ok(Response::from_parts(head, content));
        }
    }

    /// Stores a body that the caller does not want, if there is somebody to read it.
    fn read_aside<E: Send + 'static, R: Runtime>(&self, recorded: Recorded<E>, runtime: Option<&R>) -> bool {
        let (Some(runtime), Some(claim)) = (runtime, Claim::of(&self.refreshing, self.refreshes)) else {
            return false;
        };
        let (timer, at_most) = (runtime.clone(), self.refresh_time);
        runtime.spawn(async move {
            select(pin!(recorded.read_to_store()), pin!(timer.sleep(at_most))).await;
            drop(claim);
        });
        true
    }

    /// Refreshes in the background, unless somebody already does or too many are at it.
    fn refresh<N: Network + 'static, R: Runtime>(&self, ticket: Ticket, mut network: N, runtime: &R) {
        let Some(claim) = Claim::of(&self.refreshing, self.refreshes) else { return };
        let Some(lead) = self.herd.lead(&ticket) else { return };
        let (driver, timer, at_most) = (self.clone(), runtime.clone(), self.refresh_time);
        runtime.spawn(async move {
            // Whether it comes to anything is between the cache and its observer; the caller has an answer.
            let refreshed = pin!(async {
                let mut ticket = ticket;
                if lead.is_late() {
                    let body = network.body();
                    match driver.cache.ask(ticket.asked(), RequestBody::of(body.as_deref())).await {
                        Ok(Answer::Refresh(_, again) | Answer::Send(again)) => ticket = again,
                        // Another request for it refreshed it.
                        _ => return lead.done(),
                    }
                }
                let response = driver.exchange(ticket, &mut network, Some(lead), Some(&timer)).await;
                if let Ok(Content::Recorded(recorded)) = response.map(Response::into_body) {
                    recorded.read_to_store().await;
                }
            });
            select(refreshed, pin!(timer.sleep(at_most))).await;
            drop(claim);
        });
    }
}

/// How long a body is, as far as it says so itself.
fn size(body: &impl http_body::Body) -> SizeHint {
    if body.is_end_stream() { SizeHint::with_exact(0) } else { body.size_hint() }
}

/// One of the tasks that may run in the background at once.
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

fn given_up() -> Error {
    Error::new(ErrorKind::Io, "the request was given up, for its runtime is ending")
}

fn stored<B: http_body::Body>(reply: Reply) -> Response<Content<B>> {
    reply.response.map(Content::Stored)
}

/// The settings of the cache may show secrets.
impl fmt::Debug for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driver").field("herd", &self.herd).finish_non_exhaustive()
    }
}

impl From<Cache> for Driver {
    fn from(cache: Cache) -> Self {
        Self::new(cache)
    }
}

impl<E: Into<Box<dyn StdError + Send + Sync>>> Failure<E> {
    /// The error within.
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
