//! What a store may hold under one key. A slot says nothing of how it is encoded, sealed or kept.

use crate::sensitivity::{Names, Place};
use crate::{Key, Timestamp, Ttl};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, Method, StatusCode, Version};
use std::fmt;

/// What lies under one [`Key`]. `B` is the caller's handle on a body; the engine passes it through untouched.
#[derive(Clone, Debug, PartialEq)]
pub enum Slot<B> {
    /// A stored response.
    Entry(Box<Entry<B>>),
    /// Responses here vary: look under the variant's key.
    Vary(VariantIndex),
    /// Look under this key instead.
    Alias(Key),
}

/// What leads to an entry under another key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pointer {
    /// [`Slot::Vary`].
    Vary(VariantIndex),
    /// [`Slot::Alias`].
    Alias(Key),
}

impl<B> From<Pointer> for Slot<B> {
    fn from(pointer: Pointer) -> Self {
        match pointer {
            Pointer::Vary(signpost) => Self::Vary(signpost),
            Pointer::Alias(key) => Self::Alias(key),
        }
    }
}

/// What tells the variants of one request apart (RFC 9111 §4.1). Parts of a response are variants, too, even where it varies by nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VariantIndex {
    /// The request headers that responses here were seen to vary by, lower case, ascending.
    pub names: Vec<HeaderName>,
    /// When this signpost was first written. A variant received earlier belongs to one that was invalidated, and is not used.
    pub since: Timestamp,
    /// The keys of what lies behind it, in the order in which it was stored, so that the oldest can go when there are too many.
    pub variants: Vec<Key>,
}

/// A stored response and what must be remembered of its request.
#[derive(Clone, PartialEq)]
pub struct Entry<B> {
    /// The request's method.
    pub method: Method,
    /// The request's URL, redacted: for people, never for matching.
    pub url: String,
    /// The request's headers, redacted; empty where the policy keeps none.
    pub request_headers: HeaderMap,
    /// The response's status.
    pub status: StatusCode,
    /// The response's HTTP version.
    pub version: Version,
    /// The response's headers as they are to be stored (RFC 9111 §3.1).
    pub headers: HeaderMap,
    /// When the request was sent (`request_time` of RFC 9111 §4.2.3).
    pub requested: Timestamp,
    /// When the response arrived (`response_time` of RFC 9111 §4.2.3).
    pub received: Timestamp,
    /// The user's own lifetime, counted from `received`; `None`: the response decides.
    pub ttl: Option<Ttl>,
    /// The user's labels, for invalidation in groups.
    pub tags: Vec<String>,
    /// The body.
    pub body: B,
}

/// Without the query, header values and the body.
impl<B> fmt::Debug for Entry<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry")
            .field("method", &self.method)
            .field("url", &Place(&self.url))
            .field("request_headers", &Names(&self.request_headers))
            .field("status", &self.status)
            .field("version", &self.version)
            .field("headers", &Names(&self.headers))
            .field("requested", &self.requested)
            .field("received", &self.received)
            .field("ttl", &self.ttl)
            .finish_non_exhaustive()
    }
}

impl<B> Entry<B> {
    /// The same entry with another handle on its body.
    pub fn with_body<C>(self, body: C) -> Entry<C> {
        self.map_body(|_| body)
    }

    /// The same entry with its body transformed.
    pub fn map_body<C>(self, map: impl FnOnce(B) -> C) -> Entry<C> {
        Entry {
            method: self.method,
            url: self.url,
            request_headers: self.request_headers,
            status: self.status,
            version: self.version,
            headers: self.headers,
            requested: self.requested,
            received: self.received,
            ttl: self.ttl,
            tags: self.tags,
            body: map(self.body),
        }
    }
}

/// A handle on a stored body: cheap to clone, and it knows how long the body is.
pub trait StoredBody: Clone {
    /// Bytes of the body, as the network sent it.
    fn length(&self) -> u64;
}

impl StoredBody for Bytes {
    fn length(&self) -> u64 {
        self.len() as u64
    }
}
