//! The step after the network: what its answer means for the caller and for what is stored (RFC 9111 §4.3).

use super::{Exchange, Outcome, Settled};
use crate::hit::Hit;
use crate::rules::{self, Failure, Freshness, Standing};
use crate::validate::{self, Conditions};
use crate::{CacheStatus, Detail, Entry, Key, Stored, StoredBody, Timestamp};
use http::{Method, StatusCode, request, response};

/// Waits for what the network says to [`request`](Pending::request).
#[derive(Debug)]
pub struct Pending<B> {
    exchange: Box<Exchange>,
    role: Role<B>,
    status: CacheStatus,
    /// What the client itself asked for, where the request now asks for something else.
    conditions: Option<Conditions>,
}

/// What the answer is for.
#[derive(Debug)]
enum Role<B> {
    /// The caller only.
    PassThrough,
    /// To be stored, in the place of what lies under this key, if anything does.
    Fetch(Option<Key>),
    /// To tell whether this still holds, or to replace it.
    Validate(Box<Entry<B>>),
}

impl<B> Pending<B> {
    /// A request whose answer is for the caller only.
    pub(super) fn pass_through(exchange: Box<Exchange>, status: CacheStatus) -> Self {
        Self { exchange, role: Role::PassThrough, status, conditions: None }
    }

    /// A request whose answer may be stored.
    pub(super) fn fetch(exchange: Box<Exchange>, status: CacheStatus) -> Self {
        Self::fetch_instead(exchange, status, None)
    }

    /// The same where something is stored, under the key `outdated`, that is not to be used whatever it is.
    pub(super) fn fetch_instead(exchange: Box<Exchange>, status: CacheStatus, outdated: Option<Key>) -> Self {
        Self { exchange, role: Role::Fetch(outdated), status, conditions: None }
    }

    /// A request whose answer tells whether `entry` still holds, or replaces it.
    pub(super) fn validate(
        exchange: Box<Exchange>,
        entry: Box<Entry<B>>,
        status: CacheStatus,
        conditions: Option<Conditions>,
    ) -> Self {
        Self { exchange, role: Role::Validate(entry), status, conditions }
    }
}

impl<B: StoredBody> Pending<B> {
    /// What to send: the caller's request, perhaps with other conditions.
    pub fn request(&self) -> &request::Parts {
        &self.exchange.request
    }

    /// The caller's request as it came.
    pub fn original_request(&self) -> request::Parts {
        let mut asked = self.request().clone();
        if let Some(conditions) = &self.conditions {
            conditions.restore(&mut asked.headers);
        }
        asked
    }

    /// What the cache did so far.
    pub fn status(&self) -> CacheStatus {
        self.status
    }

    /// The stored response that is being validated.
    pub fn stored(&self) -> Option<&Entry<B>> {
        match &self.role {
            Role::Validate(entry) => Some(entry),
            Role::PassThrough | Role::Fetch(_) => None,
        }
    }

    /// Where the answer would be stored; requests with the same key may share one way to the origin.
    /// `None` where the answer is for the caller alone.
    pub fn key(&self) -> Option<&Key> {
        match &self.role {
            Role::PassThrough => None,
            Role::Fetch(_) | Role::Validate(_) => Some(&self.exchange.at),
        }
    }

    /// The stored response, where it [may stand in](Self::may_serve_stale).
    pub fn stale_response(&self, failed: LastFailure, now: Timestamp) -> Option<Hit<B>> {
        let Role::Validate(entry) = &self.role else { return None };
        if !self.may_serve_stale(failed, now) {
            return None;
        }
        let Self { exchange, conditions, .. } = self;
        let standing = Standing::of(exchange.policy(), entry, now);
        let freshness = standing.freshness;
        let status = CacheStatus { ttl: freshness.ttl(), ..CacheStatus::default() };
        let withheld = exchange.withheld(&standing, &entry.headers);
        let own = Conditions::of(&exchange.request);
        let conditions = conditions.as_ref().unwrap_or(&own);
        let hit = exchange.hit(entry.clone(), conditions, status.with(Detail::StaleIfError), freshness, now);
        Some(Hit { withheld, ..hit })
    }

