//! A zone from records in any order.
//!
//! Records are appended to one of 64 logs, chosen by the hash of their owner, and nothing else happens while a source is read.
//! [`ZoneBuilder::finish`] sorts each log by hash, which puts the records of a name side by side and the names in the order of the
//! shards, checks name by name (`findings`), adds the empty non-terminals, and writes the shards one behind the other.

mod findings;
mod outside;

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use findings::{Findings, empty_non_terminals};
pub use outside::OutsideRows;

use super::log::{LogEntry, LogOrder, LogPlace, groups, in_parts, log_of, read_entry, shards_for, write_entry};
use super::origins::{ONE_FILE, RecordOrigins};
use super::problems::Problems;
use super::sets::{LARGEST_SET, SetRules, SetWriter, name_in};
use super::shard::{self, Shard, ShardWriter};
use super::shards::Shards;
use super::{Zone, ZoneCounts, rtype};
use crate::authority::{AZURE_TIMERS, ZoneAuthority};
use crate::compression::CompactRecords;
use crate::memory;
use crate::name::{NameBuf, WireName};
use crate::network::Clients;
use crate::record::{RecordRef, RecordSink, Severity, SourceProblem, TextPosition};
use crate::text::rdata::{read_rdata, type_code, type_name};

/// TTL of a record whose source gives none, seconds: what Azure gives the records it makes for a private endpoint.
pub const DEFAULT_TTL: u32 = 10;

const LOGS: usize = 64;
pub(super) const MAX_TTL: u32 = i32::MAX as u32; // RFC 2181 section 8
const SOA_TTL: u32 = 3600;
/// Owner of an SOA whose serial never moves: every export of an Azure zone says 1.
const AZURE_MNAME: &[u8] = b"\x0fazureprivatedns\x03net\x00";
const AZURE_RNAME: &[u8] = b"\x14azureprivatedns-host\x09microsoft\x03com\x00";

/// Treatment of records outside the zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Foreign {
    /// An error.
    Refuse,
    /// Left out with a warning: real zone files hold leftovers of other zones. An error if all of the file seems to be of another zone.
    Warn,
    /// Left out and counted: an export covers more than one zone.
    Skip,
}

/// Takes records and makes a [`Zone`].
#[derive(Debug)]
pub struct ZoneBuilder {
    pub(super) apex: WireName,
    apex_labels: usize,
    pub(super) min_ttl: u32,
    pub(super) max_ttl: u32,
    foreign: Foreign,
    pub(super) networks: Option<Arc<Clients>>,
    authority: Option<ZoneAuthority>,
    has_servers: bool,
    pub(super) files: Vec<Arc<PathBuf>>,
    file: u16,
    logs: Vec<Vec<u8>>,
    records: usize,
    skipped: usize,
    outside: OutsideRows,
    problems: Problems,
    /// A record had no memory, so the zone is not whole.
    lacks_memory: bool,
}

/// A zone and what its source should hear.
#[derive(Debug)]
pub struct Built {
    /// The zone.
    pub zone: Zone,
    /// Served all the same.
    pub warnings: Vec<SourceProblem>,
    /// Records left out because they lie elsewhere ([`Foreign::Skip`] and [`Foreign::Warn`]).
    pub skipped: usize,
    /// Where the SOA stands; none: the source has none.
    pub soa: Option<(Arc<PathBuf>, TextPosition)>,
}

/// Shards of some logs, the file numbers of their RRsets, and what was counted and found.
type WrittenPart = (Vec<Arc<Shard>>, Vec<Box<[u16]>>, ZoneCounts, Problems);

impl ZoneBuilder {
    /// An empty zone.
    pub fn new(apex: WireName) -> Self {
        let apex_labels = apex.to_buf().labels();
        Self {
            apex,
            apex_labels,
            min_ttl: 0,
            max_ttl: MAX_TTL,
            foreign: Foreign::Refuse,
            networks: None,
            authority: None,
            has_servers: false,
            files: vec![Arc::new(PathBuf::new())],
            file: 0,
            logs: vec![Vec::new(); LOGS],
            records: 0,
            skipped: 0,
            outside: OutsideRows::default(),
            problems: Problems::default(),
            lacks_memory: false,
        }
    }

