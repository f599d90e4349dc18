//! Sockets that are asked: bound before privileges are given up, served after.

use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};

use postern_sockets::{InheritedSocket, UdpOptions, bind_tcp, bind_udp};

/// Sockets that are bound and not yet served.
#[derive(Debug)]
pub struct BoundSockets {
    pub(super) addresses: Vec<SocketAddr>,
    /// For each address one a worker.
    pub(super) udp: Vec<Vec<UdpSocket>>,
    pub(super) tcp: Vec<TcpListener>,
}

/// An address that cannot be bound.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {error}")]
pub struct BindError {
    /// The address.
    pub address: SocketAddr,
    /// Why.
    pub error: io::Error,
}

/// Connections that may wait to be accepted: the system's bound (`net.core.somaxconn`) is lower.
const BACKLOG: i32 = 4096;
/// How often a free port is looked for that both transports can have.
const TRIES: usize = 30;

impl BoundSockets {
    /// Binds UDP for `workers` workers and TCP on each address. An inherited socket takes the place of a socket of its address and transport;
    /// those of other addresses are closed.
    pub(super) fn new(listen: &[SocketAddr], workers: usize, inherited: Vec<InheritedSocket>) -> Result<Self, BindError> {
        let mut bound = Self { addresses: Vec::new(), udp: Vec::new(), tcp: Vec::new() };
        let mut inherited = inherited.into_iter().map(Some).collect::<Vec<_>>();
        for address in listen {
            let passed = PassedSockets::take(*address, &mut inherited);
            let (at, udp, tcp) = passed.complete(*address, workers.max(1)).map_err(|error| BindError { address: *address, error })?;
            bound.addresses.push(at);
            bound.udp.push(udp);
            bound.tcp.push(tcp);
        }
        Ok(bound)
    }

    /// The addresses, with the port where any would do.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }
}

/// The inherited sockets of one address.
struct PassedSockets {
    udp: Vec<UdpSocket>,
    tcp: Option<TcpListener>,
}

impl PassedSockets {
    fn take(address: SocketAddr, inherited: &mut [Option<InheritedSocket>]) -> Self {
        let mut passed = Self { udp: Vec::new(), tcp: None };
        for slot in inherited.iter_mut().filter(|slot| slot.as_ref().is_some_and(|socket| socket.address() == address)) {
            match slot.take() {
                Some(InheritedSocket::Udp(_, socket)) => passed.udp.push(socket),
                Some(InheritedSocket::Tcp(_, listener)) => passed.tcp = Some(listener),
                None => {}
            }
        }
        passed
    }

    fn complete(self, address: SocketAddr, workers: usize) -> io::Result<(SocketAddr, Vec<UdpSocket>, TcpListener)> {
        if self.udp.is_empty() && self.tcp.is_none() {
            return bind_both(address, workers);
        }
        let tcp = self.tcp.map_or_else(|| bind_tcp(address, BACKLOG), Ok)?;
        let udp = match self.udp.is_empty() {
            true => bind_workers(address, workers)?,
            false => share(self.udp, workers)?,
        };
        Ok((address, udp, tcp))
    }
}

/// Gives each worker an inherited socket. Workers share them if there are fewer: a socket of our own would lose what waits in it when we stop.
fn share(sockets: Vec<UdpSocket>, workers: usize) -> io::Result<Vec<UdpSocket>> {
    let shared = (sockets.len()..workers).map(|worker| sockets[worker % sockets.len()].try_clone());
    let shared: Vec<UdpSocket> = shared.collect::<io::Result<_>>()?;
    Ok(sockets.into_iter().chain(shared).collect())
}

fn bind_workers(at: SocketAddr, workers: usize) -> io::Result<Vec<UdpSocket>> {
    (0..workers).map(|_| bind_udp(at, &UdpOptions::default())).collect()
}

fn bind_both(address: SocketAddr, workers: usize) -> io::Result<(SocketAddr, Vec<UdpSocket>, TcpListener)> {
    let mut tries = if address.port() == 0 { TRIES } else { 1 };
    loop {
        // TCP first: it takes an address from no other process, while UDP sockets that share theirs would.
        let tcp = bind_tcp(address, BACKLOG)?;
        let at = tcp.local_addr()?;
        tries -= 1;
        match bind_workers(at, workers) {
            Ok(udp) => return Ok((at, udp, tcp)),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && tries > 0 => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_port_is_the_same_for_both_transports_and_taken_from_then_on() {
        let bound = BoundSockets::new(&["127.0.0.1:0".parse().unwrap(), "[::1]:0".parse().unwrap()], 2, Vec::new()).unwrap();
        assert_eq!(bound.addresses().len(), 2);
        for (at, (udp, tcp)) in bound.addresses().iter().zip(bound.udp.iter().zip(&bound.tcp)) {
            assert_ne!(at.port(), 0);
            assert_eq!((udp.len(), tcp.local_addr().unwrap()), (2, *at));
            assert!(udp.iter().all(|socket| socket.local_addr().unwrap() == *at));
            let second = BoundSockets::new(&[*at], 2, Vec::new()).unwrap_err();
            assert_eq!((second.address, second.error.kind()), (*at, io::ErrorKind::AddrInUse));
        }
    }

    #[test]
    fn inherited_sockets_serve_their_address_and_are_shared_when_they_are_fewer_than_the_workers() {
        let tcp = bind_tcp("127.0.0.1:0".parse().unwrap(), 4).unwrap();
        let at = tcp.local_addr().unwrap();
        let options = UdpOptions { reuse_port: false, ..UdpOptions::default() };
        let udp = bind_udp(at, &options).unwrap(); // nobody else can bind the address
        let passed = vec![InheritedSocket::Udp(at, udp), InheritedSocket::Tcp(at, tcp)];
        let bound = BoundSockets::new(&[at, "127.0.0.1:0".parse().unwrap()], 3, passed).unwrap();
        assert_eq!((bound.addresses[0], bound.udp[0].len(), bound.tcp[0].local_addr().unwrap()), (at, 3, at));
        assert!(bound.udp[0].iter().all(|socket| socket.local_addr().unwrap() == at));
        assert_ne!(bound.addresses[1], at);
    }

    #[test]
    fn a_transport_that_was_not_passed_is_bound() {
        let udp = bind_udp("127.0.0.1:0".parse().unwrap(), &UdpOptions::default()).unwrap();
        let at = udp.local_addr().unwrap();
        let bound = BoundSockets::new(&[at], 2, vec![InheritedSocket::Udp(at, udp)]).unwrap();
        assert_eq!((bound.udp[0].len(), bound.tcp[0].local_addr().unwrap()), (2, at));
    }
}
