//! DNSSEC records on the path: a signature comes with its RRset, a DNAME with its alias, and a proof with what it proves.

mod world;

use std::time::Duration;

use hickory_proto::rr::RecordType;
use postern_config::model::OnMissing;
use postern_config::rtype::{self, type_code, type_name};
use postern_dns::wire::message::{Message, RecordSpan};
use postern_zones::name::{NameBuf, WireName};
use world::{HUB, World};

/// A record as it stands in a message. `text`: owner, TTL, type, and RDATA in the short form of [`rdata`].
fn record(text: &str) -> Vec<u8> {
    let mut words = text.split(' ');
    let mut word = || words.next().unwrap();
    let mut octets = WireName::parse(word()).unwrap().as_wire().to_vec();
    let ttl: u32 = word().parse().unwrap();
    let rtype = word();
    octets.extend_from_slice(&type_code(rtype).unwrap().to_be_bytes());
    octets.extend_from_slice(&[0, 1]);
    octets.extend_from_slice(&ttl.to_be_bytes());
    let rdata = rdata(rtype, &words.collect::<Vec<_>>());
    octets.extend_from_slice(&(rdata.len() as u16).to_be_bytes());
    [octets, rdata].concat()
}

/// RDATA: an address, a name; for RRSIG the type covered, the labels and the signer; for NSEC the next name; for NSEC3 nothing.
fn rdata(rtype: &str, words: &[&str]) -> Vec<u8> {
    let name = |text: &str| WireName::parse(text).unwrap().as_wire().to_vec();
    match rtype {
        "A" => words[0].split('.').map(|octet| octet.parse().unwrap()).collect(),
        "RRSIG" => {
            let covered = type_code(words[0]).unwrap().to_be_bytes();
            let labels = words[1].parse().unwrap();
            [&covered[..], &[13, labels], &[0; 14], &name(words[2]), b"signature"].concat()
        }
        "SOA" => [&name("ns.signed.test")[..], &name("host.signed.test"), &[0; 16], &60u32.to_be_bytes()].concat(),
        "NSEC" => [&name(words[0])[..], &[0, 1, 0x40]].concat(),
        "NSEC3" => b"\x01\0\0\0\0\x01h\0\x01\x40".to_vec(),
        "DS" => vec![0, 1, 13, 2, 1, 2, 3, 4],
        _ => name(words[0]),
    }
}

fn message(name: &str, rtype: &str, rcode: u8, answer: &[&str], authority: &[&str]) -> Vec<u8> {
    let mut octets = vec![0, 9, 0x81, 0x80 | rcode, 0, 1, 0, answer.len() as u8, 0, authority.len() as u8, 0, 0];
    octets.extend_from_slice(WireName::parse(name).unwrap().as_wire());
    octets.extend_from_slice(&type_code(rtype).unwrap().to_be_bytes());
    octets.extend_from_slice(&[0, 1]);
    answer.iter().chain(authority).for_each(|text| octets.extend_from_slice(&record(text)));
    octets
}

impl World {
    fn script(&mut self, name: &str, rtype: &str, rcode: u8, answer: &[&str], authority: &[&str]) {
        let rtype_code: RecordType = type_code(rtype).unwrap().into();
        self.scripted.insert(format!("{name}. {rtype_code}"), message(name, rtype, rcode, answer, authority));
    }

    /// The records that a client with or without DO gets: `RCODE; answer; + authority`.
    fn records(&mut self, name: &str, rtype: &str, dnssec_ok: bool) -> String {
        let rtype = type_code(rtype).unwrap().into();
        let octets = self.octets(HUB, name, rtype, |question| {
            question.edns.as_mut().unwrap().dnssec_ok = dnssec_ok;
        });
        let message = Message::read(&octets).unwrap();
        let mut text = message.rcode.to_string();
        for record in &message.records {
            let section = if record.answer { "" } else { "+" };
            text += &format!("; {section}{} {} {}", record.owner, record.ttl, described(&message, record));
        }
        text
    }
}

fn described(message: &Message, record: &RecordSpan) -> String {
    let rtype = type_name(record.rtype);
    let raw = message.raw(record);
    match record.rtype {
        rtype::RRSIG => format!("{rtype}({})", type_name(u16::from_be_bytes([raw[0], raw[1]]))),
        rtype::CNAME | rtype::DNAME => {
            let mut name = Vec::new();
            message.append_rdata(record, &mut name).unwrap();
            format!("{rtype} {}", NameBuf::read(&name).unwrap())
        }
        _ => rtype.into_owned(),
    }
}

