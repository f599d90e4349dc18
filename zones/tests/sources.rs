//! Readers of sources against anything at all, and the zone-file reader against another one.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use hickory_proto::rr::{Name, RData};
use hickory_proto::serialize::binary::{BinEncodable, BinEncoder, NameEncoding};
use hickory_proto::serialize::txt::Parser;
use postern_config::azure::PrivateLinkTable;
use postern_zones::name::NameBuf;
use postern_zones::record::{RecordRef, RecordSink, Severity, SourceProblem};
use postern_zones::text::rdata::{type_name, write_rdata};
use postern_zones::text::{MAX_SHOWN, read_azure, read_hosts, read_zone_file};
use proptest::prelude::*;

/// Keeps records whole, and looks at each: what a reader gives must be RDATA of its type.
#[derive(Default)]
struct Kept(Vec<(String, u16, Option<u32>, Vec<u8>)>);

impl RecordSink for Kept {
    fn record(&mut self, record: RecordRef<'_>) {
        write_rdata(record.rtype, record.rdata, &mut String::new())
            .unwrap_or_else(|_| panic!("{} {:?}", type_name(record.rtype), record.rdata));
        assert!(record.at.line >= 1 && record.at.column >= 1);
        assert!(record.ttl.is_none_or(|ttl| ttl <= i32::MAX as u32));
        self.0.push((record.owner.to_string(), record.rtype, record.ttl, record.rdata.to_vec()));
    }
}

type Reader = fn(&[u8], &Arc<PathBuf>, &mut Kept, &mut Vec<SourceProblem>);

static READERS: [Reader; 3] = [
    |text, file, sink, problems| {
        read_zone_file(text, file, &NameBuf::parse("contoso.test").unwrap(), None, sink, problems);
    },
    |text, file, sink, problems| {
        read_hosts(text, file, PrivateLinkTable::builtin(), sink, problems);
    },
    |text, file, sink, problems| {
        read_azure(text, file, &NameBuf::parse("contoso.test").unwrap(), PrivateLinkTable::builtin(), sink, problems);
    },
];

fn read_all(text: &[u8]) {
    let file = Arc::new(PathBuf::from("x"));
    for reader in READERS {
        let (mut kept, mut problems) = (Kept::default(), Vec::new());
        reader(text, &file, &mut kept, &mut problems);
        let errors = problems.iter().filter(|problem| problem.severity == Severity::Error).count();
        assert!(errors <= MAX_SHOWN + 1 && problems.len() <= 2 * MAX_SHOWN + 2);
        // UTF-16 has two bytes a character, so that lines are never more than there are bytes.
        let lines = text.iter().filter(|byte| **byte == b'\n').count() as u32 + 1;
        for problem in problems {
            assert!((1..=lines).contains(&problem.at.line) && problem.at.column >= 1, "{problem}");
            assert!(!problem.message.contains('\n') && !problem.help.contains('\n'), "{problem}");
        }
    }
}

/// A zone file with something of everything.
const ZONE: &str = "$TTL 1h ; one\n@ IN SOA ns.contoso.test. host ( 1 2\n 3 4 ; five\n 5 )\n  NS ns\nwww 60 IN A 10.0.0.1\n AAAA 2001:db8::1\n\
$ORIGIN sub\na\\.b TXT \"x \\\" y\" z k=\"v\"\n$GENERATE 1-3/2 h${1,2,x} 5 CNAME \\$t$\n@ MX 10 mail\n_x._tcp SRV 0 0 443 Host.\n\
s HTTPS 1 . alpn=\"h2,h3\" ipv4hint=10.0.0.1\nc CAA 0 issue \"ca.test\"\nt TYPE65400 \\# 4 0A000001\nl LOC 52 22 23.000 N 4 53 32.000 E -2.00m\n\
n NAPTR 1 2 u x !a!b! .\nd DS 1 8 2 ABCD\ne NSEC f A TXT\n$INCLUDE nothing\n";

