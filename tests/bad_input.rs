//! Messages that are no good questions, sent to the real program over UDP and TCP: each kind gets its RCODE or silence, none of them
//! harms it. `--nocapture` prints the tables and the memory.

mod harness;

use std::collections::HashMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use harness::{PATIENCE, PATIENT_FORWARD, Server};
use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::RecordType::A;
use lab::{Lab, Scenario};

/// A message, what it is, and what comes back: RCODE, ` question` where the question is given back, ` opt` where OPT is; or `silence`.
struct Case {
    what: String,
    packet: Vec<u8>,
    want: &'static str,
}

fn case(what: impl Into<String>, packet: Vec<u8>, want: &'static str) -> Case {
    Case { what: what.into(), packet, want }
}

const HEADER: usize = 12;
const ID: [u8; 2] = [0xab, 0xcd];
const NAME: &[u8] = b"\x0fcontosows-fhir1\x04fhir\x0bprivatelink\x13azurehealthcareapis\x03com\0";
/// OPT: 1232 octets, version 0.
const OPT: &[u8] = b"\0\0\x29\x04\xd0\0\0\0\0\0\0";
/// OPT with NSID.
const OPT_NSID: &[u8] = b"\0\0\x29\x04\xd0\0\0\0\0\0\x04\0\x03\0\0";
/// An address record whose owner is a pointer to the question.
const RECORD: &[u8] = b"\xc0\x0c\0\x01\0\x01\0\0\0\x3c\0\x04\x0a\x14\x01\x05";
const TSIG: &[u8] = b"\x03key\0\0\xfa\0\xff\0\0\0\0\0\x21\x0bhmac-sha256\0\0\0\x69\x22\0\0\x01\x2c\0\x04MAC!\xab\xcd\0\0\0\0";

fn question(name: &[u8], rtype: u16, class: u16) -> Vec<u8> {
    [name, &rtype.to_be_bytes(), &class.to_be_bytes()].concat()
}

/// Our FHIR service's address.
fn fhir() -> Vec<u8> {
    question(NAME, 1, 1)
}

fn message(flags: u16, counts: [u16; 4], parts: &[&[u8]]) -> Vec<u8> {
    let mut octets = ID.to_vec();
    octets.extend_from_slice(&flags.to_be_bytes());
    octets.extend(counts.iter().flat_map(|count| count.to_be_bytes()));
    octets.extend(parts.concat());
    octets
}

/// A good question under an ID of its own: once it is answered, whatever came before it on the same socket was too, or never will be.
fn sentinel(id: u16) -> Vec<u8> {
    let mut packet = message(0x0100, [1, 0, 0, 0], &[&fhir()]);
    packet[..2].copy_from_slice(&id.to_be_bytes());
    packet
}

struct World {
    server: Server,
    /// Where the rest is forwarded to.
    _public: Lab,
}

fn world() -> World {
    let public = Lab::start(Scenario::azure(), "127.0.0.1:0".parse().unwrap()).unwrap();
    let config = format!(
        "[server]\nlisten = ['127.0.0.1:0']\nworkers = 2\nnsid = 'hub-dns-1'\n\n[[zone]]\nname = 'privatelink.azurehealthcareapis.com'\n\
         file = 'x.zone'\n\n[[forward]]\nzone = '.'\nupstreams = ['{}']\n{PATIENT_FORWARD}\n[limits]\nquery-deadline = '30s'\n\n\
         [cache]\nsize = '1MiB'\nstale-after = '10s'\n\n[fallback]\nfile = 'fallback.jsonl'\n\
         rotate = '1MiB'\nkeep = 1\nledger = 1000\n",
        public.address()
    );
    let zone = "contosows-fhir1.fhir 10 IN A 10.20.1.5\n";
    World { server: Server::with(&[("postern.toml", &config), ("x.zone", zone)]), _public: public }
}

