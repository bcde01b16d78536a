//! What a reverse proxy tells the origin about a client: the addresses it came through, and the scheme and host that it asked for, as
//! `X-Forwarded-*` and `Forwarded` (RFC 7239).
//!
//! A client can write these fields itself. They are believed only from an address that is trusted; from all others they are replaced. The
//! scheme and the host, which may decide what an origin answers, are part of the cache's key, for the cache sees the request as it is sent.

use http::uri::{Authority, Scheme};
use http::{HeaderMap, HeaderName, HeaderValue};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

const FORWARDED: HeaderName = HeaderName::from_static("forwarded");
const FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// How many addresses are passed on; the oldest go first.
const MAX_ADDRESSES: usize = 32;

/// Other fields by which proxies tell an origin who asks, and how. Some servers take `_` for `-` in a name.
const HEARSAY: [&str; 22] = [
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

/// The addresses whose word about a client is taken.
#[derive(Clone, Debug)]
pub(crate) struct Trusted {
    networks: Vec<IpNet>,
    /// Whether the user named them.
    named: bool,
}

impl Default for Trusted {
    /// This machine: what ends TLS often runs beside the proxy.
    fn default() -> Self {
        let v4 = Ipv4Net::new_assert(Ipv4Addr::LOCALHOST, 8);
        let v6 = Ipv6Net::new_assert(Ipv6Addr::LOCALHOST, 128);
        Self { networks: vec![v4.into(), v6.into()], named: false }
    }
}

impl Trusted {
    pub(crate) fn new(networks: Vec<IpNet>) -> Self {
        Self { networks, named: true }
    }

    /// Whether the user named the address `peer` as that of a proxy.
    pub(crate) fn names(&self, peer: IpAddr) -> bool {
        self.named && self.includes(peer)
    }

    /// Whether what comes from `peer` is believed.
    pub(crate) fn includes(&self, peer: IpAddr) -> bool {
        let peer = peer.to_canonical();
        self.networks.iter().any(|network| network.contains(&peer))
    }
}

/// A network, or one address.
///
/// # Errors
/// It is neither.
pub(crate) fn network(text: &str) -> Result<IpNet, String> {
    let network =
        text.parse().or_else(|_| text.parse::<IpAddr>().map(|address| address.to_canonical().into()));
    network.map_err(|_| "an address or a network, such as 10.0.0.0/8 or 2001:db8::/32".to_owned())
}

/// A network to trust; `none`: no network.
///
/// # Errors
/// It is no network.
pub(crate) fn network_or_none(text: &str) -> Result<Option<IpNet>, String> {
    if text == "none" { Ok(None) } else { network(text).map(Some) }
}

/// A client as far as its connection and the proxies before it tell.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    /// The last address that is not one of a trusted proxy.
    pub(crate) address: IpAddr,
    /// The origin that it asked, where it named a host.
    pub(crate) origin: Option<(Scheme, Authority)>,
    /// What came before the connection's own address, oldest first.
    before: Vec<String>,
}

impl Client {
    /// The client of a request that came from `peer` by plain HTTP, with these headers, for `host`.
    pub(crate) fn of(headers: &HeaderMap, host: Option<&Authority>, peer: IpAddr, trusted: &Trusted) -> Self {
        let peer = peer.to_canonical();
        let told = if trusted.includes(peer) { Told::of(headers) } else { Told::default() };
        let mut address = peer;
        for before in told.addresses.iter().rev() {
            match address_of(before) {
                Some(before) if trusted.includes(address) => address = before,
                _ => break,
            }
        }
        let scheme = told.scheme.unwrap_or(Scheme::HTTP);
        let host = told.host.or_else(|| host.cloned());
        Self { address, origin: host.map(|host| (scheme, host)), before: told.addresses }
    }

