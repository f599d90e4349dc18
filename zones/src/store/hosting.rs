//! Zones that an API creates, removes and configures.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use postern_config::model::{self, ZoneSource};

use super::edits::{audit, unix_seconds, unless_it_panics};
use super::owned::{self, JournaledZone};
use super::{LookReport, Store, ZoneOutcome, ZoneSlot};
use crate::diff::Difference;
use crate::edit::{Author, ConfigureFn, EditResult, NewZone, Refusal, ZoneRef, ZoneRemoval, ZoneSettings};
use crate::journal::JournalError;
use crate::name::NameBuf;

impl Store {
    /// Creates zones. If one of them cannot be created, the others are removed again before anybody saw them.
    pub(super) fn create_all(&mut self, new: Vec<NewZone>, author: &Author, report: &mut LookReport) -> Result<Vec<EditResult>, Refusal> {
        if let (Some(reason), Some(first)) = (self.unlistable(), new.first()) {
            return Err(Refusal::Unavailable { name: first.settings.name.as_str().into(), reason }); // it may be there already
        }
        let before = self.slots.len();
        let made: Result<Vec<EditResult>, Refusal> = new.into_iter().map(|new| self.create(new)).collect();
        match &made {
            Ok(_) => {
                for slot in &self.slots[before..] {
                    audit(author, &slot.name, &slot.networks, slot.zone.as_ref().map_or(0, |zone| zone.serial()), "zone created");
                    report.zones.push(slot.report(ZoneOutcome::Loaded));
                }
            }
            Err(_) => {
                for mut slot in self.slots.drain(before..) {
                    if let Some(Err(error)) = slot.owned.as_mut().map(|owned| owned.journal.remove()) {
                        tracing::error!(zone = &*slot.name, "zone not created, but it will appear at the next start: {error}");
                    }
                }
            }
        }
        made
    }

    fn create(&mut self, new: NewZone) -> Result<EditResult, Refusal> {
        let NewZone { settings, records } = new;
        let settings = ZoneSettings { declared: false, ..settings };
        let slot = self.slot_of(&settings)?;
        // Records with an SOA are a whole zone: no NS records are added to them.
        let sets_serial = records.iter().any(|change| change.rtype == crate::zone::rtype::SOA);
        let builder = if sets_serial { slot.empty_builder().authority(None) } else { slot.empty_builder() };
        let zone = builder.finish(unix_seconds()).map_err(|_| Refusal::Stopped)?.zone; // no record, no problem
        let serial = zone.serial();
        let zone = zone.apply(&records).map_err(Refusal::Invalid)?;
        let zone = if sets_serial { zone } else { zone.with_serial(serial) };
        let path = owned::path_for(self.context.state.path(), &settings.name);
        let owned =
            JournaledZone::create(&self.context.state, path, settings, zone).map_err(|error| Refusal::Journal(error.to_string()))?;
        let warnings = owned::lint_changes(&records, self.context.clients.as_deref());
        let zone = owned.latest.clone();
        let difference = Difference::whole(&zone, true);
        let slot = ZoneSlot { owned: Some(owned), zone: Some(zone.clone()), ..slot };
        let (name, networks) = (slot.name.clone(), slot.networks.clone());
        self.slots.push(slot);
        Ok(EditResult { name, networks, before: zone.clone(), after: zone, difference, change: None, warnings, generation: 0 })
    }

