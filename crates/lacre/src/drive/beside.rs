//! A request whose patience is over: it is sent beside the one that it waited for, and answered by whichever comes first.

use super::alone::Alone;
use super::{Answered, Background, Claim, Driver, LONGEST_PAUSE, Runtime, stored};
use crate::herd::{Follow, Lead, Passed};
use crate::{Answer, CacheInfo, Reply, RequestBody, Ticket};
use bytes::Bytes;
use futures_channel::oneshot;
use futures_util::future::{Either, select};
use http::request;
use std::ops::ControlFlow;
use std::pin::pin;

/// A request that waits, to ask with it again.
struct Asked {
    head: request::Parts,
    body: Option<Bytes>,
    would_be: CacheInfo,
}

/// Whose answer a request waits for.
pub(super) enum Awaited {
    /// That of another request in this process.
    Lead(Follow),
    /// That of another process, which is stored when it is whole.
    Process,
}

impl Driver {
    /// Sends a request whose patience is over, and still takes the answer to the one that it waited for, where that comes first.
    pub(super) async fn send_beside<N: Background, R: Runtime>(
        &self,
        ticket: Ticket,
        network: N,
        lead: Option<Lead>,
        awaited: Awaited,
        runtime: &R,
    ) -> Answered<N> {
        let asked = Asked { head: ticket.asked(), body: network.body(), would_be: ticket.info() };
        let spare = network.again().filter(N::can_detach);
        let other = pin!(self.listen(awaited, &asked, spare.is_some(), runtime));
        let own = pin!(self.send_aside(ticket, network, lead, runtime));
        let reply = match select(other, own).await {
            Either::Left((Some(reply), _)) => reply,
            Either::Left((None, own)) => return own.await,
            Either::Right((answered, _)) => return answered,
        };
        Ok(stored(match spare {
            Some(spare) => self.reading_along(reply, asked.head.clone(), spare, runtime),
            None => reply,
        }))
    }

    /// What another request is answered with; `None`: nothing that answers this one. `along`: it can read an answer whose length nobody knows.
    async fn listen<R: Runtime>(
        &self,
        awaited: Awaited,
        asked: &Asked,
        along: bool,
        runtime: &R,
    ) -> Option<Reply> {
        let Asked { head, body, would_be } = asked;
        let stored_by_now = || async {
            let answer = self.ask_again(head.clone(), body.clone(), *would_be).await;
            answer.ok().and_then(ControlFlow::break_value)
        };
        let follow = match awaited {
            Awaited::Lead(follow) => follow,
            Awaited::Process => loop {
                runtime.sleep(LONGEST_PAUSE).await;
                if let Some(reply) = stored_by_now().await {
                    return Some(reply);
                }
            },
        };
        if let Passed::Shown(answer) = follow.await
            && (along || answer.has_length())
        {
            let body = RequestBody::of(body.as_deref());
            if let Ok(Answer::Hit(reply)) = self.cache.ask_beside(head.clone(), body, &answer).await {
                return Some(reply.collapsed(*would_be));
            }
        }
        stored_by_now().await
    }

    /// Sends a request so that its caller can wait for something else meanwhile: on a thread of its own where it would block this one.
    async fn send_aside<N: Background, R: Runtime>(
        &self,
        mut ticket: Ticket,
        mut network: N,
        mut lead: Option<Lead>,
        runtime: &R,
    ) -> Answered<N> {
        if N::BLOCKS
            && let Some(spare) = network.again()
            && let Some(claim) = Claim::of(&self.refreshing, self.refreshes)
        {
            let (asked, would_be) = (ticket.asked(), ticket.info());
            match network.detach(None) {
                Err(attached) => network = attached,
                Ok(mut own) => {
                    let (answer, answered) = oneshot::channel();
                    let (driver, timer, lead) = (self.clone(), runtime.clone(), lead.take());
                    runtime.spawn(async move {
                        // Its caller may have another answer by now.
                        let _ = answer.send(driver.exchange(ticket, &mut own, lead, Some(&timer)).await);
                        drop(claim);
                    });
                    if let Ok(answered) = answered.await {
                        return answered;
                    }
                    // The system had no thread to spare.
                    match self.ask_again(asked, spare.body(), would_be).await? {
                        ControlFlow::Break(reply) => return Ok(stored(reply)),
                        ControlFlow::Continue(again) => (ticket, network) = (again, spare),
                    }
                }
            }
        }
        self.exchange(ticket, &mut network, lead, Some(runtime)).await
    }

    /// An answer that may still be under way, for a reader that goes on by itself where it breaks off.
    pub(super) fn reading_along<N: Background, R: Runtime>(
        &self,
        mut reply: Reply,
        asked: request::Parts,
        network: N,
        runtime: &R,
    ) -> Reply {
        let body = reply.response.body_mut();
        if body.is_under_way()
            && let Ok(network) = network.detach(None)
        {
            let (runtime, pace) = (runtime.clone(), self.pace.clone());
            body.go_on_with(Box::new(Alone { asked, network, runtime, pace }));
        }
        reply
    }
}
