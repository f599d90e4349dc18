//! Writing an answer behind the question, in the buffer the question came in.
//!
//! Header and question stay where they are (ID and letter case for free). Owners are written as pointers to the name they stand for:
//! the question name at offset 12, or the RDATA of the alias that led to it. RDATA is never compressed, so every client can read it.

use super::{HEADER, rtype};
use crate::ede::ExtendedError;
use crate::wire::message::flag;

/// An answer being written.
#[derive(Debug)]
pub struct Reply<'b> {
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

/// What becomes of the TTLs of copied records.
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

/// The OPT record of an answer (RFC 6891).
#[derive(Debug, Clone, Copy)]
pub struct Opt<'a> {
    /// Largest UDP question we take, octets.
    pub udp_size: u16,
    /// DO, as the client set it.
    pub dnssec_ok: bool,
    /// NSID to give; empty: none.
    pub nsid: &'a [u8],
    /// Extended errors to give.
    pub errors: &'a [ExtendedError],
}

/// Octets of an OPT record without options.
const OPT_SIZE: usize = 11;

impl<'b> Reply<'b> {
    /// Starts behind the question, whose last octet is before `end`; the answer may have `limit` octets at most.
    ///
    /// `reserve`: octets kept free for OPT, which is written last.
    pub fn start(packet: &'b mut [u8], end: usize, limit: usize, reserve: usize) -> Self {
        let most = limit.min(packet.len());
        let limit = most.saturating_sub(reserve).max(end);
        Self { packet, len: end, end, limit, most, answers: 0, authorities: 0, additionals: 0, overflowed: false }
    }

    /// Where the next record's owner will stand.
    pub fn position(&self) -> usize {
        self.len
    }

    /// Copies `count` records kept with the owner placeholder; their owner is the name at offset `owner`.
    pub fn records(&mut self, section: Section, wire: &[u8], count: u16, owner: usize, ttl: Ttl) {
        let start = self.len;
        if !self.put(wire) {
            return;
        }
        self.count(section, count);
        if owner == HEADER && ttl == Ttl::Keep {
            return;
        }
        let pointer = (0xc000 | owner as u16).to_be_bytes();
        let mut at = start;
        while at + 12 <= self.len {
            self.packet[at..at + 2].copy_from_slice(&pointer);
            self.set_ttl(at + 6, ttl);
            at += 12 + usize::from(u16::from_be_bytes([self.packet[at + 10], self.packet[at + 11]]));
        }
    }

    /// Copies records kept with their owners in full.
    pub fn owned_records(&mut self, section: Section, wire: &[u8], count: u16, ttl: Ttl) {
        let start = self.len;
        if !self.put(wire) {
            return;
        }
        self.count(section, count);
        let mut at = start;
        while at < self.len {
            while self.packet[at] != 0 {
                at += 1 + usize::from(self.packet[at]);
            }
            self.set_ttl(at + 5, ttl);
            at += 11 + usize::from(u16::from_be_bytes([self.packet[at + 9], self.packet[at + 10]]));
        }
    }

    /// Writes one record whose owner is the name at offset `owner`; gives the offset of its RDATA, had there been room for it.
    pub fn record(&mut self, section: Section, owner: usize, rtype: u16, ttl: u32, rdata: &[u8]) -> usize {
        let mut fixed = [0u8; 12];
        fixed[..2].copy_from_slice(&(0xc000 | owner as u16).to_be_bytes());
        fixed[2..4].copy_from_slice(&rtype.to_be_bytes());
        fixed[4..6].copy_from_slice(&1u16.to_be_bytes());
        fixed[6..10].copy_from_slice(&ttl.to_be_bytes());
        fixed[10..].copy_from_slice(&(rdata.len() as u16).to_be_bytes());
        let start = self.len;
        if self.fits(12 + rdata.len()) {
            self.put(&fixed);
            self.put(rdata);
            self.count(section, 1);
        }
        start + 12
    }

