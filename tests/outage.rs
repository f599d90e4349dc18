//! An upstream that never answers, and twenty thousand questions for it: private names and other routes do not notice, memory is bounded,
//! and what finds no room is told so at once.

mod harness;

use std::collections::HashMap;
use std::net::UdpSocket;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use harness::{PATIENCE, PATIENT_FORWARD, Server, extended_error, query};
use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::RecordType::A;
use postern_lab::{LabScenario, LabServer};

/// Distinct questions, and the clients that ask them: few a client, so that no client's receive buffer can overflow.
const QUESTIONS: usize = 20_000;
const CLIENTS: usize = 200;
const EACH: usize = QUESTIONS / CLIENTS;

/// How long whoever waits for the silent upstream does so at least: longer than asking takes, unless the machine is very slow.
const WAITS: Duration = Duration::from_secs(30);

/// One flood at a time: each has the machine for itself, and is over before anybody has waited long enough.
static MACHINE: Mutex<()> = Mutex::new(());

/// A server between a silent upstream for everything and one that answers for `load.contoso.test`.
struct Outage {
    server: Server,
    _silent: UdpSocket,
    _answers: LabServer,
    _machine: MutexGuard<'static, ()>,
}

impl Outage {
    /// `in_flight` questions may be outstanding at the silent upstream, and as many wait for that.
    fn new(in_flight: usize, pending: usize) -> Self {
        let machine = MACHINE.lock().unwrap_or_else(PoisonError::into_inner);
        let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
        let answers = LabServer::start(LabScenario::azure(), "127.0.0.1:0".parse().unwrap()).unwrap();
        let (dead, live) = (silent.local_addr().unwrap(), answers.address());
        let config = format!(
            "[server]\nlisten = ['127.0.0.1:0']\ndrain = '0'\n\n[limits]\npending = {pending}\nquery-deadline = '60s'\n\n\
             [[zone]]\nname = 'privatelink.blob.core.windows.net'\nfile = 'blob.zone'\n\n\
             [[forward]]\nzone = '.'\nupstreams = [{{ address = '{dead}', in-flight = {in_flight} }}]\ntimeout = '{}s'\n\n\
             [[forward]]\nzone = 'load.contoso.test'\nupstreams = ['{live}']\n{PATIENT_FORWARD}",
            WAITS.as_secs()
        );
        let server = Server::with(&[("postern.toml", &config), ("blob.zone", "contosostorea 10 IN A 10.20.3.4\n")]);
        Self { server, _silent: silent, _answers: answers, _machine: machine }
    }
}

/// A client with a socket of its own; its questions are asked once and are told apart by their IDs.
struct Client {
    socket: UdpSocket,
    next: u16,
    /// Questions for the silent upstream that have no answer yet.
    waiting: HashMap<u16, String>,
}

/// EDE code and text for a question that finds no room.
const NO_ROOM: (u16, &str) = (14, "too many questions wait for upstreams");
/// EDE codes and texts for a question that waited in vain, and for one whose upstream or domain is known to be silent.
const GIVEN_UP: [(u16, &str); 2] = [(22, "no upstream answered"), (22, "upstreams do not answer questions for this domain")];

/// What came of everything so far.
#[derive(Default)]
struct Tally {
    private: Vec<Duration>,
    other: Vec<Duration>,
    refused: usize,
    /// Were not asked, because the silence of the upstream was known by then: only if asking takes seconds.
    given_up: usize,
}

