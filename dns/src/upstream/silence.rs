//! Domains for which an upstream is silent, learned from the questions that it leaves unanswered.
//!
//! A forwarder does not know zone cuts. It sees that many names below one suffix are silent, and that no name below it is answered. Each
//! silent question counts at all suffixes of its name, as one bit for the child that it lies in. So a flood of random names counts at the
//! domain that they share, and only once at the domains above it. A response for any name clears the suffixes of that name. A suffix with
//! many silent children and no response since is a silent domain, until a response comes or nobody asks for a while.
//!
//! A query type is treated as a suffix as well, whose children are domains.

use std::collections::HashMap;
use std::time::Duration;

use crate::clock::Now;

/// Bits of 64 that make a silent domain: about 30 different children. A domain of fewer names cannot take much room.
const SILENT_BITS: u32 = 24;
/// Bits from which on responses are looked at. Below, an upstream with a few dead names costs nothing.
const WATCHED_BITS: u32 = 8;
/// Most suffixes that are remembered for an upstream.
const MOST: usize = 1024;
/// Most questions of an upstream that are remembered as answered.
const ANSWERED: usize = 4096;
/// A suffix with a response this recently is not silent, whatever else is below it.
const ALIVE: Duration = Duration::from_secs(1);
/// A suffix without a silent question for this long is forgotten.
const FORGOTTEN: Duration = Duration::from_secs(30);

/// Silent names of one upstream, by suffix.
#[derive(Debug, Default)]
pub struct SilentDomains {
    by_hash: HashMap<u64, SilentDomain, foldhash::fast::RandomState>, // the keys are keyed hashes already
    /// Number of those with `WATCHED_BITS`.
    watched: usize,
    /// Parts of the hashes of questions that were answered, each at a place that its hash gives. Empty until the first one.
    answered: Vec<u32>,
}

#[derive(Debug)]
struct SilentDomain {
    /// A bit for each silent child since the last response.
    children: u64,
    /// Questions outstanding that were let through since it is silent.
    outstanding: u32,
    last: Now,
    responded: Now,
}

impl SilentDomain {
    fn is_watched(&self) -> bool {
        self.children.count_ones() >= WATCHED_BITS
    }

    fn is_silent(&self, now: Now) -> bool {
        self.children.count_ones() >= SILENT_BITS
            && now.since(self.last) < FORGOTTEN.as_millis() as u64
            && now.since(self.responded) >= ALIVE.as_millis() as u64
    }
}

impl SilentDomains {
    /// The question with this hash was answered.
    pub fn answered(&mut self, question: u64) {
        if self.answered.is_empty() {
            self.answered.resize(ANSWERED, 0);
        }
        self.answered[question as usize % ANSWERED] = (question >> 32) as u32;
    }

    /// Returns true if the question with this hash was answered, and no other one has its place since.
    pub fn has_answered(&self, question: u64) -> bool {
        self.answered.get(question as usize % ANSWERED) == Some(&((question >> 32) as u32))
    }

    /// Returns true if a domain may be silent: only then the other functions are of use.
    pub fn is_watching(&self) -> bool {
        self.watched > 0
    }

    /// A question was silent. It lies below these suffixes, each given with its child on the way to the name, as hashes.
    pub fn silent(&mut self, now: Now, suffixes: &[(u64, u64)]) {
        for (suffix, child) in suffixes {
            if self.by_hash.len() >= MOST && !self.by_hash.contains_key(suffix) {
                self.forget(now);
                if self.by_hash.len() >= MOST {
                    continue;
                }
            }
            let domain = self.by_hash.entry(*suffix).or_insert(SilentDomain { children: 0, outstanding: 0, last: now, responded: Now(0) });
            let was_watched = domain.is_watched();
            if now.since(domain.last) >= FORGOTTEN.as_millis() as u64 {
                domain.children = 0;
            }
            domain.children |= 1 << (child % 64);
            domain.last = now;
            self.watched = self.watched + usize::from(domain.is_watched()) - usize::from(was_watched);
        }
    }

