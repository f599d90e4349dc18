use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use proptest::prelude::*;
use serde_json::json;

use crate::key::{KeyPresence, SectionForm};
use crate::model::{FileSource, RecursionPolicy, UpstreamSet, UpstreamTransport, ZoneSource};
use crate::{PosternConfig, WatchedFile, fingerprint, keys, load, parse};

/// The sample with its unset keys set.
fn sample_with_all_set() -> String {
    let set = |line: &str| match line.strip_prefix('#') {
        Some(rest) if !rest.starts_with(' ') && !rest.is_empty() => rest.to_string(),
        _ => line.to_string(),
    };
    crate::sample().lines().map(|line| set(line) + "\n").collect()
}

#[test]
fn every_default_is_one_that_its_key_takes() {
    let empty = PosternConfig::default(); // reads every default
    assert_eq!(empty.networks.len(), 1);
    assert_eq!((empty.networks[0].name.as_str(), empty.networks[0].recursion), ("default", RecursionPolicy::PrivateClients));
    assert_eq!((empty.forwards[0].zone.as_str(), &empty.forwards[0].upstreams), (".", &UpstreamSet::System));
    assert_eq!(empty.server.listen, ["0.0.0.0:53", "[::]:53"].map(|address| address.parse::<SocketAddr>().unwrap()));
    assert_eq!(empty.cache.stale_after, Duration::from_millis(1800));
}

#[test]
fn every_key_has_words_and_every_list_section_is_shown_whole() {
    for section in keys::SECTIONS {
        for key in section.keys {
            assert!(key.doc().ends_with('.'), "{} {}", section.name, key.name());
            let shown = section.shown.iter().any(|keys| keys.contains(&key.name()));
            assert_eq!(shown, section.form == SectionForm::List, "{} {}", section.name, key.name());
        }
    }
}

#[test]
fn every_key_is_in_the_table_of_refusals() {
    let cases = include_str!("../tests/messages/refused.txt");
    for section in keys::SECTIONS {
        for key in section.keys {
            let said = |case: &&str| {
                let (text, _) = case.split_once("---\n").unwrap_or_default();
                text.contains(&section.header()) && text.lines().any(|line| line.starts_with(&format!("{} =", key.name())))
            };
            assert!(cases.split("===\n").any(|case| said(&case)), "{} `{}` has no case in refused.txt", section.header(), key.name());
        }
    }
}

#[test]
fn the_sample_is_what_the_keys_say() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("postern.toml");
    let written = std::fs::read_to_string(&file).unwrap_or_default();
    assert_eq!(written, crate::sample(), "write it anew: postern schema --format toml > config/postern.toml");
    let reference = std::fs::read_to_string(file.with_file_name("reference.md")).unwrap_or_default();
    assert_eq!(reference, crate::reference(), "write it anew: postern schema --format markdown > config/reference.md");
}

#[test]
fn the_sample_says_the_defaults_and_is_clean() {
    let loaded = parse(&crate::sample(), Path::new("postern.toml")).unwrap();
    assert_eq!(loaded.warnings, []);
    let same = |config: PosternConfig| PosternConfig { path: None, settings: Vec::new(), files: Vec::new(), ..config }; // where each value stands differs
    assert_eq!(same(loaded.config), same(PosternConfig::default()));
}

#[test]
fn the_sample_with_its_unset_keys_set_is_clean() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("zone-table.json"), "[]").unwrap();
    let secret = directory.path().join("acme.key");
    std::fs::write(&secret, "c2VjcmV0").unwrap();
    std::fs::set_permissions(&secret, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let file = directory.path().join("postern.toml");
    std::fs::write(&file, sample_with_all_set()).unwrap();
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let loaded = load(&file).unwrap();
    assert_eq!(loaded.warnings, []);
    assert_eq!(loaded.config.zones.len(), 8);
    assert_eq!(loaded.config.zones[5].source, ZoneSource::Api);
    assert_eq!(
        loaded.config.zones[4].source,
        ZoneSource::Files(FileSource::File { path: directory.path().join("exports/blob.json"), format: crate::model::SourceFormat::Auto })
    );
    for section in keys::SECTIONS {
        for key in section.keys {
            let lines = sample_with_all_set();
            assert!(lines.lines().any(|line| line.starts_with(&format!("{} = ", key.name()))), "{} {}", section.name, key.name());
        }
    }
}

