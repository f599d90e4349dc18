//! The resolver without its sockets: who waits for what, what is asked where, what becomes of it.
//!
//! Nothing here does I/O or looks at a clock. Time comes in with every call, the state of the moment too; what is to be done goes out
//! through [`ResolverEffects`]. So a test can script upstreams, turn the clock, and swap the state between any two steps.
//!
//! ```text
//! submit ─▶ pending ─▶ advance: walk ─┬─ answer ────────────────────────────────────▶ reply
//!              ▲                      └─ ask ─▶ exchange (one for all who ask the same) ─▶ attempts at upstreams
//!              └──── heard, or failed ◀─────────────────── upstream_said · tick ◀─────────────┘
//! ```
//!
//! A question waits at most [`Settings::deadline`](crate::state::AnswerSettings::deadline). Once it has waited for `cache.stale_after` it is
//! answered from what is stale or derived (RFC 8767, S6), if that gives an answer; its exchange goes on and fills the cache.
//!
//! In reading order: `exchange` (one question to the upstreams of a route), `attempts` (one message to one upstream), `late` (answers after
//! the end), `upstreams` (the choice of an upstream), `probes` (measuring upstreams), `queues` (waiting for room at an upstream), `shares`
//! (room for other names and clients), `loops` (S7), and `aliases` (the last try before a question fails).

mod aliases;
mod attempts;
mod denials;
mod exchange;
mod hash;
mod late;
mod loops;
mod probes;
mod queues;
mod shares;
mod upstreams;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use postern_config::model::{UpstreamConfig, UpstreamTransport};
use slab::Slab;

use self::exchange::ExchangeTable;
use self::hash::HashKeys;
use super::clients::{ClientCounts, ClientPlaces};
use super::job::ResolverJob;
use super::timers::{TimerId, TimerQueue};
use crate::clock::Now;
use crate::counters::{AnswerClass, AnswerSource};
use crate::ede::Failure;
use crate::fallback::FallbackVerdict;
use crate::query::{Answer, AnswerEnd, DataPolicy, UpstreamAnswers, UpstreamQuery, WalkStep, walk, walk_into};
use crate::respond::respond;
use crate::state::{State, View};
use crate::upstream::{AttemptError, AttemptId, UpstreamId, UpstreamMeter};

/// Upstream exchanges one question may take. An upstream that hands out one alias at a time gets no more of them, as with other resolvers
/// (BIND and Unbound stop at 11); the 16 hops of a chain usually come in one or two answers.
pub const MAX_EXCHANGES: u8 = 12;

/// Side effects that the core requests: open, close, send, forget, reply.
pub trait ResolverEffects {
    /// Prepares to ask an upstream.
    fn open(&mut self, id: UpstreamId, upstream: &UpstreamConfig, meter: &Arc<UpstreamMeter>);
    /// Closes the sockets of an upstream that will not be asked any more.
    fn close(&mut self, id: UpstreamId);
    /// Sends a question. The implementation chooses its ID.
    fn send(&mut self, to: UpstreamId, over: UpstreamTransport, attempt: AttemptId, message: &[u8]) -> Result<(), AttemptError>;
    /// Believes the answer to an attempt over UDP although it lacks its marks, because the upstream has no TCP.
    fn expect_unmarked(&mut self, _attempt: AttemptId) {}
    /// Ignores the answer to an attempt from now on.
    fn forget(&mut self, to: UpstreamId, over: UpstreamTransport, attempt: AttemptId);
    /// Returns the upstream whose socket on this side has this address. A question from there has gone in a circle (S7).
    fn upstream_at(&self, address: SocketAddr) -> Option<UpstreamId>;
    /// Sends an answer to a client, and counts it.
    fn reply(&mut self, job: &ResolverJob, kind: AnswerClass, message: &[u8]);
    /// Judges an answer that is about to be written.
    fn judge<'a>(&self, job: &ResolverJob, answer: &Answer<'a>, view: &View<'a>) -> FallbackVerdict<'a> {
        FallbackVerdict::of(&job.question, answer, view)
    }
    /// Takes note of an answer if it fell back.
    fn note(&mut self, job: &ResolverJob, answer: &Answer, verdict: &FallbackVerdict, view: &View);
}

