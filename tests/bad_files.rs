//! Files that are wrong, given to the real program: what `postern check` says of them, what a server that starts with them does, and what
//! one does that had good ones before.

mod harness;

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use harness::{Server, postern, run, write_files};
use hickory_proto::rr::RecordType::A;
use hickory_proto::rr::rdata::opt::EdnsOption;
use postern_lab::{LabScenario, LabServer};
use serde_json::json;
use tempfile::TempDir;

/// A kind of source: the file to spoil, the name that it gives an address, and its good content, with `ADDRESS` where the address stands.
struct Kind {
    file: &'static str,
    name: &'static str,
    good: &'static str,
    /// What it is spoilt to, and what is said of it behind the file's name.
    bad: &'static [(&'static [u8], &'static str)],
}

/// Ways in which a file goes wrong at all; the longer tables of messages stand beside the readers in `zones/src/text`.
#[rustfmt::skip]
const KINDS: &[Kind] = &[
    Kind {
        file: "a.zone",
        name: "www.a.contoso.test",
        good: "$TTL 10\nwww A ADDRESS\n",
        bad: &[
            (b"$TTL 10\nwww A 10.20.1.\n", ":2:7: error: `10.20.1.` is not an IPv4 address help: four numbers from 0 to 255 are expected, as in 10.20.1.4"),
            (b"www 10 IN\n", ":1:8: error: the record ends before its type help: `owner [TTL] [IN] TYPE data` is expected; the same owner again is a space in the first column"),
            (b"www AAAAA ::1\n", ":1:5: error: unknown type `AAAAA` help: did you mean AAAA?"),
            (b"www 10 CH A 10.20.1.5\n", ":1:8: error: class CH is not served help: only IN is"),
            (b"w..w A 10.20.1.5\n", ":1:1: error: `w..w` is not a name: empty label"),
            (b"www A 10.20.1.5 10.20.1.6\n", ":1:17: error: `10.20.1.6` is more than A has room for help: one address a record; give each its own line"),
            (b"www MX 10\n", ":1:5: error: the exchange of MX is missing"),
            (b"www TXT \"x\n", ":1:9: error: the quoted string that opens here is not closed on its line help: put `\"` at its end; a quote inside it is written `\\\"`"),
            (b"@ SOA a b ( 1 2 3\n", ":1:11: error: `(` is never closed help: put `)` behind the record's last field"),
            (b"@ SOA a b 1 2 3 4 5\n@ SOA a b 2 2 3 4 5\n", ":2:1: error: a second SOA (the first is in line 1) help: a zone has one SOA"),
            (b"www A 10.20.1.5\nwww CNAME x\n", ":2:1: error: CNAME beside other data: www.a.contoso.test also has A (line 1) help: a CNAME stands alone: remove it or the other records"),
            (b"www.b.contoso.test. A 10.20.1.5\n", ":1:1: error: no record of this file lies in the zone a.contoso.test: www.b.contoso.test (line 1) help: is it the file of another zone? A name without a final dot is relative to the origin"),
            (b"$TTL soon\n", ":1:6: error: `soon` is not a TTL help: seconds are expected, or units as in `1h30m`"),
            (b"$GENERATE 1-x h$ A 10.20.1.5\n", ":1:11: error: `1-x` is not a range help: `start-stop` or `start-stop/step` is expected"),
            (b"$INCLUDE none.inc\n", ":1:10: error: `none.inc` cannot be read: no such file help: the file is looked for beside the one that includes it"),
            (b"\0\x01\xff\n", ":1:1: error: a NUL byte help: save the file as plain text in UTF-8; a NUL octet in a string is written `\\000`"),
        ],
    },
    Kind {
        file: "parts/b.inc",
        name: "www.b.contoso.test",
        good: "www 10 A ADDRESS\n",
        bad: &[
            (b"; a comment\nwww 10 A 10.20.1.300\n", ":2:10: error: `10.20.1.300` is not an IPv4 address help: four numbers from 0 to 255 are expected, as in 10.20.1.4"),
            (b"$INCLUDE b.inc\n", ":1:10: error: `b.inc` includes itself"),
            (b"$INCLUDE ../../b.inc\n", ":1:10: error: `../../b.inc` cannot be read: no such file help: the file is looked for beside the one that includes it"),
        ],
    },
    Kind {
        file: "c.hosts",
        name: "www.c.contoso.test",
        good: "ADDRESS www.c.contoso.test\n",
        bad: &[
            (b"# a comment\n10.20.1 www.c.contoso.test\n", ":2:1: error: `10.20.1` is not an IP address help: a line is `address name…`; a comment begins with `#`"),
            (b"10.20.1.5\n", ":1:1: error: `10.20.1.5` has no name help: a line is `address name…`"),
            (b"10.20.1.5 www..c\n", ":1:11: error: `www..c` is not a name: empty label"),
            (b"www.c.contoso.test 10.20.1.5\n", ":1:1: error: `www.c.contoso.test` is not an IP address help: a line is `address name…`; a comment begins with `#`"),
            (b"fe80::1%eth0 www.c.contoso.test\n", ":1:1: error: `fe80::1%eth0` is not an IP address help: an address with `%` is valid on one machine alone"),
            (b"\0\x01\n", ":1:1: error: `\\u{0}\\u{1}` is not an IP address help: a line is `address name…`; a comment begins with `#`"),
        ],
    },
    Kind {
        file: "d.json",
        name: "contosostorea.privatelink.blob.core.windows.net",
        good: "[{\"fqdn\": \"contosostorea.blob.core.windows.net\", \"ipAddresses\": [\"ADDRESS\"]}]\n",
        bad: &[
            (b"", ":1:1: error: the file ends where a value is expected help: it was written in part only"),
            (b"[{\"fqdn\": \"contosostorea.blob.core.windows.net\",\n", ":2:1: error: the file ends where a name between `\"` is expected help: it was written in part only"),
            (b"[\n {\"fqdn\": \"contosostorea.blob.core.windows.net\", \"ipAddresses\": [\"10.20.1\"]}]\n", ":2:66: error: `10.20.1` is not an IP address"),
            (b"[{\"fqdn\": \"contosostorea.blob.core.windows.net\", \"ipAddresses\": []}]\n", ":1:11: error: `contosostorea.blob.core.windows.net` has no address"),
            (b"[{\"fqdn\": 7, \"ipAddresses\": [\"10.20.1.5\"]}]\n", ":1:11: error: `fqdn` is a number where a name is expected"),
            (b"{\"customDnsConfigs\": [\"@{Fqdn=x}\"]}\n", ":1:23: error: `customDnsConfigs[]` is a string where an object is expected help: PowerShell cut it off: use `ConvertTo-Json -Depth 20`"),
            (b"{\"customDnsConfigs\": []}\n", ":1:22: error: the private endpoint lists no names: `customDnsConfigs` is empty help: with a DNS zone group the names are in `az network private-endpoint dns-zone-group list`; `az network nic show` of the endpoint's interface has names and addresses in any case"),
            (b"{\"error\": \"AuthorizationFailed\"}\n", ":1:1: error: no private endpoint, DNS zone group, network interface, record set or network link in it help: what `az network private-endpoint show`, `… dns-zone-group list`, `az network nic show` and `az network private-dns record-set list` print is expected"),
            (b"[{\"customDnsConfigs\": [],}]\n", ":1:26: error: `}` where a name between `\"` is expected help: a comma before `}` is one too many"),
            (b"<html>\n", ":1:1: error: `<` where a value is expected"),
        ],
    },
    Kind {
        file: "zones/privatelink.dicom.azurehealthcareapis.com.zone",
        name: "contosows-dicom1.privatelink.dicom.azurehealthcareapis.com",
        good: "contosows-dicom1 10 IN A ADDRESS\n",
        bad: &[
            (b"\n\n  A 10.20.1.5\n", ":3:3: error: the first record has no owner help: an owner stands in the first column; `@` is the origin"),
            (b"\xff\xfew\0w\0", ":1:1: error: the record ends before its type help: `owner [TTL] [IN] TYPE data` is expected; the same owner again is a space in the first column"),
        ],
    },
    Kind {
        file: "zones/e.json",
        name: "contosows-fhir1.fhir.privatelink.azurehealthcareapis.com",
        good: "{\"customDnsConfigs\": [{\"fqdn\": \"contosows-fhir1.fhir.azurehealthcareapis.com\", \"ipAddresses\": [\"ADDRESS\"]}]}\n",
        bad: &[
            (b"{\"customDnsConfigs\": [{\"fqdn\": \"contosows-fhir1.fhir.azurehealthcareapis.com\", \"ipAddresses\": 10}]}\n", ":1:95: error: `ipAddresses` is a number where a list of addresses is expected"),
            (b"{\"customDnsConfigs\"\n", ":2:1: error: the file ends where `:` is expected help: it was written in part only"),
        ],
    },
];

