//! How many lines a second are written, in all and for each client, and what is counted in place of more.
//!
//! A window is one second. What exceeds its rates is counted, and when the window ends one [`RateOverflow`] says how much that was. So a
//! burst costs a bounded number of octets, and the lines with their counts add up to all fallbacks that were to be written.

use std::collections::{HashMap, HashSet};
use std::hash::BuildHasher;
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

use serde::Serialize;
use time::OffsetDateTime;

use super::FallbackEvent;
use super::event::rfc3339;

/// How long a window is open.
const WINDOW: Duration = Duration::from_secs(1);
/// Clients and names that are told apart in a window. Both come from strangers.
const DISTINCT: usize = 1 << 16;

/// The rates of lines and the window of the moment.
#[derive(Debug)]
pub(super) struct LineRates {
    /// Lines in all; 0: no bound.
    rate: u32,
    /// Lines of one client; 0: no bound.
    client_rate: u32,
    began: Instant,
    lines: u32,
    by_client: HashMap<IpAddr, u32, Hasher>,
    over: Over,
    hasher: Hasher,
}

type Hasher = foldhash::quality::RandomState;

/// Fallbacks of a window without a line of their own.
#[derive(Debug, Default)]
struct Over {
    count: u64,
    clients: HashSet<IpAddr, Hasher>,
    /// Hashes of them: the names themselves are in the ledger.
    names: HashSet<u64, Hasher>,
}

/// Fallbacks that were counted in place of lines.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RateOverflow {
    /// When the window ended: RFC 3339, UTC, milliseconds.
    pub time: String,
    /// How many.
    pub more: u64,
    /// Of how many clients; 65,536 stands for that many or more.
    pub clients: usize,
    /// For how many names; likewise.
    pub names: usize,
    /// How long the window was open.
    pub seconds: f64,
}

impl LineRates {
    pub fn new(rate: u32, client_rate: u32, now: Instant) -> Self {
        let (by_client, over, hasher) = Default::default();
        Self { rate, client_rate, began: now, lines: 0, by_client, over, hasher }
    }

    /// Other rates from now on.
    pub fn set(&mut self, rate: u32, client_rate: u32) {
        (self.rate, self.client_rate) = (rate, client_rate);
    }

    /// Takes a place for a line of this client. Returns false if the rates have none left.
    pub fn take(&mut self, client: IpAddr) -> bool {
        if self.rate > 0 && self.lines >= self.rate {
            return false;
        }
        if self.client_rate > 0 {
            let client = block(client);
            if self.by_client.len() >= DISTINCT && !self.by_client.contains_key(&client) {
                return false;
            }
            let lines = self.by_client.entry(client).or_default();
            if *lines >= self.client_rate {
                return false;
            }
            *lines += 1;
        }
        self.lines += 1;
        true
    }

    /// Counts so many of an event in place of lines.
    pub fn count(&mut self, event: &FallbackEvent, times: u64) {
        self.over.count += times;
        if self.over.clients.len() < DISTINCT {
            self.over.clients.insert(block(event.client));
        }
        if self.over.names.len() < DISTINCT {
            self.over.names.insert(self.hasher.hash_one(&event.name));
        }
    }

    /// Begins the next window if this one ends, or in any case if it `must`. Returns what had no line in the one that ended.
    pub fn turn(&mut self, now: Instant, must: bool) -> Option<RateOverflow> {
        let open = now.duration_since(self.began);
        if open < WINDOW && !must {
            return None;
        }
        (self.began, self.lines) = (now, 0);
        self.by_client.clear();
        let over = std::mem::take(&mut self.over);
        (over.count > 0).then(|| RateOverflow {
            time: rfc3339(OffsetDateTime::now_utc()),
            more: over.count,
            clients: over.clients.len(),
            names: over.names.len(),
            seconds: (open.as_millis() as f64) / 1000.0,
        })
    }
}

/// One client: an IPv4 address, or an IPv6 /64, from which one machine can choose any address.
fn block(client: IpAddr) -> IpAddr {
    match client {
        IpAddr::V4(_) => client,
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
    }
}

