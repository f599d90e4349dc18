//! Batches of datagrams on a socket that is asked: received by one call, answered in the same buffers by another.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::ptr::{self, NonNull};

use crate::address::{Address, Control};

/// Buffers for a batch of questions and their answers, one thread's own. Nothing is allocated after it was made.
///
/// ```no_run
/// # let (mut batch, socket) = (postern_sockets::Batch::new(64, 2048), std::net::UdpSocket::bind("127.0.0.1:0").unwrap());
/// let received = batch.receive(&socket, true)?;
/// for index in 0..received {
///     let datagram = batch.datagram(index);
///     let length = datagram.length; // an answer is written into `datagram.buffer`
///     batch.reply(index, length);
/// }
/// let sent = batch.send(&socket);
/// # std::io::Result::Ok(())
/// ```
pub struct Batch {
    octets: Owned<u8>,
    slots: Owned<Slot>,
    /// One for each slot, set up for receiving; what the kernel changes in them is put back before the next call.
    headers: Owned<libc::mmsghdr>,
    /// Replies, packed: copies of headers of the slots that are answered.
    replies: Owned<libc::mmsghdr>,
    size: usize,
    stride: usize,
    received: usize,
    marked: usize,
}

/// What belongs to one datagram, beside its octets.
struct Slot {
    peer: Address,
    control: Control,
    receive: libc::iovec,
    reply: libc::iovec,
}

/// One received datagram.
#[derive(Debug)]
pub struct Datagram<'b> {
    /// Who sent it.
    pub peer: SocketAddr,
    /// The address it was sent to, on a socket that is bound to a wildcard address.
    pub local: Option<IpAddr>,
    /// Octets of it at the start of `buffer`.
    pub length: usize,
    /// It was longer than the buffer: the rest is lost.
    pub truncated: bool,
    /// The whole buffer: a reply is written into it.
    pub buffer: &'b mut [u8],
}

/// What became of a batch of replies.
#[derive(Debug, Default)]
pub struct Sent {
    /// Replies that the kernel took.
    pub sent: usize,
    /// Replies that it refused for good.
    pub lost: usize,
    /// The reason of the last refusal.
    pub error: Option<io::Error>,
}

/// How often a batch waits for room to send, and how long each time: 60 ms in all, less than what makes a stub ask again.
const WAITS: u32 = 3;
const WAIT_MS: libc::c_int = 20;

