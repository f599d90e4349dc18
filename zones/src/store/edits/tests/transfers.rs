//! Zones that are transferred from a primary.

use postern_config::model::{AZURE, TRANSFER};

use super::*;

const SECONDARY: &str = "[[zone]]\nname = \"privatelink.contoso.test\"\nprimaries = [\"10.20.0.10\"]\n";

/// Applies the changes of a transfer that a primary sent at this time.
fn transferred(store: &mut Store, changes: &[&str], at: u32) -> Result<EditResult, Refusal> {
    let changes: Vec<RrSetChange> = changes.iter().map(|text| change(text)).collect();
    let amend: AmendFn = Box::new(move |_, settings| {
        settings.extra.insert(crate::edit::FETCHED.into(), at.into());
        Ok(changes)
    });
    let author = Author { via: Via::Feed(&TRANSFER), ..author() };
    run(store, |answer| StoreTask::Amend(ZoneRef::parse(ZONE), author, amend, answer))
}

#[test]
fn a_transferred_zone_has_no_data_until_it_was_transferred_and_none_when_it_expired() {
    let directory = tempfile::tempdir().unwrap();
    let (mut store, report) = open(directory.path(), SECONDARY);
    assert!(report.has_errors() && store.current().hosted()[0].hosted.zone().is_none(), "its names must not go public");
    assert!(matches!(commit(&mut store, edit(ZONE, &["ws A 10 10.20.1.4"])), Err(Refusal::ReadOnly { .. })));
    transferred(&mut store, &["ws A 10 10.20.1.4"], unix_seconds()).unwrap();
    assert_eq!(served(&store, "ws"), [[10, 20, 1, 4]]);
    assert!(store.zones().next().unwrap().state.is_good());
    run(&mut store, |answer| StoreTask::Expire(ZoneRef::parse(ZONE), "silent".into(), answer)).unwrap();
    assert!(store.current().hosted()[0].hosted.zone().is_none());
    let done = transferred(&mut store, &[], unix_seconds() + 1).unwrap();
    assert_eq!((done.change, served(&store, "ws")), (None, vec![vec![10, 20, 1, 4]]), "the primary is back, and nothing changed");
    drop(store);
    let (mut store, report) = open(directory.path(), SECONDARY);
    assert_eq!((report.has_errors(), served(&store, "ws")), (false, vec![vec![10, 20, 1, 4]]), "the copy that was kept");
    transferred(&mut store, &[], 1).unwrap();
    drop(store);
    let (store, _) = open(directory.path(), SECONDARY);
    assert!(store.current().hosted()[0].hosted.zone().is_none(), "too old");
}

#[test]
fn a_copy_keeps_the_serial_of_its_primary_when_the_bounds_of_ttls_change() {
    let directory = tempfile::tempdir().unwrap();
    let (mut store, _) = open(directory.path(), SECONDARY);
    transferred(&mut store, &["ws A 10 10.20.1.4"], unix_seconds()).unwrap();
    let (serial, bounded) = (kept(&store).latest.serial(), format!("{SECONDARY}min-ttl = 60\n"));
    for _ in 0..2 {
        drop(store);
        store = open(directory.path(), &bounded).0;
        let last = kept(&store).history.newest(1).remove(0);
        assert_eq!((kept(&store).latest.serial(), last.from, last.to), (serial, serial, serial), "and the history tells of it");
        assert!(content(&store).iter().all(|record| record.ttl >= 60));
    }
    transferred(&mut store, &["ws A 10"], unix_seconds()).unwrap();
    drop(store);
    assert!(served(&open(directory.path(), &bounded).0, "ws").is_empty());
}

#[test]
fn a_primary_that_has_nothing_newer_makes_the_source_good_and_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let (mut store, _) = open(directory.path(), SECONDARY);
    transferred(&mut store, &["ws A 10 10.20.1.4"], 1).unwrap();
    let state = |store: &Store| store.current().hosted()[0].hosted.source.state();
    let before = state(&store);
    let (reply, answers) = std::sync::mpsc::channel();
    let amend: AmendFn = Box::new(|_, settings| {
        settings.extra.insert(crate::edit::FETCHED.into(), 2.into());
        Ok(Vec::new())
    });
    let author = Author { via: Via::Feed(&TRANSFER), ..author() };
    let task = StoreTask::Amend(ZoneRef::parse(ZONE), author, amend, Box::new(move |done| reply.send(done).unwrap()));
    let committed = store.commit([task].into(), Instant::now());
    assert!(committed.report.zones.is_empty(), "nothing to tell");
    committed.answer();
    answers.recv().unwrap().unwrap();
    let after = state(&store);
    assert!(after.last_success > before.last_success && after.is_good());
    assert_eq!(after.changed, before.changed);
}

