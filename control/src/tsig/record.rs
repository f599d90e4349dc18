//! The TSIG record of a message (RFC 8945 section 4.2): found, taken off, put on.

use postern_dns::wire::message::read_name;
use postern_dns::wire::{HEADER, rtype};
use postern_zones::name::NameBuf;

/// A TSIG record as it stands in a message.
#[derive(Debug, Clone)]
pub struct TsigRecord {
    /// Name of the key, lower case.
    pub key: NameBuf,
    /// Name of the hash, lower case.
    pub algorithm: NameBuf,
    /// Seconds since 1970, 48 bits.
    pub time: u64,
    /// Seconds that the clocks may differ.
    pub fudge: u16,
    /// The MAC, perhaps cut.
    pub mac: Vec<u8>,
    /// ID of the message when it was signed.
    pub original_id: u16,
    /// Extended RCODE.
    pub error: u16,
    /// The server's time where `error` is BADTIME.
    pub other: Vec<u8>,
    /// Where it starts in the message.
    pub start: usize,
}

/// The message is none, or its TSIG record is none: FORMERR (RFC 8945 section 5.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("bad message or bad TSIG record")]
pub struct TsigFormatError;

/// Its TSIG record; none: it has none.
pub fn find(message: &[u8]) -> Result<Option<TsigRecord>, TsigFormatError> {
    let word = |at: usize| Some(u16::from_be_bytes([*message.get(at)?, *message.get(at + 1)?]));
    let field = |at: usize| word(at).ok_or(TsigFormatError);
    let mut at = HEADER;
    for _ in 0..field(4)? {
        at = pass_name(message, at)? + 4;
    }
    let counts = [field(6)?, field(8)?, field(10)?].map(usize::from);
    let all: usize = counts.iter().sum();
    for index in 0..all {
        let start = at;
        let fixed = pass_name(message, at)?;
        let (kind, class) = (field(fixed)?, field(fixed + 2)?);
        let data = fixed + 10;
        at = data + usize::from(field(fixed + 8)?);
        if at > message.len() {
            return Err(TsigFormatError);
        }
        if kind != rtype::TSIG {
            continue;
        }
        // The last record of the additional section, class ANY, TTL 0.
        if index + 1 != all || counts[2] == 0 || class != 255 || message[fixed + 4..fixed + 8] != [0; 4] {
            return Err(TsigFormatError);
        }
        let key = read_name(message, start).map_err(|_| TsigFormatError)?.0;
        return read(&message[data..at], key, start).map(Some);
    }
    Ok(None)
}

fn read(rdata: &[u8], key: NameBuf, start: usize) -> Result<TsigRecord, TsigFormatError> {
    let algorithm = NameBuf::read(rdata).map_err(|_| TsigFormatError)?; // never compressed (RFC 8945 section 4.2)
    let mut rest = &rdata[algorithm.len()..];
    let mut take = |count: usize| {
        let (taken, left) = rest.split_at_checked(count).ok_or(TsigFormatError)?;
        rest = left;
        Ok::<&[u8], TsigFormatError>(taken)
    };
    let word = |octets: &[u8]| u16::from_be_bytes([octets[0], octets[1]]);
    let time = take(6)?.iter().fold(0, |time, octet| time << 8 | u64::from(*octet));
    let fudge = word(take(2)?);
    let length = usize::from(word(take(2)?));
    let mac = take(length)?.to_vec();
    let (original_id, error) = (word(take(2)?), word(take(2)?));
    let length = usize::from(word(take(2)?));
    let other = take(length)?.to_vec();
    if !rest.is_empty() {
        return Err(TsigFormatError);
    }
    Ok(TsigRecord { key, algorithm, time, fudge, mac, original_id, error, other, start })
}

fn pass_name(message: &[u8], at: usize) -> Result<usize, TsigFormatError> {
    read_name(message, at).map(|(_, after)| after).map_err(|_| TsigFormatError)
}

impl TsigRecord {
    /// The message as it was before it was signed: without the record, with its ID of then.
    pub fn take_off(&self, message: &[u8]) -> Vec<u8> {
        let mut before = message[..self.start].to_vec();
        before[..2].copy_from_slice(&self.original_id.to_be_bytes());
        let additionals = u16::from_be_bytes([before[10], before[11]]).saturating_sub(1);
        before[10..12].copy_from_slice(&additionals.to_be_bytes());
        before
    }

    /// Puts it on a message.
    pub fn put_on(&self, message: &mut Vec<u8>) {
        let rdata = self.algorithm.len() + 16 + self.mac.len() + self.other.len();
        message.extend_from_slice(self.key.as_wire());
        message.extend_from_slice(&rtype::TSIG.to_be_bytes());
        message.extend_from_slice(&[0, 255, 0, 0, 0, 0]);
        message.extend_from_slice(&(rdata as u16).to_be_bytes());
        message.extend_from_slice(self.algorithm.as_wire());
        message.extend_from_slice(&self.timers());
        message.extend_from_slice(&(self.mac.len() as u16).to_be_bytes());
        message.extend_from_slice(&self.mac);
        message.extend_from_slice(&self.original_id.to_be_bytes());
        message.extend_from_slice(&self.error.to_be_bytes());
        message.extend_from_slice(&(self.other.len() as u16).to_be_bytes());
        message.extend_from_slice(&self.other);
        let additionals = u16::from_be_bytes([message[10], message[11]]).wrapping_add(1);
        message[10..12].copy_from_slice(&additionals.to_be_bytes());
    }

    /// Appends the variables that are signed beside the message (RFC 8945 section 4.3.3).
    pub fn variables(&self) -> Vec<u8> {
        let mut variables = self.key.as_wire().to_vec();
        variables.extend_from_slice(&[0, 255, 0, 0, 0, 0]);
        variables.extend_from_slice(self.algorithm.as_wire());
        variables.extend_from_slice(&self.timers());
        variables.extend_from_slice(&self.error.to_be_bytes());
        variables.extend_from_slice(&(self.other.len() as u16).to_be_bytes());
        variables.extend_from_slice(&self.other);
        variables
    }

    /// Appends the timers that are signed beside the later messages of an answer.
    pub fn timers(&self) -> [u8; 8] {
        let mut timers = [0; 8];
        timers[..6].copy_from_slice(&self.time.to_be_bytes()[2..]);
        timers[6..].copy_from_slice(&self.fudge.to_be_bytes());
        timers
    }
}
