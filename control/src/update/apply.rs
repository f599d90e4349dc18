//! Applies an update to a zone (RFC 2136 section 3): prerequisites, permission, prescan, changes, in this order.

use std::collections::BTreeMap;
use std::sync::Arc;

use postern_dns::ede::rcode;
use postern_dns::wire::rtype;
use postern_zones::edit::Refusal;
use postern_zones::lookup::RrSet;
use postern_zones::name::{NameBuf, WireName};
use postern_zones::zone::{RrSetChange, Zone, serial_rose};

use super::record::{Meaning, UpdateRecord};
use crate::tsig::TsigKey;

/// The RRsets that are to be different.
pub fn changes(
    zone: &Zone,
    prerequisites: &[UpdateRecord],
    updates: &[UpdateRecord],
    keys: &[Arc<TsigKey>],
) -> Result<Vec<RrSetChange>, Refusal> {
    check(zone, prerequisites)?;
    permit(zone, updates, keys)?;
    let meanings = prescan(zone, updates)?;
    let mut draft = Draft { zone, names: BTreeMap::new() };
    for (record, meaning) in updates.iter().zip(meanings) {
        match meaning {
            Meaning::Add => draft.add(record),
            Meaning::DeleteSet => draft.delete_set(&record.owner, record.rtype),
            Meaning::DeleteName => draft.delete_name(&record.owner),
            _ => draft.delete_record(record),
        }
    }
    Ok(draft.into_changes())
}

/// Section 3.2.
fn check(zone: &Zone, prerequisites: &[UpdateRecord]) -> Result<(), Refusal> {
    let mut wanted: BTreeMap<(WireName, u16), Vec<&[u8]>> = BTreeMap::new();
    for record in prerequisites {
        let name = &record.owner;
        let meaning = record.as_prerequisite();
        if !name.is_under(zone.apex().as_wire()) {
            return Err(refuse(rcode::NOTZONE, format!("prerequisite: {name} does not lie in the zone")));
        }
        let in_use = || zone.at(name).next().is_some();
        let has_set = || zone.at(name).any(|set| set.rtype == record.rtype);
        let kind = postern_zones::text::rdata::type_name(record.rtype);
        match meaning {
            None => return Err(refuse(rcode::FORMERR, format!("prerequisite about {name} {kind}: bad form"))),
            Some(Meaning::HasName) if !in_use() => return Err(refuse(rcode::NXDOMAIN, format!("{name} is not in use"))),
            Some(Meaning::LacksName) if in_use() => return Err(refuse(rcode::YXDOMAIN, format!("{name} is in use"))),
            Some(Meaning::HasSet) if !has_set() => return Err(refuse(rcode::NXRRSET, format!("{name} has no {kind}"))),
            Some(Meaning::LacksSet) if has_set() => return Err(refuse(rcode::YXRRSET, format!("{name} has {kind}"))),
            Some(Meaning::HasData) => wanted.entry((name.to_wire_name(), record.rtype)).or_default().push(record.data()),
            Some(_) => {}
        }
    }
    for ((name, rtype), wanted) in wanted {
        let set = zone.at(&name.to_buf()).find(|set| set.rtype == rtype);
        let held: Vec<&[u8]> = set.iter().flat_map(RrSet::rdata).collect();
        let in_held = |data: &&[u8]| held.iter().any(|held| same_data(rtype, held, data));
        let in_wanted = |data: &&[u8]| wanted.iter().any(|wanted| same_data(rtype, wanted, data));
        if held.is_empty() || !wanted.iter().all(in_held) || !held.iter().all(in_wanted) {
            let kind = postern_zones::text::rdata::type_name(rtype);
            return Err(refuse(rcode::NXRRSET, format!("{} {kind} has other data", name.to_buf())));
        }
    }
    Ok(())
}

/// Section 3.3: each record must be one that some key of the client may change. A whole name may be deleted by who may change each type
/// that it has.
fn permit(zone: &Zone, updates: &[UpdateRecord], keys: &[Arc<TsigKey>]) -> Result<(), Refusal> {
    let may = |owner: &NameBuf, rtype| keys.iter().any(|key| key.may_change(owner, rtype));
    for record in updates {
        let owner = &record.owner;
        let forbidden = match record.rtype {
            rtype::ANY => zone.at(owner).map(|set| set.rtype).find(|rtype| !may(owner, *rtype)).or_else(|| {
                // Of a name without records at least the name must be one's own.
                keys.iter().all(|key| !key.may_change_name(owner)).then_some(rtype::ANY)
            }),
            rtype => (!may(owner, rtype)).then_some(rtype),
        };
        if let Some(forbidden) = forbidden {
            let kind = postern_zones::text::rdata::type_name(forbidden);
            return Err(refuse(rcode::REFUSED, format!("this key may not change {owner} {kind}")));
        }
    }
    Ok(())
}

/// Section 3.4.1.
fn prescan(zone: &Zone, updates: &[UpdateRecord]) -> Result<Vec<Meaning>, Refusal> {
    let read = |record: &UpdateRecord| {
        let name = &record.owner;
        if !name.is_under(zone.apex().as_wire()) {
            return Err(refuse(rcode::NOTZONE, format!("{name} does not lie in the zone")));
        }
        let kind = || postern_zones::text::rdata::type_name(record.rtype);
        record.as_update().ok_or_else(|| refuse(rcode::FORMERR, format!("update of {name} {}: bad form or data", kind())))
    };
    updates.iter().map(read).collect()
}

