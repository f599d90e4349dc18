//! The resolver's thread with real sockets, against simulated upstreams that misbehave.

mod spoofing;
mod tcp;

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{Name, RecordType};
use postern_config::model::{RecursionPolicy, UpstreamConfig, UpstreamOrder, UpstreamTransport};
use postern_dns::cache::UpstreamCache;
use postern_dns::clock::Clock;
use postern_dns::resolver::{Resolver, ResolverJob};
use postern_dns::return_path::{ReplySender, ReplyTo};
use postern_dns::route::{Route, RouteId, RoutePlan, RouteTable};
use postern_dns::state::{AnswerSettings, State};
use postern_dns::upstream::tcp::CONNECTIONS;
use postern_dns::upstream::udp::POOL;
use postern_dns::upstream::{UpstreamCondition, UpstreamStatus};
use postern_dns::wire::question::{Edns as QuestionEdns, Question};
use postern_lab::{AnswerForgery, LabFault, LabScenario, LabServer, TcpFault};
use postern_zones::name::{NameBuf, WireName};
use postern_zones::snapshot::SnapshotBuilder;
use tokio::sync::mpsc;

/// Longer than anything takes, however busy the machine is.
const PATIENCE: Duration = Duration::from_secs(120);
/// For an upstream that answers: longer than it stands still, whatever else the machine does.
const LONG: Duration = Duration::from_secs(20);
const WWW: &str = "www.contoso.test";

/// A resolver and what it needs to live.
struct Server {
    resolver: Resolver,
    clock: Clock,
    _runtime: tokio::runtime::Runtime,
}

/// Answers to one client, by the order in which they come.
struct Client {
    sender: mpsc::Sender<Vec<u8>>,
    answers: mpsc::Receiver<Vec<u8>>,
}

impl Server {
    /// All names at these upstreams, in this order, each waited for `timeout`.
    fn start(upstreams: &[(SocketAddr, UpstreamTransport)], timeout: Duration) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let clock = Clock::start();
        let state = Arc::new(ArcSwap::from_pointee(state(upstreams, timeout)));
        let resolver = Resolver::start(state, clock, 20_000, runtime.handle().clone(), None).unwrap();
        Self { resolver, clock, _runtime: runtime }
    }

    fn submit(&self, client: &Client, id: u16, name: &str) {
        let job = job(id, name, "127.0.0.1:9".parse().unwrap(), ReplyTo::Tcp(ReplySender::alone(client.sender.clone())), self.clock);
        assert!(self.resolver.submitter().submit(job).is_ok());
    }

    fn ask(&self, name: &str) -> Message {
        let mut client = Client::new(1);
        self.submit(&client, 7, name);
        client.answer()
    }

    fn status(&self, of: SocketAddr) -> UpstreamStatus {
        self.until(|upstreams| upstreams.iter().find(|status| status.address == of).cloned())
    }

    /// Waits until the upstreams show something.
    fn until<T>(&self, shown: impl Fn(&[UpstreamStatus]) -> Option<T>) -> T {
        poll(|| shown(&self.resolver.gauges().upstreams()))
    }
}

impl Client {
    fn new(most: usize) -> Self {
        let (sender, answers) = mpsc::channel(most);
        Self { sender, answers }
    }

    fn answer(&mut self) -> Message {
        let octets = poll(|| self.answers.try_recv().ok());
        Message::from_vec(&octets).unwrap()
    }
}

