//! Hot reload on the real program: each way in which files come to change. Polling is off (once an hour) unless it is what is tested, so
//! what is seen was seen by events; what has no event is seen by the poll or by SIGHUP alone.

mod harness;

use std::cell::Cell;
use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::{Duration, Instant};

use harness::{Server, Systemd, eventually, field, postern, write_files};
use hickory_proto::rr::RData;
use hickory_proto::rr::RecordType::{A, SOA};

const CONFIG: &str = "\
[server]
listen = ['127.0.0.1:0']
poll   = '1h'
settle = '50ms'

[[zone]]
name      = 'contoso.test'
directory = 'zones'

[[zone]]
name = 'fabrikam.test'
file = 'exports/fabrikam.zone'

[[forward]]
zone      = '.'
upstreams = ['127.0.0.1:1'] # never asked
";

/// How long a file must stand still, as above.
const SETTLE: Duration = Duration::from_millis(50);

const CONTOSO: &str = "zones/contoso.test.zone";
const FABRIKAM: &str = "exports/fabrikam.zone";

/// A zone of one record.
fn zone(last: u8) -> String {
    format!("www 60 IN A 10.0.0.{last}\n")
}

fn plain(directory: &Path) {
    write_files(directory, &[("postern.toml", CONFIG), (CONTOSO, &zone(1)), (FABRIKAM, &zone(1))]);
}

/// A server, its files, and what it said before the change that is looked at.
struct Site {
    server: Server,
    systemd: Systemd,
    generation: u64,
    seen: usize,
    /// The change that is looked at took so long to make that it may have been seen in parts.
    is_slow: Cell<bool>,
    /// Changes that did, and those that did not.
    slow: u32,
    quick: u32,
}

impl Site {
    fn new(setup: impl FnOnce(&Path)) -> Self {
        let directory = tempfile::tempdir().unwrap();
        setup(directory.path());
        let systemd = Systemd::listen(directory.path());
        let path = directory.path().to_path_buf();
        let mut command = postern(&["serve", "-c", path.join("postern.toml").to_str().unwrap()]);
        command.env("NOTIFY_SOCKET", &systemd.socket);
        let server = Server::spawn(command, path, Some(directory));
        let generation = number(&server.logged(&["postern: ready"]), "generation");
        Self { server, systemd, generation, seen: 0, is_slow: Cell::new(false), slow: 0, quick: 0 }
    }

    /// Makes a change of several steps. Where this process is kept from taking them in time, what lies between is rightly taken for a
    /// version of its own.
    fn in_steps(&self, steps: impl FnOnce()) {
        let start = Instant::now();
        steps();
        self.is_slow.set(self.is_slow.get() || start.elapsed() >= SETTLE);
    }

    /// Empties the file and writes it.
    fn write(&self, name: &str, text: &str) {
        self.in_steps(|| fs::write(self.server.file(name), text).unwrap());
    }

    fn rename(&self, from: &str, to: &str) {
        fs::rename(self.server.file(from), self.server.file(to)).unwrap();
    }

    /// Writes beside the file and renames over it.
    fn replace(&self, name: &str, text: &str) {
        self.write("next", text);
        self.rename("next", name);
    }

    fn address(&self, name: &str) -> String {
        self.server.short(name, A).join(" ")
    }

    fn serial(&self, zone: &str) -> u32 {
        match &self.server.ask(zone, SOA).answers[0].data {
            RData::SOA(soa) => soa.serial,
            other => panic!("{other}"),
        }
    }

    /// From here on, what is said is said of the change that follows.
    fn before(&mut self) {
        self.seen = self.server.log().len();
    }

    /// Waits until `name` has this address, which was one change: one generation, told once for its zone, with a serial that rose.
    fn becomes(&mut self, name: &str, last: u8, serial_before: u32) {
        self.server.becomes(name, A, &[&format!("10.0.0.{last}")]);
        let zone = name.split_once('.').unwrap().1;
        let serial = self.serial(zone);
        assert!(serial > serial_before, "{serial} after {serial_before}");
        let line = self.server.logged_after(self.seen, &["zone changed", &format!("zone=\"{zone}\""), &format!(" serial={serial} ")]);
        let generation = number(&line, "generation");
        if self.is_slow.take() {
            assert!(generation > self.generation, "{line}");
            self.slow += 1;
        } else {
            assert_eq!(generation, self.generation + 1, "{line}");
            self.quick += 1;
        }
        self.generation = generation;
        self.before();
    }

