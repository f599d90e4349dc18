use std::net::SocketAddr;
use std::time::Duration;

use super::*;
use crate::compare::ratio;
use crate::load::{LoadModel, SentQuery, TallySecond, fine};
use crate::message::{QueryForm, name_to_wire};
use crate::questions::{DrawnQuestion, QuestionKind};
use crate::search::SearchStep;

/// Returns an outcome with a range of latencies, for tests of its readers.
pub(crate) fn outcome() -> LoadOutcome {
    let target: SocketAddr = "127.0.0.1:5353".parse().unwrap();
    let mut tally = LoadTally::default();
    (tally.sent, tally.timed_out, tally.late) = (1000, 2, 1);
    let sent = SentQuery { question: DrawnQuestion { item: 0, serial: 0 }, scheduled: 0, sent: 0 };
    for step in 1..=998 {
        let (kind, rcode) = if step % 10 == 0 { (QuestionKind::NxDomain, 3) } else { (QuestionKind::Hit, 0) };
        tally.answer(sent, step * 1000, kind, rcode);
    }
    let mut second = TallySecond::new(0);
    second.sent = 1000;
    second.answered = 998;
    second.latency.saturating_record(50_000);
    let mut latency = fine();
    latency.add(tally.latency()).unwrap();
    LoadOutcome {
        plan: LoadPlan::new(target),
        elapsed: Duration::from_secs(1),
        tally,
        latency,
        series: vec![
            RunSecond { second: second.clone(), server_cpu: Some(0.5), server_memory: Some(1 << 20) },
            RunSecond { second: TallySecond { index: 1, ..second }, server_cpu: Some(0.6), server_memory: Some(2 << 20) },
        ],
        effort: GeneratorEffort { busiest: 0.99, cpu: 0.99, waiting_for_cpu: 0.0 },
        server: Some(ServerUse {
            user: 0.1,
            system: 0.9,
            cpu_per_query: 4.2,
            resident: 1 << 20,
            peak: 2 << 20,
            proportional: 1 << 20,
            threads: 1,
        }),
    }
}

fn report() -> BenchReport {
    let mut questions = QuestionBank::in_turn("query file <q&a>.txt");
    questions.push(&name_to_wire("a.example").unwrap(), 1, QueryForm::default(), QuestionKind::Given);
    let mut report = BenchReport::new(&questions, &[std::process::id()]);
    report.runs = vec![RunReport::new("first", &outcome()), RunReport::new("second", &outcome())];
    let step = SearchStep {
        rate: 1000.0,
        answered: 998.0,
        met: false,
        missed: vec!["p99<1us (2 µs)".into()],
        p50: 1.0,
        p99: 2.0,
        p99_9: 3.0,
        loss: 0.0,
        server_cpu: None,
        generator_limited: true,
    };
    report.search = Some(SearchResult {
        objective: vec!["p99<1us".into()],
        steps: vec![step],
        highest: None,
        generator_was_the_limit: true,
        stopped_early: false,
    });
    report.comparison = Some(ServerComparison {
        first: "127.0.0.1:1".parse().unwrap(),
        second: "127.0.0.1:2".parse().unwrap(),
        rounds: 3,
        ratios: ratio("answers a second", "", &[2.0, 2.0, 3.0], &[1.0, 2.0, 2.0]).into_iter().collect(),
    });
    report.failures = vec!["p99>1us (988 µs)".into()];
    report
}

#[test]
fn the_page_stands_alone_and_escapes_what_it_shows() {
    let page = to_html(&report());
    for word in ["http:", "https:", "//", "@import", "url(", "<script", "<link", "src="] {
        assert!(!page.contains(word), "the page holds `{word}`");
    }
    assert!(page.contains("&lt;q&amp;a&gt;.txt") && !page.contains("<q&a>"));
    assert!(page.matches("<svg").count() >= 9, "{}", page.matches("<svg").count());
    assert!(!page.contains("NaN") && !page.contains("inf"));
    assert!(page.contains("the generator was a bottleneck"));
}

#[test]
fn the_json_has_a_version_and_what_scripts_look_for() {
    let json: serde_json::Value = serde_json::from_str(&report().to_json().unwrap()).unwrap();
    assert_eq!(json["version"], 1);
    let run = &json["runs"][0];
    assert_eq!(run["counts"]["answered"], 998);
    assert_eq!(run["plan"]["load"]["loop"], "closed");
    assert_eq!(run["plan"]["duration"], 10.0);
    assert_eq!(run["by_rcode"][1]["name"], "NXDOMAIN");
    assert_eq!(run["by_kind"][0]["name"], "hit");
    for quantile in ["p50", "p99", "p99.9", "p99.99", "max"] {
        assert!(run["latency"][quantile].as_f64().unwrap() > 0.0, "{quantile}");
    }
    assert_eq!(run["server"]["cpu_per_query"], 4.2);
    assert_eq!(json["failures"][0], "p99>1us (988 µs)");
}

#[test]
fn the_text_says_that_the_generator_was_the_bottleneck() {
    let text = to_text(&report());
    assert!(text.contains("WARNING    the generator was a bottleneck"), "{text}");
    assert!(text.contains("2 timed out, 1 of them answered late"), "{text}");
    assert!(text.contains("FAILED: p99>1us"), "{text}");
}

#[test]
fn the_text_of_a_search_tells_the_run_that_it_found() {
    let mut report = report();
    for (run, rate) in report.runs.iter_mut().zip([1_000_000.0, 2_000_000.0]) {
        run.plan.load = LoadModel::Open { rate, arrivals: crate::load::ArrivalProcess::Even };
    }
    report.search.as_mut().unwrap().highest = Some(1_000_000.0);
    let text = to_text(&report);
    assert!(text.contains("open loop, 1,000,000 queries a second") && !text.contains("2,000,000"), "{text}");
    assert!(text.contains("highest rate with p99<1us: 1,000,000 queries a second"), "{text}");
}

#[test]
fn conditions_are_judged_on_what_was_found() {
    use crate::objective::RunConditions;
    let outcome = outcome();
    let held = |text: &str| text.parse::<RunConditions>().unwrap().held(&outcome).len();
    for (text, expected) in [
        ("p50<600us", 1),
        ("p50<400us", 0),
        ("p99>900us,max<2ms", 2),
        ("loss<0.1%", 0),
        ("loss<=0.2%", 1),
        ("nxdomain>9%", 1),
        ("servfail>0%", 0),
        ("cpu<5us", 1),
        ("memory>2MiB", 0),
        ("rate>990", 1),
    ] {
        assert_eq!(held(text), expected, "{text}");
    }
}
