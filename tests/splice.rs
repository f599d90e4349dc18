//! Rules S1 to S8 on the real program: each case over UDP and TCP, cold, cached, and in any order. `--nocapture` prints the table.

mod harness;

use std::net::SocketAddr;
use std::time::Instant;

use harness::{PATIENT, PATIENT_FORWARD, Server, ask_tcp, ask_udp, query};
use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::RecordType::{self, A, AAAA, CAA, CNAME, DS, HTTPS, MX, NS, SOA, SVCB, TXT};
use postern_lab::{LabScenario, LabServer};

/// A question, who asks it, and what must come back: RCODE, flags, RDATA of ANSWER in order, `+` owner of the SOA.
struct Case {
    rule: &'static str,
    client: &'static str,
    name: &'static str,
    rtype: RecordType,
    want: &'static str,
}

const HUB: &str = "127.0.0.1";
const BRANCH: &str = "127.0.0.3";

const fn case(rule: &'static str, client: &'static str, name: &'static str, rtype: RecordType, want: &'static str) -> Case {
    Case { rule, client, name, rtype, want }
}

const FHIR1: &str = "contosows-fhir1.fhir.azurehealthcareapis.com";
const FHIR1_PRIVATE: &str = "contosows-fhir1.fhir.privatelink.azurehealthcareapis.com";
const FHIR3: &str = "contosows-fhir3.fhir.azurehealthcareapis.com";
const FHIR3_PRIVATE: &str = "contosows-fhir3.fhir.privatelink.azurehealthcareapis.com";
const FHIR1_NODATA: &str = "NOERROR contosows-fhir1.fhir.PL. +PL.";