fn poll<T>(mut what: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = what() {
            return found;
        }
        assert!(Instant::now() < end, "waited for {PATIENCE:?} in vain");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn state(upstreams: &[(SocketAddr, UpstreamTransport)], timeout: Duration) -> State {
    let snapshot = Arc::new(SnapshotBuilder::new().network("all", &["0.0.0.0/0".parse().unwrap()], RecursionPolicy::Yes).build());
    let mut routes = RouteTable::new(snapshot.networks().count());
    let suffix = WireName::parse(".").unwrap();
    for (network, _) in snapshot.networks() {
        routes.add(network, &suffix, Route { id: RouteId(0), to_self: false });
    }
    let upstream = |(address, transport): &(SocketAddr, UpstreamTransport)| UpstreamConfig {
        in_flight: 20_000,
        timeout,
        ..UpstreamConfig::new(*address, *transport)
    };
    let upstreams = upstreams.iter().map(upstream).collect();
    let plan = RoutePlan {
        suffix,
        upstreams,
        select: UpstreamOrder::Order,
        retransmit_min: timeout,
        retransmit_max: timeout,
        hedge: None,
        next_on: Vec::new(),
    };
    routes.plan(RouteId(0), Arc::new(plan));
    let settings = AnswerSettings {
        udp_size: 1232,
        nsid: Box::default(),
        version: None,
        identity: None,
        max_public_ttl: 60,
        cache: postern_config::parse("", "t".as_ref()).unwrap().config.cache,
        deadline: 2 * LONG,
        responses_per_second: 0,
    };
    let table = Arc::new(postern_config::azure::PrivateLinkTable::builtin().clone());
    State { snapshot, routes: Arc::new(routes), table, cache: Arc::new(UpstreamCache::new(1 << 20)), access: Default::default(), settings }
}

fn job(id: u16, name: &str, client: SocketAddr, reply: ReplyTo, clock: Clock) -> Box<ResolverJob> {
    let mut query = Message::new(id, MessageType::Query, OpCode::Query);
    query.metadata.recursion_desired = true;
    query.add_query(Query::query(Name::from_ascii(format!("{name}.")).unwrap(), RecordType::A));
    job_of(&query, client, reply, clock)
}

/// What a listener makes of a question.
fn job_of(query: &Message, client: SocketAddr, reply: ReplyTo, clock: Clock) -> Box<ResolverJob> {
    let mut query = query.clone();
    query.edns = None;
    let packet = query.to_vec().unwrap();
    let asked = &query.queries[0];
    let question = Question {
        name: NameBuf::parse(&asked.name().to_ascii()).unwrap(),
        rtype: asked.query_type().into(),
        class: 1,
        end: packet.len(),
        recursion_desired: true,
        checking_disabled: false,
        authentic_data: false,
        edns: Some(QuestionEdns { udp_size: 1232, dnssec_ok: false, nsid: false }),
        cookie: None,
        signed: false,
    };
    ResolverJob::new(&packet, question, client, reply, 1232, clock.now()).unwrap()
}

fn lab(faults: Vec<LabFault>) -> LabServer {
    let mut scenario = LabScenario::empty().record("contoso.test. 60 SOA ns.contoso.test. host.contoso.test. 1 2 3 4 5");
    scenario = scenario.record("www.contoso.test. 60 A 198.51.100.1").record("*.load.contoso.test. 60 A 198.51.100.2");
    let lab = LabServer::start(scenario, "127.0.0.1:0".parse().unwrap()).unwrap();
    lab.set(faults);
    lab
}

fn udp(lab: &LabServer) -> (SocketAddr, UpstreamTransport) {
    (lab.address(), UpstreamTransport::Udp)
}

fn tcp(lab: &LabServer) -> (SocketAddr, UpstreamTransport) {
    (lab.address(), UpstreamTransport::Tcp)
}

fn is_right(message: &Message) -> bool {
    message.metadata.response_code == ResponseCode::NoError && message.answers.len() == 1
}

#[test]
fn a_client_over_udp_is_answered_from_the_socket_that_it_asked() {
    let lab = lab(vec![]);
    let server = Server::start(&[udp(&lab)], LONG);
    let listener = Arc::new(UdpSocket::bind("127.0.0.1:0").unwrap());
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    for id in 1..=3 {
        let reply = ReplyTo::Udp { socket: listener.clone(), local: None };
        server.resolver.submitter().submit(job(id, WWW, client.local_addr().unwrap(), reply, server.clock)).unwrap();
        let mut buffer = [0; 1500];
        let (length, from) = postern_sockets::receive(&client, &mut buffer).unwrap();
        let message = Message::from_vec(&buffer[..length]).unwrap();
        assert_eq!((message.metadata.id, from), (id, listener.local_addr().unwrap()));
        assert!(is_right(&message));
    }
    assert_eq!(lab.counters().asked(WWW, RecordType::A), 1, "once, then cached");
}

#[test]
fn the_next_upstream_is_asked_whatever_the_first_one_sends() {
    let tcp_faults = |fault| vec![LabFault::everything().tcp(fault)];
    let cases: Vec<(&str, UpstreamTransport, Vec<LabFault>)> = vec![
        ("nothing", UpstreamTransport::Udp, vec![LabFault::everything().silent()]),
        ("SERVFAIL", UpstreamTransport::Udp, vec![LabFault::everything().rcode(ResponseCode::ServFail)]),
        ("REFUSED", UpstreamTransport::Udp, vec![LabFault::everything().rcode(ResponseCode::Refused)]),
        ("another ID", UpstreamTransport::Udp, vec![LabFault::everything().forge(AnswerForgery::Id)]),
        ("another question", UpstreamTransport::Udp, vec![LabFault::everything().forge(AnswerForgery::Question)]),
        ("garbage", UpstreamTransport::Udp, vec![LabFault::everything().forge(AnswerForgery::Garbage)]),
        ("half a message", UpstreamTransport::Udp, vec![LabFault::everything().forge(AnswerForgery::Cut)]),
        ("from another port", UpstreamTransport::Udp, vec![LabFault::everything().forge(AnswerForgery::Source)]),
        ("truncated, then a reset", UpstreamTransport::Udp, vec![LabFault::everything().truncate().tcp(TcpFault::Reset)]),
        ("a reset", UpstreamTransport::Tcp, tcp_faults(TcpFault::Reset)),
        ("a closed connection", UpstreamTransport::Tcp, tcp_faults(TcpFault::Close)),
        ("half an answer", UpstreamTransport::Tcp, tcp_faults(TcpFault::Half)),
        ("garbage over TCP", UpstreamTransport::Tcp, vec![LabFault::everything().forge(AnswerForgery::Garbage)]),
        ("another ID over TCP", UpstreamTransport::Tcp, vec![LabFault::everything().forge(AnswerForgery::Id)]),
        ("nothing over TCP", UpstreamTransport::Tcp, vec![LabFault::everything().silent()]),
    ];
    let tries = |what: &str, transport: UpstreamTransport, faults: Vec<LabFault>| {
        let (bad, good) = (lab(faults), lab(vec![]));
        let server = Server::start(&[(bad.address(), transport), udp(&good)], Duration::from_secs(3));
        assert!(is_right(&server.ask(WWW)), "{what}");
        assert_eq!(good.counters().asked(WWW, RecordType::A), 1, "{what}");
        assert!(bad.counters().asked(WWW, RecordType::A) >= 1, "{what}");
    };
    // Side by side: most of it is waiting, for as long as the good one may stand still.
    std::thread::scope(|scope| {
        for (what, transport, faults) in cases {
            scope.spawn(move || tries(what, transport, faults));
        }
    });
}

#[test]
fn a_forged_answer_that_comes_first_is_ignored_and_counted() {
    for forgery in [AnswerForgery::Id, AnswerForgery::Question, AnswerForgery::Source, AnswerForgery::Garbage] {
        let lab = lab(vec![LabFault::everything().forge(forgery).honest_too()]);
        let server = Server::start(&[udp(&lab)], LONG);
        assert!(is_right(&server.ask(WWW)), "{forgery:?}");
        assert_eq!(lab.counters().asked(WWW, RecordType::A), 1, "no second question: {forgery:?}");
        // A socket that is connected does not see what comes from elsewhere.
        let stray = if forgery == AnswerForgery::Source { 0 } else { 1 };
        assert!(server.status(lab.address()).stray >= stray, "{forgery:?}");
    }
}

/// An upstream on a socket of this test; it is handed each question and its sender.
fn scripted(upstream: impl FnMut(&UdpSocket, &[u8], SocketAddr) + Send + 'static) -> SocketAddr {
    scripted_on(UdpSocket::bind("127.0.0.1:0").unwrap(), upstream)
}

fn scripted_on(socket: UdpSocket, mut upstream: impl FnMut(&UdpSocket, &[u8], SocketAddr) + Send + 'static) -> SocketAddr {
    let address = socket.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut buffer = [0; 1500];
        while let Ok((length, from)) = postern_sockets::receive(&socket, &mut buffer) {
            upstream(&socket, &buffer[..length], from);
        }
    });
    address
}

