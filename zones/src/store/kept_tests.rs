//! Answers after a restart with sources that are bad, missing, older or changed.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::SystemTime;

use super::tests::{ONE_ZONE, Site, outcomes};
use super::*;

const ZONE: &str = "zones/contoso.test.zone";

impl Site {
    /// Ends this run once everything is kept, does something to the files, and starts the next run.
    fn restart(self, config: &str, meanwhile: impl FnOnce(&Path)) -> Self {
        let Self { store, directory, .. } = self;
        drop(store);
        meanwhile(directory.path());
        Self::open(config, directory)
    }

    fn serial(&self) -> u32 {
        self.store.current().hosted()[0].hosted.serial().unwrap()
    }

    fn status(&self) -> SourceState {
        self.store.zones().next().unwrap().state.clone()
    }
}

fn a(last: u8) -> String {
    format!("www 60 IN A 10.0.0.{last}\n")
}

#[test]
fn a_bad_source_at_start_serves_what_was_kept() {
    let (zone, hosts) = (a(1), "10.0.0.1 www.contoso.test\n".to_string());
    let export = r#"{"customDnsConfigs": [{"fqdn": "www.contoso.test", "ipAddresses": ["10.0.0.1"]}]}"#.to_string();
    for (file, good, bad) in [
        ("contoso.zone", &zone, Some("www 60 IN A 10.0.0.300\n")),
        ("contoso.zone", &zone, Some("")),
        ("contoso.zone", &zone, Some("; nothing\n")),
        ("contoso.zone", &zone, Some("www 60 IN A 10.0.0.2")), // it ends inside a line
        ("contoso.zone", &zone, None),
        ("contoso.hosts", &hosts, Some("10.0.0.300 www.contoso.test\n")),
        ("contoso.hosts", &hosts, Some("127.0.0.1 localhost\n")),
        ("contoso.hosts", &hosts, None),
        ("contoso.json", &export, Some("{")),
        ("contoso.json", &export, Some("[]")),
        ("contoso.json", &export, None),
    ] {
        let config = format!("[[zone]]\nname = 'contoso.test'\nfile = '{file}'\n");
        let site = Site::new(&config, &[(file, good)]);
        let (serial, told) = (site.serial(), format!("{file} {bad:?}"));
        let site = site.restart(&config, |directory| match bad {
            Some(bad) => fs::write(directory.join(file), bad).unwrap(),
            None => fs::remove_file(directory.join(file)).unwrap(),
        });
        assert_eq!((site.a("www.contoso.test"), site.serial()), ("10.0.0.1".into(), serial), "{told}");
        // Again, from what the second run had.
        let mut site = site.restart(&config, |_| ());
        assert_eq!((site.a("www.contoso.test"), site.serial()), ("10.0.0.1".into(), serial), "{told}");
        assert_eq!(outcomes(&site.report), ["contoso.test kept", "contoso.test failed"], "{told}");
        let status = site.status();
        assert!(status.is_kept && status.error.is_some() && status.last_success.is_some(), "{told}: {status:?}");
        site.write(file, &good.replace("10.0.0.1", "10.0.0.9"));
        site.look();
        let status = site.status();
        assert_eq!((site.a("www.contoso.test"), status.is_kept, status.is_good()), ("10.0.0.9".into(), false, true), "{told}");
        assert!(crate::zone::serial_rose(serial, site.serial()));
    }
}

#[test]
fn a_directory_that_is_gone_at_start_serves_what_was_kept() {
    let site = Site::new(ONE_ZONE, &[(ZONE, &a(1)), ("zones/contoso.test.hosts", "10.0.0.2 more.contoso.test\n")]);
    let mut site = site.restart(ONE_ZONE, |directory| fs::rename(directory.join("zones"), directory.join("away")).unwrap());
    let both = |site: &Site| [site.a("www.contoso.test"), site.a("more.contoso.test")];
    assert_eq!((both(&site), site.status().is_kept), (["10.0.0.1".into(), "10.0.0.2".into()], true));
    fs::rename(site.path("away"), site.path("zones")).unwrap();
    site.look();
    assert_eq!((both(&site), site.status().is_kept, site.status().is_good()), (["10.0.0.1".into(), "10.0.0.2".into()], false, true));
}

