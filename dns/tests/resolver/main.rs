//! The resolver with virtual time and scripted upstreams.

mod aliases;
mod limits;
mod loops;
mod loss;
mod outage;
mod script;
mod shares;

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::RecordType;
use postern_config::model::UpstreamOrder;
use postern_dns::upstream::{AttemptError, UpstreamCondition};
use script::*;
use std::net::SocketAddr;

const FHIR: &str = "ws-fhir.fhir.azurehealthcareapis.com";
const PUBLIC: &[&str] = &[
    "ws-fhir.fhir.azurehealthcareapis.com. 30 CNAME ws-fhir.fhir.privatelink.azurehealthcareapis.com.",
    "ws-fhir.fhir.privatelink.azurehealthcareapis.com. 60 CNAME gw.trafficmanager.test.",
    "gw.trafficmanager.test. 20 A 203.0.113.9",
];
const SPLICED: &str = "NoError; ws-fhir.fhir.azurehealthcareapis.com. 30 CNAME ws-fhir.fhir.privatelink.azurehealthcareapis.com.; \
                       ws-fhir.fhir.privatelink.azurehealthcareapis.com. 10 A 10.20.1.5";
const WWW: &[&str] = &["www.contoso.test. 100 A 198.51.100.1"];
const WWW_REPLY: &str = "NoError; www.contoso.test. 100 A 198.51.100.1";
const TWO_UPSTREAMS: &[Rule] = &[(".", &[ONE, TWO], UpstreamOrder::Order)];
const BY_LATENCY: &[Rule] = &[(".", &[ONE, TWO], UpstreamOrder::Latency)];

#[test]
fn identical_questions_are_asked_once_and_each_client_is_answered() {
    let mut script = Script::new(SIMPLE);
    let clients: Vec<_> = (0..100).map(|_| script.ask(HUB, "www.contoso.test")).collect();
    assert_eq!(script.core.counts().joined, 99);
    script.say_next(ResponseCode::NoError, WWW);
    assert!(script.sent().is_empty());
    for (id, (client, message)) in script.out.replies.iter().enumerate() {
        assert_eq!(message.metadata.id, client.port(), "reply {id}");
    }
    let mut answered: Vec<_> = script.replies().into_iter().map(|(client, reply)| (client, reply == WWW_REPLY)).collect();
    answered.sort();
    assert_eq!(answered, clients.into_iter().map(|client| (client, true)).collect::<Vec<_>>());
    script.ask(HUB, "www.contoso.test");
    assert_eq!((script.sent(), script.reply()), (vec![], WWW_REPLY.to_owned()), "cached by now");
}

#[test]
fn questions_that_differ_in_anything_an_upstream_sees_or_in_the_network_are_asked_apart() {
    let mut script = Script::new(SIMPLE);
    script.ask(HUB, "www.contoso.test");
    script.ask(SPOKE, "www.contoso.test");
    script.ask_as(HUB, "www.contoso.test", RecordType::AAAA, |_| {});
    script.ask_as(HUB, "www.contoso.test", RecordType::A, |question| question.checking_disabled = true);
    script.ask_as(HUB, "www.contoso.test", RecordType::A, |question| question.edns.as_mut().unwrap().dnssec_ok = true);
    script.ask_as(HUB, "www.contoso.test", RecordType::A, |question| question.authentic_data = true); // not this: AD is always asked for
    let sent = script.take_sent();
    assert_eq!(sent.len(), 5);
    let flags: Vec<_> =
        sent.iter().map(|sent| &sent.message).map(|message| (message.metadata.checking_disabled, dnssec_ok(message))).collect();
    assert_eq!(flags, [(false, false), (false, false), (false, false), (true, false), (false, true)]);
    assert!(sent.iter().all(|sent| sent.message.metadata.recursion_desired && sent.message.max_payload() == 1232));
}

fn dnssec_ok(message: &Message) -> bool {
    message.edns.as_ref().unwrap().flags().dnssec_ok
}

#[test]
fn names_go_upstream_in_lower_case_and_come_back_as_the_client_wrote_them() {
    let mut script = Script::new(SIMPLE);
    script.ask(HUB, "WwW.Contoso.TEST");
    assert_eq!(script.out.sent[0].message.queries[0].name().to_string(), "www.contoso.test.");
    script.say_next(ResponseCode::NoError, WWW);
    assert_eq!(script.out.replies[0].1.queries[0].name().to_string(), "WwW.Contoso.TEST.");
}

