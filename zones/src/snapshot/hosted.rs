//! One hosted zone: its data, its policy, and its origin.

use std::sync::Arc;

use postern_config::model::{self, OnMissing, OtherTypes};

use crate::history::ZoneHistory;
use crate::lookup::Lookup;
use crate::name::{NameBuf, WireName, is_private_link};
use crate::origin::ZoneOrigin;
use crate::settings::ZoneSettings;
use crate::source_state::Shown;
use crate::zone::{Zone, rtype};

/// A zone as it is hosted: data or the reason why there is none, and its policy.
#[derive(Debug)]
pub struct Hosted {
    /// Apex.
    pub apex: WireName,
    /// Apex as text, no final dot: for logs and labels.
    pub name: Arc<str>,
    /// Treatment of names that the zone lacks.
    pub on_missing: OnMissing,
    /// The fallback record has the names that it lacks.
    pub fallback: bool,
    /// Present if these are overrides and no zone: the answer for types that an overridden name lacks.
    pub overrides: Option<OtherTypes>,
    /// It is a private-link zone by its name.
    pub is_private_link: bool,
    /// The data.
    pub state: ZoneState,
    /// The writer of its records, and the file that a record would be added to.
    pub origin: ZoneOrigin,
    /// Committed data and settings, if the zone has a journal.
    pub kept: Option<Kept>,
    /// The `[[zone]]` that declares it. `None` if an API or a test created the zone.
    pub declared: Option<Arc<model::ZoneConfig>>,
    /// How its source is doing: of this moment, not of the snapshot's.
    pub source: Arc<Shown>,
}

/// A zone as whoever writes it sees it.
#[derive(Debug, Clone)]
pub struct Kept {
    /// As committed. What is served may still have names that were deleted a moment ago (`hold-deleted`).
    pub latest: Arc<Zone>,
    /// Name, networks, policy, and what interfaces keep.
    pub settings: Arc<ZoneSettings>,
    /// Recent changes.
    pub history: Arc<ZoneHistory>,
}

/// Data of a hosted zone.
#[derive(Debug, Clone)]
pub enum ZoneState {
    /// Good data (perhaps older than a source that went bad since).
    Serving(Arc<Zone>),
    /// Never had good data: SERVFAIL with this reason as extended error.
    Unavailable(Arc<str>),
}

impl Hosted {
    /// A zone as it is hosted.
    pub fn new(apex: WireName, on_missing: OnMissing, state: ZoneState, origin: ZoneOrigin) -> Self {
        let mut name = apex.to_string();
        if name.len() > 1 {
            name.pop();
        }
        let is_private_link = is_private_link(&apex.to_buf());
        Self {
            apex,
            name: name.into(),
            on_missing,
            fallback: is_private_link,
            overrides: None,
            is_private_link,
            state,
            origin,
            kept: None,
            declared: None,
            source: Arc::default(),
        }
    }

    /// The data, where there is some.
    pub fn zone(&self) -> Option<&Arc<Zone>> {
        match &self.state {
            ZoneState::Serving(zone) => Some(zone),
            ZoneState::Unavailable(_) => None,
        }
    }

    /// SOA serial; none while there is no data.
    pub fn serial(&self) -> Option<u32> {
        self.zone().map(|zone| zone.serial())
    }

    /// Records served.
    pub fn records(&self) -> usize {
        self.zone().map_or(0, |zone| zone.counts().records)
    }

    /// Returns true if the zone has an answer for `name` other than that it is missing.
    pub fn holds(&self, name: &NameBuf) -> bool {
        let Some(zone) = self.zone().filter(|_| name.is_under(self.apex.as_wire())) else { return false };
        !matches!(zone.lookup(name, rtype::ANY), Lookup::Missing | Lookup::Referral { .. })
    }
}
