//! Answers that this worker gave a moment ago, for questions that come again octet for octet.
//!
//! A question that differs from an earlier one in ID and letter case alone, from a client of the same network, gets the same answer as
//! long as the state is the same and no TTL in it has counted down a second. So it is copied: one hash, one comparison, one copy, whatever
//! the path had to do the first time. The next state voids everything (private data is always that of the moment: S5), so does whoever makes the
//! cache forget, each second of a TTL voids the answer that shows it, and nothing is shared between workers, so there is no lock.
//!
//! ```text
//! tags    sets of eight, one a slot: the upper half of the hash, in a few cache lines
//! slot    hash u64 · until u64 · sighting u64 · epoch u32 · key u8 · kind u8 · answer u16 · key · answer
//! key     the question without its ID, its name in lower case, and what the client sees
//! answer  the header without its ID, and everything behind the question
//! ```
//! A batch is looked up in two rounds: [`PacketCache::look`] for each question, then [`PacketCache::answer`] for each. What the first
//! round touches comes from memory while it goes on to the next question.

use std::hash::{BuildHasher, Hasher};

use postern_sockets::{LARGE_PAGE, want_large_pages};

use crate::clock::Now;
use crate::counters::AnswerClass;
use crate::wire::HEADER;

/// Slots: as many different questions as a busy site asks in a second, and half as many again, so that few sets are full. 9 MiB, resident
/// once they are used.
const SLOTS: usize = 3 << 13;
/// Slots that a hash may choose among.
const WAYS: usize = 8;
/// Octets of a slot: a question of 80 and an answer with an alias and an address, or with an SOA, fit.
const SLOT: usize = 384;
/// Octets of a slot before the key.
const HEAD: usize = 32;
/// Longest key: a name of 100 octets and an OPT record without options.
const KEY: usize = 128;

/// One worker's recent answers.
pub struct PacketCache {
    tags: Box<[u32]>,
    /// Slots, the first of which starts at a large page: `first`. To find a slot's page among small ones took longer than to read the slot.
    octets: Box<[u8]>,
    first: usize,
    hasher: foldhash::fast::RandomState, // whoever finds two names of one hash makes us walk, no more
    looks: Box<[Look]>,
    epoch: u32,
    /// Way that gives place next where all are taken.
    turn: usize,
}

/// Result of the first round for a question.
#[derive(Clone)]
struct Look {
    hash: u64,
    slot: Option<u32>,
    /// Octets of the key; 0: not one that is kept.
    key: usize,
    /// Octets of header and question.
    end: usize,
    octets: [u8; KEY],
}

/// How long an answer may be given again, and what is to be done each time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReusableAnswer {
    /// Until then nothing in it changes, but for another state.
    pub until: Now,
    /// The tag of the fallback to be counted; 0: none.
    pub sighting: u64,
    /// As what the answer is counted.
    pub kind: AnswerClass,
}

impl PacketCache {
    /// An empty one for batches of at most `batch` questions.
    pub fn new(batch: usize) -> Self {
        let whole = (SLOTS * SLOT).next_multiple_of(LARGE_PAGE);
        let mut octets = vec![0; whole + LARGE_PAGE].into_boxed_slice();
        let first = octets.as_ptr().align_offset(LARGE_PAGE).min(LARGE_PAGE);
        want_large_pages(&mut octets);
        let look = Look { hash: 0, slot: None, key: 0, end: 0, octets: [0; KEY] };
        Self {
            tags: vec![0; SLOTS].into_boxed_slice(),
            octets,
            first,
            hasher: Default::default(),
            looks: vec![look; batch].into_boxed_slice(),
            epoch: 1,
            turn: 0,
        }
    }

    /// Another state: nothing that was kept is given again.
    pub fn void(&mut self) {
        self.epoch = self.epoch.wrapping_add(1);
        if self.epoch == 0 {
            self.tags.fill(0); // four thousand million states ago a slot may have had any epoch
            self.epoch = 1;
        }
    }

