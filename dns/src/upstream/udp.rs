//! Questions over UDP: a pool of connected sockets for each upstream.
//!
//! An answer must come from the upstream's address to the port, with the ID and with the question that was sent. Ports and IDs are such
//! that nobody can guess them (RFC 5452): each turn of the loop sends from one of up to [`POOL`] sockets, chosen at random, whose ports
//! the kernel chose at random when they were bound to port 0; IDs are random and unique on their socket; a socket is replaced after
//! [`USES`] questions or [`AGE`], as soon as nothing is outstanding on it. A datagram that has not all of them right, or is no response,
//! is counted and ignored, and the right answer is awaited.
//!
//! An attacker who has found the port must still guess the ID. [`MISSES`] responses to one question with a wrong ID are taken as such an
//! attempt, and the question is asked over TCP instead. An ICMP error can be forged as well: it makes the questions of its socket go out
//! again at once from another one, and only a second error counts as a refusal.
//!
//! Connected sockets cost a quarter of a fresh socket for each question (measured: 4.9 against 22 µs), and the kernel drops what comes
//! from elsewhere before we see it.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use postern_sockets::ClientBatch;
use slab::Slab;
use socket2::{Domain, Protocol, Socket, Type};

use super::{AttemptId, Fault, Meter, UpstreamId, message};
use crate::clock::Now;

/// Sockets of one upstream that are sent from.
pub const POOL: usize = 16;
/// Questions a socket is used for.
pub const USES: u32 = 2000;
/// File descriptors of one upstream at most: those of the pool, and those being replaced.
pub const DESCRIPTORS: usize = 2 * POOL;
/// How long a socket is used.
pub const AGE: Duration = Duration::from_secs(60);
/// Responses with the right question and a wrong ID after which a question is asked over TCP. Three guesses at 65,536 IDs succeed once in
/// 22,000 tries; one or two may be duplicates of an earlier answer to the same question.
pub const MISSES: u8 = 3;
/// Questions outstanding on one socket: a quarter of the IDs, so that a free one is found at once.
const OUTSTANDING: usize = 16_384;
/// Room for a burst of answers while the resolver does something else.
const RECEIVE_BUFFER: usize = 1 << 20;

/// All UDP sockets of one resolver thread.
pub struct Udp {
    registry: Registry,
    first_token: usize,
    sockets: Slab<Outlet>,
    pools: HashMap<UpstreamId, Pool, foldhash::fast::RandomState>, // the keys are our own numbers and addresses
    /// Upstreams that something is to be sent to.
    to_send: Vec<UpstreamId>,
    by_local: HashMap<SocketAddr, UpstreamId, foldhash::fast::RandomState>,
    /// Where each attempt's answer will come in: socket and ID, by the attempt's place.
    places: Vec<Option<Placed>>,
    batch: ClientBatch,
    keys: Keys,
    lost: Vec<AttemptId>,
}

/// One upstream's sockets.
struct Pool {
    address: SocketAddr,
    meter: Arc<Meter>,
    active: Vec<usize>,
    /// The socket of this turn.
    turn: Option<usize>,
    /// Messages to be sent in this turn, one behind the other, and where each ends.
    octets: Vec<u8>,
    ends: Vec<usize>,
}

/// One connected socket.
struct Outlet {
    socket: UdpSocket,
    upstream: UpstreamId,
    local: SocketAddr,
    slots: HashMap<u16, Slot, foldhash::fast::RandomState>, // IDs are our own random numbers
    uses: u32,
    opened: Now,
    /// Not sent from any more.
    retired: bool,
}

/// A question that waits for its answer.
struct Slot {
    attempt: AttemptId,
    question: u64,
    /// Responses to this question that had another ID.
    misses: u8,
}

/// The outstanding question that a datagram belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClaimedDatagram {
    /// The datagram answers this attempt.
    Answer(AttemptId),
    /// Too many wrong IDs came for this attempt: somebody guesses.
    Guessed(AttemptId),
    /// The datagram belongs to no question.
    Stray,
}

