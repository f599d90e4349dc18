//! The PowerDNS-compatible API of the real program: the thirteen rules that keep its clients working, and what those send that are not
//! driven themselves.

mod harness;

use std::fmt::Write;
use std::net::SocketAddr;

use harness::http::{Http, Reply};
use harness::{Server, field, postern};
use hickory_proto::rr::RecordType;
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

#[test]
fn rule_1_a_zone_is_found_by_every_form_of_its_id() {
    let (_server, api) = contoso();
    for id in ["contoso.test.", "contoso.test", "CONTOSO.Test.", "contoso=2Etest=2E", "contoso=2etest", "contoso%2Etest", "c%6Fntoso.test"]
    {
        let zone = api.get(&format!("{ZONES}/{id}"));
        assert_eq!((&zone["id"], &zone["name"], &zone["url"]), (&json!("contoso.test."), &json!("contoso.test."), &json!(ZONE)), "{id}");
    }
}

#[test]
fn rule_2_unknown_keys_and_null_do_no_harm() {
    let (_server, api) = server();
    let zone = json!({
        "name": "contoso.test.", "kind": "Native", "id": "", "url": "", "type": "", "dnssec": false, "serial": 0, "notified_serial": 0,
        "catalog": "", "masters": null, "nameservers": null, "rrsets": null, "account": null, "master_tsig_key_ids": null,
        "soa_edit_api": "DEFAULT", "later": { "x": [1] },
    });
    api.ask("POST", ZONES, zone).ok(201);
    let mut set = rrset("www.contoso.test.", "A", &["10.0.0.1"]);
    set["comments"] = Value::Null;
    set["set-ptr"] = false.into();
    set["records"][0]["name"] = "www.contoso.test.".into();
    set["records"][0]["ttl"] = 60.into();
    patch(&api, json!([set])).ok(204);
    assert_eq!(contents(&api, "www.contoso.test.", "A").unwrap(), ["10.0.0.1"]);
}

#[test]
fn rule_3_words_are_read_in_any_case_and_written_as_powerdns_writes_them() {
    let (_server, api) = server();
    for (number, (kind, shown)) in [("native", "Native"), ("MASTER", "Master"), ("Primary", "Master")].into_iter().enumerate() {
        let zone = json!({ "name": format!("z{number}.test."), "kind": kind, "soa_edit_api": "default", "nameservers": [] });
        let zone = api.ask("POST", ZONES, zone).ok(201);
        assert_eq!((&zone["kind"], &zone["soa_edit_api"]), (&json!(shown), &json!("default")));
    }
    make(&api, "contoso.test.");
    for change in ["replace", "Replace", "DELETE", "delete", "extend", "Prune"] {
        let mut set = rrset("Www.Contoso.Test.", "a", &["10.0.0.1"]);
        set["changetype"] = change.into();
        patch(&api, json!([set])).ok(204);
    }
}

#[test]
fn rule_4_a_body_with_get_is_no_matter() {
    let (_server, api) = contoso();
    for body in ["{}", "no JSON"] {
        assert_eq!(api.send("GET", ZONE, &[("Content-Type", "application/json")], body).ok(200)["name"], "contoso.test.");
    }
}

#[test]
fn rule_5_delete_takes_records_and_ttl_or_leaves_them_out() {
    let (server, api) = contoso();
    let with = |more: Value| {
        let mut set = delete("www.contoso.test.", "A");
        set.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        set
    };
    for set in [
        with(json!({})),
        with(json!({ "ttl": 0, "records": [] })),
        with(json!({ "ttl": 60, "records": [{ "content": "10.0.0.1", "disabled": false }] })),
        with(json!({ "records": null })),
    ] {
        patch(&api, json!([rrset("www.contoso.test.", "A", &["10.0.0.1"])])).ok(204);
        assert_eq!(server.short("www.contoso.test", RecordType::A), ["10.0.0.1"]);
        patch(&api, json!([set])).ok(204);
        assert_eq!(contents(&api, "www.contoso.test.", "A"), None);
    }
}

