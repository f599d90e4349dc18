//! Lost messages and late answers: repetition by measured round trips, the next upstream, and what comes afterwards.

use crate::*;
use postern_config::model::UpstreamConfig;
use std::time::Duration;

/// The milliseconds at which messages leave for a name that nobody answers, with their upstreams.
fn times(script: &mut Script, name: &str, milliseconds: u64) -> Vec<(u64, String)> {
    let start = script.now;
    script.ask(HUB, name);
    let mut times = Vec::new();
    for _ in 0..milliseconds {
        times.extend(script.take_sent().into_iter().map(|sent| (script.now.since(start), sent.address.ip().to_string())));
        script.pass(1);
    }
    times
}

fn answer_fast(script: &mut Script, names: u32) {
    for name in 0..names {
        script.ask(HUB, &format!("fast{name}.contoso.test"));
        script.pass(1);
        script.say_next(ResponseCode::NoError, &[]);
    }
    script.replies();
}

#[test]
fn a_question_is_repeated_after_the_measured_time_and_each_time_after_twice_as_long() {
    let mut script = Script::repeating(TWO_UPSTREAMS, |_| {});
    let near = |times: Vec<(u64, String)>, wanted: &[(u64, &str)]| {
        assert_eq!(times.len(), wanted.len(), "{times:?}");
        for ((time, upstream), (at, address)) in times.iter().zip(wanted) {
            assert!((*at..at + 80).contains(time) && upstream == address, "{time} {upstream}, not {at} {address}: {times:?}");
        }
    };
    let cold = times(&mut script, "cold.contoso.test", 1600);
    near(cold, &[(0, "192.0.2.1"), (400, "192.0.2.1"), (1200, "192.0.2.1"), (1500, "192.0.2.2")]);
    script.pass(5000);
    script.sent();
    answer_fast(&mut script, 50);
    let warm = times(&mut script, "warm.contoso.test", 1490);
    near(warm, &[(0, "192.0.2.1"), (50, "192.0.2.1"), (150, "192.0.2.1"), (350, "192.0.2.1"), (750, "192.0.2.1")]);
}

#[test]
fn a_name_that_nobody_answers_costs_a_bounded_number_of_messages() {
    let mut script = Script::repeating(SIMPLE, |_| {});
    answer_fast(&mut script, 50);
    let messages = times(&mut script, "dead.contoso.test", 6000).len();
    assert!((6..=14).contains(&messages), "{messages} messages");
    assert!(script.reply().starts_with("ServFail"));
}

#[test]
fn an_answer_to_any_of_the_messages_is_taken() {
    for which in 0..4 {
        let mut script = Script::repeating(SIMPLE, |_| {});
        answer_fast(&mut script, 50);
        script.ask(HUB, "www.contoso.test");
        script.pass(400);
        let sent = script.take_sent();
        script.say(&sent[which], ResponseCode::NoError, WWW);
        assert_eq!(script.reply(), WWW_REPLY);
        assert_eq!((script.status(ONE).in_flight, script.core.counts().exchanges), (0, 0));
    }
}

#[test]
fn with_thirty_percent_of_loss_each_way_nine_names_of_ten_are_answered_within_400_ms() {
    let mut script = Script::repeating(SIMPLE, |_| {});
    answer_fast(&mut script, 50);
    // A generator with a fixed seed, so that the test cannot fail now and then.
    let mut seed = 7u64;
    let mut arrives = || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % 10 >= 3
    };
    let mut took = Vec::new();
    for name in 0..500 {
        let start = script.now;
        script.ask(HUB, &format!("n{name}.contoso.test"));
        while script.out.replies.is_empty() {
            for sent in script.take_sent() {
                if arrives() && arrives() {
                    script.pass(1);
                    script.say(&sent, ResponseCode::NoError, &[]);
                }
            }
            script.pass(1);
        }
        assert!(script.reply().starts_with("NoError"));
        took.push(script.now.since(start));
    }
    took.sort_unstable();
    assert!(took[450] <= 400, "p90 {} ms", took[450]);
    assert_eq!(script.status(ONE).condition, UpstreamCondition::Up);
}

#[test]
fn a_late_answer_of_an_upstream_before_the_one_that_answered_replaces_its_answer() {
    let mut script = Script::new(TWO_UPSTREAMS);
    script.ask(HUB, "www.contoso.test");
    let first = script.take_sent().remove(0);
    script.pass(1510);
    script.say_next(ResponseCode::NXDomain, &[]);
    assert_eq!(script.reply(), "NXDomain");
    script.pass(490);
    script.say(&first, ResponseCode::NoError, WWW);
    script.ask(HUB, "www.contoso.test");
    assert_eq!((script.sent(), script.reply()), (vec![], WWW_REPLY.to_owned()));
    script.pass(10_000);
    assert_eq!((script.status(ONE).in_flight, script.core.next_deadline()), (0, None));
}

