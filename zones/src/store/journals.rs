//! Assignment of journals to zones at the start and when the configuration changes.

use std::collections::HashSet;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use postern_config::model::NetworkLinks;

use super::hosting::made_zone;
use super::owned::{self, FoundJournal, JournaledZone};
use super::source_group::SourceGroup;
use super::succession::{self, ZoneIdentity, ZonePredecessor, find_predecessors};
use super::{LookReport, Store, ZoneOutcome, ZoneSlot};
use crate::edit::{FETCHED, Refusal, ZoneSettings};
use crate::journal::JournalCondition;
use crate::snapshot::Snapshot;
use crate::state_directory::StateProblem;

impl Store {
    /// Hosts the zones that an API made under another configuration, each in the networks that the zones of the configuration leave to it.
    /// One without such a network is reported when its journal is found. The other zones that are left over are hosted no longer.
    pub(super) fn keep_made(&mut self, old: Vec<ZoneSlot>, report: &mut LookReport) {
        self.slots.iter_mut().for_each(|slot| slot.show_conflict(None));
        for mut slot in old {
            let settings = slot.owned.as_ref().map(|owned| owned.settings.clone()).filter(|settings| !settings.declared);
            match settings.map(|settings| self.free_links(&settings)) {
                Some(Ok(links)) => {
                    slot.link(links);
                    self.slots.push(slot);
                }
                _ => report.zones.push(slot.report(ZoneOutcome::Removed)),
            }
        }
    }

    /// Opens or begins the journals of zones that have none open, and hosts zones that an API made. `waiting` are those of them that have
    /// no data, because their journals could not be opened: they stay until that succeeds, and their names do not go public meanwhile.
    pub(super) fn open_journals(&mut self, mut waiting: Vec<ZoneSlot>, report: &mut LookReport) {
        let lacks = |slot: &ZoneSlot| slot.config.source.is_journaled() && slot.owned.is_none();
        let in_use: HashSet<PathBuf> = self.slots.iter().filter_map(|slot| Some(slot.owned.as_ref()?.path.clone())).collect();
        let (listed, (found, bad)) = match owned::find(&self.context.state, &in_use) {
            Ok(listing) => (Ok(()), listing),
            Err(why) => (Err(why), Default::default()),
        };
        let predecessors = self.journals_of(&found);
        let mut found: Vec<Option<FoundJournal>> = found.into_iter().map(Some).collect();
        for (place, predecessor) in predecessors.into_iter().enumerate() {
            if lacks(&self.slots[place]) {
                let outcome = listed.clone().and_then(|()| self.claim(place, predecessor, &mut found, &bad));
                let slot = &mut self.slots[place];
                slot.hosted = None;
                let noted = slot.note(outcome.as_ref().err().cloned());
                report.zones.extend(outcome.is_ok().then(|| slot.report(ZoneOutcome::Loaded)));
                report.zones.extend(noted.map(|outcome| slot.report(outcome)));
            }
        }
        let mut displaced = Vec::new();
        for found in found.into_iter().flatten() {
            if found.settings.declared {
                let (path, name) = (found.path.display(), &found.settings.name);
                tracing::warn!("{path}: zone {name} is no longer in the configuration: it is kept and not served");
                report.zones.extend(take_waiting(&mut waiting, &found.path).map(|slot| slot.report(ZoneOutcome::Removed)));
            } else {
                let path = found.path.clone();
                displaced.extend(self.host_found(found, &mut waiting, report).err().map(|_| path));
            }
        }
        if listed.is_ok() {
            self.context.state.end_problems(StateProblem::Unserved, &displaced);
        }
        self.host_damaged(&bad, &mut waiting, report);
        let is_claimed = |path: &PathBuf| self.slots.iter().any(|slot| slot.owned.as_ref().is_some_and(|owned| owned.path == *path));
        waiting.retain(|slot| !slot.awaits.as_ref().is_some_and(is_claimed));
        self.slots.extend(waiting);
    }

    /// Opens the journals that could not be listed before, if they can be now. Returns true if zones may have changed.
    pub(super) fn retry_listing(&mut self, report: &mut LookReport) -> bool {
        let state = self.context.state.clone();
        if self.unlistable().is_none() || owned::journals(state.path()).is_err_and(|error| error.kind() != ErrorKind::NotFound) {
            return false;
        }
        let waiting: Vec<ZoneSlot> = self.slots.extract_if(.., |slot| slot.awaits.is_some()).collect();
        self.open_journals(waiting, report);
        self.name_slots(&[]);
        self.groups = SourceGroup::all(&self.slots, std::mem::take(&mut self.groups)); // places moved
        true
    }

