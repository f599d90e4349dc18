//! An answer as a set of fields, and the differences between two answers.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use hickory_proto::op::Message;
use hickory_proto::rr::{RData, Record, RecordType};
use hickory_proto::serialize::binary::BinDecodable;
use serde::{Deserialize, Serialize};

use crate::message::{ParsedResponse, rcode_to_text, type_to_text};

/// A field that can differ between two answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AnswerField {
    /// Whether an answer arrived and could be parsed.
    Response,
    /// RCODE of the header.
    Rcode,
    /// AA flag: authoritative answer.
    Aa,
    /// TC flag: truncated answer.
    Tc,
    /// RD flag: recursion desired, copied from the query.
    Rd,
    /// RA flag: recursion available.
    Ra,
    /// AD flag: authentic data.
    Ad,
    /// CD flag: checking disabled, copied from the query.
    Cd,
    /// Records of the answer section as a set, without TTLs.
    Answer,
    /// TTLs of the answer section.
    AnswerTtl,
    /// Order of the CNAME records in the answer section.
    AliasOrder,
    /// Records of the authority section as a set, without TTLs.
    Authority,
    /// TTLs of the authority section.
    AuthorityTtl,
    /// Records of the additional section as a set, without OPT and TTLs.
    Additional,
    /// TTLs of the additional section.
    AdditionalTtl,
    /// Presence of an OPT record.
    Edns,
}

impl AnswerField {
    const ALL: [(AnswerField, &'static str); 16] = [
        (AnswerField::Response, "response"),
        (AnswerField::Rcode, "rcode"),
        (AnswerField::Aa, "aa"),
        (AnswerField::Tc, "tc"),
        (AnswerField::Rd, "rd"),
        (AnswerField::Ra, "ra"),
        (AnswerField::Ad, "ad"),
        (AnswerField::Cd, "cd"),
        (AnswerField::Answer, "answer"),
        (AnswerField::AnswerTtl, "answer-ttl"),
        (AnswerField::AliasOrder, "alias-order"),
        (AnswerField::Authority, "authority"),
        (AnswerField::AuthorityTtl, "authority-ttl"),
        (AnswerField::Additional, "additional"),
        (AnswerField::AdditionalTtl, "additional-ttl"),
        (AnswerField::Edns, "edns"),
    ];
}

impl fmt::Display for AnswerField {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(Self::ALL.iter().find(|(field, _)| field == self).map_or("", |(_, text)| text))
    }
}

impl FromStr for AnswerField {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let names = || Self::ALL.map(|(_, name)| name).join(", ");
        Self::ALL.iter().find(|(_, name)| *name == text).map(|(field, _)| *field).ok_or_else(|| format!("fields are {}", names()))
    }
}

/// A record: owner, class, type and RDATA as text with names in lower case, and its TTL.
pub type RecordLine = (String, u32);

/// One answer of a server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServerAnswer {
    /// "answered", "none" or "unreadable".
    pub response: String,
    /// RCODE as its mnemonic.
    pub rcode: String,
    /// Flags that are set: aa, tc, rd, ra, ad, cd.
    pub flags: BTreeSet<String>,
    /// The answer section in its original order.
    pub answer: Vec<RecordLine>,
    /// The authority section.
    pub authority: Vec<RecordLine>,
    /// The additional section without OPT.
    pub additional: Vec<RecordLine>,
    /// True if there is an OPT record.
    pub edns: bool,
}

impl ServerAnswer {
    /// Creates the value for a query without an answer.
    pub fn none() -> Self {
        Self { response: "none".into(), ..Self::default() }
    }

