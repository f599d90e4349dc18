//! The PowerDNS-compatible API of the real program: the thirteen rules that keep its clients working, and what those send that are not
//! driven themselves.

mod clients;
#[path = "../harness/mod.rs"]
mod harness;
mod rules;
mod zones;

use std::net::SocketAddr;

use harness::http::{Http, Reply};
use harness::{Server, field};
use serde_json::{Value, json};

const ZONES: &str = "/api/v1/servers/localhost/zones";
const ZONE: &str = "/api/v1/servers/localhost/zones/contoso.test.";

/// Secrets of the keys in `KEYS`.
const ADMIN: &str = "key-of-an-admin";
const READ: &str = "key-of-a-reader";
const FABRIKAM: &str = "key-of-fabrikam";
const KEYS: &str = "\
admin  admin                  sha256:1bf0a2157c19ecb306fa8d0eea44b09ef6f3b7c28b7a512f7d04c09644a2e563
reader read                   sha256:6524c7f37dad2bad18dbedd2914908c13376680b4572a2979c547a9eb8e3632b
team   records=fabrikam.test  sha256:0c3c6817a9fa5cdb69f02711b19c551e3ad25615d605492efb49a6867df1553a
";

const CONFIG: &str = r#"
[server]
listen = ["127.0.0.1:0"]
state  = "state"

[api]
listen   = "127.0.0.1:0"
key-file = "api.key"

[[network]]
name    = "hub"
clients = ["127.0.0.0/8"]

[[network]]
name    = "spoke"
clients = ["10.30.0.0/16"]

[[zone]]
name = "files.test"
file = "files.zone"

[[zone]]
name    = "twice.test"
network = ["hub"]
api     = true

[[zone]]
name    = "twice.test"
network = ["spoke"]
api     = true

[[forward]]
zone      = "."
upstreams = ["127.0.0.1:9"]
"#;

/// Asks as clients of PowerDNS do, with the key in `X-API-Key`; one request a connection.
#[derive(Clone)]
struct Api {
    address: SocketAddr,
    key: String,
}

impl Api {
    fn of(server: &Server, key: &str) -> Self {
        let line = server.logged(&["the API listens", "address="]);
        Self { address: field(&line, "address").unwrap().parse().unwrap(), key: key.into() }
    }

    fn with_key(&self, key: &str) -> Self {
        Self { key: key.into(), ..self.clone() }
    }

    fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Reply {
        let key = [("X-API-Key", self.key.as_str())];
        let headers: Vec<_> = headers.iter().copied().chain(key.into_iter().filter(|(_, key)| !key.is_empty())).collect();
        Http::tcp(self.address, None).raw(method, path, &headers, body).expect("an answer")
    }

    fn ask(&self, method: &str, path: &str, body: Value) -> Reply {
        match body {
            Value::Null => self.send(method, path, &[], ""),
            body => self.send(method, path, &[("Content-Type", "application/json")], &body.to_string()),
        }
    }

    fn get(&self, path: &str) -> Value {
        self.ask("GET", path, Value::Null).ok(200)
    }
}

fn server() -> (Server, Api) {
    let server = Server::with(&[("postern.toml", CONFIG), ("files.zone", "www 60 IN A 10.0.0.1\n"), ("api.key", KEYS)]);
    let api = Api::of(&server, ADMIN);
    (server, api)
}

/// A server with an empty zone `contoso.test`.
fn contoso() -> (Server, Api) {
    let (server, api) = server();
    make(&api, "contoso.test.");
    (server, api)
}

fn make(api: &Api, name: &str) -> Value {
    api.ask("POST", ZONES, json!({ "name": name, "kind": "Native", "nameservers": [] })).ok(201)
}

fn rrset(name: &str, kind: &str, contents: &[&str]) -> Value {
    let records: Vec<Value> = contents.iter().map(|content| json!({ "content": content, "disabled": false })).collect();
    json!({ "name": name, "type": kind, "ttl": 60, "changetype": "REPLACE", "records": records })
}

fn delete(name: &str, kind: &str) -> Value {
    json!({ "name": name, "type": kind, "changetype": "DELETE" })
}

fn patch(api: &Api, rrsets: Value) -> Reply {
    api.ask("PATCH", ZONE, json!({ "rrsets": rrsets }))
}

/// Contents of an RRset as it is read back; none: there is none.
fn contents(api: &Api, name: &str, kind: &str) -> Option<Vec<String>> {
    let zone = api.get(ZONE);
    let set = zone["rrsets"].as_array().unwrap().iter().find(|set| set["name"] == name && set["type"] == kind)?;
    Some(set["records"].as_array().unwrap().iter().map(|record| record["content"].as_str().unwrap().to_owned()).collect())
}
