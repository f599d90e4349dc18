use data_encoding::HEXLOWER;
use proptest::prelude::*;

use super::{TYPES, is_meta, read_rdata, type_code, type_name, write_rdata};
use crate::name::NameBuf;

fn origin() -> NameBuf {
    NameBuf::parse("contoso.test").unwrap()
}

/// Type, RDATA as it may be written, its octets, RDATA as it is written here.
#[rustfmt::skip]
static CASES: &[(&str, &str, &str, &str)] = &[
    ("A", "10.0.0.1", "0a000001", "10.0.0.1"),
    ("NS", "Ns", "024e7307636f6e746f736f047465737400", "Ns.contoso.test."),
    ("CNAME", "Www.B.", "035777770142 00", "Www.B."),
    ("CNAME", "@", "07636f6e746f736f047465737400", "contoso.test."),
    ("SOA", "a. b\\.c.d. 1 1h 1m 1w 10", "016100 03622e63016400 00000001 00000e10 0000003c 00093a80 0000000a", "a. b\\.c.d. 1 3600 60 604800 10"),
    ("MB", "a.", "016100", "a."),
    ("MG", "a.", "016100", "a."),
    ("MR", "a.", "016100", "a."),
    ("PTR", ".", "00", "."),
    ("HINFO", "\"PC 1\" UNIX", "0450432031 04554e4958", "\"PC 1\" \"UNIX\""),
    ("MINFO", "a. b.", "016100 016200", "a. b."),
    ("MX", "10 m.", "000a 016d00", "10 m."),
    ("TXT", "\"\" a\\ b \\200\\\"", "00 03612062 02c822", "\"\" \"a b\" \"\\200\\\"\""),
    ("TXT", "k=\"v w\"", "026b3d 03762077", "\"k=\" \"v w\""),
    ("RP", "a. b.", "016100 016200", "a. b."),
    ("AFSDB", "1 a.", "0001 016100", "1 a."),
    ("X25", "311061700956", "0c333131303631373030393536", "\"311061700956\""),
    ("ISDN", "15 04", "023135 023034", "\"15\" \"04\""),
    ("ISDN", "15", "023135", "\"15\""),
    ("RT", "1 a.", "0001 016100", "1 a."),
    ("KEY", "256 3 RSASHA1 AQID", "0100 03 05 010203", "256 3 5 AQID"),
    ("PX", "1 a. b.", "0001 016100 016200", "1 a. b."),
    ("GPOS", "-32.6882 116.8652 10.0", "082d33322e36383832 083131362e38363532 0431302e30", "\"-32.6882\" \"116.8652\" \"10.0\""),
    ("AAAA", "2001:DB8::1", "20010db8000000000000000000000001", "2001:db8::1"),
    // The example of RFC 1876 section 4 with its defaults.
    ("LOC", "42 21 54 N 71 06 18 W -24m 30m", "00 33 16 13 89172dd0 70be15f0 00988d20", "42 21 54.000 N 71 6 18.000 W -24.00m 30.00m 10000.00m 10.00m"),
    ("LOC", "52 n 4.5 E 0", "", ""),
    ("LOC", "90 N 180 W 0 0m 90000000.00m 1.5", "00 00 99 12 934fd900 59604e00 00989680", ""),
    ("SRV", "1 2 443 a.", "0001 0002 01bb 016100", "1 2 443 a."),
    ("NAPTR", "100 10 u E2U+sip !^.*$!sip:info@contoso.test! .", "0064 000a 0175 074532552b736970 1c215e2e2a24217369703a696e666f40636f6e746f736f2e7465737421 00", "100 10 \"u\" \"E2U+sip\" \"!^.*$!sip:info@contoso.test!\" ."),
    ("KX", "1 a.", "0001 016100", "1 a."),
    ("CERT", "PGP 0 0 AQID", "0003 0000 00 010203", "3 0 0 AQID"),
    ("DNAME", "a.", "016100", "a."),
    ("APL", "1:192.168.32.0/21 !1:192.168.38.0/28 2:ff00::/8 1:0.0.0.0/0", "0001 15 03 c0a820 0001 1c 83 c0a826 0002 08 01 ff 0001 00 00", "1:192.168.32.0/21 !1:192.168.38.0/28 2:ff00::/8 1:0.0.0.0/0"),
    ("DS", "60485 5 1 ( 2BB183AF 5F22588179A53B0A 98631FAD1A292118 )", "ec45 05 01 2bb183af5f22588179a53b0a98631fad1a292118", "60485 5 1 2BB183AF5F22588179A53B0A98631FAD1A292118"),
    ("SSHFP", "4 2 ab cd", "04 02 abcd", "4 2 ABCD"),
    ("RRSIG", "A 5 3 86400 20030322173103 20030220173103 2642 a. AQID", "0001 05 03 00015180 3e7c9dd7 3e5510d7 0a52 016100 010203", "A 5 3 86400 1048354263 1045762263 2642 a. AQID"),
    ("NSEC", "a. A MX RRSIG NSEC TYPE1234", "016100 0006400100000003 041b000000000000000000000000000000000000000000000000000020", "a. A MX RRSIG NSEC TYPE1234"),
    ("NSEC", "a.", "016100", "a."),
    ("DNSKEY", "256 3 ECDSAP256SHA256 AQ ID", "0100 03 0d 010203", "256 3 13 AQID"),
    ("DHCID", "AAIBY2/A", "0002016 36fc0", "AAIBY2/A"),
    ("NSEC3", "1 1 12 aabbccdd 2t7b4g4vsa5smi47k61mv5bv1a22bojr NS SOA", "01 01 000c 04aabbccdd 14 174eb2409fe28bcb4887a1836f957f0a8425e27b 000122", "1 1 12 AABBCCDD 2T7B4G4VSA5SMI47K61MV5BV1A22BOJR NS SOA"),
    ("NSEC3PARAM", "1 0 12 -", "01 00 000c 00", "1 0 12 -"),
    ("TLSA", "3 1 1 d2abde", "03 01 01 d2abde", "3 1 1 D2ABDE"),
    ("SMIMEA", "3 1 1 d2abde", "03 01 01 d2abde", "3 1 1 D2ABDE"),
    ("CDS", "0 0 0 00", "0000 00 00 00", "0 0 0 00"),
    ("CDNSKEY", "0 3 0 AA==", "0000 03 00 00", "0 3 0 AA=="),
    ("OPENPGPKEY", "AQID", "010203", "AQID"),
    ("CSYNC", "66 3 A NS AAAA", "00000042 0003 0004 60000008", "66 3 A NS AAAA"),
    ("ZONEMD", "2018031500 1 1 feBE", "7848b78c 01 01 febe", "2018031500 1 1 FEBE"),
    ("SVCB", "0 a.", "0000 016100", "0 a."),
    ("SVCB", "16 a. port=53 key667=\"hello\\210qoo\"", "0010 016100 0003 0002 0035 029b 0009 68656c6c6fd2716f6f", "16 a. port=53 key667=\"hello\\210qoo\""),
    ("SVCB", "1 a. ipv6hint=2001:db8::1,2001:db8::53:1 key1", "", ""),
    ("HTTPS", "1 . alpn=h3,h2 ipv4hint=192.0.2.1,192.0.2.2 ech=AQID ipv6hint=::1", "0001 00 0001 0006 026833 026832 0004 0008 c0000201 c0000202 0005 0003 010203 0006 0010 00000000000000000000000000000001", "1 . alpn=\"h3,h2\" ipv4hint=192.0.2.1,192.0.2.2 ech=AQID ipv6hint=::1"),
    // RFC 9460 appendix D.2: order of keys, mandatory, escapes in a list.
    ("HTTPS", "16 a. alpn=h2,h3-19 mandatory=ipv4hint,alpn ipv4hint=192.0.2.1", "0010 016100 0000 0004 0001 0004 0001 0009 026832 0568332d3139 0004 0004 c0000201", "16 a. mandatory=alpn,ipv4hint alpn=\"h2,h3-19\" ipv4hint=192.0.2.1"),
    ("SVCB", "16 a. alpn=\"f\\\\\\\\oo\\\\,bar,h2\"", "0010 016100 0001 000c 08665c6f6f2c626172 026832", "16 a. alpn=\"f\\\\\\\\oo\\\\,bar,h2\""),
    ("SVCB", "16 a. alpn=f\\\\\\092oo\\092,bar,h2", "0010 016100 0001 000c 08665c6f6f2c626172 026832", "16 a. alpn=\"f\\\\\\\\oo\\\\,bar,h2\""),
    ("SVCB", "1 a. no-default-alpn alpn=x dohpath=/q{?dns} ohttp", "0001 016100 0001 0002 0178 0002 0000 0007 0008 2f717b3f646e737d 0008 0000", "1 a. alpn=\"x\" no-default-alpn dohpath=\"/q{?dns}\" ohttp"),
    ("SPF", "\"v=spf1 -all\"", "0b763d73706631202d616c6c", "\"v=spf1 -all\""),
    ("NID", "10 0014:4fff:ff20:ee64", "000a 00144fffff20ee64", "10 14:4fff:ff20:ee64"),
    ("L32", "10 10.1.2.0", "000a 0a010200", "10 10.1.2.0"),
    ("L64", "10 2001:0DB8:1140:1000", "000a 20010db811401000", "10 2001:db8:1140:1000"),
    ("LP", "10 a.", "000a 016100", "10 a."),
    ("EUI48", "00-00-5e-00-53-2a", "00005e00532a", "00-00-5e-00-53-2a"),
    ("EUI64", "00-00-5E-EF-10-00-00-2a", "00005eef1000002a", "00-00-5e-ef-10-00-00-2a"),
    ("URI", "10 1 \"ftp://a.test/x\"", "000a 0001 6674703a2f2f612e746573742f78", "10 1 \"ftp://a.test/x\""),
    ("CAA", "0 issue \"ca.test; x=y\"", "00 056973737565 63612e746573743b20783d79", "0 issue \"ca.test; x=y\""),
    ("CAA", "128 iodef mailto:a@b.test", "80 05696f646566 6d61696c746f3a6140622e74657374", "128 iodef \"mailto:a@b.test\""),
    ("CAA", "0 issue \"\"", "00 056973737565", "0 issue \"\""),
    ("ANAME", "a.", "016100", "a."),
];