#[test]
fn the_schema_takes_the_sample_and_refuses_what_the_parser_refuses() {
    let mut schemas = boon::Schemas::new();
    let mut compiler = boon::Compiler::new();
    compiler.add_resource("postern.json", crate::json_schema()).unwrap();
    let schema = compiler.compile("postern.json", &mut schemas).unwrap(); // checks it against draft 7, too
    let as_json = |text: &str| serde_json::to_value(toml::from_str::<toml::Table>(text).unwrap()).unwrap();
    for text in [crate::sample(), sample_with_all_set(), String::new()] {
        let value = as_json(&text);
        let checked = schemas.validate(&value, schema);
        assert!(checked.is_ok(), "{:#}", checked.unwrap_err());
    }
    for case in include_str!("../tests/messages/accepted.txt").split("===\n").skip(1) {
        let (text, _) = case.split_once("---\n").unwrap();
        let value = as_json(text);
        let checked = schemas.validate(&value, schema);
        assert!(checked.is_ok(), "{text}\n{:#}", checked.unwrap_err());
    }
    for wrong in [
        json!({"serve": {}}),
        json!({"server": {"lisen": []}}),
        json!({"server": {"listen": []}}),
        json!({"server": {"workers": 0}}),
        json!({"server": {"poll": 5}}),
        json!({"server": {"poll": "5 seconds"}}),
        json!({"server": {"strict": "yes"}}),
        json!({"zone": {"name": "a.test", "file": "z"}}),
        json!({"zone": [{"name": "a.test"}]}),
        json!({"zone": [{"name": "a.test", "file": "z", "directory": "z"}]}),
        json!({"zone": [{"preset": "ahds", "directory": "z"}]}),
        json!({"forward": [{"zone": "."}]}),
        json!({"forward": [{"zone": ".", "upstreams": [{"rate": 3}]}]}),
        json!({"network": [{"name": "Hub", "clients": ["10.0.0.0/8"]}]}),
        json!({"network": [{"name": "hub", "recursion": "maybe"}]}),
        json!({"key": [{"name": "k", "allow": ["update"]}]}),
        json!({"key": [{"name": "k", "allow": ["all"], "secret": "c2VjcmV0"}]}),
        json!({"key": [{"name": "k", "allow": ["update"], "secret": "c2VjcmV0", "unsigned": true}]}),
        json!({"cache": {"size": "64MB/s"}}),
        json!({"fallback": {"repeat": "every now and then"}}),
    ] {
        assert!(schemas.validate(&wrong, schema).is_err(), "{wrong}");
    }
}

#[test]
fn the_schema_and_the_parser_agree_on_keys_that_depend_on_each_other() {
    let mut schemas = boon::Schemas::new();
    let mut compiler = boon::Compiler::new();
    compiler.add_resource("postern.json", crate::json_schema()).unwrap();
    let schema = compiler.compile("postern.json", &mut schemas).unwrap();
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("acme.key"), "c2VjcmV0").unwrap();
    let (mut taken, mut refused) = (0, 0);
    for section in keys::SECTIONS.iter().filter(|section| !section.rules.is_empty()) {
        let mut names: Vec<&str> = section.rules.iter().flat_map(|rule| rule.keys()).collect();
        names.sort_unstable();
        names.dedup();
        let required = section.keys.iter().filter(|key| key.presence() == KeyPresence::Required);
        let required: String = required.map(|key| format!("{} = {}\n", key.name(), key.example())).collect();
        // Every key is absent or has its example. A switch may also be `false`.
        for choice in 0..3usize.pow(names.len() as u32) {
            let states: Vec<usize> = (0..names.len() as u32).map(|index| choice / 3usize.pow(index) % 3).collect();
            // A zone may name a reader.
            let reader = if section.name == "zone" { "[[azure]]\nname = \"contoso\"\n" } else { "" };
            let mut text = format!("{reader}{}\n{required}", section.header());
            for (name, state) in names.iter().zip(&states) {
                let key = section.key(name).unwrap();
                match state {
                    1 => text += &format!("{name} = {}\n", key.example()),
                    2 if key.is_switch() => text += &format!("{name} = false\n"),
                    _ => {}
                }
            }
            if names.iter().zip(&states).any(|(name, state)| *state == 2 && !section.key(name).unwrap().is_switch()) {
                continue;
            }
            let value = serde_json::to_value(toml::from_str::<toml::Table>(&text).unwrap()).unwrap();
            let parsed = parse(&text, &directory.path().join("postern.toml"));
            let in_schema = schemas.validate(&value, schema).is_ok();
            assert_eq!(in_schema, parsed.is_ok(), "{text}{:#?}", parsed.err());
            if in_schema { taken += 1 } else { refused += 1 }
        }
    }
    assert!(taken > 10 && refused > 50, "{taken} {refused}");
}

