//! Why a question has the answer it has.

mod world;

use std::net::IpAddr;

use hickory_proto::rr::RecordType;
use postern_config::model::OnMissing;
use postern_dns::explain::{BadQuestion, QueryExplanation, explain, question};
use world::{HUB, SPOKE, World};

fn explained(world: &World, client: &str, name: &str, rtype: &str) -> QueryExplanation {
    let client: IpAddr = client.parse().unwrap();
    explain(&question(name, rtype).unwrap(), client, &world.state(), world.now, None).unwrap()
}

/// `name: decided_by, said` of each name.
fn hops(explanation: &QueryExplanation) -> Vec<String> {
    explanation.hops.iter().map(|hop| format!("{}: {}, {}", hop.name, hop.decided_by, hop.said)).collect()
}

#[test]
fn what_must_be_asked_is_told_and_not_asked() {
    let mut world = World::new();
    world.private_zone(OnMissing::Public);
    let said = explained(&world, HUB, "ws-fhir.fhir.azurehealthcareapis.com", "A");
    assert_eq!(hops(&said), ["ws-fhir.fhir.azurehealthcareapis.com: nobody, an upstream must be asked"]);
    assert_eq!(said.ask.as_ref().map(|ask| ask.name.as_str()), Some("ws-fhir.fhir.azurehealthcareapis.com"));
    assert!(said.answer.is_none() && world.asked.is_empty());
    assert_eq!(said.hops[0].route.as_ref().map(|route| route.suffix.as_str()), Some("."));
}

#[test]
fn a_spliced_answer_shows_who_said_what() {
    let mut world = World::new();
    world.private_zone(OnMissing::Public);
    world.ask(HUB, "ws-fhir.fhir.azurehealthcareapis.com", RecordType::A);
    let said = explained(&world, HUB, "WS-fhir.FHIR.azurehealthcareapis.com.", "A");
    assert_eq!((said.network.as_str(), said.hops.len(), said.ask.is_none()), ("hub", 2, true));
    assert_eq!(said.hops[0].decided_by, "upstream");
    assert_eq!(said.hops[0].cache.as_ref().map(|cache| (cache.what, cache.ttl)), Some(("alias", 30)));
    assert_eq!(said.hops[0].leads_to.as_deref(), Some("ws-fhir.fhir.privatelink.azurehealthcareapis.com"));
    let zone = said.hops[1].zone.as_ref().unwrap();
    assert_eq!((said.hops[1].decided_by, zone.name.as_str(), zone.on_missing), ("zone", "privatelink.azurehealthcareapis.com", "public"));
    let answer = said.answer.unwrap();
    assert_eq!((answer.rcode.as_str(), answer.authoritative, answer.answer.len()), ("NOERROR", false, 2));
    assert!(answer.answer[1].contains(" A 10."), "{:?}", answer.answer);
    assert!(said.fallback.is_none());
}

#[test]
fn a_fallback_says_what_would_mend_it() {
    let mut world = World::new();
    world.private_zone(OnMissing::Public);
    world.ask(HUB, "ws-other.fhir.azurehealthcareapis.com", RecordType::A);
    let said = explained(&world, HUB, "ws-other.fhir.azurehealthcareapis.com", "A");
    let fallback = said.fallback.expect("it went public");
    assert_eq!((fallback.reason.as_str(), fallback.action.as_str()), ("no-record", "public"));
    assert_eq!(fallback.mend.record.as_deref(), Some("ws-other.fhir 10 IN A <private address>"));
    assert_eq!(said.answer.unwrap().errors, ["0 no private record: public answer"]);
}

#[test]
fn networks_are_told_apart() {
    let mut world = World::new();
    world.private_zone(OnMissing::Nxdomain);
    let said = explained(&world, HUB, "none.privatelink.azurehealthcareapis.com", "A");
    assert_eq!(said.answer.map(|answer| (answer.rcode, answer.authority.len())), Some(("NXDOMAIN".into(), 1)));
    assert_eq!(explained(&world, SPOKE, "none.privatelink.azurehealthcareapis.com", "A").network, "spoke");
}

#[test]
fn what_is_no_question_is_refused() {
    assert_eq!(question("a..b", "A"), Err(BadQuestion::Name("a..b".into())));
    for rtype in ["NONSENSE", "AXFR", "OPT"] {
        assert_eq!(question("contoso.test", rtype), Err(BadQuestion::Type(rtype.into())));
    }
    assert!(question("contoso.test", "TYPE65").is_ok() && question("contoso.test", "ANY").is_ok());
}

