//! Reading an upstream's message: bounds checked, names uncompressed, nothing believed yet.

use zones::name::{BadName, MAX_NAME, NameBuf};

use super::{HEADER, rtype};

/// A message, its header read and its records found.
#[derive(Debug)]
pub struct Message<'m> {
    bytes: &'m [u8],
    /// Header flags, as on the wire.
    pub flags: u16,
    /// RCODE with the upper bits of OPT, where there is one.
    pub rcode: u16,
    /// QNAME, lowered.
    pub name: NameBuf,
    /// QTYPE.
    pub rtype: u16,
    /// QCLASS.
    pub class: u16,
    /// Answer and authority records, in order; the additional section is never used.
    pub records: Vec<Record>,
}

/// Where a record stands and what its fixed fields say.
#[derive(Debug, Clone)]
pub struct Record {
    /// Owner, lowered.
    pub owner: NameBuf,
    /// True in the answer section, false in the authority section.
    pub answer: bool,
    /// TYPE.
    pub rtype: u16,
    /// Seconds; values with the top bit set count as 0 (RFC 2181 section 8).
    pub ttl: u32,
    start: usize,
    end: usize,
}

/// Why bytes are not a message of the shape we ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadMessage {
    /// It ends early.
    #[error("message ends early")]
    Short,
    /// A name in it is none.
    #[error("bad name: {0}")]
    Name(#[from] BadName),
    /// A compression pointer that does not point backwards.
    #[error("compression pointer does not point backwards")]
    Pointer,
    /// Not exactly one question.
    #[error("not exactly one question")]
    Questions,
    /// RDATA that its type does not allow.
    #[error("bad RDATA")]
    Data,
}

/// Header flag bits.
pub mod flag {
    #![allow(missing_docs)] // the names are the documentation
    pub const QR: u16 = 0x8000;
    pub const OPCODE: u16 = 0x7800;
    pub const AA: u16 = 0x0400;
    pub const TC: u16 = 0x0200;
    pub const RD: u16 = 0x0100;
    pub const RA: u16 = 0x0080;
    pub const AD: u16 = 0x0020;
    pub const CD: u16 = 0x0010;
    pub const RCODE: u16 = 0x000f;
}

