//! Reading a client's question.
//!
//! Nothing is allocated and nothing believed: every count is checked against the octets that are there.

use std::net::IpAddr;

use postern_zones::name::NameBuf;

use super::message::flag;
use super::{HEADER, rtype};
use crate::cookie::{CookieOption, CookieProof};
use crate::ede::{ExtendedError, rcode};

#[cfg(test)]
pub(crate) mod tests;

/// A question, understood.
#[derive(Debug, Clone)]
pub struct Question {
    /// QNAME, lowered; its original case stays in the packet.
    pub name: NameBuf,
    /// QTYPE.
    pub rtype: u16,
    /// QCLASS.
    pub class: u16,
    /// Octets of header and question: where an answer begins.
    pub end: usize,
    /// RD.
    pub recursion_desired: bool,
    /// CD (RFC 4035 section 3.2.2).
    pub checking_disabled: bool,
    /// AD in a query asks for AD in the answer (RFC 6840 section 5.7).
    pub authentic_data: bool,
    /// The OPT record, if there is one.
    pub edns: Option<Edns>,
    /// The COOKIE option (RFC 7873). Not in [`Edns`], which is copied for every question.
    pub cookie: Option<CookieOption>,
    /// Signed with TSIG or SIG(0).
    pub signed: bool,
}

/// Fields of an OPT record (RFC 6891).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Edns {
    /// Largest UDP answer the client takes, octets (below 512 counts as 512).
    pub udp_size: u16,
    /// DO.
    pub dnssec_ok: bool,
    /// The client asks for NSID (RFC 5001).
    pub nsid: bool,
}

/// Why a message is not a question for the path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotAQuestion {
    /// It is shorter than a header, so that it cannot be answered.
    Short,
    /// It is a response. Two servers that answered each other's responses would never end.
    Response,
    /// The message gets an answer, but not the data that it asks for.
    Declined(DeclinedQuestion),
}

/// An answer without data, decided by the form of the message alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeclinedQuestion {
    /// RCODE.
    pub rcode: u16,
    /// Octets of header and question that the answer repeats: only the header if the question cannot be read.
    pub end: usize,
    /// The OPT record: the answer has one too (RFC 6891 section 6.1.1).
    pub edns: Option<Edns>,
    /// The COOKIE option.
    pub cookie: Option<CookieOption>,
    /// The reason, for clients that can read it.
    pub error: ExtendedError,
}

impl Question {
    /// Reads a message from a client into this question, which saves moving its 400 octets about. After an error its fields mean nothing.
    ///
    /// Where the RFCs leave a choice: octets behind the last record are ignored, as BIND and Unbound do. Records in ANSWER or AUTHORITY are an
    /// error, except for the SOA of an IXFR (RFC 1995 section 3). Compression in the question is an error, as nothing stands before it to point
    /// at. Bits and RCODE that mean nothing in a query are passed over (RFC 8906 section 3.1.3).
    #[inline]
    pub fn read(&mut self, packet: &[u8]) -> Result<(), NotAQuestion> {
        let Some(header) = packet.first_chunk::<HEADER>() else { return Err(NotAQuestion::Short) };
        let field = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
        let flags = field(2);
        if flags & flag::QR != 0 {
            return Err(NotAQuestion::Response);
        }
        if flags & flag::OPCODE != 0 || field(4) != 1 {
            return Err(decline_other(packet));
        }
        if self.name.set(&packet[HEADER..]).is_err() {
            return Err(decline(Fault::Name, HEADER, &Extra::default(), packet));
        }
        let end = HEADER + self.name.len() + 4;
        let Some(fixed) = packet.get(end - 4..).and_then(|rest| rest.first_chunk::<4>()) else {
            return Err(decline(Fault::Short, HEADER, &Extra::default(), packet));
        };
        let rtype = u16::from_be_bytes([fixed[0], fixed[1]]);
        let mut extra = Extra::default();
        if field(10) != 0 || field(6) != 0 || field(8) != 0 {
            let (before, additional) = (usize::from(field(6)) + usize::from(field(8)), usize::from(field(10)));
            if let Err(fault) = extra.read(packet, end, before, additional) {
                return Err(decline(fault, end, &extra, packet));
            }
            if field(6) != 0 || field(8) != 0 && rtype != rtype::IXFR {
                return Err(decline(Fault::Sections, end, &extra, packet));
            }
        }
        self.rtype = rtype;
        self.class = u16::from_be_bytes([fixed[2], fixed[3]]);
        self.end = end;
        self.recursion_desired = flags & flag::RD != 0;
        self.checking_disabled = flags & flag::CD != 0;
        self.authentic_data = flags & flag::AD != 0;
        self.edns = extra.edns;
        self.cookie = extra.cookie(packet);
        self.signed = extra.signed;
        Ok(())
    }