impl Kind {
    fn good(&self, address: &str) -> String {
        self.good.replace("ADDRESS", address)
    }
}

/// The lines that [`CONFIGS`] names are counted from here.
const CONFIG: &str = "[server]
listen = ['127.0.0.1:0']
settle = '1ms'
[[zone]]
name = 'a.contoso.test'
file = 'a.zone'
[[forward]]
zone = '.'
upstreams = ['UPSTREAM']
timeout = '5s'
[[zone]]
preset = 'azure-health-data-services'
directory = 'zones'
[cache]
size = '1MiB'
";

const OTHER_ZONES: &str = "[[zone]]
name = 'b.contoso.test'
file = 'b.zone'
[[zone]]
name = 'c.contoso.test'
file = 'c.hosts'
[[zone]]
name = 'privatelink.blob.core.windows.net'
file = 'd.json'
[[zone]]
name = 'rest.contoso.test'
file = 'rest.zone'
[limits]
query-deadline = '30s'
";

/// A directory with every source good, under addresses that end in 5, and who answers for the rest.
struct World {
    directory: TempDir,
    public: LabServer,
}

impl World {
    fn new() -> Self {
        let public = LabServer::start(LabScenario::azure(), "127.0.0.1:0".parse().unwrap()).unwrap();
        let world = Self { directory: tempfile::tempdir().unwrap(), public };
        world.write("postern.toml", world.config());
        world.write("b.zone", "$INCLUDE parts/b.inc\n");
        world.write("rest.zone", "www 10 A 10.20.1.5\n");
        for kind in KINDS {
            world.write(kind.file, kind.good("10.20.1.5"));
        }
        world
    }

