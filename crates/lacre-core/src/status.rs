//! What the cache did with a request, in the terms of RFC 9211 (Cache-Status).

use http::StatusCode;
use std::fmt;

/// What the cache did. Its text is the member that RFC 9211 describes, such as `lacre; fwd=uri-miss; fwd-status=200; stored`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CacheStatus {
    /// Why the request was sent on; `None`: it was answered from the cache alone.
    pub forward: Option<Forward>,
    /// The status of the network's answer, where there was one; not of a 304 that the caller gets as it came.
    pub forward_status: Option<StatusCode>,
    /// Seconds of freshness left, negative when stale; `None`: for ever, or unknown.
    pub ttl: Option<i64>,
    /// Whether the network's answer is being stored. Where it is, that happens when its body was read to the end; a body that then turns out
    /// too long or breaks off is not stored after all.
    pub stored: Stored,
    /// Whether the answer was fetched for another request that asked the same at the same time.
    pub collapsed: Collapsed,
    /// More about the why.
    pub detail: Option<Detail>,
}

/// Whether an answer is stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stored {
    /// It is not.
    #[default]
    No,
    /// It is.
    Yes,
}

/// Whether a request shared another one's way to the origin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Collapsed {
    /// It did not.
    #[default]
    No,
    /// It did.
    Yes,
}

/// Why a request was sent on (the `fwd` parameter, RFC 9211 §2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Forward {
    /// The cache was told to stay out of it.
    Bypass,
    /// The method is one that is not answered from the cache.
    Method,
    /// Nothing is stored for this request.
    UriMiss,
    /// Something is stored, but for other values of the headers it varies by.
    VaryMiss,
    /// Only a part of the response is stored, and not the one that the request asks for.
    Partial,
    /// The request itself asked for it.
    Request,
    /// What is stored is stale.
    Stale,
}

/// Why something was not stored, or why it was served as it was (the `detail` parameter, RFC 9211 §2.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Detail {
    /// `no-store` on the request or the response.
    NoStore,
    /// `private`, and this cache is shared.
    Private,
    /// The request has Authorization, this cache is shared, and the response does not allow it.
    Authorization,
    /// The response sets a cookie for somebody without credentials, and this cache is shared.
    SetCookie,
    /// `Vary: *`, or by more headers than we follow.
    Vary,
    /// The status is not one that may be stored.
    Status,
    /// The method is not one whose answers are stored.
    Method,
    /// Neither fresh for any time nor possible to validate.
    NoUse,
    /// Part of a body that nobody asked for, or that does not say which part it is.
    Partial,
    /// The user said not to store it.
    DoNotStore,
    /// The user's filter said not to store it.
    Filtered,
    /// The cache is read-only.
    ReadOnly,
    /// Header section or body over the limit.
    TooLarge,
    /// The body is not what Content-Length and Transfer-Encoding say, or these contradict themselves.
    Framing,
    /// The body broke off, or nobody read it to its end.
    Incomplete,
    /// The request's body could not be seen whole.
    BodyUnseen,
    /// The request does not name exactly one host that can be read, so that its target URI is not known (RFC 9110 §7.1).
    NoAuthority,
    /// Served stale, as the request allows.
    MaxStale,
    /// Served stale while it is refreshed.
    StaleWhileRevalidate,
    /// Served stale because the origin failed.
    StaleIfError,
    /// A stored response was refused: its seal does not hold.
    Tampered,
    /// The store did not answer.
    StoreUnavailable,
}

impl CacheStatus {
    /// Whether the answer came from the cache without asking anybody.
    pub fn is_hit(&self) -> bool {
        self.forward.is_none() && self.detail != Some(Detail::StoreUnavailable)
    }

    /// Whether the answer came from the cache after the origin confirmed it.
    pub fn is_revalidated(&self) -> bool {
        self.forward_status == Some(StatusCode::NOT_MODIFIED)
    }

    pub(crate) fn forwarded(forward: Forward) -> Self {
        Self { forward: Some(forward), ..Self::default() }
    }

    /// The caller gets the network's own answer. A 304 among these is the answer to conditions of the caller's, and shows for itself;
    /// told as `fwd-status`, it would read as if what is stored had been confirmed.
    pub(crate) fn passed_on(self, answered: StatusCode) -> Self {
        Self { forward_status: (answered != StatusCode::NOT_MODIFIED).then_some(answered), ..self }
    }

    pub(crate) fn with(self, detail: Detail) -> Self {
        Self { detail: Some(detail), ..self }
    }
}

impl Forward {
    /// The token of RFC 9211.
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
    /// A token for the `detail` parameter.
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
    fn the_text_is_what_rfc_9211_describes() {
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
