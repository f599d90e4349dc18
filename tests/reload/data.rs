//! What is in a changed file: bad data, and a serial of its own.

use std::fs;

use hickory_proto::rr::RecordType::A;

use crate::harness::{eventually, write_files};
use crate::{CONTOSO, FABRIKAM, Site, plain, zone};

#[test]
fn bad_data_changes_nothing_and_says_file_line_and_column_until_it_is_mended() {
    let mut site = Site::new(|directory| {
        plain(directory);
        write_files(directory, &[("zones/contoso.test.hosts", "10.0.0.5 host.contoso.test\n"), ("zones/contoso.test.json", "[]")]);
    });
    let bad: [(&str, String, &str); 5] = [
        (CONTOSO, format!("{}mail 60 IN A 10.0.0.256\n", zone(9)), "contoso.test.zone:2:14: "),
        (CONTOSO, format!("{}@ IN CNAME www\n", zone(9)), "contoso.test.zone:2:"),
        (FABRIKAM, format!("{}mail 60 IN A nonsense\n", zone(9)), "fabrikam.zone:2:14: "),
        ("zones/contoso.test.hosts", "10.0.0. host.contoso.test\n".into(), "contoso.test.hosts:1:1: "),
        ("zones/contoso.test.json", "[\n  {\"fqdn\": \"host.contoso.test\",,}\n]".into(), "contoso.test.json:2:"),
    ];
    for (file, text, place) in bad {
        let apex = if file == FABRIKAM { "fabrikam.test" } else { "contoso.test" };
        let good = fs::read_to_string(site.server.file(file)).unwrap();
        let serial = site.serial(apex);
        site.before();
        site.replace(file, &text);
        site.says(&["ERROR", place]);
        site.says(&["keeping the last good data", place, apex]);
        eventually("the health flag", || {
            let status = site.systemd.status();
            (status.contains("bad sources, serving the last good data: ") && status.contains(apex)).then_some(())
        });
        assert_eq!(site.address("www.contoso.test"), "10.0.0.1", "{file}");
        assert_eq!(site.address("www.fabrikam.test"), "10.0.0.1", "{file}");
        assert_eq!(site.address("host.contoso.test"), "10.0.0.5", "{file}");
        assert_eq!(site.serial(apex), serial);
        site.replace(file, &good);
        site.says(&["source is good again", apex]);
        eventually("the health flag goes", || (!site.systemd.status().contains("bad sources")).then_some(()));
    }
    // A bad file holds back nothing of other zones.
    site.replace(FABRIKAM, "www 60 IN A nonsense\n");
    site.says(&["fabrikam.zone:1:13: error: "]);
    let serial = site.serial("contoso.test");
    site.replace(CONTOSO, &zone(2));
    site.becomes("www.contoso.test", 2, serial);
    site.replace(FABRIKAM, &zone(1));
    site.says(&["source is good again"]);
    site.ends();
}

#[test]
fn the_serial_of_a_file_that_has_one_is_served_as_it_stands() {
    let own = |serial: u32, last: u8| format!("@ 60 IN SOA ns.contoso.test. host.contoso.test. {serial} 3600 600 86400 60\n{}", zone(last));
    let mut site = Site::new(|directory| {
        plain(directory);
        write_files(directory, &[(CONTOSO, &own(7, 1))]);
    });
    assert_eq!(site.serial("contoso.test"), 7);
    site.replace(CONTOSO, &own(9, 2));
    site.becomes("www.contoso.test", 2, 7);
    assert_eq!(site.serial("contoso.test"), 9);
    site.replace(CONTOSO, &own(9, 3));
    site.says(&["WARN", "contoso.test.zone:1:", "the serial did not rise"]);
    site.server.becomes("www.contoso.test", A, &["10.0.0.3"]);
    // Where the file has none any more, it moves on by itself from there.
    site.generation += 1;
    site.before();
    site.replace(CONTOSO, &zone(4));
    site.becomes("www.contoso.test", 4, 9);
    site.ends();
}
