//! Validation (RFC 9111 §4.3): conditional requests to the origin, updates from its 304, and the
//! evaluation of a client's own conditions.

use crate::header_fields::{remove_body_fields, stored_headers};
use crate::range::{self, Part, RangeSpec, Resolved};
use crate::{Entry, Timestamp, date};
use http::{HeaderMap, HeaderValue, StatusCode, header, request, response};
use std::fmt;

/// Whether a response has a validator: `ETag` or `Last-Modified`.
pub(crate) fn has_validator(headers: &HeaderMap) -> bool {
    headers.contains_key(header::ETAG) || headers.contains_key(header::LAST_MODIFIED)
}

/// §4.3.1: makes a request conditional on the validators of `entry`. The client's conditions are
/// removed; the cache evaluates them after the answer (§4.3.2).
pub(crate) fn make_conditional<B>(request: &mut HeaderMap, entry: &Entry<B>) {
    make_unconditional(request);
    if let Some(etag) = entry.headers.get(header::ETAG) {
        request.insert(header::IF_NONE_MATCH, etag.clone());
    }
    if let Some(modified) = entry.headers.get(header::LAST_MODIFIED) {
        request.insert(header::IF_MODIFIED_SINCE, modified.clone());
    }
}

/// Removes the conditions about a stored response.
pub(crate) fn make_unconditional(request: &mut HeaderMap) {
    request.remove(header::IF_NONE_MATCH);
    request.remove(header::IF_MODIFIED_SINCE);
}

/// §4.3.4: whether a 304 selects this stored response: the entity tags match, if both have one.
pub(crate) fn confirms<B>(entry: &Entry<B>, not_modified: &HeaderMap) -> bool {
    match (not_modified.get(header::ETAG), entry.headers.get(header::ETAG)) {
        (Some(value), Some(stored)) => weak_match(value.as_bytes(), stored.as_bytes()),
        // The response was validated by Last-Modified. The origin may send entity tags only since
        // then.
        (Some(_), None) | (None, _) => true,
    }
}

/// §3.2: a cache adds each field of the update and replaces stored fields of the same name. Fields
/// that describe the stored body are excepted.
pub(crate) fn update(stored: &mut HeaderMap, update_headers: &HeaderMap) {
    let update_headers = stored_headers(StatusCode::NOT_MODIFIED, update_headers);
    for name in update_headers.keys() {
        if name == header::CONTENT_LENGTH || name == header::CONTENT_ENCODING || name == header::CONTENT_RANGE
        {
            continue;
        }
        let mut values = update_headers.get_all(name).iter();
        if let Some(first) = values.next() {
            stored.insert(name.clone(), first.clone());
        }
        for more in values {
            stored.append(name.clone(), more.clone());
        }
    }
    // The Age of the old response does not apply to the update.
    if !update_headers.contains_key(header::AGE) {
        stored.remove(header::AGE);
    }
}

/// §4.3.5: whether an answer to HEAD has the same status, validators and length as the stored
/// response.
pub(crate) fn head_agrees<B>(entry: &Entry<B>, status: StatusCode, head: &HeaderMap) -> bool {
    let same = |name| match (head.get(&name), entry.headers.get(&name)) {
        (Some(value), stored) => Some(value) == stored,
        (None, _) => true,
    };
    status == entry.status
        && same(header::ETAG)
        && same(header::LAST_MODIFIED)
        && same(header::CONTENT_LENGTH)
}

/// The conditions (RFC 9110 §13) and the range (§14) of a client's request.
#[derive(Default)]
pub(crate) struct Conditions {
    none_match: Vec<HeaderValue>,
    modified_since: Option<HeaderValue>,
    range_field: Option<HeaderValue>,
    range: Option<RangeSpec>,
    if_range: Option<HeaderValue>,
}

