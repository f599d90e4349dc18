//! One zone's data, compiled.
//!
//! Names are spread over shards by their hash (`shard`); a zone is its shared shards (`shards`) and a few counters. A lookup hashes the
//! name once and probes once; only a name that does not exist, in a zone that has wildcards, cuts or DNAMEs, costs more. A change
//! ([`Zone::apply`]) makes anew the shards it touches and shares the rest. [`ZoneBuilder`] makes a zone from records in any order.

use std::fmt;
use std::sync::Arc;

use crate::compression::{CompactRecords, RecordCompressor};
use crate::lookup::{Lookup, RrSet};
use crate::name::{MAX_NAME, NameBuf, WireName};

mod apply;
#[cfg(test)]
mod apply_tests;
mod builder;
mod diversion;
mod log;
mod origins;
mod overriding;
mod problems;
mod repeats;
mod sets;
mod shard;
mod shards;
#[cfg(test)]
mod tests;

pub use postern_config::rtype;

pub use apply::{ChangeError, RrSetChange, next_serial, serial_rose};
pub use builder::{Built, DEFAULT_TTL, Foreign, OutsideRows, ZoneBuilder, is_azure_soa};
pub use diversion::NameDiversion;
use origins::RecordOrigins;
pub use overriding::OverriddenName;
use shard::{Node, Shard};
use shards::Shards;

/// One zone's data: immutable; a change makes a new one that shares what did not change.
#[derive(Clone, PartialEq, Eq)]
pub struct Zone {
    apex: WireName,
    apex_labels: usize,
    pub(crate) shards: Shards,
    soa: Box<[u8]>,
    negative_soa: CompactRecords,
    own_serial: bool,
    min_ttl: u32,
    max_ttl: u32,
    counts: ZoneCounts,
    /// None if its records come from no file.
    origins: Option<Arc<RecordOrigins>>,
}

/// How much a zone holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ZoneCounts {
    /// Records, the SOA among them.
    pub records: usize,
    /// RRsets, the SOA among them.
    pub sets: usize,
    /// Names that have records, the apex among them.
    pub names: usize,
    /// Names, empty non-terminals among them.
    nodes: usize,
    /// Names whose first label is `*`.
    wildcards: usize,
    /// NS RRsets below the apex.
    cuts: usize,
    /// DNAME RRsets.
    dnames: usize,
    /// Most labels of an owner below the apex; may be more than now, never less.
    depth: usize,
}

impl Zone {
    /// Its apex.
    pub fn apex(&self) -> &WireName {
        &self.apex
    }

