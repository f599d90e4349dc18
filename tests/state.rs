//! The state directory of the real program: whose it is, and what becomes of its content when something happens to it.

mod harness;

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use harness::{Server, eventually, postern, run, write_files};
use hickory_proto::rr::RecordType;
use serde_json::json;

const ZONE: &str = "[[zone]]\nname = 'contoso.test'\napi = true\non-missing = 'nxdomain'\n";

fn config(server: &str) -> String {
    format!("[server]\nlisten = ['127.0.0.1:0']\n{server}{ZONE}")
}

/// Sets an address through the API; gives the status.
fn set(server: &Server, name: &str, address: &str) -> u16 {
    let body = json!({"ttl": 10, "records": [address]}).to_string();
    let path = format!("/v1/zones/contoso.test/rrsets/{name}/A");
    server.local_api().raw("PUT", &path, &[("Content-Type", "application/json")], &body).expect("an answer").status
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}

#[test]
fn a_second_server_on_a_state_directory_refuses_to_start_and_names_the_first() {
    let mut server = Server::with(&[("postern.toml", &config(""))]);
    assert_eq!(set(&server, "a", "10.1.2.3"), 200);
    write_files(server.path(), &[("second.toml", &config(""))]);
    let second = server.file("second.toml");
    let refused = run(&["serve", "-c", second.to_str().unwrap()]);
    let told = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success());
    let want = format!("error: state directory {} is in use by another server (process {})", server.file("state").display(), server.pid());
    assert!(told.contains(&want) && told.contains("help: "), "{told}");
    let checked = run(&["check", "-c", second.to_str().unwrap()]);
    assert!(checked.status.success(), "{checked:?}");
    assert_eq!(set(&server, "b", "10.1.2.4"), 200, "the first one serves on");
    // Whatever way it ends, nothing is left to clear away.
    server.kill();
    let again = Server::spawn(postern(&["serve", "-c", second.to_str().unwrap()]), server.path().to_path_buf(), None);
    assert_eq!([again.short("a.contoso.test", RecordType::A), again.short("b.contoso.test", RecordType::A)], [["10.1.2.3"], ["10.1.2.4"]]);
}

/// Starts as root with `user`, changes the zone, and starts again.
fn serves_as(directory: &Path, user: u32) {
    for address in ["10.1.2.3", "10.1.2.4"] {
        let config = directory.join("postern.toml");
        let mut server = Server::spawn(postern(&["serve", "-c", config.to_str().unwrap()]), directory.to_path_buf(), None);
        assert_eq!(set(&server, "a", address), 200);
        assert_eq!(server.short("a.contoso.test", RecordType::A), [address]);
        server.kill();
    }
    for name in ["state", "state/lock", "state/zones", "state/zones/contoso.test.journal"] {
        assert_eq!(fs::metadata(directory.join(name)).unwrap().uid(), user, "{name}");
    }
}

#[test]
fn the_state_directory_belongs_to_the_user_that_the_server_becomes() {
    if !is_root() {
        return eprintln!("left out: only root becomes another user");
    }
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), Permissions::from_mode(0o755)).unwrap();
    write_files(directory.path(), &[("postern.toml", &config("user = '65534'\n"))]);
    serves_as(directory.path(), 65534);
    assert_eq!(fs::metadata(directory.path().join("state")).unwrap().mode() & 0o777, 0o710);
    // One that a server made which ran as root is handed over.
    fs::remove_dir_all(directory.path().join("state")).unwrap();
    write_files(directory.path(), &[("postern.toml", &config(""))]);
    serves_as(directory.path(), 0);
    write_files(directory.path(), &[("postern.toml", &config("user = '65534'\n"))]);
    serves_as(directory.path(), 65534);
    // A directory that is not ours is left alone, and the log says what to do.
    fs::remove_dir_all(directory.path().join("state")).unwrap();
    write_files(directory.path(), &[("state/passwd", "")]);
    fs::set_permissions(directory.path().join("state"), Permissions::from_mode(0o755)).unwrap();
    let path = directory.path().join("postern.toml");
    let server = Server::spawn(postern(&["serve", "-c", path.to_str().unwrap()]), directory.path().to_path_buf(), None);
    server.logged(&["the state directory cannot be written", "state: Permission denied"]);
    assert_eq!(fs::metadata(directory.path().join("state/passwd")).unwrap().uid(), 0);
    assert_eq!(server.short("contoso.test", RecordType::SOA), ["SERVFAIL"]);
    let mut stopped = server;
    stopped.signal("TERM");
    eventually("it stops", || Some(stopped.wait()));
}

