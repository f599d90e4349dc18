//! The lab itself: a thread with sockets that applies its fate to every question.

mod hold;
mod tcp;
mod udp;

use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

use hickory_proto::op::ResponseCode;
use hickory_server::net::xfer::Protocol;
use hickory_server::server::Request;
use tokio::sync::watch;

use crate::answer::{AnswerTwist, PublicDns, UDP_SIZE};
use crate::counters::{CounterState, LabCounters, QuestionArrival};
use crate::fault::{self, EdnsFault, LabFault, QuestionFate, QuestionTransport};
use crate::forge;
use crate::scenario::LabScenario;

/// Delayed answers in total, each of a few hundred bytes. Questions beyond that are dropped and
/// counted.
const MOST_HELD: usize = 65_536;
/// Receive buffer to request, in bytes.
const RECEIVE_BUFFER: usize = 8 << 20;
/// Attempts to find a port that is free for both transports.
const PORT_TRIES: usize = 64;

/// A running lab, which stops when dropped.
#[derive(Debug)]
pub struct LabServer {
    address: SocketAddr,
    shared: Arc<Shared>,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

impl LabServer {
    /// Binds UDP and TCP and answers from the scenario. With port 0, both transports get the same
    /// free port.
    pub fn start(scenario: LabScenario, listen: SocketAddr) -> io::Result<LabServer> {
        let (udp, tcp) = bind(listen)?;
        let address = udp.local_addr()?;
        let elsewhere = UdpSocket::bind(SocketAddr::new(address.ip(), 0))?;
        elsewhere.set_nonblocking(true)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let shared = Arc::new(Shared::new(scenario));
        let (stop, stopped) = watch::channel(false);
        let (udp, elsewhere, tcp) = {
            let _inside = runtime.enter();
            (tokio::net::UdpSocket::from_std(udp)?, tokio::net::UdpSocket::from_std(elsewhere)?, tokio::net::TcpListener::from_std(tcp)?)
        };
        let work = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("lab".to_owned()).spawn(move || {
            runtime.block_on(async {
                tokio::spawn(tcp::listen(tcp, Arc::clone(&work), stopped.clone()));
                udp::serve(&udp, &elsewhere, &work, stopped).await;
            });
            // Dropping the runtime closes every connection.
        })?;
        Ok(LabServer { address, shared, stop, thread: Some(thread) })
    }

    /// Returns the address of the lab, the same for UDP and TCP.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the counters up to now.
    pub fn counters(&self) -> LabCounters {
        self.shared.tally().counters.clone()
    }

    /// Returns the last few thousand questions in full, oldest first.
    pub fn arrivals(&self) -> Vec<QuestionArrival> {
        self.shared.tally().arrivals()
    }

    /// Clears all counters, including how often each question was asked.
    pub fn clear(&self) {
        let mut tally = self.shared.tally();
        let outstanding = tally.counters.outstanding;
        *tally = CounterState::default();
        tally.hold(outstanding);
    }

    /// Replaces the faults immediately, and restarts their schedules.
    pub fn set(&self, faults: Vec<LabFault>) {
        let mut play = self.shared.play();
        let mut scenario = (*play.scenario).clone();
        scenario.faults = faults;
        *play = Play { scenario: Arc::new(scenario), since: Instant::now() };
    }

    /// Replaces the whole scenario immediately, and restarts all schedules.
    pub fn replace(&self, scenario: LabScenario) {
        *self.shared.play() = Play { scenario: Arc::new(scenario), since: Instant::now() };
    }

    /// Closes the sockets and returns the counters.
    pub fn stop(mut self) -> LabCounters {
        self.end();
        self.counters()
    }

