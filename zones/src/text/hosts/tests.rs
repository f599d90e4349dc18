use std::path::Path;
use std::sync::Arc;

use postern_config::azure::PrivateLinkTable;

use super::super::tests::Kept;
use super::read_hosts;

fn hosts(text: impl AsRef<[u8]>) -> (Kept, Vec<String>) {
    let mut kept = Kept::default();
    let mut problems = Vec::new();
    let file = Arc::new(Path::new("x.hosts").to_owned());
    let read = read_hosts(text.as_ref(), &file, PrivateLinkTable::builtin(), &mut kept, &mut problems);
    assert_eq!(read.records as usize, kept.lines.len());
    (kept, problems.iter().map(ToString::to_string).collect())
}

#[test]
fn the_portals_host_file_gives_private_link_names() {
    let (kept, problems) = hosts(include_bytes!("../../../tests/data/azure/portal_host_file.txt"));
    assert_eq!(problems, Vec::<String>::new());
    assert_eq!(
        kept.lines,
        [
            "contosows-workspace.azurehealthcareapis.com. 10 A 10.20.1.4",
            "contosows-workspace.privatelink.azurehealthcareapis.com. 10 A 10.20.1.4",
            "contosows.privatelink.workspace.azurehealthcareapis.com. 10 A 10.20.1.4",
            "contosows-fhir1.fhir.azurehealthcareapis.com. 10 A 10.20.1.5",
            "contosows-fhir1.fhir.privatelink.azurehealthcareapis.com. 10 A 10.20.1.5",
            "contosows-fhir1.privatelink.fhir.azurehealthcareapis.com. 10 A 10.20.1.5",
        ]
    );
    assert_eq!(kept.places, [(3, 14), (3, 14), (3, 14), (4, 14), (4, 14), (4, 14)], "one written name, one place");
}

#[test]
fn a_dicom_service_is_given_under_both_spellings() {
    let (kept, problems) = hosts("10.20.1.6 contosows-dicom1.dicom.azurehealthcareapis.com");
    assert_eq!(problems, Vec::<String>::new());
    let owners: Vec<&str> = kept.lines.iter().map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(owners[0], "contosows-dicom1.dicom.azurehealthcareapis.com.");
    assert!(owners.contains(&"contosows-dicom1.privatelink.dicom.azurehealthcareapis.com."), "{owners:?}");
    assert!(owners.contains(&"contosows-dicom1.dicom.privatelink.azurehealthcareapis.com."), "{owners:?}");
}

#[test]
fn other_names_are_taken_as_they_are() {
    let cases: [(&[u8], &[&str]); 8] = [
        (b"10.0.0.1 a.test b.test\tC.test # d.test\n", &["a.test. 10 A 10.0.0.1", "b.test. 10 A 10.0.0.1", "c.test. 10 A 10.0.0.1"]),
        (b"  2001:db8::1   a.test.  \r\n\r\n# \xff\n", &["a.test. 10 AAAA 2001:db8::1"]),
        (b"\xef\xbb\xbf127.0.0.1 localhost", &["localhost. 10 A 127.0.0.1"]),
        (b"10.0.0.1 x.privatelink.blob.core.windows.net", &["x.privatelink.blob.core.windows.net. 10 A 10.0.0.1"]),
        (b"10.0.0.1 *.contoso.test", &["*.contoso.test. 10 A 10.0.0.1"]),
        (b"\xff\xfe1\0.\x002\0.\x003\0.\x004\0 \0a\0", &["a. 10 A 1.2.3.4"]),
        (b"", &[]),
        (b"\n# only a comment", &[]),
    ];
    for (text, want) in cases {
        let (kept, problems) = hosts(text);
        assert_eq!(
            (kept.lines.iter().map(String::as_str).collect::<Vec<_>>().as_slice(), problems.len()),
            (want, 0),
            "{text:?} {problems:?}"
        );
    }
}

