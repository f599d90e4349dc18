//! JSON (RFC 8259) with the place of every value, which messages about a value of the wrong shape need.

#[cfg(test)]
mod tests;

use std::borrow::Cow;

use super::BOM;
use super::report::{TextError, TextResult, TextSpot, shown};

/// Deepest nesting that is read: Azure's JSON has about ten levels.
const MAX_DEPTH: usize = 100;

/// Lines of messages that are skipped. A file with more of them is no JSON.
const MAX_MESSAGES: usize = 100;

/// A value and where it begins.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct JsonValue<'t> {
    /// Offset of its first byte.
    pub at: u32,
    pub kind: JsonKind<'t>,
}

/// Kind of a value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum JsonKind<'t> {
    Null,
    Bool,
    /// As it is written.
    Number(&'t str),
    String(Cow<'t, str>),
    Array(Vec<JsonValue<'t>>),
    /// Members in order; a name may stand twice.
    Object(Vec<JsonMember<'t>>),
}

/// One member of an object.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct JsonMember<'t> {
    pub name: Cow<'t, str>,
    pub value: JsonValue<'t>,
}

/// Offsets of line starts: places are asked for in any order.
pub(super) struct Lines(Vec<u32>);

impl Lines {
    pub fn new(text: &[u8]) -> Self {
        let first = if text.starts_with(BOM) { BOM.len() as u32 } else { 0 };
        Self(std::iter::once(first).chain(memchr::memchr_iter(b'\n', text).map(|at| at as u32 + 1)).collect())
    }

    pub fn spot(&self, at: u32) -> TextSpot {
        let line = self.0.partition_point(|start| *start <= at).max(1);
        TextSpot { line: line as u32, line_start: self.0[line - 1], at }
    }
}

impl JsonValue<'_> {
    /// Returns the kind in words, for messages.
    pub fn what(&self) -> &'static str {
        match self.kind {
            JsonKind::Null => "null",
            JsonKind::Bool => "true or false",
            JsonKind::Number(_) => "a number",
            JsonKind::String(_) => "a string",
            JsonKind::Array(_) => "a list",
            JsonKind::Object(_) => "an object",
        }
    }

    pub fn is_null(&self) -> bool {
        self.kind == JsonKind::Null
    }
}

/// Values of a file, and the lines of text between them.
#[derive(Debug, Default)]
pub(super) struct JsonDocuments<'t> {
    /// In the order of the file. Empty if `error` is about the first one.
    pub values: Vec<JsonValue<'t>>,
    /// Offset of the first line that is a message of a program, and the number of such lines.
    pub messages: Option<(u32, usize)>,
    /// The error after which the rest of the file was not read.
    pub error: Option<Box<TextError>>,
}

/// Reads a text of one or more values, one behind the other, which includes JSON Lines.
///
/// Azure CLI prints warnings in front of its output, and `2>&1` puts them into the file. Such lines
/// are skipped. A line that begins with `ERROR:` in any letter case, or with `An error occurred`, is
/// an error, because the output of the failed command is missing.
pub(super) fn read_documents<'t>(text: &'t [u8], lines: &Lines) -> JsonDocuments<'t> {
    let mut reader = Reader { text, at: if text.starts_with(BOM) { BOM.len() } else { 0 }, lines };
    let mut documents = JsonDocuments::default();
    loop {
        reader.space();
        if reader.at >= text.len() && !documents.values.is_empty() {
            return documents;
        }
        let at = reader.at;
        let count = documents.messages.map_or(0, |(_, count)| count);
        if let Some((end, is_error)) = reader.message().filter(|_| count < MAX_MESSAGES) {
            if is_error {
                let message = format!("a program reported `{}`", shown(text[at..end].trim_ascii_end()));
                documents.error = Some(reader.bad(at, message, "run the command again: its output is missing here"));
                return documents;
            }
            documents.messages.get_or_insert((at as u32, 0)).1 = count + 1;
            reader.at = end;
            continue;
        }
        match reader.value(0) {
            Ok(value) => documents.values.push(value),
            Err(bad) => {
                documents.error = Some(bad);
                return documents;
            }
        }
        reader.space();
        if let Some(b',' | b']' | b'}') = text.get(reader.at) {
            let help = "values stand one behind the other, or between `[` and `]` with commas";
            documents.error = Some(reader.unexpected("another value or the end of the file", help));
            return documents;
        }
    }
}