    /// Writes one record with its owner in full; leaves it out where it does not fit (additional data only).
    pub fn additional(&mut self, owner: &[u8], wire: &[u8], count: u16) {
        let mut at = 0;
        let before = (self.len, self.additionals);
        while let Some(length) = wire.get(at + 10..at + 12) {
            let next = at + 12 + usize::from(u16::from_be_bytes([length[0], length[1]]));
            let Some(record) = wire.get(at + 2..next) else { break };
            if self.len + owner.len() + record.len() > self.limit {
                (self.len, self.additionals) = before; // never a partial RRset (S8)
                return;
            }
            self.put(owner);
            self.put(record);
            at = next;
        }
        self.additionals += count;
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
    pub fn finish(self, flags: u16, rcode: u16, opt: Option<Opt<'_>>) -> usize {
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

    fn fits(&mut self, octets: usize) -> bool {
        // A pointer reaches 16383 octets: answers larger than that over TCP keep their owners within reach, because only aliases are
        // pointed to and they come first.
        self.overflowed |= self.len + octets > self.limit;
        !self.overflowed
    }

    fn put(&mut self, octets: &[u8]) -> bool {
        let fits = self.fits(octets.len());
        if fits {
            self.packet[self.len..self.len + octets.len()].copy_from_slice(octets);
            self.len += octets.len();
        }
        fits
    }

    fn set_ttl(&mut self, at: usize, ttl: Ttl) {
        let octets = &mut self.packet[at..at + 4];
        let new = match ttl {
            Ttl::Keep => return,
            Ttl::Age(age) => u32::from_be_bytes([octets[0], octets[1], octets[2], octets[3]]).saturating_sub(age),
            Ttl::Capped { age, most } => u32::from_be_bytes([octets[0], octets[1], octets[2], octets[3]]).saturating_sub(age).min(most),
            Ttl::Fixed(seconds) => seconds,
        };
        octets.copy_from_slice(&new.to_be_bytes());
    }

    fn count(&mut self, section: Section, records: u16) {
        match section {
            Section::Answer => self.answers += records,
            Section::Authority => self.authorities += records,
            Section::Additional => self.additionals += records,
        }
    }
}

impl Opt<'_> {
    /// Octets it takes at most.
    pub fn reserve(&self) -> usize {
        let errors: usize = self.errors.iter().map(|error| 6 + error.text.len()).sum();
        OPT_SIZE + if self.nsid.is_empty() { 0 } else { 4 + self.nsid.len() } + errors
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

#[cfg(test)]
mod tests {
    use super::*;

    const ERROR: ExtendedError = ExtendedError { code: 22, text: "no upstream answered" };

    fn opt<'a>(nsid: &'a [u8], errors: &'a [ExtendedError]) -> Opt<'a> {
        Opt { udp_size: 1232, dnssec_ok: true, nsid, errors }
    }

    /// A header and a question for the longest name there is.
    fn longest() -> (Vec<u8>, usize) {
        let end = HEADER + 255 + 4;
        let mut packet = vec![0; 2048];
        packet[HEADER..end].fill(7);
        (packet, end)
    }

    #[test]
    fn no_answer_is_longer_than_the_client_takes_whatever_its_options() {
        let nsid = [b'n'; 128];
        for limit in 290..600 {
            let (mut packet, end) = longest();
            let opt = opt(&nsid, &[ERROR, ERROR, ERROR]);
            let length = Reply::start(&mut packet, end, limit, opt.reserve()).finish(flag::QR, 2, Some(opt));
            assert!(length <= limit, "{length} of {limit}");
            let rdata = usize::from(u16::from_be_bytes([packet[end + 9], packet[end + 10]]));
            assert_eq!((packet[11], length), (1, end + OPT_SIZE + rdata));
        }
    }

    #[test]
    fn an_error_without_room_for_its_text_is_a_number() {
        for (room, want) in [(30, 6 + ERROR.text.len()), (26, 6 + ERROR.text.len()), (25, 6), (6, 6), (5, 0)] {
            let (mut packet, end) = longest();
            let limit = end + OPT_SIZE + room;
            let length = Reply::start(&mut packet, end, limit, 0).finish(flag::QR, 2, Some(opt(&[], &[ERROR])));
            assert_eq!(length - end - OPT_SIZE, want, "{room}");
        }
    }

    #[test]
    fn a_record_that_does_not_fit_leaves_the_question_with_tc() {
        for limit in [50, 100, 512] {
            let mut packet = vec![0; 2048];
            let end = HEADER + 5;
            let mut reply = Reply::start(&mut packet, end, limit, 0);
            let mut owner = HEADER;
            for _ in 0..3 {
                owner = reply.record(Section::Answer, owner, rtype::CNAME, 60, &[1; 255]);
            }
            let length = reply.finish(flag::QR, 0, None);
            assert_eq!((length, packet[2], &packet[4..12]), (end, 0x82, &[0, 1, 0, 0, 0, 0, 0, 0][..]), "{limit}");
        }
    }
}
