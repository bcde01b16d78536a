//! What `Cache-Control`, `Pragma` and `Age` say (RFC 9111 §5.1, §5.2, §5.4).
//!
//! Reading fails closed: what cannot be understood never makes a response live longer or a request accept more.
//! It never decides anything; the rules do.

use crate::time;
use http::header::{AGE, CACHE_CONTROL, PRAGMA};
use http::{HeaderMap, HeaderName};
use std::time::Duration;

/// What a response's `Cache-Control` says (RFC 9111 §5.2.2).
///
/// - Names are case-insensitive, field lines are combined, unknown directives are ignored.
/// - `private` with a list of fields counts as without one, and so does `no-cache` with what is no list of fields, or with fields
///   that a body cannot do without: stricter than asked, never laxer.
/// - A repeated directive counts with its strictest value (§4.2.1); a lifetime that is not a number is zero.
/// - Text that is not a list of directives counts as `no-store`: it cannot be known what it forbids.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ResponseDirectives {
    /// Do not store (§5.2.2.5).
    pub no_store: bool,
    /// Do not use without validation (§5.2.2.4).
    pub no_cache: bool,
    /// Do not use some of the fields without validation (§5.2.2.4).
    pub no_cache_fields: bool,
    /// Not for a shared cache (§5.2.2.7).
    pub private: bool,
    /// Storable where it otherwise would not be (§5.2.2.9).
    pub public: bool,
    /// Never use stale (§5.2.2.2).
    pub must_revalidate: bool,
    /// Never use stale in a shared cache (§5.2.2.8).
    pub proxy_revalidate: bool,
    /// Store only where the status code is understood; then `no_store` is void (§5.2.2.3).
    pub must_understand: bool,
    /// Will not change while fresh (RFC 8246 §2).
    pub immutable: bool,
    /// Pass the content on unchanged (§5.2.2.6).
    pub no_transform: bool,
    /// The lifetime (§5.2.2.1).
    pub max_age: Option<Duration>,
    /// The lifetime in a shared cache (§5.2.2.10).
    pub s_maxage: Option<Duration>,
    /// How long after its lifetime it may be used while being refreshed (RFC 5861 §3).
    pub stale_while_revalidate: Option<Duration>,
    /// How long after its lifetime it may stand in for an error (RFC 5861 §4).
    pub stale_if_error: Option<Duration>,
}

impl ResponseDirectives {
    /// Reads all `Cache-Control` lines of a response.
    pub fn parse(headers: &HeaderMap) -> Self {
        let mut said = Self::default();
        let mut malformed = false;
        for member in members(headers, &CACHE_CONTROL) {
            let Ok(Member { name, argument }) = member else {
                malformed = true;
                continue;
            };
            match lowercase(name, &mut [0; LONGEST]) {
                b"no-store" => said.no_store = true,
                b"no-cache" => {
                    let listed = argument.is_some_and(|list| withholdable(list).all(|field| field.is_some()));
                    said.no_cache |= !listed;
                    said.no_cache_fields |= listed;
                }
                b"private" => said.private = true,
                b"public" => said.public = true,
                b"must-revalidate" => said.must_revalidate = true,
                b"proxy-revalidate" => said.proxy_revalidate = true,
                b"must-understand" => said.must_understand = true,
                b"immutable" => said.immutable = true,
                b"no-transform" => said.no_transform = true,
                b"max-age" => shorten(&mut said.max_age, argument),
                b"s-maxage" => shorten(&mut said.s_maxage, argument),
                b"stale-while-revalidate" => shorten(&mut said.stale_while_revalidate, argument),
                b"stale-if-error" => shorten(&mut said.stale_if_error, argument),
                _ => {}
            }
        }
        if malformed {
            said.no_store = true;
            // It would void the line above.
            said.must_understand = false;
        }
        said
    }
}

/// The fields that are not to be used without validation (§5.2.2.4), where
/// [`no_cache_fields`](ResponseDirectives::no_cache_fields) says that there are some.
pub(crate) fn no_cache_fields(headers: &HeaderMap) -> Vec<HeaderName> {
    members(headers, &CACHE_CONTROL)
        .flatten()
        .filter(|member| member.name.eq_ignore_ascii_case(b"no-cache"))
        .filter_map(|member| member.argument)
        .flat_map(withholdable)
        .flatten()
        .collect()
}

/// The members of a list of field names; `None` for what is no name, or one of a field that tells how to read the body.
fn withholdable(list: &[u8]) -> impl Iterator<Item = Option<HeaderName>> {
    list.split(|byte| *byte == b',').map(|name| {
        HeaderName::from_bytes(name.trim_ascii()).ok().filter(|name| !name.as_str().starts_with("content-"))
    })
}

/// What a request's `Cache-Control` says (RFC 9111 §5.2.1). Unknown directives are ignored; text that is not a list of
/// directives counts as `no-cache`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RequestDirectives {
    /// Do not answer without validation (§5.2.1.4); also `Pragma: no-cache` where there is no `Cache-Control` (§5.4).
    pub no_cache: bool,
    /// Do not store (§5.2.1.5).
    pub no_store: bool,
    /// Answer from the cache or with 504 (§5.2.1.7).
    pub only_if_cached: bool,
    /// The greatest age accepted (§5.2.1.1); zero where it is not a number.
    pub max_age: Option<Duration>,
    /// The least remaining freshness accepted (§5.2.1.3); 2³¹ seconds where it is not a number.
    pub min_fresh: Option<Duration>,
    /// How stale a response may be (§5.2.1.2).
    pub max_stale: Option<MaxStale>,
    /// How stale a response may be in place of an error (RFC 5861 §4).
    pub stale_if_error: Option<Duration>,
}

