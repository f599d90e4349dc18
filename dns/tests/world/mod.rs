//! A server without sockets: private zones, a cache, and an upstream that is a table.
#![allow(dead_code)] // each test program uses its part

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use postern_config::model::{FallbackConfig, LogFormat, NetworkLinks, OnMissing, RecursionPolicy, RepeatPolicy};
use postern_dns::accept::{self, UpstreamVerdict};
use postern_dns::cache::UpstreamCache;
use postern_dns::clock::Now;
use postern_dns::ede::Failure;
use postern_dns::fallback::FallbackRecorder;
use postern_dns::query::{DataPolicy, UpstreamAnswers, UpstreamQuery, WalkStep, walk};
use postern_dns::respond::respond;
use postern_dns::route::{Route, RouteId, RouteTable};
use postern_dns::state::{AnswerSettings, State, View};
use postern_dns::wire::question::{Edns as QuestionEdns, Question};
use postern_zones::name::{NameBuf, WireName};
use postern_zones::origin::ZoneOrigin;
use postern_zones::snapshot::{Hosted, SnapshotBuilder, ZoneState};
use postern_zones::zone::ZoneBuilder;

/// A client of the network `hub`.
pub const HUB: &str = "10.20.0.7";
/// A client of the network `spoke`.
pub const SPOKE: &str = "10.30.0.7";

