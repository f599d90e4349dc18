//! RDATA from presentation format to wire, field by field.

use data_encoding::{BASE32HEX_NOPAD, HEXLOWER_PERMISSIVE};
use postern_config::rtype::type_code_of;

use super::super::report::{TextError, TextResult};
use super::fields::Fields;
use super::values::{hex_number, moment, parse, prefix, seconds, unescape_into};
use super::wire::BadRdata;
use super::write::write_rdata;
use super::{Field, gateways, historic, layout, location, quote, services, type_name};

/// DNSSEC algorithm mnemonics (IANA; RFC 4034 appendix A.1).
#[rustfmt::skip]
static ALGORITHMS: &[(&str, u32)] = &[
    ("RSAMD5", 1), ("DH", 2), ("DSA", 3), ("RSASHA1", 5), ("DSA-NSEC3-SHA1", 6), ("RSASHA1-NSEC3-SHA1", 7), ("RSASHA256", 8), ("RSASHA512", 10),
    ("ECC-GOST", 12), ("ECDSAP256SHA256", 13), ("ECDSAP384SHA384", 14), ("ED25519", 15), ("ED448", 16), ("INDIRECT", 252), ("PRIVATEDNS", 253),
    ("PRIVATEOID", 254),
];

/// Certificate types (RFC 4398 section 2.1).
#[rustfmt::skip]
static CERT_TYPES: &[(&str, u32)] = &[
    ("PKIX", 1), ("SPKI", 2), ("PGP", 3), ("IPKIX", 4), ("ISPKI", 5), ("IPGP", 6), ("ACPKIX", 7), ("IACPKIX", 8), ("URI", 253), ("OID", 254),
];

/// Schemes of DSYNC (IANA "DSYNC: Location of Synchronization Endpoints").
static SCHEMES: &[(&str, u32)] = &[("NOTIFY", 1)];

/// Appends the wire form of the RDATA in `fields` to `out`.
pub(in super::super) fn read_fields(fields: &mut Fields<'_>, out: &mut Vec<u8>) -> TextResult<()> {
    let start = out.len();
    match (fields.first(), layout(fields.rtype)) {
        (Some(token), _) if token.is(fields.text, "\\#") => read_generic(fields, out)?,
        (_, None) => {
            let name = type_name(fields.rtype);
            return Err(TextError::new(
                fields.first_spot(),
                format!("{name} has no presentation format of its own"),
                format!("write its octets: `{name} \\# 4 0A000001`"),
            ));
        }
        (_, Some(layout)) => {
            for field in layout.fields {
                read_field(fields, *field, out)?;
            }
            if let Some(extra) = fields.first() {
                let what = quote(extra.raw(fields.text));
                return Err(TextError::new(
                    extra.spot,
                    format!("{what} is more than {} has room for", type_name(fields.rtype)),
                    extra_help(fields.rtype),
                ));
            }
        }
    }
    if out.len() - start > usize::from(u16::MAX) {
        return Err(TextError::new(fields.behind, "RDATA of more than 65535 octets", ""));
    }
    Ok(())
}

fn extra_help(rtype: u16) -> &'static str {
    match rtype {
        1 | 28 => "one address a record; give each its own line",
        16 => "put the text between quotes",
        _ => "a comment begins with `;`",
    }
}