    /// Lowest and highest TTL given out.
    pub fn ttl_bounds(mut self, min: u32, max: u32) -> Self {
        (self.min_ttl, self.max_ttl) = (min, max.min(MAX_TTL).max(min));
        self
    }

    /// Sets the treatment of records outside the zone. The default is [`Foreign::Refuse`].
    pub fn foreign(mut self, foreign: Foreign) -> Self {
        self.foreign = foreign;
        self
    }

    /// Client prefixes, to warn of a name with addresses of two networks.
    pub fn networks(mut self, networks: Option<Arc<Clients>>) -> Self {
        self.networks = networks;
        self
    }

    /// Servers for a zone whose records have no SOA or no NS. `None`: the SOA is Azure's, and there are no NS records.
    pub fn authority(mut self, authority: Option<ZoneAuthority>) -> Self {
        self.authority = authority;
        self
    }

    /// Changes what becomes of a record that does not lie in the zone, for the records that follow.
    pub fn set_foreign(&mut self, foreign: Foreign) {
        self.foreign = foreign;
    }

    /// Records taken so far.
    pub fn records(&self) -> usize {
        self.records
    }

    /// Adds a record given as text: `owner` relative to the apex, `@`, or absolute with a final dot; as are names in `rdata`.
    pub fn add(&mut self, owner: &str, ttl: u32, rtype: &str, rdata: &str) -> Result<(), String> {
        let apex = self.apex.to_string();
        let owner = match owner {
            "@" => NameBuf::parse(&apex),
            absolute if absolute.ends_with('.') => NameBuf::parse(absolute),
            relative if apex == "." => NameBuf::parse(relative),
            relative => NameBuf::parse(&format!("{relative}.{apex}")),
        };
        let owner = owner.map_err(|error| error.to_string())?;
        let rtype = type_code(rtype).ok_or_else(|| format!("{rtype} is not a type"))?;
        let rdata = read_rdata(rtype, rdata, &self.apex.to_buf())?;
        self.record(RecordRef { owner: &owner, rtype, ttl: Some(ttl), rdata: &rdata, at: TextPosition::default() });
        Ok(())
    }

    /// Checks the whole and makes the zone, or gives every problem, warnings too, when one of them is an error.
    /// `serial` is for a zone whose records give none.
    pub fn finish(mut self, serial: u32) -> Result<Built, Vec<SourceProblem>> {
        let has_own_servers = self.adds_servers();
        self.add_servers();
        self.log(&LogEntry::bare(&[])); // the apex exists whatever the records say
        self.require_memory().map_err(|problem| vec![problem])?;
        self.merge_logs();
        let mut problems = std::mem::take(&mut self.problems);
        let mut order = LogOrder::of(&self.logs, self.records);
        let mut findings = self.look(&order, &mut problems);
        self.outside.problem(&self.apex, findings.soa.is_some()).into_iter().for_each(|problem| problems.push(problem));
        let empty = empty_non_terminals(&self.logs, &order, &mut findings);
        if !empty.is_empty() {
            empty.iter().for_each(|owner| self.log(&LogEntry::bare(owner)));
            order = LogOrder::of(&self.logs, self.records + empty.len());
        }
        let (shards, files) = self.write(&order, &mut findings, &mut problems);
        let mut zone = self.assemble(shards, &findings, serial);
        let soa_file = findings.soa.as_ref().map_or(0, |soa| soa.file);
        zone.origins = RecordOrigins::new(&self.files, soa_file, has_own_servers, files);
        self.check_targets(&zone, &findings, &mut problems);
        let soa = findings.soa.as_ref().map(|soa| (self.files[soa.file as usize].clone(), soa.at));
        let failed = problems.errors > 0;
        let problems = problems.into_list(&self.files[self.file as usize]);
        if failed { Err(problems) } else { Ok(Built { zone, warnings: problems, skipped: self.skipped, soa }) }
    }

