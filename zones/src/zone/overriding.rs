//! Overrides: records at their own names, which own no domain.

use super::{Zone, rtype};
use crate::lookup::RrSet;
use crate::name::{MAX_NAME, NameBuf};
use crate::text::{NO_DATA, NO_NAME, PASS_THROUGH};

/// Answer that overrides have for a name and type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OverriddenName<'z> {
    /// The RRset of the type.
    Set(RrSet<'z>),
    /// A CNAME; another type was asked.
    Alias(RrSet<'z>),
    /// The name does not exist.
    NoName,
    /// The name has no data of any type.
    NoData,
    /// The name is overridden, but it lacks the type.
    OtherType,
    /// The name is an exception.
    PassThrough,
}

impl Zone {
    /// Returns the answer that these overrides have for a name, with the length of the wire form that matched: the name itself, or the suffix below which a
    /// wildcard stands for every name. The longest match counts. Unlike in a zone, a name stops no wildcard above it.
    pub fn overridden(&self, name: &NameBuf, rtype: u16) -> Option<(OverriddenName<'_>, usize)> {
        let wire = name.as_wire();
        let own = self.find(&wire[..wire.len() - 1]).filter(|node| node.set_count() > 0);
        if let Some(node) = own {
            return Some((self.overriding_answer(node, rtype), wire.len()));
        }
        if self.counts.wildcards == 0 {
            return None;
        }
        let labels = name.labels();
        let mut source = [0u8; MAX_NAME + 2];
        source[..2].copy_from_slice(b"\x01*");
        for label in (labels + 1).saturating_sub(self.counts.depth).max(1)..labels {
            let suffix = name.suffix(label);
            let length = suffix.len() + 1; // `*` is there in place of the final zero
            source[2..length].copy_from_slice(&suffix[..suffix.len() - 1]);
            if let Some(node) = self.find(&source[..length]).filter(|node| node.set_count() > 0) {
                return Some((self.overriding_answer(node, rtype), suffix.len()));
            }
        }
        None
    }

    fn overriding_answer<'z>(&'z self, node: super::Node<'z>, rtype: u16) -> OverriddenName<'z> {
        if let Some(alias) = node.set(rtype::CNAME) {
            return match alias.rdata().next() {
                Some(NO_NAME) => OverriddenName::NoName,
                Some(NO_DATA) => OverriddenName::NoData,
                Some(PASS_THROUGH) => OverriddenName::PassThrough,
                _ if matches!(rtype, rtype::CNAME | rtype::ANY) => OverriddenName::Set(alias),
                _ => OverriddenName::Alias(alias),
            };
        }
        let set = node.sets().find(|set| set.rtype == rtype || rtype == rtype::ANY);
        set.map_or(OverriddenName::OtherType, OverriddenName::Set)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::name::WireName;
    use crate::text::read_overrides;
    use crate::zone::ZoneBuilder;

    #[test]
    fn the_longest_match_counts_and_no_name_stops_a_wildcard() {
        let mut builder = ZoneBuilder::new(WireName::parse(".").unwrap());
        let text = "10.0.0.1 *.lab.test\n10.0.0.2 a.b.lab.test\n10.0.0.3 *.x.lab.test\npublic vpn.lab.test\nnxdomain gone.test\n";
        read_overrides(text.as_bytes(), &Arc::new("o".into()), &mut builder, &mut Vec::new());
        let zone = builder.finish(1).unwrap().zone;
        let (a, aaaa) = (1, 28);
        let last = |name: &str, rtype| {
            let (found, matched) = zone.overridden(&NameBuf::parse(name).unwrap(), rtype)?;
            let said = match found {
                OverriddenName::Set(set) => set.rdata().next().unwrap()[3].to_string(),
                other => format!("{other:?}"),
            };
            Some((said, matched))
        };
        for (name, rtype, want) in [
            ("lab.test", a, None),
            ("test", a, None),
            (".", a, None),
            ("one.lab.test", a, Some(("1", 10))),
            ("one.lab.test", aaaa, Some(("OtherType", 10))),
            ("two.one.lab.test", a, Some(("1", 10))),
            ("a.b.lab.test", a, Some(("2", 14))),
            ("b.lab.test", a, Some(("1", 10))),
            ("c.b.lab.test", a, Some(("1", 10))),
            ("c.a.b.lab.test", a, Some(("1", 10))),
            ("y.x.lab.test", a, Some(("3", 12))),
            ("vpn.lab.test", a, Some(("PassThrough", 14))),
            ("gone.test", aaaa, Some(("NoName", 11))),
            ("www.gone.test", a, None),
        ] {
            assert_eq!(last(name, rtype), want.map(|(said, matched)| (said.to_owned(), matched)), "{name} {rtype}");
        }
    }
}
