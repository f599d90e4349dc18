//! Scenario files: valid ones, and the messages for invalid ones.

mod client;

use client::{answers, ask};
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType::{A, AAAA, CNAME, TXT};
use hickory_server::server::Server;
use postern_lab::{
    AnswerDelay, AnswerForgery, AnswerTwist, EdnsFault, FaultScope, LabScenario, LabServer, PublicDns, QuestionTransport, TcpFault,
};

fn start(text: &str) -> LabServer {
    LabServer::start(LabScenario::parse(text, "test.toml").unwrap(), "127.0.0.1:0".parse().unwrap()).unwrap()
}

#[test]
fn problems_are_told_all_at_once_with_line_and_column() {
    let text = r#"seed = 1
records = [
  "a.test A 192.0.2.1",
  "b.test 60 A 192.0.2",
  "a.test CNAME x.test",
  "c.test CNAME {}.x.test",
  "d.test 60 QQ 1", "e.test A",
  "f..test A 192.0.2.1",
]
[[fault]]
name = "x"
suffix = "y"
loss = 1.5
rcode = "SERVFIAL"
during = ["5s-8s", "8s..5s"]
every = "soon"
delay = { normal = [1] }
forge = ["id", "idea"]
inject = ["x"]
"#;
    let error = LabScenario::parse(text, "bad.toml").unwrap_err();
    let found: Vec<String> = error.problems.iter().map(ToString::to_string).collect();
    let expected = [
        "bad.toml:4:3: error: `192.0.2` is not the data of A: ",
        "bad.toml:5:3: error: `a.test.` has a CNAME and another record (RFC 1034 section 3.6.2)",
        "bad.toml:6:3: error: `{}` stands for what a `*` matched, and `c.test.` has none",
        "bad.toml:7:3: error: `QQ` is not a record type",
        "bad.toml:7:21: error: no data behind A: a record is `owner [TTL] TYPE data`",
        "bad.toml:8:3: error: `f..test` is not a domain name: ",
        "bad.toml:12:10: error: a fault has a `name` or a `suffix`, not both",
        "bad.toml:13:8: error: 1.5 is not a probability between 0 and 1",
        "bad.toml:14:9: error: `SERVFIAL` is none of `SERVFAIL`, `REFUSED`, ",
        "bad.toml:15:11: error: `5s-8s` is not a span of time such as `5s..8s`",
        "bad.toml:15:20: error: `8s..5s` ends before it begins",
        "bad.toml:16:9: error: `soon` is not a time such as `500ms`, `5s` or `2m`",
        "bad.toml:17:9: error: a delay is milliseconds, or a table with one of ",
        "bad.toml:18:16: error: `idea` is none of `id`, `question`, ",
        "bad.toml:19:11: error: `` is not a record type",
    ];
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for (found, expected) in found.iter().zip(expected) {
        assert!(found.starts_with(expected), "{found}\n{expected}");
    }
}

#[test]
fn unknown_keys_wrong_types_and_broken_toml_are_refused_with_their_place() {
    for (text, expected) in [
        ("seed = 1\n\n[[fault]]\nlos = 0.1\n", "bad.toml:4:1: error: unknown key `los`, expected one of `name`, "),
        ("sed = 1\n", "bad.toml:1:1: error: unknown key `sed`, expected one of `seed`, "),
        ("[group.a]\nrecord = []\n", "bad.toml:2:1: error: unknown key `record`, expected `records`"),
        ("[[fault]]\nsilent = \"yes\"\n", "bad.toml:2:10: error: invalid type: string \"yes\", expected a boolean"),
        ("seed = -1\n", "bad.toml:1:8: error: invalid value: integer `-1`, expected u64"),
        ("# ü\nrecords = [ \"ü.test A 192.0.2.1\", 5 ]\n", "bad.toml:2:35: error: invalid type: integer `5`, expected a string"),
        ("[[fault]\n", "bad.toml:1:9: error: "),
    ] {
        let error = LabScenario::parse(text, "bad.toml").unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}\n{expected}");
    }
    let error = LabScenario::load("no/such/file.toml".as_ref()).unwrap_err().to_string();
    assert!(error.starts_with("no/such/file.toml: error: "), "{error}");
}

