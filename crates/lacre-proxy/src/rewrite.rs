//! Rewrites the responses of a reverse proxy to the origin that the client used
//! (decision 23).
//!
//! URLs of the upstream in `Location`, `Content-Location` and `Refresh`, and its domain in cookies,
//! become those of the client. Stored responses stay as the origin sent them.

use crate::origin::Origin;
use http::uri::Authority;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use std::net::IpAddr;

const REFRESH: HeaderName = HeaderName::from_static("refresh");

/// Replaces the upstream by the origin that the client asked for. If that is unknown, URLs become
/// paths.
pub(crate) fn to_client(headers: &mut HeaderMap, upstream: &Origin, client: Option<&Origin>) {
    for name in [header::LOCATION, header::CONTENT_LOCATION] {
        map_values(headers, &name, |value| rewrite_url(value, upstream, client));
    }
    map_values(headers, &REFRESH, |value| rewrite_refresh(value, upstream, client));
    map_values(headers, &header::SET_COOKIE, |value| {
        rewrite_cookie(value, upstream.authority.host(), client)
    });
}

/// Replaces each value of a field by the result of `rewrite`. `None` keeps the value.
fn map_values(headers: &mut HeaderMap, name: &HeaderName, rewrite: impl Fn(&str) -> Option<String>) {
    if let header::Entry::Occupied(mut values) = headers.entry(name) {
        for value in values.iter_mut() {
            let rewritten = value.to_str().ok().and_then(&rewrite);
            if let Some(rewritten) = rewritten.and_then(|text| HeaderValue::try_from(text).ok()) {
                *value = rewritten;
            }
        }
    }
}

/// Rewrites a URL of the upstream. `None` if the value is not an absolute URL of the upstream.
fn rewrite_url(value: &str, upstream: &Origin, client: Option<&Origin>) -> Option<String> {
    let (scheme_part, rest) = value.split_once("//")?;
    let end = rest.find(['/', '?', '#', '\\']).unwrap_or(rest.len());
    let (authority, rest) = rest.split_at(end);
    let scheme = match scheme_part.strip_suffix(':') {
        Some(scheme) => scheme.to_ascii_lowercase().parse().ok()?,
        None if scheme_part.is_empty() => upstream.scheme.clone(),
        None => return None,
    };
    let authority: Authority = authority.parse().ok()?;
    if authority.as_str().contains('@') || !(Origin { scheme, authority }).is_same(upstream) {
        return None;
    }
    Some(match client {
        Some(client) if scheme_part.is_empty() => format!("//{}{rest}", client.authority),
        Some(client) => format!("{client}{rest}"),
        None if rest.starts_with('/') => rest.to_owned(),
        None => format!("/{rest}"),
    })
}

/// Rewrites the URL of a `Refresh` field, such as `0; url=http://origin.example/`.
fn rewrite_refresh(value: &str, upstream: &Origin, client: Option<&Origin>) -> Option<String> {
    let at = value.to_ascii_lowercase().find("url=")? + "url=".len();
    let (before, target) = value.split_at(at);
    let quote = target.chars().next().filter(|c| matches!(c, '"' | '\''));
    let url = quote.map_or(target, |quote| target.trim_matches(quote));
    let quote = quote.map(String::from).unwrap_or_default();
    Some(format!("{before}{quote}{}{quote}", rewrite_url(url, upstream, client)?))
}

/// Rewrites the `Domain` attribute of a cookie. `None` if it has none, or another domain than the
/// upstream's.
fn rewrite_cookie(value: &str, upstream: &str, client: Option<&Origin>) -> Option<String> {
    let is_upstream_domain = |attribute: &str| {
        attribute.split_once('=').is_some_and(|(name, domain)| {
            let domain = domain.trim();
            let domain = domain.strip_prefix('.').unwrap_or(domain);
            name.trim().eq_ignore_ascii_case("domain") && domain.eq_ignore_ascii_case(upstream)
        })
    };
    let mut attributes = value.split(';');
    let mut rewritten = attributes.next()?.to_owned();
    let mut found = false;
    for attribute in attributes {
        if !is_upstream_domain(attribute) {
            rewritten.push(';');
            rewritten.push_str(attribute);
            continue;
        }
        found = true;
        let host = client.map(|client| client.authority.host()).filter(|host| is_domain_name(host));
        if let Some(host) = host {
            rewritten.push_str("; Domain=");
            rewritten.push_str(host);
        }
    }
    found.then_some(rewritten)
}