#[test]
fn every_type_is_read_and_written() {
    for (rtype, text, wire, written) in CASES {
        let code = type_code(rtype).unwrap();
        let rdata = read_rdata(code, text, &origin());
        if wire.is_empty() {
            assert!(rdata.is_err(), "{rtype} {text}: {rdata:?}");
            continue;
        }
        let rdata = rdata.unwrap_or_else(|error| panic!("{rtype} {text}: {error}"));
        assert_eq!(HEXLOWER.encode(&rdata), wire.replace(' ', ""), "{rtype} {text}");
        let mut out = String::new();
        write_rdata(code, &rdata, &mut out).unwrap();
        if !written.is_empty() {
            assert_eq!(out, *written, "{rtype} {text}");
        }
        assert_eq!(read_rdata(code, &out, &NameBuf::root()), Ok(rdata), "{rtype} {out}");
    }
}

#[test]
fn every_type_has_a_case_and_the_table_is_in_order() {
    assert!(TYPES.is_sorted_by_key(|layout| layout.code));
    for layout in TYPES {
        assert!(CASES.iter().any(|(rtype, ..)| *rtype == layout.name), "{}", layout.name);
        assert_eq!(type_code(layout.name), Some(layout.code));
        assert_eq!(type_code(&layout.name.to_lowercase()), Some(layout.code));
        assert_eq!(type_code(&format!("TYPE{}", layout.code)), Some(layout.code));
        assert_eq!(type_name(layout.code), layout.name);
        assert!(!is_meta(layout.code));
    }
}

