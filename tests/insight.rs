//! Looking into a running server, and the way of a new user: start empty, make zones, miss a name, find it, create it, see it private.

mod harness;

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::sync::mpsc;
use std::time::Duration;

use harness::{PATIENT, PATIENT_FORWARD, Server, eventually, postern, run, write_files};
use hickory_proto::rr::RecordType::{A, SOA};
use postern_lab::{LabScenario, LabServer};
use serde_json::{Value, json};

const FHIR1: &str = "contosows-fhir1.fhir.azurehealthcareapis.com";
const FHIR3: &str = "contosows-fhir3.fhir.azurehealthcareapis.com";
const FHIR3_PRIVATE: &str = "contosows-fhir3.fhir.privatelink.azurehealthcareapis.com";

/// A server without zones in front of a simulated public DNS.
struct Scene {
    server: Server,
    _public: LabServer,
}

impl Scene {
    fn new(more: &str, files: &[(&str, &str)]) -> Self {
        let public = LabServer::start(LabScenario::azure(), "127.0.0.1:0".parse().unwrap()).unwrap();
        let waits = if more.contains("[cache]") { "" } else { PATIENT };
        let config = format!(
            "[server]\nlisten = ['127.0.0.1:0']\n[[network]]\nname = 'hub'\nclients = ['127.0.0.0/8']\n\
             [[forward]]\nzone = '.'\nupstreams = ['{}']\n{PATIENT_FORWARD}{waits}[api]\nlisten = '127.0.0.1:0'\nrate = 0\n{more}",
            public.address()
        );
        Self { server: Server::with(&[&[("postern.toml", config.as_str())], files].concat()), _public: public }
    }

    /// Runs a command against it: whether it went well, and what it printed.
    fn run(&self, arguments: &[&str]) -> (bool, String, String) {
        let config = self.server.file("postern.toml").display().to_string();
        let output = run(&[arguments, &["-c", &config]].concat());
        let text = |octets| String::from_utf8(octets).unwrap();
        (output.status.success(), text(output.stdout), text(output.stderr))
    }

    /// What a command prints that goes well.
    fn good(&self, arguments: &[&str]) -> String {
        let (good, out, said) = self.run(arguments);
        assert!(good, "{arguments:?}: {said}");
        out
    }

    fn make_health_zones(&self) {
        let made = self.server.api(None).send("POST", "/v1/zones", Some(&json!({"preset": "azure-health-data-services"})));
        assert_eq!(made.json()["zones"].as_array().map(Vec::len), Some(4), "{made:?}");
    }
}

#[test]
fn a_new_user_starts_empty_misses_a_name_finds_it_and_makes_it_private() {
    let scene = Scene::new("", &[]);
    let server = &scene.server;
    assert!(scene.good(&["status"]).contains("zones:      0 with 0 records"));
    scene.make_health_zones();
    let endpoint = json!({"customDnsConfigs": [{"fqdn": FHIR1, "ipAddresses": ["10.20.1.5"]}]}).to_string();
    write_files(server.path(), &[("pe.json", &endpoint)]);
    scene.good(&["records", "import", &server.file("pe.json").display().to_string()]);
    assert!(server.short(FHIR1, A).ends_with(&["10.20.1.5".into()]));
    // Nobody made this one.
    let public = server.short(FHIR3, A);
    assert!(public.last().unwrap().starts_with("203.0.113."), "{public:?}");
    let listed = eventually("the ledger has it", || {
        let listed = scene.good(&["fallbacks", "-o", "json"]);
        let listed: Value = serde_json::from_str(&listed).unwrap();
        (!listed.as_array().unwrap().is_empty()).then_some(listed)
    });
    assert_eq!(listed.as_array().unwrap().len(), 1, "{listed}");
    let missed = &listed[0];
    assert_eq!((&missed["name"], &missed["private"], &missed["reason"]), (&json!(FHIR3), &json!(FHIR3_PRIVATE), &json!("no-record")));
    assert_eq!(missed["mend"]["record"], "contosows-fhir3.fhir 10 IN A <private address>");
    let table = scene.good(&["fallbacks", "--network", "hub", "--since", "1h"]);
    assert!(table.contains(FHIR3) && table.contains("contosows-fhir3.fhir 10 IN A <private address>"), "{table}");
    assert!(!scene.good(&["fallbacks", "--network", "default"]).contains(FHIR3));
    let why = scene.good(&["explain", FHIR3]);
    assert!(why.contains("fallback: no-record, public") && why.contains("record: contosows-fhir3.fhir 10 IN A <private address>"), "{why}");
    // From there.
    let (good, changed, said) = scene.run(&["fallbacks", "create", FHIR3, "10.20.1.9"]);
    assert!(good && changed.contains(&format!("+ {FHIR3_PRIVATE}.")) && said.contains("1 added"), "{changed}{said}");
    assert_eq!(server.short(FHIR3, A), [&format!("{FHIR3_PRIVATE}."), "10.20.1.9"]);
    assert!(!scene.good(&["fallbacks"]).contains(FHIR3), "it is mended");
    assert!(scene.good(&["fallbacks", "--all"]).contains("(is there by now)"));
    let (good, _, said) = scene.run(&["fallbacks", "create", FHIR3, "10.20.1.10"]);
    assert!(!good && said.contains("other addresses already"), "{said}");
    assert!(scene.good(&["explain", FHIR3]).contains("answer: NOERROR"));
}

