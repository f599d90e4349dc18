//! Our own questions, and telling their answers from other datagrams.

use std::hash::{BuildHasher, Hasher};

use postern_zones::name::MAX_NAME;
use siphasher::sip::SipHasher13;

use crate::query::Ask;
use crate::wire::message::flag;
use crate::wire::{HEADER, rtype};

/// Octets of the largest question.
pub const MAX: usize = HEADER + MAX_NAME + 4 + 11;
/// UDP answers we take without fragments on any path (RFC 9715 section 3).
pub const UDP_SIZE: u16 = 1232;

/// Writes the question with ID 0 into `out`; gives its length.
///
/// RD is set (we forward), CD and DO are the client's, AD asks for the upstream's verdict (RFC 6840 section 5.7). Options of the client
/// (cookies, client subnet, padding) are between it and us, and not passed on (RFC 6891 section 6.1.1).
pub fn write(ask: &Ask, edns: bool, out: &mut [u8; MAX]) -> usize {
    let flags = flag::RD | flag::AD | if ask.checking_disabled { flag::CD } else { 0 };
    out[..2].copy_from_slice(&[0, 0]);
    out[2..4].copy_from_slice(&flags.to_be_bytes());
    out[4..HEADER].copy_from_slice(&[0, 1, 0, 0, 0, 0, 0, u8::from(edns)]);
    let mut len = HEADER;
    let mut put = |octets: &[u8]| {
        out[len..len + octets.len()].copy_from_slice(octets);
        len += octets.len();
    };
    put(ask.name.as_wire());
    put(&ask.rtype.to_be_bytes());
    put(&[0, 1]);
    if edns {
        put(&[0]);
        put(&rtype::OPT.to_be_bytes());
        put(&UDP_SIZE.to_be_bytes());
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
    let mut at = HEADER;
    if message.get(4..6)? != [0, 1] {
        return None;
    }
    loop {
        let length = usize::from(*message.get(at)?);
        at += 1 + length;
        match length {
            0 => break,
            1..=63 if at < HEADER + MAX_NAME => {}
            _ => return None, // a pointer cannot point anywhere from the first name
        }
    }
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

    #[derive(Clone)]
    struct Fixed;

    impl BuildHasher for Fixed {
        type Hasher = SipHasher13;
        fn build_hasher(&self) -> SipHasher13 {
            SipHasher13::new_with_keys(1, 2)
        }
    }

    fn ask(name: &str, dnssec_ok: bool, checking_disabled: bool) -> Ask {
        Ask { route: RouteId(0), name: NameBuf::parse(name).unwrap(), rtype: rtype::AAAA, dnssec_ok, checking_disabled }
    }

    #[test]
    fn writes_what_another_implementation_reads() {
        for (dnssec_ok, checking_disabled, edns) in [(false, false, true), (true, true, true), (true, false, false)] {
            let mut out = [0u8; MAX];
            let len = write(&ask("www.contoso.test", dnssec_ok, checking_disabled), edns, &mut out);
            let message = Message::from_vec(&out[..len]).unwrap();
            assert!(message.metadata.recursion_desired && message.metadata.authentic_data);
            assert_eq!(message.metadata.checking_disabled, checking_disabled);
            assert_eq!(message.queries[0].to_string(), "www.contoso.test. IN AAAA");
            let opt = message.edns.as_ref().map(|opt| (opt.max_payload(), opt.flags().dnssec_ok));
            assert_eq!(opt, edns.then_some((UDP_SIZE, dnssec_ok)));
        }
    }

    #[test]
    fn the_longest_name_fits() {
        let longest = format!("{0}.{0}.{0}.{1}", "a".repeat(63), "b".repeat(61));
        let len = write(&ask(&longest, true, false), true, &mut [0; MAX]);
        assert_eq!(len, MAX);
    }

    #[test]
    fn an_answer_is_known_by_its_question_whatever_its_letter_case() {
        let mut out = [0u8; MAX];
        let len = write(&ask("www.contoso.test", false, false), true, &mut out);
        let own = question(&Fixed, &out[..len]).unwrap();
        let mut upper = out[..len].to_vec();
        upper[HEADER + 1..HEADER + 4].copy_from_slice(b"WwW");
        assert_eq!(question(&Fixed, &upper), Some(own));
        for (at, octet) in [(HEADER + 2, b'x'), (HEADER + 18, 0xff), (HEADER + 19, 1), (HEADER + 21, 3)] {
            let mut other = out[..len].to_vec();
            other[at] = octet;
            assert_ne!(question(&Fixed, &other), Some(own), "octet {at}");
        }
        for cut in 0..HEADER + 22 {
            assert_eq!(question(&Fixed, &out[..cut]), None, "cut at {cut}");
        }
        assert_eq!(question(&Fixed, b"\0\0\x80\0\0\x01\0\0\0\0\0\0\xc0\x0c\0\x01\0\x01"), None);
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
