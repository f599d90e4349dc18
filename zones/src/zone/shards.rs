//! The shards of a zone, in groups. A copy shares the groups, and a change copies the one it touches: a zone of a million names has two
//! thousand shards, whose counts lie all over the memory, and thirty-two groups.

use std::sync::Arc;

use super::shard::Shard;

/// Shards of a group, but for the only group of a zone that has fewer.
const GROUP: usize = 64;

/// All shards of a zone by their number; as many as a power of two.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shards {
    groups: Box<[Arc<[Arc<Shard>]>]>,
    count: usize,
}

impl Shards {
    /// These, in order.
    pub fn new(shards: &[Arc<Shard>]) -> Self {
        Self { groups: shards.chunks(GROUP).map(Arc::from).collect(), count: shards.len() }
    }

    /// How many there are.
    #[inline]
    pub fn len(&self) -> usize {
        self.count
    }

    /// The one of that number.
    #[inline]
    pub fn at(&self, number: usize) -> &Shard {
        &self.groups[number / GROUP][number % GROUP]
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Shard>> {
        self.groups.iter().flat_map(|group| group.iter())
    }

    /// Puts another in its place.
    pub fn replace(&mut self, number: usize, shard: Arc<Shard>) {
        Arc::make_mut(&mut self.groups[number / GROUP])[number % GROUP] = shard;
    }

    /// Takes over what `old` has alike, if it has as many.
    pub fn share_with(&mut self, old: &Self) {
        if self.count != old.count {
            return;
        }
        for (group, old) in self.groups.iter_mut().zip(&old.groups) {
            let is_alike: Vec<bool> = group.iter().zip(&**old).map(|(new, old)| new == old).collect();
            if is_alike.iter().all(|is_alike| *is_alike) {
                *group = old.clone();
            } else if is_alike.contains(&true) {
                let shards = Arc::make_mut(group).iter_mut().zip(&**old).zip(is_alike);
                shards.filter(|(_, is_alike)| *is_alike).for_each(|((new, old), _)| new.clone_from(old));
            }
        }
    }

    /// Those that `other` does not share; all, where it has not as many.
    pub fn not_in<'s>(&'s self, other: &'s Self) -> impl Iterator<Item = &'s Shard> {
        let is_parallel = self.count == other.count;
        let groups = self.groups.iter().enumerate().map(move |(number, group)| (group, is_parallel.then(|| &other.groups[number])));
        let groups = groups.filter(|(group, other)| other.is_none_or(|other| !Arc::ptr_eq(group, other)));
        groups.flat_map(|(group, other)| {
            let shards = group.iter().enumerate();
            shards.filter(move |(place, shard)| other.is_none_or(|other| !Arc::ptr_eq(shard, &other[*place]))).map(|(_, shard)| &**shard)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::ZoneBuilder;
    use super::*;
    use crate::name::WireName;
    use crate::zone::Zone;

    /// A zone of `names` names, of which number `other` has an address of its own.
    fn zone(names: usize, other: usize) -> Zone {
        let mut builder = ZoneBuilder::new(WireName::parse("contoso.test").unwrap());
        for number in 0..names {
            builder.add(&format!("h{number}"), 60, "A", if number == other { "10.0.0.9" } else { "10.0.0.1" }).unwrap();
        }
        builder.finish(1).unwrap().zone
    }

    #[test]
    fn what_is_alike_is_shared_by_groups_and_by_shards() {
        for (names, groups) in [(10, 1), (20_000, 1), (200_000, 8)] {
            let (old, mut new) = (zone(names, names), zone(names, 7));
            assert_eq!(old.shards.groups.len(), groups);
            assert_eq!(new.shards.not_in(&old.shards).count(), new.shards.len(), "nothing is shared yet");
            new.shards.share_with(&old.shards);
            assert_eq!(new.shards.not_in(&old.shards).count(), 1);
            let shared = |(new, old): &(&Arc<[_]>, &Arc<[_]>)| Arc::ptr_eq(new, old);
            assert_eq!(new.shards.groups.iter().zip(&old.shards.groups).filter(shared).count(), groups - 1);
            let number = (0..new.shards.len()).find(|number| new.shards.at(*number) != old.shards.at(*number)).unwrap();
            let mut back = new.shards.clone();
            back.replace(number, old.shards.iter().nth(number).unwrap().clone());
            assert_eq!((&back, new.shards == back), (&old.shards, false), "the copy is another's no more");
        }
        let (small, large) = (zone(10, 10), zone(20_000, 7));
        assert_eq!(large.shards.not_in(&small.shards).count(), large.shards.len());
        let mut kept = large.shards.clone();
        kept.share_with(&small.shards);
        assert_eq!(kept, large.shards);
    }
}
