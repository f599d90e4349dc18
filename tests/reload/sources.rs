//! Each way in which files of zones change, come and go.

use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

use hickory_proto::rr::RecordType::A;

use crate::harness::{eventually, field, write_files};
use crate::{CONFIG, CONTOSO, FABRIKAM, Site, number, plain, zone};

#[test]
fn a_file_written_in_place_is_one_change_each_time() {
    let mut site = Site::new(plain);
    for last in 2..12 {
        for (file, name, apex) in [(CONTOSO, "www.contoso.test", "contoso.test"), (FABRIKAM, "www.fabrikam.test", "fabrikam.test")] {
            let serial = site.serial(apex);
            site.write(file, &zone(last));
            site.becomes(name, last, serial);
        }
    }
    assert!(site.quick > 0, "all of {} changes were slow", site.slow);
    site.ends();
}

#[test]
fn an_editor_that_renames_over_the_file_is_one_change_each_time() {
    let mut site = Site::new(plain);
    for last in 2..12 {
        for (file, name, apex) in [(CONTOSO, "www.contoso.test", "contoso.test"), (FABRIKAM, "www.fabrikam.test", "fabrikam.test")] {
            let serial = site.serial(apex);
            match last % 2 {
                0 => site.replace(file, &zone(last)), // sed -i, emacs, VS Code
                // vim: the old file becomes the backup, the new one is written in its place.
                _ => site.in_steps(|| {
                    site.rename(file, &format!("{file}~"));
                    site.write(file, &zone(last));
                    fs::remove_file(site.server.file(&format!("{file}~"))).unwrap();
                }),
            }
            site.becomes(name, last, serial);
        }
    }
    let log = site.server.log();
    assert!(site.slow > 0 || !log.iter().any(|line| line.contains("is gone")), "{}", log.join("\n"));
    assert!(site.slow < 10, "all that are made in steps were slow");
    site.ends();
}

#[test]
fn a_copy_in_pieces_is_one_change_and_no_half_of_it_is_ever_served() {
    let settling = CONFIG.replace("'50ms'", "'500ms'");
    let text = |last: u8| (0..1000).map(|number| format!("h{number} 60 IN A 10.0.0.{last}\n")).collect::<String>() + &zone(last);
    let mut site = Site::new(|directory| {
        plain(directory);
        write_files(directory, &[("postern.toml", &settling), (CONTOSO, &text(1)), (FABRIKAM, &text(1))]);
    });
    for (last, name, apex) in [(2, "www.contoso.test", "contoso.test"), (3, "www.fabrikam.test", "fabrikam.test")] {
        let serial = site.serial(apex);
        let whole = text(last);
        let mut file = fs::File::create(site.server.file(if last == 2 { CONTOSO } else { FABRIKAM })).unwrap();
        // The last piece is large: a file cut near its end could pass for a whole one that lost a few records.
        for piece in [0..7, 7..5003, 5003..9001, 9001..whole.len()] {
            file.write_all(&whole.as_bytes()[piece]).unwrap();
            for _ in 0..5 {
                let (first, end) = (site.address(&format!("h0.{apex}")), site.address(&format!("h999.{apex}")));
                assert_eq!(first, end, "the first record and the last are of one file");
                std::thread::sleep(Duration::from_millis(10));
            }
        }
        drop(file);
        site.becomes(name, last, serial);
        assert_eq!(site.address(&format!("h0.{apex}")), site.address(&format!("h999.{apex}")));
    }
    site.ends();
}

#[test]
fn a_config_map_swap_of_several_files_is_one_change() {
    // All in one volume, as Kubernetes lays it out: the configuration, two zone files of one directory, and one by its name.
    let version = |directory: &Path, last: u8| {
        let data = format!("..{last}");
        for name in ["contoso.test.zone", "sub.contoso.test.zone", "fabrikam.zone"] {
            write_files(directory, &[(&format!("{data}/{name}"), &zone(last))]);
        }
        data
    };
    let config = CONFIG.replace("'zones'", "'volume'").replace("exports/", "volume/");
    let config = format!("{config}\n[[zone]]\nname = 'sub.contoso.test'\ndirectory = 'volume'\n");
    let mut site = Site::new(|directory| {
        write_files(directory, &[("postern.toml", &config), ("volume/.keep", "")]);
        let volume = directory.join("volume");
        symlink(version(&volume, 1), volume.join("..data")).unwrap();
        for name in ["contoso.test.zone", "sub.contoso.test.zone", "fabrikam.zone"] {
            symlink(format!("..data/{name}"), volume.join(name)).unwrap();
        }
    });
    let volume = site.server.file("volume");
    for last in 2..8 {
        let serial = site.serial("contoso.test");
        symlink(version(&volume, last), volume.join("..data_tmp")).unwrap();
        fs::rename(volume.join("..data_tmp"), volume.join("..data")).unwrap();
        fs::remove_dir_all(volume.join(format!("..{}", last - 1))).unwrap();
        let seen = site.seen;
        site.becomes("www.contoso.test", last, serial);
        for other in ["sub.contoso.test", "fabrikam.test"] {
            assert_eq!(site.address(&format!("www.{other}")), format!("10.0.0.{last}"));
            let line = site.server.logged_after(seen, &["zone changed", &format!("zone=\"{other}\"")]);
            assert_eq!(number(&line, "generation"), site.generation, "{line}");
        }
        site.before();
    }
    site.ends();
}