#[test]
fn one_bad_file_of_a_directory_at_start_costs_its_own_change_alone() {
    let file = |name: &str, last: u8| format!("10.20.1.{last} contosows-{name}.fhir.azurehealthcareapis.com\n");
    let health = "[[zone]]\npreset = 'azure-health-data-services'\ndirectory = 'zones'\n";
    let site = Site::new(health, &[("zones/a.hosts", &file("a", 1)), ("zones/b.hosts", &file("b", 2)), ("zones/c.hosts", &file("c", 3))]);
    let mut site = site.restart(health, |directory| {
        fs::write(directory.join("zones/a.hosts"), file("a", 11)).unwrap();
        fs::write(directory.join("zones/b.hosts"), "").unwrap();
        fs::remove_file(directory.join("zones/c.hosts")).unwrap();
        fs::write(directory.join("zones/new.json"), "{").unwrap();
    });
    let all = |site: &Site| ["a", "b", "c"].map(|name| site.a(&format!("contosows-{name}.fhir.privatelink.azurehealthcareapis.com")));
    assert_eq!(all(&site), ["10.20.1.11", "10.20.1.2", "10.20.1.3"], "{:?}", site.report);
    site.write("zones/a.hosts", &file("a", 12));
    site.look();
    assert_eq!(all(&site), ["10.20.1.12", "10.20.1.2", "10.20.1.3"]);
    site.write("zones/b.hosts", &file("b", 22));
    site.look();
    assert_eq!(all(&site), ["10.20.1.12", "10.20.1.22", "10.20.1.3"]);
    site.write("zones/c.hosts", &file("c", 33));
    fs::remove_file(site.path("zones/new.json")).unwrap();
    site.look();
    assert_eq!(all(&site), ["10.20.1.12", "10.20.1.22", "10.20.1.33"]);
    assert!(site.store.zones().all(|zone| zone.state.is_good() && !zone.state.is_kept));
}

#[test]
fn what_is_lost_while_the_server_is_down_waits_to_be_accepted_too() {
    let hosts = |count: usize| (0..count).map(|number| format!("h{number} 60 IN A 10.0.0.1\n")).collect::<String>();
    let site = Site::new(ONE_ZONE, &[(ZONE, &hosts(100))]);
    let mut site = site.restart(ONE_ZONE, |directory| fs::write(directory.join(ZONE), hosts(10)).unwrap());
    assert_eq!((site.a("h99.contoso.test"), site.status().is_held, site.status().is_kept), ("10.0.0.1".into(), true, true));
    site.accept(ONE_ZONE, &["contoso.test"]);
    assert_eq!((site.a("h99.contoso.test"), site.a("h9.contoso.test")), ("missing".into(), "10.0.0.1".into()));
    assert!(!site.status().is_held && !site.status().is_kept);
    let site = site.restart(ONE_ZONE, |_| ());
    assert_eq!((site.a("h99.contoso.test"), site.status().is_good()), ("missing".into(), true), "what was accepted is what is kept");
}

#[test]
fn serials_neither_go_back_nor_repeat_over_a_restart() {
    let mut site = Site::new(ONE_ZONE, &[(ZONE, &a(1))]);
    let mut last = site.serial();
    for round in 2..6 {
        site.write(ZONE, &a(round)); // within one second: ahead of the file's time
        site.look();
        assert!(crate::zone::serial_rose(last, site.serial()));
        last = site.serial();
    }
    let site = site.restart(ONE_ZONE, |_| ());
    assert_eq!((site.serial(), outcomes(&site.report)), (last, vec!["contoso.test loaded".into()]), "the same data");
    // An old file with its old time, put back while the server is down; and once more.
    let mut site = site;
    for round in [1, 5, 1] {
        site = site.restart(ONE_ZONE, |directory| {
            let path = directory.join(ZONE);
            fs::write(&path, a(round)).unwrap();
            let old = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000 + u64::from(round));
            fs::File::options().append(true).open(&path).unwrap().set_modified(old).unwrap();
        });
        assert!(crate::zone::serial_rose(last, site.serial()), "{} after {last}", site.serial());
        assert_eq!(site.a("www.contoso.test"), format!("10.0.0.{round}"));
        last = site.serial();
    }
}