/// The way in which a stored response answers a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HitKind {
    /// Complete.
    Full,
    /// Header section only: the request method is HEAD.
    Headers,
    /// 304: the client has this response already.
    NotModified,
    /// 206: a part of the stored body.
    Slice {
        /// Offset of the first byte.
        first: u64,
        /// Offset of the last byte.
        last: u64,
    },
    /// 416: the body has no such bytes.
    Unsatisfiable,
}

/// Shows no values of the client.
impl fmt::Debug for Conditions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Conditions").field("range", &self.range).finish_non_exhaustive()
    }
}

impl Conditions {
    pub(crate) fn of(request: &request::Parts) -> Self {
        let headers = &request.headers;
        let range_field = range::requested(request);
        Self {
            none_match: headers.get_all(header::IF_NONE_MATCH).iter().cloned().collect(),
            modified_since: headers.get(header::IF_MODIFIED_SINCE).cloned(),
            range_field: range_field.cloned(),
            range: range_field.and_then(RangeSpec::parse),
            if_range: headers.get(header::IF_RANGE).cloned(),
        }
    }

    /// The `Range` field of the request, if it asks for one range of bytes.
    pub(crate) fn range_field(&self) -> Option<&HeaderValue> {
        self.range_field.as_ref()
    }

    /// §3.3: whether the requested range is within the part that `entry` has. `entry` is a 206 with
    /// a body of `length` bytes.
    pub(crate) fn are_within<B>(&self, entry: &Entry<B>, length: u64) -> bool {
        self.resolve(entry, length).is_some()
    }

    /// Evaluates the conditions in the order of RFC 9110 §13.2.2. `length` is that of the body.
    pub(crate) fn answer<B>(&self, entry: &Entry<B>, length: u64, now: Timestamp) -> HitKind {
        if ![StatusCode::OK, StatusCode::PARTIAL_CONTENT].contains(&entry.status) {
            return HitKind::Full;
        }
        if self.already_has(&entry.headers, entry.received, now) {
            return HitKind::NotModified;
        }
        match self.resolve(entry, length) {
            Some(Resolved::Slice { first, last }) => HitKind::Slice { first, last },
            Some(Resolved::Unsatisfiable) => HitKind::Unsatisfiable,
            None => HitKind::Full,
        }
    }

    /// Resolves the requested range to bytes of the stored body.
    fn resolve<B>(&self, entry: &Entry<B>, length: u64) -> Option<Resolved> {
        let range = self.range.filter(|_| self.range_applies(&entry.headers))?;
        match entry.status {
            StatusCode::PARTIAL_CONTENT => Part::of(&entry.headers)?.slice(range, length),
            _ => Some(range.resolve(length)),
        }
    }

    /// Puts the client's conditions about a stored response back into the request.
    pub(crate) fn restore(&self, request: &mut HeaderMap) {
        make_unconditional(request);
        for value in &self.none_match {
            request.append(header::IF_NONE_MATCH, value.clone());
        }
        if let Some(value) = &self.modified_since {
            request.insert(header::IF_MODIFIED_SINCE, value.clone());
        }
    }

    /// Evaluates the conditions for HEAD, which has no ranges (RFC 9110 §14.2).
    pub(crate) fn answer_to_head<B>(&self, entry: &Entry<B>, now: Timestamp) -> HitKind {
        if entry.status == StatusCode::OK && self.already_has(&entry.headers, entry.received, now) {
            HitKind::NotModified
        } else {
            HitKind::Headers
        }
    }

    /// Returns a 304 if the client already has `response`, which has just arrived.
    pub(crate) fn not_modified(&self, response: &response::Parts, now: Timestamp) -> Option<response::Parts> {
        let successful = [StatusCode::OK, StatusCode::PARTIAL_CONTENT].contains(&response.status);
        if !successful || !self.already_has(&response.headers, now, now) {
            return None;
        }
        let (mut parts, ()) = http::Response::new(()).into_parts();
        parts.status = StatusCode::NOT_MODIFIED;
        parts.version = response.version;
        parts.headers = response.headers.clone();
        remove_body_fields(&mut parts.headers);
        Some(parts)
    }