#[test]
fn explain_tells_what_must_be_asked_and_asks_it_where_one_says_so() {
    let scene = Scene::new("", &[]);
    scene.make_health_zones();
    let told = scene.good(&["explain", FHIR3, "--client", "127.0.0.9"]);
    assert!(told.contains(&format!("{FHIR3} A for 127.0.0.9 (network hub)")), "{told}");
    assert!(told.contains("an upstream must be asked") && told.contains("(--ask does it)"), "{told}");
    assert_eq!(scene.server.api(None).get("/v1/cache").ok(200)["entries"], 0, "nothing was asked");
    let mut api = scene.server.api(None);
    let asked = api.get(&format!("/v1/explain?name={FHIR3}&client=127.0.0.9&ask=true")).ok(200);
    assert_eq!((&asked["asked"], &asked["network"], &asked["ask"]), (&json!(true), &json!("hub"), &Value::Null), "{asked}");
    assert_eq!(asked["fallback"]["reason"], "no-record");
    assert_eq!(asked["answer"]["rcode"], "NOERROR");
    assert!(asked["hops"].as_array().unwrap().iter().any(|hop| hop["zone"]["name"] == "privatelink.azurehealthcareapis.com"), "{asked}");
    assert!(scene.good(&["explain", FHIR3, "AAAA", "--ask", "-o", "json"]).contains("\"type\": \"AAAA\""));
    for (query, words) in [("name=a..b", "not a domain name"), ("name=a.test&type=AXFR", "not a type"), ("name=a.test&client=me", "client")]
    {
        let refused = api.get(&format!("/v1/explain?{query}"));
        assert_eq!((refused.status, refused.body.contains(words)), (400, true), "{query}: {refused:?}");
    }
}

#[test]
fn what_is_muted_is_counted_and_no_longer_listed() {
    let scene = Scene::new("[fallback]\nfile = 'fallback.log'\nrepeat = 'all'\n", &[]);
    scene.make_health_zones();
    scene.good(&["fallbacks", "mute", &FHIR3.to_uppercase()]);
    scene.server.ask(FHIR3, A);
    let counted = eventually("it is counted", || {
        let status = scene.server.api(None).get("/v1/status").ok(200);
        status["fallbacks"].as_u64().filter(|count| *count > 0)
    });
    assert_eq!(counted, 1);
    assert!(!scene.good(&["fallbacks"]).contains(FHIR3));
    assert!(scene.good(&["fallbacks", "--muted"]).contains(FHIR3));
    assert_eq!(scene.server.api(None).get("/v1/fallbacks/muted").ok(200), json!([{"name": FHIR3, "network": null, "names": 1}]));
    let written = || std::fs::read_to_string(scene.server.file("fallback.log")).unwrap();
    assert_eq!(written(), "", "nor written");
    let said = scene.good(&["fallbacks", "mute", "*.azurehealthcareapis.com", "--network", "hub"]);
    assert!(said.starts_with("*.azurehealthcareapis.com is muted for network hub. It covers "), "{said}");
    assert!(scene.good(&["fallbacks", "muted"]).contains(FHIR3), "and what was muted before");
    let (good, _, said) = scene.run(&["fallbacks", "mute", FHIR3, "--network", "hubb"]);
    assert!(!good && said.contains("there is no network `hubb`; did you mean `hub`?"), "{said}");
    assert_eq!(scene.server.api(None).get("/v1/fallbacks/muted").ok(200).as_array().map(Vec::len), Some(2));
    scene.good(&["fallbacks", "unmute", "*.azurehealthcareapis.com", "--network", "hub"]);
    let said = scene.good(&["fallbacks", "unmute", FHIR3]);
    assert!(said.contains("is no longer muted for all networks.") && said.ends_with("Nothing is muted now.\n"), "{said}");
    let (good, _, said) = scene.run(&["fallbacks", "unmute", FHIR3]);
    assert!(!good && said.contains("is not muted"), "{said}");
    assert!(scene.good(&["fallbacks"]).contains(FHIR3));
    scene.server.ask(FHIR3, A);
    eventually("it is written again", || written().contains(FHIR3).then_some(()));
}

