use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::rdata::opt::EdnsOption;
use postern_config::model::RecursionPolicy;
use postern_zones::snapshot::SnapshotBuilder;

use super::*;
use crate::cache::UpstreamCache;
use crate::clock::Now;
use crate::route::RouteTable;
use crate::state::State;
use crate::wire::question::tests::{OPT, TSIG, WWW, message, opt};
use crate::wire::question::{NotAQuestion, understand};

const RD: u16 = 0x0100;
/// OPT of a client that asks for NSID.
const WITH_NSID: &[u8] = b"\0\0\x29\x04\xd0\0\0\0\0\0\x04\0\x03\0\0";

/// A server that hosts nothing and forwards nothing.
fn state() -> State {
    let snapshot = SnapshotBuilder::new()
        .network("hub", &["10.20.0.0/16".parse().unwrap()], RecursionPolicy::Yes)
        .network("closed", &["10.40.0.0/16".parse().unwrap()], RecursionPolicy::No)
        .build();
    let cache = postern_config::model::CacheConfig {
        size: 0,
        min_ttl: 0,
        max_ttl: 86_400,
        max_negative_ttl: 3_600,
        failure_ttl: 5,
        stale: Duration::ZERO,
        stale_ttl: 30,
        stale_after: Duration::from_secs(2),
        stale_recheck: Duration::from_secs(30),
    };
    let deadline = Duration::from_secs(5);
    State {
        routes: Arc::new(RouteTable::new(snapshot.networks().count())),
        snapshot: Arc::new(snapshot),
        table: postern_config::azure::PrivateLinkTable::shared(),
        cache: Arc::new(UpstreamCache::new(0)),
        access: Default::default(),
        settings: AnswerSettings {
            udp_size: 1232,
            nsid: Box::default(),
            version: None,
            identity: None,
            max_public_ttl: 60,
            cache,
            deadline,
            responses_per_second: 0,
        },
    }
}

/// The same with everything named that can be told of it.
fn named() -> State {
    let mut state = state();
    state.settings.nsid = b"hub-dns-1".as_slice().into();
    state.settings.version = Some("postern".into());
    state.settings.identity = Some("hub-dns-1".into());
    state
}

/// What the client gets, as octets; none: the path answers, or nobody.
fn answered(state: &State, client: &str, packet: &[u8], limit: usize) -> Option<Vec<u8>> {
    let client: IpAddr = client.parse().unwrap();
    let mut buffer = packet.to_vec();
    buffer.resize(2048, 0xee);
    let length = match understand(packet) {
        Err(NotAQuestion::Declined(mut declined)) => {
            declined.settle_cookie(client);
            decline(&declined, &state.settings, &mut buffer)
        }
        Err(_) => return None,
        Ok(question) if !is_unusual(&question) => return None,
        Ok(mut question) => {
            question.settle_cookie(client);
            let limit = limit.min(question.udp_limit(state.settings.udp_size));
            answer(&question, &state.view_of(client, Now(1_000)), &mut buffer, packet.len(), limit)?
        }
    };
    buffer.truncate(length);
    Some(buffer)
}

/// RCODE, flags, and what stands in each section, on one line.
fn told(state: &State, client: &str, packet: &[u8]) -> String {
    let Some(octets) = answered(state, client, packet, 1232) else { return "path".into() };
    assert_eq!(octets[..2], packet[..2], "ID");
    let message = Message::from_vec(&octets).expect("every client can read it");
    assert_eq!(message.metadata.op_code, Message::from_vec(&[&packet[..4], &[0; 8]].concat()).unwrap().metadata.op_code);
    let mut text = match message.metadata.response_code {
        ResponseCode::NoError => "NOERROR".to_owned(),
        ResponseCode::FormErr => "FORMERR".into(),
        ResponseCode::NotImp => "NOTIMP".into(),
        ResponseCode::Refused => "REFUSED".into(),
        ResponseCode::NotAuth => "NOTAUTH".into(),
        ResponseCode::BADVERS | ResponseCode::BADSIG => "BADVERS".into(),
        ResponseCode::BADCOOKIE => "BADCOOKIE".into(),
        other => panic!("{other}"),
    };
    let flags = u16::from_be_bytes([octets[2], octets[3]]);
    assert_eq!(flags & 0x8000, 0x8000, "QR");
    for (bit, word) in [(0x400, " aa"), (0x200, " tc"), (0x100, " rd"), (0x80, " ra"), (0x40, " z"), (0x20, " ad"), (0x10, " cd")] {
        text += if flags & bit != 0 { word } else { "" };
    }
    text += if message.queries.is_empty() { " no question" } else { "" };
    for record in &message.answers {
        text += &format!("; {} {} {} {}", record.dns_class, record.ttl, record.record_type(), record.data);
    }
    assert_eq!(message.authorities.len(), 0);
    if let Some(edns) = &message.edns {
        assert_eq!((edns.version(), edns.max_payload()), (0, 1232));
        text += if edns.flags().dnssec_ok { "; opt do" } else { "; opt" };
        for (code, option) in edns.options().as_ref() {
            match option {
                EdnsOption::Unknown(15, data) => {
                    text += &format!(" {} {}", u16::from_be_bytes([data[0], data[1]]), String::from_utf8_lossy(&data[2..]));
                }
                EdnsOption::NSID(id) => text += &format!(" nsid {}", String::from_utf8_lossy(id.as_ref())),
                _ => text += &format!(" option {}", u16::from(*code)),
            }
        }
    }
    text
}

