//! Redaction: removes secrets from requests and responses by their names and by known formats.
//!
//! Redacted text is for display, or stands for any value of an ignored parameter. It never
//! distinguishes requests. All other bytes stay unchanged. The time is linear in the input; there
//! is no recursion.

mod formats;
mod json;
pub(crate) mod multipart;
mod names;

pub use formats::SecretFormat;
pub(crate) use formats::find_formats;

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use names::{folded, is_usual};
pub(crate) use names::{names_identity, names_secret_header};
use percent_encoding::percent_decode;
use std::borrow::Cow;
use std::ops::Range;

/// The replacement for a redacted value.
pub(crate) const REDACTED: &str = "REDACTED";

/// A set of names whose values are secret.
///
/// Names compare without regard to case, `-` and `_`: `X-API-Key`, `x_api_key` and `xApiKey` are
/// equal. Each part of a name with brackets or dots is compared, as in `user[password]`.
#[derive(Clone, Debug)]
pub struct Redactor {
    usual: UsualNames,
    added: Vec<Vec<u8>>,
}

/// The treatment of the usual names of secrets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum UsualNames {
    /// Secret. Values in a known format of secrets are secret under any name.
    Secret,
    /// Not special.
    Unknown,
    /// Never secret, even if added.
    Exempt,
}

impl Default for Redactor {
    /// The usual names of secrets.
    fn default() -> Self {
        Self { usual: UsualNames::Secret, added: Vec::new() }
    }
}

impl Redactor {
    /// The empty set.
    pub fn none() -> Self {
        Self { usual: UsualNames::Unknown, added: Vec::new() }
    }

    /// The empty set, to which none of the usual names can be added.
    pub(crate) fn never_usual() -> Self {
        Self { usual: UsualNames::Exempt, added: Vec::new() }
    }

    /// Lets the usual names count if they are added.
    pub(crate) fn allow_usual(&mut self) {
        self.usual = UsualNames::Unknown;
    }

    /// Adds a name.
    pub fn add(&mut self, name: &str) {
        self.added.push(folded(name.as_bytes()).collect());
    }

    /// Whether values under `name` are secret.
    pub fn matches(&self, name: &str) -> bool {
        self.is_secret(name.as_bytes())
    }

    /// Whether a header with this name identifies the requester: a known name of a credential or an
    /// identity, not an added one. An identity is not secret.
    pub fn is_credential(&self, name: &str) -> bool {
        self.usual == UsualNames::Secret && (names_secret_header(name) || names_identity(name))
    }

    /// Whether the values of a header with this name are secret.
    fn matches_header(&self, name: &str) -> bool {
        self.matches(name) || (self.usual == UsualNames::Secret && names_secret_header(name))
    }

    /// Redacts a URL: its userinfo, the secrets in query, fragment and path parameters, also nested
    /// in other parameters, and known formats of secrets.
    pub fn url(&self, url: &str) -> String {
        text(&redacted(url.as_bytes(), |url| self.in_url(url)))
    }

