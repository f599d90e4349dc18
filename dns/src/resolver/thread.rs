//! The resolver's thread: one event loop over the inbox, the upstream sockets and the clock.
//!
//! One thread, however many workers: what is under way, the caps of upstreams and their health are one thing each, without a lock, and a
//! question costs no task. A turn takes what has come, lets the core work, and sends what that brought in batches: questions by one
//! `sendmmsg` an upstream, answers by one a listener's socket.

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use crossbeam_queue::ArrayQueue;
use mio::{Events, Poll, Token, Waker};
use postern_config::model::{UpstreamConfig, UpstreamTransport};
use postern_sockets::{ClientBatch, DatagramOutbox};
use tokio::runtime::Handle;

use super::core::{ResolverCore, ResolverCounts, ResolverEffects};
use super::job::ResolverJob;
use crate::clock::{Clock, Now};
use crate::counters::{AnswerClass, WorkerCounters, WorkerEvent};
use crate::fallback::{FallbackRecorder, FallbackVerdict};
use crate::query::Answer;
use crate::return_path::ReplyTo;
use crate::state::{State, View};
use crate::transport::{ClientTransport, ListenerKind, PerListener};
use crate::upstream::tcp::{DeliverAnswer, TcpUpstreams};
use crate::upstream::udp::{ClaimedDatagram, UdpUpstreams};
use crate::upstream::{AttemptError, AttemptId, UpstreamId, UpstreamMeter, UpstreamStatus};
use crate::vital::ThreadLiveness;

const WAKER: Token = Token(0);
const FIRST_SOCKET: usize = 1;
/// Questions that may wait for the thread; the thread is never that far behind unless it is flooded.
const INBOX: usize = 4096;
/// Answers over TCP that may wait for the thread.
const SAID: usize = 4096;
/// Questions taken in one turn, so that answers are not kept waiting by them.
const TURN: usize = 256;
/// Largest answer over UDP that is read: more than we say we take, for servers that do not listen.
const LARGEST: usize = 4096;
/// How often the thread looks around when nothing happens: new routes are seen then, if nobody woke it.
const LOOK: Duration = Duration::from_secs(1);

/// The resolver: a thread that answers what needs an upstream.
#[derive(Debug)]
pub struct Resolver {
    inbox: Arc<Inbox>,
    thread: Option<JoinHandle<()>>,
    vital: ThreadLiveness,
}

/// Counters and status of the resolver. Cheap to clone.
#[derive(Debug, Clone)]
pub struct ResolverGauges {
    inbox: Arc<Inbox>,
    /// Whether the thread runs.
    pub vital: ThreadLiveness,
}

/// Takes questions to the resolver. Cheap to clone: one for each worker.
#[derive(Debug, Clone)]
pub struct JobSubmitter {
    inbox: Arc<Inbox>,
}

/// Input to the thread from other threads, and its counters for them.
#[derive(Debug)]
struct Inbox {
    jobs: ArrayQueue<Box<ResolverJob>>,
    said: ArrayQueue<(AttemptId, Result<Vec<u8>, AttemptError>)>,
    waker: Waker,
    /// The thread is about to wait, or waits: whoever puts something in must wake it.
    asleep: AtomicBool,
    /// Milliseconds the thread may go on for what waits, once it is told to stop; `RUNNING` until then.
    stop: AtomicU64,
    pending: AtomicU64,
    refused: AtomicU64,
    shown: Mutex<Shown>,
    /// WorkerCounters of answers to clients.
    counters: PerListener<Arc<WorkerCounters>>,
}

const RUNNING: u64 = u64::MAX;

#[derive(Debug, Default)]
struct Shown {
    meters: Vec<Arc<UpstreamMeter>>,
    /// Changes of upstreams seen.
    changes: u64,
    counts: ResolverCounts,
}

