//! Kinds of values: their syntax, checks, description in words, and JSON Schema.

use serde_json::{Value, json};
use toml::Spanned;
use toml::de::DeValue;

use crate::diagnostic::did_you_mean;
use crate::key::{KeyUse, ValueKind};
use crate::problems::ConfigProblems;

pub(crate) use azure::{AzureNetworkId, IdentityChoice, ServiceUrl};
pub(crate) use network::{
    ClientPrefix, DomainName, ListenAddress, LogFilter, NetworkName, OverrideText, PathOrNot, PathText, PeerText, ServerAddress,
};
pub(crate) use quantity::{BoundedDuration, BoundedNumber, BoundedTtl, ByteSize, PercentShare, write_millis};
pub(crate) use tsig::{KeyAction, NamePatternText, RecordType, SecretText, TsigAlgorithm, ZoneNameText, secret};
pub use upstream::scoped_address;
pub(crate) use upstream::{ProbeText, QuerySourceText, UpstreamAddress, UpstreamItem, UpstreamList, WrittenUpstream};
pub(crate) use word::{
    ChoiceWord, LogFormat, OnMissing, OneOf, OtherTypes, RecursionChoice, RepeatChoice, SourceFormat, UpstreamDenial, UpstreamOrder,
    ZonePreset,
};

mod azure;
mod network;
mod quantity;
mod tsig;
mod upstream;
mod word;

/// A value with its position in the file, as a byte offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ValueAt<T> {
    pub(crate) value: T,
    pub(crate) at: usize,
}

/// `true` or `false`.
pub(crate) struct TrueOrFalse;

/// Text without line breaks.
pub(crate) struct LineOfText {
    /// Maximum length in octets.
    pub(crate) most: usize,
    /// Description of the text, for messages.
    pub(crate) about: &'static str,
    /// Returns true if the character is allowed.
    pub(crate) good: fn(char) -> bool,
}

/// A list of values of one kind.
pub(crate) struct ListOf<K> {
    pub(crate) of: K,
    /// Minimum number of items: 0 or 1.
    pub(crate) least: usize,
}

/// One value of a kind, or a list of them.
pub(crate) struct OneOrMore<K> {
    pub(crate) of: K,
}

/// Reports that a value has the wrong type.
pub(crate) fn wrong_type(shape: &str, value: &Spanned<DeValue<'_>>, field: KeyUse<'_>, problems: &mut ConfigProblems<'_>) {
    let found = match value.get_ref() {
        DeValue::Array(_) => "a list",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a float",
        DeValue::String(_) => "a string",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date",
        DeValue::Table(_) => "a table",
    };
    let help = match value.get_ref() {
        DeValue::String(text) if field.example.starts_with('[') => format!("write `{} = [\"{text}\"]`", field.name),
        DeValue::String(text) if ["true", "false"].contains(&text.as_ref()) => format!("write `{} = {text}`, without quotes", field.name),
        _ => field.help(),
    };
    problems.error(value.span().start, format!("`{}` must be {shape}, found {found}", field.name), help);
}

impl KeyUse<'_> {
    /// Returns the text of the value as it is written in TOML.
    pub(crate) fn help(&self) -> String {
        format!("write, for example, `{} = {}`", self.name, self.example)
    }
}

/// Returns the string, or reports a problem.
pub(crate) fn string<'v>(
    shape: &str,
    value: &'v Spanned<DeValue<'_>>,
    field: KeyUse<'_>,
    problems: &mut ConfigProblems<'_>,
) -> Option<&'v str> {
    let text = value.get_ref().as_str();
    if text.is_none() {
        wrong_type(shape, value, field, problems);
    }
    text
}

impl ValueKind for TrueOrFalse {
    type Out = bool;

    fn read(&self, value: &Spanned<DeValue<'_>>, field: KeyUse<'_>, problems: &mut ConfigProblems<'_>) -> Option<bool> {
        let on = value.get_ref().as_bool();
        if on.is_none() {
            wrong_type(&self.shape(), value, field, problems);
        }
        on
    }

