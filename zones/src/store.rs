//! The store: reads sources, keeps what was good, makes snapshots.
//!
//! ```text
//! files ─ source ─▶ unit ─ text ─▶ logs ─ builder ─▶ zone ─┐
//! (stamps, bytes)   (zones with one source)                ├─▶ Snapshot ─▶ whoever serves
//! configuration ─▶ networks, links, policies ──────────────┘
//! ```
//! What is bad changes nothing: a zone serves the last data that was good, and a zone that never had any says why. A look applies all
//! that it finds as one new generation. The store keeps every snapshot until nobody else holds it, so that the last hold is given up here
//! and never by a thread that answers.

mod directory;
mod discover;
mod edits;
mod guard;
mod journals;
mod kept;
mod owned;
mod report;
mod restore;
mod unit;
pub mod upkeep;

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
use std::time::{Duration, Instant, SystemTime};

use postern_config::File;
use postern_config::azure::Table;
use postern_config::model::{self, Config, Source, ZoneNames};

pub use crate::source::{Look, OpenWriters};
pub use directory::file_names;
pub use edits::Committed;
pub use guard::{AcceptedZone, LONGEST_WRITE, UNFINISHED};
pub use journals::{EXPIRED, NEVER_TRANSFERRED};
pub use report::{FileShare, Outcome, Report, Shown, SourceState, ZoneReport, ZoneStatus};

use crate::diff::Difference;
use crate::edit::Meter;
use crate::lint;
use crate::name::{NameBuf, WireName};
use crate::network::Clients;
use crate::record::{Position, Problem, Severity};
use crate::snapshot::{Hosted, Kept, Snapshot, SnapshotBuilder, Writer, ZoneState};
use crate::state_directory::StateDirectory;
use crate::zone::Zone;
use kept::Keeper;
use owned::Owned;
use unit::Unit;

/// Tries to read files that were swapped together while they were read, when they must be read now.
const TRIES: u32 = 5;
/// How long a file that no zone reads must have been there before it is reported.
const UNREAD_PATIENCE: Duration = Duration::from_secs(2);
/// Unread files of one directory that are named; more are counted.
const MOST_UNREAD: usize = 20;

/// Zones, their sources, and the snapshots made of them.
#[derive(Debug)]
pub struct Store {
    slots: Vec<Slot>,
    units: Vec<Unit>,
    networks: Vec<model::Network>,
    /// Files that the configuration names beside them.
    beside: Vec<File>,
    context: Context,
    current: Arc<Snapshot>,
    /// Snapshots that somebody may still hold.
    old: Vec<Arc<Snapshot>>,
    /// What a look found and did not apply, because something moved meanwhile.
    held: Option<Report>,
    /// Files that no zone reads, each with when it was first seen and whether it was reported.
    unread: HashMap<PathBuf, (Instant, bool)>,
    /// What it counts of edits.
    meter: Arc<Meter>,
}

/// A zone of the configuration.
#[derive(Debug)]
struct Slot {
    config: model::Zone,
    name: Arc<str>,
    apex: WireName,
    networks: Arc<[String]>,
    zone: Option<Arc<Zone>>,
    /// Why there is no data, while there is none.
    reason: Arc<str>,
    /// Why the records of its sources do not make a zone.
    build_error: Option<String>,
    state: SourceState,
    /// What its files hold is taken whatever is lost: the operator accepted it, for this one reading.
    accepts_loss: bool,
    /// What an earlier run kept of it was looked up.
    is_recalled: bool,
    /// The serial that an earlier run served it with, and whether its sources are as they were then.
    kept_serial: Option<(u32, bool)>,
    /// When the data that it serves was kept, if that is of an earlier run.
    kept_since: Option<SystemTime>,
    /// That was not reported yet.
    kept_is_new: bool,
    /// Another zone has the same name, in other networks.
    has_namesake: bool,
    /// The same for others.
    shown: Arc<Shown>,
    writer: Writer,
    /// Files that its records come from.
    files: Vec<FileShare>,
    /// Where an API writes it: its journal and what is committed.
    owned: Option<Owned>,
    /// The journal of a zone that an API made, which could not be opened: the zone has no data until it is.
    awaits: Option<PathBuf>,
    /// As in the last snapshot; none: something of it changed since.
    hosted: Option<Arc<Hosted>>,
}

