//! RFC 9111's rules as functions over values, in the RFC's order: storing (§3), freshness (§4.2), age (§4.2.3), use of stale
//! responses (§4.2.4), invalidation (§4.4). They decide nothing about what happens next; the exchange does.

use crate::directives::{self, RequestDirectives, ResponseDirectives};
use crate::policy::{OriginHeaders, Policy, Scope, Staleness, Writes};
use crate::range::{self, Part};
use crate::time::LONGEST;
use crate::vary::{Varies, varies};
use crate::{Detail, Entry, Expire, Timestamp, Ttl, date, framing, targeted, validate};
use http::{HeaderMap, HeaderName, Method, StatusCode, header, request, response};
use std::fmt;
use std::time::Duration;

/// Statuses whose responses may be kept fresh by guessing (RFC 9110 §15.1).
const HEURISTIC: [u16; 12] = [200, 203, 204, 206, 300, 301, 308, 404, 405, 410, 414, 501];

/// Those of them that are no error: how long they stay fresh may be for the user to say.
const LASTING: [u16; 7] = [200, 203, 204, 206, 300, 301, 308];

/// Final statuses whose meaning for caches we know, which is what `must-understand` asks for (§5.2.2.3).
const UNDERSTOOD: [u16; 15] = [200, 203, 204, 206, 300, 301, 302, 303, 307, 308, 404, 405, 410, 414, 501];

/// Fields that are meant for everybody who gets the message. A `Connection` that names one is in error (RFC 9110 §7.6.1) and is not
/// obeyed: what it hides from us would be decided without it, and what it hides from the next cache would be kept by that. With
/// [`CONTENT`] they are those that say how long a message may be reused, for whom, and what its content is.
const END_TO_END: [HeaderName; 27] = [
    header::AGE,
    header::AUTHORIZATION,
    header::CACHE_CONTROL,
    HeaderName::from_static("cache-groups"),
    HeaderName::from_static("cdn-cache-control"),
    header::COOKIE,
    header::DATE,
    header::ETAG,
    header::EXPIRES,
    header::HOST,
    header::IF_MATCH,
    header::IF_MODIFIED_SINCE,
    header::IF_NONE_MATCH,
    header::IF_RANGE,
    header::IF_UNMODIFIED_SINCE,
    header::LAST_MODIFIED,
    header::LOCATION,
    HeaderName::from_static("no-vary-search"),
    header::PRAGMA,
    header::RANGE,
    header::RETRY_AFTER,
    header::SET_COOKIE,
    HeaderName::from_static("surrogate-control"),
    header::VARY,
    HeaderName::from_static("x-http-method"),
    HeaderName::from_static("x-http-method-override"),
    HeaderName::from_static("x-method-override"),
];

/// What the fields about the content begin with: type, coding, language, length, range, location.
const CONTENT: &str = "content-";

