//! Marks in our questions that an upstream returns: the letter case of the name (0x20), and DNS cookies.

use std::hash::{BuildHasher, Hasher};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use arrayvec::ArrayVec;
use siphasher::sip::SipHasher24;

use crate::clock::Now;
use crate::upstream::AttemptId;
use crate::upstream::message::{self, COOKIE, SERVER_COOKIE};
use crate::wire::message::extended_rcode;

/// Different questions that must agree before a mark is given up. Until then each of them is asked over TCP.
pub(super) const AGREE: usize = 3;
/// How long letter case is not relied on after that.
const WITHOUT_CASE: Duration = Duration::from_secs(3600);
/// RCODE of a server that wants its cookie (RFC 7873 section 5.3).
const BADCOOKIE: u16 = 23;

/// State of one upstream that the marks of its questions depend on.
#[derive(Debug)]
pub(super) struct PeerMarks {
    name: std::sync::Arc<str>,
    /// Switches of the configuration.
    pub(super) random_case: bool,
    pub(super) cookies: bool,
    /// The upstream breaks letter case until then.
    without_case: Now,
    /// Hashes of questions that came back in another letter case.
    case_broken: ArrayVec<u64, AGREE>,
    /// The upstream's last cookie, and our address that it is for (RFC 9018 section 3).
    server_cookie: Option<(IpAddr, ArrayVec<u8, SERVER_COOKIE>)>,
    /// Hashes of questions answered without a cookie since.
    cookie_missing: ArrayVec<u64, AGREE>,
}

/// The marks of one question.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct QuestionMarks {
    /// Hash of the name as it was sent. `None` if its letter case was left alone.
    case: Option<u64>,
    cookie: bool,
    /// The same question was answered without marks before, and there is no TCP: both answers have a right ID of their own.
    pub(super) is_second: bool,
}

/// The outstanding question that a datagram belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClaimedDatagram {
    /// The datagram answers this attempt.
    Answer(AttemptId),
    /// Too many wrong IDs came for this attempt: somebody guesses.
    Guessed(AttemptId),
    /// The datagram seems to answer this attempt, but a mark is wrong that the upstream may have lost.
    Doubtful(AttemptId),
    /// The upstream wants its cookie with this attempt, which is known now (RFC 7873).
    BadCookie(AttemptId),
    /// The datagram belongs to no question.
    Stray,
}

/// Verdict on a response with the right ID and question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MarkVerdict {
    /// All marks came back.
    Right,
    /// A mark is wrong that the upstream may have lost.
    Doubtful,
    /// The upstream wants its cookie, which is known now.
    BadCookie,
    /// It has a cookie that this server never sent.
    Foreign,
}

impl PeerMarks {
    pub(super) fn new(name: std::sync::Arc<str>) -> Self {
        Self {
            name,
            random_case: true,
            cookies: true,
            without_case: Now(0),
            case_broken: ArrayVec::new(),
            server_cookie: None,
            cookie_missing: ArrayVec::new(),
        }
    }

    /// Marks the question that stands in `octets` from `start` on.
    pub(super) fn mark(
        &self,
        now: Now,
        keys: &impl BuildHasher<Hasher = siphasher::sip::SipHasher13>,
        local: IpAddr,
        cookie: [u8; COOKIE],
        octets: &mut Vec<u8>,
        start: usize,
    ) -> QuestionMarks {
        let mut marks = QuestionMarks::default();
        if self.random_case && now >= self.without_case {
            message::randomize_case(&mut octets[start..]);
            marks.case = message::case(keys, &octets[start..]);
        }
        if self.cookies {
            let known = self.server_cookie.as_ref().filter(|(address, _)| *address == local);
            marks.cookie = message::append_cookie(octets, start, cookie, known.map_or(&[][..], |(_, cookie)| cookie));
        }
        marks
    }

    /// Checks the marks of a response. `question`: its hash.
    pub(super) fn check(
        &mut self,
        now: Now,
        keys: &impl BuildHasher<Hasher = siphasher::sip::SipHasher13>,
        (sent, question): (QuestionMarks, u64),
        (local, cookie): (IpAddr, [u8; COOKIE]),
        response: &[u8],
    ) -> MarkVerdict {
        let mut verdict = MarkVerdict::Right;
        if sent.cookie {
            verdict = self.check_cookie(question, local, cookie, response);
        }
        if verdict != MarkVerdict::Foreign
            && let Some(case) = sent.case
        {
            match message::case(keys, response) == Some(case) {
                true => self.case_broken.clear(),
                false if now < self.without_case => {}
                false => {
                    if agree(&mut self.case_broken, question) {
                        self.without_case = now.plus(WITHOUT_CASE);
                        tracing::warn!(upstream = %self.name, "upstream changes the letter case of names; no longer checking it there");
                    } else if !sent.is_second {
                        verdict = MarkVerdict::Doubtful;
                    }
                }
            }
        }
        if verdict == MarkVerdict::Doubtful && sent.is_second { MarkVerdict::Right } else { verdict }
    }

