//! WorkerCounters of one worker: written by it alone, summed when somebody reads.
//!
//! An answer costs one increment: its type, its source and its RCODE select one place in a table. The sums by each of them are made when
//! they are read.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use postern_zones::histogram::{Distribution, Histogram};

use crate::chain::AliasHop;
use crate::ede::Failure;
use crate::query::{Answer, AnswerEnd};
use crate::wire::message::extended_rcode;

/// Numbers of one worker, on cache lines of their own.
#[derive(Debug)]
#[repr(align(128))]
pub struct WorkerCounters {
    /// True if more than one thread counts here.
    shared: bool,
    /// By kind and RCODE.
    answered: [RcodeCounts; KINDS],
    /// By type.
    handed_on: [AtomicU64; TYPES],
    events: [AtomicU64; EVENTS],
    /// Times from the arrival of a question to the departure of its answer.
    pub durations: Histogram,
}

/// Answers of one kind. RCODEs of ordinary answers share one cache line, which holds no counter of another kind.
#[derive(Debug)]
#[repr(align(64))]
struct RcodeCounts([AtomicU64; RCODES]);

/// Number of RCODEs that are told apart, those of EDNS and cookies included, with one more for the rest.
pub const RCODES: usize = 25;
const SOURCES: usize = 8;
/// Number of types that are told apart, with one more for the rest.
pub const TYPES: usize = 16;
const KINDS: usize = TYPES * SOURCES;

/// Labels of the types that are told apart.
pub const TYPE_NAMES: [&str; TYPES] =
    ["other", "A", "NS", "CNAME", "SOA", "PTR", "MX", "TXT", "AAAA", "SRV", "DS", "DNSKEY", "SVCB", "HTTPS", "ANY", "transfer"];

/// RCODEs as labels, by their names in the IANA registry. Unassigned ones are numbers, as only an upstream sends them. 16 is BADVERS: in a
/// message with TSIG it stands for BADSIG, but there it is a field of the TSIG record.
pub const RCODE_NAMES: [&str; RCODES] = [
    "NOERROR",
    "FORMERR",
    "SERVFAIL",
    "NXDOMAIN",
    "NOTIMP",
    "REFUSED",
    "YXDOMAIN",
    "YXRRSET",
    "NXRRSET",
    "NOTAUTH",
    "NOTZONE",
    "DSOTYPENI",
    "12",
    "13",
    "14",
    "15",
    "BADVERS",
    "BADKEY",
    "BADTIME",
    "BADMODE",
    "BADNAME",
    "BADALG",
    "BADTRUNC",
    "BADCOOKIE",
    "other",
];

/// Origin of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum AnswerSource {
    /// Private zones alone.
    Private,
    /// Responses of upstreams to earlier questions.
    Cache,
    /// Public data and private zones together.
    Spliced,
    /// The response of an upstream to this question.
    Upstream,
    /// Data past its TTL, or derived from the zone table (S6).
    Stale,
    /// The server itself: answers about the server, and answers without data to messages that are no ordinary questions.
    Server,
    /// The client may not ask this question of this server.
    Refused,
    /// No answer was found.
    Failed,
}

/// The question's type and the answer's source, packed into one octet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AnswerClass(u8);

/// Something other than an answer that a worker counts.
///
/// A new event is one variant, its entry in [`WorkerEvent::ALL`], and the metric that shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum WorkerEvent {
    /// The resolver had no room for a question.
    Busy,
    /// A message that the query path does not answer went to its handler.
    HandedOver,
    /// The handler had no room for a message.
    HandlerBusy,
    /// A client that may not query sent a question.
    Denied,
    /// A message got no answer: a response, one that is too short, or one from port 0.
    Ignored,
    /// An answer did not fit and was truncated.
    Truncated,
    /// The system refused to send an answer.
    Lost,
    /// A datagram was longer than any question.
    Oversized,
    /// A client network had used up its responses for this second.
    Limited,
    /// A panic was caught.
    Panic,
}

const EVENTS: usize = WorkerEvent::ALL.len();

