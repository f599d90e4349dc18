//! A changed zone that shares with the old one what did not change.
//!
//! Only the shards of the names that a change touches are written anew: the name, and the empty non-terminals above it that come or
//! go. Two things cost a walk over the whole zone: a cut or DNAME that comes or goes (what lies below it is hidden or seen again), and
//! growth past twice the names that the shards were made for.

use std::collections::HashMap;
use std::sync::Arc;

use super::builder::{self, MAX_TTL, parent_of, soa_names, wrong_data};
use super::log::SHARD_NAMES;
use super::log::{order_of, shards_for};
use super::repeats::repeats;
use super::sets::LARGEST_SET;
use super::sets::signature_ttl;
use super::shard::{self, Node, Shard, ShardWriter};
use super::shards::Shards;
use super::{NameDiversion, Zone, rtype};
use crate::lookup::RrSet;
use crate::name::{NameBuf, WireName};
use crate::text::rdata::type_name;

/// New content of an RRset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RrSetChange {
    /// Owner.
    pub owner: WireName,
    /// TYPE.
    pub rtype: u16,
    /// Seconds.
    pub ttl: u32,
    /// RDATA of every record, uncompressed wire form; none: the RRset goes.
    pub rdata: Vec<Box<[u8]>>,
}

/// Why a change cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ChangeError {
    /// Index of the change at fault.
    pub change: usize,
    /// Description of the problem.
    pub message: String,
}

/// A name on its way from old to new.
struct Edit<'z> {
    hash: u64,
    old: Option<Node<'z>>,
    /// By ascending type: records and their wire.
    sets: Vec<(u16, Vec<u8>)>,
    children: u32,
    flags: u8,
    /// Counted among its parent's children.
    counted: bool,
    /// The change that touched it last; none: only a name below it was touched.
    change: Option<usize>,
}

type Edits<'z> = HashMap<Box<[u8]>, Edit<'z>, foldhash::fast::FixedState>;

impl Zone {
    /// The zone after all of `changes`, in order, or why not one of them is made. The serial rises by one (RFC 1982) where data
    /// changes, unless a change sets the SOA.
    pub fn apply(&self, changes: &[RrSetChange]) -> Result<Zone, Vec<ChangeError>> {
        let mut edits = Edits::default();
        let mut soa = None;
        let mut refused = Vec::new();
        for (index, change) in changes.iter().enumerate() {
            if let Err(message) = self.edit(change, index, &mut edits, &mut soa) {
                refused.push(ChangeError { change: index, message });
            }
        }
        for (owner, edit) in &mut edits {
            match check(owner, edit) {
                Ok(flags) => edit.flags = (edit.flags & !(shard::CUT | shard::DNAME)) | flags,
                Err(message) => refused
                    .push(ChangeError { change: edit.change.unwrap_or(0), message: format!("{message} at {}", self.absolute(owner)) }),
            }
        }
        if !refused.is_empty() {
            refused.sort_by_key(|refused| refused.change);
            return Err(refused);
        }
        self.settle_signatures(&mut edits, soa.as_ref().map(|(_, ttl)| (*ttl).clamp(self.min_ttl, self.max_ttl)));
        let mut changed = edits.values().any(Edit::is_changed);
        self.settle_parents(&mut edits);
        let mut zone = self.rewrite(&edits)?;
        if let Some((rdata, ttl)) = soa {
            let before = zone.soa.clone();
            zone.set_soa(&rdata, ttl);
            zone.own_serial = true;
            changed = changed && zone.serial() == self.serial() && before == zone.soa;
        }
        if changed {
            zone.set_serial(next_serial(self.serial()));
        }
        Ok(zone)
    }

