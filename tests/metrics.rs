//! Metrics, probes and the stop of a lame duck, on the real program; the dashboard, the rules and the table against a real scrape.

mod harness;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};

use harness::{PATIENCE, PATIENT, PATIENT_FORWARD, Server, eventually, run};
use hickory_proto::rr::RecordType::{A, AAAA};
use postern_control::metrics::table;
use postern_lab::azure::{AzureLab, AzureScenario};
use postern_lab::{LabScenario, LabServer};

const CONFIG: &str = r#"
[server]
listen = ["127.0.0.1:0"]
lame-duck = "60s"
settle = "0s"

[[network]]
name = "hub"
clients = ["127.0.0.1/32"]

[[network]]
name = "locked"
clients = ["127.0.0.9/32"]
recursion = false

[[zone]]
name = "privatelink.azurehealthcareapis.com"
network = ["hub"]
file = "health.zone"

[[zone]]
name = "corp.contoso.com"
api = true

[[azure]]
name = "contoso"
endpoint = "http://AZURE"
authority = "http://AZURE"

[[zone]]
name = "privatelink.blob.core.windows.net"
azure = "contoso"

[[forward]]
zone = "."
upstreams = ["UPSTREAM"]
PATIENCE
[metrics]
listen = "127.0.0.1:0"
"#;

const HEALTH: &str = "contosows-fhir1.fhir 10 IN A 10.20.1.5\ncontosows-fhir2.fhir 10 IN A 10.20.1.6\n";
const SPLICED: &str = "contosows-fhir1.fhir.azurehealthcareapis.com";
const PRIVATE: &str = "contosows-fhir1.fhir.privatelink.azurehealthcareapis.com";
const MISSING: &str = "contosows-fhir3.fhir.azurehealthcareapis.com";
const PUBLIC: &str = "www.contoso.test";

/// A server with metrics, in front of a simulated public DNS.
struct World {
    server: Server,
    metrics: SocketAddr,
    _public: LabServer,
    _azure: AzureLab,
}

/// Samples of a scrape by what stands before the value.
type Scrape = BTreeMap<String, f64>;

