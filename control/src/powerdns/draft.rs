//! RRsets on their way from a request into a zone.
//!
//! A draft is the zone as the request wants it, RRset by RRset: what one operation leaves is what the next one sees. It ends as the changes
//! of one edit, and as what is kept beside the records.

use std::collections::{BTreeMap, HashSet};

use postern_zones::name::NameBuf;
use postern_zones::text::rdata::{is_meta, type_code, type_name};
use postern_zones::zone::{RrSetChange, Zone, rtype};
use serde_json::Value;

use super::content::{self, RecordContent};
use super::fault::PowerDnsError;
use super::read::Object;
use super::settings::{Comment, PowerDnsSettings, RrSetExtras, set_key};

/// Records of an RRset at most: of 12 octets each at least, more do not fit into a message.
pub const MOST_RECORDS: usize = 65_535 / 12;

/// One record of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DraftRecord {
    pub content: RecordContent,
    /// Not served.
    pub disabled: bool,
}

/// An RRset of a request.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DraftSet {
    pub ttl: u32,
    pub records: Vec<DraftRecord>,
    pub comments: Vec<Comment>,
}

/// Owner and type.
pub type RrSetKey = (NameKey, u16);

/// A name that can be sorted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct NameKey(Box<[u8]>);

/// A zone as a request wants it: the sets that it touches.
#[derive(Debug)]
pub struct ZoneDraft<'z> {
    zone: Option<&'z Zone>,
    settings: &'z PowerDnsSettings,
    sets: BTreeMap<RrSetKey, DraftSet>,
}

impl NameKey {
    pub fn of(name: &NameBuf) -> Self {
        Self(name.as_wire().into())
    }

    pub fn name(&self) -> NameBuf {
        NameBuf::read(&self.0).unwrap_or(NameBuf::root()) // it was made from one
    }
}

impl<'z> ZoneDraft<'z> {
    /// A draft on top of a zone; none: of a new one.
    pub fn new(zone: Option<&'z Zone>, settings: &'z PowerDnsSettings) -> Self {
        Self { zone, settings, sets: BTreeMap::new() }
    }

    /// An RRset as it is by now.
    pub fn set(&mut self, owner: &NameBuf, rtype: u16) -> &mut DraftSet {
        let (zone, settings) = (self.zone, self.settings);
        self.sets.entry((NameKey::of(owner), rtype)).or_insert_with(|| stored(zone, settings, owner, rtype))
    }

    /// Every type that a name has, or has something beside.
    pub fn types_at(&self, owner: &NameBuf) -> Vec<u16> {
        let mut types: Vec<u16> = self.zone.into_iter().flat_map(|zone| zone.at(owner)).map(|set| set.rtype).collect();
        let prefix = format!("{owner} ");
        let beside = self.settings.beside.range(prefix.clone()..).map_while(|(key, _)| key.strip_prefix(&prefix));
        types.extend(beside.filter_map(type_code));
        types.extend(self.touched(owner));
        types.sort_unstable();
        types.dedup();
        types
    }

    /// Empties every RRset of the zone that was not touched, but the SOA: the draft is all that the zone holds.
    pub fn only(&mut self) {
        let stored = self.zone.into_iter().flat_map(Zone::records).map(|(owner, set)| (owner, set.rtype));
        let beside = self.settings.beside.keys().filter_map(|key| {
            let (owner, kind) = key.rsplit_once(' ')?;
            Some((NameBuf::parse(owner).ok()?, type_code(kind)?))
        });
        let all: Vec<(NameBuf, u16)> = stored.chain(beside).filter(|(_, rtype)| *rtype != rtype::SOA).collect();
        for (owner, rtype) in all {
            self.sets.entry((NameKey::of(&owner), rtype)).or_default();
        }
    }

    /// The changes that lead there, and what is kept beside them. `beside_what`: how PowerDNS calls the other RRset of a conflict.
    pub fn finish(self, beside_what: &str) -> Result<(Vec<RrSetChange>, PowerDnsSettings), PowerDnsError> {
        let mut settings = self.settings.clone();
        let mut changes = Vec::with_capacity(self.sets.len());
        for ((owner, rtype), set) in &self.sets {
            let name = owner.name();
            self.check(&name, *rtype, set, beside_what)?;
            let served = set.records.iter().filter(|record| !record.disabled).map(|record| record.content.rdata.clone());
            let change = RrSetChange { owner: name.to_wire_name(), rtype: *rtype, ttl: set.ttl, rdata: served.collect() };
            let (key, beside) = (set_key(&name, *rtype), set.beside(*rtype));
            if settings.beside.contains_key(&key) || beside != RrSetExtras::default() {
                settings.beside.insert(key, beside);
            }
            // A set that is not there and is not to be is no change.
            if !change.rdata.is_empty() || self.zone.is_some_and(|zone| zone.at(&name).any(|set| set.rtype == *rtype)) {
                changes.push(change);
            }
        }
        Ok((changes, settings))
    }