    /// A response came for a name below these suffixes.
    pub fn responded(&mut self, now: Now, suffixes: &[(u64, u64)]) {
        for (suffix, _) in suffixes {
            if let Some(domain) = self.by_hash.get_mut(suffix) {
                self.watched -= usize::from(domain.is_watched());
                (domain.children, domain.responded) = (0, now);
            }
        }
    }

    /// Returns the silent domain among these suffixes that has the most questions outstanding, with their number.
    pub fn find(&mut self, now: Now, suffixes: &[(u64, u64)]) -> Option<(u64, u32)> {
        let known = suffixes.iter().filter_map(|(suffix, _)| Some((*suffix, self.by_hash.get(suffix)?)));
        let found = known.filter(|(_, domain)| domain.is_silent(now)).map(|(suffix, domain)| (suffix, domain.outstanding));
        found.max_by_key(|(_, outstanding)| *outstanding)
    }

    /// A question below a silent domain is sent.
    pub fn take(&mut self, suffix: u64) {
        if let Some(domain) = self.by_hash.get_mut(&suffix) {
            domain.outstanding += 1;
        }
    }

    /// Such a question is over.
    pub fn give_back(&mut self, suffix: u64) {
        if let Some(domain) = self.by_hash.get_mut(&suffix) {
            domain.outstanding = domain.outstanding.saturating_sub(1);
        }
    }

    /// Forgets what is old, and suffixes with few silent children: random names make many of these.
    fn forget(&mut self, now: Now) {
        let is_old = |domain: &SilentDomain| now.since(domain.last) >= FORGOTTEN.as_millis() as u64;
        self.by_hash.retain(|_, domain| domain.outstanding > 0 || (domain.is_watched() && !is_old(domain)));
        self.watched = self.by_hash.values().filter(|domain| domain.is_watched()).count();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The suffixes of `child.domain`, below the root's child 1.
    fn under(domain: u64, child: u64) -> [(u64, u64); 2] {
        [(1, domain), (domain, child)]
    }

    #[test]
    fn random_names_of_one_domain_make_this_domain_silent_and_no_other() {
        let mut domains = SilentDomains::default();
        for child in 0..200 {
            domains.silent(Now(1000 + child), &under(77, child));
        }
        assert!(domains.is_watching());
        assert_eq!(domains.find(Now(2000), &under(77, 999)), Some((77, 0)));
        assert_eq!(domains.find(Now(2000), &under(78, 999)), None, "its neighbors are not");
        domains.take(77);
        assert_eq!(domains.find(Now(2000), &under(77, 999)), Some((77, 1)));
        domains.give_back(77);
        domains.responded(Now(2000), &under(77, 5));
        assert_eq!((domains.find(Now(2000), &under(77, 999)), domains.is_watching()), (None, false));
        (0..200).for_each(|child| domains.silent(Now(2001), &under(77, child)));
        assert_eq!(domains.find(Now(2500), &under(77, 999)), None, "a name below it was answered a moment ago");
        assert!(domains.find(Now(3001), &under(77, 999)).is_some());
    }

    #[test]
    fn a_few_silent_names_asked_again_and_again_make_no_silent_domain() {
        let mut domains = SilentDomains::default();
        for time in 0..1000 {
            domains.silent(Now(time), &under(77, time % 7));
        }
        assert_eq!((domains.find(Now(1000), &under(77, 1)), domains.is_watching()), (None, false));
    }

    #[test]
    fn a_silent_domain_is_forgotten_when_nobody_asks() {
        let mut domains = SilentDomains::default();
        (0..200).for_each(|child| domains.silent(Now(1000), &under(77, child)));
        assert!(domains.find(Now(30_000), &under(77, 1)).is_some());
        assert!(domains.find(Now(31_001), &under(77, 1)).is_none());
        domains.silent(Now(40_000), &under(77, 1));
        assert!(!domains.is_watching());
    }

    #[test]
    fn memory_is_bounded_and_a_silent_domain_is_kept_among_random_ones() {
        let mut domains = SilentDomains::default();
        for number in 0..100_000 {
            domains.silent(Now(1000 + number / 10), &[(1, 77), (77, number), (number + 1000, 5)]);
            assert!(domains.by_hash.len() <= MOST);
        }
        assert!(domains.find(Now(11_000), &under(77, 1)).is_some());
    }
}
