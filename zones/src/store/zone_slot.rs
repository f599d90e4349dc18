//! Zone of the configuration or of an API, with the data that it serves and the state of its source.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use postern_config::model::{self, NetworkLinks};

use super::kept::{KeptZone, zone_key};
use super::owned::{JournaledZone, ttl_bounds};
use super::report::{LookReport, ZoneOutcome, ZoneReport};
use super::succession::{self, ZoneIdentity};
use crate::authority::ZoneAuthority;
use crate::diff::Difference;
use crate::name::{NameBuf, WireName};
use crate::origin::{FileShare, ZoneOrigin};
use crate::snapshot::{Hosted, Kept, ZoneState};
use crate::source_state::{Shown, SourceState};
use crate::zone::{Zone, ZoneBuilder};

/// A zone of the configuration.
#[derive(Debug)]
pub struct ZoneSlot {
    pub(super) config: Arc<model::ZoneConfig>,
    pub(super) name: Arc<str>,
    pub(super) apex: WireName,
    pub(super) networks: NetworkLinks,
    pub(super) zone: Option<Arc<Zone>>,
    /// Reason why the zone has no data, if it has none.
    pub(super) reason: Arc<str>,
    /// Reason why the records of its sources do not make a zone.
    pub(super) build_error: Option<String>,
    pub(super) state: SourceState,
    /// True while the content of its files is taken whatever is lost, because the operator accepted it.
    pub(super) accepts_loss: bool,
    /// True once the data of an earlier run was looked up.
    pub(super) is_recalled: bool,
    /// Serial and checksum of the zone in an earlier run. True if the files of its source did not change since.
    pub(super) kept_serial: Option<(KeptZone, bool)>,
    /// Time when the data that it serves was kept. `None` if it is not that of an earlier run.
    pub(super) kept_since: Option<SystemTime>,
    /// True until data of an earlier run is reported.
    pub(super) kept_is_new: bool,
    /// The zone serves data of another source or of other networks, because its own source was not good yet.
    pub(super) is_inherited: bool,
    /// True if another zone has the same name, for other networks.
    pub(super) has_namesake: bool,
    /// Copy of the state for other threads.
    pub(super) shown: Arc<Shown>,
    pub(super) origin: ZoneOrigin,
    /// Files that its records come from.
    pub(super) files: Vec<FileShare>,
    /// Journal and committed data, if an API or a transfer writes the zone.
    pub(super) owned: Option<JournaledZone>,
    /// Journal of a zone that an API created. The zone has no data until it can be opened.
    pub(super) awaits: Option<PathBuf>,
    /// The zone as in the last snapshot. `None` if it changed since.
    pub(super) hosted: Option<Arc<Hosted>>,
}

impl ZoneSlot {
    /// A zone of the configuration, with the data of the earlier zone that it continues. A new writer of its journal is reported.
    pub(super) fn new(config: &model::ZoneConfig, before: Option<ZoneSlot>, report: &mut LookReport) -> Option<Self> {
        let apex = NameBuf::parse(config.apex()).ok()?.to_wire_name(); // the configuration checked it
        let key = zone_key(config);
        let is_of_other = |slot: &ZoneSlot| slot.is_inherited || slot.config.source != config.source || zone_key(&slot.config) != key;
        let is_inherited = before.as_ref().is_some_and(|slot| slot.zone.is_some() && is_of_other(slot));
        let kept_since = before.as_ref().and_then(|slot| slot.kept_since);
        let files = before.as_ref().filter(|slot| slot.config.source == config.source).map(|slot| slot.files.clone()).unwrap_or_default();
        let origin = ZoneOrigin::new(config, &files);
        // Data of files is not continued by an API, nor the other way round.
        let is_continued = before.as_ref().is_some_and(|slot| slot.owned.is_some() == config.source.is_journaled());
        let has_other_writer = before.as_ref().is_some_and(|slot| slot.origin.feed() != origin.feed());
        let continued = before.filter(|_| is_continued).map(|slot| (slot.zone, slot.state, slot.owned, slot.shown, slot.reason));
        let (zone, state, owned, shown, reason) = continued.unwrap_or_else(|| {
            let reason = "its source was not read yet".into();
            (None, Default::default(), None, Default::default(), reason)
        });
        let networks = config.networks.clone();
        let name = config.name.as_str().into();
        let mut slot = Self {
            config: Arc::new(config.clone()),
            name,
            apex,
            networks,
            zone,
            reason,
            build_error: None,
            state,
            accepts_loss: false,
            is_recalled: false,
            kept_serial: None,
            kept_since,
            kept_is_new: false,
            is_inherited: is_inherited && is_continued && !config.source.is_journaled(),
            has_namesake: false,
            shown,
            origin,
            files,
            owned,
            awaits: None,
            hosted: None,
        };
        if has_other_writer && let Some(owned) = slot.owned.take() {
            let error = slot.adopt(owned).err();
            let outcome = slot.note(error);
            report.zones.extend(outcome.map(|outcome| slot.report(outcome)));
        }
        Some(slot)
    }

