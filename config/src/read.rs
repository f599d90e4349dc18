//! TOML with positions: tables are read key by key, and each problem is stored with its line.

use std::path::Path;

use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use crate::diagnostic::{Diagnostic, Lines, Severity, did_you_mean};
use crate::file::{self, File};
use crate::key::{Absent, AnyKey, Default, Field, Kind, Required, Section};
use crate::keys;

/// Problems found in a file so far.
pub(crate) struct Problems<'a> {
    lines: Lines<'a>,
    directory: &'a Path,
    list: Vec<(usize, Diagnostic)>,
    /// The file and those that it names, in the order of reading.
    files: Vec<File>,
    /// Set if the file is not valid TOML. A key may then only appear to be missing.
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
        Self { lines: Lines::new(file, text), directory, list: Vec::new(), files: Vec::new(), broken: false }
    }

    /// Reads a file that the configuration names, and adds it to the watched files.
    pub(crate) fn read(&mut self, path: &Path) -> std::io::Result<String> {
        let bytes = file::read(path);
        self.has_file(File::of(path, &bytes));
        String::from_utf8(bytes?).map_err(|_| std::io::Error::other("not UTF-8 text"))
    }

    /// Adds a file to the watched files. For a file that is added twice, the first content counts,
    /// so that a change in between is detected.
    pub(crate) fn has_file(&mut self, file: File) {
        if !self.files.iter().any(|other| other.path == file.path) {
            self.files.push(file);
        }
    }

    /// Returns the files that were read or that must be watched, in that order.
    pub(crate) fn take_files(&mut self) -> Vec<File> {
        std::mem::take(&mut self.files)
    }

    /// Returns the directory that relative paths are resolved from.
    pub(crate) fn directory(&self) -> &Path {
        self.directory
    }

    pub(crate) fn error(&mut self, at: usize, message: impl Into<String>, help: impl Into<String>) {
        self.list.push((at, self.lines.error(at, message, help)));
    }

    /// Reports a warning, unless there is an error at the same position, which must be fixed first.
    pub(crate) fn warning(&mut self, at: usize, message: impl Into<String>, help: impl Into<String>) {
        if self.list.iter().any(|(other, problem)| *other == at && problem.severity == Severity::Error) {
            return;
        }
        let problem = self.lines.error(at, message, help);
        self.list.push((at, Diagnostic { severity: Severity::Warning, ..problem }));
    }

    /// Adds the problems of another file.
    pub(crate) fn append(&mut self, at: usize, problems: Vec<Diagnostic>) {
        self.list.extend(problems.into_iter().map(|problem| (at, problem)));
    }

    /// Returns the 1-based line of a byte offset.
    pub(crate) fn line(&self, at: usize) -> u32 {
        self.lines.position(at).0
    }

    pub(crate) fn has_errors(&self) -> bool {
        self.list.iter().any(|(_, problem)| problem.severity == Severity::Error)
    }

    /// Returns all problems in the order of the file.
    pub(crate) fn into_list(mut self) -> Vec<Diagnostic> {
        self.list.sort_by_key(|(at, _)| *at);
        self.list.into_iter().map(|(_, problem)| problem).collect()
    }

    /// Reports top-level tables and keys that belong to no section.
    pub(crate) fn check_sections(&mut self, document: &DeTable<'_>) {
        for (name, value) in document {
            let at = name.span().start;
            let name = name.get_ref().as_ref();
            if keys::SECTIONS.iter().any(|section| section.name == name) {
                continue;
            }
            let tables = |items: &DeArray<'_>| items.iter().any(|item| item.get_ref().is_table());
            let section = value.get_ref().is_table() || value.get_ref().as_array().is_some_and(tables);
            let what = if section { "section" } else { "key" };
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

    /// Returns the one table of a section. Returns `None` if the file does not contain it.
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

    /// Returns the tables of a list section with their positions.
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
    /// Starts reading a table, and reports keys that its section does not have.
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

    /// Returns the value of a key, or its default.
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

    /// Returns the value of an optional key.
    pub(crate) fn option<K: Kind>(&mut self, key: &Absent<K>) -> Option<K::Out> {
        let value = self.find(key)?;
        key.kind.read(value, Field { name: key.name, example: key.example }, self.problems)
    }

    /// Returns the value of a required key.
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

    /// Returns the position of a key's value. Returns `None` if the key is absent.
    pub(crate) fn place(&self, key: &dyn AnyKey) -> Option<usize> {
        self.find(key).map(|value| value.span().start)
    }

    /// Returns the problems, for use between two keys.
    pub(crate) fn problems(&mut self) -> &mut Problems<'a> {
        self.problems
    }

    fn find(&self, key: &dyn AnyKey) -> Option<&'r Spanned<DeValue<'r>>> {
        debug_assert!(self.section.key(key.name()).is_some(), "`{}` is in `{}`", key.name(), self.section.name);
        self.table?.get(key.name())
    }
}

/// Returns the sections that have a key of this name.
fn belongs_to(key: &str) -> Option<String> {
    let sections: Vec<_> =
        keys::SECTIONS.iter().filter(|section| section.key(key).is_some()).map(|section| format!("`{}`", section.header())).collect();
    (!sections.is_empty()).then(|| format!("`{key}` is a key of {}", sections.join(" and ")))
}
