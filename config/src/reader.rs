//! TOML with positions: tables are read key by key, and each problem is stored with its line.

use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::key::{Absent, AnyKey, Default, Field, Kind, Required, Section};
use crate::problems::Problems;

/// Reads one table of the file.
pub(crate) struct Reader<'r, 'a> {
    section: &'static Section,
    table: Option<&'r DeTable<'r>>,
    at: usize,
    problems: &'r mut Problems<'a>,
}

impl<'r, 'a> Reader<'r, 'a> {
    /// Starts reading a table.
    pub(crate) fn open(section: &'static Section, table: Option<&'r DeTable<'r>>, at: usize, problems: &'r mut Problems<'a>) -> Self {
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

/// Returns the one table of a section. Returns `None` if the file does not contain it.
pub(crate) fn table<'t>(
    document: &'t DeTable<'t>,
    section: &'static Section,
    problems: &mut Problems<'_>,
) -> Option<(usize, &'t DeTable<'t>)> {
    let (name, value) = document.get_key_value(section.name)?;
    match value.get_ref() {
        DeValue::Table(table) => Some((name.span().start, table)),
        _ => {
            let header = section.header();
            problems.error(name.span().start, format!("`{}` is one table", section.name), format!("write `{header}` above its keys"));
            None
        }
    }
}

/// Returns the tables of a list section with their positions.
pub(crate) fn tables<'t>(
    document: &'t DeTable<'t>,
    section: &'static Section,
    problems: &mut Problems<'_>,
) -> Vec<(usize, &'t DeTable<'t>)> {
    let Some((name, value)) = document.get_key_value(section.name) else { return Vec::new() };
    let help = format!("write `{}` above the keys of each", section.header());
    let message = format!("`{}` is a list of tables", section.name);
    let mut tables = Vec::new();
    match value.get_ref() {
        DeValue::Array(items) => {
            for item in items {
                match item.get_ref() {
                    DeValue::Table(table) => tables.push((item.span().start, table)),
                    _ => problems.error(item.span().start, message.clone(), help.clone()),
                }
            }
        }
        DeValue::Table(table) => {
            problems.error(name.span().start, message, help);
            tables.push((name.span().start, table));
        }
        _ => problems.error(name.span().start, message, help),
    }
    tables
}
