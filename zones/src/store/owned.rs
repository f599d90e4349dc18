//! A zone whose writer is an API: its journal, its committed data, and what of it is held back.
//!
//! The committed zone and the served one differ only while a deleted name is held (`hold-deleted`): the served zone still has it, so that
//! a client that deletes and adds in two calls lets no public answer out in between.

use std::collections::HashSet;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use postern_config::model;

use super::replay::ReplayedRecords;
use crate::diff::Difference;
use crate::edit::{ZoneHistory, ZoneSettings};
use crate::journal::{self, Journal, JournalCondition, JournalError, JournalImage, JournalRecord};
use crate::lint;
use crate::lookup::RrSet;
use crate::name::{NameBuf, WireName};
use crate::network::Clients;
use crate::record::{RecordRef, RecordSink, TextPosition};
use crate::state_directory::{OpenDirectory, StateDirectory, StateProblem};
use crate::zone::{RrSetChange, Zone, ZoneBuilder, next_serial, rtype};

/// Journals stand in this directory of the state directory.
const DIRECTORY: &str = "zones";
const EXTENSION: &str = "journal";
/// Longest file name made of a zone's name, octets; file systems take 255.
const LONGEST_NAME: usize = 200;

/// Journal and data of a zone that an API or a feed writes.
#[derive(Debug)]
pub struct JournaledZone {
    pub journal: Journal,
    pub path: PathBuf,
    pub settings: Arc<ZoneSettings>,
    /// As committed.
    pub latest: Arc<Zone>,
    pub history: Arc<ZoneHistory>,
    held: Vec<Held>,
}

/// A name that is deleted and still answered.
#[derive(Debug)]
struct Held {
    name: NameBuf,
    sets: Vec<RrSetChange>,
    until: Instant,
}

/// A journal that was found in the state directory.
#[derive(Debug)]
pub struct FoundJournal {
    pub path: PathBuf,
    pub settings: ZoneSettings,
    journal: Journal,
    replay: journal::JournalReplay,
}

/// The directory of the journals in a state directory.
pub fn directory(state: &Path) -> PathBuf {
    state.join(DIRECTORY)
}

/// The files of all journals of a state directory, sorted.
pub fn journals(state: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = fs::read_dir(state.join(DIRECTORY))?;
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<PathBuf>>>()?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == EXTENSION));
    paths.sort();
    Ok(paths)
}

/// Journals that are not open, and what is wrong with those that cannot be read.
type Listing = (Vec<FoundJournal>, Vec<(PathBuf, String)>);

/// Every journal of a state directory that is not open, or why they cannot be listed: then nothing is known of any zone.
pub fn find(state: &StateDirectory, in_use: &HashSet<PathBuf>) -> Result<Listing, String> {
    let (mut found, mut bad) = (Vec::new(), Vec::new());
    let directory = directory(state.path());
    let paths = match journals(state.path()) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(), // none was written yet
        listed => listed.map_err(|error| {
            state.note_problem(&directory, StateProblem::Unlistable, Some(&error));
            format!("{}: the journals in it cannot be listed: {error}", directory.display())
        })?,
    };
    state.note(&directory, None::<&String>);
    for path in paths.into_iter().filter(|path| !in_use.contains(path)) {
        let opened = match state.read_only() {
            Some(why) => Journal::open_read_only(&path, &why),
            None => Journal::open(&path),
        };
        match opened {
            Ok((journal, replay)) => match serde_json::from_str(&replay.image.settings) {
                Ok(settings) => found.push(FoundJournal { path, settings, journal, replay }),
                Err(error) => bad.push((path.clone(), format!("{}: settings cannot be read: {error}", path.display()))),
            },
            Err(error) => bad.push((path, error.to_string())),
        }
    }
    Ok((found, bad))
}

/// Renames a journal that cannot be read, so that no start reads it again. Returns its new path, or `None` if the file is gone.
pub fn set_aside(path: &Path) -> Result<Option<PathBuf>, JournalError> {
    let failed = |error| JournalError::Io { path: path.to_owned(), error };
    let directory = OpenDirectory::of(path).map_err(failed)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let numbered = (1..).map(|number| if number == 1 { format!("{name}.removed") } else { format!("{name}.removed~{number}") });
    let mut targets = numbered.map(|name| path.with_file_name(name));
    let target = targets.find(|target| fs::symlink_metadata(target).is_err()).expect("there are endless numbers");
    match fs::rename(path, &target) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    }
    directory.sync().map_err(|error| JournalError::Unsynced { path: target.clone(), error })?;
    Ok(Some(target))
}

