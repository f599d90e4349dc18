//! POST of a zone: its records as RRsets or as the text of a zone file, with SOA and NS made where they are missing.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use postern_config::azure::PrivateLinkTable;
use postern_config::model::{NetworkLinks, OnMissing, ZoneNames};
use postern_zones::authority::ZoneAuthority;
use postern_zones::edit::{NewZone, ZoneSettings};
use postern_zones::name::NameBuf;
use postern_zones::record::{RecordRef, RecordSink, SourceProblem};
use postern_zones::text::rdata::type_name;
use postern_zones::text::read_zone_file;
use postern_zones::zone::rtype;
use serde_json::Value;
use time::OffsetDateTime;

use super::content::{self, RecordContent};
use super::draft::{self, DraftRecord, DraftSet, ZoneDraft};
use super::fault::PowerDnsError;
use super::patch::{serial_of, set_serial};
use super::read::Object;
use super::serial::Rule;
use super::settings::{PowerDnsKind, PowerDnsSettings};

/// TTL of records that are made, and of lines of a zone file that say none, seconds: PowerDNS's own.
const DEFAULT_TTL: u32 = 3600;

/// The zone that a request asks for. `names`: the servers of a zone for which the request has none.
pub fn read(body: &Value, names: &ZoneNames, table: &PrivateLinkTable, now: OffsetDateTime) -> Result<NewZone, PowerDnsError> {
    let body = Object::of(body);
    let (name, network) =
        body.text("name").map(|name| name.split_once('@').map_or((name, None), |(name, network)| (name, Some(network))))?;
    let apex = draft::read_absolute(name)?;
    draft::check_characters(name, &apex)?;
    let settings = read_settings(body)?;
    let text = body.may_text("zone").filter(|text| !text.is_empty());
    if text.is_some() && body.list("rrsets").is_some() {
        return Err(PowerDnsError::invalid("You cannot give rrsets AND zone data as text"));
    }
    let mut draft = ZoneDraft::new(None, &settings);
    for rrset in body.list("rrsets").unwrap_or_default() {
        add_set(&mut draft, Object::of(rrset), &apex, now)?;
    }
    if let Some(text) = text {
        add_text(&mut draft, text, &apex)?;
    }
    let servers = add_name_servers(&mut draft, body, &apex)?;
    let mut authority = ZoneAuthority::of_api(names, &apex);
    if let Some(server) = servers.first() {
        authority.primary = draft::read_absolute(server)?;
    } else if draft.set(&apex, rtype::SOA).records.is_empty() && draft.set(&apex, rtype::NS).records.is_empty() {
        let record =
            |server: &NameBuf| DraftRecord { content: RecordContent { rdata: server.as_wire().into(), written: None }, disabled: false };
        let set = draft.set(&apex, rtype::NS);
        set.records = authority.servers.iter().map(record).collect();
        set.ttl = DEFAULT_TTL;
    }
    add_soa(&mut draft, body, &apex, &authority, settings.rule(), now)?;
    let (records, kept) = draft.finish("another")?;
    let name = apex.to_string();
    let name = if name == "." { name } else { name.trim_end_matches('.').to_owned() };
    let networks = NetworkLinks::of_list(network.map(|network| network.trim_end_matches('.').to_owned()).into_iter().collect());
    let is_private_link = table.is_private_link_zone(&name);
    let mut settings = ZoneSettings {
        name,
        networks,
        on_missing: OnMissing::usual(is_private_link),
        fallback: Some(is_private_link),
        declared: false,
        extra: Default::default(),
    };
    kept.keep(&mut settings)?;
    Ok(NewZone { settings, records })
}

/// Settings of a new zone.
fn read_settings(body: Object<'_>) -> Result<PowerDnsSettings, PowerDnsError> {
    let mut settings = PowerDnsSettings { soa_edit_api: Some("DEFAULT".into()), ..PowerDnsSettings::default() };
    change_settings(&mut settings, body)?;
    Ok(settings)
}

/// Takes over what a request says of a zone's settings; what it does not say stays.
pub fn change_settings(settings: &mut PowerDnsSettings, body: Object<'_>) -> Result<(), PowerDnsError> {
    if let Some(kind) = body.may_text("kind") {
        settings.kind = PowerDnsKind::read(kind)?;
    }
    if let Some(account) = body.may_text("account") {
        settings.account = account.into();
    }
    if let Some(word) = body.may_text("soa_edit_api") {
        settings.soa_edit_api = Some(word.into());
    }
    if let Some(word) = body.may_text("soa_edit") {
        settings.soa_edit = word.into();
    }
    if body.value("api_rectify").is_some() {
        settings.api_rectify = body.flag("api_rectify")?;
    }
    if body.list("masters").is_some_and(|masters| !masters.is_empty()) {
        return Err(PowerDnsError::invalid("Primaries of a secondary zone are named in the configuration file"));
    }
    if body.flag("dnssec")? || body.flag("presigned")? || body.may_text("nsec3param").is_some_and(|text| !text.is_empty()) {
        return Err(PowerDnsError::invalid("Zones are not signed here"));
    }
    if body.may_text("catalog").is_some_and(|catalog| !catalog.is_empty()) {
        return Err(PowerDnsError::invalid("Catalog zones are not made here"));
    }
    let has_keys = |key| body.list(key).is_some_and(|keys| !keys.is_empty());
    if has_keys("master_tsig_key_ids") || has_keys("slave_tsig_key_ids") {
        return Err(PowerDnsError::invalid("Keys of transfers are named in the configuration file"));
    }
    Ok(())
}

