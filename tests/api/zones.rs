//! Zones: made, set, given up.

use hickory_proto::rr::RecordType::{self, A};
use serde_json::json;

use crate::harness::{Server, write_files};
use crate::server;

#[test]
fn zones_are_made_set_and_given_up() {
    let server = server("listen = '127.0.0.1:0'");
    let mut api = server.api(None);
    let third = "privatelink.dicom.azurehealthcareapis.com";
    api.send("POST", "/v1/zones", Some(&json!({"name": third}))).ok(201);
    let preset = json!({"preset": "azure-health-data-services", "networks": ["hub"]});
    assert_eq!(api.send("POST", "/v1/zones", Some(&preset)).status, 409);
    assert_eq!(api.get("/v1/zones").ok(200)["zones"].as_array().unwrap().len(), 3, "one of a preset is there: none is made");
    assert_eq!(api.send("DELETE", &format!("/v1/zones/{third}"), None).status, 204);
    let made = api.send("POST", "/v1/zones", Some(&preset));
    assert_eq!((made.status, made.header("location")), (201, "/v1/zones/privatelink.azurehealthcareapis.com"));
    assert_eq!(made.json()["zones"].as_array().unwrap().len(), 4);
    let again = api.send("POST", "/v1/zones", Some(&json!({"preset": "azure-health-data-services"})));
    assert_eq!(again.status, 409);
    // One name in two networks is told apart by the network.
    let twin = |network: &str, address: &str| json!({"name": "twin.test", "networks": [network], "on_missing": "nxdomain", "rrsets": [{"name": "www", "type": "A", "records": [address]}]});
    api.send("POST", "/v1/zones", Some(&twin("hub", "10.0.0.1"))).ok(201);
    let other = api.send("POST", "/v1/zones", Some(&twin("default", "10.0.0.2"))).ok(201);
    assert_eq!(other["zones"][0]["id"], "twin.test@default");
    assert_eq!(server.short("www.twin.test", A), ["10.0.0.1"]);
    let unclear = api.get("/v1/zones/twin.test");
    assert_eq!((unclear.status, unclear.body.contains("twin.test@")), (409, true), "{unclear:?}");
    let set = api.get("/v1/zones/twin.test@default/rrsets/www/A").ok(200);
    assert_eq!(set["records"], json!(["10.0.0.2"]));
    let moved = api.send("PATCH", "/v1/zones/twin.test@default", Some(&json!({"on_missing": "servfail"}))).ok(200);
    assert_eq!(moved["on_missing"], "servfail");
    let listed = api.get("/v1/zones").ok(200);
    let ids: Vec<&str> = listed["zones"].as_array().unwrap().iter().map(|zone| zone["id"].as_str().unwrap()).collect();
    assert!(ids.is_sorted() && ids.len() == 8, "{ids:?}");
    let filed = listed["zones"].as_array().unwrap().iter().find(|zone| zone["id"] == "filed.test").unwrap();
    assert!(filed["writer"]["file"].as_str().unwrap().ends_with("filed.zone"), "{filed}");
    assert_eq!((&filed["writer"]["kind"], &filed["records"]), (&json!("file"), &json!(2)));
    assert_eq!(api.send("DELETE", "/v1/zones/twin.test@hub", None).status, 204);
    assert_eq!(api.get("/v1/zones/twin.test@hub").status, 404);
    let networks = api.get("/v1/networks").ok(200);
    assert_eq!((&networks[0]["name"], &networks[0]["clients"]), (&json!("hub"), &json!(["127.0.0.0/8"])));
    assert!(api.send("POST", "/v1/reload", None).ok(200)["generation"].is_u64());
    write_files(server.path(), &[("postern.toml", "[serve]\n")]);
    let refused = api.send("POST", "/v1/reload", None);
    assert_eq!((refused.status, refused.body.contains("unknown section")), (422, true), "{refused:?}");
}

