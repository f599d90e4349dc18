//! Writing an answer behind the question, in the buffer the question came in.
//!
//! Header and question stay where they are (ID and letter case for free). Owners are written as pointers to the name they stand for:
//! the question name at offset 12, or the RDATA of the alias that led to it. Names in RDATA are compressed where RFC 1035 defines the type.

use postern_zones::compression::{CompactRecords, NameTable, SharedSuffix, end_of_name};
use postern_zones::name::{MAX_NAME, NameBuf};

use super::{HEADER, rtype};
use crate::chain::MAX_HOPS;
use crate::ede::ExtendedError;
use crate::wire::message::{flag, read_name};

#[cfg(test)]
mod tests;

/// An answer being written.
#[derive(Debug)]
pub struct ReplyWriter<'b> {
    packet: &'b mut [u8],
    len: usize,
    end: usize,
    /// Records end here at the latest.
    limit: usize,
    /// OPT ends here at the latest.
    most: usize,
    answers: u16,
    authorities: u16,
    additionals: u16,
    overflowed: bool,
    /// Where the target of each alias stands. The last of `hops` is the current name; without any, the question name is.
    places: [Place; MAX_HOPS],
    hops: usize,
}

/// Where a name stands: its first octets, of which the rest is the end of the name before it.
#[derive(Debug, Clone, Copy, Default)]
struct Place {
    at: u16,
    shared: SharedSuffix,
}

/// Sections of a message, in the order in which they must be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Section {
    /// ANSWER.
    Answer,
    /// AUTHORITY.
    Authority,
    /// ADDITIONAL.
    Additional,
}

/// Change of the TTLs of copied records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ttl {
    /// As stored.
    Keep,
    /// Less by this many seconds.
    Age(u32),
    /// Less by `age` seconds, and at most `most`.
    Capped {
        /// Seconds since the record was received.
        age: u32,
        /// Highest TTL.
        most: u32,
    },
    /// This many.
    Fixed(u32),
}

impl Ttl {
    /// Changes the TTL in these four octets.
    #[inline]
    fn set(self, octets: &mut [u8]) {
        let Some(octets) = octets.first_chunk_mut::<4>() else { return };
        let kept = u32::from_be_bytes(*octets);
        *octets = match self {
            Self::Keep => return,
            Self::Age(age) => kept.saturating_sub(age),
            Self::Capped { age, most } => kept.saturating_sub(age).min(most),
            Self::Fixed(seconds) => seconds,
        }
        .to_be_bytes();
    }
}

/// The OPT record of an answer (RFC 6891).
#[derive(Debug, Clone, Copy)]
pub struct ReplyOpt<'a> {
    /// Largest UDP question we take, octets.
    pub udp_size: u16,
    /// DO, as the client set it.
    pub dnssec_ok: bool,
    /// NSID to give; empty: none.
    pub nsid: &'a [u8],
    /// Data of the COOKIE option; empty: none.
    pub cookie: &'a [u8],
    /// Extended errors to give.
    pub errors: &'a [ExtendedError],
}

/// Octets of an OPT record without options.
const OPT_SIZE: usize = 11;

impl<'b> ReplyWriter<'b> {
    /// Starts behind the question, whose last octet is before `end`; the answer may have `limit` octets at most.
    ///
    /// `reserve`: octets kept free for OPT, which is written last.
    #[inline]
    pub fn start(packet: &'b mut [u8], end: usize, limit: usize, reserve: usize) -> Self {
        let most = limit.min(packet.len());
        let limit = most.saturating_sub(reserve).max(end);
        let places = [Place::default(); MAX_HOPS];
        Self { packet, len: end, end, limit, most, answers: 0, authorities: 0, additionals: 0, overflowed: false, places, hops: 0 }
    }