#[derive(Clone, Copy)]
struct Placed {
    serial: u32,
    socket: usize,
    id: u16,
}

#[derive(Clone)]
struct Keys(u64, u64);

impl Udp {
    /// No sockets yet. Their events will have tokens from `first_token` on.
    pub fn new(registry: Registry, first_token: usize) -> Self {
        Self {
            registry,
            first_token,
            sockets: Slab::new(),
            pools: HashMap::default(),
            to_send: Vec::new(),
            by_local: HashMap::default(),
            places: Vec::new(),
            batch: ClientBatch::new(64, message::MAX),
            keys: Keys(rand::random(), rand::random()),
            lost: Vec::new(),
        }
    }

    /// Prepares to ask an upstream. Sockets are opened as they are needed.
    pub fn open(&mut self, id: UpstreamId, address: SocketAddr, meter: &Arc<Meter>) {
        let pool = Pool { address, meter: meter.clone(), active: Vec::new(), turn: None, octets: Vec::new(), ends: Vec::new() };
        self.pools.insert(id, pool);
    }

    /// Closes an upstream's sockets.
    pub fn close(&mut self, id: UpstreamId) {
        self.pools.remove(&id);
        let all: Vec<usize> = self.sockets.iter().filter(|(_, outlet)| outlet.upstream == id).map(|(key, _)| key).collect();
        all.into_iter().for_each(|key| self.close_socket(key));
    }

    /// Queues a question (whose first two octets become its ID) for the next [`Udp::flush`].
    pub fn send(&mut self, now: Now, to: UpstreamId, attempt: AttemptId, message: &[u8]) -> Result<(), Fault> {
        let key = self.socket_of_turn(now, to).ok_or(Fault::Exhausted)?;
        let question = message::question(&self.keys, message).ok_or(Fault::Exhausted)?;
        let (Some(outlet), Some(pool)) = (self.sockets.get_mut(key), self.pools.get_mut(&to)) else { return Err(Fault::Exhausted) };
        let id = std::iter::repeat_with(rand::random::<u16>).take(64).find(|id| !outlet.slots.contains_key(id)).ok_or(Fault::Exhausted)?;
        outlet.slots.insert(id, Slot { attempt, question, misses: 0 });
        outlet.uses += 1;
        let place = attempt.place as usize;
        if self.places.len() <= place {
            self.places.resize(place + 1, None);
        }
        self.places[place] = Some(Placed { serial: attempt.serial, socket: key, id });
        if pool.ends.is_empty() {
            self.to_send.push(to);
        }
        let start = pool.octets.len();
        pool.octets.extend_from_slice(message);
        pool.octets[start..start + 2].copy_from_slice(&id.to_be_bytes());
        pool.ends.push(pool.octets.len());
        Ok(())
    }

    /// Sends what is queued; gives attempts that cannot be answered, because their upstream was found unreachable.
    pub fn flush(&mut self) -> Vec<AttemptId> {
        for to in std::mem::take(&mut self.to_send) {
            let Some(pool) = self.pools.get_mut(&to) else { continue };
            let key = pool.turn.take();
            let (octets, ends) = (std::mem::take(&mut pool.octets), std::mem::take(&mut pool.ends));
            if let Some(key) = key {
                self.send_all(key, &octets, &ends);
            }
            if let Some(pool) = self.pools.get_mut(&to) {
                (pool.octets, pool.ends) = (octets, ends);
                pool.octets.clear();
                pool.ends.clear();
            }
        }
        std::mem::take(&mut self.lost)
    }

