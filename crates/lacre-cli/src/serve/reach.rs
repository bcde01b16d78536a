//! Which addresses a forward proxy connects to.
//!
//! Never its own. One that only this machine can use connects to everything else but link-local addresses, where machines in clouds keep their
//! credentials: whoever can use it reaches the rest without it. One that others can use connects to public addresses only. Networks that
//! the user names are allowed in any case. What a name leads to is checked once it is resolved, and connected to is what was checked.

use http::Uri;
use http::uri::Scheme;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::Name;
use hyper_util::rt::TokioIo;
use ipnet::IpNet;
use std::collections::HashMap;
use std::error::Error as StdError;
use std::fmt;
use std::future::{Ready, ready};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use std::vec;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::Instant;
use tower_service::Service;

/// How long it is remembered whether a name leads to an address that may be connected to, and for how many names.
const REMEMBERED: Duration = Duration::from_secs(30);
const MAX_REMEMBERED: usize = 1024;

/// The addresses that may be connected to. Clones are the same.
#[derive(Clone, Debug)]
pub(crate) struct Reach(Arc<Bounds>);

/// What was found out about names, and when.
type Judged = HashMap<String, (Instant, Result<(), Barred>)>;

#[derive(Debug)]
enum Bounds {
    /// The user has chosen the upstream.
    None,
    Forward {
        own: Own,
        who: Who,
        allowed: Vec<IpNet>,
        names: Mutex<Judged>,
    },
}

/// Where the proxy itself listens.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Own {
    pub(crate) listen: SocketAddr,
    pub(crate) admin: Option<SocketAddr>,
}

/// Who can use a proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    /// Those on this machine.
    ThisMachine,
    Others,
}

/// Why an address is not connected to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Barred {
    /// It is where the proxy takes requests.
    Loop,
    /// It is where the proxy shows metrics.
    Admin,
    /// It is not public, and was not named.
    NotPublic,
}

impl fmt::Display for Barred {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Loop | Self::Admin => "this is an address of the proxy itself",
            Self::NotPublic => "this address is not public",
        })
    }
}

impl StdError for Barred {}

impl Reach {
    /// A reverse proxy's.
    pub(crate) fn everywhere() -> Self {
        Self(Arc::new(Bounds::None))
    }

    /// A forward proxy's. `allowed` are the networks that the user names.
    pub(crate) fn of_forward_proxy(own: Own, who: Who, allowed: Vec<IpNet>) -> Self {
        Self(Arc::new(Bounds::Forward { own, who, allowed, names: Mutex::default() }))
    }

    /// Whether an address may be connected to.
    ///
    /// # Errors
    /// It must not.
    pub(crate) fn check(&self, address: SocketAddr) -> Result<(), Barred> {
        let Bounds::Forward { own, who, allowed, .. } = &*self.0 else { return Ok(()) };
        let (ip, port) = (address.ip().to_canonical(), address.port());
        if is_at(own.listen, ip, port) {
            return Err(Barred::Loop);
        }
        if own.admin.is_some_and(|admin| is_at(admin, ip, port)) {
            return Err(Barred::Admin);
        }
        let named = allowed.iter().any(|network| network.contains(&ip));
        let open = match who {
            Who::ThisMachine => !is_or_embeds_link_local(ip),
            Who::Others => is_public(ip),
        };
        if named || open { Ok(()) } else { Err(Barred::NotPublic) }
    }

    /// Whether a request for `target` may be answered, also from what is stored: that may be from when somebody else used the store.
    ///
    /// # Errors
    /// It must not.
    pub(crate) async fn check_target(&self, target: &Uri) -> Result<(), Barred> {
        let Bounds::Forward { who, names, .. } = &*self.0 else { return Ok(()) };
        let Some((host, port)) = host_and_port(target) else { return Ok(()) };
        if let Ok(ip) = host.parse() {
            return self.check(SocketAddr::new(ip, port));
        }
        if *who == Who::ThisMachine {
            return Ok(());
        }
        let name = format!("{host}:{port}").to_ascii_lowercase();
        let names = || names.lock().unwrap_or_else(PoisonError::into_inner);
        let known =
            names().get(&name).filter(|(since, _)| since.elapsed() < REMEMBERED).map(|(_, known)| *known);
        if let Some(known) = known {
            return known;
        }
        // Where the name leads nowhere, nothing is connected to.
        let Ok(addresses) = lookup_host((host, port)).await else { return Ok(()) };
        let found = self.open(addresses).map(|_| ());
        let mut names = names();
        if names.len() >= MAX_REMEMBERED {
            names.clear();
        }
        names.insert(name, (Instant::now(), found));
        found
    }

    /// Those of `addresses` that may be connected to.
    fn open(&self, addresses: impl Iterator<Item = SocketAddr>) -> Result<Vec<SocketAddr>, Barred> {
        let mut barred = None;
        let mut check = |address: &SocketAddr| self.check(*address).map_err(|why| barred = Some(why)).is_ok();
        let open: Vec<_> = addresses.filter(|address| check(address)).collect();
        match barred {
            Some(why) if open.is_empty() => Err(why),
            _ => Ok(open),
        }
    }
}

