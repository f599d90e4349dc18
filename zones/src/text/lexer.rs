//! A zone file's text as entries and tokens (RFC 1035 section 5.1), with their places.

use super::report::{TextError, TextSpot};

/// Longest entry, bytes with comments: RDATA of 65,535 octets takes at most four times that in `\DDD` form. An unclosed parenthesis is
/// given up here.
const MAX_ENTRY: usize = 1 << 20;

/// A word or a quoted string.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Token {
    /// Where it begins: the quote for a quoted string.
    pub spot: TextSpot,
    /// Offset behind its last byte: behind the closing quote for a quoted string.
    pub end: u32,
    /// How it is written.
    pub form: Form,
}

/// How a token is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// A word.
    Plain,
    /// `"…"`
    Quoted,
    /// `key="…"`: one token for SVCB (RFC 9460 section 2.1), two for everybody else.
    Pair,
}

/// Result of [`Lexer::entry`].
pub(super) enum Line {
    /// An entry; no tokens for an empty line.
    Entry {
        /// It begins with white space: the owner is that of the record before.
        blank: bool,
    },
    /// An entry that cannot be read; the next call goes on behind it.
    Bad(Box<TextError>),
    /// Nothing more.
    End,
}

/// Goes through a text entry by entry.
pub(super) struct Lexer<'t> {
    pub text: &'t [u8],
    /// Offset of the next byte.
    pub at: usize,
    /// Line of the next byte.
    pub line: u32,
    /// Offset of that line's first byte.
    pub line_start: usize,
    /// Parentheses that were never closed so far.
    unclosed: u32,
}

/// Class of a byte for the lexer and for the fast path.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    /// Part of a word.
    Plain,
    /// `.`: part of a word, the end of a label.
    Dot,
    /// `@` and `$`: part of a word, with a meaning at its start.
    Sign,
    /// `\`
    Escape,
    /// Space, tab.
    Space,
    /// CR, LF, `"`, `(`, `)`, `;` and NUL: ends a word.
    End,
}

/// [`Class`] of each byte.
pub(super) static CLASS: [Class; 256] = {
    let mut table = [Class::Plain; 256];
    table[b'.' as usize] = Class::Dot;
    table[b'@' as usize] = Class::Sign;
    table[b'$' as usize] = Class::Sign;
    table[b'\\' as usize] = Class::Escape;
    table[b' ' as usize] = Class::Space;
    table[b'\t' as usize] = Class::Space;
    let ends = b"\r\n\"();\0";
    let mut index = 0;
    while index < ends.len() {
        table[ends[index] as usize] = Class::End;
        index += 1;
    }
    table
};

impl<'t> Lexer<'t> {
    pub fn new(text: &'t [u8]) -> Self {
        let at = if text.starts_with(super::BOM) { super::BOM.len() } else { 0 };
        Self { text, at, line: 1, line_start: at, unclosed: 0 }
    }

    /// The place of the next byte.
    pub fn spot(&self) -> TextSpot {
        TextSpot { line: self.line, line_start: self.line_start as u32, at: self.at as u32 }
    }

    /// Reads one entry into `tokens`: a line, or several where parentheses hold them together.
    ///
    /// An error costs its own line alone: a quoted string ends at the line's end whatever happens, and where a parenthesis is never closed
    /// reading goes on behind the line that opened it.
    pub fn entry(&mut self, tokens: &mut Vec<Token>) -> Line {
        tokens.clear();
        if self.at >= self.text.len() {
            return Line::End;
        }
        let start = self.at;
        // Each unclosed parenthesis is looked for further than it is read: a file full of them must not take for ever.
        let longest = MAX_ENTRY >> self.unclosed.min(8);
        let blank = matches!(self.text[self.at], b' ' | b'\t');
        let mut bad: Option<Box<TextError>> = None;
        let mut open: Option<(TextSpot, usize)> = None;
        while let Some(&byte) = self.text.get(self.at) {
            if open.is_some() && self.at - start > longest {
                break;
            }
            if self.at - start > MAX_ENTRY {
                bad.get_or_insert_with(|| TextError::new(self.spot(), "the line is longer than 1 MiB", "no record needs that much"));
                self.skip_line();
                break;
            }
            match byte {
                b'\n' => {
                    self.next_line();
                    if open.is_none() {
                        break;
                    }
                }
                b' ' | b'\t' | b'\r' => self.at += 1,
                b';' => self.at = self.line_end(self.at),
                b'(' => {
                    let depth = open.map_or(0, |(_, depth)| depth);
                    open = Some((open.map_or(self.spot(), |(spot, _)| spot), depth + 1));
                    self.at += 1;
                }
                b')' => {
                    match open {
                        None => {
                            bad.get_or_insert_with(|| TextError::new(self.spot(), "`)` closes nothing", "remove it, or put `(` before it"));
                        }
                        Some((_, 1)) => open = None,
                        Some((spot, depth)) => open = Some((spot, depth - 1)),
                    }
                    self.at += 1;
                }
                _ => match if byte == b'"' { self.quoted() } else { self.word() } {
                    Ok(token) => tokens.push(token),
                    Err(found) => {
                        bad.get_or_insert(found);
                        self.at = self.line_end(self.at);
                    }
                },
            }
        }
        match (open, bad) {
            (Some((spot, _)), bad) => Line::Bad(self.leave_unclosed(spot, bad)),
            (None, Some(bad)) => Line::Bad(bad),
            (None, None) => Line::Entry { blank },
        }
    }