#[test]
fn a_directory_that_is_a_link_is_seen_to_turn_and_its_files_to_change() {
    let release = |directory: &Path, last: u8| {
        let name = format!("releases/{last}");
        write_files(directory, &[(&format!("{name}/contoso.test.zone"), &zone(last)), (&format!("{name}/fabrikam.zone"), &zone(last))]);
        name
    };
    let mut site = Site::new(|directory| {
        plain(directory);
        for link in ["zones", "exports"] {
            fs::remove_dir_all(directory.join(link)).unwrap();
            symlink(release(directory, 1), directory.join(link)).unwrap();
        }
    });
    let root = site.server.path().to_path_buf();
    for last in [10, 20, 30] {
        for (link, file, name, apex) in
            [("zones", CONTOSO, "www.contoso.test", "contoso.test"), ("exports", FABRIKAM, "www.fabrikam.test", "fabrikam.test")]
        {
            let serial = site.serial(apex);
            // Each link has its own target, so that an edit behind it changes one zone.
            fs::create_dir_all(root.join(link.to_uppercase())).unwrap();
            let target = release(&root.join(link.to_uppercase()), last);
            symlink(root.join(link.to_uppercase()).join(target), root.join("turned")).unwrap();
            site.rename("turned", link);
            site.becomes(name, last, serial);
            let serial = site.serial(apex);
            site.write(file, &zone(last + 1));
            site.becomes(name, last + 1, serial);
        }
    }
    site.ends();
}

#[test]
fn a_directory_that_is_replaced_is_one_change_and_is_watched_again() {
    let mut site = Site::new(plain);
    for last in [10, 20] {
        let serial = site.serial("contoso.test");
        write_files(site.server.path(), &[("new/contoso.test.zone", &zone(last))]);
        site.rename("zones", &format!("old{last}"));
        site.rename("new", "zones");
        site.becomes("www.contoso.test", last, serial);
        let serial = site.serial("contoso.test");
        site.write(CONTOSO, &zone(last + 1));
        site.becomes("www.contoso.test", last + 1, serial);
    }
    site.ends();
}

#[test]
fn a_file_that_is_deleted_leaves_its_last_good_data_and_is_restored() {
    let mut site = Site::new(plain);
    for (file, name, apex) in [(CONTOSO, "www.contoso.test", "contoso.test"), (FABRIKAM, "www.fabrikam.test", "fabrikam.test")] {
        let serial = site.serial(apex);
        fs::remove_file(site.server.file(file)).unwrap();
        let line = site.says(&["keeping the last good data", file, "is gone"]);
        assert!(line.contains("ERROR") && field(&line, "zone") == Some(apex), "{line}");
        eventually("the health flag", || site.systemd.status().contains(apex).then_some(()));
        assert_eq!((site.address(name).as_str(), site.serial(apex)), ("10.0.0.1", serial));
        // The same bytes again are no change.
        site.replace(file, &zone(1));
        site.says(&["source is good again", apex]);
        eventually("the health flag goes", || (!site.systemd.status().contains("bad sources")).then_some(()));
        assert_eq!((site.address(name).as_str(), site.serial(apex)), ("10.0.0.1", serial));
        site.before();
        fs::remove_file(site.server.file(file)).unwrap();
        site.says(&["is gone", apex]);
        site.write(file, &zone(2));
        site.becomes(name, 2, serial);
    }
    site.ends();
}

