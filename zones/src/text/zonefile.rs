//! Zone files (RFC 1035 section 5), with `$TTL` (RFC 2308 section 4), TTL units, RFC 3597, BIND's `$GENERATE`, and what the Azure portal
//! and Windows DNS write in their own way.

mod exports;
mod generate;
mod include;
#[cfg(test)]
mod tests;
mod windows;

use std::path::PathBuf;
use std::sync::Arc;

use postern_config::rtype::{mnemonics, type_code_of};

use super::lexer::{CLASS, Class, Form, Lexer, Line, Token};
use super::names::{Written, read_name, repeats_origin};
use super::rdata::{Fields, decimal, is_meta, read_fields, seconds, type_name};
use super::report::{ProblemReport, TextError, TextResult, TextSpot, shown};
use super::{IncludeScope, ReadSummary, decode};
use crate::name::{NameBuf, write_name};
use crate::record::{RecordRef, RecordSink, SourceProblem, TextPosition};
use exports::ExportDialect;

/// Longest TTL (RFC 2181 section 8).
const MAX_TTL: u32 = i32::MAX as u32;

/// Reads a zone file. `origin` is the zone's apex: what relative names end in until `$ORIGIN` says otherwise.
///
/// `$INCLUDE` reads the files that `includes` allows; none: no file at all. A record without TTL gets that of `$TTL`, else the last one
/// written, else the MINIMUM of a SOA without TTL, else none.
pub fn read_zone_file(
    text: &[u8],
    file: &Arc<PathBuf>,
    origin: &NameBuf,
    includes: Option<IncludeScope<'_>>,
    sink: &mut dyn RecordSink,
    problems: &mut Vec<SourceProblem>,
) -> ReadSummary {
    let mut reader = Reader {
        sink,
        apex: origin.clone(),
        report: ProblemReport::new(problems),
        read: ReadSummary::default(),
        includes: include::Includes::new(includes, file, text.len()),
        generated: 0,
        dialect: ExportDialect::of(text),
        has_bare_targets: false,
        tokens: Vec::new(),
        rdata: Vec::new(),
        name: Vec::new(),
    };
    let mut scope = Scope::new(origin.as_wire().to_vec());
    reader.file(text, file, &mut scope);
    let Reader { report, read, .. } = reader;
    report.finish();
    read
}

/// State that earlier lines of a file set for the later ones.
#[derive(Clone)]
struct Scope {
    /// Wire form, its case kept.
    origin: Vec<u8>,
    /// `$TTL`.
    default_ttl: Option<u32>,
    /// The last TTL that a record had.
    last_ttl: Option<u32>,
    /// Whose records a line that begins with white space has.
    owner: NameBuf,
    /// Validity of `owner`.
    known: Known,
}

/// Whether the last owner is known.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Known {
    /// It is.
    Yes,
    /// No record yet.
    NotYet,
    /// It could not be read: nothing is said about the lines that lean on it.
    Not,
}

/// One run over a zone file and what it includes.
struct Reader<'r> {
    sink: &'r mut dyn RecordSink,
    /// The zone's.
    apex: NameBuf,
    report: ProblemReport<'r>,
    read: ReadSummary,
    includes: include::Includes,
    /// Records that `$GENERATE` made.
    generated: u64,
    dialect: ExportDialect,
    /// Set once the warning about targets without a final dot was given.
    has_bare_targets: bool,
    // Buffers that are used again for each entry.
    tokens: Vec<Token>,
    rdata: Vec<u8>,
    name: Vec<u8>,
}

/// The file that is being read.
#[derive(Clone, Copy)]
struct File<'t> {
    text: &'t [u8],
    path: &'t Arc<PathBuf>,
    /// The text was made, by a directive that stands there: its own places mean nothing.
    made_at: Option<TextPosition>,
}

impl Scope {
    fn new(origin: Vec<u8>) -> Self {
        Self { origin, default_ttl: None, last_ttl: None, owner: NameBuf::root(), known: Known::NotYet }
    }
}

impl File<'_> {
    fn position(self, spot: TextSpot) -> TextPosition {
        self.made_at.unwrap_or_else(|| spot.position(self.text))
    }
}

