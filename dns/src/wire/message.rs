//! Reading of an upstream's message. Bounds are checked and names uncompressed, but nothing is believed yet.

use postern_zones::compression::end_of_name;
use postern_zones::name::{BadName, MAX_NAME, NameBuf};

use super::{HEADER, rtype};

/// A message, its header read and its records found.
#[derive(Debug)]
pub struct Message<'m> {
    bytes: &'m [u8],
    /// Header flags, as on the wire.
    pub flags: u16,
    /// RCODE, with the upper bits of OPT if the message has one.
    pub rcode: u16,
    /// QNAME, lowered.
    pub name: NameBuf,
    /// QTYPE.
    pub rtype: u16,
    /// QCLASS.
    pub class: u16,
    /// Answer and authority records, in order; the additional section is never used.
    pub records: Vec<RecordSpan>,
    /// RDATA of OPT; empty if there is none.
    options: &'m [u8],
}

/// Place and fixed fields of a record.
#[derive(Debug, Clone)]
pub struct RecordSpan {
    /// Owner, lowered.
    pub owner: NameBuf,
    /// True in the answer section, false in the authority section.
    pub answer: bool,
    /// TYPE.
    pub rtype: u16,
    /// CLASS: that of the question, unless records of every class were read.
    pub class: u16,
    /// Seconds; values with the top bit set count as 0 (RFC 2181 section 8).
    pub ttl: u32,
    start: usize,
    end: usize,
}

