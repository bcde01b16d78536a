//! A minimal cache over a map, with a manual clock, for the targets that drive the whole engine.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response, StatusCode, response};
use lacre_core::{
    Decision, Engine, Hit, HitKind, Key, Outcome, Pending, Policy, RequestBody, Settled, Slot, Timestamp,
};

/// 2026-01-01T00:00:00Z
pub const START: Timestamp = Timestamp::from_seconds(1_767_225_600);

/// A cache without eviction.
pub struct Cache {
    engine: Arc<Engine>,
    rows: HashMap<Key, Slot<Bytes>>,
    pub now: Timestamp,
}

/// The response that the caller gets.
pub struct Got {
    pub head: response::Parts,
    pub body: Bytes,
    pub source: Source,
}

/// The source of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The network.
    Network,
    /// The store: this much of a stored response.
    Stored(HitKind),
    /// The cache itself: it may not use the network and has no response (504).
    Refusal,
}

/// The response of the network; `None` if it fails.
pub type Network<'a> = dyn FnMut(&http::request::Parts) -> Option<Response<Bytes>> + 'a;

impl Cache {
    pub fn new(policy: Policy) -> Self {
        let digest = |identity: &[u8]| *blake3::hash(identity).as_bytes();
        Self { engine: Arc::new(Engine::new(policy, digest)), rows: HashMap::new(), now: START }
    }

    /// Sends one request through the cache; `None` if the network fails and no stored response may
    /// be served.
    pub fn exchange(&mut self, request: Request<()>, network: &mut Network<'_>) -> Option<Got> {
        let (request, ()) = request.into_parts();
        let mut decision = self.engine.begin(request, RequestBody::Seen(b""), self.now);
        loop {
            decision = match decision {
                Decision::Lookup(lookup) => {
                    let slot = self.rows.get(lookup.key()).cloned();
                    lookup.found(slot, self.now)
                }
                Decision::Serve(hit) => return Some(served(hit)),
                Decision::Refresh(hit, pending) => {
                    self.send(pending, network);
                    return Some(served(hit));
                }
                Decision::Send(pending) => return self.send(pending, network),
                Decision::Refuse(_) => {
                    let (mut head, body) = Response::new(Bytes::new()).into_parts();
                    head.status = StatusCode::GATEWAY_TIMEOUT;
                    return Some(Got { head, body, source: Source::Refusal });
                }
            };
        }
    }

    fn send(&mut self, pending: Pending<Bytes>, network: &mut Network<'_>) -> Option<Got> {
        let answer = network(pending.request()).map(Response::into_parts);
        let outcome = answer.as_ref().map_or(Outcome::Failed, |(head, _)| Outcome::Response(head));
        let (hit, touch) = match pending.settle(outcome, self.now) {
            Settled::Network { insert, touch, remove, .. } => {
                let (head, body) = answer.expect("a network response needs a network that answered");
                for key in remove {
                    self.rows.remove(&key);
                }
                if let Some(insert) = insert {
                    self.rows.extend(insert.pointers.into_iter().map(|(at, pointer)| (at, pointer.into())));
                    self.rows.insert(insert.key, Slot::Entry(Box::new(insert.entry.with_body(body.clone()))));
                }
                (Err(Got { head, body, source: Source::Network }), touch)
            }
            Settled::Stored { hit, touch } => (Ok(hit), touch),
            Settled::Resend(pending) => return self.send(pending, network),
            Settled::Failed(_) => return None,
        };
        if let Some(touch) = touch {
            self.rows.insert(touch.key, Slot::Entry(touch.entry));
        }
        Some(hit.map_or_else(|got| got, served))
    }
}

fn served(hit: Hit<Bytes>) -> Got {
    let answer = hit.kind();
    let (head, body) = hit.into_response();
    let body = match answer {
        HitKind::Full => body,
        HitKind::Slice { first, last } => body.slice(first as usize..=last as usize),
        HitKind::Headers | HitKind::NotModified | HitKind::Unsatisfiable => Bytes::new(),
    };
    Got { head, body, source: Source::Stored(answer) }
}