impl World {
    /// It answers right over both transports, nothing panicked, and nothing was logged as an error.
    fn is_well(&self) {
        let name = "contosows-fhir1.fhir.azurehealthcareapis.com";
        let want = ["contosows-fhir1.fhir.privatelink.azurehealthcareapis.com.", "10.20.1.5"];
        assert_eq!(self.server.short(name, A), want);
        assert_eq!(harness::short(&self.server.ask_tcp(name, A)), want);
        assert_eq!(self.server.short("www.contoso.test", A), ["203.0.113.80"]);
        let bad: Vec<String> = self.server.log().into_iter().filter(|line| line.contains("panic") || line.contains(" ERROR ")).collect();
        assert_eq!(bad, Vec::<String>::new());
    }

    /// Octets of memory that it has.
    fn resident(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.server.pid())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() << 10
    }
}

/// What an answer says, after everything that must be so whatever was asked.
fn seen(packet: &[u8], answer: &[u8], datagram: bool) -> String {
    let why = || format!("\n  asked {}\n  told  {}", packet.escape_ascii(), answer.escape_ascii());
    let message = Message::from_vec(answer).unwrap_or_else(|error| panic!("{error}: no client can read it{}", why()));
    assert_eq!(answer[..2], packet[..2], "ID{}", why());
    // QR; the client's opcode; Z clear. RD and CD are the client's, no more than that.
    assert_eq!(answer[2] & 0xf8, 0x80 | packet[2] & 0x78, "opcode{}", why());
    assert_eq!(answer[3] & 0x40, 0, "Z{}", why());
    assert_eq!((answer[2] & 1, answer[3] & 0x10), (packet[2] & 1, packet[3] & 0x10), "RD and CD{}", why());
    if datagram {
        assert!(answer.len() <= if message.edns.is_some() { 1232 } else { 512 }, "{} octets{}", answer.len(), why());
    }
    let mut text = match message.metadata.response_code {
        ResponseCode::NoError => "NOERROR".to_owned(),
        ResponseCode::FormErr => "FORMERR".into(),
        ResponseCode::ServFail => "SERVFAIL".into(),
        ResponseCode::NXDomain => "NXDOMAIN".into(),
        ResponseCode::NotImp => "NOTIMP".into(),
        ResponseCode::Refused => "REFUSED".into(),
        ResponseCode::NotAuth => "NOTAUTH".into(),
        other if u16::from(other) == 16 => "BADVERS".into(),
        other => panic!("{other}{}", why()),
    };
    if answer[4..6] != [0, 0] {
        let mut end = HEADER;
        while answer[end] != 0 {
            end += 1 + usize::from(answer[end]);
        }
        assert!(packet.starts_with(&[&packet[..HEADER], &answer[HEADER..end + 5]].concat()), "question{}", why());
        text += " question";
    }
    if let Some(edns) = &message.edns {
        assert_eq!((edns.version(), edns.flags().z), (0, 0), "EDNS{}", why());
        text += " opt";
    }
    text
}

fn over_udp(server: SocketAddr, packets: impl Iterator<Item = Vec<u8>>) -> Vec<String> {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(server).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut buffer = [0; 65_535];
    let mut told = Vec::new();
    for (index, packet) in packets.enumerate() {
        let last = sentinel(index as u16);
        assert_ne!(last[..2], packet[..2.min(packet.len())]);
        socket.send(&packet).unwrap();
        socket.send(&last).unwrap();
        let mut outcome = "silence".to_owned();
        loop {
            let length = socket.recv(&mut buffer).unwrap_or_else(|error| panic!("{error} after {}", packet.escape_ascii()));
            if buffer[..2] == last[..2] {
                assert_eq!(seen(&last, &buffer[..length], true), "NOERROR question", "after {}", packet.escape_ascii());
                break;
            }
            outcome = seen(&packet, &buffer[..length], true);
        }
        told.push(outcome);
    }
    told
}

