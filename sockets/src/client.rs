//! Batches of datagrams over connected sockets, for the client side.

use std::io;
use std::net::UdpSocket;
use std::os::fd::AsRawFd;
use std::ptr;

/// Buffers for a batch of datagrams. All connected sockets of one thread use them in turn.
///
/// Sending and receiving never block, whatever the mode of the socket.
pub struct ClientBatch {
    octets: Box<[u8]>,
    lengths: Box<[usize]>,
    size: usize,
    vectors: Box<[libc::iovec]>,
    headers: Box<[libc::mmsghdr]>,
}

// SAFETY: each call writes the pointers in vectors and headers again (`point`), under `&mut self`.
// Between calls they are not used.
unsafe impl Send for ClientBatch {}

impl ClientBatch {
    /// Creates `count` slots of `size` octets. A longer datagram is truncated when it arrives.
    pub fn new(count: usize, size: usize) -> Self {
        let count = count.clamp(1, 1024);
        let vector = libc::iovec { iov_base: ptr::null_mut(), iov_len: 0 };
        // SAFETY: mmsghdr is plain old data of integers and pointers, for which all zeros is a
        // valid value.
        let header: libc::mmsghdr = unsafe { std::mem::zeroed() };
        Self {
            octets: vec![0; count * size].into_boxed_slice(),
            lengths: vec![0; count].into_boxed_slice(),
            size,
            vectors: vec![vector; count].into_boxed_slice(),
            headers: vec![header; count].into_boxed_slice(),
        }
    }

    /// Returns the number of datagrams that fit.
    pub fn capacity(&self) -> usize {
        self.lengths.len()
    }

    /// Lets `write` fill slot `index`. `write` returns the number of octets that it wrote.
    pub fn fill(&mut self, index: usize, write: impl FnOnce(&mut [u8]) -> usize) {
        let place = &mut self.octets[index * self.size..(index + 1) * self.size];
        self.lengths[index] = write(place).min(self.size);
    }

    /// Returns the datagram in slot `index`, as filled or as received.
    pub fn datagram(&self, index: usize) -> &[u8] {
        &self.octets[index * self.size..][..self.lengths[index]]
    }

    /// Returns the datagram in slot `index`, to be changed in place.
    pub fn datagram_mut(&mut self, index: usize) -> &mut [u8] {
        &mut self.octets[index * self.size..][..self.lengths[index]]
    }

    /// Sends the slots `from..to`. Returns the number of datagrams sent, which is 0 if the socket
    /// has no room.
    pub fn send(&mut self, socket: &UdpSocket, from: usize, to: usize) -> io::Result<usize> {
        self.point(from, to, false);
        let count = (to - from) as libc::c_uint;
        // SAFETY: `point` has set up headers `from..to`. Each points at one iovec of `self`, which
        // points at initialized octets of `self`. All of them outlive the call, and nothing else
        // reads or writes them while it runs. No address and no control data are passed.
        let sent = unsafe { libc::sendmmsg(socket.as_raw_fd(), self.headers[from..to].as_mut_ptr(), count, libc::MSG_DONTWAIT as _) };
        if sent >= 0 { Ok(sent as usize) } else { none_if_blocked(io::Error::last_os_error()) }
    }

    /// Receives the waiting datagrams into the slots from 0 on. Returns their number, which is 0 if
    /// none was waiting.
    pub fn receive(&mut self, socket: &UdpSocket) -> io::Result<usize> {
        let count = self.capacity();
        self.point(0, count, true);
        // SAFETY: as in `send`. The kernel writes at most `iov_len` octets to each slot, which is
        // the size of that slot, and writes the lengths into the headers.
        let received = unsafe {
            libc::recvmmsg(socket.as_raw_fd(), self.headers.as_mut_ptr(), count as libc::c_uint, libc::MSG_DONTWAIT as _, ptr::null_mut())
        };
        if received < 0 {
            return none_if_blocked(io::Error::last_os_error());
        }
        for (length, header) in self.lengths.iter_mut().zip(&self.headers[..received as usize]) {
            *length = (header.msg_len as usize).min(self.size);
        }
        Ok(received as usize)
    }

    /// Points the headers at their octets. This is repeated for each call, because stored pointers
    /// would become invalid when the octets are borrowed.
    fn point(&mut self, from: usize, to: usize, whole: bool) {
        let places = self.octets.chunks_exact_mut(self.size).zip(&self.lengths);
        let vectors = self.vectors.iter_mut().zip(&mut self.headers);
        for ((place, length), (vector, header)) in places.zip(vectors).skip(from).take(to - from) {
            vector.iov_len = if whole { self.size } else { *length };
            vector.iov_base = place.as_mut_ptr().cast();
            header.msg_hdr.msg_iov = vector;
            header.msg_hdr.msg_iovlen = 1;
        }
    }
}

/// Returns 0 for a full buffer, an empty queue and an interrupted call. Other errors are returned,
/// such as the ICMP error of an earlier datagram, which the kernel reports once.
fn none_if_blocked(error: io::Error) -> io::Result<usize> {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => Ok(0),
        _ => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, Instant};

    #[test]
    fn a_batch_goes_out_and_comes_back_through_connected_sockets() {
        let one = UdpSocket::bind("127.0.0.1:0").unwrap();
        let two = UdpSocket::bind("127.0.0.1:0").unwrap();
        one.connect(two.local_addr().unwrap()).unwrap();
        two.connect(one.local_addr().unwrap()).unwrap();
        let mut batch = ClientBatch::new(4, 16);
        assert_eq!(batch.receive(&two).unwrap(), 0, "nothing is waiting, and receiving does not wait");
        for index in 0..4 {
            batch.fill(index, |place| {
                place[..index + 1].fill(index as u8);
                index + 1
            });
        }
        assert_eq!(batch.send(&one, 1, 4).unwrap(), 3);
        one.send(&[9; 40]).unwrap();
        let deadline = Instant::now() + Duration::from_secs(60);
        let mut came: Vec<Vec<u8>> = Vec::new();
        while came.len() < 4 && Instant::now() < deadline {
            let count = batch.receive(&two).unwrap();
            came.extend((0..count).map(|index| batch.datagram(index).to_vec()));
        }
        assert_eq!(came, [vec![1; 2], vec![2; 3], vec![3; 4], vec![9; 16]]);
    }
}
