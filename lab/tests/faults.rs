//! Each fault as a raw client socket observes it.

mod client;

use std::collections::HashSet;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use client::{PATIENCE, SILENCE, answers, ask, ask_raw, ask_tcp, eventually, question, read_frame, receive, socket};
use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::RecordType::{A, AAAA, CNAME};
use postern_lab::{AnswerDelay, AnswerForgery, EdnsFault, LabFault, LabScenario, LabServer, QuestionTransport, TcpFault};

const NAME: &str = "contosows-fhir1.fhir.azurehealthcareapis.com.";

fn lab_with(fault: LabFault) -> LabServer {
    LabServer::start(LabScenario::azure().fault(fault), "127.0.0.1:0".parse().unwrap()).unwrap()
}

#[test]
fn silence_reaches_only_what_it_names() {
    let lab = lab_with(LabFault::suffix("fhir.azurehealthcareapis.com").of_type(A).over(QuestionTransport::Udp).silent());
    assert_eq!(ask_raw(&lab, NAME, A, SILENCE), None);
    assert!(!ask(&lab, NAME, AAAA).answers.is_empty(), "another type");
    assert!(!ask(&lab, "www.contoso.test.", A).answers.is_empty(), "another name");
    assert!(!ask_tcp(&lab, NAME, A).unwrap().answers.is_empty(), "another transport");
    assert_eq!(lab.stop().lost, 1);
}

#[test]
fn a_fault_of_a_name_spares_the_names_below_it() {
    let lab = lab_with(LabFault::name("load.contoso.test").rcode(ResponseCode::Refused));
    assert_eq!(ask(&lab, "LOAD.contoso.test.", A).metadata.response_code, ResponseCode::Refused);
    assert_eq!(ask(&lab, "a.load.contoso.test.", A).metadata.response_code, ResponseCode::NoError);
}

#[test]
fn rcodes_come_bare_and_nxdomain_with_soa() {
    for (rcode, authorities) in [
        (ResponseCode::ServFail, 0),
        (ResponseCode::Refused, 0),
        (ResponseCode::FormErr, 0),
        (ResponseCode::NotImp, 0),
        (ResponseCode::NXDomain, 1),
    ] {
        let lab = lab_with(LabFault::everything().rcode(rcode));
        let message = ask(&lab, NAME, A);
        assert_eq!((message.metadata.response_code, message.answers.len(), message.authorities.len()), (rcode, 0, authorities));
        assert!(message.edns.is_some());
    }
}

#[test]
fn the_first_hop_alone_is_a_bare_cname() {
    let lab = lab_with(LabFault::everything().first_hop());
    assert_eq!(answers(&ask(&lab, NAME, A)), [format!("{NAME} CNAME contosows-fhir1.fhir.privatelink.azurehealthcareapis.com.")]);
    assert_eq!(answers(&ask(&lab, "www.contoso.test.", A)).len(), 1, "a name without CNAME is answered");
}

#[test]
fn truncation_is_empty_over_udp_and_whole_over_tcp() {
    let lab = lab_with(LabFault::everything().truncate());
    let message = ask(&lab, NAME, A);
    assert!(message.metadata.truncation && message.answers.is_empty() && message.edns.is_some());
    assert_eq!(message.queries[0].name().to_ascii(), NAME);
    let message = ask_tcp(&lab, NAME, A).unwrap();
    assert!(!message.metadata.truncation);
    assert_eq!(message.answers.len(), 5);
    let seen = lab.counters().of(NAME, A);
    assert_eq!((seen.udp, seen.tcp), (1, 1));
}