#[test]
fn types_without_a_mnemonic_have_a_number() {
    for (text, code) in [
        ("TYPE65280", Some(65280)),
        ("type0", Some(0)),
        ("TYPE", None),
        ("TYPE65536", None),
        ("TYPE+1", None),
        ("X", None),
        ("any", Some(255)),
    ] {
        assert_eq!(type_code(text), code, "{text}");
    }
    assert_eq!((type_name(65280).as_ref(), type_name(251).as_ref()), ("TYPE65280", "IXFR"));
}

#[test]
fn a_single_record_of_an_interface_is_told_what_is_wrong() {
    for (code, text, want) in [
        (1, "", "the address of A is missing"),
        (1, "10.0.0.x", "`10.0.0.x` is not an IPv4 address (four numbers from 0 to 255 are expected, as in 10.20.1.4)"),
        (1, "10.0.0.1\n10.0.0.2", "more than one line"),
        (
            16,
            "\"x",
            "the quoted string that opens here is not closed on its line (put `\"` at its end; a quote inside it is written `\\\"`)",
        ),
        (255, "x", "ANY is not a type of zone data"),
    ] {
        assert_eq!(read_rdata(code, text, &origin()).unwrap_err(), want, "{text}");
    }
}

#[test]
fn octets_that_are_not_rdata_are_not_written() {
    for (rtype, wire) in [
        ("A", "0a0000"),
        ("A", "0a00000101"),
        ("CNAME", "c00c"),
        ("CNAME", "0161"),
        ("MX", "00"),
        ("TXT", ""),
        ("TXT", "0561"),
        ("CAA", "0000"),
        ("DS", "00010102"),
        ("NSEC", "0161000000"),
        ("NSEC", "01610001010000"),
        ("SVCB", "0001000003000201"),
        ("SVCB", "00010000030001ff"),
        ("SVCB", "0001000003000200350003000200 35"),
        ("LOC", "01000000000000000000000000000000"),
        ("APL", "0001210 0"),
        ("APL", "000100020a00"),
    ] {
        let octets = HEXLOWER.decode(wire.replace(' ', "").as_bytes()).unwrap();
        assert!(write_rdata(type_code(rtype).unwrap(), &octets, &mut String::new()).is_err(), "{rtype} {wire}");
    }
}

