//! Hot reload on the real program: each way in which files come to change. Polling is off (once an hour) unless it is what is tested, so
//! what is seen was seen by events; what has no event is seen by the poll or by SIGHUP alone.

mod accept;
mod configuration;
mod data;
#[path = "../harness/mod.rs"]
mod harness;
mod restart;
mod sources;
mod transfers;
mod unread;
mod writers;

use std::cell::Cell;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use harness::{Server, Systemd, field, postern, write_files};
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
        let is_its = |line: &String| line.contains("zone changed") && number(line, "generation") >= self.generation;
        assert!(!log.iter().any(is_its), "{}", log.join("\n"));
    }
}

fn number(line: &str, key: &str) -> u64 {
    field(line, key).and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("no {key} in {line}"))
}