/// The journal of the zone.
const JOURNAL: &str = "state/zones/contoso.test.journal";

fn again(server: &Server) -> Server {
    let config = server.file("postern.toml");
    Server::spawn(postern(&["serve", "-c", config.to_str().unwrap()]), server.path().to_path_buf(), None)
}

/// `/ready?strict` and what it lists.
fn ready(server: &Server) -> (u16, String) {
    let line = server.logged(&["postern: metrics", "address="]);
    let address = line.split("address=").nth(1).unwrap().split_whitespace().next().unwrap().parse().unwrap();
    let reply = harness::http::Http::tcp(address, None).get("/ready?strict");
    (reply.status, reply.body)
}

fn metric(server: &Server, name: &str) -> String {
    let line = server.logged(&["postern: metrics", "address="]);
    let address = line.split("address=").nth(1).unwrap().split_whitespace().next().unwrap().parse().unwrap();
    let page = harness::http::Http::tcp(address, None).get("/metrics").body;
    let line = page.lines().find(|line| line.starts_with(&format!("{name} "))).expect("the metric");
    line.rsplit_once(' ').unwrap().1.to_owned()
}

const METRICS: &str = "[metrics]\nlisten = '127.0.0.1:0'\n";
/// Over TCP: the UNIX socket goes with the state directory.
const TCP: &str = "[api]\nlisten = '127.0.0.1:0'\n";

fn set_over_tcp(server: &Server, name: &str, address: &str) -> u16 {
    let body = json!({"ttl": 10, "records": [address]}).to_string();
    let path = format!("/v1/zones/contoso.test/rrsets/{name}/A");
    server.api(None).raw("PUT", &path, &[("Content-Type", "application/json")], &body).expect("an answer").status
}

#[test]
fn a_removed_state_directory_or_journal_is_written_anew_before_the_next_change_is_acknowledged() {
    let mut server = Server::with(&[("postern.toml", &format!("{}{METRICS}{TCP}", config("poll = '1h'\n")))]);
    assert_eq!(set_over_tcp(&server, "a", "10.1.2.3"), 200);
    for (number, remove) in [("b", "state"), ("c", "state/zones"), ("d", JOURNAL)] {
        let path = server.file(remove);
        if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }.unwrap();
        assert_eq!(set_over_tcp(&server, number, "10.1.2.4"), 200, "{remove}");
        server.logged(&["contoso.test.journal: journal rewritten from the served zone", "the file was removed while the server runs"]);
    }
    assert_eq!(ready(&server).0, 200);
    let config = server.file("postern.toml");
    let second = run(&["serve", "-c", config.to_str().unwrap()]);
    assert!(String::from_utf8_lossy(&second.stderr).contains("is in use by another server"), "the lock is held anew, too");
    // A file in its place is somebody's: a backup that is being restored, most likely.
    fs::copy(server.file(JOURNAL), server.file("copy")).unwrap();
    fs::rename(server.file("copy"), server.file(JOURNAL)).unwrap();
    let octets = fs::read(server.file(JOURNAL)).unwrap();
    assert_eq!(set_over_tcp(&server, "e", "10.1.2.5"), 507);
    assert_eq!(fs::read(server.file(JOURNAL)).unwrap(), octets);
    let (status, told) = ready(&server);
    assert!(status == 503 && told.contains("another file took its place while the server runs"), "{told}");
    assert_eq!(metric(&server, "postern_state_writable"), "0");
    fs::remove_file(server.file(JOURNAL)).unwrap();
    assert_eq!(set_over_tcp(&server, "e", "10.1.2.5"), 200, "moved away, it is written anew");
    assert_eq!((ready(&server).0, metric(&server, "postern_state_writable")), (200, "1".into()));
    server.kill();
    let server = again(&server);
    for (name, address) in [("a", "10.1.2.3"), ("b", "10.1.2.4"), ("c", "10.1.2.4"), ("d", "10.1.2.4"), ("e", "10.1.2.5")] {
        assert_eq!(server.short(&format!("{name}.contoso.test"), RecordType::A), [address]);
    }
}

