//! Questions that are answered before the path, or not at all: what is no question, what is no name's data.

use postern_zones::name::{MAX_NAME, NameBuf};

use crate::ede::{ExtendedError, rcode};
use crate::respond;
use crate::state::{AnswerSettings, View};
use crate::wire::message::{flag, read_name};
use crate::wire::question::{DeclinedQuestion, Question, tsig};
use crate::wire::reply::{ReplyWriter, Section};
use crate::wire::rtype;

#[cfg(test)]
mod tests;

/// Class IN.
pub const IN: u16 = 1;
/// Class CHAOS: questions about the server itself (RFC 4892).
const CHAOS: u16 = 3;

/// True for what [`answer`] answers: one test for all that is not ordinary.
#[inline]
pub fn is_unusual(question: &Question) -> bool {
    question.class != IN || question.signed || matches!(question.rtype, rtype::OPT | rtype::NXNAME..=rtype::MAILA)
}

/// Answers a message that is no question for the path; gives the length of the answer.
///
/// `packet`: the message in front, room behind.
#[cold]
pub fn decline(declined: &DeclinedQuestion, settings: &AnswerSettings, packet: &mut [u8]) -> usize {
    // ID, opcode, RD and CD are the client's (RFC 1035 section 4.1.1, RFC 4035 section 3.2.2); the rest starts anew. What RD and CD
    // mean with an unknown opcode is unknown, so they are clear then.
    let bits = if declined.rcode == rcode::NOTIMP { flag::OPCODE } else { flag::OPCODE | flag::RD | flag::CD };
    let kept = u16::from_be_bytes([packet[2], packet[3]]) & bits;
    let errors = [declined.error];
    let opt = respond::opt(declined.edns.as_ref(), &declined.cookie, settings, if declined.error.text.is_empty() { &[] } else { &errors });
    ReplyWriter::start(packet, declined.end, packet.len(), 0).finish(flag::QR | kept, declined.rcode, opt)
}

/// Answers a question with the advice to ask again over TCP, or with the cookie that comes along (RFC 7873 section 5.2.3). Returns the
/// length of the answer.
#[cold]
pub fn advise(question: &Question, settings: &AnswerSettings, packet: &mut [u8]) -> usize {
    let (bits, rcode) = if question.cookie.is_some() { (0, rcode::BADCOOKIE) } else { (flag::TC, rcode::NOERROR) };
    let recursion_desired = if question.recursion_desired { flag::RD } else { 0 };
    let opt = respond::opt(question.edns.as_ref(), &question.cookie, settings, &[]);
    ReplyWriter::start(packet, question.end, packet.len(), 0).finish(flag::QR | recursion_desired | bits, rcode, opt)
}

/// Answers an unusual question; none: the path does.
///
/// `packet`: the message of `length` octets in front, room behind. `limit`: the most octets the client takes.
#[cold]
pub fn answer(question: &Question, view: &View, packet: &mut [u8], length: usize, limit: usize) -> Option<usize> {
    use rcode::{FORMERR, NOTIMP, REFUSED};
    if question.signed
        && let Some((owner, data)) = tsig(&packet[..length], question)
    {
        return Some(unknown_key(question, view, packet, length, owner, data, limit));
    }
    let (rcode, code, text) = match (question.class, question.rtype) {
        // Types that no name can have (RFC 6895 section 3.1); NXNAME only stands in denials (RFC 9824 section 3.5).
        (_, rtype::OPT | rtype::TSIG | rtype::NXNAME) => (FORMERR, 30, "no type to ask for"),
        // The meta-types that are left: no zone can hold them, and what they would mean no upstream can say to us (RFC 8906 section 7
        // leaves NOTIMP to meta-types alone; RFC 6895 section 3.1 has their range).
        (_, 129..=rtype::TKEY | rtype::MAILA | rtype::MAILB) => (NOTIMP, 21, "type not supported"),
        // Over either transport: AXFR over UDP is not defined (RFC 5936 section 4.2), and to refuse says all that a secondary needs.
        (_, rtype::AXFR | rtype::IXFR) => (REFUSED, 21, "transfers are not served"),
        (IN, _) => return None,
        (CHAOS, _) => return Some(about_the_server(question, view, packet, limit)),
        // Hesiod, NONE, ANY: we hold nothing in them. To be silent would be worse (RFC 8906 section 4).
        _ => (REFUSED, 21, "class not supported"),
    };
    Some(refuse(question, view, packet, limit, rcode, &[ExtendedError { code, text }]))
}

fn refuse(question: &Question, view: &View, packet: &mut [u8], limit: usize, rcode: u16, errors: &[ExtendedError]) -> usize {
    let opt = respond::opt(question.edns.as_ref(), &question.cookie, &view.state.settings, errors);
    let reply = ReplyWriter::start(packet, question.end, limit, opt.map_or(0, |opt| opt.reserve()));
    reply.finish(flags(question, view), rcode, opt)
}