/// The same; a message with which the connection ends is ` closed`.
fn over_tcp(server: SocketAddr, packets: impl Iterator<Item = Vec<u8>>) -> Vec<String> {
    let connect = || {
        let stream = TcpStream::connect_timeout(&server, PATIENCE).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    };
    let mut stream = connect();
    let mut told = Vec::new();
    for (index, packet) in packets.enumerate() {
        let last = sentinel(index as u16);
        // What was not read when a connection was closed comes back as a reset.
        let _ = stream.write_all(&[frame(&packet), frame(&last)].concat());
        let mut outcome = "silence".to_owned();
        loop {
            let Some(answer) = read_frame(&mut stream) else {
                outcome = "closed".into();
                stream = connect();
                break;
            };
            if answer[..2] == last[..2] {
                assert_eq!(seen(&last, &answer, false), "NOERROR question", "after {}", packet.escape_ascii());
                break;
            }
            outcome = seen(&packet, &answer, false);
        }
        told.push(outcome);
    }
    told
}

fn frame(message: &[u8]) -> Vec<u8> {
    [&(message.len() as u16).to_be_bytes()[..], message].concat()
}

/// The next message; none: the connection was closed.
fn read_frame(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut read = |octets: &mut [u8]| match stream.read_exact(octets) {
        Ok(()) => Some(()),
        Err(error) if matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset) => None,
        Err(error) => panic!("neither an answer nor an end: {error}"),
    };
    let mut length = [0; 2];
    read(&mut length)?;
    let mut message = vec![0; u16::from_be_bytes(length).into()];
    read(&mut message)?;
    Some(message)
}

fn table(cases: Vec<Case>) {
    let world = world();
    let packets = || cases.iter().map(|case| case.packet.clone());
    let udp = over_udp(world.server.address, packets());
    let tcp = over_tcp(world.server.address, packets());
    let mut wrong = Vec::new();
    for ((case, udp), tcp) in cases.iter().zip(udp).zip(tcp) {
        println!("{:70} {udp:22} {tcp}", case.what);
        // Over a stream, nobody knows what follows a message that is shorter than a header.
        let stream = if case.packet.len() < HEADER { "closed" } else { case.want };
        if (udp.as_str(), tcp.as_str()) != (case.want, stream) {
            wrong.push(format!("{}: want {} and {stream}, got {udp} and {tcp}: {}", case.what, case.want, case.packet.escape_ascii()));
        }
    }
    assert!(wrong.is_empty(), "{} of {} wrong\n{}", wrong.len(), cases.len(), wrong.join("\n"));
    world.is_well();
}

#[test]
fn a_datagram_that_no_buffer_holds_is_not_read_as_if_it_were_whole() {
    let world = world();
    // Good questions with as much padding (RFC 7830), and an UPDATE that would delete less than it says.
    let padded = |length: u16| {
        let option = [&12u16.to_be_bytes()[..], &length.to_be_bytes(), &vec![0; length.into()]].concat();
        let opt = [&OPT[..9], &(option.len() as u16).to_be_bytes(), &option].concat();
        message(0x0100, [1, 0, 0, 1], &[&fhir(), &opt])
    };
    let records = RECORD.repeat(200);
    let update = message(0x2800, [1, 0, 200, 0], &[&fhir(), &records]);
    let response = message(0x8100, [1, 0, 0, 200], &[&fhir(), &records]);
    let packets = vec![padded(1800), padded(3000), padded(60_000), update, response];
    let told = over_udp(world.server.address, packets.clone().into_iter());
    assert_eq!(told, ["NOERROR question opt", "FORMERR", "FORMERR", "FORMERR", "silence"]);
    let told = over_tcp(world.server.address, packets.into_iter().take(3));
    assert_eq!(told, ["NOERROR question opt"; 3], "a stream has room for it");
    world.is_well();
}

