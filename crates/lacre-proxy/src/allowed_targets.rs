//! [`AllowedTargets`]: the addresses that the proxy may connect to
//! (decision 24).
//!
//! The operator of a reverse proxy chose its upstream, so it may connect anywhere. A forward
//! proxy never connects to itself. One that only this machine can use connects to all other
//! addresses but link-local ones, where machines of a cloud find their credentials: its users
//! reach the rest without it. One that others can use connects to public addresses only. Networks
//! that the operator names are allowed in addition. A name is resolved first; the addresses that
//! pass the check are the ones that are connected to.

use crate::public_address::{is_link_local, is_public};
use http::Uri;
use http::uri::Scheme;
use ipnet::IpNet;
use std::collections::HashMap;
use std::error::Error as StdError;
use std::fmt;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::lookup_host;
use tokio::time::Instant;

/// The time for which the check of a name is remembered.
const CHECK_LIFETIME: Duration = Duration::from_secs(30);

/// The number of names whose check is remembered.
const MAX_CHECKED_NAMES: usize = 1024;

/// The addresses that the proxy may connect to. Clones share the remembered checks.
#[derive(Clone, Debug)]
pub(crate) struct AllowedTargets(Arc<Rules>);

/// The result of the check of each `HOST:PORT`, and its time.
type CheckedNames = HashMap<String, (Instant, Result<(), Denied>)>;

#[derive(Debug)]
enum Rules {
    /// Every address is allowed.
    All,
    ForwardProxy {
        own: OwnAddresses,
        users: Users,
        allowed: Vec<IpNet>,
        checked: Mutex<CheckedNames>,
    },
}

/// The addresses that the proxy listens on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OwnAddresses {
    pub(crate) listen: SocketAddr,
    pub(crate) admin: Option<SocketAddr>,
}

/// The clients that reach a proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Users {
    ThisMachine,
    Others,
}

/// Why an address is not connected to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Denied {
    /// It is the address for clients of the proxy itself.
    Loop,
    /// It is the address for metrics of the proxy itself.
    Admin,
    /// It is not public, and the operator did not allow it.
    NotPublic,
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Loop | Self::Admin => "this is an address of the proxy itself",
            Self::NotPublic => "this address is not public",
        })
    }
}

impl StdError for Denied {}

impl AllowedTargets {
    /// Every address, for a reverse proxy.
    pub(crate) fn all() -> Self {
        Self(Arc::new(Rules::All))
    }

    /// The addresses for a forward proxy with these users, and the networks in `allowed`.
    pub(crate) fn of_forward_proxy(own: OwnAddresses, users: Users, allowed: Vec<IpNet>) -> Self {
        Self(Arc::new(Rules::ForwardProxy { own, users, allowed, checked: Mutex::default() }))
    }

    /// Checks an address.
    ///
    /// # Errors
    /// The proxy must not connect to it.
    pub(crate) fn check(&self, address: SocketAddr) -> Result<(), Denied> {
        let Rules::ForwardProxy { own, users, allowed, .. } = &*self.0 else { return Ok(()) };
        let (ip, port) = (address.ip().to_canonical(), address.port());
        if reaches(own.listen, ip, port) {
            return Err(Denied::Loop);
        }
        if own.admin.is_some_and(|admin| reaches(admin, ip, port)) {
            return Err(Denied::Admin);
        }
        let is_named = allowed.iter().any(|network| network.contains(&ip));
        let is_allowed = match users {
            Users::ThisMachine => !is_link_local(ip),
            Users::Others => is_public(ip),
        };
        if is_named || is_allowed { Ok(()) } else { Err(Denied::NotPublic) }
    }

    /// Checks the target of a request before it is answered. A stored response is checked, too: it
    /// may come from a time when others used the store.
    ///
    /// # Errors
    /// The proxy must not connect to it.
    pub(crate) async fn check_target(&self, target: &Uri) -> Result<(), Denied> {
        let Rules::ForwardProxy { users, checked, .. } = &*self.0 else { return Ok(()) };
        let Some((host, port)) = host_and_port(target) else { return Ok(()) };
        if let Ok(ip) = host.parse() {
            return self.check(SocketAddr::new(ip, port));
        }
        if *users == Users::ThisMachine {
            return Ok(());
        }
        let name = format!("{host}:{port}").to_ascii_lowercase();
        let checked = || checked.lock().unwrap_or_else(PoisonError::into_inner);
        let remembered = checked()
            .get(&name)
            .filter(|(since, _)| since.elapsed() < CHECK_LIFETIME)
            .map(|(_, result)| *result);
        if let Some(result) = remembered {
            return result;
        }
        // A name that cannot be resolved leads to no address.
        let Ok(addresses) = lookup_host((host, port)).await else { return Ok(()) };
        let result = self.filter(addresses).map(|_| ());
        let mut checked = checked();
        if checked.len() >= MAX_CHECKED_NAMES {
            checked.clear();
        }
        checked.insert(name, (Instant::now(), result));
        result
    }

