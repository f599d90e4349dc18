//! Recent changes of a zone.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use crate::journal;

/// Recent changes of a zone, for incremental transfers and for those who ask what happened. Bounded.
#[derive(Debug, Default)]
pub struct ZoneHistory {
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    changes: VecDeque<Arc<journal::JournalChange>>,
    records: usize,
}

impl ZoneHistory {
    /// Records kept, taken out and put in together: about 16 MiB.
    const MOST: usize = 100_000;

    /// The changes that lead from `serial` to the newest one, oldest first; none: it is not known how to get there. Empty: it is the
    /// newest.
    pub fn since(&self, serial: u32) -> Option<Vec<Arc<journal::JournalChange>>> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.changes.back().is_some_and(|last| last.to == serial) {
            return Some(Vec::new());
        }
        let first = kept.changes.iter().position(|change| change.from == serial)?;
        Some(kept.changes.iter().skip(first).cloned().collect())
    }

    /// The newest `most` changes, newest first.
    pub fn newest(&self, most: usize) -> Vec<Arc<journal::JournalChange>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).changes.iter().rev().take(most).cloned().collect()
    }

    /// Adds the newest change. One that does not go on from the last leaves only itself.
    pub fn push(&self, change: Arc<journal::JournalChange>) {
        let size = |change: &journal::JournalChange| change.removed.len() + change.added.len();
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        // A change that does not start at the last serial is of no use.
        if kept.changes.back().is_some_and(|last| last.to != change.from) {
            *kept = Kept::default();
        }
        kept.records += size(&change);
        kept.changes.push_back(change);
        while kept.records > Self::MOST {
            let Some(oldest) = kept.changes.pop_front() else { return };
            kept.records -= size(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(from: u32, records: usize) -> Arc<journal::JournalChange> {
        let record = journal::JournalRecord {
            owner: crate::name::WireName::parse("a.test").unwrap(),
            rtype: 1,
            ttl: 1,
            rdata: Box::new([10, 0, 0, 1]),
        };
        Arc::new(journal::JournalChange { from, to: from + 1, at: 0, by: String::new(), removed: Vec::new(), added: vec![record; records] })
    }

    fn serials(history: &ZoneHistory, since: u32) -> Option<Vec<u32>> {
        history.since(since).map(|changes| changes.iter().map(|change| change.to).collect())
    }

    #[test]
    fn a_history_leads_from_a_serial_to_the_newest() {
        let history = ZoneHistory::default();
        assert_eq!(serials(&history, 7), None);
        (7..10).for_each(|from| history.push(change(from, 1)));
        for (since, leads) in [(7, Some(vec![8, 9, 10])), (9, Some(vec![10])), (10, Some(vec![])), (6, None), (11, None)] {
            assert_eq!(serials(&history, since), leads, "{since}");
        }
        history.push(change(20, 1));
        assert_eq!((serials(&history, 7), serials(&history, 20)), (None, Some(vec![21])), "what led to 10 does not lead to 21");
    }

    #[test]
    fn a_history_is_bounded_by_its_records() {
        let history = ZoneHistory::default();
        (0..12).for_each(|from| history.push(change(from, ZoneHistory::MOST / 10)));
        assert_eq!((serials(&history, 1), serials(&history, 2).map(|serials| serials.len())), (None, Some(10)));
    }
}