/// Where a URL leads: a name, or an address without brackets, and a port.
fn host_and_port(url: &Uri) -> Option<(&str, u16)> {
    let host = url.host()?;
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let usual = if url.scheme() == Some(&Scheme::HTTPS) { 443 } else { 80 };
    Some((host, url.port_u16().unwrap_or(usual)))
}

/// Whether what listens at `own` is reached by connecting to `ip` and `port`.
fn is_at(own: SocketAddr, ip: IpAddr, port: u16) -> bool {
    let own_ip = own.ip().to_canonical();
    own.port() == port && (own_ip == ip || ((own_ip.is_unspecified() || ip.is_unspecified()) && is_here(ip)))
}

/// Whether an address is one of this machine: only those can be bound to.
fn is_here(ip: IpAddr) -> bool {
    ip.is_loopback() || ip.is_unspecified() || UdpSocket::bind((ip, 0)).is_ok()
}

/// Whether everybody on the Internet reaches the same by this address (RFC 6890 and its registries).
fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_public_v4(ip),
        IpAddr::V6(ip) => {
            let [first, second, ..] = ip.segments();
            let global = first >> 13 == 1;
            let reserved = first == 0x2001 && (second < 0x200 || second == 0xdb8) || first >> 4 == 0x3ff;
            match embedded(ip) {
                Some(embedded) => is_public_v4(embedded),
                None => global && !reserved,
            }
        }
    }
}

fn is_public_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    !(matches!(a, 0 | 10 | 127 | 224..)
        || ip.is_private()
        || ip.is_link_local()
        || (a == 100 && b >> 6 == 1)
        || (a == 192 && b == 0 && (c == 0 || c == 2))
        || (a == 192 && b == 88 && c == 99)
        || (a == 198 && (b >> 1 == 9 || (b == 51 && c == 100)))
        || (a == 203 && b == 0 && c == 113))
}

fn is_link_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    }
}

fn is_or_embeds_link_local(ip: IpAddr) -> bool {
    let embedded = match ip {
        IpAddr::V6(ip) => embedded(ip),
        IpAddr::V4(_) => None,
    };
    is_link_local(ip) || embedded.is_some_and(|embedded| embedded.is_link_local())
}

/// The IPv4 address that a gateway may translate this one to: compatible, NAT64 (RFC 6052) and 6to4 addresses, and Teredo's.
fn embedded(ip: Ipv6Addr) -> Option<Ipv4Addr> {
    let v4 = |high: u16, low: u16| Ipv4Addr::from(u32::from(high) << 16 | u32::from(low));
    match ip.segments() {
        [0, 0, 0, 0, 0, 0, high, low] | [0, 0, 0, 0, 0xffff, 0, high, low] => Some(v4(high, low)),
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => Some(v4(high, low)),
        [0x64, 0xff9b, 1, ..] => Some(Ipv4Addr::UNSPECIFIED),
        [0x2002, high, low, ..] => Some(v4(high, low)),
        [0x2001, 0, .., high, low] => Some(v4(!high, !low)),
        _ => None,
    }
}

/// Connects to where a URL leads, if that may be connected to.
#[derive(Clone)]
pub(crate) struct Connector {
    reach: Reach,
    connect_timeout: Duration,
}

type BoxError = Box<dyn StdError + Send + Sync>;

impl Connector {
    pub(crate) fn new(reach: Reach, connect_timeout: Duration) -> Self {
        Self { reach, connect_timeout }
    }

    async fn connect(self, url: Uri) -> Result<TokioIo<TcpStream>, BoxError> {
        let (host, port) = host_and_port(&url).ok_or("the URL has no host")?;
        let addresses = self.reach.open(lookup_host((host, port)).await?)?;
        // Only what was checked is connected to, whatever the name leads to by now.
        let mut tcp = HttpConnector::new_with_resolver(Resolved(addresses));
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(self.connect_timeout));
        tcp.enforce_http(false);
        Ok(tcp.call(url).await?)
    }
}

impl Service<Uri> for Connector {
    type Response = TokioIo<TcpStream>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, url: Uri) -> Self::Future {
        Box::pin(self.clone().connect(url))
    }
}

/// The addresses of a name that was resolved.
#[derive(Clone)]
struct Resolved(Vec<SocketAddr>);

