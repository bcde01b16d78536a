//! Sending one request: alone, coalesced with others, under a lease, or in the background.

use super::coalesce::{Leader, LeaderOutcome, Role, done};
use super::hedge::Awaited;
use super::origin_failures::RecentFailure;
use super::tee::{TeeBody, TeeStart};
use super::{
    Answered, Background, Claim, CoalesceScope, Content, Driver, FIRST_PAUSE, Failure, MAX_PAUSE,
    MAX_VARIANT_CHANGES, Network, Runtime, stored,
};
use crate::clock::MonotonicTime;
use crate::storage::lease::Lease;
use crate::{
    Answer, Body, CacheInfo, Detail, Error, ErrorKind, Outcome, Reply, RequestBody, Settlement, Ticket,
};
use bytes::Bytes;
use futures_channel::oneshot;
use futures_util::future::{Either, select};
use http::{Response, request};
use http_body::SizeHint;
use lacre_core::LastFailure;
use std::ops::ControlFlow;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

impl Driver {
    /// Sends a request, unless another request for the same key is in flight.
    pub(super) async fn send_coalesced<N: Background, R: Runtime>(
        &self,
        mut ticket: Ticket,
        mut network: N,
        runtime: &R,
    ) -> Answered<N> {
        let (would_be, since) = (ticket.info(), ticket.since());
        let timeout = self.coalesce_timeout_for(&network);
        let mut timeout =
            pin!(runtime.sleep(self.stand_in_delay(&ticket).map_or(timeout, |slow| slow.min(timeout))));
        let mut variant_changes = 0;
        loop {
            let waiter = match self.coalescer.join(&ticket) {
                Role::Leader(leader) if self.coalesce_scope == CoalesceScope::Store => {
                    return self.send_with_lease(ticket, leader, network, runtime).await;
                }
                Role::Leader(leader) if leader.is_late() => {
                    return match self.ask_again(ticket.asked(), network.body(), would_be).await? {
                        ControlFlow::Break(reply) => {
                            leader.done();
                            Ok(stored(reply))
                        }
                        ControlFlow::Continue(again) => match self.spare_origin(&again, since) {
                            Some((reply, _)) => {
                                leader.done();
                                Ok(stored(reply))
                            }
                            None => self.send_as_leader(again, network, leader, runtime).await,
                        },
                    };
                }
                Role::Leader(leader) => return self.send_as_leader(ticket, network, leader, runtime).await,
                Role::Alone => return self.exchange(ticket, &mut network, None, Some(runtime)).await,
                Role::Waiter(waiter) => waiter,
            };
            let outcome = match select(waiter, timeout.as_mut()).await {
                Either::Left((outcome, _)) => outcome,
                Either::Right((_, waiter)) => {
                    let slow = self.stand_in_delay(&ticket).map(|_| LastFailure::Slow);
                    if let Some(reply) = slow.and_then(|slow| self.cache.stand_in(&ticket, slow)) {
                        return Ok(stored(reply));
                    }
                    return self.send_hedged(ticket, network, None, Awaited::Leader(waiter), runtime).await;
                }
            };
            if let LeaderOutcome::InFlight(response) = &outcome
                && (response.has_length() || network.can_detach())
            {
                let body = network.body();
                let body = RequestBody::of(body.as_deref());
                match self.cache.ask_with_in_flight(ticket.asked(), body, response).await? {
                    Answer::Hit(reply) => {
                        let reply = reply.collapsed(would_be);
                        return Ok(stored(self.with_resume(reply, ticket.asked(), network, runtime)));
                    }
                    // The response is another variant. Join the requests for the right one.
                    Answer::Send(other)
                        if other.key() != Some(response.key()) && variant_changes < MAX_VARIANT_CHANGES =>
                    {
                        (ticket, variant_changes) = (other, variant_changes + 1);
                        continue;
                    }
                    _ => {}
                }
            }
            match self.ask_again(ticket.asked(), network.body(), would_be).await? {
                ControlFlow::Break(reply) => return Ok(stored(reply)),
                ControlFlow::Continue(again) => ticket = again,
            }
            if let Some((reply, _)) = self.spare_origin(&ticket, since) {
                return Ok(stored(reply));
            }
            if !matches!(outcome, LeaderOutcome::Abandoned) {
                return self.exchange(ticket, &mut network, None, Some(runtime)).await;
            }
        }
    }

    /// The stored response that stands in for an origin which failed recently, for a request that
    /// came at `since`; and whether the origin may be asked again.
    pub(super) fn spare_origin(&self, ticket: &Ticket, since: MonotonicTime) -> Option<(Reply, bool)> {
        let RecentFailure { failed, due } = self.failures.recent(ticket.key()?, since)?;
        Some((self.cache.stand_in(ticket, failed)?, due))
    }

    /// The delay after which a stored response stands in for a slow origin. `None`: it may not.
    fn stand_in_delay(&self, ticket: &Ticket) -> Option<Duration> {
        self.stand_in_after.filter(|_| self.cache.can_stand_in(ticket, LastFailure::Slow))
    }