#[test]
fn fallbacks_are_followed_as_they_happen() {
    let scene = Scene::new("", &[]);
    scene.make_health_zones();
    let config = scene.server.file("postern.toml").display().to_string();
    let mut command = postern(&["fallbacks", "--follow", "-o", "json", "-c", &config]);
    let mut follower = command.stdout(Stdio::piped()).spawn().unwrap();
    let (say, said) = mpsc::channel();
    let lines = BufReader::new(follower.stdout.take().unwrap()).lines();
    std::thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| say.send(line)));
    // It may not be there yet: so it happens again and again.
    let line = eventually("a line", || {
        scene.server.ask(FHIR3, A);
        said.recv_timeout(Duration::from_millis(300)).ok()
    });
    let event: Value = serde_json::from_str(&line).unwrap();
    assert_eq!((&event["name"], &event["network"], &event["reason"]), (&json!(FHIR3), &json!("hub"), &json!("no-record")));
    // It ends with the server, which does not wait for it.
    let (status, _) = scene.server.stop();
    assert!(status.success());
    follower.wait().unwrap();
}

#[test]
fn a_record_is_not_created_where_a_file_has_the_word_nor_where_no_zone_is() {
    let zone = "[[zone]]\nname = 'privatelink.azurehealthcareapis.com'\nfile = 'health.zone'\n";
    let scene = Scene::new(zone, &[("health.zone", "contosows-fhir1.fhir 10 IN A 10.20.1.5\n")]);
    let mut api = scene.server.api(None);
    let mut create = |body: Value| {
        let refused = api.send("POST", "/v1/fallbacks/create", Some(&body));
        (refused.status, refused.body)
    };
    for (body, status, words) in [
        (json!({"name": FHIR3, "addresses": ["10.20.1.9"]}), 409, "health.zone"),
        (json!({"name": "nothing.fabrikam.test", "addresses": ["10.20.1.9"]}), 404, "did not fall back"),
        (json!({"name": FHIR3, "addresses": []}), 422, "one address at least"),
        (json!({"name": FHIR3, "addresses": ["10.20.1"]}), 422, "/addresses/0"),
        (json!({"name": FHIR3, "addresses": ["10.20.1.9"], "network": "nowhere"}), 422, "no network `nowhere`"),
        (json!({"name": "a..b", "addresses": ["10.20.1.9"]}), 422, "/name"),
    ] {
        let (got, said) = create(body.clone());
        assert_eq!((got, said.contains(words)), (status, true), "{body}: {said}");
    }
}

#[test]
fn fallbacks_are_listed_newest_first_page_by_page_and_words_that_none_has_are_refused() {
    let scene = Scene::new("", &[]);
    scene.make_health_zones();
    let mut api = scene.server.api(None);
    for (name, count) in [(FHIR3, 1), ("contosodb.database.windows.net", 2)] {
        scene.server.ask(name, A);
        eventually("it is listed", || {
            let listed = api.get("/v1/fallbacks").ok(200);
            (listed["fallbacks"].as_array().unwrap().len() == count).then_some(())
        });
    }
    let newest = api.get("/v1/fallbacks?limit=1").ok(200);
    assert_eq!(newest["fallbacks"][0]["name"], "contosodb.database.windows.net", "{newest}");
    let oldest = api.get(&format!("/v1/fallbacks?limit=1&cursor={}", newest["next"])).ok(200);
    assert_eq!((&oldest["fallbacks"][0]["name"], &oldest["next"]), (&json!(FHIR3), &Value::Null), "{oldest}");
    for (query, listed) in [("reason=no-zone", 1), ("zone=privatelink.azurehealthcareapis.com.", 1), ("name=FHIR3", 1), ("action=stale", 0)]
    {
        let some = api.get(&format!("/v1/fallbacks?{query}")).ok(200);
        assert_eq!(some["fallbacks"].as_array().unwrap().len(), listed, "{query}: {some}");
    }
    for query in ["reason=because", "action=none", "since=yesterday", "cursor=x", "limit=many"] {
        assert_eq!(api.get(&format!("/v1/fallbacks?{query}")).status, 400, "{query}");
    }
    let body = json!({"name": "contosodb.database.windows.net", "addresses": ["10.20.1.9"]});
    let refused = api.send("POST", "/v1/fallbacks/create", Some(&body));
    assert_eq!((refused.status, refused.body.contains("privatelink.database.windows.net first")), (409, true), "{refused:?}");
}

