//! The simulated Azure, asked as a tool asks the real one.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use postern_lab::azure::{AzureFaults, AzureLab, AzureScenario, ConnectionState, EstateSettings, GeneratedEstate};
use serde_json::{Value, json};

const ENDPOINTS: &str =
    "resources | where type =~ 'microsoft.network/privateendpoints' | project id, subnet = tostring(properties.subnet.id)";
const INTERFACES: &str = "resources | where type =~ 'Microsoft.Network/networkInterfaces'";

struct Client {
    address: SocketAddr,
    token: String,
}

/// Head and body of an answer. The body may be shorter than announced.
struct Answer {
    head: String,
    body: Vec<u8>,
}

fn send(address: SocketAddr, head: &str, body: &str) -> Answer {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "{head}\r\nhost: lab\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}", body.len()).unwrap();
    let mut octets = Vec::new();
    let _ = stream.read_to_end(&mut octets); // a cut answer may end with a reset
    let end = octets.windows(4).position(|four| four == b"\r\n\r\n").expect("a head");
    Answer { head: String::from_utf8_lossy(&octets[..end]).to_lowercase(), body: octets[end + 4..].to_vec() }
}

impl Client {
    fn new(lab: &AzureLab) -> Self {
        let path = "/metadata/identity/oauth2/token?api-version=2018-02-01&resource=https%3A%2F%2Fmanagement.azure.com%2F";
        let answer = send(lab.address(), &format!("GET {path} HTTP/1.1\r\nmetadata: true"), "");
        Self { address: lab.address(), token: answer.json()["access_token"].as_str().expect("a token").to_owned() }
    }

    fn ask(&self, body: &Value) -> Answer {
        let head = "POST /providers/Microsoft.ResourceGraph/resources?api-version=2022-10-01 HTTP/1.1\r\nauthorization: Bearer ";
        send(self.address, &format!("{head}{}", self.token), &body.to_string())
    }
}

impl Answer {
    fn status(&self) -> u16 {
        self.head.split(' ').nth(1).unwrap().parse().unwrap()
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }
}

fn start(scenario: AzureScenario) -> AzureLab {
    AzureLab::start(scenario, "127.0.0.1:0".parse().unwrap()).unwrap()
}

#[test]
fn a_query_returns_the_resources_that_it_names_with_the_columns_that_it_projects() {
    let lab = start(AzureScenario::contoso());
    let client = Client::new(&lab);
    let answer = client.ask(&json!({"query": ENDPOINTS})).json();
    assert_eq!((&answer["totalRecords"], &answer["count"]), (&json!(4), &json!(4)));
    let first = &answer["data"][0];
    assert!(first["subnet"].as_str().unwrap().ends_with("/virtualNetworks/vnet-hub/subnets/snet-endpoints"), "{first}");
    assert_eq!(first.as_object().unwrap().len(), 2);
    let interfaces = client.ask(&json!({"query": INTERFACES})).json();
    let names = |row: &Value| row["properties"]["ipConfigurations"][0]["properties"]["privateLinkConnectionProperties"]["fqdns"].clone();
    assert!(interfaces["data"].as_array().unwrap().iter().any(|row| names(row) == json!(["contoso-kv.vault.azure.net"])));
    assert_eq!(client.ask(&json!({"query": "resources | where type =~ 'microsoft.compute/disks'"})).status(), 400);
}

#[test]
fn pages_follow_each_other_by_skip_token_and_the_quota_is_counted_down() {
    let generate = Some(GeneratedEstate { endpoints: 25, subscriptions: 3 });
    let settings = EstateSettings { quota: 4, window_ms: 600_000, ..EstateSettings::default() };
    let lab = start(AzureScenario { generate, settings, ..AzureScenario::default() });
    let client = Client::new(&lab);
    let (mut ids, mut skip) = (Vec::new(), Value::Null);
    for remaining in ["3", "2", "1"] {
        let mut query = json!({"query": ENDPOINTS, "options": {"$top": 10}});
        if !skip.is_null() {
            query["options"]["$skipToken"] = skip;
        }
        let answer = client.ask(&query);
        assert_eq!(answer.header("x-ms-user-quota-remaining"), Some(remaining));
        assert_eq!(answer.header("x-ms-user-quota-resets-after"), Some("00:10:00"));
        let page = answer.json();
        ids.extend(page["data"].as_array().unwrap().iter().map(|row| row["id"].as_str().unwrap().to_owned()));
        skip = page["$skipToken"].clone();
    }
    assert!(skip.is_null() && ids.is_sorted());
    ids.dedup();
    assert_eq!(ids.len(), 25);
    assert_eq!(client.ask(&json!({"query": ENDPOINTS})).status(), 200);
    let refused = client.ask(&json!({"query": ENDPOINTS}));
    assert_eq!((refused.status(), refused.header("x-ms-user-quota-remaining")), (429, Some("0")));
    assert!(refused.header("retry-after").unwrap().parse::<u64>().unwrap() > 500);
    assert_eq!(lab.counters().throttled, 1);
}

