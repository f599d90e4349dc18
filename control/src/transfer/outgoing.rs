//! A zone as the messages of a transfer: whole (AXFR, RFC 5936) or as what changed (IXFR, RFC 1995).
//!
//! Every message repeats the question, so that each owner ends in a pointer to it: a record of a large zone costs its own labels, two
//! octets, and its data. RDATA is not compressed.

use std::ops::ControlFlow;
use std::sync::Arc;

use postern_zones::journal::{JournalChange, JournalRecord};
use postern_zones::lookup::RrSet;
use postern_zones::name::NameBuf;
use postern_zones::zone::{Zone, rtype};

/// Octets of one message at most. A TSIG record with the longest names there are fits behind.
const MESSAGE: usize = 60_000;
const HEADER: usize = 12;
/// QR and AA.
const FLAGS: [u8; 2] = [0x84, 0x00];
const IN: [u8; 2] = [0, 1];

/// The question of a transfer, as it is repeated in every message.
#[derive(Debug, Clone)]
pub struct TransferRequest {
    /// ID.
    pub id: [u8; 2],
    /// The apex as the client wrote it, wire form.
    pub apex: Box<[u8]>,
    /// AXFR or IXFR.
    pub rtype: u16,
}

/// How an IXFR is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Increment {
    /// The client has the newest serial, or one that we cannot know yet: the SOA alone.
    UpToDate,
    /// These changes lead from the client's serial to the newest.
    Changes(Vec<Arc<JournalChange>>),
    /// It is not known what changed, or the whole is less: as an AXFR.
    Whole,
}

/// Messages under way: full ones are given away.
struct Messages<'a, S> {
    asked: &'a TransferRequest,
    message: Vec<u8>,
    records: u16,
    send: S,
}

/// Which way a client that has `serial` comes to `zone`.
pub fn increment(zone: &Zone, serial: u32, history: Option<&postern_zones::edit::ZoneHistory>) -> Increment {
    if !postern_zones::zone::serial_rose(serial, zone.serial()) {
        return Increment::UpToDate;
    }
    let Some(mut changes) = history.and_then(|history| history.since(serial)) else { return Increment::Whole };
    // The history is of this moment, the zone of the snapshot: a change may be in the one and not yet in the other.
    let Some(last) = changes.iter().rposition(|change| change.to == zone.serial()) else { return Increment::Whole };
    changes.truncate(last + 1);
    // TTLs that changed under the serial of our own primary (`min-ttl`): there is no way to say so in increments.
    if changes.iter().any(|change| change.from == change.to) {
        return Increment::Whole;
    }
    let records: usize = changes.iter().map(|change| change.removed.len() + change.added.len()).sum();
    match records < zone.counts().records {
        true => Increment::Changes(changes),
        false => Increment::Whole,
    }
}

/// Gives the zone as messages, the SOA first and last (RFC 5936 section 2.2). `Break` from `send` ends it.
pub fn whole(zone: &Zone, asked: &TransferRequest, send: impl FnMut(Vec<u8>) -> ControlFlow<()>) -> ControlFlow<()> {
    let mut messages = Messages::new(asked, send);
    let apex = zone.apex().to_buf();
    for (owner, set) in zone.records() {
        messages.set(&owner, &set)?;
    }
    messages.set(&apex, &zone.soa())?;
    messages.end()
}

/// Gives changes as messages: the newest SOA, for each change the old SOA with what goes and the new one with what comes, and the newest
/// SOA again (RFC 1995 section 4).
pub fn changes(
    zone: &Zone,
    changes: &[Arc<JournalChange>],
    asked: &TransferRequest,
    send: impl FnMut(Vec<u8>) -> ControlFlow<()>,
) -> ControlFlow<()> {
    let mut messages = Messages::new(asked, send);
    let apex = zone.apex().to_buf();
    messages.set(&apex, &zone.soa())?;
    for change in changes {
        for part in [&change.removed, &change.added] {
            let (soa, rest): (Vec<&JournalRecord>, Vec<&JournalRecord>) = part.iter().partition(|record| record.rtype == rtype::SOA);
            for record in soa.into_iter().chain(rest) {
                messages.record(&record.owner.to_buf(), record.rtype, record.ttl, &record.rdata)?;
            }
        }
    }
    messages.set(&apex, &zone.soa())?;
    messages.end()
}