impl World {
    fn start() -> Self {
        let public = LabServer::start(LabScenario::azure(), (Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let config =
            CONFIG.replace("UPSTREAM", &public.address().to_string()).replace("PATIENCE\n", &format!("{PATIENT_FORWARD}{PATIENT}"));
        let azure = AzureLab::start(AzureScenario::contoso(), (Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let config = config.replace("AZURE", &azure.address().to_string());
        let server = Server::with(&[("postern.toml", &config), ("health.zone", HEALTH)]);
        let line = server.logged(&["postern: metrics", "address="]);
        let metrics = line.split("address=").nth(1).unwrap().trim().parse().unwrap();
        let world = Self { server, metrics, _public: public, _azure: azure };
        world.counts(r#"postern_zone_has_data{zone="privatelink.blob.core.windows.net",network="all"}"#, 1.0);
        world
    }

    fn page(&self, path: &str) -> (u16, String) {
        page(self.metrics, path)
    }

    fn scrape(&self) -> Scrape {
        let (status, text) = self.page("/metrics");
        assert_eq!(status, 200);
        samples(&text)
    }

    /// Waits until a sample has this value.
    fn counts(&self, sample: &str, want: f64) {
        let start = std::time::Instant::now();
        loop {
            let got = self.scrape().get(sample).copied();
            if got == Some(want) {
                return;
            }
            assert!(start.elapsed() < PATIENCE, "{sample} is {got:?}, not {want}");
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }

    fn write(&self, file: &str, content: &str) {
        self.server.write(file, content);
    }

    /// One of everything that is counted only once it happens.
    fn have_it_happen(&self) {
        self.server.ask(SPLICED, A);
        self.server.ask(SPLICED, A);
        self.server.ask(MISSING, A);
        self.counts("postern_fallback_queue_length", 0.0);
    }
}

fn page(address: SocketAddr, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").expect("an answer of HTTP");
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_string())
}

fn samples(text: &str) -> Scrape {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let sample = |line: &str| {
        let (name, value) = line.rsplit_once(' ').expect("a name and a value");
        (name.to_string(), value.parse().expect("a number"))
    };
    let samples: Vec<(String, f64)> = lines.map(sample).collect();
    let unique: Scrape = samples.iter().cloned().collect();
    assert_eq!(samples.len(), unique.len(), "a series stands there twice");
    unique
}

/// Names of metrics, without what a histogram's series add.
fn families(scrape: &Scrape) -> BTreeSet<String> {
    let histograms: Vec<&str> = table::ALL.iter().filter(|row| row.kind.word() == "histogram").map(|row| row.name).collect();
    let family = |sample: &String| {
        let name = sample.split('{').next().unwrap();
        let of = |histogram: &&&str| ["_bucket", "_sum", "_count"].iter().any(|end| name.strip_suffix(end) == Some(**histogram));
        histograms.iter().find(of).map_or(name, |histogram| *histogram).to_string()
    };
    scrape.keys().map(family).collect()
}

/// Metrics of ours that a text names.
fn named(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    let ours = |word: &&str| word.starts_with("postern_") || word.starts_with("process_");
    words.filter(ours).map(str::to_string).collect()
}

fn repository(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

fn promtool(arguments: &[&str], input: &str) {
    // Where it is not installed, `tests/run` unpacks it there.
    let unpacked = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/prometheus/usr/bin/promtool");
    let program = if unpacked.exists() { unpacked } else { "promtool".into() };
    let command = Command::new(program).args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let Ok(mut child) = command else {
        eprintln!("left out: `promtool {}`, which is not installed", arguments.join(" "));
        return;
    };
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].map(|said| String::from_utf8_lossy(&said).into_owned()).concat();
    assert!(output.status.success(), "promtool {arguments:?}:\n{said}");
}

#[test]
fn a_scrape_has_every_metric_of_the_table_and_no_other_and_promtool_likes_it() {
    let world = World::start();
    world.have_it_happen();
    let (_, text) = world.page("/metrics");
    let (found, table) = (families(&samples(&text)), table::ALL.iter().map(|row| row.name.to_string()).collect::<BTreeSet<_>>());
    assert_eq!(found.symmetric_difference(&table).collect::<Vec<_>>(), [""; 0], "in one of page and table alone");
    promtool(&["check", "metrics"], &text);
}

#[test]
fn dashboard_and_rules_name_only_what_a_scrape_has() {
    let world = World::start();
    world.have_it_happen();
    let scrape = world.scrape();
    let series: BTreeSet<String> = scrape.keys().map(|sample| sample.split('{').next().unwrap().to_string()).collect();
    for file in ["packaging/grafana/postern.json", "packaging/prometheus/alerts.yml"] {
        let named = named(&repository(file));
        assert!(named.len() > 15, "{file}");
        assert_eq!(named.difference(&series).collect::<Vec<_>>(), [""; 0], "{file} asks for what is not there");
    }
    let rules = |file: &str| Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/prometheus").join(file).display().to_string();
    promtool(&["check", "rules", &rules("alerts.yml")], "");
    promtool(&["test", "rules", &rules("alerts_test.yml")], "");
}

#[test]
fn what_is_asked_is_counted_by_type_rcode_and_source() {
    let world = World::start();
    let server = &world.server;
    for _ in 0..5 {
        server.ask(PRIVATE, A);
    }
    server.ask(PRIVATE, AAAA);
    server.ask_tcp(PRIVATE, A);
    server.ask(PUBLIC, A);
    server.ask(PUBLIC, A);
    server.ask(SPLICED, A);
    server.ask(SPLICED, A);
    server.ask_tcp(SPLICED, A);
    server.ask_from("127.0.0.9", PUBLIC, A);
    // Some is counted a moment after the answer is sent.
    for (sample, want) in [
        (r#"postern_dns_requests_total{proto="udp",family="ipv4",type="A"}"#, 10.0),
        (r#"postern_dns_requests_total{proto="udp",family="ipv4",type="AAAA"}"#, 1.0),
        (r#"postern_dns_requests_total{proto="tcp",family="ipv4",type="A"}"#, 2.0),
        (r#"postern_dns_responses_total{proto="udp",family="ipv4",rcode="NOERROR"}"#, 10.0),
        (r#"postern_dns_responses_total{proto="udp",family="ipv4",rcode="REFUSED"}"#, 1.0),
        (r#"postern_dns_responses_total{proto="tcp",family="ipv4",rcode="NOERROR"}"#, 2.0),
        (r#"postern_dns_answers_total{proto="udp",source="refused"}"#, 1.0),
        (r#"postern_dns_answers_total{proto="udp",source="private"}"#, 6.0),
        (r#"postern_dns_answers_total{proto="tcp",source="private"}"#, 1.0),
        (r#"postern_dns_answers_total{proto="udp",source="upstream"}"#, 1.0),
        (r#"postern_dns_answers_total{proto="udp",source="cache"}"#, 1.0),
        (r#"postern_dns_answers_total{proto="udp",source="spliced"}"#, 2.0),
        (r#"postern_dns_answers_total{proto="tcp",source="spliced"}"#, 1.0),
        ("postern_cache_misses_total", 2.0),
        ("postern_cache_hits_total", 3.0),
        (r#"postern_dns_request_duration_seconds_count{proto="udp",path="upstream"}"#, 2.0),
        (r#"postern_dns_request_duration_seconds_count{proto="tcp",path="memory"}"#, 2.0),
        (r#"postern_zone_records{zone="privatelink.azurehealthcareapis.com",network="hub"}"#, 3.0),
        (r#"postern_zone_has_data{zone="corp.contoso.com",network="all"}"#, 1.0),
        ("postern_ready", 1.0),
    ] {
        world.counts(sample, want);
    }
    let scrape = world.scrape();
    let timed = scrape[r#"postern_dns_request_duration_seconds_count{proto="udp",path="memory"}"#];
    assert!(timed > 0.0 && timed % 16.0 == 0.0, "one batch in 16 is timed and counts 16 times: {timed}");
    let asked: f64 = scrape.iter().filter(|(name, _)| name.starts_with("postern_upstream_responses_total")).map(|(_, count)| count).sum();
    assert!(asked >= 2.0, "{asked}");
    assert!(scrape["process_resident_memory_bytes"] > 1e6 && scrape["process_open_fds"] > 5.0);
}

#[test]
fn a_fallback_is_counted_with_its_zone_network_reason_and_action() {
    let world = World::start();
    let before = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
    (0..3).for_each(|_| drop(world.server.ask(MISSING, A)));
    let labels = r#"zone="privatelink.azurehealthcareapis.com",network="hub""#;
    world.counts(&format!("postern_fallback_total{{{labels},reason=\"no-record\",action=\"public\"}}"), 3.0);
    let last = world.scrape()[&format!("postern_fallback_last_timestamp_seconds{{{labels}}}")];
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
    assert!((before - 1.0..now + 1.0).contains(&last), "{last} is not between {before} and {now}");
}

#[test]
fn probes_tell_what_is_wrong_and_fail_only_where_right_answers_are_lacking() {
    let world = World::start();
    let good = r#"postern_zone_source_good{zone="privatelink.azurehealthcareapis.com",network="hub"}"#;
    for (path, word) in
        [("/ready", "ready\n"), ("/readyz", "ready\n"), ("/health", "alive\n"), ("/livez", "alive\n"), ("/ready?strict", "ready\n")]
    {
        assert_eq!(world.page(path), (200, word.into()), "{path}");
    }
    assert_eq!(world.page("/").0, 404);

    world.write("health.zone", "contosows-fhir1.fhir 10 IN A 10.20.1.555\n");
    world.counts(good, 0.0);
    let (status, text) = world.page("/ready");
    assert!(status == 200 && text.contains("zone privatelink.azurehealthcareapis.com: last good data ("), "{status} {text}");
    assert!(text.contains("health.zone:1:"), "file and line: {text}");
    let (status, strict) = world.page("/ready?strict");
    assert_eq!((status, strict.replace("not ready", "ready")), (503, text));
    assert_eq!(world.scrape()["postern_degraded"], 1.0);
    assert_eq!(world.page("/health"), (200, "alive\n".into()));
    world.write("health.zone", HEALTH);
    world.counts(good, 1.0);
    assert_eq!(world.page("/ready?strict"), (200, "ready\n".into()));

    let config = std::fs::read_to_string(world.server.file("postern.toml")).unwrap();
    world.write("postern.toml", &config.replace("recursion = false", "recursion = 7"));
    world.counts("postern_reload_last_successful", 0.0);
    let (status, text) = world.page("/ready");
    assert!(status == 200 && text.contains("reload rejected: "), "{status} {text}");
    assert_eq!(world.page("/ready?strict").0, 503);
    assert!(world.scrape()[r#"postern_reload_total{result="refused"}"#] >= 1.0);

    // A zone that never had data: its names are SERVFAIL here, and another server may do better.
    let added = "[[zone]]\nname = \"fabrikam.test\"\nfile = \"absent.zone\"\n";
    world.write("postern.toml", &format!("{config}{added}"));
    world.counts(r#"postern_zone_has_data{zone="fabrikam.test",network="all"}"#, 0.0);
    let (status, text) = world.page("/ready");
    assert!(status == 503 && text.contains("zone fabrikam.test has no data: "), "{status} {text}");
    assert_eq!(world.scrape()["postern_ready"], 0.0);
    world.write("absent.zone", "www 10 IN A 10.20.9.9\n");
    world.counts(r#"postern_zone_has_data{zone="fabrikam.test",network="all"}"#, 1.0);
    eventually("it is ready again", || (world.page("/ready") == (200, "ready\n".into())).then_some(()));
}

#[test]
fn the_listener_of_the_api_has_the_same_pages_and_asks_for_no_key_there() {
    let config = "[server]\nlisten = [\"127.0.0.1:0\"]\n[api]\nlisten = \"127.0.0.1:0\"\nkey-file = \"api.key\"\n";
    let key = format!("ops admin sha256:{}\n", "0f".repeat(32));
    let server = Server::with(&[("postern.toml", config), ("api.key", &key)]);
    let line = server.logged(&["the API listens", "address="]);
    let address: SocketAddr = line.split("address=").nth(1).unwrap().trim().parse().unwrap();
    assert_eq!(page(address, "/v1/zones").0, 401);
    for (path, word) in [("/ready", "ready\n"), ("/health", "alive\n")] {
        assert_eq!(page(address, path), (200, word.into()), "{path}");
    }
    let (status, text) = page(address, "/metrics");
    assert_eq!((status, samples(&text).get("postern_ready")), (200, Some(&1.0)));
}

#[test]
fn a_lame_duck_answers_while_it_is_not_ready_and_a_second_signal_ends_it() {
    let mut world = World::start();
    world.server.signal("TERM");
    let (status, text) = eventually("it is not ready", || Some(world.page("/ready")).filter(|(status, _)| *status == 503));
    assert_eq!((status, text.as_str()), (503, "not ready\nstopping\n"));
    assert_eq!(world.page("/health").0, 200, "alive, and not to be killed");
    assert_eq!(world.server.short(PRIVATE, A), ["10.20.1.5"]);
    assert_eq!(world.server.short(PUBLIC, A), ["203.0.113.80"]);
    world.server.signal("TERM");
    assert_eq!(world.server.wait().code(), Some(143));
}

#[test]
fn a_lame_duck_stops_when_its_time_is_over() {
    let config = "[server]\nlisten = [\"127.0.0.1:0\"]\nlame-duck = \"50ms\"\n[[forward]]\nzone = \".\"\nupstreams = [\"127.0.0.1:9\"]\n";
    let (status, log) = Server::with(&[("postern.toml", config)]).stop();
    assert!(status.success(), "{}", log.join("\n"));
    let at = |words: &str| log.iter().position(|line| line.contains(words)).unwrap_or_else(|| panic!("no {words}:\n{}", log.join("\n")));
    assert!(at("reporting not ready") < at("postern: stopped"));
}

/// For a healthcheck that must not fail only because the machine is slow.
const PATIENTLY: &str = "--timeout=60";

#[test]
fn a_healthcheck_says_by_its_exit_code_how_a_server_is() {
    let world = World::start();
    // Free ports were taken; the configuration that is checked names them.
    let config = std::fs::read_to_string(world.server.file("postern.toml")).unwrap();
    let named = config.replacen("127.0.0.1:0", &world.server.address.to_string(), 1).replacen("127.0.0.1:0", &world.metrics.to_string(), 1);
    let path = world.server.file("checked.toml");
    std::fs::write(&path, named).unwrap();
    let path = path.to_str().unwrap();
    let check = |arguments: &[&str]| {
        let output = run(&[&["healthcheck"], arguments].concat());
        let said = [output.stdout, output.stderr].map(|said| String::from_utf8_lossy(&said).into_owned()).concat();
        (output.status.code(), said.trim_end().to_string())
    };
    let address = world.server.address.to_string();
    assert_eq!(check(&["--server", &address, PATIENTLY]), (Some(0), format!("{address} answers")));
    assert_eq!(check(&["-c", path, PATIENTLY]), (Some(0), format!("{address} answers")));
    assert_eq!(check(&["-c", path, "--ready", PATIENTLY]), (Some(0), "ready".into()));
    world.server.signal("TERM");
    eventually("it is not ready", || (world.page("/ready").0 == 503).then_some(()));
    assert_eq!(check(&["-c", path, PATIENTLY]).0, Some(0), "it still answers");
    assert_eq!(check(&["-c", path, "--ready", PATIENTLY]), (Some(1), "not ready\nstopping".into()));
    let nobody = std::net::UdpSocket::bind("127.0.0.1:0").unwrap(); // takes questions and never answers
    let (code, said) = check(&["--server", &nobody.local_addr().unwrap().to_string(), "--timeout=1"]);
    assert!(code == Some(1) && said.contains("no answer within"), "{said}");
}