    /// First round: looks where the answer to the question in `message` would be. `sees`: all that an answer depends on beside the
    /// question and the state.
    #[inline]
    pub fn look(&mut self, index: usize, message: &[u8], sees: u64) {
        let look = &mut self.looks[index];
        look.slot = None;
        look.key = 0;
        let Some(end) = end_of_question(message) else { return };
        let key = message.len() - 2 + 8;
        if key > KEY {
            return;
        }
        look.octets[..8].copy_from_slice(&sees.to_le_bytes());
        look.octets[8..key].copy_from_slice(&message[2..]);
        look.octets[8 + HEADER - 2..8 + end - 6].make_ascii_lowercase(); // the name's; octets of length are below the letters
        let mut hasher = self.hasher.build_hasher();
        hasher.write(&look.octets[..key]);
        (look.hash, look.key, look.end) = (hasher.finish(), key, end);
        let set = set_of(look.hash);
        let tag = tag_of(look.hash);
        let Some(way) = self.tags[set..set + WAYS].iter().position(|known| *known == tag) else { return };
        let slot = set + way;
        look.slot = Some(slot as u32);
        let start = self.first + slot * SLOT;
        postern_sockets::prefetch(&self.octets[start..start + SLOT]);
    }

    /// Second round: writes the answer behind the question in `packet`, if it is known and `note` could count its fallback; gives its
    /// length and kind.
    #[inline]
    pub fn answer(&self, index: usize, packet: &mut [u8], now: Now, note: impl FnOnce(u64) -> bool) -> Option<(usize, AnswerClass)> {
        let look = &self.looks[index];
        let start = self.first + look.slot? as usize * SLOT;
        let slot = &self.octets[start..start + SLOT];
        let number = |at: usize| slot[at..at + 8].first_chunk().map_or(0, |octets| u64::from_le_bytes(*octets));
        let (lengths, until) = (number(24), number(8));
        let (epoch, key, answer) = (lengths as u32, (lengths >> 32) as u8 as usize, (lengths >> 48) as usize);
        if number(0) != look.hash || epoch != self.epoch || until <= now.0 || key != look.key {
            return None;
        }
        let (known, rest) = slot[HEAD..].split_at_checked(key)?;
        if known != &look.octets[..key] {
            return None;
        }
        let (head, tail) = rest.get(..answer)?.split_at_checked(HEADER - 2)?;
        let length = look.end + tail.len();
        if length > packet.len() || !note(number(16)) {
            return None;
        }
        packet[2..HEADER].copy_from_slice(head);
        packet[look.end..length].copy_from_slice(tail);
        Some((length, AnswerClass::from_octet((lengths >> 40) as u8)))
    }

    /// Keeps the answer in `answer` to the question that was looked for at `index`.
    pub fn keep(&mut self, index: usize, answer: &[u8], reusable: ReusableAnswer) {
        let look = &self.looks[index];
        let Some(tail) = answer.get(look.end..).filter(|_| look.key > 0) else { return };
        let octets = HEADER - 2 + tail.len();
        if HEAD + look.key + octets > SLOT {
            return;
        }
        let set = set_of(look.hash);
        let tag = tag_of(look.hash);
        let tags = &mut self.tags[set..set + WAYS];
        let free = || tags.iter().position(|known| *known == 0);
        let way = tags.iter().position(|known| *known == tag).or_else(free).unwrap_or_else(|| {
            self.turn = (self.turn + 1) % WAYS;
            self.turn
        });
        tags[way] = tag;
        let start = self.first + (set + way) * SLOT;
        let slot = &mut self.octets[start..start + SLOT];
        let kind = u64::from(reusable.kind.octet());
        let lengths = u64::from(self.epoch) | (look.key as u64) << 32 | kind << 40 | (octets as u64) << 48;
        for (at, number) in [(0, look.hash), (8, reusable.until.0), (16, reusable.sighting), (24, lengths)] {
            slot[at..at + 8].copy_from_slice(&number.to_le_bytes());
        }
        let (key, rest) = slot[HEAD..].split_at_mut(look.key);
        key.copy_from_slice(&look.octets[..look.key]);
        rest[..HEADER - 2].copy_from_slice(&answer[2..HEADER]);
        rest[HEADER - 2..octets].copy_from_slice(tail);
    }
}

