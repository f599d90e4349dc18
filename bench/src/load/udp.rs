//! UDP: one connected socket per source port, with batches in both directions.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};

use postern_sockets::ClientBatch;

use super::worker::QueryCarrier;

/// Octets to keep of a received datagram. Only header and question are parsed.
const KEPT: usize = 1536;
/// Receive buffer of one source port. A burst of answers waits there while other sockets are read.
const RECEIVE_BUFFER: usize = 1 << 20;

/// Connected UDP sockets that share the batches of one thread.
pub(super) struct UdpCarrier {
    sockets: Vec<UdpSocket>,
    outgoing: ClientBatch,
    incoming: ClientBatch,
}

impl UdpCarrier {
    /// Opens `ports` sockets connected to `target`.
    pub(super) fn open(target: SocketAddr, ports: usize, batch: usize, largest: usize) -> io::Result<Self> {
        let sockets = (0..ports).map(|_| connect(target)).collect::<io::Result<_>>()?;
        Ok(Self { sockets, outgoing: ClientBatch::new(batch, largest), incoming: ClientBatch::new(batch.max(32), KEPT) })
    }
}

/// Creates a UDP socket of the right address family, connected to `target`.
fn connect(target: SocketAddr) -> io::Result<UdpSocket> {
    let any: SocketAddr = if target.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0u16; 8], 0).into() };
    let socket = UdpSocket::bind(any)?;
    // It is not an error if the system grants less. The queue is then only shorter.
    let _ = socket2::SockRef::from(&socket).set_recv_buffer_size(RECEIVE_BUFFER);
    socket.connect(target)?;
    Ok(socket)
}

impl QueryCarrier for UdpCarrier {
    const BREAKS: bool = false;

    fn lines(&self) -> usize {
        self.sockets.len()
    }

    fn descriptor(&self, line: usize) -> BorrowedFd<'_> {
        self.sockets[line].as_fd()
    }

    fn fill(&mut self, _line: usize, index: usize, write: impl FnOnce(&mut [u8]) -> usize) {
        self.outgoing.fill(index, write);
    }

    fn flush(&mut self, line: usize, count: usize) -> io::Result<usize> {
        self.outgoing.send(&self.sockets[line], 0, count)
    }

    fn receive(&mut self, line: usize, mut each: impl FnMut(&[u8])) -> io::Result<bool> {
        let count = self.incoming.receive(&self.sockets[line])?;
        for index in 0..count {
            each(self.incoming.datagram(index));
        }
        Ok(count == self.incoming.capacity())
    }

    fn wants_write(&self, _line: usize) -> bool {
        false
    }

    fn reopen(&mut self, _line: usize) -> io::Result<()> {
        Ok(())
    }
}
