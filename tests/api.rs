//! The HTTP API of the real program: `/v1`, keys and scopes, TLS, the socket, and the commands that use it.

mod harness;

use std::path::Path;
use std::process::Command;

use harness::http::Http;
use harness::{Server, eventually, postern, run, write_files};
use hickory_proto::rr::RecordType::{A, AAAA, TXT};
use serde_json::{Value, json};

const CONFIG: &str = "[server]\nlisten = ['127.0.0.1:0']\n[[network]]\nname = 'hub'\nclients = ['127.0.0.0/8']\n\
                      [[zone]]\nname = 'contoso.test'\napi = true\non-missing = 'nxdomain'\n\
                      [[zone]]\nname = 'filed.test'\nfile = 'filed.zone'\n";
const FILED: (&str, &str) = ("filed.zone", "www 10 IN A 10.9.9.9\n");

/// A server with a zone that the API writes and one that a file does.
fn server(api: &str) -> Server {
    Server::with(&[("postern.toml", &format!("{CONFIG}[api]\n{api}")), FILED])
}

/// Keys of every scope: their secrets and the file.
fn keys() -> ([String; 4], String) {
    let scopes = ["read", "records=contoso.test", "records=other.test", "admin"];
    let mut file = String::from("# keys\n");
    let secrets = scopes.map(|scope| {
        let name = format!("key-{}", scope.replace('=', "-"));
        let output = run(&["key", &name, "--scope", scope]);
        assert!(output.status.success(), "{output:?}");
        let printed = String::from_utf8(output.stdout).unwrap();
        let (secret, line) = printed.trim_end().split_once('\n').unwrap();
        file += &format!("{line}\n");
        secret.to_owned()
    });
    (secrets, file)
}

