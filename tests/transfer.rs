//! Zones from server to server on the real program: AXFR, IXFR and NOTIFY, with dig, and with Postern as secondary of Postern.

mod harness;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use harness::http::Http;
use harness::{Server, ask_udp, eventually, field, postern, query, write_files};
use hickory_proto::op::{Message, MessageType, OpCode, ResponseCode};
use hickory_proto::rr::RecordType::{A, AXFR, SOA};
use hickory_proto::rr::{Name, RData, Record, rdata};
use serde_json::json;

/// `secret`, in Base64.
const SECRET: &str = "c2VjcmV0IG9mIGEgdGVzdCwgMzIgb2N0ZXRzIGxvbmc=";
const OTHER: &str = "YW5vdGhlciBzZWNyZXQgb2YgYSB0ZXN0LCAzMiBvY3Q=";

const PRIMARY: &str = "
[server]
listen = ['127.0.0.1:0']
[[network]]
name = 'hub'
clients = ['127.0.0.0/8']
[[key]]
name = 'secondaries'
secret = 'c2VjcmV0IG9mIGEgdGVzdCwgMzIgb2N0ZXRzIGxvbmc='
allow = ['transfer', 'query']
zones = ['corp.contoso.com']
[[key]]
name = 'other'
secret = 'YW5vdGhlciBzZWNyZXQgb2YgYSB0ZXN0LCAzMiBvY3Q='
allow = ['query']
[[zone]]
name = 'filed.contoso.com'
file = 'filed.zone'
transfer-to = ['127.0.0.1']
[[zone]]
name = 'missing.contoso.com'
file = 'missing.zone'
transfer-to = ['127.0.0.1']
[api]
listen = '127.0.0.1:0'
";

/// A zone that the API writes, with lines of its own.
fn corp(lines: &str) -> String {
    format!("{PRIMARY}[[zone]]\nname = 'corp.contoso.com'\napi = true\non-missing = 'nxdomain'\n{lines}\n")
}

/// Names and types that a transfer can get wrong.
const ODD: &str = r#"
$TTL 300
@ IN SOA ns.contoso.com. host\.master.contoso.com. 7 3600 300 2419200 60
@ IN NS ns.contoso.com.
WWW IN A 10.0.0.1
www IN A 10.0.0.2
a\.b IN TXT "with \"quotes\"" "and more"
sp\032ace\255 IN TYPE65280 \# 4 0A000001
svc IN SRV 1 2 443 Target.Filed.Contoso.Com.
mail IN MX 10 mail
*.wild IN CNAME www
child IN NS ns.child
ns.child IN A 10.0.0.9
under IN HTTPS 1 . alpn="h2"
"#;

fn has_dig() -> bool {
    let found = Command::new("dig").arg("-v").output().is_ok();
    if !found {
        eprintln!("dig is not installed: what it would show is left out");
    }
    found
}

