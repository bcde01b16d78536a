//! Validation (RFC 9111 §4.3): asking the origin whether a stored response still holds, taking its 304 in, and answering the
//! conditions that a client put itself.

use crate::range::{self, Part, RangeSpec, Resolved};
use crate::{Entry, Timestamp, date, hit};
use http::{HeaderMap, HeaderValue, StatusCode, header, request, response};
use std::fmt;

/// Whether a response can be validated.
pub(crate) fn has_validator(headers: &HeaderMap) -> bool {
    headers.contains_key(header::ETAG) || headers.contains_key(header::LAST_MODIFIED)
}

/// §4.3.1: turns a request into one that asks whether `entry` still holds. The client's own conditions are taken out: they are
/// answered from what the origin says.
pub(crate) fn make_conditional<B>(request: &mut HeaderMap, entry: &Entry<B>) {
    make_unconditional(request);
    if let Some(etag) = entry.headers.get(header::ETAG) {
        request.insert(header::IF_NONE_MATCH, etag.clone());
    }
    if let Some(modified) = entry.headers.get(header::LAST_MODIFIED) {
        request.insert(header::IF_MODIFIED_SINCE, modified.clone());
    }
}

/// Takes all conditions about a stored copy out of a request.
pub(crate) fn make_unconditional(request: &mut HeaderMap) {
    request.remove(header::IF_NONE_MATCH);
    request.remove(header::IF_MODIFIED_SINCE);
}

/// §4.3.4: whether a 304 is about this stored response.
pub(crate) fn confirms<B>(entry: &Entry<B>, not_modified: &HeaderMap) -> bool {
    match (not_modified.get(header::ETAG), entry.headers.get(header::ETAG)) {
        (Some(said), Some(stored)) => weak_match(said.as_bytes(), stored.as_bytes()),
        // Validated by Last-Modified: the origin may have begun to send entity tags since.
        (Some(_), None) | (None, _) => true,
    }
}

/// §3.2: the stored fields, with those of a 304 (or of an answer to HEAD) in their place. What describes the stored body stays.
pub(crate) fn update(stored: &mut HeaderMap, news: &HeaderMap) {
    let news = crate::rules::stored_headers(StatusCode::NOT_MODIFIED, news);
    for name in news.keys() {
        if name == header::CONTENT_LENGTH || name == header::CONTENT_ENCODING || name == header::CONTENT_RANGE
        {
            continue;
        }
        let mut values = news.get_all(name).iter();
        if let Some(first) = values.next() {
            stored.insert(name.clone(), first.clone());
        }
        for more in values {
            stored.append(name.clone(), more.clone());
        }
    }
    // An Age of the stored response says nothing about the new one.
    if !news.contains_key(header::AGE) {
        stored.remove(header::AGE);
    }
}

/// §4.3.5: whether an answer to HEAD is about this stored response.
pub(crate) fn head_agrees<B>(entry: &Entry<B>, status: StatusCode, head: &HeaderMap) -> bool {
    let same = |name| match (head.get(&name), entry.headers.get(&name)) {
        (Some(said), stored) => Some(said) == stored,
        (None, _) => true,
    };
    status == entry.status
        && same(header::ETAG)
        && same(header::LAST_MODIFIED)
        && same(header::CONTENT_LENGTH)
}

/// What a client asked for besides the whole response: conditions (RFC 9110 §13) and a range (§14).
#[derive(Default)]
pub(crate) struct Conditions {
    none_match: Vec<HeaderValue>,
    modified_since: Option<HeaderValue>,
    range: Option<RangeSpec>,
    if_range: Option<HeaderValue>,
}

/// What a stored response answers to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HitKind {
    /// All of it.
    Full,
    /// Its header section: the request was HEAD.
    Headers,
    /// 304: the client has it already.
    NotModified,
    /// 206: the bytes from `first` to `last`, inclusive, of the stored body.
    Slice {
        /// Offset of the first byte.
        first: u64,
        /// Offset of the last byte.
        last: u64,
    },
    /// 416: the body has no such bytes.
    Unsatisfiable,
}

/// Without the values, which are the client's.
impl fmt::Debug for Conditions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Conditions").field("range", &self.range).finish_non_exhaustive()
    }
}

