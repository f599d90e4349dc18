//! The path of a query without sockets. Rules S1 to S8.

mod world;

use std::time::Duration;

use hickory_proto::rr::RecordType;
use postern_config::model::OnMissing;
use postern_dns::wire::question::Question;
use postern_zones::snapshot::ZoneState;
use world::{HUB, SPOKE, World, render};

const FHIR: &str = "ws-fhir.fhir.azurehealthcareapis.com";
const OTHER: &str = "ws-other.fhir.azurehealthcareapis.com";
const SPLICED: &str = "NOERROR; ws-fhir.fhir.AHDS. 30 CNAME ws-fhir.fhir.PL.; ws-fhir.fhir.PL. 10 A 10.20.1.5";

#[test]
fn s1_the_chain_is_cut_at_the_first_name_of_a_private_zone_cold_and_cached() {
    for first_hop_only in [false, true] {
        let mut world = World::new();
        world.private_zone(OnMissing::Public);
        world.first_hop_only = first_hop_only;
        for _ in 0..3 {
            assert_eq!(world.ask(HUB, FHIR, RecordType::A), SPLICED);
        }
        assert_eq!(world.asked.len(), 1, "asked once, then cached: {:?}", world.asked);
    }
}

#[test]
fn s1_what_the_upstream_says_about_a_private_name_is_never_kept() {
    let mut world = World::new();
    world.private_zone(OnMissing::Public);
    world.ask(HUB, FHIR, RecordType::A);
    world.zones.clear();
    world.asked.clear();
    world.ask(HUB, FHIR, RecordType::A);
    assert_eq!(
        world.asked,
        ["0 ws-fhir.fhir.privatelink.azurehealthcareapis.com. A"],
        "the rest of the chain was dropped, so it is asked for"
    );
}

#[test]
fn s1_a_hop_in_another_route_is_asked_there() {
    let mut world = World::new();
    world.routes = vec![(".", 0, false), ("corp.test", 4, false)];
    let want = "NOERROR; alias.contoso.test. 40 CNAME www.corp.test.; www.corp.test. 40 A 192.0.2.44";
    assert_eq!(world.ask(HUB, "alias.contoso.test", RecordType::A), want);
    assert_eq!(world.asked, ["0 alias.contoso.test. A", "4 www.corp.test. A"]);
}

#[test]
fn s1_a_route_longer_than_the_zone_wins_at_its_names() {
    let mut world = World::new();
    world.routes = vec![(".", 0, false), ("fhir.privatelink.azurehealthcareapis.com", 3, false)];
    world.private_zone(OnMissing::Public);
    world.ask(HUB, "ws-fhir.fhir.privatelink.azurehealthcareapis.com", RecordType::A);
    assert_eq!(world.asked[0], "3 ws-fhir.fhir.privatelink.azurehealthcareapis.com. A");
}

#[test]
fn s2_sections_flags_and_ttls() {
    let mut world = World::new();
    world.private_zone(OnMissing::Public);
    let cases = [
        // (name, type, what the client sees)
        (FHIR, RecordType::A, SPLICED),
        ("ws-fhir.fhir.privatelink.azurehealthcareapis.com", RecordType::A, "NOERROR aa; ws-fhir.fhir.PL. 10 A 10.20.1.5"),
        (
            "home.privatelink.azurehealthcareapis.com",
            RecordType::A,
            "NOERROR aa; home.PL. 10 CNAME ws-fhir.fhir.PL.; ws-fhir.fhir.PL. 10 A 10.20.1.5",
        ),
        ("home.privatelink.azurehealthcareapis.com", RecordType::CNAME, "NOERROR aa; home.PL. 10 CNAME ws-fhir.fhir.PL."),
        (
            "out.privatelink.azurehealthcareapis.com",
            RecordType::A,
            "NOERROR; out.PL. 10 CNAME www.contoso.test.; www.contoso.test. 100 A 198.51.100.1",
        ),
        (
            "ws-fhir.old.privatelink.azurehealthcareapis.com",
            RecordType::A,
            "NOERROR aa; old.PL. 10 DNAME fhir.PL.; ws-fhir.old.PL. 10 CNAME ws-fhir.fhir.PL.; ws-fhir.fhir.PL. 10 A 10.20.1.5",
        ),
        ("www.contoso.test", RecordType::A, "NOERROR; www.contoso.test. 100 A 198.51.100.1"),
        ("www.contoso.test", RecordType::TXT, "NOERROR; +test. 15 SOA"),
        ("nothing.contoso.test", RecordType::A, "NXDOMAIN; +test. 15 SOA"),
        (FHIR, RecordType::CNAME, "NOERROR; ws-fhir.fhir.AHDS. 30 CNAME ws-fhir.fhir.PL."),
        ("privatelink.azurehealthcareapis.com", RecordType::NS, "NOERROR aa; +PL. 10 SOA"),
    ];
    for round in 0..2 {
        for (name, rtype, want) in cases {
            assert_eq!(world.ask(HUB, name, rtype), want, "{name} {rtype} round {round}");
        }
    }
    world.now = world.now.plus(Duration::from_secs(12));
    let aged = SPLICED.replace(" 30 CNAME", " 18 CNAME");
    assert_eq!(world.ask(HUB, FHIR, RecordType::A), aged, "the alias ages, the private record does not");
}

