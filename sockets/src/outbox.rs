//! Batches of datagrams from one socket to many peers, for replies that are sent later than their
//! batch.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;

use crate::address::{ControlMessage, SocketAddress};
use crate::batch::BatchSent;

/// Datagrams that one call sends from one socket.
pub struct DatagramOutbox {
    octets: Vec<u8>,
    letters: Vec<Letter>,
    vectors: Vec<libc::iovec>,
    headers: Vec<libc::mmsghdr>,
}

/// Start, peer and source address of one datagram.
struct Letter {
    start: usize,
    end: usize,
    peer: SocketAddress,
    peer_size: libc::socklen_t,
    control: Option<(ControlMessage, usize)>,
}

// SAFETY: each `send` writes the pointers in vectors and headers again, under `&mut self`. They are
// not used outside of it.
unsafe impl Send for DatagramOutbox {}

impl DatagramOutbox {
    /// Creates an empty outbox that holds `count` datagrams before it allocates.
    pub fn new(count: usize) -> Self {
        Self {
            octets: Vec::with_capacity(count * 256),
            letters: Vec::with_capacity(count),
            vectors: Vec::with_capacity(count),
            headers: Vec::with_capacity(count),
        }
    }

    /// Returns the number of datagrams in the outbox.
    pub fn len(&self) -> usize {
        self.letters.len()
    }

    /// Returns true if the outbox is empty.
    pub fn is_empty(&self) -> bool {
        self.letters.is_empty()
    }

    /// Adds a datagram to `peer`. On a socket that is bound to a wildcard address, `local` is the
    /// source address.
    pub fn push(&mut self, octets: &[u8], peer: SocketAddr, local: Option<IpAddr>) {
        let start = self.octets.len();
        self.octets.extend_from_slice(octets);
        let (peer, peer_size) = SocketAddress::write(peer);
        self.letters.push(Letter { start, end: self.octets.len(), peer, peer_size, control: local.map(ControlMessage::write) });
    }

    /// Sends all datagrams without blocking, and empties the outbox. Datagrams that the kernel
    /// rejects or has no room for are lost.
    pub fn send(&mut self, socket: &UdpSocket) -> BatchSent {
        self.point();
        let mut result = BatchSent::default();
        let mut next = 0;
        while next < self.headers.len() {
            let rest = &mut self.headers[next..];
            // UIO_MAXIOV: the kernel accepts no more per call.
            let count = rest.len().min(1024) as libc::c_uint;
            // SAFETY: `point` has set up these headers. Each points at an address, a vector, octets
            // and perhaps a control message of `self`, with their sizes. None of them is moved or
            // written before the call returns.
            let sent = unsafe { libc::sendmmsg(socket.as_raw_fd(), rest.as_mut_ptr(), count, libc::MSG_DONTWAIT as _) };
            if sent > 0 {
                next += sent as usize;
                result.sent += sent as usize;
                continue;
            }
            let error = io::Error::last_os_error();
            if error.kind() == io::ErrorKind::Interrupted {
                continue;
            }
            // Without room, the remaining datagrams cannot be sent either. Any other error belongs
            // to the first datagram of those passed.
            let lost = if error.kind() == io::ErrorKind::WouldBlock { self.headers.len() - next } else { 1 };
            next += lost;
            result.lost += lost;
            result.error = Some(error);
        }
        self.octets.clear();
        self.letters.clear();
        result
    }

    /// Points the headers at their datagrams. This is repeated for each call, because the vectors
    /// may have moved.
    fn point(&mut self) {
        self.vectors.clear();
        self.headers.clear();
        let octets = self.octets.as_mut_ptr();
        for letter in &self.letters {
            // SAFETY: `start` was inside `octets` or at its end when the datagram was added, and
            // nothing was removed since.
            let base = unsafe { octets.add(letter.start) };
            self.vectors.push(libc::iovec { iov_base: base.cast(), iov_len: letter.end - letter.start });
        }
        let vectors = self.vectors.as_mut_ptr();
        for (index, letter) in self.letters.iter_mut().enumerate() {
            // SAFETY: mmsghdr is plain old data of integers and pointers, for which all zeros is a
            // valid value.
            let mut header: libc::mmsghdr = unsafe { std::mem::zeroed() };
            header.msg_hdr.msg_name = (&raw mut letter.peer).cast();
            header.msg_hdr.msg_namelen = letter.peer_size;
            // SAFETY: there is a vector for each datagram.
            header.msg_hdr.msg_iov = unsafe { vectors.add(index) };
            header.msg_hdr.msg_iovlen = 1;
            if let Some((control, size)) = &mut letter.control {
                header.msg_hdr.msg_control = (control as *mut ControlMessage).cast();
                header.msg_hdr.msg_controllen = *size as _;
            }
            self.headers.push(header);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{UdpOptions, bind_udp};
    use std::time::Duration;

    #[test]
    fn datagrams_go_to_their_peers_from_the_address_that_was_asked() {
        let socket = bind_udp("0.0.0.0:0".parse().unwrap(), &UdpOptions { reuse_port: false, ..Default::default() }).unwrap();
        let port = socket.local_addr().unwrap().port();
        let clients: Vec<UdpSocket> = (0..3).map(|_| UdpSocket::bind("127.0.0.1:0").unwrap()).collect();
        let mut outbox = DatagramOutbox::new(1);
        for round in 0..2u8 {
            for (index, client) in (0u8..).zip(&clients) {
                client.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
                let local = [Some("127.0.0.2".parse().unwrap()), None, Some("127.0.0.4".parse().unwrap())][usize::from(index)];
                outbox.push(&vec![index + round; usize::from(index) + 1], client.local_addr().unwrap(), local);
            }
            assert_eq!((outbox.len(), outbox.send(&socket).sent, outbox.is_empty()), (3, 3, true));
            for (index, client) in (0u8..).zip(&clients) {
                let mut buffer = [0; 16];
                let (length, from) = crate::receive(client, &mut buffer).unwrap();
                assert_eq!(buffer[..length], vec![index + round; usize::from(index) + 1]);
                let want = ["127.0.0.2", "127.0.0.1", "127.0.0.4"][usize::from(index)];
                assert_eq!(from, SocketAddr::new(want.parse().unwrap(), port));
            }
        }
    }

    #[test]
    fn one_that_is_refused_does_not_hold_up_the_others() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        client.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let mut outbox = DatagramOutbox::new(4);
        outbox.push(b"one", client.local_addr().unwrap(), None);
        outbox.push(b"bad", "192.0.2.1:0".parse().unwrap(), None); // port 0: EINVAL
        outbox.push(b"two", client.local_addr().unwrap(), None);
        let sent = outbox.send(&socket);
        assert_eq!((sent.sent, sent.lost), (2, 1), "{sent:?}");
        for want in [b"one", b"two"] {
            let mut buffer = [0; 16];
            let length = crate::receive(&client, &mut buffer).unwrap().0;
            assert_eq!(&buffer[..length], want);
        }
    }
}
