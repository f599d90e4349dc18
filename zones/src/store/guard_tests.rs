//! Files that lose what was there: by accident until somebody accepts it.

use std::fs;
use std::time::SystemTime;

use super::tests::{ONE_ZONE, Site, outcomes, problems};
use super::*;

/// Longer than any file is waited for, in settle times.
const LONG: u32 = 4000;

fn hosts(count: usize) -> String {
    (0..count).map(|number| format!("h{number} 60 IN A 10.0.0.1\n")).collect()
}

impl Site {
    /// Looks after a change until nothing is waited for any more.
    fn settle(&mut self) -> LookReport {
        let mut report = self.look();
        self.pass(LONG);
        report.merge(self.look());
        report
    }

    fn is_held(&self) -> bool {
        self.store.zones().any(|zone| zone.state.is_held)
    }
}

#[test]
fn a_file_without_records_changes_nothing_until_it_is_accepted() {
    let export = r#"[{"name": "www", "type": "Microsoft.Network/privateDnsZones/A", "fqdn": "www.contoso.test.", "ttl": 60, "aRecords": [{"ipv4Address": "10.0.0.1"}]}]"#;
    let (zone, hosts) = ("www 60 IN A 10.0.0.1\n", "10.0.0.1 www.contoso.test\n");
    let soa = "$TTL 60\n@ IN SOA ns host 2 1 1 1 1\n";
    for (file, full, empty) in [
        ("contoso.zone", zone, ""),
        ("contoso.zone", zone, "; nothing here\n"),
        ("contoso.zone", zone, "$ORIGIN contoso.test.\n$TTL 60\n"),
        ("contoso.zone", zone, soa),
        ("contoso.hosts", hosts, ""),
        ("contoso.hosts", hosts, "# nothing here\n127.0.0.1 localhost\n"),
        ("contoso.hosts", hosts, "10.0.0.1 www.fabrikam.test\n"),
        ("contoso.json", export, "[]"),
        ("contoso.json", export, "{\"value\":[]}\n"),
    ] {
        let config = format!("[[zone]]\nname = 'contoso.test'\nfile = '{file}'\n");
        let mut site = Site::new(&config, &[(file, full)]);
        assert_eq!(site.a("www.contoso.test"), "10.0.0.1", "{file}");
        site.write(file, empty);
        let report = site.settle();
        assert_eq!(
            (outcomes(&report), site.a("www.contoso.test")),
            (vec!["contoso.test failed".into()], "10.0.0.1".into()),
            "{file} {empty:?}"
        );
        let told =
            format!("{file}: error: no records, 1 before help: to accept what the file holds now: postern reload --accept contoso.test");
        assert!(problems(&report, &site).contains(&told), "{:?}", problems(&report, &site));
        let status = site.store.zones().next().unwrap();
        assert!(status.state.is_held && status.state.error.as_ref().unwrap().1.ends_with("postern reload --accept contoso.test"));
        assert_eq!(outcomes(&site.reconfigure(&config)), Vec::<String>::new(), "a reload without the word changes nothing");
        assert!(site.is_held() && site.a("www.contoso.test") == "10.0.0.1");
        // Mended, and emptied again.
        site.write(file, full);
        assert_eq!(outcomes(&site.settle()), ["contoso.test recovered"]);
        assert!(!site.is_held());
        site.write(file, empty);
        site.settle();
        // Accepted: for what the file holds now, not for what comes later.
        site.accept(&config, &["contoso.test"]);
        assert_eq!((site.a("www.contoso.test"), site.is_held()), ("missing".into(), false), "{file} {empty:?}");
        site.write(file, full);
        site.settle();
        site.write(file, empty);
        site.settle();
        assert_eq!((site.a("www.contoso.test"), site.is_held()), ("10.0.0.1".into(), true), "{file} {empty:?}");
    }
}