#[test]
fn every_header_bit_and_opcode() {
    let mut cases = Vec::new();
    for bit in 0..16 {
        let want = match bit {
            15 => "silence",
            11..=14 => "NOTIMP question",
            _ => "NOERROR question",
        };
        cases.push(case(format!("header bit {bit}"), message(1 << bit, [1, 0, 0, 0], &[&fhir()]), want));
        cases.push(case(
            format!("header bit {bit}, RD, EDNS"),
            message(0x0100 | 1 << bit, [1, 0, 0, 1], &[&fhir(), OPT]),
            match want {
                "silence" => want,
                "NOTIMP question" => "NOTIMP question opt",
                _ => "NOERROR question opt",
            },
        ));
    }
    for opcode in 1..16 {
        let other = |counts, parts: &[&[u8]]| message(opcode << 11, counts, parts);
        cases.push(case(format!("opcode {opcode}, header alone"), other([0; 4], &[]), "NOTIMP"));
        cases.push(case(
            format!("opcode {opcode}, like UPDATE"),
            other([1, 1, 1, 1], &[&fhir(), RECORD, RECORD, OPT]),
            "NOTIMP question opt",
        ));
        cases.push(case(format!("opcode {opcode}, of another form"), other([7, 7, 7, 7], &[&[0xff; 40]]), "NOTIMP"));
        cases.push(case(format!("opcode {opcode}, in a response"), message(0x8000 | opcode << 11, [1, 0, 0, 0], &[&fhir()]), "silence"));
    }
    table(cases);
}

#[test]
fn every_count() {
    let mut cases = Vec::new();
    for questions in [0, 2, 3, 65_535] {
        for there in 0..4 {
            let parts = vec![fhir(); there];
            let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
            cases.push(case(format!("{questions} questions, {there} there"), message(0, [questions, 0, 0, 0], &parts), "FORMERR"));
        }
    }
    let numbers = [0, 1, 2, 65_535];
    for index in 0..numbers.len().pow(3) {
        let [answers, authorities, additionals] = [16, 4, 1].map(|place| numbers[index / place % 4]);
        for there in 0..5 {
            let before = usize::from(answers) + usize::from(authorities);
            let said = before + usize::from(additionals);
            let want = if said > there || before > 0 { "FORMERR question" } else { "NOERROR question" };
            let question = fhir();
            let parts: Vec<&[u8]> = std::iter::once(&question[..]).chain(std::iter::repeat_n(RECORD, there)).collect();
            let what = format!("{answers} answers, {authorities} authority, {additionals} additional records, {there} there");
            cases.push(case(what, message(0, [1, answers, authorities, additionals], &parts), want));
        }
    }
    table(cases);
}

#[test]
fn a_good_question_cut_at_every_octet() {
    let whole = message(0x0100, [1, 0, 0, 3], &[&fhir(), RECORD, OPT_NSID, TSIG]);
    let question = HEADER + NAME.len() + 4;
    let edns = question + RECORD.len() + OPT_NSID.len();
    let cut = |length: usize| {
        let want = match length {
            length if length < HEADER => "silence",
            length if length < question => "FORMERR",
            length if length < edns => "FORMERR question",
            length if length < whole.len() => "FORMERR question opt",
            _ => "NOTAUTH question opt",
        };
        case(format!("{length} of {} octets", whole.len()), whole[..length].to_vec(), want)
    };
    table((0..=whole.len()).map(cut).collect());
}