/// Fields about one connection, which end with it even where `Connection` does not name them (RFC 9110 §7.6.1).
const HOP_BY_HOP: [HeaderName; 8] = [
    header::CONNECTION,
    HeaderName::from_static("http2-settings"),
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// Fields between a proxy and its client, which a proxy may pass on but nobody stores (§3.1).
const OF_PROXIES: [HeaderName; 2] =
    [header::PROXY_AUTHENTICATE, HeaderName::from_static("proxy-authentication-info")];

/// A response that may be stored: under which lifetime of the user's own, and what it varies by.
pub(crate) struct Storable {
    pub(crate) ttl: Option<Ttl>,
    pub(crate) varies: Vec<HeaderName>,
}

/// §3: whether a response may be stored, and why not.
pub(crate) fn storable(
    policy: &Policy,
    request: &request::Parts,
    said: &RequestDirectives,
    response: &response::Parts,
    wish: Option<Expire>,
    sent: Timestamp,
    now: Timestamp,
) -> Result<Storable, Detail> {
    if policy.writes == Writes::Never {
        return Err(Detail::ReadOnly);
    }
    let origin = Word::of(policy, &response.headers);
    if said.no_store {
        return Err(Detail::NoStore);
    }
    status_allows(policy, response.status, &origin.said)?;
    if response.status == StatusCode::PARTIAL_CONTENT && !is_asked_for_part(request, response) {
        return Err(Detail::Partial);
    }
    if policy.scope == Scope::Shared {
        shared_allows(request, &origin.said)?;
    }
    let Varies::By(varies) = varies(&response.headers) else {
        return Err(Detail::Vary);
    };
    if varies.len() > policy.limits.vary_names {
        return Err(Detail::Vary);
    }
    let length = framing::declared(response).map_err(|_| Detail::Framing)?;
    if exceeds_limits(policy, &request.method, &response.headers, length) {
        return Err(Detail::TooLarge);
    }
    let ttl = user_ttl(policy, response.status, &response.headers, wish, sent, now)?;
    if ttl.is_none() && !allows_reuse(policy, response.status, &response.headers, &origin, now) {
        return Err(Detail::Status);
    }
    let fresh = match ttl {
        Some(ttl) => ttl.is_some_time(),
        None => !origin_lifetime(policy, response.status, &response.headers, &origin, now).0.is_zero(),
    };
    if !fresh && !validate::has_validator(&response.headers) {
        return Err(Detail::NoUse);
    }
    match &policy.filter {
        Some(keep) if !keep(request, response) => Err(Detail::Filtered),
        _ => Ok(Storable { ttl, varies }),
    }
}

/// §5.2.2.5: whether what an origin says about a stored response by now forbids to store that.
pub(crate) fn forbids_storing<B>(policy: &Policy, entry: &Entry<B>) -> bool {
    status_allows(policy, entry.status, &Word::of(policy, &entry.headers).said).is_err()
}

fn status_allows(policy: &Policy, status: StatusCode, origin: &ResponseDirectives) -> Result<(), Detail> {
    if status.is_informational() || status == StatusCode::NOT_MODIFIED {
        return Err(Detail::Status);
    }
    if policy.statuses.as_ref().is_some_and(|statuses| !statuses.contains(&status)) {
        return Err(Detail::Status);
    }
    let understood = UNDERSTOOD.contains(&status.as_u16());
    match (origin.must_understand, understood, origin.no_store) {
        (true, false, _) => Err(Detail::Status),
        (false, _, true) => Err(Detail::NoStore),
        _ => Ok(()),
    }
}

/// §3.3: whether a 206 is the answer to a request for a part, and says which part it is.
fn is_asked_for_part(request: &request::Parts, response: &response::Parts) -> bool {
    range::asked(request).is_some() && Part::of(&response.headers).is_some()
}

fn shared_allows(request: &request::Parts, origin: &ResponseDirectives) -> Result<(), Detail> {
    if origin.private {
        return Err(Detail::Private);
    }
    // §3.5
    let allowed = origin.public || origin.must_revalidate || origin.s_maxage.is_some();
    if request.headers.contains_key(header::AUTHORIZATION) && !allowed {
        return Err(Detail::Authorization);
    }
    Ok(())
}

/// A body that does not say how long it is is measured as it passes. An answer to HEAD says the length of a body that it does not have.
fn exceeds_limits(policy: &Policy, method: &Method, headers: &HeaderMap, declared: Option<u64>) -> bool {
    header_bytes(headers) > policy.limits.header_bytes
        || (method != Method::HEAD && declared.is_some_and(|length| length > policy.limits.body))
}

fn header_bytes(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum()
}

/// §3, last item: whether anything allows to store a response without a lifetime of the user's own. That is its status, where it is one
/// that may be kept fresh by guessing or that the user names, or a word of the origin's.
fn allows_reuse(
    policy: &Policy,
    status: StatusCode,
    headers: &HeaderMap,
    origin: &Word,
    now: Timestamp,
) -> bool {
    HEURISTIC.contains(&status.as_u16())
        || is_named(policy, status)
        || origin.said.public
        || (origin.said.private && policy.scope == Scope::Private)
        || explicit_lifetime(policy.scope, origin, headers, now).is_some()
}

fn is_named(policy: &Policy, status: StatusCode) -> bool {
    policy.statuses.as_ref().is_some_and(|statuses| statuses.contains(&status))
}

/// The lifetime the user wants for a response to a request of `sent`, received `now`, if the user's word counts here. The more specific
/// word comes first: `wish` is what was said about this request or its URL.
///
/// An error is not kept for it, unless the user names its status: nobody who wants pages to be fresh for an hour wants that of a 503. It
/// may only end the lifetime that an error has otherwise.
pub(crate) fn user_ttl(
    policy: &Policy,
    status: StatusCode,
    headers: &HeaderMap,
    wish: Option<Expire>,
    sent: Timestamp,
    now: Timestamp,
) -> Result<Option<Ttl>, Detail> {
    let origin = Word::of(policy, headers);
    let explicit = origin.said.no_cache || explicit_lifetime(policy.scope, &origin, headers, now).is_some();
    let expire = match policy.origin_headers {
        OriginHeaders::First if explicit => None,
        OriginHeaders::Obeyed if explicit => wish,
        OriginHeaders::Ignored | OriginHeaders::First | OriginHeaders::Obeyed => wish.or(policy.expire_after),
    };
    let Some(expire) = expire else { return Ok(None) };
    let ttl = expire.ttl(now).ok_or(Detail::DoNotStore)?;
    if LASTING.contains(&status.as_u16()) || is_named(policy, status) {
        return Ok(Some(ttl));
    }
    let (lifetime, _) = origin_lifetime(policy, status, headers, &origin, now);
    let otherwise = lifetime.saturating_sub(current_age(headers, sent, now, now));
    let shorter = match ttl {
        Ttl::Forever => false,
        Ttl::For(lifetime) => lifetime < otherwise,
        Ttl::StaleBy(_) => !otherwise.is_zero(),
    };
    Ok(Some(ttl).filter(|_| shorter && !origin.said.no_cache))
}

/// Whether the origin itself gave a response some time to be used in (§4.2.1).
pub(crate) fn is_explicitly_fresh(policy: &Policy, headers: &HeaderMap, now: Timestamp) -> bool {
    let origin = Word::of(policy, headers);
    explicit_lifetime(policy.scope, &origin, headers, now).is_some_and(|(lifetime, _)| !lifetime.is_zero())
}

/// Whether a response was said to be fresh for some time, by its origin or by the user. What is only guessed to be, or has to be validated
/// at every use, was not.
pub(crate) fn has_lifetime<B>(policy: &Policy, entry: &Entry<B>) -> bool {
    match entry.ttl {
        Some(ttl) => ttl.is_some_time(),
        None => is_explicitly_fresh(policy, &entry.headers, entry.received),
    }
}

/// Whether a stored response may stand in for an origin that fails: not an error of the passing kind, which is no better than the failure.
pub(crate) fn may_stand_in(status: StatusCode) -> bool {
    !(status.is_client_error() || status.is_server_error()) || HEURISTIC.contains(&status.as_u16())
}

/// §3.1: the fields of a response as they are stored. Content-Length is what the body has, and `Trailer` goes with the trailer section,
/// which is not stored (RFC 9110 §6.5.1).
pub(crate) fn stored_headers(status: StatusCode, headers: &HeaderMap) -> HeaderMap {
    let mut stored = headers.clone();
    // Where it says nothing that holds, nothing is stored.
    let _ = framing::normalize_content_length(status, &mut stored);
    strip_hop_by_hop(&mut stored);
    stored.remove(header::TRAILER);
    OF_PROXIES.iter().for_each(|name| drop(stored.remove(name)));
    stored
}

/// Takes away what is for this connection only: what `Connection` names, and the fields that never go further (RFC 9110 §7.6.1).
///
/// What is meant for every recipient stays even where `Connection` names it: the fields that decide whether, for how long and for whom a
/// message may be reused, and those about its content.
pub fn strip_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .flat_map(|line| line.as_bytes().split(|byte| *byte == b','))
        .filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok())
        .filter(|name| !END_TO_END.contains(name) && !name.as_str().starts_with(CONTENT))
        .collect();
    for name in named.iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
}

