//! Records of one file on their way into zones: kept in order, and given to the zones that own their names.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::name::{NameBuf, WireName};
use crate::record::{RecordRef, RecordSink, TextPosition};
use crate::zone::rtype;

/// Records of one file, in order, to be given to a sink again.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct RecordLog {
    bytes: Vec<u8>,
    files: Vec<Arc<PathBuf>>,
    records: usize,
    lacks_memory: bool,
}

/// How many records each file gave, the SOA aside. Files that gave none are left out.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct FileCounts(Vec<(Arc<PathBuf>, usize)>);

impl FileCounts {
    /// Records of one file.
    pub fn of(&self, path: &Path) -> usize {
        self.0.iter().find(|(file, _)| ***file == *path).map_or(0, |(_, count)| *count)
    }

    /// Records of all files.
    pub fn total(&self) -> usize {
        self.0.iter().map(|(_, count)| count).sum()
    }

    /// Every file with its records.
    pub fn iter(&self) -> impl Iterator<Item = (&Arc<PathBuf>, usize)> {
        self.0.iter().map(|(file, count)| (file, *count))
    }

    /// Counts records of a file.
    pub fn add(&mut self, path: &Arc<PathBuf>, records: usize) {
        match self.0.iter_mut().find(|(file, _)| file == path) {
            Some((_, count)) => *count += records,
            None => self.0.push((path.clone(), records)),
        }
    }
}

/// Counts records on their way to a sink.
pub struct Census<'s> {
    sink: &'s mut dyn RecordSink,
    /// Apexes of the zones that count; empty: every record does.
    apexes: &'s [&'s WireName],
    counts: FileCounts,
    /// The file that is being read, and its records since it was entered.
    at: (Arc<PathBuf>, usize),
}

impl<'s> Census<'s> {
    /// Counts the records of `file` and what it includes that lie below one of `apexes`, or all of them if there are none.
    pub fn new(sink: &'s mut dyn RecordSink, apexes: &'s [&'s WireName], file: &Arc<PathBuf>) -> Self {
        Self { sink, apexes, counts: FileCounts::default(), at: (file.clone(), 0) }
    }

    /// Returns the counts.
    pub fn counts(mut self) -> FileCounts {
        self.close();
        self.counts
    }

    fn close(&mut self) {
        if self.at.1 > 0 {
            self.counts.add(&self.at.0, std::mem::take(&mut self.at.1));
        }
    }
}

impl RecordSink for Census<'_> {
    fn record(&mut self, record: RecordRef<'_>) {
        let counts = self.apexes.is_empty() || self.apexes.iter().any(|apex| record.owner.is_under(apex.as_wire()));
        self.at.1 += usize::from(record.rtype != rtype::SOA && counts);
        self.sink.record(record);
    }

    fn file(&mut self, file: &Arc<PathBuf>) {
        self.close();
        self.at.0 = file.clone();
        self.sink.file(file);
    }
}

/// Octets of a record in a log beside its owner and data.
const ENTRY_HEAD: usize = 21;

/// A log entry is a file (`1`, index u16) or a record (`0`, owner, type u16, TTL u32 + 1 or 0, line, column, length u16, data).
impl RecordLog {
    /// Records in it.
    pub fn len(&self) -> usize {
        self.records
    }

    /// Returns true if a record had no memory, so the log is not whole.
    pub fn lacks_memory(&self) -> bool {
        self.lacks_memory
    }

    /// True where it has none.
    pub fn is_empty(&self) -> bool {
        self.records == 0
    }

    /// Returns the entries, and the files that they stand in.
    pub(crate) fn parts(&self) -> (&[u8], &[Arc<PathBuf>]) {
        (&self.bytes, &self.files)
    }

    /// The opposite of [`RecordLog::parts`]. Entries that cannot be read end the log.
    pub(crate) fn from_parts(bytes: Vec<u8>, files: Vec<Arc<PathBuf>>, records: usize) -> Self {
        Self { bytes, files, records, lacks_memory: false }
    }

    /// Gives everything to a sink again.
    pub fn replay(&self, sink: &mut dyn RecordSink) {
        let mut rest = &self.bytes[..];
        while let Some(entry) = self.next(&mut rest) {
            match entry {
                Ok(record) => sink.record(record.borrow()),
                Err(file) => sink.file(file),
            }
        }
    }