#[test]
fn a_late_answer_of_an_upstream_behind_the_one_that_answered_is_ignored() {
    let mut script = Script::new(TWO_UPSTREAMS);
    script.ask(HUB, "www.contoso.test");
    script.pass(1510);
    let sent = script.take_sent();
    script.say(&sent[0], ResponseCode::NoError, WWW);
    script.reply();
    script.say(&sent[1], ResponseCode::NXDomain, &[]);
    script.ask(HUB, "www.contoso.test");
    assert_eq!(script.reply(), WWW_REPLY);
}

#[test]
fn an_answer_that_comes_after_the_deadline_ends_the_remembered_failure() {
    let mut script = Script::new(SIMPLE);
    script.ask(HUB, "www.contoso.test");
    let first = script.take_sent().remove(0);
    script.pass(5100);
    assert!(script.reply().starts_with("ServFail"));
    script.say(&first, ResponseCode::NoError, WWW);
    script.sent();
    script.ask(HUB, "www.contoso.test");
    assert_eq!((script.sent(), script.reply()), (vec![], WWW_REPLY.to_owned()));
}

#[test]
fn late_answers_are_waited_for_in_bounded_number_and_not_for_ever() {
    let mut script = Script::new(SIMPLE);
    for name in 0..3000 {
        script.ask(HUB, &format!("dead{name}.contoso.test"));
        script.pass(1);
    }
    script.pass(20_000);
    script.replies();
    assert_eq!(script.status(ONE).in_flight, 0);
    assert_eq!(script.out.forgotten.len(), script.out.sent.len() + script.out.probes.len() + 1, "with the loop probe of the start");
    script.pass(100_000);
    assert_eq!(script.core.next_deadline(), None);
}

#[test]
fn azures_resolver_is_waited_for_longer_than_four_seconds() {
    let azure = UpstreamConfig::new("168.63.129.16:53".parse().unwrap(), postern_config::model::UpstreamTransport::Udp);
    assert!(azure.timeout > Duration::from_secs(4));
    let mut script = Script::with(TWO_UPSTREAMS, 100, |upstream| upstream.timeout = azure.timeout);
    script.ask(HUB, "www.contoso.test");
    script.sent();
    script.pass(4400);
    assert!(script.sent().is_empty());
    script.pass(200);
    assert_eq!(script.sent(), ["192.0.2.2 www.contoso.test. A"]);
}

#[test]
fn with_hedge_the_next_upstream_is_asked_as_well_after_the_usual_time_of_the_first() {
    for hedge in [None, Some(90)] {
        let mut script = Script::planned(TWO_UPSTREAMS, 100, |_| {}, |plan| plan.hedge = hedge);
        answer_fast(&mut script, 50);
        script.sent();
        script.ask(HUB, "www.contoso.test");
        script.pass(40);
        let sent = script.take_sent();
        let asked: Vec<String> = sent.iter().map(|sent| sent.address.ip().to_string()).collect();
        match hedge {
            None => assert_eq!(asked, ["192.0.2.1"], "the order is kept"),
            Some(_) => {
                assert_eq!(asked, ["192.0.2.1", "192.0.2.2"]);
                script.say(&sent[1], ResponseCode::NoError, WWW);
                assert_eq!(script.reply(), WWW_REPLY);
            }
        }
    }
}

#[test]
fn a_hedge_that_fails_leaves_the_first_upstream_its_time() {
    let mut script = Script::planned(TWO_UPSTREAMS, 100, |_| {}, |plan| plan.hedge = Some(90));
    answer_fast(&mut script, 50);
    script.ask(HUB, "www.contoso.test");
    script.pass(40);
    let sent = script.take_sent();
    script.say(&sent[1], ResponseCode::ServFail, &[]);
    assert!(script.replies().is_empty());
    script.pass(1000);
    script.say(&sent[0], ResponseCode::NoError, WWW);
    assert_eq!(script.reply(), WWW_REPLY);
    script.pass(20_000);
    assert_eq!((script.status(ONE).in_flight, script.status(TWO).in_flight, script.core.next_deadline()), (0, 0, None));
}

#[test]
fn errors_that_say_unreachable_are_counted() {
    let mut script = Script::new(SIMPLE);
    script.ask(HUB, "www.contoso.test");
    for _ in 0..3 {
        let sent = script.take_sent().remove(0);
        script.said(&sent, Err(AttemptError::Unreachable));
    }
    assert_eq!(script.status(ONE).unreachable, 3);
    script.say_next(ResponseCode::NoError, WWW);
    assert_eq!((script.reply().as_str(), script.status(ONE).unreachable), (WWW_REPLY, 3));
}
