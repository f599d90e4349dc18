//! One line of the record: worded for people and for machines.

use std::fmt::Write;
use std::net::IpAddr;

use postern_config::rtype::type_name;
use postern_zones::lint::is_public;
use postern_zones::name::{NameBuf, WireName};
use postern_zones::origin;
use postern_zones::snapshot::{Hosted, ZoneState};
use serde::Serialize;
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

use super::definition::{FallbackVerdict, address};
use super::sighting::{FallbackDraft, FallbackFacts, FallbackSighting};
use crate::cache::CacheEntry;
use crate::counters::rcode_name;
use crate::query::Answer;
use crate::reason::{FallbackAction, FallbackReason};
use crate::state::View;
use crate::wire::question::Question;
use crate::wire::rtype;

/// A fallback, worded. Names are lower case and have no final dot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FallbackEvent {
    /// RFC 3339, UTC, milliseconds.
    pub time: String,
    /// Why.
    pub reason: FallbackReason,
    /// The name asked.
    pub name: String,
    /// The type asked.
    #[serde(rename = "type")]
    pub rtype: String,
    /// How to mend it.
    pub mend: MendHint,
    /// The client's answer.
    pub action: FallbackAction,
    /// The client.
    pub client: IpAddr,
    /// The client's network.
    pub network: String,
    /// The private-link name that had no private answer.
    pub private: String,
    /// The private zone it lies in: ours, else the one Azure keeps it in; empty where neither is known.
    pub zone: String,
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
    /// Fallbacks of the same network, name, type and reason since the line before that were not written.
    pub folded: u64,
}

/// The change that would give the name a private answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MendHint {
    /// The record line, ready to be pasted but for the address. `None` if a line does not help.
    pub record: Option<String>,
    /// Instruction for the operator.
    pub what: String,
    /// The file it belongs in, where there is one.
    pub file: Option<String>,
}

impl FallbackEvent {
    /// Returns the record that this answer would leave. `None` if it is no fallback.
    pub(crate) fn would_be(question: &Question, client: IpAddr, answer: &Answer, verdict: &FallbackVerdict, view: &View) -> Option<Self> {
        let (finding, is_capped) = (verdict.finding.as_ref()?, verdict.public_from.is_some());
        let mut slip = FallbackDraft::default();
        slip.take_down(&FallbackSighting { question, client, answer, finding, is_capped, view }, 0);
        slip.seen.as_ref().map(|seen| Self::of(&slip, seen))
    }

