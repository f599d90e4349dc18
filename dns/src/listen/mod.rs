//! Listeners: questions come in and answers leave here. All of them share [`QueryService::attend`], which answers one message of any transport.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::clock::{Clock, Now};
use crate::cookie::CookieProof;
use crate::counters::{AnswerClass, AnswerSource, WorkerCounters, WorkerEvent};
use crate::ede::{self, ExtendedError, Failure, rcode};
use crate::fallback::FallbackRecorder;
use crate::manners;
use crate::query::{Answer, DataPolicy, UpstreamAnswers, walk_into};
use crate::rates::ResponseRates;
use crate::resolver::{JobSubmitter, ResolverJob};
use crate::respond::{refuse, respond};
use crate::return_path::{ReplySender, ReplyTo};
use crate::state::{State, View};
use crate::transport::{ClientTransport, PerListener};
use crate::wire::HEADER;
use crate::wire::question::{DeclinedQuestion, NotAQuestion, Question, tsig, understand};
use arc_swap::ArcSwap;
use tokio::sync::mpsc;

pub mod handler;
pub mod packet_cache;
pub mod places;
pub mod tcp;
pub mod udp;

use handler::{HandlerRequest, MessageHandler, hand_over, kind_of_opcode, kind_of_question};
use packet_cache::ReusableAnswer;
use tcp::{StreamAnswerer, StreamOutcome};

/// State, clock, resolver and recorder that all listeners share.
#[derive(Debug, Clone)]
pub struct QueryService {
    /// The state of the moment.
    pub state: Arc<ArcSwap<State>>,
    /// The clock that states, cache and resolver share.
    pub clock: Clock,
    /// Queue of questions that need an upstream.
    pub resolver: JobSubmitter,
    /// Recorder of fallbacks.
    pub recorder: Arc<FallbackRecorder>,
    /// Handler of messages that are not the path's. `None` if the server has none.
    pub handler: Option<Arc<dyn MessageHandler>>,
    /// WorkerCounters of the handler's answers: it has threads of its own.
    pub handled: PerListener<Arc<WorkerCounters>>,
    /// Responses over UDP to each client network in this second.
    pub rates: Arc<ResponseRates>,
}

/// Octets of the longest message over a stream.
const STREAM_LIMIT: usize = 65_535;
/// Octets of the shortest message with a server cookie: its header, and an OPT record with the COOKIE option.
const LEAST_WITH_COOKIE: usize = HEADER + 11 + 4 + 24;
/// Port of questions that no client sent. It must not be 0, because a message from port 0 gets no answer.
const INSIDE: u16 = 1;
/// Time that an answer may take beyond the deadline of its question.
const GRACE: Duration = Duration::from_secs(1);

/// Room for a question and its answer, used again for each message of a batch: together they have 1.6 KB.
#[derive(Debug, Default)]
pub struct AnswerScratch<'s> {
    question: Question,
    answer: Answer<'s>,
    /// Present if the last answer may be given again to the same question.
    pub reusable: Option<ReusableAnswer>,
}

impl AnswerScratch<'_> {
    /// Returns an empty desk.
    pub fn new() -> Self {
        Self::default()
    }
}

impl QueryService {
    /// Packs the properties of a client that can change its answer (network, recursion, access) into a key of the packet cache.
    #[inline]
    pub fn sees(&self, state: &State, client: SocketAddr) -> u64 {
        let network = state.snapshot.network_of(client.ip());
        let recursion = state.snapshot.network(network).may_recurse(client.ip());
        let ignored = client.port() == 0;
        u64::from(network.0) | u64::from(recursion) << 32 | u64::from(state.access.admits(client.ip())) << 33 | u64::from(ignored) << 34
    }

