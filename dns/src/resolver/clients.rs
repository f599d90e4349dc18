//! How many questions of each client wait.

use std::hash::BuildHasher;
use std::net::IpAddr;

/// Questions that wait, by client. Two rows of counters, of which the lower one counts: two clients rarely share both.
#[derive(Debug)]
pub(super) struct ClientCounts {
    rows: [Box<[u32; Self::SLOTS]>; 2],
    hasher: foldhash::fast::RandomState,
}

/// The places of a client in `ClientCounts`.
#[derive(Debug, Clone, Copy)]
pub(super) struct ClientPlaces([u16; 2]);

impl ClientCounts {
    const SLOTS: usize = 2048;

    pub(super) fn new() -> Self {
        let row = || Box::new([0; Self::SLOTS]);
        Self { rows: [row(), row()], hasher: Default::default() }
    }

    /// Returns the places of a client. One that has IPv6 usually has a whole /64.
    pub(super) fn places(&self, client: IpAddr) -> ClientPlaces {
        let number = match client.to_canonical() {
            IpAddr::V4(address) => u64::from(address.to_bits()),
            IpAddr::V6(address) => (address.to_bits() >> 64) as u64 | 1 << 63,
        };
        let hash = self.hasher.hash_one(number);
        let slot = |bits: u64| (bits % Self::SLOTS as u64) as u16;
        ClientPlaces([slot(hash), slot(hash >> 32)])
    }

    /// Returns the number of questions of a client that wait.
    pub(super) fn count(&self, client: ClientPlaces) -> usize {
        let [one, two] = client.0.map(usize::from);
        self.rows[0][one].min(self.rows[1][two]) as usize
    }

    pub(super) fn add(&mut self, client: ClientPlaces) {
        for (row, slot) in self.rows.iter_mut().zip(client.0) {
            row[usize::from(slot)] += 1;
        }
    }

    pub(super) fn remove(&mut self, client: ClientPlaces) {
        for (row, slot) in self.rows.iter_mut().zip(client.0) {
            row[usize::from(slot)] -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_are_counted_apart_and_addresses_of_one_ipv6_network_together() {
        let mut counts = ClientCounts::new();
        let [one, two] = ["192.0.2.1", "192.0.2.2"].map(|client| counts.places(client.parse().unwrap()));
        (0..5).for_each(|_| counts.add(one));
        // The two may share one row, but hardly both.
        assert!(counts.count(one) == 5 && counts.count(two) <= 5);
        let [three, four] = ["2001:db8::1", "2001:db8::ffff:2"].map(|client| counts.places(client.parse().unwrap()));
        counts.add(three);
        counts.add(four);
        assert!(counts.count(three) >= 2);
        (0..5).for_each(|_| counts.remove(one));
        counts.remove(three);
        counts.remove(four);
        assert_eq!([one, two, three].map(|client| counts.count(client)), [0; 3]);
    }
}
