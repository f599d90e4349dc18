//! TOML with places: tables are read key by key, and whatever is wrong is kept with its line.

use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::diagnostic::{Diagnostic, Lines, Severity, did_you_mean};
use crate::key::{Absent, AnyKey, Default, Field, Kind, Required, Section};
use crate::keys;

/// What is wrong with a file so far.
pub(crate) struct Problems<'a> {
    lines: Lines<'a>,
    directory: &'a Path,
    list: Vec<(usize, Diagnostic)>,
    /// The file is no TOML, so that a key may only seem to be missing.
    pub(crate) broken: bool,
}

/// Reads one table of the file.
pub(crate) struct Reader<'r, 'a> {
    section: &'static Section,
    table: Option<&'r DeTable<'r>>,
    at: usize,
    problems: &'r mut Problems<'a>,
}

impl<'a> Problems<'a> {
    pub(crate) fn new(file: &'a Path, text: &'a str) -> Self {
        let directory = file.parent().unwrap_or(Path::new(""));
        Self { lines: Lines::new(file, text), directory, list: Vec::new(), broken: false }
    }

    /// Directory that paths are taken from.
    pub(crate) fn directory(&self) -> &Path {
        self.directory
    }

    pub(crate) fn error(&mut self, at: usize, message: impl Into<String>, help: impl Into<String>) {
        self.list.push((at, self.lines.error(at, message, help)));
    }

    pub(crate) fn warning(&mut self, at: usize, message: impl Into<String>, help: impl Into<String>) {
        let problem = self.lines.error(at, message, help);
        self.list.push((at, Diagnostic { severity: Severity::Warning, ..problem }));
    }

    /// Problems of another file.
    pub(crate) fn append(&mut self, at: usize, problems: Vec<Diagnostic>) {
        self.list.extend(problems.into_iter().map(|problem| (at, problem)));
    }

    /// 1-based line of a byte offset.
    pub(crate) fn line(&self, at: usize) -> u32 {
        self.lines.position(at).0
    }

    pub(crate) fn has_errors(&self) -> bool {
        self.list.iter().any(|(_, problem)| problem.severity == Severity::Error)
    }

    /// All of them in the order of the file.
    pub(crate) fn into_list(mut self) -> Vec<Diagnostic> {
        self.list.sort_by_key(|(at, _)| *at);
        self.list.into_iter().map(|(_, problem)| problem).collect()
    }

