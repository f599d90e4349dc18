//! The last good data of every source, kept in the state directory for the next start.
//!
//! ```text
//! sources/index   CRC-32, and JSON: serial and checksum of each zone, and the properties by which each file is recognized
//! sources/<id>    the records of one file: magic, CRC-32, header, RecordLog
//! ```
//! A separate thread writes this data after the change is served, so no change waits for the disk. It tries again while the directory
//! cannot be written. Each file has its old content or its new content after a power failure. A file that cannot be read is reported, and
//! the start goes on without it.
//!
//! The serials of new data reach the disk before its records do. A start after a kill therefore never gives other records a serial that
//! was served: the checksum of a zone shows that its records are not those of its serial.

mod format;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use postern_config::model::{self, FileSource};
use serde::{Deserialize, Serialize};

use crate::source::{FileCounts, RecordLog};
use crate::state_directory::{StateDirectory, StateFileError};
use crate::zone::Zone;
use format::{checksum, read_index, read_records, write_index, write_records};

const DIRECTORY: &str = "sources";
const INDEX: &str = "sources/index";
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
    /// [`checksum`] of the zone. `None` if it is not known yet: then the serial is not used again.
    #[serde(default)]
    sum: Option<u64>,
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
    records: HashMap<String, WaitingRecords>,
    /// Records to remove, by id.
    removed: BTreeSet<String>,
    /// Zones whose checksum is not in the index yet, by key.
    zones: HashMap<String, Arc<Zone>>,
    /// True while the thread writes.
    is_writing: bool,
    /// Since when the server stops.
    stopping: Option<Instant>,
}

/// Data that is written at once.
struct Batch {
    records: HashMap<String, WaitingRecords>,
    removed: BTreeSet<String>,
    zones: HashMap<String, Arc<Zone>>,
}

/// Records of a file that are not on the disk yet.
struct WaitingRecords {
    file: KeptFile,
    records: KeptRecords,
    /// The entry that the index on the disk has for the file.
    before: Option<KeptFile>,
}

#[derive(Debug, Default, Clone, Serialize, Deserialize)]
struct Index {
    zones: BTreeMap<String, KeptZone>,
    files: BTreeMap<String, KeptFile>,
}

/// A zone's name and networks, as a key.
pub fn zone_key(zone: &model::ZoneConfig) -> String {
    if zone.networks.are_all() { zone.name.clone() } else { format!("{}@{}", zone.name, zone.networks) }
}

/// A source as a key.
pub fn source_key(source: &FileSource) -> String {
    match source {
        FileSource::File { path, format } => format!("file {} {format:?}", path.display()),
        FileSource::Directory { path } => format!("directory {}", path.display()),
        FileSource::Lines { path, .. } => format!("lines {}", path.display()),
    }
}

impl Keeper {
    /// Reads the data of the last run, and keeps changes from now on.
    pub fn open(state: Arc<StateDirectory>) -> Self {
        let read = state.read(INDEX, LONGEST_INDEX).map_err(|error| error.to_string()).and_then(|octets| match octets {
            Some(octets) => read_index(&octets).ok_or_else(|| format!("{INDEX}: damaged")),
            None => Ok(Index::default()),
        });
        let index = read.unwrap_or_else(|error| {
            tracing::warn!("cannot use the data stored by the last run; bad sources have no data: {error}");
            Index::default()
        });
        let shared = Arc::new(Shared { queue: Mutex::new(Queue { index, ..Queue::default() }), changed: Condvar::new() });
        let mut keeper = Self { state, shared, thread: None };
        let (state, shared) = (keeper.state.clone(), keeper.shared.clone());
        match std::thread::Builder::new().name("postern-keep".into()).spawn(move || shared.write_on(&state)) {
            Ok(thread) => keeper.thread = Some(thread),
            Err(error) => tracing::warn!("the data of sources is not kept for the next start: {error}"),
        }
        keeper
    }

