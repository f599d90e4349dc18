//! `postern doctor` on healthy and on broken set-ups: each fault is found, with the way to mend it, and nothing healthy is blamed.

mod harness;

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use harness::{PATIENT, PATIENT_FORWARD, Server, run, write_files};
use postern_lab::{HealthService, HealthServiceSettings, LabScenario, LabServer};
use serde_json::Value;
use tempfile::TempDir;

const FHIR: &str = "contosows-fhir1.fhir.azurehealthcareapis.com";
const DICOM: &str = "contosows-dicom1.dicom.azurehealthcareapis.com";
const ZONE: &str = "privatelink.azurehealthcareapis.com";
const FHIR_RECORD: &str = "contosows-fhir1.fhir 10 IN A 10.20.1.5\n";

/// What is different from a healthy set-up.
#[derive(Default)]
struct Setup {
    /// Records of the zone for FHIR, instead of the right one.
    records: Option<&'static str>,
    /// Zone of the only forward rule, instead of `.`.
    forwarded: Option<&'static str>,
    /// More of the configuration.
    config: &'static str,
    /// The network of the zones, instead of the client's.
    zone_network: Option<&'static str>,
    /// The upstream is gone.
    is_upstream_gone: bool,
    /// Files of the machine.
    files: &'static [(&'static str, &'static str)],
}

/// A server with private zones in front of a simulated public DNS, and a machine that uses it.
struct Scene {
    server: Server,
    machine: TempDir,
    _public: Option<LabServer>,
}

impl Setup {
    fn start(&self) -> Scene {
        let public = LabServer::start(LabScenario::azure(), "127.0.0.1:0".parse().unwrap()).unwrap();
        let upstream = public.address();
        let public = (!self.is_upstream_gone).then_some(public);
        let forward_wait = if self.is_upstream_gone { "" } else { PATIENT_FORWARD };
        let config = format!(
            "[server]\nlisten = ['127.0.0.1:0']\n[[network]]\nname = 'hub'\nclients = ['127.0.0.0/8', '10.20.0.0/16']\n\
             [[network]]\nname = 'branch'\nclients = ['127.9.0.0/16']\n\
             [[zone]]\nname = '{ZONE}'\nnetwork = ['{network}']\nfile = 'health.zone'\nallow-empty = true\n\
             [[zone]]\nname = 'privatelink.dicom.azurehealthcareapis.com'\nnetwork = ['{network}']\nfile = 'dicom.zone'\n\
             [[forward]]\nzone = '{zone}'\nupstreams = ['{upstream}']\n{forward_wait}{PATIENT}{more}",
            network = self.zone_network.unwrap_or("hub"),
            zone = self.forwarded.unwrap_or("."),
            more = self.config,
        );
        let files = [
            ("postern.toml", config.as_str()),
            ("health.zone", self.records.unwrap_or(FHIR_RECORD)),
            ("dicom.zone", "contosows-dicom1 10 IN A 10.20.1.7\n"),
        ];
        let machine = tempfile::tempdir().unwrap();
        write_files(machine.path(), &[("etc/hosts", "127.0.0.1 localhost\n"), ("etc/nsswitch.conf", "hosts: files dns\n")]);
        write_files(machine.path(), self.files);
        Scene { server: Server::with(&files), machine, _public: public }
    }
}

/// Exit code, and the report.
struct Report(i32, Value);

impl Scene {
    fn examine(&self, arguments: &[&str]) -> Report {
        let config = self.server.file("postern.toml").display().to_string();
        let (address, root) = (self.server.address.to_string(), self.machine.path().display().to_string());
        let mut usual = vec!["doctor", "-c", &config, "--server", &address, "--root", &root, "--timeout", "60", "-o", "json"];
        if !arguments.contains(&"--resolver") {
            usual.extend(["--resolver", &address]);
        }
        let output = run(&[&usual, arguments].concat());
        let report = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
        Report(output.status.code().unwrap(), report)
    }
}

impl Report {
    /// Nothing is blamed.
    #[track_caller]
    fn is_healthy(&self) {
        assert_eq!(self.0, 0, "{:#}", self.1);
    }

    /// A finding of this topic and level has these words in its text and in its mend.
    #[track_caller]
    fn finds(&self, code: i32, topic: &str, words: &str, mend: &str) {
        assert_eq!(self.0, code, "{:#}", self.1);
        let has = |value: &Value, words: &str| value.as_str().is_some_and(|text| text.contains(words));
        let level = if code == 2 { "critical" } else { "warning" };
        let found = self.1["findings"].as_array().unwrap().iter().find(|finding| finding["topic"] == topic && finding["level"] == level);
        let found = found.unwrap_or_else(|| panic!("no {level} finding about {topic}: {:#}", self.1));
        assert!(has(&found["text"], words) && has(&found["mend"], mend), "{found:#}");
    }
}

