//! The RRsets of a name, from its log entries.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use super::log::{LogEntry, LogPlace, read_entry};
use super::problems::Problems;
use super::repeats::repeats;
use super::shard::{self, ShardWriter};
use super::{ZoneCounts, rtype};
use crate::lint;
use crate::name::{NameBuf, WireName, write_name};
use crate::network::Clients;
use crate::text::rdata::type_name;

/// Space for one RRset in a DNS message, beside header, question and OPT.
pub const LARGEST_SET: usize = 65_535 - 12 - 259 - 64;

/// Properties of the zone that its RRsets follow.
pub struct SetRules<'b> {
    pub apex: &'b WireName,
    pub min_ttl: u32,
    pub max_ttl: u32,
    pub files: &'b [Arc<PathBuf>],
    /// True if the records come from more than one file.
    pub has_several_files: bool,
    /// Client prefixes, to warn of a name with addresses of two networks.
    pub networks: Option<&'b Clients>,
}

impl SetRules<'_> {
    /// Text of an owner, which is relative to the apex.
    fn name(&self, owner: &[u8]) -> String {
        name_in(self.apex, owner)
    }
}

/// Writes the RRsets of a name.
#[derive(Debug, Default)]
pub struct SetWriter {
    wire: Vec<u8>,
    entries: Vec<(u16, u32)>,
    addresses: Vec<IpAddr>,
    /// TTLs of the name by type, for signatures; empty if it has none.
    ttls: Vec<(u16, u32)>,
    /// File numbers of the RRsets since the last call of `take_files`, if the zone has several files.
    files: Vec<u16>,
}

impl SetWriter {
    /// File numbers of the RRsets of a shard.
    pub fn take_files(&mut self) -> Box<[u16]> {
        std::mem::take(&mut self.files).into()
    }

    /// Duplicates are left out and TTLs made equal, the lowest of them (RFC 2181 sections 5 and 5.2). A signature has the TTL of what it
    /// covers (RFC 4034 section 3).
    pub fn write(
        &mut self,
        rules: &SetRules<'_>,
        log: &[u8],
        group: &[LogPlace],
        out: &mut ShardWriter,
        counts: &mut ZoneCounts,
        problems: &mut Problems,
    ) {
        self.entries.clear();
        self.entries.extend(group.iter().map(|place| (read_entry(log, place.offset).rtype, place.offset)));
        self.entries.sort_unstable();
        self.ttls.clear();
        let lowest = |set: &[(u16, u32)]| set.iter().map(|(_, offset)| read_entry(log, *offset).ttl).min().unwrap_or(0);
        if self.entries.iter().any(|(rtype, _)| *rtype == rtype::RRSIG) {
            let sets = self.entries.chunk_by(|a, b| a.0 == b.0);
            self.ttls.extend(sets.map(|set| (set[0].0, lowest(set).clamp(rules.min_ttl, rules.max_ttl))));
        }
        self.entries.retain(|(rtype, _)| !matches!(*rtype, 0 | rtype::SOA));
        for set in self.entries.chunk_by(|a, b| a.0 == b.0) {
            let first = read_entry(log, set[0].1);
            if set.len() > LARGEST_SET / 12 {
                report_too_large(rules, &first, set.len(), problems);
                continue;
            }
            let ttl = lowest(set).clamp(rules.min_ttl, rules.max_ttl);
            if matches!(first.rtype, rtype::A | rtype::AAAA) {
                check_addresses(&mut self.addresses, rules, log, set, problems);
            }
            let count = write_records(&mut self.wire, &self.ttls, rules, log, set, ttl, problems);
            if self.wire.len() > LARGEST_SET {
                report_too_large(rules, &first, count, problems);
                continue;
            }
            out.set(count as u16, &self.wire);
            self.files.extend(rules.has_several_files.then_some(first.file));
            counts.sets += 1;
            counts.records += count;
        }
    }
}