    fn edit<'z>(
        &'z self,
        change: &RrSetChange,
        index: usize,
        edits: &mut Edits<'z>,
        soa: &mut Option<(Box<[u8]>, u32)>,
    ) -> Result<(), String> {
        let name = change.owner.to_buf();
        let kind = type_name(change.rtype);
        if !name.is_under(self.apex.as_wire()) {
            return Err(format!("{name} does not lie in the zone {}", self.apex));
        }
        if change.ttl > MAX_TTL {
            return Err(format!("TTL {} is over {MAX_TTL}", change.ttl));
        }
        if let Some(wrong) = change.rdata.iter().find_map(|rdata| wrong_data(change.rtype, rdata)) {
            return Err(wrong);
        }
        let owner = self.relative(&name, 0);
        if change.rtype == rtype::SOA {
            return match &change.rdata[..] {
                [rdata] if owner.is_empty() && soa_names(rdata).is_some() => {
                    *soa = Some((rdata.clone(), change.ttl));
                    Ok(())
                }
                _ => Err("a zone has one SOA, at its apex, of two names and five numbers".into()),
            };
        }
        let ttl = change.ttl.clamp(self.min_ttl, self.max_ttl);
        let too_many = || format!("{name} {kind} has {} records: more than one DNS message holds", change.rdata.len());
        if change.rdata.len() > LARGEST_SET / 12 {
            return Err(too_many());
        }
        let (mut wire, mut count) = (Vec::new(), 0);
        let repeated = repeats(change.rtype, change.rdata.len(), |at| &change.rdata[at]);
        for (at, rdata) in change.rdata.iter().enumerate() {
            if repeated.get(at) != Some(&true) {
                shard::write_record(&mut wire, change.rtype, ttl, rdata);
                count += 1;
            }
            if wire.len() > LARGEST_SET {
                return Err(too_many());
            }
        }
        let edit = self.edit_of(owner, edits);
        edit.change = Some(index);
        let place = edit.sets.binary_search_by_key(&change.rtype, |(count, wire)| shard::read_set(*count, wire).rtype);
        match (place, count) {
            (Ok(place), 0) => drop(edit.sets.remove(place)),
            (Ok(place), _) => edit.sets[place] = (count, wire),
            (Err(_), 0) => {}
            (Err(place), _) => edit.sets.insert(place, (count, wire)),
        }
        Ok(())
    }

    fn edit_of<'e, 'z>(&'z self, owner: &[u8], edits: &'e mut Edits<'z>) -> &'e mut Edit<'z> {
        edits.entry(owner.into()).or_insert_with(|| {
            let old = self.find(owner);
            Edit {
                hash: shard::hash(owner),
                old,
                sets: old.into_iter().flat_map(|node| node.sets()).map(|set| (set.count, set.wire.to_vec())).collect(),
                children: old.map_or(0, |node| node.children()),
                flags: old.map_or(0, |node| node.flags()),
                counted: old.is_some(),
                change: None,
            }
        })
    }

    /// Gives each signature the TTL of what it covers, as when a zone is built. `soa`: the TTL of an SOA that changes.
    fn settle_signatures<'z>(&'z self, edits: &mut Edits<'z>, soa: Option<u32>) {
        if soa.is_some() && self.find(&[]).is_some_and(|apex| apex.set(rtype::RRSIG).is_some()) {
            self.edit_of(&[], edits);
        }
        for (owner, edit) in edits.iter_mut() {
            let Some(place) = edit.sets().position(|set| set.rtype == rtype::RRSIG) else { continue };
            let mut ttls: Vec<(u16, u32)> = edit.sets().map(|set| (set.rtype, set.ttl)).collect();
            if owner.is_empty() {
                ttls.push((rtype::SOA, soa.unwrap_or(self.soa().ttl)));
            }
            let (count, old) = &edit.sets[place];
            let mut wire = Vec::with_capacity(old.len());
            for (own, rdata) in shard::read_set(*count, old).records() {
                shard::write_record(&mut wire, rtype::RRSIG, signature_ttl(rdata, own, &ttls), rdata);
            }
            edit.sets[place].1 = wire;
        }
    }

    /// Tells the names above of each name that came or went: a name exists while it has records or names below it (RFC 4592 section 2.2.2).
    fn settle_parents<'z>(&'z self, edits: &mut Edits<'z>) {
        let mut pending: Vec<Box<[u8]>> = edits.keys().cloned().collect();
        while let Some(owner) = pending.pop() {
            let (Some(edit), Some(parent)) = (edits.get_mut(&owner), parent_of(&owner)) else { continue };
            let exists = edit.exists(&owner);
            if exists == edit.counted {
                continue;
            }
            edit.counted = exists;
            let above = self.edit_of(parent, edits);
            above.children = if exists { above.children + 1 } else { above.children.saturating_sub(1) };
            if owner.starts_with(b"\x01*") {
                above.flags = if exists { above.flags | shard::WILD } else { above.flags & !shard::WILD };
            }
            pending.push(parent.into());
        }
    }

    /// Writes the shards that the edits touch; all of them where what is hidden changes or the zone has outgrown its shards.
    fn rewrite(&self, edits: &Edits<'_>) -> Result<Zone, Vec<ChangeError>> {
        const DIVERTS: u8 = shard::CUT | shard::DNAME;
        let mut zone = Zone { origins: None, ..self.clone() }; // a changed zone has no file as its writer
        edits.iter().for_each(|(owner, edit)| edit.count(owner, &mut zone.counts));
        let diverted = edits.values().any(|edit| (edit.flags ^ edit.old.map_or(0, |old| old.flags())) & DIVERTS != 0);
        let outgrown = zone.counts.nodes > 2 * SHARD_NAMES * self.shards.len();
        let shards = if outgrown { shards_for(zone.counts.nodes) } else { self.shards.len() };
        let occlusion = Occlusion { zone: self, edits, any: zone.counts.cuts + zone.counts.dnames > 0 };

        let mut sorted: Vec<(&[u8], &Edit<'_>)> = edits.iter().map(|(owner, edit)| (&**owner, edit)).collect();
        sorted.sort_by_key(|(owner, edit)| (order_of(edit.hash, shards), *owner));
        if !diverted && !outgrown {
            for edits in sorted.chunk_by(|a, b| shard::shard_of(a.1.hash, shards) == shard::shard_of(b.1.hash, shards)) {
                let number = shard::shard_of(edits[0].1.hash, shards);
                zone.shards.replace(number, Arc::new(merge(self.shards.at(number), edits, &occlusion)?));
            }
            return Ok(zone);
        }
        let kept = self.shards.iter().flat_map(|shard| shard.nodes()).filter(|(_, node)| !edits.contains_key(node.owner()));
        let mut all: Vec<(u64, &[u8], Either<'_>)> =
            kept.map(|(_, node)| (order_of(shard::hash(node.owner()), shards), node.owner(), Err(node))).collect();
        all.extend(sorted.iter().map(|(owner, edit)| (order_of(edit.hash, shards), *owner, Ok(*edit))));
        all.sort_unstable_by_key(|(order, owner, _)| (*order, *owner));
        let mut written = Vec::with_capacity(shards);
        let mut writer = ShardWriter::default();
        for (order, owner, from) in all {
            while written.len() < (order >> 32) as usize {
                written.push(Arc::new(writer.finish()));
            }
            match from {
                Ok(edit) => edit.write(owner, &occlusion, &mut writer)?,
                Err(node) => {
                    let hidden = occlusion.of(owner);
                    if hidden == Some(true) && node.set_count() > 0 {
                        return Err(vec![occlusion.refuse(owner, None)]);
                    }
                    let flags = (node.flags() & !shard::OCCLUDED) | if hidden.is_some() { shard::OCCLUDED } else { 0 };
                    writer.node(order as u32, owner, flags, node.children());
                    node.sets().for_each(|set| writer.set(set.count, set.wire));
                }
            }
        }
        while written.len() < shards {
            written.push(Arc::new(writer.finish()));
        }
        zone.shards = Shards::new(&written);
        Ok(zone)
    }
}

type Either<'z> = Result<&'z Edit<'z>, Node<'z>>;

/// Names below a cut or a DNAME, after the edits.
struct Occlusion<'z> {
    zone: &'z Zone,
    edits: &'z Edits<'z>,
    any: bool,
}

