//! Reasons of fallbacks, and the answers that clients get in place of private ones.

/// Why a private-link name had no private answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FallbackReason {
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

/// Answer that the client got in place of a private one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FallbackAction {
    /// Data of the public DNS.
    Public,
    /// NXDOMAIN, by the zone's policy.
    Nxdomain,
    /// SERVFAIL, by the zone's policy or because the zone has no data.
    Servfail,
    /// Stale data of the public DNS.
    Stale,
}

impl FallbackReason {
    /// Returns the word of the fallback record, such as `no-record`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoRecord => "no-record",
            Self::NoZone => "no-zone",
            Self::ZoneUnavailable => "zone-unavailable",
            Self::OtherNetwork => "other-network",
            Self::NoPrivateCname => "no-private-cname",
        }
    }
}

impl FallbackAction {
    /// Returns the word of the fallback record, such as `public`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Nxdomain => "nxdomain",
            Self::Servfail => "servfail",
            Self::Stale => "stale",
        }
    }
}
