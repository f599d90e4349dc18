//! Private endpoints as a source of records: the real program against the simulated Azure.

#[path = "../harness/mod.rs"]
mod harness;

mod faults;
mod size;

use std::process::Command;

use harness::{Server, eventually, postern, run};
use hickory_proto::rr::RecordType::{A, AAAA};
use postern_lab::azure::{AzureLab, AzureScenario, ConnectionState, SimulatedEndpoint};

const HUB: &str = "00000000-0000-0000-0000-000000000001";
const HEALTH: &str = "00000000-0000-0000-0000-000000000002";
const BLOB: &str = "contosodata.privatelink.blob.core.windows.net";
const VAULT: &str = "contoso-kv.privatelink.vaultcore.azure.net";
const FHIR: &str = "contosows-fhir1.fhir.privatelink.azurehealthcareapis.com";
const DICOM: &str = "contosows-dicom1.privatelink.dicom.azurehealthcareapis.com";
const SQL: &str = "fabrikam-sql.privatelink.database.windows.net";

/// Queries of one reading of all visible subscriptions.
const READING: u64 = 3;

/// The built-in scenario, with room for a reading every few milliseconds.
fn scenario() -> AzureScenario {
    let mut scenario = AzureScenario::contoso();
    scenario.settings.quota = 1_000_000;
    scenario
}

fn start(scenario: AzureScenario) -> AzureLab {
    AzureLab::start(scenario, "127.0.0.1:0".parse().unwrap()).unwrap()
}

/// A configuration with a reader and the zones of the built-in scenario. `reader` are further keys of the reader.
fn config(lab: &AzureLab, reader: &str) -> String {
    let zones = [
        "blob.core.windows.net",
        "vaultcore.azure.net",
        "azurehealthcareapis.com",
        "dicom.azurehealthcareapis.com",
        "database.windows.net",
    ];
    let zone = |name: &str| format!("[[zone]]\nname = 'privatelink.{name}'\nazure = 'contoso'\non-missing = 'nxdomain'\n");
    format!("{}{}", base(lab, reader), zones.map(zone).concat())
}

fn base(lab: &AzureLab, reader: &str) -> String {
    let url = format!("http://{}", lab.address());
    format!(
        "[server]\nlisten = ['127.0.0.1:0']\n[api]\nlisten = '127.0.0.1:0'\n[metrics]\nlisten = '127.0.0.1:0'\n\
         [[forward]]\nzone = '.'\nupstreams = ['127.0.0.1:9']\n\
         [[azure]]\nname = 'contoso'\ninterval = '200ms'\nendpoint = '{url}'\nauthority = '{url}'\n{reader}\n"
    )
}

fn serve(lab: &AzureLab) -> Server {
    let server = Server::with(&[("postern.toml", &config(lab, ""))]);
    server.becomes(BLOB, A, &["10.20.1.4"]);
    server
}

fn endpoint(name: &str, subscription: &str, line: &str) -> SimulatedEndpoint {
    let text = format!("name = '{name}'\nsubscription = '{subscription}'\naddresses = ['{line}']\n");
    AzureScenario::parse(&format!("[[subscription]]\nid = '{subscription}'\nname = 's'\n[[endpoint]]\n{text}"), "")
        .unwrap()
        .endpoints
        .remove(0)
}

/// Waits until the server has read everything twice more.
fn after_two_readings(lab: &AzureLab) {
    let before = lab.counters().queries;
    eventually("two more readings", || (lab.counters().queries >= before + 3 * READING).then_some(()));
}

#[test]
fn approved_endpoints_are_records_and_others_are_not() {
    let lab = start(scenario());
    let server = serve(&lab);
    for (name, want) in [
        (VAULT, &["10.20.1.5"][..]), // its zone group empties `customDnsConfigs`
        (FHIR, &["10.30.1.5"]),
        ("contosows-workspace.privatelink.azurehealthcareapis.com", &["10.30.1.4"]),
        (DICOM, &["10.30.1.6"]),
        (SQL, &["NXDOMAIN"]),
    ] {
        server.becomes(name, A, want);
    }
    assert!(server.short(BLOB, AAAA).is_empty(), "the other type of the name is NODATA");
    lab.change("pe-contosodata", |endpoint| endpoint.zone_group = true);
    after_two_readings(&lab);
    assert_eq!(server.short(BLOB, A), ["10.20.1.4"]);
}

