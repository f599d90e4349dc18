//! Each kind of message that is no good question.

use crate::{HEADER, NAME, OPT, RECORD, TSIG, case, fhir, message, question, table};

#[test]
fn every_header_bit_and_opcode() {
    let mut cases = Vec::new();
    for bit in 0..16 {
        let want = match bit {
            15 => "silence",
            11..=14 => "NOTIMP question",
            _ => "NOERROR question",
        };
        cases.push(case(format!("header bit {bit}"), message(1 << bit, [1, 0, 0, 0], &[&fhir()]), want));
        cases.push(case(
            format!("header bit {bit}, RD, EDNS"),
            message(0x0100 | 1 << bit, [1, 0, 0, 1], &[&fhir(), OPT]),
            match want {
                "silence" => want,
                "NOTIMP question" => "NOTIMP question opt",
                _ => "NOERROR question opt",
            },
        ));
    }
    for opcode in 1..16 {
        let other = |counts, parts: &[&[u8]]| message(opcode << 11, counts, parts);
        cases.push(case(format!("opcode {opcode}, header alone"), other([0; 4], &[]), "NOTIMP"));
        cases.push(case(
            format!("opcode {opcode}, like UPDATE"),
            other([1, 1, 1, 1], &[&fhir(), RECORD, RECORD, OPT]),
            "NOTIMP question opt",
        ));
        cases.push(case(format!("opcode {opcode}, of another form"), other([7, 7, 7, 7], &[&[0xff; 40]]), "NOTIMP"));
        cases.push(case(format!("opcode {opcode}, in a response"), message(0x8000 | opcode << 11, [1, 0, 0, 0], &[&fhir()]), "silence"));
    }
    table(cases);
}

#[test]
fn every_count() {
    let mut cases = Vec::new();
    for questions in [0, 2, 3, 65_535] {
        for there in 0..4 {
            let parts = vec![fhir(); there];
            let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
            cases.push(case(format!("{questions} questions, {there} there"), message(0, [questions, 0, 0, 0], &parts), "FORMERR"));
        }
    }
    let numbers = [0, 1, 2, 65_535];
    for index in 0..numbers.len().pow(3) {
        let [answers, authorities, additionals] = [16, 4, 1].map(|place| numbers[index / place % 4]);
        for there in 0..5 {
            let before = usize::from(answers) + usize::from(authorities);
            let said = before + usize::from(additionals);
            let want = if said > there || before > 0 { "FORMERR question" } else { "NOERROR question" };
            let question = fhir();
            let parts: Vec<&[u8]> = std::iter::once(&question[..]).chain(std::iter::repeat_n(RECORD, there)).collect();
            let what = format!("{answers} answers, {authorities} authority, {additionals} additional records, {there} there");
            cases.push(case(what, message(0, [1, answers, authorities, additionals], &parts), want));
        }
    }
    table(cases);
}

#[test]
fn names_that_loop_or_are_none() {
    let asked = |name: &[u8]| message(0, [1, 0, 0, 1], &[&question(name, 1, 1), OPT]);
    let owner = |name: &[u8]| message(0, [1, 0, 0, 2], &[&fhir(), OPT, name, b"\0\x01\0\x01\0\0\0\0\0\0"]);
    let label = |length: u8| [&[length][..], &vec![b'a'; length.into()]].concat();
    let at = (HEADER + NAME.len() + 4 + OPT.len()) as u16 | 0xc000;
    let key = |name: &[u8]| message(0, [1, 0, 0, 1], &[&fhir(), name, &TSIG[5..]]);
    let key_at = ((HEADER + NAME.len() + 4) as u16 | 0xc000).to_be_bytes();
    table(vec![
        case("a pointer to itself", asked(b"\xc0\x0c"), "FORMERR"),
        case("two pointers to one another", asked(b"\xc0\x0e\xc0\x0c"), "FORMERR"),
        case("a label and a pointer to it", asked(b"\x01a\xc0\x0c"), "FORMERR"),
        case("a pointer forward", asked(b"\xc0\x0e\x01a\0"), "FORMERR"),
        case("a pointer into the header", asked(b"\xc0\x04"), "FORMERR"),
        case("a pointer beyond the end", asked(b"\xff\xff"), "FORMERR"),
        case("label type 01", asked(b"\x41a\0"), "FORMERR"),
        case("label type 10", asked(b"\x80\0"), "FORMERR"),
        case("a label beyond the end", message(0, [1, 0, 0, 0], &[b"\x3fa"]), "FORMERR"),
        case("256 octets", asked(&[label(63), label(63), label(63), label(62), vec![0]].concat()), "FORMERR"),
        case("128 labels", asked(&[b"\x01a".repeat(128), vec![0]].concat()), "FORMERR"),
        case("no end", message(0, [1, 0, 0, 0], &[&b"\x01a".repeat(600)]), "FORMERR"),
        case("an owner that points to itself", owner(&at.to_be_bytes()), "NOERROR question opt"),
        case("an owner that points beyond the end", owner(b"\xff\xff"), "NOERROR question opt"),
        case("an owner of label type 01", owner(b"\x41a\0"), "FORMERR question opt"),
        case("an owner without end", message(0, [1, 0, 0, 1], &[&fhir(), &b"\x01a".repeat(600)]), "FORMERR question"),
        case("a key that points to the question", key(b"\xc0\x0c"), "NOTAUTH question"),
        case("a key that points to itself", key(&key_at), "FORMERR question"),
        case("a key that points beyond the end", key(b"\xff\xff"), "FORMERR question"),
    ]);
}

