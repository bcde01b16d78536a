//! The state of a stored response: its freshness, and whether it may be used while stale
//! (RFC 9111 §4.2.4, RFC 5861).

use crate::directives::{self, RequestDirectives, ResponseDirectives};
use crate::freshness::{Freshness, HEURISTICALLY_CACHEABLE};
use crate::origin_directives::OriginDirectives;
use crate::policy::{OriginHeaders, Policy, Scope, Staleness};
use crate::{Entry, Timestamp};
use http::{HeaderMap, HeaderName, StatusCode};
use std::time::Duration;

/// A stored response at one point in time: its freshness and the origin's directives.
#[derive(Clone, Copy)]
pub(crate) struct EntryState {
    pub(crate) freshness: Freshness,
    directives: ResponseDirectives,
    /// Whether the user set the lifetime.
    user_decides: bool,
}

impl EntryState {
    pub(crate) fn of<B>(policy: &Policy, entry: &Entry<B>, now: Timestamp) -> Self {
        let origin = OriginDirectives::of(policy, &entry.headers);
        let freshness = Freshness::new(policy, entry, &origin, now);
        Self { freshness, directives: origin.directives, user_decides: entry.ttl.is_some() }
    }

    /// §5.2.2.4: a response with `no-cache` must be validated before every use. A lifetime that the
    /// user set takes precedence.
    pub(crate) fn must_validate(&self) -> bool {
        self.directives.no_cache && !self.user_decides
    }

    /// §5.2.2.4: the fields in `no-cache="…"` must not be used without validation. `headers` are
    /// the response's.
    pub(crate) fn withheld_fields(&self, headers: &HeaderMap) -> Vec<HeaderName> {
        if self.directives.no_cache_fields && !self.user_decides {
            directives::no_cache_fields(headers)
        } else {
            Vec::new()
        }
    }

    /// §4.2.4: a cache must not use a stale response that has `must-revalidate` or `no-cache`, and
    /// a shared cache none with `proxy-revalidate` or `s-maxage`.
    pub(crate) fn may_be_used_stale(&self, policy: &Policy) -> bool {
        let origin = &self.directives;
        let shared = policy.scope == Scope::Shared && (origin.proxy_revalidate || origin.s_maxage.is_some());
        !(origin.must_revalidate || origin.no_cache || shared)
    }

    /// RFC 5861 §3: a cache may use a response for `stale-while-revalidate` seconds after its
    /// lifetime while it refreshes it.
    pub(crate) fn stale_while_revalidate(&self, policy: &Policy) -> bool {
        self.may_be_used_stale(policy)
            && self.is_within(policy.stale_while_revalidate, self.directives.stale_while_revalidate)
    }

    /// RFC 5861 §4: a cache may use a response for `stale-if-error` seconds after its lifetime if
    /// the origin fails. §4.2.4 also allows a disconnected cache to use a stale response. A limit
    /// that the user set replaces that permission.
    pub(crate) fn stale_if_error(
        &self,
        policy: &Policy,
        request: &RequestDirectives,
        failure: OriginFailure,
    ) -> bool {
        let window = request.stale_if_error.max(self.directives.stale_if_error);
        let disconnected = policy.origin_headers != OriginHeaders::Ignored
            && policy.stale_if_error == Staleness::AsResponseSays
            && match failure {
                OriginFailure::NoAnswer => true,
                // §4.3.3: a cache may treat a 5xx answer like no answer. An explicit limit wins.
                OriginFailure::Unavailable => window.is_none(),
                OriginFailure::ServerError | OriginFailure::Slow => false,
            };
        self.may_be_used_stale(policy) && (disconnected || self.is_within(policy.stale_if_error, window))
    }

    fn is_within(&self, user: Staleness, response: Option<Duration>) -> bool {
        let user = match user {
            Staleness::Any => return true,
            Staleness::For(window) => Some(window),
            Staleness::AsResponseSays => None,
        };
        response.max(user).is_some_and(|window| self.freshness.staleness() <= window)
    }
}

/// A failure of the origin.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum OriginFailure {
    /// No answer.
    NoAnswer,
    /// Status 502, 503 or 504: a gateway did not reach the origin, or the origin is overloaded.
    Unavailable,
    /// Status 500.
    ServerError,
    /// No answer yet; one may still come.
    Slow,
}

impl OriginFailure {
    pub(crate) fn of(status: StatusCode) -> Option<Self> {
        match status.as_u16() {
            500 => Some(Self::ServerError),
            502..=504 => Some(Self::Unavailable),
            _ => None,
        }
    }
}

/// Whether a stored response with this status may be served while the origin fails. A transient
/// error is no better than the failure.
pub(crate) fn is_usable_on_error(status: StatusCode) -> bool {
    !(status.is_client_error() || status.is_server_error())
        || HEURISTICALLY_CACHEABLE.contains(&status.as_u16())
}

/// The time after which a response is of no use. Its seal expires then.
pub(crate) fn retain_until<B>(policy: &Policy, entry: &Entry<B>) -> Timestamp {
    let EntryState { freshness, directives, .. } = EntryState::of(policy, entry, entry.received);
    let Some(lifetime) = freshness.lifetime else {
        return Timestamp::MAX;
    };
    let window = directives.stale_if_error.max(directives.stale_while_revalidate).unwrap_or_default();
    entry.received.plus(lifetime.saturating_sub(freshness.age).saturating_add(policy.retention.max(window)))
}
