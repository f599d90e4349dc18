use std::path::Path;

use postern_config::PosternConfig;
use postern_zones::zone::{Zone, ZoneBuilder};

use super::record::{ANY, IN, NONE};
use super::*;
use crate::tsig::Keyring;

const RECORDS: [(&str, u32, &str, &str); 9] = [
    ("corp.test.", 3600, "SOA", "ns1.corp.test. hostmaster.corp.test. 10 3600 600 86400 60"),
    ("corp.test.", 3600, "NS", "ns1.corp.test."),
    ("corp.test.", 3600, "NS", "ns2.corp.test."),
    ("corp.test.", 300, "TXT", "\"apex\""),
    ("www.corp.test.", 300, "A", "10.0.0.1"),
    ("www.corp.test.", 300, "A", "10.0.0.2"),
    ("www.corp.test.", 300, "TXT", "\"hello\""),
    ("alias.corp.test.", 300, "CNAME", "www.corp.test."),
    ("a.deep.corp.test.", 300, "A", "10.0.0.3"),
];

fn zone() -> Zone {
    let mut builder = ZoneBuilder::new(postern_zones::name::WireName::parse("corp.test").unwrap());
    for (owner, ttl, rtype, rdata) in RECORDS {
        builder.add(owner, ttl, rtype, rdata).unwrap();
    }
    builder.finish(10).unwrap().zone
}

fn keys(policy: &str) -> Vec<Arc<TsigKey>> {
    let text = format!("[[key]]\nname = 'k'\nunsigned = true\nclients = ['10.0.0.0/8']\nallow = ['update']\n{policy}\n");
    let config: PosternConfig = postern_config::parse(&text, Path::new("t.toml")).unwrap().config;
    Keyring::new(&config).unsigned("10.0.0.1".parse().unwrap()).cloned().collect()
}

/// `name class type ttl [data]`; class `in`, `any` or `none`; without data the record is bare.
fn record(line: &str) -> UpdateRecord {
    let mut words = line.splitn(5, ' ');
    let mut word = || words.next().unwrap_or_default();
    let owner = postern_zones::name::NameBuf::parse(word()).unwrap();
    let class = match word() {
        "in" => IN,
        "any" => ANY,
        "none" => NONE,
        other => other.parse().unwrap(),
    };
    let rtype = match word() {
        "any" => ANY,
        "axfr" => 252,
        name => postern_zones::text::rdata::type_code(name).unwrap_or_else(|| name.parse().unwrap()),
    };
    let ttl = word().parse().unwrap_or(0);
    let data = word();
    let rdata = match data {
        "" => Some(Box::default()),
        "bad" => Some(Box::from([1u8, 2, 3])),
        _ => Some(postern_zones::text::rdata::read_rdata(rtype, data, &postern_zones::name::NameBuf::root()).unwrap().into()),
    };
    UpdateRecord { owner, rtype, class, ttl, rdata }
}

fn records(lines: &[&str]) -> Vec<UpdateRecord> {
    lines.iter().map(|line| record(line)).collect()
}

/// RCODE of an update; 0 with the zone that it makes.
fn update_with(policy: &str, prerequisites: &[&str], updates: &[&str]) -> (u16, Zone) {
    let zone = zone();
    match changes(&zone, &records(prerequisites), &records(updates), &keys(policy)) {
        Ok(changes) => (0, zone.apply(&changes).unwrap()),
        Err(Refusal::Precondition { rcode, .. }) => (rcode, zone),
        Err(other) => panic!("{other}"),
    }
}

fn rcode_of(prerequisites: &[&str], updates: &[&str]) -> u16 {
    update_with("", prerequisites, updates).0
}

/// All data of a name, sorted, after an update.
fn after(name: &str, updates: &[&str]) -> Vec<String> {
    let (rcode, zone) = update_with("", &[], updates);
    assert_eq!(rcode, 0, "{updates:?}");
    let mut lines: Vec<String> = zone
        .at(&postern_zones::name::NameBuf::parse(name).unwrap())
        .flat_map(|set| {
            let line = move |rdata: &[u8]| {
                let mut text = format!("{} {} ", postern_zones::text::rdata::type_name(set.rtype), set.ttl);
                postern_zones::text::rdata::write_rdata(set.rtype, rdata, &mut text).unwrap();
                text
            };
            set.rdata().map(line).collect::<Vec<_>>()
        })
        .collect();
    lines.sort();
    lines
}