    /// Redacts a query without its `?`.
    pub fn query<'a>(&self, query: &'a str) -> Cow<'a, str> {
        match replace(query.as_bytes(), &self.in_parameters(query.as_bytes(), b"&"), REDACTED) {
            Cow::Borrowed(_) => Cow::Borrowed(query),
            redacted => Cow::Owned(text(&redacted)),
        }
    }

    /// Redacts headers: values, cookies, and URLs as in `Location`, `Refresh`, `Referer` and
    /// `Link`. Names and the order of repeated fields stay.
    pub fn headers(&self, headers: &HeaderMap) -> HeaderMap {
        let value = |name, value: &HeaderValue| {
            HeaderValue::from_bytes(&redacted(value.as_bytes(), |value| self.in_header(name, value)))
                .unwrap_or_else(|_| HeaderValue::from_static(REDACTED))
        };
        headers.iter().map(|(name, of)| (name.clone(), value(name, of))).collect()
    }

    /// Redacts a body: a form, JSON at any depth, or multipart, by its `content_type`. Other bodies
    /// stay unchanged.
    pub fn body<'a>(&self, content_type: Option<&HeaderValue>, body: &'a [u8]) -> Cow<'a, [u8]> {
        let with =
            if matches!(BodyKind::of(content_type), BodyKind::Json) { "\"REDACTED\"" } else { REDACTED };
        replace(body, &self.in_body(content_type, body), with)
    }

    /// Whether [`url`](Self::url) redacts anything.
    pub(crate) fn finds_in_url(&self, url: &str) -> bool {
        !self.in_url(url.as_bytes()).is_empty()
    }

    /// Whether [`headers`](Self::headers) redacts anything.
    pub(crate) fn finds_in_headers(&self, headers: &HeaderMap) -> bool {
        headers.iter().any(|(name, value)| !self.in_header(name, value.as_bytes()).is_empty())
    }

    /// Whether a body may contain a secret: it does, or its format is unknown.
    pub(crate) fn may_find_in_body(&self, headers: &HeaderMap, body: &[u8]) -> bool {
        let content_type = headers.get(header::CONTENT_TYPE);
        let transparent = matches!(BodyKind::of(content_type), BodyKind::Form | BodyKind::Json)
            && !headers.contains_key(header::CONTENT_ENCODING);
        !body.is_empty() && (!transparent || !self.in_body(content_type, body).is_empty())
    }

    /// The values of secret parameters in a query, in order.
    pub(crate) fn secrets_of_query<'a>(&self, query: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.in_parameters(query.as_bytes(), b"&").into_iter().map(|secret| &query.as_bytes()[secret])
    }

    /// The values of secret parameters in a body, in order.
    pub(crate) fn secrets_of_body<'a>(
        &self,
        content_type: Option<&HeaderValue>,
        body: &'a [u8],
    ) -> impl Iterator<Item = &'a [u8]> {
        self.in_body(content_type, body).into_iter().map(|secret| &body[secret])
    }

    pub(crate) fn in_body(&self, content_type: Option<&HeaderValue>, body: &[u8]) -> Vec<Range<usize>> {
        let is_secret = |name: &[u8]| self.is_secret(name);
        match BodyKind::of(content_type) {
            BodyKind::Form => self.in_parameters(body, b"&"),
            BodyKind::Multipart(content_type) => multipart::secrets(content_type, body, is_secret),
            BodyKind::Json => json::secrets(body, is_secret),
            BodyKind::Other => Vec::new(),
        }
    }

    pub(crate) fn in_header(&self, name: &HeaderName, bytes: &[u8]) -> Vec<Range<usize>> {
        let mut secrets = match *name {
            header::COOKIE => self.in_cookies(name, bytes, usize::MAX),
            // The attributes after the first pair are not cookies.
            header::SET_COOKIE => self.in_cookies(name, bytes, 1),
            _ if self.matches_header(name.as_str()) => std::iter::once(0..bytes.len()).collect(),
            header::LINK => self.in_links(bytes),
            _ => [self.in_url(bytes), json::secrets(bytes, |name| self.is_secret(name))].concat(),
        };
        secrets.extend(self.in_known_formats(bytes));
        disjoint(secrets)
    }

    /// Finds secrets in a URL, or in text that may contain one.
    pub(crate) fn in_url(&self, url: &[u8]) -> Vec<Range<usize>> {
        let base = position(url, 0, b"?#");
        let mut secrets: Vec<_> = userinfo(&url[..base]).into_iter().collect();
        secrets.extend(self.in_path(&url[..base]));
        // A fragment may contain parameters, and so may a URL in a parameter.
        let parameters = pieces(&url[base..], b"?#&").map(|piece| piece.start + base..piece.end + base);
        secrets.extend(parameters.filter_map(|piece| {
            self.in_parameter(url, piece.clone()).or_else(|| self.nested_in_parameter(url, piece))
        }));
        secrets.extend(self.in_known_formats(url));
        disjoint(secrets)
    }

    /// Finds known formats of secrets, under any name.
    fn in_known_formats(&self, text: &[u8]) -> impl Iterator<Item = Range<usize>> {
        let text = if self.usual == UsualNames::Secret { text } else { b"" };
        find_formats(text).map(|(_, range)| range)
    }

    /// Finds secrets in the path: parameters of a segment (`/a;token=b`). A segment with a
    /// percent-encoded secret is redacted as a whole.
    fn in_path(&self, path: &[u8]) -> Vec<Range<usize>> {
        let mut secrets = self.in_path_parameters(path);
        secrets.extend(pieces(path, b"/").filter(|segment| self.is_encoded(&path[segment.clone()])));
        secrets
    }

    fn in_path_parameters(&self, path: &[u8]) -> Vec<Range<usize>> {
        let parameters = pieces(path, b"/;").filter(|piece| piece.start > 0 && path[piece.start - 1] == b';');
        parameters.filter_map(|piece| self.in_parameter(path, piece)).collect()
    }

    /// Whether a path segment contains a secret after decoding.
    fn is_encoded(&self, segment: &[u8]) -> bool {
        let mut segment = Cow::Borrowed(segment);
        for _ in 0..MAX_DECODINGS {
            let Cow::Owned(decoded) = Cow::from(percent_decode(&segment)) else { return false };
            segment = Cow::Owned(decoded);
            if !self.in_path_parameters(&segment).is_empty()
                || self.in_known_formats(&segment).next().is_some()
            {
                return true;
            }
        }
        false
    }

    fn in_links(&self, links: &[u8]) -> Vec<Range<usize>> {
        let mut secrets = Vec::new();
        let mut at = position(links, 0, b"<");
        while at < links.len() {
            let end = position(links, at, b">");
            secrets.extend(shifted(self.in_url(&links[at..end]), at));
            at = position(links, end, b"<");
        }
        secrets
    }

    /// Finds secrets among `name=value` pairs between `separators`. Names may be percent-encoded.
    fn in_parameters(&self, text: &[u8], separators: &[u8]) -> Vec<Range<usize>> {
        pieces(text, separators).filter_map(|piece| self.in_parameter(text, piece)).collect()
    }

    fn in_parameter(&self, text: &[u8], piece: Range<usize>) -> Option<Range<usize>> {
        let equals = position(&text[..piece.end], piece.start, b"=");
        let name = Cow::from(percent_decode(&text[piece.start..equals]));
        (equals < piece.end && self.is_secret(&name)).then_some(equals + 1..piece.end)
    }

    /// Finds secrets nested in a parameter with a harmless name: after `;`, which some servers
    /// treat as a separator, or in an encoded URL or JSON. The value is redacted as a whole.
    fn nested_in_parameter(&self, text: &[u8], piece: Range<usize>) -> Option<Range<usize>> {
        let start = piece.start;
        let further = pieces(&text[piece.clone()], b";").skip(1);
        let further = further.map(|part| start + part.start..start + part.end);
        let secret = further.filter_map(|part| self.in_parameter(text, part)).next();
        if let Some(secret) = secret {
            return Some(secret.start..piece.end);
        }
        let equals = position(&text[..piece.end], start, b"=");
        let value = if equals < piece.end { equals + 1 } else { start };
        self.contains_secret(&text[value..piece.end]).then_some(value..piece.end)
    }

    /// Whether a value contains a secret, before or after decoding.
    fn contains_secret(&self, value: &[u8]) -> bool {
        let is_secret = |name: &[u8]| self.is_secret(name);
        let holds = |text: &[u8]| {
            userinfo(text).is_some()
                || !self.in_parameters(text, b"?#&;").is_empty()
                || !json::secrets(text, is_secret).is_empty()
                || self.in_known_formats(text).next().is_some()
        };
        let mut value = Cow::Borrowed(value);
        for _ in 0..MAX_DECODINGS {
            if holds(&value) {
                return true;
            }
            let Cow::Owned(decoded) = Cow::from(percent_decode(&value)) else { return false };
            value = Cow::Owned(decoded);
        }
        holds(&value)
    }

    /// Finds the values of the first `count` cookies: all of them if the header itself is secret,
    /// otherwise those with secret names.
    fn in_cookies(&self, header: &HeaderName, text: &[u8], count: usize) -> Vec<Range<usize>> {
        let all = self.matches(header.as_str());
        pieces(text, b";")
            .take(count)
            .filter_map(|piece| {
                let equals = position(&text[..piece.end], piece.start, b"=");
                let name = text[piece.start..equals].trim_ascii();
                // Without `=`, the text is the value.
                let value = if equals == piece.end { piece.start } else { equals + 1 };
                (all || self.is_secret(name)).then_some(value..piece.end)
            })
            .collect()
    }

    fn is_secret(&self, name: &[u8]) -> bool {
        let known = |part: &[u8]| {
            let added = || self.added.iter().any(|added| folded(part).eq(added.iter().copied()));
            match self.usual {
                UsualNames::Secret => is_usual(part) || added(),
                UsualNames::Unknown => added(),
                UsualNames::Exempt => added() && !is_usual(part),
            }
        };
        known(name) || name.split(|byte| b"[].".contains(byte)).any(|part| !part.is_empty() && known(part))
    }
}