/// Sums over workers.
#[derive(Debug, Clone, PartialEq)]
pub struct CounterTotals {
    answered: Vec<[u64; RCODES]>,
    /// Questions handed to the resolver, by type.
    pub handed_on: [u64; TYPES],
    events: [u64; EVENTS],
    /// Times from the arrival of a question to the departure of its answer.
    pub durations: Distribution,
}

impl WorkerCounters {
    /// Returns counters for a worker that is a thread of its own.
    pub fn own() -> Arc<Self> {
        Arc::default()
    }

    /// Returns counters for tasks that move between threads.
    pub fn shared() -> Arc<Self> {
        Arc::new(Self { shared: true, ..Self::default() })
    }

    /// Counts an answer by its kind and the RCODE in its header.
    #[inline]
    pub fn answer(&self, kind: AnswerClass, message: &[u8]) {
        self.answer_with(kind, u16::from(message[3] & 0xf), message);
    }

    /// Counts an answer of the server itself. Only such an answer can have an RCODE that is longer than the field in the header.
    #[cold]
    pub fn server_answer(&self, rtype: u16, message: &[u8]) {
        self.answer_with(AnswerClass::new(rtype, AnswerSource::Server), extended_rcode(message), message);
    }

    #[inline]
    fn answer_with(&self, kind: AnswerClass, rcode: u16, message: &[u8]) {
        self.add(&self.answered[usize::from(kind.0)].0[rcode_class(rcode)], 1);
        if message[2] & 0x02 != 0 {
            self.event(WorkerEvent::Truncated);
        }
    }

    /// Counts a question that needs an upstream and was handed to the resolver.
    pub fn hand_on(&self, rtype: u16) {
        self.add(&self.handed_on[type_class(rtype)], 1);
    }

    /// Counts an event.
    #[inline]
    pub fn event(&self, event: WorkerEvent) {
        self.events(event, 1);
    }

    /// Counts an event several times.
    pub fn events(&self, event: WorkerEvent, times: u64) {
        self.add(&self.events[event as usize], times);
    }

    /// A worker alone with its counters needs no locked instruction.
    #[inline]
    fn add(&self, counter: &AtomicU64, times: u64) {
        if self.shared {
            counter.fetch_add(times, Relaxed);
        } else {
            counter.store(counter.load(Relaxed) + times, Relaxed);
        }
    }
}

impl Default for WorkerCounters {
    fn default() -> Self {
        let zero = || AtomicU64::new(0);
        Self {
            shared: false,
            answered: std::array::from_fn(|_| RcodeCounts(std::array::from_fn(|_| zero()))),
            handed_on: std::array::from_fn(|_| zero()),
            events: std::array::from_fn(|_| zero()),
            durations: Histogram::default(),
        }
    }
}

impl AnswerClass {
    /// Returns the kind as one octet, to be kept beside an answer.
    pub(crate) fn octet(self) -> u8 {
        self.0
    }

    /// Back from what [`AnswerClass::octet`] gave.
    pub(crate) fn from_octet(octet: u8) -> Self {
        Self(octet)
    }

    /// Returns the kind of an answer to a question of this type.
    #[inline]
    pub fn new(rtype: u16, source: AnswerSource) -> Self {
        Self((type_class(rtype) * SOURCES) as u8 | source as u8)
    }
}

impl WorkerEvent {
    /// Every event, in the order of the variants.
    pub const ALL: [Self; 10] = [
        Self::Busy,
        Self::HandedOver,
        Self::HandlerBusy,
        Self::Denied,
        Self::Ignored,
        Self::Truncated,
        Self::Lost,
        Self::Oversized,
        Self::Limited,
        Self::Panic,
    ];
}