const SOA_LINE: &str = "SOA 3600 ns1.corp.test. hostmaster.corp.test. 10 3600 600 86400 60";

#[test]
fn prerequisites_are_those_of_section_2_4() {
    use rcode::*;
    for (prerequisite, want) in [
        // 2.4.1: the RRset exists, whatever is in it.
        ("www.corp.test any A", NOERROR),
        ("WWW.Corp.Test any A", NOERROR),
        ("www.corp.test any AAAA", NXRRSET),
        ("none.corp.test any A", NXRRSET),
        ("corp.test any SOA", NOERROR),
        // 2.4.3: it does not.
        ("www.corp.test none AAAA", NOERROR),
        ("www.corp.test none A", YXRRSET),
        ("none.corp.test none A", NOERROR),
        // 2.4.4 and 2.4.5: the name is in use, or not. An empty non-terminal is not.
        ("www.corp.test any any", NOERROR),
        ("none.corp.test any any", NXDOMAIN),
        ("deep.corp.test any any", NXDOMAIN),
        ("none.corp.test none any", NOERROR),
        ("deep.corp.test none any", NOERROR),
        ("www.corp.test none any", YXDOMAIN),
        // 3.2.1: a name outside of the zone.
        ("www.other.test any any", NOTZONE),
        ("notcorp.test any any", NOTZONE),
        // 3.2.5: TTL, data, class and type that mean nothing.
        ("www.corp.test any A 1", FORMERR),
        ("www.corp.test none A 1", FORMERR),
        ("www.corp.test in A 1 10.0.0.1", FORMERR),
        ("www.corp.test any A 0 10.0.0.1", FORMERR),
        ("www.corp.test none A 0 10.0.0.1", FORMERR),
        ("www.corp.test in A 0 bad", FORMERR),
        ("www.corp.test in any", FORMERR),
        ("www.corp.test any axfr", FORMERR),
        ("www.corp.test 3 A", FORMERR),
    ] {
        assert_eq!(rcode_of(&[prerequisite], &[]), want, "{prerequisite}");
    }
}

#[test]
fn an_rrset_with_data_must_be_equal_to_the_last_record_and_no_more() {
    use rcode::*;
    let (one, two, three) = ("www.corp.test in A 0 10.0.0.1", "www.corp.test in A 0 10.0.0.2", "www.corp.test in A 0 10.0.0.3");
    for (prerequisites, want) in [
        (&[one, two][..], NOERROR),
        (&[two, one], NOERROR),
        (&[one, two, one], NOERROR),
        (&[one], NXRRSET),
        (&[one, three], NXRRSET),
        (&[one, two, three], NXRRSET),
        (&["none.corp.test in A 0 10.0.0.1"], NXRRSET),
        (&["www.corp.test in TXT 0 \"hello\""], NOERROR),
        (&["www.corp.test in TXT 0 \"Hello\""], NXRRSET),
        (&["alias.corp.test in CNAME 0 WWW.corp.test."], NOERROR),
        (&[one, two, "www.corp.test in TXT 0 \"other\""], NXRRSET),
        (&["corp.test in SOA 0 ns1.corp.test. hostmaster.corp.test. 10 3600 600 86400 60"], NOERROR),
        (&["corp.test in SOA 0 ns1.corp.test. hostmaster.corp.test. 11 3600 600 86400 60"], NXRRSET),
    ] {
        assert_eq!(rcode_of(prerequisites, &[]), want, "{prerequisites:?}");
    }
}