#[test]
fn a_zone_that_keeps_only_the_servers_of_the_configuration_is_emptied() {
    let config = format!("[server]\nname-servers = ['ns.contoso.test']\n{ONE_ZONE}");
    let mut site = Site::new(&config, &[("zones/contoso.test.zone", "www 60 IN A 10.0.0.1\nmail 60 IN A 10.0.0.1\n")]);
    // No file is empty, so only the zone as a whole shows the loss.
    site.write("zones/contoso.test.zone", "@ 60 IN NS ns\n");
    let report = site.settle();
    let told = problems(&report, &site);
    assert!(told.iter().any(|problem| problem.contains("zone contoso.test would have no records: 2 names before, none now")), "{told:?}");
    assert_eq!((site.a("www.contoso.test"), site.is_held()), ("10.0.0.1".into(), true));
}

#[test]
fn an_included_file_that_is_emptied_changes_nothing() {
    let mut site = Site::new(
        ONE_ZONE,
        &[("zones/contoso.test.zone", "own 60 IN A 10.0.0.1\n$INCLUDE more.inc\n"), ("zones/more.inc", "www 60 IN A 10.0.0.2\n")],
    );
    site.write("zones/more.inc", "");
    let report = site.settle();
    assert!(
        problems(&report, &site)[0].starts_with("zones/more.inc: error: no records, 1 before help: "),
        "{:?}",
        problems(&report, &site)
    );
    assert_eq!(site.a("www.contoso.test"), "10.0.0.2");
    // The file that includes it no longer does: that is an edit like any other.
    site.write("zones/contoso.test.zone", "own 60 IN A 10.0.0.1\n");
    site.settle();
    assert_eq!((site.a("www.contoso.test"), site.is_held()), ("missing".into(), false));
}

#[test]
fn a_zone_that_loses_more_than_its_share_of_names_changes_nothing() {
    let file = "zones/contoso.test.zone";
    for (key, before, after, is_taken) in [
        ("", 100, 49, false),
        ("", 100, 50, true),
        ("", 19, 1, true),
        ("", 20, 1, false),
        ("max-loss = '100%'\n", 100, 1, true),
        ("max-loss = '10%'\n", 100, 80, false),
        ("max-loss = '10%'\n", 100, 95, true),
    ] {
        let mut site = Site::new(&format!("{ONE_ZONE}{key}"), &[(file, &hosts(before))]);
        site.write(file, &hosts(after));
        let report = site.settle();
        let is_there = site.a(&format!("h{}.contoso.test", before - 1)) == "10.0.0.1";
        assert_eq!((is_there, site.is_held()), (!is_taken, !is_taken), "{key} {before} {after}");
        if !is_taken {
            let lost = format!("zone contoso.test would lose {} of {before} names, more than max-loss", before - after);
            assert!(problems(&report, &site)[0].contains(&lost), "{:?}", problems(&report, &site));
        }
        site.accept(&format!("{ONE_ZONE}{key}"), &["contoso.test"]);
        assert_eq!(site.a(&format!("h{}.contoso.test", before - 1)), "missing");
    }
}

#[test]
fn a_zone_that_may_be_empty_is_emptied() {
    let config = format!("{ONE_ZONE}allow-empty = true\n");
    let mut site = Site::new(&config, &[("zones/contoso.test.zone", &hosts(100))]);
    site.write("zones/contoso.test.zone", "");
    site.settle();
    assert_eq!((site.a("h1.contoso.test"), site.is_held()), ("missing".into(), false));
}