impl Resolver {
    /// Starts the thread. `pending`: questions that may wait for upstreams. TCP connections run as tasks of `runtime`.
    pub fn start(
        state: Arc<ArcSwap<State>>,
        clock: Clock,
        pending: usize,
        runtime: Handle,
        recorder: Option<Arc<FallbackRecorder>>,
    ) -> io::Result<Self> {
        let poll = Poll::new()?;
        let inbox = Arc::new(Inbox {
            jobs: ArrayQueue::new(INBOX),
            said: ArrayQueue::new(SAID),
            waker: Waker::new(poll.registry(), WAKER)?,
            asleep: AtomicBool::new(false),
            stop: AtomicU64::new(RUNNING),
            pending: AtomicU64::new(pending as u64),
            refused: AtomicU64::new(0),
            shown: Mutex::default(),
            counters: PerListener::new(WorkerCounters::own),
        });
        let udp = UdpUpstreams::new(poll.registry().try_clone()?, FIRST_SOCKET);
        let tcp = TcpUpstreams::new(runtime, inbox.clone());
        let post = Post {
            udp,
            tcp,
            now: clock.now(),
            outboxes: HashMap::default(),
            dirty: Vec::new(),
            recorder,
            counters: inbox.counters.clone(),
            timed: Vec::new(),
        };
        let (vital, alive) = ThreadLiveness::new("resolver");
        let work = Loop { inbox: inbox.clone(), state, clock, poll, core: ResolverCore::new(clock.now(), pending), post };
        let thread = std::thread::Builder::new().name("resolver".into()).spawn(move || {
            let _alive = alive;
            work.run();
        })?;
        Ok(Self { inbox, thread: Some(thread), vital })
    }

    /// A way in for a worker or listener.
    pub fn submitter(&self) -> JobSubmitter {
        JobSubmitter { inbox: self.inbox.clone() }
    }

    /// Says that the state has changed: new routes are taken over now, not with the next question.
    pub fn reloaded(&self) {
        self.inbox.wake();
    }

    /// Changes how many questions may wait for upstreams.
    pub fn limit(&self, pending: usize) {
        self.inbox.pending.store(pending as u64, Ordering::Relaxed);
    }

    /// Returns its counters and status.
    pub fn gauges(&self) -> ResolverGauges {
        ResolverGauges { inbox: self.inbox.clone(), vital: self.vital.clone() }
    }

    /// Waits at most `drain` for what is under way, answers the rest from what is at hand, and ends the thread.
    pub fn stop(mut self, drain: Duration) {
        self.end(drain);
    }