fn refuse(rcode: u16, message: String) -> Refusal {
    Refusal::Precondition { message, rcode }
}

/// Names compare without regard to case (RFC 4343), other data octet by octet.
fn same_data(rtype: u16, a: &[u8], b: &[u8]) -> bool {
    match rtype {
        rtype::NS | rtype::CNAME | rtype::PTR | rtype::MX | rtype::SRV | rtype::DNAME => a.eq_ignore_ascii_case(b),
        _ => a == b,
    }
}

/// The names that an update touches, as they are to be.
struct Draft<'z> {
    zone: &'z Zone,
    names: BTreeMap<WireName, BTreeMap<u16, Set>>,
}

/// An RRset as it is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Set {
    ttl: u32,
    rdata: Vec<Box<[u8]>>,
}

impl Draft<'_> {
    fn sets(&mut self, owner: &NameBuf) -> &mut BTreeMap<u16, Set> {
        let zone = self.zone;
        self.names.entry(owner.to_wire_name()).or_insert_with(|| sets_at(zone, owner))
    }

    fn is_apex(&self, owner: &NameBuf) -> bool {
        owner.as_wire() == self.zone.apex().as_wire()
    }

    /// Section 3.4.2.2. What cannot stand together is passed over in silence.
    fn add(&mut self, record: &UpdateRecord) {
        let (is_apex, rtype) = (self.is_apex(&record.owner), record.rtype);
        let sets = self.sets(&record.owner);
        let beside_cname = |rtype: u16| matches!(rtype, rtype::CNAME | rtype::RRSIG | rtype::NSEC | rtype::KEY);
        match rtype {
            rtype::SOA => {
                let held = sets.get(&rtype).and_then(|set| serial(set.rdata.first()?));
                let newer = held.zip(serial(record.data())).is_some_and(|(held, new)| serial_rose(held, new));
                if !is_apex || !newer {
                    return;
                }
            }
            rtype::CNAME if sets.keys().any(|rtype| !beside_cname(*rtype)) => return,
            _ if !beside_cname(rtype) && sets.contains_key(&rtype::CNAME) => return,
            _ => {}
        }
        let data: Box<[u8]> = record.data().into();
        let set = sets.entry(rtype).or_insert_with(|| Set { ttl: record.ttl, rdata: Vec::new() });
        set.ttl = record.ttl; // an RRset has one TTL (RFC 2181 section 5.2): the last that was said
        match rtype {
            rtype::SOA | rtype::CNAME | rtype::DNAME => set.rdata = vec![data],
            rtype::WKS => {
                set.rdata.retain(|held| held.get(..5) != data.get(..5));
                set.rdata.push(data);
            }
            _ if set.rdata.iter().any(|held| same_data(rtype, held, &data)) => {}
            _ => set.rdata.push(data),
        }
    }

    /// Section 3.4.2.3: not SOA and NS of the apex.
    fn delete_set(&mut self, owner: &NameBuf, rtype: u16) {
        if !(self.is_apex(owner) && matches!(rtype, rtype::SOA | rtype::NS)) {
            self.sets(owner).remove(&rtype);
        }
    }

    fn delete_name(&mut self, owner: &NameBuf) {
        let is_apex = self.is_apex(owner);
        self.sets(owner).retain(|rtype, _| is_apex && matches!(*rtype, rtype::SOA | rtype::NS));
    }

    /// Section 3.4.2.4: not the SOA, nor the last NS of the apex.
    fn delete_record(&mut self, record: &UpdateRecord) {
        let is_apex = self.is_apex(&record.owner);
        let sets = self.sets(&record.owner);
        let Some(set) = sets.get_mut(&record.rtype) else { return };
        let is_last = set.rdata.len() == 1;
        if record.rtype == rtype::SOA || (is_apex && record.rtype == rtype::NS && is_last) {
            return;
        }
        set.rdata.retain(|held| !same_data(record.rtype, held, record.data()));
        if set.rdata.is_empty() {
            sets.remove(&record.rtype);
        }
    }

    fn into_changes(self) -> Vec<RrSetChange> {
        let mut changes = Vec::new();
        for (owner, sets) in self.names {
            let held = sets_at(self.zone, &owner.to_buf());
            let gone = held.keys().filter(|rtype| !sets.contains_key(rtype));
            changes.extend(gone.map(|&rtype| RrSetChange { owner: owner.clone(), rtype, ttl: 0, rdata: Vec::new() }));
            for (rtype, set) in sets {
                if held.get(&rtype) != Some(&set) {
                    changes.push(RrSetChange { owner: owner.clone(), rtype, ttl: set.ttl, rdata: set.rdata });
                }
            }
        }
        changes
    }
}

fn sets_at(zone: &Zone, owner: &NameBuf) -> BTreeMap<u16, Set> {
    zone.at(owner).map(|set| (set.rtype, Set { ttl: set.ttl, rdata: set.rdata().map(Box::from).collect() })).collect()
}

/// SERIAL of an SOA's data: five numbers stand at its end.
fn serial(soa: &[u8]) -> Option<u32> {
    let at = soa.len().checked_sub(20)?;
    soa.get(at..at + 4)?.try_into().ok().map(u32::from_be_bytes)
}
