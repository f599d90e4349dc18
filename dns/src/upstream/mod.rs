//! Upstream servers: how they are spoken to, and how well they do.
//!
//! [`message`] writes our questions and tells answers to them from other datagrams; [`udp`] and [`tcp`] carry both; [`health`] keeps
//! what is known of a server. Which server is asked what, and what becomes of the answer, is the [resolver](crate::resolver)'s.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use postern_config::model::{UpstreamConfig, UpstreamTransport};
use postern_zones::histogram::{Distribution, Histogram};

use crate::counters::{RCODES, rcode_class};
use crate::wire::message::extended_rcode;

pub mod health;
pub mod latency;
pub mod message;
pub mod silence;
pub mod tcp;
pub mod token_bucket;
pub mod udp;

/// An upstream's place in the resolver's table. Reused when an upstream is gone for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct UpstreamId(pub u32);

/// One question sent to one upstream: never the same twice while the server runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AttemptId {
    /// Place in the resolver's table.
    pub place: u32,
    /// Number of the attempt, so that a late answer to another one in the same place is told apart.
    pub serial: u32,
}

/// Why an attempt brought no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AttemptError {
    /// The upstream's host or port cannot be reached (ICMP, refused connection).
    #[error("unreachable")]
    Unreachable,
    /// Responses with wrong IDs came: somebody tries to guess the right one (RFC 5452).
    #[error("answers were forged")]
    Guessed,
    /// An answer came without a mark of the question that the upstream usually returns: letter case, or a cookie.
    #[error("answer without its mark")]
    Doubtful,
    /// The upstream wants its cookie (RFC 7873), which is known now.
    #[error("cookie wanted")]
    BadCookie,
    /// The connection broke before the answer came.
    #[error("connection lost")]
    Reset,
    /// We lack what it takes to ask: sockets, IDs, room in a queue.
    #[error("no room to send")]
    Exhausted,
}

/// Ability of an upstream to answer, as far as it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UpstreamCondition {
    /// It answers.
    Up,
    /// It answers, but nothing useful lately: asked after the others.
    Poor,
    /// It does not answer: probed, and asked only where there is no other.
    Down,
    /// Its loop probe came back, and it gave no useful answer since (S7).
    Loop,
}

/// An upstream as metrics and the console show it.
#[derive(Debug, Clone, PartialEq)]
pub struct UpstreamStatus {
    /// Name in logs: the address, with `:port` unless it is 53, after `tcp://` if that is its transport, and with its source.
    pub name: Arc<str>,
    /// Address that it listens on.
    pub address: SocketAddr,
    /// Transport of questions to it.
    pub transport: UpstreamTransport,
    /// Whether it answers.
    pub condition: UpstreamCondition,
    /// Smoothed round-trip time, microseconds. `None` until it was measured.
    pub round_trip: Option<u32>,
    /// Questions outstanding.
    pub in_flight: u32,
    /// Questions sent, retries and probes included.
    pub asked: u64,
    /// Useful answers.
    pub answered: u64,
    /// Responses without use: SERVFAIL, REFUSED and the like, and malformed messages.
    pub failed: u64,
    /// Questions that ran out of time or could not be delivered.
    pub lost: u64,
    /// Times it could not be reached, or refused: ICMP errors, refused connections, a missing network.
    pub unreachable: u64,
    /// Datagrams that answered none of our questions (late, or not from where they seem).
    pub stray: u64,
    /// Questions asked again over TCP because the answer was truncated.
    pub truncated: u64,
    /// Questions that had to wait because its limits (`in-flight`, `rate`) were reached.
    pub delayed: u64,
    /// Questions that wait for that reason now. Some of them may be over already.
    pub queued: u32,
    /// Responses to questions of ours, by RCODE in the order of [`RCODE_NAMES`](crate::counters::RCODE_NAMES).
    pub rcodes: [u64; RCODES],
    /// Round-trip times of these; counted in whole milliseconds.
    pub round_trips: Distribution,
}

