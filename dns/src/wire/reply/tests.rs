use super::*;

const ERROR: ExtendedError = ExtendedError { code: 22, text: "no upstream answered" };

fn opt<'a>(nsid: &'a [u8], errors: &'a [ExtendedError]) -> ReplyOpt<'a> {
    ReplyOpt { udp_size: 1232, dnssec_ok: true, nsid, cookie: &[], errors }
}

/// A header and a question for the longest name there is.
fn longest() -> (Vec<u8>, usize) {
    let end = HEADER + 255 + 4;
    let mut packet = vec![0; 2048];
    packet[HEADER..end].fill(7);
    (packet, end)
}

#[test]
fn no_answer_is_longer_than_the_client_takes_whatever_its_options() {
    let nsid = [b'n'; 128];
    for limit in 290..600 {
        let (mut packet, end) = longest();
        let opt = opt(&nsid, &[ERROR, ERROR, ERROR]);
        let length = ReplyWriter::start(&mut packet, end, limit, opt.reserve()).finish(flag::QR, 2, Some(opt));
        assert!(length <= limit, "{length} of {limit}");
        let rdata = usize::from(u16::from_be_bytes([packet[end + 9], packet[end + 10]]));
        assert_eq!((packet[11], length), (1, end + OPT_SIZE + rdata));
    }
}

#[test]
fn an_error_without_room_for_its_text_is_a_number() {
    for (room, want) in [(30, 6 + ERROR.text.len()), (26, 6 + ERROR.text.len()), (25, 6), (6, 6), (5, 0)] {
        let (mut packet, end) = longest();
        let limit = end + OPT_SIZE + room;
        let length = ReplyWriter::start(&mut packet, end, limit, 0).finish(flag::QR, 2, Some(opt(&[], &[ERROR])));
        assert_eq!(length - end - OPT_SIZE, want, "{room}");
    }
}

#[test]
fn a_record_that_does_not_fit_leaves_the_question_with_tc() {
    for limit in [50, 100, 512] {
        let mut packet = vec![0; 2048];
        let end = HEADER + 5;
        let mut reply = ReplyWriter::start(&mut packet, end, limit, 0);
        for _ in 0..3 {
            reply.record(Section::Answer, rtype::CNAME, 60, &[1; 255]);
        }
        let length = reply.finish(flag::QR, 0, None);
        assert_eq!((length, packet[2], &packet[4..12]), (end, 0x82, &[0, 1, 0, 0, 0, 0, 0, 0][..]), "{limit}");
    }
}
