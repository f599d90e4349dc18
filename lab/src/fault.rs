//! Faults: the questions that they affect, their effects, and their schedule.

use std::ops::Range;
use std::time::Duration;

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::{Name, Record, RecordType};
use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};

use crate::record_text::{absolute, read_record};

/// One fault: the questions it applies to, when, and its effects. All faults that match a question
/// apply, in the order of the list. If two set the same effect, the later one wins.
#[derive(Debug, Clone, Default)]
pub struct LabFault {
    /// Names that the fault applies to.
    pub scope: FaultScope,
    /// Question type that the fault is limited to. `None` means every type.
    pub kind: Option<RecordType>,
    /// Transport that the fault is limited to. `None` means both.
    pub transport: Option<QuestionTransport>,
    /// Probability that the fault affects a matching question. `None` means always.
    pub chance: Option<f64>,
    /// Number of times that the fault affects one question (name and type). `None` means no limit.
    pub times: Option<u64>,
    /// Times since the start, or since the last [`Lab::set`](crate::LabServer::set), in which the fault
    /// applies. Empty means always.
    pub during: Vec<FaultWindow>,
    /// Period after which `during` repeats. `None` means never.
    pub every: Option<Duration>,

    /// Delay of the answer.
    pub delay: Option<AnswerDelay>,
    /// Probability that no answer is sent.
    pub loss: f64,
    /// Probability that the answer is sent twice.
    pub duplicate: f64,
    /// Send an empty answer with TC over UDP. Over TCP the answer is complete.
    pub truncate: bool,
    /// Answer with this RCODE. NXDOMAIN carries the SOA, and all others carry no records.
    pub rcode: Option<ResponseCode>,
    /// Return only the first CNAME of the chain, as servers without recursion do.
    pub first_hop: bool,
    /// Treatment of questions with an OPT record.
    pub edns: Option<EdnsFault>,
    /// Records to append to the answer section that an upstream has no authority to send.
    pub inject: Vec<Record>,
    /// Corruption of the answer. `None` means none.
    pub forge: Vec<AnswerForgery>,
    /// Send the honest answer directly after the forged one, as when an off-path attacker guesses
    /// first.
    pub honest_too: bool,
    /// Treatment of the TCP connection that carries the question.
    pub tcp: Option<TcpFault>,
}

/// Names that a fault applies to.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum FaultScope {
    /// All names of the public DNS.
    #[default]
    Everything,
    /// One name, without the names below it.
    Name(Name),
    /// A name and all names below it.
    Suffix(Name),
}

/// Transport of a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum QuestionTransport {
    /// A UDP datagram.
    Udp,
    /// A TCP connection.
    Tcp,
}

/// Delay of an answer. The result is at most [`AnswerDelay::MAX`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum AnswerDelay {
    /// A constant delay.
    Fixed(Duration),
    /// A delay distributed uniformly between two values.
    Uniform(Duration, Duration),
    /// A normal distribution with a mean and a standard deviation, but never below zero.
    Normal(Duration, Duration),
    /// A heavy-tailed distribution: at least the scale, and rarely far more. The shape (2 is mild,
    /// 1 is wild) sets how rarely.
    Pareto(Duration, f64),
}

/// A span of time since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FaultWindow {
    /// First moment inside the span.
    pub from: Duration,
    /// First moment after the span.
    pub until: Duration,
}

/// Treatment of questions with an OPT record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EdnsFault {
    /// Answer FORMERR without OPT, as a server from before EDNS does.
    Formerr,
    /// Answer with BADVERS.
    Badvers,
    /// Answer without OPT.
    Ignore,
    /// Send no answer, as behind a firewall that drops messages with OPT.
    Drop,
}

/// A corruption of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnswerForgery {
    /// Change the message ID.
    Id,
    /// Change the question name.
    Question,
    /// Return the question in capital letters, as a server does that ignores the letter case
    /// (0x20).
    Case,
    /// Send random bytes behind the right ID.
    Garbage,
    /// Cut the message in the middle and keep the section counts.
    Cut,
    /// Send the answer from another port (UDP only).
    Source,
}

/// Treatment of the TCP connection that carries a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TcpFault {
    /// Send RST instead of an answer.
    Reset,
    /// Close instead of sending an answer.
    Close,
    /// Close in the middle of the answer.
    Half,
    /// Send the answer slowly, one byte every 10 ms.
    Slow,
}

/// Effects on one question: all matching faults of a scenario with their random choices made.
#[derive(Debug, Clone, Default)]
pub struct QuestionFate {
    /// Delay of the answer.
    pub delay: Duration,
    /// Send no answer.
    pub silent: bool,
    /// Send the answer twice.
    pub duplicate: bool,
    /// Send an empty answer with TC (UDP only).
    pub truncate: bool,
    /// RCODE to return instead of the answer.
    pub rcode: Option<ResponseCode>,
    /// Return only the first CNAME of the chain.
    pub first_hop: bool,
    /// Treatment of a question with an OPT record.
    pub edns: Option<EdnsFault>,
    /// Records to append to the honest ones.
    pub inject: Vec<Record>,
    /// Corruptions of the answer, in order.
    pub forge: Vec<AnswerForgery>,
    /// Send the honest answer after the corrupted one.
    pub honest_too: bool,
    /// Treatment of the connection.
    pub tcp: Option<TcpFault>,
    /// Seed of the random bytes that the corruption needs.
    pub entropy: u64,
}

