//! Lookup as the RFCs have it, by table and against a model.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::authority::ZoneAuthority;
use crate::record::{RecordSink, Severity, SourceProblem};
use crate::text::rdata::type_name;

/// `owner ttl type data` lines.
pub(super) fn build(apex: &str, lines: &str) -> Result<Built, Vec<SourceProblem>> {
    let mut builder = ZoneBuilder::new(WireName::parse(apex).unwrap());
    for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let mut parts = line.splitn(4, ' ');
        let mut part = || parts.next().unwrap();
        builder.add(part(), part().parse().unwrap(), part(), part()).unwrap_or_else(|error| panic!("{line}: {error}"));
    }
    builder.finish(1)
}

fn zone(apex: &str, lines: &str) -> Zone {
    build(apex, lines).unwrap_or_else(|problems| panic!("{problems:?}")).zone
}

fn name(text: &str) -> NameBuf {
    NameBuf::parse(text).unwrap()
}

fn type_number(text: &str) -> u16 {
    match text {
        "ANY" => rtype::ANY,
        text => text.parse::<hickory_proto::rr::RecordType>().unwrap().into(),
    }
}

/// A lookup in a word or two: `found A`, `alias wildcard`, `redirect 1`, `referral 0`, `nodata`, `missing`.
fn tell(lookup: Lookup<'_>) -> String {
    let made = |wildcard| if wildcard { " wildcard" } else { "" };
    match lookup {
        Lookup::Found { set, wildcard } => format!("found {}{}", type_name(set.rtype), made(wildcard)),
        Lookup::Alias { set, wildcard } => {
            assert_eq!((set.rtype, set.count), (rtype::CNAME, 1));
            format!("alias{}", made(wildcard))
        }
        Lookup::Redirect { set, owner } => {
            assert_eq!((set.rtype, set.count), (rtype::DNAME, 1));
            format!("redirect {owner}")
        }
        Lookup::Referral { set, owner } => {
            assert_eq!(set.rtype, rtype::NS);
            format!("referral {owner}")
        }
        Lookup::NoData => "nodata".into(),
        Lookup::Missing => "missing".into(),
    }
}

/// Every `name type: result` line holds.
fn holds(zone: &Zone, lines: &str) {
    for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (question, want) = line.split_once(": ").unwrap();
        let (asked, rtype) = question.split_once(' ').unwrap();
        assert_eq!(tell(zone.lookup(&name(asked), type_number(rtype))), want, "{question}");
    }
}

#[test]
fn wildcards_as_in_the_example_of_rfc_4592_section_2_2_1() {
    let zone = zone(
        "example",
        "@ 3600 SOA ns.example.com. host.example. 7 1 1 1 60
         @ 3600 NS ns.example.com.
         @ 3600 NS ns.example.net.
         * 3600 TXT wildcard
         * 3600 MX 10 host1.example.
         sub.* 3600 TXT plain
         host1 3600 A 192.0.2.1
         _ssh._tcp.host1 3600 SRV 0 0 22 host1.example.
         _ssh._tcp.host2 3600 SRV 0 0 22 host2.example.
         subdel 3600 NS ns.example.com.
         subdel 3600 NS ns.example.net.",
    );
    holds(
        &zone,
        "host3.example MX: found MX wildcard
         host3.example A: nodata
         foo.bar.example TXT: found TXT wildcard
         host1.example MX: nodata
         sub.*.example MX: nodata
         sub.*.example TXT: found TXT
         _telnet._tcp.host1.example SRV: missing
         host.subdel.example A: referral 1
         ghost.*.example MX: missing
         *.example MX: found MX
         *.example A: nodata
         host2.example A: nodata
         _tcp.host2.example A: nodata
         other.host2.example A: missing
         host3.example ANY: found MX wildcard",
    );
}

