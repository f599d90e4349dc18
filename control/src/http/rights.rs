//! How far a key reaches, and the words for it.

use std::fmt;
use std::sync::Arc;

use postern_zones::edit::ZoneRef;
use postern_zones::name::NameBuf;

/// How far a key reaches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyRights {
    /// To see everything.
    Read,
    /// To see and change the records of these zones; one without network stands for all of its name, `*` for all zones, and `*@network` for
    /// all that are linked to it.
    Records(Arc<[ZoneRef]>),
    /// To do everything.
    Admin,
}

impl std::str::FromStr for KeyRights {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            None if text == "read" => Ok(Self::Read),
            None if text == "admin" => Ok(Self::Admin),
            Some(("records", zones)) => zones.split(',').map(zone).collect::<Result<_, _>>().map(Self::Records),
            _ => Err(format!("the scope is `read`, `admin` or `records=ZONE,…` (`*`: all zones), found `{text}`")),
        }
    }
}

fn zone(text: &str) -> Result<ZoneRef, String> {
    let zone = ZoneRef::parse(text);
    let is_name = zone.name == "*" || NameBuf::parse(&zone.name).is_ok();
    if text.is_empty() || !is_name {
        return Err(format!("`{text}` is not a zone: write its name, or `name@network`"));
    }
    Ok(zone)
}

impl fmt::Display for KeyRights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read => f.write_str("read"),
            Self::Admin => f.write_str("admin"),
            Self::Records(zones) => {
                let zones: Vec<String> = zones.iter().map(ToString::to_string).collect();
                write!(f, "records={}", zones.join(","))
            }
        }
    }
}
