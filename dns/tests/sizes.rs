//! How large answers are: names compressed, glue whole or TC, additional data as far as it fits.

mod world;

use hickory_proto::op::Message;
use hickory_proto::rr::RecordType;
use hickory_proto::rr::RecordType::{A, AAAA, CNAME, MX, NS, PTR, SOA, SRV};
use postern_config::model::OnMissing;
use world::{HUB, World, render};

/// Octets of an answer, and the answer. The message has an OPT record of 11 octets.
fn asked(world: &mut World, name: &str, rtype: RecordType) -> (usize, Message) {
    let octets = world.octets(HUB, name, rtype, |_| {});
    (octets.len(), Message::from_vec(&octets).unwrap())
}

fn additional(message: &Message) -> Vec<String> {
    message.additionals.iter().map(|record| format!("{} {}", record.name, record.data)).collect()
}

/// A zone `glue.test` with one cut, whose 13 servers are below it and have two addresses each, as `more` has it.
fn delegation(more: &[(&str, &str, &str)]) -> World {
    let mut world = World::new();
    let servers: Vec<_> = (0..13).map(|n| (format!("ns{n}.sub"), format!("192.0.2.{n}"), format!("2001:db8::{n}"))).collect();
    let targets: Vec<_> = servers.iter().map(|(name, ..)| format!("{name}.glue.test.")).collect();
    let mut records: Vec<(&str, &str, &str)> = more.to_vec();
    for ((name, v4, v6), target) in servers.iter().zip(&targets) {
        records.extend([("sub", "NS", target.as_str()), (name, "A", v4), (name, "AAAA", v6)]);
    }
    world.host("glue.test", &["hub"], OnMissing::Nxdomain, &records);
    world
}

#[test]
fn a_referral_has_all_addresses_of_servers_below_the_cut_or_is_truncated() {
    let mut world = delegation(&[]);
    let (size, message) = asked(&mut world, "x.sub.glue.test", A);
    assert_eq!((message.authorities.len(), message.additionals.len(), message.metadata.truncation), (13, 26, false));
    assert_eq!(size, 853, "as NSD and Knot DNS");
    for limit in [512, 700, 852] {
        world.limit = limit;
        let (size, message) = asked(&mut world, "x.sub.glue.test", A);
        assert!(message.metadata.truncation && size < 60, "{limit}");
    }
    world.limit = 853;
    assert_eq!(asked(&mut world, "x.sub.glue.test", A).0, 853);
}

#[test]
fn addresses_of_servers_beside_the_cut_are_left_out_where_they_do_not_fit() {
    let mut world = delegation(&[("sub", "NS", "ns.other.glue.test."), ("ns.other", "A", "192.0.2.99")]);
    let (whole, message) = asked(&mut world, "x.sub.glue.test", A);
    assert_eq!(message.additionals.len(), 27);
    world.limit = whole - 1;
    let (_, message) = asked(&mut world, "x.sub.glue.test", A);
    assert_eq!((message.authorities.len(), message.additionals.len(), message.metadata.truncation), (14, 26, false));
}

#[test]
fn names_in_rdata_are_compressed() {
    let mut world = World::new();
    let records = [
        ("@", "SOA", "ns1.contoso.test. hostmaster.contoso.test. 1 2 3 4 5"),
        ("@", "NS", "ns1.contoso.test."),
        ("@", "NS", "ns2.contoso.test."),
        ("ns1", "A", "10.20.1.1"),
        ("ns2", "A", "10.20.1.2"),
        ("www", "CNAME", "web.contoso.test."),
        ("web", "A", "10.20.1.3"),
        ("four", "PTR", "web.contoso.test."),
        ("mail", "MX", "10 web.contoso.test."),
        ("self", "CNAME", "contoso.test."),
    ];
    world.host("contoso.test", &["hub"], OnMissing::Nxdomain, &records);
    // 12 header, the question, 10 and a pointer a record, 11 OPT.
    let question = |name: usize| 12 + name + 4 + 11;
    let soa = 12 + 6 + 13 + 20;
    for (name, rtype, want, rdata) in [
        ("contoso.test", NS, question(14) + 2 * (12 + 6) + 2 * (12 + 4), "ns1.contoso.test."),
        ("contoso.test", SOA, question(14) + soa, "ns1.contoso.test. hostmaster.contoso.test. 1 2 3 4 5"),
        ("nobody.contoso.test", A, question(21) + soa, ""),
        ("www.contoso.test", A, question(18) + (12 + 6) + (12 + 4), "web.contoso.test."),
        ("www.contoso.test", CNAME, question(18) + (12 + 6), "web.contoso.test."),
        ("www.contoso.test", AAAA, question(18) + (12 + 6) + soa, "web.contoso.test."),
        ("four.contoso.test", PTR, question(19) + (12 + 6), "web.contoso.test."),
        ("mail.contoso.test", MX, question(19) + (12 + 2 + 6) + (12 + 4), "10 web.contoso.test."),
        ("self.contoso.test", CNAME, question(19) + (12 + 2), "contoso.test."),
        ("self.contoso.test", NS, question(19) + (12 + 2) + 2 * (12 + 6) + 2 * (12 + 4), "contoso.test."),
    ] {
        let (size, message) = asked(&mut world, name, rtype);
        assert_eq!(size, want, "{name} {rtype}: {}", render(&message));
        assert_eq!(message.answers.first().map_or(String::new(), |record| record.data.to_string()), rdata, "{name} {rtype}");
        for record in &message.authorities {
            assert_eq!((record.name.to_string(), record.record_type()), ("contoso.test.".into(), SOA), "{name} {rtype}");
        }
    }
}