#[test]
fn forged_answers_are_wrong_in_what_they_are_meant_to_be_wrong_in() {
    let honest = ask_raw(&lab_with(LabFault::everything().times(0)), NAME, A, PATIENCE).unwrap();
    for forgery in [AnswerForgery::Id, AnswerForgery::Question, AnswerForgery::Case, AnswerForgery::Garbage, AnswerForgery::Cut] {
        let lab = lab_with(LabFault::everything().forge(forgery));
        let bytes = ask_raw(&lab, NAME, A, PATIENCE).unwrap();
        assert_ne!(bytes, honest, "{forgery:?}");
        assert_eq!(bytes[..2] == honest[..2], forgery != AnswerForgery::Id, "{forgery:?}: only `id` changes the ID");
        match forgery {
            AnswerForgery::Id => assert_eq!(bytes[2..], honest[2..]),
            AnswerForgery::Question => {
                let asked = Message::from_vec(&bytes).unwrap().queries[0].name().to_ascii();
                assert_eq!((asked.len(), asked == NAME), (NAME.len(), false));
            }
            AnswerForgery::Case => {
                let asked = Message::from_vec(&bytes).unwrap().queries[0].name().to_ascii();
                assert_eq!(asked, NAME.to_ascii_uppercase());
            }
            AnswerForgery::Cut => assert!(Message::from_vec(&bytes).is_err() && honest.starts_with(&bytes)),
            AnswerForgery::Garbage | AnswerForgery::Source => {}
        }
    }
}

#[test]
fn a_wrong_source_is_another_port_and_the_honest_answer_may_follow() {
    let lab = lab_with(LabFault::everything().forge(AnswerForgery::Source).honest_too());
    let socket = socket();
    socket.send_to(&question(NAME, A, 1, true), lab.address()).unwrap();
    let mut sources = HashSet::new();
    for _ in 0..2 {
        let (bytes, from) = receive(&socket, PATIENCE).unwrap();
        assert_eq!(Message::from_vec(&bytes).unwrap().answers.len(), 5);
        sources.insert(from);
    }
    assert!(sources.contains(&lab.address()) && sources.len() == 2);
}

#[test]
fn the_honest_answer_follows_a_guessed_id() {
    let lab = lab_with(LabFault::everything().forge(AnswerForgery::Id).honest_too());
    let socket = socket();
    socket.send_to(&question(NAME, A, 0x1234, true), lab.address()).unwrap();
    let (first, _) = receive(&socket, PATIENCE).unwrap();
    let (second, _) = receive(&socket, PATIENCE).unwrap();
    assert_ne!(first[..2], [0x12, 0x34]);
    assert_eq!(second[..2], [0x12, 0x34]);
    assert_eq!(first[2..], second[2..]);
}

#[test]
fn duplicates_are_the_same_message_twice() {
    let lab = lab_with(LabFault::everything().duplicate(1.0));
    let socket = socket();
    socket.send_to(&question(NAME, A, 7, true), lab.address()).unwrap();
    assert_eq!(receive(&socket, PATIENCE), receive(&socket, PATIENCE));
    assert_eq!(receive(&socket, SILENCE), None);
}

#[test]
fn injected_records_stand_behind_the_true_ones() {
    let lab = lab_with(LabFault::everything().inject(&["contosows-fhir2.fhir.privatelink.azurehealthcareapis.com 600 A 192.0.2.66"]));
    let answers = answers(&ask(&lab, "www.contoso.test.", A));
    assert_eq!(answers, ["www.contoso.test. A 203.0.113.80", "contosows-fhir2.fhir.privatelink.azurehealthcareapis.com. A 192.0.2.66"]);
}

#[test]
fn servers_from_before_edns_refuse_or_overlook_it() {
    for (edns, rcode, opt) in [
        (EdnsFault::Formerr, ResponseCode::FormErr, false),
        (EdnsFault::Ignore, ResponseCode::NoError, false),
        (EdnsFault::Badvers, ResponseCode::BADVERS, true),
    ] {
        let lab = lab_with(LabFault::everything().edns(edns));
        let message = ask(&lab, NAME, A);
        // The code is compared by number, because 16 has two names.
        let code = u16::from(message.metadata.response_code);
        assert_eq!((code, message.edns.is_some()), (u16::from(rcode), opt), "{edns:?}");
        let socket = socket();
        socket.send_to(&question("www.contoso.test.", A, 7, false), lab.address()).unwrap();
        let message = Message::from_vec(&receive(&socket, PATIENCE).unwrap().0).unwrap();
        assert_eq!((message.metadata.response_code, message.answers.len()), (ResponseCode::NoError, 1), "without OPT all is well");
    }
    assert_eq!(ask_raw(&lab_with(LabFault::everything().edns(EdnsFault::Drop)), NAME, A, SILENCE), None);
}

