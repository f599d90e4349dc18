//! Loops: of aliases, and of forwards that lead back to us (S7).

use std::net::UdpSocket;
use std::sync::Arc;

use postern_dns::return_path::ReplyTo;

use crate::*;

fn probe(script: &Script, route: &str) -> Sent {
    let probes = script.out.sent.iter().filter(|sent| sent.is_loop_probe());
    probes.clone().find(|sent| sent.message.queries[0].name().to_string().ends_with(route)).unwrap().clone()
}

/// A server whose questions are answered here.
const OTHER: &str = "10.20.0.77";

fn comes_back(script: &mut Script, probe: &Sent) {
    comes_back_from(script, probe, "192.0.2.1");
}

fn comes_back_from(script: &mut Script, probe: &Sent, address: &'static str) {
    let name = probe.message.queries[0].name().to_string();
    script.ask_as(address, &name, RecordType::TXT, |_| {});
}

#[test]
fn s7_an_alias_loop_and_a_chain_that_is_too_long_are_servfail_with_a_reason() {
    let mut script = Script::new(SIMPLE);
    script.ask(HUB, "one.contoso.test");
    script
        .say_next(ResponseCode::NoError, &["one.contoso.test. 40 CNAME two.contoso.test.", "two.contoso.test. 40 CNAME one.contoso.test."]);
    assert!(script.reply().starts_with("ServFail/0"));
    script.ask(HUB, "h0.contoso.test");
    let mut asked = 0;
    while script.out.replies.is_empty() {
        asked += 1;
        let alias = format!("h{}.contoso.test. 40 CNAME h{asked}.contoso.test.", asked - 1);
        script.say_next(ResponseCode::NoError, &[&alias]); // one hop at a time
    }
    assert_eq!(asked, 12, "questions to the upstream");
    assert!(script.reply().starts_with("ServFail/0"));
}

#[test]
fn s7_a_chain_that_never_ends_because_nothing_of_it_can_be_kept_is_bounded() {
    // Answers with TTL 0 and routes that change between them: each walk starts anew.
    let mut script = Script::new(SIMPLE);
    script.ask(HUB, "www.contoso.test");
    let mut asked = 0;
    while script.out.replies.is_empty() && asked < 50 {
        asked += 1;
        script.answer_probes();
        let rules: &[Rule] = if asked % 2 == 1 { &[(".", &[TWO], UpstreamOrder::Order)] } else { SIMPLE };
        let rules: Vec<Rule> =
            if asked % 4 < 2 { rules.to_vec() } else { vec![(".", &[THREE, TWO, ONE][asked % 3..], UpstreamOrder::Order)] };
        script.route(&rules);
        script.answer_probes();
        script.say_next(ResponseCode::NoError, &["www.contoso.test. 0 CNAME www.contoso.test."]);
    }
    assert!(asked <= 13, "{asked}");
    assert!(script.reply().starts_with("ServFail"));
}

#[test]
fn s7_a_question_that_goes_in_a_circle_is_refused_alone_and_its_route_goes_on() {
    let mut script = Script::new(SIMPLE);
    script.route(SIMPLE); // a reload probes again
    let back = probe(&script, "probe.");
    comes_back_from(&mut script, &back, OTHER);
    assert_eq!(script.reply(), "ServFail/0", "the probe itself");
    assert_eq!(script.status(ONE).condition, UpstreamCondition::Loop);
    script.out.sent.clear();
    let client = script.ask(HUB, "missing.contoso.test");
    let missing = script.take_sent().remove(0);
    script.ask_as(OTHER, "Missing.contoso.test", RecordType::A, |question| question.checking_disabled = true);
    assert_eq!((script.sent(), script.reply()), (vec![], "ServFail/0".to_owned()), "what came back is refused at once");
    script.say(&missing, ResponseCode::ServFail, &[]);
    assert_eq!(script.replies(), [(client, "ServFail/0".to_owned())], "and so is the client, when the refusal has gone around");
    script.ask(HUB, "www.contoso.test");
    script.say_next(ResponseCode::NoError, WWW);
    assert_eq!(script.reply(), WWW_REPLY, "a name that the upstream has is answered");
    assert_eq!(script.status(ONE).condition, UpstreamCondition::Up);
    script.ask(OTHER, "two.contoso.test");
    assert_eq!(script.sent(), ["192.0.2.1 two.contoso.test. A"], "that server may ask what it was not asked");
}

#[test]
fn s7_a_forged_question_gains_nothing() {
    let mut script = Script::new(SIMPLE);
    script.route(SIMPLE);
    let back = probe(&script, "probe.");
    comes_back_from(&mut script, &back, OTHER);
    script.out.sent.clear();
    script.replies();
    let client = script.ask(HUB, "www.contoso.test");
    for from in [OTHER, "10.20.0.78"] {
        script.ask(from, "www.contoso.test");
    }
    script.say_next(ResponseCode::NoError, WWW);
    let replies = script.replies();
    assert!(replies.contains(&(client, WWW_REPLY.to_owned())), "{replies:?}");
    assert_eq!(replies.iter().filter(|(_, reply)| reply == "ServFail/0").count(), 1, "the one with the address of the circle: {replies:?}");
}