    fn already_has(&self, stored: &HeaderMap, received: Timestamp, now: Timestamp) -> bool {
        if !self.none_match.is_empty() {
            let etag = stored.get(header::ETAG).map(HeaderValue::as_bytes);
            return self
                .none_match
                .iter()
                .flat_map(|line| entity_tags(line.as_bytes()))
                .any(|tag| tag == b"*" || etag.is_some_and(|etag| weak_match(tag, etag)));
        }
        let date = |value| date::parse_http_date(value, now);
        let Some(since) = self.modified_since.as_ref().and_then(date) else {
            return false;
        };
        // §4.3.2: without Last-Modified, a cache may use Date, or the time of receipt.
        let modified = match stored.get(header::LAST_MODIFIED).or_else(|| stored.get(header::DATE)) {
            Some(value) => date(value),
            None => Some(received),
        };
        modified.is_some_and(|modified| modified <= since)
    }

    /// RFC 9110 §13.1.5: If-Range uses the strong comparison of entity tags and the exact match of
    /// dates.
    fn range_applies(&self, stored: &HeaderMap) -> bool {
        let Some(condition) = &self.if_range else {
            return true;
        };
        let value = condition.as_bytes();
        if value.starts_with(b"W/") {
            return false;
        }
        let name = if value.starts_with(b"\"") { header::ETAG } else { header::LAST_MODIFIED };
        stored.get(name) == Some(condition)
    }
}

/// Splits a list of entity tags. A comma inside quotes belongs to its tag.
fn entity_tags(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut quoted = false;
    line.split(move |byte| {
        quoted ^= *byte == b'"';
        *byte == b',' && !quoted
    })
    .map(<[u8]>::trim_ascii)
    .filter(|tag| !tag.is_empty())
}

/// RFC 9110 §8.8.3.2: the weak comparison ignores `W/`. Quotes are ignored as well, because many
/// servers and clients omit them.
fn weak_match(a: &[u8], b: &[u8]) -> bool {
    opaque(a) == opaque(b)
}

fn opaque(tag: &[u8]) -> &[u8] {
    let tag = tag.strip_prefix(b"W/").unwrap_or(tag);
    tag.strip_prefix(b"\"").and_then(|tag| tag.strip_suffix(b"\"")).unwrap_or(tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entity_tags_compare_weakly_and_may_hold_commas() {
        assert!(weak_match(b"W/\"a\"", b"\"a\""));
        assert!(!weak_match(b"\"a\"", b"\"b\""));
        assert!(weak_match(b"a", b"W/\"a\""));
        assert!(!weak_match(b"\"a", b"\"a\""));
        let tags: Vec<&[u8]> = entity_tags(b"\"a,b\" , W/\"c\",, *").collect();
        assert_eq!(tags, [&b"\"a,b\""[..], b"W/\"c\"", b"*"]);
    }

    #[test]
    fn update_replaces_and_adds_fields_but_keeps_the_length() {
        let mut stored = HeaderMap::new();
        stored.append("link", HeaderValue::from_static("1"));
        stored.append("link", HeaderValue::from_static("2"));
        stored.insert("content-length", HeaderValue::from_static("5"));
        stored.insert("age", HeaderValue::from_static("100"));
        let mut update_headers = HeaderMap::new();
        update_headers.append("link", HeaderValue::from_static("3"));
        update_headers.append("link", HeaderValue::from_static("4"));
        update_headers.insert("content-length", HeaderValue::from_static("0"));
        update_headers.insert("new", HeaderValue::from_static("field"));
        update(&mut stored, &update_headers);
        assert_eq!(stored.get_all("link").iter().collect::<Vec<_>>(), ["3", "4"]);
        assert_eq!(stored["content-length"], "5");
        assert_eq!(stored["new"], "field");
        assert!(!stored.contains_key("age"));
    }
}