    /// Reads the file as TOML. What can be read of a broken one is read, so that its other problems are told in the same run.
    pub(crate) fn document<'t>(&mut self, text: &'t str) -> DeTable<'t> {
        let (document, errors) = DeTable::parse_recoverable(text);
        let document = document.into_inner();
        let mut errors: Vec<(usize, String)> =
            errors.into_iter().map(|error| (error.span().map_or(0, |span| span.start), error.message().to_string())).collect();
        errors.sort();
        self.broken = !errors.is_empty();
        if let Some((key, open)) =
            errors.iter().any(|(_, message)| message.starts_with("unclosed")).then(|| unclosed(&document, text)).flatten()
        {
            // All that stands behind an open bracket was read as if it were inside: its errors are no news.
            let bracket = if text[open..].starts_with('{') { ("{", "}") } else { ("[", "]") };
            self.error(
                open,
                format!("`{key}` opens `{}` here and never closes it", bracket.0),
                format!("write the closing `{}`", bracket.1),
            );
            return document;
        }
        let mut last = 0;
        for (at, message) in errors {
            let line = self.line(at);
            if line != last {
                let (message, help) = explain(&message, at, text);
                self.error(at, message, help);
            }
            last = line;
        }
        document
    }

    /// Reports the tables and keys at the top that no section has.
    pub(crate) fn check_sections(&mut self, document: &DeTable<'_>) {
        for (name, value) in document {
            let at = name.span().start;
            let name = name.get_ref().as_ref();
            if keys::SECTIONS.iter().any(|section| section.name == name) {
                continue;
            }
            if let Some((_, what)) = keys::PLANNED.iter().find(|(planned, _)| *planned == name) {
                self.error(at, format!("`[{name}]`: this version does not have {what} yet"), "take the section out");
                continue;
            }
            let what = if value.get_ref().is_table() || value.get_ref().is_array() { "section" } else { "key" };
            let help = match did_you_mean(name, keys::SECTIONS.iter().map(|section| section.name)) {
                Some(meant) => {
                    let header = keys::SECTIONS.iter().find(|section| section.name == meant).map(|section| section.header());
                    format!("did you mean `{}`?", header.unwrap_or_default())
                }
                None => belongs_to(name).unwrap_or_else(|| {
                    let sections: Vec<_> = keys::SECTIONS.iter().map(|section| format!("`{}`", section.header())).collect();
                    format!("the sections are {}", sections.join(", "))
                }),
            };
            self.error(at, format!("unknown {what} `{name}`"), help);
        }
    }

    /// The one table of a section; none: the file does not have it.
    pub(crate) fn table<'t>(&mut self, document: &'t DeTable<'t>, section: &'static Section) -> Option<(usize, &'t DeTable<'t>)> {
        let (name, value) = document.get_key_value(section.name)?;
        match value.get_ref() {
            DeValue::Table(table) => Some((name.span().start, table)),
            _ => {
                let header = section.header();
                self.error(name.span().start, format!("`{}` is one table", section.name), format!("write `{header}` above its keys"));
                None
            }
        }
    }

    /// The tables of a list section, with their places.
    pub(crate) fn tables<'t>(&mut self, document: &'t DeTable<'t>, section: &'static Section) -> Vec<(usize, &'t DeTable<'t>)> {
        let Some((name, value)) = document.get_key_value(section.name) else { return Vec::new() };
        let help = format!("write `{}` above the keys of each", section.header());
        let message = format!("`{}` is a list of tables", section.name);
        let mut tables = Vec::new();
        match value.get_ref() {
            DeValue::Array(items) => {
                for item in items {
                    match item.get_ref() {
                        DeValue::Table(table) => tables.push((item.span().start, table)),
                        _ => self.error(item.span().start, message.clone(), help.clone()),
                    }
                }
            }
            DeValue::Table(table) => {
                self.error(name.span().start, message, help);
                tables.push((name.span().start, table));
            }
            _ => self.error(name.span().start, message, help),
        }
        tables
    }
}

impl<'r, 'a> Reader<'r, 'a> {
    /// Starts on a table and reports the keys that its section does not have.
    pub(crate) fn open(section: &'static Section, table: Option<&'r DeTable<'r>>, at: usize, problems: &'r mut Problems<'a>) -> Self {
        for (name, _) in table.into_iter().flatten() {
            let text = name.get_ref().as_ref();
            if section.key(text).is_some() {
                continue;
            }
            let names = section.keys.iter().map(|key| key.name());
            let help = match did_you_mean(&text.to_lowercase().replace('_', "-"), names.clone()) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => belongs_to(text)
                    .unwrap_or_else(|| format!("its keys are {}", names.map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", "))),
            };
            problems.error(name.span().start, format!("unknown key `{text}` in `{}`", section.header()), help);
        }
        Self { section, table, at, problems }
    }

    /// The value of a key, or its default.
    pub(crate) fn value<K: Kind>(&mut self, key: &Default<K>) -> K::Out {
        let field = Field { name: key.name, example: key.default };
        if let Some(value) = self.find(key)
            && let Some(read) = key.kind.read(value, field, self.problems)
        {
            return read;
        }
        let mut none = Problems::new(Path::new(""), key.default);
        let value = DeValue::parse(key.default).expect("a test reads every default");
        key.kind.read(&value, field, &mut none).expect("a test reads every default")
    }

    /// The value of a key that may be absent.
    pub(crate) fn option<K: Kind>(&mut self, key: &Absent<K>) -> Option<K::Out> {
        let value = self.find(key)?;
        key.kind.read(value, Field { name: key.name, example: key.example }, self.problems)
    }

    /// The value of a key that must be there.
    pub(crate) fn required<K: Kind>(&mut self, key: &Required<K>) -> Option<K::Out> {
        let field = Field { name: key.name, example: key.example };
        match self.find(key) {
            Some(value) => key.kind.read(value, field, self.problems),
            None => {
                if !self.problems.broken {
                    self.problems.error(self.at, format!("`{}` lacks `{}`", self.section.header(), key.name), field.help());
                }
                None
            }
        }
    }

    /// Where the value of a key stands; none: it is not there.
    pub(crate) fn place(&self, key: &dyn AnyKey) -> Option<usize> {
        self.find(key).map(|value| value.span().start)
    }

    /// The problems, between two keys.
    pub(crate) fn problems(&mut self) -> &mut Problems<'a> {
        self.problems
    }

    fn find(&self, key: &dyn AnyKey) -> Option<&'r Spanned<DeValue<'r>>> {
        debug_assert!(self.section.key(key.name()).is_some(), "`{}` is in `{}`", key.name(), self.section.name);
        self.table?.get(key.name())
    }
}