/// `PL.` is the private-link zone of the workspace, `AHDS.` its public parent.
#[rustfmt::skip]
const CASES: &[Case] = &[
    case("S1", HUB, FHIR1, A, "NOERROR contosows-fhir1.fhir.PL. 10.20.1.5"),
    case("S1", HUB, "contosows-workspace.azurehealthcareapis.com", A, "NOERROR contosows-workspace.PL. 10.20.1.4"),
    case("S1", HUB, "contosows.workspace.azurehealthcareapis.com", A, "NOERROR contosows.workspace.PL. 10.20.1.4"),
    case("S1", HUB, "contosows-dicom1.dicom.azurehealthcareapis.com", A, "NOERROR contosows-dicom1.privatelink.dicom.AHDS. 10.20.1.7"),
    case("S1", HUB, "contosows-dicom2.dicom.azurehealthcareapis.com", A, "NOERROR contosows-dicom2.dicom.PL. 10.20.1.8"),
    case("S1", HUB, "contosoold-fhir1.fhir.azurehealthcareapis.com", A, "NOERROR contosoold-fhir1.privatelink.fhir.AHDS. 10.20.2.5"),
    case("S1", HUB, "contoso-kv.vault.azure.net", A, "NOERROR contoso-kv.privatelink.vaultcore.azure.net. 10.20.3.4"),
    case("S1 route", HUB, "intra.contoso.test", A, "NOERROR host.corp.contoso.test. 192.0.2.80"),
    case("S1 route", HUB, "host.corp.contoso.test", A, "NOERROR 192.0.2.80"),
    case("S2", HUB, FHIR1_PRIVATE, A, "NOERROR aa 10.20.1.5"),
    case("S2", HUB, FHIR1, CNAME, "NOERROR contosows-fhir1.fhir.PL."),
    case("S2", HUB, "www.contoso.test", A, "NOERROR 203.0.113.80"),
    case("S2", HUB, "shop.contoso.test", A, "NOERROR www.fabrikam.test. 198.51.100.80"),
    case("S2", HUB, "nobody.contoso.test", A, "NXDOMAIN +contoso.test."),
    case("S2", HUB, "dangling.contoso.test", A, "NXDOMAIN nobody.contoso.test. +contoso.test."),
    case("S3", HUB, FHIR1, AAAA, FHIR1_NODATA),
    case("S3", HUB, FHIR1, HTTPS, FHIR1_NODATA),
    case("S3", HUB, FHIR1, SVCB, FHIR1_NODATA),
    case("S3", HUB, FHIR1, TXT, FHIR1_NODATA),
    case("S3", HUB, FHIR1, MX, FHIR1_NODATA),
    case("S3", HUB, FHIR1, CAA, FHIR1_NODATA),
    case("S3", HUB, FHIR1_PRIVATE, AAAA, "NOERROR aa +PL."),
    case("S3", HUB, "fhir.privatelink.azurehealthcareapis.com", A, "NOERROR aa +PL."),
    case("S4 public", HUB, FHIR3, A, "NOERROR contosows-fhir3.fhir.PL. ahds-fhir-weu.trafficmanager.net. ahds-fhir-weu-001.cloudapp.contoso.test. 203.0.113.20 203.0.113.21"),
    case("S4 public", HUB, FHIR3_PRIVATE, A, "NOERROR ahds-fhir-weu.trafficmanager.net. ahds-fhir-weu-001.cloudapp.contoso.test. 203.0.113.20 203.0.113.21"),
    case("S4 nxdomain", HUB, "contosostoreb.blob.core.windows.net", A, "NXDOMAIN contosostoreb.privatelink.blob.core.windows.net. +privatelink.blob.core.windows.net."),
    case("S4 servfail", HUB, "contosodb.database.windows.net", A, "SERVFAIL contosodb.privatelink.database.windows.net."),
    case("S4 own", HUB, FHIR3_PRIVATE, SOA, "NOERROR aa +PL."),
    case("S4 own", HUB, FHIR3_PRIVATE, NS, "NOERROR aa +PL."),
    case("S4 own", HUB, FHIR3_PRIVATE, DS, "NOERROR aa +PL."),
    case("S4 own", HUB, "privatelink.azurehealthcareapis.com", DS, "NOERROR +AHDS."),
    case("S5 network", BRANCH, FHIR1, A, "NOERROR contosows-fhir1.fhir.PL. ahds-fhir-weu.trafficmanager.net. ahds-fhir-weu-001.cloudapp.contoso.test. 203.0.113.20 203.0.113.21"),
    case("S5 network", BRANCH, "contoso-kv.vault.azure.net", A, "NOERROR contoso-kv.privatelink.vaultcore.azure.net. 10.30.3.4"),
    case("S7", HUB, "self.contoso.test", A, "SERVFAIL self.contoso.test."),
    case("S7", HUB, "loop.contoso.test", A, "SERVFAIL pool.contoso.test. loop.contoso.test."),
    case("S7", HUB, "chain01.contoso.test", A, "SERVFAIL"),
    case("broken zone", HUB, "contoso-orders.documents.azure.com", A, "SERVFAIL contoso-orders.privatelink.documents.azure.com."),
];

const CONFIG: &str = r#"
[server]
listen = ["127.0.0.1:0"]

[[network]]
name    = "hub"
clients = ["127.0.0.0/8"]

[[network]]
name    = "branch"
clients = ["127.0.0.3/32"]

[[zone]]
preset    = "azure-health-data-services"
network   = ["hub"]
directory = "zones"

[[zone]]
name       = "privatelink.blob.core.windows.net"
network    = ["hub"]
file       = "blob.zone"
on-missing = "nxdomain"

[[zone]]
name       = "privatelink.database.windows.net"
network    = ["hub"]
file       = "sql.zone"
on-missing = "servfail"

[[zone]]
name    = "privatelink.documents.azure.com"
network = ["hub"]
file    = "broken.zone"

[[zone]]
name    = "privatelink.vaultcore.azure.net"
network = ["hub"]
file    = "vault-hub.zone"

[[zone]]
name    = "privatelink.vaultcore.azure.net"
network = ["branch"]
file    = "vault-branch.zone"

