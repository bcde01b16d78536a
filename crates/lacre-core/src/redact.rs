//! Taking secrets out of requests and responses by the names they go under.
//!
//! What is redacted is for people, or stands for "any value" where the user wants one ignored; it must never tell
//! requests apart. All that is not secret stays byte for byte. The work is linear in the input, without recursion.

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

/// What stands in place of a redacted value.
pub(crate) const REDACTED: &str = "REDACTED";

/// A set of names whose values are secret.
///
/// Names compare without regard to case, `-` and `_`: `X-API-Key`, `x_api_key` and `xApiKey` are one. In a name with
/// brackets or dots, such as `user[password]`, each part counts.
#[derive(Clone, Debug)]
pub struct Redactor {
    usual: Usual,
    added: Vec<Vec<u8>>,
}

/// What the usual names of secrets are to a redactor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Usual {
    /// Secret; and so is what looks like a secret under any name.
    Secret,
    /// Nothing special.
    Unknown,
    /// Spared, even where they were added.
    Spared,
}

impl Default for Redactor {
    /// The usual names of secrets.
    fn default() -> Self {
        Self { usual: Usual::Secret, added: Vec::new() }
    }
}

impl Redactor {
    /// No name at all.
    pub fn none() -> Self {
        Self { usual: Usual::Unknown, added: Vec::new() }
    }

    /// No name at all, and never one of the usual.
    pub(crate) fn sparing_the_usual() -> Self {
        Self { usual: Usual::Spared, added: Vec::new() }
    }

    /// From now on, names that were added count, whichever they are.
    pub(crate) fn spare_none(&mut self) {
        self.usual = Usual::Unknown;
    }

    /// Adds a name.
    pub fn add(&mut self, name: &str) {
        self.added.push(folded(name.as_bytes()).collect());
    }

    /// Whether values under `name` are secret.
    pub fn matches(&self, name: &str) -> bool {
        self.is_secret(name.as_bytes())
    }

    /// Whether a header of this name tells who asks: one of the listed names of credentials and identities, not one that was added. An
    /// identity is no secret.
    pub fn is_credential(&self, name: &str) -> bool {
        self.usual == Usual::Secret && (names_secret_header(name) || names_identity(name))
    }

    /// Whether the values of a header of this name are secret.
    fn matches_header(&self, name: &str) -> bool {
        self.matches(name) || (self.usual == Usual::Secret && names_secret_header(name))
    }

    /// A URL without userinfo, without the secrets in its query, fragment and path parameters, also where they are parameters of a
    /// parameter, and without what looks like a secret.
    pub fn url(&self, url: &str) -> String {
        text(&redacted(url.as_bytes(), |url| self.in_url(url)))
    }

