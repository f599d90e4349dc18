mod errors;

use std::fs;
use std::path::Path;

use super::super::tests::{zone, zone_in};

/// A good file: its records.
fn good(text: impl AsRef<[u8]>) -> Vec<String> {
    let (lines, problems) = zone(text.as_ref());
    assert_eq!(problems, Vec::<String>::new(), "{}", String::from_utf8_lossy(text.as_ref()));
    lines
}

#[test]
fn a_zone_in_every_manner_of_rfc_1035() {
    let text = "\
; a comment, then an empty line

$TTL 1h
@ IN SOA ns hostmaster ( 1 2h 3 ; four of five
   4d
 5 ) ; behind
  NS ns
\tNS ns.Other.test.
WWW A 10.0.0.1
    IN AAAA 2001:db8::1
    60 TXT \"a b\" c
mail in 2H MX 10 Mail
mail2 2h In mX 10 mail.contoso.test.
sub.web CNAME @
abs.contoso.test. 0 cname .
*.wild ( A
10.0.0.2 )
";
    assert_eq!(
        good(text),
        [
            "contoso.test. 3600 SOA ns.contoso.test. hostmaster.contoso.test. 1 7200 3 345600 5",
            "contoso.test. 3600 NS ns.contoso.test.",
            "contoso.test. 3600 NS ns.Other.test.",
            "www.contoso.test. 3600 A 10.0.0.1",
            "www.contoso.test. 3600 AAAA 2001:db8::1",
            "www.contoso.test. 60 TXT \"a b\" \"c\"",
            "mail.contoso.test. 7200 MX 10 Mail.contoso.test.",
            "mail2.contoso.test. 7200 MX 10 mail.contoso.test.",
            "sub.web.contoso.test. 3600 CNAME contoso.test.",
            "abs.contoso.test. 0 CNAME .",
            "*.wild.contoso.test. 3600 A 10.0.0.2",
        ]
    );
}

#[test]
fn an_azure_export_is_read_as_it_is() {
    let text = include_bytes!("../../../tests/data/azure/private_dns_zone_export.txt");
    assert_eq!(
        good(text),
        [
            "privatelink.azurehealthcareapis.com. 3600 SOA azureprivatedns.net. azureprivatedns-host.microsoft.com. 1 3600 300 2419200 10",
            "contosows-workspace.privatelink.azurehealthcareapis.com. 10 A 10.20.1.4",
            "contosows-fhir1.fhir.privatelink.azurehealthcareapis.com. 10 A 10.20.1.5",
        ]
    );
    let set = "\n$TTL 10\n$ORIGIN contoso.test.\n    \nwww 10 IN A 10.0.0.1\n    10 IN A 10.0.0.2\n\n\n";
    assert_eq!(good(set), ["www.contoso.test. 10 A 10.0.0.1", "www.contoso.test. 10 A 10.0.0.2"], "second record of a set");
}

#[test]
fn a_missing_ttl_comes_from_the_nearest_rule() {
    let cases: [(&str, &[&str]); 7] = [
        ("a A 1.2.3.4", &["-"]),
        ("$TTL 7\na A 1.2.3.4\n$TTL 8\nb A 1.2.3.4", &["7", "8"]),
        ("a 5 A 1.2.3.4\nb A 1.2.3.4\nc 6 AAAA ::1\nd AAAA ::1", &["5", "5", "6", "6"]),
        ("$TTL 7\na 5 A 1.2.3.4\nb A 1.2.3.4", &["5", "7"]),
        ("@ SOA a b 1 2 3 4 9\na A 1.2.3.4", &["9", "9"]),
        ("@ 3 SOA a b 1 2 3 4 9\na A 1.2.3.4", &["3", "3"]),
        ("a 1w2d3h4m5s A 1.2.3.4\nb 1M IN A 1.2.3.4\nc IN 2147483647 A 1.2.3.4", &["788645", "60", "2147483647"]),
    ];
    for (text, want) in cases {
        let ttls: Vec<String> = good(text).iter().map(|line| line.split(' ').nth(1).unwrap().to_owned()).collect();
        assert_eq!(ttls, want, "{text}");
    }
}