/// The resolver of one thread.
#[derive(Debug)]
pub struct ResolverCore {
    pending: Slab<PendingQuestion>,
    most_pending: usize,
    clients: ClientCounts,
    /// Questions whose exchange ended, or that are new: each is walked again.
    ready: Vec<Ready>,
    exchanges: ExchangeTable,
    timers: TimerQueue<TimerPurpose>,
    keys: HashKeys,
    scratch: Box<[u8]>,
    counts: ResolverCounts,
}

/// Purpose of a timer.
#[derive(Debug, Clone, Copy)]
enum TimerPurpose {
    /// A question has waited long: for a fresh answer, or in all.
    Pending(u32),
    /// An attempt is lost.
    Attempt(u32),
    /// An exchange has waited long for room at an upstream.
    Queued(u32),
    /// An upstream may be asked again, as far as its rate goes.
    Refill(UpstreamId),
    /// An exchange asks the next upstream as well.
    Hedge(u32),
    /// A late answer is no longer waited for.
    Late(u32),
    /// The next probe of an upstream that is down.
    Probe(UpstreamId),
    /// Upstreams that led back to us are probed.
    Loops,
}

/// A question that waits.
#[derive(Debug)]
struct PendingQuestion {
    job: Box<ResolverJob>,
    /// Places at which it counts for its client.
    places: ClientPlaces,
    heard: UpstreamAnswers,
    /// Exchanges so far.
    exchanges: u8,
    /// Progress with the alias of a name that failed.
    alias: AliasQuestion,
    /// It has waited for `stale_after` already.
    late: bool,
    timer: Option<TimerId>,
    /// The exchange it waits for, and its neighbours there.
    exchange: u32,
    before: u32,
    after: u32,
}

/// Progress of a waiting question with the aliases of names that failed.
#[derive(Debug, Default)]
struct AliasQuestion {
    /// Hash of the last question for CNAME. It is asked once.
    asked: Option<u64>,
    /// Set while its answer is awaited.
    awaited: Option<WithoutAlias>,
}

/// The way on for a question if the name that failed has no alias.
#[derive(Debug, Clone, Copy)]
enum WithoutAlias {
    /// The question fails as it did.
    Fail(Failure, u64),
    /// It goes on waiting for its answer: that to the question with this hash.
    Wait(u64),
}

impl PendingQuestion {
    fn has_no_exchanges_left(&self) -> bool {
        self.exchanges >= MAX_EXCHANGES
    }
}

/// No exchange, no neighbour.
const NONE: u32 = u32::MAX;

/// Why a pending question is walked again.
#[derive(Debug, Clone, Copy)]
struct Ready {
    pending: u32,
    /// Its exchange failed: how, and the hash of what was asked.
    failed: Option<(Failure, u64)>,
}

/// Numbers for metrics, all since the start but the first two.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ResolverCounts {
    /// Questions that wait now.
    pub pending: usize,
    /// Exchanges under way now.
    pub exchanges: usize,
    /// Questions taken.
    pub questions: u64,
    /// Questions that joined an exchange under way.
    pub joined: u64,
    /// Answers from stale or derived data.
    pub stale: u64,
    /// Questions refused because too many waited.
    pub busy: u64,
    /// Questions that failed otherwise.
    pub failed: u64,
    /// Questions of ours that came back to us (S7).
    pub loops: u64,
}

impl ResolverCore {
    /// A core that lets `most_pending` questions wait.
    pub fn new(now: Now, most_pending: usize) -> Self {
        Self {
            pending: Slab::new(),
            most_pending,
            clients: ClientCounts::new(),
            ready: Vec::new(),
            exchanges: ExchangeTable::new(),
            timers: TimerQueue::new(now),
            keys: HashKeys::draw(),
            scratch: vec![0; 65_535].into(),
            counts: ResolverCounts::default(),
        }
    }

