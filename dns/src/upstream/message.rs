//! Our own questions, the marks in them, and telling their answers from other datagrams.

use std::hash::{BuildHasher, Hasher};

use postern_zones::name::MAX_NAME;
use siphasher::sip::SipHasher13;

use crate::query::UpstreamQuery;
use crate::wire::message::{flag, opt_record};
use crate::wire::{HEADER, rtype};

/// Octets of the largest question.
pub const MAX: usize = HEADER + MAX_NAME + 4 + 11;
/// Octets of a client cookie (RFC 7873 section 4).
pub const COOKIE: usize = 8;
/// Octets of the largest server cookie.
pub const SERVER_COOKIE: usize = 32;
/// Octets of the largest question with cookies.
pub const MAX_MARKED: usize = MAX + OPTION_HEADER + COOKIE + SERVER_COOKIE;
/// UDP answers we take without fragments on any path (RFC 9715 section 3).
pub const UDP_SIZE: u16 = 1232;

/// Octets of an OPT record without options.
const OPT: usize = 11;
/// Octets of an EDNS option before its data.
const OPTION_HEADER: usize = 4;
/// Number of the COOKIE option.
const COOKIE_OPTION: [u8; 2] = 10u16.to_be_bytes();

/// Writes the question with ID 0 into `out`; gives its length. It has an OPT record if `edns` has the largest UDP response to ask for.
///
/// RD is set (we forward), CD and DO are the client's, AD asks for the upstream's verdict (RFC 6840 section 5.7). Options of the client
/// (cookies, client subnet, padding) are between it and us, and not passed on (RFC 6891 section 6.1.1).
pub fn write(ask: &UpstreamQuery, edns: Option<u16>, out: &mut [u8; MAX]) -> usize {
    let flags = flag::RD | flag::AD | if ask.checking_disabled { flag::CD } else { 0 };
    out[..2].copy_from_slice(&[0, 0]);
    out[2..4].copy_from_slice(&flags.to_be_bytes());
    out[4..HEADER].copy_from_slice(&[0, 1, 0, 0, 0, 0, 0, u8::from(edns.is_some())]);
    let mut len = HEADER;
    let mut put = |octets: &[u8]| {
        out[len..len + octets.len()].copy_from_slice(octets);
        len += octets.len();
    };
    put(ask.name.as_wire());
    put(&ask.rtype.to_be_bytes());
    put(&[0, 1]);
    if let Some(udp_size) = edns {
        put(&[0]);
        put(&rtype::OPT.to_be_bytes());
        put(&udp_size.to_be_bytes());
        put(&[0, 0, u8::from(ask.dnssec_ok) << 7, 0, 0, 0]);
    }
    len
}

/// The ID of a message.
pub fn id(message: &[u8]) -> Option<u16> {
    Some(u16::from_be_bytes(*message.first_chunk()?))
}

/// A keyed hash of the question in `message`, letter case aside; none where there is no readable question.
///
/// Kept beside each ID instead of the question: an answer must have both right to be looked at.
pub fn question(key: &impl BuildHasher<Hasher = SipHasher13>, message: &[u8]) -> Option<u64> {
    let at = end_of_question_name(message)?;
    let mut lowered = [0u8; MAX_NAME + 4];
    let octets = message.get(HEADER..at + 4)?;
    let lowered = lowered.get_mut(..octets.len())?;
    for (to, from) in lowered.iter_mut().zip(octets) {
        *to = from.to_ascii_lowercase();
    }
    // Lengths are at most 63 and so not letters. TYPE and CLASS are: they stay as they are.
    let fixed = lowered.len() - 4;
    lowered[fixed..].copy_from_slice(&octets[fixed..]);
    let mut hasher = key.build_hasher();
    hasher.write(lowered);
    Some(hasher.finish())
}

/// Returns a keyed hash of the question's name as it is written. `None` if there is no readable question.
pub fn case(key: &impl BuildHasher<Hasher = SipHasher13>, message: &[u8]) -> Option<u64> {
    let mut hasher = key.build_hasher();
    hasher.write(message.get(HEADER..end_of_question_name(message)?)?);
    Some(hasher.finish())
}

/// Gives each letter of the question's name a random case: one bit more to guess for each letter.
pub fn randomize_case(message: &mut [u8]) {
    let Some(end) = end_of_question_name(message) else { return };
    for octets in message[HEADER..end].chunks_mut(64) {
        let bits: u64 = rand::random();
        for (bit, octet) in octets.iter_mut().enumerate() {
            if octet.is_ascii_alphabetic() && bits >> bit & 1 == 1 {
                *octet ^= 0x20; // lengths are at most 63, and so no letters
            }
        }
    }
}