/// The right answer to a question: one address.
fn right_answer(question: &[u8]) -> Vec<u8> {
    let mut message = question[..end_of_question(question)].to_vec(); // without OPT
    message[2] |= 0x80;
    message[4..12].copy_from_slice(&[0, 1, 0, 1, 0, 0, 0, 0]);
    message.extend_from_slice(b"\xc0\x0c\0\x01\0\x01\0\0\0\x3c\0\x04\xc6\x33\x64\x01");
    message
}

fn end_of_question(message: &[u8]) -> usize {
    12 + message[12..].iter().position(|octet| *octet == 0).unwrap() + 5
}

/// A socket and a listener with one port: one that is free for UDP may be in use for TCP.
fn on_one_port() -> (UdpSocket, std::net::TcpListener) {
    loop {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        if let Ok(listener) = std::net::TcpListener::bind(socket.local_addr().unwrap()) {
            return (socket, listener);
        }
    }
}

/// Answers one question over TCP, and leaves the connection open.
fn answer_one(listener: &std::net::TcpListener) -> std::net::TcpStream {
    use std::io::{Read, Write};
    let (mut connection, _) = listener.accept().unwrap();
    let mut length = [0; 2];
    connection.read_exact(&mut length).unwrap();
    let mut question = vec![0; usize::from(u16::from_be_bytes(length))];
    connection.read_exact(&mut question).unwrap();
    let answer = right_answer(&question);
    connection.write_all(&[&(answer.len() as u16).to_be_bytes()[..], &answer].concat()).unwrap();
    connection
}

