//! Which network a client belongs to: the longest prefix over all networks.

use std::net::IpAddr;

use ipnet::IpNet;

/// Index of a network in a snapshot. Another snapshot may give the network another index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct NetworkId(pub u32);

/// Client prefixes of all networks, flattened: where an address range with another network begins, in order.
///
/// Prefixes nest or are apart, so n of them make at most 2n + 1 ranges, and a client is found by halving: 15 steps for ten thousand.
#[derive(Debug)]
pub struct Clients {
    v4: Ranges<u32>,
    v6: Ranges<u128>,
}

#[derive(Debug)]
struct Ranges<A> {
    starts: Box<[A]>,
    networks: Box<[NetworkId]>,
}

impl Clients {
    /// Takes prefixes in any order; clients in none of them belong to `rest`. Of two equal prefixes the first counts.
    pub fn new(prefixes: impl IntoIterator<Item = (IpNet, NetworkId)>, rest: NetworkId) -> Self {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for (prefix, network) in prefixes {
            match unmap(prefix) {
                IpNet::V4(prefix) => v4.push((u32::from(prefix.network()), u32::from(prefix.broadcast()), network)),
                IpNet::V6(prefix) => v6.push((u128::from(prefix.network()), u128::from(prefix.broadcast()), network)),
            }
        }
        Self { v4: Ranges::new(v4, rest, |end: u32| end.checked_add(1)), v6: Ranges::new(v6, rest, |end: u128| end.checked_add(1)) }
    }

    /// The network of a client; an IPv4-mapped address (RFC 4291 section 2.5.5.2) counts as the IPv4 address.
    #[inline]
    pub fn network_of(&self, client: IpAddr) -> NetworkId {
        match client.to_canonical() {
            IpAddr::V4(address) => self.v4.find(address.into()),
            IpAddr::V6(address) => self.v6.find(address.into()),
        }
    }
}

impl<A: Copy + Ord + Default> Ranges<A> {
    /// Walks over the prefixes in order of their start, outer before inner, with the open ones on a stack.
    fn new(mut prefixes: Vec<(A, A, NetworkId)>, rest: NetworkId, after: impl Fn(A) -> Option<A>) -> Self {
        prefixes.sort_by(|a, b| a.0.cmp(&b.0).then(b.1.cmp(&a.1))); // stable: of equals the first stays first
        prefixes.dedup_by(|later, first| (later.0, later.1) == (first.0, first.1));
        let mut ranges: Vec<(A, NetworkId)> = vec![(A::default(), rest)];
        let mut open: Vec<(A, NetworkId)> = Vec::new();
        let mut begin = |start: A, network: NetworkId| {
            if ranges.last().is_some_and(|last| last.0 == start) {
                ranges.pop();
            }
            if ranges.last().is_none_or(|last| last.1 != network) {
                ranges.push((start, network));
            }
        };
        let close = |open: &mut Vec<(A, NetworkId)>, begin: &mut dyn FnMut(A, NetworkId)| {
            let Some((end, _)) = open.pop() else { return };
            if let Some(start) = after(end) {
                begin(start, open.last().map_or(rest, |outer| outer.1));
            }
        };
        for (start, end, network) in prefixes {
            while open.last().is_some_and(|outer| outer.0 < start) {
                close(&mut open, &mut begin);
            }
            begin(start, network);
            open.push((end, network));
        }
        while !open.is_empty() {
            close(&mut open, &mut begin);
        }
        let (starts, networks): (Vec<A>, Vec<NetworkId>) = ranges.into_iter().unzip();
        Self { starts: starts.into(), networks: networks.into() }
    }

    #[inline]
    fn find(&self, address: A) -> NetworkId {
        let after = self.starts.partition_point(|start| *start <= address);
        self.networks[after - 1] // the first range starts at the lowest address
    }
}

