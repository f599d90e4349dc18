//! Upstreams that close their TCP connections in every way.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::AtomicUsize;

use postern_dns::upstream::tcp::{CONNECTIONS, MOST_LOSSES};

use crate::*;

/// Questions that are asked at once.
const AT_ONCE: u16 = 60;

/// An upstream over TCP. Each connection is handed to a thread of its own.
fn upstream(serve: impl Fn(TcpStream) + Send + Sync + 'static) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, accepted) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
    let (serve, counter) = (Arc::new(serve), accepted.clone());
    std::thread::spawn(move || {
        while let Ok((connection, _)) = listener.accept() {
            counter.fetch_add(1, Ordering::Relaxed);
            let serve = serve.clone();
            std::thread::spawn(move || serve(connection));
        }
    });
    (address, accepted)
}

fn read(connection: &mut TcpStream) -> Option<Vec<u8>> {
    let mut length = [0; 2];
    connection.read_exact(&mut length).ok()?;
    let mut question = vec![0; usize::from(u16::from_be_bytes(length))];
    connection.read_exact(&mut question).ok()?;
    Some(question)
}

fn write(connection: &mut TcpStream, question: &[u8]) {
    let answer = right_answer(question);
    let _ = connection.write_all(&[&(answer.len() as u16).to_be_bytes()[..], &answer].concat()); // it may be closed
}

fn answer(connection: &mut TcpStream) -> Option<()> {
    let question = read(connection)?;
    write(connection, &question);
    Some(())
}

/// Asks so many names at once. All of them must be answered.
fn all_are_answered(upstream: SocketAddr) {
    let server = Server::start(&[(upstream, UpstreamTransport::Tcp)], LONG);
    let mut client = Client::new(usize::from(AT_ONCE));
    (0..AT_ONCE).for_each(|id| server.submit(&client, id, &format!("n{id}.load.contoso.test")));
    for _ in 0..AT_ONCE {
        let answer = client.answer();
        assert!(is_right(&answer), "{answer:?}");
    }
    assert_eq!(server.status(upstream).condition, UpstreamCondition::Up);
}

#[test]
fn an_upstream_that_closes_after_each_answer_answers_all_questions() {
    let (address, accepted) = upstream(|mut connection| {
        let question = read(&mut connection);
        std::thread::sleep(Duration::from_millis(5));
        question.iter().for_each(|question| write(&mut connection, question));
    });
    all_are_answered(address);
    assert!(accepted.load(Ordering::Relaxed) >= usize::from(AT_ONCE));
}

#[test]
fn an_upstream_that_closes_after_a_few_answers_answers_all_questions() {
    let (address, _) = upstream(|mut connection| {
        for _ in 0..3 {
            if answer(&mut connection).is_none() {
                return;
            }
        }
    });
    all_are_answered(address);
}

#[test]
fn an_upstream_that_closes_when_two_questions_come_together_is_asked_one_at_a_time() {
    let (address, _) = upstream(|mut connection| {
        while let Some(question) = read(&mut connection) {
            std::thread::sleep(Duration::from_millis(5));
            connection.set_nonblocking(true).unwrap();
            if connection.peek(&mut [0]).is_ok_and(|waiting| waiting > 0) {
                return;
            }
            connection.set_nonblocking(false).unwrap();
            write(&mut connection, &question);
        }
    });
    all_are_answered(address);
}

#[test]
fn an_upstream_that_serves_two_connections_at_a_time_is_asked_on_two() {
    let serving = AtomicUsize::new(0);
    let (address, _) = upstream(move |mut connection| {
        if serving.fetch_add(1, Ordering::SeqCst) < 2 {
            while answer(&mut connection).is_some() {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        serving.fetch_sub(1, Ordering::SeqCst);
    });
    all_are_answered(address);
}

#[test]
fn an_upstream_that_answers_in_order_is_asked_on_several_connections() {
    let (address, accepted) = upstream(|mut connection| {
        while answer(&mut connection).is_some() {
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    all_are_answered(address);
    assert!((2..=CONNECTIONS).contains(&accepted.load(Ordering::Relaxed)), "{accepted:?}");
}

#[test]
fn a_question_that_makes_the_upstream_close_fails_alone_after_a_few_connections() {
    let poison = |question: &[u8]| question.windows(6).any(|octets| octets == b"poison");
    let (address, accepted) = upstream(move |mut connection| {
        while let Some(question) = read(&mut connection).filter(|question| !poison(question)) {
            write(&mut connection, &question);
        }
    });
    let server = Server::start(&[(address, UpstreamTransport::Tcp)], LONG);
    let mut client = Client::new(usize::from(AT_ONCE));
    for id in 0..AT_ONCE {
        let label = if id == 7 { "poison".into() } else { format!("n{id}") };
        server.submit(&client, id, &format!("{label}.load.contoso.test"));
    }
    let mut answers: Vec<Message> = (0..AT_ONCE).map(|_| client.answer()).collect();
    answers.sort_by_key(|answer| answer.metadata.id);
    let failed: Vec<u16> = answers.iter().filter(|answer| !is_right(answer)).map(|answer| answer.metadata.id).collect();
    assert_eq!(failed, [7]);
    assert!(accepted.load(Ordering::Relaxed) <= CONNECTIONS + usize::from(MOST_LOSSES), "{accepted:?}");
}
