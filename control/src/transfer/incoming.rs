//! A transfer as it comes from a primary: messages in, a zone or what changed in it out (RFC 5936 section 2.2, RFC 1995 section 4).
//!
//! It does no I/O. A message that makes no sense ends the transfer, and nothing of it is used.

use std::collections::HashMap;

use postern_dns::wire::message::{BadMessage, Message};
use postern_zones::edit::Refusal;
use postern_zones::journal::JournalRecord;
use postern_zones::name::WireName;
use postern_zones::zone::{RrSetChange, Zone, rtype};

/// Octets that a record takes beside its RDATA, about.
const RECORD: usize = 96;

/// A transfer under way.
#[derive(Debug)]
pub struct Incoming {
    apex: WireName,
    /// The serial that we have, where changes since then were asked for.
    since: Option<u32>,
    stage: Stage,
    /// The SOA that it begins and ends with.
    newest: Option<JournalRecord>,
    records: Vec<JournalRecord>,
    deltas: Vec<Delta>,
    octets: u64,
    /// Octets that it may bring: a primary gone mad must not take all memory.
    most: u64,
}

/// The part of the transfer that the next record belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The newest SOA.
    First,
    /// An SOA: changes follow. Anything else: the whole zone.
    Second,
    /// A record of the zone, or the newest SOA again.
    Whole,
    /// A record that goes, or the SOA after the change.
    Removing,
    /// A record that comes, or an SOA.
    Adding,
    /// Nothing.
    Over,
}

/// Changes from one serial to the next.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Delta {
    from: u32,
    removed: Vec<JournalRecord>,
    added: Vec<JournalRecord>,
}

/// Result of a transfer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TransferredZone {
    /// Nothing newer.
    UpToDate,
    /// The whole zone: its newest SOA and all other records.
    Whole(JournalRecord, Vec<JournalRecord>),
    /// Changes, oldest first, and the newest SOA.
    Changes(JournalRecord, Vec<Delta>),
}

