//! A raw client: what really went over the wire.
#![allow(dead_code, reason = "each test program uses a part of it")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query};
use hickory_proto::rr::{Name, RecordType};
use postern_lab::LabServer;

/// Long enough for any machine; a test that waits so long has failed.
pub const PATIENCE: Duration = Duration::from_secs(120);
/// Long enough to believe that nothing comes.
pub const SILENCE: Duration = Duration::from_millis(300);

/// A question with RD, and OPT if asked for.
pub fn question(name: &str, kind: RecordType, id: u16, edns: bool) -> Vec<u8> {
    let mut message = Message::new(id, MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
    if edns {
        let mut edns = Edns::new();
        edns.set_max_payload(1232);
        message.edns = Some(edns);
    }
    message.to_vec().unwrap()
}

/// A UDP socket that is not connected, so that answers from elsewhere are seen.
pub fn socket() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

/// The next datagram; none if it stays silent.
pub fn receive(socket: &UdpSocket, patience: Duration) -> Option<(Vec<u8>, SocketAddr)> {
    socket.set_read_timeout(Some(patience)).unwrap();
    let mut buffer = [0; 65_535];
    postern_sockets::receive(socket, &mut buffer).ok().map(|(length, from)| (buffer[..length].to_vec(), from))
}

/// Asks over UDP and gives the bytes of the first answer.
pub fn ask_raw(lab: &LabServer, name: &str, kind: RecordType, patience: Duration) -> Option<Vec<u8>> {
    let socket = socket();
    socket.send_to(&question(name, kind, 0x4242, true), lab.address()).unwrap();
    receive(&socket, patience).map(|(bytes, _)| bytes)
}

/// Asks over UDP.
pub fn ask(lab: &LabServer, name: &str, kind: RecordType) -> Message {
    Message::from_vec(&ask_raw(lab, name, kind, PATIENCE).expect("an answer")).expect("a message")
}

/// Asks over TCP; an error is what the connection met.
pub fn ask_tcp(lab: &LabServer, name: &str, kind: RecordType) -> std::io::Result<Message> {
    let mut stream = TcpStream::connect(lab.address())?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let question = question(name, kind, 0x4242, true);
    stream.write_all(&(question.len() as u16).to_be_bytes())?;
    stream.write_all(&question)?;
    read_frame(&mut stream)
}

/// Reads one framed message.
pub fn read_frame(stream: &mut TcpStream) -> std::io::Result<Message> {
    let mut length = [0; 2];
    stream.read_exact(&mut length)?;
    let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut message)?;
    Ok(Message::from_vec(&message).expect("a message"))
}

/// The ANSWER section as `owner type data` lines.
pub fn answers(message: &Message) -> Vec<String> {
    message.answers.iter().map(|record| format!("{} {} {}", record.name, record.record_type(), record.data)).collect()
}

/// Waits until something holds.
pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < PATIENCE, "never: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