#[test]
fn a_signature_comes_with_its_rrset_and_the_authority_section_with_what_it_proves() {
    let mut world = World::new();
    let answer = ["a.signed.test 300 A 192.0.2.1", "a.signed.test 300 RRSIG A 3 signed.test", "a.signed.test 300 RRSIG MX 3 signed.test"];
    let authority = [
        "signed.test 300 NS ns.signed.test",
        "signed.test 300 RRSIG NS 2 signed.test",
        "b.signed.test 300 NSEC c.signed.test",
        "b.signed.test 300 RRSIG NSEC 3 signed.test",
    ];
    world.script("a.signed.test", "A", 0, &answer, &authority);
    for _ in 0..2 {
        assert_eq!(world.records("a.signed.test", "A", true), "0; a.signed.test. 300 A; a.signed.test. 300 RRSIG(A)");
        assert_eq!(world.records("a.signed.test", "A", false), "0; a.signed.test. 300 A");
    }
    assert_eq!(world.asked.len(), 2, "DO and not DO are kept apart");

    let denial = [
        "signed.test 300 SOA",
        "signed.test 300 RRSIG SOA 2 signed.test",
        "signed.test 300 RRSIG NS 2 signed.test",
        "b.signed.test 50 NSEC c.signed.test",
        "b.signed.test 50 RRSIG NSEC 3 signed.test",
        "d.signed.test 50 RRSIG NSEC 3 signed.test",
        "b.signed.test 50 RRSIG NSEC3 3 signed.test",
    ];
    world.script("bb.signed.test", "A", 3, &[], &denial);
    let want = "3; +signed.test. 50 SOA; +signed.test. 50 RRSIG(SOA); +b.signed.test. 50 NSEC; +b.signed.test. 50 RRSIG(NSEC)";
    for _ in 0..2 {
        assert_eq!(world.records("bb.signed.test", "A", true), want);
        assert_eq!(world.records("bb.signed.test", "A", false), "3; +signed.test. 60 SOA");
    }
}

#[test]
fn a_dname_stands_before_the_alias_that_was_made_from_it() {
    let dname = ["dn.signed.test 300 DNAME other.signed.test", "dn.signed.test 300 RRSIG DNAME 3 signed.test"];
    let address = ["h.other.signed.test 200 A 192.0.2.3", "h.other.signed.test 200 RRSIG A 4 signed.test"];
    let signed = "0; dn.signed.test. 300 DNAME other.signed.test.; dn.signed.test. 300 RRSIG(DNAME); \
                  h.dn.signed.test. 300 CNAME h.other.signed.test.; h.other.signed.test. 200 A; h.other.signed.test. 200 RRSIG(A)";
    let plain = "0; dn.signed.test. 300 DNAME other.signed.test.; h.dn.signed.test. 300 CNAME h.other.signed.test.; \
                 h.other.signed.test. 200 A";
    // Servers give the CNAME the TTL of the DNAME, a TTL of 0, or leave it out.
    for cname in [&["h.dn.signed.test 300 CNAME h.other.signed.test"][..], &["h.dn.signed.test 0 CNAME h.other.signed.test"], &[]] {
        let mut world = World::new();
        world.script("h.dn.signed.test", "A", 0, &[&dname, cname, &address].concat(), &[]);
        for _ in 0..2 {
            assert_eq!(world.records("h.dn.signed.test", "A", true), signed);
            assert_eq!(world.records("h.dn.signed.test", "A", false), plain);
        }
        assert_eq!(world.asked.len(), 2, "{:?}", world.asked);
        assert_eq!(
            world.records("h.dn.signed.test", "CNAME", true),
            "0; dn.signed.test. 300 DNAME other.signed.test.; dn.signed.test. 300 RRSIG(DNAME); \
             h.dn.signed.test. 300 CNAME h.other.signed.test."
        );
        assert_eq!(world.asked.len(), 2, "the alias is known");
    }
}

