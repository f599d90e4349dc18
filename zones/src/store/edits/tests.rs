use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use postern_config::model::Config;

use super::*;
use crate::edit::Via;
use crate::lookup::Lookup;
use crate::state_directory::StateDirectory;
use crate::store::Look;
use crate::text::rdata::{read_rdata, type_code};

const ZONE: &str = "privatelink.contoso.test";

fn config(state: &Path, text: &str) -> Config {
    let path = state.join("postern.toml");
    let mut config = postern_config::parse(text, &path).unwrap().config;
    config.server.state = state.join("state");
    config
}

fn open(state: &Path, text: &str) -> (Store, Report) {
    let config = config(state, text);
    let (store, _, report) = Store::open(&config, Arc::new(StateDirectory::claim(&config.server.state, None).unwrap()));
    (store, report)
}

const ONE: &str = "[[zone]]\nname = \"privatelink.contoso.test\"\napi = true\n";

fn author() -> Author {
    Author { who: "tests".into(), from: Some([192, 0, 2, 1].into()), via: Via::Api }
}

/// `owner TYPE ttl data…`: an RRset; without data it goes.
fn change(text: &str) -> Change {
    let words: Vec<&str> = text.split_whitespace().collect();
    let apex = NameBuf::parse(ZONE).unwrap();
    let owner = if words[0] == "@" { apex.clone() } else { NameBuf::parse(&format!("{}.{ZONE}", words[0])).unwrap() };
    let rtype = type_code(words[1]).unwrap();
    let data = words[3..].iter().map(|data| read_rdata(rtype, data, &apex).unwrap().into_boxed_slice());
    Change::set(&owner, rtype, words[2].parse().unwrap(), data)
}

fn edit(zone: &str, changes: &[&str]) -> Edit {
    let changes: Vec<Change> = changes.iter().map(|text| change(text)).collect();
    Edit { zone: ZoneRef::parse(zone), author: author(), make: Box::new(move |_| Ok(changes)), is_dry: false }
}

/// Makes changes together, and gives what came of each.
fn commit_all(store: &mut Store, edits: Vec<Edit>) -> Vec<Result<Done, Refusal>> {
    type Results = Vec<Option<Result<Done, Refusal>>>;
    let results: Arc<Mutex<Results>> = Arc::new(Mutex::new(edits.iter().map(|_| None).collect()));
    let tasks = edits.into_iter().enumerate().map(|(index, edit)| {
        let results = results.clone();
        Task::Edit(edit, Box::new(move |result| results.lock().unwrap()[index] = Some(result)))
    });
    let tasks = tasks.collect();
    store.commit(tasks, Instant::now()).answer();
    let mut results = results.lock().unwrap();
    results.iter_mut().map(|result| result.take().expect("everybody is answered")).collect()
}

fn commit(store: &mut Store, edit: Edit) -> Result<Done, Refusal> {
    commit_all(store, vec![edit]).remove(0)
}

/// Does one other task.
fn run<T: Send + 'static>(store: &mut Store, task: impl FnOnce(Answer<T>) -> Task) -> Result<T, Refusal> {
    let result = Arc::new(Mutex::new(None));
    let out = result.clone();
    let task = task(Box::new(move |result| *out.lock().unwrap() = Some(result)));
    store.commit(VecDeque::from([task]), Instant::now()).answer();
    result.lock().unwrap().take().expect("answered")
}

fn settings(name: &str, networks: &[&str]) -> ZoneSettings {
    ZoneSettings {
        name: name.into(),
        networks: networks.iter().map(|name| name.to_string()).collect(),
        on_missing: model::OnMissing::Nxdomain,
        fallback: None,
        declared: false,
        extra: Default::default(),
    }
}

/// First octets of the addresses of `owner`, as served.
fn served(store: &Store, owner: &str) -> Vec<Vec<u8>> {
    let name = NameBuf::parse(&format!("{owner}.{ZONE}")).unwrap();
    let hosted = store.current().hosted().iter().find(|link| *link.hosted.name == *ZONE).expect("hosted");
    match hosted.hosted.zone().map(|zone| zone.lookup(&name, 1)) {
        Some(Lookup::Found { set, .. }) => set.rdata().map(<[u8]>::to_vec).collect(),
        _ => Vec::new(),
    }
}

