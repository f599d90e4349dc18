//! Sockets that the service manager opened and passed to this process.

use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::fd::{FromRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};

use socket2::{Domain, Socket, Type};

use crate::bind::{UdpOptions, prepare_udp};

/// A bound socket of an address, which outlives this process. Datagrams and connections that arrive
/// while no process reads it wait in its queue.
#[derive(Debug)]
pub enum InheritedSocket {
    /// A blocking UDP socket.
    Udp(SocketAddr, UdpSocket),
    /// A non-blocking TCP listener.
    Tcp(SocketAddr, TcpListener),
}

/// A passed descriptor that cannot serve DNS.
#[derive(Debug)]
pub enum InheritedSocketError {
    /// The environment variables that describe the descriptors are malformed.
    Environment(io::Error),
    /// The descriptor with this number is neither a UDP socket nor a TCP listener of an IP address.
    Unsuitable(i32),
    /// The IPv6 wildcard socket of this address would also accept IPv4.
    BothFamilies(SocketAddr),
    /// The system rejected an option of the descriptor with this number.
    System(i32, io::Error),
}

impl InheritedSocket {
    /// Returns the address that the socket is bound to.
    pub fn address(&self) -> SocketAddr {
        match self {
            Self::Udp(address, _) | Self::Tcp(address, _) => *address,
        }
    }

    /// Takes the sockets that systemd passed to this process (`LISTEN_FDS`). Returns none if it
    /// passed none, and at every call after the first.
    ///
    /// Buffers that are larger than those of `options` keep their size.
    pub fn take_all(options: &UdpOptions) -> Result<Vec<Self>, InheritedSocketError> {
        static TAKEN: AtomicBool = AtomicBool::new(false);
        if TAKEN.swap(true, Ordering::SeqCst) {
            return Ok(Vec::new());
        }
        let descriptors = sd_notify::listen_fds().map_err(InheritedSocketError::Environment)?;
        let adopt = |number| {
            // SAFETY: systemd opened this descriptor for this process, as LISTEN_PID has shown. No
            // other code reads LISTEN_FDS, and `TAKEN` lets this line see each descriptor once.
            let descriptor = unsafe { OwnedFd::from_raw_fd(number) };
            Self::adopt(number, Socket::from(descriptor), options)
        };
        descriptors.map(adopt).collect()
    }

    fn adopt(number: i32, socket: Socket, options: &UdpOptions) -> Result<Self, InheritedSocketError> {
        let unsuitable = || InheritedSocketError::Unsuitable(number);
        let system = |error| InheritedSocketError::System(number, error);
        let address = socket.local_addr().ok().and_then(|address| address.as_socket()).ok_or_else(unsuitable)?;
        if Domain::for_address(address) == Domain::IPV6 && address.ip().is_unspecified() && !socket.only_v6().map_err(system)? {
            return Err(InheritedSocketError::BothFamilies(address));
        }
        match socket.r#type() {
            Ok(Type::DGRAM) => {
                socket.set_nonblocking(false).map_err(system)?;
                enlarge_buffers(&socket, options).and_then(|()| prepare_udp(&socket, address, options)).map_err(system)?;
                Ok(Self::Udp(address, socket.into()))
            }
            Ok(Type::STREAM) if socket.is_listener().unwrap_or(false) => {
                socket.set_nonblocking(true).map_err(system)?;
                Ok(Self::Tcp(address, socket.into()))
            }
            _ => Err(unsuitable()),
        }
    }
}

/// Raises the buffers to those of `options`. The service manager may set larger ones than this
/// process is allowed to.
fn enlarge_buffers(socket: &Socket, options: &UdpOptions) -> io::Result<()> {
    if socket.recv_buffer_size()? < options.receive_buffer {
        let _ = socket.set_recv_buffer_size(options.receive_buffer);
    }
    if socket.send_buffer_size()? < options.send_buffer {
        let _ = socket.set_send_buffer_size(options.send_buffer);
    }
    Ok(())
}

impl std::fmt::Display for InheritedSocketError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Environment(error) => write!(f, "LISTEN_PID, LISTEN_FDS: {error}"),
            Self::Unsuitable(number) => write!(f, "descriptor {number} is neither a UDP socket nor a TCP listener"),
            Self::BothFamilies(address) => write!(f, "{address} would also accept IPv4"),
            Self::System(number, error) => write!(f, "descriptor {number}: {error}"),
        }
    }
}

impl std::error::Error for InheritedSocketError {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bind::bind_tcp;

    fn adopt(socket: impl Into<Socket>) -> Result<InheritedSocket, InheritedSocketError> {
        InheritedSocket::adopt(7, socket.into(), &UdpOptions::default())
    }

    #[test]
    fn sockets_of_both_transports_are_taken_with_what_waits_in_them() {
        let bound = UdpSocket::bind("127.0.0.1:0").unwrap();
        let at = bound.local_addr().unwrap();
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        client.send_to(b"before", at).unwrap();
        let Ok(InheritedSocket::Udp(address, socket)) = adopt(bound) else { panic!("a UDP socket") };
        assert_eq!((address, socket.read_timeout().unwrap()), (at, UdpOptions::default().read_timeout));
        let mut buffer = [0; 16];
        assert_eq!(socket.recv(&mut buffer).unwrap(), 6);
        let listener = bind_tcp("127.0.0.1:0".parse().unwrap(), 4).unwrap();
        let at = listener.local_addr().unwrap();
        assert!(matches!(adopt(listener), Ok(InheritedSocket::Tcp(address, _)) if address == at));
    }

    #[test]
    fn a_larger_buffer_keeps_its_size() {
        let bound = Socket::from(UdpSocket::bind("127.0.0.1:0").unwrap());
        let before = bound.recv_buffer_size().unwrap();
        let options = UdpOptions { receive_buffer: before / 2, ..UdpOptions::default() };
        let Ok(InheritedSocket::Udp(_, socket)) = InheritedSocket::adopt(7, bound, &options) else { panic!("a UDP socket") };
        assert_eq!(Socket::from(socket).recv_buffer_size().unwrap(), before);
    }

    #[test]
    fn descriptors_that_cannot_serve_dns_are_refused() {
        let unconnected = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        assert!(matches!(adopt(unconnected), Err(InheritedSocketError::Unsuitable(7))));
        let (local, _peer) = std::os::unix::net::UnixStream::pair().unwrap();
        assert!(matches!(adopt(local), Err(InheritedSocketError::Unsuitable(7))));
        let Ok(both) = UdpSocket::bind("[::]:0") else { return }; // this machine has no IPv6
        assert!(matches!(adopt(both), Err(InheritedSocketError::BothFamilies(_))));
    }
}
