//! The last good data of every source, kept in the state directory for the next start.
//!
//! ```text
//! sources/index   CRC-32, and JSON: the serial of each zone, and of each file what tells whether it is still the same
//! sources/<id>    the records of one file: magic, CRC-32, header, RecordLog
//! ```
//! A thread of its own writes, behind the change that is served: whatever the disk does, no change waits for it. What is written while the
//! machine loses power is the old content or the new one. A file that cannot be read back is reported and counts as not there.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use postern_config::model::{self, Source};
use serde::{Deserialize, Serialize};

use crate::record::{Position, RecordRef, RecordSink};
use crate::source::{FileCounts, RecordLog};
use crate::state_directory::{StateDirectory, StateFileError};
use crate::zone::{Zone, rtype};

const DIRECTORY: &str = "sources";
const INDEX: &str = "sources/index";
const MAGIC: &[u8; 8] = b"PSTNK1\n\0";
/// Octets of an index of a hundred thousand zones, about.
const LONGEST_INDEX: u64 = 64 << 20;
/// More than the records of any source that fits into memory.
const LONGEST: u64 = 16 << 30;

/// How soon a write that failed is tried again.
const AGAIN: Duration = Duration::from_secs(10);
/// How long a stop may take to write. What is left out is kept by the next run.
const LONGEST_STOP: Duration = Duration::from_secs(3);

/// Data about a zone that survives a restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptZone {
    /// The serial that it was served with last.
    pub serial: u32,
    /// When that was, seconds since the UNIX epoch.
    saved: u64,
    /// When its source was changed, seconds since the UNIX epoch.
    changed: Option<u64>,
}

/// Data about a file that survives a restart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptFile {
    /// The source that it belongs to.
    pub source: String,
    /// Its path.
    pub path: String,
    /// The only zone that has its records, as [`zone_key`]; none: the records are for all zones of the source.
    pub zone: Option<String>,
    /// Octets in it.
    pub length: u64,
    /// CRC-32 of them.
    pub sum: u32,
    /// Files that it includes: path, octets, and when they were changed.
    pub included: Vec<(String, u64, i64, i64)>,
    /// Records, by file.
    pub counts: Vec<(String, usize)>,
}

/// Where the records of a file are.
pub enum KeptRecords {
    /// In the order of the file.
    Log(Arc<RecordLog>),
    /// In the zone that was made of it alone.
    Zone(Arc<Zone>),
}

/// Reads what the last run kept, and keeps what this one has.
#[derive(Debug)]
pub struct Keeper {
    state: Arc<StateDirectory>,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    queue: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Default)]
struct Queue {
    index: Index,
    /// The index on the disk is another.
    is_changed: bool,
    /// Records to write, by id.
    records: HashMap<String, (KeptFile, KeptRecords)>,
    /// Records to remove, by id.
    removed: BTreeSet<String>,
    /// Since when the server stops.
    stopping: Option<Instant>,
}

/// What is written at once.
struct Batch {
    records: HashMap<String, (KeptFile, KeptRecords)>,
    removed: BTreeSet<String>,
}

#[derive(Debug, Default, Clone, Serialize, Deserialize)]
struct Index {
    zones: BTreeMap<String, KeptZone>,
    files: BTreeMap<String, KeptFile>,
}

/// What stands in front of the records.
#[derive(Serialize, Deserialize)]
struct Header {
    file: KeptFile,
    /// Files that the records stand in.
    files: Vec<String>,
    records: usize,
}

/// A zone's name and networks, as a key.
pub fn zone_key(zone: &model::Zone) -> String {
    if zone.networks.is_empty() { zone.name.clone() } else { format!("{}@{}", zone.name, zone.networks.join(",")) }
}

/// A source as a key.
pub fn source_key(source: &Source) -> Option<String> {
    match source {
        Source::File { path, format } => Some(format!("file {} {format:?}", path.display())),
        Source::Directory { path } => Some(format!("directory {}", path.display())),
        Source::Api | Source::Transfer { .. } => None,
    }
}

impl Keeper {
    /// Reads what was kept. Changes are kept from now on if the directory can be written.
    pub fn open(state: Arc<StateDirectory>) -> Self {
        let read = state.read(INDEX, LONGEST_INDEX).map_err(|error| error.to_string()).and_then(|octets| match octets {
            Some(octets) => read_index(&octets).ok_or_else(|| format!("{INDEX}: damaged")),
            None => Ok(Index::default()),
        });
        let index = read.unwrap_or_else(|error| {
            tracing::warn!("the data that the last run kept cannot be used; sources that are bad now have no data: {error}");
            Index::default()
        });
        let shared = Arc::new(Shared { queue: Mutex::new(Queue { index, ..Queue::default() }), changed: Condvar::new() });
        let mut keeper = Self { state, shared, thread: None };
        if keeper.state.read_only().is_none() {
            let (state, shared) = (keeper.state.clone(), keeper.shared.clone());
            let started = std::thread::Builder::new().name("postern-keep".into()).spawn(move || shared.write_on(&state));
            match started {
                Ok(thread) => keeper.thread = Some(thread),
                Err(error) => tracing::warn!("the data of sources is not kept for the next start: {error}"),
            }
        }
        keeper
    }

