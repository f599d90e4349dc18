//! The back end of the kernel's UDP sockets: `recvmmsg` and `sendmmsg`.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;

use super::DatagramBackend;
use crate::batch::{BatchSent, DatagramBatch, ReceivedDatagram};

/// A kernel socket with the buffers of a batch.
pub struct KernelBackend {
    socket: Arc<UdpSocket>,
    batch: DatagramBatch,
}

impl DatagramBackend for KernelBackend {
    fn open(socket: &Arc<UdpSocket>, slots: usize, size: usize) -> io::Result<Self> {
        Ok(Self { socket: socket.clone(), batch: DatagramBatch::new(slots, size) })
    }

    fn resize(&mut self, size: usize) {
        self.batch = DatagramBatch::new(self.batch.capacity(), size);
    }

    fn receive(&mut self, wait: bool) -> io::Result<usize> {
        self.batch.receive(&self.socket, wait)
    }

    #[inline]
    fn datagram(&mut self, index: usize) -> ReceivedDatagram<'_> {
        self.batch.datagram(index)
    }

    #[inline]
    fn peek(&self, index: usize) -> (SocketAddr, &[u8]) {
        self.batch.peek(index)
    }

    #[inline]
    fn reply(&mut self, index: usize, length: usize) {
        self.batch.reply(index, length);
    }

    fn send(&mut self) -> BatchSent {
        self.batch.send(&self.socket)
    }
}
