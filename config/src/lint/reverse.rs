//! Zones and routes that are named as an address prefix. The reverse zone is meant.

use std::net::IpAddr;

use ipnet::IpNet;

use super::{Lint, listed};
use crate::problems::ConfigProblems;

/// Reports names below which no name lies, because they are address prefixes.
pub(super) fn prefixes_as_names(lint: &Lint<'_>, problems: &mut ConfigProblems<'_>) {
    let zones = lint.config.zones.iter().zip(&lint.places.zones).map(|(zone, place)| (&zone.name, place.name, "zone"));
    let routes = lint.config.forwards.iter().zip(&lint.places.forwards).map(|(route, place)| (&route.zone, place.zone, "route"));
    for (name, at, kind) in zones.chain(routes) {
        let Some(prefix) = name.parse::<IpNet>().ok().or_else(|| name.parse::<IpAddr>().ok().map(IpNet::from)) else { continue };
        let message = format!("the {kind} `{name}` is named as an address prefix, and no domain name lies below it");
        let reverse = reverse_zones(prefix);
        problems.warning(at, message, format!("reverse lookups of these addresses are in {}", listed(reverse.iter().map(String::as_str))));
    }
}

/// Returns the names of the reverse zones that hold the addresses of a prefix. A prefix that ends inside a label has several (RFC 1035
/// section 3.5, RFC 3596 section 2.5).
fn reverse_zones(prefix: IpNet) -> Vec<String> {
    let (bits, origin) = if prefix.addr().is_ipv4() { (8, "in-addr.arpa") } else { (4, "ip6.arpa") };
    let length = prefix.prefix_len().div_ceil(bits) * bits;
    let label = |octets: &[u8], place: u8| match bits {
        8 => format!("{}.", octets[usize::from(place)]),
        _ => format!("{:x}.", octets[usize::from(place / 2)] >> (4 * (1 - place % 2)) & 0xf),
    };
    let zone = |subnet: IpNet| {
        let octets = match subnet.network() {
            IpAddr::V4(address) => address.octets().to_vec(),
            IpAddr::V6(address) => address.octets().to_vec(),
        };
        (0..length / bits).rev().map(|place| label(&octets, place)).collect::<String>() + origin
    };
    prefix.subnets(length).into_iter().flatten().map(zone).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_has_the_reverse_zones_that_hold_its_addresses() {
        let zones = |prefix: &str| reverse_zones(prefix.parse().unwrap());
        assert_eq!(zones("10.0.0.0/8"), ["10.in-addr.arpa"]);
        assert_eq!(zones("10.20.30.0/24"), ["30.20.10.in-addr.arpa"]);
        assert_eq!(zones("10.20.4.0/23"), ["4.20.10.in-addr.arpa", "5.20.10.in-addr.arpa"]);
        assert_eq!(zones("192.0.2.1/32"), ["1.2.0.192.in-addr.arpa"]);
        assert_eq!(zones("0.0.0.0/0"), ["in-addr.arpa"]);
        assert_eq!(zones("2001:db8::/32"), ["8.b.d.0.1.0.0.2.ip6.arpa"]);
        assert_eq!(zones("2001:db8::/31"), ["8.b.d.0.1.0.0.2.ip6.arpa", "9.b.d.0.1.0.0.2.ip6.arpa"]);
    }
}
