//! The log that a builder writes while records come in, and its order afterwards.

use std::num::NonZero;
use std::ops::Range;

use super::shard;
use crate::record::TextPosition;

/// Names in a shard, about: a change copies one shard, a snapshot copies one pointer a shard.
pub const SHARD_NAMES: usize = 512;
/// Records from which on more than one core is worth starting.
const MUCH: usize = 50_000;

/// Where a record's log entry is.
#[derive(Debug, Clone, Copy)]
pub struct LogPlace {
    /// Shard in the upper half, lower half of the hash in the lower.
    pub order: u64,
    pub offset: u32,
}

/// One log entry, read.
#[derive(Debug, Clone, Copy)]
pub struct LogEntry<'l> {
    pub hash: u64,
    pub at: TextPosition,
    pub file: u16,
    pub ttl: u32,
    pub rtype: u16,
    pub owner: &'l [u8],
    pub rdata: &'l [u8],
}

/// The records in the order of the shards.
pub struct LogOrder {
    pub shards: usize,
    pub places: Vec<Vec<LogPlace>>,
}

impl LogOrder {
    pub fn of(logs: &[Vec<u8>], names: usize) -> Self {
        let shards = shards_for(names);
        let parts = in_parts(logs.len(), names, |range| logs[range].iter().map(|log| sort(log, shards)).collect::<Vec<_>>());
        Self { shards, places: parts.into_iter().flatten().collect() }
    }

    pub fn has(&self, logs: &[Vec<u8>], owner: &[u8]) -> bool {
        let hash = shard::hash(owner);
        let number = log_of(hash, logs.len());
        let (log, places) = (&logs[number], &self.places[number]);
        let wanted = order_of(hash, self.shards);
        let start = places.partition_point(|place| place.order < wanted);
        places[start..].iter().take_while(|place| place.order == wanted).any(|place| read_entry(log, place.offset).owner == owner)
    }
}

pub fn sort(log: &[u8], shards: usize) -> Vec<LogPlace> {
    let mut places = Vec::new();
    let mut offset = 0usize;
    while offset < log.len() {
        let entry = read_entry(log, offset as u32);
        places.push(LogPlace { order: order_of(entry.hash, shards), offset: offset as u32 });
        offset += ENTRY_HEAD + entry.owner.len() + entry.rdata.len();
    }
    let owner = |place: &LogPlace| read_entry(log, place.offset).owner;
    places.sort_unstable_by(|a, b| a.order.cmp(&b.order).then_with(|| owner(a).cmp(owner(b))).then(a.offset.cmp(&b.offset)));
    places
}

/// The records of one name after the other.
pub fn groups<'p>(log: &'p [u8], places: &'p [LogPlace]) -> impl Iterator<Item = &'p [LogPlace]> {
    places.chunk_by(|a, b| a.order == b.order && read_entry(log, a.offset).owner == read_entry(log, b.offset).owner)
}

pub fn order_of(hash: u64, shards: usize) -> u64 {
    ((shard::shard_of(hash, shards) as u64) << 32) | u64::from(hash as u32)
}

/// Logs split the hashes as shards do, so that shards follow one another from log to log.
pub fn log_of(hash: u64, logs: usize) -> usize {
    shard::shard_of(hash, logs)
}

/// Shards for so many names.
pub fn shards_for(names: usize) -> usize {
    names.div_ceil(SHARD_NAMES).next_power_of_two()
}

pub const ENTRY_HEAD: usize = 27;

impl<'l> LogEntry<'l> {
    /// Octets of the entry in a log.
    pub fn len(&self) -> usize {
        ENTRY_HEAD + self.owner.len() + self.rdata.len()
    }

    /// A name without a record.
    pub fn bare(owner: &'l [u8]) -> Self {
        Self { hash: shard::hash(owner), at: TextPosition::default(), file: 0, ttl: 0, rtype: 0, owner, rdata: &[] }
    }
}

pub fn write_entry(log: &mut Vec<u8>, entry: &LogEntry<'_>) {
    let mut head = [0u8; ENTRY_HEAD];
    head[..8].copy_from_slice(&entry.hash.to_le_bytes());
    head[8..12].copy_from_slice(&entry.at.line.to_le_bytes());
    head[12..16].copy_from_slice(&entry.at.column.to_le_bytes());
    head[16..18].copy_from_slice(&entry.file.to_le_bytes());
    head[18..22].copy_from_slice(&entry.ttl.to_le_bytes());
    head[22..24].copy_from_slice(&entry.rtype.to_le_bytes());
    head[24..26].copy_from_slice(&(entry.rdata.len() as u16).to_le_bytes());
    head[26] = entry.owner.len() as u8;
    log.extend_from_slice(&head);
    log.extend_from_slice(entry.owner);
    log.extend_from_slice(entry.rdata);
}

pub fn read_entry(log: &[u8], offset: u32) -> LogEntry<'_> {
    let (head, rest) = log[offset as usize..].split_at(ENTRY_HEAD);
    let u16_at = |at: usize| u16::from_le_bytes([head[at], head[at + 1]]);
    let u32_at = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    let (owner, rest) = rest.split_at(head[26] as usize);
    LogEntry {
        hash: u64::from(u32_at(0)) | (u64::from(u32_at(4)) << 32),
        at: TextPosition { line: u32_at(8), column: u32_at(12) },
        file: u16_at(16),
        ttl: u32_at(18),
        rtype: u16_at(22),
        owner,
        rdata: &rest[..u16_at(24) as usize],
    }
}

/// Does work on ranges of `logs`, on every core where there is much to do; gives the results in order.
pub fn in_parts<R: Send>(logs: usize, records: usize, work: impl Fn(Range<usize>) -> R + Sync) -> Vec<R> {
    let cores = || std::thread::available_parallelism().map_or(1, NonZero::get); // reads files
    let parts = if records < MUCH { 1 } else { cores().min(logs) };
    let range = |part: usize| part * logs / parts..(part + 1) * logs / parts;
    if parts == 1 {
        return vec![work(0..logs)];
    }
    std::thread::scope(|scope| {
        let threads: Vec<_> = (1..parts)
            .map(|part| {
                scope.spawn({
                    let (work, range) = (&work, range(part));
                    move || work(range)
                })
            })
            .collect();
        let mut results = vec![work(range(0))];
        for thread in threads {
            results.push(thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        results
    })
}