    /// Why the journals cannot be listed, so that it is unknown which zones an API made. Returns `None` if they are known.
    pub(super) fn unlistable(&self) -> Option<String> {
        let trouble = self.context.state.trouble(&owned::directory(self.context.state.path()))?;
        let why = format!("{}: {}: {}", trouble.path.display(), trouble.problem, trouble.why);
        (trouble.problem == StateProblem::Unlistable).then_some(why)
    }

    /// Brings the TTLs of zones that go on under another configuration into the bounds that it has.
    pub(super) fn keep_ttl_bounds(&mut self, report: &mut LookReport) {
        for slot in &mut self.slots {
            let Some(mut owned) = slot.owned.take() else { continue };
            let difference = owned.keep_ttl_bounds(&slot.config, &self.context.state);
            slot.zone = slot.zone.take().map(|_| owned.served(Instant::now())); // none: it has no data, whatever is kept
            slot.owned = Some(owned);
            report.zones.extend(difference.map(|difference| slot.report(ZoneOutcome::Changed(difference))));
        }
    }

    /// Writes last good data anew that was removed from the state directory.
    pub fn tend_kept(&mut self) {
        let Some(keeper) = &self.context.keeper else { return };
        let removed = keeper.removed_files();
        if removed.is_empty() {
            return;
        }
        tracing::warn!("the last good data of {} files was removed from the state directory; it is written anew", removed.len());
        self.groups.iter().for_each(|group| group.keep_again(&removed, &self.slots, keeper));
        keeper.write_index();
    }

    /// Maintains journals without a change. One that was removed is written anew, and failed writes are tried again. So is a failed listing:
    /// returns the snapshot to serve if that brought zones.
    pub fn tend_journals(&mut self) -> Option<(Arc<Snapshot>, LookReport)> {
        let mut report = LookReport::default();
        let found = self.retry_listing(&mut report).then(|| {
            self.publish(true);
            self.drop_old();
            (self.current.clone(), LookReport { generation: self.current.generation, is_new: true, ..report })
        });
        self.rewrite_journals();
        found
    }

    fn rewrite_journals(&mut self) {
        let state = self.context.state.clone();
        if !self.slots.iter().any(|slot| slot.owned.is_some()) || state.check().is_err() {
            return;
        }
        for owned in self.slots.iter_mut().filter_map(|slot| slot.owned.as_mut()) {
            let condition = owned.journal.condition();
            let is_troubled = state.is_troubled(&owned.path);
            match condition {
                Ok(JournalCondition::Sound) if is_troubled && state.has_room() => state.note(&owned.path, None::<&String>),
                Ok(JournalCondition::Sound) => {}
                Ok(JournalCondition::Spent(_)) if is_troubled && !state.has_room() => {}
                Ok(JournalCondition::Spent(_)) => drop(owned.commit(&state)), // the state directory shows an error
                Err(error) => state.note(&owned.path, Some(&error)),
            }
        }
    }

    /// Journal of each zone that has none open, as a place in `found`.
    fn journals_of(&self, found: &[FoundJournal]) -> Vec<ZonePredecessor> {
        let zones: Vec<ZoneIdentity<'_>> = self
            .slots
            .iter()
            .map(|slot| ZoneIdentity { may_have_moved: slot.owned.is_none(), ..succession::identity(&slot.config) })
            .collect();
        let earlier: Vec<ZoneIdentity<'_>> = found
            .iter()
            .map(|FoundJournal { settings, .. }| ZoneIdentity {
                name: &settings.name,
                networks: &settings.networks,
                source: None,
                may_have_moved: settings.declared,
            })
            .collect();
        find_predecessors(&zones, &earlier)
    }

    /// Writes the networks that the configuration gives a zone into its journal. The next start finds the journal by them.
    pub(super) fn keep_networks(&mut self) {
        let state = &self.context.state;
        for slot in &mut self.slots {
            let config = &slot.config;
            let Some(owned) = slot.owned.as_mut().filter(|owned| !owned.has_settings_of(config)) else { continue };
            if let Err(error) = owned.keep_settings_of(config, state) {
                tracing::error!(zone = &*slot.name, "the networks of the zone cannot be kept: {error}");
            }
            slot.hosted = None;
        }
    }