impl AnswerSource {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; SOURCES] =
        [Self::Private, Self::Cache, Self::Spliced, Self::Upstream, Self::Stale, Self::Server, Self::Refused, Self::Failed];

    /// Returns the source of an answer of the path. `asked`: upstreams were asked for it.
    #[inline]
    pub fn of(answer: &Answer, asked: bool) -> Self {
        if answer.stale {
            return Self::Stale;
        }
        let is_ours = |hop: &AliasHop| matches!(hop, AliasHop::Private(_) | AliasHop::Dname(..));
        let ends_at_home = match &answer.end {
            AnswerEnd::Private(..) | AnswerEnd::PrivateNoData(_) | AnswerEnd::PrivateNxDomain(_) => true,
            AnswerEnd::PrivateUndecided(_) | AnswerEnd::TooLong(..) | AnswerEnd::Referral(..) => true,
            AnswerEnd::Upstream(_) => false,
            AnswerEnd::Aliases => answer.chain.last().is_some_and(is_ours),
            AnswerEnd::MinimalAny => return Self::Server,
            AnswerEnd::Failed(Failure::Denied | Failure::NoRecursion | Failure::NotAuthoritative | Failure::NoRoute) => {
                return Self::Refused;
            }
            AnswerEnd::Failed(_) => return Self::Failed,
        };
        match (answer.chain.iter().all(|hop| is_ours(hop) == ends_at_home), ends_at_home, asked) {
            (true, true, _) => Self::Private,
            (true, false, false) => Self::Cache,
            (true, false, true) => Self::Upstream,
            (false, ..) => Self::Spliced,
        }
    }

    /// As a label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Private => "private",
            Self::Cache => "cache",
            Self::Spliced => "spliced",
            Self::Upstream => "upstream",
            Self::Stale => "stale",
            Self::Server => "server",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }
}

impl CounterTotals {
    /// Adds up the counters of several workers.
    pub fn of<'c>(workers: impl IntoIterator<Item = &'c Arc<WorkerCounters>>) -> Self {
        let mut totals = Self::default();
        for worker in workers {
            for (sums, counters) in totals.answered.iter_mut().zip(&worker.answered) {
                add_all(sums, &counters.0);
            }
            add_all(&mut totals.handed_on, &worker.handed_on);
            add_all(&mut totals.events, &worker.events);
            totals.durations.add(&worker.durations.read());
        }
        totals
    }

    /// Returns how often an event was counted.
    pub fn count(&self, event: WorkerEvent) -> u64 {
        self.events[event as usize]
    }

    /// Answers, by type, source and RCODE: each sum that is not zero.
    pub fn answers(&self) -> impl Iterator<Item = (usize, AnswerSource, usize, u64)> {
        let of_kind = |(kind, rcodes): (usize, &[u64; RCODES])| {
            let (rtype, source) = (kind / SOURCES, AnswerSource::ALL[kind % SOURCES]);
            rcodes.iter().copied().enumerate().map(move |(rcode, count)| (rtype, source, rcode, count)).collect::<Vec<_>>()
        };
        self.answered.iter().enumerate().flat_map(of_kind).filter(|(.., count)| *count > 0)
    }

    /// Answers by RCODE.
    pub fn by_rcode(&self) -> [u64; RCODES] {
        let mut sums = [0; RCODES];
        self.answers().for_each(|(_, _, rcode, count)| sums[rcode] += count);
        sums
    }

    /// Answers by source, in the order of [`AnswerSource::ALL`].
    pub fn by_source(&self) -> [u64; SOURCES] {
        let mut sums = [0; SOURCES];
        self.answers().for_each(|(_, source, _, count)| sums[source as usize] += count);
        sums
    }

    /// Questions by type, in the order of [`TYPE_NAMES`]: answered at once, or handed on.
    pub fn questions_by_type(&self) -> [u64; TYPES] {
        let mut sums = self.handed_on;
        self.answers().for_each(|(rtype, _, _, count)| sums[rtype] += count);
        sums
    }
}

impl Default for CounterTotals {
    fn default() -> Self {
        Self { answered: vec![[0; RCODES]; KINDS], handed_on: [0; TYPES], events: [0; EVENTS], durations: Distribution::default() }
    }
}

fn add_all<const N: usize>(sums: &mut [u64; N], counters: &[AtomicU64; N]) {
    sums.iter_mut().zip(counters).for_each(|(sum, counter)| *sum += counter.load(Relaxed));
}