#[test]
fn the_next_upstream_is_asked_when_one_fails_in_whatever_way() {
    type Failing = fn(&mut Script, &Sent);
    let cases: [(&str, Failing); 8] = [
        ("time runs out", |script, _| script.pass(1510)),
        ("SERVFAIL", |script, sent| script.say(sent, ResponseCode::ServFail, &[])),
        ("REFUSED", |script, sent| script.say(sent, ResponseCode::Refused, &[])),
        ("NOTAUTH", |script, sent| script.say(sent, ResponseCode::NotAuth, &[])),
        ("garbage", |script, sent| script.said(sent, Ok(b"\0\0\x81\x80\0\x01garbage"))),
        ("another question", |script, sent| {
            let mut other = answer(sent, ResponseCode::NoError, WWW);
            other.queries[0].set_query_type(RecordType::TXT);
            script.said(sent, Ok(&other.to_vec().unwrap()));
        }),
        ("unreachable each time", |script, sent| {
            script.said(sent, Err(AttemptError::Unreachable));
            for _ in 0..3 {
                let again = script.take_sent().remove(0);
                assert_eq!(again.to_string(), "192.0.2.1 www.contoso.test. A");
                script.said(&again, Err(AttemptError::Unreachable));
            }
        }),
        ("a referral", |script, sent| {
            let mut referral = answer(sent, ResponseCode::NoError, &["www.contoso.test. 1 TXT x"]);
            referral.answers.clear();
            referral.add_authority(record("test. 100 NS ns.test."));
            script.said(sent, Ok(&referral.to_vec().unwrap()));
        }),
    ];
    for (what, fail) in cases {
        let mut script = Script::new(TWO_UPSTREAMS);
        script.ask(HUB, "www.contoso.test");
        let first = script.take_sent().remove(0);
        fail(&mut script, &first);
        assert_eq!(script.sent(), ["192.0.2.2 www.contoso.test. A"], "{what}");
    }
}

/// An ICMP error can be forged by anybody who guesses a port.
#[test]
fn one_icmp_error_only_makes_the_question_go_out_again_at_once() {
    let mut script = Script::new(SIMPLE);
    for name in ["one.contoso.test", "two.contoso.test", "three.contoso.test", "four.contoso.test"] {
        script.ask(HUB, name);
        let first = script.take_sent().remove(0);
        script.said(&first, Err(AttemptError::Unreachable));
        assert_eq!(script.out.sent[0].to_string(), format!("192.0.2.1 {name}. A"));
        script.say_next(ResponseCode::NoError, &[&format!("{name}. 60 A 198.51.100.1")]);
        assert_eq!(script.reply(), format!("NoError; {name}. 60 A 198.51.100.1"));
    }
    assert_eq!((script.status(ONE).condition, script.status(ONE).lost), (UpstreamCondition::Up, 0));
}

#[test]
fn the_answer_to_a_message_for_which_an_icmp_error_came_is_still_taken() {
    let mut script = Script::new(SIMPLE);
    script.ask(HUB, "www.contoso.test");
    let first = script.take_sent().remove(0);
    for _ in 0..3 {
        let sent = script.out.sent.last().map_or(first.clone(), Sent::clone);
        script.said(&sent, Err(AttemptError::Unreachable));
        script.said(&first, Err(AttemptError::Unreachable));
    }
    assert_eq!(script.sent().len(), 3, "an error for a message that was repeated already repeats nothing");
    script.say(&first, ResponseCode::NoError, WWW);
    assert!(script.reply().starts_with("NoError; www.contoso.test."));
    assert_eq!((script.status(ONE).condition, script.status(ONE).lost), (UpstreamCondition::Up, 0));
}

#[test]
fn messages_for_which_icmp_errors_came_count_neither_as_in_flight_nor_as_lost() {
    let mut script = Script::with(SIMPLE, 10_000, |upstream| upstream.in_flight = 2);
    script.ask(HUB, "silent.contoso.test");
    for _ in 0..3 {
        let sent = script.take_sent().remove(0);
        script.said(&sent, Err(AttemptError::Unreachable));
    }
    script.take_sent();
    assert_eq!(script.status(ONE).in_flight, 1);
    script.ask(HUB, "www.contoso.test");
    let another = script.take_sent().remove(0);
    assert_eq!(another.to_string(), "192.0.2.1 www.contoso.test. A", "there is room for another question");
    script.say(&another, ResponseCode::NoError, WWW);
    script.pass(1510);
    assert_eq!((script.status(ONE).condition, script.status(ONE).lost), (UpstreamCondition::Up, 1));
}

