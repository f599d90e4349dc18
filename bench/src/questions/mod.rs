//! What is asked: every query is built before the run, so that sending one is a copy.
//!
//! A [`Questions`] is a bank of wire queries with groups of them; a [`Picker`] draws from it, one a worker.
//! [`queryfile`] and [`pcap`] ask what somebody asked before, in order; [`generate`] mixes from names.

pub mod generate;

pub mod pcap;
pub mod queryfile;
mod weights;

use rand::rngs::Xoshiro256PlusPlus;
use rand::{Rng, SeedableRng};
use serde::Serialize;

use crate::message::{self, HEADER, QueryForm};
pub use weights::Weights;

/// Octets of the label that a fresh question gets in front: a letter and 15 hexadecimal digits.
pub const FRESH_LABEL: usize = 16;

/// Why a question is in the mix; what comes back is told apart by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// From a query file or a capture: nothing is known of the answer.
    Given,
    /// A name and type that exist.
    Hit,
    /// A name below one that exists, never asked before: no cache has it.
    Miss,
    /// A name that exists, a type it lacks.
    NoData,
    /// A name that does not exist, one of a fixed set.
    NxDomain,
    /// A name that does not exist, never asked before.
    RandomSubdomain,
    /// A name of the second list.
    Public,
}

impl Kind {
    /// All of them, in the order of reports.
    pub const ALL: [Kind; 7] = [Kind::Given, Kind::Hit, Kind::Miss, Kind::NoData, Kind::NxDomain, Kind::RandomSubdomain, Kind::Public];

    /// As reports write it.
    pub fn text(self) -> &'static str {
        match self {
            Kind::Given => "given",
            Kind::Hit => "hit",
            Kind::Miss => "miss",
            Kind::NoData => "nodata",
            Kind::NxDomain => "nxdomain",
            Kind::RandomSubdomain => "random-subdomain",
            Kind::Public => "public",
        }
    }

    /// Whether a response of this RCODE and count of answers is what the kind promises; `None` where nothing is promised.
    pub fn as_promised(self, rcode: u8, answers: u16) -> Option<bool> {
        match self {
            Kind::Given | Kind::Public => None,
            Kind::Hit | Kind::Miss => Some(rcode == 0 && answers > 0),
            Kind::NoData => Some(rcode == 0 && answers == 0),
            Kind::NxDomain | Kind::RandomSubdomain => Some(rcode == 3),
        }
    }
}

/// One query of the bank.
#[derive(Debug, Clone, Copy)]
struct Item {
    start: u32,
    length: u16,
    question: u16,
    kind: Kind,
    fresh: bool,
}

/// How one group of the bank is drawn from.
#[derive(Debug)]
struct Group {
    first: u32,
    count: u32,
    /// `None`: each alike.
    weights: Option<Weights>,
}

#[derive(Debug)]
enum Order {
    /// From first to last and again.
    InTurn,
    /// A group by its share, then a question of it.
    Mixed { shares: Weights, groups: Vec<Group> },
}

/// The bank of everything a run may ask.
#[derive(Debug)]
pub struct Questions {
    wire: Vec<u8>,
    items: Vec<Item>,
    order: Order,
    /// Where they came from, for the report.
    pub source: String,
    /// What was left out while reading, and why, for the report.
    pub notes: Vec<String>,
}

/// A question that was drawn: its place in the bank and, for a fresh one, the number in its label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Question {
    /// Place in the bank.
    pub item: u32,
    /// Number that the fresh label spells; 0 when the question is asked as it stands.
    pub serial: u64,
}

