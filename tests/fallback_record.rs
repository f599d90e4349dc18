//! The fallback record of the real program: what is recorded, in lines and counts, and what is not. `--nocapture` prints the table.

mod harness;

use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use harness::{Server, eventually, extended_error, field, query};
use hickory_proto::rr::RecordType::{self, A, AAAA, CNAME, HTTPS, PTR};
use postern_lab::{LabScenario, LabServer};

const FHIR1: &str = "contosows-fhir1.fhir.azurehealthcareapis.com";
const FHIR3: &str = "contosows-fhir3.fhir.azurehealthcareapis.com";
const FHIR3_PRIVATE: &str = "contosows-fhir3.fhir.privatelink.azurehealthcareapis.com";

/// A private-link zone that lacks FHIR3, one that refuses what it lacks, an ordinary one, one that goes public, and a reverse zone.
fn site(fallback: &str) -> (LabServer, Server) {
    let lab = LabServer::start(LabScenario::azure(), "127.0.0.1:0".parse().unwrap()).unwrap();
    let zone = |name: &str, more: &str| format!("[[zone]]\nname = '{name}'\nfile = '{name}.zone'\n{more}");
    let zones = zone("privatelink.azurehealthcareapis.com", "")
        + &zone("privatelink.blob.core.windows.net", "on-missing = 'nxdomain'\n")
        + &zone("corp.contoso.com", "")
        + &zone("fabrikam.test", "on-missing = 'public'\n")
        + &zone("10.in-addr.arpa", "fallback = true\n");
    let config = format!(
        "[server]\nlisten = ['127.0.0.1:0']\nworkers = 1\n[metrics]\nlisten = '127.0.0.1:0'\n[[network]]\nname = 'hub'\n\
         clients = ['127.0.0.0/8']\n{zones}[[forward]]\nzone = '.'\nupstreams = ['{}']\n{}[fallback]\n{fallback}{}",
        lab.address(),
        harness::PATIENT_FORWARD,
        harness::PATIENT
    );
    let server = Server::with(&[
        ("postern.toml", config.as_str()),
        ("privatelink.azurehealthcareapis.com.zone", "contosows-fhir1.fhir 10 IN A 10.20.1.5\n"),
        ("privatelink.blob.core.windows.net.zone", "here 10 IN A 10.20.2.4\n"),
        ("corp.contoso.com.zone", "here 10 IN A 10.20.9.1\n"),
        ("fabrikam.test.zone", "here 10 IN A 10.20.9.2\n"),
        ("10.in-addr.arpa.zone", "1.9.20 10 IN PTR here.corp.contoso.com.\n"),
    ]);
    (lab, server)
}

fn lines(server: &Server) -> Vec<String> {
    server.log().into_iter().filter(|line| line.contains("postern::fallback")).collect()
}

/// Fallbacks by the metrics, and those that were dropped.
fn counted(server: &Server) -> (u64, u64) {
    let log = server.logged(&["postern: metrics", "address="]);
    let address: SocketAddr = field(&log, "address").unwrap().parse().unwrap();
    let page = harness::http::Http::tcp(address, None).get("/metrics");
    let sum = |name: &str| {
        let samples = page.body.lines().filter(|line| line.split(['{', ' ']).next() == Some(name));
        samples.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap() as u64).sum()
    };
    (sum("postern_fallback_total"), sum("postern_fallback_dropped_total"))
}

#[test]
fn only_real_fallbacks_are_recorded_and_each_has_the_record_that_mends_it() {
    let (_lab, server) = site("");
    let unknown = RecordType::from(65400);
    let mut recorded = 0;
    println!("{:58} {:9} recorded", "question", "type");
    for (name, rtype, want) in [
        (FHIR1, CNAME, None),
        (FHIR1, A, None),
        ("nobody.privatelink.contoso.test", A, None),
        ("www.google.com.corp.contoso.com", A, None),
        ("www.google.com.corp.contoso.com", AAAA, None),
        ("www.fabrikam.test", A, None),
        ("0123456789abcdef.postern-loop-probe.privatelink.blob.core.windows.net", RecordType::TXT, None),
        (FHIR3, A, Some(("A", "contosows-fhir3.fhir 10 IN A <private address>"))),
        (FHIR3, HTTPS, Some(("HTTPS", "contosows-fhir3.fhir 10 IN A <private address>"))),
        (FHIR3_PRIVATE, CNAME, Some(("CNAME", "contosows-fhir3.fhir 10 IN A <private address>"))),
        ("lacks.privatelink.blob.core.windows.net", AAAA, Some(("AAAA", "lacks 10 IN AAAA <private address>"))),
        ("lacks.privatelink.blob.core.windows.net", unknown, Some(("TYPE65400", "lacks 10 IN A <private address>"))),
        ("5.9.20.10.in-addr.arpa", PTR, Some(("PTR", "5.9.20 10 IN PTR <host name>."))),
    ] {
        let message = server.ask(name, rtype);
        let Some((kind, mend)) = want else {
            println!("{name:58} {rtype:9} no");
            assert_eq!(extended_error(&message), None, "{name} {rtype}");
            continue;
        };
        recorded += 1;
        let line = eventually(name, || lines(&server).get(recorded - 1).cloned());
        println!("{name:58} {rtype:9} {}", &line[line.find("fallback reason").unwrap()..]);
        assert_eq!((field(&line, "name"), field(&line, "type"), field(&line, "client")), (Some(name), Some(kind), Some("127.0.0.1")));
        assert!(line.contains(&format!(" mend=\"{mend}\"")), "{line}");
        let place = |key: &str| line.find(&format!(" {key}=")).unwrap();
        assert!(["reason", "name", "mend", "client", "chain"].map(place).is_sorted(), "{line}");
    }
    // All that was not recorded came before: nothing of it is still on its way.
    assert_eq!((lines(&server).len(), counted(&server)), (recorded, (recorded as u64, 0)));
}