    /// The addresses that are allowed.
    ///
    /// # Errors
    /// There are addresses, and none is allowed.
    pub(crate) fn filter(
        &self,
        addresses: impl Iterator<Item = SocketAddr>,
    ) -> Result<Vec<SocketAddr>, Denied> {
        let mut denied = None;
        let mut check = |address: &SocketAddr| self.check(*address).map_err(|why| denied = Some(why)).is_ok();
        let allowed: Vec<_> = addresses.filter(|address| check(address)).collect();
        match denied {
            Some(why) if allowed.is_empty() => Err(why),
            _ => Ok(allowed),
        }
    }
}

/// The host of a URL, without the brackets of IPv6, and the port.
pub(crate) fn host_and_port(url: &Uri) -> Option<(&str, u16)> {
    let host = url.host()?;
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let default = if url.scheme() == Some(&Scheme::HTTPS) { 443 } else { 80 };
    Some((host, url.port_u16().unwrap_or(default)))
}

/// Whether a connection to `ip` and `port` ends at the listener on `own`.
fn reaches(own: SocketAddr, ip: IpAddr, port: u16) -> bool {
    let own_ip = own.ip().to_canonical();
    own.port() == port && (own_ip == ip || ((own_ip.is_unspecified() || ip.is_unspecified()) && is_local(ip)))
}

/// Whether an address is one of this machine: only those can be bound.
fn is_local(ip: IpAddr) -> bool {
    ip.is_loopback() || ip.is_unspecified() || UdpSocket::bind((ip, 0)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    const OWN: OwnAddresses = OwnAddresses {
        listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080),
        admin: Some(SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 9090)),
    };

    fn check(users: Users, allowed: &[&str], address: &str) -> Result<(), Denied> {
        let allowed = allowed.iter().map(|network| network.parse().unwrap()).collect();
        AllowedTargets::of_forward_proxy(OWN, users, allowed).check(address.parse().unwrap())
    }

    #[test]
    fn a_forward_proxy_for_others_reaches_public_addresses_only() {
        for public in ["8.8.8.8:80", "192.0.1.1:80", "100.128.0.1:80", "172.32.0.1:80", "[2606:4700::1]:80"] {
            assert_eq!(check(Users::Others, &[], public), Ok(()), "{public}");
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
            assert_eq!(check(Users::Others, &[], other), Err(Denied::NotPublic), "{other}");
        }
    }

    #[test]
    fn a_forward_proxy_for_this_machine_reaches_all_but_link_local_addresses() {
        for allowed in ["127.0.0.1:80", "10.0.0.1:80", "[::1]:80", "8.8.8.8:80"] {
            assert_eq!(check(Users::ThisMachine, &[], allowed), Ok(()), "{allowed}");
        }
        for denied in
            ["169.254.169.254:80", "[::ffff:169.254.169.254]:80", "[fe80::1]:80", "[64:ff9b::a9fe:a9fe]:80"]
        {
            assert_eq!(check(Users::ThisMachine, &[], denied), Err(Denied::NotPublic), "{denied}");
        }
    }

    #[test]
    fn networks_that_the_operator_names_are_reached() {
        let named = ["10.0.0.0/8", "169.254.169.254/32", "::1/128"];
        for allowed in ["10.1.2.3:80", "[::ffff:10.1.2.3]:80", "169.254.169.254:80", "[::1]:80"] {
            assert_eq!(check(Users::Others, &named, allowed), Ok(()), "{allowed}");
        }
        assert_eq!(check(Users::Others, &named, "127.0.0.1:80"), Err(Denied::NotPublic));
    }

    #[test]
    fn a_forward_proxy_never_reaches_itself() {
        let everything = ["0.0.0.0/0", "::/0"];
        for users in [Users::ThisMachine, Users::Others] {
            for own in ["127.0.0.1:8080", "[::ffff:127.0.0.1]:8080", "0.0.0.0:8080", "[::]:8080"] {
                assert_eq!(check(users, &everything, own), Err(Denied::Loop), "{own}");
            }
            for own in ["127.0.0.1:9090", "127.0.0.2:9090", "[::1]:9090", "0.0.0.0:9090"] {
                assert_eq!(check(users, &everything, own), Err(Denied::Admin), "{own}");
            }
            assert_eq!(check(users, &everything, "127.0.0.2:8080"), Ok(()));
        }
    }

    #[tokio::test]
    async fn a_name_is_checked_by_the_addresses_that_it_resolves_to() {
        let targets = |users| AllowedTargets::of_forward_proxy(OWN, users, Vec::new());
        for (users, target, expected) in [
            (Users::Others, "http://localhost/", Err(Denied::NotPublic)),
            (Users::Others, "http://LOCALHOST:1/", Err(Denied::NotPublic)),
            (Users::Others, "http://127.1/", Err(Denied::NotPublic)),
            (Users::Others, "http://2130706433/", Err(Denied::NotPublic)),
            (Users::Others, "http://[::1]/", Err(Denied::NotPublic)),
            (Users::ThisMachine, "http://localhost/", Ok(())),
            (Users::ThisMachine, "http://127.0.0.1:9090/metrics", Err(Denied::Admin)),
        ] {
            assert_eq!(targets(users).check_target(&target.parse().unwrap()).await, expected, "{target}");
        }
    }
}
