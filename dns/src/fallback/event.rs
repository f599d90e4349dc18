//! One line of the record: worded for people and for machines.

use std::fmt::Write;
use std::net::IpAddr;

use config::model::OnMissing;
use config::rtype::type_name;
use serde::Serialize;
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use zones::lint::is_public;
use zones::name::{NameBuf, WireName};
use zones::snapshot::{Hosted, Writer, ZoneState};

use super::definition::address;
use super::sighting::{Nothing, Seen, Sighting, Slip};
use super::{Action, Reason};
use crate::cache::Entry;
use crate::query::Answer;
use crate::state::View;
use crate::wire::question::Question;
use crate::wire::rtype;

/// A fallback, worded. Names are lower case and have no final dot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Event {
    /// RFC 3339, UTC, milliseconds.
    pub time: String,
    /// Who asked.
    pub client: IpAddr,
    /// The client's network.
    pub network: String,
    /// The name asked.
    pub name: String,
    /// The type asked.
    #[serde(rename = "type")]
    pub rtype: String,
    /// The private-link name that had no private answer.
    pub private: String,
    /// The private zone it lies in: ours, else the one Azure keeps it in; empty where neither is known.
    pub zone: String,
    /// Why.
    pub reason: Reason,
    /// What the client got.
    pub action: Action,
    /// The name asked and the name each alias leads to.
    pub chain: Vec<String>,
    /// The addresses given.
    pub addresses: Vec<IpAddr>,
    /// Some address given is a public one; none where none was given.
    pub public: Option<bool>,
    /// Who said it, where somebody was asked.
    pub upstream: Option<String>,
    /// RCODE given.
    pub rcode: String,
    /// TTL of what was given, seconds.
    pub ttl: u32,
    /// How to mend it.
    pub mend: Mend,
    /// Fallbacks of the same network, name, type and reason since the line before that were not written.
    pub folded: u64,
}

/// What would give the name its private answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Mend {
    /// What to do.
    pub what: String,
    /// The record line, ready to be pasted but for the address; none where a line does not help.
    pub record: Option<String>,
    /// The file it belongs in, where there is one.
    pub file: Option<String>,
}

impl Event {
    /// The record that this answer would leave; none: it is no fallback.
    pub(crate) fn would_be(question: &Question, client: IpAddr, answer: &Answer<'_>, view: &View<'_>) -> Option<Self> {
        let falls_back = answer.missed.is_some() || answer.is_known_public();
        let sighting = falls_back.then(|| Sighting::of(question, client, answer, view, &Nothing::new())).flatten()?;
        let mut slip = Slip::default();
        slip.take_down(sighting, question, answer, view, None);
        slip.seen.as_ref().map(|seen| Self::of(&slip, seen))
    }

    pub(super) fn of(slip: &Slip, sighting: &Seen) -> Self {
        let snapshot = &*sighting.snapshot;
        let (mut chain, mut private_name) = (Vec::with_capacity(slip.chain + 1), NameBuf::root());
        let mut rest = &*slip.names;
        while let Ok(name) = NameBuf::read(rest) {
            rest = &rest[name.len()..];
            if chain.len() == slip.private {
                private_name.clone_from(&name);
            }
            chain.push(name.without_dot());
        }
        let private = chain.get(slip.private).cloned().unwrap_or_default();
        chain.truncate(slip.chain);
        let network = snapshot.network(sighting.network).name.to_string();
        let elsewhere = match sighting.reason {
            Reason::NoRecord | Reason::NoZone => snapshot.elsewhere(&private_name, sighting.network),
            _ => None,
        };
        let reason = if elsewhere.is_some() { Reason::OtherNetwork } else { sighting.reason };
        let hosted = sighting.zone.as_deref();
        let zone = match hosted {
            Some(hosted) => hosted.name.to_string(),
            None => sighting.table.private_zone_of(&private).unwrap_or_default().into(),
        };
        let addresses = sighting.end.as_deref().map_or_else(Vec::new, addresses);
        Self {
            time: rfc3339(sighting.time.into()),
            client: sighting.client,
            name: chain.first().cloned().unwrap_or_default(),
            rtype: type_name(sighting.rtype).into_owned(),
            reason,
            action: sighting.action,
            chain,
            public: (!addresses.is_empty()).then(|| addresses.iter().any(|address| is_public(*address))),
            addresses,
            upstream: sighting.upstream.as_deref().map(str::to_owned),
            rcode: rcode_name(sighting.rcode),
            ttl: sighting.ttl,
            mend: mend(reason, &private_name, &private, &zone, hosted, &network, elsewhere.as_deref()),
            network,
            private,
            zone,
            folded: 0,
        }
    }

