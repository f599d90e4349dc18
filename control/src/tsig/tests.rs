use std::path::Path;

use super::*;

const NOW: u64 = 1_800_000_000;

fn keyring() -> Keyring {
    let text = r#"
        [[key]]
        name = "acme.contoso.com"
        algorithm = "hmac-sha512"
        allow-md5 = true
        secret = "c2VjcmV0"
        allow = ["update"]
        zones = ["corp.contoso.com", "lab.contoso.com@hub"]
        names = ["_acme-challenge.*"]
        types = ["TXT"]
        [[key]]
        name = "plain"
        secret = "c2VjcmV0"
        allow = ["transfer", "query"]
        clients = ["10.20.0.0/16", "192.0.2.1"]
        [[key]]
        name = "cut"
        secret = "c2VjcmV0"
        mac-bits = 160
        allow = ["update"]
        [[key]]
        name = "dhcp"
        unsigned = true
        clients = ["10.20.0.5"]
        allow = ["notify"]
        [[network]]
        name = "hub"
        clients = ["10.20.0.0/16"]
    "#;
    Keyring::new(&postern_config::parse(text, Path::new("t.toml")).unwrap().config)
}

fn client() -> IpAddr {
    "10.20.0.7".parse().unwrap()
}

/// A question with an OPT record, ID 0x1234.
fn question() -> Vec<u8> {
    b"\x12\x34\0\0\0\x01\0\0\0\0\0\x01\x03www\x07contoso\x03com\0\0\x01\0\x01\0\0\x29\x04\xd0\0\0\0\0\0\0".to_vec()
}

/// The answer to it: NOERROR without records.
fn answer() -> Vec<u8> {
    let mut answer = question();
    answer[2] |= 0x84;
    answer
}

fn signed(name: &str) -> (Vec<u8>, Signer) {
    let mut message = question();
    let signer = Signer::begin(keyring().key(name).unwrap(), &mut message, NOW);
    (message, signer)
}

/// The message with its TSIG record changed.
fn changed(message: &[u8], change: impl FnOnce(&mut TsigRecord)) -> Vec<u8> {
    let mut record = find(message).unwrap().unwrap();
    let mut message = record.take_off(message);
    change(&mut record);
    record.put_on(&mut message);
    message
}

fn verify(message: &[u8]) -> Result<VerifiedMessage, Box<TsigRejection>> {
    let record = find(message).unwrap().unwrap();
    keyring().verify(message, &record, client(), NOW)
}

fn code(message: &[u8]) -> Option<u16> {
    verify(message).unwrap_err().error
}

#[test]
fn a_request_and_its_answer_are_believed_on_both_sides() {
    for name in ["acme.contoso.com", "PLAIN."] {
        let (message, mut theirs) = signed(name);
        let mut verified = verify(&message).unwrap();
        assert_eq!(verified.message, question());
        assert_eq!(message.len(), question().len() + verified.signer.reserve());
        let mut answered = answer();
        verified.signer.sign(&mut answered, NOW + 5);
        assert_eq!(theirs.check(&answered, true, NOW + 9).unwrap(), answer());
        // It is the answer to this request alone.
        let mut others = Signer::begin(keyring().key(name).unwrap(), &mut question(), NOW + 1);
        assert_eq!(others.check(&answered, true, NOW), Err(BadAnswer::Signature));
    }
}

#[test]
fn another_implementation_makes_the_same_signature() {
    // By hickory-proto: its signer knows the hashes that ring has.
    use hickory_proto::op::Message;
    use hickory_proto::rr::TSigner;
    use hickory_proto::rr::rdata::tsig::TsigAlgorithm;
    let signer = TSigner::new(b"secret".to_vec(), TsigAlgorithm::HmacSha256, "plain.".parse().unwrap(), 300).unwrap();
    let mut message = Message::from_vec(&question()).unwrap();
    message.finalize(&signer, NOW).unwrap();
    let octets = message.to_vec().unwrap();
    assert_eq!(verify(&octets).unwrap().message.len(), question().len());
}

