//! A zone whose writer is an API: its journal, its committed data, and what of it is held back.
//!
//! The committed zone and the served one differ only while a deleted name is held (`hold-deleted`): the served zone still has it, so that
//! a client that deletes and adds in two calls lets no public answer out in between.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::Slot;
use crate::diff::Difference;
use crate::edit::{Author, History, ZoneSettings};
use crate::journal::{self, Image, Journal, JournalError, Record};
use crate::lint;
use crate::lookup::RrSet;
use crate::name::{NameBuf, WireName};
use crate::network::Clients;
use crate::record::{Position, RecordRef, RecordSink};
use crate::zone::{Change, Zone, ZoneBuilder, rtype};

/// Journals stand in this directory of the state directory.
const DIRECTORY: &str = "zones";
const EXTENSION: &str = "journal";
/// Longest file name made of a zone's name, octets; file systems take 255.
const LONGEST_NAME: usize = 200;

/// What the store keeps of such a zone.
#[derive(Debug)]
pub struct Owned {
    pub journal: Journal,
    pub path: PathBuf,
    pub settings: Arc<ZoneSettings>,
    /// As committed.
    pub latest: Arc<Zone>,
    pub history: Arc<History>,
    held: Vec<Held>,
}

/// A name that is deleted and still answered.
#[derive(Debug)]
struct Held {
    name: NameBuf,
    sets: Vec<Change>,
    until: Instant,
}

/// A journal that was found in the state directory.
#[derive(Debug)]
pub struct Found {
    pub path: PathBuf,
    pub settings: ZoneSettings,
    journal: Journal,
    replay: journal::Replay,
}

/// Every journal of a state directory that is not open, and what is wrong with those that cannot be read.
pub fn find(state: &Path, in_use: &HashSet<PathBuf>) -> (Vec<Found>, Vec<(PathBuf, String)>) {
    let (mut found, mut bad) = (Vec::new(), Vec::new());
    let Ok(entries) = fs::read_dir(state.join(DIRECTORY)) else { return (found, bad) }; // none was written yet
    let mut paths: Vec<PathBuf> = entries.filter_map(Result::ok).map(|entry| entry.path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == EXTENSION) && !in_use.contains(path));
    paths.sort();
    for path in paths {
        match Journal::open(&path) {
            Ok((journal, replay)) => match serde_json::from_str(&replay.image.settings) {
                Ok(settings) => found.push(Found { path, settings, journal, replay }),
                Err(error) => bad.push((path.clone(), format!("{}: settings cannot be read: {error}", path.display()))),
            },
            Err(error) => bad.push((path, error.to_string())),
        }
    }
    (found, bad)
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

