//! Zones: whose they are, how they are named, who may what, and what is kept of them.

use std::fmt::Write;

use hickory_proto::rr::RecordType;
use serde_json::{Value, json};

use crate::harness::{Server, eventually, postern};
use crate::{ADMIN, Api, CONFIG, FABRIKAM, READ, ZONE, ZONES, contents, contoso, make, patch, rrset, server};

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
fn an_id_with_a_network_that_does_not_exist_means_no_zone() {
    let (_server, api) = server();
    make(&api, "wide.test.");
    let at = |network: &str| format!("{ZONES}/wide.test.@{network}");
    api.ask("GET", &at("spoke"), Value::Null).ok(200);
    for method in ["GET", "DELETE"] {
        api.ask(method, &at("nowhere"), Value::Null).ok(404);
    }
    api.ask("DELETE", &at("spoke"), Value::Null).ok(204);
}

#[test]
fn a_zone_that_lost_a_network_to_the_configuration_is_changed_where_it_is_still_served() {
    let (server, api) = server();
    make(&api, "shared.test.");
    let declared = format!("{CONFIG}\n[[zone]]\nname = 'shared.test'\nnetwork = ['hub']\nfile = 'files.zone'\n");
    server.write("postern.toml", &declared);
    eventually("the configuration has its own zone", || {
        let zones = api.get(&format!("{ZONES}?zone=shared.test."));
        let ids: Vec<&str> = zones.as_array().unwrap().iter().map(|zone| zone["id"].as_str().unwrap()).collect();
        (ids == ["shared.test.@hub", "shared.test.@spoke"]).then_some(())
    });
    let of = |network: &str| api.get(&format!("{ZONES}/shared.test.@{network}"))["rrsets"].to_string();
    let change = json!({ "rrsets": [rrset("new.shared.test.", "A", &["10.0.0.9"])] });
    api.ask("PATCH", &format!("{ZONES}/shared.test.@spoke"), change).ok(204);
    assert_eq!(["hub", "spoke"].map(|network| of(network).contains("10.0.0.9")), [false, true]);
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