#[test]
fn s2_ad_is_clear_on_a_spliced_answer() {
    let mut world = World::new();
    world.private_zone(OnMissing::Public);
    let message = world.message(HUB, FHIR, RecordType::A, |question| question.authentic_data = true);
    assert!(!message.metadata.authentic_data && !message.metadata.authoritative);
}

#[test]
fn s3_a_type_that_the_private_name_lacks_is_no_data_never_the_public_data() {
    let mut world = World::new();
    world.private_zone(OnMissing::Public);
    for rtype in [RecordType::AAAA, RecordType::HTTPS, RecordType::SVCB, RecordType::TXT, RecordType::MX, RecordType::CAA] {
        let want = "NOERROR; ws-fhir.fhir.AHDS. 30 CNAME ws-fhir.fhir.PL.; +PL. 10 SOA";
        assert_eq!(world.ask(HUB, FHIR, rtype), want, "{rtype}");
        let want = "NOERROR aa; +PL. 10 SOA";
        assert_eq!(world.ask(HUB, "ws-fhir.fhir.privatelink.azurehealthcareapis.com", rtype), want, "{rtype}");
        assert_eq!(world.ask(HUB, "fhir.privatelink.azurehealthcareapis.com", rtype), want, "an empty non-terminal exists: {rtype}");
    }
}

#[test]
fn s4_on_missing_acts_on_the_name() {
    let public = "NOERROR; ws-other.fhir.AHDS. 30 CNAME ws-other.fhir.PL.; ws-other.fhir.PL. 60 CNAME gw.TM.; gw.TM. 20 A 203.0.113.9";
    for (on_missing, want) in [
        (OnMissing::Public, public),
        (OnMissing::Nxdomain, "NXDOMAIN; ws-other.fhir.AHDS. 30 CNAME ws-other.fhir.PL.; +PL. 10 SOA"),
        (OnMissing::Servfail, "SERVFAIL; ws-other.fhir.AHDS. 30 CNAME ws-other.fhir.PL."),
    ] {
        let mut world = World::new();
        world.private_zone(on_missing);
        for round in 0..2 {
            assert_eq!(world.ask(HUB, OTHER, RecordType::A), want, "{on_missing:?} round {round}");
        }
    }
}

#[test]
fn s4_only_ordinary_recursive_questions_fall_back() {
    let name = "ws-other.fhir.privatelink.azurehealthcareapis.com";
    for rtype in [RecordType::SOA, RecordType::NS, RecordType::DS, RecordType::ANY] {
        let mut world = World::new();
        world.private_zone(OnMissing::Nxdomain);
        assert_eq!(world.ask(HUB, name, rtype), "NXDOMAIN aa; +PL. 10 SOA", "{rtype}");
        assert_eq!(world.asked.len(), 0);
    }
    for change in [|question: &mut Question| question.recursion_desired = false, |question: &mut Question| question.signed = true] {
        let mut world = World::new();
        world.private_zone(OnMissing::Public);
        assert_eq!(render(&world.message(HUB, name, RecordType::A, change)), "NXDOMAIN aa; +PL. 10 SOA");
        assert_eq!(world.asked.len(), 0);
    }
}