#[test]
fn rule_6_a_patch_is_made_whole_or_not_at_all() {
    let (server, api) = contoso();
    patch(&api, json!([rrset("www.contoso.test.", "A", &["10.0.0.1"])])).ok(204);
    let serial = api.get(ZONE)["serial"].clone();
    let refused = patch(
        &api,
        json!([
            delete("www.contoso.test.", "A"),
            rrset("b.contoso.test.", "A", &["10.0.0.2"]),
            rrset("c.contoso.test.", "CNAME", &["a.", "b."])
        ]),
    );
    assert_eq!(refused.ok(422), json!({ "error": "RRset c.contoso.test. IN CNAME has more than one record" }));
    assert_eq!(
        (contents(&api, "www.contoso.test.", "A").is_some(), contents(&api, "b.contoso.test.", "A"), api.get(ZONE)["serial"].clone()),
        (true, None, serial)
    );
    patch(&api, json!([delete("www.contoso.test.", "A"), rrset("www.contoso.test.", "CNAME", &["host.contoso.test."])])).ok(204);
    assert_eq!(server.short("www.contoso.test", RecordType::CNAME), ["host.contoso.test."]);
    patch(&api, json!([delete("www.contoso.test.", "CNAME"), rrset("www.contoso.test.", "A", &["10.0.0.3"])])).ok(204);
    assert_eq!(server.short("www.contoso.test", RecordType::A), ["10.0.0.3"]);
    let refused = patch(&api, json!([rrset("www.contoso.test.", "CNAME", &["host.contoso.test."])]));
    assert_eq!(refused.ok(422)["error"], "RRset www.contoso.test. IN CNAME: Conflicts with pre-existing RRset");
}

#[test]
fn rule_6_extend_and_prune_see_what_went_before_in_the_same_request() {
    let (_server, api) = contoso();
    let change = |change: &str, content: &str| {
        let mut set = rrset("www.contoso.test.", "A", &[content]);
        set["changetype"] = change.into();
        set
    };
    let sets = [
        change("REPLACE", "10.0.0.1"),
        change("EXTEND", "10.0.0.2"),
        change("EXTEND", "10.0.0.2"),
        change("EXTEND", "10.0.0.3"),
        change("PRUNE", "10.0.0.1"),
        change("PRUNE", "10.0.0.9"),
    ];
    patch(&api, json!(sets)).ok(204);
    let mut got = contents(&api, "www.contoso.test.", "A").unwrap();
    got.sort();
    assert_eq!(got, ["10.0.0.2", "10.0.0.3"]);
    let mut none = change("EXTEND", "10.0.0.1");
    none["records"] = json!([]);
    assert_eq!(patch(&api, json!([none])).ok(422)["error"], "Exactly one record should be provided for PRUNE or EXTEND operation");
}

#[test]
fn rule_7_records_have_two_keys_and_every_rrset_has_comments() {
    let (_server, api) = contoso();
    let mut noted = rrset("noted.contoso.test.", "A", &["10.0.0.2"]);
    noted["comments"] = json!([{ "content": "why", "account": "ops" }]);
    patch(&api, json!([rrset("www.contoso.test.", "A", &["10.0.0.1"]), noted])).ok(204);
    let zone = api.get(ZONE);
    for set in zone["rrsets"].as_array().unwrap() {
        let keys: Vec<&String> = set.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["comments", "name", "records", "ttl", "type"]);
        assert!(set["comments"].is_array());
        for record in set["records"].as_array().unwrap() {
            assert_eq!(record.as_object().unwrap().keys().collect::<Vec<_>>(), ["content", "disabled"]);
        }
    }
    for key in ["masters", "kind", "serial", "notified_serial", "last_check", "dnssec", "account", "catalog", "edited_serial"] {
        assert!(zone.get(key).is_some() && api.get(ZONES)[0].get(key).is_some(), "{key}");
    }
}

#[test]
fn rule_8_txt_keeps_its_quoted_form() {
    let (server, api) = contoso();
    let long = format!("\"{}\"", "x".repeat(300));
    let texts = ["\"a\" \"b\"", "\"semi;colon\"", "\"escaped\\;colon\"", "\"ü\"", &long];
    patch(&api, json!([rrset("t.contoso.test.", "TXT", &texts)])).ok(204);
    assert_eq!(contents(&api, "t.contoso.test.", "TXT").unwrap(), texts);
    assert_eq!(server.ask("t.contoso.test", RecordType::TXT).answers.len(), 5);
    assert!(patch(&api, json!([rrset("t.contoso.test.", "TXT", &["plain"])])).body.contains("parsed as '\\\"plain\\\"'"));
}