fn rrset(records: &[&str]) -> Value {
    json!({"ttl": 60, "records": records})
}

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
        ("POST", "/v1/zones", &json_type, r#"{"nam": "new.test"}"#, 422, "unknown field `nam`"),
        ("POST", "/v1/zones", &json_type, r#"{"name": "a..b"}"#, 422, "/name"),
        ("POST", "/v1/zones", &json_type, r#"{"name": "new.test@hub"}"#, 422, "stand in `networks`"),
        ("POST", "/v1/zones", &json_type, r#"{"name": "new.test", "on_missing": "never"}"#, 422, "/on_missing"),
        ("PATCH", "/v1/zones/contoso.test", &json_type, r#"{"on_missing": "public"}"#, 409, "the configuration, line"),
        ("POST", "/v1/zones/contoso.test/import", &[("Content-Type", "image/png")], "x", 415, "text/plain"),
        ("POST", "/v1/zones/contoso.test/import", &[], "www A 10.0.0.1\nwww A 10.0.0.256\n", 422, "2:7"),
        ("POST", "/v1/zones/contoso.test/import", &[], "www.other.test. A 10.0.0.1\n", 422, "does not lie in the zone"),
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
    assert_eq!(api.get("/v1/zones/contoso.test").ok(200)["records"], 1);
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
    assert_eq!(now.json()["on_missing"], "public", "what was refused is not done");
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
    let good = json!({"rrsets": [set("a", "A", &["10.0.0.1"]), set("b", "TXT", &["\"one two\""]), set("c", "CNAME", &["a.contoso.test"])]});
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
    let swap = json!({"rrsets": [{"name": "c", "type": "CNAME"}, set("c", "A", &["10.0.0.9"])]});
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
    assert_eq!((all, names.len(), pages), (5_001, 5_001, 8));
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
    assert_eq!(hosts["added"], 2);
    assert!(hosts["warnings"].to_string().contains("of other zones were left out"), "{hosts}");
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

/// Who may do an operation: the keys `read`, `records` of the zone, `records` of another zone; an admin may everything.
fn may(operation: &str) -> [bool; 3] {
    match operation {
        "list_zones" => [true, true, true], // each its own
        "show_zone" | "zone_history" | "list_rrsets" | "show_rrset" | "export" => [true, true, false],
        "change_rrsets" | "put_rrset" | "patch_rrset" | "delete_rrset" | "import" => [false, true, false],
        "create_zone" | "set_zone" | "delete_zone" | "reload" => [false, false, false],
        "list_networks" | "explain" | "list_fallbacks" | "stream_fallbacks" | "list_muted" | "show_cache" | "status" | "list_upstreams"
        | "show_configuration" => [true, false, false],
        "create_missing" => [false, true, false],
        "mute" | "unmute" | "flush_cache" => [false, false, false],
        _ => panic!("say in this table who may do `{operation}`"),
    }
}

#[test]
fn every_scope_is_held_on_every_endpoint_of_the_document() {
    let (secrets, file) = keys();
    let config = format!("{CONFIG}[api]\nlisten = '127.0.0.1:0'\nkey-file = 'api.key'\nrate = 0\n");
    let server = Server::with(&[("postern.toml", &config), FILED, ("api.key", &file)]);
    let [read, records, other, admin] = secrets;
    server.api(Some(&admin)).send("PUT", "/v1/zones/contoso.test/rrsets/www/A", Some(&rrset(&["10.0.0.1"]))).ok(200);
    let document = server.api(None).get("/v1/openapi.json").ok(200);
    let body = |operation: &str| match operation {
        "create_zone" => Some(json!({"name": "contoso.test"})), // there is one already: 409 for who may
        "set_zone" => Some(json!({"on_missing": "public"})),
        "change_rrsets" => Some(json!({"rrsets": []})),
        "put_rrset" => Some(rrset(&["10.0.0.1"])),
        "patch_rrset" => Some(json!({"ttl": 60})),
        "create_missing" => Some(json!({"name": "new.contoso.test", "addresses": ["10.0.0.1"]})),
        "mute" => Some(json!({"name": "new.contoso.test"})),
        _ => None,
    };
    let mut tried = 0;
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let id = operation["operationId"].as_str().unwrap();
            let path = path.replace("{zone}", "contoso.test").replace("{name}", "www").replace("{type}", "A");
            let method = method.to_uppercase();
            let path = match id {
                "explain" | "unmute" => format!("{path}?name=www.contoso.test"),
                "stream_fallbacks" => format!("{path}?limit=0"),
                _ if operation["parameters"].to_string().contains("dry_run") => format!("{path}?dry_run=true"),
                _ => path,
            };
            let [may_read, may_records, may_other] = may(id);
            for (key, allowed) in [(&read, may_read), (&records, may_records), (&other, may_other), (&admin, true)] {
                let reply = server.api(Some(key)).send(&method, &path, body(id).as_ref());
                assert_eq!(reply.status != 403, allowed, "{method} {path} with {key}: {reply:?}");
                assert!(reply.status != 401 && reply.status < 500, "{method} {path}: {reply:?}");
                let is_served = reply.status != 405 && !reply.body.contains("nothing at this path");
                assert!(is_served, "the document has {method} {path}, the server has not: {reply:?}");
                tried += 1;
            }
            for key in [None, Some("wrong"), Some(&read[1..])] {
                let reply = server.api(key).send(&method, &path, body(id).as_ref());
                assert_eq!(
                    (reply.status, reply.header("www-authenticate")),
                    (401, "Bearer realm=\"postern\""),
                    "{method} {path}: {reply:?}"
                );
                tried += 1;
            }
        }
    }
    assert!(tried > 100, "{tried}");
    let seen = server.api(Some(&records)).get("/v1/zones").ok(200);
    assert_eq!(seen["zones"].as_array().unwrap().len(), 1, "a key of records sees its own zones");
    let mut api = server.api(None);
    for header in ["X-API-Key", "x-api-key", "X-Api-Key"] {
        assert_eq!(api.raw("GET", "/v1/zones", &[(header, &read)], "").unwrap().status, 200);
    }
    // The file is read again when it changes; a bad one changes nothing, and `check` says what is wrong with it.
    let hub = server.log().len();
    write_files(server.path(), &[("api.key", "nonsense\n")]);
    server.logged_after(hub, &["api.key:1:1: error"]);
    let checked = run(&["check", "-c", server.file("postern.toml").to_str().unwrap()]);
    assert_eq!(checked.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&checked.stdout).contains("api.key:1:1: error"), "{checked:?}");
    assert_eq!(server.api(Some(&read)).get("/v1/zones").status, 200);
    let without: String = file.lines().filter(|line| !line.starts_with("key-read ")).map(|line| format!("{line}\n")).collect();
    write_files(server.path(), &[("api.key", &without)]);
    eventually("the key is gone", || (server.api(Some(&read)).get("/v1/zones").status == 401).then_some(()));
    assert_eq!(server.api(Some(&admin)).get("/v1/zones").status, 200);
}

#[test]
fn a_key_of_one_network_hears_nothing_of_the_others() {
    let zone = |name: &str, network: &str| format!("[[zone]]\nname = '{name}'\napi = true\nnetwork = ['{network}']\n");
    let zones = [zone("twin.test", "hub"), zone("twin.test", "spoke"), zone("pair.test", "spoke"), zone("pair.test", "default")].concat();
    let spoke = "[[network]]\nname = 'spoke'\nclients = ['10.9.0.0/16']\n";
    let (mut file, mut secrets) = (String::new(), Vec::new());
    for (name, scope) in [("one", "records=twin.test@hub,contoso.test@hub,filed.test@hub"), ("all", "records=*@hub")] {
        let output = run(&["key", name, "--scope", scope]);
        let printed = String::from_utf8(output.stdout).unwrap();
        let (secret, line) = printed.trim_end().split_once('\n').unwrap();
        secrets.push(secret.to_owned());
        file += &format!("{line}\n");
    }
    let config = format!("{CONFIG}{spoke}{zones}[api]\nlisten = '127.0.0.1:0'\nkey-file = 'api.key'\nrate = 0\n");
    let server = Server::with(&[("postern.toml", &config), FILED, ("api.key", &file)]);
    for secret in &secrets {
        let mut api = server.api(Some(secret));
        let listed = api.get("/v1/zones").ok(200);
        let ids: Vec<&str> = listed["zones"].as_array().unwrap().iter().map(|zone| zone["id"].as_str().unwrap()).collect();
        assert_eq!(ids, ["twin.test@hub"], "contoso.test and filed.test are of all networks");
        let listed = api.get("/api/v1/servers/localhost/zones").ok(200);
        assert_eq!((listed.as_array().unwrap().len(), &listed[0]["id"]), (1, &json!("twin.test.@hub")));
        let put = |api: &mut Http, zone: &str| {
            api.send("PUT", &format!("/v1/zones/{zone}/rrsets/www/A?dry_run=true"), Some(&rrset(&["10.0.0.1"])))
        };
        assert_eq!(put(&mut api, "twin.test@hub").status, 200);
        for zone in ["twin.test@spoke", "contoso.test", "filed.test", "pair.test", "pair.test@default"] {
            let refused = put(&mut api, zone);
            assert_eq!((refused.status, refused.body.contains("spoke")), (403, false), "{zone}: {refused:?}");
        }
        let unclear = put(&mut api, "twin.test");
        assert_eq!((unclear.status, unclear.body.contains("spoke")), (409, false), "{unclear:?}");
        // What fell back elsewhere, what is hosted and for whom is not told by what refuses to mend it.
        for (name, network) in
            [("www.pair.test", None), ("x.privatelink.fhir.azurehealthcareapis.com", None), ("www.pair.test", Some("lab"))]
        {
            let body = json!({"name": name, "network": network, "addresses": ["10.0.0.1"]});
            let refused = api.send("POST", "/v1/fallbacks/create?dry_run=true", Some(&body));
            let words = format!("reaches to no zone that has a place for {name}");
            assert_eq!((refused.status, refused.body.contains(&words)), (403, true), "{name}: {refused:?}");
        }
        let body = json!({"name": "www.twin.test", "addresses": ["10.0.0.1"]});
        assert_eq!(api.send("POST", "/v1/fallbacks/create?dry_run=true", Some(&body)).ok(200)["added"], 1);
    }
}

#[test]
fn one_address_asks_no_more_often_than_the_rate_says() {
    let server = server("listen = '127.0.0.1:0'\nrate = 5");
    let mut api = server.api(None);
    let replies = api.flood(100, "/v1/zones", &[]);
    let refused = replies.iter().find(|reply| reply.status == 429).expect("one is refused");
    assert_eq!((refused.header("retry-after"), refused.header("content-type")), ("1", "application/problem+json"));
    assert!(replies.iter().take(5).all(|reply| reply.status == 200));
    let mut local = server.local_api();
    assert!((0..100).all(|_| local.get("/v1/zones").status == 200), "the socket has no bound");
}

#[test]
fn a_file_of_keys_that_a_reload_names_is_watched_like_the_first_one() {
    let (secrets, file) = keys();
    let config = |name: &str| format!("{CONFIG}[api]\nlisten = '127.0.0.1:0'\nkey-file = '{name}'\n");
    let server = Server::with(&[("postern.toml", &config("one.key")), FILED, ("one.key", &file)]);
    let without = |scope: &str| file.lines().filter(|line| !line.contains(scope)).map(|line| format!("{line}\n")).collect::<String>();
    let status = |key: &str| server.api(Some(key)).get("/v1/zones").status;
    write_files(server.path(), &[("two.key", &without("key-read ")), ("postern.toml", &config("two.key"))]);
    eventually("the other file counts", || (status(&secrets[0]) == 401).then_some(()));
    assert_eq!(status(&secrets[3]), 200);
    write_files(server.path(), &[("two.key", &without("key-admin "))]);
    eventually("it is read again", || (status(&secrets[3]) == 401).then_some(()));
    // The first one is nobody's business any more.
    let seen = server.log().len();
    write_files(server.path(), &[("one.key", "nonsense\n")]);
    write_files(server.path(), &[("two.key", &file)]);
    eventually("all are back", || (status(&secrets[3]) == 200).then_some(()));
    assert!(!server.log()[seen..].iter().any(|line| line.contains("one.key")), "{:?}", server.log());
}

#[test]
fn keys_of_a_configuration_that_changes_while_the_server_starts_count() {
    let (secrets, file) = keys();
    let config = |name: &str| {
        let server = CONFIG.replace("[server]\n", "[server]\nsettle = 0\n");
        format!("{server}[fallback]\nfile = 'fallback.log'\n[api]\nlisten = '127.0.0.1:0'\nkey-file = '{name}'\n")
    };
    let large: String = (0..50_000).map(|number| format!("host{number} 10 IN A 10.9.9.9\n")).collect(); // it takes its time
    let without: String = file.lines().filter(|line| !line.starts_with("key-admin ")).map(|line| format!("{line}\n")).collect();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_path_buf();
    let files =
        [("postern.toml", config("one.key")), (FILED.0, large), ("one.key", file), ("two.key", without), ("next", config("two.key"))];
    write_files(&path, &files.each_ref().map(|(name, text)| (*name, text.as_str())));
    let command = postern(&["serve", "-c", path.join("postern.toml").to_str().unwrap()]);
    let server = std::thread::scope(|threads| {
        threads.spawn(|| {
            eventually("the configuration was read", || path.join("fallback.log").exists().then_some(()));
            std::fs::rename(path.join("next"), path.join("postern.toml")).unwrap();
        });
        Server::spawn(command, path.clone(), Some(directory))
    });
    let status = |key: &str| server.api(Some(key)).get("/v1/zones").status;
    eventually("the other file counts", || (status(&secrets[3]) == 401).then_some(()));
    assert_eq!(status(&secrets[0]), 200);
}

#[test]
fn a_stream_ends_with_the_key_it_was_asked_with() {
    let (secrets, file) = keys();
    let config = format!("{CONFIG}[api]\nlisten = '127.0.0.1:0'\nkey-file = 'api.key'\n");
    let server = Server::with(&[("postern.toml", &config), FILED, ("api.key", &file)]);
    let [mut revoked, mut other] = [&secrets[0], &secrets[3]].map(|key| server.api(Some(key)));
    let (said, ended) = std::sync::mpsc::channel();
    let [one, two] = [&mut revoked, &mut other].map(|api| api.open("/v1/fallbacks/stream").expect("it follows"));
    std::thread::scope(|threads| {
        let also_said = said.clone();
        threads.spawn(move || said.send(("revoked", revoked.body(one.0, one.1).expect("an end that is one"))).unwrap());
        threads.spawn(move || also_said.send(("other", other.body(two.0, two.1).expect("an end that is one"))).unwrap());
        let mut reader = server.api(Some(&secrets[0]));
        assert_eq!(reader.get("/v1/zones").status, 200);
        let without: String = file.lines().filter(|line| !line.starts_with("key-read ")).map(|line| format!("{line}\n")).collect();
        write_files(server.path(), &[("api.key", &without)]);
        let (who, reply) = ended.recv_timeout(harness::PATIENCE).expect("one ends");
        assert_eq!((who, reply.status), ("revoked", 200), "{reply:?}");
        assert!(ended.try_recv().is_err(), "the other goes on");
        server.signal("TERM");
        assert_eq!(ended.recv_timeout(harness::PATIENCE).expect("the other ends with the server").0, "other");
    });
}

#[test]
fn strangers_who_take_all_connections_leave_the_socket_free() {
    let server = server("listen = '127.0.0.1:0'\nconnections = 1");
    let hangs = std::net::TcpStream::connect(server.api_address()).unwrap();
    let mut stranger = std::net::TcpStream::connect(server.api_address()).unwrap();
    assert_eq!(server.local_api().get("/v1/zones").status, 200);
    drop(hangs);
    std::io::Write::write_all(&mut stranger, b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut answer = [0; 12];
    std::io::Read::read_exact(&mut stranger, &mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");
}

#[test]
fn what_a_slow_reader_has_not_taken_does_not_pile_up_in_the_kernel() {
    let text = "x".repeat(250);
    let zone: String = (0..20_000).map(|number| format!("n{number} 10 IN TXT {text}\n")).collect();
    let config = format!("{CONFIG}[api]\nlisten = '127.0.0.1:0'\n");
    let server = Server::with(&[("postern.toml", &config), ("filed.zone", &zone)]);
    let mut reader = std::net::TcpStream::connect(server.api_address()).unwrap();
    std::io::Write::write_all(&mut reader, b"GET /v1/zones/filed.test/export HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut head = [0; 12];
    std::io::Read::read_exact(&mut reader, &mut head).unwrap();
    assert_eq!(&head, b"HTTP/1.1 200");
    // The line of the server's end: its address and ours, then octets that wait to be sent or acknowledged.
    let [from, to] = [server.api_address(), reader.local_addr().unwrap()].map(|end| format!("0100007F:{:04X}", end.port()));
    let queued = || {
        let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
        let line = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>()).find(|words| words[1..3] == [&from[..], &to]);
        let (sending, _) = line.expect("it is connected")[4].split_once(':').unwrap();
        usize::from_str_radix(sending, 16).unwrap()
    };
    let mut before = 0;
    let settled = eventually("nothing more goes in", || {
        std::thread::sleep(std::time::Duration::from_millis(200));
        (std::mem::replace(&mut before, queued()) == before && before > 0).then_some(before)
    });
    assert!(settled < 1 << 20, "{settled} of five million octets");
}

#[test]
fn the_socket_is_for_its_owner_and_group_and_goes_with_the_server() {
    use std::os::unix::fs::PermissionsExt;
    let server = server("");
    let path = server.file("state/postern.sock");
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o660);
    let mut api = server.local_api();
    api.send("PUT", "/v1/zones/contoso.test/rrsets/www/A", Some(&rrset(&["10.0.0.1"]))).ok(200);
    let by = api.get("/v1/zones/contoso.test/history").ok(200)["changes"][0]["by"].as_str().unwrap().to_owned();
    let me = String::from_utf8(Command::new("id").arg("-un").output().unwrap().stdout).unwrap();
    assert_eq!(by, format!("api:{}", me.trim()));
    let (config, directory) = (server.file("postern.toml"), server.path().to_path_buf());
    // Another server does not take it away, and says so.
    let second = Server::spawn(postern(&["serve", "-c", config.to_str().unwrap()]), directory, None);
    second.logged(&["no socket for the API", "another server has it"]);
    drop(second);
    assert_eq!(api.get("/v1/zones").status, 200);
    server.stop();
    assert!(!path.exists());
}

#[test]
fn the_commands_do_what_the_api_does() {
    let (secrets, keys) = keys();
    let config = format!("{CONFIG}[api]\nlisten = '127.0.0.1:0'\nkey-file = 'api.key'\n");
    let server = Server::with(&[("postern.toml", &config), FILED, ("api.key", &keys), ("secret", &secrets[3])]);
    let path = |name: &str| server.file(name).display().to_string();
    let config = path("postern.toml");
    let records = |arguments: &[&str]| -> (bool, String, String) {
        let output = run(&[&["records", "-c", &config], arguments].concat());
        let text = |octets| String::from_utf8(octets).unwrap();
        (output.status.success(), text(output.stdout), text(output.stderr))
    };
    let (good, _, said) = records(&["set", "contoso.test", "www", "A", "10.0.0.1", "10.0.0.2", "--ttl", "60"]);
    assert!(good && said.contains("1 added, 0 changed, 0 removed"), "{said}");
    assert_eq!(server.short("www.contoso.test", A), ["10.0.0.1", "10.0.0.2"]);
    let (_, shown, _) = records(&["get", "contoso.test", "www"]);
    assert_eq!(
        shown,
        "NAME               TTL  TYPE  RDATA\nwww.contoso.test.  60   A     10.0.0.1\nwww.contoso.test.  60   A     10.0.0.2\n"
    );
    let (_, shown, _) = records(&["list"]);
    assert!(shown.lines().nth(1).is_some_and(|line| line.starts_with("contoso.test ") && line.contains(" api ")), "{shown}");
    let (_, shown, _) = records(&["list", "contoso.test", "--type", "A", "-o", "json"]);
    assert_eq!(serde_json::from_str::<Value>(&shown).unwrap()[0]["records"], json!(["10.0.0.1", "10.0.0.2"]));
    write_files(server.path(), &[("new.zone", "www 60 IN A 10.0.0.1\napp 60 IN A 10.0.0.3\n")]);
    let (good, shown, said) = records(&["diff", &path("new.zone"), "contoso.test"]);
    assert!(good && said.contains("1 would be added, 1 would be changed"), "{said}");
    assert!(shown.contains("- www.contoso.test.  60  A  10.0.0.2") && shown.contains("+ app.contoso.test.  60  A  10.0.0.3"), "{shown}");
    let (good, ..) = records(&["import", &path("new.zone"), "contoso.test", "--replace"]);
    assert!(good);
    assert_eq!(server.short("app.contoso.test", A), ["10.0.0.3"]);
    let (_, exported, _) = records(&["export", "contoso.test"]);
    assert!(exported.starts_with("$ORIGIN contoso.test.\n@ ") && exported.ends_with("www 60 IN A 10.0.0.1\n"), "{exported}");
    let (good, _, said) = records(&["delete", "contoso.test", "app"]);
    assert!(good && said.contains("0 added, 0 changed, 1 removed"), "{said}");
    let (good, _, said) = records(&["set", "filed.test", "www", "A", "10.0.0.1"]);
    assert!(!good && said.contains("filed.zone"), "{said}");
    write_files(server.path(), &[("bad.zone", "www 60 IN A 10.0.0.1\napp 60 IN A 10.0.0\n")]);
    let (good, _, said) = records(&["import", &path("bad.zone"), "contoso.test"]);
    assert!(!good && said.contains("bad.zone:2:13: error"), "{said}");
    // Over TCP, with a key.
    let url = format!("http://{}", server.api_address());
    let (good, _, said) = records(&["list", "--url", &url]);
    assert!(!good && said.contains("no key"), "{said}");
    let (good, shown, _) = records(&["list", "--url", &url, "--key-file", &path("secret")]);
    assert!(good && shown.contains("contoso.test"));
    let nobody = run(&["records", "list", "--socket", &path("nothing.sock")]);
    assert!(String::from_utf8(nobody.stderr).unwrap().contains("help: name its socket"));
}

#[test]
fn the_readmes_recipes_do_what_they_say() {
    if Command::new("curl").arg("--version").output().is_err() {
        eprintln!("left out: curl is not installed");
        return;
    }
    let readme = include_str!("../README.md");
    let recipes = readme.split("```shell\n").nth(1).and_then(|rest| rest.split("```").next()).expect("the recipes");
    let config =
        "[server]\nlisten = ['127.0.0.1:0']\n[[network]]\nname = 'hub'\nclients = ['127.0.0.0/8']\n[api]\nlisten = '127.0.0.1:0'\n";
    let endpoint = json!({"customDnsConfigs": [{"fqdn": "contosows-fhir1.fhir.azurehealthcareapis.com", "ipAddresses": ["10.20.1.5"]}]});
    let server = Server::with(&[("postern.toml", config), ("pe-contosows.json", &endpoint.to_string())]);
    let script = recipes.replace("127.0.0.1:8053", &server.api_address().to_string());
    assert_ne!(script, recipes);
    let output = Command::new("sh").args(["-ec", &script]).current_dir(server.path()).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let of = |name: &str| server.short(&format!("{name}.privatelink.azurehealthcareapis.com"), A);
    assert_eq!(of("contosows-fhir1.fhir"), ["10.20.1.5"]);
    assert_eq!(of("contosows-dicom1.dicom"), ["10.20.1.7"]);
    let history = server.api(None).get("/v1/zones/privatelink.azurehealthcareapis.com/history").ok(200);
    assert_eq!(history["changes"].as_array().unwrap().len(), 4, "{history}");
}

/// An authority, a server's certificate for loopback, a client's, and a stranger's: by openssl, as people make them.
fn certificates(directory: &Path) -> bool {
    let script = "set -e
        new() { openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj \"/CN=$1\" -keyout $1.pem -out $1.csr; }
        sign() { openssl x509 -req -in $1.csr -CA ca.crt -CAkey ca.pem -CAcreateserial -days 30 -out $1.crt -extfile ext; }
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 -subj /CN=authority -keyout ca.pem -out ca.crt
        echo subjectAltName=IP:127.0.0.1,DNS:localhost > ext
        new server; sign server; new client; sign client
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 -subj /CN=stranger -keyout stranger.pem -out stranger.crt";
    Command::new("sh").args(["-c", script]).current_dir(directory).output().is_ok_and(|output| output.status.success())
}

#[test]
fn tls_and_client_certificates_are_asked_for_where_the_configuration_says() {
    let directory = tempfile::tempdir().unwrap();
    let has =
        |program: &str| Command::new(program).arg("--version").output().is_ok() || Command::new(program).arg("version").output().is_ok();
    if !has("openssl") || !has("curl") {
        eprintln!("left out: openssl or curl is not installed");
        return;
    }
    assert!(certificates(directory.path()));
    let (secrets, keys) = keys();
    let api = "[api]\nlisten = '127.0.0.1:0'\nkey-file = 'api.key'\ncertificate = 'server.crt'\nprivate-key = 'server.pem'\nclient-ca = 'ca.crt'\n";
    write_files(directory.path(), &[("postern.toml", &format!("{CONFIG}{api}")), FILED, ("api.key", &keys), ("secret", &secrets[0])]);
    let config = directory.path().join("postern.toml");
    let server = Server::spawn(postern(&["serve", "-c", config.to_str().unwrap()]), directory.path().to_path_buf(), None);
    let url = format!("https://{}/v1/zones", server.api_address());
    let curl = |arguments: &[&str]| {
        let key = format!("X-API-Key: {}", secrets[0]);
        let usual = ["-s", "-o", "/dev/null", "-w", "%{http_code}", "--max-time", "30", "--cacert", "ca.crt", "-H", &key, &url];
        let output = Command::new("curl").args(usual).args(arguments).current_dir(directory.path()).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(curl(&["--cert", "client.crt", "--key", "client.pem"]), "200");
    assert_eq!(curl(&[]), "000", "no certificate");
    assert_eq!(curl(&["--cert", "stranger.crt", "--key", "stranger.pem"]), "000", "one of nobody's");
    // Without client-ca the key alone is asked for; the reload takes it from the file.
    let seen = server.log().len();
    let text = format!("{CONFIG}{}", api.replace("client-ca = 'ca.crt'\n", ""));
    write_files(directory.path(), &[("postern.toml", &text)]);
    server.logged_after(seen, &["reloaded"]);
    assert_eq!(curl(&[]), "200");
    let path = |name: &str| directory.path().join(name).display().to_string();
    let base = url.trim_end_matches("/v1/zones").to_owned();
    let output = run(&["records", "list", "--url", &base, "--ca", &path("ca.crt"), "--key-file", &path("secret")]);
    assert!(output.status.success() && String::from_utf8_lossy(&output.stdout).contains("contoso.test"), "{output:?}");
    let output = run(&["records", "list", "--url", &base, "--key-file", &path("secret")]);
    assert!(!output.status.success(), "an authority that nobody trusts");
}
