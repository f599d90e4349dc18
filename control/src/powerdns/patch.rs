//! PATCH: REPLACE, DELETE, EXTEND and PRUNE of RRsets, one after the other, all of them or none (rule 6).

use std::collections::HashSet;

use postern_zones::name::NameBuf;
use postern_zones::text::rdata::type_name;
use postern_zones::zone::{RrSetChange, Zone, rtype};
use serde_json::Value;
use time::OffsetDateTime;

use super::draft::{self, DraftRecord, ZoneDraft};
use super::fault::PowerDnsError;
use super::read::Object;
use super::serial::Rule;
use super::settings::{Comment, PowerDnsSettings};

/// One operation.
#[derive(Debug)]
struct Operation {
    owner: NameBuf,
    rtype: u16,
    what: What,
}

/// A change of one RRset.
#[derive(Debug)]
enum What {
    /// These records, these comments, or both, from now on.
    Replace { records: Option<(u32, Vec<DraftRecord>)>, comments: Option<Vec<Comment>> },
    /// No records and no comments.
    Delete,
    /// One record more, unless it is there.
    Extend(u32, DraftRecord),
    /// One record less, if it is there.
    Prune(DraftRecord),
}

/// The operations of a request, read and checked as far as that goes without the zone.
#[derive(Debug)]
pub struct ZonePatch(Vec<Operation>);

impl ZonePatch {
    /// Reads the body of a PATCH of a zone.
    pub fn read(body: &Value, apex: &NameBuf, now: OffsetDateTime) -> Result<Self, PowerDnsError> {
        let rrsets = Object::of(body).list("rrsets").ok_or_else(|| PowerDnsError::invalid("No rrsets given in update request"))?;
        let mut seen = HashSet::new();
        let mut operations = Vec::with_capacity(rrsets.len());
        for rrset in rrsets {
            let rrset = Object::of(rrset);
            let word = rrset.text("changetype")?.to_ascii_uppercase();
            let (owner, rtype) = draft::read_key(rrset, apex)?;
            let kind = type_name(rtype);
            if matches!(&*word, "REPLACE" | "DELETE") && !seen.insert((word.clone(), owner.to_string(), rtype)) {
                return Err(PowerDnsError::invalid(format!("Duplicate RRset {owner} IN {kind} with changetype: {word}")));
            }
            let unknown_type = || PowerDnsError::invalid(format!("RRset {owner} IN {kind}: unknown type given"));
            let what = match &*word {
                "DELETE" => What::Delete,
                _ if rtype == rtype::ANY => return Err(unknown_type()),
                "REPLACE" => Self::read_replace(rrset, &owner, rtype, apex, now)?,
                "EXTEND" | "PRUNE" => {
                    let records = draft::read_records(rrset, &owner, rtype, apex)?;
                    let mut records = records.ok_or_else(|| PowerDnsError::invalid("No record provided for PRUNE or EXTEND operation"))?;
                    let (Some(record), true) = (records.pop(), records.is_empty()) else {
                        return Err(PowerDnsError::invalid("Exactly one record should be provided for PRUNE or EXTEND operation"));
                    };
                    if word == "EXTEND" { What::Extend(rrset.ttl()?, record) } else { What::Prune(record) }
                }
                _ => return Err(PowerDnsError::invalid("Changetype not understood")),
            };
            operations.push(Operation { owner, rtype, what });
        }
        Ok(Self(operations))
    }

    fn read_replace(rrset: Object<'_>, owner: &NameBuf, rtype: u16, apex: &NameBuf, now: OffsetDateTime) -> Result<What, PowerDnsError> {
        let has_records = rrset.list("records").is_some();
        let ttl = if has_records { rrset.ttl()? } else { 0 };
        let records = draft::read_records(rrset, owner, rtype, apex)?.map(|records| (ttl, records));
        let comments = draft::read_comments(rrset, now.unix_timestamp().unsigned_abs())?;
        if records.is_none() && comments.is_none() {
            return Err(PowerDnsError::invalid(format!("No change for RRset {owner} IN {}", type_name(rtype))));
        }
        Ok(What::Replace { records, comments })
    }

    /// What it changes of a zone, and what is kept beside the records then.
    pub fn apply(
        self,
        zone: &Zone,
        settings: &PowerDnsSettings,
        now: OffsetDateTime,
    ) -> Result<(Vec<RrSetChange>, PowerDnsSettings), PowerDnsError> {
        let mut draft = ZoneDraft::new(Some(zone), settings);
        for Operation { owner, rtype, what } in self.0 {
            match what {
                What::Replace { records, comments } => {
                    let set = draft.set(&owner, rtype);
                    if let Some((ttl, records)) = records {
                        (set.ttl, set.records) = (ttl, records);
                    }
                    set.comments = comments.unwrap_or(std::mem::take(&mut set.comments));
                }
                What::Delete if rtype == rtype::ANY => {
                    let types = draft.types_at(&owner).into_iter().filter(|rtype| *rtype != rtype::SOA);
                    types.for_each(|rtype| *draft.set(&owner, rtype) = Default::default());
                }
                What::Delete => *draft.set(&owner, rtype) = Default::default(),
                What::Extend(ttl, record) => {
                    let set = draft.set(&owner, rtype);
                    if !set.records.iter().any(|known| known.content.rdata == record.content.rdata) {
                        if set.records.len() >= draft::MOST_RECORDS {
                            return Err(draft::too_many(&owner, rtype));
                        }
                        set.ttl = ttl;
                        set.records.push(record);
                    }
                }
                What::Prune(record) => draft.set(&owner, rtype).records.retain(|known| known.content.rdata != record.content.rdata),
            }
        }
        let (changes, settings) = draft.finish("pre-existing")?;
        Ok((settle(zone, changes, settings.rule(), now)?, settings))
    }
}

