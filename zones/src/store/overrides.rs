//! Overrides that have no effect.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;

use super::report::LookReport;
use super::zone_slot::ZoneSlot;
use crate::record::{Severity, SourceProblem, TextPosition};
use crate::zone::rtype;

/// Overridden names that a warning lists.
const MOST_LISTED: usize = 8;

/// Warns about overridden names that lie in a private zone of the same network: the zone answers for all of its names. A PTR record that was
/// made from an address gives way without a warning.
pub fn lint(slots: &[ZoneSlot], report: &mut LookReport) {
    let overrides = slots.iter().filter(|slot| slot.config.overrides.is_some());
    for (slot, zone) in overrides.filter_map(|slot| Some((slot, slot.zone.as_ref()?))) {
        let is_of_network = |other: &&ZoneSlot| other.config.overrides.is_none() && other.networks.overlap(&slot.networks);
        let apexes: HashSet<&[u8]> = slots.iter().filter(is_of_network).map(|other| other.apex.as_wire()).collect();
        if apexes.is_empty() {
            continue;
        }
        let is_written = |set: u16| !matches!(set, rtype::SOA | rtype::NS | rtype::PTR);
        let owned = zone.records().filter(|(_, set)| is_written(set.rtype)).filter_map(|(name, _)| {
            let label = (0..=name.labels()).find(|label| apexes.contains(name.suffix(*label)))?;
            let apex = slots.iter().find(|other| is_of_network(other) && other.apex.as_wire() == name.suffix(label))?;
            Some((name.without_dot(), apex.config.name.clone()))
        });
        let mut owned: Vec<(String, String)> = owned.collect();
        owned.sort();
        owned.dedup();
        let Some((_, first)) = owned.first().cloned() else { continue };
        let listed: Vec<&str> = owned.iter().take(MOST_LISTED).map(|(name, _)| name.as_str()).collect();
        let more = owned.len().saturating_sub(MOST_LISTED);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let file = Arc::new(slot.origin.file().map_or_else(PathBuf::new, |file| file.to_path_buf()));
        let message = format!("overrides `{}` have no effect on {}{more}: zone {first} answers for them", slot.name, listed.join(", "));
        let help = "write the records into the zone, or remove the lines".into();
        let problem = SourceProblem { file, at: TextPosition::default(), severity: Severity::Warning, message, help };
        if !report.problems.contains(&problem) {
            report.problems.push(problem);
        }
    }
}