#[test]
fn an_edit_is_served_and_survives_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let (mut store, report) = open(directory.path(), ONE);
    assert!(!report.has_errors(), "{report:?}");
    let generation = store.current().generation;
    let first = commit(&mut store, edit(ZONE, &["ws A 10 10.20.1.4 10.20.1.5"])).unwrap();
    assert_eq!((first.difference.added, first.generation), (1, generation + 1));
    assert_eq!(first.after.serial(), first.before.serial() + 1);
    let second = commit(&mut store, edit(ZONE, &["ws A 10 10.20.1.4", "fhir A 10 10.20.1.6"])).unwrap();
    assert_eq!(second.change.as_ref().unwrap().removed.len(), 2, "one address and the old SOA");
    assert_eq!(served(&store, "ws"), [[10, 20, 1, 4]]);
    let serial = second.after.serial();
    drop(store);
    let (store, report) = open(directory.path(), ONE);
    assert!(!report.has_errors(), "{report:?}");
    assert_eq!((served(&store, "ws"), served(&store, "fhir")), (vec![vec![10, 20, 1, 4]], vec![vec![10, 20, 1, 6]]));
    let kept = store.current().hosted()[0].hosted.kept.clone().unwrap();
    assert_eq!(kept.latest.serial(), serial);
    assert_eq!(kept.history.since(first.before.serial()).map(|changes| changes.len()), Some(2));
    assert_eq!(kept.history.newest(1)[0].by, "api:tests from 192.0.2.1");
}

fn kept(store: &Store) -> crate::snapshot::Kept {
    store.current().hosted()[0].hosted.kept.clone().expect("an API writes it")
}

type Content = std::collections::BTreeSet<journal::Record>;

fn content(store: &Store) -> Content {
    owned::records(&kept(store).latest).collect()
}

/// What a secondary that has `content` as of `serial` ends with: each record that goes must be there as it is said.
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
    let outcome = report.zones.iter().find(|zone| matches!(zone.outcome, Outcome::Changed(_))).expect("reported");
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
    let record = |last: u8| journal::Record {
        owner: NameBuf::parse(&format!("ws.{ZONE}")).unwrap().to_wire_name(),
        rtype: 1,
        ttl: 60,
        rdata: Box::new([10, 20, 1, last]),
    };
    let soa = last.added.iter().find(|record| record.rtype == 6).unwrap().clone();
    let risen = journal::Record { ttl: soa.ttl + 1, ..soa.clone() };
    let change =
        journal::Change { from: last.to, to: last.to + 1, removed: vec![record(4), risen], added: vec![record(6), soa], ..last.clone() };
    journal.append(&change);
    journal.commit().unwrap();
    drop(journal);
    let (store, report) = open(directory.path(), ONE);
    assert!(!report.has_errors(), "{report:?}");
    let (addresses, ttls): (Vec<_>, Vec<_>) =
        content(&store).into_iter().filter(|record| record.rtype == 1).map(|record| (record.rdata[3], record.ttl)).unzip();
    assert_eq!((addresses, ttls), (vec![5, 6], vec![60, 60]), "one TTL for the whole set");
}

