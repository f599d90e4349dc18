//! Keys: how far each reaches, and when it is good.

use serde_json::json;

use crate::harness::http::Http;
use crate::harness::{self, Server, eventually, postern, run, write_files};
use crate::{CONFIG, FILED, keys, rrset};

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
