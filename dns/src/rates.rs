//! Responses to each client network in a second: a server that anybody can reach must not answer floods in somebody else's name.
//!
//! Off by default. A client that proves its address, by a DNS cookie or over TCP, is never limited and is not counted: it does not use up the
//! responses of its network.

use std::hash::BuildHasher;
use std::net::IpAddr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::clock::Now;

/// Client networks that are counted at a time, 512 KB. Of two that share a bucket the later one starts anew: a flood from everywhere makes
/// the limit weaker, never the memory larger.
const BUCKETS: usize = 1 << 16;
/// Bits of a bucket: responses, then the second, then the client network.
const COUNT_BITS: u32 = 20;
const SECOND_BITS: u32 = 20;

/// How many responses client networks had in this second.
#[derive(Debug, Default)]
pub struct ResponseRates {
    buckets: OnceLock<Box<[AtomicU64]>>,
    hasher: foldhash::quality::RandomState,
}

/// Response budget of one client network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResponseAllowance {
    /// A response.
    Response,
    /// No more than the advice to come over TCP, or with a good cookie.
    Advice,
    /// Nothing.
    Nothing,
}

impl ResponseRates {
    /// Counts a response to `client`. Beyond `limit` in this second, every second question gets advice.
    pub fn count(&self, client: IpAddr, now: Now, limit: u32) -> ResponseAllowance {
        let buckets = self.buckets.get_or_init(|| (0..BUCKETS).map(|_| AtomicU64::new(0)).collect());
        let hash = self.hasher.hash_one(network_of(client));
        let second = (now.0 / 1000) & ((1 << SECOND_BITS) - 1);
        let start = (hash >> (SECOND_BITS + COUNT_BITS) << SECOND_BITS | second) << COUNT_BITS;
        let bucket = &buckets[hash as usize % BUCKETS];
        // Two workers that count at once may count one: it is a limit, not a bill.
        let known = bucket.load(Relaxed);
        let most = (1 << COUNT_BITS) - 1;
        let count = if known & !most == start { (known & most).min(most - 1) + 1 } else { 1 };
        bucket.store(start | count, Relaxed);
        match count.checked_sub(u64::from(limit) + 1) {
            None => ResponseAllowance::Response,
            Some(beyond) if beyond % 2 == 0 => ResponseAllowance::Advice,
            Some(_) => ResponseAllowance::Nothing,
        }
    }
}

/// What counts as one client: the addresses that one site has (/24 and /56).
fn network_of(client: IpAddr) -> u128 {
    match client.to_canonical() {
        IpAddr::V4(address) => u128::from(address.to_bits() >> 8),
        IpAddr::V6(address) => address.to_bits() >> 72 << 72,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beyond_the_limit_every_second_question_gets_advice_until_the_second_is_over() {
        let rates = ResponseRates::default();
        let client: IpAddr = "192.0.2.7".parse().unwrap();
        use ResponseAllowance::{Advice, Nothing, Response};
        for start in [1_000_000, 1_001_000] {
            let seen: Vec<_> = (0..7).map(|n| rates.count(client, Now(start + n * 100), 3)).collect();
            assert_eq!(seen, [Response, Response, Response, Advice, Nothing, Advice, Nothing]);
        }
    }

    #[test]
    fn clients_of_one_network_are_counted_together() {
        let rates = ResponseRates::default();
        let count = |client: &str| rates.count(client.parse().unwrap(), Now(5_000), 1) == ResponseAllowance::Response;
        for (first, same, other) in [
            ("192.0.2.7", "192.0.2.200", "198.51.100.7"),
            ("::ffff:203.0.113.7", "203.0.113.8", "192.168.1.1"),
            ("2001:db8:0:ff::1", "2001:db8:0:1::2", "2001:db8:0:100::1"),
        ] {
            assert_eq!([first, same, other].map(count), [true, false, true], "{first}");
        }
    }

    #[test]
    fn the_count_stops_before_it_touches_what_stands_beside_it() {
        let rates = ResponseRates::default();
        let client: IpAddr = "192.0.2.7".parse().unwrap();
        for _ in 0..(1 << COUNT_BITS) + 10 {
            rates.count(client, Now(5_000), 1);
        }
        assert_ne!(rates.count(client, Now(5_000), 1), ResponseAllowance::Response);
        assert_eq!(rates.count(client, Now(6_000), 1), ResponseAllowance::Response);
    }
}
