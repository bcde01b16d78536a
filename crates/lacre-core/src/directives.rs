//! Parsers for `Cache-Control`, `Pragma` and `Age` (RFC 9111 §5.1, §5.2, §5.4).
//!
//! Parsing fails closed: invalid input never extends the life of a response or widens what a
//! request accepts. This module parses; it decides nothing.

use crate::time;
use http::header::{AGE, CACHE_CONTROL, PRAGMA};
use http::{HeaderMap, HeaderName};
use std::time::Duration;

/// The `Cache-Control` directives of a response (RFC 9111 §5.2.2).
///
/// - Names are case-insensitive, field lines are combined, unknown directives are ignored (§5.2.3).
/// - `private="…"` counts as `private`. `no-cache="…"` counts as `no-cache` if the argument is not
///   a list of fields or names a field that describes the body. Both are stricter than required.
/// - The strictest value of a repeated directive counts (§4.2.1). An invalid lifetime is zero.
/// - A field that is not a list of directives counts as `no-store`, because it may forbid storing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ResponseDirectives {
    /// A cache must not store the response (§5.2.2.5).
    pub no_store: bool,
    /// A cache must not use the response without validation (§5.2.2.4).
    pub no_cache: bool,
    /// A cache must not use some fields without validation (§5.2.2.4).
    pub no_cache_fields: bool,
    /// A shared cache must not store the response (§5.2.2.7).
    pub private: bool,
    /// A cache may store the response even if it otherwise could not (§5.2.2.9).
    pub public: bool,
    /// A cache must not use the response once it is stale (§5.2.2.2).
    pub must_revalidate: bool,
    /// A shared cache must not use the response once it is stale (§5.2.2.8).
    pub proxy_revalidate: bool,
    /// A cache stores the response only if it understands the status code. It then ignores
    /// `no_store` (§5.2.2.3).
    pub must_understand: bool,
    /// The response does not change while it is fresh (RFC 8246 §2).
    pub immutable: bool,
    /// An intermediary must not transform the content (§5.2.2.6).
    pub no_transform: bool,
    /// The freshness lifetime (§5.2.2.1).
    pub max_age: Option<Duration>,
    /// The freshness lifetime in a shared cache (§5.2.2.10).
    pub s_maxage: Option<Duration>,
    /// The time after its lifetime in which the response may be used while it is refreshed (RFC
    /// 5861 §3).
    pub stale_while_revalidate: Option<Duration>,
    /// The time after its lifetime in which the response may be used if the origin fails (RFC 5861
    /// §4).
    pub stale_if_error: Option<Duration>,
}

impl ResponseDirectives {
    /// Parses all `Cache-Control` lines of a response.
    pub fn parse(headers: &HeaderMap) -> Self {
        let mut directives = Self::default();
        let mut malformed = false;
        for member in members(headers, &CACHE_CONTROL) {
            let Ok(Member { name, argument }) = member else {
                malformed = true;
                continue;
            };
            match lowercase(name, &mut [0; MAX_NAME_LEN]) {
                b"no-store" => directives.no_store = true,
                b"no-cache" => {
                    let listed =
                        argument.is_some_and(|list| parse_field_list(list).all(|field| field.is_some()));
                    directives.no_cache |= !listed;
                    directives.no_cache_fields |= listed;
                }
                b"private" => directives.private = true,
                b"public" => directives.public = true,
                b"must-revalidate" => directives.must_revalidate = true,
                b"proxy-revalidate" => directives.proxy_revalidate = true,
                b"must-understand" => directives.must_understand = true,
                b"immutable" => directives.immutable = true,
                b"no-transform" => directives.no_transform = true,
                b"max-age" => shorten(&mut directives.max_age, argument),
                b"s-maxage" => shorten(&mut directives.s_maxage, argument),
                b"stale-while-revalidate" => shorten(&mut directives.stale_while_revalidate, argument),
                b"stale-if-error" => shorten(&mut directives.stale_if_error, argument),
                _ => {}
            }
        }
        if malformed {
            directives.no_store = true;
            // `must-understand` would override the line above.
            directives.must_understand = false;
        }
        directives
    }
}