    /// Answers a datagram that was cut because it is longer than any question. `packet` holds its beginning.
    ///
    /// The answer is FORMERR (RFC 1035 section 4.1.1) and rests on the header alone, because the rest must not be read as if it were whole.
    /// A client would take silence for a lost packet (RFC 8906 section 2).
    #[cold]
    pub fn attend_cut(&self, state: &State, packet: &mut [u8], client: SocketAddr, counters: &WorkerCounters) -> StreamOutcome {
        counters.event(WorkerEvent::Oversized);
        let is_response = packet[2] & 0x80 != 0;
        if is_response || client.port() == 0 || !state.access.admits(client.ip()) {
            counters.event(WorkerEvent::Ignored);
            return StreamOutcome::Never;
        }
        let declined = DeclinedQuestion {
            rcode: rcode::FORMERR,
            end: HEADER,
            edns: None,
            cookie: None,
            error: ExtendedError { code: 0, text: "too long" },
        };
        let length = manners::decline(&declined, &state.settings, packet);
        counters.server_answer(0, &packet[..length]);
        StreamOutcome::Now(length)
    }

    /// Returns true if the message has a server cookie that this server gave to `client`: its source address is not forged then.
    ///
    /// Only a message that is long enough for such a cookie is read.
    #[inline]
    pub fn proves_address(message: &[u8], client: IpAddr) -> bool {
        message.len() >= LEAST_WITH_COOKIE && has_good_cookie(message, client)
    }

    /// Answers a datagram without a good cookie whose client network had its responses for this second, with no more than advice. Malformed
    /// messages get no answer. Returns `None` if a handler must see the message: it is signed with TSIG, or a handler takes its opcode.
    #[cold]
    pub fn attend_limited(
        &self,
        state: &State,
        packet: &mut [u8],
        length: usize,
        client: SocketAddr,
        advice: bool,
        counters: &WorkerCounters,
    ) -> Option<StreamOutcome> {
        let mut question = match understand(&packet[..length]) {
            // Nobody checks SIG(0), so it proves nothing.
            Ok(question) if question.signed && tsig(&packet[..length], &question).is_some() => return None,
            Ok(question) => question,
            Err(NotAQuestion::Declined(declined)) => {
                let kind = (declined.rcode == rcode::NOTIMP).then(|| kind_of_opcode(packet)).flatten();
                if self.taker(kind).is_some() {
                    return None;
                }
                counters.event(WorkerEvent::Limited);
                return Some(StreamOutcome::Never);
            }
            Err(_) => return Some(StreamOutcome::Never),
        };
        question.settle_cookie(client.ip());
        counters.event(WorkerEvent::Limited);
        if !advice || client.port() == 0 || !state.access.admits(client.ip()) {
            return Some(StreamOutcome::Never);
        }
        let length = manners::advise(&question, &state.settings, packet);
        counters.server_answer(question.rtype, &packet[..length]);
        Some(StreamOutcome::Now(length))
    }

