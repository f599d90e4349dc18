//! RFC 2136 and TSIG on the real program, with the clients that people have: nsupdate, knsupdate, dig.

mod harness;

use std::io::Write;
use std::process::{Command, Stdio};

use harness::{PATIENT, PATIENT_FORWARD, Server, eventually};
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType::{A, CNAME, SOA, TXT};
use postern_lab::{LabScenario, LabServer};

/// `secret`, in Base64.
const SECRET: &str = "c2VjcmV0IG9mIGEgdGVzdCwgMzIgb2N0ZXRzIGxvbmc=";

const CONFIG: &str = "
[server]
listen = ['127.0.0.1:0']
[[network]]
name = 'hub'
clients = ['127.0.0.0/8']
[[zone]]
name = 'corp.contoso.com'
api = true
[[zone]]
name = 'files.contoso.com'
file = 'files.zone'
[[key]]
name = 'all'
secret = 'c2VjcmV0IG9mIGEgdGVzdCwgMzIgb2N0ZXRzIGxvbmc='
allow = ['update', 'query']
[[key]]
name = 'acme'
algorithm = 'hmac-sha512'
secret-file = 'acme.key'
allow = ['update']
zones = ['corp.contoso.com']
names = ['_acme-challenge.*']
types = ['TXT']
[[key]]
name = 'old'
secret = 'c2VjcmV0IG9mIGEgdGVzdCwgMzIgb2N0ZXRzIGxvbmc='
algorithm = 'hmac-sha1'
allow-md5 = true
allow = ['update']
[[key]]
name = 'dhcp'
unsigned = true
clients = ['127.0.0.9']
allow = ['update']
names = ['*.dhcp.corp.contoso.com']
";

fn server(more: &str) -> Server {
    let key = format!("key \"acme\" {{\n\talgorithm hmac-sha512;\n\tsecret \"{SECRET}\";\n}};\n");
    let config = format!("{CONFIG}{more}");
    let files = [("postern.toml", config.as_str()), ("acme.key", &key), ("files.zone", "@ IN A 10.0.0.1\n")];
    Server::with(&files)
}

/// Is it here? A suite whose client is missing says so.
fn has(client: &str) -> bool {
    let found = Command::new("sh").args(["-c", &format!("command -v {client}")]).stdout(Stdio::null()).status().unwrap().success();
    if !found {
        eprintln!("{client} is not installed: what it would show is left out");
    }
    found
}

/// Runs a client with its script on standard input; gives all that it printed, and whether it was content.
fn run(client: &str, arguments: &[&str], script: &str) -> (String, bool) {
    let mut command = Command::new(client);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    (String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned(), output.status.success())
}

/// An update by `client`: RCODE, NOERROR where it printed none.
fn update(client: &str, server: &Server, key: Option<&str>, tcp: bool, commands: &str) -> String {
    let (ip, port) = (server.address.ip(), server.address.port());
    // What is asked again while the first is still being done is done twice.
    let mut arguments = if client == "nsupdate" { vec!["-t", "120", "-u", "120", "-r", "0"] } else { vec!["-t", "120", "-r", "0"] };
    arguments.extend(tcp.then_some("-v"));
    if let Some(key) = key {
        arguments.extend(["-y", key]);
    }
    let script = format!("server {ip} {port}\nzone corp.contoso.com\n{commands}\nsend\n");
    let (printed, good) = run(client, &arguments, &script);
    let words = [
        "BADKEY", "BADSIG", "NXDOMAIN", "YXDOMAIN", "NXRRSET", "YXRRSET", "NOTAUTH", "NOTZONE", "REFUSED", "FORMERR", "SERVFAIL", "NOTIMP",
    ];
    match words.iter().find(|word| printed.contains(**word)) {
        Some(word) => (*word).into(),
        None if good => "NOERROR".into(),
        None => printed,
    }
}

fn key(name: &str) -> String {
    let algorithm = match name {
        "acme" => "hmac-sha512",
        "old" => "hmac-sha1",
        _ => "hmac-sha256",
    };
    format!("{algorithm}:{name}:{SECRET}")
}

