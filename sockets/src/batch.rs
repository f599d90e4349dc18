//! Batches of datagrams on a server socket. One call receives them, and another sends the replies
//! from the same buffers.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::ptr::{self, NonNull};

use crate::address::{ControlMessage, SocketAddress};

/// Buffers for a batch of queries and their replies. Each thread has its own. Nothing is allocated
/// after construction.
///
/// ```no_run
/// # let (mut batch, socket) = (postern_sockets::DatagramBatch::new(64, 2048), std::net::UdpSocket::bind("127.0.0.1:0").unwrap());
/// let received = batch.receive(&socket, true)?;
/// for index in 0..received {
///     let datagram = batch.datagram(index);
///     let length = datagram.length; // the reply is written into `datagram.buffer`
///     batch.reply(index, length);
/// }
/// let sent = batch.send(&socket);
/// # std::io::Result::Ok(())
/// ```
pub struct DatagramBatch {
    octets: Owned<u8>,
    slots: Owned<Slot>,
    /// One header for each slot, prepared for receiving. Fields that the kernel changes are reset
    /// before the next call.
    headers: Owned<libc::mmsghdr>,
    /// Reply headers without gaps: copies of the headers of the slots that have a reply.
    replies: Owned<libc::mmsghdr>,
    size: usize,
    stride: usize,
    received: usize,
    marked: usize,
}

/// Everything that belongs to one datagram except its octets.
struct Slot {
    peer: SocketAddress,
    control: ControlMessage,
    receive: libc::iovec,
    reply: libc::iovec,
}

/// One received datagram.
#[derive(Debug)]
pub struct ReceivedDatagram<'b> {
    /// Address of the sender.
    pub peer: SocketAddr,
    /// The address it was sent to. Set only on a socket that is bound to a wildcard address.
    pub local: Option<IpAddr>,
    /// Length of the datagram, in octets from the start of `buffer`.
    pub length: usize,
    /// Set if the datagram was longer than the buffer. The rest is lost.
    pub truncated: bool,
    /// The whole buffer, into which a reply may be written.
    pub buffer: &'b mut [u8],
}

/// Outcome of sending a batch of replies.
#[derive(Debug, Default)]
pub struct BatchSent {
    /// Replies that the kernel accepted.
    pub sent: usize,
    /// Replies that the kernel rejected permanently.
    pub lost: usize,
    /// Error of the last rejected reply.
    pub error: Option<io::Error>,
}

/// How often, and how long each time, a batch waits for room to send. The sum is 60 ms, which is
/// shorter than the time after which a stub resolver retries.
const WAITS: u32 = 3;
const WAIT_MS: libc::c_int = 20;

impl DatagramBatch {
    /// Creates a batch of `slots` datagrams, each with a buffer of `size` octets.
    pub fn new(slots: usize, size: usize) -> Self {
        let slots = slots.clamp(1, 1024); // UIO_MAXIOV: the kernel accepts no more per call
        // The stride is an odd number of cache lines. With a power of two, all buffers would start
        // in the same few sets of the first-level cache.
        let stride = (size.div_ceil(64) | 1) * 64;
        let empty = libc::iovec { iov_base: ptr::null_mut(), iov_len: 0 };
        let slot = || Slot { peer: SocketAddress::empty(), control: ControlMessage::empty(), receive: empty, reply: empty };
        // SAFETY: mmsghdr is plain old data of integers and pointers, for which all zeros is a
        // valid value.
        let header = || -> libc::mmsghdr { unsafe { std::mem::zeroed() } };
        let this = Self {
            octets: Owned::new(vec![0; slots * stride]),
            slots: Owned::new((0..slots).map(|_| slot()).collect()),
            headers: Owned::new((0..slots).map(|_| header()).collect()),
            replies: Owned::new((0..slots).map(|_| header()).collect()),
            size,
            stride,
            received: 0,
            marked: 0,
        };
        for index in 0..slots {
            let buffer = this.octets.at(index * stride);
            let slot = this.slots.at(index);
            // SAFETY: `at` returns valid pointers into memory that `this` owns and that nothing
            // else refers to. The slots are only written, not read. The headers keep pointers with
            // the provenance of the allocations, which neither move nor are freed before `this` is.
            unsafe {
                (*slot).receive = libc::iovec { iov_base: buffer.cast(), iov_len: size };
                (*slot).reply = libc::iovec { iov_base: buffer.cast(), iov_len: 0 };
                let header = &mut (*this.headers.at(index)).msg_hdr;
                header.msg_name = (&raw mut (*slot).peer).cast();
                header.msg_namelen = SocketAddress::SIZE;
                header.msg_iov = &raw mut (*slot).receive;
                header.msg_iovlen = 1;
                header.msg_control = (&raw mut (*slot).control).cast();
                header.msg_controllen = ControlMessage::SIZE as _;
            }
        }
        this
    }

