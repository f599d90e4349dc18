//! Zones and RRsets as PowerDNS shows them, key by key (rules 7 and 8).

use std::collections::BTreeSet;

use postern_zones::lookup::RrSet;
use postern_zones::name::NameBuf;
use postern_zones::text::rdata::{type_code, type_name};
use postern_zones::zone::Zone;
use serde::Serialize;

use super::content;
use super::draft::{self, NameKey};
use super::find::FoundZone;
use super::settings::{Comment, PowerDnsSettings, RrSetExtras};

/// A zone in a list.
#[derive(Debug, Serialize)]
pub struct Summary {
    account: String,
    catalog: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    dnssec: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    edited_serial: Option<u32>,
    id: String,
    kind: &'static str,
    last_check: u64,
    masters: Vec<String>,
    name: String,
    notified_serial: u32,
    serial: u32,
    url: String,
}

/// A zone alone, without its RRsets: they are written behind it.
#[derive(Debug, Serialize)]
pub struct Detail {
    #[serde(flatten)]
    summary: Summary,
    api_rectify: bool,
    master_tsig_key_ids: [String; 0],
    nsec3narrow: bool,
    nsec3param: &'static str,
    slave_tsig_key_ids: [String; 0],
    soa_edit: String,
    soa_edit_api: String,
}

/// Which RRsets are shown.
#[derive(Debug, Default)]
pub struct Wanted {
    /// Of this name alone.
    pub name: Option<NameBuf>,
    /// Of this type alone; 0: of a type that nobody has.
    pub rtype: Option<u16>,
    /// Not the records that are not served.
    pub without_disabled: bool,
}

#[derive(Serialize)]
struct Set<'s> {
    comments: &'s [Comment],
    name: &'s str,
    records: Vec<Record>,
    ttl: u32,
    #[serde(rename = "type")]
    kind: &'s str,
}

#[derive(Serialize)]
struct Record {
    content: String,
    disabled: bool,
}

impl Summary {
    /// `with_dnssec`: with what costs PowerDNS time to find out.
    pub fn new(found: &FoundZone, settings: &PowerDnsSettings, with_dnssec: bool) -> Self {
        let serial = found.zone().map_or(0, |zone| zone.serial());
        let id = found.id();
        Self {
            account: settings.account.clone(),
            catalog: "",
            dnssec: with_dnssec.then_some(false),
            edited_serial: with_dnssec.then_some(serial),
            kind: if found.is_secondary() { "Slave" } else { settings.kind.word() },
            last_check: found.last_check(),
            masters: found.primaries.clone(),
            name: found.name(),
            notified_serial: 0,
            serial,
            url: format!("{}/zones/{id}", super::SERVER),
            id,
        }
    }
}

impl Detail {
    pub fn new(found: &FoundZone, settings: &PowerDnsSettings) -> Self {
        // A zone that this interface did not make has its serials moved by one, or by its file or its primary.
        let usual = if found.hosted.kept.is_some() && !found.is_secondary() { "INCREASE" } else { "" };
        Self {
            summary: Summary::new(found, settings, true),
            api_rectify: settings.api_rectify,
            master_tsig_key_ids: [],
            nsec3narrow: false,
            nsec3param: "",
            slave_tsig_key_ids: [],
            soa_edit: settings.soa_edit.clone(),
            soa_edit_api: settings.soa_edit_api.clone().unwrap_or_else(|| usual.into()),
        }
    }

    /// The zone as JSON, with its RRsets where `zone` is given.
    pub fn to_json(&self, rrsets: Option<(&Zone, &PowerDnsSettings, &Wanted)>) -> String {
        let mut json = serde_json::to_string(self).unwrap_or_default(); // text and numbers: always JSON
        if let Some((zone, settings, wanted)) = rrsets {
            json.pop();
            json.push_str(",\"rrsets\":");
            write_sets(zone, settings, wanted, &mut json);
            json.push('}');
        }
        json
    }
}

/// A list of RRsets, written one by one: there may be a million.
fn write_sets(zone: &Zone, settings: &PowerDnsSettings, wanted: &Wanted, out: &mut String) {
    out.push('[');
    let start = out.len();
    let mut write = |owner: &NameBuf, set: Option<&RrSet<'_>>, rtype: u16| {
        if wanted.rtype.is_some_and(|wanted| wanted != rtype) {
            return;
        }
        if out.len() > start {
            out.push(',');
        }
        write_set(owner, rtype, set, settings.beside(owner, rtype), wanted, out);
    };
    let mut shown = BTreeSet::new();
    let mut show = |owner: &NameBuf, set: &RrSet<'_>| {
        if settings.beside(owner, set.rtype).is_some() {
            shown.insert((NameKey::of(owner), set.rtype));
        }
        write(owner, Some(set), set.rtype);
    };
    match &wanted.name {
        Some(name) => zone.at(name).for_each(|set| show(name, &set)),
        None => zone.records().for_each(|(owner, set)| show(&owner, &set)),
    }
    // What has comments or records that are not served, and nothing else.
    for key in settings.beside.keys() {
        let Some((owner, kind)) = key.rsplit_once(' ') else { continue };
        let (Ok(owner), Some(rtype)) = (NameBuf::parse(owner), type_code(kind)) else { continue };
        if wanted.name.as_ref().is_none_or(|name| *name == owner) && !shown.contains(&(NameKey::of(&owner), rtype)) {
            write(&owner, None, rtype);
        }
    }
    out.push(']');
}

fn write_set(owner: &NameBuf, rtype: u16, set: Option<&RrSet<'_>>, beside: Option<&RrSetExtras>, wanted: &Wanted, out: &mut String) {
    let written = beside.map(|beside| beside.written(rtype)).unwrap_or_default();
    let text = |rdata: &[u8]| written.get(rdata).map_or_else(|| content::write(rtype, rdata), |text| (*text).to_owned());
    let served = set.iter().flat_map(|set| set.rdata()).map(|rdata| Record { content: text(rdata), disabled: false });
    let disabled = beside.filter(|_| !wanted.without_disabled).map_or(&[][..], |beside| &beside.disabled);
    let disabled = disabled.iter().map(|content| Record { content: content.clone(), disabled: true });
    let set = Set {
        comments: beside.map_or(&[], |beside| &beside.comments),
        name: &owner.to_string(),
        records: served.chain(disabled).collect(),
        ttl: set.map_or_else(|| beside.map_or(0, |beside| beside.ttl), |set| set.ttl),
        kind: &type_name(rtype),
    };
    out.push_str(&serde_json::to_string(&set).unwrap_or_default()); // text and numbers: always JSON
}

/// The records that are served as lines of a zone file: owner, TTL, class, type and content with tabs between.
pub fn export(zone: &Zone, settings: &PowerDnsSettings) -> String {
    let mut lines: Vec<(String, u16, String)> = Vec::with_capacity(zone.counts().records);
    for (owner, set) in zone.records() {
        let (name, kind) = (owner.to_string(), type_name(set.rtype));
        for record in draft::stored(Some(zone), settings, &owner, set.rtype).records.iter().filter(|record| !record.disabled) {
            let line = format!("{name}\t{}\tIN\t{kind}\t{}\n", set.ttl, record.text(set.rtype));
            lines.push((name.clone(), set.rtype, line));
        }
    }
    // The apex and its SOA first, as a reader expects; the rest by name.
    let apex = zone.apex().to_string();
    lines.sort_by(|a, b| (a.0 != apex, a.1 != 6, &a.0, a.1).cmp(&(b.0 != apex, b.1 != 6, &b.0, b.1)));
    lines.into_iter().map(|(_, _, line)| line).collect()
}
