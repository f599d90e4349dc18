//! The hot path allocates nothing: what a worker's turn asks of the allocator, from receiving a datagram to sending its answer.

mod world;

use std::net::UdpSocket;
use std::sync::Arc;
use std::time::Duration;

use RecordType::{A, AAAA, TXT};
use arc_swap::ArcSwap;
use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{Name, RecordType};
use postern_config::model::{OnMissing, RepeatPolicy};
use postern_dns::access::AccessLists;
use postern_dns::clock::Clock;
use postern_dns::counters::{CounterTotals, WorkerCounters, WorkerEvent};
use postern_dns::fallback::{FallbackRecorder, FallbackWriter};
use postern_dns::listen::QueryService;
use postern_dns::listen::udp::UdpLoop;
use postern_dns::resolver::Resolver;
use postern_dns::transport::PerListener;
use postern_sockets::{KernelBackend, UdpOptions, bind_udp};
use postern_zones::name::NameBuf;
use world::World;

/// What is asked, and the RCODE and number of records in ANSWER that come: from loopback, which is in `default`.
const CASES: [(&str, &str, RecordType, ResponseCode, usize); 10] = [
    ("private hit", "ws-fhir.fhir.privatelink.azurehealthcareapis.com", A, ResponseCode::NoError, 1),
    ("private alias", "home.privatelink.azurehealthcareapis.com", A, ResponseCode::NoError, 2),
    ("no data", "ws-fhir.fhir.privatelink.azurehealthcareapis.com", AAAA, ResponseCode::NoError, 0),
    ("no such name", "nobody.privatelink.corp.test", A, ResponseCode::NXDomain, 0),
    ("no such name below a wildcard's sibling", "nobody.there.privatelink.corp.test", TXT, ResponseCode::NXDomain, 0),
    ("cached", "www.contoso.test", A, ResponseCode::NoError, 1),
    ("cached with an alias", "plain.azurehealthcareapis.com", A, ResponseCode::NoError, 2),
    ("cached denial", "nobody.contoso.test", A, ResponseCode::NXDomain, 0),
    ("spliced", "ws-fhir.fhir.azurehealthcareapis.com", A, ResponseCode::NoError, 2),
    ("fallback to what is cached", "ws-other.fhir.azurehealthcareapis.com", A, ResponseCode::NoError, 3),
];

/// RCODE, TC and number of records in ANSWER.
type BriefAnswer = (u16, bool, usize);

/// A server in this thread, with what public names the cases need in its cache.
struct Server {
    world: World,
    service: QueryService,
    socket: Arc<UdpSocket>,
    client: UdpSocket,
    counters: Arc<WorkerCounters>,
    _writer: FallbackWriter,
    _resolver: Resolver,
    _runtime: tokio::runtime::Runtime,
}

impl Server {
    /// A server that gives each client network one response a second.
    fn with_one_response_a_second() -> Self {
        let mut server = Self::new(RepeatPolicy::First);
        let mut state = server.world.state();
        state.settings.responses_per_second = 1;
        server.service.state.store(Arc::new(state));
        server.service.rates = Arc::default();
        server
    }

    fn new(repeat: RepeatPolicy) -> Self {
        let mut world = World::new();
        world.private_zone(OnMissing::Public);
        world.host("privatelink.corp.test", &["hub"], OnMissing::Nxdomain, &[("a.there", "A", "10.20.1.6"), ("*.wild", "A", "10.20.1.7")]);
        world.zones.iter_mut().for_each(|(_, networks)| *networks = vec!["default"]); // where loopback is
        for (_, name, rtype, ..) in CASES {
            world.ask("127.0.0.1", name, rtype);
        }
        let settings = postern_config::model::FallbackConfig { repeat, file: Some("/dev/null".into()), ..world::fallback(1000) };
        let recorder = FallbackRecorder::new(&settings);
        let writer = FallbackWriter::start(recorder.clone(), &settings, || {}).unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let state = Arc::new(ArcSwap::from_pointee(world.state()));
        let clock = Clock::start();
        let resolver = Resolver::start(state.clone(), clock, 10, runtime.handle().clone(), None).unwrap();
        let service = QueryService {
            state,
            clock,
            resolver: resolver.submitter(),
            recorder,
            handler: None,
            handled: PerListener::new(WorkerCounters::shared),
            rates: Default::default(),
        };
        let options = UdpOptions { read_timeout: Some(Duration::from_secs(60)), ..UdpOptions::default() };
        let socket = Arc::new(bind_udp("127.0.0.1:0".parse().unwrap(), &options).unwrap());
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        client.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        client.connect(socket.local_addr().unwrap()).unwrap();
        Self { world, service, socket, client, counters: WorkerCounters::own(), _writer: writer, _resolver: resolver, _runtime: runtime }
    }

