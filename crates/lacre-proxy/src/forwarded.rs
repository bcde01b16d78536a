//! [`Client`]: what a reverse proxy tells the origin about a client.
//!
//! The address of the client, and the scheme and the host that it asked for, go to the origin as
//! `X-Forwarded-*` and `Forwarded` (RFC 7239). A client can write these fields itself, so they are
//! believed only from a trusted proxy, and replaced otherwise. The scheme and the host may decide
//! the response of an origin. They are part of the cache key, because the cache sees the request as
//! it is sent.

use crate::origin::Origin;
use crate::trusted::TrustedProxies;
use http::uri::{Authority, Scheme};
use http::{HeaderMap, HeaderName, HeaderValue};
use std::fmt::Write;
use std::net::{IpAddr, SocketAddr};

const FORWARDED: HeaderName = HeaderName::from_static("forwarded");
const FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// The number of addresses that are passed on. The oldest are dropped first.
const MAX_ADDRESSES: usize = 32;

/// Other fields by which proxies describe a client to an origin.
const CLIENT_FIELDS: [&str; 22] = [
    "cf-connecting-ip",
    "cf-connecting-ipv6",
    "cf-visitor",
    "client-ip",
    "cluster-client-ip",
    "fastly-client-ip",
    "fastly-ssl",
    "forwarded",
    "forwarded-for",
    "front-end-https",
    "proxy-client-ip",
    "true-client-ip",
    "wl-proxy-client-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-envoy-external-address",
    "x-original-forwarded-for",
    "x-originating-ip",
    "x-real-ip",
    "x-remote-addr",
    "x-remote-ip",
    "x-url-scheme",
];

/// A client, as described by its connection and by the trusted proxies in front of this one.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    /// The nearest address that is not that of a trusted proxy.
    pub(crate) address: IpAddr,
    /// The origin that the client asked for, if it named a host.
    pub(crate) origin: Option<Origin>,
    /// The addresses before that of the connection, oldest first.
    earlier_addresses: Vec<String>,
}

impl Client {
    /// The client of a request that came from `peer` by plain HTTP, with these headers, for `host`.
    pub(crate) fn of(
        headers: &HeaderMap,
        host: Option<&Authority>,
        peer: IpAddr,
        trusted: &TrustedProxies,
    ) -> Self {
        let peer = peer.to_canonical();
        let fields =
            if trusted.includes(peer) { ForwardedFields::of(headers) } else { ForwardedFields::default() };
        let mut address = peer;
        for earlier in fields.addresses.iter().rev() {
            match parse_address(earlier) {
                Some(earlier) if trusted.includes(address) => address = earlier,
                _ => break,
            }
        }
        let scheme = fields.scheme.unwrap_or(Scheme::HTTP);
        let host = fields.host.or_else(|| host.cloned());
        let origin = host.map(|authority| Origin { scheme, authority });
        Self { address, origin, earlier_addresses: fields.addresses }
    }

    /// Describes the client to the origin, in place of the fields of the request. Other
    /// `X-Forwarded-*` fields stay if they come from a trusted proxy.
    pub(crate) fn set_fields(&self, headers: &mut HeaderMap, peer: IpAddr, trusted: &TrustedProxies) {
        let peer = peer.to_canonical();
        if !trusted.includes(peer) {
            let untrusted: Vec<_> = headers.keys().filter(|name| describes_client(name)).cloned().collect();
            for name in untrusted {
                headers.remove(name);
            }
        }
        let scheme = self.origin.as_ref().map_or("http", |origin| origin.scheme.as_str());
        let host = self.origin.as_ref().map(|origin| origin.authority.as_str());
        let surplus = (self.earlier_addresses.len() + 1).saturating_sub(MAX_ADDRESSES);
        let (mut forwarded_for, mut forwarded) = (String::new(), String::new());
        let peer = peer.to_string();
        for (index, address) in self.earlier_addresses[surplus..].iter().chain([&peer]).enumerate() {
            if index > 0 {
                forwarded_for.push_str(", ");
                forwarded.push_str(", ");
            }
            forwarded_for.push_str(address);
            // Writing to a string does not fail.
            let _ = write!(forwarded, "for={}", node(address));
            if index > 0 {
                continue;
            }
            if let Some(host) = host {
                let _ = write!(forwarded, ";host=\"{host}\"");
            }
            let _ = write!(forwarded, ";proto={scheme}");
        }
        set(headers, FOR, Some(&forwarded_for));
        set(headers, HOST, host);
        set(headers, PROTO, Some(scheme));
        set(headers, FORWARDED, Some(&forwarded));
    }
}

fn set(headers: &mut HeaderMap, name: HeaderName, value: Option<&str>) {
    match value.and_then(|value| HeaderValue::from_str(value).ok()) {
        Some(value) => drop(headers.insert(name, value)),
        None => drop(headers.remove(name)),
    }
}

