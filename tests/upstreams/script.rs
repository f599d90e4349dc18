//! An upstream on loopback that answers by a function, and remembers what it was asked.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::sync::{Arc, Mutex};

use hickory_proto::op::{Message, MessageType, ResponseCode};
use hickory_proto::rr::rdata::SOA;
use hickory_proto::rr::{Name, RData, Record, RecordType};

/// One question as it came in.
#[derive(Debug, Clone)]
pub struct SeenQuestion {
    pub from: SocketAddr,
    pub over_tcp: bool,
    pub message: Message,
}

/// A running upstream. Its threads end with the test program.
pub struct ScriptedUpstream {
    pub address: SocketAddr,
    seen: Arc<Mutex<Vec<SeenQuestion>>>,
}

type Script = dyn Fn(&Message) -> Option<Message> + Send + Sync;

impl ScriptedUpstream {
    /// Starts on a free port of 127.0.0.1, over UDP and TCP. A function that returns `None` leaves the question unanswered.
    pub fn start(script: impl Fn(&Message) -> Option<Message> + Send + Sync + 'static) -> Self {
        Self::start_at("127.0.0.1:0", script)
    }

    /// The same on an address.
    pub fn start_at(address: &str, script: impl Fn(&Message) -> Option<Message> + Send + Sync + 'static) -> Self {
        let script: Arc<Script> = Arc::new(script);
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (udp, tcp) = loop {
            let udp = UdpSocket::bind(address).unwrap();
            if let Ok(tcp) = TcpListener::bind(udp.local_addr().unwrap()) {
                break (udp, tcp);
            }
        };
        let address = udp.local_addr().unwrap();
        let (on_udp, on_tcp) = ((script.clone(), seen.clone()), (script, seen.clone()));
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok((length, from)) = udp.recv_from(&mut buffer) {
                if let Some(answer) = answer(&on_udp.0, &on_udp.1, &buffer[..length], from, false) {
                    let _ = udp.send_to(&answer, from);
                }
            }
        });
        std::thread::spawn(move || {
            for stream in tcp.incoming() {
                let (Ok(mut stream), on_tcp) = (stream, on_tcp.clone()) else { continue };
                std::thread::spawn(move || {
                    let from = stream.peer_addr().unwrap();
                    let mut length = [0; 2];
                    while stream.read_exact(&mut length).is_ok() {
                        let mut question = vec![0; usize::from(u16::from_be_bytes(length))];
                        stream.read_exact(&mut question).unwrap();
                        let Some(answer) = answer(&on_tcp.0, &on_tcp.1, &question, from, true) else { continue };
                        let framed = [&(answer.len() as u16).to_be_bytes()[..], &answer].concat();
                        if stream.write_all(&framed).is_err() {
                            break;
                        }
                    }
                });
            }
        });
        Self { address, seen }
    }

    /// All questions so far for this name.
    pub fn seen(&self, name: &str) -> Vec<SeenQuestion> {
        let seen = self.seen.lock().unwrap();
        seen.iter().filter(|seen| is_for(&seen.message, name)).cloned().collect()
    }
}

/// Returns true if a message asks for this name.
pub fn is_for(message: &Message, name: &str) -> bool {
    message.queries.first().is_some_and(|query| query.name().to_ascii().eq_ignore_ascii_case(&format!("{name}.")))
}

/// Returns an answer with these records for the name of the question, with a TTL. No records: NODATA.
pub fn reply(question: &Message, ttl: u32, records: &[RData]) -> Message {
    let mut message = empty(question, ResponseCode::NoError);
    let name: Name = question.queries[0].name().clone();
    for data in records {
        message.add_answer(Record::from_rdata(name.clone(), ttl, data.clone()));
    }
    message
}

/// Returns an answer without records.
pub fn empty(question: &Message, rcode: ResponseCode) -> Message {
    let mut message = Message::new(question.metadata.id, MessageType::Response, question.metadata.op_code);
    message.metadata.recursion_available = true;
    message.metadata.response_code = rcode;
    message.add_query(question.queries[0].clone());
    message
}

/// Returns a denial with an SOA, so that it can be cached.
pub fn denial(question: &Message, rcode: ResponseCode) -> Message {
    let mut message = empty(question, rcode);
    let name = |text: &str| Name::from_ascii(text).unwrap();
    let soa = SOA::new(name("ns.contoso.test."), name("admin.contoso.test."), 1, 3600, 600, 86_400, 60);
    message.add_authority(Record::from_rdata(name("contoso.test."), 60, RData::SOA(soa)));
    message
}

/// Returns the address if the question is for A, otherwise NODATA.
pub fn address(question: &Message, ttl: u32, address: &str) -> Message {
    let data = RData::A(address.parse().unwrap());
    match question.queries[0].query_type() {
        RecordType::A => reply(question, ttl, &[data]),
        _ => reply(question, ttl, &[]),
    }
}

fn answer(script: &Arc<Script>, seen: &Mutex<Vec<SeenQuestion>>, octets: &[u8], from: SocketAddr, over_tcp: bool) -> Option<Vec<u8>> {
    let message = Message::from_vec(octets).ok()?;
    seen.lock().unwrap().push(SeenQuestion { from, over_tcp, message: message.clone() });
    script(&message)?.to_vec().ok()
}