#[test]
fn a_wildcard_can_be_an_alias_or_have_nothing() {
    let zone = zone(
        "contoso.test",
        "*.alias 60 CNAME target.contoso.test.
         target 60 A 10.0.0.1
         below.*.empty 60 A 10.0.0.2
         deep.x.star 60 A 10.0.0.3
         *.star 60 A 10.0.0.4",
    );
    holds(
        &zone,
        "a.alias.contoso.test A: alias wildcard
         a.alias.contoso.test AAAA: alias wildcard
         a.alias.contoso.test CNAME: found CNAME wildcard
         a.b.alias.contoso.test A: alias wildcard
         alias.contoso.test A: nodata
         a.empty.contoso.test A: nodata
         below.a.empty.contoso.test A: nodata
         *.empty.contoso.test A: nodata
         other.*.empty.contoso.test A: missing
         x.star.contoso.test A: nodata
         y.x.star.contoso.test A: missing
         y.star.contoso.test A: found A wildcard",
    );
}

#[test]
fn delegations_hide_what_is_below_but_ds_is_the_parents() {
    let zone = zone(
        "contoso.test",
        r"sub 60 NS ns.sub.contoso.test.
         sub 60 DS \# 5 0001080200
         ns.sub 60 A 10.0.0.1
         deeper.sub 60 NS ns.elsewhere.test.
         plain 60 NS ns.elsewhere.test.
         *.w 60 A 10.0.0.9
         cut.w 60 NS ns.elsewhere.test.",
    );
    holds(
        &zone,
        "sub.contoso.test A: referral 0
         sub.contoso.test NS: referral 0
         sub.contoso.test ANY: referral 0
         sub.contoso.test DS: found DS
         plain.contoso.test DS: nodata
         ns.sub.contoso.test A: referral 1
         ns.sub.contoso.test DS: referral 1
         a.b.sub.contoso.test A: referral 2
         deeper.sub.contoso.test DS: referral 1
         x.deeper.sub.contoso.test A: referral 2
         x.cut.w.contoso.test A: referral 1
         x.w.contoso.test A: found A wildcard
         contoso.test NS: nodata
         contoso.test DS: nodata",
    );
    assert_eq!(zone.at(&name("ns.sub.contoso.test")).count(), 1, "glue is there for the referral");
}

#[test]
fn a_dname_takes_over_what_is_below_it_and_not_itself() {
    let zone = zone(
        "contoso.test",
        "old 60 DNAME new.contoso.test.
         old 60 A 10.0.0.1
         a.new 60 A 10.0.0.2
         *.w 60 DNAME new.contoso.test.",
    );
    holds(
        &zone,
        "old.contoso.test A: found A
         old.contoso.test DNAME: found DNAME
         old.contoso.test TXT: nodata
         a.old.contoso.test A: redirect 1
         a.b.old.contoso.test DNAME: redirect 2
         x.w.contoso.test DNAME: found DNAME wildcard
         y.x.w.contoso.test A: nodata
         *.w.contoso.test A: nodata
         *.w.contoso.test DNAME: found DNAME
         x.*.w.contoso.test A: redirect 1",
    );
    let whole = self::zone("contoso.test", "@ 60 DNAME fabrikam.test.\n@ 60 A 10.0.0.1");
    holds(
        &whole,
        "contoso.test A: found A
         contoso.test SOA: found SOA
         a.b.contoso.test A: redirect 2",
    );
}

#[test]
fn a_zone_can_be_a_single_name() {
    let zone = zone("contosostore.privatelink.blob.core.windows.net", "@ 10 A 10.20.1.7");
    holds(
        &zone,
        "contosostore.privatelink.blob.core.windows.net A: found A
         contosostore.privatelink.blob.core.windows.net AAAA: nodata
         contosostore.privatelink.blob.core.windows.net ANY: found SOA
         x.contosostore.privatelink.blob.core.windows.net A: missing",
    );
}

#[test]
fn the_root_can_be_a_zone() {
    let zone = zone(".", "test 60 A 10.0.0.1\n* 60 TXT any");
    holds(&zone, "test A: found A\nx.y TXT: found TXT wildcard\n. SOA: found SOA\n. A: nodata");
    assert_eq!(zone.records().count(), 3);
}

