//! Succession of zones: which earlier zone a zone of the configuration continues, with its journal and its last good data.
//!
//! Several zones may share a name, for different networks. An exact match (name and networks) comes first, for all zones. Other matches
//! only concern zones without one, so that a new namesake never takes the data of a zone that still exists. Data that could belong to
//! two zones belongs to neither: a wrong guess would serve the records of one network to another.

use std::collections::HashMap;

use postern_config::model::{self, NetworkLinks};

use super::kept::source_key;

/// Properties of a zone by which it is recognized.
#[derive(Debug, Clone)]
pub struct ZoneIdentity<'z> {
    /// Apex, lower case, no final dot.
    pub name: &'z str,
    /// Networks that the zone is linked to.
    pub networks: &'z NetworkLinks,
    /// Key of the files that the zone is read from. `None` if the server keeps its records in a journal.
    pub source: Option<String>,
    /// True if the zone may have had other networks. An earlier zone that an API created never had, and neither had a zone whose
    /// journal is open.
    pub may_have_moved: bool,
}

/// The earlier zone that a zone continues.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ZonePredecessor {
    /// No earlier zone has its name, or all of them are continued by others.
    None,
    /// The earlier zone with this index.
    Zone(usize),
    /// An earlier zone could be its own or that of a namesake.
    Ambiguous,
}

/// Finds the predecessor of each of `zones` among `earlier` ones. No earlier zone is the predecessor of two zones.
pub fn find_predecessors(zones: &[ZoneIdentity<'_>], earlier: &[ZoneIdentity<'_>]) -> Vec<ZonePredecessor> {
    let mut found = vec![ZonePredecessor::None; zones.len()];
    let mut by_name: HashMap<&str, (Vec<usize>, Vec<usize>)> = HashMap::new(); // there may be a hundred thousand zones
    earlier.iter().enumerate().for_each(|(at, zone)| by_name.entry(zone.name).or_default().1.push(at));
    for (at, zone) in zones.iter().enumerate() {
        by_name.entry(zone.name).or_default().0.push(at);
    }
    for (mut heirs, mut left) in by_name.into_values() {
        for is_match in [ZoneIdentity::is_exactly, ZoneIdentity::has_source_of] {
            heirs.retain(|heir| {
                let place = left.iter().position(|other| is_match(&zones[*heir], &earlier[*other]));
                place.into_iter().for_each(|place| found[*heir] = ZonePredecessor::Zone(left.remove(place)));
                place.is_none()
            });
        }
        for is_match in [ZoneIdentity::shares_network_with, ZoneIdentity::can_be] {
            let candidates = |heir: usize| left.iter().copied().filter(move |other| is_match(&zones[heir], &earlier[*other]));
            let claimants = |other: usize| heirs.iter().filter(|heir| is_match(&zones[**heir], &earlier[other])).count();
            let only_candidate = |heir: usize| {
                let mut candidates = candidates(heir);
                candidates.next().filter(|other| candidates.next().is_none() && claimants(*other) == 1)
            };
            let pairs: Vec<(usize, usize)> = heirs.iter().filter_map(|heir| Some((*heir, only_candidate(*heir)?))).collect();
            for (heir, other) in pairs {
                found[heir] = ZonePredecessor::Zone(other);
                heirs.retain(|left| *left != heir);
                left.retain(|left| *left != other);
            }
        }
        for heir in heirs {
            if left.iter().any(|other| zones[heir].shares_network_with(&earlier[*other]) || zones[heir].can_be(&earlier[*other])) {
                found[heir] = ZonePredecessor::Ambiguous;
            }
        }
    }
    found
}

/// Identity of a zone of the configuration.
pub fn identity(zone: &model::ZoneConfig) -> ZoneIdentity<'_> {
    ZoneIdentity { name: &zone.name, networks: &zone.networks, source: zone.source.files().map(source_key), may_have_moved: true }
}

impl ZoneIdentity<'_> {
    fn is_exactly(&self, earlier: &Self) -> bool {
        self.name == earlier.name && self.networks.are_same(earlier.networks)
    }

    fn has_source_of(&self, earlier: &Self) -> bool {
        self.source.is_some() && self.source == earlier.source
    }

    /// Zones of files are left out: a new source says by itself what its zone has.
    fn shares_network_with(&self, earlier: &Self) -> bool {
        self.may_have_moved && self.source.is_none() && earlier.source.is_none() && self.networks.overlap(earlier.networks)
    }

    fn can_be(&self, earlier: &Self) -> bool {
        self.may_have_moved && earlier.may_have_moved && self.source.is_none() && earlier.source.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn networks(text: &str) -> NetworkLinks {
        NetworkLinks::of_list(text.split_whitespace().map(String::from).collect())
    }

    /// `zones` and `earlier`: the networks of journaled zones of one name.
    fn predecessors(zones: &[&str], earlier: &[&str]) -> Vec<ZonePredecessor> {
        let lists = |texts: &[&str]| texts.iter().map(|text| networks(text)).collect::<Vec<_>>();
        let (zones, earlier) = (lists(zones), lists(earlier));
        let identities = |lists: &'static [NetworkLinks]| -> Vec<ZoneIdentity<'static>> {
            lists.iter().map(|networks| ZoneIdentity { name: "contoso.test", networks, source: None, may_have_moved: true }).collect()
        };
        find_predecessors(&identities(zones.leak()), &identities(earlier.leak()))
    }

    #[test]
    fn an_exact_match_of_any_zone_comes_before_other_matches_of_all() {
        use ZonePredecessor::{Ambiguous, None, Zone};
        for (zones, earlier, want) in [
            (&["hub"][..], &["hub"][..], vec![Zone(0)]),
            (&["lab", "hub"], &["hub"], vec![None, Zone(0)]),
            (&["lab", "spoke hub"], &["hub spoke", "lab"], vec![Zone(1), Zone(0)]),
            (&["lab", "hub spoke"], &["hub"], vec![None, Zone(0)]), // a shared network
            (&["spoke"], &["hub"], vec![Zone(0)]),                  // the network has another name
            (&[""], &["hub"], vec![Zone(0)]),
            (&["lab", "hub"], &[""], vec![Ambiguous, Ambiguous]),
            (&["lab", "spoke"], &["hub"], vec![Ambiguous, Ambiguous]),
            (&["hub spoke"], &["hub", "spoke"], vec![Ambiguous]),
        ] {
            assert_eq!(predecessors(zones, earlier), want, "{zones:?} after {earlier:?}");
        }
    }

    #[test]
    fn a_zone_of_files_continues_the_zone_of_the_same_files_and_no_other() {
        let all = [networks("hub"), networks("lab"), networks("spoke")];
        let zone = |networks: usize, source: &str| ZoneIdentity {
            name: "contoso.test",
            networks: &all[networks],
            source: Some(source.into()),
            may_have_moved: true,
        };
        let (zones, earlier) = ([zone(1, "a"), zone(0, "b")], [zone(0, "a")]);
        assert_eq!(find_predecessors(&zones, &earlier), [ZonePredecessor::None, ZonePredecessor::Zone(0)]);
        assert_eq!(find_predecessors(&[zone(1, "a")], &earlier), [ZonePredecessor::Zone(0)]);
        assert_eq!(find_predecessors(&[zone(2, "c")], &earlier), [ZonePredecessor::None]);
    }
}