    /// Returns the number of datagrams that fit.
    pub fn capacity(&self) -> usize {
        self.slots.len()
    }

    /// Receives the waiting datagrams, up to a whole batch. With `wait`, it blocks for the first
    /// one, up to the socket's read timeout.
    ///
    /// Returns the number of datagrams, which is 0 after a timeout or a signal.
    pub fn receive(&mut self, socket: &UdpSocket, wait: bool) -> io::Result<usize> {
        for index in 0..self.received {
            // SAFETY: `at` returns a valid pointer into memory of `self` that no reference points
            // at.
            unsafe {
                let header = &mut (*self.headers.at(index)).msg_hdr;
                header.msg_namelen = SocketAddress::SIZE;
                header.msg_controllen = ControlMessage::SIZE as _;
            }
        }
        (self.received, self.marked) = (0, 0);
        let count = self.capacity() as libc::c_uint;
        let flags = if wait { libc::MSG_WAITFORONE } else { libc::MSG_DONTWAIT };
        // SAFETY: the `count` headers point at addresses, vectors, buffers and control space that
        // `self` owns, with their sizes. `new` set them up, and the loop above reset the fields
        // that the last call changed. `&mut self` excludes every other access.
        let received = unsafe { libc::recvmmsg(socket.as_raw_fd(), self.headers.at(0), count, flags as _, ptr::null_mut()) };
        if received < 0 {
            let error = io::Error::last_os_error();
            return match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => Ok(0),
                _ => Err(error),
            };
        }
        self.received = received as usize;
        Ok(self.received)
    }

    /// Returns datagram `index` of the last batch.
    #[inline]
    pub fn datagram(&mut self, index: usize) -> ReceivedDatagram<'_> {
        assert!(index < self.received, "no such datagram in the batch");
        // SAFETY: `at` returns valid pointers into memory of `self`. The buffer is the `size`
        // initialized octets of slot `index` alone. It is borrowed for as long as `self`, so
        // neither the kernel nor a second reference can reach it meanwhile.
        unsafe {
            let header = &*self.headers.at(index);
            let slot = &*self.slots.at(index);
            ReceivedDatagram {
                peer: slot.peer.read(),
                local: if header.msg_hdr.msg_controllen == 0 { None } else { slot.control.local() },
                length: (header.msg_len as usize).min(self.size),
                truncated: header.msg_hdr.msg_flags & libc::MSG_TRUNC != 0,
                buffer: std::slice::from_raw_parts_mut(self.octets.at(index * self.stride), self.size),
            }
        }
    }

    /// Returns the sender of datagram `index` of the last batch, and its octets.
    #[inline]
    pub fn peek(&self, index: usize) -> (SocketAddr, &[u8]) {
        assert!(index < self.received, "no such datagram in the batch");
        // SAFETY: as in `datagram`. Nothing is written while `self` is borrowed.
        unsafe {
            let length = ((*self.headers.at(index)).msg_len as usize).min(self.size);
            ((*self.slots.at(index)).peer.read(), std::slice::from_raw_parts(self.octets.at(index * self.stride), length))
        }
    }

    /// Marks the first `length` octets of buffer `index` as the reply to its datagram. The next
    /// [`DatagramBatch::send`] sends it.
    #[inline]
    pub fn reply(&mut self, index: usize, length: usize) {
        assert!(index < self.received && length <= self.size && self.marked < self.capacity(), "no such reply in the batch");
        // SAFETY: `at` returns valid pointers into memory of `self` that no reference points at.
        unsafe {
            let slot = &mut *self.slots.at(index);
            let reply = self.replies.at(self.marked);
            *reply = *self.headers.at(index);
            slot.reply.iov_len = length;
            (*reply).msg_hdr.msg_iov = &raw mut slot.reply;
            if (*reply).msg_hdr.msg_controllen != 0 {
                match slot.control.local() {
                    Some(_) => slot.control.turn(),
                    None => (*reply).msg_hdr.msg_controllen = 0 as _,
                }
            }
        }
        self.marked += 1;
    }

    /// Sends the marked replies, and waits briefly when the kernel has no room. A rejected reply is
    /// counted, and the others are still sent.
    pub fn send(&mut self, socket: &UdpSocket) -> BatchSent {
        let mut result = BatchSent::default();
        let mut waits = 0;
        let mut next = 0;
        while next < self.marked {
            let count = (self.marked - next) as libc::c_uint;
            // SAFETY: replies `next..marked` point at addresses, control messages and vectors of
            // `self`, as received and as `reply` left them. Their buffers hold at least `iov_len`
            // initialized octets. `&mut self` excludes every other access.
            let sent = unsafe { libc::sendmmsg(socket.as_raw_fd(), self.replies.at(next), count, 0) };
            if sent > 0 {
                next += sent as usize;
                result.sent += sent as usize;
                continue;
            }
            let error = io::Error::last_os_error();
            match error.raw_os_error() {
                Some(libc::EINTR) => {}
                Some(libc::EAGAIN | libc::ENOBUFS) if waits < WAITS => {
                    waits += 1;
                    wait_for_room(socket, error.raw_os_error() == Some(libc::ENOBUFS));
                }
                // The error belongs to the first datagram of those passed.
                _ => {
                    next += 1;
                    result.lost += 1;
                    result.error = Some(error);
                }
            }
        }
        self.marked = 0;
        result
    }
}

