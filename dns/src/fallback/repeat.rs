//! Which repetitions of a fallback are written, and how many were folded into the next line.

use std::collections::{BTreeMap, HashMap};
use std::time::Instant;

use config::model::Repeat;

use super::{Event, Reason};

type Key = (String, String, String, Reason);

/// Remembers what was written, in a bounded table: what was not seen for the longest time is forgotten, and written again.
#[derive(Debug)]
pub(super) struct Folding {
    repeat: Repeat,
    bound: usize,
    seen: HashMap<Key, Seen>,
    order: BTreeMap<u64, Key>,
    turn: u64,
}

#[derive(Debug)]
struct Seen {
    written: Instant,
    folded: u64,
    turn: u64,
}

impl Folding {
    pub fn new(repeat: Repeat, bound: usize) -> Self {
        Self { repeat, bound, seen: HashMap::new(), order: BTreeMap::new(), turn: 0 }
    }

    /// The number of events folded into this one; none where this one is folded itself.
    pub fn fold(&mut self, event: &Event, now: Instant) -> Option<u64> {
        if self.repeat == Repeat::All {
            return Some(0);
        }
        self.turn += 1;
        let key = key(event);
        let written = match self.seen.get_mut(&key) {
            Some(seen) => {
                self.order.remove(&seen.turn);
                seen.turn = self.turn;
                let due = matches!(self.repeat, Repeat::Every(period) if now.duration_since(seen.written) >= period);
                seen.folded += u64::from(!due);
                due.then(|| {
                    seen.written = now;
                    std::mem::take(&mut seen.folded)
                })
            }
            None => {
                self.seen.insert(key.clone(), Seen { written: now, folded: 0, turn: self.turn });
                Some(0)
            }
        };
        self.order.insert(self.turn, key);
        while self.seen.len() > self.bound.max(1) {
            let Some((_, key)) = self.order.pop_first() else { break };
            self.seen.remove(&key);
        }
        written
    }

    /// Takes repetitions that were counted where they were seen: they are folded into the next line of their kind.
    pub fn fold_counted(&mut self, event: &Event, times: u64) {
        if let Some(seen) = self.seen.get_mut(&key(event)) {
            seen.folded += times;
        }
    }
}

fn key(event: &Event) -> Key {
    (event.network.clone(), event.name.clone(), event.rtype.clone(), event.reason)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::fallback::event::tests::event;

    /// What each of (seconds, name) becomes.
    fn folded(repeat: Repeat, bound: usize, events: &[(u64, &str)]) -> Vec<Option<u64>> {
        let mut folding = Folding::new(repeat, bound);
        let start = Instant::now();
        events.iter().map(|(at, name)| folding.fold(&event("hub", name), start + Duration::from_secs(*at))).collect()
    }

    #[test]
    fn all_first_and_every() {
        let events = [(0, "a"), (1, "a"), (2, "b"), (299, "a"), (300, "a"), (301, "a"), (900, "a")];
        for (repeat, want) in [
            (Repeat::All, [Some(0); 7]),
            (Repeat::First, [Some(0), None, Some(0), None, None, None, None]),
            (Repeat::Every(Duration::from_secs(300)), [Some(0), None, Some(0), None, Some(2), None, Some(1)]),
        ] {
            assert_eq!(folded(repeat, 10, &events), want, "{repeat:?}");
        }
    }

    #[test]
    fn what_is_forgotten_is_written_again() {
        assert_eq!(folded(Repeat::First, 1, &[(0, "a"), (0, "b"), (0, "a")]), [Some(0), Some(0), Some(0)]);
    }

    #[test]
    fn network_type_and_reason_are_apart() {
        let mut folding = Folding::new(Repeat::First, 10);
        let base = event("hub", "a");
        let others = [
            base.clone(),
            Event { network: "spoke".into(), ..base.clone() },
            Event { rtype: "AAAA".into(), ..base.clone() },
            Event { reason: Reason::NoZone, ..base.clone() },
        ];
        assert!(others.iter().all(|event| folding.fold(event, Instant::now()) == Some(0)));
        assert!(others.iter().all(|event| folding.fold(event, Instant::now()).is_none()));
    }
}