#[test]
fn the_cache_is_shown_and_forgets_what_it_is_told_to() {
    let scene = Scene::new("", &[]);
    scene.server.ask("www.contoso.test", A);
    scene.server.ask("shop.contoso.test", A);
    let shown = scene.good(&["cache", "show", "www.contoso.test"]);
    assert!(shown.lines().nth(1).is_some_and(|line| line.starts_with("www.contoso.test. ")), "{shown}");
    assert!(!shown.contains("shop.contoso.test"), "{shown}");
    let some = scene.server.api(None).get("/v1/cache?limit=1").ok(200);
    assert_eq!((some["held"].as_array().unwrap().len(), &some["more"]), (1, &json!(true)), "{some}");
    assert!(scene.good(&["cache", "flush", "www.contoso.test"]).contains("entries forgotten"));
    assert_eq!(scene.good(&["cache", "show", "www.contoso.test"]).lines().count(), 1, "its head alone");
    assert!(scene.good(&["cache", "show"]).contains("shop.contoso.test"));
    scene.good(&["cache", "flush", "--all"]);
    assert_eq!(scene.server.api(None).get("/v1/cache").ok(200)["entries"], 0);
    assert_eq!(scene.server.short("www.contoso.test", A), ["203.0.113.80"], "it is asked anew");
}

#[test]
fn status_tells_what_is_wrong_and_who_is_asked() {
    let scene = Scene::new("[[zone]]\nname = 'filed.test'\nfile = 'filed.zone'\n", &[("filed.zone", "www A 10.0.0.300\n")]);
    scene.server.ask("www.contoso.test", A);
    let status = scene.server.api(None).get("/v1/status").ok(200);
    assert_eq!((&status["ready"], &status["zones"]), (&json!(false), &json!(1)), "{status}");
    assert!(status["ailments"][0].as_str().unwrap().contains("filed.zone:1:"), "{status}");
    let upstreams = scene.server.api(None).get("/v1/upstreams").ok(200);
    assert_eq!((&upstreams[0]["transport"], upstreams[0]["answered"].as_u64() > Some(0)), (&json!("udp"), true), "{upstreams}");
    let shown = scene.good(&["status"]);
    assert!(shown.contains("not ready") && shown.contains("! zone filed.test has no data") && shown.contains("UPSTREAM"), "{shown}");
    write_files(scene.server.path(), &[("filed.zone", "www A 10.0.0.3\n")]);
    assert!(scene.good(&["reload"]).starts_with("reloaded, generation "));
    assert_eq!(scene.server.short("www.filed.test", A), ["10.0.0.3"]);
    assert!(scene.good(&["status"]).contains(", ready, up for "));
}

