//! Freshness (RFC 9111 §4.2): how long a response is fresh, and how old it is.
//!
//! The lifetime is the user's, the origin's or a heuristic, in that order of precedence (§4.2.1,
//! §4.2.2); the age follows §4.2.3. The functions compute; the exchange decides.

use crate::directives;
use crate::origin_directives::{Expires, OriginDirectives};
use crate::policy::{OriginHeaders, Policy, Scope};
use crate::time::MAX_DELTA;
use crate::{Detail, Entry, Expire, ResponseDirectives, Timestamp, Ttl, date};
use http::{HeaderMap, StatusCode, header};
use std::fmt;
use std::time::Duration;

/// Statuses that are heuristically cacheable (RFC 9110 §15.1).
pub(crate) const HEURISTICALLY_CACHEABLE: [u16; 12] =
    [200, 203, 204, 206, 300, 301, 308, 404, 405, 410, 414, 501];

/// Heuristically cacheable statuses that are not errors. A lifetime that the user sets applies to
/// them, and to the statuses that the policy names.
const USER_LIFETIME: [u16; 7] = [200, 203, 204, 206, 300, 301, 308];

/// The freshness of a stored response (RFC 9111 §4.2), and the source of its lifetime.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Freshness {
    /// The freshness lifetime; `None` means forever.
    pub lifetime: Option<Duration>,
    /// The current age (§4.2.3).
    pub age: Duration,
    /// The source of the lifetime.
    pub source: LifetimeSource,
}

/// The source of a freshness lifetime.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LifetimeSource {
    /// A lifetime that the user set.
    User,
    /// `s-maxage` (§5.2.2.10).
    SMaxage,
    /// `max-age` (§5.2.2.1).
    MaxAge,
    /// `Expires` minus `Date` (§5.3).
    Expires,
    /// A heuristic from `Last-Modified` (§4.2.2).
    Heuristic,
    /// No source: the lifetime is zero.
    Unspecified,
}

impl Freshness {
    pub(crate) fn new<B>(
        policy: &Policy,
        entry: &Entry<B>,
        origin: &OriginDirectives,
        now: Timestamp,
    ) -> Self {
        let resident = now.since(entry.received).min(MAX_DELTA);
        match entry.ttl {
            Some(Ttl::Forever) => Self { lifetime: None, age: resident, source: LifetimeSource::User },
            Some(Ttl::For(lifetime)) => {
                Self { lifetime: Some(lifetime.min(MAX_DELTA)), age: resident, source: LifetimeSource::User }
            }
            Some(Ttl::StaleBy(staleness)) => {
                let age = resident.saturating_add(staleness).min(MAX_DELTA);
                Self { lifetime: Some(Duration::ZERO), age, source: LifetimeSource::User }
            }
            None => {
                let (lifetime, source) =
                    origin_lifetime(policy, entry.status, &entry.headers, origin, entry.received);
                let age = current_age(&entry.headers, entry.requested, entry.received, now);
                Self { lifetime: Some(lifetime), age, source }
            }
        }
    }

    /// Whether the response is fresh: its lifetime exceeds its age (§4.2).
    pub fn is_fresh(&self) -> bool {
        self.lifetime.is_none_or(|lifetime| lifetime > self.age)
    }

    /// The freshness left: zero if stale, 2³¹ seconds if it has no end.
    pub fn remaining(&self) -> Duration {
        self.lifetime.map_or(MAX_DELTA, |lifetime| lifetime.saturating_sub(self.age))
    }

    /// The time since the response became stale; zero if fresh.
    pub fn staleness(&self) -> Duration {
        self.lifetime.map_or(Duration::ZERO, |lifetime| self.age.saturating_sub(lifetime))
    }

    /// Whole seconds of freshness left, negative if stale; `None` means forever.
    pub fn ttl(&self) -> Option<i64> {
        let seconds = |duration: Duration| i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
        self.lifetime.map(|lifetime| seconds(lifetime).saturating_sub(seconds(self.age)))
    }
}

/// Shows the calculation: `max-age=3600 (response) - age 240 = 3360 s`.
impl fmt::Display for Freshness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(lifetime) = self.lifetime else {
            return f.write_str("forever (user)");
        };
        let (name, whose) = match self.source {
            LifetimeSource::User => ("ttl", "user"),
            LifetimeSource::SMaxage => ("s-maxage", "response"),
            LifetimeSource::MaxAge => ("max-age", "response"),
            LifetimeSource::Expires => ("Expires - Date", "response"),
            LifetimeSource::Heuristic => ("heuristic", "Last-Modified"),
            LifetimeSource::Unspecified => ("lifetime", "none given"),
        };
        let (lifetime, age) = (lifetime.as_secs(), self.age.as_secs());
        write!(f, "{name}={lifetime} ({whose}) - age {age} = {} s", self.ttl().unwrap_or_default())
    }
}

/// §4.2.1: the explicit lifetime of a response, or the heuristic one (§4.2.2) if the origin set
/// none.
pub(crate) fn origin_lifetime(
    policy: &Policy,
    status: StatusCode,
    headers: &HeaderMap,
    origin: &OriginDirectives,
    received: Timestamp,
) -> (Duration, LifetimeSource) {
    if policy.origin_headers == OriginHeaders::Ignored {
        return (Duration::ZERO, LifetimeSource::Unspecified);
    }
    explicit_lifetime(policy.scope, origin, headers, received)
        .or_else(|| heuristic_lifetime(policy, status, headers, &origin.directives, received))
        .unwrap_or((Duration::ZERO, LifetimeSource::Unspecified))
}

