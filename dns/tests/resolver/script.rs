//! A core with a scripted outside: what it sends is looked at, what upstreams say is made up, and the clock is turned by hand.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arrayvec::ArrayVec;
use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use postern_config::model::{OnMissing, RecursionPolicy, UpstreamConfig, UpstreamOrder, UpstreamTransport};
use postern_dns::cache::UpstreamCache;
use postern_dns::clock::Now;
use postern_dns::counters::AnswerClass;
use postern_dns::fallback::FallbackVerdict;
use postern_dns::query::Answer;
use postern_dns::resolver::ResolverJob;
use postern_dns::resolver::core::{ResolverCore, ResolverEffects};
use postern_dns::return_path::{ReplySender, ReplyTo};
use postern_dns::route::{Route, RouteId, RoutePlan, RouteTable};
use postern_dns::state::{AnswerSettings, State, View};
use postern_dns::upstream::{AttemptError, AttemptId, UpstreamId, UpstreamMeter, UpstreamStatus};
use postern_dns::wire::question::{Edns as QuestionEdns, Question};
use postern_zones::name::{NameBuf, WireName};
use postern_zones::snapshot::{Snapshot, SnapshotBuilder};
use postern_zones::zone::ZoneBuilder;

/// A client of the network `hub`.
pub const HUB: &str = "10.20.0.7";
/// A client of the network `spoke`.
pub const SPOKE: &str = "10.30.0.7";
/// Upstreams of the scripts.
pub const ONE: &str = "192.0.2.1:53";
pub const TWO: &str = "192.0.2.2:53";
pub const THREE: &str = "192.0.2.3:53";

/// The core, its state, the present, and what happened outside.
pub struct Script {
    pub core: ResolverCore,
    pub state: State,
    pub now: Now,
    pub out: Recorded,
    next_client: u16,
}

/// Everything the core had done.
#[derive(Default)]
pub struct Recorded {
    pub upstreams: HashMap<UpstreamId, UpstreamConfig>,
    pub sent: Vec<Sent>,
    /// Fixed questions that tell whether an upstream is there.
    pub probes: Vec<Sent>,
    pub forgotten: HashSet<AttemptId>,
    pub replies: Vec<(SocketAddr, Message)>,
    pub noted: usize,
    /// Sending fails.
    pub stuck: bool,
    /// Addresses of our own upstream sockets.
    pub own: HashMap<SocketAddr, UpstreamId>,
}

/// One message to an upstream.
#[derive(Clone)]
pub struct Sent {
    pub address: SocketAddr,
    pub over: UpstreamTransport,
    pub attempt: AttemptId,
    pub message: Message,
}

impl ResolverEffects for Recorded {
    fn open(&mut self, id: UpstreamId, upstream: &UpstreamConfig, _: &Arc<UpstreamMeter>) {
        assert!(self.upstreams.insert(id, upstream.clone()).is_none(), "opened twice");
    }

    fn close(&mut self, id: UpstreamId) {
        assert!(self.upstreams.remove(&id).is_some(), "closed but not open");
    }

    fn send(&mut self, to: UpstreamId, over: UpstreamTransport, attempt: AttemptId, message: &[u8]) -> Result<(), AttemptError> {
        if self.stuck {
            return Err(AttemptError::Exhausted);
        }
        let address = self.upstreams[&to].address;
        let message = Message::from_vec(message).unwrap();
        let sent = Sent { address, over, attempt, message };
        let is_probe = sent.message.queries[0].name().is_root();
        if is_probe {
            self.probes.push(sent)
        } else {
            self.sent.push(sent)
        }
        Ok(())
    }

    fn forget(&mut self, _: UpstreamId, _: UpstreamTransport, attempt: AttemptId) {
        assert!(self.forgotten.insert(attempt), "forgotten twice");
    }

    fn upstream_at(&self, address: SocketAddr) -> Option<UpstreamId> {
        self.own.get(&address).copied()
    }

    fn reply(&mut self, job: &ResolverJob, _: AnswerClass, message: &[u8]) {
        self.replies.push((job.client, Message::from_vec(message).expect("a message every client can read")));
    }