#[test]
fn the_prescan_refuses_what_section_3_4_1_does_and_changes_nothing() {
    use rcode::*;
    let good = "new.corp.test in A 60 10.0.0.9";
    for (update, want) in [
        ("new.other.test in A 60 10.0.0.9", NOTZONE),
        ("new.corp.test in A 60 bad", FORMERR),
        ("new.corp.test in IPSECKEY 60 bad", FORMERR),
        ("new.corp.test in A 60", FORMERR),
        ("new.corp.test in any 60", FORMERR),
        ("new.corp.test in axfr 60", FORMERR),
        ("new.corp.test any A 60", FORMERR),
        ("new.corp.test any A 0 10.0.0.9", FORMERR),
        ("new.corp.test any axfr", FORMERR),
        ("new.corp.test none A 60 10.0.0.9", FORMERR),
        ("new.corp.test none any", FORMERR),
        ("new.corp.test none axfr", FORMERR),
        ("new.corp.test 3 A 60 10.0.0.9", FORMERR),
    ] {
        let (rcode, unchanged) = update_with("", &[], &[good, update]);
        assert_eq!((rcode, unchanged.serial()), (want, 10), "{update}");
        assert!(!unchanged.exists(&postern_zones::name::NameBuf::parse("new.corp.test").unwrap()));
    }
    // Prerequisites come first.
    assert_eq!(rcode_of(&["none.corp.test any any"], &["new.corp.test in any 60"]), NXDOMAIN);
}

#[test]
fn data_without_a_text_form_is_added() {
    // A gateway of a type that nobody has defined, and a type that is in no table.
    for update in ["new.corp.test in IPSECKEY 60 \\# 8 0a0402c000022601", "new.corp.test in TYPE65400 60 bad"] {
        let (rcode, zone) = update_with("", &[], &[update]);
        assert_eq!((rcode, zone.serial()), (0, 11), "{update}");
        assert!(zone.exists(&postern_zones::name::NameBuf::parse("new.corp.test").unwrap()));
    }
}

#[test]
fn records_are_added_as_section_3_4_2_2_has_it() {
    let www = ["A 300 10.0.0.1", "A 300 10.0.0.2", "TXT 300 \"hello\""];
    for (name, updates, want) in [
        ("new.corp.test", &["new.corp.test in A 60 10.0.0.9"][..], &["A 60 10.0.0.9"][..]),
        ("new.corp.test", &["new.corp.test in A 60 10.0.0.9", "NEW.corp.test in A 60 10.0.0.9"], &["A 60 10.0.0.9"]),
        // One more, and one that is there already: the RRset takes the TTL that was said last.
        ("www.corp.test", &["www.corp.test in A 60 10.0.0.3"], &["A 60 10.0.0.1", "A 60 10.0.0.2", "A 60 10.0.0.3", www[2]]),
        ("www.corp.test", &["www.corp.test in A 300 10.0.0.1"], &www),
        // A CNAME beside data, data beside a CNAME: passed over; a CNAME at a CNAME replaces it.
        ("www.corp.test", &["www.corp.test in CNAME 60 x.corp.test."], &www),
        ("alias.corp.test", &["alias.corp.test in A 60 10.0.0.9"], &["CNAME 300 www.corp.test."]),
        ("alias.corp.test", &["alias.corp.test in CNAME 60 x.corp.test."], &["CNAME 60 x.corp.test."]),
        ("new.corp.test", &["new.corp.test in CNAME 60 x.corp.test.", "new.corp.test in A 60 10.0.0.9"], &["CNAME 60 x.corp.test."]),
        (
            "corp.test",
            &["corp.test in CNAME 60 x.corp.test."],
            &["NS 3600 ns1.corp.test.", "NS 3600 ns2.corp.test.", SOA_LINE, "TXT 300 \"apex\""],
        ),
        // A swap in one message, the deletion first.
        ("alias.corp.test", &["alias.corp.test any CNAME", "alias.corp.test in A 60 10.0.0.9"], &["A 60 10.0.0.9"]),
        ("www.corp.test", &["www.corp.test any any", "www.corp.test in CNAME 60 x.corp.test."], &["CNAME 60 x.corp.test."]),
        // An SOA elsewhere, or one that is not newer: passed over.
        ("new.corp.test", &["new.corp.test in SOA 60 a. b. 99 1 1 1 1"], &[]),
        ("*.wild.corp.test", &["*.wild.corp.test in A 60 10.0.0.9"], &["A 60 10.0.0.9"]),
    ] {
        assert_eq!(after(name, updates), want, "{updates:?}");
    }
}

