//! Queries in wire form, and the few fields of a response that are read at full speed.

use hickory_proto::rr::Name;
use hickory_proto::serialize::binary::{BinEncodable, BinEncoder};
use postern_config::rtype;

/// Size of a DNS header in octets (RFC 1035, section 4.1.1).
pub const HEADER: usize = 12;
/// Largest query in octets: header, longest name, type and class, an OPT record.
pub const MAX_QUERY: usize = HEADER + 255 + 4 + 11;
/// UDP size that a query advertises. Most resolvers send this value (DNS flag day 2020).
pub const UDP_SIZE: u16 = 1232;

/// Settings that all queries of a run share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueryForm {
    /// RD flag: recursion desired.
    pub recursion: bool,
    /// Set if queries carry an OPT record.
    pub edns: bool,
    /// DO flag in that OPT record: DNSSEC records requested.
    pub dnssec: bool,
}

impl Default for QueryForm {
    fn default() -> Self {
        Self { recursion: true, edns: true, dnssec: false }
    }
}

/// Reasons why a line or packet is not a question.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QuestionTextError {
    /// The name is invalid.
    #[error("`{0}` is not a domain name")]
    Name(String),
    /// The type is unknown.
    #[error("`{0}` is not a record type")]
    Type(String),
}

/// Parses a name in presentation format into wire form, with its letter case preserved.
pub fn name_to_wire(text: &str) -> Result<Vec<u8>, QuestionTextError> {
    let bad = || QuestionTextError::Name(text.to_string());
    let mut name = Name::from_ascii(text).map_err(|_| bad())?;
    name.set_fqdn(true);
    let mut wire = Vec::with_capacity(64);
    let mut encoder = BinEncoder::new(&mut wire);
    name.emit(&mut encoder).map_err(|_| bad())?;
    Ok(wire)
}

/// Parses a record type: a mnemonic, `TYPE65`, or a number.
pub fn type_to_number(text: &str) -> Result<u16, QuestionTextError> {
    rtype::type_code(text).or_else(|| text.parse().ok()).ok_or_else(|| QuestionTextError::Type(text.to_string()))
}

/// Returns the mnemonic of the type.
pub fn type_to_text(number: u16) -> String {
    rtype::type_name(number).into_owned()
}

/// Returns the mnemonic of the RCODE (RFC 1035, section 4.1.1, and RFC 2136, section 2.2).
pub fn rcode_to_text(rcode: u8) -> String {
    const NAMES: [&str; 11] =
        ["NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED", "YXDOMAIN", "YXRRSET", "NXRRSET", "NOTAUTH", "NOTZONE"];
    NAMES.get(usize::from(rcode)).map_or_else(|| format!("RCODE{rcode}"), |name| (*name).to_string())
}

/// Appends a query with ID 0 to `out`. `name` is in wire form.
pub fn write_query(out: &mut Vec<u8>, name: &[u8], rtype: u16, form: QueryForm) {
    let flags: u16 = if form.recursion { 0x0100 } else { 0 };
    out.extend_from_slice(&[0, 0]);
    out.extend_from_slice(&flags.to_be_bytes());
    out.extend_from_slice(&[0, 1, 0, 0, 0, 0, 0, u8::from(form.edns)]);
    out.extend_from_slice(name);
    out.extend_from_slice(&rtype.to_be_bytes());
    out.extend_from_slice(&[0, 1]);
    if form.edns {
        // RFC 6891, section 6.1.2: root owner, type 41, the class is the size, and the TTL carries
        // DO in bit 15.
        out.extend_from_slice(&[0, 0, 41]);
        out.extend_from_slice(&UDP_SIZE.to_be_bytes());
        out.extend_from_slice(&[0, 0, if form.dnssec { 0x80 } else { 0 }, 0, 0, 0]);
    }
}

/// Returns the length of the question section of a message with one uncompressed question: name,
/// type and class.
pub fn question_length(message: &[u8]) -> Option<usize> {
    let mut at = HEADER;
    loop {
        let length = usize::from(*message.get(at)?);
        if length > 63 {
            return None;
        }
        at += 1 + length;
        if length == 0 {
            return (message.len() >= at + 4).then_some(at + 4 - HEADER);
        }
    }
}