/// The number of times that a value is percent-decoded in search of a secret.
const MAX_DECODINGS: usize = 4;

/// The number of redaction passes. A text that still contains secrets is redacted as a whole.
const MAX_PASSES: usize = 4;

/// The kinds of bodies with named values.
enum BodyKind<'a> {
    Form,
    /// With the complete content type.
    Multipart(&'a str),
    Json,
    Other,
}

impl<'a> BodyKind<'a> {
    fn of(content_type: Option<&'a HeaderValue>) -> Self {
        let Some(content_type) = content_type.and_then(|value| value.to_str().ok()) else {
            return Self::Other;
        };
        let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match essence.as_str() {
            "application/x-www-form-urlencoded" => Self::Form,
            "multipart/form-data" => Self::Multipart(content_type),
            essence if essence.ends_with("json") => Self::Json,
            _ => Self::Other,
        }
    }
}

/// Sorts ranges and merges those that overlap.
fn disjoint(mut ranges: Vec<Range<usize>>) -> Vec<Range<usize>> {
    ranges.sort_unstable_by_key(|range| range.start);
    ranges.dedup_by(|next, last| {
        let overlap = next.start < last.end;
        if overlap {
            last.end = last.end.max(next.end);
        }
        overlap
    });
    ranges
}

/// Redacts `text` until no secret is found. The replacement may join two harmless pieces of a text
/// that can be parsed in several ways.
fn redacted(text: &[u8], find: impl Fn(&[u8]) -> Vec<Range<usize>>) -> Cow<'_, [u8]> {
    let mut text = Cow::Borrowed(text);
    for _ in 0..MAX_PASSES {
        let next = replace(&text, &find(&text), REDACTED);
        if next == text {
            return text;
        }
        text = Cow::Owned(next.into_owned());
    }
    Cow::Borrowed(REDACTED.as_bytes())
}