impl Questions {
    /// An empty bank that is asked in turn.
    pub fn in_turn(source: impl Into<String>) -> Self {
        Self { wire: Vec::new(), items: Vec::new(), order: Order::InTurn, source: source.into(), notes: Vec::new() }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether there is nothing to ask.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Adds a question for a wire-form name.
    pub fn push(&mut self, name: &[u8], rtype: u16, form: QueryForm, kind: Kind) {
        let start = self.wire.len();
        message::write_query(&mut self.wire, name, rtype, form);
        self.note_item(start, kind, false);
    }

    /// Adds a question whose first label is made anew each time it is asked; does nothing when the name has no room for it.
    fn push_fresh(&mut self, below: &[u8], rtype: u16, form: QueryForm, kind: Kind) -> bool {
        if below.len() + FRESH_LABEL + 1 > 255 {
            return false;
        }
        let mut name = Vec::with_capacity(below.len() + FRESH_LABEL + 1);
        name.push(FRESH_LABEL as u8);
        name.extend_from_slice(&[b'x'; FRESH_LABEL]);
        name.extend_from_slice(below);
        let start = self.wire.len();
        message::write_query(&mut self.wire, &name, rtype, form);
        self.note_item(start, kind, true);
        true
    }

    /// Adds a whole query as captured; refuses what is no query with one question.
    fn push_captured(&mut self, message: &[u8]) -> bool {
        let one_question = message.len() >= HEADER && message.len() <= message::MAX_QUERY + 512 && message[4..6] == [0, 1];
        if !one_question || message[2] & 0xf8 != 0 || message::question_length(message).is_none() {
            return false;
        }
        let start = self.wire.len();
        self.wire.extend_from_slice(message);
        self.note_item(start, Kind::Given, false);
        true
    }

    fn note_item(&mut self, start: usize, kind: Kind, fresh: bool) {
        let query = &self.wire[start..];
        let question = message::question_length(query).unwrap_or(0) as u16;
        self.items.push(Item { start: start as u32, length: query.len() as u16, question, kind, fresh });
    }

    /// Largest query of the bank, octets.
    pub fn largest(&self) -> usize {
        self.items.iter().map(|item| usize::from(item.length)).max().unwrap_or(0)
    }

    /// Why this question is asked.
    pub fn kind(&self, question: Question) -> Kind {
        self.items[question.item as usize].kind
    }

    /// Writes the query into `out` under the given ID; returns its length. `out` holds at least [`Questions::largest`] octets.
    pub fn write(&self, question: Question, id: u16, out: &mut [u8]) -> usize {
        let item = self.items[question.item as usize];
        let length = usize::from(item.length);
        let out = &mut out[..length];
        out.copy_from_slice(&self.wire[item.start as usize..item.start as usize + length]);
        out[..2].copy_from_slice(&id.to_be_bytes());
        if item.fresh {
            write_fresh_label(question.serial, &mut out[HEADER + 1..HEADER + 1 + FRESH_LABEL]);
        }
        length
    }

    /// Whether the response carries this question.
    pub fn matches(&self, question: Question, response: message::Response<'_>) -> bool {
        let item = self.items[question.item as usize];
        let asked = &self.wire[item.start as usize + HEADER..][..usize::from(item.question)];
        if !item.fresh {
            return response.asks(asked);
        }
        let mut label = [0u8; FRESH_LABEL];
        write_fresh_label(question.serial, &mut label);
        let Some(theirs) = response.bytes().get(HEADER..HEADER + asked.len()) else { return false };
        theirs[1..=FRESH_LABEL].eq_ignore_ascii_case(&label) && theirs[FRESH_LABEL + 1..].eq_ignore_ascii_case(&asked[FRESH_LABEL + 1..])
    }

    /// Name and type of a question as text, for reports.
    pub fn describe(&self, question: Question) -> String {
        let mut query = vec![0u8; self.largest()];
        let length = self.write(question, 0, &mut query);
        describe_query(&query[..length])
    }

    /// How many questions each kind has, in the order of [`Kind::ALL`], kinds without any left out.
    pub fn census(&self) -> Vec<(Kind, usize)> {
        let count = |kind| self.items.iter().filter(|item| item.kind == kind).count();
        Kind::ALL.into_iter().map(|kind| (kind, count(kind))).filter(|(_, count)| *count > 0).collect()
    }
}

/// Name and type of a query as text.
pub fn describe_query(query: &[u8]) -> String {
    use hickory_proto::op::Message;
    use hickory_proto::serialize::binary::BinDecodable;
    match Message::from_bytes(query).ok().and_then(|message| message.queries.first().cloned()) {
        Some(query) => format!("{} {}", query.name(), message::type_to_text(query.query_type().into())),
        None => "(unreadable)".to_string(),
    }
}

fn write_fresh_label(serial: u64, label: &mut [u8]) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    label[0] = b'x';
    for (place, octet) in label[1..].iter_mut().enumerate() {
        *octet = HEX[(serial >> (4 * place)) as usize & 15];
    }
}

