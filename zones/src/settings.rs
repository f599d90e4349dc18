//! Settings of a zone that the server stores in a journal, beside its records.

use postern_config::model::{NetworkLinks, OnMissing};
use serde::{Deserialize, Serialize};

/// Key of [`ZoneSettings::extra`] for the time when a feed last found that the zone is as its source has it, in seconds since 1970.
pub const FETCHED: &str = "transferred";

/// Key of [`ZoneSettings::extra`] while the operator accepts that the next edit of a feed removes many names. The feed removes it.
pub const ACCEPTED_LOSS: &str = "accepted-loss";

/// Settings of a zone with a journal, which are kept beside its records.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ZoneSettings {
    /// Apex, no final dot.
    pub name: String,
    /// Networks that it is linked to.
    #[serde(default = "all_networks", with = "network_list")]
    pub networks: NetworkLinks,
    /// Treatment of names that the zone lacks.
    #[serde(default = "usual_policy", with = "policy")]
    pub on_missing: OnMissing,
    /// Whether the fallback record has the names that it lacks; absent: where it is a private-link zone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fallback: Option<bool>,
    /// It stands in the configuration file, whose word counts for the above.
    #[serde(default)]
    pub declared: bool,
    /// Data of interfaces (kind, account, metadata …), which only they understand.
    #[serde(default, skip_serializing_if = "serde_json::Map::is_empty")]
    pub extra: serde_json::Map<String, serde_json::Value>,
}

fn all_networks() -> NetworkLinks {
    NetworkLinks::All
}

fn usual_policy() -> OnMissing {
    OnMissing::Public
}

mod network_list {
    //! A list of names, as in journals of all versions. An empty list stands for all networks.

    use postern_config::model::NetworkLinks;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub fn serialize<S: Serializer>(networks: &NetworkLinks, serializer: S) -> Result<S::Ok, S::Error> {
        networks.names().serialize(serializer)
    }

    pub fn deserialize<'d, D: Deserializer<'d>>(deserializer: D) -> Result<NetworkLinks, D::Error> {
        Vec::deserialize(deserializer).map(NetworkLinks::of_list)
    }
}

mod policy {
    //! The words of the configuration file.

    use postern_config::model::OnMissing;
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(policy: &OnMissing, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(policy.word())
    }

    pub fn deserialize<'d, D: Deserializer<'d>>(deserializer: D) -> Result<OnMissing, D::Error> {
        let word = String::deserialize(deserializer)?;
        OnMissing::of_word(&word).ok_or_else(|| D::Error::custom(format!("`{word}` is no policy: public, nxdomain or servfail")))
    }
}
