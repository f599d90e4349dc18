//! Overrides on the path of a query, without sockets: rules S1 to S8, and the precedence of zones, overrides and routes.

mod world;

use std::path::PathBuf;
use std::sync::Arc;

use hickory_proto::rr::RecordType::{self, A, AAAA, ANY, CNAME, HTTPS, MX, PTR, TXT};
use postern_config::model::{OnMissing, OtherTypes};
use postern_zones::name::WireName;
use postern_zones::origin::ZoneOrigin;
use postern_zones::snapshot::{Hosted, ZoneState};
use postern_zones::text::read_overrides;
use postern_zones::zone::ZoneBuilder;
use world::{HUB, SPOKE, World, render};

const LINES: &str = "10.30.1.10 printer.contoso.test gw.trafficmanager.test\n10.30.1.11 *.lab.contoso.test\n\
    nxdomain gone.contoso.test\nnodata quiet.contoso.test\npublic vpn.lab.contoso.test\nwww.contoso.test shop.contoso.test\n\
    ws-fhir.fhir.privatelink.azurehealthcareapis.com fhir.contoso.test\nprinter.contoso.test alias2.contoso.test\n";

impl World {
    fn overrides(&mut self, lines: &str, networks: &[&'static str], other_types: OtherTypes) {
        let root = WireName::parse(".").unwrap();
        let mut builder = ZoneBuilder::new(root.clone()).ttl_bounds(60, 60);
        let mut problems = Vec::new();
        read_overrides(lines.as_bytes(), &Arc::new(PathBuf::from("o")), &mut builder, &mut problems);
        assert!(problems.is_empty(), "{problems:?}");
        let state = ZoneState::Serving(Arc::new(builder.finish(1).unwrap().zone));
        let hosted = Hosted::new(root, OnMissing::Public, state, ZoneOrigin::memory());
        self.zones.push((Arc::new(Hosted { overrides: Some(other_types), ..hosted }), networks.to_vec()));
    }
}

fn world(other_types: OtherTypes) -> World {
    let mut world = World::new();
    world.overrides(LINES, &["hub"], other_types);
    for (name, records) in [
        ("printer.contoso.test", "A 100 198.51.100.7|AAAA 100 2001:db8::7|MX 100 10 mail.contoso.test.|HTTPS 20 1 . alpn=h2"),
        ("one.lab.contoso.test", "A 100 198.51.100.8|AAAA 100 2001:db8::8"),
        ("vpn.lab.contoso.test", "A 100 198.51.100.9"),
        ("gone.contoso.test", "A 100 198.51.100.10"),
        ("quiet.contoso.test", "A 100 198.51.100.11"),
        ("to-printer.contoso.test", "CNAME 40 printer.contoso.test"),
        ("contoso.test", "MX 100 10 mail.contoso.test."),
    ] {
        world.publish(name, records);
    }
    world
}

/// What a client sees, with its data alone.
fn seen(world: &mut World, client: &str, name: &str, rtype: RecordType) -> String {
    world.ask(client, name, rtype)
}

#[test]
fn only_overridden_names_change() {
    let mut world = world(OtherTypes::NoData);
    for _ in 0..2 {
        for (name, rtype, want) in [
            ("printer.contoso.test", A, "NOERROR aa; printer.contoso.test. 60 A 10.30.1.10"),
            ("printer.contoso.test", ANY, "NOERROR aa; printer.contoso.test. 60 A 10.30.1.10"),
            ("one.lab.contoso.test", A, "NOERROR aa; one.lab.contoso.test. 60 A 10.30.1.11"),
            ("a.b.lab.contoso.test", A, "NOERROR aa; a.b.lab.contoso.test. 60 A 10.30.1.11"),
            ("vpn.lab.contoso.test", A, "NOERROR; vpn.lab.contoso.test. 100 A 198.51.100.9"),
            ("alias2.contoso.test", CNAME, "NOERROR aa; alias2.contoso.test. 60 CNAME printer.contoso.test."),
            ("10.1.30.10.in-addr.arpa", PTR, "NOERROR aa; 10.1.30.10.in-addr.arpa. 60 PTR printer.contoso.test."),
            ("www.contoso.test", A, "NOERROR; www.contoso.test. 100 A 198.51.100.1"),
            ("contoso.test", MX, "NOERROR; contoso.test. 100 MX 10 mail.contoso.test."),
        ] {
            assert_eq!(seen(&mut world, HUB, name, rtype), want, "{name} {rtype}");
        }
    }
}

#[test]
fn a_name_that_does_not_exist_is_denied_for_every_type_and_names_below_it_are_not() {
    let mut world = world(OtherTypes::Public);
    for rtype in [A, AAAA, TXT, HTTPS, ANY] {
        assert!(seen(&mut world, HUB, "gone.contoso.test", rtype).starts_with("NXDOMAIN aa; +"), "{rtype}");
        assert!(seen(&mut world, HUB, "quiet.contoso.test", rtype).starts_with("NOERROR aa; +"), "{rtype}");
    }
    assert!(world.asked.is_empty());
    world.publish("www.gone.contoso.test", "A 100 198.51.100.12");
    assert_eq!(seen(&mut world, HUB, "www.gone.contoso.test", A), "NOERROR; www.gone.contoso.test. 100 A 198.51.100.12");
}

#[test]
fn other_types_are_denied_or_public_as_the_key_says() {
    let mut denied = world(OtherTypes::NoData);
    let mut public = world(OtherTypes::Public);
    for (rtype, want) in [
        (AAAA, "NOERROR; printer.contoso.test. 100 AAAA 2001:db8::7"),
        (MX, "NOERROR; printer.contoso.test. 100 MX 10 mail.contoso.test."),
        (HTTPS, "NOERROR; printer.contoso.test. 20 HTTPS 1 . alpn=h2"),
    ] {
        let got = seen(&mut denied, HUB, "printer.contoso.test", rtype);
        assert!(got.starts_with("NOERROR aa; +"), "{rtype} {got}");
        let got = seen(&mut public, HUB, "printer.contoso.test", rtype);
        assert!(got.starts_with(want.trim_end_matches("alpn=h2").trim_end()), "{rtype} {got}");
    }
    assert!(denied.asked.is_empty());
    assert_eq!(seen(&mut public, HUB, "printer.contoso.test", A), "NOERROR aa; printer.contoso.test. 60 A 10.30.1.10");
    assert_eq!(seen(&mut public, HUB, "one.lab.contoso.test", AAAA), "NOERROR; one.lab.contoso.test. 100 AAAA 2001:db8::8");
}

#[test]
fn s1_an_override_ends_the_upstreams_say_at_any_hop_cold_and_cached() {
    for first_hop_only in [false, true] {
        let mut world = world(OtherTypes::NoData);
        world.first_hop_only = first_hop_only;
        for _ in 0..3 {
            let want = "NOERROR; to-printer.contoso.test. 40 CNAME printer.contoso.test.; printer.contoso.test. 60 A 10.30.1.10";
            assert_eq!(seen(&mut world, HUB, "to-printer.contoso.test", A), want);
        }
        assert_eq!(world.asked, ["0 to-printer.contoso.test. A"]);
        let denied = seen(&mut world, HUB, "to-printer.contoso.test", AAAA);
        assert!(denied.starts_with("NOERROR; to-printer.contoso.test. 40 CNAME printer.contoso.test.; +"), "{denied}");
    }
}

#[test]
fn s5_overrides_are_never_cached_and_no_other_network_sees_them() {
    let mut world = world(OtherTypes::NoData);
    assert_eq!(seen(&mut world, HUB, "to-printer.contoso.test", A).matches("10.30.1.10").count(), 1);
    let outside = seen(&mut world, SPOKE, "to-printer.contoso.test", A);
    assert_eq!(outside, "NOERROR; to-printer.contoso.test. 40 CNAME printer.contoso.test.; printer.contoso.test. 100 A 198.51.100.7");
    assert!(seen(&mut world, HUB, "to-printer.contoso.test", A).contains("10.30.1.10"), "public data in the cache does not count");
    world.zones.clear();
    assert_eq!(seen(&mut world, HUB, "to-printer.contoso.test", A), outside, "an override that is gone is gone at once");
}

#[test]
fn an_alias_goes_on_by_the_ordinary_path_into_routes_and_private_zones() {
    let mut world = world(OtherTypes::NoData);
    world.private_zone(OnMissing::Public);
    for (name, want) in [
        ("shop.contoso.test", "NOERROR; shop.contoso.test. 60 CNAME www.contoso.test.; www.contoso.test. 100 A 198.51.100.1"),
        ("fhir.contoso.test", "NOERROR aa; fhir.contoso.test. 60 CNAME ws-fhir.fhir.PL.; ws-fhir.fhir.PL. 10 A 10.20.1.5"),
        ("alias2.contoso.test", "NOERROR aa; alias2.contoso.test. 60 CNAME printer.contoso.test.; printer.contoso.test. 60 A 10.30.1.10"),
    ] {
        assert_eq!(seen(&mut world, HUB, name, A), want);
    }
}

#[test]
fn private_zones_win_over_overrides_and_overrides_over_routes_unless_the_route_is_longer_than_a_wildcard() {
    let mut world = world(OtherTypes::NoData);
    world.routes = vec![(".", 0, false), ("contoso.test", 1, false), ("lab.contoso.test", 2, false), ("eu.lab.contoso.test", 3, false)];
    assert!(seen(&mut world, HUB, "one.lab.contoso.test", A).ends_with("10.30.1.11"), "a route of the same suffix gives way");
    world.publish("a.eu.lab.contoso.test", "A 100 198.51.100.13");
    assert!(seen(&mut world, HUB, "a.eu.lab.contoso.test", A).ends_with("198.51.100.13"), "a longer route does not");
    assert_eq!(world.asked, ["3 a.eu.lab.contoso.test. A"]);
    world.host("contoso.test", &["hub"], OnMissing::Nxdomain, &[("printer", "A", "10.9.9.9")]);
    world.routes = vec![(".", 0, false)];
    assert_eq!(seen(&mut world, HUB, "printer.contoso.test", A), "NOERROR aa; printer.contoso.test. 10 A 10.9.9.9");
    assert!(seen(&mut world, HUB, "one.lab.contoso.test", A).starts_with("NXDOMAIN"), "S4: on-missing of the zone");
    world.host("30.10.in-addr.arpa", &["hub"], OnMissing::Nxdomain, &[("10.1", "PTR", "real.contoso.test.")]);
    assert_eq!(seen(&mut world, HUB, "10.1.30.10.in-addr.arpa", PTR), "NOERROR aa; 10.1.30.10.in-addr.arpa. 10 PTR real.contoso.test.");
}

#[test]
fn s6_overrides_answer_while_no_upstream_does() {
    let mut world = world(OtherTypes::NoData);
    seen(&mut world, HUB, "to-printer.contoso.test", A);
    world.up = false;
    world.now = world.now.plus(std::time::Duration::from_secs(400_000));
    assert!(seen(&mut world, HUB, "printer.contoso.test", A).ends_with("10.30.1.10"));
    assert!(seen(&mut world, HUB, "to-printer.contoso.test", A).ends_with("10.30.1.10"), "an alias that leads home outlives its TTL");
}

#[test]
fn s7_overrides_that_lead_in_a_circle_are_servfail() {
    let mut world = World::new();
    world.overrides("b.contoso.test a.contoso.test\na.contoso.test b.contoso.test\n", &["hub"], OtherTypes::NoData);
    assert!(seen(&mut world, HUB, "a.contoso.test", A).starts_with("SERVFAIL"));
}

#[test]
fn the_first_overrides_that_have_a_name_count() {
    let mut world = world(OtherTypes::NoData);
    world.overrides("10.30.9.9 printer.contoso.test other.contoso.test\n", &["hub"], OtherTypes::Public);
    assert!(seen(&mut world, HUB, "printer.contoso.test", A).ends_with("10.30.1.10"));
    assert!(seen(&mut world, HUB, "other.contoso.test", A).ends_with("10.30.9.9"));
}

#[test]
fn an_overridden_private_link_name_is_no_fallback_and_questions_without_recursion_get_it_too() {
    let mut world = World::new();
    world.overrides("10.30.1.10 ws-other.fhir.privatelink.azurehealthcareapis.com\n", &["hub"], OtherTypes::NoData);
    let got = seen(&mut world, HUB, "ws-other.fhir.azurehealthcareapis.com", A);
    assert!(got.ends_with("10.30.1.10"), "{got}");
    let message = world.message(HUB, "ws-other.fhir.privatelink.azurehealthcareapis.com", A, |question| question.recursion_desired = false);
    assert!(render(&message).ends_with("10.30.1.10"));
    assert_eq!(world.recorder.counts().iter().map(|counted| counted.count).sum::<u64>(), 0);
}