/// Sends one datagram to `peer`. On a socket that is bound to a wildcard address, `local` is the
/// source address. Waits as [`DatagramBatch::send`] does.
pub fn send_to_from(socket: &UdpSocket, octets: &[u8], peer: SocketAddr, local: Option<IpAddr>) -> io::Result<()> {
    let (mut peer, peer_size) = SocketAddress::write(peer);
    let control = local.map(ControlMessage::write);
    let mut vector = libc::iovec { iov_base: octets.as_ptr().cast_mut().cast(), iov_len: octets.len() };
    // SAFETY: msghdr is plain old data of integers and pointers, for which all zeros is a valid
    // value.
    let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
    header.msg_name = (&raw mut peer).cast();
    header.msg_namelen = peer_size;
    header.msg_iov = &raw mut vector;
    header.msg_iovlen = 1;
    if let Some((control, size)) = &control {
        header.msg_control = ptr::from_ref(control).cast_mut().cast();
        header.msg_controllen = *size as _;
    }
    for turn in 0..=WAITS {
        // SAFETY: the header points at an address, a vector and a control message that live until
        // the end of this function, with their sizes. The kernel reads them and the `octets`, and
        // writes nothing.
        if unsafe { libc::sendmsg(socket.as_raw_fd(), &header, 0) } >= 0 {
            return Ok(());
        }
        let error = io::Error::last_os_error();
        match error.raw_os_error() {
            Some(libc::EINTR) => {}
            Some(libc::EAGAIN | libc::ENOBUFS) if turn < WAITS => {
                wait_for_room(socket, error.raw_os_error() == Some(libc::ENOBUFS));
            }
            _ => return Err(error),
        }
    }
    Err(io::ErrorKind::WouldBlock.into())
}

/// Waits until the socket has room. With `device`, the queue of the network device is full, for
/// which the kernel sends no notification.
#[cold]
fn wait_for_room(socket: &UdpSocket, device: bool) {
    if device {
        std::thread::sleep(std::time::Duration::from_millis(1));
        return;
    }
    let mut poll = libc::pollfd { fd: socket.as_raw_fd(), events: libc::POLLOUT, revents: 0 };
    // SAFETY: one pollfd, which outlives the call. Its result does not matter, because the next
    // attempt to send shows whether there is room.
    unsafe { libc::poll(&mut poll, 1, WAIT_MS) };
}

/// Memory whose addresses are passed to the kernel. A `Box` must not be used while such pointers
/// exist.
struct Owned<T> {
    start: NonNull<T>,
    length: usize,
}

