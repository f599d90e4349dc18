//! Back ends that move the datagrams of a server: one small trait, and one file for each of them.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;

use crate::batch::{BatchSent, ReceivedDatagram};

pub use kernel::KernelBackend;

mod kernel;

/// Receives queries of one server address in batches, and sends the replies from the same buffers.
///
/// Workers are generic over the back end, so that a call costs nothing. The kernel socket of the
/// address exists with every back end. Replies that are sent later leave by it, and so do the
/// datagrams that a back end does not handle.
pub trait DatagramBackend: Send + Sized {
    /// Opens a back end for the address of `socket`, with `slots` buffers of `size` octets.
    fn open(socket: &Arc<UdpSocket>, slots: usize, size: usize) -> io::Result<Self>;

    /// Changes the size of the buffers between two batches. Received datagrams are lost.
    fn resize(&mut self, size: usize);

    /// Receives the waiting datagrams, up to a whole batch. With `wait`, it blocks for the first
    /// one, up to the read timeout of the socket. Returns the number of datagrams, which may be 0.
    fn receive(&mut self, wait: bool) -> io::Result<usize>;

    /// Returns datagram `index` of the last batch.
    fn datagram(&mut self, index: usize) -> ReceivedDatagram<'_>;

    /// Returns the sender of datagram `index` of the last batch, and its octets.
    fn peek(&self, index: usize) -> (SocketAddr, &[u8]);

    /// Marks the first `length` octets of buffer `index` as the reply to its datagram.
    fn reply(&mut self, index: usize, length: usize);

    /// Sends the marked replies. A rejected reply is counted, and the others are still sent.
    fn send(&mut self) -> BatchSent;
}