#[test]
fn letter_case_of_key_and_hash_does_not_matter() {
    let (message, _) = signed("acme.contoso.com");
    let start = find(&message).unwrap().unwrap().start;
    let mut upper = message.clone();
    let names = start..start + 18 + 10 + 13; // key, fixed fields, hash
    for octet in &mut upper[names] {
        *octet = if octet.is_ascii_lowercase() { octet.to_ascii_uppercase() } else { *octet };
    }
    assert_ne!(upper, message);
    assert!(verify(&upper).is_ok());
}

#[test]
fn md5_is_taken_where_the_key_says_so_and_else_told_of() {
    let md5 = |name: &str| {
        let mut signer = signed(name).1;
        (signer.algorithm, signer.last, signer.is_first) = (TsigAlgorithm::Md5, Vec::new(), true);
        let mut message = question();
        let record = TsigRecord {
            key: signer.key.name.to_buf(),
            algorithm: NameBuf::read(hash::wire_name(TsigAlgorithm::Md5)).unwrap(),
            time: NOW,
            fudge: FUDGE,
            mac: Vec::new(),
            original_id: 0x1234,
            error: 0,
            other: Vec::new(),
            start: 0,
        };
        let mac = hash::sign(TsigAlgorithm::Md5, b"secret", &[&message, &record.variables()]);
        TsigRecord { mac, ..record }.put_on(&mut message);
        message
    };
    assert!(verify(&md5("acme.contoso.com")).is_ok());
    let rejected = verify(&md5("plain")).unwrap_err();
    assert_eq!(rejected.error, Some(error::BADKEY));
    assert!(rejected.hint.unwrap().contains("write `allow-md5 = true` for the key"));
}

#[test]
fn what_is_wrong_is_told_in_the_order_of_the_rfc() {
    let (message, _) = signed("plain");
    let name = |text: &str| NameBuf::parse(text).unwrap();
    type Change = Box<dyn FnOnce(&mut TsigRecord)>;
    let cases: [(&str, Change, Option<u16>); 12] = [
        ("unknown key", Box::new(move |record| record.key = name("other")), Some(error::BADKEY)),
        ("unknown hash", Box::new(move |record| record.algorithm = name("gss-tsig")), Some(error::BADKEY)),
        ("another hash", Box::new(move |record| record.algorithm = name("hmac-sha1")), Some(error::BADKEY)),
        ("another MAC", Box::new(|record| record.mac[0] ^= 1), Some(error::BADSIG)),
        ("another time", Box::new(|record| record.time += 1), Some(error::BADSIG)),
        ("another fudge", Box::new(|record| record.fudge = u16::MAX), Some(error::BADSIG)),
        ("an error", Box::new(|record| record.error = 1), Some(error::BADSIG)),
        ("other data", Box::new(|record| record.other = vec![1]), Some(error::BADSIG)),
        ("cut by half", Box::new(|record| record.mac.truncate(16)), Some(error::BADTRUNC)),
        ("cut to less than half", Box::new(|record| record.mac.truncate(15)), None),
        ("no MAC", Box::new(|record| record.mac.clear()), None),
        ("too long a MAC", Box::new(|record| record.mac.push(0)), None),
    ];
    for (what, change, want) in cases {
        assert_eq!(code(&changed(&message, change)), want, "{what}");
    }
    let late = find(&message).unwrap().unwrap();
    for (now, want) in [(NOW - 301, Some(error::BADTIME)), (NOW + 301, Some(error::BADTIME)), (NOW - 300, None), (NOW + 300, None)] {
        let rejected = keyring().verify(&message, &late, client(), now).err().and_then(|rejected| rejected.error);
        assert_eq!(rejected, want);
    }
    assert_eq!(keyring().verify(&message, &late, "198.51.100.1".parse().unwrap(), NOW).unwrap_err().error, Some(error::BADKEY));
}

