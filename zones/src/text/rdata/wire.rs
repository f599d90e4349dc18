//! RDATA from wire to presentation format.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use data_encoding::{BASE32HEX_NOPAD, BASE64, HEXUPPER};

use super::{Field, gateways, historic, layout, location, services, type_name};
use crate::name::{MAX_NAME, write_name};

/// Why RDATA cannot be written in the presentation format of its type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadRdata {
    /// The octets are not RDATA of the type they are said to be.
    #[error("the octets are not RDATA of this type")]
    Malformed,
    /// They may be, but the presentation format has no room for them: a gateway of an unassigned type, zeroes at the end of a bitmap.
    #[error("these octets have RFC 3597's form alone")]
    NoText,
}

impl From<fmt::Error> for BadRdata {
    fn from(_: fmt::Error) -> Self {
        Self::Malformed
    }
}

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

/// Writes octets as `\# length hex` (RFC 3597 section 5).
pub(in super::super) fn write_generic(rdata: &[u8], out: &mut dyn fmt::Write) -> Result<(), BadRdata> {
    write!(out, "\\# {}", rdata.len())?;
    if !rdata.is_empty() {
        write!(out, " {}", HEXUPPER.encode(rdata))?;
    }
    Ok(())
}

/// Writes text between quotes with what needs an escape.
pub(super) fn write_escaped(text: &[u8], out: &mut dyn fmt::Write) -> fmt::Result {
    for octet in text {
        match octet {
            b'"' | b'\\' => write!(out, "\\{}", *octet as char)?,
            0x20..=0x7e => out.write_char(*octet as char)?,
            _ => write!(out, "\\{octet:03}")?,
        }
    }
    Ok(())
}

/// Takes RDATA apart.
pub(super) struct Cursor<'w>(&'w [u8]);

impl<'w> Cursor<'w> {
    pub fn new(wire: &'w [u8]) -> Self {
        Self(wire)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn take(&mut self, count: usize) -> Result<&'w [u8], BadRdata> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(BadRdata::Malformed)?;
        self.0 = rest;
        Ok(taken)
    }

    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], BadRdata> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(BadRdata::Malformed)?;
        self.0 = rest;
        Ok(*taken)
    }

    pub fn u8(&mut self) -> Result<u8, BadRdata> {
        Ok(u8::from_be_bytes(self.array()?))
    }

    pub fn u16(&mut self) -> Result<u16, BadRdata> {
        Ok(u16::from_be_bytes(self.array()?))
    }

    pub fn u32(&mut self) -> Result<u32, BadRdata> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    /// Octets with their length before them.
    fn counted(&mut self) -> Result<&'w [u8], BadRdata> {
        let length = self.u8()?;
        self.take(length as usize)
    }

    /// All that is left.
    pub fn rest(&mut self) -> &'w [u8] {
        std::mem::take(&mut self.0)
    }

    /// An uncompressed name.
    pub fn name(&mut self) -> Result<&'w [u8], BadRdata> {
        let mut length = 0;
        loop {
            let label = *self.0.get(length).ok_or(BadRdata::Malformed)? as usize;
            length += 1 + label;
            if label > 63 || length > MAX_NAME {
                return Err(BadRdata::Malformed);
            }
            if label == 0 {
                return self.take(length);
            }
        }
    }
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
        Field::MayText(_) => {
            if !cursor.is_empty() {
                write_quoted(cursor.counted()?, out)?;
            }
        }
        Field::Texts => {
            write_quoted(cursor.counted()?, out)?;
            while !cursor.is_empty() {
                out.write_char(' ')?;
                write_quoted(cursor.counted()?, out)?;
            }
        }
        Field::Names(_) => {
            while !cursor.is_empty() {
                out.write_char(' ')?;
                write_text_name(cursor.name()?, out)?;
            }
        }
        Field::Value(_) => write_quoted(cursor.rest(), out)?,
        Field::Tag => {
            let tag = cursor.counted()?;
            if tag.is_empty() || !tag.iter().all(u8::is_ascii_alphanumeric) {
                return Err(BadRdata::Malformed);
            }
            write!(out, "{}", String::from_utf8_lossy(tag))?;
        }
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
        Field::Types => {
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
        }
        Field::Eui(octets) => {
            let pairs: Vec<String> = cursor.take(octets)?.iter().map(|octet| format!("{octet:02x}")).collect();
            out.write_str(&pairs.join("-"))?;
        }
        Field::Groups(_) => {
            let groups: [u8; 8] = cursor.array()?;
            let groups: Vec<String> = groups.chunks_exact(2).map(|pair| format!("{:x}", u16::from_be_bytes([pair[0], pair[1]]))).collect();
            out.write_str(&groups.join(":"))?;
        }
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
        Field::Prefixes => {
            while !cursor.is_empty() {
                write_prefix(cursor, out)?;
            }
        }
    }
    Ok(())
}

/// Writes a name to what takes text.
pub(super) fn write_text_name(name: &[u8], out: &mut dyn fmt::Write) -> fmt::Result {
    let mut text = String::new();
    write_name(name, &mut text)?;
    out.write_str(&text)
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