/// Draws questions; each worker has its own, and the same seed draws the same.
#[derive(Debug)]
pub struct Picker {
    random: Xoshiro256PlusPlus,
    next: u32,
    step: u32,
}

impl Picker {
    /// The drawer of worker `worker` of `workers`; questions in turn are dealt out among them.
    pub fn new(seed: u64, worker: usize, workers: usize) -> Self {
        // The generator is portable by its definition, so a seed means the same everywhere.
        let random = Xoshiro256PlusPlus::seed_from_u64(seed.wrapping_add((worker as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)));
        Self { random, next: worker as u32, step: workers.max(1) as u32 }
    }

    /// The next question; the bank is not empty.
    pub fn pick(&mut self, questions: &Questions) -> Question {
        let item = match &questions.order {
            Order::InTurn => {
                let item = self.next % questions.items.len() as u32;
                self.next = self.next.wrapping_add(self.step) % (questions.items.len() as u32).saturating_mul(self.step).max(1);
                item
            }
            Order::Mixed { shares, groups } => {
                let group = &groups[shares.draw(self.random.next_u64())];
                let random = self.random.next_u64();
                group.first
                    + match &group.weights {
                        Some(weights) => weights.draw(random) as u32,
                        None => ((u128::from(random) * u128::from(group.count)) >> 64) as u32,
                    }
            }
        };
        let serial = if questions.items[item as usize].fresh { self.random.next_u64() >> 4 } else { 0 };
        Question { item, serial }
    }

    /// A number of the same stream, for arrival times.
    pub fn random(&mut self) -> u64 {
        self.random.next_u64()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{Response, name_to_wire};

    #[test]
    fn questions_in_turn_are_dealt_out_among_the_workers() {
        let mut questions = Questions::in_turn("test");
        for name in ["a.example", "b.example", "c.example", "d.example", "e.example"] {
            questions.push(&name_to_wire(name).unwrap(), 1, QueryForm::default(), Kind::Given);
        }
        let mut first = Picker::new(7, 0, 2);
        let mut second = Picker::new(7, 1, 2);
        let firsts: Vec<u32> = (0..6).map(|_| first.pick(&questions).item).collect();
        let seconds: Vec<u32> = (0..6).map(|_| second.pick(&questions).item).collect();
        assert_eq!(firsts, [0, 2, 4, 1, 3, 0]);
        assert_eq!(seconds, [1, 3, 0, 2, 4, 1]);
    }

    #[test]
    fn a_fresh_question_differs_each_time_and_is_recognised() {
        let mut questions = Questions::in_turn("test");
        assert!(questions.push_fresh(&name_to_wire("contoso.example").unwrap(), 1, QueryForm::default(), Kind::Miss));
        let mut picker = Picker::new(1, 0, 1);
        let (one, two) = (picker.pick(&questions), picker.pick(&questions));
        assert_ne!(one.serial, two.serial);
        let mut query = vec![0; questions.largest()];
        let length = questions.write(one, 0xbeef, &mut query);
        assert_eq!(&query[..2], [0xbe, 0xef]);
        assert!(describe_query(&query[..length]).ends_with(".contoso.example. A"));
        query[2] |= 0x80;
        let response = Response::read(&query[..length]).unwrap();
        assert!(questions.matches(one, response));
        assert!(!questions.matches(two, response));
    }

    #[test]
    fn a_kind_promises_its_answer() {
        assert_eq!(Kind::Hit.as_promised(0, 1), Some(true));
        assert_eq!(Kind::Hit.as_promised(0, 0), Some(false));
        assert_eq!(Kind::NoData.as_promised(0, 0), Some(true));
        assert_eq!(Kind::NxDomain.as_promised(3, 0), Some(true));
        assert_eq!(Kind::NxDomain.as_promised(2, 0), Some(false));
        assert_eq!(Kind::Given.as_promised(2, 0), None);
    }
}
