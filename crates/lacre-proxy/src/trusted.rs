//! [`TrustedProxies`]: the proxies whose statements about clients are believed.

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The proxies whose `X-Forwarded-*` and `Forwarded` fields are believed.
///
/// The default is this machine (127.0.0.0/8 and ::1), where the server that ends TLS often runs.
/// The connections of proxies that were named with [`new`](Self::new) are exempt from the limit
/// per address; those of the default are not.
#[derive(Clone, Debug)]
pub struct TrustedProxies {
    networks: Vec<IpNet>,
    /// Whether the operator named the networks.
    are_named: bool,
}

impl Default for TrustedProxies {
    fn default() -> Self {
        let v4 = Ipv4Net::new_assert(Ipv4Addr::LOCALHOST, 8);
        let v6 = Ipv6Net::new_assert(Ipv6Addr::LOCALHOST, 128);
        Self { networks: vec![v4.into(), v6.into()], are_named: false }
    }
}

impl TrustedProxies {
    /// The proxies in these networks. An empty list trusts no proxy.
    #[must_use]
    pub fn new(networks: Vec<IpNet>) -> Self {
        Self { networks, are_named: true }
    }

    /// Whether the operator named the address `peer` as that of a proxy.
    pub(crate) fn names(&self, peer: IpAddr) -> bool {
        self.are_named && self.includes(peer)
    }

    /// Whether the fields of requests from `peer` are believed.
    pub(crate) fn includes(&self, peer: IpAddr) -> bool {
        let peer = peer.to_canonical();
        self.networks.iter().any(|network| network.contains(&peer))
    }
}

/// Reads a network such as `10.0.0.0/8`, or a single address.
///
/// # Errors
/// The text is neither. The error names an example.
pub fn parse_network(text: &str) -> Result<IpNet, String> {
    let network =
        text.parse().or_else(|_| text.parse::<IpAddr>().map(|address| address.to_canonical().into()));
    network.map_err(|_| "an address or a network, such as 10.0.0.0/8 or 2001:db8::/32".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_is_trusted_by_default_and_has_the_limit_per_address() {
        let default = TrustedProxies::default();
        let named = TrustedProxies::new(vec![parse_network("127.0.0.1").unwrap()]);
        for local in ["127.0.0.1", "127.255.0.1", "::1", "::ffff:127.0.0.1"] {
            let local = local.parse().unwrap();
            assert!(default.includes(local) && !default.names(local), "{local}");
        }
        assert!(!default.includes("10.0.0.1".parse().unwrap()));
        assert!(named.names("127.0.0.1".parse().unwrap()));
        assert!(!TrustedProxies::new(Vec::new()).includes("127.0.0.1".parse().unwrap()));
    }
}