/// The SOA alone.
pub fn soa_alone(zone: &Zone, asked: &TransferRequest) -> Vec<u8> {
    let mut message = Vec::new();
    let mut messages = Messages::new(asked, |whole| {
        message = whole;
        ControlFlow::Continue(())
    });
    let _ = messages.set(&zone.apex().to_buf(), &zone.soa()).is_continue() && messages.end().is_continue(); // it fits into one
    drop(messages);
    message
}

impl<'a, S: FnMut(Vec<u8>) -> ControlFlow<()>> Messages<'a, S> {
    fn new(asked: &'a TransferRequest, send: S) -> Self {
        let mut messages = Self { asked, message: Vec::new(), records: 0, send };
        messages.begin();
        messages
    }

    fn begin(&mut self) {
        self.records = 0;
        self.message = Vec::with_capacity(MESSAGE);
        self.message.extend_from_slice(&self.asked.id);
        self.message.extend_from_slice(&FLAGS);
        self.message.extend_from_slice(&[0, 1, 0, 0, 0, 0, 0, 0]);
        self.message.extend_from_slice(&self.asked.apex);
        self.message.extend_from_slice(&self.asked.rtype.to_be_bytes());
        self.message.extend_from_slice(&IN);
    }

    fn set(&mut self, owner: &NameBuf, set: &RrSet<'_>) -> ControlFlow<()> {
        set.records().try_for_each(|(ttl, rdata)| self.record(owner, set.rtype, ttl, rdata))
    }

    fn record(&mut self, owner: &NameBuf, rtype: u16, ttl: u32, rdata: &[u8]) -> ControlFlow<()> {
        let labels = &owner.as_wire()[..owner.len() - self.asked.apex.len()];
        if self.records > 0 && self.message.len() + labels.len() + 12 + rdata.len() > MESSAGE {
            self.flush()?;
            self.begin();
        }
        self.message.extend_from_slice(labels);
        self.message.extend_from_slice(&[0xc0, HEADER as u8]); // the apex, in the question
        self.message.extend_from_slice(&rtype.to_be_bytes());
        self.message.extend_from_slice(&IN);
        self.message.extend_from_slice(&ttl.to_be_bytes());
        self.message.extend_from_slice(&(rdata.len() as u16).to_be_bytes());
        self.message.extend_from_slice(rdata);
        self.records += 1;
        ControlFlow::Continue(())
    }

    fn flush(&mut self) -> ControlFlow<()> {
        self.message[6..8].copy_from_slice(&self.records.to_be_bytes());
        (self.send)(std::mem::take(&mut self.message))
    }