    /// Whether the stored response may answer in place of an origin that failed a moment ago, so that it is not asked again at once (RFC 5861
    /// §4, RFC 9111 §4.2.4).
    pub fn may_serve_stale(&self, failed: LastFailure, now: Timestamp) -> bool {
        let Role::Validate(entry) = &self.role else { return false };
        let failure = match failed {
            LastFailure::NoAnswer => Some(Failure::NoAnswer),
            // An old failure is no better than a new one.
            LastFailure::Status(status) => {
                Failure::of(status).filter(|_| Failure::of(entry.status).is_none())
            }
            LastFailure::Slow => Some(Failure::Slow),
        };
        failure.is_some_and(|failure| self.exchange.may_stand_in(entry, failure, now))
    }

    /// Takes what the network said.
    pub fn settle(self, outcome: Outcome<'_>, now: Timestamp) -> Settled<B> {
        let Self { exchange, role, status, conditions } = self;
        match (role, outcome) {
            (Role::Validate(entry), outcome) => {
                Validating { exchange, entry, status, conditions }.settle(outcome, now)
            }
            (_, Outcome::Failed) => Settled::Failed(status),
            (Role::PassThrough, Outcome::Response(response)) => exchange.pass_through(response, status, now),
            (Role::Fetch(outdated), Outcome::Response(response)) => {
                let outdated = outdated.filter(|_| replaces(response.status)).into_iter().collect();
                let settled = exchange.store_response(response, status, outdated, now);
                judged(settled, conditions.as_ref(), response, now)
            }
        }
    }
}

/// The answer to a request whose own conditions the origin was not asked about: the cache judges them.
fn judged<B>(
    mut settled: Settled<B>,
    conditions: Option<&Conditions>,
    response: &response::Parts,
    now: Timestamp,
) -> Settled<B> {
    if let Settled::Network { not_modified, .. } = &mut settled {
        *not_modified =
            conditions.and_then(|conditions| conditions.not_modified(response, now)).map(Box::new);
    }
    settled
}

/// How an origin failed when it was last asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LastFailure {
    /// There was no answer.
    NoAnswer,
    /// By this status.
    Status(StatusCode),
    /// There is no answer yet. Only what somebody allowed to be stale in such a case may stand in.
    Slow,
}

impl LastFailure {
    /// Whether an answer with this status is a failure.
    pub fn of(status: StatusCode) -> Option<Self> {
        Failure::of(status).map(|_| Self::Status(status))
    }
}

impl Exchange {
    /// RFC 5861 §4. A request that wants validation gets no unvalidated answer (§5.2.1.4).
    fn may_stand_in<B>(&self, entry: &Entry<B>, failure: Failure, now: Timestamp) -> bool {
        let (policy, said) = (self.policy(), &self.said);
        !said.no_cache
            && rules::may_stand_in(entry.status)
            && Standing::of(policy, entry, now).stale_if_error(policy, said, failure)
    }
}

/// A validation under way.
struct Validating<B> {
    exchange: Box<Exchange>,
    entry: Box<Entry<B>>,
    status: CacheStatus,
    conditions: Option<Conditions>,
}

