//! Reloads under load: every question is answered, once it is asked once, and no answer is made of two versions.
//!
//! Each version names itself everywhere: in the addresses, in the target of an alias that leads from one file's zone into another's, in
//! texts, and in the server's NSID, which is the configuration's. All files are swapped together, so an answer that mixes versions of
//! records, of files, or of records and configuration gives itself away. `POSTERN_RELOADS` says how many reloads (50).

mod harness;

use std::collections::HashMap;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Instant;

use harness::{PATIENCE, PATIENT_FORWARD, Server, eventually, postern, query, write_files};
use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::rdata::opt::{EdnsCode, EdnsOption};
use hickory_proto::rr::{RData, Record, RecordType};
use postern_lab::{LabScenario, LabServer};

/// Questions that each client has under way, from the moment it starts to its end.
const WINDOW: usize = 16;
const UDP_CLIENTS: usize = 3;
/// The configuration changes with every so many versions.
const CONFIGURED: u32 = 10;

/// What is asked, and how many records of ANSWER and ADDITIONAL a whole answer has.
const QUESTIONS: [(&str, RecordType, usize, usize); 5] = [
    ("entry.contoso.test", RecordType::A, 2, 0),     // an alias from one private zone into another
    ("set.contoso.test", RecordType::A, 8, 0),       // one RRset
    ("version.contoso.test", RecordType::TXT, 4, 0), // texts
    ("mail.fabrikam.test", RecordType::MX, 1, 1),    // a target with its address in ADDITIONAL
    ("shop.tailspin.test", RecordType::A, 3, 0),     // a public alias, spliced
];

fn reloads() -> u32 {
    std::env::var("POSTERN_RELOADS").ok().map_or(50, |number| number.parse().expect("POSTERN_RELOADS is a number"))
}

/// Writes the files of a version; gives the name of their directory.
fn version(volume: &Path, version: u32, upstream: SocketAddr) -> String {
    let [_, _, high, low] = version.to_be_bytes();
    let data = format!("..{version}");
    let config = format!(
        "[server]\nlisten = ['127.0.0.1:0']\npoll = '1h'\nnsid = 'v{}'\n\n[[zone]]\nname = 'contoso.test'\nfile = 'contoso.zone'\n\n\
         [[zone]]\nname = 'fabrikam.test'\nfile = 'fabrikam.zone'\n\n[[forward]]\nzone = '.'\nupstreams = ['{upstream}']\n{PATIENT_FORWARD}\
         [limits]\nquery-deadline = '30s'\n",
        configured(version)
    );
    let mut contoso = format!("$TTL 60\nentry CNAME host-{version}.fabrikam.test.\n");
    for number in 1..=8 {
        contoso += &format!("set A 10.{high}.{low}.{number}\n");
    }
    for part in ["a", "b", "c", "d"] {
        contoso += &format!("version TXT v{version} {part}\n");
    }
    let fabrikam = format!("$TTL 60\nhost-{version} A 10.{high}.{low}.1\nmail MX 10 host-{version}\n");
    for (name, text) in [("postern.toml", &config), ("contoso.zone", &contoso), ("fabrikam.zone", &fabrikam)] {
        write_files(volume, &[(&format!("{data}/{name}"), text)]);
    }
    data
}

/// The version of the configuration that goes with a version of the records.
fn configured(version: u32) -> u32 {
    version - version % CONFIGURED
}

/// What all clients know.
struct Shared {
    address: SocketAddr,
    /// The newest version that anybody was answered with: whoever asks from then on gets no older one.
    newest: AtomicU32,
    answers: AtomicU64,
    over: AtomicBool,
}