#[test]
fn a_zone_that_never_had_good_data_has_none() {
    let site = Site::new(ONE_ZONE, &[(ZONE, "www 60 IN A 10.0.0.300\n")]);
    let site = site.restart(ONE_ZONE, |_| ());
    assert!(site.a("www.contoso.test").starts_with("unavailable: "), "{}", site.a("www.contoso.test"));
}

#[test]
fn kept_data_that_is_damaged_is_not_served() {
    for part in ["index", "records"] {
        let site = Site::new(ONE_ZONE, &[(ZONE, &a(1))]);
        let site = site.restart(ONE_ZONE, |directory| {
            fs::write(directory.join(ZONE), "www 60 IN A 10.0.0.300\n").unwrap();
            for entry in fs::read_dir(directory.join("state/sources")).unwrap() {
                let path = entry.unwrap().path();
                assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
                if path.ends_with("index") == (part == "index") {
                    let mut octets = fs::read(&path).unwrap();
                    let middle = octets.len() / 2;
                    octets[middle] ^= 0x80;
                    fs::write(path, octets).unwrap();
                }
            }
        });
        assert!(site.a("www.contoso.test").starts_with("unavailable: "), "{part}: {}", site.a("www.contoso.test"));
    }
}

#[test]
fn what_is_kept_of_a_zone_goes_with_it() {
    let both = format!("{ONE_ZONE}[[zone]]\nname = 'fabrikam.test'\nfile = 'fabrikam.zone'\n");
    let mut site = Site::new(&both, &[(ZONE, &a(1)), ("fabrikam.zone", &a(2))]);
    let kept = |directory: &Path| fs::read_dir(directory.join("state/sources")).unwrap().count();
    site = site.restart(&both, |directory| assert_eq!(kept(directory), 3));
    site.reconfigure(ONE_ZONE);
    let site = site.restart(ONE_ZONE, |directory| assert_eq!(kept(directory), 2));
    assert_eq!(site.a("www.contoso.test"), "10.0.0.1");
}

#[test]
fn zones_of_one_file_keep_their_own_records() {
    let zone = |name: &str| format!("[[zone]]\nname = '{name}'\nfile = 'template.zone'\n");
    let config = format!("{}{}", zone("contoso.test"), zone("fabrikam.test"));
    let site = Site::new(&config, &[("template.zone", &a(1))]);
    let site = site.restart(&config, |directory| fs::write(directory.join("template.zone"), "").unwrap());
    assert_eq!([site.a("www.contoso.test"), site.a("www.fabrikam.test")], ["10.0.0.1", "10.0.0.1"]);
}

#[test]
fn what_cannot_be_kept_now_is_kept_later() {
    let mut site = Site::new(ONE_ZONE, &[(ZONE, &a(1))]);
    site = site.restart(ONE_ZONE, |_| ());
    // A directory stands in the way of the index, so that every write fails until it is gone.
    let index = site.path("state/sources/index");
    fs::remove_file(&index).unwrap();
    fs::create_dir_all(index.join("in the way")).unwrap();
    site.write(ZONE, &a(2));
    site.look();
    while !fs::read_dir(site.path("state/sources")).unwrap().any(|entry| entry.unwrap().metadata().unwrap().is_file()) {
        std::thread::yield_now();
    }
    fs::remove_dir_all(&index).unwrap();
    while !index.is_file() {
        std::thread::sleep(Duration::from_millis(50)); // it is tried again after a while
    }
    let site = site.restart(ONE_ZONE, |directory| fs::remove_file(directory.join(ZONE)).unwrap());
    assert_eq!(site.a("www.contoso.test"), "10.0.0.2");
}

#[test]
fn a_zone_file_that_has_another_name_at_the_next_start_continues_what_was_kept() {
    let site = Site::new(ONE_ZONE, &[(ZONE, &a(1))]);
    let before = site.serial();
    let site = site.restart(ONE_ZONE, |directory| {
        fs::rename(directory.join(ZONE), directory.join("zones/Contoso.test.txt")).unwrap();
    });
    assert_eq!((site.a("www.contoso.test"), site.serial(), site.status().is_good()), ("10.0.0.1".into(), before, true));
    // And what was kept serves while that file is bad.
    let site = site.restart(ONE_ZONE, |directory| {
        fs::rename(directory.join("zones/Contoso.test.txt"), directory.join("zones/db.contoso.test")).unwrap();
        fs::write(directory.join("zones/db.contoso.test"), "www 60 IN A 10.0.0.300\n").unwrap();
    });
    assert_eq!((site.a("www.contoso.test"), site.status().is_good()), ("10.0.0.1".into(), false));
}