    /// Returns an error if the shards cannot be written: they take as much memory as the logs, and so does their order.
    fn require_memory(&self) -> Result<(), SourceProblem> {
        let logs: usize = self.logs.iter().map(Vec::len).sum();
        let message = match memory::check_room(2 * logs as u64) {
            Ok(()) if !self.lacks_memory => return Ok(()),
            Ok(()) => format!("there is no memory for its {} records", self.records),
            Err(shortage) => format!("its {} records make no zone: {shortage}", self.records),
        };
        let (file, help) = (self.files[self.file as usize].clone(), memory::HELP.into());
        Err(SourceProblem { file, at: TextPosition::default(), severity: Severity::Error, message, help })
    }

    /// Adds the NS records of a zone that has none.
    fn add_servers(&mut self) {
        let Some(authority) = self.authority.as_ref().filter(|_| self.adds_servers()) else { return };
        let (apex, servers) = (self.apex.to_buf(), authority.servers.clone());
        self.foreign = Foreign::Refuse; // they are not rows of the file, and do not count as such
        for server in servers {
            let rdata = server.as_wire();
            self.record(RecordRef { owner: &apex, rtype: rtype::NS, ttl: Some(SOA_TTL), rdata, at: TextPosition::default() });
        }
    }

    /// Returns true if the NS records come from the configuration.
    fn adds_servers(&self) -> bool {
        self.authority.is_some() && !self.has_servers
    }

    fn log(&mut self, entry: &LogEntry<'_>) {
        let log = log_of(entry.hash, self.logs.len());
        if self.logs[log].try_reserve(entry.len()).is_ok() {
            write_entry(&mut self.logs[log], entry);
        } else {
            self.lacks_memory = true;
        }
    }

    /// Leaves no more logs than there will be shards, so that each shard lies in one log.
    fn merge_logs(&mut self) {
        let shards = shards_for(self.records);
        if shards < LOGS {
            self.logs = self.logs.chunks(LOGS / shards).map(<[_]>::concat).collect();
        }
    }

    /// Second walk: writes the shards, and the file numbers of their RRsets.
    fn write(&self, order: &LogOrder, findings: &mut Findings, problems: &mut Problems) -> (Vec<Arc<Shard>>, Vec<Box<[u16]>>) {
        let parts = in_parts(self.logs.len(), self.records, |logs| self.write_logs(logs, order, findings));
        let (mut shards, mut files) = (Vec::with_capacity(order.shards), Vec::new());
        for (part, files_of_part, counts, found) in parts {
            shards.extend(part);
            files.extend(files_of_part);
            findings.counts.add(&counts);
            problems.merge(found);
        }
        (shards, files)
    }

    fn write_logs(&self, logs: Range<usize>, order: &LogOrder, findings: &Findings) -> WrittenPart {
        let (mut counts, mut problems) = (ZoneCounts::default(), Problems::default());
        let (mut writer, mut sets) = (ShardWriter::default(), SetWriter::default());
        let rules = self.set_rules();
        let shards_a_log = order.shards / self.logs.len(); // both are powers of two
        let (first_shard, end) = (logs.start * shards_a_log, logs.end * shards_a_log);
        let (mut shards, mut files) = (Vec::with_capacity(end - first_shard), Vec::new());
        for number in logs {
            let log = &self.logs[number];
            for group in groups(log, &order.places[number]) {
                let first = read_entry(log, group[0].offset);
                while first_shard + shards.len() < shard::shard_of(first.hash, order.shards) {
                    shards.push(Arc::new(writer.finish()));
                    files.push(sets.take_files());
                }
                let flags = self.flags(log, group, findings, &mut problems);
                let parent =
                    if first.owner.is_empty() { findings.apex } else { findings.parents.get(first.owner).copied().unwrap_or_default() };
                writer.node(first.hash as u32, first.owner, flags | if parent.wild { shard::WILD } else { 0 }, parent.children);
                counts.nodes += 1;
                let before = counts.sets;
                sets.write(&rules, log, group, &mut writer, &mut counts, &mut problems);
                counts.names += usize::from(counts.sets > before || first.owner.is_empty());
            }
        }
        while first_shard + shards.len() < end {
            shards.push(Arc::new(writer.finish()));
            files.push(sets.take_files());
        }
        (shards, files, counts, problems)
    }

