//! Floods of names that nobody answers: they leave other names, routes and clients at full service.

use crate::*;
use postern_config::model::UpstreamConfig;

/// Result of a flood.
struct Flood {
    /// Milliseconds that good names took.
    took: Vec<u64>,
    failed: usize,
    /// Messages for names of the flood in the last second.
    messages: usize,
}

/// Asks that many dead names a second for ten seconds, and a good name every 20 ms. The upstream answers good names after 2 ms.
fn flood(script: &mut Script, rate: u64, dead: impl Fn(u64) -> String, good_client: &str) -> Flood {
    let mut due: Vec<(u64, Sent)> = Vec::new();
    let mut good: Vec<(SocketAddr, u64)> = Vec::new();
    let (mut flood, start) = (Flood { took: Vec::new(), failed: 0, messages: 0 }, script.now.0);
    let mut asked = 0;
    for step in 0..10_000u64 {
        while asked * 1000 < rate * step {
            script.ask(HUB, &dead(asked));
            asked += 1;
        }
        if step % 20 == 0 {
            good.push((script.ask(good_client, &format!("good{step}.corp.test")), script.now.0));
        }
        for sent in script.take_sent() {
            match sent.message.queries[0].name().to_string().starts_with("good") {
                true => due.push((script.now.0 + 2, sent)),
                false => flood.messages += usize::from(script.now.0 >= start + 9000),
            }
        }
        let now = script.now.0;
        due.extend(std::mem::take(&mut script.out.probes).into_iter().map(|sent| (now + 2, sent)));
        let ready: Vec<Sent> = due.extract_if(.., |(at, _)| *at <= now).map(|(_, sent)| sent).collect();
        ready.iter().for_each(|sent| script.say(sent, ResponseCode::NoError, &[]));
        for (client, reply) in script.replies() {
            if let Some(place) = good.iter().position(|(other, _)| *other == client) {
                let (_, at) = good.swap_remove(place);
                flood.took.push(script.now.0 - at);
                flood.failed += usize::from(!reply.starts_with("NoError"));
            }
        }
        script.pass(1);
    }
    flood.took.sort_unstable();
    flood
}

fn check(flood: &Flood, what: &str) {
    assert_eq!(flood.failed, 0, "{what}");
    assert!(flood.took.len() >= 499, "{what}: {}", flood.took.len());
    let p99 = flood.took[flood.took.len() * 99 / 100];
    assert!(p99 <= 10, "{what}: p99 {p99} ms");
}

fn azure(upstream: &mut UpstreamConfig) {
    (upstream.in_flight, upstream.rate) = (200, 1000);
}

#[test]
fn a_flood_for_one_dead_domain_leaves_other_names_at_full_service() {
    for rate in [30, 300, 1500] {
        let mut script = Script::repeating(SIMPLE, |_| {});
        let flood = flood(&mut script, rate, |number| format!("d{number}.partner.test"), SPOKE);
        check(&flood, &format!("{rate} a second"));
        assert!(flood.messages <= 2000, "{} messages in the last second at {rate}", flood.messages);
        assert_eq!(script.status(ONE).condition, UpstreamCondition::Up);
    }
}

#[test]
fn the_client_that_floods_gets_good_names_as_well() {
    let mut script = Script::repeating(SIMPLE, |_| {});
    check(&flood(&mut script, 300, |number| format!("d{number}.partner.test"), HUB), "the same client");
}

#[test]
fn a_flood_below_random_labels_is_one_of_their_domain() {
    let mut script = Script::repeating(SIMPLE, |_| {});
    check(&flood(&mut script, 1500, |number| format!("d{number}.e{}.partner.test", number * 7919 % 1000), SPOKE), "two labels");
}

#[test]
fn a_flood_of_many_dead_domains_leaves_other_names_at_full_service() {
    let mut script = Script::repeating(SIMPLE, |_| {});
    check(&flood(&mut script, 1500, |number| format!("www.dead{number}.test"), SPOKE), "many domains");
}

#[test]
fn a_flood_at_an_upstream_with_a_rate_leaves_other_names_their_part_of_it() {
    for rate in [30, 300, 1500] {
        let mut script = Script::repeating(SIMPLE, azure);
        let flood = flood(&mut script, rate, |number| format!("d{number}.partner.test"), SPOKE);
        assert!(flood.failed <= 25, "{} of 500 failed at {rate}", flood.failed);
        let late = flood.took.iter().filter(|took| **took > 50).count();
        assert!(late <= 75, "{late} of 500 took longer than 50 ms at {rate}: only those before the domain was known, after 1.2 s");
    }
}