#[test]
fn names_that_loop_or_are_none() {
    let asked = |name: &[u8]| message(0, [1, 0, 0, 1], &[&question(name, 1, 1), OPT]);
    let owner = |name: &[u8]| message(0, [1, 0, 0, 2], &[&fhir(), OPT, name, b"\0\x01\0\x01\0\0\0\0\0\0"]);
    let label = |length: u8| [&[length][..], &vec![b'a'; length.into()]].concat();
    let at = (HEADER + NAME.len() + 4 + OPT.len()) as u16 | 0xc000;
    let key = |name: &[u8]| message(0, [1, 0, 0, 1], &[&fhir(), name, &TSIG[5..]]);
    let key_at = ((HEADER + NAME.len() + 4) as u16 | 0xc000).to_be_bytes();
    table(vec![
        case("a pointer to itself", asked(b"\xc0\x0c"), "FORMERR"),
        case("two pointers to one another", asked(b"\xc0\x0e\xc0\x0c"), "FORMERR"),
        case("a label and a pointer to it", asked(b"\x01a\xc0\x0c"), "FORMERR"),
        case("a pointer forward", asked(b"\xc0\x0e\x01a\0"), "FORMERR"),
        case("a pointer into the header", asked(b"\xc0\x04"), "FORMERR"),
        case("a pointer beyond the end", asked(b"\xff\xff"), "FORMERR"),
        case("label type 01", asked(b"\x41a\0"), "FORMERR"),
        case("label type 10", asked(b"\x80\0"), "FORMERR"),
        case("a label beyond the end", message(0, [1, 0, 0, 0], &[b"\x3fa"]), "FORMERR"),
        case("256 octets", asked(&[label(63), label(63), label(63), label(62), vec![0]].concat()), "FORMERR"),
        case("128 labels", asked(&[b"\x01a".repeat(128), vec![0]].concat()), "FORMERR"),
        case("no end", message(0, [1, 0, 0, 0], &[&b"\x01a".repeat(600)]), "FORMERR"),
        case("an owner that points to itself", owner(&at.to_be_bytes()), "NOERROR question opt"),
        case("an owner that points beyond the end", owner(b"\xff\xff"), "NOERROR question opt"),
        case("an owner of label type 01", owner(b"\x41a\0"), "FORMERR question opt"),
        case("an owner without end", message(0, [1, 0, 0, 1], &[&fhir(), &b"\x01a".repeat(600)]), "FORMERR question"),
        case("a key that points to the question", key(b"\xc0\x0c"), "NOTAUTH question"),
        case("a key that points to itself", key(&key_at), "FORMERR question"),
        case("a key that points beyond the end", key(b"\xff\xff"), "FORMERR question"),
    ]);
}

/// RFC 6891, 8945, 8906, 9824, 8482; off unless named: RFC 4892.
#[test]
fn edns_signatures_types_and_classes() {
    let opt = |version: u8, flags: u16, options: &[u8]| {
        let [flags, length] = [flags, options.len() as u16].map(u16::to_be_bytes);
        [&b"\0\0\x29\x04\xd0\0"[..], &[version], &flags, &length, options].concat()
    };
    let edns = |version, flags, options: &[u8]| message(0, [1, 0, 0, 1], &[&fhir(), &opt(version, flags, options)]);
    let records = |count, parts: &[&[u8]]| message(0, [1, 0, 0, count], &[&[&fhir()[..]], parts].concat());
    let asked = |rtype, class| message(0x0100, [1, 0, 0, 1], &[&question(NAME, rtype, class), OPT]);
    table(vec![
        case("every EDNS flag", edns(0, 0xffff, b""), "NOERROR question opt"),
        case("version 1", edns(1, 0, b""), "BADVERS question opt"),
        case("version 255, every flag, options of another form", edns(255, 0xffff, b"\xff\xff\xff"), "BADVERS question opt"),
        case("an unknown option", edns(0, 0, b"\xfd\xe9\0\x03abc"), "NOERROR question opt"),
        case("an option that is cut", edns(0, 0, b"\0\x0a\0\x08COOKIE"), "FORMERR question opt"),
        case("an option of 65535 octets", edns(0, 0, b"\0\x03\xff\xff"), "FORMERR question opt"),
        case("OPT twice", records(2, &[OPT, OPT]), "FORMERR question opt"),
        case("OPT with an owner", records(1, &[b"\x01a", OPT]), "FORMERR question opt"),
        case("OPT as an answer", message(0, [1, 1, 0, 0], &[&fhir(), OPT]), "FORMERR question"),
        case("OPT longer than the message", records(1, &[b"\0\0\x29\x04\xd0\0\0\0\0\xff\xff"]), "FORMERR question"),
        case("TSIG by a key nobody knows", records(1, &[TSIG]), "NOTAUTH question"),
        case("TSIG before another record", records(2, &[TSIG, RECORD]), "FORMERR question"),
        case("TSIG twice", records(2, &[TSIG, TSIG]), "FORMERR question"),
        case("TSIG without RDATA", records(1, &[b"\x03key\0\0\xfa\0\xff\0\0\0\0\0\0"]), "FORMERR question"),
        case("1,900 octets of options", edns(0, 0, &[&b"\0\x0c\x07\x4e"[..], &[0; 1870]].concat()), "NOERROR question opt"),
        case("type 0", asked(0, 1), "NOERROR question opt"),
        case("a type nobody has", asked(65_280, 1), "NOERROR question opt"),
        case("ANY", asked(255, 1), "NOERROR question opt"),
        case("OPT", asked(41, 1), "FORMERR question opt"),
        case("NXNAME", asked(128, 1), "FORMERR question opt"),
        case("TSIG", asked(250, 1), "FORMERR question opt"),
        case("a meta-type nobody has", asked(200, 1), "NOTIMP question opt"),
        case("TKEY", asked(249, 1), "NOTIMP question opt"),
        case("MAILB", asked(253, 1), "NOTIMP question opt"),
        case("MAILA", asked(254, 1), "NOTIMP question opt"),
        case("class 0", asked(1, 0), "REFUSED question opt"),
        case("class CH", asked(1, 3), "REFUSED question opt"),
        case("class HS", asked(1, 4), "REFUSED question opt"),
        case("class NONE", asked(1, 254), "REFUSED question opt"),
        case("class ANY", asked(1, 255), "REFUSED question opt"),
        case("class 65535", asked(1, 65_535), "REFUSED question opt"),
        case("version.bind", message(0, [1, 0, 0, 0], &[&question(b"\x07version\x04bind\0", 16, 3)]), "REFUSED question"),
        case("id.server", message(0, [1, 0, 0, 0], &[&question(b"\x02id\x06server\0", 16, 3)]), "REFUSED question"),
    ]);
}

