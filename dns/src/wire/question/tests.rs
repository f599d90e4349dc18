use proptest::prelude::*;

use super::*;

/// Header: flags, and how many questions, answers, authority and additional records there are said to be.
pub(crate) fn message(flags: u16, counts: [u16; 4], parts: &[&[u8]]) -> Vec<u8> {
    let mut octets = vec![0xab, 0xcd];
    octets.extend_from_slice(&flags.to_be_bytes());
    octets.extend(counts.iter().flat_map(|count| count.to_be_bytes()));
    octets.extend(parts.concat());
    octets
}

/// An OPT record: size, extended RCODE, version, flags, options.
pub(crate) fn opt(size: u16, version: u8, flags: u16, options: &[u8]) -> Vec<u8> {
    let [size, flags, length] = [size, flags, options.len() as u16].map(u16::to_be_bytes);
    [&[0, 0, 41], &size[..], &[0, version], &flags, &length, options].concat()
}

/// `www.contoso.test IN A`.
pub(crate) const WWW: &[u8] = b"\x03www\x07contoso\x04test\0\0\x01\0\x01";
/// The same for IXFR.
const IXFR: &[u8] = b"\x03www\x07contoso\x04test\0\0\xfb\0\x01";
/// OPT of a client that takes 1232 octets.
pub(crate) const OPT: &[u8] = b"\0\0\x29\x04\xd0\0\0\0\0\0\0";
/// An address record whose owner is a pointer to the question.
const RECORD: &[u8] = b"\xc0\x0c\0\x01\0\x01\0\0\0\x3c\0\x04\x0a\x14\x01\x05";
/// The SOA record of an IXFR question (RFC 1995 section 3).
const SOA: &[u8] = b"\xc0\x0c\0\x06\0\x01\0\0\0\0\0\x16\0\0\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
/// TSIG of the key `key` with `hmac-sha256`, MAC of four octets.
pub(crate) const TSIG: &[u8] = b"\x03key\0\0\xfa\0\xff\0\0\0\0\0\x21\x0bhmac-sha256\0\0\0\x69\x22\0\0\x01\x2c\0\x04MAC!\xab\xcd\0\0\0\0";
/// SIG(0) (RFC 2931), as far as it is looked at.
const SIG0: &[u8] = b"\0\0\x18\0\xff\0\0\0\0\0\x02\0\0";

const RD: u16 = 0x0100;

/// What is understood: the whole of it on one line.
fn told(packet: &[u8]) -> String {
    match understand(packet) {
        Ok(question) => {
            let mut text = format!("{} {}", question.rtype, question.class);
            for (set, word) in [
                (question.recursion_desired, " rd"),
                (question.checking_disabled, " cd"),
                (question.authentic_data, " ad"),
                (question.signed, " signed"),
            ] {
                text += if set { word } else { "" };
            }
            text + &edns(question.edns, question.cookie)
        }
        Err(NotAQuestion::Short) => "short".into(),
        Err(NotAQuestion::Response) => "response".into(),
        Err(NotAQuestion::Declined(declined)) => {
            let rcode = match declined.rcode {
                0 => "NOERROR",
                1 => "FORMERR",
                4 => "NOTIMP",
                16 => "BADVERS",
                other => panic!("RCODE {other}"),
            };
            let back = if declined.end > HEADER { " with question" } else { "" };
            format!("{rcode}{back}{}: {}", edns(declined.edns, declined.cookie), declined.error.text)
        }
    }
}

fn edns(edns: Option<Edns>, cookie: Option<CookieOption>) -> String {
    let Some(edns) = edns else { return String::new() };
    let (dnssec, nsid) = (if edns.dnssec_ok { " do" } else { "" }, if edns.nsid { " nsid" } else { "" });
    let cookie = if cookie.is_some() { " cookie" } else { "" };
    format!(" edns {}{dnssec}{nsid}{cookie}", edns.udp_size)
}