/// What reading needs to know beside the files.
#[derive(Debug)]
struct Context {
    table: Arc<Table>,
    poll: Duration,
    settle: Duration,
    clients: Option<Arc<Clients>>,
    /// Who writes which files now, as events report it.
    writers: Arc<OpenWriters>,
    /// Files are read as they are, and nothing is waited for: a check.
    is_inspection: bool,
    /// Keeps the last good data for the next start; none: nothing is kept.
    keeper: Option<Arc<Keeper>>,
    /// Where journals are kept.
    state: Arc<StateDirectory>,
    /// Largest source, bytes.
    most: u64,
    /// Names for zones that an API makes.
    zone_names: ZoneNames,
    /// Files that the server writes, with what their names begin with.
    outputs: Vec<PathBuf>,
}

impl Store {
    /// Reads every source once. A bad one is in the report, its zones have no data, and everything else serves.
    pub fn open(config: &Config, state: Arc<StateDirectory>) -> (Self, Arc<Snapshot>, Report) {
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
            units: Vec::new(),
            networks: Vec::new(),
            beside: Vec::new(),
            context,
            current,
            old: Vec::new(),
            held: None,
            unread: HashMap::new(),
            meter: Arc::default(),
        };
        let (snapshot, report) = store.reconfigure(config);
        (store, snapshot, report)
    }

    /// Looks at every source and applies what is new as one generation.
    pub fn look_again(&mut self, now: Instant, how: Look) -> (Arc<Snapshot>, Report) {
        let held = self.held.take();
        let was_held = held.is_some();
        let mut report = held.unwrap_or_default();
        report.merge(self.read(now, how));
        if self.slots.iter().any(|slot| slot.hosted.is_none()) {
            // What moved while the others were read may belong to a later version than they do: the next look has them all.
            if how == Look::Settled && !was_held && self.has_moved() {
                self.held = Some(report);
                let report = Report { generation: self.current.generation, again: Some(self.context.settle), ..Report::default() };
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
    pub fn reconfigure(&mut self, config: &Config) -> (Arc<Snapshot>, Report) {
        self.reconfigure_accepting(config, &[])
    }

    /// As [`Store::reconfigure`]. For the zones named in `accepted`, what their files hold at this moment is taken, whatever is lost.
    pub fn reconfigure_accepting(&mut self, config: &Config, accepted: &[AcceptedZone]) -> (Arc<Snapshot>, Report) {
        let mut report = Report::default();
        let mut old: Vec<Slot> = std::mem::take(&mut self.slots);
        let before: Vec<model::Zone> = old.iter().map(|slot| slot.config.clone()).collect();
        let waiting: Vec<Slot> = old.extract_if(.., |slot| slot.awaits.is_some()).collect();
        self.slots = config.zones.iter().filter_map(|zone| Slot::new(zone, &mut old)).collect();
        self.networks = config.networks.clone();
        self.keep_made(old, &mut report);
        self.open_journals(waiting, &mut report);
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
        self.units = Unit::all(&self.slots, std::mem::take(&mut self.units));
        self.name_slots(accepted);
        self.forget_dropped(&before);
        report.merge(self.held.take().unwrap_or_default());
        report.merge(self.read(Instant::now(), Look::Now));
        self.slots.iter_mut().for_each(|slot| slot.accepts_loss = false);
        self.publish(true);
        (report.generation, report.is_new) = (self.current.generation, true);
        self.drop_old();
        (self.current.clone(), report)
    }

    /// Notes which zones share a name, and of which a loss is accepted.
    fn name_slots(&mut self, accepted: &[AcceptedZone]) {
        let mut count: HashMap<Arc<str>, usize> = HashMap::new();
        self.slots.iter().for_each(|slot| *count.entry(slot.name.clone()).or_default() += 1);
        for slot in &mut self.slots {
            slot.has_namesake = count.get(&slot.name).is_some_and(|count| *count > 1);
            slot.accepts_loss = accepted.iter().any(|zone| zone.is(&slot.config));
        }
    }

    /// Gives up what is kept of zones and sources that the configuration dropped.
    fn forget_dropped(&self, before: &[model::Zone]) {
        let Some(keeper) = &self.context.keeper else { return };
        let keys: HashSet<String> = self.slots.iter().map(|slot| kept::zone_key(&slot.config)).collect();
        let sources: HashSet<&Source> = self.slots.iter().map(|slot| &slot.config.source).collect();
        for zone in before.iter().filter(|zone| !unit::is_owned(&zone.source)) {
            if !keys.contains(&kept::zone_key(zone)) {
                keeper.forget_zone(zone);
            }
            if !sources.contains(&zone.source) {
                keeper.forget(&zone.source, None);
            }
        }
    }

    /// Who writes which files now. The watch keeps it.
    pub fn writers(&self) -> &Arc<OpenWriters> {
        &self.context.writers
    }

    /// What it counts of edits.
    pub fn meter(&self) -> &Arc<Meter> {
        &self.meter
    }

    /// The snapshot that serves.
    pub fn current(&self) -> &Arc<Snapshot> {
        &self.current
    }

    /// Every zone with its source and how that is doing, in the order of the configuration.
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
    pub fn beside(&self) -> &[File] {
        &self.beside
    }

    /// A configuration was read. Whether it is applied or refused, a change of one of its files is what is waited for from now on.
    pub fn attend(&mut self, files: &[File]) {
        self.beside = files.to_vec();
    }

    /// Other content of such a file was seen.
    pub fn saw(&mut self, file: File) {
        self.beside.iter_mut().filter(|old| old.path == file.path).for_each(|old| old.clone_from(&file));
    }

    /// Files and directories that the sources consist of, there or not: what to watch.
    pub fn paths(&self) -> Vec<PathBuf> {
        self.units.iter().flat_map(Unit::paths).map(Path::to_path_buf).collect()
    }

    /// How often to look even when nothing happened.
    pub fn poll(&self) -> Duration {
        self.context.poll
    }

    /// How long a file must stand still before it is read.
    pub fn settle(&self) -> Duration {
        self.context.settle
    }

    /// How long it takes until every source will have stood still, while some are being written.
    pub fn settles_in(&mut self, now: Instant) -> Option<Duration> {
        let settle = self.context.settle;
        self.units.iter_mut().filter_map(|unit| unit.settles_in(&self.slots, now, settle)).max()
    }

    /// Gives up snapshots that nobody else holds. Gives how many others are still held.
    pub fn drop_old(&mut self) -> usize {
        self.old.retain(|snapshot| Arc::strong_count(snapshot) > 1);
        self.old.len()
    }

    /// True where a source was changed since it was read.
    fn has_moved(&self) -> bool {
        self.units.iter().any(Unit::has_moved)
    }

    fn read(&mut self, now: Instant, how: Look) -> Report {
        let mut report = Report::default();
        for _ in 0..TRIES {
            for unit in &mut self.units {
                unit.look(&mut self.slots, &self.context, now, how, &mut report);
            }
            if how == Look::Settled || !self.has_moved() {
                break; // else one of them was changed after others were read
            }
        }
        if report.zones.iter().any(|zone| matches!(zone.outcome, Outcome::Loaded | Outcome::Changed(_))) {
            self.lint(&mut report);
        }
        self.note_unread(now, how, &mut report);
        report
    }

    /// Warns of files in zone directories that nothing reads, once for each. Those that come and go, as editors and copying programs make
    /// them, are given time.
    fn note_unread(&mut self, now: Instant, how: Look, report: &mut Report) {
        let mut before = std::mem::take(&mut self.unread);
        let used: OnceCell<HashSet<PathBuf>> = OnceCell::new();
        let real = |path: &Path| path.canonicalize().ok();
        let find_used = || {
            let beside = self.beside.iter().map(|file| file.path.as_path());
            self.units.iter().flat_map(Unit::paths).chain(beside).filter_map(real).collect()
        };
        let is_output = |path: &Path| {
            let octets = |path: &Path| path.file_name().unwrap_or_default().as_encoded_bytes().to_vec();
            let begins = |output: &PathBuf| octets(path).starts_with(&octets(output)) && path.parent() == output.parent();
            self.context.outputs.iter().any(begins)
        };
        let is_used = |path: &Path| real(path).is_none_or(|path| is_output(&path) || used.get_or_init(find_used).contains(&path));
        for unit in &self.units {
            let mut shown = Vec::new();
            let mut unnamed = 0;
            for path in unit.unread(is_used) {
                let (since, was_told) = before.remove(&path).unwrap_or((now, false));
                let left = UNREAD_PATIENCE.saturating_sub(now.saturating_duration_since(since));
                if was_told || how == Look::Now || left.is_zero() {
                    if shown.len() == MOST_UNREAD {
                        unnamed += 1;
                    } else {
                        if !was_told {
                            report.problems.push(unread(&path, unit.hint(&path, &self.slots)));
                        }
                        shown.push(path.clone());
                    }
                    self.unread.insert(path, (since, true));
                } else {
                    report.again = Some(report.again.map_or(left, |other| other.min(left)));
                    self.unread.insert(path, (since, false));
                }
            }
            let was_told = unit.zones().first().is_some_and(|slot| self.slots[*slot].shown.unread().len() == MOST_UNREAD);
            if let Some(last) = shown.last().filter(|_| unnamed > 0 && !was_told) {
                report.problems.push(unread(last, format!("{unnamed} more files of the directory are not read either")));
            }
            let mut shown: Arc<[PathBuf]> = shown.into();
            for slot in unit.zones() {
                self.slots[*slot].shown.show_unread(std::mem::take(&mut shown));
            }
        }
    }

    /// Makes the next snapshot: wholly anew, or, where only data changed, from the last one.
    fn publish(&mut self, is_anew: bool) {
        let hosted: Vec<Arc<Hosted>> = self.slots.iter_mut().map(Slot::hosted).collect();
        let next = if is_anew {
            let mut builder = SnapshotBuilder::new().generation(self.current.generation + 1);
            for network in &self.networks {
                builder = builder.network(&network.name, &network.clients, network.recursion);
            }
            for (slot, hosted) in self.slots.iter().zip(hosted) {
                let names: Vec<&str> = slot.networks.iter().map(String::as_str).collect();
                builder = builder.hosted(hosted, &names);
            }
            builder.build()
        } else {
            self.current.next(|place| hosted[place].clone())
        };
        self.old.push(std::mem::replace(&mut self.current, Arc::new(next)));
    }

    /// Warnings that need more than one zone: names with two spellings, seen by one network, that disagree.
    fn lint(&self, report: &mut Report) {
        let mut told: Vec<(NameBuf, NameBuf)> = Vec::new();
        let is_reported = |slot: &&Slot| report.zones.iter().any(|zone| zone.name == slot.name && zone.networks == slot.networks);
        let reported: Vec<&Slot> = self.slots.iter().filter(is_reported).collect();
        for slot in reported {
            let Some(zone) = slot.zone.as_ref().filter(|zone| lint::is_searched(zone)) else { continue };
            let own: HashSet<&String> = slot.networks.iter().collect();
            let shares = |other: &&Slot| {
                let theirs = &other.networks;
                own.is_empty() || theirs.is_empty() || theirs.iter().any(|network| own.contains(network))
            };
            let others: Vec<&Zone> = self.slots.iter().filter(shares).filter_map(|slot| slot.zone.as_deref()).collect();
            for (name, other) in lint::spelled_twice(zone, &others, &self.context.table) {
                if told.iter().any(|(one, two)| (one, two) == (&other, &name)) {
                    continue;
                }
                let file = slot.writer.file().map_or_else(PathBuf::new, |file| file.to_path_buf());
                let message = format!("{name} and {other} have different addresses");
                let help = "both may be what the public name leads to: give both the private endpoint's address".into();
                report.problems.push(Problem { file: Arc::new(file), at: Position::default(), severity: Severity::Warning, message, help });
                told.push((name, other));
            }
        }
    }
}

impl Slot {
    /// A zone of the configuration, with the data of the old one that it continues: the same source, or the same networks.
    fn new(config: &model::Zone, old: &mut Vec<Slot>) -> Option<Self> {
        let apex = NameBuf::parse(&config.name).ok()?.to_wire_name(); // the configuration checked it
        let same = |slot: &Slot| slot.config.name == config.name && slot.config.networks == config.networks;
        let found = old.iter().position(|slot| same(slot) && slot.config.source == config.source);
        let found = found.or_else(|| old.iter().position(|slot| slot.config.name == config.name && slot.config.source == config.source));
        let found = found.or_else(|| old.iter().position(same));
        let before = found.map(|found| old.remove(found));
        let kept_since = before.as_ref().and_then(|slot| slot.kept_since);
        let files = before.as_ref().filter(|slot| slot.config.source == config.source).map(|slot| slot.files.clone()).unwrap_or_default();
        let writer = writer(config, &files);
        let (zone, state, owned, shown) = before.map(|slot| (slot.zone, slot.state, slot.owned, slot.shown)).unwrap_or_default();
        // Data goes with its writer: what files said is not what an API wrote, and the other way round.
        let is_continued = owned.is_some() == unit::is_owned(&config.source);
        let (zone, state, owned, shown) = if is_continued { (zone, state, owned, shown) } else { Default::default() };
        let networks = config.networks.as_slice().into();
        let reason = "its source was not read yet".into();
        let name = config.name.as_str().into();
        Some(Self {
            config: config.clone(),
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
            has_namesake: false,
            shown,
            writer,
            files,
            owned,
            awaits: None,
            hosted: None,
        })
    }

    /// Notes the files that its records come from.
    fn comes_from(&mut self, files: Vec<FileShare>) {
        let writer = writer(&self.config, &files);
        if writer != self.writer {
            (self.writer, self.hosted) = (writer, None);
        }
        self.files = files;
    }

    /// As it is in a snapshot.
    fn hosted(&mut self) -> Arc<Hosted> {
        if let Some(hosted) = &self.hosted {
            return hosted.clone();
        }
        let state = match &self.zone {
            Some(zone) => ZoneState::Serving(zone.clone()),
            None => ZoneState::Unavailable(self.reason.clone()),
        };
        let kept = self.owned.as_ref().map(|owned| {
            let Owned { latest, settings, history, .. } = owned;
            Kept { latest: latest.clone(), settings: settings.clone(), history: history.clone() }
        });
        self.shown.show_journal(self.owned.as_ref().map_or(0, |owned| owned.journal.length()));
        let (line, source) = (self.config.line, self.shown.clone());
        let hosted = Hosted::new(self.apex.clone(), self.config.on_missing, state, self.writer.clone());
        let fallback = self.config.fallback;
        self.hosted.insert(Arc::new(Hosted { fallback, kept, line, source, ..hosted })).clone()
    }

    fn report(&self, outcome: Outcome) -> ZoneReport {
        ZoneReport {
            name: self.name.clone(),
            networks: self.networks.clone(),
            outcome,
            records: self.zone.as_ref().map_or(0, |zone| zone.counts().records),
            serial: self.zone.as_ref().map(|zone| zone.serial()),
        }
    }

    /// Takes new data, given how it differs from what is served; gives what to report.
    fn take(&mut self, zone: Zone, difference: Option<Difference>) -> Option<Outcome> {
        let same_serial = self.zone.as_ref().is_some_and(|old| old.serial() == zone.serial() || !zone.has_own_serial());
        if same_serial && difference.as_ref().is_some_and(Difference::is_empty) {
            return None;
        }
        self.zone = Some(Arc::new(zone));
        self.hosted = None;
        Some(difference.map_or(Outcome::Loaded, Outcome::Changed))
    }

    /// Notes how its source is doing; gives what to report when that changed.
    fn note(&mut self, error: Option<String>) -> Option<Outcome> {
        let outcome = self.judge(error);
        self.shown.show(&self.state);
        outcome
    }

    fn judge(&mut self, error: Option<String>) -> Option<Outcome> {
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
                Some(Outcome::Failed(why))
            }
            (was, None) => {
                self.state.last_success = Some(SystemTime::now());
                was.map(|_| Outcome::Recovered)
            }
        }
    }
}