fn create_parent(path: &Path) -> Result<(), JournalError> {
    let Some(parent) = path.parent() else { return Ok(()) };
    fs::create_dir_all(parent).map_err(|error| JournalError::Io { path: parent.to_owned(), error })
}

/// A file for the journal of a zone, that no other journal has.
pub fn path_for(state: &Path, name: &str) -> PathBuf {
    let stem = stem_for(name);
    let numbered = (1..).map(|number| if number == 1 { stem.clone() } else { format!("{stem}~{number}") });
    let mut paths = numbered.map(|stem| state.join(DIRECTORY).join(format!("{stem}.{EXTENSION}")));
    paths.find(|path| !path.exists()).expect("there are endless numbers")
}

/// True where a journal's file has the name of this zone.
pub fn is_of(path: &Path, name: &str) -> bool {
    let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    stem.split('~').next() == Some(&stem_for(name))
}

/// The zone that a journal's file is named after; none: it is no name of ours.
pub fn name_of(path: &Path) -> Option<String> {
    let stem = path.file_stem()?.to_str()?.split('~').next()?;
    let mut name = Vec::new();
    let mut octets = stem.bytes();
    while let Some(octet) = octets.next() {
        let digit = |octet: Option<u8>| char::from(octet?).to_digit(16);
        name.push(if octet == b'%' { (digit(octets.next())? * 16 + digit(octets.next())?) as u8 } else { octet });
    }
    let name = String::from_utf8(name).ok()?;
    let name = if name == "root" { ".".into() } else { name };
    (stem_for(&name) == stem).then_some(name)
}

fn stem_for(name: &str) -> String {
    if name == "." {
        return "root".into();
    }
    let plain = |octet: u8| octet.is_ascii_alphanumeric() || matches!(octet, b'.' | b'-' | b'_');
    let mut stem = String::new();
    for octet in name.bytes() {
        match plain(octet) {
            true => stem.push(char::from(octet)),
            false => stem.push_str(&format!("%{octet:02x}")),
        }
    }
    stem.truncate(LONGEST_NAME); // all ASCII
    stem
}

impl JournaledZone {
    /// A zone with these records and a journal that begins with them.
    pub fn create(state: &StateDirectory, path: PathBuf, settings: ZoneSettings, zone: Zone) -> Result<Self, JournalError> {
        state.verify()?;
        create_parent(&path)?;
        let journal = Journal::create(&path, &image(&settings, &zone))?;
        let (latest, history) = (Arc::new(zone), Arc::default());
        Ok(Self { journal, path, settings: Arc::new(settings), latest, history, held: Vec::new() })
    }

    /// Puts what was appended to the journal on the disk. A journal that can no longer be added to is written anew, with the zone as it is in
    /// `latest`. The state directory shows an error until a later commit succeeds.
    pub fn commit(&mut self, state: &StateDirectory) -> Result<(), JournalError> {
        let committed = state.verify().map_err(JournalError::from).and_then(|()| match self.journal.condition()? {
            JournalCondition::Spent(why) => {
                create_parent(&self.path)?;
                self.rewrite()?;
                tracing::warn!("{}: journal rewritten from the served zone: {why}", self.path.display());
                Ok(())
            }
            JournalCondition::Sound if self.journal.is_overlong() => self.rewrite(),
            JournalCondition::Sound => self.journal.commit(),
        });
        state.note(&self.path, committed.as_ref().err());
        committed
    }

    /// Begins the journal anew with the zone as it is.
    fn rewrite(&mut self) -> Result<(), JournalError> {
        self.journal.discard();
        let image = image(&self.settings, &self.latest);
        self.journal.compact(&image)
    }