    /// Checks the cookie of a message from `client`, if it has one, and makes the one for the answer.
    #[inline]
    pub fn settle_cookie(&mut self, client: IpAddr) {
        if let Some(cookie) = &mut self.cookie {
            cookie.settle_now(client);
        }
    }

    /// Returns true if the client set DO.
    pub fn dnssec_ok(&self) -> bool {
        self.edns.is_some_and(|edns| edns.dnssec_ok)
    }

    /// Returns the size of the largest answer that this client takes over UDP, at most `most` (RFC 6891 section 6.2.3: below 512 counts as 512).
    #[inline]
    pub fn udp_limit(&self, most: u16) -> usize {
        usize::from(self.edns.map_or(512, |edns| edns.udp_size.clamp(512, most.max(512))))
    }
}

impl Default for Question {
    /// Returns a question that was not read yet.
    fn default() -> Self {
        Self {
            name: NameBuf::root(),
            rtype: 0,
            class: 0,
            end: HEADER,
            recursion_desired: false,
            checking_disabled: false,
            authentic_data: false,
            edns: None,
            cookie: None,
            signed: false,
        }
    }
}

impl DeclinedQuestion {
    /// Checks the cookie of a message from `client`, if it has one, and makes the one for the answer.
    pub fn settle_cookie(&mut self, client: IpAddr) {
        let Some(cookie) = &mut self.cookie else { return };
        cookie.settle_now(client);
        // Only a message for a cookie alone gets an error for a wrong cookie (RFC 7873 section 5.4). Others are answered as if they had none
        // (section 5.2.4).
        if self.rcode == rcode::NOERROR && cookie.proof() == CookieProof::Wrong {
            self.rcode = rcode::BADCOOKIE;
        }
    }
}

/// Reads a message from a client.
pub fn understand(packet: &[u8]) -> Result<Question, NotAQuestion> {
    let mut question = Question::default();
    question.read(packet)?;
    Ok(question)
}

/// Returns the places of owner and RDATA of the TSIG record. `None` if the message has none. It is the last record (RFC 8945 section 5.1).
pub fn tsig(packet: &[u8], question: &Question) -> Option<(usize, std::ops::Range<usize>)> {
    let count = |at: usize| u16::from_be_bytes([packet[at], packet[at + 1]]);
    let mut at = question.end;
    for _ in 0..usize::from(count(6)) + usize::from(count(8)) + usize::from(count(10)) {
        let record = Fixed::read(packet, at).ok()?;
        if record.rtype == rtype::TSIG {
            return Some((at, record.data..record.next));
        }
        at = record.next;
    }
    None
}

/// Fault in the form of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    Opcode,
    CookieAlone,
    Questions,
    Name,
    Short,
    Sections,
    OptTwice,
    OptName,
    OptOptions,
    Version,
    Tsig,
}

/// Records behind the question.
#[derive(Default)]
struct Extra {
    edns: Option<Edns>,
    signed: bool,
    /// Offset of the data of the COOKIE option; 0 if there is none.
    cookie: u16,
}