#[test]
fn s4_ds_of_a_hosted_apex_is_the_parents_to_answer() {
    const APEX: &str = "privatelink.azurehealthcareapis.com";
    let ours = "NOERROR aa; +PL. 10 SOA";
    let mut world = World::new();
    world.private_zone(OnMissing::Public);
    for change in [|question: &mut Question| question.recursion_desired = false, |question: &mut Question| question.signed = true] {
        assert_eq!(render(&world.message(HUB, APEX, RecordType::DS, change)), ours, "nobody may be asked");
    }
    assert!(world.asked.is_empty());
    // A denial of the type, a denial of the name, and an alias: the zone exists for this network, whatever the public DNS has.
    for (records, want) in [(Some("TXT 300 x"), "NOERROR; +com. 15 SOA"), (None, ours), (Some("CNAME 300 www.contoso.test"), ours)] {
        let mut world = World::new();
        world.private_zone(OnMissing::Public);
        if let Some(records) = records {
            world.publish(APEX, records);
        }
        for _ in 0..2 {
            assert_eq!(world.ask(HUB, APEX, RecordType::DS), want, "{records:?}");
            assert_eq!(world.ask(HUB, APEX, RecordType::A), ours, "{records:?}");
        }
        assert_eq!(world.asked, [format!("0 {APEX}. DS")], "once, then cached: {records:?}");
        assert_eq!(world.recorder.waiting(), 0, "no record is missing: {records:?}");
    }
    // Without a route to the parent, and where the parent is hosted, nobody is asked.
    let mut world = World::new();
    world.private_zone(OnMissing::Public);
    world.routes.clear();
    assert_eq!(world.ask(HUB, APEX, RecordType::DS), ours);
    world.routes = vec![(".", 0, false), (APEX, 3, false)];
    world.host("azurehealthcareapis.com", &["hub"], OnMissing::Nxdomain, &[("privatelink", "NS", "ns.contoso.test.")]);
    assert_eq!(world.ask(HUB, APEX, RecordType::DS), "NOERROR aa; +AHDS. 10 SOA");
    assert!(world.asked.is_empty(), "{:?}", world.asked);
}

#[test]
fn ds_at_a_forwarded_cut_is_asked_at_the_route_of_the_parent() {
    let mut world = World::new();
    world.routes = vec![(".", 0, false), ("corp.test", 4, false), ("eu.corp.test", 5, false)];
    world.publish("to.test", "CNAME 30 eu.corp.test");
    for name in ["corp.test", "eu.corp.test", "x.eu.corp.test", "to.test"] {
        world.ask(HUB, name, RecordType::DS);
    }
    // A parent that does not know the suffix of a route is not the last word: the name exists.
    let want = ["0 corp.test. DS", "4 corp.test. DS", "4 eu.corp.test. DS", "5 eu.corp.test. DS", "5 x.eu.corp.test. DS", "0 to.test. DS"];
    assert_eq!(world.asked, want, "behind an alias the cached answer of the parent is used");
    // The parent's route comes first for a zone above it, too.
    world.host("corp.test", &["hub"], OnMissing::Nxdomain, &[("eu", "NS", "ns.contoso.test.")]);
    world.asked.clear();
    world.host("de.corp.test", &["hub"], OnMissing::Nxdomain, &[("www", "A", "10.20.1.5")]);
    world.routes.push(("fr.corp.test", 6, false));
    for cut in ["eu.corp.test", "de.corp.test", "fr.corp.test"] {
        assert_eq!(world.ask(HUB, cut, RecordType::DS), "NOERROR aa; +corp.test. 10 SOA", "{cut}");
    }
    assert_eq!(world.ask(HUB, "es.corp.test", RecordType::DS), "NXDOMAIN aa; +corp.test. 10 SOA");
    assert!(world.asked.is_empty());
}

#[test]
fn a_name_that_does_not_exist_is_asked_for_once_for_all_types() {
    let mut world = World::new();
    for rtype in [RecordType::AAAA, RecordType::A, RecordType::HTTPS, RecordType::CNAME, RecordType::TXT] {
        assert_eq!(world.ask(HUB, "missing.contoso.test", rtype), "NXDOMAIN; +test. 15 SOA", "{rtype}");
    }
    assert_eq!(world.asked, ["0 missing.contoso.test. AAAA"]);
    // A name that exists but lacks a type is asked for again.
    world.asked.clear();
    for rtype in [RecordType::AAAA, RecordType::TXT] {
        assert_eq!(world.ask(HUB, "www.contoso.test", rtype), "NOERROR; +test. 15 SOA");
    }
    assert_eq!(world.asked.len(), 2);
    // Of an earlier record and a later denial, the record counts as long as it is fresh.
    assert!(world.ask(HUB, "www.contoso.test", RecordType::A).starts_with("NOERROR; www.contoso.test. 100 A"));
    world.public.remove("www.contoso.test");
    world.now = world.now.plus(Duration::from_secs(90));
    assert_eq!(world.ask(HUB, "www.contoso.test", RecordType::AAAA), "NXDOMAIN; +test. 15 SOA");
    assert!(world.ask(HUB, "www.contoso.test", RecordType::A).starts_with("NOERROR; www.contoso.test. 10 A"));
    world.now = world.now.plus(Duration::from_secs(12));
    world.asked.clear();
    assert_eq!(world.ask(HUB, "www.contoso.test", RecordType::A), "NXDOMAIN; +test. 3 SOA");
    assert!(world.asked.is_empty(), "{:?}", world.asked);
}

