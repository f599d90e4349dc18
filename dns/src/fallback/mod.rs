//! The fallback record: every answer that went public at a private-link name, and why.

use config::azure::Table;
use zones::name::NameBuf;

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

/// The private-link names that a public name may stand for.
pub fn private_names(_table: &Table, _name: &NameBuf) -> Vec<NameBuf> {
    Vec::new()
}

/// True where the zone table knows this name as the public name of a private-link service.
pub fn is_known_public(_table: &Table, _name: &NameBuf) -> bool {
    false
}
