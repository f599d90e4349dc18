//! `$GENERATE range owner [TTL] [class] type data`, as BIND has it.

use super::super::lexer::{Form, Lexer, Line, Token};
use super::super::rdata::decimal;
use super::super::report::{TextError, TextResult, shown};
use super::{File, Head, Known, Reader, Scope, record_head};

/// Records that one `$GENERATE` may make.
const MAX_RECORDS: u64 = 65_536;
/// Records that all `$GENERATE` of a source may make: a few lines must not fill the memory.
const MAX_IN_ALL: u64 = 1 << 20;
/// Digits that a number may be filled up to: more than any label or field holds.
const MAX_WIDTH: u32 = 255;

/// `start-stop[/step]`
struct Range {
    start: u32,
    stop: u32,
    step: u32,
}

/// A text with the places where the number goes.
struct Template(Vec<Part>);

enum Part {
    Text(Vec<u8>),
    Number { offset: i64, width: u32, base: Base },
}

/// How a number is written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Base {
    Decimal,
    Octal,
    Hex {
        upper: bool,
    },
    /// Hexadecimal digits from the lowest on, with dots between: the labels of `ip6.arpa`. The width counts the dots too.
    Nibbles {
        upper: bool,
    },
}

impl Reader<'_> {
    /// Makes a record for each number of the range.
    pub(super) fn generate(&mut self, file: File<'_>, word: Token, rest: &[Token], scope: &mut Scope) -> TextResult<()> {
        let [range, owner, fields @ ..] = rest else {
            return Err(TextError::new(word.spot, "$GENERATE lacks its range or owner", "`$GENERATE 1-10 host$ A 10.0.0.$` is expected"));
        };
        let range = read_range(file.text, *range)?;
        let head = record_head(file, Some(*owner), fields)?;
        let data = &fields[head.taken..];
        if data.is_empty() {
            return Err(TextError::new(head.type_spot, "$GENERATE lacks the data behind the type", ""));
        }
        // BIND takes data of several fields between quotes; text keeps its quotes here, because there they mean a string.
        let whole = match data {
            [token] if token.form == Form::Quoted && !matches!(head.rtype, 13 | 16 | 99) => Some(*token),
            _ => None,
        };
        let owner_template = Template::read(file.text, *owner, owner.content(file.text))?;
        let mut templates = Vec::new();
        for token in data {
            let text = if whole.is_some() { token.content(file.text) } else { token.raw(file.text) };
            templates.push(Template::read(file.text, *token, text)?);
        }
        self.generated += u64::from((range.stop - range.start) / range.step) + 1;
        if self.generated > MAX_IN_ALL {
            return Err(TextError::new(word.spot, format!("all $GENERATE together make more than {MAX_IN_ALL} records"), ""));
        }
        let mut line = Vec::new();
        let mut tokens = Vec::new();
        let mut number = u64::from(range.start);
        while number <= u64::from(range.stop) && !self.report.is_full() {
            line.clear();
            let written = owner_template.write(number, &mut line).and_then(|()| {
                templates.iter().try_for_each(|template| {
                    line.push(b' ');
                    template.write(number, &mut line)
                })
            });
            written.map_err(|why| TextError::new(word.spot, format!("$GENERATE at {number}: {why}"), ""))?;
            let made = File { text: &line, path: file.path, made_at: Some(file.position(word.spot)) };
            let outcome = match Lexer::new(&line).entry(&mut tokens) {
                Line::Bad(bad) => Err(bad),
                Line::Entry { .. } | Line::End => self.made(made, &tokens, &head, scope),
            };
            // Places are those of the directive: the record stands in no file.
            outcome.map_err(|bad| TextError::new(word.spot, format!("$GENERATE at {number}: {}", bad.message), bad.help))?;
            number += u64::from(range.step);
        }
        Ok(())
    }

    /// One record that was made.
    fn made(&mut self, made: File<'_>, tokens: &[Token], head: &Head, scope: &mut Scope) -> TextResult<()> {
        let Some((token, data)) = tokens.split_first() else { return Ok(()) };
        scope.known = Known::Not;
        self.owner(made, *token, scope)?;
        scope.known = Known::Yes;
        self.record(made, head, data, scope, token.spot)
    }
}

fn read_range(text: &[u8], token: Token) -> TextResult<Range> {
    let raw = token.content(text);
    let wrong = || TextError::new(token.spot, format!("`{}` is not a range", shown(raw)), "`start-stop` or `start-stop/step` is expected");
    let (span, step) = match raw.iter().position(|byte| *byte == b'/') {
        Some(slash) => (&raw[..slash], decimal(&raw[slash + 1..]).filter(|step| *step > 0).ok_or_else(wrong)?),
        None => (raw, 1),
    };
    let dash = span.iter().position(|byte| *byte == b'-').ok_or_else(wrong)?;
    let start = decimal(&span[..dash]).ok_or_else(wrong)?;
    let stop = decimal(&span[dash + 1..]).filter(|stop| *stop >= start).ok_or_else(wrong)?;
    let count = u64::from((stop - start) / step) + 1;
    if count > MAX_RECORDS {
        return Err(TextError::new(
            token.spot,
            format!("`{}` makes {count} records", shown(raw)),
            format!("one $GENERATE makes at most {MAX_RECORDS}"),
        ));
    }
    Ok(Range { start, stop, step })
}

