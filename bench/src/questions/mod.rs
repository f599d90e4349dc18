//! The questions of a run. Every query is built in advance, so that sending one is a copy.
//!
//! [`QuestionBank`] holds the queries in wire form, in groups. A [`QuestionPicker`] draws from it, one for
//! each worker. [`queryfile`] and [`pcap`] replay recorded queries in order, and [`generate`]
//! creates a mix from names.

pub mod generate;

pub mod pcap;
pub mod queryfile;
mod weights;

use rand::rngs::Xoshiro256PlusPlus;
use rand::{Rng, SeedableRng};
use serde::Serialize;

use crate::message::{self, HEADER, QueryForm};
pub use weights::WeightTable;

/// Length in octets of the label in front of a fresh question: a letter and 15 hexadecimal digits.
pub const FRESH_LABEL: usize = 16;

/// Kind of a question, which determines the expected response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum QuestionKind {
    /// From a query file or a capture, without an expected answer.
    Given,
    /// An existing name and type.
    Hit,
    /// A fresh name below an existing one, so that no cache contains it.
    Miss,
    /// An existing name with a type that it lacks.
    NoData,
    /// A missing name from a fixed set.
    NxDomain,
    /// A fresh missing name.
    RandomSubdomain,
    /// A name of the second list.
    Public,
}

impl QuestionKind {
    /// All kinds in the order of reports.
    pub const ALL: [QuestionKind; 7] = [
        QuestionKind::Given,
        QuestionKind::Hit,
        QuestionKind::Miss,
        QuestionKind::NoData,
        QuestionKind::NxDomain,
        QuestionKind::RandomSubdomain,
        QuestionKind::Public,
    ];

    /// Returns the name of the kind in reports.
    pub fn text(self) -> &'static str {
        match self {
            QuestionKind::Given => "given",
            QuestionKind::Hit => "hit",
            QuestionKind::Miss => "miss",
            QuestionKind::NoData => "nodata",
            QuestionKind::NxDomain => "nxdomain",
            QuestionKind::RandomSubdomain => "random-subdomain",
            QuestionKind::Public => "public",
        }
    }

    /// Returns whether a response with this RCODE and number of answers meets the expectation.
    /// Returns `None` if the kind has none.
    pub fn as_promised(self, rcode: u8, answers: u16) -> Option<bool> {
        match self {
            QuestionKind::Given | QuestionKind::Public => None,
            QuestionKind::Hit | QuestionKind::Miss => Some(rcode == 0 && answers > 0),
            QuestionKind::NoData => Some(rcode == 0 && answers == 0),
            QuestionKind::NxDomain | QuestionKind::RandomSubdomain => Some(rcode == 3),
        }
    }
}

/// One query of the bank.
#[derive(Debug, Clone, Copy)]
struct Item {
    start: u32,
    length: u16,
    question: u16,
    kind: QuestionKind,
    fresh: bool,
}

/// How questions are drawn from one group of the bank.
#[derive(Debug)]
struct Group {
    first: u32,
    count: u32,
    /// Weights of the questions. `None` gives all of them the same weight.
    weights: Option<WeightTable>,
}

#[derive(Debug)]
enum Order {
    /// In order, from first to last, repeatedly.
    InTurn,
    /// A group by its share, then a question of that group.
    Mixed { shares: WeightTable, groups: Vec<Group> },
}

/// All questions that a run may send.
#[derive(Debug)]
pub struct QuestionBank {
    wire: Vec<u8>,
    items: Vec<Item>,
    order: Order,
    /// Source of the questions, for the report.
    pub source: String,
    /// Skipped input with reasons, for the report.
    pub notes: Vec<String>,
}

/// A drawn question: its index in the bank and, if it is fresh, the number in its label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DrawnQuestion {
    /// Index in the bank.
    pub item: u32,
    /// Number in the fresh label. 0 if the question is sent unchanged.
    pub serial: u64,
}

impl QuestionBank {
    /// Creates an empty bank whose questions are sent in turn.
    pub fn in_turn(source: impl Into<String>) -> Self {
        Self { wire: Vec::new(), items: Vec::new(), order: Order::InTurn, source: source.into(), notes: Vec::new() }
    }

    /// Returns the number of questions.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Returns true if the bank is empty.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Adds a question for a name in wire form.
    pub fn push(&mut self, name: &[u8], rtype: u16, form: QueryForm, kind: QuestionKind) {
        let start = self.wire.len();
        message::write_query(&mut self.wire, name, rtype, form);
        self.note_item(start, kind, false);
    }

