//! The fallback record: which answers are noted, and what is said of them.

mod world;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hickory_proto::rr::RecordType::{self, A, AAAA, ANY, CNAME, HTTPS, SOA};
use postern_config::model::{FallbackConfig, OnMissing, RepeatPolicy, SourceFormat};
use postern_dns::fallback::{FallbackRecorder, FallbackWriter, MuteEntry};
use postern_dns::reason::{FallbackAction, FallbackReason};
use postern_zones::name::WireName;
use postern_zones::origin::ZoneOrigin;
use postern_zones::snapshot::{Hosted, ZoneState};
use serde_json::{Value, json};
use tokio::sync::broadcast::error::TryRecvError;
use world::{HUB, SPOKE, World};

const OTHER: &str = "ws-other.fhir.azurehealthcareapis.com";
const OTHER_PRIVATE: &str = "ws-other.fhir.privatelink.azurehealthcareapis.com";
const PL: &str = "privatelink.azurehealthcareapis.com";

fn settings(file: &Path) -> FallbackConfig {
    FallbackConfig { file: Some(file.into()), ..world::fallback(64) }
}

/// The events that a few questions cause.
fn events(world: &mut World, questions: impl FnOnce(&mut World)) -> Vec<Value> {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("fallback.json");
    world.recorder = FallbackRecorder::new(&settings(&file));
    let writer = FallbackWriter::start(world.recorder.clone(), &settings(&file), || {}).unwrap();
    questions(world);
    writer.stop();
    let text = std::fs::read_to_string(&file).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn hub(on_missing: OnMissing) -> World {
    let mut world = World::new();
    world.private_zone(on_missing);
    world
}

/// `reason action private` of the one event, or none.
fn said(world: &mut World, client: &str, name: &str, rtype: RecordType) -> String {
    let events = events(world, |world| drop(world.ask(client, name, rtype)));
    let said = events.iter().map(|event| {
        let word = |key: &str| event[key].as_str().unwrap_or_default().to_owned();
        format!("{} {} {}", word("reason"), word("action"), world::short(&(word("private") + ".")))
    });
    said.collect::<Vec<_>>().join(" | ")
}

#[test]
fn an_answer_that_went_public_is_told_whole() {
    let mut world = World::new();
    let file: Arc<Path> = Arc::from(Path::new("zones/privatelink.azurehealthcareapis.com.zone"));
    world.private_zone(OnMissing::Public);
    let (hosted, networks) = world.zones.pop().unwrap();
    let hosted =
        Hosted::new(WireName::parse(PL).unwrap(), OnMissing::Public, hosted.state.clone(), ZoneOrigin::file_of(file, SourceFormat::Zone));
    world.zones.push((Arc::new(hosted), networks));
    let mut events = events(&mut world, |world| drop(world.ask(HUB, OTHER, A)));
    let mut event = events.remove(0);
    assert!(events.is_empty());
    let time = event.as_object_mut().unwrap().remove("time").unwrap();
    let time = time::OffsetDateTime::parse(time.as_str().unwrap(), &time::format_description::well_known::Rfc3339).unwrap();
    assert!((time::OffsetDateTime::now_utc() - time).abs() < time::Duration::minutes(1));
    assert_eq!(
        event,
        json!({
            "client": HUB, "network": "hub", "name": OTHER, "type": "A", "private": OTHER_PRIVATE, "zone": PL,
            "reason": "no-record", "action": "public",
            "chain": [OTHER, OTHER_PRIVATE, "gw.trafficmanager.test"],
            "addresses": ["203.0.113.9"], "public": true, "upstream": "192.0.2.53", "rcode": "NOERROR", "ttl": 20,
            "mend": {
                "what": format!("add the record to zone {PL}"),
                "record": "ws-other.fhir 10 IN A <private address>",
                "file": "zones/privatelink.azurehealthcareapis.com.zone",
            },
            "folded": 0,
        })
    );
}

#[test]
fn the_type_asked_is_named_whatever_it_is() {
    for (rtype, want) in
        [(29, "LOC"), (49, "DHCID"), (45, "IPSECKEY"), (108, "EUI48"), (260, "AMTRELAY"), (65305, "TYPE65305"), (65400, "TYPE65400")]
    {
        let mut world = hub(OnMissing::Nxdomain);
        let events = events(&mut world, |world| drop(world.ask(HUB, OTHER_PRIVATE, RecordType::from(rtype))));
        assert_eq!(events.iter().map(|event| event["type"].as_str()).collect::<Vec<_>>(), [Some(want)]);
    }
}

#[test]
fn each_reason_and_action_has_its_case() {
    let private = "ws-other.fhir.PL.";
    let other_private = format!("no-record public {private}");
    for (on_missing, name, rtype, want) in [
        (OnMissing::Public, OTHER, A, other_private.as_str()),
        (OnMissing::Public, OTHER, AAAA, &other_private),
        (OnMissing::Public, OTHER, HTTPS, &other_private),
        (OnMissing::Public, OTHER_PRIVATE, A, &other_private),
        (OnMissing::Public, OTHER_PRIVATE, CNAME, &other_private),
        (OnMissing::Nxdomain, OTHER, A, "no-record nxdomain ws-other.fhir.PL."),
        (OnMissing::Servfail, OTHER, A, "no-record servfail ws-other.fhir.PL."),
        // A private answer, a name that is not private link, and questions that never fall back.
        (OnMissing::Public, "ws-fhir.fhir.azurehealthcareapis.com", A, ""),
        (OnMissing::Public, "ws-fhir.fhir.azurehealthcareapis.com", AAAA, ""),
        (OnMissing::Public, "www.contoso.test", A, ""),
        (OnMissing::Public, "plain.azurehealthcareapis.com", A, ""),
        (OnMissing::Public, OTHER_PRIVATE, SOA, ""),
        (OnMissing::Public, OTHER_PRIVATE, ANY, ""),
        (OnMissing::Public, OTHER, CNAME, ""),
    ] {
        assert_eq!(said(&mut hub(on_missing), HUB, name, rtype), want, "{on_missing:?} {name} {rtype}");
    }
}

#[test]
fn a_zone_that_refuses_behind_a_name_that_went_public_is_recorded() {
    let lead = |on_missing| {
        let mut world = hub(OnMissing::Public);
        world.publish(&OTHER_PRIVATE.to_lowercase(), "CNAME 60 app.privatelink.second.test");
        world.host("privatelink.second.test", &["hub"], on_missing, &[("other", "A", "10.20.1.9")]);
        world
    };
    let refused = |action: &str| format!("no-record {action} app.privatelink.second.test.");
    assert_eq!(said(&mut lead(OnMissing::Nxdomain), HUB, OTHER, A), refused("nxdomain"));
    assert_eq!(said(&mut lead(OnMissing::Servfail), HUB, OTHER, A), refused("servfail"));
    let mut world = lead(OnMissing::Public);
    world.host_as("privatelink.second.test", &["hub"], OnMissing::Public, ZoneState::Unavailable("no data".into()));
    assert_eq!(said(&mut world, HUB, OTHER, A), "zone-unavailable servfail app.privatelink.second.test.");
}

#[test]
fn what_is_no_fallback_is_not_recorded_as_one() {
    let mut world = hub(OnMissing::Public);
    world.host("corp.test", &["hub"], OnMissing::Public, &[("here", "A", "10.20.9.1")]);
    world.host("strict.test", &["hub"], OnMissing::Nxdomain, &[("here", "A", "10.20.9.1")]);
    world.publish("www.google.test.corp.test", "A 300 203.0.113.7");
    world.publish("elsewhere.privatelink.blob.core.windows.net", "A 300 10.1.2.3");
    world.publish("moved.fhir.privatelink.azurehealthcareapis.com", "CNAME 60 ws-fhir.fhir.privatelink.azurehealthcareapis.com");
    for (name, rtype, what) in [
        ("ws-fhir.fhir.azurehealthcareapis.com", CNAME, "the alias into our zone is what was asked"),
        ("moved.fhir.privatelink.azurehealthcareapis.com", A, "an alias that leads home"),
        ("moved.fhir.privatelink.azurehealthcareapis.com", CNAME, "the same as an answer"),
        ("nobody.fhir.privatelink.azurehealthcareapis.com", A, "NXDOMAIN from everybody"),
        ("nobody.privatelink.blob.core.windows.net", A, "NXDOMAIN at a name of a zone that nobody hosts"),
        ("elsewhere.privatelink.blob.core.windows.net", A, "another server's private address"),
        ("elsewhere.privatelink.blob.core.windows.net", AAAA, "and no other type"),
        ("www.google.test.corp.test", A, "a name with a search suffix, in a zone that is no private-link zone"),
        ("www.google.test.strict.test", A, "the same, refused"),
        ("0123456789abcdef.postern-loop-probe.privatelink.azurehealthcareapis.com", RecordType::TXT, "a probe of another Postern"),
    ] {
        world.publish("0123456789abcdef.postern-loop-probe.privatelink.azurehealthcareapis.com", "TXT 10 anything");
        assert_eq!(said(&mut world, HUB, name, rtype), "", "{what}: {name} {rtype}");
        let message = world.message(HUB, name, rtype, |_| {});
        let is_told = message.edns.iter().any(|edns| !edns.options().as_ref().is_empty());
        assert!(!is_told || name.contains("probe"), "{what}: an extended error about it");
    }
    world.up = false;
    world.cache.clear();
    assert_eq!(said(&mut world, HUB, OTHER_PRIVATE, A), "", "a failure of the upstreams");
}

#[test]
fn a_zone_says_whether_its_missing_names_are_recorded() {
    for (zone, on_missing, fallback, want) in [
        (PL, OnMissing::Public, false, ""),
        (PL, OnMissing::Nxdomain, false, ""),
        ("azurehealthcareapis.com", OnMissing::Public, true, "no-record public ws-other.fhir.AHDS."),
        ("azurehealthcareapis.com", OnMissing::Public, false, "no-zone public ws-other.fhir.PL."),
        ("azurehealthcareapis.com", OnMissing::Nxdomain, true, "no-record nxdomain ws-other.fhir.AHDS."),
        ("azurehealthcareapis.com", OnMissing::Nxdomain, false, ""),
    ] {
        let mut world = World::new();
        world.host(zone, &["hub"], on_missing, &[]);
        let (hosted, networks) = world.zones.pop().unwrap();
        let hosted = Hosted { fallback, ..Arc::try_unwrap(hosted).unwrap() };
        world.zones.push((Arc::new(hosted), networks));
        assert_eq!(said(&mut world, HUB, OTHER, A), want, "{zone} {on_missing:?} {fallback}");
    }
}

#[test]
fn a_type_without_a_mnemonic_is_written_as_a_number() {
    let mut world = hub(OnMissing::Nxdomain);
    for (rtype, want) in [(RecordType::from(65400), "TYPE65400"), (RecordType::from(29), "LOC"), (A, "A")] {
        let events = events(&mut world, |world| drop(world.ask(HUB, OTHER_PRIVATE, rtype)));
        assert_eq!(events[0]["type"], want);
    }
}

#[test]
fn a_network_without_the_zone_or_without_the_record_is_told_which_network_has_it() {
    let mut world = hub(OnMissing::Public);
    // The spoke hosts nothing; the hub has ws-fhir and lacks ws-other.
    assert_eq!(said(&mut world, SPOKE, "ws-fhir.fhir.azurehealthcareapis.com", A), "other-network public ws-fhir.fhir.PL.");
    assert_eq!(said(&mut world, SPOKE, OTHER, A), "no-zone public ws-other.fhir.PL.");
    world.host(PL, &["spoke"], OnMissing::Public, &[("ws-other.fhir", "A", "10.30.1.5")]);
    assert_eq!(said(&mut world, HUB, OTHER, A), "other-network public ws-other.fhir.PL.");
    assert_eq!(said(&mut world, SPOKE, "ws-fhir.fhir.azurehealthcareapis.com", A), "other-network public ws-fhir.fhir.PL.");
    let other = events(&mut world, |world| drop(world.ask(HUB, OTHER, A)));
    assert!(other[0]["mend"]["what"].as_str().unwrap().contains("network spoke has a record"), "{}", other[0]);
    let nowhere = events(&mut hub(OnMissing::Public), |world| drop(world.ask(SPOKE, OTHER, A)));
    assert_eq!(nowhere[0]["mend"]["what"], format!("host zone {PL} for network spoke, with the record"));
    assert_eq!(nowhere[0]["mend"]["record"], "ws-other.fhir 10 IN A <private address>");
}

#[test]
fn a_zone_without_good_data_says_what_is_wrong_with_it() {
    let mut world = World::new();
    world.host_as(PL, &["hub"], OnMissing::Public, ZoneState::Unavailable("pl.zone:3:7: error: bad address".into()));
    let events = events(&mut world, |world| drop(world.ask(HUB, OTHER, A)));
    assert_eq!((&events[0]["reason"], &events[0]["action"]), (&json!("zone-unavailable"), &json!("servfail")));
    assert!(events[0]["mend"]["what"].as_str().unwrap().ends_with(": pl.zone:3:7: error: bad address"));
    assert_eq!(events[0]["rcode"], "SERVFAIL");
}

#[test]
fn a_record_of_ours_that_the_public_chain_never_reaches_is_noted_cold_and_cached_and_after_a_change() {
    let mut world = World::new();
    world.publish("ws-fhir.fhir.azurehealthcareapis.com", "CNAME 30 gw.trafficmanager.test");
    let ask = |world: &mut World| said(world, HUB, "ws-fhir.fhir.azurehealthcareapis.com", A);
    assert_eq!(ask(&mut world), "", "nothing of ours there");
    world.private_zone(OnMissing::Public);
    // Cached by now; the record is seen although the look before found none.
    assert_eq!(ask(&mut world), "no-private-cname public ws-fhir.fhir.PL.");
    world.cache.clear();
    assert_eq!(ask(&mut world), "no-private-cname public ws-fhir.fhir.PL.");
    let events = events(&mut world, |world| drop(world.ask(HUB, "ws-fhir.fhir.azurehealthcareapis.com", A)));
    assert_eq!((&events[0]["zone"], &events[0]["mend"]["record"]), (&json!(PL), &Value::Null));
    assert_eq!(said(&mut world, SPOKE, "ws-fhir.fhir.azurehealthcareapis.com", A), "", "no record in that network");
}

#[test]
fn an_answer_that_bypasses_a_record_of_ours_has_an_extended_error_and_a_capped_ttl() {
    let mut world = World::new();
    world.publish("app.contoso.test", "CNAME 3600 ws-fhir.fhir.azurehealthcareapis.com");
    world.publish("ws-fhir.fhir.azurehealthcareapis.com", "CNAME 3600 gw.azure.test");
    world.publish("gw.azure.test", "A 3600 203.0.113.9");
    let seen = |world: &mut World, client: &str| {
        let message = world.message(client, "app.contoso.test", A, |_| {});
        let ttls: Vec<u32> = message.answers.iter().map(|record| record.ttl).collect();
        let options = message.edns.map(|edns| edns.options().as_ref().iter().map(|(code, _)| u16::from(*code)).collect::<Vec<_>>());
        (ttls, options.unwrap_or_default())
    };
    assert_eq!(seen(&mut world, HUB), (vec![3600, 3600, 3600], vec![]), "no record of ours");
    world.private_zone(OnMissing::Public);
    world.recorder = FallbackRecorder::new(&world::fallback(64)); // snapshots of this world have no generations of their own
    let most = 60; // `max-public-ttl`
    let bypassed = (vec![3600, most, most], vec![15]);
    assert_eq!(seen(&mut world, HUB), bypassed, "cached");
    world.cache.clear();
    assert_eq!(seen(&mut world, HUB), bypassed);
    assert_eq!(seen(&mut world, SPOKE), (vec![3600, 3600, 3600], vec![]), "no record in that network");
    let events = events(&mut world, |world| drop(world.ask(HUB, "app.contoso.test", A)));
    assert_eq!((&events[0]["reason"], &events[0]["ttl"]), (&json!("no-private-cname"), &json!(most)));
}

#[test]
fn every_cached_answer_is_noted_too_and_a_stale_one_says_so() {
    let mut world = hub(OnMissing::Public);
    let events = events(&mut world, |world| {
        for _ in 0..3 {
            world.ask(HUB, OTHER, A);
        }
        world.now = world.now.plus(Duration::from_secs(100));
        world.up = false;
        world.ask(HUB, OTHER, A);
    });
    let actions: Vec<_> = events.iter().map(|event| (event["action"].as_str().unwrap(), event["ttl"].as_u64().unwrap())).collect();
    assert_eq!(actions, [("public", 20), ("public", 20), ("public", 20), ("stale", 30)]);
    let ledger = world.recorder.ledger();
    assert_eq!(ledger.len(), 1);
    assert_eq!((&*ledger[0].network, &*ledger[0].name, &*ledger[0].private, ledger[0].count), ("hub", OTHER, OTHER_PRIVATE, 4));
    let counts: Vec<_> = world.recorder.counts().iter().map(|counted| (counted.reason, counted.action, counted.count)).collect();
    assert_eq!(counts, [(FallbackReason::NoRecord, FallbackAction::Public, 3), (FallbackReason::NoRecord, FallbackAction::Stale, 1)]);
}

#[test]
fn those_who_watch_see_what_is_not_muted_and_whoever_is_too_slow_is_told_how_much_it_missed() {
    let mut world = hub(OnMissing::Public);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("fallback.json");
    let settings = settings(&file);
    world.recorder = FallbackRecorder::new(&settings);
    let (mut watcher, muted) = (world.recorder.watch(), MuteEntry { name: OTHER.into(), network: Some("hub".into()) });
    assert!(world.recorder.mute(muted.clone()).unwrap());
    let note = |world: &mut World, times: usize| {
        let writer = FallbackWriter::start(world.recorder.clone(), &settings, || {}).unwrap();
        (0..times).for_each(|_| drop(world.ask(HUB, OTHER, A)));
        writer.stop();
    };
    note(&mut world, 3);
    assert!(watcher.try_recv().is_err(), "muted");
    assert_eq!((world.recorder.ledger()[0].count, std::fs::read_to_string(&file).unwrap().as_str()), (3, ""));
    assert!(world.recorder.unmute(&muted).unwrap());
    note(&mut world, 1);
    assert_eq!(watcher.try_recv().unwrap().name, OTHER);
    let mut slow = world.recorder.watch();
    for _ in 0..1_100 {
        note(&mut world, 1);
    }
    assert!(matches!(slow.try_recv(), Err(TryRecvError::Lagged(lost)) if lost >= 1_100 - 1_024), "it keeps the newest");
    assert_eq!(slow.try_recv().unwrap().name, OTHER);
}

#[test]
fn a_file_of_muted_names_that_cannot_be_read_is_never_replaced() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("fallback-muted.json");
    let state = postern_zones::state_directory::StateDirectory::claim(directory.path(), None).unwrap();
    let good = r#"[{"name": "a.test", "network": null}]"#;
    std::fs::write(&file, &good[..20]).unwrap();
    let recorder = FallbackRecorder::new(&world::fallback(64));
    recorder.keep_muted_in(Arc::new(state));
    let muted = |name: &str| MuteEntry { name: name.into(), network: None };
    for error in [recorder.mute(muted("b.test")).unwrap_err(), recorder.unmute(&muted("a.test")).unwrap_err()] {
        assert!(error.to_string().contains("fallback-muted.json"), "{error}");
    }
    assert_eq!(std::fs::read_to_string(&file).unwrap(), good[..20]);
    // Once it is mended, the names in it are muted again.
    std::fs::write(&file, good).unwrap();
    assert!(recorder.mute(muted("b.test")).unwrap());
    assert_eq!(recorder.muted(), [muted("a.test"), muted("b.test")]);
}

