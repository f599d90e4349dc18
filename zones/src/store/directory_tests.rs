//! Which files of a directory a zone reads, and what is said of the others.

use std::fs;

use super::tests::{ONE_ZONE, Site, problems};
use super::*;

const TWO_ZONES: &str = "[[zone]]\nname = 'contoso.test'\ndirectory = 'zones'\n[[zone]]\nname = 'fabrikam.test'\ndirectory = 'zones'\n";
const HEALTH: &str = "[[zone]]\npreset = 'azure-health-data-services'\ndirectory = 'zones'\n";

/// The file that a zone's next record would go to, relative to the site.
fn writer(site: &Site, zone: &str) -> String {
    let snapshot = site.store.current().clone();
    let link = snapshot.hosted().iter().find(|link| *link.hosted.name == *zone).unwrap();
    let file = link.hosted.origin.file().unwrap().strip_prefix(site.path("")).unwrap().display().to_string();
    format!("{} {file}", link.hosted.origin.label())
}

#[test]
fn a_zone_file_is_found_under_each_of_its_names() {
    for name in ["contoso.test.zone", "Contoso.Test.ZONE", "contoso.test.txt", "contoso.test.dns", "contoso.test.db", "db.contoso.test"] {
        let mut site = Site::new(ONE_ZONE, &[(&format!("zones/{name}"), "www 60 IN A 10.0.0.1\n")]);
        assert_eq!((site.a("www.contoso.test"), problems(&site.report, &site)), ("10.0.0.1".into(), vec![]), "{name}");
        assert_eq!(writer(&site, "contoso.test"), format!("zone-file zones/{name}"));
        site.write(&format!("zones/{name}"), "www 60 IN A 10.0.0.2\n");
        site.look();
        assert_eq!(site.a("www.contoso.test"), "10.0.0.2", "{name}");
    }
}

#[test]
fn a_text_file_may_be_a_hosts_file_or_json() {
    let json = "[{\"fqdn\": \"www.contoso.test\", \"ipAddresses\": [\"10.0.0.1\"]}]\n";
    for (text, kind) in [("10.0.0.1 www.contoso.test\n10.0.0.2 www.fabrikam.test\n", "hosts"), (json, "azure")] {
        let site = Site::new(ONE_ZONE, &[("zones/contoso.test.txt", text)]);
        assert_eq!(site.a("www.contoso.test"), "10.0.0.1", "{kind}: {:?}", problems(&site.report, &site));
        assert_eq!(writer(&site, "contoso.test"), format!("{kind} zones/contoso.test.txt"));
    }
}

#[test]
fn a_zone_reads_only_files_of_its_own_name() {
    let files = [
        ("zones/contoso.test.zone", "www 60 IN A 10.0.0.1\n"),
        ("zones/contoso.test.hosts", "10.0.0.2 two.contoso.test\n"),
        (
            "zones/Contoso.test.JSON",
            "[{\"name\": \"three\", \"type\": \"Microsoft.Network/privateDnsZones/A\", \"fqdn\": \"three.contoso.test.\", \"aRecords\": [{\"ipv4Address\": \"10.0.0.3\"}], \"ttl\": 10}]\n",
        ),
        ("zones/fabrikam.test.hosts", "10.0.0.4 www.fabrikam.test\n10.0.0.5 four.contoso.test\n"),
        ("zones/package.json", "{\"name\":\"x\",\"version\":\"1.0.0\"}\n"),
        ("zones/others.hosts", "10.0.0.9 www.contoso.test\n"),
    ];
    let site = Site::new(TWO_ZONES, &files);
    for (name, address) in [
        ("www.contoso.test", "10.0.0.1"),
        ("two.contoso.test", "10.0.0.2"),
        ("three.contoso.test", "10.0.0.3"),
        ("four.contoso.test", "missing"),
        ("www.fabrikam.test", "10.0.0.4"),
    ] {
        assert_eq!(site.a(name), address, "{name}");
    }
    let help = "its name must be that of a zone and `.zone`; or move it elsewhere";
    assert_eq!(
        problems(&site.report, &site),
        [
            "zones/fabrikam.test.hosts:2:10: warning: a name that lies in no zone of this source: four.contoso.test. (line 2) help: contoso.test is hosted, but has another source".into(),
            format!("zones/others.hosts: warning: no zone reads this file help: {help}"),
            format!("zones/package.json: warning: no zone reads this file help: {help}"),
        ]
    );
    assert_eq!(site.store.current().hosted()[0].hosted.source.unread().len(), 2);
}