    /// Parses a message.
    pub fn read(octets: &[u8]) -> Self {
        let (Some(head), Ok(message)) = (ParsedResponse::read(octets), Message::from_bytes(octets)) else {
            return Self { response: "unreadable".into(), ..Self::default() };
        };
        let bits = [("aa", 2, 0x04), ("tc", 2, 0x02), ("rd", 2, 0x01), ("ra", 3, 0x80), ("ad", 3, 0x20), ("cd", 3, 0x10)];
        let lines = |records: &[Record]| records.iter().filter(|record| record.record_type() != RecordType::OPT).map(line).collect();
        Self {
            response: "answered".into(),
            rcode: rcode_to_text(head.rcode()),
            flags: bits.iter().filter(|(_, octet, bit)| octets[*octet] & bit != 0).map(|(name, ..)| (*name).to_string()).collect(),
            answer: lines(&message.answers),
            authority: lines(&message.authorities),
            additional: lines(&message.additionals),
            edns: message.edns.is_some(),
        }
    }
}

fn line(record: &Record) -> RecordLine {
    let owner = record.name.to_lowercase();
    let rtype = record.record_type();
    let mut data = match &record.data {
        RData::Unknown { rdata, .. } => generic(&rdata.anything),
        data => data.to_string(),
    };
    if matches!(rtype, RecordType::CNAME | RecordType::NS | RecordType::PTR | RecordType::MX | RecordType::SRV | RecordType::SOA) {
        // Names are equal in any letter case (RFC 4343, section 3). Compression makes record names
        // take the case of the question.
        data.make_ascii_lowercase();
    }
    (format!("{owner} {} {} {data}", record.dns_class, type_to_text(rtype.into())), record.ttl)
}

/// Formats octets as in RFC 3597, section 5.
fn generic(octets: &[u8]) -> String {
    let digits: String = octets.iter().map(|octet| format!("{octet:02X}")).collect();
    format!("\\# {} {digits}", octets.len()).trim_end().to_string()
}

/// An expected answer. A field that is `None` may have any value.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExpectedAnswer {
    /// Name and type, such as `www.contoso.example. A`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub question: Option<String>,
    /// "answered" or "none".
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response: Option<String>,
    /// RCODE as its mnemonic.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rcode: Option<String>,
    /// Flags that are set. All other flags are clear.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flags: Option<BTreeSet<String>>,
    /// Records of the answer section, with TTLs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer: Option<Vec<RecordLine>>,
    /// Records of the authority section, with TTLs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authority: Option<Vec<RecordLine>>,
    /// Records of the additional section with TTLs, without OPT.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub additional: Option<Vec<RecordLine>>,
    /// True if there is an OPT record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub edns: Option<bool>,
}

impl ExpectedAnswer {
    /// Creates the expectation of exactly this answer.
    pub fn all_of(answer: ServerAnswer) -> Self {
        Self {
            question: None,
            response: Some(answer.response),
            rcode: Some(answer.rcode),
            flags: Some(answer.flags),
            answer: Some(answer.answer),
            authority: Some(answer.authority),
            additional: Some(answer.additional),
            edns: Some(answer.edns),
        }
    }
}

/// Differences that the comparison ignores.
#[derive(Debug, Clone, Default)]
pub struct AnswerTolerance {
    /// Fields that are not compared.
    pub ignored: BTreeSet<AnswerField>,
    /// Seconds by which TTLs may differ, because two caches were filled at different times.
    pub ttl: u32,
}

/// A field that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldDifference {
    /// The field that differs.
    pub field: AnswerField,
    /// Shape of the field on both sides. Differences of the same shape usually have the same cause.
    pub shape: (String, String),
    /// Value of the field on both sides.
    pub values: (String, String),
}

