//! The files of kept data: the index, and the records of one file each.

use std::io::{self, Write};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{INDEX, Index, KeptFile, KeptRecords};
use crate::record::{RecordRef, RecordSink, TextPosition};
use crate::source::RecordLog;
use crate::state_directory::StateDirectory;
use crate::zone::{Zone, rtype};

const MAGIC: &[u8; 8] = b"PSTNK1\n\0";

/// Header in front of the records.
#[derive(Serialize, Deserialize)]
struct Header {
    file: KeptFile,
    /// Files that the records stand in.
    files: Vec<String>,
    records: usize,
}

pub fn write_index(state: &StateDirectory, index: &Index) -> Result<(), String> {
    let text = serde_json::to_string(index).map_err(|error| error.to_string())?;
    let octets = format!("{:08x}\n{text}\n", crc32fast::hash(text.as_bytes()));
    state.write_atomically(INDEX, octets.as_bytes()).map_err(|error| error.to_string())
}

/// Checksum of the records of a zone in any order, without the serial. Two zones with different records have the same one by chance
/// once in four billion times.
pub fn checksum(zone: &Zone) -> u64 {
    let mut sum: u64 = 0;
    for (owner, set) in zone.records() {
        for rdata in set.rdata() {
            let mut record = crc32fast::Hasher::new();
            record.update(owner.as_wire());
            record.update(&set.rtype.to_be_bytes());
            record.update(&set.ttl.to_be_bytes());
            let is_soa = set.rtype == rtype::SOA;
            let (before, after) = if is_soa { (&rdata[..rdata.len() - 20], &rdata[rdata.len() - 16..]) } else { (rdata, &[][..]) };
            record.update(before);
            record.update(after);
            sum = sum.wrapping_add(u64::from(record.finalize()));
        }
    }
    sum
}

/// The index behind its check sum.
pub fn read_index(octets: &[u8]) -> Option<Index> {
    let text = std::str::from_utf8(octets).ok()?;
    let (sum, text) = text.strip_suffix('\n')?.split_once('\n')?;
    let is_whole = u32::from_str_radix(sum, 16).ok()? == crc32fast::hash(text.as_bytes());
    is_whole.then(|| serde_json::from_str(text).ok())?
}

pub fn write_records(file: &KeptFile, records: &KeptRecords, out: &mut dyn Write) -> io::Result<()> {
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

pub fn read_records(octets: &[u8]) -> Option<(KeptFile, RecordLog)> {
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
pub fn log_of(zone: &Zone) -> RecordLog {
    let mut log = RecordLog::default();
    for (owner, set) in zone.records().filter(|(_, set)| set.rtype != rtype::SOA || zone.has_own_serial()) {
        for rdata in set.rdata() {
            log.record(RecordRef { owner: &owner, rtype: set.rtype, ttl: Some(set.ttl), rdata, at: TextPosition::default() });
        }
    }
    log
}
