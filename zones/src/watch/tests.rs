//! Changes on a real disk, seen in real time. Deadlines are generous; polling is off unless it is what is tested.

use std::sync::mpsc::{Receiver as Inbox, channel};

use super::*;
use crate::lookup::Lookup;
use crate::name::NameBuf;
use crate::state_directory::StateDirectory;

const DEADLINE: Duration = Duration::from_secs(120);

struct Site {
    directory: tempfile::TempDir,
    watch: Watch,
    current: Arc<Mutex<Arc<Snapshot>>>,
    files: Inbox<PathBuf>,
}

impl Site {
    fn new(setup: impl FnOnce(&Path)) -> Self {
        Self::with(setup, "1h", true)
    }

    fn with(setup: impl FnOnce(&Path), poll: &str, with_events: bool) -> Self {
        let directory = tempfile::tempdir().unwrap();
        setup(directory.path());
        let path = directory.path().join("postern.toml");
        let text = format!(
            "[server]\npoll = '{poll}'\n[[zone]]\nname = 'contoso.test'\ndirectory = 'zones'\n[[zone]]\nname = 'fabrikam.test'\nfile = 'exports/fabrikam.zone'\n"
        );
        fs::write(&path, &text).unwrap();
        let config = postern_config::parse(&text, &path).unwrap().config;
        let (store, snapshot, _) = Store::open(&config, Arc::new(StateDirectory::inspect(&config.server.state)));
        let current = Arc::new(Mutex::new(snapshot));
        let (sender, files) = channel();
        let shared = current.clone();
        let callback = move |_: &mut Store, event: WatchEvent| match event {
            WatchEvent::Looked(snapshot, _) => *shared.lock().unwrap() = snapshot,
            WatchEvent::Edited(snapshot, _) => *shared.lock().unwrap() = snapshot,
            WatchEvent::Files(paths) => paths.into_iter().for_each(|path| sender.send(path).unwrap()),
        };
        let watch = Watch::start_with(store, Box::new(callback), with_events).unwrap();
        Self { directory, watch, current, files }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    /// Renames over the file, which is never seen in part.
    fn replace(&self, name: &str, text: &str) {
        replace(&self.path(name), text);
    }

    fn ask(&self, name: &str) -> Option<[u8; 4]> {
        let snapshot = self.current.lock().unwrap().clone();
        let name = NameBuf::parse(name).unwrap();
        let hosted = snapshot.network(snapshot.network_of("10.0.0.1".parse().unwrap())).zone_of(&name, 0)?.clone();
        match hosted.zone()?.lookup(&name, 1) {
            Lookup::Found { set, .. } => set.rdata().next()?.try_into().ok(),
            _ => None,
        }
    }

    /// Waits until `name` has an address ending so.
    fn wait(&self, name: &str, last: u8) {
        let start = Instant::now();
        while self.ask(name).map(|address| address[3]) != Some(last) {
            assert!(start.elapsed() < DEADLINE, "{name} is {:?}, not …{last}", self.ask(name));
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

fn replace(path: &Path, text: &str) {
    let new = path.with_file_name(".new");
    fs::write(&new, text).unwrap();
    fs::rename(new, path).unwrap();
}

fn record(last: u8) -> String {
    format!("www 60 IN A 10.0.0.{last}\n")
}

fn plain(directory: &Path) {
    fs::create_dir(directory.join("zones")).unwrap();
    fs::create_dir(directory.join("exports")).unwrap();
    fs::write(directory.join("zones/contoso.test.zone"), record(1)).unwrap();
    fs::write(directory.join("exports/fabrikam.zone"), record(1)).unwrap();
}

#[test]
fn a_file_that_is_written_is_seen() {
    let site = Site::new(plain);
    for last in 2..30 {
        let file =
            if last % 2 == 0 { ("zones/contoso.test.zone", "www.contoso.test") } else { ("exports/fabrikam.zone", "www.fabrikam.test") };
        site.write(file.0, &record(last));
        site.wait(file.1, last);
    }
}

#[test]
fn a_file_that_is_renamed_over_is_seen_again_and_again() {
    let site = Site::new(plain);
    for last in 2..10 {
        for (directory, file, name) in
            [("zones", "contoso.test.zone", "www.contoso.test"), ("exports", "fabrikam.zone", "www.fabrikam.test")]
        {
            site.write(&format!("{directory}/.tmp~"), &record(last));
            fs::rename(site.path(&format!("{directory}/.tmp~")), site.path(&format!("{directory}/{file}"))).unwrap();
            site.wait(name, last);
        }
    }
}

#[test]
fn a_file_that_is_removed_and_written_anew_is_seen() {
    let site = Site::new(plain);
    for last in 2..6 {
        fs::remove_file(site.path("exports/fabrikam.zone")).unwrap();
        std::thread::sleep(Duration::from_millis(40));
        assert!(site.ask("www.fabrikam.test").is_some(), "the last good data stays");
        site.write("exports/fabrikam.zone", &record(last));
        site.wait("www.fabrikam.test", last);
    }
}

#[test]
fn a_new_file_in_a_watched_directory_is_seen() {
    let site = Site::new(plain);
    site.write("zones/contoso.test.hosts", "10.0.0.9 new.contoso.test\n");
    site.wait("new.contoso.test", 9);
    assert_eq!(site.ask("www.contoso.test"), Some([10, 0, 0, 1]));
}

#[test]
fn a_config_map_that_is_swapped_is_seen() {
    let version = |directory: &Path, name: &str, last: u8| {
        fs::create_dir(directory.join("zones").join(name)).unwrap();
        fs::write(directory.join("zones").join(name).join("contoso.test.zone"), record(last)).unwrap();
    };
    let site = Site::new(|directory| {
        fs::create_dir(directory.join("zones")).unwrap();
        version(directory, "..1", 1);
        std::os::unix::fs::symlink("..1", directory.join("zones/..data")).unwrap();
        std::os::unix::fs::symlink("..data/contoso.test.zone", directory.join("zones/contoso.test.zone")).unwrap();
    });
    for last in 2..8 {
        version(site.directory.path(), &format!("..{last}"), last);
        std::os::unix::fs::symlink(format!("..{last}"), site.path("zones/..data_tmp")).unwrap();
        fs::rename(site.path("zones/..data_tmp"), site.path("zones/..data")).unwrap();
        fs::remove_dir_all(site.path(&format!("zones/..{}", last - 1))).unwrap();
        site.wait("www.contoso.test", last);
    }
}

#[test]
fn a_directory_that_is_a_link_is_seen_to_turn_and_its_files_to_change() {
    let site = Site::new(|directory| {
        for last in [1, 2] {
            fs::create_dir_all(directory.join(format!("releases/{last}"))).unwrap();
            fs::write(directory.join(format!("releases/{last}/contoso.test.zone")), record(last)).unwrap();
        }
        std::os::unix::fs::symlink("releases/1", directory.join("zones")).unwrap();
    });
    std::os::unix::fs::symlink("releases/2", site.path("next")).unwrap();
    fs::rename(site.path("next"), site.path("zones")).unwrap();
    site.wait("www.contoso.test", 2);
    site.write("releases/2/contoso.test.zone", &record(3));
    site.wait("www.contoso.test", 3);
}

#[test]
fn a_directory_that_is_replaced_is_watched_again() {
    let site = Site::new(plain);
    for last in [2, 4] {
        fs::create_dir(site.path("new")).unwrap();
        site.write("new/contoso.test.zone", &record(last));
        fs::rename(site.path("zones"), site.path(&format!("old{last}"))).unwrap();
        fs::rename(site.path("new"), site.path("zones")).unwrap();
        site.wait("www.contoso.test", last);
        site.write("zones/contoso.test.zone", &record(last + 1));
        site.wait("www.contoso.test", last + 1);
    }
}

#[test]
fn a_directory_that_goes_away_and_comes_back_is_watched_again() {
    let site = Site::new(plain);
    site.write("zones/contoso.test.zone", &record(9));
    site.wait("www.contoso.test", 9); // by an event: it is watched
    let [zones, away] = ["zones", "away"].map(|name| site.path(name));
    // On the watching thread, which does not see that it was away; one that is made anew has the inode of the old one where it is free.
    let moved = move |_: &mut Store| {
        fs::rename(&zones, &away).unwrap();
        fs::rename(&away, &zones).unwrap();
        zones
    };
    let zones = site.watch.with_store(moved).unwrap();
    std::thread::sleep(Duration::from_millis(100)); // until that was told, else what is written next is
    site.write("zones/contoso.test.zone", &record(2));
    site.wait("www.contoso.test", 2);
    let made = move |_: &mut Store| {
        fs::remove_dir_all(&zones).unwrap();
        fs::create_dir(&zones).unwrap();
    };
    site.watch.with_store(made).unwrap();
    std::thread::sleep(Duration::from_millis(100));
    site.write("zones/contoso.test.zone", &record(3));
    site.wait("www.contoso.test", 3);
}

#[test]
fn a_directory_that_does_not_exist_yet_is_seen_to_come() {
    let site = Site::new(|_| {});
    plain(site.directory.path());
    site.wait("www.contoso.test", 1);
    site.wait("www.fabrikam.test", 1);
    site.write("exports/fabrikam.zone", &record(2));
    site.wait("www.fabrikam.test", 2);
}

#[test]
fn without_events_polling_finds_changes() {
    let site = Site::with(plain, "100ms", false);
    site.write("zones/contoso.test.zone", &record(2));
    site.wait("www.contoso.test", 2);
}

#[test]
fn who_asks_gets_what_was_found() {
    let site = Site::with(plain, "1h", false);
    // The look that is due at the start comes with the first message at the latest: behind the second it is over.
    (0..2).for_each(|_| assert!(site.watch.look_now().unwrap().is_empty()));
    site.write("zones/contoso.test.zone", &record(2));
    let report = site.watch.look_now().unwrap();
    assert!(report.is_new && site.ask("www.contoso.test") == Some([10, 0, 0, 2]));
    assert!(site.watch.look_now().unwrap().is_empty());
    assert_eq!(site.watch.with_store(|store| store.zones().count()), Some(2));
}

#[test]
fn the_configuration_is_watched_beside_the_sources() {
    let site = Site::new(plain);
    let text = fs::read_to_string(site.path("postern.toml")).unwrap();
    site.replace("postern.toml", &text);
    site.write("postern.toml~", "");
    assert!(site.files.recv_timeout(Duration::from_millis(200)).is_err(), "its content is the same");
    site.replace("postern.toml", &format!("# changed\n{text}"));
    assert_eq!(site.files.recv_timeout(DEADLINE).unwrap(), site.path("postern.toml"));
}

/// Watches `postern.toml` of a directory and what it names; each change reads it again, as a server does, and is told.
fn follow(directory: &Path, mut meanwhile: impl FnMut(&[PathBuf], bool) + Send + 'static) -> (Watch, Inbox<Vec<PathBuf>>) {
    let path = directory.join("postern.toml");
    let (store, ..) = Store::open(&postern_config::load(&path).unwrap().config, Arc::new(StateDirectory::inspect(directory)));
    meanwhile(&[], true);
    let (sender, told) = channel();
    let callback = move |store: &mut Store, event: WatchEvent| {
        let WatchEvent::Files(changed) = event else { return };
        meanwhile(&changed, false);
        match postern_config::load(&path) {
            Ok(loaded) => drop(store.reconfigure(&loaded.config)),
            Err(refused) => store.attend(&refused.files),
        }
        meanwhile(&changed, true);
        sender.send(changed).unwrap();
    };
    (Watch::start(store, Box::new(callback)).unwrap(), told)
}

const QUIET: Duration = Duration::from_millis(200);

#[test]
fn what_a_file_held_when_it_was_read_is_what_a_change_is_told_by() {
    let directory = tempfile::tempdir().unwrap();
    let at = {
        let directory = directory.path().to_path_buf();
        move |name: &str| directory.join(name)
    };
    let named = |key_file: &str| format!("[server]\npoll = '1h'\n[api]\nkey-file = '{key_file}'\n");
    fs::write(at("one.key"), "at the start\n").unwrap();
    fs::write(at("postern.toml"), named("one.key")).unwrap();
    let written = at.clone();
    let mut turns = 0;
    let meanwhile = move |changed: &[PathBuf], is_read: bool| {
        let write = |name: &str, text: &str| fs::write(written(name), text).unwrap();
        let is_of = |name: &str| *changed == [written(name)];
        match is_read {
            true if changed.is_empty() => write("one.key", "before it is watched\n"),
            true if is_of("postern.toml") => write("two.key", "before the callback is over\n"),
            // Seen, written back before it is read, and written again afterwards: what was read is not what is there.
            false if is_of("two.key") && turns < 2 => write("two.key", "back\n"),
            true if is_of("two.key") && turns < 2 => {
                turns += 1;
                write("two.key", "before the callback is over\n");
            }
            _ => {}
        }
    };
    let (watch, told) = follow(directory.path(), meanwhile);
    let next = || told.recv_timeout(DEADLINE).unwrap();
    assert_eq!(next(), [at("one.key")]);
    replace(&at("two.key"), "as it is read\n");
    replace(&at("postern.toml"), &named("two.key"));
    assert_eq!(next(), [at("postern.toml")]);
    for _ in 0..3 {
        assert_eq!(next(), [at("two.key")]);
    }
    replace(&at("one.key"), "of no interest\n");
    assert_eq!(told.recv_timeout(QUIET), Err(RecvTimeoutError::Timeout));
    drop(watch);
}

#[test]
fn a_refused_configuration_waits_for_what_it_names() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    let write = |name: &str, text: &str| replace(&at(name), text);
    let settings = "[server]\npoll = '1h'\n";
    write("postern.toml", settings);
    let (watch, told) = follow(directory.path(), |_, _| ());
    let next = || told.recv_timeout(DEADLINE).unwrap();
    write("postern.toml", &format!("{settings}zone-table = 'tables/new.json'\n"));
    assert_eq!(next(), [at("postern.toml")]);
    fs::create_dir(at("tables")).unwrap();
    for text in ["no JSON\n", "[]\n"] {
        write("tables/new.json", text);
        assert_eq!(next(), [at("tables/new.json")]);
    }
    // One that goes and comes back with a configuration that is read while it is away.
    let (text, main) = (fs::read_to_string(at("postern.toml")).unwrap(), at("postern.toml"));
    fs::remove_file(&main).unwrap();
    let path = main.clone();
    watch.with_store(move |store| store.attend(&postern_config::load(&path).unwrap_err().files)).unwrap();
    replace(&main, &text);
    assert_eq!(next(), [main]);
    // What is refused is not read over and over.
    fs::write(at("tables/.new"), b"\xff\n").unwrap();
    fs::rename(at("tables/.new"), at("tables/new.json")).unwrap();
    assert_eq!(next(), [at("tables/new.json")]);
    let file = fs::File::options().write(true).open(at("tables/new.json")).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, b"\n", postern_config::LARGEST).unwrap(); // a hole before it
    assert_eq!(told.recv_timeout(QUIET), Err(RecvTimeoutError::Timeout));
}

#[test]
fn a_named_file_that_is_written_in_place_is_read_in_the_end() {
    let directory = tempfile::tempdir().unwrap();
    let key_file = directory.path().join("one.key");
    fs::write(&key_file, "one\n").unwrap();
    fs::write(directory.path().join("postern.toml"), "[server]\npoll = '1h'\n[api]\nkey-file = 'one.key'\n").unwrap();
    let (watch, told) = follow(directory.path(), |_, _| ());
    for text in ["more than before\n", "less\n", "no line end", "", "one\n"] {
        fs::write(&key_file, text).unwrap();
        // Where this process stands still between emptying and writing, what is told first may be that it is empty.
        let (path, read) = (key_file.clone(), Some(postern_config::fingerprint(text.as_bytes())));
        let is_read = move |store: &mut Store| store.beside().iter().any(|file| file.path == path && file.fingerprint == read);
        while !watch.with_store(is_read.clone()).unwrap() {
            assert_eq!(told.recv_timeout(DEADLINE).as_deref(), Ok(&[key_file.clone()][..]), "{text:?}");
        }
    }
}

#[test]
fn files_that_change_together_are_one_change() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    let turn = |directory: &Path, to: &str| {
        std::os::unix::fs::symlink(to, directory.join("next")).unwrap();
        fs::rename(directory.join("next"), directory.join("now")).unwrap();
    };
    fs::write(at("postern.toml"), "[server]\npoll = '1h'\n[api]\ncertificate = 'now/a.pem'\nprivate-key = 'now/b.pem'\n").unwrap();
    for version in ["one", "two"] {
        fs::create_dir(at(version)).unwrap();
        ["a.pem", "b.pem"].iter().for_each(|name| fs::write(at(version).join(name), format!("{version}\n")).unwrap());
    }
    turn(directory.path(), "one");
    let (watch, told) = follow(directory.path(), |_, _| ());
    let path = directory.path().to_path_buf();
    watch.with_store(move |_| turn(&path, "two")).unwrap(); // between two looks
    assert_eq!(told.recv_timeout(DEADLINE).unwrap(), [at("now/a.pem"), at("now/b.pem")]);
    assert_eq!(told.recv_timeout(QUIET), Err(RecvTimeoutError::Timeout));
}

#[test]
fn a_flood_of_events_is_survived() {
    let site = Site::new(plain);
    let end = Instant::now() + Duration::from_millis(500);
    let mut number = 0;
    while Instant::now() < end {
        number += 1;
        site.write(&format!("zones/noise{}", number % 100), "x");
    }
    site.write("zones/contoso.test.zone", &record(7));
    site.wait("www.contoso.test", 7);
}

#[test]
fn a_file_that_is_written_on_and_on_holds_back_no_other() {
    let site = Site::new(plain);
    let path = site.path("zones/contoso.test.zone");
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut file = fs::OpenOptions::new().append(true).open(path).unwrap();
            let end = Instant::now() + DEADLINE;
            while !over.load(Ordering::Relaxed) && Instant::now() < end {
                io::Write::write_all(&mut file, b"; more to come\n").unwrap();
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        for last in 2..5 {
            site.write("exports/fabrikam.zone", &record(last));
            site.wait("www.fabrikam.test", last);
        }
        over.store(true, Ordering::Relaxed);
    });
    site.write("zones/contoso.test.zone", &record(2));
    site.wait("www.contoso.test", 2);
}

#[test]
fn only_names_that_matter_wake_the_thread() {
    let directory = tempfile::tempdir().unwrap();
    let root = fs::canonicalize(directory.path()).unwrap();
    plain(&root);
    fs::create_dir(root.join("real")).unwrap();
    std::os::unix::fs::symlink("real", root.join("link")).unwrap();
    let mut interests = Interests::default();
    for path in ["zones", "exports/fabrikam.zone", "link/inner/file"] {
        interests.add(&root.join(path));
    }
    for (path, concerns) in [
        ("zones/anything", true),
        ("zones", true),
        ("exports/fabrikam.zone", true),
        ("exports/other", false),
        ("link", true),
        ("real/inner", true),
        ("real/other", false),
        ("other", false),
    ] {
        assert_eq!(interests.concerns(&root.join(path)), concerns, "{path}");
    }
}