    fn config(&self) -> String {
        format!("{}{OTHER_ZONES}", CONFIG.replace("UPSTREAM", &self.public.address().to_string()))
    }

    fn path(&self, file: &str) -> PathBuf {
        self.directory.path().join(file)
    }

    /// Puts it there at once, as an editor does that renames: what is written in pieces is another matter.
    fn write(&self, file: &str, content: impl AsRef<[u8]>) {
        let path = self.path(file);
        let new = path.with_file_name(".new");
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&new, content).unwrap();
        std::fs::rename(&new, &path).unwrap();
    }

    fn run(&self, command: &[&str]) -> Output {
        run(&[command, &["-c", self.path("postern.toml").to_str().unwrap()]].concat())
    }

    fn serve(&self) -> Server {
        Server::spawn(postern(&["serve", "-c", self.path("postern.toml").to_str().unwrap()]), self.directory.path().into(), None)
    }

    /// A problem as it is printed.
    fn said(&self, file: &str, message: &str) -> String {
        format!("{}{message}", self.path(file).display())
    }
}

fn text(octets: &[u8]) -> String {
    String::from_utf8(octets.to_vec()).unwrap()
}

/// Everything that is not spoilt is served: the sources but one, and what is forwarded.
fn the_rest_serves(server: &Server, but: &[&str]) {
    for kind in KINDS.iter().filter(|kind| !but.contains(&kind.file)) {
        assert_eq!(server.short(kind.name, A), ["10.20.1.5"], "{}", kind.name);
    }
    assert_eq!(server.short("www.contoso.test", A), ["203.0.113.80"]);
}