#[test]
fn rule_9_the_content_type_is_exactly_application_json() {
    let (_server, api) = contoso();
    let nobody = api.with_key("");
    for (reply, status) in [
        (api.ask("GET", ZONE, Value::Null), 200),
        (patch(&api, json!(null)), 422),
        (api.send("PATCH", ZONE, &[], "{"), 400),
        (nobody.ask("GET", ZONE, Value::Null), 401),
        (nobody.with_key("wrong").ask("GET", ZONES, Value::Null), 401),
        (api.with_key(READ).ask("PATCH", ZONE, json!({ "rrsets": [] })), 403),
        (api.ask("GET", &format!("{ZONES}/nowhere.test."), Value::Null), 404),
        (api.ask("GET", "/api/v1/servers/elsewhere", Value::Null), 404),
        (api.ask("POST", ZONE, json!({})), 405),
        (api.ask("POST", ZONES, json!({ "name": "contoso.test.", "kind": "Native" })), 409),
    ] {
        assert_eq!((reply.status, reply.header("content-type")), (status, "application/json"), "{}", reply.body);
        assert!(status == 200 || reply.json()["error"].as_str().is_some_and(|text| !text.is_empty()), "{}", reply.body);
        assert!(status != 401 || reply.header("www-authenticate") == "X-API-Key realm=\"PowerDNS\"");
    }
}

#[test]
fn rule_9_holds_for_requests_that_are_too_many_or_too_large() {
    let config = CONFIG.replace("key-file = \"api.key\"", "key-file = \"api.key\"\nrate = 3\nmax-body = \"1KiB\"");
    let server = Server::with(&[("postern.toml", &config), ("files.zone", "www 60 IN A 10.0.0.1\n"), ("api.key", KEYS)]);
    let api = Api::of(&server, ADMIN);
    let large = api.ask("PATCH", ZONE, json!({ "rrsets": ["x".repeat(2_000)] }));
    let replies = Http::tcp(api.address, None).flood(50, ZONES, &[("X-API-Key", ADMIN)]);
    let many = replies.into_iter().find(|reply| reply.status == 429).expect("one request too many");
    for (reply, status) in [(large, 413), (many, 429)] {
        assert_eq!((reply.status, reply.header("content-type")), (status, "application/json"), "{}", reply.body);
        assert!(reply.json()["error"].is_string());
        assert_eq!(reply.header("retry-after"), if status == 429 { "1" } else { "" });
    }
}

#[test]
fn rule_10_the_version_begins_with_three_numbers_of_at_least_4_5() {
    let (_server, api) = server();
    let server = api.get("/api/v1/servers/localhost");
    assert_eq!(api.get("/api/v1/servers"), json!([server]));
    let version = server["version"].as_str().unwrap();
    let numbers: Vec<u32> = version.split('.').take(3).map(|part| part.split('-').next().unwrap().parse().unwrap()).collect();
    assert!(numbers.len() == 3 && numbers >= vec![4, 5, 0] && version.contains("postern"), "{version}");
}

#[test]
fn rule_11_answers_are_compressed_for_those_who_ask() {
    let (_server, api) = contoso();
    let names: Vec<Value> = (0..200).map(|number| rrset(&format!("host-{number}.contoso.test."), "A", &["10.0.0.1"])).collect();
    patch(&api, json!(names)).ok(204);
    let plain = api.ask("GET", ZONE, Value::Null);
    let packed = api.send("GET", ZONE, &[("Accept-Encoding", "gzip")], "");
    assert_eq!((plain.header("content-encoding"), packed.header("content-encoding")), ("", "gzip"));
    assert!(packed.body.starts_with('\x1f'), "{}", packed.body);
    assert_eq!(packed.header("content-type"), "application/json");
    assert!(packed.body.len() * 5 < plain.body.len(), "{} of {}", packed.body.len(), plain.body.len());
}