#[test]
fn an_soa_counts_only_where_its_serial_is_newer() {
    let with = |serial: u32| format!("corp.test in SOA 60 ns9.corp.test. h.corp.test. {serial} 1 2 3 4");
    for (serial, want) in [(11, 11), (10, 10), (9, 10), (10u32.wrapping_add(1 << 31).wrapping_sub(1), 2_147_483_657), (10 + (1 << 31), 10)]
    {
        let (_, zone) = update_with("", &[], &[&with(serial)]);
        assert_eq!(zone.serial(), want, "{serial}");
    }
    // The serial said counts, not one more; without one it rises.
    assert_eq!(update_with("", &[], &["new.corp.test in A 60 10.0.0.9", &with(77)]).1.serial(), 77);
    assert_eq!(update_with("", &[], &["new.corp.test in A 60 10.0.0.9", &with(5)]).1.serial(), 11);
}

#[test]
fn records_are_deleted_as_sections_3_4_2_3_and_3_4_2_4_have_it() {
    let (ns, apex) = (["NS 3600 ns1.corp.test.", "NS 3600 ns2.corp.test."], "TXT 300 \"apex\"");
    for (name, updates, want) in [
        ("www.corp.test", &["www.corp.test any A"][..], &["TXT 300 \"hello\""][..]),
        ("www.corp.test", &["www.corp.test any any"], &[]),
        ("www.corp.test", &["www.corp.test none A 0 10.0.0.1"], &["A 300 10.0.0.2", "TXT 300 \"hello\""]),
        ("www.corp.test", &["www.corp.test none A 0 10.0.0.7"], &["A 300 10.0.0.1", "A 300 10.0.0.2", "TXT 300 \"hello\""]),
        ("alias.corp.test", &["alias.corp.test none CNAME 0 WWW.CORP.test."], &[]),
        ("none.corp.test", &["none.corp.test any any", "none.corp.test any A", "none.corp.test none A 0 10.0.0.1"], &[]),
        // The apex keeps its SOA and at least one NS.
        ("corp.test", &["corp.test any any"], &[ns[0], ns[1], SOA_LINE]),
        ("corp.test", &["corp.test any SOA", "corp.test any NS"], &[ns[0], ns[1], SOA_LINE, apex]),
        ("corp.test", &["corp.test none SOA 0 ns1.corp.test. hostmaster.corp.test. 10 3600 600 86400 60"], &[ns[0], ns[1], SOA_LINE, apex]),
    ] {
        let mut got = after(name, updates);
        got.iter_mut().filter(|line| line.starts_with("SOA")).for_each(|line| *line = line.replace(" 11 3600", " 10 3600"));
        assert_eq!(got, want, "{updates:?}");
    }
    let last = after("corp.test", &["corp.test none NS 0 ns1.corp.test.", "corp.test none NS 0 ns2.corp.test."]);
    assert!(last.contains(&ns[1].into()) && !last.contains(&ns[0].into()), "{last:?}");
    let swapped = after(
        "corp.test",
        &["corp.test in NS 60 ns3.corp.test.", "corp.test none NS 0 ns1.corp.test.", "corp.test none NS 0 ns2.corp.test."],
    );
    assert!(swapped.contains(&"NS 60 ns3.corp.test.".into()) && swapped.len() == 3, "{swapped:?}");
    // Below the apex NS records are like any others.
    assert_eq!(after("sub.corp.test", &["sub.corp.test in NS 60 ns.corp.test.", "sub.corp.test none NS 0 ns.corp.test."]), [""; 0]);
}

#[test]
fn what_changes_nothing_leaves_the_serial() {
    for updates in [&[][..], &["www.corp.test in A 300 10.0.0.1"], &["none.corp.test any any"], &["corp.test any SOA"]] {
        assert_eq!(update_with("", &["www.corp.test any A"], updates).1.serial(), 10, "{updates:?}");
    }
    let back_and_forth = ["www.corp.test none A 0 10.0.0.2", "www.corp.test in A 300 10.0.0.2"];
    assert_eq!(update_with("", &[], &back_and_forth).1.serial(), 10);
}

