//! A changed zone is the zone that would be built from the changed records.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::tests::{TYPES, build, owner};
use super::*;

type Records = BTreeMap<(Vec<&'static str>, &'static str), u8>;

fn owner_text(owner: &[&str]) -> String {
    if owner.is_empty() { "@".into() } else { owner.iter().rev().copied().collect::<Vec<_>>().join(".") }
}

fn data(rtype: &str, number: u8) -> String {
    match rtype {
        "A" => format!("10.0.0.{number}"),
        "DS" => format!(r"\# 5 000108020{number}"),
        "TXT" => format!("text{number}"),
        _ => format!("target{number}.test."),
    }
}

fn lines(records: &Records) -> String {
    let line = |((owner, rtype), number): (&(Vec<&str>, &str), &u8)| format!("{} 60 {rtype} {}\n", owner_text(owner), data(rtype, *number));
    records.iter().map(line).collect()
}

/// The change that makes one RRset what it is in `records`.
fn change(records: &Records, owner: &[&'static str], rtype: &'static str) -> RrSetChange {
    let one = match records.get(&(owner.to_vec(), rtype)) {
        Some(number) => [((owner.to_vec(), rtype), *number)].into(),
        None => Records::new(),
    };
    let mut builder = ZoneBuilder::new(WireName::parse("contoso.test").unwrap());
    for ((owner, rtype), number) in &one {
        builder.add(&owner_text(owner), 60, rtype, &data(rtype, *number)).unwrap();
    }
    let name = match owner {
        [] => "contoso.test".into(),
        owner => format!("{}.contoso.test", owner_text(owner)),
    };
    let name = NameBuf::parse(&name).unwrap();
    let rtype: u16 = rtype.parse::<hickory_proto::rr::RecordType>().unwrap().into();
    let rdata = match builder.finish(1) {
        Ok(built) => built.zone.at(&name).filter(|set| set.rtype == rtype).flat_map(|set| set.rdata()).map(Box::from).collect(),
        Err(_) => vec![b"\x07target1\x04test\x00"[..].into()], // refused by the builder; by `apply` as well
    };
    RrSetChange { owner: name.to_wire_name(), rtype, ttl: 60, rdata }
}

fn same(changed: &Zone, rebuilt: &Zone) -> Result<(), TestCaseError> {
    prop_assert_eq!(&changed.shards, &rebuilt.shards);
    let counts = ZoneCounts { depth: rebuilt.counts.depth, ..changed.counts };
    prop_assert_eq!(counts, rebuilt.counts);
    prop_assert!(changed.counts.depth >= rebuilt.counts.depth);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn a_changed_zone_equals_the_rebuilt_one(
        steps in prop::collection::vec(prop::collection::vec((owner(&["a", "b", "*"], 4), prop::sample::select(TYPES), 0u8..4), 1..4), 1..24),
    ) {
        let mut records = Records::new();
        let mut zone = build("contoso.test", "").unwrap().zone;
        for step in steps {
            let mut next = records.clone();
            for (owner, rtype, number) in &step {
                match number {
                    0 | 1 => next.remove(&(owner.clone(), *rtype)),
                    number => next.insert((owner.clone(), *rtype), *number),
                };
            }
            let changes: Vec<RrSetChange> = step.iter().map(|(owner, rtype, _)| change(&next, owner, rtype)).collect();
            match (zone.apply(&changes), build("contoso.test", &lines(&next))) {
                (Ok(changed), Ok(rebuilt)) => {
                    same(&changed, &rebuilt.zone)?;
                    let serial = if next == records { zone.serial() } else { zone.serial() + 1 };
                    prop_assert_eq!(changed.serial(), serial);
                    (zone, records) = (changed, next);
                }
                (Err(_), Err(_)) => {}
                (applied, built) => prop_assert!(false, "{:?} but {:?}", applied.map(|_| ()), built.map(|_| ())),
            }
        }
    }
}

#[test]
fn a_change_shares_what_it_does_not_touch() {
    let records: String = (0..20_000).map(|number| format!("h{number} 60 A 10.0.0.1\n")).collect();
    let zone = build("contoso.test", &records).unwrap().zone;
    let owner = NameBuf::parse("new.contoso.test").unwrap();
    let changed = zone.apply(&[RrSetChange::set(&owner, 1, 60, [[10, 0, 0, 2][..].into()])]).unwrap();
    let anew = changed.shards.not_in(&zone.shards).count();
    assert!(anew <= 2, "the name's shard and the apex's: {anew} of {}", zone.shards.len());
    assert!(matches!(zone.lookup(&owner, 1), Lookup::Missing) && matches!(changed.lookup(&owner, 1), Lookup::Found { .. }));
}

#[test]
fn a_zone_outgrows_its_shards_and_loses_nothing() {
    let mut zone = build("contoso.test", "*.w 60 A 10.0.0.1").unwrap().zone;
    let mut owners = BTreeSet::new();
    for batch in 0..60 {
        let names: Vec<NameBuf> = (0..100).map(|number| NameBuf::parse(&format!("h{number}.b{batch}.contoso.test")).unwrap()).collect();
        let changes: Vec<RrSetChange> = names.iter().map(|name| RrSetChange::set(name, 1, 60, [[10, 0, 0, 2][..].into()])).collect();
        zone = zone.apply(&changes).unwrap();
        owners.extend(names.iter().map(|name| name.to_string()));
    }
    assert!(zone.shards.len() >= 8, "{}", zone.shards.len());
    assert_eq!(zone.counts().records, 6002);
    let found: BTreeSet<String> = zone.records().filter(|(_, set)| set.rtype == 1).map(|(owner, _)| owner.to_string()).collect();
    assert!(owners.is_subset(&found) && found.len() == 6001);
}

#[test]
fn refuses_what_cannot_be_and_says_which_change() {
    let zone = build("contoso.test", "a 60 A 10.0.0.1\nx.d 60 A 10.0.0.1\nc 60 CNAME a.contoso.test.").unwrap().zone;
    let name = |text: &str| NameBuf::parse(text).unwrap();
    let target = || b"\x01b\x04test\x00"[..].into();
    let fine = RrSetChange::set(&name("fine.contoso.test"), 1, 60, [[10, 0, 0, 2][..].into()]);
    for (change, message) in [
        (RrSetChange::set(&name("a.contoso.test"), 5, 60, [target()]), "CNAME beside A at a.contoso.test."),
        (RrSetChange::set(&name("c.contoso.test"), 1, 60, [[10, 0, 0, 2][..].into()]), "CNAME beside A at c.contoso.test."),
        (RrSetChange::set(&name("contoso.test"), 5, 60, [target()]), "CNAME at the apex, which has an SOA record, at contoso.test."),
        (RrSetChange::set(&name("d.contoso.test"), 39, 60, [target()]), "x.d.contoso.test. lies below a DNAME"),
        (RrSetChange::set(&name("a.fabrikam.test"), 1, 60, []), "a.fabrikam.test. does not lie in the zone contoso.test."),
        (RrSetChange::set(&name("a.contoso.test"), 1, 60, [[1, 2, 3][..].into()]), "A has 3 octets of data instead of 4"),
        (RrSetChange::set(&name("a.contoso.test"), 255, 60, [target()]), "ANY is not a type of records in a zone"),
        (RrSetChange::set(&name("contoso.test"), 6, 60, []), "a zone has one SOA, at its apex, of two names and five numbers"),
        (RrSetChange::set(&name("a.contoso.test"), 1, 1 << 31, []), "TTL 2147483648 is over 2147483647"),
    ] {
        let refused = zone.apply(&[fine.clone(), change]).unwrap_err();
        assert_eq!(refused, [ChangeError { change: 1, message: message.into() }]);
    }
}

#[test]
fn an_alias_is_swapped_for_an_address_in_one_step() {
    let zone = build("contoso.test", "a 60 CNAME b.test.").unwrap().zone;
    let name = NameBuf::parse("a.contoso.test").unwrap();
    let changed = zone.apply(&[RrSetChange::set(&name, 5, 60, []), RrSetChange::set(&name, 1, 60, [[10, 0, 0, 2][..].into()])]).unwrap();
    assert!(matches!(changed.lookup(&name, 1), Lookup::Found { .. }));
}

#[test]
fn an_soa_that_is_set_keeps_its_serial() {
    let zone = build("contoso.test", "").unwrap().zone;
    let rdata = [&b"\x01n\x04test\x00\x01h\x04test\x00"[..], &77u32.to_be_bytes(), &[0; 16]].concat();
    let changed = zone.apply(&[RrSetChange::set(&zone.apex().to_buf(), 6, 60, [rdata.into()])]).unwrap();
    assert_eq!((changed.serial(), changed.has_own_serial(), changed.soa().ttl), (77, true, 60));
}

#[test]
fn serials_wrap_around() {
    for (old, new, rose) in [(1, 2, true), (2, 1, false), (u32::MAX, 1, true), (1, 1, false), (0, 1 << 31, false), (0, (1 << 31) - 1, true)]
    {
        assert_eq!(serial_rose(old, new), rose, "{old} {new}");
    }
    assert_eq!(next_serial(u32::MAX), 1);
}

#[test]
fn records_that_no_message_holds_are_refused_however_few_they_are() {
    let zone = build("contoso.test", "").unwrap().zone;
    let name = NameBuf::parse("a.contoso.test").unwrap();
    for (octets, records, is_refused) in [(60_000, 1, false), (40_000, 2, true), (60_000, 2, true), (4, 4_095, true), (4, 4_000, false)] {
        let data = (0..records).map(|number: u32| number.to_be_bytes().iter().rev().cycle().take(octets).copied().collect());
        let applied = zone.apply(&[RrSetChange::set(&name, 65_280, 60, data)]);
        match is_refused {
            true => assert!(applied.unwrap_err()[0].message.ends_with("more than one DNS message holds"), "{octets} {records}"),
            false => {
                assert_eq!(applied.unwrap().at(&name).map(|set| set.rdata().count()).sum::<usize>(), records as usize, "{octets} {records}")
            }
        }
    }
}
