//! A bounded table that forgets what was not touched for the longest time.

use std::collections::HashMap;

/// Values by text. When there are more than the bound, those that were not touched for the longest time go: a sixteenth of the bound at
/// once, so that a touch is one lookup and keeps nothing in order.
#[derive(Debug)]
pub(super) struct LruTable<V> {
    bound: usize,
    values: HashMap<Box<str>, Touched<V>, foldhash::quality::RandomState>,
    turn: u64,
}

#[derive(Debug)]
struct Touched<V> {
    turn: u64,
    value: V,
}

impl<V> LruTable<V> {
    /// An empty one for so many, at least one.
    pub fn new(bound: usize) -> Self {
        Self { bound: bound.max(1), values: HashMap::default(), turn: 0 }
    }

    /// Another bound.
    pub fn bound(&mut self, bound: usize) {
        self.bound = bound.max(1);
        self.forget();
    }

    /// The value of a key, touched.
    pub fn touch(&mut self, key: &str) -> Option<&mut V> {
        let touched = self.values.get_mut(key)?;
        self.turn += 1;
        touched.turn = self.turn;
        Some(&mut touched.value)
    }

    /// The value of a key, as far back as it was.
    pub fn get_mut(&mut self, key: &str) -> Option<&mut V> {
        self.values.get_mut(key).map(|touched| &mut touched.value)
    }

    /// A value for a key, touched.
    pub fn insert(&mut self, key: &str, value: V) {
        self.turn += 1;
        self.values.insert(key.into(), Touched { turn: self.turn, value });
        self.forget();
    }

    /// Every value with the turn at which it was touched, the last one first.
    pub fn list(&self) -> Vec<(u64, &V)> {
        let mut list: Vec<(u64, &V)> = self.values.values().map(|touched| (touched.turn, &touched.value)).collect();
        list.sort_unstable_by_key(|(turn, _)| std::cmp::Reverse(*turn));
        list
    }

    fn forget(&mut self) {
        let Some(excess) = self.values.len().checked_sub(self.bound).filter(|excess| *excess > 0) else { return };
        let mut turns: Vec<u64> = self.values.values().map(|touched| touched.turn).collect();
        let last = (excess + self.bound / 16).min(turns.len()) - 1;
        let (_, last, _) = turns.select_nth_unstable(last);
        self.values.retain(|_, touched| touched.turn > *last);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(recent: &LruTable<usize>) -> Vec<usize> {
        recent.list().iter().map(|(_, value)| **value).collect()
    }

    #[test]
    fn what_was_not_touched_for_the_longest_time_goes() {
        let mut recent = LruTable::new(3);
        (0..3).for_each(|number| recent.insert(&number.to_string(), number));
        assert!(recent.touch("0") == Some(&mut 0) && recent.touch("9").is_none());
        recent.get_mut("1");
        recent.insert("3", 3);
        assert_eq!(keys(&recent), [3, 0, 2]);
        recent.bound(1);
        assert_eq!(keys(&recent), [3]);
        recent.bound(0);
        recent.insert("4", 4);
        assert_eq!(keys(&recent), [4]);
    }

    #[test]
    fn it_never_holds_more_than_its_bound_and_forgets_a_part_at_a_time() {
        let mut recent = LruTable::new(160);
        let mut least = usize::MAX;
        for number in 0..1000 {
            recent.insert(&number.to_string(), number);
            let kept = keys(&recent);
            assert!(kept.len() <= 160 && kept.iter().rev().is_sorted());
            least = if number >= 160 { least.min(kept.len()) } else { least };
        }
        assert_eq!(least, 150);
        assert_eq!(keys(&recent)[..3], [999, 998, 997]);
    }
}