#[test]
fn check_tells_each_bad_source_with_its_place() {
    let world = World::new();
    let good = world.run(&["check"]);
    assert_eq!(good.status.code(), Some(0), "{}", text(&good.stdout));
    assert!(text(&good.stdout).ends_with("postern.toml: fine (1 network, 9 zones, 1 route)\n"), "{}", text(&good.stdout));
    for kind in KINDS {
        for (bad, message) in kind.bad {
            world.write(kind.file, bad);
            let output = world.run(&["check", "--quiet"]);
            let (said, problem) = (text(&output.stdout), world.said(kind.file, message));
            let lines: Vec<&str> = said.lines().collect();
            assert_eq!(lines[..lines.len() - 1], [problem.as_str()], "{}", bad.escape_ascii());
            assert!(lines.last().is_some_and(|last| last.contains("postern.toml: 1 error (")), "{said}");
            assert_eq!((output.status.code(), text(&output.stderr).as_str()), (Some(1), ""));
        }
        world.write(kind.file, kind.good("10.20.1.5"));
    }
}

#[test]
fn a_server_that_starts_with_bad_sources_fails_for_their_zones_alone() {
    for round in 0..KINDS.iter().map(|kind| kind.bad.len()).max().unwrap() {
        let world = World::new();
        let bad = |kind: &'static Kind| kind.bad[round % kind.bad.len()];
        for kind in KINDS {
            world.write(kind.file, bad(kind).0);
        }
        if round == 0 {
            let strict = world.run(&["serve", "--strict"]);
            assert_eq!(strict.status.code(), Some(1));
            assert!(text(&strict.stderr).ends_with("error: not started: the source of a zone is bad, and strict mode is on\n"));
        }
        let server = world.serve();
        for kind in KINDS {
            server.logged(&["ERROR", &world.said(kind.file, bad(kind).1)]);
            let answer = server.ask(kind.name, A);
            assert_eq!(harness::short(&answer), ["SERVFAIL"], "{}", kind.name);
            let edns = answer.edns.expect("OPT for a client that sent one");
            let not_ready = |option: &EdnsOption| matches!(option, EdnsOption::Unknown(15, data) if data[..2] == [0, 14]); // RFC 8914
            assert!(edns.options().as_ref().iter().any(|(_, option)| not_ready(option)), "{}: {edns:?}", kind.name);
        }
        assert_eq!(server.short("www.rest.contoso.test", A), ["10.20.1.5"]);
        assert_eq!(server.short("www.contoso.test", A), ["203.0.113.80"]);
        // All first: a zone of the directory waits for the file that the others share.
        KINDS.iter().for_each(|kind| world.write(kind.file, kind.good("10.20.1.5")));
        for kind in KINDS {
            server.becomes(kind.name, A, &["10.20.1.5"]);
        }
        the_rest_serves(&server, &[]);
    }
}

#[test]
fn a_source_that_turns_bad_changes_nothing_and_holds_back_no_other() {
    let world = World::new();
    let server = world.serve();
    the_rest_serves(&server, &[]);
    let mut other = 0;
    for kind in KINDS {
        for (bad, message) in kind.bad {
            let seen = server.log().len();
            world.write(kind.file, bad);
            other += 1;
            let address = format!("10.20.2.{other}");
            world.write("rest.zone", format!("www 10 A {address}\n"));
            server.logged_after(seen, &["ERROR", &world.said(kind.file, message)]);
            server.logged_after(seen, &["ERROR", "keeping the last good data: "]);
            server.becomes("www.rest.contoso.test", A, &[&address]);
            the_rest_serves(&server, &[]);
        }
        // Good again, with another address.
        world.write(kind.file, kind.good("10.20.1.55"));
        server.becomes(kind.name, A, &["10.20.1.55"]);
        the_rest_serves(&server, &[kind.file]);
        world.write(kind.file, kind.good("10.20.1.5"));
        server.becomes(kind.name, A, &["10.20.1.5"]);
    }
}