    /// Changes how many questions may wait.
    pub fn limit(&mut self, most_pending: usize) {
        self.most_pending = most_pending;
    }

    /// Takes over the routes of `state`, if they are new: upstreams are opened and closed, and every route is probed for loops (S7).
    pub fn sync(&mut self, now: Now, state: &State, out: &mut impl ResolverEffects) {
        self.sync_routes(now, state, out);
        self.settle(now, state, out);
    }

    /// Takes a question. It gets exactly one reply, now or later.
    pub fn submit(&mut self, now: Now, state: &State, job: Box<ResolverJob>, out: &mut impl ResolverEffects) {
        self.sync_routes(now, state, out);
        self.counts.questions += 1;
        let places = self.clients.places(job.client.ip());
        if self.came_back(now, &job, out) {
            self.counts.loops += 1;
            self.answer_at_once(now, state, &job, Failure::RouteToSelf, out);
        } else if !self.has_share(places) {
            self.answer_at_once(now, state, &job, Failure::Busy, out);
        } else {
            self.clients.add(places);
            let settings = &state.settings;
            let first = job.received.plus(settings.cache.stale_after.min(settings.deadline));
            let entry = self.pending.vacant_entry();
            let pending = entry.key() as u32;
            let timer = Some(self.timers.set(first, TimerPurpose::Pending(pending)));
            entry.insert(PendingQuestion {
                job,
                places,
                heard: UpstreamAnswers::default(),
                exchanges: 0,
                alias: AliasQuestion::default(),
                late: false,
                timer,
                exchange: NONE,
                before: NONE,
                after: NONE,
            });
            self.ready.push(Ready { pending, failed: None });
        }
        self.settle(now, state, out);
    }

    /// Takes what an upstream said to an attempt. Attempts that were forgotten are ignored.
    pub fn upstream_said(
        &mut self,
        now: Now,
        state: &State,
        attempt: AttemptId,
        said: Result<&[u8], AttemptError>,
        out: &mut impl ResolverEffects,
    ) {
        self.attempt_said(now, state, attempt, said, out);
        self.settle(now, state, out);
    }

    /// Does what has become due.
    pub fn tick(&mut self, now: Now, state: &State, out: &mut impl ResolverEffects) {
        while let Some(due) = self.timers.pop(now) {
            match due {
                TimerPurpose::Pending(pending) => self.waited_long(now, state, pending, out),
                TimerPurpose::Attempt(attempt) => self.attempt_lost(now, state, attempt, out),
                TimerPurpose::Queued(exchange) => self.queued_long(now, state, exchange, out),
                TimerPurpose::Refill(upstream) => self.refilled(now, state, upstream, out),
                TimerPurpose::Hedge(exchange) => self.hedge(now, exchange, out),
                TimerPurpose::Late(late) => self.end_late(late, out),
                TimerPurpose::Probe(upstream) => self.probe(now, upstream, out),
                TimerPurpose::Loops => self.probe_loops_again(now, out),
            }
            self.settle(now, state, out);
        }
    }

    /// When [`ResolverCore::tick`] should be called next.
    pub fn next_deadline(&self) -> Option<Now> {
        self.timers.next()
    }

    /// Answers everything that waits: the server stops.
    pub fn drain(&mut self, now: Now, state: &State, out: &mut impl ResolverEffects) {
        let all: Vec<u32> = self.pending.iter().map(|(id, _)| id as u32).collect();
        for id in all {
            let (view, answer) = self.outage(now, state, id, Failure::NoUpstream);
            self.finish(id, &answer, &view, out);
        }
    }

    /// Numbers of this moment.
    pub fn counts(&self) -> ResolverCounts {
        ResolverCounts { pending: self.pending.len(), exchanges: self.exchanges.len(), ..self.counts }
    }

