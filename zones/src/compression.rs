//! Name compression (RFC 1035 section 4.1.4), without allocating while a message is written.
//!
//! A [`NameTable`] finds where a suffix of a name already stands in a message. It serves answers that name other hosts (NS, MX, PTR …) and
//! their additional records. What is known before the question comes, the SOA of a denial and everything in the cache, is compressed once
//! into [`CompactRecords`].

use std::hash::{BuildHasher, Hasher};

use crate::name::NameBuf;

/// Octets of a message header, behind which the question name stands.
const HEADER: usize = 12;
/// Octets of QTYPE and QCLASS.
const QUESTION_END: usize = 4;
/// A pointer has 14 bits.
const REACH: usize = 0x4000;
/// Compressed records leave half of it to the aliases that may stand before them.
const COMPACT_REACH: usize = REACH / 2;
/// The two upper bits of a pointer.
const POINTER: u16 = 0xc000;
/// Slots of a table: enough for the names of every answer that fits into a datagram. Clearing 2 KB costs less than one lookup in a zone.
const SLOTS: usize = 512;
/// Slots that are searched for one suffix. Names that collide on purpose cost no more than that, and are written in full.
const PROBES: usize = 8;
/// Mark of a slot: see [`NameTable::mark`].
const MARK: u32 = 0x8000;

/// Where suffixes of names stand in a message, by their hash.
#[derive(Debug)]
pub struct NameTable {
    /// Upper half: of the hash. Lower half: offset in the message, and [`MARK`]. 0 is empty.
    slots: [u32; SLOTS],
    /// Names at this offset and beyond are not pointed to.
    reach: usize,
}

/// The part of a name that must be written, because the message does not contain it yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CompressedName {
    /// Octets of its first labels.
    pub literal: usize,
    /// Offset of the rest.
    pub offset: usize,
}

/// The names in the RDATA of a type that may be compressed: octets before them, and how many there are.
///
/// `None` for every type that RFC 1035 does not define (RFC 3597 section 4).
#[inline]
pub fn names_in(rtype: u16) -> Option<(usize, usize)> {
    match rtype {
        2..=5 | 7..=9 | 12 => Some((0, 1)), // NS MD MF CNAME MB MG MR PTR
        6 | 14 => Some((0, 2)),             // SOA MINFO
        15 => Some((2, 1)),                 // MX
        _ => None,
    }
}

/// The end that an alias and its target share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SharedSuffix {
    /// Octets of the target before it; all of them if there is none.
    pub literal: u8,
    /// Octets of the owner before it.
    pub skip: u8,
}

impl SharedSuffix {
    /// The longest one, the root not counted.
    pub fn of(owner: &NameBuf, target: &NameBuf) -> Self {
        let (mut literal, mut skip) = (target.len(), 0);
        for (label, owners) in (0..target.labels()).rev().zip((0..owner.labels()).rev()) {
            let (start, owners_start) = (target.start(label), owner.start(owners));
            if target.as_wire()[start..target.start(label + 1)] != owner.as_wire()[owners_start..owner.start(owners + 1)] {
                break;
            }
            (literal, skip) = (start, owners_start);
        }
        Self { literal: literal as u8, skip: skip as u8 } // a name has at most 255 octets
    }
}

impl NameTable {
    /// Knows no name.
    pub fn new() -> Self {
        Self { slots: [0; SLOTS], reach: REACH }
    }

    /// Notes where the suffixes of `name` stand. `offset_of`: from the octet of the name to the offset in the message, `None` if it is no
    /// place to point to.
    pub fn note(&mut self, name: &NameBuf, offset_of: impl Fn(usize) -> Option<usize>) {
        for label in 0..name.labels() {
            if let Some(offset) = offset_of(name.start(label)).filter(|offset| *offset < self.reach) {
                self.insert(hash(name.suffix(label)), offset);
            }
        }
    }