#[test]
fn special_names_are_answered_here_unless_a_zone_or_a_route_is_configured_for_them() {
    let mut world = World::new();
    world.publish("to-localhost.test", "CNAME 30 localhost");
    world.publish("localhost", "A 20 203.0.113.66");
    for (name, rtype, want) in [
        ("localhost", RecordType::A, "NOERROR aa; localhost. 10800 A 127.0.0.1"),
        ("www.localhost", RecordType::AAAA, "NOERROR aa; www.localhost. 10800 AAAA ::1"),
        ("localhost", RecordType::TXT, "NOERROR aa; +localhost. 10800 SOA"),
        ("a.invalid", RecordType::A, "NXDOMAIN aa; +invalid. 10800 SOA"),
        ("a.b.onion", RecordType::A, "NXDOMAIN aa; +onion. 10800 SOA"),
        ("_dns.resolver.arpa", RecordType::SVCB, "NOERROR aa; +resolver.arpa. 10800 SOA"),
        ("1.0.0.127.in-addr.arpa", RecordType::PTR, "NOERROR aa; 1.0.0.127.in-addr.arpa. 10800 PTR localhost."),
        ("to-localhost.test", RecordType::A, "NOERROR; to-localhost.test. 30 CNAME localhost.; localhost. 10800 A 127.0.0.1"),
    ] {
        for _ in 0..2 {
            assert_eq!(world.ask(HUB, name, rtype), want);
        }
        let want = want.replace("30 CNAME", "0 CNAME").split(';').next().unwrap().to_owned();
        let without_recursion = render(&world.message(HUB, name, rtype, |question| question.recursion_desired = false));
        assert!(without_recursion.starts_with(&want), "RD=0: {name} {without_recursion}");
    }
    assert_eq!(world.asked, ["0 to-localhost.test. A"]);
    // A public denial of DS would hold for every type.
    assert_eq!(world.ask(HUB, "localhost", RecordType::DS), "NOERROR aa; +localhost. 10800 SOA");
    assert_eq!(world.ask(HUB, "localhost", RecordType::A), "NOERROR aa; localhost. 10800 A 127.0.0.1");
    assert_eq!(world.asked.len(), 1);
    // DS is the parent's, names beside the special ones are ordinary, and a local zone may be known to upstreams of the site.
    world.asked.clear();
    for (name, rtype) in [("resolver.arpa", RecordType::DS), ("arpa", RecordType::NS), ("8.8.8.8.in-addr.arpa", RecordType::PTR)] {
        world.ask(HUB, name, rtype);
    }
    world.ask(HUB, "4.1.20.10.in-addr.arpa", RecordType::PTR);
    assert_eq!(world.asked.len(), 4);
    world.asked.clear();
    world.host("home.invalid", &["hub"], OnMissing::Nxdomain, &[("www", "A", "10.20.1.5")]);
    world.routes.push(("onion", 6, false));
    assert_eq!(world.ask(HUB, "www.home.invalid", RecordType::A), "NOERROR aa; www.home.invalid. 10 A 10.20.1.5");
    world.ask(HUB, "a.b.onion", RecordType::A);
    assert_eq!(world.asked, ["6 a.b.onion. A"]);
    // Without any route they are answered as well.
    world.routes.clear();
    assert_eq!(world.ask(HUB, "x.localhost", RecordType::A), "NOERROR aa; x.localhost. 10800 A 127.0.0.1");
    assert_eq!(world.ask(HUB, "4.1.168.192.in-addr.arpa", RecordType::PTR), "NXDOMAIN aa; +168.192.in-addr.arpa. 10800 SOA");
}

#[test]
fn s4_a_name_that_may_be_public_is_not_denied_for_the_types_that_never_fall_back() {
    let name = "ws-other.fhir.privatelink.azurehealthcareapis.com";
    let alias = "ws-other.fhir.AHDS. 30 CNAME ws-other.fhir.PL.";
    for on_missing in [OnMissing::Public, OnMissing::Servfail] {
        let mut world = World::new();
        world.private_zone(on_missing);
        for rtype in [RecordType::SOA, RecordType::NS, RecordType::DS, RecordType::ANY] {
            assert_eq!(world.ask(HUB, name, rtype), "NOERROR aa; +PL. 10 SOA", "{rtype} {on_missing:?}");
            for change in [|question: &mut Question| question.recursion_desired = false, |question: &mut Question| question.signed = true] {
                let answer = render(&world.message(HUB, name, rtype, change));
                assert_eq!(answer, "NXDOMAIN aa; +PL. 10 SOA", "record managers see hosted data alone: {rtype} {on_missing:?}");
            }
        }
        assert_eq!(world.asked.len(), 0);
        for rtype in [RecordType::SOA, RecordType::NS, RecordType::DS] {
            let want = format!("NOERROR; {alias}; +PL. 10 SOA");
            assert_eq!(world.ask(HUB, OTHER, rtype), want, "at the end of a public alias: {rtype} {on_missing:?}");
        }
    }
}

