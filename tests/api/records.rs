//! Records: RRset by RRset, many at once, as files, and what is refused.

use hickory_proto::rr::RecordType::{A, AAAA, TXT};
use serde_json::json;

use crate::harness::http::Http;
use crate::harness::{Server, postern};
use crate::{rrset, server};

#[test]
fn a_record_set_through_the_api_is_in_the_next_answer_and_survives_a_restart() {
    let mut server = server("listen = '127.0.0.1:0'");
    let mut api = server.api(None);
    server.becomes("www.contoso.test", A, &["NXDOMAIN"]);
    let changed = api.send("PUT", "/v1/zones/contoso.test/rrsets/www/A", Some(&rrset(&["10.0.0.4", "10.0.0.5"]))).ok(200);
    assert_eq!((&changed["added"], &changed["dry_run"]), (&json!(1), &json!(false)), "{changed}");
    assert_eq!(server.short("www.contoso.test", A), ["10.0.0.4", "10.0.0.5"]);
    assert_eq!(server.short("www.contoso.test", AAAA), [""; 0]);
    let set = api.get("/v1/zones/contoso.test/rrsets/www.contoso.test./A").ok(200);
    assert_eq!(set, json!({"name": "www.contoso.test.", "type": "A", "ttl": 60, "records": ["10.0.0.4", "10.0.0.5"]}));
    api.send("PATCH", "/v1/zones/contoso.test/rrsets/www/A", Some(&json!({"add": ["10.0.0.6"], "remove": ["10.0.0.4"]}))).ok(200);
    assert_eq!(server.short("www.contoso.test", A), ["10.0.0.5", "10.0.0.6"]);
    server.signal("KILL");
    server.wait();
    let config = server.file("postern.toml");
    let again = Server::spawn(postern(&["serve", "-c", config.to_str().unwrap()]), server.path().to_path_buf(), None);
    let mut kept = again.short("www.contoso.test", A);
    kept.sort(); // the order within a set means nothing
    assert_eq!(kept, ["10.0.0.5", "10.0.0.6"]);
    let mut api = again.api(None);
    api.send("DELETE", "/v1/zones/contoso.test/rrsets/www/A", None).ok(200);
    assert_eq!(again.short("www.contoso.test", A), ["NXDOMAIN"]);
    assert_eq!(api.send("DELETE", "/v1/zones/contoso.test/rrsets/www/A", None).status, 404);
    let history = api.get("/v1/zones/contoso.test/history").ok(200);
    let newest = &history["changes"][0];
    assert!(newest["by"].as_str().unwrap().starts_with("api:local from 127.0.0.1"), "{newest}");
    assert!(newest["removed"].to_string().contains("www.contoso.test. 60 IN A 10.0.0.6"), "{newest}");
    assert_eq!(history["changes"].as_array().unwrap().len(), 3, "two of them were made before the restart");
}

