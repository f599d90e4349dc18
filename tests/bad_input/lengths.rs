//! Messages that are cut, and what does not hold to its own length.

use std::io::Write;
use std::net::TcpStream;

use crate::harness::PATIENCE;
use crate::{
    HEADER, NAME, OPT, OPT_NSID, RECORD, TSIG, case, fhir, frame, message, over_tcp, over_udp, read_frame, seen, sentinel, table, world,
};

#[test]
fn a_datagram_that_no_buffer_holds_is_not_read_as_if_it_were_whole() {
    let world = world();
    // Good questions with as much padding (RFC 7830), and an UPDATE that would delete less than it says.
    let padded = |length: u16| {
        let option = [&12u16.to_be_bytes()[..], &length.to_be_bytes(), &vec![0; length.into()]].concat();
        let opt = [&OPT[..9], &(option.len() as u16).to_be_bytes(), &option].concat();
        message(0x0100, [1, 0, 0, 1], &[&fhir(), &opt])
    };
    let records = RECORD.repeat(200);
    let update = message(0x2800, [1, 0, 200, 0], &[&fhir(), &records]);
    let response = message(0x8100, [1, 0, 0, 200], &[&fhir(), &records]);
    let packets = vec![padded(1800), padded(3000), padded(60_000), update, response];
    let told = over_udp(world.server.address, packets.clone().into_iter());
    assert_eq!(told, ["NOERROR question opt", "FORMERR", "FORMERR", "FORMERR", "silence"]);
    let told = over_tcp(world.server.address, packets.into_iter().take(3));
    assert_eq!(told, ["NOERROR question opt"; 3], "a stream has room for it");
    world.is_well();
}

#[test]
fn a_good_question_cut_at_every_octet() {
    let whole = message(0x0100, [1, 0, 0, 3], &[&fhir(), RECORD, OPT_NSID, TSIG]);
    let question = HEADER + NAME.len() + 4;
    let edns = question + RECORD.len() + OPT_NSID.len();
    let cut = |length: usize| {
        let want = match length {
            length if length < HEADER => "silence",
            length if length < question => "FORMERR",
            length if length < edns => "FORMERR question",
            length if length < whole.len() => "FORMERR question opt",
            _ => "NOTAUTH question opt",
        };
        case(format!("{length} of {} octets", whole.len()), whole[..length].to_vec(), want)
    };
    table((0..=whole.len()).map(cut).collect());
}

/// What does not hold to its own length ends a connection, and no other.
#[test]
fn streams_that_are_no_dns() {
    let world = world();
    let good = frame(&sentinel(7));
    let answered = |octets: &[u8]| {
        let mut stream = TcpStream::connect_timeout(&world.server.address, PATIENCE).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let _ = stream.write_all(octets);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let mut answers = Vec::new();
        while let Some(answer) = read_frame(&mut stream) {
            answers.push(seen(&answer, &answer, false));
        }
        answers.len()
    };
    for (what, octets, want) in [
        ("nothing", vec![], 0),
        ("half a length", vec![0], 0),
        ("a length alone", vec![0, 40], 0),
        ("length 0, then a good question", [&[0, 0], &good[..]].concat(), 0),
        ("length 11, then a good question", [&[0, 11], &good[..]].concat(), 0),
        ("a good question, then half a one", [&good[..], &good[..20]].concat(), 1),
        ("three good questions in one write", good.repeat(3), 3),
        (
            "a length of two questions: one message, its end passed over",
            [&((2 * good.len() - 2) as u16).to_be_bytes(), &good[2..], &good].concat(),
            1,
        ),
        ("a length of 65535 and too little", [&[0xff, 0xff], &good[2..]].concat(), 0),
        ("HTTP", b"GET / HTTP/1.1\r\nHost: contoso.test\r\n\r\n".to_vec(), 0),
        ("TLS", b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03".to_vec(), 0),
    ] {
        assert_eq!(answered(&octets), want, "{what}");
    }
    world.is_well();
}