#[test]
fn s5_a_record_added_or_removed_now_wins_at_once() {
    let mut world = World::new();
    world.private_zone(OnMissing::Public);
    let public = world.ask(HUB, OTHER, RecordType::A);
    assert!(public.contains("203.0.113.9"));
    world.host("privatelink.azurehealthcareapis.com", &["hub"], OnMissing::Public, &[("ws-other.fhir", "A", "10.20.1.77")]);
    let want = "NOERROR; ws-other.fhir.AHDS. 30 CNAME ws-other.fhir.PL.; ws-other.fhir.PL. 10 A 10.20.1.77";
    assert_eq!(world.ask(HUB, OTHER, RecordType::A), want);
    world.host("privatelink.azurehealthcareapis.com", &["hub"], OnMissing::Public, &[]);
    assert_eq!(world.ask(HUB, OTHER, RecordType::A), public);
}

#[test]
fn s5_no_network_sees_anothers_records() {
    let mut world = World::new();
    world.private_zone(OnMissing::Public);
    world.host("privatelink.azurehealthcareapis.com", &["spoke"], OnMissing::Public, &[("ws-fhir.fhir", "A", "10.30.1.5")]);
    for _ in 0..2 {
        assert_eq!(world.ask(HUB, FHIR, RecordType::A), SPLICED);
        assert_eq!(world.ask(SPOKE, FHIR, RecordType::A), SPLICED.replace("10.20.1.5", "10.30.1.5"));
        let public = world.ask("172.16.0.9", FHIR, RecordType::A);
        assert!(public.ends_with("gw.TM. 20 A 203.0.113.9"), "{public}");
    }
}

#[test]
fn s6_private_answers_go_on_while_no_upstream_answers() {
    // The alias is known, but long expired.
    let mut world = World::new();
    world.private_zone(OnMissing::Public);
    world.ask(HUB, FHIR, RecordType::A);
    world.ask(HUB, OTHER, RecordType::A);
    world.ask(HUB, "www.contoso.test", RecordType::A);
    world.up = false;
    world.now = world.now.plus(Duration::from_secs(3_600));
    assert_eq!(world.ask(HUB, FHIR, RecordType::A), SPLICED, "the alias is stale: TTL 30");
    assert_eq!(world.ask(HUB, "www.contoso.test", RecordType::A), "NOERROR; www.contoso.test. 30 A 198.51.100.1");
    assert!(world.ask(HUB, OTHER, RecordType::A).ends_with("gw.TM. 30 A 203.0.113.9"));
    world.now = world.now.plus(Duration::from_secs(90_000));
    assert_eq!(world.ask(HUB, FHIR, RecordType::A), SPLICED, "an alias that leads home has no bound on staleness");
    assert_eq!(world.ask(HUB, "www.contoso.test", RecordType::A), "SERVFAIL", "past the stale window");
    // Nothing was ever heard: the zone table knows where the name leads.
    let mut world = World::new();
    world.private_zone(OnMissing::Public);
    world.up = false;
    for round in 0..2 {
        assert_eq!(world.ask(HUB, FHIR, RecordType::A), SPLICED, "derived, round {round}");
        assert_eq!(world.ask(HUB, FHIR, RecordType::AAAA), "NOERROR; ws-fhir.fhir.AHDS. 30 CNAME ws-fhir.fhir.PL.; +PL. 10 SOA");
        assert_eq!(world.ask(HUB, OTHER, RecordType::A), "SERVFAIL", "no record of ours, nothing to derive, round {round}");
    }
}

#[test]
fn s6_never_stale_for_our_own_zones() {
    let mut world = World::new();
    world.private_zone(OnMissing::Public);
    world.ask(HUB, FHIR, RecordType::A);
    world.up = false;
    world.now = world.now.plus(Duration::from_secs(3_600));
    world.host("privatelink.azurehealthcareapis.com", &["hub"], OnMissing::Nxdomain, &[]);
    assert!(world.ask(HUB, FHIR, RecordType::A).starts_with("NXDOMAIN; ws-fhir.fhir.AHDS. 30 CNAME"));
}