/// Place of an RCODE in [`RCODE_NAMES`].
#[inline]
pub fn rcode_class(rcode: u16) -> usize {
    usize::from(rcode).min(RCODES - 1)
}

/// The name of an RCODE in the IANA registry; its number if it has none.
pub fn rcode_name(rcode: u16) -> Cow<'static, str> {
    match rcode_class(rcode) {
        place if place < RCODES - 1 => RCODE_NAMES[place].into(),
        _ => rcode.to_string().into(),
    }
}

/// Place of a type in [`TYPE_NAMES`].
#[inline]
fn type_class(rtype: u16) -> usize {
    const CLASSES: [u8; 256] = {
        let mut classes = [0; 256];
        let known = [(1, 1), (2, 2), (5, 3), (6, 4), (12, 5), (15, 6), (16, 7), (28, 8), (33, 9), (43, 10), (48, 11), (64, 12), (65, 13)];
        let mut at = 0;
        while at < known.len() {
            classes[known[at].0] = known[at].1;
            at += 1;
        }
        classes[255] = 14;
        (classes[251], classes[252]) = (15, 15);
        classes
    };
    usize::from(CLASSES.get(usize::from(rtype)).copied().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use hickory_proto::rr::RecordType;

    use super::*;

    #[test]
    fn types_have_the_names_of_the_registry() {
        for rtype in 0..=300 {
            let name = TYPE_NAMES[type_class(rtype)];
            match name {
                "other" => assert!(!TYPE_NAMES.contains(&RecordType::from(rtype).to_string().as_str()), "{rtype}"),
                "transfer" => assert!(matches!(RecordType::from(rtype), RecordType::AXFR | RecordType::IXFR)),
                name => assert_eq!(RecordType::from(rtype).to_string(), name),
            }
        }
    }

    #[test]
    fn rcodes_have_the_names_of_the_registry() {
        use hickory_proto::op::ResponseCode;
        for rcode in (0..=10).chain(16..=23) {
            let known = format!("{:?}", ResponseCode::from((rcode >> 4) as u8, (rcode & 0xf) as u8)).to_uppercase();
            let name = rcode_name(rcode);
            assert!(known == name || rcode == 16 && name == "BADVERS", "{rcode}: {known} {name}");
        }
        assert_eq!([12, 24, 4095].map(rcode_name), ["12", "24", "4095"]);
        assert_eq!([11, 23, 24, 4095].map(|rcode| RCODE_NAMES[rcode_class(rcode)]), ["DSOTYPENI", "BADCOOKIE", "other", "other"]);
    }

    #[test]
    fn every_event_has_a_place_of_its_own() {
        for (place, event) in WorkerEvent::ALL.into_iter().enumerate() {
            assert_eq!(event as usize, place, "{event:?}");
        }
    }

    #[test]
    fn sums_are_those_of_all_workers_by_type_source_and_rcode() {
        let (own, shared) = (WorkerCounters::own(), WorkerCounters::shared());
        own.answer(AnswerClass::new(1, AnswerSource::Private), &[0, 0, 0x84, 0]);
        own.answer(AnswerClass::new(1, AnswerSource::Private), &[0, 0, 0x86, 3]);
        shared.answer(AnswerClass::new(28, AnswerSource::Failed), &[0, 0, 0x80, 2]);
        shared.hand_on(28);
        shared.events(WorkerEvent::Lost, 3);
        let totals = CounterTotals::of([&own, &shared]);
        assert_eq!(
            totals.answers().collect::<Vec<_>>(),
            [(1, AnswerSource::Private, 0, 1), (1, AnswerSource::Private, 3, 1), (8, AnswerSource::Failed, 2, 1)]
        );
        assert_eq!(
            (totals.by_source()[0], totals.by_rcode()[3], totals.count(WorkerEvent::Truncated), totals.count(WorkerEvent::Lost)),
            (2, 1, 1, 3)
        );
        assert_eq!((totals.questions_by_type()[1], totals.questions_by_type()[8]), (2, 2));
    }
}
