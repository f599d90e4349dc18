//! The path of a query without sockets: private zones, a cache, and an upstream that is a table. Rules S1 to S8.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use config::model::{OnMissing, Recursion};
use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use postern_dns::accept::{self, Verdict};
use postern_dns::cache::Cache;
use postern_dns::clock::Now;
use postern_dns::ede::Failure;
use postern_dns::query::{Ask, Heard, Patience, Step, walk};
use postern_dns::respond::respond;
use postern_dns::route::{Route, RouteId, Routes};
use postern_dns::state::{Settings, State, View};
use postern_dns::wire::question::{Edns as QuestionEdns, Question};
use zones::name::{NameBuf, WireName};
use zones::snapshot::{Hosted, SnapshotBuilder, Writer, ZoneState};
use zones::zone::ZoneBuilder;

const HUB: &str = "10.20.0.7";
const SPOKE: &str = "10.30.0.7";

/// A server with a table for an upstream.
struct World {
    zones: Vec<(Arc<Hosted>, Vec<&'static str>)>,
    routes: Vec<(&'static str, u16, bool)>,
    cache: Arc<Cache>,
    public: HashMap<String, Vec<(RecordType, u32, String)>>,
    up: bool,
    now: Now,
    /// What was asked upstream: `route name type`.
    asked: Vec<String>,
    /// Only the first alias of a chain is told.
    first_hop_only: bool,
}

impl World {
    fn new() -> Self {
        let mut world = Self {
            zones: Vec::new(),
            routes: vec![(".", 0, false)],
            cache: Arc::new(Cache::new(1 << 20)),
            public: HashMap::new(),
            up: true,
            now: Now(1_000_000),
            asked: Vec::new(),
            first_hop_only: false,
        };
        for (name, records) in [
            ("ws-fhir.fhir.azurehealthcareapis.com", "CNAME 30 ws-fhir.fhir.privatelink.azurehealthcareapis.com"),
            ("ws-fhir.fhir.privatelink.azurehealthcareapis.com", "CNAME 60 gw.trafficmanager.test"),
            ("ws-other.fhir.azurehealthcareapis.com", "CNAME 30 ws-other.fhir.privatelink.azurehealthcareapis.com"),
            ("ws-other.fhir.privatelink.azurehealthcareapis.com", "CNAME 60 gw.trafficmanager.test"),
            ("gw.trafficmanager.test", "A 20 203.0.113.9|AAAA 20 2001:db8::9|HTTPS 20 1 . alpn=h2"),
            ("www.contoso.test", "A 100 198.51.100.1"),
            ("plain.azurehealthcareapis.com", "CNAME 40 gw.trafficmanager.test"),
            ("loop1.test", "CNAME 40 loop2.test"),
            ("loop2.test", "CNAME 40 loop1.test"),
            ("alias.contoso.test", "CNAME 40 www.corp.test"),
            ("www.corp.test", "A 40 192.0.2.44"),
        ] {
            world.publish(name, records);
        }
        for hop in 0..20 {
            world.publish(&format!("h{hop}.long.test"), &format!("CNAME 40 h{}.long.test", hop + 1));
        }
        world
    }

    fn publish(&mut self, name: &str, records: &str) {
        let parse = |record: &str| {
            let mut parts = record.splitn(3, ' ');
            let rtype = parts.next().unwrap().parse().unwrap();
            (rtype, parts.next().unwrap().parse().unwrap(), parts.next().unwrap().to_owned())
        };
        self.public.insert(name.to_owned(), records.split('|').map(parse).collect());
    }

    fn host(&mut self, apex: &str, networks: &[&'static str], on_missing: OnMissing, records: &[(&str, &str, &str)]) {
        let mut builder = ZoneBuilder::new(WireName::parse(apex).unwrap());
        for (owner, rtype, rdata) in records {
            builder.add(owner, 10, rtype, rdata).unwrap();
        }
        self.host_as(apex, networks, on_missing, ZoneState::Serving(Arc::new(builder.finish(1).unwrap().zone)));
    }

    fn host_as(&mut self, apex: &str, networks: &[&'static str], on_missing: OnMissing, state: ZoneState) {
        self.zones.retain(|(hosted, on)| hosted.apex != WireName::parse(apex).unwrap() || on.as_slice() != networks);
        let hosted = Hosted::new(WireName::parse(apex).unwrap(), on_missing, state, Writer::Memory);
        self.zones.push((Arc::new(hosted), networks.to_vec()));
    }

    fn private_zone(&mut self, on_missing: OnMissing) {
        self.host(
            "privatelink.azurehealthcareapis.com",
            &["hub"],
            on_missing,
            &[
                ("ws-fhir.fhir", "A", "10.20.1.5"),
                ("home", "CNAME", "ws-fhir.fhir.privatelink.azurehealthcareapis.com."),
                ("out", "CNAME", "www.contoso.test."),
                ("mx", "MX", "10 ws-fhir.fhir.privatelink.azurehealthcareapis.com."),
                ("old", "DNAME", "fhir.privatelink.azurehealthcareapis.com."),
            ],
        );
    }

    fn state(&self) -> State {
        let mut builder = SnapshotBuilder::new()
            .network("hub", &["10.20.0.0/16".parse().unwrap()], Recursion::Yes)
            .network("spoke", &["10.30.0.0/16".parse().unwrap()], Recursion::Yes)
            .network("closed", &["10.40.0.0/16".parse().unwrap()], Recursion::No);
        for (hosted, networks) in &self.zones {
            builder = builder.hosted(hosted.clone(), networks);
        }
        let snapshot = Arc::new(builder.build());
        let mut routes = Routes::new(snapshot.networks().count());
        for (id, _) in snapshot.networks() {
            for (suffix, route, to_self) in &self.routes {
                routes.add(id, &WireName::parse(suffix).unwrap(), Route { id: RouteId(*route), to_self: *to_self });
            }
        }
        State {
            snapshot,
            routes: Arc::new(routes),
            table: Arc::new(config::azure::Table::builtin().clone()),
            cache: self.cache.clone(),
            access: Default::default(),
            settings: Settings {
                udp_size: 1232,
                nsid: Box::default(),
                version: None,
                identity: None,
                cache: config::model::Cache {
                    size: 1 << 20,
                    min_ttl: 0,
                    max_ttl: 86_400,
                    max_negative_ttl: 3_600,
                    failure_ttl: 5,
                    stale: Duration::from_secs(86_400),
                    stale_ttl: 30,
                    stale_after: Duration::from_millis(1800),
                    stale_recheck: Duration::from_secs(30),
                },
                deadline: Duration::from_secs(5),
            },
        }
    }

    /// What a client sees: `RCODE [AA] [AD]; answer records; +SOA`, owners and TTLs included.
    fn ask(&mut self, client: &str, name: &str, rtype: RecordType) -> String {
        render(&self.message(client, name, rtype, |_| {}))
    }

    fn message(&mut self, client: &str, name: &str, rtype: RecordType, change: impl FnOnce(&mut Question)) -> Message {
        let state = self.state();
        let client: IpAddr = client.parse().unwrap();
        let network_id = state.snapshot.network_of(client);
        let network = state.snapshot.network(network_id);
        let mut query = Message::new(7, MessageType::Query, OpCode::Query);
        query.add_query(Query::query(Name::from_ascii(format!("{name}.")).unwrap(), rtype));
        let mut packet = query.to_vec().unwrap();
        let mut question = Question {
            name: NameBuf::parse(name).unwrap(),
            rtype: rtype.into(),
            class: 1,
            end: packet.len(),
            recursion_desired: true,
            checking_disabled: false,
            authentic_data: false,
            edns: Some(QuestionEdns { udp_size: 1232, dnssec_ok: false, nsid: false }),
            signed: false,
        };
        change(&mut question);
        packet.resize(1500, 0);
        let view = View { state: &state, network, network_id, recursion: network.may_recurse(client), now: self.now };
        let mut heard = Heard::default();
        let mut patience = Patience::Fresh;
        for _ in 0..40 {
            match walk(&question, &view, &heard, patience) {
                Step::Answer(answer) => {
                    let length = respond(&question, &answer, &view, &mut packet, 1232);
                    return Message::from_vec(&packet[..length]).expect("every client can read it");
                }
                Step::Ask(ask) if self.up => {
                    self.asked.push(format!("{} {} {}", ask.route.0, ask.name, RecordType::from(ask.rtype)));
                    let answer = self.upstream(&ask);
                    match accept::accept(&ask, &view, &"192.0.2.53".into(), &answer) {
                        Verdict::Heard(more) => {
                            accept::remember(&state.cache, &ask, &more);
                            heard.0.extend(more.0);
                        }
                        other => panic!("{other:?}"),
                    }
                }
                Step::Ask(ask) => {
                    accept::remember_failure(&state.cache, &ask, &state.settings.cache, self.now, &"192.0.2.53".into());
                    patience = Patience::Outage(Failure::NoUpstream);
                }
            }
        }
        panic!("the walk does not end");
    }

    /// What a public resolver answers: the whole chain in one message.
    fn upstream(&self, ask: &Ask) -> Vec<u8> {
        let mut message = Message::new(9, MessageType::Response, OpCode::Query);
        let mut name = ask.name.to_string().trim_end_matches('.').to_owned();
        let rtype = RecordType::from(ask.rtype);
        message.add_query(Query::query(Name::from_ascii(format!("{name}.")).unwrap(), rtype));
        message.set_edns(Edns::new());
        for hop in 0..30 {
            let owner = Name::from_ascii(format!("{name}.")).unwrap();
            let Some(records) = self.public.get(&name) else {
                message.metadata.response_code = ResponseCode::NXDomain;
                break;
            };
            let found: Vec<_> = records.iter().filter(|(kind, ..)| *kind == rtype).collect();
            for (kind, ttl, data) in &found {
                message.add_answer(Record::from_rdata(owner.clone(), *ttl, RData::try_from_str(*kind, data).unwrap()));
            }
            match records.iter().find(|(kind, ..)| *kind == RecordType::CNAME) {
                Some((_, ttl, target)) if found.is_empty() => {
                    let target_name = Name::from_ascii(format!("{target}.")).unwrap();
                    message.add_answer(Record::from_rdata(owner, *ttl, RData::CNAME(hickory_proto::rr::rdata::CNAME(target_name))));
                    if self.first_hop_only || hop == 20 {
                        return message.to_vec().unwrap();
                    }
                    name = target.clone();
                }
                _ if found.is_empty() => break,
                _ => return message.to_vec().unwrap(),
            }
        }
        let apex = Name::from_ascii(name.rsplit('.').next().map(|label| format!("{label}.")).unwrap()).unwrap();
        let soa = RData::try_from_str(RecordType::SOA, "ns.test. host.test. 1 3600 300 86400 15").unwrap();
        message.add_authority(Record::from_rdata(apex, 900, soa));
        message.to_vec().unwrap()
    }
}

fn render(message: &Message) -> String {
    let mut text = message.metadata.response_code.to_string().split(' ').next().unwrap_or_default().to_owned();
    text = match message.metadata.response_code {
        ResponseCode::NoError => "NOERROR".into(),
        ResponseCode::NXDomain => "NXDOMAIN".into(),
        ResponseCode::ServFail => "SERVFAIL".into(),
        ResponseCode::Refused => "REFUSED".into(),
        _ => text,
    };
    for (set, flag) in
        [(message.metadata.authoritative, " aa"), (message.metadata.authentic_data, " ad"), (message.metadata.truncation, " tc")]
    {
        text += if set { flag } else { "" };
    }
    for record in &message.answers {
        let data = match &record.data {
            // hickory-proto has no DNAME; its RDATA is a name in full.
            RData::Unknown { rdata, .. } => NameBuf::read(&rdata.anything).unwrap().to_string(),
            data => data.to_string(),
        };
        text += &format!("; {} {} {} {}", short(&record.name.to_string()), record.ttl, record.record_type(), short(&data));
    }
    for record in message.authorities.iter() {
        text += &format!("; +{} {} {}", short(&record.name.to_string()), record.ttl, record.record_type());
    }
    text
}

/// Long names of the field, shortened so that a case fits on a line.
fn short(name: &str) -> String {
    name.replace("privatelink.azurehealthcareapis.com.", "PL.")
        .replace("azurehealthcareapis.com.", "AHDS.")
        .replace("trafficmanager.test.", "TM.")
}

const FHIR: &str = "ws-fhir.fhir.azurehealthcareapis.com";
const OTHER: &str = "ws-other.fhir.azurehealthcareapis.com";
const SPLICED: &str = "NOERROR; ws-fhir.fhir.AHDS. 30 CNAME ws-fhir.fhir.PL.; ws-fhir.fhir.PL. 10 A 10.20.1.5";

#[test]
fn s1_the_chain_is_cut_at_the_first_name_of_a_private_zone_cold_and_cached() {
    for first_hop_only in [false, true] {
        let mut world = World::new();
        world.private_zone(OnMissing::Public);
        world.first_hop_only = first_hop_only;
        for _ in 0..3 {
            assert_eq!(world.ask(HUB, FHIR, RecordType::A), SPLICED);
        }
        assert_eq!(world.asked.len(), 1, "asked once, then cached: {:?}", world.asked);
    }
}

#[test]
fn s1_what_the_upstream_says_about_a_private_name_is_never_kept() {
    let mut world = World::new();
    world.private_zone(OnMissing::Public);
    world.ask(HUB, FHIR, RecordType::A);
    world.zones.clear();
    world.asked.clear();
    world.ask(HUB, FHIR, RecordType::A);
    assert_eq!(
        world.asked,
        ["0 ws-fhir.fhir.privatelink.azurehealthcareapis.com. A"],
        "the rest of the chain was dropped, so it is asked for"
    );
}

#[test]
fn s1_a_hop_in_another_route_is_asked_there() {
    let mut world = World::new();
    world.routes = vec![(".", 0, false), ("corp.test", 4, false)];
    let want = "NOERROR; alias.contoso.test. 40 CNAME www.corp.test.; www.corp.test. 40 A 192.0.2.44";
    assert_eq!(world.ask(HUB, "alias.contoso.test", RecordType::A), want);
    assert_eq!(world.asked, ["0 alias.contoso.test. A", "4 www.corp.test. A"]);
}

#[test]
fn s1_a_route_longer_than_the_zone_wins_at_its_names() {
    let mut world = World::new();
    world.routes = vec![(".", 0, false), ("fhir.privatelink.azurehealthcareapis.com", 3, false)];
    world.private_zone(OnMissing::Public);
    world.ask(HUB, "ws-fhir.fhir.privatelink.azurehealthcareapis.com", RecordType::A);
    assert_eq!(world.asked[0], "3 ws-fhir.fhir.privatelink.azurehealthcareapis.com. A");
}

#[test]
fn s2_sections_flags_and_ttls() {
    let mut world = World::new();
    world.private_zone(OnMissing::Public);
    let cases = [
        // (name, type, what the client sees)
        (FHIR, RecordType::A, SPLICED),
        ("ws-fhir.fhir.privatelink.azurehealthcareapis.com", RecordType::A, "NOERROR aa; ws-fhir.fhir.PL. 10 A 10.20.1.5"),
        (
            "home.privatelink.azurehealthcareapis.com",
            RecordType::A,
            "NOERROR aa; home.PL. 10 CNAME ws-fhir.fhir.PL.; ws-fhir.fhir.PL. 10 A 10.20.1.5",
        ),
        ("home.privatelink.azurehealthcareapis.com", RecordType::CNAME, "NOERROR aa; home.PL. 10 CNAME ws-fhir.fhir.PL."),
        (
            "out.privatelink.azurehealthcareapis.com",
            RecordType::A,
            "NOERROR; out.PL. 10 CNAME www.contoso.test.; www.contoso.test. 100 A 198.51.100.1",
        ),
        (
            "ws-fhir.old.privatelink.azurehealthcareapis.com",
            RecordType::A,
            "NOERROR aa; old.PL. 10 DNAME fhir.PL.; ws-fhir.old.PL. 10 CNAME ws-fhir.fhir.PL.; ws-fhir.fhir.PL. 10 A 10.20.1.5",
        ),
        ("www.contoso.test", RecordType::A, "NOERROR; www.contoso.test. 100 A 198.51.100.1"),
        ("www.contoso.test", RecordType::TXT, "NOERROR; +test. 15 SOA"),
        ("nothing.contoso.test", RecordType::A, "NXDOMAIN; +test. 15 SOA"),
        (FHIR, RecordType::CNAME, "NOERROR; ws-fhir.fhir.AHDS. 30 CNAME ws-fhir.fhir.PL."),
        ("privatelink.azurehealthcareapis.com", RecordType::NS, "NOERROR aa; +PL. 10 SOA"),
    ];
    for round in 0..2 {
        for (name, rtype, want) in cases {
            assert_eq!(world.ask(HUB, name, rtype), want, "{name} {rtype} round {round}");
        }
    }
    world.now = world.now.plus(Duration::from_secs(12));
    let aged = SPLICED.replace(" 30 CNAME", " 18 CNAME");
    assert_eq!(world.ask(HUB, FHIR, RecordType::A), aged, "the alias ages, the private record does not");
}

#[test]
fn s2_ad_is_clear_on_a_spliced_answer() {
    let mut world = World::new();
    world.private_zone(OnMissing::Public);
    let message = world.message(HUB, FHIR, RecordType::A, |question| question.authentic_data = true);
    assert!(!message.metadata.authentic_data && !message.metadata.authoritative);
}

#[test]
fn s3_a_type_that_the_private_name_lacks_is_no_data_never_the_public_data() {
    let mut world = World::new();
    world.private_zone(OnMissing::Public);
    for rtype in [RecordType::AAAA, RecordType::HTTPS, RecordType::SVCB, RecordType::TXT, RecordType::MX, RecordType::CAA] {
        let want = "NOERROR; ws-fhir.fhir.AHDS. 30 CNAME ws-fhir.fhir.PL.; +PL. 10 SOA";
        assert_eq!(world.ask(HUB, FHIR, rtype), want, "{rtype}");
        let want = "NOERROR aa; +PL. 10 SOA";
        assert_eq!(world.ask(HUB, "ws-fhir.fhir.privatelink.azurehealthcareapis.com", rtype), want, "{rtype}");
        assert_eq!(world.ask(HUB, "fhir.privatelink.azurehealthcareapis.com", rtype), want, "an empty non-terminal exists: {rtype}");
    }
}

#[test]
fn s4_on_missing_acts_on_the_name() {
    let public = "NOERROR; ws-other.fhir.AHDS. 30 CNAME ws-other.fhir.PL.; ws-other.fhir.PL. 60 CNAME gw.TM.; gw.TM. 20 A 203.0.113.9";
    for (on_missing, want) in [
        (OnMissing::Public, public),
        (OnMissing::Nxdomain, "NXDOMAIN; ws-other.fhir.AHDS. 30 CNAME ws-other.fhir.PL.; +PL. 10 SOA"),
        (OnMissing::Servfail, "SERVFAIL; ws-other.fhir.AHDS. 30 CNAME ws-other.fhir.PL."),
    ] {
        let mut world = World::new();
        world.private_zone(on_missing);
        for round in 0..2 {
            assert_eq!(world.ask(HUB, OTHER, RecordType::A), want, "{on_missing:?} round {round}");
        }
    }
}

#[test]
fn s4_only_ordinary_recursive_questions_fall_back() {
    let name = "ws-other.fhir.privatelink.azurehealthcareapis.com";
    for rtype in [RecordType::SOA, RecordType::NS, RecordType::DS] {
        let mut world = World::new();
        world.private_zone(OnMissing::Public);
        assert_eq!(world.ask(HUB, name, rtype), "NXDOMAIN aa; +PL. 10 SOA", "{rtype}");
        assert_eq!(world.asked.len(), 0);
    }
    for change in [|question: &mut Question| question.recursion_desired = false, |question: &mut Question| question.signed = true] {
        let mut world = World::new();
        world.private_zone(OnMissing::Public);
        assert_eq!(render(&world.message(HUB, name, RecordType::A, change)), "NXDOMAIN aa; +PL. 10 SOA");
        assert_eq!(world.asked.len(), 0);
    }
    let mut world = World::new();
    world.private_zone(OnMissing::Public);
    assert_eq!(
        world.ask(HUB, "privatelink.azurehealthcareapis.com", RecordType::DS),
        "NOERROR aa; +PL. 10 SOA",
        "DS at the apex never leaves"
    );
}

#[test]
fn s5_a_record_added_or_removed_now_wins_at_once() {
    let mut world = World::new();
    world.private_zone(OnMissing::Public);
    let public = world.ask(HUB, OTHER, RecordType::A);
    assert!(public.contains("203.0.113.9"));
    world.host("privatelink.azurehealthcareapis.com", &["hub"], OnMissing::Public, &[("ws-other.fhir", "A", "10.20.1.77")]);
    let want = "NOERROR; ws-other.fhir.AHDS. 30 CNAME ws-other.fhir.PL.; ws-other.fhir.PL. 10 A 10.20.1.77";
    assert_eq!(world.ask(HUB, OTHER, RecordType::A), want);
    world.host("privatelink.azurehealthcareapis.com", &["hub"], OnMissing::Public, &[]);
    assert_eq!(world.ask(HUB, OTHER, RecordType::A), public);
}

#[test]
fn s5_no_network_sees_anothers_records() {
    let mut world = World::new();
    world.private_zone(OnMissing::Public);
    world.host("privatelink.azurehealthcareapis.com", &["spoke"], OnMissing::Public, &[("ws-fhir.fhir", "A", "10.30.1.5")]);
    for _ in 0..2 {
        assert_eq!(world.ask(HUB, FHIR, RecordType::A), SPLICED);
        assert_eq!(world.ask(SPOKE, FHIR, RecordType::A), SPLICED.replace("10.20.1.5", "10.30.1.5"));
        let public = world.ask("192.0.2.1", FHIR, RecordType::A);
        assert!(!public.contains("10.20.") && !public.contains("10.30."), "{public}");
    }
}

#[test]
fn s6_private_answers_go_on_while_no_upstream_answers() {
    // The alias is known, but long expired.
    let mut world = World::new();
    world.private_zone(OnMissing::Public);
    world.ask(HUB, FHIR, RecordType::A);
    world.ask(HUB, OTHER, RecordType::A);
    world.ask(HUB, "www.contoso.test", RecordType::A);
    world.up = false;
    world.now = world.now.plus(Duration::from_secs(3_600));
    assert_eq!(world.ask(HUB, FHIR, RecordType::A), SPLICED, "the alias is stale: TTL 30");
    assert_eq!(world.ask(HUB, "www.contoso.test", RecordType::A), "NOERROR; www.contoso.test. 30 A 198.51.100.1");
    assert!(world.ask(HUB, OTHER, RecordType::A).ends_with("gw.TM. 30 A 203.0.113.9"));
    world.now = world.now.plus(Duration::from_secs(90_000));
    assert_eq!(world.ask(HUB, FHIR, RecordType::A), SPLICED, "an alias that leads home has no bound on staleness");
    assert_eq!(world.ask(HUB, "www.contoso.test", RecordType::A), "SERVFAIL", "past the stale window");
    // Nothing was ever heard: the zone table knows where the name leads.
    let mut world = World::new();
    world.private_zone(OnMissing::Public);
    world.up = false;
    for round in 0..2 {
        assert_eq!(world.ask(HUB, FHIR, RecordType::A), SPLICED, "derived, round {round}");
        assert_eq!(world.ask(HUB, FHIR, RecordType::AAAA), "NOERROR; ws-fhir.fhir.AHDS. 30 CNAME ws-fhir.fhir.PL.; +PL. 10 SOA");
        assert_eq!(world.ask(HUB, OTHER, RecordType::A), "SERVFAIL", "no record of ours, nothing to derive, round {round}");
    }
}

#[test]
fn s6_never_stale_for_our_own_zones() {
    let mut world = World::new();
    world.private_zone(OnMissing::Public);
    world.ask(HUB, FHIR, RecordType::A);
    world.up = false;
    world.now = world.now.plus(Duration::from_secs(3_600));
    world.host("privatelink.azurehealthcareapis.com", &["hub"], OnMissing::Nxdomain, &[]);
    assert!(world.ask(HUB, FHIR, RecordType::A).starts_with("NXDOMAIN; ws-fhir.fhir.AHDS. 30 CNAME"));
}

#[test]
fn s7_loops_and_long_chains_are_servfail() {
    let mut world = World::new();
    let loops = world.ask(HUB, "loop1.test", RecordType::A);
    assert!(loops.starts_with("SERVFAIL"), "{loops}");
    let long = world.ask(HUB, "h0.long.test", RecordType::A);
    assert!(long.starts_with("SERVFAIL"), "{long}");
    world.host(
        "loop.privatelink.test",
        &["hub"],
        OnMissing::Public,
        &[("a", "CNAME", "b.loop.privatelink.test."), ("b", "CNAME", "a.loop.privatelink.test.")],
    );
    assert!(world.ask(HUB, "a.loop.privatelink.test", RecordType::A).starts_with("SERVFAIL"));
    let message = world.message(HUB, "loop1.test", RecordType::A, |_| {});
    assert!(message.edns.is_some_and(|edns| !edns.options().as_ref().is_empty()), "an extended error says why");
}

#[test]
fn s7_a_route_to_ourselves_is_refused_and_local_zones_go_on() {
    let mut world = World::new();
    world.private_zone(OnMissing::Public);
    world.routes = vec![(".", 0, true)];
    assert_eq!(world.ask(HUB, "www.contoso.test", RecordType::A), "SERVFAIL");
    assert_eq!(
        world.ask(HUB, "ws-fhir.fhir.privatelink.azurehealthcareapis.com", RecordType::A),
        "NOERROR aa; ws-fhir.fhir.PL. 10 A 10.20.1.5"
    );
    assert_eq!(world.asked.len(), 0);
}

#[test]
fn s8_what_does_not_fit_is_empty_with_tc() {
    let mut world = World::new();
    let addresses: Vec<String> = (0..120).map(|n| format!("10.20.{}.{}", n / 50, n)).collect();
    let records: Vec<_> = addresses.iter().map(|address| ("many", "A", address.as_str())).collect();
    world.host("privatelink.test", &["hub"], OnMissing::Public, &records);
    assert_eq!(world.ask(HUB, "many.privatelink.test", RecordType::A), "NOERROR aa tc");
}

#[test]
fn a_zone_without_data_is_servfail_and_others_go_on() {
    let mut world = World::new();
    world.host_as("privatelink.azurehealthcareapis.com", &["hub"], OnMissing::Public, ZoneState::Unavailable("bad file".into()));
    assert!(world.ask(HUB, FHIR, RecordType::A).starts_with("SERVFAIL; ws-fhir.fhir.AHDS. 30 CNAME"));
    assert_eq!(world.ask(HUB, "www.contoso.test", RecordType::A), "NOERROR; www.contoso.test. 100 A 198.51.100.1");
}

#[test]
fn without_recursion_only_our_own_data_is_given() {
    let mut world = World::new();
    world.host("privatelink.test", &["closed"], OnMissing::Public, &[("a", "A", "10.40.1.1"), ("out", "CNAME", "www.contoso.test.")]);
    for (name, want) in [
        ("www.contoso.test", "REFUSED"),
        ("a.privatelink.test", "NOERROR aa; a.privatelink.test. 10 A 10.40.1.1"),
        ("out.privatelink.test", "NOERROR; out.privatelink.test. 10 CNAME www.contoso.test."),
        ("none.privatelink.test", "NXDOMAIN aa; +privatelink.test. 10 SOA"),
    ] {
        assert_eq!(world.ask("10.40.0.1", name, RecordType::A), want, "{name}");
    }
    assert_eq!(world.asked.len(), 0);
}

#[test]
fn any_is_answered_with_little() {
    let mut world = World::new();
    world.private_zone(OnMissing::Public);
    assert_eq!(
        world.ask(HUB, "ws-fhir.fhir.privatelink.azurehealthcareapis.com", RecordType::ANY),
        "NOERROR aa; ws-fhir.fhir.PL. 10 A 10.20.1.5"
    );
    assert!(world.ask(HUB, "www.contoso.test", RecordType::ANY).starts_with("NOERROR; www.contoso.test. 3600 HINFO"));
    assert_eq!(world.asked.len(), 0);
}

#[test]
fn addresses_of_mail_hosts_come_along() {
    let mut world = World::new();
    world.private_zone(OnMissing::Public);
    let message = world.message(HUB, "mx.privatelink.azurehealthcareapis.com", RecordType::MX, |_| {});
    let additional: Vec<_> = message.additionals.iter().map(|record| record.data.to_string()).collect();
    assert_eq!(additional, ["10.20.1.5"]);
}
