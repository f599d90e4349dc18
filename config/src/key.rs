//! The definition of a key: name, kind, default and documentation in one place. The keys themselves
//! are in [`crate::keys`].

use serde_json::Value;
use toml::Spanned;
use toml::de::DeValue;

use crate::problems::ConfigProblems;

pub(crate) use description::{json_value, sentence, table_schema, toml_to_json, words};

mod description;

/// The kind of a key's value.
pub(crate) trait ValueKind: Sync {
    /// Type of the value after parsing.
    type Out;

    /// Reads and checks a value. Returns `None` after reporting a problem.
    fn read(&self, value: &Spanned<DeValue<'_>>, field: KeyUse<'_>, problems: &mut ConfigProblems<'_>) -> Option<Self::Out>;

    /// Describes the kind and its bounds in words: `a duration from 100ms to 1h`.
    fn shape(&self) -> String;

    /// Returns the JSON Schema of the kind.
    fn schema(&self) -> Value;

    /// Returns true if `false` means the same as the absence of the key.
    fn is_switch(&self) -> bool {
        false
    }
}

/// The key that a value belongs to, for messages.
#[derive(Debug, Clone, Copy)]
pub(crate) struct KeyUse<'k> {
    pub(crate) name: &'k str,
    pub(crate) example: &'k str,
}

/// A key that has a default.
pub(crate) struct DefaultKey<K> {
    pub(crate) name: &'static str,
    pub(crate) kind: K,
    /// Default as TOML text.
    pub(crate) default: &'static str,
    pub(crate) doc: &'static str,
}

/// A key without a default, whose absence has its own meaning.
pub(crate) struct OptionalKey<K> {
    pub(crate) name: &'static str,
    pub(crate) kind: K,
    /// Meaning of the absence, in words.
    pub(crate) absent: &'static str,
    /// Example value as TOML text.
    pub(crate) example: &'static str,
    pub(crate) doc: &'static str,
}

/// A required key.
pub(crate) struct RequiredKey<K> {
    pub(crate) name: &'static str,
    pub(crate) kind: K,
    /// Example value as TOML text.
    pub(crate) example: &'static str,
    pub(crate) doc: &'static str,
}

/// A key of any type, for code that lists keys.
pub(crate) trait AnyKey: Sync {
    fn name(&self) -> &'static str;
    fn doc(&self) -> String;
    fn presence(&self) -> KeyPresence;
    /// Value to show as TOML text: the default, or an example if there is none.
    fn example(&self) -> &'static str;
    fn shape(&self) -> String;
    fn schema(&self) -> Value;
    fn is_switch(&self) -> bool;
}

/// Meaning of a missing key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeyPresence {
    /// The default, as TOML text.
    Default(&'static str),
    /// A description in words.
    Absent(&'static str),
    Required,
}

/// A table of the file.
pub(crate) struct KeySection {
    /// Name of the section, without brackets.
    pub(crate) name: &'static str,
    pub(crate) form: SectionForm,
    pub(crate) doc: &'static str,
    pub(crate) keys: &'static [&'static dyn AnyKey],
    /// For a list: the tables that the sample shows, by their keys. `key = value` replaces the
    /// example of a key.
    pub(crate) shown: &'static [&'static [&'static str]],
    /// Rules about keys that depend on each other.
    pub(crate) rules: &'static [KeyRule],
}

/// A rule about keys of one table that depend on each other. The parser and the JSON Schema follow
/// the same rules. A switch counts as given only if it is `true`.
#[derive(Debug)]
pub(crate) enum KeyRule {
    /// The table has exactly one of these keys.
    OneOf {
        keys: &'static [&'static str],
        /// The rule in words, for the message about several keys: `a zone has one writer`.
        rule: &'static str,
        /// Message and help if the table has none of the keys.
        missing: (&'static str, &'static str),
    },
    /// The table has at most one of these two keys. A problem is reported at the second one.
    NotBoth { keys: [&'static str; 2], message: &'static str, help: &'static str },
    /// The table has `needed` if it has `key`.
    Needs { key: &'static str, needed: &'static str },
}

impl KeyRule {
    /// Returns the keys that the rule is about.
    #[cfg(test)]
    pub(crate) fn keys(&self) -> Vec<&'static str> {
        match self {
            Self::OneOf { keys, .. } => keys.to_vec(),
            Self::NotBoth { keys, .. } => keys.to_vec(),
            Self::Needs { key, needed } => vec![key, needed],
        }
    }
}

/// How a section is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SectionForm {
    /// `[name]`, at most once in a file.
    Table,
    /// `[[name]]`, any number of times.
    List,
    /// `name = [{…}]`, inside another section.
    Inline,
}

impl KeySection {
    /// Formats the header: `[server]` or `[[zone]]`.
    pub(crate) fn header(&self) -> String {
        match self.form {
            SectionForm::Table => format!("[{}]", self.name),
            SectionForm::List => format!("[[{}]]", self.name),
            SectionForm::Inline => self.name.into(),
        }
    }

    pub(crate) fn key(&self, name: &str) -> Option<&'static dyn AnyKey> {
        self.keys.iter().copied().find(|key| key.name() == name)
    }
}

/// Returns the lines of a doc comment as paragraphs.
pub(crate) fn paragraphs(doc: &str) -> String {
    doc.lines().map(str::trim).collect::<Vec<_>>().join("\n").trim().to_string()
}

macro_rules! any_key {
    ($type:ident, $presence:expr, $example:expr) => {
        impl<K: ValueKind> AnyKey for $type<K> {
            fn name(&self) -> &'static str {
                self.name
            }
            fn doc(&self) -> String {
                paragraphs(self.doc)
            }
            fn presence(&self) -> KeyPresence {
                $presence(self)
            }
            fn example(&self) -> &'static str {
                $example(self)
            }
            fn shape(&self) -> String {
                self.kind.shape()
            }
            fn schema(&self) -> Value {
                self.kind.schema()
            }
            fn is_switch(&self) -> bool {
                self.kind.is_switch()
            }
        }
    };
}

any_key!(DefaultKey, |key: &DefaultKey<K>| KeyPresence::Default(key.default), |key: &DefaultKey<K>| key.default);
any_key!(OptionalKey, |key: &OptionalKey<K>| KeyPresence::Absent(key.absent), |key: &OptionalKey<K>| key.example);
any_key!(RequiredKey, |_: &RequiredKey<K>| KeyPresence::Required, |key: &RequiredKey<K>| key.example);

/// Defines a section of [`crate::keys`]: a module with a static for each key, and `SECTION`, which
/// lists them.
macro_rules! section {
    (
        $(#[doc = $about:literal])*
        $module:ident = $name:literal, $form:ident, shown: $shown:expr, rules: $rules:expr;
        $( $(#[doc = $doc:literal])* $key:ident $text:literal: $kind:ty = $value:expr, $state:ident { $($field:ident: $words:literal),* }; )*
    ) => {
        $(#[doc = $about])*
        pub(crate) mod $module {
            use super::*;
            $(
                $(#[doc = $doc])*
                pub(crate) static $key: $state<$kind> = $state { name: $text, kind: $value, $($field: $words,)* doc: concat!($($doc, "\n"),*) };
            )*
            pub(crate) static SECTION: KeySection = KeySection {
                name: $name,
                form: SectionForm::$form,
                doc: concat!($($about, "\n"),*),
                keys: &[$(&$key),*],
                shown: $shown,
                rules: $rules,
            };
        }
    };
}
pub(crate) use section;
