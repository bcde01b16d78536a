//! What a request is for: the URL that it is cached under and sent to.

use crate::serve::failure::Fault;
use http::uri::{Authority, Scheme};
use http::{HeaderMap, HeaderValue, Method, Uri, Version, header, request};
use std::fmt;
use std::net::IpAddr;

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

    /// The URL that a request is for.
    pub(crate) fn target(&self, head: &request::Parts) -> Result<Uri, Fault> {
        let host = named_host(head)?;
        if head.method == Method::CONNECT {
            return Err(Fault::NoTunnels);
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

    /// Tells the origin whom a request is from and what it was for, as reverse proxies do. What clients say themselves about their host
    /// and scheme is not believed; of addresses, each proxy adds one.
    pub(crate) fn introduce(&self, headers: &mut HeaderMap, host: Option<HeaderValue>, peer: IpAddr) {
        let Self::Reverse(..) = self else { return };
        for name in
            ["forwarded", "x-forwarded-host", "x-forwarded-port", "x-forwarded-prefix", "x-forwarded-scheme"]
        {
            headers.remove(name);
        }
        headers.insert("x-forwarded-proto", HeaderValue::from_static("http"));
        if let Some(host) = host {
            headers.insert("x-forwarded-host", host);
        }
        if let Ok(peer) = HeaderValue::try_from(peer.to_string()) {
            headers.append("x-forwarded-for", peer);
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

/// The host that a request names: in its URL, or else in its one Host field (RFC 9112 §3.2).
fn named_host(head: &request::Parts) -> Result<Option<Authority>, Fault> {
    let mut fields = head.headers.get_all(header::HOST).iter();
    let field = match (fields.next(), fields.next()) {
        (Some(host), None) => Some(Authority::try_from(host.as_bytes()).map_err(|_| Fault::BadRequest)?),
        (None, None) if head.version != Version::HTTP_11 => None,
        _ => return Err(Fault::BadRequest),
    };
    Ok(head.uri.authority().cloned().or(field))
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
        for hosts in [&[][..], &["a.test", "b.test"], &["a test"]] {
            let request = hosts.iter().fold(Request::get("/"), |request, host| request.header("host", *host));
            assert!(matches!(reverse().target(&head(request)), Err(Fault::BadRequest)), "{hosts:?}");
        }
        assert!(reverse().target(&head(Request::get("/").version(Version::HTTP_10))).is_ok());
    }

    #[test]
    fn what_a_client_says_of_its_host_is_replaced() {
        let mut headers = head(
            Request::get("/")
                .header("x-forwarded-host", "evil.test")
                .header("forwarded", "host=evil.test")
                .header("x-forwarded-for", "192.0.2.1"),
        )
        .headers;
        let host = HeaderValue::from_static("front.test");
        reverse().introduce(&mut headers, Some(host), IpAddr::from([127, 0, 0, 1]));
        assert_eq!(headers["x-forwarded-host"], "front.test");
        assert!(!headers.contains_key("forwarded"));
        let addresses: Vec<_> = headers.get_all("x-forwarded-for").iter().collect();
        assert_eq!(addresses, ["192.0.2.1", "127.0.0.1"]);
    }
}