#[test]
fn every_default_in_the_schema_is_the_key_s() {
    let schema = crate::json_schema();
    for section in keys::SECTIONS {
        let table = &schema["properties"][section.name];
        let table = if section.form == SectionForm::List { &table["items"] } else { table };
        for key in section.keys {
            let described = &table["properties"][key.name()];
            assert_eq!(
                described.get("default").is_some(),
                matches!(key.presence(), KeyPresence::Default(_)),
                "{} {}",
                section.name,
                key.name()
            );
            assert_ne!(described["default"], json!({}), "{} {}", section.name, key.name());
        }
    }
}

#[test]
fn reads_what_the_design_writes() {
    let text = r#"
        [server]
        listen = ["0.0.0.0:53", "[::]:53"]

        [[network]]
        name    = "hub"
        clients = ["10.20.0.0/16", "192.0.2.7"]

        [[zone]]
        preset  = "azure-health-data-services"
        network = ["hub"]
        directory = "zones"
        on-missing = "public"

        [[zone]]
        name    = "Privatelink.Blob.core.windows.net."
        network = ["hub"]
        file    = "/srv/exports/blob.json"
        min-ttl = "1m"

        [[forward]]
        zone      = "."
        upstreams = ["168.63.129.16", "tcp://10.0.0.4", "[2001:db8::1]:5353", {address = "10.0.0.5", in-flight = 7, rate = 9}]
    "#;
    let loaded = parse(text, Path::new("/etc/postern/postern.toml")).unwrap();
    assert_eq!(loaded.warnings, []);
    let config = loaded.config;
    let names: Vec<&str> = config.zones.iter().map(|zone| zone.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "privatelink.azurehealthcareapis.com",
            "privatelink.workspace.azurehealthcareapis.com",
            "privatelink.fhir.azurehealthcareapis.com",
            "privatelink.dicom.azurehealthcareapis.com",
            "privatelink.blob.core.windows.net"
        ]
    );
    assert_eq!(config.zones[0].source, ZoneSource::Files(FileSource::Directory { path: PathBuf::from("/etc/postern/zones") }));
    assert_eq!((config.zones[0].line, config.zones[4].line, config.zones[4].min_ttl), (9, 15, 60));
    assert!(
        matches!(&config.zones[4].source, ZoneSource::Files(FileSource::File { path, .. }) if path == Path::new("/srv/exports/blob.json"))
    );
    assert_eq!(config.networks.iter().map(|network| network.name.as_str()).collect::<Vec<_>>(), ["hub", "default"]);
    assert_eq!(config.networks[0].clients[1].to_string(), "192.0.2.7/32");
    let UpstreamSet::List(upstreams) = &config.forwards[0].upstreams else { panic!("a list") };
    let told: Vec<_> = upstreams.iter().map(|up| (up.address.to_string(), up.transport, up.in_flight, up.rate)).collect();
    assert_eq!(
        told,
        [
            ("168.63.129.16:53".to_string(), UpstreamTransport::Udp, 200, 1000),
            ("10.0.0.4:53".to_string(), UpstreamTransport::Tcp, 1000, 0),
            ("[2001:db8::1]:5353".to_string(), UpstreamTransport::Udp, 1000, 0),
            ("10.0.0.5:53".to_string(), UpstreamTransport::Udp, 7, 9),
        ]
    );
}

#[test]
fn a_zone_table_beside_the_file_teaches_new_zones() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("postern.toml");
    std::fs::write(&file, "[server]\nzone-table = \"table.json\"\n[[zone]]\nname = \"privatelink.widgets.contoso.com\"\nfile = \"z\"\n")
        .unwrap();
    let table = directory.path().join("table.json");
    std::fs::write(&table, r#"[{"service": "Widgets", "zones": ["privatelink.widgets.contoso.com"], "forward": ["widgets.contoso.com"]}]"#)
        .unwrap();
    let loaded = load(&file).unwrap();
    assert_eq!(loaded.warnings, []);
    assert_eq!(loaded.config.azure.private_names("a.widgets.contoso.com"), ["a.privatelink.widgets.contoso.com"]);
    std::fs::write(&table, "[\n{\"zones\": []}]").unwrap();
    let refused = load(&file).unwrap_err();
    assert_eq!(refused.problems[0].to_string(), format!("{}:2:13: error: bad row: missing field `service`", table.display()));
}