    /// Walks every question again whose exchange ended, until all of them wait or are answered.
    fn settle(&mut self, now: Now, state: &State, out: &mut impl ResolverEffects) {
        loop {
            while let Some(ready) = self.ready.pop() {
                self.advance(now, state, ready, out);
            }
            if !self.serve_queues(now, state, out) {
                return;
            }
        }
    }

    /// Goes on with a question: answers it, or asks what it needs next.
    fn advance(&mut self, now: Now, state: &State, ready: Ready, out: &mut impl ResolverEffects) {
        let id = ready.pending;
        let mut given_up = None;
        if let Some((failure, _)) = ready.failed {
            let (view, answer) = self.outage(now, state, id, failure);
            if !matches!(answer.end, AnswerEnd::Failed(_)) {
                return self.finish(id, &answer, &view, out);
            }
            if self.ask_alias(now, state, id, &answer, ready.failed, out) {
                return;
            }
            given_up = Some(answer);
        }
        let pending = &self.pending[id as usize];
        let view = view(state, pending.job.client.ip(), now);
        let mut answer = Answer::new();
        match (walk_into(&mut answer, &pending.job.question, &view, &pending.heard, DataPolicy::Fresh), given_up) {
            // Stale data of the hop that failed may lead to a name that another route still knows.
            (Some(ask), Some(answer)) if ready.failed.is_some_and(|(_, hash)| hash == self.hash(&ask, &view)) => {
                self.finish(id, &answer, &view, out);
            }
            (Some(_), _) if pending.has_no_exchanges_left() => self.fail(id, Failure::Loop, &view, out),
            (Some(ask), _) => self.ask(now, state, id, ask, &view, out),
            (None, given_up) => self.finish(id, given_up.as_ref().unwrap_or(&answer), &view, out),
        }
    }

    /// Lets a question wait for the exchange of `ask`, which is begun unless it is under way.
    fn ask(&mut self, now: Now, state: &State, id: u32, ask: UpstreamQuery, view: &View, out: &mut impl ResolverEffects) {
        let hash = self.hash(&ask, view);
        let pending = &mut self.pending[id as usize];
        pending.exchanges += 1;
        let client = pending.job.client.ip();
        match self.join_or_lead(now, state, id, ask, hash, client, out) {
            Ok(joined) => self.counts.joined += u64::from(joined),
            Err(failure) => return self.wake(id, Err((failure, hash))),
        }
        // Where the upstreams are known to be down, what needs none of them is not kept waiting (S6). The exchange goes on: it is a probe.
        let pending = &self.pending[id as usize];
        if pending.exchange != NONE && self.is_outage(pending.exchange) {
            let (view, answer) = self.outage(now, state, id, Failure::NoUpstream);
            if !matches!(answer.end, AnswerEnd::Failed(_)) {
                self.finish(id, &answer, &view, out);
            }
        }
    }

    /// A question has waited for `stale_after`, or for all of its time.
    fn waited_long(&mut self, now: Now, state: &State, id: u32, out: &mut impl ResolverEffects) {
        let (view, answer) = self.outage(now, state, id, Failure::NoUpstream);
        let pending = &mut self.pending[id as usize];
        pending.timer = None;
        let deadline = pending.job.received.plus(state.settings.deadline);
        if matches!(answer.end, AnswerEnd::Failed(_)) && !pending.late && now < deadline {
            pending.late = true;
            pending.timer = Some(self.timers.set(deadline, TimerPurpose::Pending(id)));
            self.ask_alias(now, state, id, &answer, None, out);
        } else {
            self.finish(id, &answer, &view, out);
        }
    }

