//! RDATA between presentation format and wire.
//!
//! A type is one line of `TYPES`: its code and its fields in wire order. Reading and writing both follow that line. A type that is not
//! there has RFC 3597's form alone: `TYPE65400 \# 4 0A000001`. Mnemonics stand in [`postern_config::rtype`].

mod fields;
mod gateways;
mod historic;
mod input;
mod location;
mod read;
mod services;
#[cfg(test)]
mod tests;
mod values;
mod wire;
mod write;

use postern_config::rtype;

use super::report::shown;
use crate::name::NameBuf;

pub use input::read_input;
use postern_config::rtype::type_code_of;
pub use postern_config::rtype::{is_meta, type_code, type_name};
pub use wire::BadRdata;
pub use write::write_rdata;

pub(super) use wire::write_generic;

pub(super) use fields::Fields;
pub(super) use read::read_fields;
pub(super) use values::{decimal, is_address, seconds, unescape_into};

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
    /// Eight octets.
    U64(&'static str),
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
    /// Character-strings to the end, at least one. A longer text is written as several strings of 255 octets.
    Texts,
    /// Domain names to the end, perhaps none.
    Names(&'static str),
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
    /// Base64 to the end, which may be left out.
    MayBase64(&'static str),
    /// Base64 to the end, `-` for none (DOA data).
    DashBase64(&'static str),
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
    /// A scheme of DSYNC, by number or mnemonic, one octet (RFC 9859 section 2.1).
    Scheme,
    /// The whole of IPSECKEY (RFC 4025 section 3.1).
    Gateway,
    /// The whole of AMTRELAY (RFC 8777 section 4.3).
    Relay,
    /// Algorithm, host identity tag and public key of HIP (RFC 8005 section 6).
    HostIdentity,
    /// A protocol and its ports as a bitmap (WKS, RFC 1035 section 3.4.2).
    WellKnown,
    /// `0x` and hexadecimal digits with `.` anywhere between (NSAP, RFC 1706 section 7).
    Nsap,
    /// Types below 128 as a bitmap (NXT, RFC 2535 section 5.2).
    Bits,
    /// Hexadecimal digits, or `+` and decimal ones (ATMA, af-dans-0152).
    AtmAddress,
    /// The whole of A6 (RFC 2874 section 3.1).
    Chained,
}

/// One record type.
#[derive(Debug)]
pub(super) struct Layout {
    /// TYPE.
    pub code: u16,
    /// Fields in wire order.
    pub fields: &'static [Field],
}

use Field::*;

/// The types with a presentation format of their own, by code.
#[rustfmt::skip] // one line a type
static TYPES: &[Layout] = &[
    Layout { code: rtype::A, fields: &[V4] },
    Layout { code: rtype::NS, fields: &[Name("name server")] },
    Layout { code: rtype::MD, fields: &[Name("mail agent")] },
    Layout { code: rtype::MF, fields: &[Name("mail agent")] },
    Layout { code: rtype::CNAME, fields: &[Name("target")] },
    Layout { code: rtype::SOA, fields: &[Name("primary name server"), Name("mailbox"), U32("serial"), Seconds("refresh"), Seconds("retry"), Seconds("expire"), Seconds("minimum")] },
    Layout { code: rtype::MB, fields: &[Name("mailbox host")] },
    Layout { code: rtype::MG, fields: &[Name("mailbox")] },
    Layout { code: rtype::MR, fields: &[Name("mailbox")] },
    Layout { code: rtype::WKS, fields: &[V4, WellKnown] },
    Layout { code: rtype::PTR, fields: &[Name("target")] },
    Layout { code: rtype::HINFO, fields: &[Text("CPU"), Text("operating system")] },
    Layout { code: rtype::MINFO, fields: &[Name("responsible mailbox"), Name("error mailbox")] },
    Layout { code: rtype::MX, fields: &[U16("preference"), Name("exchange")] },
    Layout { code: rtype::TXT, fields: &[Texts] },
    Layout { code: rtype::RP, fields: &[Name("mailbox"), Name("text name")] },
    Layout { code: rtype::AFSDB, fields: &[U16("subtype"), Name("host")] },
    Layout { code: rtype::X25, fields: &[Text("address")] },
    Layout { code: rtype::ISDN, fields: &[Text("address"), MayText("subaddress")] },
    Layout { code: rtype::RT, fields: &[U16("preference"), Name("host")] },
    Layout { code: rtype::NSAP, fields: &[Nsap] },
    Layout { code: rtype::NSAP_PTR, fields: &[Name("target")] },
    Layout { code: rtype::SIG, fields: &[Type("type covered"), Algorithm, U8("labels"), Seconds("original TTL"), Moment("expiration"), Moment("inception"), U16("key tag"), Name("signer"), Base64("signature")] },
    Layout { code: rtype::KEY, fields: &[U16("flags"), U8("protocol"), Algorithm, Base64("key")] },
    Layout { code: rtype::PX, fields: &[U16("preference"), Name("RFC 822 domain"), Name("X.400 domain")] },
    Layout { code: rtype::GPOS, fields: &[Text("longitude"), Text("latitude"), Text("altitude")] },
    Layout { code: rtype::AAAA, fields: &[V6] },
    Layout { code: rtype::LOC, fields: &[Location] },
    Layout { code: rtype::NXT, fields: &[Name("next name"), Bits] },
    Layout { code: rtype::EID, fields: &[Hex("identifier")] },
    Layout { code: rtype::NIMLOC, fields: &[Hex("locator")] },
    Layout { code: rtype::SRV, fields: &[U16("priority"), U16("weight"), U16("port"), Name("target")] },
    Layout { code: rtype::ATMA, fields: &[AtmAddress] },
    Layout { code: rtype::NAPTR, fields: &[U16("order"), U16("preference"), Text("flags"), Text("services"), Text("regular expression"), Name("replacement")] },
    Layout { code: rtype::KX, fields: &[U16("preference"), Name("exchanger")] },
    Layout { code: rtype::CERT, fields: &[CertType, U16("key tag"), Algorithm, Base64("certificate")] },
    Layout { code: rtype::A6, fields: &[Chained] },
    Layout { code: rtype::DNAME, fields: &[Name("target")] },
    Layout { code: rtype::SINK, fields: &[U8("meaning"), U8("coding"), U8("subcoding"), MayBase64("data")] },
    Layout { code: rtype::APL, fields: &[Prefixes] },
    Layout { code: rtype::DS, fields: &[U16("key tag"), Algorithm, U8("digest type"), Hex("digest")] },
    Layout { code: rtype::SSHFP, fields: &[U8("algorithm"), U8("fingerprint type"), Hex("fingerprint")] },
    Layout { code: rtype::IPSECKEY, fields: &[Gateway] },
    Layout { code: rtype::RRSIG, fields: &[Type("type covered"), Algorithm, U8("labels"), Seconds("original TTL"), Moment("expiration"), Moment("inception"), U16("key tag"), Name("signer"), Base64("signature")] },
    Layout { code: rtype::NSEC, fields: &[Name("next name"), Types] },
    Layout { code: rtype::DNSKEY, fields: &[U16("flags"), U8("protocol"), Algorithm, Base64("key")] },
    Layout { code: rtype::DHCID, fields: &[Base64("identifier")] },
    Layout { code: rtype::NSEC3, fields: &[U8("hash algorithm"), U8("flags"), U16("iterations"), Salt, Hash, Types] },
    Layout { code: rtype::NSEC3PARAM, fields: &[U8("hash algorithm"), U8("flags"), U16("iterations"), Salt] },
    Layout { code: rtype::TLSA, fields: &[U8("usage"), U8("selector"), U8("matching type"), Hex("certificate association data")] },
    Layout { code: rtype::SMIMEA, fields: &[U8("usage"), U8("selector"), U8("matching type"), Hex("certificate association data")] },
    Layout { code: rtype::HIP, fields: &[HostIdentity, Names("rendezvous server")] },
    Layout { code: rtype::NINFO, fields: &[Texts] },
    Layout { code: rtype::RKEY, fields: &[U16("flags"), U8("protocol"), Algorithm, Base64("key")] },
    Layout { code: rtype::TALINK, fields: &[Name("previous name"), Name("next name")] },
    Layout { code: rtype::CDS, fields: &[U16("key tag"), Algorithm, U8("digest type"), Hex("digest")] },
    Layout { code: rtype::CDNSKEY, fields: &[U16("flags"), U8("protocol"), Algorithm, Base64("key")] },
    Layout { code: rtype::OPENPGPKEY, fields: &[Base64("key")] },
    Layout { code: rtype::CSYNC, fields: &[U32("serial"), U16("flags"), Types] },
    Layout { code: rtype::ZONEMD, fields: &[U32("serial"), U8("scheme"), U8("hash algorithm"), Hex("digest")] },
    Layout { code: rtype::SVCB, fields: &[U16("priority"), Name("target"), Services] },
    Layout { code: rtype::HTTPS, fields: &[U16("priority"), Name("target"), Services] },
    Layout { code: rtype::DSYNC, fields: &[Type("type"), Scheme, U16("port"), Name("target")] },
    Layout { code: rtype::HHIT, fields: &[Base64("CBOR")] },
    Layout { code: rtype::BRID, fields: &[Base64("CBOR")] },
    Layout { code: rtype::SPF, fields: &[Texts] },
    Layout { code: rtype::NID, fields: &[U16("preference"), Groups("node identifier")] },
    Layout { code: rtype::L32, fields: &[U16("preference"), V4] },
    Layout { code: rtype::L64, fields: &[U16("preference"), Groups("locator")] },
    Layout { code: rtype::LP, fields: &[U16("preference"), Name("locator name")] },
    Layout { code: rtype::EUI48, fields: &[Eui(6)] },
    Layout { code: rtype::EUI64, fields: &[Eui(8)] },
    Layout { code: rtype::URI, fields: &[U16("priority"), U16("weight"), Value("target")] },
    Layout { code: rtype::CAA, fields: &[U8("flags"), Tag, Value("value")] },
    Layout { code: rtype::AVC, fields: &[Texts] },
    Layout { code: rtype::DOA, fields: &[U32("enterprise"), U32("type"), U8("location"), Text("media type"), DashBase64("data")] },
    Layout { code: rtype::AMTRELAY, fields: &[Relay] },
    Layout { code: rtype::RESINFO, fields: &[Texts] },
    Layout { code: rtype::WALLET, fields: &[Texts] },
    Layout { code: rtype::CLA, fields: &[Texts] },
    Layout { code: rtype::IPN, fields: &[U64("node")] },
    Layout { code: rtype::TA, fields: &[U16("key tag"), Algorithm, U8("digest type"), Hex("digest")] },
    Layout { code: rtype::DLV, fields: &[U16("key tag"), Algorithm, U8("digest type"), Hex("digest")] },
];

/// The layout of a type.
pub(super) fn layout(rtype: u16) -> Option<&'static Layout> {
    TYPES.binary_search_by_key(&rtype, |layout| layout.code).ok().map(|index| &TYPES[index])
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

impl super::report::TextError {
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