    /// Copies `count` records kept with the owner placeholder. Their owner is the current name without its first `octet` octets.
    #[inline]
    pub fn records(&mut self, section: Section, wire: &[u8], count: u16, octet: usize, ttl: Ttl) {
        let start = self.len;
        if !self.put(wire) {
            return;
        }
        self.count(section, count);
        let owner = self.pointer(octet);
        if owner == pointer_to(HEADER) && ttl == Ttl::Keep {
            return;
        }
        match self.packet.get_mut(start..start + 12) {
            Some(fixed) if count == 1 => {
                fixed[..2].copy_from_slice(&owner);
                ttl.set(&mut fixed[6..10]);
            }
            _ => self.retouch(start, owner, ttl),
        }
    }

    /// Copies an alias kept with the owner placeholder, and the records behind it. Its target is the current name from then on.
    #[inline]
    pub fn alias(&mut self, wire: &[u8], count: u16, shared: SharedSuffix, ttl: Ttl) {
        let at = self.len as u16 + 12;
        self.last_alias(wire, count, shared, ttl);
        match self.places.get_mut(self.hops) {
            Some(place) => *place = Place { at, shared },
            None => self.overflowed = true, // a chain is never that long
        }
        self.hops = (self.hops + 1).min(MAX_HOPS);
    }

    /// The same, but the current name stays.
    #[inline]
    pub fn last_alias(&mut self, wire: &[u8], count: u16, shared: SharedSuffix, ttl: Ttl) {
        let start = self.len;
        let Some((head, rest)) = wire.split_first_chunk::<12>() else { return };
        let target = usize::from(u16::from_be_bytes([head[10], head[11]]));
        let Some((target, behind)) = rest.split_at_checked(target) else { return };
        let Some(literal) = target.get(..usize::from(shared.literal)) else { return };
        let pointed = if literal.len() < target.len() { 2 } else { 0 };
        let first = 12 + literal.len() + pointed;
        if !self.fits(first + behind.len()) {
            return;
        }
        let (owner, suffix) = (self.pointer(0), self.pointer(usize::from(shared.skip)));
        let Some(room) = self.packet.get_mut(start..start + first) else { return };
        let Some((fixed, data)) = room.split_first_chunk_mut::<12>() else { return };
        *fixed = *head;
        [fixed[0], fixed[1]] = owner;
        [fixed[10], fixed[11]] = ((first - 12) as u16).to_be_bytes();
        ttl.set(&mut fixed[6..10]);
        let (labels, end) = data.split_at_mut(literal.len());
        labels.copy_from_slice(literal);
        if let Some(end) = end.first_chunk_mut::<2>() {
            *end = suffix;
        }
        self.len = start + first;
        self.answers += count;
        if !behind.is_empty() && self.put(behind) {
            self.retouch(start + first, owner, ttl);
        }
    }

    /// Writes a CNAME to ANSWER. Its target is the current name from then on.
    pub fn alias_to(&mut self, target: &NameBuf, shared: SharedSuffix, ttl: u32) {
        let mut wire = [0; 12 + MAX_NAME];
        wire[3] = rtype::CNAME as u8;
        wire[5] = 1;
        wire[6..10].copy_from_slice(&ttl.to_be_bytes());
        wire[11] = target.len() as u8;
        wire[12..12 + target.len()].copy_from_slice(target.as_wire());
        self.alias(&wire[..12 + target.len()], 1, shared, Ttl::Keep);
    }

    /// Copies compressed records of the current name without its first `octet` octets.
    #[inline]
    pub fn compact(&mut self, records: &CompactRecords, octet: usize, ttl: Ttl) {
        let (start, home) = (self.len, records.start());
        if !self.put(records.octets()) {
            return;
        }
        let (answers, authorities) = records.counts();
        self.answers += answers;
        self.authorities += authorities;
        let at_home = octet == 0 && start == home && self.hops == 0;
        for place in records.pointers().take(if at_home { 0 } else { usize::MAX }) {
            let at = start + place;
            let target = usize::from(u16::from_be_bytes([self.packet[at], self.packet[at + 1]]) & 0x3fff);
            let pointer = if target < home { self.pointer(target - HEADER + octet) } else { self.pointer_at(target - home + start) };
            self.packet[at..at + 2].copy_from_slice(&pointer);
        }
        if ttl != Ttl::Keep {
            let mut at = start;
            while let Some(fixed) = end_of_name(&self.packet[..self.len], at) {
                self.set_ttl(fixed + 4, ttl);
                at = fixed + 10 + usize::from(u16::from_be_bytes([self.packet[fixed + 8], self.packet[fixed + 9]]));
            }
        }
    }

