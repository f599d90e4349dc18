//! Bounds: what one upstream or one route may take, and what all questions together may.

use std::collections::{HashMap, HashSet};

use crate::*;
use proptest::prelude::*;

#[test]
fn no_more_than_the_cap_is_outstanding_and_what_waits_goes_out_as_answers_come() {
    let mut script = Script::with(SIMPLE, 10_000, |upstream| upstream.in_flight = 5);
    for name in 0..9 {
        script.ask(HUB, &format!("{name}.contoso.test"));
    }
    let mut out = script.take_sent();
    assert_eq!((out.len(), script.status(ONE).in_flight), (5, 5));
    for answered in 1..=9 {
        let sent = out.remove(0);
        script.say(&sent, ResponseCode::NoError, &[]);
        out.extend(script.take_sent());
        assert_eq!(script.replies().len(), 1);
        assert_eq!(out.len(), 5.min(9 - answered), "after {answered}");
    }
}

#[test]
fn over_the_cap_the_next_upstream_is_asked() {
    let mut script = Script::with(TWO_UPSTREAMS, 10_000, |upstream| upstream.in_flight = 2);
    for name in 0..5 {
        script.ask(HUB, &format!("{name}.contoso.test"));
    }
    let to: Vec<String> = script.take_sent().iter().map(|sent| sent.address.ip().to_string()).collect();
    assert_eq!(to, ["192.0.2.1", "192.0.2.1", "192.0.2.2", "192.0.2.2"]);
}

#[test]
fn what_finds_the_queue_full_fails_at_once_and_is_not_remembered_as_a_failure() {
    let mut script = Script::with(SIMPLE, 10_000, |upstream| upstream.in_flight = 4);
    for name in 0..12 {
        script.ask(HUB, &format!("{name}.contoso.test"));
    }
    let replies = script.replies();
    assert_eq!((script.sent().len(), replies.len()), (4, 4), "four out, four in the queue");
    assert!(replies.iter().all(|(_, reply)| reply == "ServFail/14"), "{replies:?}");
    assert_eq!(script.core.counts().busy, 4);
}

#[test]
fn the_rate_of_an_upstream_holds_and_what_waits_is_sent_when_it_allows() {
    // As for 168.63.129.16: 200 outstanding, 1000 a second.
    let mut script = Script::with(SIMPLE, 10_000, |upstream| (upstream.in_flight, upstream.rate) = (200, 1000));
    let mut sent_at = Vec::new();
    for _ in 0..3000 {
        script.ask(HUB, &format!("{}.contoso.test", script.now.0));
        script.ask(HUB, &format!("x{}.contoso.test", script.now.0)); // 2000 questions a second
        for sent in script.take_sent() {
            sent_at.push(script.now.0);
            script.say(&sent, ResponseCode::NoError, &[]);
        }
        script.pass(1);
    }
    for (index, start) in sent_at.iter().enumerate() {
        let second = sent_at[index..].iter().take_while(|at| **at < start + 1000).count();
        assert!(second <= 1000, "{second} in the second from {start}");
    }
    assert!(sent_at.len() > 2900, "the rate is used: {}", sent_at.len());
    script.pass(6000);
    let counts = script.core.counts();
    assert_eq!((counts.pending, counts.exchanges, script.replies().len()), (0, 0, 6000));
}

#[test]
fn a_dead_upstream_delays_no_other_route_and_leaves_room_for_them() {
    let rules: &[Rule] = &[("dead.test", &[ONE], UpstreamOrder::Order), ("live.test", &[TWO], UpstreamOrder::Order)];
    let mut script = Script::with(rules, 100, |_| {});
    for name in 0..500 {
        script.ask(HUB, &format!("{name}.dead.test"));
        if name % 10 == 0 {
            script.ask(HUB, &format!("{name}.live.test"));
            let sent = script.take_sent().into_iter().find(|sent| sent.address == TWO.parse().unwrap()).expect("asked at once");
            let before = script.out.replies.len();
            script.say(&sent, ResponseCode::NoError, &[]);
            assert_eq!(script.out.replies.len(), before + 1);
        }
        script.pass(1);
    }
    assert!(script.core.counts().pending <= 50, "a route has half of the room at most");
}

