//! Which repetitions of a fallback are written, and how many were folded into the next line.

use std::time::Instant;

use postern_config::model::RepeatPolicy;

use super::FallbackEvent;
use super::ledger::join;
use super::recent::LruTable;

/// Remembers what was written, by network, name, type and reason as one text: what is forgotten is written again.
#[derive(Debug)]
pub(super) struct RepeatFolding {
    repeat: RepeatPolicy,
    seen: LruTable<Seen>,
    key: String,
}

/// Decision about an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FoldedRepeats {
    /// It is written, with so many that were folded into it.
    Line(u64),
    /// It is folded into the next line of its kind.
    Repeated,
    /// A line is due, and the rates have no place for it.
    Over,
}

#[derive(Debug)]
struct Seen {
    written: Instant,
    folded: u64,
}

impl RepeatFolding {
    pub fn new(repeat: RepeatPolicy, bound: usize) -> Self {
        Self { repeat, seen: LruTable::new(bound), key: String::new() }
    }

    /// Decides whether an event is written or folded. `has_place` is called if a line is due. If it returns false, the line stays due.
    pub fn fold(&mut self, event: &FallbackEvent, now: Instant, has_place: impl FnOnce() -> bool) -> FoldedRepeats {
        if self.repeat == RepeatPolicy::All {
            return if has_place() { FoldedRepeats::Line(0) } else { FoldedRepeats::Over };
        }
        self.key(event);
        let Some(seen) = self.seen.touch(&self.key) else {
            if !has_place() {
                return FoldedRepeats::Over;
            }
            self.seen.insert(&self.key, Seen { written: now, folded: 0 });
            return FoldedRepeats::Line(0);
        };
        let due = matches!(self.repeat, RepeatPolicy::Every(period) if now.duration_since(seen.written) >= period);
        if !due {
            seen.folded += 1;
            return FoldedRepeats::Repeated;
        }
        if !has_place() {
            return FoldedRepeats::Over;
        }
        seen.written = now;
        FoldedRepeats::Line(std::mem::take(&mut seen.folded))
    }

    /// Takes repetitions that were counted where they were seen: they are folded into the next line of their kind.
    pub fn fold_counted(&mut self, event: &FallbackEvent, times: u64) {
        self.key(event);
        if let Some(seen) = self.seen.get_mut(&self.key) {
            seen.folded += times;
        }
    }

    fn key(&mut self, event: &FallbackEvent) {
        join(&mut self.key, &[&event.network, &event.name, &event.rtype, event.reason.as_str()]);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::fallback::event::tests::event;
    use crate::reason::FallbackReason;

    /// What each of (seconds, name) becomes.
    fn folded(repeat: RepeatPolicy, bound: usize, events: &[(u64, &str)]) -> Vec<Option<u64>> {
        let mut folding = RepeatFolding::new(repeat, bound);
        let start = Instant::now();
        let line = |folded| if let FoldedRepeats::Line(count) = folded { Some(count) } else { None };
        events.iter().map(|(at, name)| line(folding.fold(&event("hub", name), start + Duration::from_secs(*at), || true))).collect()
    }

    #[test]
    fn all_first_and_every() {
        let events = [(0, "a"), (1, "a"), (2, "b"), (299, "a"), (300, "a"), (301, "a"), (900, "a")];
        for (repeat, want) in [
            (RepeatPolicy::All, [Some(0); 7]),
            (RepeatPolicy::First, [Some(0), None, Some(0), None, None, None, None]),
            (RepeatPolicy::Every(Duration::from_secs(300)), [Some(0), None, Some(0), None, Some(2), None, Some(1)]),
        ] {
            assert_eq!(folded(repeat, 10, &events), want, "{repeat:?}");
        }
    }

    #[test]
    fn what_is_forgotten_is_written_again() {
        assert_eq!(folded(RepeatPolicy::First, 1, &[(0, "a"), (0, "b"), (0, "a")]), [Some(0), Some(0), Some(0)]);
    }

    #[test]
    fn network_type_and_reason_are_apart() {
        let mut folding = RepeatFolding::new(RepeatPolicy::First, 10);
        let base = event("hub", "a");
        let others = [
            base.clone(),
            FallbackEvent { network: "spoke".into(), ..base.clone() },
            FallbackEvent { rtype: "AAAA".into(), ..base.clone() },
            FallbackEvent { reason: FallbackReason::NoZone, ..base.clone() },
        ];
        assert!(others.iter().all(|event| folding.fold(event, Instant::now(), || true) == FoldedRepeats::Line(0)));
        assert!(others.iter().all(|event| folding.fold(event, Instant::now(), || true) == FoldedRepeats::Repeated));
    }

    #[test]
    fn a_line_without_a_place_is_due_again_the_next_time() {
        let (a, now) = (event("hub", "a"), Instant::now());
        let mut folding = RepeatFolding::new(RepeatPolicy::First, 10);
        let said = [false, false, true, true].map(|has_place| folding.fold(&a, now, || has_place));
        assert_eq!(said, [FoldedRepeats::Over, FoldedRepeats::Over, FoldedRepeats::Line(0), FoldedRepeats::Repeated]);
        let mut folding = RepeatFolding::new(RepeatPolicy::Every(Duration::from_secs(5)), 10);
        let said = [(0, true), (1, true), (5, false), (6, true)]
            .map(|(at, has_place)| folding.fold(&a, now + Duration::from_secs(at), || has_place));
        assert_eq!(said, [FoldedRepeats::Line(0), FoldedRepeats::Repeated, FoldedRepeats::Over, FoldedRepeats::Line(1)]);
    }
}
