//! Ten ways in which programs write a file. While one of them is at it, clients ask 200 times a second for names that both the old file and
//! the new one have: each answer must be the old address or the new one.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType::A;

use crate::harness::{Server, ask_udp, postern, query, short, write_files};

pub const FILE: &str = "zones/contoso.test.zone";
/// Names of the old file. The new one lacks the last 40 and has 20 more.
const NAMES: usize = 400;
const KEPT: usize = 360;
const EACH: Duration = Duration::from_millis(5);

/// How long is asked on once the end shows.
const AFTER: Duration = Duration::from_secs(1);

pub const CONFIG: &str = "\
[server]
listen = ['127.0.0.1:0']
poll   = '1h'

[[zone]]
name       = 'contoso.test'
file       = 'zones/contoso.test.zone'
on-missing = 'nxdomain'

[[forward]]
zone      = '.'
upstreams = ['127.0.0.1:1'] # never asked
";

pub fn old() -> String {
    (0..NAMES).map(|number| format!("h{number} 60 IN A 10.0.0.1\n")).collect()
}

pub fn new() -> String {
    let names = (0..KEPT).chain(1000..1020);
    names.map(|number| format!("h{number} 60 IN A 10.0.0.2 ; written by a program that knows the whole zone\n")).collect()
}

/// What becomes of the zone in the end.
#[derive(Debug, Clone, Copy, PartialEq)]
enum End {
    /// The new file is served.
    New,
    /// The file is bad: the old data serves on.
    Old,
}

/// A way to write: its name, what it needs beside a shell, the shell's words, and what comes of it. In them `$file` is the zone's file and
/// `$new` one with the new content.
const WAYS: [(&str, Option<&str>, &str, End); 10] = [
    (
        "truncate, write slowly",
        None,
        "{ sed -n 1,100p $new; sleep 0.4; sed -n 101,250p $new; sleep 0.4; sed -n 251,370p $new; sleep 0.4; sed -n '371,$p' $new; } > $file",
        End::New,
    ),
    (
        "append line by line",
        None,
        ": > $file; for at in 1 77 153 229 305; do sed -n \"$at,$((at + 75))p\" $new >> $file; sleep 0.3; done",
        End::New,
    ),
    ("false > file", None, "false > $file || sleep 1.5", End::Old),
    (
        "cp over a slow pipe",
        None,
        "{ for piece in 1 2 3 4 5 6 7; do dd bs=5003 count=1 status=none; sleep 0.2; done; } < $new | cp /dev/stdin $file",
        End::New,
    ),
    ("sed -i", None, "sed -i 's/10.0.0.1/10.0.0.2/; 361,$d' $file", End::New),
    ("rsync", Some("rsync"), "rsync $new $file", End::New),
    ("an editor (ed)", Some("ed"), "printf '%s\\n' '361,$d' ',s/10.0.0.1/10.0.0.2/' w q | ed -s $file", End::New),
    ("an editor (vim)", Some("vim"), "vim -n -es -c '361,$d' -c '%s/10.0.0.1/10.0.0.2/' -c wq $file", End::New),
    ("[]", None, "echo '[]' > $file; sleep 1", End::Old),
    ("a comment only", None, "echo '; later' > $file; sleep 1", End::Old),
];

#[test]
fn no_way_to_write_a_file_takes_a_name_away_that_stays() {
    let mut table = vec![row(["way", "asked", "wrong", "answers in the end"])];
    let mut wrong = 0;
    let mut add = |name: &str, counted: Option<(usize, Vec<String>)>, end: End| {
        let (asked, bad) = counted.map_or(("-".into(), Vec::new()), |(asked, bad)| (asked.to_string(), bad));
        let end = if asked == "-" { "left out: it is not installed, or needs root" } else { end.words() };
        table.push(row([name, &asked, &bad.len().to_string(), end]));
        wrong += bad.len();
        bad.iter().take(3).for_each(|answer| table.push(format!("    {answer}")));
    };
    for (name, needs, words, end) in WAYS {
        let is_there = needs
            .is_none_or(|program| Command::new("sh").args(["-c", &format!("command -v {program}")]).output().unwrap().status.success());
        let counted = is_there.then(|| {
            let server = Server::with(&[("postern.toml", CONFIG), (FILE, &old()), ("new.zone", &new())]);
            let script = format!("file={} new={}; {words}", server.file(FILE).display(), server.file("new.zone").display());
            watched(&server, end, || {
                let _ = Command::new("sh").args(["-c", &script]).status().unwrap(); // `false` is one of them
            })
        });
        add(name, counted, end);
    }
    add("a ConfigMap is swapped", Some(config_map()), End::New);
    add("the disk is full midway", full_disk(), End::Old);
    let table = table.join("\n");
    println!("{table}");
    assert_eq!(wrong, 0, "{table}");
}