impl Reader<'_> {
    /// Reads one file to its end.
    fn file(&mut self, text: &[u8], path: &Arc<PathBuf>, scope: &mut Scope) {
        let text = &*decode(text);
        if u32::try_from(text.len()).is_err() {
            self.report.error(path, TextPosition::default(), *TextError::new(TextSpot::default(), "the file is larger than 4 GiB", ""));
            return;
        }
        self.sink.file(path);
        let file = File { text, path, made_at: None };
        let mut lexer = Lexer::new(text);
        while !self.report.is_full() {
            if self.address_line(&mut lexer, scope) {
                continue;
            }
            let mut tokens = std::mem::take(&mut self.tokens);
            let line = lexer.entry(&mut tokens);
            let end = matches!(line, Line::End);
            let outcome = match line {
                Line::End => Ok(()),
                Line::Bad(bad) => {
                    // A line that begins with white space leans on the owner before it, and so may the next.
                    if !matches!(text.get(bad.spot.line_start as usize), Some(b' ' | b'\t')) {
                        scope.known = Known::Not;
                    }
                    Err(bad)
                }
                Line::Entry { blank } => self.entry(file, &tokens, blank, scope),
            };
            self.tokens = tokens;
            if let Err(bad) = outcome {
                self.report.error(path, file.position(bad.spot), *bad);
            }
            if end {
                break;
            }
        }
    }

    /// One entry: a directive, a record or nothing.
    fn entry(&mut self, file: File<'_>, tokens: &[Token], blank: bool, scope: &mut Scope) -> TextResult<()> {
        let Some(first) = tokens.first().copied() else { return Ok(()) };
        let word = first.raw(file.text);
        if first.form == Form::Plain && word[0] == b'$' {
            let rest = &tokens[1..];
            return match word.to_ascii_uppercase().as_slice() {
                b"$ORIGIN" => self.origin(file, first, rest, scope),
                b"$TTL" => self.default_ttl(file, first, rest, scope),
                b"$INCLUDE" => self.include(file, first, rest, scope),
                b"$GENERATE" => self.generate(file, first, rest, scope),
                _ => Err(TextError::new(
                    first.spot,
                    format!("unknown directive `{}`", shown(word)),
                    "$ORIGIN, $TTL, $INCLUDE and $GENERATE are known; a name that begins with `$` is written `\\$`",
                )),
            };
        }
        let rest = if blank {
            tokens
        } else {
            scope.known = Known::Not;
            if exports::is_soa_row(file.text, tokens) && self.is_bare_apex(file, first, "") {
                scope.owner = self.apex.clone();
            } else {
                self.owner(file, first, scope)?;
            }
            scope.known = Known::Yes;
            &tokens[1..]
        };
        match scope.known {
            Known::Yes => {}
            Known::Not => return Ok(()),
            Known::NotYet => {
                let help = "an owner stands in the first column; `@` is the origin";
                return Err(TextError::new(first.spot, "the first record has no owner", help));
            }
        }
        let behind = if blank { None } else { Some(first) };
        let record = match record_head(file, behind, rest) {
            Ok(record) => record,
            Err(bad) => {
                let row = windows::lookup_row(file.text, rest).or_else(|| exports::alias_row(file.text, rest)).ok_or(bad)?;
                self.warn(file, *row);
                return Ok(());
            }
        };
        self.record(file, &record, &rest[record.taken..], scope, first.spot)
    }

    /// One record of the last owner, from its type on.
    fn record(&mut self, file: File<'_>, head: &Head, data: &[Token], scope: &mut Scope, at: TextSpot) -> TextResult<()> {
        if head.ttl.is_some() {
            scope.last_ttl = head.ttl;
        }
        self.rdata.clear();
        let mut fields = Fields::new(file.text, data, &scope.origin, head.rtype, head.type_spot);
        fields.has_bare_targets = self.dialect.has_bare_targets;
        read_fields(&mut fields, &mut self.rdata)?;
        if let Some(token) = fields.completed.filter(|_| !self.has_bare_targets) {
            self.has_bare_targets = true;
            let message =
                format!("`{}` has no final dot and is taken for an absolute name, as in all of this export", shown(token.raw(file.text)));
            self.warn(file, *TextError::new(token.spot, message, "Azure CLI writes targets so"));
        }
        if let Some(token) = fields.without_dot {
            self.warn_repeated(file, token, scope);
        }
        if head.rtype == 6 && head.ttl.is_none() && scope.default_ttl.is_none() && scope.last_ttl.is_none() {
            // As BIND does for a zone without any TTL.
            let minimum = self.rdata.last_chunk().map(|octets| u32::from_be_bytes(*octets));
            scope.default_ttl = minimum.filter(|minimum| *minimum <= MAX_TTL);
        }
        let ttl = head.ttl.map(|ttl| self.dialect.ttl(ttl)).or(scope.default_ttl).or(scope.last_ttl);
        let owner = &scope.owner;
        self.sink.record(RecordRef { owner, rtype: head.rtype, ttl, rdata: &self.rdata, at: file.position(at) });
        self.read.records += 1;
        Ok(())
    }

    /// Makes `token` the last owner.
    fn owner(&mut self, file: File<'_>, token: Token, scope: &mut Scope) -> TextResult<()> {
        if token.form != Form::Plain {
            return Err(TextError::new(token.spot, "an owner is not a quoted string", "write it without the quotes"));
        }
        let raw = token.raw(file.text);
        self.name.clear();
        let written = read_name(raw, &scope.origin, &mut self.name);
        let set = written.and_then(|_| scope.owner.set(&self.name));
        set.map_err(|error| TextError::new(token.spot, format!("`{}` is not a name: {error}", shown(raw)), ""))?;
        if let Ok(Written::Relative { length }) = written
            && repeats_origin(&self.name[..length], &scope.origin)
        {
            self.warn_repeated(file, token, scope);
        }
        if !raw.is_ascii() {
            let message = format!("`{}` has characters beyond ASCII", shown(raw));
            self.warn(file, *TextError::new(token.spot, message, "clients ask for the `xn--` form of such a name"));
        }
        Ok(())
    }

    fn warn_repeated(&mut self, file: File<'_>, token: Token, scope: &Scope) {
        let raw = shown(token.raw(file.text));
        let (mut wire, mut full) = (Vec::new(), String::new());
        let _ = read_name(token.raw(file.text), &scope.origin, &mut wire); // it was read before
        let _ = write_name(&wire, &mut full); // a string takes everything
        let bad = TextError::new(
            token.spot,
            format!("`{raw}` has no final dot, so it means `{full}`"),
            format!("write `{raw}.` or leave out what the origin adds"),
        );
        self.warn(file, *bad);
    }

    fn warn(&mut self, file: File<'_>, bad: TextError) {
        self.report.warning(file.path, file.position(bad.spot), bad);
    }

    fn origin(&mut self, file: File<'_>, word: Token, rest: &[Token], scope: &mut Scope) -> TextResult<()> {
        let token = only(file.text, word, rest, "a name")?;
        scope.origin = if self.is_bare_apex(file, token, "$ORIGIN ") {
            self.apex.as_wire().to_vec()
        } else {
            self.directive_name(file, token, scope)?
        };
        Ok(())
    }

    /// Returns true, with a warning, for the name of the zone without its final dot, as the Azure portal writes `$ORIGIN` and Cloudflare the
    /// owner of SOA. `before` stands before the name.
    ///
    /// Nobody means `contoso.com.contoso.com`. A name of one label may be meant: `test.test`.
    fn is_bare_apex(&mut self, file: File<'_>, token: Token, before: &str) -> bool {
        let raw = token.content(file.text);
        let mut name = Vec::new();
        let is_relative = !raw.ends_with(b".") && self.apex.labels() > 1 && read_name(raw, &[0], &mut name).is_ok();
        let is_bare = is_relative && name.eq_ignore_ascii_case(self.apex.as_wire());
        if is_bare {
            let text = shown(raw);
            let message = format!("`{text}` has no final dot and is taken for the zone itself");
            self.warn(file, *TextError::new(token.spot, message, format!("write `{before}{text}.`")));
        }
        is_bare
    }

    fn directive_name(&mut self, file: File<'_>, token: Token, scope: &Scope) -> TextResult<Vec<u8>> {
        let raw = token.content(file.text);
        let mut name = Vec::new();
        match read_name(raw, &scope.origin, &mut name) {
            Ok(Written::Relative { length }) if repeats_origin(&name[..length], &scope.origin) => self.warn_repeated(file, token, scope),
            Ok(_) => {}
            Err(error) => return Err(TextError::new(token.spot, format!("`{}` is not a name: {error}", shown(raw)), "")),
        }
        Ok(name)
    }

    fn default_ttl(&mut self, file: File<'_>, word: Token, rest: &[Token], scope: &mut Scope) -> TextResult<()> {
        let token = only(file.text, word, rest, "a TTL")?;
        scope.default_ttl = Some(ttl(file.text, token)?);
        Ok(())
    }

    /// The line of most large zones, `owner [TTL] [IN] A address`, without tokens. False, with nothing taken: it is not such a line.
    fn address_line(&mut self, lexer: &mut Lexer<'_>, scope: &mut Scope) -> bool {
        let text = lexer.text;
        let start = lexer.at;
        let mut at = start;
        // The text of a name is its wire form one octet further on, but for the dots, which become lengths.
        let name = &mut self.name;
        name.clear();
        name.push(0);
        let mut label = 0;
        let close = |name: &mut Vec<u8>, label: usize, end: usize| {
            let length = end - label;
            name.extend_from_slice(&text[start + label..start + end]);
            name.push(0);
            name[label] = length as u8;
            (1..=63).contains(&length)
        };
        let end = loop {
            let Some(&byte) = text.get(at) else { return false };
            match CLASS[byte as usize] {
                Class::Plain if byte < 0x80 => {}
                Class::Dot => {
                    if !close(name, label, at - start) {
                        return false;
                    }
                    label = at - start + 1;
                }
                Class::Space => break at - start,
                _ => return false,
            }
            at += 1;
        };
        if end == 0 || (label < end && !close(name, label, end)) {
            return false;
        }
        if label < end {
            name.pop();
            let length = name.len();
            name.extend_from_slice(&scope.origin);
            // A hint is due there; the long way gives it.
            if name[length - 1].eq_ignore_ascii_case(&scope.origin[scope.origin.len().saturating_sub(2)])
                && repeats_origin(&name[..length], &scope.origin)
            {
                return false;
            }
        }
        let space = |at: &mut usize| {
            while matches!(text.get(*at), Some(b' ' | b'\t')) {
                *at += 1;
            }
        };
        space(&mut at);
        let mut explicit = None;
        if text.get(at).is_some_and(u8::is_ascii_digit) {
            let mut value = 0u32;
            let digits = at;
            while let Some(digit) = text.get(at).filter(|byte| byte.is_ascii_digit()) {
                value = value.wrapping_mul(10).wrapping_add(u32::from(digit - b'0'));
                at += 1;
            }
            if at - digits > 9 || !matches!(text.get(at), Some(b' ' | b'\t')) {
                return false;
            }
            explicit = Some(value);
            space(&mut at);
        }
        if let Some([b'I' | b'i', b'N' | b'n', b' ' | b'\t']) = text.get(at..at + 3) {
            at += 3;
            space(&mut at);
        }
        let Some([b'A' | b'a', b' ' | b'\t']) = text.get(at..at + 2) else { return false };
        at += 2;
        space(&mut at);
        let Some((octets, used)) = dotted_quad(&text[at..]) else { return false };
        at += used;
        space(&mut at);
        match text.get(at) {
            None => {}
            Some(b'\n') => at += 1,
            Some(b'\r') if text.get(at + 1) == Some(&b'\n') => at += 2,
            _ => return false,
        }
        if scope.owner.set(name).is_err() || scope.owner.len() != name.len() {
            // The long way says what is wrong with the name.
            return false;
        }
        scope.known = Known::Yes;
        if explicit.is_some() {
            scope.last_ttl = explicit;
        }
        let ttl = explicit.map(|ttl| self.dialect.ttl(ttl)).or(scope.default_ttl).or(scope.last_ttl);
        let position = TextPosition { line: lexer.line, column: 1 };
        self.sink.record(RecordRef { owner: &scope.owner, rtype: 1, ttl, rdata: &octets, at: position });
        self.read.records += 1;
        lexer.at = at;
        lexer.line += 1;
        lexer.line_start = at;
        true
    }
}

