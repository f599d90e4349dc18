//! Journals without a server: what is in them, and what of a damaged one can be saved.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::owned;
use crate::edit::ZoneSettings;
use crate::journal::read::{Damage, Lost, Salvage, read, salvage};
use crate::journal::{Journal, JournalChange, JournalImage, JournalRecord};
use crate::name::WireName;
use crate::state_directory::FILE_MODE;
use crate::text::ZoneFileWriter;
use crate::zone::{next_serial, rtype};

/// Content of a journal.
#[derive(Debug)]
pub struct JournalSurvey {
    /// The file.
    pub path: PathBuf,
    /// The zone, as its settings name it, or else the file.
    pub zone: String,
    /// Octets.
    pub length: u64,
    /// Records of the zone, as far as they can be read.
    pub records: usize,
    /// Changes behind the image, as far as they can be read.
    pub changes: usize,
    /// Serial of the last change that can be read.
    pub serial: u32,
    /// Octets at the end of a write that was interrupted. Nothing in them was acknowledged.
    pub torn: u64,
    /// The damage. `None` if the journal is whole.
    pub damage: Option<String>,
    /// Where the damage begins.
    pub damaged_at: Option<u64>,
}

/// Result of a repair.
#[derive(Debug)]
pub struct JournalRepair {
    /// Content of the damaged file.
    pub survey: JournalSurvey,
    /// Octets that are lost.
    pub lost: Vec<Lost>,
    /// RRsets that a lost change may have touched: owner and type.
    pub uncertain: Vec<(WireName, u16)>,
    /// The new file.
    pub written: RepairedFile,
    /// Serial of the zone in it: above every serial that is known of the damaged one.
    pub serial: u32,
}

/// File that a repair wrote.
#[derive(Debug, PartialEq, Eq)]
pub enum RepairedFile {
    /// A journal, to be put in the place of the damaged one.
    Journal(PathBuf),
    /// A zone file, because the settings of the zone (its networks and its policy) are lost.
    ZoneFile(PathBuf),
}

/// Why there is no repair.
#[derive(Debug, thiserror::Error)]
pub enum RepairError {
    /// An error of the file system.
    #[error("{path}: {error}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Its error.
        error: io::Error,
    },
    /// There is nothing to repair.
    #[error("{0}: the journal is whole, so there is nothing to repair")]
    Whole(PathBuf),
    /// Nothing of it can be read.
    #[error("{0}: no record can be read. help: restore the file from a copy")]
    Nothing(PathBuf),
    /// Something stands where the result is to go.
    #[error("{0}: a file of an earlier repair is in the way. help: move it away")]
    InTheWay(PathBuf),
    /// Not the name of one zone's journal.
    #[error("{0}")]
    NoJournal(String),
}

/// Number of journals in a state directory, 0 if they cannot be listed.
pub fn count_journals(state: &Path) -> usize {
    owned::journals(state).map_or(0, |paths| paths.len())
}

/// Every journal of a state directory, in the order of the names.
pub fn survey(state: &Path) -> io::Result<Vec<JournalSurvey>> {
    let paths = match owned::journals(state) {
        Ok(paths) => paths,
        Err(error) if error.kind() == io::ErrorKind::NotFound && state.is_dir() => return Ok(Vec::new()), // no zone has one
        Err(error) => return Err(error),
    };
    paths.into_iter().map(|path| read_settled(&path).map(|octets| survey_of(path, &octets).0)).collect()
}

/// The journal that somebody means by a path or by the name of a zone.
pub fn find_journal(state: &Path, meant: &str) -> Result<PathBuf, RepairError> {
    if Path::new(meant).is_file() {
        return Ok(meant.into());
    }
    let name = if meant == "." { "." } else { meant.trim_end_matches('.') }.to_ascii_lowercase();
    let paths = owned::journals(state).map_err(|error| RepairError::Io { path: state.to_owned(), error })?;
    let mut named: Vec<PathBuf> = paths.into_iter().filter(|path| owned::is_of(path, &name)).collect();
    match (named.pop(), named.is_empty()) {
        (Some(path), true) => Ok(path),
        (None, _) => Err(RepairError::NoJournal(format!(
            "there is no file {meant}, and no journal of a zone {name} in {}. help: `postern state check` lists the journals",
            state.display()
        ))),
        (Some(last), false) => {
            let all: Vec<String> = named.iter().chain([&last]).map(|path| path.display().to_string()).collect();
            Err(RepairError::NoJournal(format!("several journals are of zone {name}: name one of {}", all.join(", "))))
        }
    }
}

/// Writes what can be read of a damaged journal into a file beside it. The damaged file is not touched.
pub fn repair(path: &Path) -> Result<JournalRepair, RepairError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |error| RepairError::Io { path, error }
    };
    let octets = read_settled(path).map_err(failed(path))?;
    let (survey, salvage) = survey_of(path.to_owned(), &octets);
    if survey.damage.is_none() {
        return Err(RepairError::Whole(path.to_owned()));
    }
    let (records, uncertain) = replay(&salvage);
    if records.is_empty() {
        return Err(RepairError::Nothing(path.to_owned()));
    }
    let serial = next_serial(salvage.serial);
    let settings = serde_json::from_str::<ZoneSettings>(&salvage.image.settings).ok().filter(|_| salvage.has_settings);
    let target = beside(path, if settings.is_some() { "repaired" } else { "zone" });
    if fs::symlink_metadata(&target).is_ok() {
        return Err(RepairError::InTheWay(target)); // a link that leads nowhere, too
    }
    // The server is to read it; only root can, and need, do this. By the open file: the name may lead elsewhere by now.
    let give = |file: &fs::File| fs::metadata(path).and_then(|old| fchown(file, Some(old.uid()), Some(old.gid())));
    if settings.is_some() {
        let image = JournalImage { settings: salvage.image.settings, serial, records };
        let journal = Journal::create(&target, &image)
            .map_err(|error| RepairError::Io { path: target.clone(), error: io::Error::other(error.to_string()) })?;
        let _ = give(journal.file());
    } else {
        let created = OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(&target);
        let mut file = created.map_err(failed(&target))?;
        file.write_all(zone_file(&survey.zone, &records).as_bytes()).map_err(failed(&target))?;
        let _ = give(&file);
    }
    let written = if settings.is_some() { RepairedFile::Journal(target) } else { RepairedFile::ZoneFile(target) };
    Ok(JournalRepair { survey, lost: salvage.lost, uncertain, written, serial })
}