#[test]
fn edits_that_wait_together_see_each_other_and_are_one_generation() {
    let directory = tempfile::tempdir().unwrap();
    let (mut store, _) = open(directory.path(), ONE);
    let generation = store.current().generation;
    let only_if_there = Edit {
        make: Box::new(|zone| {
            let name = NameBuf::parse(&format!("ws.{ZONE}")).unwrap();
            let refusal = Refusal::Precondition { message: "ws is not there".into(), rcode: 8 };
            if zone.exists(&name) { Ok(vec![change("ws A 10")]) } else { Err(refusal) }
        }),
        ..edit(ZONE, &[])
    };
    let results = commit_all(
        &mut store,
        vec![
            edit(ZONE, &["ws A 10 10.20.1.4"]),
            edit(ZONE, &["ws CNAME 10 other.contoso.test."]),
            only_if_there,
            edit(ZONE, &["ws CNAME 10 other.contoso.test."]),
            edit("fabrikam.test", &[]),
        ],
    );
    let said: Vec<String> =
        results.iter().map(|result| result.as_ref().map_or_else(ToString::to_string, |done| done.difference.to_string())).collect();
    assert_eq!(
        said,
        [
            "1 added, 0 changed, 0 removed: + ws.privatelink.contoso.test. A",
            "CNAME beside A at ws.privatelink.contoso.test.",
            "0 added, 0 changed, 1 removed: - ws.privatelink.contoso.test. A",
            "1 added, 0 changed, 0 removed: + ws.privatelink.contoso.test. CNAME",
            "no zone fabrikam.test is hosted",
        ]
    );
    assert_eq!(store.current().generation, generation + 1);
    assert!(results.iter().flatten().all(|done| done.generation == generation + 1));
}

#[test]
fn a_dry_run_and_a_change_to_what_is_there_already_change_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let (mut store, _) = open(directory.path(), ONE);
    let done = commit(&mut store, edit(ZONE, &["ws A 10 10.20.1.4"])).unwrap();
    let generation = store.current().generation;
    let dry = commit(&mut store, Edit { is_dry: true, ..edit(ZONE, &["ws A 10 10.20.1.9"]) }).unwrap();
    assert_eq!((dry.difference.changed, dry.change.is_none()), (1, true));
    let same = commit(&mut store, edit(ZONE, &["ws A 10 10.20.1.4"])).unwrap();
    assert_eq!((same.difference.is_empty(), same.after.serial()), (true, done.after.serial()));
    assert_eq!((served(&store, "ws"), store.current().generation), (vec![vec![10, 20, 1, 4]], generation));
}

#[test]
fn an_edit_that_panics_is_refused_and_those_around_it_are_made() {
    let directory = tempfile::tempdir().unwrap();
    let (mut store, _) = open(directory.path(), ONE);
    let broken = Edit { make: Box::new(|_| panic!("as a bug would")), ..edit(ZONE, &[]) };
    let results = commit_all(&mut store, vec![edit(ZONE, &["ws A 10 10.20.1.4"]), broken, edit(ZONE, &["fhir A 10 10.20.1.5"])]);
    assert_eq!(results[1].as_ref().unwrap_err(), &Refusal::Panicked);
    assert!(results[0].is_ok() && results[2].is_ok(), "{results:?}");
    let serial = kept(&store).latest.serial();
    let beside: Amend = Box::new(|_, settings| {
        settings.extra.insert("kind".into(), "Native".into());
        panic!("when half of it is done")
    });
    let refused = run(&mut store, |answer| Task::Amend(ZoneRef::parse(ZONE), author(), beside, answer)).map(drop);
    let configure: Configure = Box::new(|_, settings| {
        settings.extra.insert("kind".into(), "Native".into());
        panic!("so, too")
    });
    let refused_too = run(&mut store, |answer| Task::Configure(ZoneRef::parse(ZONE), author(), configure, answer)).map(drop);
    assert_eq!((refused, refused_too), (Err(Refusal::Panicked), Err(Refusal::Panicked)));
    assert!((kept(&store).latest.serial(), kept(&store).settings.extra.len()) == (serial, 0), "the zone is as it was");
    commit(&mut store, edit(ZONE, &["dicom A 10 10.20.1.6"])).unwrap();
    drop(store);
    let (store, report) = open(directory.path(), ONE);
    assert!(!report.has_errors(), "{report:?}");
    for (name, last) in [("ws", 4), ("fhir", 5), ("dicom", 6)] {
        assert_eq!(served(&store, name), [[10, 20, 1, last]]);
    }
}