    fn check(&self, name: &NameBuf, rtype: u16, set: &DraftSet, beside_what: &str) -> Result<(), PowerDnsError> {
        let kind = type_name(rtype);
        let mut seen = HashSet::with_capacity(set.records.len());
        if let Some(twice) = set.records.iter().find(|record| !seen.insert(&record.content.rdata)) {
            let content = twice.text(rtype);
            return Err(PowerDnsError::invalid(format!("Duplicate record in RRset {name} IN {kind} with content \"{content}\"")));
        }
        if set.records.len() > 1 && matches!(rtype, rtype::CNAME | rtype::SOA | rtype::DNAME) {
            return Err(PowerDnsError::invalid(format!("RRset {name} IN {kind} has more than one record")));
        }
        if rtype == rtype::SOA && !set.is_served() {
            return Err(PowerDnsError::invalid(format!("RRset {name} IN SOA: a zone keeps its SOA")));
        }
        let is_there = |other: &u16| match self.sets.get(&(NameKey::of(name), *other)) {
            Some(set) => set.is_served(),
            None => self.zone.is_some_and(|zone| zone.at(name).any(|set| set.rtype == *other)),
        };
        let alone = |rtype: u16| rtype == rtype::CNAME;
        let may_stand_beside = |rtype: u16| matches!(rtype, rtype::KEY | rtype::RRSIG | rtype::NSEC);
        let is_conflict =
            |other: u16| other != rtype && (alone(rtype) && !may_stand_beside(other) || alone(other) && !may_stand_beside(rtype));
        if set.is_served() && self.types_of(name).filter(is_there).any(is_conflict) {
            return Err(PowerDnsError::invalid(format!("RRset {name} IN {kind}: Conflicts with {beside_what} RRset")));
        }
        Ok(())
    }

    /// Types at a name that are served or touched.
    fn types_of(&self, name: &NameBuf) -> impl Iterator<Item = u16> {
        self.zone.into_iter().flat_map(|zone| zone.at(name)).map(|set| set.rtype).chain(self.touched(name))
    }

    /// Types at a name that are touched.
    fn touched(&self, name: &NameBuf) -> impl Iterator<Item = u16> {
        let key = NameKey::of(name);
        self.sets.range((key.clone(), 0)..=(key, u16::MAX)).map(|((_, rtype), _)| *rtype)
    }
}

impl DraftSet {
    fn is_served(&self) -> bool {
        self.records.iter().any(|record| !record.disabled)
    }

    /// Returns the data that is kept beside the served records.
    fn beside(&self, rtype: u16) -> RrSetExtras {
        let disabled = self.records.iter().filter(|record| record.disabled).map(|record| record.text(rtype));
        let written = self.records.iter().filter(|record| !record.disabled).filter_map(|record| record.content.written.clone());
        let disabled: Vec<String> = disabled.collect();
        let ttl = if self.is_served() || disabled.is_empty() { 0 } else { self.ttl };
        RrSetExtras { comments: self.comments.clone(), ttl, disabled, written: written.collect() }
    }
}

impl DraftRecord {
    /// Its content as it goes out.
    pub fn text(&self, rtype: u16) -> String {
        self.content.written.clone().unwrap_or_else(|| content::write(rtype, &self.content.rdata))
    }
}

/// An RRset as it is stored.
pub fn stored(zone: Option<&Zone>, settings: &PowerDnsSettings, owner: &NameBuf, rtype: u16) -> DraftSet {
    let served = zone.and_then(|zone| zone.at(owner).find(|set| set.rtype == rtype));
    let nothing = RrSetExtras::default();
    let beside = settings.beside(owner, rtype).unwrap_or(&nothing);
    let written = beside.written(rtype);
    let records = served.iter().flat_map(|set| set.rdata()).map(|rdata| {
        let written = written.get(rdata).map(|text| (*text).to_owned());
        DraftRecord { content: RecordContent { rdata: rdata.into(), written }, disabled: false }
    });
    let disabled =
        beside.disabled.iter().filter_map(|text| Some(DraftRecord { content: content::read(rtype, text).ok()?, disabled: true }));
    let records = records.chain(disabled).collect();
    DraftSet { ttl: served.map_or(beside.ttl, |set| set.ttl), records, comments: beside.comments.clone() }
}