    /// Notes where the current name and those before it stand. `names`: all of them, in order.
    pub fn note_names(&self, table: &mut NameTable, names: impl Iterator<Item = NameBuf>) {
        let question = Place { at: HEADER as u16, shared: SharedSuffix { literal: u8::MAX, skip: 0 } };
        for (place, name) in std::iter::once(&question).chain(&self.places[..self.hops]).zip(names) {
            let literal = usize::from(place.shared.literal);
            table.note(&name, |octet| (octet < literal).then_some(usize::from(place.at) + octet));
        }
    }

    /// Writes records like [`ReplyWriter::records`], with names in their RDATA compressed.
    pub fn compress(&mut self, table: &mut NameTable, section: Section, wire: &[u8], count: u16, octet: usize) {
        let owner = self.pointer(octet);
        for record in records(wire) {
            let start = self.len;
            if !self.fits(12) || !self.put(&record[..12]) {
                return;
            }
            let rtype = u16::from_be_bytes([record[2], record[3]]);
            let Some(end) = table.write_rdata(&mut self.packet[..self.limit], start + 12, rtype, &record[12..], |_| {}) else {
                self.overflowed = true;
                return;
            };
            self.packet[start..start + 2].copy_from_slice(&owner);
            self.packet[start + 10..start + 12].copy_from_slice(&((end - start - 12) as u16).to_be_bytes());
            self.len = end;
        }
        self.count(section, count);
    }

    /// Writes one record of the current name.
    pub fn record(&mut self, section: Section, rtype: u16, ttl: u32, rdata: &[u8]) {
        let mut fixed = [0u8; 12];
        fixed[..2].copy_from_slice(&self.pointer(0));
        fixed[2..4].copy_from_slice(&rtype.to_be_bytes());
        fixed[4..6].copy_from_slice(&1u16.to_be_bytes());
        fixed[6..10].copy_from_slice(&ttl.to_be_bytes());
        fixed[10..].copy_from_slice(&(rdata.len() as u16).to_be_bytes());
        if self.fits(12 + rdata.len()) && self.put(&fixed) && self.put(rdata) {
            self.count(section, 1);
        }
    }

    /// Writes an RRset of `owner` to ADDITIONAL. Returns false if it does not fit, and writes nothing of it then (S8).
    pub fn additional(&mut self, table: &mut NameTable, owner: &NameBuf, wire: &[u8], count: u16) -> bool {
        let before = self.len;
        for record in records(wire) {
            let room = &mut self.packet[..self.limit];
            let named = table.write_name(room, self.len, owner.as_wire(), owner);
            let Some(rest) = named.and_then(|(end, _)| Some((end, room.get_mut(end..end + record.len() - 2)?))) else {
                self.len = before;
                return false;
            };
            rest.1.copy_from_slice(&record[2..]);
            self.len = rest.0 + record.len() - 2;
        }
        self.additionals += count;
        true
    }

    /// Writes a record of `owner` to AUTHORITY unless it stands in the answer already. `record`: from its TYPE on, its RDATA without
    /// names that can be compressed.
    pub fn authority_once(&mut self, table: &mut NameTable, owner: &NameBuf, record: &[u8], ttl: Ttl) {
        if self.overflowed || self.has_record(owner, record) {
            return;
        }
        let room = &mut self.packet[..self.limit];
        let named = table.write_name(room, self.len, owner.as_wire(), owner);
        let Some((end, place)) = named.and_then(|(end, _)| Some((end, room.get_mut(end..end + record.len())?))) else {
            self.overflowed = true;
            return;
        };
        place.copy_from_slice(record);
        ttl.set(&mut place[4..8]);
        self.len = end + record.len();
        self.authorities += 1;
    }

