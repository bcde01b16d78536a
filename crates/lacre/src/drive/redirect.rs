//! What follows a redirect (RFC 9110 §15.4): the rules that clients share which follow them above the cache, hop by hop.
//!
//! It never sends a credential to another origin than the one it was meant for.

use http::{HeaderMap, HeaderName, Method, StatusCode, header};
use lacre_core::Redactor;
use std::fmt;
use url::Url;

/// Fields that describe a body which is no longer sent (§15.4).
const OF_THE_BODY: [HeaderName; 6] = [
    header::CONTENT_ENCODING,
    header::CONTENT_LANGUAGE,
    header::CONTENT_LENGTH,
    header::CONTENT_LOCATION,
    header::CONTENT_TYPE,
    header::TRANSFER_ENCODING,
];

/// A request on its way through redirects, as far as they change it.
///
/// 301 and 302 turn POST into GET, 303 turns everything but HEAD into GET, 307 and 308 repeat the request. A hop to another origin loses
/// `Authorization`, `Cookie`, API keys and every other header whose name is that of a credential. No `Referer` is added.
#[derive(Clone)]
pub struct Hop {
    /// How it is asked.
    pub method: Method,
    /// Where.
    pub url: Url,
    /// The caller's headers, as far as they go along.
    pub headers: HeaderMap,
}

/// What becomes of a request's body at a redirect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HopBody {
    /// It is sent again. Where it cannot be, the redirect is not to be followed.
    Repeat,
    /// There is none any more.
    Drop,
}

impl Hop {
    /// How many redirects are followed for one request, unless the client was told another number; the next is [`TooManyRedirects`].
    pub const MOST: usize = 10;

    /// The longest body of a redirect that is worth reading, in bytes: so that it is stored, and its connection used again.
    pub const MOST_BODY: usize = 64 << 10;

    /// Where an answer to this leads, if it is a redirect that can be followed: not where `Location` is missing, or not a URL with `http` or
    /// `https`.
    #[must_use]
    pub fn redirected(mut self, status: StatusCode, answered: &HeaderMap) -> Option<(Self, HopBody)> {
        let body = match (status.as_u16(), &self.method) {
            (301 | 302, &Method::POST) => HopBody::Drop,
            (303, method) if *method != Method::HEAD => HopBody::Drop,
            (301 | 302 | 303 | 307 | 308, _) => HopBody::Repeat,
            _ => return None,
        };
        let target = target(&self.url, answered)?;
        if body == HopBody::Drop {
            self.method = Method::GET;
            for name in &OF_THE_BODY {
                self.headers.remove(name);
            }
        }
        if target.origin() != self.url.origin() {
            remove_what_belongs_to_the_origin(&mut self.headers);
        }
        self.url = target;
        Some((self, body))
    }
}

/// Without what may be secret.
impl fmt::Debug for Hop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hop").field("method", &self.method).finish_non_exhaustive()
    }
}

/// A chain of redirects was longer than the client follows, which is likely a loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooManyRedirects {
    at_most: usize,
}

impl TooManyRedirects {
    /// The error of a client that follows so many.
    #[must_use]
    pub const fn after(at_most: usize) -> Self {
        Self { at_most }
    }
}

impl fmt::Display for TooManyRedirects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let most = self.at_most;
        write!(
            f,
            "more than {most} redirects: ask for the address they should end at, or tell the origin of the loop"
        )
    }
}

impl std::error::Error for TooManyRedirects {}

fn remove_what_belongs_to_the_origin(headers: &mut HeaderMap) {
    let secret = Redactor::default();
    let names = headers.keys().filter(|name| **name == header::HOST || secret.is_credential(name.as_str()));
    for name in names.cloned().collect::<Vec<HeaderName>>() {
        headers.remove(name);
    }
}

