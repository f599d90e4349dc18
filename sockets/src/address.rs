//! Conversion of socket addresses to and from the kernel's form.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

/// Storage for an address of either family.
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) union SocketAddress {
    family: libc::sa_family_t,
    v4: libc::sockaddr_in,
    v6: libc::sockaddr_in6,
}

/// Storage for the only control message used: the local address of a datagram, received or to send
/// from.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
pub(crate) struct ControlMessage {
    header: libc::cmsghdr,
    info: Info,
}

#[derive(Clone, Copy)]
#[repr(C)]
union Info {
    v4: libc::in_pktinfo,
    v6: libc::in6_pktinfo,
}

// The layout of `CMSG_DATA`: the data follows a header that is already aligned.
const _: () = assert!(std::mem::offset_of!(ControlMessage, info) == size_of::<libc::cmsghdr>() && size_of::<ControlMessage>() == 40);

impl SocketAddress {
    /// Length of the address in octets.
    pub(crate) const SIZE: libc::socklen_t = size_of::<Self>() as libc::socklen_t;

    /// Creates storage without an address.
    pub(crate) fn empty() -> Self {
        // SAFETY: both families are plain old data of integers, for which all zeros is a valid
        // value.
        unsafe { std::mem::zeroed() }
    }

    /// Returns the stored address and its length in octets.
    pub(crate) fn write(address: SocketAddr) -> (Self, libc::socklen_t) {
        let mut this = Self::empty();
        match address {
            SocketAddr::V4(v4) => {
                this.v4 = libc::sockaddr_in {
                    sin_family: libc::AF_INET as libc::sa_family_t,
                    sin_port: v4.port().to_be(),
                    sin_addr: write_v4(*v4.ip()),
                    sin_zero: [0; 8],
                };
                (this, size_of::<libc::sockaddr_in>() as libc::socklen_t)
            }
            SocketAddr::V6(v6) => {
                this.v6 = libc::sockaddr_in6 {
                    sin6_family: libc::AF_INET6 as libc::sa_family_t,
                    sin6_port: v6.port().to_be(),
                    sin6_flowinfo: v6.flowinfo(),
                    sin6_addr: libc::in6_addr { s6_addr: v6.ip().octets() },
                    sin6_scope_id: v6.scope_id(),
                };
                (this, Self::SIZE)
            }
        }
    }

    /// Returns the address. For any other family it is the unspecified address with port 0.
    #[inline]
    pub(crate) fn read(&self) -> SocketAddr {
        // SAFETY: all fields start with the family, and every bit pattern is valid for each of
        // them. The family selects the field that was written.
        unsafe {
            match libc::c_int::from(self.family) {
                libc::AF_INET => SocketAddrV4::new(read_v4(self.v4.sin_addr), u16::from_be(self.v4.sin_port)).into(),
                libc::AF_INET6 => SocketAddrV6::new(
                    Ipv6Addr::from(self.v6.sin6_addr.s6_addr),
                    u16::from_be(self.v6.sin6_port),
                    0, // the sender chooses its own flow labels
                    self.v6.sin6_scope_id,
                )
                .into(),
                _ => SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0),
            }
        }
    }
}

impl ControlMessage {
    /// Length of the message in octets.
    pub(crate) const SIZE: usize = size_of::<Self>();

    /// Creates storage without a message.
    pub(crate) fn empty() -> Self {
        // SAFETY: the header and both data types are plain old data of integers, for which all
        // zeros is valid.
        unsafe { std::mem::zeroed() }
    }