    fn check_cookie(&mut self, question: u64, local: IpAddr, cookie: [u8; COOKIE], response: &[u8]) -> MarkVerdict {
        match message::cookie(response) {
            Some(option) => {
                if option.first_chunk() != Some(&cookie) || !matches!(option.len(), 8 | 16..=40) {
                    return MarkVerdict::Foreign;
                }
                // A server that returns our own cookie alone has none.
                let known = option.get(COOKIE..).filter(|server| !server.is_empty()).and_then(|server| ArrayVec::try_from(server).ok());
                self.cookie_missing.clear();
                let is_new = known.is_some();
                if let Some(known) = known {
                    self.server_cookie = Some((local, known));
                }
                if extended_rcode(response) == BADCOOKIE && is_new { MarkVerdict::BadCookie } else { MarkVerdict::Right }
            }
            None if self.server_cookie.as_ref().is_some_and(|(address, _)| *address == local) => {
                if agree(&mut self.cookie_missing, question) {
                    self.server_cookie = None;
                    tracing::info!(upstream = %self.name, "upstream has stopped sending DNS cookies");
                    return MarkVerdict::Right;
                }
                MarkVerdict::Doubtful
            }
            None => MarkVerdict::Right,
        }
    }
}

/// Adds a question to those that agree. Returns true if they are enough.
fn agree(seen: &mut ArrayVec<u64, AGREE>, question: u64) -> bool {
    if !seen.contains(&question) {
        seen.push(question); // there is room: a full one is cleared below
    }
    let enough = seen.is_full();
    if enough {
        seen.clear();
    }
    enough
}

