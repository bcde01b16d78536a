//! What follows a redirect (RFC 9110 §15.4): the rules that clients share which follow them above the cache, hop by hop.
//!
//! It never sends what was meant for one origin to another.

use http::{HeaderMap, HeaderName, Method, StatusCode, header};
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

/// Fields that say which answer is wanted, and nothing about who wants it: these go along to another origin. A validator is about the last
/// response that a chain of redirects led to. A body that is sent again keeps what describes it, too.
const FOR_ANY_ORIGIN: [HeaderName; 17] = [
    header::ACCEPT,
    header::ACCEPT_CHARSET,
    header::ACCEPT_ENCODING,
    header::ACCEPT_LANGUAGE,
    header::CACHE_CONTROL,
    header::DNT,
    header::IF_MATCH,
    header::IF_MODIFIED_SINCE,
    header::IF_NONE_MATCH,
    header::IF_RANGE,
    header::IF_UNMODIFIED_SINCE,
    header::PRAGMA,
    header::RANGE,
    header::UPGRADE_INSECURE_REQUESTS,
    header::USER_AGENT,
    HeaderName::from_static("priority"),
    HeaderName::from_static("save-data"),
];

/// A request on its way through redirects, as far as they change it.
///
/// 301 and 302 turn POST into GET, 303 turns everything but HEAD into GET, 307 and 308 repeat the request. `Location` is resolved against the
/// target URI, whose authority is that of `Host` where the caller gave one: what stays on its origin stays on the connection, with all headers.
///
/// A hop to another origin takes only these headers along: `Accept`, `Accept-Charset`, `Accept-Encoding`, `Accept-Language`, `Cache-Control`, `DNT`,
/// `Pragma`, `Priority`, `Range`, conditions such as `If-None-Match`, `Save-Data`, `Upgrade-Insecure-Requests`, `User-Agent`, and those that
/// describe a body that is sent again. Whatever else the caller added, under whatever name, was meant for the first origin. No `Referer` is
/// added.
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
        let base = target_of(&self.url, &self.headers)?;
        let target = target(&base, answered)?;
        if body == HopBody::Drop {
            self.method = Method::GET;
            for name in &OF_THE_BODY {
                self.headers.remove(name);
            }
        }
        if target.origin() == self.url.origin() && base.origin() == self.url.origin() {
            self.url = target;
        } else if target.origin() == base.origin() {
            // The connection stays, also where `Host` names another host.
            self.url.set_path(target.path());
            self.url.set_query(target.query());
            self.url.set_fragment(target.fragment());
            self.url.set_username("").and_then(|()| self.url.set_password(None)).ok()?;
        } else {
            remove_what_belongs_to_the_origin(&mut self.headers, body);
            self.url = target;
        }
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

fn remove_what_belongs_to_the_origin(headers: &mut HeaderMap, body: HopBody) {
    let goes_along = |name: &HeaderName| {
        FOR_ANY_ORIGIN.contains(name) || (body == HopBody::Repeat && OF_THE_BODY.contains(name))
    };
    let names: Vec<HeaderName> = headers.keys().filter(|name| !goes_along(name)).cloned().collect();
    for name in names {
        headers.remove(name);
    }
}

/// The target URI of a request (RFC 9110 §7.1): the URL, with the authority of `Host`. A `Host` that cannot be read has none.
fn target_of(url: &Url, headers: &HeaderMap) -> Option<Url> {
    if !headers.contains_key(header::HOST) {
        return Some(url.clone());
    }
    let (mut request, ()) = http::Request::new(()).into_parts();
    request.uri = url.as_str().parse().ok()?;
    request.headers.extend(headers.get_all(header::HOST).iter().map(|host| (header::HOST, host.clone())));
    let mut target = Url::parse(&lacre_core::target_uri(&request)?.to_string()).ok()?;
    target.set_fragment(url.fragment());
    Some(target)
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
    use std::collections::BTreeSet;

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
    fn a_hop_to_another_origin_takes_only_what_any_origin_may_see() {
        let headers = [
            ("authorization", "Bearer 1"),
            ("cookie", "a=1"),
            ("proxy-authorization", "Basic 1"),
            ("x-api-key", "1"),
            ("x-tenant-id", "1"),
            ("x-whatever", "1"),
            ("referer", "https://a/?token=1"),
            ("origin", "https://a"),
            ("if-none-match", "\"1\""),
            ("content-type", "text/plain"),
            ("host", "a"),
            ("accept", "text/html"),
            ("user-agent", "lacre"),
            ("range", "bytes=0-"),
        ];
        let along = |status: u16, location: &str| {
            let (next, _) = redirected(hop(Method::POST, "https://a/", &headers), status, location).unwrap();
            next.headers.keys().map(|name| name.as_str().to_owned()).collect::<BTreeSet<_>>()
        };
        assert_eq!(along(307, "https://a:443/b").len(), headers.len());
        for elsewhere in ["https://b/", "http://a/", "https://a:8443/", "//b/"] {
            let mut expected =
                BTreeSet::from(["accept", "if-none-match", "range", "user-agent"].map(str::to_owned));
            assert_eq!(along(302, elsewhere), expected, "{elsewhere}");
            expected.insert("content-type".to_owned());
            assert_eq!(along(307, elsewhere), expected, "{elsewhere}");
        }
    }

    #[test]
    fn a_location_is_resolved_against_the_target_uri() {
        let headers = [("host", "virtual.example"), ("x-api-key", "1")];
        for (location, url, along) in [
            ("/b", "http://127.0.0.1:81/b", 2),
            ("http://virtual.example/b?c#d", "http://127.0.0.1:81/b?c#d", 2),
            ("http://127.0.0.1:81/b", "http://127.0.0.1:81/b", 0),
            ("https://virtual.example/b", "https://virtual.example/b", 0),
            ("//other.example/", "http://other.example/", 0),
        ] {
            let (next, _) =
                redirected(hop(Method::GET, "http://127.0.0.1:81/a", &headers), 302, location).unwrap();
            assert_eq!((next.url.as_str(), next.headers.len()), (url, along), "{location}");
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