    fn note(&mut self, _: &ResolverJob, _: &Answer, _: &FallbackVerdict, _: &View) {
        self.noted += 1;
    }
}

/// A route of a script: suffix, upstreams, order.
pub type Rule<'a> = (&'a str, &'a [&'a str], UpstreamOrder);

/// All names at one upstream.
pub const SIMPLE: &[Rule] = &[(".", &[ONE], UpstreamOrder::Order)];

impl Script {
    pub fn new(rules: &[Rule]) -> Self {
        Self::with(rules, 10_000, |_| {})
    }

    pub fn with(rules: &[Rule], most_pending: usize, change: impl Fn(&mut UpstreamConfig)) -> Self {
        Self::planned(rules, most_pending, change, |_| {})
    }

    /// Repeats questions as the defaults of the configuration say.
    pub fn repeating(rules: &[Rule], change: impl Fn(&mut UpstreamConfig)) -> Self {
        Self::planned(rules, 10_000, change, |plan| {
            (plan.retransmit_min, plan.retransmit_max) = (Duration::from_millis(50), Duration::from_secs(1));
        })
    }

    pub fn planned(
        rules: &[Rule],
        most_pending: usize,
        change: impl Fn(&mut UpstreamConfig),
        change_plan: impl Fn(&mut RoutePlan),
    ) -> Self {
        let snapshot = Arc::new(builder().build());
        let routes = Arc::new(routes(&snapshot, rules, change, change_plan));
        let now = Now(1_000_000);
        let state = State {
            snapshot,
            routes,
            table: Arc::new(postern_config::azure::PrivateLinkTable::builtin().clone()),
            cache: Arc::new(UpstreamCache::new(1 << 20)),
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
        };
        let mut script = Self { core: ResolverCore::new(now, most_pending), state, now, out: Recorded::default(), next_client: 1000 };
        script.core.sync(now, &script.state, &mut script.out);
        script.answer_probes();
        script
    }

    /// Hosts the zone `privatelink.azurehealthcareapis.com` for `hub` with these A records.
    pub fn host(&mut self, records: &[(&str, &str)]) {
        let mut zone = ZoneBuilder::new(WireName::parse("privatelink.azurehealthcareapis.com").unwrap());
        records.iter().for_each(|(owner, address)| zone.add(owner, 10, "A", address).unwrap());
        let generation = self.state.snapshot.generation + 1;
        let zone = zone.finish(1).unwrap().zone;
        self.state.snapshot = Arc::new(builder().generation(generation).zone(zone, &["hub"], OnMissing::Public).build());
    }

    /// Swaps the routes.
    pub fn route(&mut self, rules: &[Rule]) {
        self.state.routes = Arc::new(routes(&self.state.snapshot, rules, |_| {}, |_| {}));
        self.core.sync(self.now, &self.state, &mut self.out);
    }

    /// A client asks; its address is given back.
    pub fn ask(&mut self, client: &str, name: &str) -> SocketAddr {
        self.ask_as(client, name, RecordType::A, |_| {})
    }

    pub fn ask_as(&mut self, client: &str, name: &str, rtype: RecordType, change: impl FnOnce(&mut Question)) -> SocketAddr {
        self.next_client += 1;
        let client = SocketAddr::new(client.parse().unwrap(), self.next_client);
        let job = job(client, name, rtype, self.now, change);
        self.core.submit(self.now, &self.state, job, &mut self.out);
        client
    }

    /// Turns the clock, doing on the way what becomes due.
    pub fn pass(&mut self, milliseconds: u64) {
        let end = Now(self.now.0 + milliseconds);
        while let Some(next) = self.core.next_deadline().filter(|next| *next <= end) {
            self.now = self.now.max(next);
            self.core.tick(self.now, &self.state, &mut self.out);
        }
        self.now = end;
        self.core.tick(self.now, &self.state, &mut self.out);
    }

    /// What was sent since this was called last, loop probes left out: `upstream name type`, with `tcp` or `plain` (no EDNS) in front.
    pub fn sent(&mut self) -> Vec<String> {
        self.take_sent().iter().map(Sent::to_string).collect()
    }