/// §4.2: how fresh a stored response is, and by whose word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Freshness {
    /// The freshness lifetime; `None`: for ever.
    pub lifetime: Option<Duration>,
    /// The current age.
    pub age: Duration,
    /// Where the lifetime comes from.
    pub source: LifetimeSource,
}

/// Whose word a lifetime is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LifetimeSource {
    /// The user's own.
    User,
    /// `s-maxage`.
    SMaxage,
    /// `max-age`.
    MaxAge,
    /// `Expires`.
    Expires,
    /// A guess from `Last-Modified` (§4.2.2).
    Heuristic,
    /// Nobody's: there is none.
    Unspecified,
}

impl Freshness {
    fn new<B>(policy: &Policy, entry: &Entry<B>, origin: &Word, now: Timestamp) -> Self {
        let resident = now.since(entry.received).min(LONGEST);
        match entry.ttl {
            Some(Ttl::Forever) => Self { lifetime: None, age: resident, source: LifetimeSource::User },
            Some(Ttl::For(lifetime)) => {
                Self { lifetime: Some(lifetime.min(LONGEST)), age: resident, source: LifetimeSource::User }
            }
            Some(Ttl::StaleBy(staleness)) => {
                let age = resident.saturating_add(staleness).min(LONGEST);
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

    /// Whether it may be used without asking.
    pub fn is_fresh(&self) -> bool {
        self.lifetime.is_none_or(|lifetime| lifetime > self.age)
    }

    /// How much freshness is left; zero when stale, 2³¹ seconds where it has no end.
    pub fn remaining(&self) -> Duration {
        self.lifetime.map_or(LONGEST, |lifetime| lifetime.saturating_sub(self.age))
    }

    /// How long it has been stale; zero when fresh.
    pub fn staleness(&self) -> Duration {
        self.lifetime.map_or(Duration::ZERO, |lifetime| self.age.saturating_sub(lifetime))
    }

    /// Whole seconds of freshness left, negative when stale; `None`: for ever.
    pub fn ttl(&self) -> Option<i64> {
        let seconds = |duration: Duration| i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
        self.lifetime.map(|lifetime| seconds(lifetime).saturating_sub(seconds(self.age)))
    }
}

/// The sum, as a person would write it: `max-age=3600 (response) - age 240 = 3360 s`.
impl fmt::Display for Freshness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(lifetime) = self.lifetime else {
            return f.write_str("for ever (user)");
        };
        let (name, whose) = match self.source {
            LifetimeSource::User => ("ttl", "user"),
            LifetimeSource::SMaxage => ("s-maxage", "response"),
            LifetimeSource::MaxAge => ("max-age", "response"),
            LifetimeSource::Expires => ("Expires - Date", "response"),
            LifetimeSource::Heuristic => ("heuristic", "Last-Modified"),
            LifetimeSource::Unspecified => ("lifetime", "nothing said"),
        };
        let (lifetime, age) = (lifetime.as_secs(), self.age.as_secs());
        write!(f, "{name}={lifetime} ({whose}) - age {age} = {} s", self.ttl().unwrap_or_default())
    }
}

/// §4.2.1, and the guess of §4.2.2 where the origin said nothing.
fn origin_lifetime(
    policy: &Policy,
    status: StatusCode,
    headers: &HeaderMap,
    origin: &Word,
    received: Timestamp,
) -> (Duration, LifetimeSource) {
    if policy.origin_headers == OriginHeaders::Ignored {
        return (Duration::ZERO, LifetimeSource::Unspecified);
    }
    explicit_lifetime(policy.scope, origin, headers, received)
        .or_else(|| heuristic_lifetime(policy, status, headers, &origin.said, received))
        .unwrap_or((Duration::ZERO, LifetimeSource::Unspecified))
}

fn explicit_lifetime(
    scope: Scope,
    origin: &Word,
    headers: &HeaderMap,
    received: Timestamp,
) -> Option<(Duration, LifetimeSource)> {
    if let (Scope::Shared, Some(lifetime)) = (scope, origin.said.s_maxage) {
        return Some((lifetime, LifetimeSource::SMaxage));
    }
    if let Some(lifetime) = origin.said.max_age {
        return Some((lifetime, LifetimeSource::MaxAge));
    }
    if origin.expires == Expires::Overruled {
        return None;
    }
    let mut lines = headers.get_all(header::EXPIRES).iter();
    let first = lines.next()?;
    // §5.3: what is no date, or several of them, is in the past.
    let expires = if lines.next().is_some() { None } else { date::parse_http_date(first, received) };
    let lifetime = expires.map_or(Duration::ZERO, |expires| expires.since(date_value(headers, received)));
    Some((lifetime.min(LONGEST), LifetimeSource::Expires))
}

fn heuristic_lifetime(
    policy: &Policy,
    status: StatusCode,
    headers: &HeaderMap,
    origin: &ResponseDirectives,
    received: Timestamp,
) -> Option<(Duration, LifetimeSource)> {
    let guess = policy.heuristic?;
    if !HEURISTIC.contains(&status.as_u16()) && !origin.public {
        return None;
    }
    let modified = date::parse_http_date(headers.get(header::LAST_MODIFIED)?, received)?;
    let unchanged = date_value(headers, received).since(modified);
    Some(((unchanged.min(LONGEST) * guess.percent / 100).min(guess.at_most), LifetimeSource::Heuristic))
}

/// Date, or when the response arrived where it has none (RFC 9110 §6.6.1).
fn date_value(headers: &HeaderMap, received: Timestamp) -> Timestamp {
    headers.get(header::DATE).and_then(|date| date::parse_http_date(date, received)).unwrap_or(received)
}

/// §4.2.3
fn current_age(headers: &HeaderMap, requested: Timestamp, received: Timestamp, now: Timestamp) -> Duration {
    let apparent = received.since(date_value(headers, received));
    let delay = received.since(requested);
    let corrected = directives::age(headers).unwrap_or_default().saturating_add(delay);
    apparent.max(corrected).saturating_add(now.since(received)).min(LONGEST)
}

/// A stored response as it stands now: what its origin says, as far as it is heard, and how fresh it is.
#[derive(Clone, Copy)]
pub(crate) struct Standing {
    pub(crate) freshness: Freshness,
    origin: ResponseDirectives,
    user_decides: bool,
}

impl Standing {
    pub(crate) fn of<B>(policy: &Policy, entry: &Entry<B>, now: Timestamp) -> Self {
        let origin = Word::of(policy, &entry.headers);
        let freshness = Freshness::new(policy, entry, &origin, now);
        Self { freshness, origin: origin.said, user_decides: entry.ttl.is_some() }
    }