#[test]
fn a_dead_domain_is_served_again_once_it_is_well() {
    let mut script = Script::repeating(SIMPLE, |_| {});
    flood(&mut script, 1500, |number| format!("d{number}.partner.test"), SPOKE);
    script.ask(HUB, "more.partner.test");
    assert_eq!(script.reply(), "ServFail/22", "its share is used up: no waiting");
    // The domain answers what is out, and everything from now on.
    script.pass(1000);
    script.take_sent();
    for step in 0..2000 {
        script.ask(HUB, &format!("w{step}.partner.test"));
        for sent in script.take_sent() {
            script.say(&sent, ResponseCode::NoError, &[]);
        }
        script.pass(2);
    }
    script.replies();
    for number in 0..500 {
        script.ask(HUB, &format!("x{number}.partner.test"));
        script.say_next(ResponseCode::NoError, &[]);
        assert_eq!(script.reply(), "NoError");
    }
}

#[test]
fn a_type_that_an_upstream_is_silent_for_leaves_others_at_full_service() {
    let mut script = Script::repeating(SIMPLE, |_| {});
    let mut failed_at_once = 0;
    for number in 0..5000u64 {
        script.ask_as(HUB, &format!("www.contoso{number}.test"), RecordType::HTTPS, |_| {});
        script.ask(SPOKE, &format!("www.contoso{number}.test"));
        for sent in script.take_sent() {
            if sent.message.queries[0].query_type() == RecordType::A {
                script.say(&sent, ResponseCode::NoError, &[]);
            }
        }
        let replies = script.replies();
        assert!(replies.iter().any(|(client, reply)| client.ip() == SPOKE.parse::<std::net::IpAddr>().unwrap() && reply == "NoError"));
        failed_at_once += replies.iter().filter(|(_, reply)| reply == "ServFail/22").count();
        script.pass(1);
    }
    assert!(failed_at_once > 1000, "{failed_at_once}");
}

#[test]
fn names_of_a_slow_domain_are_not_refused() {
    let mut script = Script::repeating(SIMPLE, |_| {});
    for name in 0..100 {
        script.ask(HUB, &format!("{name}.slow.test"));
    }
    script.pass(900);
    let sent = script.take_sent();
    for name in 100..340 {
        script.ask(HUB, &format!("{name}.slow.test"));
    }
    assert!(script.replies().is_empty(), "asked too: nothing is short of room");
    for sent in sent.iter().filter(|sent| sent.attempt.serial <= 102) {
        script.say(sent, ResponseCode::NoError, &[]);
    }
    assert!(script.replies().iter().all(|(_, reply)| reply == "NoError"));
}

#[test]
fn a_client_that_floods_leaves_places_to_others() {
    let mut script = Script::with(SIMPLE, 1000, |_| {});
    for name in 0..3000 {
        script.ask(HUB, &format!("{name}.contoso{name}.test"));
    }
    let waiting = script.core.counts().pending;
    assert!((700..=760).contains(&waiting), "{waiting}");
    script.replies();
    for name in 0..60 {
        script.ask(SPOKE, &format!("other{name}.fabrikam.test"));
    }
    assert!(script.replies().is_empty(), "every one of them waits");
    script.pass_with_probes_answered(6000, ResponseCode::NoError);
    assert_eq!((script.core.counts().pending, script.replies().len()), (0, waiting + 60));
    for name in 0..700 {
        script.ask(HUB, &format!("{name}.adatum{name}.test"));
    }
    assert!(script.replies().is_empty(), "every place was given back");
}

#[test]
fn a_good_name_of_a_rare_type_is_asked_although_many_domains_are_silent_for_that_type() {
    let mut script = Script::repeating(SIMPLE, |_| {});
    for number in 0..100 {
        script.ask_as(HUB, &format!("www.contoso{number}.test"), RecordType::TXT, |_| {});
    }
    script.pass_with_probes_answered(1500, ResponseCode::NoError);
    script.replies();
    script.take_sent();
    for number in 0..20 {
        script.ask_as(SPOKE, &format!("good{number}.fabrikam.test"), RecordType::TXT, |_| {});
        script.say_next(ResponseCode::NoError, &[]);
        assert_eq!(script.reply(), "NoError", "{number}");
        script.pass_with_probes_answered(200, ResponseCode::NoError);
        script.take_sent();
        script.replies();
    }
}

/// What was answered is remembered by hashes, of which later ones take the place of a few. So most of the names must be asked, not all.
#[test]
fn names_that_were_answered_before_are_asked_in_a_silent_domain_that_has_used_its_share() {
    let mut script = Script::repeating(SIMPLE, |_| {});
    for number in 0..16 {
        script.ask(SPOKE, &format!("www{number}.co.test"));
        script.say_next(ResponseCode::NoError, &[&format!("www{number}.co.test. 1 A 192.0.2.7")]);
    }
    script.replies();
    flood(&mut script, 1500, |number| format!("d{number}.e{number}.co.test"), SPOKE);
    script.replies();
    script.ask(SPOKE, "new.co.test");
    assert_eq!(script.reply(), "ServFail/22", "its share is used up");
    script.take_sent();
    for number in 0..16 {
        script.ask(SPOKE, &format!("www{number}.co.test"));
    }
    let sent = script.take_sent().len();
    assert!(sent >= 8, "{sent} of 16 are asked");
}