/// §4.2.1: a cache uses the first of `s-maxage` (if it is shared), `max-age`, and `Expires` minus
/// `Date`.
pub(crate) fn explicit_lifetime(
    scope: Scope,
    origin: &OriginDirectives,
    headers: &HeaderMap,
    received: Timestamp,
) -> Option<(Duration, LifetimeSource)> {
    if let (Scope::Shared, Some(lifetime)) = (scope, origin.directives.s_maxage) {
        return Some((lifetime, LifetimeSource::SMaxage));
    }
    if let Some(lifetime) = origin.directives.max_age {
        return Some((lifetime, LifetimeSource::MaxAge));
    }
    if origin.expires == Expires::Overridden {
        return None;
    }
    let mut lines = headers.get_all(header::EXPIRES).iter();
    let first = lines.next()?;
    // §5.3: a cache treats an invalid date as a time in the past. Repeated fields are invalid.
    let expires = if lines.next().is_some() { None } else { date::parse_http_date(first, received) };
    let lifetime = expires.map_or(Duration::ZERO, |expires| expires.since(date_value(headers, received)));
    Some((lifetime.min(MAX_DELTA), LifetimeSource::Expires))
}

/// §4.2.2: a cache may estimate a lifetime if the origin set none and the status is heuristically
/// cacheable or the response is marked `public`. The estimate is a fraction of the time since
/// `Last-Modified`.
fn heuristic_lifetime(
    policy: &Policy,
    status: StatusCode,
    headers: &HeaderMap,
    origin: &ResponseDirectives,
    received: Timestamp,
) -> Option<(Duration, LifetimeSource)> {
    let heuristic = policy.heuristic?;
    if !HEURISTICALLY_CACHEABLE.contains(&status.as_u16()) && !origin.public {
        return None;
    }
    let modified = date::parse_http_date(headers.get(header::LAST_MODIFIED)?, received)?;
    let unchanged = date_value(headers, received).since(modified);
    Some((
        (unchanged.min(MAX_DELTA) * heuristic.percent / 100).min(heuristic.at_most),
        LifetimeSource::Heuristic,
    ))
}

/// The time in `Date`, or the time of receipt if the field is missing or invalid (RFC 9110 §6.6.1).
fn date_value(headers: &HeaderMap, received: Timestamp) -> Timestamp {
    headers.get(header::DATE).and_then(|date| date::parse_http_date(date, received)).unwrap_or(received)
}

/// §4.2.3: the age is the greater of `apparent_age` and `corrected_age_value`, plus the resident
/// time.
fn current_age(headers: &HeaderMap, requested: Timestamp, received: Timestamp, now: Timestamp) -> Duration {
    let apparent = received.since(date_value(headers, received));
    let delay = received.since(requested);
    let corrected = directives::age(headers).unwrap_or_default().saturating_add(delay);
    apparent.max(corrected).saturating_add(now.since(received)).min(MAX_DELTA)
}

/// Whether the origin gave a response a lifetime above zero (§4.2.1).
pub(crate) fn is_explicitly_fresh(policy: &Policy, headers: &HeaderMap, now: Timestamp) -> bool {
    let origin = OriginDirectives::of(policy, headers);
    explicit_lifetime(policy.scope, &origin, headers, now).is_some_and(|(lifetime, _)| !lifetime.is_zero())
}

/// Whether the origin or the user gave a response a lifetime above zero. A heuristic lifetime does
/// not count, and neither does a response that must be validated at every use.
pub(crate) fn has_lifetime<B>(policy: &Policy, entry: &Entry<B>) -> bool {
    match entry.ttl {
        Some(ttl) => ttl.is_positive(),
        None => is_explicitly_fresh(policy, &entry.headers, entry.received),
    }
}

/// The user's lifetime for a response, if the policy lets it apply. `lifetime_override` is the
/// lifetime for this request or its URL and takes precedence over the policy's default.
///
/// An error does not get the user's lifetime unless the policy names its status: a user who wants
/// pages to stay fresh for an hour does not want that of a 503 (decision 13). The user's lifetime
/// may only shorten the one that the error has otherwise.
pub(crate) fn user_ttl(
    policy: &Policy,
    status: StatusCode,
    headers: &HeaderMap,
    lifetime_override: Option<Expire>,
    sent: Timestamp,
    now: Timestamp,
) -> Result<Option<Ttl>, Detail> {
    let origin = OriginDirectives::of(policy, headers);
    let explicit =
        origin.directives.no_cache || explicit_lifetime(policy.scope, &origin, headers, now).is_some();
    let expire = match policy.origin_headers {
        OriginHeaders::First if explicit => None,
        OriginHeaders::Obeyed if explicit => lifetime_override,
        OriginHeaders::Ignored | OriginHeaders::First | OriginHeaders::Obeyed => {
            lifetime_override.or(policy.expire_after)
        }
    };
    let Some(expire) = expire else { return Ok(None) };
    let ttl = expire.ttl(now).ok_or(Detail::DoNotStore)?;
    if USER_LIFETIME.contains(&status.as_u16()) || policy_names(policy, status) {
        return Ok(Some(ttl));
    }
    let (lifetime, _) = origin_lifetime(policy, status, headers, &origin, now);
    let otherwise = lifetime.saturating_sub(current_age(headers, sent, now, now));
    let shorter = match ttl {
        Ttl::Forever => false,
        Ttl::For(lifetime) => lifetime < otherwise,
        Ttl::StaleBy(_) => !otherwise.is_zero(),
    };
    Ok(Some(ttl).filter(|_| shorter && !origin.directives.no_cache))
}

/// Whether the policy names a status as one to store.
pub(crate) fn policy_names(policy: &Policy, status: StatusCode) -> bool {
    policy.statuses.as_ref().is_some_and(|statuses| statuses.contains(&status))
}
