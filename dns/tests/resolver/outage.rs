//! What clients get while upstreams are silent: RFC 8767, S6, and how upstreams are found to be well again.

use crate::*;

/// Three questions and the probes after them time out: the upstream counts as down.
fn down(script: &mut Script) {
    for name in 0..3 {
        script.ask(HUB, &format!("down{name}.contoso.test"));
    }
    script.pass(1600);
    assert_eq!(script.status(ONE).condition, UpstreamCondition::Up, "silent for names alone");
    script.pass(5000);
    assert_eq!(script.status(ONE).condition, UpstreamCondition::Down);
    script.replies();
    script.sent();
}

#[test]
fn an_upstream_that_answers_probes_is_up_whatever_names_it_is_silent_for() {
    for rcode in [ResponseCode::NoError, ResponseCode::ServFail, ResponseCode::Refused, ResponseCode::FormErr] {
        let mut script = Script::new(TWO_UPSTREAMS);
        for name in 0..200 {
            script.ask(HUB, &format!("d{name}.partner.test"));
            script.pass_with_probes_answered(50, rcode);
        }
        assert_eq!([ONE, TWO].map(|upstream| script.status(upstream).condition), [UpstreamCondition::Up; 2], "{rcode:?}");
        script.pass_with_probes_answered(5000, rcode);
        script.sent();
        script.ask(HUB, "www.contoso.test");
        assert_eq!(script.sent(), ["192.0.2.1 www.contoso.test. A"], "the order is kept");
    }
}

#[test]
fn probes_of_a_silent_domain_are_few() {
    let mut script = Script::new(SIMPLE);
    for name in 0..3000 {
        script.ask(HUB, &format!("d{name}.partner.test"));
        script.pass(1);
        if script.out.probes.len() > 9 {
            panic!("{} probes in {name} ms", script.out.probes.len());
        }
    }
}

#[test]
fn any_response_while_probes_are_out_shows_that_the_upstream_is_there() {
    let mut script = Script::new(SIMPLE);
    for name in 0..3 {
        script.ask(HUB, &format!("d{name}.partner.test"));
    }
    for _ in 0..40 {
        script.pass(300);
        script.sent();
        script.ask(HUB, &format!("www{}.contoso.test", script.now.0));
        script.say_next(ResponseCode::ServFail, &[]);
        for name in 0..3 {
            script.ask(HUB, &format!("d{name}{}.partner.test", script.now.0));
        }
    }
    assert_eq!(script.status(ONE).condition, UpstreamCondition::Up);
}

#[test]
fn stale_data_is_given_when_no_fresh_answer_came_in_time_and_the_refresh_goes_on() {
    let mut script = Script::new(SIMPLE);
    script.ask(HUB, "www.contoso.test");
    script.say_next(ResponseCode::NoError, WWW);
    script.replies();
    script.pass(101_000);
    script.ask(HUB, "www.contoso.test");
    script.pass(1780);
    assert!(script.replies().is_empty(), "the client timer is 1.8 s");
    script.pass(40);
    assert_eq!(script.reply(), "NoError/3; www.contoso.test. 30 A 198.51.100.1");
    let sent = script.take_sent();
    script.say(sent.last().unwrap(), ResponseCode::NoError, &["www.contoso.test. 100 A 198.51.100.2"]);
    assert!(script.replies().is_empty(), "one question, one reply");
    script.ask(HUB, "www.contoso.test");
    assert_eq!(script.reply(), "NoError; www.contoso.test. 100 A 198.51.100.2", "the late answer filled the cache");
}

#[test]
fn after_a_failed_refresh_stale_data_is_given_at_once_for_thirty_seconds() {
    let mut script = Script::new(SIMPLE);
    script.ask(HUB, "www.contoso.test");
    script.say_next(ResponseCode::NoError, WWW);
    script.replies();
    script.pass(101_000);
    script.ask(HUB, "www.contoso.test");
    script.say_next(ResponseCode::ServFail, &[]);
    assert_eq!(script.reply(), "NoError/3; www.contoso.test. 30 A 198.51.100.1", "a failure does not wait for the timer");
    script.ask(HUB, "www.contoso.test");
    assert_eq!((script.sent().len(), script.replies().len()), (0, 1));
    script.pass(30_100);
    script.ask(HUB, "www.contoso.test");
    assert_eq!((script.sent().len(), script.replies().len()), (1, 0));
}

