//! A minimal echo server: the least work that a batching server can do, and therefore the unit in
//! which servers are measured.

use std::io;
use std::net::UdpSocket;
use std::os::fd::AsRawFd;
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};

/// Datagrams per batch.
const BATCH: usize = 64;
/// Buffer size per datagram in octets. Queries are shorter.
const SIZE: usize = 2048;

/// Sends back every datagram of at least 12 octets until `stop` is set. The highest bit of the
/// third octet (QR of a DNS header) is set in the reply.
///
/// The socket blocks, with a read timeout that bounds how late `stop` is noticed. Datagrams that
/// already have that bit are dropped, because two mirrors would otherwise exchange them forever.
pub fn mirror(socket: &UdpSocket, stop: &AtomicBool) -> io::Result<u64> {
    let mut slots = Slots::new();
    let mut answered = 0u64;
    while !stop.load(Ordering::Relaxed) {
        let Some(received) = slots.receive(socket)? else { continue };
        let kept = slots.keep_queries(received);
        slots.send(socket, kept);
        slots.reset(received);
        answered += kept as u64;
    }
    Ok(answered)
}

/// Buffers for one batch. Each header points at an address, and at a vector that points at a
/// datagram of `octets`.
struct Slots {
    /// These three own the memory that the headers point at. Once the pointers are made, it is
    /// reached through them alone, and none of the vectors grows or is replaced.
    _octets: Vec<[u8; SIZE]>,
    _addresses: Vec<libc::sockaddr_storage>,
    _vectors: Vec<libc::iovec>,
    headers: Vec<libc::mmsghdr>,
}

impl Slots {
    fn new() -> Self {
        let mut octets = vec![[0u8; SIZE]; BATCH];
        // SAFETY: sockaddr_storage is plain old data, for which all zeros is a valid value.
        let mut addresses: Vec<libc::sockaddr_storage> = vec![unsafe { std::mem::zeroed() }; BATCH];
        let mut vectors = vec![libc::iovec { iov_base: ptr::null_mut(), iov_len: SIZE }; BATCH];
        // SAFETY: mmsghdr is plain old data of integers and pointers, for which all zeros is a
        // valid value.
        let mut headers: Vec<libc::mmsghdr> = vec![unsafe { std::mem::zeroed() }; BATCH];
        let (octets_start, addresses_start, vectors_start) = (octets.as_mut_ptr(), addresses.as_mut_ptr(), vectors.as_mut_ptr());
        for (index, header) in headers.iter_mut().enumerate() {
            // SAFETY: `index` is below BATCH, the length of all four vectors, so each pointer stays
            // inside its own.
            unsafe {
                (*vectors_start.add(index)).iov_base = octets_start.add(index).cast();
                header.msg_hdr.msg_name = addresses_start.add(index).cast();
                header.msg_hdr.msg_iov = vectors_start.add(index);
            }
            header.msg_hdr.msg_namelen = size_of::<libc::sockaddr_storage>() as libc::socklen_t;
            header.msg_hdr.msg_iovlen = 1;
        }
        Self { _octets: octets, _addresses: addresses, _vectors: vectors, headers }
    }

    /// Receives a batch. Returns `None` if the wait ended without a datagram.
    fn receive(&mut self, socket: &UdpSocket) -> io::Result<Option<usize>> {
        let headers = self.headers.as_mut_ptr();
        // SAFETY: the BATCH headers point at addresses, vectors and octets that live as long as
        // `self`. The length of each vector is that of its datagram.
        let received =
            unsafe { libc::recvmmsg(socket.as_raw_fd(), headers, BATCH as libc::c_uint, libc::MSG_WAITFORONE as _, ptr::null_mut()) };
        if received >= 0 {
            return Ok(Some(received as usize));
        }
        let error = io::Error::last_os_error();
        match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted | io::ErrorKind::ConnectionRefused => Ok(None),
            _ => Err(error),
        }
    }

    /// Turns the received queries into replies, in front of all other datagrams. Returns their
    /// number.
    fn keep_queries(&mut self, received: usize) -> usize {
        let mut kept = 0;
        for index in 0..received {
            let length = self.headers[index].msg_len as usize;
            // SAFETY: the header points at a vector of `self`, and the vector at SIZE octets of
            // `self`, of which the kernel has filled `msg_len`. No reference to either exists.
            unsafe {
                let vector = self.headers[index].msg_hdr.msg_iov;
                let flags = (*vector).iov_base.cast::<u8>().add(2);
                if length < 12 || *flags & 0x80 != 0 {
                    continue;
                }
                *flags |= 0x80;
                (*vector).iov_len = length;
            }
            // Each header keeps its own vector, so swapping whole headers moves no datagram.
            self.headers.swap(kept, index);
            kept += 1;
        }
        kept
    }

    /// Sends the first `kept` datagrams. One that cannot be sent is lost, as on any network. The
    /// others are still sent.
    fn send(&mut self, socket: &UdpSocket, kept: usize) {
        let mut sent = 0;
        while sent < kept {
            let headers = &mut self.headers[sent..kept];
            // SAFETY: the headers hold addresses and vectors as received, with the lengths of the
            // received datagrams.
            let count = unsafe { libc::sendmmsg(socket.as_raw_fd(), headers.as_mut_ptr(), headers.len() as libc::c_uint, 0) };
            sent += if count > 0 { count as usize } else { 1 };
        }
    }

    /// Restores the lengths that receiving and sending changed.
    fn reset(&mut self, received: usize) {
        for header in &mut self.headers[..received] {
            header.msg_hdr.msg_namelen = size_of::<libc::sockaddr_storage>() as libc::socklen_t;
            // SAFETY: the header points at a vector of `self`, to which no reference exists.
            unsafe { (*header.msg_hdr.msg_iov).iov_len = SIZE };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn the_mirror_answers_queries_and_drops_the_rest() {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        server.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        client.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        client.connect(server.local_addr().unwrap()).unwrap();
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let answered = scope.spawn(|| mirror(&server, &stop));
            client.send(&[1; 5]).unwrap();
            client.send(&[0x80; 20]).unwrap();
            for round in 1..100u8 {
                client.send(&[round & 0x7f; 30]).unwrap();
                let mut reply = [0; 100];
                assert_eq!(crate::receive(&client, &mut reply).unwrap().0, 30);
                assert_eq!(reply[2], round | 0x80);
                assert_eq!(reply[3], round);
            }
            stop.store(true, Ordering::Relaxed);
            assert_eq!(answered.join().unwrap().unwrap(), 99);
        });
    }
}