/// Properties of a question that its fate depends on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FaultQuestion<'a> {
    /// Name in lower case.
    pub name: &'a Name,
    pub kind: RecordType,
    pub transport: QuestionTransport,
    /// Set if the question has an OPT record.
    pub edns: bool,
    /// How often the name and type were asked before.
    pub nth: u64,
    /// Time since the faults were set.
    pub elapsed: Duration,
}

/// Makes the random choices for one question. They depend only on the seed, the question and how
/// often it was asked before. A run is therefore repeatable even if other questions arrive in
/// another order.
pub(crate) fn decide(faults: &[LabFault], seed: u64, question: &FaultQuestion<'_>) -> QuestionFate {
    let mut fate = QuestionFate::default();
    if faults.is_empty() {
        return fate;
    }
    let mut dice = Xoshiro256PlusPlus::seed_from_u64(mix(seed, question));
    fate.entropy = dice.random();
    for fault in faults.iter().filter(|fault| fault.matches(question)) {
        if fault.chance.is_none_or(|chance| dice.random_bool(chance.clamp(0.0, 1.0))) {
            fault.strike(question, &mut fate, &mut dice);
        }
    }
    fate
}

/// Constructors of a fault, and the effects that can be added to it.
impl LabFault {
    /// Creates a fault for every name.
    pub fn everything() -> LabFault {
        LabFault::default()
    }

    /// Creates a fault for this name alone. Panics if the name is invalid, because that is a
    /// mistake in the test.
    pub fn name(name: &str) -> LabFault {
        LabFault { scope: FaultScope::Name(absolute(name).expect("a domain name")), ..LabFault::default() }
    }

    /// Creates a fault for this name and all names below it. Panics as [`LabFault::name`] does.
    pub fn suffix(name: &str) -> LabFault {
        LabFault { scope: FaultScope::Suffix(absolute(name).expect("a domain name")), ..LabFault::default() }
    }

    /// Limits the fault to questions of this type.
    pub fn of_type(self, kind: RecordType) -> LabFault {
        LabFault { kind: Some(kind), ..self }
    }

    /// Limits the fault to this transport.
    pub fn over(self, transport: QuestionTransport) -> LabFault {
        LabFault { transport: Some(transport), ..self }
    }

    /// Sets the probability that the fault affects a question.
    pub fn chance(self, chance: f64) -> LabFault {
        LabFault { chance: Some(chance), ..self }
    }

    /// Limits the fault to the first `times` occurrences of each question.
    pub fn times(self, times: u64) -> LabFault {
        LabFault { times: Some(times), ..self }
    }

    /// Limits the fault to the time between these two moments after the faults were set.
    pub fn during(mut self, window: Range<Duration>) -> LabFault {
        self.during.push(FaultWindow { from: window.start, until: window.end });
        self
    }

    /// Repeats `during` with this period.
    pub fn every(self, period: Duration) -> LabFault {
        LabFault { every: Some(period), ..self }
    }

    /// Drops the answer.
    pub fn silent(self) -> LabFault {
        LabFault { loss: 1.0, ..self }
    }

    /// Drops the answer with this probability.
    pub fn loss(self, loss: f64) -> LabFault {
        LabFault { loss, ..self }
    }

    /// Delays the answer.
    pub fn delay(self, delay: AnswerDelay) -> LabFault {
        LabFault { delay: Some(delay), ..self }
    }

    /// Delays the answer by this many milliseconds.
    pub fn delay_ms(self, milliseconds: u64) -> LabFault {
        self.delay(AnswerDelay::Fixed(Duration::from_millis(milliseconds)))
    }

    /// Sends the answer twice with this probability.
    pub fn duplicate(self, duplicate: f64) -> LabFault {
        LabFault { duplicate, ..self }
    }

    /// Sends an empty answer with TC over UDP. The answer over TCP is complete.
    pub fn truncate(self) -> LabFault {
        LabFault { truncate: true, ..self }
    }

    /// Returns this RCODE instead of the answer.
    pub fn rcode(self, rcode: ResponseCode) -> LabFault {
        LabFault { rcode: Some(rcode), ..self }
    }

    /// Returns only the first CNAME of the chain.
    pub fn first_hop(self) -> LabFault {
        LabFault { first_hop: true, ..self }
    }

    /// Sets the treatment of questions with an OPT record.
    pub fn edns(self, edns: EdnsFault) -> LabFault {
        LabFault { edns: Some(edns), ..self }
    }