#[test]
fn an_upstream_reached_through_its_queue_has_its_own_count_of_icmp_errors() {
    let mut script = Script::with(TWO_UPSTREAMS, 10_000, |upstream| upstream.in_flight = 1);
    script.ask(HUB, "www.contoso.test");
    script.ask(HUB, "other.contoso.test");
    let mut sent = script.take_sent();
    let other = sent.pop().unwrap();
    for _ in 0..4 {
        script.said(&sent.remove(0), Err(AttemptError::Unreachable));
        sent = script.take_sent();
    }
    assert!(sent.is_empty(), "it waits for room at the second upstream");
    script.say(&other, ResponseCode::NoError, &[]);
    let queued = script.take_sent().remove(0);
    assert_eq!(queued.to_string(), "192.0.2.2 www.contoso.test. A");
    script.said(&queued, Err(AttemptError::Unreachable));
    assert_eq!(script.sent(), ["192.0.2.2 www.contoso.test. A"]);
}

#[test]
fn an_icmp_error_when_nothing_can_be_sent_leaves_one_place_in_the_queue() {
    let mut script = Script::with(TWO_UPSTREAMS, 10_000, |upstream| upstream.in_flight = 1);
    script.ask(HUB, "www.contoso.test");
    let first = script.take_sent().remove(0);
    script.pass(50);
    script.ask(HUB, "other.contoso.test");
    script.pass(50);
    script.out.stuck = true;
    script.said(&first, Err(AttemptError::Unreachable));
    script.out.stuck = false;
    script.pass(1455); // the first message would have timed out, and then the second upstream has room again
    let queued = script.take_sent().into_iter().find(|sent| sent.to_string() == "192.0.2.2 www.contoso.test. A").unwrap();
    script.say(&queued, ResponseCode::NoError, WWW);
    script.pass(4000); // no timer of the exchange is left
    script.ask(HUB, "third.contoso.test");
    assert!(!script.take_sent().is_empty());
}

#[test]
fn an_icmp_error_for_a_copy_counts_nothing() {
    let mut script = Script::new(BY_LATENCY);
    script.ask(HUB, "www.contoso.test");
    for sent in script.take_sent() {
        script.said(&sent, Err(AttemptError::Unreachable));
    }
    script.take_sent();
    assert_eq!([ONE, TWO].map(|upstream| script.status(upstream).lost), [0, 0]);
    script.pass(1510);
    assert_eq!([ONE, TWO].map(|upstream| script.status(upstream).lost), [1, 1], "silence counts");
}

#[test]
fn a_late_fault_of_an_attempt_that_was_given_up_does_not_disturb_the_next_one() {
    for fault in [AttemptError::Unreachable, AttemptError::Guessed] {
        let mut script = Script::new(TWO_UPSTREAMS);
        script.ask(HUB, "www.contoso.test");
        let first = script.take_sent().remove(0);
        script.pass(1510);
        let second = script.take_sent().remove(0);
        assert_eq!(second.to_string(), "192.0.2.2 www.contoso.test. A");
        script.said(&first, Err(fault));
        assert_eq!(script.sent(), [""; 0], "{fault:?}");
        script.say(&second, ResponseCode::NoError, WWW);
        assert!(script.reply().starts_with("NoError; www.contoso.test."));
    }
}

#[test]
fn a_question_whose_id_somebody_guesses_at_is_asked_over_tcp_and_the_upstream_keeps_its_good_name() {
    let mut script = Script::new(TWO_UPSTREAMS);
    script.ask(HUB, "www.contoso.test");
    let first = script.take_sent().remove(0);
    script.said(&first, Err(AttemptError::Guessed));
    assert_eq!(script.out.sent[0].to_string(), "tcp 192.0.2.1 www.contoso.test. A");
    script.say_next(ResponseCode::NoError, WWW);
    assert!(script.reply().starts_with("NoError; www.contoso.test."));
    assert_eq!((script.status(ONE).condition, script.status(ONE).lost), (UpstreamCondition::Up, 0));
}

