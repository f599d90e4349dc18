//! Reports about a look at the sources.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use postern_config::model::{NetworkLinks, ZoneSource};

use crate::diff::Difference;
use crate::origin::FileShare;
use crate::record::{Severity, SourceProblem};
use crate::source_state::SourceState;

/// Findings of one look, for the log and for the caller.
#[derive(Debug, Clone, Default)]
pub struct LookReport {
    /// Generation that serves now.
    pub generation: u64,
    /// It is a new one.
    pub is_new: bool,
    /// Zones of which there is something to say.
    pub zones: Vec<ZoneReport>,
    /// Problems found by this look; those found before are not repeated.
    pub problems: Vec<SourceProblem>,
    /// Something is being written: look again in this time.
    pub again: Option<Duration>,
}

/// Findings about one zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ZoneReport {
    /// Apex, no final dot.
    pub name: Arc<str>,
    /// Networks that it is linked to.
    pub networks: NetworkLinks,
    /// Change of the zone or of its source.
    pub outcome: ZoneOutcome,
    /// Records served now.
    pub records: usize,
    /// Serial served now; none: no data.
    pub serial: Option<u32>,
}

/// Change of a zone or of its source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ZoneOutcome {
    /// It has data for the first time.
    Loaded,
    /// Its data changed.
    Changed(Difference),
    /// Its source is bad or gone, and why; what it served before it goes on serving.
    Failed(String),
    /// Its source is good again and says what is served already.
    Recovered,
    /// Its source is bad, and it serves what an earlier run kept at this time.
    Kept(SystemTime),
    /// It is hosted no longer.
    Removed,
}

/// One zone of a store, for status and metrics.
#[derive(Debug, Clone)]
pub struct ZoneStatus<'s> {
    /// Apex, no final dot.
    pub name: &'s Arc<str>,
    /// Networks that it is linked to.
    pub networks: &'s NetworkLinks,
    /// Its source as the configuration has it.
    pub source: &'s ZoneSource,
    /// How that is doing.
    pub state: &'s SourceState,
    /// Files that its records come from. Empty if a journal has them, or if there are none.
    pub files: &'s [FileShare],
    /// Data that is served. `None` if there never was any.
    pub zone: Option<&'s Arc<crate::zone::Zone>>,
}

impl LookReport {
    /// True where a source is bad, or a zone without data: what `strict` refuses to start with.
    pub fn has_errors(&self) -> bool {
        self.problems.iter().any(|problem| problem.severity == Severity::Error)
            || self.zones.iter().any(|zone| matches!(zone.outcome, ZoneOutcome::Failed(_)))
    }

    /// True where there is nothing to tell.
    pub fn is_empty(&self) -> bool {
        !self.is_new && self.zones.is_empty() && self.problems.is_empty()
    }

    /// Something is being written: look again in this time, or earlier.
    pub(super) fn look_again_in(&mut self, time: Duration) {
        self.again = Some(self.again.map_or(time, |other| other.min(time)));
    }

    /// Takes over what a look right after this one found.
    pub fn merge(&mut self, later: LookReport) {
        self.generation = later.generation;
        self.is_new |= later.is_new;
        self.zones.extend(later.zones);
        self.problems.extend(later.problems);
        self.again = later.again;
    }

    /// Writes it to the log: one line a problem, one line a zone.
    pub fn log(&self) {
        for problem in &self.problems {
            match problem.severity {
                Severity::Error => tracing::error!("{problem}"),
                Severity::Warning => tracing::warn!("{problem}"),
            }
        }
        for zone in &self.zones {
            let (name, networks, records, serial) = (&*zone.name, zone.networks.to_string(), zone.records, zone.serial.unwrap_or(0));
            let generation = self.generation;
            match &zone.outcome {
                ZoneOutcome::Loaded => tracing::info!(zone = name, networks, records, serial, generation, "zone loaded"),
                ZoneOutcome::Changed(difference) => {
                    tracing::info!(zone = name, networks, records, serial, generation, "zone changed: {difference}")
                }
                ZoneOutcome::Failed(why) if zone.serial.is_none() => tracing::error!(zone = name, networks, "zone has no data: {why}"),
                ZoneOutcome::Failed(why) => tracing::error!(zone = name, networks, records, serial, "keeping the last good data: {why}"),
                ZoneOutcome::Recovered => tracing::info!(zone = name, networks, records, serial, "source is good again"),
                ZoneOutcome::Kept(since) => {
                    let age = since.elapsed().unwrap_or_default().as_secs();
                    tracing::warn!(zone = name, networks, records, serial, age, "serving the data stored by the last run, {age} s old")
                }
                ZoneOutcome::Removed => tracing::info!(zone = name, networks, generation, "zone removed"),
            }
        }
    }
}
