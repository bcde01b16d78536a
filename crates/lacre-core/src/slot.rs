//! The content of a record. It does not depend on how the record is encoded, sealed or stored.

use crate::sensitivity::{HeaderNames, RedactedUrl};
use crate::{Key, Timestamp, Ttl};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, Method, StatusCode, Version};
use std::fmt;

/// The content of the record under one [`Key`]. `B` is the caller's handle on a body. The engine
/// does not look into it.
#[derive(Clone, Debug, PartialEq)]
pub enum Slot<B> {
    /// A stored response.
    Entry(Box<Entry<B>>),
    /// An index of variants (RFC 9111 §4.1). Look up the key of a variant.
    Vary(VariantIndex),
    /// An alias. Look up this key.
    Alias(Key),
}

/// A record that leads to an entry under another key.
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
            Pointer::Vary(index) => Self::Vary(index),
            Pointer::Alias(key) => Self::Alias(key),
        }
    }
}

/// The variants of one request (RFC 9111 §4.1). Parts of a response count as variants, even if the
/// response does not vary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VariantIndex {
    /// The request headers that the responses vary by: lower case, ascending.
    pub names: Vec<HeaderName>,
    /// The time at which the index was first written. A variant that was received earlier belongs
    /// to an invalidated index and is not used.
    pub since: Timestamp,
    /// The keys of the variants, oldest first. The oldest is removed if there are too many.
    pub variants: Vec<Key>,
}

/// A stored response and the stored facts about its request.
#[derive(Clone, PartialEq)]
pub struct Entry<B> {
    /// The request method.
    pub method: Method,
    /// The redacted request URL, for display. It is never used for matching.
    pub url: String,
    /// The redacted request headers. Empty if the policy does not keep them.
    pub request_headers: HeaderMap,
    /// The response status.
    pub status: StatusCode,
    /// The HTTP version of the response.
    pub version: Version,
    /// The stored response headers (RFC 9111 §3.1).
    pub headers: HeaderMap,
    /// The time at which the request was sent (`request_time` of RFC 9111 §4.2.3).
    pub requested: Timestamp,
    /// The time at which the response arrived (`response_time` of RFC 9111 §4.2.3).
    pub received: Timestamp,
    /// The lifetime that the user set, counted from `received`. `None` if the response decides.
    pub ttl: Option<Ttl>,
    /// The user's tags, for invalidation in groups.
    pub tags: Vec<String>,
    /// The body.
    pub body: B,
}

/// Shows neither the query, nor header values, nor the body.
impl<B> fmt::Debug for Entry<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry")
            .field("method", &self.method)
            .field("url", &RedactedUrl(&self.url))
            .field("request_headers", &HeaderNames(&self.request_headers))
            .field("status", &self.status)
            .field("version", &self.version)
            .field("headers", &HeaderNames(&self.headers))
            .field("requested", &self.requested)
            .field("received", &self.received)
            .field("ttl", &self.ttl)
            .finish_non_exhaustive()
    }
}

impl<B> Entry<B> {
    /// Replaces the handle on the body.
    pub fn with_body<C>(self, body: C) -> Entry<C> {
        self.map_body(|_| body)
    }

    /// Transforms the handle on the body.
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

/// A handle on a stored body. It is cheap to clone and knows the length of the body.
pub trait StoredBody: Clone {
    /// The length of the body in bytes, as the network sent it.
    fn length(&self) -> u64;
}

impl StoredBody for Bytes {
    fn length(&self) -> u64 {
        self.len() as u64
    }
}