    /// Sends a request that others wait for. If a stored response stands in for a slow origin
    /// meanwhile, the request goes on in the background.
    async fn send_as_leader<N: Background, R: Runtime>(
        &self,
        ticket: Ticket,
        network: N,
        leader: Leader,
        runtime: &R,
    ) -> Answered<N> {
        let delay = self.stand_in_delay(&ticket).filter(|_| network.can_detach());
        let (asked, would_be, body) = (ticket.asked(), ticket.info(), network.body());
        let (delay, own) = match (delay, network) {
            (None, mut network) => {
                return self.exchange(ticket, &mut network, Some(leader), Some(runtime)).await;
            }
            (Some(delay), network) => match network.detach(None) {
                Ok(own) => (delay, own),
                Err(mut network) => {
                    return self.exchange(ticket, &mut network, Some(leader), Some(runtime)).await;
                }
            },
        };
        let (answer, mut answered) = oneshot::channel();
        let (driver, timer) = (self.clone(), runtime.clone());
        runtime.spawn(async move { driver.lead_detached(ticket, own, leader, answer, &timer).await });
        match select(&mut answered, pin!(runtime.sleep(delay))).await {
            Either::Left((Ok(answered), _)) => return answered,
            Either::Left((Err(oneshot::Canceled), _)) => return Err(Failure::Cache(given_up())),
            Either::Right(_) => {}
        }
        match self.ask_again(asked, body, would_be).await? {
            ControlFlow::Break(reply) => return Ok(stored(reply)),
            ControlFlow::Continue(again) => {
                if let Some(reply) = self.cache.stand_in(&again, LastFailure::Slow) {
                    self.record_failure(&again, LastFailure::Slow);
                    return Ok(stored(reply));
                }
            }
        }
        answered.await.unwrap_or_else(|oneshot::Canceled| Err(Failure::Cache(given_up())))
    }

    /// Sends a request for a caller that may go away. Its response is stored in any case.
    async fn lead_detached<N: Network, R: Runtime>(
        &self,
        ticket: Ticket,
        mut network: N,
        leader: Leader,
        mut answer: oneshot::Sender<Answered<N>>,
        runtime: &R,
    ) {
        let sent = {
            let late = async {
                answer.cancellation().await;
                runtime.sleep(self.refresh_time).await;
            };
            let sent = self.exchange(ticket, &mut network, Some(leader), Some(runtime));
            match select(pin!(sent), pin!(late)).await {
                Either::Left((sent, _)) => sent,
                Either::Right(_) => return,
            }
        };
        if let Err(Ok(response)) = answer.send(sent)
            && let Content::Storing(tee) = response.into_body()
        {
            select(pin!(tee.read_to_store()), pin!(runtime.sleep(self.refresh_time))).await;
        }
    }

    /// Records an origin that failed to validate a stored response.
    fn record_failure(&self, ticket: &Ticket, failed: LastFailure) {
        if let (true, Some(key)) = (ticket.validates(), ticket.key()) {
            self.failures.record(key, failed, self.failure_pause);
        }
    }

    /// Sends a request, unless another process holds the lease for its key.
    async fn send_with_lease<N: Background, R: Runtime>(
        &self,
        mut ticket: Ticket,
        mut leader: Leader,
        mut network: N,
        runtime: &R,
    ) -> Answered<N> {
        let would_be = ticket.info();
        let mut timeout = pin!(runtime.sleep(self.coalesce_timeout_for(&network)));
        let mut pause = FIRST_PAUSE;
        loop {
            let lease = self.cache.storage.lease(leader.key()).await;
            // After the lease was asked for: its last holder may have stored a response.
            match self.ask_again(ticket.asked(), network.body(), would_be).await? {
                ControlFlow::Break(reply) => {
                    leader.done();
                    return Ok(stored(reply));
                }
                ControlFlow::Continue(again) => ticket = again,
            }
            match lease {
                Lease::Elsewhere => {
                    let nap = pin!(runtime.sleep(pause));
                    if let Either::Right(_) = select(nap, timeout.as_mut()).await {
                        return self
                            .send_hedged(ticket, network, Some(leader), Awaited::Process, runtime)
                            .await;
                    }
                    pause = (pause * 2).min(MAX_PAUSE);
                }
                Lease::Held(held) => {
                    let held = Arc::new(held);
                    self.leases.add(&held, runtime);
                    leader.hold_lease(held);
                    break;
                }
                Lease::Unknown => break,
            }
        }
        self.exchange(ticket, &mut network, Some(leader), Some(runtime)).await
    }

    /// How long a request waits for others: never longer than its own timeout.
    fn coalesce_timeout_for(&self, network: &impl Network) -> Duration {
        network.time_left().map_or(self.coalesce_timeout, |left| left.min(self.coalesce_timeout))
    }