#[test]
fn a_file_of_a_directory_that_is_emptied_holds_up_no_other() {
    let json = |last| format!("[{{\"fqdn\": \"b.contoso.test\", \"ipAddresses\": [\"10.0.0.{last}\"]}}]\n");
    let mut site = Site::new(
        ONE_ZONE,
        &[
            ("zones/contoso.test.hosts", "10.0.0.1 a.contoso.test\n"),
            ("zones/contoso.test.json", &json(1)),
            ("zones/contoso.test.zone", "own 60 IN A 10.0.0.1\n"),
        ],
    );
    site.write("zones/contoso.test.hosts", "");
    site.write("zones/contoso.test.json", &json(2));
    let report = site.settle();
    let problems = problems(&report, &site);
    assert!(problems.iter().any(|problem| problem.starts_with("zones/contoso.test.hosts: error: no records, 1 before")), "{problems:?}");
    let all = |site: &Site| ["a", "b", "own"].map(|name| site.a(&format!("{name}.contoso.test")));
    assert_eq!(all(&site), ["10.0.0.1", "10.0.0.2", "10.0.0.1"]);
    site.write("zones/contoso.test.zone", "own 60 IN A 10.0.0.3\n");
    site.settle();
    assert_eq!(all(&site), ["10.0.0.1", "10.0.0.2", "10.0.0.3"]);
    site.accept(ONE_ZONE, &["contoso.test"]);
    assert_eq!(all(&site), ["missing", "10.0.0.2", "10.0.0.3"]);
}

#[test]
fn records_that_move_to_another_file_are_not_lost() {
    let mut site = Site::new(
        ONE_ZONE,
        &[
            ("zones/contoso.test.hosts", "10.0.0.1 a.contoso.test\n10.0.0.1 b.contoso.test\n"),
            ("zones/contoso.test.zone", "c 60 IN A 10.0.0.1\n"),
        ],
    );
    let all = |site: &Site| ["a", "b", "c"].map(|name| site.a(&format!("{name}.contoso.test")));
    fs::rename(site.path("zones/contoso.test.hosts"), site.path("zones/Contoso.test.hosts")).unwrap();
    let report = site.settle();
    assert!(report.zones.is_empty() && report.problems.is_empty(), "a renamed file: {report:?}");
    assert!(site.store.zones().all(|zone| zone.state.is_good()));
    site.write("zones/contoso.test.zone", "c 60 IN A 10.0.0.1\na 60 IN A 10.0.0.1\nb 60 IN A 10.0.0.1\n");
    site.write("zones/Contoso.test.hosts", "# moved to the zone file\n");
    site.settle();
    assert_eq!((all(&site), site.is_held()), ([(); 3].map(|()| "10.0.0.1".to_string()), false));
    // A file that goes and takes records with it is bad until that is accepted.
    fs::remove_file(site.path("zones/contoso.test.zone")).unwrap();
    let report = site.settle();
    assert_eq!(outcomes(&report), ["contoso.test failed"]);
    let why = site.store.zones().next().unwrap().state.error.clone().unwrap().1;
    assert!(why.ends_with("contoso.test.zone is gone (postern reload --accept contoso.test drops its records)"), "{why}");
    assert_eq!(all(&site), [(); 3].map(|()| "10.0.0.1".to_string()));
    site.accept(ONE_ZONE, &["contoso.test"]);
    assert_eq!(all(&site), [(); 3].map(|()| "missing".to_string()));
    assert!(site.store.zones().all(|zone| zone.state.is_good()));
}

#[test]
fn of_zones_with_one_name_the_one_of_the_network_is_accepted() {
    let config = "[[network]]\nname = 'hub'\nclients = ['10.20.0.0/16']\n[[network]]\nname = 'spoke'\nclients = ['10.30.0.0/16']\n\
                  [[zone]]\nname = 'contoso.test'\nnetwork = ['hub']\nfile = 'hub.zone'\n\
                  [[zone]]\nname = 'contoso.test'\nnetwork = ['spoke']\nfile = 'spoke.zone'\n";
    let mut site = Site::new(config, &[("hub.zone", "www 60 IN A 10.20.0.1\n"), ("spoke.zone", "www 60 IN A 10.30.0.1\n")]);
    site.write("hub.zone", "");
    site.write("spoke.zone", "");
    let report = site.settle();
    assert!(problems(&report, &site)[0].ends_with("postern reload --accept contoso.test@hub"), "{:?}", problems(&report, &site));
    site.accept(config, &["contoso.test@spoke"]);
    assert_eq!(["10.20.9.9", "10.30.9.9"].map(|client| site.ask(client, "www.contoso.test")), ["10.20.0.1", "missing"]);
}

