//! The values of an exchange: the reply to a request, the ticket to send it, and the settlement of
//! its outcome.

use crate::body::in_flight::BodySource;
use crate::body::{Body, Recording};
use crate::clock::MonotonicTime;
use http::{HeaderValue, Response, StatusCode, header, request, response};
use lacre_core::{CacheStatus, Detail, Key, Pending, Timestamp};
use std::fmt;
use std::time::Duration;

/// A response from the cache.
pub struct Reply {
    /// The response for the caller. Its extensions contain the [`CacheInfo`], too.
    pub response: Response<Body>,
    /// The handling of the request.
    pub info: CacheInfo,
}

/// Leaves out header values and the body.
impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reply")
            .field("status", &self.response.status())
            .field("body", self.response.body())
            .field("info", &self.info)
            .finish_non_exhaustive()
    }
}

/// The cache's handling of a request. Every response through the cache has it among its extensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CacheInfo {
    /// The handling in the terms of RFC 9211. Its text is a member of `Cache-Status`.
    pub status: CacheStatus,
    /// The row's key, if the request has one.
    pub key: Option<Key>,
    /// When the stored response was received, or last validated.
    pub stored_at: Option<Timestamp>,
}

/// A request that must be sent. A dropped ticket stores nothing.
#[derive(Debug)]
pub struct Ticket {
    pub(crate) pending: Pending<BodySource>,
    /// The failure of the lookup, for the status.
    pub(crate) failure: Option<Detail>,
    /// When the lookup began. It may have missed a response that was stored since.
    pub(crate) since: MonotonicTime,
}

impl Ticket {
    /// The request to send: the caller's, perhaps made conditional to validate a stored response.
    pub fn request(&self) -> &request::Parts {
        self.pending.request()
    }

    /// The caller's request as it came, to ask the cache again.
    pub(crate) fn asked(&self) -> request::Parts {
        self.pending.original_request()
    }

    /// When the cache was asked.
    pub(crate) fn since(&self) -> MonotonicTime {
        self.since
    }

    /// How long ago the cache was asked. After a wait, asking again may find a stored response.
    pub fn age(&self) -> Duration {
        self.since.elapsed()
    }

    /// The key that the response would be stored under. Requests with the same key may share one
    /// request to the origin. `None`: this one may not.
    pub fn key(&self) -> Option<&Key> {
        self.pending.key()
    }

    /// Whether the request validates a stored response.
    pub(crate) fn validates(&self) -> bool {
        self.pending.stored().is_some()
    }

    /// The handling of the request so far.
    pub fn info(&self) -> CacheInfo {
        let stored_at = self.pending.stored().map(|entry| entry.received);
        CacheInfo { status: self.pending.status(), key: self.key().copied(), stored_at }
            .with_failure(self.failure)
    }
}

impl CacheInfo {
    /// The same for a response that is not stored after all, with the reason.
    #[must_use]
    pub fn unstored(mut self, why: Detail) -> Self {
        self.status.stored = lacre_core::Stored::No;
        self.status.detail = Some(why);
        self.stored_at = None;
        self
    }

    /// The same with the failure of the lookup as detail, if there was one.
    pub(crate) fn with_failure(mut self, failure: Option<Detail>) -> Self {
        self.status.detail = failure.or(self.status.detail);
        self
    }
}

/// The consequence of a network response, or of its absence.
#[derive(Debug)]
pub enum Settlement {
    /// The caller gets the network's response.
    Network {
        /// Stores the body while it arrives; `None`: it is not stored.
        keep: Option<Recording>,
        /// The handling of the request.
        info: CacheInfo,
        /// A 304 for the caller instead: by the conditions of its own request, it has this response
        /// already. The body is stored only if something else reads it to its end.
        instead: Option<Box<response::Parts>>,
    },
    /// The caller gets a stored response.
    Stored(Reply),
    /// Send this ticket's request, and settle again.
    Resend(Ticket),
    /// The caller gets the failure.
    Failed(CacheInfo),
}

/// A reply with the handling among its extensions.
pub(crate) fn reply(parts: response::Parts, body: Body, info: CacheInfo) -> Reply {
    let mut response = Response::from_parts(parts, body);
    response.extensions_mut().insert(info);
    Reply { response, info }
}

/// The 504 for a request that must be answered from the cache and cannot be (RFC 9111 §5.2.1.7,
/// `only-if-cached`).
pub(crate) fn refusal(status: CacheStatus) -> Reply {
    let (mut parts, ()) = Response::new(()).into_parts();
    parts.status = StatusCode::GATEWAY_TIMEOUT;
    parts.headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
    reply(parts, Body::default(), CacheInfo { status, key: None, stored_at: None })
}
