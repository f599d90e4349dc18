//! Encoded answers, truncated or corrupted.

use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};

use crate::fault::AnswerForgery;

const HEADER: usize = 12;

/// Returns the end of the first question of a message. Returns `None` if the message has no
/// question or is malformed.
pub(crate) fn question_end(message: &[u8]) -> Option<usize> {
    if message.get(4..6)? == [0, 0] {
        return None;
    }
    let mut at = HEADER;
    loop {
        match *message.get(at)? {
            0 => break,
            length @ 1..=63 => at += 1 + usize::from(length),
            _ => return None,
        }
    }
    (at + 5 <= message.len()).then_some(at + 5)
}

/// Returns the answer without its records and with TC, as a server sends an answer that does not
/// fit. `edns` is set if the OPT must stay.
pub(crate) fn truncated(answer: &[u8], edns: bool) -> Vec<u8> {
    let end = question_end(answer).unwrap_or(HEADER.min(answer.len()));
    let mut cut = answer[..end].to_vec();
    if cut.len() < HEADER {
        return cut;
    }
    cut[2] |= 0x02;
    cut[6..12].fill(0);
    if edns {
        cut[11] = 1;
        cut.extend_from_slice(&[0, 0, 41, 0x04, 0xd0, 0, 0, 0, 0, 0, 0]);
    }
    cut
}

/// Returns the answer to a message that hickory could not parse: a FORMERR header. Returns `None`
/// if the message has no complete header.
pub(crate) fn formerr(message: &[u8]) -> Option<Vec<u8>> {
    let header = message.get(..HEADER)?;
    Some(vec![header[0], header[1], 0x80 | (header[2] & 0x79), 0x81, 0, 0, 0, 0, 0, 0, 0, 0])
}

/// Corrupts an answer. The same entropy gives the same bytes.
pub(crate) fn spoil(answer: &mut Vec<u8>, forgeries: &[AnswerForgery], entropy: u64) {
    let mut dice = Xoshiro256PlusPlus::seed_from_u64(entropy);
    for forgery in forgeries {
        match forgery {
            AnswerForgery::Id => {
                let other = dice.random_range(1..=u16::MAX);
                if let [first, second, ..] = answer.as_mut_slice() {
                    *first ^= (other >> 8) as u8;
                    *second ^= other as u8;
                }
            }
            AnswerForgery::Question => change_question(answer),
            AnswerForgery::Case => {
                let end = question_end(answer).unwrap_or(HEADER).min(answer.len());
                if end > HEADER {
                    // The length octets are below 64, so they cannot be mistaken for letters.
                    answer[HEADER..end - 4].make_ascii_uppercase();
                }
            }
            AnswerForgery::Garbage => {
                let length = dice.random_range(HEADER..=answer.len().max(64));
                answer.resize(length, 0);
                dice.fill(&mut answer[2..]);
            }
            AnswerForgery::Cut => answer.truncate(HEADER.max(answer.len() * 2 / 3)),
            AnswerForgery::Source => {} // the transport implements it
        }
    }
}

/// Changes the first letter of the question name, which keeps all lengths valid.
fn change_question(answer: &mut [u8]) {
    if question_end(answer).is_some_and(|end| end > HEADER + 5) {
        let letter = &mut answer[HEADER + 1];
        *letter = if letter.eq_ignore_ascii_case(&b'x') { b'y' } else { b'x' };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &[u8] = b"\x12\x34\x81\x80\0\x01\0\x01\0\0\0\x01\x03www\x07contoso\x04test\0\0\x01\0\x01\xc0\x0c\0\x01\0\x01\0\0\0\x3c\0\x04\xcb\0\x71\x07\0\0\x29\x04\xd0\0\0\0\0\0\0";

    #[test]
    fn truncation_keeps_question_and_opt_and_drops_the_records() {
        let cut = truncated(ANSWER, true);
        assert_eq!(cut[..4], [0x12, 0x34, 0x83, 0x80]);
        assert_eq!(cut[4..12], [0, 1, 0, 0, 0, 0, 0, 1]);
        assert_eq!(cut.len(), question_end(ANSWER).unwrap() + 11);
        assert_eq!(truncated(ANSWER, false)[10..12], [0, 0]);
    }

    #[test]
    fn spoiling_repeats_with_its_entropy_and_never_leaves_the_answer_as_it_was() {
        for forgery in [AnswerForgery::Id, AnswerForgery::Question, AnswerForgery::Case, AnswerForgery::Garbage, AnswerForgery::Cut] {
            let (mut first, mut again) = (ANSWER.to_vec(), ANSWER.to_vec());
            spoil(&mut first, &[forgery], 7);
            spoil(&mut again, &[forgery], 7);
            assert_eq!(first, again, "{forgery:?}");
            assert_ne!(first, ANSWER, "{forgery:?}");
        }
    }

    #[test]
    fn broken_messages_do_not_panic() {
        for length in 0..ANSWER.len() {
            let _ = (question_end(&ANSWER[..length]), formerr(&ANSWER[..length]), truncated(&ANSWER[..length], true));
            for forgery in [AnswerForgery::Id, AnswerForgery::Question, AnswerForgery::Case, AnswerForgery::Garbage, AnswerForgery::Cut] {
                spoil(&mut ANSWER[..length].to_vec(), &[forgery], length as u64);
            }
        }
    }
}