impl RateOverflow {
    /// One JSON object, without the line end.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default() // strings and numbers always can be written
    }

    /// `key=value` pairs, without the line end.
    pub fn to_text(&self) -> String {
        let Self { time, more, clients, names, seconds } = self;
        format!("{time} fallback more={more} clients={clients} names={names} seconds={seconds} help=\"{}\"", Self::HELP)
    }

    /// A line of the log, at WARN.
    pub(super) fn log(&self) {
        let Self { more, clients, names, seconds, .. } = self;
        tracing::warn!(target: "postern::fallback", more, clients, names, seconds, help = Self::HELP, "fallbacks beyond `fallback.rate`");
    }

    const HELP: &str = "`postern fallbacks` lists the names";
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fallback::event::tests::event;

    fn client(last: u8) -> IpAddr {
        IpAddr::from([10, 20, 0, last])
    }

    #[test]
    fn a_client_has_its_share_and_all_have_theirs() {
        let start = Instant::now();
        let mut rates = LineRates::new(5, 2, start);
        let taken: Vec<bool> = [1, 1, 1, 2, 2, 2, 3, 4, 4].map(|last| rates.take(client(last))).to_vec();
        assert_eq!(taken, [true, true, false, true, true, false, true, false, false]);
        assert_eq!(rates.turn(start + WINDOW / 2, false), None);
        assert!(!rates.take(client(5)));
        assert_eq!(rates.turn(start + WINDOW, false), None, "nothing was counted");
        assert!(rates.take(client(1)));
    }

    #[test]
    fn without_a_bound_everything_has_a_line() {
        let mut rates = LineRates::new(0, 0, Instant::now());
        assert!((0..100_000).all(|_| rates.take(client(1))));
        rates.set(0, 3);
        assert_eq!((0..9).filter(|_| rates.take(client(1))).count(), 3);
    }

    #[test]
    fn one_machine_has_one_share_whichever_of_its_ipv6_addresses_it_takes() {
        let mut rates = LineRates::new(0, 1, Instant::now());
        let taken =
            ["2001:db8::1", "2001:db8::2", "2001:db8:0:1::1", "192.0.2.1", "192.0.2.2"].map(|text| rates.take(text.parse().unwrap()));
        assert_eq!(taken, [true, false, true, true, true]);
    }

    #[test]
    fn what_has_no_line_is_counted_with_its_clients_and_names() {
        let start = Instant::now();
        let mut rates = LineRates::new(1, 1, start);
        for (name, last, times) in [("a", 1, 1), ("a", 2, 40), ("b", 2, 2)] {
            rates.count(&FallbackEvent { client: client(last), ..event("hub", name) }, times);
        }
        let over = rates.turn(start + Duration::from_millis(1250), false).unwrap();
        assert_eq!((over.more, over.clients, over.names, over.seconds), (43, 2, 2, 1.25));
        let json: serde_json::Value = serde_json::from_str(&over.to_json()).unwrap();
        assert_eq!((&json["more"], &json["seconds"]), (&43.into(), &1.25.into()));
        assert!(over.to_text().contains(" fallback more=43 clients=2 names=2 seconds=1.25 help="), "{}", over.to_text());
        assert_eq!(rates.turn(start + 3 * WINDOW, true), None);
    }

    #[test]
    fn strangers_cannot_make_a_window_grow() {
        let mut rates = LineRates::new(0, 1, Instant::now());
        for number in 0..DISTINCT as u32 + 500 {
            let client = IpAddr::V4(number.into());
            rates.take(client);
            rates.count(&FallbackEvent { client, ..event("hub", &number.to_string()) }, 1);
        }
        assert_eq!((rates.by_client.len(), rates.over.clients.len(), rates.over.names.len()), (DISTINCT, DISTINCT, DISTINCT));
        assert_eq!(rates.turn(Instant::now(), true).map(|over| over.more), Some(DISTINCT as u64 + 500));
    }
}