/// A file that a server may be writing to: what is read while it grows is read again.
fn read_settled(path: &Path) -> io::Result<Vec<u8>> {
    const TRIES: u32 = 5;
    let mut octets = fs::read(path)?;
    for _ in 0..TRIES {
        if read(&octets).is_ok() || fs::metadata(path)?.len() == octets.len() as u64 {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
        octets = fs::read(path)?;
    }
    Ok(octets)
}

fn survey_of(path: PathBuf, octets: &[u8]) -> (JournalSurvey, Salvage) {
    let (reading, salvage) = (read(octets), salvage(octets));
    let zone = serde_json::from_str(&salvage.image.settings).map(|settings: ZoneSettings| settings.name).ok();
    let damage = reading.as_ref().err();
    let survey = JournalSurvey {
        zone: zone.or_else(|| owned::name_of(&path)).unwrap_or_default(),
        path,
        length: octets.len() as u64,
        records: replay(&salvage).0.len(),
        changes: salvage.changes.len(),
        serial: salvage.changes.last().map_or(salvage.image.serial, |change| change.to),
        torn: reading.as_ref().map_or(0, |reading| reading.replay.cut),
        damage: damage.map(ToString::to_string),
        damaged_at: damage.map(Damage::at),
    };
    (survey, salvage)
}

/// The records that image and changes come to, and the RRsets that are not certain: a change takes out what is not there, or puts in what
/// is, so that one before it is missing.
fn replay(salvage: &Salvage) -> (Vec<JournalRecord>, Vec<(WireName, u16)>) {
    type Data = Box<[u8]>;
    let mut sets: BTreeMap<(WireName, u16), BTreeMap<Data, u32>> = BTreeMap::new();
    for record in &salvage.image.records {
        sets.entry((record.owner.clone(), record.rtype)).or_default().insert(record.rdata.clone(), record.ttl);
    }
    let mut uncertain = BTreeSet::new();
    for JournalChange { removed, added, .. } in &salvage.changes {
        for record in removed {
            let key = (record.owner.clone(), record.rtype);
            if sets.get_mut(&key).and_then(|set| set.remove(&record.rdata)).is_none() {
                uncertain.insert(key);
            }
        }
        for record in added {
            let key = (record.owner.clone(), record.rtype);
            let set = sets.entry(key.clone()).or_default();
            if matches!(record.rtype, rtype::SOA | rtype::CNAME) {
                set.clear(); // there is one at most: the last
            }
            set.values_mut().for_each(|ttl| *ttl = record.ttl); // one TTL an RRset (RFC 2181 section 5.2)
            if set.insert(record.rdata.clone(), record.ttl).is_some() && !removed.contains(record) {
                uncertain.insert(key);
            }
        }
    }
    uncertain.retain(|(_, rtype)| *rtype != rtype::SOA);
    let records = sets.into_iter().flat_map(|((owner, rtype), set)| {
        set.into_iter().map(move |(rdata, ttl)| JournalRecord { owner: owner.clone(), rtype, ttl, rdata })
    });
    (records.collect(), uncertain.into_iter().collect())
}

fn zone_file(zone: &str, records: &[JournalRecord]) -> String {
    let mut out = String::new();
    let Ok(origin) = crate::name::NameBuf::parse(zone) else { return out };
    let Ok(mut writer) = ZoneFileWriter::new(&mut out, &origin) else { return String::new() };
    for record in records {
        let _ = writer.record(&record.owner.to_buf(), record.ttl, record.rtype, &record.rdata); // a string takes everything
    }
    out
}

/// `contoso.test.journal.repaired` of `contoso.test.journal`.
fn beside(path: &Path, extension: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(extension);
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repair_writes_to_no_file_that_a_link_in_its_place_leads_to() {
        let directory = tempfile::tempdir().unwrap();
        let (path, other) = (directory.path().join("contoso.test.journal"), directory.path().join("other"));
        let record =
            |last| JournalRecord { owner: WireName::parse("contoso.test").unwrap(), rtype: 1, ttl: 60, rdata: [10, 0, 0, last].into() };
        let mut journal =
            Journal::create(&path, &JournalImage { settings: "unknown".into(), serial: 1, records: vec![record(1)] }).unwrap();
        journal.append(&JournalChange { from: 1, to: 2, at: 0, by: String::new(), removed: Vec::new(), added: vec![record(2)] });
        journal.commit().unwrap();
        let octets = fs::read(&path).unwrap();
        fs::write(&path, &octets[..octets.len() - 1]).unwrap();
        let target = beside(&path, "zone");
        std::os::unix::fs::symlink(&other, &target).unwrap();
        let refused = repair(&path).unwrap_err();
        assert!(matches!(&refused, RepairError::InTheWay(found) if *found == target), "{refused}");
        assert!(!other.exists());
        fs::remove_file(&target).unwrap();
        assert_eq!(repair(&path).unwrap().written, RepairedFile::ZoneFile(target));
    }
}
