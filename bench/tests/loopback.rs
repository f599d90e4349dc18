//! Load over loopback against servers of the test: short on a quiet machine. Where something must have happened by the end, a number of
//! queries ends the run and not the clock.

use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use postern_bench::load::{self, ArrivalProcess, LoadModel, LoadPlan, LoadTransport};
use postern_bench::message::{QueryForm, name_to_wire};
use postern_bench::questions::{QuestionBank, QuestionKind};
use postern_bench::report::{BenchReport, RunReport, to_html, to_text};
use postern_bench::responder::EmptyResponder;

fn questions() -> Arc<QuestionBank> {
    let mut questions = QuestionBank::in_turn("test");
    for index in 0..100 {
        questions.push(&name_to_wire(&format!("ws-{index}.contoso.example")).unwrap(), 1, QueryForm::default(), QuestionKind::Given);
    }
    Arc::new(questions)
}

/// A run that ends with so many queries, however long they take.
fn of(queries: u64, target: SocketAddr) -> LoadPlan {
    LoadPlan { queries: Some(queries), duration: Duration::from_secs(300), ..short(target) }
}

fn short(target: SocketAddr) -> LoadPlan {
    LoadPlan {
        duration: Duration::from_millis(600),
        warmup: Duration::from_millis(100),
        timeout: Duration::from_secs(60),
        ports: 4,
        threads: 2,
        pid: Some(std::process::id()),
        ..LoadPlan::new(target)
    }
}

/// A server that answers each query by `answer`, which may take its time or give none.
fn server(answer: impl Fn(u64, &mut [u8]) -> bool + Send + 'static) -> (SocketAddr, Arc<AtomicBool>) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    let address = socket.local_addr().unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    thread::spawn(move || {
        let mut count = 0;
        let mut packet = [0; 2048];
        while !stopped.load(Ordering::Relaxed) {
            let Ok((length, from)) = socket.recv_from(&mut packet) else { continue };
            packet[2] |= 0x80;
            if answer(count, &mut packet[..length]) {
                let _ = socket.send_to(&packet[..length], from);
            }
            count += 1;
        }
    });
    (address, stop)
}

#[test]
fn a_closed_loop_against_the_mirror_loses_nothing_and_is_reported() {
    let mirror = EmptyResponder::mirror("127.0.0.1:0".parse().unwrap(), 1, &[]).unwrap();
    let plan = LoadPlan { load: LoadModel::Closed { window: 20 }, ..of(10_000, mirror.address()) };
    let outcome = load::run(&plan, &questions(), |_| ()).unwrap();
    assert_eq!((outcome.tally.sent, outcome.tally.answered, outcome.tally.timed_out), (10_000, 10_000, 0));
    assert_eq!((outcome.tally.mismatched, outcome.tally.malformed, outcome.tally.unknown), (0, 0, 0));
    assert_eq!(outcome.latency.len(), outcome.tally.answered);
    assert!(outcome.server.is_some());
    let mut report = BenchReport::new(&questions(), &[]);
    report.runs.push(RunReport::new("mirror", &outcome));
    assert!(to_text(&report).contains("closed loop, 20 under way"));
    assert!(to_html(&report).contains("<svg"));
    assert!(mirror.stop().unwrap() >= outcome.tally.answered);
}

#[test]
fn an_open_loop_sends_what_was_due_and_no_more() {
    let mirror = EmptyResponder::mirror("127.0.0.1:0".parse().unwrap(), 1, &[]).unwrap();
    for arrivals in [ArrivalProcess::Even, ArrivalProcess::Poisson] {
        let plan = LoadPlan { load: LoadModel::Open { rate: 2000.0, arrivals }, ..short(mirror.address()) };
        let outcome = load::run(&plan, &questions(), |_| ()).unwrap();
        let due = outcome.asked();
        let expected = if arrivals == ArrivalProcess::Even { 1195..=1205 } else { 900..=1500 };
        assert!(expected.contains(&due), "{arrivals:?}: {due}");
        assert_eq!(outcome.tally.sent, outcome.tally.answered + outcome.tally.timed_out);
    }
}

#[test]
fn a_count_of_queries_ends_the_run() {
    let mirror = EmptyResponder::mirror("127.0.0.1:0".parse().unwrap(), 1, &[]).unwrap();
    for load in [LoadModel::Closed { window: 7 }, LoadModel::Open { rate: 5000.0, arrivals: ArrivalProcess::Even }] {
        let plan = LoadPlan { load, ..of(333, mirror.address()) };
        let outcome = load::run(&plan, &questions(), |_| ()).unwrap();
        assert_eq!(outcome.tally.sent, 333, "{load:?}");
        assert!(outcome.elapsed < plan.duration);
    }
}

#[test]
fn a_stall_of_the_server_shows_in_the_latency_of_an_open_loop() {
    // Nearly a third of the time nothing is answered: queries that were due meanwhile waited up to 300 ms. Few enough that the server's
    // socket could hold them all.
    let (address, stop) = server(|count, _| {
        if count == 60 {
            thread::sleep(Duration::from_millis(300));
        }
        true
    });
    let plan = LoadPlan {
        load: LoadModel::Open { rate: 200.0, arrivals: ArrivalProcess::Even },
        warmup: Duration::ZERO,
        threads: 1,
        ..of(200, address)
    };
    let outcome = load::run(&plan, &questions(), |_| ()).unwrap();
    stop.store(true, Ordering::Relaxed);
    assert_eq!(outcome.loss(), 0.0);
    let p99 = Duration::from_nanos(outcome.latency.value_at_quantile(0.99));
    let p80 = Duration::from_nanos(outcome.latency.value_at_quantile(0.80));
    assert!(p99 > Duration::from_millis(200), "{p99:?}");
    assert!(p80 > Duration::from_millis(20), "not one query alone waited: {p80:?}");
}

