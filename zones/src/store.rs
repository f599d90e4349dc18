//! The store: it reads sources, keeps the last good data of each, and makes snapshots.
//!
//! ```text
//! files ─ source ─▶ group ─ text ─▶ logs ─ builder ─▶ zone ─┐
//! (stamps, bytes)   (zones with one source)                 ├─▶ Snapshot ─▶ whoever serves
//! configuration ─▶ networks, links, policies ───────────────┘
//! ```
//! Bad data changes nothing: a zone serves its last good data, and a zone that never had any reports the reason. A look applies everything
//! that it finds as one new generation. The store keeps each snapshot until no other thread holds it, so that no thread that answers has
//! to free one.

mod building;
mod context;
mod directory;
mod discover;
mod edits;
mod guard;
mod hosting;
mod journals;
mod judged;
mod kept;
mod overrides;
mod owned;
mod replay;
mod report;
mod restore;
mod source_group;
mod succession;
pub mod upkeep;
mod zone_slot;

#[cfg(test)]
mod directory_tests;
#[cfg(test)]
mod guard_tests;
#[cfg(test)]
mod kept_tests;
#[cfg(test)]
mod tests;

use std::cell::OnceCell;
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use postern_config::WatchedFile;
use postern_config::model::{self, PosternConfig};

pub use crate::source::{LookMode, OpenWriters};
pub use crate::source_state::{Shown, SourceState};
pub use directory::{NamedFile, file_names};
pub use edits::Committed;
pub use guard::{AcceptedZone, LONGEST_WRITE, UNFINISHED};
pub use report::{LookReport, ZoneOutcome, ZoneReport, ZoneStatus};

use crate::edit::{ACCEPTED_LOSS, EditMeter};
use crate::lint;
use crate::name::NameBuf;
use crate::record::{Severity, SourceProblem, TextPosition};
use crate::snapshot::{Hosted, Snapshot, SnapshotBuilder};
use crate::spelling;
use crate::state_directory::StateDirectory;
use crate::zone::{Zone, rtype};
use context::Context;
use kept::Keeper;
use source_group::SourceGroup;
use succession::{ZonePredecessor, find_predecessors};
use zone_slot::ZoneSlot;

/// Attempts at reading files that change together while they are read, if the caller cannot wait.
const TRIES: u32 = 5;
/// A file that no zone reads is reported after this time.
const UNREAD_PATIENCE: Duration = Duration::from_secs(2);
/// Most unread files of a directory that are reported by name. The others are counted.
const MOST_UNREAD: usize = 20;

/// Zones, their sources, and the snapshots made of them.
#[derive(Debug)]
pub struct Store {
    slots: Vec<ZoneSlot>,
    groups: Vec<SourceGroup>,
    networks: Vec<model::NetworkConfig>,
    /// Files that the configuration names and that are no sources: keys, certificates, tables.
    beside: Vec<WatchedFile>,
    context: Context,
    current: Arc<Snapshot>,
    /// Earlier snapshots that other threads may still hold.
    old: Vec<Arc<Snapshot>>,
    /// Report of a look that was not applied because a source changed meanwhile.
    held: Option<LookReport>,
    /// Files that no zone reads, each with the time when it was first seen. True if it was reported.
    unread: HashMap<PathBuf, (Instant, bool)>,
    /// Counters of edits.
    meter: Arc<EditMeter>,
}

impl Store {
    /// Reads every source once. The report has the bad ones. Their zones have no data, and all other zones serve.
    pub fn open(config: &PosternConfig, state: Arc<StateDirectory>) -> (Self, Arc<Snapshot>, LookReport) {
        let context = Context {
            table: config.azure.clone(),
            poll: config.server.poll,
            settle: config.server.settle,
            clients: None,
            writers: Arc::default(),
            is_inspection: state.is_inspected(),
            keeper: (!state.is_inspected()).then(|| Arc::new(Keeper::open(state.clone()))),
            state,
            most: config.server.max_source_size,
            zone_names: config.server.zone_names.clone(),
            outputs: Vec::new(),
        };
        let current = Arc::new(SnapshotBuilder::new().build());
        let mut store = Self {
            slots: Vec::new(),
            groups: Vec::new(),
            networks: Vec::new(),
            beside: Vec::new(),
            context,
            current,
            old: Vec::new(),
            held: None,
            unread: HashMap::new(),
            meter: Arc::default(),
        };
        let (snapshot, report) = store.apply_configuration(config, &[]);
        (store, snapshot, report)
    }