/// Returns all differences. If one side has no answer, or RCODE or TC differ, only that is
/// returned, because the other differences follow from it.
pub fn differences(ours: &ServerAnswer, theirs: &ExpectedAnswer, tolerance: &AnswerTolerance) -> Vec<FieldDifference> {
    let mut found = Vec::new();
    let mut note = |field: AnswerField, ours: (String, String), theirs: (String, String)| {
        if ours.0 != theirs.0 || ours.1 != theirs.1 {
            found.push(FieldDifference { field, shape: (ours.0, theirs.0), values: (ours.1, theirs.1) });
        }
    };
    let both = |text: &str| (text.to_string(), text.to_string());
    if let Some(response) = &theirs.response {
        note(AnswerField::Response, both(&ours.response), both(response));
    }
    let mut decided = ours.response != "answered" || theirs.response.as_ref().is_some_and(|response| response != "answered");
    if let (Some(rcode), false) = (&theirs.rcode, decided) {
        note(AnswerField::Rcode, both(&ours.rcode), both(rcode));
        decided |= *rcode != ours.rcode;
    }
    if let (Some(flags), false) = (&theirs.flags, decided) {
        let state = |flags: &BTreeSet<String>, flag: &str| both(if flags.contains(flag) { "set" } else { "clear" });
        for (field, flag) in [
            (AnswerField::Aa, "aa"),
            (AnswerField::Tc, "tc"),
            (AnswerField::Rd, "rd"),
            (AnswerField::Ra, "ra"),
            (AnswerField::Ad, "ad"),
            (AnswerField::Cd, "cd"),
        ] {
            note(field, state(&ours.flags, flag), state(flags, flag));
        }
        decided |= ours.flags.contains("tc") != flags.contains("tc");
    }
    if !decided {
        let sections = [
            (AnswerField::Answer, AnswerField::AnswerTtl, &ours.answer, &theirs.answer),
            (AnswerField::Authority, AnswerField::AuthorityTtl, &ours.authority, &theirs.authority),
            (AnswerField::Additional, AnswerField::AdditionalTtl, &ours.additional, &theirs.additional),
        ];
        for (records, ttls, ours, theirs) in sections {
            let Some(theirs) = theirs else { continue };
            let (one, other) = (as_set(ours), as_set(theirs));
            if one.keys().ne(other.keys()) || ours.len() != theirs.len() {
                note(records, (shape(ours), show(ours)), (shape(theirs), show(theirs)));
            } else if one.iter().zip(&other).any(|((_, one), (_, other))| one.abs_diff(*other) > tolerance.ttl) {
                let types = shape(ours);
                note(ttls, (types.clone(), show(ours)), (types, show(theirs)));
            } else if records == AnswerField::Answer && aliases(ours) != aliases(theirs) {
                note(AnswerField::AliasOrder, (shape(ours), show(ours)), (shape(theirs), show(theirs)));
            }
        }
        if let Some(edns) = theirs.edns {
            note(AnswerField::Edns, both(if ours.edns { "OPT" } else { "none" }), both(if edns { "OPT" } else { "none" }));
        }
    }
    found.retain(|difference| !tolerance.ignored.contains(&difference.field));
    found
}

fn as_set(lines: &[RecordLine]) -> BTreeMap<&str, u32> {
    lines.iter().map(|(text, ttl)| (text.as_str(), *ttl)).collect()
}

/// Returns the CNAME records in order. They are the only set of records whose order clients rely on
/// (RFC 1034, section 3.6.2, as stub resolvers read it).
fn aliases(lines: &[RecordLine]) -> Vec<&str> {
    lines.iter().map(|(text, _)| text.as_str()).filter(|text| record_type(text) == "CNAME").collect()
}

/// Formats the types with their counts: `CNAME 2, A 1`.
fn shape(lines: &[RecordLine]) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for (text, _) in lines {
        *counts.entry(record_type(text)).or_default() += 1;
    }
    let words: Vec<String> = counts.iter().map(|(rtype, count)| format!("{rtype} {count}")).collect();
    if words.is_empty() { "empty".into() } else { words.join(", ") }
}

/// Returns the type of a line `owner class type rdata`.
fn record_type(text: &str) -> &str {
    text.split(' ').nth(2).unwrap_or_default()
}

fn show(lines: &[RecordLine]) -> String {
    let words: Vec<String> = lines.iter().map(|(text, ttl)| format!("{text} [{ttl}]")).collect();
    if words.is_empty() { "(empty)".into() } else { words.join("; ") }
}