#[test]
fn s7_loops_and_long_chains_are_servfail() {
    let mut world = World::new();
    let loops = world.ask(HUB, "loop1.test", RecordType::A);
    assert_eq!(loops, "SERVFAIL; loop1.test. 40 CNAME loop2.test.; loop2.test. 40 CNAME loop1.test.", "each alias stands once");
    let long = world.ask(HUB, "h0.long.test", RecordType::A);
    assert!(long.starts_with("SERVFAIL"), "{long}");
    world.host(
        "loop.privatelink.test",
        &["hub"],
        OnMissing::Public,
        &[("a", "CNAME", "b.loop.privatelink.test."), ("b", "CNAME", "a.loop.privatelink.test.")],
    );
    let want =
        "SERVFAIL; a.loop.privatelink.test. 10 CNAME b.loop.privatelink.test.; b.loop.privatelink.test. 10 CNAME a.loop.privatelink.test.";
    assert_eq!(world.ask(HUB, "a.loop.privatelink.test", RecordType::A), want);
    let want = "NOERROR aa; a.loop.privatelink.test. 10 CNAME b.loop.privatelink.test.";
    for rtype in [RecordType::CNAME, RecordType::ANY] {
        assert_eq!(world.ask(HUB, "a.loop.privatelink.test", rtype), want, "the alias itself is no loop: {rtype}");
    }
    let message = world.message(HUB, "loop1.test", RecordType::A, |_| {});
    assert!(message.edns.is_some_and(|edns| !edns.options().as_ref().is_empty()), "an extended error says why");
}

#[test]
fn s7_a_chain_that_fails_is_never_truncated() {
    let mut world = World::new();
    let label = |hop: usize| format!("{}{hop:02}", "l".repeat(60));
    let names: Vec<String> = (0..18).map(|hop| format!("{}.{}", label(hop), label(hop + 20))).collect();
    let targets: Vec<String> = names.iter().map(|name| format!("{name}.privatelink.test.")).collect();
    let records: Vec<_> = names.iter().zip(&targets[1..]).map(|(name, target)| (name.as_str(), "CNAME", target.as_str())).collect();
    world.host("privatelink.test", &["hub"], OnMissing::Nxdomain, &records);
    assert_eq!(world.ask(HUB, targets[0].trim_end_matches('.'), RecordType::A), "SERVFAIL", "over TCP it would be SERVFAIL as well");
}

/// A zone whose DNAME records lead below themselves, out of it, and to a name that is too long.
fn redirecting() -> World {
    let mut world = World::new();
    let long = "a.very.long.target.name.that.makes.the.result.too.long.privatelink.test.";
    let records = [
        ("a.b", "DNAME", "b.privatelink.test."),
        ("out", "DNAME", "outside.example."),
        ("d", "DNAME", long),
        ("x.b", "A", "10.20.1.9"),
        ("e", "DNAME", "f.privatelink.test."),
        ("f", "DNAME", "e.privatelink.test."),
    ];
    world.host("privatelink.test", &["hub"], OnMissing::Nxdomain, &records);
    world
}

#[test]
fn an_alias_below_a_dname_is_the_answer_to_a_question_for_it() {
    let mut world = redirecting();
    for rtype in [RecordType::CNAME, RecordType::ANY] {
        assert_eq!(
            world.ask(HUB, "x.a.b.privatelink.test", rtype),
            "NOERROR aa; a.b.privatelink.test. 10 DNAME b.privatelink.test.; x.a.b.privatelink.test. 10 CNAME x.b.privatelink.test.",
            "{rtype}"
        );
        assert_eq!(
            world.ask(HUB, "x.out.privatelink.test", rtype),
            "NOERROR aa; out.privatelink.test. 10 DNAME outside.example.; x.out.privatelink.test. 10 CNAME x.outside.example.",
            "{rtype}"
        );
    }
    assert_eq!(world.asked.len(), 0);
}

#[test]
fn a_dname_that_makes_the_name_too_long_is_yxdomain_with_the_dname() {
    let mut world = redirecting();
    let label = |letter: &str, length| letter.repeat(length);
    let name = format!("{}.{}.{}.{}.d.privatelink.test", label("a", 60), label("b", 60), label("c", 50), label("d", 30));
    let dname = "d.privatelink.test. 10 DNAME a.very.long.target.name.that.makes.the.result.too.long.privatelink.test.";
    for rtype in [RecordType::A, RecordType::CNAME, RecordType::ANY] {
        let message = world.message(HUB, &name, rtype, |_| {});
        assert_eq!(message.metadata.response_code, hickory_proto::op::ResponseCode::YXDomain, "{rtype}");
        assert!(message.metadata.authoritative && !message.metadata.truncation, "{rtype}");
        let (_, records) = render(&message).split_once("; ").map(|(rcode, records)| (rcode.to_owned(), records.to_owned())).unwrap();
        assert_eq!(records, dname, "{rtype}");
    }
}