#[test]
fn a_zone_that_gets_another_writer_is_the_same_after_a_reload_and_after_a_restart() {
    const API: &str = "[[zone]]\nname = \"privatelink.contoso.test\"\napi = true\n";
    for by_restart in [false, true] {
        let directory = tempfile::tempdir().unwrap();
        let change_to = |mut store: Store, text: &str| match by_restart {
            true => {
                drop(store);
                open(directory.path(), text).0
            }
            false => {
                store.reconfigure(&config(directory.path(), text));
                store
            }
        };
        let error = |store: &Store| store.zones().next().unwrap().state.error.clone().map(|(_, why)| why);
        let (store, _) = open(directory.path(), API);
        let mut store = change_to(store, SECONDARY);
        let reason = |store: &Store| match &store.current().hosted()[0].hosted.state {
            crate::snapshot::ZoneState::Unavailable(why) => Some(why.to_string()),
            crate::snapshot::ZoneState::Serving(_) => None,
        };
        assert_eq!(reason(&store).as_deref(), Some(TRANSFER.never_fetched), "an empty zone, by restart: {by_restart}");
        store.reconfigure(&config(directory.path(), SECONDARY));
        assert_eq!(reason(&store).as_deref(), Some(TRANSFER.never_fetched), "a reload keeps the reason");
        let mut store = change_to(store, API);
        assert_eq!((reason(&store), error(&store)), (None, None), "by restart: {by_restart}");
        commit(&mut store, edit(ZONE, &["ws A 10 10.20.1.4"])).unwrap();
        let mut store = change_to(store, SECONDARY);
        assert_eq!(served(&store, "ws"), [[10, 20, 1, 4]], "until the first transfer, by restart: {by_restart}");
        assert_eq!(error(&store).as_deref(), Some(TRANSFER.never_fetched));
        transferred(&mut store, &["ws A 10 10.20.1.9"], 1).unwrap();
        let store = change_to(store, API);
        assert_eq!((served(&store, "ws"), error(&store)), (vec![vec![10, 20, 1, 9]], None), "by restart: {by_restart}");
        let store = change_to(store, SECONDARY);
        assert_eq!(reason(&store), TRANSFER.expired.map(String::from), "heard long ago, by restart: {by_restart}");
        let store = change_to(store, API);
        assert_eq!((served(&store, "ws"), error(&store)), (vec![vec![10, 20, 1, 9]], None), "expired no more, by restart: {by_restart}");
    }
}

#[test]
fn a_guarded_feed_empties_a_zone_only_if_the_operator_accepts_it() {
    const AZURE_ZONE: &str = "[[azure]]\nname = \"contoso\"\n[[zone]]\nname = \"privatelink.contoso.test\"\nazure = \"contoso\"\n";
    let directory = tempfile::tempdir().unwrap();
    let (mut store, _) = open(directory.path(), AZURE_ZONE);
    let read = |store: &mut Store, changes: &[&str]| {
        let changes: Vec<RrSetChange> = changes.iter().map(|text| change(text)).collect();
        let amend: AmendFn = Box::new(move |_, settings| {
            settings.extra.remove(ACCEPTED_LOSS);
            settings.extra.insert(crate::edit::FETCHED.into(), 1.into());
            Ok(changes)
        });
        let author = Author { via: Via::Feed(&AZURE), ..author() };
        run(store, |answer| StoreTask::Amend(ZoneRef::parse(ZONE), author, amend, answer))
    };
    read(&mut store, &["ws A 10 10.20.1.4"]).unwrap();
    assert!(matches!(read(&mut store, &["ws A 10"]), Err(Refusal::Loss(_))));
    let state = store.zones().next().unwrap().state.clone();
    assert!(state.is_held && state.error.unwrap().1.ends_with("postern reload --accept privatelink.contoso.test"));
    assert_eq!(served(&store, "ws"), [[10, 20, 1, 4]]);
    let observe = |store: &mut Store, error: Option<&str>| {
        let error = error.map(str::to_owned);
        run(store, |answer| StoreTask::Observe(ZoneRef::parse(ZONE), error, answer)).unwrap();
        store.zones().next().unwrap().state.error.as_ref().map(|(_, why)| why.clone())
    };
    assert!(observe(&mut store, Some("Azure is silent")).is_some_and(|why| why.contains("--accept")), "the loss is told first");
    store.reconfigure_accepting(&config(directory.path(), AZURE_ZONE), &[crate::store::AcceptedZone::parse(ZONE)]);
    read(&mut store, &["ws A 10"]).unwrap();
    assert!(served(&store, "ws").is_empty());
    assert_eq!(observe(&mut store, Some("Azure is silent")).as_deref(), Some("Azure is silent"));
    assert_eq!(observe(&mut store, None), None);
}