/// What does not hold to its own length ends a connection, and no other.
#[test]
fn streams_that_are_no_dns() {
    let world = world();
    let good = frame(&sentinel(7));
    let answered = |octets: &[u8]| {
        let mut stream = TcpStream::connect_timeout(&world.server.address, PATIENCE).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let _ = stream.write_all(octets);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let mut answers = Vec::new();
        while let Some(answer) = read_frame(&mut stream) {
            answers.push(seen(&answer, &answer, false));
        }
        answers.len()
    };
    for (what, octets, want) in [
        ("nothing", vec![], 0),
        ("half a length", vec![0], 0),
        ("a length alone", vec![0, 40], 0),
        ("length 0, then a good question", [&[0, 0], &good[..]].concat(), 0),
        ("length 11, then a good question", [&[0, 11], &good[..]].concat(), 0),
        ("a good question, then half a one", [&good[..], &good[..20]].concat(), 1),
        ("three good questions in one write", good.repeat(3), 3),
        (
            "a length of two questions: one message, its end passed over",
            [&((2 * good.len() - 2) as u16).to_be_bytes(), &good[2..], &good].concat(),
            1,
        ),
        ("a length of 65535 and too little", [&[0xff, 0xff], &good[2..]].concat(), 0),
        ("HTTP", b"GET / HTTP/1.1\r\nHost: contoso.test\r\n\r\n".to_vec(), 0),
        ("TLS", b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03".to_vec(), 0),
    ] {
        assert_eq!(answered(&octets), want, "{what}");
    }
    world.is_well();
}

/// Numbers that are the same in every run.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }

    fn octet(&mut self) -> u8 {
        const TELLING: [u8; 12] = [0, 1, 2, 0x0c, 0x29, 0x3f, 0x40, 0x7f, 0x80, 0xc0, 0xfa, 0xff];
        if self.below(2) == 0 { TELLING[self.below(TELLING.len())] } else { self.next() as u8 }
    }
}