#[test]
fn a_burst_of_fallbacks_has_a_bounded_log_and_loses_no_count() {
    // The slower suites have the server built for release answer 100,000.
    let wanted: usize = std::env::var("POSTERN_TEST_FALLBACKS").map_or(20_000, |text| text.parse().unwrap());
    let (_lab, server) = site("");
    let clients: Vec<UdpSocket> =
        (1..=8).map(|last| UdpSocket::bind(("127.0.0.1".to_owned() + &last.to_string()).as_str().to_owned() + ":0").unwrap()).collect();
    let packets: Vec<Vec<u8>> =
        (0..50).map(|number| query(&format!("n{number}.privatelink.blob.core.windows.net"), A).to_vec().unwrap()).collect();
    let (start, mut answered) = (Instant::now(), 0);
    let mut buffer = [0; 1500];
    for number in 0..wanted {
        let client = &clients[number % clients.len()];
        client.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        client.send_to(&packets[number % packets.len()], server.address).unwrap();
        if number % 64 >= 56 {
            // As many answers as this client has questions out, so that no buffer runs over.
            for _ in 0..8 {
                client.recv(&mut buffer).unwrap();
                answered += 1;
            }
        }
    }
    let took = start.elapsed();
    let sent = wanted as u64;
    let (mut total, mut dropped) = (0, 0);
    eventually("every fallback is counted", || {
        (total, dropped) = counted(&server);
        (total + dropped == sent).then_some(())
    });
    assert_eq!(dropped, 0);
    let more = |line: &str| field(line, "more").map_or(1, |more| more.parse::<u64>().unwrap());
    eventually("and is a line or in the count of one", || {
        (lines(&server).iter().map(|line| more(line)).sum::<u64>() == sent).then_some(())
    });
    let lines = lines(&server);
    let octets: usize = lines.iter().map(|line| line.len() + 1).sum();
    let seconds = took.as_secs() as usize + 3;
    println!("{sent} fallbacks in {took:.1?}, {answered} answers read: {} lines, {octets} octets", lines.len());
    lines.iter().filter(|line| line.contains(" more=")).for_each(|line| println!("{line}"));
    assert!(lines.len() <= 101 * seconds, "{} lines in {seconds} s", lines.len());
    assert!(octets < 101 * seconds * 1_000, "{octets}");
    let most = lines.iter().filter_map(|line| field(line, "clients")).map(|clients| clients.parse::<usize>().unwrap()).max();
    assert_eq!(most, Some(clients.len()), "a summary says how many clients there were");
}

#[test]
fn what_is_muted_stays_muted_over_a_restart() {
    let (_lab, mut server) = site("");
    let command = |server: &Server, arguments: &[&str]| {
        let socket = server.file("state/postern.sock");
        let mut all = arguments.to_vec();
        all.extend(["--socket", socket.to_str().unwrap()]);
        let output = harness::run(&all);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    server.ask(FHIR3, A);
    eventually("it is recorded", || (counted(&server).0 == 1).then_some(()));
    let said = command(&server, &["fallbacks", "mute", "*.fhir.azurehealthcareapis.com"]);
    assert!(
        said.starts_with("*.fhir.azurehealthcareapis.com is muted for all networks. It covers 1 of the names in the record.\n"),
        "{said}"
    );
    server.kill();
    let config = server.file("postern.toml");
    let server = Server::spawn(harness::postern(&["serve", "-c", config.to_str().unwrap()]), server.path().to_path_buf(), None);
    server.ask(FHIR3, A);
    eventually("it is counted", || (counted(&server).0 == 1).then_some(()));
    server.ask("lacks.privatelink.blob.core.windows.net", A);
    let line = server.logged(&["postern::fallback", "reason"]);
    assert_eq!(field(&line, "name"), Some("lacks.privatelink.blob.core.windows.net"), "the muted one came before and has no line");
    let muted = command(&server, &["fallbacks", "muted"]);
    assert!(muted.contains("*.fhir.azurehealthcareapis.com") && muted.contains("(all)"), "{muted}");
    assert!(command(&server, &["fallbacks", "unmute", "*.fhir.azurehealthcareapis.com"]).ends_with("Nothing is muted now.\n"));
}