/// Where `Location` leads to from `base` (RFC 9110 §10.2.2).
fn target(base: &Url, headers: &HeaderMap) -> Option<Url> {
    let location = std::str::from_utf8(headers.get(header::LOCATION)?.as_bytes()).ok()?;
    let mut target = base.join(location).ok()?;
    if !matches!(target.scheme(), "http" | "https") {
        return None;
    }
    // A redirect neither passes on the credentials of the last URL nor brings any.
    target.set_username("").and_then(|()| target.set_password(None)).ok()?;
    if target.fragment().is_none() {
        target.set_fragment(base.fragment());
    }
    Some(target)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn hop(method: Method, url: &str, headers: &[(&'static str, &'static str)]) -> Hop {
        let headers = headers
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect();
        Hop { method, url: url.parse().unwrap(), headers }
    }

    fn redirected(hop: Hop, status: u16, location: &str) -> Option<(Hop, HopBody)> {
        let answered = HeaderMap::from_iter([(header::LOCATION, location.parse().unwrap())]);
        hop.redirected(StatusCode::from_u16(status).unwrap(), &answered)
    }

    #[test]
    fn the_method_and_the_body_change_as_the_rfc_says() {
        for (status, before, after) in [
            (301, Method::POST, Some((Method::GET, HopBody::Drop))),
            (302, Method::POST, Some((Method::GET, HopBody::Drop))),
            (302, Method::PUT, Some((Method::PUT, HopBody::Repeat))),
            (303, Method::PUT, Some((Method::GET, HopBody::Drop))),
            (303, Method::HEAD, Some((Method::HEAD, HopBody::Repeat))),
            (307, Method::POST, Some((Method::POST, HopBody::Repeat))),
            (308, Method::DELETE, Some((Method::DELETE, HopBody::Repeat))),
            (300, Method::GET, None),
            (304, Method::GET, None),
            (200, Method::GET, None),
        ] {
            let asked = hop(before.clone(), "http://a/", &[("content-type", "text/plain")]);
            let found = redirected(asked, status, "/b").map(|(next, body)| {
                let described = next.headers.contains_key("content-type");
                assert_eq!(described, body == HopBody::Repeat, "{status} {before}");
                assert_eq!(next.url.as_str(), "http://a/b");
                (next.method, body)
            });
            assert_eq!(found, after, "{status} {before}");
        }
    }

    #[test]
    fn a_hop_to_another_origin_takes_no_credential_along() {
        let headers = [
            ("authorization", "Bearer 1"),
            ("cookie", "a=1"),
            ("proxy-authorization", "Basic 1"),
            ("x-api-key", "1"),
            ("host", "a"),
            ("accept", "text/html"),
        ];
        let along = |location: &str| {
            let (next, _) = redirected(hop(Method::GET, "https://a/", &headers), 302, location).unwrap();
            next.headers.keys().map(|name| name.as_str().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(along("https://a:443/b").len(), headers.len());
        for elsewhere in ["https://b/", "http://a/", "https://a:8443/", "//b/"] {
            assert_eq!(along(elsewhere), ["accept"], "{elsewhere}");
        }
    }

    #[test]
    fn a_location_is_resolved_and_brings_no_credentials() {
        for (base, location, expected) in [
            ("http://a/b/c?d#e", "f", Some("http://a/b/f#e")),
            ("http://a/b/c?d#e", "/f#g", Some("http://a/f#g")),
            ("http://a/b/c?d", "?x", Some("http://a/b/c?x")),
            ("http://a/b", "//c/d", Some("http://c/d")),
            ("http://u:p@a/b", "/c", Some("http://a/c")),
            ("http://a/b", "http://u:p@c/", Some("http://c/")),
            ("http://a/b", "ftp://c/", None),
            ("http://a/b", "javascript:void(0)", None),
            ("http://a/b", "http://", None),
        ] {
            let next = redirected(hop(Method::GET, base, &[]), 302, location);
            let found = next.as_ref().map(|(next, _)| next.url.as_str());
            assert_eq!(found, expected, "{base} + {location}");
        }
        let nowhere = hop(Method::GET, "http://a/", &[]).redirected(StatusCode::FOUND, &HeaderMap::new());
        assert!(nowhere.is_none());
    }
}
