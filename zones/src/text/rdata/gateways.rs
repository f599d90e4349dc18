//! Types that lead to a gateway, a relay or a rendezvous server: IPSECKEY (RFC 4025), AMTRELAY (RFC 8777) and HIP (RFC 8005).

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use data_encoding::{BASE64, HEXLOWER_PERMISSIVE, HEXUPPER};

use super::super::report::TextResult;
use super::fields::Fields;
use super::wire::{BadRdata, Cursor, write_text_name};

/// Reads an IPSECKEY: `precedence type algorithm gateway [key]`. Only algorithm 0 has no key (RFC 4025 section 2.4).
pub(super) fn read_ipseckey(fields: &mut Fields<'_>, out: &mut Vec<u8>) -> TextResult<()> {
    out.push(fields.number("precedence", 255)? as u8);
    let kind = fields.number("gateway type", 3)? as u8;
    out.push(kind);
    let algorithm = fields.number("algorithm", 255)? as u8;
    out.push(algorithm);
    read_gateway(fields, "gateway", kind, out)?;
    if algorithm == 0 && fields.is_empty() { Ok(()) } else { fields.base64("key", out) }
}

/// Writes an IPSECKEY.
pub(super) fn write_ipseckey(cursor: &mut Cursor<'_>, out: &mut dyn fmt::Write) -> Result<(), BadRdata> {
    let (precedence, kind, algorithm) = (cursor.u8()?, cursor.u8()?, cursor.u8()?);
    write!(out, "{precedence} {kind} {algorithm} ")?;
    write_gateway(cursor, kind, out)?;
    match (cursor.rest(), algorithm) {
        ([], 0) => Ok(()),
        ([], _) => Err(BadRdata::NoText),
        (key, _) => Ok(write!(out, " {}", BASE64.encode(key))?),
    }
}

/// Reads an AMTRELAY: `precedence D type relay`; D and the type share an octet.
pub(super) fn read_relay(fields: &mut Fields<'_>, out: &mut Vec<u8>) -> TextResult<()> {
    out.push(fields.number("precedence", 255)? as u8);
    let optional = fields.number("discovery bit", 1)? as u8;
    let kind = fields.number("relay type", 3)? as u8;
    out.push(optional << 7 | kind);
    read_gateway(fields, "relay", kind, out)
}

/// Writes an AMTRELAY.
pub(super) fn write_relay(cursor: &mut Cursor<'_>, out: &mut dyn fmt::Write) -> Result<(), BadRdata> {
    let (precedence, kind) = (cursor.u8()?, cursor.u8()?);
    write!(out, "{precedence} {} {} ", kind >> 7, kind & 0x7f)?;
    write_gateway(cursor, kind & 0x7f, out)
}

/// Reads `.` for type 0, an address for 1 and 2, a name for 3.
fn read_gateway(fields: &mut Fields<'_>, what: &'static str, kind: u8, out: &mut Vec<u8>) -> TextResult<()> {
    match kind {
        0 => {
            let (token, text) = fields.word(what)?;
            if text == b"." { Ok(()) } else { Err(fields.wrong(&token, what, "type 0 is none, which is written `.`")) }
        }
        1 => fields.v4(what, out),
        2 => fields.v6(what, out),
        _ => fields.name(what, out),
    }
}

/// A type above 3 has no text form: neither RFC gives one.
fn write_gateway(cursor: &mut Cursor<'_>, kind: u8, out: &mut dyn fmt::Write) -> Result<(), BadRdata> {
    match kind {
        0 => out.write_char('.')?,
        1 => write!(out, "{}", Ipv4Addr::from(cursor.array()?))?,
        2 => write!(out, "{}", Ipv6Addr::from(cursor.array()?))?,
        3 => write_text_name(cursor.name()?, out)?,
        _ => return Err(BadRdata::NoText),
    }
    Ok(())
}

/// Reads algorithm, host identity tag and public key of HIP; both lengths stand before the tag on the wire.
pub(super) fn read_host_identity(fields: &mut Fields<'_>, out: &mut Vec<u8>) -> TextResult<()> {
    let algorithm = fields.number("algorithm", 255)? as u8;
    let (token, text) = fields.word("host identity tag")?;
    let tag =
        HEXLOWER_PERMISSIVE.decode(text).map_err(|error| fields.bad_code(&token, "host identity tag", "hexadecimal digits", error))?;
    let tag_length = u8::try_from(tag.len()).map_err(|_| fields.wrong(&token, "host identity tag", "at most 255 octets fit"))?;
    // One word, unlike other keys: names may follow it.
    let (token, text) = fields.word("public key")?;
    let key = BASE64.decode(text).map_err(|error| fields.bad_code(&token, "public key", "base64", error))?;
    let key_length = u16::try_from(key.len()).map_err(|_| fields.wrong(&token, "public key", "at most 65535 octets fit"))?;
    out.extend([tag_length, algorithm]);
    out.extend(key_length.to_be_bytes());
    out.extend(tag);
    out.extend(key);
    Ok(())
}

/// Writes algorithm, host identity tag and public key of HIP.
pub(super) fn write_host_identity(cursor: &mut Cursor<'_>, out: &mut dyn fmt::Write) -> Result<(), BadRdata> {
    let (tag, algorithm, key) = (cursor.u8()?, cursor.u8()?, cursor.u16()?);
    let (tag, key) = (cursor.take(tag.into())?, cursor.take(key.into())?);
    if tag.is_empty() || key.is_empty() {
        return Err(BadRdata::NoText);
    }
    Ok(write!(out, "{algorithm} {} {}", HEXUPPER.encode(tag), BASE64.encode(key))?)
}
