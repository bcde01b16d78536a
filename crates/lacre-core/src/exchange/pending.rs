//! Pending: the step after the network. It decides what the answer means for the caller and for the
//! store (RFC 9111 §4.3).

use super::{Exchange, Outcome, Settled};
use crate::entry_state::{self, EntryState, OriginFailure};
use crate::freshness::Freshness;
use crate::hit::Hit;
use crate::validate;
use crate::{CacheStatus, Detail, Entry, Key, Stored, StoredBody, Timestamp};
use http::{Method, StatusCode, request, response};

/// Waits for the answer of the network to [`request`](Pending::request).
#[derive(Debug)]
pub struct Pending<B> {
    exchange: Box<Exchange>,
    role: Role<B>,
    status: CacheStatus,
    sent: SentConditions,
}

/// The source of the conditions in the request that is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SentConditions {
    /// The client. The origin evaluates its conditions.
    Client,
    /// The cache, also after a resend without conditions. The cache evaluates the client's
    /// conditions (§4.3.2).
    Cache,
}

/// The purpose of the answer.
#[derive(Debug)]
enum Role<B> {
    /// It is passed to the caller only.
    PassThrough,
    /// It may be stored. The record under this key, if any, is outdated.
    Fetch(Option<Key>),
    /// It confirms this entry or replaces it.
    Validate(Box<Entry<B>>),
}

impl<B> Pending<B> {
    /// Creates a request whose answer is passed to the caller only.
    pub(super) fn pass_through(exchange: Box<Exchange>, status: CacheStatus) -> Self {
        Self { exchange, role: Role::PassThrough, status, sent: SentConditions::Client }
    }

    /// Creates a request whose answer may be stored.
    pub(super) fn fetch(exchange: Box<Exchange>, status: CacheStatus) -> Self {
        Self::fetch_instead(exchange, status, None)
    }

    /// Creates a request whose answer may be stored in place of the record under `outdated`.
    pub(super) fn fetch_instead(exchange: Box<Exchange>, status: CacheStatus, outdated: Option<Key>) -> Self {
        Self { exchange, role: Role::Fetch(outdated), status, sent: SentConditions::Client }
    }

    /// Creates a request whose answer confirms `entry` or replaces it.
    pub(super) fn validate(
        exchange: Box<Exchange>,
        entry: Box<Entry<B>>,
        status: CacheStatus,
        sent: SentConditions,
    ) -> Self {
        Self { exchange, role: Role::Validate(entry), status, sent }
    }
}

impl<B: StoredBody> Pending<B> {
    /// The request to send: the caller's, possibly with other conditions.
    pub fn request(&self) -> &request::Parts {
        &self.exchange.request
    }

    /// The caller's request as it came.
    pub fn original_request(&self) -> request::Parts {
        let mut request = self.request().clone();
        if self.sent == SentConditions::Cache {
            self.exchange.conditions.restore(&mut request.headers);
        }
        request
    }

    /// The cache's handling of the request so far.
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

    /// The key under which the answer would be stored. Requests with the same key may share one
    /// request to the origin. `None` if the answer is passed to the caller only.
    pub fn key(&self) -> Option<&Key> {
        match &self.role {
            Role::PassThrough => None,
            Role::Fetch(_) | Role::Validate(_) => Some(&self.exchange.at),
        }
    }

    /// Returns the stored response if it [may be served stale](Self::may_serve_stale).
    pub fn stale_response(&self, failed: LastFailure, now: Timestamp) -> Option<Hit<B>> {
        let Role::Validate(entry) = &self.role else { return None };
        if !self.may_serve_stale(failed, now) {
            return None;
        }
        let exchange = &self.exchange;
        let state = EntryState::of(exchange.policy(), entry, now);
        let freshness = state.freshness;
        let status = CacheStatus { ttl: freshness.ttl(), ..CacheStatus::default() };
        let withheld = exchange.withheld(&state, &entry.headers);
        let hit = exchange.hit(entry.clone(), status.with(Detail::StaleIfError), freshness, now);
        Some(Hit { withheld, ..hit })
    }

    /// Whether the stored response may answer after a recent failure of the origin, without another
    /// request (RFC 5861 §4, RFC 9111 §4.2.4).
    pub fn may_serve_stale(&self, failed: LastFailure, now: Timestamp) -> bool {
        let Role::Validate(entry) = &self.role else { return false };
        let failure = match failed {
            LastFailure::NoAnswer => Some(OriginFailure::NoAnswer),
            // A stored failure is no better than a new one.
            LastFailure::Status(status) => {
                OriginFailure::of(status).filter(|_| OriginFailure::of(entry.status).is_none())
            }
            LastFailure::Slow => Some(OriginFailure::Slow),
        };
        failure.is_some_and(|failure| self.exchange.may_serve_stale_entry(entry, failure, now))
    }

    /// Takes the result of sending the request.
    pub fn settle(self, outcome: Outcome<'_>, now: Timestamp) -> Settled<B> {
        let Self { exchange, role, status, sent } = self;
        match (role, outcome) {
            (Role::Validate(entry), outcome) => {
                Validating { exchange, entry, status, sent }.settle(outcome, now)
            }
            (_, Outcome::Failed) => Settled::Failed(status),
            (Role::PassThrough, Outcome::Response(response)) => exchange.pass_through(response, status, now),
            (Role::Fetch(outdated), Outcome::Response(response)) => {
                let outdated = outdated.filter(|_| replaces_stored(response.status)).into_iter().collect();
                let settled = exchange.store_response(response, status, outdated, now);
                exchange.with_not_modified(settled, sent, response, now)
            }
        }
    }
}

