//! Which messages a handler gets, over sockets, and what clients are told with one, without one, and with one that is busy.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use postern_config::PosternConfig;
use postern_dns::counters::WorkerEvent;
use postern_dns::fallback::FallbackRecorder;
use postern_dns::listen::handler::{HandlerRequest, MessageHandler, MessageKind};
use postern_dns::server::Server;
use postern_dns::transport::{ClientTransport, ListenerKind};
use postern_zones::snapshot::SnapshotBuilder;

/// Answers with the message itself, QR set; takes no more than it has room for.
#[derive(Debug)]
struct Echo {
    wants: Vec<MessageKind>,
    room: Mutex<usize>,
    seen: Mutex<Vec<(MessageKind, ClientTransport)>>,
}

impl MessageHandler for Echo {
    fn wants(&self, kind: MessageKind) -> bool {
        self.wants.contains(&kind)
    }

    fn take(&self, request: Box<HandlerRequest>) -> Result<(), Box<HandlerRequest>> {
        let mut room = self.room.lock().unwrap();
        let Some(less) = room.checked_sub(1) else { return Err(request) };
        *room = less;
        self.seen.lock().unwrap().push((request.kind, request.transport));
        let mut answer = request.packet.clone();
        answer[2] |= 0x80;
        request.answer(&answer);
        Ok(())
    }
}

fn server(handler: Option<Arc<Echo>>) -> (Server, SocketAddr) {
    let text = "[server]\nlisten = [\"127.0.0.1:0\"]\nworkers = 1\n";
    let config: PosternConfig = postern_config::parse(text, std::path::Path::new("postern.toml")).unwrap().config;
    let bound = Server::bind(&config.server.listen, 1).unwrap();
    let handler = handler.map(|echo| echo as Arc<dyn MessageHandler>);
    let snapshot = Arc::new(SnapshotBuilder::new().build());
    let server = Server::start(&config, bound, snapshot, FallbackRecorder::new(&config.fallback), handler).unwrap();
    let address = server.addresses()[0];
    (server, address)
}

/// A message of this opcode and type about a.test, with the records behind it.
fn message(opcode: u8, rtype: u16, additional: &[u8]) -> Vec<u8> {
    let mut message = vec![0x12, 0x34, opcode << 3, 0, 0, 1, 0, 0, 0, 0, 0, u8::from(!additional.is_empty())];
    message.extend_from_slice(b"\x01a\x04test\0");
    message.extend_from_slice(&[(rtype >> 8) as u8, rtype as u8, 0, 1]);
    message.extend_from_slice(additional);
    message
}

/// TSIG of a key `k` by hmac-sha256, without MAC.
fn tsig() -> Vec<u8> {
    let algorithm = b"\x0bhmac-sha256\0";
    let mut record = b"\x01k\0\0\xfa\0\xff\0\0\0\0".to_vec();
    record.extend_from_slice(&((algorithm.len() + 16) as u16).to_be_bytes());
    record.extend_from_slice(algorithm);
    record.extend_from_slice(&[0, 0, 0, 0, 0, 1, 1, 44, 0, 0, 0x12, 0x34, 0, 0, 0, 0]);
    record
}

fn ask(server: SocketAddr, transport: ClientTransport, message: &[u8]) -> Vec<u8> {
    let wait = Some(Duration::from_secs(60));
    let mut buffer = vec![0; 65_535];
    let length = match transport {
        ClientTransport::Udp => {
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            socket.set_read_timeout(wait).unwrap();
            socket.send_to(message, server).unwrap();
            postern_sockets::receive(&socket, &mut buffer).unwrap().0
        }
        ClientTransport::Tcp => {
            let mut stream = TcpStream::connect(server).unwrap();
            stream.set_read_timeout(wait).unwrap();
            stream.write_all(&[&(message.len() as u16).to_be_bytes(), message].concat()).unwrap();
            let mut length = [0; 2];
            stream.read_exact(&mut length).unwrap();
            let length = usize::from(u16::from_be_bytes(length));
            stream.read_exact(&mut buffer[..length]).unwrap();
            length
        }
    };
    buffer.truncate(length);
    buffer
}

