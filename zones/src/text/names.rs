//! Names in presentation format (RFC 1035 section 5.1), their case kept.

use crate::name::{BadName, MAX_NAME, NameBuf};

/// Kind of a written name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Written {
    /// With a final dot, or `@`.
    Absolute,
    /// The origin was put behind it.
    Relative {
        /// Octets before the origin.
        length: usize,
    },
}

/// Appends the wire form of `token` to `out`, with `origin` (wire form) behind a name that has no final dot.
pub(super) fn read_name(token: &[u8], origin: &[u8], out: &mut Vec<u8>) -> Result<Written, BadName> {
    let start = out.len();
    let written = append(token, origin, out);
    if written.is_err() {
        out.truncate(start);
    }
    written
}

/// Reads a name that is absolute with or without its final dot.
pub(super) fn read_absolute(token: &[u8]) -> Result<NameBuf, BadName> {
    if token.is_empty() {
        return Err(BadName::Empty);
    }
    let mut wire = Vec::with_capacity(token.len() + 2);
    read_name(token, &[0], &mut wire)?;
    NameBuf::read(&wire)
}

fn append(token: &[u8], origin: &[u8], out: &mut Vec<u8>) -> Result<Written, BadName> {
    let start = out.len();
    match token {
        b"@" => {
            out.extend_from_slice(origin);
            return Ok(Written::Absolute);
        }
        b"." => {
            out.push(0);
            return Ok(Written::Absolute);
        }
        _ => {}
    }
    let mut label = start;
    out.push(0);
    let mut index = 0;
    while index < token.len() {
        let octet = match token[index] {
            b'.' => {
                close(out, label, start)?;
                label = out.len();
                out.push(0);
                index += 1;
                continue;
            }
            b'\\' => {
                let (octet, used) = unescape(&token[index..]).ok_or(BadName::Escape)?;
                index += used;
                octet
            }
            octet => {
                index += 1;
                octet
            }
        };
        if out.len() - label > 63 {
            return Err(BadName::Label);
        }
        out.push(octet);
    }
    if out.len() == label + 1 {
        // The final dot made this the root label; a name of no characters at all is not a name.
        return if label == start {
            Err(BadName::Empty)
        } else if out.len() - start > MAX_NAME {
            Err(BadName::Long)
        } else {
            Ok(Written::Absolute)
        };
    }
    close(out, label, start)?;
    let length = out.len() - start;
    out.extend_from_slice(origin);
    if out.len() - start > MAX_NAME { Err(BadName::Long) } else { Ok(Written::Relative { length }) }
}

/// Fills in the length of the label that began at `label`.
fn close(out: &mut [u8], label: usize, start: usize) -> Result<(), BadName> {
    let length = out.len() - label - 1;
    if length == 0 {
        return Err(BadName::Empty);
    }
    // Looked at here so that a token of a megabyte is given up early.
    if out.len() - start >= MAX_NAME {
        return Err(BadName::Long);
    }
    out[label] = length as u8; // at most 63: looked at when each octet was put in
    Ok(())
}

/// The octet that an escape at the start of `text` stands for, and how many octets it takes: `\DDD` or `\X`.
pub(super) fn unescape(text: &[u8]) -> Option<(u8, usize)> {
    match text {
        [b'\\', a, rest @ ..] if a.is_ascii_digit() => {
            let [b, c, ..] = rest else { return None };
            if !b.is_ascii_digit() || !c.is_ascii_digit() {
                return None;
            }
            let value = u32::from(a - b'0') * 100 + u32::from(b - b'0') * 10 + u32::from(c - b'0');
            Some((u8::try_from(value).ok()?, 4))
        }
        [b'\\', a, ..] => Some((*a, 2)),
        _ => None,
    }
}

/// True where a relative name ends in the origin's own labels, as in `www.contoso.test` in the zone `contoso.test`: a final dot is missing.
///
/// An origin of one label is not looked at: `test` may well be a host's name in the zone `test`.
pub(super) fn repeats_origin(relative: &[u8], origin: &[u8]) -> bool {
    let origin = &origin[..origin.len() - 1]; // without the root label
    let one_label = origin.first().is_none_or(|length| *length as usize + 1 == origin.len());
    !one_label && relative.len() >= origin.len() && relative[relative.len() - origin.len()..].eq_ignore_ascii_case(origin)
}