/// The most recent failure of an origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LastFailure {
    /// No answer.
    NoAnswer,
    /// An answer with this status.
    Status(StatusCode),
    /// No answer yet. Only a response with an explicit stale limit may be served.
    Slow,
}

impl LastFailure {
    /// Creates a failure from the status of an answer; `None` if the status is not a failure.
    pub fn of(status: StatusCode) -> Option<Self> {
        OriginFailure::of(status).map(|_| Self::Status(status))
    }
}

impl Exchange {
    /// §4.3.2: the cache evaluates the client's conditions if the request that it sent had others.
    fn with_not_modified<B>(
        &self,
        mut settled: Settled<B>,
        sent: SentConditions,
        response: &response::Parts,
        now: Timestamp,
    ) -> Settled<B> {
        if let Settled::Network { not_modified, .. } = &mut settled
            && sent == SentConditions::Cache
        {
            *not_modified = self.conditions.not_modified(response, now).map(Box::new);
        }
        settled
    }

    /// RFC 5861 §4: a stale response may be served if the origin fails. §5.2.1.4: not if the
    /// request has `no-cache`, which requires validation.
    fn may_serve_stale_entry<B>(&self, entry: &Entry<B>, failure: OriginFailure, now: Timestamp) -> bool {
        let (policy, directives) = (self.policy(), &self.directives);
        !directives.no_cache
            && entry_state::is_usable_on_error(entry.status)
            && EntryState::of(policy, entry, now).stale_if_error(policy, directives, failure)
    }
}

/// A validation in progress.
struct Validating<B> {
    exchange: Box<Exchange>,
    entry: Box<Entry<B>>,
    status: CacheStatus,
    sent: SentConditions,
}

impl<B: StoredBody> Validating<B> {
    fn settle(self, outcome: Outcome<'_>, now: Timestamp) -> Settled<B> {
        let response = match outcome {
            Outcome::Failed if self.may_serve_stale_entry(OriginFailure::NoAnswer, now) => {
                return self.serve_stale(None, now);
            }
            Outcome::Failed => return Settled::Failed(self.status),
            Outcome::Response(response) => response,
        };
        let conditional = self.sent == SentConditions::Cache;
        if response.status == StatusCode::NOT_MODIFIED && conditional {
            if validate::confirms(&self.entry, &response.headers) {
                return self.confirmed(response, now);
            }
            return self.resend();
        }
        let failed = OriginFailure::of(response.status);
        if failed.is_some_and(|failure| self.may_serve_stale_entry(failure, now)) {
            return self.serve_stale(Some(response.status), now);
        }
        if self.exchange.request.method == Method::HEAD && self.entry.method != Method::HEAD {
            return self.answered_to_head(response, now);
        }
        let Self { mut exchange, status, sent, .. } = self;
        if conditional {
            validate::make_unconditional(&mut exchange.request.headers);
        }
        let outdated = if replaces_stored(response.status) { vec![exchange.at] } else { Vec::new() };
        let settled = exchange.store_response(response, status, outdated, now);
        exchange.with_not_modified(settled, sent, response, now)
    }

    fn freshness(&self, now: Timestamp) -> Freshness {
        self.exchange.engine.freshness(&self.entry, now)
    }

    fn may_serve_stale_entry(&self, failure: OriginFailure, now: Timestamp) -> bool {
        self.exchange.may_serve_stale_entry(&self.entry, failure, now)
    }

    fn serve_stale(self, answered: Option<StatusCode>, now: Timestamp) -> Settled<B> {
        let status = CacheStatus { forward_status: answered, ..self.status.with(Detail::StaleIfError) };
        let state = EntryState::of(self.exchange.policy(), &self.entry, now);
        let withheld = self.exchange.withheld(&state, &self.entry.headers);
        Settled::Stored { hit: Hit { withheld, ..self.into_hit(status, now) }, touch: None }
    }

    /// §4.3.4: the cache updates the stored headers from a 304 and serves the stored response.
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

    /// §4.3.5: a cache may freshen the stored answer to GET from an answer to HEAD with matching
    /// validators and length.
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
        self.exchange.with_not_modified(settled, self.sent, head, now)
    }

    fn resend(self) -> Settled<B> {
        let Self { mut exchange, status, sent, .. } = self;
        validate::make_unconditional(&mut exchange.request.headers);
        let outdated = Some(exchange.at);
        Settled::Resend(Pending { sent, ..Pending::fetch_instead(exchange, status, outdated) })
    }

    fn into_hit(self, status: CacheStatus, now: Timestamp) -> Hit<B> {
        let freshness = self.freshness(now);
        let Self { exchange, entry, .. } = self;
        exchange.hit(entry, status, freshness, now)
    }
}

/// Whether an answer with this status shows that the stored response is outdated, even if the
/// answer itself is not stored.
fn replaces_stored(status: StatusCode) -> bool {
    let redirects = status.is_redirection() && status != StatusCode::NOT_MODIFIED;
    status.is_success() || redirects || status == StatusCode::NOT_FOUND || status == StatusCode::GONE
}