[[forward]]
zone      = "."
upstreams = ["PUBLIC"]
# patience

[[forward]]
zone      = "corp.contoso.test"
upstreams = ["CORP"]
# patience
"#;

fn public() -> LabScenario {
    LabScenario::azure().record("intra.contoso.test 60 CNAME host.corp.contoso.test").record("host.corp.contoso.test 60 A 203.0.113.66")
}

fn corp() -> LabScenario {
    LabScenario::empty()
        .record("corp.contoso.test 60 SOA ns.corp.contoso.test. host.corp.contoso.test. 1 3600 600 86400 60")
        .record("host.corp.contoso.test 60 A 192.0.2.80")
}

/// The server with its two upstreams; they end with it.
struct World {
    server: Server,
    public: LabServer,
    _corp: LabServer,
}

/// What is forwarded is waited for: what a slow upstream does is another matter (S6).
fn world() -> World {
    world_of(&format!("{}{PATIENT}", CONFIG.replace("# patience\n", PATIENT_FORWARD)))
}

fn world_of(config: &str) -> World {
    let any = "127.0.0.1:0".parse().unwrap();
    let (public, corp) = (LabServer::start(public(), any).unwrap(), LabServer::start(corp(), any).unwrap());
    let config = config.replace("PUBLIC", &public.address().to_string()).replace("CORP", &corp.address().to_string());
    let sample = |name: &str| postern_lab::sample::FILES.iter().find(|(path, _)| path.ends_with(name)).expect("a sample zone").1;
    let server = Server::with(&[
        ("postern.toml", &config),
        ("zones/privatelink.azurehealthcareapis.com.zone", sample("zones/privatelink.azurehealthcareapis.com.zone")),
        ("zones/privatelink.dicom.azurehealthcareapis.com.zone", sample("privatelink.dicom.azurehealthcareapis.com.zone")),
        ("zones/privatelink.fhir.azurehealthcareapis.com.zone", sample("privatelink.fhir.azurehealthcareapis.com.zone")),
        ("blob.zone", "contosostorea 10 IN A 10.20.2.4\n"),
        ("sql.zone", "other 10 IN A 10.20.2.8\n"),
        ("broken.zone", "contoso-orders 10 IN A 10.20.2.900\n"),
        ("vault-hub.zone", "contoso-kv 10 IN A 10.20.3.4\n"),
        ("vault-branch.zone", "contoso-kv 10 IN A 10.30.3.4\n"),
    ]);
    World { server, public, _corp: corp }
}

#[derive(Clone, Copy, Debug)]
enum Over {
    Udp,
    Tcp,
}

fn ask(server: SocketAddr, over: Over, case: &Case) -> String {
    let message = query(case.name, case.rtype);
    let answer = match over {
        Over::Udp => ask_udp(server, Some(case.client.parse().unwrap()), &message),
        Over::Tcp if case.client == HUB => ask_tcp(server, &message),
        Over::Tcp => ask_tcp_from(case.client, server, &message),
    };
    seen(&answer.unwrap_or_else(|| panic!("no answer for {} {} over {over:?}", case.name, case.rtype)))
}

/// The harness connects from wherever the system likes; a network is told by the client's address.
fn ask_tcp_from(client: &str, server: SocketAddr, message: &Message) -> Option<Message> {
    use std::io::{Read, Write};
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).ok()?;
    socket.bind(&SocketAddr::new(client.parse().unwrap(), 0).into()).ok()?;
    socket.connect_timeout(&server.into(), harness::PATIENCE).ok()?;
    socket.set_read_timeout(Some(harness::PATIENCE)).ok()?;
    let mut stream = std::net::TcpStream::from(socket);
    let octets = message.to_vec().unwrap();
    stream.write_all(&[&(octets.len() as u16).to_be_bytes()[..], &octets].concat()).ok()?;
    let mut length = [0; 2];
    stream.read_exact(&mut length).ok()?;
    let mut answer = vec![0; u16::from_be_bytes(length).into()];
    stream.read_exact(&mut answer).ok()?;
    Message::from_vec(&answer).ok()
}