    /// The zone that a journal describes.
    pub fn open(found: FoundJournal, config: &model::ZoneConfig, apex: &WireName, state: &StateDirectory) -> Result<Self, String> {
        let FoundJournal { path, settings, journal, replay } = found;
        let history = Arc::new(ZoneHistory::default());
        let serial = replay.changes.last().map_or(replay.image.serial, |change| change.to);
        let mut records = ReplayedRecords::new(replay.image.records);
        for change in replay.changes {
            records.apply(&change);
            history.push(Arc::new(change));
        }
        let hidden = records.take_hidden(apex);
        // As it was written; the bounds that count today come below, as a change of their own.
        let mut builder = ZoneBuilder::new(apex.clone());
        for (owner, rtype, ttl, rdata) in records.iter() {
            builder.record(RecordRef { owner: &owner.to_buf(), rtype, ttl: Some(ttl), rdata, at: TextPosition::default() });
        }
        let built = builder.finish(serial).map_err(|problems| {
            let first = problems.first().map_or(String::new(), |problem| problem.message.clone());
            format!("{}: its records make no zone: {first}", path.display())
        })?;
        if replay.cut > 0 {
            tracing::warn!(journal = %path.display(), octets = replay.cut, "a change that was never acknowledged was cut off");
        }
        let latest = Arc::new(built.zone.with_serial(serial));
        let mut owned = Self { journal, path, settings: Arc::new(settings), latest, history, held: Vec::new() };
        owned.remove_hidden(hidden, config, state);
        owned.keep_ttl_bounds(config, state);
        Ok(owned)
    }

    /// Journals the removal of records below a DNAME as a change with its own serial, so that secondaries follow. Earlier versions accepted
    /// records below a DNAME at a wildcard. They would keep the zone from loading, and no answer has them. A copy keeps the serial of its
    /// primary. If the change cannot be written, the records are left out all the same, and the next start tries again.
    fn remove_hidden(&mut self, mut hidden: Vec<JournalRecord>, config: &model::ZoneConfig, state: &StateDirectory) {
        let Some(first) = hidden.first().map(|record| record.owner.to_buf()) else { return };
        let (count, path) = (hidden.len(), self.path.display().to_string());
        tracing::warn!(zone = config.name, "{path}: {count} records below a DNAME are removed, which no answer had; the first is {first}");
        let before = self.latest.clone();
        let serial = if config.source.keeps_serial() { before.serial() } else { next_serial(before.serial()) };
        let after = Arc::new((*before).clone().with_serial(serial));
        hidden.extend(records_of(before.apex(), before.soa()));
        let added = records_of(after.apex(), after.soa()).collect();
        let by = "configuration: records below a DNAME".into();
        let change = journal::JournalChange { from: before.serial(), to: serial, at: unix_milliseconds(), by, removed: hidden, added };
        self.journal.append(&change);
        self.latest = after;
        match self.commit(state) {
            Ok(()) => self.history.push(Arc::new(change)),
            Err(error) => {
                self.journal.discard();
                self.latest = before;
                tracing::error!(zone = config.name, "the removal is not on the disk: {error}");
            }
        }
    }

    /// Brings the TTLs into the bounds that count for the zone, where others counted when they were written. That is a change like any
    /// other, with a serial of its own: what is journalled, what is served and what secondaries have stay the same thing. A copy keeps
    /// the serial of its primary; who takes it from here gets it whole. Gives what is different.
    pub fn keep_ttl_bounds(&mut self, config: &model::ZoneConfig, state: &StateDirectory) -> Option<Difference> {
        let (min, max) = ttl_bounds(config);
        if self.latest.ttl_bounds() == (min, max) {
            return None;
        }
        let before = self.latest.clone();
        let bounded = before.with_ttl_bounds((min, max));
        let is_outside = |set: &RrSet<'_>| set.ttl != set.ttl.clamp(min, max);
        let sets = before.records().filter(|(_, set)| set.rtype != rtype::SOA && is_outside(set));
        let changes: Vec<RrSetChange> = sets.map(|(owner, set)| as_change(&owner, &set)).collect();
        if changes.is_empty() && before.soa().ttl == bounded.soa().ttl {
            self.latest = Arc::new(bounded);
            return None;
        }
        let serial = if config.source.keeps_serial() { before.serial() } else { next_serial(before.serial()) };
        let written = bounded.apply(&changes).map_err(|refused| refused.first().map_or(String::new(), ToString::to_string));
        let written = written.and_then(|after| {
            let after = after.with_serial(serial);
            let (change, difference) = compare(&before, &after, &changes, "configuration: min-ttl, max-ttl").unzip();
            change.iter().for_each(|change| self.journal.append(change));
            self.latest = Arc::new(after);
            self.commit(state).map_err(|error| error.to_string())?;
            change.into_iter().for_each(|change| self.history.push(Arc::new(change)));
            Ok(difference)
        });
        match written {
            Ok(difference) => {
                tracing::info!(zone = config.name, serial, "TTLs adjusted to the configured bounds");
                difference
            }
            Err(error) => {
                self.journal.discard();
                self.latest = before;
                tracing::error!(zone = config.name, "cannot adjust TTLs: {error}");
                None
            }
        }
    }