/// The changes with the serial that they lead to: it moves as SOA-EDIT-API says, where anything is different.
pub fn settle(zone: &Zone, mut changes: Vec<RrSetChange>, rule: Rule, now: OffsetDateTime) -> Result<Vec<RrSetChange>, PowerDnsError> {
    let soa = changes.iter().position(|change| change.rtype == rtype::SOA).map(|at| changes.remove(at));
    let after = zone.apply(&changes).map_err(|refused| worded(&changes, &refused))?;
    let is_changed = after.serial() != zone.serial();
    let old = zone.soa();
    let Some(mut rdata) = soa.as_ref().map_or_else(|| old.rdata().next().map(Into::into), |soa| soa.rdata.first().cloned()) else {
        return Ok(changes); // a zone has an SOA
    };
    let ttl = soa.as_ref().map_or(old.ttl, |soa| soa.ttl);
    let given = soa.as_ref().map(|_| serial_of(&rdata));
    let is_other = soa.is_some() && {
        let mut same_serial = rdata.clone();
        set_serial(&mut same_serial, zone.serial());
        ttl != old.ttl || old.rdata().next() != Some(&*same_serial)
    };
    let is_later = given.is_some_and(|given| postern_zones::zone::serial_rose(zone.serial(), given));
    if is_changed || is_other || is_later {
        set_serial(&mut rdata, rule.next(zone.serial(), given, now));
        changes.push(RrSetChange { owner: zone.apex().clone(), rtype: rtype::SOA, ttl, rdata: vec![rdata] });
    }
    Ok(changes)
}

/// The first refusal as PowerDNS would begin it.
pub fn worded(changes: &[RrSetChange], refused: &[postern_zones::zone::ChangeError]) -> PowerDnsError {
    let Some(refused) = refused.first() else { return PowerDnsError::invalid("the zone cannot be changed so") };
    match changes.get(refused.change) {
        Some(change) => PowerDnsError::invalid(format!("RRset {} IN {}: {}", change.owner, type_name(change.rtype), refused.message)),
        None => PowerDnsError::invalid(&refused.message),
    }
}

/// The serial in the RDATA of an SOA: its last twenty octets are five numbers.
pub fn serial_of(soa: &[u8]) -> u32 {
    soa.last_chunk::<20>().map_or(0, |numbers| u32::from_be_bytes([numbers[0], numbers[1], numbers[2], numbers[3]]))
}

/// Puts another serial into the RDATA of an SOA.
pub fn set_serial(soa: &mut [u8], serial: u32) {
    if let Some(numbers) = soa.last_chunk_mut::<20>() {
        numbers[..4].copy_from_slice(&serial.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use postern_zones::zone::ZoneBuilder;
    use serde_json::json;

    use super::*;

    fn address(number: usize) -> String {
        format!("10.{}.{}.{}", number >> 16, number >> 8 & 255, number & 255)
    }

    fn patched(rrsets: &Value) -> Result<usize, PowerDnsError> {
        let zone = ZoneBuilder::new(postern_zones::name::WireName::parse("contoso.test").unwrap()).finish(1).unwrap().zone;
        let patch = ZonePatch::read(&json!({ "rrsets": rrsets }), &zone.apex().to_buf(), OffsetDateTime::UNIX_EPOCH)?;
        let (changes, _) = patch.apply(&zone, &PowerDnsSettings::default(), OffsetDateTime::UNIX_EPOCH)?;
        Ok(changes.iter().filter(|change| change.rtype == rtype::A).map(|change| change.rdata.len()).sum())
    }

    #[test]
    fn more_records_than_a_message_holds_are_refused_before_they_are_compared() {
        let record = |number| json!({ "content": address(number) });
        let replace = |records: usize| {
            let records: Vec<Value> = (0..records).map(record).collect();
            json!([{ "name": "www.contoso.test.", "type": "A", "changetype": "REPLACE", "ttl": 60, "records": records }])
        };
        let extend =
            |number| json!({ "name": "www.contoso.test.", "type": "A", "changetype": "EXTEND", "ttl": 60, "records": [record(number)] });
        let too_many = Err(PowerDnsError::invalid("RRset www.contoso.test. IN A has more than 5461 records"));
        assert_eq!(patched(&replace(2_000)), Ok(2_000));
        assert_eq!(patched(&replace(5_462)), too_many);
        assert_eq!(patched(&Value::from((0..5_462).map(extend).collect::<Vec<_>>())), too_many);
        let twice = json!([{ "name": "www.contoso.test.", "type": "A", "changetype": "REPLACE", "ttl": 60, "records": [record(1), record(2), record(1)] }]);
        assert!(
            patched(&twice).unwrap_err().message.starts_with("Duplicate record in RRset www.contoso.test. IN A with content \"10.0.0.1\"")
        );
    }
}