/// How stale a response a request accepts (RFC 9111 §5.2.1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum MaxStale {
    /// Stale by at most this long; zero where it is not a number.
    For(Duration),
    /// However stale.
    Any,
}

impl RequestDirectives {
    /// Reads all `Cache-Control` lines of a request, and `Pragma` where there are none.
    pub fn parse(headers: &HeaderMap) -> Self {
        let mut said = Self::default();
        for member in members(headers, &CACHE_CONTROL) {
            let Ok(Member { name, argument }) = member else {
                said.no_cache = true;
                continue;
            };
            match lowercase(name, &mut [0; LONGEST]) {
                b"no-cache" => said.no_cache = true,
                b"no-store" => said.no_store = true,
                b"only-if-cached" => said.only_if_cached = true,
                b"max-age" => shorten(&mut said.max_age, argument),
                b"min-fresh" => {
                    let asked = argument.and_then(parse_delta_seconds).unwrap_or(time::LONGEST);
                    said.min_fresh = said.min_fresh.max(Some(asked));
                }
                b"max-stale" => {
                    let asked = match argument {
                        None => MaxStale::Any,
                        Some(text) => MaxStale::For(parse_delta_seconds(text).unwrap_or_default()),
                    };
                    said.max_stale = Some(said.max_stale.map_or(asked, |other| other.min(asked)));
                }
                b"stale-if-error" => shorten(&mut said.stale_if_error, argument),
                _ => {}
            }
        }
        if !headers.contains_key(CACHE_CONTROL) {
            said.no_cache = members(headers, &PRAGMA)
                .any(|member| member.is_ok_and(|member| member.name.eq_ignore_ascii_case(b"no-cache")));
        }
        said
    }
}

/// What `Age` says (RFC 9111 §5.1): the first member of the first line; `None` where that is not a number.
pub(crate) fn age(headers: &HeaderMap) -> Option<Duration> {
    let line = headers.get(AGE)?.as_bytes();
    parse_delta_seconds(line.split(|byte| *byte == b',').next()?.trim_ascii())
}

/// Reads delta-seconds (RFC 9111 §1.2.2): digits and nothing else. A number over 2³¹ counts as 2³¹.
fn parse_delta_seconds(text: &[u8]) -> Option<Duration> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let seconds = text
        .iter()
        .fold(0u64, |seconds, digit| seconds.saturating_mul(10).saturating_add(u64::from(digit - b'0')));
    Some(saturated(seconds))
}

/// So many seconds, or 2³¹ where they are more.
pub(crate) fn saturated(seconds: u64) -> Duration {
    Duration::from_secs(seconds).min(time::LONGEST)
}

/// Lowers `limit` to what `argument` says; a missing or malformed argument is zero.
fn shorten(limit: &mut Option<Duration>, argument: Option<&[u8]>) {
    let said = argument.and_then(parse_delta_seconds).unwrap_or_default();
    *limit = Some(limit.map_or(said, |limit| limit.min(said)));
}

/// The length of the longest name above, `stale-while-revalidate`.
const LONGEST: usize = 22;

/// `name` in lower case; empty, which is no directive, where it is longer than any that is known.
fn lowercase<'b>(name: &[u8], buffer: &'b mut [u8; LONGEST]) -> &'b [u8] {
    let Some(copy) = buffer.get_mut(..name.len()) else {
        return b"";
    };
    copy.copy_from_slice(name);
    copy.make_ascii_lowercase();
    copy
}

/// One `name[=argument]` of a list.
struct Member<'a> {
    name: &'a [u8],
    /// A token, or what stands between the quotes of a quoted string, with its backslashes.
    argument: Option<&'a [u8]>,
}

/// Something between two commas that is no [`Member`].
struct Malformed;

/// The members of all lines of a list-valued field, `#( token [ "=" ( token / quoted-string ) ] )`, in order.
fn members<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
) -> impl Iterator<Item = Result<Member<'a>, Malformed>> {
    headers.get_all(name).iter().flat_map(|line| {
        let mut rest = line.as_bytes();
        std::iter::from_fn(move || {
            // Empty members are allowed (RFC 9110 §5.6.1.2).
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

/// Where the first member ends: at a comma outside quotes, or at the end of the line.
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

/// Whether `inner` may stand between quotes: no bare quote, nothing escaped by the closing one (RFC 9110 §5.6.4).
fn is_quotable(inner: &[u8]) -> bool {
    let mut bytes = inner.iter();
    while let Some(byte) = bytes.next() {
        if *byte == b'"' || (*byte == b'\\' && bytes.next().is_none()) {
            return false;
        }
    }
    true
}

/// A token (RFC 9110 §5.6.2).
fn is_token(text: &[u8]) -> bool {
    !text.is_empty()
        && text.iter().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte))
}

#[cfg(test)]
pub(crate) mod tests;
