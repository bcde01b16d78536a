//! The target URI of a request (RFC 9110 §7.1): its URL, with the authority that the request sends in `Host`.

use crate::key;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{Uri, header, request};

/// What a request is for, and where it goes.
pub(crate) struct Target {
    /// The target URI: rows are named after it, entries and URL rules show it, and what it names is resolved against it.
    pub(crate) uri: Uri,
    /// The origin that the request goes to, where `Host` names another one.
    pub(crate) sent_to: Option<String>,
}

/// The target URI of a request: its URL, or, where it has a `Host` field that names another host, the URL with that authority.
///
/// `None` where the request does not name exactly one host that can be read: it has neither an authority nor `Host`, has `Host` twice, or has one
/// that is empty, malformed, or holds userinfo. Such a request cannot be looked up.
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
                let sent_to = key::origin(uri);
                if sent_to == key::origin(&target) {
                    return Some(Self { uri: uri.clone(), sent_to: None });
                }
                Some(Self { uri: target, sent_to: Some(sent_to) })
            }
        }
    }

    /// Another target on the same way.
    pub(crate) fn beside(&self, uri: Uri) -> Self {
        Self { uri, sent_to: self.sent_to.clone() }
    }

    pub(crate) fn is_https(&self) -> bool {
        self.uri.scheme() == Some(&Scheme::HTTPS)
    }

    /// For a request that is not looked up, whatever it names.
    pub(crate) fn unknown(uri: &Uri) -> Self {
        Self { uri: uri.clone(), sent_to: None }
    }
}

/// What a `Host` field says (RFC 9110 §7.2): a host and perhaps a port, no userinfo.
fn authority(host: &[u8]) -> Option<Authority> {
    let authority = Authority::try_from(host.trim_ascii()).ok()?;
    let text = authority.as_str();
    let after = text.get(authority.host().len()..)?;
    let port = after.is_empty() || after == ":" || authority.port_u16().is_some();
    (port && !authority.host().is_empty() && !text.contains('@')).then_some(authority)
}

/// A URL with another authority. Without a scheme, it is one of http, as a server receives it.
fn with_authority(uri: &Uri, authority: Authority) -> Option<Uri> {
    let mut parts = uri.clone().into_parts();
    parts.scheme.get_or_insert(Scheme::HTTP);
    parts.path_and_query.get_or_insert(PathAndQuery::from_static("/"));
    parts.authority = Some(authority);
    Uri::from_parts(parts).ok()
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
    fn the_target_has_the_authority_that_is_sent() {
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
    fn without_exactly_one_host_that_can_be_read_there_is_no_target() {
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