    /// The longest suffix of `name` that stands in `message`.
    pub fn find(&self, message: &[u8], name: &NameBuf) -> Option<CompressedName> {
        (0..name.labels()).find_map(|label| {
            let slot = self.slot_of(message, name.suffix(label))?;
            Some(CompressedName { literal: name.start(label), offset: offset_in(self.slots[slot]) })
        })
    }

    /// Marks a name that stands in `message`.
    pub fn mark(&mut self, message: &[u8], name: &NameBuf) {
        if let Some(slot) = self.slot_of(message, name.as_wire()) {
            self.slots[slot] |= MARK;
        }
    }

    /// Returns true if a name that stands in `message` is marked.
    pub fn is_marked(&self, message: &[u8], name: &NameBuf) -> bool {
        self.slot_of(message, name.as_wire()).is_some_and(|slot| self.slots[slot] & MARK != 0)
    }

    /// Writes the name at the start of `wire` to `message` at `at`, with its case, and notes it. Returns where it ends, and whether it ends
    /// in a pointer. `None` if there is no room.
    ///
    /// `name`: the same name.
    pub fn write_name(&mut self, message: &mut [u8], at: usize, wire: &[u8], name: &NameBuf) -> Option<(usize, bool)> {
        let found = self.find(message.get(..at)?, name);
        let literal = found.map_or(name.len(), |found| found.literal);
        message.get_mut(at..at + literal)?.copy_from_slice(wire.get(..literal)?);
        let end = at + literal;
        let end = match found {
            Some(found) => {
                message.get_mut(end..end + 2)?.copy_from_slice(&(POINTER | found.offset as u16).to_be_bytes());
                end + 2
            }
            None => end,
        };
        self.note(name, |octet| (octet < literal).then_some(at + octet));
        Some((end, found.is_some()))
    }

    /// Writes RDATA to `message` at `at`, the names in it compressed if `rtype` allows it. Returns where it ends, `None` if there is no
    /// room. `pointed` gets the place of each pointer.
    pub fn write_rdata(
        &mut self,
        message: &mut [u8],
        at: usize,
        rtype: u16,
        rdata: &[u8],
        mut pointed: impl FnMut(usize),
    ) -> Option<usize> {
        let (before, names) = names_in(rtype).unwrap_or((rdata.len(), 0));
        let (head, mut rest) = rdata.split_at_checked(before).unwrap_or((rdata, &[]));
        message.get_mut(at..at + head.len())?.copy_from_slice(head);
        let mut at = at + head.len();
        for _ in 0..names {
            let Ok(name) = NameBuf::read(rest) else { break }; // then it is copied as it is
            let (end, has_pointer) = self.write_name(message, at, rest, &name)?;
            if has_pointer {
                pointed(end - 2);
            }
            (at, rest) = (end, &rest[name.len()..]);
        }
        message.get_mut(at..at + rest.len())?.copy_from_slice(rest);
        Some(at + rest.len())
    }

    /// The slot of a suffix that stands in the message.
    fn slot_of(&self, message: &[u8], suffix: &[u8]) -> Option<usize> {
        let (first, tag) = hash(suffix);
        for probe in 0..PROBES {
            let slot = (first + probe) % SLOTS;
            let entry = self.slots[slot];
            if entry == 0 {
                return None;
            }
            if entry >> 16 == tag && stands_at(message, offset_in(entry), suffix) {
                return Some(slot);
            }
        }
        None
    }

    fn insert(&mut self, (first, tag): (usize, u32), offset: usize) {
        let free = (0..PROBES).map(|probe| (first + probe) % SLOTS).find(|slot| self.slots[*slot] == 0);
        if let Some(slot) = free {
            self.slots[slot] = tag << 16 | offset as u32;
        }
    }
}

impl Default for NameTable {
    fn default() -> Self {
        Self::new()
    }
}

fn offset_in(slot: u32) -> usize {
    (slot & (MARK - 1)) as usize
}