/// Dropped, also by a panic, it ends the clients.
struct Over<'s>(&'s AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Shared {
    /// The version of an answer, which is whole and of one version.
    fn check(&self, question: usize, floor: u32, answer: &[u8]) {
        let message = Message::from_vec(answer).expect("a message that can be read");
        let (name, rtype, answers, additionals) = QUESTIONS[question];
        assert_eq!(message.metadata.response_code, ResponseCode::NoError, "{message}");
        assert!(!message.metadata.truncation && message.queries[0].query_type() == rtype, "{message}");
        assert_eq!((message.answers.len(), message.additionals.len()), (answers, additionals), "{name} {rtype}: {message}");
        let mut versions: Vec<u32> = message.answers.iter().chain(&message.additionals).flat_map(versions).collect();
        versions.dedup();
        assert_eq!(versions.len(), 1, "a mixed answer: {message}");
        let edns = message.edns.as_ref().expect("EDNS");
        let Some(EdnsOption::NSID(nsid)) = edns.option(EdnsCode::NSID) else { panic!("no NSID: {message}") };
        assert_eq!(nsid.as_ref(), format!("v{}", configured(versions[0])).as_bytes(), "another configuration's: {message}");
        assert!(versions[0] >= floor, "version {} after {floor}: {message}", versions[0]);
        self.newest.fetch_max(versions[0], Ordering::SeqCst);
        self.answers.fetch_add(1, Ordering::Relaxed);
    }
}

/// The versions that a record names.
fn versions(record: &Record) -> Vec<u32> {
    let of_name = |name: String| name.strip_prefix("host-").and_then(|rest| rest.split('.').next()?.parse().ok()).into_iter().collect();
    match &record.data {
        RData::A(address) => vec![u32::from(address.octets()[1]) << 8 | u32::from(address.octets()[2])],
        RData::CNAME(target) => of_name(target.to_string()), // `entry.contoso.test`, the public alias, names none
        RData::MX(mx) => of_name(mx.exchange.to_string()),
        RData::TXT(text) => vec![String::from_utf8_lossy(&text.txt_data[0])[1..].parse().unwrap()],
        other => panic!("{other}"),
    }
}

/// The questions of one client that are under way, by ID.
struct Window {
    messages: Vec<Vec<u8>>,
    /// Which question, and the newest version known when it was asked.
    under_way: HashMap<u16, (usize, u32)>,
    next: u16,
}

impl Window {
    fn new() -> Self {
        let message = |(name, rtype, ..): &(&str, RecordType, usize, usize)| {
            let mut message = query(name, *rtype);
            message.edns.as_mut().unwrap().options_mut().insert(EdnsOption::Unknown(3, Vec::new()));
            message.to_vec().unwrap()
        };
        Self { messages: QUESTIONS.iter().map(message).collect(), under_way: HashMap::new(), next: 0 }
    }

    /// The next question, which is asked once.
    fn ask(&mut self, shared: &Shared) -> &[u8] {
        self.next = self.next.wrapping_add(1);
        let question = usize::from(self.next) % QUESTIONS.len();
        let floor = shared.newest.load(Ordering::SeqCst);
        assert!(self.under_way.insert(self.next, (question, floor)).is_none(), "an ID comes again before its answer");
        self.messages[question][..2].copy_from_slice(&self.next.to_be_bytes());
        &self.messages[question]
    }

    fn answered(&mut self, shared: &Shared, answer: &[u8]) {
        let id = u16::from_be_bytes([answer[0], answer[1]]);
        let (question, floor) = self.under_way.remove(&id).expect("an answer to a question that is under way");
        shared.check(question, floor, answer);
    }

    fn is_full(&self, shared: &Shared) -> bool {
        self.under_way.len() >= WINDOW || shared.over.load(Ordering::Relaxed)
    }
}

/// Asks over UDP until it is over, never twice, and waits for every answer.
fn ask_over_udp(shared: &Shared) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(shared.address).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let (mut window, mut buffer) = (Window::new(), [0; 4096]);
    loop {
        while !window.is_full(shared) {
            socket.send(window.ask(shared)).unwrap();
        }
        if window.under_way.is_empty() {
            return;
        }
        let (length, _) =
            postern_sockets::receive(&socket, &mut buffer).unwrap_or_else(|error| panic!("lost: {:?}: {error}", window.under_way));
        window.answered(shared, &buffer[..length]);
    }
}