/// Good messages of every kind, to be damaged.
fn seeds() -> Vec<Vec<u8>> {
    let soa = b"\xc0\x0c\0\x06\0\x01\0\0\0\0\0\x16\0\0\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    let public = b"\x0fcontosows-fhir1\x04fhir\x13azurehealthcareapis\x03com\0";
    vec![
        message(0x0100, [1, 0, 0, 0], &[&fhir()]),
        message(0x0120, [1, 0, 0, 1], &[&question(public, 1, 1), OPT]),
        message(0x0110, [1, 0, 0, 1], &[&question(public, 65, 1), OPT_NSID]),
        message(0x0100, [1, 0, 0, 1], &[&question(b"\x03www\x07contoso\x04test\0", 28, 1), OPT]),
        message(0x0100, [1, 0, 0, 1], &[&question(NAME, 255, 1), b"\0\0\x29\xff\xff\0\0\x80\0\0\x0c\0\x0a\0\x08COOKIE!!"]),
        message(0, [1, 0, 0, 3], &[&fhir(), RECORD, OPT_NSID, TSIG]),
        message(0, [1, 0, 1, 1], &[&question(NAME, 251, 1), soa, OPT]),
        message(0x2800, [1, 1, 1, 1], &[&question(b"\x0bprivatelink\x13azurehealthcareapis\x03com\0", 6, 1), RECORD, RECORD, TSIG]),
        message(0x2400, [1, 1, 0, 0], &[&question(NAME, 6, 1), soa]),
        message(0, [1, 0, 0, 1], &[&question(b"\x07version\x04bind\0", 16, 3), OPT]),
        message(0x0100, [1, 0, 0, 0], &[&question(&[b"\x3f".to_vec(), vec![b'a'; 63]].concat().repeat(3), 1, 1), b"\0"]),
    ]
}

fn damaged(dice: &mut Dice, seeds: &[Vec<u8>]) -> Vec<u8> {
    let mut packet = seeds[dice.below(seeds.len())].clone();
    for _ in 0..1 + dice.below(4) {
        // The first two octets are the ID, which the caller sets.
        let at = 2 + dice.below(packet.len().saturating_sub(2));
        let end = (at + dice.below(24)).min(packet.len());
        match dice.below(10) {
            _ if packet.len() <= at => packet.push(dice.octet()),
            0 | 1 => packet[at] ^= 1 << dice.below(8),
            2 | 3 => packet[at] = dice.octet(),
            4 => packet[at.min(2 + at % 10)] = dice.octet(),
            5 => packet.truncate(at),
            6 => drop(packet.drain(at..end)),
            7 => {
                let piece = packet[at..end].to_vec();
                packet.splice(at..at, piece);
            }
            8 => {
                let other = &seeds[dice.below(seeds.len())];
                let from = dice.below(other.len());
                packet.splice(at.., other[from..].to_vec());
            }
            _ => (0..dice.below(40)).for_each(|_| packet.insert(at, dice.octet())),
        }
    }
    if dice.below(50) == 0 {
        packet = (0..dice.below(600)).map(|_| dice.octet()).collect();
    }
    packet
}

/// Messages of a run, by what came back.
type Tally = HashMap<String, usize>;

/// Datagrams that are under way on one socket: fewer than any receive buffer holds.
const BURST: usize = 64;