    /// Gives a zone of the configuration its journal: that of its predecessor, or a new one.
    fn claim(
        &mut self,
        place: usize,
        predecessor: ZonePredecessor,
        found: &mut [Option<FoundJournal>],
        bad: &[(PathBuf, String)],
    ) -> Result<(), String> {
        let slot = &mut self.slots[place];
        let journal = match predecessor {
            ZonePredecessor::Zone(at) => found[at].take(),
            ZonePredecessor::None => None,
            ZonePredecessor::Ambiguous => return Err(ambiguous(&slot.config.name, found)),
        };
        if let Some(found) = journal {
            let mut owned = JournaledZone::open(found, &slot.config, &slot.apex, &self.context.state)?;
            let kept = if owned.has_settings_of(&slot.config) { Ok(()) } else { owned.keep_settings_of(&slot.config, &self.context.state) };
            if let Err(error) = kept {
                tracing::error!(zone = &*slot.name, "the networks of the zone cannot be kept: {error}");
            }
            return slot.adopt(owned);
        }
        // An empty zone in place of one that cannot be read would let its names go public.
        if let Some((_, why)) = bad.iter().find(|(path, _)| owned::is_of(path, &slot.config.name)) {
            return Err(why.clone());
        }
        let settings = owned::declared_settings(&slot.config);
        let built = slot.empty_builder().finish(super::edits::unix_seconds());
        let zone = built.map_err(|_| "an empty zone was refused".to_string())?.zone;
        if self.context.state.is_inspected() {
            // As a start would have it, without writing anything.
            return match slot.origin.feed() {
                Some(feed) => Err(feed.never_fetched.into()),
                None => {
                    slot.zone = Some(Arc::new(zone));
                    Ok(())
                }
            };
        }
        let path = owned::path_for(self.context.state.path(), &slot.config.name);
        let owned = JournaledZone::create(&self.context.state, path, settings, zone).map_err(|error| error.to_string())?;
        slot.adopt(owned)
    }

    /// Hosts a zone that an API made and whose journal is not open: at the start, and when the cause of that is gone. After an error other
    /// zones have all of its networks, and its journal is kept.
    fn host_found(&mut self, found: FoundJournal, waiting: &mut Vec<ZoneSlot>, report: &mut LookReport) -> Result<(), Refusal> {
        let path = found.path.clone();
        let before = take_waiting(waiting, &path);
        let links = match self.free_links(&found.settings) {
            Ok(links) => links,
            Err(refusal) => {
                self.context.state.note_problem(&path, StateProblem::Unserved, Some(&refusal));
                report.zones.extend(before.map(|slot| slot.report(ZoneOutcome::Removed)));
                return Err(refusal);
            }
        };
        let Some(mut slot) = ZoneSlot::new(&made_zone(&found.settings), None, report) else { return Ok(()) };
        slot.continue_waiting(before);
        slot.link(links);
        let opened = JournaledZone::open(found, &slot.config, &slot.apex, &self.context.state);
        let error = opened.as_ref().err().cloned();
        match opened {
            Ok(owned) => {
                (slot.zone, slot.owned) = (Some(owned.latest.clone()), Some(owned));
                report.zones.push(slot.report(ZoneOutcome::Loaded));
            }
            Err(_) => slot.awaits = Some(path),
        }
        if let Some(outcome) = slot.note(error) {
            report.zones.push(slot.report(outcome));
        }
        self.slots.push(slot);
        Ok(())
    }

    /// A journal that cannot be read, of a zone that the configuration does not name: its names answer SERVFAIL in all networks that
    /// no zone of the same name has, because for which it was is not known, and none of them must go public.
    fn host_damaged(&mut self, bad: &[(PathBuf, String)], waiting: &mut Vec<ZoneSlot>, report: &mut LookReport) {
        for (path, why) in bad {
            let before = take_waiting(waiting, path);
            let namesakes: Vec<&ZoneSlot> = self.slots.iter().filter(|slot| owned::is_of(path, &slot.config.name)).collect();
            if namesakes.iter().any(|slot| slot.zone.is_none() && *slot.reason == **why) {
                report.zones.extend(before.map(|slot| slot.report(ZoneOutcome::Removed)));
                continue; // said of that zone
            }
            let has_zone = |network: &str| namesakes.iter().any(|slot| slot.networks.include(network));
            let names = self.networks.iter().map(|network| network.name.clone());
            let left: Vec<String> = names.filter(|name| !namesakes.is_empty() && !has_zone(name)).collect();
            if !namesakes.is_empty() && left.is_empty() {
                tracing::error!("{why}; zones of the same name serve every network");
                report.zones.extend(before.map(|slot| slot.report(ZoneOutcome::Removed)));
                continue;
            }
            let slot = owned::name_of(path).and_then(|name| {
                let settings = ZoneSettings {
                    name,
                    networks: NetworkLinks::of_list(left), // empty only if there is no namesake
                    on_missing: postern_config::model::OnMissing::Servfail,
                    fallback: None,
                    declared: false,
                    extra: Default::default(),
                };
                ZoneSlot::new(&made_zone(&settings), None, report)
            });
            let Some(mut slot) = slot else {
                tracing::error!("{why}");
                continue;
            };
            slot.continue_waiting(before);
            slot.awaits = Some(path.clone());
            if let Some(outcome) = slot.note(Some(why.clone())) {
                report.zones.push(slot.report(outcome));
            }
            self.slots.push(slot);
        }
    }