#[test]
fn a_key_changes_what_its_policy_says() {
    use rcode::*;
    let acme = "names = ['_acme-challenge.*']\ntypes = ['TXT']";
    let host = "names = ['www.corp.test']";
    for (policy, updates, want) in [
        (acme, &["_acme-challenge.www.corp.test in TXT 60 \"x\""][..], NOERROR),
        (acme, &["_acme-challenge.www.corp.test in A 60 10.0.0.1"], REFUSED),
        (acme, &["www.corp.test in TXT 60 \"x\""], REFUSED),
        (acme, &["_acme-challenge.www.corp.test any TXT"], NOERROR),
        (acme, &["_acme-challenge.www.corp.test any any"], NOERROR),
        (acme, &["www.corp.test any any"], REFUSED),
        (acme, &["_acme-challenge.www.corp.test in TXT 60 \"x\"", "www.corp.test in TXT 60 \"x\""], REFUSED),
        (host, &["www.corp.test any any", "www.corp.test in A 60 10.0.0.1"], NOERROR),
        (host, &["none.corp.test any any"], REFUSED),
        ("types = ['A']", &["www.corp.test any any"], REFUSED),
        ("types = ['A', 'TXT']", &["www.corp.test any any"], NOERROR),
    ] {
        assert_eq!(update_with(policy, &[], updates).0, want, "{policy} {updates:?}");
    }
    // Who may not change it still learns nothing more than prerequisites tell to everybody who may change the zone.
    assert_eq!(update_with(acme, &["none.corp.test any any"], &["www.corp.test any any"]).0, NXDOMAIN);
}

#[test]
fn a_message_is_read_as_section_2_has_it() {
    let soa = b"\x04corp\x04test\0\0\x06\0\x01";
    let message = |zone: &[u8], counts: [u8; 3], records: &[u8]| {
        let header = [0x12, 0x34, 0x28, 0, 0, 1, 0, counts[0], 0, counts[1], 0, counts[2]];
        [&header, zone, records].concat()
    };
    let records = [&b"\xc0\x0c\0\xff\0\xff\0\0\0\0\0\0"[..], b"\x03www\xc0\x0c\0\x02\0\x01\0\0\0\x3c\0\x06\x03ns1\xc0\x0c"].concat();
    let update = Update::read(&message(soa, [1, 1, 0], &records)).unwrap();
    assert_eq!((update.zone.as_str(), update.prerequisites.len(), update.updates.len()), ("corp.test", 1, 1));
    assert_eq!(update.updates[0], record("www.corp.test in NS 60 ns1.corp.test."));
    for (zone, counts, records, want) in [
        (&b"\x04corp\x04test\0\0\x01\0\x01"[..], [0, 0, 0], &[][..], rcode::FORMERR), // 3.1.1: ZTYPE
        (b"\x04corp\x04test\0\0\x06\0\x03", [0, 0, 0], &[], rcode::NOTAUTH),          // 3.1.2: ZCLASS
        (soa, [3, 0, 0], &records, rcode::FORMERR),
        (soa, [0, 1, 0], &records[..5], rcode::FORMERR),
    ] {
        assert_eq!(Update::read(&message(zone, counts, records)).unwrap_err().rcode, want);
    }
    let mut two_zones = message(soa, [0, 0, 0], soa);
    two_zones[5] = 2;
    assert_eq!(Update::read(&two_zones).unwrap_err().rcode, rcode::FORMERR);
}

#[test]
fn each_refusal_has_its_rcode() {
    let told = |refusal| Told::refused(&refusal).rcode;
    assert_eq!(told(Refusal::NoZone("a.test".into())), rcode::NOTAUTH);
    assert_eq!(told(Refusal::ReadOnly { name: "a.test".into(), writer: "the file a.zone".into() }), rcode::REFUSED);
    assert_eq!(told(Refusal::Precondition { message: String::new(), rcode: 8 }), rcode::NXRRSET);
    assert_eq!(told(Refusal::Busy), rcode::SERVFAIL);
    assert_eq!(told(Refusal::Journal(String::new())), rcode::SERVFAIL);
    assert_eq!(told(Refusal::Panicked), rcode::SERVFAIL);
}
