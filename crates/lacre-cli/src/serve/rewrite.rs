//! A reverse proxy's answers name the address that the client used: what names the upstream's own (`Location`, `Content-Location`, `Refresh`,
//! the domain of cookies) is rewritten on the way out. What is stored stays as the origin sent it.

use http::uri::{Authority, Scheme};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use std::net::IpAddr;

const REFRESH: HeaderName = HeaderName::from_static("refresh");

/// An origin: a scheme, and a host with its port.
pub(crate) type Origin = (Scheme, Authority);

/// Puts `client`, the origin that the client asked, in place of `upstream`; where that is not known, URLs become paths.
pub(crate) fn to_client(headers: &mut HeaderMap, upstream: &Origin, client: Option<&Origin>) {
    for name in [header::LOCATION, header::CONTENT_LOCATION] {
        each(headers, &name, |value| url(value, upstream, client));
    }
    each(headers, &REFRESH, |value| {
        let at = value.to_ascii_lowercase().find("url=")? + "url=".len();
        let (before, target) = value.split_at(at);
        let quote = target.chars().next().filter(|c| matches!(c, '"' | '\''));
        let bare = quote.map_or(target, |quote| target.trim_matches(quote));
        let quote = quote.map(String::from).unwrap_or_default();
        Some(format!("{before}{quote}{}{quote}", url(bare, upstream, client)?))
    });
    each(headers, &header::SET_COOKIE, |value| cookie(value, upstream.1.host(), client));
}

/// Changes each value of a field, in place; `None` leaves it.
fn each(headers: &mut HeaderMap, name: &HeaderName, change: impl Fn(&str) -> Option<String>) {
    if let header::Entry::Occupied(mut values) = headers.entry(name) {
        for value in values.iter_mut() {
            let changed = value.to_str().ok().and_then(&change);
            if let Some(changed) = changed.and_then(|changed| HeaderValue::try_from(changed).ok()) {
                *value = changed;
            }
        }
    }
}

/// A URL of the upstream as the client can follow it; `None`: it is no absolute URL there.
fn url(value: &str, upstream: &Origin, client: Option<&Origin>) -> Option<String> {
    let (scheme, rest) = value.split_once("//")?;
    let end = rest.find(['/', '?', '#', '\\']).unwrap_or(rest.len());
    let (authority, rest) = rest.split_at(end);
    let named = match scheme.strip_suffix(':') {
        Some(scheme) => scheme.to_ascii_lowercase().parse().ok()?,
        None if scheme.is_empty() => upstream.0.clone(),
        None => return None,
    };
    let authority: Authority = authority.parse().ok()?;
    if authority.as_str().contains('@') || !is_same(&(named, authority), upstream) {
        return None;
    }
    Some(match client {
        Some((_, host)) if scheme.is_empty() => format!("//{host}{rest}"),
        Some((scheme, host)) => format!("{scheme}://{host}{rest}"),
        None if rest.starts_with('/') => rest.to_owned(),
        None => format!("/{rest}"),
    })
}

fn is_same(one: &Origin, other: &Origin) -> bool {
    let port = |(scheme, authority): &Origin| {
        let usual = if *scheme == Scheme::HTTPS { 443 } else { 80 };
        authority.port_u16().unwrap_or(usual)
    };
    one.0 == other.0 && one.1.host().eq_ignore_ascii_case(other.1.host()) && port(one) == port(other)
}

/// A cookie for the upstream's domain as one for the client's; `None`: it is for no domain, or for another.
fn cookie(value: &str, upstream: &str, client: Option<&Origin>) -> Option<String> {
    let is_domain = |attribute: &str| {
        let (name, domain) = attribute.split_once('=')?;
        let domain = domain.trim();
        let domain = domain.strip_prefix('.').unwrap_or(domain);
        (name.trim().eq_ignore_ascii_case("domain") && domain.eq_ignore_ascii_case(upstream)).then_some(())
    };
    let mut attributes = value.split(';');
    let mut changed = attributes.next()?.to_owned();
    let mut found = false;
    for attribute in attributes {
        if is_domain(attribute).is_none() {
            changed.push(';');
            changed.push_str(attribute);
            continue;
        }
        found = true;
        let host = client.map(|(_, authority)| authority.host()).filter(|host| is_domain_name(host));
        if let Some(host) = host {
            changed.push_str("; Domain=");
            changed.push_str(host);
        }
    }
    found.then_some(changed)
}

/// Whether cookies can be for a domain of this name: neither an address nor a single label.
fn is_domain_name(host: &str) -> bool {
    host.contains('.') && !host.starts_with('[') && host.parse::<IpAddr>().is_err()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(scheme: Scheme, authority: &'static str) -> Origin {
        (scheme, Authority::from_static(authority))
    }

    fn rewritten(name: HeaderName, value: &str, client: Option<&Origin>) -> String {
        let mut headers = HeaderMap::from_iter([(name.clone(), value.parse().unwrap())]);
        to_client(&mut headers, &origin(Scheme::HTTP, "origin.test"), client);
        headers[name].to_str().unwrap().to_owned()
    }

    #[test]
    fn a_url_of_the_upstream_leads_to_where_the_client_asked() {
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
    fn a_cookie_for_the_upstreams_domain_is_for_the_clients() {
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
