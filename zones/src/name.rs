//! Names as the hot path needs them: lower-case wire bytes.

use std::fmt;

/// Longest name on the wire, octets, with the root label (RFC 1035 section 2.3.4).
pub const MAX_NAME: usize = 255;
/// Most labels a name can have, the root not counted.
pub const MAX_LABELS: usize = 127;

/// A name that is kept: lower-case, uncompressed wire form with the root label.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WireName(Box<[u8]>);

/// A name on the stack, lower-case wire form, with the start of each label, so that a suffix costs nothing.
pub struct NameBuf {
    bytes: [u8; MAX_NAME],
    starts: [u8; MAX_LABELS + 1],
    len: u8,
    labels: u8,
}

/// Why bytes or text are not a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadName {
    /// The bytes end before the root label.
    #[error("name ends before its root label")]
    Short,
    /// A label of more than 63 octets, or a label type other than 00.
    #[error("label is longer than 63 octets")]
    Label,
    /// More than 255 octets.
    #[error("name is longer than 255 octets")]
    Long,
    /// An empty label inside the name.
    #[error("empty label")]
    Empty,
    /// A `\` that is not followed by three digits up to 255 or by another character.
    #[error("bad escape")]
    Escape,
}

impl NameBuf {
    /// The root.
    pub const fn root() -> Self {
        Self { bytes: [0; MAX_NAME], starts: [0; MAX_LABELS + 1], len: 1, labels: 0 }
    }

    /// Reads an uncompressed name at the start of `wire`, lowering ASCII letters; [`NameBuf::len`] octets were read.
    pub fn read(wire: &[u8]) -> Result<Self, BadName> {
        let mut name = Self::root();
        name.set(wire)?;
        Ok(name)
    }

    /// The same in place, which saves copying the buffer where names are read by the million; after an error the name is the root.
    pub fn set(&mut self, wire: &[u8]) -> Result<(), BadName> {
        let measured = self.measure(wire);
        let (length, labels) = *measured.as_ref().unwrap_or(&(1, 0));
        let bytes = &mut self.bytes[..length];
        match measured {
            Ok(_) => bytes.copy_from_slice(&wire[..length]),
            Err(_) => (bytes[0], self.starts[0]) = (0, 0),
        }
        bytes.make_ascii_lowercase(); // octets of length are below the letters
        (self.len, self.labels) = (length as u8, labels as u8);
        measured.map(drop)
    }

    /// Octets and labels of the name at the start of `wire`, the start of each label noted.
    fn measure(&mut self, wire: &[u8]) -> Result<(usize, usize), BadName> {
        let mut at = 0usize;
        let mut labels = 0usize;
        loop {
            let length = *wire.get(at).ok_or(BadName::Short)? as usize;
            if length > 63 {
                return Err(BadName::Label);
            }
            if at + 1 + length + usize::from(length > 0) > MAX_NAME {
                return Err(BadName::Long);
            }
            self.starts[labels] = at as u8;
            if length == 0 {
                return Ok((at + 1, labels));
            }
            at += 1 + length;
            labels += 1;
        }
    }

    /// Parses presentation format (RFC 1035 section 5.1 escapes), with or without the final dot; always absolute.
    pub fn parse(text: &str) -> Result<Self, BadName> {
        let mut wire = [0u8; MAX_NAME + 1];
        let mut at = 1usize;
        let mut start = 0usize;
        let text = text.as_bytes();
        if text == b"." || text.is_empty() {
            return Ok(Self::root());
        }
        let mut index = 0;
        while index < text.len() {
            let octet = match text[index] {
                b'.' => {
                    if at == start + 1 {
                        return Err(BadName::Empty);
                    }
                    wire[start] = (at - start - 1) as u8;
                    start = at;
                    at += 1;
                    index += 1;
                    if at > MAX_NAME {
                        return Err(BadName::Long);
                    }
                    continue;
                }
                b'\\' => {
                    let (octet, used) = unescape(&text[index..])?;
                    index += used;
                    octet
                }
                octet => {
                    index += 1;
                    octet
                }
            };
            if at - start > 63 {
                return Err(BadName::Label);
            }
            if at >= MAX_NAME {
                return Err(BadName::Long);
            }
            wire[at] = octet;
            at += 1;
        }
        if at > start + 1 {
            wire[start] = (at - start - 1) as u8;
            start = at;
        }
        if start >= MAX_NAME {
            return Err(BadName::Long);
        }
        wire[start] = 0;
        Self::read(&wire[..=start])
    }

    /// The whole name, wire form.
    pub fn as_wire(&self) -> &[u8] {
        &self.bytes[..self.len as usize]
    }

