use data_encoding::HEXLOWER;
use postern_config::rtype::mnemonics;
use proptest::prelude::*;

use super::{BadRdata, TYPES, is_meta, layout, read_rdata, type_code, type_name, write_rdata};
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
    ("CAA", "0 \"issue\" \"ca.test\"", "00 056973737565 63612e74657374", "0 issue \"ca.test\""),
    ("CAA", "0 \"is sue\" \"ca.test\"", "", ""),
    ("MD", "a.", "016100", "a."),
    ("MF", "a.", "016100", "a."),
    ("WKS", "10.0.0.1 TCP ( smtp domain )", "0a000001 06 00000040000004", "10.0.0.1 6 25 53"),
    ("WKS", "10.0.0.1 17 0 65", "0a000001 11 800000000000000040", "10.0.0.1 17 0 65"),
    ("WKS", "10.0.0.1 udp", "0a000001 11", "10.0.0.1 17"),
    ("WKS", "10.0.0.1 tcp smpt", "", ""),
    // The example of RFC 1706 section 7.
    ("NSAP", "0x47.0005.80.005a00.0000.0001.e133.ffffff000161.00", "47000580005a0000000001e133ffffff00016100", "0x47000580005a0000000001e133ffffff00016100"),
    ("NSAP", "47.0005", "", ""),
    ("NSAP-PTR", "a.", "016100", "a."),
    ("SIG", "A 5 3 86400 20030322173103 20030220173103 2642 a. AQID", "0001 05 03 00015180 3e7c9dd7 3e5510d7 0a52 016100 010203", "A 5 3 86400 1048354263 1045762263 2642 a. AQID"),
    ("NXT", "a. A MX SIG NXT", "016100 40010082", "a. A MX SIG NXT"),
    ("NXT", "a.", "016100", "a."),
    ("NXT", "a. TYPE128", "", ""),
    ("EID", "e32c 6f78 163a9348", "e32c6f78163a9348", "E32C6F78163A9348"),
    ("NIMLOC", "32251a030067", "32251a030067", "32251A030067"),
    ("ATMA", "39.246f.00000000000000000000000000", "00 39246f00000000000000000000000000", "39246f00000000000000000000000000"),
    ("ATMA", "+1.908.555.0100", "01 3139303835353530313030", "+19085550100"),
    ("ATMA", "+1908a", "", ""),
    ("A6", "0 2001:db8::1", "00 20010db8000000000000000000000001", "0 2001:db8::1"),
    ("A6", "64 ::1234:5678:9abc:def0 subnet1", "40 123456789abcdef0 077375626e657431 07636f6e746f736f 0474657374 00", "64 ::1234:5678:9abc:def0 subnet1.contoso.test."),
    ("A6", "61 ::7:0:0:0:1 a.", "3d 07 0000000000000001 016100", "61 ::7:0:0:0:1 a."),
    ("A6", "128 a.", "80 016100", "128 a."),
    ("A6", "129 a.", "", ""),
    ("SINK", "1 2 3 AQID", "01 02 03 010203", "1 2 3 AQID"),
    ("SINK", "1 2 3", "01 02 03", "1 2 3"),
    // The examples of RFC 4025 section 3.2, with a shorter key.
    ("IPSECKEY", "10 1 2 192.0.2.38 AQNR U3mG", "0a 01 02 c0000226 010351537986", "10 1 2 192.0.2.38 AQNRU3mG"),
    ("IPSECKEY", "10 0 2 . AQID", "0a 00 02 010203", "10 0 2 . AQID"),
    ("IPSECKEY", "10 3 2 gw.a. AQID", "0a 03 02 026777 0161 00 010203", "10 3 2 gw.a. AQID"),
    ("IPSECKEY", "10 2 2 2001:0DB8:0:8002::2000:1 AQID", "0a 02 02 20010db8000080020000000020000001 010203", "10 2 2 2001:db8:0:8002::2000:1 AQID"),
    ("IPSECKEY", "10 0 0 .", "0a 00 00", "10 0 0 ."),
    ("IPSECKEY", "10 0 2 .", "", ""),
    ("IPSECKEY", "10 0 2 a. AQID", "", ""),
    ("IPSECKEY", "10 4 2 a. AQID", "", ""),
    // The examples of RFC 8005 section 6, with a shorter key.
    ("HIP", "( 2 200100107B1A74DF365639CC39F1D578 AQID )", "10 02 0003 200100107b1a74df365639cc39f1d578 010203", "2 200100107B1A74DF365639CC39F1D578 AQID"),
    ("HIP", "2 2001 AQID rvs1.a. rvs2.a.", "02 02 0003 2001 010203 0472767331 0161 00 0472767332 0161 00", "2 2001 AQID rvs1.a. rvs2.a."),
    ("NINFO", "a b", "0161 0162", "\"a\" \"b\""),
    ("RKEY", "0 3 8 AQID", "0000 03 08 010203", "0 3 8 AQID"),
    ("TALINK", ". b.", "00 016200", ". b."),
    ("DSYNC", "CDS NOTIFY 5359 a.", "003b 01 14ef 016100", "CDS NOTIFY 5359 a."),
    ("DSYNC", "TYPE65400 7 53 a.", "ff78 07 0035 016100", "TYPE65400 7 53 a."),
    ("HHIT", "gwpp BAAA", "830a69040000", "gwppBAAA"),
    ("BRID", "AQID", "010203", "AQID"),
    ("AVC", "app-name:contoso", "106170702d6e616d653a636f6e746f736f", "\"app-name:contoso\""),
    ("DOA", "0 1 2 \"\" aHR0cHM6Ly9h", "00000000 00000001 02 00 68747470733a2f2f61", "0 1 2 \"\" aHR0cHM6Ly9h"),
    ("DOA", "1234567890 1234567890 1 \"image/gif\" -", "499602d2 499602d2 01 09696d6167652f676966", "1234567890 1234567890 1 \"image/gif\" -"),
    // The examples of RFC 8777 section 4.3.
    ("AMTRELAY", "10 0 1 203.0.113.15", "0a 01 cb00710f", "10 0 1 203.0.113.15"),
    ("AMTRELAY", "10 0 2 2001:db8::15", "0a 02 20010db8000000000000000000000015", "10 0 2 2001:db8::15"),
    ("AMTRELAY", "128 1 3 amtrelays.a.", "80 83 09616d7472656c617973 0161 00", "128 1 3 amtrelays.a."),
    ("AMTRELAY", "0 1 0 .", "00 80", "0 1 0 ."),
    ("AMTRELAY", "0 2 0 .", "", ""),
    ("RESINFO", "qnamemin exterr=15-17 \"infourl=https://a\"", "08716e616d656d696e 0c6578746572723d31352d3137 11696e666f75726c3d68747470733a2f2f61", "\"qnamemin\" \"exterr=15-17\" \"infourl=https://a\""),
    ("WALLET", "ETH 0x0000", "03455448 06307830303030", "\"ETH\" \"0x0000\""),
    ("CLA", "TCP-v4-v6", "095443502d76342d7636", "\"TCP-v4-v6\""),
    ("IPN", "18446744073709551615", "ffffffffffffffff", "18446744073709551615"),
    ("IPN", "+1", "", ""),
    ("TA", "60485 5 1 2BB183AF", "ec45 05 01 2bb183af", "60485 5 1 2BB183AF"),
    ("DLV", "60485 5 1 2BB183AF", "ec45 05 01 2bb183af", "60485 5 1 2BB183AF"),
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
fn every_type_of_the_registry_has_a_text_form_with_a_case_or_none_at_all() {
    assert!(TYPES.is_sorted_by_key(|layout| layout.code));
    for layout in TYPES {
        assert!(CASES.iter().any(|(rtype, ..)| type_code(rtype) == Some(layout.code)), "{}", type_name(layout.code));
    }
    let mut without_text: Vec<_> = mnemonics().filter(|name| layout(type_code(name).unwrap()).is_none()).collect();
    without_text.sort_unstable();
    assert_eq!(without_text, ["GID", "NULL", "UID", "UINFO", "UNSPEC"]);
    for name in without_text {
        assert_eq!(read_rdata(type_code(name).unwrap(), "\\# 2 ABCD", &origin()), Ok(vec![0xab, 0xcd]), "{name}");
        let refused = read_rdata(type_code(name).unwrap(), "x", &origin()).unwrap_err();
        assert!(refused.starts_with(&format!("{name} has no presentation format of its own")), "{refused}");
    }
}