/// The part of a line before the RDATA.
struct Head {
    ttl: Option<u32>,
    rtype: u16,
    type_spot: TextSpot,
    /// Tokens of it.
    taken: usize,
}

/// Reads TTL and class, in either order and both optional, and the type.
fn record_head(file: File<'_>, owner: Option<Token>, tokens: &[Token]) -> TextResult<Head> {
    let mut head_ttl = None;
    let mut class = false;
    for (index, token) in tokens.iter().enumerate() {
        let word = token.raw(file.text);
        if token.form != Form::Plain {
            return Err(TextError::new(
                token.spot,
                format!("`{}` stands where the type is expected", shown(word)),
                "write it without quotes",
            ));
        }
        if windows::is_age(word) {
            continue;
        }
        if head_ttl.is_none() && word[0].is_ascii_digit() {
            head_ttl = Some(ttl(file.text, *token)?);
            continue;
        }
        if let Some(code) = class_code(word).filter(|_| !class) {
            if code != 1 {
                return Err(TextError::new(token.spot, format!("class {} is not served", shown(word)), "only IN is"));
            }
            class = true;
            continue;
        }
        let Some(rtype) = type_code_of(word) else {
            return Err(unknown_type(*token, word));
        };
        if is_meta(rtype) {
            return Err(TextError::new(token.spot, format!("{} is not a type of zone data", type_name(rtype)), ""));
        }
        return Ok(Head { ttl: head_ttl, rtype, type_spot: token.spot, taken: index + 1 });
    }
    let last = tokens.last().or(owner.as_ref()).map_or(TextSpot::default(), |token| token.spot);
    Err(TextError::new(
        last,
        "the record ends before its type",
        "`owner [TTL] [IN] TYPE data` is expected; the same owner again is a space in the first column",
    ))
}

