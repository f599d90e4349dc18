//! A journal of a zone, as the file is, and as frames whose checksums are right.
//!
//! Random octets almost never have a right checksum. So the input is also cut into payloads, each with its length in two octets in front,
//! and each payload becomes a frame of the old format, whose checksum is made here.

use postern_zones::journal::read::{read, salvage};
use postern_zones::record::{RecordRef, RecordSink, TextPosition};
use postern_zones::zone::ZoneBuilder;

/// Begins a journal of the old format.
const MAGIC: &[u8] = b"PSTNJ1\n\0";

/// Reads the octets as a journal, and as payloads of one.
pub fn run(octets: &[u8]) -> bool {
    read_journal(octets) | read_journal(&with_checksums(octets))
}

fn with_checksums(mut octets: &[u8]) -> Vec<u8> {
    let mut journal = MAGIC.to_vec();
    while let Some((length, rest)) = octets.split_first_chunk::<2>() {
        let (payload, rest) = rest.split_at(usize::from(u16::from_be_bytes(*length)).min(rest.len()));
        journal.extend_from_slice(&(payload.len() as u32).to_be_bytes());
        journal.extend_from_slice(&crc32fast::hash(payload).to_be_bytes());
        journal.extend_from_slice(payload);
        octets = rest;
    }
    journal
}

/// A journal that can be read holds what can be salvaged from it, and its records make a zone or are rejected.
fn read_journal(octets: &[u8]) -> bool {
    let salvaged = salvage(octets);
    assert!(salvaged.lost.iter().all(|lost| lost.at <= octets.len() as u64));
    let Ok(reading) = read(octets) else { return false };
    assert!(reading.length + reading.replay.cut == octets.len() as u64, "every octet is read or cut off");
    assert_eq!(salvaged.changes, reading.replay.changes);
    assert_eq!(salvaged.image.records, reading.replay.image.records);
    let records = &reading.replay.image.records;
    let Some(apex) = records.first().map(|record| record.owner.clone()) else { return true };
    let mut builder = ZoneBuilder::new(apex);
    for record in records {
        let owner = record.owner.to_buf();
        builder.record(RecordRef {
            owner: &owner,
            rtype: record.rtype,
            ttl: Some(record.ttl),
            rdata: &record.rdata,
            at: TextPosition::default(),
        });
    }
    drop(builder.finish(reading.replay.image.serial));
    true
}
