//! `postern serve` from outside: the lab, the fallback record, reloads, signals, the ways in which it does not start.

mod harness;

use std::path::Path;
use std::time::{Duration, Instant};

use harness::{PATIENCE, PATIENT, PATIENT_FORWARD, Server, Systemd, ask_udp, eventually, postern, query, run, write_files};
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType::{self, A, AAAA, HTTPS};
use postern_lab::{LabFault, LabScenario, LabServer};

const FHIR1: &str = "contosows-fhir1.fhir.azurehealthcareapis.com";
const FHIR2: &str = "contosows-fhir2.fhir.azurehealthcareapis.com";
const FHIR1_PRIVATE: &str = "contosows-fhir1.fhir.privatelink.azurehealthcareapis.com.";
const ZONE_FILE: &str = "zones/privatelink.azurehealthcareapis.com.zone";
const ZONE: &str = "contosows-fhir1.fhir 10 IN A 10.20.1.5\n";

/// A lab of this test's own.
fn public(faults: Vec<LabFault>) -> LabServer {
    let lab = LabServer::start(LabScenario::azure(), "127.0.0.1:0".parse().unwrap()).unwrap();
    lab.set(faults);
    lab
}

/// A configuration that forwards to it.
fn config(lab: &LabServer, more: &str) -> String {
    forwarding(lab, &format!("{PATIENT_FORWARD}{PATIENT}{more}"))
}

/// The same, with the rest of its `[[forward]]` and all that follows.
fn forwarding(lab: &LabServer, more: &str) -> String {
    format!(
        "[[network]]\nname = 'hub'\nclients = ['127.0.0.0/8']\n\n[[zone]]\npreset = 'azure-health-data-services'\nnetwork = ['hub']\n\
         directory = 'zones'\n\n[[forward]]\nzone = '.'\nupstreams = ['{}']\n{more}",
        lab.address()
    )
}

fn listening(config: &str) -> String {
    format!("[server]\nlisten = ['127.0.0.1:0']\n{config}")
}

/// Runs what must not start; its standard error.
fn refused(arguments: &[&str]) -> String {
    let output = run(arguments);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    String::from_utf8(output.stderr).unwrap()
}

/// The JSON lines of a file, once there are as many.
fn events(file: &Path, count: usize) -> Vec<serde_json::Value> {
    eventually(&format!("{count} events in {}", file.display()), || {
        let text = std::fs::read_to_string(file).ok()?;
        let lines: Vec<&str> = text.split_inclusive('\n').filter(|line| line.ends_with('\n')).collect();
        (lines.len() >= count).then(|| lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect())
    })
}

/// The question, not only those by which the server finds out whether the lab leads back to it.
fn was_asked(lab: &LabServer) {
    eventually("the upstream was asked", || (lab.counters().asked("www.contoso.test", A) > 0).then_some(()));
}

#[test]
fn every_line_of_the_labs_tour_gives_what_it_promises() {
    let server = Server::lab();
    let mut asked = 0;
    let words = postern_lab::tour_words(server.address, server.path(), Some(Path::new(env!("CARGO_BIN_EXE_postern")))).join("\n");
    for (_, steps) in postern_lab::sample::steps() {
        for step in steps {
            let seen = server.log().len();
            let Some(question) = step.command.strip_prefix("q ") else {
                let output = std::process::Command::new("sh").args(["-ec", &format!("{words}\n{}", step.command)]).output().unwrap();
                assert!(output.status.success(), "{}: {output:?}", step.command);
                continue;
            };
            asked += 1;
            let words: Vec<&str> = question.split_whitespace().collect();
            let (source, words) = match words[..] {
                ["-b", source, ref rest @ ..] => (source, rest.to_vec()),
                _ => ("127.0.0.1", words),
            };
            let rtype: RecordType = words.get(1).map_or(A, |word| word.parse().unwrap());
            let short = || {
                let message = server.ask_from(source, words[0], rtype);
                let mut lines: Vec<String> = message.answers.iter().map(|record| record.data.to_string()).collect();
                lines.sort();
                lines
            };
            let mut want = step.prints.clone();
            want.sort();
            let (start, mut got) = (Instant::now(), short());
            while got != want && start.elapsed() < PATIENCE {
                std::thread::sleep(Duration::from_millis(20)); // an edit before it is on its way
                got = short();
            }
            assert_eq!(got, want, "{}", step.command);
            if let Some(reason) = step.fallback {
                server.logged_after(seen, &["fallback", &format!("reason=\"{reason}\""), &format!("name=\"{}\"", words[0])]);
            }
        }
    }
    assert!(asked > 15, "{asked}");
}