fn unread(path: &Path, help: String) -> Problem {
    let (file, message) = (Arc::new(path.to_path_buf()), "no zone reads this file".into());
    Problem { file, at: Position::default(), severity: Severity::Warning, message, help }
}

/// Where a record of a zone would be added: the file that most of its records come from, otherwise the one that its configuration gives.
fn writer(config: &model::Zone, files: &[FileShare]) -> Writer {
    let most = files.iter().map(|file| file.records).max();
    if let Some(file) = files.iter().find(|file| Some(file.records) == most) {
        let path = file.path.as_path().into();
        return match file.format {
            model::Format::Hosts => Writer::Hosts(path),
            model::Format::Azure => Writer::Azure(path),
            model::Format::Zone | model::Format::Auto => Writer::ZoneFile(path),
        };
    }
    match &config.source {
        Source::Directory { path } => Writer::ZoneFile(path.join(unit::zone_file(&config.name)).into()),
        Source::File { path, format: model::Format::Hosts } => Writer::Hosts(path.as_path().into()),
        Source::File { path, format: model::Format::Azure } => Writer::Azure(path.as_path().into()),
        Source::File { path, .. } => Writer::ZoneFile(path.as_path().into()),
        Source::Api => Writer::Api,
        Source::Transfer { .. } => Writer::Primary,
    }
}