#[test]
fn a_file_is_the_one_writer_of_its_zone() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("a.zone"), "ws 10 IN A 10.20.1.4\n").unwrap();
    let (mut store, _) = open(directory.path(), "[[zone]]\nname = \"privatelink.contoso.test\"\nfile = \"a.zone\"\n");
    let refusal = commit(&mut store, edit(ZONE, &["ws A 10 10.20.1.9"])).unwrap_err().to_string();
    assert!(refusal.starts_with("zone privatelink.contoso.test is managed by file ") && refusal.contains("a.zone; read-only"), "{refusal}");
}

#[test]
fn zones_of_one_name_are_told_apart_by_network() {
    let directory = tempfile::tempdir().unwrap();
    let text = "[[network]]\nname = \"hub\"\nclients = [\"10.20.0.0/16\"]\n[[network]]\nname = \"spoke\"\nclients = [\"10.30.0.0/16\"]\n\
        [[zone]]\nname = \"privatelink.contoso.test\"\nnetwork = [\"hub\"]\napi = true\n\
        [[zone]]\nname = \"privatelink.contoso.test\"\nnetwork = [\"spoke\"]\napi = true\n";
    let (mut store, _) = open(directory.path(), text);
    let refusal = commit(&mut store, edit(ZONE, &["ws A 10 10.20.1.4"])).unwrap_err();
    assert_eq!(refusal, Refusal::Ambiguous { name: ZONE.into(), networks: vec!["hub".into(), "spoke".into()] });
    commit(&mut store, edit(&format!("{ZONE}@spoke"), &["ws A 10 10.30.1.4"])).unwrap();
    drop(store);
    let (store, _) = open(directory.path(), text);
    let records: Vec<usize> = store.current().hosted().iter().map(|link| link.hosted.records()).collect();
    assert_eq!(records, [2, 3]);
}

#[test]
fn zones_are_made_configured_and_removed_and_survive_restarts_and_reloads() {
    let directory = tempfile::tempdir().unwrap();
    let text = "[[network]]\nname = \"hub\"\nclients = [\"10.20.0.0/16\"]\n";
    let (mut store, _) = open(directory.path(), text);
    let create = |store: &mut Store, settings: ZoneSettings, records: &[&str]| {
        let records = records.iter().map(|text| change(text)).collect();
        run(store, |answer| Task::Create(vec![NewZone { settings, records }], author(), answer))
    };
    create(&mut store, settings(ZONE, &["hub"]), &["ws A 10 10.20.1.4"]).unwrap();
    for (wrong, said) in [
        (settings(ZONE, &[]), "is hosted already, for hub"),
        (settings("contoso.test", &["spoke"]), "there is no network `spoke`"),
        (settings("Contoso.Test.", &[]), "write the zone's name as `contoso.test`"),
        (settings("contoso..test", &[]), "is not a name"),
    ] {
        let refusal = create(&mut store, wrong, &[]).unwrap_err().to_string();
        assert!(refusal.contains(said), "{refusal}");
    }
    // Several are made together, or none of them: not even until the next start.
    let journals = || fs::read_dir(directory.path().join("state/zones")).unwrap().count();
    let several = ["a.test", "b.test", ZONE, "c.test"].map(|name| NewZone { settings: settings(name, &["hub"]), records: Vec::new() });
    let refusal = run(&mut store, |answer| Task::Create(several.to_vec(), author(), answer)).unwrap_err();
    assert!(refusal.to_string().contains("is hosted already"), "{refusal}");
    assert_eq!((store.current().hosted().len(), journals()), (1, 1));
    let set = run(&mut store, |answer| {
        let change: Configure = Box::new(|_, settings| {
            settings.extra.insert("kind".into(), "Native".into());
            Ok(())
        });
        Task::Configure(ZoneRef::parse(ZONE), author(), change, answer)
    });
    assert_eq!(set.unwrap().extra["kind"], "Native");
    store.reconfigure(&config(directory.path(), text));
    assert_eq!(served(&store, "ws"), [[10, 20, 1, 4]], "a reload keeps it");
    drop(store);
    let (mut store, _) = open(directory.path(), text);
    let hosted = store.current().hosted()[0].hosted.clone();
    assert_eq!((served(&store, "ws"), hosted.on_missing), (vec![vec![10, 20, 1, 4]], model::OnMissing::Nxdomain));
    assert_eq!(hosted.kept.as_ref().unwrap().settings.extra["kind"], "Native");
    let serial = kept(&store).latest.serial();
    let remove = |store: &mut Store, serial: u32| {
        let may: May = Box::new(move |zone: &Zone| match zone.serial() == serial {
            true => Ok(()),
            false => Err(Refusal::Precondition { message: "it is another one by now".into(), rcode: 0 }),
        });
        run(store, |answer| Task::Remove(ZoneRef::parse(ZONE), author(), may, answer))
    };
    // What is committed together with the removal, and before it, is seen by it.
    let results = Arc::new(Mutex::new(Vec::new()));
    let (edited, removed) = (results.clone(), results.clone());
    let may: May = Box::new(move |zone: &Zone| match zone.serial() == serial {
        true => Ok(()),
        false => Err(Refusal::Busy),
    });
    let tasks = [
        Task::Edit(edit(ZONE, &["late A 10 10.20.1.9"]), Box::new(move |result| edited.lock().unwrap().push(result.map(drop)))),
        Task::Remove(ZoneRef::parse(ZONE), author(), may, Box::new(move |result| removed.lock().unwrap().push(result))),
    ];
    store.commit(tasks.into(), Instant::now()).answer();
    assert_eq!(*results.lock().unwrap(), [Ok(()), Err(Refusal::Busy)]);
    assert!(matches!(remove(&mut store, serial), Err(Refusal::Precondition { .. })));
    assert_eq!(served(&store, "late"), [[10, 20, 1, 9]]);
    remove(&mut store, serial + 1).unwrap();
    assert!(store.current().hosted().is_empty());
    drop(store);
    assert!(open(directory.path(), text).0.current().hosted().is_empty());
}

