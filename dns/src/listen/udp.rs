//! UDP workers: threads of their own, each with a socket and buffers; a batch is received by one call and answered by another.

use std::io;
use std::net::UdpSocket;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use postern_sockets::{DatagramBackend, ReceivedDatagram};

use super::packet_cache::PacketCache;
use super::tcp::StreamOutcome;
use super::{AnswerScratch, QueryService};
use crate::counters::{WorkerCounters, WorkerEvent};
use crate::rates::ResponseAllowance;
use crate::return_path::ReplyTo;
use crate::state::State;
use crate::transport::ClientTransport;
use crate::vital::ThreadLiveness;

/// Datagrams a batch: what one worker finds waiting under full load; more would only add to the delay of the first.
const BATCH: usize = 64;
/// Least octets of a buffer: a question with every option there is, and an answer of 1232 with room to spare. A larger `udp-size` needs
/// larger buffers; these cost more memory and cache, so they are not the rule.
const BUFFER: usize = 2048;
/// One batch in so many is timed, and counts as many times: to read the clock twice for a batch of one would cost a hundredth of it.
const TIMED: u32 = 16;

/// A running worker.
#[derive(Debug)]
pub struct UdpWorker {
    thread: JoinHandle<()>,
    /// Counters of its questions and answers.
    pub counters: Arc<WorkerCounters>,
    /// Whether it runs.
    pub vital: ThreadLiveness,
}

impl UdpWorker {
    /// Starts worker `number` on a blocking socket with a read timeout, which is how often it looks at `stop`.
    ///
    /// `B` is the back end that receives and sends the datagrams.
    pub fn start<B: DatagramBackend + 'static>(
        number: usize,
        socket: UdpSocket,
        service: QueryService,
        stop: Arc<AtomicBool>,
    ) -> io::Result<Self> {
        let (name, socket) = (format!("udp-{number}"), Arc::new(socket));
        let size = buffer_size(&service.state.load());
        let backend = B::open(&socket, BATCH, size)?;
        let counters = WorkerCounters::own();
        let counted = counters.clone();
        let (vital, alive) = ThreadLiveness::new(&name);
        let thread = std::thread::Builder::new().name(name).spawn(move || {
            let _alive = alive;
            let mut turns = UdpLoop::with_backend(backend, size, &socket, &service, &counted);
            while !stop.load(Ordering::Relaxed) {
                turns.turn();
            }
        })?;
        Ok(Self { thread, counters, vital })
    }

    /// Waits for its end, after `stop` was set.
    pub fn join(self) {
        let _ = self.thread.join(); // a panic was counted and logged where it happened
    }
}

/// What a worker has in hand from one batch to the next. Made once: a turn allocates nothing, but for a question that is handed on.
pub struct UdpLoop<'w, B> {
    socket: &'w Arc<UdpSocket>,
    service: &'w QueryService,
    counters: &'w WorkerCounters,
    batch: B,
    /// Octets of its buffers, and what the state asks for.
    size: usize,
    wanted: usize,
    recent: PacketCache,
    states: arc_swap::Cache<&'w ArcSwap<State>, Arc<State>>,
    /// The state of the last turn, and what its cache had forgotten.
    known: (*const State, u64),
    turn: u32,
}

impl<'w, B: DatagramBackend> UdpLoop<'w, B> {
    /// Opens the back end, before the first turn.
    pub fn open(socket: &'w Arc<UdpSocket>, service: &'w QueryService, counters: &'w WorkerCounters) -> io::Result<Self> {
        let size = buffer_size(&service.state.load());
        Ok(Self::with_backend(B::open(socket, BATCH, size)?, size, socket, service, counters))
    }

    fn with_backend(batch: B, size: usize, socket: &'w Arc<UdpSocket>, service: &'w QueryService, counters: &'w WorkerCounters) -> Self {
        let states = arc_swap::Cache::new(&*service.state);
        let known = (std::ptr::null(), 0);
        Self { socket, service, counters, batch, size, wanted: size, recent: PacketCache::new(BATCH), states, known, turn: 0 }
    }