    /// Looks at every source and applies all changes as one generation.
    pub fn look_again(&mut self, now: Instant, how: LookMode) -> (Arc<Snapshot>, LookReport) {
        let held = self.held.take();
        let was_held = held.is_some();
        let mut report = held.unwrap_or_default();
        report.merge(self.read(now, how));
        if self.slots.iter().any(|slot| slot.hosted.is_none()) {
            // A source that changed meanwhile may belong to a later version than the others. The next look reads all of them.
            if how == LookMode::Settled && !was_held && self.has_moved() {
                self.held = Some(report);
                let report = LookReport { generation: self.current.generation, again: Some(self.context.settle), ..LookReport::default() };
                return (self.current.clone(), report);
            }
            self.publish(false);
            report.is_new = true;
        }
        report.generation = self.current.generation;
        self.drop_old();
        (self.current.clone(), report)
    }

    /// Takes another configuration. Zones that are in both keep their data, and their sources are read again.
    pub fn reconfigure(&mut self, config: &PosternConfig) -> (Arc<Snapshot>, LookReport) {
        self.reconfigure_accepting(config, &[])
    }

    /// As [`Store::reconfigure`]. The zones in `accepted` take the present content of their files, whatever is lost.
    pub fn reconfigure_accepting(&mut self, config: &PosternConfig, accepted: &[AcceptedZone]) -> (Arc<Snapshot>, LookReport) {
        let applied = self.apply_configuration(config, accepted);
        self.forget_unconfigured();
        applied
    }

    fn apply_configuration(&mut self, config: &PosternConfig, accepted: &[AcceptedZone]) -> (Arc<Snapshot>, LookReport) {
        let mut report = LookReport::default();
        let mut old: Vec<ZoneSlot> = std::mem::take(&mut self.slots);
        let waiting: Vec<ZoneSlot> = old.extract_if(.., |slot| slot.awaits.is_some()).collect();
        let zones: Vec<&model::ZoneConfig> = config.zones.iter().chain(&config.overrides).collect();
        let (continued, old) = continued(&zones, old);
        self.slots = zones.into_iter().zip(continued).filter_map(|(zone, before)| ZoneSlot::new(zone, before, &mut report)).collect();
        self.networks = config.networks.clone();
        self.keep_made(old, &mut report);
        self.open_journals(waiting, &mut report);
        self.keep_networks();
        self.keep_ttl_bounds(&mut report);
        (self.context.poll, self.context.settle) = (config.server.poll, config.server.settle);
        self.context.most = config.server.max_source_size;
        let real = |path: &PathBuf| Some(path.parent()?.canonicalize().ok()?.join(path.file_name()?));
        self.context.outputs = config.fallback.file.iter().filter_map(real).collect();
        self.unread.clear();
        self.context.clients = lint::networks(config).map(Arc::new);
        self.context.zone_names.clone_from(&config.server.zone_names);
        self.beside.clone_from(&config.files);
        self.context.table = config.azure.clone(); // by which the sources are read anew, below
        self.groups = SourceGroup::all(&self.slots, std::mem::take(&mut self.groups));
        self.name_slots(accepted);
        report.merge(self.held.take().unwrap_or_default());
        report.merge(self.read(Instant::now(), LookMode::Now));
        self.slots.iter_mut().for_each(|slot| slot.accepts_loss = false);
        self.keep_inherited();
        self.publish(true);
        (report.generation, report.is_new) = (self.current.generation, true);
        self.drop_old();
        (self.current.clone(), report)
    }

    /// Notes which zones share a name, and which zones accept a loss.
    fn name_slots(&mut self, accepted: &[AcceptedZone]) {
        let mut count: HashMap<Arc<str>, usize> = HashMap::new();
        self.slots.iter().for_each(|slot| *count.entry(slot.name.clone()).or_default() += 1);
        for slot in &mut self.slots {
            slot.has_namesake = count.get(&slot.name).is_some_and(|count| *count > 1);
            slot.accepts_loss = accepted.iter().any(|zone| zone.is(&slot.config));
            let is_guarded = slot.origin.feed().is_some_and(|kind| kind.is_guarded);
            if let Some(owned) = slot.owned.as_mut().filter(|_| slot.accepts_loss && is_guarded) {
                Arc::make_mut(&mut owned.settings).extra.insert(ACCEPTED_LOSS.into(), true.into()); // until the next edit of the feed
                slot.hosted = None;
            }
        }
    }

    /// Keeps the data of zones whose own source was not good yet. The next start serves it until that source is good.
    fn keep_inherited(&self) {
        let Some(keeper) = &self.context.keeper else { return };
        for slot in self.slots.iter().filter(|slot| slot.is_inherited) {
            slot.zone.iter().for_each(|zone| keeper.save_inherited(&slot.config, zone, slot.state.changed));
        }
    }