#[test]
fn rule_12_a_slash_in_a_name_is_part_of_the_id() {
    let (_server, api) = server();
    assert_eq!(make(&api, "0/25.2.0.192.in-addr.arpa.")["id"], "0=2F25.2.0.192.in-addr.arpa.");
    for id in [
        "0=2F25.2.0.192.in-addr.arpa.",
        "0%2F25.2.0.192.in-addr.arpa.",
        "0%2f25.2.0.192.in-addr.arpa",
        "0=2f25=2E2=2E0=2E192=2Ein-addr=2Earpa=2E",
    ] {
        let path = format!("{ZONES}/{id}");
        assert_eq!(api.get(&path)["name"], "0/25.2.0.192.in-addr.arpa.", "{id}");
        let set = rrset("1.0/25.2.0.192.in-addr.arpa.", "PTR", &["host.contoso.test."]);
        api.ask("PATCH", &path, json!({ "rrsets": [set] })).ok(204);
    }
    let zone = api.get(&format!("{ZONES}/0%2F25.2.0.192.in-addr.arpa.?rrset_name=1.0/25.2.0.192.in-addr.arpa."));
    assert_eq!(zone["rrsets"][0]["records"][0]["content"], "host.contoso.test.");
    api.ask("PUT", &format!("{ZONES}/0%2F25.2.0.192.in-addr.arpa./notify"), Value::Null).ok(200);
}

#[test]
fn rule_13_a_patch_of_a_zone_that_is_not_there_is_404() {
    let (_server, api) = server();
    let reply = api.ask("PATCH", &format!("{ZONES}/contoso.test."), json!({ "rrsets": [rrset("www.contoso.test.", "A", &["10.0.0.1"])] }));
    assert_eq!(reply.ok(404)["error"], "Could not find domain 'contoso.test.'");
}

#[test]
fn a_zone_of_a_file_is_read_and_refused_for_writing_with_the_files_name() {
    let (server, api) = server();
    let path = format!("{ZONES}/files.test.");
    assert_eq!(api.get(&path)["rrsets"].as_array().unwrap().iter().filter(|set| set["type"] == "A").count(), 1);
    assert!(api.ask("GET", &format!("{path}/export"), Value::Null).body.contains("www.files.test.\t60\tIN\tA\t10.0.0.1\n"));
    let file = server.file("files.zone").display().to_string();
    let set = json!({ "rrsets": [rrset("www.files.test.", "A", &["10.0.0.2"])] });
    for reply in [
        api.ask("PATCH", &path, set),
        api.ask("PUT", &path, json!({ "account": "x" })),
        api.ask("PUT", &format!("{path}/metadata/X-A"), json!({ "metadata": ["1"] })),
    ] {
        assert!(reply.ok(422).to_string().contains(&file), "{}", reply.body);
    }
    api.ask("DELETE", &path, Value::Null).ok(422);
    assert_eq!(server.short("www.files.test", RecordType::A), ["10.0.0.1"]);
}

