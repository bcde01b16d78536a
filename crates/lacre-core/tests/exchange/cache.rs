//! A minimal cache for tests: the engine over a map, with a number as its clock.

use bytes::Bytes;
use http::{HeaderValue, Request, Response, request, response};
use lacre_core::{
    CacheStatus, Decision, Engine, Hit, HitKind, Key, Outcome, Pending, Policy, RequestBody, RequestOptions,
    Sensitivity, Settled, Slot, Timestamp, Touch,
};
use std::cell::Cell;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// 2023-11-14T22:13:20Z
pub(crate) const START: Timestamp = Timestamp::from_seconds(1_700_000_000);
pub(crate) const DATE: &str = "Tue, 14 Nov 2023 22:13:20 GMT";

/// The origin: returns a response, or `None` if it fails.
type Origin<'a> = &'a mut dyn FnMut(&request::Parts) -> Option<Response<&'static str>>;

pub(crate) struct Cache {
    engine: Arc<Engine>,
    pub(crate) rows: HashMap<Key, Slot<Bytes>>,
    /// The number of rows that were read.
    pub(crate) rows_read: Cell<usize>,
    now: Timestamp,
    /// The seconds that the origin takes to answer.
    pub(crate) delay: u64,
    /// The retention and sensitivity of the last stored response.
    pub(crate) last_stored: Option<(Timestamp, Sensitivity)>,
}

pub(crate) struct Got {
    pub(crate) parts: response::Parts,
    pub(crate) body: Bytes,
    pub(crate) status: CacheStatus,
}

impl Cache {
    pub(crate) fn new(policy: Policy) -> Self {
        let digest = |identity: &[u8]| *blake3::hash(identity).as_bytes();
        Self {
            engine: Arc::new(Engine::new(policy, digest)),
            rows: HashMap::new(),
            rows_read: Cell::new(0),
            now: START,
            delay: 0,
            last_stored: None,
        }
    }

    pub(crate) fn after(&mut self, seconds: u64) {
        self.now = self.now.plus(Duration::from_secs(seconds));
    }

    /// Runs one request. Returns `None` if the origin failed and no stale response was served.
    pub(crate) fn exchange(&mut self, request: Request<&str>, origin: Origin<'_>) -> Option<Got> {
        let (parts, body) = request.into_parts();
        let mut decision = self.engine.begin(parts, RequestBody::Seen(body.as_bytes()), self.now);
        loop {
            decision = match decision {
                Decision::Lookup(lookup) => {
                    let slot = self.rows.get(lookup.key()).cloned();
                    self.rows_read.update(|count| count + 1);
                    lookup.found(slot, self.now)
                }
                Decision::Serve(hit) => return Some(served(hit)),
                Decision::Refresh(hit, pending) => {
                    self.send(pending, origin);
                    return Some(served(hit));
                }
                Decision::Send(pending) => return self.send(pending, origin),
                Decision::Refuse(status) => {
                    let response = Response::builder().status(504).body(Bytes::new()).unwrap();
                    let (parts, body) = response.into_parts();
                    return Some(Got { parts, body, status });
                }
            }
        }
    }

    /// Returns the request that would be sent.
    pub(crate) fn pending(&self, request: Request<&str>) -> Pending<Bytes> {
        let (parts, body) = request.into_parts();
        let mut decision = self.engine.begin(parts, RequestBody::Seen(body.as_bytes()), self.now);
        loop {
            decision = match decision {
                Decision::Lookup(lookup) => {
                    let slot = self.rows.get(lookup.key()).cloned();
                    lookup.found(slot, self.now)
                }
                Decision::Send(pending) => return pending,
                other => panic!("{other:?}"),
            }
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.now
    }

    fn send(&mut self, pending: Pending<Bytes>, origin: Origin<'_>) -> Option<Got> {
        let answer = origin(pending.request()).map(Response::into_parts);
        self.after(self.delay);
        let outcome = answer.as_ref().map_or(Outcome::Failed, |(parts, _)| Outcome::Response(parts));
        let settled = pending.settle(outcome, self.now);
        match settled {
            Settled::Network { insert, touch, remove, status, not_modified } => {
                let (parts, body) = answer.unwrap();
                let body = Bytes::from_static(body.as_bytes());
                remove.iter().for_each(|key| drop(self.rows.remove(key)));
                self.touch(touch);
                self.last_stored = insert.as_ref().map(|insert| (insert.retain_until, insert.sensitivity));
                if let Some(insert) = insert {
                    self.rows.extend(insert.pointers.into_iter().map(|(at, pointer)| (at, pointer.into())));
                    self.rows.insert(insert.key, Slot::Entry(Box::new(insert.entry.with_body(body.clone()))));
                }
                Some(match not_modified {
                    Some(parts) => Got { parts: *parts, body: Bytes::new(), status },
                    None => Got { parts, body, status },
                })
            }
            Settled::Stored { hit, touch } => {
                self.touch(touch);
                Some(served(hit))
            }
            Settled::Resend(pending) => self.send(pending, origin),
            Settled::Failed(_) => None,
        }
    }

    fn touch(&mut self, touch: Option<Touch<Bytes>>) {
        if let Some(touch) = touch {
            self.rows.insert(touch.key, Slot::Entry(touch.entry));
        }
    }

    /// Runs a request against an origin that answers `body` with these headers.
    pub(crate) fn get(
        &mut self,
        request: Request<&str>,
        headers: &[(&str, &str)],
        body: &'static str,
    ) -> Got {
        self.exchange(request, &mut |_| Some(respond(200, headers, body))).unwrap()
    }

    /// Runs a request that must be answered from the cache.
    pub(crate) fn hit(&mut self, request: Request<&str>) -> Got {
        self.exchange(request, &mut |_| panic!("the origin received a request")).unwrap()
    }

    /// Whether the origin receives the request.
    pub(crate) fn misses(&mut self, request: Request<&str>) -> bool {
        let mut received = false;
        self.exchange(request, &mut |_| {
            received = true;
            Some(respond(200, &[("cache-control", "no-store")], "new"))
        });
        received
    }
}

fn served(hit: Hit<Bytes>) -> Got {
    let (status, answer) = (hit.status(), hit.kind());
    let (parts, body) = hit.into_response();
    let body = match answer {
        HitKind::Full => body,
        HitKind::Slice { first, last } => body.slice(first as usize..=last as usize),
        HitKind::Headers | HitKind::NotModified | HitKind::Unsatisfiable => Bytes::new(),
    };
    Got { parts, body, status }
}

pub(crate) fn respond(status: u16, headers: &[(&str, &str)], body: &'static str) -> Response<&'static str> {
    let builder =
        headers.iter().fold(Response::builder().status(status), |b, (name, value)| b.header(*name, *value));
    builder.body(body).unwrap()
}

pub(crate) fn url(path: &str) -> Request<&'static str> {
    Request::get(format!("http://example.com{path}")).body("").unwrap()
}

pub(crate) fn with(path: &str, headers: &[(&str, &str)]) -> Request<&'static str> {
    let builder = Request::get(format!("http://example.com{path}"));
    headers.iter().fold(builder, |b, (name, value)| b.header(*name, *value)).body("").unwrap()
}

pub(crate) fn with_options(path: &str, options: RequestOptions) -> Request<&'static str> {
    let mut request = url(path);
    request.extensions_mut().insert(options);
    request
}

pub(crate) fn plain(value: &'static str) -> HeaderValue {
    HeaderValue::from_static(value)
}