#[test]
fn a_removed_journal_comes_back_without_a_change() {
    let mut server = Server::with(&[("postern.toml", &config("poll = '100ms'\n"))]);
    assert_eq!(set(&server, "a", "10.1.2.3"), 200);
    fs::remove_file(server.file(JOURNAL)).unwrap();
    eventually("the journal is written anew", || server.file(JOURNAL).exists().then_some(()));
    server.logged(&["contoso.test.journal: journal rewritten from the served zone"]);
    server.kill();
    assert_eq!(again(&server).short("a.contoso.test", RecordType::A), ["10.1.2.3"]);
}

#[test]
fn a_damaged_journal_is_left_as_it_is_and_its_zone_answers_servfail() {
    let mut server = Server::with(&[("postern.toml", &config(""))]);
    for number in 0..20 {
        assert_eq!(set(&server, &format!("n{number}"), "10.1.2.3"), 200);
    }
    server.kill();
    let good = fs::read(server.file(JOURNAL)).unwrap();
    let mut cut = good.clone();
    cut.truncate(good.len() - 1);
    let mut flipped = good.clone();
    *flipped.last_mut().unwrap() ^= 1;
    let mut zeroed = good.clone();
    zeroed[4096 + 512..4096 + 1024].fill(0);
    for damaged in [cut, flipped, zeroed] {
        fs::write(server.file(JOURNAL), &damaged).unwrap();
        let path = server.file(JOURNAL);
        let server = again(&server);
        server.logged(&["zone has no data", "contoso.test.journal: damaged at octet ", "postern state repair"]);
        assert_eq!(server.short("n0.contoso.test", RecordType::A), ["SERVFAIL"]);
        assert_eq!(set(&server, "n0", "10.1.2.4"), 503);
        drop(server);
        assert_eq!(fs::read(path).unwrap(), damaged);
    }
}

#[test]
fn a_zone_of_the_api_that_is_damaged_or_displaced_is_shown_and_can_be_removed() {
    let networks = "[[network]]\nname = 'hub'\nclients = ['127.0.0.0/8']\n[[network]]\nname = 'spoke'\nclients = ['10.30.0.0/16']\n";
    let both = format!("{}{networks}{METRICS}{TCP}", config(""));
    let mut server = Server::with(&[("postern.toml", &both)]);
    let json_type = [("Content-Type", "application/json")];
    let new = r#"{"name": "made.test", "networks": ["hub", "spoke"], "rrsets": [{"name": "www", "type": "A", "records": ["10.1.2.3"]}]}"#;
    assert_eq!(server.api(None).raw("POST", "/v1/zones", &json_type, new).unwrap().status, 201);
    server.kill();
    // The configuration takes one of its two networks.
    fs::write(server.file("spoke.zone"), "www 10 IN A 10.1.2.9\n").unwrap();
    let zone = "[[zone]]\nname = 'made.test'\nfile = 'spoke.zone'\nnetwork = ['spoke']\n";
    fs::write(server.file("postern.toml"), format!("{both}{zone}")).unwrap();
    let mut server = again(&server);
    assert_eq!(server.short("www.made.test", RecordType::A), ["10.1.2.3"]);
    let (status, told) = ready(&server);
    assert!(status == 503 && told.contains("zone made.test: not served in network spoke, where the configuration, line "), "{told}");
    server.kill();
    // Its journal is damaged.
    fs::write(server.file("postern.toml"), &both).unwrap();
    let journal = server.file("state/zones/made.test.journal");
    let mut octets = fs::read(&journal).unwrap();
    octets[4_200] ^= 1;
    fs::write(&journal, &octets).unwrap();
    let server = again(&server);
    assert_eq!(server.short("www.made.test", RecordType::A), ["SERVFAIL"]);
    let reply = server.api(None).send("DELETE", "/v1/zones/made.test", None);
    assert!(reply.status == 409 && reply.body.contains("damaged at octet") && reply.body.contains("discard_damaged=true"), "{reply:?}");
    assert_eq!(server.api(None).send("DELETE", "/v1/zones/made.test?discard_damaged=true", None).status, 204);
    assert_ne!(server.short("www.made.test", RecordType::A), ["SERVFAIL"]);
    assert_eq!(fs::read(server.file("state/zones/made.test.journal.removed")).unwrap(), octets);
    assert_eq!(ready(&server).0, 200);
}

/// A mount namespace with a small file system of its own, for as long as this is held.
struct SmallDisk {
    holder: std::process::Child,
    path: std::path::PathBuf,
}