/// Why a transfer is not used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadTransfer {
    /// The primary says no.
    #[error("the primary answers {0}")]
    Rcode(String),
    /// Not a message.
    #[error("a message that makes no sense: {0}")]
    Message(#[from] BadMessage),
    /// Not in the order that a transfer has.
    #[error("{0}")]
    Order(&'static str),
    /// More than the configuration allows.
    #[error("it brings more than {0} bytes of records; raise `limits.transfer-size` if the zone is that large")]
    TooMuch(u64),
}

impl Incoming {
    /// A transfer of the zone at `apex`; `since`: the serial from which changes were asked for (IXFR), none for the whole (AXFR).
    /// `most`: octets of records that it may bring.
    pub fn new(apex: WireName, since: Option<u32>, most: u64) -> Self {
        Self { apex, since, stage: Stage::First, newest: None, records: Vec::new(), deltas: Vec::new(), octets: 0, most }
    }

    /// Takes the next message; what was brought once it is over.
    pub fn take(&mut self, message: &[u8]) -> Result<Option<TransferredZone>, BadTransfer> {
        let message = Message::read_part(message)?;
        if message.rcode != 0 {
            return Err(BadTransfer::Rcode(rcode_name(message.rcode)));
        }
        let is_first_message = self.stage == Stage::First;
        let mut answers = 0;
        for record in message.records.iter().filter(|record| record.answer) {
            let mut rdata = Vec::new();
            message.append_rdata(record, &mut rdata)?;
            self.octets += (RECORD + rdata.len()) as u64;
            if self.octets > self.most {
                return Err(BadTransfer::TooMuch(self.most));
            }
            if !record.owner.is_under(self.apex.as_wire()) {
                continue; // not ours to keep: a primary may have glue of other zones (RFC 5936 section 3.5 says it should not)
            }
            answers += 1;
            self.record(JournalRecord { owner: record.owner.to_wire_name(), rtype: record.rtype, ttl: record.ttl, rdata: rdata.into() })?;
        }
        if is_first_message && answers == 0 {
            return Err(BadTransfer::Order("no SOA"));
        }
        // One SOA and no more: what an IXFR says where there is nothing newer.
        if is_first_message && self.stage == Stage::Second && answers == 1 && self.since.is_some() {
            let newest = self.newest.as_ref().map_or(0, serial_of);
            match self.since.is_some_and(|since| !postern_zones::zone::serial_rose(since, newest)) {
                true => return Ok(Some(TransferredZone::UpToDate)),
                false => return Ok(None), // a primary may send its first SOA by itself
            }
        }
        if self.stage != Stage::Over {
            return Ok(None);
        }
        let newest = self.newest.take().ok_or(BadTransfer::Order("no SOA"))?;
        Ok(Some(match self.deltas.is_empty() {
            true => TransferredZone::Whole(newest, std::mem::take(&mut self.records)),
            false => TransferredZone::Changes(newest, std::mem::take(&mut self.deltas)),
        }))
    }

    fn record(&mut self, record: JournalRecord) -> Result<(), BadTransfer> {
        let is_soa = record.rtype == rtype::SOA;
        if is_soa && record.owner != self.apex {
            return Err(BadTransfer::Order("an SOA that is not the zone's"));
        }
        let newest = self.newest.as_ref().map(serial_of);
        let is_newest = is_soa && Some(serial_of(&record)) == newest;
        self.stage = match self.stage {
            Stage::First if is_soa => {
                self.newest = Some(record);
                Stage::Second
            }
            Stage::First => return Err(BadTransfer::Order("it does not begin with the SOA")),
            Stage::Second if is_newest => Stage::Over, // a zone with no other record
            Stage::Second if is_soa && self.since == Some(serial_of(&record)) => self.begin_delta(&record),
            Stage::Second if is_soa => return Err(BadTransfer::Order("changes since another serial than the one asked for")),
            Stage::Whole if is_newest => Stage::Over,
            Stage::Whole if is_soa => return Err(BadTransfer::Order("an SOA of another serial within the zone")),
            Stage::Second | Stage::Whole => {
                self.records.push(record);
                Stage::Whole
            }
            Stage::Removing if is_soa => Stage::Adding,
            Stage::Removing => {
                if let Some(delta) = self.deltas.last_mut() {
                    delta.removed.push(record)
                }
                Stage::Removing
            }
            Stage::Adding if is_newest => Stage::Over,
            Stage::Adding if is_soa => self.begin_delta(&record),
            Stage::Adding => {
                if let Some(delta) = self.deltas.last_mut() {
                    delta.added.push(record)
                }
                Stage::Adding
            }
            Stage::Over => return Err(BadTransfer::Order("records behind its end")),
        };
        Ok(())
    }

    fn begin_delta(&mut self, soa: &JournalRecord) -> Stage {
        self.deltas.push(Delta { from: serial_of(soa), ..Delta::default() });
        Stage::Removing
    }
}

impl TransferredZone {
    /// The changes that make `zone` what the primary has; a refusal says that they do not fit, and the whole zone has to be asked for.
    pub fn changes(self, zone: &Zone) -> Result<Vec<RrSetChange>, Refusal> {
        match self {
            Self::UpToDate => Ok(Vec::new()),
            Self::Whole(newest, records) => Ok(whole(zone, newest, records)),
            Self::Changes(newest, deltas) => since(zone, newest, deltas),
        }
    }

    /// The serial it leads to; none: the one that is there.
    pub fn serial(&self) -> Option<u32> {
        match self {
            Self::UpToDate => None,
            Self::Whole(newest, _) | Self::Changes(newest, _) => Some(serial_of(newest)),
        }
    }
}

type Sets = HashMap<(WireName, u16), RrSetChange>;

/// Returns the differences between the zone and its successor.
fn whole(zone: &Zone, newest: JournalRecord, records: Vec<JournalRecord>) -> Vec<RrSetChange> {
    let mut sets = Sets::with_capacity(records.len());
    for record in records {
        let set = set_of(&mut sets, &record);
        set.ttl = set.ttl.min(record.ttl);
        set.rdata.push(record.rdata);
    }
    for (owner, set) in zone.records().filter(|(_, set)| set.rtype != rtype::SOA) {
        let key = (owner.to_wire_name(), set.rtype);
        let is_same = sets.get(&key).is_some_and(|new| {
            new.ttl == set.ttl
                && new.rdata.len() == usize::from(set.count)
                && set.rdata().all(|rdata| new.rdata.iter().any(|new| **new == *rdata))
        });
        match is_same {
            true => drop(sets.remove(&key)),
            false => {
                sets.entry(key).or_insert_with_key(|(owner, rtype)| RrSetChange {
                    owner: owner.clone(),
                    rtype: *rtype,
                    ttl: 0,
                    rdata: Vec::new(),
                });
            }
        }
    }
    with_soa(sets, newest)
}

/// Returns the RRsets that differ after all deltas.
fn since(zone: &Zone, newest: JournalRecord, deltas: Vec<Delta>) -> Result<Vec<RrSetChange>, Refusal> {
    let does_not_fit = |message: &str| Refusal::Precondition { message: format!("changes of the primary do not fit: {message}"), rcode: 2 };
    if deltas.first().is_none_or(|first| first.from != zone.serial()) {
        return Err(does_not_fit("they start from another serial"));
    }
    let mut sets = Sets::new();
    let load = |sets: &mut Sets, record: &JournalRecord| {
        sets.entry((record.owner.clone(), record.rtype)).or_insert_with(|| {
            let owner = record.owner.to_buf();
            let old = zone.at(&owner).find(|set| set.rtype == record.rtype);
            let rdata = old.iter().flat_map(|set| set.rdata()).map(Into::into).collect();
            RrSetChange { owner: record.owner.clone(), rtype: record.rtype, ttl: old.map_or(record.ttl, |set| set.ttl), rdata }
        });
    };
    for delta in deltas {
        for record in delta.removed {
            load(&mut sets, &record);
            let set = set_of(&mut sets, &record);
            let at = set.rdata.iter().position(|rdata| rdata.eq_ignore_ascii_case(&record.rdata));
            set.rdata.remove(at.ok_or_else(|| does_not_fit("a record that goes is not there"))?);
        }
        for record in delta.added {
            load(&mut sets, &record);
            let set = set_of(&mut sets, &record);
            set.ttl = record.ttl; // the newest word counts for the whole RRset (RFC 2181 section 5.2)
            if !set.rdata.contains(&record.rdata) {
                set.rdata.push(record.rdata);
            }
        }
    }
    Ok(with_soa(sets, newest))
}

fn set_of<'s>(sets: &'s mut Sets, record: &JournalRecord) -> &'s mut RrSetChange {
    let new = || RrSetChange { owner: record.owner.clone(), rtype: record.rtype, ttl: record.ttl, rdata: Vec::new() };
    sets.entry((record.owner.clone(), record.rtype)).or_insert_with(new)
}