    /// Requests `local` as the source address. Returns the number of octets used.
    pub(crate) fn write(local: IpAddr) -> (Self, usize) {
        let mut this = Self::empty();
        let (level, kind, size) = match local {
            IpAddr::V4(v4) => {
                this.info.v4 = libc::in_pktinfo { ipi_ifindex: 0, ipi_spec_dst: write_v4(v4), ipi_addr: libc::in_addr { s_addr: 0 } };
                (libc::IPPROTO_IP, libc::IP_PKTINFO, size_of::<libc::in_pktinfo>())
            }
            IpAddr::V6(v6) => {
                this.info.v6 = libc::in6_pktinfo { ipi6_addr: libc::in6_addr { s6_addr: v6.octets() }, ipi6_ifindex: 0 };
                (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, size_of::<libc::in6_pktinfo>())
            }
        };
        this.header.cmsg_level = level;
        this.header.cmsg_type = kind;
        this.header.cmsg_len = (size_of::<libc::cmsghdr>() + size) as _;
        (this, (size_of::<libc::cmsghdr>() + size).next_multiple_of(size_of::<usize>()))
    }

    /// Returns the address that the datagram was sent to. Returns `None` if the kernel wrote no
    /// such message, or if a reply cannot come from that address (multicast).
    #[inline]
    pub(crate) fn local(&self) -> Option<IpAddr> {
        // SAFETY: every bit pattern is valid for both types. Level and type show which of them the
        // kernel wrote.
        let local = unsafe {
            match (self.header.cmsg_level, self.header.cmsg_type) {
                // For a broadcast, `ipi_spec_dst` is the interface's own address and `ipi_addr` is
                // the broadcast address.
                (libc::IPPROTO_IP, libc::IP_PKTINFO) => IpAddr::V4(read_v4(self.info.v4.ipi_spec_dst)),
                (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => IpAddr::V6(Ipv6Addr::from(self.info.v6.ipi6_addr.s6_addr)),
                _ => return None,
            }
        };
        (!local.is_multicast() && !local.is_unspecified()).then_some(local)
    }

    /// Turns a received message into the message for a reply. The address stays the same. The
    /// interface is cleared, so that routing can choose any interface, unless the address is only
    /// valid on that interface.
    #[inline]
    pub(crate) fn turn(&mut self) {
        match self.local() {
            Some(IpAddr::V4(_)) => self.info.v4.ipi_ifindex = 0,
            Some(IpAddr::V6(v6)) if !v6.is_unicast_link_local() => self.info.v6.ipi6_ifindex = 0,
            _ => {}
        }
    }
}

fn write_v4(address: Ipv4Addr) -> libc::in_addr {
    libc::in_addr { s_addr: u32::from_ne_bytes(address.octets()) }
}

fn read_v4(address: libc::in_addr) -> Ipv4Addr {
    Ipv4Addr::from(address.s_addr.to_ne_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_survive_the_way_to_the_kernel_and_back() {
        for text in ["192.0.2.7:53", "[2001:db8::7]:65535", "[fe80::1%3]:1", "0.0.0.0:0"] {
            let address: SocketAddr = text.parse().unwrap();
            assert_eq!(SocketAddress::write(address).0.read(), address);
        }
        assert_eq!(SocketAddress::empty().read().port(), 0);
    }

    #[test]
    fn a_reply_leaves_through_any_interface_unless_the_address_is_link_local() {
        for (address, interface) in [("192.0.2.1", 0), ("2001:db8::1", 0), ("fe80::1", 9)] {
            let address: IpAddr = address.parse().unwrap();
            let (mut control, _) = ControlMessage::write(address);
            match address {
                IpAddr::V4(_) => control.info.v4.ipi_ifindex = 9,
                IpAddr::V6(_) => control.info.v6.ipi6_ifindex = 9,
            }
            control.turn();
            assert_eq!(control.local(), Some(address));
            // SAFETY: the family selects the type.
            let left = unsafe {
                match address {
                    IpAddr::V4(_) => control.info.v4.ipi_ifindex as u32,
                    IpAddr::V6(_) => control.info.v6.ipi6_ifindex,
                }
            };
            assert_eq!(left, interface, "{address}");
        }
        let (multicast, _) = ControlMessage::write("ff02::1".parse().unwrap());
        assert_eq!(multicast.local(), None);
        assert_eq!(ControlMessage::empty().local(), None);
    }
}