#[test]
fn the_configuration_tells_the_line_of_each_value_and_no_secret() {
    let key = "[[key]]\nname = 'acme'\nsecret = 'bm90IGEgc2VjcmV0IHRvIGtlZXAsIGJ1dCBvbmUgdG8gc2hvdw=='\nallow = ['update']\nzones = ['contoso.test']\n\
               [[zone]]\nname = 'contoso.test'\napi = true\n[cache]\nmax-ttl = '1h'\n[fallback]\nqueue = 100\n";
    let scene = Scene::new(key, &[]);
    let server = &scene.server;
    let of = |section: &str, key: &str| {
        let configuration = server.api(None).get("/v1/configuration").ok(200);
        assert!(!configuration.to_string().contains("bm90"), "{configuration}");
        assert!(configuration["file"].as_str().unwrap().ends_with("postern.toml"));
        let settings = configuration["settings"].as_array().unwrap().clone();
        settings.into_iter().find(|one| one["section"] == section && one["key"] == key).unwrap_or_else(|| panic!("{section}.{key}"))
    };
    let text = std::fs::read_to_string(server.file("postern.toml")).unwrap();
    let line = |words: &str| text.lines().position(|line| line.starts_with(words)).unwrap() + 1;
    assert_eq!((&of("cache", "max-ttl")["value"], &of("cache", "max-ttl")["line"]), (&json!("'1h'"), &json!(line("max-ttl"))));
    assert_eq!((&of("cache", "min-ttl")["value"].is_string(), &of("cache", "min-ttl")["line"]), (&true, &Value::Null));
    assert_eq!((&of("key", "secret")["value"], &of("key", "secret")["table"]), (&json!("(hidden)"), &json!("acme")));
    let shown = scene.good(&["config", "cache"]);
    let from = format!("postern.toml:{}", line("max-ttl"));
    assert!(shown.lines().any(|row| row.starts_with("cache.max-ttl ") && row.contains(&from) && row.ends_with("'1h'")), "{shown}");
    assert!(shown.lines().any(|row| row.starts_with("cache.min-ttl ") && row.contains(" default ")) && !shown.contains("key["), "{shown}");
    let set = scene.good(&["config", "--set"]);
    assert!(set.contains("key[acme].secret") && set.contains("(hidden)") && !set.contains(" default "), "{set}");
    // What a reload takes is shown at once, what needs a restart stays as it was.
    write_files(server.path(), &[("postern.toml", &text.replace("'1h'", "'2h'").replace("queue = 100", "queue = 200"))]);
    eventually("it is reloaded", || (of("cache", "max-ttl")["value"] == "'2h'").then_some(()));
    assert_eq!(of("fallback", "queue")["value"], "100");
}

/// Holds a value to its schema: the keys that are described and no others, each of its type.
fn fits(value: &Value, schema: &Value, document: &Value, at: &str) {
    if let Some(reference) = schema["$ref"].as_str() {
        return fits(value, document.pointer(reference.trim_start_matches('#')).expect(reference), document, at);
    }
    if let Some(several) = schema["oneOf"].as_array() {
        let wanted = several.iter().find(|one| (one["type"] == "null") == value.is_null());
        return fits(value, wanted.unwrap_or_else(|| panic!("{at}: {value}")), document, at);
    }
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let is_named = schema["type"] == kind || schema["type"].as_array().is_some_and(|kinds| kinds.iter().any(|one| one == kind));
    assert!(is_named, "{at} is {kind}, described as {schema}");
    value.as_array().into_iter().flatten().for_each(|item| fits(item, &schema["items"], document, &format!("{at}[]")));
    if let Some(object) = value.as_object() {
        let described = schema["properties"].as_object().unwrap_or_else(|| panic!("{at} is a free object"));
        object.iter().for_each(|(key, value)| {
            fits(value, described.get(key).unwrap_or_else(|| panic!("{at}.{key} is not described")), document, &format!("{at}.{key}"));
        });
        for key in schema["required"].as_array().into_iter().flatten() {
            assert!(object.contains_key(key.as_str().unwrap()), "{at} lacks {key}");
        }
        assert_eq!(object.len(), schema["required"].as_array().map_or(0, Vec::len), "{at}: all keys are always there");
    }
}

#[test]
fn explanations_are_what_the_document_says() {
    let scene = Scene::new("", &[]);
    scene.make_health_zones();
    let mut api = scene.server.api(None);
    let document = api.get("/v1/openapi.json").ok(200);
    let schema = &document["paths"]["/v1/explain"]["get"]["responses"]["200"]["content"]["application/json"]["schema"];
    let mut seen = Value::Null;
    for (question, part) in [
        ("name=www.contoso.test", "/ask/name"),
        ("name=www.contoso.test&ask=true", "/answer/rcode"),
        ("name=www.contoso.test", "/hops/0/cache/what"),
        (&*format!("name={FHIR3}&ask=true"), "/fallback/mend/what"),
        (&*format!("name={FHIR3}"), "/hops/1/zone/name"),
        ("name=www.contoso.test", "/hops/0/route/suffix"),
    ] {
        seen = api.get(&format!("/v1/explain?client=127.0.0.1&{question}")).ok(200);
        fits(&seen, schema, &document, "explained");
        assert!(seen.pointer(part).is_some_and(Value::is_string), "{question} shows {part}: {seen}");
    }
    assert!(seen.is_object());
}

