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
        let key = (event.network.clone(), event.name.clone(), event.rtype.clone(), event.reason);
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
}