    /// The zone to serve: what is committed, and what is held.
    pub fn served(&mut self, now: Instant) -> Arc<Zone> {
        self.held.retain(|held| held.until > now && !self.latest.exists(&held.name));
        if self.held.is_empty() {
            return self.latest.clone();
        }
        let sets: Vec<RrSetChange> = self.held.iter().flat_map(|held| held.sets.iter().cloned()).collect();
        match self.latest.apply(&sets) {
            Ok(zone) => Arc::new(zone.with_serial(self.latest.serial())),
            // A later commit forbids it (a DNAME above, say), and the later commit counts.
            Err(_) => {
                self.held.clear();
                self.latest.clone()
            }
        }
    }

    /// When the next held name goes.
    pub fn next_release(&self) -> Option<Instant> {
        self.held.iter().map(|held| held.until).min()
    }

    /// Takes a committed zone. Names that `changes` took away are held until then.
    pub fn take(&mut self, zone: Arc<Zone>, changes: &[RrSetChange], hold: Duration, now: Instant) {
        let old = std::mem::replace(&mut self.latest, zone);
        if hold.is_zero() {
            return;
        }
        for change in changes {
            let name = change.owner.to_buf();
            if self.latest.exists(&name) || !old.exists(&name) || self.held.iter().any(|held| held.name == name) {
                continue;
            }
            let sets: Vec<RrSetChange> = old.at(&name).filter(|set| set.rtype != rtype::SOA).map(|set| as_change(&name, &set)).collect();
            self.held.push(Held { name, sets, until: now + hold });
        }
    }

    /// Returns true if the journal has the settings that the configuration gives the zone. Zones that an API created have their own.
    pub fn has_settings_of(&self, zone: &model::ZoneConfig) -> bool {
        let is_of_api = zone.line == 0 && !self.settings.declared;
        is_of_api || *self.settings == ZoneSettings { extra: self.settings.extra.clone(), ..declared_settings(zone) }
    }

    /// Takes the settings of the configuration, and writes them to the journal if the state directory can be written.
    pub fn keep_settings_of(&mut self, zone: &model::ZoneConfig, state: &StateDirectory) -> Result<(), JournalError> {
        self.settings = Arc::new(ZoneSettings { extra: self.settings.extra.clone(), ..declared_settings(zone) });
        if state.read_only().is_some() {
            return Ok(());
        }
        self.journal.append_settings(&self.image_settings());
        self.commit(state).inspect_err(|_| self.journal.discard())
    }

    /// Returns true if the zone has a record that its writer gave it: the SOA and NS records at the apex may have been made.
    pub fn has_records(&self) -> bool {
        let apex = self.latest.apex().to_buf();
        self.latest.records().any(|(owner, set)| owner != apex || !matches!(set.rtype, rtype::SOA | rtype::NS))
    }

    /// The settings as an image has them.
    pub fn image_settings(&self) -> String {
        as_text(&self.settings)
    }
}

/// Lowest and highest TTL that the configuration sets for a zone.
pub fn ttl_bounds(config: &model::ZoneConfig) -> (u32, u32) {
    (config.min_ttl, config.max_ttl.max(config.min_ttl))
}

/// Settings of a zone that the configuration declares.
pub fn declared_settings(zone: &model::ZoneConfig) -> ZoneSettings {
    ZoneSettings {
        name: zone.name.clone(),
        networks: zone.networks.clone(),
        on_missing: zone.on_missing,
        fallback: Some(zone.fallback),
        declared: true,
        extra: Default::default(),
    }
}