#[test]
fn a_zone_of_the_configuration_is_not_removed_and_keeps_its_records_when_its_networks_change() {
    let directory = tempfile::tempdir().unwrap();
    let (mut store, _) = open(directory.path(), ONE);
    commit(&mut store, edit(ZONE, &["ws A 10 10.20.1.4"])).unwrap();
    let refusal = run(&mut store, |answer| Task::Remove(ZoneRef::parse(ZONE), author(), Box::new(|_| Ok(())), answer)).unwrap_err();
    assert_eq!(refusal.to_string(), "zone privatelink.contoso.test is managed by the configuration, line 1; read-only through the API");
    drop(store);
    let linked = format!("{ONE}network = [\"hub\"]\n[[network]]\nname = \"hub\"\nclients = [\"10.20.0.0/16\"]\n");
    let (store, _) = open(directory.path(), &linked);
    assert_eq!(served(&store, "ws"), [[10, 20, 1, 4]]);
    drop(store);
    let (_, report) = open(directory.path(), "");
    assert!(report.zones.is_empty(), "its journal waits until the zone comes back");
    assert_eq!(served(&open(directory.path(), ONE).0, "ws"), [[10, 20, 1, 4]]);
}

#[test]
fn a_damaged_journal_makes_its_zone_unavailable_and_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let (mut store, _) = open(directory.path(), ONE);
    commit(&mut store, edit(ZONE, &["ws A 10 10.20.1.4"])).unwrap();
    drop(store);
    let path = directory.path().join(format!("state/zones/{ZONE}.journal"));
    let mut octets = fs::read(&path).unwrap();
    octets[4_200] ^= 1;
    fs::write(&path, &octets).unwrap();
    for text in [ONE, ""] {
        let (mut store, report) = open(directory.path(), text);
        assert!(report.has_errors());
        let hosted = &store.current().hosted()[0].hosted;
        assert!(hosted.zone().is_none(), "SERVFAIL, never the public answer");
        assert!(matches!(commit(&mut store, edit(ZONE, &["ws A 10 10.20.1.9"])), Err(Refusal::Unavailable { .. })));
    }
    assert_eq!(fs::read(&path).unwrap(), octets);
}