    /// One JSON object, without the line end.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default() // strings and numbers always can be written
    }

    /// `key=value` pairs, without the line end.
    pub fn to_text(&self) -> String {
        let mut line = format!("{} fallback ", self.time);
        let _ = write!(
            line, // a String takes everything
            "reason={} action={} client={} network={} name={} type={} private={} zone={} chain={}",
            self.reason.as_str(),
            self.action.as_str(),
            self.client,
            quoted(&self.network),
            self.name,
            self.rtype,
            self.private,
            self.zone,
            self.chain.join(",")
        );
        if let Some(public) = self.public {
            let _ = write!(line, " addresses={} public={public}", self.address_list());
        }
        if let Some(upstream) = &self.upstream {
            let _ = write!(line, " upstream={}", quoted(upstream));
        }
        let _ = write!(line, " rcode={} ttl={}", self.rcode, self.ttl);
        if self.folded > 0 {
            let _ = write!(line, " folded={}", self.folded);
        }
        if let Some(record) = &self.mend.record {
            let _ = write!(line, " mend={}", quoted(record));
        }
        if let Some(file) = &self.mend.file {
            let _ = write!(line, " file={}", quoted(file));
        }
        let _ = write!(line, " help={}", quoted(&self.mend.what));
        line
    }

    /// A line of the log, at WARN.
    pub(super) fn log(&self) {
        tracing::warn!(
            target: "postern::fallback",
            reason = self.reason.as_str(),
            action = self.action.as_str(),
            client = %self.client,
            network = self.network,
            name = self.name,
            "type" = self.rtype,
            private = self.private,
            zone = self.zone,
            chain = self.chain.join(","),
            addresses = self.public.map(|_| self.address_list()),
            public = self.public,
            upstream = self.upstream.as_deref(),
            rcode = self.rcode,
            ttl = self.ttl,
            folded = (self.folded > 0).then_some(self.folded),
            mend = self.mend.record,
            file = self.mend.file,
            help = self.mend.what,
            "fallback"
        );
    }

    fn address_list(&self) -> String {
        self.addresses.iter().map(IpAddr::to_string).collect::<Vec<_>>().join(",")
    }
}

/// Milliseconds and no more: an event is found by them, not ordered.
pub(super) fn rfc3339(time: OffsetDateTime) -> String {
    const FORMAT: &[BorrowedFormatItem] = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
    time.format(FORMAT).unwrap_or_default() // every field is one that a date with time has
}

fn mend(
    reason: Reason,
    name: &NameBuf,
    private: &str,
    zone: &str,
    hosted: Option<&Hosted>,
    network: &str,
    elsewhere: Option<&str>,
) -> Mend {
    let record = match hosted {
        Some(hosted) if matches!(hosted.writer, Writer::Azure(_)) => None, // nobody writes into an export
        // An A record is enough: every other type is then NODATA, and no longer public.
        Some(hosted) => Some(hosted.mending_line(name, rtype::A)),
        None if zone.is_empty() => None,
        None => record_in(name, zone),
    };
    let file = hosted.and_then(|hosted| hosted.writer.file()).map(|file| file.display().to_string());
    let is_copy = hosted.is_some_and(|hosted| hosted.writer == Writer::Primary);
    let (what, record) = match reason {
        Reason::NoRecord if record.is_none() => (format!("export zone {zone} again once it has a record for {private}"), None),
        Reason::NoRecord if is_copy => (format!("add the record to zone {zone} on its primary: this server only has a copy"), record),
        Reason::NoRecord => (format!("add the record to zone {zone}"), record),
        Reason::NoZone if zone.is_empty() => (format!("host the private zone of {private} for network {network}"), None),
        Reason::NoZone => (format!("host zone {zone} for network {network}, with the record"), record),
        Reason::OtherNetwork => {
            let other = elsewhere.unwrap_or("another");
            (format!("network {other} has a record for {private}; give network {network} one of its own in zone {zone}"), record)
        }
        Reason::ZoneUnavailable => {
            let why = match hosted.map(|hosted| &hosted.state) {
                Some(ZoneState::Unavailable(why)) => format!(": {why}"),
                _ => String::new(),
            };
            let source = if is_copy { "transfer" } else { "source" };
            (format!("mend the {source} of zone {zone}{why}"), None)
        }
        Reason::NoPrivateCname => {
            let what =
                format!("zone {zone} has {private}, but the public DNS does not lead there: is the private endpoint connection approved?");
            (what, None)
        }
    };
    Mend { what, record, file }
}

/// The line of a zone file that is not there yet.
fn record_in(name: &NameBuf, zone: &str) -> Option<String> {
    let apex = WireName::parse(zone).ok()?;
    name.is_under(apex.as_wire())
        .then(|| Hosted::new(apex, OnMissing::Public, ZoneState::Unavailable("".into()), Writer::Memory).mending_line(name, rtype::A))
}