#[test]
fn half_a_line_is_never_served_while_the_rest_may_come() {
    let mut site = Site::new(ONE_ZONE, &[("zones/contoso.test.zone", "www 60 IN A 10.0.0.15\n")]);
    site.write("zones/contoso.test.zone", "www 60 IN A 10.0.0.1");
    let report = site.look();
    assert_eq!(
        problems(&report, &site),
        [
            "zones/contoso.test.zone:1:1: warning: the file ends inside this line: waiting up to 10 s for the rest help: end the last line with \
          a line break, and the file is read at once"
        ]
    );
    site.pass(100);
    assert!(site.look().is_empty(), "said once");
    assert!(site.reconfigure(ONE_ZONE).zones.is_empty(), "nor does a reload take it");
    assert_eq!(site.a("www.contoso.test"), "10.0.0.15");
    site.write("zones/contoso.test.zone", "www 60 IN A 10.0.0.16\n");
    site.look();
    assert_eq!(site.a("www.contoso.test"), "10.0.0.16", "it is read as soon as it is whole");
    // MadeZone by hand, without the last line break: taken after a while.
    site.write("zones/contoso.test.zone", "www 60 IN A 10.0.0.17");
    site.settle();
    assert_eq!((site.a("www.contoso.test"), site.store.zones().all(|zone| zone.state.is_good())), ("10.0.0.17".into(), true));
}

#[test]
fn a_file_that_stays_cut_inside_a_line_is_bad() {
    let mut site = Site::new(ONE_ZONE, &[("zones/contoso.test.zone", &hosts(10))]);
    site.write("zones/contoso.test.zone", &hosts(10)[..159]);
    let report = site.settle();
    let told = problems(&report, &site);
    let line = told.iter().find(|line| line.contains("error")).unwrap();
    assert!(
        line.starts_with("zones/contoso.test.zone:8:1: error: the file ends inside this line, and zone contoso.test would lose 2 names"),
        "{told:?}"
    );
    assert_eq!((site.a("h9.contoso.test"), site.is_held()), ("10.0.0.1".into(), true));
}

#[test]
fn a_new_file_without_a_last_line_break_is_waited_for_briefly() {
    let mut site = Site::new(ONE_ZONE, &[("zones/contoso.test.zone", "www 60 IN A 10.0.0.1")]);
    assert!(site.a("www.contoso.test").ends_with("ends inside a line: waiting for the rest"), "{}", site.a("www.contoso.test"));
    site.pass(150); // 3 s
    site.look();
    assert_eq!(site.a("www.contoso.test"), "10.0.0.1");
    let old = SystemTime::now() - Duration::from_secs(60);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("contoso.zone");
    fs::write(&path, "www 60 IN A 10.0.0.1").unwrap();
    fs::File::options().append(true).open(&path).unwrap().set_modified(old).unwrap();
    let site = Site::new(&format!("[[zone]]\nname = 'contoso.test'\nfile = '{}'\n", path.display()), &[]);
    assert_eq!(site.a("www.contoso.test"), "10.0.0.1", "nobody wrote it lately");
}