/// The fields in `no-cache="…"` (§5.2.2.4). Call it if
/// [`no_cache_fields`](ResponseDirectives::no_cache_fields) is set.
pub(crate) fn no_cache_fields(headers: &HeaderMap) -> Vec<HeaderName> {
    members(headers, &CACHE_CONTROL)
        .flatten()
        .filter(|member| member.name.eq_ignore_ascii_case(b"no-cache"))
        .filter_map(|member| member.argument)
        .flat_map(parse_field_list)
        .flatten()
        .collect()
}

/// Parses a list of field names. `None` for an invalid name, or a field that describes the body.
fn parse_field_list(list: &[u8]) -> impl Iterator<Item = Option<HeaderName>> {
    list.split(|byte| *byte == b',').map(|name| {
        HeaderName::from_bytes(name.trim_ascii()).ok().filter(|name| !name.as_str().starts_with("content-"))
    })
}

/// The `Cache-Control` directives of a request (RFC 9111 §5.2.1). Unknown directives are ignored. A
/// field that is not a list of directives counts as `no-cache`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RequestDirectives {
    /// The client does not accept a stored response without validation (§5.2.1.4). `Pragma:
    /// no-cache` counts if there is no `Cache-Control` (§5.4).
    pub no_cache: bool,
    /// A cache must not store the response (§5.2.1.5).
    pub no_store: bool,
    /// The client accepts only a stored response, or 504 (§5.2.1.7).
    pub only_if_cached: bool,
    /// The greatest age that the client accepts (§5.2.1.1). Zero if invalid.
    pub max_age: Option<Duration>,
    /// The least remaining freshness that the client accepts (§5.2.1.3). 2³¹ seconds if invalid.
    pub min_fresh: Option<Duration>,
    /// The staleness that the client accepts (§5.2.1.2).
    pub max_stale: Option<MaxStale>,
    /// The staleness that the client accepts if the origin fails (RFC 5861 §4).
    pub stale_if_error: Option<Duration>,
}

/// The staleness that a client accepts (RFC 9111 §5.2.1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum MaxStale {
    /// At most this long. Zero if invalid.
    For(Duration),
    /// Any staleness.
    Any,
}

impl RequestDirectives {
    /// Parses all `Cache-Control` lines of a request, and `Pragma` if there are none.
    pub fn parse(headers: &HeaderMap) -> Self {
        let mut directives = Self::default();
        for member in members(headers, &CACHE_CONTROL) {
            let Ok(Member { name, argument }) = member else {
                directives.no_cache = true;
                continue;
            };
            match lowercase(name, &mut [0; MAX_NAME_LEN]) {
                b"no-cache" => directives.no_cache = true,
                b"no-store" => directives.no_store = true,
                b"only-if-cached" => directives.only_if_cached = true,
                b"max-age" => shorten(&mut directives.max_age, argument),
                b"min-fresh" => {
                    let value = argument.and_then(parse_delta_seconds).unwrap_or(time::MAX_DELTA);
                    directives.min_fresh = directives.min_fresh.max(Some(value));
                }
                b"max-stale" => {
                    let value = match argument {
                        None => MaxStale::Any,
                        Some(text) => MaxStale::For(parse_delta_seconds(text).unwrap_or_default()),
                    };
                    directives.max_stale = Some(directives.max_stale.map_or(value, |other| other.min(value)));
                }
                b"stale-if-error" => shorten(&mut directives.stale_if_error, argument),
                _ => {}
            }
        }
        if !headers.contains_key(CACHE_CONTROL) {
            directives.no_cache = members(headers, &PRAGMA)
                .any(|member| member.is_ok_and(|member| member.name.eq_ignore_ascii_case(b"no-cache")));
        }
        directives
    }
}

/// Parses `Age` (RFC 9111 §5.1): a cache uses the first member of the first line. `None` if it is
/// not a number.
pub(crate) fn age(headers: &HeaderMap) -> Option<Duration> {
    let line = headers.get(AGE)?.as_bytes();
    parse_delta_seconds(line.split(|byte| *byte == b',').next()?.trim_ascii())
}

