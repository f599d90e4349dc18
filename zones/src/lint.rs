//! Warnings about addresses that are probably mistakes, with knowledge of Azure.
//!
//! Private endpoints fail in few ways, and most are seen in the data: two endpoints of one resource wrote the same name (clients get an
//! address of the other network, and HTTP 403), a public address was copied into a private zone, the two spellings of a DICOM name disagree.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::name::{NameBuf, is_private_link};
use crate::network::{Clients, NetworkId};
use crate::zone::rtype;

/// An address record's address.
pub fn address(rtype: u16, rdata: &[u8]) -> Option<IpAddr> {
    match rtype {
        rtype::A => Some(IpAddr::V4(Ipv4Addr::from(<[u8; 4]>::try_from(rdata).ok()?))),
        rtype::AAAA => Some(IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(rdata).ok()?))),
        _ => None,
    }
}

/// True for an address that is reached over the Internet, or would be: what is not private, shared, local or special (RFC 1918, 6598, 1122,
/// 3927, 4193, 4291; multicast and reserved ones are nobody's endpoint). What is warned of and what a fallback tells is the same.
pub fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            let [a, b, ..] = v4.octets();
            let shared = a == 100 && b & 0xc0 == 64; // RFC 6598
            !(v4.is_private() || v4.is_loopback() || v4.is_link_local() || v4.is_multicast() || shared || a == 0 || a >= 240)
        }
        IpAddr::V6(v6) => {
            !(v6.is_loopback() || v6.is_unspecified() || v6.is_unique_local() || v6.is_unicast_link_local() || v6.is_multicast())
        }
    }
}

/// What is odd about the addresses of one name and type, which all its clients get: they lie in two networks, or, at a private-link
/// name, in two subnets (a /24 apart: a subnet's size is not in DNS).
pub fn apart(name: &NameBuf, addresses: &[IpAddr], clients: Option<&Clients>) -> Option<(IpAddr, IpAddr, &'static str)> {
    let (first, rest) = addresses.split_first()?;
    if let Some(clients) = clients {
        let network = |address: &IpAddr| clients.network_of(*address);
        if let Some(other) = rest.iter().find(|other| network(other) != network(first)) {
            return Some((*first, *other, "networks"));
        }
    }
    let subnet = |address: &IpAddr| match address {
        IpAddr::V4(v4) => u128::from(u32::from(*v4) >> 8),
        IpAddr::V6(v6) => u128::from(*v6) >> 64,
    };
    let other = rest.iter().find(|other| is_private_link(name) && subnet(other) != subnet(first))?;
    Some((*first, *other, "subnets"))
}

/// The networks of a configuration, for [`apart`]: only those that have prefixes tell anything.
pub fn networks(config: &postern_config::model::PosternConfig) -> Option<Clients> {
    let named =
        config.networks.iter().zip(1..).flat_map(|(network, id)| network.clients.iter().map(move |prefix| (*prefix, NetworkId(id))));
    let prefixes: Vec<_> = named.collect();
    (!prefixes.is_empty()).then(|| Clients::new(prefixes, NetworkId(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> NameBuf {
        NameBuf::parse(text).unwrap()
    }

    #[test]
    fn tells_public_addresses() {
        for (address, public) in [
            ("10.1.2.3", false),
            ("172.31.0.1", false),
            ("172.32.0.1", true),
            ("192.168.0.1", false),
            ("100.64.0.1", false),
            ("100.128.0.1", true),
            ("169.254.0.1", false),
            ("127.0.0.1", false),
            ("0.0.0.0", false),
            ("224.0.0.251", false),
            ("255.255.255.255", false),
            ("20.150.85.196", true),
            ("203.0.113.9", true),
            ("fd00::1", false),
            ("fe80::1", false),
            ("::1", false),
            ("::", false),
            ("ff02::1", false),
            ("2001:db8::1", true),
            ("::ffff:10.0.0.1", false),
        ] {
            assert_eq!(is_public(address.parse().unwrap()), public, "{address}");
        }
    }

    #[test]
    fn addresses_of_one_name_belong_together() {
        let clients =
            Clients::new([("10.20.0.0/16".parse().unwrap(), NetworkId(1)), ("10.30.0.0/16".parse().unwrap(), NetworkId(2))], NetworkId(0));
        let private = name("ws.privatelink.contoso.test");
        for (name, addresses, what) in [
            (&private, &["10.20.0.4"][..], None),
            (&private, &["10.20.0.4", "10.20.0.5"], None),
            (&private, &["10.20.0.4", "10.30.0.4"], Some("networks")),
            (&private, &["10.20.0.4", "10.20.1.4"], Some("subnets")),
            (&name("www.contoso.test"), &["10.20.0.4", "10.20.1.4"], None),
            (&name("www.contoso.test"), &["10.20.0.4", "10.30.1.4"], Some("networks")),
            (&private, &["fd00::1", "fd00:0:0:1::1"], Some("subnets")),
        ] {
            let addresses: Vec<IpAddr> = addresses.iter().map(|address| address.parse().unwrap()).collect();
            assert_eq!(apart(name, &addresses, Some(&clients)).map(|found| found.2), what, "{addresses:?}");
        }
    }
}
