//! Values that are one of a few words.

use std::time::Duration;

use serde_json::{Value, json};
use toml::Spanned;
use toml::de::DeValue;

use super::{string, which_word, wrong_type};
use crate::key::{KeyUse, ValueKind};
use crate::model;
pub(crate) use crate::model::{LogFormat, OnMissing, OtherTypes, SourceFormat, UpstreamDenial, UpstreamOrder};
use crate::problems::ConfigProblems;

/// One word of a fixed set.
pub(crate) struct OneOf<T: 'static> {
    pub(crate) words: &'static [ChoiceWord<T>],
}

/// A word and its value.
pub(crate) struct ChoiceWord<T> {
    pub(crate) text: &'static str,
    pub(crate) value: T,
    pub(crate) about: &'static str,
}

/// A word that stands for several zones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ZonePreset {
    HealthDataServices,
    HealthDataServicesUsGov,
}

/// `true`, `false` or `"private-clients"`.
pub(crate) struct RecursionChoice;

/// `"all"`, `"first"` or `"every 5m"`.
pub(crate) struct RepeatChoice;

pub(super) const fn word<T>(text: &'static str, value: T, about: &'static str) -> ChoiceWord<T> {
    ChoiceWord { text, value, about }
}

impl SourceFormat {
    pub(crate) const WORDS: [ChoiceWord<Self>; 4] = [
        word("auto", Self::Auto, "detected from its name and its first bytes"),
        word("zone", Self::Zone, "a zone file (RFC 1035), `az network private-dns zone export` included"),
        word("hosts", Self::Hosts, "lines of `address name…`, such as the hosts file of the Azure portal"),
        word("azure", Self::Azure, "JSON of Azure, Windows DNS, or Route 53"),
    ];
}

impl OnMissing {
    pub(crate) const WORDS: [ChoiceWord<Self>; 3] = [
        word("public", Self::Public, "the name is resolved in public DNS (Azure: `NxDomainRedirect`)"),
        word("nxdomain", Self::Nxdomain, "NXDOMAIN (Azure: `Default`)"),
        word("servfail", Self::Servfail, "SERVFAIL"),
    ];

    /// Returns the word of the configuration for this value.
    pub fn word(self) -> &'static str {
        Self::WORDS.iter().find(|word| word.value == self).map_or("", |word| word.text)
    }

    /// Returns the default policy of a zone. Azure resolves missing names of a private-link zone
    /// through the public DNS if a link requests it. Other zones have no public counterpart.
    pub fn usual(is_private_link: bool) -> Self {
        if is_private_link { Self::Public } else { Self::Nxdomain }
    }

    /// Returns the policy with this name.
    pub fn of_word(text: &str) -> Option<Self> {
        Self::WORDS.iter().find(|word| word.text == text).map(|word| word.value)
    }
}

impl OtherTypes {
    pub(crate) const WORDS: [ChoiceWord<Self>; 2] = [
        word("nodata", Self::NoData, "NODATA"),
        word(
            "public",
            Self::Public,
            "the answer that the name has without the override, its other address family and its HTTPS record included",
        ),
    ];

    /// Returns the word of the configuration for this value.
    pub fn word(self) -> &'static str {
        Self::WORDS.iter().find(|word| word.value == self).map_or("", |word| word.text)
    }
}

impl UpstreamOrder {
    pub(crate) const WORDS: [ChoiceWord<Self>; 2] = [
        word("order", Self::Order, "the order of the list, with the next one if one fails"),
        word("latency", Self::Latency, "the fastest one first"),
    ];
}

impl UpstreamDenial {
    pub(crate) const WORDS: [ChoiceWord<Self>; 2] =
        [word("nxdomain", Self::Nxdomain, "the name does not exist"), word("nodata", Self::Nodata, "the name lacks the type")];
}

impl LogFormat {
    pub(crate) const WORDS: [ChoiceWord<Self>; 2] =
        [word("text", Self::Text, "for people"), word("json", Self::Json, "one JSON object a line")];
}

impl<T: Copy + Sync> ValueKind for OneOf<T> {
    type Out = T;

