//! The cache's handling of a request, in the terms of RFC 9211 (Cache-Status).

use http::StatusCode;
use std::fmt;

/// The cache's handling of a request. Its text form is a member of `Cache-Status` (RFC 9211 §2),
/// such as `lacre; fwd=uri-miss; fwd-status=200; stored`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CacheStatus {
    /// The reason why the request was forwarded. `None` for a hit.
    pub forward: Option<Forward>,
    /// The status of the network's answer. Not set for a 304 that is passed on to the caller.
    pub forward_status: Option<StatusCode>,
    /// Seconds of freshness left, negative if stale. `None` means forever, or unknown.
    pub ttl: Option<i64>,
    /// Whether the answer is being stored. Storing ends when the body was read to its end. A body
    /// that is truncated or too long is not stored after all.
    pub stored: Stored,
    /// Whether the answer was fetched for a concurrent request (request collapsing).
    pub collapsed: Collapsed,
    /// Details about the handling.
    pub detail: Option<Detail>,
}

/// Whether an answer is stored (the `stored` parameter, RFC 9211 §2.5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stored {
    /// It is not stored.
    #[default]
    No,
    /// It is stored.
    Yes,
}

/// Whether a request was collapsed with another one (the `collapsed` parameter, RFC 9211 §2.6).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Collapsed {
    /// It was not collapsed.
    #[default]
    No,
    /// It was collapsed.
    Yes,
}

/// The reason why a request was forwarded (the `fwd` parameter, RFC 9211 §2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Forward {
    /// The cache was bypassed.
    Bypass,
    /// Answers to this method are not stored.
    Method,
    /// No response is stored for this request.
    UriMiss,
    /// The stored responses were selected by other request headers.
    VaryMiss,
    /// A part of the response is stored, but not the requested one.
    Partial,
    /// The request's directives require it.
    Request,
    /// The stored response is stale.
    Stale,
}

/// The reason why a response was not stored, or was served as it was (the `detail` parameter, RFC
/// 9211 §2.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Detail {
    /// The request or the response has `no-store`.
    NoStore,
    /// The response has `private`, and the cache is shared.
    Private,
    /// The request has `Authorization`, the cache is shared, and the response does not allow
    /// storing it.
    Authorization,
    /// The response sets a cookie for an anonymous client, and the cache is shared.
    SetCookie,
    /// The response has `Vary: *`, or varies by too many headers.
    Vary,
    /// The status may not be stored.
    Status,
    /// Answers to this method are not stored.
    Method,
    /// The response is never fresh and has no validator.
    NoUse,
    /// A 206 to a request without a range, or with an invalid `Content-Range`.
    Partial,
    /// The user set do-not-store.
    DoNotStore,
    /// The user's filter rejected the response.
    Filtered,
    /// The cache is read-only.
    ReadOnly,
    /// The header section or the body is over its limit.
    TooLarge,
    /// The body differs from its `Content-Length` and `Transfer-Encoding`, or these contradict each
    /// other.
    Framing,
    /// The body was truncated, or was not read to its end.
    Incomplete,
    /// The request body is a stream, which the cache cannot see.
    BodyUnseen,
    /// The request does not name exactly one valid host, so its target URI is unknown (RFC 9110
    /// §7.1).
    NoAuthority,
    /// Served stale, because the request allows it.
    MaxStale,
    /// Served stale while it is being refreshed.
    StaleWhileRevalidate,
    /// Served stale, because the origin failed.
    StaleIfError,
    /// The seal of the stored response does not verify.
    Tampered,
    /// The store failed.
    StoreUnavailable,
}

impl CacheStatus {
    /// Whether the cache answered without contacting the origin.
    pub fn is_hit(&self) -> bool {
        self.forward.is_none() && self.detail != Some(Detail::StoreUnavailable)
    }

    /// Whether the cache answered after the origin confirmed the stored response.
    pub fn is_revalidated(&self) -> bool {
        self.forward_status == Some(StatusCode::NOT_MODIFIED)
    }

    pub(crate) fn forwarded(forward: Forward) -> Self {
        Self { forward: Some(forward), ..Self::default() }
    }

    /// Sets the status of the network's answer, which the caller gets. A 304 is left out: it
    /// answers the client's conditions, and `fwd-status=304` would read like a successful
    /// validation.
    pub(crate) fn passed_on(self, answered: StatusCode) -> Self {
        Self { forward_status: (answered != StatusCode::NOT_MODIFIED).then_some(answered), ..self }
    }

    pub(crate) fn with(self, detail: Detail) -> Self {
        Self { detail: Some(detail), ..self }
    }
}

impl Forward {
    /// The token of the `fwd` parameter.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Bypass => "bypass",
            Self::Method => "method",
            Self::UriMiss => "uri-miss",
            Self::VaryMiss => "vary-miss",
            Self::Partial => "partial",
            Self::Request => "request",
            Self::Stale => "stale",
        }
    }
}

impl Detail {
    /// The token of the `detail` parameter.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoStore => "no-store",
            Self::Private => "private",
            Self::Authorization => "authorization",
            Self::SetCookie => "set-cookie",
            Self::Vary => "vary",
            Self::Status => "status",
            Self::Method => "method",
            Self::NoUse => "no-freshness-no-validator",
            Self::Partial => "partial",
            Self::DoNotStore => "do-not-store",
            Self::Filtered => "filtered",
            Self::ReadOnly => "read-only",
            Self::TooLarge => "too-large",
            Self::Framing => "framing",
            Self::Incomplete => "incomplete",
            Self::BodyUnseen => "body-unseen",
            Self::NoAuthority => "no-authority",
            Self::MaxStale => "max-stale",
            Self::StaleWhileRevalidate => "stale-while-revalidate",
            Self::StaleIfError => "stale-if-error",
            Self::Tampered => "tampered",
            Self::StoreUnavailable => "store-unavailable",
        }
    }
}

impl fmt::Display for CacheStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("lacre")?;
        match self.forward {
            None => f.write_str("; hit")?,
            Some(forward) => write!(f, "; fwd={}", forward.as_str())?,
        }
        if let Some(status) = self.forward_status {
            write!(f, "; fwd-status={}", status.as_u16())?;
        }
        if let Some(ttl) = self.ttl {
            write!(f, "; ttl={ttl}")?;
        }
        if self.stored == Stored::Yes {
            f.write_str("; stored")?;
        }
        if self.collapsed == Collapsed::Yes {
            f.write_str("; collapsed")?;
        }
        if let Some(detail) = self.detail {
            write!(f, "; detail={}", detail.as_str())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cache_status_text_follows_rfc_9211() {
        let hit = CacheStatus { ttl: Some(376), ..CacheStatus::default() };
        assert_eq!(hit.to_string(), "lacre; hit; ttl=376");
        let miss = CacheStatus {
            stored: Stored::Yes,
            forward_status: Some(StatusCode::OK),
            ..CacheStatus::forwarded(Forward::UriMiss)
        };
        assert_eq!(miss.to_string(), "lacre; fwd=uri-miss; fwd-status=200; stored");
        let bypass = CacheStatus::forwarded(Forward::Bypass).with(Detail::BodyUnseen);
        assert_eq!(bypass.to_string(), "lacre; fwd=bypass; detail=body-unseen");
    }
}