#[test]
fn answers_are_spliced_over_both_transports_and_no_other_type_leaks() {
    let server = Server::lab();
    for _ in 0..2 {
        assert_eq!(server.short(FHIR1, A), [FHIR1_PRIVATE, "10.20.1.5"]);
        assert_eq!(harness::short(&server.ask_tcp(FHIR1, A)), [FHIR1_PRIVATE, "10.20.1.5"]);
        for rtype in [AAAA, HTTPS] {
            let message = server.ask_tcp(FHIR1, rtype);
            assert_eq!(harness::short(&message), [FHIR1_PRIVATE], "{rtype}");
            assert_eq!((message.metadata.response_code, message.authorities.len()), (ResponseCode::NoError, 1));
        }
    }
}

#[test]
fn a_fallback_is_written_with_its_reason_and_the_record_that_mends_it() {
    let lab = public(vec![]);
    let more = "[fallback]\nfile = 'fallback.jsonl'\n";
    let server = Server::with(&[("postern.toml", &listening(&config(&lab, more))), (ZONE_FILE, ZONE)]);
    assert_eq!(server.short(FHIR2, A).len(), 5, "public");
    let event = &events(&server.file("fallback.jsonl"), 1)[0];
    for (key, want) in [
        ("reason", "no-record"),
        ("action", "public"),
        ("client", "127.0.0.1"),
        ("network", "hub"),
        ("name", FHIR2),
        ("type", "A"),
        ("private", "contosows-fhir2.fhir.privatelink.azurehealthcareapis.com"),
        ("zone", "privatelink.azurehealthcareapis.com"),
    ] {
        assert_eq!(event[key], want, "{key}");
    }
    assert_eq!((event["public"].as_bool(), event["addresses"].as_array().unwrap().len()), (Some(true), 2));
    // Pasted with an address, the record mends it.
    assert_eq!(Path::new(event["mend"]["file"].as_str().unwrap()), server.file(ZONE_FILE));
    let record = event["mend"]["record"].as_str().unwrap().replace("<private address>", "10.20.1.6");
    server.write(ZONE_FILE, &format!("{ZONE}{record}\n"));
    server.becomes(FHIR2, A, &["contosows-fhir2.fhir.privatelink.azurehealthcareapis.com.", "10.20.1.6"]);
}

#[test]
fn the_fallback_file_is_rotated_by_size_and_reopened_on_usr1() {
    let lab = public(vec![]);
    let more = "[fallback]\nfile = 'fallback.jsonl'\nrotate = '4KiB'\nkeep = 2\n";
    let server = Server::with(&[("postern.toml", &listening(&config(&lab, more))), (ZONE_FILE, ZONE)]);
    let file = server.file("fallback.jsonl");
    server.ask(FHIR2, A);
    events(&file, 1);
    let aside = server.file("aside.jsonl");
    std::fs::rename(&file, &aside).unwrap();
    server.signal("USR1");
    server.logged(&["reopened"]);
    eventually("a new file", || file.exists().then_some(()));
    server.ask(FHIR2, AAAA);
    assert_eq!((events(&file, 1)[0]["type"].as_str(), events(&aside, 1).len()), (Some("AAAA"), 1));
    for _ in 0..40 {
        server.ask(FHIR2, A);
    }
    eventually("two old files", || server.file("fallback.jsonl.2").exists().then_some(()));
    // While it is rotated there is no first file for a moment.
    let size = |name: &str| eventually(name, || Some(std::fs::metadata(server.file(name)).ok()?.len()));
    let sizes = ["fallback.jsonl", "fallback.jsonl.1", "fallback.jsonl.2"].map(size);
    assert!(sizes.iter().all(|size| *size <= 4096), "{sizes:?}");
    assert!(!server.file("fallback.jsonl.3").exists());
}