    /// Returns the answer without any upstream.
    fn outage<'s>(&self, now: Now, state: &'s State, id: u32, failure: Failure) -> (View<'s>, Answer<'s>) {
        let pending = &self.pending[id as usize];
        let view = view(state, pending.job.client.ip(), now);
        let answer = answer_without_upstreams(&pending.job, &view, &pending.heard, failure);
        (view, answer)
    }

    /// Answers with a failure.
    fn fail(&mut self, id: u32, failure: Failure, view: &View, out: &mut impl ResolverEffects) {
        let answer = failed(&self.pending[id as usize].job, failure);
        self.finish(id, &answer, view, out);
    }

    /// Removes a question that waited, and sends its answer.
    fn finish(&mut self, id: u32, answer: &Answer, view: &View, out: &mut impl ResolverEffects) {
        self.leave_exchange(id);
        let pending = self.pending.remove(id as usize);
        self.clients.remove(pending.places);
        if let Some(timer) = pending.timer {
            self.timers.cancel(timer);
        }
        self.reply(&pending.job, answer, view, out);
    }

    /// Answers a question that is not admitted, from data that needs no upstream if there is such data.
    fn answer_at_once(&mut self, now: Now, state: &State, job: &ResolverJob, failure: Failure, out: &mut impl ResolverEffects) {
        let view = view(state, job.client.ip(), now);
        let answer = match failure {
            Failure::RouteToSelf => failed(job, failure),
            _ => answer_without_upstreams(job, &view, &UpstreamAnswers::default(), failure),
        };
        self.reply(job, &answer, &view, out);
    }

    fn reply(&mut self, job: &ResolverJob, answer: &Answer, view: &View, out: &mut impl ResolverEffects) {
        match answer.end {
            AnswerEnd::Failed(Failure::Busy) => self.counts.busy += 1,
            AnswerEnd::Failed(_) => self.counts.failed += 1,
            _ => self.counts.stale += u64::from(answer.stale),
        }
        let verdict = out.judge(job, answer, view);
        out.note(job, answer, &verdict, view);
        self.scratch[..job.packet.len()].copy_from_slice(&job.packet);
        let limit = job.limit.clamp(512, self.scratch.len());
        let len = respond(&job.question, answer, &verdict, view, &mut self.scratch[..limit], limit);
        out.reply(job, AnswerClass::new(job.question.rtype, AnswerSource::of(answer, true)), &self.scratch[..len]);
    }

    /// Adds to the data of a waiting question, and lets it go on.
    fn wake(&mut self, id: u32, result: Result<UpstreamAnswers, (Failure, u64)>) {
        let failed = match self.alias_result(id, result) {
            Ok(heard) => {
                let known = &mut self.pending[id as usize].heard;
                match known.0.is_empty() {
                    true => *known = heard,
                    false => known.0.extend(heard.0),
                }
                None
            }
            Err(failed) => Some(failed),
        };
        self.ready.push(Ready { pending: id, failed });
    }

    /// Returns true if a question can go on.
    fn is_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Returns the client of a waiting question.
    fn client(&self, id: u32) -> IpAddr {
        self.pending[id as usize].job.client.ip()
    }

    /// Returns how many questions may wait for one route. If there are others, half of the room is left to them.
    fn share(&self, routes: usize) -> usize {
        if routes > 1 { (self.most_pending / 2).max(1) } else { self.most_pending }
    }
}

/// Returns the view of a client at this address.
fn view(state: &State, client: IpAddr, now: Now) -> View<'_> {
    state.view_of(client, now)
}

fn answer_without_upstreams<'s>(job: &ResolverJob, view: &View<'s>, heard: &UpstreamAnswers, failure: Failure) -> Answer<'s> {
    match walk(&job.question, view, heard, DataPolicy::Outage(failure)) {
        WalkStep::Answer(answer) => answer,
        WalkStep::Ask(_) => failed(job, failure), // never, with that patience
    }
}

fn failed<'s>(job: &ResolverJob, failure: Failure) -> Answer<'s> {
    Answer { chain: Default::default(), end: AnswerEnd::Failed(failure), name: job.question.name.clone(), missed: None, stale: false }
}
