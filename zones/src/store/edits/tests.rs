//! Edits of zones that an API writes.

mod journals;
mod transfers;
mod ttl_bounds;

use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use postern_config::model::{self, PosternConfig};

use super::*;
use crate::edit::{ConfigureFn, NewZone, PreconditionFn, Via, ZoneRemoval};
use crate::lookup::Lookup;
use crate::name::NameBuf;
use crate::state_directory::StateDirectory;
use crate::store::LookMode;
use crate::text::rdata::{read_rdata, type_code};

const ZONE: &str = "privatelink.contoso.test";

fn config(state: &Path, text: &str) -> PosternConfig {
    let path = state.join("postern.toml");
    let mut config = postern_config::parse(text, &path).unwrap().config;
    config.server.state = state.join("state");
    config
}

fn open(state: &Path, text: &str) -> (Store, LookReport) {
    let config = config(state, text);
    let (store, _, report) = Store::open(&config, Arc::new(StateDirectory::claim(&config.server.state, None).unwrap()));
    (store, report)
}

const ONE: &str = "[[zone]]\nname = \"privatelink.contoso.test\"\napi = true\n";

fn author() -> Author {
    Author { who: "tests".into(), from: Some([192, 0, 2, 1].into()), via: Via::Api }
}

/// `owner TYPE ttl data…`: an RRset; without data it goes.
fn change(text: &str) -> RrSetChange {
    let words: Vec<&str> = text.split_whitespace().collect();
    let apex = NameBuf::parse(ZONE).unwrap();
    let owner = if words[0] == "@" { apex.clone() } else { NameBuf::parse(&format!("{}.{ZONE}", words[0])).unwrap() };
    let rtype = type_code(words[1]).unwrap();
    let data = words[3..].iter().map(|data| read_rdata(rtype, data, &apex).unwrap().into_boxed_slice());
    RrSetChange::set(&owner, rtype, words[2].parse().unwrap(), data)
}

fn edit(zone: &str, changes: &[&str]) -> ZoneEdit {
    let changes: Vec<RrSetChange> = changes.iter().map(|text| change(text)).collect();
    ZoneEdit { zone: ZoneRef::parse(zone), author: author(), make: Box::new(move |_| Ok(changes)), is_dry: false }
}

/// Makes changes together, and gives what came of each.
fn commit_all(store: &mut Store, edits: Vec<ZoneEdit>) -> Vec<Result<EditResult, Refusal>> {
    type Results = Vec<Option<Result<EditResult, Refusal>>>;
    let results: Arc<Mutex<Results>> = Arc::new(Mutex::new(edits.iter().map(|_| None).collect()));
    let tasks = edits.into_iter().enumerate().map(|(index, edit)| {
        let results = results.clone();
        StoreTask::Edit(edit, Box::new(move |result| results.lock().unwrap()[index] = Some(result)))
    });
    let tasks = tasks.collect();
    store.commit(tasks, Instant::now()).answer();
    let mut results = results.lock().unwrap();
    results.iter_mut().map(|result| result.take().expect("everybody is answered")).collect()
}

fn commit(store: &mut Store, edit: ZoneEdit) -> Result<EditResult, Refusal> {
    commit_all(store, vec![edit]).remove(0)
}

/// Does one other task.
fn run<T: Send + 'static>(store: &mut Store, task: impl FnOnce(ReplyFn<T>) -> StoreTask) -> Result<T, Refusal> {
    let result = Arc::new(Mutex::new(None));
    let out = result.clone();
    let task = task(Box::new(move |result| *out.lock().unwrap() = Some(result)));
    store.commit(VecDeque::from([task]), Instant::now()).answer();
    result.lock().unwrap().take().expect("answered")
}

fn removal(may: PreconditionFn) -> ZoneRemoval {
    ZoneRemoval { zone: ZoneRef::parse(ZONE), author: author(), may, discards_damaged: false }
}

