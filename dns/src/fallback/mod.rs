//! The fallback record: every answer that went public at a private-link name, and why.

/// Why a private-link name had no private answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// The hosted zone lacks the name.
    NoRecord,
    /// No zone of the client's network hosts the name.
    NoZone,
    /// The zone never had good data.
    ZoneUnavailable,
    /// A record exists, but only for another network.
    OtherNetwork,
    /// A record of ours exists for the public name, but the public chain never enters the zone.
    NoPrivateCname,
}