impl Batch {
    /// Room for `slots` datagrams, each with a buffer of `size` octets.
    pub fn new(slots: usize, size: usize) -> Self {
        let slots = slots.clamp(1, 1024); // UIO_MAXIOV: the kernel takes no more a call
        // An odd number of cache lines: with a power of two all buffers would start in the same few sets of the first-level cache.
        let stride = (size.div_ceil(64) | 1) * 64;
        let empty = libc::iovec { iov_base: ptr::null_mut(), iov_len: 0 };
        let slot = || Slot { peer: Address::empty(), control: Control::empty(), receive: empty, reply: empty };
        // SAFETY: mmsghdr is plain old data of integers and pointers, for which all zeros is a value.
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
            // SAFETY: `at` gives valid pointers into memory that `this` owns and nothing else refers to; places are not read, only written.
            // The headers keep pointers with the allocations' own provenance; the allocations neither move nor go before `this` does.
            unsafe {
                (*slot).receive = libc::iovec { iov_base: buffer.cast(), iov_len: size };
                (*slot).reply = libc::iovec { iov_base: buffer.cast(), iov_len: 0 };
                let header = &mut (*this.headers.at(index)).msg_hdr;
                header.msg_name = (&raw mut (*slot).peer).cast();
                header.msg_namelen = Address::SIZE;
                header.msg_iov = &raw mut (*slot).receive;
                header.msg_iovlen = 1;
                header.msg_control = (&raw mut (*slot).control).cast();
                header.msg_controllen = Control::SIZE as _;
            }
        }
        this
    }

    /// How many datagrams fit.
    pub fn capacity(&self) -> usize {
        self.slots.len()
    }

    /// Receives what is there, up to a whole batch; `wait`: for the first one, as long as the socket's read timeout allows.
    ///
    /// Gives how many came; 0 where none did in time or a signal came.
    pub fn receive(&mut self, socket: &UdpSocket, wait: bool) -> io::Result<usize> {
        for index in 0..self.received {
            // SAFETY: `at` gives a valid pointer into memory of ours that no reference points at.
            unsafe {
                let header = &mut (*self.headers.at(index)).msg_hdr;
                header.msg_namelen = Address::SIZE;
                header.msg_controllen = Control::SIZE as _;
            }
        }
        (self.received, self.marked) = (0, 0);
        let count = self.capacity() as libc::c_uint;
        let flags = if wait { libc::MSG_WAITFORONE } else { libc::MSG_DONTWAIT };
        // SAFETY: the `count` headers point at addresses, vectors, buffers and control space that `self` owns, with their sizes (`new`, and
        // above for what the last call changed); the caller's `&mut self` keeps everybody else away.
        let received = unsafe { libc::recvmmsg(socket.as_raw_fd(), self.headers.at(0), count, flags, ptr::null_mut()) };
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

    /// The `index`-th datagram of the last batch.
    #[inline]
    pub fn datagram(&mut self, index: usize) -> Datagram<'_> {
        assert!(index < self.received, "no such datagram in the batch");
        // SAFETY: `at` gives valid pointers into memory of ours. The buffer is `size` initialised octets of slot `index` alone; it is lent
        // out for as long as `self` is borrowed, so that neither the kernel nor a second reference comes to it meanwhile.
        unsafe {
            let header = &*self.headers.at(index);
            let slot = &*self.slots.at(index);
            Datagram {
                peer: slot.peer.read(),
                local: if header.msg_hdr.msg_controllen == 0 { None } else { slot.control.local() },
                length: (header.msg_len as usize).min(self.size),
                truncated: header.msg_hdr.msg_flags & libc::MSG_TRUNC != 0,
                buffer: std::slice::from_raw_parts_mut(self.octets.at(index * self.stride), self.size),
            }
        }
    }

    /// Who sent the `index`-th datagram of the last batch, and its octets.
    #[inline]
    pub fn peek(&self, index: usize) -> (SocketAddr, &[u8]) {
        assert!(index < self.received, "no such datagram in the batch");
        // SAFETY: as in `datagram`; nothing is written as long as `self` is borrowed.
        unsafe {
            let length = ((*self.headers.at(index)).msg_len as usize).min(self.size);
            ((*self.slots.at(index)).peer.read(), std::slice::from_raw_parts(self.octets.at(index * self.stride), length))
        }
    }

    /// Marks the first `length` octets of the `index`-th buffer as the reply to its datagram, for the next [`Batch::send`].
    #[inline]
    pub fn reply(&mut self, index: usize, length: usize) {
        assert!(index < self.received && length <= self.size && self.marked < self.capacity(), "no such reply in the batch");
        // SAFETY: `at` gives valid pointers into memory of ours that no reference points at.
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

    /// Sends the replies that were marked, waiting a little where the kernel has no room. What it refuses is counted, the rest goes on.
    pub fn send(&mut self, socket: &UdpSocket) -> Sent {
        let mut result = Sent::default();
        let mut waits = 0;
        let mut next = 0;
        while next < self.marked {
            let count = (self.marked - next) as libc::c_uint;
            // SAFETY: replies `next..marked` point at addresses, control messages and vectors of ours, as received and as `reply` left them;
            // their buffers hold at least `iov_len` initialised octets; `&mut self` keeps everybody else away.
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
                // The first datagram of those given is the one that was refused.
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

/// Sends one datagram to `peer` from the address `local`, where the socket is bound to a wildcard address; waits as [`Batch::send`] does.
pub fn send_to_from(socket: &UdpSocket, octets: &[u8], peer: SocketAddr, local: Option<IpAddr>) -> io::Result<()> {
    let (mut peer, peer_size) = Address::write(peer);
    let control = local.map(Control::write);
    let mut vector = libc::iovec { iov_base: octets.as_ptr().cast_mut().cast(), iov_len: octets.len() };
    // SAFETY: msghdr is plain old data of integers and pointers, for which all zeros is a value.
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
        // SAFETY: the header points at an address, a vector and a control message that live until the end of this function, with their
        // sizes; the kernel reads them and the `octets`, and writes nothing.
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

/// Waits until the socket has room. `device`: it is the device's queue that is full, which nobody can be asked to tell of.
#[cold]
fn wait_for_room(socket: &UdpSocket, device: bool) {
    if device {
        std::thread::sleep(std::time::Duration::from_millis(1));
        return;
    }
    let mut poll = libc::pollfd { fd: socket.as_raw_fd(), events: libc::POLLOUT, revents: 0 };
    // SAFETY: one pollfd that lives through the call. What it says does not matter: the next attempt to send will tell.
    unsafe { libc::poll(&mut poll, 1, WAIT_MS) };
}

/// Memory that the kernel is given pointers into. A `Box` may not be used while such pointers are kept, hence this.
struct Owned<T> {
    start: NonNull<T>,
    length: usize,
}

// SAFETY: it owns its memory as a `Box<[T]>` does, and gives pointers away only; `Batch` uses them under `&mut self` alone, and the values
// (integers and pointers into the same batch) mean the same in every thread.
unsafe impl<T> Send for Owned<T> {}

impl<T> Owned<T> {
    fn new(values: Vec<T>) -> Self {
        let values = Box::leak(values.into_boxed_slice());
        Self { length: values.len(), start: NonNull::from(values).cast() }
    }

    fn len(&self) -> usize {
        self.length
    }

    /// Pointer to the `index`-th value, good for the values from there to the end.
    #[inline]
    fn at(&self, index: usize) -> *mut T {
        assert!(index < self.length, "outside of the batch");
        // SAFETY: `index` is inside the allocation.
        unsafe { self.start.as_ptr().add(index) }
    }
}

impl<T> Drop for Owned<T> {
    fn drop(&mut self) {
        // SAFETY: start and length are those of the box leaked in `new`; nobody uses it afterwards.
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

    /// Peer, local address, length, truncated.
    type Seen = (SocketAddr, Option<IpAddr>, usize, bool);

    /// Answers every datagram with its octets in reverse; drops those that start with 0.
    fn reverse(batch: &mut Batch, socket: &UdpSocket) -> (usize, Vec<Seen>) {
        let received = batch.receive(socket, true).unwrap();
        let mut seen = Vec::new();
        for index in 0..received {
            let Datagram { peer, local, length, truncated, buffer } = batch.datagram(index);
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
            client.connect(address).unwrap(); // takes replies from that address alone
            let mut batch = Batch::new(8, 512);
            for round in 1..20u8 {
                client.send(&[round, 7, 8]).unwrap();
                let (sent, seen) = reverse(&mut batch, &server);
                assert_eq!((sent, seen.len()), (1, 1), "{bound}");
                assert_eq!(seen[0], (client.local_addr().unwrap(), local.map(|local| local.parse().unwrap()), 3, false));
                let mut reply = [0; 16];
                assert_eq!(crate::receive(&client, &mut reply).unwrap().0, 3);
                assert_eq!(reply[..3], [8, 7, round]);
            }
            // And from the other side of the house, later.
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
        let mut batch = Batch::new(8, 512);
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
        let mut batch = Batch::new(4, 100);
        for (length, want) in [(100, (100, false)), (101, (100, true)), (1, (1, false))] {
            client.send_to(&vec![5; length], server.local_addr().unwrap()).unwrap();
            let (_, seen) = reverse(&mut batch, &server);
            assert_eq!((seen[0].2, seen[0].3), want);
        }
    }

    #[test]
    fn an_empty_datagram_is_one_of_no_octets() {
        let server = bind_udp("127.0.0.1:0".parse().unwrap(), &UdpOptions::default()).unwrap();
        let mut batch = Batch::new(4, 100);
        client("127.0.0.1:0").send_to(&[], server.local_addr().unwrap()).unwrap();
        assert_eq!(batch.receive(&server, true).unwrap(), 1);
        assert_eq!(batch.datagram(0).length, 0);
    }

    #[test]
    fn waiting_ends_at_the_read_timeout_and_not_waiting_at_once() {
        let options = UdpOptions { read_timeout: Some(Duration::from_millis(10)), ..UdpOptions::default() };
        let server = bind_udp("127.0.0.1:0".parse().unwrap(), &options).unwrap();
        let mut batch = Batch::new(4, 100);
        assert_eq!(batch.receive(&server, true).unwrap(), 0);
        assert_eq!(batch.receive(&server, false).unwrap(), 0);
    }

    #[test]
    fn a_reply_that_cannot_be_sent_is_counted_and_the_rest_goes_out() {
        let server = bind_udp("127.0.0.1:0".parse().unwrap(), &UdpOptions::default()).unwrap();
        let client = client("127.0.0.1:0");
        let mut batch = Batch::new(4, 70_000);
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
        let mut batch = Batch::new(2, 100);
        std::thread::spawn(move || {
            let server = bind_udp("127.0.0.1:0".parse().unwrap(), &UdpOptions::default()).unwrap();
            assert_eq!(batch.receive(&server, false).unwrap(), 0);
        })
        .join()
        .unwrap();
    }
}