/// A response, parsed only as far as every response needs.
#[derive(Debug, Clone, Copy)]
pub struct ParsedResponse<'a>(&'a [u8]);

impl<'a> ParsedResponse<'a> {
    /// Accepts a message as a response if it is long enough and QR is set. Returns `None`
    /// otherwise.
    pub fn read(message: &'a [u8]) -> Option<Self> {
        (message.len() >= HEADER && message[2] & 0x80 != 0).then_some(Self(message))
    }

    /// Returns the message ID.
    pub fn id(self) -> u16 {
        u16::from_be_bytes([self.0[0], self.0[1]])
    }

    /// Returns the RCODE of the header, without the upper bits of an extended RCODE.
    pub fn rcode(self) -> u8 {
        self.0[3] & 0x0f
    }

    /// Returns true if TC is set: the answer did not fit.
    pub fn truncated(self) -> bool {
        self.0[2] & 0x02 != 0
    }

    /// Returns the number of records in the answer section.
    pub fn answers(self) -> u16 {
        u16::from_be_bytes([self.0[6], self.0[7]])
    }

    /// Returns true if the response carries the question of the query, in any letter case.
    pub fn asks(self, question: &[u8]) -> bool {
        self.0[4..6] == [0, 1] && self.0.get(HEADER..HEADER + question.len()).is_some_and(|theirs| theirs.eq_ignore_ascii_case(question))
    }

    /// Returns the whole message.
    pub fn bytes(self) -> &'a [u8] {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hickory_proto::op::Message;
    use hickory_proto::serialize::binary::BinDecodable;

    #[test]
    fn a_written_query_reads_back_as_what_was_asked() {
        for (edns, dnssec, recursion) in [(true, false, true), (true, true, false), (false, false, true)] {
            let mut wire = Vec::new();
            write_query(&mut wire, &name_to_wire("Fhir.contoso.example").unwrap(), 28, QueryForm { recursion, edns, dnssec });
            let message = Message::from_bytes(&wire).unwrap();
            assert_eq!(message.queries[0].name().to_ascii(), "Fhir.contoso.example.");
            assert_eq!(u16::from(message.queries[0].query_type()), 28);
            assert_eq!(message.metadata.recursion_desired, recursion);
            assert_eq!(message.edns.is_some(), edns);
            assert_eq!(message.edns.as_ref().is_some_and(|edns| edns.flags().dnssec_ok), dnssec);
            assert_eq!(question_length(&wire), Some(22 + 4));
        }
    }

    #[test]
    fn types_are_read_as_mnemonic_number_or_rfc_3597_text() {
        for (text, number) in
            [("A", 1), ("aaaa", 28), ("HTTPS", 65), ("TYPE65280", 65280), ("257", 257), ("loc", 29), ("IPSECKEY", 45), ("NSAP-PTR", 23)]
        {
            assert_eq!(type_to_number(text), Ok(number), "{text}");
        }
        assert!(type_to_number("NONSENSE").is_err() && type_to_number("Unknown").is_err());
        assert_eq!((type_to_text(45).as_str(), type_to_text(65305).as_str()), ("IPSECKEY", "TYPE65305"));
    }

    #[test]
    fn a_response_is_matched_by_its_question_letter_case_aside() {
        let mut wire = Vec::new();
        write_query(&mut wire, &name_to_wire("a.example").unwrap(), 1, QueryForm::default());
        assert!(ParsedResponse::read(&wire).is_none(), "a query is no response");
        wire[2] |= 0x80;
        let question = wire[HEADER..HEADER + question_length(&wire).unwrap()].to_ascii_uppercase();
        assert!(ParsedResponse::read(&wire).unwrap().asks(&question));
        assert!(!ParsedResponse::read(&wire).unwrap().asks(b"\x01b\x07example\x00\x00\x01\x00\x01"));
        assert!(ParsedResponse::read(&wire[..11]).is_none());
    }
}