    /// Octets on the wire.
    #[allow(clippy::len_without_is_empty)] // a name is never empty
    pub fn len(&self) -> usize {
        self.len as usize
    }

    /// Labels, the root not counted.
    pub fn labels(&self) -> usize {
        self.labels as usize
    }

    /// Where label `index` starts; `labels()` is the root label.
    pub fn start(&self, index: usize) -> usize {
        self.starts[..=self.labels as usize][index] as usize
    }

    /// The name without its first `index` labels, wire form.
    pub fn suffix(&self, index: usize) -> &[u8] {
        &self.bytes[self.start(index)..self.len as usize]
    }

    /// True where this name is `apex` or below it.
    pub fn is_under(&self, apex: &[u8]) -> bool {
        let Some(cut) = self.len().checked_sub(apex.len()) else { return false };
        self.as_wire()[cut..] == *apex && (0..=self.labels()).any(|label| self.start(label) == cut)
    }

    /// True where one of its labels is `label` (lower case).
    pub fn has_label(&self, label: &[u8]) -> bool {
        (0..self.labels()).any(|index| {
            let start = self.start(index);
            let length = self.bytes[start] as usize;
            &self.bytes[start + 1..start + 1 + length] == label
        })
    }

    /// Its first `labels` labels in presentation format without a final dot; of none: `.`.
    pub fn first_labels(&self, labels: usize) -> String {
        let mut text = String::with_capacity(self.len()); // an escape is rare
        let _ = write_name(&self.bytes[..self.start(labels)], &mut text); // a String takes everything
        if labels > 0 {
            text.pop();
        }
        text
    }

    /// The whole name in presentation format without a final dot; the root: `.`.
    pub fn without_dot(&self) -> String {
        self.first_labels(self.labels())
    }

    /// A copy that can be kept.
    pub fn to_wire_name(&self) -> WireName {
        WireName(self.as_wire().into())
    }
}

impl WireName {
    /// Reads a whole uncompressed name.
    pub fn read(wire: &[u8]) -> Result<Self, BadName> {
        Ok(NameBuf::read(wire)?.to_wire_name())
    }

    /// Parses presentation format; always absolute.
    pub fn parse(text: &str) -> Result<Self, BadName> {
        Ok(NameBuf::parse(text)?.to_wire_name())
    }

    /// Wire form.
    pub fn as_wire(&self) -> &[u8] {
        &self.0
    }

    /// Labels, the root not counted.
    pub fn labels(&self) -> usize {
        let mut rest = self.as_wire();
        let mut labels = 0;
        while let Some((&length, tail)) = rest.split_first().filter(|(length, _)| **length > 0) {
            rest = tail.get(length as usize..).unwrap_or_default();
            labels += 1;
        }
        labels
    }

    /// The same name on the stack, with its labels found.
    pub fn to_buf(&self) -> NameBuf {
        NameBuf::read(&self.0).unwrap_or(NameBuf::root()) // a WireName is only ever made from a NameBuf
    }
}

impl From<&NameBuf> for WireName {
    fn from(name: &NameBuf) -> Self {
        name.to_wire_name()
    }
}

/// Private-link names have one of these labels (`../shared` facts: Azure inserts them into the public chain).
pub fn is_private_link(name: &NameBuf) -> bool {
    name.has_label(b"privatelink") || name.has_label(b"privatelink-global")
}

/// Writes a wire name in presentation format, with the final dot and RFC 1035 escapes.
pub fn write_name(wire: &[u8], out: &mut impl fmt::Write) -> fmt::Result {
    if wire.first().is_none_or(|length| *length == 0) {
        return out.write_char('.');
    }
    let mut rest = wire;
    while let Some((&length, tail)) = rest.split_first() {
        let length = length as usize;
        if length == 0 || length > tail.len() {
            break;
        }
        let mut label = &tail[..length];
        while let Some(special) = label.iter().position(|octet| !is_plain(*octet)) {
            out.write_str(ascii(&label[..special]))?;
            match label[special] {
                octet @ 0x21..=0x7e => write!(out, "\\{}", octet as char)?,
                octet => write!(out, "\\{octet:03}")?,
            }
            label = &label[special + 1..];
        }
        out.write_str(ascii(label))?;
        out.write_char('.')?;
        rest = &tail[length..];
    }
    Ok(())
}

/// Stands for itself in presentation format.
fn is_plain(octet: u8) -> bool {
    matches!(octet, 0x21..=0x7e) && !matches!(octet, b'.' | b'\\' | b'"' | b'(' | b')' | b';' | b'@' | b'$')
}