#[test]
fn a_long_name_that_is_missing_is_missing() {
    let zone = zone("contoso.test", "*.a.b 60 A 10.0.0.1");
    let long = format!("{}contoso.test", "x.".repeat(110));
    holds(&zone, &format!("{long} A: missing\n{}a.b.contoso.test A: found A wildcard", "x.".repeat(110)));
}

#[test]
fn azures_values_stand_in_for_a_missing_soa() {
    let zone = zone("contoso.test", "a 60 A 10.0.0.1").with_serial(9);
    let (soa, negative) = (zone.soa(), zone.negative_soa());
    assert_eq!((soa.rtype, soa.count, soa.ttl, negative.ttl().unwrap(), zone.serial(), zone.has_own_serial()), (6, 1, 3600, 10, 9, false));
    let rdata = soa.rdata().next().unwrap();
    let text = |wire: &[u8]| NameBuf::read(wire).unwrap().to_string();
    assert_eq!((text(rdata).as_str(), text(&rdata[21..]).as_str()), ("azureprivatedns.net.", "azureprivatedns-host.microsoft.com."));
}

#[test]
fn the_soa_of_the_source_is_served_but_azures_serial_moves() {
    let own = zone("contoso.test", "@ 600 SOA ns.contoso.test. host.contoso.test. 42 1 2 3 4");
    assert_eq!((own.serial(), own.has_own_serial(), own.soa().ttl, own.negative_soa().ttl().unwrap()), (42, true, 600, 4));
    let export = zone("contoso.test", "@ 3600 SOA azureprivatedns.net. azureprivatedns-host.microsoft.com. 1 3600 300 2419200 10");
    assert_eq!((export.serial(), export.has_own_serial()), (1, false));
}

#[test]
fn records_of_a_set_have_one_ttl_and_stand_there_once() {
    let built = build("contoso.test", "a 60 A 10.0.0.1\na 30 A 10.0.0.2\na 60 A 10.0.0.1\nn 60 NS A.test.\nn 60 NS a.TEST.").unwrap();
    let set = built.zone.at(&name("a.contoso.test")).next().unwrap();
    assert_eq!((set.count, set.ttl), (2, 30));
    assert_eq!(set.rdata().collect::<Vec<_>>(), [[10, 0, 0, 1], [10, 0, 0, 2]]);
    assert_eq!(built.zone.at(&name("n.contoso.test")).next().unwrap().count, 1);
    assert_eq!((built.zone.counts().records, built.zone.counts().sets, built.zone.counts().names), (4, 3, 3));
    assert!(built.warnings[0].message.contains("two TTLs"), "{:?}", built.warnings);
}

#[test]
fn ttls_stay_within_the_bounds() {
    let mut builder = ZoneBuilder::new(WireName::parse("contoso.test").unwrap()).ttl_bounds(30, 300);
    for (owner, ttl) in [("low", 1), ("mid", 60), ("high", 86400)] {
        builder.add(owner, ttl, "A", "10.0.0.1").unwrap();
    }
    let zone = builder.finish(1).unwrap().zone;
    for (owner, ttl) in [("low", 30), ("mid", 60), ("high", 300)] {
        assert_eq!(zone.at(&name(&format!("{owner}.contoso.test"))).next().unwrap().ttl, ttl, "{owner}");
    }
    assert_eq!((zone.soa().ttl, zone.negative_soa().ttl().unwrap()), (300, 10));
}