    /// The networks that other zones leave to a zone that an API made. A network that is no longer configured does not count. Returns an
    /// error if other zones have all of them.
    fn free_links(&self, settings: &ZoneSettings) -> Result<MadeLinks, Refusal> {
        let is_known = |name: &&String| self.networks.iter().any(|network| network.name == **name);
        let (known, unknown): (Vec<&String>, Vec<&String>) = settings.networks.names().iter().partition(is_known);
        for network in &unknown {
            tracing::warn!(zone = settings.name, "linked to network `{network}`, which the configuration does not have");
        }
        let has = |slot: &ZoneSlot, network: &String| slot.networks.include(network);
        let holder = |network: &String| self.slots.iter().find(|slot| *slot.name == settings.name && has(slot, network));
        let all = || self.networks.iter().map(|network| &network.name).collect();
        let wanted = if settings.networks.are_all() { all() } else { known };
        let (taken, free): (Vec<&String>, Vec<&String>) = wanted.into_iter().partition(|network| holder(network).is_some());
        let Some(other) = taken.first().and_then(|network| holder(network)) else {
            return Ok(MadeLinks { networks: settings.networks.clone(), conflict: None });
        };
        if free.is_empty() {
            return Err(other.refuse_twin());
        }
        let names: Vec<&str> = taken.iter().map(|network| network.as_str()).collect();
        let networks = if names.len() == 1 { "network" } else { "networks" };
        let writer = other.declared_by();
        let conflict = format!("not served in {networks} {}, where {writer} has a zone of the same name", names.join(", "));
        Ok(MadeLinks { networks: NetworkLinks::These(free.into_iter().chain(unknown).cloned().collect()), conflict: Some(conflict) })
    }
}

/// Reason why a zone has no data although journals of its name exist.
fn ambiguous(name: &str, found: &[Option<FoundJournal>]) -> String {
    let of_name = found.iter().flatten().filter(|found| found.settings.name == name);
    let journals: Vec<String> = of_name.map(|found| format!("{} (for {})", found.path.display(), found.settings.networks)).collect();
    format!(
        "several zones {name} have other networks than before, and it is not certain whose records are in {}; help: first reload with only the \
         zone that continues this journal, then add the others; or move journals away that are not wanted",
        journals.join(", ")
    )
}

/// The networks in which a zone that an API made is served.
struct MadeLinks {
    networks: NetworkLinks,
    /// The networks that it is left out of, and why.
    conflict: Option<String>,
}

/// The zone without data that waits for this journal.
fn take_waiting(waiting: &mut Vec<ZoneSlot>, path: &Path) -> Option<ZoneSlot> {
    let place = waiting.iter().position(|slot| slot.awaits.as_deref() == Some(path))?;
    Some(waiting.swap_remove(place))
}

impl ZoneSlot {
    /// Links a zone that an API made. A new conflict is logged.
    fn link(&mut self, MadeLinks { networks, conflict }: MadeLinks) {
        if let Some(why) = conflict.as_ref().filter(|_| conflict != self.state.conflict) {
            tracing::error!(zone = &*self.name, "{why}");
        }
        (self.networks, self.hosted) = (networks, None);
        self.show_conflict(conflict);
    }

    pub(super) fn show_conflict(&mut self, conflict: Option<String>) {
        if self.state.conflict != conflict {
            self.state.conflict = conflict;
            self.shown.show(&self.state);
        }
    }

    /// Takes how the source of the zone was doing, so that what was reported already is not reported again.
    fn continue_waiting(&mut self, before: Option<ZoneSlot>) {
        if let Some(before) = before {
            (self.state, self.reason, self.shown) = (before.state, before.reason, before.shown);
        }
    }

    /// Takes a journal that is its own. A zone that its feed never brought is not empty: it has no data, and its names must not go public.
    /// Records of its former writer serve until the feed brings the zone.
    pub(super) fn adopt(&mut self, owned: JournaledZone) -> Result<(), String> {
        let fetched = owned.settings.extra.get(FETCHED).and_then(|at| at.as_u64());
        let (serves, why) = match (self.origin.feed(), fetched) {
            (None, _) => (true, None),
            (Some(feed), None) => (owned.has_records(), Some(feed.never_fetched)),
            (Some(feed), Some(at)) => {
                let age = u64::from(super::edits::unix_seconds()).saturating_sub(at);
                let why = feed.expired.filter(|_| age > u64::from(owned.latest.expire()));
                (why.is_none(), why)
            }
        };
        self.zone = serves.then(|| owned.latest.clone());
        self.owned = Some(owned);
        why.map_or(Ok(()), |why| Err(why.into()))
    }
}
