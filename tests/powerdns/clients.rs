//! What clients send that are not driven themselves.

use hickory_proto::rr::RecordType;
use serde_json::{Value, json};

use crate::harness::{self, Server};
use crate::{ZONE, ZONES, contents, contoso, patch, rrset, server};

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