    /// Waits for a batch as long as the socket's read timeout allows, and answers it.
    pub fn turn(&mut self) {
        let Self { socket, service, counters, batch, size, wanted, recent, states, known, turn } = self;
        if wanted != size {
            // A reload changed `udp-size`. Answers since then may have been cut to the old size.
            batch.resize(*wanted);
            *size = *wanted;
            recent.void();
        }
        let received = match batch.receive(true) {
            Ok(received) => received,
            Err(error) => {
                // An ICMP message of a client that went away is no error of this socket; anything else must not become a busy loop.
                tracing::warn!(%error, "cannot receive datagrams; trying again");
                std::thread::sleep(Duration::from_millis(10));
                0
            }
        };
        let state = states.load();
        // The state that is known was held until a moment ago, so no other can have its address.
        let now_known = (Arc::as_ptr(state), state.cache.forgets());
        if *known != now_known {
            *known = now_known;
            recent.void();
            *wanted = buffer_size(state);
        }
        if received == 0 {
            return;
        }
        let start = Instant::now();
        let now = service.clock.at(start);
        let answer_all = || {
            for index in 0..received {
                let (peer, message) = batch.peek(index);
                recent.look(index, message, service.sees(state, peer));
            }
            let mut desk = AnswerScratch::new();
            for index in 0..received {
                let ReceivedDatagram { peer, local, length, truncated, buffer } = batch.datagram(index);
                if truncated {
                    // Its beginning may look like a whole one that was answered a moment ago.
                    if let StreamOutcome::Now(length) = service.attend_cut(state, buffer, peer, counters) {
                        batch.reply(index, length);
                    }
                    continue;
                }
                if let limit @ 1.. = state.settings.responses_per_second
                    && !QueryService::proves_address(&buffer[..length], peer.ip())
                    && let allowance = service.rates.count(peer.ip(), now, limit)
                    && allowance != ResponseAllowance::Response
                    && let Some(answered) =
                        service.attend_limited(state, buffer, length, peer, allowance == ResponseAllowance::Advice, counters)
                {
                    if let StreamOutcome::Now(length) = answered {
                        batch.reply(index, length);
                    }
                    continue;
                }
                if let Some((length, kind)) = recent.answer(index, buffer, now, |sighting| service.recorder.note_again(sighting)) {
                    counters.answer(kind, &buffer[..length]);
                    batch.reply(index, length);
                    continue;
                }
                let way_back = || ReplyTo::Udp { socket: socket.clone(), local };
                match service.attend(state, &mut desk, now, buffer, length, peer, ClientTransport::Udp, counters, way_back) {
                    StreamOutcome::Now(length) => {
                        if let Some(reusable) = desk.reusable {
                            recent.keep(index, &buffer[..length], reusable);
                        }
                        batch.reply(index, length);
                    }
                    StreamOutcome::Later | StreamOutcome::Never => {}
                }
            }
        };
        // It must not happen; if it does, it costs this batch and not the server.
        if catch_unwind(AssertUnwindSafe(answer_all)).is_err() {
            counters.event(WorkerEvent::Panic);
            tracing::error!("a query caused a panic; the rest of its batch is lost, and the worker continues");
        }
        let sent = batch.send();
        if sent.lost > 0 {
            counters.events(WorkerEvent::Lost, sent.lost as u64);
        }
        if turn.is_multiple_of(TIMED) && sent.sent > 0 {
            counters.durations.add(start.elapsed(), sent.sent as u64 * u64::from(TIMED));
        }
        *turn = turn.wrapping_add(1);
    }
}

/// Octets that a buffer needs: an answer is written where its question came in.
fn buffer_size(state: &State) -> usize {
    BUFFER.max(state.settings.udp_size.into())
}