/// Reason why octets are not a message of the expected shape.
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
    /// Reads header, question and records. Additional records are looked at only for OPT.
    pub fn read(bytes: &'m [u8]) -> Result<Self, BadMessage> {
        Self::read_as(bytes, false, false)
    }

    /// The same for any message of a transfer: all but the first may lack the question (RFC 5936 section 2.2.1), which is then `. TYPE0 IN`.
    pub fn read_part(bytes: &'m [u8]) -> Result<Self, BadMessage> {
        Self::read_as(bytes, true, false)
    }

    /// The same with records of every class: an UPDATE says by it what is meant (RFC 2136 section 2.3).
    pub fn read_update(bytes: &'m [u8]) -> Result<Self, BadMessage> {
        Self::read_as(bytes, false, true)
    }

    fn read_as(bytes: &'m [u8], may_lack_question: bool, every_class: bool) -> Result<Self, BadMessage> {
        let word = |at: usize| Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?));
        let field = |at| word(at).ok_or(BadMessage::Short);
        let flags = field(2)?;
        let (answers, authorities, additionals) = (field(6)?, field(8)?, field(10)?);
        let questions = field(4)?;
        let (name, qtype, class, mut at) = match questions {
            1 => {
                let (name, at) = read_name(bytes, HEADER)?;
                (name, field(at)?, field(at + 2)?, at + 4)
            }
            0 if may_lack_question => (NameBuf::root(), 0, 1, HEADER),
            _ => return Err(BadMessage::Questions),
        };
        let (mut rcode, mut options) = (flags & flag::RCODE, &bytes[..0]);
        let mut records = Vec::with_capacity(usize::from(answers.saturating_add(authorities.min(16))).min(bytes.len() / 11));
        for index in 0..u32::from(answers) + u32::from(authorities) + u32::from(additionals) {
            let (owner, after) = match bytes.get(at..).unwrap_or_default() {
                [0, ..] => (NameBuf::root(), at + 1),                         // OPT's
                [0xc0, 0x0c, ..] if questions == 1 => (name.clone(), at + 2), // most are the question's
                _ => read_name(bytes, at)?,
            };
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
                    options = &bytes[start..end];
                }
            } else if every_class || record_class == class {
                let ttl = if ttl > i32::MAX as u32 { 0 } else { ttl };
                records.push(RecordSpan { owner, answer, rtype, class: record_class, ttl, start, end });
            }
        }
        Ok(Self { bytes, flags, rcode, name, rtype: qtype, class, records, options })
    }

    /// EDNS options with their codes (RFC 6891 section 6.1.2), up to the first that is cut off.
    pub fn options(&self) -> impl Iterator<Item = (u16, &'m [u8])> + use<'m> {
        let mut rest = self.options;
        std::iter::from_fn(move || {
            let (&[code_high, code_low, length_high, length_low], behind) = rest.split_first_chunk()?;
            let (data, behind) = behind.split_at_checked(u16::from_be_bytes([length_high, length_low]).into())?;
            rest = behind;
            Some((u16::from_be_bytes([code_high, code_low]), data))
        })
    }

    /// Returns the RDATA of a record unchanged, for types without names.
    pub fn raw(&self, record: &RecordSpan) -> &'m [u8] {
        &self.bytes[record.start..record.end]
    }

    /// Appends the RDATA of a record, names in it uncompressed (RFC 3597 section 4 lists the types that may compress), case kept.
    pub fn append_rdata(&self, record: &RecordSpan, out: &mut Vec<u8>) -> Result<(), BadMessage> {
        let (mut at, end) = (record.start, record.end);
        let (before, names) = match record.rtype {
            1 if end - at != 4 => return Err(BadMessage::Data),
            28 if end - at != 16 => return Err(BadMessage::Data),
            2 | 3 | 4 | 5 | 7 | 8 | 9 | 12 | 39 => (0, 1), // NS MD MF CNAME MB MG MR PTR DNAME
            6 | 14 | 17 => (0, 2),                         // SOA MINFO RP
            15 | 18 | 21 | 36 => (2, 1),                   // MX AFSDB RT KX
            24 => (18, 1),                                 // SIG
            30 => (0, 1),                                  // NXT
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

/// Returns the RCODE of a message with the upper bits in its OPT record (RFC 6891 section 6.1.3). If a record before OPT cannot be read, the
/// upper bits are 0.
pub fn extended_rcode(message: &[u8]) -> u16 {
    let lower = message.get(3).map_or(0, |octet| u16::from(octet & 0xf));
    opt_record(message).map_or(lower, |(upper, _)| u16::from(upper) << 4 | lower)
}

/// Returns the upper RCODE bits and the RDATA of the OPT record. `None` if there is none, or a record before it cannot be read.
pub fn opt_record(message: &[u8]) -> Option<(u8, &[u8])> {
    let header = message.first_chunk::<HEADER>()?;
    let count = |at: usize| usize::from(u16::from_be_bytes([header[at], header[at + 1]]));
    let mut at = HEADER;
    for _ in 0..count(4) {
        at = end_of_name(message, at)? + 4;
    }
    for _ in 0..count(6) + count(8) + count(10) {
        let fixed = end_of_name(message, at)?;
        let [high, low, _, _, upper, _, _, _, length @ ..] = *message.get(fixed..)?.first_chunk::<10>()?;
        let end = fixed + 10 + usize::from(u16::from_be_bytes(length));
        if u16::from_be_bytes([high, low]) == rtype::OPT {
            return Some((upper, message.get(fixed + 10..end)?));
        }
        at = end;
    }
    None
}

/// Reads the name at `at`, lowered. Returns it with the offset of the octets behind it. Pointers must point backwards, so that it ends.
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

/// Copies the name at `at` into `wire`, uncompressed and in its case. Returns its length and the offset of the octets behind it.
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::wire::question::tests::message;

    /// `www.contoso.test IN A`, its CNAME to `web.contoso.test`, and that one's address: the last two with pointers.
    const QUESTION: &[u8] = b"\x03www\x07contoso\x04test\0\0\x01\0\x01";
    const ALIAS: &[u8] = b"\xc0\x0c\0\x05\0\x01\0\0\0\x3c\0\x06\x03web\xc0\x10";
    const ADDRESS: &[u8] = b"\xc0\x2e\0\x01\0\x01\0\0\0\x3c\0\x04\xcb\x00\x71\x05";

    fn answer() -> Vec<u8> {
        message(0x8180, [1, 2, 0, 0], &[QUESTION, ALIAS, ADDRESS])
    }

    #[test]
    fn names_are_uncompressed_and_lowered() {
        let octets = answer();
        let read = Message::read(&octets).unwrap();
        let owners: Vec<String> = read.records.iter().map(|record| record.owner.to_string()).collect();
        assert_eq!(owners, ["www.contoso.test.", "web.contoso.test."]);
        let mut rdata = Vec::new();
        read.append_rdata(&read.records[0], &mut rdata).unwrap();
        assert_eq!(rdata, b"\x03web\x07contoso\x04test\0");
        assert_eq!(read.raw(&read.records[1]), [203, 0, 113, 5]);
    }

    #[test]
    fn an_rcode_is_read_with_the_bits_that_opt_has() {
        let opt = |upper: u8| [b"\0\0\x29\x04\xd0".as_slice(), &[upper, 0, 0, 0, 0, 0]].concat();
        for (flags, upper, want) in [(0x8187, 1, 23), (0x8180, 1, 16), (0x8183, 0, 3), (0x8185, 255, 4085)] {
            let octets = message(flags, [1, 2, 0, 1], &[QUESTION, ALIAS, ADDRESS, &opt(upper)]);
            assert_eq!((extended_rcode(&octets), Message::read(&octets).unwrap().rcode), (want, want));
            assert_eq!(extended_rcode(&octets[..octets.len() - 1]), flags & 0xf, "cut in OPT");
        }
        assert_eq!(extended_rcode(&message(0x8187, [0, 0, 0, 1], &[&opt(1)])), 23);
        assert_eq!([&message(0x8185, [1, 0, 0, 0], &[QUESTION]), &b"\0\0\x80\x02"[..], b""].map(extended_rcode), [5, 2, 0]);
    }

    #[test]
    fn counts_are_not_believed() {
        for counts in [[1, 65_535, 65_535, 65_535], [1, 3, 0, 0], [1, 0, 0, 65_535], [1, 65_535, 0, 0]] {
            assert_eq!(Message::read(&message(0x8180, counts, &[QUESTION, ALIAS, ADDRESS])).unwrap_err(), BadMessage::Short, "{counts:?}");
        }
        for questions in [0, 2, 65_535] {
            assert_eq!(Message::read(&message(0x8180, [questions, 0, 0, 0], &[QUESTION])).unwrap_err(), BadMessage::Questions);
        }
    }

    #[test]
    fn a_message_cut_at_any_octet_is_refused() {
        let octets = answer();
        for length in 0..octets.len() {
            assert_eq!(Message::read(&octets[..length]).unwrap_err(), BadMessage::Short, "{length} octets");
        }
    }

    #[test]
    fn a_bad_owner_is_refused_in_every_section() {
        let bad = b"\xff\xff\0\x01\0\x01\0\0\0\x3c\0\x04\xcb\x00\x71\x05";
        let opt = b"\0\0\x29\x04\xd0\0\0\0\0\0\0";
        for counts in [[1, 1, 0, 0], [1, 0, 1, 0], [1, 0, 0, 1]] {
            assert_eq!(Message::read(&message(0x8180, counts, &[QUESTION, bad])).unwrap_err(), BadMessage::Pointer, "{counts:?}");
        }
        assert_eq!(Message::read(&message(0x8180, [1, 0, 0, 2], &[QUESTION, opt, bad])).unwrap_err(), BadMessage::Pointer);
        // Without a question the pointer means what stands first, which is a name that points to itself.
        assert_eq!(Message::read_part(&message(0x8180, [0, 1, 0, 0], &[b"\xc0\x0c"])).unwrap_err(), BadMessage::Pointer);
    }

    #[test]
    fn pointers_end() {
        for (name, want) in [
            (&b"\xc0\x0c"[..], BadMessage::Pointer),
            (b"\xc0\x0e\xc0\x0c", BadMessage::Pointer),
            (b"\x03www\xc0\x0c", BadMessage::Pointer),
            (b"\xc0\x20\0", BadMessage::Pointer),
            (b"\xff\xff", BadMessage::Pointer),
            (b"\xc0", BadMessage::Short),
            (b"\x40a\0", BadMessage::Name(BadName::Label)),
            (&b"\x3faaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa".repeat(5), BadMessage::Name(BadName::Long)),
        ] {
            assert_eq!(Message::read(&message(0x8180, [1, 0, 0, 0], &[name])).unwrap_err(), want, "{}", name.escape_ascii());
        }
        // Each name points to the one before it: as long as they grow, they are read; a thousand steps are too long a name, not a loop.
        let mut octets = message(0x8180, [1, 0, 0, 0], &[b"\x01a\0"]);
        for _ in 0..1000 {
            let back = octets.len() as u16 - if octets.len() == 15 { 3 } else { 4 };
            octets.extend_from_slice(b"\x01b");
            octets.extend_from_slice(&(0xc000 | back).to_be_bytes());
        }
        assert_eq!(read_name(&octets, 15 + 4 * 100).unwrap().0.labels(), 102);
        assert_eq!(read_name(&octets, 15 + 4 * 999).unwrap_err(), BadMessage::Name(BadName::Long));
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 20_000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn no_octets_make_a_panic(
            changes in prop::collection::vec((0usize..120, any::<u8>()), 1..6),
            rtype in prop::sample::select(vec![2u8, 5, 6, 12, 14, 15, 17, 18, 21, 26, 28, 33, 35, 36, 39, 64]),
            more in prop::collection::vec(any::<u8>(), 0..60),
        ) {
            let mut octets = [answer(), more].concat();
            octets[37] = rtype; // of the alias
            for (at, octet) in changes {
                let length = octets.len();
                octets[at % length] = octet;
            }
            if let Ok(message) = Message::read(&octets) {
                for record in &message.records {
                    let mut rdata = Vec::new();
                    let _ = message.append_rdata(record, &mut rdata);
                    prop_assert!(message.raw(record).len() <= octets.len());
                }
            }
        }
    }
}