    /// Appends records to the honest ones, each written as in a scenario (`owner TTL TYPE data`).
    /// Panics as [`LabFault::name`] does.
    pub fn inject(mut self, records: &[&str]) -> LabFault {
        self.inject.extend(records.iter().map(|record| read_record(record).expect("a record")));
        self
    }

    /// Corrupts the answer in this way.
    pub fn forge(mut self, forgery: AnswerForgery) -> LabFault {
        self.forge.push(forgery);
        self
    }

    /// Sends the honest answer after the corrupted one.
    pub fn honest_too(self) -> LabFault {
        LabFault { honest_too: true, ..self }
    }

    /// Sets the treatment of the TCP connection that carries the question.
    pub fn tcp(self, fault: TcpFault) -> LabFault {
        LabFault { tcp: Some(fault), ..self }
    }

    /// Returns the effects of this fault alone on a question that was asked `nth` times before, at
    /// the start of a run. It shows the random choices without a lab. Panics as [`LabFault::name`]
    /// does.
    pub fn throw(&self, seed: u64, name: &str, kind: RecordType, nth: u64) -> QuestionFate {
        let name = absolute(name).expect("a domain name");
        let question = FaultQuestion { name: &name, kind, transport: QuestionTransport::Udp, edns: true, nth, elapsed: Duration::ZERO };
        decide(std::slice::from_ref(self), seed, &question)
    }

    fn matches(&self, question: &FaultQuestion<'_>) -> bool {
        let name = match &self.scope {
            FaultScope::Everything => true,
            // Different names mostly differ in their first label, but hickory compares from the
            // last. The first labels are therefore compared first.
            FaultScope::Name(name) => name.iter().next() == question.name.iter().next() && name == question.name,
            FaultScope::Suffix(suffix) => suffix.zone_of(question.name),
        };
        name && self.kind.is_none_or(|kind| kind == question.kind)
            && self.transport.is_none_or(|transport| transport == question.transport)
            && self.times.is_none_or(|times| question.nth < times)
            && self.on_at(question.elapsed)
    }

    fn on_at(&self, elapsed: Duration) -> bool {
        let at = match self.every {
            Some(period) if !period.is_zero() => Duration::from_nanos((elapsed.as_nanos() % period.as_nanos()) as u64),
            _ => elapsed,
        };
        self.during.is_empty() || self.during.iter().any(|window| (window.from..window.until).contains(&at))
    }

    fn strike(&self, question: &FaultQuestion<'_>, fate: &mut QuestionFate, dice: &mut Xoshiro256PlusPlus) {
        if let Some(delay) = self.delay {
            fate.delay = delay.throw(dice);
        }
        fate.silent |= self.loss > 0.0 && dice.random_bool(self.loss.clamp(0.0, 1.0));
        fate.duplicate |= self.duplicate > 0.0 && dice.random_bool(self.duplicate.clamp(0.0, 1.0));
        fate.truncate |= self.truncate;
        fate.first_hop |= self.first_hop;
        fate.honest_too |= self.honest_too;
        fate.rcode = self.rcode.or(fate.rcode);
        fate.tcp = self.tcp.or(fate.tcp);
        if question.edns {
            fate.edns = self.edns.or(fate.edns);
        }
        fate.inject.extend_from_slice(&self.inject);
        fate.forge.extend_from_slice(&self.forge);
    }
}

impl AnswerDelay {
    /// Upper bound of every delay, so that a heavy tail does not hold a question for hours.
    pub const MAX: Duration = Duration::from_secs(60);

    fn throw(self, dice: &mut Xoshiro256PlusPlus) -> Duration {
        let seconds = match self {
            AnswerDelay::Fixed(delay) => delay.as_secs_f64(),
            AnswerDelay::Uniform(low, high) => low.as_secs_f64() + (high.saturating_sub(low)).as_secs_f64() * dice.random::<f64>(),
            AnswerDelay::Normal(mean, deviation) => {
                // The Box–Muller transform. 1 - u is never zero, so the logarithm is finite.
                let (u, v) = (1.0 - dice.random::<f64>(), dice.random::<f64>());
                mean.as_secs_f64() + deviation.as_secs_f64() * (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
            }
            AnswerDelay::Pareto(scale, shape) => scale.as_secs_f64() / (1.0 - dice.random::<f64>()).powf(1.0 / shape.max(0.1)),
        };
        Duration::from_secs_f64(seconds.clamp(0.0, AnswerDelay::MAX.as_secs_f64()))
    }
}

/// FNV-1a hash of the question. It is stable over versions and platforms, which the standard
/// library's hasher does not guarantee.
fn mix(seed: u64, question: &FaultQuestion<'_>) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325 ^ seed;
    let mut eat = |byte: u8| hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    for label in question.name.iter() {
        eat(label.len() as u8);
        label.iter().for_each(|byte| eat(byte.to_ascii_lowercase()));
    }
    u16::from(question.kind).to_be_bytes().into_iter().for_each(&mut eat);
    question.nth.to_be_bytes().into_iter().for_each(&mut eat);
    hash
}
