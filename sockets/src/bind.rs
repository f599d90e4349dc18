//! Creation of server sockets for UDP and TCP.

use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::fd::AsRawFd;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};

/// Options of a UDP server socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UdpOptions {
    /// SO_REUSEPORT: several workers share the address, and each has its own socket and queue.
    pub reuse_port: bool,
    /// SO_RCVBUF in octets. 0 keeps the system default. The kernel silently caps it at
    /// `net.core.rmem_max`.
    pub receive_buffer: usize,
    /// SO_SNDBUF in octets. 0 keeps the system default.
    pub send_buffer: usize,
    /// Longest wait for a datagram, which bounds the delay of a stop. `None` waits forever.
    pub read_timeout: Option<Duration>,
}

impl Default for UdpOptions {
    /// A shared address, 4 MB for bursts while a worker is not scheduled, and a timeout five times
    /// a second.
    fn default() -> Self {
        Self { reuse_port: true, receive_buffer: 4 << 20, send_buffer: 4 << 20, read_timeout: Some(Duration::from_millis(200)) }
    }
}

/// Binds a blocking UDP socket. An IPv6 socket does not accept IPv4. On a wildcard address, each
/// datagram carries the address that it was sent to.
pub fn bind_udp(address: SocketAddr, options: &UdpOptions) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM.cloexec(), Some(Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    bind_before_it_is_there(&socket, address);
    if options.reuse_port {
        socket.set_reuse_port(true)?;
    }
    // The server still runs if the system rejects the buffer size.
    if options.receive_buffer > 0 {
        let _ = socket.set_recv_buffer_size(options.receive_buffer);
    }
    if options.send_buffer > 0 {
        let _ = socket.set_send_buffer_size(options.send_buffer);
    }
    prepare_udp(&socket, address, options)?;
    socket.bind(&address.into())?;
    Ok(socket.into())
}

/// Sets the options that a worker relies on.
pub(crate) fn prepare_udp(socket: &Socket, address: SocketAddr, options: &UdpOptions) -> io::Result<()> {
    socket.set_read_timeout(options.read_timeout)?;
    if address.ip().is_unspecified() {
        match address.is_ipv6() {
            true => set_option(socket, libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO, 1)?,
            false => set_option(socket, libc::IPPROTO_IP, libc::IP_PKTINFO, 1)?,
        }
    }
    // Path MTUs from ICMP messages are ignored. A forged one would cause fragments, into which
    // forged data can be inserted (RFC 9715, section 3.1). Old kernels lack the option for IPv6.
    let _ = match address.is_ipv6() {
        true => set_option(socket, libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER, libc::IPV6_PMTUDISC_OMIT),
        false => set_option(socket, libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_OMIT),
    };
    Ok(())
}

/// Binds a non-blocking TCP listener with a queue of `backlog` connections. An IPv6 listener does
/// not accept IPv4.
pub fn bind_tcp(address: SocketAddr, backlog: i32) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM.cloexec().nonblocking(), Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    bind_before_it_is_there(&socket, address);
    // Connections of a server that just stopped still hold the port.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(backlog)?;
    Ok(socket.into())
}

/// Returns `true` if an interface of this machine has the address.
pub fn is_present(address: SocketAddr) -> bool {
    let any_port = SocketAddr::new(address.ip(), 0);
    let any_port = match (address, any_port) {
        (SocketAddr::V6(scoped), SocketAddr::V6(mut any)) => {
            any.set_scope_id(scoped.scope_id());
            any.into()
        }
        (_, any) => any,
    };
    // Any other error (no descriptors, no port) reveals nothing about the address.
    !UdpSocket::bind(any_port).is_err_and(|error| error.kind() == io::ErrorKind::AddrNotAvailable)
}