    /// Returns the kept properties of a zone.
    pub fn zone(&self, zone: &model::ZoneConfig) -> Option<KeptZone> {
        self.shared.lock().index.zones.get(&zone_key(zone)).copied()
    }

    /// Every file of a source.
    pub fn files(&self, source: &FileSource) -> Vec<KeptFile> {
        let source = source_key(source);
        self.shared.lock().index.files.values().filter(|file| file.source == source).cloned().collect()
    }

    /// The records of a file, with the properties that it had then. They are other than those of the index if the server was killed while
    /// it wrote.
    pub fn read(&self, file: &KeptFile) -> Result<(KeptFile, RecordLog), String> {
        let name = format!("{DIRECTORY}/{}", file.id());
        let octets = self.state.read(&name, LONGEST).map_err(|error| error.to_string())?.ok_or_else(|| format!("{name}: no such file"))?;
        let (of, records) = read_records(&octets).ok_or_else(|| format!("{}/{name}: damaged", self.state.path().display()))?;
        let is_it = (&of.source, &of.path, &of.zone) == (&file.source, &file.path, &file.zone);
        if !is_it {
            return Err(format!("{}/{name}: the records are of {}", self.state.path().display(), of.path));
        }
        Ok((of, records))
    }

    /// Keeps the records of a file. Does nothing if they are kept already.
    pub fn save(&self, file: KeptFile, records: KeptRecords) {
        if self.shared.lock().index.files.get(&file.id()) != Some(&file) {
            self.write(file, records);
        }
    }

    /// Writes the records of a file, even if the index has them.
    pub fn write(&self, file: KeptFile, records: KeptRecords) {
        if self.thread.is_none() {
            return;
        }
        let mut queue = self.shared.lock();
        let id = file.id();
        let was_removed = queue.removed.remove(&id);
        let before = queue.index.files.insert(id.clone(), file.clone()).filter(|_| !was_removed);
        let before = match queue.records.remove(&id) {
            Some(waiting) => waiting.before,
            None => before,
        };
        queue.records.insert(id, WaitingRecords { file, records, before });
        queue.is_changed = true;
        self.shared.changed.notify_one();
    }

    /// Files whose records were removed from the disk although the index in memory has them.
    pub fn removed_files(&self) -> Vec<KeptFile> {
        let queue = self.shared.lock();
        let is_idle = self.thread.is_some() && !queue.is_changed && !queue.is_writing;
        if !is_idle || queue.index.files.is_empty() || self.state.path().join(INDEX).exists() {
            return Vec::new(); // one call of stat(2) for each poll
        }
        let is_missing = |id: &&String| !self.state.path().join(DIRECTORY).join(id).exists();
        queue.index.files.iter().filter(|(id, _)| is_missing(id)).map(|(_, file)| file.clone()).collect()
    }

    /// Writes the index anew.
    pub fn write_index(&self) {
        self.shared.lock().is_changed = true;
        self.shared.changed.notify_one();
    }

    /// Keeps fewer records of a file that all zones of its source share.
    pub fn replace(&self, source: &FileSource, path: &Path, counts: &FileCounts, log: &Arc<RecordLog>) {
        let kept = self.files(source).into_iter().find(|file| file.zone.is_none() && file.path == path.to_string_lossy());
        let counts = counts.iter().map(|(path, count)| (path.to_string_lossy().into_owned(), count)).collect();
        let file = kept.map(|file| KeptFile { counts, ..file });
        file.into_iter().for_each(|file| self.save(file, KeptRecords::Log(log.clone())));
    }

    /// Keeps the data that a zone serves of another source, until its own source is good.
    pub fn save_inherited(&self, config: &model::ZoneConfig, zone: &Arc<Zone>, changed: Option<SystemTime>) {
        if let Some(file) = KeptFile::inherited(config)
            && self.inherited(config).is_none()
        {
            self.write(file, KeptRecords::Zone(zone.clone()));
            self.save_zone(config, zone, changed);
        }
    }