/// Each client adds, tests, changes and deletes over either transport; each answer is visible to the next query.
#[test]
fn nsupdate_and_knsupdate_change_a_zone_over_udp_and_tcp() {
    for client in ["nsupdate", "knsupdate"].into_iter().filter(|client| has(client)) {
        let server = server("");
        for (round, tcp) in [false, true].into_iter().enumerate() {
            let (name, address) = (format!("host{round}.corp.contoso.com"), format!("10.1.0.{}", round + 1));
            let www = |commands: &str| update(client, &server, Some(&key("all")), tcp, commands);
            let serial = server.short("corp.contoso.com", SOA);
            assert_eq!(www(&format!("prereq nxdomain {name}\nupdate add {name} 60 A {address}")), "NOERROR", "{client}");
            assert_eq!(server.short(&name, A), std::slice::from_ref(&address), "{client}: seen at once");
            assert_ne!(server.short("corp.contoso.com", SOA), serial);
            assert_eq!(www(&format!("prereq nxdomain {name}\nupdate add {name} 60 A 10.9.9.9")), "YXDOMAIN");
            assert_eq!(www(&format!("prereq yxdomain none.corp.contoso.com\nupdate add {name} 60 A 10.9.9.9")), "NXDOMAIN");
            assert_eq!(www(&format!("prereq nxrrset {name} A\nupdate add {name} 60 A 10.9.9.9")), "YXRRSET");
            assert_eq!(www(&format!("prereq yxrrset {name} TXT\nupdate add {name} 60 A 10.9.9.9")), "NXRRSET");
            assert_eq!(www(&format!("prereq yxrrset {name} A 10.0.0.77\nupdate add {name} 60 A 10.9.9.9")), "NXRRSET");
            assert_eq!(
                www(&format!("prereq yxrrset {name} A {address}\nupdate delete {name} A\nupdate add {name} 60 A 10.1.1.1")),
                "NOERROR"
            );
            assert_eq!(server.short(&name, A), ["10.1.1.1"]);
            assert_eq!(www(&format!("update add {name} 60 TXT \"one two\"\nupdate delete {name} A 10.1.1.1")), "NOERROR");
            assert_eq!((server.short(&name, A), server.short(&name, TXT)), (vec![], vec!["one two".into()]));
            // The other end of a CNAME beside data, and the apex's SOA: passed over, and no error.
            assert_eq!(www(&format!("update add {name} 60 CNAME x.contoso.com\nupdate delete corp.contoso.com SOA")), "NOERROR");
            assert_eq!(server.short(&name, CNAME), [""; 0]);
            assert_eq!(www(&format!("update delete {name}")), "NOERROR");
            assert_eq!(server.short(&name, TXT).len(), 1, "gone: what is not here is answered by nobody");
            assert_eq!(www("update add www.fabrikam.com 60 A 10.0.0.1"), "NOTZONE");
        }
    }
}

/// A prerequisite alone is an update too: Ansible asks so what is there.
#[test]
fn an_update_without_changes_answers_its_prerequisites() {
    if !has("nsupdate") {
        return;
    }
    let server = server("");
    let ask = |prerequisite: &str| update("nsupdate", &server, Some(&key("all")), false, prerequisite);
    assert_eq!(ask("update add www.corp.contoso.com 60 A 10.0.0.1"), "NOERROR");
    let serial = server.short("corp.contoso.com", SOA);
    assert_eq!(ask("prereq yxrrset www.corp.contoso.com A"), "NOERROR");
    assert_eq!(ask("prereq yxrrset www.corp.contoso.com AAAA"), "NXRRSET");
    assert_eq!(server.short("corp.contoso.com", SOA), serial);
}

#[test]
fn who_may_change_what_is_the_keys_policy() {
    if !has("nsupdate") {
        return;
    }
    let server = server("");
    let challenge = "update add _acme-challenge.www.corp.contoso.com 60 TXT token";
    let host = "update add www.corp.contoso.com 60 A 10.0.0.1";
    let try_with = |key: Option<&str>, commands: &str| update("nsupdate", &server, key, false, commands);
    for (who, commands, want) in [
        (Some(key("acme")), challenge, "NOERROR"),
        (Some(key("acme")), host, "REFUSED"),
        (Some(key("old")), host, "NOERROR"),
        (Some(format!("hmac-md5:old:{SECRET}")), host, "NOERROR"),
        (Some(format!("hmac-md5:all:{SECRET}")), host, "BADKEY"),
        (Some(format!("hmac-sha256:nobody:{SECRET}")), host, "BADKEY"),
        (Some(format!("hmac-sha256:all:{}", SECRET.replacen('c', "d", 1))), host, "BADSIG"),
        (None, host, "REFUSED"),
    ] {
        assert_eq!(try_with(who.as_deref(), commands), want, "{who:?} {commands}");
    }
    server.logged(&["hmac-md5", "allow-md5 = true"]);
    // From the address of the DHCP server, without a signature.
    let unsigned = |commands: &str| try_with(None, &format!("local 127.0.0.9\n{commands}"));
    assert_eq!(unsigned("update add h1.dhcp.corp.contoso.com 60 A 10.0.0.5"), "NOERROR");
    assert_eq!(unsigned(host), "REFUSED");
    assert_eq!(server.short("h1.dhcp.corp.contoso.com", A), ["10.0.0.5"]);
}