    pub fn take_sent(&mut self) -> Vec<Sent> {
        std::mem::take(&mut self.out.sent).into_iter().filter(|sent| !sent.is_loop_probe()).collect()
    }

    /// Passes time in which an upstream answers probes, however it can.
    pub fn pass_with_probes_answered(&mut self, milliseconds: u64, rcode: ResponseCode) {
        let end = Now(self.now.0 + milliseconds);
        while self.now < end {
            self.pass(50.min(end.since(self.now)));
            for probe in std::mem::take(&mut self.out.probes) {
                self.say(&probe, rcode, &[]);
            }
        }
    }

    /// Upstreams say NXDOMAIN to loop probes.
    pub fn answer_probes(&mut self) {
        for sent in std::mem::take(&mut self.out.sent) {
            match sent.is_loop_probe() {
                true => self.say(&sent, ResponseCode::NXDomain, &[]),
                false => self.out.sent.push(sent),
            }
        }
    }

    /// An upstream answers with these records: `owner TTL TYPE rdata`.
    pub fn say(&mut self, sent: &Sent, rcode: ResponseCode, records: &[&str]) {
        let message = answer(sent, rcode, records);
        self.said(sent, Ok(&message.to_vec().unwrap()));
    }

    pub fn said(&mut self, sent: &Sent, said: Result<&[u8], AttemptError>) {
        self.core.upstream_said(self.now, &self.state, sent.attempt, said, &mut self.out);
    }

    /// The next message sent is answered.
    pub fn say_next(&mut self, rcode: ResponseCode, records: &[&str]) {
        let sent = self.out.sent.remove(0);
        self.say(&sent, rcode, records);
    }

    /// Replies since this was called last, sorted by client: `RCODE[/extended error]; answer records`.
    pub fn replies(&mut self) -> Vec<(SocketAddr, String)> {
        let mut replies = std::mem::take(&mut self.out.replies);
        replies.sort_by_key(|(client, _)| *client);
        replies.iter().map(|(client, message)| (*client, render(message))).collect()
    }

    /// The one reply since.
    pub fn reply(&mut self) -> String {
        let replies = self.replies();
        assert_eq!(replies.len(), 1, "{replies:?}");
        replies[0].1.clone()
    }

    pub fn status(&self, address: &str) -> UpstreamStatus {
        let all = self.core.meters().into_iter().map(|meter| meter.read());
        all.into_iter().find(|status| status.address == address.parse().unwrap()).unwrap()
    }
}

impl Sent {
    pub fn is_loop_probe(&self) -> bool {
        self.message.queries[0].name().to_string().contains("postern-loop-probe")
    }
}

impl std::fmt::Display for Sent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let query = &self.message.queries[0];
        let over = if self.over == UpstreamTransport::Tcp { "tcp " } else { "" };
        let plain = if self.message.edns.is_none() { "plain " } else { "" };
        write!(f, "{over}{plain}{} {} {}", self.address.ip(), query.name(), query.query_type())
    }
}

/// What an upstream answers to a question, with an SOA where the records give no answer.
pub fn answer(sent: &Sent, rcode: ResponseCode, records: &[&str]) -> Message {
    let mut message = Message::new(sent.message.metadata.id, MessageType::Response, OpCode::Query);
    message.metadata.response_code = rcode;
    message.metadata.recursion_available = true;
    message.add_query(sent.message.queries[0].clone());
    for record in records {
        message.add_answer(self::record(record));
    }
    if records.is_empty() && matches!(rcode, ResponseCode::NoError | ResponseCode::NXDomain) {
        message.add_authority(record("test. 15 SOA ns.test. host.test. 1 2 3 4 15"));
    }
    message
}

pub fn record(text: &str) -> Record {
    let mut parts = text.splitn(4, ' ');
    let (owner, ttl) = (parts.next().unwrap(), parts.next().unwrap().parse().unwrap());
    let rtype: RecordType = parts.next().unwrap().parse().unwrap();
    let data = RData::try_from_str(rtype, parts.next().unwrap()).unwrap();
    Record::from_rdata(Name::from_ascii(owner).unwrap(), ttl, data)
}