/// Returns our cookie for one upstream and one address of ours (RFC 9018 section 3).
pub(super) fn client_cookie(secret: [u64; 2], local: IpAddr, upstream: SocketAddr) -> [u8; COOKIE] {
    let mut hasher = SipHasher24::new_with_keys(secret[0], secret[1]);
    for address in [local, upstream.ip()] {
        match address {
            IpAddr::V4(address) => hasher.write(&address.octets()),
            IpAddr::V6(address) => hasher.write(&address.octets()),
        }
    }
    hasher.finish().to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::message::QuestionKeys;

    #[test]
    fn different_questions_must_agree_and_one_counts_once() {
        let mut seen = ArrayVec::new();
        assert_eq!([1, 1, 1, 2, 2].map(|question| agree(&mut seen, question)), [false; 5]);
        assert!(agree(&mut seen, 3));
        assert!(seen.is_empty());
    }

    #[test]
    fn a_cookie_depends_on_both_addresses() {
        let cookie = |local: &str, upstream: &str| client_cookie([1, 2], local.parse().unwrap(), upstream.parse().unwrap());
        let one = cookie("192.0.2.1", "198.51.100.1:53");
        assert_eq!(one, cookie("192.0.2.1", "198.51.100.1:53"));
        for (local, upstream) in [("192.0.2.2", "198.51.100.1:53"), ("192.0.2.1", "198.51.100.2:53"), ("2001:db8::1", "198.51.100.1:53")] {
            assert_ne!(one, cookie(local, upstream));
        }
    }

    /// A question for `www.contoso.test A` with an OPT record.
    const QUESTION: &[u8] = b"\0\0\x01\x20\0\x01\0\0\0\0\0\x01\x03www\x07contoso\x04test\0\0\x01\0\x01\0\0\x29\x04\xd0\0\0\0\0\0\0";
    const COOKIE_OF_US: [u8; COOKIE] = *b"ourcooki";

    fn local() -> IpAddr {
        "192.0.2.1".parse().unwrap()
    }

    fn marked(peer: &PeerMarks) -> (Vec<u8>, QuestionMarks) {
        let mut octets = QUESTION.to_vec();
        let marks = peer.mark(Now(1), &QuestionKeys::new(1, 2), local(), COOKIE_OF_US, &mut octets, 0);
        (octets, marks)
    }

    fn check(peer: &mut PeerMarks, marks: QuestionMarks, question: u64, response: &[u8]) -> MarkVerdict {
        peer.check(Now(1), &QuestionKeys::new(1, 2), (marks, question), (local(), COOKIE_OF_US), response)
    }

    /// The question as a response with this COOKIE option and upper RCODE bits.
    fn response(question: &[u8], option: Option<&[u8]>, rcode: u16) -> Vec<u8> {
        let end = QUESTION.len() - 11;
        let mut octets = question[..end].to_vec();
        (octets[2], octets[3]) = (0x81, 0x80 | (rcode & 0xf) as u8);
        octets.extend_from_slice(&[0, 0, 41, 4, 0xd0, (rcode >> 4) as u8, 0, 0, 0]);
        let length = option.map_or(0, |option| option.len() + 4);
        octets.extend_from_slice(&(length as u16).to_be_bytes());
        if let Some(option) = option {
            octets.extend_from_slice(&[0, 10, 0, option.len() as u8]);
            octets.extend_from_slice(option);
        }
        octets
    }

    #[test]
    fn an_upstream_that_breaks_letter_case_is_believed_after_three_names_or_at_a_second_answer() {
        let mut peer = PeerMarks::new("192.0.2.53".into());
        peer.cookies = false;
        let lowered = response(QUESTION, None, 0);
        for (question, is_second, want) in [
            (1, false, MarkVerdict::Doubtful),
            (1, true, MarkVerdict::Right),
            (1, false, MarkVerdict::Doubtful),
            (2, false, MarkVerdict::Doubtful),
            (3, false, MarkVerdict::Right),
            (4, false, MarkVerdict::Right),
        ] {
            let mut marks = loop {
                let (octets, marks) = marked(&peer);
                if octets != QUESTION || question == 4 {
                    break marks;
                }
            };
            marks.is_second = is_second;
            assert_eq!(check(&mut peer, marks, question, &lowered), want, "{question}");
        }
        assert_eq!(marked(&peer).0, QUESTION, "its questions are in lower case now");
    }

    #[test]
    fn a_name_in_its_own_letter_case_is_right_and_ends_the_doubt() {
        let mut peer = PeerMarks::new("192.0.2.53".into());
        peer.cookies = false;
        for question in 1..100 {
            let (octets, marks) = marked(&peer);
            let mut other = octets.clone();
            other[13] ^= 0x20;
            if question % 2 == 0 {
                assert_eq!(check(&mut peer, marks, question, &response(&other, None, 0)), MarkVerdict::Doubtful);
            } else {
                assert_eq!(check(&mut peer, marks, question, &response(&octets, None, 0)), MarkVerdict::Right);
            }
        }
        peer.random_case = false;
        assert_eq!(marked(&peer).0, QUESTION);
    }

    #[test]
    fn cookies_are_returned_and_a_foreign_one_is_never_believed() {
        let mut peer = PeerMarks::new("192.0.2.53".into());
        peer.random_case = false;
        let (octets, marks) = marked(&peer);
        assert_eq!(message::cookie(&octets), Some(&COOKIE_OF_US[..]));
        let both = [&COOKIE_OF_US[..], b"server-cookie-16"].concat();
        for foreign in [&b"anothers"[..], b"anothersserver-cookie-16", b"our", &both[..12], &[both.clone(), vec![0; 40]].concat()] {
            assert_eq!(
                check(&mut peer, marks, 1, &response(&octets, Some(foreign), 0)),
                MarkVerdict::Foreign,
                "{}",
                foreign.escape_ascii()
            );
        }
        assert_eq!(check(&mut peer, marks, 1, &response(&octets, None, 0)), MarkVerdict::Right, "nobody must send cookies");
        assert_eq!(check(&mut peer, marks, 1, &response(&octets, Some(&both), 23)), MarkVerdict::BadCookie);
        assert_eq!(message::cookie(&marked(&peer).0), Some(&both[..]), "the server's cookie goes back to it");
        assert_eq!(check(&mut peer, marks, 1, &response(&octets, Some(&both), 0)), MarkVerdict::Right);
        let mut elsewhere = QUESTION.to_vec();
        peer.mark(Now(1), &QuestionKeys::new(1, 2), "192.0.2.9".parse().unwrap(), COOKIE_OF_US, &mut elsewhere, 0);
        assert_eq!(message::cookie(&elsewhere), Some(&COOKIE_OF_US[..]), "but not from another address");
    }

    #[test]
    fn an_upstream_that_stops_sending_cookies_is_believed_after_three_questions() {
        let mut peer = PeerMarks::new("192.0.2.53".into());
        peer.random_case = false;
        let (octets, marks) = marked(&peer);
        let both = [&COOKIE_OF_US[..], b"server-cookie-16"].concat();
        check(&mut peer, marks, 1, &response(&octets, Some(&both), 0));
        let without = response(&octets, None, 0);
        for (question, want) in [
            (1, MarkVerdict::Doubtful),
            (1, MarkVerdict::Doubtful),
            (2, MarkVerdict::Doubtful),
            (3, MarkVerdict::Right),
            (4, MarkVerdict::Right),
        ] {
            assert_eq!(check(&mut peer, marks, question, &without), want, "{question}");
        }
    }
}
