//! Differences between two versions of a zone: names that were added, changed and removed.

use std::fmt;

use crate::name::NameBuf;
use crate::text::rdata::type_name;
use crate::zone::Zone;

/// Names kept of one difference; the rest is counted.
const MAX_NAMES: usize = 20;

/// RRsets that one zone has and another has not, or has otherwise. The SOA counts where more than its serial differs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Difference {
    /// RRsets that are new.
    pub added: usize,
    /// RRsets that are otherwise.
    pub changed: usize,
    /// RRsets that are gone.
    pub removed: usize,
    /// The first of them: `+ name TYPE`, `~ name TYPE`, `- name TYPE`.
    pub names: Vec<String>,
}

impl Difference {
    /// From `old` to `new`, zones of one apex. Shards that both share are not looked into.
    pub fn between(old: &Zone, new: &Zone) -> Self {
        let mut difference = Self::default();
        for (owner, set) in old.records_not_in(new) {
            match new.at(&owner).find(|found| found.rtype == set.rtype) {
                Some(found) if set.same_data(&found) => {}
                Some(_) => difference.note('~', &owner, set.rtype),
                None => difference.note('-', &owner, set.rtype),
            }
        }
        for (owner, set) in new.records_not_in(old) {
            if !old.at(&owner).any(|found| found.rtype == set.rtype) {
                difference.note('+', &owner, set.rtype);
            }
        }
        difference
    }

    /// Names that have records in `old` and none in `new`.
    pub fn names_lost(old: &Zone, new: &Zone) -> usize {
        let mut last: Option<NameBuf> = None;
        let mut lost = 0;
        for (owner, _) in old.records_not_in(new) {
            if last.as_ref() != Some(&owner) {
                lost += usize::from(new.at(&owner).next().is_none());
                last = Some(owner);
            }
        }
        lost
    }

    /// A zone that comes (`+`) or goes (`-`) as a whole: counted, not named.
    pub fn whole(zone: &Zone, comes: bool) -> Self {
        let sets = zone.counts().sets;
        if comes { Self { added: sets, ..Self::default() } } else { Self { removed: sets, ..Self::default() } }
    }

    /// True where nothing differs.
    pub fn is_empty(&self) -> bool {
        self.added + self.changed + self.removed == 0
    }

    /// Counts another difference on top.
    pub fn add(&mut self, later: &Self) {
        self.added += later.added;
        self.changed += later.changed;
        self.removed += later.removed;
        self.names.extend(later.names.iter().take(MAX_NAMES.saturating_sub(self.names.len())).cloned());
    }

    /// Counts an RRset: `+` came, `~` is otherwise, `-` is gone.
    pub(crate) fn note(&mut self, mark: char, owner: &NameBuf, rtype: u16) {
        *match mark {
            '+' => &mut self.added,
            '~' => &mut self.changed,
            _ => &mut self.removed,
        } += 1;
        if self.names.len() < MAX_NAMES {
            self.names.push(format!("{mark} {owner} {}", type_name(rtype)));
        }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} added, {} changed, {} removed", self.added, self.changed, self.removed)?;
        let all = self.added + self.changed + self.removed;
        if !self.names.is_empty() {
            write!(f, ": {}", self.names.join(", "))?;
        }
        if all > self.names.len() && !self.names.is_empty() {
            write!(f, " and {} more", all - self.names.len())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::WireName;
    use crate::zone::ZoneBuilder;

    fn zone(records: &[(&str, u32, &str, &str)]) -> Zone {
        let mut builder = ZoneBuilder::new(WireName::parse("contoso.test").unwrap());
        for (owner, ttl, rtype, data) in records {
            builder.add(owner, *ttl, rtype, data).unwrap();
        }
        builder.finish(1).unwrap().zone
    }

    #[test]
    fn tells_sets_that_came_went_and_changed() {
        let old = zone(&[("a", 60, "A", "10.0.0.1"), ("b", 60, "A", "10.0.0.1"), ("c", 60, "A", "10.0.0.1"), ("d", 60, "A", "10.0.0.1")]);
        let new = zone(&[("a", 60, "A", "10.0.0.1"), ("b", 60, "A", "10.0.0.2"), ("c", 30, "A", "10.0.0.1"), ("e", 60, "TXT", "t")]);
        let mut difference = Difference::between(&old, &new);
        difference.names.sort();
        assert_eq!((difference.added, difference.changed, difference.removed), (1, 2, 1));
        assert_eq!(difference.names, ["+ e.contoso.test. TXT", "- d.contoso.test. A", "~ b.contoso.test. A", "~ c.contoso.test. A"]);
    }

    #[test]
    fn order_and_serial_make_no_difference() {
        let old = zone(&[("a", 60, "A", "10.0.0.1"), ("a", 60, "A", "10.0.0.2")]);
        let new = zone(&[("a", 60, "A", "10.0.0.2"), ("a", 60, "A", "10.0.0.1")]).with_serial(7);
        assert!(Difference::between(&old, &new).is_empty());
        let soa = zone(&[("@", 60, "SOA", "n.test. h.test. 1 2 3 4 5"), ("a", 60, "A", "10.0.0.1"), ("a", 60, "A", "10.0.0.2")]);
        assert_eq!(Difference::between(&old, &soa).names, ["~ contoso.test. SOA"]);
    }

    #[test]
    fn zones_of_different_size_are_compared_too() {
        let names: Vec<String> = (0..2000).map(|number| format!("h{number}")).collect();
        let many: Vec<_> = names.iter().map(|name| (name.as_str(), 60, "A", "10.0.0.1")).collect();
        let difference = Difference::between(&zone(&many[..10]), &zone(&many));
        assert_eq!((difference.added, difference.changed, difference.removed, difference.names.len()), (1990, 0, 0, 20));
        assert!(difference.to_string().ends_with(" and 1970 more"), "{difference}");
    }

    #[test]
    fn equal_shards_are_shared() {
        let names: Vec<String> = (0..5000).map(|number| format!("h{number}")).collect();
        let mut many: Vec<_> = names.iter().map(|name| (name.as_str(), 60, "A", "10.0.0.1")).collect();
        let old = zone(&many);
        many[7].3 = "10.0.0.9";
        let mut new = zone(&many);
        new.share_with(&old);
        assert_eq!(new.shards.not_in(&old.shards).count(), 1);
        assert_eq!(Difference::between(&old, &new).names, ["~ h7.contoso.test. A"]);
    }
}
