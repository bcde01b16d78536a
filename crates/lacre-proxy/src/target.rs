//! [`Route`]: where requests go, and the target URI of a request, which is also its cache key.

use crate::origin::Origin;
use crate::request_error::RequestError;
use http::uri::{Authority, Scheme};
use http::{HeaderMap, Method, Uri, Version, header, request};
use std::fmt;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs, UdpSocket};

/// Where requests go.
#[derive(Clone, Debug)]
pub enum Route {
    /// A reverse proxy: all requests go to this origin, whatever host they name.
    Reverse(Origin),
    /// A forward proxy: each request goes to the host that it names (RFC 9110 §3.7).
    Forward,
}

impl Route {
    /// Whether the upstream is the listener on `address`, so that the proxy would send requests to
    /// itself.
    pub(crate) fn leads_to(&self, address: SocketAddr) -> bool {
        let Self::Reverse(upstream) = self else { return false };
        let port = upstream.port();
        if port != address.port() {
            return false;
        }
        let host = upstream.authority.host().trim_start_matches('[').trim_end_matches(']');
        // A name that cannot be resolved now may lead here later. Via detects that loop.
        let addresses = (host, port).to_socket_addrs().into_iter().flatten();
        addresses.into_iter().any(|origin| reaches(origin.ip().to_canonical(), address.ip().to_canonical()))
    }

    /// The target URI of a request (RFC 9110 §7.1).
    pub(crate) fn target(&self, head: &request::Parts) -> Result<Uri, RequestError> {
        let host = named_host(&head.uri, head.version, &head.headers)?;
        if head.method == Method::CONNECT {
            return Err(RequestError::ConnectMethod);
        }
        // RFC 9112 §3.2.4: the asterisk-form is for OPTIONS only.
        if head.uri.path() == "*" && head.method != Method::OPTIONS {
            return Err(RequestError::BadRequest);
        }
        let (scheme, authority) = match self {
            Self::Reverse(upstream) => (upstream.scheme.clone(), upstream.authority.clone()),
            Self::Forward => match (head.uri.scheme(), host) {
                (Some(scheme), Some(host)) if *scheme == Scheme::HTTP => (scheme.clone(), host),
                _ => return Err(RequestError::NotHttpUrl),
            },
        };
        let mut parts = head.uri.clone().into_parts();
        (parts.scheme, parts.authority) = (Some(scheme), Some(authority));
        Uri::from_parts(parts).map_err(|_| RequestError::BadRequest)
    }

    /// The upstream of a reverse proxy.
    pub(crate) fn upstream(&self) -> Option<&Origin> {
        match self {
            Self::Reverse(upstream) => Some(upstream),
            Self::Forward => None,
        }
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reverse(upstream) => write!(f, "{upstream}"),
            Self::Forward => f.write_str("any http origin"),
        }
    }
}

/// Whether a connection to `origin` ends at a listener on `listening`, on this machine.
fn reaches(origin: IpAddr, listening: IpAddr) -> bool {
    let on_all_addresses = listening.is_unspecified() && (listening.is_ipv6() || origin.is_ipv4());
    if origin.is_unspecified() {
        return on_all_addresses || listening.is_loopback();
    }
    // Only an address of this machine can be bound.
    origin == listening || (on_all_addresses && UdpSocket::bind((origin, 0)).is_ok())
}

/// The host that a request asks for, without userinfo. `None` if it names none or is malformed.
pub(crate) fn requested_host(url: &Uri, version: Version, headers: &HeaderMap) -> Option<Authority> {
    let named = named_host(url, version, headers).ok()??;
    match named.as_str().rsplit_once('@') {
        Some((_, host)) => host.parse().ok(),
        None => Some(named),
    }
}