/// Whether a field describes a client. Some servers read `_` in a name as `-`.
fn describes_client(name: &HeaderName) -> bool {
    let name = name.as_str().replace('_', "-");
    name.starts_with("x-forwarded") || CLIENT_FIELDS.contains(&&*name)
}

/// The statements of a trusted proxy about a client.
#[derive(Default)]
struct ForwardedFields {
    addresses: Vec<String>,
    scheme: Option<Scheme>,
    host: Option<Authority>,
}

impl ForwardedFields {
    /// Reads `X-Forwarded-*`, or else `Forwarded`: many proxies pass the latter on as a client
    /// wrote it.
    fn of(headers: &HeaderMap) -> Self {
        let mut fields = if [FOR, HOST, PROTO].iter().any(|name| headers.contains_key(name)) {
            let first = |name| members(headers, name).next();
            Self {
                addresses: members(headers, &FOR)
                    .filter(|address| is_plain_node(address))
                    .map(str::to_owned)
                    .collect(),
                scheme: first(&PROTO).and_then(parse_scheme),
                host: first(&HOST).and_then(parse_authority),
            }
        } else {
            Self::of_forwarded(headers)
        };
        let surplus = fields.addresses.len().saturating_sub(MAX_ADDRESSES);
        fields.addresses.drain(..surplus);
        fields
    }

    /// Reads `Forwarded` (RFC 7239 §4).
    fn of_forwarded(headers: &HeaderMap) -> Self {
        let mut read = Self::default();
        let fields = headers.get_all(FORWARDED).iter().filter_map(|value| value.to_str().ok());
        for element in fields.flat_map(|field| split_unquoted(field, ',')) {
            for pair in split_unquoted(element, ';') {
                let Some((name, value)) = pair.split_once('=') else { continue };
                let value = unquoted(value.trim());
                match name.trim().to_ascii_lowercase().as_str() {
                    "for" if is_plain_node(&value) => {
                        read.addresses.push(value.trim_matches(['[', ']']).to_owned());
                    }
                    "proto" if read.scheme.is_none() => read.scheme = parse_scheme(&value),
                    "host" if read.host.is_none() => read.host = parse_authority(&value),
                    _ => {}
                }
            }
        }
        read
    }
}

/// The members of a list field.
fn members<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let fields = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    fields.flat_map(|field| field.split(',')).map(str::trim).filter(|member| !member.is_empty())
}

/// Splits a text at the separators outside of quoted strings.
fn split_unquoted(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped) = (false, false);
    text.split(move |c| {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ => return !quoted && c == separator,
        }
        false
    })
}

fn unquoted(value: &str) -> String {
    match value.strip_prefix('"').and_then(|value| value.strip_suffix('"')) {
        Some(value) => value.replace('\\', ""),
        None => value.to_owned(),
    }
}

fn parse_scheme(text: &str) -> Option<Scheme> {
    match text.to_ascii_lowercase().as_str() {
        "http" => Some(Scheme::HTTP),
        "https" => Some(Scheme::HTTPS),
        _ => None,
    }
}

fn parse_authority(text: &str) -> Option<Authority> {
    text.parse().ok().filter(|authority: &Authority| !authority.as_str().contains('@'))
}

/// Whether a text can be passed on unchanged: an address, `unknown`, or an obfuscated identifier
/// such as `_hidden` (RFC 7239 §6).
fn is_plain_node(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || ".:[]_-".contains(c))
}

/// An IP address, with or without a port.
fn parse_address(text: &str) -> Option<IpAddr> {
    let address = text.trim_matches(['[', ']']).parse().ok();
    let address = address.or_else(|| text.parse().ok().map(|address: SocketAddr| address.ip()));
    address.map(|address: IpAddr| address.to_canonical())
}