impl Service<Name> for Resolved {
    type Response = vec::IntoIter<SocketAddr>;
    type Error = BoxError;
    type Future = Ready<Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Name) -> Self::Future {
        ready(Ok(self.0.clone().into_iter()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: Own = Own {
        listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080),
        admin: Some(SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 9090)),
    };

    fn check(who: Who, allowed: &[&str], address: &str) -> Result<(), Barred> {
        let allowed = allowed.iter().map(|network| network.parse().unwrap()).collect();
        Reach::of_forward_proxy(OWN, who, allowed).check(address.parse().unwrap())
    }

    #[test]
    fn a_forward_proxy_for_others_reaches_public_addresses_only() {
        for public in ["8.8.8.8:80", "192.0.1.1:80", "100.128.0.1:80", "172.32.0.1:80", "[2606:4700::1]:80"] {
            assert_eq!(check(Who::Others, &[], public), Ok(()), "{public}");
        }
        for other in [
            "0.0.0.0:80",
            "10.1.2.3:80",
            "100.64.0.1:80",
            "127.0.0.1:80",
            "127.255.0.1:80",
            "169.254.169.254:80",
            "172.16.0.1:80",
            "172.31.255.255:80",
            "192.0.0.1:80",
            "192.168.1.1:80",
            "198.18.0.1:80",
            "198.19.0.1:80",
            "224.0.0.1:80",
            "255.255.255.255:80",
            "[::]:80",
            "[::1]:80",
            "[::ffff:127.0.0.1]:80",
            "[::ffff:10.0.0.1]:80",
            "[::127.0.0.1]:80",
            "[64:ff9b::10.0.0.1]:80",
            "[64:ff9b:1::1]:80",
            "[2002:7f00:1::]:80",
            "[2001:0:1:2:3:4:80ff:fffe]:80",
            "[2001:db8::1]:80",
            "[fe80::1]:80",
            "[fec0::1]:80",
            "[fd00:ec2::254]:80",
            "[ff02::1]:80",
        ] {
            assert_eq!(check(Who::Others, &[], other), Err(Barred::NotPublic), "{other}");
        }
    }

    #[test]
    fn a_forward_proxy_for_this_machine_reaches_all_but_link_local_addresses() {
        for open in ["127.0.0.1:80", "10.0.0.1:80", "[::1]:80", "8.8.8.8:80"] {
            assert_eq!(check(Who::ThisMachine, &[], open), Ok(()), "{open}");
        }
        for barred in
            ["169.254.169.254:80", "[::ffff:169.254.169.254]:80", "[fe80::1]:80", "[64:ff9b::a9fe:a9fe]:80"]
        {
            assert_eq!(check(Who::ThisMachine, &[], barred), Err(Barred::NotPublic), "{barred}");
        }
    }

    #[test]
    fn networks_that_are_named_are_reached() {
        let named = ["10.0.0.0/8", "169.254.169.254/32", "::1/128"];
        for open in ["10.1.2.3:80", "[::ffff:10.1.2.3]:80", "169.254.169.254:80", "[::1]:80"] {
            assert_eq!(check(Who::Others, &named, open), Ok(()), "{open}");
        }
        assert_eq!(check(Who::Others, &named, "127.0.0.1:80"), Err(Barred::NotPublic));
    }

    #[test]
    fn a_forward_proxy_never_reaches_itself() {
        let everything = ["0.0.0.0/0", "::/0"];
        for who in [Who::ThisMachine, Who::Others] {
            for own in ["127.0.0.1:8080", "[::ffff:127.0.0.1]:8080", "0.0.0.0:8080", "[::]:8080"] {
                assert_eq!(check(who, &everything, own), Err(Barred::Loop), "{own}");
            }
            for own in ["127.0.0.1:9090", "127.0.0.2:9090", "[::1]:9090", "0.0.0.0:9090"] {
                assert_eq!(check(who, &everything, own), Err(Barred::Admin), "{own}");
            }
            assert_eq!(check(who, &everything, "127.0.0.2:8080"), Ok(()));
        }
    }

    #[tokio::test]
    async fn a_name_is_checked_by_what_it_leads_to() {
        let reach = |who| Reach::of_forward_proxy(OWN, who, Vec::new());
        for (who, target, expected) in [
            (Who::Others, "http://localhost/", Err(Barred::NotPublic)),
            (Who::Others, "http://LOCALHOST:1/", Err(Barred::NotPublic)),
            (Who::Others, "http://127.1/", Err(Barred::NotPublic)),
            (Who::Others, "http://2130706433/", Err(Barred::NotPublic)),
            (Who::Others, "http://[::1]/", Err(Barred::NotPublic)),
            (Who::ThisMachine, "http://localhost/", Ok(())),
            (Who::ThisMachine, "http://127.0.0.1:9090/metrics", Err(Barred::Admin)),
        ] {
            assert_eq!(reach(who).check_target(&target.parse().unwrap()).await, expected, "{target}");
        }
    }

    #[tokio::test]
    async fn what_a_name_leads_to_is_checked_with_its_port_before_it_is_connected_to() {
        let connector = |who| Connector::new(Reach::of_forward_proxy(OWN, who, Vec::new()), REMEMBERED);
        for (who, target, expected) in [
            (Who::ThisMachine, "http://localhost:9090/metrics", Barred::Admin),
            (Who::Others, "http://localhost:1/", Barred::NotPublic),
        ] {
            let error = connector(who).call(target.parse().unwrap()).await.unwrap_err();
            assert_eq!(error.downcast_ref(), Some(&expected), "{target}");
        }
    }
}