#[test]
fn each_bad_line_is_told_with_its_place() {
    let long = format!("1.2.3.4 {}.test", "a".repeat(64));
    let cases: [(&str, &[&str]); 9] = [
        (
            "10.0.0.256 a.test",
            &["x.hosts:1:1: error: `10.0.0.256` is not an IP address help: a line is `address name…`; a comment begins with `#`"],
        ),
        ("; note\n", &["x.hosts:1:1: error: `;` is not an IP address help: a line is `address name…`; a comment begins with `#`"]),
        (
            "fe80::1%eth0 a.test",
            &["x.hosts:1:1: error: `fe80::1%eth0` is not an IP address help: an address with `%` is valid on one machine alone"],
        ),
        ("\n  10.0.0.1 # a.test", &["x.hosts:2:3: error: `10.0.0.1` has no name help: a line is `address name…`"]),
        ("10.0.0.1 a..test b.test .", &["x.hosts:1:10: warning: `a..test` is not a name: empty label; this name is skipped"]),
        (
            &long,
            &[
                "x.hosts:1:9: error: `aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa…` is not a name: label is longer than 63 octets",
            ],
        ),
        (
            "10.0.0.1 é..x a\\9",
            &["x.hosts:1:10: error: `é..x` is not a name: empty label", "x.hosts:1:15: error: `a\\9` is not a name: bad escape"],
        ),
        (
            "x\ny",
            &[
                "x.hosts:1:1: error: `x` is not an IP address help: a line is `address name…`; a comment begins with `#`",
                "x.hosts:2:1: error: `y` is not an IP address help: a line is `address name…`; a comment begins with `#`",
            ],
        ),
        (
            "10.1.1.1 a.contoso.test #/subscriptions/0/providers/Microsoft.Network/privateEndpoints/pe",
            &[
                "x.hosts:1:10: warning: no private-link zone is known for `a.contoso.test` help: it is served by a zone that holds the name itself; \
             a row of the zone table (server.zone-table) tells its private-link zone",
            ],
        ),
    ];
    for (text, want) in cases {
        assert_eq!(hosts(text).1, want, "{text:?}");
    }
}

#[test]
fn a_file_of_something_else_is_given_up() {
    let (kept, problems) = hosts("word\n".repeat(5000));
    assert_eq!((kept.lines.len(), problems.len()), (0, 51));
    assert_eq!(problems[50], "x.hosts:51:1: error: 950 more errors from here on, and the rest was not read");
}

#[test]
fn a_bad_row_costs_itself_alone() {
    let text = "fe80::1%lo0 localhost\n10.0.0.1 a.test\n10.0.0.300 b.test\n10.0.0.3 c..test d.test\n10.0.0.4\n10.0.0.5 e.test\n";
    let (kept, problems) = hosts(text);
    assert_eq!(kept.lines, ["a.test. 10 A 10.0.0.1", "d.test. 10 A 10.0.0.3", "e.test. 10 A 10.0.0.5"]);
    assert_eq!(
        problems,
        [
            "x.hosts:1:1: warning: `fe80::1%lo0` is not an IP address; this line is skipped help: an address with `%` is valid on one machine alone",
            "x.hosts:3:1: warning: `10.0.0.300` is not an IP address; this line is skipped help: a line is `address name…`; a comment begins with `#`",
            "x.hosts:4:10: warning: `c..test` is not a name: empty label; this name is skipped",
            "x.hosts:5:1: warning: `10.0.0.4` has no name; this line is skipped help: a line is `address name…`",
        ]
    );
}

#[test]
fn many_bad_rows_are_counted() {
    let (kept, problems) = hosts(format!("10.0.0.1 a.test\n{}10.0.0.2 b.test\n", "10.0.0.300 x.test\n".repeat(3000)));
    assert_eq!((kept.lines.len(), problems.len()), (2, 51));
    assert_eq!(problems[50], "x.hosts:52:1: warning: 2950 more warnings from here on");
}

#[test]
fn the_hosts_files_of_systems_and_containers_are_read() {
    let macos = "##\n# Host Database\n##\n127.0.0.1\tlocalhost\n255.255.255.255\tbroadcasthost\n::1             localhost\nfe80::1%lo0\tlocalhost\n10.0.0.1 app.contoso.test\n";
    let windows = "\u{feff}# Copyright (c) 1993-2009 Microsoft Corp.\r\n#\r\n#      102.54.94.97     rhino.acme.test          # source server\r\n\r\n10.0.0.1 app.contoso.test #comment\r\n";
    let wsl = "# This file was automatically generated by WSL.\n127.0.1.1\tPC.\tPC\n10.0.0.1\tapp.contoso.test\nfe00::0 ip6-localnet\n";
    let docker = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\nfe00::\tip6-localnet\nff02::1\tip6-allnodes\n10.0.0.1\tapp.contoso.test 6a1b2c3d4e5f\n";
    let kubernetes = "# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n10.244.0.7\tweb-0\n\n# Entries added by HostAliases.\n10.0.0.1\tapp.contoso.test\n";
    for (text, warnings) in [(macos, 1), (windows, 0), (wsl, 0), (docker, 0), (kubernetes, 0)] {
        let (kept, problems) = hosts(text);
        assert!(kept.lines.contains(&"app.contoso.test. 10 A 10.0.0.1".to_owned()), "{text} {:?}", kept.lines);
        assert!(problems.len() == warnings && problems.iter().all(|problem| problem.contains(" warning: ")), "{text} {problems:?}");
    }
}
