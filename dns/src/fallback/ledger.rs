//! Who fell back on what: a bounded table by (network, name), and counts for metrics.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

use super::recent::LruTable;
use super::{FallbackEvent, MendHint};
use crate::reason::{FallbackAction, FallbackReason};

/// One (network, name) of the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerEntry {
    /// The clients' network.
    pub network: Arc<str>,
    /// The name asked.
    pub name: Arc<str>,
    /// The private-link name behind it.
    pub private: Arc<str>,
    /// The private zone that this lies in, the last time; empty where none is known.
    pub zone: Arc<str>,
    /// The type asked, the last time; A once it was that.
    pub rtype: Arc<str>,
    /// The change that would mend it, for that type.
    pub mend: Arc<MendHint>,
    /// How often.
    pub count: u64,
    /// The first time.
    pub first_seen: SystemTime,
    /// The last time.
    pub last_seen: SystemTime,
    /// Why, the last time.
    pub reason: FallbackReason,
    /// The last answer to a client.
    pub action: FallbackAction,
    /// Who asked last.
    pub client: IpAddr,
    /// Rises with every sighting of anything: what was seen later has more.
    pub turn: u64,
}

/// How many fallbacks a zone and network had, by reason and action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FallbackCount {
    /// The private zone; empty where none is known.
    pub zone: Arc<str>,
    /// The clients' network.
    pub network: Arc<str>,
    /// Why.
    pub reason: FallbackReason,
    /// The answer to the clients.
    pub action: FallbackAction,
    /// How many.
    pub count: u64,
    /// The last time.
    pub last_seen: SystemTime,
}

/// Who fell back, by network and name as one text.
#[derive(Debug)]
pub(super) struct FallbackLedger {
    seen: LruTable<LedgerEntry>,
    key: String,
}

/// Zones and networks are the operator's, but a zone that nobody hosts is named by a stranger: of these there is a bound.
#[derive(Debug, Default)]
pub(super) struct FallbackCounts {
    /// By zone, network, reason and action, as one text.
    counts: HashMap<String, FallbackCount, foldhash::quality::RandomState>,
    strange: usize,
    key: String,
}

impl FallbackLedger {
    pub fn new(bound: usize) -> Self {
        Self { seen: LruTable::new(bound), key: String::new() }
    }

    pub fn bound(&mut self, bound: usize) {
        self.seen.bound(bound);
    }

    /// Takes so many of an event.
    pub fn see(&mut self, event: &FallbackEvent, time: SystemTime, times: u64) {
        join(&mut self.key, &[&event.network, &event.name]);
        let Some(familiar) = self.seen.touch(&self.key) else { return self.seen.insert(&self.key, LedgerEntry::new(event, time, times)) };
        familiar.count += times;
        familiar.last_seen = time;
        // Clients ask for several types of a name, and its A record ends the fallbacks of all of them: that is the record to show.
        let same = familiar.reason == event.reason && *familiar.zone == *event.zone;
        let keeps_mend = same && &*familiar.rtype == "A" && event.rtype != "A";
        (familiar.reason, familiar.action, familiar.client) = (event.reason, event.action, event.client);
        for (known, text) in [(&mut familiar.private, &event.private), (&mut familiar.zone, &event.zone)] {
            if **known != **text {
                *known = text.as_str().into();
            }
        }
        if !keeps_mend && *familiar.rtype != *event.rtype {
            familiar.rtype = event.rtype.as_str().into();
        }
        if !keeps_mend && *familiar.mend != event.mend {
            familiar.mend = Arc::new(event.mend.clone());
        }
    }

    /// The most recently seen first.
    pub fn list(&self) -> Vec<LedgerEntry> {
        self.seen.list().into_iter().map(|(turn, familiar)| LedgerEntry { turn, ..familiar.clone() }).collect()
    }
}

impl LedgerEntry {
    /// Fallbacks that were never seen, or that were forgotten.
    fn new(event: &FallbackEvent, time: SystemTime, times: u64) -> Self {
        Self {
            network: event.network.as_str().into(),
            name: event.name.as_str().into(),
            private: event.private.as_str().into(),
            zone: event.zone.as_str().into(),
            rtype: event.rtype.as_str().into(),
            mend: Arc::new(event.mend.clone()),
            count: times,
            first_seen: time,
            last_seen: time,
            reason: event.reason,
            action: event.action,
            client: event.client,
            turn: 0, // it is told where it is listed
        }
    }
}

impl FallbackCounts {
    /// Counts of zones that are not hosted: each is a time series for whoever scrapes.
    const BOUND: usize = 1_000;

