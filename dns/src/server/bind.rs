//! Sockets that are asked: bound before privileges are given up, served after.

use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};

use postern_sockets::{UdpOptions, bind_tcp, bind_udp};

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
    /// Binds UDP for `workers` workers and TCP on each address.
    pub(super) fn new(listen: &[SocketAddr], workers: usize) -> Result<Self, BindError> {
        let mut bound = Self { addresses: Vec::new(), udp: Vec::new(), tcp: Vec::new() };
        for address in listen {
            let (at, udp, tcp) = bind_both(*address, workers.max(1)).map_err(|error| BindError { address: *address, error })?;
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

fn bind_both(address: SocketAddr, workers: usize) -> io::Result<(SocketAddr, Vec<UdpSocket>, TcpListener)> {
    let mut tries = if address.port() == 0 { TRIES } else { 1 };
    loop {
        // TCP first: it takes an address from no other process, while UDP sockets that share theirs would.
        let tcp = bind_tcp(address, BACKLOG)?;
        let at = tcp.local_addr()?;
        let udp: io::Result<Vec<UdpSocket>> = (0..workers).map(|_| bind_udp(at, &UdpOptions::default())).collect();
        tries -= 1;
        match udp {
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
        let bound = BoundSockets::new(&["127.0.0.1:0".parse().unwrap(), "[::1]:0".parse().unwrap()], 2).unwrap();
        assert_eq!(bound.addresses().len(), 2);
        for (at, (udp, tcp)) in bound.addresses().iter().zip(bound.udp.iter().zip(&bound.tcp)) {
            assert_ne!(at.port(), 0);
            assert_eq!((udp.len(), tcp.local_addr().unwrap()), (2, *at));
            assert!(udp.iter().all(|socket| socket.local_addr().unwrap() == *at));
            let second = BoundSockets::new(&[*at], 2).unwrap_err();
            assert_eq!((second.address, second.error.kind()), (*at, io::ErrorKind::AddrInUse));
        }
    }
}