    /// Whether the origin wants to be asked before every use (§5.2.2.4). A lifetime of the user's own comes before that.
    pub(crate) fn validated_at_every_use(&self) -> bool {
        self.origin.no_cache && !self.user_decides
    }

    /// The fields that the origin wants to be asked about before every use (§5.2.2.4). `headers` are those of the response.
    pub(crate) fn withheld(&self, headers: &HeaderMap) -> Vec<HeaderName> {
        if self.origin.no_cache_fields && !self.user_decides {
            directives::no_cache_fields(headers)
        } else {
            Vec::new()
        }
    }

    /// §4.2.4: whether the response allows that it is ever used stale.
    pub(crate) fn may_be_stale(&self, policy: &Policy) -> bool {
        let origin = &self.origin;
        let shared = policy.scope == Scope::Shared && (origin.proxy_revalidate || origin.s_maxage.is_some());
        !(origin.must_revalidate || origin.no_cache || shared)
    }

    /// RFC 5861 §3: whether it may be used while it is refreshed.
    pub(crate) fn stale_while_revalidate(&self, policy: &Policy) -> bool {
        self.may_be_stale(policy)
            && self.within(policy.stale_while_revalidate, self.origin.stale_while_revalidate)
    }

    /// RFC 5861 §4, and §4.2.4 for a cache that is cut off: whether it may stand in for a failing origin. Where the user said for how
    /// long, that is for how long.
    pub(crate) fn stale_if_error(&self, policy: &Policy, said: &RequestDirectives, failure: Failure) -> bool {
        let window = said.stale_if_error.max(self.origin.stale_if_error);
        let cut_off = policy.origin_headers != OriginHeaders::Ignored
            && policy.stale_if_error == Staleness::AsResponseSays
            && match failure {
                Failure::NoAnswer => true,
                // §4.3.3: as if there was no answer, unless somebody said for how long that may be.
                Failure::Unavailable => window.is_none(),
                Failure::ServerError | Failure::Slow => false,
            };
        self.may_be_stale(policy) && (cut_off || self.within(policy.stale_if_error, window))
    }