#[test]
fn no_record_stands_in_an_answer_twice() {
    let mut world = redirecting();
    let aliases = "x.a.a.b.privatelink.test. 10 CNAME x.a.b.privatelink.test.; x.a.b.privatelink.test. 10 CNAME x.b.privatelink.test.";
    assert_eq!(
        world.ask(HUB, "x.a.a.b.privatelink.test", RecordType::A),
        format!("NOERROR aa; a.b.privatelink.test. 10 DNAME b.privatelink.test.; {aliases}; x.b.privatelink.test. 10 A 10.20.1.9")
    );
    assert_eq!(
        world.ask(HUB, "a.a.b.privatelink.test", RecordType::DNAME),
        "NOERROR aa; a.b.privatelink.test. 10 DNAME b.privatelink.test.; a.a.b.privatelink.test. 10 CNAME a.b.privatelink.test.",
        "the RRset asked for is the one on the way"
    );
    assert_eq!(
        world.ask(HUB, "x.e.privatelink.test", RecordType::A),
        "SERVFAIL; e.privatelink.test. 10 DNAME f.privatelink.test.; x.e.privatelink.test. 10 CNAME x.f.privatelink.test.; \
         f.privatelink.test. 10 DNAME e.privatelink.test.; x.f.privatelink.test. 10 CNAME x.e.privatelink.test.",
        "two DNAME records that lead to each other"
    );
}

#[test]
fn s7_a_route_to_ourselves_is_refused_and_local_zones_go_on() {
    let mut world = World::new();
    world.private_zone(OnMissing::Public);
    world.routes = vec![(".", 0, true)];
    assert_eq!(world.ask(HUB, "www.contoso.test", RecordType::A), "SERVFAIL");
    assert_eq!(
        world.ask(HUB, "ws-fhir.fhir.privatelink.azurehealthcareapis.com", RecordType::A),
        "NOERROR aa; ws-fhir.fhir.PL. 10 A 10.20.1.5"
    );
    assert_eq!(world.asked.len(), 0);
}

#[test]
fn s8_what_does_not_fit_is_empty_with_tc() {
    let mut world = World::new();
    let addresses: Vec<String> = (0..120).map(|n| format!("10.20.{}.{}", n / 50, n)).collect();
    let records: Vec<_> = addresses.iter().map(|address| ("many", "A", address.as_str())).collect();
    world.host("privatelink.test", &["hub"], OnMissing::Public, &records);
    assert_eq!(world.ask(HUB, "many.privatelink.test", RecordType::A), "NOERROR aa tc");
}

#[test]
fn a_zone_without_data_is_servfail_and_others_go_on() {
    let mut world = World::new();
    world.host_as("privatelink.azurehealthcareapis.com", &["hub"], OnMissing::Public, ZoneState::Unavailable("bad file".into()));
    assert!(world.ask(HUB, FHIR, RecordType::A).starts_with("SERVFAIL; ws-fhir.fhir.AHDS. 30 CNAME"));
    assert_eq!(world.ask(HUB, "www.contoso.test", RecordType::A), "NOERROR; www.contoso.test. 100 A 198.51.100.1");
}

#[test]
fn without_recursion_only_our_own_data_is_given() {
    let mut world = World::new();
    let records = [
        ("a", "A", "10.40.1.1"),
        ("out", "CNAME", "www.contoso.test."),
        ("below", "CNAME", "www.branch.privatelink.test."),
        ("branch", "NS", "ns.test."),
    ];
    world.host("privatelink.test", &["closed"], OnMissing::Public, &records);
    for (name, want) in [
        ("www.contoso.test", "REFUSED"),
        ("a.privatelink.test", "NOERROR aa; a.privatelink.test. 10 A 10.40.1.1"),
        // AA speaks for the first owner name, wherever the alias leads (RFC 1035 section 4.1.1).
        ("out.privatelink.test", "NOERROR aa; out.privatelink.test. 10 CNAME www.contoso.test."),
        (
            "below.privatelink.test",
            "NOERROR aa; below.privatelink.test. 10 CNAME www.branch.privatelink.test.; +branch.privatelink.test. 10 NS",
        ),
        ("www.branch.privatelink.test", "NOERROR; +branch.privatelink.test. 10 NS"),
        ("none.privatelink.test", "NXDOMAIN aa; +privatelink.test. 10 SOA"),
    ] {
        assert_eq!(world.ask("10.40.0.1", name, RecordType::A), want, "{name}");
    }
    assert_eq!(world.asked.len(), 0);
}