#[test]
fn s7_a_circle_that_is_gone_is_forgotten() {
    let mut script = Script::new(SIMPLE);
    script.route(&[(".", &[ONE], UpstreamOrder::Order)]);
    let back = probe(&script, "probe.");
    comes_back(&mut script, &back);
    script.out.sent.clear();
    let refused = |script: &mut Script, name: &str| {
        script.replies();
        script.ask(HUB, name);
        script.ask("192.0.2.1", name);
        script.replies().iter().any(|(_, reply)| reply == "ServFail/0")
    };
    for minute in 0..3 {
        script.pass(61_000);
        let back = probe(&script, "probe."); // a new name each minute
        comes_back(&mut script, &back);
        script.out.sent.clear();
        assert!(refused(&mut script, &format!("m{minute}.contoso.test")));
        script.out.sent.clear();
    }
    script.pass(130_000); // mended: nothing came back
    assert!(!refused(&mut script, "www.contoso.test"));
}

#[test]
fn s7_circles_are_known_by_the_address_they_arrive_from_which_may_be_a_third_server() {
    let mut script = Script::new(TWO_UPSTREAMS);
    script.route(TWO_UPSTREAMS);
    let back = probe(&script, "probe.");
    assert_eq!(back.address, ONE.parse().unwrap());
    comes_back_from(&mut script, &back, "198.51.100.7");
    script.out.sent.clear();
    script.replies();
    script.ask(HUB, "www.contoso.test");
    script.ask("198.51.100.7", "www.contoso.test");
    assert_eq!(script.reply(), "ServFail/0");
    script.say_next(ResponseCode::ServFail, &[]);
    assert_eq!(script.sent(), ["192.0.2.2 www.contoso.test. A"], "the next upstream is asked");
}

#[test]
fn s7_a_question_from_our_own_upstream_socket_fails_alone_because_its_source_may_be_forged() {
    let mut script = Script::new(SIMPLE);
    let own = "10.20.0.9:34567";
    let id = *script.out.upstreams.keys().next().unwrap();
    script.out.own.insert(own.parse().unwrap(), id);
    let client = script.ask(HUB, "www.contoso.test");
    let mut job = job(own.parse().unwrap(), "www.contoso.test", RecordType::A, script.now, |_| {});
    job.reply = ReplyTo::Udp { socket: Arc::new(UdpSocket::bind("127.0.0.1:0").unwrap()), local: None };
    script.core.submit(script.now, &script.state, job, &mut script.out);
    assert_eq!(script.replies(), [(own.parse().unwrap(), "ServFail/0".to_owned())]);
    assert_eq!((script.core.counts().pending, script.core.counts().loops), (1, 1), "the client still waits for its answer");
    script.say_next(ResponseCode::NoError, &["www.contoso.test. 60 A 198.51.100.1"]);
    assert_eq!(script.replies(), [(client, "NoError; www.contoso.test. 60 A 198.51.100.1".to_owned())]);
    assert_eq!(script.status(ONE).condition, UpstreamCondition::Up);
}

/// Seen: a thousand TCP connections of a client on the same machine, and its upstream was not asked for a minute and a half.
#[test]
fn a_client_over_tcp_with_the_port_number_of_our_own_upstream_socket_is_no_loop() {
    let mut script = Script::new(SIMPLE);
    let own = "10.20.0.9:34567";
    let id = *script.out.upstreams.keys().next().unwrap();
    script.out.own.insert(own.parse().unwrap(), id);
    let job = job(own.parse().unwrap(), "www.contoso.test", RecordType::A, script.now, |_| {});
    assert!(matches!(job.reply, ReplyTo::Tcp(_)));
    script.core.submit(script.now, &script.state, job, &mut script.out);
    assert_eq!(script.sent(), ["192.0.2.1 www.contoso.test. A"]);
    assert_eq!((script.replies().len(), script.core.counts().loops), (0, 0));
}

#[test]
fn a_longer_circle_through_another_server_ends_at_the_deadline_without_a_storm() {
    // Our question comes back from an upstream's address: it joins the exchange it came from.
    let mut script = Script::new(SIMPLE);
    script.ask(HUB, "www.contoso.test");
    for _ in 0..10 {
        script.ask(HUB, "www.contoso.test");
    }
    assert_eq!(script.sent().len(), 1);
    script.pass(5100);
    assert_eq!(script.replies().len(), 11);
}

#[test]
fn somebody_elses_probe_is_a_question_like_any_other() {
    let mut script = Script::new(SIMPLE);
    script.ask(HUB, "0123456789abcdef.postern-loop-probe.contoso.test");
    assert_eq!(script.out.sent.len(), 1);
}

#[test]
fn an_upstream_whose_port_refuses_is_shown_as_down_until_a_probe_reaches_it() {
    let mut script = Script::new(TWO_UPSTREAMS);
    script.route(TWO_UPSTREAMS);
    let mut probes: Vec<Sent> = std::mem::take(&mut script.out.sent).into_iter().filter(Sent::is_loop_probe).collect();
    probes.sort_by_key(|sent| sent.address);
    script.say(&probes[0], ResponseCode::NXDomain, &[]);
    script.said(&probes[1], Err(AttemptError::Unreachable));
    assert_eq!((script.status(ONE).condition, script.status(TWO).condition), (UpstreamCondition::Up, UpstreamCondition::Down));
    assert_eq!((script.status(TWO).asked, script.status(TWO).answered), (0, 0), "loop probes are no questions");
    assert_eq!((script.status(ONE).rcodes[3], script.status(ONE).round_trips.count()), (0, 0), "their responses are not counted either");
    script.pass(61_000);
    let again = std::mem::take(&mut script.out.sent);
    assert_eq!(again.iter().map(|sent| (sent.address, sent.is_loop_probe())).collect::<Vec<_>>(), [(TWO.parse().unwrap(), true)]);
    script.say(&again[0], ResponseCode::NXDomain, &[]);
    assert_eq!(script.status(TWO).condition, UpstreamCondition::Up);
    script.pass(61_000);
    assert!(script.out.sent.is_empty());
}