impl Conditions {
    pub(crate) fn of(request: &request::Parts) -> Self {
        let headers = &request.headers;
        Self {
            none_match: headers.get_all(header::IF_NONE_MATCH).iter().cloned().collect(),
            modified_since: headers.get(header::IF_MODIFIED_SINCE).cloned(),
            range: range::asked(request).and_then(RangeSpec::parse),
            if_range: headers.get(header::IF_RANGE).cloned(),
        }
    }

    /// Whether what is asked for lies within the part that `entry`, a 206 with a body of `length` bytes, holds (RFC 9111 §3.3).
    pub(crate) fn lie_within<B>(&self, entry: &Entry<B>, length: u64) -> bool {
        self.resolve(entry, length).is_some()
    }

    /// What `entry`, with a body of `length` bytes, answers: in the order of RFC 9110 §13.2.2.
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

    /// Where in the stored body lies the range that is asked for, if one is.
    fn resolve<B>(&self, entry: &Entry<B>, length: u64) -> Option<Resolved> {
        let range = self.range.filter(|_| self.range_applies(&entry.headers))?;
        match entry.status {
            StatusCode::PARTIAL_CONTENT => Part::of(&entry.headers)?.cut(range, length),
            _ => Some(range.resolve(length)),
        }
    }

    /// Puts a request's own conditions about a stored copy back in their place.
    pub(crate) fn restore(&self, request: &mut HeaderMap) {
        make_unconditional(request);
        for value in &self.none_match {
            request.append(header::IF_NONE_MATCH, value.clone());
        }
        if let Some(value) = &self.modified_since {
            request.insert(header::IF_MODIFIED_SINCE, value.clone());
        }
    }

    /// What `entry` answers to HEAD, which knows no ranges (RFC 9110 §14.2).
    pub(crate) fn answer_to_head<B>(&self, entry: &Entry<B>, now: Timestamp) -> HitKind {
        if entry.status == StatusCode::OK && self.already_has(&entry.headers, entry.received, now) {
            HitKind::NotModified
        } else {
            HitKind::Headers
        }
    }

    /// What a request with these conditions gets in place of `response`, which has just come, where it has that already.
    pub(crate) fn not_modified(&self, response: &response::Parts, now: Timestamp) -> Option<response::Parts> {
        let successful = [StatusCode::OK, StatusCode::PARTIAL_CONTENT].contains(&response.status);
        if !successful || !self.already_has(&response.headers, now, now) {
            return None;
        }
        let (mut parts, ()) = http::Response::new(()).into_parts();
        parts.status = StatusCode::NOT_MODIFIED;
        parts.version = response.version;
        parts.headers = response.headers.clone();
        hit::without_body(&mut parts.headers);
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
        // §4.3.2: without Last-Modified, it has not changed since it was made, or came.
        let modified = match stored.get(header::LAST_MODIFIED).or_else(|| stored.get(header::DATE)) {
            Some(value) => date(value),
            None => Some(received),
        };
        modified.is_some_and(|modified| modified <= since)
    }

    /// RFC 9110 §13.1.5: strong comparison of entity tags, exact dates.
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

/// The members of a list of entity tags; a comma inside quotes belongs to its tag.
fn entity_tags(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut quoted = false;
    line.split(move |byte| {
        quoted ^= *byte == b'"';
        *byte == b',' && !quoted
    })
    .map(<[u8]>::trim_ascii)
    .filter(|tag| !tag.is_empty())
}

/// RFC 9110 §8.8.3.2. Many servers and clients leave the quotes out: nobody means another thing by that.
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
    fn a_304_replaces_all_values_of_a_field_adds_new_ones_and_leaves_the_length() {
        let mut stored = HeaderMap::new();
        stored.append("link", HeaderValue::from_static("1"));
        stored.append("link", HeaderValue::from_static("2"));
        stored.insert("content-length", HeaderValue::from_static("5"));
        stored.insert("age", HeaderValue::from_static("100"));
        let mut news = HeaderMap::new();
        news.append("link", HeaderValue::from_static("3"));
        news.append("link", HeaderValue::from_static("4"));
        news.insert("content-length", HeaderValue::from_static("0"));
        news.insert("new", HeaderValue::from_static("field"));
        update(&mut stored, &news);
        assert_eq!(stored.get_all("link").iter().collect::<Vec<_>>(), ["3", "4"]);
        assert_eq!(stored["content-length"], "5");
        assert_eq!(stored["new"], "field");
        assert!(!stored.contains_key("age"));
    }
}