fn seen(message: &Message) -> String {
    let mut text = match message.metadata.response_code {
        ResponseCode::NoError => "NOERROR".to_owned(),
        ResponseCode::NXDomain => "NXDOMAIN".to_owned(),
        ResponseCode::ServFail => "SERVFAIL".to_owned(),
        ResponseCode::Refused => "REFUSED".to_owned(),
        other => other.to_string(),
    };
    if message.metadata.response_code == ResponseCode::ServFail && message.answers.len() > 10 {
        return text; // sixteen aliases of a loop, each as good as the other
    }
    for (set, flag) in
        [(message.metadata.authoritative, " aa"), (message.metadata.truncation, " tc"), (message.metadata.authentic_data, " ad")]
    {
        text += if set { flag } else { "" };
    }
    let mut records: Vec<String> = message.answers.iter().map(|record| record.data.to_string()).collect();
    // The order within an RRset is the server's.
    let aliases = message.answers.iter().filter(|record| record.record_type() == CNAME).count();
    records[aliases.min(message.answers.len())..].sort();
    records.extend(message.authorities.iter().map(|record| format!("+{}", record.name)));
    for record in records {
        text += " ";
        text += &record.replace("privatelink.azurehealthcareapis.com.", "PL.").replace("azurehealthcareapis.com.", "AHDS.");
    }
    text
}

/// Every order is as good as every other: a permutation that differs with `seed`.
fn shuffled(seed: u64) -> Vec<&'static Case> {
    let mut cases: Vec<&Case> = CASES.iter().collect();
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    for index in (1..cases.len()).rev() {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        cases.swap(index, (state % (index as u64 + 1)) as usize);
    }
    cases
}