    /// Allocations of the turn that answers this question, and the answer.
    fn ask(&self, turns: &mut UdpLoop<'_, KernelBackend>, id: u16, name: &str, rtype: RecordType) -> (u64, Message) {
        let mut query = Message::new(id, MessageType::Query, OpCode::Query);
        query.metadata.recursion_desired = true;
        query.add_query(Query::query(Name::from_ascii(format!("{name}.")).unwrap(), rtype));
        query.set_edns(Default::default());
        self.client.send(&query.to_vec().unwrap()).unwrap();
        let allocations = allocation_counter::measure(|| turns.turn()).count_total;
        let mut answer = [0; 2048];
        let (length, _) = postern_sockets::receive(&self.client, &mut answer).unwrap();
        let answer = Message::from_vec(&answer[..length]).unwrap();
        assert_eq!(answer.metadata.id, id);
        (allocations, answer)
    }

    /// Sends questions with these EDNS options, which one turn answers at one moment. Returns each answer with its ID, and the allocations
    /// of the turn.
    fn batch(&self, turns: &mut UdpLoop<'_, KernelBackend>, options: &[&[u8]]) -> (Vec<(u16, BriefAnswer)>, u64) {
        for (id, option) in (0..).zip(options) {
            let opt = [&[0, 0, 41, 4, 208, 0, 0, 0, 0, 0, option.len() as u8], *option].concat();
            let name = NameBuf::parse("ws-fhir.fhir.azurehealthcareapis.com").unwrap();
            let message = [&[0, id, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1], name.as_wire(), b"\0\x01\0\x01", &opt].concat();
            self.client.send(&message).unwrap();
        }
        let allocations = allocation_counter::measure(|| turns.turn()).count_total;
        self.client.set_nonblocking(true).unwrap();
        let mut octets = [0; 2048];
        let mut answers = Vec::new();
        while let Ok(length) = self.client.recv(&mut octets) {
            let message = Message::from_vec(&octets[..length]).unwrap();
            let rcode = u16::from(message.metadata.response_code);
            answers.push((message.metadata.id, (rcode, message.metadata.truncation, message.answers.len())));
        }
        (answers, allocations)
    }
}

#[test]
fn a_turn_allocates_nothing_the_first_time_and_again() {
    for repeat in [RepeatPolicy::All, RepeatPolicy::First] {
        let server = Server::new(repeat);
        let mut turns = UdpLoop::<KernelBackend>::open(&server.socket, &server.service, &server.counters).unwrap();
        // Which private name a public one stands for is looked up in the zone table once for each after a change, and that allocates.
        for (_, name, rtype, ..) in CASES {
            server.ask(&mut turns, 1, name, rtype);
        }
        for round in 0..6u16 {
            if round % 3 == 0 {
                server.service.state.store(Arc::new(server.world.state())); // so the path is walked, and nothing given that was given before
            }
            for (what, name, rtype, rcode, answers) in CASES {
                let (allocations, answer) = server.ask(&mut turns, 100 + round, name, rtype);
                assert_eq!((answer.metadata.response_code, answer.answers.len()), (rcode, answers), "{what}: {answer:?}");
                assert_eq!(allocations, 0, "{what}, round {round}, {repeat:?}");
            }
        }
        assert!(CounterTotals::of([&server.counters]).handed_on.iter().all(|count| *count == 0), "everything was at hand");
    }
}

#[test]
fn what_the_cache_forgets_is_not_given_again() {
    let server = Server::new(RepeatPolicy::First);
    let mut turns = UdpLoop::<KernelBackend>::open(&server.socket, &server.service, &server.counters).unwrap();
    let (_, answer) = server.ask(&mut turns, 1, "www.contoso.test", A);
    assert_eq!(answer.answers.len(), 1);
    assert!(server.world.cache.forget_below(&NameBuf::parse("contoso.test").unwrap()) > 0);
    server.ask(&mut turns, 2, "nobody.privatelink.corp.test", A);
    let handed_on = || CounterTotals::of([&server.counters]).handed_on.iter().sum::<u64>();
    assert_eq!(handed_on(), 0);
    let mut query = Message::new(3, MessageType::Query, OpCode::Query);
    query.metadata.recursion_desired = true;
    query.add_query(Query::query(Name::from_ascii("www.contoso.test.").unwrap(), A));
    query.set_edns(Default::default());
    server.client.send(&query.to_vec().unwrap()).unwrap();
    turns.turn();
    assert_eq!(handed_on(), 1, "it is asked for anew");
}