/// Certificates of an authority, of the service, of another service, and one that ends soon.
fn certificates() -> &'static Path {
    static DIRECTORY: OnceLock<TempDir> = OnceLock::new();
    let directory = DIRECTORY.get_or_init(|| {
        let directory = tempfile::tempdir().unwrap();
        let script = "set -e
            make() {
                openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj \"/CN=$1\" -keyout $1.pem -out $1.csr
                echo subjectAltName=$2 > ext
                openssl x509 -req -in $1.csr -CA ca.crt -CAkey ca.pem -CAcreateserial -days $3 -out $1.crt -extfile ext
            }
            openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 400 -subj /CN=authority -keyout ca.pem -out ca.crt
            make service DNS:*.fhir.azurehealthcareapis.com,DNS:*.dicom.azurehealthcareapis.com 300
            make other DNS:proxy.contoso.test 300
            make short DNS:*.fhir.azurehealthcareapis.com 3";
        let output = Command::new("sh").args(["-c", script]).current_dir(directory.path()).output().expect("a shell");
        assert!(output.status.success(), "openssl: {}", String::from_utf8_lossy(&output.stderr));
        directory
    });
    directory.path()
}

/// A simulated service.
fn service(certificate: &str, private_clients: &[&str], clock_ahead: i64) -> HealthService {
    let directory = certificates();
    let settings = HealthServiceSettings {
        certificate: directory.join(format!("{certificate}.crt")),
        private_key: directory.join(format!("{certificate}.pem")),
        private_clients: private_clients.iter().map(|prefix| prefix.parse().unwrap()).collect(),
        clock_ahead,
    };
    HealthService::start(settings, "127.0.0.1:0".parse().unwrap()).unwrap()
}

/// Examines a name with its service at an address.
fn visit(scene: &Scene, name: &str, service: SocketAddr) -> Report {
    let authority = certificates().join("ca.crt").display().to_string();
    scene.examine(&[name, "--service-ca", &authority, "--connect-to", &service.to_string()])
}

/// An address that refuses connections and datagrams: a socket of another kind keeps the port from being taken.
fn closed_port() -> (socket2::Socket, SocketAddr) {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&"127.0.0.1:0".parse::<SocketAddr>().unwrap().into()).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    (socket, address)
}

#[test]
fn healthy_names_and_machines_are_not_blamed() {
    let scene = Setup::default().start();
    let own = service("service", &["127.0.0.0/8"], 0);
    let server = scene.server.address.to_string();
    visit(&scene, FHIR, own.address()).is_healthy();
    visit(&scene, DICOM, own.address()).is_healthy();
    visit(&scene, &format!("{}.", FHIR.to_uppercase()), own.address()).is_healthy();
    scene.examine(&[FHIR, "--dns-only"]).is_healthy();
    scene.examine(&[FHIR, "--dns-only", "--network", "hub"]).is_healthy();
    scene.examine(&[FHIR, "--dns-only", "--client", "10.20.0.4"]).is_healthy();
    scene.examine(&["contosows-fhir1.fhir.privatelink.azurehealthcareapis.com", "--dns-only"]).is_healthy();
    scene.examine(&["www.contoso.test", "--dns-only"]).is_healthy();
    let tcp = LabServer::start(LabScenario::azure(), "127.0.0.1:0".parse().unwrap()).unwrap();
    let other = Setup {
        config: format!("[[forward]]\nzone = 'contoso.test'\nupstreams = ['tcp://{}']\n", tcp.address()).leak(),
        ..Setup::default()
    };
    other.start().examine(&["www.contoso.test", "--dns-only"]).is_healthy();
    scene.examine(&[]).is_healthy();
    scene.examine(&["--peer", &server]).is_healthy();
    scene.examine(&["--on-premises", &server]).is_healthy();
    scene.examine(&["--peer", &server, "--on-premises", &server]).is_healthy();
    assert!(own.requests() >= 3);
}

#[test]
fn what_is_wrong_with_the_answer_is_found() {
    let missing = Setup { records: Some("; none\n"), ..Setup::default() }.start();
    missing.examine(&[FHIR, "--dns-only"]).finds(2, "this server", "no-record", "contosows-fhir1.fhir");
    let elsewhere = Setup { zone_network: Some("branch"), ..Setup::default() }.start();
    elsewhere.examine(&[FHIR, "--dns-only"]).finds(2, "this server", "other-network", "");
    let healthy = Setup::default().start();
    healthy.examine(&[FHIR, "--dns-only", "--client", "192.0.2.1"]).finds(2, "this server", "in no network", "[[network]]");
    let unforwarded = Setup { forwarded: Some("contoso.test"), ..Setup::default() }.start();
    unforwarded.examine(&[FHIR, "--dns-only"]).finds(2, "upstreams", "no forward rule", "[[forward]]");
    unforwarded.examine(&[]).finds(2, "forward rules", "no rule covers", "[[forward]]");
}