    /// A query, without its `?`, without the secrets in it.
    pub fn query<'a>(&self, query: &'a str) -> Cow<'a, str> {
        match replace(query.as_bytes(), &self.in_parameters(query.as_bytes(), b"&"), REDACTED) {
            Cow::Borrowed(_) => Cow::Borrowed(query),
            redacted => Cow::Owned(text(&redacted)),
        }
    }

    /// Headers without secrets: in values, in cookies, in URLs such as those of `Location`, `Refresh`, `Referer` and `Link`. Names and
    /// the order of repeated fields stay.
    pub fn headers(&self, headers: &HeaderMap) -> HeaderMap {
        let value = |name, value: &HeaderValue| {
            HeaderValue::from_bytes(&redacted(value.as_bytes(), |value| self.in_header(name, value)))
                .unwrap_or_else(|_| HeaderValue::from_static(REDACTED))
        };
        headers.iter().map(|(name, of)| (name.clone(), value(name, of))).collect()
    }

    /// A body without secrets: a form, JSON at any depth, or multipart, as `content_type` says; any other is unchanged.
    pub fn body<'a>(&self, content_type: Option<&HeaderValue>, body: &'a [u8]) -> Cow<'a, [u8]> {
        let with =
            if matches!(BodyKind::of(content_type), BodyKind::Json) { "\"REDACTED\"" } else { REDACTED };
        replace(body, &self.in_body(content_type, body), with)
    }

    /// Whether [`url`](Self::url) takes something away.
    pub(crate) fn finds_in_url(&self, url: &str) -> bool {
        !self.in_url(url.as_bytes()).is_empty()
    }

    /// Whether [`headers`](Self::headers) takes something away.
    pub(crate) fn finds_in_headers(&self, headers: &HeaderMap) -> bool {
        headers.iter().any(|(name, value)| !self.in_header(name, value.as_bytes()).is_empty())
    }

    /// Whether a body that these headers describe may hold a secret: it does, or one cannot tell.
    pub(crate) fn suspects_body(&self, headers: &HeaderMap, body: &[u8]) -> bool {
        let content_type = headers.get(header::CONTENT_TYPE);
        let transparent = matches!(BodyKind::of(content_type), BodyKind::Form | BodyKind::Json)
            && !headers.contains_key(header::CONTENT_ENCODING);
        !body.is_empty() && (!transparent || !self.in_body(content_type, body).is_empty())
    }

    /// The values under secret names in a query, in order.
    pub(crate) fn secrets_of_query<'a>(&self, query: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.in_parameters(query.as_bytes(), b"&").into_iter().map(|secret| &query.as_bytes()[secret])
    }

    /// The values under secret names in a body, in order.
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
            // What follows the first pair are attributes.
            header::SET_COOKIE => self.in_cookies(name, bytes, 1),
            _ if self.matches_header(name.as_str()) => std::iter::once(0..bytes.len()).collect(),
            header::LINK => self.in_links(bytes),
            _ => [self.in_url(bytes), json::secrets(bytes, |name| self.is_secret(name))].concat(),
        };
        secrets.extend(self.in_disguise(bytes));
        disjoint(secrets)
    }

    /// A URL, or any text that may hold one.
    pub(crate) fn in_url(&self, url: &[u8]) -> Vec<Range<usize>> {
        let base = position(url, 0, b"?#");
        let mut secrets: Vec<_> = userinfo(&url[..base]).into_iter().collect();
        secrets.extend(self.in_path(&url[..base]));
        // A fragment may hold parameters, and so may a URL that is the value of one.
        let parameters = pieces(&url[base..], b"?#&").map(|piece| piece.start + base..piece.end + base);
        secrets.extend(parameters.filter_map(|piece| {
            self.in_parameter(url, piece.clone()).or_else(|| self.within_parameter(url, piece))
        }));
        secrets.extend(self.in_disguise(url));
        disjoint(secrets)
    }

    /// What looks like a secret, whatever its name.
    fn in_disguise(&self, text: &[u8]) -> impl Iterator<Item = Range<usize>> {
        let text = if self.usual == Usual::Secret { text } else { b"" };
        find_formats(text).map(|(_, place)| place)
    }

    /// Parameters of a path's segments: `/a;token=b`. A segment in which a secret is percent-encoded goes as a whole.
    fn in_path(&self, path: &[u8]) -> Vec<Range<usize>> {
        let mut secrets = self.in_path_parameters(path);
        secrets.extend(pieces(path, b"/").filter(|segment| self.is_encoded(&path[segment.clone()])));
        secrets
    }

    fn in_path_parameters(&self, path: &[u8]) -> Vec<Range<usize>> {
        let parameters = pieces(path, b"/;").filter(|piece| piece.start > 0 && path[piece.start - 1] == b';');
        parameters.filter_map(|piece| self.in_parameter(path, piece)).collect()
    }

    /// Whether a segment of a path holds a secret once it is decoded.
    fn is_encoded(&self, segment: &[u8]) -> bool {
        let mut segment = Cow::Borrowed(segment);
        for _ in 0..MAX_DECODINGS {
            let Cow::Owned(decoded) = Cow::from(percent_decode(&segment)) else { return false };
            segment = Cow::Owned(decoded);
            if !self.in_path_parameters(&segment).is_empty() || self.in_disguise(&segment).next().is_some() {
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

    /// `name=value` pairs between `separators`; names may be percent-encoded.
    fn in_parameters(&self, text: &[u8], separators: &[u8]) -> Vec<Range<usize>> {
        pieces(text, separators).filter_map(|piece| self.in_parameter(text, piece)).collect()
    }

    fn in_parameter(&self, text: &[u8], piece: Range<usize>) -> Option<Range<usize>> {
        let equals = position(&text[..piece.end], piece.start, b"=");
        let name = Cow::from(percent_decode(&text[piece.start..equals]));
        (equals < piece.end && self.is_secret(&name)).then_some(equals + 1..piece.end)
    }

    /// A parameter whose own name is harmless may hold others: after `;`, which separates for some servers, or in an encoded URL or
    /// JSON. What holds a secret goes as a whole.
    fn within_parameter(&self, text: &[u8], piece: Range<usize>) -> Option<Range<usize>> {
        let start = piece.start;
        let further = pieces(&text[piece.clone()], b";").skip(1);
        let further = further.map(|part| start + part.start..start + part.end);
        let secret = further.filter_map(|part| self.in_parameter(text, part)).next();
        if let Some(secret) = secret {
            return Some(secret.start..piece.end);
        }
        let equals = position(&text[..piece.end], start, b"=");
        let value = if equals < piece.end { equals + 1 } else { start };
        self.is_wrapped(&text[value..piece.end]).then_some(value..piece.end)
    }

    /// Whether a value holds a secret, as it is or once it is decoded.
    fn is_wrapped(&self, value: &[u8]) -> bool {
        let is_secret = |name: &[u8]| self.is_secret(name);
        let holds = |text: &[u8]| {
            userinfo(text).is_some()
                || !self.in_parameters(text, b"?#&;").is_empty()
                || !json::secrets(text, is_secret).is_empty()
                || self.in_disguise(text).next().is_some()
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

    /// The values of the first `count` cookies: all where the header itself is secret, else those of secret names.
    fn in_cookies(&self, header: &HeaderName, text: &[u8], count: usize) -> Vec<Range<usize>> {
        let all = self.matches(header.as_str());
        pieces(text, b";")
            .take(count)
            .filter_map(|piece| {
                let equals = position(&text[..piece.end], piece.start, b"=");
                let name = text[piece.start..equals].trim_ascii();
                // Without a name, the whole is the value.
                let value = if equals == piece.end { piece.start } else { equals + 1 };
                (all || self.is_secret(name)).then_some(value..piece.end)
            })
            .collect()
    }

    fn is_secret(&self, name: &[u8]) -> bool {
        let known = |part: &[u8]| {
            let added = || self.added.iter().any(|added| folded(part).eq(added.iter().copied()));
            match self.usual {
                Usual::Secret => is_usual(part) || added(),
                Usual::Unknown => added(),
                Usual::Spared => added() && !is_usual(part),
            }
        };
        known(name) || name.split(|byte| b"[].".contains(byte)).any(|part| !part.is_empty() && known(part))
    }
}

/// How often a value is decoded in search of a secret in it.
const MAX_DECODINGS: usize = 4;

/// How often a text is searched for secrets; one that has still more goes as a whole.
const MAX_PASSES: usize = 4;

/// In what kind of body names have values.
enum BodyKind<'a> {
    Form,
    /// With the whole content type.
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

/// The same places in order, those that overlap as one.
fn disjoint(mut places: Vec<Range<usize>>) -> Vec<Range<usize>> {
    places.sort_unstable_by_key(|place| place.start);
    places.dedup_by(|next, last| {
        let overlap = next.start < last.end;
        if overlap {
            last.end = last.end.max(next.end);
        }
        overlap
    });
    places
}

/// `text` without the secrets that are found in it, also when it is searched again: what stands for a secret may join two harmless pieces
/// of a text that is read in several ways at once.
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

/// `text` with each of `secrets`, which ascend and do not overlap, replaced.
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

/// Where the userinfo of a URL lies, given what comes before its query.
fn userinfo(base: &[u8]) -> Option<Range<usize>> {
    let start = base.windows(2).position(|pair| pair == b"//")? + 2;
    let authority = &base[start..position(base, start, b"/")];
    let at = authority.iter().rposition(|byte| *byte == b'@')?;
    Some(start..start + at)
}

/// Where the pieces of `text` between `separators` lie.
fn pieces(text: &[u8], separators: &[u8]) -> impl Iterator<Item = Range<usize>> {
    text.split(|byte| separators.contains(byte)).scan(0, |at, piece| {
        let start = *at;
        *at += piece.len() + 1;
        Some(start..start + piece.len())
    })
}

/// Where in `text`, from `start` on, the first of `bytes` is; its end where there is none.
fn position(text: &[u8], start: usize, bytes: &[u8]) -> usize {
    text[start..].iter().position(|byte| bytes.contains(byte)).map_or(text.len(), |found| start + found)
}

fn shifted(secrets: Vec<Range<usize>>, by: usize) -> impl Iterator<Item = Range<usize>> {
    secrets.into_iter().map(move |secret| secret.start + by..secret.end + by)
}

/// The text that is left when ASCII has replaced parts of a text.
fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests;