#[test]
fn refusals_are_exact() {
    let server = server("listen = '127.0.0.1:0'\nmax-body = '1KiB'\nrate = 0");
    let mut api = server.api(None);
    let json_type = [("Content-Type", "application/json")];
    /// Method, path, headers, body, status, and words of the reason.
    type Case<'c> = (&'c str, &'c str, &'c [(&'c str, &'c str)], &'c str, u16, &'c str);
    let cases: &[Case<'_>] = &[
        ("GET", "/v1/zones/none.test", &[], "", 404, "no zone none.test is hosted"),
        ("GET", "/v1/nothing", &[], "", 404, "nothing at this path"),
        ("PUT", "/v1/zones", &[], "", 405, "does not take that method"),
        ("GET", "/v1/zones/contoso.test/rrsets/www/A", &[], "", 404, "www.contoso.test. has no A records"),
        ("GET", "/v1/zones/contoso.test/rrsets/www/NONE", &[], "", 400, "`NONE` is not a type"),
        ("GET", "/v1/zones/contoso.test/rrsets/www.other.test./A", &[], "", 400, "does not lie in the zone"),
        ("GET", "/v1/zones/contoso.test/rrsets?cursor=nonsense", &[], "", 400, "cursor"),
        ("GET", "/v1/zones?limit=many", &[], "", 400, "limit"),
        ("PUT", "/v1/zones/contoso.test/rrsets/www/A", &json_type, "{", 400, "not JSON"),
        ("PUT", "/v1/zones/contoso.test/rrsets/www/A", &json_type, r#"{"records": "10.0.0.1"}"#, 422, "/records"),
        ("PUT", "/v1/zones/contoso.test/rrsets/www/A", &json_type, r#"{"records": []}"#, 422, "one record at least"),
        ("PUT", "/v1/zones/contoso.test/rrsets/www/A", &json_type, r#"{"records": ["10.0.0.1", "999.1.1.1", "x"]}"#, 422, "/records/1"),
        ("PUT", "/v1/zones/contoso.test/rrsets/www/A", &[], r#"{"records": ["10.0.0.1"]}"#, 415, "application/json"),
        ("PUT", "/v1/zones/filed.test/rrsets/www/A", &json_type, r#"{"records": ["10.0.0.1"]}"#, 409, "filed.zone"),
        ("DELETE", "/v1/zones/filed.test", &[], "", 409, "the configuration, line"),
        ("GET", "/v1/zones/filed.test/history", &[], "", 409, "not written by an API"),
        ("POST", "/v1/zones", &json_type, r#"{"name": "contoso.test"}"#, 409, "hosted already"),
        ("POST", "/v1/zones", &json_type, r#"{"name": "new.test", "networks": ["nowhere"]}"#, 422, "no network `nowhere`"),
        ("POST", "/v1/zones", &json_type, r#"{"preset": "azure"}"#, 422, "no preset `azure`"),
        ("POST", "/v1/zones", &json_type, r#"{}"#, 422, "`name` or a `preset`"),
        ("POST", "/v1/zones", &json_type, r#"{"nam": "new.test"}"#, 422, "unknown member `nam`; did you mean `name`?"),
        ("POST", "/v1/zones", &json_type, r#"{"name": "a..b"}"#, 422, "/name"),
        ("POST", "/v1/zones", &json_type, r#"{"name": "new.test@hub"}"#, 422, "stand in `networks`"),
        ("POST", "/v1/zones", &json_type, r#"{"name": "new.test", "on_missing": "never"}"#, 422, "/on_missing"),
        ("PATCH", "/v1/zones/contoso.test", &json_type, r#"{"on_missing": "public"}"#, 409, "the configuration, line"),
        ("POST", "/v1/zones/contoso.test/import", &[("Content-Type", "image/png")], "x", 415, "text/plain"),
        ("POST", "/v1/zones/contoso.test/import", &[], "www A 10.0.0.1\nwww A 10.0.0.256\n", 422, "2:7"),
        ("POST", "/v1/zones/contoso.test/import", &[], "www.other.test. A 10.0.0.1\n", 422, "no record of this file lies in the zone"),
    ];
    for (method, path, headers, body, status, words) in cases {
        let reply = api.raw(method, path, headers, body).unwrap();
        assert_eq!(reply.status, *status, "{method} {path} {body}: {reply:?}");
        assert_eq!(reply.header("content-type"), "application/problem+json", "{method} {path}");
        assert!(reply.body.contains(words), "{method} {path} {body}: {reply:?}");
        assert_eq!((&reply.json()["status"], reply.json()["title"].is_string()), (&json!(status), true));
    }
    assert_eq!(api.raw("PUT", "/v1/zones", &[], "").unwrap().header("allow"), "GET,HEAD,POST");
    let large = "x".repeat(1025);
    let reply = server.api(None).raw("PUT", "/v1/zones/contoso.test/rrsets/www/A", &json_type, &large).unwrap();
    assert_eq!(reply.status, 413, "{reply:?}");
    // Nothing of all that was done.
    assert_eq!(api.get("/v1/zones/contoso.test").ok(200)["records"], 2);
    let rules = [("www", "CNAME", "a.test."), ("@", "CNAME", "a.test."), ("www", "SOA", "a. b. 1 2 3 4 5")];
    api.send("PUT", "/v1/zones/contoso.test/rrsets/www/A", Some(&rrset(&["10.0.0.1"]))).ok(200);
    for (name, rtype, data) in rules {
        let reply = api.send("PUT", &format!("/v1/zones/contoso.test/rrsets/{name}/{rtype}"), Some(&rrset(&[data])));
        assert_eq!(reply.status, 422, "{name} {rtype}: {reply:?}");
    }
}

#[test]
fn tags_keep_two_editors_apart() {
    let server = server("listen = '127.0.0.1:0'");
    let mut api = server.api(None);
    let path = "/v1/zones/contoso.test/rrsets/www/A";
    let kind = ("Content-Type", "application/json");
    let body = rrset(&["10.0.0.1"]).to_string();
    let mut put = |header: (&str, &str), body: &str| api.raw("PUT", path, &[kind, header], body).unwrap();
    assert_eq!(put(("If-Match", "*"), &body).status, 412, "there is none yet");
    assert_eq!(put(("If-None-Match", "*"), &body).status, 200);
    assert_eq!(put(("If-None-Match", "*"), &body).status, 412);
    let tag = server.api(None).get(path).header("etag").to_owned();
    let other = rrset(&["10.0.0.2"]).to_string();
    // A reader that has it gets it not again; the tag of a zone is that of its records, and does not vouch for its settings.
    for (path, has, status) in [(path, tag.as_str(), 304), (path, "*", 304), (path, "\"other\"", 200)] {
        let reply = server.api(None).raw("GET", path, &[("If-None-Match", has)], "").unwrap();
        assert_eq!((reply.status, reply.header("etag")), (status, tag.as_str()), "{has}");
    }
    for (path, status) in [("/v1/zones/contoso.test/rrsets", 304), ("/v1/zones/contoso.test/export", 304), ("/v1/zones/contoso.test", 200)]
    {
        let tag = server.api(None).get(path).header("etag").to_owned();
        let reply = server.api(None).raw("GET", path, &[("If-None-Match", &tag)], "").unwrap();
        assert_eq!((reply.status, reply.body.is_empty()), (status, status == 304), "{path}");
    }
    assert_eq!(put(("If-Match", &tag), &other).status, 200);
    assert_eq!(put(("If-Match", &tag), &body).status, 412, "it is another one by now");
    let mut api = server.api(None);
    let zone = api.get("/v1/zones/contoso.test").header("etag").to_owned();
    let batch = json!({"rrsets": [{"name": "a", "type": "A", "records": ["10.0.0.3"]}]}).to_string();
    let headers = [kind, ("If-Match", zone.as_str())];
    assert_eq!(api.raw("PATCH", "/v1/zones/contoso.test/rrsets", &headers, &batch).unwrap().status, 200);
    let stale = api.raw("PATCH", "/v1/zones/contoso.test/rrsets", &headers, &batch).unwrap();
    assert_eq!((stale.status, stale.body.contains("If-Match")), (412, true));
    // Of a whole zone, too.
    api.send("POST", "/v1/zones", Some(&json!({"name": "made.test"}))).ok(201);
    let tag = api.get("/v1/zones/made.test").header("etag").to_owned();
    api.send("PUT", "/v1/zones/made.test/rrsets/www/A", Some(&rrset(&["10.0.0.1"]))).ok(200);
    let mut set = |tag: &str| api.raw("PATCH", "/v1/zones/made.test", &[kind, ("If-Match", tag)], r#"{"on_missing": "servfail"}"#).unwrap();
    let stale = set(&tag);
    assert_eq!((stale.status, stale.body.contains("If-Match")), (412, true), "{stale:?}");
    let now = server.api(None).get("/v1/zones/made.test");
    assert_eq!(now.json()["on_missing"], "nxdomain", "what was refused is not done");
    assert_eq!(set(now.header("etag")).ok(200)["on_missing"], "servfail");
    assert_eq!(api.raw("DELETE", "/v1/zones/made.test", &[("If-Match", &tag)], "").unwrap().status, 412);
    let tag = api.get("/v1/zones/made.test").header("etag").to_owned();
    assert_eq!(api.raw("DELETE", "/v1/zones/made.test", &[("If-Match", &tag)], "").unwrap().status, 204);
}

#[test]
fn a_batch_is_made_whole_or_not_at_all_and_a_dry_run_tells_the_difference() {
    let server = server("listen = '127.0.0.1:0'");
    let mut api = server.api(None);
    let path = "/v1/zones/contoso.test/rrsets";
    let set = |name: &str, rtype: &str, records: &[&str]| json!({"name": name, "type": rtype, "ttl": 30, "records": records});
    let good = json!({"rrsets": [set("a", "A", &["10.0.0.1"]), set("b", "TXT", &["\"one two\""]), set("c", "CNAME", &["a"])]});
    let dry = api.send("PATCH", &format!("{path}?dry_run=true"), Some(&good)).ok(200);
    assert_eq!((&dry["added"], &dry["dry_run"], dry["rrsets"].as_array().unwrap().len()), (&json!(3), &json!(true), 3), "{dry}");
    assert_eq!(
        dry["rrsets"][0],
        json!({"before": null, "after": {"name": "a.contoso.test.", "type": "A", "ttl": 30, "records": ["10.0.0.1"]}})
    );
    assert_eq!(server.short("a.contoso.test", A), ["NXDOMAIN"]);
    let bad = json!({"rrsets": [set("d", "A", &["10.0.0.1"]), set("d", "CNAME", &["a.contoso.test."]), set("e", "A", &["10.0.0.2"])]});
    let refused = api.send("PATCH", path, Some(&bad));
    assert_eq!((refused.status, &refused.json()["errors"][0]["pointer"]), (422, &json!("/rrsets/1")), "{refused:?}");
    assert_eq!(server.short("e.contoso.test", A), ["NXDOMAIN"]);
    api.send("PATCH", path, Some(&good)).ok(200);
    assert_eq!(server.short("c.contoso.test", A), ["a.contoso.test.", "10.0.0.1"]);
    // A CNAME becomes an address in one step.
    let swap = json!({"rrsets": [{"name": "c", "type": "CNAME", "records": []}, set("c", "A", &["10.0.0.9"])]});
    api.send("PATCH", path, Some(&swap)).ok(200);
    assert_eq!(server.short("c.contoso.test", A), ["10.0.0.9"]);
    assert_eq!(server.short("b.contoso.test", TXT), ["one two"]);
}

#[test]
fn pages_show_every_record_once() {
    let server = server("listen = '127.0.0.1:0'\nrate = 0");
    let mut api = server.api(None);
    let file: String = (0..5_000).map(|number| format!("n{number} 10 IN A 10.1.{}.{}\n", number / 250, number % 250)).collect();
    let imported = api.raw("POST", "/v1/zones/contoso.test/import", &[("Content-Type", "text/plain")], &file).unwrap().ok(200);
    assert_eq!((&imported["added"], imported["rrsets"].as_array().unwrap().len()), (&json!(5_000), 1_000));
    let (mut names, mut cursor, mut pages) = (Vec::new(), String::new(), 0);
    loop {
        let page = api.get(&format!("/v1/zones/contoso.test/rrsets?limit=700{cursor}")).ok(200);
        names.extend(page["rrsets"].as_array().unwrap().iter().map(|set| format!("{} {}", set["name"], set["type"])));
        pages += 1;
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
        // A change between pages hides nothing.
        api.send("PUT", &format!("/v1/zones/contoso.test/rrsets/n{pages}/TXT"), Some(&rrset(&["\"x\""]))).ok(200);
    }
    names.retain(|name| !name.ends_with("\"TXT\""));
    let all = names.len();
    names.sort();
    names.dedup();
    assert_eq!((all, names.len(), pages), (5_002, 5_002, 8));
    let some = api.get("/v1/zones/contoso.test/rrsets?name=n17&type=A").ok(200);
    assert_eq!(some["rrsets"][0]["records"], json!(["10.1.0.17"]));
}

#[test]
fn files_go_in_and_come_out_again() {
    let server = server("listen = '127.0.0.1:0'");
    let mut api = server.api(None);
    let text = [("Content-Type", "text/plain")];
    let import =
        |api: &mut Http, query: &str, file: &str| api.raw("POST", &format!("/v1/zones/contoso.test/import{query}"), &text, file).unwrap();
    import(&mut api, "", "www 60 IN A 10.0.0.1\nwww 60 IN A 10.0.0.2\nmail 60 IN MX 10 www\n").ok(200);
    assert_eq!(server.short("www.contoso.test", A), ["10.0.0.1", "10.0.0.2"]);
    let hosts = import(&mut api, "", "10.0.0.7 host7.contoso.test other.example\n10.0.0.8 host8.contoso.test\n").ok(200);
    assert_eq!((&hosts["added"], &hosts["skipped"]), (&json!(2), &json!(1)), "{hosts}");
    assert!(hosts["warnings"].to_string().contains("of other zones were left out"), "{hosts}");
    // As in a zone directory: rows of other zones are skipped with a warning, unless the file is that of another zone.
    let leftovers = "www 60 IN A 10.0.0.1\nold.fabrikam.test. 60 IN A 10.0.0.5\nolder.fabrikam.test. 60 IN A 10.0.0.6\n";
    let skipped = import(&mut api, "", leftovers).ok(200);
    assert_eq!((&skipped["changed"], &skipped["skipped"]), (&json!(1), &json!(2)), "{skipped}");
    let warnings = skipped["warnings"].to_string();
    assert!(
        warnings.contains("2:1: 2 records lie outside the zone contoso.test") && warnings.contains("old.fabrikam.test (line 2)"),
        "{warnings}"
    );
    let soa = "@ 60 IN SOA a. b. 1 3600 300 2419200 10\n";
    let other = import(&mut api, "?mode=replace", &format!("$ORIGIN fabrikam.test.\n{soa}$ORIGIN contoso.test.\nwww 60 IN A 10.0.0.9\n"));
    assert_eq!(other.status, 422, "{other:?}");
    assert!(other.body.contains("the SOA is that of the zone fabrikam.test"), "{other:?}");
    assert_eq!(server.short("www.contoso.test", A), ["10.0.0.1"]);
    let azure = json!([{"name": "fhir1", "type": "Microsoft.Network/privateDnsZones/A", "ttl": 10, "fqdn": "fhir1.contoso.test.", "aRecords": [{"ipv4Address": "10.0.0.9"}]}]);
    import(&mut api, "", &azure.to_string()).ok(200);
    assert_eq!(server.short("fhir1.contoso.test", A), ["10.0.0.9"]);
    let before = api.get("/v1/zones/contoso.test/export");
    assert_eq!((before.status, before.header("content-type")), (200, "text/dns; charset=utf-8"));
    let dry = import(&mut api, "?mode=replace&dry_run=true", "www 60 IN A 10.0.0.3\n").ok(200);
    assert_eq!((&dry["added"], &dry["changed"], &dry["removed"]), (&json!(0), &json!(1), &json!(4)), "{dry}");
    assert_eq!(api.get("/v1/zones/contoso.test/export").body, before.body);
    import(&mut api, "?mode=replace", "www 60 IN A 10.0.0.3\n").ok(200);
    assert_eq!(server.short("fhir1.contoso.test", A), ["NXDOMAIN"]);
    // An export is put back as it is.
    import(&mut api, "?mode=replace", &before.body).ok(200);
    let serial = |text: &str| text.lines().nth(1).unwrap().to_owned();
    let after = api.get("/v1/zones/contoso.test/export");
    let rest = |text: &str| text.lines().skip(2).map(String::from).collect::<Vec<_>>();
    assert_eq!(rest(&after.body), rest(&before.body));
    assert_ne!(serial(&after.body), serial(&before.body), "the serial went on");
    // An SOA that is longer than the zone's, or shorter, with its TTL.
    let ttl = before.body.lines().nth(1).unwrap().split(' ').nth(1).unwrap();
    for server in ["a-name-server-with-a-name-that-is-rather-long.in-some-other-domain.contoso.test.", "a."] {
        let file = format!("@ {ttl} IN SOA {server} hostmaster.contoso.test. 1 3600 300 2419200 10\nwww 60 IN A 10.0.0.3\n");
        import(&mut api, "?mode=replace", &file).ok(200);
        let soa = api.get("/v1/zones/contoso.test/rrsets/@/SOA").ok(200);
        assert!(soa["records"][0].as_str().unwrap().starts_with(server), "{soa}");
    }
}