    /// Adds a question whose first label changes with each query. Has no effect if the name has no
    /// room for that label.
    fn push_fresh(&mut self, below: &[u8], rtype: u16, form: QueryForm, kind: QuestionKind) -> bool {
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

    /// Adds a whole query as captured. Rejects messages that are not a query with one question.
    fn push_captured(&mut self, message: &[u8]) -> bool {
        let one_question = message.len() >= HEADER && message.len() <= message::MAX_QUERY + 512 && message[4..6] == [0, 1];
        if !one_question || message[2] & 0xf8 != 0 || message::question_length(message).is_none() {
            return false;
        }
        let start = self.wire.len();
        self.wire.extend_from_slice(message);
        self.note_item(start, QuestionKind::Given, false);
        true
    }

    fn note_item(&mut self, start: usize, kind: QuestionKind, fresh: bool) {
        let query = &self.wire[start..];
        let question = message::question_length(query).unwrap_or(0) as u16;
        self.items.push(Item { start: start as u32, length: query.len() as u16, question, kind, fresh });
    }

    /// Returns the size of the largest query in octets.
    pub fn largest(&self) -> usize {
        self.items.iter().map(|item| usize::from(item.length)).max().unwrap_or(0)
    }

    /// Returns the kind of this question.
    pub fn kind(&self, question: DrawnQuestion) -> QuestionKind {
        self.items[question.item as usize].kind
    }

    /// Writes the query into `out` with the given ID, and returns its length. `out` must hold at
    /// least [`QuestionBank::largest`] octets.
    pub fn write(&self, question: DrawnQuestion, id: u16, out: &mut [u8]) -> usize {
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

    /// Returns true if the response carries this question.
    pub fn matches(&self, question: DrawnQuestion, response: message::ParsedResponse<'_>) -> bool {
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

    /// Returns name and type of a question as text, for reports.
    pub fn describe(&self, question: DrawnQuestion) -> String {
        let mut query = vec![0u8; self.largest()];
        let length = self.write(question, 0, &mut query);
        describe_query(&query[..length])
    }

    /// Returns the number of questions of each kind in the order of [`QuestionKind::ALL`], without empty
    /// kinds.
    pub fn census(&self) -> Vec<(QuestionKind, usize)> {
        let count = |kind| self.items.iter().filter(|item| item.kind == kind).count();
        QuestionKind::ALL.into_iter().map(|kind| (kind, count(kind))).filter(|(_, count)| *count > 0).collect()
    }
}

/// Returns name and type of a query as text.
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

/// Draws questions. Each worker has its own picker, and the same seed gives the same sequence.
#[derive(Debug)]
pub struct QuestionPicker {
    random: Xoshiro256PlusPlus,
    next: u32,
    step: u32,
}

impl QuestionPicker {
    /// Creates the picker of worker `worker` of `workers`. Ordered questions are divided among the
    /// workers.
    pub fn new(seed: u64, worker: usize, workers: usize) -> Self {
        // The generator is portable by definition, so a seed gives the same sequence on every
        // machine.
        let random = Xoshiro256PlusPlus::seed_from_u64(seed.wrapping_add((worker as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)));
        Self { random, next: worker as u32, step: workers.max(1) as u32 }
    }

    /// Returns the next question. The bank must not be empty.
    pub fn pick(&mut self, questions: &QuestionBank) -> DrawnQuestion {
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
        DrawnQuestion { item, serial }
    }

    /// Returns a random number of the same stream, for arrival times.
    pub fn random(&mut self) -> u64 {
        self.random.next_u64()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{ParsedResponse, name_to_wire};

    #[test]
    fn questions_in_turn_are_dealt_out_among_the_workers() {
        let mut questions = QuestionBank::in_turn("test");
        for name in ["a.example", "b.example", "c.example", "d.example", "e.example"] {
            questions.push(&name_to_wire(name).unwrap(), 1, QueryForm::default(), QuestionKind::Given);
        }
        let mut first = QuestionPicker::new(7, 0, 2);
        let mut second = QuestionPicker::new(7, 1, 2);
        let firsts: Vec<u32> = (0..6).map(|_| first.pick(&questions).item).collect();
        let seconds: Vec<u32> = (0..6).map(|_| second.pick(&questions).item).collect();
        assert_eq!(firsts, [0, 2, 4, 1, 3, 0]);
        assert_eq!(seconds, [1, 3, 0, 2, 4, 1]);
    }

    #[test]
    fn a_fresh_question_differs_each_time_and_is_recognised() {
        let mut questions = QuestionBank::in_turn("test");
        assert!(questions.push_fresh(&name_to_wire("contoso.example").unwrap(), 1, QueryForm::default(), QuestionKind::Miss));
        let mut picker = QuestionPicker::new(1, 0, 1);
        let (one, two) = (picker.pick(&questions), picker.pick(&questions));
        assert_ne!(one.serial, two.serial);
        let mut query = vec![0; questions.largest()];
        let length = questions.write(one, 0xbeef, &mut query);
        assert_eq!(&query[..2], [0xbe, 0xef]);
        assert!(describe_query(&query[..length]).ends_with(".contoso.example. A"));
        query[2] |= 0x80;
        let response = ParsedResponse::read(&query[..length]).unwrap();
        assert!(questions.matches(one, response));
        assert!(!questions.matches(two, response));
    }

    #[test]
    fn a_kind_promises_its_answer() {
        assert_eq!(QuestionKind::Hit.as_promised(0, 1), Some(true));
        assert_eq!(QuestionKind::Hit.as_promised(0, 0), Some(false));
        assert_eq!(QuestionKind::NoData.as_promised(0, 0), Some(true));
        assert_eq!(QuestionKind::NxDomain.as_promised(3, 0), Some(true));
        assert_eq!(QuestionKind::NxDomain.as_promised(2, 0), Some(false));
        assert_eq!(QuestionKind::Given.as_promised(2, 0), None);
    }
}