#[test]
fn an_upstream_that_said_no_is_not_asked_again_and_one_that_was_silent_is() {
    let mut script = Script::new(TWO_UPSTREAMS);
    script.ask(HUB, "www.contoso.test");
    script.say_next(ResponseCode::ServFail, &[]);
    script.pass(1510);
    assert_eq!(script.sent(), ["192.0.2.2 www.contoso.test. A", "192.0.2.2 www.contoso.test. A"]);
    script.pass(3600);
    assert_eq!(script.reply(), "ServFail/22", "within the deadline");
}

#[test]
fn all_upstreams_refusing_is_a_failure_at_once_and_is_remembered() {
    let mut script = Script::new(TWO_UPSTREAMS);
    script.ask(HUB, "www.contoso.test");
    script.say_next(ResponseCode::ServFail, &[]);
    script.say_next(ResponseCode::Refused, &[]);
    assert_eq!(script.reply(), "ServFail/22");
    script.ask(HUB, "www.contoso.test");
    assert_eq!((script.sent(), script.reply()), (vec![], "ServFail/13".to_owned()), "RFC 9520");
    script.pass(5100);
    script.ask(HUB, "www.contoso.test");
    assert_eq!(script.sent(), ["192.0.2.1 www.contoso.test. A"]);
}

#[test]
fn a_late_answer_is_still_welcome() {
    let mut script = Script::new(TWO_UPSTREAMS);
    script.ask(HUB, "www.contoso.test");
    let first = script.take_sent().remove(0);
    script.pass(1600);
    assert_eq!(script.sent().len(), 1, "the second is asked by now");
    script.say(&first, ResponseCode::NoError, WWW);
    assert_eq!(script.reply(), WWW_REPLY);
    assert_eq!(script.core.counts().exchanges, 0);
    assert_eq!(script.out.forgotten.len(), script.out.upstreams.len() + 2, "both attempts and the loop probes");
}

#[test]
fn a_truncated_answer_is_asked_for_again_over_tcp_at_the_same_upstream() {
    let mut script = Script::new(TWO_UPSTREAMS);
    script.ask(HUB, "www.contoso.test");
    let sent = script.take_sent().remove(0);
    let mut truncated = answer(&sent, ResponseCode::NoError, WWW);
    truncated.metadata.truncation = true;
    script.said(&sent, Ok(&truncated.to_vec().unwrap()));
    assert!(script.replies().is_empty(), "what came with TC is not used");
    let again = script.take_sent().remove(0);
    assert_eq!(again.to_string(), "tcp 192.0.2.1 www.contoso.test. A");
    script.say(&again, ResponseCode::NoError, WWW);
    assert_eq!(script.reply(), WWW_REPLY);
    assert_eq!(script.status(ONE).truncated, 1);
}

#[test]
fn a_lost_connection_sends_the_question_to_the_next_upstream() {
    let mut script = Script::new(&[(".", &["tcp://192.0.2.1:53", TWO], UpstreamOrder::Order)]);
    script.ask(HUB, "www.contoso.test");
    let sent = script.take_sent().remove(0);
    assert_eq!(sent.to_string(), "tcp 192.0.2.1 www.contoso.test. A");
    script.said(&sent, Err(AttemptError::Reset));
    assert_eq!(script.sent(), ["192.0.2.2 www.contoso.test. A"]);
}

#[test]
fn a_name_that_is_answered_only_without_edns_is_asked_so_and_that_is_kept_in_mind() {
    let bare = [0, 0, 0x81, 0x81, 0, 0, 0, 0, 0, 0, 0, 0];
    for rcode in [Some(ResponseCode::FormErr), Some(ResponseCode::NotImp), None] {
        let mut script = Script::new(SIMPLE);
        script.ask(HUB, "www.contoso.test");
        let sent = script.take_sent().remove(0);
        match rcode {
            Some(rcode) => script.say(&sent, rcode, &[]),
            None => script.said(&sent, Ok(&bare)),
        }
        let again = script.take_sent().remove(0);
        assert_eq!(again.to_string(), "plain 192.0.2.1 www.contoso.test. A", "{rcode:?}");
        script.say(&again, ResponseCode::NoError, WWW);
        assert_eq!(script.reply(), WWW_REPLY);
        script.pass(200_000);
        script.ask(HUB, "www.contoso.test");
        assert_eq!(script.sent(), ["plain 192.0.2.1 www.contoso.test. A"], "that name is asked without at once");
        script.ask(HUB, "two.contoso.test");
        assert_eq!(script.sent(), ["192.0.2.1 two.contoso.test. A"], "and no other");
    }
}

