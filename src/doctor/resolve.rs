//! Questions to DNS servers, as a stub resolver of this machine sends them.

use std::io::{Error, ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, RecordType};

/// Largest UDP response that is requested. Such a response is not fragmented on any usual path.
const UDP_SIZE: u16 = 1232;

/// The answer of a server, reduced to the parts that are compared.
#[derive(Debug, Clone)]
pub struct ResolverAnswer {
    /// RCODE without the bits of EDNS.
    pub rcode: ResponseCode,
    /// Targets of the aliases, in order, in lower case and without a final dot.
    pub aliases: Vec<String>,
    /// IPv4 and IPv6 addresses, sorted so that rotation does not matter.
    pub addresses: Vec<IpAddr>,
    /// Serial of the SOA in the answer.
    pub serial: Option<u32>,
}

/// Sends a question over UDP, twice if need be, and over TCP if the response is truncated.
pub fn ask(server: SocketAddr, name: &str, rtype: RecordType, patience: Duration) -> Result<ResolverAnswer, String> {
    let question = question(name, rtype, false)?;
    let mut answer = over_udp(server, &question, patience).map_err(|error| failure(&error))?;
    if answer.metadata.truncation {
        answer = over_tcp(server, &question, patience).map_err(|error| failure(&error))?;
    }
    Ok(understood(&answer))
}

/// Sends a question over TCP.
pub fn ask_over_tcp(server: SocketAddr, name: &str, rtype: RecordType, patience: Duration) -> Result<ResolverAnswer, String> {
    over_tcp(server, &question(name, rtype, false)?, patience).map(|answer| understood(&answer)).map_err(|error| failure(&error))
}

/// Asks for the signed keys of the root over UDP alone. Returns whether a response arrived, whole or
/// truncated.
pub fn large_answer_arrives(server: SocketAddr, patience: Duration) -> Result<bool, String> {
    match over_udp(server, &question(".", RecordType::DNSKEY, true)?, patience) {
        Ok(_) => Ok(true),
        Err(error) if is_timeout(&error) => Ok(false),
        Err(error) => Err(failure(&error)),
    }
}

fn question(name: &str, rtype: RecordType, dnssec_ok: bool) -> Result<Message, String> {
    let absolute = format!("{}.", name.trim_end_matches('.'));
    let name = Name::from_ascii(&absolute).map_err(|error| format!("`{name}` is not a domain name: {error}"))?;
    let mut message = Message::new(rand::random(), MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(name, rtype));
    let mut edns = Edns::new();
    edns.set_max_payload(UDP_SIZE);
    edns.set_dnssec_ok(dnssec_ok);
    message.set_edns(edns);
    Ok(message)
}

fn over_udp(server: SocketAddr, question: &Message, patience: Duration) -> Result<Message, Error> {
    let any: IpAddr = if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0))?;
    socket.connect(server)?;
    let octets = question.to_vec().map_err(Error::other)?;
    let mut buffer = [0; 65_535];
    for _ in 0..2 {
        socket.send(&octets)?;
        let until = Instant::now() + patience / 2;
        while let Some(left) = until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
            socket.set_read_timeout(Some(left))?;
            let length = match postern_sockets::receive(&socket, &mut buffer) {
                Ok((length, _)) => length,
                Err(error) if is_timeout(&error) => break,
                Err(error) => return Err(error),
            };
            if let Some(answer) = Message::from_vec(&buffer[..length]).ok().filter(|answer| answer.metadata.id == question.metadata.id) {
                return Ok(answer);
            }
        }
    }
    Err(ErrorKind::TimedOut.into())
}

fn over_tcp(server: SocketAddr, question: &Message, patience: Duration) -> Result<Message, Error> {
    let mut stream = TcpStream::connect_timeout(&server, patience)?;
    stream.set_read_timeout(Some(patience))?;
    let octets = question.to_vec().map_err(Error::other)?;
    stream.write_all(&[&(octets.len() as u16).to_be_bytes()[..], &octets].concat())?; // a question has fewer than 300 octets
    let mut length = [0; 2];
    stream.read_exact(&mut length)?;
    let mut answer = vec![0; u16::from_be_bytes(length).into()];
    stream.read_exact(&mut answer)?;
    Message::from_vec(&answer).map_err(Error::other)
}

fn understood(answer: &Message) -> ResolverAnswer {
    let text = |name: &Name| name.to_ascii().trim_end_matches('.').to_ascii_lowercase();
    let mut understood = ResolverAnswer { rcode: answer.metadata.response_code, aliases: Vec::new(), addresses: Vec::new(), serial: None };
    for record in &answer.answers {
        match &record.data {
            RData::CNAME(target) => understood.aliases.push(text(&target.0)),
            RData::A(address) => understood.addresses.push(address.0.into()),
            RData::AAAA(address) => understood.addresses.push(address.0.into()),
            RData::SOA(soa) => understood.serial = Some(soa.serial),
            _ => {}
        }
    }
    understood.addresses.sort();
    understood
}

fn is_timeout(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

/// Describes why no answer came.
pub fn failure(error: &Error) -> String {
    match error.kind() {
        _ if is_timeout(error) => "no answer in time".into(),
        ErrorKind::ConnectionRefused => "nothing listens there (connection refused)".into(),
        ErrorKind::NetworkUnreachable | ErrorKind::HostUnreachable => "there is no route to it".into(),
        _ => error.to_string(),
    }
}