    pub(super) fn of(slip: &FallbackDraft, sighting: &FallbackFacts) -> Self {
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
            FallbackReason::NoRecord | FallbackReason::NoZone => snapshot.elsewhere(&private_name, sighting.network),
            _ => None,
        };
        let reason = if elsewhere.is_some() { FallbackReason::OtherNetwork } else { sighting.reason };
        let hosted = sighting.zone.as_deref();
        let zone = match hosted {
            Some(hosted) => hosted.name.to_string(),
            None => sighting.table.private_zone_of(&private).unwrap_or_default().into(),
        };
        let addresses = sighting.end.as_deref().map_or_else(Vec::new, addresses);
        let missing = MissingRecord {
            reason,
            rtype: sighting.rtype,
            name: &private_name,
            private: &private,
            zone: &zone,
            hosted,
            network: &network,
            elsewhere: elsewhere.as_deref(),
        };
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
            rcode: rcode_name(sighting.rcode).into_owned(),
            ttl: sighting.ttl,
            mend: missing.mend(),
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
        let mut line = format!("{} fallback reason={} name={} type={}", self.time, self.reason.as_str(), self.name, self.rtype);
        // A String takes everything that is written to it.
        if let Some(record) = &self.mend.record {
            let _ = write!(line, " mend={}", quoted(record));
        }
        if let Some(file) = &self.mend.file {
            let _ = write!(line, " file={}", quoted(file));
        }
        let _ = write!(line, " client={} network={} action={}", self.client, quoted(&self.network), self.action.as_str());
        let _ = write!(line, " help={} zone={} private={}", quoted(&self.mend.what), self.zone, self.private);
        let _ = write!(line, " chain={}", self.chain.join(","));
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
        line
    }

    /// A line of the log, at WARN.
    pub(super) fn log(&self) {
        tracing::warn!(
            target: "postern::fallback",
            reason = self.reason.as_str(),
            name = self.name,
            "type" = self.rtype,
            mend = self.mend.record,
            file = self.mend.file,
            client = %self.client,
            network = self.network,
            action = self.action.as_str(),
            help = self.mend.what,
            zone = self.zone,
            private = self.private,
            chain = self.chain.join(","),
            addresses = self.public.map(|_| self.address_list()),
            public = self.public,
            upstream = self.upstream.as_deref(),
            rcode = self.rcode,
            ttl = self.ttl,
            folded = (self.folded > 0).then_some(self.folded),
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

/// A private-link name without a private answer, and what is known of it.
pub(crate) struct MissingRecord<'a> {
    pub reason: FallbackReason,
    /// The type asked.
    pub rtype: u16,
    pub name: &'a NameBuf,
    /// The same without a final dot.
    pub private: &'a str,
    /// The zone it belongs in; empty if none is known.
    pub zone: &'a str,
    /// That zone, if this network hosts it.
    pub hosted: Option<&'a Hosted>,
    pub network: &'a str,
    /// Another network that has a record.
    pub elsewhere: Option<&'a str>,
}

impl MissingRecord<'_> {
    /// The change that would give the name a private answer.
    pub fn mend(&self) -> MendHint {
        let Self { zone, private, network, hosted, .. } = self;
        let file = hosted.and_then(|hosted| hosted.origin.file()).map(|file| file.display().to_string());
        let feed = hosted.and_then(|hosted| hosted.origin.feed());
        let is_export = hosted.is_some_and(|hosted| hosted.origin.is_export());
        let record = self.record();
        // Every type that a name lacks is NODATA, so that its A record ends this fallback too.
        let record_of = if self.rtype == rtype::AAAA { "the record, or an A record alone," } else { "the record" };
        let (what, record) = match self.reason {
            FallbackReason::NoRecord if is_export => (format!("export zone {zone} again once it has a record for {private}"), None),
            FallbackReason::NoRecord if record.is_none() => {
                (format!("zone {zone} lacks {private}: add it there if it should be private"), None)
            }
            FallbackReason::NoRecord => match feed {
                Some(feed) => (format!("add {record_of} to zone {zone} on {}: this server only has a copy", feed.writer), record),
                None => (format!("add {record_of} to zone {zone}"), record),
            },
            FallbackReason::NoZone if zone.is_empty() => (format!("host the private zone of {private} for network {network}"), None),
            FallbackReason::NoZone if record.is_none() => (format!("host zone {zone} for network {network}"), None),
            FallbackReason::NoZone => (format!("host zone {zone} for network {network}, with {record_of}"), record),
            FallbackReason::OtherNetwork => {
                let other = self.elsewhere.unwrap_or("another");
                (format!("network {other} has a record for {private}; give network {network} one of its own in zone {zone}"), record)
            }
            FallbackReason::ZoneUnavailable => {
                let why = match hosted.map(|hosted| &hosted.state) {
                    Some(ZoneState::Unavailable(why)) => format!(": {why}"),
                    _ => String::new(),
                };
                let source = feed.map_or("source", |feed| feed.word);
                (format!("mend the {source} of zone {zone}{why}"), None)
            }
            FallbackReason::NoPrivateCname => {
                let what = format!(
                    "zone {zone} has {private}, but the public DNS does not lead there: is the private endpoint connection approved?"
                );
                (what, None)
            }
        };
        MendHint { record, what, file }
    }

    /// The record that is missing. `None` if no single record is, or none that a line of text can add.
    fn record(&self) -> Option<String> {
        let kind = missing_type(self.rtype, self.name)?;
        match self.hosted {
            Some(hosted) => hosted.origin.record_line(&hosted.apex, self.name, kind),
            None => record_in(self.name, self.zone, kind),
        }
    }
}

/// The type of the record that ends a fallback of this type at this name. `None` if the name is one at which a record makes no sense.
fn missing_type(asked: u16, name: &NameBuf) -> Option<u16> {
    let is_reverse = [&b"\x07in-addr\x04arpa\0"[..], b"\x03ip6\x04arpa\0"].iter().any(|apex| name.is_under(apex));
    let is_service = name.as_wire().get(1) == Some(&b'_'); // `_ldap._tcp`: it has no address
    match asked {
        rtype::PTR => Some(rtype::PTR),
        _ if is_reverse || is_service => None,
        rtype::AAAA => Some(rtype::AAAA),
        // TXT, HTTPS and all others: the address is what is missing, and with it they are NODATA.
        _ => Some(rtype::A),
    }
}

/// The line of a zone file that is not there yet.
fn record_in(name: &NameBuf, zone: &str, kind: u16) -> Option<String> {
    let apex = WireName::parse(zone).ok()?;
    name.is_under(apex.as_wire()).then(|| origin::zone_file_line(&apex, name, kind))
}