#[test]
fn a_zone_of_a_file_is_refused_with_the_files_name_and_one_that_is_not_here_with_notauth() {
    if !has("nsupdate") {
        return;
    }
    let server = server("");
    for (zone, want) in [("files.contoso.com", "REFUSED"), ("fabrikam.com", "NOTAUTH")] {
        let (ip, port) = (server.address.ip(), server.address.port());
        let script = format!("server {ip} {port}\nzone {zone}\nupdate add www.{zone} 60 A 10.0.0.1\nsend\n");
        let (printed, good) = run("nsupdate", &["-t", "120", "-u", "120", "-y", &key("all")], &script);
        assert!(!good && printed.contains(want), "{printed}");
    }
    server.logged(&["update refused", "files.zone"]);
}

/// S4: what record managers read back is the zone's own, whatever the public DNS says.
#[test]
fn signed_questions_never_fall_back_and_their_answers_are_signed() {
    let public = LabServer::start(LabScenario::azure(), "127.0.0.1:0".parse().unwrap()).unwrap();
    let zone = "privatelink.azurehealthcareapis.com";
    let missing = "contosows-fhir1.fhir.privatelink.azurehealthcareapis.com";
    let server = server(&format!(
        "[[zone]]\nname = '{zone}'\napi = true\nnetwork = ['hub']\n[[forward]]\nzone = '.'\nupstreams = ['{}']\n{PATIENT_FORWARD}{PATIENT}",
        public.address()
    ));
    assert_eq!(server.ask(missing, A).metadata.response_code, ResponseCode::NoError, "an ordinary question falls back");
    if !has("dig") {
        return;
    }
    let port = server.address.port().to_string();
    let dig = |arguments: &[&str]| {
        let key = key("all");
        let own = ["@127.0.0.1", "-p", &port, "-y", &key, "+time=60", "+tries=1"];
        run("dig", &[&own[..], arguments].concat(), "").0
    };
    for transport in ["+notcp", "+tcp"] {
        let said = dig(&[transport, missing, "A"]);
        assert!(said.contains("status: NXDOMAIN") && said.contains("TSIG") && !said.contains("Couldn't verify"), "{said}");
        // What is no zone of ours is asked upstream, and signed by us.
        let said = dig(&[transport, "contosows-fhir1.fhir.azurehealthcareapis.com", "CNAME"]);
        assert!(said.contains("status: NOERROR") && said.contains("TSIG") && !said.contains("Couldn't verify"), "{said}");
        let said = dig(&[transport, zone, "SOA", "+norec"]);
        assert!(said.contains("status: NOERROR") && said.contains(" aa") && !said.contains("Couldn't verify"), "{said}");
        let said = dig(&[transport, zone, "AXFR"]);
        assert!(!said.contains("Couldn't verify"), "{said}");
    }
    for rtype in ["SOA", "NS", "DS"] {
        let said = dig(&[missing, rtype]);
        assert!(said.contains("status: NXDOMAIN"), "{said}");
    }
}

#[test]
fn keys_are_read_again_with_the_configuration() {
    if !has("nsupdate") {
        return;
    }
    let server = server("");
    let host = "update add www.corp.contoso.com 60 A 10.0.0.1";
    let new = format!("hmac-sha256:later:{SECRET}");
    assert_eq!(update("nsupdate", &server, Some(&new), false, host), "BADKEY");
    let config = format!("{CONFIG}[[key]]\nname = 'later'\nsecret = '{SECRET}'\nallow = ['update']\n");
    server.write("postern.toml", &config);
    eventually("the key is known", || (update("nsupdate", &server, Some(&new), false, host) == "NOERROR").then_some(()));
}