fn settings(name: &str, networks: &[&str]) -> ZoneSettings {
    ZoneSettings {
        name: name.into(),
        networks: NetworkLinks::of_list(networks.iter().map(|name| name.to_string()).collect()),
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

type Content = std::collections::BTreeSet<journal::JournalRecord>;

fn content(store: &Store) -> Content {
    owned::records(&kept(store).latest).collect()
}

#[test]
fn edits_that_wait_together_see_each_other_and_are_one_generation() {
    let directory = tempfile::tempdir().unwrap();
    let (mut store, _) = open(directory.path(), ONE);
    let generation = store.current().generation;
    let only_if_there = ZoneEdit {
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
    let dry = commit(&mut store, ZoneEdit { is_dry: true, ..edit(ZONE, &["ws A 10 10.20.1.9"]) }).unwrap();
    assert_eq!((dry.difference.changed, dry.change.is_none()), (1, true));
    let same = commit(&mut store, edit(ZONE, &["ws A 10 10.20.1.4"])).unwrap();
    assert_eq!((same.difference.is_empty(), same.after.serial()), (true, done.after.serial()));
    assert_eq!((served(&store, "ws"), store.current().generation), (vec![vec![10, 20, 1, 4]], generation));
}

#[test]
fn an_edit_that_panics_is_refused_and_those_around_it_are_made() {
    let directory = tempfile::tempdir().unwrap();
    let (mut store, _) = open(directory.path(), ONE);
    let broken = ZoneEdit { make: Box::new(|_| panic!("as a bug would")), ..edit(ZONE, &[]) };
    let results = commit_all(&mut store, vec![edit(ZONE, &["ws A 10 10.20.1.4"]), broken, edit(ZONE, &["fhir A 10 10.20.1.5"])]);
    assert_eq!(results[1].as_ref().unwrap_err(), &Refusal::Panicked);
    assert!(results[0].is_ok() && results[2].is_ok(), "{results:?}");
    let serial = kept(&store).latest.serial();
    let beside: AmendFn = Box::new(|_, settings| {
        settings.extra.insert("kind".into(), "Native".into());
        panic!("when half of it is done")
    });
    let refused = run(&mut store, |answer| StoreTask::Amend(ZoneRef::parse(ZONE), author(), beside, answer)).map(drop);
    let configure: ConfigureFn = Box::new(|_, settings| {
        settings.extra.insert("kind".into(), "Native".into());
        panic!("so, too")
    });
    let refused_too = run(&mut store, |answer| StoreTask::Configure(ZoneRef::parse(ZONE), author(), configure, answer)).map(drop);
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
    let changes: Vec<RrSetChange> = (0..80_000).map(|number| change(&format!("n{number} TXT 10 {text}"))).collect();
    let large = ZoneEdit { make: Box::new(move |_| Ok(changes)), ..edit(ZONE, &[]) };
    commit(&mut store, large).unwrap();
    commit(&mut store, edit(ZONE, &["ws A 10 10.20.1.4"])).unwrap();
    drop(store);
    let (mut store, report) = open(directory.path(), ONE);
    assert!(!report.has_errors(), "{report:?}");
    assert_eq!(store.current().hosted()[0].hosted.records(), 80_003);
    store.look_again(Instant::now(), LookMode::Now);
}

/// Counts in `extra.seen` how often this was done, and makes the address of `ws` that number.
fn count(refuse: bool) -> AmendFn {
    Box::new(move |_, settings| {
        let seen = settings.extra.get("seen").and_then(serde_json::Value::as_u64).unwrap_or(0) + 1;
        settings.extra.insert("seen".into(), seen.into());
        settings.networks = NetworkLinks::These(["nowhere".into()].into());
        match refuse {
            true => Err(Refusal::Busy),
            false => Ok(vec![change(&format!("ws A 10 10.0.0.{seen}"))]),
        }
    })
}

#[test]
fn a_network_that_does_not_exist_means_no_zone_of_all_networks() {
    let directory = tempfile::tempdir().unwrap();
    let (mut store, _) = open(directory.path(), ONE);
    let named = |network: &str| edit(&format!("{ZONE}@{network}"), &["ws A 10 10.20.1.4"]);
    let refused = commit(&mut store, named("nowhere")).unwrap_err();
    assert!(matches!(&refused, Refusal::NoZone(zone) if zone == &format!("{ZONE}@nowhere")), "{refused:?}");
    commit(&mut store, named("default")).unwrap();
}

#[test]
fn records_and_what_is_kept_beside_them_change_as_one() {
    let directory = tempfile::tempdir().unwrap();
    let (mut store, _) = open(directory.path(), ONE);
    let task = |answer| StoreTask::Amend(ZoneRef::parse(ZONE), author(), count(false), answer);
    let answers = Arc::new(Mutex::new(Vec::new()));
    let tasks = (0..3).map(|_| {
        let answers = answers.clone();
        task(Box::new(move |done: Result<EditResult, Refusal>| answers.lock().unwrap().push(done.map(|done| done.difference.to_string()))))
    });
    store.commit(tasks.collect(), Instant::now()).answer();
    assert_eq!(answers.lock().unwrap().iter().filter(|answer| answer.is_ok()).count(), 3, "{answers:?}");
    let refused = run(&mut store, |answer| StoreTask::Amend(ZoneRef::parse(ZONE), author(), count(true), answer));
    assert_eq!(refused.unwrap_err(), Refusal::Busy);
    for restart in [false, true] {
        if restart {
            drop(store);
            store = open(directory.path(), ONE).0;
        }
        let hosted = store.current().hosted()[0].hosted.clone();
        let settings = hosted.kept.as_ref().unwrap().settings.clone();
        assert_eq!(
            (settings.extra.get("seen"), settings.networks.clone()),
            (Some(&3.into()), NetworkLinks::All),
            "each sees what the one before made"
        );
        assert_eq!(served(&store, "ws"), [[10, 0, 0, 3]]);
    }
    let beside: AmendFn = Box::new(|_, settings| {
        settings.extra.insert("note".into(), "x".into());
        Ok(Vec::new())
    });
    let before = store.current().hosted()[0].hosted.serial();
    let done = run(&mut store, |answer| StoreTask::Amend(ZoneRef::parse(ZONE), author(), beside, answer)).unwrap();
    let hosted = store.current().hosted()[0].hosted.clone();
    assert_eq!((done.change, hosted.serial()), (None, before), "no record is different");
    assert_eq!(hosted.kept.as_ref().unwrap().settings.extra.get("note"), Some(&"x".into()));
}