impl Occlusion<'_> {
    /// Whether a name is hidden, and whether by a DNAME: the highest cut or DNAME above it decides.
    fn of(&self, owner: &[u8]) -> Option<bool> {
        let mut hidden = None;
        let mut above = if self.any { parent_of(owner) } else { None };
        while let Some(owner) = above {
            let flags =
                self.edits.get(owner).map(|edit| edit.flags).or_else(|| self.zone.find(owner).map(|node| node.flags())).unwrap_or(0);
            if flags & (shard::CUT | shard::DNAME) != 0 {
                hidden = Some(flags & shard::DNAME != 0);
            }
            above = parent_of(owner);
        }
        hidden
    }

    fn refuse(&self, owner: &[u8], change: Option<usize>) -> ChangeError {
        let change = change.or_else(|| self.edits.values().find(|edit| edit.flags & shard::DNAME != 0).and_then(|edit| edit.change));
        ChangeError { change: change.unwrap_or(0), message: format!("{} lies below a DNAME", self.zone.absolute(owner)) }
    }
}

impl Edit<'_> {
    fn exists(&self, owner: &[u8]) -> bool {
        owner.is_empty() || !self.sets.is_empty() || self.children > 0
    }

    fn is_changed(&self) -> bool {
        let old = self.old.into_iter().flat_map(|node| node.sets());
        !old.map(|set| (set.count, set.wire)).eq(self.sets.iter().map(|(count, wire)| (*count, &wire[..])))
    }

    fn sets(&self) -> impl Iterator<Item = RrSet<'_>> {
        self.sets.iter().map(|(count, wire)| shard::read_set(*count, wire))
    }

    /// Takes the old name out of the counts and the new one in.
    fn count(&self, owner: &[u8], counts: &mut super::ZoneCounts) {
        let swap = |total: &mut usize, old: usize, new: usize| *total = *total + new - old;
        let old_sets = || self.old.into_iter().flat_map(|node| node.sets());
        let flag = |flags: u8, flag: u8| usize::from(flags & flag != 0);
        let old_flags = self.old.map_or(0, |old| old.flags());
        let (existed, exists) = (usize::from(self.old.is_some()), usize::from(self.exists(owner)));
        let (had, has) = (usize::from(old_sets().next().is_some()), usize::from(!self.sets.is_empty()));
        swap(&mut counts.records, old_sets().map(|set| set.count as usize).sum(), self.sets().map(|set| set.count as usize).sum());
        swap(&mut counts.sets, old_sets().count(), self.sets.len());
        swap(&mut counts.nodes, existed, exists);
        swap(&mut counts.cuts, flag(old_flags, shard::CUT), flag(self.flags, shard::CUT));
        swap(&mut counts.dnames, flag(old_flags, shard::DNAME), flag(self.flags, shard::DNAME));
        if !owner.is_empty() {
            swap(&mut counts.names, had, has);
        }
        if owner.starts_with(b"\x01*") {
            swap(&mut counts.wildcards, existed, exists);
        }
        if exists == 1 {
            counts.depth = counts.depth.max(builder::labels(owner));
        }
    }

    fn write(&self, owner: &[u8], occlusion: &Occlusion<'_>, writer: &mut ShardWriter) -> Result<(), Vec<ChangeError>> {
        if !self.exists(owner) {
            return Ok(());
        }
        let hidden = occlusion.of(owner);
        if hidden == Some(true) && !self.sets.is_empty() {
            return Err(vec![occlusion.refuse(owner, self.change)]);
        }
        let flags = (self.flags & !shard::OCCLUDED) | if hidden.is_some() { shard::OCCLUDED } else { 0 };
        writer.node(self.hash as u32, owner, flags, self.children);
        self.sets.iter().for_each(|(count, wire)| writer.set(*count, wire));
        Ok(())
    }
}