    /// Returns true if a `[[zone]]` declares it, false if an API created it.
    fn is_declared(&self) -> bool {
        self.config.line > 0
    }

    /// Properties by which a later configuration recognizes the zone.
    pub(super) fn identity(&self) -> ZoneIdentity<'_> {
        let may_have_moved = self.owned.as_ref().is_none_or(|owned| owned.settings.declared);
        ZoneIdentity { may_have_moved, ..succession::identity(&self.config) }
    }

    /// Notes the files that its records come from.
    pub(super) fn comes_from(&mut self, files: Vec<FileShare>) {
        let origin = ZoneOrigin::new(&self.config, &files);
        if origin != self.origin {
            (self.origin, self.hosted) = (origin, None);
        }
        self.files = files;
    }

    /// The zone as a snapshot has it.
    pub(super) fn hosted(&mut self) -> Arc<Hosted> {
        if let Some(hosted) = &self.hosted {
            return hosted.clone();
        }
        let state = match &self.zone {
            Some(zone) => ZoneState::Serving(zone.clone()),
            None => ZoneState::Unavailable(self.reason.clone()),
        };
        let kept = self.owned.as_ref().map(|owned| {
            let JournaledZone { latest, settings, history, .. } = owned;
            Kept { latest: latest.clone(), settings: settings.clone(), history: history.clone() }
        });
        self.shown.show_journal(self.owned.as_ref().map_or(0, |owned| owned.journal.length()));
        let (declared, source) = (self.is_declared().then(|| self.config.clone()), self.shown.clone());
        let hosted = Hosted::new(self.apex.clone(), self.config.on_missing, state, self.origin.clone());
        let (name, fallback, overrides) = (self.name.clone(), self.config.fallback, self.config.overrides);
        self.hosted.insert(Arc::new(Hosted { name, fallback, overrides, kept, declared, source, ..hosted })).clone()
    }

    pub(super) fn report(&self, outcome: ZoneOutcome) -> ZoneReport {
        ZoneReport {
            name: self.name.clone(),
            networks: self.networks.clone(),
            outcome,
            records: self.zone.as_ref().map_or(0, |zone| zone.counts().records),
            serial: self.zone.as_ref().map(|zone| zone.serial()),
        }
    }

    /// Takes new data, with its difference from the served data. Returns the outcome to report.
    pub(super) fn take(&mut self, zone: Zone, difference: Option<Difference>) -> Option<ZoneOutcome> {
        let same_serial = self.zone.as_ref().is_some_and(|old| old.serial() == zone.serial() || !zone.has_own_serial());
        if let Some(old) = self.zone.as_ref().filter(|_| same_serial && difference.as_ref().is_some_and(Difference::is_empty)) {
            if !zone.has_origins_of(old) {
                // The same records stand in other files.
                (self.zone, self.hosted) = (Some(Arc::new(zone.with_serial(old.serial()))), None);
            }
            return None;
        }
        self.zone = Some(Arc::new(zone));
        self.hosted = None;
        Some(difference.map_or(ZoneOutcome::Loaded, ZoneOutcome::Changed))
    }

    /// Notes the state of its source. Returns the outcome to report if the state changed.
    pub(super) fn note(&mut self, error: Option<String>) -> Option<ZoneOutcome> {
        let outcome = self.judge(error);
        self.shown.show(&self.state);
        outcome
    }

    fn judge(&mut self, error: Option<String>) -> Option<ZoneOutcome> {
        let was = self.state.error.take();
        match (was, error) {
            (Some((since, before)), Some(why)) if before == why => {
                self.state.error = Some((since, before));
                None
            }
            (_, Some(why)) => {
                self.state.error = Some((SystemTime::now(), why.clone()));
                if self.zone.is_none() && *self.reason != *why {
                    self.reason = why.as_str().into();
                    self.hosted = None;
                }
                Some(ZoneOutcome::Failed(why))
            }
            (was, None) => {
                self.state.last_success = Some(SystemTime::now());
                was.map(|_| ZoneOutcome::Recovered)
            }
        }
    }

    /// Builds this zone from whatever records come.
    pub fn empty_builder(&self) -> ZoneBuilder {
        let (min, max) = ttl_bounds(&self.config);
        // A copy has the SOA and NS records of its primary.
        let makes_authority = self.config.source.is_journaled() && !self.config.source.keeps_serial();
        let authority = makes_authority.then(|| ZoneAuthority::of_api(&self.config.zone_names, &self.apex.to_buf()));
        ZoneBuilder::new(self.apex.clone()).ttl_bounds(min, max).authority(authority)
    }
}
