//! Fallbacks that were taken down a moment ago, counted where they are seen again.
//!
//! Where repetitions are folded, the writer words a fallback once in ten seconds, or when a line is due: it opens a counter for it, workers
//! count up, and each second the writer takes the count into ledger, metrics and the folded line. So a client that asks for one missing
//! name thousands of times a second costs a worker one compare-and-swap each time, and the writer nothing.

use std::hash::BuildHasher;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Counters by the tag of the fallback: 40 bits of the tag, then 24 of the count, in one word that is swapped whole. No count is lost.
#[derive(Debug)]
pub(super) struct Again {
    words: Box<[AtomicU64]>,
    hasher: foldhash::quality::RandomState,
    folds: AtomicBool,
}

impl Again {
    const WORDS: usize = 1 << 14; // 128 KiB; fallbacks that find no free word are taken down each time
    const COUNT: u64 = (1 << 24) - 1;

    pub fn new(folds: bool) -> Self {
        Self { words: (0..Self::WORDS).map(|_| AtomicU64::new(0)).collect(), hasher: Default::default(), folds: folds.into() }
    }

    /// Whether repetitions are folded at all, from now on.
    pub fn fold(&self, folds: bool) {
        self.folds.store(folds, Ordering::Relaxed);
    }

    /// The tag of a fallback, by what makes two the same; none where every one is to be written.
    pub fn tag(&self, fallback: impl std::hash::Hash) -> Option<u64> {
        let folds = self.folds.load(Ordering::Relaxed);
        folds.then(|| self.hasher.hash_one(fallback) | 1 << 24) // never 0
    }

    /// Counts a repetition; false where it must be taken down.
    #[inline]
    pub fn count(&self, tag: u64) -> bool {
        let word = self.word(tag);
        let mut known = word.load(Ordering::Relaxed);
        while known & !Self::COUNT == tag & !Self::COUNT && known & Self::COUNT < Self::COUNT {
            match word.compare_exchange_weak(known, known + 1, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(now) => known = now,
            }
        }
        false
    }

    /// Opens the counter of a fallback that was just taken down; false where another has it.
    pub fn open(&self, tag: u64) -> bool {
        self.word(tag).compare_exchange(0, tag & !Self::COUNT, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// Takes the count out of a counter that stays open.
    pub fn harvest(&self, tag: u64) -> u64 {
        self.word(tag).fetch_and(!Self::COUNT, Ordering::Relaxed) & Self::COUNT
    }

    /// Closes a counter that was opened; gives its count.
    pub fn close(&self, tag: u64) -> u64 {
        self.word(tag).swap(0, Ordering::Relaxed) & Self::COUNT
    }

    fn word(&self, tag: u64) -> &AtomicU64 {
        &self.words[tag as usize % Self::WORDS]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_open_counters_count_and_none_loses_anything() {
        let again = Again::new(true);
        let (one, other) = (again.tag("one").unwrap(), again.tag("other").unwrap());
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
        let again = Again::new(true);
        let tag = again.tag(1).unwrap();
        again.open(tag);
        again.words[tag as usize % Again::WORDS].fetch_add(Again::COUNT, Ordering::Relaxed);
        assert!(!again.count(tag));
        assert_eq!(again.close(tag), Again::COUNT);
    }

    #[test]
    fn where_nothing_is_folded_there_are_no_tags() {
        let again = Again::new(false);
        assert_eq!(again.tag("one"), None);
        again.fold(true);
        assert!(again.tag("one").is_some_and(|tag| tag != 0));
    }
}