/// Parses delta-seconds (RFC 9111 §1.2.2): digits only. A number over 2³¹ counts as 2³¹.
fn parse_delta_seconds(text: &[u8]) -> Option<Duration> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let seconds = text
        .iter()
        .fold(0u64, |seconds, digit| seconds.saturating_mul(10).saturating_add(u64::from(digit - b'0')));
    Some(saturated(seconds))
}

/// Converts seconds to a duration of at most 2³¹ seconds.
pub(crate) fn saturated(seconds: u64) -> Duration {
    Duration::from_secs(seconds).min(time::MAX_DELTA)
}

/// Lowers `limit` to `argument`. A missing or invalid argument is zero.
fn shorten(limit: &mut Option<Duration>, argument: Option<&[u8]>) {
    let seconds = argument.and_then(parse_delta_seconds).unwrap_or_default();
    *limit = Some(limit.map_or(seconds, |limit| limit.min(seconds)));
}

/// The length of the longest known directive, `stale-while-revalidate`.
const MAX_NAME_LEN: usize = 22;

/// Returns `name` in lower case, or an empty slice if it is longer than every known directive.
fn lowercase<'b>(name: &[u8], buffer: &'b mut [u8; MAX_NAME_LEN]) -> &'b [u8] {
    let Some(copy) = buffer.get_mut(..name.len()) else {
        return b"";
    };
    copy.copy_from_slice(name);
    copy.make_ascii_lowercase();
    copy
}

/// A list member: `name[=argument]`.
struct Member<'a> {
    name: &'a [u8],
    /// A token, or the content of a quoted string with its backslashes.
    argument: Option<&'a [u8]>,
}

/// A list member with invalid syntax.
struct Malformed;

/// The members of a list field, `#( token [ "=" ( token / quoted-string ) ] )`, from all lines.
fn members<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
) -> impl Iterator<Item = Result<Member<'a>, Malformed>> {
    headers.get_all(name).iter().flat_map(|line| {
        let mut rest = line.as_bytes();
        std::iter::from_fn(move || {
            // RFC 9110 §5.6.1.2: a recipient ignores empty members.
            while let [b',' | b' ' | b'\t', after @ ..] = rest {
                rest = after;
            }
            if rest.is_empty() {
                return None;
            }
            let (text, after) = rest.split_at(member_length(rest));
            rest = after;
            Some(member(text.trim_ascii_end()))
        })
    })
}

/// The length of the first member: up to a comma outside quotes, or to the end of the line.
fn member_length(text: &[u8]) -> usize {
    let mut quoted = false;
    let mut escaped = false;
    for (index, byte) in text.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b',' if !quoted => return index,
            _ => {}
        }
    }
    text.len()
}

fn member(text: &[u8]) -> Result<Member<'_>, Malformed> {
    let (name, argument) = match text.iter().position(|byte| *byte == b'=') {
        None => (text, None),
        Some(equals) => (&text[..equals], Some(&text[equals + 1..])),
    };
    let argument = match argument {
        None => None,
        Some([b'"', inner @ .., b'"']) if is_quotable(inner) => Some(inner),
        Some(token) if is_token(token) => Some(token),
        Some(_) => return Err(Malformed),
    };
    if is_token(name) { Ok(Member { name, argument }) } else { Err(Malformed) }
}

/// Whether `inner` is valid between quotes: no bare quote, and no backslash before the closing one
/// (RFC 9110 §5.6.4).
fn is_quotable(inner: &[u8]) -> bool {
    let mut bytes = inner.iter();
    while let Some(byte) = bytes.next() {
        if *byte == b'"' || (*byte == b'\\' && bytes.next().is_none()) {
            return false;
        }
    }
    true
}

/// Whether `text` is a token (RFC 9110 §5.6.2).
fn is_token(text: &[u8]) -> bool {
    !text.is_empty()
        && text.iter().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte))
}

#[cfg(test)]
pub(crate) mod tests;