/// No content, so no line in it: what is said names the file, or the `[[zone]]` that wants it.
#[test]
fn a_source_that_is_no_file_is_told() {
    let world = World::new();
    let path = world.path("a.zone");
    type Make = fn(&Path);
    let ways: [(Make, &str); 4] = [
        (|_| (), "no such file"),
        (|path| std::fs::create_dir(path).unwrap(), "not a file"),
        (|path| std::os::unix::fs::symlink("nowhere", path).unwrap(), "no such file"),
        (|path| std::os::unix::fs::symlink("a.zone", path).unwrap(), "Too many levels of symbolic links (os error 40)"),
    ];
    for (make, why) in ways {
        let _ = std::fs::remove_dir_all(world.path("state")); // otherwise what the last round kept serves
        std::fs::remove_file(&path).unwrap();
        let _ = std::fs::remove_dir_all(world.path("state")); // without it nothing good is kept from the way before
        make(&path);
        let said = text(&world.run(&["check", "-q"]).stdout);
        let want = world.said("postern.toml", &format!(":4:1: error: a.contoso.test would have no data: {}: {why}\n", path.display()));
        assert!(said.starts_with(&want), "{said}");
        let server = world.serve();
        server.logged(&["ERROR", "zone has no data: ", &format!("{}: {why}", path.display())]);
        assert_eq!(server.short(KINDS[0].name, A), ["SERVFAIL"]);
        the_rest_serves(&server, &["a.zone"]);
        let _ = if path.is_dir() { std::fs::remove_dir(&path) } else { std::fs::remove_file(&path) };
        world.write("a.zone", KINDS[0].good("10.20.1.5"));
        server.becomes(KINDS[0].name, A, &["10.20.1.5"]);
    }
}

/// What the good configuration's `from` is changed to, and what is said.
#[rustfmt::skip]
const CONFIGS: &[(&str, &[u8], &[&str])] = &[
    ("[server]", b"[server", &[":1:8: error: TOML: unclosed table, expected `]`"]),
    ("[server]", b"[server]\n[server]", &[":2:2: error: duplicate key `server` help: keep one of them"]),
    ("[server]", b"[sever]", &[":1:2: error: unknown section `sever` help: did you mean `[server]`?"]),
    ("'127.0.0.1:0'", b"'127.0.0.1:99999'", &[":2:11: error: `127.0.0.1:99999` is not an address to listen on help: write, for example, `listen = [\"0.0.0.0:53\", \"[::]:53\"]`"]),
    ("'1ms'", b"1ms", &[":3:10: error: TOML: `1ms` is a string without quotes help: write `\"1ms\"`"]),
    ("'1ms'", b"'\xff'", &[":3:11: error: not UTF-8 text help: save the file as UTF-8"]),
    ("name = 'a.contoso.test'", b"name = 'a..contoso.test'", &[":5:8: error: `a..contoso.test` is not a domain name: it has an empty label help: write, for example, `name = \"privatelink.blob.core.windows.net\"`"]),
    ("name = 'b.contoso.test'", b"name = 'a.contoso.test'", &[":17:8: error: zone `a.contoso.test` is linked to network `default` already, in line 4 help: a `[[zone]]` without `network` is linked to all networks: set `network` for each"]),
    ("size = '1MiB'", b"sise = '1MiB'\nstale = '1w'", &[
        ":15:1: error: unknown key `sise` in `[cache]` help: did you mean `size`?",
        ":16:9: error: `stale` must be a time from 1s to 7d (0: never), found `1w` help: write a whole number and one of ms, s, m, h, d, such as `stale = \"1d\"`",
    ]),
    ("'1MiB'", b"'lots'", &[":15:8: error: `size` must be a size from 1MiB to 1TiB (0: no cache), found `lots` help: write a whole number and one of B, KiB, MiB, GiB, TiB, such as `size = \"64MiB\"`"]),
    ("settle", b"zone-table = 't.json'\nsettle", &["t.json:1:1: error: not a JSON list of rows: EOF while parsing a list help: the shape is that of the built-in table"]),
];

/// The lines that are expected of a case of [`CONFIGS`]: a file of its own is named, else it is the configuration.
fn lines(world: &World, said: &[&str]) -> Vec<String> {
    said.iter().map(|said| world.said(if said.starts_with(':') { "postern.toml" } else { "" }, said)).collect()
}

fn spoil(good: &str, from: &str, to: &[u8]) -> Vec<u8> {
    let at = good.find(from).expect("it stands in the configuration");
    [&good.as_bytes()[..at], to, &good.as_bytes()[at + from.len()..]].concat()
}