#[test]
fn an_edit_of_a_zone_is_served_and_a_broken_one_changes_nothing() {
    let lab = public(vec![]);
    let server = Server::with(&[("postern.toml", &listening(&config(&lab, ""))), (ZONE_FILE, ZONE)]);
    assert_eq!(server.short(FHIR1, A), [FHIR1_PRIVATE, "10.20.1.5"]);
    server.write(ZONE_FILE, &ZONE.replace("10.20.1.5", "10.20.1.55"));
    server.becomes(FHIR1, A, &[FHIR1_PRIVATE, "10.20.1.55"]);
    server.logged(&["zone changed", "privatelink.azurehealthcareapis.com"]);
    server.write(ZONE_FILE, "contosows-fhir1.fhir 10 IN A 10.20.1.\n");
    server.logged(&["privatelink.azurehealthcareapis.com.zone:1:", "error"]);
    assert_eq!(server.short(FHIR1, A), [FHIR1_PRIVATE, "10.20.1.55"]);
    server.write(ZONE_FILE, ZONE);
    server.becomes(FHIR1, A, &[FHIR1_PRIVATE, "10.20.1.5"]);
}

#[test]
fn the_configuration_is_applied_as_far_as_it_can_be_and_a_bad_one_not_at_all() {
    let (lab, other) = (public(vec![]), public(vec![LabFault::everything().rcode(ResponseCode::Refused)]));
    let good = listening(&config(&lab, ""));
    let server = Server::with(&[("postern.toml", &good), (ZONE_FILE, ZONE)]);
    assert_eq!(server.short("www.contoso.test", A), ["203.0.113.80"]);
    // Another upstream, watched.
    server.write("postern.toml", &good.replace(&lab.address().to_string(), &other.address().to_string()));
    server.logged(&["reloaded"]);
    server.becomes("www.contoso.test", A, &["SERVFAIL"]);
    // Errors: nothing changes, and all of them are said.
    let seen = server.log().len();
    server.write("postern.toml", &good.replace("[[forward]]", "[[froward]]").replace("preset", "perset"));
    server.logged_after(seen, &["reload rejected"]);
    server.logged_after(seen, &["postern.toml:", "froward"]);
    server.logged_after(seen, &["postern.toml:", "perset"]);
    assert_eq!(server.short(FHIR1, A), [FHIR1_PRIVATE, "10.20.1.5"]);
    // What needs a restart is said, and the rest of the change is applied.
    let seen = server.log().len();
    server.write("postern.toml", &good.replace("127.0.0.1:0", "127.0.0.2:0").replace("['hub']", "['hub']\non-missing = 'nxdomain'"));
    server.logged_after(seen, &["`server.listen` changed", "restart"]);
    server.becomes("www.contoso.test", A, &["203.0.113.80"]);
    server.becomes(FHIR2, A, &["NXDOMAIN"]);
}

#[test]
fn hup_reads_everything_again_even_where_nothing_is_watched_in_time() {
    let lab = public(vec![]);
    let more = "";
    let text = listening(&config(&lab, more)).replace("[server]\n", "[server]\npoll = '1h'\n");
    let server = Server::with(&[("postern.toml", &text), (ZONE_FILE, ZONE)]);
    let seen = server.log().len();
    server.signal("HUP");
    server.logged_after(seen, &["postern: reloaded"]);
    // A log level and the access lists are applied.
    server.write("postern.toml", &text.replace("[server]\n", "[log]\nlevel = 'debug'\n[server]\ndeny = ['127.0.0.9/32']\n"));
    server.signal("HUP");
    eventually("127.0.0.9 is refused", || {
        let answer = server.ask_from("127.0.0.9", FHIR1, A);
        (answer.metadata.response_code == ResponseCode::Refused).then_some(())
    });
    assert_eq!(server.short(FHIR1, A), [FHIR1_PRIVATE, "10.20.1.5"]);
}