/// RFC 6891, 8945, 8906, 9824, 8482; off unless named: RFC 4892.
#[test]
fn edns_signatures_types_and_classes() {
    let opt = |version: u8, flags: u16, options: &[u8]| {
        let [flags, length] = [flags, options.len() as u16].map(u16::to_be_bytes);
        [&b"\0\0\x29\x04\xd0\0"[..], &[version], &flags, &length, options].concat()
    };
    let edns = |version, flags, options: &[u8]| message(0, [1, 0, 0, 1], &[&fhir(), &opt(version, flags, options)]);
    let records = |count, parts: &[&[u8]]| message(0, [1, 0, 0, count], &[&[&fhir()[..]], parts].concat());
    let asked = |rtype, class| message(0x0100, [1, 0, 0, 1], &[&question(NAME, rtype, class), OPT]);
    table(vec![
        case("every EDNS flag", edns(0, 0xffff, b""), "NOERROR question opt"),
        case("version 1", edns(1, 0, b""), "BADVERS question opt"),
        case("version 255, every flag, options of another form", edns(255, 0xffff, b"\xff\xff\xff"), "BADVERS question opt"),
        case("an unknown option", edns(0, 0, b"\xfd\xe9\0\x03abc"), "NOERROR question opt"),
        case("an option that is cut", edns(0, 0, b"\0\x0a\0\x08COOKIE"), "FORMERR question opt"),
        case("an option of 65535 octets", edns(0, 0, b"\0\x03\xff\xff"), "FORMERR question opt"),
        case("OPT twice", records(2, &[OPT, OPT]), "FORMERR question opt"),
        case("OPT with an owner", records(1, &[b"\x01a", OPT]), "FORMERR question opt"),
        case("OPT as an answer", message(0, [1, 1, 0, 0], &[&fhir(), OPT]), "FORMERR question"),
        case("OPT longer than the message", records(1, &[b"\0\0\x29\x04\xd0\0\0\0\0\xff\xff"]), "FORMERR question"),
        case("TSIG by a key nobody knows", records(1, &[TSIG]), "NOTAUTH question"),
        case("TSIG before another record", records(2, &[TSIG, RECORD]), "FORMERR question"),
        case("TSIG twice", records(2, &[TSIG, TSIG]), "FORMERR question"),
        case("TSIG without RDATA", records(1, &[b"\x03key\0\0\xfa\0\xff\0\0\0\0\0\0"]), "FORMERR question"),
        case("1,900 octets of options", edns(0, 0, &[&b"\0\x0c\x07\x4e"[..], &[0; 1870]].concat()), "NOERROR question opt"),
        case("type 0", asked(0, 1), "NOERROR question opt"),
        case("a type nobody has", asked(65_280, 1), "NOERROR question opt"),
        case("ANY", asked(255, 1), "NOERROR question opt"),
        case("OPT", asked(41, 1), "FORMERR question opt"),
        case("NXNAME", asked(128, 1), "FORMERR question opt"),
        case("TSIG", asked(250, 1), "FORMERR question opt"),
        case("a meta-type nobody has", asked(200, 1), "NOTIMP question opt"),
        case("TKEY", asked(249, 1), "NOTIMP question opt"),
        case("MAILB", asked(253, 1), "NOTIMP question opt"),
        case("MAILA", asked(254, 1), "NOTIMP question opt"),
        case("class 0", asked(1, 0), "REFUSED question opt"),
        case("class CH", asked(1, 3), "REFUSED question opt"),
        case("class HS", asked(1, 4), "REFUSED question opt"),
        case("class NONE", asked(1, 254), "REFUSED question opt"),
        case("class ANY", asked(1, 255), "REFUSED question opt"),
        case("class 65535", asked(1, 65_535), "REFUSED question opt"),
        case("version.bind", message(0, [1, 0, 0, 0], &[&question(b"\x07version\x04bind\0", 16, 3)]), "REFUSED question"),
        case("id.server", message(0, [1, 0, 0, 0], &[&question(b"\x02id\x06server\0", 16, 3)]), "REFUSED question"),
    ]);
}