    /// Returns true if a record of `owner` with this type and RDATA is written.
    fn has_record(&self, owner: &NameBuf, record: &[u8]) -> bool {
        let written = &self.packet[..self.len];
        let mut at = self.end;
        while let Some((end, fixed)) = end_of_name(written, at).and_then(|end| Some((end, written.get(end..)?.first_chunk::<10>()?))) {
            let behind = end + 10 + usize::from(u16::from_be_bytes([fixed[8], fixed[9]]));
            let same = fixed[..2] == record[..2] && written.get(end + 8..behind) == record.get(8..);
            if same && read_name(written, at).is_ok_and(|(name, _)| name == *owner) {
                return true;
            }
            at = behind;
        }
        false
    }

    /// Marks a name whose addresses are in ADDITIONAL.
    pub fn mark(&self, table: &mut NameTable, name: &NameBuf) {
        table.mark(&self.packet[..self.len], name);
    }

    /// Returns true if the name is marked.
    pub fn is_marked(&self, table: &NameTable, name: &NameBuf) -> bool {
        table.is_marked(&self.packet[..self.len], name)
    }

    /// Something that must be in the answer does not fit: it is sent empty, with TC.
    pub fn truncate(&mut self) {
        self.overflowed = true;
    }

    /// If something did not fit, drops all records and forgets it: the answer is then not truncated.
    pub fn drop_overflow(&mut self) {
        if self.overflowed {
            (self.len, self.answers, self.authorities, self.additionals, self.overflowed) = (self.end, 0, 0, 0, false);
        }
    }

    /// Writes header and OPT; gives the length of the answer. What did not fit leaves header, question and OPT with TC (S8).
    ///
    /// `flags` are QR … CD without RCODE; the client's RD and CD bits are the caller's to keep.
    pub fn finish(self, flags: u16, rcode: u16, opt: Option<ReplyOpt<'_>>) -> usize {
        let Self { packet, mut len, end, mut answers, mut authorities, mut additionals, overflowed, most, .. } = self;
        let mut flags = flags | (rcode & flag::RCODE);
        if overflowed {
            (len, answers, authorities, additionals) = (end, 0, 0, 0);
            flags |= flag::TC;
        }
        if let Some(opt) = opt {
            let before = len;
            len = opt.write(&mut packet[..most.max(len)], len, rcode);
            additionals += u16::from(len > before);
        }
        packet[2..4].copy_from_slice(&flags.to_be_bytes());
        let questions = u16::from(end > HEADER);
        for (at, count) in [(4, questions), (6, answers), (8, authorities), (10, additionals)] {
            packet[at..at + 2].copy_from_slice(&count.to_be_bytes());
        }
        len
    }

    /// A pointer to the current name without its first `octet` octets.
    #[inline]
    fn pointer(&mut self, mut octet: usize) -> [u8; 2] {
        for &Place { at, shared } in self.places[..self.hops].iter().rev() {
            if octet < usize::from(shared.literal) {
                return self.pointer_at(usize::from(at) + octet);
            }
            octet = octet - usize::from(shared.literal) + usize::from(shared.skip);
        }
        pointer_to(HEADER + octet) // the question name stands in full
    }

    /// A pointer reaches 16,383 octets. What must be pointed to beyond, behind aliases with that much of signatures, does not fit.
    #[inline]
    fn pointer_at(&mut self, offset: usize) -> [u8; 2] {
        self.overflowed |= offset >= 0x4000;
        pointer_to(offset)
    }