#[test]
fn says_what_may_not_stand_together() {
    for (lines, severity, message) in [
        ("a 60 CNAME b.test.\na 60 A 10.0.0.1", Severity::Error, "CNAME beside other data: a.contoso.test also has A (line 0)"),
        ("a 60 CNAME b.test.\na 60 CNAME c.test.", Severity::Error, "a second CNAME at a.contoso.test"),
        ("a 60 CNAME b.test.\na 60 DNAME c.test.", Severity::Error, "CNAME beside other data: a.contoso.test also has DNAME (line 0)"),
        ("@ 60 CNAME b.test.", Severity::Error, "CNAME at the apex contoso.test"),
        ("a 60 DNAME b.test.\na 60 DNAME c.test.", Severity::Error, "a second DNAME at a.contoso.test"),
        ("a 60 DNAME b.test.\na 60 NS c.test.", Severity::Error, "DNAME beside NS at a.contoso.test (line 0)"),
        ("a 60 DNAME b.test.\nx.y.a 60 A 10.0.0.1", Severity::Error, "x.y.a.contoso.test lies below the DNAME at a.contoso.test"),
        ("a 60 SOA b.test. c.test. 1 2 3 4 5", Severity::Error, "SOA below the apex, at a.contoso.test"),
        (
            "@ 60 SOA b.test. c.test. 1 2 3 4 5\n@ 60 SOA b.test. c.test. 2 2 3 4 5",
            Severity::Error,
            "a second SOA (the first is in line 0)",
        ),
        ("www.fabrikam.test. 60 A 10.0.0.1", Severity::Error, "www.fabrikam.test. does not lie in the zone contoso.test."),
        ("xcontoso.test. 60 A 10.0.0.1", Severity::Error, "xcontoso.test. does not lie in the zone contoso.test."),
        ("a 2147483648 A 10.0.0.1", Severity::Error, "TTL 2147483648 is over 2147483647"),
        ("a 60 NS b.contoso.test.\nx.a 60 TXT t", Severity::Warning, "x.a.contoso.test TXT is never served: a.contoso.test is delegated"),
        (
            "a 60 MX 1 b.contoso.test.\nb 60 CNAME c.test.",
            Severity::Warning,
            "MX of a.contoso.test points to b.contoso.test., which is a CNAME",
        ),
        ("* 60 NS b.test.", Severity::Warning, "NS at the wildcard *.contoso.test is served as plain data"),
        (
            "* 60 DNAME b.test.",
            Severity::Warning,
            "DNAME at the wildcard *.contoso.test redirects the names below *.contoso.test alone, not those that the wildcard matches",
        ),
        (r"a 60 DS \# 5 0001080200", Severity::Warning, "DS without NS at a.contoso.test"),
    ] {
        let problems = match build("contoso.test", lines) {
            Ok(built) => built.warnings,
            Err(problems) => problems,
        };
        let found: Vec<_> = problems.iter().map(|problem| (problem.severity, problem.message.as_str())).collect();
        assert_eq!(found, [(severity, message)], "{lines}");
    }
    for fine in
        ["a 60 CNAME b.test.\na 60 CNAME B.test.", "@ 60 DNAME b.test.\n@ 60 NS c.test.", "a 60 NS b.a.contoso.test.\nb.a 60 A 10.0.0.1"]
    {
        assert_eq!(build("contoso.test", fine).unwrap().warnings, [], "{fine}");
    }
}

#[test]
fn a_flood_of_problems_is_cut_short() {
    let lines: String = (0..500).map(|number| format!("n{number}.fabrikam.test. 60 A 10.0.0.1\n")).collect();
    let problems = build("contoso.test", &lines).unwrap_err();
    assert_eq!(problems.len(), 101);
    assert_eq!(problems[100].message, "and 400 more problems");
}

#[test]
fn a_set_that_fits_no_message_is_refused() {
    let lines: String = (0..5000u32).map(|n| format!("a 60 A 10.0.{}.{}\n", n / 256, n % 256)).collect();
    assert!(build("contoso.test", &lines).unwrap_err()[0].message.contains("more than one DNS message holds"));
    let fits: String = (0..4000u32).map(|n| format!("a 60 A 10.0.{}.{}\n", n / 256, n % 256)).collect();
    assert_eq!(build("contoso.test", &fits).unwrap().zone.at(&name("a.contoso.test")).next().unwrap().count, 4000);
}

/// A zone file of contoso.test, read as the store reads it.
fn read_file(text: &str) -> Result<Built, Vec<SourceProblem>> {
    read_file_with(text, None)
}

