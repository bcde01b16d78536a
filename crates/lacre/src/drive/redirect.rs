//! Following redirects (RFC 9110 §15.4): the rules for clients that follow them above the cache, so
//! that each hop is cached. Credentials for one origin are never sent to another.

use http::{HeaderMap, HeaderName, Method, StatusCode, header};
use std::fmt;
use url::Url;

/// Fields that describe a request body (§15.4). They go when the body does.
const BODY_FIELDS: [HeaderName; 6] = [
    header::CONTENT_ENCODING,
    header::CONTENT_LANGUAGE,
    header::CONTENT_LENGTH,
    header::CONTENT_LOCATION,
    header::CONTENT_TYPE,
    header::TRANSFER_ENCODING,
];

/// Fields that any origin may see: they select a response, and say nothing about the requester.
/// Conditions refer to the response at the end of the last chain of redirects.
const CROSS_ORIGIN_FIELDS: [HeaderName; 17] = [
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

/// The parts of a request that a redirect changes.
///
/// 301 and 302 turn POST into GET, 303 turns every method but HEAD into GET, 307 and 308 repeat the
/// request. `Location` is resolved against the target URI, whose authority is the caller's `Host`
/// if there is one. A hop within the origin keeps its connection and all headers.
///
/// A hop to another origin keeps only these headers: `Accept`, `Accept-Charset`, `Accept-Encoding`,
/// `Accept-Language`, `Cache-Control`, `DNT`, `Pragma`, `Priority`, `Range`, conditions such as
/// `If-None-Match`, `Save-Data`, `Upgrade-Insecure-Requests`, `User-Agent`, and the fields of a
/// body that is sent again. Every other header of the caller was meant for the first origin. No
/// `Referer` is added.
#[derive(Clone)]
pub struct Hop {
    /// The method.
    pub method: Method,
    /// The URL.
    pub url: Url,
    /// The caller's headers that this hop may have.
    pub headers: HeaderMap,
}

/// The fate of a request's body at a redirect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HopBody {
    /// Sent again. If it cannot be, the redirect must not be followed.
    Repeat,
    /// Dropped.
    Drop,
}

impl Hop {
    /// The default limit of redirects for one request. The next one is [`TooManyRedirects`].
    pub const DEFAULT_LIMIT: usize = 10;

    /// The longest body of a redirect that is read, in bytes. Reading it stores the redirect, and
    /// frees its connection for reuse.
    pub const MAX_BODY: usize = 64 << 10;

    /// The next hop, if a response to this one is a redirect to an `http` or `https` URL.
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
            for name in &BODY_FIELDS {
                self.headers.remove(name);
            }
        }
        if target.origin() == self.url.origin() && base.origin() == self.url.origin() {
            self.url = target;
        } else if target.origin() == base.origin() {
            // The connection stays, even if `Host` names another host.
            self.url.set_path(target.path());
            self.url.set_query(target.query());
            self.url.set_fragment(target.fragment());
            self.url.set_username("").and_then(|()| self.url.set_password(None)).ok()?;
        } else {
            remove_origin_headers(&mut self.headers, body);
            self.url = target;
        }
        Some((self, body))
    }
}

/// Leaves out the URL and the headers, which may contain secrets.
impl fmt::Debug for Hop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hop").field("method", &self.method).finish_non_exhaustive()
    }
}

/// The error of a chain of redirects that is longer than the client follows, which is likely a
/// loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooManyRedirects {
    at_most: usize,
}

impl TooManyRedirects {
    /// The error of a client with this limit.
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
            "more than {most} redirects, probably a loop: request the final URL, or raise the limit of redirects"
        )
    }
}

impl std::error::Error for TooManyRedirects {}

fn remove_origin_headers(headers: &mut HeaderMap, body: HopBody) {
    let is_allowed = |name: &HeaderName| {
        CROSS_ORIGIN_FIELDS.contains(name) || (body == HopBody::Repeat && BODY_FIELDS.contains(name))
    };
    let names: Vec<HeaderName> = headers.keys().filter(|name| !is_allowed(name)).cloned().collect();
    for name in names {
        headers.remove(name);
    }
}

/// The target URI of a request (RFC 9110 §7.1): the URL with the authority of `Host`. `None`:
/// `Host` is invalid.
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

/// The target of `Location`, resolved against `base` (RFC 9110 §10.2.2).
fn target(base: &Url, headers: &HeaderMap) -> Option<Url> {
    let location = std::str::from_utf8(headers.get(header::LOCATION)?.as_bytes()).ok()?;
    let mut target = base.join(location).ok()?;
    if !matches!(target.scheme(), "http" | "https") {
        return None;
    }
    // A redirect neither keeps the credentials of the last URL nor brings its own.
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
    fn a_redirect_changes_method_and_body_by_its_status() {
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