#[test]
fn a_dname_that_is_not_the_reason_of_the_alias_is_dropped() {
    let cname = "h.dn.signed.test 300 CNAME h.other.signed.test";
    let address = "h.other.signed.test 200 A 192.0.2.3";
    for dname in [
        "dn.signed.test 300 DNAME elsewhere.signed.test",
        "h.dn.signed.test 300 DNAME other.signed.test",
        "x.signed.test 300 DNAME other.signed.test",
    ] {
        let mut world = World::new();
        world.script("h.dn.signed.test", "A", 0, &[dname, cname, address], &[]);
        let want = "0; h.dn.signed.test. 300 CNAME h.other.signed.test.; h.other.signed.test. 200 A";
        assert_eq!(world.records("h.dn.signed.test", "A", true), want, "{dname}");
    }
}

#[test]
fn s1_a_dname_of_a_private_zone_or_of_another_route_is_not_believed() {
    let answer = [
        "corp.test 300 DNAME other.signed.test",
        "x.eu.corp.test 300 CNAME x.eu.other.signed.test",
        "x.eu.other.signed.test 90 A 192.0.2.3",
    ];
    let mut world = World::new();
    world.routes = vec![(".", 0, false), ("eu.corp.test", 0, false)];
    world.host("corp.test", &["hub"], OnMissing::Nxdomain, &[("www", "A", "10.20.1.1")]);
    world.script("x.eu.corp.test", "A", 0, &answer, &[]);
    let want = "0; x.eu.corp.test. 300 CNAME x.eu.other.signed.test.; x.eu.other.signed.test. 90 A";
    assert_eq!(world.records("x.eu.corp.test", "A", true), want, "of a private zone");
    world.zones.clear();
    world.routes[1].1 = 7;
    world.script("x.eu.other.signed.test", "A", 0, &answer[2..], &[]);
    assert_eq!(world.records("x.eu.corp.test", "A", true), want, "of another route");
    // Without the CNAME, nothing is left that the upstream may say.
    world.script("y.eu.corp.test", "A", 0, &answer[..1], &["eu.corp.test 300 SOA"]);
    assert_eq!(world.records("y.eu.corp.test", "A", true), "0; +eu.corp.test. 60 SOA");
}

#[test]
fn a_dname_that_leads_home_is_kept_before_the_private_answer() {
    let mut world = World::new();
    world.host("priv.test", &["hub"], OnMissing::Nxdomain, &[("h", "A", "10.20.1.5"), ("mail", "MX", "10 h")]);
    let dname = ["dn.signed.test 300 DNAME priv.test", "dn.signed.test 300 RRSIG DNAME 3 signed.test"];
    for (name, rtype, leaked) in [("h", "A", "h.priv.test 300 A 192.0.2.66"), ("mail", "MX", "h.priv.test 300 A 192.0.2.66")] {
        let cname = format!("{name}.dn.signed.test 300 CNAME {name}.priv.test");
        world.script(&format!("{name}.dn.signed.test"), rtype, 0, &[dname[0], dname[1], &cname, leaked], &[]);
        for _ in 0..2 {
            let want = format!(
                "0; dn.signed.test. 300 DNAME priv.test.; dn.signed.test. 300 RRSIG(DNAME); \
                 {name}.dn.signed.test. 300 CNAME {name}.priv.test.; {name}.priv.test. 10 {rtype}"
            );
            assert_eq!(world.records(&format!("{name}.dn.signed.test"), rtype, true), want);
        }
    }
}

#[test]
fn a_dname_that_made_two_aliases_stands_there_once() {
    let mut world = World::new();
    let answer = [
        "dn.signed.test 300 DNAME other.signed.test",
        "h.dn.signed.test 300 CNAME h.other.signed.test",
        "h.other.signed.test 300 CNAME k.dn.signed.test",
        "k.dn.signed.test 300 CNAME k.other.signed.test",
        "k.other.signed.test 300 A 192.0.2.1",
    ];
    world.script("h.dn.signed.test", "A", 0, &answer, &[]);
    for _ in 0..2 {
        let got = world.records("h.dn.signed.test", "A", true);
        assert_eq!((got.matches("DNAME").count(), got.matches("CNAME").count()), (1, 3), "{got}");
        world.now = world.now.plus(Duration::from_secs(5));
    }
}

/// `x.w.signed.test` is made from `*.w.signed.test`.
const PROOF: [&str; 4] = [
    "a.signed.test 90 NSEC z.signed.test",
    "a.signed.test 90 RRSIG NSEC 3 signed.test",
    "hash.signed.test 90 NSEC3",
    "hash.signed.test 90 RRSIG NSEC3 3 signed.test",
];
const PROVEN: &str =
    "+a.signed.test. 90 NSEC; +a.signed.test. 90 RRSIG(NSEC); +hash.signed.test. 90 NSEC3; +hash.signed.test. 90 RRSIG(NSEC3)";