/// Lowers the question's name. Names in the message that point to it are lowered with it, so that no client sees the random case.
pub fn lower_question(message: &mut [u8]) {
    if let Some(end) = end_of_question_name(message) {
        message[HEADER..end].make_ascii_lowercase();
    }
}

/// Adds a COOKIE option to the question that stands in `out` from `start` to the end. Returns false if it has no OPT record at its end.
pub fn append_cookie(out: &mut Vec<u8>, start: usize, client: [u8; COOKIE], server: &[u8]) -> bool {
    let message = &out[start..];
    let has_opt = message.get(10..12) == Some(&[0, 1])
        && message.len() > HEADER + OPT
        && message[message.len() - OPT..].starts_with(&[0, 0, rtype::OPT as u8])
        && message.ends_with(&[0, 0]);
    if has_opt {
        let length = COOKIE + server.len();
        let rdata = out.len();
        out[rdata - 2..].copy_from_slice(&((OPTION_HEADER + length) as u16).to_be_bytes());
        out.extend_from_slice(&COOKIE_OPTION);
        out.extend_from_slice(&(length as u16).to_be_bytes());
        out.extend_from_slice(&client);
        out.extend_from_slice(server);
    }
    has_opt
}

/// Returns the data of the COOKIE option of a message.
pub fn cookie(message: &[u8]) -> Option<&[u8]> {
    let (_, mut options) = opt_record(message)?;
    while let Some(([code @ .., high, low], rest)) = options.split_first_chunk::<OPTION_HEADER>() {
        let (data, next) = rest.split_at_checked(usize::from(u16::from_be_bytes([*high, *low])))?;
        if *code == COOKIE_OPTION {
            return Some(data);
        }
        options = next;
    }
    None
}

/// Returns the offset behind the name of the only question. `None` if there is no readable question.
fn end_of_question_name(message: &[u8]) -> Option<usize> {
    let mut at = HEADER;
    if message.get(4..6)? != [0, 1] {
        return None;
    }
    loop {
        let length = usize::from(*message.get(at)?);
        at += 1 + length;
        match length {
            0 => return (at <= message.len()).then_some(at),
            1..=63 if at < HEADER + MAX_NAME => {}
            _ => return None, // a pointer cannot point anywhere from the first name
        }
    }
}

/// Secret keys of the hash that [`question`] makes.
#[derive(Clone)]
pub struct QuestionKeys(u64, u64);

impl QuestionKeys {
    /// Keys that nobody can guess.
    pub fn random() -> Self {
        Self(rand::random(), rand::random())
    }

    /// These very keys.
    #[cfg(test)]
    pub fn new(first: u64, second: u64) -> Self {
        Self(first, second)
    }
}

impl BuildHasher for QuestionKeys {
    type Hasher = SipHasher13;

    fn build_hasher(&self) -> SipHasher13 {
        SipHasher13::new_with_keys(self.0, self.1)
    }
}

/// Returns true for a response to a standard query: QR is set and OPCODE is 0.
pub fn is_response(message: &[u8]) -> bool {
    message.get(2).is_some_and(|flags| flags & 0xf8 == 0x80)
}