impl Template {
    fn read(file: &[u8], token: Token, text: &[u8]) -> TextResult<Self> {
        let mut parts = Vec::new();
        let mut plain = Vec::new();
        let mut at = 0;
        while let Some(&byte) = text.get(at) {
            match (byte, text.get(at + 1)) {
                // An escape stays one: what is made is read again.
                (b'\\', Some(next)) => {
                    plain.extend([byte, *next]);
                    at += 2;
                }
                (b'$', Some(b'$')) => {
                    plain.extend(b"\\$");
                    at += 2;
                }
                (b'$', next) => {
                    parts.push(Part::Text(std::mem::take(&mut plain)));
                    at += 1;
                    let mut part = Part::Number { offset: 0, width: 0, base: Base::Decimal };
                    if next == Some(&b'{') {
                        let end = text[at..].iter().position(|byte| *byte == b'}').map(|length| at + length);
                        let inside = end.and_then(|end| modifier(&text[at + 1..end]));
                        let (Some(end), Some(inside)) = (end, inside) else {
                            let message = format!("`{}` has a bad `${{…}}`", shown(token.raw(file)));
                            return Err(TextError::new(
                                token.spot,
                                message,
                                "`${offset,width,base}` is expected, base one of d, o, x, X, n and N",
                            ));
                        };
                        part = inside;
                        at = end + 1;
                    }
                    parts.push(part);
                }
                _ => {
                    plain.push(byte);
                    at += 1;
                }
            }
        }
        parts.push(Part::Text(plain));
        Ok(Self(parts))
    }

    fn write(&self, number: u64, out: &mut Vec<u8>) -> Result<(), String> {
        for part in &self.0 {
            match part {
                Part::Text(text) => out.extend_from_slice(text),
                Part::Number { offset, width, base } => {
                    let value = number as i64 + offset; // a number is below 2^32 and so is an offset
                    let value = u64::try_from(value).map_err(|_| format!("the number is {value}, below 0"))?;
                    write_number(value, *width, *base, out);
                }
            }
        }
        Ok(())
    }
}

/// The inside of `${offset,width,base}`.
fn modifier(text: &[u8]) -> Option<Part> {
    let mut parts = text.split(|byte| *byte == b',');
    let offset = parts.next()?;
    let (sign, digits) = match offset.split_first()? {
        (b'-', rest) => (-1, rest),
        (b'+', rest) => (1, rest),
        _ => (1, offset),
    };
    let offset = sign * i64::from(decimal(digits)?);
    let width = match parts.next() {
        Some(digits) => decimal(digits).filter(|width| *width <= MAX_WIDTH)?,
        None => 0,
    };
    let base = match parts.next() {
        None | Some(b"d") => Base::Decimal,
        Some(b"o") => Base::Octal,
        Some(b"x") => Base::Hex { upper: false },
        Some(b"X") => Base::Hex { upper: true },
        Some(b"n") => Base::Nibbles { upper: false },
        Some(b"N") => Base::Nibbles { upper: true },
        Some(_) => return None,
    };
    if parts.next().is_some() { None } else { Some(Part::Number { offset, width, base }) }
}

fn write_number(value: u64, width: u32, base: Base, out: &mut Vec<u8>) {
    let width = width as usize;
    let text = match base {
        Base::Decimal => format!("{value:0width$}"),
        Base::Octal => format!("{value:0width$o}"),
        Base::Hex { upper: false } => format!("{value:0width$x}"),
        Base::Hex { upper: true } => format!("{value:0width$X}"),
        Base::Nibbles { upper } => nibbles(value, width, upper),
    };
    out.extend_from_slice(text.as_bytes());
}

/// The way BIND counts: a digit and a dot each take one of the width, and a dot follows as long as width or number last.
fn nibbles(mut value: u64, mut width: usize, upper: bool) -> String {
    let digits: &[u8; 16] = if upper { b"0123456789ABCDEF" } else { b"0123456789abcdef" };
    let mut text = String::new();
    loop {
        text.push(digits[(value & 15) as usize] as char);
        value >>= 4;
        width = width.saturating_sub(1);
        if width > 0 || value != 0 {
            text.push('.');
            width = width.saturating_sub(1);
        }
        if value == 0 && width == 0 {
            return text;
        }
    }
}