fn addresses(entry: &CacheEntry) -> Vec<IpAddr> {
    entry.records().filter_map(|(kind, rdata)| address(kind, rdata)).collect()
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
    use postern_config::model::{OnMissing, SourceFormat, TRANSFER};
    use postern_zones::origin::ZoneOrigin;

    use super::*;

    /// What `contosows-fhir2` without a record looks like.
    pub fn event(network: &str, name: &str) -> FallbackEvent {
        let chain = ["", ".fhir.privatelink.azurehealthcareapis.com", ".trafficmanager.test"].map(|end| format!("{name}{end}")).to_vec();
        FallbackEvent {
            time: rfc3339(OffsetDateTime::UNIX_EPOCH + time::Duration::milliseconds(1_790_000_000_007)),
            client: IpAddr::from([10, 20, 0, 7]),
            network: network.into(),
            name: name.into(),
            rtype: "A".into(),
            private: chain[1].clone(),
            zone: "privatelink.azurehealthcareapis.com".into(),
            reason: FallbackReason::NoRecord,
            action: FallbackAction::Public,
            chain,
            addresses: vec![IpAddr::from([203, 0, 113, 21])],
            public: Some(true),
            upstream: Some("192.0.2.53:53".into()),
            rcode: "NOERROR".into(),
            ttl: 20,
            mend: MendHint {
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
            FallbackEvent { folded: 3, ..event("hub one", "a") }.to_text(),
            "2026-09-21T14:13:20.007Z fallback reason=no-record name=a type=A mend=\"a.fhir 10 IN A <private address>\" \
             file=zones/privatelink.azurehealthcareapis.com.zone client=10.20.0.7 network=\"hub one\" action=public \
             help=\"add the record to zone privatelink.azurehealthcareapis.com\" zone=privatelink.azurehealthcareapis.com \
             private=a.fhir.privatelink.azurehealthcareapis.com \
             chain=a,a.fhir.privatelink.azurehealthcareapis.com,a.trafficmanager.test addresses=203.0.113.21 public=true \
             upstream=192.0.2.53:53 rcode=NOERROR ttl=20 folded=3"
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
                "reason",
                "name",
                "type",
                "mend",
                "action",
                "client",
                "network",
                "private",
                "zone",
                "chain",
                "addresses",
                "public",
                "upstream",
                "rcode",
                "ttl",
                "folded",
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
            let (hosted, buf) = (hosted(writer), NameBuf::parse(name).unwrap());
            let zone = "privatelink.azurehealthcareapis.com";
            let (private, hosted) = (name, Some(&hosted));
            MissingRecord { reason, rtype: rtype::A, name: &buf, private, zone, hosted, network: "hub", elsewhere: None }.mend()
        };
        let copy = mend(FallbackReason::NoRecord, ZoneOrigin::feed_of(&TRANSFER));
        assert_eq!(copy.what, "add the record to zone privatelink.azurehealthcareapis.com on its primary: this server only has a copy");
        assert_eq!(copy.record.as_deref(), Some("a.fhir 10 IN A <private address>"));
        assert_eq!(mend(FallbackReason::NoRecord, ZoneOrigin::api()).what, "add the record to zone privatelink.azurehealthcareapis.com");
        let gone = mend(FallbackReason::ZoneUnavailable, ZoneOrigin::feed_of(&TRANSFER));
        assert_eq!(gone.what, "mend the transfer of zone privatelink.azurehealthcareapis.com: expired");
    }

    #[test]
    fn the_record_that_mends_a_fallback_fits_what_was_asked() {
        const TXT: u16 = 16;
        const HTTPS: u16 = 65;
        const SRV: u16 = 33;
        let file = |name: &str| -> std::sync::Arc<std::path::Path> { std::path::Path::new(name).into() };
        for (apex, name, asked, want) in [
            ("privatelink.contoso.test", "ws.privatelink.contoso.test", rtype::A, Some("ws 10 IN A <private address>")),
            ("privatelink.contoso.test", "ws.privatelink.contoso.test", rtype::AAAA, Some("ws 10 IN AAAA <private address>")),
            ("privatelink.contoso.test", "ws.privatelink.contoso.test", TXT, Some("ws 10 IN A <private address>")),
            ("privatelink.contoso.test", "ws.privatelink.contoso.test", HTTPS, Some("ws 10 IN A <private address>")),
            ("privatelink.contoso.test", "ws.privatelink.contoso.test", 65400, Some("ws 10 IN A <private address>")),
            ("privatelink.contoso.test", "_ldap._tcp.privatelink.contoso.test", SRV, None),
            ("20.10.in-addr.arpa", "5.9.20.10.in-addr.arpa", rtype::PTR, Some("5.9 10 IN PTR <host name>.")),
            ("20.10.in-addr.arpa", "5.9.20.10.in-addr.arpa", rtype::A, None),
            ("8.b.d.0.1.0.0.2.ip6.arpa", "1.8.b.d.0.1.0.0.2.ip6.arpa", rtype::PTR, Some("1 10 IN PTR <host name>.")),
        ] {
            let buf = NameBuf::parse(name).unwrap();
            let missing = |reason, hosted: Option<Hosted>| {
                let hosted = hosted.as_ref();
                MissingRecord { reason, rtype: asked, name: &buf, private: name, zone: apex, hosted, network: "hub", elsewhere: None }
                    .mend()
            };
            let host = |writer| Hosted::new(WireName::parse(apex).unwrap(), OnMissing::Public, ZoneState::Unavailable("".into()), writer);
            for writer in [ZoneOrigin::api(), ZoneOrigin::file_of(file("z"), SourceFormat::Zone)] {
                let record = missing(FallbackReason::NoRecord, Some(host(writer))).record;
                assert_eq!(record.as_deref(), want, "{name} {asked}");
            }
            assert_eq!(missing(FallbackReason::NoZone, None).record.as_deref(), want, "{name} {asked}, no zone");
            let hosts = missing(FallbackReason::NoRecord, Some(host(ZoneOrigin::file_of(file("h"), SourceFormat::Hosts)))).record;
            assert!(hosts.is_none_or(|line| line.starts_with("<private address> ws")), "{name} {asked}");
        }
    }
}