    fn within(&self, user: Staleness, response: Option<Duration>) -> bool {
        let user = match user {
            Staleness::Any => return true,
            Staleness::For(window) => Some(window),
            Staleness::AsResponseSays => None,
        };
        response.max(user).is_some_and(|window| self.freshness.staleness() <= window)
    }
}

/// How an origin failed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    /// There was no answer.
    NoAnswer,
    /// It answered 502, 503 or 504: something before it was reached, or it can do nothing at all for now.
    Unavailable,
    /// It answered 500.
    ServerError,
    /// It takes long, and may still answer.
    Slow,
}

impl Failure {
    pub(crate) fn of(status: StatusCode) -> Option<Self> {
        match status.as_u16() {
            500 => Some(Self::ServerError),
            502..=504 => Some(Self::Unavailable),
            _ => None,
        }
    }
}

/// Until when a response can be of any use: its seal ends then.
pub(crate) fn retain_until<B>(policy: &Policy, entry: &Entry<B>) -> Timestamp {
    let Standing { freshness, origin, .. } = Standing::of(policy, entry, entry.received);
    let Some(lifetime) = freshness.lifetime else {
        return Timestamp::MAX;
    };
    let window = origin.stale_if_error.max(origin.stale_while_revalidate).unwrap_or_default();
    entry.received.plus(lifetime.saturating_sub(freshness.age).saturating_add(policy.retention.max(window)))
}