#[test]
fn twenty_thousand_distinct_questions_for_a_silent_upstream_stay_bounded_and_private_names_answer() {
    let mut script = Script::with(SIMPLE, 20_000, |upstream| upstream.in_flight = 10_000);
    script.host(&[("ws-fhir.fhir", "10.20.1.5")]);
    for name in 0..25_000 {
        script.ask(&format!("10.20.1.{}", name % 20), &format!("{name}.contoso.test"));
    }
    let counts = script.core.counts();
    assert!(counts.pending > 19_500 && counts.pending <= 20_000 && counts.exchanges == counts.pending, "{counts:?}");
    script.replies();
    for _ in 0..5 {
        script.ask(HUB, "ws-fhir.fhir.privatelink.azurehealthcareapis.com");
        assert!(script.out.replies.pop().unwrap().1.answers.len() == 1, "ours alone: at once");
        script.ask("10.20.1.1", FHIR);
        assert!(script.out.replies.pop().unwrap().1.answers.len() == 2, "by the zone table, as there is no room to wait");
        script.ask("10.20.1.1", "one-more.contoso.test");
        assert_eq!(script.reply(), "ServFail/14");
    }
    let waiting = counts.pending;
    script.pass(7000); // questions for aliases begin after 1.8 s, and end 5 s later
    let counts = script.core.counts();
    assert_eq!((counts.pending, counts.exchanges, script.replies().len()), (0, 0, waiting));
    assert_eq!(script.status(ONE).in_flight, 0);
}

#[test]
fn a_down_upstream_holds_few_questions_and_the_rest_fail_at_once() {
    let mut script = Script::new(SIMPLE);
    for name in 0..3 {
        script.ask(HUB, &format!("{name}.contoso.test"));
    }
    script.pass(6600);
    script.replies();
    for name in 0..1000 {
        script.ask(HUB, &format!("x{name}.contoso.test"));
    }
    assert!(script.core.counts().pending <= 32);
    assert!(script.replies().len() >= 968);
}

#[test]
fn when_nothing_can_be_sent_clients_are_told_at_once() {
    let mut script = Script::new(TWO_UPSTREAMS);
    script.out.stuck = true;
    script.ask(HUB, "www.contoso.test");
    assert_eq!(script.reply(), "ServFail/22");
    script.out.stuck = false;
    script.ask(HUB, "www.contoso.test");
    assert_eq!(script.sent().len(), 1, "nothing was remembered against the name");
}

/// One step of a random history.
#[derive(Debug, Clone)]
enum Move {
    Ask { spoke: bool, name: u8, alias: bool },
    Say { which: u8, how: u8 },
    Pass(u16),
    Host(bool),
    Route(u8),
}

