//! Overrides on the real program: their sources, reload, the guard, and what `check`, `explain`, `status` and `records` say of them.

mod harness;

use harness::{PATIENT_FORWARD, Server, run, write_files};
use hickory_proto::rr::RecordType::{A, AAAA, MX, PTR};
use postern_lab::{LabScenario, LabServer};

const CONFIG: &str = r#"
[server]
listen = ["127.0.0.1:0"]

[[network]]
name = "hub"
clients = ["127.0.0.0/8"]

[[network]]
name = "branch"
clients = ["127.0.0.3/32"]

[[override]]
network = ["hub"]
file = "overrides.hosts"

[[override]]
name = "inline"
hosts = ["10.30.7.1 nas.fabrikam.test", "nxdomain shop.contoso.test"]
other-types = "public"
"#;

const LINES: &str = "10.30.1.10 printer.contoso.test www.contoso.test\n10.30.1.11 *.lab.contoso.test\n";

fn world() -> (LabServer, Server) {
    let lab = LabServer::start(LabScenario::azure(), "127.0.0.1:0".parse().unwrap()).unwrap();
    let forward = format!("[[forward]]\nzone = \".\"\nupstreams = [\"{}\"]\n{PATIENT_FORWARD}", lab.address());
    let server = Server::with(&[("postern.toml", &(CONFIG.to_owned() + &forward)), ("overrides.hosts", LINES)]);
    (lab, server)
}

#[test]
fn a_network_gets_its_overrides_and_all_other_names_as_before() {
    let (_lab, server) = world();
    assert_eq!(server.short("printer.contoso.test", A), ["10.30.1.10"]);
    assert_eq!(server.short("www.contoso.test", A), ["10.30.1.10"]);
    assert!(server.short("www.contoso.test", AAAA).is_empty() && server.short("printer.contoso.test", MX).is_empty());
    assert_eq!(server.short("any.name.lab.contoso.test", A), ["10.30.1.11"]);
    assert_eq!(server.short("10.1.30.10.in-addr.arpa", PTR), ["printer.contoso.test."]);
    assert_eq!(server.short("nas.fabrikam.test", A), ["10.30.7.1"]);
    assert_eq!(server.short("shop.contoso.test", A), ["NXDOMAIN"]);
    assert_eq!(server.short("nobody.contoso.test", A), ["NXDOMAIN"]);
    let branch = server.ask_from("127.0.0.3", "www.contoso.test", A);
    assert_eq!(harness::short(&branch), ["203.0.113.80"]);
    assert_eq!(harness::short(&server.ask_from("127.0.0.3", "nas.fabrikam.test", A)), ["10.30.7.1"]);
}

#[test]
fn a_good_change_is_served_and_a_bad_one_is_reported_with_its_place_and_changes_nothing() {
    let (_lab, server) = world();
    server.write("overrides.hosts", "10.30.1.20 www.contoso.test\n10.30.1.11 *.lab.contoso.test\n");
    server.becomes("www.contoso.test", A, &["10.30.1.20"]);
    server.write("overrides.hosts", "10.30.1.21 www.contoso.test\n10.30.1 printer.contoso.test\n");
    server.logged(&["overrides.hosts:2:1", "`10.30.1` is not an address"]);
    assert_eq!(server.short("www.contoso.test", A), ["10.30.1.20"]);
    server.write("overrides.hosts", "");
    server.logged(&["overrides.hosts", "no records, 3 before"]);
    assert_eq!(server.short("www.contoso.test", A), ["10.30.1.20"], "an emptied file removes nothing");
    server.write("overrides.hosts", "10.30.1.22 www.contoso.test\n");
    server.becomes("www.contoso.test", A, &["10.30.1.22"]);
    let config = std::fs::read_to_string(server.file("postern.toml")).unwrap();
    server.write("postern.toml", &config.replace("10.30.7.1 nas", "10.30.7.2 nas"));
    server.becomes("nas.fabrikam.test", A, &["10.30.7.2"]);
}

#[test]
fn explain_status_and_records_know_overrides() {
    let (_lab, server) = world();
    let socket = server.file("state/postern.sock").display().to_string();
    let said = |arguments: &[&str]| {
        let output = run(&[arguments, &["--socket", &socket]].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let explained = said(&["explain", "www.contoso.test", "--client", "127.0.0.1"]);
    assert!(explained.contains("1 records of an override") && explained.contains("overrides.hosts"), "{explained}");
    let explained = said(&["explain", "nas.fabrikam.test", "AAAA", "--client", "127.0.0.1"]);
    assert!(explained.contains("overrides inline, left to the upstreams"), "{explained}");
    assert!(said(&["status"]).contains("overrides:  2"));
    let listed = said(&["records", "list", "overrides"]);
    assert!(listed.contains("www.contoso.test") && listed.contains("10.30.1.10"), "{listed}");
}

#[test]
fn check_warns_of_overrides_that_a_zone_of_the_network_answers_for() {
    let directory = tempfile::tempdir().unwrap();
    let config = "[[zone]]\nname = \"corp.contoso.com\"\nfile = \"corp.zone\"\n\n[[override]]\nfile = \"overrides.hosts\"\n\n\
        [[forward]]\nzone = \".\"\nupstreams = [\"127.0.0.1:9\"]\n";
    let lines = "10.30.1.10 app.corp.contoso.com printer.contoso.com\n";
    write_files(directory.path(), &[("postern.toml", config), ("corp.zone", "www A 10.20.1.4\n"), ("overrides.hosts", lines)]);
    let output = run(&["check", "-c", directory.path().join("postern.toml").to_str().unwrap()]);
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    let want = "overrides `overrides` have no effect on app.corp.contoso.com: zone corp.contoso.com answers for them";
    assert!(output.status.success() && said.contains(want), "{said}");
}