    /// The entry of such data.
    pub fn inherited(&self, config: &model::ZoneConfig) -> Option<KeptFile> {
        self.shared.lock().index.files.get(&KeptFile::inherited(config)?.id()).cloned()
    }

    /// Forgets such data.
    pub fn forget_inherited(&self, config: &model::ZoneConfig) {
        self.forget_all(self.inherited(config).iter().map(KeptFile::id));
    }

    /// Keeps the serial and the checksum of a zone.
    pub fn save_zone(&self, config: &model::ZoneConfig, zone: &Arc<Zone>, changed: Option<SystemTime>) {
        let kept = KeptZone { serial: zone.serial(), saved: seconds(SystemTime::now()), changed: changed.map(seconds), sum: None };
        self.save_kept_zone(config, zone, kept);
    }

    /// Keeps the new serial of a zone that serves the data of an earlier run.
    pub fn save_serial(&self, config: &model::ZoneConfig, zone: &Arc<Zone>, before: &KeptZone) {
        self.save_kept_zone(config, zone, KeptZone { serial: zone.serial(), sum: None, ..*before });
    }

    fn save_kept_zone(&self, config: &model::ZoneConfig, zone: &Arc<Zone>, mut kept: KeptZone) {
        if self.thread.is_none() {
            return;
        }
        let mut queue = self.shared.lock();
        let key = zone_key(config);
        let before = queue.index.zones.get(&key).filter(|before| (before.serial, before.changed) == (kept.serial, kept.changed));
        kept.sum = before.and_then(|before| before.sum);
        let is_same = before.is_some();
        queue.index.zones.insert(key.clone(), kept);
        if !is_same || kept.sum.is_none() {
            queue.zones.insert(key, zone.clone());
            queue.is_changed = true;
            self.shared.changed.notify_one();
        }
    }

    /// Forgets a file of a source.
    pub fn forget(&self, source: &FileSource, path: &Path) {
        let files = self.files(source);
        self.forget_all(files.iter().filter(|file| file.path == path.to_string_lossy()).map(KeptFile::id));
    }

    /// Forgets all zones and sources but those with these keys.
    pub fn retain(&self, zones: &HashSet<String>, sources: &HashSet<String>) {
        let unknown: Vec<String> = {
            let mut queue = self.shared.lock();
            let before = queue.index.zones.len();
            queue.index.zones.retain(|key, _| zones.contains(key));
            queue.zones.retain(|key, _| zones.contains(key));
            queue.is_changed |= queue.index.zones.len() < before;
            let is_known = |file: &&KeptFile| sources.contains(&file.source) && file.zone.as_ref().is_none_or(|zone| zones.contains(zone));
            queue.index.files.values().filter(|file| !is_known(file)).map(KeptFile::id).collect()
        };
        self.forget_all(unknown.into_iter());
        self.shared.changed.notify_one();
    }

    fn forget_all(&self, ids: impl Iterator<Item = String>) {
        let mut ids = ids.peekable();
        if self.thread.is_none() || ids.peek().is_none() {
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
            queue.is_writing = true;
            let Queue { records, removed, zones, .. } = &mut *queue;
            let batch = Batch { records: std::mem::take(records), removed: std::mem::take(removed), zones: std::mem::take(zones) };
            drop(queue);
            let index = self.add_checksums(&batch);
            let why = self.write_all(state, &batch, index).err();
            self.lock().is_writing = false;
            if let Some(why) = &why {
                if failed.as_ref() != Some(why) {
                    tracing::warn!("cannot store the last good data for the next start; will retry: {why}");
                }
                self.lock().take_back(batch);
            }
            failed = why;
        }
    }

