//! What the records of a zone say of each other: the first walk over all names, which checks them one by one and finds what the second,
//! which writes them, needs to know.

use std::collections::HashMap;

use super::super::log::{LogEntry, LogOrder, LogPlace, groups, in_parts, read_entry};
use super::super::problems::Problems;
use super::super::{NameDiversion, Zone, ZoneCounts, rtype};
use super::{ZoneBuilder, labels, parent_of, soa_names};
use crate::lookup::Lookup;
use crate::name::NameBuf;
use crate::record::TextPosition;
use crate::text::rdata::type_name;

/// Properties of a name that has names below it.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Parent {
    pub(super) children: u32,
    pub(super) wild: bool,
}

/// Findings of the first walk over all names, for the second.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) parents: HashMap<Box<[u8]>, Parent, foldhash::fast::FixedState>,
    pub(super) apex: Parent,
    /// Owners of cuts (`false`) and DNAMEs (`true`).
    pub(super) diverts: HashMap<Box<[u8]>, bool, foldhash::fast::FixedState>,
    /// NS, MX and SRV records, by log and offset: their targets are looked at when the zone stands.
    targets: Vec<(u8, u32)>,
    pub(super) soa: Option<Soa>,
    pub(super) counts: ZoneCounts,
}

/// The SOA that counts.
#[derive(Debug)]
pub(super) struct Soa {
    pub(super) rdata: Box<[u8]>,
    pub(super) ttl: u32,
    pub(super) file: u16,
    pub(super) at: TextPosition,
}

/// The first records of a name, of the types that may not stand beside others.
#[derive(Debug, Clone, Copy, Default)]
struct NameRecords<'l> {
    cname: Option<LogEntry<'l>>,
    dname: Option<LogEntry<'l>>,
    ns: Option<LogEntry<'l>>,
    ds: Option<LogEntry<'l>>,
    /// The first record of any type but CNAME and those that may stand beside it.
    other: Option<LogEntry<'l>>,
}

impl ZoneBuilder {
    /// First walk: each name by itself.
    pub(super) fn look(&self, order: &LogOrder, problems: &mut Problems) -> Findings {
        let parts = in_parts(self.logs.len(), self.records, |logs| {
            let (mut findings, mut problems) = (Findings::default(), Problems::default());
            for number in logs {
                for group in groups(&self.logs[number], &order.places[number]) {
                    self.check_name(number, group, &mut findings, &mut problems);
                }
            }
            (findings, problems)
        });
        let mut all = Findings::default();
        for (findings, found) in parts {
            all.merge(findings);
            problems.merge(found);
        }
        all
    }

    /// Checks the types at one name against each other: RFC 1034 section 3.6.2 (CNAME), RFC 6672 section 2.4 (DNAME).
    fn check_name(&self, number: usize, group: &[LogPlace], findings: &mut Findings, problems: &mut Problems) {
        let log = &self.logs[number];
        let owner = read_entry(log, group[0].offset).owner;
        let is_apex = owner.is_empty();
        let is_wild = owner.starts_with(b"\x01*");
        if !is_apex {
            note_parent(findings, owner);
        }
        findings.counts.depth = findings.counts.depth.max(labels(owner));
        findings.counts.wildcards += usize::from(is_wild);

        let found = self.records_of(number, group, findings, problems);
        self.check_alias(owner, &found, problems);
        if is_wild {
            self.check_wildcard(owner, &found, problems);
        }
        match NameDiversion::of(found.dname.is_some(), found.ns.is_some(), is_apex, is_wild) {
            Some(NameDiversion::Nothing) => {}
            Some(NameDiversion::Dname) => {
                findings.counts.dnames += 1;
                findings.diverts.insert(owner.into(), true);
            }
            Some(NameDiversion::Cut) => {
                findings.counts.cuts += 1;
                findings.diverts.insert(owner.into(), false);
            }
            None => {
                let message = format!("DNAME beside NS at {} (line {})", self.name(owner), found.ns.map_or(0, |ns| ns.at.line));
                let at = found.dname.or(found.ns); // both are there
                at.iter()
                    .for_each(|entry| problems.error(&self.files, entry, message.clone(), "a delegated name cannot be redirected as well"));
            }
        }
        if let (Some(ds), None, false) = (found.ds, found.ns, is_wild) {
            problems.warning(&self.files, &ds, format!("DS without NS at {}", self.name(owner)), "DS belongs to a delegation");
        }
    }

