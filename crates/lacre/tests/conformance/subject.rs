//! What is judged: [`lacre::Cache`], driven the way every integration drives it, and no cache at
//! all.

use crate::client::{Network, Subject};
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use lacre::store::Memory;
use lacre::{
    Answer, Cache, Error, ManualClock, Outcome, Policy, Reply, RequestBody, Settlement, Ticket, wait,
};
use std::sync::Arc;

/// A cache in memory, with a key of its own.
pub(crate) fn cache(policy: Policy, clock: Arc<ManualClock>) -> Result<Cache, Error> {
    Cache::builder().store(Memory::new()?).danger_ephemeral_key().policy(policy).clock(clock).build()
}

impl Subject for Cache {
    fn name(&self) -> &'static str {
        "lacre"
    }

    fn exchange(&self, request: Request<Bytes>, origin: &mut Network<'_>) -> Response<Bytes> {
        wait(exchange(self, request, origin)).unwrap_or_else(|_| empty(StatusCode::INTERNAL_SERVER_ERROR))
    }
}

async fn exchange(
    cache: &Cache,
    request: Request<Bytes>,
    origin: &mut Network<'_>,
) -> Result<Response<Bytes>, Error> {
    let (parts, body) = request.into_parts();
    match cache.ask(parts, RequestBody::Seen(&body)).await? {
        Answer::Hit(reply) | Answer::Refuse(reply) => whole(reply).await,
        Answer::Refresh(reply, ticket) => {
            send(cache, ticket, &body, origin).await?;
            whole(reply).await
        }
        Answer::Send(ticket) => send(cache, ticket, &body, origin).await,
    }
}

async fn send(
    cache: &Cache,
    mut ticket: Ticket,
    body: &Bytes,
    origin: &mut Network<'_>,
) -> Result<Response<Bytes>, Error> {
    loop {
        let answer =
            origin(&Request::from_parts(ticket.request().clone(), body.clone())).map(Response::into_parts);
        let outcome = answer.as_ref().map_or(Outcome::Failed, |(head, _)| Outcome::Response(head));
        match (cache.settle(ticket, outcome).await?, answer) {
            (Settlement::Network { keep, .. }, Ok((head, body))) => {
                if let Some(mut recording) = keep {
                    recording.write(&body).await;
                    recording.finish().await;
                }
                return Ok(Response::from_parts(head, body));
            }
            (Settlement::Stored(reply), _) => return whole(reply).await,
            (Settlement::Resend(again), _) => ticket = again,
            // RFC 9111 §5.2.2.2
            (Settlement::Failed(_) | Settlement::Network { .. }, _) => {
                return Ok(empty(StatusCode::GATEWAY_TIMEOUT));
            }
        }
    }
}

/// Sends every request on: what the suite gives to a cache that stores nothing.
pub(crate) struct NoCache;

impl Subject for NoCache {
    fn name(&self) -> &'static str {
        "no cache"
    }

    fn exchange(&self, request: Request<Bytes>, origin: &mut Network<'_>) -> Response<Bytes> {
        origin(&request).unwrap_or_else(|_| empty(StatusCode::BAD_GATEWAY))
    }
}

fn empty(status: StatusCode) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = status;
    response
}

/// A reply with its body in one piece.
async fn whole(reply: Reply) -> Result<Response<Bytes>, Error> {
    let (head, body) = reply.response.into_parts();
    Ok(Response::from_parts(head, body.bytes().await?))
}