/// `::ffff:10.0.0.0/104` is `10.0.0.0/8`.
fn unmap(prefix: IpNet) -> IpNet {
    let IpNet::V6(v6) = prefix else { return prefix };
    match (v6.network().to_ipv4_mapped(), v6.prefix_len().checked_sub(96)) {
        (Some(address), Some(length)) => ipnet::Ipv4Net::new(address, length).map_or(prefix, IpNet::V4),
        _ => prefix,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn naive(prefixes: &[(IpNet, NetworkId)], client: IpAddr) -> NetworkId {
        let client = client.to_canonical();
        let mut best: Option<(u8, NetworkId)> = None;
        for (prefix, network) in prefixes {
            if unmap(*prefix).contains(&client) && best.is_none_or(|best| unmap(*prefix).prefix_len() > best.0) {
                best = Some((unmap(*prefix).prefix_len(), *network));
            }
        }
        best.map_or(NetworkId(0), |best| best.1)
    }

    #[test]
    fn the_longest_prefix_wins() {
        let prefixes: Vec<(IpNet, NetworkId)> = [
            ("10.0.0.0/8", 1),
            ("10.20.0.0/16", 2),
            ("10.20.255.0/24", 3),
            ("10.255.255.255/32", 4),
            ("255.0.0.0/8", 5),
            ("2001:db8::/32", 6),
            ("2001:db8:1::/48", 7),
            ("::ffff:192.0.2.0/120", 8),
        ]
        .map(|(prefix, network)| (prefix.parse().unwrap(), NetworkId(network)))
        .into();
        let clients = Clients::new(prefixes, NetworkId(0));
        for (client, network) in [
            ("9.255.255.255", 0),
            ("10.0.0.0", 1),
            ("10.20.0.1", 2),
            ("10.20.255.255", 3),
            ("10.21.0.0", 1),
            ("10.255.255.255", 4),
            ("11.0.0.0", 0),
            ("255.255.255.255", 5),
            ("::ffff:10.20.1.1", 2),
            ("192.0.2.7", 8),
            ("::ffff:192.0.2.7", 8),
            ("2001:db8:2::1", 6),
            ("2001:db8:1::1", 7),
            ("2001:db9::", 0),
            ("::", 0),
        ] {
            assert_eq!(clients.network_of(client.parse().unwrap()), NetworkId(network), "{client}");
        }
    }

    #[test]
    fn a_prefix_of_everything_leaves_nothing_to_the_rest() {
        let clients = Clients::new([("0.0.0.0/0".parse().unwrap(), NetworkId(1)), ("::/0".parse().unwrap(), NetworkId(2))], NetworkId(0));
        assert_eq!(clients.network_of("203.0.113.9".parse().unwrap()), NetworkId(1));
        assert_eq!(clients.network_of("2001:db8::9".parse().unwrap()), NetworkId(2));
    }

    proptest! {
        /// Few distinct bits, so that prefixes nest, touch and repeat.
        #[test]
        fn agrees_with_looking_at_every_prefix(
            prefixes in prop::collection::vec((0u32..64, 0u8..=32, any::<bool>()), 0..40),
            clients in prop::collection::vec(0u32..64, 20),
        ) {
            let spread = |bits: u32| (bits << 26) | (bits << 5);
            let prefixes: Vec<(IpNet, NetworkId)> = prefixes.iter().enumerate().map(|(index, (bits, length, mapped))| {
                let v4 = ipnet::Ipv4Net::new(spread(*bits).into(), *length).unwrap().trunc();
                let prefix = if *mapped { ipnet::Ipv6Net::new(v4.addr().to_ipv6_mapped(), length + 96).unwrap().into() } else { IpNet::V4(v4) };
                (prefix, NetworkId(index as u32 + 1))
            }).collect();
            let table = Clients::new(prefixes.iter().copied(), NetworkId(0));
            for bits in clients {
                for address in [spread(bits), spread(bits).wrapping_add(1), spread(bits).wrapping_sub(1)] {
                    let client = IpAddr::V4(address.into());
                    prop_assert_eq!(table.network_of(client), naive(&prefixes, client), "{}", client);
                }
            }
        }
    }
}