#[test]
fn a_datagram_that_is_no_response_does_not_end_the_wait_for_the_answer() {
    let upstream = scripted(|socket, question, from| {
        let right = right_answer(question);
        for flags in [0x01, 0x29, 0xa9] {
            let mut other = right.clone(); // a query, a query of another opcode, a response of another opcode
            other[2] = flags;
            socket.send_to(&other, from).unwrap();
        }
        socket.send_to(&right, from).unwrap();
    });
    let server = Server::start(&[(upstream, UpstreamTransport::Udp)], LONG);
    assert!(is_right(&server.ask(WWW)));
    assert!(server.status(upstream).stray >= 3);
}

#[test]
fn wrong_ids_for_a_question_move_it_to_tcp_where_nobody_can_guess() {
    let guessed = Arc::new(AtomicBool::new(false));
    let (socket, listener) = on_one_port();
    let upstream = scripted_on(socket, {
        let guessed = guessed.clone();
        move |socket, question, from| {
            let right = right_answer(question);
            for guess in 1..=100 {
                let mut wrong = right.clone();
                wrong[..2].copy_from_slice(&u16::from_be_bytes([right[0], right[1]]).wrapping_add(guess).to_be_bytes());
                socket.send_to(&wrong, from).unwrap();
            }
            guessed.store(true, Ordering::Release);
        }
    });
    let server = Server::start(&[(upstream, UpstreamTransport::Udp)], LONG);
    let over_tcp = std::thread::spawn(move || answer_one(&listener));
    assert!(is_right(&server.ask(WWW)));
    assert!(guessed.load(Ordering::Acquire));
    over_tcp.join().unwrap();
}