fn unknown_type(token: Token, word: &[u8]) -> Box<TextError> {
    let upper = String::from_utf8_lossy(word).to_ascii_uppercase();
    let near = mnemonics()
        .map(|name| (strsim::damerau_levenshtein(name, &upper), name))
        .min()
        .filter(|(distance, name)| *distance < name.len().min(3));
    let help = match near {
        _ if class_code(word).is_some() => "the class is written once, before the type".to_owned(),
        _ if matches!(upper.as_str(), "ALIAS" | "ANAME") => {
            "an alias at the apex is not a type of DNS: write the A and AAAA records".to_owned()
        }
        Some((_, name)) => format!("did you mean {name}?"),
        None => "a type that has no mnemonic is written as in `TYPE65400 \\# 4 0A000001`".to_owned(),
    };
    TextError::new(token.spot, format!("unknown type `{}`", shown(word)), help)
}

/// The class of a mnemonic or of RFC 3597's `CLASSnnn`.
fn class_code(word: &[u8]) -> Option<u16> {
    const CLASSES: [(&[u8], u16); 5] = [(b"IN", 1), (b"CS", 2), (b"CH", 3), (b"HS", 4), (b"NONE", 254)];
    if let Some((_, code)) = CLASSES.iter().find(|(name, _)| name.eq_ignore_ascii_case(word)) {
        return Some(*code);
    }
    let (class, digits) = word.split_at_checked(5)?;
    if !class.eq_ignore_ascii_case(b"CLASS") {
        return None;
    }
    decimal(digits).and_then(|code| u16::try_from(code).ok())
}