/// Home and tag of a suffix in lower case. The seed is fixed: who finds names that collide gains an answer that is compressed less.
fn hash(suffix: &[u8]) -> (usize, u32) {
    const HASHER: foldhash::fast::FixedState = foldhash::fast::FixedState::with_seed(0x706f_7374_6572_6e01);
    let mut hasher = HASHER.build_hasher();
    hasher.write(suffix);
    let hash = hasher.finish();
    (hash as usize % SLOTS, (hash >> 48) as u32)
}

/// Returns true if the name `suffix` stands in `message` at `offset`. What a slot holds may be out of date, so it is compared.
fn stands_at(message: &[u8], mut offset: usize, suffix: &[u8]) -> bool {
    let mut rest = suffix;
    while let Some(&length) = message.get(offset) {
        if length >= 0xc0 {
            let Some(&low) = message.get(offset + 1) else { return false };
            let target = usize::from(length & 0x3f) << 8 | usize::from(low);
            if target >= offset {
                return false;
            }
            offset = target;
            continue;
        }
        let label = 1 + usize::from(length);
        let (Some(here), Some(there)) = (message.get(offset..offset + label), rest.get(..label)) else { return false };
        if !here.eq_ignore_ascii_case(there) {
            return false; // octets of length are below the letters
        }
        (offset, rest) = (offset + label, &rest[label..]);
        if length == 0 {
            return true;
        }
    }
    false
}

/// Records of ANSWER and AUTHORITY, compressed to be copied behind the question for the name that they belong to.
///
/// Their pointers are those of a message with just that question. [`CompactRecords::pointers`] gives their places, so that they can be moved
/// for any other message in which the name stands.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CompactRecords {
    /// The records, then the place of each pointer, two octets each.
    octets: Box<[u8]>,
    length: u16,
    /// Octets of the name.
    owner: u8,
    answers: u16,
    authorities: u16,
}

/// Compresses records.
#[derive(Debug)]
pub struct RecordCompressor {
    names: NameTable,
    message: Vec<u8>,
    at: usize,
    pointers: Vec<u16>,
    made: CompactRecords,
}

impl CompactRecords {
    /// Returns true if there are no records.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// The records as they stand behind the question for their name.
    #[inline]
    pub fn octets(&self) -> &[u8] {
        &self.octets[..usize::from(self.length)]
    }

    /// Places in [`CompactRecords::octets`] of the pointers.
    #[inline]
    pub fn pointers(&self) -> impl Iterator<Item = usize> {
        self.octets[usize::from(self.length)..].chunks_exact(2).map(|place| usize::from(u16::from_be_bytes([place[0], place[1]])))
    }

    /// Where the records start behind the question for their name. A pointer below it leads to the name, else to the records.
    #[inline]
    pub fn start(&self) -> usize {
        HEADER + usize::from(self.owner) + QUESTION_END
    }

    /// Octets held.
    pub fn memory(&self) -> usize {
        self.octets.len()
    }

    /// Records of ANSWER, which come first, and of AUTHORITY.
    #[inline]
    pub fn counts(&self) -> (u16, u16) {
        (self.answers, self.authorities)
    }

    /// TTL of the first record. `None` if there is none.
    pub fn ttl(&self) -> Option<u32> {
        let at = end_of_name(self.octets(), 0)?;
        Some(u32::from_be_bytes(*self.octets().get(at + 4..)?.first_chunk()?))
    }
}

impl RecordCompressor {
    /// For records of `owner`.
    pub fn new(owner: &NameBuf) -> Self {
        let mut message = vec![0; HEADER + owner.len() + QUESTION_END];
        message[HEADER..HEADER + owner.len()].copy_from_slice(owner.as_wire());
        let mut names = NameTable { reach: COMPACT_REACH, ..NameTable::new() };
        names.note(owner, |octet| Some(HEADER + octet));
        let made = CompactRecords { owner: owner.len() as u8, ..CompactRecords::default() };
        Self { names, at: message.len(), message, pointers: Vec::new(), made }
    }