#[test]
fn tokens_need_the_identity_and_expire() {
    let mut scenario = AzureScenario::contoso();
    scenario.settings.token_seconds = 0;
    let lab = start(scenario);
    let form = |secret: &str| {
        let scope = "grant_type=client_credentials&scope=https%3A%2F%2Fmanagement.azure.com%2F.default";
        let body = format!("{scope}&client_id=00000000-0000-0000-0000-00000000c1d0&client_secret={secret}");
        send(lab.address(), "POST /00000000-0000-0000-0000-00000000c011/oauth2/v2.0/token HTTP/1.1", &body)
    };
    assert_eq!(form("wrong").status(), 401);
    let token = form("not-a-secret").json()["access_token"].as_str().unwrap().to_owned();
    let client = Client { address: lab.address(), token };
    assert_eq!(client.ask(&json!({"query": ENDPOINTS})).status(), 401, "it has expired");
    let unlabeled = send(lab.address(), "GET /metadata/identity/oauth2/token?api-version=2018-02-01&resource=x HTTP/1.1", "");
    assert_eq!(unlabeled.status(), 400, "IMDS needs the header");
}

#[test]
fn a_forbidden_subscription_is_refused_if_it_is_named_and_missing_otherwise() {
    let lab = start(AzureScenario::contoso());
    let client = Client::new(&lab);
    let health = "00000000-0000-0000-0000-000000000002";
    lab.set(AzureFaults { forbidden: vec![health.into()], ..AzureFaults::default() });
    assert_eq!(client.ask(&json!({"query": ENDPOINTS, "subscriptions": [health]})).status(), 403);
    assert_eq!(client.ask(&json!({"query": ENDPOINTS})).json()["count"], 2);
    assert_eq!(client.ask(&json!({"query": ENDPOINTS, "managementGroups": ["contoso"]})).json()["count"], 2);
}

#[test]
fn a_change_becomes_visible_after_the_lag() {
    let mut scenario = AzureScenario::contoso();
    scenario.settings.lag_ms = 3_600_000;
    let lab = start(scenario);
    let client = Client::new(&lab);
    lab.change("pe-fabrikam-sql", |endpoint| endpoint.state = ConnectionState::Approved);
    let states = || {
        let answer = client.ask(&json!({"query": "resources | where type =~ 'microsoft.network/privateendpoints'"})).json();
        let pending = "\"status\":\"Pending\"";
        answer.to_string().contains(pending)
    };
    assert!(states());
    lab.adjust(|settings| settings.lag_ms = 0);
    assert!(!states());
}

#[test]
fn faults_are_changed_over_http() {
    let lab = start(AzureScenario::contoso());
    let client = Client::new(&lab);
    let set = |faults: &str| send(lab.address(), "PUT /lab/faults HTTP/1.1", faults).status();
    assert_eq!(set(r#"{"cut": true}"#), 200);
    let cut = client.ask(&json!({"query": ENDPOINTS}));
    assert!(cut.body.len() < cut.header("content-length").unwrap().parse().unwrap());
    assert_eq!(set(r#"{"status": 503, "count": 1}"#), 200);
    assert_eq!(client.ask(&json!({"query": ENDPOINTS})).status(), 503);
    assert_eq!(client.ask(&json!({"query": ENDPOINTS})).status(), 200);
    assert_eq!(set(r#"{"cuts": true}"#), 400);
    let endpoint =
        r#"{"name": "pe-new", "subscription": "00000000-0000-0000-0000-000000000001", "addresses": ["10.20.1.9 new.vault.azure.net"]}"#;
    assert_eq!(send(lab.address(), "PUT /lab/endpoints HTTP/1.1", endpoint).status(), 200);
    assert_eq!(client.ask(&json!({"query": ENDPOINTS})).json()["count"], 5);
    assert_eq!(send(lab.address(), "DELETE /lab/endpoints/pe-new HTTP/1.1", "").status(), 200);
    assert_eq!(send(lab.address(), "GET /lab/counters HTTP/1.1", "").json()["struck"], 2);
}

#[test]
fn a_wrong_scenario_is_refused_with_its_place() {
    let unknown = AzureScenario::parse("seed = 1\nlag = 3\n", "estate.toml").unwrap_err().to_string();
    assert!(unknown.starts_with("estate.toml:2:1: error: unknown field `lag`"), "{unknown}");
    let homeless = AzureScenario::parse("[[endpoint]]\nname = 'pe'\nsubscription = 'x'\n", "estate.toml").unwrap_err().to_string();
    assert!(homeless.contains("there is no subscription `x`"), "{homeless}");
}