    /// Waits for a line of the log since the last change.
    fn says(&self, words: &[&str]) -> String {
        self.server.logged_after(self.seen, words)
    }

    /// SIGHUP finds nothing that was not applied already, and makes one generation itself: so there was one for each change before.
    fn ends(mut self) {
        self.before();
        self.server.signal("HUP");
        self.generation += 1;
        assert_eq!(number(&self.says(&["postern: reloaded"]), "generation"), self.generation, "{}", self.server.log().join("\n"));
        let log = self.server.log();
        assert!(!log[self.seen..].iter().any(|line| line.contains("zone changed")), "{}", log.join("\n"));
    }
}

fn number(line: &str, key: &str) -> u64 {
    field(line, key).and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("no {key} in {line}"))
}

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
    }
    site.ends();
}

#[test]
fn a_configuration_and_its_zones_swapped_together_are_one_change() {
    let version = |directory: &Path, last: u8, more: &str| {
        let (data, config) = (format!("..{last}"), CONFIG.replace("'zones'", "'.'").replace("exports/", ""));
        let files = ["postern.toml", "contoso.test.zone", "fabrikam.zone"].map(|name| format!("{data}/{name}"));
        let contents = [format!("{config}{more}"), zone(last), zone(last)];
        files.iter().zip(&contents).for_each(|(path, content)| write_files(directory, &[(path, content)]));
        data
    };
    let mut site = Site::new(|directory| {
        symlink(version(directory, 1, ""), directory.join("..data")).unwrap();
        for name in ["postern.toml", "contoso.test.zone", "fabrikam.zone"] {
            symlink(format!("..data/{name}"), directory.join(name)).unwrap();
        }
    });
    let root = site.server.path().to_path_buf();
    for last in 2..6 {
        let serial = site.serial("contoso.test");
        let more = if last % 2 == 0 { "[[zone]]\nname = 'tailspin.test'\nfile = 'fabrikam.zone'\n" } else { "" };
        symlink(version(&root, last, more), root.join("..data_tmp")).unwrap();
        fs::rename(root.join("..data_tmp"), root.join("..data")).unwrap();
        site.says(&["postern: reloaded"]);
        site.becomes("www.contoso.test", last, serial);
        assert_eq!(site.address("www.fabrikam.test"), format!("10.0.0.{last}"));
        let tailspin = site.address("www.tailspin.test");
        assert_eq!(tailspin == format!("10.0.0.{last}"), last % 2 == 0, "{tailspin}");
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
        let line = site.says(&["last good data goes on serving", file, "is gone"]);
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
        (7, "zones/portal.hosts", "10.0.0.7 new7.contoso.test\n"),
        (8, "zones/endpoint.json", r#"{"customDnsConfigs": [{"fqdn": "new8.contoso.test", "ipAddresses": ["10.0.0.8"]}]}"#),
    ] {
        let serial = site.serial("contoso.test");
        assert_eq!(site.address(&format!("new{last}.contoso.test")), "SERVFAIL", "public, and there is no upstream");
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

#[test]
fn bad_data_changes_nothing_and_says_file_line_and_column_until_it_is_mended() {
    let mut site = Site::new(|directory| {
        plain(directory);
        write_files(directory, &[("zones/portal.hosts", "10.0.0.5 host.contoso.test\n"), ("zones/endpoint.json", "[]")]);
    });
    let bad: [(&str, String, &str); 5] = [
        (CONTOSO, format!("{}mail 60 IN A 10.0.0.256\n", zone(9)), "contoso.test.zone:2:14: "),
        (CONTOSO, format!("{}@ IN CNAME www\n", zone(9)), "contoso.test.zone:2:"),
        (FABRIKAM, format!("{}www.contoso.test. 60 IN A 10.0.0.1\n", zone(9)), "fabrikam.zone:2:1: "),
        ("zones/portal.hosts", "10.0.0.6 host.contoso.test\n10.0.0. other.contoso.test\n".into(), "portal.hosts:2:1: "),
        ("zones/endpoint.json", "[\n  {\"fqdn\": \"host.contoso.test\",,}\n]".into(), "endpoint.json:2:"),
    ];
    for (file, text, place) in bad {
        let apex = if file == FABRIKAM { "fabrikam.test" } else { "contoso.test" };
        let good = fs::read_to_string(site.server.file(file)).unwrap();
        let serial = site.serial(apex);
        site.before();
        site.replace(file, &text);
        site.says(&["ERROR", place]);
        site.says(&["last good data goes on serving", place, apex]);
        eventually("the health flag", || {
            let status = site.systemd.status();
            (status.contains("bad sources, last good data serves: ") && status.contains(apex)).then_some(())
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

#[test]
fn a_file_that_a_refused_configuration_names_is_waited_for() {
    let mut site = Site::new(plain);
    site.before();
    site.replace("postern.toml", &format!("{CONFIG}[[key]]\nname = 'acme'\nsecret-file = 'keys/acme'\nallow = ['query']\n"));
    site.says(&["reload refused", "cannot take the secret from", "keys/acme"]);
    fs::create_dir(site.server.file("keys")).unwrap();
    site.write("next", "c2VjcmV0\n");
    site.rename("next", "keys/acme");
    site.generation += 1;
    assert_eq!(number(&site.says(&["postern: reloaded"]), "generation"), site.generation);
    site.ends();
}

#[test]
fn a_configuration_from_a_pipe_is_kept_when_it_is_to_be_read_again() {
    let directory = tempfile::tempdir().unwrap();
    plain(directory.path());
    let (path, pipe) = (directory.path().to_path_buf(), directory.path().join("pipe"));
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let text = CONFIG.to_string();
    let command = postern(&["serve", "-c", pipe.to_str().unwrap()]);
    let writer = std::thread::spawn(move || fs::write(pipe, text).unwrap());
    let server = Server::spawn(command, path, Some(directory));
    writer.join().unwrap();
    server.signal("HUP");
    server.logged(&["reload refused", "pipe: not a file, so it cannot be read again"]);
    server.becomes("www.contoso.test", A, &["10.0.0.1"]);
    fs::write(server.file(CONTOSO), zone(2)).unwrap();
    server.becomes("www.contoso.test", A, &["10.0.0.2"]);
}

#[test]
fn the_configuration_file_is_watched_and_what_a_bad_one_says_changes_nothing() {
    let mut site = Site::new(plain);
    // A zone more, one less: one change each.
    let tailspin = "[[zone]]\nname = 'tailspin.test'\nfile = 'exports/fabrikam.zone'\n";
    let more = format!("{CONFIG}{tailspin}");
    for (text, want, line) in
        [(more.as_str(), "10.0.0.1", "zone loaded"), (CONFIG, "SERVFAIL", "zone removed"), (more.as_str(), "10.0.0.1", "zone loaded")]
    {
        site.before();
        site.replace("postern.toml", text);
        site.generation += 1;
        assert_eq!(number(&site.says(&["postern: reloaded"]), "generation"), site.generation);
        site.says(&[line, "tailspin.test"]);
        assert_eq!(site.address("www.tailspin.test"), want);
    }
    // A bad one: every problem with its place, the flag, and everything as before.
    site.before();
    site.replace("postern.toml", &more.replace("directory", "dierctory").replace("'127.0.0.1:1'", "'127.0.0.1:port'"));
    for words in ["postern.toml:8:1: error: unknown key `dierctory`", "postern.toml:16:14: error: ", "reload refused"] {
        site.says(&["ERROR", words]);
    }
    eventually("the health flag", || site.systemd.status().contains("reload refused: ").then_some(()));
    assert_eq!(site.address("www.tailspin.test"), "10.0.0.1");
    // Zones are watched all the same.
    let serial = site.serial("contoso.test");
    site.write(CONTOSO, &zone(2));
    site.becomes("www.contoso.test", 2, serial);
    assert!(site.systemd.status().contains("reload refused: "), "{}", site.systemd.status());
    // Gone: as before, which is told, and told by SIGHUP.
    fs::remove_file(site.server.file("postern.toml")).unwrap();
    site.says(&["WARN", "postern.toml is gone; what was read from it before goes on serving"]);
    site.server.signal("HUP");
    site.says(&["reload refused", "postern.toml"]);
    assert_eq!(site.address("www.tailspin.test"), "10.0.0.1");
    // Back, and mended; what needs a restart is said.
    site.before();
    site.replace("postern.toml", &more.replace("listen", "workers = 7\nlisten"));
    site.says(&["WARN", "`server.workers` changed", "restart"]);
    site.generation += 1;
    assert_eq!(number(&site.says(&["postern: reloaded"]), "generation"), site.generation);
    eventually("the health flag goes", || (!site.systemd.status().contains("reload refused")).then_some(()));
    site.ends();
}