#[test]
fn records_of_every_type_are_told_in_presentation_format() {
    let mut world = World::new();
    let records = [
        ("x", "LOC", "42 21 54 N 71 06 18 W -24m 30m"),
        ("x", "URI", "10 1 \"https://contoso.test/\""),
        ("x", "IPSECKEY", "10 1 2 192.0.2.38 AQID"),
        ("x", "HIP", "2 2001 AQID rvs.contoso.test."),
        ("x", "TXT", "\"a\" \"b\""),
        ("x", "TYPE65400", "\\# 2 ABCD"),
        ("x", "TYPE65305", "\\# 1 00"),
    ];
    world.host("contoso.test", &["hub"], OnMissing::Nxdomain, &records);
    for (name, rtype, want) in [
        ("x.contoso.test", "LOC", "x.contoso.test. 10 IN LOC 42 21 54.000 N 71 6 18.000 W -24.00m 30.00m 10000.00m 10.00m"),
        ("x.contoso.test", "uri", "x.contoso.test. 10 IN URI 10 1 \"https://contoso.test/\""),
        ("x.contoso.test", "TYPE45", "x.contoso.test. 10 IN IPSECKEY 10 1 2 192.0.2.38 AQID"),
        ("x.contoso.test", "HIP", "x.contoso.test. 10 IN HIP 2 2001 AQID rvs.contoso.test."),
        ("x.contoso.test", "TXT", "x.contoso.test. 10 IN TXT \"a\" \"b\""),
        ("x.contoso.test", "TYPE65400", "x.contoso.test. 10 IN TYPE65400 \\# 2 ABCD"),
        ("x.contoso.test", "TYPE65305", "x.contoso.test. 10 IN TYPE65305 \\# 1 00"),
    ] {
        let said = explained(&world, HUB, name, rtype);
        assert_eq!(said.answer.map(|answer| answer.answer), Some(vec![want.to_owned()]), "{rtype}");
        assert_eq!(said.rtype, want.split(' ').nth(3).unwrap());
    }
    let missing = explained(&world, HUB, "*.y.contoso.test", "TYPE65280");
    assert_eq!((missing.rtype.as_str(), missing.answer.unwrap().rcode.as_str()), ("TYPE65280", "NXDOMAIN"));
}

/// `reason private certain record` of the verdict.
fn verdict(world: &World, name: &str, rtype: &str) -> String {
    let said = explained(world, HUB, name, rtype).verdict;
    said.map_or_else(String::new, |verdict| {
        let record = verdict.mend.record.unwrap_or_default();
        format!("{} {} {} {record}", verdict.reason.as_str(), world::short(&(verdict.private + ".")), verdict.certain)
    })
}

#[test]
fn a_zone_does_not_lack_what_is_below_its_cut() {
    let mut world = World::new();
    let records = [("branch", "NS", "ns.branch.corp.test."), ("ns.branch", "A", "10.20.0.53")];
    world.host("corp.test", &["hub"], OnMissing::Public, &records);
    let lacks = |name: &str| explained(&world, HUB, name, "A").hops[0].zone.as_ref().unwrap().lacks_name;
    assert!(!lacks("www.branch.corp.test"));
    assert!(lacks("absent.corp.test"));
}

#[test]
fn the_verdict_is_there_whatever_the_cache_holds() {
    let mut world = World::new();
    world.private_zone(OnMissing::Public);
    let other = "ws-other.fhir.azurehealthcareapis.com";
    let record = "ws-other.fhir 10 IN A <private address>";
    // Cold: the zone table has the private name. Whether the public DNS leads there is not known.
    assert_eq!(verdict(&world, other, "A"), format!("no-record ws-other.fhir.PL. false {record}"));
    let certain = format!("no-record ws-other.fhir.PL. true {record}");
    world.ask(HUB, other, RecordType::A);
    assert_eq!(verdict(&world, other, "A"), certain);
    // The public end has a TTL of 20, the alias in front one of 30.
    world.now = world.now.plus(std::time::Duration::from_secs(25));
    let said = explained(&world, HUB, other, "A");
    assert!(said.ask.is_some() && said.fallback.is_none());
    assert_eq!(said.hops[1].said, "the zone has no such name: alias that 192.0.2.53 gave");
    assert!(said.hops[1].zone.as_ref().unwrap().lacks_name);
    assert_eq!(verdict(&world, other, "A"), certain);
    world.now = world.now.plus(std::time::Duration::from_secs(1_000));
    assert_eq!(verdict(&world, other, "A"), format!("no-record ws-other.fhir.PL. false {record}"));
    // Asked by its own name it is certain, and the record fits the type.
    let private = "ws-other.fhir.privatelink.azurehealthcareapis.com";
    assert_eq!(verdict(&world, private, "AAAA"), "no-record ws-other.fhir.PL. true ws-other.fhir 10 IN AAAA <private address>");
    // A name that has its record, cold, and one that is nobody's.
    assert_eq!(verdict(&world, "ws-fhir.fhir.azurehealthcareapis.com", "A"), "");
    assert_eq!(verdict(&world, "www.contoso.test", "A"), "");
}

#[test]
fn a_name_that_an_ordinary_zone_lacks_has_a_verdict_and_is_not_recorded() {
    let mut world = World::new();
    world.host("corp.test", &["hub"], OnMissing::Nxdomain, &[("www", "A", "10.20.9.1")]);
    let said = explained(&world, HUB, "wwww.corp.test", "A");
    let verdict = said.verdict.unwrap();
    assert_eq!((verdict.action, verdict.recorded, verdict.certain), ("nxdomain", false, true));
    assert!(said.fallback.is_none());
    assert_eq!(explained(&world, HUB, "www.corp.test", "TXT").verdict, None);
}