    fn next<'l>(&'l self, rest: &mut &'l [u8]) -> Option<Result<Replayed<'l>, &'l Arc<PathBuf>>> {
        let (&kind, tail) = rest.split_first()?;
        *rest = tail;
        if kind == 1 {
            return Some(Err(self.files.get(u16::from_le_bytes(take(rest)?) as usize)?));
        }
        let owner = NameBuf::read(rest).ok()?;
        *rest = &rest[owner.len()..];
        let rtype = u16::from_le_bytes(take(rest)?);
        let ttl = u64::from_le_bytes(take(rest)?).checked_sub(1).map(|ttl| ttl as u32);
        let at = TextPosition { line: u32::from_le_bytes(take(rest)?), column: u32::from_le_bytes(take(rest)?) };
        let length = u16::from_le_bytes(take(rest)?) as usize;
        let (rdata, tail) = rest.split_at_checked(length)?;
        *rest = tail;
        Some(Ok(Replayed { owner, rtype, ttl, rdata, at }))
    }
}

struct Replayed<'l> {
    owner: NameBuf,
    rtype: u16,
    ttl: Option<u32>,
    rdata: &'l [u8],
    at: TextPosition,
}

impl Replayed<'_> {
    fn borrow(&self) -> RecordRef<'_> {
        RecordRef { owner: &self.owner, rtype: self.rtype, ttl: self.ttl, rdata: self.rdata, at: self.at }
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (head, tail) = rest.split_first_chunk()?;
    *rest = tail;
    Some(*head)
}

impl RecordSink for RecordLog {
    fn record(&mut self, record: RecordRef<'_>) {
        let Ok(length) = u16::try_from(record.rdata.len()) else { return };
        if self.bytes.try_reserve(ENTRY_HEAD + record.owner.len() + record.rdata.len()).is_err() {
            self.lacks_memory = true;
            return;
        }
        self.bytes.push(0);
        self.bytes.extend_from_slice(record.owner.as_wire());
        self.bytes.extend_from_slice(&record.rtype.to_le_bytes());
        self.bytes.extend_from_slice(&record.ttl.map_or(0, |ttl| u64::from(ttl) + 1).to_le_bytes());
        self.bytes.extend_from_slice(&record.at.line.to_le_bytes());
        self.bytes.extend_from_slice(&record.at.column.to_le_bytes());
        self.bytes.extend_from_slice(&length.to_le_bytes());
        self.bytes.extend_from_slice(record.rdata);
        self.records += 1;
    }

    fn file(&mut self, file: &Arc<PathBuf>) {
        let known = self.files.iter().position(|known| known == file);
        let index = known.unwrap_or_else(|| {
            self.files.push(file.clone());
            self.files.len() - 1
        });
        self.bytes.push(1);
        self.bytes.extend_from_slice(&(index as u16).to_le_bytes());
    }
}

/// Gives each record of a shared file to the zones that own its name, the longest apex, and notes the names that none owns.
#[derive(Debug)]
pub struct Sorter<'b, S> {
    /// Apexes and their sinks.
    pub sinks: Vec<(&'b WireName, &'b mut S)>,
    /// Written names that lie in no zone: the first name given for a place in a file.
    pub strays: Strays,
}

/// Names of a source that no zone took.
#[derive(Debug, Default)]
pub struct Strays {
    /// The first of them, with file and place.
    pub first: Vec<(Arc<PathBuf>, TextPosition, NameBuf)>,
    /// How many.
    pub count: usize,
    file: Option<Arc<PathBuf>>,
    open: Option<(TextPosition, NameBuf, bool)>,
}

impl Strays {
    const MOST: usize = 5;

    /// Notes a spelling of the name written at a place: one that is taken settles it.
    fn note(&mut self, at: TextPosition, name: &NameBuf, taken: bool) {
        match &mut self.open {
            Some((place, _, was_taken)) if *place == at => *was_taken |= taken,
            _ => {
                self.close();
                self.open = Some((at, name.clone(), taken));
            }
        }
    }

    /// Ends the name that was being given.
    pub fn close(&mut self) {
        if let Some((at, name, false)) = self.open.take() {
            self.count += 1;
            if self.first.len() < Self::MOST {
                self.first.push((self.file.clone().unwrap_or_default(), at, name));
            }
        }
    }
}

impl<S: RecordSink> RecordSink for Sorter<'_, S> {
    fn record(&mut self, record: RecordRef<'_>) {
        let owning = |apex: &WireName| record.owner.is_under(apex.as_wire()).then(|| apex.as_wire().len());
        let longest = self.sinks.iter().filter_map(|(apex, _)| owning(apex)).max();
        self.strays.note(record.at, record.owner, longest.is_some());
        if longest.is_some() {
            for (_, sink) in self.sinks.iter_mut().filter(|(apex, _)| owning(apex) == longest) {
                sink.record(record.clone());
            }
        }
    }

    fn file(&mut self, file: &Arc<PathBuf>) {
        self.strays.close();
        self.strays.file = Some(file.clone());
        self.sinks.iter_mut().for_each(|(_, sink)| sink.file(file));
    }
}