#[test]
fn an_approval_is_served_within_one_reading() {
    let mut scenario = scenario();
    scenario.settings.window_ms = 86_400_000;
    let lab = start(scenario);
    let server = serve(&lab);
    // The reading under way may have passed the endpoint. The quota ends with the one after it.
    lab.change("pe-fabrikam-sql", |endpoint| endpoint.state = ConnectionState::Approved);
    let last = u32::try_from(lab.counters().queries + 2 * READING).unwrap();
    lab.adjust(|settings| settings.quota = last);
    server.becomes(SQL, A, &["10.30.1.9"]);
}

#[test]
fn a_rejected_endpoint_and_a_removed_one_lose_their_records() {
    let lab = start(scenario());
    lab.put(endpoint("pe-other", HUB, "10.20.1.8 other.blob.core.windows.net"));
    let server = serve(&lab);
    lab.change("pe-contosodata", |endpoint| endpoint.state = ConnectionState::Rejected);
    server.becomes(BLOB, A, &["NXDOMAIN"]);
    lab.change("pe-contosodata", |endpoint| endpoint.state = ConnectionState::Approved);
    server.becomes(BLOB, A, &["10.20.1.4"]);
    lab.remove("pe-contosodata");
    server.becomes(BLOB, A, &["NXDOMAIN"]);
    assert_eq!(server.short("other.privatelink.blob.core.windows.net", A), ["10.20.1.8"]);
}

#[test]
fn the_last_record_of_a_zone_goes_only_when_the_operator_accepts_it() {
    let lab = start(scenario());
    let server = serve(&lab);
    lab.remove("pe-contosodata");
    server.logged(&["keeping the last good data: it would have no records", "--accept privatelink.blob.core.windows.net"]);
    after_two_readings(&lab);
    assert_eq!(server.short(BLOB, A), ["10.20.1.4"]);
    let strict = server.api(None).get("/ready?strict");
    assert_eq!(strict.status, 503);
    assert!(strict.body.contains("it would have no records"), "{}", strict.body);
    let config = server.file("postern.toml");
    let accepted = run(&["reload", "-c", config.to_str().unwrap(), "--accept", "privatelink.blob.core.windows.net"]);
    assert!(accepted.status.success(), "{accepted:?}");
    server.becomes(BLOB, A, &["NXDOMAIN"]);
    eventually("nothing is wrong", || (server.api(None).get("/ready?strict").status == 200).then_some(()));
    let held = server.log().iter().filter(|line| line.contains("it would have no records")).count();
    assert_eq!(held, 1, "it is logged once");
}

#[test]
fn a_network_has_the_endpoints_of_its_virtual_networks() {
    let lab = start(scenario());
    let id =
        |network: &str| format!("/subscriptions/{HUB}/resourceGroups/rg-network/providers/Microsoft.Network/virtualNetworks/{network}");
    lab.put(SimulatedEndpoint { network: "vnet-spoke".into(), ..endpoint("pe-spoke", HUB, "10.40.1.4 contosodata.blob.core.windows.net") });
    let network = |name: &str, clients: &str| {
        format!("[[network]]\nname = '{name}'\nclients = ['{clients}']\nvirtual-networks = ['{}']\n", id(&format!("vnet-{name}")))
    };
    let zone =
        |network: &str| format!("[[zone]]\nname = 'privatelink.blob.core.windows.net'\nazure = 'contoso'\nnetwork = ['{network}']\n");
    let config = [base(&lab, ""), network("hub", "127.0.0.1/32"), network("spoke", "127.0.0.2/32"), zone("hub"), zone("spoke")].concat();
    let server = Server::with(&[("postern.toml", &config)]);
    let from = |source: &str| harness::short(&server.ask_from(source, BLOB, A));
    eventually("each network has its own address", || {
        (from("127.0.0.1") == ["10.20.1.4"] && from("127.0.0.2") == ["10.40.1.4"]).then_some(())
    });
    assert_eq!(lab.counters().tokens, 1, "both zones share a reader");
}

#[test]
fn the_api_does_not_edit_the_zone_and_says_who_writes_it() {
    let lab = start(scenario());
    let server = serve(&lab);
    let record = serde_json::json!({"ttl": 10, "records": ["10.0.0.1"]});
    let refused = server.api(None).send(
        "PUT",
        "/v1/zones/privatelink.blob.core.windows.net/rrsets/x.privatelink.blob.core.windows.net/A",
        Some(&record),
    );
    assert_eq!(refused.status, 409, "{}", refused.body);
    assert!(refused.body.contains("managed by the Azure reader contoso"), "{}", refused.body);
}

