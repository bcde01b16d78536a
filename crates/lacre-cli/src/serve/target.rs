//! What a request is for: the URL that it is cached under and sent to.

use crate::serve::failure::Fault;
use crate::serve::rewrite::Origin;
use http::uri::{Authority, Scheme};
use http::{HeaderMap, Method, Uri, Version, header, request};
use std::fmt;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs, UdpSocket};

/// Where requests go.
#[derive(Clone, Debug)]
pub(crate) enum Route {
    /// To this origin, whatever host they name.
    Reverse(Scheme, Authority),
    /// To the host they name (RFC 9110 §3.7: a proxy chosen by the client).
    Forward,
}

impl Route {
    /// A reverse proxy's, where `upstream` is an origin.
    pub(crate) fn to(upstream: &Uri) -> Option<Self> {
        let (scheme, authority) = (upstream.scheme()?, upstream.authority()?);
        let plain = upstream.path() == "/" && upstream.query().is_none() && !authority.as_str().contains('@');
        let known = *scheme == Scheme::HTTP || *scheme == Scheme::HTTPS;
        (plain && known).then(|| Self::Reverse(scheme.clone(), authority.clone()))
    }

    /// Whether the origin is whoever listens on `address`, so that a proxy there would ask itself.
    pub(crate) fn leads_to(&self, address: SocketAddr) -> bool {
        let Self::Reverse(scheme, authority) = self else { return false };
        let default = if *scheme == Scheme::HTTPS { 443 } else { 80 };
        let port = authority.port_u16().unwrap_or(default);
        if port != address.port() {
            return false;
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        // A name that is not known now may be later: then Via shows a loop.
        let origins = (host, port).to_socket_addrs().into_iter().flatten();
        origins.into_iter().any(|origin| reaches(origin.ip().to_canonical(), address.ip().to_canonical()))
    }

    /// The URL that a request is for.
    pub(crate) fn target(&self, head: &request::Parts) -> Result<Uri, Fault> {
        let host = named_host(&head.uri, head.version, &head.headers)?;
        if head.method == Method::CONNECT {
            return Err(Fault::NoTunnels);
        }
        // RFC 9112 §3.2.4
        if head.uri.path() == "*" && head.method != Method::OPTIONS {
            return Err(Fault::BadRequest);
        }
        let (scheme, authority) = match self {
            Self::Reverse(scheme, authority) => (scheme.clone(), authority.clone()),
            Self::Forward => match (head.uri.scheme(), host) {
                (Some(scheme), Some(host)) if *scheme == Scheme::HTTP => (scheme.clone(), host),
                _ => return Err(Fault::NotForUs),
            },
        };
        let mut parts = head.uri.clone().into_parts();
        (parts.scheme, parts.authority) = (Some(scheme), Some(authority));
        Uri::from_parts(parts).map_err(|_| Fault::BadRequest)
    }

    /// The one origin that requests go to, of a reverse proxy.
    pub(crate) fn upstream(&self) -> Option<Origin> {
        match self {
            Self::Reverse(scheme, authority) => Some((scheme.clone(), authority.clone())),
            Self::Forward => None,
        }
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reverse(scheme, authority) => write!(f, "{scheme}://{authority}"),
            Self::Forward => f.write_str("any http origin"),
        }
    }
}

/// Whether a connection to `origin` ends at whoever listens on `listening`, on this machine.
fn reaches(origin: IpAddr, listening: IpAddr) -> bool {
    let everywhere = listening.is_unspecified() && (listening.is_ipv6() || origin.is_ipv4());
    if origin.is_unspecified() {
        return everywhere || listening.is_loopback();
    }
    // Only an address of this machine can be listened on.
    origin == listening || (everywhere && UdpSocket::bind((origin, 0)).is_ok())
}

/// The host that a request is for, without a user; `None`: it names none, or makes no sense.
pub(crate) fn asked_host(url: &Uri, version: Version, headers: &HeaderMap) -> Option<Authority> {
    let named = named_host(url, version, headers).ok()??;
    match named.as_str().rsplit_once('@') {
        Some((_, host)) => host.parse().ok(),
        None => Some(named),
    }
}

/// The host that a request names: in its URL, or else in its one Host field (RFC 9112 §3.2).
fn named_host(url: &Uri, version: Version, headers: &HeaderMap) -> Result<Option<Authority>, Fault> {
    let mut fields = headers.get_all(header::HOST).iter();
    let field = match (fields.next(), fields.next()) {
        // §7.2 of RFC 9110: a host and a port, without a user.
        (Some(host), None) if !host.as_bytes().contains(&b'@') => {
            Some(Authority::try_from(host.as_bytes()).map_err(|_| Fault::BadRequest)?)
        }
        (None, None) if version != Version::HTTP_11 => None,
        _ => return Err(Fault::BadRequest),
    };
    match (url.authority(), field) {
        // RFC 9113 §8.3.1: in HTTP/2, two names are an error; in HTTP/1.1, that of the URL counts.
        (Some(authority), Some(field)) if version == Version::HTTP_2 && *authority != field => {
            Err(Fault::BadRequest)
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
        Route::to(&Uri::from_static("http://origin.test:81")).unwrap()
    }

    #[test]
    fn only_an_origin_is_an_upstream() {
        for wrong in [
            "/path",
            "origin.test:80",
            "http://a.test/path",
            "http://a.test/?q",
            "http://u:p@a.test",
            "ftp://a.test",
        ] {
            assert!(Route::to(&Uri::from_static(wrong)).is_none(), "{wrong}");
        }
    }

    #[test]
    fn an_origin_that_is_the_proxy_itself_is_known() {
        for (upstream, listen, same) in [
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
            let route = Route::to(&Uri::from_static(upstream)).unwrap();
            assert_eq!(route.leads_to(listen.parse().unwrap()), same, "{upstream} {listen}");
        }
        assert!(!Route::Forward.leads_to("127.0.0.1:9111".parse().unwrap()));
    }

    #[test]
    fn a_reverse_proxy_sends_everything_to_its_origin() {
        for target in ["/p?q=1", "http://elsewhere.test/p?q=1"] {
            let request = head(Request::get(target).header("host", "front.test"));
            assert_eq!(reverse().target(&request).unwrap(), "http://origin.test:81/p?q=1");
        }
    }

    #[test]
    fn a_forward_proxy_goes_where_the_url_says_and_only_by_plain_http() {
        let target =
            |target: &str| Route::Forward.target(&head(Request::get(target).header("host", "x.test")));
        assert_eq!(target("http://a.test/p").unwrap(), "http://a.test/p");
        for refused in ["/p", "https://a.test/p"] {
            assert!(matches!(target(refused), Err(Fault::NotForUs)), "{refused}");
        }
    }

    #[test]
    fn a_request_without_exactly_one_host_is_refused() {
        for hosts in [&[][..], &["a.test", "b.test"], &["a test"], &["user@a.test"], &[""], &["a.test/p"]] {
            let request = hosts.iter().fold(Request::get("/"), |request, host| request.header("host", *host));
            assert!(matches!(reverse().target(&head(request)), Err(Fault::BadRequest)), "{hosts:?}");
        }
        assert!(reverse().target(&head(Request::get("/").version(Version::HTTP_10))).is_ok());
    }

    #[test]
    fn the_host_of_the_url_comes_before_that_of_the_field() {
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
                assert_eq!(asked_host(&head.uri, version, &head.headers).unwrap(), host, "{url}");
            }
        }
    }
}
