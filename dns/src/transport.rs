//! The transport and address family of a client's message, and one value for each pair of them.
//!
//! A new transport is one variant of [`ClientTransport`] and one row in each of its methods: counters, metrics and
//! listeners are kept in a [`PerListener`] and follow by themselves.

use std::net::IpAddr;
use std::ops::Index;

/// The transport over which a client's message arrives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientTransport {
    /// UDP: the client's EDNS payload size and the server's `udp-size` bound a response.
    Udp,
    /// TCP (RFC 7766): a response has up to 65,535 octets.
    Tcp,
}

/// The address family of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddressFamily {
    /// IPv4.
    Ipv4,
    /// IPv6.
    Ipv6,
}

/// The kind of listener that a message arrives at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListenerKind {
    /// The transport.
    pub transport: ClientTransport,
    /// The address family.
    pub family: AddressFamily,
}

/// One value for each [`ListenerKind`].
#[derive(Debug, Clone)]
pub struct PerListener<T>([T; KINDS]);

const KINDS: usize = ClientTransport::ALL.len() * AddressFamily::ALL.len();

impl ClientTransport {
    /// Every transport, in the order in which metrics show them.
    pub const ALL: [Self; 2] = [Self::Udp, Self::Tcp];

    /// The value of the metric label `proto`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
        }
    }

    /// Returns true if a message is one datagram: its sender can be forged, and its size is bounded.
    pub fn is_datagram(self) -> bool {
        match self {
            Self::Udp => true,
            Self::Tcp => false,
        }
    }
}

impl AddressFamily {
    /// Every address family, in the order in which metrics show them.
    pub const ALL: [Self; 2] = [Self::Ipv4, Self::Ipv6];

    /// Returns the family of an address.
    pub fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::Ipv4,
            IpAddr::V6(_) => Self::Ipv6,
        }
    }

    /// The value of the metric label `family`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ipv4 => "ipv4",
            Self::Ipv6 => "ipv6",
        }
    }
}

impl ListenerKind {
    /// Returns the kind of listener for messages of a transport from or to an address.
    pub fn new(transport: ClientTransport, address: IpAddr) -> Self {
        Self { transport, family: AddressFamily::of(address) }
    }

    /// Returns every kind, by transport and then by family.
    pub fn all() -> impl Iterator<Item = Self> {
        let of_transport = |transport| AddressFamily::ALL.map(|family| Self { transport, family });
        ClientTransport::ALL.into_iter().flat_map(of_transport)
    }

    fn index(self) -> usize {
        self.transport as usize * AddressFamily::ALL.len() + self.family as usize
    }
}

impl<T> PerListener<T> {
    /// Creates each value with `create`.
    pub fn new(mut create: impl FnMut() -> T) -> Self {
        Self(std::array::from_fn(|_| create()))
    }
}

impl<T> Index<ListenerKind> for PerListener<T> {
    type Output = T;

    fn index(&self, kind: ListenerKind) -> &T {
        &self.0[kind.index()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_listener_has_a_place_of_its_own() {
        let places: Vec<usize> = ListenerKind::all().map(ListenerKind::index).collect();
        assert_eq!(places, (0..KINDS).collect::<Vec<_>>());
        let names: Vec<_> = ListenerKind::all().map(|kind| (kind.transport.as_str(), kind.family.as_str())).collect();
        assert_eq!(names, [("udp", "ipv4"), ("udp", "ipv6"), ("tcp", "ipv4"), ("tcp", "ipv6")]);
    }
}