fn with_soa(sets: Sets, newest: JournalRecord) -> Vec<RrSetChange> {
    let soa = RrSetChange { owner: newest.owner, rtype: rtype::SOA, ttl: newest.ttl, rdata: vec![newest.rdata] };
    sets.into_values().chain([soa]).collect()
}

fn serial_of(soa: &JournalRecord) -> u32 {
    soa.rdata.len().checked_sub(20).and_then(|at| soa.rdata[at..].first_chunk()).map_or(0, |serial| u32::from_be_bytes(*serial))
}

/// RCODE in words.
pub(super) fn rcode_name(rcode: u16) -> String {
    match rcode {
        1 => "FORMERR".into(),
        2 => "SERVFAIL".into(),
        3 => "NXDOMAIN".into(),
        4 => "NOTIMP".into(),
        5 => "REFUSED".into(),
        9 => "NOTAUTH".into(),
        10 => "NOTZONE".into(),
        other => format!("RCODE {other}"),
    }
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;
    use std::sync::Arc;

    use postern_zones::name::NameBuf;
    use postern_zones::zone::ZoneBuilder;

    use super::super::outgoing::{self, TransferRequest};
    use super::*;

    const APEX: &str = "privatelink.contoso.test";
    const MOST: u64 = 1 << 20;

    fn apex() -> WireName {
        WireName::parse(APEX).unwrap()
    }

    fn zone(serial: u32, records: &[(&str, &str)]) -> Zone {
        let mut builder = ZoneBuilder::new(apex());
        records.iter().for_each(|(owner, address)| builder.add(owner, 10, "A", address).unwrap());
        builder.finish(serial).unwrap().zone
    }

    fn asked(rtype: u16) -> TransferRequest {
        TransferRequest { id: [0, 1], apex: apex().as_wire().into(), rtype }
    }

    fn whole_of(zone: &Zone) -> Vec<Vec<u8>> {
        let mut messages = Vec::new();
        let _ = outgoing::whole(zone, &asked(252), |message| {
            messages.push(message);
            ControlFlow::Continue(())
        });
        messages
    }

    fn take_all(mut incoming: Incoming, messages: &[Vec<u8>]) -> Result<Option<TransferredZone>, BadTransfer> {
        let mut brought = None;
        for message in messages {
            brought = incoming.take(message)?;
        }
        Ok(brought)
    }

    fn content(zone: &Zone) -> Vec<String> {
        let mut lines: Vec<String> = zone
            .records()
            .flat_map(|(owner, set)| {
                set.rdata().map(|rdata| postern_zones::text::record_line(&owner, set.ttl, set.rtype, rdata)).collect::<Vec<_>>()
            })
            .collect();
        lines.sort();
        lines
    }

    #[test]
    fn a_whole_zone_makes_any_other_the_same() {
        let new = zone(9, &[("ws", "10.20.1.4"), ("ws", "10.20.1.5"), ("fhir", "10.20.1.6")]);
        for old in
            [zone(1, &[]), zone(4, &[("ws", "10.20.1.4"), ("gone", "10.20.1.9")]), zone(8, &[("ws", "10.20.1.5"), ("ws", "10.20.1.4")])]
        {
            let brought = take_all(Incoming::new(apex(), None, MOST), &whole_of(&new)).unwrap().expect("over");
            assert_eq!(brought.serial(), Some(9));
            let changes = brought.changes(&old).unwrap();
            assert_eq!(content(&old.apply(&changes).unwrap()), content(&new));
        }
        let same = take_all(Incoming::new(apex(), None, MOST), &whole_of(&new)).unwrap().unwrap().changes(&new).unwrap();
        assert_eq!(same.len(), 1, "the SOA alone");
    }

    #[test]
    fn changes_of_the_history_lead_to_the_newest_zone() {
        let first = zone(7, &[("ws", "10.20.1.4"), ("old", "10.20.1.9")]);
        let mut versions = vec![first];
        let history = postern_zones::edit::ZoneHistory::default();
        let edits: [(&str, &[[u8; 4]]); 3] = [("ws", &[[10, 20, 1, 4], [10, 20, 1, 5]]), ("old", &[]), ("new", &[[10, 20, 1, 7]])];
        for (owner, addresses) in edits {
            let old = versions.last().unwrap();
            let name = NameBuf::parse(&format!("{owner}.{APEX}")).unwrap();
            let new = old.apply(&[RrSetChange::set(&name, 1, 10, addresses.iter().map(|address| address.as_slice().into()))]).unwrap();
            let records = |zone: &Zone| -> Vec<JournalRecord> {
                let soa = zone.soa();
                let sets = zone.at(&name).chain([soa]);
                sets.flat_map(|set| {
                    let owner = if set.rtype == 6 { apex() } else { name.to_wire_name() };
                    set.rdata().map(move |rdata| JournalRecord {
                        owner: owner.clone(),
                        rtype: set.rtype,
                        ttl: set.ttl,
                        rdata: rdata.into(),
                    })
                })
                .collect()
            };
            let change = postern_zones::journal::JournalChange {
                from: old.serial(),
                to: new.serial(),
                at: 0,
                by: String::new(),
                removed: records(old),
                added: records(&new),
            };
            history.push(Arc::new(change));
            versions.push(new);
        }
        let newest = versions.last().unwrap();
        for (have, old) in versions.iter().enumerate() {
            let changes = history.since(old.serial()).unwrap();
            let mut messages = Vec::new();
            if changes.is_empty() {
                messages.push(outgoing::soa_alone(newest, &asked(251)));
            } else {
                let _ = outgoing::changes(newest, &changes, &asked(251), |message| {
                    messages.push(message);
                    ControlFlow::Continue(())
                });
            }
            let brought = take_all(Incoming::new(apex(), Some(old.serial()), MOST), &messages).unwrap().expect("over");
            assert_eq!(matches!(brought, TransferredZone::UpToDate), have == 3);
            let changes = brought.changes(old).unwrap();
            let after = if changes.is_empty() { old.clone() } else { old.apply(&changes).unwrap() };
            assert_eq!(content(&after), content(newest), "from version {have}");
        }
    }

    #[test]
    fn a_whole_zone_may_come_for_changes_and_changes_that_do_not_fit_are_refused() {
        let new = zone(9, &[("ws", "10.20.1.4")]);
        let brought = take_all(Incoming::new(apex(), Some(3), MOST), &whole_of(&new)).unwrap().expect("over");
        assert!(matches!(brought, TransferredZone::Whole(..)));
        let soa = JournalRecord { owner: apex(), rtype: 6, ttl: 10, rdata: new.soa().rdata().next().unwrap().into() };
        let missing = JournalRecord {
            owner: WireName::parse("x.privatelink.contoso.test").unwrap(),
            rtype: 1,
            ttl: 10,
            rdata: Box::new([10, 0, 0, 1]),
        };
        let delta = |from| vec![Delta { from, removed: vec![missing.clone()], added: Vec::new() }];
        for from in [8, 9] {
            let refusal = TransferredZone::Changes(soa.clone(), delta(from)).changes(&new).unwrap_err();
            assert!(refusal.to_string().starts_with("changes of the primary do not fit"), "{refusal}");
        }
    }

    #[test]
    fn a_transfer_without_end_is_refused_at_the_bound_that_the_configuration_sets() {
        let messages = whole_of(&zone(9, &[("ws", "10.20.1.4"), ("ws2", "10.20.1.5")]));
        let needed = (1..).find(|most| take_all(Incoming::new(apex(), None, *most), &messages).is_ok()).unwrap();
        assert!((400..600).contains(&needed), "four records, two of them SOAs: {needed}");
        let refused = take_all(Incoming::new(apex(), None, needed - 1), &messages).unwrap_err();
        assert_eq!(refused, BadTransfer::TooMuch(needed - 1));
        assert!(refused.to_string().contains("`limits.transfer-size`"), "{refused}");
    }

    #[test]
    fn what_is_no_transfer_is_refused() {
        let good = whole_of(&zone(9, &[("ws", "10.20.1.4")])).remove(0);
        let mut refused = good.clone();
        refused[3] = 5;
        assert_eq!(Incoming::new(apex(), None, MOST).take(&refused), Err(BadTransfer::Rcode("REFUSED".into())));
        let mut empty = good[..12 + apex().as_wire().len() + 4].to_vec();
        empty[7] = 0;
        assert_eq!(Incoming::new(apex(), None, MOST).take(&empty), Err(BadTransfer::Order("no SOA")));
        for length in 0..good.len() {
            assert!(Incoming::new(apex(), None, MOST).take(&good[..length]).is_err(), "{length}");
        }
        let mut incoming = Incoming::new(apex(), None, MOST);
        assert!(incoming.take(&good).unwrap().is_some());
        assert_eq!(incoming.take(&good), Err(BadTransfer::Order("records behind its end")));
    }
}