    fn end(&mut self, drain: Duration) {
        self.inbox.stop.store(drain.as_millis().min(u128::from(RUNNING - 1)) as u64, Ordering::Release);
        let _ = self.inbox.waker.wake();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Resolver {
    fn drop(&mut self) {
        self.end(Duration::ZERO);
    }
}

impl ResolverGauges {
    /// All upstreams, as of this moment.
    pub fn upstreams(&self) -> Vec<UpstreamStatus> {
        self.inbox.shown().meters.iter().map(|meter| meter.read()).collect()
    }

    /// Numbers for metrics, at most a second old.
    pub fn counts(&self) -> ResolverCounts {
        let mut counts = self.inbox.shown().counts;
        counts.busy += self.inbox.refused.load(Ordering::Relaxed);
        counts
    }

    /// Questions that wait for the thread, and how many may.
    pub fn waiting(&self) -> (usize, usize) {
        (self.inbox.jobs.len(), INBOX)
    }

    /// Returns the counters of answers to clients of one kind of listener.
    pub fn answers(&self, kind: ListenerKind) -> &Arc<WorkerCounters> {
        &self.inbox.counters[kind]
    }
}

impl JobSubmitter {
    /// Hands a question over; it will get exactly one reply. Given back where too many wait: answer it with
    /// [`Failure::Busy`](crate::ede::Failure::Busy).
    pub fn submit(&self, mut job: Box<ResolverJob>) -> Result<(), Box<ResolverJob>> {
        job.handed_over = Some(Instant::now());
        match self.inbox.jobs.push(job) {
            Ok(()) => {
                self.inbox.wake();
                Ok(())
            }
            Err(job) => {
                self.inbox.refused.fetch_add(1, Ordering::Relaxed);
                Err(job)
            }
        }
    }
}

impl Inbox {
    /// Only the first one after the thread went to sleep pays for a system call.
    fn wake(&self) {
        std::sync::atomic::fence(Ordering::SeqCst); // what was put in is seen before `asleep` is read
        if self.asleep.load(Ordering::Relaxed) && self.asleep.swap(false, Ordering::AcqRel) {
            let _ = self.waker.wake(); // fails only where the counter is full: it is awake then
        }
    }

    fn is_empty(&self) -> bool {
        self.jobs.is_empty() && self.said.is_empty() && self.stop.load(Ordering::Acquire) == RUNNING
    }

    fn shown(&self) -> std::sync::MutexGuard<'_, Shown> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl DeliverAnswer for Inbox {
    fn deliver(&self, attempt: AttemptId, said: Result<Vec<u8>, AttemptError>) {
        // Full: as if it had been lost on the way.
        if self.said.push((attempt, said)).is_ok() {
            self.wake();
        }
    }
}

/// The thread.
struct Loop {
    inbox: Arc<Inbox>,
    state: Arc<ArcSwap<State>>,
    clock: Clock,
    poll: Poll,
    core: ResolverCore,
    post: Post,
}

impl Loop {
    fn run(mut self) {
        let mut events = Events::with_capacity(256);
        let mut batch = ClientBatch::new(64, LARGEST);
        let mut lost = Vec::new();
        let mut end = None;
        let mut next_show = Now(0);
        let mut routes = None;
        loop {
            self.wait(&mut events);
            let now = self.clock.now();
            self.post.now = now;
            let state = self.state.load();
            self.core.limit(self.inbox.pending.load(Ordering::Relaxed) as usize);
            self.core.sync(now, &state, &mut self.post);
            if routes.as_ref().is_none_or(|known| !Arc::ptr_eq(known, &state.routes)) {
                self.post.udp.adjust(&state.routes);
                routes = Some(state.routes.clone());
            }
            for event in events.iter().filter(|event| event.token() != WAKER) {
                loop {
                    let received = self.post.udp.receive(event.token(), &mut batch, &mut lost);
                    for index in 0..received {
                        let (attempt, said) = match self.post.udp.claim(now, event.token(), batch.datagram_mut(index)) {
                            ClaimedDatagram::Answer(attempt) => (attempt, Ok(batch.datagram(index))),
                            ClaimedDatagram::Guessed(attempt) => (attempt, Err(AttemptError::Guessed)),
                            ClaimedDatagram::Doubtful(attempt) => (attempt, Err(AttemptError::Doubtful)),
                            ClaimedDatagram::BadCookie(attempt) => (attempt, Err(AttemptError::BadCookie)),
                            ClaimedDatagram::Stray => continue,
                        };
                        self.core.upstream_said(now, &state, attempt, said, &mut self.post);
                    }
                    if received < batch.capacity() {
                        break;
                    }
                }
            }
            for _ in 0..SAID {
                let Some((attempt, said)) = self.inbox.said.pop() else { break };
                self.core.upstream_said(now, &state, attempt, said.as_deref().map_err(|fault| *fault), &mut self.post);
            }
            for _ in 0..TURN {
                let Some(job) = self.inbox.jobs.pop() else { break };
                self.core.submit(now, &state, job, &mut self.post);
            }
            self.core.tick(now, &state, &mut self.post);
            // Faults bring new questions, which may meet faults; upstreams are finite, and so are attempts.
            lost.append(&mut self.post.udp.flush());
            while let Some(attempt) = lost.pop() {
                self.core.upstream_said(now, &state, attempt, Err(AttemptError::Unreachable), &mut self.post);
                if lost.is_empty() {
                    lost.append(&mut self.post.udp.flush());
                }
            }
            self.post.flush();
            if now >= next_show || self.core.counts().pending == 0 {
                next_show = now.plus(LOOK);
                self.show();
            }
            let stop = self.inbox.stop.load(Ordering::Acquire);
            if stop != RUNNING {
                let end = *end.get_or_insert(now.plus(Duration::from_millis(stop)));
                let idle = self.core.counts().pending == 0 && self.inbox.jobs.is_empty();
                if idle || now >= end {
                    self.core.drain(now, &state, &mut self.post);
                    return self.post.flush();
                }
            }
        }
    }

    /// Waits for an event, something in the inbox, or the next deadline.
    fn wait(&mut self, events: &mut Events) {
        let now = self.clock.now();
        let until = self.core.next_deadline().map_or(LOOK, |at| Duration::from_millis(at.since(now)).min(LOOK));
        self.inbox.asleep.store(true, Ordering::Relaxed);
        std::sync::atomic::fence(Ordering::SeqCst); // `asleep` is seen before the inbox is looked at
        let stopping = self.inbox.stop.load(Ordering::Acquire) != RUNNING;
        let timeout = match self.inbox.is_empty() {
            true => until,
            false if stopping && self.inbox.jobs.is_empty() && self.inbox.said.is_empty() => until.min(Duration::from_millis(5)),
            false => Duration::ZERO,
        };
        if let Err(error) = self.poll.poll(events, Some(timeout))
            && error.kind() != io::ErrorKind::Interrupted
        {
            tracing::error!(%error, "waiting for upstreams failed");
            std::thread::sleep(Duration::from_millis(10)); // not in a tight circle
        }
        self.inbox.asleep.store(false, Ordering::Relaxed);
    }

    fn show(&self) {
        let mut shown = self.inbox.shown();
        shown.counts = self.core.counts();
        if shown.changes != self.core.changes() {
            shown.changes = self.core.changes();
            shown.meters = self.core.meters();
        }
    }
}

/// Sockets and queues as the core sees them.
struct Post {
    udp: UdpUpstreams,
    tcp: TcpUpstreams<Inbox>,
    now: Now,
    /// Answers by the socket they leave from. Listeners' sockets are few and live as long as the server.
    outboxes: HashMap<usize, (Arc<UdpSocket>, DatagramOutbox), foldhash::fast::RandomState>,
    dirty: Vec<usize>,
    recorder: Option<Arc<FallbackRecorder>>,
    counters: PerListener<Arc<WorkerCounters>>,
    /// Answers of this turn: when their questions were handed over, and where they count.
    timed: Vec<(Instant, ListenerKind)>,
}

impl ResolverEffects for Post {
    fn open(&mut self, id: UpstreamId, upstream: &UpstreamConfig, meter: &Arc<UpstreamMeter>) {
        self.udp.open(id, upstream.identity(), meter);
        self.tcp.open(id, upstream.identity(), meter);
    }

    fn close(&mut self, id: UpstreamId) {
        self.udp.close(id);
        self.tcp.close(id);
    }

    fn send(&mut self, to: UpstreamId, over: UpstreamTransport, attempt: AttemptId, message: &[u8]) -> Result<(), AttemptError> {
        match over {
            UpstreamTransport::Udp => self.udp.send(self.now, to, attempt, message),
            UpstreamTransport::Tcp => self.tcp.send(to, attempt, message),
        }
    }

    fn expect_unmarked(&mut self, attempt: AttemptId) {
        self.udp.expect_unmarked(attempt);
    }

    fn forget(&mut self, _: UpstreamId, over: UpstreamTransport, attempt: AttemptId) {
        if over == UpstreamTransport::Udp {
            self.udp.forget(attempt);
        }
    }

    fn upstream_at(&self, address: SocketAddr) -> Option<UpstreamId> {
        self.udp.upstream_at(address)
    }

    fn reply(&mut self, job: &ResolverJob, kind: AnswerClass, message: &[u8]) {
        let listener = ListenerKind::new(job.reply.transport(), job.client.ip());
        self.counters[listener].answer(kind, message);
        self.timed.extend(job.handed_over.map(|since| (since, listener)));
        match &job.reply {
            ReplyTo::Udp { socket, local } => {
                let key = Arc::as_ptr(socket) as usize;
                let (_, outbox) = self.outboxes.entry(key).or_insert_with(|| (socket.clone(), DatagramOutbox::new(64)));
                if outbox.is_empty() {
                    self.dirty.push(key);
                }
                outbox.push(message, job.client, *local);
            }
            ReplyTo::Tcp(connection) => connection.answer(message),
        }
    }

    fn judge<'a>(&self, job: &ResolverJob, answer: &Answer<'a>, view: &View<'a>) -> FallbackVerdict<'a> {
        match &self.recorder {
            Some(recorder) => recorder.judge(&job.question, answer, view),
            None => FallbackVerdict::of(&job.question, answer, view),
        }
    }

    fn note(&mut self, job: &ResolverJob, answer: &Answer, verdict: &FallbackVerdict, view: &View) {
        if let Some(recorder) = &self.recorder {
            recorder.note(&job.question, job.client.ip(), answer, verdict, view);
        }
    }
}

impl Post {
    /// Sends all answers to clients over UDP; by then those over streams are on their way.
    fn flush(&mut self) {
        for key in self.dirty.drain(..) {
            let Some((socket, outbox)) = self.outboxes.get_mut(&key) else { continue };
            let sent = outbox.send(socket);
            if sent.lost > 0 {
                tracing::debug!(lost = sent.lost, error = ?sent.error, "answers could not be sent");
                let local = socket.local_addr().map_or(Ipv4Addr::UNSPECIFIED.into(), |address| address.ip());
                self.counters[ListenerKind::new(ClientTransport::Udp, local)].events(WorkerEvent::Lost, sent.lost as u64);
            }
        }
        if !self.timed.is_empty() {
            let now = Instant::now();
            for (since, listener) in self.timed.drain(..) {
                self.counters[listener].durations.add(now.duration_since(since), 1);
            }
        }
    }
}