#[test]
fn names_from_the_cache_are_compressed() {
    let mut world = World::new();
    let mail: Vec<_> = (0..12).map(|n| format!("MX 60 {n} mail{n}.exchange.contoso.test")).collect();
    world.publish("contoso.test", &mail.join("|"));
    world.publish("to.contoso.test", "CNAME 60 contoso.test");
    world.publish("there.fabrikam.test", "CNAME 60 to.contoso.test");
    world.limit = 512;
    let records = 12 * 12 + 12 * (2 + 6 + 2) + 2 + "exchange.".len(); // two of them have one octet more
    for round in 0..2 {
        let (size, message) = asked(&mut world, "contoso.test", MX);
        assert_eq!((size, message.metadata.truncation), (12 + 18 + 11 + records, false), "round {round}");
        let (size, message) = asked(&mut world, "to.contoso.test", MX);
        assert_eq!((size, message.metadata.truncation), (12 + 21 + 11 + 12 + 2 + records, false), "round {round}");
        let (size, message) = asked(&mut world, "there.fabrikam.test", MX);
        // Names of the second alias are pointed to in the first: `contoso.test` of `to.contoso.test`, whose `test` is the question's.
        assert_eq!((size, message.metadata.truncation), (12 + 25 + 11 + (12 + 3 + 8 + 2) + (12 + 2) + records, false), "round {round}");
        let data: Vec<_> = message.answers[2..].iter().map(|record| (record.name.to_string(), record.data.to_string())).collect();
        let want: Vec<_> = (0..12).map(|n| ("contoso.test.".to_string(), format!("{n} mail{n}.exchange.contoso.test."))).collect();
        assert_eq!(data, want, "round {round}");
    }
    for (name, rtype, want) in [
        ("nobody.contoso.test", A, "NXDOMAIN; +test. 15 SOA"),
        (
            "there.fabrikam.test",
            NS,
            "NOERROR; there.fabrikam.test. 60 CNAME to.contoso.test.; to.contoso.test. 60 CNAME contoso.test.; +test. 15 SOA",
        ),
    ] {
        for round in 0..2 {
            let (_, message) = asked(&mut world, name, rtype);
            assert_eq!(render(&message), want, "round {round}");
            let data = message.authorities[0].data.to_string();
            assert_eq!(data, "ns.test. host.test. 1 3600 300 86400 15", "round {round}");
        }
    }
}

#[test]
fn an_address_that_two_records_lead_to_is_added_once_and_never_truncates() {
    let mut world = World::new();
    let records = [
        ("_sip._tcp", "SRV", "10 5 5060 host.contoso.test."),
        ("_sip._tcp", "SRV", "20 5 5061 host.contoso.test."),
        ("_sip._tcp", "SRV", "30 5 5062 spare.contoso.test."),
        ("@", "MX", "10 host.contoso.test."),
        ("@", "MX", "20 host.contoso.test."),
        ("host", "A", "10.20.1.5"),
        ("host", "AAAA", "2001:db8::5"),
        ("spare", "A", "10.20.1.6"),
    ];
    world.host("contoso.test", &["hub"], OnMissing::Nxdomain, &records);
    let host = ["host.contoso.test. 10.20.1.5", "host.contoso.test. 2001:db8::5"];
    let (_, message) = asked(&mut world, "contoso.test", MX);
    assert_eq!((message.answers.len(), additional(&message)), (2, host.map(String::from).to_vec()));
    let (whole, message) = asked(&mut world, "_sip._tcp.contoso.test", SRV);
    let all = [host[0], host[1], "spare.contoso.test. 10.20.1.6"].map(String::from).to_vec();
    assert_eq!((message.answers.len(), additional(&message)), (3, all));
    let records: usize = message.answers.iter().map(|record| 12 + 6 + record.data.to_string().rsplit(' ').next().unwrap().len() + 1).sum();
    for limit in 12 + 28 + 11 + records..whole {
        world.limit = limit;
        let (size, message) = asked(&mut world, "_sip._tcp.contoso.test", SRV);
        assert!(size <= limit && message.answers.len() == 3 && !message.metadata.truncation, "{limit}");
        assert!(message.additionals.len() < 3, "{limit}");
    }
}