    /// The index, with the checksums of the zones that changed. A checksum reads the whole zone, so the lock is not held meanwhile.
    fn add_checksums(&self, batch: &Batch) -> Index {
        let sums: Vec<(&String, u32, u64)> = batch.zones.iter().map(|(key, zone)| (key, zone.serial(), checksum(zone))).collect();
        let mut queue = self.lock();
        for (key, serial, sum) in sums {
            if let Some(kept) = queue.index.zones.get_mut(key).filter(|kept| kept.serial == serial) {
                kept.sum = Some(sum);
            }
        }
        let mut index = queue.index.clone();
        // Written by the next batch.
        for (id, waiting) in &queue.records {
            match batch.records.get(id).map(|draft| &draft.file).or(waiting.before.as_ref()) {
                Some(file) => index.files.insert(id.clone(), file.clone()),
                None => index.files.remove(id),
            };
        }
        index
    }

    /// Writes the new serials, with the entries of the files as they are on the disk. Then it writes the records, the index that names
    /// them, and removes the files that the index no longer names.
    fn write_all(&self, state: &StateDirectory, batch: &Batch, mut index: Index) -> Result<(), String> {
        let told = |error: StateFileError| error.to_string();
        if !batch.records.is_empty() {
            let mut first = index.clone();
            for (id, draft) in &batch.records {
                match &draft.before {
                    Some(before) => first.files.insert(id.clone(), before.clone()),
                    None => first.files.remove(id),
                };
            }
            write_index(state, &first)?;
        }
        for (id, WaitingRecords { file, records, before }) in &batch.records {
            if self.lock().stopping.is_some_and(|since| since.elapsed() > LONGEST_STOP) {
                match before {
                    Some(before) => index.files.insert(id.clone(), before.clone()),
                    None => index.files.remove(id),
                };
                continue;
            }
            state.write_atomically_with(&format!("{DIRECTORY}/{id}"), |out| write_records(file, records, out)).map_err(told)?;
        }
        write_index(state, &index)?;
        batch.removed.iter().try_for_each(|id| state.remove(&format!("{DIRECTORY}/{id}")).map_err(told))
    }
}

impl Queue {
    /// Puts back what could not be written, unless there is something newer.
    fn take_back(&mut self, batch: Batch) {
        for (id, records) in batch.records.into_iter().filter(|(id, _)| self.index.files.contains_key(id)) {
            match self.records.get_mut(&id) {
                Some(newer) => newer.before = records.before,
                None => drop(self.records.insert(id, records)),
            }
        }
        for (key, zone) in batch.zones {
            self.zones.entry(key).or_insert(zone);
        }
        self.removed.extend(batch.removed.into_iter().filter(|id| !self.index.files.contains_key(id)));
        self.is_changed = true;
    }
}

impl KeptFile {
    /// The entry for data that a zone serves of another source. It has no path. Returns `None` if the zone is not read from files.
    fn inherited(zone: &model::ZoneConfig) -> Option<Self> {
        let (included, counts) = (Vec::new(), Vec::new());
        Some(Self {
            source: source_key(zone.source.files()?),
            path: String::new(),
            zone: Some(zone_key(zone)),
            length: 0,
            sum: 0,
            included,
            counts,
        })
    }

    /// Returns true if the records are of another source.
    pub fn is_inherited(&self) -> bool {
        self.path.is_empty()
    }

    /// Name of the file that has its records.
    fn id(&self) -> String {
        let zone = self.zone.as_deref().unwrap_or_default();
        let key = format!("{}\n{}\n{zone}", self.source, self.path);
        // Should two files ever share a name, the header tells whose records they are.
        format!("{:08x}{:08x}", crc32fast::hash(key.as_bytes()), crc32fast::hash(key.chars().rev().collect::<String>().as_bytes()))
    }
}

impl KeptZone {
    /// Returns true if a zone has the data that was served with the serial.
    pub fn is_of(&self, zone: &Zone) -> bool {
        self.sum == Some(checksum(zone))
    }

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