/// Returns true for JSON that follows warnings of a program.
pub(super) fn follows_messages(text: &[u8]) -> bool {
    let is_leveled = |line: &[u8]| [&b"WARNING:"[..], b"INFO:", b"ERROR:", b"\x1b["].iter().any(|level| line.starts_with(level));
    let mut lines = text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).skip_while(|line| line.is_empty());
    lines.next().is_some_and(is_leveled) && lines.take(MAX_MESSAGES).any(|line| matches!(line.first(), Some(b'{' | b'[')))
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

    /// The line that begins here, if it is a message of a program: its end, and true for an error.
    ///
    /// Such a line begins with a word or with a color of the terminal. JSON must follow it, or it
    /// must give its level as Azure CLI does. Otherwise the file is something else.
    fn message(&self) -> Option<(usize, bool)> {
        let start = if self.text.starts_with(BOM) { BOM.len() } else { 0 };
        let before = &self.text[start..self.at];
        if before.iter().rev().find(|byte| !matches!(byte, b' ' | b'\t')).is_some_and(|byte| *byte != b'\n') {
            return None;
        }
        let rest = &self.text[self.at..];
        let end = memchr::memchr(b'\n', rest).map_or(self.text.len(), |length| self.at + length);
        let line = &self.text[self.at..end];
        let color = if line.starts_with(b"\x1b[") { memchr::memchr(b'm', line).map_or(0, |length| length + 1) } else { 0 };
        let word = line[color..].split(u8::is_ascii_whitespace).next().unwrap_or_default();
        let is_value = matches!(word, b"null" | b"true" | b"false");
        if is_value || !word.first().is_some_and(u8::is_ascii_alphabetic) {
            return None;
        }
        let is_error = word.eq_ignore_ascii_case(b"error:") || line[color..].starts_with(b"An error occurred");
        let is_leveled = is_error || matches!(word, b"WARNING:" | b"INFO:" | b"DEBUG:");
        let begins_value = |line: &[u8]| matches!(line.trim_ascii_start().first(), Some(b'{' | b'['));
        (is_leveled || self.text[end..].split(|byte| *byte == b'\n').any(begins_value)).then_some((end, is_error))
    }

    fn bad(&self, at: usize, message: impl Into<String>, help: impl Into<String>) -> Box<TextError> {
        TextError::new(self.lines.spot(at as u32), message, help)
    }

    fn unexpected(&self, wanted: &str, help: &str) -> Box<TextError> {
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

    fn value(&mut self, depth: usize) -> TextResult<JsonValue<'t>> {
        let at = self.at as u32;
        if depth > MAX_DEPTH {
            return Err(self.bad(self.at, format!("values inside one another more than {MAX_DEPTH} deep"), ""));
        }
        let kind = match self.text.get(self.at) {
            Some(b'{') => JsonKind::Object(self.object(depth)?),
            Some(b'[') => JsonKind::Array(self.array(depth)?),
            Some(b'"') => JsonKind::String(self.string()?),
            Some(b'-' | b'0'..=b'9') => JsonKind::Number(self.number()?),
            _ => self.word()?,
        };
        Ok(JsonValue { at, kind })
    }

    fn word(&mut self) -> TextResult<JsonKind<'t>> {
        for (word, kind) in [("null", JsonKind::Null), ("true", JsonKind::Bool), ("false", JsonKind::Bool)] {
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

    fn object(&mut self, depth: usize) -> TextResult<Vec<JsonMember<'t>>> {
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
            members.push(JsonMember { name, value });
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

    fn array(&mut self, depth: usize) -> TextResult<Vec<JsonValue<'t>>> {
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

    fn number(&mut self) -> TextResult<&'t str> {
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

    fn string(&mut self) -> TextResult<Cow<'t, str>> {
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
                    let (character, used) = unescape(&self.text[at..]).ok_or_else(|| {
                        TextError::new(self.lines.spot(at as u32), "bad escape in a string", "a backslash is written `\\\\`")
                    })?;
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