fn row([way, asked, wrong, end]: [&str; 4]) -> String {
    format!("{way:<26} {asked:>6} {wrong:>6}  {end}")
}

impl End {
    fn words(self) -> &'static str {
        match self {
            End::New => "the new ones",
            End::Old => "the old ones, and the file is reported",
        }
    }

    fn address(self) -> &'static str {
        if self == End::New { "10.0.0.2" } else { "10.0.0.1" }
    }
}

/// Asks while `write` is at work, and until its end shows. Gives how often, and the answers that are wrong.
fn watched(server: &Server, end: End, write: impl FnOnce()) -> (usize, Vec<String>) {
    let (is_over, address) = (AtomicBool::new(false), server.address);
    std::thread::scope(|scope| {
        let asking = scope.spawn(|| {
            let (mut asked, mut wrong, mut due) = (0, Vec::new(), Instant::now());
            while !is_over.load(Ordering::Relaxed) {
                let name = format!("h{}.contoso.test", asked * 7919 % KEPT);
                match ask_udp(address, None, &query(&name, A)) {
                    Some(answer)
                        if answer.metadata.response_code == ResponseCode::NoError
                            && matches!(&short(&answer)[..], [one] if one == "10.0.0.1" || one == "10.0.0.2") => {}
                    Some(answer) => wrong.push(format!("{name}: {:?}", short(&answer))),
                    None => wrong.push(format!("{name}: no answer")),
                }
                asked += 1;
                due += EACH;
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
            }
            (asked, wrong)
        });
        write();
        match end {
            End::New => server.becomes("h0.contoso.test", A, &["10.0.0.2"]),
            End::Old => drop(server.logged(&["ERROR", "keeping the last good data"])),
        }
        std::thread::sleep(AFTER);
        is_over.store(true, Ordering::Relaxed);
        assert_eq!(server.short("h0.contoso.test", A), [end.address()]);
        asking.join().unwrap()
    })
}

/// As Kubernetes does it: the new version is written beside, and a link is turned.
fn config_map() -> (usize, Vec<String>) {
    let directory = tempfile::tempdir().unwrap();
    write_files(directory.path(), &[("postern.toml", CONFIG), ("zones/..1/contoso.test.zone", &old())]);
    let zones = directory.path().join("zones");
    symlink("..1", zones.join("..data")).unwrap();
    symlink("..data/contoso.test.zone", zones.join("contoso.test.zone")).unwrap();
    let path = directory.path().to_path_buf();
    let server = Server::spawn(postern(&["serve", "-c", path.join("postern.toml").to_str().unwrap()]), path, Some(directory));
    watched(&server, End::New, || {
        // A value without a last line break, as `|-` in YAML gives it: it is whole all the same.
        write_files(&zones, &[("..2/contoso.test.zone", new().trim_end())]);
        symlink("..2", zones.join("..data_tmp")).unwrap();
        fs::rename(zones.join("..data_tmp"), zones.join("..data")).unwrap();
        fs::remove_dir_all(zones.join("..1")).unwrap();
    })
}

/// On a small disk in a mount namespace of the server's own, which only root can make.
fn full_disk() -> Option<(usize, Vec<String>)> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_path_buf();
    write_files(&path, &[("postern.toml", CONFIG), ("old.zone", &old()), ("new.zone", &new()), ("zones/.keep", "")]);
    let (at, config) = (path.display(), path.join("postern.toml"));
    let program = postern(&["serve"]).get_program().to_string_lossy().into_owned();
    let mount = format!("mount -t tmpfs -o size=16k none {at}/zones && cp {at}/old.zone {at}/{FILE}");
    let may = Command::new("unshare").args(["-m", "sh", "-c", &mount]).output().is_ok_and(|tried| tried.status.success());
    if !may {
        return None;
    }
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-c", &format!("{mount} && exec {program} serve -c {}", config.display())]);
    let server = Server::spawn(command, path.clone(), Some(directory));
    let inside = |script: &str| {
        let pid = server.pid().to_string();
        Command::new("nsenter").args(["-t", &pid, "-m", "sh", "-c", script]).output().unwrap()
    };
    let counted = watched(&server, End::Old, || {
        let copied = inside(&format!("cat {at}/new.zone > {at}/{FILE}"));
        let told = String::from_utf8_lossy(&copied.stderr).into_owned();
        assert!(told.contains("No space left on device"), "{told}");
        assert!(!ends_a_line(&inside(&format!("cat {at}/{FILE}")).stdout), "the last line is cut");
    });
    Some(counted)
}

fn ends_a_line(text: &[u8]) -> bool {
    text.ends_with(b"\n")
}