#[test]
fn origin_may_be_relative_and_lasts() {
    let text = "a A 1.2.3.4\n$ORIGIN sub\nb A 1.2.3.4\n$origin deeper\n@ A 1.2.3.4\n$ORIGIN Other.Test.\nc CNAME d\n  TXT x\n$ORIGIN .\ne.test A 1.2.3.4\n";
    assert_eq!(
        good(text),
        [
            "a.contoso.test. - A 1.2.3.4",
            "b.sub.contoso.test. - A 1.2.3.4",
            "deeper.sub.contoso.test. - A 1.2.3.4",
            "c.other.test. - CNAME d.Other.Test.",
            "c.other.test. - TXT \"x\"",
            "e.test. - A 1.2.3.4",
        ]
    );
}

#[test]
fn names_keep_their_escapes_and_rdata_its_case() {
    let cases = [
        (r"a\.b CNAME X\.Y.Z", r"a\.b.contoso.test. - CNAME X\.Y.Z.contoso.test."),
        (r"\065\@\$\(\;\)\ \\ CNAME \@", r"a\@\$\(\;\)\032\\.contoso.test. - CNAME \@.contoso.test."),
        (r"\200\000 CNAME \200.", r"\200\000.contoso.test. - CNAME \200."),
        (r"\$ttl A 1.2.3.4", r"\$ttl.contoso.test. - A 1.2.3.4"),
        ("_x._tcp SRV 0 0 443 Host", "_x._tcp.contoso.test. - SRV 0 0 443 Host.contoso.test."),
        ("*.*.A CNAME *.B", "*.*.a.contoso.test. - CNAME *.B.contoso.test."),
    ];
    for (text, want) in cases {
        assert_eq!(good(text), [want], "{text}");
    }
}