    /// Removes a zone. After an error of the file system behind the removal itself the zone is gone here, which is no acknowledgement.
    pub(super) fn remove(&mut self, removal: ZoneRemoval, report: &mut LookReport) -> Result<(), Refusal> {
        let ZoneRemoval { zone, author, may, .. } = removal;
        let place = self.place_of(&zone)?;
        if let Some(path) = self.slots[place].awaits.clone() {
            unless_it_panics(&self.slots[place].name, || may(None))?;
            return self.remove_damaged(place, &path, &author, removal.discards_damaged, report);
        }
        let slot = &mut self.slots[place];
        let name = slot.name.clone();
        let writer = slot.declared_by();
        let Some(owned) = slot.owned.as_mut().filter(|owned| !owned.settings.declared) else {
            return Err(Refusal::ReadOnly { name, writer });
        };
        unless_it_panics(&name, || may(Some(&owned.latest)))?;
        self.context.state.verify().map_err(|error| Refusal::Journal(JournalError::from(error).to_string()))?;
        let removed = owned.journal.remove().map_err(|error| Refusal::Journal(error.to_string()));
        if removed.is_err() && !is_absent(&owned.path) {
            return removed;
        }
        self.drop_slot(place, &author, report);
        removed
    }

    /// Removes a zone whose journal cannot be read. The file is kept under another name, because its records may be salvaged.
    fn remove_damaged(
        &mut self,
        place: usize,
        path: &Path,
        author: &Author,
        discards_damaged: bool,
        report: &mut LookReport,
    ) -> Result<(), Refusal> {
        let ZoneSlot { name, reason, .. } = &self.slots[place];
        if !discards_damaged {
            return Err(Refusal::Loss(format!(
                "the records of zone {name} cannot be read: {reason}; `discard_damaged=true` removes the zone and keeps the file under \
                 another name"
            )));
        }
        self.context.state.verify().map_err(|error| Refusal::Journal(JournalError::from(error).to_string()))?;
        let kept = owned::set_aside(path);
        if kept.is_err() && !is_absent(path) {
            return kept.map(drop).map_err(|error| Refusal::Journal(error.to_string()));
        }
        if let Ok(Some(kept)) = &kept {
            tracing::warn!(zone = &**name, "the zone is removed; its damaged journal is kept as {}", kept.display());
        }
        self.drop_slot(place, author, report);
        kept.map(drop).map_err(|error| Refusal::Journal(error.to_string()))
    }

    fn drop_slot(&mut self, place: usize, author: &Author, report: &mut LookReport) {
        let slot = self.slots.remove(place);
        audit(author, &slot.name, &slot.networks, slot.zone.as_ref().map_or(0, |zone| zone.serial()), "zone removed");
        report.zones.push(slot.report(ZoneOutcome::Removed));
        self.groups = super::source_group::SourceGroup::all(&self.slots, std::mem::take(&mut self.groups)); // places moved
    }

    pub(super) fn configure(
        &mut self,
        zone: &ZoneRef,
        author: &Author,
        change: ConfigureFn,
        report: &mut LookReport,
    ) -> Result<Arc<ZoneSettings>, Refusal> {
        let place = self.place_of(zone)?;
        let name = self.slots[place].name.clone();
        let writer = self.slots[place].declared_by();
        let Some(owned) = &self.slots[place].owned else { return Err(Refusal::ReadOnly { name, writer }) };
        let old = owned.settings.clone();
        let mut settings = (*old).clone();
        unless_it_panics(&name, || change(&owned.latest, &mut settings))?;
        settings.name.clone_from(&old.name);
        settings.declared = old.declared;
        let moves = (&settings.networks, settings.on_missing, settings.fallback) != (&old.networks, old.on_missing, old.fallback);
        if moves && old.declared {
            return Err(Refusal::ReadOnly { name, writer });
        }
        let is_relinked = settings.networks != old.networks;
        if is_relinked {
            self.check_links(&settings, Some(place))?;
        }
        let slot = &mut self.slots[place];
        let Some(owned) = &mut slot.owned else { return Err(Refusal::Stopped) }; // there was one above
        owned.journal.append_settings(&serde_json::to_string(&settings).unwrap_or_default());
        owned.settings = Arc::new(settings);
        if let Err(error) = owned.commit(&self.context.state) {
            owned.journal.discard();
            owned.settings = old;
            return Err(Refusal::Journal(error.to_string()));
        }
        let config = Arc::make_mut(&mut slot.config);
        config.networks.clone_from(&owned.settings.networks);
        config.on_missing = owned.settings.on_missing;
        config.fallback = records_fallbacks(&owned.settings);
        let settings = owned.settings.clone();
        slot.hosted = None;
        if is_relinked {
            slot.networks = settings.networks.clone();
            slot.show_conflict(None);
        }
        if *settings != *old {
            audit(author, &slot.name, &slot.networks, slot.zone.as_ref().map_or(0, |zone| zone.serial()), "settings changed");
        }
        report.is_new = true;
        Ok(settings)
    }

