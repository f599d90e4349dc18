//! Bounds of TTLs that change while a journal holds other TTLs.

use super::*;

/// Returns the content of a secondary that had `content` at `serial` and applied the history since. Each removed record must exist.
fn transferred_on(mut content: Content, serial: u32, store: &Store) -> Content {
    for change in kept(store).history.since(serial).expect("the history leads on") {
        change.removed.iter().for_each(|record| assert!(content.remove(record), "{record:?} goes and is not there"));
        change.added.iter().for_each(|record| assert!(content.insert(record.clone()), "{record:?} comes and is there"));
    }
    content
}

#[test]
fn what_is_deleted_after_the_bounds_of_ttls_changed_stays_deleted_and_a_secondary_follows() {
    let directory = tempfile::tempdir().unwrap();
    let bounded = format!("{ONE}min-ttl = 7200\n"); // above the SOA's own
    let (mut store, _) = open(directory.path(), ONE);
    commit(&mut store, edit(ZONE, &["ws A 10 10.20.1.4 10.20.1.5", "fhir A 10 10.20.1.6", "dicom A 9000 10.20.1.7"])).unwrap();
    let (then, serial) = (content(&store), kept(&store).latest.serial());
    drop(store);
    let (mut store, _) = open(directory.path(), &bounded);
    assert_eq!(kept(&store).latest.serial(), serial + 1, "other TTLs are other data");
    assert!(content(&store).iter().all(|record| record.ttl >= 7200), "{:?}", content(&store));
    assert_eq!(kept(&store).history.newest(1)[0].removed.len(), 5, "three records, the NS record and the SOA; one had a TTL above");
    assert_eq!(transferred_on(then.clone(), serial, &store), content(&store));
    commit(&mut store, edit(ZONE, &["ws A 7200 10.20.1.5", "fhir A 10"])).unwrap();
    let now = content(&store);
    for text in [&bounded, ONE, &bounded] {
        drop(store);
        store = open(directory.path(), text).0;
        assert_eq!((served(&store, "ws"), served(&store, "fhir")), (vec![vec![10, 20, 1, 5]], Vec::new()));
        assert_eq!(content(&store), now, "what was raised once stays, and nothing is written again");
        assert_eq!(transferred_on(then.clone(), serial, &store), now);
    }
}

#[test]
fn bounds_of_ttls_that_change_with_the_configuration_count_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let (mut store, _) = open(directory.path(), ONE);
    commit(&mut store, edit(ZONE, &["ws A 10 10.20.1.4"])).unwrap();
    let (then, serial) = (content(&store), kept(&store).latest.serial());
    let (_, report) = store.reconfigure(&config(directory.path(), &format!("{ONE}min-ttl = 60\n")));
    let outcome = report.zones.iter().find(|zone| matches!(zone.outcome, ZoneOutcome::Changed(_))).expect("reported");
    assert_eq!(outcome.serial, Some(serial + 1));
    let name = NameBuf::parse(&format!("ws.{ZONE}")).unwrap();
    let hosted = store.current().hosted()[0].hosted.clone();
    assert!(matches!(hosted.zone().unwrap().lookup(&name, 1), Lookup::Found { set, .. } if set.ttl == 60));
    assert_eq!(transferred_on(then, serial, &store), content(&store));
    let done = commit(&mut store, edit(ZONE, &["fhir A 10 10.20.1.5"])).unwrap();
    assert!(done.change.unwrap().added.iter().all(|record| record.ttl >= 60));
    let (now, serial) = (content(&store), kept(&store).latest.serial());
    let (_, report) = store.reconfigure(&config(directory.path(), &format!("{ONE}min-ttl = 60\n")));
    assert!(report.zones.is_empty() && kept(&store).latest.serial() == serial, "{report:?}");
    drop(store);
    assert_eq!(content(&open(directory.path(), &format!("{ONE}min-ttl = 60\n")).0), now);
}

#[test]
fn a_journal_whose_removals_tell_other_ttls_gives_back_no_record_that_went() {
    let directory = tempfile::tempdir().unwrap();
    let (mut store, _) = open(directory.path(), ONE);
    commit(&mut store, edit(ZONE, &["ws A 10 10.20.1.4 10.20.1.5"])).unwrap();
    drop(store);
    // As servers wrote it that knew the clamped TTLs alone: the one address goes, the other comes with the TTL of the set.
    let path = directory.path().join(format!("state/zones/{ZONE}.journal"));
    let (mut journal, replay) = journal::Journal::open(&path).unwrap();
    let last = replay.changes.last().unwrap();
    let record = |last: u8| journal::JournalRecord {
        owner: NameBuf::parse(&format!("ws.{ZONE}")).unwrap().to_wire_name(),
        rtype: 1,
        ttl: 60,
        rdata: Box::new([10, 20, 1, last]),
    };
    let soa = last.added.iter().find(|record| record.rtype == 6).unwrap().clone();
    let risen = journal::JournalRecord { ttl: soa.ttl + 1, ..soa.clone() };
    let change = journal::JournalChange {
        from: last.to,
        to: last.to + 1,
        removed: vec![record(4), risen],
        added: vec![record(6), soa],
        ..last.clone()
    };
    journal.append(&change);
    journal.commit().unwrap();
    drop(journal);
    let (store, report) = open(directory.path(), ONE);
    assert!(!report.has_errors(), "{report:?}");
    let (addresses, ttls): (Vec<_>, Vec<_>) =
        content(&store).into_iter().filter(|record| record.rtype == 1).map(|record| (record.rdata[3], record.ttl)).unzip();
    assert_eq!((addresses, ttls), (vec![5, 6], vec![60, 60]), "one TTL for the whole set");
}