    fn end(&mut self) {
        let _ = self.stop.send(true);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for LabServer {
    fn drop(&mut self) {
        self.end();
    }
}

/// State that the thread shares with its owner.
#[derive(Debug)]
struct Shared {
    play: Mutex<Play>,
    tally: Mutex<CounterState>,
    /// Number of delayed answers.
    held: AtomicUsize,
    started: Instant,
}

/// The active scenario and the moment at which it was set.
#[derive(Debug, Clone)]
struct Play {
    scenario: Arc<LabScenario>,
    since: Instant,
}

/// Reaction to a question.
struct Verdict {
    /// Messages to send, in order. Empty if the lab does not answer.
    messages: Vec<Vec<u8>>,
    fate: QuestionFate,
}

impl Shared {
    fn new(scenario: LabScenario) -> Shared {
        let play = Play { scenario: Arc::new(scenario), since: Instant::now() };
        Shared { play: Mutex::new(play), tally: Mutex::default(), held: AtomicUsize::new(0), started: Instant::now() }
    }

    // No update under these locks can be left half done, so the data is valid even after a panic
    // elsewhere.
    fn play(&self) -> MutexGuard<'_, Play> {
        self.play.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tally(&self) -> MutexGuard<'_, CounterState> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reserves a place for one more delayed answer. Returns false, and counts the overflow, if
    /// there are `most` already.
    fn hold_one(&self, most: usize) -> bool {
        let held = self.held.fetch_add(1, Ordering::Relaxed) + 1;
        if held > most {
            self.held.fetch_sub(1, Ordering::Relaxed);
            self.tally().counters.overflow += 1;
            return false;
        }
        self.tally().hold(held);
        true
    }

    /// Handles a message: counts it, decides its fate, builds the honest answer and corrupts it.
    /// Returns `None` if the message gets no answer.
    fn judge(&self, message: &[u8], source: SocketAddr, transport: QuestionTransport) -> Option<Verdict> {
        if message.len() < 12 || message[2] & 0x80 != 0 {
            self.tally().counters.malformed += 1;
            return None;
        }
        let protocol = if transport == QuestionTransport::Udp { Protocol::Udp } else { Protocol::Tcp };
        let Ok(request) = Request::from_bytes(message.to_vec(), source, protocol) else {
            self.tally().counters.malformed += 1;
            return forge::formerr(message).map(|answer| Verdict { messages: vec![answer], fate: QuestionFate::default() });
        };
        let nth = self.tally().arrive(&request, source, transport, self.started.elapsed());
        let Play { scenario, since } = self.play().clone();
        let fate = match request.request_info() {
            Ok(info) => fault::decide(
                &scenario.faults,
                scenario.seed,
                &fault::FaultQuestion {
                    name: info.query.name(),
                    kind: info.query.query_type(),
                    transport,
                    edns: request.edns.is_some(),
                    nth,
                    elapsed: since.elapsed(),
                },
            ),
            Err(_) => QuestionFate::default(),
        };
        if fate.silent || fate.edns == Some(EdnsFault::Drop) {
            self.tally().counters.lost += 1;
            return Some(Verdict { messages: Vec::new(), fate });
        }
        let answer = honest(scenario, &request, &fate, transport)?;
        let mut messages = Vec::with_capacity(2);
        if !fate.forge.is_empty() {
            let mut spoilt = answer.clone();
            forge::spoil(&mut spoilt, &fate.forge, fate.entropy);
            messages.push(spoilt);
        }
        if fate.forge.is_empty() || fate.honest_too {
            messages.push(answer);
        }
        if fate.duplicate {
            messages.extend(messages.last().cloned());
        }
        Some(Verdict { messages, fate })
    }
}

/// Returns the well-formed answer, truncated if it does not fit a datagram.
fn honest(scenario: Arc<LabScenario>, request: &Request, fate: &QuestionFate, transport: QuestionTransport) -> Option<Vec<u8>> {
    let formerr = fate.edns == Some(EdnsFault::Formerr);
    let twist = AnswerTwist {
        rcode: if formerr { Some(ResponseCode::FormErr) } else { fate.rcode },
        first_hop: fate.first_hop,
        no_edns: formerr || fate.edns == Some(EdnsFault::Ignore),
        inject: fate.inject.clone(),
    };
    let twist = match fate.edns {
        Some(EdnsFault::Badvers) => AnswerTwist { rcode: Some(ResponseCode::BADVERS), ..twist },
        _ => twist,
    };
    let with_opt = request.edns.is_some() && !twist.no_edns;
    let answer = PublicDns { scenario, twist }.answer(request)?;
    let room = request.edns.as_ref().map_or(512, |edns| edns.max_payload().clamp(512, UDP_SIZE));
    let cut = transport == QuestionTransport::Udp && (fate.truncate || answer.len() > usize::from(room));
    Some(if cut { forge::truncated(&answer, with_opt) } else { answer })
}

/// Binds a UDP socket and a TCP listener on the same port.
fn bind(listen: SocketAddr) -> io::Result<(UdpSocket, TcpListener)> {
    let mut tries = if listen.port() == 0 { PORT_TRIES } else { 1 };
    loop {
        tries -= 1;
        let udp = UdpSocket::bind(listen)?;
        match TcpListener::bind(udp.local_addr()?) {
            Ok(tcp) => {
                // Request a large buffer, so that a burst is not lost before it is read. The system
                // may grant less.
                let _ = socket2::SockRef::from(&udp).set_recv_buffer_size(RECEIVE_BUFFER);
                udp.set_nonblocking(true)?;
                tcp.set_nonblocking(true)?;
                return Ok((udp, tcp));
            }
            Err(error) if tries == 0 => return Err(error),
            Err(_) => continue,
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::rngs::Xoshiro256PlusPlus;
    use rand::{RngExt, SeedableRng};

    use super::*;

    #[test]
    fn damaged_messages_do_not_panic_it() {
        let question =
            b"\x12\x34\x01\x20\0\x01\0\0\0\0\0\x01\x03www\x07contoso\x04test\0\0\x01\0\x01\0\0\x29\x04\xd0\0\0\x80\0\0\x04\0\x0a\0\0";
        let source = SocketAddr::from(([127, 0, 0, 1], 5353));
        let everything = LabFault::everything().forge(fault::AnswerForgery::Garbage).honest_too().truncate().duplicate(0.5);
        let shared = Shared::new(LabScenario::azure().fault(everything));
        let mut dice = Xoshiro256PlusPlus::seed_from_u64(11);
        let mut answered = 0;
        for _ in 0..20_000 {
            let mut message = question.to_vec();
            message.truncate(dice.random_range(0..=message.len()));
            for _ in 0..dice.random_range(0..4) {
                if !message.is_empty() {
                    let at = dice.random_range(0..message.len());
                    message[at] = dice.random();
                }
            }
            for transport in [QuestionTransport::Udp, QuestionTransport::Tcp] {
                answered += usize::from(shared.judge(&message, source, transport).is_some());
            }
        }
        assert!(answered > 1_000, "{answered}");
    }

    #[test]
    fn what_is_held_back_has_a_bound() {
        let shared = Shared::new(LabScenario::empty());
        assert!(shared.hold_one(2) && shared.hold_one(2) && !shared.hold_one(2));
        let counters = shared.tally().counters.clone();
        assert_eq!((counters.max_outstanding, counters.overflow), (2, 1));
    }
}
