//! A name whose answer does not come: its alias is asked for before the question is given up. Extended errors of upstreams.

use crate::*;

const NAME: &str = "app.contoso.test";
const ALIAS: &str = "app.contoso.test. 60 CNAME ws.fhir.privatelink.azurehealthcareapis.com.";
const HOME: &str = "app.contoso.test. 60 CNAME ws.fhir.privatelink.azurehealthcareapis.com.; \
                    ws.fhir.privatelink.azurehealthcareapis.com. 10 A 10.20.1.9";

fn hosting() -> Script {
    let mut script = Script::new(SIMPLE);
    script.host(&[("ws.fhir", "10.20.1.9")]);
    script
}

#[test]
fn an_alias_whose_public_end_fails_is_followed_home() {
    for ttl in [60, 0] {
        let mut script = hosting();
        script.ask(HUB, NAME);
        script.say_next(ResponseCode::ServFail, &[]);
        assert_eq!((script.out.sent[0].to_string().as_str(), script.replies().len()), ("192.0.2.1 app.contoso.test. CNAME", 0));
        script.say_next(ResponseCode::NoError, &[&ALIAS.replace("60", &ttl.to_string())]);
        assert_eq!(script.reply(), format!("NoError; {}", HOME.replace("60", &ttl.to_string())));
        // The next question costs nothing, even if the alias had to be forgotten at once: the upstream failed a moment ago.
        script.ask(HUB, NAME);
        let again = script.reply();
        assert!(again.ends_with("A 10.20.1.9") && script.sent().is_empty(), "{again}");
    }
}

#[test]
fn an_alias_is_asked_for_once_the_answer_is_late() {
    let mut script = hosting();
    script.ask(HUB, NAME);
    script.pass(1790);
    script.take_sent();
    script.pass(20);
    let sent = script.take_sent();
    assert_eq!(sent.iter().map(Sent::to_string).collect::<Vec<_>>(), ["192.0.2.1 app.contoso.test. CNAME"]);
    script.say(&sent[0], ResponseCode::NoError, &[ALIAS]);
    assert_eq!(script.reply(), format!("NoError; {HOME}"));

    // Without an alias the question goes on waiting for its answer.
    let mut script = hosting();
    script.ask(HUB, NAME);
    let first = script.take_sent();
    script.pass(1810);
    let sent = script.take_sent();
    let alias = sent.iter().find(|sent| sent.to_string().ends_with("CNAME")).unwrap();
    script.say(alias, ResponseCode::NoError, &[]);
    assert!(script.replies().is_empty());
    script.say(&first[0], ResponseCode::NoError, &["app.contoso.test. 60 A 198.51.100.1"]);
    assert_eq!(script.reply(), "NoError; app.contoso.test. 60 A 198.51.100.1");
    assert_eq!(script.core.counts().pending, 0);
}

#[test]
fn an_answer_that_comes_before_the_alias_is_given_at_once() {
    let mut script = hosting();
    script.ask(HUB, NAME);
    let first = script.take_sent();
    script.pass(1810);
    assert!(script.take_sent().iter().any(|sent| sent.to_string().ends_with("CNAME")));
    script.say(&first[0], ResponseCode::NoError, &["app.contoso.test. 60 A 198.51.100.1"]);
    assert_eq!(script.reply(), "NoError; app.contoso.test. 60 A 198.51.100.1");
    assert_eq!(script.core.counts().pending, 0);
}