    /// Takes so many of an event.
    pub fn count(&mut self, event: &FallbackEvent, time: SystemTime, times: u64) {
        let mut zone = event.zone.as_str();
        let (reason, action) = (event.reason.as_str(), event.action.as_str());
        join(&mut self.key, &[zone, &event.network, reason, action]);
        let is_strange = matches!(event.reason, FallbackReason::NoZone | FallbackReason::OtherNetwork);
        if is_strange && !self.counts.contains_key(&self.key) {
            match self.strange < Self::BOUND {
                true => self.strange += 1,
                false => {
                    zone = "";
                    join(&mut self.key, &[zone, &event.network, reason, action]);
                }
            }
        }
        if let Some(counted) = self.counts.get_mut(&self.key) {
            counted.count += times;
            counted.last_seen = time;
            return;
        }
        let (zone, network) = (zone.into(), event.network.as_str().into());
        let counted = FallbackCount { zone, network, reason: event.reason, action: event.action, count: times, last_seen: time };
        self.counts.insert(self.key.clone(), counted);
    }

    pub fn list(&self) -> Vec<FallbackCount> {
        let mut list: Vec<FallbackCount> = self.counts.values().cloned().collect();
        list.sort_by(|a, b| (&a.zone, &a.network, a.reason, a.action).cmp(&(&b.zone, &b.network, b.reason, b.action)));
        list
    }
}

/// One text of several, none of which has a line end in it, to be looked up without making each anew.
pub(super) fn join(key: &mut String, parts: &[&str]) {
    key.clear();
    for part in parts {
        key.push_str(part);
        key.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fallback::event::tests::event;

    fn names(ledger: &FallbackLedger) -> Vec<(String, u64)> {
        ledger.list().iter().map(|seen| (seen.name.to_string(), seen.count)).collect()
    }

    fn listed(list: &[(&str, u64)]) -> Vec<(String, u64)> {
        list.iter().map(|(name, count)| (name.to_string(), *count)).collect()
    }

    #[test]
    fn the_least_recently_seen_goes_when_it_is_full() {
        let mut ledger = FallbackLedger::new(2);
        for name in ["a", "b", "a", "c"] {
            ledger.see(&event("hub", name), SystemTime::UNIX_EPOCH, 1);
        }
        assert_eq!(names(&ledger), listed(&[("c", 1), ("a", 2)]));
        ledger.bound(1);
        assert_eq!(names(&ledger), listed(&[("c", 1)]));
    }

    #[test]
    fn networks_are_apart_and_the_last_sighting_is_told() {
        let mut ledger = FallbackLedger::new(10);
        let later = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(9);
        ledger.see(&event("hub", "a"), SystemTime::UNIX_EPOCH, 1);
        ledger.see(&event("spoke", "a"), SystemTime::UNIX_EPOCH, 1);
        let client = IpAddr::from([10, 20, 0, 99]);
        ledger.see(
            &FallbackEvent { client, action: FallbackAction::Stale, reason: FallbackReason::OtherNetwork, ..event("hub", "a") },
            later,
            1,
        );
        let list = ledger.list();
        assert_eq!(list.len(), 2);
        let hub = &list[0];
        assert_eq!((&*hub.network, hub.count, hub.first_seen, hub.last_seen), ("hub", 2, SystemTime::UNIX_EPOCH, later));
        assert_eq!((hub.client, hub.action, hub.reason), (client, FallbackAction::Stale, FallbackReason::OtherNetwork));
    }

    #[test]
    fn the_record_to_show_is_the_one_that_mends_every_type() {
        let mut ledger = FallbackLedger::new(10);
        let asked = |rtype: &str, record: &str| {
            let base = event("hub", "a");
            FallbackEvent { rtype: rtype.into(), mend: MendHint { record: Some(record.into()), ..base.mend.clone() }, ..base }
        };
        let mut shown = |event: FallbackEvent| {
            ledger.see(&event, SystemTime::UNIX_EPOCH, 1);
            let seen = ledger.list().remove(0);
            (seen.rtype.to_string(), seen.mend.record.clone().unwrap())
        };
        assert_eq!(shown(asked("AAAA", "v6")), ("AAAA".into(), "v6".into()));
        assert_eq!(shown(asked("A", "v4")), ("A".into(), "v4".into()));
        assert_eq!(shown(asked("AAAA", "v6")), ("A".into(), "v4".into()));
        let other = FallbackEvent { reason: FallbackReason::OtherNetwork, ..asked("AAAA", "other") };
        assert_eq!(shown(other), ("AAAA".into(), "other".into()));
    }

    #[test]
    fn counts_of_zones_that_nobody_hosts_are_bounded_and_lose_nothing() {
        let mut counts = FallbackCounts::default();
        let many = FallbackCounts::BOUND as u64 + 50;
        let time = |seconds| SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
        for zone in 0..many {
            counts.count(&FallbackEvent { zone: format!("z{zone}"), reason: FallbackReason::NoZone, ..event("hub", "a") }, time(zone), 1);
            counts.count(&FallbackEvent { zone: format!("ours{}", zone % 9), ..event("hub", "a") }, time(zone), 1);
        }
        let list = counts.list();
        assert_eq!(list.len(), FallbackCounts::BOUND + 1 + 9, "what does not fit is counted without its zone");
        assert_eq!(list.iter().map(|counted| counted.count).sum::<u64>(), 2 * many);
        assert_eq!((list[0].zone.as_ref(), list[0].count, list[0].last_seen), ("", 50, time(many - 1)));
    }
}
