//! Counters of the questions that arrived.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use hickory_proto::rr::{Name, RecordType};
use hickory_server::server::Request;

use crate::fault::QuestionTransport;
use crate::record_text::absolute;

/// Names and types that are counted individually. The bound keeps a flood of random names from
/// filling the memory.
const MOST_NAMES: usize = 100_000;
/// Arrivals that are kept in full.
const MOST_ARRIVALS: usize = 4_096;

/// Counters of a lab since its start or the last [`Lab::clear`](crate::LabServer::clear).
#[derive(Debug, Clone, Default)]
pub struct LabCounters {
    /// Questions in datagrams.
    pub udp: u64,
    /// Questions over connections.
    pub tcp: u64,
    /// TCP connections that the lab accepted.
    pub tcp_connections: u64,
    /// Messages that were not questions: too short, unreadable, or responses.
    pub malformed: u64,
    /// Messages sent, including forged ones and duplicates.
    pub sent: u64,
    /// Questions left unanswered because of a fault.
    pub lost: u64,
    /// Questions dropped because too many answers were delayed.
    pub overflow: u64,
    /// Questions with an OPT record.
    pub edns: u64,
    /// Questions with the DO bit.
    pub dnssec_ok: u64,
    /// Questions with the CD bit.
    pub checking_disabled: u64,
    /// Questions with the RD bit.
    pub recursion_desired: u64,
    /// Questions with a capital letter in the name (0x20).
    pub mixed_case: u64,
    /// Number of distinct UDP source ports.
    pub source_ports: usize,
    /// Number of distinct message IDs.
    pub ids: usize,
    /// Answers that are delayed at this moment.
    pub outstanding: usize,
    /// Largest number of answers that were delayed at the same time.
    pub max_outstanding: usize,
    /// Questions for names beyond the first 100,000, which are not counted individually.
    pub other: u64,
    asked: HashMap<(Name, RecordType), QuestionCount>,
}

/// Number of questions for a name and type.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct QuestionCount {
    /// Questions for it in datagrams.
    pub udp: u64,
    /// Questions for it over connections.
    pub tcp: u64,
}

/// One question as it arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuestionArrival {
    /// Time since the start of the lab.
    pub at: Duration,
    /// Address and port of the client.
    pub source: SocketAddr,
    /// Transport of the question.
    pub transport: QuestionTransport,
    /// ID of the message.
    pub id: u16,
    /// Question name with its original letter case and final dot.
    pub name: String,
    /// Type of the question.
    pub kind: RecordType,
    /// RD bit: recursion desired.
    pub recursion_desired: bool,
    /// CD bit: checking disabled.
    pub checking_disabled: bool,
    /// AD bit: authentic data requested.
    pub authentic_data: bool,
    /// UDP size in the OPT. `None` if there is no OPT.
    pub udp_size: Option<u16>,
    /// DO bit: DNSSEC records requested.
    pub dnssec_ok: bool,
}

impl LabCounters {
    /// Returns the total number of questions.
    pub fn questions(&self) -> u64 {
        self.udp + self.tcp
    }

    /// Returns the number of questions for a name and type, over both transports.
    pub fn asked(&self, name: &str, kind: RecordType) -> u64 {
        let QuestionCount { udp, tcp } = self.of(name, kind);
        udp + tcp
    }

    /// Returns the number of questions for a name with any type.
    pub fn asked_any(&self, name: &str) -> u64 {
        let Ok(name) = absolute(name) else { return 0 };
        self.asked.iter().filter(|((asked, _), _)| *asked == name).map(|(_, count)| count.udp + count.tcp).sum()
    }

    /// Returns the number of questions for a name and type by transport.
    pub fn of(&self, name: &str, kind: RecordType) -> QuestionCount {
        absolute(name).ok().and_then(|name| self.asked.get(&(name, kind)).copied()).unwrap_or_default()
    }
}

