//! The thirteen rules that keep clients working.

use hickory_proto::rr::RecordType;
use serde_json::{Value, json};

use crate::harness::Server;
use crate::harness::http::Http;
use crate::{ADMIN, Api, CONFIG, KEYS, READ, ZONE, ZONES, contents, contoso, delete, make, patch, rrset, server};

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
fn every_soa_edit_api_is_taken_as_powerdns_takes_it() {
    let (_server, api) = contoso();
    for (number, word) in ["DEFAULT", "INCEPTION-INCREMENT", "SOA-EDIT-INCREASE", "bogus"].into_iter().enumerate() {
        let zone = json!({ "name": format!("z{number}.test."), "kind": "Native", "nameservers": [], "soa_edit_api": word });
        assert_eq!(api.ask("POST", ZONES, zone).ok(201)["soa_edit_api"], word);
        let path = format!("{ZONES}/z{number}.test.");
        let before = api.get(&path)["serial"].as_u64().unwrap();
        api.ask("PATCH", &path, json!({ "rrsets": [rrset(&format!("www.z{number}.test."), "A", &["10.0.0.1"])] })).ok(204);
        assert!(api.get(&path)["serial"].as_u64().unwrap() > before, "{word}");
        api.ask("PUT", &path, json!({ "soa_edit_api": "INCREMENT-WEEKS", "soa_edit": "INCEPTION-EPOCH" })).ok(204);
    }
}

#[test]
fn keys_and_autoprimaries_are_empty_lists() {
    let (_server, api) = contoso();
    for path in ["tsigkeys", "autoprimaries"] {
        assert_eq!(api.get(&format!("/api/v1/servers/localhost/{path}")), json!([]), "{path}");
    }
}
