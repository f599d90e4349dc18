//! TOML with positions: tables are read key by key, and each problem is stored with its line.

use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::key::{AnyKey, DefaultKey, KeyRule, KeySection, KeyUse, OptionalKey, RequiredKey, ValueKind};
use crate::problems::ConfigProblems;

/// Reads one table of the file.
pub(crate) struct TableReader<'r, 'a> {
    section: &'static KeySection,
    table: Option<&'r DeTable<'r>>,
    at: usize,
    problems: &'r mut ConfigProblems<'a>,
}

impl<'r, 'a> TableReader<'r, 'a> {
    /// Starts reading a table, and reports keys that break the rules of its section.
    pub(crate) fn open(
        section: &'static KeySection,
        table: Option<&'r DeTable<'r>>,
        at: usize,
        problems: &'r mut ConfigProblems<'a>,
    ) -> Self {
        let mut reader = Self { section, table, at, problems };
        if table.is_some() {
            section.rules.iter().for_each(|rule| reader.check(rule));
        }
        reader
    }

    /// Returns the one key that the table has of the [`KeyRule::OneOf`] with this key. Returns `None`
    /// if it has several of them or none, which is a problem already reported.
    pub(crate) fn chosen(&self, one: &dyn AnyKey) -> Option<&'static str> {
        let group = self.section.rules.iter().find_map(|rule| match rule {
            KeyRule::OneOf { keys, .. } if keys.contains(&one.name()) => Some(*keys),
            _ => None,
        })?;
        let mut given = group.iter().filter(|key| self.given(key).is_some());
        given.next().filter(|_| given.next().is_none()).copied()
    }

    fn check(&mut self, rule: &'static KeyRule) {
        match rule {
            KeyRule::OneOf { keys, rule, missing: (message, help) } => {
                let mut given: Vec<_> = keys.iter().filter_map(|key| Some((self.given(key)?, format!("`{key}`")))).collect();
                given.sort_unstable();
                match given.as_slice() {
                    [] if !self.problems.broken => self.problems.error(self.at, *message, *help),
                    [] | [_] => {}
                    [.., (at, last)] => {
                        let others: Vec<&str> = given[..given.len() - 1].iter().map(|(_, key)| key.as_str()).collect();
                        let message = format!("{rule}, and {} is already given", others.join(", "));
                        self.problems.error(*at, message, format!("remove {last} or {}", others.join(", ")));
                    }
                }
            }
            KeyRule::NotBoth { keys: [first, second], message, help } => {
                if let (Some(_), Some(at)) = (self.given(first), self.given(second)) {
                    self.problems.error(at, *message, *help);
                }
            }
            KeyRule::Needs { key, needed } => {
                if let (Some(at), None) = (self.given(key), self.given(needed)) {
                    self.problems.error(at, format!("`{key}` needs `{needed}`"), format!("add `{needed}`, or remove `{key}`"));
                }
            }
        }
    }

    /// Returns the position of a key's value. Returns `None` if the key is absent, or is a switch
    /// that is `false`.
    fn given(&self, name: &str) -> Option<usize> {
        let key = self.section.key(name)?;
        let value = self.find(key)?;
        (!key.is_switch() || value.get_ref().as_bool() != Some(false)).then(|| value.span().start)
    }

    /// Returns the value of a key, or its default.
    pub(crate) fn value<K: ValueKind>(&mut self, key: &DefaultKey<K>) -> K::Out {
        let field = KeyUse { name: key.name, example: key.default };
        if let Some(value) = self.find(key)
            && let Some(read) = key.kind.read(value, field, self.problems)
        {
            return read;
        }
        let mut none = ConfigProblems::new(Path::new(""), key.default);
        let value = DeValue::parse(key.default).expect("a test reads every default");
        key.kind.read(&value, field, &mut none).expect("a test reads every default")
    }

    /// Returns the value of an optional key.
    pub(crate) fn option<K: ValueKind>(&mut self, key: &OptionalKey<K>) -> Option<K::Out> {
        let value = self.find(key)?;
        key.kind.read(value, KeyUse { name: key.name, example: key.example }, self.problems)
    }

    /// Returns the value of a required key.
    pub(crate) fn required<K: ValueKind>(&mut self, key: &RequiredKey<K>) -> Option<K::Out> {
        let field = KeyUse { name: key.name, example: key.example };
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
    pub(crate) fn problems(&mut self) -> &mut ConfigProblems<'a> {
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
    section: &'static KeySection,
    problems: &mut ConfigProblems<'_>,
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
    section: &'static KeySection,
    problems: &mut ConfigProblems<'_>,
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
