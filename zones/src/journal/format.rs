//! The octets of a journal: its head, its commit marks, its frames, and what they carry.

use std::borrow::Borrow;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Write};

use super::{JournalChange, JournalImage, JournalRecord};
use crate::name::NameBuf;

/// Begins a journal.
pub const MAGIC: &[u8; 8] = b"PSTNJ2\n\0";
/// Began one until version 0.1, which had neither commit marks nor sequence numbers.
pub const MAGIC_1: &[u8; 8] = b"PSTNJ1\n\0";
/// Octets before the first frame: a page, so that no frame shares one with the marks, which are written at every commit.
pub const HEAD: usize = 4096;
/// Where the two copies of the commit mark are: in sectors of their own, so that no damaged sector takes both.
pub const MARKS: [usize; 2] = [512, 1024];
/// Octets of a commit mark.
pub const MARK: usize = 24;
/// Octets before a payload.
pub const FRAME: usize = 16;
/// The same in the old format.
pub const FRAME_1: usize = 8;
/// No payload is longer: an image is written in parts.
pub const LONGEST: usize = 16 << 20;
/// Octets of records in one part of an image, about.
pub const PART: usize = 1 << 20;

/// A random number of each file, part of every checksum in it: octets of another journal, or of a record made to look like a frame, are
/// never taken for a frame of this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Salt(u64);

/// How much was committed. It is written after the frame that it covers is on the disk, and is on the disk itself with the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// Octets of the file, up to the end of the last frame.
    pub length: u64,
    /// Sequence number of the frame after it.
    pub sequence: u32,
    /// Serial of the zone.
    pub serial: u32,
}

/// Content of a frame.
pub enum Payload {
    /// A part of an image.
    Image {
        /// Settings and records of this part.
        image: JournalImage,
        /// It is the last one.
        last: bool,
    },
    /// Changes, and the last settings among them.
    Entries(Vec<JournalChange>, Option<String>),
}

const IMAGE: u8 = 1;
const IMAGE_END: u8 = 2;
const CHANGE: u8 = 3;
const SETTINGS: u8 = 4;

impl Default for Salt {
    /// One that nobody can guess.
    fn default() -> Self {
        Self(RandomState::new().hash_one(std::time::SystemTime::now()))
    }
}

impl Salt {
    fn sum(self, octets: &[u8]) -> u32 {
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&self.0.to_be_bytes());
        hasher.update(octets);
        hasher.finalize()
    }

    /// The first octets of a file.
    pub fn head(self) -> Vec<u8> {
        let mut head = [&MAGIC[..], &self.0.to_be_bytes()].concat();
        head.extend_from_slice(&crc32fast::hash(&head).to_be_bytes());
        head
    }

    /// The salt of a file. Returns `None` if its head is damaged.
    pub fn read(octets: &[u8]) -> Option<Self> {
        let salt = Self(u64::from_be_bytes(octets.get(MAGIC.len()..16)?.try_into().ok()?));
        octets.starts_with(&salt.head()).then_some(salt)
    }

    /// Both copies of a mark, to be written where the first of [`MARKS`] is.
    pub fn marks(self, mark: Mark) -> [u8; MARKS[1] - MARKS[0] + MARK] {
        let mut octets = [0; MARKS[1] - MARKS[0] + MARK];
        let mut one = [&b"MARK"[..], &mark.length.to_be_bytes(), &mark.sequence.to_be_bytes(), &mark.serial.to_be_bytes()].concat();
        one.extend_from_slice(&self.sum(&one).to_be_bytes());
        octets[..MARK].copy_from_slice(&one);
        octets[MARKS[1] - MARKS[0]..].copy_from_slice(&one);
        octets
    }

    /// The two copies of the mark; `None` for one that is damaged.
    pub fn read_marks(self, octets: &[u8]) -> [Option<Mark>; 2] {
        MARKS.map(|at| {
            let (head, sum) = octets.get(at..at + MARK)?.split_last_chunk::<4>()?;
            let number = |at: usize| u32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
            let length = u64::from(number(4)) << 32 | u64::from(number(8));
            let mark = Mark { length, sequence: number(12), serial: number(16) };
            (head.starts_with(b"MARK") && u32::from_be_bytes(*sum) == self.sum(head)).then_some(mark)
        })
    }

    /// Writes a frame; `payload` appends what it carries.
    pub fn write_frame(self, sequence: u32, out: &mut Vec<u8>, payload: impl FnOnce(&mut Vec<u8>)) {
        let start = out.len();
        out.extend_from_slice(&[0; FRAME]);
        payload(out);
        let length = (out.len() - start - FRAME) as u32;
        let sum = crc32fast::hash(&out[start + FRAME..]);
        let mut head = [length.to_be_bytes(), sequence.to_be_bytes(), sum.to_be_bytes(), [0; 4]].concat();
        let own = self.sum(&head[..12]);
        head[12..].copy_from_slice(&own.to_be_bytes());
        out[start..start + FRAME].copy_from_slice(&head);
    }

    /// Sequence number and payload of the frame at the start of `octets`. Returns `None` unless it is whole and right.
    pub fn whole_frame(self, octets: &[u8]) -> Option<(u32, &[u8])> {
        let (head, rest) = octets.split_first_chunk::<FRAME>()?;
        let number = |at: usize| u32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        if number(12) != self.sum(&head[..12]) {
            return None;
        }
        let payload = rest.get(..(number(0) as usize).min(LONGEST + 1))?;
        let is_right = !payload.is_empty() && payload.len() == number(0) as usize && crc32fast::hash(payload) == number(8);
        is_right.then(|| (number(4), payload))
    }
}

