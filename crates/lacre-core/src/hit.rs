//! A hit: a stored response that answers a request.

use crate::freshness::Freshness;
use crate::header_fields::remove_body_fields;
use crate::policy::AgeHeader;
use crate::range::{ContentRange, Part};
use crate::{CacheStatus, Entry, HitKind, Key, StoredBody};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header, response};

/// A stored response, and the way in which it answers the request.
#[derive(Clone, Debug)]
pub struct Hit<B> {
    pub(crate) key: Key,
    pub(crate) entry: Box<Entry<B>>,
    pub(crate) kind: HitKind,
    pub(crate) freshness: Freshness,
    pub(crate) status: CacheStatus,
    pub(crate) age_header: AgeHeader,
    /// §5.2.2.4: fields that must not be used without validation.
    pub(crate) withheld: Vec<HeaderName>,
}

impl<B: StoredBody> Hit<B> {
    /// The key that the response is stored under.
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// The stored response.
    pub fn entry(&self) -> &Entry<B> {
        &self.entry
    }

    /// The kind of hit.
    pub fn kind(&self) -> HitKind {
        self.kind
    }

    /// The freshness of the response.
    pub fn freshness(&self) -> &Freshness {
        &self.freshness
    }

    /// The cache's handling of the request.
    pub fn status(&self) -> CacheStatus {
        self.status
    }

    /// Builds the response for the caller. The handle is on the complete stored body;
    /// [`kind`](Hit::kind) tells which part of it to send.
    pub fn into_response(self) -> (response::Parts, B) {
        let Self { entry, kind, freshness, age_header, withheld, .. } = self;
        let entry = *entry;
        let length = entry.body.length();
        let (mut parts, ()) = http::Response::new(()).into_parts();
        parts.status = entry.status;
        parts.version = entry.version;
        parts.headers = entry.headers;
        withheld.iter().for_each(|name| drop(parts.headers.remove(name)));
        if age_header == AgeHeader::Added {
            parts.headers.insert(header::AGE, HeaderValue::from(freshness.age.as_secs()));
        }
        match kind {
            HitKind::Full | HitKind::Headers => {}
            HitKind::NotModified => {
                parts.status = StatusCode::NOT_MODIFIED;
                remove_body_fields(&mut parts.headers);
            }
            HitKind::Slice { first, last } => {
                let part = Part::of(&parts.headers).filter(|_| parts.status == StatusCode::PARTIAL_CONTENT);
                let whole = ContentRange::Slice { first, last, length: Some(length) };
                let range = part.map_or(whole, |part| part.content_range(first, last));
                parts.status = StatusCode::PARTIAL_CONTENT;
                partial(&mut parts.headers, range, last - first + 1);
            }
            HitKind::Unsatisfiable => {
                parts.status = StatusCode::RANGE_NOT_SATISFIABLE;
                partial(&mut parts.headers, ContentRange::Unsatisfiable { length }, 0);
            }
        }
        (parts, entry.body)
    }
}

fn partial(headers: &mut HeaderMap, range: ContentRange, length: u64) {
    headers.insert(header::CONTENT_RANGE, range.to_value());
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
}