#[test]
fn a_new_file_in_a_watched_directory_is_one_change() {
    let mut site = Site::new(|directory| {
        plain(directory);
        let more = "[[zone]]\nname = 'sub.contoso.test'\ndirectory = 'zones'\n";
        write_files(directory, &[("postern.toml", &format!("{CONFIG}{more}"))]);
    });
    for (last, file, text) in [
        (7, "zones/contoso.test.hosts", "10.0.0.7 new7.contoso.test\n"),
        (8, "zones/contoso.test.json", r#"{"customDnsConfigs": [{"fqdn": "new8.contoso.test", "ipAddresses": ["10.0.0.8"]}]}"#),
    ] {
        let serial = site.serial("contoso.test");
        assert_eq!(site.address(&format!("new{last}.contoso.test")), "NXDOMAIN", "the zone lacks the name");
        site.write(file, text);
        site.becomes(&format!("new{last}.contoso.test"), last, serial);
        assert_eq!(site.address("www.contoso.test"), "10.0.0.1");
    }
    // The first file of its own of a zone that was empty until now.
    let serial = site.serial("sub.contoso.test");
    site.write("zones/sub.contoso.test.zone", &zone(9));
    site.becomes("www.sub.contoso.test", 9, serial);
    // Files that are nobody's change nothing.
    for noise in ["zones/README.md", "zones/.contoso.test.zone.swp", "zones/contoso.test.zone~", "zones/.hidden.json"] {
        site.write(noise, "no records\n");
    }
    site.ends();
}

#[test]
fn a_file_that_is_not_there_at_start_is_served_when_it_comes() {
    let mut site = Site::new(|directory| write_files(directory, &[("postern.toml", CONFIG)]));
    for (file, name, apex) in [(CONTOSO, "www.contoso.test", "contoso.test"), (FABRIKAM, "www.fabrikam.test", "fabrikam.test")] {
        assert_eq!(site.address(name), "SERVFAIL");
        let (directory, inside) = file.split_once('/').unwrap();
        write_files(site.server.path(), &[(&format!("new/{inside}"), &zone(1))]);
        site.rename("new", directory);
        site.server.becomes(name, A, &["10.0.0.1"]);
        site.generation = number(&site.says(&["zone loaded", apex]), "generation");
        site.before();
        let serial = site.serial(apex);
        site.write(file, &zone(2));
        site.becomes(name, 2, serial);
    }
    eventually("all sources are good", || (!site.systemd.status().contains("bad sources")).then_some(()));
    site.ends();
}

#[test]
fn an_included_file_is_watched_like_the_one_that_includes_it() {
    let mut site = Site::new(|directory| {
        plain(directory);
        write_files(directory, &[(CONTOSO, "$INCLUDE parts/hosts.inc\n"), ("zones/parts/hosts.inc", &zone(1))]);
    });
    for last in 2..5 {
        let serial = site.serial("contoso.test");
        site.replace("zones/parts/hosts.inc", &zone(last));
        site.becomes("www.contoso.test", last, serial);
    }
    site.ends();
}

/// The kernel tells a directory of what is done to a file through its own name there, not through another name (inotify(7)). To the
/// directory that is watched such a change is what a change on another machine is to a network file system: it makes no event.
fn hard_linked(directory: &Path) {
    plain(directory);
    fs::create_dir(directory.join("elsewhere")).unwrap();
    fs::hard_link(directory.join(CONTOSO), directory.join("elsewhere/contoso.zone")).unwrap();
}

#[test]
fn a_change_that_makes_no_event_is_found_by_the_poll() {
    let mut site = Site::new(|directory| {
        hard_linked(directory);
        write_files(directory, &[("postern.toml", &CONFIG.replace("'1h'", "'200ms'"))]);
    });
    for last in 2..5 {
        let serial = site.serial("contoso.test");
        site.write("elsewhere/contoso.zone", &zone(last));
        site.becomes("www.contoso.test", last, serial);
    }
    site.ends();
}

#[test]
fn hup_reads_everything_again_where_no_event_came() {
    let mut site = Site::new(hard_linked);
    let mut unseen = 0;
    for last in 2..100 {
        std::thread::sleep(Duration::from_millis(100)); // a look that is still due
        let serial = site.serial("contoso.test");
        site.write("elsewhere/contoso.zone", &zone(last));
        std::thread::sleep(Duration::from_millis(200));
        unseen += u8::from(site.address("www.contoso.test") == format!("10.0.0.{}", last - 1));
        site.server.signal("HUP");
        let line = site.says(&["postern: reloaded"]);
        // By then it is there, even where a look that was due had found it before.
        assert_eq!(site.address("www.contoso.test"), format!("10.0.0.{last}"), "{line}");
        assert!(site.serial("contoso.test") > serial, "{line}");
        site.generation = number(&line, "generation");
        site.before();
        if last > 5 && unseen > 0 {
            break;
        }
    }
    assert!(unseen > 0, "no event comes, and the poll is an hour away");
}