#[test]
fn an_upstream_that_is_gone_is_found() {
    let scene = Setup { is_upstream_gone: true, ..Setup::default() }.start();
    scene.examine(&[]).finds(2, "upstreams", "refused", "[[forward]]");
    scene.examine(&[FHIR, "--dns-only"]).finds(2, "upstreams", "refused", "[[forward]]");
}

#[test]
fn a_resolver_that_leads_elsewhere_is_found() {
    let scene = Setup::default().start();
    let stranger = LabServer::start(LabScenario::azure(), "127.0.0.1:0".parse().unwrap()).unwrap();
    let stranger = stranger.address().to_string();
    let own = scene.server.address.to_string();
    scene.examine(&[FHIR, "--dns-only", "--resolver", &stranger]).finds(2, "system resolver", "203.0.113.20", "forward");
    let mixed = scene.examine(&["--resolver", &own, "--resolver", &stranger]);
    mixed.finds(2, "system resolver", "does not know zone", "nameserver");
    let (_closed, closed) = closed_port();
    let closed = closed.to_string();
    scene.examine(&["--resolver", &closed]).finds(2, "system resolver", "refused", "nameserver");
    scene.examine(&["--peer", &stranger]).finds(2, "peer", "for contosows", "primaries");
    scene.examine(&["--on-premises", &stranger]).finds(2, "on-premises", "for contosows", "conditional forwarder for");
}

#[test]
fn files_of_the_machine_that_pass_dns_by_are_found() {
    let scene = Setup {
        files: &[
            ("etc/hosts", "203.0.113.20 contosows-fhir1.fhir.azurehealthcareapis.com\n"),
            ("etc/nsswitch.conf", "hosts: files\n"),
            ("etc/firefox/policies/policies.json", r#"{"policies": {"DNSOverHTTPS": {"Enabled": true}}}"#),
        ],
        ..Setup::default()
    }
    .start();
    scene.examine(&[FHIR, "--dns-only"]).finds(2, "hosts file", "/etc/hosts", "remove line 1");
    let machine = scene.examine(&[]);
    machine.finds(2, "name order", "never ask DNS", "nsswitch.conf");
    machine.finds(2, "browsers", "over HTTPS", "policies.json");
}

#[test]
fn a_service_that_does_not_serve_its_clients_is_found() {
    let scene = Setup::default().start();
    let (_closed, closed) = closed_port();
    visit(&scene, FHIR, closed).finds(2, "connection", "refused", "private endpoint");
    visit(&scene, FHIR, service("other", &["127.0.0.0/8"], 0).address()).finds(2, "certificate", "another name", "proxy");
    visit(&scene, FHIR, service("short", &["127.0.0.0/8"], 0).address()).finds(1, "certificate", "more days", "renew");
    visit(&scene, FHIR, service("service", &["10.0.0.0/8"], 0).address()).finds(2, "service", "403 over the private address", "approve");
    visit(&scene, FHIR, service("service", &["127.0.0.0/8"], 3_600).address()).finds(2, "clock", "tokens are rejected", "timedatectl");
    visit(&scene, FHIR, service("service", &["127.0.0.0/8"], -90).address()).finds(1, "clock", "differ by", "timedatectl");
    let untrusted = scene.examine(&[FHIR, "--connect-to", &service("service", &["127.0.0.0/8"], 0).address().to_string()]);
    untrusted.finds(2, "certificate", "authority is not trusted", "proxy");
}

#[test]
fn the_certificate_of_the_api_is_examined() {
    let directory = certificates();
    for (certificate, code) in [("short", 1), ("service", 0)] {
        let (certificate, key) = (directory.join(format!("{certificate}.crt")), directory.join(format!("{certificate}.pem")));
        let config =
            format!("[api]\nlisten = '127.0.0.1:0'\ncertificate = '{}'\nprivate-key = '{}'\n", certificate.display(), key.display());
        let scene = Setup { config: config.leak(), ..Setup::default() }.start();
        match code {
            0 => scene.examine(&[]).is_healthy(),
            code => scene.examine(&[]).finds(code, "certificates", "ends in 2 days", "renew"),
        }
    }
}

#[test]
fn a_server_that_cannot_be_examined_is_told_from_one_that_is_ill() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("none.sock").display().to_string();
    let output = run(&["doctor", "--socket", &socket]);
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    let scene = Setup::default().start();
    let config = scene.server.file("postern.toml").display().to_string();
    let output = run(&["doctor", FHIR, "-c", &config, "--network", "nowhere"]);
    assert!(output.status.code() == Some(3) && String::from_utf8_lossy(&output.stderr).contains("the networks are"), "{output:?}");
}