static SEEDS: [&[u8]; 12] = [
    ZONE.as_bytes(),
    include_bytes!("data/azure/private_dns_zone_export.txt"),
    include_bytes!("data/azure/portal_host_file.txt"),
    include_bytes!("data/azure/pe_show_manual.json"),
    include_bytes!("data/azure/arm_private_endpoint.json"),
    include_bytes!("data/azure/pe_show_static_ip_fragment.json"),
    include_bytes!("data/azure/nic_show_fragment.json"),
    include_bytes!("data/azure/dns_zone_group_show.json"),
    include_bytes!("data/azure/terraform_show_fragment.json"),
    include_bytes!("data/azure/record_set_a_list.json"),
    include_bytes!("data/azure/record_set_list.json"),
    include_bytes!("data/azure/vnet_link_show.json"),
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    /// A few bytes changed, cut out, doubled or put in.
    #[test]
    fn no_damage_to_a_good_source_makes_a_panic(
        seed in 0..SEEDS.len(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), 0usize..40, 0u8..5, any::<u8>()), 1..6),
    ) {
        let mut text = SEEDS[seed].to_vec();
        for (index, length, kind, byte) in damage {
            if text.is_empty() {
                break;
            }
            let at = index.index(text.len());
            let end = (at + length).min(text.len());
            match kind {
                0 => text[at] = byte,
                1 => { text.drain(at..end); }
                2 => { let piece = text[at..end].to_vec(); text.splice(at..at, piece); }
                3 => text.insert(at, b"\"\\();$@\n\r\t\0 {}[],:#"[byte as usize % 19]),
                _ => text.truncate(at),
            }
        }
        read_all(&text);
    }

    #[test]
    fn no_bytes_at_all_make_a_panic(text in prop::collection::vec(prop_oneof![any::<u8>(), prop::sample::select(b" \n\"\\();$@.0123456789aAINTXT{}[],:".to_vec())], 0..200)) {
        read_all(&text);
    }

}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    /// Where hickory-proto's reader is right, ours says the same.
    #[test]
    fn agrees_with_hickory_proto(records in prop::collection::vec(record(), 1..20), manners in prop::collection::vec(0usize..6, 20)) {
        let mut text = String::from("$TTL 77\n$ORIGIN contoso.test.\n@ SOA ns host 1 2 3 4 5\n");
        for (index, ((rtype, data), manner)) in records.iter().zip(&manners).enumerate() {
            text += &match manner {
                0 => format!("n{index} {rtype} {data}\n"),
                1 => format!("n{index} 60 IN {rtype} {data} ; comment\n"),
                2 => format!("n{index} IN 1h {rtype} {data}\r\n"),
                3 => format!("n{index}.x\t5 {rtype}  {data}\n\n"),
                // Between parentheses hickory-proto takes quotes for text.
                4 if !data.contains('"') => format!("n{index}.contoso.test. IN {rtype} ( {data} )\n"),
                _ => format!("n{index} {rtype} {data}\n\tTXT \"more of n{index}\"\n"),
            };
        }
        let (mut kept, mut problems) = (Kept::default(), Vec::new());
        let file = Arc::new(PathBuf::from("x"));
        read_zone_file(text.as_bytes(), &file, &NameBuf::parse("contoso.test").unwrap(), None, &mut kept, &mut problems);
        prop_assert!(problems.is_empty(), "{text}\n{problems:?}");
        let ours: BTreeSet<_> = kept.0.into_iter().collect();
        let (_, sets) = Parser::new(text.as_str(), None, Some(Name::from_ascii("contoso.test.").unwrap())).parse().unwrap();
        let theirs: BTreeSet<_> = sets
            .values()
            .flat_map(|set| set.records_without_rrsigs())
            .map(|record| (record.name.to_string(), u16::from(record.record_type()), Some(record.ttl), octets(&record.data)))
            .collect();
        prop_assert_eq!(ours, theirs, "{}", text);
    }
}

/// RDATA uncompressed.
fn octets(data: &RData) -> Vec<u8> {
    let mut out = Vec::new();
    let mut encoder = BinEncoder::new(&mut out);
    encoder.set_name_encoding(NameEncoding::Uncompressed);
    data.emit(&mut encoder).unwrap();
    out
}

/// A record's type and data, in lower case: hickory-proto lowers names in RDATA.
fn record() -> impl Strategy<Value = (&'static str, String)> {
    // hickory-proto decodes a label that begins with `xn--`, and rejects what is not Punycode.
    let name = || "[a-z][a-z0-9-]{0,9}(\\.[a-z]{1,9}){0,2}\\.?".prop_filter("a Punycode label", |name| !name.starts_with("xn--"));
    let text = || "\"[ !#-\\[\\]-~]{0,30}\"";
    prop_oneof![
        any::<[u8; 4]>().prop_map(|octets| ("A", std::net::Ipv4Addr::from(octets).to_string())),
        any::<[u8; 16]>().prop_map(|octets| ("AAAA", std::net::Ipv6Addr::from(octets).to_string())),
        name().prop_map(|name| ("CNAME", name)),
        name().prop_map(|name| ("NS", name)),
        name().prop_map(|name| ("PTR", name)),
        (any::<u16>(), name()).prop_map(|(preference, name)| ("MX", format!("{preference} {name}"))),
        (any::<[u16; 3]>(), name()).prop_map(|([a, b, c], name)| ("SRV", format!("{a} {b} {c} {name}"))),
        (text(), text()).prop_map(|(a, b)| ("TXT", format!("{a} {b}"))),
        (text(), text()).prop_map(|(a, b)| ("HINFO", format!("{a} {b}"))),
        "[a-z]{1,10}\\.test".prop_map(|name| ("CAA", format!("0 issue \"{name}\""))),
        (0u8..4, 0u8..2, 0u8..3, "([0-9a-f]{2}){1,32}").prop_map(|(a, b, c, data)| ("TLSA", format!("{a} {b} {c} {data}"))),
        (1u8..5, 1u8..3, "([0-9a-f]{2}){1,32}").prop_map(|(a, b, data)| ("SSHFP", format!("{a} {b} {data}"))),
        (any::<u16>(), any::<u16>(), name()).prop_map(|(a, b, name)| ("NAPTR", format!("{a} {b} \"u\" \"sip\" \"!a!b!\" {name}"))),
        (1u16..9, "[a-z]{1,9}\\.", any::<u16>())
            .prop_map(|(a, name, port)| ("HTTPS", format!("{a} {name} alpn=h2,h3 port={port} ipv4hint=10.0.0.1"))),
    ]
}