/// What the origin says, as far as it is heard.
struct Word {
    said: ResponseDirectives,
    expires: Expires,
}

/// Whether `Expires` counts.
#[derive(PartialEq, Eq)]
enum Expires {
    Heard,
    /// The origin spoke to caches like this one in particular (RFC 9213 §2.2).
    Overruled,
}

impl Word {
    fn of(policy: &Policy, headers: &HeaderMap) -> Self {
        let targeted = match (policy.origin_headers, policy.scope) {
            (OriginHeaders::Ignored, _) => Some(ResponseDirectives::default()),
            (OriginHeaders::Obeyed | OriginHeaders::First, Scope::Shared) => targeted::parse(headers),
            (OriginHeaders::Obeyed | OriginHeaders::First, Scope::Private) => None,
        };
        match targeted {
            Some(said) => Self { said, expires: Expires::Overruled },
            None => Self { said: ResponseDirectives::parse(headers), expires: Expires::Heard },
        }
    }
}

/// §4.4: whether an answer to a request with this method means that stored answers are out of date.
pub(crate) fn invalidates(method: &Method, status: StatusCode) -> bool {
    // A method we do not know may be unsafe.
    let safe = [Method::GET, Method::HEAD, Method::OPTIONS, Method::TRACE].contains(method);
    !safe && (status.is_success() || status.is_redirection())
}
