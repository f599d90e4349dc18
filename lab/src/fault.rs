//! What goes wrong, with which questions, and when.

use std::ops::Range;
use std::time::Duration;

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::{Name, Record, RecordType};
use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};

/// One fault: where it applies, when, and what happens then. All that match a question apply, in the order of the list; where
/// two say something about the same thing, the later one holds.
#[derive(Debug, Clone, Default)]
pub struct Fault {
    /// Names it applies to.
    pub scope: Scope,
    /// Only questions of this type.
    pub kind: Option<RecordType>,
    /// Only questions that came this way.
    pub transport: Option<Transport>,
    /// Probability that it strikes a question it matches; none: always.
    pub chance: Option<f64>,
    /// Only the first so many times that a question (name and type) is asked.
    pub times: Option<u64>,
    /// Only within these times since the start (or since the last [`Lab::set`](crate::Lab::set)); empty: always.
    pub during: Vec<Window>,
    /// `during` repeats with this period.
    pub every: Option<Duration>,

    /// The answer is held back so long.
    pub delay: Option<Delay>,
    /// Probability that no answer is sent.
    pub loss: f64,
    /// Probability that the answer is sent twice.
    pub duplicate: f64,
    /// Over UDP: an empty answer with TC. The whole answer comes over TCP.
    pub truncate: bool,
    /// Answer with this code: NXDOMAIN with the SOA, others bare.
    pub rcode: Option<ResponseCode>,
    /// Only the first CNAME of the chain, as servers do that do not recurse.
    pub first_hop: bool,
    /// What questions with an OPT record meet.
    pub edns: Option<Edns>,
    /// Records put behind the honest ones in ANSWER: what an upstream may not say.
    pub inject: Vec<Record>,
    /// How the answer is spoilt.
    pub forge: Vec<Forgery>,
    /// The honest answer follows the spoilt one at once, as when somebody off the path guesses first.
    pub honest_too: bool,
    /// What happens to a TCP connection that asks.
    pub tcp: Option<TcpFault>,
}

/// Names a fault applies to.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Scope {
    /// Every name.
    #[default]
    Everything,
    /// This name alone.
    Name(Name),
    /// This name and all below it.
    Suffix(Name),
}

/// How a question came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Transport {
    /// In a datagram.
    Udp,
    /// Over a connection.
    Tcp,
}

/// How long an answer is held back. Whatever comes out, it is at most [`Delay::MAX`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Delay {
    /// Always this.
    Fixed(Duration),
    /// Evenly between two values.
    Uniform(Duration, Duration),
    /// Around a mean, with a standard deviation; never below zero.
    Normal(Duration, Duration),
    /// Heavy tail: at least the scale, seldom far more; the shape (2 is mild, 1 is wild) says how seldom.
    Pareto(Duration, f64),
}

/// A span of time since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// First moment in it.
    pub from: Duration,
    /// First moment after it.
    pub until: Duration,
}

/// What questions with an OPT record meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edns {
    /// FORMERR without OPT: a server from before EDNS.
    Formerr,
    /// BADVERS.
    Badvers,
    /// The answer has no OPT.
    Ignore,
    /// No answer: a firewall that does not know OPT.
    Drop,
}

/// How an answer is spoilt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forgery {
    /// Another ID.
    Id,
    /// Another question name.
    Question,
    /// The question in capitals: a server that does not keep the case (0x20).
    Case,
    /// Random bytes behind the right ID.
    Garbage,
    /// Cut in the middle, with the counts of the whole.
    Cut,
    /// Sent from another port (UDP only).
    Source,
}

/// What happens to a TCP connection that asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TcpFault {
    /// RST instead of an answer.
    Reset,
    /// Closed instead of an answer.
    Close,
    /// Closed in the middle of the answer.
    Half,
    /// The answer trickles, 10 ms a byte.
    Slow,
}