/// The fields of one record, its name passed over.
struct Fixed {
    rtype: u16,
    class: u16,
    ttl: u32,
    data: usize,
    next: usize,
}

impl Extra {
    /// Walks over `before` records of other sections and `additional` ones. The fields that were read before a fault are kept.
    #[inline]
    fn read(&mut self, packet: &[u8], mut at: usize, before: usize, additional: usize) -> Result<(), Fault> {
        let mut misplaced = false;
        for _ in 0..before {
            let record = Fixed::read(packet, at)?;
            misplaced |= matches!(record.rtype, rtype::OPT | rtype::TSIG);
            at = record.next;
        }
        for index in 0..additional {
            let record = Fixed::read(packet, at)?;
            match record.rtype {
                rtype::OPT if self.edns.is_some() => return Err(Fault::OptTwice),
                rtype::OPT => self.read_opt(packet, at, &record)?,
                // Last, class ANY, TTL 0 (RFC 8945 sections 4.2 and 5.1).
                rtype::TSIG if index + 1 != additional || record.class != 255 || record.ttl != 0 => return Err(Fault::Tsig),
                rtype::TSIG => self.signed = true,
                rtype::SIG => self.signed = true, // SIG(0), RFC 2931
                _ => {}
            }
            at = record.next;
        }
        if misplaced { Err(Fault::Sections) } else { Ok(()) }
    }

    #[inline]
    fn read_opt(&mut self, packet: &[u8], owner: usize, record: &Fixed) -> Result<(), Fault> {
        let edns = Edns { udp_size: record.class, dnssec_ok: record.ttl & 0x8000 != 0, ..Edns::default() };
        let edns = self.edns.insert(edns);
        if packet[owner] != 0 {
            return Err(Fault::OptName);
        }
        // The options of a version that we do not know may have any form.
        if record.ttl >> 16 & 0xff != 0 {
            return Err(Fault::Version);
        }
        let mut options = &packet[record.data..record.next];
        while let Some((head, rest)) = options.split_first_chunk::<4>() {
            let (code, length) = (u16::from_be_bytes([head[0], head[1]]), u16::from_be_bytes([head[2], head[3]]));
            let (data, behind) = rest.split_at_checked(usize::from(length)).ok_or(Fault::OptOptions)?;
            options = behind;
            match code {
                3 => edns.nsid = true,
                // The first one counts (RFC 7873 section 5.2); of a bad length it is FORMERR (section 5.2.2).
                10 if self.cookie == 0 => {
                    CookieOption::read(data).ok_or(Fault::OptOptions)?;
                    self.cookie = (record.next - behind.len() - data.len()) as u16; // a message has at most 65,535 octets
                }
                _ => {}
            }
        }
        if options.is_empty() { Ok(()) } else { Err(Fault::OptOptions) }
    }
}

impl Extra {
    /// The COOKIE option.
    #[inline]
    fn cookie(&self, packet: &[u8]) -> Option<CookieOption> {
        if self.cookie == 0 { None } else { read_cookie(packet, usize::from(self.cookie)) }
    }
}

/// Reads the COOKIE option whose data, found good before, starts at `at`.
#[cold]
fn read_cookie(packet: &[u8], at: usize) -> Option<CookieOption> {
    let length = usize::from(u16::from_be_bytes([*packet.get(at - 2)?, *packet.get(at - 1)?]));
    CookieOption::read(packet.get(at..at + length)?)
}

impl Fixed {
    #[inline]
    fn read(packet: &[u8], at: usize) -> Result<Self, Fault> {
        let data = pass_name(packet, at)? + 10;
        let fixed = packet.get(data - 10..data).and_then(|fixed| fixed.first_chunk::<10>()).ok_or(Fault::Short)?;
        let next = data + usize::from(u16::from_be_bytes([fixed[8], fixed[9]]));
        if next > packet.len() {
            return Err(Fault::Short);
        }
        Ok(Self {
            rtype: u16::from_be_bytes([fixed[0], fixed[1]]),
            class: u16::from_be_bytes([fixed[2], fixed[3]]),
            ttl: u32::from_be_bytes([fixed[4], fixed[5], fixed[6], fixed[7]]),
            data,
            next,
        })
    }
}

