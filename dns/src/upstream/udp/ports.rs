//! Source ports: drawn at random over all ports that need no privilege.

use std::io;
use std::net::SocketAddr;
use std::ops::RangeInclusive;

use postern_config::model::QuerySource;
use socket2::{Domain, Protocol, Socket, Type};

use super::source::sender;

/// Ports that any process may use.
const PORTS: RangeInclusive<u16> = 1024..=u16::MAX;
/// Draws before the kernel chooses. Of a machine's ports few are in use.
const DRAWS: usize = 8;
/// Ports that the administrator keeps for other programs.
const RESERVED: &str = "/proc/sys/net/ipv4/ip_local_reserved_ports";

/// Draws source ports.
#[derive(Debug)]
pub(super) struct PortDraw {
    reserved: Vec<RangeInclusive<u16>>,
}

impl PortDraw {
    /// Reads which ports are kept for others.
    pub(super) fn new() -> Self {
        Self { reserved: read_ranges(&std::fs::read_to_string(RESERVED).unwrap_or_default()) } // other systems have no such file
    }

    /// Returns a socket with a random port that is connected to `address`, and sends from `source`.
    pub(super) fn connect(&self, address: SocketAddr, source: Option<&QuerySource>) -> io::Result<Socket> {
        let socket = Socket::new(Domain::for_address(address), Type::DGRAM.nonblocking().cloexec(), Some(Protocol::UDP))?;
        if let Some(QuerySource::Interface(name)) = source {
            socket.bind_device(Some(name.as_bytes()))?;
        }
        let from = sender(address, source);
        let drawn = std::iter::repeat_with(|| rand::random_range(PORTS)).filter(|port| !self.is_reserved(*port)).take(DRAWS);
        let mut is_bound = false;
        for port in drawn {
            if socket.bind(&with_port(from, port).into()).is_ok() {
                is_bound = true;
                break;
            }
        }
        if !is_bound {
            socket.bind(&from.into())?;
        }
        socket.connect(&address.into())?;
        Ok(socket)
    }

    fn is_reserved(&self, port: u16) -> bool {
        self.reserved.iter().any(|range| range.contains(&port))
    }
}

fn with_port(mut address: SocketAddr, port: u16) -> SocketAddr {
    address.set_port(port);
    address
}

/// Reads `8080,9148-9150`. Nothing is reserved if the ranges leave no port.
fn read_ranges(text: &str) -> Vec<RangeInclusive<u16>> {
    let range = |word: &str| {
        let (first, last) = word.split_once('-').unwrap_or((word, word));
        Some(first.trim().parse().ok()?..=last.trim().parse().ok()?)
    };
    let ranges: Vec<RangeInclusive<u16>> = text.trim().split(',').filter_map(range).collect();
    let is_free = |port: &u16| !ranges.iter().any(|range| range.contains(port));
    if PORTS.filter(is_free).count() >= 1024 { ranges } else { Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;
    use std::net::UdpSocket;

    #[test]
    fn ranges_are_read_and_never_leave_too_few_ports() {
        assert_eq!(read_ranges("8080,9148-9150\n"), [8080..=8080, 9148..=9150]);
        assert_eq!(read_ranges("\n"), []);
        assert_eq!(read_ranges("1024-65000\n"), []);
        assert_eq!(read_ranges("no,1-x,70000,5-7"), [5..=7]);
    }

    #[test]
    fn ports_are_drawn_over_the_whole_range_and_none_that_is_reserved() {
        let upstream = UdpSocket::bind("127.0.0.1:0").unwrap();
        let draw = PortDraw { reserved: vec![0..=32_767] };
        let ports: HashSet<u16> = (0..500)
            .map(|_| draw.connect(upstream.local_addr().unwrap(), None).unwrap().local_addr().unwrap().as_socket().unwrap().port())
            .collect();
        assert!(ports.len() > 450, "{} ports", ports.len());
        assert!(ports.iter().all(|port| *port >= 32_768));
        assert!(ports.iter().any(|port| *port < 36_000) && ports.iter().any(|port| *port > 62_000));
    }
}
