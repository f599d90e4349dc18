//! What is said of each thing that may be wrong in a zone file.

use super::super::super::tests::zone;

#[test]
fn each_error_is_told_with_its_place_and_a_way_out() {
    let long = "a".repeat(64);
    let string = "a".repeat(256);
    let text = |text: String| -> &'static str { Box::leak(text.into_boxed_str()) };
    let cases: Vec<(&str, Vec<&str>)> = vec![
        // Tokens.
        (
            "a A 10.0.0.1\nb TXT \"x\nc A 10.0.0.2",
            vec![
                "x.zone:2:7: error: the quoted string that opens here is not closed on its line help: put `\"` at its end; a quote inside it is written `\\\"`",
            ],
        ),
        (
            "a TXT \"x\\",
            vec![
                "x.zone:1:7: error: the quoted string that opens here is not closed on its line help: put `\"` at its end; a quote inside it is written `\\\"`",
            ],
        ),
        (
            "@ SOA a b (\n 1 2 3\n 4 5\nc A 10.0.0.300\n",
            vec![
                "x.zone:1:11: error: `(` is never closed help: put `)` behind the record's last field",
                "x.zone:4:5: error: `10.0.0.300` is not an IPv4 address help: four numbers from 0 to 255 are expected, as in 10.20.1.4",
            ],
        ),
        (
            "a A ( 10.0.0.1\n ( \"x\n",
            vec![
                "x.zone:1:5: error: `(` is never closed help: put `)` behind the record's last field",
                "x.zone:2:4: error: the quoted string that opens here is not closed on its line help: put `\"` at its end; a quote inside it is written `\\\"`",
            ],
        ),
        (
            "a TXT ( \"x )\nb A x",
            vec![
                "x.zone:1:9: error: the quoted string that opens here is not closed on its line help: put `\"` at its end; a quote inside it is written `\\\"`",
                "x.zone:2:5: error: `x` is not an IPv4 address help: four numbers from 0 to 255 are expected, as in 10.20.1.4",
            ],
        ),
        ("a A 10.0.0.1 )", vec!["x.zone:1:14: error: `)` closes nothing help: remove it, or put `(` before it"]),
        (
            "a A 10.0\0.1",
            vec!["x.zone:1:9: error: a NUL byte help: save the file as plain text in UTF-8; a NUL octet in a string is written `\\000`"],
        ),
        (
            "a TXT \"\0\"",
            vec!["x.zone:1:8: error: a NUL byte help: save the file as plain text in UTF-8; a NUL octet in a string is written `\\000`"],
        ),
        (
            "a\\\nb",
            vec![
                "x.zone:1:2: error: `\\` at the end of the line escapes nothing help: write `\\\\` for a backslash",
                "x.zone:2:1: error: the record ends before its type help: `owner [TTL] [IN] TYPE data` is expected; the same owner again is a space in the first column",
            ],
        ),
        // Owners.
        (
            "  A 10.0.0.1",
            vec!["x.zone:1:3: error: the first record has no owner help: an owner stands in the first column; `@` is the origin"],
        ),
        (
            "a..b A 10.0.0.1\n  A 10.0.0.x\nc A x",
            vec![
                "x.zone:1:1: error: `a..b` is not a name: empty label",
                "x.zone:3:5: error: `x` is not an IPv4 address help: four numbers from 0 to 255 are expected, as in 10.20.1.4",
            ],
        ),
        (
            text(format!("{long} A 1.2.3.4")),
            vec![
                "x.zone:1:1: error: `aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa…` is not a name: label is longer than 63 octets",
            ],
        ),
        (
            text(format!("{} A 1.2.3.4", "a.".repeat(121) + "a")),
            vec![
                "x.zone:1:1: error: `a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.…` is not a name: name is longer than 255 octets",
            ],
        ),
        ("a\\25x A 1.2.3.4", vec!["x.zone:1:1: error: `a\\25x` is not a name: bad escape"]),
        ("a\\256 A 1.2.3.4", vec!["x.zone:1:1: error: `a\\256` is not a name: bad escape"]),
        ("\"a\" A 1.2.3.4", vec!["x.zone:1:1: error: an owner is not a quoted string help: write it without the quotes"]),
        // TTL, class, type.
        ("a 1x A 1.2.3.4", vec!["x.zone:1:3: error: `1x` is not a TTL help: seconds are expected, or units as in `1h30m`"]),
        (
            "a 2147483648 A 1.2.3.4",
            vec!["x.zone:1:3: error: TTL `2147483648` is too long help: at most 2147483647 seconds (RFC 2181 section 8)"],
        ),
        (
            "a 99999999999 A 1.2.3.4",
            vec!["x.zone:1:3: error: `99999999999` is not a TTL help: seconds are expected, or units as in `1h30m`"],
        ),
        (
            "A 10.0.0.1",
            vec![
                "x.zone:1:3: error: `10.0.0.1` is not a TTL help: an address stands behind its type; the same owner again is a space in the first column",
            ],
        ),
        ("a CH A 1.2.3.4", vec!["x.zone:1:3: error: class CH is not served help: only IN is"]),
        ("a 60 CLASS3 TXT x", vec!["x.zone:1:6: error: class CLASS3 is not served help: only IN is"]),
        (
            "a IN",
            vec![
                "x.zone:1:3: error: the record ends before its type help: `owner [TTL] [IN] TYPE data` is expected; the same owner again is a space in the first column",
            ],
        ),
        (
            "www 3600 IN\n",
            vec![
                "x.zone:1:10: error: the record ends before its type help: `owner [TTL] [IN] TYPE data` is expected; the same owner again is a space in the first column",
            ],
        ),
        (
            "a",
            vec![
                "x.zone:1:1: error: the record ends before its type help: `owner [TTL] [IN] TYPE data` is expected; the same owner again is a space in the first column",
            ],
        ),
        ("a IN IN A 1.2.3.4", vec!["x.zone:1:6: error: unknown type `IN` help: the class is written once, before the type"]),
        ("a AAAAA ::1", vec!["x.zone:1:3: error: unknown type `AAAAA` help: did you mean AAAA?"]),
        ("a cnam b", vec!["x.zone:1:3: error: unknown type `cnam` help: did you mean CNAME?"]),
        (
            "a TYPE70000 \\# 0",
            vec![
                "x.zone:1:3: error: unknown type `TYPE70000` help: a type that has no mnemonic is written as in `TYPE65400 \\# 4 0A000001`",
            ],
        ),
        ("a AXFR", vec!["x.zone:1:3: error: AXFR is not a type of zone data"]),
        ("a TYPE255 \\# 0", vec!["x.zone:1:3: error: ANY is not a type of zone data"]),
        ("a \"A\" 1.2.3.4", vec!["x.zone:1:3: error: `\"A\"` stands where the type is expected help: write it without quotes"]),
        // Data.
        ("a A", vec!["x.zone:1:3: error: the address of A is missing"]),
        (
            "a A 10.0.0.01",
            vec!["x.zone:1:5: error: `10.0.0.01` is not an IPv4 address help: four numbers from 0 to 255 are expected, as in 10.20.1.4"],
        ),
        ("a A 2001:db8::1", vec!["x.zone:1:5: error: `2001:db8::1` is not an IPv4 address help: an IPv6 address goes into an AAAA record"]),
        ("a AAAA 10.0.0.1", vec!["x.zone:1:8: error: `10.0.0.1` is not an IPv6 address help: an IPv4 address goes into an A record"]),
        (
            "a A 10.0.0.1 10.0.0.2",
            vec!["x.zone:1:14: error: `10.0.0.2` is more than A has room for help: one address a record; give each its own line"],
        ),
        (
            "a A 10.0.0.1 # note",
            vec!["x.zone:1:14: error: `#` is more than A has room for help: one address a record; give each its own line"],
        ),
        ("a CNAME b c", vec!["x.zone:1:11: error: `c` is more than CNAME has room for help: a comment begins with `;`"]),
        (
            "a CNAME 10.0.0.1",
            vec!["x.zone:1:9: error: `10.0.0.1` cannot be the target of CNAME help: an address goes into an A or AAAA record"],
        ),
        ("a MX mail", vec!["x.zone:1:6: error: `mail` cannot be the preference of MX help: a whole number from 0 to 65535 is expected"]),
        (
            "a MX 70000 mail",
            vec!["x.zone:1:6: error: `70000` cannot be the preference of MX help: a whole number from 0 to 65535 is expected"],
        ),
        ("a MX 10", vec!["x.zone:1:3: error: the exchange of MX is missing"]),
        ("a MX 10 10.0.0.1", vec!["x.zone:1:9: error: `10.0.0.1` cannot be the exchange of MX help: a host's name is expected here"]),
        ("a MX 10 \"mail\"", vec!["x.zone:1:9: error: the exchange of MX is not a quoted string help: write it without the quotes"]),
        ("a MX 10 b..c", vec!["x.zone:1:9: error: `b..c` is not a name: empty label"]),
        ("@ SOA a b 1 2 3 4", vec!["x.zone:1:3: error: the minimum of SOA is missing"]),
        (
            "@ SOA a b 1 2x 3 4 5",
            vec!["x.zone:1:13: error: `2x` cannot be the refresh of SOA help: seconds are expected, or units as in `1h30m`"],
        ),
        (
            "@ SOA a b 1h 2 3 4 5",
            vec!["x.zone:1:11: error: `1h` cannot be the serial of SOA help: a whole number from 0 to 4294967295 is expected"],
        ),
        ("a TXT", vec!["x.zone:1:3: error: the text of TXT is missing"]),
        (
            "a TXT \"x\\300\"",
            vec![
                "x.zone:1:7: error: `\"x\\300\"` has a bad escape help: `\\` is followed by three digits up to 255, or by one other character",
            ],
        ),
        (
            text(format!("a HINFO {string} x")),
            vec!["x.zone:1:9: error: the CPU of HINFO has 256 octets, a string holds 255 help: write it as several quoted strings"],
        ),
        (
            "a CAA 0 iss-ue x",
            vec!["x.zone:1:9: error: `iss-ue` cannot be the tag of CAA help: letters and digits, such as `issue`, `issuewild` or `iodef`"],
        ),
        ("a DS 1 8 2 abc", vec!["x.zone:1:12: error: the digest of DS is not hexadecimal digits: their number is wrong"]),
        ("a DS 1 8 2 ab xy", vec!["x.zone:1:12: error: the digest of DS is not hexadecimal digits: a character is not one of them"]),
        (
            "a DS 1 WHAT 2 ab",
            vec!["x.zone:1:8: error: `WHAT` cannot be the algorithm of DS help: a number from 0 to 255 or a mnemonic is expected"],
        ),
        ("a OPENPGPKEY AQ=", vec!["x.zone:1:14: error: the key of OPENPGPKEY is not base64: their number is wrong"]),
        (
            "a HTTPS 1 . alpn",
            vec!["x.zone:1:13: error: `alpn` has a bad value help: protocol names of 1 to 255 octets are expected, with `,` between"],
        ),
        ("a HTTPS 1 . port=x", vec!["x.zone:1:13: error: `port=x` has a bad value help: a port from 0 to 65535 is expected"]),
        (
            "a HTTPS 1 . wat=x",
            vec![
                "x.zone:1:13: error: `wat=x` is not a service parameter help: `key=value` is expected, such as `alpn=h2` or `key667=\"value\"`",
            ],
        ),
        ("a HTTPS 1 . port=1 port=2", vec!["x.zone:1:20: error: `port` is given twice"]),
        ("a HTTPS 1 . mandatory=port", vec!["x.zone:1:13: error: `mandatory` without `port` help: RFC 9460 demands both or neither"]),
        (
            "a HTTPS 1 . no-default-alpn",
            vec!["x.zone:1:13: error: `no-default-alpn` without `alpn` help: RFC 9460 demands both or neither"],
        ),
        (
            "a HTTPS 1 . ipv4hint=::1",
            vec!["x.zone:1:13: error: `ipv4hint=::1` has a bad value help: IPv4 addresses are expected, with `,` between"],
        ),
        (
            "a TYPE65400 10.0.0.1",
            vec!["x.zone:1:13: error: TYPE65400 has no presentation format of its own help: write its octets: `TYPE65400 \\# 4 0A000001`"],
        ),
        ("a TYPE65400 \\# 4 0A0000", vec!["x.zone:1:13: error: `\\#` says 4 octets, 3 are written"]),
        ("a A \\# 3 0A0000", vec!["x.zone:1:5: error: these octets are not RDATA of A"]),
        (
            "a LOC 91 N 0 E 0m",
            vec![
                "x.zone:1:7: error: `91` cannot be the latitude of LOC help: degrees, minutes and seconds are expected, as in `52 22 23.000 N`",
            ],
        ),
        (
            "a NSEC b WHAT",
            vec!["x.zone:1:10: error: `WHAT` cannot be the types of NSEC help: a type such as `A` or `TYPE65400` is expected"],
        ),
        (
            "a EUI48 00-00-5e-00-53",
            vec![
                "x.zone:1:9: error: `00-00-5e-00-53` cannot be the identifier of EUI48 help: 6 pairs of hexadecimal digits with `-` between",
            ],
        ),
        // Directives.
        ("$ORIGIN", vec!["x.zone:1:1: error: $ORIGIN lacks a name"]),
        ("$ORIGIN a..b", vec!["x.zone:1:9: error: `a..b` is not a name: empty label"]),
        ("$ORIGIN a b", vec!["x.zone:1:11: error: `b` is more than $ORIGIN takes help: a comment begins with `;`"]),
        ("$TTL", vec!["x.zone:1:1: error: $TTL lacks a TTL"]),
        ("$TTL soon", vec!["x.zone:1:6: error: `soon` is not a TTL help: seconds are expected, or units as in `1h30m`"]),
        (
            "$DATE 1",
            vec![
                "x.zone:1:1: error: unknown directive `$DATE` help: $ORIGIN, $TTL, $INCLUDE and $GENERATE are known; a name that begins with `$` is written `\\$`",
            ],
        ),
        (
            "$GENERATE 1-2",
            vec!["x.zone:1:1: error: $GENERATE lacks its range or owner help: `$GENERATE 1-10 host$ A 10.0.0.$` is expected"],
        ),
        (
            "$GENERATE 2-1 a$ A 1.2.3.4",
            vec!["x.zone:1:11: error: `2-1` is not a range help: `start-stop` or `start-stop/step` is expected"],
        ),
        (
            "$GENERATE 1-2/0 a$ A 1.2.3.4",
            vec!["x.zone:1:11: error: `1-2/0` is not a range help: `start-stop` or `start-stop/step` is expected"],
        ),
        (
            "$GENERATE 0-65536 a$ A 1.2.3.4",
            vec!["x.zone:1:11: error: `0-65536` makes 65537 records help: one $GENERATE makes at most 65536"],
        ),
        ("$GENERATE 1-2 a$ A", vec!["x.zone:1:18: error: $GENERATE lacks the data behind the type"]),
        (
            "$GENERATE 1-2 a${x} A 1.2.3.4",
            vec!["x.zone:1:15: error: `a${x}` has a bad `${…}` help: `${offset,width,base}` is expected, base one of d, o, x, X, n and N"],
        ),
        ("$GENERATE 1-2 a$ A 10.0.0.${-2}", vec!["x.zone:1:1: error: $GENERATE at 1: the number is -1, below 0"]),
        (
            "$GENERATE 254-258 a$ A 10.0.0.$",
            vec![
                "x.zone:1:1: error: $GENERATE at 256: `10.0.0.256` is not an IPv4 address help: four numbers from 0 to 255 are expected, as in 10.20.1.4",
            ],
        ),
        ("$INCLUDE", vec!["x.zone:1:1: error: $INCLUDE lacks a file"]),
        ("$INCLUDE x", vec!["x.zone:1:10: error: $INCLUDE is not possible here help: this source is not a file in a zone directory"]),
        // Columns are characters.
        (
            "a TXT \"\u{e9}\u{1f600}\" \"x\\999\"",
            vec![
                "x.zone:1:12: error: `\"x\\999\"` has a bad escape help: `\\` is followed by three digits up to 255, or by one other character",
            ],
        ),
    ];
    let mut wrong = Vec::new();
    for (text, want) in cases {
        let got = zone(text).1;
        if got != want {
            wrong.push(format!("{text}\n got {got:#?}\nwant {want:#?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