#[test]
fn another_secret_in_a_file_is_the_one_that_counts() {
    if !has("nsupdate") {
        return;
    }
    let server = server("");
    let record = "update add _acme-challenge.corp.contoso.com 60 TXT token";
    let asked_with = |key: &str| update("nsupdate", &server, Some(key), false, record);
    let new = "hmac-sha512:acme:YW5vdGhlciBzZWNyZXQ=";
    assert_eq!((asked_with(&key("acme")), asked_with(new)), ("NOERROR".into(), "BADSIG".into()));
    // One that cannot be read leaves the old one in use, and is told with its place.
    server.write("acme.key", "no Base64!\n");
    server.logged(&["acme.key", "cannot read the secret"]);
    assert_eq!(asked_with(&key("acme")), "NOERROR");
    server.write("acme.key", "key \"acme\" { algorithm hmac-sha512; secret \"YW5vdGhlciBzZWNyZXQ=\"; };\n");
    eventually("the new one counts", || (asked_with(new) == "NOERROR").then_some(()));
    assert_eq!(asked_with(&key("acme")), "BADSIG");
}

/// One name, two zones: the key's policy says which, else the client's network.
#[test]
fn of_several_zones_with_one_name_the_right_one_is_changed() {
    if !has("nsupdate") {
        return;
    }
    let server = Server::with(&[(
        "postern.toml",
        &format!(
            "[server]\nlisten = ['127.0.0.1:0']\n\
             [[network]]\nname = 'hub'\nclients = ['127.0.0.2']\n[[network]]\nname = 'spoke'\nclients = ['127.0.0.3']\n\
             [[zone]]\nname = 'corp.contoso.com'\napi = true\nnetwork = ['hub']\n\
             [[zone]]\nname = 'corp.contoso.com'\napi = true\nnetwork = ['spoke']\n\
             [[key]]\nname = 'all'\nsecret = '{SECRET}'\nallow = ['update']\n\
             [[key]]\nname = 'spoke'\nsecret = '{SECRET}'\nallow = ['update']\nzones = ['corp.contoso.com@spoke']\n"
        ),
    )]);
    let add = |who: &str, from: &str, address: &str| {
        let commands = format!("local {from}\nupdate delete www.corp.contoso.com A\nupdate add www.corp.contoso.com 60 A {address}");
        update("nsupdate", &server, Some(&key(who)), false, &commands)
    };
    let seen = |from: &str| harness::short(&server.ask_from(from, "www.corp.contoso.com", A));
    assert_eq!((add("all", "127.0.0.2", "10.0.0.2"), add("all", "127.0.0.3", "10.0.0.3")), ("NOERROR".into(), "NOERROR".into()));
    assert_eq!((seen("127.0.0.2"), seen("127.0.0.3")), (vec!["10.0.0.2".into()], vec!["10.0.0.3".into()]));
    assert_eq!(add("spoke", "127.0.0.2", "10.0.0.4"), "NOERROR");
    assert_eq!((seen("127.0.0.2"), seen("127.0.0.3")), (vec!["10.0.0.2".into()], vec!["10.0.0.4".into()]));
    assert_eq!(add("all", "127.0.0.1", "10.0.0.5"), "REFUSED", "in neither network");
}

#[test]
fn acknowledged_updates_survive_a_kill() {
    if !has("nsupdate") {
        return;
    }
    let mut first = server("");
    for number in 0..20 {
        let add = format!("update add h{number}.corp.contoso.com 60 A 10.0.1.{number}");
        assert_eq!(update("nsupdate", &first, Some(&key("all")), number % 2 == 0, &add), "NOERROR");
    }
    first.kill();
    let config = first.file("postern.toml");
    let again = Server::spawn(harness::postern(&["serve", "-c", config.to_str().unwrap()]), first.path().to_path_buf(), None);
    for number in 0..20 {
        assert_eq!(again.short(&format!("h{number}.corp.contoso.com"), A), [format!("10.0.1.{number}")]);
    }
}

/// Without keys the server is as it was: no UPDATE, no TSIG.
#[test]
fn without_keys_there_is_no_update() {
    let server = Server::with(&[("postern.toml", "[server]\nlisten = ['127.0.0.1:0']\n[[zone]]\nname = 'corp.contoso.com'\napi = true\n")]);
    if has("nsupdate") {
        assert_eq!(update("nsupdate", &server, None, false, "update add www.corp.contoso.com 60 A 10.0.0.1"), "NOTIMP");
        assert_eq!(update("nsupdate", &server, Some(&key("all")), false, "update add www.corp.contoso.com 60 A 10.0.0.1"), "NOTIMP");
    }
    assert_eq!(server.short("corp.contoso.com", SOA).len(), 1);
}
