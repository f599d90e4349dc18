//! Record types: their mnemonics, and RDATA between presentation format and wire.
//!
//! A type is one line of `TYPES`: its code, its mnemonic and its fields in wire order. Reading and writing both follow that line.
//! A type that is not there has RFC 3597's form alone: `TYPE65400 \# 4 0A000001`.

mod fields;
mod location;
mod services;
#[cfg(test)]
mod tests;
mod wire;

use std::borrow::Cow;

use super::report::shown;
use crate::name::NameBuf;

pub use wire::{BadRdata, write_rdata};

pub(super) use wire::write_generic;

pub(super) use fields::{Fields, decimal, is_address, read_fields, seconds, unescape_into};

/// A field of RDATA: how it is written and how it lies on the wire. The text is what messages call it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    /// A domain name, uncompressed.
    Name(&'static str),
    /// One octet.
    U8(&'static str),
    /// Two octets.
    U16(&'static str),
    /// Four octets.
    U32(&'static str),
    /// Four octets; units may be written (`1h30m`).
    Seconds(&'static str),
    /// A moment as YYYYMMDDHHmmSS or as seconds since 1970, four octets (RFC 4034 section 3.2).
    Moment(&'static str),
    /// An IPv4 address.
    V4,
    /// An IPv6 address.
    V6,
    /// One character-string.
    Text(&'static str),
    /// One character-string that may be left out at the end.
    MayText(&'static str),
    /// Character-strings to the end, at least one.
    Texts,
    /// One string without length, to the end (CAA value, URI target).
    Value(&'static str),
    /// A CAA property tag: letters and digits with a length before them.
    Tag,
    /// Hexadecimal digits to the end, white space between them allowed.
    Hex(&'static str),
    /// Hexadecimal digits with a length before them, `-` for none (NSEC3 salt).
    Salt,
    /// Base32hex with a length before it (NSEC3 next hashed owner).
    Hash,
    /// Base64 to the end, white space between allowed.
    Base64(&'static str),
    /// A type mnemonic, two octets.
    Type(&'static str),
    /// Type mnemonics to the end as a bitmap (RFC 4034 section 4.1.2).
    Types,
    /// A DNSSEC algorithm, by number or mnemonic, one octet.
    Algorithm,
    /// A certificate type, by number or mnemonic, two octets (RFC 4398 section 2.1).
    CertType,
    /// This many octets as pairs of hexadecimal digits with `-` between (EUI48, EUI64).
    Eui(usize),
    /// Eight octets as four groups of hexadecimal digits with `:` between (NID, L64).
    Groups(&'static str),
    /// SVCB parameters (RFC 9460 section 2.1).
    Services,
    /// LOC (RFC 1876 section 3).
    Location,
    /// Address prefixes (RFC 3123 section 5).
    Prefixes,
}

/// One record type.
#[derive(Debug)]
pub(super) struct Layout {
    /// TYPE.
    pub code: u16,
    /// Mnemonic.
    pub name: &'static str,
    /// Fields in wire order.
    pub fields: &'static [Field],
}

use Field::*;

/// The types with a presentation format of their own, by code.
#[rustfmt::skip] // one line a type
static TYPES: &[Layout] = &[
    Layout { code: 1, name: "A", fields: &[V4] },
    Layout { code: 2, name: "NS", fields: &[Name("name server")] },
    Layout { code: 5, name: "CNAME", fields: &[Name("target")] },
    Layout { code: 6, name: "SOA", fields: &[Name("primary name server"), Name("mailbox"), U32("serial"), Seconds("refresh"), Seconds("retry"), Seconds("expire"), Seconds("minimum")] },
    Layout { code: 7, name: "MB", fields: &[Name("mailbox host")] },
    Layout { code: 8, name: "MG", fields: &[Name("mailbox")] },
    Layout { code: 9, name: "MR", fields: &[Name("mailbox")] },
    Layout { code: 12, name: "PTR", fields: &[Name("target")] },
    Layout { code: 13, name: "HINFO", fields: &[Text("CPU"), Text("operating system")] },
    Layout { code: 14, name: "MINFO", fields: &[Name("responsible mailbox"), Name("error mailbox")] },
    Layout { code: 15, name: "MX", fields: &[U16("preference"), Name("exchange")] },
    Layout { code: 16, name: "TXT", fields: &[Texts] },
    Layout { code: 17, name: "RP", fields: &[Name("mailbox"), Name("text name")] },
    Layout { code: 18, name: "AFSDB", fields: &[U16("subtype"), Name("host")] },
    Layout { code: 19, name: "X25", fields: &[Text("address")] },
    Layout { code: 20, name: "ISDN", fields: &[Text("address"), MayText("subaddress")] },
    Layout { code: 21, name: "RT", fields: &[U16("preference"), Name("host")] },
    Layout { code: 25, name: "KEY", fields: &[U16("flags"), U8("protocol"), Algorithm, Base64("key")] },
    Layout { code: 26, name: "PX", fields: &[U16("preference"), Name("RFC 822 domain"), Name("X.400 domain")] },
    Layout { code: 27, name: "GPOS", fields: &[Text("longitude"), Text("latitude"), Text("altitude")] },
    Layout { code: 28, name: "AAAA", fields: &[V6] },
    Layout { code: 29, name: "LOC", fields: &[Location] },
    Layout { code: 33, name: "SRV", fields: &[U16("priority"), U16("weight"), U16("port"), Name("target")] },
    Layout { code: 35, name: "NAPTR", fields: &[U16("order"), U16("preference"), Text("flags"), Text("services"), Text("regular expression"), Name("replacement")] },
    Layout { code: 36, name: "KX", fields: &[U16("preference"), Name("exchanger")] },
    Layout { code: 37, name: "CERT", fields: &[CertType, U16("key tag"), Algorithm, Base64("certificate")] },
    Layout { code: 39, name: "DNAME", fields: &[Name("target")] },
    Layout { code: 42, name: "APL", fields: &[Prefixes] },
    Layout { code: 43, name: "DS", fields: &[U16("key tag"), Algorithm, U8("digest type"), Hex("digest")] },
    Layout { code: 44, name: "SSHFP", fields: &[U8("algorithm"), U8("fingerprint type"), Hex("fingerprint")] },
    Layout { code: 46, name: "RRSIG", fields: &[Type("type covered"), Algorithm, U8("labels"), Seconds("original TTL"), Moment("expiration"), Moment("inception"), U16("key tag"), Name("signer"), Base64("signature")] },
    Layout { code: 47, name: "NSEC", fields: &[Name("next name"), Types] },
    Layout { code: 48, name: "DNSKEY", fields: &[U16("flags"), U8("protocol"), Algorithm, Base64("key")] },
    Layout { code: 49, name: "DHCID", fields: &[Base64("identifier")] },
    Layout { code: 50, name: "NSEC3", fields: &[U8("hash algorithm"), U8("flags"), U16("iterations"), Salt, Hash, Types] },
    Layout { code: 51, name: "NSEC3PARAM", fields: &[U8("hash algorithm"), U8("flags"), U16("iterations"), Salt] },
    Layout { code: 52, name: "TLSA", fields: &[U8("usage"), U8("selector"), U8("matching type"), Hex("certificate association data")] },
    Layout { code: 53, name: "SMIMEA", fields: &[U8("usage"), U8("selector"), U8("matching type"), Hex("certificate association data")] },
    Layout { code: 59, name: "CDS", fields: &[U16("key tag"), Algorithm, U8("digest type"), Hex("digest")] },
    Layout { code: 60, name: "CDNSKEY", fields: &[U16("flags"), U8("protocol"), Algorithm, Base64("key")] },
    Layout { code: 61, name: "OPENPGPKEY", fields: &[Base64("key")] },
    Layout { code: 62, name: "CSYNC", fields: &[U32("serial"), U16("flags"), Types] },
    Layout { code: 63, name: "ZONEMD", fields: &[U32("serial"), U8("scheme"), U8("hash algorithm"), Hex("digest")] },
    Layout { code: 64, name: "SVCB", fields: &[U16("priority"), Name("target"), Services] },
    Layout { code: 65, name: "HTTPS", fields: &[U16("priority"), Name("target"), Services] },
    Layout { code: 99, name: "SPF", fields: &[Texts] },
    Layout { code: 104, name: "NID", fields: &[U16("preference"), Groups("node identifier")] },
    Layout { code: 105, name: "L32", fields: &[U16("preference"), V4] },
    Layout { code: 106, name: "L64", fields: &[U16("preference"), Groups("locator")] },
    Layout { code: 107, name: "LP", fields: &[U16("preference"), Name("locator name")] },
    Layout { code: 108, name: "EUI48", fields: &[Eui(6)] },
    Layout { code: 109, name: "EUI64", fields: &[Eui(8)] },
    Layout { code: 256, name: "URI", fields: &[U16("priority"), U16("weight"), Value("target")] },
    Layout { code: 257, name: "CAA", fields: &[U8("flags"), Tag, Value("value")] },
    // Not assigned by IANA; the number that PowerDNS and hickory-dns use.
    Layout { code: 65305, name: "ANAME", fields: &[Name("target")] },
];

/// Types that have a mnemonic but no data in a zone (RFC 6895 section 3.1), and NULL, which a zone file may not write (RFC 1035 section 3.3.10).
static WITHOUT_TEXT: &[(u16, &str)] =
    &[(10, "NULL"), (41, "OPT"), (249, "TKEY"), (250, "TSIG"), (251, "IXFR"), (252, "AXFR"), (255, "ANY")];

/// The layout of a type.
pub(super) fn layout(rtype: u16) -> Option<&'static Layout> {
    TYPES.binary_search_by_key(&rtype, |layout| layout.code).ok().map(|index| &TYPES[index])
}

/// The type of a mnemonic in any case, or of RFC 3597's `TYPEnnn`.
pub fn type_code(name: &str) -> Option<u16> {
    type_code_of(name.as_bytes())
}

pub(super) fn type_code_of(name: &[u8]) -> Option<u16> {
    // The ones of most lines first.
    match name {
        b"A" => return Some(1),
        b"AAAA" => return Some(28),
        b"CNAME" => return Some(5),
        b"TXT" => return Some(16),
        _ => {}
    }
    if let Some(layout) = TYPES.iter().find(|layout| layout.name.as_bytes().eq_ignore_ascii_case(name)) {
        return Some(layout.code);
    }
    if let Some((code, _)) = WITHOUT_TEXT.iter().find(|(_, mnemonic)| mnemonic.as_bytes().eq_ignore_ascii_case(name)) {
        return Some(*code);
    }
    let (word, digits) = name.split_at_checked(4)?;
    if !word.eq_ignore_ascii_case(b"TYPE") || digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// The mnemonic of a type, or RFC 3597's `TYPEnnn`.
pub fn type_name(rtype: u16) -> Cow<'static, str> {
    if let Some(layout) = layout(rtype) {
        return Cow::Borrowed(layout.name);
    }
    match WITHOUT_TEXT.iter().find(|(code, _)| *code == rtype) {
        Some((_, name)) => Cow::Borrowed(*name),
        None => Cow::Owned(format!("TYPE{rtype}")),
    }
}

/// True for types that no zone has data of: question types and those of single messages (RFC 6895 section 3.1).
pub fn is_meta(rtype: u16) -> bool {
    rtype == 0 || rtype == 41 || (128..=255).contains(&rtype)
}

/// Mnemonics, for "did you mean".
pub(super) fn mnemonics() -> impl Iterator<Item = &'static str> {
    TYPES.iter().map(|layout| layout.name)
}

/// Reads the RDATA of one record in presentation format, on one line; relative names get `origin` behind them. The error is for people.
pub fn read_rdata(rtype: u16, text: &str, origin: &NameBuf) -> Result<Vec<u8>, String> {
    use super::lexer::{Lexer, Line};
    if is_meta(rtype) {
        return Err(format!("{} is not a type of zone data", type_name(rtype)));
    }
    let bytes = text.as_bytes();
    let mut lexer = Lexer::new(bytes);
    let mut tokens = Vec::new();
    let found = match lexer.entry(&mut tokens) {
        Line::Bad(bad) => return Err(bad.to_text()),
        Line::Entry { .. } | Line::End => tokens,
    };
    if !matches!(lexer.entry(&mut Vec::new()), Line::End) {
        return Err("more than one line".into());
    }
    let mut out = Vec::new();
    let mut fields = Fields::new(bytes, &found, origin.as_wire(), rtype, lexer.spot());
    match read_fields(&mut fields, &mut out) {
        Ok(()) => Ok(out),
        Err(bad) => Err(bad.to_text()),
    }
}

impl super::report::Bad {
    /// Message and help as one sentence, for a place of its own.
    fn to_text(&self) -> String {
        if self.help.is_empty() { self.message.clone() } else { format!("{} ({})", self.message, self.help) }
    }
}

/// ``the exchange of MX``
fn of(what: &str, rtype: u16) -> String {
    format!("the {what} of {}", type_name(rtype))
}

/// Text of a token for a message.
fn quote(token: &[u8]) -> String {
    format!("`{}`", shown(token))
}