const HUB: &str = "[[network]]\nname = \"hub\"\nclients = [\"10.20.0.0/16\"]\n";

fn create(store: &mut Store, networks: &[&str]) {
    let new = NewZone { settings: settings(ZONE, networks), records: vec![change("ws A 10 10.20.1.4")] };
    run(store, |answer| Task::Create(vec![new], author(), answer)).unwrap();
}

/// Makes a zone through the API, and damages its journal while no server runs. Gives the journal, and its content when it was whole.
fn damage_made(directory: &Path) -> (std::path::PathBuf, Vec<u8>) {
    let (mut store, _) = open(directory, HUB);
    create(&mut store, &["hub"]);
    drop(store);
    let path = directory.join(format!("state/zones/{ZONE}.journal"));
    let whole = fs::read(&path).unwrap();
    let mut octets = whole.clone();
    octets[4_200] ^= 1;
    fs::write(&path, &octets).unwrap();
    (path, whole)
}

#[test]
fn an_api_zone_with_a_damaged_journal_stays_unavailable_over_reloads_until_it_is_mended() {
    let directory = tempfile::tempdir().unwrap();
    let (path, whole) = damage_made(directory.path());
    let (mut store, report) = open(directory.path(), HUB);
    assert!(report.has_errors());
    for _ in 0..2 {
        let (snapshot, report) = store.reconfigure(&config(directory.path(), HUB));
        assert!(snapshot.hosted().len() == 1 && snapshot.hosted()[0].hosted.zone().is_none(), "SERVFAIL, never the public answer");
        assert!(!report.has_errors(), "it was reported at the start");
    }
    fs::rename(&path, directory.path().join("aside")).unwrap();
    store.reconfigure(&config(directory.path(), HUB));
    assert!(store.current().hosted()[0].hosted.zone().is_none(), "a journal that is gone makes no name public");
    fs::write(&path, whole).unwrap();
    store.reconfigure(&config(directory.path(), HUB));
    assert_eq!((store.current().hosted().len(), served(&store, "ws")), (1, vec![vec![10, 20, 1, 4]]));
}

#[test]
fn a_damaged_journal_is_unavailable_in_the_networks_that_its_healthy_namesake_does_not_have() {
    let directory = tempfile::tempdir().unwrap();
    damage_made(directory.path());
    let spoke = "[[network]]\nname = \"spoke\"\nclients = [\"10.30.0.0/16\"]\n";
    fs::create_dir(directory.path().join("zones")).unwrap();
    let zone = ONE.replace("api = true", "directory = 'zones'\nnetwork = ['spoke']");
    let (store, report) = open(directory.path(), &format!("{HUB}{spoke}{zone}"));
    assert!(report.has_errors());
    let snapshot = store.current();
    for (network, has_data) in [("hub", false), ("spoke", true), ("default", false)] {
        let hosted = snapshot.network(snapshot.network_named(network).unwrap()).zone_of(&NameBuf::parse(ZONE).unwrap(), 0);
        assert_eq!(hosted.expect(network).zone().is_some(), has_data, "{network}");
    }
}

#[test]
fn journals_that_cannot_be_listed_leave_their_zones_unavailable_and_begin_none() {
    let directory = tempfile::tempdir().unwrap();
    drop(open(directory.path(), ""));
    let zones = directory.path().join("state/zones");
    fs::write(&zones, "no directory").unwrap();
    let (mut store, report) = open(directory.path(), ONE);
    assert!(report.has_errors() && store.current().hosted()[0].hosted.zone().is_none());
    assert!(store.context.state.troubles().iter().any(|trouble| trouble.path == zones));
    fs::remove_file(&zones).unwrap();
    store.reconfigure(&config(directory.path(), ONE));
    assert!(store.current().hosted()[0].hosted.zone().is_some());
    assert!(!store.context.state.is_troubled(&zones));
}