#[test]
fn the_proof_of_a_wildcard_is_kept_with_its_answer() {
    let mut world = World::new();
    let answer = ["x.w.signed.test 300 A 192.0.2.1", "x.w.signed.test 300 RRSIG A 3 signed.test"];
    let others = ["signed.test 300 NS ns.signed.test", "fabrikam.test 300 NSEC z.fabrikam.test"];
    world.script("x.w.signed.test", "A", 0, &answer, &[&others[..], &PROOF].concat());
    for _ in 0..2 {
        let want = format!("0; x.w.signed.test. 90 A; x.w.signed.test. 90 RRSIG(A); {PROVEN}");
        assert_eq!(world.records("x.w.signed.test", "A", true), want);
    }
    assert_eq!(world.records("x.w.signed.test", "A", false), "0; x.w.signed.test. 300 A");
    assert_eq!(world.asked.len(), 2);
    // RRsets with names are compressed, and are kept in another form.
    let answer = ["x.w.signed.test 300 NS ns.signed.test", "x.w.signed.test 300 RRSIG NS 3 signed.test"];
    world.script("x.w.signed.test", "NS", 0, &answer, &PROOF);
    for _ in 0..2 {
        let want = format!("0; x.w.signed.test. 90 NS; x.w.signed.test. 90 RRSIG(NS); {PROVEN}");
        assert_eq!(world.records("x.w.signed.test", "NS", true), want);
    }
    // The wildcard itself needs no proof.
    let answer = ["*.w.signed.test 300 A 192.0.2.1", "*.w.signed.test 300 RRSIG A 3 signed.test"];
    world.script("*.w.signed.test", "A", 0, &answer, &PROOF);
    assert_eq!(world.records("*.w.signed.test", "A", true), "0; *.w.signed.test. 300 A; *.w.signed.test. 300 RRSIG(A)");
}

#[test]
fn the_proof_of_an_alias_made_from_a_wildcard_goes_along_whatever_the_alias_leads_to() {
    let alias = |target: &str| [format!("x.w.signed.test 300 CNAME {target}"), "x.w.signed.test 300 RRSIG CNAME 3 signed.test".into()];
    let signed_alias = |target: &str| format!("x.w.signed.test. 90 CNAME {target}.; x.w.signed.test. 90 RRSIG(CNAME)");
    let address = ["www.signed.test 80 A 192.0.2.1", "www.signed.test 80 RRSIG A 3 signed.test"];

    let mut world = World::new();
    let to_address = alias("www.signed.test");
    let answer = [&[&*to_address[0], &*to_address[1]], &address[..]].concat();
    world.script("x.w.signed.test", "A", 0, &answer, &PROOF);
    let aliased = signed_alias("www.signed.test");
    for _ in 0..2 {
        let want = format!("0; {aliased}; www.signed.test. 80 A; www.signed.test. 80 RRSIG(A); {PROVEN}");
        assert_eq!(world.records("x.w.signed.test", "A", true), want);
        assert_eq!(world.records("x.w.signed.test", "CNAME", true), format!("0; {aliased}; {PROVEN}"));
    }
    // The target denies another type: its proof stands before that of the cached alias, and what is the same stands there once.
    let denial = ["signed.test 300 SOA", PROOF[0], PROOF[1]];
    world.script("www.signed.test", "MX", 0, &[], &denial);
    let proven = "+signed.test. 60 SOA; +a.signed.test. 60 NSEC; +a.signed.test. 60 RRSIG(NSEC); \
                  +hash.signed.test. 90 NSEC3; +hash.signed.test. 90 RRSIG(NSEC3)";
    assert_eq!(world.records("x.w.signed.test", "MX", true), format!("0; {aliased}; {proven}"));

    // Into a private zone: an address, a type with addresses in ADDITIONAL, and a denial.
    let mut world = World::new();
    world.host("priv.test", &["hub"], OnMissing::Nxdomain, &[("h", "A", "10.20.1.5"), ("h", "MX", "10 h")]);
    let home = alias("h.priv.test");
    for (rtype, want) in [("A", "h.priv.test. 10 A; "), ("MX", "h.priv.test. 10 MX; "), ("AAAA", "")] {
        world.script("x.w.signed.test", rtype, 0, &[&*home[0], &*home[1]], &PROOF);
        for _ in 0..2 {
            let got = world.records("x.w.signed.test", rtype, true).replace("; +priv.test. 10 SOA", "");
            assert_eq!(got, format!("0; {}; {want}{PROVEN}", signed_alias("h.priv.test")), "{rtype}");
        }
    }
    assert_eq!(world.asked.len(), 1, "{:?}", world.asked);
}