impl SmallDisk {
    /// None: this user may not mount, or a program for it is missing.
    fn mount(path: &Path) -> Option<Self> {
        if !is_root() {
            eprintln!("left out: only root mounts file systems");
            return None;
        }
        fs::create_dir_all(path).unwrap();
        let script = format!("mount -t tmpfs -o size=1m tmpfs '{}' && echo mounted && exec sleep 1000", path.display());
        let holder = std::process::Command::new("unshare").args(["-m", "sh", "-c", &script]).stdout(std::process::Stdio::piped()).spawn();
        let mut holder = holder.inspect_err(|error| eprintln!("left out: unshare: {error}")).ok()?;
        let mut line = [0; 7];
        if std::io::Read::read_exact(&mut holder.stdout.as_mut().unwrap(), &mut line).is_err() {
            eprintln!("left out: no file system can be mounted here");
            return None;
        }
        Some(Self { holder, path: path.to_owned() })
    }

    /// Runs a program that sees it.
    fn command(&self, arguments: &[&str]) -> std::process::Command {
        let mut command = std::process::Command::new("nsenter");
        command.args(["-m", "-t", &self.holder.id().to_string(), "--"]).args(arguments).env_remove("POSTERN_LOG");
        command
    }

    fn sh(&self, script: &str) {
        let done = self.command(&["sh", "-c", script]).current_dir("/").output().unwrap();
        assert!(done.status.success() || script.contains("dd "), "{script}: {done:?}");
    }

    fn serve(&self, directory: &Path) -> Server {
        let (program, config) = (postern(&[]), directory.join("postern.toml"));
        let program = program.get_program().to_str().unwrap();
        Server::spawn(self.command(&[program, "serve", "-c", config.to_str().unwrap()]), directory.to_path_buf(), None)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
        let _ = &self.path;
    }
}

