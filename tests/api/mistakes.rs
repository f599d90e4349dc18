//! Requests and commands that are not meant as they are written: nothing is changed, and the answer offers the right spelling.

use std::io::Write;
use std::process::Stdio;

use hickory_proto::rr::RecordType::{A, CNAME, MX, TXT};
use serde_json::json;

use crate::harness::{Server, postern, write_files};
use crate::{CONFIG, FILED, keys, rrset, server};

const IMPORT: &str = "/v1/zones/contoso.test/import";
const WWW: &str = "/v1/zones/contoso.test/rrsets/www/A";

#[test]
fn unknown_parameters_and_members_are_rejected_with_the_right_spelling() {
    let server = server("listen = '127.0.0.1:0'");
    let mut api = server.api(None);
    let json_type = [("Content-Type", "application/json")];
    let text = [("Content-Type", "text/plain")];
    let good = r#"{"records": ["10.0.0.1"]}"#;
    for (method, path, headers, body, status, words) in [
        ("PUT", format!("{WWW}?dryrun=true"), &json_type, good, 400, "unknown parameter; did you mean `dry_run`?"),
        ("PUT", format!("{WWW}?force=true"), &json_type, good, 400, "known here: `dry_run`"),
        ("PUT", format!("{WWW}?dry_run=yes"), &json_type, good, 400, "dry_run"),
        ("PUT", format!("{WWW}?dry_run=false&dry%2Drun=true"), &json_type, good, 400, "duplicate field"),
        ("POST", format!("{IMPORT}?replace=true"), &text, "www A 10.0.0.1\n", 400, "known here: `mode`"),
        ("DELETE", "/v1/zones/contoso.test?dry_run=true".into(), &json_type, "", 400, "unknown parameter; known here: `discard_damaged`"),
        ("GET", "/v1/networks?x".into(), &json_type, "", 400, "none is taken here"),
        ("GET", "/v1/fallbacks?Limit=1".into(), &json_type, "", 400, "did you mean `limit`?"),
        ("GET", "/v1/zones/contoso.test/rrsets?rtype=A".into(), &json_type, "", 400, "did you mean `type`?"),
        ("PUT", WWW.into(), &json_type, r#"{"records": ["10.0.0.1"], "tll": 5}"#, 422, "unknown member `tll`; did you mean `ttl`?"),
        ("PATCH", WWW.into(), &json_type, r#"{"removed": ["10.0.0.1"]}"#, 422, "did you mean `remove`?"),
        (
            "PATCH",
            "/v1/zones/contoso.test/rrsets".into(),
            &json_type,
            r#"{"rrsets": [{"name": "www", "type": "A", "record": []}]}"#,
            422,
            "did you mean `records`?",
        ),
        // An RRset whose records are left out is not one that is to go.
        (
            "PATCH",
            "/v1/zones/contoso.test/rrsets".into(),
            &json_type,
            r#"{"rrsets": [{"name": "www", "type": "A", "ttl": 5}]}"#,
            422,
            "missing field `records`",
        ),
        ("POST", "/v1/zones".into(), &json_type, r#"{"name": "new.test", "rrsets": [{"nam": "a"}]}"#, 422, "/rrsets/0"),
        ("POST", "/v1/fallbacks/muted".into(), &json_type, r#"{"nmae": "a.test"}"#, 422, "did you mean `name`?"),
    ] {
        let reply = api.raw(method, &path, headers, body).unwrap();
        assert_eq!(reply.status, status, "{method} {path} {body}: {reply:?}");
        assert!(reply.body.contains(words), "{method} {path} {body}: {reply:?}");
        assert_eq!(reply.header("content-type"), "application/problem+json", "{method} {path}");
    }
    assert_eq!(api.get("/v1/zones/contoso.test").ok(200)["records"], 2, "nothing was changed");
    for path in ["/v1/zones", "/v1/openapi.json", "/v1/zones/nothere.test"] {
        let reply = api.get(path);
        assert!(reply.body.ends_with("}\n"), "{path}: {reply:?}");
    }
    let reply = api.get("/v1/fallbacks?network=hbu");
    assert!(reply.status == 400 && reply.body.contains("there is no network `hbu`; did you mean `hub`?"), "{reply:?}");
    for spelling in ["dry-run", "dry_run", "dry%2Drun"] {
        let dry = api.send("PUT", &format!("{WWW}?{spelling}=true"), Some(&rrset(&["10.0.0.1"]))).ok(200);
        assert_eq!(dry["dry_run"], true, "{spelling}");
    }
    assert_eq!(server.short("www.contoso.test", A), ["NXDOMAIN"]);
}

#[test]
fn an_import_without_records_takes_nothing_away_unless_it_is_allowed() {
    let server = server("listen = '127.0.0.1:0'");
    let mut api = server.api(None);
    api.send("PUT", WWW, Some(&rrset(&["10.0.0.1"]))).ok(200);
    let foreign = r#"[{"customDnsConfigs": [{"fqdn": "www.fabrikam.test", "ipAddresses": ["10.0.0.2"]}]}]"#;
    for (query, kind, body, status, words) in [
        ("?mode=replace", "application/json", "", 400, "JSON is expected"),
        ("?mode=replace&allow_empty=true", "application/json", " \n", 400, "JSON is expected"),
        ("", "application/json", "", 400, "JSON is expected"),
        ("", "text/plain", "", 400, "`allow_empty=true`"),
        ("?mode=replace", "text/plain", "\n", 400, "`allow_empty=true`"),
        ("?mode=replace", "", "", 400, "`allow_empty=true`"),
        (
            "?mode=replace",
            "text/plain",
            "; nothing\n$TTL 60\n",
            409,
            "would remove the 1 records that are there; `allow_empty=true` accepts it",
        ),
        ("?mode=replace", "application/json", "[]", 409, "`allow_empty=true`"),
        ("?mode=replace", "application/json", "{\"value\":[]}", 409, "`allow_empty=true`"),
        ("?mode=replace", "application/json", foreign, 409, "`allow_empty=true`"),
        ("?mode=replace", "application/json", "www A 10.0.0.2", 422, "1:1"),
    ] {
        let reply = api.raw("POST", &format!("{IMPORT}{query}"), &[("Content-Type", kind)], body).unwrap();
        assert_eq!(reply.status, status, "{query} {kind} {body:?}: {reply:?}");
        assert!(reply.body.contains(words), "{query} {kind} {body:?}: {reply:?}");
        assert_eq!(server.short("www.contoso.test", A), ["10.0.0.1"], "{query} {kind} {body:?}");
    }
    let json_type = [("Content-Type", "application/json")];
    let dry = api.raw("POST", &format!("{IMPORT}?mode=replace&dry_run=true"), &json_type, "[]").unwrap().ok(200);
    assert_eq!((&dry["removed"], dry["warnings"][0].as_str().unwrap().contains("`allow_empty=true`")), (&json!(1), true), "{dry}");
    let emptied = api.raw("POST", &format!("{IMPORT}?mode=replace&allow-empty=true"), &json_type, "[]").unwrap().ok(200);
    assert_eq!(emptied["removed"], 1);
    assert_eq!(server.short("www.contoso.test", A), ["NXDOMAIN"]);
}

#[test]
fn a_replacement_that_loses_most_names_needs_leave() {
    let server = server("listen = '127.0.0.1:0'");
    let mut api = server.api(None);
    let text = [("Content-Type", "text/plain")];
    let file = |names: u32| (0..names).map(|number| format!("n{number} 10 IN A 10.0.0.{number}\n")).collect::<String>();
    let mut import = |query: &str, names: u32| api.raw("POST", &format!("{IMPORT}?mode=replace{query}"), &text, &file(names)).unwrap();
    import("", 19).ok(200);
    import("", 1).ok(200); // too small to be guarded
    import("", 20).ok(200);
    let reply = import("", 9);
    assert_eq!(reply.status, 409, "{reply:?}");
    assert!(reply.body.contains("would remove 11 of the 20 names") && reply.body.contains("`allow_loss=true`"), "{reply:?}");
    assert_eq!(server.short("n19.contoso.test", A), ["10.0.0.19"]);
    let dry = import("&dry_run=true", 9).ok(200);
    assert!(dry["warnings"][0].as_str().unwrap().contains("`allow_loss=true`"), "{dry}");
    import("", 10).ok(200); // half of them
    import("", 20).ok(200);
    import("&allow_loss=true", 9).ok(200);
    assert_eq!(server.short("n19.contoso.test", A), ["NXDOMAIN"]);
}

#[test]
fn an_import_has_the_limits_of_losses_that_the_zone_has() {
    let config = CONFIG.replacen("api = true\n", "api = true\nmax-loss = '10%'\nallow-empty = true\n", 1);
    let server = Server::with(&[("postern.toml", &format!("{config}[api]\nlisten = '127.0.0.1:0'\n")), FILED]);
    let mut api = server.api(None);
    let json_type = [("Content-Type", "application/json")];
    api.raw("POST", "/v1/zones", &json_type, r#"{"name": "made.test"}"#).unwrap().ok(201);
    let file = |names: u32| (0..names).map(|number| format!("n{number} 10 IN A 10.0.0.{number}\n")).collect::<String>();
    let mut import = |zone: &str, body: &str| {
        api.raw("POST", &format!("/v1/zones/{zone}/import?mode=replace"), &[("Content-Type", "text/plain")], body).unwrap()
    };
    import("contoso.test", &file(20)).ok(200);
    import("contoso.test", &file(18)).ok(200);
    import("contoso.test", &file(20)).ok(200);
    let reply = import("contoso.test", &file(17));
    assert_eq!(reply.status, 409, "{reply:?}");
    assert!(reply.body.contains("would remove 3 of the 20 names") && reply.body.contains("more than max-loss (10%)"), "{reply:?}");
    for body in ["; nothing\n", ""] {
        import("contoso.test", body).ok(200);
        assert_eq!(server.short("n1.contoso.test", A), ["NXDOMAIN"], "{body:?}");
    }
    // A zone that the configuration does not name has the defaults.
    import("made.test", &file(20)).ok(200);
    import("made.test", &file(10)).ok(200);
    assert_eq!(import("made.test", "; nothing\n").status, 409);
}

/// Runs `postern records import` with what it reads on standard input.
fn import(server: &Server, arguments: &[&str], input: &str) -> (bool, String) {
    let socket = server.file("state/postern.sock").display().to_string();
    let mut command = postern(&[&["records", "import", "--socket", &socket], arguments].concat());
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = piped.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    (output.status.success(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn the_command_does_not_replace_a_zone_with_the_output_of_a_command_that_failed() {
    let server = server("listen = '127.0.0.1:0'");
    let mut api = server.api(None);
    api.send("PUT", WWW, Some(&rrset(&["10.0.0.1"]))).ok(200);
    for (arguments, input, words) in [
        (&["--replace", "-", "contoso.test"][..], "", "standard input: error: the file is empty"),
        (&["-", "contoso.test"], "\n", "--allow-empty"),
        (&["--replace", "-", "contoso.test"], "[]", "--allow-empty accepts it"),
        (&["--replace", "--allow-empty", "-", "contoso.test"], "{", "standard input:1:"),
    ] {
        let (good, said) = import(&server, arguments, input);
        assert!(!good && said.contains(words), "{arguments:?}: {said}");
        assert_eq!(server.short("www.contoso.test", A), ["10.0.0.1"], "{arguments:?}: {said}");
    }
    let (good, said) = import(&server, &["--replace", "--dry-run", "-", "contoso.test"], "[]");
    assert!(good && said.contains("warning: contoso.test.: ") && said.contains("--allow-empty accepts it"), "{said}");
    let (good, said) = import(&server, &["--replace", "--allow-empty", "-", "contoso.test"], "");
    assert!(good && said.contains("1 removed"), "{said}");
    assert_eq!(server.short("www.contoso.test", A), ["NXDOMAIN"]);
}

#[test]
fn names_and_text_mean_what_somebody_means_who_writes_no_zone_file() {
    let server = server("listen = '127.0.0.1:0'");
    let mut api = server.api(None);
    let socket = server.file("state/postern.sock").display().to_string();
    let set = |arguments: &[&str]| {
        let output = postern(&[&["records", "set", "--socket", &socket, "contoso.test"], arguments].concat()).output().unwrap();
        (output.status.success(), String::from_utf8(output.stderr).unwrap())
    };
    let mut put = |place: &str, data: &str| api.send("PUT", &format!("/v1/zones/contoso.test/rrsets/{place}"), Some(&rrset(&[data])));
    put("_dmarc/TXT", "v=DMARC1; p=none").ok(200);
    assert_eq!(server.short("_dmarc.contoso.test", TXT), ["v=DMARC1; p=none"]);
    put("long/TXT", &"x".repeat(600)).ok(200);
    assert_eq!(server.short("long.contoso.test", TXT).concat().replace(' ', ""), "x".repeat(600));
    put("@/MX", "10 mail").ok(200);
    assert_eq!(server.short("contoso.test", MX), ["10 mail.contoso.test."]);
    for (place, data, words) in [
        ("www/CNAME", "app.fabrikam.test", "write `app.fabrikam.test.` or `app.fabrikam.test.contoso.test.`"),
        ("_s._tcp/SRV", "0 5 443 dc.site", "write `dc.site.` or `dc.site.contoso.test.`"),
        ("www/A", "10.0.0.1 ; web", "`;` starts no comment"),
    ] {
        let reply = put(place, data);
        assert_eq!((reply.status, &reply.json()["errors"][0]["pointer"]), (422, &json!("/records/0")), "{place} {data}: {reply:?}");
        assert!(reply.body.contains(words), "{place} {data}: {reply:?}");
    }
    let (good, said) = set(&["www", "CNAME", "app"]);
    assert!(good, "{said}");
    assert_eq!(server.short("www.contoso.test", CNAME), ["app.contoso.test."]);
    assert!(set(&["t", "TXT", "hello world"]).0);
    assert_eq!(server.short("t.contoso.test", TXT), ["hello world"]);
    let (good, said) = set(&["www", "CNAME", "app.fabrikam.test"]);
    assert!(!good && said.contains("`app.fabrikam.test.contoso.test.`"), "{said}");
}

#[test]
fn commands_name_the_option_that_is_missing() {
    let (secrets, file) = keys();
    let config = format!("{CONFIG}[api]\nlisten = '127.0.0.1:0'\nkey-file = 'api.key'\n");
    let server = Server::with(&[("postern.toml", &config), FILED, ("api.key", &file)]);
    let socket = server.file("state/postern.sock").display().to_string();
    let (http, https) = (format!("http://{}", server.api_address()), format!("https://{}", server.api_address()));
    write_files(server.path(), &[("read.key", &secrets[0])]);
    let read_key = server.file("read.key").display().to_string();
    for (arguments, words) in [
        (&["status", "--url", &http][..], "--key-file"),
        (&["status", "--url", &https], "write the URL with http://"),
        (&["reload", "--url", &http, "--key-file", &read_key], "has scope `read`"),
        (&["cache", "flush", "--socket", &socket], "--all"),
        (&["fallbacks", "--network", "nothere", "--socket", &socket], "there is no network `nothere`; known here: `"),
    ] {
        let output = postern(arguments).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && said.contains(words), "{arguments:?}: {said}");
    }
    for (name, type_and_data) in [("z.a", "10.0.0.1"), ("b", "10.0.0.2"), ("a", "10.0.0.3")] {
        assert!(
            postern(&["records", "set", "--socket", &socket, "contoso.test", name, "A", type_and_data]).output().unwrap().status.success()
        );
    }
    let listed = postern(&["records", "list", "--socket", &socket, "contoso.test", "--type", "A"]).output().unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    let names: Vec<&str> = listed.lines().skip(1).filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(names, ["a.contoso.test.", "z.a.contoso.test.", "b.contoso.test."]);
    // The configuration breaks while the server runs.
    write_files(server.path(), &[("postern.toml", "[server\n")]);
    let output = postern(&["status", "-c", server.file("postern.toml").to_str().unwrap()]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && said.contains("warning: the configuration is broken"), "{said}");
}
