//! Records of a journal while it is replayed.

use std::collections::HashMap;

use crate::journal::{self, JournalRecord};
use crate::name::WireName;
use crate::zone::{NameDiversion, rtype};

/// Records as a journal tells of them. A record is its owner, type and data; the TTL is its RRset's (RFC 2181 section 5.2), whatever the
/// record that is taken out says: bounds of TTLs may have changed since it was put in.
pub struct ReplayedRecords {
    records: HashMap<(WireName, u16, Box<[u8]>), u32>,
    /// TTLs of the RRsets that changes gave records to.
    ttls: HashMap<(WireName, u16), u32>,
}

impl ReplayedRecords {
    /// Starts with the records of an image.
    pub fn new(image: Vec<JournalRecord>) -> Self {
        let records = image.into_iter().map(|record| ((record.owner, record.rtype, record.rdata), record.ttl)).collect();
        Self { records, ttls: HashMap::new() }
    }

    /// Applies a change.
    pub fn apply(&mut self, change: &journal::JournalChange) {
        let key = |record: &JournalRecord| (record.owner.clone(), record.rtype, record.rdata.clone());
        for record in &change.removed {
            self.records.remove(&key(record));
        }
        for record in &change.added {
            self.records.insert(key(record), record.ttl);
            self.ttls.insert((record.owner.clone(), record.rtype), record.ttl);
        }
    }

    /// Takes the records that no zone can hold, because they lie below a DNAME. Below a zone cut they are glue and stay.
    pub fn take_hidden(&mut self, apex: &WireName) -> Vec<JournalRecord> {
        let apex = apex.as_wire();
        let mut types: HashMap<Box<[u8]>, (bool, bool)> = HashMap::new(); // has DNAME, has NS
        for (owner, rtype, _) in self.records.keys().filter(|(_, rtype, _)| matches!(*rtype, rtype::DNAME | rtype::NS)) {
            let (has_dname, has_ns) = types.entry(owner.as_wire().into()).or_default();
            *(if *rtype == rtype::DNAME { has_dname } else { has_ns }) = true;
        }
        if !types.values().any(|(has_dname, _)| *has_dname) {
            return Vec::new();
        }
        let diversion = |name: &[u8]| {
            let (has_dname, has_ns) = types.get(name)?;
            let found = NameDiversion::of(*has_dname, *has_ns, name == apex, name.starts_with(b"\x01*"));
            found.filter(|found| *found != NameDiversion::Nothing)
        };
        // The highest name that diverts decides.
        let is_hidden = |owner: &WireName| {
            let name = owner.to_buf();
            let above = (1..=name.labels()).map(|label| name.suffix(label)).take_while(|suffix| suffix.len() >= apex.len());
            above.filter_map(diversion).last() == Some(NameDiversion::Dname)
        };
        let hidden = self.records.extract_if(|(owner, ..), _| is_hidden(owner));
        hidden.map(|((owner, rtype, rdata), ttl)| JournalRecord { owner, rtype, ttl, rdata }).collect()
    }

    /// Returns every record: owner, type, TTL, data.
    pub fn iter(&self) -> impl Iterator<Item = (&WireName, u16, u32, &[u8])> {
        self.records.iter().map(|((owner, rtype, rdata), ttl)| {
            let ttl = if self.ttls.is_empty() { ttl } else { self.ttls.get(&(owner.clone(), *rtype)).unwrap_or(ttl) };
            (owner, *rtype, *ttl, &**rdata)
        })
    }
}
