//! Messages that are no good questions, sent to the real program over UDP and TCP: each kind gets its RCODE or silence, none of them
//! harms it. `--nocapture` prints the tables and the memory.

mod damage;
#[path = "../harness/mod.rs"]
mod harness;
mod lengths;
mod messages;

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};

use harness::{PATIENCE, PATIENT_FORWARD, Server};
use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::RecordType::A;
use postern_lab::{LabScenario, LabServer};

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
    _public: LabServer,
}

fn world() -> World {
    let public = LabServer::start(LabScenario::azure(), "127.0.0.1:0".parse().unwrap()).unwrap();
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
    // QR; the client's opcode; Z clear. RD and CD are the client's, and clear if the opcode is unknown.
    assert_eq!(answer[2] & 0xf8, 0x80 | packet[2] & 0x78, "opcode{}", why());
    assert_eq!(answer[3] & 0x40, 0, "Z{}", why());
    let is_unknown = packet[2] & 0x78 != 0 && message.metadata.response_code == ResponseCode::NotImp;
    let kept = if is_unknown { (0, 0) } else { (packet[2] & 1, packet[3] & 0x10) };
    assert_eq!((answer[2] & 1, answer[3] & 0x10), kept, "RD and CD{}", why());
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
            let (length, _) =
                postern_sockets::receive(&socket, &mut buffer).unwrap_or_else(|error| panic!("{error} after {}", packet.escape_ascii()));
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
