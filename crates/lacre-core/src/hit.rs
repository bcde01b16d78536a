//! A stored response on its way to the caller.

use crate::policy::AgeHeader;
use crate::range::{ContentRange, Part};
use crate::rules::Freshness;
use crate::{CacheStatus, Entry, HitKind, Key, StoredBody};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header, response};

/// A stored response and what of it answers the request.
#[derive(Clone, Debug)]
pub struct Hit<B> {
    pub(crate) key: Key,
    pub(crate) entry: Box<Entry<B>>,
    pub(crate) kind: HitKind,
    pub(crate) freshness: Freshness,
    pub(crate) status: CacheStatus,
    pub(crate) age_header: AgeHeader,
    /// Fields that are not to be used unless they were validated (RFC 9111 §5.2.2.4).
    pub(crate) withheld: Vec<HeaderName>,
}

/// Fields that describe a body, which a 304 does not have (RFC 9110 §15.4.5).
const OF_THE_BODY: [HeaderName; 5] = [
    header::CONTENT_ENCODING,
    header::CONTENT_LANGUAGE,
    header::CONTENT_LENGTH,
    header::CONTENT_RANGE,
    header::CONTENT_TYPE,
];

impl<B: StoredBody> Hit<B> {
    /// Where it is stored.
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// What is stored.
    pub fn entry(&self) -> &Entry<B> {
        &self.entry
    }

    /// What of it answers the request.
    pub fn kind(&self) -> HitKind {
        self.kind
    }

    /// How fresh it is.
    pub fn freshness(&self) -> &Freshness {
        &self.freshness
    }

    /// What the cache did.
    pub fn status(&self) -> CacheStatus {
        self.status
    }

    /// The response to give, with the handle on the whole stored body; [`kind`](Hit::kind) says how much of that belongs to it.
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
                without_body(&mut parts.headers);
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

/// Takes away what describes a body.
pub(crate) fn without_body(headers: &mut HeaderMap) {
    OF_THE_BODY.iter().for_each(|name| drop(headers.remove(name)));
}

fn partial(headers: &mut HeaderMap, range: ContentRange, length: u64) {
    headers.insert(header::CONTENT_RANGE, range.to_value());
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
}