    /// Returns the first record of each type that matters beside others. Notes the names that NS, MX and SRV records lead to.
    fn records_of(&self, number: usize, group: &[LogPlace], findings: &mut Findings, problems: &mut Problems) -> NameRecords<'_> {
        let log = &self.logs[number];
        let mut found = NameRecords::default();
        for place in group {
            let entry = read_entry(log, place.offset);
            match entry.rtype {
                0 | rtype::KEY | rtype::RRSIG | rtype::NSEC => continue,
                rtype::CNAME => {
                    if found.cname.is_some_and(|first| !first.rdata.eq_ignore_ascii_case(entry.rdata)) {
                        let message = format!("a second CNAME at {}", self.name(entry.owner));
                        problems.error(&self.files, &entry, message, "a name can be an alias of one name only");
                    }
                    found.cname = found.cname.or(Some(entry));
                    continue;
                }
                rtype::DNAME => {
                    if found.dname.is_some_and(|first| !first.rdata.eq_ignore_ascii_case(entry.rdata)) {
                        let message = format!("a second DNAME at {}", self.name(entry.owner));
                        problems.error(&self.files, &entry, message, "a name can be redirected to one name only");
                    }
                    found.dname = found.dname.or(Some(entry));
                }
                rtype::SOA => self.check_soa(&entry, findings, problems),
                rtype::NS => found.ns = found.ns.or(Some(entry)),
                rtype::DS => found.ds = found.ds.or(Some(entry)),
                _ => {}
            }
            found.other = found.other.or(Some(entry));
            if matches!(entry.rtype, rtype::NS | rtype::MX | rtype::SRV) {
                findings.targets.push((number as u8, place.offset));
            }
        }
        found
    }

    fn check_alias(&self, owner: &[u8], found: &NameRecords<'_>, problems: &mut Problems) {
        if let Some(cname) = found.cname {
            if owner.is_empty() {
                let message = format!("CNAME at the apex {}", self.name(owner));
                problems.error(
                    &self.files,
                    &cname,
                    message,
                    "the apex has an SOA record, and a CNAME stands alone: give it A and AAAA records",
                );
            } else if let Some(other) = found.other {
                let message =
                    format!("CNAME beside other data: {} also has {} (line {})", self.name(owner), type_name(other.rtype), other.at.line);
                problems.error(&self.files, &cname, message, "a CNAME stands alone: remove it or the other records");
            }
        }
    }

    fn check_wildcard(&self, owner: &[u8], found: &NameRecords<'_>, problems: &mut Problems) {
        if let Some(entry) = found.ns {
            let message = format!("NS at the wildcard {} is served as plain data", self.name(owner));
            problems.warning(&self.files, &entry, message, "RFC 4592 does not define it");
        }
        if let Some(entry) = found.dname {
            let name = self.name(owner);
            let message =
                format!("DNAME at the wildcard {name} redirects the names below {name} alone, not those that the wildcard matches");
            problems.warning(&self.files, &entry, message, "RFC 6672 section 3.3 discourages it");
        }
    }

    fn check_soa(&self, entry: &LogEntry<'_>, findings: &mut Findings, problems: &mut Problems) {
        if !entry.owner.is_empty() {
            problems.error(
                &self.files,
                entry,
                format!("SOA below the apex, at {}", self.name(entry.owner)),
                "a zone has one SOA, at its apex",
            );
            return;
        }
        if let Some(first) = &findings.soa {
            if first.file == entry.file && first.rdata[..] != *entry.rdata {
                let message = format!("a second SOA (the first is in line {})", first.at.line);
                problems.error(&self.files, entry, message, "a zone has one SOA");
            }
            if first.file <= entry.file {
                return; // of several files the first one's counts
            }
        }
        if soa_names(entry.rdata).is_none() {
            problems.error(&self.files, entry, "SOA record data is malformed".into(), "expected two names and five numbers");
            return;
        }
        findings.soa = Some(Soa { rdata: entry.rdata.into(), ttl: entry.ttl, file: entry.file, at: entry.at });
    }

    /// RFC 2181 section 10.3: NS and MX (and SRV, RFC 2782) name a host, not an alias.
    pub(super) fn check_targets(&self, zone: &Zone, findings: &Findings, problems: &mut Problems) {
        for &(number, offset) in &findings.targets {
            let entry = read_entry(&self.logs[number as usize], offset);
            let skip = match entry.rtype {
                rtype::MX => 2,
                rtype::SRV => 6,
                _ => 0,
            };
            let Some(target) = entry.rdata.get(skip..).and_then(|name| NameBuf::read(name).ok()) else { continue };
            if target.is_under(self.apex.as_wire()) && matches!(zone.lookup(&target, rtype::A), Lookup::Alias { .. }) {
                let message = format!("{} of {} points to {target}, which is a CNAME", type_name(entry.rtype), self.name(entry.owner));
                problems.warning(&self.files, &entry, message, "name the host itself");
            }
        }
    }
}

impl Findings {
    fn merge(&mut self, other: Findings) {
        for (owner, parent) in other.parents {
            self.parents.entry(owner).or_default().add(parent);
        }
        self.apex.add(other.apex);
        self.diverts.extend(other.diverts);
        self.targets.extend(other.targets);
        self.soa = self.soa.take().or(other.soa); // the apex lies in one log
        self.counts.add(&other.counts);
    }
}

impl Parent {
    fn add(&mut self, other: Parent) {
        self.children += other.children;
        self.wild |= other.wild;
    }
}

/// The names that have names below them and nothing of their own (RFC 4592 section 2.2.2).
pub(super) fn empty_non_terminals(logs: &[Vec<u8>], order: &LogOrder, findings: &mut Findings) -> Vec<Box<[u8]>> {
    let mut empty: Vec<Box<[u8]>> = findings.parents.keys().filter(|owner| !order.has(logs, owner)).cloned().collect();
    let mut next = 0;
    while next < empty.len() {
        let owner = empty[next].clone();
        findings.counts.wildcards += usize::from(owner.starts_with(b"\x01*"));
        if let Some(parent) = note_parent(findings, &owner).filter(|parent| !order.has(logs, parent)) {
            empty.push(parent.into());
        }
        next += 1;
    }
    empty
}

/// Counts a name at its parent; gives the parent where it was not known as one.
fn note_parent<'o>(findings: &mut Findings, owner: &'o [u8]) -> Option<&'o [u8]> {
    let parent = parent_of(owner)?;
    let wild = owner.starts_with(b"\x01*");
    let (known, is_new) = match (parent.is_empty(), findings.parents.contains_key(parent)) {
        (true, _) => (&mut findings.apex, false),
        (false, true) => (findings.parents.get_mut(parent)?, false),
        (false, false) => (findings.parents.entry(parent.into()).or_default(), true),
    };
    known.children += 1;
    known.wild |= wild;
    is_new.then_some(parent)
}