fn read_field(fields: &mut Fields<'_>, field: Field, out: &mut Vec<u8>) -> TextResult<()> {
    match field {
        Field::Name(what) => fields.name(what, out)?,
        Field::U8(what) => out.push(fields.number(what, 255)? as u8),
        Field::U16(what) => out.extend((fields.number(what, 65535)? as u16).to_be_bytes()),
        Field::U32(what) => out.extend(fields.number(what, u32::MAX)?.to_be_bytes()),
        Field::U64(what) => read_u64(fields, what, out)?,
        Field::Seconds(what) => read_time(fields, what, seconds, "seconds are expected, or units as in `1h30m`", out)?,
        Field::Moment(what) => read_time(fields, what, moment, "a time as YYYYMMDDHHmmSS is expected", out)?,
        Field::V4 => fields.v4("address", out)?,
        Field::V6 => fields.v6("address", out)?,
        Field::Text(what) => fields.string(what, out)?,
        Field::MayText(_) | Field::MayBase64(_) if fields.is_empty() => {}
        Field::MayText(what) => fields.string(what, out)?,
        Field::Texts => read_texts(fields, out)?,
        Field::Names(what) => read_names(fields, what, out)?,
        Field::Value(what) => {
            let (token, text) = fields.next(what)?;
            unescape_into(text, out).map_err(|()| fields.bad_escape(&token))?;
        }
        Field::Tag => read_tag(fields, out)?,
        Field::Hex(what) => {
            let (token, digits) = fields.rest(what)?;
            out.extend(HEXLOWER_PERMISSIVE.decode(&digits).map_err(|error| fields.bad_code(&token, what, "hexadecimal digits", error))?);
        }
        Field::Salt => read_salt(fields, out)?,
        Field::Hash => read_hash(fields, out)?,
        Field::DashBase64(what) if fields.first().is_some_and(|token| token.is(fields.text, "-")) => drop(fields.next(what)?),
        Field::Base64(what) | Field::MayBase64(what) | Field::DashBase64(what) => fields.base64(what, out)?,
        Field::Type(what) => {
            let (token, text) = fields.word(what)?;
            let code = type_code_of(text).ok_or_else(|| fields.wrong(&token, what, "a type such as `A` or `TYPE65400` is expected"))?;
            out.extend(code.to_be_bytes());
        }
        Field::Types => read_types(fields, out)?,
        Field::Algorithm => out.push(fields.mnemonic("algorithm", ALGORITHMS, 255)? as u8),
        Field::CertType => out.extend((fields.mnemonic("certificate type", CERT_TYPES, 65535)? as u16).to_be_bytes()),
        Field::Eui(octets) => read_eui(fields, octets, out)?,
        Field::Groups(what) => read_groups(fields, what, out)?,
        Field::Services => services::read(fields, out)?,
        Field::Location => location::read(fields, out)?,
        Field::Prefixes => read_prefixes(fields, out)?,
        Field::Scheme => out.push(fields.mnemonic("scheme", SCHEMES, 255)? as u8),
        Field::Gateway => gateways::read_ipseckey(fields, out)?,
        Field::Relay => gateways::read_relay(fields, out)?,
        Field::HostIdentity => gateways::read_host_identity(fields, out)?,
        Field::WellKnown => historic::read_services(fields, out)?,
        Field::Nsap => historic::read_nsap(fields, out)?,
        Field::Bits => historic::read_bits(fields, out)?,
        Field::AtmAddress => historic::read_atm_address(fields, out)?,
        Field::Chained => historic::read_chained(fields, out)?,
    }
    Ok(())
}

fn read_u64(fields: &mut Fields<'_>, what: &str, out: &mut Vec<u8>) -> TextResult<()> {
    let (token, text) = fields.word(what)?;
    let value = parse::<u64>(text).filter(|_| text.iter().all(u8::is_ascii_digit));
    let value = value.ok_or_else(|| fields.wrong(&token, what, format!("a whole number from 0 to {} is expected", u64::MAX)))?;
    out.extend(value.to_be_bytes());
    Ok(())
}

fn read_time(fields: &mut Fields<'_>, what: &str, read: fn(&[u8]) -> Option<u32>, help: &str, out: &mut Vec<u8>) -> TextResult<()> {
    let (token, text) = fields.word(what)?;
    out.extend(read(text).ok_or_else(|| fields.wrong(&token, what, help))?.to_be_bytes());
    Ok(())
}

fn read_texts(fields: &mut Fields<'_>, out: &mut Vec<u8>) -> TextResult<()> {
    fields.strings("text", out)?;
    while !fields.is_empty() {
        fields.strings("text", out)?;
    }
    Ok(())
}

fn read_names(fields: &mut Fields<'_>, what: &str, out: &mut Vec<u8>) -> TextResult<()> {
    while !fields.is_empty() {
        fields.name(what, out)?;
    }
    Ok(())
}

fn read_tag(fields: &mut Fields<'_>, out: &mut Vec<u8>) -> TextResult<()> {
    let (token, text) = fields.next("tag")?;
    if text.is_empty() || text.len() > 255 || !text.iter().all(u8::is_ascii_alphanumeric) {
        return Err(fields.wrong(&token, "tag", "letters and digits, such as `issue`, `issuewild` or `iodef`"));
    }
    out.push(text.len() as u8);
    out.extend_from_slice(text);
    Ok(())
}

fn read_salt(fields: &mut Fields<'_>, out: &mut Vec<u8>) -> TextResult<()> {
    let (token, text) = fields.word("salt")?;
    let digits = if text == b"-" { &b""[..] } else { text };
    let salt = HEXLOWER_PERMISSIVE.decode(digits);
    let salt = salt.map_err(|error| fields.bad_code(&token, "salt", "hexadecimal digits or `-`", error))?;
    fields.counted(&token, "salt", &salt, out)
}