/// Replaces the ranges in `secrets`, which ascend and do not overlap.
fn replace<'a>(text: &'a [u8], secrets: &[Range<usize>], with: &str) -> Cow<'a, [u8]> {
    if secrets.is_empty() {
        return Cow::Borrowed(text);
    }
    let mut replaced = Vec::with_capacity(text.len());
    let mut at = 0;
    for secret in secrets {
        replaced.extend_from_slice(&text[at..secret.start]);
        replaced.extend_from_slice(with.as_bytes());
        at = secret.end;
    }
    replaced.extend_from_slice(&text[at..]);
    Cow::Owned(replaced)
}

/// The userinfo of a URL. `base` is the URL up to its query.
fn userinfo(base: &[u8]) -> Option<Range<usize>> {
    let start = base.windows(2).position(|pair| pair == b"//")? + 2;
    let authority = &base[start..position(base, start, b"/")];
    let at = authority.iter().rposition(|byte| *byte == b'@')?;
    Some(start..start + at)
}

/// The ranges of the pieces of `text` between `separators`.
fn pieces(text: &[u8], separators: &[u8]) -> impl Iterator<Item = Range<usize>> {
    text.split(|byte| separators.contains(byte)).scan(0, |at, piece| {
        let start = *at;
        *at += piece.len() + 1;
        Some(start..start + piece.len())
    })
}

/// The position of the first of `bytes` in `text`, from `start` on. The end if there is none.
fn position(text: &[u8], start: usize, bytes: &[u8]) -> usize {
    text[start..].iter().position(|byte| bytes.contains(byte)).map_or(text.len(), |found| start + found)
}

fn shifted(secrets: Vec<Range<usize>>, by: usize) -> impl Iterator<Item = Range<usize>> {
    secrets.into_iter().map(move |secret| secret.start + by..secret.end + by)
}

/// Converts redacted bytes of a text back to text.
fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests;