/// Returns the offset behind the name at `at`. Pointers are not followed.
#[inline]
fn pass_name(packet: &[u8], mut at: usize) -> Result<usize, Fault> {
    let start = at;
    loop {
        match *packet.get(at).ok_or(Fault::Short)? {
            0 => return Ok(at + 1),
            length @ 1..=63 => at += 1 + usize::from(length),
            0xc0.. => return if at + 2 <= packet.len() { Ok(at + 2) } else { Err(Fault::Short) },
            _ => return Err(Fault::Name),
        }
        if at - start > postern_zones::name::MAX_NAME {
            return Err(Fault::Name);
        }
    }
}

/// An opcode other than QUERY, or a number of questions other than one.
#[cold]
fn decline_other(packet: &[u8]) -> NotAQuestion {
    let count = |at: usize| usize::from(u16::from_be_bytes([packet[at], packet[at + 1]]));
    let questions = count(4);
    let fault = if packet[2] & 0x78 != 0 { Fault::Opcode } else { Fault::Questions };
    // The OPT record counts if the message has the usual shape. Only a whole question is repeated in the answer.
    let mut end = HEADER;
    for _ in 0..questions {
        match pass_name(packet, end) {
            Ok(name_end) if name_end + 4 <= packet.len() => end = name_end + 4,
            _ => return decline(fault, HEADER, &Extra::default(), packet),
        }
    }
    let mut extra = Extra::default();
    let read = extra.read(packet, end, count(6) + count(8), count(10));
    let for_cookie = extra.cookie > 0 && count(6) + count(8) == 0;
    let fault = if fault == Fault::Questions && questions == 0 && for_cookie && read.is_ok() { Fault::CookieAlone } else { fault };
    let whole = questions == 1 && NameBuf::read(&packet[HEADER..]).is_ok();
    match read {
        Err(Fault::Version) => decline(Fault::Version, if whole { end } else { HEADER }, &extra, packet),
        _ => decline(fault, if whole { end } else { HEADER }, &extra, packet),
    }
}

/// RCODE and extended error of a fault.
#[cold]
fn decline(fault: Fault, end: usize, extra: &Extra, packet: &[u8]) -> NotAQuestion {
    use rcode::{BADVERS, FORMERR, NOERROR, NOTIMP};
    let (rcode, code, text) = match fault {
        // RFC 8906 section 3.1.4. UPDATE, NOTIFY and STATUS are opcodes like any other that we do not have.
        Fault::Opcode => (NOTIMP, 21, "opcode not supported"),
        Fault::CookieAlone => (NOERROR, 0, ""), // RFC 7873 section 5.4
        // RFC 9619 section 4.
        Fault::Questions => (FORMERR, 0, "not exactly one question"),
        Fault::Name => (FORMERR, 0, "bad name"),
        Fault::Short => (FORMERR, 0, "message ends early"),
        Fault::Sections => (FORMERR, 0, "records in the answer or authority section of a query"),
        Fault::OptTwice => (FORMERR, 0, "more than one OPT record"), // RFC 6891 section 6.1.1
        Fault::OptName => (FORMERR, 0, "OPT record whose owner is not the root"), // RFC 6891 section 6.1.2
        Fault::OptOptions => (FORMERR, 0, "bad EDNS option"),        // RFC 6891 section 7: with OPT in the answer
        Fault::Version => (BADVERS, 0, "EDNS version not supported"), // RFC 6891 section 6.1.3
        Fault::Tsig => (FORMERR, 0, "TSIG record out of place"),
    };
    NotAQuestion::Declined(DeclinedQuestion {
        rcode,
        end,
        edns: extra.edns,
        cookie: extra.cookie(packet),
        error: ExtendedError { code, text },
    })
}