#[test]
fn a_bad_configuration_is_told_whole_and_nothing_starts_with_it() {
    let world = World::new();
    world.write("t.json", "[");
    for (from, to, said) in CONFIGS {
        world.write("postern.toml", spoil(&world.config(), from, to));
        let want = lines(&world, said);
        let check = world.run(&["check"]);
        let last =
            world.said("postern.toml", &format!(": {} error{} (zones were not read)", want.len(), if want.len() == 1 { "" } else { "s" }));
        assert_eq!(text(&check.stdout).lines().collect::<Vec<_>>(), [&want[..], &[last]].concat(), "{}", to.escape_ascii());
        let serve = world.run(&["serve"]);
        assert_eq!(text(&serve.stderr).lines().collect::<Vec<_>>(), [&want[..], &["error: not started".into()]].concat());
        assert_eq!((check.status.code(), serve.status.code()), (Some(1), Some(1)));
    }
}

#[test]
fn a_configuration_that_turns_bad_changes_nothing() {
    let world = World::new();
    world.write("t.json", "[");
    let server = world.serve();
    for (number, (from, to, said)) in CONFIGS.iter().enumerate() {
        let seen = server.log().len();
        world.write("postern.toml", spoil(&world.config(), from, to));
        for line in lines(&world, said) {
            server.logged_after(seen, &["ERROR", &line]);
        }
        server.logged_after(seen, &["ERROR", "reload rejected, keeping the current configuration: ", &lines(&world, said)[0]]);
        the_rest_serves(&server, &[]);
        // Sources are still watched.
        let address = format!("10.20.2.{number}");
        world.write("rest.zone", format!("www 10 A {address}\n"));
        server.becomes("www.rest.contoso.test", A, &[&address]);
        // A good one is taken.
        world.write("more.zone", format!("www 10 A {address}\n"));
        world.write("postern.toml", format!("{}[[zone]]\nname = 'more{number}.contoso.test'\nfile = 'more.zone'\n", world.config()));
        server.becomes(&format!("www.more{number}.contoso.test"), A, &[&address]);
    }
}

/// Emptied now, written a moment later: as good as a file in between, as it has no errors, but no zone either.
#[test]
fn a_configuration_that_is_being_written_is_waited_for() {
    let world = World::new();
    world.write("postern.toml", world.config().replace("'1ms'", "'600ms'"));
    let server = world.serve();
    let (path, config) = (world.path("postern.toml"), std::fs::read(world.path("postern.toml")).unwrap());
    let seen = server.log().len();
    for part in [0, config.iter().rposition(|octet| *octet == b'[').unwrap() - 1] {
        std::fs::write(&path, &config[..part]).unwrap();
        std::thread::sleep(Duration::from_millis(900)); // a whole one must stand still for less, one that looks cut for ten times that
        the_rest_serves(&server, &[]);
    }
    std::fs::write(&path, [&config, &b"[[zone]]\nname = 'last.contoso.test'\nfile = 'rest.zone'\n"[..]].concat()).unwrap();
    server.becomes("www.last.contoso.test", A, &["10.20.1.5"]);
    let log = &server.log()[seen..];
    assert!(!log.iter().any(|line| line.contains("zone removed")), "{}", log.join("\n"));
    // What stays short is meant so.
    std::fs::write(&path, &config).unwrap();
    server.logged_after(seen, &["zone removed", "last.contoso.test"]);
}