fn addresses(entry: &Entry) -> Vec<IpAddr> {
    entry.records().filter_map(|(kind, rdata)| address(kind, rdata)).collect()
}

fn rcode_name(rcode: u16) -> String {
    use crate::ede::rcode::*;
    match rcode {
        NOERROR => "NOERROR".into(),
        SERVFAIL => "SERVFAIL".into(),
        NXDOMAIN => "NXDOMAIN".into(),
        REFUSED => "REFUSED".into(),
        other => other.to_string(),
    }
}

/// As it is where that is one word, else in quotes.
fn quoted(value: &str) -> String {
    match value.is_empty() || value.contains(|c: char| c.is_whitespace() || c.is_control() || matches!(c, '"' | '\\' | '=')) {
        true => format!("{value:?}"),
        false => value.into(),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// What `contosows-fhir2` without a record looks like.
    pub fn event(network: &str, name: &str) -> Event {
        let chain = ["", ".fhir.privatelink.azurehealthcareapis.com", ".trafficmanager.test"].map(|end| format!("{name}{end}")).to_vec();
        Event {
            time: rfc3339(OffsetDateTime::UNIX_EPOCH + time::Duration::milliseconds(1_790_000_000_007)),
            client: IpAddr::from([10, 20, 0, 7]),
            network: network.into(),
            name: name.into(),
            rtype: "A".into(),
            private: chain[1].clone(),
            zone: "privatelink.azurehealthcareapis.com".into(),
            reason: Reason::NoRecord,
            action: Action::Public,
            chain,
            addresses: vec![IpAddr::from([203, 0, 113, 21])],
            public: Some(true),
            upstream: Some("192.0.2.53:53".into()),
            rcode: "NOERROR".into(),
            ttl: 20,
            mend: Mend {
                what: "add the record to zone privatelink.azurehealthcareapis.com".into(),
                record: Some(format!("{name}.fhir 10 IN A <private address>")),
                file: Some("zones/privatelink.azurehealthcareapis.com.zone".into()),
            },
            folded: 0,
        }
    }

    #[test]
    fn text_is_one_line_of_words_that_a_shell_can_split() {
        assert_eq!(
            Event { folded: 3, ..event("hub one", "a") }.to_text(),
            "2026-09-21T14:13:20.007Z fallback reason=no-record action=public client=10.20.0.7 network=\"hub one\" name=a type=A \
             private=a.fhir.privatelink.azurehealthcareapis.com zone=privatelink.azurehealthcareapis.com \
             chain=a,a.fhir.privatelink.azurehealthcareapis.com,a.trafficmanager.test addresses=203.0.113.21 public=true \
             upstream=192.0.2.53:53 rcode=NOERROR ttl=20 folded=3 mend=\"a.fhir 10 IN A <private address>\" \
             file=zones/privatelink.azurehealthcareapis.com.zone help=\"add the record to zone privatelink.azurehealthcareapis.com\""
        );
    }

    #[test]
    fn json_is_one_object_with_every_field() {
        let value: serde_json::Value = serde_json::from_str(&event("hub", "a").to_json()).unwrap();
        let keys: Vec<&str> = value.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(
            keys,
            [
                "time",
                "client",
                "network",
                "name",
                "type",
                "private",
                "zone",
                "reason",
                "action",
                "chain",
                "addresses",
                "public",
                "upstream",
                "rcode",
                "ttl",
                "mend",
                "folded"
            ]
        );
        assert_eq!(value["reason"], "no-record");
        assert_eq!(value["mend"]["record"], "a.fhir 10 IN A <private address>");
    }

    #[test]
    fn what_a_primary_writes_is_mended_there() {
        let apex = WireName::parse("privatelink.azurehealthcareapis.com").unwrap();
        let hosted = |writer| Hosted::new(apex.clone(), OnMissing::Public, ZoneState::Unavailable("expired".into()), writer);
        let name = "a.fhir.privatelink.azurehealthcareapis.com";
        let mend = |reason, writer| {
            mend(reason, &NameBuf::parse(name).unwrap(), name, "privatelink.azurehealthcareapis.com", Some(&hosted(writer)), "hub", None)
        };
        let copy = mend(Reason::NoRecord, Writer::Primary);
        assert_eq!(copy.what, "add the record to zone privatelink.azurehealthcareapis.com on its primary: this server only has a copy");
        assert_eq!(copy.record.as_deref(), Some("a.fhir 10 IN A <private address>"));
        assert_eq!(mend(Reason::NoRecord, Writer::Api).what, "add the record to zone privatelink.azurehealthcareapis.com");
        let gone = mend(Reason::ZoneUnavailable, Writer::Primary);
        assert_eq!(gone.what, "mend the transfer of zone privatelink.azurehealthcareapis.com: expired");
    }
}