/// The form of a node in `Forwarded` (RFC 7239 §6): an IPv6 address is quoted and in brackets.
fn node(text: &str) -> String {
    match text.parse() {
        Ok(IpAddr::V4(address)) => address.to_string(),
        Ok(IpAddr::V6(address)) => format!("\"[{address}]\""),
        Err(_) if text.contains([':', '[', ']']) => format!("\"{text}\""),
        Err(_) => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trusted::parse_network;

    fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let line = |(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value));
        let mut headers = HeaderMap::new();
        for (name, value) in lines.iter().copied().map(line) {
            headers.append(name, value);
        }
        headers
    }

    /// The headers that the origin receives, and the address of the client.
    fn forward(lines: &[(&'static str, &'static str)], peer: &str) -> (HeaderMap, String) {
        let trusted = TrustedProxies::new(vec![
            parse_network("10.0.0.0/8").unwrap(),
            parse_network("2001:db8::1").unwrap(),
        ]);
        let (mut headers, peer) = (headers(lines), peer.parse().unwrap());
        let client = Client::of(&headers, Some(&Authority::from_static("front.test:81")), peer, &trusted);
        client.set_fields(&mut headers, peer, &trusted);
        (headers, client.address.to_string())
    }

    #[test]
    fn fields_from_a_client_are_replaced() {
        let sent = [
            ("x-forwarded-for", "192.0.2.7"),
            ("x-forwarded-host", "evil.test"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-prefix", "/evil"),
            ("x_forwarded_proto", "https"),
            ("x-forwarded-user", "root"),
            ("forwarded", "for=192.0.2.7;host=evil.test;proto=https"),
            ("x-real-ip", "192.0.2.7"),
            ("front-end-https", "on"),
            ("accept", "text/html"),
        ];
        let (headers, address) = forward(&sent, "198.51.100.1");
        assert_eq!(address, "198.51.100.1");
        let mut names: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(
            names,
            ["accept", "forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto"]
        );
        assert_eq!(headers["x-forwarded-for"], "198.51.100.1");
        assert_eq!(headers["x-forwarded-host"], "front.test:81");
        assert_eq!(headers["x-forwarded-proto"], "http");
        assert_eq!(headers["forwarded"], "for=198.51.100.1;host=\"front.test:81\";proto=http");
    }

    #[test]
    fn fields_from_a_trusted_proxy_are_kept_and_its_address_is_added() {
        let sent = [
            ("x-forwarded-for", "192.0.2.7, 2001:db8::7"),
            ("x-forwarded-for", "10.1.1.1"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "shop.test"),
            ("x-forwarded-prefix", "/shop"),
            ("forwarded", "for=203.0.113.66;proto=http"),
        ];
        let (headers, address) = forward(&sent, "10.0.0.1");
        assert_eq!(address, "2001:db8::7", "the nearest that is not a trusted proxy");
        assert_eq!(headers["x-forwarded-for"], "192.0.2.7, 2001:db8::7, 10.1.1.1, 10.0.0.1");
        assert_eq!(headers["x-forwarded-proto"], "https");
        assert_eq!(headers["x-forwarded-host"], "shop.test");
        assert_eq!(headers["x-forwarded-prefix"], "/shop");
        assert_eq!(
            headers["forwarded"],
            "for=192.0.2.7;host=\"shop.test\";proto=https, for=\"[2001:db8::7]\", for=10.1.1.1, for=10.0.0.1"
        );
    }

    #[test]
    fn forwarded_alone_is_read_from_a_trusted_proxy() {
        let sent = [(
            "forwarded",
            "For=\"[2001:db8::7]:4711\";PROTO=https;host=\"shop.test:444\", for=unknown;by=_x",
        )];
        let (headers, _) = forward(&sent, "::ffff:10.0.0.1");
        assert_eq!(headers["x-forwarded-proto"], "https");
        assert_eq!(headers["x-forwarded-host"], "shop.test:444");
        assert!(headers["x-forwarded-for"].to_str().unwrap().ends_with(", unknown, 10.0.0.1"));
    }

    #[test]
    fn malformed_values_are_ignored() {
        let sent = [
            ("x-forwarded-for", "<script>, 192.0.2.7"),
            ("x-forwarded-proto", "gopher"),
            ("x-forwarded-host", "a@b c"),
        ];
        let (headers, _) = forward(&sent, "2001:db8::1");
        assert_eq!(headers["x-forwarded-for"], "192.0.2.7, 2001:db8::1");
        assert_eq!(
            (&headers["x-forwarded-proto"], &headers["x-forwarded-host"]),
            (&"http".parse().unwrap(), &"front.test:81".parse().unwrap())
        );
        assert_eq!(
            headers["forwarded"],
            "for=192.0.2.7;host=\"front.test:81\";proto=http, for=\"[2001:db8::1]\""
        );
    }

    #[test]
    fn only_the_nearest_addresses_are_passed_on() {
        let addresses: Vec<_> = (0..100).map(|number| format!("192.0.2.{number}")).collect();
        let mut headers = HeaderMap::from_iter([(FOR, addresses.join(",").parse().unwrap())]);
        let trusted = TrustedProxies::new(vec![parse_network("10.0.0.0/8").unwrap()]);
        let peer = "10.0.0.1".parse().unwrap();
        Client::of(&headers, None, peer, &trusted).set_fields(&mut headers, peer, &trusted);
        let kept: Vec<_> = headers[FOR].to_str().unwrap().split(", ").collect();
        assert_eq!((kept.len(), kept[0], kept[31]), (32, "192.0.2.69", "10.0.0.1"));
        assert!(!headers.contains_key(HOST));
    }
}
