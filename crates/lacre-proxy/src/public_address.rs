//! Classifies IP addresses: which are public, and which are link-local.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whether an address is globally reachable (RFC 6890 and its registries). Other addresses may lead
/// to hosts of the operator's network.
pub(crate) fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_public_v4(ip),
        IpAddr::V6(ip) => {
            let [first, second, ..] = ip.segments();
            let global = first >> 13 == 1;
            let reserved = first == 0x2001 && (second < 0x200 || second == 0xdb8) || first >> 4 == 0x3ff;
            match embedded_v4(ip) {
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

/// Whether an address is link-local, or embeds an IPv4 address that is.
pub(crate) fn is_link_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => {
            ip.is_unicast_link_local() || embedded_v4(ip).is_some_and(|embedded| embedded.is_link_local())
        }
    }
}

/// The IPv4 address that a gateway may translate an IPv6 address to: that of IPv4-compatible, NAT64
/// (RFC 6052), 6to4 and Teredo addresses.
fn embedded_v4(ip: Ipv6Addr) -> Option<Ipv4Addr> {
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