#[test]
fn timeouts_and_late_answers_are_told_apart() {
    let (address, stop) = server(|count, _| {
        if count == 10 {
            thread::sleep(Duration::from_millis(700));
        }
        count % 10 != 5
    });
    let plan = LoadPlan {
        load: LoadModel::Open { rate: 100.0, arrivals: ArrivalProcess::Even },
        warmup: Duration::ZERO,
        threads: 1,
        ..of(150, address)
    };
    let plan = LoadPlan { timeout: Duration::from_millis(400), ..plan };
    let outcome = load::run(&plan, &questions(), |_| ()).unwrap();
    stop.store(true, Ordering::Relaxed);
    let tally = &outcome.tally;
    assert_eq!(tally.sent, 150);
    assert!(tally.late >= 1, "the answers behind the sleep come after 400 ms");
    assert!(tally.timed_out >= tally.late + 10, "{} timed out, {} late", tally.timed_out, tally.late);
    assert_eq!(tally.sent, tally.answered + tally.timed_out);
    assert_eq!(tally.late_latency.len(), tally.late);
}

#[test]
fn an_answer_to_another_question_is_not_taken() {
    let (address, stop) = server(|count, packet| {
        if count % 2 == 0 {
            packet[15] ^= 0x01;
        }
        true
    });
    let plan = LoadPlan {
        load: LoadModel::Open { rate: 500.0, arrivals: ArrivalProcess::Even },
        timeout: Duration::from_secs(2),
        warmup: Duration::ZERO,
        ..of(200, address)
    };
    let outcome = load::run(&plan, &questions(), |_| ()).unwrap();
    stop.store(true, Ordering::Relaxed);
    assert!(outcome.tally.mismatched > 50, "{}", outcome.tally.mismatched);
    assert!(outcome.tally.answered < outcome.tally.sent);
}

#[test]
fn tcp_carries_many_queries_a_connection_and_survives_a_close() {
    use std::io::{Read, Write};
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for (count, stream) in listener.incoming().enumerate().take(64) {
            let mut stream = stream.unwrap();
            thread::spawn(move || {
                let mut octets = vec![0; 65_536];
                let mut filled = 0;
                let mut answered = 0;
                while let Ok(read @ 1..) = stream.read(&mut octets[filled..]) {
                    filled += read;
                    let mut at = 0;
                    while at + 2 <= filled {
                        let end = at + 2 + usize::from(u16::from_be_bytes([octets[at], octets[at + 1]]));
                        if end > filled {
                            break;
                        }
                        octets[at + 4] |= 0x80;
                        at = end;
                        answered += 1;
                    }
                    if stream.write_all(&octets[..at]).is_err() || (count == 0 && answered > 200) {
                        return;
                    }
                    octets.copy_within(at..filled, 0);
                    filled -= at;
                }
            });
        }
    });
    let plan = LoadPlan { transport: LoadTransport::Tcp, load: LoadModel::Closed { window: 40 }, ..of(4_000, address) };
    let outcome = load::run(&plan, &questions(), |_| ()).unwrap();
    assert!(outcome.tally.answered > 3_000, "{}", outcome.tally.answered);
    assert_eq!(outcome.tally.reconnects, 1);
    assert_eq!(outcome.tally.sent, outcome.tally.answered + outcome.tally.timed_out + outcome.tally.cut_off);
}

#[test]
fn plans_out_of_bounds_are_refused() {
    let target = "127.0.0.1:9".parse().unwrap();
    let plan = LoadPlan::new(target);
    for bad in [
        LoadPlan { duration: Duration::ZERO, ..plan.clone() },
        LoadPlan { duration: Duration::from_secs(90_000), ..plan.clone() },
        LoadPlan { threads: 0, ..plan.clone() },
        LoadPlan { threads: 8, ports: 4, ..plan.clone() },
        LoadPlan { load: LoadModel::Open { rate: 0.0, arrivals: ArrivalProcess::Even }, ..plan.clone() },
        LoadPlan { load: LoadModel::Closed { window: 0 }, ..plan.clone() },
        LoadPlan { pid: Some(u32::MAX), ..plan.clone() },
    ] {
        assert!(load::run(&bad, &questions(), |_| ()).is_err(), "{bad:?}");
    }
    assert!(load::run(&plan, &Arc::new(QuestionBank::in_turn("nothing")), |_| ()).is_err());
}

#[test]
fn a_server_that_limits_the_rate_is_told_from_a_slow_one() {
    // Every second query is dropped, of the others every second is answered empty with TC: RRL with its usual slip.
    let (address, stop) = server(|count, packet| {
        packet[2] |= if count % 4 == 0 { 0x02 } else { 0 };
        count % 2 == 0
    });
    let plan = LoadPlan { load: LoadModel::Closed { window: 20 }, timeout: Duration::from_millis(500), ..of(200, address) };
    let outcome = load::run(&plan, &questions(), |_| ()).unwrap();
    assert!(outcome.rate_limit().unwrap().contains("rate limit"), "{:?}", outcome.tally.truncated);
    let mut report = BenchReport::new(&questions(), &[]);
    report.runs.push(RunReport::new("limited", &outcome));
    assert!(to_text(&report).contains("RRL") && to_html(&report).contains("RRL"));
    stop.store(true, Ordering::Relaxed);
}