/// Formats the sums, then the most frequent names in order. `postern lab` prints this at its end.
impl fmt::Display for LabCounters {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            out,
            "{} questions: {} udp, {} tcp over {} connections; {} malformed; {} messages sent, {} lost on purpose, {} overflowed",
            self.questions(),
            self.udp,
            self.tcp,
            self.tcp_connections,
            self.malformed,
            self.sent,
            self.lost,
            self.overflow
        )?;
        writeln!(
            out,
            "with RD {}, CD {}, OPT {}, DO {}, mixed case {}; {} source ports, {} IDs; {} answers held back at most",
            self.recursion_desired,
            self.checking_disabled,
            self.edns,
            self.dnssec_ok,
            self.mixed_case,
            self.source_ports,
            self.ids,
            self.max_outstanding
        )?;
        let mut rows: Vec<_> = self.asked.iter().collect();
        rows.sort_by(|(a, x), (b, y)| (y.udp + y.tcp).cmp(&(x.udp + x.tcp)).then_with(|| a.0.cmp(&b.0)).then(a.1.cmp(&b.1)));
        for ((name, kind), QuestionCount { udp, tcp }) in rows.iter().take(40) {
            writeln!(out, "{udp:>8} udp {tcp:>6} tcp  {name} {kind}")?;
        }
        if rows.len() > 40 {
            writeln!(out, "{:>23}  … and {} more", "", rows.len() - 40)?;
        }
        Ok(())
    }
}

/// The counters together with the state that is needed to update them.
#[derive(Debug, Default)]
pub(crate) struct CounterState {
    pub counters: LabCounters,
    ports: Seen,
    ids: Seen,
    arrivals: VecDeque<QuestionArrival>,
}

impl CounterState {
    /// Counts a question. Returns how often the same name and type was asked before.
    pub fn arrive(&mut self, request: &Request, source: SocketAddr, transport: QuestionTransport, at: Duration) -> u64 {
        let Ok(info) = request.request_info() else {
            self.counters.malformed += 1;
            return 0;
        };
        let counters = &mut self.counters;
        let (metadata, edns) = (info.metadata, request.edns.as_ref());
        let original = info.query.original();
        match transport {
            QuestionTransport::Udp => {
                counters.udp += 1;
                counters.source_ports += usize::from(self.ports.insert(source.port()));
            }
            QuestionTransport::Tcp => counters.tcp += 1,
        }
        counters.ids += usize::from(self.ids.insert(metadata.id));
        let dnssec_ok = edns.is_some_and(|edns| edns.flags().dnssec_ok);
        counters.edns += u64::from(edns.is_some());
        counters.dnssec_ok += u64::from(dnssec_ok);
        counters.checking_disabled += u64::from(metadata.checking_disabled);
        counters.recursion_desired += u64::from(metadata.recursion_desired);
        counters.mixed_case += u64::from(original.name().iter().any(|label| label.iter().any(u8::is_ascii_uppercase)));

        if self.arrivals.len() == MOST_ARRIVALS {
            self.arrivals.pop_front();
        }
        self.arrivals.push_back(QuestionArrival {
            at,
            source,
            transport,
            id: metadata.id,
            name: original.name().to_ascii(),
            kind: original.query_type(),
            recursion_desired: metadata.recursion_desired,
            checking_disabled: metadata.checking_disabled,
            authentic_data: metadata.authentic_data,
            udp_size: edns.map(|edns| edns.max_payload()),
            dnssec_ok,
        });

        let key = (Name::from(info.query.name()), original.query_type());
        let known = counters.asked.len();
        let asked = match counters.asked.get_mut(&key) {
            Some(asked) => asked,
            None if known < MOST_NAMES => counters.asked.entry(key).or_default(),
            None => {
                counters.other += 1;
                return 0;
            }
        };
        let before = asked.udp + asked.tcp;
        match transport {
            QuestionTransport::Udp => asked.udp += 1,
            QuestionTransport::Tcp => asked.tcp += 1,
        }
        before
    }

    /// Records the current number of delayed answers.
    pub fn hold(&mut self, outstanding: usize) {
        self.counters.outstanding = outstanding;
        self.counters.max_outstanding = self.counters.max_outstanding.max(outstanding);
    }

    /// Returns the last arrivals, oldest first.
    pub fn arrivals(&self) -> Vec<QuestionArrival> {
        self.arrivals.iter().cloned().collect()
    }
}

/// A set of 16-bit numbers.
#[derive(Debug)]
struct Seen(Box<[u64; 1024]>);

impl Default for Seen {
    fn default() -> Seen {
        Seen(Box::new([0; 1024]))
    }
}

impl Seen {
    /// Adds a number. Returns true if it was not in the set.
    fn insert(&mut self, number: u16) -> bool {
        let (word, bit) = (&mut self.0[usize::from(number >> 6)], 1 << (number & 63));
        let new = *word & bit == 0;
        *word |= bit;
        new
    }
}
