//! Fallbacks that were taken down a moment ago, counted where they are seen again.
//!
//! Where repetitions are folded, the writer words a fallback once in ten seconds, or when a line is due: it opens a counter for it, workers
//! count up, and each second the writer takes the count into ledger, metrics and the folded line. Where they are not (`repeat = "all"`), it
//! opens one for a second once the rates have no place for a line. So a client that asks for one missing name thousands of times a second
//! costs a worker one compare-and-swap each time, and the writer nothing.

use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counters by the tag of the fallback: 40 bits of the tag, then 24 of the count, in one word that is swapped whole. No count is lost.
///
/// A tag may stand in any word of its set, which is half a cache line: with one place for each, nearly half of 10,000 names that are
/// missed all the time would meet another in theirs, and be worded each time.
#[derive(Debug)]
pub(super) struct RepeatCounters {
    sets: Box<[Set]>,
    hasher: foldhash::quality::RandomState,
}

impl RepeatCounters {
    const SETS: usize = 1 << 12; // 128 KiB; fallbacks that find no free word are taken down each time
    const WAYS: usize = 4;
    const COUNT: u64 = (1 << 24) - 1;

    pub fn new() -> Self {
        Self { sets: (0..Self::SETS).map(|_| Set::default()).collect(), hasher: Default::default() }
    }

    /// Hash of what makes two fallbacks equal.
    pub fn tag(&self, fallback: impl std::hash::Hash) -> u64 {
        self.hasher.hash_one(fallback) | 1 << 24 // never 0
    }

    /// Counts a repetition; false where it must be taken down.
    #[inline]
    pub fn count(&self, tag: u64) -> bool {
        for word in self.set(tag) {
            let mut known = word.load(Ordering::Relaxed);
            while Self::is_of(known, tag) && known & Self::COUNT < Self::COUNT {
                match word.compare_exchange_weak(known, known + 1, Ordering::Relaxed, Ordering::Relaxed) {
                    Ok(_) => return true,
                    Err(now) => known = now,
                }
            }
        }
        false
    }

    /// Opens the counter of a fallback that was just taken down; false where it is open, or others have all places of it. Only the writer
    /// opens and closes.
    pub fn open(&self, tag: u64) -> bool {
        let is_free = |word: &AtomicU64| word.compare_exchange(0, tag & !Self::COUNT, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        self.word(tag).is_none() && self.set(tag).iter().any(is_free)
    }

    /// Takes the count out of a counter that stays open.
    pub fn harvest(&self, tag: u64) -> u64 {
        self.word(tag).map_or(0, |word| word.fetch_and(!Self::COUNT, Ordering::Relaxed) & Self::COUNT)
    }

    /// Closes a counter that was opened; gives its count.
    pub fn close(&self, tag: u64) -> u64 {
        self.word(tag).map_or(0, |word| word.swap(0, Ordering::Relaxed) & Self::COUNT)
    }

    /// The word in which a tag stands.
    fn word(&self, tag: u64) -> Option<&AtomicU64> {
        self.set(tag).iter().find(|word| Self::is_of(word.load(Ordering::Relaxed), tag))
    }

    fn set(&self, tag: u64) -> &[AtomicU64; Self::WAYS] {
        &self.sets[tag as usize % Self::SETS].0
    }

    fn is_of(word: u64, tag: u64) -> bool {
        word & !Self::COUNT == tag & !Self::COUNT
    }
}

/// The places of one tag.
#[derive(Debug, Default)]
#[repr(align(32))]
struct Set([AtomicU64; RepeatCounters::WAYS]);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_open_counters_count_and_none_loses_anything() {
        let again = RepeatCounters::new();
        let (one, other) = (again.tag("one"), again.tag("other"));
        assert!(!again.count(one));
        assert!(again.open(one) && !again.open(one));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..1000).for_each(|_| assert!(again.count(one))));
            }
        });
        assert!(!again.count(other));
        assert_eq!((again.harvest(one), again.harvest(one)), (4000, 0));
        (0..3).for_each(|_| assert!(again.count(one)));
        assert_eq!((again.close(one), again.count(one)), (3, false));
    }

    #[test]
    fn a_full_counter_counts_no_more() {
        let again = RepeatCounters::new();
        let tag = again.tag(1);
        again.open(tag);
        again.word(tag).unwrap().fetch_add(RepeatCounters::COUNT, Ordering::Relaxed);
        assert!(!again.count(tag));
        assert_eq!(again.close(tag), RepeatCounters::COUNT);
    }

    #[test]
    fn a_set_has_places_for_four() {
        let again = RepeatCounters::new();
        let tags: Vec<u64> = (1..=5).map(|number| number << 24 | 7).collect();
        assert_eq!(tags.iter().map(|tag| again.open(*tag)).collect::<Vec<_>>(), [true, true, true, true, false]);
        (1..=4).for_each(|times| (0..times).for_each(|_| assert!(again.count(tags[times - 1]))));
        assert!(!again.count(tags[4]));
        assert_eq!((again.close(tags[1]), again.open(tags[4]), again.count(tags[4])), (2, true, true));
        assert_eq!(tags.iter().map(|tag| again.close(*tag)).collect::<Vec<_>>(), [1, 0, 3, 4, 1]);
    }
}