fn question(name: &[u8], rtype: u16, class: u16) -> Vec<u8> {
    [name, &rtype.to_be_bytes(), &class.to_be_bytes()].concat()
}

const NAME: &[u8] = b"\x03www\x07contoso\x04test\0";

#[test]
fn a_message_that_is_no_question_is_declined_with_a_reason() {
    let state = named();
    for (what, packet, want) in [
        ("UPDATE", message(5 << 11 | RD, [1, 0, 0, 1], &[WWW, OPT]), "NOTIMP; opt 21 opcode not supported"),
        ("opcode 15, header alone", message(15 << 11, [0; 4], &[]), "NOTIMP no question"),
        ("no question", message(RD, [0; 4], &[]), "FORMERR rd no question"),
        ("two questions", message(0, [2, 0, 0, 1], &[WWW, WWW, OPT]), "FORMERR no question; opt 0 not exactly one question"),
        ("a bad name", message(0, [1, 0, 0, 0], &[b"\xc0\x0c\0\x01\0\x01"]), "FORMERR no question"),
        ("records cut", message(0, [1, 0, 0, 2], &[WWW, OPT]), "FORMERR; opt 0 message ends early"),
        ("every flag but QR", message(0x07ff, [1, 1, 0, 0], &[WWW]), "FORMERR rd cd"),
        // RFC 6891 sections 6.1.1, 6.1.3, 6.1.4, 7; RFC 8906 section 3.2.
        ("OPT twice", message(0, [1, 0, 0, 2], &[WWW, OPT, OPT]), "FORMERR; opt 0 more than one OPT record"),
        ("version 1", message(RD, [1, 0, 0, 1], &[WWW, &opt(1232, 1, 0x8000, b"")]), "BADVERS rd; opt do 0 EDNS version not supported"),
        ("version 1, other flags", message(0, [1, 0, 0, 1], &[WWW, &opt(1232, 1, 0x40, b"")]), "BADVERS; opt 0 EDNS version not supported"),
        ("a bad option", message(0, [1, 0, 0, 1], &[WWW, &opt(512, 0, 0, b"\0\x64\0\x01")]), "FORMERR; opt 0 bad EDNS option"),
        (
            "a bad option behind NSID",
            message(0, [1, 0, 0, 1], &[WWW, &opt(512, 0, 0, b"\0\x03\0\0\0")]),
            "FORMERR; opt nsid hub-dns-1 0 bad EDNS option",
        ),
        ("TSIG that is not last", message(0, [1, 0, 0, 2], &[WWW, TSIG, OPT]), "FORMERR"),
        ("a response", message(0x8000, [1, 0, 0, 0], &[WWW]), "path"),
    ] {
        assert_eq!(told(&state, "10.20.0.7", &packet), want, "{what}");
    }
}

/// RFC 6895 section 3.1, RFC 9824 section 3.5, RFC 5936, RFC 8906 section 7. ANY is the path's (RFC 8482).
#[test]
fn every_meta_type_is_refused_and_every_data_type_is_the_paths() {
    let state = state();
    for rtype in 0..=u16::MAX {
        let want = match rtype {
            41 | 128 | 250 => "FORMERR rd ra; opt 30 no type to ask for",
            251 | 252 => "REFUSED rd ra; opt 21 transfers are not served",
            129..=249 | 253 | 254 => "NOTIMP rd ra; opt 21 type not supported",
            _ => "path",
        };
        let packet = message(RD, [1, 0, 0, 1], &[&question(NAME, rtype, 1), OPT]);
        assert_eq!(told(&state, "10.20.0.7", &packet), want, "TYPE{rtype}");
    }
}

