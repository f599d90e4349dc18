//! RDATA in wire form taken apart, and the forms of text that many types have.

use std::fmt;

use data_encoding::HEXUPPER;

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
    pub fn counted(&mut self) -> Result<&'w [u8], BadRdata> {
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

/// Writes a name to what takes text.
pub(super) fn write_text_name(name: &[u8], out: &mut dyn fmt::Write) -> fmt::Result {
    let mut text = String::new();
    write_name(name, &mut text)?;
    out.write_str(&text)
}