#[test]
fn a_new_zone_is_found_where_its_location_says_whatever_stands_in_its_name() {
    let server = server("listen = '127.0.0.1:0'");
    let mut api = server.api(None);
    for (name, location) in [
        ("0/25.2.0.192.in-addr.arpa", "0%2F25.2.0.192.in-addr.arpa"),
        ("100%.test", "100%25.test"),
        ("a?b#c.test", "a%3Fb%23c.test"),
        (r"a\032b.test", "a%5C032b.test"),
        (".", "%2E"),
    ] {
        let made = api.send("POST", "/v1/zones", Some(&json!({"name": name, "networks": ["hub"]})));
        assert_eq!((made.status, made.header("location")), (201, format!("/v1/zones/{location}").as_str()), "{made:?}");
        assert_eq!(api.get(made.header("location")).ok(200)["id"], name);
    }
    let twin = api.send("POST", "/v1/zones", Some(&json!({"name": "100%.test", "networks": ["default"]})));
    assert_eq!(twin.header("location"), "/v1/zones/100%25.test@default");
    assert_eq!(api.get(twin.header("location")).ok(200)["networks"], json!(["default"]));
}

#[test]
fn a_zone_that_is_made_names_its_own_servers() {
    let of = |zone: &str| {
        format!(
            "[server]\nlisten = ['127.0.0.1:0']\nname-servers = ['ns1.contoso.test', 'ns2.contoso.test']\n[api]\nlisten = '127.0.0.1:0'\n{zone}"
        )
    };
    let declared =
        "[[zone]]\nname = 'a.test'\napi = true\nprimary-name = 'hidden.contoso.test'\n[[zone]]\nname = 'b.test'\nfile = 'b.zone'\n";
    let server = Server::with(&[("postern.toml", &of(declared)), ("b.zone", "www 60 IN A 10.0.0.1\n")]);
    let mut api = server.api(None);
    api.send("POST", "/v1/zones", Some(&json!({"name": "c.test"}))).ok(201);
    let own = json!([{"name": "@", "type": "NS", "records": ["ns9"]}, {"name": "@", "type": "SOA", "records": ["ns9 admin 7 1 2 3 4"]}]);
    api.send("POST", "/v1/zones", Some(&json!({"name": "d.test", "rrsets": own}))).ok(201);
    let both = ["ns1.contoso.test.", "ns2.contoso.test."];
    for (zone, soa, servers) in [
        ("a.test", "hidden.contoso.test. hostmaster.a.test. ", &both[..]),
        ("b.test", "ns1.contoso.test. hostmaster.b.test. ", &both),
        ("c.test", "ns1.contoso.test. hostmaster.c.test. ", &both),
        ("d.test", "ns9.d.test. admin.d.test. ", &["ns9.d.test."]),
    ] {
        let said = server.short(zone, RecordType::SOA);
        assert!(said[0].starts_with(soa), "{zone}: {said:?}");
        let mut said = server.short(zone, RecordType::NS);
        said.sort();
        assert_eq!(said, servers, "{zone}");
    }
    // Azure's SOA names a server that takes no updates.
    let export = "@ 3600 IN SOA azureprivatedns.net. azureprivatedns-host.microsoft.com. 1 3600 300 2419200 10\nwww 60 IN A 10.0.0.1\n";
    api.raw("POST", "/v1/zones/a.test/import?mode=replace", &[("Content-Type", "text/plain")], export).unwrap().ok(200);
    assert!(server.short("a.test", RecordType::SOA)[0].starts_with("hidden.contoso.test."));
}

#[test]
fn a_zone_that_is_made_without_any_names_is_served_by_this_host() {
    let server = server("listen = '127.0.0.1:0'");
    let servers = server.short("contoso.test", RecordType::NS);
    assert_eq!(servers.len(), 1);
    let soa = server.short("contoso.test", RecordType::SOA);
    assert!(soa[0].starts_with(&format!("{} hostmaster.contoso.test. ", servers[0])) && !soa[0].contains("azure"), "{soa:?} {servers:?}");
}