#[test]
fn stale_data_is_not_given_past_its_window() {
    let mut script = Script::new(SIMPLE);
    script.ask(HUB, "www.contoso.test");
    script.say_next(ResponseCode::NoError, WWW);
    script.replies();
    script.pass(86_400_000 + 101_000);
    script.ask(HUB, "www.contoso.test");
    script.say_next(ResponseCode::ServFail, &[]);
    assert_eq!(script.reply(), "ServFail/22");
}

#[test]
fn stale_data_of_one_hop_may_lead_to_a_name_that_another_route_knows() {
    let mut script = Script::new(&[(".", &[ONE], UpstreamOrder::Order), ("corp.test", &[TWO], UpstreamOrder::Order)]);
    script.ask(HUB, "alias.contoso.test");
    script.say_next(ResponseCode::NoError, &["alias.contoso.test. 40 CNAME www.corp.test."]);
    script.say_next(ResponseCode::NoError, &["www.corp.test. 40 A 192.0.2.44"]);
    script.replies();
    script.pass(90_000_000); // beyond the window of the second hop
    let mut state = script.state.settings.cache.clone();
    state.stale = std::time::Duration::from_secs(700_000);
    script.state.settings.cache = state;
    script.state.cache.remove(&postern_dns::cache::CacheKey::new(
        postern_dns::route::RouteId(2),
        0,
        1,
        &postern_zones::name::NameBuf::parse("www.corp.test").unwrap(),
    ));
    script.ask(HUB, "alias.contoso.test");
    script.say_next(ResponseCode::ServFail, &[]);
    assert_eq!(script.sent().last().unwrap(), "192.0.2.2 www.corp.test. A");
}

#[test]
fn s6_a_known_alias_into_a_private_zone_outlives_the_upstream() {
    let mut script = Script::new(SIMPLE);
    script.host(&[("ws.fhir", "10.20.1.9")]);
    script.ask(HUB, "odd.contoso.test"); // a name the zone table knows nothing of
    script.say_next(ResponseCode::NoError, &["odd.contoso.test. 30 CNAME ws.fhir.privatelink.azurehealthcareapis.com."]);
    script.replies();
    script.pass(40 * 86_400_000);
    down(&mut script);
    let want = "NoError/3; odd.contoso.test. 30 CNAME ws.fhir.privatelink.azurehealthcareapis.com.; \
                ws.fhir.privatelink.azurehealthcareapis.com. 10 A 10.20.1.9";
    script.ask(HUB, "odd.contoso.test");
    assert_eq!(script.reply(), want, "at once, because the upstream is known to be down");
    script.pass(5000);
    script.ask(HUB, "odd.contoso.test");
    assert_eq!(script.reply(), want, "and after the refresh has failed");
}

#[test]
fn s6_a_name_of_the_zone_table_is_answered_cold() {
    let want = "NoError/3; ws-fhir.fhir.azurehealthcareapis.com. 30 CNAME ws-fhir.fhir.privatelink.azurehealthcareapis.com.; \
                ws-fhir.fhir.privatelink.azurehealthcareapis.com. 10 A 10.20.1.5";
    let mut script = Script::new(SIMPLE);
    script.host(&[("ws-fhir.fhir", "10.20.1.5")]);
    script.ask(HUB, FHIR);
    script.pass(1790);
    assert!(script.replies().is_empty(), "the upstream has its chance");
    script.pass(20);
    assert_eq!(script.reply(), want);

    let mut script = Script::new(SIMPLE);
    script.host(&[("ws-fhir.fhir", "10.20.1.5")]);
    script.ask(HUB, FHIR);
    script.say_next(ResponseCode::ServFail, &[]);
    assert_eq!(script.reply(), want, "no waiting where the upstream fails at once");

    let mut script = Script::new(SIMPLE);
    script.host(&[("ws-fhir.fhir", "10.20.1.5")]);
    down(&mut script);
    script.ask(HUB, FHIR);
    assert_eq!(script.reply(), want, "nor where it is known to be down");
    assert!(!script.sent().is_empty(), "but it is asked, in case it is back");
}

