//! Marks that a forged answer must match: port, ID, question, letter case, and cookie.

use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;

use crate::*;

/// A question as it arrived: source port, ID, and name.
type Arrival = (u16, [u8; 2], Vec<u8>);

/// The name of a question as it was sent.
fn written(question: &[u8]) -> Vec<u8> {
    question[12..end_of_question(question) - 4].to_vec()
}

/// Adds an OPT record with a COOKIE option and the upper bits of an RCODE.
fn with_cookie(mut message: Vec<u8>, rcode: u16, cookie: &[u8]) -> Vec<u8> {
    message[3] |= (rcode & 0xf) as u8;
    message[11] = 1;
    message.extend_from_slice(&[0, 0, 41, 4, 0xd0, (rcode >> 4) as u8, 0, 0, 0, 0, cookie.len() as u8 + 4, 0, 10, 0, cookie.len() as u8]);
    message.extend_from_slice(cookie);
    message
}

/// The COOKIE option at the end of a question.
fn cookie_of(question: &[u8]) -> Option<Vec<u8>> {
    let options = &question[end_of_question(question) + 11..];
    options.strip_prefix(&[0, 10, 0]).map(|option| option[1..].to_vec())
}

#[test]
fn each_question_leaves_from_a_port_of_its_own_with_an_id_and_a_letter_case_of_its_own() {
    let seen = Arc::new(Mutex::new(Vec::<Arrival>::new()));
    let upstream = scripted({
        let seen = seen.clone();
        move |socket, question, from| {
            seen.lock().unwrap().push((from.port(), [question[0], question[1]], written(question)));
            socket.send_to(&right_answer(question), from).unwrap();
        }
    });
    let server = Server::start(&[(upstream, UpstreamTransport::Udp)], LONG);
    let mut client = Client::new(1);
    for id in 0..1000 {
        server.submit(&client, id, &format!("p{id}.load.contoso.test"));
        let answer = client.answer();
        assert!(is_right(&answer));
        assert_eq!(answer.answers[0].name.to_ascii(), format!("p{id}.load.contoso.test."), "what the client sees has no part in it");
    }
    let seen = seen.lock().unwrap();
    let count = |of: &dyn Fn(&Arrival) -> Vec<u8>| seen.iter().map(of).collect::<std::collections::HashSet<_>>().len();
    let ports = count(&|(port, _, _)| port.to_be_bytes().to_vec());
    assert!(ports > 950, "{ports} ports of 1,000"); // 992 are expected of 64,512
    assert!(count(&|(_, id, _)| id.to_vec()) > 950);
    let cases = count(&|(_, _, name)| name[name.len() - 14..].to_vec()); // contoso.test: 11 letters, 2,048 cases
    assert!(cases > 600, "{cases} letter cases");
    assert!(seen.iter().any(|(port, ..)| *port < 10_000) && seen.iter().any(|(port, ..)| *port > 61_000), "all of the range");
}

/// Sockets of this process that are connected to a port of this machine. The table is not read at one moment: a socket that takes the place of
/// another may be in it together with it.
fn sockets_to(port: u16) -> usize {
    let table = std::fs::read_to_string("/proc/self/net/udp").unwrap();
    let remote = format!("0100007F:{port:04X}");
    table.lines().filter(|line| line.split_whitespace().nth(2) == Some(&remote)).count()
}

/// Names that no bound on sockets can tell apart are asked, many at once.
#[test]
fn many_questions_at_once_hold_no_more_sockets_than_the_bound() {
    let held = Arc::new(AtomicUsize::new(0));
    let upstream = scripted({
        let held = held.clone();
        move |_, _, _| {
            held.fetch_add(1, Ordering::Relaxed);
        }
    });
    let server = Server::start(&[(upstream, UpstreamTransport::Udp)], LONG);
    let mut client = Client::new(1000);
    (0..1000).for_each(|id| server.submit(&client, id, &format!("h{id}.load.contoso.test")));
    let mut most = 0;
    poll(|| {
        most = most.max((0..3).map(|_| sockets_to(upstream.port())).min().unwrap());
        (held.load(Ordering::Relaxed) >= 1000).then_some(())
    });
    assert!(most > 1 && most <= POOL, "{most} sockets");
    server.resolver.stop(Duration::ZERO);
    (0..1000).for_each(|_| drop(client.answer()));
}

#[test]
fn an_answer_in_another_letter_case_is_asked_for_over_tcp_until_three_names_agree() {
    let lab = lab(vec![LabFault::everything().forge(AnswerForgery::Case)]);
    let server = Server::start(&[udp(&lab)], LONG);
    for id in 0..8 {
        assert!(is_right(&server.ask(&format!("c{id}.load.contoso.test"))), "{id}");
    }
    let over_tcp = (0..8).filter(|id| lab.counters().of(&format!("c{id}.load.contoso.test"), RecordType::A).tcp > 0).count();
    assert!((1..=3).contains(&over_tcp), "{over_tcp}");
    assert_eq!(server.status(lab.address()).condition, UpstreamCondition::Up);
}

