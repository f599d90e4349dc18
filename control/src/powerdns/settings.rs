//! Data that this interface keeps for a zone beside its records: `powerdns` in [`ZoneSettings::extra`], in the zone's journal.

use std::collections::{BTreeMap, HashMap};

use postern_zones::edit::ZoneSettings;
use postern_zones::name::NameBuf;
use postern_zones::text::rdata::type_name;
use serde::{Deserialize, Serialize};

use super::content;
use super::fault::PowerDnsError;
use super::serial::Rule;

/// Under which it is kept.
const KEY: &str = "powerdns";
/// Most text kept beside the records of one zone, octets: it is journalled whole when a part of it changes.
const MOST: usize = 1 << 20;

/// Everything kept of a zone.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PowerDnsSettings {
    /// Native or Master: a label that clients set and read. Who is told of changes stands in the configuration.
    #[serde(skip_serializing_if = "is_usual")]
    pub kind: PowerDnsKind,
    /// Whose the zone is: a label.
    #[serde(skip_serializing_if = "is_usual")]
    pub account: String,
    /// How the serial moves, in the client's own letters; none: by one.
    #[serde(skip_serializing_if = "is_usual")]
    pub soa_edit_api: Option<String>,
    /// How a signed zone's serial is shown; no zone is signed here, so a label.
    #[serde(skip_serializing_if = "is_usual")]
    pub soa_edit: String,
    /// Whether a signed zone is rectified after a change; likewise.
    #[serde(skip_serializing_if = "is_usual")]
    pub api_rectify: bool,
    /// By kind.
    #[serde(skip_serializing_if = "is_usual")]
    pub metadata: BTreeMap<String, Vec<String>>,
    /// By owner and type ([`set_key`]).
    #[serde(skip_serializing_if = "is_usual")]
    pub beside: BTreeMap<String, RrSetExtras>,
}

/// Kind of a zone whose records an API writes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum PowerDnsKind {
    /// Copied by other means than transfers.
    #[default]
    Native,
    /// Transferred by secondaries.
    Master,
}

/// Data of an RRset that is kept beside the served records.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RrSetExtras {
    /// For people.
    #[serde(skip_serializing_if = "is_usual")]
    pub comments: Vec<Comment>,
    /// Content of records that are not served.
    #[serde(skip_serializing_if = "is_usual")]
    pub disabled: Vec<String>,
    /// TTL of a set of which no record is served.
    #[serde(skip_serializing_if = "is_usual")]
    pub ttl: u32,
    /// Content of records in a writing that is not ours.
    #[serde(skip_serializing_if = "is_usual")]
    pub written: Vec<String>,
}

/// A note to an RRset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Comment {
    /// Whose it is.
    pub account: String,
    /// Text of the comment.
    pub content: String,
    /// Seconds since 1970.
    pub modified_at: u64,
}

impl PowerDnsSettings {
    /// Reads the data that is kept of a zone.
    pub fn of(settings: &ZoneSettings) -> Self {
        let kept = settings.extra.get(KEY).cloned().unwrap_or_default();
        serde_json::from_value(kept).unwrap_or_default() // nothing else writes there
    }

    /// Keeps it.
    pub fn keep(mut self, settings: &mut ZoneSettings) -> Result<(), PowerDnsError> {
        self.beside.retain(|_, beside| !beside.is_empty());
        if self == Self::default() {
            settings.extra.remove(KEY);
            return Ok(());
        }
        let value = serde_json::to_value(&self).map_err(|error| PowerDnsError::invalid(error.to_string()))?;
        if value.to_string().len() > MOST {
            return Err(PowerDnsError::invalid(format!("more than {MOST} octets of comments, metadata and disabled records in one zone")));
        }
        settings.extra.insert(KEY.into(), value);
        Ok(())
    }

    /// How the serial moves.
    pub fn rule(&self) -> Rule {
        self.soa_edit_api.as_deref().map_or(Rule::Increase, |word| Rule::of(word, &self.soa_edit))
    }

    /// Returns the data that is kept beside an RRset.
    pub fn beside(&self, owner: &NameBuf, rtype: u16) -> Option<&RrSetExtras> {
        match self.beside.is_empty() {
            true => None, // the key would cost an allocation for each set of a large zone
            false => self.beside.get(&set_key(owner, rtype)),
        }
    }
}

impl RrSetExtras {
    fn is_empty(&self) -> bool {
        self.comments.is_empty() && self.disabled.is_empty() && self.written.is_empty()
    }

    /// What was written of each record that is not kept in our writing, by its RDATA.
    pub fn written(&self, rtype: u16) -> HashMap<Box<[u8]>, &str> {
        let read = |text: &'_ String| content::read(rtype, text).ok().map(|content| content.rdata);
        self.written.iter().filter_map(|text| Some((read(text)?, text.as_str()))).collect()
    }
}

impl PowerDnsKind {
    /// As it is spelled in answers (rule 3).
    pub fn word(self) -> &'static str {
        match self {
            Self::Native => "Native",
            Self::Master => "Master",
        }
    }

    /// From a request, in any letter case, by its old name or its new one.
    pub fn read(word: &str) -> Result<Self, PowerDnsError> {
        match word.to_ascii_lowercase().as_str() {
            "native" => Ok(Self::Native),
            "master" | "primary" => Ok(Self::Master),
            "slave" | "secondary" => {
                Err(PowerDnsError::invalid("Secondary zones are made in the configuration file, with their primaries"))
            }
            "producer" | "consumer" => Err(PowerDnsError::invalid("Catalog zones are not made here")),
            _ => Err(PowerDnsError::invalid(format!("'{word}' is no kind of a zone: Native or Master"))),
        }
    }
}

/// `www.contoso.test. A`: what stands beside an RRset is kept under this.
pub fn set_key(owner: &NameBuf, rtype: u16) -> String {
    format!("{owner} {}", type_name(rtype))
}

fn is_usual<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rule_3_kinds_are_read_in_any_case_and_given_as_native_or_master() {
        for (word, kind) in [("native", "Native"), ("NATIVE", "Native"), ("Master", "Master"), ("master", "Master"), ("primary", "Master")]
        {
            assert_eq!(PowerDnsKind::read(word).map(PowerDnsKind::word), Ok(kind), "{word}");
        }
        for word in ["Slave", "secondary", "Producer", "consumer", "forwarded", ""] {
            assert!(PowerDnsKind::read(word).is_err(), "{word}");
        }
    }

    #[test]
    fn what_is_usual_takes_no_room() {
        let settings = PowerDnsSettings { account: "ops".into(), ..PowerDnsSettings::default() };
        assert_eq!(serde_json::to_string(&settings).unwrap(), r#"{"account":"ops"}"#);
        let read: PowerDnsSettings = serde_json::from_str(r#"{"account":"ops","kind":"Master"}"#).unwrap();
        assert_eq!((read.kind, read.rule()), (PowerDnsKind::Master, Rule::Increase));
    }
}