#[test]
fn nothing_is_derived_while_the_upstream_answers() {
    let mut script = Script::new(SIMPLE);
    script.host(&[("ws-fhir.fhir", "10.20.1.5")]);
    script.ask(HUB, FHIR);
    script.say_next(ResponseCode::NXDomain, &[]);
    assert_eq!(script.reply(), "NXDomain");
}

#[test]
fn questions_end_at_their_deadline_whatever_upstreams_do() {
    let mut script = Script::new(TWO_UPSTREAMS);
    script.ask(HUB, "www.contoso.test");
    script.pass(3000);
    script.ask(HUB, "www.contoso.test"); // joins late
    script.pass(1950);
    assert!(script.replies().is_empty());
    script.pass(70);
    assert_eq!(script.replies().len(), 2, "the exchange ended, and with it both");
    assert_eq!((script.core.counts().pending, script.core.counts().exchanges), (0, 0));
    assert_eq!(script.status(ONE).in_flight + script.status(TWO).in_flight, 0);
}

#[test]
fn a_dead_upstream_is_left_aside_and_found_to_be_back_within_two_seconds() {
    let mut script = Script::new(TWO_UPSTREAMS);
    for name in 0..3 {
        script.ask(HUB, &format!("a{name}.contoso.test"));
    }
    for _ in 0..60 {
        script.pass(100);
        let sent = script.take_sent().into_iter().chain(std::mem::take(&mut script.out.probes));
        for sent in sent.filter(|sent| sent.address == TWO.parse().unwrap()).collect::<Vec<_>>() {
            script.say(&sent, ResponseCode::NoError, &[]);
        }
    }
    assert_eq!([ONE, TWO].map(|upstream| script.status(upstream).condition), [UpstreamCondition::Down, UpstreamCondition::Up]);
    // Half a minute of questions every 100 ms: none of them waits for the dead one.
    for name in 0..300 {
        script.ask(HUB, &format!("b{name}.contoso.test"));
        for sent in script.take_sent() {
            assert_eq!(sent.address, TWO.parse().unwrap());
            script.say(&sent, ResponseCode::NoError, &[]);
        }
        script.pass(100);
    }
    let probes = script.out.probes.iter().filter(|sent| sent.address == ONE.parse().unwrap()).count();
    assert!((13..=17).contains(&probes), "{probes} probes in 30 s");
    // It is well again: the next probe shows it, whatever it says to it.
    script.out.probes.clear();
    script.pass_with_probes_answered(2200, ResponseCode::Refused);
    script.ask(HUB, "d.contoso.test");
    assert_eq!(script.sent(), ["192.0.2.1 d.contoso.test. A"]);
}

#[test]
fn with_all_upstreams_down_questions_are_still_asked_and_the_first_answer_ends_the_outage() {
    let mut script = Script::new(SIMPLE);
    down(&mut script);
    script.ask(HUB, "www.contoso.test");
    let sent = script.take_sent();
    assert_eq!(sent[0].to_string(), "192.0.2.1 www.contoso.test. A");
    script.say(&sent[0], ResponseCode::NoError, WWW);
    assert_eq!(script.reply(), WWW_REPLY);
    assert_eq!(script.status(ONE).condition, UpstreamCondition::Up);
}

#[test]
fn a_down_upstream_that_nobody_wants_is_not_probed_for_ever() {
    let mut script = Script::new(SIMPLE);
    down(&mut script);
    script.pass(70_000);
    script.out.probes.clear();
    script.pass(600_000);
    assert!(script.out.probes.is_empty());
    assert_eq!(script.core.next_deadline(), None);
    script.ask(HUB, "www.contoso.test");
    script.pass(7000);
    assert!(script.sent().len() >= 2 && script.out.probes.len() >= 3, "asked, tried again, and probed from now on");
}
