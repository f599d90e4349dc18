//! Sections and keys that a configuration does not have, each with a suggestion.

use toml::de::{DeArray, DeTable, DeValue};

use crate::diagnostic::did_you_mean;
use crate::key::{KeySection, SectionForm};
use crate::keys;
use crate::problems::ConfigProblems;

/// Reports top-level tables and keys that belong to no section, and keys that their section does
/// not have.
pub(crate) fn check(document: &DeTable<'_>, problems: &mut ConfigProblems<'_>) {
    for (name, value) in document {
        match keys::SECTIONS.iter().find(|section| section.name == name.get_ref().as_ref()) {
            Some(section) => check_tables(section, value.get_ref(), problems),
            None => unknown_section(name.get_ref(), name.span().start, value.get_ref(), problems),
        }
    }
}

fn unknown_section(name: &str, at: usize, value: &DeValue<'_>, problems: &mut ConfigProblems<'_>) {
    let tables = |items: &DeArray<'_>| items.iter().any(|item| item.get_ref().is_table());
    let is_section = value.is_table() || value.as_array().is_some_and(tables);
    let kind = if is_section { "section" } else { "key" };
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
    problems.error(at, format!("unknown {kind} `{name}`"), help);
}

/// Checks every table of a section. A value of another type is reported when the section is read.
fn check_tables(section: &KeySection, value: &DeValue<'_>, problems: &mut ConfigProblems<'_>) {
    match value {
        DeValue::Table(table) => check_keys(section, table, problems),
        DeValue::Array(items) if section.form != SectionForm::Table => {
            items.iter().filter_map(|item| item.get_ref().as_table()).for_each(|table| check_keys(section, table, problems));
        }
        _ => {}
    }
}

fn check_keys(section: &KeySection, table: &DeTable<'_>, problems: &mut ConfigProblems<'_>) {
    for (name, value) in table {
        let text = name.get_ref().as_ref();
        if section.key(text).is_none() {
            let names = section.keys.iter().map(|key| key.name());
            let help = match did_you_mean(&text.to_lowercase().replace('_', "-"), names.clone()) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => belongs_to(text)
                    .unwrap_or_else(|| format!("its keys are {}", names.map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", "))),
            };
            problems.error(name.span().start, format!("unknown key `{text}` in `{}`", section.header()), help);
        } else if text == keys::upstream::SECTION.name && value.get_ref().is_array() {
            check_tables(&keys::upstream::SECTION, value.get_ref(), problems);
        }
    }
}

/// Returns the sections that have a key of this name.
fn belongs_to(key: &str) -> Option<String> {
    let sections: Vec<_> =
        keys::SECTIONS.iter().filter(|section| section.key(key).is_some()).map(|section| format!("`{}`", section.header())).collect();
    (!sections.is_empty()).then(|| format!("`{key}` is a key of {}", sections.join(" and ")))
}