fn flags(question: &Question, view: &View) -> u16 {
    let bit = |set, bit| if set { bit } else { 0 };
    flag::QR
        | bit(question.recursion_desired, flag::RD)
        | bit(view.recursion, flag::RA)
        | bit(question.checking_disabled && view.recursion, flag::CD)
}

/// `version.bind`, `id.server` and their like: what the configuration names, else REFUSED (RFC 4892 section 2.1 asks for a way to say no).
fn about_the_server(question: &Question, view: &View, packet: &mut [u8], limit: usize) -> usize {
    let settings = &view.state.settings;
    let text = match question.name.as_wire() {
        b"\x07version\x04bind\0" | b"\x07version\x06server\0" => &settings.version,
        b"\x08hostname\x04bind\0" | b"\x02id\x06server\0" => &settings.identity,
        _ => &None,
    };
    let Some(text) = text else {
        let error = ExtendedError { code: 20, text: "nothing is told of this server under this name" };
        return refuse(question, view, packet, limit, rcode::REFUSED, &[error]);
    };
    let opt = respond::opt(question.edns.as_ref(), &question.cookie, settings, &[]);
    let mut reply = ReplyWriter::start(packet, question.end, limit, opt.map_or(0, |opt| opt.reserve()));
    let asked = matches!(question.rtype, rtype::TXT | rtype::ANY);
    if asked {
        let mut rdata = [0u8; 256];
        let text = &text.as_bytes()[..text.len().min(255)];
        rdata[0] = text.len() as u8;
        rdata[1..1 + text.len()].copy_from_slice(text);
        reply.record(Section::Answer, rtype::TXT, 0, &rdata[..1 + text.len()]);
    }
    let length = reply.finish(flags(question, view) | flag::AA, rcode::NOERROR, opt);
    if asked && packet[7] == 1 {
        packet[question.end + 4..question.end + 6].copy_from_slice(&CHAOS.to_be_bytes()); // behind the owner's pointer and the type
    }
    length
}

/// A question signed with TSIG, by a key that we cannot know as we have none: NOTAUTH, and a TSIG record of our own that says BADKEY and is
/// not signed (RFC 8945 sections 5.2.1 and 5.3.2).
fn unknown_key(
    question: &Question,
    view: &View,
    packet: &mut [u8],
    length: usize,
    owner: usize,
    data: std::ops::Range<usize>,
    limit: usize,
) -> usize {
    const BADKEY: u16 = 17;
    let formerr = [ExtendedError { code: 0, text: "bad TSIG record" }];
    let Ok((key, _)) = read_name(&packet[..length], owner) else {
        return refuse(question, view, packet, limit, rcode::FORMERR, &formerr);
    };
    let rdata = &packet[data];
    let algorithm = NameBuf::read(rdata).ok();
    // Time signed (6), fudge (2), MAC size (2), MAC, original ID (2), error (2), other length (2).
    let parsed = algorithm.and_then(|algorithm| {
        let rest = rdata.get(algorithm.len()..)?;
        let time: [u8; 8] = *rest.first_chunk()?;
        let mac = usize::from(u16::from_be_bytes([*rest.get(8)?, *rest.get(9)?]));
        let tail: [u8; 6] = *rest.get(10 + mac..)?.first_chunk()?;
        Some((algorithm, time, [tail[0], tail[1]]))
    });
    let Some((algorithm, time, id)) = parsed else {
        return refuse(question, view, packet, limit, rcode::FORMERR, &formerr);
    };
    let mut record = [0u8; 2 * MAX_NAME + 26];
    let mut size = 0;
    let mut put = |octets: &[u8]| {
        record[size..size + octets.len()].copy_from_slice(octets);
        size += octets.len();
    };
    put(key.as_wire());
    put(&rtype::TSIG.to_be_bytes());
    put(&[0, 255, 0, 0, 0, 0]); // class ANY, TTL 0
    put(&((algorithm.len() + 16) as u16).to_be_bytes());
    put(algorithm.as_wire());
    put(&time);
    put(&[0, 0]);
    put(&id);
    put(&BADKEY.to_be_bytes());
    put(&[0, 0]);
    let errors = [ExtendedError { code: 0, text: "TSIG key not known" }];
    let length = refuse(question, view, packet, limit, rcode::NOTAUTH, &errors);
    // Where there is no room, NOTAUTH alone must do.
    let Some(room) = packet.get_mut(length..(length + size).min(limit)).filter(|room| room.len() == size) else { return length };
    room.copy_from_slice(&record[..size]);
    let additionals = u16::from_be_bytes([packet[10], packet[11]]) + 1;
    packet[10..12].copy_from_slice(&additionals.to_be_bytes());
    length + size
}
