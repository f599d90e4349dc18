//! Zones: made, set, given up.

use hickory_proto::rr::RecordType::A;
use serde_json::json;

use crate::harness::write_files;
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