fn read_file_with(text: &str, authority: Option<ZoneAuthority>) -> Result<Built, Vec<SourceProblem>> {
    let apex = WireName::parse("contoso.test").unwrap();
    let mut builder = ZoneBuilder::new(apex.clone()).foreign(Foreign::Warn).authority(authority);
    let mut problems = Vec::new();
    let file = Arc::new(std::path::PathBuf::from("x.zone"));
    crate::text::read_zone_file(text.as_bytes(), &file, &apex.to_buf(), None, &mut builder, &mut problems);
    assert_eq!(problems, []);
    builder.finish(1)
}

#[test]
fn rows_outside_the_zone_are_left_out_with_one_warning() {
    let glue: String = (0..7).map(|n| format!("ns{n}.fabrikam.test. A 10.0.0.{n}\n")).collect();
    let built = read_file(&format!("@ SOA ns host 5 1 1 1 1\n{glue}www A 10.0.0.1\nfabrikam.test. SOA ns host 1 1 1 1 1\n")).unwrap();
    assert_eq!((built.skipped, built.zone.counts().records, built.zone.serial()), (8, 2, 5));
    assert_eq!(
        built.warnings.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["x.zone:2:1: warning: 8 records lie outside the zone contoso.test and are not served: ns0.fabrikam.test (line 2), \
          ns1.fabrikam.test (line 3), ns2.fabrikam.test (line 4), ns3.fabrikam.test (line 5), ns4.fabrikam.test (line 6) and 3 more \
          help: a name without a final dot is relative to the origin"]
    );
    let one = read_file("www A 10.0.0.1\nwww.fabrikam.test. A 10.0.0.2\n").unwrap();
    let message = "1 record lies outside the zone contoso.test and is not served: www.fabrikam.test (line 2)";
    assert_eq!(one.warnings.iter().map(|problem| problem.message.as_str()).collect::<Vec<_>>(), [message]);
}

#[test]
fn the_file_of_another_zone_is_an_error() {
    for (text, want) in [
        ("www.fabrikam.test. A 10.0.0.1\n", "no record of this file lies in the zone contoso.test: www.fabrikam.test (line 1)"),
        (
            "$ORIGIN fabrikam.test.\n@ SOA ns host 1 1 1 1 1\nwww A 10.0.0.1\n",
            "no record of this file lies in the zone contoso.test: fabrikam.test (line 2), www.fabrikam.test (line 3)",
        ),
        ("$ORIGIN test.\n@ SOA ns host 1 1 1 1 1\nwww.contoso A 10.0.0.1\n", "the SOA is that of the zone test, not of contoso.test"),
    ] {
        let server = NameBuf::parse("ns.contoso.test").unwrap();
        let authority = ZoneAuthority { primary: server.clone(), mailbox: server.clone(), servers: vec![server] };
        for authority in [None, Some(authority)] {
            let problems = read_file_with(text, authority).unwrap_err();
            assert_eq!(
                problems.iter().map(|problem| (problem.severity, problem.message.as_str())).collect::<Vec<_>>(),
                [(Severity::Error, want)]
            );
        }
    }
}