/// One shard with its edits, both in the shard's order.
fn merge(old: &Shard, edits: &[(&[u8], &Edit<'_>)], occlusion: &Occlusion<'_>) -> Result<Shard, Vec<ChangeError>> {
    let mut writer = ShardWriter::default();
    let mut edits = edits.iter().peekable();
    for (low, node) in old.nodes() {
        while let Some((owner, edit)) = edits.next_if(|(owner, edit)| (edit.hash as u32, *owner) < (low, node.owner())) {
            edit.write(owner, occlusion, &mut writer)?;
        }
        match edits.next_if(|(owner, _)| *owner == node.owner()) {
            Some((owner, edit)) => edit.write(owner, occlusion, &mut writer)?,
            None => writer.copy(low, node),
        }
    }
    for (owner, edit) in edits {
        edit.write(owner, occlusion, &mut writer)?;
    }
    Ok(writer.finish())
}

/// Checks which types may stand together at a name, as when a zone is built. Returns [`shard::CUT`] and [`shard::DNAME`].
fn check(owner: &[u8], edit: &Edit<'_>) -> Result<u8, String> {
    let has = |rtype| edit.sets().find(|set| set.rtype == rtype);
    let other = |set: &RrSet<'_>| !matches!(set.rtype, rtype::CNAME | rtype::KEY | rtype::RRSIG | rtype::NSEC);
    let (is_apex, is_wild) = (owner.is_empty(), owner.starts_with(b"\x01*"));
    if let Some(cname) = has(rtype::CNAME) {
        if is_apex {
            return Err("CNAME at the apex, which has an SOA record,".into());
        }
        if let Some(other) = edit.sets().find(other) {
            return Err(format!("CNAME beside {}", type_name(other.rtype)));
        }
        if cname.count > 1 {
            return Err("a second CNAME".into());
        }
    }
    let (dname, ns) = (has(rtype::DNAME), has(rtype::NS).is_some());
    if dname.is_some_and(|dname| dname.count > 1) {
        return Err("a second DNAME".into());
    }
    match NameDiversion::of(dname.is_some(), ns, is_apex, is_wild) {
        None => Err("DNAME beside NS".into()),
        Some(NameDiversion::Dname) => Ok(shard::DNAME),
        Some(NameDiversion::Cut) => Ok(shard::CUT),
        Some(NameDiversion::Nothing) => Ok(0),
    }
}

/// RFC 1982 addition of one; zero is left out because some secondaries take it for "none".
pub fn next_serial(serial: u32) -> u32 {
    serial.wrapping_add(1).max(1)
}

/// True where `new` is after `old` (RFC 1982 section 3.2).
pub fn serial_rose(old: u32, new: u32) -> bool {
    new != old && new.wrapping_sub(old) < 1 << 31
}

impl RrSetChange {
    /// An RRset from now on.
    pub fn set(owner: &NameBuf, rtype: u16, ttl: u32, rdata: impl IntoIterator<Item = Box<[u8]>>) -> Self {
        Self { owner: owner.to_wire_name(), rtype, ttl, rdata: rdata.into_iter().collect() }
    }
}