    /// Tells the origin of it, in place of what the request said. Of a trusted proxy, other `X-Forwarded-*` fields stay.
    pub(crate) fn introduce(&self, headers: &mut HeaderMap, peer: IpAddr, trusted: &Trusted) {
        let peer = peer.to_canonical();
        if !trusted.includes(peer) {
            let hearsay: Vec<_> = headers.keys().filter(|name| is_hearsay(name)).cloned().collect();
            for name in hearsay {
                headers.remove(name);
            }
        }
        let scheme = self.origin.as_ref().map_or("http", |(scheme, _)| scheme.as_str());
        let host = self.origin.as_ref().map(|(_, host)| host.as_str());
        let surplus = (self.before.len() + 1).saturating_sub(MAX_ADDRESSES);
        let (mut forwarded_for, mut forwarded) = (String::new(), String::new());
        let peer = peer.to_string();
        for (index, address) in self.before[surplus..].iter().chain([&peer]).enumerate() {
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

fn is_hearsay(name: &HeaderName) -> bool {
    let name = name.as_str().replace('_', "-");
    name.starts_with("x-forwarded") || HEARSAY.contains(&&*name)
}

/// What a trusted proxy says.
#[derive(Default)]
struct Told {
    addresses: Vec<String>,
    scheme: Option<Scheme>,
    host: Option<Authority>,
}

impl Told {
    /// By `X-Forwarded-*`, or else by `Forwarded`: many proxies pass the latter on as a client wrote it.
    fn of(headers: &HeaderMap) -> Self {
        let mut told = if [FOR, HOST, PROTO].iter().any(|name| headers.contains_key(name)) {
            let first = |name| list(headers, name).next();
            Self {
                addresses: list(headers, &FOR)
                    .filter(|address| is_plain(address))
                    .map(str::to_owned)
                    .collect(),
                scheme: first(&PROTO).and_then(scheme),
                host: first(&HOST).and_then(authority),
            }
        } else {
            Self::of_forwarded(headers)
        };
        let surplus = told.addresses.len().saturating_sub(MAX_ADDRESSES);
        told.addresses.drain(..surplus);
        told
    }

    fn of_forwarded(headers: &HeaderMap) -> Self {
        let mut told = Self::default();
        let fields = headers.get_all(FORWARDED).iter().filter_map(|value| value.to_str().ok());
        for element in fields.flat_map(|field| split(field, ',')) {
            for pair in split(element, ';') {
                let Some((name, value)) = pair.split_once('=') else { continue };
                let value = unquoted(value.trim());
                match name.trim().to_ascii_lowercase().as_str() {
                    "for" if is_plain(&value) => {
                        told.addresses.push(value.trim_matches(['[', ']']).to_owned());
                    }
                    "proto" if told.scheme.is_none() => told.scheme = scheme(&value),
                    "host" if told.host.is_none() => told.host = authority(&value),
                    _ => {}
                }
            }
        }
        told
    }
}

/// The members of a list field.
fn list<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let fields = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    fields.flat_map(|field| field.split(',')).map(str::trim).filter(|member| !member.is_empty())
}

/// The parts of a text between separators that are not quoted.
fn split(text: &str, separator: char) -> impl Iterator<Item = &str> {
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

fn scheme(text: &str) -> Option<Scheme> {
    match text.to_ascii_lowercase().as_str() {
        "http" => Some(Scheme::HTTP),
        "https" => Some(Scheme::HTTPS),
        _ => None,
    }
}

fn authority(text: &str) -> Option<Authority> {
    text.parse().ok().filter(|authority: &Authority| !authority.as_str().contains('@'))
}

/// Whether an address, a name such as `_hidden` or `unknown` can be passed on as it is.
fn is_plain(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || ".:[]_-".contains(c))
}

fn address_of(text: &str) -> Option<IpAddr> {
    let address = text.trim_matches(['[', ']']).parse().ok();
    let address = address.or_else(|| text.parse().ok().map(|address: SocketAddr| address.ip()));
    address.map(|address: IpAddr| address.to_canonical())
}

/// A node as RFC 7239 §6 writes it.
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

    fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let line = |(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value));
        let mut headers = HeaderMap::new();
        for (name, value) in lines.iter().copied().map(line) {
            headers.append(name, value);
        }
        headers
    }

    /// What the origin gets to see, and the client's address.
    fn introduced(lines: &[(&'static str, &'static str)], peer: &str) -> (HeaderMap, String) {
        let trusted = Trusted::new(vec![network("10.0.0.0/8").unwrap(), network("2001:db8::1").unwrap()]);
        let (mut headers, peer) = (headers(lines), peer.parse().unwrap());
        let client = Client::of(&headers, Some(&Authority::from_static("front.test:81")), peer, &trusted);
        client.introduce(&mut headers, peer, &trusted);
        (headers, client.address.to_string())
    }

    #[test]
    fn what_a_client_says_of_itself_is_replaced() {
        let said = [
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
        let (headers, address) = introduced(&said, "198.51.100.1");
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
    fn what_a_trusted_proxy_says_is_kept_and_its_address_added() {
        let said = [
            ("x-forwarded-for", "192.0.2.7, 2001:db8::7"),
            ("x-forwarded-for", "10.1.1.1"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "shop.test"),
            ("x-forwarded-prefix", "/shop"),
            ("forwarded", "for=203.0.113.66;proto=http"),
        ];
        let (headers, address) = introduced(&said, "10.0.0.1");
        assert_eq!(address, "2001:db8::7", "the last that no trusted proxy has");
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
    fn forwarded_alone_is_understood_of_a_trusted_proxy() {
        let said = [(
            "forwarded",
            "For=\"[2001:db8::7]:4711\";PROTO=https;host=\"shop.test:444\", for=unknown;by=_x",
        )];
        let (headers, _) = introduced(&said, "::ffff:10.0.0.1");
        assert_eq!(headers["x-forwarded-proto"], "https");
        assert_eq!(headers["x-forwarded-host"], "shop.test:444");
        assert!(headers["x-forwarded-for"].to_str().unwrap().ends_with(", unknown, 10.0.0.1"));
    }

    #[test]
    fn by_default_this_machine_is_trusted_and_shares_the_limits_of_others() {
        let (usual, named) = (Trusted::default(), Trusted::new(vec![network("127.0.0.1").unwrap()]));
        for here in ["127.0.0.1", "127.255.0.1", "::1", "::ffff:127.0.0.1"] {
            assert!(usual.includes(here.parse().unwrap()) && !usual.names(here.parse().unwrap()), "{here}");
        }
        assert!(!usual.includes("10.0.0.1".parse().unwrap()));
        assert!(named.names("127.0.0.1".parse().unwrap()));
        assert!(!Trusted::new(Vec::new()).includes("127.0.0.1".parse().unwrap()));
    }

    #[test]
    fn what_makes_no_sense_counts_as_not_said() {
        let said = [
            ("x-forwarded-for", "<script>, 192.0.2.7"),
            ("x-forwarded-proto", "gopher"),
            ("x-forwarded-host", "a@b c"),
        ];
        let (headers, _) = introduced(&said, "2001:db8::1");
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
    fn a_long_way_is_cut_at_its_beginning() {
        let way: Vec<_> = (0..100).map(|number| format!("192.0.2.{number}")).collect();
        let mut headers = HeaderMap::from_iter([(FOR, way.join(",").parse().unwrap())]);
        let trusted = Trusted::new(vec![network("10.0.0.0/8").unwrap()]);
        let peer = "10.0.0.1".parse().unwrap();
        Client::of(&headers, None, peer, &trusted).introduce(&mut headers, peer, &trusted);
        let kept: Vec<_> = headers[FOR].to_str().unwrap().split(", ").collect();
        assert_eq!((kept.len(), kept[0], kept[31]), (32, "192.0.2.69", "10.0.0.1"));
        assert!(!headers.contains_key(HOST));
    }
}
