//! What a record probably does not mean: warnings that know Azure.
//!
//! Private endpoints fail in few ways, and most are seen in the data: two endpoints of one resource wrote the same name (clients get an
//! address of the other network, and HTTP 403), a public address was copied into a private zone, the two spellings of a DICOM name disagree.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use postern_config::azure::Table;

use crate::lookup::Lookup;
use crate::name::{NameBuf, is_private_link};
use crate::network::{Clients, NetworkId};
use crate::zone::{Zone, rtype};

/// A zone with more RRsets is not searched for names that have another spelling: it is no zone that somebody keeps by hand.
const MOST_SPELLED: usize = 10_000;

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

/// True where [`spelled_twice`] may find something.
pub fn is_searched(zone: &Zone) -> bool {
    zone.counts().sets <= MOST_SPELLED && is_private_link(&zone.apex().to_buf())
}

/// Names of `zone` whose other spelling (DICOM has two) stands in one of `others` with different addresses: pairs of names, the first few.
pub fn spelled_twice(zone: &Zone, others: &[&Zone], table: &Table) -> Vec<(NameBuf, NameBuf)> {
    let mut found = Vec::new();
    if !is_searched(zone) {
        return found;
    }
    for (name, set) in zone.records().filter(|(_, set)| set.rtype == rtype::A) {
        let publics = table.public_names(&name.to_string());
        let spellings = publics.iter().flat_map(|public| table.private_names(public));
        for spelling in spellings.filter_map(|spelling| NameBuf::parse(&spelling).ok()).filter(|spelling| *spelling != name) {
            let holds = others.iter().filter(|other| spelling.is_under(other.apex().as_wire()));
            let differs = holds.map(|other| other.lookup(&spelling, rtype::A)).any(|answer| match answer {
                Lookup::Found { set: other, .. } => !set.same_data(&other) && !same_addresses(&set, &other),
                _ => false,
            });
            if differs && !found.contains(&(spelling.clone(), name.clone())) {
                found.push((name.clone(), spelling));
            }
        }
        if found.len() >= 20 {
            break;
        }
    }
    found
}

/// TTLs may differ.
fn same_addresses(a: &crate::lookup::RrSet<'_>, b: &crate::lookup::RrSet<'_>) -> bool {
    a.count == b.count && a.rdata().all(|data| b.rdata().any(|other| other == data))
}

/// The networks of a configuration, for [`apart`]: only those that have prefixes tell anything.
pub fn networks(config: &postern_config::model::Config) -> Option<Clients> {
    let named =
        config.networks.iter().zip(1..).flat_map(|(network, id)| network.clients.iter().map(move |prefix| (*prefix, NetworkId(id))));
    let prefixes: Vec<_> = named.collect();
    (!prefixes.is_empty()).then(|| Clients::new(prefixes, NetworkId(0)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::WireName;
    use crate::zone::ZoneBuilder;

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

    #[test]
    fn both_spellings_of_a_dicom_name_should_agree() {
        let zone = |apex: &str, owner: &str, address: &str| {
            let mut builder = ZoneBuilder::new(WireName::parse(apex).unwrap());
            builder.add(owner, 10, "A", address).unwrap();
            builder.finish(1).unwrap().zone
        };
        let portal = zone("privatelink.dicom.azurehealthcareapis.com", "contosows-dicom1", "10.20.1.6");
        let spelled = |address| zone("privatelink.azurehealthcareapis.com", "contosows-dicom1.dicom", address);
        let found = |address| spelled_twice(&spelled(address), &[&portal], Table::builtin());
        assert_eq!(found("10.20.1.6"), []);
        let pair = (
            name("contosows-dicom1.dicom.privatelink.azurehealthcareapis.com"),
            name("contosows-dicom1.privatelink.dicom.azurehealthcareapis.com"),
        );
        assert_eq!(found("10.20.1.7"), [pair]);
    }
}