/// The numbers behind an [`UpstreamStatus`]. The resolver writes them, and any thread may read them.
#[derive(Debug)]
#[allow(missing_docs)] // the fields are those of UpstreamStatus
pub struct UpstreamMeter {
    pub name: Arc<str>,
    pub address: SocketAddr,
    pub transport: UpstreamTransport,
    pub condition: AtomicU8,
    pub round_trip: AtomicU32,
    pub in_flight: AtomicU32,
    pub asked: AtomicU64,
    pub answered: AtomicU64,
    pub failed: AtomicU64,
    pub lost: AtomicU64,
    pub unreachable: AtomicU64,
    pub stray: AtomicU64,
    pub truncated: AtomicU64,
    pub delayed: AtomicU64,
    pub queued: AtomicU32,
    pub rcodes: [AtomicU64; RCODES],
    pub round_trips: Histogram,
}

impl UpstreamMeter {
    /// All zero.
    pub fn new(upstream: &UpstreamConfig) -> Self {
        Self {
            name: name(upstream).into(),
            address: upstream.address,
            transport: upstream.transport,
            condition: AtomicU8::new(0),
            round_trip: AtomicU32::new(0),
            in_flight: AtomicU32::new(0),
            asked: AtomicU64::new(0),
            answered: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            unreachable: AtomicU64::new(0),
            stray: AtomicU64::new(0),
            truncated: AtomicU64::new(0),
            delayed: AtomicU64::new(0),
            queued: AtomicU32::new(0),
            rcodes: std::array::from_fn(|_| AtomicU64::new(0)),
            round_trips: Histogram::default(),
        }
    }

    /// Counts a response to a question of ours that came `after` the question was sent.
    pub fn count_response(&self, message: &[u8], after: Duration) {
        self.rcodes[rcode_class(extended_rcode(message))].fetch_add(1, Relaxed);
        self.round_trips.add(after, 1);
    }

    /// Returns the numbers of this moment.
    pub fn read(&self) -> UpstreamStatus {
        let condition = [UpstreamCondition::Up, UpstreamCondition::Poor, UpstreamCondition::Down, UpstreamCondition::Loop];
        UpstreamStatus {
            name: self.name.clone(),
            address: self.address,
            transport: self.transport,
            condition: condition[usize::from(self.condition.load(Relaxed)) % condition.len()],
            round_trip: Some(self.round_trip.load(Relaxed)).filter(|time| *time > 0),
            in_flight: self.in_flight.load(Relaxed),
            asked: self.asked.load(Relaxed),
            answered: self.answered.load(Relaxed),
            failed: self.failed.load(Relaxed),
            lost: self.lost.load(Relaxed),
            unreachable: self.unreachable.load(Relaxed),
            stray: self.stray.load(Relaxed),
            truncated: self.truncated.load(Relaxed),
            delayed: self.delayed.load(Relaxed),
            queued: self.queued.load(Relaxed),
            rcodes: std::array::from_fn(|rcode| self.rcodes[rcode].load(Relaxed)),
            round_trips: self.round_trips.read(),
        }
    }
}

/// Returns the name of an upstream in logs and metrics. One with a source has it behind the address: two may differ in that alone.
pub fn name(upstream: &UpstreamConfig) -> String {
    let scheme = match upstream.transport {
        UpstreamTransport::Udp => "",
        UpstreamTransport::Tcp => "tcp://",
    };
    let place = match upstream.address {
        // The scope of a link-local address is part of its name.
        SocketAddr::V6(address) if address.port() == 53 && address.scope_id() != 0 => format!("{}%{}", address.ip(), address.scope_id()),
        address if address.port() == 53 => address.ip().to_string(),
        address => address.to_string(),
    };
    let source = upstream.source.as_ref().map_or_else(String::new, |source| format!(",source={source}"));
    format!("{scheme}{place}{source}")
}

impl fmt::Display for UpstreamCondition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Up => "up",
            Self::Poor => "poor",
            Self::Down => "down",
            Self::Loop => "loop",
        })
    }
}
