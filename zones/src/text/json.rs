//! JSON (RFC 8259) with the place of every value, which messages about a value of the wrong shape need.

#[cfg(test)]
mod tests;

use std::borrow::Cow;

use super::BOM;
use super::report::{Bad, Outcome, Spot, shown};

/// Deepest nesting that is read: Azure's JSON has about ten levels.
const MAX_DEPTH: usize = 100;

/// A value and where it begins.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Value<'t> {
    /// Offset of its first byte.
    pub at: u32,
    pub kind: Kind<'t>,
}

/// Kind of a value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kind<'t> {
    Null,
    Bool,
    /// As it is written.
    Number(&'t str),
    String(Cow<'t, str>),
    Array(Vec<Value<'t>>),
    /// Members in order; a name may stand twice.
    Object(Vec<Member<'t>>),
}

/// One member of an object.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Member<'t> {
    pub name: Cow<'t, str>,
    pub value: Value<'t>,
}

/// Offsets of line starts: places are asked for in any order.
pub(super) struct Lines(Vec<u32>);

impl Lines {
    pub fn new(text: &[u8]) -> Self {
        let first = if text.starts_with(BOM) { BOM.len() as u32 } else { 0 };
        Self(std::iter::once(first).chain(memchr::memchr_iter(b'\n', text).map(|at| at as u32 + 1)).collect())
    }

    pub fn spot(&self, at: u32) -> Spot {
        let line = self.0.partition_point(|start| *start <= at).max(1);
        Spot { line: line as u32, line_start: self.0[line - 1], at }
    }
}

impl Value<'_> {
    /// Returns the kind in words, for messages.
    pub fn what(&self) -> &'static str {
        match self.kind {
            Kind::Null => "null",
            Kind::Bool => "true or false",
            Kind::Number(_) => "a number",
            Kind::String(_) => "a string",
            Kind::Array(_) => "a list",
            Kind::Object(_) => "an object",
        }
    }

    pub fn is_null(&self) -> bool {
        self.kind == Kind::Null
    }
}

/// Reads a text that is one value.
pub(super) fn read<'t>(text: &'t [u8], lines: &Lines) -> Outcome<Value<'t>> {
    let mut reader = Reader { text, at: if text.starts_with(BOM) { BOM.len() } else { 0 }, lines };
    reader.space();
    let value = reader.value(0)?;
    reader.space();
    match text.get(reader.at) {
        None => Ok(value),
        Some(_) => Err(reader.unexpected("the end of the file", "one JSON value is expected; several lists go into several files")),
    }
}

struct Reader<'t, 'l> {
    text: &'t [u8],
    at: usize,
    lines: &'l Lines,
}

