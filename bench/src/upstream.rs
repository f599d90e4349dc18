//! `postern bench upstream`: a synthetic public DNS that answers every query and costs little more
//! than the mirror.
//!
//! Measured forwarders need an upstream that is faster than they are. Faults and realistic data are
//! the task of the lab.

use std::io;
use std::net::UdpSocket;
use std::sync::atomic::{AtomicBool, Ordering};

use postern_sockets::DatagramBatch;

use postern_config::rtype::{A, AAAA, CNAME, SOA};

use crate::message::{self, HEADER, QuestionTextError};

/// Datagrams per batch.
const BATCH: usize = 64;
/// Buffer size in octets: enough for a query, an alias of the longest name, an address, an SOA and
/// an OPT record.
const BUFFER: usize = 2048;

/// Rules for the answers. Unless it is an alias, each name has one A record of 203.0.113.0/24 and
/// one AAAA record, both derived from the name.
#[derive(Debug, Clone)]
pub struct UpstreamRules {
    aliases: Vec<Alias>,
    ttl: u32,
}

#[derive(Debug, Clone)]
struct Alias {
    from: Vec<u8>,
    to: Vec<u8>,
}

impl UpstreamRules {
    /// Creates rules with one TTL for all records and no alias.
    pub fn new(ttl: u32) -> Self {
        Self { aliases: Vec::new(), ttl }
    }

    /// Makes names below `from` aliases of the same labels below `to`. The first matching rule
    /// applies.
    pub fn alias(&mut self, from: &str, to: &str) -> Result<(), QuestionTextError> {
        let wire = |name: &str| message::name_to_wire(name).map(|wire| wire.to_ascii_lowercase());
        self.aliases.push(Alias { from: wire(from)?, to: wire(to)? });
        Ok(())
    }

    /// Writes the answer to the query of `length` octets after its question. Returns `None` if the
    /// message is not a plain query, or if there is no room.
    pub fn answer(&self, buffer: &mut [u8], length: usize) -> Option<usize> {
        let query = buffer.get(..length)?;
        if length < HEADER || query[2] & 0xf8 != 0 || query[4..6] != [0, 1] {
            return None;
        }
        let end = HEADER + message::question_length(query)?;
        let edns = query[10..12] != [0, 0];
        let rtype = u16::from_be_bytes([query[end - 4], query[end - 3]]);
        let mut name = [0u8; 255];
        let name = name.get_mut(..end - 4 - HEADER)?;
        name.copy_from_slice(&query[HEADER..end - 4]);
        name.make_ascii_lowercase();
        let alias = self.aliases.iter().find(|alias| name.len() > alias.from.len() && is_below(name, &alias.from));
        let mut reply = Reply { buffer, at: end, ttl: self.ttl };
        let (mut answers, mut authorities) = (0, 0);
        // The name of the question follows the header.
        let mut owner = HEADER;
        let mut final_name = [0u8; 255];
        let mut final_name = final_name.get_mut(..name.len())?;
        final_name.copy_from_slice(name);
        let mut target = [0u8; 255];
        if let Some(alias) = alias {
            let kept = name.len() - alias.from.len();
            let target = target.get_mut(..kept + alias.to.len())?;
            target[..kept].copy_from_slice(&name[..kept]);
            target[kept..].copy_from_slice(&alias.to);
            owner = reply.record(HEADER, CNAME, target)?;
            answers += 1;
            final_name = target;
        }
        let print = fingerprint(final_name).to_be_bytes();
        match rtype {
            A => reply.record(owner, A, &[203, 0, 113, print[7]]).map(|_| answers += 1)?,
            AAAA => {
                let address =
                    [0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, print[0], print[1], print[2], print[3], print[4], print[5], print[6], print[7]];
                reply.record(owner, AAAA, &address).map(|_| answers += 1)?;
            }
            CNAME if alias.is_some() => {}
            _ => reply.no_data().map(|()| authorities += 1)?,
        }
        let additionals = u8::from(edns);
        if edns {
            // RFC 6891, section 6.1.2: root owner, type 41, the server's UDP size, no flags, no
            // options.
            let size = message::UDP_SIZE.to_be_bytes();
            reply.push(&[0, 0, 41, size[0], size[1], 0, 0, 0, 0, 0, 0])?;
        }
        let length = reply.at;
        buffer[2] = 0x80 | (buffer[2] & 0x01);
        buffer[3] = 0x80; // RA: the server acts as a resolver for forwarders
        buffer[6..12].copy_from_slice(&[0, answers, 0, authorities, 0, additionals]);
        Some(length)
    }

    /// Answers datagrams of the socket until `stop` is set. Returns the number of queries that it
    /// answered.
    pub fn serve(&self, socket: &UdpSocket, stop: &AtomicBool) -> io::Result<u64> {
        let mut batch = DatagramBatch::new(BATCH, BUFFER);
        let mut answered = 0;
        while !stop.load(Ordering::Relaxed) {
            for index in 0..batch.receive(socket, true)? {
                let datagram = batch.datagram(index);
                let length = datagram.length;
                if let Some(length) = self.answer(datagram.buffer, length) {
                    batch.reply(index, length);
                }
            }
            answered += batch.send(socket).sent as u64;
        }
        Ok(answered)
    }
}

/// An answer that is appended to its question.
struct Reply<'b> {
    buffer: &'b mut [u8],
    at: usize,
    ttl: u32,
}