// SAFETY: this type owns its memory as a `Box<[T]>` does, and only returns pointers. `DatagramBatch` uses
// them under `&mut self` alone. The values (integers and pointers into the same batch) are valid in
// every thread.
unsafe impl<T> Send for Owned<T> {}

impl<T> Owned<T> {
    fn new(values: Vec<T>) -> Self {
        let values = Box::leak(values.into_boxed_slice());
        Self { length: values.len(), start: NonNull::from(values).cast() }
    }

    fn len(&self) -> usize {
        self.length
    }

    /// Returns a pointer to value `index`, valid for all values from there to the end.
    #[inline]
    fn at(&self, index: usize) -> *mut T {
        assert!(index < self.length, "outside of the batch");
        // SAFETY: `index` is inside the allocation.
        unsafe { self.start.as_ptr().add(index) }
    }
}

impl<T> Drop for Owned<T> {
    fn drop(&mut self) {
        // SAFETY: start and length are those of the box leaked in `new`, and nothing uses it
        // afterwards.
        drop(unsafe { Box::from_raw(ptr::slice_from_raw_parts_mut(self.start.as_ptr(), self.length)) });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{UdpOptions, bind_udp};
    use std::time::Duration;

    fn client(address: &str) -> UdpSocket {
        let client = UdpSocket::bind(address).unwrap();
        client.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        client
    }

    /// Peer, local address, length and whether the datagram was truncated.
    type Seen = (SocketAddr, Option<IpAddr>, usize, bool);

    /// Replies to every datagram with its octets in reverse. Drops those that start with 0.
    fn reverse(batch: &mut DatagramBatch, socket: &UdpSocket) -> (usize, Vec<Seen>) {
        let received = batch.receive(socket, true).unwrap();
        let mut seen = Vec::new();
        for index in 0..received {
            let ReceivedDatagram { peer, local, length, truncated, buffer } = batch.datagram(index);
            seen.push((peer, local, length, truncated));
            buffer[..length].reverse();
            if buffer[length - 1] != 0 {
                batch.reply(index, length);
            }
        }
        let sent = batch.send(socket);
        assert_eq!(sent.lost, 0, "{:?}", sent.error);
        (sent.sent, seen)
    }

    #[test]
    fn replies_come_from_the_address_that_was_asked() {
        for (bound, asked, local) in [
            ("127.0.0.1:0", "127.0.0.1", None),
            ("0.0.0.0:0", "127.0.0.1", Some("127.0.0.1")),
            ("0.0.0.0:0", "127.9.8.7", Some("127.9.8.7")),
            ("[::1]:0", "::1", None),
            ("[::]:0", "::1", Some("::1")),
        ] {
            let server = bind_udp(bound.parse().unwrap(), &UdpOptions::default()).unwrap();
            let address = SocketAddr::new(asked.parse().unwrap(), server.local_addr().unwrap().port());
            let client = client(if address.is_ipv4() { "127.0.0.1:0" } else { "[::1]:0" });
            client.connect(address).unwrap(); // accepts replies from that address alone
            let mut batch = DatagramBatch::new(8, 512);
            for round in 1..20u8 {
                client.send(&[round, 7, 8]).unwrap();
                let (sent, seen) = reverse(&mut batch, &server);
                assert_eq!((sent, seen.len()), (1, 1), "{bound}");
                assert_eq!(seen[0], (client.local_addr().unwrap(), local.map(|local| local.parse().unwrap()), 3, false));
                let mut reply = [0; 16];
                assert_eq!(crate::receive(&client, &mut reply).unwrap().0, 3);
                assert_eq!(reply[..3], [8, 7, round]);
            }
            // A second exchange, to the other address.
            client.send(&[1]).unwrap();
            let peer = {
                batch.receive(&server, true).unwrap();
                batch.datagram(0).peer
            };
            send_to_from(&server, b"later", peer, local.map(|local| local.parse().unwrap())).unwrap();
            let mut reply = [0; 16];
            assert_eq!(crate::receive(&client, &mut reply).unwrap().0, 5);
        }
    }

    #[test]
    fn a_batch_answers_some_and_drops_others_and_none_gets_anothers_reply() {
        let server = bind_udp("127.0.0.1:0".parse().unwrap(), &UdpOptions::default()).unwrap();
        let clients: Vec<UdpSocket> = (0..20).map(|_| client("127.0.0.1:0")).collect();
        let mut batch = DatagramBatch::new(8, 512);
        for round in 1..50u8 {
            for (index, client) in clients.iter().enumerate() {
                let first = if index % 3 == 0 { 0 } else { round };
                client.send_to(&[first, index as u8, 9, 9][..2 + index % 3], server.local_addr().unwrap()).unwrap();
            }
            let mut seen = 0;
            while seen < clients.len() {
                seen += reverse(&mut batch, &server).1.len();
            }
            for (index, client) in clients.iter().enumerate().filter(|(index, _)| index % 3 != 0) {
                let mut reply = [0; 16];
                let length = crate::receive(client, &mut reply).unwrap().0;
                assert_eq!(length, 2 + index % 3);
                assert_eq!(reply[length - 2..length], [index as u8, round]);
            }
        }
    }

    #[test]
    fn a_datagram_longer_than_the_buffer_says_so() {
        let server = bind_udp("127.0.0.1:0".parse().unwrap(), &UdpOptions::default()).unwrap();
        let client = client("127.0.0.1:0");
        let mut batch = DatagramBatch::new(4, 100);
        for (length, want) in [(100, (100, false)), (101, (100, true)), (1, (1, false))] {
            client.send_to(&vec![5; length], server.local_addr().unwrap()).unwrap();
            let (_, seen) = reverse(&mut batch, &server);
            assert_eq!((seen[0].2, seen[0].3), want);
        }
    }

    #[test]
    fn an_empty_datagram_is_one_of_no_octets() {
        let server = bind_udp("127.0.0.1:0".parse().unwrap(), &UdpOptions::default()).unwrap();
        let mut batch = DatagramBatch::new(4, 100);
        client("127.0.0.1:0").send_to(&[], server.local_addr().unwrap()).unwrap();
        assert_eq!(batch.receive(&server, true).unwrap(), 1);
        assert_eq!(batch.datagram(0).length, 0);
    }

    #[test]
    fn waiting_ends_at_the_read_timeout_and_not_waiting_at_once() {
        let options = UdpOptions { read_timeout: Some(Duration::from_millis(10)), ..UdpOptions::default() };
        let server = bind_udp("127.0.0.1:0".parse().unwrap(), &options).unwrap();
        let mut batch = DatagramBatch::new(4, 100);
        assert_eq!(batch.receive(&server, true).unwrap(), 0);
        assert_eq!(batch.receive(&server, false).unwrap(), 0);
    }

    #[test]
    fn a_reply_that_cannot_be_sent_is_counted_and_the_rest_goes_out() {
        let server = bind_udp("127.0.0.1:0".parse().unwrap(), &UdpOptions::default()).unwrap();
        let client = client("127.0.0.1:0");
        let mut batch = DatagramBatch::new(4, 70_000);
        for octet in 1..=3u8 {
            client.send_to(&[octet], server.local_addr().unwrap()).unwrap();
        }
        let mut received = 0;
        while received < 3 {
            received = batch.receive(&server, true).unwrap();
            assert!(received == 3 || received == 0, "loopback queues datagrams as they are sent");
        }
        batch.reply(0, 1);
        batch.reply(1, 70_000); // longer than a datagram can be
        batch.reply(2, 1);
        let sent = batch.send(&server);
        assert_eq!((sent.sent, sent.lost), (2, 1));
        assert_eq!(sent.error.unwrap().raw_os_error(), Some(libc::EMSGSIZE));
        let mut reply = [0; 16];
        for octet in [1, 3] {
            assert_eq!(crate::receive(&client, &mut reply).unwrap().0, 1);
            assert_eq!(reply[0], octet);
        }
    }

    #[test]
    fn a_batch_can_go_to_another_thread() {
        let mut batch = DatagramBatch::new(2, 100);
        std::thread::spawn(move || {
            let server = bind_udp("127.0.0.1:0".parse().unwrap(), &UdpOptions::default()).unwrap();
            assert_eq!(batch.receive(&server, false).unwrap(), 0);
        })
        .join()
        .unwrap();
    }
}