    /// The answer to an attempt is no longer of interest.
    pub fn forget(&mut self, attempt: AttemptId) {
        let Some(place) = self.places.get_mut(attempt.place as usize) else { return };
        let Some(placed) = place.take_if(|placed| placed.serial == attempt.serial) else { return };
        if let Some(outlet) = self.sockets.get_mut(placed.socket) {
            outlet.slots.remove(&placed.id);
            if outlet.retired && outlet.slots.is_empty() {
                self.close_socket(placed.socket);
            }
        }
    }

    /// Receives what has come to the socket of an event. Returns 0 if nothing is left or the socket is gone. If the system reports an ICMP
    /// error, the socket's attempts are added to `lost`; the answers that are already here are received all the same.
    pub fn receive(&mut self, token: Token, batch: &mut ClientBatch, lost: &mut Vec<AttemptId>) -> usize {
        const ERRORS: u8 = 3; // each report clears one error, and strangers can cause more
        let Some(key) = token.0.checked_sub(self.first_token) else { return 0 };
        for _ in 0..ERRORS {
            let Some(outlet) = self.sockets.get(key) else { return 0 };
            match batch.receive(&outlet.socket) {
                Ok(received) => return received,
                Err(_) => {
                    lost.extend(outlet.slots.values().map(|slot| slot.attempt));
                    self.retire(key);
                }
            }
        }
        0
    }

    /// The attempt that a datagram from the socket of an event belongs to, by ID and question.
    pub fn claim(&mut self, token: Token, datagram: &[u8]) -> ClaimedDatagram {
        let Some(outlet) = token.0.checked_sub(self.first_token).and_then(|key| self.sockets.get_mut(key)) else {
            return ClaimedDatagram::Stray;
        };
        let question = message::is_response(datagram).then(|| message::question(&self.keys, datagram)).flatten();
        if let Some(slot) = message::id(datagram).and_then(|id| outlet.slots.get(&id))
            && (question == Some(slot.question) || message::is_bare_error(datagram))
        {
            return ClaimedDatagram::Answer(slot.attempt);
        }
        if let Some(pool) = self.pools.get(&outlet.upstream) {
            pool.meter.stray.fetch_add(1, Relaxed);
        }
        if question.is_none() {
            return ClaimedDatagram::Stray;
        }
        let missed = outlet.slots.values_mut().find(|slot| Some(slot.question) == question);
        let Some(slot) = missed else { return ClaimedDatagram::Stray };
        slot.misses = slot.misses.saturating_add(1);
        if slot.misses == MISSES { ClaimedDatagram::Guessed(slot.attempt) } else { ClaimedDatagram::Stray }
    }

    /// Sends nothing more from a socket. It is closed once nothing is outstanding on it.
    fn retire(&mut self, key: usize) {
        let Some(outlet) = self.sockets.get_mut(key) else { return };
        outlet.retired = true;
        let waits = !outlet.slots.is_empty();
        if let Some(pool) = self.pools.get_mut(&outlet.upstream) {
            pool.active.retain(|active| *active != key);
            pool.turn = pool.turn.filter(|turn| *turn != key || !pool.ends.is_empty());
        }
        if !waits {
            self.close_socket(key);
        }
    }

    /// The upstream that a socket with this address here belongs to.
    pub fn upstream_at(&self, local: SocketAddr) -> Option<UpstreamId> {
        self.by_local.get(&local).copied()
    }

    /// Sockets that are open.
    pub fn len(&self) -> usize {
        self.sockets.len()
    }

    /// True where none is.
    pub fn is_empty(&self) -> bool {
        self.sockets.is_empty()
    }