#[test]
fn classes_other_than_in_are_refused() {
    for class in (0..=u16::MAX).filter(|class| *class != 1) {
        let packet = message(0, [1, 0, 0, 0], &[&question(NAME, 1, class)]);
        assert_eq!(told(&state(), "10.20.0.7", &packet), "REFUSED ra", "CLASS{class}");
        if class == 300 {
            break; // one above 255 is as good as the others
        }
    }
    let with_edns = |class| message(RD, [1, 0, 0, 1], &[&question(NAME, 16, class), OPT]);
    assert_eq!(told(&state(), "10.20.0.7", &with_edns(4)), "REFUSED rd ra; opt 21 class not supported");
    assert_eq!(told(&state(), "10.40.0.7", &with_edns(255)), "REFUSED rd; opt 21 class not supported", "no recursion, no RA");
}

/// RFC 4892: off unless named.
#[test]
fn a_server_tells_of_itself_what_its_configuration_names() {
    let refused = "REFUSED ra; opt 20 nothing is told of this server under this name";
    let version = "NOERROR aa ra; CH 0 TXT postern; opt";
    let identity = "NOERROR aa ra; CH 0 TXT hub-dns-1; opt";
    for (name, rtype, want) in [
        (&b"\x07version\x04bind\0"[..], 16, version),
        (b"\x07VERSION\x04Bind\0", 16, version),
        (b"\x07version\x06server\0", 16, version),
        (b"\x08hostname\x04bind\0", 16, identity),
        (b"\x02id\x06server\0", 16, identity),
        (b"\x02id\x06server\0", 255, identity),
        (b"\x02id\x06server\0", 1, "NOERROR aa ra; opt"),
        (b"\x07authors\x04bind\0", 16, refused),
        (b"\x04bind\0", 16, refused),
        (b"\0", 16, refused),
        (b"\x02id\x06server\0", 252, "REFUSED ra; opt 21 transfers are not served"),
    ] {
        let packet = message(0, [1, 0, 0, 1], &[&question(name, rtype, 3), OPT]);
        assert_eq!(told(&named(), "10.20.0.7", &packet), want, "{} {rtype}", name.escape_ascii());
        if matches!(rtype, 16 | 255) {
            assert_eq!(told(&state(), "10.20.0.7", &packet), refused, "not named: {}", name.escape_ascii());
        }
    }
    let plain = message(RD, [1, 0, 0, 0], &[&question(b"\x07version\x04bind\0", 16, 3)]);
    assert_eq!(told(&named(), "10.20.0.7", &plain), "NOERROR aa rd ra; CH 0 TXT postern");
}

#[test]
fn the_longest_version_is_one_string_and_does_not_outgrow_a_small_client() {
    let mut state = named();
    state.settings.version = Some("v".repeat(255).into());
    state.settings.nsid = [b'n'; 128].into();
    let packet = message(0, [1, 0, 0, 1], &[&question(b"\x07version\x04bind\0", 16, 3), &opt(512, 0, 0, b"\0\x03\0\0")]);
    let octets = answered(&state, "10.20.0.7", &packet, 512).unwrap();
    assert!(octets.len() <= 512);
    assert!(told(&state, "10.20.0.7", &packet).starts_with(&format!("NOERROR aa ra; CH 0 TXT {}; opt nsid n", "v".repeat(255))));
}

/// RFC 5001: to those alone who ask, and only where it is named.
#[test]
fn nsid_is_given_to_who_asks() {
    for (named_too, opt, want) in [
        (true, WITH_NSID, "REFUSED; opt nsid hub-dns-1 21 class not supported"),
        (true, OPT, "REFUSED; opt 21 class not supported"),
        (false, WITH_NSID, "REFUSED; opt 21 class not supported"),
    ] {
        let state = if named_too { named() } else { state() };
        let packet = message(0, [1, 0, 0, 1], &[&question(NAME, 1, 4), opt]);
        assert_eq!(told(&state, "10.40.0.7", &packet), want);
    }
}

/// RFC 7873 sections 5.2 and 5.4.
#[test]
fn a_cookie_alone_is_answered_and_comes_with_every_answer() {
    let with = |counts, parts: &[&[u8]], cookie: &[u8]| {
        let option = [&[0, 10, 0, cookie.len() as u8], cookie].concat();
        message(0, counts, &[parts.concat().as_slice(), &opt(1232, 0, 0, &option)])
    };
    let state = state();
    let alone = |cookie: &[u8]| with([0, 0, 0, 1], &[], cookie);
    assert_eq!(told(&state, "10.20.0.7", &alone(b"COOKIE!!")), "NOERROR no question; opt option 10");
    let octets = answered(&state, "10.20.0.7", &alone(b"COOKIE!!"), 1232).unwrap();
    let both = octets.last_chunk::<24>().unwrap();
    assert_eq!(both[..9], *b"COOKIE!!\x01");
    assert_eq!(told(&state, "10.20.0.7", &alone(both)), "NOERROR no question; opt option 10");
    assert_eq!(told(&state, "10.20.0.8", &alone(both)), "BADCOOKIE no question; opt option 10", "it is another client's");
    assert_eq!(told(&state, "10.20.0.7", &alone(&[7; 40])), "BADCOOKIE no question; opt option 10", "of another server");
    let other_class = question(NAME, 1, 4);
    let refused = "REFUSED ra; opt option 10 21 class not supported";
    for cookie in [&b"COOKIE!!"[..], both, &[7; 24]] {
        assert_eq!(told(&state, "10.20.0.8", &with([1, 0, 0, 1], &[&other_class], cookie)), refused, "answered as without");
    }
}