/// Octets of header and question, where the message has both. What it asks is not looked at: only what was answered once is found.
#[inline]
fn end_of_question(message: &[u8]) -> Option<usize> {
    let mut at = HEADER;
    loop {
        match usize::from(*message.get(at)?) {
            0 => break,
            length @ 1..=63 => at += 1 + length,
            _ => return None,
        }
    }
    (at + 5 <= message.len()).then_some(at + 5)
}

#[inline]
fn set_of(hash: u64) -> usize {
    hash as usize % (SLOTS / WAYS) * WAYS
}

/// Never 0, which is an empty slot.
#[inline]
fn tag_of(hash: u64) -> u32 {
    (hash >> 32) as u32 | 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::counters::AnswerSource;

    fn until(until: u64, sighting: u64) -> ReusableAnswer {
        ReusableAnswer { until: Now(until), sighting, kind: AnswerClass::new(1, AnswerSource::Private) }
    }

    fn forever() -> ReusableAnswer {
        until(u64::MAX, 0)
    }

    /// A question with this ID for `name` and `rtype`.
    fn question(id: u16, name: &str, rtype: u16) -> Vec<u8> {
        let mut message = [&id.to_be_bytes()[..], &[1, 0, 0, 1, 0, 0, 0, 0, 0, 0]].concat();
        for label in name.split('.') {
            message.push(label.len() as u8);
            message.extend_from_slice(label.as_bytes());
        }
        message.push(0);
        message.extend_from_slice(&rtype.to_be_bytes());
        message.extend_from_slice(&[0, 1]);
        message
    }

    /// The question answered with `tail`.
    fn answered(question: &[u8], tail: &[u8]) -> Vec<u8> {
        let mut answer = [question, tail].concat();
        (answer[2], answer[7]) = (0x85, 1);
        answer
    }

    /// What a cache gives for a question, in a buffer with room, and the fallback it counted.
    fn asked(cache: &mut PacketCache, question: &[u8], sees: u64, now: u64) -> Option<(Vec<u8>, u64)> {
        let mut packet = question.to_vec();
        packet.resize(512, 0xee);
        cache.look(0, question, sees);
        let mut counted = 0;
        let note = |sighting| {
            counted = sighting;
            true
        };
        let (length, kind) = cache.answer(0, &mut packet, Now(now), note)?;
        assert_eq!(kind, forever().kind);
        packet.truncate(length);
        Some((packet, counted))
    }

    #[test]
    fn id_and_letter_case_of_the_question_stay_its_own() {
        let mut cache = PacketCache::new(4);
        let first = question(7, "www.contoso.test", 1);
        assert_eq!(asked(&mut cache, &first, 0, 5), None);
        cache.keep(0, &answered(&first, b"tail"), until(u64::MAX, 9));
        let again = question(8, "wWw.CONTOSO.test", 1);
        assert_eq!(asked(&mut cache, &again, 0, 5), Some((answered(&again, b"tail"), 9)));
    }

    #[test]
    fn every_other_difference_is_another_question() {
        let mut cache = PacketCache::new(1);
        let first = question(7, "www.contoso.test", 65);
        cache.look(0, &first, 3);
        cache.keep(0, &answered(&first, b"tail"), forever());
        let with = |change: &dyn Fn(&mut Vec<u8>)| {
            let mut changed = first.clone();
            change(&mut changed);
            changed
        };
        for (what, other, sees) in [
            ("network", first.clone(), 4),
            ("type", question(7, "www.contoso.test", 97), 3), // 65 is `A`, 97 is `a`
            ("name", question(7, "wwx.contoso.test", 65), 3),
            ("labels", question(7, "www3contoso.test", 65), 3),
            ("RD", with(&|message| message[2] ^= 1), 3),
            ("CD", with(&|message| message[3] ^= 0x10), 3),
            ("OPT", with(&|message| message.extend_from_slice(&[0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0])), 3),
            ("cut", first[..first.len() - 1].to_vec(), 3),
            ("response", with(&|message| message[2] |= 0x80), 3),
        ] {
            assert_eq!(asked(&mut cache, &other, sees, 0), None, "{what}");
        }
        assert!(asked(&mut cache, &first, 3, 0).is_some());
    }

    #[test]
    fn an_answer_ends_with_its_time_and_with_the_state() {
        let mut cache = PacketCache::new(1);
        let first = question(7, "www.contoso.test", 1);
        cache.look(0, &first, 0);
        cache.keep(0, &answered(&first, b"tail"), until(1000, 0));
        assert!(asked(&mut cache, &first, 0, 999).is_some());
        assert!(asked(&mut cache, &first, 0, 1000).is_none());
        cache.keep(0, &answered(&first, b"new"), forever());
        assert_eq!(asked(&mut cache, &first, 0, 1000).unwrap().0, answered(&first, b"new"));
        cache.void();
        assert!(asked(&mut cache, &first, 0, 1000).is_none());
    }

    #[test]
    fn a_fallback_that_cannot_be_counted_leaves_the_question_as_it_was() {
        let mut cache = PacketCache::new(1);
        let first = question(7, "www.contoso.test", 1);
        cache.look(0, &first, 0);
        cache.keep(0, &answered(&first, b"tail"), forever());
        let mut packet = first.clone();
        packet.resize(512, 0xee);
        let before = packet.clone();
        cache.look(0, &first, 0);
        assert_eq!(cache.answer(0, &mut packet, Now(0), |_| false), None);
        assert_eq!(packet, before);
    }

    #[test]
    fn what_is_too_long_is_not_kept() {
        let mut cache = PacketCache::new(1);
        for (name, tail) in [("a".repeat(60) + "." + &"b".repeat(60), 4), ("short.test".into(), 400)] {
            let long = question(7, &name, 1);
            cache.look(0, &long, 0);
            cache.keep(0, &answered(&long, &vec![1; tail]), forever());
            assert!(asked(&mut cache, &long, 0, 0).is_none());
        }
    }

    #[test]
    fn among_more_questions_than_it_holds_every_answer_is_the_right_one() {
        let mut cache = PacketCache::new(1);
        let mut found = 0;
        for round in 0..3 {
            for number in 0..2 * SLOTS {
                let message = question(round, &format!("n{number}.contoso.test"), 1);
                let right = answered(&message, &(number as u32).to_be_bytes());
                match asked(&mut cache, &message, 0, 0) {
                    Some((given, _)) => {
                        found += 1;
                        assert_eq!(given, right);
                    }
                    None => cache.keep(0, &right, forever()),
                }
            }
        }
        assert!(found > 0);
        // A repetition right away is found, full as it is.
        let message = question(1, "again.contoso.test", 1);
        cache.look(0, &message, 0);
        cache.keep(0, &answered(&message, b"x"), forever());
        assert!(asked(&mut cache, &message, 0, 0).is_some());
    }

    #[test]
    fn damaged_messages_are_never_found() {
        let mut cache = PacketCache::new(1);
        for message in [&b""[..], &[0; 11], &[0; 12], &[0; 16], b"\0\0\0\0\0\0\0\0\0\0\0\0\xc0\x0c\0\x01\0\x01", &[0xff; 60]] {
            cache.look(0, message, 0);
            cache.keep(0, message, forever());
            assert!(asked(&mut cache, message, 0, 0).is_none(), "{message:?}");
        }
    }
}