    /// Adds a record to ANSWER. All of them come before those of AUTHORITY.
    pub fn answer(&mut self, owner: &NameBuf, rtype: u16, ttl: u32, rdata: &[u8]) {
        debug_assert_eq!(self.made.authorities, 0);
        self.record(owner, rtype, ttl, rdata);
        self.made.answers += 1;
    }

    /// Adds a record to AUTHORITY.
    pub fn authority(&mut self, owner: &NameBuf, rtype: u16, ttl: u32, rdata: &[u8]) {
        self.record(owner, rtype, ttl, rdata);
        self.made.authorities += 1;
    }

    /// The records. `None` if they are more than a message holds.
    pub fn finish(self) -> Option<CompactRecords> {
        let Self { message, at, pointers, mut made, .. } = self;
        let records = message.get(made.start()..at).filter(|_| at <= usize::from(u16::MAX))?;
        let mut octets = Vec::with_capacity(records.len() + 2 * pointers.len());
        octets.extend_from_slice(records);
        pointers.iter().for_each(|place| octets.extend_from_slice(&place.to_be_bytes()));
        made.length = records.len() as u16;
        made.octets = octets.into();
        Some(made)
    }

    fn record(&mut self, owner: &NameBuf, rtype: u16, ttl: u32, rdata: &[u8]) {
        let Self { names, message, at, pointers, made } = self;
        let start = made.start();
        let mut pointed = |place: usize| pointers.push((place - start) as u16); // beyond 65,535 octets `finish` refuses them all
        message.resize(*at + owner.len() + 10 + rdata.len(), 0);
        let Some((end, has_pointer)) = names.write_name(message, *at, owner.as_wire(), owner) else { return };
        if has_pointer {
            pointed(end - 2);
        }
        message[end..end + 2].copy_from_slice(&rtype.to_be_bytes());
        message[end + 2..end + 4].copy_from_slice(&[0, 1]);
        message[end + 4..end + 8].copy_from_slice(&ttl.to_be_bytes());
        let data = end + 10;
        let Some(end) = names.write_rdata(message, data, rtype, rdata, pointed) else { return };
        message[data - 2..data].copy_from_slice(&((end - data) as u16).to_be_bytes());
        message.truncate(end);
        *at = end;
    }
}