#[test]
fn a_question_without_an_alias_fails_as_it_did() {
    let mut script = hosting();
    script.ask(HUB, NAME);
    script.say_next(ResponseCode::ServFail, &[]);
    script.say_next(ResponseCode::NoError, &[]); // no CNAME: that says nothing about A
    assert_eq!(script.reply(), "ServFail/22");
    script.pass(6000);
    script.ask(HUB, NAME);
    script.say_next(ResponseCode::ServFail, &[]);
    assert_eq!((script.reply().as_str(), script.sent().len()), ("ServFail/22", 0), "that there is no CNAME is known");
    // The question for the alias may fail as well, or get no answer.
    for silent in [false, true] {
        let mut script = hosting();
        script.ask(HUB, NAME);
        script.say_next(ResponseCode::ServFail, &[]);
        match silent {
            true => script.pass(5100),
            false => script.say_next(ResponseCode::Refused, &[]),
        }
        assert_eq!(script.reply(), "ServFail/22", "{silent}");
    }
    // Nobody waits for an alias that could lead nowhere else, and questions for it are asked once anyway.
    let mut script = Script::new(SIMPLE);
    script.ask(HUB, NAME);
    script.say_next(ResponseCode::ServFail, &[]);
    assert_eq!((script.reply().as_str(), script.sent().len()), ("ServFail/22", 0));
    let mut script = hosting();
    script.ask_as(HUB, NAME, RecordType::CNAME, |_| {});
    script.say_next(ResponseCode::ServFail, &[]);
    assert_eq!((script.reply().as_str(), script.sent().len()), ("ServFail/22", 0));
}

#[test]
fn s6_an_alias_with_a_ttl_of_0_leads_home_in_an_outage() {
    let mut script = hosting();
    script.ask(HUB, NAME);
    script.say_next(ResponseCode::NoError, &["app.contoso.test. 0 CNAME ws.fhir.privatelink.azurehealthcareapis.com."]);
    script.replies();
    script.ask(HUB, NAME);
    assert_eq!(script.sent(), ["192.0.2.1 app.contoso.test. A"], "it is asked for each time");
    script.pass(1810);
    assert!(script.reply().starts_with("NoError/3; app.contoso.test. 0 CNAME"));
}

/// SERVFAIL or another RCODE with an extended error.
fn said_with(script: &mut Script, rcode: ResponseCode, code: u16, records: &[&str]) {
    let sent = script.out.sent.remove(0);
    let mut octets = answer(&sent, rcode, records).to_vec().unwrap();
    let additional = u16::from_be_bytes([octets[10], octets[11]]) + 1;
    octets[10..12].copy_from_slice(&additional.to_be_bytes());
    octets.extend_from_slice(&[0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 9, 0, 15, 0, 5]);
    octets.extend_from_slice(&code.to_be_bytes());
    octets.extend_from_slice(b"why");
    script.said(&sent, Ok(&octets));
}

#[test]
fn the_extended_error_of_an_upstream_is_passed_on() {
    let mut script = Script::new(SIMPLE);
    script.ask(HUB, NAME);
    said_with(&mut script, ResponseCode::ServFail, 6, &[]);
    assert_eq!(script.reply(), "ServFail/6");
    script.ask(HUB, NAME);
    assert_eq!((script.reply().as_str(), script.sent().len()), ("ServFail/13/6", 0), "from the cache as well");

    script.ask(HUB, "blocked.contoso.test");
    said_with(&mut script, ResponseCode::NXDomain, 15, &[]);
    assert_eq!(script.reply(), "NXDomain/15");
    script.ask(HUB, "blocked.contoso.test");
    assert_eq!(script.reply(), "NXDomain/15");
    script.ask(HUB, "other.contoso.test");
    said_with(&mut script, ResponseCode::ServFail, 0, &[]);
    assert_eq!(script.reply(), "ServFail/22", "\"other\" says less than we know");

    // The first upstream's reason counts, whatever the second one does; and it is not that of a spliced answer.
    let mut script = Script::new(&[(".", &[ONE, TWO], UpstreamOrder::Order)]);
    script.ask(HUB, NAME);
    said_with(&mut script, ResponseCode::ServFail, 7, &[]);
    script.say_next(ResponseCode::ServFail, &[]);
    assert_eq!(script.reply(), "ServFail/7");
    let mut script = hosting();
    script.ask(HUB, NAME);
    said_with(&mut script, ResponseCode::NoError, 3, &[ALIAS]);
    assert_eq!(script.reply(), format!("NoError; {HOME}"));
}
