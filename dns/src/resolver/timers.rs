//! A timer wheel: setting, cancelling and firing cost the same however many timers there are.

use slab::Slab;

use crate::clock::Now;

/// Milliseconds of one slot: how late a timer may fire.
const TICK: u64 = 8;
/// Slots; a timer further away than all of them (32 s) is looked at once a turn.
const SLOTS: usize = 4096;
const WORDS: usize = SLOTS / 64;
const NONE: u32 = u32::MAX;

/// Timers that carry a `T` each.
#[derive(Debug)]
pub struct TimerQueue<T> {
    entries: Slab<Entry<T>>,
    heads: Box<[u32; SLOTS]>,
    /// Bit n: slot n holds a timer.
    occupied: [u64; WORDS],
    /// The tick up to which everything has fired.
    done: u64,
}

/// A timer that was set and has neither fired nor been cancelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimerId(u32);

#[derive(Debug)]
struct Entry<T> {
    what: T,
    tick: u64,
    before: u32,
    after: u32,
}

impl<T: Copy> TimerQueue<T> {
    /// No timers yet.
    pub fn new(now: Now) -> Self {
        Self { entries: Slab::new(), heads: Box::new([NONE; SLOTS]), occupied: [0; WORDS], done: now.0 / TICK }
    }

    /// Sets a timer. It never fires early.
    pub fn set(&mut self, at: Now, what: T) -> TimerId {
        let tick = at.0.div_ceil(TICK).max(self.done + 1);
        let slot = tick as usize % SLOTS;
        let after = self.heads[slot];
        let id = self.entries.insert(Entry { what, tick, before: NONE, after }) as u32;
        if after != NONE {
            self.entries[after as usize].before = id;
        }
        self.heads[slot] = id;
        self.occupied[slot / 64] |= 1 << (slot % 64);
        TimerId(id)
    }

    /// Forgets a timer. Must not be called for one that fired.
    pub fn cancel(&mut self, id: TimerId) {
        let Some(Entry { tick, before, after, .. }) = self.entries.try_remove(id.0 as usize) else { return };
        let slot = tick as usize % SLOTS;
        match before {
            NONE => self.heads[slot] = after,
            before => self.entries[before as usize].after = after,
        }
        if after != NONE {
            self.entries[after as usize].before = before;
        }
        if self.heads[slot] == NONE {
            self.occupied[slot / 64] &= !(1 << (slot % 64));
        }
    }

    /// The moment at which [`TimerQueue::pop`] should be called next: never later than the first timer is due.
    pub fn next(&self) -> Option<Now> {
        if self.entries.is_empty() {
            return None;
        }
        self.next_occupied().map(|tick| Now(tick * TICK))
    }

    /// One timer that is due, if there is one. It is gone by then: its [`TimerId`] must be forgotten.
    pub fn pop(&mut self, now: Now) -> Option<T> {
        let last = now.0 / TICK;
        while let Some(tick) = self.next_occupied().filter(|tick| *tick <= last) {
            self.done = tick - 1;
            let mut at = self.heads[tick as usize % SLOTS];
            while at != NONE {
                let entry = &self.entries[at as usize];
                if entry.tick <= last {
                    let what = entry.what;
                    self.cancel(TimerId(at));
                    return Some(what);
                }
                at = entry.after;
            }
            self.done = tick; // all of a later turn
        }
        self.done = self.done.max(last);
        None
    }

    /// Timers that are set.
    #[cfg(test)]
    fn len(&self) -> usize {
        self.entries.len()
    }

    /// The first tick after `done` whose slot holds a timer; it may be one of a later turn of the wheel.
    fn next_occupied(&self) -> Option<u64> {
        let first = self.done + 1;
        let start = first as usize % SLOTS;
        for step in 0..=WORDS {
            let word = (start / 64 + step) % WORDS;
            let mask = match step {
                0 => u64::MAX << (start % 64),
                WORDS => !(u64::MAX << (start % 64)),
                _ => u64::MAX,
            };
            let bits = self.occupied[word] & mask;
            if bits != 0 {
                let slot = word * 64 + bits.trailing_zeros() as usize;
                return Some(first + ((slot + SLOTS - start) % SLOTS) as u64);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn fires_in_order_and_never_early() {
        let mut timers = TimerQueue::new(Now(1000));
        for at in [1500, 1001, 90_000, 1000, 33_768] {
            timers.set(Now(at), at);
        }
        let mut fired = Vec::new();
        let mut now = Now(1000);
        while let Some(next) = timers.next() {
            assert!(next > now || next.0 <= 1008, "{next:?} after {now:?}");
            now = next;
            while let Some(at) = timers.pop(now) {
                assert!(now.0 >= at && now.0 <= at + TICK, "{at} fired at {now:?}");
                fired.push(at);
            }
        }
        fired[..2].sort_unstable();
        assert_eq!(fired, [1000, 1001, 1500, 33_768, 90_000]);
        assert_eq!(timers.len(), 0);
    }

    #[test]
    fn a_cancelled_timer_stays_silent_and_its_neighbours_fire() {
        let mut timers = TimerQueue::new(Now(0));
        let ids: Vec<TimerId> = (0..5).map(|what| timers.set(Now(100), what)).collect();
        for cancelled in [0, 2, 4] {
            timers.cancel(ids[cancelled]);
        }
        let mut fired: Vec<usize> = std::iter::from_fn(|| timers.pop(Now(200))).collect();
        fired.sort_unstable();
        assert_eq!(fired, [1, 3]);
        assert_eq!(timers.next(), None);
    }

    proptest! {
        #[test]
        fn behaves_like_a_sorted_list(steps in prop::collection::vec((0u8..4, 0u64..100_000), 1..200)) {
            let mut timers = TimerQueue::new(Now(5));
            let mut model: Vec<(u64, usize, TimerId)> = Vec::new();
            let mut now = 5u64;
            for (number, (kind, value)) in steps.into_iter().enumerate() {
                match kind {
                    0 | 1 => {
                        let at = (now + value).saturating_sub(50);
                        let id = timers.set(Now(at), number);
                        model.push((at, number, id));
                    }
                    2 if !model.is_empty() => {
                        let (_, _, id) = model.swap_remove(value as usize % model.len());
                        timers.cancel(id);
                    }
                    _ => {
                        now += value;
                        let fired: Vec<usize> = std::iter::from_fn(|| timers.pop(Now(now))).collect();
                        for number in &fired {
                            let place = model.iter().position(|(at, other, _)| other == number && *at <= now);
                            prop_assert!(place.is_some(), "fired early or twice");
                            model.swap_remove(place.unwrap());
                        }
                        // What is left is due in the future, or less than a tick ago.
                        prop_assert!(model.iter().all(|(at, _, _)| *at + 2 * TICK > now));
                    }
                }
                prop_assert_eq!(timers.len(), model.len());
                if let Some(first) = model.iter().map(|(at, _, _)| *at).min() {
                    prop_assert!(timers.next().unwrap().0 <= first.max(now) + 2 * TICK);
                }
            }
        }
    }
}
