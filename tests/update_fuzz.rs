//! Updates and signatures with octets changed: the server goes on, and nothing changes that nobody signed.
//!
//! `POSTERN_MUTATIONS` says how many, for each of the tests; `POSTERN_SEED` where the numbers start.

mod harness;
mod mutation;

use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::path::Path;
use std::time::Duration;

use harness::{PATIENCE, Server};
use hickory_proto::rr::RecordType::{A, SOA};
use mutation::{Numbers, mutate};
use postern_control::tsig::{Keyring, Signer, TsigKey, find};

const KEYS: &str = "
[[key]]
name = 'all'
secret = 'c2VjcmV0'
allow = ['update', 'query']
[[key]]
name = 'little'
secret = 'c2VjcmV0'
allow = ['update']
names = ['*.little.corp.contoso.com']
types = ['TXT']
";

/// `all` as somebody has it who does not know its secret.
const GUESSED: &str = "[[key]]\nname = 'all'\nsecret = 'Z3Vlc3M='\nallow = ['update']\n";

fn server() -> Server {
    let config = format!(
        "[server]\nlisten = ['127.0.0.1:0']\nworkers = 1\n[[zone]]\nname = 'corp.contoso.com'\napi = true\non-missing = 'nxdomain'\n{KEYS}"
    );
    Server::with(&[("postern.toml", &config)])
}

fn keyring(text: &str) -> Keyring {
    Keyring::new(&postern_config::parse(text, Path::new("t.toml")).unwrap().config)
}

fn key(text: &str, name: &str) -> std::sync::Arc<TsigKey> {
    keyring(text).key(name).unwrap()
}

fn mutations() -> u64 {
    std::env::var("POSTERN_MUTATIONS").map_or(3_000, |count| count.parse().unwrap())
}

fn name(text: &str) -> Vec<u8> {
    let labels = text.split('.').flat_map(|label| [&[label.len() as u8], label.as_bytes()].concat());
    labels.chain([0]).collect()
}

fn record(owner: &str, rtype: u16, class: u16, ttl: u32, rdata: &[u8]) -> Vec<u8> {
    let fixed = [&rtype.to_be_bytes()[..], &class.to_be_bytes(), &ttl.to_be_bytes(), &(rdata.len() as u16).to_be_bytes()].concat();
    [name(owner), fixed, rdata.to_vec()].concat()
}

/// Updates of many forms; each would change the zone, if it were made.
fn updates() -> Vec<Vec<u8>> {
    let message = |prerequisites: &[Vec<u8>], updates: &[Vec<u8>]| {
        let header = [0x12, 0x34, 0x28, 0, 0, 1, 0, prerequisites.len() as u8, 0, updates.len() as u8, 0, 0];
        [header.to_vec(), name("corp.contoso.com"), vec![0, 6, 0, 1], prerequisites.concat(), updates.concat()].concat()
    };
    let www = "www.corp.contoso.com";
    let little = "a.little.corp.contoso.com";
    let soa = [name("ns.corp.contoso.com"), name("h.corp.contoso.com"), vec![0xff; 20]].concat();
    vec![
        message(&[], &[record("new.corp.contoso.com", 1, 1, 60, &[10, 9, 9, 9])]),
        message(&[record(www, 1, 255, 0, &[])], &[record(www, 1, 255, 0, &[]), record(www, 1, 1, 60, &[10, 9, 9, 9])]),
        message(&[record(www, 1, 1, 0, &[10, 0, 0, 1])], &[record(www, 1, 254, 0, &[10, 0, 0, 1])]),
        message(&[record(www, 255, 255, 0, &[])], &[record(www, 255, 255, 0, &[]), record(www, 5, 1, 60, &name("x.contoso.com"))]),
        message(&[record("no.corp.contoso.com", 255, 254, 0, &[])], &[record("corp.contoso.com", 6, 1, 60, &soa)]),
        message(&[], &[record(little, 16, 1, 60, b"\x05token"), record(little, 16, 255, 0, &[])]),
        message(&[], &[record(little, 255, 255, 0, &[]), record(little, 16, 1, 60, b"\x05token\x05again")]),
    ]
}

/// Sends messages and waits, now and then, until all of them were seen to.
struct Sender {
    server: SocketAddr,
    socket: UdpSocket,
    sent: usize,
}