#[test]
fn a_full_disk_and_a_read_only_one_reject_changes_show_it_and_are_forgotten_when_they_work_again() {
    let directory = tempfile::tempdir().unwrap();
    let Some(disk) = SmallDisk::mount(&directory.path().join("state")) else { return };
    write_files(directory.path(), &[("postern.toml", &format!("{}{METRICS}{TCP}", config("poll = '100ms'\n")))]);
    let state = directory.path().join("state").display().to_string();
    let mut server = disk.serve(directory.path());
    assert_eq!(set_over_tcp(&server, "a", "10.1.2.3"), 200);
    let serves = |server: &Server| assert_eq!(server.short("a.contoso.test", RecordType::A), ["10.1.2.3"]);
    let is_degraded = |server: &Server, why: &str| {
        let (status, told) = ready(server);
        assert!(status == 503 && told.contains(why), "{told}");
        assert_eq!(metric(server, "postern_state_writable"), "0");
        serves(server);
    };
    let recovers = |server: &Server| {
        eventually("it is ready again", || (ready(server).0 == 200).then_some(()));
        assert_eq!(metric(server, "postern_state_writable"), "1");
    };

    disk.sh(&format!("dd if=/dev/zero of='{state}/fill' bs=4k"));
    let full = (0..100).map(|number| set_over_tcp(&server, &format!("full{number}"), "10.1.2.4")).find(|status| *status != 200);
    assert_eq!(full, Some(507));
    is_degraded(&server, "No space left on device");
    disk.sh(&format!("rm '{state}/fill'"));
    recovers(&server);
    assert_eq!(set_over_tcp(&server, "b", "10.1.2.5"), 200);

    server.kill();
    disk.sh(&format!("mount -o remount,ro '{state}'"));
    let server = disk.serve(directory.path());
    server.logged(&["cannot write to the state directory; serving its zones", "Read-only file system"]);
    assert_eq!(server.short("b.contoso.test", RecordType::A), ["10.1.2.5"]);
    assert_eq!(set_over_tcp(&server, "c", "10.1.2.6"), 507);
    is_degraded(&server, "Read-only file system");
    assert_eq!(server.short("c.contoso.test", RecordType::A), ["NXDOMAIN"]);
    let made = server.api(None).raw("POST", "/v1/zones", &[("Content-Type", "application/json")], r#"{"name": "fabrikam.test"}"#).unwrap();
    assert_eq!(made.status, 507, "{made:?}");
    disk.sh(&format!("mount -o remount,rw '{state}'"));
    recovers(&server);
    assert_eq!(set_over_tcp(&server, "c", "10.1.2.6"), 200);
    drop(server);
    let server = disk.serve(directory.path());
    assert_eq!(
        [server.short("a.contoso.test", RecordType::A), server.short("c.contoso.test", RecordType::A)],
        [["10.1.2.3"], ["10.1.2.6"]]
    );
}

#[test]
fn after_a_failed_sync_a_change_is_rejected_and_the_journal_is_written_anew() {
    let Ok(version) = std::process::Command::new("strace").arg("-V").output() else {
        return eprintln!("left out: strace, which lets a system call fail, is not installed");
    };
    assert!(version.status.success());
    let directory = tempfile::tempdir().unwrap();
    write_files(directory.path(), &[("postern.toml", &format!("{}{METRICS}{TCP}", config("poll = '1h'\n")))]);
    let (program, path) = (postern(&[]), directory.path().join("postern.toml"));
    let mut command = std::process::Command::new("strace");
    command.args(["-D", "-f", "-qq", "-o", "/dev/null", "-e", "trace=fdatasync", "-e", "inject=fdatasync:error=EIO:when=2"]);
    command.arg(program.get_program()).args(["serve", "-c", path.to_str().unwrap()]).env_remove("POSTERN_LOG");
    let mut server = Server::spawn(command, directory.path().to_path_buf(), None);
    assert_eq!(set_over_tcp(&server, "a", "10.1.2.3"), 200);
    assert_eq!(set_over_tcp(&server, "b", "10.1.2.4"), 507, "the disk failed");
    assert_eq!(server.short("b.contoso.test", RecordType::A), ["NXDOMAIN"]);
    let (status, told) = ready(&server);
    assert!(status == 503 && told.contains("Input/output error"), "{told}");
    assert_eq!(set_over_tcp(&server, "c", "10.1.2.5"), 200);
    server.logged(&["contoso.test.journal: journal rewritten from the served zone", "its last sync failed"]);
    assert_eq!(ready(&server).0, 200);
    server.kill();
    let server = again(&server);
    let answers = ["a", "b", "c"].map(|name| server.short(&format!("{name}.contoso.test"), RecordType::A).join(""));
    assert_eq!(answers, ["10.1.2.3", "NXDOMAIN", "10.1.2.5"]);
}

fn text(output: &std::process::Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn a_damaged_journal_is_checked_and_repaired_without_a_server() {
    let mut server = Server::with(&[("postern.toml", &config(""))]);
    for number in 0..20 {
        assert_eq!(set(&server, &format!("n{number}"), "10.1.2.3"), 200);
    }
    let (config, state) = (server.file("postern.toml"), server.file("state"));
    let (config, state) = (config.to_str().unwrap(), state.to_str().unwrap());
    let checked = run(&["state", "check", state]);
    assert!(checked.status.success() && text(&checked).contains(&format!("{state}: in use by process {}", server.pid())), "{checked:?}");
    server.kill();
    let path = server.file(JOURNAL);
    let whole = run(&["state", "repair", path.to_str().unwrap()]);
    assert!(!whole.status.success() && text(&whole).contains("nothing to repair"), "{whole:?}");
    let mut octets = fs::read(&path).unwrap();
    let tenth = octets.windows(4).position(|window| window == b"\x03n10\x07"[..4].as_ref()).expect("a name of the tenth change");
    octets[tenth] ^= 1;
    fs::write(&path, &octets).unwrap();
    let checked = run(&["state", "check", "-c", config]);
    let told = text(&checked);
    assert!(!checked.status.success(), "{told}");
    for words in [&format!("{state}: not in use"), "contoso.test", "damaged", ": a committed change is damaged", "postern state repair "] {
        assert!(told.contains(words), "{words}: {told}");
    }
    let as_json: serde_json::Value = serde_json::from_slice(&run(&["state", "check", state, "-o", "json"]).stdout).unwrap();
    assert_eq!((&as_json["damaged"], &as_json["journals"][0]["changes"]), (&json!(1), &json!(19)));
    let repaired = run(&["state", "repair", "contoso.test", "-c", config]);
    let told = text(&repaired);
    assert!(repaired.status.success(), "{told}");
    for words in [" records, 19 changes, up to serial ", "lost:  ", "To use it, stop the server, then", ".repaired "] {
        assert!(told.contains(words), "{words}: {told}");
    }
    assert_eq!(fs::read(&path).unwrap(), octets, "the damaged file stays");
    let again_refused = run(&["state", "repair", "contoso.test", "-c", config]);
    assert!(!again_refused.status.success() && text(&again_refused).contains("in the way"), "{again_refused:?}");
    // As the command says.
    for line in told.lines().filter(|line| line.starts_with("  mv ")) {
        assert!(std::process::Command::new("sh").args(["-c", line]).status().unwrap().success());
    }
    let server = again(&server);
    for number in (0..20).filter(|number| *number != 10) {
        assert_eq!(server.short(&format!("n{number}.contoso.test"), RecordType::A), ["10.1.2.3"]);
    }
    assert_eq!(server.short("n10.contoso.test", RecordType::A), ["NXDOMAIN"]);
    assert_eq!(set(&server, "n10", "10.1.2.3"), 200);
}

fn serial(server: &Server) -> u32 {
    server.short("contoso.test", RecordType::SOA)[0].split(' ').nth(2).unwrap().parse().unwrap()
}

#[test]
fn a_copy_taken_while_changes_are_made_has_every_one_that_was_acknowledged_before() {
    let server = Server::with(&[("postern.toml", &config(""))]);
    let acknowledged = std::sync::atomic::AtomicU32::new(0);
    let is_over = std::sync::atomic::AtomicBool::new(false);
    let relaxed = std::sync::atomic::Ordering::Relaxed;
    let backup = tempfile::tempdir().unwrap();
    // As docs/src/backup.md says, also through a link, as a service with `DynamicUser=yes` has one.
    let link = backup.path().join("link");
    std::os::unix::fs::symlink(server.file("state"), &link).unwrap();
    let tar = |directory: &Path, words: &[&std::ffi::OsStr]| {
        let done = std::process::Command::new("tar").arg("-C").arg(directory).args(words).output().unwrap();
        // 1: a file changed while it was read.
        assert!(done.status.code().is_some_and(|code| code <= 1), "{done:?}");
    };
    let mut copies = Vec::new();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0.. {
                if is_over.load(relaxed) {
                    break;
                }
                assert_eq!(set(&server, &format!("n{number}"), "10.1.2.3"), 200);
                acknowledged.fetch_add(1, relaxed);
            }
        });
        for number in 1..=5_u32 {
            eventually("more changes are made", || (acknowledged.load(relaxed) >= number * 20).then_some(()));
            let before = acknowledged.load(relaxed);
            let copy = backup.path().join(number.to_string());
            let archive = backup.path().join(format!("{number}.tar.gz"));
            tar(&link, &["-czf".as_ref(), archive.as_ref(), ".".as_ref()]);
            fs::create_dir(&copy).unwrap();
            tar(&copy, &["-xzf".as_ref(), archive.as_ref()]);
            copies.push((before, copy));
        }
        is_over.store(true, relaxed);
    });
    let last = serial(&server);
    drop(server);
    for (before, copy) in &copies {
        let checked = run(&["state", "check", copy.to_str().unwrap()]);
        assert!(checked.status.success(), "{checked:?}");
        write_files(backup.path(), &[("postern.toml", &config(&format!("state = '{}'\n", copy.display())))]);
        let path = backup.path().join("postern.toml");
        let restored = Server::spawn(postern(&["serve", "-c", path.to_str().unwrap()]), backup.path().to_path_buf(), None);
        for number in [0, before / 2, before - 1] {
            assert_eq!(restored.short(&format!("n{number}.contoso.test"), RecordType::A), ["10.1.2.3"], "{number} of {before}");
        }
    }
    // The oldest copy has a lower serial than secondaries may have seen; it is raised as docs/src/backup.md says.
    write_files(backup.path(), &[("postern.toml", &config(&format!("state = '{}'\n", copies[0].1.display())))]);
    let path = backup.path().join("postern.toml");
    let restored = Server::spawn(postern(&["serve", "-c", path.to_str().unwrap()]), backup.path().to_path_buf(), None);
    assert!(serial(&restored) < last);
    let soa = format!("ns1.contoso.test. hostmaster.contoso.test. {} 3600 300 2419200 10", last + 10);
    let raised = run(&["records", "-c", path.to_str().unwrap(), "set", "contoso.test", "@", "SOA", &soa]);
    assert!(raised.status.success(), "{raised:?}");
    assert_eq!(serial(&restored), last + 10);
}