    /// Answers the message in the first `length` octets of `packet` in place, or hands it on with the `way_back` of its answer.
    #[inline]
    #[allow(clippy::too_many_arguments)] // one message, whole: a struct would be made for this call alone
    pub fn attend<'s>(
        &self,
        state: &'s State,
        desk: &mut AnswerScratch<'s>,
        now: Now,
        packet: &mut [u8],
        length: usize,
        client: SocketAddr,
        transport: ClientTransport,
        counters: &WorkerCounters,
        way_back: impl FnOnce() -> ReplyTo,
    ) -> StreamOutcome {
        let AnswerScratch { question, reusable, .. } = desk;
        *reusable = None;
        let answered = |packet: &[u8], length: usize, kind: AnswerClass| {
            counters.answer(kind, &packet[..length]);
            StreamOutcome::Now(length)
        };
        match question.read(&packet[..length]) {
            Ok(()) if client.port() != 0 => {}
            Err(NotAQuestion::Declined(mut declined)) if client.port() != 0 && state.access.admits(client.ip()) => {
                declined.settle_cookie(client.ip());
                let kind = (declined.rcode == rcode::NOTIMP).then(|| kind_of_opcode(packet)).flatten();
                if let Some((handler, kind)) = self.taker(kind) {
                    let request = HandlerRequest::new(kind, &packet[..length], client, transport, now, way_back(), &self.handled);
                    if hand_over(handler, request, counters) {
                        return StreamOutcome::Later;
                    }
                    declined = DeclinedQuestion { rcode: rcode::SERVFAIL, error: ede::HANDLER_BUSY, ..declined };
                }
                let length = manners::decline(&declined, &state.settings, packet);
                counters.server_answer(0, &packet[..length]);
                return StreamOutcome::Now(length);
            }
            _ => {
                counters.event(WorkerEvent::Ignored);
                return StreamOutcome::Never;
            }
        }
        question.settle_cookie(client.ip());
        let limit = match transport {
            // A reload may have raised `udp-size` since the buffers of this batch were made.
            ClientTransport::Udp => question.udp_limit(state.settings.udp_size).min(packet.len()),
            ClientTransport::Tcp => STREAM_LIMIT,
        };
        let view = state.view_of(client.ip(), now);
        if !state.access.admits(client.ip()) {
            counters.event(WorkerEvent::Denied);
            let length = refuse(question, Failure::Denied, &view, packet, limit);
            return answered(packet, length, AnswerClass::new(question.rtype, AnswerSource::Refused));
        }
        if manners::is_unusual(question) {
            let kind = kind_of_question(question, || tsig(&packet[..length], question).is_some());
            if let Some((handler, kind)) = self.taker(kind) {
                let request = HandlerRequest::new(kind, &packet[..length], client, transport, now, way_back(), &self.handled);
                if hand_over(handler, request, counters) {
                    return StreamOutcome::Later;
                }
                let declined = DeclinedQuestion {
                    rcode: rcode::SERVFAIL,
                    end: question.end,
                    edns: question.edns,
                    cookie: question.cookie,
                    error: ede::HANDLER_BUSY,
                };
                let length = manners::decline(&declined, &state.settings, packet);
                return answered(packet, length, AnswerClass::new(question.rtype, AnswerSource::Server));
            }
            if let Some(length) = manners::answer(question, &view, packet, length, limit) {
                return answered(packet, length, AnswerClass::new(question.rtype, AnswerSource::Server));
            }
        }
        self.walk(desk, &view, now, packet, client, limit, counters, way_back)
    }

    /// Answers the question on the desk by the path, or hands it to the resolver.
    #[inline]
    #[allow(clippy::too_many_arguments)] // as above
    fn walk<'s>(
        &self,
        desk: &mut AnswerScratch<'s>,
        view: &View<'s>,
        now: Now,
        packet: &mut [u8],
        client: SocketAddr,
        limit: usize,
        counters: &WorkerCounters,
        way_back: impl FnOnce() -> ReplyTo,
    ) -> StreamOutcome {
        static NOTHING_HEARD: UpstreamAnswers = UpstreamAnswers(Vec::new());
        let AnswerScratch { question, answer, reusable } = desk;
        let answered = |packet: &[u8], length: usize, kind: AnswerClass| {
            counters.answer(kind, &packet[..length]);
            StreamOutcome::Now(length)
        };
        if walk_into(answer, question, view, &NOTHING_HEARD, DataPolicy::Fresh).is_none() {
            let verdict = self.recorder.judge(question, answer, view);
            let length = respond(question, answer, &verdict, view, packet, limit);
            let kind = AnswerClass::new(question.rtype, AnswerSource::of(answer, false));
            let sighting = self.recorder.note(question, client.ip(), answer, &verdict, view);
            // A cookie is the client's own.
            let sighting = sighting.filter(|_| question.cookie.is_none());
            *reusable = sighting.and_then(|sighting| Some(ReusableAnswer { until: answer.holds_until(now)?, sighting, kind }));
            return answered(packet, length, kind);
        }
        let Some(job) = ResolverJob::new(packet, question.clone(), client, way_back(), limit, now) else { return StreamOutcome::Never };
        let rtype = job.question.rtype;
        match self.resolver.submit(job) {
            Ok(()) => {
                counters.hand_on(rtype);
                StreamOutcome::Later
            }
            Err(job) => {
                counters.event(WorkerEvent::Busy);
                let length = refuse(&job.question, Failure::Busy, view, packet, limit);
                answered(packet, length, AnswerClass::new(rtype, AnswerSource::Failed))
            }
        }
    }
}

/// See [`QueryService::proves_address`].
#[cold]
fn has_good_cookie(message: &[u8], client: IpAddr) -> bool {
    let cookie = match understand(message) {
        Ok(question) => question.cookie,
        Err(NotAQuestion::Declined(declined)) => declined.cookie,
        Err(_) => None,
    };
    cookie.is_some_and(|mut cookie| {
        cookie.settle_now(client);
        cookie.proof() == CookieProof::Good
    })
}