#[test]
fn an_application_proves_itself_with_a_secret_or_a_federated_token() {
    let lab = start(scenario());
    let identity = "tenant = '00000000-0000-0000-0000-00000000c011'\nclient-id = '00000000-0000-0000-0000-00000000c1d0'\n";
    let secret = config(&lab, &format!("identity = 'secret'\nclient-secret-file = 'azure.secret'\n{identity}"));
    let server = Server::with(&[("postern.toml", &secret), ("azure.secret", "wrong\n")]);
    server.logged(&["Azure was not read completely: no token was issued: status 401, AADSTS7000215"]);
    assert_eq!(server.short(BLOB, A), ["SERVFAIL"], "its names must not go public");
    server.write("azure.secret", "not-a-secret\n");
    server.becomes(BLOB, A, &["10.20.1.4"]);

    let workload = config(&lab, &format!("identity = 'workload'\ntoken-file = 'token'\n{identity}"));
    let server = Server::with(&[("postern.toml", &workload), ("token", "aGVhZA.Ym9keQ.c2lnbmF0dXJl")]);
    server.becomes(BLOB, A, &["10.20.1.4"]);
    drop(server);

    // The environment of the Azure SDKs says the rest.
    let directory = tempfile::tempdir().unwrap();
    harness::write_files(
        directory.path(),
        &[("postern.toml", &config(&lab, "identity = 'workload'")), ("token", "aGVhZA.Ym9keQ.c2lnbmF0dXJl")],
    );
    let path = directory.path().to_path_buf();
    let mut command: Command = postern(&["serve", "-c", path.join("postern.toml").to_str().unwrap()]);
    command.env("AZURE_TENANT_ID", "00000000-0000-0000-0000-00000000c011").env("AZURE_CLIENT_ID", "00000000-0000-0000-0000-00000000c1d0");
    command.env("AZURE_FEDERATED_TOKEN_FILE", path.join("token"));
    let server = Server::spawn(command, path, Some(directory));
    server.becomes(BLOB, A, &["10.20.1.4"]);
}

#[test]
fn a_plan_shows_additions_changes_removals_and_what_is_skipped() {
    let lab = start(scenario());
    let mut server = serve(&lab);
    let config = server.file("postern.toml");
    lab.put(endpoint("pe-new", HUB, "10.20.1.9 new.blob.core.windows.net"));
    server.becomes("new.privatelink.blob.core.windows.net", A, &["10.20.1.9"]);
    server.kill();
    lab.change("pe-contosodata", |endpoint| endpoint.addresses = vec!["10.20.1.44 contosodata.blob.core.windows.net".into()]);
    lab.remove("pe-new");
    lab.put(endpoint("pe-added", HUB, "10.20.1.10 added.blob.core.windows.net"));
    lab.put(endpoint("pe-queue", HUB, "10.20.1.11 contosodata.queue.core.windows.net"));
    lab.put(endpoint("pe-partner", HUB, "10.20.1.12 service.fabrikam.com"));
    let planned = run(&["azure", "plan", "-c", config.to_str().unwrap()]);
    let text = String::from_utf8_lossy(&planned.stdout).into_owned();
    assert!(planned.status.success(), "{planned:?}");
    for line in [
        "    + added.privatelink.blob.core.windows.net 10.20.1.10  /subscriptions/00000000-0000-0000-0000-000000000001/",
        "    ~ contosodata.privatelink.blob.core.windows.net 10.20.1.4 -> 10.20.1.44  /subscriptions/",
        "    - new.privatelink.blob.core.windows.net 10.20.1.9\n",
        "  zone privatelink.vaultcore.azure.net, 1 unchanged\n",
        "/privateEndpoints/pe-fabrikam-sql: its connection is Pending\n",
        "/privateEndpoints/pe-queue: no zone `privatelink.queue.core.windows.net` has `azure = \"contoso\"`\n",
        "/privateEndpoints/pe-partner: the zone table has no private-link zone for it\n",
        "1 to add, 1 to change, 1 to remove, 3 skipped\n",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
    let printed = run(&["azure", "plan", "-c", config.to_str().unwrap(), "-o", "json"]);
    let plans: serde_json::Value = serde_json::from_slice(&printed.stdout).unwrap();
    assert_eq!(plans[0]["skipped"].as_array().unwrap().len(), 3);
}