/// Adds an RRset of a request.
pub fn add_set(draft: &mut ZoneDraft<'_>, rrset: Object<'_>, apex: &NameBuf, now: OffsetDateTime) -> Result<(), PowerDnsError> {
    let (owner, rtype) = draft::read_key(rrset, apex)?;
    if rtype == rtype::ANY {
        return Err(PowerDnsError::invalid(format!("RRset {owner} IN ANY: unknown type given")));
    }
    let records = draft::read_records(rrset, &owner, rtype, apex)?;
    let comments = draft::read_comments(rrset, now.unix_timestamp().unsigned_abs())?;
    if records.is_none() && comments.is_none() {
        return Ok(());
    }
    let ttl = if records.is_some() { Some(rrset.ttl()?) } else { None };
    let set = draft.set(&owner, rtype);
    set.ttl = ttl.unwrap_or(set.ttl);
    set.records.extend(records.unwrap_or_default());
    set.comments.extend(comments.unwrap_or_default());
    Ok(())
}

/// Adds the records of a zone file.
fn add_text(draft: &mut ZoneDraft<'_>, text: &str, apex: &NameBuf) -> Result<(), PowerDnsError> {
    #[derive(Default)]
    struct Sink(BTreeMap<(draft::NameKey, u16), DraftSet>);
    impl RecordSink for Sink {
        fn record(&mut self, record: RecordRef<'_>) {
            let set = self.0.entry((draft::NameKey::of(record.owner), record.rtype)).or_default();
            if set.records.is_empty() {
                set.ttl = record.ttl.unwrap_or(DEFAULT_TTL);
            }
            let content = RecordContent { rdata: record.rdata.into(), written: None };
            // Twice the same line is once the record (RFC 2181 section 5).
            if !set.records.iter().any(|known| known.content.rdata == content.rdata) {
                set.records.push(DraftRecord { content, disabled: false });
            }
        }
    }
    let (mut sink, mut problems) = (Sink::default(), Vec::new());
    read_zone_file(text.as_bytes(), &Arc::new(PathBuf::new()), apex, None, &mut sink, &mut problems);
    let is_error = |problem: &&SourceProblem| problem.severity == postern_zones::record::Severity::Error;
    if let Some(problem) = problems.iter().find(is_error) {
        let (line, column, message) = (problem.at.line, problem.at.column, &problem.message);
        return Err(PowerDnsError::invalid(format!(
            "An error occurred while parsing the zonedata: line {line}, column {column}: {message}"
        )));
    }
    for ((owner, rtype), set) in sink.0 {
        let owner = owner.name();
        if !owner.is_under(apex.as_wire()) {
            return Err(PowerDnsError::invalid(format!("RRset {owner} IN {}: Name is out of zone", type_name(rtype))));
        }
        *draft.set(&owner, rtype) = set;
    }
    Ok(())
}

/// Adds NS records for `nameservers`; gives them.
fn add_name_servers<'v>(draft: &mut ZoneDraft<'_>, body: Object<'v>, apex: &NameBuf) -> Result<Vec<&'v str>, PowerDnsError> {
    if body.value("nameservers").is_some_and(|value| !value.is_array()) {
        return Err(PowerDnsError::invalid("Nameservers is not a list"));
    }
    let empty = "Nameservers must be non-empty strings";
    let servers = body.texts("nameservers", empty)?.unwrap_or_default();
    let set = draft.set(apex, rtype::NS);
    if !servers.is_empty() && !set.records.is_empty() {
        return Err(PowerDnsError::invalid("Nameservers list MUST NOT be mixed with zone-level NS in rrsets"));
    }
    for server in &servers {
        if server.is_empty() {
            return Err(PowerDnsError::invalid(empty));
        }
        if !server.ends_with('.') {
            return Err(PowerDnsError::invalid(format!("Nameserver is not canonical: '{server}'")));
        }
        let content = content::read(rtype::NS, server);
        let content = content.map_err(|_| PowerDnsError::invalid(format!("Unable to parse DNS Name for NS '{server}'")))?;
        set.ttl = DEFAULT_TTL;
        set.records.push(DraftRecord { content, disabled: false });
    }
    Ok(servers)
}

/// Gives the SOA its first serial; makes one where the request has none.
fn add_soa(
    draft: &mut ZoneDraft<'_>,
    body: Object<'_>,
    apex: &NameBuf,
    authority: &ZoneAuthority,
    rule: Rule,
    now: OffsetDateTime,
) -> Result<(), PowerDnsError> {
    let set = draft.set(apex, rtype::SOA);
    match &mut set.records[..] {
        [] => {
            let given = body.value("serial").and_then(Value::as_u64).and_then(|serial| u32::try_from(serial).ok()).unwrap_or(0);
            let mut rdata = authority.soa();
            set_serial(&mut rdata, rule.first(given, now));
            set.ttl = DEFAULT_TTL;
            set.records.push(DraftRecord { content: RecordContent { rdata: rdata.into(), written: None }, disabled: false });
        }
        [soa, ..] => {
            let given = serial_of(&soa.content.rdata);
            set_serial(&mut soa.content.rdata, rule.first(given, now));
            soa.content.written = None; // its serial is another one
        }
    }
    Ok(())
}