#[test]
fn term_answers_what_is_under_way_and_int_does_too() {
    for signal in ["TERM", "INT"] {
        let lab = public(vec![LabFault::name("www.contoso.test").delay_ms(2000)]);
        let text = listening(&config(&lab, "")).replace("[server]", "[server]\ndrain = '60s'");
        let mut server = Server::with(&[("postern.toml", &text), (ZONE_FILE, ZONE)]);
        let address = server.address;
        let answer = std::thread::spawn(move || ask_udp(address, None, &query("www.contoso.test", A)));
        was_asked(&lab);
        server.signal(signal);
        let answer = answer.join().unwrap().expect("the answer that was under way");
        assert_eq!(harness::short(&answer), ["203.0.113.80"]);
        assert_eq!(server.wait().code(), Some(0), "{}", server.log().join("\n"));
        assert!(server.log().iter().any(|line| line.contains("stopped")));
    }
}

#[test]
fn a_stop_waits_no_longer_than_drain_and_a_second_signal_ends_it_at_once() {
    let lab = public(vec![LabFault::everything().silent()]);
    let text = listening(&forwarding(&lab, "timeout = '30s'\n[limits]\nquery-deadline = '60s'\n"));
    let ask = |server: &Server| {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.send_to(&query("www.contoso.test", A).to_vec().unwrap(), server.address).unwrap();
        was_asked(&lab);
        lab.clear();
    };
    let mut server = Server::with(&[("postern.toml", &text.replace("[server]", "[server]\ndrain = '300ms'"))]);
    ask(&server);
    let start = Instant::now();
    server.signal("TERM");
    assert_eq!(server.wait().code(), Some(0));
    assert!(start.elapsed() < Duration::from_secs(30), "who asked would have waited for a minute");
    let mut server = Server::with(&[("postern.toml", &text.replace("[server]", "[server]\ndrain = '5m'"))]);
    ask(&server);
    server.signal("TERM");
    server.logged(&["stopping"]);
    server.signal("TERM");
    assert_eq!(server.wait().code(), Some(128 + 15));
}

#[test]
fn what_keeps_it_from_starting_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let lab = public(vec![]);
    write_files(
        directory.path(),
        &[
            ("bad.toml", "[server]\nlisten = ['127.0.0.1:99999']\nworkes = 2\n[[forward]]\nzone = '.'\n"),
            ("user.toml", &listening("user = 'no-such-user-here'\n")),
            ("record.toml", &listening("[fallback]\nfile = 'missing/fallback.jsonl'\n")),
            ("zone.toml", &listening(&config(&lab, ""))),
            (ZONE_FILE, "contosows-fhir1.fhir 10 IN A nonsense\n"),
        ],
    );
    let bad = refused(&["serve", "-c", &path("bad.toml")]);
    for words in ["bad.toml:2:11: error", "bad.toml:3:1: error: unknown key `workes`", "did you mean `workers`?", "not started"] {
        assert!(bad.contains(words), "{words}: {bad}");
    }
    assert!(refused(&["serve", "-c", &path("none.toml")]).contains("none.toml: error: "));
    assert!(refused(&["serve", "-c", &path("user.toml")]).contains("there is no user no-such-user-here"));
    let record = refused(&["serve", "-c", &path("record.toml")]);
    assert!(record.contains("cannot write the fallback record to") && record.contains("missing/fallback.jsonl"), "{record}");
    let strict = refused(&["serve", "--strict", "-c", &path("zone.toml")]);
    assert!(strict.contains("azurehealthcareapis.com.zone:1:") && strict.contains("strict"), "{strict}");
    // Port taken.
    let server = Server::lab();
    let taken = path("taken.toml");
    std::fs::write(&taken, format!("[server]\nlisten = ['{}']\n", server.address)).unwrap();
    let message = refused(&["serve", "-c", &taken]);
    assert!(message.contains(&format!("cannot listen on {}", server.address)) && message.contains("help: "), "{message}");
    // No configuration at all: unless this machine has one.
    if !Path::new("/etc/postern/postern.toml").exists() {
        let empty = tempfile::tempdir().unwrap();
        let output = postern(&["serve"]).current_dir(&empty).output().unwrap();
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert!(message.contains("postern serve --lab"), "{message}");
    }
    // Arguments that do not go together are clap's.
    assert_eq!(run(&["serve", "--lab", "-c", &path("zone.toml")]).status.code(), Some(2));
}