fn ttl(text: &[u8], token: Token) -> TextResult<u32> {
    let raw = token.content(text);
    let Some(value) = seconds(raw) else {
        let help = if super::rdata::is_address(raw) {
            "an address stands behind its type; the same owner again is a space in the first column"
        } else {
            "seconds are expected, or units as in `1h30m`"
        };
        return Err(TextError::new(token.spot, format!("`{}` is not a TTL", shown(raw)), help));
    };
    if value > MAX_TTL {
        return Err(TextError::new(
            token.spot,
            format!("TTL `{}` is too long", shown(raw)),
            format!("at most {MAX_TTL} seconds (RFC 2181 section 8)"),
        ));
    }
    Ok(value)
}

/// The one argument of a directive.
fn only(text: &[u8], word: Token, rest: &[Token], what: &str) -> TextResult<Token> {
    let directive = shown(word.raw(text)).to_ascii_uppercase();
    match rest {
        [token] => Ok(*token),
        [] => Err(TextError::new(word.spot, format!("{directive} lacks {what}"), "")),
        [_, extra, ..] => Err(TextError::new(
            extra.spot,
            format!("`{}` is more than {directive} takes", shown(extra.raw(text))),
            "a comment begins with `;`",
        )),
    }
}

/// `10.20.1.4` at the start of `text`: the octets, and how many characters they take. No leading zeroes: some read them as octal.
fn dotted_quad(text: &[u8]) -> Option<([u8; 4], usize)> {
    let mut octets = [0u8; 4];
    let mut at = 0;
    for (index, octet) in octets.iter_mut().enumerate() {
        let mut value = 0u32;
        let start = at;
        while let Some(digit) = text.get(at).filter(|byte| byte.is_ascii_digit()) {
            value = value * 10 + u32::from(digit - b'0');
            at += 1;
            if at - start > 3 {
                return None;
            }
        }
        if at == start || value > 255 || (at - start > 1 && text[start] == b'0') {
            return None;
        }
        *octet = value as u8;
        if index < 3 {
            if text.get(at) != Some(&b'.') {
                return None;
            }
            at += 1;
        }
    }
    Some((octets, at))
}
