use super::*;
use crate::message::{QueryForm, name_to_wire};
use crate::questions::QuestionKind;
use crate::responder::EmptyResponder;
use crate::upstream::UpstreamRules;

fn questions(count: usize) -> QuestionBank {
    let mut questions = QuestionBank::in_turn("test");
    for index in 0..count {
        let name = name_to_wire(&format!("ws{index}.www.contoso.example")).unwrap();
        questions.push(&name, if index % 5 == 0 { 16 } else { 1 }, QueryForm::default(), QuestionKind::Given);
    }
    questions
}

fn upstream(ttl: u32, to: &str) -> EmptyResponder {
    let mut rules = UpstreamRules::new(ttl);
    rules.alias("www.contoso.example", to).unwrap();
    EmptyResponder::start("127.0.0.1:0".parse().unwrap(), 1, &[], move |socket, stop| rules.serve(socket, stop)).unwrap()
}

fn inquiry(target: SocketAddr) -> ComparisonPlan {
    ComparisonPlan {
        target,
        transport: LoadTransport::Udp,
        count: 100,
        threads: 3,
        timeout: Duration::from_secs(60),
        seed: 1,
        tolerance: AnswerTolerance::default(),
    }
}

#[test]
fn equal_servers_are_equal() {
    let (one, other) = (upstream(60, "edge.fabrikam.example"), upstream(60, "edge.fabrikam.example"));
    let verdict = compare(&inquiry(one.address()), &questions(20), &AnswerOracle::Server(other.address()), |_| ()).unwrap();
    assert_eq!((verdict.asked, verdict.equal), (100, 100), "{:?}", verdict.groups);
}

#[test]
fn what_differs_is_told_by_field_and_counted_by_shape() {
    let (one, other) = (upstream(60, "edge.fabrikam.example"), upstream(61, "cdn.fabrikam.example"));
    let oracle = AnswerOracle::Server(other.address());
    let verdict = compare(&inquiry(one.address()), &questions(20), &oracle, |_| ()).unwrap();
    assert_eq!(verdict.equal, 0);
    let found: Vec<(AnswerField, &str, u64)> = verdict.groups.iter().map(|group| (group.field, group.ours.as_str(), group.count)).collect();
    // The alias target differs for all questions. For every fifth, the TTL of the negative answer
    // differs as well.
    assert_eq!(
        found,
        [(AnswerField::Answer, "A 1, CNAME 1", 80), (AnswerField::Answer, "CNAME 1", 20), (AnswerField::AuthorityTtl, "SOA 1", 20)]
    );
    assert!(verdict.groups[0].examples[0].theirs.contains("cdn.fabrikam.example."));
    let tolerance = AnswerTolerance { ignored: [AnswerField::Answer].into(), ttl: 1 };
    let verdict = compare(&ComparisonPlan { tolerance, ..inquiry(one.address()) }, &questions(20), &oracle, |_| ()).unwrap();
    assert_eq!(verdict.equal, 100);
}

#[test]
fn answers_that_were_written_down_are_expected_again() {
    let (one, other) = (upstream(60, "edge.fabrikam.example"), upstream(60, "cdn.fabrikam.example"));
    let mut text = Vec::new();
    assert_eq!(write_down(&inquiry(one.address()), &questions(20), &mut text, |_| ()).unwrap(), 20);
    let written = read_down(text.as_slice()).unwrap();
    let oracle = AnswerOracle::Written(written);
    assert_eq!(compare(&inquiry(one.address()), &questions(20), &oracle, |_| ()).unwrap().equal, 100);
    assert_eq!(compare(&inquiry(other.address()), &questions(20), &oracle, |_| ()).unwrap().equal, 0);
    let unknown = compare(&inquiry(one.address()), &questions(25), &oracle, |_| ()).unwrap();
    assert_eq!((unknown.equal, unknown.unknown), (80, 20));
}

#[test]
fn a_line_that_names_only_some_fields_leaves_the_rest_open() {
    let one = upstream(60, "edge.fabrikam.example");
    for (line, equal) in [
        (r#"{"question":"ws1.www.contoso.example. A","rcode":"NOERROR"}"#, 1),
        (r#"{"question":"ws1.www.contoso.example. A","rcode":"NXDOMAIN"}"#, 0),
        (r#"{"question":"ws1.www.contoso.example. A","flags":["rd","ra"]}"#, 1),
        (r#"{"question":"ws1.www.contoso.example. A","flags":["aa","rd","ra"]}"#, 0),
    ] {
        let oracle = AnswerOracle::Written(read_down(line.as_bytes()).unwrap());
        let inquiry = ComparisonPlan { count: 2, threads: 1, ..inquiry(one.address()) };
        assert_eq!(compare(&inquiry, &questions(2), &oracle, |_| ()).unwrap().equal, equal, "{line}");
    }
    assert!(read_down(&b"{\"rcode\":\"NOERROR\"}"[..]).unwrap_err().starts_with("1: error: there is no `question`"));
    assert!(read_down(&b"\n{\"question\":\"a. A\",\"colour\":1}"[..]).unwrap_err().starts_with("2: error: "));
}

#[test]
fn a_server_that_says_nothing_differs() {
    let one = upstream(60, "edge.fabrikam.example");
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    // As long as the answering thread may be paused.
    let inquiry = ComparisonPlan { count: 2, threads: 1, timeout: Duration::from_secs(2), ..inquiry(silent.local_addr().unwrap()) };
    let verdict = compare(&inquiry, &questions(2), &AnswerOracle::Server(one.address()), |_| ()).unwrap();
    assert_eq!(verdict.groups.len(), 1);
    assert_eq!((verdict.groups[0].field, verdict.groups[0].count), (AnswerField::Response, 2));
}