/// RFC 8945 sections 5.2.1 and 5.3.2.
#[test]
fn a_signed_question_gets_badkey_in_a_tsig_record_that_is_not_signed() {
    let packet = message(0, [1, 0, 0, 2], &[WWW, OPT, TSIG]);
    let octets = answered(&state(), "10.20.0.7", &packet, 1232).unwrap();
    assert_eq!(octets[3] & 0xf, 9, "NOTAUTH");
    assert_eq!(octets[4..12], [0, 1, 0, 0, 0, 0, 0, 2], "OPT and TSIG");
    // Key, type, class ANY, TTL 0; algorithm, the client's time and fudge, no MAC, its ID, BADKEY, nothing else.
    let tsig = b"\x03key\0\0\xfa\0\xff\0\0\0\0\0\x1d\x0bhmac-sha256\0\0\0\x69\x22\0\0\x01\x2c\0\0\xab\xcd\0\x11\0\0";
    assert!(octets.ends_with(tsig), "{}", octets.escape_ascii());
    // The key's name may be compressed; what goes back is not.
    let compressed = [b"\xc0\x0c", &TSIG[5..]].concat();
    let octets = answered(&state(), "10.20.0.7", &message(0, [1, 0, 0, 1], &[WWW, &compressed]), 1232).unwrap();
    assert!(octets.ends_with(&[NAME, &tsig[5..]].concat()), "{}", octets.escape_ascii());
    assert_eq!(octets[3] & 0xf, 9);
}

#[test]
fn a_tsig_record_that_cannot_be_read_is_formerr() {
    // Length of RDATA stands at 13 and 14, RDATA from 15 on: 13 octets of algorithm, 6 + 2 of time, 2 of MAC size.
    let changed = |at: usize, octets: &[u8]| {
        let mut record = TSIG.to_vec();
        record[at..at + octets.len()].copy_from_slice(octets);
        record
    };
    let cut = |length: u8| [&TSIG[..13], &[0, length], &TSIG[15..15 + usize::from(length)]].concat();
    for (what, record) in [
        ("no RDATA", cut(0)),
        ("half an algorithm", cut(8)),
        ("no time", cut(13)),
        ("no MAC size", cut(21)),
        ("a MAC that is cut", cut(24)),
        ("no error field", cut(30)),
        ("a MAC longer than the record", changed(36, &[0xff, 0xff])),
        ("a pointer for an algorithm", changed(15, b"\xc0\x0c")),
        ("a key that points to itself", [b"\xc0\x22", &TSIG[5..]].concat()),
    ] {
        let packet = message(0, [1, 0, 0, 1], &[WWW, &record]);
        assert_eq!(told(&state(), "10.20.0.7", &packet), "FORMERR ra", "{what}");
        let packet = message(0, [1, 0, 0, 2], &[WWW, OPT, &record]);
        assert!(what.contains("points") || told(&state(), "10.20.0.7", &packet) == "FORMERR ra; opt 0 bad TSIG record", "{what}");
    }
}

#[test]
fn without_room_for_tsig_the_rcode_must_do() {
    let key = [[&[63u8][..], &[b'k'; 63]].concat().repeat(3), vec![0]].concat();
    let record = [&key, &TSIG[5..]].concat();
    let name = [[&[63u8][..], &[b'n'; 63]].concat().repeat(3), vec![0]].concat();
    let packet = message(0, [1, 0, 0, 2], &[&question(&name, 1, 1), &opt(512, 0, 0, b"\0\x03\0\0"), &record]);
    let mut state = state();
    state.settings.nsid = [b'n'; 128].into();
    let octets = answered(&state, "10.20.0.7", &packet, 512).unwrap();
    assert_eq!((octets[3] & 0xf, octets[11]), (9, 1));
    assert!(octets.len() <= 512);
}

/// SIG(0) makes a question a record manager's: the path answers, from our data alone (S4).
#[test]
fn sig0_is_the_paths() {
    let packet = message(0, [1, 0, 0, 1], &[WWW, b"\0\0\x18\0\xff\0\0\0\0\0\x02\0\0"]);
    assert!(understand(&packet).unwrap().signed);
    assert_eq!(told(&state(), "10.20.0.7", &packet), "path");
}