    /// Gives the records from `start` on, kept with the owner placeholder, their owner and TTL.
    #[inline]
    fn retouch(&mut self, start: usize, owner: [u8; 2], ttl: Ttl) {
        let mut at = start;
        while at + 12 <= self.len {
            self.packet[at..at + 2].copy_from_slice(&owner);
            self.set_ttl(at + 6, ttl);
            at += 12 + usize::from(u16::from_be_bytes([self.packet[at + 10], self.packet[at + 11]]));
        }
    }

    fn fits(&mut self, octets: usize) -> bool {
        self.overflowed |= self.len + octets > self.limit;
        !self.overflowed
    }

    #[inline]
    fn put(&mut self, octets: &[u8]) -> bool {
        let fits = self.fits(octets.len());
        if fits {
            self.packet[self.len..self.len + octets.len()].copy_from_slice(octets);
            self.len += octets.len();
        }
        fits
    }

    #[inline]
    fn set_ttl(&mut self, at: usize, ttl: Ttl) {
        ttl.set(&mut self.packet[at..at + 4]);
    }

    fn count(&mut self, section: Section, records: u16) {
        match section {
            Section::Answer => self.answers += records,
            Section::Authority => self.authorities += records,
            Section::Additional => self.additionals += records,
        }
    }
}

/// Records kept with the owner placeholder, one at a time.
fn records(wire: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = wire;
    std::iter::from_fn(move || {
        let length = rest.get(10..12)?;
        let (record, behind) = rest.split_at_checked(12 + usize::from(u16::from_be_bytes([length[0], length[1]])))?;
        rest = behind;
        Some(record)
    })
}

#[inline]
fn pointer_to(offset: usize) -> [u8; 2] {
    (0xc000 | offset as u16).to_be_bytes()
}

impl ReplyOpt<'_> {
    /// Octets it takes at most.
    pub fn reserve(&self) -> usize {
        let errors: usize = self.errors.iter().map(|error| 6 + error.text.len()).sum();
        let option = |data: &[u8]| if data.is_empty() { 0 } else { 4 + data.len() };
        OPT_SIZE + option(self.nsid) + option(self.cookie) + errors
    }

    /// Writes it at `at`, to the end of `packet` at most; leaves out options for which there is no room, the text of an error first.
    fn write(&self, packet: &mut [u8], at: usize, rcode: u16) -> usize {
        let room = packet.len();
        if at + OPT_SIZE > room {
            return at;
        }
        packet[at] = 0;
        packet[at + 1..at + 3].copy_from_slice(&rtype::OPT.to_be_bytes());
        packet[at + 3..at + 5].copy_from_slice(&self.udp_size.to_be_bytes());
        packet[at + 5] = (rcode >> 4) as u8;
        packet[at + 6] = 0;
        packet[at + 7..at + 9].copy_from_slice(&(u16::from(self.dnssec_ok) << 15).to_be_bytes());
        let mut option = |len: usize, code: u16, head: &[u8], body: &[u8]| {
            let size = 4 + head.len() + body.len();
            if len + size > room {
                return len;
            }
            packet[len..len + 2].copy_from_slice(&code.to_be_bytes());
            packet[len + 2..len + 4].copy_from_slice(&((size - 4) as u16).to_be_bytes());
            packet[len + 4..len + 4 + head.len()].copy_from_slice(head);
            packet[len + 4 + head.len()..len + size].copy_from_slice(body);
            len + size
        };
        let mut len = at + OPT_SIZE;
        if !self.cookie.is_empty() {
            len = option(len, 10, &[], self.cookie);
        }
        if !self.nsid.is_empty() {
            len = option(len, 3, &[], self.nsid);
        }
        for error in self.errors {
            let text = if len + 6 + error.text.len() <= room { error.text } else { "" };
            len = option(len, 15, &error.code.to_be_bytes(), text.as_bytes());
        }
        packet[at + 9..at + 11].copy_from_slice(&((len - at - OPT_SIZE) as u16).to_be_bytes());
        len
    }
}