impl<B: StoredBody> Validating<B> {
    fn settle(self, outcome: Outcome<'_>, now: Timestamp) -> Settled<B> {
        let response = match outcome {
            Outcome::Failed if self.may_stand_in(Failure::NoAnswer, now) => return self.stand_in(None, now),
            Outcome::Failed => return Settled::Failed(self.status),
            Outcome::Response(response) => response,
        };
        let asked = self.conditions.is_some();
        if response.status == StatusCode::NOT_MODIFIED && asked {
            if validate::confirms(&self.entry, &response.headers) {
                return self.confirmed(response, now);
            }
            return self.resend();
        }
        let failed = Failure::of(response.status);
        if failed.is_some_and(|failure| self.may_stand_in(failure, now)) {
            return self.stand_in(Some(response.status), now);
        }
        if self.exchange.request.method == Method::HEAD && self.entry.method != Method::HEAD {
            return self.answered_to_head(response, now);
        }
        let Self { mut exchange, status, conditions, .. } = self;
        if asked {
            validate::make_unconditional(&mut exchange.request.headers);
        }
        let outdated = if replaces(response.status) { vec![exchange.at] } else { Vec::new() };
        judged(exchange.store_response(response, status, outdated, now), conditions.as_ref(), response, now)
    }

    fn freshness(&self, now: Timestamp) -> Freshness {
        self.exchange.engine.freshness(&self.entry, now)
    }

    fn may_stand_in(&self, failure: Failure, now: Timestamp) -> bool {
        self.exchange.may_stand_in(&self.entry, failure, now)
    }

    fn stand_in(self, answered: Option<StatusCode>, now: Timestamp) -> Settled<B> {
        let status = CacheStatus { forward_status: answered, ..self.status.with(Detail::StaleIfError) };
        let standing = Standing::of(self.exchange.policy(), &self.entry, now);
        let withheld = self.exchange.withheld(&standing, &self.entry.headers);
        Settled::Stored { hit: Hit { withheld, ..self.into_hit(status, now) }, touch: None }
    }

    /// §4.3.4
    fn confirmed(mut self, response: &response::Parts, now: Timestamp) -> Settled<B> {
        let cookies = self.exchange.freshen(&mut self.entry, &response.headers, now);
        let touch = self.exchange.touch(self.entry.clone(), cookies);
        let status = CacheStatus {
            forward_status: Some(response.status),
            ttl: self.freshness(now).ttl(),
            stored: if touch.is_some() { Stored::Yes } else { Stored::No },
            ..self.status
        };
        Settled::Stored { hit: self.into_hit(status, now), touch }
    }

    /// §4.3.5: an answer to HEAD tells whether the stored answer to GET still holds, as a 304 does.
    fn answered_to_head(self, head: &response::Parts, now: Timestamp) -> Settled<B> {
        let succeeded = head.status.is_success();
        if succeeded && validate::head_agrees(&self.entry, head.status, &head.headers) {
            return self.confirmed(head, now);
        }
        let outdated = if succeeded { vec![self.exchange.at] } else { Vec::new() };
        let settled = Settled::Network {
            insert: None,
            touch: None,
            remove: self.exchange.if_writable(outdated),
            status: CacheStatus { forward_status: Some(head.status), ..self.status },
            not_modified: None,
        };
        judged(settled, self.conditions.as_ref(), head, now)
    }

    fn resend(self) -> Settled<B> {
        let Self { mut exchange, status, conditions, .. } = self;
        validate::make_unconditional(&mut exchange.request.headers);
        let outdated = Some(exchange.at);
        Settled::Resend(Pending { conditions, ..Pending::fetch_instead(exchange, status, outdated) })
    }

    fn into_hit(self, status: CacheStatus, now: Timestamp) -> Hit<B> {
        let freshness = self.freshness(now);
        let Self { exchange, entry, conditions, .. } = self;
        let conditions = conditions.unwrap_or_else(|| Conditions::of(&exchange.request));
        exchange.hit(entry, &conditions, status, freshness, now)
    }
}

/// Whether an answer with this status shows that what was stored is out of date, whether or not the answer is stored itself.
fn replaces(status: StatusCode) -> bool {
    let redirects = status.is_redirection() && status != StatusCode::NOT_MODIFIED;
    status.is_success() || redirects || status == StatusCode::NOT_FOUND || status == StatusCode::GONE
}