#[test]
fn of_two_files_for_one_zone_one_is_read_and_both_are_named() {
    let one = "www 60 IN A 10.0.0.1\n";
    let mut site = Site::new(ONE_ZONE, &[("zones/contoso.test.zone", one), ("zones/Contoso.test.zone", "www 60 IN A 10.0.0.2\n")]);
    let want = "zones/Contoso.test.zone: warning: no zone reads this file help: zone contoso.test is read from contoso.test.zone; \
                move the records of one into the other";
    assert_eq!((site.a("www.contoso.test"), problems(&site.report, &site)), ("10.0.0.1".into(), vec![want.into()]));
    assert!(site.look().is_empty(), "it is reported once");
    // The other takes over once the first is gone, and until it is good the last good data serves.
    site.write("zones/Contoso.test.zone", "www 60 IN A 10.0.0.300\n");
    fs::remove_file(site.path("zones/contoso.test.zone")).unwrap();
    site.pass(20);
    site.look();
    site.pass(20);
    site.look();
    assert_eq!(site.a("www.contoso.test"), "10.0.0.1");
    site.write("zones/Contoso.test.zone", "www 60 IN A 10.0.0.3\n");
    site.look();
    assert_eq!(
        (site.a("www.contoso.test"), writer(&site, "contoso.test")),
        ("10.0.0.3".into(), "zone-file zones/Contoso.test.zone".into())
    );
    assert!(site.store.current().hosted()[0].hosted.source.unread().is_empty());
}

#[test]
fn a_file_that_no_zone_reads_is_reported_once_and_shown_while_it_is_there() {
    let mut site = Site::new(ONE_ZONE, &[("zones/contoso.test.zone", "www 60 IN A 10.0.0.1\n$INCLUDE part.inc\n"), ("zones/part.inc", "")]);
    assert_eq!(problems(&site.report, &site), Vec::<String>::new(), "an included file is read");
    site.write("zones/README.md", "");
    site.write("zones/contoso.test.zone~", "");
    site.write("zones/contosso.test.zone", "");
    assert!(site.look().is_empty(), "it may go again at once");
    site.now += Duration::from_secs(2);
    let report = site.look();
    let want =
        "zones/contosso.test.zone: warning: no zone reads this file help: if it is for zone contoso.test, rename it to contoso.test.zone";
    assert_eq!(problems(&report, &site), [want]);
    site.now += Duration::from_secs(2);
    assert!(site.look().is_empty());
    let unread = |site: &Site| site.store.current().hosted()[0].hosted.source.unread();
    assert_eq!(*unread(&site), [site.path("zones/contosso.test.zone")]);
    assert_eq!(problems(&site.reconfigure(ONE_ZONE), &site), [want], "a reload says it again");
    fs::remove_file(site.path("zones/contosso.test.zone")).unwrap();
    site.look();
    assert!(unread(&site).is_empty());
}

#[test]
fn the_configuration_and_what_the_server_writes_are_no_unread_files() {
    let directory = "[[zone]]\nname = 'contoso.test'\ndirectory = '.'\n[fallback]\nfile = 'fallback.jsonl'\n[[zone]]\nname = 'x.test'\nfile = './x.data'\n";
    let files = [
        ("postern.toml", directory),
        ("contoso.test.zone", "www 60 IN A 10.0.0.1\n"),
        ("fallback.jsonl", ""),
        ("fallback.jsonl.1", ""),
        ("x.data", ""),
    ];
    let site = Site::new(directory, &files);
    assert_eq!(problems(&site.report, &site), Vec::<String>::new());
}

#[test]
fn a_record_goes_where_most_of_its_zone_comes_from() {
    const FHIR: &str = "privatelink.azurehealthcareapis.com";
    let mut site = Site::new(HEALTH, &[]);
    assert_eq!(writer(&site, FHIR), format!("zone-file zones/{FHIR}.zone"), "the usual name where there is none");
    site.write(
        "zones/endpoint.hosts",
        "10.20.1.5 contosows-fhir1.fhir.azurehealthcareapis.com\n10.20.1.4 contosows.workspace.azurehealthcareapis.com\n",
    );
    site.look();
    assert_eq!(writer(&site, FHIR), "hosts zones/endpoint.hosts");
    site.write(&format!("zones/{FHIR}.zone"), "a.fhir A 10.20.1.6\nb.fhir A 10.20.1.7\nc.fhir A 10.20.1.8\n");
    site.look();
    assert_eq!(writer(&site, FHIR), format!("zone-file zones/{FHIR}.zone"));
    let status = site.store.zones().find(|zone| **zone.name == *FHIR).unwrap();
    assert_eq!(status.files.len(), 2);
}