/// Answers messages that come over streams.
#[derive(Debug)]
pub struct StreamService {
    /// State and threads that all listeners share.
    pub service: QueryService,
    /// Counters of all connections of a listener.
    pub counters: Arc<WorkerCounters>,
}

impl StreamAnswerer for StreamService {
    fn answer(&self, message: &mut [u8], length: usize, client: SocketAddr, later: &ReplySender) -> StreamOutcome {
        let state = self.service.state.load();
        let mut desk = AnswerScratch::new();
        let start = Instant::now();
        let now = self.service.clock.at(start);
        let way_back = || ReplyTo::Tcp(later.clone());
        let answered = self.service.attend(&state, &mut desk, now, message, length, client, ClientTransport::Tcp, &self.counters, way_back);
        if let StreamOutcome::Now(_) = answered {
            self.counters.durations.add(start.elapsed(), 1);
        }
        answered
    }
}

impl StreamService {
    /// Asks a question as that client would over TCP, and waits for the answer. `None` if no answer comes within the time that a question may
    /// take. The question is counted and may fall back like one of the client.
    pub async fn ask(&self, message: &[u8], client: IpAddr) -> Option<Vec<u8>> {
        let (later, mut coming) = mpsc::channel(1);
        let mut packet = vec![0; STREAM_LIMIT];
        packet.get_mut(..message.len())?.copy_from_slice(message);
        let client = SocketAddr::new(client, INSIDE);
        let (answered, patience) = {
            let state = self.service.state.load();
            let way_back = || ReplyTo::Tcp(ReplySender::alone(later));
            let (now, length) = (self.service.clock.now(), message.len());
            let stream = ClientTransport::Tcp;
            let answered =
                self.service.attend(&state, &mut AnswerScratch::new(), now, &mut packet, length, client, stream, &self.counters, way_back);
            (answered, state.settings.deadline + GRACE)
        };
        match answered {
            StreamOutcome::Now(length) => {
                packet.truncate(length);
                Some(packet)
            }
            StreamOutcome::Later => tokio::time::timeout(patience, coming.recv()).await.ok().flatten(),
            StreamOutcome::Never => None,
        }
    }

    /// Answers a message whose signature was checked and removed. The path answers it, but never with a fallback (S4).
    ///
    /// `packet`: the message of `length` octets in front, with room for the largest message behind. `reserve`: octets that the answer leaves
    /// for its own signature.
    pub fn attend_signed(
        &self,
        packet: &mut [u8],
        length: usize,
        client: SocketAddr,
        transport: ClientTransport,
        reserve: usize,
        later: mpsc::Sender<Vec<u8>>,
    ) -> StreamOutcome {
        let state = self.service.state.load();
        let answered = |packet: &[u8], length: usize, rtype| {
            self.counters.server_answer(rtype, &packet[..length]);
            StreamOutcome::Now(length)
        };
        let mut desk = AnswerScratch::new();
        let question = &mut desk.question;
        match question.read(&packet[..length]) {
            Ok(()) => {}
            Err(NotAQuestion::Declined(mut declined)) => {
                declined.settle_cookie(client.ip());
                let length = manners::decline(&declined, &state.settings, packet);
                return answered(packet, length, 0);
            }
            Err(_) => return StreamOutcome::Never,
        }
        question.signed = true;
        question.settle_cookie(client.ip());
        let limit = match transport {
            ClientTransport::Udp => question.udp_limit(state.settings.udp_size),
            ClientTransport::Tcp => STREAM_LIMIT,
        };
        let limit = limit.saturating_sub(reserve).max(question.end); // header and question always fit
        let now = self.service.clock.now();
        let view = state.view_of(client.ip(), now);
        if let Some(length) = manners::answer(question, &view, packet, length, limit) {
            return answered(packet, length, question.rtype);
        }
        let way_back = || ReplyTo::Tcp(ReplySender::alone(later));
        self.service.walk(&mut desk, &view, now, packet, client, limit, &self.counters, way_back)
    }
}