#[test]
fn a_server_that_does_not_keep_the_letter_case_and_one_that_answers_twice_are_understood() {
    for fault in [LabFault::everything().forge(AnswerForgery::Case), LabFault::everything().duplicate(1.0)] {
        let lab = lab(vec![fault]);
        let server = Server::start(&[udp(&lab)], LONG);
        assert!(is_right(&server.ask(WWW)));
    }
}

#[test]
fn truncation_leads_to_tcp_at_the_same_upstream() {
    let lab = lab(vec![LabFault::everything().truncate()]);
    let server = Server::start(&[udp(&lab)], LONG);
    assert!(is_right(&server.ask(WWW)));
    let asked = lab.counters().of(WWW, RecordType::A);
    assert_eq!((asked.udp, asked.tcp), (1, 1));
    assert_eq!(server.status(lab.address()).truncated, 1);
}

#[test]
fn an_upstream_without_edns_is_asked_without() {
    for edns in [postern_lab::EdnsFault::Formerr, postern_lab::EdnsFault::Badvers, postern_lab::EdnsFault::Ignore] {
        let lab = lab(vec![LabFault::everything().edns(edns)]);
        let server = Server::start(&[udp(&lab)], LONG);
        assert!(is_right(&server.ask(WWW)), "{edns:?}");
    }
}

#[test]
fn many_questions_over_tcp_share_a_few_connections_and_survive_their_end() {
    let lab = lab(vec![]);
    let server = Server::start(&[tcp(&lab)], LONG);
    let mut client = Client::new(1000);
    for round in 0..2 {
        for id in 0..500 {
            server.submit(&client, id, &format!("n{round}x{id}.load.contoso.test"));
        }
        let mut ids: Vec<u16> =
            (0..500).map(|_| client.answer()).inspect(|message| assert!(is_right(message))).map(|message| message.metadata.id).collect();
        ids.sort_unstable();
        assert_eq!(ids, (0..500).collect::<Vec<u16>>());
    }
    let connections = lab.counters().tcp_connections;
    assert!((1..=CONNECTIONS as u64).contains(&connections), "{connections}");
    // The upstream closes once instead of answering: the question is asked again on another connection.
    lab.set(vec![LabFault::everything().tcp(TcpFault::Close).times(1)]);
    assert!(is_right(&server.ask("again.load.contoso.test")));
    assert_eq!(server.status(lab.address()).lost, 0);
}

#[test]
fn an_upstream_whose_port_is_closed_costs_no_time() {
    // Of an address at which nobody else opens the port meanwhile.
    let closed = UdpSocket::bind("127.0.53.9:0").unwrap().local_addr().unwrap();
    let good = lab(vec![]);
    for transport in [UpstreamTransport::Udp, UpstreamTransport::Tcp] {
        let server = Server::start(&[(closed, transport), udp(&good)], LONG);
        let start = Instant::now();
        for name in 0..5 {
            assert!(is_right(&server.ask(&format!("c{name}{transport:?}.load.contoso.test"))));
        }
        assert!(start.elapsed() < LONG, "not one timeout was waited for: {:?}", start.elapsed());
        server.until(|upstreams| {
            upstreams.iter().find(|status| (status.address, status.condition) == (closed, UpstreamCondition::Down)).map(drop)
        });
    }
}

#[test]
fn an_outage_ends_when_the_upstream_answers_again() {
    let lab = lab(vec![LabFault::everything().silent()]);
    let server = Server::start(&[udp(&lab)], Duration::from_millis(100));
    for name in 0..3 {
        assert_eq!(server.ask(&format!("d{name}.load.contoso.test")).metadata.response_code, ResponseCode::ServFail);
    }
    server.until(|upstreams| (upstreams.first()?.condition == UpstreamCondition::Down).then_some(()));
    lab.set(vec![]);
    let start = Instant::now();
    poll(|| is_right(&server.ask(&format!("e{:?}.load.contoso.test", start.elapsed().as_nanos()))).then_some(()));
    assert_eq!(server.status(lab.address()).condition, UpstreamCondition::Up);
}