impl Client {
    fn new(outage: &Outage) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.connect(outage.server.address).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { socket, next: 0, waiting: HashMap::new() }
    }

    fn send(&mut self, name: &str) -> u16 {
        self.next += 1;
        let mut message = query(name, A);
        message.metadata.id = self.next;
        self.socket.send(&message.to_vec().unwrap()).unwrap();
        self.next
    }

    fn flood(&mut self, number: usize) {
        for question in 0..EACH {
            let name = format!("host-{question}.client-{number}.silent.test");
            let id = self.send(&name);
            self.waiting.insert(id, name);
        }
    }

    /// The next answer.
    fn receive(&self) -> Message {
        let mut buffer = [0; 4096];
        let (length, _) = postern_sockets::receive(&self.socket, &mut buffer).unwrap_or_else(|error| panic!("no answer: {error}"));
        Message::from_vec(&buffer[..length]).expect("a message that can be read")
    }

    /// Asks for a name whose answer does not wait for the silent upstream; meanwhile others may come in.
    fn ask(&mut self, name: &str, want: &str, tally: &mut Tally) -> Duration {
        let (start, id) = (Instant::now(), self.send(name));
        loop {
            let answer = self.receive();
            if answer.metadata.id == id {
                assert_eq!(harness::short(&answer).last().map(String::as_str), Some(want), "{name}: {answer}");
                return start.elapsed();
            }
            if extended_error(&answer).is_some_and(|(code, _)| code == NO_ROOM.0) {
                self.refused(&answer, &[NO_ROOM]);
                tally.refused += 1;
            } else {
                self.refused(&answer, &GIVEN_UP);
                tally.given_up += 1;
            }
        }
    }

    /// A question for the silent upstream has its answer: SERVFAIL, which says why.
    fn refused(&mut self, answer: &Message, why: &[(u16, &str)]) {
        let name = self.waiting.remove(&answer.metadata.id).expect("an answer to a question that waits");
        assert_eq!(answer.queries[0].name().to_string(), format!("{name}."));
        assert_eq!(answer.metadata.response_code, ResponseCode::ServFail, "{answer}");
        let told = extended_error(answer);
        assert!(why.iter().any(|(code, text)| told == Some((*code, (*text).to_owned()))), "{answer}");
    }
}

/// Twenty thousand questions that nobody answers, and two between each hundred of them that somebody does.
fn flood(outage: &Outage) -> (Vec<Client>, Tally) {
    let before = outage.server.resident();
    let mut tally = Tally::default();
    let mut clients: Vec<Client> = (0..CLIENTS).map(|_| Client::new(outage)).collect();
    for (number, client) in clients.iter_mut().enumerate() {
        client.flood(number);
        // Behind the hundred, in the same socket: when this is answered, they have all been taken.
        let took = client.ask("contosostorea.privatelink.blob.core.windows.net", "10.20.3.4", &mut tally);
        tally.private.push(took);
        let took = client.ask(&format!("host-{number}.load.contoso.test"), "203.0.113.90", &mut tally);
        tally.other.push(took);
    }
    let grown = outage.server.resident().saturating_sub(before);
    let waiting: usize = clients.iter().map(|client| client.waiting.len()).sum();
    println!(
        "{QUESTIONS} questions for a silent upstream: {} refused at once, {waiting} wait, {} no longer",
        tally.refused, tally.given_up
    );
    println!("memory before {} kB, now {} kB more", before >> 10, grown >> 10);
    println!("private names meanwhile {}", distribution(&mut tally.private));
    println!("another route, cold     {}", distribution(&mut tally.other));
    // Measured: 1.5 kB a question that waits.
    assert!(grown < 4096 * QUESTIONS as u64, "{grown} octets for {waiting} questions that wait");
    (clients, tally)
}

fn distribution(times: &mut [Duration]) -> String {
    times.sort();
    let at = |share: usize| times[(times.len() * share / 100).min(times.len() - 1)];
    format!("p50 {:.1?}, p90 {:.1?}, p99 {:.1?}, most {:.1?}", at(50), at(90), at(99), at(100))
}

/// The server goes: whoever waits is told. So each question had exactly one answer.
fn stop(mut outage: Outage, clients: Vec<Client>) {
    outage.server.signal("TERM");
    for mut client in clients {
        while !client.waiting.is_empty() {
            let answer = client.receive();
            client.refused(&answer, &GIVEN_UP);
        }
    }
    let status = outage.server.wait(); // a second signal would be another one
    assert_eq!(status.code(), Some(0), "{}", outage.server.log().join("\n"));
}

#[test]
fn with_a_silent_upstream_what_finds_no_room_is_told_so_and_nothing_else_waits() {
    let outage = Outage::new(1000, 10_000); // the defaults
    let (clients, tally) = flood(&outage);
    // A route has half of the places if there are others.
    assert!(tally.refused + tally.given_up >= QUESTIONS - 5000, "{} refused", tally.refused);
    assert!(tally.refused < QUESTIONS, "what has room waits");
    stop(outage, clients);
}

#[test]
fn twenty_thousand_questions_that_all_wait_delay_nothing_and_cost_bounded_memory() {
    let outage = Outage::new(11_000, 60_000); // of several routes, each has half of the room
    let (clients, tally) = flood(&outage);
    assert_eq!(tally.refused, 0, "there is room for all");
    stop(outage, clients);
}