#[test]
fn a_mac_may_be_cut_as_far_as_the_key_says() {
    let (message, _) = signed("cut");
    for (octets, want) in [(32, None), (20, None), (19, Some(error::BADTRUNC)), (16, Some(error::BADTRUNC))] {
        let cut = changed(&message, |record| record.mac.truncate(octets));
        assert_eq!(verify(&cut).err().and_then(|rejected| rejected.error), want, "{octets}");
    }
    // What is cut is signed as it stands: the answer to it begins with the MAC that came.
    let cut = changed(&message, |record| record.mac.truncate(20));
    let (mut theirs, mut answered) = (signed("cut").1, answer());
    theirs.last.truncate(20);
    verify(&cut).unwrap().signer.sign(&mut answered, NOW);
    assert!(theirs.check(&answered, true, NOW).is_ok());
}

#[test]
fn any_octet_changed_is_a_signature_broken() {
    let (message, _) = signed("plain");
    for at in 0..message.len() {
        for bit in 0..8 {
            let mut broken = message.clone();
            broken[at] ^= 1 << bit;
            let Ok(Some(record)) = find(&broken) else { continue };
            // The ID alone is not signed: the original ID is. Names are signed in lower case.
            let verified = keyring().verify(&broken, &record, client(), NOW);
            let is_name = at >= record.start && bit == 5;
            assert!(verified.is_err() || at < 2 || is_name, "{at} {bit}");
        }
    }
}

#[test]
fn answers_to_bad_signatures_say_what_is_wrong() {
    let (message, _) = signed("plain");
    for (change, signed_answer, want) in [
        (Box::new(|record: &mut TsigRecord| record.mac[3] ^= 8) as Box<dyn FnOnce(&mut TsigRecord)>, false, error::BADSIG),
        (Box::new(|record| record.key = NameBuf::parse("other").unwrap()), false, error::BADKEY),
        (Box::new(|record| record.mac.truncate(20)), true, error::BADTRUNC),
    ] {
        let rejected = verify(&changed(&message, change)).unwrap_err();
        let mut octets = answer();
        let reserve = rejected.reserve();
        rejected.put_on(&mut octets);
        assert!(octets.len() <= answer().len() + reserve);
        let record = find(&octets).unwrap().unwrap();
        assert_eq!((record.error, !record.mac.is_empty(), record.time), (want, signed_answer, NOW));
    }
    let (message, mut theirs) = signed("plain");
    let record = find(&message).unwrap().unwrap();
    let rejected = keyring().verify(&message, &record, client(), NOW + 1000).unwrap_err();
    let mut octets = answer();
    rejected.put_on(&mut octets);
    let told = find(&octets).unwrap().unwrap();
    assert_eq!((told.error, told.time, &told.other[..]), (error::BADTIME, NOW, &(NOW + 1000).to_be_bytes()[2..]));
    assert_eq!(theirs.check(&octets, true, NOW), Err(BadAnswer::Refused(error::BADTIME)), "it is signed, so that it can be believed");
}

#[test]
fn an_answer_of_several_messages_is_believed_in_its_order_alone() {
    let (message, theirs) = signed("plain");
    let mut ours = verify(&message).unwrap().signer;
    let mut messages: Vec<Vec<u8>> = (0..5).map(|_| answer()).collect();
    messages.iter_mut().for_each(|message| ours.sign(message, NOW));
    let check = |order: &[usize]| {
        let mut theirs = theirs.clone();
        order.iter().map(|&index| theirs.check(&messages[index], false, NOW).map(|_| ())).collect::<Result<Vec<()>, BadAnswer>>()
    };
    assert!(check(&[0, 1, 2, 3, 4]).is_ok());
    for wrong in [&[1][..], &[0, 2], &[0, 0], &[0, 1, 3]] {
        assert_eq!(check(wrong), Err(BadAnswer::Signature), "{wrong:?}");
    }
}