    /// Asks the cache again after a wait: a reply by now, or a ticket that must still be sent.
    pub(super) async fn ask_again(
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

    /// Sends a ticket's request, and settles the outcome.
    pub(super) async fn exchange<N: Network, R: Runtime>(
        &self,
        mut ticket: Ticket,
        network: &mut N,
        leader: Option<Leader>,
        runtime: Option<&R>,
    ) -> Answered<N> {
        loop {
            if let Some(rate_limit) = &self.rate_limit {
                rate_limit.acquire(ticket.request()).await;
            }
            let response = match network.send(ticket.request()).await {
                Ok(response) => response,
                Err(error) => {
                    self.record_failure(&ticket, LastFailure::NoAnswer);
                    let settled = self.cache.settle(ticket, Outcome::Failed).await?;
                    // The end of the caller's own timeout says nothing about the origin. A waiter
                    // sends next.
                    if network.time_left() != Some(Duration::ZERO) {
                        done(leader);
                    }
                    return match settled {
                        Settlement::Stored(reply) => Ok(stored(reply)),
                        _ => Err(Failure::Network(error)),
                    };
                }
            };
            let (mut head, body) = response.into_parts();
            match (LastFailure::of(head.status), ticket.key()) {
                (Some(failed), _) => self.record_failure(&ticket, failed),
                (None, Some(key)) => self.failures.clear(key),
                (None, None) => {}
            }
            let unseen = network.unseen_inputs(ticket.request(), &head);
            let (keep, info, instead) = match self.cache.settle(ticket, Outcome::Response(&head)).await? {
                Settlement::Network { keep, info, instead } => (keep, info, instead),
                Settlement::Failed(info) => (None, info, None),
                Settlement::Stored(reply) => {
                    done(leader);
                    return Ok(stored(reply));
                }
                Settlement::Resend(next) if network.can_repeat() => {
                    ticket = next;
                    continue;
                }
                // Not reached: the cache validates nothing for a request whose body is a stream.
                Settlement::Resend(next) => (None, next.info(), None),
            };
            let refused = || keep.as_ref().and_then(|recording| recording.refuses(&size(&body)));
            let (keep, mut info) = match unseen.or_else(refused) {
                Some(detail) => (None, info.unstored(detail)),
                None => (keep, info),
            };
            let content = match keep {
                Some(recording) => match TeeBody::start(body, recording, leader).await {
                    TeeStart::Storing(tee) => Content::Storing(tee),
                    TeeStart::Empty(body, missing) => {
                        info = missing.map_or(info, |detail| info.unstored(detail));
                        Content::Passing(body)
                    }
                },
                None => {
                    done(leader);
                    Content::Passing(body)
                }
            };
            let content = match instead {
                None => content,
                Some(not_modified) => {
                    let extensions = std::mem::replace(&mut head, *not_modified).extensions;
                    head.extensions = extensions;
                    if let Content::Storing(tee) = content
                        && !self.store_in_background(tee, runtime)
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

    /// Reads a body to its end in the background, so that it is stored. `false`: there is no
    /// runtime, or too many tasks run already.
    fn store_in_background<E: Send + 'static, R: Runtime>(
        &self,
        tee: TeeBody<E>,
        runtime: Option<&R>,
    ) -> bool {
        let (Some(runtime), Some(claim)) = (runtime, Claim::of(&self.refreshing, self.refreshes)) else {
            return false;
        };
        let (timer, at_most) = (runtime.clone(), self.refresh_time);
        runtime.spawn(async move {
            select(pin!(tee.read_to_store()), pin!(timer.sleep(at_most))).await;
            drop(claim);
        });
        true
    }

    /// Refreshes in the background, unless a request for the key is in flight or too many tasks run
    /// already.
    pub(super) fn refresh<N: Network + 'static, R: Runtime>(
        &self,
        ticket: Ticket,
        mut network: N,
        runtime: &R,
    ) {
        let Some(claim) = Claim::of(&self.refreshing, self.refreshes) else { return };
        let Some(leader) = self.coalescer.try_lead(&ticket) else { return };
        let (driver, timer, at_most) = (self.clone(), runtime.clone(), self.refresh_time);
        runtime.spawn(async move {
            // The caller has its response. The observer learns of a failure.
            let refreshed = pin!(async {
                let mut ticket = ticket;
                if leader.is_late() {
                    let body = network.body();
                    match driver.cache.ask(ticket.asked(), RequestBody::of(body.as_deref())).await {
                        Ok(Answer::Refresh(_, again) | Answer::Send(again)) => ticket = again,
                        // Another request refreshed it.
                        _ => return leader.done(),
                    }
                }
                let response = driver.exchange(ticket, &mut network, Some(leader), Some(&timer)).await;
                if let Ok(Content::Storing(tee)) = response.map(Response::into_body) {
                    tee.read_to_store().await;
                }
            });
            select(refreshed, pin!(timer.sleep(at_most))).await;
            drop(claim);
        });
    }
}

/// The size of a body, as far as it is known.
fn size(body: &impl http_body::Body) -> SizeHint {
    if body.is_end_stream() { SizeHint::with_exact(0) } else { body.size_hint() }
}

fn given_up() -> Error {
    Error::new(ErrorKind::Io, "the request was given up because its runtime is shutting down")
}