impl Sender {
    fn new(server: &Server) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.connect(server.address).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { server: server.address, socket, sent: 0 }
    }

    fn send(&mut self, message: &[u8]) {
        self.sent += 1;
        if self.sent.is_multiple_of(20) {
            use std::io::Write;
            let mut stream = TcpStream::connect_timeout(&self.server, PATIENCE).unwrap();
            let framed = [&(message.len() as u16).to_be_bytes()[..], message].concat();
            let _ = stream.write_all(&framed); // a connection with nonsense is closed
            let _ = stream.shutdown(std::net::Shutdown::Write);
            let _ = std::io::copy(&mut stream, &mut std::io::sink());
        } else {
            let _ = self.socket.send(message);
        }
        if self.sent.is_multiple_of(32) {
            self.settle();
        }
    }

    /// Behind an unsigned update, which is refused, everything before it was taken from the queue.
    fn settle(&mut self) {
        let mut last = updates().remove(0);
        let id = (self.sent as u16) | 0x8000;
        last[..2].copy_from_slice(&id.to_be_bytes());
        self.socket.send(&last).unwrap();
        let mut buffer = [0; 2048];
        loop {
            let (length, _) = postern_sockets::receive(&self.socket, &mut buffer).expect("the server is alive");
            if buffer[..2] == id.to_be_bytes() && length > 12 {
                return;
            }
        }
    }
}

fn now() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::SystemTime::UNIX_EPOCH).unwrap().as_secs()
}

fn start() -> (Server, Sender, Vec<String>) {
    let server = server();
    let mut message = updates().remove(0);
    let at = message.len() - 14 - "new.corp.contoso.com".len() - 2;
    message.truncate(at);
    message.extend(record("www.corp.contoso.com", 1, 1, 60, &[10, 0, 0, 1]));
    Signer::begin(key(KEYS, "all"), &mut message, now());
    let mut sender = Sender::new(&server);
    sender.socket.send(&message).unwrap();
    server.becomes("www.corp.contoso.com", A, &["10.0.0.1"]);
    sender.settle();
    let soa = server.short("corp.contoso.com", SOA);
    (server, sender, soa)
}

fn went_on(server: &Server) {
    std::thread::sleep(Duration::from_millis(200)); // what was taken from the queue last
    assert_eq!(server.short("www.corp.contoso.com", A), ["10.0.0.1"]);
    let panics: Vec<String> = server.log().into_iter().filter(|line| line.contains("panic")).collect();
    assert!(panics.is_empty(), "{panics:?}");
}

#[test]
fn nothing_changes_by_a_message_that_was_changed_after_it_was_signed() {
    let (server, mut sender, soa) = start();
    let mut numbers = Numbers::new();
    let updates = updates();
    let (known, guessed) = (key(KEYS, "all"), key(GUESSED, "all"));
    for number in 0..mutations() {
        let mut message = updates[numbers.below(updates.len())].clone();
        match number % 3 {
            // Signed, and then changed somewhere behind the ID and before the record of the signature, or in its MAC.
            0 => {
                Signer::begin(known.clone(), &mut message, now());
                let record = find(&message).unwrap().unwrap();
                let mac = message.len() - 6 - record.mac.len();
                let places: Vec<usize> = (2..record.start).chain(mac..mac + record.mac.len()).collect();
                message[places[numbers.below(places.len())]] ^= 1 << numbers.below(8);
            }
            // Signed with a secret that is not the server's, and changed anywhere.
            1 => {
                Signer::begin(guessed.clone(), &mut message, now());
                mutate(&mut message, &mut numbers);
            }
            // Not signed at all.
            _ => mutate(&mut message, &mut numbers),
        }
        sender.send(&message);
    }
    sender.settle();
    went_on(&server);
    assert_eq!(server.short("corp.contoso.com", SOA), soa, "not one change");
}

#[test]
fn whatever_a_key_signs_changes_no_more_than_its_policy_says() {
    let (server, mut sender, soa) = start();
    let mut numbers = Numbers::new();
    let updates = updates();
    let little = key(KEYS, "little");
    for _ in 0..mutations() {
        let mut message = updates[numbers.below(updates.len())].clone();
        mutate(&mut message, &mut numbers);
        message[2] &= 0x7f; // a response is not looked at
        Signer::begin(little.clone(), &mut message, now());
        sender.send(&message);
    }
    sender.settle();
    went_on(&server);
    assert_eq!(server.short("new.corp.contoso.com", A), ["NXDOMAIN"]);
    assert_ne!(server.short("corp.contoso.com", SOA), soa, "some were good, and made");
}