/// Owner and type of an RRset in a request.
pub fn read_key(rrset: Object<'_>, apex: &NameBuf) -> Result<(NameBuf, u16), PowerDnsError> {
    let owner = read_owner(rrset.text("name")?)?;
    let kind = rrset.text("type")?;
    let named = type_code(kind).filter(|rtype| !is_meta(*rtype) || *rtype == rtype::ANY);
    let Some(rtype) = named else {
        let help = if kind.eq_ignore_ascii_case("ALIAS") { "; ALIAS is not served here, A and AAAA are" } else { "" };
        return Err(PowerDnsError::invalid(format!("RRset {owner} IN {}: unknown type given{help}", kind.to_ascii_uppercase())));
    };
    if !owner.is_under(apex.as_wire()) {
        return Err(PowerDnsError::invalid(format!("RRset {owner} IN {}: Name is out of zone", type_name(rtype))));
    }
    Ok((owner, rtype))
}

/// An owner: absolute, and of the characters that PowerDNS takes.
pub fn read_owner(text: &str) -> Result<NameBuf, PowerDnsError> {
    let owner = read_absolute(text)?;
    let plain = text.strip_prefix("*.").unwrap_or(text);
    check_characters(plain, &owner)?;
    Ok(owner)
}

/// A name with its final dot.
pub fn read_absolute(text: &str) -> Result<NameBuf, PowerDnsError> {
    if !text.ends_with('.') {
        return Err(PowerDnsError::invalid(format!("DNS Name '{text}' is not canonical")));
    }
    NameBuf::parse(text).map_err(|_| PowerDnsError::invalid(format!("Unable to parse DNS Name '{text}'")))
}

/// Letters, digits and `-_./` alone.
pub fn check_characters(text: &str, name: &NameBuf) -> Result<(), PowerDnsError> {
    match text.bytes().all(|octet| octet.is_ascii_alphanumeric() || b"-_./".contains(&octet)) {
        true => Ok(()),
        false => Err(PowerDnsError::invalid(format!("Name '{name}' contains unsupported characters"))),
    }
}

/// The records of an RRset in a request; none: it says nothing of them.
pub fn read_records(rrset: Object<'_>, owner: &NameBuf, rtype: u16, apex: &NameBuf) -> Result<Option<Vec<DraftRecord>>, PowerDnsError> {
    let Some(list) = rrset.list("records") else { return Ok(None) };
    if list.len() > MOST_RECORDS {
        return Err(too_many(owner, rtype));
    }
    let read = |value: &Value| {
        let record = Object::of(value);
        let text = record.text("content")?;
        let disabled = record.flag("disabled")?;
        let kind = type_name(rtype);
        let content =
            content::read(rtype, text).map_err(|wrong| PowerDnsError::invalid(format!("Record {owner}/{kind} '{text}': {wrong}")))?;
        if rtype == rtype::SOA && owner != apex {
            return Err(PowerDnsError::invalid(format!("Record {owner} IN SOA is only allowed at apex")));
        }
        Ok(DraftRecord { content, disabled })
    };
    list.iter().map(read).collect::<Result<_, _>>().map(Some)
}

/// More than one message holds: refused before anything is made of them.
pub fn too_many(owner: &NameBuf, rtype: u16) -> PowerDnsError {
    PowerDnsError::invalid(format!("RRset {owner} IN {} has more than {MOST_RECORDS} records", type_name(rtype)))
}

/// The comments of an RRset in a request; none: it says nothing of them.
pub fn read_comments(rrset: Object<'_>, now: u64) -> Result<Option<Vec<Comment>>, PowerDnsError> {
    let Some(list) = rrset.list("comments") else { return Ok(None) };
    let read = |value: &Value| {
        let comment = Object::of(value);
        let modified_at = comment.value("modified_at").and_then(Value::as_u64).unwrap_or(now);
        Ok(Comment { account: comment.text("account")?.into(), content: comment.text("content")?.into(), modified_at })
    };
    list.iter().map(read).collect::<Result<_, _>>().map(Some)
}