#[test]
fn every_key_is_read() {
    let scenario = LabScenario::parse(
        r#"
        seed = 18446744073709551615
        records = ["a.test 5 A 192.0.2.1"]
        [group.more]
        records = ["b.test. IN TXT \"two words\" x"]
        [[fault]]
        name = "A.test"
        type = "aaaa"
        transport = "tcp"
        chance = 0.5
        times = 3
        during = ["500ms..1.5s", "2m.."]
        every = "1h"
        delay = 20
        loss = 0.25
        duplicate = 1
        truncate = true
        rcode = "nxdomain"
        first-hop = true
        edns = "formerr"
        inject = ["c.test 5 A 192.0.2.2"]
        forge = ["id", "question", "case", "garbage", "cut", "source"]
        honest-too = true
        tcp = "half"
        [[fault]]
        suffix = "test"
        silent = true
        delay = { pareto = [10.5, 1.5] }
        [[fault]]
        delay = { uniform = [1, 2] }
        [[fault]]
        delay = { normal = [3, 1] }
        "#,
        "all.toml",
    )
    .unwrap();
    assert_eq!(scenario.seed, u64::MAX);
    let [first, second, third, fourth] = scenario.faults.as_slice() else { panic!("four faults") };
    let name = |text: &str| hickory_proto::rr::Name::from_ascii(text).unwrap();
    assert_eq!((&first.scope, first.kind, first.transport), (&FaultScope::Name(name("a.test.")), Some(AAAA), Some(QuestionTransport::Tcp)));
    assert_eq!((first.chance, first.times, first.loss, first.duplicate), (Some(0.5), Some(3), 0.25, 1.0));
    let ms = std::time::Duration::from_millis;
    let windows: Vec<_> = first.during.iter().map(|window| (window.from, window.until)).collect();
    assert_eq!(windows, [(ms(500), ms(1500)), (ms(120_000), std::time::Duration::MAX)]);
    assert_eq!((first.every, first.delay), (Some(ms(3_600_000)), Some(AnswerDelay::Fixed(ms(20)))));
    assert!(first.truncate && first.first_hop && first.honest_too);
    assert_eq!((first.rcode, first.edns, first.tcp), (Some(ResponseCode::NXDomain), Some(EdnsFault::Formerr), Some(TcpFault::Half)));
    assert_eq!(first.inject.len(), 1);
    let all = [
        AnswerForgery::Id,
        AnswerForgery::Question,
        AnswerForgery::Case,
        AnswerForgery::Garbage,
        AnswerForgery::Cut,
        AnswerForgery::Source,
    ];
    assert_eq!(first.forge, all);
    assert_eq!((&second.scope, second.loss), (&FaultScope::Suffix(name("test.")), 1.0));
    assert_eq!(second.delay, Some(AnswerDelay::Pareto(std::time::Duration::from_micros(10_500), 1.5)));
    assert_eq!((&third.scope, third.delay), (&FaultScope::Everything, Some(AnswerDelay::Uniform(ms(1), ms(2)))));
    assert_eq!(fourth.delay, Some(AnswerDelay::Normal(ms(3), ms(1))));
}

#[test]
fn wildcards_follow_rfc_4592() {
    let lab = start(
        r#"records = [
          "*.w.test A 192.0.2.1",
          "taken.w.test TXT x",
          "deep.ent.w.test A 192.0.2.2",
          "*.c.test CNAME {}.w.test",
        ]"#,
    );
    for (name, kind, expected) in [
        ("a.w.test.", A, Some(vec!["a.w.test. A 192.0.2.1"])),
        ("b.a.w.test.", A, Some(vec!["b.a.w.test. A 192.0.2.1"])),
        ("taken.w.test.", A, Some(vec![])),
        ("ent.w.test.", A, Some(vec![])),
        ("other.ent.w.test.", A, None),
        ("below.taken.w.test.", A, None),
        ("a.w.test.", TXT, Some(vec![])),
        ("w.test.", A, Some(vec![])),
        ("*.w.test.", A, Some(vec!["*.w.test. A 192.0.2.1"])),
        ("b.a.c.test.", CNAME, Some(vec!["b.a.c.test. CNAME b.a.w.test."])),
        ("b.a.c.test.", A, Some(vec!["b.a.c.test. CNAME b.a.w.test.", "b.a.w.test. A 192.0.2.1"])),
    ] {
        let message = ask(&lab, name, kind);
        match expected {
            Some(expected) => {
                assert_eq!(message.metadata.response_code, ResponseCode::NoError, "{name} {kind}");
                assert_eq!(answers(&message), expected, "{name} {kind}");
            }
            None => assert_eq!(message.metadata.response_code, ResponseCode::NXDomain, "{name} {kind}"),
        }
    }
}

#[test]
fn the_built_in_scenario_has_documentation_addresses_alone_and_no_alias_into_the_void() {
    let lab = LabServer::start(LabScenario::azure(), "127.0.0.1:0".parse().unwrap()).unwrap();
    lab.set(Vec::new());
    let mut names = 0;
    for line in LabScenario::AZURE.lines().filter_map(|line| line.trim().strip_prefix('"')) {
        let words: Vec<&str> = line.trim_end_matches([',', '"']).split_whitespace().collect();
        let [owner, _ttl, kind, data, ..] = words.as_slice() else { continue };
        match *kind {
            "A" => assert!(["203.0.113.", "198.51.100."].iter().any(|net| data.starts_with(net)), "{line}"),
            "AAAA" => assert!(data.starts_with("2001:db8:"), "{line}"),
            "CNAME" => {
                let message = ask(&lab, &format!("{}.", owner.replace('*', "contosows-x")), A);
                let odd = ["loop", "pool", "self", "dangling"].iter().any(|odd| owner.starts_with(odd));
                let ends = message.answers.last().is_some_and(|last| last.record_type() == A);
                assert_eq!(ends, !odd, "{line}");
                names += 1;
            }
            _ => {}
        }
    }
    assert!(names > 60, "{names}");
}

#[test]
fn the_handler_works_behind_hickorys_own_listener() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (mut server, address) = runtime.block_on(async {
        let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let mut server = Server::new(PublicDns { scenario: LabScenario::azure().into(), twist: AnswerTwist::default() });
        server.register_socket(socket);
        (server, address)
    });
    let socket = client::socket();
    socket.send_to(&client::question("www.contoso.test.", A, 9, true), address).unwrap();
    let (bytes, _) = client::receive(&socket, client::PATIENCE).unwrap();
    let message = hickory_proto::op::Message::from_vec(&bytes).unwrap();
    assert_eq!(answers(&message), ["www.contoso.test. A 203.0.113.80"]);
    runtime.block_on(server.shutdown_gracefully()).unwrap();
}