/// Allows binding an address that no interface has yet. At boot, the server may start before the
/// network is up. The option needs no privilege. If the kernel lacks it, `bind` of such an address
/// fails.
fn bind_before_it_is_there(socket: &Socket, address: SocketAddr) {
    let _ = match address.is_ipv6() {
        true => socket.set_freebind_v6(true),
        false => socket.set_freebind_v4(true),
    };
}

/// Returns the number of datagrams that the kernel dropped because this socket's receive buffer was
/// full.
pub fn overflowed(socket: &UdpSocket) -> io::Result<u32> {
    const SO_MEMINFO: libc::c_int = 55; // asm-generic/socket.h, since 4.12
    const SK_MEMINFO_DROPS: usize = 8; // linux/sock_diag.h
    let mut info = [0u32; SK_MEMINFO_DROPS + 1];
    let mut length = size_of_val(&info) as libc::socklen_t;
    // SAFETY: the descriptor is open. The kernel writes at most `length` octets into `info`, and
    // stores the number it wrote in `length`.
    let result = unsafe { libc::getsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, SO_MEMINFO, info.as_mut_ptr().cast(), &mut length) };
    if result == 0 { Ok(info[SK_MEMINFO_DROPS]) } else { Err(io::Error::last_os_error()) }
}

fn set_option(socket: &Socket, level: libc::c_int, name: libc::c_int, value: libc::c_int) -> io::Result<()> {
    // SAFETY: the descriptor is open. `value` outlives the call, and its size is passed.
    let result = unsafe {
        libc::setsockopt(socket.as_raw_fd(), level, name, (&raw const value).cast(), size_of::<libc::c_int>() as libc::socklen_t)
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_share_an_address_and_strangers_do_not() {
        let first = bind_udp("127.0.0.1:0".parse().unwrap(), &UdpOptions::default()).unwrap();
        let address = first.local_addr().unwrap();
        let second = bind_udp(address, &UdpOptions::default()).unwrap();
        assert_eq!(second.local_addr().unwrap(), address);
        let alone = UdpOptions { reuse_port: false, ..UdpOptions::default() };
        assert_eq!(bind_udp(address, &alone).unwrap_err().kind(), io::ErrorKind::AddrInUse);
    }

    #[test]
    fn an_address_that_is_not_there_yet_is_bound() {
        for (address, is_there) in [("127.0.0.1:0", true), ("192.0.2.1:0", false), ("[2001:db8::1]:0", false)] {
            let address: SocketAddr = address.parse().unwrap();
            match bind_udp(address, &UdpOptions::default()) {
                // This machine has no IPv6.
                Err(error) if address.is_ipv6() && error.kind() == io::ErrorKind::Unsupported => continue,
                bound => assert_eq!(bound.unwrap().local_addr().unwrap().ip(), address.ip()),
            }
            assert_eq!(bind_tcp(address, 1).unwrap().local_addr().unwrap().ip(), address.ip());
            assert_eq!(is_present(address), is_there, "{address}");
        }
    }

    #[test]
    fn both_wildcards_take_the_same_port() {
        let try_once = || {
            let v6 = bind_udp("[::]:0".parse().unwrap(), &UdpOptions::default()).unwrap();
            let port = v6.local_addr().unwrap().port();
            bind_udp(SocketAddr::new("0.0.0.0".parse().unwrap(), port), &UdpOptions::default())
        };
        // Another process may hold this port of IPv4.
        assert!((0..10).any(|_| try_once().is_ok()), "{:?}", try_once());
    }

    #[test]
    fn datagrams_that_found_no_room_are_counted() {
        let options = UdpOptions { receive_buffer: 4096, ..UdpOptions::default() };
        let socket = bind_udp("127.0.0.1:0".parse().unwrap(), &options).unwrap();
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        assert_eq!(overflowed(&socket).unwrap(), 0);
        for _ in 0..200 {
            client.send_to(&[0; 512], socket.local_addr().unwrap()).unwrap();
        }
        assert!(overflowed(&socket).unwrap() > 100);
    }
}