fn dig(server: SocketAddr, arguments: &[&str]) -> String {
    let (at, port) = (format!("@{}", server.ip()), server.port().to_string());
    let output = Command::new("dig").args([&*at, "-p", &port, "+tries=1", "+time=60"]).args(arguments).output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The records that dig printed.
fn records(printed: &str) -> Vec<&str> {
    printed.lines().filter(|line| !line.starts_with(';') && !line.trim().is_empty()).collect()
}

fn put(api: &mut Http, owner: &str, addresses: &[&str]) {
    let path = format!("/v1/zones/corp.contoso.com/rrsets/{owner}/A");
    api.send("PUT", &path, Some(&json!({"ttl": 60, "records": addresses}))).ok(200);
}

fn serial(server: &Server, zone: &str) -> Option<u32> {
    server.short(zone, SOA).first()?.split(' ').nth(2)?.parse().ok()
}

/// A second server on files of its own.
fn secondary(primary: SocketAddr, lines: &str, more: &str) -> Server {
    let config = secondary_config(primary, lines, more);
    Server::with(&[("postern.toml", &config)])
}

fn secondary_config(primary: SocketAddr, lines: &str, more: &str) -> String {
    format!(
        "[server]\nlisten = ['127.0.0.1:0']\n[[network]]\nname = 'hub'\nclients = ['127.0.0.0/8']\n\
         [[zone]]\nname = 'corp.contoso.com'\nprimaries = ['{primary}']\ntransfer-to = ['127.0.0.0/8']\non-missing = 'nxdomain'\n{lines}\n{more}"
    )
}

/// The whole zone as dig sees it, sorted.
fn content(server: &Server, zone: &str, more: &[&str]) -> Vec<String> {
    let printed = dig(server.address, &[&["AXFR", zone, "+onesoa", "+nocomments", "+nocmd", "+nostats"], more].concat());
    let squeeze = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut lines: Vec<String> = records(&printed).into_iter().filter(|line| !line.contains("TSIG")).map(squeeze).collect();
    lines.sort();
    lines
}

/// What a primary says when a zone changed; the answer.
fn notify(server: &Server, zone: &str) -> ResponseCode {
    let mut message = query(zone, SOA);
    message.metadata.op_code = OpCode::Notify;
    ask_udp(server.address, None, &message).expect("an answer").metadata.response_code
}

fn again(server: &Server) -> Server {
    let config = server.file("postern.toml");
    Server::spawn(postern(&["serve", "-c", config.to_str().unwrap()]), server.path().to_path_buf(), None)
}

#[test]
fn dig_gets_a_zone_of_a_file_as_it_is() {
    if !has_dig() {
        return;
    }
    let server = Server::with(&[("postern.toml", PRIMARY), ("filed.zone", ODD)]);
    let printed = dig(server.address, &["AXFR", "filed.contoso.com"]);
    let lines = records(&printed);
    assert_eq!(lines.len(), 13, "{printed}");
    for end in [lines[0], lines[12]] {
        assert!(end.contains("SOA\tns.contoso.com. host\\.master.contoso.com. 7 3600 300 2419200 60"), "{printed}");
    }
    let printed = printed.split_whitespace().collect::<Vec<_>>().join(" ");
    for record in [
        "www.filed.contoso.com. 300 IN A 10.0.0.1",
        "www.filed.contoso.com. 300 IN A 10.0.0.2",
        r#"a\.b.filed.contoso.com. 300 IN TXT "with \"quotes\"" "and more""#,
        r"sp\032ace\255.filed.contoso.com. 300 IN TYPE65280 \# 4 0A000001",
        "svc.filed.contoso.com. 300 IN SRV 1 2 443 Target.Filed.Contoso.Com.",
        "*.wild.filed.contoso.com. 300 IN CNAME www.filed.contoso.com.",
        "child.filed.contoso.com. 300 IN NS ns.child.filed.contoso.com.",
        "ns.child.filed.contoso.com. 300 IN A 10.0.0.9",
        r#"under.filed.contoso.com. 300 IN HTTPS 1 . alpn="h2""#,
    ] {
        assert!(printed.contains(record), "{record} is not in {printed}");
    }
    // Nobody knows what changed in a file: the whole; and nothing to one who has it.
    assert_eq!(records(&dig(server.address, &["IXFR=6", "filed.contoso.com"])).len(), 13);
    for serial in ["IXFR=7", "IXFR=8"] {
        assert_eq!(records(&dig(server.address, &[serial, "filed.contoso.com"])).len(), 1);
    }
    let line = server.logged(&["postern::transfer", "filed.contoso.com", "how=\"whole\""]);
    assert!(line.contains("serial=7"), "{line}");
}

#[test]
fn strangers_and_other_names_are_refused() {
    if !has_dig() {
        return;
    }
    let server = Server::with(&[("postern.toml", &corp("")), ("filed.zone", ODD)]);
    let signed = |key: &str, secret: &str| vec!["-y".to_owned(), format!("hmac-sha256:{key}:{secret}")];
    let good = signed("secondaries", SECRET);
    for (arguments, zone, from, want) in [
        (vec![], "filed.contoso.com", "127.0.0.1", None),
        (vec![], "filed.contoso.com", "127.0.0.2", Some("REFUSED")),
        (vec![], "corp.contoso.com", "127.0.0.1", Some("REFUSED")),
        (good.clone(), "corp.contoso.com", "127.0.0.2", None),
        (good.clone(), "filed.contoso.com", "127.0.0.2", Some("REFUSED")), // the key is for the other zone
        (signed("other", OTHER), "corp.contoso.com", "127.0.0.1", Some("REFUSED")),
        (signed("secondaries", OTHER), "corp.contoso.com", "127.0.0.1", Some("NOTAUTH")),
        (signed("nobody", SECRET), "corp.contoso.com", "127.0.0.1", Some("NOTAUTH")),
        (vec![], "www.filed.contoso.com", "127.0.0.1", Some("NOTAUTH")),
        (vec![], "fabrikam.com", "127.0.0.1", Some("NOTAUTH")),
        (vec![], "missing.contoso.com", "127.0.0.1", Some("SERVFAIL")),
    ] {
        for kind in ["AXFR", "IXFR=1"] {
            let more: Vec<&str> = arguments.iter().map(String::as_str).collect();
            let printed = dig(server.address, &[&[kind, zone, "-b", from, "+all"], &more[..]].concat());
            match want {
                None => {
                    assert!(records(&printed).len() >= 2 && !printed.contains("Transfer failed"), "{zone} from {from}: {printed}");
                    let is_signed = printed.contains("TSIG\t");
                    assert_eq!(is_signed, !more.is_empty() && kind == "AXFR" || is_signed && kind != "AXFR", "{printed}");
                }
                Some(_) => {
                    assert_eq!(records(&printed).iter().filter(|line| !line.contains("TSIG")).count(), 0, "{zone} from {from}: {printed}")
                }
            }
            if let (Some(code), "IXFR=1") = (want, kind) {
                let printed = dig(server.address, &[&["IXFR=1", zone, "-b", from, "+notcp", "+all"], &more[..]].concat());
                assert!(printed.contains(&format!("status: {code}")), "{zone} from {from}: {printed}");
            }
        }
    }
}

#[test]
fn dig_gets_what_changed_over_both_transports() {
    if !has_dig() {
        return;
    }
    let server =
        Server::with(&[("postern.toml", &corp("transfer-to = ['127.0.0.1', 'key:other']\nhold-deleted = '1m'")), ("filed.zone", ODD)]);
    let mut api = server.api(None);
    for number in 1..=20 {
        put(&mut api, &format!("host{number}"), &[&format!("10.1.0.{number}")]);
    }
    let old = serial(&server, "corp.contoso.com").unwrap();
    put(&mut api, "host1", &["10.1.0.1", "10.1.1.1"]);
    api.send("DELETE", "/v1/zones/corp.contoso.com/rrsets/host2/A", None).ok(200);
    let now = old + 2;
    // A name that is held is answered a moment longer, and is not in the zone any more.
    assert_eq!(server.short("host2.corp.contoso.com", A), ["10.1.0.2"]);
    let whole = content(&server, "corp.contoso.com", &[]);
    assert!(whole.iter().any(|line| line.contains("host1.") && line.contains("10.1.1.1")), "{whole:?}");
    assert!(!whole.iter().any(|line| line.contains("host2.corp")), "{whole:?}");
    for transport in ["+tcp", "+notcp"] {
        let printed = dig(server.address, &[&format!("IXFR={old}"), "corp.contoso.com", transport]);
        let lines: Vec<String> = records(&printed).iter().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        let soa = |line: &String| line.split(' ').nth(6).and_then(|serial| serial.parse::<u32>().ok());
        let soas: Vec<u32> = lines.iter().filter(|line| line.contains(" SOA ")).filter_map(soa).collect();
        assert_eq!(soas, [now, old, old + 1, old + 1, now, now], "{transport}: {printed}");
        assert!(lines.contains(&"host2.corp.contoso.com. 60 IN A 10.1.0.2".into()), "{printed}");
        assert!(lines.contains(&"host1.corp.contoso.com. 60 IN A 10.1.1.1".into()), "{printed}");
        let signed =
            dig(server.address, &["-y", &format!("hmac-sha256:other:{OTHER}"), &format!("IXFR={old}"), "corp.contoso.com", transport]);
        assert!(!signed.contains("ould not verify") && signed.contains("10.1.1.1"), "{transport}: {signed}");
        // A serial that never was gives the whole zone; over UDP, where that does not fit, the SOA alone.
        let printed = dig(server.address, &["IXFR=1", "corp.contoso.com", transport]);
        let count = records(&printed).len();
        assert!(if transport == "+tcp" { count > 20 } else { count == 1 }, "{transport}: {printed}");
    }
    server.logged(&["postern::transfer", "corp.contoso.com", &format!("since={old}"), "how=\"changes\""]);
    // The history outlives a restart.
    let mut server = server;
    server.signal("KILL");
    server.wait();
    let server = again(&server);
    assert_eq!(
        records(&dig(server.address, &[&format!("IXFR={old}"), "corp.contoso.com"])).iter().filter(|line| line.contains("SOA")).count(),
        6
    );
}

#[test]
fn a_secondary_follows_its_primary_by_changes_and_keeps_its_copy() {
    let primary = Server::with(&[("postern.toml", &corp("transfer-to = ['key:secondaries']")), ("filed.zone", ODD)]);
    let mut api = primary.api(None);
    for number in 1..=30 {
        put(&mut api, &format!("host{number}"), &[&format!("10.1.0.{number}")]);
    }
    let key = format!("[[key]]\nname = 'secondaries'\nsecret = '{SECRET}'\nallow = ['notify']\n");
    let mut second = secondary(primary.address, "transfer-key = 'secondaries'", &key);
    second.becomes("host30.corp.contoso.com", A, &["10.1.0.30"]);
    assert_eq!(serial(&second, "corp.contoso.com"), serial(&primary, "corp.contoso.com"));
    primary.logged(&["postern::transfer", "corp.contoso.com", "how=\"whole\""]);

    // The primary learns whom to tell; each change is told, and fetched as what changed.
    let told = format!("transfer-to = ['key:secondaries']\nnotify = ['{}']", second.address);
    write_files(primary.path(), &[("postern.toml", &corp(&told))]);
    let from = primary.log().len();
    primary.signal("HUP");
    put(&mut api, "host31", &["10.1.0.31", "10.1.0.131"]);
    api.send("DELETE", "/v1/zones/corp.contoso.com/rrsets/host1/A", None).ok(200);
    second.becomes("host1.corp.contoso.com", A, &["NXDOMAIN"]);
    assert_eq!(second.short("host31.corp.contoso.com", A).len(), 2);
    primary.logged_after(from, &["postern::transfer", "corp.contoso.com", "how=\"changes\""]);
    assert!(!primary.log()[from..].iter().any(|line| line.contains("how=\"whole\"")), "{:?}", &primary.log()[from..]);
    if has_dig() {
        eventually("both have the same", || {
            let signed = format!("hmac-sha256:secondaries:{SECRET}");
            (content(&primary, "corp.contoso.com", &["-y", &signed]) == content(&second, "corp.contoso.com", &[])).then_some(())
        });
    }
    let serial_then = serial(&primary, "corp.contoso.com");

    // The primary goes away, and the secondary is started anew: it serves on, and says what it cannot do.
    drop(primary);
    second.signal("KILL");
    second.wait();
    let second = again(&second);
    assert_eq!(second.short("host30.corp.contoso.com", A), ["10.1.0.30"]);
    assert_eq!(serial(&second, "corp.contoso.com"), serial_then);
    second.logged(&["corp.contoso.com", "not refreshed"]);
    assert_eq!(second.short("host31.corp.contoso.com", A).len(), 2);
}

#[test]
fn a_secondary_of_a_file_with_odd_names_has_them_all() {
    if !has_dig() {
        return;
    }
    let primary = Server::with(&[("postern.toml", PRIMARY), ("filed.zone", ODD)]);
    let more = format!("[[zone]]\nname = 'filed.contoso.com'\nprimaries = ['{}']\ntransfer-to = ['127.0.0.1']\n", primary.address);
    let second = secondary(primary.address, "", &more);
    eventually("it is transferred", || (serial(&second, "filed.contoso.com") == Some(7)).then_some(()));
    assert_eq!(content(&second, "filed.contoso.com", &[]), content(&primary, "filed.contoso.com", &[]));
    write_files(primary.path(), &[("filed.zone", &ODD.replace(" 7 3600", " 9 3600").replace("10.0.0.2", "10.0.0.3"))]);
    eventually("the file is read", || (serial(&primary, "filed.contoso.com") == Some(9)).then_some(()));
    // Nobody tells this secondary; a NOTIFY from an address of its primary has it ask.
    assert_eq!(notify(&second, "filed.contoso.com"), ResponseCode::NoError);
    assert_eq!(notify(&second, "fabrikam.com"), ResponseCode::NotAuth);
    eventually("it is transferred", || (serial(&second, "filed.contoso.com") == Some(9)).then_some(()));
    assert_eq!(content(&second, "filed.contoso.com", &[]), content(&primary, "filed.contoso.com", &[]));
}

#[test]
fn a_silent_primary_lets_the_zone_expire_and_its_return_mends_it() {
    let soa = |serial: u32| format!("$TTL 60\n@ SOA ns host {serial} 1 1 4 60\n@ NS ns\nns A 10.0.0.53\nwww A 10.0.0.{serial}\n");
    let config = |listen: &str| {
        format!(
            "[server]\nlisten = ['{listen}']\n[[network]]\nname = 'hub'\nclients = ['127.0.0.0/8']\n\
             [[zone]]\nname = 'corp.contoso.com'\nfile = 'corp.zone'\ntransfer-to = ['127.0.0.1']\n"
        )
    };
    // It comes back at the same port, which nobody may have taken meanwhile: an address that no other test uses.
    let mut primary = Server::with(&[("postern.toml", &config("127.0.53.1:0")), ("corp.zone", &soa(5))]);
    let second = secondary(primary.address, "", "");
    second.becomes("www.corp.contoso.com", A, &["10.0.0.5"]);
    primary.signal("KILL");
    primary.wait();
    second.becomes("www.corp.contoso.com", A, &["SERVFAIL"]);
    second.logged(&["corp.contoso.com", "expired"]);
    write_files(primary.path(), &[("postern.toml", &config(&primary.address.to_string()))]);
    let back = again(&primary);
    second.becomes("www.corp.contoso.com", A, &["10.0.0.5"]); // the same serial: heard is enough
    write_files(back.path(), &[("corp.zone", &soa(6))]);
    second.becomes("www.corp.contoso.com", A, &["10.0.0.6"]); // by its own timers: nobody was told
}

#[test]
fn a_wrong_key_transfers_nothing_and_says_so() {
    let primary = Server::with(&[("postern.toml", &corp("")), ("filed.zone", ODD)]);
    let key = |secret: &str| format!("[[key]]\nname = 'secondaries'\nsecret = '{secret}'\nallow = ['notify']\n");
    let second = secondary(primary.address, "transfer-key = 'secondaries'", &key(OTHER));
    let line = second.logged(&["corp.contoso.com", "not refreshed"]);
    assert!(line.contains("TSIG error 16"), "{line}");
    assert_eq!(second.short("corp.contoso.com", SOA), ["SERVFAIL"], "never transferred: not empty, and not public");
    // The right secret, in place.
    write_files(second.path(), &[("postern.toml", &secondary_config(primary.address, "transfer-key = 'secondaries'", &key(SECRET)))]);
    second.signal("HUP");
    eventually("it is transferred", || serial(&second, "corp.contoso.com"));
    // Without any key it is a stranger.
    let stranger = secondary(primary.address, "", "");
    assert!(stranger.logged(&["corp.contoso.com", "not refreshed"]).contains("REFUSED"));
}

/// A primary that answers SOA, and gives half a zone before it hangs up.
fn faulty_primary(is_authoritative: bool) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut length = [0; 2];
            while stream.read_exact(&mut length).is_ok() {
                let mut packet = vec![0; u16::from_be_bytes(length).into()];
                stream.read_exact(&mut packet).unwrap();
                let mut answer = Message::from_vec(&packet).unwrap();
                let asked = answer.queries[0].query_type();
                answer.metadata.message_type = MessageType::Response;
                answer.metadata.authoritative = is_authoritative;
                let apex = Name::from_ascii("corp.contoso.com.").unwrap();
                let soa = rdata::SOA::new(apex.clone(), apex.clone(), 5, 3600, 600, 86_400, 60);
                answer.add_answer(Record::from_rdata(apex.clone(), 60, RData::SOA(soa)));
                if asked == AXFR {
                    answer.add_answer(Record::from_rdata(apex, 60, RData::A(rdata::A::new(10, 0, 0, 1))));
                }
                let bytes = answer.to_vec().unwrap();
                stream.write_all(&[&(bytes.len() as u16).to_be_bytes()[..], &bytes].concat()).unwrap();
                if asked == AXFR {
                    break;
                }
            }
        }
    });
    address
}