fn ascii(plain: &[u8]) -> &str {
    str::from_utf8(plain).unwrap_or_default() // plain octets are ASCII
}

fn unescape(text: &[u8]) -> Result<(u8, usize), BadName> {
    match text {
        [_, a, b, c, ..] if a.is_ascii_digit() => {
            let digit = |d: &u8| d.is_ascii_digit().then(|| (d - b'0') as u32).ok_or(BadName::Escape);
            let value = digit(a)? * 100 + digit(b)? * 10 + digit(c)?;
            Ok((u8::try_from(value).map_err(|_| BadName::Escape)?, 4))
        }
        [_, a, ..] if !a.is_ascii_digit() => Ok((*a, 2)),
        _ => Err(BadName::Escape),
    }
}

impl fmt::Display for NameBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_name(self.as_wire(), f)
    }
}

impl fmt::Debug for NameBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_name(self.as_wire(), f)
    }
}

impl fmt::Display for WireName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_name(&self.0, f)
    }
}

impl fmt::Debug for WireName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_name(&self.0, f)
    }
}

impl Clone for NameBuf {
    fn clone(&self) -> Self {
        Self { ..*self }
    }

    /// Copies only the octets that the name has: most names are short, and this is on the hot path.
    fn clone_from(&mut self, from: &Self) {
        let (len, labels) = (from.len(), from.labels());
        self.bytes[..len].copy_from_slice(&from.bytes[..len]);
        self.starts[..=labels].copy_from_slice(&from.starts[..=labels]);
        (self.len, self.labels) = (from.len, from.labels);
    }
}

impl PartialEq for NameBuf {
    fn eq(&self, other: &Self) -> bool {
        self.as_wire() == other.as_wire()
    }
}

impl Eq for NameBuf {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_written_without_the_final_dot() {
        let name = NameBuf::parse("a\\.b.fhir.contoso.test").unwrap();
        assert_eq!(name.without_dot(), "a\\.b.fhir.contoso.test");
        assert_eq!((name.first_labels(2), name.first_labels(0)), ("a\\.b.fhir".into(), ".".into()));
        assert_eq!((name.to_wire_name().labels(), NameBuf::root().to_wire_name().labels()), (4, 0));
        assert_eq!(NameBuf::root().without_dot(), ".");
        let dot_last = NameBuf::read(b"\x03a\\.\x00").unwrap();
        assert_eq!(dot_last.without_dot(), "a\\\\\\.");
    }

    #[test]
    fn reads_and_lowers() {
        let name = NameBuf::read(b"\x03WwW\x07Contoso\x04test\x00rest").unwrap();
        assert_eq!(name.to_string(), "www.contoso.test.");
        assert_eq!((name.len(), name.labels()), (18, 3));
        assert_eq!(name.suffix(1), b"\x07contoso\x04test\x00");
        assert_eq!(name.suffix(3), b"\x00");
        assert!(name.is_under(b"\x04test\x00") && name.is_under(b"\x00") && !name.is_under(b"\x03est\x00"));
    }

    #[test]
    fn parses_presentation_format() {
        for (text, want) in [("A.b.", "a.b."), ("a.b", "a.b."), (".", "."), ("", "."), (r"a\.b.c", r"a\.b.c."), (r"\200x", r"\200x.")] {
            assert_eq!(NameBuf::parse(text).unwrap().to_string(), want, "{text}");
        }
        let long = "a".repeat(64);
        for (text, want) in [
            ("a..b", BadName::Empty),
            (".a", BadName::Empty),
            (r"a\25", BadName::Escape),
            (r"a\256", BadName::Escape),
            (long.as_str(), BadName::Label),
        ] {
            assert_eq!(NameBuf::parse(text).unwrap_err(), want, "{text}");
        }
        let longest = format!("{0}.{0}.{0}.{1}", "a".repeat(63), "b".repeat(61));
        assert_eq!(NameBuf::parse(&longest).unwrap().len(), 255);
        assert_eq!(NameBuf::parse(&format!("{longest}b")).unwrap_err(), BadName::Long);
        let most = "a.".repeat(127);
        assert_eq!(NameBuf::parse(&most).unwrap().labels(), 127);
        assert_eq!(NameBuf::parse(&"a.".repeat(128)).unwrap_err(), BadName::Long);
    }

    #[test]
    fn refuses_bad_wire() {
        assert_eq!(NameBuf::read(b"\x03ww").unwrap_err(), BadName::Short);
        assert_eq!(NameBuf::read(b"").unwrap_err(), BadName::Short);
        assert_eq!(NameBuf::read(b"\xc0\x0c").unwrap_err(), BadName::Label);
    }
}