#[test]
fn every_command_has_a_manual_page_that_renders_without_warnings() {
    let directory = tempfile::tempdir().unwrap();
    assert!(run(&["man", "--output", directory.path().to_str().unwrap()]).status.success());
    let pages: Vec<_> = std::fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    for name in ["postern.1", "postern-serve.1", "postern-records-set.1", "postern-man.1"] {
        assert!(pages.iter().any(|page| page.ends_with(name)), "{name} is missing in {pages:?}");
    }
    for (program, options) in [("groff", &["-Kutf8", "-ww", "-man", "-Tutf8"][..]), ("mandoc", &["-Tlint", "-Wwarning"])] {
        let output = std::process::Command::new(program).args(options).args(&pages).output();
        let Ok(output) = output else {
            eprintln!("{program} is not installed: its check of the manual pages is left out");
            continue;
        };
        let complaints = if program == "mandoc" { &output.stdout } else { &output.stderr };
        assert!(output.status.success() && complaints.is_empty(), "{program}: {}", String::from_utf8_lossy(complaints));
    }
    let printed = run(&["man"]);
    assert_eq!(printed.stdout, std::fs::read(directory.path().join("postern.1")).unwrap());
}

#[test]
fn shells_get_completion_of_every_command() {
    for shell in ["bash", "zsh", "fish"] {
        let output = run(&["completion", shell]);
        let script = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success());
        for word in ["fallbacks", "explain", "dry-run"] {
            assert!(script.contains(word), "{shell} lacks {word}");
        }
    }
}

#[test]
fn the_file_of_a_record_is_shown_if_its_zone_is_read_from_several() {
    let zone = ("zones/corp.test.zone", "$INCLUDE parts/more.inc\nwww 60 IN A 10.0.0.1\nftp 60 IN CNAME www\n*.w 60 IN A 10.0.0.4\n");
    let (part, hosts) = (("zones/parts/more.inc", "app 60 IN A 10.0.0.2\n"), ("zones/corp.test.hosts", "10.0.0.3 old.corp.test\n"));
    let scene = Scene::new("[[zone]]\nname = 'corp.test'\ndirectory = 'zones'\n", &[zone, part, hosts]);
    let file = |name: &str| {
        let explained: Value = serde_json::from_str(&scene.good(&["explain", &format!("{name}.corp.test"), "-o", "json"])).unwrap();
        explained["hops"][0]["zone"]["file"].as_str().unwrap_or_default().to_owned()
    };
    let names = [("www", zone.0), ("ftp", zone.0), ("x.w", zone.0), ("app", part.0), ("old", hosts.0), ("missing", zone.0)];
    for (name, expected) in names {
        assert!(file(name).ends_with(expected), "{name}: {}", file(name));
    }
    let told = scene.good(&["explain", "app.corp.test"]);
    assert!(told.contains("more.inc]"), "{told}");
    let listed = scene.good(&["records", "list", "corp.test"]);
    for (name, expected) in [("www.corp.test.", zone.0), ("app.corp.test.", part.0), ("old.corp.test.", hosts.0)] {
        assert!(listed.lines().any(|row| row.starts_with(name) && row.ends_with(expected)), "{name}: {listed}");
    }
    let zones = scene.good(&["records", "list"]);
    assert!(zones.contains("corp.test.zone and 2 more "), "{zones}");
    let checked = scene.good(&["check"]);
    for file in [zone.0, part.0, hosts.0] {
        assert!(checked.contains(file), "{file}: {checked}");
    }
    // The same records in other files are no change of the zone, and their files are the new ones.
    let serial = || scene.server.ask("corp.test", SOA).answers.first().map(ToString::to_string);
    let before = serial();
    write_files(scene.server.path(), &[(zone.0, &format!("{}app 60 IN A 10.0.0.2\n", zone.1)), (part.0, "; moved\n")]);
    eventually("the record has moved", || file("app").ends_with(zone.0).then_some(()));
    assert_eq!(serial(), before);
    assert!(scene.good(&["records", "list"]).contains("corp.test.zone and 1 more "));
}
