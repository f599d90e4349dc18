//! Answers that are a header, the question, and an RCODE with its reason.

use postern_dns::wire::message::{flag, read_name};
use postern_dns::wire::{HEADER, rtype};

/// An answer to `request`: ID, opcode and RD are the client's. `error`: number and text of RFC 8914, for clients that sent an OPT record.
pub fn reply(request: &[u8], rcode: u16, error: Option<(u16, &str)>, udp_size: u16) -> Vec<u8> {
    const MOST_TEXT: usize = 200;
    let word = |at: usize| u16::from_be_bytes([request[at], request[at + 1]]);
    let end = end_of_question(request);
    let mut answer = request[..end].to_vec();
    // CD is the client's only in a query (RFC 4035 section 3.1.6); in an UPDATE its bit is reserved (RFC 2136 section 2.2).
    let kept = flag::OPCODE | flag::RD | if word(2) & flag::OPCODE == 0 { flag::CD } else { 0 };
    let flags = flag::QR | (word(2) & kept) | (rcode & flag::RCODE);
    answer[2..4].copy_from_slice(&flags.to_be_bytes());
    answer[4..HEADER].fill(0);
    answer[5] = u8::from(end > HEADER);
    if has_opt(request) {
        let text = error.map_or(String::new(), |(_, text)| {
            text.chars()
                .scan(0, |length, c| {
                    *length += c.len_utf8();
                    (*length <= MOST_TEXT).then_some(c)
                })
                .collect()
        });
        let option = error.map_or(Vec::new(), |(code, _)| {
            let length = (2 + text.len()) as u16;
            [&[0, 15], &length.to_be_bytes()[..], &code.to_be_bytes(), text.as_bytes()].concat()
        });
        answer.push(0);
        answer.extend_from_slice(&rtype::OPT.to_be_bytes());
        answer.extend_from_slice(&udp_size.to_be_bytes());
        answer.extend_from_slice(&[0; 4]);
        answer.extend_from_slice(&(option.len() as u16).to_be_bytes());
        answer.extend_from_slice(&option);
        answer[11] = 1;
    }
    answer
}

/// Octets of header and question; the header alone where there is not exactly one, or it cannot be read.
fn end_of_question(request: &[u8]) -> usize {
    match (request[4..6] == [0, 1]).then(|| read_name(request, HEADER)) {
        Some(Ok((_, after))) if after + 4 <= request.len() => after + 4,
        _ => HEADER,
    }
}

/// True where an OPT record stands behind the other sections.
fn has_opt(request: &[u8]) -> bool {
    let word = |at: usize| Some(u16::from_be_bytes([*request.get(at)?, *request.get(at + 1)?]));
    let walk = || {
        let mut at = HEADER;
        for _ in 0..word(4)? {
            at = read_name(request, at).ok()?.1 + 4;
        }
        let before = u32::from(word(6)?) + u32::from(word(8)?);
        for index in 0..before + u32::from(word(10)?) {
            let fixed = read_name(request, at).ok()?.1;
            if index >= before && word(fixed)? == rtype::OPT {
                return Some(());
            }
            at = fixed + 10 + usize::from(word(fixed + 8)?);
        }
        None
    };
    walk().is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUESTION: &[u8] = b"\x12\x34\x29\0\0\x01\0\0\0\0\0\0\x01a\0\0\x06\0\x01";
    const OPT: &[u8] = b"\0\0\x29\x04\xd0\0\0\0\0\0\0";

    #[test]
    fn an_answer_gives_back_header_and_question() {
        assert_eq!(reply(QUESTION, 5, Some((18, "no")), 1232), [b"\x12\x34\xa9\x05\0\x01\0\0\0\0\0\0", &QUESTION[12..]].concat());
    }

    #[test]
    fn a_client_with_edns_is_told_why() {
        let mut request = [QUESTION, OPT].concat();
        request[11] = 1;
        let answer = reply(&request, 5, Some((18, "no")), 1232);
        assert_eq!(answer[QUESTION.len()..], *b"\0\0\x29\x04\xd0\0\0\0\0\0\x08\0\x0f\0\x04\0\x12no");
        assert!(reply(&request, 5, Some((18, &"é".repeat(1000))), 1232).len() < 512);
        assert_eq!(reply(&request, 0, None, 1232)[QUESTION.len()..], *OPT);
    }

    #[test]
    fn what_cannot_be_read_is_answered_by_a_header() {
        for cut in 12..QUESTION.len() {
            assert_eq!(reply(&QUESTION[..cut], 1, None, 1232).len(), 12, "{cut}");
        }
    }
}