    /// Takes the data of a zone away from clients; what was committed stays, so that a transfer goes on from there.
    pub(super) fn expire(&mut self, zone: &ZoneRef, reason: String, report: &mut LookReport) -> Result<(), Refusal> {
        let place = self.place_of(zone)?;
        let slot = &mut self.slots[place];
        slot.zone = None;
        slot.hosted = None;
        if let Some(outcome) = slot.note(Some(reason)) {
            report.zones.push(slot.report(outcome));
        }
        Ok(())
    }

    /// A slot for a zone that an API makes, with no data yet.
    fn slot_of(&self, settings: &ZoneSettings) -> Result<ZoneSlot, Refusal> {
        let invalid = |message: String| Refusal::Invalid(vec![crate::zone::ChangeError { change: 0, message }]);
        let name = NameBuf::parse(&settings.name).map_err(|error| invalid(format!("`{}` is not a name: {error}", settings.name)))?;
        let text = name.to_string().to_ascii_lowercase();
        let plain = if text == "." { "." } else { text.trim_end_matches('.') };
        if plain != settings.name {
            return Err(invalid(format!("write the zone's name as `{plain}`")));
        }
        self.check_links(settings, None)?;
        let zone = model::ZoneConfig { zone_names: self.context.zone_names.clone(), ..made_zone(settings) };
        ZoneSlot::new(&zone, None, &mut LookReport::default()).ok_or_else(|| invalid(format!("`{}` is not a name", settings.name)))
    }

    /// Networks must be there, and none may have the zone twice.
    pub(super) fn check_links(&self, settings: &ZoneSettings, not: Option<usize>) -> Result<(), Refusal> {
        if let Some(unknown) = settings.networks.names().iter().find(|name| !self.networks.iter().any(|network| network.name == **name)) {
            let message = format!("there is no network `{unknown}`");
            return Err(Refusal::Invalid(vec![crate::zone::ChangeError { change: 0, message }]));
        }
        let meets = |slot: &ZoneSlot| slot.networks.overlap(&settings.networks);
        let twice = self.slots.iter().enumerate().find(|(place, slot)| Some(*place) != not && *slot.name == settings.name && meets(slot));
        twice.map_or(Ok(()), |(_, slot)| Err(slot.refuse_twin()))
    }
}

/// Returns true if a file is known to be gone. A directory that cannot be searched tells nothing about its files.
fn is_absent(path: &Path) -> bool {
    fs::symlink_metadata(path).is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
}

/// Whether the fallback record has the names that a zone lacks which an API made.
fn records_fallbacks(settings: &ZoneSettings) -> bool {
    settings.fallback.unwrap_or_else(|| postern_config::azure::is_private_link(&settings.name))
}

/// A zone that an API made, as the configuration would say it.
pub(super) fn made_zone(settings: &ZoneSettings) -> model::ZoneConfig {
    model::ZoneConfig {
        name: settings.name.clone(),
        preset: false,
        networks: settings.networks.clone(),
        source: ZoneSource::Api,
        on_missing: settings.on_missing,
        fallback: records_fallbacks(settings),
        min_ttl: 0,
        max_ttl: i32::MAX as u32,
        hold_deleted: std::time::Duration::ZERO,
        max_loss: 100,
        allow_empty: true,
        zone_names: model::ZoneNames::default(),
        transfer_to: Vec::new(),
        notify: Vec::new(),
        transfer_key: None,
        overrides: None,
        line: 0,
    }
}