/// What one question meets: the faults of a scenario, thrown.
#[derive(Debug, Clone, Default)]
pub struct Fate {
    /// Held back so long.
    pub delay: Duration,
    /// No answer.
    pub silent: bool,
    /// Sent twice.
    pub duplicate: bool,
    /// Empty with TC (UDP).
    pub truncate: bool,
    /// Code instead of the answer.
    pub rcode: Option<ResponseCode>,
    /// Only the first CNAME.
    pub first_hop: bool,
    /// Treatment of a question with OPT.
    pub edns: Option<Edns>,
    /// Records behind the honest ones.
    pub inject: Vec<Record>,
    /// Ways in which the answer is spoilt.
    pub forge: Vec<Forgery>,
    /// The honest answer follows.
    pub honest_too: bool,
    /// For the connection.
    pub tcp: Option<TcpFault>,
    /// Source of the random bytes that the forgery needs.
    pub entropy: u64,
}

/// What a fate depends on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Question<'a> {
    /// Name, lower case.
    pub name: &'a Name,
    pub kind: RecordType,
    pub transport: Transport,
    /// It has an OPT record.
    pub edns: bool,
    /// How often name and type were asked before.
    pub nth: u64,
    /// Time since the faults were set.
    pub elapsed: Duration,
}

/// Throws the dice for one question. They depend on the seed, the question and how often it was asked before, on nothing else:
/// a run repeats even when other questions come in another order.
pub(crate) fn decide(faults: &[Fault], seed: u64, question: &Question<'_>) -> Fate {
    let mut fate = Fate::default();
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

/// Starts a fault that applies to every question.
impl Fault {
    /// Every name.
    pub fn everything() -> Fault {
        Fault::default()
    }

    /// This name alone. A name that is none is a mistake in the test that says so, hence the panic.
    pub fn name(name: &str) -> Fault {
        Fault { scope: Scope::Name(absolute(name).expect("a domain name")), ..Fault::default() }
    }

    /// This name and all below it; panics as [`Fault::name`] does.
    pub fn suffix(name: &str) -> Fault {
        Fault { scope: Scope::Suffix(absolute(name).expect("a domain name")), ..Fault::default() }
    }

    /// Only questions of this type.
    pub fn of_type(self, kind: RecordType) -> Fault {
        Fault { kind: Some(kind), ..self }
    }

    /// Only questions that came this way.
    pub fn over(self, transport: Transport) -> Fault {
        Fault { transport: Some(transport), ..self }
    }

    /// Strikes with this probability.
    pub fn chance(self, chance: f64) -> Fault {
        Fault { chance: Some(chance), ..self }
    }

    /// Strikes the first so many times that a question is asked.
    pub fn times(self, times: u64) -> Fault {
        Fault { times: Some(times), ..self }
    }

    /// Strikes between these times since the faults were set.
    pub fn during(mut self, window: Range<Duration>) -> Fault {
        self.during.push(Window { from: window.start, until: window.end });
        self
    }

    /// Repeats `during` with this period.
    pub fn every(self, period: Duration) -> Fault {
        Fault { every: Some(period), ..self }
    }

    /// No answer.
    pub fn silent(self) -> Fault {
        Fault { loss: 1.0, ..self }
    }

    /// No answer, with this probability.
    pub fn loss(self, loss: f64) -> Fault {
        Fault { loss, ..self }
    }

    /// Answer held back.
    pub fn delay(self, delay: Delay) -> Fault {
        Fault { delay: Some(delay), ..self }
    }

    /// Answer held back so many milliseconds.
    pub fn delay_ms(self, milliseconds: u64) -> Fault {
        self.delay(Delay::Fixed(Duration::from_millis(milliseconds)))
    }

    /// Answer sent twice, with this probability.
    pub fn duplicate(self, duplicate: f64) -> Fault {
        Fault { duplicate, ..self }
    }

    /// Empty with TC over UDP, whole over TCP.
    pub fn truncate(self) -> Fault {
        Fault { truncate: true, ..self }
    }

    /// This code instead of the answer.
    pub fn rcode(self, rcode: ResponseCode) -> Fault {
        Fault { rcode: Some(rcode), ..self }
    }

    /// Only the first CNAME of the chain.
    pub fn first_hop(self) -> Fault {
        Fault { first_hop: true, ..self }
    }

    /// What questions with an OPT record meet.
    pub fn edns(self, edns: Edns) -> Fault {
        Fault { edns: Some(edns), ..self }
    }

    /// Records put behind the honest ones, each written as in a scenario (`owner TTL TYPE data`); panics as [`Fault::name`] does.
    pub fn inject(mut self, records: &[&str]) -> Fault {
        self.inject.extend(records.iter().map(|record| crate::scenario::record(record).expect("a record")));
        self
    }

    /// Answer spoilt this way.
    pub fn forge(mut self, forgery: Forgery) -> Fault {
        self.forge.push(forgery);
        self
    }

    /// The honest answer follows the spoilt one.
    pub fn honest_too(self) -> Fault {
        Fault { honest_too: true, ..self }
    }

    /// What happens to a TCP connection that asks.
    pub fn tcp(self, fault: TcpFault) -> Fault {
        Fault { tcp: Some(fault), ..self }
    }

    /// What this fault alone makes of a question that was asked `nth` times before, at the start of a run: to look at its dice
    /// without a lab. Panics as [`Fault::name`] does.
    pub fn throw(&self, seed: u64, name: &str, kind: RecordType, nth: u64) -> Fate {
        let name = absolute(name).expect("a domain name");
        let question = Question { name: &name, kind, transport: Transport::Udp, edns: true, nth, elapsed: Duration::ZERO };
        decide(std::slice::from_ref(self), seed, &question)
    }

    fn matches(&self, question: &Question<'_>) -> bool {
        let name = match &self.scope {
            Scope::Everything => true,
            // Names that differ mostly differ at their first label, and hickory compares from the last: look there first.
            Scope::Name(name) => name.iter().next() == question.name.iter().next() && name == question.name,
            Scope::Suffix(suffix) => suffix.zone_of(question.name),
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

    fn strike(&self, question: &Question<'_>, fate: &mut Fate, dice: &mut Xoshiro256PlusPlus) {
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

impl Delay {
    /// No answer is held back longer: a heavy tail must not keep a question for hours.
    pub const MAX: Duration = Duration::from_secs(60);

    fn throw(self, dice: &mut Xoshiro256PlusPlus) -> Duration {
        let seconds = match self {
            Delay::Fixed(delay) => delay.as_secs_f64(),
            Delay::Uniform(low, high) => low.as_secs_f64() + (high.saturating_sub(low)).as_secs_f64() * dice.random::<f64>(),
            Delay::Normal(mean, deviation) => {
                // Box and Muller; 1 - u is never zero, so the logarithm is finite.
                let (u, v) = (1.0 - dice.random::<f64>(), dice.random::<f64>());
                mean.as_secs_f64() + deviation.as_secs_f64() * (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
            }
            Delay::Pareto(scale, shape) => scale.as_secs_f64() / (1.0 - dice.random::<f64>()).powf(1.0 / shape.max(0.1)),
        };
        Duration::from_secs_f64(seconds.clamp(0.0, Delay::MAX.as_secs_f64()))
    }
}

/// Reads an absolute name; the final dot may be left out.
pub(crate) fn absolute(text: &str) -> Result<Name, String> {
    let mut name = Name::from_ascii(text).map_err(|error| format!("`{text}` is not a domain name: {error}"))?.to_lowercase();
    name.set_fqdn(true);
    Ok(name)
}

/// FNV-1a over the question: stable over versions and platforms, which std's hasher does not promise.
fn mix(seed: u64, question: &Question<'_>) -> u64 {
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
