//! Questions over UDP: connected sockets with random ports for each upstream.
//!
//! An answer must come from the upstream's address to the port, with the ID, the question, the letter case and the cookie that were sent. A
//! datagram that has not all of them right, or is no response, is counted and ignored, and the right answer is awaited.
//!
//! **Ports.** A question leaves from a socket of its own, whose port is drawn from all unprivileged ports. This costs 17 µs more than a
//! socket that is open already (measured: 22 against 4.9 µs). So after [`BURST`] questions an upstream gets [`FRESH`] new sockets a second,
//! and a turn's further questions leave together from a random one of the [`POOL`] that are open. The oldest one makes room for each new
//! one: at full load a port is in use for `POOL / FRESH`, or 64 ms, and 2 % of one processor is spent on ports.
//!
//! **What a stranger must guess.** Let a question have *L* letters; most have 12 or more.
//!
//! | | bits | forged datagrams for an even chance |
//! |---|---|---|
//! | port (64,512) × ID (65,536) | 32.0 | 0.69 × 2^32 = 2.9 billion |
//! | with letter case | 32.0 + *L* | 2^12 times as many with 12 letters |
//! | with a cookie | 96 + *L* | |
//!
//! They must arrive between a question and its answer. If the stranger knows a port in use, 16 bits and *L* are left; but after [`MISSES`]
//! responses with a wrong ID, the question is asked over TCP. That leaves 3 guesses for each question, of which each needs a port in use at
//! that moment: an even chance takes 0.69 × 65,536 / 3 = 15,100 such questions, each with its port known in time, or 62 million with 12
//! letters. It is more by a factor of the sockets in use if it is not known which question leaves from which.
//!
//! An error without a question carries no letter case, and only ends an attempt. After [`MISSES`] with a wrong ID, a socket ignores them.
//!
//! **Marks** ([`peer`]): letter case (0x20) and cookies. An answer without the mark that its upstream usually returns moves to TCP.
//!
//! **ICMP errors** can be forged as well: one makes the questions of its socket go out again at once from another one, and only repeated
//! errors count as a refusal. The socket goes on listening, but nothing more is sent from it.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use postern_config::model::UpstreamIdentity;
use postern_sockets::ClientBatch;
use slab::Slab;
use socket2::SockRef;

pub use self::peer::ClaimedDatagram;
use self::peer::{MarkVerdict, PeerMarks, QuestionMarks, client_cookie};
use self::ports::PortDraw;
use self::source::SocketSource;
pub(super) use self::source::sender;
use super::message::{self, QuestionKeys};
use super::{AttemptError, AttemptId, UpstreamId, UpstreamMeter};
use crate::clock::Now;
use crate::route::RouteTable;

mod peer;
mod ports;
mod source;

/// Open sockets of one upstream, those included that only listen.
pub const POOL: usize = 64;
/// Open sockets of all upstreams together. Beyond that, each upstream has at least one.
pub const MOST_SOCKETS: usize = 1024;
/// New sockets of one upstream a second.
pub const FRESH: u64 = 1000;
/// New sockets that may be opened before that bound holds.
pub const BURST: u64 = 4000;
/// Responses with the right question and a wrong ID after which a question is asked over TCP. Three guesses at 65,536 IDs succeed once in
/// 22,000 tries; one or two may be duplicates of an earlier answer to the same question.
pub const MISSES: u8 = 3;
/// Questions outstanding on one socket: a quarter of the IDs, so that a free one is found at once.
const OUTSTANDING: usize = 16_384;
/// Room for a burst of answers to a socket that many questions leave from.
const RECEIVE_BUFFER: usize = 1 << 20;

/// All UDP sockets of one resolver thread.
pub struct UdpUpstreams {
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
    ports: PortDraw,
    keys: QuestionKeys,
    secret: [u64; 2],
    lost: Vec<AttemptId>,
}

/// One upstream's sockets.
struct Pool {
    address: SocketAddr,
    source: SocketSource,
    meter: Arc<UpstreamMeter>,
    peer: PeerMarks,
    /// Sockets that may be sent from, the oldest first.
    active: VecDeque<usize>,
    /// Sockets that only listen, because an ICMP error came.
    retired: VecDeque<usize>,
    /// New sockets that may be opened, in thousandths, and when that was counted.
    fresh: u64,
    counted: Now,
    /// The socket that further questions of this turn leave from.
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
    cookie: [u8; message::COOKIE],
    slots: HashMap<u16, Slot, foldhash::fast::RandomState>, // IDs are our own random numbers
    /// Errors without a question that had a wrong ID.
    bare_misses: u8,
    /// Its receive buffer was enlarged.
    roomy: bool,
}