#[test]
fn delayed_answers_come_late_and_overtake_one_another() {
    let lab = lab_with(LabFault::name("late.load.contoso.test").delay_ms(3000));
    let socket = socket();
    let start = Instant::now();
    for (id, name) in [(1, "late.load.contoso.test."), (2, "soon.load.contoso.test.")] {
        socket.send_to(&question(name, A, id, true), lab.address()).unwrap();
    }
    let ids: Vec<u8> = (0..2).map(|_| receive(&socket, PATIENCE).unwrap().0[1]).collect();
    assert_eq!(ids, [2, 1]);
    assert!(start.elapsed() >= Duration::from_millis(3000));
    assert_eq!(lab.counters().max_outstanding, 1);
    eventually("nothing held back", || lab.counters().outstanding == 0);
}

#[test]
fn delayed_answers_overtake_one_another_on_a_connection_too() {
    let lab = lab_with(LabFault::name("late.load.contoso.test").delay_ms(3000));
    let mut stream = TcpStream::connect(lab.address()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    for (id, name) in [(1, "late.load.contoso.test."), (2, "soon.load.contoso.test.")] {
        let question = question(name, A, id, true);
        stream.write_all(&(question.len() as u16).to_be_bytes()).unwrap();
        stream.write_all(&question).unwrap();
    }
    let ids: Vec<u16> = (0..2).map(|_| read_frame(&mut stream).unwrap().metadata.id).collect();
    assert_eq!(ids, [2, 1]);
}

#[test]
fn delays_follow_their_distribution() {
    let ms = Duration::from_millis;
    let second = Duration::from_secs(1);
    for (delay, low, high) in [
        (AnswerDelay::Fixed(ms(30)), ms(30), ms(30)),
        (AnswerDelay::Uniform(ms(10), ms(50)), ms(25), ms(35)),
        (AnswerDelay::Normal(ms(40), ms(5)), ms(38), ms(42)),
        // The median is 10 ms times the cube root of 2.
        (AnswerDelay::Pareto(ms(10), 3.0), ms(11), ms(16)),
    ] {
        let mut thrown: Vec<Duration> = (0..2_000).map(|nth| LabFault::everything().delay(delay).throw(9, NAME, A, nth).delay).collect();
        thrown.sort();
        let median = thrown[thrown.len() / 2];
        assert!((low..=high).contains(&median), "{delay:?}: median {median:?}");
        assert!(thrown.iter().all(|delay| *delay < second), "{delay:?}");
    }
    let wild = LabFault::everything().delay(AnswerDelay::Pareto(second, 0.1));
    assert!((0..2_000).all(|nth| wild.throw(9, NAME, A, nth).delay <= AnswerDelay::MAX));
}

#[test]
fn connections_are_reset_closed_cut_or_slow() {
    let error = |fault| ask_tcp(&lab_with(LabFault::everything().tcp(fault)), NAME, A).unwrap_err().kind();
    assert_eq!(error(TcpFault::Reset), ErrorKind::ConnectionReset);
    assert_eq!(error(TcpFault::Close), ErrorKind::UnexpectedEof);

    let lab = lab_with(LabFault::everything().tcp(TcpFault::Half));
    let mut stream = TcpStream::connect(lab.address()).unwrap();
    let question = question(NAME, A, 7, true);
    stream.write_all(&(question.len() as u16).to_be_bytes()).unwrap();
    stream.write_all(&question).unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    let promised = usize::from(u16::from_be_bytes([bytes[0], bytes[1]]));
    assert!((3..promised + 2).contains(&bytes.len()), "{} of {promised}", bytes.len());

    let lab = lab_with(LabFault::everything().tcp(TcpFault::Slow));
    let start = Instant::now();
    assert_eq!(ask_tcp(&lab, "www.contoso.test.", A).unwrap().answers.len(), 1);
    assert!(start.elapsed() >= Duration::from_millis(500));
    assert_eq!(ask(&lab, "www.contoso.test.", A).answers.len(), 1, "datagrams are spared");
}

#[test]
fn a_fault_can_end_after_some_times() {
    let lab = lab_with(LabFault::everything().rcode(ResponseCode::ServFail).times(2));
    let rcodes = |name, kind| ask(&lab, name, kind).metadata.response_code;
    let (bad, good) = (ResponseCode::ServFail, ResponseCode::NoError);
    assert_eq!([rcodes(NAME, A), rcodes(NAME, AAAA), rcodes(NAME, A), rcodes(NAME, A)], [bad, bad, bad, good]);
    lab.clear();
    assert_eq!(ask(&lab, NAME, A).metadata.response_code, bad, "a lab that forgot begins again");
}

#[test]
fn a_timetable_turns_a_fault_on_and_off() {
    let hour = Duration::from_secs(3600);
    let zero = Duration::ZERO;
    let down = LabFault::everything().rcode(ResponseCode::ServFail);
    let code = |fault: &LabFault| ask(&lab_with(fault.clone()), NAME, A).metadata.response_code;
    assert_eq!(code(&down.clone().during(zero..hour)), ResponseCode::ServFail);
    assert_eq!(code(&down.clone().during(hour..2 * hour)), ResponseCode::NoError);
    assert_eq!(code(&down.clone().during(hour..2 * hour).during(zero..hour)), ResponseCode::ServFail);

    // With a period, inside and outside of the window must alternate.
    let ms = Duration::from_millis;
    let lab = lab_with(down.during(ms(100)..ms(200)).every(ms(200)));
    for _ in 0..2 {
        eventually("down", || ask(&lab, NAME, A).metadata.response_code == ResponseCode::ServFail);
        eventually("up again", || ask(&lab, NAME, A).metadata.response_code == ResponseCode::NoError);
    }
}

#[test]
fn the_same_seed_gives_the_same_sequence() {
    // The fate of a question must not depend on other questions in between.
    let fault = || LabFault::name(NAME).rcode(ResponseCode::ServFail).chance(0.5);
    let sequence = |seed, noise: bool| -> Vec<ResponseCode> {
        let lab = LabServer::start(LabScenario::azure().seed(seed).fault(fault()), "127.0.0.1:0".parse().unwrap()).unwrap();
        (0..40)
            .map(|nth| {
                if noise && nth % 3 == 0 {
                    ask(&lab, "www.contoso.test.", A);
                    ask(&lab, NAME, CNAME);
                }
                ask(&lab, NAME, A).metadata.response_code
            })
            .collect()
    };
    let first = sequence(7, false);
    assert!(first.contains(&ResponseCode::ServFail) && first.contains(&ResponseCode::NoError));
    assert_eq!(first, sequence(7, false));
    assert_eq!(first, sequence(7, true));
    assert_ne!(first, sequence(8, false));
}

#[test]
fn loss_loses_about_its_share() {
    let lost = (0..1_000).filter(|nth| LabFault::everything().loss(0.3).throw(3, NAME, A, *nth).silent).count();
    assert!((230..370).contains(&lost), "{lost} of 1000");
}

#[test]
fn of_two_faults_both_apply_and_the_later_wins() {
    let faults = vec![
        LabFault::suffix("test").rcode(ResponseCode::ServFail).edns(EdnsFault::Ignore),
        LabFault::suffix("contoso.test").rcode(ResponseCode::Refused),
    ];
    let lab = lab_with(LabFault::everything().times(0));
    lab.set(faults);
    let message = ask(&lab, "www.contoso.test.", A);
    assert_eq!((message.metadata.response_code, message.edns.is_none()), (ResponseCode::Refused, true));
    assert_eq!(ask(&lab, "www.fabrikam.test.", A).metadata.response_code, ResponseCode::ServFail);
}

#[test]
fn faults_and_records_change_while_it_runs() {
    let lab = lab_with(LabFault::everything().silent());
    assert_eq!(ask_raw(&lab, NAME, A, SILENCE), None);
    lab.set(Vec::new());
    assert_eq!(ask(&lab, NAME, A).answers.len(), 5);
    lab.replace(LabScenario::empty().record("only.contoso.test 5 A 192.0.2.1"));
    assert_eq!(ask(&lab, NAME, A).metadata.response_code, ResponseCode::NXDomain);
    assert_eq!(answers(&ask(&lab, "only.contoso.test.", A)), ["only.contoso.test. A 192.0.2.1"]);
}

#[test]
fn arrivals_say_how_a_question_came() {
    let lab = lab_with(LabFault::everything().times(0));
    ask(&lab, "wWw.contoso.test.", A);
    ask_tcp(&lab, "www.contoso.test.", AAAA).unwrap();
    let arrivals = lab.arrivals();
    let [first, second] = arrivals.as_slice() else { panic!("two questions") };
    assert_eq!((first.name.as_str(), first.kind, first.transport, first.id), ("wWw.contoso.test.", A, QuestionTransport::Udp, 0x4242));
    assert!(first.recursion_desired && !first.checking_disabled && !first.dnssec_ok && first.udp_size == Some(1232));
    assert_eq!((second.kind, second.transport), (AAAA, QuestionTransport::Tcp));
    let counters = lab.counters();
    assert_eq!((counters.udp, counters.tcp, counters.mixed_case, counters.ids, counters.source_ports), (1, 1, 1, 1, 1));
    assert_eq!(counters.asked("WWW.contoso.test", A), 1);
    assert_eq!(counters.asked_any("www.contoso.test"), 2);
}

#[test]
fn messages_that_are_no_questions_get_formerr_or_nothing() {
    let lab = lab_with(LabFault::everything().times(0));
    let socket = socket();
    let mut answer = question("www.contoso.test.", A, 7, false);
    answer[2] |= 0x80;
    for bytes in [&b"\x12\x34\x01"[..], &[], &answer] {
        socket.send_to(bytes, lab.address()).unwrap();
    }
    assert_eq!(receive(&socket, SILENCE), None);
    let whole = question("www.contoso.test.", A, 7, false);
    socket.send_to(&whole[..whole.len() - 3], lab.address()).unwrap();
    let (bytes, _) = receive(&socket, PATIENCE).unwrap();
    assert_eq!((bytes.len(), bytes[3] & 15, &bytes[..2]), (12, 1, &whole[..2]));
    assert_eq!(lab.counters().malformed, 4);
}

#[test]
fn twenty_thousand_questions_wait_and_all_are_answered() {
    let lab = lab_with(LabFault::everything().delay(AnswerDelay::Uniform(Duration::from_secs(2), Duration::from_secs(3))));
    // The number is chosen so that every answer is held: no client reads before all questions are
    // sent, however long that takes.
    let sockets: Vec<_> = (0..200).map(|_| socket()).collect();
    let start = Instant::now();
    for nth in 0..20_000_u32 {
        let name = format!("n{nth}.load.contoso.test.");
        sockets[nth as usize % sockets.len()].send_to(&question(&name, A, nth as u16, true), lab.address()).unwrap();
        if nth % 100 == 99 {
            // The sender keeps pace with the lab, so that no socket buffer overflows on a slow
            // machine.
            eventually("the lab has read them", || lab.counters().udp > u64::from(nth) - 50);
        }
    }
    eventually("the lab has read all", || lab.counters().udp == 20_000);
    let asked_in = start.elapsed();
    for socket in &sockets {
        (0..100).for_each(|nth| drop(receive(socket, PATIENCE).unwrap_or_else(|| panic!("{nth} of 100 are answered"))));
    }
    let counters = lab.stop();
    assert_eq!((counters.udp, counters.overflow), (20_000, 0));
    if asked_in < Duration::from_secs(2) {
        assert_eq!(counters.max_outstanding, 20_000);
    }
}

#[test]
fn a_stopped_lab_is_gone() {
    // An address on which no other test takes the port meanwhile.
    let lab = LabServer::start(LabScenario::azure(), "127.0.53.2:0".parse().unwrap()).unwrap();
    let address = lab.address();
    lab.stop();
    assert!(TcpStream::connect(address).is_err());
    LabServer::start(LabScenario::empty(), address).unwrap();
}