    /// What is known of a zone.
    pub fn zone(&self, zone: &model::Zone) -> Option<KeptZone> {
        self.shared.lock().index.zones.get(&zone_key(zone)).copied()
    }

    /// Every file of a source.
    pub fn files(&self, source: &Source) -> Vec<KeptFile> {
        let Some(source) = source_key(source) else { return Vec::new() };
        self.shared.lock().index.files.values().filter(|file| file.source == source).cloned().collect()
    }

    /// The records of a file.
    pub fn read(&self, file: &KeptFile) -> Result<RecordLog, String> {
        let name = format!("{DIRECTORY}/{}", file.id());
        let octets = self.state.read(&name, LONGEST).map_err(|error| error.to_string())?.ok_or_else(|| format!("{name}: no such file"))?;
        let (of, records) = read_records(&octets).ok_or_else(|| format!("{}/{name}: damaged", self.state.path().display()))?;
        let is_it = (&of.source, &of.path, &of.zone) == (&file.source, &file.path, &file.zone);
        is_it.then_some(records).ok_or_else(|| format!("{}/{name}: the records are of {}", self.state.path().display(), of.path))
    }

    /// Keeps the records of a file. Does nothing if they are those that are kept.
    pub fn save(&self, file: KeptFile, records: KeptRecords) {
        if self.thread.is_none() {
            return;
        }
        let mut queue = self.shared.lock();
        let id = file.id();
        if queue.index.files.get(&id) == Some(&file) {
            return;
        }
        queue.removed.remove(&id);
        queue.index.files.insert(id.clone(), file.clone());
        queue.records.insert(id, (file, records));
        queue.is_changed = true;
        self.shared.changed.notify_one();
    }

    /// Keeps fewer records of a file that all zones of its source share.
    pub fn replace(&self, source: &Source, path: &Path, counts: &FileCounts, log: &Arc<RecordLog>) {
        let kept = self.files(source).into_iter().find(|file| file.zone.is_none() && file.path == path.to_string_lossy());
        let counts = counts.iter().map(|(path, count)| (path.to_string_lossy().into_owned(), count)).collect();
        let file = kept.map(|file| KeptFile { counts, ..file });
        file.into_iter().for_each(|file| self.save(file, KeptRecords::Log(log.clone())));
    }

    /// Keeps the serial of a zone.
    pub fn save_zone(&self, zone: &model::Zone, serial: u32, changed: Option<SystemTime>) {
        if self.thread.is_none() {
            return;
        }
        let mut queue = self.shared.lock();
        let kept = KeptZone { serial, saved: seconds(SystemTime::now()), changed: changed.map(seconds) };
        let before = queue.index.zones.insert(zone_key(zone), kept);
        if before.map(|before| (before.serial, before.changed)) != Some((kept.serial, kept.changed)) {
            queue.is_changed = true;
            self.shared.changed.notify_one();
        }
    }

    /// Forgets the file of a source, or all of them.
    pub fn forget(&self, source: &Source, path: Option<&Path>) {
        let files = self.files(source);
        self.forget_all(files.iter().filter(|file| path.is_none_or(|path| file.path == path.to_string_lossy())).map(KeptFile::id));
    }

    /// Forgets a zone, and the files that it alone had.
    pub fn forget_zone(&self, zone: &model::Zone) {
        let key = zone_key(zone);
        let of_zone: Vec<String> = {
            let mut queue = self.shared.lock();
            queue.index.zones.remove(&key);
            queue.index.files.values().filter(|file| file.zone.as_ref() == Some(&key)).map(KeptFile::id).collect()
        };
        self.forget_all(of_zone.into_iter());
    }

    fn forget_all(&self, ids: impl Iterator<Item = String>) {
        if self.thread.is_none() {
            return;
        }
        let mut queue = self.shared.lock();
        for id in ids {
            queue.index.files.remove(&id);
            queue.records.remove(&id);
            queue.removed.insert(id);
        }
        queue.is_changed = true;
        self.shared.changed.notify_one();
    }
}