    /// Goes to the line behind an opening parenthesis that is never closed. Returns the error that is reported for its line.
    fn leave_unclosed(&mut self, spot: TextSpot, bad: Option<Box<TextError>>) -> Box<TextError> {
        self.unclosed += 1;
        (self.line, self.line_start, self.at) = (spot.line, spot.line_start as usize, spot.at as usize);
        self.skip_line();
        // An error on the same line may be the cause: a quote that is not closed contains the `)`. Errors behind it are found again.
        let cause = bad.filter(|bad| bad.spot.line == spot.line);
        cause.unwrap_or_else(|| TextError::new(spot, "`(` is never closed", "put `)` behind the record's last field"))
    }

    /// Goes to the start of the next line, or to the end of the text.
    fn skip_line(&mut self) {
        self.at = self.line_end(self.at);
        if self.at < self.text.len() {
            self.next_line();
        }
    }

    /// Steps over the line feed at `at`.
    fn next_line(&mut self) {
        self.at += 1;
        self.line += 1;
        self.line_start = self.at;
    }

    /// Offset of the line feed at or behind `from`, or of the end.
    fn line_end(&self, from: usize) -> usize {
        memchr::memchr(b'\n', &self.text[from..]).map_or(self.text.len(), |length| from + length)
    }

    fn quoted(&mut self) -> Result<Token, Box<TextError>> {
        let spot = self.spot();
        let end = self.closing_quote(self.at)?;
        self.at = end;
        Ok(Token { spot, end: end as u32, form: Form::Quoted })
    }

    /// Offset behind the quote that closes the one at `open`.
    fn closing_quote(&self, open: usize) -> Result<usize, Box<TextError>> {
        let spot = |at: usize| TextSpot { at: at as u32, ..self.spot() };
        let mut at = open + 1;
        while let Some(&byte) = self.text.get(at) {
            match byte {
                b'"' => return Ok(at + 1),
                b'\n' => break,
                0 => return Err(nul(spot(at))),
                b'\\' if self.text.get(at + 1).is_some_and(|next| *next != b'\n') => at += 2,
                _ => at += 1,
            }
        }
        Err(TextError::new(
            spot(open),
            "the quoted string that opens here is not closed on its line",
            "put `\"` at its end; a quote inside it is written `\\\"`",
        ))
    }

    fn word(&mut self) -> Result<Token, Box<TextError>> {
        let spot = self.spot();
        let mut at = self.at;
        let mut form = Form::Plain;
        while let Some(&byte) = self.text.get(at) {
            match CLASS[byte as usize] {
                Class::Plain | Class::Dot | Class::Sign => at += 1,
                Class::Escape => {
                    if self.text.get(at + 1).is_none_or(|next| matches!(next, b'\r' | b'\n')) {
                        let spot = TextSpot { at: at as u32, ..spot };
                        return Err(TextError::new(spot, "`\\` at the end of the line escapes nothing", "write `\\\\` for a backslash"));
                    }
                    at += 2;
                }
                Class::Space => break,
                Class::End if byte == 0 => return Err(nul(TextSpot { at: at as u32, ..spot })),
                Class::End if byte == b'"' && at > self.at && self.text[at - 1] == b'=' => {
                    at = self.closing_quote(at)?;
                    form = Form::Pair;
                    break;
                }
                Class::End => break,
            }
        }
        self.at = at;
        Ok(Token { spot, end: at as u32, form })
    }
}

fn nul(spot: TextSpot) -> Box<TextError> {
    TextError::new(spot, "a NUL byte", "save the file as plain text in UTF-8; a NUL octet in a string is written `\\000`")
}

impl Token {
    /// The token as it is written, quotes included.
    pub fn raw<'t>(&self, text: &'t [u8]) -> &'t [u8] {
        &text[self.spot.at as usize..self.end as usize]
    }

    /// The token without the quotes around it.
    pub fn content<'t>(&self, text: &'t [u8]) -> &'t [u8] {
        let raw = self.raw(text);
        if self.form == Form::Quoted { &raw[1..raw.len() - 1] } else { raw }
    }

    /// `key="value"` as the word `key=` and the string behind it.
    pub fn split(self, text: &[u8]) -> (Self, Option<Self>) {
        // The lexer took the first quote behind a `=` for the start of the string.
        match self.raw(text).windows(2).position(|pair| pair == b"=\"") {
            Some(at) if self.form == Form::Pair => {
                let quote = self.spot.at + at as u32 + 1;
                let string = Self { spot: TextSpot { at: quote, ..self.spot }, form: Form::Quoted, ..self };
                (Self { end: quote, form: Form::Plain, ..self }, Some(string))
            }
            _ => (self, None),
        }
    }

    /// True for a word that is `word`, in any case.
    pub fn is(&self, text: &[u8], word: &str) -> bool {
        self.form == Form::Plain && self.raw(text).eq_ignore_ascii_case(word.as_bytes())
    }
}