proptest! {
    /// Whatever can be written is read back as the same octets.
    #[test]
    fn octets_survive_a_round_trip(index in 0..TYPES.len(), octets in prop::collection::vec(any::<u8>(), 0..40)) {
        let code = TYPES[index].code;
        let mut text = String::new();
        if write_rdata(code, &octets, &mut text).is_ok() {
            prop_assert_eq!(read_rdata(code, &text, &NameBuf::root()), Ok(octets.clone()), "{} {}", TYPES[index].name, text);
        }
        let mut generic = String::new();
        write_rdata(65400, &octets, &mut generic).unwrap();
        prop_assert_eq!(read_rdata(65400, &generic, &NameBuf::root()), Ok(octets));
    }

    /// No text makes a panic, and what was read can be written.
    #[test]
    fn any_text_is_read_or_refused(index in 0..CASES.len(), at in 0usize..60, junk in "[ -~\\\\\"();éÿ0-9]{0,6}") {
        let (rtype, text, ..) = CASES[index];
        let code = type_code(rtype).unwrap();
        let mut text = text.to_owned();
        let at = (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap();
        text.insert_str(at, &junk);
        if let Ok(octets) = read_rdata(code, &text, &origin()) {
            let mut out = String::new();
            prop_assert!(write_rdata(code, &octets, &mut out).is_ok(), "{} {}", rtype, text);
            prop_assert_eq!(read_rdata(code, &out, &NameBuf::root()), Ok(octets), "{} {}", text, out);
        }
    }
}