    /// Flags of a name as the cuts and DNAMEs at and above it have them.
    fn flags(&self, log: &[u8], group: &[LogPlace], findings: &Findings, problems: &mut Problems) -> u8 {
        if findings.diverts.is_empty() {
            return 0;
        }
        let owner = read_entry(log, group[0].offset).owner;
        let mut flags = match findings.diverts.get(owner) {
            Some(true) => shard::DNAME,
            Some(false) => shard::CUT,
            None => 0,
        };
        let mut above = owner;
        let mut highest = None;
        while let Some(parent) = parent_of(above) {
            above = parent;
            highest = findings.diverts.get_key_value(above).or(highest);
        }
        let Some((above, is_dname)) = highest else { return flags };
        flags |= shard::OCCLUDED;
        for entry in group.iter().map(|place| read_entry(log, place.offset)).filter(|entry| entry.rtype != 0) {
            if *is_dname {
                let message = format!("{} lies below the DNAME at {}", self.name(owner), self.name(above));
                problems.error(&self.files, &entry, message, "nothing may stand below a DNAME (RFC 6672 section 2.4)");
                break;
            } else if !matches!(entry.rtype, rtype::A | rtype::AAAA) {
                let message = format!("{} {} is never served: {} is delegated", self.name(owner), type_name(entry.rtype), self.name(above));
                problems.warning(&self.files, &entry, message, "");
                break;
            }
        }
        flags
    }

    fn assemble(&self, shards: Vec<Arc<Shard>>, findings: &Findings, serial: u32) -> Zone {
        let (rdata, ttl, own_serial) = match &findings.soa {
            Some(soa) => (soa.rdata.to_vec(), soa.ttl, !is_azure_soa(&soa.rdata)),
            None => (self.authority.as_ref().map_or_else(azure_soa, ZoneAuthority::soa), SOA_TTL, false),
        };
        let mut zone = Zone {
            apex: self.apex.clone(),
            apex_labels: self.apex_labels,
            origins: None,
            shards: Shards::new(&shards),
            soa: Box::default(),
            negative_soa: CompactRecords::default(),
            own_serial,
            min_ttl: self.min_ttl,
            max_ttl: self.max_ttl,
            counts: ZoneCounts { records: findings.counts.records + 1, sets: findings.counts.sets + 1, ..findings.counts },
        };
        zone.set_soa(&rdata, ttl);
        if own_serial { zone } else { zone.with_serial(serial) }
    }

    /// A name of the zone for people: absolute, without the final dot.
    pub(super) fn name(&self, owner: &[u8]) -> String {
        name_in(&self.apex, owner)
    }

    fn set_rules(&self) -> SetRules<'_> {
        SetRules {
            apex: &self.apex,
            min_ttl: self.min_ttl,
            max_ttl: self.max_ttl,
            files: &self.files,
            has_several_files: self.files.len() > ONE_FILE,
            networks: self.networks.as_deref(),
        }
    }
}

