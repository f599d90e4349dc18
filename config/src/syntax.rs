//! Syntax errors of a TOML text, all reported in one run.
//!
//! The parser's own recovery treats everything after a missing bracket as its content. Instead,
//! each error is reported once and its statement is blanked, which preserves all positions. Then
//! the text is parsed again.

use std::net::IpAddr;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::key::SectionForm;
use crate::keys;
use crate::problems::ConfigProblems;

/// Maximum number of errors reported for one file. A file with more of them is probably not TOML at
/// all.
const MOST: usize = 50;

/// Reports syntax errors, and returns the text without the affected statements.
pub(crate) fn readable(text: &str, problems: &mut ConfigProblems<'_>) -> String {
    let mut text = text.to_string();
    for _ in 0..MOST {
        let mistake = {
            let (document, errors) = DeTable::parse_recoverable(&text);
            let first = errors.iter().min_by_key(|error| error.span().map_or(0, |span| span.start));
            let Some(error) = first else { break };
            problems.broken = true;
            Mistake::new(&text, document.get_ref(), error)
        };
        problems.error(mistake.at, mistake.message, mistake.help);
        if text[mistake.from..mistake.to].trim().is_empty() {
            return String::new(); // the error has no position, so no statement can be removed
        }
        let blank: String = text[mistake.from..mistake.to].bytes().map(|octet| if octet == b'\n' { '\n' } else { ' ' }).collect();
        text.replace_range(mistake.from..mistake.to, &blank);
    }
    if DeTable::parse(&text).is_err() { String::new() } else { text }
}

/// One syntax error, and the lines that it makes unreadable.
struct Mistake {
    at: usize,
    message: String,
    help: String,
    from: usize,
    to: usize,
}

impl Mistake {
    fn new(text: &str, document: &DeTable<'_>, error: &toml::de::Error) -> Self {
        let span = error.span().unwrap_or(0..0);
        let at = floor(text, span.start);
        let open = literal_around(document, text, at);
        let begins = line_start(text, open.as_ref().map_or(at, |(_, start)| *start));
        if let Some((key, start)) = open
            && line_start(text, at) > begins
            && (at >= text.trim_end().len() || is_statement(&text[line_start(text, at)..]))
        {
            let (bracket, close) = if text[start..].starts_with('{') { ("{", "}") } else { ("[", "]") };
            let message = format!("`{key}` opens `{bracket}` here and never closes it");
            return Self { at: start, message, help: format!("write the closing `{close}`"), from: begins, to: statement_end(text, start) };
        }
        let (place, message, help) = explain(error.message(), text, at, floor(text, span.end.max(at)));
        // The keys after an unreadable header belong to no known section.
        let to = if text[begins..].trim_start().starts_with('[') { section_end(text, at) } else { statement_end(text, at) };
        Self { at: place, message, help, from: begins, to }
    }
}

/// Returns the outermost list or inline table around `at`: its key and its start.
fn literal_around(table: &DeTable<'_>, text: &str, at: usize) -> Option<(String, usize)> {
    let around = |value: &Spanned<DeValue<'_>>| value.span().start < at && at <= value.span().end;
    table.iter().find_map(|(key, value)| {
        let start = value.span().start;
        let behind_equals = text[..floor(text, start)].trim_end().ends_with('=');
        match value.get_ref() {
            DeValue::Array(_) | DeValue::Table(_) if behind_equals => around(value).then(|| (key.get_ref().to_string(), start)),
            DeValue::Table(table) => literal_around(table, text, at),
            DeValue::Array(items) => items.iter().find_map(|item| literal_around(item.get_ref().as_table()?, text, at)),
            _ => None,
        }
    })
}

/// Translates a message of the parser, with its position, and adds help for known mistakes.
fn explain(message: &str, text: &str, at: usize, end: usize) -> (usize, String, String) {
    let word_part = |c: char| c.is_alphanumeric() || "-_.:/".contains(c);
    let before = text[..at].chars().rev().take_while(|c| word_part(*c)).map(char::len_utf8).sum::<usize>();
    let after = text[at..].chars().take_while(|c| word_part(*c)).map(char::len_utf8).sum::<usize>();
    let word = &text[at - before..at + after];
    if message == "duplicate key" {
        let list = keys::SECTIONS.iter().any(|section| section.name == word && section.form == SectionForm::List);
        let help = if list { format!("write `[[{word}]]` above each") } else { "keep one of them".into() };
        return (at, format!("duplicate key `{word}`"), help);
    }
    let unquoted = message.starts_with("string values must be quoted");
    let address = word.split('/').next().unwrap_or(word);
    let address = address.parse::<IpAddr>().is_ok() || address.rsplit_once(':').is_some_and(|(front, _)| front.parse::<IpAddr>().is_ok());
    let unit = word.len() > 1 && word.starts_with(|c: char| c.is_ascii_digit()) && word.ends_with(|c: char| c.is_ascii_alphabetic());
    if unquoted || address || unit {
        let word = if unquoted && end > at { text[at..end].trim() } else { word };
        if word.contains(' ') {
            return (at, format!("TOML: `{word}` is no value"), "write strings in quotes, and one `key = value` a line".into());
        }
        return (at - before, format!("TOML: `{word}` is a string without quotes"), format!("write `\"{word}\"`"));
    }
    let help = if message.contains("basic string") { "write the closing `\"`" } else { "" };
    (at, format!("TOML: {message}"), help.into())
}

/// Returns the start of the line that contains `at`.
fn line_start(text: &str, at: usize) -> usize {
    text[..floor(text, at)].rfind('\n').map_or(0, |end| end + 1)
}

/// Returns the start of the next statement after the line of `at`.
fn statement_end(text: &str, at: usize) -> usize {
    line_starts(text, at).find(|start| is_statement(&text[*start..])).unwrap_or(text.len())
}

/// Returns the start of the next table header after the line of `at`.
fn section_end(text: &str, at: usize) -> usize {
    line_starts(text, at).find(|start| text[*start..].trim_start_matches([' ', '\t']).starts_with('[')).unwrap_or(text.len())
}

/// Returns the starts of the lines after the one that contains `at`.
fn line_starts(text: &str, at: usize) -> impl Iterator<Item = usize> {
    let at = floor(text, at);
    text[at..].match_indices('\n').map(move |(end, _)| at + end + 1)
}

/// Returns true if a line starts like a header or like `key =`.
fn is_statement(line: &str) -> bool {
    let line = line.trim_start_matches([' ', '\t']);
    let key = line.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || "-_.".contains(c));
    line.starts_with('[') || (key.len() < line.len() && key.trim_start_matches([' ', '\t']).starts_with('='))
}

/// Returns the start of the character at a byte offset.
fn floor(text: &str, at: usize) -> usize {
    text.floor_char_boundary(at)
}