#[test]
fn an_api_zone_comes_back_when_the_configuration_that_displaced_it_is_corrected() {
    let directory = tempfile::tempdir().unwrap();
    let spoke = "[[network]]\nname = \"spoke\"\nclients = [\"10.30.0.0/16\"]\n";
    let both = format!("{HUB}{spoke}");
    let (mut store, _) = open(directory.path(), &both);
    create(&mut store, &["hub", "spoke"]);
    // A network is renamed by mistake: the other one still has the zone.
    let snapshot = store.reconfigure(&config(directory.path(), &both.replace("hub", "hbu"))).0;
    let network = snapshot.network(snapshot.network_named("spoke").unwrap());
    assert!(network.zone_of(&NameBuf::parse(ZONE).unwrap(), 0).is_some());
    store.reconfigure(&config(directory.path(), &format!("{both}{}", ONE.replace("api = true", "directory = 'zones'"))));
    assert!(served(&store, "ws").is_empty(), "the zone of the configuration has the files' records");
    store.reconfigure(&config(directory.path(), &both));
    assert_eq!((store.current().hosted().len(), served(&store, "ws")), (1, vec![vec![10, 20, 1, 4]]));
}

#[test]
fn a_deleted_name_is_held_until_its_time_is_over_or_it_comes_back() {
    let directory = tempfile::tempdir().unwrap();
    let (mut store, _) = open(directory.path(), &format!("{ONE}hold-deleted = \"10s\"\n"));
    commit(&mut store, edit(ZONE, &["ws A 10 10.20.1.4", "fhir A 10 10.20.1.5"])).unwrap();
    let done = commit(&mut store, edit(ZONE, &["ws A 10", "fhir A 10"])).unwrap();
    assert_eq!(done.after.counts().records, 2, "to those who read back they are gone");
    assert_eq!(served(&store, "ws"), [[10, 20, 1, 4]], "to clients they are not");
    commit(&mut store, edit(ZONE, &["ws A 10 10.20.1.9", "other A 10 10.20.1.7"])).unwrap();
    assert_eq!((served(&store, "ws"), served(&store, "other")), (vec![vec![10, 20, 1, 9]], vec![vec![10, 20, 1, 7]]));
    assert_eq!(served(&store, "fhir"), [[10, 20, 1, 5]]);
    let until = store.next_release().expect("fhir is held");
    assert!(store.release(until - Duration::from_millis(1)).snapshot.is_none());
    assert!(store.release(until).snapshot.is_some());
    assert_eq!((served(&store, "fhir"), store.next_release()), (Vec::<Vec<u8>>::new(), None));
}

#[test]
fn what_was_probably_not_meant_is_said() {
    let directory = tempfile::tempdir().unwrap();
    let (mut store, _) = open(directory.path(), ONE);
    let done = commit(&mut store, edit(ZONE, &["ws A 10 203.0.113.9", "fhir A 10 10.20.1.4 10.20.2.4"])).unwrap();
    assert_eq!(done.warnings.len(), 2);
    assert!(done.warnings[0].contains("public address 203.0.113.9") && done.warnings[1].contains("two subnets"), "{:?}", done.warnings);
}

#[test]
fn a_change_too_large_for_one_frame_is_kept_as_a_new_image() {
    let directory = tempfile::tempdir().unwrap();
    let (mut store, _) = open(directory.path(), ONE);
    let text = "x".repeat(200);
    let changes: Vec<Change> = (0..80_000).map(|number| change(&format!("n{number} TXT 10 {text}"))).collect();
    let large = Edit { make: Box::new(move |_| Ok(changes)), ..edit(ZONE, &[]) };
    commit(&mut store, large).unwrap();
    commit(&mut store, edit(ZONE, &["ws A 10 10.20.1.4"])).unwrap();
    drop(store);
    let (mut store, report) = open(directory.path(), ONE);
    assert!(!report.has_errors(), "{report:?}");
    assert_eq!(store.current().hosted()[0].hosted.records(), 80_003);
    store.look_again(Instant::now(), Look::Now);
}