#[test]
fn a_type_by_its_number_takes_the_text_of_the_type() {
    let octets = read_rdata(type_code("TYPE45").unwrap(), "10 0 2 . AQID", &origin());
    assert_eq!(octets, read_rdata(type_code("IPSECKEY").unwrap(), "10 0 2 . AQID", &origin()));
    assert_eq!(octets, read_rdata(45, "\\# 6 0a0002010203", &origin()));
}

#[test]
fn a_long_text_between_one_pair_of_quotes_is_several_strings() {
    let read = |text: &str| read_rdata(type_code("TXT").unwrap(), text, &origin()).unwrap();
    let string = |octet: u8, length: usize| [vec![length as u8], vec![octet; length]].concat();
    let long = |length: usize| format!("\"{}\"", "x".repeat(length));
    assert_eq!(read(&long(255)), string(b'x', 255));
    assert_eq!(read(&long(256)), [string(b'x', 255), string(b'x', 1)].concat());
    assert_eq!(read(&long(510)), [string(b'x', 255), string(b'x', 255)].concat());
    // An escape is one octet wherever the text is split; what stands beside the long text stays a string of its own.
    assert_eq!(
        read(&format!("a \"{}\" b", "\\200".repeat(256))),
        [string(b'a', 1), string(200, 255), string(200, 1), string(b'b', 1)].concat()
    );
    assert_eq!(read(&"x".repeat(300)), [string(b'x', 255), string(b'x', 45)].concat());
    let too_long = read_rdata(type_code("HINFO").unwrap(), &format!("{} b", "x".repeat(256)), &origin()).unwrap_err();
    assert!(too_long.starts_with("the CPU of HINFO has 256 octets, a string holds 255"), "{too_long}");
}