#[test]
fn a_zone_that_is_built_otherwise_over_a_restart_gets_a_serial_of_its_own() {
    let bounded = |ttl: u32| format!("{ONE_ZONE}min-ttl = {ttl}\n");
    let site = Site::new(ONE_ZONE, &[(ZONE, &a(1))]);
    let mut last = site.serial();
    let mut site = site;
    for (ttl, is_there) in [(300, true), (600, true), (900, false), (1200, false), (1500, true)] {
        for is_again in [false, true] {
            site = site.restart(&bounded(ttl), |directory| {
                let (here, away) = (directory.join(ZONE), directory.join("away"));
                let _ = if is_there { fs::rename(away, here) } else { fs::rename(here, away) };
            });
            assert_eq!(site.a("www.contoso.test"), "10.0.0.1");
            let is_right = if is_again { site.serial() == last } else { crate::zone::serial_rose(last, site.serial()) };
            assert!(is_right, "min-ttl {ttl}, file: {is_there}, again: {is_again}: {} after {last}", site.serial());
            last = site.serial();
        }
    }
}

#[test]
fn records_that_are_newer_than_the_index_get_a_new_serial() {
    let site = Site::new(ONE_ZONE, &[(ZONE, &a(1))]);
    let first = site.serial();
    let index = site.path("state/sources/index");
    let mut old = Vec::new();
    let site = site.restart(ONE_ZONE, |directory| {
        old = fs::read(&index).unwrap();
        fs::write(directory.join(ZONE), a(2)).unwrap();
    });
    let site = site.restart(ONE_ZONE, |directory| {
        fs::write(&index, &old).unwrap();
        fs::remove_file(directory.join(ZONE)).unwrap();
    });
    assert_eq!(site.a("www.contoso.test"), "10.0.0.2");
    assert!(crate::zone::serial_rose(first, site.serial()), "{} after {first}", site.serial());
}

#[test]
fn records_that_are_older_than_the_index_get_a_new_serial() {
    let mut site = Site::new(ONE_ZONE, &[(ZONE, &a(1))]);
    site = site.restart(ONE_ZONE, |_| ());
    let directory = site.path("state/sources");
    let records = fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().path()).find(|path| !path.ends_with("index")).unwrap();
    let old = fs::read(&records).unwrap();
    let index = fs::read(directory.join("index")).unwrap();
    // A directory stands in the way of the records, as if the server was killed before it wrote them.
    fs::remove_file(&records).unwrap();
    fs::create_dir_all(records.join("in the way")).unwrap();
    site.write(ZONE, &a(2));
    site.look();
    let served = site.serial();
    while fs::read(directory.join("index")).unwrap() == index {
        std::thread::yield_now(); // the serial reaches the disk first
    }
    let site = site.restart(ONE_ZONE, |directory| {
        fs::remove_dir_all(&records).unwrap();
        fs::write(&records, &old).unwrap();
        fs::remove_file(directory.join(ZONE)).unwrap();
    });
    assert_eq!(site.a("www.contoso.test"), "10.0.0.1");
    assert!(crate::zone::serial_rose(served, site.serial()), "{} after {served}", site.serial());
}

#[test]
fn a_state_directory_that_becomes_writable_after_the_start_gets_the_data() {
    // A file stands in the place of the state directory.
    let site = Site::new(ONE_ZONE, &[(ZONE, &a(1)), ("state", "")]);
    assert!(site.store.context.state.read_only().is_some());
    fs::remove_file(site.path("state")).unwrap();
    while !site.path("state/sources/index").is_file() {
        std::thread::sleep(Duration::from_millis(50)); // it is tried again after a while
    }
    let site = site.restart(ONE_ZONE, |directory| fs::remove_file(directory.join(ZONE)).unwrap());
    assert_eq!(site.a("www.contoso.test"), "10.0.0.1");
}