impl Drop for Keeper {
    /// What is to be kept is written before the server ends, unless that takes too long.
    fn drop(&mut self) {
        self.shared.lock().stopping = Some(Instant::now());
        self.shared.changed.notify_one();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join(); // a panic there was logged by its hook
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_on(&self, state: &StateDirectory) {
        let mut failed: Option<String> = None;
        loop {
            let queue = self.lock();
            let mut queue = match &failed {
                None => {
                    let idle = |queue: &mut Queue| !queue.is_changed && queue.stopping.is_none();
                    self.changed.wait_while(queue, idle).unwrap_or_else(PoisonError::into_inner)
                }
                Some(_) => {
                    let waits = |queue: &mut Queue| queue.stopping.is_none();
                    self.changed.wait_timeout_while(queue, AGAIN, waits).unwrap_or_else(PoisonError::into_inner).0
                }
            };
            if !queue.is_changed || queue.stopping.is_some() && failed.is_some() {
                return;
            }
            queue.is_changed = false;
            let batch = Batch { records: std::mem::take(&mut queue.records), removed: std::mem::take(&mut queue.removed) };
            let index = queue.index.clone();
            drop(queue);
            let why = self.write_all(state, &batch, index).err();
            if let Some(why) = &why {
                if failed.as_ref() != Some(why) {
                    tracing::warn!("the data of sources is not kept for the next start, which is tried again: {why}");
                }
                self.lock().take_back(batch);
            }
            failed = why;
        }
    }

    /// Records first, then the index that names them, then what it no longer names.
    fn write_all(&self, state: &StateDirectory, batch: &Batch, mut index: Index) -> Result<(), String> {
        let told = |error: StateFileError| error.to_string();
        for (id, (file, records)) in &batch.records {
            if self.lock().stopping.is_some_and(|since| since.elapsed() > LONGEST_STOP) {
                index.files.remove(id);
                continue;
            }
            state.write_atomically_with(&format!("{DIRECTORY}/{id}"), |out| write_records(file, records, out)).map_err(told)?;
        }
        let text = serde_json::to_string(&index).map_err(|error| error.to_string())?;
        let octets = format!("{:08x}\n{text}\n", crc32fast::hash(text.as_bytes()));
        state.write_atomically(INDEX, octets.as_bytes()).map_err(told)?;
        batch.removed.iter().try_for_each(|id| state.remove(&format!("{DIRECTORY}/{id}")).map_err(told))
    }
}

impl Queue {
    /// Puts back what could not be written, unless there is something newer.
    fn take_back(&mut self, batch: Batch) {
        for (id, records) in batch.records.into_iter().filter(|(id, _)| self.index.files.contains_key(id)) {
            self.records.entry(id).or_insert(records);
        }
        self.removed.extend(batch.removed.into_iter().filter(|id| !self.index.files.contains_key(id)));
        self.is_changed = true;
    }
}

/// The index behind its check sum.
fn read_index(octets: &[u8]) -> Option<Index> {
    let text = std::str::from_utf8(octets).ok()?;
    let (sum, text) = text.strip_suffix('\n')?.split_once('\n')?;
    let is_whole = u32::from_str_radix(sum, 16).ok()? == crc32fast::hash(text.as_bytes());
    is_whole.then(|| serde_json::from_str(text).ok())?
}

fn write_records(file: &KeptFile, records: &KeptRecords, out: &mut dyn Write) -> io::Result<()> {
    let made;
    let log = match records {
        KeptRecords::Log(log) => log.as_ref(),
        KeptRecords::Zone(zone) => {
            made = log_of(zone);
            &made
        }
    };
    let (octets, files) = log.parts();
    let files = files.iter().map(|file| file.to_string_lossy().into_owned()).collect();
    let header = serde_json::to_vec(&Header { file: file.clone(), files, records: log.len() })?;
    let length = u32::try_from(header.len()).map_err(io::Error::other)?.to_be_bytes();
    let mut sum = crc32fast::Hasher::new();
    [&length[..], &header, octets].iter().for_each(|part| sum.update(part));
    out.write_all(MAGIC)?;
    out.write_all(&sum.finalize().to_be_bytes())?;
    [&length[..], &header, octets].iter().try_for_each(|part| out.write_all(part))
}

fn read_records(octets: &[u8]) -> Option<(KeptFile, RecordLog)> {
    let (sum, rest) = octets.strip_prefix(MAGIC)?.split_first_chunk::<4>()?;
    if u32::from_be_bytes(*sum) != crc32fast::hash(rest) {
        return None;
    }
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let (header, records) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)?;
    let header: Header = serde_json::from_slice(header).ok()?;
    let files = header.files.into_iter().map(|file| Arc::new(file.into())).collect();
    Some((header.file, RecordLog::from_parts(records.to_vec(), files, header.records)))
}

/// The records of a zone, its SOA only if the source gave one.
fn log_of(zone: &Zone) -> RecordLog {
    let mut log = RecordLog::default();
    for (owner, set) in zone.records().filter(|(_, set)| set.rtype != rtype::SOA || zone.has_own_serial()) {
        for rdata in set.rdata() {
            log.record(RecordRef { owner: &owner, rtype: set.rtype, ttl: Some(set.ttl), rdata, at: Position::default() });
        }
    }
    log
}

impl KeptFile {
    /// Name of the file that has its records.
    fn id(&self) -> String {
        let zone = self.zone.as_deref().unwrap_or_default();
        let key = format!("{}\n{}\n{zone}", self.source, self.path);
        // Should two files ever share a name, the header tells whose records they are.
        format!("{:08x}{:08x}", crc32fast::hash(key.as_bytes()), crc32fast::hash(key.chars().rev().collect::<String>().as_bytes()))
    }
}

impl KeptZone {
    /// When it was kept.
    pub fn saved(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(self.saved)
    }

    /// When its source was changed.
    pub fn changed(&self) -> Option<SystemTime> {
        self.changed.map(|changed| SystemTime::UNIX_EPOCH + Duration::from_secs(changed))
    }
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

impl std::fmt::Debug for Queue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Queue").field("files", &self.index.files.len()).field("waiting", &self.records.len()).finish_non_exhaustive()
    }
}