#[test]
fn names_are_not_lost_while_their_file_is_written() {
    use notify::event::{AccessKind, AccessMode, DataChange, ModifyKind};
    use notify::{Event, EventKind};
    let file = "zones/contoso.test.zone";
    let mut site = Site::new(ONE_ZONE, &[(file, &hosts(100)), ("zones/contoso.test.hosts", "10.0.0.1 other.contoso.test\n")]);
    let told = |site: &Site, kind| site.store.writers().note(&Event::new(kind).add_path(site.path(file)));
    // A part of it stands still for seconds, and its writer has it open.
    site.write(file, &hosts(95));
    told(&site, EventKind::Modify(ModifyKind::Data(DataChange::Any)));
    site.look();
    site.pass(1000);
    site.look();
    assert_eq!(site.a("h99.contoso.test"), "10.0.0.1");
    // It holds up no other file.
    site.write("zones/contoso.test.hosts", "10.0.0.2 other.contoso.test\n");
    site.settle_briefly();
    assert_eq!((site.a("h99.contoso.test"), site.a("other.contoso.test")), ("10.0.0.1".into(), "10.0.0.2".into()));
    // Closed: five names were meant to go.
    told(&site, EventKind::Access(AccessKind::Close(AccessMode::Write)));
    site.settle_briefly();
    assert_eq!(site.a("h99.contoso.test"), "missing");
    // Closed after each piece: more than one name in ten is not believed to be gone at once.
    site.write(file, &hosts(60));
    site.settle_briefly();
    assert_eq!(site.a("h94.contoso.test"), "10.0.0.1");
    site.write(file, &hosts(95).replace("10.0.0.1", "10.0.0.3"));
    site.settle_briefly();
    assert_eq!(site.a("h94.contoso.test"), "10.0.0.3", "names that stay need no patience");
}

impl Site {
    /// Looks for as long as a whole file is waited for.
    fn settle_briefly(&mut self) {
        self.look();
        self.pass(11);
        self.look();
    }
}

#[test]
fn a_zone_that_accepts_the_loss_of_a_shared_file_accepts_it_for_itself_alone() {
    let health = "[[zone]]\npreset = 'azure-health-data-services'\ndirectory = 'zones'\n";
    let hosts = "10.20.1.5 contosows-fhir1.fhir.azurehealthcareapis.com\n10.20.1.6 contosows-dicom1.dicom.azurehealthcareapis.com\n";
    let (fhir, dicom) = ("privatelink.fhir.azurehealthcareapis.com", "privatelink.dicom.azurehealthcareapis.com");
    let mut site =
        Site::new(health, &[("zones/a.hosts", hosts), ("zones/b.hosts", "10.20.1.7 contosows-b.fhir.azurehealthcareapis.com\n")]);
    let all = |site: &Site| {
        ["contosows-fhir1.fhir", "contosows-dicom1.dicom", "contosows-b.fhir"].map(|name| {
            let (label, kind) = name.split_once('.').unwrap();
            site.a(&format!("{label}.{}", if kind == "fhir" { fhir } else { dicom }))
        })
    };
    fs::remove_file(site.path("zones/a.hosts")).unwrap();
    site.settle();
    assert_eq!(all(&site), ["10.20.1.5", "10.20.1.6", "10.20.1.7"]);
    site.accept(health, &[fhir]);
    assert_eq!(all(&site), ["missing", "10.20.1.6", "10.20.1.7"]);
    let good = |site: &Site| {
        let zones = site.store.zones();
        zones
            .filter(|zone| [fhir, dicom].contains(&&**zone.name))
            .map(|zone| (zone.name.to_string(), zone.state.is_good()))
            .collect::<Vec<_>>()
    };
    assert!(good(&site).contains(&(fhir.into(), true)) && good(&site).contains(&(dicom.into(), false)), "{:?}", good(&site));
    // It stays so over a reload and a restart.
    site.reconfigure(health);
    assert_eq!(all(&site), ["missing", "10.20.1.6", "10.20.1.7"]);
    let Site { store, directory, .. } = site;
    drop(store);
    let mut site = Site::open(health, directory);
    assert_eq!(all(&site), ["missing", "10.20.1.6", "10.20.1.7"]);
    // The same file comes back with all of its records.
    site.write("zones/a.hosts", hosts);
    site.settle();
    assert_eq!(all(&site), ["10.20.1.5", "10.20.1.6", "10.20.1.7"]);
    fs::remove_file(site.path("zones/a.hosts")).unwrap();
    site.settle();
    let every: Vec<String> = site.store.zones().map(|zone| zone.name.to_string()).collect();
    site.accept(health, &every.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(all(&site), ["missing", "missing", "10.20.1.7"]);
    assert!(site.store.zones().all(|zone| zone.state.is_good()));
}