#[test]
fn half_a_zone_and_a_primary_without_authority_are_not_used() {
    for (is_authoritative, why) in [(true, "end of file"), (false, "not authoritative")] {
        let second = secondary(faulty_primary(is_authoritative), "", "");
        let line = second.logged(&["corp.contoso.com", "not refreshed"]);
        assert!(line.contains(why), "{line}");
        assert_eq!(second.short("corp.contoso.com", A), ["SERVFAIL"]);
    }
}

#[test]
fn a_reload_adds_and_removes_zones_that_are_transferred() {
    let primary = Server::with(&[("postern.toml", &corp("transfer-to = ['127.0.0.1']")), ("filed.zone", ODD)]);
    let mut api = primary.api(None);
    put(&mut api, "www", &["10.1.0.1"]);
    let second = secondary(primary.address, "", "");
    second.becomes("www.corp.contoso.com", A, &["10.1.0.1"]);
    let config = secondary_config(primary.address, "", "");
    let filed = format!("[[zone]]\nname = 'filed.contoso.com'\nprimaries = ['{}']\n", primary.address);
    write_files(second.path(), &[("postern.toml", &format!("# one line more\n{config}{filed}"))]);
    second.signal("HUP");
    eventually("it is transferred", || (serial(&second, "filed.contoso.com") == Some(7)).then_some(()));
    if has_dig() {
        assert!(content(&second, "corp.contoso.com", &[]).len() > 1, "who may have it is known by another line now");
    }
    write_files(second.path(), &[("postern.toml", &config)]);
    second.signal("HUP");
    eventually("it is gone", || (serial(&second, "filed.contoso.com").is_none()).then_some(()));
    assert_eq!(second.short("www.corp.contoso.com", A), ["10.1.0.1"]);
}