/// The answer to a question with these cookies.
fn ask_with_cookie(turns: &mut UdpLoop<'_, KernelBackend>, client: &UdpSocket, cookies: &[u8]) -> Vec<u8> {
    let name = NameBuf::parse("ws-fhir.fhir.azurehealthcareapis.com").unwrap();
    let length = cookies.len() as u8;
    let opt = [&[0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 4 + length, 0, 10, 0, length], cookies].concat();
    client.send(&[b"\x12\x34\x01\0\0\x01\0\0\0\0\0\x01", name.as_wire(), b"\0\x01\0\x01", &opt].concat()).unwrap();
    let allocations = allocation_counter::measure(|| turns.turn()).count_total;
    assert_eq!(allocations, 0);
    let mut answer = [0; 512];
    let (length, _) = postern_sockets::receive(client, &mut answer).unwrap();
    let answer = &answer[..length];
    let message = Message::from_vec(answer).unwrap();
    assert_eq!((message.metadata.response_code, message.answers.len()), (ResponseCode::NoError, 2));
    let option = answer.windows(4).position(|octets| octets == [0, 10, 0, 24]).expect("a COOKIE option");
    answer[option + 4..option + 28].to_vec()
}

/// RFC 7873 sections 5.2.3 and 5.2.4.
#[test]
fn beyond_the_limit_of_responses_only_a_good_cookie_is_answered_in_full() {
    let server = Server::with_one_response_a_second();
    let mut turns = UdpLoop::<KernelBackend>::open(&server.socket, &server.service, &server.counters).unwrap();
    let mut batch = |options: &[&[u8]]| server.batch(&mut turns, options);
    // The first response of this server makes the table.
    assert_eq!(batch(&[b"", b"", b"", b""]).0, [(0, (0, false, 2)), (1, (0, true, 0)), (3, (0, true, 0))]);
    let good = good_cookie();
    let bare = b"\0\x0a\0\x08COOKIE!!".as_slice();
    // The second may be another one by now. The first question without a cookie then takes its only response.
    let (answers, allocations) = batch(&[&good, &good, b"", bare, bare, &good]);
    assert_eq!(allocations, 0);
    let of = |ids: &[u16]| answers.iter().filter(|(id, ..)| ids.contains(id)).map(|(_, answer)| *answer).collect::<Vec<_>>();
    assert_eq!(of(&[0, 1, 5]), [(0, false, 2); 3]);
    assert_eq!(of(&[3, 4]), [(23, false, 0)]);
    let totals = CounterTotals::of([&server.counters]);
    assert!([3 + 2, 3 + 3].contains(&totals.count(WorkerEvent::Limited)), "{}", totals.count(WorkerEvent::Limited));
    assert_eq!((totals.by_rcode()[23], totals.by_rcode()[7]), (1, 0), "an RCODE that is longer than the field in the header");
}

#[test]
fn a_client_with_a_good_cookie_does_not_use_up_the_responses_of_its_network() {
    let server = Server::with_one_response_a_second();
    let mut turns = UdpLoop::<KernelBackend>::open(&server.socket, &server.service, &server.counters).unwrap();
    let good = good_cookie();
    let (answers, _) = server.batch(&mut turns, &[&good, &good, &good, b"", b""]);
    assert_eq!(answers, [(0, (0, false, 2)), (1, (0, false, 2)), (2, (0, false, 2)), (3, (0, false, 2)), (4, (0, true, 0))]);
}

/// A COOKIE option with which a client on loopback proves its address.
fn good_cookie() -> Vec<u8> {
    let mut cookie = postern_dns::cookie::CookieOption::read(b"COOKIE!!").unwrap();
    cookie.settle_now([127, 0, 0, 1].into());
    [&[0, 10, 0, 24], cookie.octets()].concat()
}