/// Where the name at `at` ends, pointers not followed.
#[inline]
pub fn end_of_name(octets: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match *octets.get(at)? {
            0 => return Some(at + 1),
            length @ 1..=63 => at += 1 + usize::from(length),
            _ => return Some(at + 2),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> NameBuf {
        NameBuf::parse(text).unwrap()
    }

    /// A message with a question for `owner`, and the records behind it.
    fn message(owner: &NameBuf, records: &CompactRecords) -> Vec<u8> {
        [&[0; HEADER][..], owner.as_wire(), &[0; QUESTION_END], records.octets()].concat()
    }

    /// The name at `at`, read by following pointers.
    fn read(message: &[u8], mut at: usize) -> String {
        let mut wire = Vec::new();
        loop {
            match message[at] {
                0 => break,
                length @ 1..=63 => {
                    wire.extend_from_slice(&message[at..at + 1 + usize::from(length)]);
                    at += 1 + usize::from(length);
                }
                high => at = usize::from(high & 0x3f) << 8 | usize::from(message[at + 1]),
            }
        }
        wire.push(0);
        NameBuf::read(&wire).unwrap().to_string()
    }

    #[test]
    fn names_that_stand_already_are_pointed_to() {
        let owner = name("www.contoso.test");
        let mut compressor = RecordCompressor::new(&owner);
        let apex = name("contoso.test");
        let rdata = [name("ns.Contoso.test").as_wire(), name("host.ns.contoso.test").as_wire(), &[0; 20]].concat();
        compressor.authority(&apex, 6, 60, &rdata);
        let records = compressor.finish().unwrap();
        // Owner: pointer. MNAME: `ns` and a pointer. RNAME: `host` and a pointer to MNAME.
        assert_eq!(records.octets().len(), 2 + 10 + 5 + 7 + 20);
        assert_eq!((records.counts(), records.ttl(), records.pointers().collect::<Vec<_>>()), ((0, 1), Some(60), vec![0, 15, 22]));
        let message = message(&owner, &records);
        let start = records.start();
        assert_eq!(
            [start, start + 12, start + 17].map(|at| read(&message, at)),
            ["contoso.test.", "ns.contoso.test.", "host.ns.contoso.test."]
        );
    }

    #[test]
    fn types_that_rfc_1035_does_not_define_are_left_alone() {
        let owner = name("contoso.test");
        let target = name("www.contoso.test");
        for (rtype, before, compressed) in
            [(2, 0, true), (15, 2, true), (39, 0, false), (33, 6, false), (18, 2, false), (47, 0, false), (65, 2, false)]
        {
            let mut compressor = RecordCompressor::new(&owner);
            compressor.answer(&owner, rtype, 60, &[&vec![0; before], target.as_wire()].concat());
            let octets = compressor.finish().unwrap().octets().len();
            assert_eq!(octets, 12 + before + if compressed { 4 + 2 } else { target.len() }, "{rtype}");
        }
    }

    #[test]
    fn rdata_that_is_no_name_is_copied() {
        let owner = name("contoso.test");
        for (rtype, rdata) in [(2, &b"\x05short"[..]), (15, b"\0"), (6, b"\0\xc0\x0c"), (12, b"")] {
            let mut compressor = RecordCompressor::new(&owner);
            compressor.answer(&owner, rtype, 60, rdata);
            let records = compressor.finish().unwrap();
            assert_eq!(&records.octets()[12..], rdata, "{rtype}");
        }
    }

    #[test]
    fn every_name_of_a_large_set_reads_as_it_was_given() {
        let owner = name("contoso.test");
        let mut compressor = RecordCompressor::new(&owner);
        let targets: Vec<_> = (0..1500).map(|number| format!("n{number}.s{}.{}.test.", number % 97, number % 5)).collect();
        for target in &targets {
            compressor.answer(&owner, 15, 60, &[&[0, 10], name(target).as_wire()].concat());
        }
        let records = compressor.finish().unwrap();
        let message = message(&owner, &records);
        let mut at = records.start();
        for target in &targets {
            assert_eq!((read(&message, at).as_str(), read(&message, at + 14).as_str()), ("contoso.test.", target.as_str()));
            at += 12 + usize::from(u16::from_be_bytes([message[at + 10], message[at + 11]]));
        }
        assert_eq!((at, records.counts().0), (message.len(), 1500));
    }

    #[test]
    fn marks_are_those_of_names_that_stand_in_the_message() {
        let mut table = NameTable::new();
        let (owner, other) = (name("ns.contoso.test"), name("contoso.test"));
        let message = [&[0; HEADER][..], owner.as_wire()].concat();
        table.note(&owner, |octet| Some(HEADER + octet));
        let absent = name("fabrikam.test");
        table.mark(&message, &owner);
        table.mark(&message, &absent);
        assert_eq!([&owner, &other, &absent].map(|name| table.is_marked(&message, name)), [true, false, false]);
        assert_eq!(table.find(&message, &name("a.NS.contoso.test")), Some(CompressedName { literal: 2, offset: HEADER }));
    }

    #[test]
    fn the_longest_common_end_of_two_names_is_found() {
        for (target, owner, want) in [
            ("www.contoso.test", "web.contoso.test", (4, 4)),
            ("www.contoso.test", "www.contoso.test", (0, 0)),
            ("a.www.contoso.test", "www.contoso.test", (2, 0)),
            ("www.contoso.test", "a.test", (12, 2)),
            ("www.contoso.test", "www.contoso.example", (18, 0)),
            ("contoso.test", "xcontoso.test", (8, 9)),
            (".", "contoso.test", (1, 0)),
        ] {
            let shared = SharedSuffix::of(&name(owner), &name(target));
            assert_eq!((shared.literal, shared.skip), want, "{target} {owner}");
        }
    }
}