fn table(over: Over) {
    let mut wrong = Vec::new();
    let mut check = |round: &str, case: &Case, server| {
        let got = ask(server, over, case);
        println!("{:12} {over:?} {round:12} {:60} {:5} {got}", case.rule, case.name, case.rtype.to_string());
        if got != case.want {
            wrong.push(format!("{} {over:?} {round}: {} {}\n   want {}\n   got  {got}", case.rule, case.name, case.rtype, case.want));
        }
    };
    for seed in 0..3 {
        let world = world();
        let order: Vec<&Case> = if seed == 0 { CASES.iter().collect() } else { shuffled(seed) };
        for round in ["cold", "cached", "cached again"] {
            let round = if seed == 0 { round.to_owned() } else { format!("order {seed} {round}") };
            for case in &order {
                check(&round, case, world.server.address);
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn s1_to_s7_over_udp_cold_cached_and_in_any_order() {
    table(Over::Udp);
}

#[test]
fn s1_to_s7_over_tcp_cold_cached_and_in_any_order() {
    table(Over::Tcp);
}

#[test]
fn s1_holds_for_an_upstream_that_tells_only_the_first_alias() {
    let world = world();
    world.public.set(vec![postern_lab::LabFault::everything().first_hop()]);
    for case in CASES.iter().filter(|case| case.rule.starts_with("S1") || case.rule.starts_with("S4")) {
        for round in ["cold", "cached"] {
            assert_eq!(ask(world.server.address, Over::Udp, case), case.want, "{} {round}", case.name);
        }
    }
}

#[test]
fn s2_each_alias_keeps_its_own_ttl_and_no_signature_stays() {
    let world = world();
    let mut message = query(FHIR1, A);
    message.edns.as_mut().unwrap().set_dnssec_ok(true);
    message.metadata.authentic_data = true;
    let start = Instant::now();
    for _ in 0..2 {
        let answer = ask_udp(world.server.address, None, &message).unwrap();
        let ttls: Vec<_> = answer.answers.iter().map(|record| (record.record_type(), record.ttl)).collect();
        let [(CNAME, alias), (A, 10)] = ttls[..] else { panic!("{ttls:?}") };
        let gone = start.elapsed().as_secs() as u32 + 1;
        assert!((60 - gone.min(60)..=60).contains(&alias), "{alias} after {gone} s at the most");
        assert!(!answer.metadata.authentic_data && !answer.metadata.authoritative && answer.metadata.recursion_available);
    }
}

#[test]
fn s4_record_managers_read_our_data_alone() {
    let world = world();
    let mut message = query(FHIR3_PRIVATE, A);
    message.metadata.recursion_desired = false;
    for _ in 0..2 {
        let answer = ask_udp(world.server.address, None, &message).unwrap();
        assert_eq!(seen(&answer), "NXDOMAIN aa +PL.");
        ask_udp(world.server.address, None, &query(FHIR3_PRIVATE, A)).unwrap(); // in between the public data is cached
    }
}

#[test]
fn s5_a_record_added_now_beats_a_public_answer_cached_a_moment_ago_and_a_removed_one_is_gone() {
    let world = world();
    let zone = "zones/privatelink.azurehealthcareapis.com.zone";
    let before = std::fs::read_to_string(world.server.file(zone)).unwrap();
    let public = world.server.short(FHIR3, A);
    assert_eq!(public.last().map(String::as_str), Some("203.0.113.21"));
    world.server.write(zone, &format!("{before}contosows-fhir3.fhir 10 IN A 10.20.1.77\n"));
    world.server.becomes(FHIR3, A, &["contosows-fhir3.fhir.privatelink.azurehealthcareapis.com.", "10.20.1.77"]);
    world.server.write(zone, &before);
    let public: Vec<&str> = public.iter().map(String::as_str).collect();
    world.server.becomes(FHIR3, A, &public);
}

#[test]
fn s6_private_names_resolve_while_the_upstream_is_silent_heard_of_before_or_not() {
    let world = world_of(CONFIG);
    world.server.ask("contosows-workspace.azurehealthcareapis.com", A); // this alias is known, the others are not
    world.public.set(vec![postern_lab::LabFault::everything().silent()]);
    for case in CASES.iter().filter(|case| case.rule == "S1" && case.name.contains("azurehealthcareapis")) {
        // Where both spellings of a name have a record, either alias is a way home: the address is what counts.
        let got = ask(world.server.address, Over::Udp, case);
        assert_eq!(got.split(' ').next_back(), case.want.split(' ').next_back(), "{} {got}", case.name);
        assert!(got.starts_with("NOERROR "), "{got}");
    }
    assert_eq!(world.server.short("www.fabrikam.test", A), ["SERVFAIL"]);
    assert_eq!(world.server.short(FHIR1_PRIVATE, A), ["10.20.1.5"]);
}

#[test]
fn s7_a_failure_says_why() {
    let world = world();
    for name in ["loop.contoso.test", "contoso-orders.documents.azure.com"] {
        let answer = world.server.ask(name, A);
        let edns = answer.edns.expect("OPT for a client that sent one");
        let extended = edns.options().as_ref().iter().any(|(code, _)| u16::from(*code) == 15);
        assert!(extended, "{name}: {edns:?}");
    }
}

#[test]
fn s8_an_answer_that_does_not_fit_is_empty_with_tc_and_whole_over_tcp() {
    let world = world();
    for _ in 0..2 {
        let mut small = query("big.contoso.test", TXT);
        let answer = ask_udp(world.server.address, None, &small).unwrap();
        assert!(answer.metadata.truncation && answer.answers.is_empty() && answer.authorities.is_empty());
        small.edns = None;
        let answer = ask_udp(world.server.address, None, &small).unwrap();
        assert!(answer.metadata.truncation && answer.answers.is_empty() && answer.edns.is_none());
        let whole = world.server.ask_tcp("big.contoso.test", TXT);
        assert!(!whole.metadata.truncation && whole.answers.len() == 1);
    }
}