#[test]
fn a_server_cookie_is_returned_and_a_wrong_client_cookie_is_ignored() {
    const OF_SERVER: &[u8] = b"server-cookie-16";
    let rounds = Arc::new(Mutex::new(Vec::new()));
    let upstream = scripted({
        let rounds = rounds.clone();
        move |socket, question, from| {
            let cookie = cookie_of(question).expect("a cookie in each question");
            rounds.lock().unwrap().push(cookie.len());
            let right = right_answer(question);
            let forged = with_cookie(right.clone(), 0, b"notmineserver-cookie-16");
            socket.send_to(&forged, from).unwrap();
            let both = [&cookie[..8], OF_SERVER].concat();
            if cookie[8..] == *OF_SERVER {
                socket.send_to(&with_cookie(right, 0, &both), from).unwrap();
            } else {
                let mut bad = right[..end_of_question(&right)].to_vec();
                bad[6..12].fill(0);
                socket.send_to(&with_cookie(bad, 23, &both), from).unwrap();
            }
        }
    });
    let server = Server::start(&[(upstream, UpstreamTransport::Udp)], LONG);
    for id in 0..5 {
        assert!(is_right(&server.ask(&format!("k{id}.load.contoso.test"))), "{id}");
    }
    let rounds = rounds.lock().unwrap();
    assert!(rounds[rounds.len() - 4..].iter().all(|length| *length == 24), "{rounds:?}");
    assert!(rounds.iter().filter(|length| **length == 8).count() <= 2, "the loop probe and the first question: {rounds:?}");
    assert!(server.status(upstream).stray >= 5);
}

#[test]
fn a_server_that_is_never_content_with_its_cookie_is_asked_over_tcp() {
    let (socket, listener) = on_one_port();
    let upstream = scripted_on(socket, |socket, question, from| {
        let cookie = cookie_of(question).unwrap();
        let mut bad = right_answer(question);
        bad.truncate(end_of_question(&bad));
        bad[6..12].fill(0);
        socket.send_to(&with_cookie(bad, 23, &[&cookie[..8], &question[..2], &[7; 14]].concat()), from).unwrap();
    });
    let server = Server::start(&[(upstream, UpstreamTransport::Udp)], LONG);
    let over_tcp = std::thread::spawn(move || answer_one(&listener));
    assert!(is_right(&server.ask(WWW)));
    over_tcp.join().unwrap();
}

#[test]
fn an_upstream_that_lowers_names_and_has_no_tcp_answers_from_the_first_name_on() {
    let upstream = scripted(|socket, question, from| {
        let mut answer = right_answer(question);
        let end = end_of_question(&answer);
        answer[12..end - 4].make_ascii_lowercase();
        socket.send_to(&answer, from).unwrap();
    });
    let server = Server::start(&[(upstream, UpstreamTransport::Udp)], LONG);
    for id in 0..8 {
        assert!(is_right(&server.ask(&format!("lowered-{id}.load.contoso.test"))), "{id}");
    }
}

#[test]
fn an_upstream_that_stops_sending_cookies_and_has_no_tcp_is_asked_a_few_times_and_answers() {
    let names = Arc::new(Mutex::new(Vec::new()));
    let upstream = scripted({
        let names = names.clone();
        move |socket, question, from| {
            let name = written(question).to_ascii_lowercase();
            let cookie = cookie_of(question).filter(|_| !name.starts_with(b"\x05later"));
            names.lock().unwrap().push(name);
            let answer = right_answer(question);
            let answer = match cookie {
                Some(cookie) => with_cookie(answer, 0, &[&cookie[..8], b"server-cookie-16"].concat()),
                None => answer,
            };
            socket.send_to(&answer, from).unwrap();
        }
    });
    let server = Server::start(&[(upstream, UpstreamTransport::Udp)], LONG);
    assert!(is_right(&server.ask("first.load.contoso.test")));
    assert!(is_right(&server.ask("later.load.contoso.test")));
    let asked = names.lock().unwrap().iter().filter(|name| name.starts_with(b"\x05later")).count();
    assert!((2..=8).contains(&asked), "{asked} messages");
}

#[test]
fn errors_without_a_question_are_ignored_at_a_port_after_wrong_guesses() {
    let upstream = scripted(|socket, question, from| {
        let error = |id: [u8; 2]| [id[0], id[1], 0x81, 0x82, 0, 0, 0, 0, 0, 0, 0, 0];
        for guess in 1..=3 {
            socket.send_to(&error([question[0], question[1] ^ guess]), from).unwrap();
        }
        socket.send_to(&error([question[0], question[1]]), from).unwrap();
        socket.send_to(&right_answer(question), from).unwrap();
    });
    let server = Server::start(&[(upstream, UpstreamTransport::Udp)], LONG);
    assert!(is_right(&server.ask(WWW)), "the fourth guess had the right ID");
    assert!(server.status(upstream).stray >= 4);
}