impl Reply<'_> {
    /// Appends a record whose owner is at offset `owner`. Returns the offset of its RDATA.
    fn record(&mut self, owner: usize, rtype: u16, rdata: &[u8]) -> Option<usize> {
        // Offsets stay far below 16,383, the limit of a pointer (RFC 1035, section 4.1.4), because
        // only a question and one alias come before.
        self.push(&(0xc000 | owner as u16).to_be_bytes())?;
        self.rest(rtype, rdata)
    }

    /// Appends the negative answer: the SOA record of the root, which is above every name.
    fn no_data(&mut self) -> Option<()> {
        self.push(&[0])?;
        let mut rdata = [0u8; 22];
        for (place, number) in [1u32, 3600, 600, 86_400, 86_400].into_iter().enumerate() {
            rdata[2 + 4 * place..6 + 4 * place].copy_from_slice(&number.to_be_bytes());
        }
        self.rest(SOA, &rdata).map(|_| ())
    }

    fn rest(&mut self, rtype: u16, rdata: &[u8]) -> Option<usize> {
        self.push(&rtype.to_be_bytes())?;
        self.push(&[0, 1])?;
        self.push(&self.ttl.to_be_bytes())?;
        self.push(&(rdata.len() as u16).to_be_bytes())?;
        let at = self.at;
        self.push(rdata)?;
        Some(at)
    }

    fn push(&mut self, octets: &[u8]) -> Option<()> {
        self.buffer.get_mut(self.at..self.at + octets.len())?.copy_from_slice(octets);
        self.at += octets.len();
        Some(())
    }
}

/// Returns true if a name of whole labels ends in `suffix`.
fn is_below(name: &[u8], suffix: &[u8]) -> bool {
    let mut at = 0;
    while name.len() - at > suffix.len() {
        at += 1 + usize::from(name[at]);
    }
    name[at..] == *suffix
}

/// FNV-1a hash, so that a name has the same address everywhere.
fn fingerprint(name: &[u8]) -> u64 {
    name.iter().fold(0xcbf2_9ce4_8422_2325, |hash, octet| (hash ^ u64::from(*octet)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{QueryForm, name_to_wire, write_query};
    use hickory_proto::op::Message;
    use hickory_proto::serialize::binary::BinDecodable;

    fn rules() -> UpstreamRules {
        let mut rules = UpstreamRules::new(300);
        rules.alias("fhir.azurehealthcareapis.com", "fhir.privatelink.azurehealthcareapis.com").unwrap();
        rules
    }

    fn answer(name: &str, rtype: u16) -> Message {
        let mut query = Vec::new();
        write_query(&mut query, &name_to_wire(name).unwrap(), rtype, QueryForm::default());
        let length = query.len();
        query.resize(BUFFER, 0);
        let length = rules().answer(&mut query, length).unwrap();
        Message::from_bytes(&query[..length]).unwrap()
    }

    fn lines(message: &Message) -> Vec<String> {
        message.answers.iter().map(|record| format!("{} {} {}", record.name, record.record_type(), record.data)).collect()
    }

    #[test]
    fn every_name_has_addresses_of_its_own() {
        let (one, other) = (answer("a.contoso.example", 1), answer("b.contoso.example", 1));
        assert!(lines(&one)[0].starts_with("a.contoso.example. A 203.0.113."));
        assert_ne!(lines(&one), lines(&other));
        assert_eq!(
            lines(&one),
            lines(&answer("A.contoso.example", 1)).iter().map(|line| line.to_lowercase().replace(" a ", " A ")).collect::<Vec<_>>()
        );
        assert_eq!(answer("a.contoso.example", 28).answers.len(), 1);
        assert!(one.edns.is_some() && one.metadata.recursion_available);
    }

    #[test]
    fn an_alias_is_followed_whatever_type_is_asked() {
        let found = lines(&answer("ws1.fhir.azurehealthcareapis.com", 1));
        assert_eq!(found[0], "ws1.fhir.azurehealthcareapis.com. CNAME ws1.fhir.privatelink.azurehealthcareapis.com.");
        assert!(found[1].starts_with("ws1.fhir.privatelink.azurehealthcareapis.com. A 203.0.113."));
        let text = answer("ws1.fhir.azurehealthcareapis.com", 16);
        assert_eq!((text.answers.len(), text.authorities.len()), (1, 1));
        assert_eq!(answer("ws1.fhir.azurehealthcareapis.com", 5).answers.len(), 1);
        assert_eq!(lines(&answer("fhir.azurehealthcareapis.com", 1)).len(), 1, "the suffix itself is no alias");
        assert_eq!(lines(&answer("xfhir.azurehealthcareapis.com", 1)).len(), 1);
    }

    #[test]
    fn what_is_no_query_gets_no_answer() {
        let mut buffer = vec![0; BUFFER];
        for length in 0..64 {
            assert_eq!(rules().answer(&mut buffer, length), None);
        }
        write_query(&mut buffer, &name_to_wire("a.example").unwrap(), 1, QueryForm::default());
        let mut query = buffer.split_off(BUFFER);
        query[2] |= 0x80;
        let length = query.len();
        query.resize(BUFFER, 0);
        assert_eq!(rules().answer(&mut query, length), None);
    }

    #[test]
    fn the_longest_name_is_answered_or_left_without_harm() {
        let label = "x".repeat(63);
        let name = format!("{label}.{label}.{label}.{}.fhir.azurehealthcareapis.com", "y".repeat(30));
        let mut query = Vec::new();
        write_query(&mut query, &name_to_wire(&name).unwrap(), 1, QueryForm::default());
        let length = query.len();
        query.resize(BUFFER, 0);
        // The alias would have more than 255 octets.
        assert_eq!(rules().answer(&mut query, length), None);
    }
}