/// Writes the records of one RRset into `wire`, without duplicates. Returns how many there are.
fn write_records(
    wire: &mut Vec<u8>,
    ttls: &[(u16, u32)],
    rules: &SetRules<'_>,
    log: &[u8],
    set: &[(u16, u32)],
    ttl: u32,
    problems: &mut Problems,
) -> usize {
    wire.clear();
    let (first, mut count) = (read_entry(log, set[0].1), 0);
    let repeated = repeats(first.rtype, set.len(), |index| read_entry(log, set[index].1).rdata);
    for (index, &(rtype, offset)) in set.iter().enumerate() {
        let entry = read_entry(log, offset);
        if repeated.get(index) == Some(&true) {
            continue;
        }
        if entry.file != first.file && index > 0 {
            let from = rules.files[first.file as usize].display();
            let message = format!("{} {} differs from {from}:{}", rules.name(entry.owner), type_name(rtype), first.at.line);
            problems.warning(rules.files, &entry, message, "both are served: keep the right one");
        } else if entry.ttl != first.ttl && rtype != rtype::RRSIG {
            let message = format!("{} {} has two TTLs, {} and {}", rules.name(entry.owner), type_name(rtype), first.ttl, entry.ttl);
            problems.warning(rules.files, &entry, message, "the lowest counts for all records of a name and type");
        }
        let own = entry.ttl.clamp(rules.min_ttl, rules.max_ttl);
        let ttl = if rtype == rtype::RRSIG { signature_ttl(entry.rdata, own, ttls) } else { ttl };
        shard::write_record(wire, rtype, ttl, entry.rdata);
        count += 1;
    }
    count
}

/// Reports an RRset that does not fit into a DNS message.
fn report_too_large(rules: &SetRules<'_>, first: &LogEntry<'_>, count: usize, problems: &mut Problems) {
    let (owner, rtype) = (rules.name(first.owner), type_name(first.rtype));
    problems.error(rules.files, first, format!("{owner} {rtype} has {count} records: more than one DNS message holds"), "");
}

/// A name of a zone for people: absolute, without the final dot.
pub fn name_in(apex: &WireName, owner: &[u8]) -> String {
    let mut text = String::new();
    let wire = [owner, apex.as_wire()].concat();
    let _ = write_name(&wire, &mut text); // a String takes everything
    if text.len() > 1 {
        text.pop();
    }
    text
}

/// TTL of an RRSIG: that of the set it covers, `own` if the name has no such set. `ttls` are those of the name by type.
pub(super) fn signature_ttl(rdata: &[u8], own: u32, ttls: &[(u16, u32)]) -> u32 {
    let covered = rdata.first_chunk().map(|covered| u16::from_be_bytes(*covered));
    ttls.iter().find(|(rtype, _)| Some(*rtype) == covered).map_or(own, |(_, ttl)| *ttl)
}

/// Addresses that are probably not meant: see [`lint`].
fn check_addresses(addresses: &mut Vec<IpAddr>, rules: &SetRules<'_>, log: &[u8], set: &[(u16, u32)], problems: &mut Problems) {
    addresses.clear();
    for (rtype, offset) in set {
        let entry = read_entry(log, *offset);
        let Some(address) = lint::address(*rtype, entry.rdata) else { continue };
        // Records below the root are overrides, or stand for the whole DNS.
        if lint::is_public(address) && rules.apex.as_wire().len() > 1 {
            let message = format!("{} has the public address {address} in a private zone", rules.name(entry.owner));
            problems.warning(rules.files, &entry, message, "clients leave the private network: give it the private endpoint's address");
        }
        addresses.push(address);
    }
    if addresses.len() > 1 {
        let last = read_entry(log, set[set.len() - 1].1);
        let name = [last.owner, rules.apex.as_wire()].concat();
        let Ok(name) = NameBuf::read(&name) else { return };
        if let Some((one, other, what)) = lint::apart(&name, addresses, rules.networks) {
            let message = format!("{} has addresses of two {what}, {one} and {other}", rules.name(last.owner));
            problems.warning(
                rules.files,
                &last,
                message,
                "every client gets both, and one is refused with HTTP 403: give each network its own zone",
            );
        }
    }
}