/// A question that waits for its answer.
struct Slot {
    attempt: AttemptId,
    question: u64,
    marks: QuestionMarks,
    /// Responses to this question that had another ID.
    misses: u8,
}

#[derive(Clone, Copy)]
struct Placed {
    serial: u32,
    socket: usize,
    id: u16,
}

/// Where a question leaves from.
enum Departure {
    /// A socket of its own, at once.
    Alone(usize),
    /// The socket of this turn, with the next flush.
    Together(usize),
}

impl UdpUpstreams {
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
            batch: ClientBatch::new(64, message::MAX_MARKED),
            ports: PortDraw::new(),
            keys: QuestionKeys::random(),
            secret: [rand::random(), rand::random()],
            lost: Vec::new(),
        }
    }

    /// Prepares to ask an upstream. Sockets are opened as they are needed.
    pub fn open(&mut self, id: UpstreamId, identity: UpstreamIdentity, meter: &Arc<UpstreamMeter>) {
        let pool = Pool {
            address: identity.address,
            source: SocketSource::new(identity.source, meter.name.clone()),
            meter: meter.clone(),
            peer: PeerMarks::new(meter.name.clone()),
            active: VecDeque::new(),
            retired: VecDeque::new(),
            fresh: BURST * 1000,
            counted: Now(0),
            turn: None,
            octets: Vec::new(),
            ends: Vec::new(),
        };
        self.pools.insert(id, pool);
    }

    /// Takes over the switches of upstreams. One that any route has off is off.
    pub fn adjust(&mut self, routes: &RouteTable) {
        for pool in self.pools.values_mut() {
            let upstreams = routes.plans().iter().flat_map(|(_, plan)| &plan.upstreams);
            let same = || upstreams.clone().filter(|upstream| upstream.address == pool.address);
            pool.peer.random_case = same().all(|upstream| upstream.random_case);
            pool.peer.cookies = same().all(|upstream| upstream.cookies);
        }
    }

    /// Closes an upstream's sockets.
    pub fn close(&mut self, id: UpstreamId) {
        self.pools.remove(&id);
        let all: Vec<usize> = self.sockets.iter().filter(|(_, outlet)| outlet.upstream == id).map(|(key, _)| key).collect();
        all.into_iter().for_each(|key| self.close_socket(key));
    }

    /// Sends a question (whose first two octets become its ID), or queues it for the next [`UdpUpstreams::flush`].
    pub fn send(&mut self, now: Now, to: UpstreamId, attempt: AttemptId, message: &[u8]) -> Result<(), AttemptError> {
        let departure = self.departure(now, to)?;
        let (Departure::Alone(key) | Departure::Together(key)) = departure;
        let question = message::question(&self.keys, message).ok_or(AttemptError::Exhausted)?;
        let (Some(outlet), Some(pool)) = (self.sockets.get_mut(key), self.pools.get_mut(&to)) else { return Err(AttemptError::Exhausted) };
        let mut ids = std::iter::repeat_with(rand::random::<u16>).take(64);
        let id = ids.find(|id| !outlet.slots.contains_key(id)).ok_or(AttemptError::Exhausted)?;
        let start = pool.octets.len();
        pool.octets.extend_from_slice(message);
        pool.octets[start..start + 2].copy_from_slice(&id.to_be_bytes());
        let marks = pool.peer.mark(now, &self.keys, outlet.local.ip(), outlet.cookie, &mut pool.octets, start);
        outlet.slots.insert(id, Slot { attempt, question, marks, misses: 0 });
        let place = attempt.place as usize;
        self.places.resize(self.places.len().max(place + 1), None);
        self.places[place] = Some(Placed { serial: attempt.serial, socket: key, id });
        match departure {
            Departure::Alone(_) => {
                let sent = outlet.socket.send(&pool.octets[start..]);
                pool.octets.truncate(start);
                // No room: as if the network had lost it.
                if sent.is_err_and(|error| !matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)) {
                    self.lost.push(attempt);
                }
            }
            Departure::Together(_) => {
                if pool.ends.is_empty() {
                    self.to_send.push(to);
                }
                pool.ends.push(pool.octets.len());
            }
        }
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

    /// The answer to an attempt is believed without its marks. A cookie that this server never sent still makes it a stray.
    pub fn expect_unmarked(&mut self, attempt: AttemptId) {
        let Some(Some(placed)) = self.places.get(attempt.place as usize) else { return };
        let slot = self.sockets.get_mut(placed.socket).and_then(|outlet| outlet.slots.get_mut(&placed.id));
        slot.into_iter().filter(|slot| slot.attempt == attempt).for_each(|slot| slot.marks.is_second = true);
    }

    /// The answer to an attempt is no longer of interest.
    pub fn forget(&mut self, attempt: AttemptId) {
        let Some(place) = self.places.get_mut(attempt.place as usize) else { return };
        let Some(placed) = place.take_if(|placed| placed.serial == attempt.serial) else { return };
        if let Some(outlet) = self.sockets.get_mut(placed.socket) {
            outlet.slots.remove(&placed.id);
            let is_over =
                outlet.slots.is_empty() && self.pools.get(&outlet.upstream).is_none_or(|pool| pool.retired.contains(&placed.socket));
            if is_over {
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

    /// The attempt that a datagram from the socket of an event belongs to, by ID, question and marks. The question of an answer is lowered,
    /// so that letter case goes no further.
    pub fn claim(&mut self, now: Now, token: Token, datagram: &mut [u8]) -> ClaimedDatagram {
        let Some(outlet) = token.0.checked_sub(self.first_token).and_then(|key| self.sockets.get_mut(key)) else {
            return ClaimedDatagram::Stray;
        };
        let question = message::is_response(datagram).then(|| message::question(&self.keys, datagram)).flatten();
        let Some(pool) = self.pools.get_mut(&outlet.upstream) else { return ClaimedDatagram::Stray };
        if let Some(slot) = message::id(datagram).and_then(|id| outlet.slots.get(&id)) {
            let attempt = slot.attempt;
            if question == Some(slot.question) {
                let ours = (outlet.local.ip(), outlet.cookie);
                let marked = pool.peer.check(now, &self.keys, (slot.marks, slot.question), ours, datagram);
                message::lower_question(datagram);
                match marked {
                    MarkVerdict::Right => return ClaimedDatagram::Answer(attempt),
                    MarkVerdict::Doubtful => return ClaimedDatagram::Doubtful(attempt),
                    MarkVerdict::BadCookie => return ClaimedDatagram::BadCookie(attempt),
                    MarkVerdict::Foreign => {}
                }
            } else if message::is_bare_error(datagram) && outlet.bare_misses < MISSES {
                return ClaimedDatagram::Answer(attempt);
            }
        }
        // It carries no mark, so that only its ID must be guessed.
        outlet.bare_misses = outlet.bare_misses.saturating_add(u8::from(message::is_bare_error(datagram)));
        pool.meter.stray.fetch_add(1, Relaxed);
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
        let Some(outlet) = self.sockets.get(key) else { return };
        let Some(pool) = self.pools.get_mut(&outlet.upstream) else { return };
        if pool.retired.contains(&key) {
            return;
        }
        pool.active.retain(|active| *active != key);
        pool.turn = pool.turn.filter(|turn| *turn != key || !pool.ends.is_empty());
        pool.retired.push_back(key);
        if outlet.slots.is_empty() {
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

    /// Chooses the socket that the next question to an upstream leaves from.
    fn departure(&mut self, now: Now, to: UpstreamId) -> Result<Departure, AttemptError> {
        let pool = self.pools.get_mut(&to).ok_or(AttemptError::Exhausted)?;
        if (pool.may_open(now) || pool.active.is_empty()) && self.make_room(to) {
            match self.open_socket(to) {
                Ok(key) => return Ok(Departure::Alone(key)),
                Err(error) if self.pools.get_mut(&to).is_some_and(|pool| pool.source.cannot_reach(&error)) => {
                    return Err(AttemptError::Unreachable);
                }
                // Out of descriptors, say: an older one does as well.
                Err(error) => {
                    tracing::warn!(%error, "cannot open a socket to an upstream");
                    // It is tried again a moment later, rather than for each question.
                    self.pools.entry(to).and_modify(|pool| pool.fresh = 0);
                }
            }
        }
        let pool = self.pools.get_mut(&to).ok_or(AttemptError::Exhausted)?;
        let has_room = |key: &usize| self.sockets.get(*key).is_some_and(|outlet| outlet.slots.len() < OUTSTANDING);
        if let Some(key) = pool.turn {
            return Some(Departure::Together(key)).filter(|_| has_room(&key)).ok_or(AttemptError::Exhausted);
        }
        if pool.active.is_empty() {
            return Err(AttemptError::Exhausted);
        }
        let key = pool.active[rand::random_range(0..pool.active.len())];
        if !has_room(&key) {
            return Err(AttemptError::Exhausted);
        }
        pool.turn = Some(key);
        if let Some(outlet) = self.sockets.get_mut(key).filter(|outlet| !outlet.roomy) {
            outlet.roomy = true;
            let _ = SockRef::from(&outlet.socket).set_recv_buffer_size(RECEIVE_BUFFER); // what the system refuses is no reason not to ask
        }
        Ok(Departure::Together(key))
    }

    /// Makes room for one more socket of an upstream: its oldest one on which nothing is outstanding is closed. Returns false if there is
    /// none.
    fn make_room(&mut self, of: UpstreamId) -> bool {
        let Some(pool) = self.pools.get(&of) else { return false };
        let is_idle = |key: &&usize| self.sockets.get(**key).is_none_or(|outlet| outlet.slots.is_empty()) && pool.turn != Some(**key);
        let is_below_bounds = self.sockets.len() < MOST_SOCKETS || pool.active.is_empty();
        if is_below_bounds && pool.active.len() + pool.retired.len() < POOL {
            return true;
        }
        let victim = pool.active.iter().find(is_idle).copied();
        // If every socket only listens, the oldest is given up: its questions went out again long ago.
        let victim = victim.or_else(|| pool.retired.front().copied().filter(|_| pool.active.is_empty()));
        victim.or_else(|| self.idle_elsewhere(of)).inspect(|key| self.close_socket(*key)).is_some()
    }

    /// Returns an idle socket of another upstream that has more than one, if all sockets together are too many.
    fn idle_elsewhere(&self, of: UpstreamId) -> Option<usize> {
        const DRAWS: usize = 16;
        let own = self.pools.get(&of).map_or(0, |pool| pool.active.len() + pool.retired.len());
        let draw = || rand::random_range(0..self.sockets.capacity().max(1));
        let is_spare = |key: &usize| {
            let Some(outlet) = self.sockets.get(*key).filter(|outlet| outlet.slots.is_empty()) else { return false };
            self.pools.get(&outlet.upstream).is_some_and(|pool| pool.active.len() > 1 && pool.turn != Some(*key))
        };
        std::iter::repeat_with(draw).take(if own < POOL { DRAWS } else { 0 }).find(is_spare)
    }

    fn open_socket(&mut self, to: UpstreamId) -> io::Result<usize> {
        let pool = self.pools.get_mut(&to).ok_or(io::ErrorKind::NotFound)?;
        let socket = UdpSocket::from(self.ports.connect(pool.address, pool.source.wanted())?);
        let local = socket.local_addr()?;
        let cookie = client_cookie(self.secret, local.ip(), pool.address);
        let entry = self.sockets.vacant_entry();
        let key = entry.key();
        self.registry.register(&mut SourceFd(&socket.as_raw_fd()), Token(self.first_token + key), Interest::READABLE)?;
        entry.insert(Outlet { socket, upstream: to, local, cookie, slots: HashMap::default(), roomy: false, bare_misses: 0 });
        self.by_local.insert(local, to);
        pool.active.push_back(key);
        pool.fresh = pool.fresh.saturating_sub(1000);
        pool.source.is_there();
        Ok(key)
    }

    fn close_socket(&mut self, key: usize) {
        let Some(outlet) = self.sockets.try_remove(key) else { return };
        let _ = self.registry.deregister(&mut SourceFd(&outlet.socket.as_raw_fd())); // closing does it too
        self.by_local.remove(&outlet.local);
        if let Some(pool) = self.pools.get_mut(&outlet.upstream) {
            pool.active.retain(|other| *other != key);
            pool.retired.retain(|other| *other != key);
            if pool.turn == Some(key) {
                // The next socket may get the same key. Nobody waits for what was to leave from this one.
                pool.turn = None;
                pool.octets.clear();
                pool.ends.clear();
            }
        }
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
                    // really not there, this datagram meets an error too, and [`UdpUpstreams::receive`] reports it.
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

impl Pool {
    /// Returns true if a new socket may be opened for a question.
    fn may_open(&mut self, now: Now) -> bool {
        self.fresh = (self.fresh + now.since(self.counted) * FRESH).min(BURST * 1000);
        self.counted = now;
        self.fresh >= 1000
    }
}
