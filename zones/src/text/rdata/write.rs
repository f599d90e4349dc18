//! RDATA from wire to presentation format.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use data_encoding::{BASE32HEX_NOPAD, BASE64, HEXUPPER};

use super::wire::{BadRdata, Cursor, write_escaped, write_generic, write_text_name};
use super::{Field, gateways, historic, layout, location, services, type_name};
use crate::name::write_name;

/// Writes uncompressed RDATA in presentation format, names with their final dot; RFC 3597's form for a type that has none of its own.
///
/// After an error `out` holds a part of it.
pub fn write_rdata(rtype: u16, rdata: &[u8], out: &mut dyn fmt::Write) -> Result<(), BadRdata> {
    let Some(layout) = layout(rtype) else {
        return write_generic(rdata, out);
    };
    let mut cursor = Cursor::new(rdata);
    let mut first = true;
    for field in layout.fields {
        write_field(*field, &mut cursor, &mut Spaced { out, first: &mut first, begun: false })?;
    }
    if cursor.is_empty() { Ok(()) } else { Err(BadRdata::Malformed) }
}

/// Puts one space between fields that write something.
struct Spaced<'o> {
    out: &'o mut dyn fmt::Write,
    /// No field of the record has written yet.
    first: &'o mut bool,
    /// This field has.
    begun: bool,
}

impl fmt::Write for Spaced<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        // Fields that are lists bring the space before each item themselves.
        let text = if self.begun { text } else { text.strip_prefix(' ').unwrap_or(text) };
        if text.is_empty() {
            return Ok(());
        }
        if !self.begun {
            self.begun = true;
            if !std::mem::take(self.first) {
                self.out.write_char(' ')?;
            }
        }
        self.out.write_str(text)
    }
}

fn write_field(field: Field, cursor: &mut Cursor<'_>, out: &mut Spaced<'_>) -> Result<(), BadRdata> {
    use fmt::Write;
    match field {
        Field::Name(_) => write_name(cursor.name()?, out)?,
        Field::U8(_) | Field::Algorithm => write!(out, "{}", cursor.u8()?)?,
        Field::U16(_) | Field::CertType => write!(out, "{}", cursor.u16()?)?,
        Field::U32(_) | Field::Seconds(_) | Field::Moment(_) => write!(out, "{}", cursor.u32()?)?,
        Field::U64(_) => write!(out, "{}", u64::from_be_bytes(cursor.array()?))?,
        Field::V4 => write!(out, "{}", Ipv4Addr::from(cursor.array()?))?,
        Field::V6 => write!(out, "{}", Ipv6Addr::from(cursor.array()?))?,
        Field::Text(_) => write_quoted(cursor.counted()?, out)?,
        Field::MayText(_) if cursor.is_empty() => {}
        Field::MayText(_) => write_quoted(cursor.counted()?, out)?,
        Field::Texts => write_texts(cursor, out)?,
        Field::Names(_) => write_names(cursor, out)?,
        Field::Value(_) => write_quoted(cursor.rest(), out)?,
        Field::Tag => write_tag(cursor, out)?,
        Field::Hex(_) => write_code(&HEXUPPER, cursor.rest(), out)?,
        Field::MayBase64(_) if cursor.is_empty() => {}
        Field::DashBase64(_) if cursor.is_empty() => out.write_char('-')?,
        Field::Base64(_) | Field::MayBase64(_) | Field::DashBase64(_) => write_code(&BASE64, cursor.rest(), out)?,
        Field::Salt => {
            let salt = cursor.counted()?;
            if salt.is_empty() { out.write_char('-')? } else { write_code(&HEXUPPER, salt, out)? }
        }
        Field::Hash => write_code(&BASE32HEX_NOPAD, cursor.counted()?, out)?,
        Field::Type(_) => write!(out, "{}", type_name(cursor.u16()?))?,
        Field::Types => write_types(cursor, out)?,
        Field::Eui(octets) => {
            let pairs: Vec<String> = cursor.take(octets)?.iter().map(|octet| format!("{octet:02x}")).collect();
            out.write_str(&pairs.join("-"))?;
        }
        Field::Groups(_) => write_groups(cursor, out)?,
        Field::Services => services::write(cursor, out)?,
        Field::Location => location::write(cursor, out)?,
        Field::Scheme => match cursor.u8()? {
            1 => out.write_str("NOTIFY")?,
            scheme => write!(out, "{scheme}")?,
        },
        Field::Gateway => gateways::write_ipseckey(cursor, out)?,
        Field::Relay => gateways::write_relay(cursor, out)?,
        Field::HostIdentity => gateways::write_host_identity(cursor, out)?,
        Field::WellKnown => historic::write_services(cursor, out)?,
        Field::Nsap => historic::write_nsap(cursor, out)?,
        Field::Bits => historic::write_bits(cursor, out)?,
        Field::AtmAddress => historic::write_atm_address(cursor, out)?,
        Field::Chained => historic::write_chained(cursor, out)?,
        Field::Prefixes => write_prefixes(cursor, out)?,
    }
    Ok(())
}