/// The same over one TCP connection.
fn ask_over_tcp(shared: &Shared) {
    let mut stream = TcpStream::connect(shared.address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_nodelay(true).unwrap();
    let (mut window, mut buffer) = (Window::new(), [0; 4096]);
    loop {
        while !window.is_full(shared) {
            let message = window.ask(shared);
            stream.write_all(&[&(message.len() as u16).to_be_bytes()[..], message].concat()).unwrap();
        }
        if window.under_way.is_empty() {
            return;
        }
        let mut length = [0; 2];
        stream.read_exact(&mut length).unwrap_or_else(|error| panic!("lost: {:?}: {error}", window.under_way));
        let length = usize::from(u16::from_be_bytes(length));
        stream.read_exact(&mut buffer[..length]).unwrap();
        window.answered(shared, &buffer[..length]);
    }
}

/// Reloads that no change of the configuration file made, so that SIGHUP did. One that finds the file changed takes the change with it.
fn by_signal(server: &Server) -> usize {
    let log = server.log();
    let count = |words: &str| log.iter().filter(|line| line.contains(words)).count();
    count("postern: reloaded").saturating_sub(count("postern: changed file="))
}

#[test]
fn reloads_under_load_lose_no_question_and_mix_no_answer() {
    let public = LabScenario::empty()
        .record("tailspin.test 1 SOA ns.tailspin.test. host.tailspin.test. 1 3600 600 86400 1")
        .record("shop.tailspin.test 1 CNAME entry.contoso.test")
        .record("entry.contoso.test 1 A 203.0.113.66");
    let lab = LabServer::start(public, "127.0.0.1:0".parse().unwrap()).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let volume = directory.path().to_path_buf();
    symlink(version(&volume, 0, lab.address()), volume.join("..data")).unwrap();
    for name in ["postern.toml", "contoso.zone", "fabrikam.zone"] {
        symlink(format!("..data/{name}"), volume.join(name)).unwrap();
    }
    let command = postern(&["serve", "-c", volume.join("postern.toml").to_str().unwrap()]);
    let server = Server::spawn(command, volume.clone(), Some(directory));
    let shared = Shared { address: server.address, newest: AtomicU32::new(0), answers: AtomicU64::new(0), over: AtomicBool::new(false) };
    let start = Instant::now();
    let reloads = reloads();
    std::thread::scope(|scope| {
        let over = Over(&shared.over);
        let mut clients: Vec<_> = (0..UDP_CLIENTS).map(|_| scope.spawn(|| ask_over_udp(&shared))).collect();
        clients.push(scope.spawn(|| ask_over_tcp(&shared)));
        let mut signals = 0;
        for number in 1..=reloads {
            if number % CONFIGURED == 0 || number % 7 == 0 {
                // SIGHUP reads the configuration and then the zones: it must not fall on both sides of a swap of both. Nor is one that
                // comes during another a second one.
                eventually("SIGHUP is done", || (by_signal(&server) >= signals).then_some(()));
            }
            symlink(version(&volume, number, lab.address()), volume.join("..data_tmp")).unwrap();
            fs::rename(volume.join("..data_tmp"), volume.join("..data")).unwrap();
            if number % 7 == 0 {
                server.signal("HUP"); // beside the event, and beside the next swap
                signals += 1;
            }
            eventually(&format!("version {number} is served"), || {
                assert!(!clients.iter().any(|client| client.is_finished()), "a client gave up");
                (shared.newest.load(Ordering::SeqCst) >= number).then_some(())
            });
            fs::remove_dir_all(volume.join(format!("..{}", number - 1))).unwrap();
        }
        drop(over);
    });
    let (answers, took) = (shared.answers.into_inner(), start.elapsed());
    println!(
        "{reloads} reloads in {took:.1?}, {answers} questions ({:.0} a second), none lost, none mixed",
        answers as f64 / took.as_secs_f64()
    );
    assert!(answers > u64::from(reloads));
    let (status, log) = server.stop();
    assert_eq!(status.code(), Some(0));
    let bad: Vec<&String> = log.iter().filter(|line| line.contains("ERROR")).collect();
    assert!(bad.is_empty(), "{bad:?}");
}