/// A secondary that answers whatever it is told; counts that.
fn told() -> (SocketAddr, Arc<AtomicUsize>) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let (address, count) = (socket.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
    let counted = count.clone();
    std::thread::spawn(move || {
        let mut buffer = [0; 1500];
        while let Ok((length, from)) = socket.recv_from(&mut buffer) {
            counted.fetch_add(1, Ordering::SeqCst);
            buffer[2] |= 0x80; // QR
            socket.send_to(&buffer[..length], from).unwrap();
        }
    });
    (address, count)
}

#[test]
fn of_zones_of_one_name_that_of_the_named_network_alone_is_told_and_retrieved() {
    let filed = |serial: u32| format!("@ 60 IN SOA ns host {serial} 3600 3600 86400 60\n@ 60 IN NS ns\nns 60 IN A 10.0.0.53\n");
    let config = "[server]\nlisten = ['127.0.0.1:0']\n[[network]]\nname = 'hub'\nclients = ['127.0.0.0/8']\n\
                  [[zone]]\nname = 'corp.contoso.com'\nfile = 'corp.zone'\ntransfer-to = ['127.0.0.1']\n";
    let [one, other] = [(), ()].map(|()| Server::with(&[("postern.toml", config), ("corp.zone", &filed(5))]));
    let [(at_hub, hub), (at_spoke, spoke)] = [told(), told()];
    let zones = |network: &str, primary: SocketAddr, secondary: SocketAddr| {
        format!(
            "[[zone]]\nname = 'corp.contoso.com'\nnetwork = ['{network}']\nprimaries = ['{primary}']\n\
             [[zone]]\nname = 'told.contoso.com'\nnetwork = ['{network}']\napi = true\nnotify = ['{secondary}']\n"
        )
    };
    let config = format!(
        "[server]\nlisten = ['127.0.0.1:0']\n[[network]]\nname = 'hub'\nclients = ['127.0.0.0/8']\n\
         [[network]]\nname = 'spoke'\nclients = ['10.30.0.0/16']\n[api]\nlisten = '127.0.0.1:0'\nrate = 0\n{}{}",
        zones("hub", one.address, at_hub),
        zones("spoke", other.address, at_spoke)
    );
    let server = Server::with(&[("postern.toml", &config)]);
    let mut api = server.api(None);
    let path = |zone: &str, network: &str| format!("/api/v1/servers/localhost/zones/{zone}.contoso.com.@{network}");
    let transferred = |api: &mut Http, network: &str, serial: u32| {
        eventually("it is transferred", || {
            let shown = api.get(&path("corp", network));
            (shown.status == 200 && shown.json()["serial"] == serial).then_some(())
        });
    };

    transferred(&mut api, "hub", 5);
    transferred(&mut api, "spoke", 5);
    for primary in [&one, &other] {
        write_files(primary.path(), &[("corp.zone", &filed(6))]);
        eventually("the file is read", || (serial(primary, "corp.contoso.com") == Some(6)).then_some(()));
    }
    api.send("PUT", &format!("{}/axfr-retrieve", path("corp", "hub")), None).ok(200);
    transferred(&mut api, "hub", 6);
    write_files(other.path(), &[("corp.zone", &filed(7))]);
    eventually("the file is read", || (serial(&other, "corp.contoso.com") == Some(7)).then_some(()));
    api.send("PUT", &format!("{}/axfr-retrieve", path("corp", "spoke")), None).ok(200);
    transferred(&mut api, "spoke", 7);
    let of_spoke = |line: &&String| line.contains("transferred") && line.contains("corp.contoso.com@spoke");
    server.logged(&["transferred", "corp.contoso.com@spoke", "serial=7"]);
    let serials: Vec<String> = server.log().iter().filter(of_spoke).filter_map(|line| Some(field(line, "serial")?.to_owned())).collect();
    assert_eq!(serials, ["5", "7"], "the other network's was asked for alone");

    // Both are told once when the server starts, and each telling is at most five datagrams.
    eventually("both are told", || (hub.load(Ordering::SeqCst) > 0 && spoke.load(Ordering::SeqCst) > 0).then_some(()));
    for _ in 0..10 {
        let before = hub.load(Ordering::SeqCst);
        api.send("PUT", &format!("{}/notify", path("told", "hub")), None).ok(200);
        eventually("it is told again", || (hub.load(Ordering::SeqCst) > before).then_some(()));
    }
    assert!(spoke.load(Ordering::SeqCst) <= 5, "{} datagrams to the other network's", spoke.load(Ordering::SeqCst));
}