impl<'t> Reader<'t, '_> {
    fn space(&mut self) {
        while matches!(self.text.get(self.at), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    fn bad(&self, at: usize, message: impl Into<String>, help: impl Into<String>) -> Box<Bad> {
        Bad::new(self.lines.spot(at as u32), message, help)
    }

    fn unexpected(&self, wanted: &str, help: &str) -> Box<Bad> {
        let message = match self.text.get(self.at) {
            None => format!("the file ends where {wanted} is expected"),
            Some(_) => {
                let rest = &self.text[self.at..];
                let length = rest.iter().take_while(|byte| byte.is_ascii_alphanumeric() || !byte.is_ascii()).count().max(1);
                format!("`{}` where {wanted} is expected", shown(&rest[..length]))
            }
        };
        self.bad(self.at, message, if self.at >= self.text.len() { "it was written in part only" } else { help })
    }

    fn value(&mut self, depth: usize) -> Outcome<Value<'t>> {
        let at = self.at as u32;
        if depth > MAX_DEPTH {
            return Err(self.bad(self.at, format!("values inside one another more than {MAX_DEPTH} deep"), ""));
        }
        let kind = match self.text.get(self.at) {
            Some(b'{') => Kind::Object(self.object(depth)?),
            Some(b'[') => Kind::Array(self.array(depth)?),
            Some(b'"') => Kind::String(self.string()?),
            Some(b'-' | b'0'..=b'9') => Kind::Number(self.number()?),
            _ => self.word()?,
        };
        Ok(Value { at, kind })
    }

    fn word(&mut self) -> Outcome<Kind<'t>> {
        for (word, kind) in [("null", Kind::Null), ("true", Kind::Bool), ("false", Kind::Bool)] {
            let rest = &self.text[self.at..];
            if rest.starts_with(word.as_bytes()) && !rest.get(word.len()).is_some_and(u8::is_ascii_alphanumeric) {
                self.at += word.len();
                return Ok(kind);
            }
        }
        let help = match self.text.get(self.at) {
            Some(b']' | b'}') => "a comma before it is one too many",
            Some(b'\'') => "strings stand between `\"`",
            Some(b'/' | b'#') => "JSON has no comments",
            _ => "",
        };
        Err(self.unexpected("a value", help))
    }

    fn object(&mut self, depth: usize) -> Outcome<Vec<Member<'t>>> {
        let mut members = Vec::new();
        self.at += 1;
        self.space();
        if self.take(b'}') {
            return Ok(members);
        }
        loop {
            if self.text.get(self.at) != Some(&b'"') {
                return Err(
                    self.unexpected("a name between `\"`", if members.is_empty() { "" } else { "a comma before `}` is one too many" })
                );
            }
            let name = self.string()?;
            self.space();
            if !self.take(b':') {
                return Err(self.unexpected("`:`", ""));
            }
            self.space();
            let value = self.value(depth + 1)?;
            members.push(Member { name, value });
            self.space();
            if self.take(b'}') {
                return Ok(members);
            }
            if !self.take(b',') {
                return Err(self.unexpected("`,` or `}`", ""));
            }
            self.space();
        }
    }

    fn array(&mut self, depth: usize) -> Outcome<Vec<Value<'t>>> {
        let mut items = Vec::new();
        self.at += 1;
        self.space();
        if self.take(b']') {
            return Ok(items);
        }
        loop {
            items.push(self.value(depth + 1)?);
            self.space();
            if self.take(b']') {
                return Ok(items);
            }
            if !self.take(b',') {
                return Err(self.unexpected("`,` or `]`", ""));
            }
            self.space();
        }
    }

    fn take(&mut self, byte: u8) -> bool {
        let is = self.text.get(self.at) == Some(&byte);
        self.at += usize::from(is);
        is
    }

    fn number(&mut self) -> Outcome<&'t str> {
        let start = self.at;
        let rest = &self.text[start..];
        let length = rest.iter().take_while(|byte| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E')).count();
        let text = std::str::from_utf8(&rest[..length]).unwrap_or_default(); // those bytes are ASCII
        if !is_number(text) {
            return Err(self.bad(start, format!("`{text}` is not a number"), ""));
        }
        self.at += length;
        Ok(text)
    }

    fn string(&mut self) -> Outcome<Cow<'t, str>> {
        let open = self.at;
        let start = open + 1;
        let mut decoded: Option<Vec<u8>> = None;
        let mut from = start;
        loop {
            let Some(length) = self.text[from..].iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1f)) else {
                return Err(self.bad(open, "the string that opens here is not closed", "the file was written in part only"));
            };
            let at = from + length;
            if let Some(decoded) = &mut decoded {
                decoded.extend_from_slice(&self.text[from..at]);
            }
            match self.text[at] {
                b'"' => {
                    self.at = at + 1;
                    let not_utf8 = |_| self.bad(open, "the string is not UTF-8", "save the file as UTF-8");
                    return match decoded {
                        None => std::str::from_utf8(&self.text[start..at]).map(Cow::Borrowed).map_err(not_utf8),
                        Some(decoded) => String::from_utf8(decoded).map(Cow::Owned).map_err(|error| not_utf8(error.utf8_error())),
                    };
                }
                b'\\' => {
                    let out = decoded.get_or_insert_with(|| self.text[start..at].to_vec());
                    let (character, used) = unescape(&self.text[at..])
                        .ok_or_else(|| Bad::new(self.lines.spot(at as u32), "bad escape in a string", "a backslash is written `\\\\`"))?;
                    out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                    from = at + used;
                }
                b'\n' | b'\r' => return Err(self.bad(open, "the string that opens here is not closed on its line", "")),
                _ => return Err(self.bad(at, "a control character in a string", "it is written as in `\\u0009`")),
            }
        }
    }
}

/// RFC 8259 section 6.
fn is_number(text: &str) -> bool {
    let rest = text.strip_prefix('-').unwrap_or(text);
    let (mantissa, exponent) = match rest.find(['e', 'E']) {
        Some(at) => (&rest[..at], Some(&rest[at + 1..])),
        None => (rest, None),
    };
    let (whole, fraction) = match mantissa.find('.') {
        Some(at) => (&mantissa[..at], Some(&mantissa[at + 1..])),
        None => (mantissa, None),
    };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits(whole)
        && (whole.len() == 1 || !whole.starts_with('0'))
        && fraction.is_none_or(digits)
        && exponent.is_none_or(|text| digits(text.strip_prefix(['+', '-']).unwrap_or(text)))
}

/// The character that an escape at the start of `text` stands for, and how many bytes it takes.
fn unescape(text: &[u8]) -> Option<(char, usize)> {
    let unit = |at: usize| -> Option<u32> {
        let digits = text.get(at..at + 4)?;
        if !digits.iter().all(u8::is_ascii_hexdigit) {
            return None;
        }
        u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
    };
    Some(match text.get(1)? {
        b'"' => ('"', 2),
        b'\\' => ('\\', 2),
        b'/' => ('/', 2),
        b'b' => ('\u{8}', 2),
        b'f' => ('\u{c}', 2),
        b'n' => ('\n', 2),
        b'r' => ('\r', 2),
        b't' => ('\t', 2),
        b'u' => match unit(2)? {
            high @ 0xd800..=0xdbff => {
                let low = unit(8).filter(|low| text[6..8] == *b"\\u" && (0xdc00..=0xdfff).contains(low))?;
                (char::from_u32(0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00))?, 12)
            }
            code => (char::from_u32(code)?, 6),
        },
        _ => return None,
    })
}