/// A server with a table for an upstream.
pub struct World {
    pub zones: Vec<(Arc<Hosted>, Vec<&'static str>)>,
    pub routes: Vec<(&'static str, u16, bool)>,
    pub cache: Arc<UpstreamCache>,
    pub table: Arc<postern_config::azure::PrivateLinkTable>,
    pub public: HashMap<String, Vec<(RecordType, u32, String)>>,
    /// Messages that the upstream sends as they are, by `name type`.
    pub scripted: HashMap<String, Vec<u8>>,
    pub up: bool,
    pub now: Now,
    /// What was asked upstream: `route name type`.
    pub asked: Vec<String>,
    /// Only the first alias of a chain is told.
    pub first_hop_only: bool,
    /// Octets that a client takes.
    pub limit: usize,
    /// Takes note of every answer.
    pub recorder: Arc<FallbackRecorder>,
}

impl World {
    pub fn new() -> Self {
        let mut world = Self {
            zones: Vec::new(),
            routes: vec![(".", 0, false)],
            cache: Arc::new(UpstreamCache::new(1 << 20)),
            table: Arc::new(postern_config::azure::PrivateLinkTable::builtin().clone()),
            public: HashMap::new(),
            scripted: HashMap::new(),
            up: true,
            now: Now(1_000_000),
            asked: Vec::new(),
            first_hop_only: false,
            limit: 1232,
            recorder: FallbackRecorder::new(&fallback(64)),
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

    pub fn publish(&mut self, name: &str, records: &str) {
        let parse = |record: &str| {
            let mut parts = record.splitn(3, ' ');
            let rtype = parts.next().unwrap().parse().unwrap();
            (rtype, parts.next().unwrap().parse().unwrap(), parts.next().unwrap().to_owned())
        };
        self.public.insert(name.to_owned(), records.split('|').map(parse).collect());
    }

    pub fn host(&mut self, apex: &str, networks: &[&'static str], on_missing: OnMissing, records: &[(&str, &str, &str)]) {
        let mut builder = ZoneBuilder::new(WireName::parse(apex).unwrap());
        for (owner, rtype, rdata) in records {
            builder.add(owner, 10, rtype, rdata).unwrap();
        }
        self.host_as(apex, networks, on_missing, ZoneState::Serving(Arc::new(builder.finish(1).unwrap().zone)));
    }

    pub fn host_as(&mut self, apex: &str, networks: &[&'static str], on_missing: OnMissing, state: ZoneState) {
        self.zones.retain(|(hosted, on)| hosted.apex != WireName::parse(apex).unwrap() || on.as_slice() != networks);
        let hosted = Hosted::new(WireName::parse(apex).unwrap(), on_missing, state, ZoneOrigin::memory());
        self.zones.push((Arc::new(hosted), networks.to_vec()));
    }

    pub fn private_zone(&mut self, on_missing: OnMissing) {
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

    pub fn state(&self) -> State {
        let mut builder = SnapshotBuilder::new()
            .network("hub", &["10.20.0.0/16".parse().unwrap()], RecursionPolicy::Yes)
            .network("spoke", &["10.30.0.0/16".parse().unwrap()], RecursionPolicy::Yes)
            .network("closed", &["10.40.0.0/16".parse().unwrap()], RecursionPolicy::No);
        for (hosted, networks) in &self.zones {
            let networks = NetworkLinks::of_list(networks.iter().map(|name| (*name).to_owned()).collect());
            builder = builder.hosted(hosted.clone(), &networks);
        }
        let snapshot = Arc::new(builder.build());
        let mut routes = RouteTable::new(snapshot.networks().count());
        for (id, _) in snapshot.networks() {
            for (suffix, route, to_self) in &self.routes {
                routes.add(id, &WireName::parse(suffix).unwrap(), Route { id: RouteId(*route), to_self: *to_self });
            }
        }
        State {
            snapshot,
            routes: Arc::new(routes),
            table: self.table.clone(),
            cache: self.cache.clone(),
            access: Default::default(),
            settings: AnswerSettings {
                udp_size: 1232,
                nsid: Box::default(),
                version: None,
                identity: None,
                max_public_ttl: 60,
                cache: postern_config::model::CacheConfig {
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
                responses_per_second: 0,
            },
        }
    }

    /// What a client sees: `RCODE [AA] [AD]; answer records; +SOA`, owners and TTLs included.
    pub fn ask(&mut self, client: &str, name: &str, rtype: RecordType) -> String {
        render(&self.message(client, name, rtype, |_| {}))
    }

    pub fn message(&mut self, client: &str, name: &str, rtype: RecordType, change: impl FnOnce(&mut Question)) -> Message {
        Message::from_vec(&self.octets(client, name, rtype, change)).expect("every client can read it")
    }

    /// The answer as it is sent.
    pub fn octets(&mut self, client: &str, name: &str, rtype: RecordType, change: impl FnOnce(&mut Question)) -> Vec<u8> {
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
            cookie: None,
            signed: false,
        };
        change(&mut question);
        packet.resize(1500, 0);
        let view = View { state: &state, network, network_id, recursion: network.may_recurse(client), now: self.now };
        let mut heard = UpstreamAnswers::default();
        let mut patience = DataPolicy::Fresh;
        for _ in 0..40 {
            match walk(&question, &view, &heard, patience) {
                WalkStep::Answer(answer) => {
                    let verdict = self.recorder.judge(&question, &answer, &view);
                    self.recorder.note(&question, client, &answer, &verdict, &view);
                    let length = respond(&question, &answer, &verdict, &view, &mut packet, self.limit);
                    return packet[..length].to_vec();
                }
                WalkStep::Ask(ask) if self.up => {
                    self.asked.push(format!("{} {} {}", ask.route.0, ask.name, RecordType::from(ask.rtype)));
                    let scripted = self.scripted.get(&format!("{} {}", ask.name, RecordType::from(ask.rtype)));
                    let answer = scripted.cloned().unwrap_or_else(|| self.upstream(&ask));
                    match accept::accept(&ask, &view, &"192.0.2.53".into(), &answer) {
                        UpstreamVerdict::Heard(more) => {
                            accept::remember(&view, &ask, &more);
                            heard.0.extend(more.0);
                        }
                        other => panic!("{other:?}"),
                    }
                }
                WalkStep::Ask(ask) => {
                    accept::remember_failure(&state, &ask, Failure::NoUpstream, self.now, &"192.0.2.53".into());
                    patience = DataPolicy::Outage(Failure::NoUpstream);
                }
            }
        }
        panic!("the walk does not end");
    }

    /// What a public resolver answers: the whole chain in one message.
    pub fn upstream(&self, ask: &UpstreamQuery) -> Vec<u8> {
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

/// The fallback record, written to the log, with room for `queue` events.
pub fn fallback(queue: usize) -> FallbackConfig {
    FallbackConfig {
        file: None,
        format: LogFormat::Json,
        rotate: 0,
        keep: 0,
        repeat: RepeatPolicy::All,
        rate: 0,
        client_rate: 0,
        ledger: 1000,
        max_public_ttl: 60,
        queue,
    }
}

pub fn render(message: &Message) -> String {
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
pub fn short(name: &str) -> String {
    name.replace("privatelink.azurehealthcareapis.com.", "PL.")
        .replace("azurehealthcareapis.com.", "AHDS.")
        .replace("trafficmanager.test.", "TM.")
}