impl Owned {
    /// A zone with these records and a journal that begins with them.
    pub fn create(path: PathBuf, settings: ZoneSettings, zone: Zone) -> Result<Self, JournalError> {
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(|error| JournalError::Io { path: path.clone(), error })?;
        }
        let journal = Journal::create(&path, &image(&settings, &zone))?;
        let (latest, history) = (Arc::new(zone), Arc::default());
        Ok(Self { journal, path, settings: Arc::new(settings), latest, history, held: Vec::new() })
    }

    /// The zone that a journal describes.
    pub fn open(found: Found, slot: &Slot) -> Result<Self, String> {
        let Found { path, settings, journal, replay } = found;
        let history = Arc::new(History::default());
        let serial = replay.changes.last().map_or(replay.image.serial, |change| change.to);
        let mut records: HashSet<Record> = replay.image.records.into_iter().collect();
        for change in replay.changes {
            for record in &change.removed {
                records.remove(record);
            }
            records.extend(change.added.iter().cloned());
            history.push(Arc::new(change));
        }
        let mut builder = slot.empty_builder();
        for record in &records {
            let owner = record.owner.to_buf();
            let (rtype, ttl, rdata) = (record.rtype, Some(record.ttl), &record.rdata);
            builder.record(RecordRef { owner: &owner, rtype, ttl, rdata, at: Position::default() });
        }
        let built = builder.finish(serial).map_err(|problems| {
            let first = problems.first().map_or(String::new(), |problem| problem.message.clone());
            format!("{}: its records make no zone: {first}", path.display())
        })?;
        if replay.cut > 0 {
            tracing::warn!(journal = %path.display(), octets = replay.cut, "a change that was never acknowledged was cut off");
        }
        let latest = Arc::new(built.zone.with_serial(serial));
        Ok(Self { journal, path, settings: Arc::new(settings), latest, history, held: Vec::new() })
    }

    /// The zone to serve: what is committed, and what is held.
    pub fn served(&mut self, now: Instant) -> Arc<Zone> {
        self.held.retain(|held| held.until > now && !self.latest.exists(&held.name));
        if self.held.is_empty() {
            return self.latest.clone();
        }
        let sets: Vec<Change> = self.held.iter().flat_map(|held| held.sets.iter().cloned()).collect();
        match self.latest.apply(&sets) {
            Ok(zone) => Arc::new(zone.with_serial(self.latest.serial())),
            // What is committed since forbids it (a DNAME above, say): it counts.
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
    pub fn take(&mut self, zone: Arc<Zone>, changes: &[Change], hold: Duration, now: Instant) {
        let old = std::mem::replace(&mut self.latest, zone);
        if hold.is_zero() {
            return;
        }
        for change in changes {
            let name = change.owner.to_buf();
            if self.latest.exists(&name) || !old.exists(&name) || self.held.iter().any(|held| held.name == name) {
                continue;
            }
            let sets: Vec<Change> = old.at(&name).filter(|set| set.rtype != rtype::SOA).map(|set| as_change(&name, &set)).collect();
            self.held.push(Held { name, sets, until: now + hold });
        }
    }

    /// The settings as an image has them.
    pub fn image_settings(&self) -> String {
        as_text(&self.settings)
    }

    /// The image of the zone as committed.
    pub fn image(&self) -> Image {
        image(&self.settings, &self.latest)
    }
}

/// Everything to begin a journal with.
fn image(settings: &ZoneSettings, zone: &Zone) -> Image {
    let records = records(zone).collect();
    Image { settings: as_text(settings), serial: zone.serial(), records }
}

/// Every record of a zone.
pub fn records(zone: &Zone) -> impl Iterator<Item = Record> + use<'_> {
    zone.records().flat_map(|(owner, set)| records_of(&owner.to_wire_name(), set))
}

fn as_text(settings: &ZoneSettings) -> String {
    serde_json::to_string(settings).unwrap_or_default() // text and lists: always JSON
}

fn records_of<'z>(owner: &WireName, set: RrSet<'z>) -> impl Iterator<Item = Record> + use<'z> {
    let owner = owner.clone();
    set.rdata().map(move |rdata| Record { owner: owner.clone(), rtype: set.rtype, ttl: set.ttl, rdata: rdata.into() })
}

fn as_change(name: &NameBuf, set: &RrSet<'_>) -> Change {
    Change::set(name, set.rtype, set.ttl, set.rdata().map(Into::into))
}

/// What `changes` made of a zone, record by record, and in words; none: nothing.
pub fn compare(old: &Zone, new: &Zone, changes: &[Change], author: &Author) -> Option<(journal::Change, Difference)> {
    let mut touched: Vec<(&WireName, u16)> = changes.iter().map(|change| (&change.owner, change.rtype)).collect();
    touched.retain(|(_, rtype)| *rtype != rtype::SOA);
    touched.sort();
    touched.dedup();
    let (mut removed, mut added) = (Vec::new(), Vec::new());
    let mut difference = Difference::default();
    for (owner, rtype) in touched {
        let name = owner.to_buf();
        let of = |zone: &Zone| -> Vec<Record> {
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
        let (kept_before, kept_after): (HashSet<&Record>, HashSet<&Record>) = (before.iter().collect(), after.iter().collect());
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
    let at = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64);
    Some((journal::Change { from: old.serial(), to: new.serial(), at, by: author.to_string(), removed, added }, difference))
}

fn same_records(before: &[Record], after: &[Record]) -> bool {
    before.len() == after.len() && before.iter().all(|record| after.contains(record))
}

/// What was probably not meant by the addresses that `changes` give.
pub fn lint_changes(changes: &[Change], clients: Option<&Clients>) -> Vec<String> {
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

impl Slot {
    /// Builds this zone from whatever records come.
    pub fn empty_builder(&self) -> ZoneBuilder {
        ZoneBuilder::new(self.apex.clone()).ttl_bounds(self.config.min_ttl, self.config.max_ttl)
    }
}
