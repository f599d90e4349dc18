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
    let mut octets = vec![[0u8; SIZE]; BATCH];
    // SAFETY: sockaddr_storage is plain old data, for which all zeros is a valid value.
    let mut addresses: Vec<libc::sockaddr_storage> = vec![unsafe { std::mem::zeroed() }; BATCH];
    let mut vectors = vec![libc::iovec { iov_base: ptr::null_mut(), iov_len: SIZE }; BATCH];
    // SAFETY: mmsghdr is plain old data of integers and pointers, for which all zeros is a valid
    // value.
    let mut headers: Vec<libc::mmsghdr> = vec![unsafe { std::mem::zeroed() }; BATCH];
    let octets = octets.as_mut_ptr();
    for index in 0..BATCH {
        // SAFETY: `index` is below BATCH, the length of all four vectors, so each pointer stays
        // inside its own. From here to the end of the function the octets are reached through this
        // one pointer alone. None of the vectors grows or moves.
        unsafe {
            vectors[index].iov_base = octets.add(index).cast();
            headers[index].msg_hdr.msg_name = addresses.as_mut_ptr().add(index).cast();
            headers[index].msg_hdr.msg_iov = vectors.as_mut_ptr().add(index);
        }
        headers[index].msg_hdr.msg_namelen = size_of::<libc::sockaddr_storage>() as libc::socklen_t;
        headers[index].msg_hdr.msg_iovlen = 1;
    }
    let mut answered = 0u64;
    let headers = headers.as_mut_ptr();
    while !stop.load(Ordering::Relaxed) {
        // SAFETY: the BATCH headers point at addresses, vectors and octets that live as long as
        // this function. The length of each vector is that of its slot.
        let received = unsafe { libc::recvmmsg(socket.as_raw_fd(), headers, BATCH as libc::c_uint, libc::MSG_WAITFORONE, ptr::null_mut()) };
        if received < 0 {
            let error = io::Error::last_os_error();
            match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted | io::ErrorKind::ConnectionRefused => continue,
                _ => return Err(error),
            }
        }
        let received = received as usize;
        let mut kept = 0usize;
        for index in 0..received {
            // SAFETY: `index` is below `received`, which is at most BATCH. The kernel has filled
            // `msg_len` octets of that slot, at most SIZE. Each header points at its own vector,
            // and swapping whole headers preserves that.
            unsafe {
                let length = (*headers.add(index)).msg_len as usize;
                let vector = (*headers.add(index)).msg_hdr.msg_iov;
                let place = (*vector).iov_base.cast::<u8>();
                if length < 12 || *place.add(2) & 0x80 != 0 {
                    continue;
                }
                *place.add(2) |= 0x80;
                (*vector).iov_len = length;
                if kept != index {
                    ptr::swap(headers.add(kept), headers.add(index));
                }
            }
            kept += 1;
        }
        let mut sent = 0usize;
        while sent < kept {
            // SAFETY: headers `sent..kept` hold addresses and vectors as received, with the lengths
            // of the received datagrams.
            let count = unsafe { libc::sendmmsg(socket.as_raw_fd(), headers.add(sent), (kept - sent) as libc::c_uint, 0) };
            // A datagram that cannot be sent is lost, as on any network. The others are still sent.
            sent += if count > 0 { count as usize } else { 1 };
        }
        answered += kept as u64;
        for index in 0..received {
            // SAFETY: `index` is below BATCH. The vector of each header belongs to this function.
            unsafe {
                (*(*headers.add(index)).msg_hdr.msg_iov).iov_len = SIZE;
                (*headers.add(index)).msg_hdr.msg_namelen = size_of::<libc::sockaddr_storage>() as libc::socklen_t;
            }
        }
    }
    Ok(answered)
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