fn moves() -> impl Strategy<Value = Move> {
    prop_oneof![
        6 => (any::<bool>(), 0u8..12, any::<bool>()).prop_map(|(spoke, name, alias)| Move::Ask { spoke, name, alias }),
        6 => (any::<u8>(), 0u8..9).prop_map(|(which, how)| Move::Say { which, how }),
        3 => (1u16..4000).prop_map(Move::Pass),
        1 => any::<bool>().prop_map(Move::Host),
        1 => (0u8..3).prop_map(Move::Route),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..Default::default() })]

    #[test]
    fn every_question_gets_exactly_one_reply_within_its_deadline(moves in prop::collection::vec(moves(), 1..120)) {
        let mut script = Script::with(TWO_UPSTREAMS, 20, |upstream| (upstream.in_flight, upstream.rate) = (3, 20));
        let mut asked: HashMap<SocketAddr, u64> = HashMap::new();
        let mut answered = HashSet::new();
        let mut out: Vec<Sent> = Vec::new();
        let settle = |script: &mut Script, asked: &HashMap<SocketAddr, u64>, answered: &mut HashSet<SocketAddr>| {
            for (client, _) in std::mem::take(&mut script.out.replies) {
                assert!(asked.contains_key(&client) && answered.insert(client), "two replies");
            }
            for (client, at) in asked {
                assert!(answered.contains(client) || script.now.0 <= at + 5020, "no reply within the deadline");
            }
        };
        for step in moves {
            match step {
                Move::Ask { spoke, name, alias } => {
                    let name = if alias { format!("alias{name}.contoso.test") } else { format!("ws{name}.fhir.azurehealthcareapis.com") };
                    let client = script.ask(if spoke { SPOKE } else { HUB }, &name);
                    asked.insert(client, script.now.0);
                }
                Move::Say { which, how } => {
                    out.append(&mut script.out.sent);
                    if out.is_empty() {
                        continue;
                    }
                    let sent = out.swap_remove(usize::from(which) % out.len());
                    let name = sent.message.queries[0].name().to_string();
                    let into = name.replace("fhir.azure", "fhir.privatelink.azure");
                    match how {
                        0 => script.say(&sent, ResponseCode::ServFail, &[]),
                        1 => script.say(&sent, ResponseCode::FormErr, &[]),
                        2 => script.said(&sent, Err(AttemptError::Reset)),
                        3 => script.said(&sent, Ok(b"nonsense")),
                        4 => script.say(&sent, ResponseCode::NXDomain, &[]),
                        5 if into != name => script.say(&sent, ResponseCode::NoError, &[&format!("{name} 2 CNAME {into}")]),
                        6 => {
                            let mut truncated = answer(&sent, ResponseCode::NoError, &[]);
                            truncated.metadata.truncation = true;
                            script.said(&sent, Ok(&truncated.to_vec().unwrap()));
                        }
                        _ => script.say(&sent, ResponseCode::NoError, &[&format!("{name} 1 A 198.51.100.7")]),
                    }
                    if how == 7 {
                        // An answer that comes twice.
                        script.say(&sent, ResponseCode::NoError, &[&format!("{name} 1 A 198.51.100.7")]);
                    }
                }
                Move::Pass(milliseconds) => script.pass(u64::from(milliseconds)),
                Move::Host(full) => script.host(if full { &[("ws1.fhir", "10.20.1.5"), ("ws2.fhir", "10.20.1.6")] } else { &[] }),
                Move::Route(0) => script.route(SIMPLE),
                Move::Route(1) => script.route(&[(".", &[TWO, THREE], UpstreamOrder::Latency), ("contoso.test", &[ONE], UpstreamOrder::Order)]),
                Move::Route(_) => script.route(TWO_UPSTREAMS),
            }
            settle(&mut script, &asked, &mut answered);
        }
        script.pass(5020);
        settle(&mut script, &asked, &mut answered);
        prop_assert_eq!(answered.len(), asked.len());
        prop_assert_eq!(script.core.counts().pending, 0);
        script.pass(5020);
        prop_assert_eq!(script.core.counts().exchanges, 0);
        script.pass(200_000);
        let in_flight: u32 = script.core.meters().iter().map(|meter| meter.read().in_flight).sum();
        prop_assert_eq!(in_flight, 0, "everything was given back");
        prop_assert_eq!(script.core.next_deadline(), None, "no timer is left behind");
    }
}

#[test]
fn a_repeated_question_counts_as_in_flight_beside_the_first_until_the_upstream_is_given_up() {
    let mut script = Script::repeating(SIMPLE, |upstream| upstream.in_flight = 200);
    script.ask(HUB, "www.contoso.test");
    assert_eq!(script.status(ONE).in_flight, 1);
    script.pass(450);
    let sent = script.take_sent();
    assert_eq!((sent.len(), script.status(ONE).in_flight), (2, 2), "the upstream may be at work on both");
    script.say(&sent[0], ResponseCode::NoError, &[]);
    assert_eq!((script.reply(), script.status(ONE).in_flight), ("NoError".to_owned(), 0));
}
