//! Loads a mirror, the cheapest server there is, in an open and in a closed loop, and prints the report.
//!
//! ```sh
//! cargo run --release -p postern-bench --example measure
//! ```

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use postern_bench::load::{self, ArrivalProcess, LoadModel, LoadPlan};
use postern_bench::message::{QueryForm, name_to_wire};
use postern_bench::questions::{QuestionBank, QuestionKind};
use postern_bench::report::{BenchReport, RunReport, to_text};
use postern_bench::responder::EmptyResponder;

fn main() -> Result<(), Box<dyn Error>> {
    // The mirror sends every query back as a response. It shows what the load generator and the kernel cost.
    let mirror = EmptyResponder::mirror("127.0.0.1:0".parse()?, 1, &[])?;
    let questions = Arc::new(questions()?);
    let mut report = BenchReport::new(&questions, &[]);
    for (label, load) in [
        // A closed loop finds what a server can do: a query leaves when an earlier one is answered.
        ("closed loop", LoadModel::Closed { window: 20 }),
        // An open loop finds how long clients wait: queries leave when they are due, whatever comes back.
        ("open loop", LoadModel::Open { rate: 5_000.0, arrivals: ArrivalProcess::Even }),
    ] {
        let plan = LoadPlan {
            load,
            queries: Some(2_000), // ends the run before its time does
            duration: Duration::from_secs(300),
            warmup: Duration::from_millis(100),
            timeout: Duration::from_secs(60),
            ports: 4,
            ..LoadPlan::new(mirror.address())
        };
        let outcome = load::run(&plan, &questions, |_| ())?;
        assert_eq!(outcome.tally.answered, outcome.tally.sent);
        report.runs.push(RunReport::new(label, &outcome));
    }
    println!("{}", to_text(&report));
    mirror.stop()?;
    Ok(())
}

/// A hundred names, asked in turn for A records.
fn questions() -> Result<QuestionBank, Box<dyn Error>> {
    let mut questions = QuestionBank::in_turn("example");
    for index in 0..100 {
        let name = name_to_wire(&format!("ws-{index}.contoso.example")).map_err(|error| format!("{error:?}"))?;
        questions.push(&name, 1, QueryForm::default(), QuestionKind::Given);
    }
    Ok(questions)
}

#[test]
fn the_example_runs() -> Result<(), Box<dyn Error>> {
    main()
}