#[test]
fn a_signature_has_the_ttl_of_what_it_covers() {
    let sig = |covered: &str| format!("RRSIG {covered} 13 2 60 20300101000000 20200101000000 1 contoso.test. AQID");
    let text = format!(
        "@ 600 SOA ns host 5 1 1 1 1\n@ 600 {}\n@ 300 NS ns.fabrikam.test.\n@ 60 {}\nwww 20 A 10.0.0.1\nwww 30 A 10.0.0.2\nwww 40 TXT x\n\
         www 20 {}\nwww 40 {}\nwww 7 {}\n",
        sig("SOA"),
        sig("NS"),
        sig("A"),
        sig("TXT"),
        sig("MX")
    );
    let built = read_file(&text).unwrap();
    let ttls = |zone: &Zone, owner: &str| {
        let sets: Vec<_> = zone.at(&name(owner)).filter(|set| set.rtype == rtype::RRSIG).collect();
        let records = sets.iter().flat_map(|set| set.records());
        records.map(|(ttl, rdata)| format!("{} {ttl}", type_name(u16::from_be_bytes([rdata[0], rdata[1]])))).collect::<Vec<_>>()
    };
    assert_eq!(ttls(&built.zone, "contoso.test"), ["SOA 600", "NS 300"]);
    // The RRset has the lower of its two TTLs; what covers nothing keeps its own.
    assert_eq!(ttls(&built.zone, "www.contoso.test"), ["A 20", "TXT 40", "MX 7"]);
    let warnings: Vec<_> = built.warnings.iter().map(|problem| problem.message.as_str()).collect();
    assert_eq!(warnings, ["www.contoso.test A has two TTLs, 20 and 30"]);
    // A change of a set is one of its signature.
    let set = |owner: &str, rtype: &str, ttl: u32, data: &str| {
        let code = type_number(rtype);
        RrSetChange::set(&name(owner), code, ttl, [crate::text::rdata::read_rdata(code, data, &name("contoso.test")).unwrap().into()])
    };
    let changed =
        built.zone.apply(&[set("www.contoso.test", "TXT", 99, "y"), set("contoso.test", "SOA", 77, "ns host 6 1 1 1 1")]).unwrap();
    assert_eq!(ttls(&changed, "www.contoso.test"), ["A 20", "TXT 99", "MX 7"]);
    assert_eq!(ttls(&changed, "contoso.test"), ["SOA 77", "NS 300"]);
}

#[test]
fn what_lies_elsewhere_can_be_left_out() {
    let mut builder = ZoneBuilder::new(WireName::parse("contoso.test").unwrap()).foreign(Foreign::Skip);
    builder.add("a.fabrikam.test.", 60, "A", "10.0.0.1").unwrap();
    builder.add("a", 60, "A", "10.0.0.1").unwrap();
    let built = builder.finish(1).unwrap();
    assert_eq!((built.skipped, built.zone.counts().records, built.warnings.len()), (1, 2, 0));
}

#[test]
fn a_zone_of_many_shards_holds_every_name_once() {
    let mut builder = ZoneBuilder::new(WireName::parse("contoso.test").unwrap());
    for number in 0..100_000u32 {
        let owner = name(&format!("h{number}.r{}.contoso.test", number % 1000));
        builder.record(crate::record::RecordRef {
            owner: &owner,
            rtype: 1,
            ttl: None,
            rdata: &number.to_be_bytes(),
            at: Default::default(),
        });
    }
    let zone = builder.finish(1).unwrap().zone;
    assert!(zone.shards.len() >= 128);
    for number in 0..100_000u32 {
        let owner = name(&format!("h{number}.r{}.contoso.test", number % 1000));
        let Lookup::Found { set, wildcard: false } = zone.lookup(&owner, 1) else { panic!("{owner}") };
        assert_eq!((set.rdata().next().unwrap(), set.ttl), (&number.to_be_bytes()[..], DEFAULT_TTL));
    }
    holds(&zone, "r7.contoso.test A: nodata\nr1000.contoso.test A: missing\nx.r7.contoso.test A: missing");
    assert_eq!(zone.records().map(|(owner, _)| owner.to_string()).collect::<BTreeSet<_>>().len(), 100_001);
}

/// A zone as the RFCs speak of it: names, and what types they have.
#[derive(Debug, Clone, Default)]
pub(super) struct Model {
    /// Owners as labels from the apex down.
    pub names: BTreeMap<Vec<&'static str>, BTreeSet<&'static str>>,
}

impl Model {
    /// Drops what a zone may not hold.
    pub fn new(records: Vec<(Vec<&'static str>, &'static str)>) -> Self {
        let mut model = Self::default();
        for (owner, rtype) in records {
            model.names.entry(owner).or_default().insert(rtype);
        }
        for (owner, types) in &mut model.names {
            if owner.is_empty() {
                types.remove("CNAME");
            }
            if types.contains("CNAME") {
                types.retain(|rtype| *rtype == "CNAME");
            }
            if types.contains("NS") && !owner.is_empty() {
                types.remove("DNAME");
            }
        }
        let dnames: Vec<_> =
            model.names.iter().filter(|(owner, types)| Self::diverts(owner, types, "DNAME")).map(|(owner, _)| owner.clone()).collect();
        model
            .names
            .retain(|owner, types| !types.is_empty() && !dnames.iter().any(|dname| owner.len() > dname.len() && owner.starts_with(dname)));
        model
    }