#[test]
fn octets_without_text_of_their_own_are_kept_in_the_general_form() {
    for (rtype, wire) in [
        ("IPSECKEY", "0a0402c000022601"), // a gateway of a type that nobody has defined
        ("IPSECKEY", "0a0002"),           // an algorithm without its key
        ("AMTRELAY", "0a04c0000226"),
        ("ATMA", "020102"),
        ("WKS", "0a000001064000"), // zeroes at the end
        ("NXT", "0161004000"),
        ("NXT", "01610080"),
        ("NSEC", "016100000240 00"),
        ("HIP", "00020001 01"),
    ] {
        let octets = HEXLOWER.decode(wire.replace(' ', "").as_bytes()).unwrap();
        let code = type_code(rtype).unwrap();
        assert_eq!(write_rdata(code, &octets, &mut String::new()), Err(BadRdata::NoText), "{rtype} {wire}");
        let text = format!("\\# {} {}", octets.len(), HEXLOWER.encode(&octets));
        assert_eq!(read_rdata(code, &text, &origin()), Ok(octets), "{rtype} {wire}");
    }
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
        ("IPSECKEY", "0a0102c00002"),
        ("AMTRELAY", "0a03"),
        ("HIP", "0202000320"),
        ("WKS", "0a000001"),
        ("NSAP", ""),
        ("ATMA", "00"),
        ("ATMA", "0161"),
        ("A6", "81"),
        ("A6", "3dff07000000000000016100"),
        ("IPN", "00000000000000"),
        ("DOA", "000000000000000002"),
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
            prop_assert_eq!(read_rdata(code, &text, &NameBuf::root()), Ok(octets.clone()), "{} {}", type_name(code), text);
        }
    }

    /// A type that is in no table keeps its octets, and its name is its number.
    #[test]
    fn unknown_types_keep_their_octets(code in any::<u16>(), octets in prop::collection::vec(any::<u8>(), 0..40)) {
        prop_assume!(layout(code).is_none() && !is_meta(code));
        let mut text = String::new();
        write_rdata(code, &octets, &mut text).unwrap();
        prop_assert_eq!(read_rdata(type_code(&type_name(code)).unwrap(), &text, &NameBuf::root()), Ok(octets));
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