/// The sections that do have a key.
fn belongs_to(key: &str) -> Option<String> {
    let sections: Vec<_> =
        keys::SECTIONS.iter().filter(|section| section.key(key).is_some()).map(|section| format!("`{}`", section.header())).collect();
    (!sections.is_empty()).then(|| format!("`{key}` is a key of {}", sections.join(" and ")))
}

/// The outermost list or inline table that is still open where the file ends: its key and its place.
fn unclosed(table: &DeTable<'_>, text: &str) -> Option<(String, usize)> {
    let open = |value: &Spanned<DeValue<'_>>| {
        let start = text.get(value.span().start..).unwrap_or_default();
        let bracket = start.starts_with('{') || (start.starts_with('[') && !header(text, value.span().start));
        bracket && text.get(value.span().end..).is_none_or(|rest| rest.trim().is_empty()) && !closed(text, value)
    };
    for (key, value) in table {
        if open(value) {
            return Some((key.get_ref().to_string(), value.span().start));
        }
        let inner = match value.get_ref() {
            DeValue::Table(table) => unclosed(table, text),
            DeValue::Array(items) => items.iter().find_map(|item| unclosed(item.get_ref().as_table()?, text)),
            _ => None,
        };
        if inner.is_some() {
            return inner;
        }
    }
    None
}

/// True where a `[` at `at` opens a table header: it is the first on its line.
fn header(text: &str, at: usize) -> bool {
    text[..at].rsplit('\n').next().is_none_or(|before| before.trim().is_empty() || before.trim() == "[")
}

/// True where the value has as many closing brackets as opening ones, as far as counting tells.
fn closed(text: &str, value: &Spanned<DeValue<'_>>) -> bool {
    let inside = text.get(value.span()).unwrap_or_default();
    let count = |bracket: char| inside.matches(bracket).count();
    count('[') == count(']') && count('{') == count('}')
}

/// The parser's words in ours, with help where we know better.
fn explain(message: &str, at: usize, text: &str) -> (String, String) {
    let word: String = text.get(at..).unwrap_or_default().chars().take_while(|c| c.is_alphanumeric() || "-_.".contains(*c)).collect();
    match message {
        "duplicate key" => (
            format!("duplicate key `{word}`"),
            match keys::SECTIONS.iter().find(|section| section.name == word) {
                Some(section) if section.list => format!("write `[[{word}]]` above each"),
                _ => "keep one of them".into(),
            },
        ),
        _ if message.starts_with("string values must be quoted") => {
            (format!("TOML: `{word}` is a string without quotes"), format!("write `\"{word}\"`"))
        }
        _ => (format!("TOML: {message}"), String::new()),
    }
}