    fn diverts(owner: &[&str], types: &BTreeSet<&str>, rtype: &str) -> bool {
        types.contains(rtype) && (rtype == "DNAME" || owner.last() != Some(&"*"))
    }

    fn exists(&self, name: &[&str]) -> bool {
        name.is_empty() || self.names.keys().any(|owner| owner.starts_with(name))
    }

    /// RFC 1034 section 4.3.2, step 3, label by label from the apex down.
    pub fn lookup(&self, name: &[&'static str], rtype: &str) -> String {
        for depth in 0..=name.len() {
            let at = &name[..depth];
            if !self.exists(at) {
                let encloser = &name[..depth - 1];
                let source: Vec<&str> = encloser.iter().copied().chain(["*"]).collect();
                return if self.exists(&source) { self.answer(&source, rtype, " wildcard") } else { "missing".into() };
            }
            let Some(types) = self.names.get(at) else { continue };
            if depth > 0 && Self::diverts(at, types, "NS") && !(rtype == "DS" && depth == name.len()) {
                return format!("referral {}", name.len() - depth);
            }
            if depth < name.len() && Self::diverts(at, types, "DNAME") {
                return format!("redirect {}", name.len() - depth);
            }
        }
        self.answer(name, rtype, "")
    }

    fn answer(&self, name: &[&'static str], rtype: &str, made: &str) -> String {
        let none = BTreeSet::new();
        let types = self.names.get(name).unwrap_or(&none);
        if types.contains(rtype) {
            format!("found {rtype}{made}")
        } else if types.contains("CNAME") {
            format!("alias{made}")
        } else {
            "nodata".into()
        }
    }

    /// The records as lines for [`build`].
    pub fn lines(&self) -> String {
        let mut lines = String::new();
        for (owner, types) in &self.names {
            for rtype in types {
                let data = match *rtype {
                    "A" => "10.0.0.1",
                    "DS" => r"\# 5 0001080200",
                    "TXT" => "text",
                    _ => "target.test.",
                };
                lines += &format!("{} 60 {rtype} {data}\n", owner_text(owner));
            }
        }
        lines
    }
}

fn owner_text(owner: &[&str]) -> String {
    if owner.is_empty() { "@".into() } else { owner.iter().rev().copied().collect::<Vec<_>>().join(".") }
}

/// Owners of few labels, so that they meet.
pub(super) fn owner(labels: &'static [&'static str], most: usize) -> impl Strategy<Value = Vec<&'static str>> {
    prop::collection::vec(prop::sample::select(labels), 0..=most)
}

pub(super) const TYPES: &[&str] = &["A", "A", "A", "TXT", "CNAME", "NS", "DNAME", "DS"];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn agrees_with_the_text_of_the_rfcs(
        records in prop::collection::vec((owner(&["a", "b", "c", "*"], 4), prop::sample::select(TYPES)), 0..14),
        questions in prop::collection::vec((owner(&["a", "b", "c", "d", "*"], 5), prop::sample::select(&["A", "TXT", "CNAME", "NS", "DNAME", "DS", "MX"][..])), 60),
    ) {
        let model = Model::new(records);
        let zone = zone("contoso.test", &model.lines());
        for (asked, rtype) in questions {
            let text = if asked.is_empty() { "contoso.test".into() } else { format!("{}.contoso.test", owner_text(&asked)) };
            prop_assert_eq!(tell(zone.lookup(&name(&text), type_number(rtype))), model.lookup(&asked, rtype), "{} {} in\n{}", text, rtype, model.lines());
        }
    }
}