#[test]
fn says_what_is_wrong_with_a_file_that_cannot_be_read() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("postern.toml");
    let told = |file: &Path| load(file).unwrap_err().problems[0].to_string().replace(&*directory.path().to_string_lossy(), "D");
    assert!(told(&file).starts_with("D/postern.toml: error: cannot read the configuration: No such file"), "{}", told(&file));
    std::fs::write(&file, b"[server]\nnsid = \"\xc3\xa9\xff\"\n").unwrap();
    assert_eq!(told(&file), "D/postern.toml:2:10: error: not UTF-8 text help: save the file as UTF-8");
    std::fs::write(&file, vec![b'#'; (4 << 20) + 1]).unwrap();
    assert!(told(&file).contains("a configuration has at most"), "{}", told(&file));
}

#[test]
fn what_is_refused_says_which_files_may_mend_it() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    let write = |name: &str, bytes: &[u8]| std::fs::write(at(name), bytes).unwrap();
    let file = |name: &str, bytes: Option<&[u8]>| WatchedFile { path: at(name), fingerprint: bytes.map(fingerprint) };
    let is_of_system = |file: &WatchedFile| file.path == Path::new(crate::model::RESOLV_CONF);
    let refused =
        || -> Vec<WatchedFile> { load(&at("postern.toml")).unwrap_err().files.into_iter().filter(|file| !is_of_system(file)).collect() };
    assert_eq!(refused(), [file("postern.toml", None)]);
    write("postern.toml", b"\xff");
    assert_eq!(refused(), [file("postern.toml", Some(b"\xff"))]);
    let text = "[server]\nzone-table = 'table.json'\n[api]\nkey-file = 'api.key'\n[[key]]\nname = 'acme'\nsecret-file = 'acme.key'\nallow = ['query']\n";
    write("postern.toml", text.as_bytes());
    let main = file("postern.toml", Some(text.as_bytes()));
    let rest = [file("table.json", None), file("acme.key", None), file("api.key", None)];
    assert_eq!(refused(), [std::slice::from_ref(&main), &rest].concat());
    // What cannot be used has content all the same, and another one is a change.
    let large = vec![b'A'; 65 << 10];
    write("table.json", b"\xff");
    write("acme.key", &large);
    write("api.key", b"");
    assert_eq!(refused(), [main, file("table.json", Some(b"\xff")), file("acme.key", Some(&large)), file("api.key", Some(b""))]);
}