fn write_texts(cursor: &mut Cursor<'_>, out: &mut dyn fmt::Write) -> Result<(), BadRdata> {
    write_quoted(cursor.counted()?, out)?;
    while !cursor.is_empty() {
        out.write_char(' ')?;
        write_quoted(cursor.counted()?, out)?;
    }
    Ok(())
}

fn write_names(cursor: &mut Cursor<'_>, out: &mut dyn fmt::Write) -> Result<(), BadRdata> {
    while !cursor.is_empty() {
        out.write_char(' ')?;
        write_text_name(cursor.name()?, out)?;
    }
    Ok(())
}

fn write_tag(cursor: &mut Cursor<'_>, out: &mut dyn fmt::Write) -> Result<(), BadRdata> {
    let tag = cursor.counted()?;
    if tag.is_empty() || !tag.iter().all(u8::is_ascii_alphanumeric) {
        return Err(BadRdata::Malformed);
    }
    write!(out, "{}", String::from_utf8_lossy(tag))?;
    Ok(())
}

/// Type mnemonics from a bitmap (RFC 4034 section 4.1.2).
fn write_types(cursor: &mut Cursor<'_>, out: &mut dyn fmt::Write) -> Result<(), BadRdata> {
    let mut last = None;
    while !cursor.is_empty() {
        let window = cursor.u8()?;
        let bitmap = cursor.counted()?;
        if last.is_some_and(|last| last >= window) || bitmap.is_empty() || bitmap.len() > 32 {
            return Err(BadRdata::Malformed);
        }
        if bitmap.last() == Some(&0) {
            return Err(BadRdata::NoText);
        }
        last = Some(window);
        for bit in (0..bitmap.len() * 8).filter(|bit| bitmap[bit / 8] & (0x80 >> (bit % 8)) != 0) {
            write!(out, " {}", type_name(u16::from(window) << 8 | bit as u16))?;
        }
    }
    Ok(())
}

fn write_groups(cursor: &mut Cursor<'_>, out: &mut dyn fmt::Write) -> Result<(), BadRdata> {
    let groups: [u8; 8] = cursor.array()?;
    let groups: Vec<String> = groups.chunks_exact(2).map(|pair| format!("{:x}", u16::from_be_bytes([pair[0], pair[1]]))).collect();
    out.write_str(&groups.join(":"))?;
    Ok(())
}

fn write_prefixes(cursor: &mut Cursor<'_>, out: &mut dyn fmt::Write) -> Result<(), BadRdata> {
    while !cursor.is_empty() {
        write_prefix(cursor, out)?;
    }
    Ok(())
}

fn write_quoted(text: &[u8], out: &mut dyn fmt::Write) -> fmt::Result {
    out.write_char('"')?;
    write_escaped(text, out)?;
    out.write_char('"')
}

/// Nothing at all has no text form: a field would be missing.
fn write_code(code: &data_encoding::Encoding, octets: &[u8], out: &mut Spaced<'_>) -> Result<(), BadRdata> {
    if octets.is_empty() {
        return Err(BadRdata::Malformed);
    }
    Ok(fmt::Write::write_str(out, &code.encode(octets))?)
}

fn write_prefix(cursor: &mut Cursor<'_>, out: &mut dyn fmt::Write) -> Result<(), BadRdata> {
    let family = cursor.u16()?;
    let length = cursor.u8()?;
    let flags = cursor.u8()?;
    let octets = cursor.take((flags & 0x7f) as usize)?;
    let negated = if flags & 0x80 == 0 { "" } else { "!" };
    if octets.last() == Some(&0) {
        return Err(BadRdata::Malformed);
    }
    match family {
        1 if length <= 32 && octets.len() <= 4 => {
            let mut address = [0; 4];
            address[..octets.len()].copy_from_slice(octets);
            write!(out, " {negated}1:{}/{length}", Ipv4Addr::from(address))?;
        }
        2 if length <= 128 && octets.len() <= 16 => {
            let mut address = [0; 16];
            address[..octets.len()].copy_from_slice(octets);
            write!(out, " {negated}2:{}/{length}", Ipv6Addr::from(address))?;
        }
        _ => return Err(BadRdata::Malformed),
    }
    Ok(())
}