    fn end(&mut self) -> ControlFlow<()> {
        self.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use hickory_proto::op::Message;
    use hickory_proto::rr::RecordType;
    use postern_zones::name::WireName;
    use postern_zones::zone::ZoneBuilder;

    const APEX: &str = "privatelink.contoso.test";

    fn zone(names: usize, serial: u32) -> Zone {
        let mut builder = ZoneBuilder::new(WireName::parse(APEX).unwrap());
        for number in 0..names {
            builder.add(&format!("n{number}.fhir"), 10, "A", &format!("10.20.{}.{}", number / 256, number % 256)).unwrap();
        }
        builder.finish(serial).unwrap().zone
    }

    fn asked(rtype: u16) -> TransferRequest {
        TransferRequest { id: [7, 7], apex: WireName::parse(APEX).unwrap().as_wire().into(), rtype }
    }

    fn collect(run: impl FnOnce(&mut dyn FnMut(Vec<u8>) -> ControlFlow<()>) -> ControlFlow<()>) -> Vec<Message> {
        let mut messages = Vec::new();
        let end = run(&mut |message| {
            assert!(message.len() <= MESSAGE);
            messages.push(Message::from_vec(&message).unwrap());
            ControlFlow::Continue(())
        });
        assert!(end.is_continue());
        messages
    }

    #[test]
    fn a_zone_is_given_whole_between_two_soas() {
        let zone = zone(5000, 9);
        let messages = collect(|send| whole(&zone, &asked(252), send));
        assert_eq!(messages.len(), 3, "many records a message");
        let records: Vec<_> = messages.iter().flat_map(|message| message.answers.clone()).collect();
        assert_eq!(records.len(), 5002);
        assert_eq!((records[0].record_type(), records[5001].record_type()), (RecordType::SOA, RecordType::SOA));
        let names: std::collections::HashSet<String> = records[1..5001].iter().map(|record| record.name.to_string()).collect();
        assert_eq!(names.len(), 5000);
        assert!(names.contains("n4999.fhir.privatelink.contoso.test."));
        assert!(
            messages.iter().all(|message| message.metadata.id == 0x0707 && message.metadata.authoritative && message.queries.len() == 1)
        );
    }

    #[test]
    fn changes_stand_between_their_soas() {
        let record = |rtype, rdata: &[u8], owner: &str| JournalRecord {
            owner: WireName::parse(owner).unwrap(),
            rtype,
            ttl: 10,
            rdata: rdata.into(),
        };
        let (old, new) = (zone(20, 8), zone(20, 9));
        let soa = |zone: &Zone| record(6, zone.soa().rdata().next().unwrap(), APEX);
        let address = |last| record(1, &[10, 20, 0, last], &format!("ws.{APEX}"));
        let change = JournalChange {
            from: 8,
            to: 9,
            at: 0,
            by: String::new(),
            removed: vec![address(1), soa(&old)],
            added: vec![address(2), soa(&new)],
        };
        let messages = collect(|send| changes(&new, &[Arc::new(change.clone())], &asked(251), send));
        let types: Vec<String> = messages[0].answers.iter().map(|record| record.record_type().to_string()).collect();
        assert_eq!(types, ["SOA", "SOA", "A", "SOA", "A", "SOA"]);
        let history = postern_zones::edit::ZoneHistory::default();
        assert_eq!(increment(&new, 8, Some(&history)), Increment::Whole);
        assert_eq!(increment(&new, 9, Some(&history)), Increment::UpToDate);
        assert_eq!(increment(&new, 10, Some(&history)), Increment::UpToDate, "a client that is ahead has nothing to take");
        // A change that the history has already and the zone, which is served, has not: the client gets what leads to the zone.
        history.push(Arc::new(change.clone()));
        history.push(Arc::new(JournalChange { from: 9, to: 10, ..change.clone() }));
        assert_eq!(increment(&new, 8, Some(&history)), Increment::Changes(vec![Arc::new(change.clone())]));
        // TTLs that changed and no serial with them, as in a copy whose bounds changed: no increment can tell.
        let history = postern_zones::edit::ZoneHistory::default();
        history.push(Arc::new(change.clone()));
        history.push(Arc::new(JournalChange { from: 9, ..change.clone() }));
        assert_eq!(increment(&new, 8, Some(&history)), Increment::Whole);
        history.push(Arc::new(JournalChange { from: 9, to: 10, ..change }));
        assert_eq!(increment(&zone(20, 10), 9, Some(&history)), Increment::Whole);
        let alone = Message::from_vec(&soa_alone(&new, &asked(251))).unwrap();
        assert_eq!((alone.answers.len(), alone.answers[0].record_type()), (1, RecordType::SOA));
    }

    #[test]
    fn a_client_that_goes_away_ends_it() {
        let mut sent = 0;
        let end = whole(&zone(20_000, 9), &asked(252), |_| {
            sent += 1;
            ControlFlow::Break(())
        });
        assert!(end.is_break() && sent == 1);
    }
}