#[test]
fn twenty_thousand_questions_to_a_silent_upstream_hold_up_nobody_and_end() {
    let (silent, good) = (lab(vec![LabFault::everything().silent()]), lab(vec![]));
    let server = Server::start(&[udp(&silent)], Duration::from_millis(1500));
    let other = Server::start(&[udp(&good)], LONG);
    let mut client = Client::new(20_000);
    let submitter = server.resolver.submitter();
    let before = resident();
    let mut refused = 0;
    for id in 0..20_000u16 {
        let reply = ReplyTo::Tcp(ReplySender::alone(client.sender.clone()));
        let name = format!("q{id}.contoso.test");
        refused += usize::from(submitter.submit(job(id, &name, "127.0.0.1:9".parse().unwrap(), reply, server.clock)).is_err());
        if id % 1000 == 0 {
            assert!(is_right(&other.ask(WWW)));
        }
    }
    let grown = resident().saturating_sub(before);
    let answers: Vec<Message> = (0..20_000 - refused).map(|_| client.answer()).collect();
    assert!(answers.iter().all(|answer| answer.metadata.response_code == ResponseCode::ServFail));
    assert!(client.answers.try_recv().is_err(), "no question is answered twice");
    assert!(grown < 150 << 20, "{} MiB", grown >> 20);
    println!("20,000 distinct questions: {} MiB, {refused} refused at the door", grown >> 20);
}

/// Resident memory of this process, octets.
fn resident() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    text.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
}

#[test]
fn s7_a_forward_to_our_own_listener_is_found_and_refused() {
    let listener = Arc::new(UdpSocket::bind("127.0.0.1:0").unwrap());
    listener.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    let server = Arc::new(Server::start(&[(listener.local_addr().unwrap(), UpstreamTransport::Udp)], LONG));
    let stop = Arc::new(AtomicBool::new(false));
    let worker = std::thread::spawn({
        let (server, listener, stop) = (server.clone(), listener.clone(), stop.clone());
        move || {
            let mut buffer = [0; 1500];
            while !stop.load(Ordering::Relaxed) {
                let Ok((length, client)) = listener.recv_from(&mut buffer) else { continue };
                let query = Message::from_vec(&buffer[..length]).unwrap();
                let reply = ReplyTo::Udp { socket: listener.clone(), local: None };
                server.resolver.submitter().submit(job_of(&query, client, reply, server.clock)).unwrap();
            }
        }
    });
    server.until(|upstreams| (upstreams.first()?.condition == UpstreamCondition::Loop).then_some(()));
    let start = Instant::now();
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut query = Message::new(5, MessageType::Query, OpCode::Query);
    query.add_query(Query::query(Name::from_ascii("www.contoso.test.").unwrap(), RecordType::A)).set_edns(Edns::new());
    client.send_to(&query.to_vec().unwrap(), listener.local_addr().unwrap()).unwrap();
    let mut buffer = [0; 1500];
    let (length, _) = postern_sockets::receive(&client, &mut buffer).unwrap();
    assert_eq!(Message::from_vec(&buffer[..length]).unwrap().metadata.response_code, ResponseCode::ServFail);
    assert!(start.elapsed() < LONG, "no timeout was waited for");
    stop.store(true, Ordering::Relaxed);
    worker.join().unwrap();
}

#[test]
fn what_waits_is_answered_when_the_server_stops() {
    let lab = lab(vec![LabFault::everything().silent()]);
    let server = Server::start(&[udp(&lab)], LONG);
    let mut client = Client::new(100);
    for id in 0..100 {
        server.submit(&client, id, &format!("s{id}.contoso.test"));
    }
    poll(|| (lab.counters().questions() >= 100).then_some(()));
    server.resolver.stop(Duration::from_millis(50));
    assert!((0..100).all(|_| client.answer().metadata.response_code == ResponseCode::ServFail));
}