/// True for an error that comes without the question: some servers answer FORMERR, NOTIMP, SERVFAIL or REFUSED with the bare header.
pub fn is_bare_error(message: &[u8]) -> bool {
    message.len() >= HEADER && is_response(message) && message[3] & 0xf != 0 && message[3] & 0xf != 3 && message[4..6] == [0, 0]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::RouteId;
    use hickory_proto::op::Message;
    use postern_zones::name::NameBuf;

    fn ask(name: &str, dnssec_ok: bool, checking_disabled: bool) -> UpstreamQuery {
        UpstreamQuery { route: RouteId(0), name: NameBuf::parse(name).unwrap(), rtype: rtype::AAAA, dnssec_ok, checking_disabled }
    }

    #[test]
    fn writes_what_another_implementation_reads() {
        for (dnssec_ok, checking_disabled, edns) in [(false, false, true), (true, true, true), (true, false, false)] {
            let mut out = [0u8; MAX];
            let len = write(&ask("www.contoso.test", dnssec_ok, checking_disabled), edns.then_some(1400), &mut out);
            let message = Message::from_vec(&out[..len]).unwrap();
            assert!(message.metadata.recursion_desired && message.metadata.authentic_data);
            assert_eq!(message.metadata.checking_disabled, checking_disabled);
            assert_eq!(message.queries[0].to_string(), "www.contoso.test. IN AAAA");
            let opt = message.edns.as_ref().map(|opt| (opt.max_payload(), opt.flags().dnssec_ok));
            assert_eq!(opt, edns.then_some((1400, dnssec_ok)));
        }
    }

    #[test]
    fn the_longest_name_fits() {
        let longest = format!("{0}.{0}.{0}.{1}", "a".repeat(63), "b".repeat(61));
        let len = write(&ask(&longest, true, false), Some(UDP_SIZE), &mut [0; MAX]);
        assert_eq!(len, MAX);
    }

    #[test]
    fn an_answer_is_known_by_its_question_whatever_its_letter_case() {
        let mut out = [0u8; MAX];
        let len = write(&ask("www.contoso.test", false, false), Some(UDP_SIZE), &mut out);
        let own = question(&QuestionKeys::new(1, 2), &out[..len]).unwrap();
        let mut upper = out[..len].to_vec();
        upper[HEADER + 1..HEADER + 4].copy_from_slice(b"WwW");
        assert_eq!(question(&QuestionKeys::new(1, 2), &upper), Some(own));
        for (at, octet) in [(HEADER + 2, b'x'), (HEADER + 18, 0xff), (HEADER + 19, 1), (HEADER + 21, 3)] {
            let mut other = out[..len].to_vec();
            other[at] = octet;
            assert_ne!(question(&QuestionKeys::new(1, 2), &other), Some(own), "octet {at}");
        }
        for cut in 0..HEADER + 22 {
            assert_eq!(question(&QuestionKeys::new(1, 2), &out[..cut]), None, "cut at {cut}");
        }
        assert_eq!(question(&QuestionKeys::new(1, 2), b"\0\0\x80\0\0\x01\0\0\0\0\0\0\xc0\x0c\0\x01\0\x01"), None);
    }

    #[test]
    fn the_letter_case_of_a_question_is_random_and_can_be_told_and_undone() {
        let mut out = [0u8; MAX];
        let len = write(&ask("www-1.contoso.test", false, false), Some(UDP_SIZE), &mut out);
        let (plain, mut seen) = (out[..len].to_vec(), std::collections::HashSet::new());
        for _ in 0..200 {
            let mut random = plain.clone();
            randomize_case(&mut random);
            seen.insert(random.clone());
            assert_eq!(case(&QuestionKeys::new(1, 2), &random) == case(&QuestionKeys::new(1, 2), &plain), random == plain);
            assert_eq!(question(&QuestionKeys::new(1, 2), &random), question(&QuestionKeys::new(1, 2), &plain));
            lower_question(&mut random);
            assert_eq!(random, plain);
        }
        assert!(seen.len() > 190, "{} of 200", seen.len());
        for cut in 0..HEADER + 20 {
            let mut short = plain[..cut].to_vec();
            randomize_case(&mut short);
            assert_eq!((&short[..], case(&QuestionKeys::new(1, 2), &short)), (&plain[..cut], None));
        }
    }

    #[test]
    fn a_cookie_is_written_as_another_implementation_reads_it() {
        let mut out = [0u8; MAX];
        for edns in [true, false] {
            let len = write(&ask("www.contoso.test", true, false), edns.then_some(UDP_SIZE), &mut out);
            for server in [&b""[..], &[7; SERVER_COOKIE]] {
                let mut marked = [b"before", &out[..len]].concat();
                assert_eq!(append_cookie(&mut marked, 6, *b"ourcooki", server), edns);
                let message = Message::from_vec(&marked[6..]).unwrap();
                assert_eq!(message.edns.map(|opt| opt.options().as_ref().len()), edns.then_some(1));
                assert_eq!(cookie(&marked[6..]).map(<[u8]>::to_vec), edns.then(|| [b"ourcooki", server].concat()));
                (0..marked.len() - 6).for_each(|cut| assert_eq!(cookie(&marked[6..6 + cut]), None));
            }
        }
    }

    #[test]
    fn bare_errors_are_answers_and_bare_denials_are_not() {
        for (rcode, bare) in [(0, false), (1, true), (2, true), (3, false), (4, true), (5, true)] {
            assert_eq!(is_bare_error(&[0, 0, 0x80, rcode, 0, 0, 0, 0, 0, 0, 0, 0]), bare, "{rcode}");
        }
        assert!(!is_bare_error(&[0, 0, 0x00, 1, 0, 0, 0, 0, 0, 0, 0, 0]), "a query");
        assert!(!is_bare_error(&[0, 0, 0x80, 1]));
    }
}