    fn shape(&self) -> String {
        "`true` or `false`".into()
    }

    fn schema(&self) -> Value {
        json!({"type": "boolean"})
    }

    fn is_switch(&self) -> bool {
        true
    }
}

impl LineOfText {
    /// Returns true for characters of a user or group name.
    pub(crate) fn account(c: char) -> bool {
        c.is_ascii_alphanumeric() || "._-".contains(c)
    }

    /// Returns true for printable ASCII characters.
    pub(crate) fn printable(c: char) -> bool {
        c.is_ascii_graphic() || c == ' '
    }
}

impl ValueKind for LineOfText {
    type Out = String;

    fn read(&self, value: &Spanned<DeValue<'_>>, field: KeyUse<'_>, problems: &mut ConfigProblems<'_>) -> Option<String> {
        let text = string(&self.shape(), value, field, problems)?;
        if let Some(bad) = text.chars().find(|c| !(self.good)(*c)) {
            problems.error(
                value.span().start,
                format!("`{}` must be {}, found the character {bad:?}", field.name, self.shape()),
                field.help(),
            );
            return None;
        }
        if text.is_empty() || text.len() > self.most {
            problems.error(
                value.span().start,
                format!("`{}` must be {}, found {} characters", field.name, self.shape(), text.len()),
                field.help(),
            );
            return None;
        }
        Some(text.into())
    }

    fn shape(&self) -> String {
        format!("{}, 1 to {} characters", self.about, self.most)
    }

    fn schema(&self) -> Value {
        json!({"type": "string", "minLength": 1, "maxLength": self.most})
    }
}

impl<K: ValueKind> ValueKind for ListOf<K> {
    type Out = Vec<ValueAt<K::Out>>;

    fn read(&self, value: &Spanned<DeValue<'_>>, field: KeyUse<'_>, problems: &mut ConfigProblems<'_>) -> Option<Self::Out> {
        let Some(items) = value.get_ref().as_array() else {
            wrong_type(&self.shape(), value, field, problems);
            return None;
        };
        if items.len() < self.least {
            problems.error(value.span().start, format!("`{}` must not be empty", field.name), field.help());
        }
        let read = |item| Some(ValueAt { value: self.of.read(item, field, problems)?, at: item.span().start });
        Some(items.iter().filter_map(read).collect())
    }

    fn shape(&self) -> String {
        format!("a list, each item {}", self.of.shape())
    }

    fn schema(&self) -> Value {
        json!({"type": "array", "items": self.of.schema(), "minItems": self.least})
    }
}

impl<K: ValueKind> ValueKind for OneOrMore<K> {
    type Out = Vec<ValueAt<K::Out>>;

    fn read(&self, value: &Spanned<DeValue<'_>>, field: KeyUse<'_>, problems: &mut ConfigProblems<'_>) -> Option<Self::Out> {
        let read =
            |item, problems: &mut ConfigProblems<'_>| Some(ValueAt { value: self.of.read(item, field, problems)?, at: item.span().start });
        match value.get_ref() {
            DeValue::Array(items) => Some(items.iter().filter_map(|item| read(item, problems)).collect()),
            _ => Some(read(value, problems).into_iter().collect()),
        }
    }

    fn shape(&self) -> String {
        format!("{}, or a list of them", self.of.shape())
    }

    fn schema(&self) -> Value {
        json!({"anyOf": [self.of.schema(), {"type": "array", "items": self.of.schema()}]})
    }
}

/// Returns the help text for a word that is not one of `words`.
pub(crate) fn which_word<'w>(found: &str, words: impl Iterator<Item = &'w str> + Clone) -> String {
    match did_you_mean(&found.to_lowercase().replace('_', "-"), words.clone()) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => format!("write one of {}", words.map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")),
    }
}