/// The host that a request names: in its URL, or else in its single `Host` field (RFC 9112 §3.2).
fn named_host(url: &Uri, version: Version, headers: &HeaderMap) -> Result<Option<Authority>, RequestError> {
    let mut fields = headers.get_all(header::HOST).iter();
    let field = match (fields.next(), fields.next()) {
        // RFC 9110 §7.2: `Host` is a host and a port, without userinfo.
        (Some(host), None) if !host.as_bytes().contains(&b'@') => {
            Some(Authority::try_from(host.as_bytes()).map_err(|_| RequestError::BadRequest)?)
        }
        (None, None) if version != Version::HTTP_11 => None,
        _ => return Err(RequestError::BadRequest),
    };
    match (url.authority(), field) {
        // RFC 9113 §8.3.1: in HTTP/2, `Host` must agree with the URL. In HTTP/1.1, the URL counts.
        (Some(authority), Some(field)) if version == Version::HTTP_2 && *authority != field => {
            Err(RequestError::BadRequest)
        }
        (authority, field) => Ok(authority.cloned().or(field)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;

    fn head(request: request::Builder) -> request::Parts {
        request.body(()).unwrap().into_parts().0
    }

    fn reverse() -> Route {
        Route::Reverse("http://origin.test:81".parse().unwrap())
    }

    #[test]
    fn an_upstream_that_is_the_proxy_itself_is_detected() {
        for (upstream, listen, is_proxy) in [
            ("http://127.0.0.1:9111", "127.0.0.1:9111", true),
            ("http://localhost:9111", "127.0.0.1:9111", true),
            ("http://127.0.0.1:9111", "0.0.0.0:9111", true),
            ("http://127.0.0.1:9111", "[::]:9111", true),
            ("http://[::1]:9111", "[::1]:9111", true),
            ("http://[::ffff:127.0.0.1]:9111", "127.0.0.1:9111", true),
            ("http://0.0.0.0:9111", "127.0.0.1:9111", true),
            ("http://127.0.0.1", "127.0.0.1:80", true),
            ("https://127.0.0.1", "127.0.0.1:443", true),
            ("http://127.0.0.1:9112", "127.0.0.1:9111", false),
            ("http://127.0.0.2:9111", "127.0.0.1:9111", false),
            ("http://192.0.2.1:9111", "0.0.0.0:9111", false),
            ("http://127.0.0.1:9111", "127.0.0.1:0", false),
        ] {
            let route = Route::Reverse(upstream.parse().unwrap());
            assert_eq!(route.leads_to(listen.parse().unwrap()), is_proxy, "{upstream} {listen}");
        }
        assert!(!Route::Forward.leads_to("127.0.0.1:9111".parse().unwrap()));
    }

    #[test]
    fn a_reverse_proxy_sends_all_requests_to_its_upstream() {
        for target in ["/p?q=1", "http://elsewhere.test/p?q=1"] {
            let request = head(Request::get(target).header("host", "front.test"));
            assert_eq!(reverse().target(&request).unwrap(), "http://origin.test:81/p?q=1");
        }
    }

    #[test]
    fn a_forward_proxy_accepts_http_urls_only() {
        let target =
            |target: &str| Route::Forward.target(&head(Request::get(target).header("host", "x.test")));
        assert_eq!(target("http://a.test/p").unwrap(), "http://a.test/p");
        for refused in ["/p", "https://a.test/p"] {
            assert!(matches!(target(refused), Err(RequestError::NotHttpUrl)), "{refused}");
        }
    }

    #[test]
    fn a_request_without_exactly_one_host_is_refused() {
        for hosts in [&[][..], &["a.test", "b.test"], &["a test"], &["user@a.test"], &[""], &["a.test/p"]] {
            let request = hosts.iter().fold(Request::get("/"), |request, host| request.header("host", *host));
            assert!(matches!(reverse().target(&head(request)), Err(RequestError::BadRequest)), "{hosts:?}");
        }
        assert!(reverse().target(&head(Request::get("/").version(Version::HTTP_10))).is_ok());
    }

    #[test]
    fn the_host_of_the_url_takes_precedence_over_the_host_field() {
        for (url, version, host) in [
            ("/p", Version::HTTP_11, Some("field.test")),
            ("http://url.test:81/p", Version::HTTP_11, Some("url.test:81")),
            ("http://user:secret@url.test/p", Version::HTTP_11, Some("url.test")),
            ("http://FIELD.test/p", Version::HTTP_2, Some("FIELD.test")),
            ("http://url.test/p", Version::HTTP_2, None),
        ] {
            let head = head(Request::get(url).version(version).header("host", "field.test"));
            assert_eq!(reverse().target(&head).is_ok(), host.is_some(), "{url} {version:?}");
            if let Some(host) = host {
                assert_eq!(requested_host(&head.uri, version, &head.headers).unwrap(), host, "{url}");
            }
        }
    }
}
