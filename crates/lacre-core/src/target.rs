//! The target URI of a request (RFC 9110 §7.1): its URL, with the authority from `Host`.

use http::uri::{Authority, PathAndQuery, Scheme};
use http::{Uri, header, request};

/// The target URI of a request and the origin that it is sent to.
pub(crate) struct Target {
    /// The target URI. Keys, entries and URL rules use it, and relative references are resolved
    /// against it.
    pub(crate) uri: Uri,
    /// The origin that the request is sent to, if `Host` names another one.
    pub(crate) sent_to: Option<String>,
}

/// Returns the target URI of a request: its URL, with the authority from `Host` if that differs.
///
/// Returns `None` if the request does not name exactly one valid host: it has neither an authority
/// nor `Host`, several `Host` fields, or one that is empty, malformed or contains userinfo. Such a
/// request cannot be looked up.
pub fn target_uri(request: &request::Parts) -> Option<Uri> {
    Target::of(request).map(|target| target.uri)
}

impl Target {
    pub(crate) fn of(request: &request::Parts) -> Option<Self> {
        let uri = &request.uri;
        let mut fields = request.headers.get_all(header::HOST).iter();
        let field = match (fields.next(), fields.next()) {
            (None, _) => None,
            (Some(host), None) => Some(authority(host.as_bytes())?),
            (Some(_), Some(_)) => return None,
        };
        match (field, uri.authority()) {
            (None, None) => None,
            (None, Some(own)) if own.host().is_empty() => None,
            (None, Some(_)) => Some(Self { uri: uri.clone(), sent_to: None }),
            (Some(host), None) => Some(Self { uri: with_authority(uri, host)?, sent_to: None }),
            (Some(host), Some(own)) => {
                let host = match own.as_str().rsplit_once('@') {
                    Some((userinfo, _)) => Authority::try_from(format!("{userinfo}@{host}")).ok()?,
                    None => host,
                };
                let target = with_authority(uri, host)?;
                let sent_to = origin(uri);
                if sent_to == origin(&target) {
                    return Some(Self { uri: uri.clone(), sent_to: None });
                }
                Some(Self { uri: target, sent_to: Some(sent_to) })
            }
        }
    }

    /// Another target on the same connection.
    pub(crate) fn with_uri(&self, uri: Uri) -> Self {
        Self { uri, sent_to: self.sent_to.clone() }
    }

    pub(crate) fn is_https(&self) -> bool {
        self.uri.scheme() == Some(&Scheme::HTTPS)
    }

    /// The target of a request that is not looked up.
    pub(crate) fn unknown(uri: &Uri) -> Self {
        Self { uri: uri.clone(), sent_to: None }
    }
}

/// Parses `Host` (RFC 9110 §7.2): a host and an optional port, no userinfo.
fn authority(host: &[u8]) -> Option<Authority> {
    let authority = Authority::try_from(host.trim_ascii()).ok()?;
    let text = authority.as_str();
    let after = text.get(authority.host().len()..)?;
    let port = after.is_empty() || after == ":" || authority.port_u16().is_some();
    (port && !authority.host().is_empty() && !text.contains('@')).then_some(authority)
}

/// Replaces the authority of a URL. The scheme defaults to http, as in requests that a server
/// receives.
fn with_authority(uri: &Uri, authority: Authority) -> Option<Uri> {
    let mut parts = uri.clone().into_parts();
    parts.scheme.get_or_insert(Scheme::HTTP);
    parts.path_and_query.get_or_insert(PathAndQuery::from_static("/"));
    parts.authority = Some(authority);
    Uri::from_parts(parts).ok()
}

/// The origin of a URI: `scheme://host[:port]`, lower case, without userinfo and default port
/// (RFC 9110 §4.2.3, §4.3.1).
pub(crate) fn origin(uri: &Uri) -> String {
    let scheme = uri.scheme_str().unwrap_or("http");
    let mut origin = [scheme, "://", uri.host().unwrap_or("")].concat();
    origin.make_ascii_lowercase();
    match uri.port_u16() {
        None => {}
        Some(80) if scheme.eq_ignore_ascii_case("http") => {}
        Some(443) if scheme.eq_ignore_ascii_case("https") => {}
        Some(port) => origin.push_str(&format!(":{port}")),
    }
    origin
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;

    fn target(uri: &str, hosts: &[&str]) -> Option<(String, Option<String>)> {
        let request = hosts.iter().fold(Request::get(uri), |request, host| request.header("host", *host));
        let target = Target::of(&request.body(()).unwrap().into_parts().0)?;
        Some((target.uri.to_string(), target.sent_to))
    }

    #[test]
    fn target_uri_has_the_authority_of_host() {
        let plain = |uri: &str| Some((uri.to_owned(), None));
        let sent_to = |uri: &str, to: &str| Some((uri.to_owned(), Some(to.to_owned())));
        for (uri, hosts, expected) in [
            ("http://a/p?q", &[][..], plain("http://a/p?q")),
            ("http://a/p", &["a"], plain("http://a/p")),
            ("http://a/p", &["A:80"], plain("http://a/p")),
            ("http://a:80/p", &["a"], plain("http://a:80/p")),
            ("https://a/p", &["a:80"], sent_to("https://a:80/p", "https://a")),
            ("http://a:81/p?q", &["b"], sent_to("http://b/p?q", "http://a:81")),
            ("http://u:p@a/", &["b:81"], sent_to("http://u:p@b:81/", "http://a")),
            ("http://[::1]:81/", &["[::2]"], sent_to("http://[::2]/", "http://[::1]:81")),
            ("/p?q", &["a:81"], plain("http://a:81/p?q")),
        ] {
            assert_eq!(target(uri, hosts), expected, "{uri} {hosts:?}");
        }
    }

    #[test]
    fn target_uri_requires_exactly_one_valid_host() {
        assert_eq!(target("/p", &[]), None);
        for hosts in [
            &["a", "a"][..],
            &[""],
            &[":80"],
            &["u@a"],
            &["u:p@a"],
            &["a b"],
            &["a/b"],
            &["a:x"],
            &["a:99999"],
        ] {
            assert_eq!(target("http://a/", hosts), None, "{hosts:?}");
            assert_eq!(target("/", hosts), None, "{hosts:?}");
        }
    }
}