    /// Looks up `name` (at or below the apex) and `rtype`. For ANY: one RRset of the name (RFC 8482 section 4.1).
    ///
    /// Where the RFCs leave a choice: NS records at a `*` are plain data, not a cut (RFC 4592 section 4.2). A DNAME there redirects the
    /// names below the `*` itself, and is plain data for the names that the wildcard matches (RFC 6672 section 3.3).
    #[inline]
    pub fn lookup(&self, name: &NameBuf, rtype: u16) -> Lookup<'_> {
        let owner = self.relative(name, 0);
        match self.find(owner) {
            Some(node) if node.flags() & (shard::OCCLUDED | shard::CUT) == 0 => self.answer(node, rtype, false),
            Some(node) => self.at_or_below_cut(name, node, rtype),
            None if self.counts.wildcards + self.counts.cuts + self.counts.dnames == 0 => Lookup::Missing,
            None => self.missing(name, rtype),
        }
    }

    /// All RRsets at exactly `name`, cuts and wildcards not considered (glue, ANY, additional data, transfers).
    pub fn at<'z>(&'z self, name: &NameBuf) -> impl Iterator<Item = RrSet<'z>> + use<'z> {
        let node = name.is_under(self.apex.as_wire()).then(|| self.find(self.relative(name, 0))).flatten();
        let soa = node.filter(|node| node.owner().is_empty()).map(|_| self.soa());
        soa.into_iter().chain(node.into_iter().flat_map(|node| node.sets()))
    }

    /// True where `name` exists: it has records, or a name below it has (an empty non-terminal).
    pub fn exists(&self, name: &NameBuf) -> bool {
        name.is_under(self.apex.as_wire()) && self.find(self.relative(name, 0)).is_some()
    }

    /// The SOA RRset as given in an answer.
    pub fn soa(&self) -> RrSet<'_> {
        shard::read_set(1, &self.soa)
    }

    /// The SOA as given in a negative answer, compressed behind the apex: TTL is the lower of its own and MINIMUM (RFC 2308 section 5).
    #[inline]
    pub fn negative_soa(&self) -> &CompactRecords {
        &self.negative_soa
    }

    /// SOA serial.
    pub fn serial(&self) -> u32 {
        let at = self.soa.len() - 20;
        u32::from_be_bytes([self.soa[at], self.soa[at + 1], self.soa[at + 2], self.soa[at + 3]])
    }

    /// SOA EXPIRE: seconds that a secondary answers without hearing from its primary.
    pub fn expire(&self) -> u32 {
        self.timer(12)
    }

    /// SOA REFRESH and RETRY: how often a secondary asks its primary, and how soon again when that failed; seconds.
    pub fn refresh_and_retry(&self) -> (u32, u32) {
        (self.timer(4), self.timer(8))
    }

    /// A number of the SOA, so many octets behind its serial.
    fn timer(&self, behind: usize) -> u32 {
        let at = self.soa.len() - 20 + behind;
        u32::from_be_bytes([self.soa[at], self.soa[at + 1], self.soa[at + 2], self.soa[at + 3]])
    }

    /// True where the source gives the serial; else the store moves it on with each change.
    pub fn has_own_serial(&self) -> bool {
        self.own_serial
    }

    /// The same data under another serial.
    pub fn with_serial(&self, serial: u32) -> Self {
        let mut zone = self.clone();
        zone.set_serial(serial);
        zone
    }

    /// Gives it another serial.
    fn set_serial(&mut self, serial: u32) {
        let at = self.soa.len() - 20;
        self.soa[at..at + 4].copy_from_slice(&serial.to_be_bytes());
        self.set_negative_soa();
    }

    /// How much it holds.
    pub fn counts(&self) -> &ZoneCounts {
        &self.counts
    }

    /// Octets held, shared shards counted in full.
    pub fn memory(&self) -> usize {
        self.shards.iter().map(|shard| shard.memory() + size_of::<Arc<Shard>>() + 16).sum::<usize>()
            + size_of::<Self>()
            + self.soa.len()
            + self.negative_soa.memory()
            + self.origins.as_ref().map_or(0, |origins| origins.memory())
    }

    /// Every RRset with its owner: the SOA first, then in no order that means anything.
    pub fn records(&self) -> impl Iterator<Item = (NameBuf, RrSet<'_>)> {
        let apex = self.apex.to_buf();
        std::iter::once((apex, self.soa())).chain(self.shards.iter().flat_map(|shard| self.records_of(shard)))
    }

    /// Every RRset of the names that follow `owner` in the order of [`Zone::records`], which holds as long as [`Zone::layout`] does:
    /// changes of other names in between neither hide a name nor show one twice.
    pub fn records_after<'z>(&'z self, owner: &NameBuf) -> impl Iterator<Item = (NameBuf, RrSet<'z>)> + use<'z> {
        let owner: Box<[u8]> = self.relative(owner, 0).into();
        let hash = shard::hash(&owner);
        let place = shard::shard_of(hash, self.shards.len());
        let here = self.shards.at(place).nodes().filter(move |(low, node)| (*low, node.owner()) > (hash as u32, &owner));
        let later = self.shards.iter().skip(place + 1).flat_map(|shard| shard.nodes());
        here.chain(later).flat_map(move |(_, node)| {
            let owner = self.absolute(node.owner());
            node.sets().map(move |set| (owner.clone(), set))
        })
    }

    /// Returns the number that the order of records depends on. It changes when the zone has grown much.
    pub fn layout(&self) -> usize {
        self.shards.len()
    }

    /// Takes over the shards of `old` that are equal, so that two generations of a zone cost little more than one.
    pub fn share_with(&mut self, old: &Zone) {
        if self.apex == old.apex {
            self.shards.share_with(&old.shards);
        }
    }

    /// The SOA and the RRsets of shards that `other` does not share.
    pub(crate) fn records_not_in<'z>(&'z self, other: &'z Zone) -> impl Iterator<Item = (NameBuf, RrSet<'z>)> {
        let rest = self.shards.not_in(&other.shards).flat_map(|shard| self.records_of(shard));
        std::iter::once((self.apex.to_buf(), self.soa())).chain(rest)
    }

    /// Every RRset of a shard with its owner.
    fn records_of<'z>(&'z self, shard: &'z Shard) -> impl Iterator<Item = (NameBuf, RrSet<'z>)> {
        shard.nodes().flat_map(move |(_, node)| {
            let owner = self.absolute(node.owner());
            node.sets().map(move |set| (owner.clone(), set))
        })
    }

    /// The part of `name` below the apex, without its first `label` labels; empty: the apex.
    #[inline]
    fn relative<'n>(&self, name: &'n NameBuf, label: usize) -> &'n [u8] {
        let end = name.len().saturating_sub(self.apex.as_wire().len());
        name.as_wire().get(name.start(label)..end).unwrap_or(&[])
    }

    fn absolute(&self, owner: &[u8]) -> NameBuf {
        let mut wire = [0u8; MAX_NAME];
        let apex = self.apex.as_wire();
        let length = owner.len() + apex.len();
        wire[..owner.len()].copy_from_slice(owner);
        wire[owner.len()..length].copy_from_slice(apex);
        NameBuf::read(&wire[..length]).unwrap_or(NameBuf::root()) // owner and apex were one name when the record came in
    }

    /// Lowest and highest TTL of its records.
    pub(crate) fn ttl_bounds(&self) -> (u32, u32) {
        (self.min_ttl, self.max_ttl)
    }

    /// The same records under other bounds, which the SOA and whatever is applied from now on keep.
    pub(crate) fn with_ttl_bounds(&self, (min, max): (u32, u32)) -> Self {
        let mut zone = Self { min_ttl: min, max_ttl: max, ..self.clone() };
        if let Some(rdata) = self.soa().rdata().next() {
            zone.set_soa(rdata, self.soa().ttl);
        }
        zone
    }

    /// Sets both forms of the SOA.
    fn set_soa(&mut self, rdata: &[u8], ttl: u32) {
        let mut wire = Vec::new();
        shard::write_record(&mut wire, rtype::SOA, ttl.clamp(self.min_ttl, self.max_ttl), rdata);
        self.soa = wire.into();
        self.set_negative_soa();
    }

    /// Makes the negative form of the SOA. It is never raised to the lowest TTL: a name that is missing may come any moment.
    fn set_negative_soa(&mut self) {
        let set = self.soa();
        let Some(rdata) = set.rdata().next() else { return };
        let minimum = rdata.last_chunk().map_or(0, |minimum| u32::from_be_bytes(*minimum));
        let apex = self.apex.to_buf();
        let mut compressor = RecordCompressor::new(&apex);
        compressor.authority(&apex, rtype::SOA, set.ttl.min(minimum), rdata);
        self.negative_soa = compressor.finish().unwrap_or_default(); // one SOA is never more than a message
    }

    #[inline]
    fn find(&self, owner: &[u8]) -> Option<Node<'_>> {
        let hash = shard::hash(owner);
        self.shards.at(shard::shard_of(hash, self.shards.len())).find(hash, owner)
    }

    /// RFC 1034 section 4.3.2 step 3a and 3c: the RRset, else the CNAME, else nothing.
    #[inline]
    fn answer<'z>(&'z self, node: Node<'z>, rtype: u16, wildcard: bool) -> Lookup<'z> {
        if node.owner().is_empty() && matches!(rtype, rtype::SOA | rtype::ANY) {
            return Lookup::Found { set: self.soa(), wildcard };
        }
        let mut alias = None;
        for set in node.sets() {
            if set.rtype == rtype || rtype == rtype::ANY {
                return Lookup::Found { set, wildcard };
            }
            if set.rtype == rtype::CNAME {
                alias = Some(set);
            }
        }
        match alias {
            Some(set) => Lookup::Alias { set, wildcard },
            None => Lookup::NoData,
        }
    }

    /// Step 3b. A cut's own DS is the parent's data (RFC 4035 section 3.1.4.1); everything else at or below a cut is not ours to answer.
    #[cold]
    fn at_or_below_cut<'z>(&'z self, name: &NameBuf, node: Node<'z>, rtype: u16) -> Lookup<'z> {
        if node.flags() & shard::OCCLUDED == 0 && rtype == rtype::DS {
            return self.answer(node, rtype, false);
        }
        self.divert(name, 0).unwrap_or(Lookup::NoData)
    }

    /// The name does not exist: the closest encloser decides (RFC 4592 section 3.3.1).
    fn missing<'z>(&'z self, name: &NameBuf, rtype: u16) -> Lookup<'z> {
        let labels = name.labels() - self.apex_labels;
        let deepest = labels.saturating_sub(self.counts.depth).max(1); // nothing exists below the deepest name: a long name costs no more
        for label in deepest..=labels {
            let owner = self.relative(name, label);
            let Some(encloser) = self.find(owner) else { continue };
            if encloser.flags() & (shard::OCCLUDED | shard::CUT | shard::DNAME) != 0 {
                return self.divert(name, label).unwrap_or(Lookup::Missing);
            }
            if encloser.flags() & shard::WILD == 0 {
                return Lookup::Missing;
            }
            let mut source = [0u8; MAX_NAME + 2];
            source[..2].copy_from_slice(b"\x01*");
            source[2..2 + owner.len()].copy_from_slice(owner);
            return self.find(&source[..2 + owner.len()]).map_or(Lookup::Missing, |node| self.answer(node, rtype, true));
        }
        Lookup::Missing
    }

    /// The cut at or above, or the DNAME above, that takes `name` away: the highest one. Names from label `lowest` up exist.
    fn divert<'z>(&'z self, name: &NameBuf, lowest: usize) -> Option<Lookup<'z>> {
        let labels = name.labels() - self.apex_labels;
        for label in (lowest..=labels).rev() {
            let node = self.find(self.relative(name, label))?;
            if node.flags() & shard::CUT != 0 {
                return Some(Lookup::Referral { set: node.set(rtype::NS)?, owner: label });
            }
            if node.flags() & shard::DNAME != 0 && label > 0 {
                return Some(Lookup::Redirect { set: node.set(rtype::DNAME)?, owner: label });
            }
        }
        None
    }
}

impl fmt::Debug for Zone {
    /// Prints its name and size, not its records: there may be a million.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Zone")
            .field("apex", &self.apex)
            .field("serial", &self.serial())
            .field("counts", &self.counts)
            .finish_non_exhaustive()
    }
}