impl<'m> Message<'m> {
    /// Reads header, question and records. Additional records are looked at only for OPT's extended RCODE.
    pub fn read(bytes: &'m [u8]) -> Result<Self, BadMessage> {
        let word = |at: usize| Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?));
        let field = |at| word(at).ok_or(BadMessage::Short);
        let flags = field(2)?;
        if field(4)? != 1 {
            return Err(BadMessage::Questions);
        }
        let (answers, authorities, additionals) = (field(6)?, field(8)?, field(10)?);
        let (name, mut at) = read_name(bytes, HEADER)?;
        let (qtype, class) = (field(at)?, field(at + 2)?);
        at += 4;
        let mut rcode = flags & flag::RCODE;
        let mut records = Vec::with_capacity(usize::from(answers + authorities.min(16)).min(bytes.len() / 11));
        for index in 0..u32::from(answers) + u32::from(authorities) + u32::from(additionals) {
            let (owner, after) = read_name(bytes, at)?;
            let (rtype, record_class) = (field(after)?, field(after + 2)?);
            let ttl = (u32::from(field(after + 4)?) << 16) | u32::from(field(after + 6)?);
            let start = after + 10;
            let end = start + usize::from(field(after + 8)?);
            if end > bytes.len() {
                return Err(BadMessage::Short);
            }
            at = end;
            let answer = index < u32::from(answers);
            if index >= u32::from(answers) + u32::from(authorities) {
                if rtype == rtype::OPT {
                    rcode |= ((ttl >> 24) as u16) << 4;
                }
            } else if record_class == class {
                let ttl = if ttl > i32::MAX as u32 { 0 } else { ttl };
                records.push(Record { owner, answer, rtype, ttl, start, end });
            }
        }
        Ok(Self { bytes, flags, rcode, name, rtype: qtype, class, records })
    }

    /// RDATA of a record as it stands: for types that hold no names.
    pub fn raw(&self, record: &Record) -> &'m [u8] {
        &self.bytes[record.start..record.end]
    }

    /// Appends the RDATA of a record, names in it uncompressed (RFC 3597 section 4 lists the types that may compress), case kept.
    pub fn append_rdata(&self, record: &Record, out: &mut Vec<u8>) -> Result<(), BadMessage> {
        let (mut at, end) = (record.start, record.end);
        let (before, names) = match record.rtype {
            1 if end - at != 4 => return Err(BadMessage::Data),
            28 if end - at != 16 => return Err(BadMessage::Data),
            2 | 3 | 4 | 5 | 7 | 8 | 9 | 12 | 39 => (0, 1), // NS MD MF CNAME MB MG MR PTR DNAME
            6 | 14 | 17 => (0, 2),                         // SOA MINFO RP
            15 | 18 | 21 | 36 => (2, 1),                   // MX AFSDB RT KX
            26 => (2, 2),                                  // PX
            33 => (6, 1),                                  // SRV
            35 => (self.naptr_strings(at, end)?, 1),
            _ => (end - at, 0),
        };
        let fixed = self.bytes.get(at..at + before).filter(|_| at + before <= end).ok_or(BadMessage::Data)?;
        out.extend_from_slice(fixed);
        at += before;
        for _ in 0..names {
            at = append_name(self.bytes, at, out)?;
            if at > end {
                return Err(BadMessage::Data);
            }
        }
        out.extend_from_slice(self.bytes.get(at..end).ok_or(BadMessage::Data)?);
        match record.rtype {
            6 if end - at != 20 => Err(BadMessage::Data), // SOA: five numbers follow the names
            2 | 5 | 12 | 39 | 15 | 33 if at != end => Err(BadMessage::Data),
            _ => Ok(()),
        }
    }

    /// Octets of NAPTR before its name: order, preference and three character-strings (RFC 3403 section 4.1).
    fn naptr_strings(&self, start: usize, end: usize) -> Result<usize, BadMessage> {
        let mut at = start + 4;
        for _ in 0..3 {
            at += 1 + usize::from(*self.bytes.get(at).filter(|_| at < end).ok_or(BadMessage::Data)?);
        }
        Ok(at - start)
    }
}

/// Reads the name at `at`, lowered; gives also where the bytes after it start. Pointers must point backwards, so that it ends.
pub fn read_name(bytes: &[u8], at: usize) -> Result<(NameBuf, usize), BadMessage> {
    let mut wire = [0u8; MAX_NAME];
    let (len, after) = expand(bytes, at, &mut wire)?;
    Ok((NameBuf::read(&wire[..len])?, after))
}

fn append_name(bytes: &[u8], at: usize, out: &mut Vec<u8>) -> Result<usize, BadMessage> {
    let mut wire = [0u8; MAX_NAME];
    let (len, after) = expand(bytes, at, &mut wire)?;
    out.extend_from_slice(&wire[..len]);
    Ok(after)
}

/// Copies the name at `at` into `wire`, uncompressed, case kept; gives its length and where the bytes after it start.
fn expand(bytes: &[u8], mut at: usize, wire: &mut [u8; MAX_NAME]) -> Result<(usize, usize), BadMessage> {
    let mut len = 0;
    let mut after = None;
    let mut lowest = at;
    loop {
        let length = usize::from(*bytes.get(at).ok_or(BadMessage::Short)?);
        match length {
            0 => {
                *wire.get_mut(len).ok_or(BadName::Long)? = 0;
                return Ok((len + 1, after.unwrap_or(at + 1)));
            }
            1..=63 => {
                let label = bytes.get(at..at + 1 + length).ok_or(BadMessage::Short)?;
                wire.get_mut(len..len + label.len()).ok_or(BadName::Long)?.copy_from_slice(label);
                len += label.len();
                at += label.len();
            }
            0xc0.. => {
                let low = usize::from(*bytes.get(at + 1).ok_or(BadMessage::Short)?);
                after.get_or_insert(at + 2);
                at = (length & 0x3f) << 8 | low;
                if at >= lowest {
                    return Err(BadMessage::Pointer);
                }
                lowest = at;
            }
            _ => return Err(BadName::Label.into()),
        }
    }
}