/// Counts in `extra.seen` how often this was done, and makes the address of `ws` that number.
fn count(refuse: bool) -> Amend {
    Box::new(move |_, settings| {
        let seen = settings.extra.get("seen").and_then(serde_json::Value::as_u64).unwrap_or(0) + 1;
        settings.extra.insert("seen".into(), seen.into());
        settings.networks.push("nowhere".into());
        match refuse {
            true => Err(Refusal::Busy),
            false => Ok(vec![change(&format!("ws A 10 10.0.0.{seen}"))]),
        }
    })
}

#[test]
fn records_and_what_is_kept_beside_them_change_as_one() {
    let directory = tempfile::tempdir().unwrap();
    let (mut store, _) = open(directory.path(), ONE);
    let task = |answer| Task::Amend(ZoneRef::parse(ZONE), author(), count(false), answer);
    let answers = Arc::new(Mutex::new(Vec::new()));
    let tasks = (0..3).map(|_| {
        let answers = answers.clone();
        task(Box::new(move |done: Result<Done, Refusal>| answers.lock().unwrap().push(done.map(|done| done.difference.to_string()))))
    });
    store.commit(tasks.collect(), Instant::now()).answer();
    assert_eq!(answers.lock().unwrap().iter().filter(|answer| answer.is_ok()).count(), 3, "{answers:?}");
    let refused = run(&mut store, |answer| Task::Amend(ZoneRef::parse(ZONE), author(), count(true), answer));
    assert_eq!(refused.unwrap_err(), Refusal::Busy);
    for restart in [false, true] {
        if restart {
            drop(store);
            store = open(directory.path(), ONE).0;
        }
        let hosted = store.current().hosted()[0].hosted.clone();
        let settings = hosted.kept.as_ref().unwrap().settings.clone();
        assert_eq!((settings.extra.get("seen"), settings.networks.len()), (Some(&3.into()), 0), "each sees what the one before made");
        assert_eq!(served(&store, "ws"), [[10, 0, 0, 3]]);
    }
    let beside: Amend = Box::new(|_, settings| {
        settings.extra.insert("note".into(), "x".into());
        Ok(Vec::new())
    });
    let before = store.current().hosted()[0].hosted.serial();
    let done = run(&mut store, |answer| Task::Amend(ZoneRef::parse(ZONE), author(), beside, answer)).unwrap();
    let hosted = store.current().hosted()[0].hosted.clone();
    assert_eq!((done.change, hosted.serial()), (None, before), "no record is different");
    assert_eq!(hosted.kept.as_ref().unwrap().settings.extra.get("note"), Some(&"x".into()));
}

const SECONDARY: &str = "[[zone]]\nname = \"privatelink.contoso.test\"\nprimaries = [\"10.20.0.10\"]\n";

/// What a transfer does: records, and that it was heard just now.
fn transferred(store: &mut Store, changes: &[&str], at: u32) -> Result<Done, Refusal> {
    let changes: Vec<Change> = changes.iter().map(|text| change(text)).collect();
    let amend: Amend = Box::new(move |_, settings| {
        settings.extra.insert(crate::edit::TRANSFERRED.into(), at.into());
        Ok(changes)
    });
    let author = Author { via: Via::Transfer, ..author() };
    run(store, |answer| Task::Amend(ZoneRef::parse(ZONE), author, amend, answer))
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
    run(&mut store, |answer| Task::Expire(ZoneRef::parse(ZONE), "silent".into(), answer)).unwrap();
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
    let amend: Amend = Box::new(|_, settings| {
        settings.extra.insert(crate::edit::TRANSFERRED.into(), 2.into());
        Ok(Vec::new())
    });
    let author = Author { via: Via::Transfer, ..author() };
    let task = Task::Amend(ZoneRef::parse(ZONE), author, amend, Box::new(move |done| reply.send(done).unwrap()));
    let committed = store.commit([task].into(), Instant::now());
    assert!(committed.report.zones.is_empty(), "nothing to tell");
    committed.answer();
    answers.recv().unwrap().unwrap();
    let after = state(&store);
    assert!(after.last_success > before.last_success && after.is_good());
    assert_eq!(after.changed, before.changed);
}