#[test]
fn unsigned_messages_between_signed_ones_are_believed_with_the_next() {
    let (message, theirs) = signed("plain");
    let mut ours = verify(&message).unwrap().signer;
    let (mut first, mut last) = (answer(), answer());
    ours.sign(&mut first, NOW);
    let middle: Vec<Vec<u8>> = (0..3u8).map(|index| [answer(), vec![index]].concat()).collect();
    // The last one covers those before it.
    let record = find(&first).unwrap().unwrap();
    let tail = TsigRecord { time: NOW, ..record.clone() };
    let length = (ours.last.len() as u16).to_be_bytes();
    let mac = hash::sign(TsigAlgorithm::Sha256, b"secret", &[&length, &ours.last, &middle.concat(), &last, &tail.timers()]);
    TsigRecord { mac, ..tail }.put_on(&mut last);
    let run = |messages: &[&[u8]]| {
        let mut theirs = theirs.clone();
        messages.iter().enumerate().map(|(at, message)| theirs.check(message, at + 1 == messages.len(), NOW)).collect::<Result<Vec<_>, _>>()
    };
    assert!(run(&[&first, &middle[0], &middle[1], &middle[2], &last]).is_ok());
    assert_eq!(run(&[&first, &middle[0], &middle[2], &middle[1], &last]), Err(BadAnswer::Signature));
    assert_eq!(run(&[&first, &middle[0]]), Err(BadAnswer::Unsigned));
    assert_eq!(run(&[&middle[0], &first]), Err(BadAnswer::Unsigned));
}

#[test]
fn a_record_out_of_place_or_cut_is_malformed() {
    let (message, _) = signed("plain");
    let start = find(&message).unwrap().unwrap().start;
    for length in start..message.len() {
        assert!(find(&message[..length]).is_err(), "{length}");
    }
    let mut before_opt = message[..12].to_vec();
    before_opt.extend_from_slice(&message[12..33]);
    before_opt.extend_from_slice(&message[start..]);
    before_opt.extend_from_slice(&message[33..start]);
    assert!(find(&before_opt).is_err(), "not the last");
    for (at, value) in [(start + 7 + 3, 1), (start + 7 + 7, 1)] {
        let mut wrong = message.clone();
        wrong[at] = value; // class, TTL
        assert!(find(&wrong).is_err());
    }
    assert!(find(&question()).unwrap().is_none());
    assert!(find(b"\x12\x34").is_err());
}

#[test]
fn a_key_is_good_for_what_it_says() {
    let keyring = keyring();
    let key = keyring.key("acme.contoso.com").unwrap();
    for (zone, networks, want) in [
        ("corp.contoso.com", &[][..], true),
        ("corp.contoso.com", &["spoke"], true),
        ("lab.contoso.com", &["hub", "spoke"], true),
        ("lab.contoso.com", &["spoke"], false),
        ("lab.contoso.com", &[], true),
        ("contoso.com", &[], false),
    ] {
        assert_eq!(key.covers(zone, networks), want, "{zone} {networks:?}");
    }
    for (name, rtype, want) in [
        ("_acme-challenge.www.corp.contoso.com", 16, true),
        ("_ACME-challenge.corp.contoso.com", 16, true),
        ("_acme-challenge.www.corp.contoso.com", 1, false),
        ("www.corp.contoso.com", 16, false),
    ] {
        assert_eq!(key.may_change(&NameBuf::parse(name).unwrap(), rtype), want, "{name} {rtype}");
    }
    assert!(key.allows(KeyAction::Update) && !key.allows(KeyAction::Query));
    assert!(keyring.allows(KeyAction::Notify) && keyring.can_sign() && keyring.key("dhcp").is_none());
    let unsigned = |client: &str| keyring.unsigned(client.parse().unwrap()).count();
    assert_eq!((unsigned("10.20.0.5"), unsigned("10.20.0.6"), unsigned("::ffff:10.20.0.5")), (1, 0, 1));
}