#[test]
fn edns_is_given_up_for_a_server_when_three_domains_agree_and_the_probe_does_too() {
    for (rcode, gives_up) in [(ResponseCode::NoError, false), (ResponseCode::FormErr, true)] {
        let mut script = Script::new(SIMPLE);
        for domain in ["contoso", "fabrikam", "adatum"] {
            script.ask(HUB, &format!("bad.{domain}.test"));
            script.say_next(ResponseCode::FormErr, &[]);
            script.say_next(ResponseCode::NoError, &[]);
        }
        let probe = script.out.probes.remove(0);
        assert!(probe.message.edns.is_some());
        script.say(&probe, rcode, &[]);
        script.ask(HUB, "www.contoso.test");
        let plain = if gives_up { "plain " } else { "" };
        assert_eq!(script.sent(), [format!("{plain}192.0.2.1 www.contoso.test. A")]);
        script.pass(601_000);
        script.sent();
        script.ask(HUB, "three.contoso.test");
        assert_eq!(script.sent(), ["192.0.2.1 three.contoso.test. A"]);
    }
}

#[test]
fn a_formerr_with_and_without_edns_is_a_failure() {
    let mut script = Script::new(SIMPLE);
    script.ask(HUB, "www.contoso.test");
    script.say_next(ResponseCode::FormErr, &[]);
    script.say_next(ResponseCode::FormErr, &[]);
    assert_eq!(script.reply(), "ServFail/22");
    script.ask(HUB, "two.contoso.test");
    assert_eq!(script.sent(), ["192.0.2.1 two.contoso.test. A"], "nothing is concluded from it");
}

#[test]
fn s1_the_chain_goes_on_in_the_private_zone_or_in_the_other_route() {
    let mut script = Script::new(&[(".", &[ONE], UpstreamOrder::Order), ("corp.test", &[TWO], UpstreamOrder::Order)]);
    script.host(&[("ws-fhir.fhir", "10.20.1.5")]);
    script.ask(HUB, FHIR);
    script.say_next(ResponseCode::NoError, PUBLIC);
    assert_eq!(script.reply(), SPLICED);
    script.ask(HUB, "alias.contoso.test");
    script.say_next(ResponseCode::NoError, &["alias.contoso.test. 40 CNAME www.corp.test.", "www.corp.test. 40 A 203.0.113.66"]);
    assert_eq!(script.out.sent.last().unwrap().to_string(), "192.0.2.2 www.corp.test. A");
    script.say_next(ResponseCode::NoError, &["www.corp.test. 40 A 192.0.2.44"]);
    assert_eq!(script.reply(), "NoError; alias.contoso.test. 40 CNAME www.corp.test.; www.corp.test. 40 A 192.0.2.44");
}

#[test]
fn s5_private_data_is_that_of_the_moment_of_the_answer() {
    let mut script = Script::new(SIMPLE);
    script.host(&[]);
    script.ask(HUB, FHIR);
    script.host(&[("ws-fhir.fhir", "10.20.1.5")]); // while the upstream thinks
    script.say_next(ResponseCode::NoError, PUBLIC);
    assert_eq!(script.reply(), SPLICED, "a record added meanwhile wins");
    script.ask(HUB, FHIR);
    assert_eq!(script.reply(), SPLICED);
    script.host(&[]);
    script.ask(HUB, FHIR);
    assert_eq!(
        script.sent(),
        ["192.0.2.1 ws-fhir.fhir.privatelink.azurehealthcareapis.com. A"],
        "a record removed is gone, its public tail unknown"
    );
}

#[test]
fn s5_two_networks_that_ask_the_same_get_each_its_own() {
    let mut script = Script::new(SIMPLE);
    script.host(&[("ws-fhir.fhir", "10.20.1.5")]); // for hub alone
    script.ask(HUB, FHIR);
    script.ask(SPOKE, FHIR);
    script.say_next(ResponseCode::NoError, PUBLIC);
    script.say_next(ResponseCode::NoError, PUBLIC);
    let replies = script.replies();
    assert_eq!(replies[0].1, SPLICED);
    assert!(replies[1].1.ends_with("gw.trafficmanager.test. 20 A 203.0.113.9"), "{replies:?}");
    assert_eq!(script.out.noted, 2);
}