/// Whether cookies may have a domain of this name: it is neither an address nor a single label.
fn is_domain_name(host: &str) -> bool {
    host.contains('.') && !host.starts_with('[') && host.parse::<IpAddr>().is_err()
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::uri::Scheme;

    fn origin(scheme: Scheme, authority: &'static str) -> Origin {
        Origin { scheme, authority: Authority::from_static(authority) }
    }

    fn rewritten(name: HeaderName, value: &str, client: Option<&Origin>) -> String {
        let mut headers = HeaderMap::from_iter([(name.clone(), value.parse().unwrap())]);
        to_client(&mut headers, &origin(Scheme::HTTP, "origin.test"), client);
        headers[name].to_str().unwrap().to_owned()
    }

    #[test]
    fn a_url_of_the_upstream_becomes_one_of_the_client() {
        let client = origin(Scheme::HTTPS, "shop.test:8443");
        for (value, expected) in [
            ("http://origin.test/a?b#c", "https://shop.test:8443/a?b#c"),
            ("HTTP://Origin.test:80", "https://shop.test:8443"),
            ("//origin.test/a", "//shop.test:8443/a"),
            ("http://origin.test?a", "https://shop.test:8443?a"),
            ("/a", "/a"),
            ("a//origin.test/", "a//origin.test/"),
            ("https://origin.test/a", "https://origin.test/a"),
            ("http://origin.test:81/a", "http://origin.test:81/a"),
            ("http://origin.test.evil.test/a", "http://origin.test.evil.test/a"),
            ("http://user@origin.test/a", "http://user@origin.test/a"),
            ("http://elsewhere.test/?http://origin.test/", "http://elsewhere.test/?http://origin.test/"),
        ] {
            for name in [header::LOCATION, header::CONTENT_LOCATION] {
                assert_eq!(rewritten(name, value, Some(&client)), expected);
            }
        }
        assert_eq!(
            rewritten(REFRESH, "0; URL='http://origin.test/a'", Some(&client)),
            "0; URL='https://shop.test:8443/a'"
        );
        assert_eq!(rewritten(header::LOCATION, "http://origin.test?a", None), "/?a");
        assert_eq!(rewritten(header::LINK, "<http://origin.test/>", Some(&client)), "<http://origin.test/>");
    }

    #[test]
    fn a_cookie_for_the_domain_of_the_upstream_is_for_that_of_the_client() {
        let value = "a=Domain=origin.test; Path=/; domain=.Origin.test; Secure";
        for (client, expected) in [
            (Some("shop.test:8443"), "a=Domain=origin.test; Path=/; Domain=shop.test; Secure"),
            (Some("localhost:8080"), "a=Domain=origin.test; Path=/; Secure"),
            (Some("127.0.0.1"), "a=Domain=origin.test; Path=/; Secure"),
            (Some("[::1]:80"), "a=Domain=origin.test; Path=/; Secure"),
            (None, "a=Domain=origin.test; Path=/; Secure"),
        ] {
            let client = client.map(|authority| origin(Scheme::HTTP, authority));
            assert_eq!(rewritten(header::SET_COOKIE, value, client.as_ref()), expected);
        }
        let other = "a=b; Domain=elsewhere.test; Path=/";
        assert_eq!(rewritten(header::SET_COOKIE, other, Some(&origin(Scheme::HTTP, "shop.test"))), other);
    }
}