#[test]
fn a_zone_that_never_had_good_data_fails_alone() {
    let lab = public(vec![]);
    let server = Server::with(&[
        ("postern.toml", &listening(&config(&lab, ""))),
        (ZONE_FILE, "contosows-fhir1.fhir 10 IN A nonsense\n"),
        ("zones/privatelink.dicom.azurehealthcareapis.com.zone", "contosows-dicom1 10 IN A 10.20.1.7\n"),
    ]);
    assert_eq!(server.short(FHIR1, A), ["SERVFAIL"]);
    assert_eq!(server.short("contosows-dicom1.dicom.azurehealthcareapis.com", A)[1], "10.20.1.7");
    server.logged(&["fallback", "reason=\"zone-unavailable\"", "action=\"servfail\""]);
    server.write(ZONE_FILE, ZONE);
    server.becomes(FHIR1, A, &[FHIR1_PRIVATE, "10.20.1.5"]);
}

#[test]
fn log_lines_are_json_where_asked_and_the_environment_sets_the_level() {
    let lab = public(vec![]);
    let directory = tempfile::tempdir().unwrap();
    let text = listening(&config(&lab, "[log]\nformat = 'json'\n"));
    write_files(directory.path(), &[("postern.toml", &text), (ZONE_FILE, ZONE)]);
    let mut command = postern(&["serve", "-c", directory.path().join("postern.toml").to_str().unwrap()]);
    let mut child = command.stderr(std::process::Stdio::piped()).spawn().unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(child.stderr.take().unwrap()));
    let first: serde_json::Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
    assert!(first["level"].is_string() && first["message"].is_string(), "{first}");
    child.kill().unwrap();
    child.wait().unwrap();
    for (level, code) in [("postern=nonsense", Some(1)), ("info,postern_dns=loud", Some(1))] {
        let output = postern(&["serve", "--lab", "--listen", "127.0.0.1:0"]).env("POSTERN_LOG", level).output().unwrap();
        assert_eq!(output.status.code(), code);
        assert!(String::from_utf8_lossy(&output.stderr).contains("POSTERN_LOG"));
    }
}

#[test]
fn systemd_is_told_when_it_is_ready_reloads_and_stops() {
    let directory = tempfile::tempdir().unwrap();
    let systemd = Systemd::listen(directory.path());
    let lab = public(vec![]);
    write_files(directory.path(), &[("postern.toml", &listening(&config(&lab, ""))), (ZONE_FILE, ZONE)]);
    let mut command = postern(&["serve", "-c", directory.path().join("postern.toml").to_str().unwrap()]);
    command.env("NOTIFY_SOCKET", &systemd.socket).env("WATCHDOG_USEC", "100000");
    let mut server = Server::spawn(command, directory.path().into(), None);
    let (ready, next) = systemd.told(0, "READY=1");
    assert!(ready.contains("STATUS="), "{ready}");
    let (_, next) = systemd.told(next, "WATCHDOG=1");
    server.signal("HUP");
    let (reloading, next) = systemd.told(next, "RELOADING=1");
    assert!(reloading.contains("MONOTONIC_USEC="), "{reloading}");
    let (_, next) = systemd.told(next, "READY=1");
    server.write(ZONE_FILE, "broken\n");
    let (bad, next) = systemd.told(next, "bad sources");
    assert!(bad.contains("privatelink.azurehealthcareapis.com"), "{bad}");
    server.signal("TERM");
    systemd.told(next, "STOPPING=1");
    assert_eq!(server.wait().code(), Some(0));
}