#[test]
fn ds_of_a_hosted_zone_comes_from_the_parent_with_its_proof() {
    let mut world = World::new();
    world.host("corp.signed.test", &["hub"], OnMissing::Nxdomain, &[("www", "A", "10.20.5.2")]);
    let insecure = [
        "signed.test 300 SOA",
        "signed.test 300 RRSIG SOA 2 signed.test",
        "corp.signed.test 60 NSEC z.signed.test",
        "corp.signed.test 60 RRSIG NSEC 3 signed.test",
    ];
    world.script("corp.signed.test", "DS", 0, &[], &insecure);
    let proven = "0; +signed.test. 60 SOA; +signed.test. 60 RRSIG(SOA); +corp.signed.test. 60 NSEC; +corp.signed.test. 60 RRSIG(NSEC)";
    for _ in 0..2 {
        assert_eq!(world.records("corp.signed.test", "DS", true), proven);
        assert_eq!(world.records("www.corp.signed.test", "DS", true), "0; +corp.signed.test. 10 SOA", "below the apex it is ours");
    }
    assert_eq!(world.asked.len(), 1);
    let signed = ["corp.signed.test 300 DS", "corp.signed.test 300 RRSIG DS 3 signed.test"];
    world.script("corp.signed.test", "DS", 0, &signed, &[]);
    world.now = world.now.plus(Duration::from_secs(61));
    assert_eq!(world.records("corp.signed.test", "DS", true), "0; corp.signed.test. 300 DS; corp.signed.test. 300 RRSIG(DS)");
}

#[test]
fn a_denial_behind_an_alias_is_not_taken_for_the_denial_of_its_name_alone() {
    let mut world = World::new();
    let alias = "al.signed.test 300 CNAME nope.signed.test";
    let (soa, part) = ("signed.test 300 SOA", "m.signed.test 300 NSEC o.signed.test");
    world.script("al.signed.test", "A", 3, &[alias], &[soa, part]);
    world.script("nope.signed.test", "A", 3, &[], &[soa, part, "signed.test 300 NSEC a.signed.test"]);
    let cold = "3; al.signed.test. 300 CNAME nope.signed.test.; +signed.test. 60 SOA; +m.signed.test. 60 NSEC";
    assert_eq!(world.records("al.signed.test", "A", true), cold);
    let whole = "+signed.test. 60 SOA; +m.signed.test. 60 NSEC; +signed.test. 60 NSEC";
    for _ in 0..2 {
        assert_eq!(world.records("nope.signed.test", "A", true), format!("3; {whole}"));
        let warm = format!("3; al.signed.test. 300 CNAME nope.signed.test.; {whole}");
        assert_eq!(world.records("al.signed.test", "A", true), warm);
    }
    assert_eq!(world.asked.len(), 2);
    // Without DO nothing is missing.
    for name in ["al.signed.test", "nope.signed.test"] {
        assert!(world.records(name, "A", false).ends_with("+signed.test. 60 SOA"));
    }
    assert_eq!(world.asked.len(), 3);
}

#[test]
fn an_answer_whose_proof_does_not_fit_is_truncated() {
    let mut world = World::new();
    let answer = ["x.w.signed.test 300 A 192.0.2.1", "x.w.signed.test 300 RRSIG A 3 signed.test"];
    world.script("x.w.signed.test", "A", 0, &answer, &PROOF);
    let whole = world.records("x.w.signed.test", "A", true);
    let length = world.octets(HUB, "x.w.signed.test", RecordType::A, |question| question.edns.as_mut().unwrap().dnssec_ok = true).len();
    for limit in 60..length {
        world.limit = limit;
        assert_eq!(world.records("x.w.signed.test", "A", true), "0", "{limit} octets");
    }
    world.limit = length;
    assert_eq!(world.records("x.w.signed.test", "A", true), whole);
}