impl RecordSink for ZoneBuilder {
    fn record(&mut self, record: RecordRef<'_>) {
        let wire = record.owner.as_wire();
        if !record.owner.is_under(self.apex.as_wire()) {
            self.skipped += 1;
            if self.foreign == Foreign::Warn {
                self.outside.note(&self.files[self.file as usize], record.at, record.owner, record.rtype == rtype::SOA);
            } else if self.foreign == Foreign::Refuse {
                let message = format!("{} does not lie in the zone {}", record.owner, self.apex);
                self.problem(record.at, message, "a name without a final dot is relative to the origin");
            }
            return;
        }
        let ttl = record.ttl.unwrap_or(DEFAULT_TTL);
        if let Some(wrong) = wrong_data(record.rtype, record.rdata) {
            self.problem(record.at, wrong, "");
            return;
        }
        if ttl > MAX_TTL {
            self.problem(record.at, format!("TTL {ttl} is over {MAX_TTL}"), "RFC 2181 section 8");
            return;
        }
        let owner = &wire[..wire.len() - self.apex.as_wire().len()];
        self.has_servers |= record.rtype == rtype::NS && owner.is_empty();
        let entry =
            LogEntry { hash: shard::hash(owner), at: record.at, file: self.file, ttl, rtype: record.rtype, owner, rdata: record.rdata };
        self.log(&entry);
        self.records += 1;
        self.outside.note_inside(usize::from(self.foreign == Foreign::Warn));
    }

    fn file(&mut self, file: &Arc<PathBuf>) {
        if let Some(known) = self.files.iter().position(|known| known == file) {
            self.file = known as u16;
        } else if self.files.len() < u16::MAX as usize {
            self.file = self.files.len() as u16;
            self.files.push(file.clone());
        }
    }
}

impl ZoneBuilder {
    fn problem(&mut self, at: TextPosition, message: String, help: &str) {
        let file = self.files[self.file as usize].clone();
        self.problems.push(SourceProblem { file, at, severity: Severity::Error, message, help: help.into() });
    }
}

impl ZoneCounts {
    fn add(&mut self, other: &ZoneCounts) {
        self.records += other.records;
        self.sets += other.sets;
        self.names += other.names;
        self.nodes += other.nodes;
        self.wildcards += other.wildcards;
        self.cuts += other.cuts;
        self.dnames += other.dnames;
        self.depth = self.depth.max(other.depth);
    }
}

/// The owner without its first label; none above the apex.
pub(super) fn parent_of(owner: &[u8]) -> Option<&[u8]> {
    owner.get(1 + *owner.first()? as usize..)
}

/// Labels of an owner.
pub(super) fn labels(owner: &[u8]) -> usize {
    std::iter::successors(parent_of(owner), |rest| parent_of(rest)).count()
}

/// Why a zone cannot hold this type and data.
pub(super) fn wrong_data(rtype: u16, rdata: &[u8]) -> Option<String> {
    let expected = match rtype {
        rtype::A => 4,
        rtype::AAAA => 16,
        0 | rtype::OPT | 128..=255 => return Some(format!("{} is not a type of records in a zone", type_name(rtype))),
        _ if rdata.len() > LARGEST_SET => return Some(format!("{} octets of data do not fit in a DNS message", rdata.len())),
        _ => return None,
    };
    (rdata.len() != expected).then(|| format!("{} has {} octets of data instead of {expected}", type_name(rtype), rdata.len()))
}

/// Octets of the two names that start an SOA's data, where it is well-formed.
pub(super) fn soa_names(rdata: &[u8]) -> Option<usize> {
    let mname = NameBuf::read(rdata).ok()?.len();
    let names = mname + NameBuf::read(&rdata[mname..]).ok()?.len();
    (rdata.len() == names + 20).then_some(names)
}

/// Returns true if the RDATA of an SOA names Azure's server as the primary one.
pub fn is_azure_soa(rdata: &[u8]) -> bool {
    rdata.starts_with(AZURE_MNAME)
}

/// Azure's values for a private zone; the serial is filled in later.
fn azure_soa() -> Vec<u8> {
    let mut rdata = [AZURE_MNAME, AZURE_RNAME, &[0; 4]].concat();
    AZURE_TIMERS.iter().for_each(|timer| rdata.extend_from_slice(&timer.to_be_bytes()));
    rdata
}