#[test]
fn a_fifo_is_not_waited_for() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("postern.toml");
    let fifo = directory.path().join("fifo");
    assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    std::fs::write(&path, "[server]\nzone-table = 'fifo'\n[[key]]\nname = 'acme'\nsecret-file = 'fifo'\nallow = ['query']\n").unwrap();
    let (sender, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || sender.send(load(&path).unwrap_err().problems));
    let problems = told.recv_timeout(Duration::from_secs(120)).unwrap();
    for what in ["cannot read the zone table", "cannot read the secret from"] {
        let message = format!("{what} {}: not a file", fifo.display());
        assert!(problems.iter().any(|problem| problem.message == message), "{problems:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Whatever is in the file, it is answered with problems, never with a panic.
    #[test]
    fn no_text_breaks_the_parser(cuts in proptest::collection::vec((any::<prop::sample::Index>(), 0usize..40, "[\\[\\]{}=\"'#.,a-z0-9\n -]{0,6}"), 1..6)) {
        let mut text = sample_with_all_set();
        for (at, length, with) in cuts {
            let from = text.floor_char_boundary(at.index(text.len()));
            let to = text.floor_char_boundary((from + length).min(text.len()));
            text.replace_range(from..to, &with);
        }
        if let Err(problems) = parse(&text, Path::new("t.toml")) {
            prop_assert!(!problems.is_empty());
            prop_assert!(problems.iter().all(|problem| problem.line > 0 && problem.column > 0));
        }
    }
}

#[test]
fn ten_thousand_networks_with_zones_of_their_own_are_checked() {
    let mut text = String::new();
    for number in 0..10_000u32 {
        let prefix = std::net::Ipv4Addr::from(0x0a00_0000 + (number << 8));
        text += &format!("[[network]]\nname = 'n{number}'\nclients = ['{prefix}/24']\n");
    }
    for part in 0..4 {
        let names: Vec<String> = (part..10_000).step_by(4).map(|number| format!("'n{number}'")).collect();
        text += &format!("[[zone]]\nname = 'site.test'\nfile = '{part}.zone'\nnetwork = [{}]\n", names.join(","));
    }
    for number in (0..10_000).step_by(10) {
        text += &format!("[[zone]]\nname = 'own.test'\nfile = 'n{number}.zone'\nnetwork = ['n{number}']\n");
    }
    text += "[[forward]]\nzone = '.'\nupstreams = ['192.0.2.1']\n";
    let path = Path::new("c");
    let problems = |text: &str| {
        let problems = parse(text, path).map_or_else(|problems| problems, |loaded| loaded.warnings);
        problems.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(problems(&text), [""; 0]);

    let twice = "[[network]]\nname = 'wide'\nclients = ['10.0.0.0/9', '10.0.1.0/24']\n[[network]]\nname = 'n7'\nclients = ['10.200.0.0/16']\n\
                 [[zone]]\nname = 'own.test'\nfile = 'again.zone'\nnetwork = ['n20', 'n10', 'n11', 'lost']\n";
    let problems = problems(&format!("{text}{twice}"));
    let told = [
        "network `n1` has the prefix 10.0.1.0/24 already",
        "network `n7` is already declared in line 22",
        "is linked to network `n10` already",
        "there is no network `lost`",
    ];
    assert_eq!(problems.len(), told.len(), "{problems:#?}");
    told.iter().zip(&problems).for_each(|(told, problem)| assert!(problem.contains(told), "{problem}"));
}

#[test]
fn files_that_everybody_can_change_and_secrets_that_everybody_can_read_are_warned_of() {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    let text = "[server]\nstate = 'state'\nzone-table = 'table.json'\n[api]\nlisten = '127.0.0.1:8053'\nkey-file = 'api.key'\ncertificate = 'api.crt'\n\
                private-key = 'api.pem'\n[[key]]\nname = 'acme'\nsecret-file = 'acme.key'\nallow = ['query']\n[[key]]\nname = 'dhcp'\n\
                secret = 'c2VjcmV0'\nallow = ['query']\n";
    let files =
        [("postern.toml", text), ("table.json", "[]"), ("api.key", ""), ("api.crt", ""), ("api.pem", ""), ("acme.key", "c2VjcmV0\n")];
    for (name, text) in files {
        fs::write(at(name), text).unwrap();
    }
    fs::create_dir(at("state")).unwrap();
    let set = |file: u32, state: u32| {
        files.iter().for_each(|(name, _)| fs::set_permissions(at(name), Permissions::from_mode(file)).unwrap());
        fs::set_permissions(at("state"), Permissions::from_mode(state)).unwrap();
    };
    let said = || {
        let shown = |problem: &crate::FileDiagnostic| problem.to_string().replace(&format!("{}/", directory.path().display()), "");
        let warnings = load(&at("postern.toml")).unwrap().warnings;
        warnings.iter().map(shown).filter(|text| text.contains("every user")).collect::<Vec<_>>()
    };
    set(0o660, 0o770);
    assert_eq!(said(), Vec::<String>::new());
    set(0o664, 0o775);
    assert_eq!(
        said(),
        [
            "postern.toml:8:15: warning: every user of this machine can read api.pem help: chmod o= api.pem",
            "postern.toml:11:15: warning: every user of this machine can read acme.key help: chmod o= acme.key",
            "postern.toml:15:10: warning: every user of this machine can read this secret help: move it into a `secret-file`, or run chmod o= postern.toml",
        ]
    );
    set(0o662, 0o777);
    let changed = |place: &str, name: &str| {
        format!("postern.toml{place}: warning: every user of this machine can change {name} help: chmod o-w {name}")
    };
    assert_eq!(
        said(),
        [
            changed("", "postern.toml"),
            changed(":2:9", "state"),
            changed(":3:14", "table.json"),
            changed(":6:12", "api.key"),
            changed(":7:15", "api.crt"),
            changed(":8:15", "api.pem"),
            changed(":11:15", "acme.key"),
        ]
    );
}

#[test]
fn limits_of_losses_without_a_configuration_are_the_defaults_of_the_keys() {
    let loaded = parse("[[zone]]\nname = \"corp.contoso.com\"\napi = true\n", Path::new("postern.toml")).unwrap();
    assert_eq!(crate::model::LossLimits::usual(), crate::model::LossLimits::of(&loaded.config.zones[0]));
}