fn read_hash(fields: &mut Fields<'_>, out: &mut Vec<u8>) -> TextResult<()> {
    let (token, text) = fields.word("next hashed owner")?;
    let hash = BASE32HEX_NOPAD.decode(&text.to_ascii_uppercase());
    let hash = hash.map_err(|error| fields.bad_code(&token, "next hashed owner", "base32hex", error))?;
    fields.counted(&token, "next hashed owner", &hash, out)
}

fn read_eui(fields: &mut Fields<'_>, octets: usize, out: &mut Vec<u8>) -> TextResult<()> {
    let (token, text) = fields.word("identifier")?;
    let pairs: Option<Vec<u8>> = text.split(|byte| *byte == b'-').map(|pair| hex_number(pair, 2).map(|value| value as u8)).collect();
    let pairs = pairs.filter(|pairs| pairs.len() == octets);
    let expected = || format!("{octets} pairs of hexadecimal digits with `-` between");
    out.extend(pairs.ok_or_else(|| fields.wrong(&token, "identifier", expected()))?);
    Ok(())
}

fn read_groups(fields: &mut Fields<'_>, what: &str, out: &mut Vec<u8>) -> TextResult<()> {
    let (token, text) = fields.word(what)?;
    let number = |group: &[u8]| if group.len() <= 4 { hex_number(group, group.len()) } else { None };
    let groups: Option<Vec<u16>> = text.split(|byte| *byte == b':').map(number).collect();
    let groups = groups.filter(|groups| groups.len() == 4);
    for group in groups.ok_or_else(|| fields.wrong(&token, what, "four groups of hexadecimal digits with `:` between"))? {
        out.extend(group.to_be_bytes());
    }
    Ok(())
}

/// Type mnemonics to the end.
fn read_types(fields: &mut Fields<'_>, out: &mut Vec<u8>) -> TextResult<()> {
    let mut codes = Vec::new();
    while !fields.is_empty() {
        let (token, text) = fields.word("types")?;
        codes.push(type_code_of(text).ok_or_else(|| fields.wrong(&token, "types", "a type such as `A` or `TYPE65400` is expected"))?);
    }
    codes.sort_unstable();
    for window in codes.chunk_by(|a, b| a >> 8 == b >> 8) {
        let mut bitmap = [0u8; 32];
        let mut length = 0;
        for code in window {
            let bit = usize::from(code & 0xff);
            bitmap[bit / 8] |= 0x80 >> (bit % 8);
            length = bit / 8 + 1;
        }
        out.extend([(window[0] >> 8) as u8, length as u8]);
        out.extend_from_slice(&bitmap[..length]);
    }
    Ok(())
}

/// Address prefixes to the end.
fn read_prefixes(fields: &mut Fields<'_>, out: &mut Vec<u8>) -> TextResult<()> {
    while !fields.is_empty() {
        let (token, text) = fields.word("prefix")?;
        let item = prefix(text).ok_or_else(|| fields.wrong(&token, "prefix", "`1:192.0.2.0/24` or `!2:2001:db8::/32` is expected"))?;
        out.extend(item);
    }
    Ok(())
}

/// `\# length hex` (RFC 3597 section 5).
fn read_generic(fields: &mut Fields<'_>, out: &mut Vec<u8>) -> TextResult<()> {
    let (mark, _) = fields.word("octets")?;
    let length = fields.number("length", 65535)?;
    let mut octets = Vec::new();
    if !fields.is_empty() {
        let (token, digits) = fields.rest("octets")?;
        octets = HEXLOWER_PERMISSIVE.decode(&digits).map_err(|error| fields.bad_code(&token, "octets", "hexadecimal digits", error))?;
    }
    if octets.len() != length as usize {
        return Err(TextError::new(mark.spot, format!("`\\#` says {length} octets, {} are written", octets.len()), ""));
    }
    if write_rdata(fields.rtype, &octets, &mut Nothing) == Err(BadRdata::Malformed) {
        return Err(TextError::new(mark.spot, format!("these octets are not RDATA of {}", type_name(fields.rtype)), ""));
    }
    out.extend(octets);
    Ok(())
}

/// Discards what is written: for looking whether RDATA can be written at all.
pub(super) struct Nothing;

impl std::fmt::Write for Nothing {
    fn write_str(&mut self, _: &str) -> std::fmt::Result {
        Ok(())
    }
}