    fn read(&self, value: &Spanned<DeValue<'_>>, field: KeyUse<'_>, problems: &mut ConfigProblems<'_>) -> Option<T> {
        let text = string(&self.words_in_short(), value, field, problems)?;
        let known = self.words.iter().find(|word| word.text == text);
        if known.is_none() {
            let message = format!("`{}` must be {}, found `{text}`", field.name, self.words_in_short());
            problems.error(value.span().start, message, which_word(text, self.words.iter().map(|word| word.text)));
        }
        known.map(|word| word.value)
    }

    fn shape(&self) -> String {
        let words: Vec<_> = self.words.iter().map(|word| format!("`\"{}\"`: {}", word.text, word.about)).collect();
        words.join("; ")
    }

    fn schema(&self) -> Value {
        json!({"enum": self.words.iter().map(|word| word.text).collect::<Vec<_>>()})
    }
}

impl<T> OneOf<T> {
    fn words_in_short(&self) -> String {
        let words: Vec<_> = self.words.iter().map(|word| format!("`{}`", word.text)).collect();
        match words.split_last() {
            Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
            _ => words.join(""),
        }
    }
}

impl ValueKind for RecursionChoice {
    type Out = model::RecursionPolicy;

    fn read(&self, value: &Spanned<DeValue<'_>>, field: KeyUse<'_>, problems: &mut ConfigProblems<'_>) -> Option<model::RecursionPolicy> {
        match value.get_ref() {
            DeValue::Boolean(true) => Some(model::RecursionPolicy::Yes),
            DeValue::Boolean(false) => Some(model::RecursionPolicy::No),
            DeValue::String(text) if text == "private-clients" => Some(model::RecursionPolicy::PrivateClients),
            DeValue::String(text) => {
                let help = match text.as_ref() {
                    "true" | "yes" | "on" => "write `true`, without quotes".into(),
                    "false" | "no" | "off" => "write `false`, without quotes".into(),
                    _ => which_word(text, ["true", "false", "private-clients"].into_iter()),
                };
                problems.error(value.span().start, format!("`{}` must be {}, found \"{text}\"", field.name, self.shape()), help);
                None
            }
            _ => {
                wrong_type(&self.shape(), value, field, problems);
                None
            }
        }
    }

    fn shape(&self) -> String {
        "`true`, `false` or `\"private-clients\"`".into()
    }

    fn schema(&self) -> Value {
        json!({"enum": [true, false, "private-clients"]})
    }
}

impl ValueKind for RepeatChoice {
    type Out = model::RepeatPolicy;

    fn read(&self, value: &Spanned<DeValue<'_>>, field: KeyUse<'_>, problems: &mut ConfigProblems<'_>) -> Option<model::RepeatPolicy> {
        let text = string(&self.shape(), value, field, problems)?;
        let repeat = match text {
            "all" => Some(model::RepeatPolicy::All),
            "first" => Some(model::RepeatPolicy::First),
            _ => text.strip_prefix("every ").and_then(time).map(model::RepeatPolicy::Every),
        };
        if repeat.is_none() {
            let help = if text.starts_with("every") {
                "write a time from 1s to 7d, such as `\"every 5m\"`".into()
            } else {
                which_word(text, ["all", "first", "every 5m"].into_iter())
            };
            problems.error(value.span().start, format!("`{}` must be {}, found `{text}`", field.name, self.shape()), help);
        }
        repeat
    }

    fn shape(&self) -> String {
        "`\"all\"`, `\"first\"` or `\"every TIME\"`, 1s to 7d".into()
    }

    fn schema(&self) -> Value {
        json!({"anyOf": [{"enum": ["all", "first"]}, {"type": "string", "pattern": "^every [0-9]+(s|m|h|d)$"}]})
    }
}

/// Parses a duration from one second to one week.
fn time(text: &str) -> Option<Duration> {
    let unit = match text.chars().last()? {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => return None,
    };
    let seconds = text[..text.len() - 1].parse::<u64>().ok()?.checked_mul(unit)?;
    (1..=7 * 86_400).contains(&seconds).then(|| Duration::from_secs(seconds))
}