/// The payload of the frame of the old format at the start of `octets`. Returns `None` unless it is whole and right.
pub fn whole_frame_1(octets: &[u8]) -> Option<&[u8]> {
    let length = u32::from_be_bytes(*octets.first_chunk::<4>()?) as usize;
    let sum = u32::from_be_bytes(octets.get(4..8)?.try_into().ok()?);
    if length == 0 || length > LONGEST || !(IMAGE..=SETTINGS).contains(octets.get(FRAME_1)?) {
        return None;
    }
    octets.get(FRAME_1..FRAME_1 + length).filter(|payload| crc32fast::hash(payload) == sum)
}

/// Writes an image as parts of about a mebibyte, so that no frame needs more memory than that to be written or checked. The first of them
/// has number 0. Returns the octets, and the number after the last part.
pub fn write_image<R: Borrow<JournalRecord>>(
    salt: Salt,
    mut settings: &str,
    serial: u32,
    records: impl IntoIterator<Item = R>,
    out: &mut impl Write,
) -> io::Result<(u64, u32)> {
    let mut records = records.into_iter().peekable();
    let mut part = Vec::with_capacity(PART + (PART >> 2));
    let (mut length, mut sequence) = (0, 0);
    loop {
        part.clear();
        salt.write_frame(sequence, &mut part, |out| {
            let kind = out.len();
            out.push(IMAGE_END);
            out.extend_from_slice(&serial.to_be_bytes());
            write_text(std::mem::take(&mut settings), out);
            let count = out.len();
            out.extend_from_slice(&[0; 4]);
            let mut written = 0u32;
            while out.len() - count < PART {
                let Some(record) = records.next() else { break };
                write_record(record.borrow(), out);
                written += 1;
            }
            out[count..count + 4].copy_from_slice(&written.to_be_bytes());
            if records.peek().is_some() {
                out[kind] = IMAGE;
            }
        });
        out.write_all(&part)?;
        length += part.len() as u64;
        sequence += 1;
        if records.peek().is_none() {
            return Ok((length, sequence));
        }
    }
}

/// Appends a change to a payload.
pub fn write_change(change: &JournalChange, out: &mut Vec<u8>) {
    out.push(CHANGE);
    out.extend_from_slice(&change.from.to_be_bytes());
    out.extend_from_slice(&change.to.to_be_bytes());
    out.extend_from_slice(&change.at.to_be_bytes());
    write_text(&change.by, out);
    for records in [&change.removed, &change.added] {
        out.extend_from_slice(&(records.len() as u32).to_be_bytes());
        records.iter().for_each(|record| write_record(record, out));
    }
}

/// Appends settings to a payload.
pub fn write_settings(settings: &str, out: &mut Vec<u8>) {
    out.push(SETTINGS);
    write_text(settings, out);
}

fn write_text(text: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(&(text.len() as u32).to_be_bytes());
    out.extend_from_slice(text.as_bytes());
}

fn write_record(record: &JournalRecord, out: &mut Vec<u8>) {
    out.extend_from_slice(record.owner.as_wire());
    out.extend_from_slice(&record.rtype.to_be_bytes());
    out.extend_from_slice(&record.ttl.to_be_bytes());
    out.extend_from_slice(&(record.rdata.len() as u16).to_be_bytes());
    out.extend_from_slice(&record.rdata);
}

/// Reads what a frame carries. Returns `None` if it is nothing that this version writes.
pub fn read_payload(payload: &[u8]) -> Option<Payload> {
    let mut octets = Octets(payload);
    let kind = octets.number::<1>()? as u8;
    let payload = match kind {
        IMAGE | IMAGE_END => {
            let serial = octets.number::<4>()? as u32;
            let settings = octets.text()?;
            let records = octets.records()?;
            Payload::Image { image: JournalImage { settings, serial, records }, last: kind == IMAGE_END }
        }
        _ => {
            let (mut changes, mut settings) = (Vec::new(), None);
            let mut next = Some(kind);
            while let Some(kind) = next {
                match kind {
                    CHANGE => changes.push(octets.change()?),
                    SETTINGS => settings = Some(octets.text()?),
                    _ => return None,
                }
                next = octets.number::<1>().map(|kind| kind as u8);
            }
            Payload::Entries(changes, settings)
        }
    };
    octets.0.is_empty().then_some(payload)
}

/// The rest of a payload.
struct Octets<'o>(&'o [u8]);

impl<'o> Octets<'o> {
    fn take(&mut self, length: usize) -> Option<&'o [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn number<const N: usize>(&mut self) -> Option<u64> {
        Some(self.take(N)?.iter().fold(0, |number, octet| number << 8 | u64::from(*octet)))
    }

    fn text(&mut self) -> Option<String> {
        let length = self.number::<4>()? as usize;
        String::from_utf8(self.take(length)?.to_vec()).ok()
    }

    fn change(&mut self) -> Option<JournalChange> {
        Some(JournalChange {
            from: self.number::<4>()? as u32,
            to: self.number::<4>()? as u32,
            at: self.number::<8>()?,
            by: self.text()?,
            removed: self.records()?,
            added: self.records()?,
        })
    }

    fn records(&mut self) -> Option<Vec<JournalRecord>> {
        let count = self.number::<4>()? as usize;
        // A count that lies must not make room for what is not there: a record takes at least 9 octets.
        let mut records = Vec::with_capacity(count.min(self.0.len() / 9));
        for _ in 0..count {
            let owner = NameBuf::read(self.0).ok()?;
            self.take(owner.len())?;
            let rtype = self.number::<2>()? as u16;
            let ttl = self.number::<4>()? as u32;
            let length = self.number::<2>()? as usize;
            records.push(JournalRecord { owner: owner.to_wire_name(), rtype, ttl, rdata: self.take(length)?.into() });
        }
        Some(records)
    }
}