#[test]
fn check_exits_0_1_or_2_and_prints_the_same_as_json() {
    let world = World::new();
    let config = world.path("postern.toml");
    let warns = format!("{}[[forward]]\nzone = 'x.contoso.test'\nupstreams = ['192.0.2.53', '192.0.2.53']\n", world.config());
    let warning = json!({
        "file": config, "line": 32, "column": 28, "severity": "warning",
        "message": "the upstream 192.0.2.53:53 is listed twice", "help": "remove one",
    });
    let bad_zone = json!({
        "file": world.path("a.zone"), "line": 1, "column": 7, "severity": "error", "message": "`x` is not an IPv4 address",
        "help": "four numbers from 0 to 255 are expected, as in 10.20.1.4",
    });
    let missing = json!({
        "file": config, "line": 0, "column": 0, "severity": "error",
        "message": "cannot read the configuration: No such file or directory (os error 2)",
        "help": "`postern schema --format toml` prints a file to begin with",
    });
    for (what, content, zone, errors, warnings, problems, status, strict) in [
        ("fine", Some(world.config()), "www A 10.20.1.5\n", 0, 0, vec![], 0, 0),
        ("a warning", Some(warns.clone()), "www A 10.20.1.5\n", 0, 1, vec![warning.clone()], 0, 2),
        ("an error", Some(world.config()), "www A x\n", 1, 0, vec![bad_zone.clone()], 1, 1),
        ("both", Some(warns), "www A x\n", 1, 1, vec![warning, bad_zone], 1, 1),
        ("no file", None, "", 1, 0, vec![missing], 1, 1),
    ] {
        world.write("a.zone", zone);
        match content {
            Some(content) => world.write("postern.toml", content),
            None => std::fs::remove_file(&config).unwrap(),
        }
        let told = json!({"file": config, "errors": errors, "warnings": warnings, "problems": problems});
        for (more, code) in [(&[][..], status), (&["--strict"], strict)] {
            let human = world.run(&[&["check", "--quiet"], more].concat());
            let json = world.run(&[&["check", "--format", "json"], more].concat());
            assert_eq!((human.status.code(), json.status.code()), (Some(code), Some(code)), "{what} {more:?}");
            let mut json = serde_json::from_slice::<serde_json::Value>(&json.stdout).unwrap();
            let zones = json.as_object_mut().unwrap().remove("zones").unwrap();
            let a = json!({"name": "a.contoso.test", "networks": [], "records": 1, "files": ["a.zone"]});
            assert_eq!(zones.get(0) == Some(&a), errors == 0, "{what}: {zones}");
            assert_eq!(json, told, "{what}");
            assert_eq!(text(&human.stdout).lines().count(), problems.len() + 1, "{what}: {}", text(&human.stdout));
        }
    }
}

#[test]
fn check_keeps_its_status_when_nobody_reads_on() {
    let world = World::new();
    for (zone, code) in [("www A 10.20.1.5\n".to_owned(), 0), ("www A x\n".repeat(1000), 1)] {
        world.write("a.zone", zone);
        let mut command = postern(&["check", "-c", world.path("postern.toml").to_str().unwrap()]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert_eq!((output.status.code(), text(&output.stderr).as_str()), (Some(code), ""));
    }
}

#[test]
fn a_zone_that_the_memory_limit_has_no_room_for_is_an_error_of_that_zone_alone() {
    let directory = tempfile::tempdir().unwrap();
    let large: String = (0..400_000).map(|number| format!("h{number:06} A 10.1.1.1\n")).collect();
    let zone = |name: &str| format!("[[zone]]\nname = '{name}.test'\nfile = '{name}.zone'\n");
    let config = format!("{}{}", zone("large"), zone("small"));
    write_files(directory.path(), &[("postern.toml", &config), ("large.zone", &large), ("small.zone", "www 60 IN A 10.0.0.1\n")]);
    let config = directory.path().join("postern.toml");
    let check = |limit: &str| {
        let mut command = std::process::Command::new("sh");
        command.args(["-c", &format!("ulimit -v {limit} && exec \"$0\" check -c \"$1\"")]);
        let output = command.arg(postern(&[]).get_program()).arg(&config).output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    assert_eq!(check("unlimited").0, Some(0));
    // The program alone takes 50 MiB of address space, and the zone as much.
    let (status, told) = check("90000");
    assert_eq!(status, Some(1), "it neither ends nor takes what is there of the zone: {told}");
    let told_of = |words: &str| told.lines().any(|line| line.contains(words));
    assert!(told_of(&format!("large.zone: error: the file has {} bytes: about ", large.len())), "{told}");
    assert!(told_of("`ulimit -v`, 87 MiB"), "{told}");
    assert!(told.lines().any(|line| line.starts_with("small.test ") && line.contains(" 1 ")), "{told}");
}