#[test]
fn the_slower_upstream_is_asked_after_the_faster_and_measured_by_copies() {
    let mut script = Script::new(BY_LATENCY);
    let time = |script: &mut Script, name: &str, slow: u64| {
        script.ask(HUB, name);
        let sent = script.take_sent();
        for sent in &sent {
            script.pass(if sent.address == ONE.parse().unwrap() { slow } else { 5 });
            script.say(sent, ResponseCode::NoError, &[]);
        }
        sent.iter().map(|sent| sent.address.ip().to_string()).collect::<Vec<_>>()
    };
    // The first question goes to the first, with a copy to the other: nothing is known of either.
    assert_eq!(time(&mut script, "a.contoso.test", 40), ["192.0.2.2", "192.0.2.1"]);
    assert_eq!(time(&mut script, "b.contoso.test", 40), ["192.0.2.2"]);
    assert_eq!(time(&mut script, "c.contoso.test", 40), ["192.0.2.2"]);
    script.pass(5000);
    assert_eq!(time(&mut script, "d.contoso.test", 1), ["192.0.2.1", "192.0.2.2"], "measured again every five seconds");
    for name in 0..20 {
        script.pass(5000);
        time(&mut script, &format!("e{name}.contoso.test"), 1);
    }
    assert_eq!(time(&mut script, "f.contoso.test", 1), ["192.0.2.1"], "it became the faster one");
}

#[test]
fn an_upstream_with_nothing_but_useless_answers_is_asked_last_until_a_copy_is_answered() {
    let mut script = Script::new(TWO_UPSTREAMS);
    for name in 0..8 {
        script.ask(HUB, &format!("a.contoso{name}.test"));
        script.say_next(ResponseCode::Refused, &[]);
        script.say_next(ResponseCode::NoError, &[]);
    }
    assert_eq!(script.status(ONE).condition, UpstreamCondition::Up, "names alone decide nothing");
    let probe = script.out.probes.remove(0);
    script.say(&probe, ResponseCode::Refused, &[]);
    assert_eq!(script.status(ONE).condition, UpstreamCondition::Poor);
    script.ask(HUB, "b.contoso.test");
    assert_eq!(script.sent(), ["192.0.2.2 b.contoso.test. A"]);
    script.pass(1100);
    script.ask(HUB, "c.contoso.test");
    let sent = script.take_sent();
    assert_eq!(sent.iter().map(Sent::to_string).collect::<Vec<_>>(), ["192.0.2.1 c.contoso.test. A", "192.0.2.2 c.contoso.test. A"]);
    script.say(&sent[0], ResponseCode::NoError, &[]);
    assert!(script.status(ONE).condition == UpstreamCondition::Up);
    script.ask(HUB, "d.contoso.test");
    assert_eq!(script.sent(), ["192.0.2.1 d.contoso.test. A"]);
}

#[test]
fn a_route_that_goes_is_drained_and_its_upstream_closed() {
    let mut script = Script::new(TWO_UPSTREAMS);
    script.ask(HUB, "www.contoso.test");
    script.route(&[(".", &[TWO], UpstreamOrder::Order)]);
    assert_eq!(script.out.upstreams.len(), 2, "one question is still out");
    script.answer_probes();
    script.say_next(ResponseCode::NoError, WWW);
    assert_eq!(script.out.upstreams.len(), 1);
    let ask = script.take_sent().remove(0);
    assert_eq!(ask.to_string(), "192.0.2.2 www.contoso.test. A", "the new route has not said anything yet");
    script.say(&ask, ResponseCode::NoError, WWW);
    assert_eq!(script.reply(), WWW_REPLY);
}

#[test]
fn a_reload_that_leaves_a_route_as_it_is_keeps_its_health_and_its_questions() {
    let mut script = Script::new(SIMPLE);
    script.ask(HUB, "www.contoso.test");
    script.route(SIMPLE);
    script.answer_probes();
    assert_eq!(script.status(ONE).in_flight, 1);
    script.say_next(ResponseCode::NoError, WWW);
    assert_eq!(script.reply(), WWW_REPLY);
}

#[test]
fn everything_that_waits_is_answered_when_the_server_stops() {
    let mut script = Script::new(SIMPLE);
    for name in 0..10 {
        script.ask(HUB, &format!("{name}.contoso.test"));
    }
    script.core.drain(script.now, &script.state, &mut script.out);
    assert_eq!(script.replies().len(), 10);
    assert_eq!(script.core.counts().pending, 0);
}