#[test]
fn zones_of_one_name_have_ids_with_their_network() {
    let (server, api) = server();
    let zones = api.get(&format!("{ZONES}?zone=twice.test."));
    let ids: Vec<&str> = zones.as_array().unwrap().iter().map(|zone| zone["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["twice.test.@hub", "twice.test.@spoke"]);
    let refused = api.ask("GET", &format!("{ZONES}/twice.test."), Value::Null).ok(422).to_string();
    assert!(refused.contains("twice.test.@hub") && refused.contains("twice.test.@spoke"), "{refused}");
    for (id, address) in [("twice.test.@hub", "10.0.0.1"), ("twice.test.@spoke.", "10.0.0.2"), ("twice.test=40hub", "10.0.0.3")] {
        api.ask("PATCH", &format!("{ZONES}/{id}"), json!({ "rrsets": [rrset("www.twice.test.", "A", &[address])] })).ok(204);
    }
    assert_eq!(server.short("www.twice.test", RecordType::A), ["10.0.0.3"]);
    assert_eq!(make(&api, "here.test.@spoke")["id"], "here.test.");
    assert_eq!(
        server.short("www.here.test", RecordType::A),
        ["SERVFAIL"],
        "it is linked to another network than ours, and upstream is nobody"
    );
}

#[test]
fn a_new_zone_is_found_where_its_url_says_whatever_stands_in_its_name() {
    let (_server, api) = server();
    for (name, id) in [
        ("0/25.2.0.192.in-addr.arpa.", "0=2F25.2.0.192.in-addr.arpa."),
        ("here.test.@spoke", "here.test."),
        ("_x.twins.test.@hub", "=5Fx.twins.test."),
        ("_x.twins.test.@spoke", "=5Fx.twins.test.@spoke"),
        (".", "=2E"),
    ] {
        let made = make(&api, name);
        assert_eq!((&made["id"], &made["url"]), (&json!(id), &json!(format!("{ZONES}/{id}"))), "{name}");
        assert_eq!(api.get(made["url"].as_str().unwrap())["id"], id);
    }
}

#[test]
fn what_is_kept_beside_records_survives_a_kill() {
    let (mut server, api) = contoso();
    let mut set = rrset("www.contoso.test.", "A", &["10.0.0.1", "10.0.0.2"]);
    set["records"][1]["disabled"] = true.into();
    set["comments"] = json!([{ "content": "why", "account": "ops" }]);
    patch(&api, json!([set, rrset("t.contoso.test.", "TXT", &["\"a\\;b\""])])).ok(204);
    api.ask("PUT", ZONE, json!({ "account": "ops", "kind": "Master", "soa_edit_api": "EPOCH" })).ok(204);
    api.ask("PUT", &format!("{ZONE}/metadata/X-TEAM"), json!({ "metadata": ["net"] })).ok(200);
    let before = api.get(ZONE);
    assert_eq!(server.short("www.contoso.test", RecordType::A), ["10.0.0.1"], "the other one is not served");
    server.signal("KILL");
    server.wait();
    let config = server.file("postern.toml");
    let again = Server::spawn(postern(&["serve", "-c", config.to_str().unwrap()]), server.path().to_path_buf(), None);
    let api = Api::of(&again, ADMIN);
    let sorted = |mut zone: Value| {
        zone["rrsets"].as_array_mut().unwrap().sort_by_key(Value::to_string);
        zone
    };
    assert_eq!(sorted(api.get(ZONE)), sorted(before));
    assert_eq!(api.get(&format!("{ZONE}/metadata/X-TEAM"))["metadata"], json!(["net"]));
    assert_eq!(contents(&api, "t.contoso.test.", "TXT").unwrap(), ["\"a\\;b\""]);
}

#[test]
fn allow_axfr_from_lets_a_secondary_have_the_zone() {
    let (server, api) = contoso();
    patch(&api, json!([rrset("www.contoso.test.", "A", &["10.0.0.1"])])).ok(204);
    let transfer = || server.ask_tcp("contoso.test", RecordType::AXFR);
    assert_eq!(transfer().answers.len(), 0, "nobody may");
    let path = format!("{ZONE}/metadata/ALLOW-AXFR-FROM");
    assert!(api.ask("PUT", &path, json!({ "metadata": ["AUTO-NS"] })).ok(422).to_string().contains("AUTO-NS"));
    api.ask("PUT", &path, json!({ "metadata": ["127.0.0.0/8"] })).ok(200);
    let records = transfer().answers;
    assert!(records.len() >= 3 && records.iter().any(|record| record.record_type() == RecordType::A), "{records:?}");
    api.ask("DELETE", &path, Value::Null).ok(204);
    assert_eq!(transfer().answers.len(), 0, "nobody may any more");
}

#[test]
fn a_key_reaches_its_zones_and_no_further() {
    let (_server, api) = contoso();
    make(&api, "fabrikam.test.");
    let (reader, team) = (api.with_key(READ), api.with_key(FABRIKAM));
    let fabrikam = format!("{ZONES}/fabrikam.test.");
    let set = json!({ "rrsets": [rrset("www.fabrikam.test.", "A", &["10.0.0.1"])] });
    let new = json!({ "name": "new.test.", "kind": "Native", "nameservers": [] });
    for (who, method, path, body, status) in [
        (&reader, "GET", fabrikam.as_str(), Value::Null, 200),
        (&reader, "PATCH", &fabrikam, set.clone(), 403),
        (&reader, "PUT", &fabrikam, json!({ "account": "x" }), 403),
        (&reader, "DELETE", &fabrikam, Value::Null, 403),
        (&reader, "POST", ZONES, new.clone(), 403),
        (&team, "PATCH", &fabrikam, set.clone(), 204),
        (&team, "GET", &fabrikam, Value::Null, 200),
        (&team, "GET", ZONE, Value::Null, 404),
        (&team, "PATCH", ZONE, set.clone(), 404),
        (&team, "PUT", &format!("{fabrikam}/metadata/X-TEAM"), json!({ "metadata": ["net"] }), 200),
        (&team, "PUT", &format!("{fabrikam}/metadata/ALLOW-AXFR-FROM"), json!({ "metadata": ["0.0.0.0/0"] }), 403),
        (&team, "POST", &format!("{fabrikam}/metadata"), json!({ "kind": "ALSO-NOTIFY", "metadata": ["192.0.2.1"] }), 403),
        (&team, "POST", ZONES, new, 403),
        (&team, "DELETE", &fabrikam, Value::Null, 403),
        (&team, "PUT", "/api/v1/servers/localhost/cache/flush?domain=contoso.test.", Value::Null, 403),
        (&team, "GET", "/api/v1/servers/localhost/statistics", Value::Null, 403),
        (&team, "GET", "/api/v1/servers/localhost/config", Value::Null, 200),
    ] {
        let reply = who.ask(method, path, body);
        assert_eq!(reply.status, status, "{method} {path}: {}", reply.body);
    }
    let seen = team.get(ZONES);
    assert_eq!(seen.as_array().unwrap().iter().map(|zone| &zone["id"]).collect::<Vec<_>>(), ["fabrikam.test."]);
    assert!(team.get("/api/v1/servers/localhost/search-data?q=*contoso*").as_array().unwrap().is_empty());
}

#[test]
fn what_external_dns_sends_is_answered() {
    let (server, api) = contoso();
    let send =
        |change: &str, body: Value| api.ask("PATCH", ZONE, json!({ "rrsets": [body] })).ok(if change.is_empty() { 422 } else { 204 });
    for zone in api.get(ZONES).as_array().unwrap().iter().filter(|zone| zone["name"] != "twice.test.") {
        assert!(api.get(&format!("{ZONES}/{}", zone["id"].as_str().unwrap()))["rrsets"].is_array());
    }
    let record = |content: &str| json!([{ "content": content, "disabled": false }]);
    send(
        "REPLACE",
        json!({ "name": "app.contoso.test.", "type": "A", "ttl": 300, "changetype": "REPLACE", "records": record("10.0.0.1") }),
    );
    let heritage = "\"heritage=external-dns,external-dns/owner=default,external-dns/resource=ingress/default/app\"";
    send(
        "REPLACE",
        json!({ "name": "a-app.contoso.test.", "type": "TXT", "ttl": 300, "changetype": "REPLACE", "records": record(heritage) }),
    );
    assert_eq!(
        (server.short("app.contoso.test", RecordType::A), contents(&api, "a-app.contoso.test.", "TXT").unwrap()),
        (vec!["10.0.0.1".into()], vec![heritage.into()])
    );
    send("DELETE", json!({ "name": "app.contoso.test.", "type": "A", "changetype": "DELETE", "records": record("10.0.0.1") }));
    assert_eq!(contents(&api, "app.contoso.test.", "A"), None);
    let alias = send(
        "",
        json!({ "name": "contoso.test.", "type": "ALIAS", "ttl": 300, "changetype": "REPLACE", "records": record("app.contoso.test.") }),
    );
    assert!(alias.to_string().contains("ALIAS is not served here"), "{}", alias);
}

#[test]
fn what_terraform_sends_is_answered() {
    let (server, api) = server();
    assert!(api.get("/api/v1/servers").is_array());
    assert!(api.get("/api/v1/servers/localhost")["version"].is_string());
    let zone = json!({
        "id": "", "name": "contoso.test.", "url": "", "kind": "Native", "dnssec": false, "serial": 0, "account": "admin",
        "nameservers": ["ns1.contoso.test.", "ns2.contoso.test."], "soa_edit_api": "DEFAULT",
    });
    assert_eq!(api.ask("POST", ZONES, zone).ok(201)["account"], "admin");
    let record = |address: &str| {
        let more = json!({ "name": "www.contoso.test.", "type": "A", "ttl": 300, "content": address, "disabled": false, "set-ptr": false });
        json!([{ "name": "www.contoso.test.", "type": "A", "ttl": 300, "changetype": "REPLACE", "records": [more] }])
    };
    patch(&api, record("10.0.0.1")).ok(204);
    // A change is two requests.
    patch(&api, json!([{ "name": "www.contoso.test.", "type": "A", "ttl": 0, "changetype": "DELETE" }])).ok(204);
    let reply = patch(&api, record("10.0.0.2"));
    let serial = |name: &str| reply.header(name).parse::<u32>().unwrap();
    assert_eq!(serial("x-pdns-new-serial"), serial("x-pdns-old-serial") + 1);
    assert_eq!(server.short("www.contoso.test", RecordType::A), ["10.0.0.2"]);
    api.ask("PUT", ZONE, json!({ "name": "contoso.test.", "kind": "Master", "account": "ops", "soa_edit_api": "INCREASE" })).ok(204);
    let zone = api.get(&format!("{ZONE}?rrsets=true"));
    assert_eq!((&zone["kind"], &zone["account"], &zone["soa_edit_api"]), (&json!("Master"), &json!("ops"), &json!("INCREASE")));
    api.ask("DELETE", ZONE, Value::Null).ok(204);
    api.ask("GET", ZONE, Value::Null).ok(404);
}

#[test]
fn what_dnscontrol_sends_is_answered() {
    let (server, api) = server();
    api.ask("GET", ZONE, Value::Null).ok(404);
    let envelope = |rrsets: Value| json!({ "name": "", "type": "", "nameservers": [], "rrsets": rrsets });
    let zone = json!({
        "name": "contoso.test.", "type": "Zone", "kind": "Native", "dnssec": false, "nameservers": ["ns1.contoso.test."],
        "soa_edit_api": "DEFAULT",
    });
    assert_eq!(api.ask("POST", ZONES, zone).ok(201)["kind"], "Native");
    let mut set = rrset("www.contoso.test.", "A", &["10.0.0.1"]);
    set["comments"] = Value::Null;
    api.ask("PATCH", ZONE, envelope(json!([set]))).ok(204);
    let mut gone = rrset("www.contoso.test.", "A", &["10.0.0.1"]);
    gone["changetype"] = "DELETE".into();
    api.ask("PATCH", ZONE, envelope(json!([gone]))).ok(204);
    api.ask("PATCH", ZONE, envelope(json!([rrset("www.contoso.test.", "CNAME", &["app.contoso.test."])]))).ok(204);
    assert_eq!(server.short("www.contoso.test", RecordType::CNAME), ["app.contoso.test."]);
    assert_eq!(api.get(&format!("{ZONE}/cryptokeys")), json!([]));
}

#[test]
fn what_powerdns_admin_reads_is_there() {
    let (server, api) = contoso();
    let statistics = api.get("/api/v1/servers/localhost/statistics");
    assert!(
        statistics
            .as_array()
            .unwrap()
            .iter()
            .any(|item| item["name"] == "uptime" && item["type"] == "StatisticItem" && item["value"].is_string())
    );
    let answers = |server: &Server| {
        server.ask("contoso.test", RecordType::SOA);
        let counted = api.get("/api/v1/servers/localhost/statistics?statistic=udp-answers");
        counted[0]["value"].as_str().unwrap().parse::<u64>().unwrap()
    };
    let before = answers(&server);
    harness::eventually("an answer is counted", || (answers(&server) > before).then_some(()));
    assert!(api.get("/api/v1/servers/localhost/config").as_array().unwrap().iter().all(|item| item["type"] == "ConfigSetting"));
    assert_eq!(api.get("/api"), json!([{ "url": "/api/v1", "version": 1 }]));
    assert_eq!(api.get(&format!("{ZONES}/contoso.test?rrsets=false")).get("rrsets"), None);
    let text = api.ask("PUT", &format!("{ZONES}/contoso.test/axfr-retrieve"), Value::Null).ok(422).to_string();
    assert!(text.contains("is not a slave domain"), "{text}");
}

#[test]
fn a_zone_of_many_records_is_read_and_exported_whole() {
    let (server, api) = server();
    let mut text = String::from("@ 60 IN SOA ns1 hostmaster 7 1 2 3 4\n");
    (0..5_000).for_each(|number| writeln!(text, "h{number} 60 IN A 10.1.{}.{}", number / 250, number % 250).unwrap());
    let zone = api.ask("POST", ZONES, json!({ "name": "many.test.", "kind": "Native", "nameservers": [], "zone": text })).ok(201);
    assert_eq!(zone["rrsets"].as_array().unwrap().len(), 5_001);
    let export = api.ask("GET", &format!("{ZONES}/many.test./export"), Value::Null).body;
    assert!(export.starts_with("many.test.\t60\tIN\tSOA\tns1.many.test. hostmaster.many.test. "), "{}", &export[..80]);
    assert_eq!(export.lines().count(), 5_001);
    assert_eq!(server.short("h4999.many.test", RecordType::A), ["10.1.19.249"]);
}