    /// The socket that all questions of this turn to one upstream leave from.
    fn socket_of_turn(&mut self, now: Now, to: UpstreamId) -> Option<usize> {
        let pool = self.pools.get_mut(&to)?;
        if let Some(key) = pool.turn {
            return self.sockets.get(key).is_some_and(|outlet| outlet.slots.len() < OUTSTANDING).then_some(key);
        }
        let choice = rand::random_range(0..POOL);
        let mut key = pool.active.get(choice).copied();
        if let Some(worn) = key.filter(|key| self.sockets.get(*key).is_none_or(|outlet| outlet.is_worn(now))) {
            // A worn socket that still waits for answers goes on listening, and its successor takes its place.
            pool.active.swap_remove(choice);
            self.retire(worn);
            key = None;
        }
        let key = match key {
            Some(key) => key,
            None => match self.open_socket(now, to) {
                Ok(key) => key,
                Err(error) => {
                    // Out of descriptors, say: an older one does as well.
                    tracing::warn!(%error, "cannot open a socket to an upstream");
                    *self.pools.get(&to)?.active.first()?
                }
            },
        };
        self.pools.get_mut(&to)?.turn = Some(key);
        Some(key)
    }

    fn open_socket(&mut self, now: Now, to: UpstreamId) -> io::Result<usize> {
        let pool = self.pools.get_mut(&to).ok_or(io::ErrorKind::NotFound)?;
        let socket = Socket::new(Domain::for_address(pool.address), Type::DGRAM.nonblocking().cloexec(), Some(Protocol::UDP))?;
        let any: IpAddr = if pool.address.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        let _ = socket.set_recv_buffer_size(RECEIVE_BUFFER); // what the system refuses is no reason not to ask
        socket.bind(&SocketAddr::new(any, 0).into())?;
        socket.connect(&pool.address.into())?;
        let socket = UdpSocket::from(socket);
        let local = socket.local_addr()?;
        let entry = self.sockets.vacant_entry();
        let key = entry.key();
        self.registry.register(&mut SourceFd(&socket.as_raw_fd()), Token(self.first_token + key), Interest::READABLE)?;
        entry.insert(Outlet { socket, upstream: to, local, slots: HashMap::default(), uses: 0, opened: now, retired: false });
        self.by_local.insert(local, to);
        pool.active.push(key);
        Ok(key)
    }

    fn close_socket(&mut self, key: usize) {
        let Some(outlet) = self.sockets.try_remove(key) else { return };
        let _ = self.registry.deregister(&mut SourceFd(&outlet.socket.as_raw_fd())); // closing does it too
        self.by_local.remove(&outlet.local);
        for slot in outlet.slots.values() {
            self.places[slot.attempt.place as usize].take_if(|placed| placed.serial == slot.attempt.serial);
        }
    }

    fn send_all(&mut self, key: usize, octets: &[u8], ends: &[usize]) {
        let Some(outlet) = self.sockets.get(key) else { return };
        let mut start = 0;
        for ends in ends.chunks(self.batch.capacity()) {
            for (index, end) in ends.iter().enumerate() {
                self.batch.fill(index, |place| {
                    place[..end - start].copy_from_slice(&octets[start..*end]);
                    end - start
                });
                start = *end;
            }
            let mut from = 0;
            let mut refused = false;
            while from < ends.len() {
                match self.batch.send(&outlet.socket, from, ends.len()) {
                    Ok(0) => break, // no room: as if the network had lost them
                    Ok(sent) => from += sent,
                    // An ICMP error for an earlier datagram is reported once; after that the socket sends again. If the upstream is
                    // really not there, this datagram meets an error too, and [`Udp::receive`] reports it.
                    Err(_) if refused => break,
                    Err(_) => refused = true,
                }
            }
            if from < ends.len() && refused {
                self.lost.extend(outlet.slots.values().map(|slot| slot.attempt));
                return;
            }
        }
    }
}

impl Outlet {
    fn is_worn(&self, now: Now) -> bool {
        self.uses >= USES || now.since(self.opened) > AGE.as_millis() as u64
    }
}

impl std::hash::BuildHasher for Keys {
    type Hasher = siphasher::sip::SipHasher13;

    fn build_hasher(&self) -> Self::Hasher {
        siphasher::sip::SipHasher13::new_with_keys(self.0, self.1)
    }
}
