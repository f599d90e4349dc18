//! UDP: connected sockets, one a source port, with batches both ways.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};

use postern_sockets::ClientBatch;

use super::worker::Carrier;

/// Octets of a received datagram that are kept; header and question are all that is read.
const KEPT: usize = 1536;
/// What the kernel may queue for one source port; a burst of answers waits here while others are read.
const RECEIVE_BUFFER: usize = 1 << 20;

/// Connected UDP sockets that share the batches of one thread.
pub(super) struct Udp {
    sockets: Vec<UdpSocket>,
    outgoing: ClientBatch,
    incoming: ClientBatch,
}

impl Udp {
    /// Opens `ports` sockets towards `target`.
    pub(super) fn open(target: SocketAddr, ports: usize, batch: usize, largest: usize) -> io::Result<Self> {
        let sockets = (0..ports).map(|_| connect(target)).collect::<io::Result<_>>()?;
        Ok(Self { sockets, outgoing: ClientBatch::new(batch, largest), incoming: ClientBatch::new(batch.max(32), KEPT) })
    }
}

/// A UDP socket of the right family, connected to `target`.
fn connect(target: SocketAddr) -> io::Result<UdpSocket> {
    let any: SocketAddr = if target.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0u16; 8], 0).into() };
    let socket = UdpSocket::bind(any)?;
    // A system that grants less is no error: the queue is then as short as it was.
    let _ = socket2::SockRef::from(&socket).set_recv_buffer_size(RECEIVE_BUFFER);
    socket.connect(target)?;
    Ok(socket)
}

impl Carrier for Udp {
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