#[test]
fn any_is_answered_with_little() {
    let mut world = World::new();
    world.private_zone(OnMissing::Public);
    assert_eq!(
        world.ask(HUB, "ws-fhir.fhir.privatelink.azurehealthcareapis.com", RecordType::ANY),
        "NOERROR aa; ws-fhir.fhir.PL. 10 A 10.20.1.5"
    );
    assert!(world.ask(HUB, "www.contoso.test", RecordType::ANY).starts_with("NOERROR; www.contoso.test. 3600 HINFO"));
    assert_eq!(world.asked.len(), 0);
}

#[test]
fn addresses_of_mail_hosts_come_along() {
    let mut world = World::new();
    world.private_zone(OnMissing::Public);
    let message = world.message(HUB, "mx.privatelink.azurehealthcareapis.com", RecordType::MX, |_| {});
    let additional: Vec<_> = message.additionals.iter().map(|record| record.data.to_string()).collect();
    assert_eq!(additional, ["10.20.1.5"]);
}

#[test]
fn a_host_named_twice_has_its_addresses_once_even_if_only_some_fit() {
    let mut world = World::new();
    let addresses: Vec<_> = (0..20).map(|number| format!("2001:db8::{number}")).collect();
    let mut records = vec![("@", "MX", "10 mail.corp.test."), ("@", "MX", "20 mail.corp.test."), ("mail", "A", "10.20.1.5")];
    records.extend(addresses.iter().map(|address| ("mail", "AAAA", address.as_str())));
    world.host("corp.test", &["hub"], OnMissing::Public, &records);
    world.limit = 512;
    let message = world.message(HUB, "corp.test", RecordType::MX, |_| {});
    let additional: Vec<_> = message.additionals.iter().map(|record| record.data.to_string()).collect();
    assert_eq!(additional, ["10.20.1.5"]);
}

#[test]
fn private_answers_keep_their_ttl_over_a_forward_route_and_behind_a_public_alias() {
    let mut world = World::new();
    world.private_zone(OnMissing::Public);
    world.routes.push(("privatelink.forward.test", 1, false));
    world.publish("acct.privatelink.forward.test", "A 3600 10.9.0.5");
    world.publish("moved.privatelink.azurehealthcareapis.com", "CNAME 3600 ws-fhir.fhir.privatelink.azurehealthcareapis.com");
    let mut ask = |name: &str| world.ask(HUB, name, RecordType::A);
    assert_eq!(ask("acct.privatelink.forward.test"), "NOERROR; acct.privatelink.forward.test. 3600 A 10.9.0.5");
    let moved = "NOERROR; moved.PL. 3600 CNAME ws-fhir.fhir.PL.; ws-fhir.fhir.PL. 10 A 10.20.1.5";
    assert_eq!(ask("moved.privatelink.azurehealthcareapis.com"), moved);
}

#[test]
fn public_records_at_a_private_link_name_are_kept_for_a_minute_at_most() {
    let mut world = World::new();
    world.private_zone(OnMissing::Public);
    world.publish("slow.azurehealthcareapis.com", "CNAME 3600 slow.privatelink.azurehealthcareapis.com");
    world.publish("slow.privatelink.azurehealthcareapis.com", "CNAME 3600 gw.slow.test");
    world.publish("gw.slow.test", "A 3600 203.0.113.9");
    world.publish("short.privatelink.azurehealthcareapis.com", "A 20 203.0.113.9");
    world.publish("plain.test", "CNAME 3600 gw.slow.test");
    let ask = |world: &mut World, name: &str| world.ask(HUB, name, RecordType::A);
    let capped = "NOERROR; slow.AHDS. 3600 CNAME slow.PL.; slow.PL. 60 CNAME gw.slow.test.; gw.slow.test. 60 A 203.0.113.9";
    assert_eq!(ask(&mut world, "slow.azurehealthcareapis.com"), capped);
    assert_eq!(ask(&mut world, "short.privatelink.azurehealthcareapis.com"), "NOERROR; short.PL. 20 A 203.0.113.9");
    // The cache keeps the records as they are, for those who reach them over other names.
    assert_eq!(ask(&mut world, "plain.test"), "NOERROR; plain.test. 3600 CNAME gw.slow.test.; gw.slow.test. 3600 A 203.0.113.9");
    world.now = world.now.plus(Duration::from_secs(3550));
    let old = "NOERROR; slow.AHDS. 50 CNAME slow.PL.; slow.PL. 50 CNAME gw.slow.test.; gw.slow.test. 50 A 203.0.113.9";
    assert_eq!(ask(&mut world, "slow.azurehealthcareapis.com"), old);
    let negative = world.message(HUB, "none.privatelink.azurehealthcareapis.com", RecordType::A, |_| {});
    assert!(negative.authorities.iter().all(|record| record.ttl <= 60), "{negative:?}");
}