const KINDS: [(&str, u8, u16, bool, MessageKind, u8); 5] = [
    ("an update", 5, 6, false, MessageKind::Update, 4),
    ("a notification", 4, 6, false, MessageKind::Notify, 4),
    ("a transfer", 0, 252, false, MessageKind::Transfer, 5),
    ("an incremental transfer", 0, 251, false, MessageKind::Transfer, 5),
    ("a signed question", 0, 1, true, MessageKind::Signed, 9),
];

fn packet(opcode: u8, rtype: u16, signed: bool) -> Vec<u8> {
    message(opcode, rtype, &if signed { tsig() } else { Vec::new() })
}

#[test]
fn a_handler_gets_whole_messages_of_each_kind_and_its_answer_goes_back() {
    let wants = vec![MessageKind::Update, MessageKind::Notify, MessageKind::Transfer, MessageKind::Signed];
    let echo = Arc::new(Echo { wants, room: Mutex::new(100), seen: Mutex::default() });
    let (running, address) = server(Some(echo.clone()));
    for transport in [ClientTransport::Udp, ClientTransport::Tcp] {
        for (what, opcode, rtype, signed, kind, _) in KINDS {
            let packet = packet(opcode, rtype, signed);
            let answer = ask(address, transport, &packet);
            assert_eq!((answer[2] & 0x80, &answer[3..]), (0x80, &packet[3..]), "{what}");
            assert_eq!(echo.seen.lock().unwrap().pop(), Some((kind, transport)), "{what}");
        }
        // Ordinary and unusual questions, other opcodes and nonsense are the path's.
        for (opcode, rtype, rcode) in [(0, 1, 5), (0, 253, 4), (2, 1, 4), (6, 1, 4)] {
            assert_eq!(ask(address, transport, &packet(opcode, rtype, false))[3] & 0xf, rcode, "{opcode} {rtype}");
        }
        assert_eq!(ask(address, transport, &message(0, 1, &[b"\0\0\x29\x04\xd0\0\x01\0\0\0\0".as_slice(), &[]].concat()))[3] & 0xf, 0);
    }
    assert!(echo.seen.lock().unwrap().is_empty());
    let totals = running.gauges().totals();
    assert_eq!((totals.count(WorkerEvent::HandedOver), totals.count(WorkerEvent::HandlerBusy)), (10, 0));
    // What handlers answer is counted like all else, by RCODE and type, where it came in.
    let [noerror, notimp, refused, badvers] = [0, 4, 5, 16].map(|rcode| totals.by_rcode()[rcode]);
    assert_eq!((noerror, notimp, refused, badvers, totals.questions_by_type()[15]), (10, 3 * 2, 2, 2, 4));
    assert_eq!(running.gauges().listeners(ListenerKind::new(ClientTransport::Udp, Ipv4Addr::LOCALHOST.into())).by_rcode()[0], 5);
}

#[test]
fn without_a_handler_or_one_that_wants_it_each_is_answered_as_ever() {
    let wants_nothing = Arc::new(Echo { wants: Vec::new(), room: Mutex::new(100), seen: Mutex::default() });
    for handler in [None, Some(wants_nothing)] {
        let (_running, address) = server(handler);
        for transport in [ClientTransport::Udp, ClientTransport::Tcp] {
            for (what, opcode, rtype, signed, _, rcode) in KINDS {
                assert_eq!(ask(address, transport, &packet(opcode, rtype, signed))[3] & 0xf, rcode, "{what}");
            }
        }
    }
}

#[test]
fn a_handler_without_room_means_servfail() {
    let wants = vec![MessageKind::Update, MessageKind::Notify, MessageKind::Transfer, MessageKind::Signed];
    let (running, address) = server(Some(Arc::new(Echo { wants, room: Mutex::new(0), seen: Mutex::default() })));
    for transport in [ClientTransport::Udp, ClientTransport::Tcp] {
        for (what, opcode, rtype, signed, _, _) in KINDS {
            let packet = packet(opcode, rtype, signed);
            let answer = ask(address, transport, &packet);
            assert_eq!((answer[3] & 0xf, answer[2] >> 3 & 0xf), (2, opcode), "{what}");
            assert_eq!(answer[12..], packet[12..24], "{what}: the question alone");
        }
    }
    assert_eq!(running.gauges().totals().count(WorkerEvent::HandlerBusy), 10);
}
