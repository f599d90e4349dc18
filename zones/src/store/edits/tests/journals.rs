//! Zones that an API made, and the journals that they come back from.

use super::*;
use crate::state_directory::faults::{self, Fault};

#[test]
fn zones_are_made_configured_and_removed_and_survive_restarts_and_reloads() {
    let directory = tempfile::tempdir().unwrap();
    let text = "[[network]]\nname = \"hub\"\nclients = [\"10.20.0.0/16\"]\n";
    let (mut store, _) = open(directory.path(), text);
    let create = |store: &mut Store, settings: ZoneSettings, records: &[&str]| {
        let records = records.iter().map(|text| change(text)).collect();
        run(store, |answer| StoreTask::Create(vec![NewZone { settings, records }], author(), answer))
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
    let refusal = run(&mut store, |answer| StoreTask::Create(several.to_vec(), author(), answer)).unwrap_err();
    assert!(refusal.to_string().contains("is hosted already"), "{refusal}");
    assert_eq!((store.current().hosted().len(), journals()), (1, 1));
    let set = run(&mut store, |answer| {
        let change: ConfigureFn = Box::new(|_, settings| {
            settings.extra.insert("kind".into(), "Native".into());
            Ok(())
        });
        StoreTask::Configure(ZoneRef::parse(ZONE), author(), change, answer)
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
        let may: PreconditionFn = Box::new(move |zone: Option<&Zone>| match zone.unwrap().serial() == serial {
            true => Ok(()),
            false => Err(Refusal::Precondition { message: "it is another one by now".into(), rcode: 0 }),
        });
        run(store, |answer| StoreTask::Remove(removal(may), answer))
    };
    // The removal sees the edit that is committed together with it and before it.
    let results = Arc::new(Mutex::new(Vec::new()));
    let (edited, removed) = (results.clone(), results.clone());
    let may: PreconditionFn = Box::new(move |zone: Option<&Zone>| match zone.unwrap().serial() == serial {
        true => Ok(()),
        false => Err(Refusal::Busy),
    });
    let tasks = [
        StoreTask::Edit(edit(ZONE, &["late A 10 10.20.1.9"]), Box::new(move |result| edited.lock().unwrap().push(result.map(drop)))),
        StoreTask::Remove(removal(may), Box::new(move |result| removed.lock().unwrap().push(result))),
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
    let refusal = run(&mut store, |answer| StoreTask::Remove(removal(Box::new(|_| Ok(()))), answer)).unwrap_err();
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
    run(store, |answer| StoreTask::Create(vec![new], author(), answer)).unwrap();
}

#[test]
fn a_zone_stays_if_its_removal_cannot_be_written() {
    let directory = tempfile::tempdir().unwrap();
    let (mut store, _) = open(directory.path(), HUB);
    create(&mut store, &["hub"]);
    let (state, aside) = (directory.path().join("state"), directory.path().join("aside"));
    // No file can be found below a file, which does not mean that the journal is gone.
    fs::rename(&state, &aside).unwrap();
    fs::write(&state, "").unwrap();
    let remove = |store: &mut Store| run(store, |answer| StoreTask::Remove(removal(Box::new(|_| Ok(()))), answer));
    let refused = remove(&mut store).unwrap_err();
    assert!(matches!(refused, Refusal::Journal(_)), "{refused:?}");
    assert_eq!(served(&store, "ws"), [[10, 20, 1, 4]], "its names do not go public");
    fs::remove_file(&state).unwrap();
    fs::rename(&aside, &state).unwrap();
    remove(&mut store).unwrap();
    assert!(store.current().hosted().is_empty());
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
    let trouble = store.context.state.trouble(&zones).unwrap();
    assert_eq!((trouble.problem.to_string(), trouble.why), ("cannot be listed".into(), "Not a directory (os error 20)".into()));
    fs::remove_file(&zones).unwrap();
    store.reconfigure(&config(directory.path(), ONE));
    assert!(store.current().hosted()[0].hosted.zone().is_some());
    assert!(!store.context.state.is_troubled(&zones));
}

#[test]
fn journals_that_could_not_be_listed_are_opened_before_an_edit_and_on_the_poll() {
    let directory = tempfile::tempdir().unwrap();
    let made = settings("made.test", &["hub"]);
    let text = format!("{HUB}{ONE}");
    let (mut store, _) = open(directory.path(), &text);
    commit(&mut store, edit(ZONE, &["ws A 10 10.20.1.4"])).unwrap();
    let new = || vec![NewZone { settings: made.clone(), records: Vec::new() }];
    run(&mut store, |answer| StoreTask::Create(new(), author(), answer)).unwrap();
    drop(store);
    let (zones, aside) = (directory.path().join("state/zones"), directory.path().join("aside"));
    let names = |store: &Store| {
        let serving = store.current().hosted().iter().filter(|link| link.hosted.zone().is_some());
        serving.map(|link| link.hosted.name.to_string()).collect::<Vec<_>>()
    };
    type Way = dyn Fn(&mut Store);
    let on_edit: &Way = &|store| drop(commit(store, edit(ZONE, &["fhir A 10 10.20.1.5"])).unwrap());
    let on_poll: &Way = &|store| {
        let (snapshot, report) = store.tend_journals().expect("zones came");
        assert_eq!((snapshot.generation, report.is_new), (store.current().generation, true));
        assert!(store.tend_journals().is_none(), "once");
    };
    for way in [on_edit, on_poll] {
        fs::rename(&zones, &aside).unwrap();
        fs::write(&zones, "no directory").unwrap();
        let (mut store, _) = open(directory.path(), &text);
        assert_eq!(names(&store), Vec::<String>::new());
        let refused = run(&mut store, |answer| StoreTask::Create(new(), author(), answer)).unwrap_err();
        assert!(matches!(&refused, Refusal::Unavailable { reason, .. } if reason.contains("cannot be listed")), "{refused}");
        fs::remove_file(&zones).unwrap();
        fs::rename(&aside, &zones).unwrap();
        way(&mut store);
        assert_eq!(names(&store), [ZONE, "made.test"]);
        assert_eq!(served(&store, "ws"), [[10, 20, 1, 4]]);
        assert!(store.context.state.troubles().is_empty());
    }
}

const SPOKE: &str = "[[network]]\nname = \"spoke\"\nclients = [\"10.30.0.0/16\"]\n";

/// Whether the zone of each of these networks has the record of the API.
fn has_made(store: &Store) -> [bool; 2] {
    let snapshot = store.current();
    let name = NameBuf::parse(&format!("ws.{ZONE}")).unwrap();
    ["hub", "spoke"].map(|network| {
        let hosted = snapshot.network(snapshot.network_named(network).unwrap()).zone_of(&name, 0).expect("hosted in each");
        hosted.zone().is_some_and(|zone| matches!(zone.lookup(&name, 1), Lookup::Found { .. }))
    })
}

#[test]
fn an_api_zone_is_left_out_of_the_networks_in_conflict_alone_and_shows_it() {
    for networks in [&["hub", "spoke"][..], &[]] {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("zones")).unwrap();
        let both = format!("{HUB}{SPOKE}");
        let displaced = format!("{both}{}", ONE.replace("api = true", "directory = 'zones'\nnetwork = ['hub']"));
        let (mut store, _) = open(directory.path(), &both);
        create(&mut store, networks);
        assert_eq!(has_made(&store), [true, true]);
        let conflict = |store: &Store| store.zones().find_map(|zone| zone.state.conflict.clone());
        store.reconfigure(&config(directory.path(), &displaced));
        for _ in 0..2 {
            assert_eq!(has_made(&store), [false, true], "{networks:?}");
            let why = conflict(&store).unwrap();
            assert_eq!(why, "not served in network hub, where the configuration, line 7 has a zone of the same name");
            let source = store.current().hosted().iter().find_map(|link| link.hosted.source.state().conflict);
            assert_eq!(source, Some(why), "others see it");
            drop(store);
            store = open(directory.path(), &displaced).0; // the same after a restart
        }
        commit(&mut store, edit(&format!("{ZONE}@spoke"), &["fhir A 10 10.20.1.5"])).unwrap();
        let change: ConfigureFn = Box::new(|_, settings| {
            settings.on_missing = model::OnMissing::Servfail;
            Ok(())
        });
        run(&mut store, |answer| StoreTask::Configure(ZoneRef::parse(&format!("{ZONE}@spoke")), author(), change, answer)).unwrap();
        assert_eq!((has_made(&store), conflict(&store).is_some()), ([false, true], true), "other settings change");
        store.reconfigure(&config(directory.path(), &both));
        assert_eq!((has_made(&store), conflict(&store)), ([true, true], None));
    }
}

#[test]
fn an_api_zone_without_a_network_left_is_shown_until_it_has_one() {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir(directory.path().join("zones")).unwrap();
    let (mut store, _) = open(directory.path(), HUB);
    create(&mut store, &["hub"]);
    let displaced = format!("{HUB}{}", ONE.replace("api = true", "directory = 'zones'"));
    for _ in 0..2 {
        store.reconfigure(&config(directory.path(), &displaced));
        let troubles = store.context.state.troubles();
        assert!(
            matches!(&troubles[..], [one] if one.problem.to_string() == "its zone is not served" && one.why.contains("hosted already"))
        );
    }
    store.reconfigure(&config(directory.path(), HUB));
    assert!(store.context.state.troubles().is_empty());
    assert_eq!(served(&store, "ws"), [[10, 20, 1, 4]]);
}

#[test]
fn a_zone_with_a_damaged_journal_is_removed_on_confirmation_and_its_file_is_kept() {
    let directory = tempfile::tempdir().unwrap();
    let (path, _) = damage_made(directory.path());
    let damaged = fs::read(&path).unwrap();
    let (mut store, _) = open(directory.path(), HUB);
    let remove = |store: &mut Store, discards_damaged| {
        let removal = ZoneRemoval { discards_damaged, ..removal(Box::new(|zone| zone.is_none().then_some(()).ok_or(Refusal::Busy))) };
        run(store, |answer| StoreTask::Remove(removal, answer))
    };
    let refused = remove(&mut store, false).unwrap_err();
    assert!(
        matches!(&refused, Refusal::Loss(why) if why.contains("damaged at octet") && why.contains("`discard_damaged=true`")),
        "{refused}"
    );
    assert_eq!((store.current().hosted().len(), fs::read(&path).unwrap()), (1, damaged.clone()));
    faults::during(Fault::Open, || remove(&mut store, true)).unwrap_err();
    assert_eq!(store.current().hosted().len(), 1, "the file is where it was");
    remove(&mut store, true).unwrap();
    assert!(store.current().hosted().is_empty() && !path.exists());
    assert_eq!(fs::read(path.with_extension("journal.removed")).unwrap(), damaged);
    drop(store);
    assert!(open(directory.path(), HUB).1.zones.is_empty(), "no start finds it");
    // A second one does not take its place.
    damage_made(directory.path());
    let (mut store, _) = open(directory.path(), HUB);
    remove(&mut store, true).unwrap();
    assert!(path.with_extension("journal.removed").exists() && path.with_extension("journal.removed~2").exists());
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
fn a_zone_whose_directory_could_not_be_synced_takes_changes_once_it_can_be_and_forgets_the_rejected_one() {
    let directory = tempfile::tempdir().unwrap();
    let (mut store, _) = open(directory.path(), ONE);
    let path = directory.path().join(format!("state/zones/{ZONE}.journal"));
    for fault in [Fault::Open, Fault::Sync] {
        commit(&mut store, edit(ZONE, &["ws A 10 10.20.1.4"])).unwrap();
        fs::remove_file(&path).unwrap(); // so that the next commit writes the journal anew
        let refused = faults::during(fault, || commit(&mut store, edit(ZONE, &["ws A 10 10.20.1.9"]))).unwrap_err();
        assert!(matches!(&refused, Refusal::Journal(why) if why.contains(&format!("injected: {fault:?}"))), "{refused}");
        store.tend_journals();
        assert!(store.context.state.troubles().is_empty(), "{fault:?}: {:?}", store.context.state.troubles());
        commit(&mut store, edit(ZONE, &["fhir A 10 10.20.1.5"])).unwrap();
    }
    drop(store);
    let (store, _) = open(directory.path(), ONE);
    assert_eq!((served(&store, "ws"), served(&store, "fhir")), (vec![vec![10, 20, 1, 4]], vec![vec![10, 20, 1, 5]]));
}

const LAB: &str =
    "[[network]]\nname = \"lab\"\nclients = [\"10.30.0.0/16\"]\n[[network]]\nname = \"spoke\"\nclients = [\"10.40.0.0/16\"]\n";

/// A zone of the configuration that an API writes, for these networks.
fn zone_for(networks: &str) -> String {
    format!("{ONE}network = [{networks}]\n")
}

/// Last octet of the address of `ws` in a network. 0 if the zone lacks it there; `None` if the zone has no data or is not hosted.
fn address_in(store: &Store, network: &str) -> Option<u8> {
    let snapshot = store.current();
    let hosted = snapshot.network(snapshot.network_named(network)?).zone_of(&NameBuf::parse(ZONE).unwrap(), 0)?;
    let name = NameBuf::parse(&format!("ws.{ZONE}")).unwrap();
    match hosted.zone()?.lookup(&name, 1) {
        Lookup::Found { set, .. } => set.rdata().next().map(|data| data[3]),
        _ => Some(0),
    }
}

/// Takes another configuration: by a reload, or by a restart.
fn change_to(store: Store, directory: &Path, text: &str, by_restart: bool) -> Store {
    if by_restart {
        drop(store);
        return open(directory, text).0;
    }
    let mut store = store;
    store.reconfigure(&config(directory, text));
    store
}

#[test]
fn a_new_namesake_above_a_zone_takes_neither_its_journal_nor_its_records() {
    let (hub, lab, spoke, both) = ("\"hub\"", "\"lab\"", "\"spoke\"", "\"hub\", \"spoke\"");
    for by_restart in [false, true] {
        let directory = tempfile::tempdir().unwrap();
        let with = |zones: &[&str]| format!("{HUB}{LAB}{}", zones.iter().map(|networks| zone_for(networks)).collect::<String>());
        let (mut store, _) = open(directory.path(), &with(&[hub]));
        commit(&mut store, edit(&format!("{ZONE}@hub"), &["ws A 10 10.20.1.4"])).unwrap();
        let mut store = change_to(store, directory.path(), &with(&[lab, hub]), by_restart);
        assert_eq!((address_in(&store, "hub"), address_in(&store, "lab")), (Some(4), Some(0)), "by restart: {by_restart}");
        commit(&mut store, edit(&format!("{ZONE}@lab"), &["ws A 10 10.30.1.9"])).unwrap();
        // The networks of one zone change while a namesake comes: the shared network tells which zone it is.
        let store = change_to(store, directory.path(), &with(&[spoke, lab]), by_restart);
        assert_eq!((address_in(&store, "spoke"), address_in(&store, "lab")), (Some(4), Some(9)), "renamed, by restart: {by_restart}");
        let store = change_to(store, directory.path(), &with(&[hub, both, lab]).replacen(&zone_for(hub), "", 1), by_restart);
        assert_eq!((address_in(&store, "hub"), address_in(&store, "spoke")), (Some(4), Some(4)), "wider, by restart: {by_restart}");
        let store = change_to(store, directory.path(), &with(&[lab]), by_restart);
        let store = change_to(store, directory.path(), &with(&[lab, hub]), by_restart);
        assert_eq!((address_in(&store, "hub"), address_in(&store, "lab")), (Some(4), Some(9)), "back again, by restart: {by_restart}");
    }
}

#[test]
fn a_zone_that_got_other_networks_is_found_by_them_at_the_next_start() {
    let directory = tempfile::tempdir().unwrap();
    let with = |zones: &[&str]| format!("{HUB}{LAB}{}", zones.iter().map(|networks| zone_for(networks)).collect::<String>());
    let (mut store, _) = open(directory.path(), &with(&["\"hub\""]));
    commit(&mut store, edit(ZONE, &["ws A 10 10.20.1.4"])).unwrap();
    let store = change_to(store, directory.path(), &with(&["\"lab\""]), false);
    assert_eq!(address_in(&store, "lab"), Some(4));
    let store = change_to(store, directory.path(), &with(&["\"hub\"", "\"lab\""]), true);
    assert_eq!((address_in(&store, "hub"), address_in(&store, "lab")), (Some(0), Some(4)));
}

#[test]
fn a_journal_that_two_namesakes_could_continue_goes_to_neither_until_one_is_alone() {
    for by_restart in [false, true] {
        let directory = tempfile::tempdir().unwrap();
        let networks = format!("{HUB}{LAB}");
        let (mut store, _) = open(directory.path(), &format!("{networks}{ONE}"));
        commit(&mut store, edit(ZONE, &["ws A 10 10.20.1.4"])).unwrap();
        let two = format!("{networks}{}{}", zone_for("\"lab\""), zone_for("\"hub\""));
        let store = change_to(store, directory.path(), &two, by_restart);
        assert_eq!((address_in(&store, "lab"), address_in(&store, "hub")), (None, None), "SERVFAIL, never the public answer");
        let why = store.current().hosted()[0].hosted.source.state().error.unwrap().1;
        assert!(why.contains(&format!("{ZONE}.journal (for all); help: first reload with only the zone that continues")), "{why}");
        let store = change_to(store, directory.path(), &format!("{networks}{}", zone_for("\"hub\"")), by_restart);
        assert_eq!(address_in(&store, "hub"), Some(4));
        let store = change_to(store, directory.path(), &two, by_restart);
        assert_eq!((address_in(&store, "lab"), address_in(&store, "hub")), (Some(0), Some(4)));
    }
}

#[test]
fn a_zone_that_an_api_made_keeps_its_journal_when_the_configuration_gets_a_namesake() {
    for by_restart in [false, true] {
        let directory = tempfile::tempdir().unwrap();
        let (mut store, _) = open(directory.path(), &format!("{HUB}{LAB}"));
        create(&mut store, &["hub"]);
        let store = change_to(store, directory.path(), &format!("{HUB}{LAB}{}", zone_for("\"lab\"")), by_restart);
        assert_eq!((address_in(&store, "hub"), address_in(&store, "lab")), (Some(4), Some(0)), "by restart: {by_restart}");
    }
}

#[test]
fn a_journal_with_records_below_a_dname_at_a_wildcard_loads_without_them_over_restarts() {
    let directory = tempfile::tempdir().unwrap();
    let (mut store, _) = open(directory.path(), ONE);
    let path = directory.path().join(format!("state/zones/{ZONE}.journal"));
    commit(&mut store, edit(ZONE, &["ws A 10 10.20.1.4", "*.w TXT 10 plain"])).unwrap();
    let serial = kept(&store).latest.serial();
    let latest = kept(&store);
    drop(store);
    // As an earlier version wrote it, to which this DNAME was plain data.
    let mut image = owned::image(&latest.settings, &latest.latest);
    let record = |owner: &str, rtype, rdata: &[u8]| journal::JournalRecord {
        owner: crate::name::WireName::parse(&format!("{owner}.{ZONE}")).unwrap(),
        rtype,
        ttl: 10,
        rdata: rdata.into(),
    };
    image.records.extend([
        record("*.w", 39, b"\x06target\x04test\x00"),
        record("a.*.w", 1, &[10, 20, 1, 7]),
        record("b.a.*.w", 1, &[10, 20, 1, 8]),
        record("sub.*.x", 2, b"\x02ns\x04test\x00"),
        record("glue.sub.*.x", 1, &[10, 20, 1, 9]),
    ]);
    drop(journal::Journal::create(&path, &image).unwrap());
    for _ in 0..2 {
        let (store, report) = open(directory.path(), ONE);
        assert!(!report.has_errors(), "{report:?}");
        assert_eq!((served(&store, "ws"), served(&store, "a.*.w")), (vec![vec![10, 20, 1, 4]], vec![]));
        let kept = kept(&store);
        assert_eq!(kept.latest.serial(), serial + 1, "secondaries learn of it, once");
        assert_eq!(kept.latest.counts().records, latest.latest.counts().records + 3, "the DNAME, the cut and its glue");
        assert_eq!(kept.history.newest(1)[0].removed.len(), 3, "two records and the old SOA");
    }
    // An edit refuses what loading would drop, and what it accepts loads again.
    let (mut store, _) = open(directory.path(), ONE);
    assert!(matches!(commit(&mut store, edit(ZONE, &["a.*.w A 10 10.20.1.7"])), Err(Refusal::Invalid(_))));
    commit(&mut store, edit(ZONE, &["*.w DNAME 10", "a.*.w A 10 10.20.1.7"])).unwrap();
    drop(store);
    assert_eq!(served(&open(directory.path(), ONE).0, "a.*.w"), [[10, 20, 1, 7]]);
}
