//! Storing (RFC 9111 §3): whether a response may be stored, and the reason if not. Invalidation
//! (§4.4): whether an answer outdates stored responses.

use crate::directives::{RequestDirectives, ResponseDirectives};
use crate::freshness::{self, HEURISTICALLY_CACHEABLE};
use crate::origin_directives::OriginDirectives;
use crate::policy::{Policy, Scope, Writes};
use crate::range::Part;
use crate::validate::{self, Conditions};
use crate::vary::{Varies, varies};
use crate::{Detail, Entry, Expire, Timestamp, Ttl, framing};
use http::{HeaderMap, HeaderName, Method, StatusCode, header, request, response};

/// Final statuses whose caching this cache implements, as `must-understand` requires (§5.2.2.3).
const UNDERSTOOD: [u16; 15] = [200, 203, 204, 206, 300, 301, 302, 303, 307, 308, 404, 405, 410, 414, 501];

/// A response that may be stored.
pub(crate) struct Storable {
    /// The lifetime that the user set.
    pub(crate) ttl: Option<Ttl>,
    /// The request headers that the response varies by.
    pub(crate) varies: Vec<HeaderName>,
}

/// The request side of an exchange, as far as it decides whether the answer may be stored.
pub(crate) struct RequestView<'a> {
    pub(crate) request: &'a request::Parts,
    pub(crate) directives: &'a RequestDirectives,
    pub(crate) conditions: &'a Conditions,
    /// The lifetime that the user set for this request or its URL.
    pub(crate) lifetime_override: Option<Expire>,
    pub(crate) sent: Timestamp,
}

/// §3: whether a response may be stored. The error is the reason if not.
pub(crate) fn storable(
    policy: &Policy,
    view: &RequestView<'_>,
    response: &response::Parts,
    now: Timestamp,
) -> Result<Storable, Detail> {
    let RequestView { request, directives, conditions, lifetime_override, sent } = *view;
    if policy.writes == Writes::Never {
        return Err(Detail::ReadOnly);
    }
    let origin = OriginDirectives::of(policy, &response.headers);
    // §3: no-store is absent from the request; §5.2.1.5.
    if directives.no_store {
        return Err(Detail::NoStore);
    }
    status_allows(policy, response.status, &origin.directives)?;
    if response.status == StatusCode::PARTIAL_CONTENT && !is_requested_part(conditions, response) {
        return Err(Detail::Partial);
    }
    if policy.scope == Scope::Shared {
        shared_allows(request, &origin.directives)?;
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
    let ttl = freshness::user_ttl(policy, response.status, &response.headers, lifetime_override, sent, now)?;
    if ttl.is_none() && !allows_reuse(policy, response.status, &response.headers, &origin, now) {
        return Err(Detail::Status);
    }
    let fresh = match ttl {
        Some(ttl) => ttl.is_positive(),
        None => {
            let (lifetime, _) =
                freshness::origin_lifetime(policy, response.status, &response.headers, &origin, now);
            !lifetime.is_zero()
        }
    };
    if !fresh && !validate::has_validator(&response.headers) {
        return Err(Detail::NoUse);
    }
    match &policy.filter {
        Some(keep) if !keep(request, response) => Err(Detail::Filtered),
        _ => Ok(Storable { ttl, varies }),
    }
}

/// §5.2.2.5: whether the current directives of a stored response forbid storing it.
pub(crate) fn forbids_storing<B>(policy: &Policy, entry: &Entry<B>) -> bool {
    status_allows(policy, entry.status, &OriginDirectives::of(policy, &entry.headers).directives).is_err()
}

/// §3: the status is final and, with `must-understand`, understood; `no-store` is absent. §5.2.2.3:
/// `must-understand` overrides `no-store` if the status is understood.
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

/// §3.3: a 206 is stored only if the request asked for one range and `Content-Range` is valid.
fn is_requested_part(conditions: &Conditions, response: &response::Parts) -> bool {
    conditions.range_field().is_some() && Part::of(&response.headers).is_some()
}

/// §3: a shared cache does not store a `private` response. §3.5: it stores the answer to a request
/// with `Authorization` only if the response has `public`, `must-revalidate` or `s-maxage`.
fn shared_allows(request: &request::Parts, origin: &ResponseDirectives) -> Result<(), Detail> {
    if origin.private {
        return Err(Detail::Private);
    }
    let allowed = origin.public || origin.must_revalidate || origin.s_maxage.is_some();
    if request.headers.contains_key(header::AUTHORIZATION) && !allowed {
        return Err(Detail::Authorization);
    }
    Ok(())
}

/// Whether the header section or the declared length is over a limit. A body without a declared
/// length is measured while it is read. In an answer to HEAD, the length is that of a body it does
/// not have.
fn exceeds_limits(policy: &Policy, method: &Method, headers: &HeaderMap, declared: Option<u64>) -> bool {
    header_bytes(headers) > policy.limits.header_bytes
        || (method != Method::HEAD && declared.is_some_and(|length| length > policy.limits.body))
}

fn header_bytes(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum()
}

/// §3, last requirement: whether a response without a user lifetime may be stored. Its status is
/// heuristically cacheable or named by the policy, or the origin set `public`, `private` (in a
/// private cache) or an explicit lifetime.
fn allows_reuse(
    policy: &Policy,
    status: StatusCode,
    headers: &HeaderMap,
    origin: &OriginDirectives,
    now: Timestamp,
) -> bool {
    HEURISTICALLY_CACHEABLE.contains(&status.as_u16())
        || freshness::policy_names(policy, status)
        || origin.directives.public
        || (origin.directives.private && policy.scope == Scope::Private)
        || freshness::explicit_lifetime(policy.scope, origin, headers, now).is_some()
}

/// §4.4: a cache must invalidate the target URI after a non-error answer to an unsafe method.
pub(crate) fn invalidates(method: &Method, status: StatusCode) -> bool {
    // RFC 9110 §9.2.1: unknown methods may be unsafe.
    let safe = [Method::GET, Method::HEAD, Method::OPTIONS, Method::TRACE].contains(method);
    !safe && (status.is_success() || status.is_redirection())
}
