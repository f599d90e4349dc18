//! Names whose fallbacks are known and wanted: they are counted, and nobody is told.

use std::collections::BTreeSet;

/// A name that is muted. What is muted is kept in memory: a restart forgets it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Muted {
    /// The name as it is asked, lower case, no final dot.
    pub name: String,
    /// For this network alone; none: for all.
    pub network: Option<String>,
}

/// As much is muted as can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{} names are muted already", Mutes::BOUND)]
pub struct Full;

/// What is muted.
#[derive(Debug, Default)]
pub(super) struct Mutes(BTreeSet<Muted>);

impl Mutes {
    /// Each was named by somebody who may change the server: more is a mistake.
    const BOUND: usize = 10_000;

    pub fn add(&mut self, muted: Muted) -> Result<bool, Full> {
        if self.0.len() >= Self::BOUND && !self.0.contains(&muted) {
            return Err(Full);
        }
        Ok(self.0.insert(muted))
    }

    pub fn remove(&mut self, muted: &Muted) -> bool {
        self.0.remove(muted)
    }

    pub fn list(&self) -> Vec<Muted> {
        self.0.iter().cloned().collect()
    }

    /// True where a name is muted for a network, or for all.
    pub fn covers(&self, network: &str, name: &str) -> bool {
        if self.0.is_empty() {
            return false;
        }
        let of = |network: Option<&str>| Muted { name: name.into(), network: network.map(Into::into) };
        self.0.contains(&of(None)) || self.0.contains(&of(Some(network)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn muted(name: &str, network: Option<&str>) -> Muted {
        Muted { name: name.into(), network: network.map(Into::into) }
    }

    #[test]
    fn a_name_is_muted_for_one_network_or_for_all() {
        let mut mutes = Mutes::default();
        assert_eq!((mutes.add(muted("a", None)), mutes.add(muted("b", Some("hub")))), (Ok(true), Ok(true)));
        assert_eq!(mutes.add(muted("a", None)), Ok(false));
        for (network, name, covered) in
            [("hub", "a", true), ("spoke", "a", true), ("hub", "b", true), ("spoke", "b", false), ("hub", "c", false)]
        {
            assert_eq!(mutes.covers(network, name), covered, "{network} {name}");
        }
        assert!(mutes.remove(&muted("a", None)) && !mutes.remove(&muted("b", None)));
        assert_eq!(mutes.list(), [muted("b", Some("hub"))]);
    }

    #[test]
    fn what_is_muted_has_a_bound() {
        let mut mutes = Mutes::default();
        assert!((0..Mutes::BOUND).all(|number| mutes.add(muted(&number.to_string(), None)) == Ok(true)));
        assert_eq!((mutes.add(muted("a", None)), mutes.add(muted("1", None))), (Err(Full), Ok(false)));
    }
}