/// Everything to begin a journal with.
pub fn image(settings: &ZoneSettings, zone: &Zone) -> JournalImage {
    let records = records(zone).collect();
    JournalImage { settings: as_text(settings), serial: zone.serial(), records }
}

/// Every record of a zone.
pub fn records(zone: &Zone) -> impl Iterator<Item = JournalRecord> + use<'_> {
    zone.records().flat_map(|(owner, set)| records_of(&owner.to_wire_name(), set))
}

fn as_text(settings: &ZoneSettings) -> String {
    serde_json::to_string(settings).unwrap_or_default() // text and lists: always JSON
}

fn records_of<'z>(owner: &WireName, set: RrSet<'z>) -> impl Iterator<Item = JournalRecord> + use<'z> {
    let owner = owner.clone();
    set.rdata().map(move |rdata| JournalRecord { owner: owner.clone(), rtype: set.rtype, ttl: set.ttl, rdata: rdata.into() })
}

fn as_change(name: &NameBuf, set: &RrSet<'_>) -> RrSetChange {
    RrSetChange::set(name, set.rtype, set.ttl, set.rdata().map(Into::into))
}

/// Returns the effect of `changes` on a zone, record by record and in words. Returns `None` if there is none.
pub fn compare(old: &Zone, new: &Zone, changes: &[RrSetChange], by: impl fmt::Display) -> Option<(journal::JournalChange, Difference)> {
    let mut touched: Vec<(&WireName, u16)> = changes.iter().map(|change| (&change.owner, change.rtype)).collect();
    touched.retain(|(_, rtype)| *rtype != rtype::SOA);
    touched.sort();
    touched.dedup();
    let (mut removed, mut added) = (Vec::new(), Vec::new());
    let mut difference = Difference::default();
    for (owner, rtype) in touched {
        let name = owner.to_buf();
        let of = |zone: &Zone| -> Vec<JournalRecord> {
            zone.at(&name).filter(|set| set.rtype == rtype).flat_map(|set| records_of(owner, set)).collect()
        };
        let (before, after) = (of(old), of(new));
        let mark = match (before.is_empty(), after.is_empty()) {
            (true, true) => continue,
            (true, false) => '+',
            (false, true) => '-',
            (false, false) if same_records(&before, &after) => continue,
            (false, false) => '~',
        };
        difference.note(mark, &name, rtype);
        let (kept_before, kept_after): (HashSet<&JournalRecord>, HashSet<&JournalRecord>) =
            (before.iter().collect(), after.iter().collect());
        removed.extend(before.iter().filter(|record| !kept_after.contains(record)).cloned());
        added.extend(after.iter().filter(|record| !kept_before.contains(record)).cloned());
    }
    if old.soa() == new.soa() && removed.is_empty() && added.is_empty() {
        return None;
    }
    if !old.soa().same_data(&new.soa()) {
        difference.note('~', &old.apex().to_buf(), rtype::SOA);
    }
    removed.extend(records_of(old.apex(), old.soa()));
    added.extend(records_of(new.apex(), new.soa()));
    let at = unix_milliseconds();
    Some((journal::JournalChange { from: old.serial(), to: new.serial(), at, by: by.to_string(), removed, added }, difference))
}

fn unix_milliseconds() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

fn same_records(before: &[JournalRecord], after: &[JournalRecord]) -> bool {
    before.len() == after.len() && before.iter().all(|record| after.contains(record))
}

/// Returns warnings about addresses in `changes` that are probably mistakes.
pub fn lint_changes(changes: &[RrSetChange], clients: Option<&Clients>) -> Vec<String> {
    let mut warnings = Vec::new();
    for change in changes {
        let addresses: Vec<_> = change.rdata.iter().filter_map(|rdata| lint::address(change.rtype, rdata)).collect();
        let name = change.owner.to_buf();
        for address in addresses.iter().filter(|address| lint::is_public(**address)) {
            warnings.push(format!("{name} has the public address {address} in a private zone: clients leave the private network"));
        }
        if let Some((one, other, what)) = lint::apart(&name, &addresses, clients) {
            warnings.push(format!(
                "{name} has addresses of two {what}, {one} and {other}: every client gets both, and one is refused with HTTP 403"
            ));
        }
    }
    warnings
}