    /// Forgets the last good data of zones and sources that the configuration does not have. A reload does so by itself. At the start the
    /// caller must know that the configuration is accepted: a truncated one must not cost the data of the zones that it lacks.
    pub fn forget_unconfigured(&self) {
        let Some(keeper) = &self.context.keeper else { return };
        let of_files = || self.slots.iter().filter_map(|slot| Some((&slot.config, slot.config.source.files()?)));
        let zones: HashSet<String> = of_files().map(|(zone, _)| kept::zone_key(zone)).collect();
        let sources: HashSet<String> = of_files().map(|(_, source)| kept::source_key(source)).collect();
        keeper.retain(&zones, &sources);
    }

    /// Programs that write to files now, as the watch reports them.
    pub fn writers(&self) -> &Arc<OpenWriters> {
        &self.context.writers
    }

    /// Counters of edits.
    pub fn meter(&self) -> &Arc<EditMeter> {
        &self.meter
    }

    /// The snapshot that serves.
    pub fn current(&self) -> &Arc<Snapshot> {
        &self.current
    }

    /// Every zone with the state of its source, in the order of the configuration.
    pub fn zones(&self) -> impl Iterator<Item = ZoneStatus<'_>> {
        self.slots.iter().map(|slot| ZoneStatus {
            name: &slot.name,
            networks: &slot.networks,
            source: &slot.config.source,
            state: &slot.state,
            files: &slot.files,
            zone: slot.zone.as_ref(),
        })
    }

    /// Files that the configuration names beside the sources.
    pub fn beside(&self) -> &[WatchedFile] {
        &self.beside
    }

    /// Watches the files of a configuration that was read, whether it is applied or rejected.
    pub fn attend(&mut self, files: &[WatchedFile]) {
        self.beside = files.to_vec();
    }

    /// Notes the new content of such a file.
    pub fn saw(&mut self, file: WatchedFile) {
        self.beside.iter_mut().filter(|old| old.path == file.path).for_each(|old| old.clone_from(&file));
    }

    /// Files and directories of all sources, whether they exist or not. The watch follows them.
    pub fn paths(&self) -> Vec<PathBuf> {
        self.groups.iter().flat_map(SourceGroup::paths).map(Path::to_path_buf).collect()
    }

    /// How often to look even when nothing happened.
    pub fn poll(&self) -> Duration {
        self.context.poll
    }

    /// How long a file must stand still before it is read.
    pub fn settle(&self) -> Duration {
        self.context.settle
    }

    /// Time until no source changes any more. `None` if none is being written.
    pub fn settles_in(&mut self, now: Instant) -> Option<Duration> {
        let settle = self.context.settle;
        self.groups.iter_mut().filter_map(|group| group.settles_in(&self.slots, now, settle)).max()
    }

    /// Frees the snapshots that no other thread holds. Returns the number of those that are still held.
    pub fn drop_old(&mut self) -> usize {
        self.old.retain(|snapshot| Arc::strong_count(snapshot) > 1);
        self.old.len()
    }

    /// Returns true if a source was changed since it was read.
    fn has_moved(&self) -> bool {
        self.groups.iter().any(SourceGroup::has_moved)
    }

    fn read(&mut self, now: Instant, how: LookMode) -> LookReport {
        let mut report = LookReport::default();
        for _ in 0..TRIES {
            for group in &mut self.groups {
                group.look(&mut self.slots, &self.context, now, how, &mut report);
            }
            if how == LookMode::Settled || !self.has_moved() {
                break; // else one of them was changed after others were read
            }
        }
        if report.zones.iter().any(|zone| matches!(zone.outcome, ZoneOutcome::Loaded | ZoneOutcome::Changed(_))) {
            self.lint(&mut report);
            overrides::lint(&self.slots, &mut report);
        }
        self.note_unread(now, how, &mut report);
        report
    }

    /// Warns once about each file of a zone directory that nothing reads. Editors and copying programs leave such files for a moment, so a
    /// new one is given time.
    fn note_unread(&mut self, now: Instant, how: LookMode, report: &mut LookReport) {
        let mut before = std::mem::take(&mut self.unread);
        let used: OnceCell<HashSet<PathBuf>> = OnceCell::new();
        let real = |path: &Path| path.canonicalize().ok();
        let find_used = || {
            let beside = self.beside.iter().map(|file| file.path.as_path());
            self.groups.iter().flat_map(SourceGroup::paths).chain(beside).filter_map(real).collect()
        };
        let is_output = |path: &Path| {
            let octets = |path: &Path| path.file_name().unwrap_or_default().as_encoded_bytes().to_vec();
            let begins = |output: &PathBuf| octets(path).starts_with(&octets(output)) && path.parent() == output.parent();
            self.context.outputs.iter().any(begins)
        };
        let is_used = |path: &Path| real(path).is_none_or(|path| is_output(&path) || used.get_or_init(find_used).contains(&path));
        for group in &self.groups {
            let mut shown = Vec::new();
            let mut unnamed = 0;
            for path in group.unread(is_used) {
                let (since, was_told) = before.remove(&path).unwrap_or((now, false));
                let left = UNREAD_PATIENCE.saturating_sub(now.saturating_duration_since(since));
                if was_told || how == LookMode::Now || left.is_zero() {
                    if shown.len() == MOST_UNREAD {
                        unnamed += 1;
                    } else {
                        if !was_told {
                            report.problems.push(unread(&path, group.hint(&path, &self.slots)));
                        }
                        shown.push(path.clone());
                    }
                    self.unread.insert(path, (since, true));
                } else {
                    report.again = Some(report.again.map_or(left, |other| other.min(left)));
                    self.unread.insert(path, (since, false));
                }
            }
            let was_told = group.zones().first().is_some_and(|slot| self.slots[*slot].shown.unread().len() == MOST_UNREAD);
            if let Some(last) = shown.last().filter(|_| unnamed > 0 && !was_told) {
                report.problems.push(unread(last, format!("{unnamed} more files of the directory are not read either")));
            }
            let mut shown: Arc<[PathBuf]> = shown.into();
            for slot in group.zones() {
                self.slots[*slot].shown.show_unread(std::mem::take(&mut shown));
            }
        }
    }

    /// Makes the next snapshot. It is made from the last one if only data changed.
    fn publish(&mut self, is_anew: bool) {
        let hosted: Vec<Arc<Hosted>> = self.slots.iter_mut().map(ZoneSlot::hosted).collect();
        let next = if is_anew {
            let mut builder = SnapshotBuilder::new().generation(self.current.generation + 1);
            for network in &self.networks {
                builder = builder.network(&network.name, &network.clients, network.recursion);
            }
            for (slot, hosted) in self.slots.iter().zip(hosted) {
                builder = builder.hosted(hosted, &slot.networks);
            }
            builder.build()
        } else {
            self.current.next(|place| hosted[place].clone())
        };
        self.old.push(std::mem::replace(&mut self.current, Arc::new(next)));
    }

    /// Warns about a name whose two spellings have different addresses in zones of one network.
    fn lint(&self, report: &mut LookReport) {
        let mut told: Vec<(NameBuf, NameBuf)> = Vec::new();
        let is_reported = |slot: &&ZoneSlot| report.zones.iter().any(|zone| zone.name == slot.name && zone.networks == slot.networks);
        let reported: Vec<&ZoneSlot> = self.slots.iter().filter(is_reported).collect();
        for slot in reported {
            let Some(zone) = slot.zone.as_ref().filter(|zone| spelling::is_searched(zone)) else { continue };
            let shares = |other: &&ZoneSlot| slot.networks.overlap(&other.networks);
            let others: Vec<&Zone> = self.slots.iter().filter(shares).filter_map(|slot| slot.zone.as_deref()).collect();
            for (name, other) in spelling::spelled_twice(zone, &others, &self.context.table) {
                if told.iter().any(|(one, two)| (one, two) == (&other, &name)) {
                    continue;
                }
                let own = [rtype::A, rtype::AAAA].into_iter().find_map(|rtype| zone.file_of(&name, rtype)).cloned();
                let file = own.unwrap_or_else(|| Arc::new(slot.origin.file().map_or_else(PathBuf::new, |file| file.to_path_buf())));
                let message = format!("{name} and {other} have different addresses");
                let help = "both may be what the public name leads to: give both the private endpoint's address".into();
                report.problems.push(SourceProblem { file, at: TextPosition::default(), severity: Severity::Warning, message, help });
                told.push((name, other));
            }
        }
    }
}

/// The earlier slot that each zone continues, and the slots that no zone continues.
fn continued(zones: &[&model::ZoneConfig], slots: Vec<ZoneSlot>) -> (Vec<Option<ZoneSlot>>, Vec<ZoneSlot>) {
    let identities: Vec<_> = zones.iter().map(|zone| succession::identity(zone)).collect();
    let earlier: Vec<_> = slots.iter().map(ZoneSlot::identity).collect();
    let predecessors = find_predecessors(&identities, &earlier);
    let mut slots: Vec<Option<ZoneSlot>> = slots.into_iter().map(Some).collect();
    let take = |predecessor: &ZonePredecessor| match predecessor {
        ZonePredecessor::Zone(place) => slots[*place].take(),
        ZonePredecessor::None | ZonePredecessor::Ambiguous => None,
    };
    let continued = predecessors.iter().map(take).collect();
    (continued, slots.into_iter().flatten().collect())
}

fn unread(path: &Path, help: String) -> SourceProblem {
    let (file, message) = (Arc::new(path.to_path_buf()), "no zone reads this file".into());
    SourceProblem { file, at: TextPosition::default(), severity: Severity::Warning, message, help }
}