/// Sends `count` damaged messages over UDP. Each that is a query, however damaged, must be answered (RFC 8906), and no other.
fn damage_over_udp(server: SocketAddr, seed: u64, count: usize) -> Tally {
    let (mut dice, seeds, mut tally) = (Dice(seed), seeds(), Tally::new());
    // Several, so that every worker gets its share.
    let sockets: Vec<UdpSocket> = (0..8).map(|_| UdpSocket::bind("127.0.0.1:0").unwrap()).collect();
    for socket in &sockets {
        socket.connect(server).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
    }
    let mut buffer = [0; 65_535];
    for burst in 0..count.div_ceil(BURST) {
        let socket = &sockets[burst % sockets.len()];
        let mut waiting = HashMap::new();
        for index in 0..BURST.min(count - burst * BURST) {
            let id = (burst * BURST + index) as u16;
            let mut packet = damaged(&mut dice, &seeds);
            packet.iter_mut().zip(id.to_be_bytes()).for_each(|(octet, id)| *octet = id);
            socket.send(&packet).unwrap();
            if packet.len() >= HEADER && packet[2] & 0x80 == 0 {
                waiting.insert(id, packet);
            } else {
                *tally.entry("silence".into()).or_default() += 1;
            }
        }
        while !waiting.is_empty() {
            let length = socket.recv(&mut buffer).unwrap_or_else(|error| {
                let packets: Vec<String> = waiting.values().map(|packet| packet.escape_ascii().to_string()).collect();
                panic!("{error}: no answer, seed {seed}, to\n{}", packets.join("\n"));
            });
            let id = u16::from_be_bytes([buffer[0], buffer[1]]);
            let packet =
                waiting.remove(&id).unwrap_or_else(|| panic!("an answer too many, seed {seed}: {}", buffer[..length].escape_ascii()));
            *tally.entry(seen(&packet, &buffer[..length], true)).or_default() += 1;
        }
    }
    tally
}

/// The same over TCP, a connection for each burst.
fn damage_over_tcp(server: SocketAddr, seed: u64, count: usize) -> Tally {
    let (mut dice, seeds, mut tally) = (Dice(seed), seeds(), Tally::new());
    for burst in 0..count.div_ceil(BURST) {
        let mut stream = TcpStream::connect_timeout(&server, PATIENCE).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let (mut octets, mut waiting) = (Vec::new(), HashMap::new());
        for index in 0..BURST.min(count - burst * BURST) {
            // Shorter than a header, it would end the connection.
            let mut packet = std::iter::repeat_with(|| damaged(&mut dice, &seeds)).find(|packet| packet.len() >= HEADER).expect("in time");
            packet.iter_mut().zip((index as u16).to_be_bytes()).for_each(|(octet, id)| *octet = id);
            octets.extend(frame(&packet));
            if packet[2] & 0x80 == 0 {
                waiting.insert(index as u16, packet);
            } else {
                *tally.entry("silence".into()).or_default() += 1;
            }
        }
        stream.write_all(&octets).unwrap();
        while !waiting.is_empty() {
            let answer = read_frame(&mut stream).expect("an answer");
            let id = u16::from_be_bytes([answer[0], answer[1]]);
            let packet = waiting.remove(&id).unwrap_or_else(|| panic!("an answer too many, seed {seed}: {}", answer.escape_ascii()));
            *tally.entry(seen(&packet, &answer, false)).or_default() += 1;
        }
    }
    tally
}

/// What caches, buffers and allocator may still take once they are warm, octets. Without a bound somewhere, 100,000 messages of 100 octets
/// would leave ten million octets at the least.
const GROWTH: u64 = 8 << 20;

#[test]
fn a_hundred_thousand_damaged_messages() {
    let world = world();
    let address = world.server.address;
    for seed in 1..=3 {
        damage_over_udp(address, seed, 10_000);
        damage_over_tcp(address, seed, 5_000);
    }
    let before = world.resident();
    let start = Instant::now();
    let udp = damage_over_udp(address, 0x9e37_79b9_7f4a_7c15, 70_000);
    let tcp = damage_over_tcp(address, 0xbf58_476d_1ce4_e5b9, 30_000);
    let after = world.resident();
    println!("100,000 messages in {:?}; resident {before} then {after} octets", start.elapsed());
    for (over, tally) in [("UDP", &udp), ("TCP", &tcp)] {
        let mut lines: Vec<_> = tally.iter().collect();
        lines.sort();
        lines.iter().for_each(|(what, count)| println!("{over} {count:6} {what}"));
        for kind in ["FORMERR", "FORMERR question opt", "NOTIMP question", "BADVERS question opt", "NOERROR question opt", "silence"] {
            assert!(tally.contains_key(kind), "{over}: never {kind}");
        }
    }
    std::thread::sleep(Duration::from_millis(100)); // what a panic would say
    world.is_well();
    assert!(after < before + GROWTH, "memory grew from {before} to {after} octets");
}
