//! One hosted zone: its data, its policy, and the place where its records are written.

use std::path::Path;
use std::sync::Arc;

use postern_config::model::{self, OnMissing};

use crate::edit::{History, ZoneSettings};
use crate::lookup::Lookup;
use crate::name::{NameBuf, WireName, is_private_link};
use crate::store::Shown;
use crate::text::rdata::type_name;
use crate::zone::{DEFAULT_TTL, Zone, rtype};

/// A zone as it is hosted: data or the reason why there is none, and its policy.
#[derive(Debug)]
pub struct Hosted {
    /// Apex.
    pub apex: WireName,
    /// Apex as text, no final dot: for logs and labels.
    pub name: Arc<str>,
    /// What happens to a name that it lacks.
    pub on_missing: OnMissing,
    /// The fallback record has the names that it lacks.
    pub fallback: bool,
    /// It is a private-link zone by its name.
    pub is_private_link: bool,
    /// The data.
    pub state: ZoneState,
    /// Where a record would be added.
    pub writer: Writer,
    /// What an API sees of it, where an API writes it.
    pub kept: Option<Kept>,
    /// The `[[zone]]` that declares it. `None` if an API or a test created the zone.
    pub declared: Option<Arc<model::Zone>>,
    /// How its source is doing: of this moment, not of the snapshot's.
    pub source: Arc<Shown>,
}

/// A zone as whoever writes it sees it.
#[derive(Debug, Clone)]
pub struct Kept {
    /// As committed. What is served may still have names that were deleted a moment ago (`hold-deleted`).
    pub latest: Arc<Zone>,
    /// Name, networks, policy, and what interfaces keep.
    pub settings: Arc<ZoneSettings>,
    /// Recent changes.
    pub history: Arc<History>,
}

/// Data of a hosted zone.
#[derive(Debug, Clone)]
pub enum ZoneState {
    /// Good data (perhaps older than a source that went bad since).
    Serving(Arc<Zone>),
    /// Never had good data: SERVFAIL with this reason as extended error.
    Unavailable(Arc<str>),
}

/// Where a zone's records are written, for the record that would mend a fallback.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Writer {
    /// Nowhere: made by a test.
    Memory,
    /// A zone file (for a directory: `<zone>.zone` in it, there or not).
    ZoneFile(Arc<Path>),
    /// A hosts file.
    Hosts(Arc<Path>),
    /// An export of Azure.
    Azure(Arc<Path>),
    /// An API.
    Api,
    /// The server that it is transferred from.
    Primary,
}

impl Hosted {
    /// A zone as it is hosted.
    pub fn new(apex: WireName, on_missing: OnMissing, state: ZoneState, writer: Writer) -> Self {
        let mut name = apex.to_string();
        if name.len() > 1 {
            name.pop();
        }
        let is_private_link = is_private_link(&apex.to_buf());
        Self {
            apex,
            name: name.into(),
            on_missing,
            fallback: is_private_link,
            is_private_link,
            state,
            writer,
            kept: None,
            declared: None,
            source: Arc::default(),
        }
    }

    /// The data, where there is some.
    pub fn zone(&self) -> Option<&Arc<Zone>> {
        match &self.state {
            ZoneState::Serving(zone) => Some(zone),
            ZoneState::Unavailable(_) => None,
        }
    }

    /// SOA serial; none while there is no data.
    pub fn serial(&self) -> Option<u32> {
        self.zone().map(|zone| zone.serial())
    }

    /// Records served.
    pub fn records(&self) -> usize {
        self.zone().map_or(0, |zone| zone.counts().records)
    }

    /// True where the zone has something to say of `name` other than that it is missing.
    pub fn holds(&self, name: &NameBuf) -> bool {
        let Some(zone) = self.zone().filter(|_| name.is_under(self.apex.as_wire())) else { return false };
        !matches!(zone.lookup(name, rtype::ANY), Lookup::Missing | Lookup::Referral { .. })
    }

    /// The line that would give `name` (in this zone) a private record: ready to be pasted into the file, but for the address.
    pub fn mending_line(&self, name: &NameBuf, kind: u16) -> String {
        let relative = name.labels() - self.apex.labels().min(name.labels());
        let value = if kind == rtype::PTR { "<host name>." } else { "<private address>" };
        match &self.writer {
            Writer::Hosts(_) => format!("<private address> {}", name.without_dot()),
            Writer::Azure(_) => name.to_string(),
            Writer::Memory | Writer::Api | Writer::Primary | Writer::ZoneFile(_) if relative == 0 => {
                format!("@ {DEFAULT_TTL} IN {} {value}", type_name(kind))
            }
            Writer::Memory | Writer::Api | Writer::Primary | Writer::ZoneFile(_) => {
                format!("{} {DEFAULT_TTL} IN {} {value}", name.first_labels(relative), type_name(kind))
            }
        }
    }
}

impl Writer {
    /// Its kind in a word.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::ZoneFile(_) => "zone-file",
            Self::Hosts(_) => "hosts",
            Self::Azure(_) => "azure",
            Self::Api => "api",
            Self::Primary => "primary",
        }
    }

    /// The file, where there is one.
    pub fn file(&self) -> Option<&Arc<Path>> {
        match self {
            Self::Memory | Self::Api | Self::Primary => None,
            Self::ZoneFile(path) | Self::Hosts(path) | Self::Azure(path) => Some(path),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mending_line_can_be_pasted() {
        let hosted = |writer| {
            Hosted::new(WireName::parse("privatelink.contoso.test").unwrap(), OnMissing::Public, ZoneState::Unavailable("x".into()), writer)
        };
        let path: Arc<Path> = Arc::from(Path::new("f"));
        for (writer, asked, line) in [
            (Writer::ZoneFile(path.clone()), "ws.fhir.privatelink.contoso.test", "ws.fhir 10 IN A <private address>"),
            (Writer::ZoneFile(path.clone()), "privatelink.contoso.test", "@ 10 IN A <private address>"),
            (Writer::Hosts(path), "ws.privatelink.contoso.test", "<private address> ws.privatelink.contoso.test"),
        ] {
            assert_eq!(hosted(writer).mending_line(&NameBuf::parse(asked).unwrap(), 1), line);
        }
    }
}
