//! Hedging: a waiter whose time is over is sent too, and takes whichever response comes first
//! ([decision 25](../../../../docs/decisions/0025-timeouts-of-waiting-requests.md)).

use super::coalesce::{Leader, LeaderOutcome, Waiter};
use super::own_request::OwnRequest;
use super::{Answered, Background, Claim, Driver, MAX_PAUSE, Runtime, stored};
use crate::{Answer, CacheInfo, Reply, RequestBody, Ticket};
use bytes::Bytes;
use futures_channel::oneshot;
use futures_util::future::{Either, select};
use http::request;
use std::ops::ControlFlow;
use std::pin::pin;

/// A waiting request, to ask the cache again.
struct Asked {
    head: request::Parts,
    body: Option<Bytes>,
    would_be: CacheInfo,
}

/// The request whose response is awaited.
pub(super) enum Awaited {
    /// Another request of this process.
    Leader(Waiter),
    /// A request of another process, whose response is stored when complete.
    Process,
}

impl Driver {
    /// Sends a waiter's request, and still takes the awaited response if that comes first.
    pub(super) async fn send_hedged<N: Background, R: Runtime>(
        &self,
        ticket: Ticket,
        network: N,
        leader: Option<Leader>,
        awaited: Awaited,
        runtime: &R,
    ) -> Answered<N> {
        let asked = Asked { head: ticket.asked(), body: network.body(), would_be: ticket.info() };
        let spare = network.duplicate().filter(N::can_detach);
        let other = pin!(self.await_response(awaited, &asked, spare.is_some(), runtime));
        let own = pin!(self.send_detached(ticket, network, leader, runtime));
        let reply = match select(other, own).await {
            Either::Left((Some(reply), _)) => reply,
            Either::Left((None, own)) => return own.await,
            Either::Right((answered, _)) => return answered,
        };
        Ok(stored(match spare {
            Some(spare) => self.with_resume(reply, asked.head.clone(), spare, runtime),
            None => reply,
        }))
    }

    /// The awaited response, if it answers this request. `can_resume`: it may be of unknown length.
    async fn await_response<R: Runtime>(
        &self,
        awaited: Awaited,
        asked: &Asked,
        can_resume: bool,
        runtime: &R,
    ) -> Option<Reply> {
        let Asked { head, body, would_be } = asked;
        let stored_by_now = || async {
            let answer = self.ask_again(head.clone(), body.clone(), *would_be).await;
            answer.ok().and_then(ControlFlow::break_value)
        };
        let waiter = match awaited {
            Awaited::Leader(waiter) => waiter,
            Awaited::Process => loop {
                runtime.sleep(MAX_PAUSE).await;
                if let Some(reply) = stored_by_now().await {
                    return Some(reply);
                }
            },
        };
        if let LeaderOutcome::InFlight(response) = waiter.await
            && (can_resume || response.has_length())
        {
            let body = RequestBody::of(body.as_deref());
            if let Ok(Answer::Hit(reply)) = self.cache.ask_with_in_flight(head.clone(), body, &response).await
            {
                return Some(reply.collapsed(*would_be));
            }
        }
        stored_by_now().await
    }

    /// Sends a request so that its caller can await something else meanwhile: on a thread of its
    /// own if it blocks.
    async fn send_detached<N: Background, R: Runtime>(
        &self,
        mut ticket: Ticket,
        mut network: N,
        mut leader: Option<Leader>,
        runtime: &R,
    ) -> Answered<N> {
        if N::BLOCKS
            && let Some(spare) = network.duplicate()
            && let Some(claim) = Claim::of(&self.refreshing, self.refreshes)
        {
            let (asked, would_be) = (ticket.asked(), ticket.info());
            match network.detach(None) {
                Err(attached) => network = attached,
                Ok(mut own) => {
                    let (answer, answered) = oneshot::channel();
                    let (driver, timer, leader) = (self.clone(), runtime.clone(), leader.take());
                    runtime.spawn(async move {
                        // The caller may have another response by now.
                        let _ = answer.send(driver.exchange(ticket, &mut own, leader, Some(&timer)).await);
                        drop(claim);
                    });
                    if let Ok(answered) = answered.await {
                        return answered;
                    }
                    // The system had no thread left.
                    match self.ask_again(asked, spare.body(), would_be).await? {
                        ControlFlow::Break(reply) => return Ok(stored(reply)),
                        ControlFlow::Continue(again) => (ticket, network) = (again, spare),
                    }
                }
            }
        }
        self.exchange(ticket, &mut network, leader, Some(runtime)).await
    }

    /// Lets a reply from a response in flight resume on a request of its own.
    pub(super) fn with_resume<N: Background, R: Runtime>(
        &self,
        mut reply: Reply,
        asked: request::Parts,
        network: N,
        runtime: &R,
    ) -> Reply {
        let body = reply.response.body_mut();
        if body.is_in_flight()
            && let Ok(network) = network.detach(None)
        {
            let (runtime, rate_limit) = (runtime.clone(), self.rate_limit.clone());
            body.resume_with(Box::new(OwnRequest { asked, network, runtime, rate_limit }));
        }
        reply
    }
}