fn table(cases: &[(&str, Vec<u8>, &str)]) {
    let mut wrong = Vec::new();
    for (what, packet, want) in cases {
        let got = told(packet);
        if got != *want {
            wrong.push(format!("{what}\n  want {want}\n  got  {got}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_name_is_lowered_and_the_rest_is_where_it_ends() {
    let packet = message(RD, [1, 0, 0, 1], &[b"\x03wWw\x07ContosO\x04tESt\0\0\x1c\0\x01", OPT]);
    let question = understand(&packet).unwrap();
    assert_eq!((question.name.to_string().as_str(), question.rtype, question.class), ("www.contoso.test.", 28, 1));
    assert_eq!(question.end, HEADER + WWW.len());
    assert_eq!(&packet[12..16], b"\x03wWw", "its case is kept where it stands");
}

/// RFC 8906 sections 3.1.3 and 3.1.4: no flag and no opcode makes a server silent, but for QR.
#[test]
fn each_header_bit_has_its_meaning_or_none() {
    let bit = |bit: u16| message(bit, [1, 0, 0, 0], &[WWW]);
    let opcode = "NOTIMP with question: opcode not supported";
    table(&[
        ("none", bit(0), "1 1"),
        ("QR", bit(0x8000), "response"),
        ("QR with everything else", bit(0xffff), "response"),
        ("opcode bit 3", bit(0x4000), opcode),
        ("opcode bit 2", bit(0x2000), opcode),
        ("opcode bit 1", bit(0x1000), opcode),
        ("opcode bit 0", bit(0x0800), opcode),
        ("AA", bit(0x0400), "1 1"),
        ("TC", bit(0x0200), "1 1"),
        ("RD", bit(RD), "1 1 rd"),
        ("RA", bit(0x0080), "1 1"),
        ("Z", bit(0x0040), "1 1"),
        ("AD", bit(0x0020), "1 1 ad"),
        ("CD", bit(0x0010), "1 1 cd"),
        ("RCODE bit 3", bit(0x0008), "1 1"),
        ("RCODE bit 2", bit(0x0004), "1 1"),
        ("RCODE bit 1", bit(0x0002), "1 1"),
        ("RCODE bit 0", bit(0x0001), "1 1"),
        ("all but QR and opcode", bit(0x07ff), "1 1 rd cd ad"),
    ]);
}

/// RFC 8906 section 3.1.4: a message of an unknown opcode needs to have nothing in common with ours but the header.
#[test]
fn every_opcode_but_query_is_not_implemented() {
    for opcode in 1..16u16 {
        let ask = |counts, parts: &[&[u8]]| message(opcode << 11 | RD, counts, parts);
        table(&[
            ("alone", ask([0; 4], &[]), "NOTIMP: opcode not supported"),
            ("with a question", ask([1, 0, 0, 0], &[WWW]), "NOTIMP with question: opcode not supported"),
            ("with two", ask([2, 0, 0, 0], &[WWW, WWW]), "NOTIMP: opcode not supported"),
            ("UPDATE's sections", ask([1, 1, 1, 1], &[WWW, RECORD, RECORD, OPT]), "NOTIMP with question edns 1232: opcode not supported"),
            ("with something else", ask([1, 2, 3, 4], &[&[0xff; 30]]), "NOTIMP: opcode not supported"),
            ("a bad name", ask([1, 0, 0, 0], &[b"\xc0\x0c\0\x01\0\x01"]), "NOTIMP: opcode not supported"),
            ("records cut", ask([1, 0, 0, 2], &[WWW, OPT]), "NOTIMP with question edns 1232: opcode not supported"),
            ("a version", ask([1, 0, 0, 1], &[WWW, &opt(1232, 1, 0, &[])]), "BADVERS with question edns 1232: EDNS version not supported"),
            ("a version alone", ask([0, 0, 0, 1], &[&opt(1232, 1, 0, &[])]), "BADVERS edns 1232: EDNS version not supported"),
        ]);
    }
}

/// RFC 9619 section 4 for QDCOUNT; RFC 1035 section 4.1.1 for the others.
#[test]
fn each_count_must_be_true() {
    let count = |counts, parts: &[&[u8]]| message(RD, counts, parts);
    let questions = "FORMERR: not exactly one question";
    let early = "FORMERR with question: message ends early";
    let sections = "FORMERR with question: records in the answer or authority section of a query";
    table(&[
        ("no question", count([0; 4], &[]), questions),
        (
            "no question and EDNS, as for a cookie",
            count([0, 0, 0, 1], &[&opt(1232, 0, 0, b"\0\x0a\0\x08COOKIE!!")]),
            "NOERROR edns 1232 cookie: ",
        ),
        (
            "no question, a cookie and a record",
            count([0, 0, 0, 2], &[&opt(1232, 0, 0, b"\0\x0a\0\x08COOKIE!!"), RECORD]),
            "NOERROR edns 1232 cookie: ",
        ),
        (
            "no question, a cookie and an answer",
            count([0, 1, 0, 1], &[RECORD, &opt(1232, 0, 0, b"\0\x0a\0\x08COOKIE!!")]),
            "FORMERR edns 1232 cookie: not exactly one question",
        ),
        (
            "no question, a cookie that is cut",
            count([0, 0, 0, 1], &[&opt(1232, 0, 0, b"\0\x0a\0\x08COOKIE")]),
            "FORMERR edns 1232: not exactly one question",
        ),
        (
            "an opcode that we do not have and a cookie",
            message(15 << 11, [0, 0, 0, 1], &[&opt(1232, 0, 0, b"\0\x0a\0\x08COOKIE!!")]),
            "NOTIMP edns 1232 cookie: opcode not supported",
        ),
        ("no question, version 1", count([0, 0, 0, 1], &[&opt(1232, 1, 0, &[])]), "BADVERS edns 1232: EDNS version not supported"),
        ("a question that is not counted", count([0; 4], &[WWW]), questions),
        ("two questions", count([2, 0, 0, 0], &[WWW, WWW]), questions),
        ("two questions and EDNS", count([2, 0, 0, 1], &[WWW, WWW, OPT]), "FORMERR edns 1232: not exactly one question"),
        (
            "two questions, the second a pointer to the first",
            count([2, 0, 0, 1], &[WWW, b"\xc0\x0c\0\x1c\0\x01", OPT]),
            "FORMERR edns 1232: not exactly one question",
        ),
        ("two questions, one there", count([2, 0, 0, 0], &[WWW]), questions),
        ("65535 questions", count([65_535, 0, 0, 0], &[WWW]), questions),
        ("one question, none there", count([1, 0, 0, 0], &[]), "FORMERR: bad name"),
        ("an answer", count([1, 1, 0, 0], &[WWW, RECORD]), sections),
        (
            "an answer and EDNS",
            count([1, 1, 0, 1], &[WWW, RECORD, OPT]),
            "FORMERR with question edns 1232: records in the answer or authority section of a query",
        ),
        ("an answer that is not there", count([1, 1, 0, 0], &[WWW]), early),
        ("65535 answers", count([1, 65_535, 0, 0], &[WWW, RECORD]), early),
        ("an authority record", count([1, 0, 1, 0], &[WWW, SOA]), sections),
        ("an authority record that is not there", count([1, 0, 1, 0], &[WWW]), early),
        ("65535 authority records", count([1, 0, 65_535, 0], &[WWW, RECORD]), early),
        ("an additional record", count([1, 0, 0, 1], &[WWW, RECORD]), "1 1 rd"),
        ("an additional record that is not there", count([1, 0, 0, 1], &[WWW]), early),
        ("65535 additional records", count([1, 0, 0, 65_535], &[WWW, RECORD]), early),
        ("everything 65535", count([65_535; 4], &[WWW, RECORD]), questions),
        ("EDNS that is not counted", count([1, 0, 0, 0], &[WWW, OPT]), "1 1 rd"),
        ("octets behind the last record", count([1, 0, 0, 1], &[WWW, OPT, b"more"]), "1 1 rd edns 1232"),
    ]);
}

#[test]
fn only_ixfr_says_something_in_the_authority_section() {
    let ask = |counts, parts: &[&[u8]]| message(0, counts, parts);
    let sections = "FORMERR with question: records in the answer or authority section of a query";
    table(&[
        ("its SOA", ask([1, 0, 1, 0], &[IXFR, SOA]), "251 1"),
        ("its SOA, and EDNS", ask([1, 0, 1, 1], &[IXFR, SOA, OPT]), "251 1 edns 1232"),
        ("without", ask([1, 0, 0, 0], &[IXFR]), "251 1"),
        ("an answer", ask([1, 1, 0, 0], &[IXFR, SOA]), sections),
        ("OPT there (RFC 6891 section 6.1.1)", ask([1, 0, 1, 0], &[IXFR, OPT]), sections),
        ("TSIG there (RFC 8945 section 5.1)", ask([1, 0, 1, 1], &[IXFR, TSIG, TSIG]), sections),
        ("cut", ask([1, 0, 1, 0], &[IXFR, &SOA[..20]]), "FORMERR with question: message ends early"),
    ]);
}

#[test]
fn a_name_is_plain_labels_and_no_longer_than_255_octets() {
    let ask = |name: &[u8]| message(0, [1, 0, 0, 0], &[name, b"\0\x01\0\x01"]);
    let label = |length: usize| [&[length as u8][..], &vec![b'a'; length]].concat();
    // Three labels of 63 and one of `last`: 3 * 64 + 1 + last + 1 octets.
    let long = |last: usize| [label(63), label(63), label(63), label(last), vec![0]].concat();
    let bad = "FORMERR: bad name";
    table(&[
        ("the root", ask(&[0]), "1 1"),
        ("a label of 63", ask(&[label(63), vec![0]].concat()), "1 1"),
        ("a label of 64", ask(&[label(64), vec![0]].concat()), bad),
        ("label type 10", ask(&[label(0x80), vec![0]].concat()), bad),
        ("255 octets", ask(&long(61)), "1 1"),
        ("256 octets", ask(&long(62)), bad),
        ("128 labels", ask(&[b"\x01a".repeat(128), vec![0]].concat()), bad),
        ("127 labels", ask(&[b"\x01a".repeat(127), vec![0]].concat()), "1 1"),
        ("octets of any value", ask(b"\x06\0.\xff\\ \x80\0"), "1 1"),
        ("a pointer to itself", ask(b"\xc0\x0c"), bad),
        ("a pointer behind a label", ask(b"\x03www\xc0\x0c"), bad),
        ("a pointer into the header", ask(b"\xc0\x00"), bad),
        ("a pointer forward", ask(b"\xc0\x0e\0"), bad),
        ("a pointer beyond the end", ask(b"\xff\xff"), bad),
        ("half a pointer", message(0, [1, 0, 0, 0], &[b"\xc0"]), bad),
        ("a label beyond the end", message(0, [1, 0, 0, 0], &[b"\x3fwww"]), bad),
        ("no root label", message(0, [1, 0, 0, 0], &[b"\x03www"]), bad),
        ("no type", message(0, [1, 0, 0, 0], &[&WWW[..18]]), "FORMERR: message ends early"),
        ("half a class", message(0, [1, 0, 0, 0], &[&WWW[..21]]), "FORMERR: message ends early"),
    ]);
}

/// Owners of records are passed over, not followed: no pointer can send us round in circles.
#[test]
fn owners_of_records_may_be_anything_that_ends() {
    let ask = |owner: &[u8]| message(0, [1, 0, 0, 1], &[WWW, owner, b"\0\x01\0\x01\0\0\0\0\0\0"]);
    table(&[
        ("a name", ask(b"\x01a\0"), "1 1"),
        ("a pointer to the question", ask(b"\xc0\x0c"), "1 1"),
        ("a pointer to itself", ask(b"\xc0\x22"), "1 1"),
        ("a pointer beyond the end", ask(b"\xff\xff"), "1 1"),
        ("a label of type 01", ask(b"\x40a\0"), "FORMERR with question: bad name"),
        ("a name without end", ask(&b"\x01a".repeat(200)), "FORMERR with question: bad name"),
        ("half a pointer", message(0, [1, 0, 0, 1], &[WWW, b"\xc0"]), "FORMERR with question: message ends early"),
    ]);
}

#[test]
fn edns_is_read_as_rfc_6891_has_it() {
    let with = |options: &[u8]| message(0, [1, 0, 0, 1], &[WWW, &opt(1232, 0, 0, options)]);
    let raw = |record: &[u8]| message(0, [1, 0, 0, 1], &[WWW, record]);
    let version = "BADVERS with question edns 1232: EDNS version not supported";
    let option = "FORMERR with question edns 1232: bad EDNS option";
    let owner = "FORMERR with question edns 1232: OPT record whose owner is not the root";
    let twice = "FORMERR with question edns 1232: more than one OPT record";
    table(&[
        ("none", message(0, [1, 0, 0, 0], &[WWW]), "1 1"),
        ("plain", with(b""), "1 1 edns 1232"),
        ("size 0", raw(&opt(0, 0, 0, b"")), "1 1 edns 0"),
        ("size 65535", raw(&opt(65_535, 0, 0, b"")), "1 1 edns 65535"),
        ("DO", raw(&opt(1232, 0, 0x8000, b"")), "1 1 edns 1232 do"),
        ("every other flag", raw(&opt(1232, 0, 0x7fff, b"")), "1 1 edns 1232"),
        ("an extended RCODE", raw(b"\0\0\x29\x04\xd0\xff\0\0\0\0\0"), "1 1 edns 1232"),
        // Section 6.1.3.
        ("version 1", raw(&opt(1232, 1, 0, b"")), version),
        ("version 255 and DO", raw(&opt(1232, 255, 0x8000, b"")), "BADVERS with question edns 1232 do: EDNS version not supported"),
        ("version 1 with options of a form that we do not know", raw(&opt(1232, 1, 0, b"\xff")), version),
        ("version 1 and NSID", raw(&opt(1232, 1, 0, b"\0\x03\0\0")), version),
        // Options: section 6.1.2.
        ("NSID (RFC 5001)", with(b"\0\x03\0\0"), "1 1 edns 1232 nsid"),
        ("NSID with data, which means nothing", with(b"\0\x03\0\x02xy"), "1 1 edns 1232 nsid"),
        ("NSID twice", with(b"\0\x03\0\0\0\x03\0\0"), "1 1 edns 1232 nsid"),
        ("NSID behind an unknown option", with(b"\xfd\xe9\0\x01x\0\x03\0\0"), "1 1 edns 1232 nsid"),
        ("an unknown option (RFC 8906 section 3.2.3)", with(b"\0\x64\0\0"), "1 1 edns 1232"),
        ("a cookie and a client subnet", with(b"\0\x0a\0\x08COOKIE!!\0\x08\0\x04\0\x01\0\0"), "1 1 edns 1232 cookie"),
        ("two cookies, of which the second is none", with(b"\0\x0a\0\x08COOKIE!!\0\x0a\0\0"), "1 1 edns 1232 cookie"),
        ("a cookie without octets", with(b"\0\x0a\0\0"), option),
        ("a cookie of 9 octets", with(b"\0\x0a\0\x09COOKIE!!!"), option),
        ("one octet of an option", with(b"\0"), option),
        ("two octets of an option", with(b"\0\x03"), option),
        ("three octets of an option", with(b"\0\x03\0"), option),
        ("an option longer than the record", with(b"\0\x03\0\x01"), option),
        ("an option of 65535", with(b"\0\x64\xff\xff"), option),
        ("a good option, then half a one", with(b"\0\x03\0\0\0\x64"), "FORMERR with question edns 1232 nsid: bad EDNS option"),
        // Section 6.1.1.
        ("twice", message(0, [1, 0, 0, 2], &[WWW, OPT, OPT]), twice),
        ("twice, with a record between", message(0, [1, 0, 0, 3], &[WWW, OPT, RECORD, OPT]), twice),
        ("behind another record", message(0, [1, 0, 0, 2], &[WWW, RECORD, OPT]), "1 1 edns 1232"),
        ("before another record", message(0, [1, 0, 0, 2], &[WWW, OPT, RECORD]), "1 1 edns 1232"),
        (
            "in the answer section",
            message(0, [1, 1, 0, 0], &[WWW, OPT]),
            "FORMERR with question: records in the answer or authority section of a query",
        ),
        // Section 6.1.2: MUST be the root.
        ("an owner", raw(b"\x01a\0\0\x29\x04\xd0\0\0\0\0\0\0"), owner),
        ("a pointer for an owner", raw(b"\xc0\x0c\0\x29\x04\xd0\0\0\0\0\0\0"), owner),
        ("a pointer to a root label for an owner", raw(b"\xc0\x1d\0\x29\x04\xd0\0\0\0\0\0\0"), owner),
        ("RDATA beyond the end", raw(b"\0\0\x29\x04\xd0\0\0\0\0\0\x01"), "FORMERR with question: message ends early"),
    ]);
}

/// RFC 8945 sections 4.2 and 5.1; RFC 2931.
#[test]
fn a_signature_is_the_last_record() {
    let signed = |counts, parts: &[&[u8]]| message(0, counts, parts);
    let wrong = |at: usize, value: u8| {
        let mut record = TSIG.to_vec();
        record[at] = value;
        signed([1, 0, 0, 1], &[WWW, &record])
    };
    let place = "FORMERR with question: TSIG record out of place";
    table(&[
        ("TSIG", signed([1, 0, 0, 1], &[WWW, TSIG]), "1 1 signed"),
        ("TSIG behind OPT", signed([1, 0, 0, 2], &[WWW, OPT, TSIG]), "1 1 signed edns 1232"),
        ("TSIG before OPT", signed([1, 0, 0, 2], &[WWW, TSIG, OPT]), place),
        (
            "TSIG before another record",
            signed([1, 0, 0, 3], &[WWW, OPT, TSIG, RECORD]),
            "FORMERR with question edns 1232: TSIG record out of place",
        ),
        ("TSIG twice", signed([1, 0, 0, 2], &[WWW, TSIG, TSIG]), place),
        ("TSIG of class IN", wrong(8, 1), place),
        ("TSIG with a TTL", wrong(12, 1), place),
        (
            "TSIG as an answer",
            signed([1, 1, 0, 0], &[WWW, TSIG]),
            "FORMERR with question: records in the answer or authority section of a query",
        ),
        ("TSIG cut", signed([1, 0, 0, 1], &[WWW, &TSIG[..TSIG.len() - 1]]), "FORMERR with question: message ends early"),
        ("SIG(0)", signed([1, 0, 0, 1], &[WWW, SIG0]), "1 1 signed"),
        ("SIG(0) behind OPT", signed([1, 0, 0, 2], &[WWW, OPT, SIG0]), "1 1 signed edns 1232"),
    ]);
}

#[test]
fn the_tsig_record_is_found_where_it_stands() {
    let packet = message(0, [1, 0, 0, 3], &[WWW, RECORD, OPT, TSIG]);
    let (owner, data) = tsig(&packet, &understand(&packet).unwrap()).unwrap();
    assert_eq!(owner, packet.len() - TSIG.len());
    assert_eq!(packet[data], TSIG[15..]);
    let packet = message(0, [1, 0, 0, 1], &[WWW, SIG0]);
    assert_eq!(tsig(&packet, &understand(&packet).unwrap()), None, "SIG(0) is no TSIG");
}

#[test]
fn a_client_takes_512_octets_or_what_it_says_up_to_our_most() {
    for (size, most, want) in [
        (None, 1232, 512),
        (Some(0), 1232, 512),
        (Some(511), 1232, 512),
        (Some(512), 1232, 512),
        (Some(1000), 1232, 1000),
        (Some(1232), 1232, 1232),
        (Some(65_535), 1232, 1232),
        (Some(65_535), 4096, 4096),
        (Some(1232), 100, 512),
    ] {
        let opt = size.map(|size| opt(size, 0, 0, b"")).unwrap_or_default();
        let packet = message(0, [1, 0, 0, size.is_some().into()], &[WWW, &opt]);
        assert_eq!(understand(&packet).unwrap().udp_limit(most), want, "{size:?} of {most}");
    }
}

/// A question with everything: cut anywhere it is answered with FORMERR, and with the question once that is whole.
#[test]
fn a_question_cut_at_any_octet_is_no_question() {
    let packet = message(RD, [1, 0, 0, 3], &[WWW, RECORD, &opt(1232, 0, 0x8000, b"\0\x03\0\0"), TSIG]);
    assert_eq!(told(&packet), "1 1 rd signed edns 1232 do nsid");
    let question = HEADER + WWW.len();
    for length in 0..packet.len() {
        let got = told(&packet[..length]);
        let want = if length < HEADER {
            "short"
        } else if length < HEADER + WWW.len() - 4 {
            "FORMERR: bad name"
        } else if length < question {
            "FORMERR: message ends early"
        } else if length < question + RECORD.len() + OPT.len() + 4 {
            "FORMERR with question: message ends early"
        } else {
            "FORMERR with question edns 1232 do nsid: message ends early"
        };
        assert_eq!(got, want, "{length} octets");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever comes, what is said of it lies within it.
    #[test]
    fn no_octets_lead_outside_the_message(
        start in prop::sample::select(vec![
            message(RD, [1, 0, 0, 0], &[WWW]),
            message(RD, [1, 0, 0, 3], &[WWW, RECORD, OPT, TSIG]),
            message(0, [1, 0, 1, 1], &[IXFR, SOA, OPT]),
            message(0x2800, [1, 1, 1, 1], &[WWW, RECORD, SOA, OPT]),
            vec![],
        ]),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        more in prop::collection::vec(any::<u8>(), 0..40),
        length in any::<prop::sample::Index>(),
    ) {
        let mut packet = [start, more].concat();
        for (at, octet) in changes {
            if !packet.is_empty() {
                let at = at.index(packet.len());
                packet[at] = octet;
            }
        }
        packet.truncate(length.index(packet.len() + 1));
        match understand(&packet) {
            Ok(question) => {
                prop_assert!(question.end <= packet.len());
                prop_assert_eq!(question.end, HEADER + question.name.len() + 4);
                if let Some((owner, data)) = tsig(&packet, &question) {
                    prop_assert!(question.signed && owner >= question.end && data.end <= packet.len());
                }
            }
            Err(NotAQuestion::Short) => prop_assert!(packet.len() < HEADER),
            Err(NotAQuestion::Response) => prop_assert!(packet[2] & 0x80 != 0),
            Err(NotAQuestion::Declined(declined)) => prop_assert!((HEADER..=packet.len()).contains(&declined.end)),
        }
    }
}