#[test]
fn last_good_data_that_was_removed_is_written_anew() {
    let both = format!("{ONE_ZONE}[[zone]]\nname = 'fabrikam.test'\nfile = 'fabrikam.zone'\n");
    let files = [(ZONE, a(1)), ("zones/contoso.test.hosts", "10.0.0.3 more.contoso.test\n".into()), ("fabrikam.zone", a(2))];
    let mut site = Site::new(&both, &files.each_ref().map(|(file, text)| (*file, text.as_str())));
    site = site.restart(&both, |_| ());
    fs::remove_dir_all(site.path("state/sources")).unwrap();
    site.store.tend_kept();
    while !site.path("state/sources/index").is_file() {
        std::thread::yield_now();
    }
    let site = site.restart(&both, |directory| files.iter().for_each(|(file, _)| fs::remove_file(directory.join(file)).unwrap()));
    let all = ["www.contoso.test", "more.contoso.test", "www.fabrikam.test"].map(|name| site.a(name));
    assert_eq!(all, ["10.0.0.1", "10.0.0.3", "10.0.0.2"]);
}

#[test]
fn a_zone_whose_new_source_was_never_good_serves_the_data_of_the_old_one_over_restarts() {
    let file = |name: &str| format!("[[zone]]\nname = 'contoso.test'\nfile = '{name}'\n");
    let directory = |name: &str| format!("[[zone]]\nname = 'contoso.test'\ndirectory = '{name}'\n");
    let networks = "[[network]]\nname = 'lab'\nclients = ['10.0.0.0/8']\n";
    let linked = format!("{networks}{}network = ['lab']\n", file("a.zone"));
    for (before, after, bad, good) in [
        (file("a.zone"), file("b.zone"), "b.zone", a(2)),
        (file("a.zone"), linked, "a.zone", a(2)),
        (file("a.zone"), directory("zones"), ZONE, a(2)),
    ] {
        let mut site = Site::new(&before, &[("a.zone", &a(1)), ("zones/contoso.test.hosts", "10.0.0.3 more.contoso.test\n")]);
        site.write(bad, "www 60 IN A 10.0.0.300\n");
        let report = site.reconfigure(&after);
        assert_eq!((site.a("www.contoso.test"), report.has_errors()), ("10.0.0.1".into(), true), "{after}");
        let serial = site.serial();
        for _ in 0..2 {
            site = site.restart(&after, |_| ());
            assert_eq!((site.a("www.contoso.test"), site.serial(), site.status().is_kept), ("10.0.0.1".into(), serial, true), "{after}");
        }
        site.write(bad, &good);
        site.look();
        assert_eq!((site.a("www.contoso.test"), site.status().is_good()), ("10.0.0.2".into(), true), "{after}");
        assert!(crate::zone::serial_rose(serial, site.serial()));
        let site = site.restart(&after, |directory| fs::write(directory.join(bad), "www 60 IN A 10.0.0.300\n").unwrap());
        assert_eq!(site.a("www.contoso.test"), "10.0.0.2", "{after}");
    }
}

#[test]
fn data_of_a_zone_that_the_configuration_dropped_over_a_restart_is_forgotten_once_the_configuration_is_accepted() {
    const TWO: &str = "[[zone]]\nname = 'contoso.test'\nfile = 'a.zone'\n[[zone]]\nname = 'fabrikam.test'\nfile = 'b.zone'\n";
    const ONE: &str = "[[zone]]\nname = 'contoso.test'\nfile = 'a.zone'\n";
    for is_accepted in [true, false] {
        let site = Site::new(TWO, &[("a.zone", &a(1)), ("b.zone", &a(2))]);
        let site = site.restart(ONE, |_| ());
        if is_accepted {
            site.store.forget_unconfigured();
        }
        let site = site.restart(TWO, |directory| fs::write(directory.join("b.zone"), "www 60 IN A 10.0.0.300\n").unwrap());
        assert_eq!(site.a("www.contoso.test"), "10.0.0.1");
        let serves = site.store.current().hosted()[1].hosted.zone().is_some();
        assert_eq!(serves, !is_accepted, "accepted: {is_accepted}");
        let files = fs::read_dir(site.path("state/sources")).unwrap().count();
        assert_eq!(files, if is_accepted { 2 } else { 3 }, "the index, and the records of each file");
    }
}