#[test]
fn what_the_queue_has_no_room_for_is_counted() {
    let mut world = hub(OnMissing::Public);
    world.recorder = FallbackRecorder::new(&world::fallback(4)); // nobody writes yet
    for _ in 0..10 {
        world.ask(HUB, OTHER, A);
    }
    assert_eq!((world.recorder.dropped(), world.recorder.waiting()), (6, 4));
    let writer = FallbackWriter::start(world.recorder.clone(), &world::fallback(4), || {}).unwrap();
    writer.stop();
    assert_eq!((world.recorder.ledger()[0].count, world.recorder.waiting()), (4, 0));
}

#[test]
fn a_fallback_that_goes_on_is_counted_meanwhile_and_its_lines_come_when_they_are_due() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("fallback.json");
    let settings = FallbackConfig { repeat: RepeatPolicy::Every(Duration::from_secs(4)), ..settings(&file) };
    let mut world = hub(OnMissing::Public);
    world.recorder = FallbackRecorder::new(&settings);
    let writer = FallbackWriter::start(world.recorder.clone(), &settings, || {}).unwrap();
    let lines = || std::fs::read_to_string(&file).unwrap_or_default().lines().count();
    let (mut asked, mut meanwhile) = (0, 0);
    let start = Instant::now();
    while lines() < 2 && start.elapsed() < Duration::from_secs(120) {
        world.ask(HUB, OTHER, A);
        asked += 1;
        meanwhile = meanwhile.max(world.recorder.ledger().first().map_or(0, |seen| seen.count).min(asked - 1));
        std::thread::sleep(Duration::from_millis(5));
    }
    writer.stop();
    let text = std::fs::read_to_string(&file).unwrap();
    let folded: Vec<u64> = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["folded"].as_u64().unwrap()).collect();
    assert!(meanwhile > 1, "the ledger knows more than the first before the next line is due");
    assert_eq!((folded.len(), folded[0], world.recorder.ledger()[0].count), (2, 0, asked), "{text}");
    assert!(folded[1] > 1 && folded[1] + 2 <= asked, "{} folded of {asked}", folded[1]);
}