/// A client's question.
pub fn job(client: SocketAddr, name: &str, rtype: RecordType, now: Now, change: impl FnOnce(&mut Question)) -> Box<ResolverJob> {
    let mut query = Message::new(client.port(), MessageType::Query, OpCode::Query);
    query.add_query(Query::query(Name::from_ascii(format!("{}.", name.trim_end_matches('.'))).unwrap(), rtype));
    query.set_edns(Edns::new());
    let packet = query.to_vec().unwrap();
    let mut question = Question {
        name: NameBuf::parse(name).unwrap(),
        rtype: rtype.into(),
        class: 1,
        end: packet.len() - 11,
        recursion_desired: true,
        checking_disabled: false,
        authentic_data: false,
        edns: Some(QuestionEdns { udp_size: 1232, dnssec_ok: false, nsid: false }),
        cookie: None,
        signed: false,
    };
    change(&mut question);
    let reply = ReplyTo::Tcp(ReplySender::alone(tokio::sync::mpsc::channel(1).0));
    let packet = ArrayVec::try_from(&packet[..question.end]).unwrap();
    Box::new(ResolverJob { packet, question, client, reply, limit: 1232, received: now, handed_over: None })
}

fn render(message: &Message) -> String {
    use std::fmt::Write;
    let mut text = format!("{:?}", message.metadata.response_code);
    if let Some(edns) = &message.edns {
        for (code, option) in edns.options().as_ref() {
            if u16::from(*code) == 15 {
                let octets: Vec<u8> = option.try_into().unwrap();
                write!(text, "/{}", u16::from_be_bytes([octets[0], octets[1]])).unwrap();
            }
        }
    }
    for record in &message.answers {
        write!(text, "; {} {} {} {}", record.name, record.ttl, record.record_type(), record.data).unwrap();
    }
    text
}

fn builder() -> SnapshotBuilder {
    SnapshotBuilder::new().network("hub", &["10.20.0.0/16".parse().unwrap()], RecursionPolicy::Yes).network(
        "spoke",
        &["10.30.0.0/16".parse().unwrap()],
        RecursionPolicy::Yes,
    )
}

fn routes(snapshot: &Snapshot, rules: &[Rule], change: impl Fn(&mut UpstreamConfig), change_plan: impl Fn(&mut RoutePlan)) -> RouteTable {
    let mut routes = RouteTable::new(snapshot.networks().count());
    for (suffix, addresses, select) in rules {
        let suffix = WireName::parse(suffix).unwrap();
        let upstreams = addresses.iter().map(|address| {
            let transport = if address.starts_with("tcp://") { UpstreamTransport::Tcp } else { UpstreamTransport::Udp };
            let address = address.trim_start_matches("tcp://").parse().unwrap();
            let mut upstream = UpstreamConfig::new(address, transport);
            change(&mut upstream);
            upstream
        });
        let upstreams: Vec<UpstreamConfig> = upstreams.collect();
        // As the registry does: a number for each list of upstreams.
        let id = RouteId(upstreams.iter().fold(0, |id, upstream| id * 10 + u16::from(last_octet(upstream.address))));
        for (network, _) in snapshot.networks() {
            routes.add(network, &suffix, Route { id, to_self: false });
        }
        // Most scripts are about what follows when an upstream is given up: it gets one message.
        let never = Duration::from_secs(30);
        let mut plan = RoutePlan {
            suffix,
            upstreams,
            select: *select,
            retransmit_min: never,
            retransmit_max: never,
            hedge: None,
            next_on: Vec::new(),
        };
        change_plan(&mut plan);
        routes.plan(id, Arc::new(plan));
    }
    routes
}

fn last_octet(address: SocketAddr) -> u8 {
    match address {
        SocketAddr::V4(v4) => v4.ip().octets()[3],
        SocketAddr::V6(v6) => v6.ip().octets()[15],
    }
}