#[test]
fn bytes_that_are_not_utf8_line_ends_and_marks_do_no_harm() {
    let cases: [(&[u8], &str); 10] = [
        (b"a TXT \"\xff\xe9\" ; \xfe \0\n", r#"a.contoso.test. - TXT "\255\233""#),
        (b"a TXT \xc3\xa9\n", r#"a.contoso.test. - TXT "\195\169""#),
        (b"a TXT \"\\200\\\"\\\\\"", r#"a.contoso.test. - TXT "\200\"\\""#),
        (b"\xef\xbb\xbfa A 1.2.3.4", "a.contoso.test. - A 1.2.3.4"),
        (b"a A 1.2.3.4\r\n", "a.contoso.test. - A 1.2.3.4"),
        (b"a (\r\n A\r\n 1.2.3.4 )\r\n\r\n", "a.contoso.test. - A 1.2.3.4"),
        (b"a A 1.2.3.4", "a.contoso.test. - A 1.2.3.4"),
        (b"a A 1.2.3.4 ; comment", "a.contoso.test. - A 1.2.3.4"),
        (b"a A 1.2.3.4;comment", "a.contoso.test. - A 1.2.3.4"),
        (b"\xff\xfea\0 \0A\0 \0:\0:\x001\0\n\0", "never"),
    ];
    for (text, want) in cases {
        if want == "never" {
            assert_eq!(zone(text).1, ["x.zone:1:5: error: `::1` is not an IPv4 address help: an IPv6 address goes into an AAAA record"]);
        } else {
            assert_eq!(good(text), [want], "{text:?}");
        }
    }
    let long = format!("a TXT {}\n", "\"abc\" ".repeat(10_000));
    assert_eq!(good(long).len(), 1);
}

#[test]
fn classes_and_types_of_rfc_3597_are_known() {
    let cases = [
        (r"a CLASS1 TYPE1 \# 4 0A000001", "a.contoso.test. - A 10.0.0.1"),
        (r"a IN A \# 4 0a 00 00 01", "a.contoso.test. - A 10.0.0.1"),
        (r"a TYPE65400 \# 4 0A000001", r"a.contoso.test. - TYPE65400 \# 4 0A000001"),
        (r"a type731 \# 6 abcdef ( 01 23 45 )", r"a.contoso.test. - TYPE731 \# 6 ABCDEF012345"),
        (r"a TYPE62347 \# 0", r"a.contoso.test. - TYPE62347 \# 0"),
        (r"a TYPE16 x", r#"a.contoso.test. - TXT "x""#),
        (r"a CNAME \# 8 014203 777777 0000", "never"),
        (r"a MX \# 5 000a 014200", "a.contoso.test. - MX 10 B."),
        (r"a NULL \# 2 FFFF", r"a.contoso.test. - NULL \# 2 FFFF"),
    ];
    for (text, want) in cases {
        if want == "never" {
            assert_eq!(zone(text).1, ["x.zone:1:9: error: these octets are not RDATA of CNAME"]);
        } else {
            assert_eq!(good(text), [want], "{text}");
        }
    }
}

#[test]
fn generate_counts_as_bind_does() {
    let cases: [(&str, &[&str]); 14] = [
        ("$GENERATE 1-3 host$ A 10.0.0.$", &["host1 - A 10.0.0.1", "host2 - A 10.0.0.2", "host3 - A 10.0.0.3"]),
        ("$generate 0-10/5 h$ 60 IN A 10.0.0.$", &["h0 60 A 10.0.0.0", "h5 60 A 10.0.0.5", "h10 60 A 10.0.0.10"]),
        ("$GENERATE 9-9 ${1,3} CNAME x${-9,2,x}", &["010 - CNAME x00.contoso.test."]),
        ("$GENERATE 255-255 a${0,4,X} CNAME b${0,0,o}", &["a00ff - CNAME b377.contoso.test."]),
        ("$GENERATE 26-26 ${0,3,n} CNAME ${0,0,N}", &["a.1 - CNAME A.1.contoso.test."]),
        ("$GENERATE 26-26 ${0,7,n} CNAME x", &["a.1.0.0 - CNAME x.contoso.test."]),
        ("$GENERATE 1-1 a$$b CNAME \\$x", &["a\\$b - CNAME \\$x.contoso.test."]),
        ("$GENERATE 1-1 @ MX 10 mail$", &["@ - MX 10 mail1.contoso.test."]),
        ("$GENERATE 1-1 @ MX \"10 mail$\"", &["@ - MX 10 mail1.contoso.test."]),
        ("$GENERATE 1-1 t TXT \"host $\" b", &["t - TXT \"host 1\" \"b\""]),
        ("$GENERATE 2-2 @ SRV $ 0 443 a", &["@ - SRV 2 0 443 a.contoso.test."]),
        ("$TTL 9\n$GENERATE 1-1 a$ A 1.2.3.4 ; four\n  A 1.2.3.5", &["a1 9 A 1.2.3.4", "a1 9 A 1.2.3.5"]),
        ("$GENERATE 1-2 a A 10.0.0.$", &["a - A 10.0.0.1", "a - A 10.0.0.2"]),
        ("$GENERATE 4294967295-4294967295 a$ A 10.0.0.1", &["a4294967295 - A 10.0.0.1"]),
    ];
    for (text, want) in cases {
        let want: Vec<String> = want
            .iter()
            .map(|line| line.split_once(' ').unwrap())
            .map(|(owner, rest)| match owner {
                "@" => format!("contoso.test. {rest}"),
                _ => format!("{owner}.contoso.test. {rest}"),
            })
            .collect();
        let got = good(text);
        // Upper-case hexadecimal digits are lowered in an owner like any letter.
        assert_eq!(got, want, "{text}");
    }
    assert_eq!(good("$GENERATE 0-65535 h$ A 10.0.0.1").len(), 65_536);
}

#[test]
fn a_name_that_lacks_its_final_dot_is_warned_of() {
    let cases: [(&str, &[&str]); 5] = [
        (
            "www.contoso.test A 1.2.3.4",
            &[
                "x.zone:1:1: warning: `www.contoso.test` has no final dot, so it means `www.contoso.test.contoso.test.` help: write `www.contoso.test.` or leave out what the origin adds",
            ],
        ),
        (
            "contoso.test AAAA ::1",
            &[
                "x.zone:1:1: warning: `contoso.test` has no final dot, so it means `contoso.test.contoso.test.` help: write `contoso.test.` or leave out what the origin adds",
            ],
        ),
        (
            "a CNAME www.Contoso.Test",
            &[
                "x.zone:1:9: warning: `www.Contoso.Test` has no final dot, so it means `www.Contoso.Test.contoso.test.` help: write `www.Contoso.Test.` or leave out what the origin adds",
            ],
        ),
        (
            "$ORIGIN www.contoso.test\n",
            &[
                "x.zone:1:9: warning: `www.contoso.test` has no final dot, so it means `www.contoso.test.contoso.test.` help: write `www.contoso.test.` or leave out what the origin adds",
            ],
        ),
        ("$ORIGIN test.\ntest A 1.2.3.4\nhost.mytest A 1.2.3.4", &[]),
    ];
    for (text, want) in cases {
        assert_eq!(zone(text).1, want, "{text}");
    }
    let (lines, problems) = zone("m\u{fc}nchen A 1.2.3.4");
    assert_eq!(lines, [r"m\195\188nchen.contoso.test. - A 1.2.3.4"]);
    assert_eq!(
        problems,
        ["x.zone:1:1: warning: `m\u{fc}nchen` has characters beyond ASCII help: clients ask for the `xn--` form of such a name"]
    );
}

#[test]
fn errors_are_counted_when_they_are_too_many_to_show() {
    let (lines, problems) = zone("good A 1.2.3.4\n".to_owned() + &"a A x\n".repeat(60) + "last A 1.2.3.4\n");
    assert_eq!(lines.len(), 2, "reading goes on");
    assert_eq!(problems.len(), 51);
    assert_eq!(problems[50], "x.zone:52:1: error: 10 more errors from here on".replace("52:1", "52:5"));
    let (_, problems) = zone("a A (\n".repeat(100_000));
    assert_eq!(problems.len(), 51);
    assert_eq!(problems[50], "x.zone:51:5: error: 950 more errors from here on, and the rest was not read");
}

#[test]
fn an_entry_without_end_is_given_up() {
    let (lines, problems) = zone("a TXT ".to_owned() + &"x ".repeat(600_000) + "\nb A 1.2.3.4\n");
    assert_eq!(
        (lines, problems),
        (
            vec!["b.contoso.test. - A 1.2.3.4".to_owned()],
            vec!["x.zone:1:1048578: error: the line is longer than 1 MiB help: no record needs that much".to_owned()]
        )
    );
}

#[test]
fn a_record_stands_where_its_line_begins() {
    let (kept, problems, _) = zone_in("\na A 1.2.3.4\n\tAAAA ::1\n  60 TXT (\n x )\nb MX 10 a\n", Path::new("x.zone"), None);
    assert_eq!(problems, Vec::<String>::new());
    assert_eq!(kept.places, [(2, 1), (3, 2), (4, 3), (6, 1)]);
}

#[test]
fn both_ways_of_reading_an_address_line_agree() {
    // The comment sends the second one the long way.
    for line in [
        "a A 1.2.3.4",
        "A.b.C 60 A 255.255.255.255",
        "a.contoso.test. IN A 0.0.0.0",
        "*  1 in a 1.2.3.4  ",
        "x\t2\tIN\tA\t9.9.9.9",
        "x. A 1.1.1.1",
        "_a-b A 1.2.3.4\r",
    ] {
        let text = format!("$TTL 9\n{line}\n  TXT x\n");
        let slow = format!("$TTL 9\n{}; slow\n  TXT x\n", line.trim_end_matches('\r'));
        assert_eq!(good(&text), good(&slow), "{line}");
        assert_eq!(good(&text).len(), 2);
    }
}

#[test]
fn included_files_have_a_scope_of_their_own() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    fs::create_dir(path("parts")).unwrap();
    fs::write(path("parts/a.inc"), "$TTL 5\n$ORIGIN elsewhere.test.\n@ A 1.1.1.1\n$INCLUDE b.inc sub\n@ A 1.1.1.2\n").unwrap();
    fs::write(path("parts/b.inc"), "b A 2.2.2.2").unwrap();
    fs::write(path("bad file.inc"), "\nc A x\n A 1.2.3.4\n").unwrap();
    let text = "$TTL 9\nfirst A 9.9.9.1\n$INCLUDE parts/a.inc\n  A 9.9.9.2\n$INCLUDE parts/b.inc x.test. ; named\nlast A 9.9.9.3\n$INCLUDE \"bad file.inc\"\n$INCLUDE missing.inc\n";
    let (kept, problems, read) = zone_in(text, &path("x.zone"), Some(directory.path()));
    assert_eq!(
        kept.lines,
        [
            "first.contoso.test. 9 A 9.9.9.1",
            "elsewhere.test. 5 A 1.1.1.1",
            "b.sub.elsewhere.test. 5 A 2.2.2.2",
            "elsewhere.test. 5 A 1.1.1.2",
            "first.contoso.test. 9 A 9.9.9.2",
            "b.x.test. 9 A 2.2.2.2",
            "last.contoso.test. 9 A 9.9.9.3",
            "c.contoso.test. 9 A 1.2.3.4",
        ]
    );
    let at = |name: &str| path(name).display().to_string();
    assert_eq!(
        problems,
        [
            format!(
                "{}:2:5: error: `x` is not an IPv4 address help: four numbers from 0 to 255 are expected, as in 10.20.1.4",
                at("bad file.inc")
            ),
            format!(
                "{}:8:10: error: `missing.inc` cannot be read: no such file help: the file is looked for beside the one that includes it",
                at("x.zone")
            ),
        ]
    );
    let files = ["x.zone", "parts/a.inc", "parts/b.inc", "parts/a.inc", "x.zone", "parts/b.inc", "x.zone", "bad file.inc", "x.zone"];
    assert_eq!(kept.files, files.map(at), "the sink is told whose records follow");
    let included: Vec<(String, bool)> =
        read.included.iter().map(|file| (file.path.display().to_string(), file.fingerprint.is_some())).collect();
    let want = [("parts/a.inc", true), ("parts/b.inc", true), ("parts/b.inc", true), ("bad file.inc", true), ("missing.inc", false)];
    assert_eq!(included, want.map(|(name, read)| (at(name), read)));
    assert_eq!(read.included[1].fingerprint, Some(postern_config::fingerprint(b"b A 2.2.2.2")));
}

#[test]
fn nothing_outside_the_directory_is_included() {
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("secret"), "s A 1.2.3.4").unwrap();
    let real = outside.path().join("zones");
    fs::create_dir(&real).unwrap();
    fs::write(real.join("inside.inc"), "i A 1.2.3.4").unwrap();
    fs::create_dir(real.join("sub")).unwrap();
    std::os::unix::fs::symlink("../secret", real.join("link.inc")).unwrap();
    std::os::unix::fs::symlink("inside.inc", real.join("good.inc")).unwrap();
    std::os::unix::fs::symlink("../..", real.join("sub/up")).unwrap();
    // The directory itself is reached through a link.
    let root = outside.path().join("linked");
    std::os::unix::fs::symlink(&real, &root).unwrap();
    let file = root.join("x.zone");
    let include = |name: &str| {
        let (kept, problems, _) = zone_in(format!("$INCLUDE {name}"), &file, Some(&root));
        (kept.lines.len(), problems)
    };
    for name in ["inside.inc", "good.inc", "sub/../inside.inc", "./inside.inc"] {
        assert_eq!(include(name), (1, vec![]), "{name}");
    }
    assert_eq!(include(&root.join("inside.inc").display().to_string()), (1, vec![]), "an absolute path may lead inside");
    let secret = outside.path().join("secret").display().to_string();
    for name in ["../secret", "link.inc", "sub/up/secret", "/etc/passwd", secret.as_str()] {
        let help = format!("only files in or below {} are read, links followed", real.canonicalize().unwrap().display());
        let want = format!("{}:1:10: error: `{name}` lies outside the zone's directory help: {help}", file.display());
        assert_eq!(include(name), (0, vec![want]), "{name}");
    }
    let want = format!(
        "{}:1:10: error: `sub` cannot be read: not a file help: the file is looked for beside the one that includes it",
        file.display()
    );
    assert_eq!(include("sub"), (0, vec![want]));
    // Sparse: it takes no room.
    fs::File::create(real.join("huge.inc")).and_then(|file| file.set_len(u64::from(u32::MAX) + 1)).unwrap();
    let want =
        "with `huge.inc` the zone file has more than 1048576 bytes help: raise `server.max-source-size` if it is meant to be that large";
    assert!(include("huge.inc").1[0].ends_with(want));
    assert_eq!(include("\"\"").1, [format!("{}:1:10: error: `` is not a file name", file.display())]);
}

#[test]
fn files_that_include_each_other_end() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    fs::write(path("x.zone"), "$INCLUDE a.inc").unwrap();
    fs::write(path("a.inc"), "a A 1.2.3.4\n$INCLUDE b.inc\n").unwrap();
    fs::write(path("b.inc"), "$INCLUDE a.inc\n$INCLUDE x.zone\n$INCLUDE b.inc").unwrap();
    let (kept, problems, _) = zone_in("$INCLUDE a.inc", &path("x.zone"), Some(directory.path()));
    let at = path("b.inc").display().to_string();
    assert_eq!(kept.lines.len(), 1);
    assert_eq!(
        problems,
        [("1:10", "a.inc"), ("2:10", "x.zone"), ("3:10", "b.inc")]
            .map(|(place, name)| format!("{at}:{place}: error: `{name}` includes itself"))
    );
    for depth in 0..20 {
        fs::write(path(&format!("{depth}.inc")), format!("d{depth} A 1.2.3.4\n$INCLUDE {}.inc\n", depth + 1)).unwrap();
    }
    let (kept, problems, _) = zone_in("$INCLUDE 0.inc", &path("x.zone"), Some(directory.path()));
    assert_eq!((kept.lines.len(), problems.len()), (16, 1));
    assert_eq!(problems[0], format!("{}:2:10: error: files include one another more than 16 deep", path("15.inc").display()));
    // Two files, each of which includes the next twice: 2^15 files if nobody counted.
    for depth in 0..15 {
        fs::write(path(&format!("{depth}.inc")), format!("$INCLUDE {0}.inc\n$INCLUDE {0}.inc\n", depth + 1)).unwrap();
    }
    fs::write(path("15.inc"), "").unwrap();
    let (_, problems, read) = zone_in("$INCLUDE 0.inc", &path("x.zone"), Some(directory.path()));
    assert_eq!(read.included.len(), 1000);
    assert!(
        problems.iter().all(|problem| problem.ends_with("more than 1000 files are included") || problem.contains("more error")),
        "{problems:#?}"
    );
}

#[test]
fn a_text_of_any_length_may_stand_between_one_pair_of_quotes() {
    let text = format!("key._domainkey 3600 IN TXT \"v=DKIM1; p={}\"\n", "A".repeat(400));
    let want = format!("key._domainkey.contoso.test. 3600 TXT \"v=DKIM1; p={}\" \"{}\"", "A".repeat(244), "A".repeat(156));
    assert_eq!(good(text), [want]);
}

#[test]
fn types_are_known_by_mnemonic_and_by_number() {
    let text = "\
a 5 IPSECKEY 10 0 2 . AQID
a 5 TYPE45 10 1 2 192.0.2.38 AQID
b 5 NSAP-PTR x
c 5 TYPE65305 \\# 3 FFFFFF
d 5 NULL \\# 1 00
TYPE1 5 TYPE1 10.0.0.1
";
    assert_eq!(
        good(text),
        [
            "a.contoso.test. 5 IPSECKEY 10 0 2 . AQID",
            "a.contoso.test. 5 IPSECKEY 10 1 2 192.0.2.38 AQID",
            "b.contoso.test. 5 NSAP-PTR x.contoso.test.",
            "c.contoso.test. 5 TYPE65305 \\# 3 FFFFFF",
            "d.contoso.test. 5 NULL \\# 1 00",
            "type1.contoso.test. 5 A 10.0.0.1",
        ]
    );
}

#[test]
fn an_export_of_the_azure_portal_names_the_zone_without_a_final_dot() {
    let (lines, problems) =
        zone(b"$ORIGIN Contoso.test\n@ 5 NS ns\n$ORIGIN sub\nwww 5 A 10.0.0.1\n$ORIGIN contoso.test\nwww 5 A 10.0.0.2\n");
    assert_eq!(lines, ["contoso.test. 5 NS ns.contoso.test.", "www.sub.contoso.test. 5 A 10.0.0.1", "www.contoso.test. 5 A 10.0.0.2"]);
    assert_eq!(
        problems,
        [
            "x.zone:1:9: warning: `Contoso.test` has no final dot and is taken for the zone itself help: write `$ORIGIN Contoso.test.`",
            "x.zone:5:9: warning: `contoso.test` has no final dot and is taken for the zone itself help: write `$ORIGIN contoso.test.`",
        ]
    );
}

#[test]
fn a_zone_file_of_windows_has_ages_and_wins_rows() {
    let text = "\
@ [AGE:3634093] 600 A 10.0.0.1
  [Age:3634093]\t600\tA\t10.0.0.2
0 WINS LOCAL L2 C900 ( 10.0.0.1
 10.0.0.2 )
@ 900 IN WINSR L1 C900 contoso.test.
b [AGE:3634093] A 10.0.0.3
wins A 10.0.0.4
";
    let (lines, problems) = zone(text.as_bytes());
    assert_eq!(
        lines,
        [
            "contoso.test. 600 A 10.0.0.1",
            "contoso.test. 600 A 10.0.0.2",
            "b.contoso.test. 600 A 10.0.0.3",
            "wins.contoso.test. 600 A 10.0.0.4"
        ]
    );
    let left_out = |place: &str, name: &str| {
        format!(
            "x.zone:{place}: warning: {name} is a lookup of Windows DNS, no record of DNS: this row is left out help: clients that need the names found there get records of their own"
        )
    };
    assert_eq!(problems, [left_out("3:3", "WINS"), left_out("5:10", "WINSR")]);
    for bad in ["a [AGE:] A 10.0.0.1\n", "a [AGE:1 A 10.0.0.1\n", "a AGE:1 A 10.0.0.1\n", "a WIN 10.0.0.1\n", "a \"WINS\" x\n"] {
        let (lines, problems) = zone(bad.as_bytes());
        assert!(lines.is_empty() && problems.len() == 1 && problems[0].contains(" error: "), "{problems:?}");
    }
}

#[test]
fn an_export_of_azure_cli_has_absolute_targets_without_a_final_dot() {
    let text = "
; Exported zone file from Azure DNS
;      Zone name: contoso.test
;      Resource Group Name: rg
$ORIGIN contoso.test.
@ 5 IN SOA azureprivatedns.net azureprivatedns-host.microsoft.com 1 2 3 4 5
a 5 IN CNAME www.fabrikam.test
b 5 IN CNAME a
c 5 IN MX 10 mail.contoso.test
d 5 IN SRV 1 2 3 e.contoso.test.
@ 5 AZURE ALIAS A /subscriptions/0/resourceGroups/rg
";
    let (lines, problems) = zone(text);
    assert_eq!(
        lines,
        [
            "contoso.test. 5 SOA azureprivatedns.net. azureprivatedns-host.microsoft.com. 1 2 3 4 5",
            "a.contoso.test. 5 CNAME www.fabrikam.test.",
            "b.contoso.test. 5 CNAME a.contoso.test.",
            "c.contoso.test. 5 MX 10 mail.contoso.test.",
            "d.contoso.test. 5 SRV 1 2 3 e.contoso.test.",
        ]
    );
    assert_eq!(
        problems,
        [
            "x.zone:6:12: warning: `azureprivatedns.net` has no final dot and is taken for an absolute name, as in all of this export help: Azure CLI writes targets so",
            "x.zone:11:11: warning: ALIAS is an alias of the exporting service, no record of DNS: this row is left out help: write the A and AAAA records that it stands for, or a CNAME below the apex",
        ]
    );
    let (lines, _) = zone("a 5 IN CNAME www.eu\n");
    assert_eq!(lines, ["a.contoso.test. 5 CNAME www.eu.contoso.test."], "any other file has relative targets");
}

#[test]
fn an_export_of_cloudflare_is_read() {
    let text = ";;
;; Domain:     contoso.test.
;; Exported:   2025-11-23 07:11:00
;; Cloudflare recommends that you check this file before use.
;; SOA Record
contoso.test\t3600\tIN\tSOA\tns.cloudflare.test. dns.cloudflare.test. 1 2 3 4 5
;; A Records
app.contoso.test.\t1\tIN\tA\t10.0.0.1 ; cf_tags=cf-proxied:true
www.contoso.test. 60 IN A 10.0.0.2
;; CNAME Records
mail.contoso.test.\t1\tIN\tCNAME\tapp.contoso.test. ; cf_tags=cf-proxied:false
";
    let (lines, problems) = zone(text);
    assert_eq!(
        lines,
        [
            "contoso.test. 3600 SOA ns.cloudflare.test. dns.cloudflare.test. 1 2 3 4 5",
            "app.contoso.test. 300 A 10.0.0.1",
            "www.contoso.test. 60 A 10.0.0.2",
            "mail.contoso.test. 300 CNAME app.contoso.test.",
        ]
    );
    assert_eq!(
        problems,
        ["x.zone:6:1: warning: `contoso.test` has no final dot and is taken for the zone itself help: write `contoso.test.`"]
    );
    let (lines, _) = zone("app 1 IN A 10.0.0.1\n");
    assert_eq!(lines, ["app.contoso.test. 1 A 10.0.0.1"], "any other file means the TTL that it has");
}