#[test]
fn a_file_that_was_renamed_is_opened_anew_and_other_settings_are_taken() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("fallback.json");
    let lines = |path: &Path| std::fs::read_to_string(path).unwrap_or_default().lines().count();
    let until = |what: &mut dyn FnMut() -> bool| {
        let start = Instant::now();
        while !what() && start.elapsed() < Duration::from_secs(120) {
            std::thread::sleep(Duration::from_millis(5));
        }
    };
    let mut world = hub(OnMissing::Public);
    world.recorder = FallbackRecorder::new(&settings(&file));
    let writer = FallbackWriter::start(world.recorder.clone(), &settings(&file), || {}).unwrap();
    world.ask(HUB, OTHER, A);
    until(&mut || lines(&file) == 1);
    let aside = directory.path().join("aside");
    std::fs::rename(&file, &aside).unwrap();
    writer.reopen();
    until(&mut || file.exists());
    world.ask(HUB, OTHER, A);
    until(&mut || lines(&file) == 1);
    assert_eq!((lines(&file), lines(&aside)), (1, 1));

    let second = directory.path().join("second.json");
    writer.reconfigure(&FallbackConfig { repeat: RepeatPolicy::First, ..settings(&second) }).unwrap();
    assert!(writer.reconfigure(&settings(&directory.path().join("missing/f"))).is_err());
    until(&mut || {
        world.ask(HUB, OTHER, A);
        lines(&second) == 1
    });
    world.ask(HUB, OTHER, A);
    writer.stop();
    assert_eq!(lines(&second), 1, "the first alone is written");
}