#[test]
fn beyond_the_limit_of_responses_sig0_is_a_question_like_any_other_and_what_is_malformed_gets_no_answer() {
    let server = Server::with_one_response_a_second();
    let mut turns = UdpLoop::<KernelBackend>::open(&server.socket, &server.service, &server.counters).unwrap();
    let name = NameBuf::parse("ws-fhir.fhir.azurehealthcareapis.com").unwrap();
    let sig = b"\0\0\x18\0\xff\0\0\0\0\0\x02\0\0".as_slice();
    let tsig = b"\0\0\xfa\0\xff\0\0\0\0\0\x11\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0".as_slice();
    // By ID: questions of the message, and its record.
    for (id, questions, record) in [(0, 1, sig), (1, 1, sig), (2, 1, sig), (3, 2, sig), (4, 2, sig), (5, 1, tsig), (6, 1, tsig)] {
        let message = [&[0, id, 1, 0, 0, questions, 0, 0, 0, 0, 0, 1], name.as_wire(), b"\0\x01\0\x01", record].concat();
        server.client.send(&message).unwrap();
    }
    turns.turn();
    server.client.set_nonblocking(true).unwrap();
    let mut octets = [0; 2048];
    let mut answers = Vec::new();
    while let Ok(length) = server.client.recv(&mut octets) {
        let message = Message::from_vec(&octets[..length]).unwrap();
        answers.push((message.metadata.id, u16::from(message.metadata.response_code), message.metadata.truncation));
    }
    assert_eq!(answers, [(0, 0, false), (1, 0, true), (5, 9, false), (6, 9, false)]);
    assert_eq!(CounterTotals::of([&server.counters]).count(WorkerEvent::Limited), 4);
}

/// RFC 7873 section 5.2.
#[test]
fn each_client_gets_its_own_cookie_whoever_asked_the_same_before() {
    let server = Server::new(RepeatPolicy::First);
    let mut turns = UdpLoop::<KernelBackend>::open(&server.socket, &server.service, &server.counters).unwrap();
    let other = UdpSocket::bind("127.0.0.2:0").unwrap();
    other.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    other.connect(server.socket.local_addr().unwrap()).unwrap();
    server.ask(&mut turns, 1, "ws-fhir.fhir.azurehealthcareapis.com", A);
    let _ = postern_dns::cookie::CookieOption::read(&[0; 8]).map(|mut cookie| cookie.settle_now([127, 0, 0, 1].into())); // makes the key
    let mine = ask_with_cookie(&mut turns, &server.client, b"COOKIE!!");
    assert_eq!(mine[..12], *b"COOKIE!!\x01\0\0\0");
    let theirs = ask_with_cookie(&mut turns, &other, b"COOKIE!!");
    assert_ne!(mine[16..], theirs[16..], "octet for octet the same question, of another client");
    assert_eq!(ask_with_cookie(&mut turns, &server.client, &mine), mine, "a good cookie stays");
    let renewed = ask_with_cookie(&mut turns, &server.client, &theirs);
    assert_eq!(renewed[..8], *b"COOKIE!!");
    assert_ne!(renewed, theirs, "a wrong one is answered with a good one");
    assert_eq!(ask_with_cookie(&mut turns, &server.client, &renewed), renewed);
}

#[test]
fn what_is_declined_or_refused_allocates_nothing() {
    let server = Server::new(RepeatPolicy::All);
    let mut state = server.world.state();
    state.access = AccessLists::new(&[], &["127.0.0.0/8".parse().unwrap()]);
    for (what, message, answered) in [
        ("a response", &b"\0\x01\x80\0\0\x01\0\0\0\0\0\0\0\0\x01\0\x01"[..], false),
        ("a scrap", b"\0\x01\0", false),
        ("an unknown opcode", b"\0\x01\x58\0\0\x01\0\0\0\0\0\0\0\0\x01\0\x01", true),
        ("no question", b"\0\x01\0\0\0\0\0\0\0\0\0\0", true),
    ] {
        let mut turns = UdpLoop::<KernelBackend>::open(&server.socket, &server.service, &server.counters).unwrap();
        server.client.send(message).unwrap();
        let allocations = allocation_counter::measure(|| turns.turn()).count_total;
        assert_eq!(allocations, 0, "{what}");
        if answered {
            postern_sockets::receive(&server.client, &mut [0; 512]).unwrap();
        }
    }
    let mut turns = UdpLoop::<KernelBackend>::open(&server.socket, &server.service, &server.counters).unwrap();
    server.service.state.store(Arc::new(state));
    let (allocations, answer) = server.ask(&mut turns, 9, "www.contoso.test", A);
    assert_eq!((allocations, answer.metadata.response_code), (0, ResponseCode::Refused));
}
